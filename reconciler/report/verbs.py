"""What a step does, in words: while it runs, and once it is done."""

from __future__ import annotations

from reconciler.encoder import shown
from reconciler.plan.changes import (
    Bind,
    Change,
    CreateGeneration,
    DeleteKey,
    Describe,
    Prove,
    Publish,
    RemoveRecord,
    Unbind,
)

_FORMS = {
    CreateGeneration: ("creating", "created"),
    Describe: ("describing", "described"),
    Bind: ("binding", "bound"),
    Prove: ("proving", "proved"),
    Publish: ("publishing", "published"),
    Unbind: ("unbinding", "unbound"),
    RemoveRecord: ("removing", "removed"),
    DeleteKey: ("deleting", "deleted"),
}
_MOST_NAMES = 3


def doing(change: Change) -> str:
    """`creating payments-api`: the step as it runs, beside its address."""
    return f"{_FORMS[type(change)][0]} {target_of(change)}"


def done(change: Change) -> str:
    """`created payments-api`: the step once it is done, beside its address."""
    return f"{_FORMS[type(change)][1]} {target_of(change)}"


def target_of(change: Change) -> str:
    """What the step works on, printable; of many keys the first few are named."""
    match change:
        case Bind() | Unbind():
            return some_of([link.live_name for link in change.links]) or "the last key"
        case Prove():
            return f"{shown(change.live_name)} at {some_of([str(ref) for ref in change.endpoints])}"
        case Publish():
            return f"{shown(change.live_name)} to {some_of(change.sinks)}"
        case RemoveRecord():
            return f"the record in {shown(change.sink)}"
        case CreateGeneration() | Describe() | DeleteKey():
            return shown(change.live_name)
        case _:
            return shown(change.id)


def some_of(names: tuple[str, ...] | list[str]) -> str:
    """`a, b, c and 4 more`, printable."""
    named = ", ".join(shown(name) for name in names[:_MOST_NAMES])
    return f"{named} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else named
