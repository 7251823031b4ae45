"""What the suite says while a bug is planted."""

from __future__ import annotations

from support.faults.bugs import Bug
from support.faults.case_text import FIRST_SIGNAL, PORTAL_EDIT, SECOND_PROCESS, Strike
from support.faults.cases import Failure, Tally, pass_through, prepare
from support.faults.judging import judge_strike
from support.faults.scenarios import BY_NAME

EVERY = {SECOND_PROCESS: 4, PORTAL_EDIT: 3, FIRST_SIGNAL: 2}
"""Of so many effects, it happens at one."""


def find_failures(bug: Bug) -> list[Failure]:
    """Everything that breaks in the bug's scenario under its faults, until its promise does; the state before has no
    bug.
    """
    prepared = prepare(BY_NAME[bug.scenario], bug.modes)
    tally = Tally()
    done = pass_through(prepared, None if bug.faults else tally)
    if bug.faults and bug.faults[0] in EVERY:
        (what,) = bug.faults
        strikes = [Strike(what, effect.spot) for effect in done.trace[:: EVERY[what]]]
    else:
        strikes = [each.strike for each in done.singles() if each.fault.name in bug.faults and not each.lasting]
    for strike in strikes:
        judge_strike(prepared, strike, tally)
        if is_caught(bug, tally.failures):
            break
    return tally.failures


def is_caught(bug: Bug, failures: list[Failure]) -> bool:
    """Whether it shows by the promise that it breaks."""
    return any(failure.violation.promise == bug.promise for failure in failures)
