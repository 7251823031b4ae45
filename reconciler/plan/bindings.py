"""Which keys each endpoint gains and loses, and what must never happen to an endpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from reconciler.errors import Finding
from reconciler.model import (
    Auth,
    Binding,
    DesiredEndpoint,
    DesiredState,
    EndpointRef,
    LiveEndpoint,
    LiveKey,
    Place,
    Snapshot,
    key_of_name,
)
from reconciler.plan.cases import MOST_TOLD, Facts, describe_owner, gather_evidence, name_some, record_is_of
from reconciler.plan.changes import KeyRef, Note, Reason
from reconciler.plan.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Link:
    """A live key that an endpoint gains or loses, as a step of which key (None: it is foreign), and why."""

    live: KeyRef
    verdict: Verdict | None
    reason: Reason
    is_disposable: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one endpoint gains and loses; `opens` when it ends up without authentication, as the file says.

    `present` are all the live keys that are bound to it, `stays` those of the stack that are wanted there. `spared`
    would be unlinked, were it not for a marker of another stack, or one that cannot be read.
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
        """Whether it is public, and the file requires that it asks for a key."""
        return self.endpoint.is_public and self.declaration.auth is Auth.REQUIRED

    @property
    def remain(self) -> list[KeyRef]:
        """The live keys that are bound to it once the plan is done, in order."""
        lost = {link.live for link in self.losses}
        return [*sorted(self.present - lost), *(link.live for link in self.gains)]


@dataclass(frozen=True, slots=True)
class BindingPlan:
    """The endpoints on which something changes, in order of address, and what was found on the way."""

    comparisons: tuple[Comparison, ...] = ()
    refusals: tuple[Finding, ...] = ()
    exposures: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()
    unmet: tuple[Finding, ...] = ()

    @property
    def keeps(self) -> frozenset[Binding]:
        """The stack's bindings that stay on these endpoints."""
        return frozenset(Binding(live.id, each.endpoint.ref) for each in self.comparisons for live in each.stays)


NEVER_SWITCHED = "in this generation of the API, keyform would have to replace the deployment for that, and does not"
IS_DECLARED = Reason("binding_is_declared", "the file binds it")
IS_NOT_DECLARED = Reason("binding_is_not_declared", "the file no longer binds it")
SUCCEEDS = Reason("generation_succeeds", "the new generation opens what the key opens")
IS_FOREIGN = Reason("endpoint_is_exclusive", "the endpoint is exclusive, and this stack does not own the key")
IS_OPEN = Reason("endpoint_is_open", "the file declares the endpoint open")


def plan_bindings(facts: Facts, verdicts: Sequence[Verdict]) -> BindingPlan:
    """Compare who opens each endpoint with who is to, by the verdicts and the file."""
    desired, snapshot = facts.desired, facts.snapshot
    declared = {endpoint.ref: endpoint for endpoint in desired.endpoints}
    live = {endpoint.ref: endpoint for endpoint in snapshot.endpoints}
    wanted, owners = gather_wanted(verdicts)
    refusals = [
        *refuse_unknown_endpoints(desired, snapshot, live),
        *refuse_children(desired, live),
    ]
    keys = {KeyRef.of(key): key for key in snapshot.keys}
    present = gather_present(snapshot)
    markers = gather_markers(facts)
    valid = {ref for ref, key in keys.items() if not key.is_expired(facts.now)}
    valid |= {verdict.successor.live for verdict in verdicts if verdict.successor}
    switches = snapshot.capabilities.switches_authentication
    comparisons, exposures, warnings = [], [], []
    unmet: list[Finding] = []
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
        )
        if found.opens and not found.present and not switches:
            unmet.append(explain_closed(declaration))
            found = replace(found, opens=False)
        refusals += refuse_comparison(found, valid, owners, switches=switches)
        new_exposures, new_warnings = note_exposure(found, is_managed=is_managed, switches=switches)
        exposures += [*new_exposures, *note_cuts(found, keys, desired.stack)]
        warnings += new_warnings
        unmet += find_spared(found, keys, desired.stack)
        if found.gains or found.losses or found.opens:
            comparisons.append(found)
    return BindingPlan(tuple(comparisons), tuple(refusals), tuple(exposures), tuple(warnings), tuple(unmet))


