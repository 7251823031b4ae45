"""What changes do, in words: while they run, and once they are done."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.encoder import shown
from reconciler.plan.changes import Change, Copy, OpenEndpoint, Prove, Publish, RemoveRecord, Step

_FORMS = {
    Step.CREATE_GENERATION: ("creating", "created"),
    Step.UPDATE_KEY: ("updating", "updated"),
    Step.BIND: ("binding", "bound"),
    Step.PROVE: ("proving", "proved"),
    Step.PUBLISH: ("publishing", "published"),
    Step.COPY: ("copying", "copied"),
    Step.UNBIND: ("unbinding", "unbound"),
    Step.OPEN_ENDPOINT: ("opening", "opened"),
    Step.REMOVE_RECORD: ("removing", "removed"),
    Step.DELETE_KEY: ("deleting", "deleted"),
}
_MOST_NAMES = 3


def subject_of(changes: Sequence[Change]) -> str:
    """The beginning of a line about these changes, which go together: the endpoint of all, or the key's address."""
    endpoint, *others = dict.fromkeys(change.endpoint for change in changes)
    return changes[0].address if others or endpoint is None else str(endpoint)


def doing(changes: Sequence[Change]) -> str:
    """`creating payments-api`: the changes as they run, next to their subject."""
    return _say(changes, 0)


def done(changes: Sequence[Change]) -> str:
    """`created payments-api`: the changes once they are done, next to their subject."""
    return _say(changes, 1)


def _say(changes: Sequence[Change], form: int) -> str:
    """Changes of one write, by what they do, each kind once."""
    places = dict.fromkeys(change.endpoint for change in changes)
    parts = []
    for step in dict.fromkeys(change.step for change in changes):
        found = [change for change in changes if change.step is step]
        targets = [*dict.fromkeys(filter(None, map(target_of, found)))]
        where = []
        if len(places) > 1:
            where = ["to" if step is Step.BIND else "from", some_of([str(change.endpoint) for change in found])]
        parts.append(" ".join(filter(None, (_FORMS[step][form], some_of(targets), *where))))
    return " and ".join(parts)


def target_of(change: Change) -> str:
    """What a change works on, printable; nothing if its subject says it."""
    match change:
        case OpenEndpoint():
            return ""
        case Prove():
            return f"{shown(change.live.name)} at {some_of([str(ref) for ref in change.endpoints])}"
        case Publish():
            return f"{shown(change.live.name)} to {some_of(change.sinks)}"
        case Copy():
            return f"{shown(change.live.name)} from {shown(change.source)} to {some_of(change.sinks)}"
        case RemoveRecord():
            return f"the record in {shown(change.sink)}{' (its secret stays)' if change.keeps_secret else ''}"
        case _:
            return shown(change.id.live.name)


def some_of(names: Sequence[str]) -> str:
    """`a, b, c and 4 more`, printable."""
    named = ", ".join(shown(name) for name in names[:_MOST_NAMES])
    return f"{named} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else named
