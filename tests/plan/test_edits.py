"""What people do to descriptions in the portal: a key is never foreign for that, and nothing of it is cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.edits import BREAKING, EDITS, HARMLESS, WIPING, described, edits
from support.fuzzing import fuzz
from support.simulation import simulate
from support.states import A_MONTH_AGO, NOW, days, declared, desired, endpoint, key, live, snapshot

from reconciler.model import (
    Auth,
    DesiredState,
    LiveKey,
    Phase,
    Safety,
    SinkContents,
    SinkRecord,
    Snapshot,
    compose_description,
    digest,
)
from reconciler.plan import compute_plan
from reconciler.plan.changes import (
    CreateGeneration,
    DeleteKey,
    Destroy,
    Plan,
    Publish,
    RemoveRecord,
    Rotate,
    Unbind,
    UpdateKey,
)
from reconciler.plan.survey import compute_standing

SINKS = {
    "a sink that proves": lambda record: SinkContents({"app-two": record}),
    "a file that git tracks": lambda record: SinkContents({"app-two": record}, is_evidence=False),
    "a program": lambda _: SinkContents(readable=False),
}
NEWER = live("app-two-g2", of="app-two", generation=2, text="Checkout", created_at=A_MONTH_AGO)
TEXT = compose_description("Checkout", NEWER.ownership) if NEWER.ownership else ""
OTHER = live("other")
EXCLUSIVE = [declared("llama3", Auth.REQUIRED, exclusive=True)]
FILE = desired(key("app-two", "llama3", text="Checkout"), key("search", "llama3"), endpoints=EXCLUSIVE)
EMPTY = replace(desired(), safety=Safety(None, allow_empty=True))


def world(description: str, sink: str = "a sink that proves", *more: LiveKey) -> Snapshot:
    """`app-two-g2` with this description, on an exclusive endpoint beside a foreign key."""
    edited = described(NEWER, description)
    names = [edited.name, "other", *(each.name for each in more)]
    record = SinkRecord("prod", "app-two", 2, edited.name, edited.created_at)
    return replace(snapshot(edited, OTHER, *more, endpoint("llama3", *names)), sinks={"local": SINKS[sink](record)})


def losses(plan: Plan) -> set[str]:
    """Every live key that a plan takes off an endpoint or deletes."""
    return {change.live.name for change in plan.changes if isinstance(change, Unbind | DeleteKey)}


def of(plan: Plan, name: str) -> list[str]:
    """What a plan does to a key."""
    return [f"{change.step.value} {change.reason.code}" for change in plan.changes if change.key == name]


def held_up(plan: Plan) -> set[str]:
    """The addresses that are unmet."""
    return {finding.path for finding in plan.unmet}


SEARCH = of(compute_plan(FILE, world(TEXT), NOW), "search")
"""What the other key of the file needs, whatever becomes of this one."""


@example(TEXT.replace("Z to=", "Z] to="), "a file that git tracks")
@fuzz(400)
@given(edits(TEXT), st.sampled_from(sorted(SINKS)))
def test_no_edit_cuts_the_key_or_makes_another_generation(description: str, sink: str) -> None:
    plan = compute_plan(FILE, world(description, sink), NOW)
    assert losses(plan) == {"other"}
    assert of(plan, "search") == SEARCH, "the rest of the plan goes on"
    assert plan.refusals == ()
    marker = described(NEWER, description).ownership
    if sink == "a program" and marker is not None and marker.published_to not in ("", digest([])):
        return  # it says that the secret is at another place, and nobody can see whether it is at this one
    assert not any(
        isinstance(each, CreateGeneration | RemoveRecord | Publish) for each in plan.changes if each.key == "app-two"
    )
    if "keys.app-two" in held_up(plan):
        assert of(plan, "app-two") == []
    else:
        assert set(of(plan, "app-two")) <= {
            f"update_key {code}"
            for code in ("marker_is_restored", "description_differs", "marker_is_old", "marker_differs", "sinks_differ")
        } | {"update_key description and prevent_destroy differ"}
        after = simulate(plan, world(description, sink), NOW)
        assert of(compute_plan(FILE, after, NOW), "app-two") == []


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("edit", HARMLESS)
def test_a_marker_counts_wherever_it_stands(edit: str, sink: str) -> None:
    plan = compute_plan(FILE, world(HARMLESS[edit](TEXT), sink), NOW)
    assert "keys.app-two" not in held_up(plan)
    if "note" in edit:
        [update] = [change for change in plan.changes if change.key == "app-two"]
        assert isinstance(update, UpdateKey)
        assert (update.text, update.reason.code) == ("Checkout", "description_differs")
        assert "ask" in str(update.diff[0].live)
    else:
        assert of(plan, "app-two") == []


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("edit", BREAKING)
def test_a_marker_that_cannot_be_read_holds_up_its_key_alone(edit: str, sink: str) -> None:
    before = world(BREAKING[edit](TEXT), sink)
    plan = compute_plan(FILE, before, NOW)
    finding = next(f for f in plan.unmet if f.path == "keys.app-two")
    assert finding.message == (
        "is held up by the live key app-two-g2: it seems to belong to this stack, but its marker cannot be read"
    )
    assert "adopt" in finding.way_out
    status = compute_standing(FILE, before, NOW)
    assert status.held_up == ("app-two",)
    adopted = desired(
        key("app-two", "llama3", text="Checkout", adopt="app-two-g2"), key("search", "llama3"), endpoints=EXCLUSIVE
    )
    taken = compute_plan(adopted, before, NOW)
    assert of(taken, "app-two") == ["update_key key_is_adopted"]
    assert taken.unmet == ()
    again = compute_plan(adopted, simulate(taken, before, NOW), NOW)
    assert again.changes == ()
    assert again.unmet == ()


@pytest.mark.parametrize("edit", WIPING)
def test_a_marker_is_restored_where_a_record_proves_whose_it_was(edit: str) -> None:
    before = world(WIPING[edit](TEXT))
    plan = compute_plan(FILE, before, NOW)
    [restored] = [change for change in plan.changes if change.key == "app-two"]
    assert isinstance(restored, UpdateKey)
    own = restored.ownership
    assert (own.generation, own.phase, own.since, restored.text) == (2, Phase.PUBLISHED, A_MONTH_AGO, "Checkout")
    assert restored.reason.code == "marker_is_restored"
    assert plan.unmet == ()
    assert compute_standing(FILE, before, NOW).foreign_keys == ("other",)
    unsaid = replace(FILE, keys=(key("app-two", "llama3", text=None), *FILE.keys[1:]))
    kept = next(c for c in compute_plan(unsaid, before, NOW).changes if c.key == "app-two")
    assert isinstance(kept, UpdateKey)
    assert kept.text == WIPING[edit](TEXT).strip()


@pytest.mark.parametrize("sink", ["a file that git tracks", "a program"])
@pytest.mark.parametrize("edit", WIPING)
def test_without_such_a_record_its_key_is_held_up(edit: str, sink: str) -> None:
    plan = compute_plan(FILE, world(WIPING[edit](TEXT), sink), NOW)
    finding = next(f for f in plan.unmet if f.path == "keys.app-two")
    why = "it is called like a generation of this key" if sink == "a program" else "sink local has a record of it"
    assert finding.message == f"is held up by the live key app-two-g2: {why}, but it has no keyform marker"
    assert "`adopt: app-two-g2`" in finding.way_out


def test_a_marker_is_restored_as_published_since_now_beside_an_older_generation() -> None:
    """Nobody knows how much of the overlap has passed: it begins again."""
    older = live("app-two", of="app-two", text="Checkout")
    plan = compute_plan(
        desired(key("app-two", "llama3", overlap=days(7))), world("ask Bob", "a sink that proves", older), NOW
    )
    [restored] = [change for change in plan.changes if isinstance(change, UpdateKey)]
    assert (restored.ownership.phase, restored.ownership.since) == (Phase.PUBLISHED, NOW)
    assert losses(plan) == set()


def test_where_another_sink_cannot_be_read_it_counts_as_published_in_part() -> None:
    older = live("app-two", of="app-two", text="Checkout")
    before = world("ask Bob", "a sink that proves", older)
    before = replace(before, sinks={**before.sinks, "ci": SinkContents(readable=False)})
    plan = compute_plan(desired(key("app-two", "llama3", sinks=["local", "ci"])), before, NOW)
    made = next(change for change in plan.changes if isinstance(change, CreateGeneration))
    assert made.reason.code == "publication_is_uncertain"
    assert losses(plan) == set()


def test_taking_the_marker_off_puts_no_rotation_off() -> None:
    plan = compute_plan(desired(key("app-two", "llama3", every=days(20))), world("ask Bob"), NOW)
    assert [c.reason.code for c in plan.changes if isinstance(c, CreateGeneration)] == ["rotation_is_due"]


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_an_old_generation_ends_no_overlap(edit: str, sink: str) -> None:
    """The newest is known: a broken marker holds the key up, and every apply reports a key that is named like an older
    one.
    """
    since = NOW - timedelta(hours=1)
    newer = replace(NEWER, created_at=since)
    newer = described(newer, compose_description("Checkout", replace(newer.ownership, since=since)))  # type: ignore[type-var]
    older = live("app-two", of="app-two")
    older = described(older, EDITS[edit](compose_description("", older.ownership)))  # type: ignore[arg-type]
    record = SinkRecord("prod", "app-two", 2, newer.name, newer.created_at)
    before = replace(
        snapshot(older, newer, endpoint("llama3", "app-two", "app-two-g2")), sinks={"local": SINKS[sink](record)}
    )
    file = desired(key("app-two", "llama3", text="Checkout", overlap=days(7)), endpoints=EXCLUSIVE)
    plan = compute_plan(file, before, NOW)
    assert losses(plan) == set()
    if edit in WIPING:
        assert [note.code for note in plan.warnings] == ["marker_is_missing"]
        assert plan.changes == ()
        taken = desired(
            key("app-two", "llama3", text="Checkout", overlap=days(7), adopt="app-two"), endpoints=EXCLUSIVE
        )
        assert of(compute_plan(taken, before, NOW), "app-two") == ["update_key key_is_adopted"]
        over = compute_plan(taken, simulate(compute_plan(taken, before, NOW), before, NOW), NOW + days(8))
        assert losses(over) == {"app-two"}


# --- What else is asked for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("edit", [*BREAKING, *WIPING])
def test_a_leaked_secret_goes_or_is_told_whatever_became_of_its_marker(edit: str, sink: str) -> None:
    """What proves to be the key's is cut, and what may be is named: nothing is deleted on suspicion."""
    before = world(EDITS[edit](TEXT), sink)
    plan = compute_plan(FILE, before, NOW, Rotate(frozenset({"app-two"}), revoke=True))
    assert any(isinstance(change, Publish) for change in plan.changes)
    if losses(plan):
        assert losses(plan) == {"app-two-g2"}
        assert plan.unmet == ()
        after = simulate(plan, before, NOW)
        assert {live.name for live in after.keys if live.ownership} == {"app-two-g3"}
    else:
        assert [finding.path for finding in plan.unmet] == ["keys.app-two"]
        assert "app-two-g2" in plan.unmet[0].message


