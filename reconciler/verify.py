"""Checks on the data plane that the endpoints are as the file declares, and accept the secrets in the sinks.

`verify` calls every endpoint of the stack without a key and with a made-up one. If both are refused, and if the API,
read again right before, lists the live key that a sink's secret belongs to, it tries that secret. The file never causes
a secret to be sent: it only says where to look. `verify` calls no other endpoint, and changes nothing.
"""

from __future__ import annotations

import string
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from reconciler.api import Api
from reconciler.effects import Effects
from reconciler.errors import Interrupted, KeyformError
from reconciler.model import (
    Auth,
    Binding,
    DesiredState,
    EndpointRef,
    LiveEndpoint,
    LiveKey,
    Phase,
    Secret,
    Snapshot,
)
from reconciler.model.verification import (
    Access,
    Admission,
    EndpointCheck,
    Reply,
    SecretCheck,
    SecretState,
    Verification,
)
from reconciler.patience import NO_REQUESTS, Question, addresses_of, ask_until, is_asleep, too_many_addresses
from reconciler.plan.cases import KeyCase, gather_cases, gather_facts
from reconciler.plan.fields import instant
from reconciler.plan.holdings import describe_deleted, find_deleted, find_holdings
from reconciler.plan.owners import record_is_of
from reconciler.sinks.protocol import HeldSecret, Sink
from reconciler.workers import side_by_side

SETTLING = 10.0
"""Seconds from the beginning in which a result that is not as declared is checked again: new keys take a moment to
reach the data plane [I], and `verify` often runs right after `apply`.
"""
OVERTIME = 15.0
"""Seconds after `timeout` in which `verify` still makes requests to an endpoint that it has not made yet: once, without
waiting.
"""
RANDOM_KEY_HEAD = "keyform-verify-"
"""The beginning of the made-up key, so that anyone who reads an endpoint's log knows where it comes from."""
_ALPHABET = string.ascii_letters + string.digits


def verify(
    desired: DesiredState,
    snapshot: Snapshot,
    api: Api,
    sinks: Mapping[str, Sink],
    effects: Effects,
    *,
    timeout: float,
    parallelism: int,
    tell: Callable[[str], None],
    learn: Callable[[Secret], None] = lambda _: None,
) -> Verification:
    """Check every endpoint of the stack, and return the findings; `snapshot` was read just before.

    `timeout` is how many seconds to wait for each endpoint that gives no clear answer. `tell` gets a sentence when one
    is waited for, `learn` every secret that a sink gives. Only Interrupted is raised: what cannot be found out is a
    finding.
    """
    with Inquiry(desired, snapshot, api, effects, timeout=timeout, tell=tell) as inquiry:
        cases = {case.name: case for case in gather_cases(gather_facts(desired, snapshot, api.now())) if case.desired}
        refs = sorted({*(e.ref for e in desired.endpoints), *(ref for key in desired.keys for ref in key.endpoints)})
        checks = dict(zip(refs, side_by_side(inquiry.check_endpoint, refs, parallelism), strict=True))
        shelves = read_shelves(desired, sinks, snapshot)
        for held in (held for shelf in shelves.values() for held in shelf.held.values()):
            learn(held.secret)
        trials = [
            inquiry.prepare(cases[key.name], ref, sink, shelves[sink], checks[ref])
            for key in desired.keys
            for ref in sorted(key.endpoints)
            for sink in key.sinks
        ]
        if any(trial.held for trial in trials):
            bindings = read_bindings(api)
            trials = [
                inquiry.hold_back(trial, trial.held, bindings, cases[trial.check.key]) if trial.held else trial
                for trial in trials
            ]
        distinct = {(trial.ref, trial.held.secret): trial for trial in trials if trial.held}
        replies = side_by_side(inquiry.try_secret, list(distinct.values()), parallelism)
        answers = dict(zip(distinct, replies, strict=True))
        return Verification(
            stack=desired.stack,
            project=desired.project,
            now=api.now(),
            endpoints=tuple(checks[ref] for ref in refs),
            secrets=tuple(
                inquiry.judge(trial, answers[trial.ref, trial.held.secret]) if trial.held else trial.check
                for trial in trials
            ),
            in_overlap=tuple(name for case in cases.values() for name in older_in_use(case)),
        )


