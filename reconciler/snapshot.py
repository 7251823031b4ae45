"""All reads, once, before planning."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.api import Api, LiveState
from reconciler.errors import SinkError
from reconciler.model import DesiredState, LaterRecord, SinkContents, SinkRecord, Snapshot, read_lock_name
from reconciler.sinks.protocol import Sink
from reconciler.workers import side_by_side


def take_snapshot(api: Api, sinks: Mapping[str, Sink], desired: DesiredState, *, workers: int = 10) -> Snapshot:
    """Read live keys, deployments and applications, and what the sinks hold, side by side.

    No key is read one by one. Errors are `ApiError` and `SinkError`, as they come.
    """
    names = [key.name for key in desired.keys]
    live = LiveState()
    contents: dict[str, SinkContents] = {}

    def read(sink: str | None) -> None:
        nonlocal live
        if sink is None:
            live = api.read_live()
        else:
            contents[sink] = read_sink(sinks[sink], names)

    side_by_side(read, [None, *sorted(sinks)], workers)
    refuse_one_place_twice(sinks, contents)
    # A lock opens nothing: a key that is named like one and opens something is a key like others, and is not hidden.
    bound = {binding.key_id for binding in live.bindings}
    keys = tuple(key for key in live.keys if key.id in bound or read_lock_name(key.name) is None)
    held = {name: contents[name] for name in sorted(sinks)}
    return Snapshot(keys, live.endpoints, live.bindings, held, api.capabilities)


def refuse_one_place_twice(sinks: Mapping[str, Sink], contents: Mapping[str, SinkContents]) -> None:
    """Refuse two sinks that are one: what a key leaves behind in the one would be what it has in the other."""
    first: dict[tuple[str, SinkRecord], str] = {}
    for sink in sorted(contents):
        for record in contents[sink].records.values():
            other = first.setdefault((sinks[sink].place, record), sink)
            if other != sink:
                raise SinkError(
                    f"sink {sink}: it is the same place as the sink {other}: {contents[sink].destination}",
                    way_out="Take one of the two out of the file, or give them different places.",
                )


def read_sink(sink: Sink, keys: list[str]) -> SinkContents:
    """What one sink holds."""
    found = dict(sink.read(keys)) if sink.traits.readable else {}
    return SinkContents(
        records={key: record for key, record in found.items() if isinstance(record, SinkRecord)},
        later={
            key: f"sink {sink.name} holds a record of form {record.form}, which a later version of keyform wrote"
            for key, record in found.items()
            if isinstance(record, LaterRecord)
        },
        readable=sink.traits.readable,
        removable=sink.traits.removable,
        reads_secrets=sink.traits.reads_secrets,
        is_absent=sink.is_absent,
        destination=sink.destination,
        exposure=sink.exposure,
        is_evidence=sink.is_evidence,
    )
