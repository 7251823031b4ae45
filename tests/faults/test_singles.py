"""One fault in one run: at every effect, every fault that fits it, once and for good; then the recovery."""

import pytest
from support.faults.cases import Tally, in_short, judge_single, pass_through, prepare, singles
from support.faults.scenarios import SCENARIOS, Scenario

from reconciler.emulator import Modes

pytestmark = pytest.mark.torture

SHARDS = 2


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_every_promise_holds_under_every_single_fault(scenario: Scenario, shard: int) -> None:
    prepared = prepare(scenario, Modes())
    done = pass_through(prepared)
    tally = Tally()
    for place, injection in enumerate(found for found in singles(done) if in_short(done, found)):
        if place % SHARDS == shard:
            judge_single(prepared, done, injection, tally)
    assert tally.injected["single"] > 5
    assert not tally.failures, "\n".join(tally.failures[:30])
    assert tally.hits == 0
