"""The lock that is the API itself, so that there is nothing to set up.

A lock is a live key that opens nothing, with a name that only one caller can create, an `expires_at` some minutes
ahead, and a description that names its holder:

    keyform-lock-inference-prod-e1    held by ci@runner-7 since 2026-11-21T10:00:00Z [keyform-lock 8f3a…]

Taking it: check that the stack has no unexpired lock; create the next number (one caller succeeds); look again, and
release it if there is another one after all. A stale lock is never deleted before its successor exists, so two runs
that take it over together cannot both continue: each looks after its create, and at least one sees the other.

Releasing it: every lock that a run has created, or may have created, is known by name before its create is sent, so
that not even an interrupted create leaves one behind. When the API asks for fewer requests, the run waits its turn for
a while. A lock that cannot be released expires, and the run reports when.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TypeGuard

from reconciler.api import Api
from reconciler.apply.holdings import (
    GRACE,
    LAST_NUMBER,
    LIFETIME,
    Holding,
    Scope,
    describe_holder,
    describe_left,
    describe_refusal,
    read_lock,
)
from reconciler.apply.lock import FIRST_WAIT, Lock, never
from reconciler.effects import Effects
from reconciler.errors import (
    ApiError,
    ApiFailed,
    Conflict,
    Interrupted,
    LockHeld,
    LockLost,
    NotKept,
    QuotaReached,
    RateLimited,
)
from reconciler.model import LISTS, LiveKey, lock_name, shift, tell_apart

__all__ = ["GRACE", "LAST_NUMBER", "LIFETIME", "ApiLock"]

GIVING_BACK = 75.0
"""Seconds that releasing the lock may wait for its turn: longer than any pause that the API's pace leads to."""
MAY_BE_LATE = timedelta(seconds=2)
"""How long after its create was sent a missing lock may still appear."""
LONGEST_REQUEST = 60.0
"""Seconds that a request may take at most (`--request-timeout`)."""
NO_ROOM = 30.0
"""Seconds before the next attempt to renew the lock after a quota of keys was used up."""
TRIES = 12
"""How many numbers are tried if the API refuses names that no key has."""
REFUSALS = 5
"""How often the API may refuse the release because of a rate limit alone."""

RELEASED = "somebody released it, or took it over"
ANOTHER_LOCK = "declare another lock, `lock: {type: file}`, or report it to Gcore"


