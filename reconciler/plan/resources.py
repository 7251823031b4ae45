"""The keys and endpoints of a plan as whole objects, before and after it, as tools written for Terraform expect.

A key is there once a generation of it is in use; what it opens is what any of its generations opens. An endpoint is
there with the keys that are bound to it. Every object has all of its attributes, with None for what it lacks, what
nobody knows, and what only an apply gives. `secret` is always None: a plan holds no secret.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from reconciler.model import Auth, EndpointKind, EndpointRef, SinkRecord, Unchanged
from reconciler.plan.bindings import BindingPlan, Comparison
from reconciler.plan.cases import Facts, Generation
from reconciler.plan.changes import Action, KeyRef, Object, Resource
from reconciler.plan.fates import Successor
from reconciler.plan.fields import instant
from reconciler.plan.holdings import find_holdings
from reconciler.plan.verdicts import Verdict

Opened = Mapping[KeyRef, Collection[EndpointRef]]
"""By live key, the endpoints that it opens."""


def describe_resources(facts: Facts, verdicts: Sequence[Verdict], bindings: BindingPlan) -> tuple[Resource, ...]:
    """Every key and every endpoint of the stack before and after the plan.

    Keys come first, in order of name, then endpoints in order of address, also those that stay as they are.
    """
    before, after = defaultdict[KeyRef, set[EndpointRef]](set), defaultdict[KeyRef, set[EndpointRef]](set)
    for found in bindings.compared:
        for live in found.present:
            before[live].add(found.endpoint.ref)
        for live in found.remain:
            after[live].add(found.endpoint.ref)
    compared = {found.endpoint.ref for found in bindings.compared}
    for verdict in verdicts:
        for ruling in verdict.rulings:
            unseen = ruling.generation.bound_to - compared
            before[ruling.generation.ref] |= unseen
            after[ruling.generation.ref] |= set() if ruling.goes else unseen
    keys = [_key(verdict, before, after) for verdict in verdicts]
    names = {ruling.generation.ref: verdict.case.name for verdict in verdicts for ruling in verdict.rulings}
    names |= {verdict.successor.live: verdict.case.name for verdict in verdicts if verdict.successor}
    touched = facts.managed | {found.endpoint.ref for found in bindings.comparisons}
    switches = facts.snapshot.capabilities.switches_authentication
    let_go = {verdict.case.name for verdict in verdicts if verdict.action is Action.FORGET and not verdict.is_held_up}
    kept = {live: name for live, name in names.items() if name not in let_go}
    shown = (found for found in bindings.compared if found.endpoint.ref in touched)
    endpoints = [_endpoint(found, names, kept, switches=switches) for found in shown]
    there = [each for each in keys if each.before is not None or each.after is not None]
    return (*there, *endpoints)


# --- Keys -------------------------------------------------------------------------------------------------------------


def _key(verdict: Verdict, before: Opened, after: Opened) -> Resource:
    case, successor = verdict.case, verdict.successor
    newest = case.newest_in_use
    live = [_generation(ruling.generation, before) for ruling in verdict.rulings]
    stay = [_written(verdict, ruling.generation, after) for ruling in verdict.rulings if not ruling.goes]
    made = [_made(verdict, successor, after)] if successor else []
    held = _sinks(verdict)
    was = _object(case.name, live, newest.name if newest else None, held) if live or held else None
    current = successor.live.name if successor else newest.name if newest else None
    left = _sinks_after(verdict, held)
    is_left = verdict.action is Action.FORGET and not verdict.is_held_up
    will = _object(case.name, [*stay, *made], current, left) if (stay or made or left) and not is_left else None
    is_new = newest is None and bool(successor)
    return Resource(
        case.address,
        None if is_new else was,
        will,
        made=successor.live.name if successor else "",
        adopts=next((writing.live.name for writing in verdict.writings if writing.adopts), ""),
    )


def _object(name: str, generations: Sequence[Object], current: str | None, sinks: Sequence[str]) -> Object:
    """A key, by its generations, the oldest first, and the one that consumers are to use."""
    newest = next((each for each in generations if each["name"] == current), {})
    opened = {kind: sorted({str(name) for each in generations for name in _listed(each[kind])}) for kind in _KINDS}
    return {
        "name": name,
        **{field: newest.get(field) for field in ("description", "expires_at", "prevent_destroy")},
        "generation": current,
        "created_at": newest.get("created_at"),
        **{kind: [*names] for kind, names in opened.items()},
        "sinks": [*sinks],
        "generations": [*generations],
        "secret": None,
    }


_KINDS = tuple(f"{kind.value}s" for kind in EndpointKind)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _opened(refs: Collection[EndpointRef]) -> Object:
    """What a live key opens, by kind."""
    return {f"{kind.value}s": [ref.name for ref in sorted(refs) if ref.kind is kind] for kind in EndpointKind}


def _generation(each: Generation, opened: Opened) -> Object:
    """A live key as it is."""
    live = each.live
    marker = None if each.is_taken_over else live.ownership
    return {
        "name": live.name,
        "number": each.number,
        "phase": marker.phase.value if marker else None,
        "description": live.text if marker else each.text,
        "expires_at": instant(live.expires_at) if live.expires_at else None,
        "prevent_destroy": each.is_protected,
        "created_at": instant(live.created_at),
        **_opened(opened.get(each.ref, ())),
        "marker": marker.marker() if marker else None,
    }


def _written(verdict: Verdict, each: Generation, opened: Opened) -> Object:
    """A live key as it will be, with what is written on it in place."""
    found = _generation(each, opened)
    for writing in (*verdict.writings, *((verdict.copying,) if verdict.copying else ())):
        if writing.live.id == each.live.id:
            found |= {
                "phase": writing.ownership.phase.value,
                "description": writing.text,
                "prevent_destroy": writing.ownership.protected,
                "marker": writing.ownership.marker(),
            }
    for write in verdict.writings:
        if write.live.id == each.live.id and not isinstance(write.expires_at, Unchanged):
            found["expires_at"] = instant(write.expires_at) if write.expires_at else None
    return found


def _made(verdict: Verdict, successor: Successor, opened: Opened) -> Object:
    """A generation that an apply makes."""
    key = verdict.case.desired
    return {
        "name": successor.live.name,
        "number": successor.generation,
        "phase": "published",
        "description": (key.description or "") if key else "",
        "expires_at": instant(successor.expires_at) if successor.expires_at else None,
        "prevent_destroy": key.prevent_destroy if key else False,
        "created_at": None,
        **_opened(opened.get(successor.live, ())),
        "marker": None,
    }


def _sinks(verdict: Verdict) -> list[str]:
    """The sinks that hold a secret of the key, or that its marker says so of where they cannot be read back."""
    case, newest = verdict.case, verdict.case.newest_in_use
    found = set(case.records)
    if case.desired and newest:
        published = find_holdings(case, case.desired, newest).published_to or frozenset()
        found |= published & case.facts.unknown_sinks
    return sorted(found)


def _sinks_after(verdict: Verdict, held: Sequence[str]) -> list[str]:
    key, added = verdict.case.desired, set[str]()
    if key and verdict.successor:
        added = {*key.sinks}
    elif verdict.copying:
        added = {*verdict.copying.sinks}
    return sorted(({*held} | added) - verdict.obsolete_records.keys())


def recorded_key(verdict: Verdict, record: SinkRecord) -> Object:
    """A key whose live key is gone, as far as a sink's record describes it."""
    return _object(verdict.case.name, [_recorded(record)], record.live_name, _sinks(verdict))


