"""A sink holds a record that a later version of keyform wrote: that key is held up, and nothing of it is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.states import NOW, desired, endpoint, key, live, snapshot

from reconciler.model import DesiredState, SinkContents, Snapshot
from reconciler.plan import compute_plan
from reconciler.plan.changes import Plan, Rotate

SENTENCE = "sink local holds a record in format 3, written by a later version of keyform"
LATER = SinkContents(later={"payments": SENTENCE})


def with_later(world: Snapshot, sink: str = "local") -> Snapshot:
    """The same world, with a record of payments in a sink that cannot be read by this version."""
    return replace(world, sinks={**world.sinks, sink: LATER})


def keys_changed(plan: Plan) -> set[str]:
    return {change.key for change in plan.changes}


def test_a_new_key_with_such_a_record_is_held_up_and_others_go_on() -> None:
    plan = compute_plan(desired(key("payments"), key("batch")), with_later(snapshot()), NOW)
    assert keys_changed(plan) == {"batch"}
    (unmet,) = plan.unmet
    assert (unmet.message, unmet.way_out) == (f"is held up: {SENTENCE}", "update keyform")


@pytest.mark.parametrize("sink", ["local", "vault"])
@pytest.mark.parametrize(
    "file",
    [
        pytest.param(desired(key("payments", "llama3"), key("batch")), id="declared"),
        pytest.param(desired(key("batch")), id="no longer declared"),
        pytest.param(desired(key("payments"), key("batch")), id="to be unbound"),
    ],
)
def test_live_keys_of_such_a_key_stay_as_they_are(file: DesiredState, sink: str) -> None:
    world = with_later(
        snapshot(live("payments", of="payments"), endpoint("llama3", "payments"), more_sinks=["vault"]), sink
    )
    plan = compute_plan(file, world, NOW)
    assert keys_changed(plan) == {"batch"}
    assert [finding.message for finding in plan.unmet] == [f"is held up: {SENTENCE}"]
    assert not plan.refusals


def test_a_rotation_waits_for_it_too() -> None:
    world = with_later(snapshot(live("payments", of="payments")))
    plan = compute_plan(desired(key("payments")), world, NOW, Rotate(frozenset({"payments"})))
    assert not plan.changes
    assert plan.unmet


def test_what_leaked_is_marked_although_its_sink_has_such_a_record() -> None:
    world = with_later(snapshot(live("payments", of="payments")))
    plan = compute_plan(desired(key("payments")), world, NOW, Rotate(frozenset({"payments"}), revoke=True))
    assert [str(change.id) for change in plan.changes] == ["update_key payments"]
    assert plan.unmet


def test_a_record_alone_of_a_key_that_nobody_declares_is_told_and_stays() -> None:
    plan = compute_plan(desired(), with_later(snapshot()), NOW)
    assert not plan.changes
    assert [(finding.path, finding.message) for finding in plan.unmet] == [("key.payments", f"is held up: {SENTENCE}")]
