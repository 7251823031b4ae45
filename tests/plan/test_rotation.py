"""Rotation, planned: when it is due, what follows, what an overlap goes through, and rotations by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from plan.test_rules import told
from support.fuzzing import simulated
from support.simulation import simulate
from support.states import NOW, bound_to, days, declared, desired, endpoint, key, live, ref, snapshot

from reconciler.model import Auth, DesiredKey, DesiredState, Phase, Snapshot, Warnings
from reconciler.plan import compute_plan
from reconciler.plan.changes import Bind, CreateGeneration, Demand, Rotate, UpdateKey
from reconciler.plan.due import list_due
from reconciler.plan.survey import compute_standing
from reconciler.report.status_table import render_status

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
OTHER = live("other")
ROTATES = [
    "create:payments-g2: {}",
    "bind:deployment.llama3 [payments-g2 generation_succeeds]",
    "publish:payments-g2: {}",
]


def world(**traits: object) -> Snapshot:
    """`payments`, live, bound and in its sink."""
    return snapshot(
        live("payments", of="payments", **traits),  # type: ignore[arg-type]
        OTHER,
        endpoint("llama3", "other", "payments"),
        endpoint("whisper", "other"),
        held=["payments"],
    )


def changes(state: DesiredState, before: Snapshot, at: datetime = NOW, demand: Demand | None = None) -> list[str]:
    """The plan's changes, a line each."""
    plan = compute_plan(state, before, at, demand)
    assert plan.refusals == ()
    return told(plan.changes)


def rotates(reason: str) -> list[str]:
    """What a rotation with an overlap takes."""
    return [line.format(reason) for line in ROTATES]


# --- Due --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "every", "due"),
    [
        (days(60), days(60), True),
        (days(61), days(60), True),
        (days(60) - SECOND, days(60), False),
        (days(400), None, False),
    ],
)
def test_a_generation_as_old_as_every_is_replaced(age: timedelta, every: timedelta | None, due: bool) -> None:
    state = desired(key("payments", "llama3", every=every))
    assert changes(state, world(since=NOW - age)) == (rotates("rotation_is_due") if due else [])


@pytest.mark.parametrize("left", [timedelta(0), days(6), days(7), -days(3)])
def test_a_generation_that_would_expire_within_the_overlap_is_replaced(left: timedelta) -> None:
    state = desired(key("payments", "llama3", lifetime=days(90), overlap=days(7)))
    found = changes(state, world(since=NOW + left - days(90), expires_at=NOW + left))
    assert found[:3] == rotates("expiry_is_near")
    retired = ["unbind:deployment.llama3 [payments generation_has_expired]", "delete:payments: generation_has_expired"]
    assert found[3:] == (retired if left <= timedelta(0) else [])


def test_one_that_would_not_is_left_alone() -> None:
    state = desired(key("payments", "llama3", lifetime=days(90), overlap=days(7)))
    assert changes(state, world(since=NOW - days(80), expires_at=NOW + days(7) + SECOND)) == []


def test_each_generation_gets_its_lifetime_from_when_it_is_made() -> None:
    state = desired(key("payments", "llama3", every=days(60), overlap=days(7), lifetime=days(90)))
    plan = compute_plan(state, world(since=NOW - days(60), expires_at=NOW + days(30)), NOW)
    made = next(change for change in plan.changes if isinstance(change, CreateGeneration))
    assert made.expires_at == NOW + days(90)
    assert [(diff.path, diff.desired) for diff in made.diff] == [
        ("generation", "payments-g2"),
        ("expires_at", "2027-02-19T10:00:00Z"),
    ]


def test_a_lifetime_that_is_new_or_shorter_replaces_what_outlives_it() -> None:
    state = desired(key("payments", "llama3", lifetime=days(90)))
    assert changes(state, world(since=NOW - days(1))) == rotates("lifetime_differs")
    assert changes(state, world(since=NOW - days(1), expires_at=NOW + days(200))) == rotates("lifetime_differs")