@pytest.mark.parametrize("edit", ["a phase of a later version", "a word of a later version", "another form"])
def test_of_a_leaked_secret_it_is_enough_that_name_and_number_can_be_read(edit: str) -> None:
    plan = compute_plan(FILE, world(EDITS[edit](TEXT), "a program"), NOW, Rotate(frozenset({"app-two"}), revoke=True))
    assert losses(plan) == {"app-two-g2"}


@pytest.mark.parametrize("is_bound", [True, False])
@pytest.mark.parametrize("old", ["its marker is gone", "it was adopted, and the file says so no more"])
def test_an_old_secret_that_stays_when_a_key_is_revoked_is_told(old: str, *, is_bound: bool) -> None:
    """It is surely not the newest, and it may be the one that leaked: exit code 0 would say that it is cut."""
    older = described(live("app-two", created_at=A_MONTH_AGO - days(9)), "cleared")
    if old != "its marker is gone":
        older = live("made-by-hand", of="app-two", phase=Phase.ADOPTED, created_at=A_MONTH_AGO - days(9))
    record = SinkRecord("prod", "app-two", 2, NEWER.name, NEWER.created_at)
    bound = [NEWER.name, *([older.name] if is_bound else [])]
    before = replace(
        snapshot(NEWER, older, endpoint("llama3", *bound)),
        sinks={"local": SinkContents({"app-two": record})},
    )
    plan = compute_plan(
        desired(key("app-two", "llama3", text="Checkout")), before, NOW, Rotate(frozenset({"app-two"}), revoke=True)
    )
    assert losses(plan) == {"app-two-g2"}
    assert [f"the live key {older.name} stays" in finding.message for finding in plan.unmet] == [True] * is_bound


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("edit", [*BREAKING, *WIPING])
def test_a_plain_rotation_waits(edit: str, sink: str) -> None:
    plan = compute_plan(FILE, world(EDITS[edit](TEXT), sink), NOW, Rotate(frozenset({"app-two"})))
    if edit in WIPING and sink == "a sink that proves":
        assert [c.live.name for c in plan.changes if isinstance(c, CreateGeneration)] == ["app-two-g3"]
    else:
        assert plan.changes == ()
        assert held_up(plan) == {"keys.app-two"}


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("edit", [*BREAKING, *WIPING])
@pytest.mark.parametrize("demand", [None, Destroy()], ids=["removed", "destroyed"])
def test_a_key_that_is_to_go_stays_until_its_marker_says_whose_it_is(
    edit: str, sink: str, demand: Destroy | None
) -> None:
    """Somebody may have taken the marker off to keep it."""
    before = world(EDITS[edit](TEXT), sink)
    file = FILE if demand else desired(key("search", "llama3"))
    plan = compute_plan(file, before, NOW, demand)
    assert losses(plan) == set()
    assert not any(isinstance(change, RemoveRecord) for change in plan.changes)
    unreadable_program = sink == "a program" and (edit in WIPING or before.keys[0].claimed_by == "")
    if demand is None and unreadable_program:
        return  # nothing reports it any longer
    assert any("app-two-g2" in finding.message for finding in plan.unmet)


