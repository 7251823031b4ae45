"""What is wrong with one key, endpoint or sink holds up what depends on it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.drawn import files, worlds
from support.fuzzing import fuzz
from support.states import NOW, days, declared, desired, endpoint, key, live, ref, snapshot

from reconciler.model import (
    Auth,
    Binding,
    DesiredBinding,
    DesiredKey,
    DesiredState,
    EndpointKind,
    LiveEndpoint,
    LiveKey,
    Phase,
    SinkContents,
    SinkSettings,
    Snapshot,
    Trouble,
    digest,
)
from reconciler.plan import compute_plan
from reconciler.plan.changes import Bind, Change, CreateGeneration, Destroy, Plan, Publish, Rotate, Unbind, UpdateKey
from reconciler.plan.due import list_due
from reconciler.plan.standing import SinkState
from reconciler.plan.survey import compute_standing

DAMAGED = Trouble("sink vault: it is damaged", "repair it")
THEIRS = Trouble("sink vault: the entry of payments belongs to office/payments", "remove it")
OTHER = live("other")
BATCH = key("batch", "llama3", every=days(10))
"""A key with a rotation that is due."""
REVOKE = Rotate(frozenset({"payments"}), revoke=True)


def ids(plan: Plan, *names: str) -> list[str]:
    """What the plan does, or does to these keys."""
    return [str(change.id) for change in plan.changes if not names or change.key in names]


def in_vault(world: Snapshot, **contents: object) -> Snapshot:
    """The world, with what a sink `vault` says."""
    return replace(world, sinks={**world.sinks, "vault": SinkContents(**contents)})  # type: ignore[arg-type]


def two_keys(*more: LiveKey, payments: bool = True) -> Snapshot:
    """Both are live and bound, and the sink of the one is as it should be."""
    ours = [live("payments", of="payments", published_to="")] if payments else []
    names = [one.name for one in ours]
    return snapshot(
        *ours,
        *more,
        live("batch", of="batch"),
        OTHER,
        endpoint("llama3", "batch", "other"),
        endpoint("whisper", "other", *names, *(one.name for one in more)),
        held=["batch"],
    )


IN_VAULT = key("payments", "whisper", sinks=["vault"], every=days(10))
ROTATION_OF_BATCH = ids(compute_plan(desired(BATCH), two_keys(payments=False), NOW))


# --- Keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_declared", [True, False], ids=["declared", "removed"])
@pytest.mark.parametrize(
    "contents",
    [
        pytest.param({"trouble": DAMAGED}, id="damaged"),
        pytest.param({"later": {"payments": "sink vault holds a record in format 3"}}, id="later"),
        pytest.param({"foreign": {"payments": THEIRS}}, id="foreign"),
        pytest.param({"unwritable": {"payments": Trouble("sink vault: no", "allow it")}}, id="unwritable"),
    ],
)
def test_a_bad_sink_holds_up_the_keys_in_it_and_no_others(contents: dict[str, object], is_declared: bool) -> None:
    keys = [IN_VAULT, BATCH] if is_declared else [BATCH]
    plan = compute_plan(desired(*keys), in_vault(two_keys(), **contents), NOW)
    assert not plan.refusals
    assert ids(plan, "batch") == ROTATION_OF_BATCH
    if "foreign" in contents and not is_declared:
        assert "delete_key payments" in ids(plan), "the live key is this stack's; what stands in its place stays"
        assert [note.code for note in plan.warnings if note.address == "key.payments"] == ["foreign_record_stays"]
        return
    assert ids(plan, "payments") == []
    assert plan.held_up == ("payments",)
    (finding,) = plan.unmet
    assert finding.message.startswith("is held up: sink vault")
    assert finding.way_out


def test_a_key_that_is_live_and_a_new_one_wait_alike_and_nothing_is_taken_for_lost() -> None:
    for world in (two_keys(), two_keys(payments=False)):
        there = in_vault(world, trouble=DAMAGED)
        assert compute_plan(desired(IN_VAULT, BATCH), there, NOW).held_up == ("payments",)
        assert list_due(desired(replace(IN_VAULT, every=None), replace(BATCH, every=None)), there, NOW, days(400)) == ()
    status = compute_standing(desired(IN_VAULT, BATCH), in_vault(two_keys(), trouble=DAMAGED), NOW)
    assert status.keys[1].sinks == (("vault", SinkState.UNKNOWN),)
    assert [finding.message for finding in status.troubles] == [DAMAGED.message]
    assert status.held_up == ("payments",)


def test_a_removed_key_whose_secret_is_elsewhere_goes_although_a_sink_is_damaged() -> None:
    local, jobs = (SinkSettings(name, "dotenv", destination=f"dotenv {name}.env") for name in ("local", "jobs"))
    vault = SinkSettings("vault", "json", destination="json vault.json")
    file = replace(desired(BATCH), sinks=(jobs, local, vault))
    for to, goes in (
        (digest(["dotenv local.env"]), True),
        (digest(["dotenv local.env", "dotenv jobs.env"]), True),
        (digest(["json vault.json"]), False),
        (digest(["dotenv local.env", "json vault.json"]), False),
        ("", False),
    ):
        world = two_keys()
        marked = tuple(
            replace(one, ownership=one.ownership and replace(one.ownership, published_to=to)) for one in world.keys
        )
        there = in_vault(replace(world, keys=marked, sinks={**world.sinks, "jobs": SinkContents()}), trouble=DAMAGED)
        plan = compute_plan(file, there, NOW)
        assert ("delete_key payments" in ids(plan)) is goes
        assert (plan.held_up == ()) is goes


def test_a_sink_that_nobody_needs_is_told_and_holds_up_nothing() -> None:
    plan = compute_plan(desired(BATCH), in_vault(two_keys(payments=False), trouble=DAMAGED), NOW)
    assert ids(plan) == ROTATION_OF_BATCH
    assert not plan.unmet
    assert [(note.code, note.address) for note in plan.warnings][-1:] == [("sink_is_not_read", "sink.vault")]


def test_a_foreign_key_whose_marker_may_be_gone_stays_while_a_sink_is_damaged() -> None:
    file = desired(BATCH, endpoints=[declared("llama3", exclusive=True)])
    assert "unbind other deployment.llama3" in ids(compute_plan(file, two_keys(payments=False), NOW))
    plan = compute_plan(file, in_vault(two_keys(payments=False), trouble=DAMAGED), NOW)
    assert "unbind other deployment.llama3" not in ids(plan)
    assert ids(plan, "batch") == ROTATION_OF_BATCH


def test_destroy_names_what_is_somebody_elses_and_leaves_it() -> None:
    there = in_vault(two_keys(), foreign={"payments": THEIRS})
    plan = compute_plan(desired(IN_VAULT, BATCH), there, NOW, Destroy())
    assert ids(plan, "payments") == ["unbind payments deployment.whisper", "delete_key payments"]
    assert [finding.message for finding in plan.unmet] == [f"its record in sink vault is not removed: {THEIRS.message}"]


# --- Endpoints --------------------------------------------------------------------------------------------------------


def test_a_key_in_use_that_names_what_is_not_there_goes_on_and_is_taken_off_nothing() -> None:
    """It moved from whisper to a misspelt name, and to one that is there: whisper stays until that is put right."""
    file = desired(key("payments", "flux", "whispr", text="New words", every=days(10)))
    world = snapshot(live("payments", of="payments"), OTHER, endpoint("flux"), endpoint("whisper", "payments", "other"),
                     held=["payments"])  # fmt: skip
    plan = compute_plan(file, world, NOW)
    assert plan.held_up == ()
    assert [finding.way_out for finding in plan.unmet] == ["did you mean whisper?"]
    binds = [change for change in plan.changes if isinstance(change, Bind | Unbind)]
    assert [str(change.id) for change in binds] == [
        "bind payments deployment.flux",
        "bind payments-g2 deployment.flux",
        "bind payments-g2 deployment.whisper",
    ]
    assert any(isinstance(change, Publish) for change in plan.changes)


def test_a_new_key_that_names_what_is_not_there_waits() -> None:
    plan = compute_plan(desired(key("payments", "whispr", "whisper"), BATCH), two_keys(payments=False), NOW)
    assert ids(plan) == ROTATION_OF_BATCH
    assert plan.held_up == ("payments",)


def test_a_key_that_would_leave_an_endpoint_without_one_stays_there_and_does_all_else() -> None:
    world = snapshot(live("payments", of="payments"), endpoint("llama3", "payments"), endpoint("whisper"),
                     held=["payments"])  # fmt: skip
    plan = compute_plan(desired(key("payments", "whisper", every=days(10))), world, NOW)
    assert [str(change.id) for change in plan.changes if isinstance(change, Bind | Unbind)] == [
        "bind payments-g2 deployment.llama3",
        "bind payments deployment.whisper",
        "bind payments-g2 deployment.whisper",
    ]
    assert ["would be left without a valid key" in finding.message for finding in plan.unmet] == [True]


def test_a_removed_key_that_would_leave_an_endpoint_without_one_stays() -> None:
    world = snapshot(live("payments", of="payments"), live("batch", of="batch"), OTHER, endpoint("llama3", "payments"),
                     endpoint("whisper", "batch", "other"), held=["payments", "batch"])  # fmt: skip
    plan = compute_plan(desired(allow_empty=True), world, NOW)
    assert {change.key for change in plan.changes} == {"batch"}
    assert plan.held_up == ("payments",)


def test_what_one_held_up_key_was_to_give_another_endpoint_holds_up_the_next() -> None:
    """gamma waits; so alpha, which was to be replaced by it at flux, stays; beta has to do with neither."""
    file = desired(key("gamma", "flux", sinks=["vault"]), key("beta", "whisper", every=days(10)))
    world = snapshot(live("alpha", of="alpha"), live("beta", of="beta"), endpoint("flux", "alpha"),
                     endpoint("whisper", "beta"), held=["beta", "alpha"])  # fmt: skip
    assert compute_plan(file, in_vault(world), NOW).held_up == ()
    plan = compute_plan(file, in_vault(world, trouble=DAMAGED), NOW)
    assert plan.held_up == ("alpha", "gamma")
    assert {change.key for change in plan.changes} == {"beta"}


def test_foreign_keys_stay_where_an_exclusive_endpoint_would_have_no_other() -> None:
    file = desired(key("payments", "llama3", sinks=["vault"]), endpoints=[declared("llama3", exclusive=True)])
    world = snapshot(OTHER, endpoint("llama3", "other"))
    assert "unbind other deployment.llama3" in ids(compute_plan(file, in_vault(world), NOW))
    plan = compute_plan(file, in_vault(world, foreign={"payments": THEIRS}), NOW)
    assert ids(plan) == []
    assert [finding.path for finding in plan.unmet] == ["keys.payments", "deployment.llama3"]


def test_an_endpoint_that_cannot_open_keeps_the_keys_of_the_stack() -> None:
    file = desired(key("payments"), endpoints=[declared("llama3", Auth.OPEN)])
    world = snapshot(live("payments", of="payments"), OTHER, endpoint("llama3", "payments", "other"), held=["payments"])
    plan = compute_plan(file, world, NOW)
    assert ids(plan) == []
    assert ["is declared `auth: open`, but foreign keys" in finding.message for finding in plan.unmet] == [True]


def unseen(world: Snapshot) -> Snapshot:
    """The world, in which the API shows no applications."""
    endpoints = tuple(one for one in world.endpoints if one.ref.kind is EndpointKind.DEPLOYMENT)
    bindings = frozenset(one for one in world.bindings if one.endpoint.kind is EndpointKind.DEPLOYMENT)
    no = Trouble("The API forbids it", "give the token a role")
    return replace(world, endpoints=endpoints, bindings=bindings, unseen={EndpointKind.APPLICATION: no})


@pytest.mark.parametrize(
    "payments",
    [
        pytest.param(key("payments", "app:webui", every=days(10)), id="names one"),
        pytest.param(key("payments", "llama3", every=days(10)), id="opens one"),
        pytest.param(None, id="removed"),
    ],
)
def test_keys_that_have_to_do_with_applications_wait_where_those_are_not_shown(payments: DesiredKey | None) -> None:
    world = unseen(snapshot(
        live("payments", of="payments"), live("batch", of="batch"), OTHER, endpoint("llama3", "batch", "other"),
        endpoint("webui-web", "payments", application="webui"), endpoint("app:webui", "payments"),
        held=["payments", "batch"],
    ))  # fmt: skip
    plan = compute_plan(desired(*filter(None, [payments]), BATCH), world, NOW)
    assert ids(plan) == ROTATION_OF_BATCH
    assert plan.held_up == ("payments",)
    assert all("not shown: The API forbids it" in finding.message for finding in plan.unmet)


# --- What leaked ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payments", "world"),
    [
        pytest.param(IN_VAULT, in_vault(two_keys(), trouble=DAMAGED), id="its sink is damaged"),
        pytest.param(IN_VAULT, in_vault(two_keys(), trouble=Trouble("no", "Give it.")), id="its way out is a sentence"),
        pytest.param(IN_VAULT, in_vault(two_keys(), foreign={"payments": THEIRS}), id="its place is somebody else's"),
        pytest.param(IN_VAULT, in_vault(two_keys(), later={"payments": "form 3"}), id="its record is of later"),
        pytest.param(replace(IN_VAULT, expires_at=NOW - days(1)), in_vault(two_keys()), id="it would be born expired"),
    ],
)
def test_what_leaked_is_marked_where_no_successor_can_be_published(payments: DesiredKey, world: Snapshot) -> None:
    plan = compute_plan(desired(payments, BATCH), world, NOW, REVOKE)
    (update,) = plan.changes
    assert isinstance(update, UpdateKey)
    assert update.ownership.phase is Phase.REVOKED
    assert plan.unmet
    assert all("remove the key from the file" in finding.way_out for finding in plan.unmet)
    assert not any(".;" in finding.way_out for finding in plan.unmet)
    assert [note.code for note in plan.exposures] == ["leaked_secret_opens"]
    marked = tuple(replace(one, ownership=update.ownership) if one.name == "payments" else one for one in world.keys)
    again = compute_plan(desired(payments, BATCH), replace(world, keys=marked), NOW)
    assert ids(again) == ROTATION_OF_BATCH, "an apply goes on with the rest, and has nothing more to mark"
    cut = compute_plan(desired(BATCH), replace(world, keys=marked), NOW)
    assert {"unbind payments deployment.whisper", "delete_key payments"} <= set(ids(cut)), "out of the file, it is cut"


@pytest.mark.parametrize(
    ("payments", "change"),
    [
        pytest.param(key("payments", "whisper"), lambda w: in_vault(w, trouble=DAMAGED), id="another sink is damaged"),
        pytest.param(
            key("payments", "whisper"), lambda w: in_vault(w, later={"payments": "form 3"}), id="later, elsewhere"
        ),
        pytest.param(key("payments", "whisper", "gone"), lambda w: w, id="an endpoint is gone"),
        pytest.param(key("payments", "gone"), lambda w: w, id="all its endpoints are gone"),
        pytest.param(key("payments", "whisper"), unseen, id="applications are not shown"),
        pytest.param(
            key("payments", "whisper"),
            lambda w: replace(w, keys=(*w.keys, replace(live("payments-g7"), claimed_by="prod"))),
            id="a claim",
        ),
        pytest.param(
            key("payments", "whisper"),
            lambda w: replace(
                w, keys=tuple(replace(one, text="x" * 290) if one.name == "payments" else one for one in w.keys)
            ),
            id="its description has no room",
        ),
        pytest.param(
            key("payments"),
            lambda w: replace(w, bindings=frozenset({Binding("payments", ref("whisper"))})),
            id="it is the last key there",
        ),
    ],
)
def test_what_leaked_is_cut_whatever_else_is_broken(
    payments: DesiredKey, change: Callable[[Snapshot], Snapshot]
) -> None:
    plan = compute_plan(desired(payments, BATCH), change(two_keys()), NOW, REVOKE)
    assert not plan.refusals
    assert {
        "create_generation payments-g2",
        "publish payments-g2",
        "unbind payments deployment.whisper",
        "delete_key payments",
    } <= set(ids(plan))


# --- Whatever else there is -------------------------------------------------------------------------------------------


def alone(state: DesiredState, world: Snapshot) -> tuple[DesiredState, Snapshot]:
    """The same, where alpha has nothing to do with the endpoints of the others."""
    flux = ref("flux")
    keys = tuple(
        replace(one, bindings=(DesiredBinding(flux),), adopt=None) if one.name == "alpha" else one for one in state.keys
    )
    if all(one.name != "alpha" for one in keys):
        keys = (key("alpha", "flux"), *keys)
    alphas = {one.id for one in world.keys if one.ownership and one.ownership.key == "alpha"}
    bindings = {one for one in world.bindings if one.key_id not in alphas}
    bindings |= {Binding(key_id, flux) for key_id in alphas}
    endpoints = tuple(
        replace(one, auth_enabled=any(binding.endpoint == one.ref for binding in bindings)) for one in world.endpoints
    )
    there = (*endpoints, LiveEndpoint(flux))
    plain = tuple(replace(one, exclusive=False) for one in state.endpoints)
    return (
        replace(state, keys=keys, endpoints=plain),
        replace(
            world,
            endpoints=tuple(sorted(there, key=lambda one: one.ref)),
            bindings=frozenset(bindings),
            sinks={**world.sinks, "own": SinkContents()},
        ),
    )


def with_alpha(state: DesiredState, change: Callable[[DesiredKey], DesiredKey]) -> DesiredState:
    return replace(state, keys=tuple(change(one) if one.name == "alpha" else one for one in state.keys))


def in_own(world: Snapshot, **contents: object) -> Snapshot:
    return replace(world, sinks={**world.sinks, "own": SinkContents(**contents)})  # type: ignore[arg-type]


Ruin = Callable[[DesiredState, Snapshot], tuple[DesiredState, Snapshot]]


def of_sink(**contents: object) -> Ruin:
    """A sink that alpha alone uses is bad."""
    return lambda s, w: (with_alpha(s, lambda one: replace(one, sinks=("own",))), in_own(w, **contents))


def and_opens(*names: str) -> Callable[[DesiredKey], DesiredKey]:
    return lambda one: replace(one, bindings=tuple(DesiredBinding(ref(name)) for name in sorted({"flux", *names})))


RUINS: dict[str, Ruin] = {
    "its sink is damaged": of_sink(trouble=DAMAGED),
    "its record is of a later version": of_sink(later={"alpha": "form 9"}),
    "its place is somebody else's": of_sink(foreign={"alpha": THEIRS}),
    "its sink cannot be written": of_sink(unwritable={"alpha": DAMAGED}),
    "its endpoint is gone": lambda s, w: (
        s,
        replace(
            w,
            endpoints=tuple(one for one in w.endpoints if one.ref != ref("flux")),
            bindings=frozenset(one for one in w.bindings if one.endpoint != ref("flux")),
        ),
    ),
    "it names what is not there": lambda s, w: (with_alpha(s, and_opens("nowhere")), w),
    "it would be born expired": lambda s, w: (
        with_alpha(s, lambda one: replace(one, expires_at=NOW - days(2), lifetime=None)), w,
    ),
    "it adopts what is not there": lambda s, w: (with_alpha(s, lambda one: replace(one, adopt="nobody")), w),
    "its marker is broken": lambda s, w: (
        s,
        replace(w, keys=(*w.keys, replace(live("alpha-g9"), claimed_by="prod"))),
    ),
    "its name is taken": lambda s, w: (
        s,
        replace(w, keys=(*(one for one in w.keys if one.name != "alpha"), live("alpha")),
                bindings=frozenset(one for one in w.bindings if one.key_id != "alpha")),
    ),
    "it is no longer declared": lambda s, w: (
        replace(s, keys=tuple(one for one in s.keys if one.name != "alpha")), w,
    ),
}  # fmt: skip


def of_others(plan: Plan, names: set[str]) -> list[Change]:
    return [change for change in plan.changes if change.key in names]


@given(files(), worlds(), st.sampled_from(sorted(RUINS)))
@fuzz(400)
def test_what_is_wrong_with_one_key_changes_nothing_that_is_planned_for_another(
    state: DesiredState, world: Snapshot, ruin: str
) -> None:
    state, world = alone(state, world)
    before = compute_plan(state, world, NOW)
    after = compute_plan(*RUINS[ruin](state, world), NOW)
    others = {"beta", "gamma"}
    removed = {one.ownership.key for one in world.keys if one.ownership} - {one.name for one in state.keys}
    if ruin == "its sink is damaged" and removed & others:
        others = set()  # it may hold their records, so that they wait, and stay where others would be the last ones
    assert of_others(after, others) == of_others(before, others)
    assert others & set(after.held_up) == others & set(before.held_up)
    if "alpha" in after.held_up:
        assert {type(change) for change in after.changes if change.key == "alpha"} <= {UpdateKey}
    if ruin.startswith("its sink") and not after.refusals:
        assert "alpha" in after.held_up
        assert after.unmet


@given(files(), worlds())
@fuzz(200)
def test_what_is_held_up_stays_where_it_is(state: DesiredState, world: Snapshot) -> None:
    """Whatever endpoints it shares: none of its bindings goes, and no endpoint is left without a valid key for it."""
    troubled = replace(world, sinks={**world.sinks, "local": SinkContents(trouble=DAMAGED)})
    plan = compute_plan(state, troubled, NOW)
    held = {one.id for one in world.keys if one.ownership and one.ownership.key in plan.held_up}
    gone = {Binding(change.live.id, change.endpoint) for change in plan.changes if isinstance(change, Unbind)}
    assert not {binding for binding in gone if binding.key_id in held}
    assert all(change.key not in plan.held_up for change in plan.changes if isinstance(change, CreateGeneration))
