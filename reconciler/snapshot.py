"""All reads, once, before planning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.api import Api, LiveState
from reconciler.errors import CredentialsMissing, ExtraMissing, SinkError
from reconciler.model import (
    DesiredState,
    ForeignRecord,
    LaterRecord,
    SinkContents,
    SinkRecord,
    Snapshot,
    Trouble,
    read_lock_name,
)
from reconciler.sinks.protocol import Sink
from reconciler.workers import side_by_side


def take_snapshot(
    api: Api,
    sinks: Mapping[str, Sink],
    desired: DesiredState,
    *,
    workers: int = 10,
) -> Snapshot:
    """Read live keys, deployments and applications, and what the sinks hold, in parallel.

    No key is read one by one. A sink that cannot be read says so in its contents; failures of the API are `ApiError`,
    unchanged.
    """
    names = sorted({*(key.name for key in desired.keys), *desired.heirs, *desired.forgotten})
    live = LiveState()
    contents: dict[str, SinkContents] = {}

    def read(sink: str | None) -> None:
        nonlocal live
        if sink is None:
            live = api.read_live()
        else:
            contents[sink] = read_sink(sinks[sink], names)

    side_by_side(read, [None, *sorted(sinks)], workers)
    for sink, trouble in find_one_place_twice(sinks, contents).items():
        contents[sink] = replace(contents[sink], records={}, later={}, foreign={}, trouble=trouble)
    # A lock opens nothing: a key that is named like one and opens something is an ordinary key, and is not hidden.
    bound = {binding.key_id for binding in live.bindings}
    keys = tuple(key for key in live.keys if key.id in bound or read_lock_name(key.name) is None)
    held = {name: contents[name] for name in sorted(sinks)}
    return Snapshot(keys, live.endpoints, live.bindings, held, api.capabilities, live.unseen)


def find_one_place_twice(sinks: Mapping[str, Sink], contents: Mapping[str, SinkContents]) -> dict[str, Trouble]:
    """Two sinks that are one are both in trouble: what a key leaves behind in one would be its secret in the other."""
    first: dict[tuple[str, SinkRecord], str] = {}
    found: dict[str, Trouble] = {}
    for sink in sorted(contents):
        for record in contents[sink].records.values():
            other = first.setdefault((sinks[sink].place, record), sink)
            if other != sink:
                for one, twin in ((sink, other), (other, sink)):
                    message = f"sink {one}: it writes to the same place as sink {twin}: {contents[one].destination}"
                    way_out = "Remove one of the two from the file, or give them different places."
                    found.setdefault(one, Trouble(message, way_out))
    return found


def read_sink(sink: Sink, keys: list[str]) -> SinkContents:
    """What one sink holds, or why that is unknown."""
    trouble, found = None, {}
    try:
        if sink.untidied is not None:
            raise sink.untidied
        found = dict(sink.read(keys)) if sink.traits.readable else {}
    except (SinkError, ExtraMissing, CredentialsMissing) as error:
        trouble = Trouble(error.message, error.way_out)
    return SinkContents(
        records={key: record for key, record in found.items() if isinstance(record, SinkRecord)},
        later={
            key: f"sink {sink.name} holds a record in format {record.form}, written by a later version of keyform"
            for key, record in found.items()
            if isinstance(record, LaterRecord)
        },
        foreign={
            key: Trouble(record.message, record.way_out)
            for key, record in found.items()
            if isinstance(record, ForeignRecord)
        },
        readable=sink.traits.readable,
        removable=sink.traits.removable,
        reads_secrets=sink.traits.reads_secrets,
        is_absent=sink.is_absent,
        destination=sink.destination,
        exposure=sink.exposure,
        is_evidence=sink.is_evidence,
        repairs=() if trouble else sink.repairs,
        warning="" if trouble else sink.warning,
        trouble=trouble,
    )