def test_a_record_of_a_live_key_that_another_stack_has_by_its_marker_holds_up_the_key() -> None:
    plan = compute_plan(FILE, world(TEXT.replace("prod/", "prd/")), NOW)
    finding = next(f for f in plan.unmet if f.path == "keys.app-two")
    assert finding.message == (
        "is held up by the live key app-two-g2: sink local has a record of it, but it has a marker of the stack prd"
    )
    assert losses(plan) == {"other"}


def test_a_marker_whose_number_was_edited_is_corrected_where_a_record_proves_it() -> None:
    before = world(TEXT.replace(" g2 ", " g9 "))
    plan = compute_plan(FILE, before, NOW)
    [update] = [change for change in plan.changes if isinstance(change, UpdateKey)]
    assert (update.ownership.generation, update.reason.code) == (2, "marker_differs")


def test_a_thousand_keys_that_are_called_alike_are_told_in_part() -> None:
    before = world(TEXT, "a sink that proves", *(live(f"app-two-g{number}") for number in range(3, 1003)))
    plan = compute_plan(desired(key("app-two", "llama3", text="Checkout")), before, NOW)
    assert len(plan.warnings) == 21
    assert "980 more" in plan.warnings[-1].sentence
    assert plan.unmet == ()


OTHERS = {
    "another stack's": lambda text: text.replace("prod/", "zz/"),
    "another stack's, broken": lambda text: text.replace("prod/", "zz/").removesuffix("]"),
    "broken": lambda text: text.removesuffix("]"),
    "of another key": lambda text: text.replace("/app-two", "/gone"),
    "none": lambda _: "ask Bob",
}