def test_a_generation_that_outlives_it_by_hours_is_left_alone() -> None:
    """A clock was wrong when it was made: it would be when the next is made, too."""
    state = desired(key("payments", "llama3", lifetime=days(90)))
    assert changes(state, world(since=NOW - days(1), expires_at=NOW + days(90))) == []
    assert changes(state, world(since=NOW - days(1), expires_at=NOW + days(90) + SECOND)) == rotates("lifetime_differs")


def test_a_lifetime_that_is_longer_waits_for_the_next_rotation() -> None:
    state = desired(key("payments", "llama3", lifetime=days(90)))
    assert changes(state, world(since=NOW - days(1), expires_at=NOW + days(20))) == []


def test_without_a_lifetime_any_more_the_key_no_longer_expires() -> None:
    assert changes(desired(key("payments", "llama3")), world(expires_at=NOW + days(20))) == rotates("expiry_differs")


def test_an_instant_that_every_generation_has_is_no_reason_to_rotate_again_and_again() -> None:
    """A new generation would expire no later."""
    expiry = NOW + days(3)
    state = desired(key("payments", "llama3", expires_at=expiry, every=days(60), overlap=days(7)))
    before = world(since=NOW - days(10), expires_at=expiry)
    assert changes(state, before) == []
    assert [note.code for note in compute_plan(state, before, NOW).expiring] == ["key_expires_soon"]


def test_a_key_taken_over_rotates_when_it_has_been_owned_for_so_long() -> None:
    state = desired(key("payments", "llama3", adopt="portal-made", every=days(60)))
    before = snapshot(
        live("portal-made", created_at=NOW - days(500)), OTHER, endpoint("llama3", "other", "portal-made")
    )
    adopted = simulate(compute_plan(state, before, NOW), before, NOW)
    assert changes(state, before) == ["update:portal-made: key_is_adopted"]
    assert changes(state, adopted, NOW + days(59)) == []
    assert changes(state, adopted, NOW + days(60)) == rotates("rotation_is_due")


# --- In an overlap ----------------------------------------------------------------------------------------------------

FILE = key("payments", "llama3", every=days(60), overlap=days(7))


@pytest.fixture
def overlapping() -> Snapshot:
    """Just rotated."""
    before = world(since=NOW - days(60))
    return simulate(compute_plan(desired(FILE), before, NOW), before, NOW)


def test_both_stay_valid_for_the_overlap_and_then_the_old_one_goes(overlapping: Snapshot) -> None:
    assert changes(desired(FILE), overlapping, NOW + days(7) - SECOND) == []
    assert changes(desired(FILE), overlapping, NOW + days(7)) == [
        "unbind:deployment.llama3 [payments overlap_is_over]",
        "delete:payments: overlap_is_over",
    ]


def test_a_binding_added_is_both_ones(overlapping: Snapshot) -> None:
    """Whoever still has the old secret may call what the file binds, as long as the overlap lasts."""
    state = desired(key("payments", "llama3", "whisper", every=days(60), overlap=days(7)))
    assert changes(state, overlapping) == [
        "bind:deployment.whisper [payments binding_is_declared, payments-g2 binding_is_declared]"
    ]


def test_a_binding_removed_is_taken_off_both(overlapping: Snapshot) -> None:
    state = desired(key("payments", every=days(60), overlap=days(7)))
    assert changes(state, overlapping) == [
        "unbind:deployment.llama3 [payments binding_is_not_declared, payments-g2 binding_is_not_declared]"
    ]


def test_the_key_removed_takes_both_away(overlapping: Snapshot) -> None:
    assert changes(desired(allow_empty=True), overlapping) == [
        "unbind:deployment.llama3 [payments key_is_not_declared, payments-g2 key_is_not_declared]",
        "remove-record:local/payments: key_is_not_declared",
        "delete:payments: key_is_not_declared",
        "delete:payments-g2: key_is_not_declared",
    ]


