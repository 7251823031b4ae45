"""Whose a live key is, when anybody with access to the portal writes, copies or breaks markers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.states import NOW, days, declared, desired, endpoint, key, live, snapshot

from reconciler.model import (
    LiveKey,
    Ownership,
    Phase,
    SinkContents,
    SinkRecord,
    compose_description,
    read_claim,
    read_description,
)
from reconciler.plan import compute_plan
from reconciler.plan.changes import CreateGeneration, DeleteKey, Plan, Unbind, UpdateKey
from reconciler.plan.survey import compute_standing
from reconciler.report.status_html import status_to_html
from reconciler.report.status_json import status_to_json
from reconciler.report.status_table import render_status

MARKED = [
    pytest.param({"of": "payments", "generation": 7}, id="a later generation of a key that is declared"),
    pytest.param({"of": "payments"}, id="the first generation of a key that is declared"),
    pytest.param({"of": "gone"}, id="a key that is not declared"),
    pytest.param({"of": "payments", "generation": 99999}, id="the last number there is"),
    pytest.param({"of": "payments", "generation": 2, "phase": Phase.PENDING}, id="never published"),
    pytest.param({"of": "payments", "generation": 2, "phase": Phase.REVOKED}, id="revoked"),
    pytest.param({"of": "payments", "generation": 2, "phase": Phase.PARTIAL}, id="partial"),
    pytest.param({"of": "payments", "generation": 2, "phase": Phase.ADOPTED}, id="adopted"),
    pytest.param({"of": "payments", "generation": 2, "since": datetime(1, 1, 1, tzinfo=UTC)}, id="since the year 1"),
    pytest.param({"of": "payments", "generation": 2, "since": datetime(9999, 12, 31, tzinfo=UTC)}, id="since 9999"),
]


def touched(plan: Plan) -> set[str]:
    """Every live name that a plan changes, deletes or takes off an endpoint."""
    names: set[str] = set()
    for change in plan.changes:
        match change:
            case DeleteKey(live=found) | UpdateKey(live=found) | Unbind(live=found):
                names.add(found.name)
            case _:
                pass
    return names


@pytest.mark.attack("project member")
@pytest.mark.parametrize("marker", MARKED)
@pytest.mark.parametrize("exclusive", [False, True])
def test_a_foreign_key_with_a_copied_marker_is_reported_and_never_touched(marker: dict, exclusive: bool) -> None:
    forged = live("billing-prod", **marker)
    world = snapshot(
        live("payments", of="payments"), forged, endpoint("llama3", "billing-prod", "payments"), held=["payments"]
    )
    file = desired(key("payments", "llama3"), endpoints=[declared("llama3", exclusive=exclusive)])
    plan = compute_plan(file, world, NOW)
    assert plan.changes == ()
    said = [*(note.sentence for note in plan.warnings), *(finding.message for finding in plan.unmet)]
    assert any("billing-prod" in sentence for sentence in said)
    assert bool(plan.unmet) is exclusive, "a marker gives nobody quiet immunity"
    destroyed = compute_plan(replace(file, keys=(), endpoints=()), world, NOW)
    assert "billing-prod" not in touched(destroyed)
    status = compute_standing(file, world, NOW)
    assert "billing-prod" in status.foreign_keys
    assert status.claims == ("billing-prod",)
    for shown in (render_status(status, colour=False, width=100), status_to_json(status), status_to_html(status)):
        assert "billing-prod" in shown
    assert "this stack's marker without being its own: billing-prod" in render_status(status, colour=False, width=200)


@pytest.mark.attack("project member")
def test_a_key_whose_only_marker_does_not_fit_its_name_is_held_up_alone() -> None:
    world = snapshot(live("billing-prod", of="payments"), endpoint("llama3", "billing-prod"))
    plan = compute_plan(desired(key("payments", "llama3"), key("search", "llama3")), world, NOW)
    assert [finding.path for finding in plan.unmet] == ["keys.payments"]
    assert "billing-prod" in plan.unmet[0].message
    assert {change.address for change in plan.changes} == {"key.search"}


@pytest.mark.attack("project member")
def test_a_broken_marker_holds_its_key_up_and_cuts_nobody() -> None:
    text = "[keyform 2 prod/payments g2 published 2026] ask Bob"
    broken = LiveKey("payments-g2", "payments-g2", text, None, NOW, None, "prod")
    world = snapshot(live("payments", of="payments"), broken, endpoint("llama3", "payments", "payments-g2"))
    file = desired(key("payments", "llama3"), endpoints=[declared("llama3", exclusive=True)])
    plan = compute_plan(file, world, NOW)
    assert plan.changes == ()
    assert len(plan.unmet) == 2


@pytest.mark.control
def test_what_the_portal_cannot_write_bears_a_marker_out() -> None:
    adopted = live("made-by-hand", of="payments", phase=Phase.ADOPTED)
    world = snapshot(adopted, live("other"), endpoint("llama3", "made-by-hand", "other"))
    assert compute_plan(desired(key("payments", "llama3", adopt="made-by-hand")), world, NOW).changes == ()
    record = SinkRecord("prod", "payments", 1, "made-by-hand", adopted.created_at)
    recorded = replace(world, sinks={"local": SinkContents({"payments": record})})
    gone = compute_plan(desired(), recorded, NOW)
    assert "made-by-hand" in touched(gone)


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda r: SinkContents({"payments": r}, is_evidence=False), id="in a file that git tracks"),
        pytest.param(lambda r: SinkContents({"payments": replace(r, stack="other")}), id="of another stack"),
        pytest.param(lambda r: SinkContents({"payments": replace(r, created_at=NOW)}), id="of another live key"),
        pytest.param(lambda r: SinkContents({"payments": replace(r, live_name="x")}), id="of another name"),
    ],
)
def test_a_record_that_others_can_write_proves_nothing(forge) -> None:
    forged = live("billing-prod", of="payments")
    record = SinkRecord("prod", "payments", 1, "billing-prod", forged.created_at)
    world = replace(snapshot(forged, endpoint("llama3", "billing-prod")), sinks={"local": forge(record)})
    assert "billing-prod" not in touched(compute_plan(desired(key("search", "llama3")), world, NOW))


@pytest.mark.attack("project member")
def test_the_last_number_holds_the_key_up_and_not_made_again_at_each_apply() -> None:
    world = snapshot(live("payments-g99999", of="payments", generation=99999), endpoint("llama3", "payments-g99999"))
    plan = compute_plan(desired(key("payments", "llama3")), world, NOW)
    assert not any(isinstance(change, CreateGeneration) for change in plan.changes)
    assert "payments-g99999" in plan.unmet[0].message
    assert plan.held_up == ("payments",)


@pytest.mark.attack("project member")
def test_an_overlap_is_not_cut_short_by_an_instant_before_the_key_was_made() -> None:
    newer = live("payments-g2", of="payments", generation=2, since=datetime(1970, 1, 1, tzinfo=UTC))
    world = snapshot(
        live("payments", of="payments"),
        replace(newer, created_at=NOW - timedelta(minutes=5)),
        endpoint("llama3", "payments", "payments-g2"),
        held=["payments-g2"],
    )
    assert compute_plan(desired(key("payments", "llama3", overlap=days(7))), world, NOW).changes == ()


@pytest.mark.attack("project member")
@pytest.mark.parametrize("named", [False, True])
def test_a_key_of_another_stack_goes_from_an_exclusive_endpoint_only_where_the_file_names_the_stack(
    named: bool,
) -> None:
    theirs = live("search", of="search", stack="team-b")
    world = snapshot(
        live("payments", of="payments"), theirs, endpoint("llama3", "payments", "search"), held=["payments"]
    )
    entry = replace(declared("llama3", exclusive=True), exclusive_stacks=("team-b",) if named else ())
    plan = compute_plan(desired(key("payments", "llama3"), endpoints=[entry]), world, NOW)
    assert ("search" in touched(plan)) is named
    assert bool(plan.unmet) is not named
    if named:
        assert any("search" in note.sentence and "team-b" in note.sentence for note in plan.exposures)
    else:
        assert "exclusive: {stacks: [team-b]}" in plan.unmet[0].way_out


@pytest.mark.attack("project member")
@pytest.mark.parametrize(
    "text",
    [
        "[keyform ",
        "[keyform 2 prod/payments g2 published 2026-11-21T10:00:00Z shared] ask Bob",
        "[keyform 2 prod/payments g2 archived 2026-11-21T10:00:00Z]",
        "[keyform 2 prod/payments g2 published 2026-13-45T10:00:00Z]",
        "[keyform 2 prod/payments g2 published ٢٠٢٦-11-21T10:00:00Z]",
        "[keyform 2 prod/payments g0 published 2026-11-21T10:00:00Z]",
        "[keyform 2 prod/payments g100000 published 2026-11-21T10:00:00Z]",
        "[keyform 2 prod/payments g2 published 0000-01-01T00:00:00Z]",
        "[keyform 2 prod/payments g2 published 2026-11-21T10:00:00Z digest=x]",
        "[keyform 2 prod/payments g2 published 2026-11-21T10:00:00Z",
        "[keyform 9 prod/payments g2 published 2026-11-21T10:00:00Z]",
        "x" * 100_000 + "[keyform prod/" + " " * 100_000,
    ],
)
def test_what_only_looks_like_a_marker_is_neither_a_marker_nor_foreign(text: str) -> None:
    assert read_description(text)[1] is None
    assert read_claim(text) is not None


@pytest.mark.control
def test_a_marker_of_any_instant_is_read_back_as_it_was_written() -> None:
    for since in (
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(999, 5, 5, 1, 2, 3, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ):
        own = Ownership("prod", "payments", 3, Phase.PUBLISHED, since.replace(microsecond=0))
        assert read_description(compose_description("Checkout", own)) == ("Checkout", own)


@pytest.mark.attack("project member")
@pytest.mark.parametrize("text", ["x" * 280, "trailing ", "[keyform a/b g1 published 2026-11-21T10:00:00Z]" * 6])
def test_a_description_that_has_no_room_for_a_marker_holds_its_key_up_before_anything_is_sent(text: str) -> None:
    world = snapshot(replace(live("by-hand"), text=text, expires_at=NOW + days(1)), endpoint("llama3", "by-hand"))
    plan = compute_plan(desired(key("payments", "llama3", adopt="by-hand", says_expiry=True)), world, NOW)
    assert plan.refusals == ()
    if text.startswith("x"):
        assert "leaves no room" in plan.unmet[0].message
        assert plan.changes == ()
    else:
        assert plan.unmet == ()


@pytest.mark.attack("project member")
def test_a_key_that_only_its_marker_and_its_name_say_is_ours_is_an_exposure_before_it_goes() -> None:
    forged = live("billing-prod", of="billing-prod")
    world = snapshot(
        live("payments", of="payments"), forged, endpoint("llama3", "billing-prod", "payments"), held=["payments"]
    )
    plan = compute_plan(desired(key("payments", "llama3")), world, NOW)
    assert [note.address for note in plan.exposures] == ["key.billing-prod", "deployment.llama3"]
    assert "no sink has a record" in plan.exposures[0].sentence


@pytest.mark.attack("project member")
def test_an_instant_to_come_puts_off_no_rotation() -> None:
    aged = replace(live("payments", of="payments", since=datetime(9999, 1, 1, tzinfo=UTC)), created_at=NOW - days(90))
    world = snapshot(aged, endpoint("llama3", "payments"), held=["payments"])
    plan = compute_plan(desired(key("payments", "llama3", every=days(60))), world, NOW)
    assert any(isinstance(change, CreateGeneration) for change in plan.changes)


@pytest.mark.attack("project member")
def test_who_takes_the_last_number_is_named_and_not_the_key_in_use() -> None:
    world = snapshot(
        live("payments", of="payments"),
        *(live(f"payments-g{number}") for number in range(99_990, 100_000)),
        *(live(f"payments-g{number}") for number in range(2, 30)),
        live("payments-g99998x", of="x"),
    )
    newest = live("payments-g99989", of="payments", generation=99_989)
    world = replace(world, keys=(*world.keys, newest))
    plan = compute_plan(desired(key("payments", "llama3")), world, NOW)
    assert "payments-g99990" in plan.unmet[0].message
    assert "payments-g99989" not in plan.unmet[0].message
    assert plan.held_up == ("payments",)
    record = SinkRecord("prod", "payments", 99_989, newest.name, newest.created_at)
    known = replace(world, sinks={"local": SinkContents({"payments": record})})
    plan = compute_plan(desired(key("payments", "llama3", every=days(1))), known, NOW)
    assert "payments-g99999" in plan.unmet[0].message
