"""Find the locks of a stack, and release one whose run is dead.

A live key is a lock only by its name and by the marker in its description, and only while it opens nothing: anybody can
give a key in the portal the name of a lock. Whatever is released is looked at again just before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from reconciler.api import Api, LiveState
from reconciler.apply.holdings import Holding, find_file_lock, read_lock
from reconciler.effects import Effects
from reconciler.errors import KeyformError, PlanIsStale
from reconciler.model import (
    LISTS,
    DesiredState,
    FoundLock,
    HolderState,
    LiveKey,
    LockKind,
    LockOf,
    LockReport,
    read_lock_name,
)

IN_PORTAL = "see in the portal what it is, and delete it there if nobody needs it"


def find_locks(
    api: Api,
    desired: DesiredState,
    effects: Effects,
    look_for: Callable[[str], HolderState] = lambda _: HolderState.UNKNOWN,
) -> LockReport:
    """Every lock that keeps an apply of this stack out, or has expired; reads only.

    `look_for` says of a holder whether its process runs.
    """
    live = api.read_live()
    now = api.now().replace(microsecond=0)
    own = {desired.stack} | desired.former_stacks  # an apply holds the locks of both
    mine: list[FoundLock] = []
    others: list[FoundLock] = []
    for key in live.keys:
        name = read_lock_name(key.name)
        lock = read_lock(key, name[0]) if name else None
        if name is None or lock is None:
            continue
        found = describe(lock, name[0], live, own, now)
        (mine if name[0] in {*own, LISTS} else others).append(found)
    if desired.lock.kind is LockKind.FILE:
        mine += find_file_lock(Path(desired.lock.path), desired.stack, effects)
    mine.sort(key=lambda lock: [*LockOf].index(lock.of))
    return LockReport(
        stack=desired.stack,
        project=desired.project,
        kind=desired.lock.kind.value,
        now=now,
        locks=tuple(
            replace(lock, holder_state=look_for(lock.holder)) for each in LockOf for lock in mine if lock.of is each
        ),
        others=tuple(lock for lock in others if lock.is_held),
    )


def describe(lock: Holding, name: str, live: LiveState, own: Collection[str], now: datetime) -> FoundLock:
    """A live key that is called like a lock, and what keeps it from being released."""
    key, is_held = lock.key, lock.counts(now)
    hindrance, way_out = find_hindrance(lock, live)
    if not hindrance and lock.stack not in own and is_held:
        if lock.stack:
            hindrance, way_out = f"a run of stack {lock.stack} holds it", "run `keyform unlock` with that stack's file"
        else:
            hindrance, way_out = "it does not say which stack's run holds it", IN_PORTAL
    return FoundLock(
        of=LockOf.LISTS if name == LISTS else LockOf.STACK,
        name=key.name,
        id=key.id,
        stack=lock.stack,
        holder=lock.holder,
        since=lock.since,
        created_at=key.created_at,
        expires_at=key.expires_at,
        nonce=lock.nonce,
        is_held=is_held,
        hindrance=hindrance,
        way_out=way_out,
    )


def find_hindrance(lock: Holding, live: LiveState) -> tuple[str, str]:
    """Why a live key that is called like a lock is none that keyform deletes, and what to do; empty when it is one."""
    if not lock.nonce:
        return "it is called like a lock, but its description has no marker of one", IN_PORTAL
    opens = sorted(str(binding.endpoint) for binding in live.bindings if binding.key_id == lock.key.id)
    if opens:
        return f"it is called like a lock, but it opens {', '.join(opens[:5])}", IN_PORTAL
    return "", ""


def release_lock(lock: FoundLock, api: Api, effects: Effects) -> bool:
    """Delete a lock as it was shown; False when it was gone already. Its run stops before its next change.

    Raises PlanIsStale when it is no longer the lock that was shown, ApiError, and KeyformError for the lock file.
    """
    if lock.of is LockOf.FILE:
        return remove_lock_file(lock, effects)
    live = api.read_live()
    same = [key for key in live.keys if is_same(lock, key)]
    renewed = [key.name for key in live.keys if key.name != lock.name and is_renewed(lock, key)]
    if renewed:
        raise PlanIsStale(
            f"The lock {lock.name} was renewed while you were asked, as {renewed[0]}: its holder is alive."
            " It was not released.",
            way_out="wait for that run, or stop it",
        )
    if not same:
        if all(key.id != lock.id for key in live.keys):
            return False
        raise PlanIsStale(
            f"The live key {lock.name} is no longer the lock that was shown. It was not deleted.",
            way_out="run `keyform unlock` again to see who holds the lock now",
        )
    holding = read_holding(same[0])
    hindrance, way_out = find_hindrance(holding, live) if holding else ("it is no lock", IN_PORTAL)
    if hindrance:
        raise PlanIsStale(f"The live key {lock.name} was not deleted: {hindrance}.", way_out=way_out)
    return api.delete_key(lock.id)


def read_holding(key: LiveKey) -> Holding | None:
    """A live key as the lock that its name says."""
    name = read_lock_name(key.name)
    return read_lock(key, name[0]) if name else None


def is_same(lock: FoundLock, key: LiveKey) -> bool:
    """Whether a live key is still the lock that was shown, and not another of its name."""
    holding = read_holding(key)
    return (
        holding is not None
        and (key.id, key.name, key.created_at) == (lock.id, lock.name, lock.created_at)
        and holding.nonce == lock.nonce
    )


def is_renewed(lock: FoundLock, key: LiveKey) -> bool:
    """Whether a live key is the lock's successor, made by the same run."""
    scope, other = (read_lock_name(name) for name in (lock.name, key.name))
    holding = read_holding(key)
    is_alike = scope is not None and other is not None and scope[0] == other[0]
    return is_alike and holding is not None and bool(lock.nonce) and holding.nonce == lock.nonce


def remove_lock_file(lock: FoundLock, effects: Effects) -> bool:
    """Remove the file, unless its process has ended by now: then it is no lock any more."""
    path = Path(lock.name)
    still = list(find_file_lock(path, lock.stack, effects))
    if not still:
        return False
    if (still[0].holder, still[0].since) != (lock.holder, lock.since):
        raise PlanIsStale(
            f"Another run holds the lock file {path} by now. It was not removed.",
            way_out="run `keyform unlock` again to see who holds the lock now",
        )
    try:
        effects.remove_file(path)
    except OSError as error:
        raise KeyformError(
            f"The lock file {path} cannot be removed: {error.strerror or type(error).__name__}.",
            way_out="end the process that holds it: its lock ends with it",
        ) from None
    return True
