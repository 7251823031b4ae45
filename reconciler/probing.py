"""Whether the sinks of a plan can be written: one that cannot holds up the keys that need it, and no others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from reconciler.errors import CredentialsMissing, ExtraMissing, SinkError
from reconciler.model import Snapshot, Trouble
from reconciler.plan.changes import Copy, Plan, Publish, RemoveRecord
from reconciler.sinks.protocol import Sink


def plan_what_can_be_written(
    compute: Callable[[Snapshot], Plan], snapshot: Snapshot, sinks: Mapping[str, Sink]
) -> Plan:
    """The plan of a snapshot, without the keys for which a sink that it needs cannot be written; it says why.

    Each sink is checked once more if the plan then needs it for other keys. Nothing is changed.
    """
    snapshot = without_what_cannot_be_repaired(snapshot, sinks)
    asked: set[tuple[str, str]] = set()
    while True:
        plan = compute(snapshot)
        if plan.refusals:
            return plan
        needed = {sink: keys - {key for name, key in asked if name == sink} for sink, keys in find_needed(plan).items()}
        asked |= {(sink, key) for sink, keys in needed.items() for key in keys}
        found = {sink: probe(sinks[sink], sorted(keys)) for sink, keys in sorted(needed.items()) if keys}
        if not any(found.values()):
            return plan
        snapshot = with_unwritable(snapshot, found)


def without_what_cannot_be_repaired(snapshot: Snapshot, sinks: Mapping[str, Sink]) -> Snapshot:
    """The snapshot, in which a sink that needs a repair and could not be written counts as not read."""
    contents = dict(snapshot.sinks)
    for name in (name for name, each in snapshot.sinks.items() if each.repairs):
        if trouble := _probe(sinks[name], ()):
            contents[name] = replace(contents[name], records={}, later={}, foreign={}, repairs=(), trouble=trouble)
    return replace(snapshot, sinks=contents)


def find_needed(plan: Plan) -> dict[str, set[str]]:
    """The sinks that a plan writes to or removes something from, each with the keys concerned."""
    needed: dict[str, set[str]] = {}
    for change in plan.changes:
        match change:
            case Publish(sinks=sinks) | Copy(sinks=sinks):
                for sink in sinks:
                    needed.setdefault(sink, set()).add(change.key)
            case RemoveRecord(sink=sink):
                needed.setdefault(sink, set()).add(change.key)
            case _:
                pass
    return needed


def probe(sink: Sink, keys: Collection[str]) -> dict[str, Trouble]:
    """Those of these keys whose secrets the sink cannot take, and why."""
    trouble = _probe(sink, keys)
    if trouble is None:
        return {}
    alone = {key: _probe(sink, [key]) for key in keys}
    return {key: found for key, found in alone.items() if found} or dict.fromkeys(keys, trouble)


def _probe(sink: Sink, keys: Collection[str]) -> Trouble | None:
    try:
        sink.probe(keys)
    except (SinkError, ExtraMissing, CredentialsMissing) as error:
        return Trouble(error.message, error.way_out)
    return None


def with_unwritable(snapshot: Snapshot, found: Mapping[str, Mapping[str, Trouble]]) -> Snapshot:
    """The snapshot, in which sinks cannot take the secrets of these keys."""
    sinks = {
        name: replace(contents, unwritable={**contents.unwritable, **found.get(name, {})})
        for name, contents in snapshot.sinks.items()
    }
    return replace(snapshot, sinks=sinks)
