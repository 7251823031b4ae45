"""Which keys each endpoint gains and loses, and what must never happen to an endpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reconciler.errors import Finding
from reconciler.model import (
    Auth,
    Binding,
    DesiredEndpoint,
    DesiredState,
    EndpointRef,
    LiveEndpoint,
    LiveKey,
    Snapshot,
)
from reconciler.plan.cases import MOST_TOLD, Facts, name_some
from reconciler.plan.changes import KEEPS_A_KEY, KeyRef, Note, Reason
from reconciler.plan.foreign import explain_spared, find_suspects, gather_markers
from reconciler.plan.owners import describe_owner
from reconciler.plan.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Link:
    """A live key that an endpoint gains or loses, for which key (None: it is foreign), and why."""

    live: KeyRef
    verdict: Verdict | None
    reason: Reason
    is_disposable: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one endpoint gains and loses; `opens` if it ends up without authentication, as the file says.

    `present` are all live keys that are bound to it, `stays` those of the stack that should stay. `spared` would be
    unlinked as foreign, were it not for a marker, or for a finding of `find_suspects`.
    """

    endpoint: LiveEndpoint
    declaration: DesiredEndpoint
    present: frozenset[KeyRef]
    gains: tuple[Link, ...] = ()
    losses: tuple[Link, ...] = ()
    stays: tuple[KeyRef, ...] = ()
    spared: tuple[KeyRef, ...] = ()
    opens: bool = False

    @property
    def address(self) -> str:
        """The endpoint's address in a plan."""
        return str(self.endpoint.ref)

    @property
    def closes(self) -> bool:
        """Whether it is public, and the file requires a key."""
        return self.endpoint.is_public and self.declaration.auth is Auth.REQUIRED

    @property
    def remain(self) -> list[KeyRef]:
        """The live keys that are bound to it once the plan is done, in order."""
        lost = {link.live for link in self.losses}
        return [*sorted(self.present - lost), *(link.live for link in self.gains)]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why the keys that an endpoint would lose have to stay bound to it; the file may mention either."""

    comparison: Comparison
    finding: Finding


@dataclass(frozen=True, slots=True)
class Holds:
    """What endpoints hold up, gathered until nothing is added: a key that stays may change what others lose.

    `stays_at` are, by key, the endpoints that it still opens; `stopped` are the keys that stay as they are because of a
    conflict; at `spared` endpoints, foreign keys stay as well. `findings` say why, by endpoint.
    """

    stays_at: Mapping[str, frozenset[EndpointRef]] = field(default_factory=dict)
    stopped: frozenset[str] = frozenset()
    spared: frozenset[EndpointRef] = frozenset()
    findings: Mapping[EndpointRef, Finding] = field(default_factory=dict)

    def with_conflict(self, conflict: Conflict) -> Holds:
        """These and what a conflict holds up: the losses of its endpoint."""
        found = conflict.comparison
        ref, stays_at, stopped = found.endpoint.ref, dict(self.stays_at), set(self.stopped)
        for verdict in (link.verdict for link in found.losses if link.verdict is not None):
            name, newest = verdict.case.name, verdict.case.newest_in_use
            opens_it = (newest is not None and ref in newest.bound_to) or verdict.case.is_urgent
            known = stays_at.get(name, frozenset())
            if verdict.case.desired is not None and opens_it and ref not in self.stays_at.get(name, ()):
                stays_at[name] = known | {ref}
            else:
                stopped.add(name)
        spared = self.spared | {ref for link in found.losses if link.verdict is None}
        return Holds(stays_at, frozenset(stopped), spared, {ref: conflict.finding, **self.findings})


@dataclass(frozen=True, slots=True)
class BindingPlan:
    """The endpoints on which something changes, in order of address, and what was found on the way.

    `compared` are all endpoints, including those on which nothing changes. `conflicts` are the endpoints that must not
    lose their keys; `holding`, part of `unmet`, are those found before. `keeps` are the stack's bindings that stay,
    including those on endpoints on which nothing changes.
    """

    comparisons: tuple[Comparison, ...] = ()
    compared: tuple[Comparison, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    exposures: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()
    unmet: tuple[Finding, ...] = ()
    holding: tuple[Finding, ...] = ()
    keeps: frozenset[Binding] = frozenset()


NEVER_SWITCHED = "this version of the API can only do so by replacing the deployment, which keyform never does"
IS_DECLARED = Reason("binding_is_declared", "the file binds it")
IS_NOT_DECLARED = Reason("binding_is_not_declared", "the file no longer binds it")
SUCCEEDS = Reason("generation_succeeds", "the new generation gets every binding of the key")
IS_FOREIGN = Reason("endpoint_is_exclusive", "the endpoint is exclusive, and the key is foreign")
IS_OPEN = Reason("endpoint_is_open", "the file declares the endpoint open")


def plan_bindings(facts: Facts, verdicts: Sequence[Verdict], holds: Holds) -> BindingPlan:
    """Compare the live keys of each endpoint with those that the verdicts and the file give it."""
    desired, snapshot = facts.desired, facts.snapshot
    declared = {endpoint.ref: endpoint for endpoint in desired.endpoints}
    live = {endpoint.ref: endpoint for endpoint in snapshot.endpoints}
    wanted, owners = gather_wanted(verdicts)
    conflicts = []
    keys = {KeyRef.of(key): key for key in snapshot.keys}
    present = gather_present(snapshot)
    markers, suspects = gather_markers(facts), find_suspects(facts, (verdict.case for verdict in verdicts))
    valid = {ref for ref, key in keys.items() if not key.is_expired(facts.now)}
    valid |= {verdict.successor.live for verdict in verdicts if verdict.successor}
    switches = snapshot.capabilities.switches_authentication
    comparisons, compared, exposures, warnings = [], [], [], []
    keeps: set[Binding] = set()
    unmet = [*find_unusable_declarations(facts)]
    for ref in sorted(live):
        endpoint = live[ref]
        if endpoint.application is not None:
            continue
        declaration = declared.get(ref, DesiredEndpoint(ref))
        is_managed = ref in declared or ref in wanted
        found = compare(
            endpoint,
            declaration,
            present=present.get(ref, frozenset()),
            wanted=wanted.get(ref, {}),
            owners=owners,
            markers=markers,
            suspects=suspects,
            spares_all=ref in holds.spared,
        )
        if facts.selection.targets and not any(link.verdict for link in found.losses):
            found = replace(found, opens=False)
        if found.opens and not found.present and not switches:
            unmet.append(explain_closed(declaration))
            found = replace(found, opens=False)
        if (finding := find_conflict(found, valid, owners)) and (found.losses or ref not in holds.findings):
            conflicts.append(Conflict(found, finding))
        unmet += find_unprotected(found, switches=switches)
        new_exposures, new_warnings = note_exposure(found, is_managed=is_managed, switches=switches)
        exposures += [
            *new_exposures,
            *note_lost_access(found, wanted.get(ref, {})),
            *note_cuts(found, keys, suspects, desired.stack),
        ]
        warnings += new_warnings
        unmet += find_spared(found, keys, suspects, desired.stack)
        keeps.update(Binding(live.id, ref) for live in found.stays)
        compared.append(found)
        if found.gains or found.losses or found.opens:
            comparisons.append(found)
    holding = tuple(holds.findings[ref] for ref in sorted(holds.findings))
    return BindingPlan(
        comparisons=tuple(comparisons),
        compared=tuple(compared),
        conflicts=tuple(conflicts),
        exposures=tuple(exposures),
        warnings=tuple(warnings),
        unmet=(*unmet, *holding),
        holding=holding,
        keeps=frozenset(keeps),
    )


def gather_present(snapshot: Snapshot) -> dict[EndpointRef, frozenset[KeyRef]]:
    """The live keys that are bound to each endpoint; one that is missing from the list of keys goes by its id."""
    named = {key.id: KeyRef.of(key) for key in snapshot.keys}
    found: dict[EndpointRef, set[KeyRef]] = defaultdict(set)
    for binding in snapshot.bindings:
        found[binding.endpoint].add(named.get(binding.key_id) or KeyRef(binding.key_id, binding.key_id))
    return {ref: frozenset(keys) for ref, keys in found.items()}


def gather_wanted(
    verdicts: Iterable[Verdict],
) -> tuple[dict[EndpointRef, dict[KeyRef, Link]], dict[KeyRef, Link]]:
    """For each endpoint, the live keys that it should have; and for each owned live key, how it would be unbound."""
    wanted: dict[EndpointRef, dict[KeyRef, Link]] = defaultdict(dict)
    owners: dict[KeyRef, Link] = {}
    for verdict in verdicts:
        case, successor = verdict.case, verdict.successor
        for ruling in verdict.rulings:
            live = ruling.generation.ref
            reason = ruling.reason if ruling.goes else IS_NOT_DECLARED
            owners[live] = Link(live, verdict, reason, ruling.is_disposable)
            kept = ruling.generation.bound_to if verdict.keeps_bindings and not ruling.goes else frozenset()
            for ref in ruling.endpoints(verdict.opens) | kept:
                wanted[ref][live] = Link(live, verdict, IS_DECLARED)
        if successor is not None and case.desired is not None:
            reason = IS_DECLARED if case.newest_in_use is None else SUCCEEDS
            for ref in verdict.opens:
                wanted[ref][successor.live] = Link(successor.live, verdict, reason)
    return wanted, owners


def compare(
    endpoint: LiveEndpoint,
    declaration: DesiredEndpoint,
    *,
    present: frozenset[KeyRef],
    wanted: Mapping[KeyRef, Link],
    owners: Mapping[KeyRef, Link],
    markers: Mapping[KeyRef, str | None],
    suspects: Collection[KeyRef],
    spares_all: bool,
) -> Comparison:
    """What one endpoint gains and loses; foreign keys only if the file says `exclusive`.

    Two stacks that share an endpoint would cut each other at every apply: a key with a marker goes only if the file
    names its stack, and one of the `suspects` not even then. `markers` names the owner of each key, if there is one
    (see `gather_markers`); a key that is not in it was missing from the list of keys, which was read in parallel, so
    its owner is unknown.
    """
    gains = tuple(wanted[live] for live in sorted(set(wanted) - present))
    losses, spared = [], []
    for live in sorted(present - set(wanted)):
        marked_by = markers.get(live, "")
        if live in owners:
            losses.append(owners[live])
        elif spares_all or not declaration.exclusive:
            continue
        elif live in suspects or (marked_by is not None and marked_by not in declaration.exclusive_stacks):
            spared.append(live)
        else:
            losses.append(Link(live, None, IS_OPEN if declaration.auth is Auth.OPEN else IS_FOREIGN))
    remain = (present - {link.live for link in losses}) | set(wanted)
    # Keys may be listed although authentication is off: to unlink the last one still takes a write that may open.
    opens = declaration.auth is Auth.OPEN and not remain and (endpoint.auth_enabled or bool(present))
    stays = tuple(sorted(present & set(wanted)))
    return Comparison(endpoint, declaration, present, gains, tuple(losses), stays, tuple(spared), opens)


def find_conflict(found: Comparison, valid: Collection[KeyRef], owners: Mapping[KeyRef, Link]) -> Finding | None:
    """Why an endpoint must lose nothing: it keeps a valid key unless the file declares it open.

    One that should open, and cannot because foreign keys stay on it, keeps the stack's keys: their consumers need them.
    """
    endpoint, declaration, remain = found.endpoint, found.declaration, found.remain
    if declaration.auth is Auth.OPEN:
        foreign = [live.name for live in remain if live not in owners]
        if not endpoint.auth_enabled or not foreign:
            return None
        return Finding(
            place_of(found),
            str(endpoint.ref),
            f"is declared `auth: open`, but foreign keys are bound to it ({name_some(foreign)})",
            "unlink them in the portal, or declare the endpoint `exclusive` too; keys of other stacks need"
            " `exclusive: {stacks: [NAME]}`",
        )
    lost = [link.live.name for link in found.losses]
    had_one = any(live in valid for live in found.present)
    # Whatever the API says about authentication now: a list that loses its last key turns it off.
    if not lost or any(live in valid for live in remain) or not (had_one or not remain):
        return None
    return Finding(
        place_of(found),
        str(endpoint.ref),
        f"would be left without a valid key (it loses {name_some(sorted(lost))}), and without keys the API "
        "turns its authentication off",
        way_out_of_conflict(found),
        KEEPS_A_KEY,
    )


def way_out_of_conflict(found: Comparison) -> str:
    """What can be done about an endpoint that would lose its last key."""
    ways = ["bind another key to it", "declare the endpoint `auth: open` to make it public"]
    cases = [link.verdict.case for link in found.losses if link.verdict]
    going = sorted({case.name for case in cases if not case.desired and not case.heir})
    if going:
        ways.append(f"write `forget: [{', '.join(going)}]` in place of the key to leave it there as it is")
    return ", or ".join(ways)


def place_of(found: Comparison) -> str:
    """Where the file mentions what an endpoint loses: the endpoint's entry, or a key that it loses."""
    keys = (link.verdict.case.desired for link in found.losses if link.verdict)
    places = (found.declaration.place.where, *(key.place.where for key in keys if key))
    return next(filter(None, places), "")


