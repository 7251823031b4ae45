"""Beyond one fault in the likeliest world: other worlds, two faults, others at work meanwhile. A seeded part."""

import random

import pytest
from support.faults.cases import Tally, judge_double, judge_single, pass_through, prepare, singles
from support.faults.meetings import judge_portal_edit, judge_two_processes
from support.faults.scenarios import BY_NAME, SCENARIOS, Scenario
from support.states import desired, key

from reconciler.emulator import Modes

pytestmark = pytest.mark.torture

SEED = 20261121
MODES = Modes.pairwise()


@pytest.mark.parametrize("number", range(1, len(MODES)))
def test_every_promise_holds_in_every_mode(number: int) -> None:
    chance = random.Random(SEED + number)
    tally = Tally()
    for scenario in chance.sample(SCENARIOS, 2):
        prepared = prepare(scenario, MODES[number])
        done = pass_through(prepared)
        for injection in chance.sample(list(singles(done)), 10):
            judge_single(prepared, done, injection, tally)
    assert not tally.failures, f"{MODES[number]}\n" + "\n".join(tally.failures[:30])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_every_promise_holds_under_two_faults(scenario: Scenario) -> None:
    chance = random.Random(f"{SEED} {scenario}")
    prepared = prepare(scenario, Modes())
    tally = Tally()
    done = pass_through(prepared)
    for first in chance.sample(list(singles(done)), 4):
        judge_double(prepared, done, first, lambda found: chance.sample(found, min(4, len(found))), tally)
    assert not tally.failures, "\n".join(tally.failures[:30])


TOGETHER = {
    "expiry, cut at once": desired(
        key("payments", "llama3", "whisper", overlap=BY_NAME["expiry, cut at once"].after.keys[0].overlap)
    ),
    "first create": BY_NAME["first create"].after,
    "a removed key": BY_NAME["a removed key"].before,
}


@pytest.mark.parametrize("name", TOGETHER)
def test_two_processes_with_files_of_their_own_break_no_promise(name: str) -> None:
    prepared = prepare(BY_NAME[name], Modes())
    tally = Tally()
    for at in range(0, len(pass_through(prepared).ran.trace) + 1, 3):
        judge_two_processes(prepared, prepared.scenario.after, at, tally)
    assert not tally.failures, "\n".join(tally.failures[:30])


@pytest.mark.parametrize("name", ["expiry, cut at once", "first create", "a removed key"])
def test_an_edit_in_the_portal_survives_wherever_it_can(name: str) -> None:
    prepared = prepare(BY_NAME[name], Modes())
    tally = Tally()
    for at in range(len(pass_through(prepared).ran.trace) + 1):
        judge_portal_edit(prepared, at, tally)
    assert not tally.failures, "\n".join(tally.failures[:30])
