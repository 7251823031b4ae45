"""A sink that keeps failing does not fill the project with keys; `make failing` measures it with more runs."""

from __future__ import annotations

import pytest
from support.faults.failing import (
    FAILURES,
    HOUR,
    MOST_LIVE,
    STATE,
    STORIES,
    Failure,
    count_live,
    let_it_fail,
    make_world,
)
from support.faults.run import run_once

from reconciler.plan.changes import Rotate

RUNS = 5
MOST_UNKNOWN = 3
FOUND_BEFORE_A_CREATE = (
    *(
        "disk is full",
        "quota is used up (EDQUOT)",
        "(EIO)",
        "(EROFS)",
        "(EACCES)",
        "cannot be locked",
        "renamed (EPERM)",
    ),
    *("`check`", "reading is denied", "out of reach"),
)


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("failure", FAILURES, ids=str)
def test_a_sink_that_never_works_leaves_two_generations_at_most(failure: Failure, story: str) -> None:
    """Where nobody knows whether a secret was saved, its generation stays, up to three in a row.

    Then the key waits for a person, who rotates it once the sink works again. All others go.
    """
    world = make_world(failure, story)
    left = let_it_fail(failure, story, world, RUNS)
    if failure.is_known:
        assert left.most <= MOST_LIVE
        assert left.failed == RUNS
    if any(words in failure.name for words in FOUND_BEFORE_A_CREATE):
        assert left.made == 0
    assert left.most <= MOST_LIVE + MOST_UNKNOWN
    recovered = run_once(world, STATE)
    if not failure.is_known and recovered.code == 1:  # it is held up: three publications in a row had no known outcome
        assert left.made == MOST_UNKNOWN
        assert run_once(world, STATE, demand=Rotate(frozenset({"payments"}))).code == 0
    else:
        assert recovered.code == 0
    world.clock.advance(3 * HOUR.total_seconds())
    assert run_once(world, STATE).code == 0
    assert count_live(world) == 1
    assert run_once(world, STATE).writes == []
