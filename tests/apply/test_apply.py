"""Applying plans on the emulator: what is done, in which order, and what is left when something goes wrong."""

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.http_fakes import PROJECT, START, TOKEN, make_api
from support.states import declared, deployment, desired, key
from support.worlds import BASE_URL, STACK, BrokenSink, World, patch_in_portal, states

from reconciler.api import KeyUpdate
from reconciler.apply.run import Bindings
from reconciler.emulator import Answer, ConnectionLost, Modes, Request
from reconciler.errors import PlanRefused, SinkError
from reconciler.model import Auth, Binding, DesiredState, Ownership, Phase, Secret, SinkRecord, compose_description
from reconciler.plan import compute_plan
from reconciler.plan.changes import Rotate, Step, Summary, Unbind
from reconciler.plan.outcomes import Finished, OutcomeState, Started
from reconciler.report.outcomes import count_done
from reconciler.sinks.protocol import Sink

LIVE = {
    "api_keys": [{"name": "portal-made"}],
    "deployments": [
        {"name": "llama3", "image": "demo/llama3", "api_keys": ["portal-made"]},
        {"name": "whisper", "image": "demo/whisper", "api_keys": ["portal-made"]},
    ],
    "applications": [
        {
            "name": "webui",
            "application_name": "open-webui",
            "api_keys": ["portal-made"],
            "components": {"web": {"exposed": True}},
        }
    ],
}
Proceed = Callable[[Request], Answer]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, LIVE)


def is_call(request: Request, method: str, ending: str) -> bool:
    return request.method == method and request.path.endswith(ending)


def test_a_new_key_is_made_bound_published_and_only_then_marked_so(world: World) -> None:
    state = desired(key("payments", "llama3", "whisper", "app:webui", text="Checkout"))

    def watch(request: Request, answer: Answer) -> None:
        if request.method == "PATCH" and request.path.endswith("/api_keys/payments"):
            assert world.held("payments") == world.secret_of("payments")
        elif request.method == "PATCH":
            assert world.held("payments") is None
        del answer

    world.emulator.listeners.append(watch)
    result = world.apply(state)
    assert result.complete
    first, *binds, last = world.calls
    assert (first, last) == ("POST api_keys 200", "PATCH payments 200")
    assert sorted(binds) == ["PATCH llama3 200", "PATCH webui 200", "PATCH whisper 200"]
    secret = world.secret_of("payments")
    assert world.held("payments") == secret
    assert all(world.accepts(name, secret) for name in ("llama3", "whisper"))
    assert world.accepts("webui", secret, "application")
    (owned,) = world.owned()
    assert owned.text == "Checkout"
    assert owned.ownership is not None
    assert owned.ownership.phase is Phase.PUBLISHED
    assert world.bound("llama3") == ["payments", "portal-made"]
    assert world.converges(state)


def test_a_second_apply_sends_no_write_and_writes_no_sink(world: World) -> None:
    state = desired(key("payments", "llama3"), key("batch", "llama3", "app:webui"))
    assert world.apply(state).complete
    world.calls.clear()
    file = world.folder / "local.dotenv"
    before = (file.stat().st_ino, file.stat().st_mtime_ns)
    assert world.apply(state).complete
    assert world.calls == []
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == before


def test_bindings_are_coalesced_into_one_write_per_endpoint_and_step(world: World) -> None:
    state = desired(*(key(f"key-{number}", "llama3", "whisper") for number in range(8)))
    assert world.apply(state).complete
    assert world.calls.count("PATCH llama3 200") == 1
    assert world.calls.count("PATCH whisper 200") == 1
    world.calls.clear()
    assert world.apply(desired(key("key-0", "llama3"), max_deletes=7)).complete
    assert world.calls.count("PATCH llama3 200") == 1
    assert world.calls.count("PATCH whisper 200") == 1
    assert world.bound("llama3") == ["key-0", "portal-made"]


def test_a_description_is_changed_by_one_write(world: World) -> None:
    assert world.apply(desired(key("payments", "llama3"))).complete
    world.calls.clear()
    assert world.apply(desired(key("payments", "llama3", text="New"))).complete
    assert world.calls == ["PATCH payments 200"]
    assert world.owned()[0].text == "New"