def _recorded(record: SinkRecord) -> Object:
    unknown = dict.fromkeys(("phase", "description", "expires_at", "prevent_destroy"), None)
    known: Object = {"name": record.live_name, "number": record.generation, **unknown}
    return {**known, "created_at": instant(record.created_at), **dict.fromkeys(_KINDS, None), "marker": None}


# --- Endpoints --------------------------------------------------------------------------------------------------------


def _endpoint(
    found: Comparison, names: Mapping[KeyRef, str], kept: Mapping[KeyRef, str], *, switches: bool
) -> Resource:
    """`names` are the stack's live keys with their keys, `kept` those that are still the stack's afterwards."""
    live, auth = found.endpoint, Auth.OPEN if found.endpoint.is_public else Auth.REQUIRED
    will = Auth.OPEN if found.opens else Auth.REQUIRED if found.gains and switches else auth

    def describe(bound: Collection[KeyRef], names: Mapping[KeyRef, str], auth: Auth) -> Object:
        own = {names[key] for key in bound if key in names}
        return {
            "name": live.ref.name,
            "kind": live.ref.kind.value,
            "auth": auth.value,
            "keys": sorted(own),
            "generations": sorted(key.name for key in bound if key in names),
            "foreign_keys": sorted(key.name for key in bound if key not in names),
        }

    return Resource(found.address, describe(found.present, names, auth), describe(found.remain, kept, will))