def gather_present(snapshot: Snapshot) -> dict[EndpointRef, frozenset[KeyRef]]:
    """The live keys that are bound to each endpoint; one that the list of keys does not show goes by its id."""
    named = {key.id: KeyRef.of(key) for key in snapshot.keys}
    found: dict[EndpointRef, set[KeyRef]] = defaultdict(set)
    for binding in snapshot.bindings:
        found[binding.endpoint].add(named.get(binding.key_id) or KeyRef(binding.key_id, binding.key_id))
    return {ref: frozenset(keys) for ref, keys in found.items()}


def gather_wanted(
    verdicts: Iterable[Verdict],
) -> tuple[dict[EndpointRef, dict[KeyRef, Link]], dict[KeyRef, Link]]:
    """For each endpoint, the live keys that it is to have; and for each owned live key, how it would be unbound."""
    wanted: dict[EndpointRef, dict[KeyRef, Link]] = defaultdict(dict)
    owners: dict[KeyRef, Link] = {}
    for verdict in verdicts:
        case, successor = verdict.case, verdict.successor
        for ruling in verdict.rulings:
            live = ruling.generation.ref
            reason = ruling.reason if ruling.goes else IS_NOT_DECLARED
            owners[live] = Link(live, verdict, reason, ruling.is_disposable)
            for ref in ruling.endpoints(case.desired):
                wanted[ref][live] = Link(live, verdict, IS_DECLARED)
        if successor is not None and case.desired is not None:
            reason = IS_DECLARED if case.newest_in_use is None else SUCCEEDS
            for ref in case.desired.endpoints:
                wanted[ref][successor.live] = Link(successor.live, verdict, reason)
    return wanted, owners


def gather_markers(facts: Facts) -> dict[KeyRef, str | None]:
    """Per live key the stack whose it seems to be: by its marker, or, where that is gone, by what nobody can take off.

    Anybody may clear a description in the portal. A key that a sink has a record of, or that is called like a
    generation of a key of this stack, is not cut for that: somebody may use its secret.
    """
    desired = facts.desired
    recorded = gather_evidence(desired, facts.snapshot)
    declared = {key.name for key in desired.keys}

    def is_ours_by_more(live: LiveKey) -> bool:
        is_recorded = any(record_is_of(record, live) for record in recorded.get(live.name, ()))
        return is_recorded or live.name in declared or key_of_name(live.name) in declared

    return {
        KeyRef.of(key): desired.stack if key.marked_by is None and is_ours_by_more(key) else key.marked_by
        for key in facts.snapshot.keys
    }


def compare(
    endpoint: LiveEndpoint,
    declaration: DesiredEndpoint,
    *,
    present: frozenset[KeyRef],
    wanted: Mapping[KeyRef, Link],
    owners: Mapping[KeyRef, Link],
    markers: Mapping[KeyRef, str | None],
) -> Comparison:
    """What one endpoint gains and loses; foreign keys only where the file says `exclusive`.

    Two stacks that share an endpoint would cut each other at every apply: a key that bears a marker goes only where the
    file names its stack. `markers` tells whose each key is, if anybody's (see `gather_markers`); a key that is not
    in it was not in the list of keys, which was read beside this one: whose it is, nobody can tell.
    """
    gains = tuple(wanted[live] for live in sorted(set(wanted) - present))
    losses, spared = [], []
    for live in sorted(present - set(wanted)):
        marked_by = markers.get(live, "")
        if live in owners:
            losses.append(owners[live])
        elif declaration.exclusive and marked_by is not None and marked_by not in declaration.exclusive_stacks:
            spared.append(live)
        elif declaration.exclusive:
            losses.append(Link(live, None, IS_OPEN if declaration.auth is Auth.OPEN else IS_FOREIGN))
    remain = (present - {link.live for link in losses}) | set(wanted)
    # Keys may be listed where authentication is off: to take the last one off still takes a write that may open.
    opens = declaration.auth is Auth.OPEN and not remain and (endpoint.auth_enabled or bool(present))
    stays = tuple(sorted(present & set(wanted)))
    return Comparison(endpoint, declaration, present, gains, tuple(losses), stays, tuple(spared), opens)


