"""Locks that the portal made, and runs that were stopped: what a lock may delete, and what passes its fence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.http_fakes import make_api
from support.states import declared, desired, key
from support.worlds import BASE_URL, STACK, OtherProcess, World, apply_locked, patch_in_portal, states

from reconciler.apply.api_lock import GRACE, LAST_NUMBER, LIFETIME, ApiLock
from reconciler.emulator import Answer, Request
from reconciler.errors import LockHeld, LockLost
from reconciler.model import Auth, DesiredState
from reconciler.plan.outcomes import OutcomeState, Result

LIVE = {
    "api_keys": [{"name": "portal-made"}],
    "deployments": [{"name": "llama3", "image": "demo/llama3", "api_keys": ["portal-made"]}],
}
LONG = (LIFETIME + GRACE + timedelta(minutes=1)).total_seconds()
Proceed = Callable[[Request], Answer]


def open_lock(world: World, chance: float = 0.25) -> ApiLock:
    effects = OtherProcess(world.emulator, chance)
    return ApiLock(make_api(effects, base_url=BASE_URL, workers=1), effects, stack=STACK, holder="ci@one")


def apply(world: World, file: DesiredState, chance: float) -> Result:
    """One run with a lock, from its plan to its end."""
    return apply_locked(world, file, OtherProcess(world.emulator, chance))


def make(world: World, name: str, description: str, **fields: Any) -> None:
    """A key as somebody makes it in the portal."""
    expires_at = fields.get("expires_at")
    world.api.create_key(name, description, expires_at)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, LIVE, task_seconds=0)


# --- A run that was stopped -------------------------------------------------------------------------------------------

FIRST = desired(key("payments", "llama3"))
ROTATED = desired(key("payments", "llama3", expires_at=None, overlap=timedelta(0)), key("search", "llama3"))
OPENED = desired(endpoints=[declared("llama3", Auth.OPEN, exclusive=True)], allow_empty=True)


def stopped_at(world: World, is_here: Callable[[Request], bool], meanwhile: Callable[[], None]) -> None:
    """Stop the run at the first such request, before it arrives; what happens meanwhile is not stopped."""
    done: list[bool] = []

    def intercept(request: Request, proceed: Proceed) -> Answer:
        if not done and is_here(request):
            done.append(True)
            meanwhile()
        return proceed(request)

    world.emulator.interceptor = intercept


def is_list_write(request: Request) -> bool:
    return request.method == "PATCH" and "/deployments/" in request.path


@pytest.mark.attack("project member")
@pytest.mark.parametrize("nth", range(4))
@pytest.mark.parametrize("file", [pytest.param(ROTATED, id="binds"), pytest.param(OPENED, id="opens")])
def test_no_list_is_written_once_the_lock_is_gone(world: World, file: DesiredState, nth: int) -> None:
    apply(world, FIRST, 0.1)
    written: list[str] = []
    looks: list[str] = []
    gone: list[bool] = []

    def take_it() -> None:
        for name in [each for each in world.live_names() if each.startswith("keyform-lock-")]:
            world.api.delete_key(name)
        gone.append(True)

    def is_look_at_the_lock(request: Request) -> bool:
        if request.method == "GET" and "keyform-lock-" in request.path:
            looks.append(request.path)
            return len(looks) > nth
        return False

    def note(request: Request, _: Answer) -> None:
        if gone and is_list_write(request):
            written.append(request.path)

    world.emulator.listeners.append(note)
    stopped_at(world, is_look_at_the_lock, take_it)
    result = apply(world, file, 0.9)
    assert written == []
    assert not gone or not result.complete


@pytest.mark.attack("project member")
def test_what_a_stop_between_check_and_send_did_is_told_as_unknown_with_every_exposure(world: World) -> None:
    """No client can keep itself from being stopped there; it is found out afterwards."""
    apply(world, FIRST, 0.1)
    other = desired(key("payments", "llama3"), key("search", "llama3"))

    def meanwhile() -> None:
        world.clock.advance(LONG)
        assert apply(world, other, 0.5).complete

    stopped_at(world, is_list_write, meanwhile)
    result = apply(world, OPENED, 0.9)
    assert not result.complete
    assert OutcomeState.UNKNOWN in states(result).values()
    assert OutcomeState.DONE not in {
        state for change, state in states(result).items() if change.startswith(("unbind", "delete"))
    }
    said = " ".join(f"{note.address} {note.sentence}" for note in result.exposures)
    assert "search" in said or "llama3" in said, result.exposures
    if not world.bound("llama3"):
        assert "llama3" in said


@pytest.mark.attack("project member")
def test_nothing_is_sent_with_too_little_of_the_locks_life_left(world: World) -> None:
    lock = open_lock(world)
    lock.acquire(timeout=0)
    lock.hold()
    world.clock.advance(LIFETIME.total_seconds() - 45)
    with pytest.raises(LockLost, match="expires before another request could finish"):
        lock.hold()
    lock.release()
    with pytest.raises(LockLost):
        lock.hold()


# --- Keys that are called like locks ----------------------------------------------------------------------------------


@pytest.mark.attack("project member")
@pytest.mark.parametrize("number", [1, 5])
@pytest.mark.parametrize(
    ("description", "life"),
    [
        ("somebody's own key", timedelta(minutes=5)),
        ("held by me since 2026-11-21T10:00:00Z [keyform-lock 8f3a]", timedelta(days=1)),
        ("held by me since 2026-11-21T10:00:00Z [keyform-lock ]", timedelta(minutes=5)),
        ("", timedelta(seconds=1)),
    ],
)
def test_a_key_that_is_only_called_like_a_lock_is_never_deleted(
    world: World, number: int, description: str, life: timedelta
) -> None:
    name = f"keyform-lock-prod-e{number}"
    make(world, name, description, expires_at=world.clock.now() + life)
    world.clock.advance((life + GRACE).total_seconds() + 1)
    lock = open_lock(world)
    lock.sweep()
    lock.acquire(timeout=0)
    lock.check()
    lock.release()
    assert name in world.live_names()


@pytest.mark.attack("project member")
def test_a_bound_key_that_is_called_like_a_lock_is_foreign_and_goes_from_an_exclusive_endpoint(world: World) -> None:
    make(world, "keyform-lock-prod-e7", "", expires_at=world.clock.now() + timedelta(seconds=1))
    world.clock.advance(120)
    patch_in_portal(world, "llama3", ["portal-made", "keyform-lock-prod-e7"])
    file = desired(key("payments", "llama3"), endpoints=[declared("llama3", exclusive=True)])
    plan = world.plan(file)
    assert any("keyform-lock-prod-e7" in note.sentence for note in plan.exposures)
    assert apply(world, file, 0.3).complete
    assert world.bound("llama3") == ["payments"]


@pytest.mark.attack("project member")
def test_a_lock_without_a_number_left_is_refused_and_is_nobodys(world: World) -> None:
    last = f"keyform-lock-prod-e{LAST_NUMBER}"
    make(world, last, "", expires_at=world.clock.now() + timedelta(seconds=1))
    world.clock.advance(120)
    lock = open_lock(world)
    with pytest.raises(LockHeld) as caught:
        lock.acquire(timeout=0)
    assert last in caught.value.message
    assert "delete" in caught.value.way_out
    assert last in world.live_names()
    with pytest.raises(LockLost):
        lock.check()


@pytest.mark.attack("project member")
@pytest.mark.parametrize("life", [timedelta(days=36500), timedelta(0)])
def test_the_dates_of_a_lock_end_in_no_traceback(world: World, life: timedelta) -> None:
    from datetime import UTC, datetime

    make(
        world,
        "keyform-lock-prod-e3",
        "held by x since y [keyform-lock ab]",
        expires_at=datetime(9999, 12, 31, tzinfo=UTC),
    )
    with pytest.raises(LockHeld) as caught:
        open_lock(world).acquire(timeout=life.total_seconds() and 1)
    assert "9999-12-31" in caught.value.message