def test_an_immutable_field_takes_a_new_generation_and_the_old_one_is_retired_after_the_overlap(world: World) -> None:
    overlap = timedelta(hours=24)
    assert world.apply(desired(key("payments", "llama3", overlap=overlap))).complete
    old = world.secret_of("payments")
    changed = desired(key("payments", "llama3", expires_at=START + timedelta(days=90), overlap=overlap))
    assert world.apply(changed).complete
    new = world.held("payments")
    assert new == world.secret_of("payments-g2") != old
    assert world.accepts("llama3", old)
    assert world.accepts("llama3", new)
    world.clock.advance(overlap.total_seconds() - 60)
    assert world.converges(changed)
    world.clock.advance(120)
    assert world.apply(changed).complete
    assert not world.accepts("llama3", old)
    assert world.accepts("llama3", new)
    assert world.live_names() == ["payments-g2", "portal-made"]


def test_a_removed_key_is_unbound_then_forgotten_by_the_sink_then_deleted(world: World) -> None:
    assert world.apply(desired(key("payments", "llama3"), key("batch", "llama3"))).complete
    order: list[str] = []

    def watch(request: Request, answer: Answer) -> None:
        if is_call(request, "DELETE", "/batch") and answer.status == 204:
            order.append(f"deleted; sink holds it: {world.held('batch') is not None}")
        elif request.method == "PATCH":
            order.append(f"unbinding; sink holds it: {world.held('batch') is not None}")

    world.emulator.listeners.append(watch)
    assert world.apply(desired(key("payments", "llama3"))).complete
    assert order == ["unbinding; sink holds it: True", "deleted; sink holds it: False"]
    assert world.live_names() == ["payments", "portal-made"]


def test_exclusive_unlinks_foreign_keys_but_never_deletes_them(world: World) -> None:
    state = desired(key("payments", "llama3"), endpoints=[declared("llama3", Auth.REQUIRED, exclusive=True)])
    assert world.apply(state).complete
    assert world.bound("llama3") == ["payments"]
    assert "portal-made" in world.live_names()
    assert world.converges(state)


def test_open_makes_an_endpoint_public_and_nothing_else_does(world: World) -> None:
    state = desired(endpoints=[declared("whisper", Auth.OPEN, exclusive=True)])
    assert world.apply(state).complete
    assert world.accepts("whisper", None)
    assert not world.accepts("llama3", None)
    assert world.converges(state)


def test_adoption_keeps_the_key_in_place_and_the_next_generation_takes_its_own_name(world: World) -> None:
    state = desired(key("payments", "llama3", "whisper", "app:webui", adopt="portal-made"))
    secret = world.secret_of("portal-made")
    assert world.apply(state).complete
    assert world.accepts("llama3", secret)
    assert world.converges(state)
    later = desired(
        key(
            "payments",
            "llama3",
            "whisper",
            "app:webui",
            adopt="portal-made",
            expires_at=START + timedelta(days=9),
            overlap=timedelta(0),
        )
    )
    assert world.apply(later).complete
    assert world.live_names() == ["payments-g2"]
    assert world.accepts("llama3", world.held("payments"))
    assert not world.accepts("llama3", secret)
    assert world.converges(later)


def test_a_run_that_is_to_stop_before_anything_was_made_tells_so_of_each_change(world: World) -> None:
    """Of two keys that are to open one endpoint, too: neither has an id yet."""
    stop = threading.Event()
    stop.set()
    result = world.apply(desired(key("payments", "llama3"), key("search", "llama3")), stop=stop)
    assert result.interrupted
    assert set(states(result).values()) == {OutcomeState.NOT_STARTED}
    assert len(states(result)) == len(result.plan.changes) == 6
    assert world.calls == []


def test_what_is_bound_meanwhile_disturbs_no_look_at_the_same_key() -> None:
    """Writes of different endpoints run in parallel, and each gets the others' bindings of its key."""
    refs = [deployment(f"d{number}") for number in range(30_000)]
    kept = Bindings(())

    def bind_all() -> None:
        for ref in refs:
            kept.add([Binding("payments", ref)])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread = threading.Thread(target=bind_all)
        thread.start()
        while thread.is_alive():
            kept.near([Binding("payments", refs[0])], ())
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert kept.near([Binding("payments", refs[0])], ()) == {Binding("payments", ref) for ref in refs}


