"""One apply at a time: the lock of a stack, and its kinds.

The default lock is the API itself, so that there is nothing to set up. A lock is a live key that opens nothing, with a
name that only one caller can create, an `expires_at` some minutes ahead, and a description that names its holder:

    keyform-lock-inference-prod-e1    held by ci@runner-7 since 2026-11-21T10:00:00Z [keyform-lock 8f3a…]

Taking it: see that no unexpired lock of the stack is there; create the next number (one caller succeeds); look again,
and give it back if another one is there after all. A stale lock is never deleted before its successor exists, so two
who take it over at once cannot both go on: each looks after it has created, and at least one sees the other.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from reconciler.apply.interface import Api
from reconciler.effects import Effects
from reconciler.errors import ApiError, Conflict, Forbidden, Interrupted, LockHeld, LockLost
from reconciler.model import LiveKey, lock_name, read_lock_name

LIFETIME = timedelta(minutes=10)
"""How long a lock lasts unless it is renewed, which happens at half of it."""
GRACE = timedelta(minutes=1)
"""How long after its expiry a lock still counts, since clocks differ."""
FIRST_WAIT = 1.0
LONGEST_WAIT = 10.0

_HOLDER = re.compile(r"held by (?P<holder>.*) since (?P<since>\S+) \[keyform-lock (?P<nonce>[0-9a-f]+)\]\Z")


class Lock(Protocol):
    """What keeps two applies of one stack apart."""

    def acquire(self, *, timeout: float) -> None:
        """Take it, waiting at most `timeout` seconds. Raises LockHeld, naming the holder."""
        ...

    def check(self) -> None:
        """Make sure that it is still ours, before something is changed. Raises LockLost."""
        ...

    def keep_alive(self) -> None:
        """Renew it when that is due; for long waits. Raises LockLost."""
        ...

    def release(self) -> None:
        """Give it back; what cannot be given back expires."""
        ...

    def sweep(self) -> None:
        """Remove what dead processes left of it, without taking it."""
        ...


class NoLock:
    """No lock at all: the user sees to it that only one apply runs."""

    def acquire(self, *, timeout: float) -> None:
        """Nothing."""

    def check(self) -> None:
        """Nothing."""

    def keep_alive(self) -> None:
        """Nothing."""

    def release(self) -> None:
        """Nothing."""

    def sweep(self) -> None:
        """Nothing."""


class FileLock:
    """A lock file on this machine; it ends with the process that holds it."""

    def __init__(self, path: Path, effects: Effects) -> None:
        self._path = path
        self._effects = effects
        self._handle: int | None = None

    def acquire(self, *, timeout: float) -> None:
        """Raises LockHeld when another process has it for longer than the timeout."""
        deadline = self._effects.monotonic() + timeout
        while (handle := self._effects.try_lock_file(self._path)) is None:
            left = deadline - self._effects.monotonic()
            if left <= 0:
                raise LockHeld(
                    f"Another keyform holds the lock file {self._path}.",
                    way_out="wait until it is done, or give --lock-timeout",
                )
            self._effects.sleep(min(FIRST_WAIT, left))
        self._handle = handle

    def check(self) -> None:
        """The kernel holds it for us."""

    def keep_alive(self) -> None:
        """It does not expire."""

    def release(self) -> None:
        """Give it back."""
        if self._handle is not None:
            self._effects.unlock_file(self._handle)
            self._handle = None

    def sweep(self) -> None:
        """The file stays: without it, two processes could lock two different files of that name."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One lock as it is live."""

    key: LiveKey
    number: int
    nonce: str
    holder: str

    def counts(self, now: datetime) -> bool:
        """Whether it still keeps others out."""
        return self.key.expires_at is None or now < self.key.expires_at + GRACE


