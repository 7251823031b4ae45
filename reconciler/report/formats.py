"""A plan, a diff of the file or an error in each format: what a command prints, by the name of the format.

Each renderer is imported when it is used.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.errors import KeyformError
from reconciler.plan.changes import Plan

IS_JSON = frozenset({"json", "sarif"})
"""The formats that are JSON."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a reader sees it: `width` in columns, `limit` in characters, `verbose` without folding."""

    colour: bool = False
    width: int = 100
    verbose: bool = False
    limit: int = 65_536
    drift_only: bool = False


def plan_as(plan: Plan, shape: str, look: Look) -> str:
    """A plan in this format."""
    match shape:
        case "json":
            from reconciler.report.json import plan_to_json  # noqa: PLC0415

            return plan_to_json(plan)
        case _:
            from reconciler.report.text import render_plan  # noqa: PLC0415

            return render_plan(plan, colour=look.colour, width=look.width, verbose=look.verbose)


def error_as(error: KeyformError, shape: str, *, limit: int) -> str:  # noqa: ARG001 - of a format that is to come
    """An error, in place of a result in this format; nothing if stderr says it all."""
    match shape:
        case "json":
            from reconciler.report.diagnostics import error_to_json  # noqa: PLC0415

            return error_to_json(error)
        case _:
            return ""
