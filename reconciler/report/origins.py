"""Where the changes of a plan come from, if it was compared with the file at a base: this change, or before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from reconciler.plan.changes import Action, Base, Note, Plan, Summary
from reconciler.report.blocks import Block, group_changes
from reconciler.report.summary import count_blocks


@dataclass(frozen=True, slots=True)
class Origins:
    """The blocks of a plan. `own` have something of this change, maybe besides what was pending; `pending` nothing."""

    own: tuple[Block, ...]
    pending: tuple[Block, ...] = ()


def find_origins(plan: Plan) -> Origins:
    """The blocks by their origin; without a base, all are the plan's own."""
    blocks = group_changes(plan.changes)
    if plan.base is None:
        return Origins(blocks)
    edited = {note.address for note in plan.base.edited}
    has_own = {each.address for each in blocks if not all(map(plan.is_pending, each.changes))} | edited
    own = (each for each in blocks if each.address in has_own)
    return Origins(tuple(own), tuple(each for each in blocks if each.address not in has_own))


def origins_line(plan: Plan) -> str:
    """`1 to change from this change; 10 to rotate already pending.`; nothing without a base, or without changes.

    A key that is rotated anyway, and to which this change adds something, counts on both sides.
    """
    if plan.base is None or not plan.changes:
        return ""
    own, pending = list[Block](), list[Block]()
    edited = {note.address for note in plan.base.edited}
    for block in group_changes(plan.changes):
        new = tuple(change for change in block.changes if not plan.is_pending(change))
        old = tuple(change for change in block.changes if plan.is_pending(change))
        if old:
            pending.append(Block(old))
        if new or block.address in edited:
            # What is decisive about a key, such as a new generation, is pending: this change only adds to it.
            is_added = bool(old) and Block(old).reason == block.reason
            changes = new or old
            own.append(Block(tuple(replace(each, action=Action.UPDATE) for each in changes) if is_added else changes))
    return f"{_count(own)} from this change; {_count(pending)} already pending."


def _count(blocks: Iterable[Block]) -> str:
    found: Summary = count_blocks(blocks)
    parts = [
        (found.add, "to add"),
        (found.change, "to change"),
        (found.rotate, "to rotate"),
        (found.destroy, "to destroy"),
        (found.forget, "to forget"),
        (found.deployments, f"deployment{'' if found.deployments == 1 else 's'} to change"),
        (found.applications, f"application{'' if found.applications == 1 else 's'} to change"),
    ]
    return ", ".join(f"{count} {what}" for count, what in parts if count) or "nothing"


def own_first(plan: Plan, notes: Sequence[Note]) -> list[Note]:
    """Notes of this change first; those that the base's plan has as well say so."""
    base = plan.base
    if base is None:
        return [*notes]
    return [
        *(note for note in notes if not plan.was_said(note)),
        *(replace(note, sentence=f"{note.sentence} {said_at(base)}") for note in notes if plan.was_said(note)),
    ]


def said_at(base: Base) -> str:
    """Behind what the plan at the base says as well."""
    return f"(already so at {base.ref})"
