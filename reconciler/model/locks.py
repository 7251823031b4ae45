"""Locks as `keyform unlock` finds them: who keeps other applies of a stack out, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class LockOf(StrEnum):
    """What a lock is for."""

    STACK = "stack"
    """One apply of the stack at a time."""
    LISTS = "lists"
    """One writer of the project's lists of keys at a time, whichever stack it is of."""
    FILE = "file"
    """One apply of the stack at a time on this machine: the lock file."""


class HolderState(StrEnum):
    """Whether the process that holds a lock still runs."""

    RUNS = "runs"
    """A process of its number runs on this machine."""
    ENDED = "ended"
    """It was a process of this machine, and there is none of its number."""
    UNKNOWN = "unknown"
    """It is on another machine, or does not say where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLock:
    """One lock. `name` is that of the live key, or the path of the lock file; `id` the live key's (`""` for a file).

    `stack` is that of the run which holds it (`""`: a lock of the lists does not say). `is_held`: it keeps other runs
    out; otherwise it has expired, and the next apply removes it. `hindrance` says why `keyform unlock --release` does
    not delete it, with `way_out`; both are empty where it does. `nonce` tells this lock from a later one of its name.
    """

    of: LockOf
    name: str
    id: str = ""
    stack: str
    holder: str
    since: datetime | None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    nonce: str = ""
    is_held: bool
    holder_state: HolderState = HolderState.UNKNOWN
    hindrance: str = ""
    way_out: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockReport:
    """All locks that concern a stack at an instant, and those of `others`, which keep it out of nothing.

    `kind` is the lock that the file declares.
    """

    stack: str
    project: int
    kind: str
    now: datetime
    locks: tuple[FoundLock, ...] = ()
    others: tuple[FoundLock, ...] = ()

    @property
    def is_locked(self) -> bool:
        """Whether something keeps an apply of the stack out."""
        return any(lock.is_held for lock in self.locks)
