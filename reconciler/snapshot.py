"""All reads, once, before planning."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.apply.interface import Api
from reconciler.errors import SinkError
from reconciler.model import DesiredState, LiveEndpoint, LiveKey, SinkContents, SinkRecord, Snapshot, read_lock_name
from reconciler.sinks.protocol import Sink
from reconciler.workers import side_by_side


def take_snapshot(api: Api, sinks: Mapping[str, Sink], desired: DesiredState, *, workers: int = 10) -> Snapshot:
    """Read live keys, deployments and applications, and what the sinks hold, side by side.

    No key is read one by one. Errors are `ApiError` and `SinkError`, as they come.
    """
    names = [key.name for key in desired.keys]
    keys: tuple[LiveKey, ...] = ()
    endpoints: tuple[LiveEndpoint, ...] = ()
    contents: dict[str, SinkContents] = {}

    def read(part: str) -> None:
        nonlocal keys, endpoints
        match part:
            case "keys":
                keys = api.list_keys()
            case "endpoints":
                endpoints = api.list_endpoints()
            case sink:
                contents[sink.removeprefix("sink ")] = read_sink(sinks[sink.removeprefix("sink ")], names)

    side_by_side(read, ["keys", "endpoints", *(f"sink {name}" for name in sorted(sinks))], workers)
    refuse_one_place_twice(contents)
    # A lock opens nothing: a key that is named like one and opens something is a key like others, and is not hidden.
    bound = {name for endpoint in endpoints for name in endpoint.api_keys}
    keys = tuple(key for key in keys if key.name in bound or read_lock_name(key.name) is None)
    return Snapshot(keys, endpoints, {name: contents[name] for name in sorted(sinks)}, api.capabilities)


def refuse_one_place_twice(contents: Mapping[str, SinkContents]) -> None:
    """Refuse two sinks that are one: what a key leaves behind in the one would be what it has in the other."""
    first: dict[tuple[str, SinkRecord], str] = {}
    for sink in sorted(contents):
        place = contents[sink].destination
        for record in contents[sink].records.values():
            other = first.setdefault((place, record), sink)
            if other != sink:
                raise SinkError(
                    f"sink {sink}: it is the same place as the sink {other}: {place}",
                    way_out="Take one of the two out of the file, or give them different places.",
                )


def read_sink(sink: Sink, keys: list[str]) -> SinkContents:
    """What one sink holds."""
    records = dict(sink.read(keys)) if sink.readable else {}
    return SinkContents(
        records=records,
        readable=sink.readable,
        removable=sink.removable,
        destination=sink.destination,
        exposure=sink.exposure,
        is_evidence=sink.is_evidence,
    )