def test_an_overlap_changed_counts_from_the_same_moment(overlapping: Snapshot) -> None:
    shorter = desired(key("payments", "llama3", every=days(60), overlap=days(2)))
    longer = desired(key("payments", "llama3", every=days(60), overlap=days(9)))
    assert changes(shorter, overlapping, NOW + days(2)) != []
    assert changes(longer, overlapping, NOW + days(8)) == []
    assert changes(desired(key("payments", "llama3", overlap=timedelta(0))), overlapping) != []


def test_the_file_reverted_leaves_the_overlap_to_pass(overlapping: Snapshot) -> None:
    state = desired(key("payments", "llama3", overlap=days(7)))
    assert changes(state, overlapping, NOW + days(1)) == []
    assert len(changes(state, overlapping, NOW + days(7))) == 2


def test_an_overlap_that_an_expiry_cuts_short_is_not_promised() -> None:
    """An apply that comes late leaves less than the overlap to a generation with a lifetime."""
    state = desired(key("payments", "llama3", lifetime=days(30), overlap=days(2)))
    before = world(since=NOW - days(29), expires_at=NOW + days(1))
    plan = compute_plan(state, before, NOW)
    after = compute_plan(state, simulate(plan, before, NOW), NOW)
    assert [note.sentence for note in (*plan.notes, *after.notes)] == [
        "payments stays valid until it expires on 2026-11-22T10:00:00Z, before its overlap ends; "
        "a later apply retires it",
        "payments stays valid until 2026-11-22T10:00:00Z; a later apply retires it",
    ]


def test_a_second_rotation_leaves_the_first_ones_overlap_as_it_is(overlapping: Snapshot) -> None:
    demand, later = Rotate(frozenset({"payments"})), NOW + days(3)
    plan = compute_plan(desired(FILE), overlapping, later, demand)
    assert told(plan.changes) == [
        "create:payments-g3: rotation_is_asked",
        "bind:deployment.llama3 [payments-g3 generation_succeeds]",
        "publish:payments-g3: rotation_is_asked",
    ]
    three = simulate(plan, overlapping, later)
    assert changes(desired(FILE), three, NOW + days(7)) == [
        "unbind:deployment.llama3 [payments overlap_is_over]",
        "delete:payments: overlap_is_over",
    ]
    assert len(changes(desired(FILE), three, NOW + days(10))) == 3


def test_an_overlap_begins_when_every_sink_has_the_new_secret() -> None:
    """A partial generation replaced nothing: the sink that it did not reach still holds the one before."""
    state = desired(key("payments", "llama3", sinks=["ci"], overlap=days(1)))
    before = snapshot(
        live("payments", of="payments", since=NOW - days(90)),
        live("payments-g2", of="payments", generation=2, phase=Phase.PARTIAL, since=NOW - days(30)),
        endpoint("llama3", "payments", "payments-g2"),
        unreadable=["ci"],
    )
    plan = compute_plan(state, before, NOW)
    assert told(plan.changes) == [
        "create:payments-g3: publication_is_uncertain",
        "bind:deployment.llama3 [payments-g3 generation_succeeds]",
        "publish:payments-g3: publication_is_uncertain",
    ]
    after = simulate(plan, before, NOW)
    assert changes(state, after, NOW + days(1) - SECOND) == []
    assert changes(state, after, NOW + days(1))[1:] == [
        "delete:payments: overlap_is_over",
        "delete:payments-g2: overlap_is_over",
    ]


# --- Asked for --------------------------------------------------------------------------------------------------------


