"""How many requests are in flight at once, and when the next may go: one gate that all requests of a client pass.

The API's limits are unpublished [U]; what it accepts is learnt from its answers. One that asks for fewer requests (429,
503) does three things, whoever was refused:

- It halves how many may be in flight; every answer that was let through counts towards one more, as in TCP.
- Nothing is sent before the instant that its `Retry-After` names, or for a moment if it names none.
- From then on requests keep a distance: as many a second are sent as got through since the refusal before. It
  shrinks while nothing is refused. Without it, a limit of 10 a second would refuse two of each request (one in flight
  is already more than that), and every refusal would cost all of them a pause.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reconciler.effects import Effects

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0
"""Seconds without a request after a refusal; doubled with each round in which nothing gets through."""
LONGEST_RETRY_AFTER = 60.0
"""Seconds; a longer `Retry-After` is cut to this."""
PATIENCE = 75.0
"""Seconds of refusals with nothing let through between them, after which the API counts as closed: limits per minute
are common, and pass within this time.
"""
LONGEST_DISTANCE = 0.5
"""Seconds; a longer distance comes from idleness rather than from a limit."""
SHORTEST_DISTANCE = 0.002
"""Seconds; a shorter one is not worth a wait."""
FASTER, FASTER_AFTER = 0.9, 10
"""The factor of the distance, each time that so many requests got through."""


def backoff(number: int, chance: float) -> float:
    """Seconds before the attempt after the `number`th: doubled each time, half of it random."""
    longest: float = min(FIRST_PAUSE * 2.0 ** min(number - 1, 10), LONGEST_PAUSE)
    return longest * (0.5 + chance / 2)


class Pace:
    """What the API accepts, as learnt from its answers. Time is an argument, in seconds; not safe between threads."""

    def __init__(self, most: int) -> None:
        self.most = max(1, most)
        self.limit = self.most
        """How many requests may be in flight."""
        self.distance = 0.0
        """Seconds between the beginnings of two requests."""
        self.not_before = 0.0
        """The instant before which nothing is sent; zero if the API has refused nothing, or not for long."""
        self.round = 0
        """Raised by every refusal of a request that was sent since the last one: those sent together report nothing
        new.
        """
        self.rounds_in_vain = 0
        self._shut_until = 0.0
        self._in_vain_since = 0.0
        self.let_through = 0
        """How many requests were let through so far."""
        self._towards_more = 0
        self._towards_faster = 0
        self._counted_since: float | None = None
        self._counted = 0

    def pause(self, now: float) -> float:
        """Seconds until the next request may be sent, to the microsecond: a shorter wait would never end."""
        return max(0.0, round(self.not_before - now, 6))

    def is_shut(self, now: float) -> bool:
        """Whether the API has refused everything for a while, so that waiting for it is no use."""
        return now < self._shut_until

    def note_sent(self, now: float) -> None:
        """A request is sent."""
        self.not_before = now + self.distance if self.distance else 0.0

    def note_passed(self, sent_in: int) -> bool:
        """A request that was sent in this round got through; returns whether one more may be in flight from now on."""
        self.let_through += 1
        self._counted += 1
        if sent_in != self.round:
            return False
        self.rounds_in_vain = 0
        self._shut_until = 0.0
        self._come_closer()
        if self.limit == self.most:
            return False
        self._towards_more += 1
        if self._towards_more < self.limit:
            return False
        self._towards_more = 0
        self.limit += 1
        return True

    def note_refused(
        self, sent_in: int, now: float, *, too_often: bool, retry_after: float | None, chance: float
    ) -> bool:
        """A request that was sent in this round was refused; returns whether that begins a new one.

        `too_often`: by a limit (429), not because the server was overloaded (503).
        """
        is_new = sent_in == self.round
        if is_new:
            self._begin_round(now)
            if too_often:
                self._keep_distance(now)
        if is_new or retry_after is not None:
            asked = min(retry_after or 0.0, LONGEST_RETRY_AFTER)
            self.not_before = max(self.not_before, now + asked + backoff(self.rounds_in_vain or 1, chance))
        if self.rounds_in_vain and now - self._in_vain_since >= PATIENCE:
            self._shut_until = self.not_before
        return is_new

    def _come_closer(self) -> None:
        if not self.distance:
            return
        self._towards_faster += 1
        if self._towards_faster == FASTER_AFTER:
            self._towards_faster = 0
            self.distance *= FASTER
        if self.distance < SHORTEST_DISTANCE:
            self.distance = 0.0

    def _begin_round(self, now: float) -> None:
        self.round += 1
        if not self.rounds_in_vain:
            self._in_vain_since = now
        self.rounds_in_vain += 1
        self._towards_more = self._towards_faster = 0
        self.limit = max(1, self.limit // 2)

    def _keep_distance(self, now: float) -> None:
        # The rate since the last refusal, pauses included, is what the API accepts permanently.
        span = PATIENCE if self._counted_since is None else now - self._counted_since
        if self._counted and span < PATIENCE:
            self.distance = min(span / self._counted, LONGEST_DISTANCE)
        self._counted_since, self._counted = now, 0


class Place:
    """One request's place among those in flight."""

    def __init__(self, gate: Gate, sent_in: int) -> None:
        self._gate = gate
        self._sent_in = sent_in

    def passed(self) -> None:
        """The API let the request through, whatever it answered."""
        self._gate.note_passed(self._sent_in)

    def refused(self, retry_after: float | None, *, too_often: bool) -> float:
        """The API asked for fewer requests (`too_often`: 429); returns in how many seconds the next may be sent."""
        return self._gate.note_refused(self._sent_in, retry_after, too_often=too_often)


