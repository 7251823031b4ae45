"""What a plan does to what is live, if everything goes well: pure, and written apart from apply on purpose."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from reconciler.model import LiveKey, Phase, SinkRecord, Snapshot
from reconciler.plan.changes import (
    Bind,
    CreateGeneration,
    DeleteKey,
    Describe,
    Plan,
    Prove,
    Publish,
    RemoveRecord,
    Unbind,
)


def simulate(plan: Plan, before: Snapshot, now: datetime) -> Snapshot:
    """The snapshot after the plan."""
    keys = {key.name: key for key in before.keys}
    endpoints = {endpoint.ref: endpoint for endpoint in before.endpoints}
    sinks = dict(before.sinks)
    done: set[str] = set()
    for change in plan.changes:
        known = {other.id for other in plan.changes}
        assert {blocker for blocker in change.depends_on if blocker in known} <= done, f"{change.id} comes too early"
        assert set(change.depends_on) <= known, f"{change.id} waits for what is not in the plan"
        match change:
            case CreateGeneration(live_name=name):
                assert name not in keys
                keys[name] = LiveKey(name, change.text, change.ownership, now, change.expires_at)
            case Describe(live_name=name):
                keys[name] = replace(keys[name], text=change.text, ownership=change.ownership)
            case Bind(endpoint=ref):
                names = (*endpoints[ref].api_keys, *(link.live_name for link in change.links))
                assert len(set(names)) == len(names)
                assert set(names) - set(endpoints[ref].api_keys) <= set(keys)
                endpoints[ref] = replace(endpoints[ref], api_keys=names, auth_enabled=True)
            case Prove(live_name=name, endpoints=refs):
                assert refs
                assert all(name in endpoints[ref].api_keys for ref in refs), f"{name} is proven where it is not bound"
            case Publish(live_name=name):
                ownership = replace(change.ownership, phase=Phase.PUBLISHED, since=now)
                keys[name] = replace(keys[name], text=change.text, ownership=ownership)
                for sink in change.sinks:
                    if sinks[sink].readable:
                        record = SinkRecord(
                            ownership.stack, ownership.key, ownership.generation, name, keys[name].created_at
                        )
                        sinks[sink] = replace(sinks[sink], records={**sinks[sink].records, ownership.key: record})
            case Unbind(endpoint=ref):
                gone = {link.live_name for link in change.links}
                names = tuple(name for name in endpoints[ref].api_keys if name not in gone)
                assert names or change.opens, f"{ref} would lose its authentication"
                endpoints[ref] = replace(endpoints[ref], api_keys=names, auth_enabled=bool(names))
            case RemoveRecord(sink=sink, key=name):
                records = {other: record for other, record in sinks[sink].records.items() if other != name}
                sinks[sink] = replace(sinks[sink], records=records)
            case DeleteKey(live_name=name):
                assert not any(name in endpoint.api_keys for endpoint in endpoints.values()), f"{name} is still bound"
                del keys[name]
            case _:
                raise TypeError(type(change))
        done.add(change.id)
    return replace(
        before,
        keys=tuple(keys[name] for name in sorted(keys)),
        endpoints=tuple(endpoints[ref] for ref in sorted(endpoints)),
        sinks=sinks,
    )