def find_unprotected(found: Comparison, *, switches: bool) -> Iterator[Finding]:
    """Endpoints that should require a key and do not, if no key is bound that could turn that on."""
    if not found.closes or found.gains:
        return
    message, way_out = "and no key is bound to it", "bind a key to it: the first key turns authentication on"
    if found.remain:
        message, way_out = "although keys are bound to it", "turn its authentication on in the portal"
        message += "" if switches else f": {NEVER_SWITCHED}"
    message = f"is declared `auth: required`, but it is public, {message}"
    yield Finding(found.declaration.place.where, str(found.endpoint.ref), message, way_out)


def find_unusable_declarations(facts: Facts) -> Iterator[Finding]:
    """The file's mentions of endpoints that do not exist, or whose keys are set elsewhere."""
    for endpoint in facts.desired.endpoints:
        if trouble := facts.unusable.get(endpoint.ref):
            yield Finding(endpoint.place.where, endpoint.place.path, trouble.message, trouble.way_out)


def explain_closed(declaration: DesiredEndpoint) -> Finding:
    """An endpoint that should open has lost its last key, and still requires one: that holds up nothing else."""
    message = f"is declared `auth: open`, but its authentication is on: {NEVER_SWITCHED}"
    return Finding(declaration.place.where, str(declaration.ref), message, "turn its authentication off in the portal")


