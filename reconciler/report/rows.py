"""The content of a block, line by line: the words and their roles, before any width or colour."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from reconciler.encoder import shown
from reconciler.model import tell_apart
from reconciler.plan.changes import (
    Action,
    Base,
    Bind,
    Change,
    Copy,
    CreateGeneration,
    DeleteKey,
    FieldDiff,
    OpenEndpoint,
    Prove,
    Publish,
    Reason,
    RemoveRecord,
    Unbind,
    UpdateKey,
)
from reconciler.plan.fields import instant
from reconciler.report.blocks import Block
from reconciler.report.roles import Role
from reconciler.report.terminal import items

Words = tuple[str, Role]
"""A printable text, and what it is for."""

_UNQUOTED = frozenset({"expires_at", "auth", "generation"})
"""Fields whose values keyform writes itself."""
_FIELDS = {"publishes": "sink"}
"""The field of a change that a row shows, where its label is another word."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a block: added, changed or removed, what it is about, and why (if the head does not say it).

    `is_pending`: it does not come from this change of the file.
    """

    role: Role
    label: str
    words: tuple[Words, ...]
    note: str = ""
    is_pending: bool = False


def rows_of(block: Block, base: Base | None = None) -> tuple[Row, ...]:
    """The rows of a block in the order of execution; a reason that several rows share is shown at the first of them.

    Changes that were pending at the base have separate rows.
    """
    pending = base.pending if base else frozenset()
    edits = base.edits if base else frozenset()
    groups: dict[Hashable, list[Change]] = {}
    for change in block.changes:
        groups.setdefault((_group(change), change.id in pending), []).append(change)
    names_live = (
        len({change.id.live for change in block.changes if not isinstance(change, UpdateKey | RemoveRecord)}) > 1
    )
    rows, told = [], {""}
    for changes in groups.values():
        note = _note(block, changes[0])
        for row in _rows(block, changes, names_live=names_live):
            is_edited = (changes[0].id, _FIELDS.get(row.label, row.label)) in edits
            is_pending = changes[0].id in pending and not is_edited
            rows.append(replace(row, note="" if note in told else note, is_pending=is_pending))
            told.add(note)
    return tuple(rows)


def _group(change: Change) -> Hashable:
    """The common content of changes that share one row."""
    match change:
        case Bind() | Unbind():
            return change.step, change.live if change.key else None, change.reason
        case RemoveRecord():
            return change.step, change.reason
        case _:
            return change.id


def _note(block: Block, change: Change) -> str:
    """The change's own reason, if the head of the block gives another and the rows do not show it themselves.

    For a leak the head says everything; the rows only stand out.
    """
    is_part = isinstance(change, Bind) and block.action in (Action.CREATE, Action.ROTATE)
    is_shown = isinstance(change, UpdateKey) and bool(change.diff) and not change.adopts
    is_told = change.reason == block.reason or (change.reason.is_urgent and block.reason.is_urgent)
    return "" if is_part or is_shown or is_told else change.reason.sentence


def _rows(block: Block, changes: Sequence[Change], *, names_live: bool) -> Iterator[Row]:
    role = _role(changes[0].reason)
    match changes[0]:
        case CreateGeneration() as first:
            yield from _creation(block, first)
        case UpdateKey() as first:
            yield from _update(first)
        case (Bind() | Unbind()) as first:
            names = [str(change.endpoint) if first.key else change.id.live.name for change in changes]
            words, is_bind = _list(sorted(names), role), isinstance(first, Bind)
            if first.key and names_live:
                words = (shown(first.live.name), role), ("to" if is_bind else "from", Role.QUIET), *words
            yield Row(Role.ADDED, "binds", words) if is_bind else Row(Role.REMOVED, "unbinds", words)
        case Prove() as first:
            yield Row(Role.ADDED, "proves", _list([str(ref) for ref in first.endpoints], Role.PLAIN))
        case Publish() as first:
            yield Row(Role.ADDED, "publishes", _list(first.sinks, Role.PLAIN))
        case Copy() as first:
            words = ((shown(first.source), Role.QUIET), ("->", Role.QUIET), *_list(first.sinks, Role.PLAIN))
            yield Row(Role.CHANGED, "copies", words)
        case OpenEndpoint():
            yield Row(Role.CHANGED, "auth", (*_transition("required"), ("open (public)", Role.DANGER)))
        case RemoveRecord() as first:
            sinks = [change.sink for change in changes if isinstance(change, RemoveRecord)]
            label = "lets go of" if first.keeps_secret else "records"
            yield Row(Role.REMOVED, label, _list(sinks, Role.PLAIN))
        case DeleteKey() as first:
            yield Row(Role.REMOVED, "generation", ((shown(first.live.name), role),))
        case _:
            pass


def _creation(block: Block, change: CreateGeneration) -> Iterator[Row]:
    yield _added("generation", shown(change.live.name))
    if block.action is not Action.CREATE:
        yield from (_difference(diff) for diff in change.diff if diff.path != "generation")
        return
    if change.text:
        yield _added("description", quote(change.text))
    yield _added("expires_at", instant(change.expires_at))
    if change.ownership.protected:
        yield _added("prevent_destroy", "true")


def _update(change: UpdateKey) -> Iterator[Row]:
    name = shown(change.live.name)
    if change.ownership.released:
        yield Row(Role.FORGOTTEN, "forgets", ((name, Role.PLAIN),))
    elif change.adopts:
        yield Row(Role.CHANGED, "takes over" if change.taken_from else "adopts", ((name, Role.PLAIN),))
    elif change.ownership.into:
        yield Row(Role.CHANGED, "marker", ((f"{name} is kept for the overlap", Role.PLAIN),))
    elif not change.diff:
        yield Row(Role.CHANGED, "marker", ((f"{name} is {change.ownership.phase.value}", _role(change.reason)),))
    yield from (_difference(diff) for diff in change.diff)


def quote(text: str) -> str:
    """A text in quotes, so that its ends can be seen."""
    return f'"{shown(text)}"'


def _difference(diff: FieldDiff) -> Row:
    if diff.path not in _UNQUOTED and isinstance(diff.live, str) and isinstance(diff.desired, str):
        live, desired = map(quote, tell_apart(diff.live, diff.desired))
        return Row(Role.CHANGED, diff.path, (*_transition(live), (desired, Role.PLAIN)))

    def show(value: str | bool | int | None) -> str:  # noqa: FBT001 - a value among others, not a switch
        match value:
            case None:
                return "never" if diff.path == "expires_at" else "(none)"
            case bool():
                return "true" if value else "false"
            case int():
                return str(value)
            case str():
                return shown(value) if diff.path in _UNQUOTED else quote(value)

    return Row(Role.CHANGED, diff.path, (*_transition(show(diff.live)), (show(diff.desired), Role.PLAIN)))


def _transition(live: str) -> tuple[Words, ...]:
    return (live, Role.QUIET), ("->", Role.QUIET)


def _added(label: str, text: str) -> Row:
    return Row(Role.ADDED, label, ((text, Role.PLAIN),))


def _list(names: Iterable[str], role: Role) -> tuple[Words, ...]:
    return ((" ".join(items(names)), role),)


def _role(reason: Reason) -> Role:
    """A leaked secret is cut at once, and shown in red."""
    return Role.DANGER if reason.is_urgent else Role.PLAIN