def test_a_marker_that_nothing_bears_out_does_not_stand_in_the_way_of_an_adoption(world: World) -> None:
    """Somebody copied the marker of another key of this stack to it, in the portal."""
    marker = Ownership(STACK, "search", 1, Phase.PUBLISHED, START)
    world.api.update_key("portal-made", KeyUpdate(compose_description("", marker)))
    state = desired(key("payments", "llama3", "whisper", "app:webui", adopt="portal-made"))
    assert world.apply(state).complete
    assert [one.ownership.key for one in world.owned() if one.ownership] == ["payments"]
    assert world.converges(state)


@pytest.mark.parametrize("count", [1, 12])
def test_each_endpoint_is_written_once_in_each_step_however_many_keys_it_gains_or_loses(
    world: World, count: int
) -> None:
    """Creating binds, rotating binds, retiring unbinds: three steps, three writes of each endpoint's list."""
    writes: list[str] = []

    def note(request: Request, answer: Answer) -> None:
        if request.method == "PATCH" and "/api_keys/" not in request.path and answer.status == 200:
            writes.append(request.path.rsplit("/", 1)[-1])

    world.emulator.listeners.append(note)
    names = [f"key-{number}" for number in range(count)]
    expiry = START + timedelta(days=30)

    def file(**more: Any) -> DesiredState:
        return desired(
            *(key(name, "llama3", "whisper", "app:webui", overlap=timedelta(hours=1), **more) for name in names)
        )

    for state in (
        file(),
        file(expires_at=expiry),
        file(expires_at=expiry),
        desired(max_deletes=None, allow_empty=True),
    ):
        writes.clear()
        assert world.apply(state).complete
        assert sorted(writes) == ["llama3", "webui", "whisper"]
        world.clock.advance(3700)


# --- Trouble ----------------------------------------------------------------------------------------------------------


def test_a_lost_create_is_discarded_and_the_next_generation_used(world: World) -> None:
    """The secret was in the answer: whatever was made is worthless, and the create is not sent again."""
    lost: list[str] = []

    def lose_first(request: Request, proceed: Proceed) -> Answer:
        answer = proceed(request)
        if is_call(request, "POST", "/api_keys") and not lost:
            lost.append(json.loads(request.body)["name"])
            raise ConnectionLost
        return answer

    world.emulator.interceptor = lose_first
    state = desired(key("payments", "llama3"))
    assert world.apply(state).complete
    assert lost == ["payments"]
    assert world.live_names() == ["payments-g2", "portal-made"]
    assert world.held("payments") == world.secret_of("payments-g2")
    assert world.converges(state)


def test_a_create_that_takes_effect_after_the_run_is_discarded_by_the_next(world: World) -> None:
    late: list[Request] = []

    def keep_first(request: Request, proceed: Proceed) -> Answer:
        if is_call(request, "POST", "/api_keys") and not late:
            late.append(request)
            raise ConnectionLost
        return proceed(request)

    world.emulator.interceptor = keep_first
    state = desired(key("payments", "llama3"))
    assert world.apply(state).complete
    world.emulator.interceptor = None
    assert world.emulator.respond(late[0]).status == 200
    assert world.live_names() == ["payments", "payments-g2", "portal-made"]
    assert world.apply(state).complete
    assert world.live_names() == ["payments-g2", "portal-made"]
    assert world.converges(state)


def test_a_revocation_is_known_to_later_runs_although_no_successor_could_be_made(world: World) -> None:
    state = desired(key("payments", "llama3"))
    assert world.apply(state).complete
    leaked = world.secret_of("payments")
    demand = Rotate(frozenset({"payments"}), revoke=True)
    plan = compute_plan(state, world.look(state), world.clock.now(), demand)
    world.emulator.interceptor = lambda request, go: (
        Answer(403, {}, b"{}") if is_call(request, "POST", "/api_keys") else go(request)
    )
    result = world.apply(state, plan=plan)
    assert states(result)["create_generation payments-g2"] is OutcomeState.FAILED
    assert states(result)["update_key payments"] is OutcomeState.DONE
    assert world.accepts("llama3", leaked), "nothing is cut before what replaces it is published"
    world.emulator.interceptor = None
    assert world.apply(state).complete
    assert world.live_names() == ["payments-g2", "portal-made"]
    assert not world.accepts("llama3", leaked)
    assert world.accepts("llama3", world.held("payments"))