def older_in_use(case: KeyCase) -> list[str]:
    """The live names of older generations that consumers may still rely on, and no sink holds."""
    older = (generation for generation in case.generations if generation is not case.newest_in_use)
    return [g.name for g in older if g.is_in_use and not g.sinks_that_hold_it and not g.live.is_expired(case.now)]


@dataclass(frozen=True, slots=True)
class Bindings:
    """What the API lists right before secrets are tried; `trouble` says why it could not be read."""

    keys: Mapping[str, Sequence[LiveKey]] = field(default_factory=dict)
    """By name."""
    endpoints: Mapping[EndpointRef, LiveEndpoint] = field(default_factory=dict)
    pairs: frozenset[Binding] = frozenset()
    trouble: str = ""


def read_bindings(api: Api) -> Bindings:
    """Live keys and endpoints as of now: checking the doors since the snapshot may have taken a while."""
    try:
        live = api.read_live()
    except Interrupted:
        raise
    except KeyformError as error:
        return Bindings(trouble=error.message)
    keys: dict[str, list[LiveKey]] = {}
    for key in live.keys:
        keys.setdefault(key.name, []).append(key)
    return Bindings(keys, {endpoint.ref: endpoint for endpoint in live.endpoints}, live.bindings)


@dataclass(frozen=True, slots=True)
class Shelf:
    """What one sink holds for the stack's keys; `trouble` says why that is unknown, `is_fault` if it should
    be known.
    """

    held: Mapping[str, HeldSecret] = field(default_factory=dict)
    trouble: str = ""
    is_fault: bool = False


def read_shelves(desired: DesiredState, sinks: Mapping[str, Sink], snapshot: Snapshot) -> dict[str, Shelf]:
    """The secrets of all sinks that the keys name; one that fails does not hold up the others.

    A sink whose records could not be read gives no secrets: nothing could say who owns them.
    """
    troubles = {name: contents.trouble for name, contents in snapshot.sinks.items() if contents.trouble is not None}
    keys: dict[str, list[str]] = {}
    for key in desired.keys:
        for sink in key.sinks:
            keys.setdefault(sink, []).append(key.name)
    return {
        name: Shelf(trouble=troubles[name].message, is_fault=True)
        if name in troubles
        else read_shelf(sinks[name], names)
        for name, names in sorted(keys.items())
    }


def read_shelf(sink: Sink, keys: Collection[str]) -> Shelf:
    """The secrets of one sink."""
    if not sink.traits.reads_secrets:
        return Shelf(trouble="this kind of sink cannot be read back")
    try:
        return Shelf(sink.read_secrets(keys))
    except KeyformError as error:
        return Shelf(trouble=error.message, is_fault=True)


@dataclass(frozen=True, slots=True)
class Trial:
    """A sink's secret, to be tried at an endpoint; if there is nothing to try, `check` is already the result."""

    ref: EndpointRef
    check: SecretCheck
    held: HeldSecret | None = None
    key: LiveKey | None = None
    """The live key whose secret it is, once the API has said that it is bound there."""


