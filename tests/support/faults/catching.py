"""What the suite says while a bug is planted."""

from __future__ import annotations

from itertools import islice

from reconciler.emulator import Modes
from support.faults.bugs import Bug
from support.faults.case_text import PORTAL_EDIT, SECOND_PROCESS
from support.faults.cases import Failure, Tally, judge_single, pass_through, prepare
from support.faults.meetings import judge_portal_edit, judge_two_processes
from support.faults.scenarios import BY_NAME


def find_failures(bug: Bug) -> list[Failure]:
    """All that breaks in the bug's scenario under its faults, until its promise does; the state before has no bug."""
    prepared = prepare(BY_NAME[bug.scenario], Modes())
    tally = Tally()
    done = pass_through(prepared, None if bug.faults else tally)
    if bug.faults == (SECOND_PROCESS,):
        for effect in islice(done.trace, 0, None, 4):
            judge_two_processes(prepared, effect.spot, tally)
            if is_caught(bug, tally.failures):
                break
    elif bug.faults == (PORTAL_EDIT,):
        for effect in islice(done.trace, 0, None, 3):
            judge_portal_edit(prepared, effect.spot, tally)
            if is_caught(bug, tally.failures):
                break
    else:
        for injection in done.singles():
            if injection.fault.name in bug.faults and not injection.lasting:
                judge_single(prepared, injection, tally)
                if is_caught(bug, tally.failures):
                    break
    return tally.failures


def is_caught(bug: Bug, failures: list[Failure]) -> bool:
    """Whether it shows by the promise that it breaks."""
    return any(failure.violation.promise == bug.promise for failure in failures)
