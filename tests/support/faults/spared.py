"""Where a run is ended because it is known how it goes on: whether it would have gone on so."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from support.faults.asking import Course
from support.faults.cases import Pass, Prepared, Tally, judge_injected, judge_whole, run_injected, sees_less
from support.faults.effects import WRITES, Effect
from support.faults.faults import Injection
from support.faults.run import Ran


def with_doubts(prepared: Prepared) -> Prepared:
    """The same, but what is known of recoveries and of what is left to be done is gone through, too, and compared."""
    return replace(prepared, recoveries={}, ends={}, looks={}, doubts=True, doubted=set())


def judge_spared(prepared: Prepared, done: Pass, injection: Injection, tally: Tally) -> None:
    """Go through a run to its end that would be ended, and compare it with the run that it would join.

    `tally.joined` tells whether it would be ended. What differs is a failure. The pass is this judge's own: a run that
    others join has been gone through here, too.
    """
    if injection.lasting or injection.fault.ends:
        return
    find_verdict = partial(judge_injected, prepared, done, injection, Tally(), in_full=True)
    course = Course(find_verdict, may_be_joined=not sees_less(injection))
    course.ran, _, _ = run_injected(prepared, done, injection, course)
    joint = course.ran.joined
    if joint is None:
        return
    known = joint.course.ran
    assert known is not None
    tally.joined += 1
    injected = run_injected(prepared, done, injection)
    full, mine, its = injected[0], judge_whole(prepared, injection, injected, Tally()), joint.course.verdict
    for what, one, other in (
        ("ended with", full.code, known.code),
        ("came to", name_outcomes(full), name_outcomes(known)),
        ("went on to do", name_writes(full.trace[len(course.ran.trace) :]), name_writes(known.trace[joint.effects :])),
        ("took so many runs", mine.runs, its.runs),
        ("broke", mine.violations, its.violations),
    ):
        if one != other:
            tally.failures.append(f"{prepared.scenario} | {injection} | it {what} {one}, and what it joins {other}")


def name_writes(effects: list[Effect]) -> list[str]:
    """What a run did that could change something."""
    return [effect.name for effect in effects if effect.kind in WRITES]


def name_outcomes(ran: Ran) -> list[tuple[str, str]]:
    """What came of each change."""
    return [(outcome.change.id, outcome.state.value) for outcome in ran.result.outcomes] if ran.result else []