def test_a_plan_that_waited_longer_than_a_lifetime_makes_no_expired_key(world: World) -> None:
    """Somebody went home before they said yes: what is in use stays, and nothing is published that opens nothing."""
    state = desired(key("payments", "llama3", every=timedelta(days=1), lifetime=timedelta(days=9)))
    assert world.apply(state).complete
    world.clock.advance(timedelta(days=1, hours=1).total_seconds())
    plan = world.plan(state)
    world.clock.advance(timedelta(days=9).total_seconds())
    result = world.apply(state, plan=plan)
    assert states(result)["create_generation payments-g2"] is OutcomeState.FAILED
    assert world.live_names() == ["payments", "portal-made"]
    assert world.apply(state).complete
    assert world.accepts("llama3", world.held("payments"))


def test_a_refused_create_holds_no_other_key_up(world: World) -> None:
    def refuse_batch(request: Request, proceed: Proceed) -> Answer:
        if is_call(request, "POST", "/api_keys") and json.loads(request.body)["name"] == "batch":
            error = {"exception_class": "ForbiddenError", "message": "quota", "request_id": "r"}
            return Answer(403, {"content-type": "application/json"}, json.dumps(error).encode())
        return proceed(request)

    world.emulator.interceptor = refuse_batch
    state = desired(key("batch", "llama3", "whisper"), key("payments", "llama3"))
    result = world.apply(state)
    assert not result.complete
    assert states(result) == {
        "create_generation batch": OutcomeState.FAILED,
        "create_generation payments": OutcomeState.DONE,
        "bind batch deployment.llama3": OutcomeState.SKIPPED,
        "bind payments deployment.llama3": OutcomeState.DONE,
        "bind batch deployment.whisper": OutcomeState.SKIPPED,
        "publish batch": OutcomeState.SKIPPED,
        "publish payments": OutcomeState.DONE,
    }
    assert world.bound("llama3") == ["payments", "portal-made"]
    skipped = {outcome.detail for outcome in result.outcomes if outcome.state is OutcomeState.SKIPPED}
    assert "waits for create generation batch" in skipped
    assert count_done(result) == Summary(add=1)
    world.emulator.interceptor = None
    assert world.apply(state).complete
    assert world.converges(state)


def test_a_key_that_is_removed_counts_though_another_stays_bound_until_its_successor_is_published(world: World) -> None:
    """Both leave the list in one write; only one of them may go."""
    cut = timedelta(0)
    assert world.apply(desired(key("batch", "llama3", overlap=cut), key("payments", "llama3", overlap=cut))).complete

    def refuse_create(request: Request, proceed: Proceed) -> Answer:
        return Answer(403, {}, b"{}") if is_call(request, "POST", "/api_keys") else proceed(request)

    world.emulator.interceptor = refuse_create
    state = desired(key("payments", "llama3", overlap=cut, expires_at=START + timedelta(days=9)))
    result = world.apply(state)
    assert states(result)["unbind batch deployment.llama3"] is OutcomeState.DONE
    assert states(result)["unbind payments deployment.llama3"] is OutcomeState.SKIPPED
    assert states(result)["delete_key batch"] is OutcomeState.DONE
    assert count_done(result) == Summary(destroy=1)
    assert world.bound("llama3") == ["payments", "portal-made"]
    world.emulator.interceptor = None
    assert world.apply(state).complete
    assert world.converges(state)


