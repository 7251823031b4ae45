"""Dates in the past: whose they may be."""

import pytest
from support.states import NOW, days, desired, key, live

from reconciler.plan.expiry import find_past_dates

PAST = NOW - days(2)
FILE = desired(key("payments", expires_at=PAST), key("later", expires_at=NOW + days(1)), key("never"))


@pytest.mark.parametrize(
    ("alive", "refused"),
    [
        (None, "so a new key would be unusable"),
        ((), "and the key does not exist yet"),
        ((live("payments", of="payments", expires_at=PAST),), None),
        ((live("payments", of="payments"),), "the live key payments never expires"),
        ((live("payments", of="payments", expires_at=NOW + days(9)),), "the live key payments expires on 2026-11-30"),
        ((live("payments", expires_at=PAST),), "and the key does not exist yet"),
        ((live("payments", of="payments", stack="other", expires_at=PAST),), "and the key does not exist yet"),
        (
            (
                live("payments", of="payments", expires_at=PAST),
                live("payments-g2", of="payments", generation=2),
            ),
            "the live key payments-g2 never expires",
        ),
    ],
)
def test_a_past_date_is_refused_unless_the_newest_generation_has_it(alive, refused):
    found = find_past_dates(FILE, alive, NOW)
    if refused is None:
        assert found.findings == ()
        assert [note.address for note in found.notes] == ["key.payments"]
    else:
        (finding,) = found.findings
        assert refused in finding.message
        assert finding.path.endswith(".expires_at")
        assert found.notes == ()


def test_a_key_that_is_to_be_taken_over_is_live():
    file = desired(key("payments", expires_at=PAST, adopt="portal-made"))
    assert find_past_dates(file, (live("portal-made", expires_at=PAST),), NOW).findings == ()
    assert len(find_past_dates(file, (live("portal-made"),), NOW).findings) == 1


def test_a_date_is_over_in_the_instant_that_it_names():
    file = desired(key("payments", expires_at=NOW))
    assert len(find_past_dates(file, None, NOW).findings) == 1
    assert find_past_dates(file, None, NOW - days(1)).findings == ()
