"""All reads, once, before planning."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from reconciler.apply.interface import Api
from reconciler.model import DesiredState, SinkContents, Snapshot, read_lock_name
from reconciler.sinks.protocol import Sink


def take_snapshot(api: Api, sinks: Mapping[str, Sink], desired: DesiredState) -> Snapshot:
    """Read live keys, deployments and applications, and what the sinks hold, side by side.

    No key is read one by one. Errors are `ApiError` and `SinkError`, as they come.
    """
    names = [key.name for key in desired.keys]
    pool = ThreadPoolExecutor(max_workers=2 + len(sinks), thread_name_prefix="keyform-read")
    try:
        keys = pool.submit(api.list_keys)
        endpoints = pool.submit(api.list_endpoints)
        contents = {name: pool.submit(read_sink, sink, names) for name, sink in sorted(sinks.items())}
        return Snapshot(
            keys=tuple(key for key in keys.result() if read_lock_name(key.name) is None),
            endpoints=endpoints.result(),
            sinks={name: reading.result() for name, reading in contents.items()},
            capabilities=api.capabilities,
        )
    finally:
        # Nobody waits for the other readings when one has failed, or when the user has interrupted them.
        pool.shutdown(wait=False, cancel_futures=True)


def read_sink(sink: Sink, keys: list[str]) -> SinkContents:
    """What one sink holds."""
    if not sink.readable:
        return SinkContents(readable=False)
    return SinkContents(records=dict(sink.read(keys)))