def note_exposure(found: Comparison, *, is_managed: bool, switches: bool = True) -> tuple[list[Note], list[Note]]:
    """Report which endpoints become public or are already, and which stop being public."""
    if found.opens:
        sentence = "becomes PUBLIC: anyone who knows its address can call it without a key"
        if not switches:
            sentence += "; if the API leaves authentication on instead, nobody can, and apply reports it"
        return [Note("endpoint_becomes_public", found.address, sentence)], []
    if not found.endpoint.is_public or not is_managed:
        return [], []
    if found.gains:
        sentence = "is public now; once a key is bound, requests without a key are refused"
        if not switches:
            told = "apply reports it if not" if found.closes else "run plan again to check"
            sentence = f"is public now; binding a key may turn its authentication on: {told}"
        return [], [Note("endpoint_becomes_protected", found.address, sentence)]
    if found.declaration.auth is Auth.OPEN:
        return [], []
    keys = "although keys are bound to it" if found.remain else "no key is bound to it"
    sentence = f"is public: {keys}, and the file does not say `auth: open`"
    return [Note("endpoint_is_public", found.address, sentence)], []


def note_unswitched(desired: DesiredState, *, switches: bool) -> Iterator[Note]:
    """What the file asks for and keys may not achieve, reported without the live state."""
    for endpoint in desired.endpoints if not switches else ():
        if endpoint.auth is not None:
            sentence = (
                "`auth: required` takes effect only if authentication is on already, or"
                " the deployment's first key turns it on"
            )
            if endpoint.auth is Auth.OPEN:
                sentence = (
                    "`auth: open` takes effect only if authentication is off already, or"
                    " unlinking the last key turns it off"
                )
            sentence += "; keyform never replaces a deployment to switch it"
            yield Note("authentication_is_not_switched", str(endpoint.ref), sentence)


