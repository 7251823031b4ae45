"""How much a plan does, counted: each key once, by the strongest of what happens to it."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.plan.changes import Action, Plan, Summary
from reconciler.report.blocks import Block, group_changes


def summarise(plan: Plan) -> Summary:
    """What the plan would do; an endpoint whose own setting changes (foreign keys, authentication) is one change."""
    return count_blocks(group_changes(plan.changes))


def count_blocks(blocks: Iterable[Block]) -> Summary:
    """The blocks by action."""
    actions = [block.action for block in blocks]
    return Summary(
        add=actions.count(Action.CREATE),
        change=actions.count(Action.UPDATE),
        rotate=actions.count(Action.ROTATE),
        destroy=actions.count(Action.DELETE),
        forget=actions.count(Action.FORGET),
    )


def plan_line(summary: Summary) -> str:
    """`Plan: 2 to add, 1 to change, 1 to rotate, 1 to destroy.`"""
    forget = f", {summary.forget} to forget" if summary.forget else ""
    return (
        f"Plan: {summary.add} to add, {summary.change} to change, "
        f"{summary.rotate} to rotate, {summary.destroy} to destroy{forget}."
    )


def done_line(summary: Summary) -> str:
    """`Keys: 2 added, 1 changed, 1 rotated, 0 destroyed.`"""
    forgotten = f", {summary.forget} forgotten" if summary.forget else ""
    return (
        f"Keys: {summary.add} added, {summary.change} changed, {summary.rotate} rotated, {summary.destroy} destroyed"
        f"{forgotten}."
    )