def test_what_is_asked_for_is_all_that_changes() -> None:
    """Other keys, and the endpoints' own settings, stay as they are, whatever the file says of them."""
    state = desired(
        key("payments", "llama3"),
        key("search", "nowhere", text="new words"),
        endpoints=[declared("whisper", Auth.OPEN), declared("llama3", exclusive=True)],
    )
    before = snapshot(
        live("payments", of="payments"),
        live("search", of="search"),
        live("gone", of="gone"),
        OTHER,
        endpoint("llama3", "other", "payments", "gone"),
        endpoint("whisper", "search"),
        held=["payments", "search"],
    )
    plan = compute_plan(state, before, NOW, Rotate(frozenset({"payments"})))
    assert plan.refusals == ()
    assert told(plan.changes) == rotates("rotation_is_asked")
    after = simulate(plan, before, NOW)
    assert [one for one in after.keys if one.name in ("search", "gone", "other")] == [
        one for one in before.keys if one.name in ("search", "gone", "other")
    ]


def revoke(state: DesiredState, before: Snapshot, at: datetime = NOW) -> list[str]:
    return changes(state, before, at, Rotate(frozenset({"payments"}), revoke=True))


def test_a_leaked_secret_is_cut_in_the_run_that_replaces_it(overlapping: Snapshot) -> None:
    """Every earlier generation is cut, even one in its overlap: nobody knows which of them leaked."""
    assert revoke(desired(FILE), overlapping) == [
        "create:payments-g3: key_is_revoked",
        "bind:deployment.llama3 [payments-g3 generation_succeeds]",
        "update:payments: key_is_revoked",
        "update:payments-g2: key_is_revoked",
        "publish:payments-g3: key_is_revoked",
        "unbind:deployment.llama3 [payments key_is_revoked, payments-g2 key_is_revoked]",
        "delete:payments: key_is_revoked",
        "delete:payments-g2: key_is_revoked",
    ]


def test_what_leaked_is_an_exposure_until_it_is_cut(overlapping: Snapshot) -> None:
    """Also in the plan of whoever only finishes it."""
    demand = Rotate(frozenset({"payments"}), revoke=True)
    plan = compute_plan(desired(FILE), overlapping, NOW, demand)
    assert [(note.code, note.address, note.sentence) for note in plan.exposures] == [
        (
            "leaked_secret_opens",
            "key.payments",
            "the leaked secret (payments, payments-g2) opens deployment.llama3; it stops working"
            " once payments-g3 is published, without an overlap",
        )
    ]
    finishing = snapshot(
        live("payments", of="payments", phase=Phase.REVOKED),
        live("payments-g2", of="payments", generation=2, since=NOW),
        endpoint("llama3", "payments", "payments-g2"),
        held=["payments-g2"],
    )
    plan = compute_plan(desired(FILE), finishing, NOW)
    assert [note.sentence.partition("; ")[2] for note in plan.exposures] == [
        "it stops working with this plan, without an overlap"
    ]
    status = compute_standing(desired(FILE), finishing, NOW)
    assert status.leaked == ("payments",)
    assert "1 live key is REVOKED, but still working: payments. Run apply." in render_status(status, colour=False)
    after = simulate(plan, finishing, NOW)
    assert compute_plan(desired(FILE), after, NOW).exposures == ()
    assert compute_standing(desired(FILE), after, NOW).leaked == ()


def test_the_new_one_is_published_before_the_old_one_is_cut() -> None:
    plan = compute_plan(desired(FILE), world(), NOW, Rotate(frozenset({"payments"}), revoke=True))
    waits = {str(change.id): [str(each) for each in change.depends_on] for change in plan.changes}
    assert waits["unbind payments deployment.llama3"] == ["publish payments-g2"]
    assert waits["publish payments-g2"] == [
        "create_generation payments-g2",
        "update_key payments",
        "bind payments-g2 deployment.llama3",
    ]


