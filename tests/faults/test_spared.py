"""Where a run is ended because it is known how it goes on, it would have gone on so."""

import random

import pytest
from support.faults.cases import Pass, Tally, pass_through, prepare, singles
from support.faults.faults import Injection
from support.faults.scenarios import BY_NAME, SCENARIOS, Scenario
from support.faults.spared import judge_spared

from reconciler.emulator import Modes

SAMPLE = 25

pytestmark = pytest.mark.no_cover


def in_any_order(done: Pass) -> list[Injection]:
    cases = list(singles(done))
    random.Random(1).shuffle(cases)
    return cases


@pytest.mark.parametrize("name", ["exclusive", "expiry, with overlap", "two sinks", "a removed key"])
def test_a_run_that_joins_another_would_have_gone_on_as_that_one_did(name: str) -> None:
    prepared = prepare(BY_NAME[name], Modes())
    done = pass_through(prepared)
    tally = Tally()
    for injection in in_any_order(done):
        if tally.joined < SAMPLE:
            judge_spared(prepared, done, injection, tally)
    assert tally.joined == SAMPLE
    assert not tally.failures, "\n".join(tally.failures)


@pytest.mark.torture
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_every_run_that_joins_another_would_have_gone_on_as_that_one_did(scenario: Scenario) -> None:
    prepared = prepare(scenario, Modes())
    done = pass_through(prepared)
    tally = Tally()
    for injection in in_any_order(done):
        judge_spared(prepared, done, injection, tally)
    assert tally.joined > 20
    assert not tally.failures, "\n".join(tally.failures)


def test_a_run_that_would_have_gone_on_otherwise_is_told() -> None:
    prepared = prepare(BY_NAME["exclusive"], Modes())
    done = pass_through(prepared)
    done.ran.code = 7
    tally = Tally()
    for injection in in_any_order(done):
        if not tally.joined:
            judge_spared(prepared, done, injection, tally)
    assert "it ended with 0, and what it joins 7" in "\n".join(tally.failures)
