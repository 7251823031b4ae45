"""Beyond one fault in the likeliest world: other worlds, two faults, others at work meanwhile.

A seeded sample of it is in every test run, a larger one in `make faults`, and all of it in `make torture`.
"""

import random

import pytest
from support.faults.cases import Tally, judge_double, judge_single, pass_through, prepare
from support.faults.effects import COUNTED
from support.faults.meetings import MEETINGS, judge_first_signal, judge_portal_edit, judge_two_processes
from support.faults.sampling import SEED
from support.faults.scenarios import BY_NAME, SCENARIOS, Scenario

from reconciler.emulator import Modes

pytestmark = pytest.mark.no_cover

MODES = Modes.pairwise()
ALL = 10_000


def sample(short: int, long: int) -> pytest.MarkDecorator:
    """How much of it: a little always, more with the faults."""
    sizes = [pytest.param(short, id="short"), pytest.param(long, id="long", marks=pytest.mark.torture)]
    return pytest.mark.parametrize("size", sizes)


@sample(1, 4)
@pytest.mark.parametrize("number", range(1, len(MODES)))
def test_every_promise_holds_in_every_mode(number: int, size: int) -> None:
    chance = random.Random(f"{SEED} {number}")
    tally = Tally()
    for scenario in chance.sample(SCENARIOS, size):
        prepared = prepare(scenario, MODES[number])
        done = pass_through(prepared, tally)
        for injection in chance.sample(list(done.singles()), 4 * size):
            judge_single(prepared, injection, tally)
    tally.require_no_failures()


@sample(2, 10)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_every_promise_holds_under_two_faults(scenario: Scenario, size: int) -> None:
    chance = random.Random(f"{SEED} {scenario}")
    prepared = prepare(scenario, Modes())
    tally = Tally()
    for first in chance.sample(list(pass_through(prepared).singles()), size):
        judge_double(prepared, first, lambda found: chance.sample(found, min(size, len(found))), tally)
    tally.require_no_failures()


@sample(10, ALL)
@pytest.mark.parametrize("name", MEETINGS)
def test_two_processes_with_files_of_their_own_break_no_promise(name: str, size: int) -> None:
    prepared = prepare(BY_NAME[name], Modes())
    trace = pass_through(prepared).trace
    tally = Tally()
    for effect in random.Random(f"{SEED} {name}").sample(trace, min(size, len(trace))):
        judge_two_processes(prepared, effect.spot, tally)
    tally.require_no_failures()


@sample(10, ALL)
@pytest.mark.parametrize("name", MEETINGS)
def test_an_edit_in_the_portal_survives_wherever_it_can(name: str, size: int) -> None:
    prepared = prepare(BY_NAME[name], Modes())
    trace = pass_through(prepared).trace
    tally = Tally()
    for effect in random.Random(f"{SEED} {name}").sample(trace, min(size, len(trace))):
        judge_portal_edit(prepared, effect.spot, tally)
    tally.require_no_failures()


@sample(6, ALL)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_first_signal_throws_no_secret_away(scenario: Scenario, size: int) -> None:
    prepared = prepare(scenario, Modes())
    trace = [effect for effect in pass_through(prepared).trace if effect.kind not in COUNTED]
    tally = Tally()
    for effect in random.Random(f"signal {SEED} {scenario}").sample(trace, min(size, len(trace))):
        judge_first_signal(prepared, effect.spot, tally)
    tally.require_no_failures()
