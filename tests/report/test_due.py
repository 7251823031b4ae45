"""What falls due, as data and as text."""

from datetime import timedelta

from support.states import NOW, days, desired, endpoint, key, live, snapshot

from reconciler.plan.due import list_due
from reconciler.report.due import render_due

WORLD = snapshot(
    live("aged", of="aged", since=NOW - days(50)),
    live("brief", of="brief", since=NOW - days(1), expires_at=NOW + days(9)),
    live("fixed", of="fixed", expires_at=NOW + days(2)),
    live("late", of="late", since=NOW - days(90)),
    live("lost", of="lost"),
    endpoint("llama3", "aged"),
    held=["aged", "brief", "fixed", "late"],
)
FILE = desired(
    key("aged", every=days(60)),
    key("brief", lifetime=days(10), overlap=days(1)),
    key("fixed", expires_at=NOW + days(2)),
    key("late", every=days(60)),
    key("lost"),
    key("missing", every=days(1)),
)


def test_the_next_comes_first_and_what_is_due_already_is_due_now():
    found = list_due(FILE, WORLD, NOW, days(10))
    assert [(due.key, due.due_at - NOW, due.reason.code) for due in found] == [
        ("late", timedelta(0), "rotation_is_due"),
        ("lost", timedelta(0), "secret_is_not_in_sink"),
        ("brief", days(8), "expiry_is_near"),
        ("aged", days(10), "rotation_is_due"),
    ]
    assert [due.key for due in list_due(FILE, WORLD, NOW, days(9))] == ["late", "lost", "brief"]


def test_it_reads_as_a_list():
    assert render_due(list_due(FILE, WORLD, NOW, days(10)), NOW, days(10)) == (
        "2026-11-21T10:00:00Z  now         late   late was published on 2026-08-23T10:00:00Z, and"
        " rotation.every is 60d\n"
        "2026-11-21T10:00:00Z  now         lost   sink local does not hold the secret of lost\n"
        "2026-11-29T10:00:00Z  in 8 days   brief  it expires on 2026-11-30T10:00:00Z, and the overlap is 1d\n"
        "2026-12-01T10:00:00Z  in 10 days  aged   rotation.every is 60d\n"
        "\n"
        "The next apply after that time rotates the key.\n"
    )
    assert render_due((), NOW, days(10)) == "No rotation is due within 10d.\n"
