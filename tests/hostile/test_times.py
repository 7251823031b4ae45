"""Dates that somebody else wrote: none of them ends in an OverflowError, and arithmetic on them saturates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import fuzz

from reconciler.model import EARLIEST, LATEST, shift

ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(timezones=ZONES) | st.sampled_from(
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
    ]
)


@pytest.mark.attack("API or proxy")
@fuzz(500)
@given(INSTANTS, st.timedeltas() | st.sampled_from([timedelta.min, timedelta.max, timedelta(0)]))
def test_an_instant_moves_within_the_calendar(instant: datetime, delta: timedelta) -> None:
    moved = shift(instant, delta)
    assert moved.tzinfo is UTC
    seconds = (instant - EARLIEST).total_seconds() + delta.total_seconds()
    last = (LATEST - EARLIEST).total_seconds()
    assert (moved - EARLIEST).total_seconds() == pytest.approx(min(max(seconds, 0.0), last), abs=0.01)


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize(
    ("instant", "delta", "moved"),
    [
        (LATEST, timedelta(microseconds=1), LATEST),
        (EARLIEST, timedelta(microseconds=-1), EARLIEST),
        (LATEST, timedelta.min, EARLIEST),
        (EARLIEST, timedelta.max, LATEST),
        (datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=1))), timedelta(1), datetime(2026, 3, 2, tzinfo=UTC)),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), timedelta(0), EARLIEST),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))), timedelta(0), LATEST),
    ],
)
def test_where_the_calendar_ends_an_instant_stays(instant: datetime, delta: timedelta, moved: datetime) -> None:
    assert shift(instant, delta) == moved
