"""Where a run is ended because it is known how it goes on, it would have gone on so."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from support.faults.cases import Pass, Tally, judge_single, pass_through, prepare, singles
from support.faults.effects import WRITES
from support.faults.faults import Injection
from support.faults.run import Ran
from support.faults.scenarios import BY_NAME, SCENARIOS, Scenario
from support.faults.spared import judge_spared, with_doubts

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
def test_all_that_is_known_would_have_come_about(scenario: Scenario) -> None:
    prepared = with_doubts(prepare(scenario, Modes()))
    done = pass_through(prepared)
    tally = Tally()
    for injection in in_any_order(done):
        judge_spared(prepared, done, injection, tally)
        judge_single(prepared, done, injection, tally, in_full=True)
    assert tally.joined > 20
    assert prepared.doubted
    assert not tally.failures, "\n".join(tally.failures)


def test_a_recovery_that_would_have_come_to_something_else_is_told() -> None:
    prepared = with_doubts(prepare(BY_NAME["exclusive"], Modes()))
    done = pass_through(prepared)
    tally = Tally()
    for injection in in_any_order(done):
        if not tally.failures:
            judge_single(prepared, done, injection, tally, in_full=True)
            for place, verdict in prepared.recoveries.items():
                prepared.recoveries[place] = replace(verdict, runs=9)
    assert "needs 1 runs, and not 9" in "\n".join(tally.failures)


def without_its_last_write(ran: Ran) -> None:
    last = max(effect.number for effect in ran.trace if effect.kind in WRITES)
    ran.trace[:] = [effect for effect in ran.trace if effect.number != last]


def with_another_code(ran: Ran) -> None:
    ran.code = 7


@pytest.mark.parametrize(
    ("change", "told"),
    [(with_another_code, "it ended with 0, and what it joins 7"), (without_its_last_write, "it went on to do")],
)
def test_a_run_that_would_have_gone_on_otherwise_is_told(change: Callable[[Ran], None], told: str) -> None:
    prepared = prepare(BY_NAME["exclusive"], Modes())
    done = pass_through(prepared)
    change(done.ran)
    tally = Tally()
    for injection in in_any_order(done):
        if not tally.joined:
            judge_spared(prepared, done, injection, tally)
    assert told in "\n".join(tally.failures)