def test_a_revocation_that_was_cut_short_is_completed_by_any_apply() -> None:
    """It is on the live key, so the next run knows of it, and knows when it began."""
    state, before = desired(FILE), world(since=NOW - days(5))
    plan = compute_plan(state, before, NOW, Rotate(frozenset({"payments"}), revoke=True))
    marking = next(change for change in plan.changes if isinstance(change, UpdateKey))
    assert marking.ownership.phase is Phase.REVOKED
    assert marking.ownership.since == NOW - days(5), "it keeps telling since when it is in use"
    marked = world(phase=Phase.REVOKED, since=NOW - days(5))
    assert changes(state, marked) == [
        *rotates("key_is_revoked"),
        "unbind:deployment.llama3 [payments key_is_revoked]",
        "delete:payments: key_is_revoked",
    ]
    published = snapshot(
        live("payments", of="payments", phase=Phase.REVOKED),
        live("payments-g2", of="payments", generation=2, since=NOW),
        endpoint("llama3", "payments", "payments-g2"),
        held=["payments-g2"],
    )
    assert changes(state, published) == [
        "unbind:deployment.llama3 [payments key_is_revoked]",
        "delete:payments: key_is_revoked",
    ]


def test_a_revoked_key_stays_until_its_successor_is_in_every_sink() -> None:
    """Its successor reached one sink of two: the other still hands the revoked one out, and a third is made first."""
    state = desired(key("payments", "llama3", sinks=["local", "vault"]))
    before = snapshot(
        live("payments", of="payments", phase=Phase.REVOKED),
        live("payments-g2", of="payments", generation=2, phase=Phase.PARTIAL),
        endpoint("llama3", "payments", "payments-g2"),
        held=["payments-g2"],
        more_sinks=["vault"],
    )
    plan = compute_plan(state, before, NOW)
    assert told(plan.changes) == [
        "create:payments-g3: secret_is_not_in_sink",
        "bind:deployment.llama3 [payments-g3 generation_succeeds]",
        "publish:payments-g3: secret_is_not_in_sink",
        "unbind:deployment.llama3 [payments key_is_revoked]",
        "delete:payments: key_is_revoked",
    ]
    assert all("publish payments-g3" in map(str, change.depends_on) for change in plan.changes[3:])


def test_a_key_that_is_only_now_taken_over_can_be_revoked() -> None:
    state = desired(key("payments", "llama3", adopt="portal-made"))
    before = snapshot(live("portal-made"), OTHER, endpoint("llama3", "other", "portal-made"))
    assert revoke(state, before) == [
        "create:payments-g2: key_is_revoked",
        "bind:deployment.llama3 [payments-g2 generation_succeeds]",
        "update:portal-made: key_is_adopted",
        "publish:payments-g2: key_is_revoked",
        "unbind:deployment.llama3 [portal-made key_is_revoked]",
        "delete:portal-made: key_is_revoked",
    ]


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_copy_of_a_key_under_its_own_name_is_not_the_stacks(is_recorded: bool) -> None:
    """Where names are not unique: what a sink has a record of tells which of the two it is, or nobody can."""
    state = desired(key("payments", "llama3", "whisper"))
    mine = live("payments", of="payments")
    copy = replace(mine, id="copy", created_at=NOW)
    before = snapshot(mine, OTHER, endpoint("llama3", "other", "payments"), endpoint("whisper", "other"))
    held = snapshot(mine, held=["payments"]).sinks if is_recorded else before.sinks
    plan = compute_plan(state, replace(before, keys=(copy, *before.keys), sinks=held), NOW)
    assert told(plan.changes) == (["bind:deployment.whisper [payments binding_is_declared]"] if is_recorded else [])
    assert bool(plan.unmet) is not is_recorded
    assert all(change.live.id != "copy" for change in plan.changes if isinstance(change, Bind))


def test_what_is_taken_over_gets_the_marker_of_its_key_in_place_of_one_that_nothing_bears_out() -> None:
    """A marker that was copied in the portal names another key: not as that is it taken over."""
    state = desired(key("payments", "llama3", adopt="portal-made"))
    before = snapshot(live("portal-made", of="search"), OTHER, endpoint("llama3", "other", "portal-made"))
    assert changes(state, before) == ["update:portal-made: key_is_adopted"]
    after = simulate(compute_plan(state, before, NOW), before, NOW)
    owners = [one.ownership.key for one in after.keys if one.ownership]
    assert owners == ["payments"]
    assert changes(state, after) == []


