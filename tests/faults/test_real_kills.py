"""SIGKILL of the command line at one of its effects, over HTTP, files and all; a seeded part of the kill points."""

import random
from pathlib import Path

import pytest
from support.faults.kills import STORIES, count_effects, judge_kill

pytestmark = pytest.mark.torture

SAMPLE = 12


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("part", range(4))
def test_a_killed_process_leaves_nothing_that_the_next_does_not_put_right(
    tmp_path: Path, story: str, part: int
) -> None:
    total = count_effects(tmp_path / "count", story)
    points = random.Random(f"{story} {part}").sample(range(total), SAMPLE // 4)
    failures = {point: judge_kill(tmp_path / str(point), story, point) for point in points}
    assert not any(failures.values()), failures