@pytest.mark.parametrize("mutable", [("description",), ("description", "expires_at")], ids=["v3", "v2"])
@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("edit", OTHERS)
def test_no_list_of_stacks_cuts_a_key_that_may_be_in_use(edit: str, sink: str, mutable: tuple[str, ...]) -> None:
    """Not even together with the advice that was given: the marker is what somebody edited."""
    before = world(OTHERS[edit](TEXT), sink)
    before = replace(before, capabilities=replace(before.capabilities, mutable_key_fields=frozenset(mutable)))
    for stacks in (frozenset({"zz"}), frozenset({"prod"}), frozenset({"zz", "prod"})):
        exclusive = [replace(EXCLUSIVE[0], exclusive_stacks=stacks)]
        plan = compute_plan(replace(FILE, endpoints=tuple(exclusive)), before, NOW)
        assert losses(plan) == {"other"}
    plan = compute_plan(FILE, before, NOW)
    spared = [finding for finding in plan.unmet if "app-two-g2 stays bound to it" in finding.message]
    assert not any("stacks: [" in finding.way_out for finding in spared)


@pytest.mark.parametrize("stacks", ["zz", "prod"])
def test_a_key_of_another_stack_that_is_called_like_no_key_of_the_file_is_cut_where_the_file_says_so(
    stacks: str,
) -> None:
    foreign = described(live("theirs"), TEXT.replace("prod/app-two g2", "zz/theirs g1"))
    before = world(TEXT, "a program", foreign)
    exclusive = [replace(EXCLUSIVE[0], exclusive_stacks=frozenset({stacks}))]
    plan = compute_plan(replace(FILE, endpoints=tuple(exclusive)), before, NOW)
    assert losses(plan) == ({"other", "theirs"} if stacks == "zz" else {"other"})


@pytest.mark.parametrize("overlap", [days(7), days(60)], ids=["over", "not over"])
def test_nor_does_it_end_the_overlap_of_an_old_generation(overlap: timedelta) -> None:
    older = described(live("app-two"), TEXT.replace("prod/app-two g2", "zz/app-two g1"))
    exclusive = [replace(EXCLUSIVE[0], exclusive_stacks=frozenset({"zz"}))]
    file = desired(key("app-two", "llama3", text="Checkout", overlap=overlap), endpoints=exclusive)
    plan = compute_plan(file, world(TEXT, "a program", older), NOW)
    assert losses(plan) == ({"other", "app-two"} if overlap == days(7) else {"other"})


def test_a_taken_name_is_not_cut_either() -> None:
    """Its record is lost: a first generation whose marker names another stack holds up its key by its name alone."""
    mine = live("search", of="search")
    mine = described(mine, compose_description("", replace(mine.ownership, stack="zz")))  # type: ignore[type-var]
    exclusive = [replace(EXCLUSIVE[0], exclusive_stacks=frozenset({"zz"}))]
    plan = compute_plan(replace(FILE, endpoints=tuple(exclusive)), world(TEXT, "a program", mine), NOW)
    assert losses(plan) == {"other"}
    assert "deployment.llama3" in held_up(plan)
    assert "the live key search belongs to zz/search" in {finding.message for finding in plan.unmet}


# --- adopt ------------------------------------------------------------------------------------------------------------


def adopting(live_name: str, **said: object) -> DesiredState:
    """A file that adopts a live key."""
    return desired(key("app-two", "llama3", adopt=live_name, **{"text": None, **said}))  # type: ignore[arg-type]


def test_a_later_generation_is_adopted_as_what_its_name_says() -> None:
    before = world("ask Bob", "a program")
    plan = compute_plan(adopting("app-two-g2"), before, NOW)
    [update] = plan.changes
    assert isinstance(update, UpdateKey)
    assert (update.ownership.generation, update.ownership.phase, update.text) == (2, Phase.ADOPTED, "ask Bob")
    after = simulate(plan, before, NOW)
    made = compute_plan(adopting("app-two-g2", every=days(1)), after, NOW + days(2)).changes[0]
    assert made.id.live.name == "app-two-g3"
    assert compute_plan(desired(key("app-two", "llama3", text=None)), after, NOW).changes == (), "its name bears it out"


def test_a_forged_marker_does_not_win_over_adopt() -> None:
    before = world(TEXT.replace(" g2 ", " g9 "), "a program")
    [update] = compute_plan(adopting("app-two-g2"), before, NOW).changes
    assert isinstance(update, UpdateKey)
    assert update.ownership.generation == 2


@pytest.mark.parametrize("overlap", [timedelta(0), days(60)], ids=["over", "to come"])
@pytest.mark.parametrize("revoke", [False, True], ids=["plain", "revoked"])
def test_an_old_generation_that_is_another_keys_by_its_marker_is_marked_before_it_goes(
    overlap: timedelta, revoke: bool
) -> None:
    older = live("app-two", of="search", created_at=A_MONTH_AGO - days(1))
    before = world(TEXT, "a sink that proves", older)
    file = desired(key("app-two", "llama3", text="Checkout", adopt="app-two", overlap=overlap))
    plan = compute_plan(file, before, NOW, Rotate(frozenset({"app-two"}), revoke=True) if revoke else None)
    [update] = [each for each in plan.changes if isinstance(each, UpdateKey) and each.live.name == "app-two"]
    assert (update.adopts, update.ownership.key, update.ownership.generation) == (True, "app-two", 1)
    goes = [each for each in plan.changes if isinstance(each, Unbind | DeleteKey) and each.live.name == "app-two"]
    assert bool(goes) == (revoke or not overlap)
    assert all(update.id in each.depends_on for each in goes)
    over = simulate(plan, before, NOW)
    assert "app-two" in losses(compute_plan(file, over, NOW + days(61))) | losses(plan)


PENDING_BY_HAND = ["to=5d41402a", "as=5d41402a", "exp to=5d41402a"]


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("words", PENDING_BY_HAND)
def test_a_generation_that_was_published_is_not_made_disposable_by_a_word(words: str, sink: str) -> None:
    before = world(f"[keyform 2 prod/app-two g2 pending 2026-10-22T10:00:00Z {words}]", sink)
    plan = compute_plan(FILE, before, NOW)
    assert losses(plan) == {"other"}
    assert "keys.app-two" in held_up(plan)


@pytest.mark.parametrize("name", ["by-hand", "app-two-g7"])
@pytest.mark.parametrize("newer", [False, True], ids=["alone", "replaced"])
@pytest.mark.parametrize("demand", [None, Destroy()], ids=["removed", "destroyed"])
def test_what_was_adopted_is_named_once_the_file_says_no_more_of_it(
    name: str, newer: bool, demand: Destroy | None
) -> None:
    """Its marker says so, which is not a proof: it is not deleted, and the plan does not pass over it."""
    marker = live(name, of="gone").ownership
    assert marker is not None
    old = replace(live(name, created_at=A_MONTH_AGO - days(1)), ownership=marker.on(name))
    keys = [old, live("gone-g2", of="gone", generation=2)] if newer else [old]
    before = snapshot(*keys, endpoint("llama3", *(each.name for each in keys)))
    file = EMPTY
    plan = compute_plan(file, before, NOW, demand)
    [finding] = [each for each in plan.unmet if f"live key {name} is" in each.message]
    assert (finding.path, finding.message) == (
        "key.gone",
        f"the live key {name} is neither changed nor deleted: its marker says that it was adopted as g1 of gone, and"
        " the file adopts it no more",
    )
    assert f"`adopt: {name}` on a key `gone`" in finding.way_out
    assert losses(plan) <= {"gone-g2"}
    assert "marker_is_not_borne_out" not in {note.code for note in plan.warnings}
    copied = replace(before, keys=tuple(replace(each, name="copied") if each is old else each for each in keys))
    forged = compute_plan(file, copied, NOW, demand)
    assert not any("copied is" in each.message for each in forged.unmet)
    assert "marker_is_not_borne_out" in {note.code for note in forged.warnings}


@pytest.mark.parametrize("revoke", [False, True], ids=["plain", "revoked"])
def test_an_adopted_generation_that_was_replaced_is_named_once_the_file_adopts_it_no_more(revoke: bool) -> None:
    marker = live("by-hand", of="app-two").ownership
    assert marker is not None
    old = replace(live("by-hand"), ownership=marker.on("by-hand"))
    before = world(TEXT, "a sink that proves", old)
    file = replace(FILE, endpoints=())
    plan = compute_plan(file, before, NOW, Rotate(frozenset({"app-two"}), revoke=True) if revoke else None)
    [finding] = [each for each in plan.unmet if "by-hand" in each.message]
    assert finding.path == "keys.app-two"
    assert losses(plan) == ({"app-two-g2"} if revoke else set())
    if not revoke:
        assert "`adopt: by-hand`" in finding.way_out
    kept = replace(file, keys=(replace(file.keys[0], adopt="by-hand", overlap=timedelta(0)), *file.keys[1:]))
    assert losses(compute_plan(kept, before, NOW)) == {"by-hand"}
    recorded = {"app-two": SinkRecord("prod", "app-two", 1, "by-hand", old.created_at)}
    proven = replace(before, sinks={**before.sinks, "vault": SinkContents(recorded)})
    assert not any("by-hand" in each.message for each in compute_plan(file, proven, NOW).unmet), "it is ours"


UNMARKED = [
    pytest.param(timedelta(0), True, False, True, id="no overlap"),
    pytest.param(days(7), True, False, True, id="the overlap is over"),
    pytest.param(days(60), True, False, False, id="it is not"),
    pytest.param(timedelta(0), False, False, False, id="it opens nothing"),
    pytest.param(timedelta(0), True, True, False, id="it has expired"),
]


@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize(("overlap", "is_bound", "is_expired", "is_told"), UNMARKED)
def test_an_old_generation_without_a_marker_is_named_once_it_would_be_gone(
    overlap: timedelta, is_bound: bool, is_expired: bool, is_told: bool, sink: str
) -> None:
    older = live("app-two", text="ask Bob", expires_at=NOW - days(1) if is_expired else None)
    before = world(TEXT, sink, older)
    if not is_bound:
        before = replace(before, bindings=frozenset(each for each in before.bindings if each.key_id != older.id))
    file = desired(key("app-two", "llama3", text="Checkout", overlap=overlap))
    plan = compute_plan(file, before, NOW)
    assert plan.changes == ()
    assert [each.message for each in plan.unmet] == is_told * [
        "is not deleted: the live key app-two; it is called like a generation of this key, but it has no keyform marker"
    ]
    assert all("`adopt: app-two`" in each.way_out for each in plan.unmet)
    assert bool(plan.warnings) is not is_told
    is_accepted = is_bound and not is_expired
    revoked = compute_plan(file, before, NOW, Rotate(frozenset({"app-two"}), revoke=True))
    assert any("live key app-two stays" in each.message for each in revoked.unmet) == is_accepted
    for then, demand in ((file, Destroy()), (EMPTY, None)):
        gone = compute_plan(then, before, NOW, demand)
        if sink == "a sink that proves" and is_bound:
            assert losses(gone) == {"app-two-g2"}
        assert [each.path for each in gone.unmet if "app-two;" in each.message] == is_accepted * ["key.app-two"]


def test_so_is_one_whose_marker_names_another_key() -> None:
    older = live("app-two", of="search")
    file = desired(key("app-two", "llama3", text="Checkout", overlap=timedelta(0)), key("search", "llama3"))
    plan = compute_plan(file, world(TEXT, "a sink that proves", older), NOW)
    assert losses(plan) == set()
    assert [each.message for each in plan.unmet if each.path == "keys.app-two"] == [
        "is not deleted: the live key app-two; its marker says that it is g1 of search, but its name does not match"
    ]


def test_a_second_destroy_names_an_old_generation_as_well() -> None:
    before = snapshot(live("app-two"), OTHER, endpoint("llama3", "app-two", "other"))
    plan = compute_plan(FILE, before, NOW, Destroy())
    assert plan.changes == ()
    [finding] = plan.unmet
    assert "is not deleted: the live key app-two; " in finding.message


BESIDE = [
    pytest.param("app-two-g2", A_MONTH_AGO + days(1), True, id="newer"),
    pytest.param("app-two-g2", A_MONTH_AGO - days(1), False, id="made before the one that it would replace"),
    pytest.param("portal-made", A_MONTH_AGO, False, id="without a number"),
    pytest.param("search", A_MONTH_AGO, False, id="another key's"),
]


@pytest.mark.parametrize(("name", "made_at", "is_taken"), BESIDE)
def test_adopt_beside_a_generation_is_never_ignored(name: str, made_at: object, is_taken: bool) -> None:
    beside = replace(live(name), created_at=made_at)
    if name == "search":
        beside = live(name, of="search")
    before = snapshot(live("app-two", of="app-two"), beside, endpoint("llama3", "app-two", name), held=["app-two"])
    plan = compute_plan(replace(adopting(name), safety=FILE.safety), before, NOW)
    if is_taken:
        assert of(plan, "app-two") == ["update_key key_is_adopted"]
        assert plan.unmet == ()
    else:
        assert of(plan, "app-two") == []
        [finding] = [f for f in plan.unmet if f.path.endswith("app-two.adopt") or f.path == ".adopt"]
        assert name in finding.message


def test_an_adopt_that_has_done_its_work_is_told() -> None:
    before = snapshot(
        live("app-two-g2", of="app-two", generation=2), endpoint("llama3", "app-two-g2"), held=["app-two-g2"]
    )
    plan = compute_plan(adopting("portal-made"), before, NOW)
    assert plan.changes == ()
    assert [note.code for note in plan.warnings] == ["adopt_is_done"]
    assert compute_plan(adopting("app-two-g2"), before, NOW).warnings == ()


# --- What an adopted key keeps ----------------------------------------------------------------------------------------

EXPIRY = NOW + days(90)


