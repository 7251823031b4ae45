"""SIGKILL of the command line at one of its effects, over HTTP, files and all."""

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.faults.kills import STORIES, count_effects, judge_kill

PARTS = 6


def judge_kills(folder: Path, story: str, points: Iterable[int]) -> None:
    killed = {point: judge_kill(folder / str(point), story, point) for point in points}
    assert {point: found.failures for point, found in killed.items() if found.failures} == {}
    assert all(found.searched for found in killed.values())


@pytest.mark.parametrize("story", STORIES)
def test_a_killed_process_leaves_nothing_that_the_next_does_not_put_right(tmp_path: Path, story: str) -> None:
    total = count_effects(tmp_path / "count", story)
    assert total > 50
    judge_kills(tmp_path, story, random.Random(story).sample(range(total), 8))


@pytest.mark.torture
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("part", range(PARTS))
def test_so_it_is_at_every_kill_point(tmp_path: Path, story: str, part: int) -> None:
    judge_kills(tmp_path, story, range(part, count_effects(tmp_path / "count", story), PARTS))
