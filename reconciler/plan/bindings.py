"""What each endpoint's list of keys gains and loses, and what must never happen to an endpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from reconciler.errors import Finding
from reconciler.model import (
    Auth,
    DesiredEndpoint,
    DesiredState,
    EndpointRef,
    LiveEndpoint,
    LiveKey,
    Place,
    Snapshot,
    key_of_name,
)
from reconciler.plan.cases import MOST_TOLD, describe_owner, gather_evidence, name_some, record_is_of
from reconciler.plan.changes import FieldDiff, Link, Note, Reason
from reconciler.plan.verdicts import Fate, Verdict


@dataclass(frozen=True, slots=True)
class Rebinding:
    """What one endpoint's list gains and loses; `opens` when it ends up without authentication, as the file says.

    `stays` are the stack's live keys that are on it and are wanted there; `present` are all of the stack's that are.
    """

    endpoint: LiveEndpoint
    gains: tuple[Link, ...] = ()
    losses: tuple[Link, ...] = ()
    stays: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    opens: bool = False
    spared: tuple[str, ...] = ()
    """Keys that would be unlinked, were it not for a marker of another stack, or one that cannot be read."""

    @property
    def diff_of_opening(self) -> tuple[FieldDiff, ...]:
        """The field that opening the endpoint changes."""
        return (FieldDiff("auth", Auth.REQUIRED.value, Auth.OPEN.value),) if self.opens else ()


@dataclass(frozen=True, slots=True)
class BindingPlan:
    """All endpoints' rebindings in order of address, and what was found on the way."""

    rebindings: tuple[Rebinding, ...] = ()
    refusals: tuple[Finding, ...] = ()
    exposures: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()
    unmet: tuple[Finding, ...] = ()


IS_DECLARED = Reason("binding_is_declared", "the file binds it")
IS_NOT_DECLARED = Reason("binding_is_not_declared", "the file no longer binds it")
SUCCEEDS = Reason("generation_succeeds", "the new generation opens what the key opens")
IS_FOREIGN = Reason("endpoint_is_exclusive", "the endpoint is exclusive, and this stack does not own the key")
IS_OPEN = Reason("endpoint_is_open", "the file declares the endpoint open")


def plan_bindings(desired: DesiredState, snapshot: Snapshot, verdicts: Sequence[Verdict], now: datetime) -> BindingPlan:
    """Compare every endpoint's live list with what the verdicts and the file want there."""
    declared = {endpoint.ref: endpoint for endpoint in desired.endpoints}
    live = {endpoint.ref: endpoint for endpoint in snapshot.endpoints}
    wanted, owners = gather_wanted(verdicts)
    refusals = [
        *refuse_unknown_endpoints(desired, snapshot, live),
        *refuse_children(desired, live),
    ]
    keys = {key.name: key for key in snapshot.keys}
    markers = gather_markers(desired, snapshot)
    valid = {key.name for key in snapshot.keys if not key.is_expired(now)}
    valid |= {verdict.successor.live_name for verdict in verdicts if verdict.successor}
    rebindings, exposures, warnings = [], [], []
    unmet: list[Finding] = []
    for ref in sorted(live):
        endpoint = live[ref]
        if endpoint.application is not None:
            continue
        declaration = declared.get(ref, DesiredEndpoint(ref))
        is_managed = ref in declared or ref in wanted
        rebinding = rebind(endpoint, declaration, wanted.get(ref, {}), owners, markers)
        refusals += refuse_rebinding(rebinding, declaration, valid, owners)
        new_exposures, new_warnings = note_exposure(rebinding, declaration, is_managed=is_managed)
        exposures += [*new_exposures, *note_cuts(rebinding, keys, desired.stack)]
        warnings += new_warnings
        unmet += find_spared(rebinding, declaration, keys, desired.stack)
        if rebinding.gains or rebinding.losses or rebinding.opens:
            rebindings.append(rebinding)
    return BindingPlan(tuple(rebindings), tuple(refusals), tuple(exposures), tuple(warnings), tuple(unmet))


