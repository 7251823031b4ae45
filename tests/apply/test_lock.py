"""The lock of a stack: one holder at a time, whoever dies, whatever is lost."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.http_fakes import PROJECT, TOKEN, make_api
from support.states import desired, key
from support.worlds import STACK, World, WorldEffects, states

from reconciler.apply import apply_plan
from reconciler.apply.lock import GRACE, LIFETIME, ApiLock, FileLock
from reconciler.effects import System
from reconciler.emulator import Answer, ConnectionLost, Emulator, Request
from reconciler.errors import LockHeld, LockLost, PlanIsStale
from reconciler.plan.outcomes import ChangeFinished, OutcomeState

LIVE = {
    "api_keys": [{"name": "portal-made"}],
    "deployments": [{"name": "llama3", "image": "demo/llama3", "api_keys": ["portal-made"]}],
}


class Effects(WorldEffects):
    """Chance that differs between processes."""

    def __init__(self, emulator: Emulator, chance: float) -> None:
        super().__init__(emulator)
        self.chance = chance

    def random(self) -> float:
        return self.chance


def make_lock(world: World, holder: str, chance: float) -> ApiLock:
    effects = Effects(world.emulator, chance)
    return ApiLock(make_api(effects, workers=1), effects, stack=STACK, holder=holder)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, LIVE)


@pytest.fixture
def ours(world: World) -> ApiLock:
    return make_lock(world, "ci@one", 0.25)


@pytest.fixture
def theirs(world: World) -> ApiLock:
    return make_lock(world, "ci@two", 0.75)


def locks(world: World) -> list[str]:
    return [name for name in world.live_names() if name.startswith("keyform-lock-")]


def test_the_lock_is_a_key_that_opens_nothing_and_is_gone_when_given_back(world: World, ours: ApiLock) -> None:
    ours.acquire(timeout=0)
    assert locks(world) == ["keyform-lock-prod-e1"]
    live = world.emulator.live_keys(PROJECT)["keyform-lock-prod-e1"]
    assert live.expires_at is not None
    assert timedelta(minutes=9) < live.expires_at - world.clock.now() <= LIFETIME
    assert str(live.description).startswith("held by ci@one since 2026-11-21T10:00:00Z [keyform-lock ")
    assert not world.accepts("llama3", live.secret)
    ours.release()
    assert locks(world) == []


def test_who_comes_second_is_told_who_holds_it_and_until_when(world: World, ours: ApiLock, theirs: ApiLock) -> None:
    ours.acquire(timeout=0)
    with pytest.raises(LockHeld) as caught:
        theirs.acquire(timeout=0)
    assert caught.value.message == "The stack prod is locked by ci@one, until 2026-11-21T10:10:00Z at the latest."
    assert "--lock-timeout" in caught.value.way_out
    ours.check()


def test_who_waits_gets_it_once_it_is_given_back(world: World, ours: ApiLock, theirs: ApiLock) -> None:
    ours.acquire(timeout=0)
    theirs._effects.sleep = lambda seconds: (ours.release(), world.clock.advance(seconds))  # type: ignore[method-assign,assignment,func-returns-value]
    theirs.acquire(timeout=60)
    theirs.check()
    with pytest.raises(LockLost):
        ours.check()


def test_waiting_ends_at_the_timeout(world: World, ours: ApiLock, theirs: ApiLock) -> None:
    ours.acquire(timeout=0)
    before = world.clock.now()
    with pytest.raises(LockHeld):
        theirs.acquire(timeout=30)
    assert timedelta(seconds=29) <= world.clock.now() - before <= timedelta(seconds=31)


def test_a_stale_lock_is_taken_over_after_its_expiry_and_its_holder_notices(
    world: World, ours: ApiLock, theirs: ApiLock
) -> None:
    ours.acquire(timeout=0)
    world.clock.advance((LIFETIME + GRACE).total_seconds())
    theirs.acquire(timeout=0)
    assert locks(world) == ["keyform-lock-prod-e2"]
    with pytest.raises(LockLost):
        ours.check()
    theirs.check()


def test_a_lock_that_is_only_just_expired_still_keeps_others_out(world: World, ours: ApiLock, theirs: ApiLock) -> None:
    """Clocks differ by seconds."""
    ours.acquire(timeout=0)
    world.clock.advance(LIFETIME.total_seconds() + 1)
    with pytest.raises(LockHeld):
        theirs.acquire(timeout=0)


def test_a_long_apply_renews_its_lock(world: World, ours: ApiLock, theirs: ApiLock) -> None:
    ours.acquire(timeout=0)
    for _ in range(10):
        world.clock.advance(LIFETIME.total_seconds() * 0.6)
        ours.check()
        with pytest.raises(LockHeld):
            theirs.acquire(timeout=0)
    assert len(locks(world)) == 1


def test_a_lock_that_the_portal_deleted_is_lost(world: World, ours: ApiLock) -> None:
    ours.acquire(timeout=0)
    world.api.delete_key(locks(world)[0])
    with pytest.raises(LockLost, match="no longer ours"):
        ours.check()


@pytest.mark.parametrize("lost", [1, 2], ids=["the create's answer", "the answer that gives it back"])
def test_a_lost_answer_neither_loses_nor_keeps_the_lock(world: World, ours: ApiLock, lost: int) -> None:
    writes = 0

    def lose(request: Request, proceed: object) -> Answer:
        nonlocal writes
        answer: Answer = proceed(request)  # type: ignore[operator]
        writes += request.method != "GET"
        if request.method != "GET" and writes == lost:
            raise ConnectionLost
        return answer

    world.emulator.interceptor = lose
    ours.acquire(timeout=0)
    ours.check()
    ours.release()
    assert locks(world) == []


def test_another_stack_has_a_lock_of_its_own(world: World, ours: ApiLock) -> None:
    """`prod` and `prod-e1` are different stacks, however alike their locks' names."""
    ours.acquire(timeout=0)
    effects = Effects(world.emulator, 0.9)
    other = ApiLock(make_api(effects, workers=1), effects, stack="prod-e1", holder="x")
    other.acquire(timeout=0)
    assert locks(world) == ["keyform-lock-prod-e1", "keyform-lock-prod-e1-e1"]
    ours.check()
    other.check()


