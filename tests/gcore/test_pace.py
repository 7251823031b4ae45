"""How fast an API is asked whose limits nobody knows: in simulations, without threads and without waiting."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rate_limits import Limit, NoLimit, TokenBucket, Window, work_at_one_pace

from reconciler.gcore.pace import PATIENCE, Pace

LIMITS: dict[str, tuple[Callable[[], Limit], float]] = {
    "100 in 10 seconds": (lambda: Window(100, 10), 90),
    "60 a minute": (lambda: Window(60, 60), 960),
    "10 a second after a burst of 100": (lambda: TokenBucket(10, 100), 90),
    "10 a second, no burst": (lambda: TokenBucket(10, 1), 100),
}


@pytest.mark.parametrize("says_when", [True, False], ids=["with Retry-After", "without"])
@pytest.mark.parametrize("workers", [1, 10, 32])
@pytest.mark.parametrize("name", LIMITS)
def test_a_thousand_requests_all_get_through_a_limit_with_few_refusals(
    name: str, workers: int, says_when: bool
) -> None:
    limit, shortest = LIMITS[name]
    course = work_at_one_pace(limit(), jobs=1000, workers=workers, says_when=says_when)
    assert course.given_up == 0
    # A Retry-After of one whole second, of an API that takes ten a second, costs time.
    assert shortest <= round(course.seconds) <= shortest * (2 if name.endswith("no burst") else 1.3)
    assert course.refused <= 260


def test_the_figures_for_a_thousand_creates_at_100_in_10_seconds() -> None:
    course = work_at_one_pace(Window(100, 10), jobs=1000, workers=10, says_when=True)
    assert (course.given_up, course.refused < 40, course.seconds < 105) == (0, True, True)


def test_it_is_as_fast_as_ever_again_soon_after_the_limit_is_gone() -> None:
    pace = Pace(10)
    limited = work_at_one_pace(TokenBucket(10, 1), jobs=200, workers=10, says_when=False, pace=pace)
    assert pace.limit < 10 or pace.distance > 0.05
    free = work_at_one_pace(NoLimit(), jobs=2000, workers=10, says_when=False, pace=pace, start=limited.seconds)
    assert (pace.limit, pace.distance, pace.not_before) == (10, 0.0, 0.0)
    assert free.seconds < 30
    untouched = work_at_one_pace(NoLimit(), jobs=1000, workers=10, says_when=False)
    again = work_at_one_pace(NoLimit(), jobs=1000, workers=10, says_when=False, pace=pace, start=1000.0)
    assert again.seconds == pytest.approx(untouched.seconds, rel=0.05)


def test_nobody_sends_before_the_instant_that_one_of_them_was_told() -> None:
    course = work_at_one_pace(Window(20, 7), jobs=60, workers=10, says_when=True)
    gaps = [(before, after) for before, after in pairwise(course.starts) if after - before > 1]
    assert [int(after // 7) for _, after in gaps] == [1, 2][: len(gaps)]
    assert gaps


def test_a_round_of_refusals_halves_once_and_each_limit_of_answers_adds_one() -> None:
    pace = Pace(10)
    assert [refuse(pace, sent_in=0) for _ in range(10)] == [True] + [False] * 9
    assert pace.limit == 5
    grown = []
    for _ in range(5 + 6 + 7 + 8 + 9):
        before = pace.limit
        has_grown = pace.note_passed(1)
        grown.append(pace.limit)
        assert has_grown is (pace.limit > before)
    assert [grown.index(limit) + 1 for limit in (6, 7, 8, 9, 10)] == [5, 11, 18, 26, 35]


def test_one_request_at_a_time_is_always_allowed() -> None:
    pace = Pace(64)
    limits = []
    for _ in range(9):
        refuse(pace, sent_in=pace.round)
        limits.append(pace.limit)
    assert limits == [32, 16, 8, 4, 2, 1, 1, 1, 1]


def test_what_the_api_asks_for_is_cut_at_a_minute_and_never_shortened_by_another_answer() -> None:
    pace = Pace(4)
    refuse(pace, retry_after=100_000.0)
    assert pace.pause(0.0) == 60.375
    refuse(pace, retry_after=1.0)
    assert pace.pause(0.0) == 60.375
    refuse(pace, sent_in=1, at=70.0)
    assert pace.pause(70.0) == 0.75


def test_an_api_that_lets_nothing_through_for_long_is_shut_until_it_is_tried_again() -> None:
    pace = Pace(2)
    now = 0.0
    while not pace.is_shut(now):
        now += pace.pause(now)
        refuse(pace, sent_in=pace.round, at=now)
    assert PATIENCE <= now < PATIENCE + 8
    now += pace.pause(now)
    assert not pace.is_shut(now)
    refuse(pace, sent_in=pace.round, at=now)
    assert pace.is_shut(now)
    pace.note_passed(pace.round)
    assert not pace.is_shut(now)


def test_a_server_that_is_busy_now_and_then_does_not_slow_everything_down() -> None:
    pace = Pace(10)
    for at in (0.0, 30.0, 60.0):
        pace.note_refused(pace.round, at, too_often=False, retry_after=None, chance=0.5)
        pace.note_passed(pace.round)
    assert pace.distance == 0.0


def test_an_idle_time_between_two_refusals_is_not_taken_for_a_slow_api() -> None:
    pace = Pace(10)
    refuse(pace, at=0.0)
    pace.note_passed(1)
    refuse(pace, sent_in=1, at=600.0)
    assert pace.distance == 0.0
    pace.note_passed(2)
    refuse(pace, sent_in=2, at=660.0)
    assert pace.distance == 0.5


def refuse(
    pace: Pace, *, sent_in: int = 0, at: float = 0.0, retry_after: float | None = None, chance: float = 0.5
) -> bool:
    return pace.note_refused(sent_in, at, too_often=True, retry_after=retry_after, chance=chance)


STEPS = st.lists(st.tuples(st.sampled_from(["send", "pass", "refuse", "busy"]), st.floats(0, 100)), max_size=60)


@given(st.integers(-1, 70), STEPS)
def test_whatever_happens_the_limit_and_all_waits_stay_within_bounds(most: int, steps: list[tuple[str, float]]) -> None:
    pace, now = Pace(most), 0.0
    for step, number in steps:
        now += number / 10
        match step:
            case "send":
                pace.note_sent(now)
            case "pass":
                pace.note_passed(pace.round)
            case _:
                sent_in = pace.round - int(number) % 2
                pace.note_refused(sent_in, now, too_often=step == "refuse", retry_after=number, chance=0.999)
        assert 1 <= pace.limit <= pace.most == max(1, most)
        assert 0 <= pace.distance <= 0.5
        assert 0 <= pace.pause(now) <= 68.0