def test_what_is_asked_for_a_key_that_is_not_live_is_to_make_it() -> None:
    before = snapshot(OTHER, endpoint("llama3", "other"))
    assert revoke(desired(FILE), before)[0] == "create:payments: key_is_missing"


# --- Warned of --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "sentence"),
    [
        (days(31), ""),
        (days(30), "payments expires on 2026-12-21T10:00:00Z, in less than 30d, and no rotation is configured"),
        (days(8), "payments expires on 2026-11-29T10:00:00Z, in less than 30d, and no rotation is configured"),
        (days(7), "payments expires on 2026-11-28T10:00:00Z, in less than 7d, and no rotation is configured"),
        (timedelta(0), "payments expired on 2026-11-21T10:00:00Z, and no rotation is configured"),
    ],
)
def test_a_key_that_expires_without_rotation_is_warned_of(left: timedelta, sentence: str) -> None:
    plan = compute_plan(desired(key("payments", "llama3", expires_at=NOW + left)), world(expires_at=NOW + left), NOW)
    assert plan.is_empty
    assert [note.sentence.partition(": ")[0] for note in plan.expiring] == ([sentence] if sentence else [])
    assert plan.warnings == plan.notes == ()


def test_one_that_rotates_before_is_not_warned_of() -> None:
    state = desired(key("payments", "llama3", lifetime=days(9), overlap=days(1)))
    assert compute_plan(state, world(since=NOW - days(1), expires_at=NOW + days(8)), NOW).expiring == ()


@pytest.mark.parametrize("moment", [timedelta(0), SECOND])
def test_one_that_was_made_a_moment_ago_is_not_warned_of_however_short_its_lifetime(moment: timedelta) -> None:
    made = world(since=NOW, expires_at=NOW + days(10))
    state = desired(key("payments", "llama3", lifetime=days(10), overlap=days(2)))
    assert compute_plan(state, made, NOW + moment).expiring == ()
    assert compute_plan(state, made, NOW - moment).expiring == ()  # clocks differ by that much


def test_the_file_says_how_long_before() -> None:
    expiry = NOW + days(50)
    state = replace(desired(key("payments", "llama3", expires_at=expiry)), warnings=Warnings((days(60), days(1))))
    found = compute_plan(state, world(expires_at=expiry), NOW).expiring
    assert ["in less than 60d" in note.sentence for note in found] == [True]
    silent = replace(state, warnings=Warnings(()))
    assert compute_plan(silent, world(expires_at=expiry), NOW).expiring == ()


# --- Past its date ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("traits", "held"),
    [
        ({"since": NOW - days(30)}, ["payments"]),
        ({"since": NOW - days(30), "phase": Phase.REVOKED}, ["payments"]),
        ({"since": NOW - days(30)}, []),
    ],
    ids=["due", "revoked", "lost by its sink"],
)
def test_a_key_whose_date_is_over_is_reported_and_holds_nobody_up(traits: dict[str, Any], held: list[str]) -> None:
    """A new generation would be born expired, and a plan that is refused for it would stop the whole stack."""
    over = NOW - days(1)
    state = desired(key("payments", "llama3", expires_at=over, every=days(10)), key("search", "llama3"))
    before = snapshot(
        live("payments", of="payments", expires_at=over, **traits), OTHER, endpoint("llama3", "other", "payments"),
        held=held,
    )  # fmt: skip
    plan = compute_plan(state, before, NOW)
    assert plan.refusals == ()
    assert {change.address for change in plan.changes} == {"key.search"}
    assert [note.code for note in plan.expiring] == ["key_has_expired"]
    assert list_due(state, before, NOW, days(400)) == ()
    asked = compute_plan(state, before, NOW, Rotate(frozenset({"payments"})))
    assert ["in the past" in finding.message for finding in asked.unmet] == [True]
    assert not asked.changes