def gather_wanted(
    verdicts: Iterable[Verdict],
) -> tuple[dict[EndpointRef, dict[str, Link]], dict[str, tuple[str, Reason]]]:
    """Per endpoint the links that it is to have; and per owned live name its key and why it would be taken off."""
    wanted: dict[EndpointRef, dict[str, Link]] = defaultdict(dict)
    owners: dict[str, tuple[str, Reason]] = {}
    for verdict in verdicts:
        case, successor = verdict.case, verdict.successor
        for ruling in verdict.rulings:
            name = ruling.generation.name
            stays = ruling.fate in (Fate.CURRENT, Fate.OVERLAP, Fate.KEEP)
            owners[name] = (case.name, IS_NOT_DECLARED if stays else ruling.reason)
            for ref in ruling.endpoints(case.desired):
                wanted[ref][name] = Link(name, case.name, IS_DECLARED)
        if successor is not None and case.desired is not None:
            reason = IS_DECLARED if case.newest_in_use is None else SUCCEEDS
            for ref in case.desired.endpoints:
                wanted[ref][successor.live_name] = Link(successor.live_name, case.name, reason)
    return wanted, owners


def gather_markers(desired: DesiredState, snapshot: Snapshot) -> dict[str, str | None]:
    """Per live key the stack whose it seems to be: by its marker, or, where that is gone, by what nobody can take off.

    Anybody may clear a description in the portal. A key that a sink has a record of, or that is called like a
    generation of a key of this stack, is not cut for that: somebody may use its secret.
    """
    recorded = gather_evidence(desired, snapshot)
    declared = {key.name for key in desired.keys}

    def is_ours_by_more(live: LiveKey) -> bool:
        is_recorded = any(record_is_of(record, live) for record in recorded.get(live.name, ()))
        return is_recorded or live.name in declared or key_of_name(live.name) in declared

    return {
        key.name: desired.stack if key.marked_by is None and is_ours_by_more(key) else key.marked_by
        for key in snapshot.keys
    }


def rebind(
    endpoint: LiveEndpoint,
    declaration: DesiredEndpoint,
    wanted: dict[str, Link],
    owners: dict[str, tuple[str, Reason]],
    markers: Mapping[str, str | None],
) -> Rebinding:
    """What one endpoint gains and loses; foreign keys only where the file says `exclusive`.

    Two stacks that share an endpoint would cut each other at every apply: a key that bears a marker goes only where the
    file names its stack. `markers` tells whose each key is, if anybody's (see `gather_markers`); a key that is not
    in it was not in the list of keys, which was read beside this one: whose it is, nobody can tell.
    """
    present = set(endpoint.api_keys)
    gains = tuple(wanted[name] for name in sorted(set(wanted) - present))
    losses, spared = [], []
    for name in sorted(present - set(wanted)):
        marked_by = markers.get(name, "")
        if name in owners:
            losses.append(Link(name, *owners[name]))
        elif declaration.exclusive and marked_by is not None and marked_by not in declaration.exclusive_stacks:
            spared.append(name)
        elif declaration.exclusive:
            losses.append(Link(name, "", IS_OPEN if declaration.auth is Auth.OPEN else IS_FOREIGN))
    remain = (present - {link.live_name for link in losses}) | set(wanted)
    # Keys may be listed where authentication is off: to take the last one off still takes a write that may open.
    opens = declaration.auth is Auth.OPEN and not remain and (endpoint.auth_enabled or bool(present))
    return Rebinding(
        endpoint,
        gains,
        tuple(losses),
        stays=tuple(sorted(present & set(wanted))),
        present=tuple(sorted(present & (set(wanted) | set(owners)))),
        opens=opens,
        spared=tuple(spared),
    )


