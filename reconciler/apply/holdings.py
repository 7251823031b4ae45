"""Which locks exist, and how each is named, read and described: those that are live keys, and the lock file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.apply.numbers import count_on
from reconciler.effects import Effects
from reconciler.errors import ApiError, Forbidden, KeyformError, QuotaReached
from reconciler.model import LISTS, FoundLock, LiveKey, LockOf, read_lock_name, shift

LIFETIME = timedelta(minutes=10)
"""How long a lock lasts unless it is renewed, which happens at half of it."""
GRACE = timedelta(minutes=1)
"""How long after its expiry a lock still counts: two estimates of the API's clock may differ by a second."""
LAST_NUMBER = 99_999_999
"""No lock has a larger number: its name would not be read as that of a lock."""
LONGEST_HOLDER = 150
"""Characters of a holder that are shown: anyone can create a lock in the portal."""

SEE_UNLOCK = "`keyform unlock` shows who holds it, and releases it if its holder is dead"
"""The way out of a lock that somebody has."""
_NOTE = re.compile(r"held by (?P<holder>.{1,150}) since (?P<since>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)", re.ASCII)
_STACK = re.compile(r" for stack (?P<stack>[a-z0-9-]+)$")
_SINCE = re.compile(r" since (?P<since>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\b", re.ASCII)
_HOLDER = re.compile(r"held by (?P<holder>.*?) since ")
_NONCE = re.compile(r"\bkeyform-lock (?P<nonce>[0-9a-f]+)\b")
"""Read separately from everything else: a server may escape, trim or fold the text around it, which others write."""


def minute_of(now: datetime) -> int:
    """The minute, counted from 1970: a number that a lock has not had before."""
    return int(now.timestamp() // 60)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a lock is for: the name in its live name, and its words in messages."""

    name: str
    lock: str
    """`The lock of stack prod`."""
    is_held: str
    """`The stack prod is locked by`; the holder follows."""
    waiting: str
    """`waiting for the lock, held by`; the holder follows."""
    longest_wait: float
    """Seconds between two looks at another run's lock, about."""

    @classmethod
    def of_stack(cls, stack: str) -> Scope:
        """One apply of a stack at a time."""
        return cls(
            stack,
            f"The lock of stack {stack}",
            f"The stack {stack} is locked by",
            "waiting for the lock, held by",
            10.0,
        )

    @classmethod
    def of_lists(cls, project: int) -> Scope:
        """One writer of the lists of keys of a project's endpoints at a time, from any stack."""
        return cls(
            LISTS,
            f"The lock of the lists of keys in project {project}",
            f"The lists of keys in project {project} are locked by",
            "waiting for the lock of the lists of keys, held by",
            3.0,
        )

    @property
    def way_out(self) -> str:
        """What to do about another holder."""
        return f"wait, or use --lock-timeout; {SEE_UNLOCK}"

    def first_number(self, now: datetime) -> int:
        """The number of a lock if none is left.

        Any stack may delete an expired lock of the lists, a moment after it has seen it. So no name comes back: the
        number is that of the minute, and there are enough of those until 2160.
        """
        return minute_of(now) if self.name == LISTS else 1

    @staticmethod
    def numbers(first: int, now: datetime, chance: Callable[[], float]) -> Iterator[int]:
        """The numbers to try: the first, that of the minute, and greater ones; for `chance` see `count_on`.

        An API may reserve the names of deleted keys [U], and each earlier lock has left one behind.
        """
        yield first
        yield from count_on(max(first + 1, minute_of(now)), chance)


@dataclass(frozen=True, slots=True)
class Holding:
    """One live lock."""

    key: LiveKey
    number: int
    nonce: str
    holder: str
    stack: str
    """The stack whose run holds it; `""` where a lock of the lists does not say."""
    since: datetime
    """When its holder took it: renewing it does not change that."""

    def counts(self, now: datetime) -> bool:
        """Whether it still keeps others out."""
        return self.key.expires_at is None or now < shift(self.key.expires_at, GRACE)

    @property
    def is_one(self) -> bool:
        """Whether it was created as locks are: only then is it deleted, whatever the name of a key in the portal."""
        expires_at = self.key.expires_at
        return bool(self.nonce) and expires_at is not None and expires_at <= shift(self.key.created_at, 2 * LIFETIME)


def read_lock(key: LiveKey, name: str) -> Holding | None:
    """A live key as a lock of this stack, or of the lists. One without a readable holder still keeps others out."""
    lock = read_lock_name(key.name)
    if lock is None or lock[0] != name:
        return None
    text, nonce, stack = _HOLDER.search(key.text), _NONCE.search(key.text), name
    holder = text["holder"] if text else ""
    if name == LISTS:
        said = _STACK.search(holder)
        stack = said["stack"] if said else ""
    return Holding(
        key,
        lock[1],
        nonce["nonce"] if nonce else "",
        holder[:LONGEST_HOLDER] or "somebody",
        stack=stack,
        since=_read_since(key),
    )


def _read_since(key: LiveKey) -> datetime:
    """The instant in the description, where it is one at which the holder may have taken the lock."""
    match = _SINCE.search(key.text)
    try:
        since = datetime.fromisoformat(match["since"]) if match else key.created_at
    except ValueError:
        return key.created_at
    return min(since, key.created_at)


def describe_holder(scope: Scope, locks: list[Holding]) -> str:
    """Who has the lock, and until when."""
    if not locks:
        return f"{scope.lock} could not be acquired: other runs keep acquiring it."
    lock = locks[-1]
    until = f", until {lock.key.expires_at:%Y-%m-%dT%H:%M:%SZ} at the latest" if lock.key.expires_at else ""
    return f"{scope.is_held} {lock.holder}{until}."


def describe_left(scope: Scope, name: str, expires_at: datetime, why: str) -> str:
    """What happens to a lock that was not seen gone."""
    until = shift(expires_at, GRACE)
    return (
        f"{scope.lock} may still exist. {why} If so, it blocks other runs until"
        f" {until:%Y-%m-%dT%H:%M:%SZ}, or until `keyform unlock --release` deletes the key {name}."
    )


def describe_refusal(scope: Scope, error: ApiError) -> ApiError:
    """Why there is no lock; if a quota or a role forbids it, with another kind of lock as the way out."""
    if not isinstance(error, Forbidden | QuotaReached):
        return error
    return type(error)(
        f"{scope.lock} could not be acquired. {error.message}",
        way_out=f"{error.way_out} Or use another lock: `lock: {{type: file}}`.",
        status=error.status,
        request_id=error.request_id,
    )


def find_file_lock(path: Path, stack: str, effects: Effects) -> Iterable[FoundLock]:
    """The lock file, where a process holds it. One that nobody holds is no lock: it ends with its process."""
    try:
        effects.stat(path)
        handle = effects.try_lock_file(path)
        note = _NOTE.match(effects.first_bytes(path).decode("ascii", "replace")) if handle is None else None
    except FileNotFoundError:
        return
    except OSError as error:
        raise KeyformError(
            f"The lock file {path} cannot be looked at: {error.strerror or type(error).__name__}.",
            way_out="check `lock.path` in the file, and who may read that path",
        ) from None
    if handle is not None:
        effects.unlock_file(handle)
        return
    since = None
    if note:
        try:
            since = datetime.fromisoformat(note["since"])
        except ValueError:
            since = None
    yield FoundLock(
        of=LockOf.FILE,
        name=str(path),
        stack=stack,
        holder=note["holder"] if note else "somebody",
        since=since,
        is_held=True,
    )
