"""The standing of a stack follows the rules that make a plan."""

from dataclasses import replace
from datetime import timedelta

from support.states import NOW, days, declared, desired, endpoint, key, live, snapshot

from reconciler.model import Binding, Phase, Snapshot
from reconciler.plan import compute_plan
from reconciler.plan.due import list_due
from reconciler.plan.standing import KeyState
from reconciler.plan.survey import compute_standing


def with_opaque_ids(world: Snapshot) -> Snapshot:
    """The same where the API knows keys by other than their names."""
    bindings = {Binding(f"id-of-{binding.key_id}", binding.endpoint) for binding in world.bindings}
    keys = tuple(replace(each, id=f"id-of-{each.name}") for each in world.keys)
    return replace(world, keys=keys, bindings=frozenset(bindings))


def test_a_key_stands_the_same_whatever_the_api_knows_it_by() -> None:
    world = snapshot(
        live("payments", of="payments"),
        live("payments-g2", of="payments", generation=2, since=NOW - days(1)),
        live("portal-made"),
        endpoint("llama3", "payments", "payments-g2", "portal-made"),
        held=["payments-g2"],
    )
    file = desired(key("payments", "llama3", overlap=days(7), every=days(60)))
    standing = compute_standing(file, with_opaque_ids(world), NOW)
    assert standing == compute_standing(file, world, NOW)
    assert [(each.own, each.foreign) for each in standing.endpoints] == [
        (("payments", "payments-g2"), ("portal-made",))
    ]
    assert standing.foreign_keys == ("portal-made",)


def test_a_key_that_is_bound_and_not_among_the_keys_is_foreign_and_told_by_its_id() -> None:
    world = snapshot(live("payments", of="payments"), endpoint("llama3", "payments", "unseen"), held=["payments"])
    (found,) = compute_standing(desired(key("payments", "llama3")), world, NOW).endpoints
    assert (found.own, found.foreign) == (("payments",), ("unseen",))


def test_foreign_keys_count_where_the_stack_has_to_do_with_the_endpoint_and_nowhere_else() -> None:
    world = snapshot(
        live("payments", of="payments"),
        live("portal-made"),
        endpoint("bound", "payments", "portal-made"),
        endpoint("declared", "portal-made"),
        endpoint("theirs", "portal-made"),
        endpoint("wanted", "portal-made"),
        held=["payments"],
    )
    file = desired(key("payments", "wanted"), endpoints=[declared("declared")])
    standing = compute_standing(file, world, NOW)
    assert [each.ref.name for each in standing.with_foreign_keys] == ["bound", "declared", "wanted"]


def test_what_is_still_to_be_adopted_is_not_there_yet_and_falls_not_due() -> None:
    world = snapshot(live("by-hand", expires_at=NOW + days(2)), endpoint("llama3", "by-hand"))
    file = desired(key("payments", "llama3", adopt="by-hand", every=days(1)))
    standing = compute_standing(file, world, NOW)
    assert [(each.state, each.generations, each.next_rotation) for each in standing.keys] == [
        (KeyState.MISSING, (), None)
    ]
    assert standing.foreign_keys == ("by-hand",)
    assert standing.endpoints[0].foreign == ("by-hand",)
    assert list_due(file, world, NOW, days(3650)) == ()


def test_a_key_that_reached_its_date_stands_as_expired_and_falls_not_due() -> None:
    over = NOW - days(1)
    world = snapshot(
        live("payments", of="payments", expires_at=over), endpoint("llama3", "payments"), held=["payments"]
    )
    file = desired(key("payments", "llama3", expires_at=over, every=days(10)))
    (status,) = compute_standing(file, world, NOW).keys
    assert (status.state, status.next_rotation) == (KeyState.EXPIRED, None)
    assert list_due(file, world, NOW, days(3650)) == ()


def test_what_leaked_is_told_until_it_is_cut() -> None:
    leaked = live("payments", of="payments", phase=Phase.REVOKED)
    world = snapshot(leaked, endpoint("llama3", "payments"), held=["payments"])
    standing = compute_standing(desired(key("payments", "llama3")), world, NOW)
    assert standing.leaked == ("payments",)
    assert standing.keys[0].state is KeyState.REVOKED
    cut = replace(world, bindings=frozenset())
    assert compute_standing(desired(key("payments", "llama3")), cut, NOW).leaked == ()


def test_why_a_rotation_falls_due_is_what_plan_says_once_it_is() -> None:
    """Its code is the same before and after, and once it is due, its sentence is that of the plan."""
    world = snapshot(live("payments", of="payments"), endpoint("llama3", "payments"), held=["payments"])
    file = desired(key("payments", "llama3", every=days(60)))
    (coming,) = list_due(file, world, NOW, days(60))
    assert (coming.due_at, coming.reason.sentence) == (NOW + days(30), "rotation.every is 60d")
    assert not coming.is_due(NOW)
    for at, is_due in ((coming.due_at - timedelta(seconds=1), False), (coming.due_at, True)):
        (due,) = list_due(file, world, at, days(60))
        assert (due.is_due(at), due.reason.code) == (is_due, "rotation_is_due")
        reasons = [change.reason for change in compute_plan(file, world, at).changes]
        assert (due.reason in reasons) is is_due
