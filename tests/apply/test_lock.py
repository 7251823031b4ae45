"""The lock of a stack: one holder at a time, whoever dies, whatever is lost."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.http_fakes import PROJECT, TOKEN, make_api
from support.locks import LIVE, interleave, locks, make_lock
from support.states import desired, key
from support.worlds import OtherProcess, World, apply_under, states

from reconciler.apply import locked
from reconciler.apply.api_lock import GRACE, LIFETIME, ApiLock
from reconciler.apply.lock import FileLock
from reconciler.effects import System
from reconciler.emulator import Answer, ConnectionLost, Modes, Request
from reconciler.errors import Interrupted, LockHeld, LockLost, RateLimited
from reconciler.plan.changes import Bind
from reconciler.plan.differences import explain_difference
from reconciler.plan.outcomes import Finished, OutcomeState


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, LIVE)


@pytest.fixture
def ours(world: World) -> ApiLock:
    return make_lock(world, "ci@one", 0.25)


@pytest.fixture
def theirs(world: World) -> ApiLock:
    return make_lock(world, "ci@two", 0.75)


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


# --- Giving it back when that is not easy -----------------------------------------------------------------------------


def too_often(retry_after: int | None = None) -> Answer:
    """The API's own refusal of a request that comes too soon."""
    headers = {"Content-Type": "application/json"} | ({} if retry_after is None else {"Retry-After": str(retry_after)})
    body = {"exception_class": "TooManyRequests", "message": "slow down", "request_id": "r"}
    return Answer(429, headers, json.dumps(body).encode())


@pytest.mark.parametrize("retry_after", [None, 30], ids=["without Retry-After", "with Retry-After"])
def test_a_lock_is_given_back_though_the_api_has_refused_everything_for_a_while(
    world: World, retry_after: int | None
) -> None:
    """The gate is closed by then; the API opens again before the run's patience ends."""
    told: list[str] = []
    lock = make_lock(world, "ci@one", 0.25, told)
    lock.acquire(timeout=0)
    world.emulator.interceptor = lambda request, proceed: too_often(retry_after)
    with pytest.raises(RateLimited):
        lock.check()
    with pytest.raises(RateLimited, match="it was not asked"):
        lock.check()
    begun = world.clock.now()
    opens = begun + timedelta(seconds=20)
    world.emulator.interceptor = lambda request, proceed: (
        too_often(retry_after) if world.clock.now() < opens else proceed(request)
    )
    lock.release()
    assert locks(world) == []
    assert told == []
    assert world.clock.now() - begun < timedelta(seconds=75)


@pytest.mark.parametrize("retry_after", [None, 5, 3600])
def test_a_lock_that_cannot_be_given_back_is_told_with_the_end_of_it(world: World, retry_after: int | None) -> None:
    told: list[str] = []
    lock = make_lock(world, "ci@one", 0.25, told)
    lock.acquire(timeout=0)
    asked: list[str] = []

    def refuse(request: Request, proceed: object) -> Answer:
        asked.append(request.method)
        return too_often(retry_after)

    world.emulator.interceptor = refuse
    with pytest.raises(RateLimited):
        lock.check()
    asked.clear()
    begun = world.clock.now()
    lock.release()
    assert 1 <= asked.count("DELETE") <= 5
    assert world.clock.now() - begun <= timedelta(seconds=150)
    assert locks(world) == ["keyform-lock-prod-e1"]
    (sentence,) = told
    assert sentence.startswith("The lock of stack prod may be left behind. The API is asked too often")
    assert sentence.endswith(
        " If so, it expires: other runs are kept out until 2026-11-21T10:11:00Z, or until `keyform unlock"
        " --release` deletes the key keyform-lock-prod-e1."
    )
    lock.release()
    assert len(told) == 1, "what was told is not told again"


def test_who_waits_no_longer_does_not_wait_to_give_the_lock_back(world: World) -> None:
    told: list[str] = []
    lock = make_lock(world, "ci@one", 0.25, told)
    lock.acquire(timeout=0)
    world.emulator.interceptor = lambda request, proceed: too_often()
    with pytest.raises(RateLimited):
        lock.check()

    def abandoned(seconds: float) -> None:
        raise Interrupted("Interrupted while waiting.")

    lock._effects.sleep = abandoned  # type: ignore[method-assign]
    lock.release()
    (sentence,) = told
    assert "may be left behind. Interrupted while waiting. If so, it expires: " in sentence


def test_an_old_lock_that_a_renewal_left_behind_goes_with_the_new_one(world: World, ours: ApiLock) -> None:
    ours.acquire(timeout=0)
    world.clock.advance(LIFETIME.total_seconds() * 0.6)
    world.emulator.interceptor = lambda request, proceed: (
        too_often() if request.method == "DELETE" else proceed(request)  # type: ignore[operator]
    )
    ours.check()
    assert locks(world) == ["keyform-lock-prod-e1", "keyform-lock-prod-e2"]
    world.emulator.interceptor = None
    ours.release()
    assert locks(world) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted], ids=lambda error: error.__name__)
