"""Secrets that a sink lacks: what the file moved is copied or replaced, and more losses than it allows are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan.test_rules import told
from support.fuzzing import fuzz
from support.simulation import record_of, simulate
from support.states import NOW, STACK, days, desired, endpoint, key, live, snapshot

from reconciler.model import (
    DesiredState,
    LiveKey,
    Ownership,
    Phase,
    SinkContents,
    Snapshot,
    Trouble,
    digest,
    generation_name,
)
from reconciler.plan import compute_plan
from reconciler.plan.changes import CreateGeneration, Plan, Rotate
from reconciler.plan.holdings import MOST_SETS, sets_by_digest
from reconciler.plan.standing import SinkState
from reconciler.plan.survey import compute_standing

FILE, OTHER, PROGRAM = "dotenv a", "json b", "command c"
ROTATES = [
    "create:payments-g2: secret_is_not_in_sink",
    "bind:deployment.llama3 [payments-g2 generation_succeeds]",
    "publish:payments-g2: secret_is_not_in_sink",
]
COPIES = ["copy:payments: secret_is_in_another_sink"]
REMOVES = "remove-record:local/payments: sink_is_not_declared"
REMARKS = ["update:payments: sinks_differ"]


def there(*, readable: bool = True, held: LiveKey | None = None, **more: Any) -> SinkContents:
    """A sink, and the secret of which live key it holds."""
    records = {held.ownership.key: record_of(held)} if held is not None and held.ownership is not None else {}
    return SinkContents(records, readable=readable, reads_secrets=readable, **more)


def published(*places: str, **more: Any) -> LiveKey:
    """`payments`, published to these places; none: nobody said where."""
    return live("payments", of="payments", published_to=digest(places) if places else "", **more)


def world(ours: LiveKey, sinks: Mapping[str, SinkContents]) -> Snapshot:
    """What is live, and what the sinks hold."""
    return replace(snapshot(ours, endpoint("llama3", ours.name)), sinks=dict(sinks))


def file(*sinks: str, places: Mapping[str, str], **more: Any) -> DesiredState:
    """`payments` in these sinks, of all those that the file has."""
    return desired(key("payments", "llama3", sinks=sinks), sinks=places, **more)


@dataclass(frozen=True)
class Case:
    """One row: what the file says, where the secret was published, and what the sinks are."""

    id: str
    sentence: str
    desired: DesiredState
    places: tuple[str, ...]
    sinks: Mapping[str, SinkContents]
    changes: list[str]
    notes: tuple[str, ...] = ()


IN_FILE = published(FILE)
HELD = there(held=IN_FILE)
UNSEEN = there(readable=False)

CASES = [
    Case("as-published", "nothing was edited", file("local", places={"local": FILE}), (FILE,), {"local": HELD}, []),
    Case(
        "lost",
        "what a sink lost, and no other has, is replaced",
        file("local", places={"local": FILE}),
        (FILE,),
        {"local": there()},
        ROTATES,
        ("generation_is_in_overlap",),
    ),
    Case(
        "lost-in-one",
        "what a sink lost, and another one has, is copied",
        file("local", "jobs", places={"local": FILE, "jobs": OTHER}),
        (FILE, OTHER),
        {"local": there(), "jobs": HELD},
        COPIES,
    ),
    Case(
        "lost-beside-a-program",
        "a program gives no secret back",
        file("local", "ci", places={"local": FILE, "ci": PROGRAM}),
        (FILE, PROGRAM),
        {"local": there(), "ci": UNSEEN},
        ROTATES,
        ("generation_is_in_overlap",),
    ),
    Case(
        "swapped",
        "a file that becomes a program at the same name gets a new secret, and what stays in the file is told",
        file("local", places={"local": PROGRAM}),
        (FILE,),
        {"local": UNSEEN},
        ROTATES,
        ("place_is_another", "generation_is_in_overlap"),
    ),
    Case(
        "swapped-back",
        "a program that becomes a file, too",
        file("local", places={"local": FILE}),
        (PROGRAM,),
        {"local": there()},
        ROTATES,
        ("place_is_another", "generation_is_in_overlap"),
    ),
    Case(
        "another-program",
        "and so does another program",
        file("ci", places={"ci": "command d"}),
        (PROGRAM,),
        {"ci": UNSEEN},
        ROTATES,
        ("place_is_another", "generation_is_in_overlap"),
    ),
    Case(
        "another-path",
        "a file at another path that is not there yet is an edit, and no absence",
        file("local", places={"local": "dotenv elsewhere"}),
        (FILE,),
        {"local": there(is_absent=True)},
        ROTATES,
        ("place_is_another", "generation_is_in_overlap"),
    ),
    Case(
        "program-added",
        "a program that is named beside a file gets the same secret",
        file("local", "ci", places={"local": FILE, "ci": PROGRAM}),
        (FILE,),
        {"local": HELD, "ci": UNSEEN},
        COPIES,
    ),
    Case(
        "file-added",
        "and so does another file, although it is not there yet",
        file("local", "jobs", places={"local": FILE, "jobs": OTHER}),
        (FILE,),
        {"local": HELD, "jobs": there(is_absent=True)},
        COPIES,
    ),
    Case(
        "file-added-beside-a-program",
        "what only a program has cannot be copied",
        file("ci", "local", places={"local": FILE, "ci": PROGRAM}),
        (PROGRAM,),
        {"local": there(), "ci": UNSEEN},
        ROTATES,
        ("generation_is_in_overlap",),
    ),
    Case(
        "moved-with-both-declared",
        "a key that names another sink has its secret copied there, then taken off the first one",
        file("jobs", places={"local": FILE, "jobs": OTHER}),
        (FILE,),
        {"local": HELD, "jobs": there()},
        [*COPIES, REMOVES],
    ),
    Case(
        "moved-to-a-program",
        "that the marker does not name the program shows that it has nothing",
        file("ci", places={"local": FILE, "ci": PROGRAM}),
        (FILE,),
        {"local": HELD, "ci": UNSEEN},
        [*COPIES, REMOVES],
    ),
    Case(
        "moved-and-unknown",
        "nor does a marker that names nothing, where another sink is to give the secret up",
        file("ci", places={"local": FILE, "ci": PROGRAM}),
        (),
        {"local": HELD, "ci": UNSEEN},
        [*COPIES, REMOVES],
    ),
    Case(
        "program-named-before",
        "a program that the marker names has the secret",
        file("ci", places={"local": FILE, "ci": PROGRAM}),
        (FILE, PROGRAM),
        {"local": HELD, "ci": UNSEEN},
        [*REMARKS, REMOVES],
    ),
    Case(
        "file-taken-off",
        "the marker of a key that names fewer sinks is written again",
        file("local", places={"local": FILE, "jobs": OTHER}),
        (FILE, OTHER),
        {"local": HELD, "jobs": there()},
        REMARKS,
    ),
    Case(
        "program-taken-off",
        "what a program keeps that the key no longer names is told",
        file("local", places={"local": FILE, "ci": PROGRAM}),
        (FILE, PROGRAM),
        {"local": HELD, "ci": UNSEEN},
        REMARKS,
        ("record_stays",),
    ),
    Case(
        "sink-gone-from-file",
        "what stays in a sink that is gone from the file is told",
        file("local", places={"local": FILE}),
        (FILE, OTHER),
        {"local": HELD},
        REMARKS,
        ("place_is_another",),
    ),
    Case(
        "renamed",
        "a sink that only has another name now is the same place",
        file("secrets", places={"secrets": FILE}),
        (FILE,),
        {"secrets": HELD},
        [],
    ),
    Case(
        "unknown",
        "a marker that names nothing is written once all can be seen",
        file("local", places={"local": FILE}),
        (),
        {"local": HELD},
        REMARKS,
    ),
    Case(
        "unknown-and-unseen",
        "what nobody can see is trusted, and not told of",
        file("local", "ci", places={"local": FILE, "ci": PROGRAM}),
        (),
        {"local": HELD, "ci": UNSEEN},
        [],
    ),
    Case(
        "source-gives-no-secrets",
        "a store that shows records and no secrets is no source",
        file("jobs", places={"local": FILE, "jobs": OTHER}),
        (FILE,),
        {"local": replace(HELD, reads_secrets=False), "jobs": there()},
        [*ROTATES, REMOVES],
        ("generation_is_in_overlap",),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_a_sink_lacks(case: Case) -> None:
    """And after it nothing is left to do."""
    before = world(published(*case.places), case.sinks)
    plan = compute_plan(case.desired, before, NOW)
    assert plan.refusals == ()
    assert told(plan.changes) == case.changes
    assert tuple(note.code for note in (*plan.warnings, *plan.notes)) == case.notes
    again = compute_plan(case.desired, simulate(plan, before, NOW), NOW)
    assert (told(again.changes), again.refusals) == ([], ())


def test_a_copy_says_from_where_to_where() -> None:
    state = file("ci", "local", places={"local": FILE, "ci": PROGRAM})
    (change,) = compute_plan(state, world(IN_FILE, {"local": HELD, "ci": UNSEEN}), NOW).changes
    assert change.reason.sentence == "its secret is copied from sink local to sink ci"


def test_a_swapped_sink_says_what_stays_where() -> None:
    plan = compute_plan(file("local", places={"local": PROGRAM}), world(IN_FILE, {"local": UNSEEN}), NOW)
    assert plan.changes[0].reason.sentence == "payments was published before the file set this place for sink local"
    assert plan.warnings[-1].sentence == (
        "sink local was somewhere else when payments was published: the record there stays; remove it by hand"
    )


@pytest.mark.parametrize(
    ("case", "state"),
    [
        ("as-published", {"local": SinkState.OK}),
        ("lost", {"local": SinkState.LOST}),
        ("swapped", {"local": SinkState.ELSEWHERE}),
        ("another-path", {"local": SinkState.ELSEWHERE}),
        ("program-added", {"local": SinkState.OK, "ci": SinkState.NOT_YET}),
        ("program-named-before", {"ci": SinkState.UNKNOWN}),
        ("unknown-and-unseen", {"local": SinkState.OK, "ci": SinkState.UNKNOWN}),
    ],
)
def test_status_says_what_plan_knows(case: str, state: dict[str, SinkState]) -> None:
    row = next(each for each in CASES if each.id == case)
    (status,) = compute_standing(row.desired, world(published(*row.places), row.sinks), NOW).keys
    assert dict(status.sinks) == state


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.PARTIAL, Phase.REVOKED, Phase.ADOPTED])
def test_only_what_was_surely_published_is_copied(phase: Phase) -> None:
    ours = live("payments", of="payments", phase=phase)
    state = file("local", "jobs", places={"local": FILE, "jobs": OTHER})
    plan = compute_plan(state, world(ours, {"local": there(held=ours), "jobs": there()}), NOW)
    assert not any(change.id.step.value == "copy" for change in plan.changes)


def test_a_rotation_that_is_due_writes_every_sink_and_copies_nothing() -> None:
    state = desired(
        key("payments", "llama3", sinks=["local", "jobs"], every=days(10)), sinks={"local": FILE, "jobs": OTHER}
    )
    plan = compute_plan(state, world(IN_FILE, {"local": HELD, "jobs": there()}), NOW)
    assert [change.reason.code for change in plan.changes if isinstance(change, CreateGeneration)] == [
        "rotation_is_due"
    ]
    assert "copy" not in {change.step.value for change in plan.changes}


def test_an_old_generation_stays_until_its_sink_has_the_new_secret() -> None:
    """A sink that was put back from a backup hands the old secret out."""
    old = replace(published(FILE, OTHER), ownership=replace(published(FILE, OTHER).ownership, since=NOW - days(60)))
    new = live("payments-g2", of="payments", generation=2, since=NOW - days(30), published_to=digest([FILE, OTHER]))
    state = file("local", "jobs", places={"local": FILE, "jobs": OTHER})
    before = snapshot(old, new, endpoint("llama3", "payments", "payments-g2"))
    before = replace(before, sinks={"local": there(held=old), "jobs": there(held=new)})
    plan = compute_plan(state, before, NOW)
    assert told(plan.changes) == [
        "copy:payments-g2: secret_is_in_another_sink",
        "unbind:deployment.llama3 [payments overlap_is_over]",
        "delete:payments: overlap_is_over",
    ]
    assert all("copy payments-g2" in map(str, change.depends_on) for change in plan.changes[1:])


def test_a_sink_that_cannot_be_read_this_time_has_lost_nothing() -> None:
    """A key of it is held up; what it named before keeps its digest, since a record may be there."""
    broken = replace(there(), trouble=Trouble("sink jobs: no", "wait"))
    both = published(FILE, OTHER)
    state = file("jobs", "local", places={"jobs": OTHER, "local": FILE}, max_replacements=0)
    plan = compute_plan(state, world(both, {"jobs": broken, "local": HELD}), NOW)
    assert (plan.changes, plan.refusals, plan.held_up) == ((), (), ("payments",))
    (status,) = compute_standing(state, world(both, {"jobs": broken, "local": HELD}), NOW).keys
    assert dict(status.sinks) == {"jobs": SinkState.UNKNOWN, "local": SinkState.OK}
    alone = file("local", places={"jobs": OTHER, "local": FILE}, max_replacements=0)
    plan = compute_plan(alone, world(both, {"jobs": broken, "local": HELD}), NOW)
    assert (plan.changes, plan.refusals, plan.held_up) == ((), (), ())
    assert [finding.message for finding in plan.unmet] == ["its old secret is not removed: sink jobs: no"]


@pytest.mark.parametrize("places", [(OTHER,), ()])
def test_what_may_be_in_a_sink_that_cannot_be_read_this_time_is_not_replaced(places: tuple[str, ...]) -> None:
    broken = replace(there(), trouble=Trouble("sink jobs: no", "wait"))
    state = file("local", places={"jobs": OTHER, "local": FILE})
    plan = compute_plan(state, world(published(*places), {"jobs": broken, "local": there()}), NOW)
    assert (plan.changes, plan.held_up) == ((), ("payments",))
    assert [(finding.message, finding.way_out) for finding in plan.unmet] == [("is held up: sink jobs: no", "wait")]
    lost = compute_plan(state, world(IN_FILE, {"jobs": broken, "local": there()}), NOW)
    assert told(lost.changes) == ROTATES, "it never was there"
    asked = compute_plan(
        state, world(published(*places), {"jobs": broken, "local": there()}), NOW, Rotate(frozenset({"payments"}))
    )
    assert any(isinstance(change, CreateGeneration) for change in asked.changes)


# --- Safety -----------------------------------------------------------------------------------------------------------


def several(count: int, **more: Any) -> DesiredState:
    """So many keys in one file."""
    keys = [key(f"key-{number}", "llama3") for number in range(count)]
    return desired(*keys, sinks={"local": FILE}, **more)


def in_folder(count: int, *, held: int, is_absent: bool = False) -> Snapshot:
    """This many published keys; the sink holds the first ones."""
    parts = [live(f"key-{number}", of=f"key-{number}", published_to=digest([FILE])) for number in range(count)]
    before = snapshot(*parts, endpoint("llama3", *(part.name for part in parts)))
    records = {part.name: record_of(part) for part in parts[:held]}
    contents = SinkContents(records, is_absent=is_absent, destination="secrets.env")
    return replace(before, sinks={"local": contents})


def told_refusals(plan: Plan) -> list[str]:
    """As a reader sees them."""
    return [f"{finding.path}: {finding.message}\n{finding.way_out}" for finding in plan.refusals]


def test_the_same_file_in_an_empty_folder_is_refused() -> None:
    expected = [
        "sinks.local: secrets.env does not exist, although 6 keys were published to it (key-0, key-1, key-2, key-3, "
        "key-4 and 1 more)\n"
        "run apply on the machine and in the folder where it is, or restore it; if it is lost, "
        "`keyform rotate key-0 key-1 key-2 key-3 key-4 …` creates new secrets"
    ]
    before = in_folder(6, held=0, is_absent=True)
    for allowed in (0, 1, 99):
        assert told_refusals(compute_plan(several(6, max_replacements=allowed), before, NOW)) == expected
    assert (
        "although 1 key was published to it (key-0)"
        in compute_plan(several(1), in_folder(1, held=0, is_absent=True), NOW).refusals[0].message
    )


def test_more_lost_secrets_than_the_file_allows_are_refused() -> None:
    before = in_folder(4, held=1)
    assert told_refusals(compute_plan(several(4), before, NOW)) == [
        "safety.max_replacements: 3 secrets that were published are no longer in sink local, but"
        " at most 1 may be replaced: key-1,"
        " key-2, key-3\n"
        "run apply where the secrets are, or restore them; if they are lost, run `keyform rotate"
        " KEY`, or set `safety: {max_replacements: 3}` to replace all of them"
    ]
    assert not compute_plan(several(4, max_replacements=3), before, NOW).refusals
    assert not compute_plan(several(4), in_folder(4, held=3), NOW).refusals
    one = compute_plan(several(4, max_replacements=0), in_folder(4, held=3), NOW)
    assert told_refusals(one)[0].startswith(
        "safety.max_replacements: 1 secret that was published is no longer in sink local, but at most 0 may be"
    )


def test_a_rotation_that_is_asked_for_counts_nothing_and_touches_no_other() -> None:
    for before in (in_folder(4, held=0, is_absent=True), in_folder(4, held=0)):
        plan = compute_plan(several(4, max_replacements=0), before, NOW, Rotate(frozenset({"key-1"})))
        assert not plan.refusals
        assert {change.key for change in plan.changes} == {"key-1"}


@pytest.mark.parametrize(
    "ours",
    [
        pytest.param(live("payments", of="payments", phase=Phase.ADOPTED), id="adopted"),
        pytest.param(live("payments", of="payments", phase=Phase.PENDING), id="never published"),
        pytest.param(live("payments", of="payments", phase=Phase.PARTIAL), id="maybe published"),
        pytest.param(live("payments", of="payments", phase=Phase.REVOKED), id="leaked"),
    ],
)
def test_what_was_never_published_or_leaked_is_not_lost(ours: LiveKey) -> None:
    state = file("local", places={"local": FILE}, max_replacements=0)
    assert not compute_plan(state, world(ours, {"local": there(is_absent=True)}), NOW).refusals


def test_edits_of_the_file_count_nothing() -> None:
    state = file("local", places={"local": OTHER}, max_replacements=0)
    assert not compute_plan(state, world(IN_FILE, {"local": there(is_absent=True)}), NOW).refusals


def test_a_secret_behind_a_publication_of_unknown_outcome_is_lost_all_the_same() -> None:
    """Otherwise the wrong machine would continue rotating after an interrupted run."""
    first = live("payments", of="payments", published_to=digest([FILE]))
    second = live("payments-g2", of="payments", generation=2, phase=Phase.PARTIAL)
    before = snapshot(first, second, endpoint("llama3", "payments", "payments-g2"))
    state = file("local", places={"local": FILE}, max_replacements=0)
    lost = replace(before, sinks={"local": there(is_absent=True)})
    assert [finding.path for finding in compute_plan(state, lost, NOW).refusals] == ["sinks.local"]
    kept = replace(before, sinks={"local": there(held=first)})
    assert not compute_plan(state, kept, NOW).refusals


# --- Generations that pile up -----------------------------------------------------------------------------------------


def attempts(*phases: Phase) -> Snapshot:
    """Generations in these phases, the oldest first."""
    parts = [
        live(generation_name("payments", number), of="payments", generation=number, phase=phase)
        for number, phase in enumerate(phases, 1)
    ]
    before = snapshot(*parts, endpoint("llama3", *(part.name for part in parts)))
    return replace(before, sinks={"ci": UNSEEN})


def test_after_three_publications_of_unknown_outcome_a_key_is_held_up() -> None:
    state = file("ci", places={"ci": PROGRAM})
    two = compute_plan(state, attempts(Phase.PUBLISHED, Phase.PARTIAL, Phase.PARTIAL), NOW)
    assert (two.unmet, two.changes[0].id.live.name) == ((), "payments-g4")
    before = attempts(Phase.PUBLISHED, Phase.PARTIAL, Phase.PARTIAL, Phase.PARTIAL)
    held = compute_plan(state, before, NOW)
    (finding,) = held.unmet
    assert held.changes == ()
    assert finding.message == (
        "is held up: the last 3 generations (payments-g2, payments-g3, payments-g4) may or may not have reached sink ci"
    )
    assert finding.way_out == "find out why publishing fails, then run `keyform rotate payments`"
    for revoke in (False, True):
        asked = compute_plan(state, before, NOW, Rotate(frozenset({"payments"}), revoke=revoke))
        assert not asked.unmet
        assert any(isinstance(change, CreateGeneration) for change in asked.changes)


def test_generations_that_the_api_does_not_delete_do_not_pile_up() -> None:
    state = file("ci", places={"ci": PROGRAM})
    five = compute_plan(state, attempts(Phase.PARTIAL, *[Phase.PENDING] * 5), NOW)
    assert not five.unmet
    held = compute_plan(state, attempts(Phase.PARTIAL, *[Phase.PENDING] * 6), NOW)
    (finding,) = held.unmet
    assert finding.message == (
        "is held up: 6 unpublished generations could not be deleted "
        "(payments-g2, payments-g3, payments-g4, payments-g5, payments-g6 and 1 more)"
    )


# --- A created_at that is another -------------------------------------------------------------------------------------


MADE_LATER = published(FILE, created_at=NOW - days(20))


def test_a_record_of_the_same_generation_with_another_instant_holds_the_key_up() -> None:
    state, now = file("local", places={"local": FILE}), world(MADE_LATER, {"local": HELD})
    plan = compute_plan(state, now, NOW)
    (finding,) = plan.unmet
    assert (told(plan.changes), plan.refusals, plan.held_up) == ([], (), ("payments",))
    assert finding.message == (
        "is held up: sink local holds the secret of payments that was created 2026-10-22T10:00:00Z, and the API says"
        " 2026-11-01T10:00:00Z"
    )
    assert finding.way_out == (
        "if payments was recreated, run `keyform rotate payments`; otherwise report to Gcore that"
        " its created_at changes"
    )
    assert told(compute_plan(state, now, NOW, Rotate(frozenset({"payments"}))).changes)[0].startswith("create:")
    leaked = compute_plan(state, now, NOW, Rotate(frozenset({"payments"}), revoke=True))
    assert told(leaked.changes)[0].startswith("create:")


@pytest.mark.parametrize(
    "ours",
    [
        published(OTHER, created_at=NOW - days(20)),
        published(created_at=NOW - days(20)),
        published(FILE, created_at=NOW - days(20), generation=2),
    ],
    ids=["published elsewhere", "nobody knows where", "another generation"],
)
def test_a_record_that_is_of_another_key_is_a_secret_that_is_lost(ours: LiveKey) -> None:
    ours = replace(ours, name=generation_name("payments", ours.ownership.generation)) if ours.ownership else ours
    state = file("local", places={"local": FILE})
    plan = compute_plan(state, world(ours, {"local": HELD}), NOW)
    assert not plan.unmet
    assert told(plan.changes)[0].startswith("create:")


def test_what_another_sink_still_holds_is_copied_there() -> None:
    state = file("local", "jobs", places={"local": FILE, "jobs": OTHER})
    ours = published(FILE, OTHER, created_at=NOW - days(20))
    plan = compute_plan(state, world(ours, {"local": HELD, "jobs": there(held=ours)}), NOW)
    assert (told(plan.changes), plan.unmet) == (COPIES, ())


# --- Properties -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 8), st.data())
@fuzz(60)
def test_a_loss_replaces_at_most_as_many_secrets_as_the_file_allows(count: int, data: st.DataObject) -> None:
    held, allowed = data.draw(st.integers(0, count)), data.draw(st.integers(0, 8))
    is_absent = held == 0 and data.draw(st.booleans())
    plan = compute_plan(several(count, max_replacements=allowed), in_folder(count, held=held, is_absent=is_absent), NOW)
    assert bool(plan.refusals) == (count - held > allowed or is_absent)
    if not plan.refusals:
        assert sum(isinstance(change, CreateGeneration) for change in plan.changes) == count - held <= allowed


SINKS = {"file": True, "jobs": True, "ci": False, "cd": False}
"""Every sink, and whether it can be read."""


@given(st.sets(st.sampled_from(sorted(SINKS)), min_size=1), st.data())
@fuzz(200)
def test_any_edit_of_the_sinks_ends_with_the_secret_in_all_of_them(was: set[str], data: st.DataObject) -> None:
    """What a program holds is known here, and not to the plan; no consumer's secret goes from a sink that is named."""
    ours = live("payments", of="payments", published_to=digest(sorted(was)))
    now = data.draw(st.sets(st.sampled_from(sorted(SINKS)), min_size=1))
    moved = data.draw(st.sets(st.sampled_from(sorted(now))))
    named = now | data.draw(st.sets(st.sampled_from(sorted(SINKS))))
    places = {name: f"{name}, elsewhere" if name in moved else name for name in named}
    # The digest is of names here: a sink that moved holds nothing at its new place.
    holds = {name: ours.name if name in was and name not in moved else "" for name in named}
    sinks = {name: there(readable=SINKS[name], held=ours if holds[name] and SINKS[name] else None) for name in named}
    state = desired(key("payments", "llama3", sinks=sorted(now)), sinks=places, max_replacements=0)
    before = world(ours, sinks)
    plan = compute_plan(state, before, NOW)
    assert not plan.refusals, "nothing is lost"
    newest = ours.name
    for change in plan.changes:
        match change.id.step.value:
            case "publish":
                newest = change.id.live.name
                holds |= dict.fromkeys(change.sinks, newest)  # type: ignore[attr-defined]
            case "copy":
                assert holds[change.source] == newest  # type: ignore[attr-defined]
                holds |= dict.fromkeys(change.sinks, newest)  # type: ignore[attr-defined]
            case "remove_record":
                assert all(holds[name] == newest for name in now), "the last one goes"
    assert all(holds[name] == newest for name in now)
    after = simulate(plan, before, NOW)
    assert told(compute_plan(state, after, NOW).changes) == []
    marker = next(one.ownership for one in after.keys if one.name == newest)
    assert isinstance(marker, Ownership)
    assert (marker.stack, marker.published_to) == (STACK, digest(places[name] for name in now))
    if any(SINKS[name] and name not in moved for name in was & named):
        assert newest == ours.name, "what can be copied is not replaced"


def test_the_sets_of_a_thousand_sinks_are_not_all_tried() -> None:
    found = sets_by_digest(tuple(f"sink {number}" for number in range(1000)))
    assert len(found) == MOST_SETS
    assert len(sets_by_digest(tuple("abcdefghijkl"))) == 2**12 - 1
