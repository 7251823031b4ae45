"""Plans where the API changes an expiry in place, and does not switch authentication by keys for sure."""

from dataclasses import replace
from datetime import datetime

import pytest
from support.states import NOW, days, declared, deployment, desired, endpoint, key, live, snapshot

from reconciler.api import EndpointReading
from reconciler.gcore.generations import CAPABILITIES
from reconciler.model import Auth, LiveEndpoint, LiveKey, Snapshot
from reconciler.plan import compute_plan
from reconciler.plan.bindings import note_unswitched
from reconciler.plan.changes import Action, ChangeId, KeyRef, Step

OURS = live("payments", of="payments")
LATER = NOW + days(90)
NEVER_SWITCHED = "in this generation of the API, keyform would have to replace the deployment for that, and does not"


def older(*parts: LiveKey | EndpointReading) -> Snapshot:
    """What is live, by the older generation."""
    return replace(snapshot(*parts, held=["payments"]), capabilities=CAPABILITIES["v2"])


@pytest.mark.parametrize(("before", "after"), [(None, LATER), (LATER, LATER + days(1)), (LATER, None)])
def test_an_expiry_that_changes_is_an_update_and_no_new_generation(before: object, after: object) -> None:
    ours = replace(OURS, expires_at=before)
    state = desired(replace(key("payments", "llama3"), expires_at=after))
    plan = compute_plan(state, older(ours, endpoint("llama3", "payments")), NOW)
    (change,) = plan.changes
    assert (change.step, change.action) == (Step.UPDATE_KEY, Action.UPDATE)
    assert [diff.path for diff in change.diff] == ["expires_at"]


def test_an_expiry_is_changed_before_the_key_is_bound_and_a_description_after() -> None:
    """The API may refuse to bind a key that has expired, or take it off again."""
    state = desired(key("payments", "llama3", text="New", expires_at=LATER))
    expired = replace(OURS, expires_at=NOW - days(1))
    plan = compute_plan(state, older(expired, endpoint("llama3")), NOW)
    assert [change.step for change in plan.changes] == [Step.UPDATE_KEY, Step.BIND]
    plan = compute_plan(state, older(replace(OURS, expires_at=LATER), endpoint("llama3")), NOW)
    assert [change.step for change in plan.changes] == [Step.BIND, Step.UPDATE_KEY]


@pytest.mark.parametrize("after", [LATER, None])
def test_an_expired_key_that_is_accepted_again_is_an_exposure(after: datetime | None) -> None:
    """Its secret stays, and somebody may have let it expire since it leaked."""
    state = desired(replace(key("payments", "llama3"), expires_at=after))
    for expired, told in ((NOW - days(1), 1), (NOW + days(1), 0)):
        there = older(replace(OURS, expires_at=expired), endpoint("llama3", "payments"))
        notes = [note for note in compute_plan(state, there, NOW).exposures if note.address == "key.payments"]
        assert len(notes) == told
        for note in notes:
            assert note.code == "expired_key_is_accepted_again"
            assert note.sentence.startswith("payments expired 2026-11-20T10:00:00Z, and its secret is accepted again")
    assert not compute_plan(state, snapshot(replace(OURS, expires_at=NOW - days(1)), held=["payments"]), NOW).exposures


def test_a_rotation_is_a_new_generation_here_too() -> None:
    state = desired(key("payments", "llama3", every=days(7)))
    plan = compute_plan(state, older(OURS, endpoint("llama3", "payments")), NOW)
    assert Step.CREATE_GENERATION in {change.step for change in plan.changes}


def test_what_a_first_key_does_to_a_public_deployment_is_left_to_the_apply() -> None:
    plan = compute_plan(desired(key("payments", "llama3")), older(endpoint("llama3")), NOW)
    (note,) = [note for note in plan.warnings if note.code == "endpoint_becomes_protected"]
    assert note.sentence.endswith("binding a key may turn its authentication on: plan again to see whether it did")
    assert not plan.refusals


