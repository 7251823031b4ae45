"""The outcome of an apply as text: counted from its outcomes, and if not everything was done, what was not, why, and
what to do now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.encoder import one_line, shown
from reconciler.plan.changes import Change, ChangeId, CreateGeneration, Step, Summary
from reconciler.plan.outcomes import Outcome, OutcomeState, Result
from reconciler.report.blocks import Block, group_changes
from reconciler.report.roles import Role
from reconciler.report.summary import count_blocks, done_line
from reconciler.report.terminal import Palette, items, pad, widest, wrap
from reconciler.report.text import ACTIONS, NO_CHANGES, render_notes, symbol_of
from reconciler.report.verbs import doing, subject_of

AGAIN = "It is safe to run apply again: completed steps are not repeated"
_MOST_STEPS = 20
_TITLES = {
    OutcomeState.DONE: ("Done, with remarks", Role.WARNING),
    OutcomeState.FAILED: ("Failed", Role.DANGER),
    OutcomeState.UNKNOWN: ("Sent, but not confirmed", Role.DANGER),
    OutcomeState.SKIPPED: ("Skipped, because an earlier step was not done", Role.WARNING),
    OutcomeState.NOT_STARTED: ("Not started", Role.WARNING),
}


def render_result(result: Result, *, colour: bool, width: int = 100) -> str:
    """The end of an apply, in lines of at most `width` columns."""
    palette = Palette(colour)
    if result.plan.is_empty:
        return palette.paint(NO_CHANGES, Role.TITLE) + "\n"
    outcomes = complete_outcomes(result)
    summary = count_done(result)
    remarks = _undone(palette, [o for o in outcomes if o.state is OutcomeState.DONE and o.detail], width)
    if result.complete:
        complete = palette.paint(f"Apply complete! {done_line(summary)}", Role.GOOD)
        return "\n\n".join([complete, *remarks]) + "\n"
    done = sum(outcome.state is OutcomeState.DONE for outcome in outcomes)
    what = "was interrupted" if result.interrupted else "is not complete"
    opening = f"Apply {what}: {done} of {len(outcomes)} steps done. {done_line(summary)}"
    parts = ["\n".join(palette.paint(line, Role.DANGER) for line in wrap(opening.split(" "), width))]
    parts += render_notes(palette, "Exposures now", Role.DANGER, result.exposures, width)
    counts = count_steps(result)
    if whole := [block for block, done, of in counts if done == of]:
        parts.append("\n".join([palette.paint("Done", Role.GOOD), *_done(palette, whole, width)]))
    if begun := [(block, done, of) for block, done, of in counts if 0 < done < of]:
        parts.append("\n".join([palette.paint("Begun", Role.WARNING), *_begun(palette, begun)]))
    parts += remarks
    for state in _TITLES:
        if state is not OutcomeState.DONE:
            parts += _undone(palette, [outcome for outcome in outcomes if outcome.state is state], width)
    parts.append("\n".join(wrap(describe_again(result).split(" "), width)))
    return "\n\n".join(parts) + "\n"


def describe_again(result: Result) -> str:
    """What another apply does; a generation whose secret was not published is useless, and is created again."""
    done = {outcome.change.id for outcome in result.outcomes if outcome.state is OutcomeState.DONE}
    made = [each for each in result.plan.changes if isinstance(each, CreateGeneration) and each.id in done]
    lost = [change.live.name for change in made if ChangeId(Step.PUBLISH, change.live) not in done]
    if not lost:
        return f"{AGAIN}."
    more = f" and {len(lost) - _MOST_STEPS} more" if len(lost) > _MOST_STEPS else ""
    names = ", ".join(map(shown, lost[:_MOST_STEPS])) + more
    return f"{AGAIN}. These generations were not published, and are created again: {names}."


def complete_outcomes(result: Result) -> tuple[Outcome, ...]:
    """One outcome for every change, in the order of the plan; a change that has none was not started."""
    known = {outcome.change.id: outcome for outcome in result.outcomes}
    return tuple(known.get(change.id, Outcome(change, OutcomeState.NOT_STARTED)) for change in result.plan.changes)


def count_done(result: Result) -> Summary:
    """What happened to keys, counted from the outcomes: a key counts once all of its steps are done."""
    return count_blocks(block for block, done, of in count_steps(result) if done == of)


def count_steps(result: Result) -> tuple[tuple[Block, int, int], ...]:
    """Each block of the plan, with its number of steps and how many of them were done."""
    done = {outcome.change.id for outcome in result.outcomes if outcome.state is OutcomeState.DONE}
    blocks = group_changes(result.plan.changes)
    return tuple((block, sum(change.id in done for change in block.changes), len(block.changes)) for block in blocks)


def _done(palette: Palette, blocks: Sequence[Block], width: int) -> Iterator[str]:
    """Addresses by action: successes take little room."""
    for action in ACTIONS:
        if found := [block.address for block in blocks if block.action is action]:
            first, *rest = wrap(items(found), width - 6)
            yield f"{symbol_of(palette, action)} {first}"
            yield from (" " * 6 + line for line in rest)


def _begun(palette: Palette, begun: Sequence[tuple[Block, int, int]]) -> Iterator[str]:
    column = widest(block.address for block, _, _ in begun)
    for block, count, of in begun:
        address = palette.paint(pad(shown(block.address), column), Role.NAME)
        yield f"{symbol_of(palette, block.action)} {address}  {palette.paint(f'{count} of {of} steps', Role.QUIET)}"


def _undone(palette: Palette, outcomes: Sequence[Outcome], width: int) -> Iterator[str]:
    """The changes with one state, grouped by cause, and then by subject."""
    if not outcomes:
        return
    title, role = _TITLES[outcomes[0].state]
    lines = [palette.paint(title, role)]
    causes: dict[tuple[str, str], dict[tuple[str, Step], list[Change]]] = {}
    for outcome in outcomes:
        cause = causes.setdefault((one_line(outcome.detail), one_line(outcome.way_out)), {})
        cause.setdefault((subject_of([outcome.change]), outcome.change.step), []).append(outcome.change)
    column = widest(subject for cause in causes.values() for subject, _ in cause)
    for (detail, way_out), found in causes.items():
        for (subject, _), changes in list(found.items())[:_MOST_STEPS]:
            name = palette.paint(pad(shown(subject), column), Role.NAME)
            lines.append(f"  {palette.paint('!', role)} {name}  {doing(changes)}")
        if len(found) > _MOST_STEPS:
            lines.append(f"    and {len(found) - _MOST_STEPS} more")
        if detail:
            lines += _hanging([palette.paint(word, role) for word in detail.split(" ")], "why:", width)
        if way_out:
            lines += _hanging(way_out.split(" "), "fix:", width)
    yield "\n".join(lines)


def _hanging(words: Sequence[str], label: str, width: int) -> Iterator[str]:
    first, *rest = wrap(words, width - 11)
    yield f"      {pad(label, 4)} {first}"
    yield from (" " * 11 + line for line in rest)
