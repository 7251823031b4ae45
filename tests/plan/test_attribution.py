"""Which changes come from a change of the file, and which were pending before: by the plan of the file as it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.drawn import files, worlds
from support.fuzzing import fuzz
from support.simulation import simulate
from support.states import NOW, days, declared, desired, endpoint, key, live, snapshot

from reconciler.model import Auth, DesiredKey, DesiredState, LiveKey, Snapshot, digest
from reconciler.plan import compute_plan
from reconciler.plan.attribution import attribute
from reconciler.plan.changes import Base, Note, Plan
from reconciler.plan.saved import sinks_of
from reconciler.plan_file import SavedPlan, dump_plan, load_plan

PLACES = {"local": "file", "vault": "store"}


def file(*keys: DesiredKey, endpoints: Any = (), **more: Any) -> DesiredState:
    return desired(*keys, endpoints=endpoints, sinks=PLACES, **more)


def own(name: str, **more: Any) -> LiveKey:
    return live(name, **{"of": name, "published_to": digest(["file"]), **more})


def compare(head: DesiredState, base: DesiredState, world: Snapshot) -> tuple[Plan, Base]:
    """The plan of a pull request."""
    plan = attribute(compute_plan(head, world, NOW), compute_plan(base, world, NOW), "main", "abc1234def")
    assert plan.base is not None
    return plan, plan.base


def ids(plan: Plan, *, pending: bool) -> list[str]:
    return [str(change.id) for change in plan.changes if plan.is_pending(change) is pending]


DUE = key("payments", "llama3", text="Checkout", every=days(10))
STEADY = key("search", "llama3", text="Search")
WORLD = snapshot(
    own("payments", text="Checkout"),
    own("search", text="Search"),
    live("portal-made"),
    endpoint("llama3", "payments", "search", "portal-made"),
    endpoint("whisper", "portal-made"),
    held=["payments", "search"],
)
ROTATION = [
    "create_generation payments-g2",
    "bind payments-g2 deployment.llama3",
    "publish payments-g2",
]


@dataclass(frozen=True)
class Case:
    """The file at the base and at the head; what is live; which changes are this change's, and which are pending."""

    id: str
    base: DesiredState
    head: DesiredState
    own: list[str]
    pending: list[str]
    withdrawn: tuple[tuple[str, str], ...] = ()
    edited: tuple[tuple[str, str], ...] = ()
    live: Snapshot = WORLD


