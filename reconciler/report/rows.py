"""What stands in a block, line by line: the words, before any width or colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from reconciler.encoder import shown
from reconciler.plan.changes import (
    Action,
    Bind,
    Change,
    CreateGeneration,
    DeleteKey,
    Describe,
    FieldDiff,
    Prove,
    Publish,
    RemoveRecord,
    Unbind,
)
from reconciler.plan.fields import instant
from reconciler.report.blocks import Block, Move
from reconciler.report.terminal import items

Words = tuple[str, tuple[str, ...]]
"""A printable text, and the styles of its words."""

REVOCATION = "key_is_revoked"
"""The reason of what is cut at once because a secret leaked: shown in red."""
_URGENT = ("bold", "red")
_UNQUOTED = frozenset({"expires_at", "auth", "generation", "phase"})


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a block: `+`, `~` or `-`, what it is about, its words, and why (when the head does not say it)."""

    symbol: str
    label: str
    words: tuple[Words, ...]
    note: str = ""


def rows_of(block: Block) -> tuple[Row, ...]:
    """The rows of a block in the order of execution: made, bound, proven, published, unbound, removed."""
    rows: list[Row] = []
    for step in block.steps:
        if isinstance(step, CreateGeneration | Describe):
            rows += _creation(block, step) if isinstance(step, CreateGeneration) else _description(block, step)
    rows += _moves(block, [move for move in block.moves if isinstance(move.change, Bind)], "+", "binds")
    rows += [
        _row("+", "proves", *items(str(ref) for ref in step.endpoints), note=_note(block, step))
        for step in block.steps
        if isinstance(step, Prove)
    ]
    rows += [
        _row("+", "publishes", *items(step.sinks), note=_note(block, step))
        for step in block.steps
        if isinstance(step, Publish)
    ]
    if block.opens:
        rows.append(Row("~", "auth", (*_transition("required", ""), ("open (public)", ("bold", "red")))))
    rows += _moves(block, [move for move in block.moves if isinstance(move.change, Unbind)], "-", "unbinds")
    removals = [step for step in block.steps if isinstance(step, RemoveRecord)]
    for sentence in dict.fromkeys(_note(block, step) for step in removals):
        sinks = [step.sink for step in removals if _note(block, step) == sentence]
        rows.append(_row("-", "records", *items(sinks), note=sentence))
    rows += [
        Row("-", "generation", ((shown(step.live_name), _styles(step.reason.code)),), _note(block, step))
        for step in block.steps
        if isinstance(step, DeleteKey)
    ]
    return tuple(_tell_once(rows))


def _tell_once(rows: Iterable[Row]) -> Iterator[Row]:
    """A reason that several rows share stands at the first of them."""
    told: set[str] = set()
    for row in rows:
        yield replace(row, note="") if row.note in told else row
        told.add(row.note)


def _creation(block: Block, step: CreateGeneration) -> Iterator[Row]:
    yield _row("+", "generation", shown(step.live_name))
    if block.action is Action.CREATE:
        if step.text:
            yield _row("+", "description", quote(step.text))
        yield _row("+", "expires_at", instant(step.expires_at))
        if step.ownership.protected:
            yield _row("+", "prevent_destroy", "true")
    else:
        yield from (_difference(diff) for diff in step.diff if diff.path != "generation")


def _description(block: Block, step: Describe) -> Iterator[Row]:
    name = shown(step.live_name)
    if step.reason.code == "key_is_adopted":
        yield _row("~", "adopts", name, note=_note(block, step))
    elif not step.diff:
        words = (f"{name} is {step.ownership.phase.value}", _styles(step.reason.code))
        yield Row("~", "marker", (words,), _note(block, step))
    yield from (_difference(diff) for diff in step.diff)


def _moves(block: Block, moves: list[Move], symbol: str, label: str) -> Iterator[Row]:
    """One row for each live key and reason; the live key is named where the block is about more than one."""
    if block.endpoint is not None:
        yield from (
            [_row(symbol, label, *items(move.link.live_name for move in moves), note=_foreign_note(block, moves))]
            if moves
            else []
        )
        return
    several = len(_live_names(block)) > 1
    groups: dict[tuple[str, str], list[Move]] = {}
    for move in moves:
        groups.setdefault((move.link.live_name, move.link.reason.code), []).append(move)
    for (live_name, code), found in groups.items():
        words: list[Words] = [(" ".join(items(sorted(str(move.endpoint) for move in found))), _styles(code))]
        if several:
            preposition = "to" if symbol == "+" else "from"
            words = [(shown(live_name), _styles(code)), (preposition, ("dim",)), *words]
        tell = code != block.reason.code and (symbol == "-" or block.action is Action.UPDATE)
        yield Row(symbol, label, tuple(words), found[0].link.reason.sentence if tell else "")


def _foreign_note(block: Block, moves: list[Move]) -> str:
    reason = moves[0].link.reason
    return reason.sentence if reason.code != block.reason.code else ""


def _live_names(block: Block) -> set[str]:
    names = {move.link.live_name for move in block.moves}
    return names | {step.live_name for step in block.steps if isinstance(step, CreateGeneration | DeleteKey)}


def _note(block: Block, step: Change) -> str:
    """The step's own reason, when the head of the block gives another and the step is not part of making a key."""
    plain = block.action in (Action.CREATE, Action.ROTATE) and isinstance(step, Prove | Publish)
    return "" if plain or step.reason.code == block.reason.code else step.reason.sentence


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

    return Row("~", diff.path, _transition(show(diff.live), show(diff.desired)))


def _transition(live: str, desired: str) -> tuple[Words, ...]:
    return (live, ("dim",)), ("->", ("dim",)), *([(desired, ())] if desired else [])


def _styles(code: str) -> tuple[str, ...]:
    return _URGENT if code == REVOCATION else ()


def _row(symbol: str, label: str, *words: str, note: str = "") -> Row:
    return Row(symbol, label, tuple((word, ()) for word in words), note)
