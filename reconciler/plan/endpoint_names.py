"""The endpoints that the file names and no key can be bound to, and what the file may have meant instead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from reconciler.model import DesiredState, EndpointKind, EndpointRef, LiveEndpoint, Snapshot, Trouble

OTHER_KIND = {
    EndpointKind.DEPLOYMENT: EndpointKind.APPLICATION,
    EndpointKind.APPLICATION: EndpointKind.DEPLOYMENT,
}


def find_unusable(desired: DesiredState, snapshot: Snapshot) -> dict[EndpointRef, Trouble]:
    """Why no key can be bound to an endpoint that the file names: it is missing, misspelt, of the other kind, or part
    of an application; or the API does not show it."""
    live = {endpoint.ref: endpoint for endpoint in snapshot.endpoints}
    by_alias: dict[str, list[str]] = defaultdict(list)
    for endpoint in snapshot.endpoints:
        by_alias[endpoint.alias].append(endpoint.ref.name)
    found = {}
    for ref in sorted({endpoint.ref for endpoint in desired.endpoints}.union(*(key.endpoints for key in desired.keys))):
        kind, name = ref.kind.value, ref.name
        if ref in live:
            if application := live[ref].application:
                found[ref] = _part_of(name, application)
        elif unseen := snapshot.unseen.get(ref.kind):
            found[ref] = Trouble(f"{kind} {name} is not shown: {unseen.message}", unseen.way_out)
        elif others := by_alias[name]:
            message = f"there are {len(others)} {kind}s {name}" if len(others) > 1 else f"there is no {kind} {name}"
            found[ref] = Trouble(message, f"name it by its id: {' or '.join(sorted(others)[:5])}")
        else:
            found[ref] = _explain_absent(ref, desired, live)
    return found


def _explain_absent(ref: EndpointRef, desired: DesiredState, live: Mapping[EndpointRef, LiveEndpoint]) -> Trouble:
    """What the name is instead: an endpoint of the other kind, a key, a sink, a typo, or nothing yet."""
    kind, name = ref.kind.value, ref.name
    missing = f"there is no {kind} {name}"
    namesake = live.get(EndpointRef(OTHER_KIND[ref.kind], name))
    if namesake is not None and namesake.application:
        return _part_of(name, namesake.application)
    if namesake is not None:
        return Trouble(
            f"{missing}: {name} is {_one_of(namesake.ref.kind)}", f"list it under `{namesake.ref.kind.value}s:`"
        )
    for what, names in (("key", desired.keys), ("sink", desired.sinks)):
        if name in {each.name for each in names}:
            return Trouble(
                f"{missing}: {name} is a {what} of this file", f"name {_one_of(ref.kind)}, or remove it here"
            )
    meant = _find_near(ref, [*live.values()])
    if meant is None:
        return Trouble(missing, f"create the {kind} first, or remove it here")
    if meant.kind is ref.kind:
        return Trouble(missing, f"did you mean {meant.name}?")
    return Trouble(missing, f"did you mean the {meant.kind.value} {meant.name}? list it under `{meant.kind.value}s:`")


def _part_of(name: str, application: str) -> Trouble:
    """A deployment that an application owns: its keys are set on the application."""
    message = f"deployment {name} belongs to the application {application}"
    return Trouble(message, f"name the application instead: `applications: [{application}]`")


def _find_near(ref: EndpointRef, live: Sequence[LiveEndpoint]) -> EndpointRef | None:
    """What a typo was meant for; the application, where that is one of its deployments."""
    for kind in (ref.kind, OTHER_KIND[ref.kind]):
        usable = [each.ref.name for each in live if each.ref.kind is kind and not each.application]
        if near := get_close_matches(ref.name, usable, n=1):
            return EndpointRef(kind, near[0])
    parts = {each.ref.name: each.application for each in live if each.application}
    near = get_close_matches(ref.name, list(parts), n=1)
    return EndpointRef(EndpointKind.APPLICATION, parts[near[0]]) if near else None


def _one_of(kind: EndpointKind) -> str:
    """`a deployment`, `an application`."""
    return f"an {kind.value}" if kind is EndpointKind.APPLICATION else f"a {kind.value}"