def note_cuts(
    found: Comparison, keys: Mapping[KeyRef, LiveKey], suspects: Mapping[KeyRef, str], own_stack: str
) -> Iterator[Note]:
    """Every other owner's key that is unlinked from an endpoint, or that a marker keeps there, with its owner."""
    for link in found.losses:
        if link.verdict is None:
            owner = describe_owner(keys.get(link.live))
            sentence = f"no longer accepts the key {link.live.name} ({owner}): its consumers are refused"
            yield Note("foreign_key_is_cut", found.address, sentence)
    for live in found.spared[:MOST_TOLD]:
        why, _ = explain_spared(keys.get(live), suspects.get(live, ""), own_stack)
        sentence = f"still accepts the key {live.name}, although it is exclusive: {why}"
        yield Note("key_stays", found.address, sentence)


def note_lost_access(found: Comparison, wanted: Mapping[KeyRef, Link]) -> Iterator[Note]:
    """Every key whose consumers the endpoint refuses from now on, because the file no longer opens it for them.

    A rotation takes access from nobody, and neither does a secret that reached nobody; leaks are reported elsewhere.
    It also says so if the endpoint has no key of this stack then.
    """
    stays = {link.verdict.case.name for link in wanted.values() if link.verdict}
    lost: dict[str, list[str]] = defaultdict(list)
    for link in found.losses:
        if link.verdict is not None and not link.is_disposable and not link.reason.is_urgent:
            lost[link.verdict.case.name].append(link.live.name)
    for name in sorted(lost.keys() - stays):
        verdict = next(link.verdict for link in found.losses if link.verdict and link.verdict.case.name == name)
        if verdict.heir is None:
            live = "" if lost[name] == [name] else f" ({name_some(lost[name])})"
            sentence = f"no longer accepts the key {name}{live} once this is applied"
            left = "" if wanted else "; only foreign keys are left on it" if found.remain else "; no key is left on it"
            yield Note("key_loses_access", found.address, f"{sentence}: its consumers are refused{left}")


def find_spared(
    found: Comparison, keys: Mapping[KeyRef, LiveKey], suspects: Mapping[KeyRef, str], own_stack: str
) -> Iterator[Finding]:
    """Keys that stay on an exclusive endpoint because another owner may use them; the report makes sure that nobody
    gains immunity unnoticed.
    """
    where, path = found.declaration.place.where, found.address
    for live in found.spared[:MOST_TOLD]:
        why, way_out = explain_spared(keys.get(live), suspects.get(live, ""), own_stack)
        yield Finding(where, path, f"is exclusive, but the key {live.name} stays bound to it: {why}", way_out)
    if len(found.spared) > MOST_TOLD:
        message = f"is exclusive, but {len(found.spared) - MOST_TOLD} more foreign keys stay bound to it"
        yield Finding(where, path, message, "check its keys in the portal")
