"""One fault in one run: at every effect, every fault that fits it, once and for good; then the recovery."""

import pytest
from support.faults.cases import Tally, count, judge_single, pass_through, prepare, singles
from support.faults.scenarios import SCENARIOS, Scenario

from reconciler.emulator import Modes

# What runs here is covered elsewhere too, and takes twice as long while it is measured.
pytestmark = pytest.mark.no_cover

# The longest first, so that the workers are done at about the same time.
LONGEST_FIRST = sorted(
    SCENARIOS, key=lambda scenario: len(scenario.before.keys) + len(scenario.after.keys), reverse=True
)


@pytest.mark.parametrize("scenario", LONGEST_FIRST, ids=str)
def test_every_promise_holds_under_a_single_fault(scenario: Scenario) -> None:
    prepared = prepare(scenario, Modes())
    done = pass_through(prepared)
    tally = Tally()
    count(prepared, "no fault", done.course.verdict, tally, "none")
    for injection in singles(done):
        judge_single(prepared, done, injection, tally)
    assert tally.injected["single"] > 20
    assert not tally.failures, "\n".join(tally.failures[:30])
    assert tally.hits == 0
