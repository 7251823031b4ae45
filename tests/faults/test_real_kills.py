"""SIGKILL of the command line at one of its effects, over HTTP, files and all; in every scenario of the suite."""

import random
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from support.faults.cases import Tally
from support.faults.kills import (
    STORIES,
    checks_of_the_lock,
    count_points,
    judge_kill,
    judge_stop,
    make_ready,
    part_of_points,
)
from support.faults.sampling import SEED
from support.faults.scenarios import BY_NAME, SCENARIOS, Scenario
from support.faults.tables import GENERATIONS
from support.yaml_files import to_yaml

from reconciler.config import load_config

pytestmark = pytest.mark.no_cover

SHORT = 4
"""How many stories of each generation of the API each test run takes, beside those that are always there."""
ALWAYS = (
    "first create",
    "a leaked secret is revoked, with a sink that cannot be read back",
    "a leaked secret is revoked, with a sink that cannot be read back, v2",
)
OTHERS = {
    api: [n for n, story in STORIES.items() if story.scenario.api == api and n not in ALWAYS] for api in GENERATIONS
}
SAMPLE = (*ALWAYS, *chain(*(random.Random(SEED).sample(names, SHORT) for names in OTHERS.values())))
PARTS = 2
BUGS = {
    "publish before bind": ("first create", 3),
    "delete before the unbind is verified": ("a removed key", 6),
    "write the file in place": ("expiry, with overlap", 1),
    "cut the overlap": ("a rotation that is due", 3),
    "log the body in base64": ("expiry, cut at once", 4),
}
"""Where a bug shows when the process that has it is killed, and the promise that it breaks."""


def test_every_scenario_whose_sinks_are_on_this_machine_is_a_story_in_both_generations_of_the_api() -> None:
    left = BY_NAME.keys() - STORIES.keys()
    assert {kind for name in left for kind in BY_NAME[name].sinks.values()} >= {"cloud"}
    assert all({"cloud", "parameters", "vault"} & {*BY_NAME[name].sinks.values()} for name in left)
    assert {story.scenario.api for story in STORIES.values() if story.store_fails} == set(GENERATIONS)


@pytest.mark.parametrize("story", SAMPLE)
def test_a_killed_process_leaves_nothing_that_the_next_does_not_put_right(story: str) -> None:
    tally = Tally()
    judge_kill(story, random.Random(f"{SEED} {story}").randrange(count_points(story)), tally)
    tally.require_no_failures()
    assert tally.injected["kill"] == 1
    assert tally.searched > 0


@pytest.mark.torture
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("part", range(PARTS))
def test_so_it_is_at_every_kill_point(story: str, part: int) -> None:
    tally = Tally()
    for point in part_of_points(story, part, PARTS):
        judge_kill(story, point, tally)
    tally.require_no_failures()
    kept = {key.name for key in STORIES[story].scenario.after.keys}
    judged = {1, 2, 4, 5, 6, 7} | ({3} if kept else set())  # without a key there is nothing that could be refused
    assert judged <= {promise for promise, times in tally.evaluations.items() if times}


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=[] if bug == "publish before bind" else pytest.mark.torture) for bug in BUGS]
)
def test_a_bug_in_the_process_that_is_killed_is_caught(bug: str) -> None:
    story, promise = BUGS[bug]
    tally = Tally()
    for point in reversed(range(count_points(story))):  # the later, the more has happened
        judge_kill(story, point, tally, bug=bug)
        if any(failure.violation.promise == promise for failure in tally.failures):
            return
    pytest.fail("it was not caught; what was: " + "\n".join(map(str, tally.failures[:20])))


def test_a_process_is_killed_before_each_of_its_effects_and_in_the_middle_of_what_can_be_cut_in_two() -> None:
    points = make_ready("a leaked secret is revoked, with a sink that cannot be read back").points
    names = [point.partition(" ")[0] for point in points]
    assert {"send", "run", "create_file", "rename", "sync_folder", "remove_file", "lock_folder", "stat"} <= set(names)
    cut = [names[place - 1] for place, name in enumerate(names) if name == "halfway"]
    assert set(cut) == {"create_file", "run"}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_the_file_that_is_applied_says_what_the_scenario_says(scenario: Scenario, tmp_path: Path) -> None:
    sinks = {name: {"type": "dotenv", "path": f"{name}.env"} for name in scenario.sinks}
    file = tmp_path / "keyform.yaml"
    for stage in chain((stage for stage, _ in scenario.stages), [scenario.after]):
        file.write_text(to_yaml(stage, sinks))
        read = load_config([file], {})
        assert replace(read, sinks=()) == replace(stage, sinks=())


@pytest.mark.parametrize("story", SAMPLE)
def test_a_process_that_goes_on_after_its_lock_was_taken_over_writes_nothing(story: str) -> None:
    checks = checks_of_the_lock(story)
    if not checks:
        assert STORIES[story].scenario.refused or make_ready(story).points, story
        return
    tally = Tally()
    judge_stop(story, random.Random(f"stop {SEED} {story}").choice(checks), tally)
    tally.require_no_failures()


@pytest.mark.torture
@pytest.mark.parametrize("story", STORIES)
def test_so_it_is_at_every_check_of_the_lock(story: str) -> None:
    tally = Tally()
    for point in checks_of_the_lock(story):
        judge_stop(story, point, tally)
    tally.require_no_failures()
