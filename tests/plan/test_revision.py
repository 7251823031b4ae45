"""Two versions of a file: every difference is found, nothing else is, and it reads the same from the other side."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import drawn
from support.states import NOW, days, declared, desired, key

from reconciler.model import (
    Auth,
    DesiredEndpoint,
    DesiredKey,
    DesiredState,
    Farewell,
    LockKind,
    LockSettings,
    Move,
    Safety,
    SinkSettings,
    Warnings,
    Written,
)
from reconciler.plan.revision import (
    ENDPOINT_SETTINGS,
    KEY_SETTINGS,
    STACK_SETTINGS,
    Fate,
    Part,
    Revision,
    Setting,
    revise,
)


def sink(name: str, path: str = "a.env", **options: object) -> SinkSettings:
    """A dotenv sink, as the file is read."""
    place = json.dumps({"path": path, "type": "dotenv"}, sort_keys=True)
    return SinkSettings(name, "dotenv", {"path": f"/stack/{path}", **options}, destination=place)  # type: ignore[dict-item]


@st.composite
def files(draw: st.DrawFn) -> DesiredState:
    """Any file, with settings of every kind."""
    state = draw(drawn.files())
    taken = {key.name for key in state.keys}
    moves = tuple(
        Move(stack, source, to)
        for stack, source, to in draw(
            st.lists(
                st.sampled_from([("", "delta", "alpha"), ("theirs", "gamma", "beta"), ("former", "", "prod")]),
                unique=True,
            )
        )
        if not source or to in taken
    )
    return replace(
        state,
        stack=draw(st.sampled_from(["prod", "other"])),
        project=draw(st.sampled_from([1, 2])),
        api=draw(st.sampled_from(["v3", "v2"])),
        endpoints=tuple(
            replace(each, exclusive_stacks=draw(st.sampled_from([(), ("a",), ("a", "b")]))) for each in state.endpoints
        ),
        sinks=tuple(
            sink(name, draw(st.sampled_from(["a.env", "b.env"])), **draw(st.sampled_from([{}, {"mode": "0640"}])))
            for name in sorted(draw(st.sets(st.sampled_from(["local", "ci"]))))
        ),
        safety=Safety(draw(st.sampled_from([5, 9])), draw(st.booleans()), draw(st.sampled_from([1, 3]))),
        lock=draw(
            st.sampled_from([LockSettings(), LockSettings(LockKind.NONE), LockSettings(LockKind.FILE, "/stack/lock")])
        ),
        warnings=Warnings(draw(st.sampled_from([(), (days(7),), (days(30), days(7))]))),
        moves=moves,
        farewells=tuple(Farewell(name) for name in draw(st.sampled_from([(), ("epsilon",)]))),
    )


@settings(deadline=None)
@given(files())
def test_a_file_does_not_differ_from_itself(state: DesiredState) -> None:
    assert revise(state, state, Written("${A}"), Written("${A}")) == Revision(state.stack, key_count=len(state.keys))


@settings(deadline=None)
@given(files(), files())
def test_every_change_of_the_file_is_shown(before: DesiredState, after: DesiredState) -> None:
    assert revise(before, after).is_empty == (before == after)


TURNED = {Fate.ADDED: Fate.REMOVED, Fate.TAKEN_OVER: Fate.REMOVED, Fate.REMOVED: Fate.ADDED}


@settings(deadline=None)
@given(files(), files())
def test_from_the_other_side_what_is_added_is_removed(before: DesiredState, after: DesiredState) -> None:
    plain = [replace(state, moves=(), farewells=()) for state in (before, after)]
    there, back = (
        {part.address: part for part in revise(*states).parts}
        for states in (plain, reversed(plain))  # type: ignore[arg-type]
    )
    assert there.keys() == back.keys()
    for address, part in there.items():
        other = back[address]
        assert TURNED.get(part.fate, part.fate) == TURNED.get(TURNED.get(other.fate, other.fate), other.fate)
        assert (part.gains, part.loses, part.touches) == (other.loses, other.gains, other.touches)
        turned = {Setting(each.path, each.after, each.before) for each in other.settings}
        assert {replace(each, chooses_place=False) for each in part.settings} == turned


@settings(deadline=None)
@given(files(), files())
def test_what_a_key_opens_and_what_opens_an_endpoint_are_two_sides_of_one_thing(
    before: DesiredState, after: DesiredState
) -> None:
    parts = revise(before, after).parts
    for one, other in (("gains", "gains"), ("loses", "loses")):
        by_key = {(part.address, ref) for part in parts if part.address[:4] == "key." for ref in getattr(part, one)}
        kinds = ("deployment.", "application.")
        by_endpoint = {
            (key, part.address) for part in parts if part.address.startswith(kinds) for key in getattr(part, other)
        }
        assert by_key == by_endpoint


@settings(deadline=None)
@given(files(), files())
def test_nothing_is_weaker_where_nothing_differs(before: DesiredState, after: DesiredState) -> None:
    found = revise(before, after)
    addresses = {part.address for part in found.parts}
    addresses |= {f"key.{name}" for part in found.parts if part.address == "forget" for name in part.gains}
    # An endpoint is reached by a key that differs.
    addresses |= {str(ref) for key in after.keys if f"key.{key.name}" in addresses for ref in key.endpoints}
    assert {note.address for note in found.weakened} <= addresses


def test_every_field_of_the_file_is_compared() -> None:
    """A field that somebody adds to the model is shown, or this fails."""
    told = {"name", "bindings", "place", "keeps_expiry"}
    of_keys = {"sinks": "sink", "every": "rotation.every", "overlap": "rotation.overlap"}
    of_keys |= {"lifetime": "rotation.lifetime", "says_expiry": "expires_at"}
    names = {each.name for each in fields(DesiredKey)} - told
    assert {of_keys.get(name, name) for name in names} == set(KEY_SETTINGS)
    names = {each.name for each in fields(DesiredEndpoint)} - {"ref", "place"}
    assert {name.replace("exclusive_stacks", "exclusive.stacks") for name in names} == set(ENDPOINT_SETTINGS)
    elsewhere = {"keys", "endpoints", "sinks", "moves", "farewells", "place", "vouched", "content"}
    names = {each.name for each in fields(DesiredState)} - elsewhere
    assert names == {path.partition(".")[0] for path in STACK_SETTINGS}
    parts = {f"safety.{each.name}" for each in fields(Safety)} | {f"warnings.{each.name}" for each in fields(Warnings)}
    assert {path for path in STACK_SETTINGS if path.startswith(("safety.", "warnings."))} == parts


def part_of(before: DesiredState, after: DesiredState, address: str) -> Part:
    """What differs at one address."""
    (found,) = (part for part in revise(before, after).parts if part.address == address)
    return found


def test_a_renamed_key_is_one_key_with_a_former_name() -> None:
    before = desired(key("payments", "llama3", every=days(30)))
    after = replace(desired(key("checkout", "llama3", every=days(60))), moves=(Move("", "payments", "checkout"),))
    assert part_of(before, after, "key.checkout") == Part(
        "key.checkout", Fate.RENAMED, "key.payments", (Setting("rotation.every", "30d", "60d"),)
    )
    assert [part.address for part in revise(before, after).parts] == ["moved", "key.checkout"]


def test_a_move_that_was_done_before_renames_nothing() -> None:
    moved = (Move("", "payments", "checkout"),)
    before = replace(desired(key("checkout", "llama3")), moves=moved)
    assert revise(before, replace(before, moves=())).parts == (
        Part("moved", Fate.CHANGED, loses=("payments -> checkout",)),
    )


@pytest.mark.parametrize(
    ("before", "after", "address", "fate", "former"),
    [
        (desired(), desired(key("payments")), "key.payments", Fate.ADDED, ""),
        (desired(key("payments")), desired(), "key.payments", Fate.REMOVED, ""),
        (
            desired(key("payments")),
            replace(desired(), farewells=(Farewell("payments"),)),
            "key.payments",
            Fate.FORGOTTEN,
            "",
        ),
        (
            desired(),
            replace(desired(key("payments")), moves=(Move("shop", "pay", "payments"),)),
            "key.payments",
            Fate.TAKEN_OVER,
            "shop/pay",
        ),
        (desired(), desired(key("payments", adopt="portal-made")), "key.payments", Fate.TAKEN_OVER, "portal-made"),
        (desired(), desired(endpoints=[declared("llama3")]), "deployment.llama3", Fate.ADDED, ""),
        (desired(endpoints=[declared("llama3")]), desired(), "deployment.llama3", Fate.REMOVED, ""),
        (
            desired(key("payments", "llama3")),
            desired(key("payments", "llama3"), endpoints=[declared("llama3", Auth.REQUIRED)]),
            "deployment.llama3",
            Fate.CHANGED,
            "",
        ),
    ],
)
def test_what_happens_has_a_name(
    before: DesiredState, after: DesiredState, address: str, fate: Fate, former: str
) -> None:
    found = part_of(before, after, address)
    assert (found.fate, found.former) == (fate, former)


def test_a_sink_in_another_place_names_the_keys_whose_secrets_go_there() -> None:
    before = replace(desired(key("alpha"), key("beta", sinks=["ci"])), sinks=(sink("local"),))
    after = replace(before, sinks=(sink("local", "b.env"),))
    assert part_of(before, after, "sink.local") == Part(
        "sink.local",
        Fate.CHANGED,
        settings=(Setting("path", "a.env", "b.env", chooses_place=True),),
        touches=("key.alpha",),
    )


def test_a_sink_whose_file_was_moved_is_in_another_place_although_it_is_written_the_same() -> None:
    before = replace(desired(key("alpha")), sinks=(sink("local"),))
    there = replace(before.sinks[0], options={"path": "/stack/deploy/a.env"})
    found = revise(before, replace(before, sinks=(there,)))
    assert [each.path for each in found.parts[0].settings] == ["path"]
    assert [note.code for note in found.weakened] == ["secrets_get_to_a_new_place"]


def test_a_project_that_is_a_variable_stands_for_itself() -> None:
    one = desired()
    assert revise(one, one, Written("${GCORE_CLOUD_PROJECT_ID}"), Written("${GCORE_CLOUD_PROJECT_ID}")).is_empty
    found = revise(one, one, Written("1234"), Written("${KEYFORM_VAR_PROJECT}"))
    assert found.parts[0].settings == (Setting("project", 1234, "${KEYFORM_VAR_PROJECT}"),)
    assert [note.code for note in found.weakened] == ["project_is_left"]


def test_a_default_shows_at_each_key_that_it_changes() -> None:
    before = desired(*(key(name, every=days(30)) for name in drawn.NAMES), key("delta", every=days(1)))
    after = desired(*(key(name, every=days(60)) for name in drawn.NAMES), key("delta", every=days(1)))
    changed = Setting("rotation.every", "30d", "60d")
    assert revise(before, after).parts == tuple(
        Part(f"key.{name}", Fate.CHANGED, settings=(changed,)) for name in drawn.NAMES
    )


def test_an_expiry_that_is_said_differs_from_none() -> None:
    before, after = desired(key("alpha")), desired(key("alpha", says_expiry=True))
    assert part_of(before, after, "key.alpha").settings == (Setting("expires_at", None, "never"),)


def test_lengths_and_instants_are_as_in_the_file() -> None:
    after = desired(key("alpha", expires_at=NOW, overlap=timedelta(hours=36)))
    found = {each.path: each.after for each in part_of(desired(), after, "key.alpha").settings}
    assert (found["expires_at"], found["rotation.overlap"]) == ("2026-11-21T10:00:00Z", "36h")
