"""How much a plan does, counted: each key once, by the strongest of what happens to it."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model import EndpointKind
from reconciler.plan.changes import Action, Plan, Selection, Summary
from reconciler.report.blocks import Block, group_changes


def summarise(plan: Plan) -> Summary:
    """What the plan would do to keys, and how many endpoints it changes (their authentication, their foreign keys)."""
    return count_blocks(group_changes(plan.changes))


def tell_selection(selection: Selection) -> str:
    """`Only keys that match payments-*, except payments-old: all others stay as they are.`"""
    excludes = " or ".join(selection.excludes)
    if not selection.targets:
        return f"All keys but those that match {excludes}: these stay as they are."
    but = f", except {excludes}" if excludes else ""
    return f"Only keys that match {' or '.join(selection.targets)}{but}: all others stay as they are."


def count_blocks(blocks: Iterable[Block]) -> Summary:
    """Keys by action, and endpoints by kind."""
    found = [*blocks]
    actions = [block.action for block in found if block.endpoint is None]
    kinds = [block.endpoint.kind for block in found if block.endpoint is not None]
    return Summary(
        add=actions.count(Action.CREATE),
        change=actions.count(Action.UPDATE),
        rotate=actions.count(Action.ROTATE),
        destroy=actions.count(Action.DELETE),
        forget=actions.count(Action.FORGET),
        deployments=kinds.count(EndpointKind.DEPLOYMENT),
        applications=kinds.count(EndpointKind.APPLICATION),
    )


def plan_line(summary: Summary) -> str:
    """`Plan: 2 to add, 1 to change, 1 to rotate, 1 to destroy.`, which counts keys; then `1 deployment to change.`"""
    forget = f", {summary.forget} to forget" if summary.forget else ""
    keys = (
        f"Plan: {summary.add} to add, {summary.change} to change, "
        f"{summary.rotate} to rotate, {summary.destroy} to destroy{forget}."
    )
    return " ".join([keys, *_endpoints(summary, "to change")])


def summary_words(summary: Summary) -> list[str]:
    """`2 to add`, `1 deployment to change`: what there is, for a title."""
    keys = {
        "add": summary.add,
        "change": summary.change,
        "rotate": summary.rotate,
        "destroy": summary.destroy,
        "forget": summary.forget,
    }
    found = [f"{count} to {action}" for action, count in keys.items() if count]
    return [*found, *(sentence.removesuffix(".") for sentence in _endpoints(summary, "to change"))]


def done_line(summary: Summary) -> str:
    """`Keys: 2 added, 1 changed, 1 rotated, 0 destroyed.`; then `1 deployment changed.`"""
    forgotten = f", {summary.forget} forgotten" if summary.forget else ""
    keys = (
        f"Keys: {summary.add} added, {summary.change} changed, {summary.rotate} rotated, {summary.destroy} destroyed"
        f"{forgotten}."
    )
    return " ".join([keys, *_endpoints(summary, "changed")])


def _endpoints(summary: Summary, what: str) -> list[str]:
    """A sentence about endpoints whose own settings change, or none."""
    counts = ((summary.deployments, "deployment"), (summary.applications, "application"))
    parts = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count]
    return [f"{' and '.join(parts)} {what}."] if parts else []