def refuse_rebinding(
    rebinding: Rebinding,
    declaration: DesiredEndpoint,
    valid: set[str],
    owners: dict[str, tuple[str, Reason]],
) -> list[Finding]:
    """An endpoint keeps a valid key unless the file says that it is open; one that has none keeps one nevertheless."""
    endpoint, place = rebinding.endpoint, declaration.place
    lost = {link.live_name for link in rebinding.losses}
    remain = [*(name for name in endpoint.api_keys if name not in lost), *(link.live_name for link in rebinding.gains)]
    if declaration.auth is Auth.OPEN:
        foreign = [name for name in remain if name not in owners]
        if endpoint.auth_enabled and foreign:
            return [
                Finding(
                    place.where,
                    str(endpoint.ref),
                    f"is declared open, but foreign keys are bound to it ({name_some(foreign)})",
                    "unlink them in the portal, or declare the endpoint `exclusive` as well, with the stacks whose keys"
                    " may be unlinked",
                )
            ]
        return []
    had_one = any(name in valid for name in endpoint.api_keys)
    # Whatever the API says of authentication now: a list that loses its last key turns it off.
    if lost and not any(name in valid for name in remain) and (had_one or not remain):
        return [
            Finding(
                place.where,
                str(endpoint.ref),
                f"would be left without a valid key (it loses {name_some(sorted(lost))}), and without keys the API "
                "turns its authentication off",
                "bind another key to it, or declare the endpoint `auth: open` to make it public",
            )
        ]
    if declaration.auth is Auth.REQUIRED and not endpoint.auth_enabled and not rebinding.gains:
        return [
            Finding(
                place.where,
                str(endpoint.ref),
                "is declared `auth: required`, but it is public, and no key is bound to it",
                "bind a key to it: the first one turns authentication on",
            )
        ]
    return []


def note_exposure(
    rebinding: Rebinding, declaration: DesiredEndpoint, *, is_managed: bool
) -> tuple[list[Note], list[Note]]:
    """Say which endpoints become public or are so already, and which stop being so."""
    address = str(rebinding.endpoint.ref)
    if rebinding.opens:
        sentence = f"{address} becomes PUBLIC: anyone who knows its address may call it without a key"
        return [Note("endpoint_becomes_public", address, sentence)], []
    if not rebinding.endpoint.is_public or not is_managed:
        return [], []
    if rebinding.gains:
        sentence = f"{address} is public now; once a key is bound, callers without one are refused"
        return [], [Note("endpoint_becomes_protected", address, sentence)]
    if declaration.auth is Auth.OPEN:
        return [], []
    sentence = f"{address} is public: no key is bound to it, and the file does not say `auth: open`"
    return [Note("endpoint_is_public", address, sentence)], []


def note_cuts(rebinding: Rebinding, keys: Mapping[str, LiveKey], own_stack: str) -> Iterator[Note]:
    """Every key of somebody else that is taken off an endpoint, or that a marker keeps there, and whose it is."""
    address = str(rebinding.endpoint.ref)
    for link in rebinding.losses:
        if not link.key:
            owner = describe_owner(keys.get(link.live_name))
            sentence = f"{address} no longer accepts the key {link.live_name} ({owner}): its consumers are refused"
            yield Note("foreign_key_is_cut", address, sentence)
    for name in rebinding.spared[:MOST_TOLD]:
        why, _ = explain_spared(keys.get(name), own_stack)
        yield Note("key_stays", address, f"{address} still accepts the key {name}, although it is exclusive: {why}")


def find_spared(
    rebinding: Rebinding, declaration: DesiredEndpoint, keys: Mapping[str, LiveKey], own_stack: str
) -> Iterator[Finding]:
    """Keys that stay on an exclusive endpoint since they may be somebody's; it gives nobody quiet immunity."""
    where, path = declaration.place.where, str(rebinding.endpoint.ref)
    for name in rebinding.spared[:MOST_TOLD]:
        why, way_out = explain_spared(keys.get(name), own_stack)
        yield Finding(where, path, f"is exclusive, but the key {name} stays bound to it: {why}", way_out)
    if len(rebinding.spared) > MOST_TOLD:
        message = f"is exclusive, but {len(rebinding.spared) - MOST_TOLD} more such keys stay on it"
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
    for ref, place in named_endpoints(desired):
        if ref not in live:
            near = get_close_matches(ref.name, snapshot.endpoint_names(ref.kind), n=1)
            hint = f"did you mean {near[0]}?" if near else f"create the {ref.kind.value} first, or remove it here"
            found.append(Finding(place.where, place.path, f"there is no {ref.kind.value} {ref.name}", hint))
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