class Stopwatch:
    """For how long at least one request has been in flight: waiting in line for a worker does not count."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since = 0.0
        self._running = 0

    def start(self, now: float) -> None:
        """One more is in flight."""
        if not self._running:
            self._since = now
        self._running += 1

    def stop(self, now: float) -> None:
        """One of them is answered."""
        self._running -= 1
        if not self._running:
            self._before += now - self._since

    def seconds(self, now: float) -> float:
        """How long so far."""
        return self._before + (now - self._since if self._running else 0.0)


class Inquiry:
    """One run of `verify`. Safe between threads."""

    def __init__(
        self,
        desired: DesiredState,
        snapshot: Snapshot,
        api: Api,
        effects: Effects,
        *,
        timeout: float,
        tell: Callable[[str], None],
    ) -> None:
        self._declared = {endpoint.ref: endpoint.auth for endpoint in desired.endpoints}
        self._live = {endpoint.ref: endpoint for endpoint in snapshot.endpoints}
        self._endpoints = snapshot.endpoints
        self._absent = {name for name, contents in snapshot.sinks.items() if contents.is_absent}
        self._unseen = snapshot.unseen
        self._api = api
        self._effects = effects
        self._timeout = timeout
        self._tell = tell
        self._settled_at = effects.monotonic() + SETTLING
        self._guard = threading.Lock()
        self._spent: dict[tuple[EndpointRef, bool], Stopwatch] = {}
        self._gave_up: dict[str, Reply] = {}
        self._told: set[EndpointRef] = set()
        self._is_over = False
        letters = (_ALPHABET[int(effects.random() * len(_ALPHABET))] for _ in range(32))
        self._random_key = Secret(RANDOM_KEY_HEAD + "".join(letters))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Report no more: threads that an interruption left behind may still see their connections break."""
        with self._guard:
            self._is_over = True

    # --- Endpoints ----------------------------------------------------------------------------------------------------

    def check_endpoint(self, ref: EndpointRef) -> EndpointCheck:
        """Whether the endpoint lets callers in, at each of its addresses: the worst counts."""
        auth, live = self._declared.get(ref), self._live.get(ref)
        blank = EndpointCheck(ref, auth, live.status if live else "", Access.NOT_CHECKED)
        if live is None and (unseen := self._unseen.get(ref.kind)):
            return replace(blank, access=Access.UNCLEAR, reason=f"it is not shown: {unseen.message}")
        if live is None:
            return replace(blank, access=Access.MISSING, reason=f"there is no {ref.kind.value} {ref.name}")
        if reason := NO_REQUESTS.get(live.status):
            return replace(blank, reason=reason)
        if not live.addresses:
            if live.status == "DEPLOYING":
                return replace(blank, access=Access.UNCLEAR, reason="it is being deployed, and has no address yet")
            return replace(blank, reason="it has no address")
        found = [self._check_address(blank, live, address) for address in addresses_of(live)]
        worst = max(found, key=lambda check: _WORST.index(check.access))
        if worst.access.is_ok and (reason := too_many_addresses(live)):
            return replace(worst, access=Access.UNCLEAR, reason=reason)
        return worst

    def _check_address(self, blank: EndpointCheck, live: LiveEndpoint, address: str) -> EndpointCheck:
        is_open = blank.auth is Auth.OPEN
        hoped = (Admission.ADMITTED, Admission.BEYOND) if is_open else (Admission.REFUSED,)
        keyless = self._ask(live, address, None, hoped)
        check = replace(blank, without_key=keyless.status)
        if is_open or keyless.admission is not Admission.REFUSED:
            return self._judge_keyless(check, live, keyless)
        random = self._ask(live, address, self._random_key, hoped)
        check = replace(check, random_key=random.status)
        match random.admission:
            case Admission.REFUSED:
                return replace(check, access=Access.PROTECTED)
            case Admission.ADMITTED | Admission.BEYOND:
                return replace(check, access=Access.ANY_KEY, reason=f"with a made-up key, it {random.detail}")
            case Admission.UNCLEAR:
                return replace(
                    check,
                    access=self._unclear(live),
                    reason=self._excuse(live, f"with a made-up key, it {_of(random)}"),
                )

    def _judge_keyless(self, check: EndpointCheck, live: LiveEndpoint, reply: Reply) -> EndpointCheck:
        says_on = live.auth_enabled
        match reply.admission:
            case Admission.REFUSED:
                return replace(check, access=Access.NOT_OPEN, reason="it is declared `auth: open`, but requires a key")
            case Admission.BEYOND if says_on:
                reason = f"without a key, it {reply.detail}, although its authentication is on"
                return replace(check, access=Access.UNCLEAR, reason=reason)
            case Admission.ADMITTED | Admission.BEYOND if check.auth is Auth.OPEN:
                return replace(check, access=Access.OPEN, reason="as declared")
            case Admission.ADMITTED | Admission.BEYOND:
                although = ", although its authentication is on" if says_on else ""
                reason = f"without a key, it {reply.detail}{although}"
                return replace(check, access=Access.PUBLIC, reason=reason)
            case Admission.UNCLEAR:
                reason = self._excuse(live, f"without a key, it {_of(reply)}")
                return replace(check, access=self._unclear(live), reason=reason)

    # --- Secrets ------------------------------------------------------------------------------------------------------

    def prepare(self, case: KeyCase, ref: EndpointRef, sink: str, shelf: Shelf, endpoint: EndpointCheck) -> Trial:
        """What to try for one key, endpoint and sink, or why nothing is tried."""
        current = case.newest_in_use
        blank = SecretCheck(case.name, ref, sink, SecretState.NOT_CHECKED)
        held = shelf.held.get(case.name)
        if held is not None:
            blank = replace(blank, generation=held.record.generation, live_name=held.record.live_name)
            if held.damage:
                reason = f"{sink} has {held.damage}, so some readers cannot use it: the next apply rewrites it"
                return Trial(ref, replace(blank, state=SecretState.DAMAGED, reason=reason))
            if endpoint.access is Access.PROTECTED:
                return Trial(ref, blank, held)
            return Trial(ref, replace(blank, reason=_POINTLESS.get(endpoint.access, endpoint.reason)))
        if stranger := case.facts.foreign.get(case.name, {}).get(sink):
            return Trial(ref, replace(blank, state=SecretState.FOREIGN, reason=stranger.message))
        if shelf.is_fault:
            return Trial(ref, replace(blank, state=SecretState.UNREADABLE, reason=shelf.trouble))
        if current is None:
            deleted = find_deleted(case)
            why = describe_deleted(case, deleted) if deleted else f"no generation of {case.name} is published"
            reason = f"{why}: run apply"
            return Trial(ref, replace(blank, state=SecretState.UNPUBLISHED, reason=reason))
        found = find_holdings(case, case.desired, current) if case.desired else None
        if found is not None and found.is_elsewhere and sink in found.lacking:
            reason = f"{sink} was somewhere else when {current.name} was published: run apply"
            return Trial(ref, replace(blank, state=SecretState.LOST, reason=reason))
        if shelf.trouble:
            return Trial(ref, replace(blank, reason=shelf.trouble))
        if current.phase is Phase.ADOPTED:
            reason = f"{current.name} is adopted, and keyform does not know its secret"
            return Trial(ref, replace(blank, reason=reason))
        action = "copies it there" if found is not None and found.source else "makes a new generation"
        reason = f"{sink} does not hold it: apply {action}"
        if sink in self._absent:
            reason = f"{sink} does not exist: run this on the machine and in the folder where it is"
        return Trial(ref, replace(blank, state=SecretState.LOST, reason=reason))

    def hold_back(self, trial: Trial, held: HeldSecret, bindings: Bindings, case: KeyCase) -> Trial:
        """The same trial, or why the secret is not sent: it is sent only if the API lists its key there."""
        live, record = bindings.endpoints.get(trial.ref), held.record
        key = next((key for key in bindings.keys.get(record.live_name, ()) if record_is_of(record, key)), None)
        state, reason = SecretState.UNCLEAR, ""
        if bindings.trouble:
            reason = f"whether it is bound could not be read: {bindings.trouble}"
        elif key is None:
            state = SecretState.NOT_BOUND
            what = "was deleted outside keyform" if find_deleted(case) == record else "no longer exists"
            if bindings.keys.get(record.live_name):
                what = "is not the one that this secret belongs to"
            reason = f"the live key {record.live_name} {what}: run plan"
        elif live is None or Binding(key.id, trial.ref) not in bindings.pairs:
            state, reason = SecretState.NOT_BOUND, f"{key.name} is not bound to it: run plan"
        elif not live.auth_enabled:
            reason = f"authentication is off on {trial.ref}, so no secret was sent to it"
        elif addresses_of(live) != addresses_of(self._live[trial.ref]):
            reason = f"the addresses of {trial.ref} changed during the run: run verify again"
        else:
            return replace(trial, key=key)
        return Trial(trial.ref, replace(trial.check, state=state, reason=reason))

    def try_secret(self, trial: Trial) -> Reply:
        """The endpoint's answer to the secret, at each of its addresses: the first that does not accept it counts."""
        live, secret = self._live[trial.ref], trial.held.secret if trial.held else None
        hoped = (Admission.ADMITTED, Admission.BEYOND)
        reply = Reply(Admission.UNCLEAR)
        for address in addresses_of(live):
            reply = self._ask(live, address, secret, hoped)
            if reply.admission not in hoped:
                break
        return reply

    def judge(self, trial: Trial, reply: Reply) -> SecretCheck:
        """What the answer says about the secret: a request without a key was refused there, so any answer other than
        401 comes from behind the door.
        """
        check, live = replace(trial.check, status=reply.status), self._live[trial.ref]
        match reply.admission:
            case Admission.ADMITTED | Admission.BEYOND:
                return replace(check, state=SecretState.ACCEPTED)
            case Admission.REFUSED:
                return replace(check, state=SecretState.REFUSED, reason=self._diagnose(trial.key))
            case Admission.UNCLEAR:
                state = SecretState.ASLEEP if self._unclear(live) is Access.ASLEEP else SecretState.UNCLEAR
                return replace(check, state=state, reason=self._excuse(live, f"{live.ref} {_of(reply)}"))

    def _diagnose(self, key: LiveKey | None) -> str:
        """Why the secret of a live key that is bound there is refused."""
        if key is None:
            return ""
        if key.is_expired(self._api.now()):
            return f"{key.name} expired {instant(key.expires_at)}"
        return f"{key.name} is bound and valid, so the secret in the sink is not its secret"

    # --- Asking -------------------------------------------------------------------------------------------------------

    def _ask(self, live: LiveEndpoint, address: str, secret: Secret | None, hoped: Iterable[Admission]) -> Reply:
        """An answer; an address that never answered is not called again, nor is any once the time has passed."""
        with self._guard:
            if address in self._gave_up:
                return self._gave_up[address]
            now = self._effects.monotonic()
            phase = live.ref, secret in (None, self._random_key)  # secrets may be tried long after the door was
            spent = self._spent.setdefault(phase, Stopwatch())
            left = self._timeout - spent.seconds(now)
            if left < -OVERTIME:
                detail = f"was not called again after {self._timeout - left:.0f} seconds: try a longer --timeout"
                return Reply(Admission.UNCLEAR, detail=detail)
            spent.start(now)
        deadline = now + max(left, 0.0)
        question = Question(address, secret, tuple(hoped), deadline, min(self._settled_at, deadline))
        try:
            reply = ask_until(question, self._api, self._effects, while_waiting=lambda r, _: self._tell_of(live, r))
        finally:
            with self._guard:
                spent.stop(self._effects.monotonic())
        if reply.admission is Admission.UNCLEAR and reply.is_transient:
            with self._guard:
                self._gave_up.setdefault(address, reply)
        return reply

    def _tell_of(self, live: LiveEndpoint, reply: Reply) -> None:
        """Report once that an endpoint is waited for."""
        if reply.admission is not Admission.UNCLEAR:
            return
        with self._guard:
            if self._is_over or live.ref in self._told:
                return
            self._told.add(live.ref)
            waiting = f"waiting for it, at most {self._timeout:g} seconds."
            self._tell(f"{live.ref} {self._excuse(live, _of(reply))}; {waiting}")

    def _unclear(self, live: LiveEndpoint) -> Access:
        return Access.ASLEEP if is_asleep(live, self._endpoints) else Access.UNCLEAR

    def _excuse(self, live: LiveEndpoint, reason: str) -> str:
        if is_asleep(live, self._endpoints):
            return f"{reason}; it is scaled to zero, and this request may wake it"
        return f"{reason}; its status is {live.status}" if live.status.upper() not in ("ACTIVE", "") else reason


def _of(reply: Reply) -> str:
    return reply.detail or "gave no answer"


_POINTLESS = {
    Access.PUBLIC: "the endpoint is public",
    Access.OPEN: "the endpoint is public, as declared",
    Access.ANY_KEY: "the endpoint accepts any key",
    Access.NOT_OPEN: "the endpoint is declared `auth: open`",
    Access.ASLEEP: "the endpoint is asleep",
    Access.UNCLEAR: "the endpoint gives no clear answer",
}
"""Why a secret is not tried if the door itself is not as it should be."""

_WORST = (
    *(Access.NOT_CHECKED, Access.PROTECTED, Access.OPEN, Access.MISSING, Access.NOT_OPEN),
    *(Access.ASLEEP, Access.UNCLEAR, Access.ANY_KEY, Access.PUBLIC),
)
"""Harmless first: of an application's addresses the worst counts."""
