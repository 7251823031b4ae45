"""Which blocks and notes a reader sees once for many that are alike: the data, for every format that is read.

A plan of two hundred keys hides the one that matters. Blocks of one kind fold: the first few are shown, and the others
are named in a line. Two are of one kind if they differ in their names and their descriptions only: the same endpoints,
the same sinks, the same dates. What a reader has to look at one by one never folds: whatever is deleted, forgotten,
leaked, opened or warned about, consumers that lose access, and every exposure and refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from reconciler.encoder import shown as printable
from reconciler.errors import Finding
from reconciler.plan.changes import Action, Change, DeleteKey, Note, OpenEndpoint, Plan, RemoveRecord, Unbind
from reconciler.report.blocks import Block
from reconciler.report.rows import Row, rows_of
from reconciler.report.terminal import cells, items

SHOWN_BLOCKS = 3
"""How many blocks of a kind are shown."""
SHOWN_LINES = 10
"""How many, where a block is a line."""
SHOWN_NOTES = 5
"""How many notes with the same code, or findings with the same words."""
LEAST = 3
"""Fewer than this are not worth a fold."""
_FOLDABLE = frozenset({Action.CREATE, Action.UPDATE, Action.ROTATE})
_RETIRED = frozenset({"overlap_is_over", "generation_has_expired"})
"""Why a generation goes that a newer one has replaced."""
_NAMES_ITSELF = frozenset({"generation", "marker", "adopts", "takes over"})
"""The rows that name a live key of the block's own key."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Fold(Generic[Item]):
    """Items that are like `like`, the last of their kind that is shown, and are not shown themselves."""

    like: Item
    items: tuple[Item, ...]


def fold_blocks(
    blocks: Sequence[Block], plan: Plan, *, verbose: bool, shown: int = SHOWN_BLOCKS
) -> list[Block | Fold[Block]]:
    """Blocks in their order; each fold comes right after the last block of its kind that is shown."""
    warned = {note.address for note in (*plan.warnings, *(plan.base.edited if plan.base else ()))}
    notes: dict[str, list[str]] = {}
    for note in plan.notes:
        notes.setdefault(note.address, []).append(note.code)

    def kind(block: Block) -> Hashable:
        if verbose or block.address in warned or not is_routine(block):
            return None
        why = tuple(dict.fromkeys((change.step, change.reason.code) for change in block.changes))
        rows = tuple(_as_of_any(block, row) for row in rows_of(block, plan.base))
        pending = tuple(map(plan.is_pending, block.changes))
        return block.action, block.reason.code, why, rows, pending, tuple(notes.get(block.address, ()))

    return fold(blocks, kind, shown=shown)


def is_routine(block: Block) -> bool:
    """Whether a block may be one of many: it takes nothing from anybody, and concerns no leak."""
    return block.endpoint is None and block.action in _FOLDABLE and all(map(_is_routine, block.changes))


def _is_routine(change: Change) -> bool:
    """A generation may go without a reader's look if a newer one replaced it long ago, or if it reached nobody."""
    match change:
        case OpenEndpoint() | RemoveRecord():
            return False
        case Unbind() | DeleteKey():
            is_retired = change.action is Action.UPDATE and change.reason.code in _RETIRED
            return (is_retired or change.is_disposable) and not change.reason.is_urgent
        case _:
            return not change.reason.is_urgent


def _as_of_any(block: Block, row: Row) -> Hashable:
    """What a row says apart from the key's own name and its description; the same endpoints, sinks and dates."""
    if row.label == "description":
        return row.role, row.label
    words = tuple(text for text, _ in row.words)
    if row.label in _NAMES_ITSELF:
        words = tuple(text.replace(printable(block.name), "*") for text in words)
    return row.role, row.label, words


def fold(items: Iterable[Item], kind: Callable[[Item], Hashable], *, shown: int) -> list[Item | Fold[Item]]:
    """Items in their order, all but the first `shown` of a kind in a fold; those of the kind None are all shown."""
    whole = [*items]
    kinds = [kind(item) for item in whole]
    groups: dict[Hashable, list[int]] = {}
    for place, each in enumerate(kinds):
        if each is not None:
            groups.setdefault(each, []).append(place)
    folds: dict[int, Fold[Item]] = {}
    hidden: set[int] = set()
    for places in groups.values():
        if len(places) >= shown + LEAST:
            last, rest = places[shown - 1], places[shown:]
            folds[last] = Fold(whole[last], tuple(whole[place] for place in rest))
            hidden.update(rest)
    result: list[Item | Fold[Item]] = []
    for place, item in enumerate(whole):
        if place not in hidden:
            result.append(item)
        if place in folds:
            result.append(folds[place])
    return result


def fold_notes(notes: Iterable[Note], *, verbose: bool) -> list[Note | Fold[Note]]:
    """Notes in their order, folded by their codes."""
    return fold(notes, lambda note: None if verbose else note.code, shown=SHOWN_NOTES)


def fold_findings(findings: Iterable[Finding], plan: Plan, *, verbose: bool) -> list[Finding | Fold[Finding]]:
    """Findings in their order, folded where one thing causes them all: they say the same, at different places."""

    def kind(finding: Finding) -> Hashable:
        return None if verbose else (finding.message, finding.way_out, plan.was_said(finding))

    return fold(findings, kind, shown=SHOWN_NOTES)


def named(names: Sequence[str], room: int) -> list[str]:
    """The words of a list that takes about `room` columns at most: `a, b, c and 95 more`."""
    used, count = 0, 0
    for name in names:
        used += cells(printable(name)) + 2
        if used > room and count:
            break
        count += 1
    words = items(names[:count])
    return [*words, "and", str(len(names) - count), "more"] if count < len(names) else words
