"""Locks that are found, and released: only what is a lock goes, and a run whose lock was released stops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http_fakes import PROJECT, make_api
from support.states import desired, key
from support.worlds import STACK, OtherProcess, World

from reconciler.apply.api_lock import GRACE, LIFETIME, ApiLock
from reconciler.apply.lock import FileLock
from reconciler.apply.unlock import find_locks, release_lock
from reconciler.effects import System
from reconciler.emulator import Answer, Request
from reconciler.errors import LockLost, PlanIsStale
from reconciler.model import NOWHERE, FoundLock, LockKind, LockOf, LockReport, LockSettings, Move

LIVE = {
    "api_keys": [{"name": "portal-made"}],
    "deployments": [{"name": "llama3", "image": "demo/llama3", "api_keys": ["portal-made"]}],
}
FILE = desired(key("payments", "llama3"))
MARKED = "held by ci@one since 2026-11-21T09:00:00Z [keyform-lock 0123456789ab]"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, LIVE)


def make_lock(world: World, chance: float, holder: str = "ci@one", stack: str = STACK) -> ApiLock:
    effects = OtherProcess(world.emulator, chance)
    return ApiLock(make_api(effects, workers=1), effects, stack=stack, holder=holder)


def look(world: World) -> LockReport:
    return find_locks(world.api, FILE, world.effects)


def only(world: World) -> FoundLock:
    (lock,) = look(world).locks
    return lock


def test_a_lock_is_found_with_its_holder_and_goes(world: World) -> None:
    ours = make_lock(world, 0.25)
    ours.acquire(timeout=0)
    lock = only(world)
    assert (lock.of, lock.name, lock.stack, lock.holder) == (LockOf.STACK, "keyform-lock-prod-e1", STACK, "ci@one")
    assert (lock.is_held, lock.hindrance) == (True, "")
    assert release_lock(lock, world.api, world.effects)
    assert world.live_names() == ["portal-made"]
    with pytest.raises(LockLost, match="it was released, or another run took it over"):
        ours.check()
    assert not release_lock(lock, world.api, world.effects), "it is gone already"


def test_since_is_when_the_holder_took_it_however_often_it_was_renewed(world: World) -> None:
    ours = make_lock(world, 0.25)
    begun = world.clock.now()
    ours.acquire(timeout=0)
    for _ in range(4):
        world.clock.advance(LIFETIME.total_seconds() * 0.6)
        ours.check()
    lock = only(world)
    assert lock.name == "keyform-lock-prod-e5"
    assert lock.since == begun.replace(microsecond=0)


def test_a_lock_that_was_renewed_meanwhile_has_a_holder_that_is_alive(world: World) -> None:
    ours = make_lock(world, 0.25)
    ours.acquire(timeout=0)
    lock = only(world)
    world.clock.advance(LIFETIME.total_seconds() * 0.6)
    ours.check()
    with pytest.raises(PlanIsStale, match=r"was renewed while you were asked, as keyform-lock-prod-e2: its holder"):
        release_lock(lock, world.api, world.effects)
    ours.check()


def test_another_lock_of_the_same_name_is_not_the_one_that_was_shown(world: World) -> None:
    ours, theirs = make_lock(world, 0.25), make_lock(world, 0.75, "ci@two")
    ours.acquire(timeout=0)
    lock = only(world)
    ours.release()
    theirs.acquire(timeout=0)
    assert only(world).name == lock.name
    with pytest.raises(PlanIsStale, match="is no longer the lock that was shown"):
        release_lock(lock, world.api, world.effects)
    theirs.check()


@pytest.mark.parametrize("late", [0.0, 0.6], ids=["at once", "when it is due to be renewed"])
def test_a_run_whose_lock_was_released_does_not_come_back_beside_the_run_that_took_its_place(
    world: World, late: float
) -> None:
    """A renewal that only made the next number would succeed, since the new lock has the first."""
    ours, theirs = make_lock(world, 0.25), make_lock(world, 0.75, "ci@two")
    ours.acquire(timeout=0)
    assert release_lock(only(world), world.api, world.effects)
    world.clock.advance(LIFETIME.total_seconds() * late)
    theirs.acquire(timeout=0)
    for step in (ours.keep_alive, ours.check):
        if late or step == ours.check:
            with pytest.raises(LockLost, match="it was released, or another run took it over"):
                step()
    theirs.check()
    assert [lock.holder for lock in look(world).locks] == ["ci@two"]


def test_a_lock_that_is_released_and_taken_while_it_is_renewed_is_lost(world: World) -> None:
    """Between the look at the old one and the create of the next."""
    ours, theirs = make_lock(world, 0.25), make_lock(world, 0.75, "ci@two")
    ours.acquire(timeout=0)
    world.clock.advance(LIFETIME.total_seconds() * 0.6)
    lock = only(world)

    def meet(request: Request, proceed: Callable[[Request], Answer]) -> Answer:
        if request.method == "POST":
            world.emulator.interceptor = None
            assert release_lock(lock, world.api, world.effects)
            theirs.acquire(timeout=0)
        return proceed(request)

    world.emulator.interceptor = meet
    with pytest.raises(LockLost, match="another run took it over"):
        ours.keep_alive()
    ours.release()
    theirs.check()
    assert [found.holder for found in look(world).locks] == ["ci@two"]


@pytest.mark.parametrize(
    ("name", "description", "bound", "hindrance"),
    [
        ("keyform-lock-prod-e3", MARKED, False, ""),
        ("keyform-lock-prod-e3", "", False, "has no marker"),
        ("keyform-lock-prod-e3", "held by ci@one", False, "has no marker"),
        ("keyform-lock-prod-e3", MARKED, True, "it opens deployment.llama3"),
        ("keyform-lock--lists-e3", MARKED, False, "does not say which stack's run holds it"),
        ("keyform-lock--lists-e3", MARKED.replace(" since", " for stack prod since"), False, ""),
        ("keyform-lock--lists-e3", MARKED.replace(" since", " for stack other since"), False, "a run of stack other"),
        ("keyform-lock--lists-e3", MARKED.replace(" since", " for stack prod since"), True, "it opens deployment"),
    ],
)
def test_what_only_looks_like_a_lock_stays(
    world: World, name: str, description: str, bound: bool, hindrance: str
) -> None:
    for expires_at in (None, world.clock.now() + timedelta(minutes=5)):
        world.api.create_key(name, description, expires_at)
        keys = ["portal-made", name] if bound else ["portal-made"]
        set_keys(world, keys)
        lock = only(world)
        assert hindrance in lock.hindrance if hindrance else not lock.hindrance
        assert bool(lock.way_out) == bool(hindrance)
        if not hindrance:
            assert release_lock(lock, world.api, world.effects)
            assert world.live_names() == ["portal-made"]
            continue
        set_keys(world, ["portal-made"])
        world.api.delete_key(name)


def test_a_lock_that_came_to_open_something_is_not_deleted(world: World) -> None:
    world.api.create_key("keyform-lock-prod-e3", MARKED, None)
    lock = only(world)
    set_keys(world, ["portal-made", "keyform-lock-prod-e3"])
    with pytest.raises(PlanIsStale, match=r"was not deleted: .*, but it opens deployment\.llama3"):
        release_lock(lock, world.api, world.effects)
    assert world.live_names() == ["keyform-lock-prod-e3", "portal-made"]


@given(name=st.sampled_from(["keyform-lock-prod-e1", "payments", "keyform-lock-prod"]), text=st.text(max_size=60))
def test_a_live_key_without_the_marker_of_a_lock_is_never_released(name: str, text: str) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        world = World(Path(folder), LIVE)
        kept = "".join(char for char in text if char.isprintable()).replace("keyform-lock ", "")
        world.api.create_key(name, kept, None)
        assert all(lock.hindrance for lock in look(world).locks)


def test_an_expired_lock_of_the_lists_goes_whichever_stack_it_is_of(world: World) -> None:
    make_lock(world, 0.25, stack="other").for_lists(PROJECT).acquire(timeout=0)
    assert only(world).hindrance == "a run of stack other holds it"
    world.clock.advance((LIFETIME + GRACE).total_seconds())
    lock = only(world)
    assert (lock.is_held, lock.hindrance, look(world).is_locked) == (False, "", False)
    assert release_lock(lock, world.api, world.effects)


def test_locks_of_other_stacks_are_shown_apart(world: World) -> None:
    make_lock(world, 0.25, stack="other").acquire(timeout=0)
    report = look(world)
    assert (report.locks, report.is_locked) == ((), False)
    assert [lock.name for lock in report.others] == ["keyform-lock-other-e1"]


def test_the_locks_of_a_former_name_of_the_stack_are_its_own(world: World) -> None:
    """An apply of a stack that is renamed holds both."""
    former = make_lock(world, 0.25, stack="before")
    former.acquire(timeout=0)
    former.for_lists(PROJECT).acquire(timeout=0)
    renamed = replace(FILE, moves=(Move("before", "", "", NOWHERE),))
    report = find_locks(world.api, renamed, world.effects)
    assert (report.others, report.is_locked) == ((), True)
    assert [lock.hindrance for lock in report.locks] == ["", ""]
    assert all(release_lock(lock, world.api, world.effects) for lock in report.locks)


# --- The lock file ----------------------------------------------------------------------------------------------------


def with_file(path: Path) -> LockReport:
    world = World(path.parent, LIVE)
    return find_locks(world.api, replace(FILE, lock=LockSettings(LockKind.FILE, str(path))), System())


def test_a_lock_file_names_its_holder_and_a_run_whose_file_is_removed_stops(tmp_path: Path, world: World) -> None:
    path = tmp_path / "stack.lock"
    assert with_file(path).locks == ()
    assert not path.exists(), "to look makes no file"
    lock = FileLock(path, System(), holder="me@here, process 1")
    lock.acquire(timeout=0)
    (found,) = with_file(path).locks
    assert (found.of, found.holder, found.is_held) == (LockOf.FILE, "me@here, process 1", True)
    assert found.since is not None
    lock.check()
    assert release_lock(found, world.api, System())
    assert not path.exists()
    with pytest.raises(LockLost):
        lock.check()
    lock.release()
    assert not release_lock(found, world.api, System())


def test_a_lock_file_that_nobody_holds_is_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "stack.lock"
    lock = FileLock(path, System(), holder="me@here, process 1")
    lock.acquire(timeout=0)
    lock.release()
    assert path.read_text().startswith("held by me@here")
    assert with_file(path).locks == ()


def test_a_lock_file_that_another_run_took_meanwhile_stays(tmp_path: Path, world: World) -> None:
    path = tmp_path / "stack.lock"
    first, second = (FileLock(path, System(), holder=each) for each in ("one", "two"))
    first.acquire(timeout=0)
    (found,) = with_file(path).locks
    first.release()
    second.acquire(timeout=0)
    with pytest.raises(PlanIsStale, match="Another run holds the lock file"):
        release_lock(found, world.api, System())
    second.check()
    second.release()


def test_what_a_file_held_before_it_was_a_lock_file_stays(tmp_path: Path) -> None:
    """`lock.path` may name any file by mistake."""
    path = tmp_path / "secrets.env"
    path.write_text("PAYMENTS=secret\n")
    lock = FileLock(path, System(), holder="me@here")
    lock.acquire(timeout=0)
    assert path.read_text() == "PAYMENTS=secret\n"
    (found,) = with_file(path).locks
    assert found.holder == "somebody"
    lock.release()


def set_keys(world: World, names: list[str]) -> None:
    """What the portal makes of the deployment's list."""
    from support.worlds import patch_in_portal

    patch_in_portal(world, "llama3", names)
