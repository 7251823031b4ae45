"""One apply at a time: what a lock is, and the kinds that need no API (for that one see api_lock.py)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC
from pathlib import Path
from typing import Self

from reconciler.api import Fence
from reconciler.apply.holdings import SEE_UNLOCK
from reconciler.effects import Effects
from reconciler.errors import LockHeld, LockLost

FIRST_WAIT = 1.0
"""Seconds before keyform asks again for another run's lock."""


def never() -> None:
    """Do nothing meanwhile."""


class Lock(Fence, ABC):
    """What keeps two applies of one stack apart, and fences their writes."""

    def for_lists(self, project: int) -> Lock | None:  # noqa: ARG002 - only one kind of lock has another beside it
        """The lock that the stacks of a project share while they write lists of keys; None if there is none.

        Only the API can keep stacks apart that run on different machines. If it should not hold a lock for the stack,
        it does not hold this one either.
        """
        return None

    @contextmanager
    def held(self, *, timeout: float = 0.0, meanwhile: Callable[[], None] = never) -> Iterator[Self]:
        """Hold it for a block, waiting at most `timeout` seconds. Raises LockHeld, naming the holder.

        `meanwhile` is called before each wait, and ends it by raising.
        """
        try:
            self.acquire(timeout=timeout, meanwhile=meanwhile)
            yield self
        finally:
            self.release()

    @abstractmethod
    def acquire(self, *, timeout: float, meanwhile: Callable[[], None] = never) -> None:
        """Take it, waiting at most `timeout` seconds; see `held`. Raises LockHeld, naming the holder."""

    @abstractmethod
    def release(self) -> None:
        """Release it. What cannot be released expires, and the user gets a message with the time."""

    @abstractmethod
    def sweep(self) -> None:
        """Remove what dead processes left of it, without taking it."""


class NoLock(Lock):
    """No lock at all: the user makes sure that only one apply runs."""

    def acquire(self, *, timeout: float, meanwhile: Callable[[], None] = never) -> None:
        """Nothing."""

    def check(self) -> None:
        """Nothing."""

    def hold(self) -> None:
        """Nothing."""

    def keep_alive(self) -> None:
        """Nothing."""

    def release(self) -> None:
        """Nothing."""

    def sweep(self) -> None:
        """Nothing."""


class Locks(Lock):
    """Several locks as one: that of a stack, and those of the names that it had before."""

    def __init__(self, first: Lock, *others: Lock) -> None:
        self._locks = (first, *others)

    def for_lists(self, project: int) -> Lock | None:
        """That of the first."""
        return self._locks[0].for_lists(project)

    def acquire(self, *, timeout: float, meanwhile: Callable[[], None] = never) -> None:
        """Take all of them, one after the other; `held` gives them back where one is not to be had."""
        for lock in self._locks:
            lock.acquire(timeout=timeout, meanwhile=meanwhile)

    def check(self) -> None:
        """Check each."""
        for lock in self._locks:
            lock.check()

    def hold(self) -> None:
        """Each outlasts a request."""
        for lock in self._locks:
            lock.hold()

    def keep_alive(self) -> None:
        """Each is renewed when that is due."""
        for lock in self._locks:
            lock.keep_alive()

    def release(self) -> None:
        """Give all of them back, the last one first."""
        with ExitStack() as stack:
            for lock in self._locks:
                stack.callback(lock.release)

    def sweep(self) -> None:
        """Remove what dead processes left of each."""
        for lock in self._locks:
            lock.sweep()


class FileLock(Lock):
    """A lock file on this machine, which ends with the process that holds it; the file names its `holder`."""

    def __init__(self, path: Path, effects: Effects, *, holder: str = "somebody") -> None:
        self._path = path
        self._effects = effects
        self._note = f"held by {holder} since "
        self._handle: int | None = None
        self._identity: tuple[int, int] | None = None

    def acquire(self, *, timeout: float, meanwhile: Callable[[], None] = never) -> None:
        """Raises LockHeld if another process has it for longer than the timeout."""
        deadline = self._effects.monotonic() + timeout
        while (handle := self._effects.try_lock_file(self._path, self._say())) is None:
            left = deadline - self._effects.monotonic()
            if left <= 0:
                raise LockHeld(
                    f"Another keyform holds the lock file {self._path}.",
                    way_out=f"wait for it, or give --lock-timeout; {SEE_UNLOCK}",
                )
            meanwhile()
            self._effects.sleep(min(FIRST_WAIT, left))
        self._handle = handle
        self._identity = self._identify()

    def check(self) -> None:
        """The kernel holds the file for us; that is a lock as long as others find the same file at its path."""
        if self._identity is None or self._identify() != self._identity:
            raise LockLost(
                f"The lock file {self._path} was removed or replaced: another run may have one of its own.",
                way_out="put it where nothing clears it away, and run apply again",
            )

    def hold(self) -> None:
        """It does not expire."""
        self.check()

    def keep_alive(self) -> None:
        """It does not expire."""

    def release(self) -> None:
        """Release it."""
        if self._handle is not None:
            self._effects.unlock_file(self._handle)
            self._handle = self._identity = None

    def sweep(self) -> None:
        """The file stays: without it, two processes could lock two different files of that name."""

    def _say(self) -> str:
        return f"{self._note}{self._effects.now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}\n"

    def _identify(self) -> tuple[int, int] | None:
        try:
            found = self._effects.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino
