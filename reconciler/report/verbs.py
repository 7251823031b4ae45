"""What changes do, in words: while they run, and once they are done."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.encoder import shown
from reconciler.plan.changes import Change, OpenEndpoint, Prove, Publish, RemoveRecord, Step

_FORMS = {
    Step.CREATE_GENERATION: ("creating", "created"),
    Step.UPDATE_KEY: ("updating", "updated"),
    Step.BIND: ("binding", "bound"),
    Step.PROVE: ("proving", "proved"),
    Step.PUBLISH: ("publishing", "published"),
    Step.UNBIND: ("unbinding", "unbound"),
    Step.OPEN_ENDPOINT: ("opening", "opened"),
    Step.REMOVE_RECORD: ("removing", "removed"),
    Step.DELETE_KEY: ("deleting", "deleted"),
}
_MOST_NAMES = 3


def subject_of(changes: Sequence[Change]) -> str:
    """What a line about these changes, which go together, begins with: their endpoint, or the key's address."""
    endpoint = changes[0].endpoint
    return str(endpoint) if endpoint is not None else changes[0].address


def doing(changes: Sequence[Change]) -> str:
    """`creating payments-api`: the changes as they run, beside their subject."""
    return _say(changes, 0)


def done(changes: Sequence[Change]) -> str:
    """`created payments-api`: the changes once they are done, beside their subject."""
    return _say(changes, 1)


def _say(changes: Sequence[Change], form: int) -> str:
    """Changes of one write, by what they do, each kind once."""
    steps = dict.fromkeys(change.step for change in changes)
    parts = []
    for step in steps:
        targets = [target for change in changes if change.step is step and (target := target_of(change))]
        parts.append(" ".join(filter(None, (_FORMS[step][form], some_of(targets)))))
    return " and ".join(parts)


def target_of(change: Change) -> str:
    """What a change works on, printable; nothing where its subject says it."""
    match change:
        case OpenEndpoint():
            return ""
        case Prove():
            return f"{shown(change.live.name)} at {some_of([shown(str(ref)) for ref in change.endpoints])}"
        case Publish():
            return f"{shown(change.live.name)} to {some_of([shown(sink) for sink in change.sinks])}"
        case RemoveRecord():
            return f"the record in {shown(change.sink)}"
        case _:
            return shown(change.id.live.name)


def some_of(names: Sequence[str]) -> str:
    """`a, b, c and 4 more`, of printable names."""
    named = ", ".join(names[:_MOST_NAMES])
    return f"{named} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else named