CASES = [
    Case("no-change", file(DUE, STEADY), file(DUE, STEADY), [], ROTATION),
    Case(
        "another-description",
        file(DUE, STEADY),
        file(DUE, replace(STEADY, description="Search, renamed")),
        ["update_key search"],
        ROTATION,
    ),
    Case(
        "a-binding-of-a-key-that-is-due",
        file(DUE, STEADY),
        file(replace(DUE, bindings=key("", "llama3", "whisper").bindings), STEADY),
        ["bind payments deployment.whisper", "bind payments-g2 deployment.whisper"],
        ROTATION,
    ),
    Case(
        "the-description-of-a-key-that-is-due",
        file(DUE, STEADY),
        file(replace(DUE, description="Checkout, renamed"), STEADY),
        [],
        ROTATION,
        edited=(("key.payments", "payments-g2 is already pending; this change edits its description"),),
    ),
    Case(
        "expiry-and-sinks-of-a-key-that-is-due",
        file(DUE, STEADY),
        file(replace(DUE, expires_at=NOW + days(90), says_expiry=True, sinks=("local", "vault")), STEADY),
        [],
        ROTATION,
        edited=(
            (
                "key.payments",
                "payments-g2 is already pending; this change edits its expires_at and sink",
            ),
        ),
        live=replace(WORLD, sinks={**WORLD.sinks, "vault": snapshot().sinks["local"]}),
    ),
    Case(
        "a-key-that-is-due-is-removed",
        file(DUE, STEADY),
        file(STEADY),
        [
            "unbind payments deployment.llama3",
            "remove_record payments local",
            "delete_key payments",
        ],
        [],
        withdrawn=(
            (
                "key.payments",
                "without this change, apply would create payments-g2, bind payments-g2 to deployment.llama3 and publish"
                " payments-g2",
            ),
        ),
    ),
    Case(
        "the-rotation-is-put-off",
        file(DUE, STEADY),
        file(replace(DUE, every=days(60)), STEADY),
        [],
        [],
        withdrawn=(
            (
                "key.payments",
                "without this change, apply would create payments-g2, bind payments-g2 to deployment.llama3 and publish"
                " payments-g2",
            ),
        ),
    ),
    Case(
        "merged-and-not-applied",
        file(STEADY, replace(DUE, every=None, bindings=key("", "llama3", "whisper").bindings)),
        file(
            replace(STEADY, bindings=key("", "llama3", "whisper").bindings),
            replace(DUE, every=None, bindings=key("", "llama3", "whisper").bindings),
        ),
        ["bind search deployment.whisper"],
        ["bind payments deployment.whisper"],
    ),
    Case(
        # What somebody wrote in the portal is written over either way, and with another text.
        "a-description-that-differed",
        file(replace(STEADY, description="Search, at the base"), replace(DUE, every=None)),
        file(replace(STEADY, description="Search, at the head"), replace(DUE, every=None)),
        ["update_key search"],
        [],
    ),
    Case(
        "an-adoption-with-another-description",
        file(STEADY, replace(DUE, every=None), key("legacy", adopt="portal-made", text="a", sinks=["local"])),
        file(STEADY, replace(DUE, every=None), key("legacy", adopt="portal-made", text="b", sinks=["local"])),
        [],
        ["update_key portal-made", "unbind portal-made deployment.llama3"],
        edited=(("key.legacy", "portal-made is already pending; this change edits its description"),),
    ),
    Case(
        "an-endpoint-that-opens",
        file(STEADY, replace(DUE, every=None)),
        file(STEADY, replace(DUE, every=None), endpoints=[declared("whisper", Auth.OPEN, exclusive=True)]),
        ["unbind portal-made deployment.whisper", "open_endpoint deployment.whisper"],
        [],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_where_changes_come_from(case: Case) -> None:
    plan, base = compare(case.head, case.base, case.live)
    assert ids(plan, pending=False) == case.own
    assert ids(plan, pending=True) == case.pending
    assert tuple((note.address, note.sentence) for note in base.withdrawn) == case.withdrawn
    assert tuple((note.address, note.sentence) for note in base.edited) == case.edited
    assert (base.ref, base.commit, base.name) == ("main", "abc1234def", "main (abc1234)")


def test_who_edits_a_description_rotates_nothing() -> None:
    """Ten keys are due: the pull request is about one description."""
    due = [replace(DUE, name=f"due-{number}") for number in range(10)]
    lives = [own(each.name, text="Checkout") for each in due]
    world = snapshot(
        own("search", text="Search"),
        *lives,
        endpoint("llama3", "search", *(each.name for each in lives)),
        held=["search", *(each.name for each in lives)],
    )
    plan, _ = compare(file(*due, replace(STEADY, description="Search, renamed")), file(*due, STEADY), world)
    assert ids(plan, pending=False) == ["update_key search"]
    assert len(ids(plan, pending=True)) == 30


def test_what_safety_refused_at_the_base_comes_from_the_change_that_allows_it() -> None:
    """Without it, none of that would happen."""
    base = file(STEADY, max_deletes=0)
    plan, found = compare(file(STEADY, max_deletes=1), base, WORLD)
    assert plan.refusals == ()
    assert len(ids(plan, pending=False)) == 3
    assert ids(plan, pending=True) == []
    assert found.withdrawn == ()


def test_what_safety_refuses_on_both_sides_is_pending() -> None:
    base = file(STEADY, max_deletes=0)
    plan, _ = compare(file(replace(STEADY, description="Search, renamed"), max_deletes=0), base, WORLD)
    assert ids(plan, pending=False) == ["update_key search"]
    assert all(plan.was_said(finding) for finding in plan.refusals)


def test_an_exposure_that_was_there_is_told_apart_from_one_that_is_new() -> None:
    world = snapshot(
        own("search", text="Search"),
        live("portal-made"),
        endpoint("llama3", "search", "portal-made"),
        endpoint("whisper"),
        endpoint("mistral", "portal-made"),
        held=["search"],
    )
    required, opened = declared("whisper", Auth.REQUIRED), declared("mistral", Auth.OPEN, exclusive=True)
    plan, _ = compare(file(STEADY, endpoints=[opened, required]), file(STEADY, endpoints=[required]), world)
    assert [(note.code, plan.was_said(note)) for note in plan.exposures] == [
        ("endpoint_becomes_public", False),
        ("endpoint_is_public", True),
        ("foreign_key_is_cut", False),
    ]
    assert [plan.was_said(finding) for finding in plan.unmet] == [True]


def test_what_only_this_change_makes_different_is_no_drift() -> None:
    """A binding that the file has on both sides is missing: drift, or an earlier change. A new one is neither."""
    both = replace(STEADY, bindings=key("", "llama3", "whisper").bindings)
    head, steady = file(both, replace(DUE, every=None)), file(STEADY, replace(DUE, every=None))
    assert [each.code for each in compare(head, head, WORLD)[0].unproven] == ["binding_is_missing"]
    assert [each.code for each in compute_plan(head, WORLD, NOW).unproven] == ["binding_is_missing"]
    assert compare(head, steady, WORLD)[0].unproven == ()


def test_what_is_weaker_in_the_file_is_kept() -> None:
    note = Note("safety_is_weaker", "safety.max_deletes", "from 5 to no limit")
    plan = compute_plan(file(STEADY), WORLD, NOW)
    attributed = attribute(plan, plan, "main", "abc1234", [note])
    assert attributed.base is not None
    assert attributed.base.weakened == (note,)
    assert attributed == plan, "where a change comes from changes nothing of what is applied"


@given(files(), worlds())
@fuzz(300)
def test_a_change_of_nothing_leaves_everything_pending(state: DesiredState, world: Snapshot) -> None:
    state = replace(state, sinks=file().sinks)
    plan, base = compare(state, state, world)
    assert ids(plan, pending=False) == []
    assert base.pending == {change.id for change in plan.changes}
    assert (base.withdrawn, base.edited, base.edits) == ((), (), frozenset())
    assert all(map(plan.was_said, (*plan.exposures, *plan.warnings, *plan.notes, *plan.unmet, *plan.refusals)))
    assert plan.unproven == compute_plan(state, world, NOW).unproven


@given(files(), worlds(), st.data())
@fuzz(300)
def test_what_is_written_to_a_sink_in_another_place_is_of_this_change(
    state: DesiredState, world: Snapshot, data: st.DataObject
) -> None:
    """The sink has its old name, and what is written there was pending: where it goes is new."""
    sink = data.draw(st.sampled_from(sorted(world.sinks)))
    there, elsewhere = (
        replace(world, sinks={**world.sinks, sink: replace(world.sinks[sink], destination=place)})
        for place in ("there", "elsewhere")
    )
    plan = attribute(compute_plan(state, elsewhere, NOW), compute_plan(state, there, NOW), "main", "abc1234def")
    assert plan.base is not None
    for change in plan.changes:
        is_moved = sink in sinks_of([change]) & {each.sink for each in plan.destinations}
        is_told = not plan.is_pending(change) or (change.id, "sink") in plan.base.edits
        assert is_told == is_moved


@given(files(), files(), worlds())
@fuzz(300)
def test_where_all_is_applied_at_the_base_nothing_is_pending(
    base: DesiredState, head: DesiredState, world: Snapshot
) -> None:
    base, head = (replace(each, sinks=file().sinks) for each in (base, head))
    for _ in range(2):
        plan = compute_plan(base, world, NOW)
        if not plan.refusals:
            world = simulate(plan, world, NOW)
    if compute_plan(base, world, NOW).changes:
        return
    plan, found = compare(head, base, world)
    assert ids(plan, pending=True) == []
    assert (found.withdrawn, found.edited) == ((), ())


@given(files(), files(), worlds())
@fuzz(200)
def test_every_change_of_either_plan_is_accounted_for(base: DesiredState, head: DesiredState, world: Snapshot) -> None:
    """Whatever only the base does is withdrawn; whatever only the head does is its own."""
    base, head = (replace(each, sinks=file().sinks) for each in (base, head))
    plan, found = compare(head, base, world)
    old = compute_plan(base, world, NOW)
    was, are = {change.id for change in old.changes}, {change.id for change in plan.changes}
    assert found.pending <= was & are
    if not old.refusals:
        gone = {change.address for change in old.changes if change.id not in are}
        assert {note.address for note in found.withdrawn} == gone


@given(files(), files(), worlds())
@fuzz(100)
def test_a_saved_plan_keeps_where_its_changes_come_from(
    base: DesiredState, head: DesiredState, world: Snapshot
) -> None:
    base, head = (replace(each, sinks=file().sinks) for each in (base, head))
    plan, found = compare(head, base, world)
    again = load_plan(dump_plan(SavedPlan(plan, "digest")), "plan.json").plan
    assert again.base == found
    assert (again.drift, again.unproven) == (plan.drift, plan.unproven)
