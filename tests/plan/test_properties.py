"""What is true of every plan, whatever is desired and whatever is live."""

from dataclasses import replace

from hypothesis import given
from support.drawn import files, worlds
from support.fuzzing import fuzz
from support.simulation import simulate
from support.states import NOW, bound_to, days, desired, endpoint, key, live, snapshot

from reconciler.model import Auth, DesiredState, Phase, Snapshot
from reconciler.plan import compute_plan


@given(files(), worlds())
@fuzz(300)
def test_one_apply_is_enough_and_touches_nothing_of_others(state: DesiredState, before: Snapshot) -> None:
    plan = compute_plan(state, before, NOW)
    assert compute_plan(state, before, NOW) == plan, "the same input gives the same plan"
    if plan.refusals:
        return
    after = simulate(plan, before, NOW)
    again = compute_plan(state, after, NOW)
    if plan.unmet and again.changes:
        # What holds up one key can be gone once another is done; no apply of that kind ends with 0.
        if again.refusals:  # such as a protected key, which was held up before
            return
        again = compute_plan(state, simulate(again, after, NOW), NOW)
    assert [(str(change.id), change.reason.code) for change in again.changes] == []
    assert not again.refusals

    adopted = {one.adopt for one in state.keys}
    was = {one.name: one for one in before.keys if one.ownership is None and one.name not in adopted}
    now = {one.name: one for one in after.keys}
    assert all(now[name] == one for name, one in was.items()), "foreign keys stay as they are"
    declarations = {one.ref: one for one in state.endpoints}
    valid = {one.name for one in after.keys if not one.is_expired(NOW)}
    for old, new in zip(before.endpoints, after.endpoints, strict=True):
        declaration = declarations.get(old.ref)
        had, has = bound_to(before, old.ref), bound_to(after, old.ref)
        if declaration is None or not declaration.exclusive:
            assert had & set(was) <= has, "foreign bindings stay as they are"
        if declaration is None or declaration.auth is not Auth.OPEN:
            assert new.auth_enabled or not old.auth_enabled, "authentication never goes off unless the file says so"
            if had != has and had & valid:
                assert has & valid, "an endpoint keeps a valid key"


@given(files(), worlds())
@fuzz(150)
def test_once_every_overlap_is_over_only_what_is_desired_is_left(state: DesiredState, before: Snapshot) -> None:
    plan = compute_plan(state, before, NOW)
    if plan.refusals or plan.unmet:
        return
    later = NOW + days(2)
    middle = simulate(plan, before, NOW)
    second = compute_plan(state, middle, later)
    if second.refusals or second.unmet:
        return
    after = simulate(second, middle, later)
    owned = [one for one in after.keys if one.ownership]
    assert sorted(one.ownership.key for one in owned if one.ownership) == [one.name for one in state.keys]
    for one in owned:
        wanted = next(want for want in state.keys if one.ownership and want.name == one.ownership.key)
        bound = {binding.endpoint for binding in after.bindings if binding.key_id == one.id}
        assert bound == wanted.endpoints
        assert one.text == wanted.description
        kept = one.ownership is not None and (one.ownership.keeps_expiry or one.ownership.phase is Phase.ADOPTED)
        if kept and wanted.lifetime is None and wanted.expires_at is None and not wanted.says_expiry:
            assert one.expires_at in {each.expires_at for each in before.keys}, "that of the key that was adopted"
        elif wanted.lifetime is None:
            assert one.expires_at == wanted.expires_at
        else:
            assert one.expires_at is not None
            assert later < one.expires_at <= later + wanted.lifetime


def test_a_thousand_keys_are_planned_without_comparing_each_with_each() -> None:
    """Doubling the keys about doubles the changes; the dependencies of each stay its own."""
    state = desired(*(key(f"key-{number:04}", "llama3") for number in range(1000)))
    plan = compute_plan(state, snapshot(live("other"), endpoint("llama3", "other")), NOW)
    assert len(plan.changes) == 3000
    publish = next(change for change in plan.changes if str(change.id) == "publish key-0007")
    assert [str(each) for each in publish.depends_on] == [
        "create_generation key-0007",
        "bind key-0007 deployment.llama3",
    ]


def test_a_plan_holds_no_place_of_the_file_that_would_make_it_differ() -> None:
    """Moving a key within the file changes no plan."""
    before = snapshot(live("other"), endpoint("llama3", "other"))
    state = desired(key("alpha", "llama3"))
    moved = replace(state, keys=tuple(replace(one, place=replace(one.place, line=99)) for one in state.keys))
    assert compute_plan(state, before, NOW) == compute_plan(moved, before, NOW)
