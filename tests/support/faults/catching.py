"""What the suite says while a bug is planted."""

from __future__ import annotations

from reconciler.emulator import Modes
from support.faults.bugs import Bug
from support.faults.cases import (
    Prepared,
    Tally,
    count,
    judge_injected,
    look,
    pass_through,
    prepare,
    recover,
    search_all,
    singles,
)
from support.faults.effects import TracedEffects
from support.faults.judge import judge_clean_run, judge_exit_code
from support.faults.meetings import judge_portal_edit, judge_two_processes
from support.faults.run import run_once
from support.faults.scenarios import BY_NAME


def find_failures(bug: Bug) -> list[str]:
    """All that breaks in the bug's scenario under its faults; the state before is made without the bug."""
    prepared = prepare(BY_NAME[bug.scenario], Modes())
    prepared.forget()
    tally = Tally()
    if not bug.faults:
        judge_clean(prepared, tally)
    elif "a second process" in bug.faults:
        for at in range(0, 130, 4):
            judge_two_processes(prepared, prepared.scenario.after, at, tally)
            if tally.failures:
                break
    elif "a portal edit" in bug.faults:
        for at in range(0, 130, 3):
            judge_portal_edit(prepared, at, tally)
            if tally.failures:
                break
    else:
        done = pass_through(prepared)
        for injection in singles(done):
            if injection.fault.name in bug.faults and not injection.lasting:
                count(prepared, injection, judge_injected(prepared, done, injection, tally), tally)
                if any(f"| P{bug.promise}: " in failure for failure in tally.failures):
                    break
    prepared.forget()
    return tally.failures


def judge_clean(prepared: Prepared, tally: Tally) -> None:
    """A run without faults, and what follows."""
    world, watch = prepared.fork()
    ran = run_once(world, prepared.scenario.after, TracedEffects(world, watch=watch))
    judge_clean_run(ran, prepared.scenario, watch)
    judge_exit_code(ran, world, watch, lambda at: look(prepared, world, watch, at), saw_less=False)
    search_all(ran, world, watch, tally)
    count(prepared, "no fault", recover(prepared, world, watch), tally)
