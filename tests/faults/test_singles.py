"""One fault in one run: at every effect, every fault that fits it, once and for good; then the recovery."""

from collections.abc import Callable

import pytest
from support.faults.cases import Pass, Tally, in_short, judge_single, pass_through, prepare, singles
from support.faults.faults import Injection
from support.faults.scenarios import SCENARIOS, Scenario

from reconciler.emulator import Modes

# What runs here is covered elsewhere too, and takes twice as long while it is measured.
pytestmark = pytest.mark.no_cover

# The longest first, so that the workers are done at about the same time.
LONGEST_FIRST = sorted(
    SCENARIOS, key=lambda scenario: len(scenario.before.keys) + len(scenario.after.keys), reverse=True
)


def judge_singles(scenario: Scenario, belongs: Callable[[Pass, Injection], bool]) -> None:
    prepared = prepare(scenario, Modes())
    done = pass_through(prepared)
    tally = Tally()
    for injection in singles(done):
        if belongs(done, injection):
            judge_single(prepared, done, injection, tally)
    assert tally.injected["single"] > 20
    assert not tally.failures, "\n".join(tally.failures[:30])
    assert tally.hits == 0


@pytest.mark.parametrize("scenario", LONGEST_FIRST, ids=str)
def test_every_promise_holds_under_a_single_fault(scenario: Scenario) -> None:
    judge_singles(scenario, in_short)


@pytest.mark.torture
@pytest.mark.parametrize("scenario", LONGEST_FIRST, ids=str)
def test_every_promise_holds_under_every_other_single_fault(scenario: Scenario) -> None:
    judge_singles(scenario, lambda done, injection: not in_short(done, injection))
