"""Which stored values count as the requested ones, and how two similar texts are shown."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.states import NOW, days

from reconciler.model import Length, as_kept, is_kept, tell_apart

DATE = NOW + days(30)
HOURS = timedelta(hours=1)
WEEK = Length(days(7))


@pytest.mark.parametrize(
    ("asked", "kept", "is_as_asked"),
    [
        (None, None, True),
        (DATE, DATE, True),
        (DATE.replace(microsecond=9), DATE, True),
        (DATE, DATE + timedelta(seconds=1), False),
        (DATE, DATE - timedelta(seconds=1), False),
        (DATE, None, False),
        (None, DATE, False),
    ],
)
def test_a_date_is_kept_to_the_second_or_not_at_all(
    asked: datetime | None, kept: datetime | None, is_as_asked: bool
) -> None:
    assert is_kept(asked, kept, None, NOW) is is_as_asked


@pytest.mark.parametrize(
    ("lifetime", "overlap", "off_by", "is_as_asked"),
    [
        (days(30), days(7), timedelta(0), True),
        (days(30), days(7), days(1), True),
        (days(30), days(7), -days(1), True),
        (days(30), days(7), days(1) + timedelta(seconds=1), False),
        (days(30), days(7), -days(1) - timedelta(seconds=1), False),
        # As the lifetime leaves two hours before its overlap begins, so much has to be left of them.
        (26 * HOURS, 24 * HOURS, -1 * HOURS, True),
        (26 * HOURS, 24 * HOURS, -1.1 * HOURS, False),
        (26 * HOURS, 24 * HOURS, -3 * HOURS, False),
        (timedelta(minutes=30), timedelta(0), timedelta(0), True),
        (timedelta(minutes=30), timedelta(0), -timedelta(minutes=20), False),
        (12 * HOURS, timedelta(0), -13 * HOURS, False),
    ],
)
def test_of_a_length_a_day_is_tolerated_while_the_next_apply_would_not_replace_the_key(
    lifetime: timedelta, overlap: timedelta, off_by: timedelta, is_as_asked: bool
) -> None:
    asked = NOW + lifetime
    assert is_kept(asked, asked + off_by, Length(overlap), NOW) is is_as_asked


def test_a_length_that_never_ends_is_not_kept() -> None:
    assert not is_kept(DATE, None, WEEK, NOW)


def test_a_description_is_compared_composed_and_trimmed() -> None:
    assert as_kept(" \u00a0Zu\u0308rich\t") == "Z\u00fcrich"


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("a & b", "a &amp; b", ("a & b", "a &amp; b")),
        ("Z\u00fcrich", "Zurich", ("Z\\xfcrich", "Zurich")),
        ("Z\u00fcrich", "Bern", ("Z\u00fcrich", "Bern")),
        (
            "\u043a\u043b\u044e\u0447",
            "\u0437\u0430\u043c\u043e\u043a",
            ("\u043a\u043b\u044e\u0447", "\u0437\u0430\u043c\u043e\u043a"),
        ),
        ("pay", "p\u0430y", ("pay", "p\\u0430y")),
        ("a-b", "a\u2013b", ("a-b", "a\\u2013b")),
        ("ab", "a\u200bb", ("ab", "a\\u200bb")),
        ("a b", "a\u00a0b", ("a b", "a\\xa0b")),
        ("a b", "a  b", ("a b", "a␣␣b")),
        ("a", "a ", ("a", "a␣")),
        ("a␣␣b", "a  b", ("a\\u2423\\u2423b", "a␣␣b")),
        ("two  words", "three", ("two  words", "three")),
        ("a ", "a\\x20", ("a ", "a\\\\x20")),
    ],
)
def test_two_texts_that_look_alike_are_told_apart(one: str, other: str, shown: tuple[str, str]) -> None:
    assert tell_apart(one, other) == shown
    assert tell_apart(other, one) == shown[::-1]


@given(st.text(), st.text())
def test_texts_that_differ_are_shown_so(one: str, other: str) -> None:
    first, second = tell_apart(one, other)
    assert (first == second) == (one == other)