def test_a_task_that_ends_in_error_keeps_the_key_from_being_published(world: World) -> None:
    def fail_tasks(request: Request, answer: Answer) -> None:
        if is_call(request, "PATCH", "/whisper") and answer.status == 200:
            world.emulator.fail_task(json.loads(answer.body)["tasks"][0], "no capacity")

    world.emulator.listeners.append(fail_tasks)
    state = desired(key("batch", "llama3"), key("payments", "llama3", "whisper"))
    result = world.apply(state)
    told = states(result)
    assert told["bind payments deployment.whisper"] is OutcomeState.FAILED
    assert told["publish payments"] is OutcomeState.SKIPPED
    assert told["publish batch"] is OutcomeState.DONE
    assert world.held("payments") is None
    world.emulator.listeners.remove(fail_tasks)
    assert world.apply(state).complete
    assert world.live_names() == ["batch", "payments-g2", "portal-made"]
    assert world.converges(state)


def test_a_list_that_somebody_changes_just_before_the_write_is_read_again(world: World) -> None:
    """The list is read right before writing, so an edit since the plan survives."""
    state = desired(key("payments", "llama3"))
    plan = world.plan(state)
    path = f"/cloud/v3/inference/{PROJECT}/api_keys"
    world.emulator.respond(Request.build("POST", path, token=TOKEN, json_body={"name": "late-comer"}))
    patch_in_portal(world, "llama3", ["portal-made", "late-comer"])
    assert world.apply(state, plan=plan).complete
    assert world.bound("llama3") == ["late-comer", "payments", "portal-made"]


def test_a_write_that_crosses_somebody_elses_is_noticed_and_made_again(world: World) -> None:
    edits = iter([["portal-made"], ["portal-made"]])

    def undo(request: Request, proceed: Proceed) -> Answer:
        answer = proceed(request)
        if is_call(request, "PATCH", "/llama3") and (names := next(edits, None)) is not None:
            world.clock.advance(5)
            patch_in_portal(world, "llama3", names)
        return answer

    world.emulator.interceptor = undo
    state = desired(key("payments", "llama3"))
    assert world.apply(state).complete
    assert world.bound("llama3") == ["payments", "portal-made"]


def test_the_last_valid_key_stays_even_if_the_plan_saw_another(world: World) -> None:
    assert world.apply(desired(key("payments", "llama3"), key("batch", "whisper"))).complete
    state = desired(key("batch", "whisper"))
    plan = world.plan(state)
    assert not plan.refusals
    patch_in_portal(world, "llama3", ["payments"])
    result = world.apply(state, plan=plan)
    assert states(result)["unbind payments deployment.llama3"] is OutcomeState.FAILED
    assert "without a valid key" in next(outcome.detail for outcome in result.outcomes if outcome.detail)
    assert world.bound("llama3") == ["payments"]
    assert "payments" in world.live_names()
    assert world.held("payments") is not None


def test_of_two_keys_that_have_expired_the_old_one_goes_and_the_endpoint_stays_closed(world: World) -> None:
    """Nothing opens it before or after; one on the list keeps its authentication on."""
    over = world.clock.now() + timedelta(days=30)
    state = desired(key("payments", "llama3", expires_at=over, every=timedelta(days=29)))
    assert world.apply(state).complete
    patch_in_portal(world, "llama3", ["payments"])
    world.clock.advance(timedelta(days=29, hours=23).total_seconds())
    assert world.apply(state).complete
    assert world.bound("llama3") == ["payments", "payments-g2"]
    world.clock.advance(timedelta(days=2).total_seconds())
    assert world.apply(state).complete
    assert world.bound("llama3") == ["payments-g2"]
    assert world.apply(state).outcomes == ()


def test_an_expired_generation_holds_its_successor_up_in_no_list(tmp_path: Path) -> None:
    """[U] An API that refuses an expired key in a list refuses every list that has one on it already."""
    world = World(tmp_path, LIVE, modes=Modes(attach_expired="rejected", expired_key="stays"))
    hour = timedelta(hours=1)
    assert world.apply(desired(key("payments", "llama3", expires_at=START + hour, overlap=hour))).complete
    world.clock.advance(7200)
    state = desired(key("payments", "llama3", expires_at=START + 48 * hour, overlap=hour))
    assert world.apply(state).complete
    assert world.bound("llama3") == ["payments-g2", "portal-made"]
    assert world.live_names() == ["payments-g2", "portal-made"]
    assert world.converges(state)