def test_no_rotation_is_announced_for_after_the_keys_own_date() -> None:
    state = desired(key("payments", "llama3", expires_at=NOW + days(5), every=days(10)))
    assert list_due(state, world(since=NOW, expires_at=NOW + days(5)), NOW, days(400)) == ()
    assert [due.due_at for due in list_due(state, world(since=NOW - days(6), expires_at=NOW + days(5)), NOW, days(9))]


def test_an_old_generation_goes_although_the_current_one_has_expired_as_well() -> None:
    """The endpoint had no valid key before, and keeps one that is not."""
    over = NOW - SECOND
    state = desired(key("payments", "llama3", expires_at=over, every=days(10)))
    before = snapshot(
        live("payments", of="payments", since=NOW - days(11), expires_at=over),
        live("payments-g2", of="payments", generation=2, since=NOW - days(1), expires_at=over),
        endpoint("llama3", "payments", "payments-g2"),
        held=["payments-g2"],
    )
    assert changes(state, before) == [
        "unbind:deployment.llama3 [payments overlap_is_over]",
        "delete:payments: overlap_is_over",
    ]


def test_what_is_listed_as_due_is_what_an_apply_does_then() -> None:
    """Not a second before, and in exactly that second."""
    files = [
        key("payments", "llama3", every=days(60), overlap=days(7)),
        key("payments", "llama3", every=days(60), overlap=days(7), lifetime=days(67)),
        key("payments", "llama3", lifetime=days(30), overlap=days(2)),
        key("payments", "llama3", every=days(3), overlap=days(7)),
        key("payments", "llama3", every=days(30), overlap=timedelta(0)),
        key("payments", "llama3", expires_at=NOW + days(40), every=days(30)),
    ]
    for file in files:
        expires = file.expires_at or (NOW + file.lifetime if file.lifetime else None)
        before = world(since=NOW, created_at=NOW, expires_at=expires)
        (due,) = list_due(desired(file), before, NOW, days(100))
        assert changes(desired(file), before, due.due_at - SECOND) == []
        assert changes(desired(file), before, due.due_at)[0] == f"create:payments-g2: {due.reason.code}"


# --- A year -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    [
        key("payments", "llama3", every=days(60), overlap=days(7)),
        key("payments", "llama3", every=days(60), overlap=days(7), lifetime=days(67) + HOUR),
        key("payments", "llama3", lifetime=days(30), overlap=days(2)),
        key("payments", "llama3", every=days(3), overlap=days(7)),
    ],
    ids=["every", "every and lifetime", "lifetime", "an overlap longer than every"],
)
def test_an_hourly_apply_is_the_whole_machinery(file: DesiredKey) -> None:
    """What the sink holds is always bound and never expired, and so is what it held an overlap ago: for a year."""
    state, now_live = desired(file), snapshot(OTHER, endpoint("llama3", "other"))
    held: list[tuple[datetime, str]] = []
    length = simulated(days(365))
    for now in (NOW + hour * HOUR for hour in range(length // HOUR)):
        plan = compute_plan(state, now_live, now)
        assert plan.refusals == ()
        now_live = simulate(plan, now_live, now)
        record = now_live.sinks["local"].records["payments"]
        if not held or held[-1][1] != record.live_name:
            held.append((now, record.live_name))
        valid = {one.name for one in now_live.keys if not one.is_expired(now)} & bound_to(now_live, ref("llama3"))
        replaced_at = {old: later for (_, old), (later, _) in pairwise(held)}
        for _, name in held:
            if name not in replaced_at or now < replaced_at[name] + file.overlap:
                assert name in valid, f"{name} at {now}"
        assert len(now_live.keys) <= 2 + 7 // 3 + 1
    every = file.every or (file.lifetime or days(0)) - file.overlap
    assert abs(len(held) - (1 + length // every)) <= 1