@pytest.mark.parametrize("mutable", [("description",), ("description", "expires_at")], ids=["v3", "v2"])
@pytest.mark.parametrize("name", ["portal-made", "app-two"])
def test_an_adopted_key_keeps_its_description_and_expiry_and_so_do_its_successors(
    name: str, mutable: tuple[str, ...]
) -> None:
    before = snapshot(
        live(name, text="of the portal", expires_at=EXPIRY), OTHER, endpoint("llama3", name, "other"), mutable=mutable
    )
    plan = compute_plan(adopting(name), before, NOW)
    assert [str(change.id) for change in plan.changes] == [f"update_key {name}"]
    assert plan.changes[0].diff == ()
    assert "expiry_is_kept" in {note.code for note in plan.warnings}
    after = simulate(plan, before, NOW)
    rotated = compute_plan(adopting(name), after, NOW, Rotate(frozenset({"app-two"})))
    made = next(change for change in rotated.changes if isinstance(change, CreateGeneration))
    assert (made.text, made.expires_at) == ("of the portal", EXPIRY)
    assert [diff.path for diff in made.diff] == ["generation"]
    assert "2027-02-19T10:00:00Z" in next(n.sentence for n in rotated.warnings if n.code == "expiry_is_kept")
    later = simulate(rotated, after, NOW)
    gone = desired(key("app-two", "llama3", text=None, overlap=timedelta(0)))
    assert [change.step.value for change in compute_plan(gone, later, NOW).changes] == (
        ["unbind", "delete_key"] if name == "app-two" else []
    ), "without `adopt`, both stay as they are"


@pytest.mark.parametrize("mutable", [("description",), ("description", "expires_at")], ids=["v3", "v2"])
def test_what_the_file_says_of_an_adopted_key_holds(mutable: tuple[str, ...]) -> None:
    before = snapshot(
        live("portal-made", text="of the portal", expires_at=EXPIRY), endpoint("llama3", "portal-made"), mutable=mutable
    )
    plan = compute_plan(adopting("portal-made", text="", says_expiry=True), before, NOW)
    if "expires_at" in mutable:
        [update] = plan.changes
        assert isinstance(update, UpdateKey)
        assert (update.text, update.expires_at, update.ownership.keeps_expiry) == ("", None, False)
    else:
        made = next(change for change in plan.changes if isinstance(change, CreateGeneration))
        assert (made.text, made.expires_at, made.reason.code) == ("", None, "expiry_differs")


def test_what_was_adopted_and_has_expired_needs_another_date_for_its_next_generation() -> None:
    before = snapshot(live("portal-made", expires_at=NOW - days(1)), OTHER, endpoint("llama3", "portal-made", "other"))
    state = adopting("portal-made")
    assert [note.code for note in compute_plan(state, before, NOW).expiring] == ["key_has_expired"]
    after = simulate(compute_plan(state, before, NOW), before, NOW)
    plan = compute_plan(state, after, NOW, Rotate(frozenset({"app-two"})))
    assert not any(isinstance(change, CreateGeneration) for change in plan.changes)
    assert "that of the key that was adopted, is in the past" in plan.unmet[0].message
    assert plan.unmet[0].path.endswith("expires_at")


def test_a_description_that_the_file_does_not_say_stays_and_an_empty_one_empties_it() -> None:
    before = snapshot(live("app-two", of="app-two", text="by Bob"), endpoint("llama3", "app-two"), held=["app-two"])
    assert compute_plan(desired(key("app-two", "llama3", text=None)), before, NOW).changes == ()
    [update] = compute_plan(desired(key("app-two", "llama3", text="")), before, NOW).changes
    assert (update.reason.code, update.diff[0].live, update.diff[0].desired) == ("description_differs", "by Bob", "")


def test_a_kept_text_that_leaves_no_room_for_the_next_marker_holds_up_the_rotation() -> None:
    # The marker of the ninth generation fits beside it, and that of a tenth does not.
    own = live("app-two-g9", of="app-two", generation=9)
    text = "x" * (300 - len(own.ownership.marker()) - 1)  # type: ignore[union-attr]
    before = snapshot(replace(own, text=text), endpoint("llama3", "app-two-g9"), held=["app-two-g9"])
    state = desired(key("app-two", "llama3", text=None))
    assert compute_plan(state, before, NOW).changes == ()
    plan = compute_plan(state, before, NOW, Rotate(frozenset({"app-two"})))
    assert plan.changes == ()
    assert "leaves no room" in plan.unmet[0].message
