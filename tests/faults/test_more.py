"""Beyond one fault in the likeliest world: other worlds, two faults, others at work meanwhile.

A seeded sample of it is in every test run, a larger one in `make faults`, and as much as there is time for in
`make torture`.
"""

import random

import pytest
from support.faults.cases import Tally, judge_double, judge_single, pass_through, prepare, singles
from support.faults.meetings import MEETINGS, judge_portal_edit, judge_two_processes
from support.faults.scenarios import BY_NAME, SCENARIOS, Scenario

from reconciler.emulator import Modes

pytestmark = pytest.mark.no_cover

SEED = 20261121
MODES = Modes.pairwise()


def sample(short: int, long: int) -> pytest.MarkDecorator:
    """How much of it: a little always, more with the faults."""
    sizes = [pytest.param(short, id="short"), pytest.param(long, id="long", marks=pytest.mark.torture)]
    return pytest.mark.parametrize("size", sizes)


@sample(1, 4)
@pytest.mark.parametrize("number", range(1, len(MODES)))
def test_every_promise_holds_in_every_mode(number: int, size: int) -> None:
    chance = random.Random(SEED + number * size)
    tally = Tally()
    for scenario in chance.sample(SCENARIOS, size):
        prepared = prepare(scenario, MODES[number])
        done = pass_through(prepared)
        for injection in chance.sample(list(singles(done)), 4 * size):
            judge_single(prepared, done, injection, tally)
    assert not tally.failures, f"{MODES[number]}\n" + "\n".join(tally.failures[:30])


@sample(2, 10)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_every_promise_holds_under_two_faults(scenario: Scenario, size: int) -> None:
    chance = random.Random(f"{SEED} {scenario} {size}")
    prepared = prepare(scenario, Modes())
    done = pass_through(prepared)
    tally = Tally()
    for first in chance.sample(list(singles(done)), size):
        judge_double(prepared, done, first, lambda found: chance.sample(found, min(size, len(found))), tally)
    assert not tally.failures, "\n".join(tally.failures[:30])


@sample(13, 1)
@pytest.mark.parametrize("name", MEETINGS)
def test_two_processes_with_files_of_their_own_break_no_promise(name: str, size: int) -> None:
    prepared = prepare(BY_NAME[name], Modes())
    tally = Tally()
    for at in range(0, len(pass_through(prepared).ran.trace) + 1, size):
        judge_two_processes(prepared, MEETINGS[name], at, tally)
    assert not tally.failures, "\n".join(tally.failures[:30])


@sample(13, 1)
@pytest.mark.parametrize("name", MEETINGS)
def test_an_edit_in_the_portal_survives_wherever_it_can(name: str, size: int) -> None:
    prepared = prepare(BY_NAME[name], Modes())
    tally = Tally()
    for at in range(0, len(pass_through(prepared).ran.trace) + 1, size):
        judge_portal_edit(prepared, at, tally)
    assert not tally.failures, "\n".join(tally.failures[:30])
