"""Times as people say them."""

from datetime import timedelta

import pytest
from report.builders import NOW

from reconciler.report.times import elapsed, relative, span


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(0), "0 seconds"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=119), "119 seconds"),
        (timedelta(minutes=2), "2 minutes"),
        (timedelta(minutes=119, seconds=59), "119 minutes"),
        (timedelta(hours=2), "2 hours"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(days=2), "2 days"),
        (timedelta(days=99), "99 days"),
        (timedelta(days=100), "3 months"),
        (timedelta(days=729), "24 months"),
        (timedelta(days=731), "2 years"),
        (timedelta(days=-41), "41 days"),
    ],
)
def test_a_span_is_told_in_the_unit_that_keeps_it_exact_enough(length, said):
    assert span(length) == said


@pytest.mark.parametrize(
    ("offset", "said"),
    [(timedelta(days=41), "in 41 days"), (timedelta(hours=-3), "3 hours ago"), (timedelta(milliseconds=9), "now")],
)
def test_an_instant_is_told_from_now(offset, said):
    assert relative(NOW + offset, NOW) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0.0s"), (0.44, "0.4s"), (9.96, "10s"), (59.4, "59s"), (59.6, "1m 00s"), (185, "3m 05s")]
)
def test_how_long_a_step_took(seconds, said):
    assert elapsed(seconds) == said
