"""What `keyform doctor` found, as lines and as JSON."""

from __future__ import annotations

from reconciler.encoder import shown
from reconciler.model.examination import Check, Examination, State
from reconciler.report.json import FORMAT_VERSION, dump

_MARKS = {State.OK: ("✓", "32"), State.WARNING: ("!", "33"), State.FAILED: ("✗", "1;31"), State.SKIPPED: ("-", "2")}
_SPEAK = frozenset({State.WARNING, State.FAILED})


def render_examination(found: Examination, *, colour: bool) -> str:
    """A line for each check, with the way out below those that are not right; and a verdict."""
    wide = max((len(check.topic) for check in found.checks), default=0)
    lines = [line for check in found.checks for line in _lines(check, wide, colour=colour)]
    return "\n".join([*lines, "", _verdict(found)]) + "\n"


def _lines(check: Check, wide: int, *, colour: bool) -> list[str]:
    mark, style = _MARKS[check.state]
    mark = f"\x1b[{style}m{mark}\x1b[0m" if colour else mark
    prefix = "skipped: " if check.state is State.SKIPPED else ""
    lines = [f"{mark} {shown(check.topic).ljust(wide)}  {prefix}{shown(check.message)}"]
    if check.way_out and check.state in _SPEAK:
        lines.append(f"  {' ' * wide}  → {shown(check.way_out)}")
    return lines


def _verdict(found: Examination) -> str:
    failed, warnings = found.count(State.FAILED), found.count(State.WARNING)
    parts = [f"{failed} failed"] if failed else []
    parts += [f"{warnings} warning{'' if warnings == 1 else 's'}"] if warnings else []
    skipped = found.count(State.SKIPPED)
    parts += [f"{skipped} skipped"] if skipped else []
    head = "Not everything is in place" if failed else "Everything that was checked is in place"
    return f"{head}: {', '.join(parts)}." if parts else f"{head}."


def examination_to_json(found: Examination) -> str:
    """The same as JSON, with a newline at its end; every name in it is stable."""
    return dump(
        {
            "format_version": FORMAT_VERSION,
            "healthy": found.is_healthy,
            "counts": {state.value: found.count(state) for state in State},
            "checks": [
                {
                    "topic": check.topic,
                    "state": check.state.value,
                    "message": check.message,
                    "way_out": check.way_out,
                }
                for check in found.checks
            ],
        }
    )
