"""One fault in one run, once or for good, and the recovery from it: a sample, or all (`make faults`)."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.faults.case_text import Case
from support.faults.cases import Tally, judge_single, pass_through, prepare
from support.faults.faults import FAULTS, Injection
from support.faults.sampling import SEED, SIZE, all_singles, draw
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
    tally = Tally()
    pass_through(prepared, tally)
    for case in draw(SEED, SIZE)[scenario.name]:
        judge_single(prepared, Injection.of(case.strikes[0]), tally)
    assert tally.injected["single"] >= min(20, int(SIZE) if SIZE.isdecimal() else 20)
    tally.require_no_failures()


@given(seed=st.text())
@settings(max_examples=20, deadline=None)
def test_whatever_the_seed_every_scenario_every_fault_and_every_kind_of_effect_is_drawn(seed: str) -> None:
    way_of = dict(all_singles())
    drawn = draw(seed, "1")
    assert all(drawn[scenario.name] for scenario in SCENARIOS)
    ways = {way_of[case] for cases in drawn.values() for case in cases}
    assert ways == set(way_of.values()), "each fault, at each kind of effect that it fits, once and for good"
    assert {fault for fault, _, _ in ways} == {fault.name for fault in FAULTS}


def test_a_seed_draws_the_same_again_and_another_seed_others() -> None:
    first = draw("1", "5")
    draw.cache_clear()
    assert draw("1", "5") == first
    assert draw("2", "5") != first
    assert Counter(map(type, (case for cases in first.values() for case in cases))).keys() == {Case}


def test_all_of_it_is_every_fault_at_every_effect() -> None:
    drawn = draw(SEED, "all")
    assert sum(map(len, drawn.values())) == len(all_singles()) > 20_000