def test_a_key_that_is_bound_again_is_not_deleted(world: World) -> None:
    assert world.apply(desired(key("payments", "llama3"), key("batch", "llama3"))).complete
    state = desired(key("payments", "llama3"))
    result = world.apply(
        state,
        on_event=lambda event: (
            patch_in_portal(world, "whisper", ["portal-made", "batch"])
            if isinstance(event, Finished) and isinstance(event.outcomes[0].change, Unbind)
            else None
        ),
    )
    assert states(result)["delete_key batch"] is OutcomeState.FAILED
    assert "batch" in world.live_names()


def test_a_key_that_changed_hands_since_the_plan_is_not_touched(world: World) -> None:
    assert world.apply(desired(key("payments", "llama3"), key("batch"))).complete
    state = desired(key("payments", "llama3"))
    plan = world.plan(state)
    world.api.update_key("batch", KeyUpdate("mine now [keyform other/batch g1 published 2026-11-21T10:00:00Z]"))
    result = world.apply(state, plan=plan)
    assert states(result)["delete_key batch"] is OutcomeState.FAILED
    assert "batch" in world.live_names()


def test_a_marker_that_cannot_be_read_any_more_is_not_written_over(world: World) -> None:
    """A later version wrote it since the plan was made: it knows more of the key than this one."""
    assert world.apply(desired(key("payments", "llama3"))).complete
    state = desired(key("payments", "llama3", text="Checkout"))
    plan = world.plan(state)
    later = "[keyform 9 prod/payments g1 published 2026-11-21T10:00:00Z]"
    world.api.update_key("payments", KeyUpdate(later))
    assert states(world.apply(state, plan=plan))["update_key payments"] is OutcomeState.FAILED
    assert world.emulator.live_keys(PROJECT)["payments"].description == later


def test_a_key_that_is_gone_already_counts_as_deleted(world: World) -> None:
    assert world.apply(desired(key("payments", "llama3"), key("batch"))).complete
    state = desired(key("payments", "llama3"))
    plan = world.plan(state)
    world.api.delete_key("batch")
    assert world.apply(state, plan=plan).complete


