"""Drift alone, as text: what was changed outside keyform, and what only differs from the file."""

from __future__ import annotations

from reconciler.plan.changes import Plan
from reconciler.report.roles import Role
from reconciler.report.terminal import Palette, wrap
from reconciler.report.text import DRIFT, render_drift_entries, render_notes, render_selection

DIFFERS = "Different from the file (drift, or a change that is not applied)"
NO_DRIFT = "No drift found."


def render_drift(plan: Plan, *, colour: bool, width: int = 100) -> str:
    """What drifted, in lines of at most `width` columns, with ANSI colour or without a single escape code."""
    palette = Palette(colour)
    unread = [note for note in plan.warnings if note.code == "sink_is_not_read"]
    parts = [
        *render_selection(palette, plan, width),
        *render_drift_entries(palette, DRIFT, Role.WARNING, plan.drift, width),
        *render_drift_entries(palette, DIFFERS, Role.NOTE, plan.unproven, width),
        *render_notes(palette, "Not read", Role.WARNING, unread, width),
        "\n".join(palette.paint(line, Role.TITLE) for line in wrap(drift_line(plan).split(" "), width)),
    ]
    return "\n\n".join(parts) + "\n"


def drift_line(plan: Plan) -> str:
    """`Drift: 2 changes outside keyform.`"""
    proven, unproven = len(plan.drift), len(plan.unproven)
    if not proven and not unproven:
        return NO_DRIFT
    changes = f"{proven} change{'' if proven == 1 else 's'} outside keyform"
    differences = f"{unproven} difference{'' if unproven == 1 else 's'} that may be"
    if not proven:
        return f"Drift: none that is proven, and {differences}."
    return f"Drift: {changes}, and {differences}." if unproven else f"Drift: {changes}."