class Shut(Exception):
    """The API has refused everything for a while; this request was not sent. `seconds` is how long nothing is sent."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"shut for {seconds:.1f}s")
        self.seconds = seconds


class Gate:
    """Lets requests through at the API's pace, in their order. Safe between threads.

    Waiting for another request to end is a wait within the process. Waiting for an instant is an effect, and so is
    whatever it raises: `Interrupted` comes through. With one worker there is nobody to wait for.
    """

    def __init__(self, workers: int, effects: Effects, tell: Callable[[str, float, int], None]) -> None:
        """`tell` gets a sentence when the pace changes, the seconds until the next request may be sent, and how many
        may be in flight.
        """
        self._effects = effects
        self._tell = tell
        self._guard = threading.Lock()
        self._pace = Pace(workers)
        self._in_flight: set[int] = set()
        # The tickets that wait, the lowest first; only the first is woken.
        self._line: list[int] = []
        self._bells: dict[int, threading.Condition] = {}
        self._tickets = itertools.count(1)

    def draw_ticket(self) -> int:
        """A number that keeps a request's place in line, even when it is sent again. Not for two at the same time."""
        return next(self._tickets)

    @contextmanager
    def place(self, ticket: int) -> Iterator[Place]:
        """A place among the requests in flight, once there is one, until the end of the `with` block. Raises Shut."""
        try:
            yield Place(self, self._enter(ticket))
        finally:
            self._leave(ticket)

    @property
    def let_through(self) -> int:
        """How many requests were let through so far."""
        with self._guard:
            return self._pace.let_through

    def is_shut(self) -> bool:
        """Whether the API has refused everything for a while, so that waiting for it is no use."""
        with self._guard:
            return self._pace.is_shut(self._effects.monotonic())

    def note_passed(self, sent_in: int) -> None:
        """See `Place.passed`."""
        with self._guard:
            has_grown, limit = self._pace.note_passed(sent_in), self._pace.limit
        if has_grown:
            again = " again" if limit == self._pace.most else ""
            self._tell(f"The API takes {limit} requests in flight{again}.", 0.0, limit)

    def note_refused(self, sent_in: int, retry_after: float | None, *, too_often: bool) -> float:
        """See `Place.refused`."""
        chance = self._effects.random()
        with self._guard:
            before, now = self._pace.limit, self._effects.monotonic()
            is_new = self._pace.note_refused(sent_in, now, too_often=too_often, retry_after=retry_after, chance=chance)
            after, pause = self._pace.limit, self._pace.pause(now)
        if is_new:
            limit = f"{before} -> {after}" if after != before else f"{after}"
            self._tell(
                f"The API asks for fewer requests: at most {limit} in flight, next in {pause:.1f}s.", pause, after
            )
        return pause

    def _enter(self, ticket: int) -> int:
        """Wait for this ticket's turn; returns the round in which its request is sent."""
        with self._guard:
            heapq.heappush(self._line, ticket)
            try:
                self._await_turn(ticket)
                self._in_flight.add(ticket)
                return self._pace.round
            finally:
                self._bells.pop(ticket, None)
                self._line.remove(ticket)
                heapq.heapify(self._line)
                self._call_first()

    def _await_turn(self, ticket: int) -> None:
        """Return when it is this ticket's turn. Holds the guard, but not while it waits."""
        while True:
            now = self._effects.monotonic()
            pause = self._pace.pause(now)
            if self._pace.is_shut(now):
                raise Shut(pause)
            if self._line[0] != ticket or len(self._in_flight) >= self._pace.limit:
                self._bells.setdefault(ticket, threading.Condition(self._guard)).wait()
            elif pause:
                self._sleep(pause)
            else:
                self._pace.note_sent(now)
                return

    def _sleep(self, seconds: float) -> None:
        self._guard.release()
        try:
            self._effects.sleep(seconds)
        finally:
            self._guard.acquire()

    def _leave(self, ticket: int) -> None:
        with self._guard:
            self._in_flight.discard(ticket)
            self._call_first()

    def _call_first(self) -> None:
        """Wake the first in line, if it waits for its turn."""
        bell = self._bells.get(self._line[0]) if self._line else None
        if bell is not None:
            bell.notify()
