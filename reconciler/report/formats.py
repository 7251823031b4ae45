"""A plan, a diff of the file or an error in each format: what a command prints, by the name of the format.

Each renderer is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.errors import KeyformError
from reconciler.plan.changes import Note, Plan
from reconciler.plan.revision import Comparison
from reconciler.report.about import NOTHING_KNOWN, About

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
    about: About = NOTHING_KNOWN


def plan_as(plan: Plan, shape: str, look: Look) -> str:
    """A plan in this format."""
    match shape:
        case "json":
            from reconciler.report.json import plan_to_json  # noqa: PLC0415

            return plan_to_json(plan)
        case "markdown":
            from reconciler.report.markdown import plan_to_markdown  # noqa: PLC0415

            return plan_to_markdown(plan, limit=look.limit, verbose=look.verbose, drift_only=look.drift_only)
        case "sarif":
            from reconciler.report.sarif import plan_to_sarif  # noqa: PLC0415

            return plan_to_sarif(plan, look.about)
        case "html":
            from reconciler.report.plan_html import plan_to_html  # noqa: PLC0415

            return plan_to_html(plan, unfolds=look.verbose, drift_only=look.drift_only)
        case _ if look.drift_only:
            from reconciler.report.drift import render_drift  # noqa: PLC0415

            return render_drift(plan, colour=look.colour, width=look.width)
        case _:
            from reconciler.report.text import render_plan  # noqa: PLC0415

            return render_plan(plan, colour=look.colour, width=look.width, verbose=look.verbose)


def diff_as(comparison: Comparison, shape: str, look: Look) -> str:
    """How two versions of the file differ, in this format."""
    match shape:
        case "json":
            from reconciler.report.diff_json import diff_to_json  # noqa: PLC0415

            return diff_to_json(comparison)
        case "markdown":
            from reconciler.report.diff_markdown import diff_to_markdown  # noqa: PLC0415

            return diff_to_markdown(comparison, limit=look.limit, verbose=look.verbose)
        case "html":
            from reconciler.report.diff_html import diff_to_html  # noqa: PLC0415

            return diff_to_html(comparison, verbose=look.verbose)
        case _:
            from reconciler.report.diff_text import render_diff  # noqa: PLC0415

            return render_diff(comparison, colour=look.colour, width=look.width, verbose=look.verbose)


def error_as(error: KeyformError, shape: str, *, limit: int, about: About = NOTHING_KNOWN) -> str:
    """An error, in place of a result in this format; nothing if stderr says it all."""
    match shape:
        case "json":
            from reconciler.report.diagnostics import error_to_json  # noqa: PLC0415

            return error_to_json(error)
        case "markdown":
            from reconciler.report.markdown import error_to_markdown  # noqa: PLC0415

            return error_to_markdown(error, comment_marker(about), limit=limit)
        case "sarif":
            from reconciler.report.sarif import error_to_sarif  # noqa: PLC0415

            return error_to_sarif(error, about)
        case "html":
            from reconciler.report.plan_html import error_to_html  # noqa: PLC0415

            return error_to_html(error)
        case _:
            return ""


def validity_as(sentence: str, notes: Sequence[Note], shape: str, *, limit: int, about: About) -> str:
    """The result of a check that finds nothing wrong."""
    match shape:
        case "json":
            from reconciler.report.diagnostics import validity_to_json  # noqa: PLC0415

            return validity_to_json(None, notes)
        case "sarif":
            from reconciler.report.sarif import valid_to_sarif  # noqa: PLC0415

            return valid_to_sarif()
        case _:
            from reconciler.report.markdown import valid_to_markdown  # noqa: PLC0415

            return valid_to_markdown(comment_marker(about), sentence, notes, limit=limit)


def comment_marker(about: About) -> str:
    """The first line of a comment: by its stack and project, or by the file if that says neither."""
    from reconciler.report.markdown_text import marker  # noqa: PLC0415

    if about.stack and about.project:
        return marker(about.kind, stack=about.stack, project=about.project)
    return marker(about.kind, file=",".join(about.files))
