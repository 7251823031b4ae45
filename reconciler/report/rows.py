"""What stands in a block, line by line: the words and their roles, before any width or colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from reconciler.encoder import shown
from reconciler.model import Auth
from reconciler.plan.changes import (
    Action,
    Bind,
    Change,
    CreateGeneration,
    DeleteKey,
    FieldDiff,
    KeyRef,
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
Kind = TypeVar("Kind", bound=Change)

_UNQUOTED = frozenset({"expires_at", "auth", "generation"})
"""Fields whose values keyform writes itself."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a block: what is done, what it is about, its words, and why (when the head does not say it)."""

    role: Role
    label: str
    words: tuple[Words, ...]
    note: str = ""


def rows_of(block: Block) -> tuple[Row, ...]:
    """The rows of a block in the order of execution: made, bound, proven, published, unbound, removed."""
    rows: list[Row] = []
    for change in block.changes:
        match change:
            case CreateGeneration():
                rows += _creation(block, change)
            case UpdateKey():
                rows += _update(block, change)
            case _:
                pass
    rows += _moves(block, _of(block, Bind), Role.ADDED, "binds")
    for proof in _of(block, Prove):
        rows.append(_row(Role.ADDED, "proves", *items(map(str, proof.endpoints)), note=_note(block, proof)))
    for publication in _of(block, Publish):
        rows.append(_row(Role.ADDED, "publishes", *items(publication.sinks), note=_note(block, publication)))
    if _of(block, OpenEndpoint):
        opened = ("open (public)", Role.DANGER)
        rows.append(Row(Role.CHANGED, "auth", (*_transition(Auth.REQUIRED.value, ""), opened)))
    rows += _moves(block, _of(block, Unbind), Role.REMOVED, "unbinds")
    records: dict[str, list[str]] = {}
    for removal in _of(block, RemoveRecord):
        records.setdefault(_note(block, removal), []).append(removal.sink)
    rows += [_row(Role.REMOVED, "records", *items(sinks), note=note) for note, sinks in records.items()]
    for deletion in _of(block, DeleteKey):
        words = ((shown(deletion.live.name), _role_of(deletion.reason)),)
        rows.append(Row(Role.REMOVED, "generation", words, _note(block, deletion)))
    return tuple(_tell_once(rows))


def _of(block: Block, kind: type[Kind]) -> list[Kind]:
    return [change for change in block.changes if isinstance(change, kind)]


def _tell_once(rows: Iterable[Row]) -> Iterator[Row]:
    """A reason that several rows share stands at the first of them."""
    told: set[str] = set()
    for row in rows:
        yield replace(row, note="") if row.note in told else row
        told.add(row.note)


def _creation(block: Block, change: CreateGeneration) -> Iterator[Row]:
    yield _row(Role.ADDED, "generation", shown(change.live.name))
    if block.action is Action.CREATE:
        if change.text:
            yield _row(Role.ADDED, "description", quote(change.text))
        yield _row(Role.ADDED, "expires_at", instant(change.expires_at))
        if change.ownership.protected:
            yield _row(Role.ADDED, "prevent_destroy", "true")
    else:
        yield from (_difference(diff) for diff in change.diff if diff.path != "generation")


def _update(block: Block, change: UpdateKey) -> Iterator[Row]:
    name = shown(change.live.name)
    if change.adopts:
        yield _row(Role.CHANGED, "adopts", name, note=_note(block, change))
    elif not change.diff:
        words = (f"{name} is {change.ownership.phase.value}", _role_of(change.reason))
        yield Row(Role.CHANGED, "marker", (words,), _note(block, change))
    yield from (_difference(diff) for diff in change.diff)


def _moves(block: Block, moves: list[Bind] | list[Unbind], role: Role, label: str) -> Iterator[Row]:
    """One row for each live key and reason; the live key is named where the block is about more than one."""
    if block.endpoint is not None:
        if moves:
            note = "" if moves[0].reason == block.reason else moves[0].reason.sentence
            yield _row(role, label, *items(move.live.name for move in moves), note=note)
        return
    several = len(_live_keys(block)) > 1
    groups: dict[tuple[KeyRef, Reason], list[str]] = {}
    for move in moves:
        groups.setdefault((move.live, move.reason), []).append(str(move.endpoint))
    for (live, reason), endpoints in groups.items():
        words: list[Words] = [(" ".join(items(sorted(endpoints))), _role_of(reason))]
        if several:
            preposition = "to" if role is Role.ADDED else "from"
            words = [(shown(live.name), _role_of(reason)), (preposition, Role.QUIET), *words]
        tell = reason.code != block.reason.code and (role is Role.REMOVED or block.action is Action.UPDATE)
        yield Row(role, label, tuple(words), reason.sentence if tell else "")


def _live_keys(block: Block) -> set[KeyRef]:
    return {c.live for c in block.changes if isinstance(c, Bind | Unbind | CreateGeneration | DeleteKey)}


def _note(block: Block, change: Change) -> str:
    """The change's own reason, when the head of the block gives another and it is not part of making a key."""
    plain = block.action in (Action.CREATE, Action.ROTATE) and isinstance(change, Prove | Publish)
    return "" if plain or change.reason.code == block.reason.code else change.reason.sentence


def quote(text: str) -> str:
    """A text in quotes, so that its ends can be seen."""
    return f'"{shown(text)}"'


def _difference(diff: FieldDiff) -> Row:
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

    return Row(Role.CHANGED, diff.path, _transition(show(diff.live), show(diff.desired)))


def _transition(live: str, desired: str) -> tuple[Words, ...]:
    return (live, Role.QUIET), ("->", Role.QUIET), *([(desired, Role.PLAIN)] if desired else [])


def _role_of(reason: Reason) -> Role:
    return Role.DANGER if reason.is_urgent else Role.PLAIN


def _row(role: Role, label: str, *words: str, note: str = "") -> Row:
    return Row(role, label, tuple((word, Role.PLAIN) for word in words), note)