class ApiLock(Lock):
    """The lock that is a live key. `holder` is shown to runs that wait for the lock, and in the portal."""

    def __init__(
        self,
        api: Api,
        effects: Effects,
        *,
        stack: str,
        holder: str,
        request_limit: float = LONGEST_REQUEST,
        tell: Callable[[str], None] = lambda _: None,
        scope: Scope | None = None,
    ) -> None:
        """`request_limit` is how many seconds a request may take at most, with its answer; `scope` is the stack by
        default.
        """
        self._api = api
        self._effects = effects
        self._stack = stack
        self._scope = scope or Scope.of_stack(stack)
        self._holder = holder
        self._tell = tell
        self._nonce = f"{int(effects.random() * 16**12):012x}"
        self._request_limit = request_limit
        self._own: LiveKey | None = None
        self._since = api.now()
        self._number = 0
        self._lives_until = 0.0
        """By a clock that keeps running while the machine sleeps: until then no other run takes our lock over."""
        self._is_lost = False
        self._renews_from = 0.0
        """By the monotonic clock: the lock is not renewed before this, after a quota was used up."""
        self._unused = 0
        """If the API reserves names: the first number that this run has not tried yet; else zero."""
        self._to_give_back: dict[str, datetime] = {}
        """The locks that this run holds, or may hold, with their expiry, by name: from before the create until seen
        gone.
        """
        self._guard = threading.RLock()

    def for_lists(self, project: int) -> ApiLock:
        """The lock that all stacks share while they write lists of keys."""
        return ApiLock(
            self._api,
            self._effects,
            stack=self._stack,
            holder=f"{self._holder} for stack {self._stack}",
            request_limit=self._request_limit,
            tell=self._tell,
            scope=Scope.of_lists(project),
        )

    def acquire(self, *, timeout: float, meanwhile: Callable[[], None] = never) -> None:
        """Take the lock; a stale one is taken over once it has expired."""
        deadline = self._effects.monotonic() + timeout
        wait = FIRST_WAIT
        told = ""
        while True:
            keys = self._api.list_keys()
            found = self._find(keys)
            in_force = self._others(found)
            number = 1 + max(lock.number for lock in found) if found else self._scope.first_number(self._api.now())
            self._since = self._api.now()
            if not in_force and self._take(number):
                found = self._find(self._api.list_keys())
                in_force = self._others(found)
                if not in_force:
                    self._remove_others(found)
                    self._clear_lists(keys)
                    return
                self.release()
            left = deadline - self._effects.monotonic()
            if left <= 0:
                raise LockHeld(describe_holder(self._scope, in_force), way_out=self._scope.way_out)
            if in_force and in_force[0].holder != told:
                told = in_force[0].holder
                self._tell(f"{self._scope.waiting} {told}")
            meanwhile()
            self._effects.sleep(min(wait * (0.5 + self._effects.random()), left))
            wait = min(wait * 1.5, self._scope.longest_wait)

    def check(self) -> None:
        """Check that the lock is live, held by this run, and has time left; renew it after half its lifetime."""
        with self._guard:
            if self._own is None:
                raise self._lost("it was given back")
            live = self._api.get_key(self._own.id)
            if live is None or not self._made_by_us(live):
                other = read_lock(live, self._scope.name) if live is not None else None
                is_altered = live is not None and live.created_at == self._own.created_at
                is_altered = is_altered and not (other and other.nonce)
                raise self._lost("its description was changed" if is_altered else RELEASED)
            self.keep_alive()

    def hold(self) -> None:
        """Check that no other run can take the lock over before a request that is sent now has its answer.

        It makes no request and never waits: the caller may be a request that has the last place at the API's gate,
        while a renewal in another thread waits for that place.
        """
        own = self._own
        limit = timedelta(seconds=self._request_limit)
        is_late = self._effects.monotonic() + self._request_limit >= self._lives_until
        if own is None or own.expires_at is None or is_late or own.expires_at - self._api.now() <= limit:
            raise self._lost("it expires too soon for another request")

    def keep_alive(self) -> None:
        """Renew by creating the next lock and then deleting this one: an expiry cannot be changed [D].

        A lock that somebody released is not renewed: its successor would have another number than the lock of the run
        that took its place, and each of the two would find its own.
        """
        with self._guard:
            if self._own is None or self._own.expires_at is None:
                return
            lives = timedelta(seconds=self._lives_until - self._effects.monotonic())
            left = min(self._own.expires_at - self._api.now(), lives)
            if left <= timedelta(0):
                raise self._lost("it expired")
            if left > LIFETIME / 2 or self._effects.monotonic() < self._renews_from:
                return
            old = self._own
            live = self._api.get_key(old.id)
            if live is None or not self._made_by_us(live):
                raise self._lost(RELEASED)
            try:
                is_ours = self._take(self._number + 1)
            except QuotaReached:
                # A project that is full has no room for two locks: this one holds until it expires.
                self._renews_from = self._effects.monotonic() + NO_ROOM
                return
            if not is_ours or self._others(self._find(self._api.list_keys())):
                self._own = None
                raise self._lost("somebody took it over")
            if self._delete(old):
                self._to_give_back.pop(old.name, None)  # otherwise it is tried again at the end

    def release(self) -> None:
        """Delete the lock, and any other of this run that may be live; report each that is left to expire."""
        with self._guard:
            deadline = self._effects.monotonic() + GIVING_BACK if self._to_give_back else 0.0
            for name, expires_at in list(self._to_give_back.items()):
                why = "Interrupted."
                try:
                    why = self._give_back(name, expires_at, deadline)
                finally:
                    if why:
                        self._tell(describe_left(self._scope, name, expires_at, why))
                del self._to_give_back[name]
            self._own = None

    def sweep(self) -> None:
        """Delete expired locks: a run that died after its last change left one, and the lock may never be
        taken again.
        """
        keys = self._api.list_keys()
        found = self._find(keys)
        in_force = self._others(found)
        for lock in found:
            if lock not in in_force and lock.is_one:
                self._delete(lock.key)
        self._clear_lists(keys)

    def _give_back(self, name: str, expires_at: datetime, deadline: float) -> str:
        """Delete a lock, if this run holds it; returns why it stays, or nothing if it is gone."""
        refusals = 0
        while True:
            try:
                if ours := self._find_ours(name, expires_at):
                    self._api.delete_key(ours.id)
            except Interrupted as error:
                return error.message
            except ApiError as error:
                left = deadline - self._effects.monotonic()
                refusals += error.status is not None
                if not _asks_to_wait(error) or refusals == REFUSALS or left <= 0:
                    return error.message
                try:
                    self._effects.sleep(min(error.retry_after or 0.0, left))
                except Interrupted as interrupted:
                    return interrupted.message
            else:
                return ""

    def _find_ours(self, name: str, expires_at: datetime) -> LiveKey | None:
        """A lock, if this run may delete it: once it was lost, or never confirmed, another run may have its name."""
        own = self._own
        if own is not None and own.name == name and not self._is_lost and self._api.now() < expires_at:
            return own
        live = self._api.find_key(name)
        late = MAY_BE_LATE - (self._api.now() - shift(expires_at, -LIFETIME))
        if live is None and late > timedelta(0):
            self._effects.sleep(late.total_seconds())
            live = self._api.find_key(name)
        return live if live is not None and self._made_by_us(live) else None

    def _made_by_us(self, live: LiveKey) -> bool:
        lock = read_lock(live, self._scope.name)
        return lock is not None and lock.nonce == self._nonce

    def _lost(self, why: str) -> LockLost:
        self._is_lost = True
        return LockLost(f"{self._scope.lock} is no longer ours: {why}.", way_out="run apply again")

    def _find(self, keys: Sequence[LiveKey]) -> list[Holding]:
        """Every lock of this scope, the newest last."""
        found = [lock for key in keys if (lock := read_lock(key, self._scope.name)) is not None]
        return sorted(found, key=lambda lock: lock.number)

    def _clear_lists(self, keys: Sequence[LiveKey]) -> None:
        """Delete expired locks of the lists, too: the next run that writes lists may be a long time off."""
        if self._scope.name != LISTS:
            now = self._api.now()
            for lock in (found for key in keys if (found := read_lock(key, LISTS)) is not None):
                if lock.is_one and not lock.counts(now):
                    self._delete(lock.key)

    def _others(self, found: list[Holding]) -> list[Holding]:
        """The lock that keeps this run out; a leftover of this run's lost answers does not count."""
        now = self._api.now()
        return [lock for lock in found if lock.nonce != self._nonce and lock.counts(now)]

    def _take(self, number: int) -> bool:
        """Create the lock of this number, and return whether this run holds it now.

        If the API refuses the name and shows no key with it, a later number is tried: the name may be reserved for a
        deleted lock [U].
        """
        numbers = self._scope.numbers(max(number, self._unused), self._api.now(), self._effects.random)
        for each in islice(numbers, TRIES):
            try:
                is_ours = self._create(each)
            except Conflict:
                if self._api.find_key(lock_name(self._scope.name, each)) is not None:
                    return False
                self._unused = each + 1
            else:
                if self._unused:
                    self._unused = each + 1
                return is_ours
        return False

    def _create(self, number: int) -> bool:
        """Whether this run now holds this number. Raises Conflict if the name is taken."""
        if number > LAST_NUMBER:
            raise LockHeld(
                f"{self._scope.lock} has no number left: the key {lock_name(self._scope.name, number - 1)} has"
                " taken the last one.",
                way_out="delete that key in the portal",
            )
        name, now = lock_name(self._scope.name, number), self._api.now()
        since = self._since.astimezone(UTC)
        text = f"held by {self._holder} since {since:%Y-%m-%dT%H:%M:%SZ} [keyform-lock {self._nonce}]"
        expires_at = shift(now, LIFETIME).replace(microsecond=0)
        lives_until = self._effects.monotonic() + (LIFETIME - timedelta(seconds=1)).total_seconds()
        is_new = name not in self._to_give_back
        self._to_give_back[name] = expires_at
        try:
            self._own = self._api.create_key(name, text, expires_at).key
        except ApiError as error:
            if not error.effect_is_unknown:
                if is_new:
                    del self._to_give_back[name]
                if isinstance(error, Conflict):
                    raise
                raise describe_refusal(self._scope, error) from None
            live = self._api.find_key(name)
            if live is None or not self._made_by_us(live):
                return False
            self._own = live
        self._number = number
        self._lives_until = lives_until
        self._is_lost = False
        self._require_as_asked(self._own, text, expires_at)
        return True

    def _require_as_asked(self, own: LiveKey, text: str, asked: datetime) -> None:
        """Check that the API created a lock that keeps others out, and only for a while. Otherwise, delete it.

        A lock that never expires, or only in a day, would outlive a run that dies; one that has already expired, or
        that looks like any other key, keeps no one out.
        """
        kept = own.expires_at
        now = self._api.now()
        soonest = shift(now, timedelta(seconds=self._request_limit))
        if kept is None or not soonest < kept <= shift(now, 2 * LIFETIME):
            field, wanted = "expires_at", f"{asked:%Y-%m-%dT%H:%M:%SZ}"
            found = f"{kept:%Y-%m-%dT%H:%M:%SZ}" if kept else "never"
        elif not self._made_by_us(own):
            field, (wanted, found) = "description", (f'"{each}"' for each in tell_apart(text, own.text))
        else:
            return
        lock = self._scope.lock[:1].lower() + self._scope.lock[1:]
        raise NotKept(
            f"The API made {lock} with another {field} than it was asked to (asked: {wanted}, kept: {found}).",
            way_out=ANOTHER_LOCK,
        )

    def _remove_others(self, found: list[Holding]) -> None:
        """Delete stale locks, and those that this run's lost answers left behind."""
        for lock in found:
            is_other = self._own is not None and lock.key.id != self._own.id
            if is_other and lock.is_one and self._delete(lock.key):
                self._to_give_back.pop(lock.key.name, None)

    def _delete(self, lock: LiveKey) -> bool:
        """Delete a lock that keeps no one out; returns whether it is gone."""
        try:
            self._api.delete_key(lock.id)
        except (ApiError, Interrupted):
            return False  # it expires, and the next holder of the lock removes it
        return True


def _asks_to_wait(error: ApiError) -> TypeGuard[RateLimited | ApiFailed]:
    """Whether it was refused for a rate limit (429) or overload (503): then waiting may help."""
    return isinstance(error, RateLimited) or (isinstance(error, ApiFailed) and error.status == 503)