def interleave(first: ApiLock, second: ApiLock, order: list[bool], world: World) -> list[bool]:
    """Both acquire, one request each as `order` says; gives who holds it in the end."""
    import threading

    turn = [threading.Event(), threading.Event()]
    ready = [threading.Event(), threading.Event()]
    done = [False, False]
    holds = [False, False]

    def steps(index: int, lock: ApiLock) -> Iterator[None]:
        effects = lock._effects
        send = effects.send

        def gated(request: object) -> object:
            ready[index].set()
            turn[index].wait(5)
            turn[index].clear()
            return send(request)  # type: ignore[arg-type]

        effects.send = gated  # type: ignore[method-assign,assignment]
        try:
            lock.acquire(timeout=0)
            holds[index] = True
        except LockHeld:
            pass
        finally:
            done[index] = True
            ready[index].set()
            effects.send = send  # type: ignore[method-assign]
        yield

    threads = [
        threading.Thread(target=lambda index=index, lock=lock: list(steps(index, lock)))
        for index, lock in enumerate((first, second))
    ]
    for thread in threads:
        thread.start()
    for index in (0, 1):
        ready[index].wait(5)
    for pick in [*order, *([False, True] * 20)]:
        index = int(pick)
        if done[index]:
            continue
        ready[index].clear()
        turn[index].set()
        ready[index].wait(5)
    for thread in threads:
        thread.join(5)
    return holds


@given(order=st.lists(st.booleans(), max_size=14), stale=st.booleans())
@settings(max_examples=60, deadline=None)
def test_two_who_take_it_at_once_never_both_hold_it(
    tmp_path_factory: pytest.TempPathFactory, order: list[bool], stale: bool
) -> None:
    """Whatever the order of their requests, also over a stale lock."""
    world = World(tmp_path_factory.mktemp("world"), LIVE)
    if stale:
        make_lock(world, "dead", 0.5).acquire(timeout=0)
        world.clock.advance((LIFETIME + GRACE).total_seconds())
    one, two = make_lock(world, "ci@one", 0.25), make_lock(world, "ci@two", 0.75)
    holds = interleave(one, two, order, world)
    assert holds.count(True) <= 1
    for lock, held in zip((one, two), holds, strict=True):
        if held:
            lock.check()
            lock.release()
    assert locks(world) == []


def test_an_apply_takes_the_lock_plans_again_and_gives_it_back(world: World, ours: ApiLock) -> None:
    state = desired(key("payments", "llama3"))
    plan = world.plan(state)
    seen: list[list[str]] = []
    world.emulator.listeners.append(lambda request, answer: seen.append(locks(world)))
    result = apply_plan(
        plan,
        world.api,
        world.sinks(),
        world.effects,
        lock=ours,
        look_again=lambda: world.plan(state).__class__(**{**_fields(world.plan(state)), "made_at": plan.made_at}),
        on_moved=lambda moved: None,
        parallelism=1,
    )
    assert result.complete
    assert ["keyform-lock-prod-e1"] in seen
    assert locks(world) == []
    assert world.converges(state)


def _fields(plan: object) -> dict[str, object]:
    import dataclasses

    return {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}  # type: ignore[arg-type]


def test_a_plan_that_no_longer_fits_is_refused_and_nothing_is_changed(world: World, ours: ApiLock) -> None:
    state = desired(key("payments", "llama3"))
    plan = world.plan(state)
    path = f"/cloud/v3/inference/{PROJECT}/api_keys"
    world.emulator.respond(Request.build("POST", path, token=TOKEN, json_body={"name": "payments"}))
    world.calls.clear()
    with pytest.raises(PlanIsStale):
        apply_plan(
            plan,
            world.api,
            world.sinks(),
            world.effects,
            lock=ours,
            look_again=lambda: world.plan(state),
            parallelism=1,
        )
    assert world.calls == ["POST api_keys 200", "DELETE keyform-lock-prod-e1 204"]


def test_an_apply_that_loses_its_lock_stops_before_it_publishes(world: World, ours: ApiLock) -> None:
    state = desired(key("payments", "llama3"))

    def steal(event: object) -> None:
        if isinstance(event, ChangeFinished) and event.outcome.change.id.startswith("bind:"):
            world.api.delete_key(locks(world)[0])

    result = apply_plan(
        world.plan(state), world.api, world.sinks(), world.effects, lock=ours, listener=steal, parallelism=1
    )
    assert states(result)["publish:payments"] is OutcomeState.FAILED
    assert world.held("payments") is None
    assert world.apply(state).complete
    assert world.converges(state)


def test_a_file_lock_keeps_a_second_process_out_until_it_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / ".keyform.lock"
    first, second = FileLock(path, System()), FileLock(path, System())
    first.acquire(timeout=0)
    with pytest.raises(LockHeld, match=str(path)):
        second.acquire(timeout=0)
    first.release()
    second.acquire(timeout=0)
    second.release()
    assert path.stat().st_mode & 0o777 == 0o600
