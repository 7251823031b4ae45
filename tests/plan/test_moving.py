"""Keys and stacks that have another name by now, and keys that the stack lets go of."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from support.fuzzing import fuzz
from support.plans import told
from support.simulation import simulate
from support.states import NOW, STACK, days, declared, deployment, desired, endpoint, key, live, snapshot

from reconciler.model import (
    LONGEST_TEXT,
    Auth,
    DesiredState,
    Farewell,
    LiveKey,
    Move,
    Ownership,
    Phase,
    Snapshot,
    compose_description,
    digest,
    read_description,
    read_release,
)
from reconciler.plan import compute_plan
from reconciler.plan.changes import Destroy, Plan, Rotate
from reconciler.plan.survey import compute_standing

HOUR = timedelta(hours=1)
PAYMENTS = live("payments", of="payments", text="Checkout")
LLAMA = endpoint("llama3", "payments")


def moved(*moves: str, state: DesiredState) -> DesiredState:
    """The file with these moves, each `from -> to`."""
    found = []
    for move in moves:
        source, to = move.split(" -> ")
        stack, _, name = source.rpartition("/")
        found.append(Move("" if stack == state.stack else stack, name, to))
    return replace(state, moves=tuple(found))


def renamed(former: str, state: DesiredState, name: str = "shop") -> DesiredState:
    """The file of a stack that was called otherwise before."""
    return replace(state, stack=name, moves=(Move(former, "", name),))


def forgetting(state: DesiredState, *names: str) -> DesiredState:
    """The file that lets go of keys."""
    return replace(state, farewells=tuple(map(Farewell, names)))


def released(name: str, *, of: str = "", stack: str = "giver", protected: bool = False, number: int = 1) -> LiveKey:
    """A live key that another stack let go of."""
    made = live(name, of=of or name, stack=stack, protected=protected, generation=number, text="Checkout")
    assert made.ownership is not None
    marker = made.ownership.let_go()
    return replace(made, text=compose_description("Checkout", marker), ownership=None, released=marker)


def codes(plan: Plan) -> list[str]:
    """What the plan says beside its changes."""
    return [note.code for note in (*plan.exposures, *plan.warnings)]


def messages(plan: Plan) -> list[str]:
    """What the plan leaves undone, or why it is refused."""
    return [finding.message for finding in (*plan.unmet, *plan.refusals)]


def step(file: DesiredState, found: Snapshot, at: timedelta = timedelta(0)) -> tuple[list[str], Snapshot]:
    """One apply, some time later: what it did, and what is live then."""
    plan = compute_plan(file, found, NOW + at)
    assert messages(plan) == []
    return told(plan.changes), simulate(plan, found, NOW + at)


def test_a_renamed_key_overlaps_with_its_old_generations_and_then_they_go() -> None:
    file = moved("payments -> checkout", state=desired(key("checkout", "llama3", text=None, overlap=HOUR)))
    found = snapshot(PAYMENTS, LLAMA, held=["payments"])
    assert codes(compute_plan(file, found, NOW)) == ["key_is_renamed"]
    did, found = step(file, found)
    assert did == [
        "create:checkout: key_is_renamed",
        "bind:deployment.llama3 [checkout binding_is_declared]",
        "update:payments: key_is_renamed",
        "publish:checkout: key_is_renamed",
    ]
    assert {each.name: each.text for each in found.keys} == {"checkout": "Checkout", "payments": "Checkout"}
    without = desired(key("checkout", "llama3", text=None, overlap=HOUR))
    for state in (file, without):
        assert step(state, found, HOUR - timedelta(seconds=1))[0] == []
        did, gone = step(state, found, HOUR)
        assert did == [
            "unbind:deployment.llama3 [payments overlap_is_over]",
            "remove-record:local/payments: key_was_renamed",
            "delete:payments: overlap_is_over",
        ]
        assert [each.name for each in gone.keys] == ["checkout"]
        assert step(without, gone, HOUR)[0] == []
    assert codes(compute_plan(file, found, NOW + HOUR / 2)) == ["key_is_renamed", "move_is_done"]


def test_a_key_that_moves_into_one_that_is_there_already_has_its_overlap_from_then_on() -> None:
    file = moved("payments -> checkout", state=desired(key("checkout", "llama3", overlap=HOUR)))
    both = endpoint("llama3", "payments", "checkout")
    found = snapshot(PAYMENTS, live("checkout", of="checkout"), both, held=["payments", "checkout"])
    did, found = step(file, found)
    assert did == ["update:payments: key_is_renamed"]
    assert step(file, found, HOUR - timedelta(seconds=1))[0] == []
    assert step(file, found, HOUR)[0] == [
        "unbind:deployment.llama3 [payments overlap_is_over]",
        "remove-record:local/payments: key_was_renamed",
        "delete:payments: overlap_is_over",
    ]


def test_without_an_overlap_the_old_name_goes_once_the_new_one_is_published() -> None:
    file = moved("payments -> checkout", state=desired(key("checkout", "llama3", overlap=timedelta(0))))
    assert step(file, snapshot(PAYMENTS, LLAMA, held=["payments"]))[0] == [
        "create:checkout: key_is_renamed",
        "bind:deployment.llama3 [checkout binding_is_declared]",
        "publish:checkout: key_is_renamed",
        "unbind:deployment.llama3 [payments overlap_is_over]",
        "remove-record:local/payments: key_was_renamed",
        "delete:payments: overlap_is_over",
    ]


def test_a_key_can_be_renamed_again_while_the_first_name_is_in_its_overlap() -> None:
    first = moved("payments -> checkout", state=desired(key("checkout", "llama3", overlap=HOUR)))
    found = step(first, snapshot(PAYMENTS, LLAMA, held=["payments"]))[1]
    second = moved("checkout -> till-key", state=desired(key("till-key", "llama3", overlap=HOUR)))
    did, found = step(second, found, HOUR / 2)
    assert did == [
        "create:till-key: key_is_renamed",
        "bind:deployment.llama3 [till-key binding_is_declared]",
        "update:checkout: key_is_renamed",
        "update:payments: key_is_renamed",
        "publish:till-key: key_is_renamed",
    ]
    last = desired(key("till-key", "llama3", overlap=HOUR))
    assert step(last, found, HOUR)[0] == []
    assert [each.name for each in step(last, found, 1.5 * HOUR)[1].keys] == ["till-key"]


def test_a_rename_that_is_taken_back_keeps_the_old_generation() -> None:
    file = moved("payments -> checkout", state=desired(key("checkout", "llama3", overlap=HOUR)))
    found = step(file, snapshot(PAYMENTS, LLAMA, held=["payments"]))[1]
    back = moved("checkout -> payments", state=desired(key("payments", "llama3", text="Checkout", overlap=HOUR)))
    did, found = step(back, found, HOUR / 2)
    assert did == ["update:checkout: key_is_renamed", "update:payments: key_is_renamed"]
    assert [each.name for each in step(back, found, 2 * HOUR)[1].keys] == ["payments"]


def test_a_leaked_secret_of_a_former_name_is_cut_with_the_key() -> None:
    file = moved("payments -> checkout", state=desired(key("checkout", "llama3", overlap=HOUR)))
    found = step(file, snapshot(PAYMENTS, LLAMA, held=["payments"]))[1]
    plan = compute_plan(file, found, NOW, Rotate(frozenset({"checkout"}), revoke=True))
    assert messages(plan) == []
    assert [each.name for each in simulate(plan, found, NOW).keys] == ["checkout-g2"]


def test_what_is_protected_stays_protected_under_its_new_name() -> None:
    protected = live("payments", of="payments", protected=True)
    state = desired(key("checkout", "llama3", overlap=HOUR))
    plan = compute_plan(moved("payments -> checkout", state=state), snapshot(protected, LLAMA, held=["payments"]), NOW)
    assert messages(plan) == ["prevent_destroy is set on the live key payments, which is to become one of this key"]
    assert [change for change in plan.changes if change.key == "payments"] == []
    state = desired(key("checkout", "llama3", overlap=HOUR, prevent_destroy=True))
    file = moved("payments -> checkout", state=state)
    found = step(file, snapshot(protected, LLAMA, held=["payments"]))[1]
    assert [each.name for each in step(state, found, HOUR)[1].keys] == ["checkout"]


def formerly(found: Snapshot) -> Snapshot:
    """What sinks give whose stack was called otherwise."""
    return replace(
        found,
        sinks={
            sink: replace(
                each,
                records={key: replace(record, stack="shop", former=STACK) for key, record in each.records.items()},
            )
            for sink, each in found.sinks.items()
        },
    )


def test_a_renamed_stack_keeps_every_generation_and_its_secret() -> None:
    file = renamed(STACK, desired(key("payments", "llama3", text="Checkout")))
    did, found = step(file, formerly(snapshot(PAYMENTS, LLAMA, held=["payments"])))
    assert did == ["update:payments: key_is_taken_over", "copy:payments: record_is_taken_over"]
    assert [each.ownership and each.ownership.stack for each in found.keys] == ["shop"]
    assert [each.former for each in found.sinks["local"].records.values()] == [""]
    assert step(replace(file, moves=()), found)[0] == []


def test_a_record_that_still_has_the_former_name_is_written_again_after_a_run_that_died() -> None:
    mine = replace(PAYMENTS, ownership=replace(PAYMENTS.ownership, stack="shop"))  # type: ignore[type-var]
    file = renamed(STACK, desired(key("payments", "llama3", text="Checkout")))
    found = formerly(snapshot(PAYMENTS, LLAMA, held=["payments"]))
    assert step(file, replace(found, keys=(mine,)))[0] == ["copy:payments: record_is_taken_over"]


def test_the_records_of_former_names_come_along_when_the_stack_is_renamed() -> None:
    first = moved("payments -> checkout", state=desired(key("checkout", "llama3", text="Checkout", overlap=HOUR)))
    found = step(first, snapshot(PAYMENTS, LLAMA, held=["payments"]))[1]
    file = renamed(STACK, desired(key("checkout", "llama3", text="Checkout", overlap=HOUR)))
    found = step(file, formerly(found))[1]
    assert {each.former for each in found.sinks["local"].records.values()} == {""}
    did, found = step(replace(file, moves=()), found, HOUR)
    assert "remove-record:local/payments: key_was_renamed" in did
    assert list(found.sinks["local"].records) == ["checkout"]


def test_a_renamed_stack_leaves_no_key_behind_and_deletes_none() -> None:
    found = formerly(snapshot(PAYMENTS, live("batch", of="batch"), LLAMA, held=["payments"]))
    plan = compute_plan(renamed(STACK, desired(key("payments", "llama3"))), found, NOW)
    assert [finding.message for finding in plan.refusals] == [
        "the stack prod has keys that this file does not declare: batch"
    ]
    let_go = renamed(STACK, forgetting(desired(key("payments", "llama3")), "batch"))
    assert [each.released and each.name for each in step(let_go, found)[1].keys] == ["batch", None]


def test_a_stack_is_renamed_by_the_file_that_had_it_alone() -> None:
    found = snapshot(PAYMENTS, LLAMA)
    plan = compute_plan(renamed(STACK, desired(key("payments"))), found, NOW)
    assert [finding.message for finding in plan.refusals] == [
        "no sink of this file shows that it is the file of the stack prod"
    ]
    hidden = live("payments", of="payments", published_to=digest(["command"]))
    state = desired(key("payments", "llama3", sinks=["ci"]), sinks={"ci": "command"})
    assert compute_plan(renamed(STACK, state), snapshot(hidden, LLAMA, unreadable=["ci"]), NOW).refusals == ()
    other = desired(key("payments", "llama3", sinks=["ci"]), sinks={"ci": "another command"})
    assert compute_plan(renamed(STACK, other), snapshot(hidden, LLAMA, unreadable=["ci"]), NOW).refusals != ()


@pytest.mark.parametrize("protects", [False, True])
def test_a_renamed_stack_drops_no_protection(protects: bool) -> None:
    found = formerly(snapshot(live("payments", of="payments", protected=True), LLAMA, held=["payments"]))
    plan = compute_plan(renamed(STACK, desired(key("payments", "llama3", prevent_destroy=protects))), found, NOW)
    assert bool(plan.unmet) is not protects
    assert bool(plan.changes) is protects


def test_a_former_name_is_not_retired_for_a_secret_that_nobody_can_have() -> None:
    """The key that takes its place was adopted: no sink has its secret."""
    for overlap in (timedelta(0), HOUR):
        state = desired(key("checkout", "llama3", adopt="portal-made", overlap=overlap))
        file = moved("payments -> checkout", state=state)
        both = endpoint("llama3", "payments", "portal-made")
        found = step(file, snapshot(PAYMENTS, live("portal-made"), both, held=["payments"]))[1]
        assert step(file, found, days(400))[0] == []
        plan = compute_plan(file, found, NOW + days(400), Rotate(frozenset({"checkout"})))
        found = simulate(plan, found, NOW + days(400))
        assert [each.name for each in step(file, found, days(400) + overlap)[1].keys][-1] != "payments"


def test_a_former_name_gets_no_binding_that_the_file_does_not_have() -> None:
    state = desired(key("checkout", "llama3", adopt="portal-made", overlap=HOUR))
    world = snapshot(PAYMENTS, live("portal-made"), LLAMA, endpoint("whisper", "portal-made"), held=["payments"])
    plan = compute_plan(moved("payments -> checkout", state=state), world, NOW)
    assert not any("payments" in line and "whisper" in line for line in told(plan.changes))


@pytest.mark.parametrize("how", ["moved", "forget"])
def test_a_typo_deletes_nothing(how: str) -> None:
    found = snapshot(PAYMENTS, LLAMA, live("batch", of="batch"), held=["payments"])
    state = desired(key("checkout", "llama3"), key("batch"))
    file = moved("paymnets -> checkout", state=state) if how == "moved" else forgetting(state, "paymnets")
    plan = compute_plan(file, found, NOW)
    assert messages(plan) == ["there is no key paymnets, and payments would be deleted"]
    assert not any(change.key == "payments" for change in plan.changes)


def test_a_key_that_was_released_can_be_taken_back() -> None:
    gone = released("payments", stack=STACK)
    file = replace(desired(key("payments", "llama3", text=None)), moves=(Move(STACK, "payments", "payments"),))
    did, found = step(file, snapshot(gone, LLAMA))
    assert did == ["update:payments: key_is_taken_over"]
    assert step(replace(file, moves=()), found)[0] == []


def test_a_forgotten_key_is_left_as_it_is_and_its_entry_can_go() -> None:
    old = live("payments", of="payments", since=NOW - days(2))
    found = snapshot(old, live("payments-g2", of="payments", generation=2), LLAMA, held=["payments-g2"])
    file = forgetting(desired(allow_empty=False), "payments")
    plan = compute_plan(file, found, NOW)
    assert messages(plan) == []
    assert codes(plan) == ["key_is_forgotten"]
    assert told(plan.changes) == [
        "update:payments: key_is_forgotten",
        "update:payments-g2: key_is_forgotten",
        "remove-record:local/payments: key_is_forgotten",
    ]
    after = simulate(plan, found, NOW)
    assert after.bindings == found.bindings
    assert [each.ownership for each in after.keys] == [None, None]
    assert codes(compute_plan(file, after, NOW)) == ["farewell_is_done"]
    assert step(desired(), after)[0] == []
    assert step(desired(allow_empty=True), after, days(400))[0] == []


def test_a_former_name_is_forgotten_with_the_key_that_took_its_place() -> None:
    file = moved("payments -> checkout", state=desired(key("checkout", "llama3", overlap=HOUR)))
    found = step(file, snapshot(PAYMENTS, LLAMA, held=["payments"]))[1]
    did, after = step(forgetting(desired(), "checkout"), found)
    assert did == [
        "update:checkout: key_is_forgotten",
        "update:payments: key_is_forgotten",
        "remove-record:local/checkout: key_is_forgotten",
        "remove-record:local/payments: key_is_forgotten",
    ]
    assert after.bindings == found.bindings
    assert step(desired(allow_empty=True), after, HOUR)[0] == []


def test_a_leaked_key_is_not_forgotten() -> None:
    found = snapshot(live("payments", of="payments", phase=Phase.REVOKED), LLAMA)
    plan = compute_plan(forgetting(desired(), "payments"), found, NOW)
    assert messages(plan) == ["cannot be forgotten: its leaked secret (payments) still works"]
    assert plan.changes == ()


def test_what_opens_an_exclusive_endpoint_is_not_forgotten() -> None:
    """Every later plan would name it there, and nobody could unlink it but in the portal."""
    found = snapshot(PAYMENTS, endpoint("llama3", "payments", "batch"), live("batch", of="batch"), held=["batch"])
    file = forgetting(desired(key("batch", "llama3"), endpoints=[declared("llama3", exclusive=True)]), "payments")
    plan = compute_plan(file, found, NOW)
    assert plan.changes == ()
    assert messages(plan) == ["is held up: it opens deployment.llama3, which is exclusive"]


def test_what_was_released_stays_on_an_exclusive_endpoint_and_is_said() -> None:
    found = snapshot(released("payments"), endpoint("llama3", "payments", "batch"), live("batch", of="batch"))
    plan = compute_plan(desired(key("batch", "llama3"), endpoints=[declared("llama3", exclusive=True)]), found, NOW)
    assert not any(change.id.live.name == "payments" for change in plan.changes)
    assert any("payments stays bound to it" in message for message in messages(plan))


def test_a_key_that_was_released_is_taken_over_with_all_its_generations() -> None:
    found = snapshot(
        released("payments", number=1),
        released("payments-g2", of="payments", number=2),
        endpoint("llama3", "payments", "payments-g2"),
    )
    file = moved("giver/payments -> payments", state=desired(key("payments", "llama3", text=None, overlap=HOUR)))
    did, found = step(file, found)
    assert did == ["update:payments: key_is_taken_over", "update:payments-g2: key_is_taken_over"]
    assert [each.text for each in found.keys] == ["Checkout", "Checkout"]
    assert [each.ownership and each.ownership.phase.value for each in found.keys] == ["adopted", "adopted"]
    assert step(replace(file, moves=()), found)[0] == []
    assert step(replace(file, moves=()), found, HOUR)[0] == [
        "unbind:deployment.llama3 [payments overlap_is_over]",
        "delete:payments: overlap_is_over",
    ]


def test_a_key_that_was_released_can_be_taken_over_under_another_name() -> None:
    file = moved("giver/payments -> checkout", state=desired(key("checkout", "llama3", overlap=HOUR)))
    did, found = step(file, snapshot(released("payments"), LLAMA))
    assert did == [
        "create:checkout: key_is_renamed",
        "bind:deployment.llama3 [checkout binding_is_declared]",
        "update:payments: key_is_renamed",
        "publish:checkout: key_is_renamed",
    ]
    assert [each.name for each in step(replace(file, moves=()), found, HOUR)[1].keys] == ["checkout"]


@pytest.mark.parametrize("to", ["payments", "checkout"])
def test_nothing_is_taken_from_a_stack_that_did_not_release_it(to: str) -> None:
    found = snapshot(live("payments", of="payments", stack="giver"), LLAMA)
    plan = compute_plan(moved(f"giver/payments -> {to}", state=desired(key(to, "llama3"))), found, NOW)
    assert plan.changes == ()
    assert "is held up: the stack giver has not released payments" in messages(plan)
    assert "move_is_done" not in codes(plan)


@pytest.mark.parametrize("how", ["moved", "adopt"])
@pytest.mark.parametrize("protects", [False, True])
def test_prevent_destroy_binds_whoever_takes_a_key_over(how: str, protects: bool) -> None:
    found = snapshot(released("payments", protected=True), LLAMA)
    adopt = "payments" if how == "adopt" else None
    state = desired(key("payments", "llama3", adopt=adopt, prevent_destroy=protects))
    plan = compute_plan(state if adopt else moved("giver/payments -> payments", state=state), found, NOW)
    assert bool(plan.unmet) is not protects
    assert bool(plan.changes) is protects


def test_destroy_takes_nothing_from_another_stack() -> None:
    found = snapshot(released("payments"), live("batch", of="batch", stack="giver"), LLAMA)
    state = moved("giver/payments -> payments", state=desired(key("payments", "llama3"), key("batch")))
    for file in (state, replace(state, moves=(*state.moves, Move("giver", "", STACK)))):
        plan = compute_plan(file, found, NOW, Destroy())
        assert plan.changes == ()


def test_destroy_of_an_only_key_names_ways_that_work() -> None:
    found = snapshot(PAYMENTS, LLAMA, held=["payments"])
    plan = compute_plan(desired(key("payments", "llama3")), found, NOW, Destroy())
    assert plan.changes == ()
    (finding,) = plan.unmet
    assert "`forget: [payments]`" in finding.way_out
    assert "`auth: open`" in finding.way_out
    opened = desired(key("payments", "llama3"), endpoints=[declared("llama3", Auth.OPEN)])
    assert simulate(compute_plan(opened, found, NOW, Destroy()), found, NOW).keys == ()
    let_go = forgetting(desired(), "payments")
    after = simulate(compute_plan(let_go, found, NOW, Destroy()), found, NOW)
    assert after.bindings == found.bindings
    assert compute_plan(desired(), after, NOW, Destroy()).changes == ()


def test_status_says_what_a_key_is_called_by_now() -> None:
    file = moved("payments -> checkout", state=desired(key("checkout", "llama3", overlap=HOUR)))
    found = step(file, snapshot(PAYMENTS, LLAMA, held=["payments"]))[1]
    former = {each.name: each for each in compute_standing(replace(file, moves=()), found, NOW).keys}["payments"]
    assert former.heir == "checkout"
    assert [each.until for each in former.generations] == [NOW + HOUR]


def test_the_longest_markers_of_moves_fit_beside_the_longest_text() -> None:
    longest = Ownership(
        "s" * 40,
        "k" * 56,
        99_999,
        Phase.PUBLISHED,
        NOW,
        protected=True,
        keeps_expiry=True,
        published_to=digest(["a"]),
        named=digest(["b"]),
        notice=digest(["c"]),
    )
    text = "x" * LONGEST_TEXT
    own = longest.moved_into("another", NOW)
    assert read_description(compose_description(text, own)) == (text, own)
    gone = longest.let_go()
    assert read_description(compose_description(text, gone))[1] is None
    assert read_release(compose_description(text, gone)) == gone
    assert gone.protected


NAMES = ("alpha", "bravo", "candy", "delta")


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[DesiredState, timedelta]]:
    """Files one after the other: keys are renamed, merged, forgotten and declared again, and entries stay or go."""
    declared_now = set(draw(st.sets(st.sampled_from(NAMES), min_size=1)))
    files = [(frozenset(declared_now), (), ())]
    for _ in range(draw(st.integers(1, 5))):
        known = sorted(declared_now)
        moves: list[Move] = []
        farewells: list[Farewell] = []
        match draw(st.sampled_from(["rename", "forget", "declare", "wait"])):
            case "rename" if known:
                source, to = draw(st.sampled_from(known)), draw(st.sampled_from(NAMES))
                if source != to:
                    declared_now = (declared_now - {source}) | {to}
                    moves.append(Move("", source, to))
            case "forget" if known:
                source = draw(st.sampled_from(known))
                declared_now -= {source}
                farewells.append(Farewell(source))
            case "declare":
                declared_now |= {draw(st.sampled_from(NAMES))}
            case _:
                pass
        files.append((frozenset(declared_now), tuple(moves), tuple(farewells)))
    return [
        (
            replace(
                desired(
                    *(key(name, "llama3", overlap=HOUR, sinks=["local"]) for name in sorted(names)), allow_empty=True
                ),
                moves=moves,
                farewells=farewells,
            ),
            draw(st.sampled_from([timedelta(0), HOUR / 2, HOUR, 3 * HOUR])),
        )
        for names, moves, farewells in files
    ]


@given(story=stories())
@fuzz(300)
def test_no_consumer_is_cut_before_the_overlap_whatever_is_renamed_and_forgotten(
    story: Iterable[tuple[DesiredState, timedelta]],
) -> None:
    """What each key's consumers read stays bound for an hour after the new name is published; forgotten, for good."""
    found = snapshot(live("portal-made"), endpoint("llama3", "portal-made"))
    now, relied, forgotten = NOW, dict[str, object](), set[str]()
    for file, pause in story:
        note(f"{[each.name for each in file.keys]} {file.heirs} {file.forgotten} then {pause}")
        plan = compute_plan(file, found, now)
        found = simulate(plan, found, now)
        assert compute_plan(file, found, now).changes == (), "a second apply does nothing"
        bound = {binding.key_id for binding in found.bindings if binding.endpoint == deployment("llama3")}
        forgotten |= {each.name for each in found.keys if each.released}
        assert forgotten <= bound
        later = replace(file, moves=(), farewells=())
        if not plan.unmet:
            assert compute_plan(later, found, now).changes == (), "entries can go once they were applied"
        cut = {name for name, until in relied.items() if name not in bound and until is not None and now < until}  # type: ignore[operator]
        assert not cut
        for each in found.keys:
            if each.ownership and each.ownership.into and relied.get(each.name) is None:
                relied[each.name] = now + HOUR
        now += pause


@pytest.mark.parametrize(
    "demand",
    [Rotate(matching=frozenset({"checkout"})), Rotate(sinks=frozenset({"local"})), Rotate(frozenset({"checkout"}))],
    ids=["pattern", "sink", "name"],
)
@pytest.mark.parametrize("revoke", [False, True], ids=["rotate", "revoke"])
@pytest.mark.parametrize("is_applied", [False, True], ids=["renamed now", "renamed before"])
def test_a_rotation_covers_what_a_key_is_under_its_former_name(demand: Rotate, revoke: bool, is_applied: bool) -> None:
    file = moved("payments -> checkout", state=desired(key("checkout", "llama3", overlap=HOUR)))
    found = snapshot(PAYMENTS, LLAMA, held=["payments"])
    if is_applied:
        found = step(file, found)[1]
    plan = compute_plan(file, found, NOW, replace(demand, revoke=revoke))
    assert messages(plan) == []
    assert "key_is_not_live" not in codes(plan)
    made = "checkout-g2" if is_applied else "checkout"
    names = {each.name for each in simulate(plan, found, NOW).keys}
    assert made in names
    assert names == {made} if revoke else "payments" in names
