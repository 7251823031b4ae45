"""The proof: before a new secret is published, every endpoint that it should open is called with it.

The secret is only in the memory of this run, and goes only where the API lists its key. If an endpoint does not accept
it, nothing is published: the secrets in the sinks stay valid, and the next run discards the generation and creates
another.
"""

from __future__ import annotations

from reconciler.api import require_settable
from reconciler.apply.run import Run
from reconciler.errors import Interrupted, KeyformError
from reconciler.model import EndpointKind, EndpointRef, LiveEndpoint
from reconciler.model.verification import Admission, Reply
from reconciler.patience import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    NO_REQUESTS,
    Question,
    addresses_of,
    ask_until,
    is_asleep,
    too_many_addresses,
)
from reconciler.plan.changes import Prove
from reconciler.plan.outcomes import StepNote

PATIENCE = 120.0
"""Seconds for all running endpoints: new keys take a moment to reach them [I], and one may be restarting."""
PATIENCE_WHEN_STOPPING = 10.0
"""Seconds that a proof continues once the user asks to stop: a secret that is not proven by then is lost."""
PATIENCE_WITH_SLEEPERS = 60.0
"""Seconds for all endpoints of the key that are scaled to zero, which the first request wakes [D]."""


class NotProven(KeyformError):
    """An endpoint does not accept the new secret, or gives no clear answer."""


def prove(run: Run, change: Prove) -> str:
    """Try the new secret everywhere; returns what could not be proven for a reason that must not hold it up.

    Raises NotProven as soon as one endpoint refuses it, or gives no clear answer, for as long as patience lasts. An
    endpoint that currently serves nobody, because it is scaled to zero or disabled or has no address, is listed
    instead.
    """
    spared: list[str] = []
    asleep: list[EndpointRef] = []
    until = run.effects.monotonic() + PATIENCE
    for ref in change.endpoints:
        live = _read_bound(run, change, ref, until)
        if reason := _why_nobody_can_ask(live):
            spared.append(f"{ref}: {reason}")
        elif is_asleep(live, _deployments_of(run, ref)):
            asleep.append(ref)  # last, so that the refusal of one that runs is found first
        elif silence := _try(run, change, live, until):
            raise _not_proven(change, silence)
    until = run.effects.monotonic() + PATIENCE_WITH_SLEEPERS
    slept_on = [ref for ref in asleep if _try(run, change, _read_bound(run, change, ref, until), until)]
    spared += [f"{ref}: asleep, scaled to zero" for ref in slept_on]
    return f"not tried at {'; '.join(spared)}" if spared else ""


def _read_bound(run: Run, change: Prove, ref: EndpointRef, until: float) -> LiveEndpoint:
    """The endpoint, read right before a secret goes there: the API says that it requires keys, and lists this key.

    The API said so when the key was bound, so a look that says otherwise may be an old one: look again until an
    instant, and then raise NotProven.
    """
    made = run.created[change.live].key
    pause = FIRST_PAUSE
    while True:
        reading = require_settable(ref, run.api.read_endpoint(ref))
        live = reading.endpoint
        if _why_nobody_can_ask(live):
            return live
        key = run.api.get_key(made.id)
        if key is None or key.ownership != made.ownership or not run.is_as_old(made, key):
            finding = f"the API no longer shows {made.name}"
        elif made.id not in reading.bound:
            finding = f"{ref} does not list {made.name}"
        elif not live.auth_enabled:
            finding = f"authentication is off on {ref}"
        else:
            return live
        left = until - run.effects.monotonic()
        if left <= 0:
            raise _not_proven(change, f"{finding}, so the new secret was not sent to {ref}")
        pause = min(pause * 2, LONGEST_PAUSE, left)
        _while_waiting(run, change, finding, pause)
        run.effects.sleep(pause)


def _why_nobody_can_ask(live: LiveEndpoint) -> str:
    if reason := NO_REQUESTS.get(live.status):
        return reason
    return "" if live.addresses else f"it has no address (status {live.status or 'unknown'})"


def _deployments_of(run: Run, ref: EndpointRef) -> tuple[LiveEndpoint, ...]:
    """The deployments of an application, and others; a deployment's own status says everything."""
    if ref.kind is not EndpointKind.APPLICATION:
        return ()
    with run.guard:
        if run.endpoints_seen is None:
            run.endpoints_seen = run.api.read_live().endpoints
        return run.endpoints_seen


def _try(run: Run, change: Prove, live: LiveEndpoint, until: float) -> str:
    """Nothing if all addresses accept the secret; otherwise that one gave no clear answer, in words.

    Raises NotProven if one refuses it, or if it is unclear whether it requires keys at all.
    """
    ref, secret = live.ref, run.created[change.live].secret
    if reason := too_many_addresses(live):
        raise _not_proven(change, f"{ref}: {reason}")
    if ref in run.waited_for:
        until = run.effects.monotonic()  # one request: its answer may have changed
    for address in addresses_of(live):
        taken = (Admission.ADMITTED, Admission.BEYOND)
        reply = _ask(run, change, ref, Question(address, secret, taken, until, until))
        door = Reply(Admission.REFUSED)
        if reply.admission is Admission.BEYOND:
            # It comes from behind the door only if there is one.
            door = _ask(run, change, ref, Question(address, None, (Admission.REFUSED,), until, until))
        if reply.admission not in taken or door.admission is not Admission.REFUSED:
            run.waited_for.add(ref)
        if reply.admission is Admission.REFUSED:
            raise _not_proven(change, f"{ref} refuses the new secret (status 401)")
        if reply.admission is Admission.UNCLEAR:
            return f"{ref} did not confirm the new secret: it {reply.detail}"
        if door.admission is not Admission.REFUSED:
            finding = f"{ref} did not confirm the new secret: with it, it {reply.detail}"
            raise _not_proven(change, f"{finding}; without a key, it {door.detail}")
    return ""


def _not_proven(change: Prove, finding: str) -> NotProven:
    return NotProven(
        finding,
        way_out="the secret was not published, and the sinks are unchanged; fix the endpoint and"
        " run apply again, which"
        f" replaces {change.live.name}, or remove `prove`",
    )


def _ask(run: Run, change: Prove, ref: EndpointRef, question: Question) -> Reply:
    def while_waiting(reply: Reply, seconds: float) -> None:
        _while_waiting(run, change, f"{ref} {reply.detail}", seconds)

    return ask_until(question, run.api, run.effects, while_waiting=while_waiting)


def _while_waiting(run: Run, change: Prove, finding: str, seconds: float) -> None:
    """Report an answer that is not enough yet, and keep the lock. Raises Interrupted some seconds after the user asks
    to stop.
    """
    run.fence.keep_alive()
    if run.is_to_end:
        now = run.effects.monotonic()
        run.proofs_end_at = run.proofs_end_at or now + PATIENCE_WHEN_STOPPING
        if run.lock_was_lost or now + seconds > run.proofs_end_at:
            raise Interrupted("Interrupted while trying a new secret.")
    run.listener(StepNote(change.id, f"{finding}; trying again in {seconds:.1f}s"))
