"""What a plan does to what is live, if everything goes well: pure, and written apart from apply on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from reconciler.model import Binding, LiveKey, Phase, SinkContents, SinkRecord, Snapshot, Unchanged
from reconciler.plan.changes import (
    Bind,
    ChangeId,
    Copy,
    CreateGeneration,
    DeleteKey,
    OpenEndpoint,
    Plan,
    Prove,
    Publish,
    RemoveRecord,
    Unbind,
    UpdateKey,
)


def record_of(live: LiveKey) -> SinkRecord:
    """The record of a live key."""
    assert live.ownership is not None
    own = live.ownership
    return SinkRecord(own.stack, own.key, own.generation, live.name, live.created_at)


def write(sinks: dict[str, SinkContents], names: Iterable[str], live: LiveKey) -> None:
    """The secret of a live key into those sinks that show it."""
    for name in names:
        contents = sinks[name]
        records = {**contents.records, record_of(live).key: record_of(live)}
        sinks[name] = replace(contents, records=records if contents.readable else {}, is_absent=False)


def simulate(plan: Plan, before: Snapshot, now: datetime) -> Snapshot:
    """The snapshot after the plan."""
    keys = {key.id: key for key in before.keys}
    auth = {endpoint.ref: endpoint.auth_enabled for endpoint in before.endpoints}
    children = {endpoint.ref for endpoint in before.endpoints if endpoint.application is not None}
    bindings = {binding for binding in before.bindings if binding.endpoint not in children}  # they only mirror
    sinks = dict(before.sinks)
    done: set[ChangeId] = set()
    known = {change.id for change in plan.changes}
    opening = {change.endpoint for change in plan.changes if isinstance(change, OpenEndpoint)}
    assert len(known) == len(plan.changes)
    assert plan.keeps <= bindings
    for change in plan.changes:
        assert set(change.depends_on) <= known, f"{change.id} waits for what is not in the plan"
        assert set(change.depends_on) <= done, f"{change.id} comes too early"
        match change:
            case CreateGeneration(live=live):
                assert live.name not in keys
                keys[live.name] = LiveKey(live.name, live.name, change.text, change.ownership, now, change.expires_at)
            case UpdateKey(live=live, expires_at=expires_at):
                old = keys[live.id]
                expires = old.expires_at if isinstance(expires_at, Unchanged) else expires_at
                written = replace(old, text=change.text, ownership=change.ownership, expires_at=expires, released=None)
                if change.ownership.released:
                    text = f"{change.text} {change.ownership.marker()}".strip()
                    written = replace(written, text=text, ownership=None, released=change.ownership)
                keys[live.id] = written
            case Bind(live=live, endpoint=ref):
                binding = Binding(live.id or live.name, ref)
                assert binding not in bindings
                assert binding.key_id in keys
                bindings.add(binding)
                auth[ref] = True
            case Prove(live=live, endpoints=refs):
                assert refs
                assert all(Binding(live.name, ref) in bindings for ref in refs), (
                    f"{live} is proven where it is not bound"
                )
            case Publish(live=live):
                ownership = replace(
                    change.ownership, phase=Phase.PUBLISHED, since=now, published_to=change.destinations
                )
                keys[live.name] = replace(keys[live.name], text=change.text, ownership=ownership)
                write(sinks, change.sinks, keys[live.name])
            case Copy(live=live, source=source):
                made = keys[live.id]
                assert made.ownership is not None
                assert sinks[source].reads_secrets
                assert source not in change.sinks or sinks[source].records[made.ownership.key].former
                assert sinks[source].records[made.ownership.key] == record_of(made), "nothing to copy there"
                keys[live.id] = replace(made, text=change.text, ownership=change.ownership)
                write(sinks, change.sinks, keys[live.id])
            case Unbind(live=live, endpoint=ref):
                assert Binding(live.id, ref) not in plan.keeps
                bindings.remove(Binding(live.id, ref))
                auth[ref] = True  # by a list with keys on it, which may have been off
                if not any(binding.endpoint == ref for binding in bindings):
                    assert ref in opening, f"{ref} would lose its authentication"
                    auth[ref] = False
            case OpenEndpoint(endpoint=ref):
                assert not any(binding.endpoint == ref for binding in bindings)
                auth[ref] = False
            case RemoveRecord(sink=sink, key=name):  # one that is let go of is nobody's
                records = {other: record for other, record in sinks[sink].records.items() if other != name}
                sinks[sink] = replace(sinks[sink], records=records)
            case DeleteKey(live=live):
                assert not any(binding.key_id == live.id for binding in bindings), f"{live} is still bound"
                del keys[live.id]
            case _:
                raise TypeError(type(change))
        done.add(change.id)
    return replace(
        before,
        keys=tuple(keys[key_id] for key_id in sorted(keys)),
        endpoints=tuple(replace(endpoint, auth_enabled=auth[endpoint.ref]) for endpoint in before.endpoints),
        bindings=frozenset(bindings),
        sinks=sinks,
    )