@pytest.mark.parametrize("number", [1, 2], ids=["taking it", "renewing it"])
def test_a_lock_whose_create_was_interrupted_is_given_back(
    world: World, ours: ApiLock, number: int, error: type[BaseException]
) -> None:
    """Its name is known before the create is sent, though its answer never came."""
    creates = 0
    send = ours._effects.send

    def interrupted(request: httpx.Request) -> httpx.Response:
        nonlocal creates
        answer = send(request)
        creates += request.method == "POST"
        if request.method == "POST" and creates == number:
            raise error("stop")
        return answer

    ours._effects.send = interrupted  # type: ignore[method-assign]
    if number == 1:
        with pytest.raises(error):
            ours.acquire(timeout=0)
    else:
        ours.acquire(timeout=0)
        world.clock.advance(LIFETIME.total_seconds() * 0.6)
        with pytest.raises(error):
            ours.check()
    assert locks(world) == [f"keyform-lock-prod-e{at}" for at in range(1, number + 1)]
    ours.release()
    assert locks(world) == []


def test_a_lock_that_appears_only_after_its_create_was_interrupted_is_given_back(world: World, ours: ApiLock) -> None:
    send, late = ours._effects.send, list[httpx.Request]()

    def interrupted(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            late.append(request)
            raise KeyboardInterrupt
        return send(request)

    ours._effects.send = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        ours.acquire(timeout=0)
    sleep = ours._effects.sleep
    ours._effects.sleep = lambda seconds: (sleep(seconds), send(late.pop()))  # type: ignore[method-assign,assignment,func-returns-value]
    ours.release()
    assert (late, locks(world)) == ([], [])


def test_the_lock_of_somebody_else_is_not_given_back_by_whoever_wanted_that_number(
    world: World, ours: ApiLock, theirs: ApiLock
) -> None:
    """Both create the same number; ours is interrupted, and it was theirs that was first."""
    send = ours._effects.send

    def too_late(request: httpx.Request) -> httpx.Response:
        if request.method != "POST":
            return send(request)
        theirs.acquire(timeout=0)
        send(request)
        raise KeyboardInterrupt

    ours._effects.send = too_late  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        ours.acquire(timeout=0)
    ours._effects.send = send  # type: ignore[method-assign]
    ours.release()
    theirs.check()


def test_another_stack_has_a_lock_of_its_own(world: World, ours: ApiLock) -> None:
    """`prod` and `prod-e1` are different stacks, however alike their locks' names."""
    ours.acquire(timeout=0)
    effects = OtherProcess(world.emulator, 0.9)
    other = ApiLock(make_api(effects, workers=1), effects, stack="prod-e1", holder="x")
    other.acquire(timeout=0)
    assert locks(world) == ["keyform-lock-prod-e1", "keyform-lock-prod-e1-e1"]
    ours.check()
    other.check()


@given(
    order=st.lists(st.booleans(), max_size=20),
    stale=st.booleans(),
    names=st.sampled_from(Modes.choices()["deleted_name"]),
)
@settings(max_examples=80, deadline=None)
def test_two_who_take_it_at_once_never_both_hold_it(
    tmp_path_factory: pytest.TempPathFactory, order: list[bool], stale: bool, names: Any
) -> None:
    """Whatever the order of their requests, also over a stale lock, and where names of locks are reserved."""
    world = World(tmp_path_factory.mktemp("world"), LIVE, modes=Modes(deleted_name=names))
    with make_lock(world, "before", 0.1).held():
        pass
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
    result = apply_under(
        ours,
        lambda: replace(world.plan(state), made_at=plan.made_at),
        world.api,
        world.sinks(),
        world.effects,
        plan=plan,
    )
    assert result.complete
    assert ["keyform-lock-prod-e1"] in seen
    assert locks(world) == []
    assert world.converges(state)


def test_a_plan_that_no_longer_fits_is_seen_under_the_lock_and_explained(world: World, ours: ApiLock) -> None:
    state = desired(key("payments", "llama3"))
    plan = world.plan(state)
    path = f"/cloud/v3/inference/{PROJECT}/api_keys"
    world.emulator.respond(Request.build("POST", path, token=TOKEN, json_body={"name": "payments"}))
    world.calls.clear()
    with locked(ours, plan, world.sinks(), lambda: world.plan(state)) as now:
        assert explain_difference(plan, now) == (
            "the live key payments exists already, and this stack does not own it",
            "key.payments: create generation payments is no longer needed",
            "key.payments: bind payments deployment.llama3 is no longer needed",
            "key.payments: publish payments is no longer needed",
        )
    assert world.calls == ["POST api_keys 200", "DELETE keyform-lock-prod-e1 204"]


def test_an_apply_that_loses_its_lock_stops_before_it_publishes(world: World, ours: ApiLock) -> None:
    state = desired(key("payments", "llama3"))

    def steal(event: object) -> None:
        if isinstance(event, Finished) and isinstance(event.outcomes[0].change, Bind):
            world.api.delete_key("keyform-lock-prod-e1")

    result = apply_under(ours, lambda: world.plan(state), world.api, world.sinks(), world.effects, listener=steal)
    assert states(result)["publish payments"] is OutcomeState.FAILED
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


def test_a_lock_file_that_is_cleared_away_locks_nobody_out_and_lets_nobody_write(world: World, tmp_path: Path) -> None:
    path = tmp_path / "stack.lock"
    lock = FileLock(path, world.effects)
    lock.acquire(timeout=0)
    lock.check()
    path.unlink()
    other = FileLock(path, world.effects)
    other.acquire(timeout=0)
    with pytest.raises(LockLost):
        lock.check()
    with pytest.raises(LockLost):
        lock.hold()
    other.check()
    other.release()
    lock.release()