@pytest.mark.parametrize("generation", ["v3", "v2"])
def test_a_deployment_that_stays_public_with_keys_is_told_where_the_file_requires_keys(generation: str) -> None:
    state = desired(key("payments", "llama3"), endpoints=[declared("llama3", Auth.REQUIRED)])
    there = replace(older(OURS, endpoint("llama3", "payments", public=True)), capabilities=CAPABILITIES[generation])
    (finding,) = compute_plan(state, there, NOW).unmet
    assert "it is public, although keys are bound to it" in finding.message
    assert (NEVER_SWITCHED in finding.message) == (generation == "v2")
    assert finding.way_out == "turn its authentication on in the portal"


def test_a_deployment_that_is_to_open_loses_its_last_key_or_is_left_closed_where_it_has_none() -> None:
    state = desired(endpoints=[declared("llama3", Auth.OPEN)], allow_empty=True)
    plan = compute_plan(state, older(OURS, endpoint("llama3", "payments")), NOW)
    assert Step.OPEN_ENDPOINT in {change.step for change in plan.changes}
    (note,) = [note for note in plan.exposures if note.code == "endpoint_becomes_public"]
    assert note.sentence.endswith("if the API leaves its authentication on instead, nobody can, and apply says so")
    plan = compute_plan(state, older(OURS, endpoint("llama3", public=False)), NOW)
    (unmet,) = plan.unmet
    assert unmet.message == f"is declared open, but its authentication is on: {NEVER_SWITCHED}"
    assert unmet.way_out == "turn its authentication off in the portal"
    assert not plan.refusals
    assert {change.step for change in plan.changes} == {Step.REMOVE_RECORD, Step.DELETE_KEY}, "it holds up nothing else"
    assert not compute_plan(state, older(endpoint("llama3")), NOW).unmet, "it is open already"


def test_what_the_file_asks_for_in_vain_is_told_without_a_look_at_what_is_live() -> None:
    state = desired(endpoints=[declared("flux"), declared("llama3", Auth.REQUIRED), declared("whisper", Auth.OPEN)])
    assert [note.address for note in note_unswitched(state, switches=False)] == [
        "deployment.llama3",
        "deployment.whisper",
    ]
    assert list(note_unswitched(state, switches=True)) == []


def test_a_status_that_is_not_active_is_told() -> None:
    there = older(
        replace(OURS, status="SUSPENDED"), replace(live("theirs"), status="GONE"), endpoint("llama3", "payments")
    )
    warnings = compute_plan(desired(key("payments", "llama3")), there, NOW).warnings
    assert [(note.code, note.sentence) for note in warnings] == [
        ("key_is_not_active", "the API says that payments is 'SUSPENDED'")
    ]
    for word in ("ACTIVE", "active", ""):
        there = older(replace(OURS, status=word), endpoint("llama3", "payments"))
        assert not compute_plan(desired(key("payments", "llama3")), there, NOW).warnings


# --- Names that are not unique ----------------------------------------------------------------------------------------

IDS = ("11111111-2222-4333-8444-555555555555", "3fa85f64-5717-4562-b3fc-2c963f66afa6")


def called(name: str, alias: str, *bound: str) -> EndpointReading:
    """A deployment that is known by its id and by its name."""
    return EndpointReading(LiveEndpoint(deployment(name), status="ACTIVE", alias=alias), bound)


def test_a_name_that_two_deployments_have_is_told_and_nothing_is_unbound() -> None:
    there = older(OURS, called(IDS[0], "llama3", "payments"), called(IDS[1], "llama3", "theirs"), live("theirs"))
    plan = compute_plan(desired(key("payments", "llama3")), there, NOW)
    finding = plan.unmet[0]
    assert finding.message == "there are 2 deployments llama3"
    assert finding.way_out == f"name it by its id: {IDS[0]} or {IDS[1]}"


def test_a_deployment_is_named_by_its_id() -> None:
    there = older(OURS, called(IDS[0], "llama3", "payments"), called(IDS[1], "llama3", "theirs"), live("theirs"))
    assert not compute_plan(desired(key("payments", IDS[0])), there, NOW).changes


def test_people_read_the_name_of_a_live_key_and_programs_its_id() -> None:
    change_id = ChangeId(Step.BIND, KeyRef("payments", "0f3c8a1b-9d2e-4c5f-8a7b-112233445566"), deployment("llama3"))
    assert change_id.in_words == "bind payments deployment.llama3"
    assert str(change_id) == "bind payments (0f3c8a1b-9d2e-4c5f-8a7b-112233445566) deployment.llama3"