def test_a_key_is_not_taken_for_deleted_by_one_stale_reading(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.apply(desired(key("payments", "llama3"), key("batch"))).complete
    state = desired(key("payments", "llama3"))
    plan = world.plan(state)
    look, stale = world.api.get_key, [None]
    monkeypatch.setattr(world.api, "get_key", lambda name: stale.pop() if name == "batch" and stale else look(name))
    assert world.apply(state, plan=plan).complete
    assert not stale
    assert "batch" not in world.live_names()


@pytest.mark.parametrize("after", [False, True], ids=["nothing was written", "it was written all the same"])
def test_a_failing_sink_leaves_a_generation_that_the_next_run_sorts_out(tmp_path: Path, after: bool) -> None:
    world = World(tmp_path, LIVE, sinks={"local": "dotenv", "other": "json"})
    state = desired(key("payments", "llama3", sinks=["local", "other"], overlap=timedelta(hours=1)))
    sinks = world.sinks()
    error = SinkError("the disk is full", effect_is_unknown=after)
    result = world.apply(state, sinks={**sinks, "other": BrokenSink(sinks["other"], error=error, after=after)})
    expected = OutcomeState.UNKNOWN if after else OutcomeState.FAILED
    assert states(result)["publish payments"] is expected
    first = world.held("payments")
    assert first == world.secret_of("payments"), "the first sink was written: consumers may rely on it"
    assert world.apply(state).complete
    assert world.accepts("llama3", first)
    assert world.accepts("llama3", world.held("payments"))
    assert world.converges(state)
    world.clock.advance(3700)
    assert world.apply(state).complete
    assert len(world.owned()) == 1
    assert world.accepts("llama3", world.held("payments"))


@pytest.mark.parametrize(
    ("is_unknown", "phase"), [(False, Phase.PENDING), (True, Phase.PARTIAL)], ids=["nothing was written", "unknown"]
)
def test_before_a_sink_that_cannot_be_read_back_the_marker_says_that_it_may_have_it(
    world: World, is_unknown: bool, phase: Phase
) -> None:
    """If the sink surely has nothing, the marker is put back: such a generation is discarded, and never piles up."""
    seen: list[Phase] = []

    class Refusing(BrokenSink):
        def write(self, record: Any, secret: Secret) -> None:
            seen.extend(each.ownership.phase for each in world.owned() if each.ownership)
            super().write(record, secret)

    sink = Refusing(world.sinks()["local"], error=SinkError("no", effect_is_unknown=is_unknown))
    sink.traits = replace(sink.traits, readable=False)
    assert not world.apply(desired(key("payments", "llama3")), sinks={"local": sink}).complete
    assert seen == [Phase.PARTIAL]
    assert [each.ownership.phase for each in world.owned() if each.ownership] == [phase]


@pytest.mark.parametrize(
    ("is_unknown", "phase"), [(False, Phase.PENDING), (True, Phase.PARTIAL)], ids=["nothing was written", "unknown"]
)
def test_a_write_that_may_still_be_on_its_way_keeps_the_generation_in_use(
    world: World, is_unknown: bool, phase: Phase
) -> None:
    """What the next reading of the sink does not show may reach it after that, and consumers may then rely on it."""
    state = desired(key("payments", "llama3", overlap=timedelta(hours=1)))
    sink = BrokenSink(world.sinks()["local"], error=SinkError("no", effect_is_unknown=is_unknown))
    assert not world.apply(state, sinks={"local": sink}).complete
    assert [each.ownership.phase for each in world.owned() if each.ownership] == [phase]
    assert world.apply(state).complete
    assert [each.name for each in world.owned()] == (["payments", "payments-g2"] if is_unknown else ["payments-g2"])
    world.clock.advance(3700)
    assert world.apply(state).complete
    assert [each.name for each in world.owned()] == ["payments-g2"]


def test_one_that_came_into_use_since_the_plan_is_not_discarded(world: World) -> None:
    """The reading behind the plan was older than the marker: it is read once more."""
    state = desired(key("payments", "llama3"))
    sink = BrokenSink(world.sinks()["local"], error=SinkError("no"))
    assert not world.apply(state, sinks={"local": sink}).complete
    plan = world.plan(state)
    assert [str(change.id) for change in plan.changes[-2:]] == [
        "unbind payments deployment.llama3",
        "delete_key payments",
    ]
    (made,) = world.owned()
    assert made.ownership is not None
    world.api.update_key("payments", KeyUpdate(compose_description("", replace(made.ownership, phase=Phase.PARTIAL))))
    result = world.apply(state, plan=plan)
    assert states(result)["unbind payments deployment.llama3"] is OutcomeState.FAILED
    assert states(result)["delete_key payments"] is OutcomeState.SKIPPED
    assert world.bound("llama3") == ["payments", "payments-g2", "portal-made"]


def test_a_sink_that_cannot_be_written_is_noticed_before_a_key_is_made(world: World) -> None:
    (world.folder / ".keyform.tmp").write_text("in the way of every write")
    result = world.apply(desired(key("payments", "llama3")))
    assert [
        "is needed for writing, but is not a keyform folder" in finding.message for finding in result.plan.unmet
    ] == [True]
    assert result.plan.held_up == ("payments",)
    assert world.calls == []


def test_a_refused_plan_changes_nothing(world: World) -> None:
    assert world.apply(desired(key("payments", "llama3", prevent_destroy=True))).complete
    world.calls.clear()
    state = desired(allow_empty=True)
    with pytest.raises(PlanRefused, match="refused"):
        world.apply(state)
    assert world.calls == []


def test_once_asked_to_stop_running_steps_finish_and_no_others_begin(world: World) -> None:
    stop = threading.Event()
    state = desired(key("payments", "llama3"))
    result = world.apply(state, stop=stop, on_event=lambda event: stop.set() if isinstance(event, Finished) else None)
    assert result.interrupted
    assert not result.complete
    assert states(result) == {
        "create_generation payments": OutcomeState.DONE,
        "bind payments deployment.llama3": OutcomeState.NOT_STARTED,
        "publish payments": OutcomeState.NOT_STARTED,
    }
    assert world.apply(state).complete
    assert world.live_names() == ["payments-g2", "portal-made"]


# --- A key that somebody recreates under the same name ----------------------------------------------------------------


def recreate(world: World, name: str, description: str | None = None) -> None:
    """Somebody deletes a key in the portal, makes another of its name, and binds it where that was bound."""
    emulator, hook = world.emulator, world.emulator.interceptor
    emulator.interceptor = None
    keys = f"/cloud/v3/inference/{PROJECT}/api_keys"
    places = [place for place in ("llama3", "whisper") if name in world.bound(place)]
    before = {place: world.bound(place) for place in places}
    for place in places:
        patch_in_portal(world, place, [each for each in before[place] if each != name])
    body = {"name": name} | ({} if description is None else {"description": description})
    answers = [
        emulator.respond(Request.build("DELETE", f"{keys}/{name}", token=TOKEN)),
        emulator.respond(Request.build("POST", keys, token=TOKEN, json_body=body)),
    ]
    assert [answer.status for answer in answers] == [204, 200]
    for place in places:
        patch_in_portal(world, place, before[place])
    emulator.interceptor = hook


class MeddledSink(BrokenSink):
    """Something happens right after this sink is written."""

    def __init__(self, sink: Sink, what: Callable[[], None]) -> None:
        super().__init__(sink, error=AssertionError())
        self.what = what

    def write(self, record: SinkRecord, secret: Secret) -> None:
        self._sink.write(record, secret)
        self.what()


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("description", [None, "bob's", "[keyform 2 prod/payments g1 pending 2026-11-21T09:59:59Z]"])
def test_a_key_that_is_recreated_before_it_is_published_is_not_ours(
    tmp_path: Path, description: str | None, readable: bool, api: str
) -> None:
    world = World(tmp_path, LIVE)
    world.api = make_api(world.effects, base_url=BASE_URL, generation=api, workers=2)
    file = replace(desired(key("payments", "llama3", "whisper")), api=api)
    done: list[str] = []

    def on_event(event: object) -> None:
        if isinstance(event, Started) and event.changes[0].id.step is Step.PUBLISH:
            done.append("recreated")
            recreate(world, "payments", description)

    sinks = world.sinks()
    sinks["local"].traits = replace(sinks["local"].traits, readable=readable)
    result = world.apply(file, sinks=sinks, on_event=on_event)
    assert done
    (outcome,) = [each for each in result.outcomes if each.change.step is Step.PUBLISH]
    assert outcome.state is OutcomeState.FAILED
    gone = "the live key payments that this run created no longer exists"
    recreated = "payments lost the marker that this run wrote: the key was recreated"
    assert outcome.detail == f"{recreated if api == 'v3' else gone}, so its secret is not published"
    assert world.held("payments") is None
    assert world.emulator.live_keys(PROJECT)["payments"].description == description, "nothing is written on it"
    assert not result.complete


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_a_key_that_is_recreated_while_its_secret_is_saved_is_not_marked(tmp_path: Path, api: str) -> None:
    world = World(tmp_path, LIVE)
    world.api = make_api(world.effects, base_url=BASE_URL, generation=api, workers=2)
    file = replace(desired(key("payments", "llama3")), api=api)
    sinks = world.sinks()
    sinks["local"] = MeddledSink(sinks["local"], lambda: recreate(world, "payments"))
    result = world.apply(file, sinks=sinks)
    (outcome,) = [each for each in result.outcomes if each.change.step is Step.PUBLISH]
    assert outcome.state is OutcomeState.UNKNOWN
    assert outcome.detail.endswith("although a sink has its secret")
    assert world.emulator.live_keys(PROJECT)["payments"].description is None
    assert not result.complete


def test_an_old_reading_of_a_key_that_was_made_keeps_no_secret_back(world: World) -> None:
    """For a few seconds, the API shows no such key, or one as it was before."""
    seen: list[Request] = []

    def old(request: Request, proceed: Proceed) -> Answer:
        if is_call(request, "GET", "/api_keys/payments") and len(seen) < 3:
            seen.append(request)
            return Answer(
                404, {"Content-Type": "application/json"}, b'{"message": "none", "exception_class": "NotFound"}'
            )
        return proceed(request)

    world.emulator.interceptor = old
    assert world.apply(desired(key("payments", "llama3"))).complete
    assert len(seen) == 3
    assert world.held("payments") == world.secret_of("payments")
