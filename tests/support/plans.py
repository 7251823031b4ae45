"""A plan in short words, for tests that hold it against a list."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from reconciler.plan.changes import Change, RemoveRecord, Step


def told(changes: Iterable[Change]) -> list[str]:
    """A line for each change; the keys that an endpoint gains or loses share one: `bind:deployment.llama3 [a …]`."""
    lines = []
    for (step, place), found in groupby(changes, lambda change: (change.id.step, change.endpoint)):
        word = STEPS[step]
        if place is None:
            lines += [f"{word}:{tell_one(change)}: {change.reason.code}" for change in found]
        else:
            moves = ", ".join(filter(None, (f"{change.id.live.name} {change.reason.code}".strip() for change in found)))
            lines.append(f"{word}:{place} [{moves}]")
    return lines


def tell_one(change: Change) -> str:
    """What a change is about: a live key, or a record."""
    return f"{change.sink}/{change.key}" if isinstance(change, RemoveRecord) else change.id.live.name


STEPS = {
    Step.CREATE_GENERATION: "create",
    Step.BIND: "bind",
    Step.UPDATE_KEY: "update",
    Step.PROVE: "prove",
    Step.PUBLISH: "publish",
    Step.COPY: "copy",
    Step.UNBIND: "unbind",
    Step.OPEN_ENDPOINT: "open",
    Step.REMOVE_RECORD: "remove-record",
    Step.DELETE_KEY: "delete",
}