class ApiLock:
    """The lock that is a live key. `holder` is who is told to those who wait; it is shown in the portal."""

    def __init__(
        self,
        api: Api,
        effects: Effects,
        *,
        stack: str,
        holder: str,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._api = api
        self._effects = effects
        self._stack = stack
        self._holder = holder
        self._tell = tell
        self._nonce = f"{int(effects.random() * 16**12):012x}"
        self._own: LiveKey | None = None
        self._number = 0
        self._guard = threading.RLock()

    def acquire(self, *, timeout: float) -> None:
        """Take the lock; a stale one is taken over once it has expired."""
        deadline = self._effects.monotonic() + timeout
        wait = FIRST_WAIT
        told = ""
        while True:
            found = self._find()
            in_force = self._others(found)
            if not in_force and self._create(1 + max((lock.number for lock in found), default=0)):
                found = self._find()
                in_force = self._others(found)
                if not in_force:
                    self._remove_others(found)
                    return
                self.release()
            left = deadline - self._effects.monotonic()
            if left <= 0:
                raise LockHeld(describe_holder(self._stack, in_force), way_out=WAY_OUT.format(stack=self._stack))
            if in_force and in_force[0].holder != told:
                told = in_force[0].holder
                self._tell(f"waiting for the lock, {in_force[0].key.text}")
            self._effects.sleep(min(wait * (0.5 + self._effects.random()), left))
            wait = min(wait * 1.5, LONGEST_WAIT)

    def check(self) -> None:
        """See that the lock is live, ours, and has time left; renew it when half of its life is over."""
        with self._guard:
            if self._own is None:
                raise self._lost("it was given back")
            live = self._api.get_key(self._own.name)
            if live is None or read_lock(live, self._stack) != read_lock(self._own, self._stack):
                raise self._lost("somebody took it over")
            self.keep_alive()

    def keep_alive(self) -> None:
        """Renew by creating the next lock and then deleting this one: an expiry cannot be changed [D]."""
        with self._guard:
            if self._own is None or self._own.expires_at is None:
                return
            left = self._own.expires_at - self._effects.now()
            if left <= timedelta(0):
                raise self._lost("it expired")
            if left > LIFETIME / 2:
                return
            old = self._own
            if not self._create(self._number + 1):
                self._own = None
                raise self._lost("somebody took it over")
            self._delete(old.name)

    def release(self) -> None:
        """Delete the lock; if that fails it expires."""
        with self._guard:
            if self._own is not None:
                self._delete(self._own.name)
                self._own = None

    def sweep(self) -> None:
        """Delete expired locks: a run that died after its last change left one, and maybe none takes the lock again."""
        found = self._find()
        in_force = self._others(found)
        for lock in found:
            if lock not in in_force:
                self._delete(lock.key.name)

    def _lost(self, why: str) -> LockLost:
        return LockLost(f"The lock of stack {self._stack} is no longer ours: {why}.", way_out="run apply again")

    def _find(self) -> list[Holding]:
        """Every lock of this stack, the newest last."""
        found = [lock for key in self._api.list_keys() if (lock := read_lock(key, self._stack)) is not None]
        return sorted(found, key=lambda lock: lock.number)

    def _others(self, found: list[Holding]) -> list[Holding]:
        """What keeps us out; not what an answer that was lost left behind of our own."""
        now = self._effects.now()
        return [lock for lock in found if lock.nonce != self._nonce and lock.counts(now)]

    def _create(self, number: int) -> bool:
        """Whether this number is ours now."""
        name, now = lock_name(self._stack, number), self._effects.now()
        text = f"held by {self._holder} since {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} [keyform-lock {self._nonce}]"
        expires_at = (now + LIFETIME).replace(microsecond=0)
        try:
            self._own = self._api.create_key(name, text, expires_at).key
        except Conflict:
            return False
        except Forbidden as error:
            raise Forbidden(
                f"The lock of stack {self._stack} could not be made. {error.message}",
                way_out=f"{error.way_out} Or declare another lock: `lock: {{type: file}}`.",
                status=error.status,
                request_id=error.request_id,
            ) from None
        except ApiError as error:
            if not error.effect_is_unknown:
                raise
            live = self._api.get_key(name)
            if live is None or (lock := read_lock(live, self._stack)) is None or lock.nonce != self._nonce:
                return False
            self._own = live
        self._number = number
        return True

    def _remove_others(self, found: list[Holding]) -> None:
        """Delete stale locks, and those that lost answers of our own left behind."""
        for lock in found:
            if self._own is not None and lock.key.name != self._own.name:
                self._delete(lock.key.name)

    def _delete(self, name: str) -> None:
        try:
            self._api.delete_key(name)
        except (ApiError, Interrupted):
            return  # it expires, and whoever takes the lock next removes it


WAY_OUT = (
    "wait for it, or give --lock-timeout; if its holder is dead, delete the key keyform-lock-{stack}-e… in the portal"
)


def describe_holder(stack: str, locks: list[Holding]) -> str:
    """Who has the lock, and until when."""
    if not locks:
        return f"The lock of stack {stack} could not be taken: others keep taking it."
    lock = locks[-1]
    until = f", until {lock.key.expires_at:%Y-%m-%dT%H:%M:%SZ} at the latest" if lock.key.expires_at else ""
    return f"The stack {stack} is locked by {lock.holder}{until}."


def read_lock(key: LiveKey, stack: str) -> Holding | None:
    """A live key as a lock of this stack, if it is one. One without a readable holder still keeps others out."""
    lock = read_lock_name(key.name)
    if lock is None or lock[0] != stack:
        return None
    text = _HOLDER.search(key.text)
    return Holding(key, lock[1], text["nonce"] if text else "", text["holder"] if text else "somebody")
