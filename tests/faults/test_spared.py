"""Where a run is ended because it is known how it goes on, it would have gone on so."""

import random
import sys
from functools import partial

import pytest
from support.faults.asking import Course
from support.faults.cases import Tally, judge_injected, pass_through, prepare, run_injected, singles
from support.faults.effects import WRITES, Effect
from support.faults.run import Ran
from support.faults.scenarios import BY_NAME, SCENARIOS, Scenario

from reconciler.emulator import Modes

SAMPLE = 25

pytestmark = pytest.mark.no_cover


def name_writes(effects: list[Effect]) -> list[str]:
    return [effect.name for effect in effects if effect.kind in WRITES]


def name_outcomes(ran: Ran) -> list[tuple[str, str]]:
    return [(outcome.change.id, outcome.state.value) for outcome in ran.result.outcomes] if ran.result else []


def compare(scenario: Scenario, most: int) -> int:
    """Runs that would have been ended, gone through to the end; how many were compared with what they would join."""
    # Not the prepared one that other tests share: what is found out here is found out in full.
    prepared = prepare.__wrapped__(scenario, Modes())
    done = pass_through(prepared)
    once = [injection for injection in singles(done) if not injection.lasting and not injection.fault.ends]
    random.Random(1).shuffle(once)
    compared = 0
    for injection in once:
        find_verdict = partial(judge_injected, prepared, done, injection, Tally(), in_full=True)
        course = Course(find_verdict)
        course.ran, _, _ = run_injected(prepared, done, injection, course)
        known = course.ran.course
        if known is None:
            continue
        assert known.ran is not None
        full, _, _ = run_injected(prepared, done, injection)
        later = name_writes(full.trace[len(course.ran.trace) :])
        its_writes = name_writes(known.ran.trace)
        assert full.code == known.ran.code, injection
        assert name_outcomes(full) == name_outcomes(known.ran), injection
        assert its_writes[len(its_writes) - len(later) :] == later, injection
        whole = find_verdict()
        assert (whole.runs, whole.violations) == (known.verdict.runs, known.verdict.violations), injection
        compared += 1
        if compared == most:
            break
    return compared


@pytest.mark.parametrize("name", ["exclusive", "expiry, with overlap", "two sinks", "a removed key"])
def test_a_run_that_joins_another_would_have_gone_on_as_that_one_did(name: str) -> None:
    assert compare(BY_NAME[name], SAMPLE) == SAMPLE


@pytest.mark.torture
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_every_run_that_joins_another_would_have_gone_on_as_that_one_did(scenario: Scenario) -> None:
    assert compare(scenario, sys.maxsize) > 20
