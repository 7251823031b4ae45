"""The lock where its names, or the keys of the project, run out: reserved names of deleted locks, and a quota."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.http_fakes import PROJECT, make_api
from support.locks import LIVE, locks, make_lock
from support.worlds import OtherProcess, World

from reconciler.apply.api_lock import GRACE, LIFETIME, TRIES, ApiLock
from reconciler.emulator import Modes, Request
from reconciler.errors import LockHeld, LockLost, QuotaReached


def make(folder: Path, **modes: Any) -> World:
    return World(folder, LIVE, modes=Modes(**modes))


def creates(world: World) -> list[str]:
    """Every create so far, with its status."""
    return [call.replace("keyform-lock-", "") for call in world.calls if call.startswith("POST")]


@pytest.mark.parametrize("mode", ["reserved", "reserved_for_an_hour"])
@pytest.mark.parametrize("generation", ["v3", "v2"])
def test_where_names_are_reserved_the_lock_is_had_again_and_again(tmp_path: Path, mode: Any, generation: str) -> None:
    world = make(tmp_path, deleted_name=mode)
    held = []
    chance = Random(7)
    for _ in range(40):
        effects = OtherProcess(world.emulator, chance.random())
        api = make_api(effects, generation=generation, workers=1)
        with ApiLock(api, effects, stack="prod", holder="ci").held() as lock:
            held += [name.removeprefix("keyform-lock-prod-e") for name in locks(world)]
            lock.check()
            with pytest.raises(LockHeld):
                make_lock(world, "ci@two", 0.95).acquire(timeout=0)
        assert locks(world) == []
    assert len(held) == len(set(held)) == 40
    assert held[:2] == ["1", str(int(world.clock.now().timestamp() // 60))]


def test_one_run_that_takes_it_often_does_not_try_reserved_names_twice(tmp_path: Path) -> None:
    world = make(tmp_path, deleted_name="reserved")
    lock = make_lock(world, "ci@one", 0.25)
    for _ in range(4):
        with lock.held():
            pass
    assert [call.split()[2] for call in world.calls if call.startswith("POST")] == ["200", "409", "200", "200", "200"]


@pytest.mark.parametrize("mode", ["free", "reserved"])
def test_a_renewal_goes_past_a_reserved_name(tmp_path: Path, mode: Any) -> None:
    world = make(tmp_path, deleted_name=mode)
    for _ in range(3):
        lock = make_lock(world, "ci@one", 0.25)
        with lock.held():
            for _ in range(4):
                world.clock.advance(LIFETIME.total_seconds() * 0.6)
                lock.check()
                assert len(locks(world)) == 1
                with pytest.raises(LockHeld):
                    make_lock(world, "ci@two", 0.75).acquire(timeout=0)
        assert locks(world) == []


@pytest.mark.parametrize("mode", ["free", "reserved"])
def test_a_lock_that_somebody_took_over_is_not_renewed(tmp_path: Path, mode: Any) -> None:
    world = make(tmp_path, deleted_name=mode)
    ours, theirs = make_lock(world, "ci@one", 0.25), make_lock(world, "ci@two", 0.75)
    ours.acquire(timeout=0)
    world.clock.advance((LIFETIME + GRACE).total_seconds())
    theirs.acquire(timeout=0)
    with pytest.raises(LockLost):
        ours.keep_alive()
    ours.release()
    theirs.check()


def test_an_api_that_refuses_every_name_is_asked_a_few_times_only(tmp_path: Path) -> None:
    world = make(tmp_path)

    def refuse(request: Request, proceed: Any) -> Any:
        if request.method == "POST":
            body = {"name": "portal-made"}  # whose name is taken
            request = Request(request.method, request.path, "", request.headers, str(body).replace("'", '"').encode())
        return proceed(request)

    world.emulator.interceptor = refuse
    with pytest.raises(LockHeld, match="could not be acquired"):
        make_lock(world, "ci@one", 0.25).acquire(timeout=0)
    assert len(creates(world)) == TRIES


@pytest.mark.parametrize("status", Modes.liberties()["quota_status"])
def test_without_room_for_a_second_lock_the_first_holds_until_it_expires(tmp_path: Path, status: Any) -> None:
    world = make(tmp_path, key_quota=3, quota_status=status)
    lock = make_lock(world, "ci@one", 0.25)
    lock.acquire(timeout=0)
    world.api.create_key("payments", "", None)
    world.clock.advance(LIFETIME.total_seconds() * 0.6)
    for _ in range(20):
        lock.check()
    assert creates(world) == ["POST api_keys 200", "POST api_keys 200", f"POST api_keys {status}"]
    world.api.delete_key("payments")
    world.clock.advance(60)
    lock.check()
    assert locks(world) == ["keyform-lock-prod-e2"]
    world.api.create_key("payments", "", None)
    world.clock.advance(LIFETIME.total_seconds())
    with pytest.raises(LockLost):
        lock.check()


def test_a_project_without_room_has_no_lock(tmp_path: Path) -> None:
    world = make(tmp_path, key_quota=3)
    world.api.create_key("payments", "", None)
    world.api.create_key("search", "", None)
    with pytest.raises(QuotaReached, match="The lock of stack prod could not be acquired") as caught:
        make_lock(world, "ci@one", 0.25).acquire(timeout=0)
    assert caught.value.way_out.endswith("Or use another lock: `lock: {type: file}`.")
    assert [*world.emulator.live_keys(PROJECT)] == ["portal-made", "payments", "search"]