def refuse_comparison(
    found: Comparison, valid: Collection[KeyRef], owners: Mapping[KeyRef, Link], *, switches: bool = True
) -> list[Finding]:
    """An endpoint keeps a valid key unless the file says that it is open; one that has none keeps one nevertheless.

    Where keys do not switch its authentication for sure, what nobody but its owner can do is refused, and said.
    """
    endpoint, declaration, place, remain = found.endpoint, found.declaration, found.declaration.place, found.remain
    lost = [link.live.name for link in found.losses]
    if declaration.auth is Auth.OPEN:
        foreign = [live.name for live in remain if live not in owners]
        if endpoint.auth_enabled and foreign:
            return [
                Finding(
                    place.where,
                    str(endpoint.ref),
                    f"is declared open, but foreign keys are bound to it ({name_some(foreign)})",
                    "unlink them in the portal, or declare the endpoint `exclusive` as well; keys of other stacks need"
                    " `exclusive: {stacks: [NAME]}`",
                )
            ]
        return []
    had_one = any(live in valid for live in found.present)
    # Whatever the API says of authentication now: a list that loses its last key turns it off.
    if lost and not any(live in valid for live in remain) and (had_one or not remain):
        return [
            Finding(
                place.where,
                str(endpoint.ref),
                f"would be left without a valid key (it loses {name_some(sorted(lost))}), and without keys the API "
                "turns its authentication off",
                "bind another key to it, or declare the endpoint `auth: open` to make it public",
            )
        ]
    if found.closes and found.remain and not found.gains:
        message = "is declared `auth: required`, but it is public, although keys are bound to it"
        if not switches:
            message = f"{message}: {NEVER_SWITCHED}"
        return [Finding(place.where, str(endpoint.ref), message, "turn its authentication on in the portal")]
    if found.closes and not found.gains:
        return [
            Finding(
                place.where,
                str(endpoint.ref),
                "is declared `auth: required`, but it is public, and no key is bound to it",
                "bind a key to it: the first one turns authentication on",
            )
        ]
    return []


def explain_closed(declaration: DesiredEndpoint) -> Finding:
    """An endpoint that is to open has lost its last key, and goes on asking for one: that holds up nothing else."""
    message = f"is declared open, but its authentication is on: {NEVER_SWITCHED}"
    return Finding(declaration.place.where, str(declaration.ref), message, "turn its authentication off in the portal")


def note_exposure(found: Comparison, *, is_managed: bool, switches: bool = True) -> tuple[list[Note], list[Note]]:
    """Say which endpoints become public or are so already, and which stop being so."""
    if found.opens:
        sentence = "becomes PUBLIC: anyone who knows its address may call it without a key"
        if not switches:
            sentence += "; if the API leaves its authentication on instead, nobody can, and apply says so"
        return [Note("endpoint_becomes_public", found.address, sentence)], []
    if not found.endpoint.is_public or not is_managed:
        return [], []
    if found.gains:
        sentence = "is public now; once a key is bound, callers without one are refused"
        if not switches:
            told = "apply says so if it does not" if found.closes else "plan again to see whether it did"
            sentence = f"is public now; binding a key may turn its authentication on: {told}"
        return [], [Note("endpoint_becomes_protected", found.address, sentence)]
    if found.declaration.auth is Auth.OPEN:
        return [], []
    keys = "although keys are bound to it" if found.remain else "no key is bound to it"
    sentence = f"is public: {keys}, and the file does not say `auth: open`"
    return [Note("endpoint_is_public", found.address, sentence)], []


def note_unswitched(desired: DesiredState, *, switches: bool) -> Iterator[Note]:
    """What the file asks for that keys do not bring about for sure, told before anybody looks at what is live."""
    for endpoint in desired.endpoints if not switches else ():
        if endpoint.auth is not None:
            sentence = "`auth: required` holds only if authentication is on, or the deployment's first key turns it on"
            if endpoint.auth is Auth.OPEN:
                sentence = "`auth: open` holds only if authentication is off, or losing the last key turns it off"
            sentence += "; keyform replaces no deployment to switch it"
            yield Note("authentication_is_not_switched", str(endpoint.ref), sentence)


