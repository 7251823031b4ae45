"""Plans of some keys (`--target`, `--exclude`): all others stay as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.drawn import NAMES, files, worlds
from support.fuzzing import fuzz
from support.plans import told
from support.simulation import simulate
from support.states import NOW, declared, desired, endpoint, key, live, snapshot

from reconciler.model import Auth, DesiredState, LiveKey, Move, Snapshot
from reconciler.plan import compute_plan
from reconciler.plan.changes import EVERYTHING, Selection

PATTERNS = st.sampled_from([*NAMES, "*", "a*", "?eta", "[!a]*"])


@st.composite
def selections(draw: st.DrawFn) -> Selection:
    """Any choice of keys by name or pattern."""
    targets, excludes = (tuple(sorted(draw(st.sets(PATTERNS, max_size=2)))) for _ in range(2))
    return Selection(targets, excludes)


def of_the_stack(world: Snapshot, selection: Selection) -> dict[str, tuple[LiveKey, frozenset[str]]]:
    """The stack's live keys that are not chosen, each with what it opens."""
    return {
        one.id: (one, frozenset(str(each.endpoint) for each in world.bindings if each.key_id == one.id))
        for one in world.keys
        if one.ownership and not selection.chooses([one.ownership.key])
    }


@given(files(), worlds(), selections())
@fuzz(300)
def test_what_is_not_chosen_stays_as_it_is(state: DesiredState, before: Snapshot, selection: Selection) -> None:
    state = replace(state, keys=tuple(replace(one, adopt=None) for one in state.keys))
    plan = compute_plan(state, before, NOW, selection=selection)
    assert plan.selection == selection
    if plan.refusals:
        return
    assert [each.id for each in plan.changes if each.key and not selection.chooses([each.key])] == []
    after = simulate(plan, before, NOW)
    assert of_the_stack(after, selection) == of_the_stack(before, selection)
    if selection.targets:
        opened = {each.endpoint for each in plan.changes if not each.key}
        assert opened <= {each.endpoint for each in plan.changes if each.key}, "no endpoint opens for itself"
    whole = compute_plan(state, after, NOW)
    done = {each.id for each in plan.changes}
    assert not done & {each.id for each in whole.changes}, "what was chosen is done"


@given(files(), worlds())
@fuzz(100)
def test_to_choose_all_is_to_choose_nothing(state: DesiredState, before: Snapshot) -> None:
    whole = compute_plan(state, before, NOW)
    chosen = compute_plan(state, before, NOW, selection=Selection(excludes=("nobody-*",)))
    assert chosen.changes == (whole.changes if not chosen.refusals else chosen.changes)
    assert [each.path for each in chosen.refusals if each.path == "--exclude"] == ["--exclude"]


WORLD = snapshot(
    live("payments", of="payments"),
    live("batch", of="batch"),
    live("theirs"),
    endpoint("llama3", "payments", "batch", "theirs"),
    endpoint("whisper", "payments", "theirs"),
    held=["payments", "batch"],
)


def test_a_target_can_be_a_key_that_the_file_no_longer_declares() -> None:
    state = desired(endpoints=[declared("llama3")], allow_empty=False)
    plan = compute_plan(state, WORLD, NOW, selection=Selection(targets=("batch",)))
    assert [each.path for each in plan.refusals] == ["keys"], "the file is still empty"
    state = desired(key("payments", "llama3"))
    plan = compute_plan(state, WORLD, NOW, selection=Selection(targets=("batch",)))
    assert not plan.refusals
    assert {each.key for each in plan.changes} == {"batch"}


def test_the_deletes_of_what_is_left_out_do_not_count() -> None:
    state = desired(key("alpha", "llama3"), max_deletes=0)
    assert compute_plan(state, WORLD, NOW).refusals
    assert not compute_plan(state, WORLD, NOW, selection=Selection(targets=("alpha",))).refusals
    assert not compute_plan(state, WORLD, NOW, selection=Selection(excludes=("payments", "batch"))).refusals


@pytest.mark.parametrize("selection", [Selection(targets=("paymnts",)), Selection(excludes=("paymnts",))])
def test_a_name_that_no_key_has_is_refused_with_the_nearest(selection: Selection) -> None:
    plan = compute_plan(desired(key("payments", "llama3"), key("batch", "llama3")), WORLD, NOW, selection=selection)
    (refused,) = plan.refusals
    assert refused.message == "no key has the name 'paymnts'"
    assert refused.way_out == "did you mean payments?"


def test_a_rename_is_chosen_as_a_whole_by_either_name() -> None:
    state = replace(desired(key("checkout", "llama3"), key("batch")), moves=(Move("", "payments", "checkout"),))
    by_new = compute_plan(state, WORLD, NOW, selection=Selection(targets=("checkout",)))
    by_old = compute_plan(state, WORLD, NOW, selection=Selection(targets=("payments",)))
    assert told(by_new.changes) == told(by_old.changes)
    assert {each.key for each in by_new.changes} == {"checkout", "payments"}
    neither = compute_plan(state, WORLD, NOW, selection=Selection(excludes=("payments",)))
    assert {each.key for each in neither.changes} == {"batch"}


def test_a_target_leaves_foreign_keys_bound_and_opens_only_what_it_leaves() -> None:
    endpoints = [declared("llama3", exclusive=True), declared("whisper", Auth.OPEN, exclusive=True)]
    state = desired(key("payments", "llama3"), key("batch", "llama3"), endpoints=endpoints)
    plan = compute_plan(state, WORLD, NOW, selection=Selection(targets=("batch",)))
    assert plan.changes == ()
    excluded = compute_plan(state, WORLD, NOW, selection=Selection(excludes=("batch",)))
    assert [str(each.id) for each in excluded.changes if not each.key] == [
        "unbind theirs deployment.llama3",
        "unbind theirs deployment.whisper",
        "open_endpoint deployment.whisper",
    ]


def test_a_stack_is_not_renamed_in_part() -> None:
    state = replace(desired(key("payments", "llama3"), key("batch")), stack="store", moves=(Move("prod", "", "store"),))
    plan = compute_plan(state, WORLD, NOW, selection=Selection(targets=("batch",)))
    assert "the stack prod is renamed, which concerns all of its keys" in [each.message for each in plan.refusals]
    assert compute_plan(state, WORLD, NOW, selection=EVERYTHING).selection == EVERYTHING