def note_cuts(found: Comparison, keys: Mapping[KeyRef, LiveKey], own_stack: str) -> Iterator[Note]:
    """Every key of somebody else that is taken off an endpoint, or that a marker keeps there, and whose it is."""
    for link in found.losses:
        if link.verdict is None:
            owner = describe_owner(keys.get(link.live))
            sentence = f"no longer accepts the key {link.live.name} ({owner}): its consumers are refused"
            yield Note("foreign_key_is_cut", found.address, sentence)
    for live in found.spared[:MOST_TOLD]:
        why, _ = explain_spared(keys.get(live), own_stack)
        sentence = f"still accepts the key {live.name}, although it is exclusive: {why}"
        yield Note("key_stays", found.address, sentence)


def find_spared(found: Comparison, keys: Mapping[KeyRef, LiveKey], own_stack: str) -> Iterator[Finding]:
    """Keys that stay on an exclusive endpoint since they may be somebody's; it gives nobody quiet immunity."""
    where, path = found.declaration.place.where, found.address
    for live in found.spared[:MOST_TOLD]:
        why, way_out = explain_spared(keys.get(live), own_stack)
        yield Finding(where, path, f"is exclusive, but the key {live.name} stays bound to it: {why}", way_out)
    if len(found.spared) > MOST_TOLD:
        message = f"is exclusive, but {len(found.spared) - MOST_TOLD} more such keys stay on it"
        yield Finding(where, path, message, "check its keys in the portal")


def explain_spared(live: LiveKey | None, own_stack: str) -> tuple[str, str]:
    """Why a key stays on an exclusive endpoint, and the way out."""
    if live is None:
        return "the list of keys does not show it", "run plan again; if nothing changes, unlink the key in the portal"
    stack, off = live.marked_by, "unlink the key in the portal"
    if stack is None:
        why = "it has no marker, but it is called like a key of this stack, or a sink has a record of it"
        return why, f"{off}, or write `exclusive: {{stacks: [{own_stack}]}}`"
    off += ", or remove its marker there"
    if not stack:
        return describe_owner(live), off
    return describe_owner(live), f"write `exclusive: {{stacks: [{stack}]}}` to unlink keys of that stack, or {off}"


def refuse_unknown_endpoints(
    desired: DesiredState, snapshot: Snapshot, live: dict[EndpointRef, LiveEndpoint]
) -> list[Finding]:
    """What the file names has to be there; keyform makes keys, not deployments."""
    found = []
    by_alias: dict[str, list[str]] = defaultdict(list)
    for endpoint in snapshot.endpoints:
        by_alias[endpoint.alias].append(endpoint.ref.name)
    for ref, place in named_endpoints(desired):
        if ref in live:
            continue
        message = f"there is no {ref.kind.value} {ref.name}"
        near = get_close_matches(ref.name, snapshot.endpoint_names(ref.kind), n=1)
        hint = f"did you mean {near[0]}?" if near else f"create the {ref.kind.value} first, or remove it here"
        if others := by_alias[ref.name]:
            message = f"there are {len(others)} {ref.kind.value}s {ref.name}" if len(others) > 1 else message
            hint = f"name it by its id: {' or '.join(sorted(others)[:5])}"
        found.append(Finding(place.where, place.path, message, hint))
    return found


def refuse_children(desired: DesiredState, live: dict[EndpointRef, LiveEndpoint]) -> list[Finding]:
    """The keys of an application's own deployment are set on the application."""
    found = []
    for ref, place in named_endpoints(desired):
        endpoint = live.get(ref)
        if endpoint is not None and endpoint.application is not None:
            message = f"deployment {ref.name} belongs to the application {endpoint.application}"
            way_out = f"name the application instead: `applications: [{endpoint.application}]`"
            found.append(Finding(place.where, place.path, message, way_out))
    return found


def named_endpoints(desired: DesiredState) -> list[tuple[EndpointRef, Place]]:
    """Every endpoint that the file names, and where."""
    return [
        *((binding.endpoint, binding.place) for key in desired.keys for binding in key.bindings),
        *((endpoint.ref, endpoint.place) for endpoint in desired.endpoints),
    ]
