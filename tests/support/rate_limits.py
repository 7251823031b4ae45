"""Rate limits of an API, and a simulation of many workers that share one pace. Time is a number."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.gcore.exchange import ATTEMPTS
from reconciler.gcore.pace import Pace

LATENCY = 0.05
"""Seconds from a request to its answer."""


class Limit(Protocol):
    """Decides on a request; called in the order of time."""

    def ask(self, now: float) -> bool:
        """Whether a request is let through."""
        ...

    def retry_after(self, now: float) -> int:
        """Whole seconds until the next would be."""
        ...


@dataclass
class TokenBucket:
    """`rate` a second, and `burst` at once after a quiet time."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    since: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def ask(self, now: float) -> bool:
        """See Limit."""
        self.tokens, self.since = min(self.burst, self.tokens + (now - self.since) * self.rate), now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def retry_after(self, now: float) -> int:
        """See Limit."""
        return max(1, math.ceil((1 - self.tokens) / self.rate))


@dataclass
class Window:
    """`most` requests in each `seconds`, counted again from the end of each."""

    most: int
    seconds: float
    number: int = -1
    seen: int = 0

    def ask(self, now: float) -> bool:
        """See Limit."""
        if int(now // self.seconds) != self.number:
            self.number, self.seen = int(now // self.seconds), 0
        self.seen += 1
        return self.seen <= self.most

    def retry_after(self, now: float) -> int:
        """See Limit."""
        return max(1, math.ceil((self.number + 1) * self.seconds - now))


class NoLimit:
    """Takes everything."""

    def ask(self, now: float) -> bool:
        """See Limit."""
        return True

    def retry_after(self, now: float) -> int:
        """See Limit."""
        return 0


@dataclass
class Course:
    """What came of a simulation: seconds, refusals in all, and given up as the client would; `starts` in order."""

    seconds: float = 0.0
    refused: int = 0
    given_up: int = 0
    starts: list[float] = field(default_factory=list)


def work_at_one_pace(
    limit: Limit,
    *,
    jobs: int,
    workers: int,
    says_when: bool,
    pace: Pace | None = None,
    start: float = 0.0,
) -> Course:
    """All requests pass one gate; the oldest goes first, and comes back when it was refused."""
    pace, chance, course, now = pace or Pace(workers), random.Random(7), Course(), start
    waiting, next_job = list(range(min(workers, jobs))), min(workers, jobs)
    flying: list[tuple[float, int, int]] = []  # when the answer comes, to which job, sent in which round
    overtaken: dict[int, tuple[int, int]] = {}
    finished = 0
    while finished < jobs:
        if waiting and len(flying) < pace.limit and (not flying or now + pace.pause(now) < flying[0][0]):
            now += pace.pause(now)
            course.starts.append(now)
            pace.note_sent(now)
            heapq.heappush(flying, (now + LATENCY * (0.8 + 0.4 * chance.random()), heapq.heappop(waiting), pace.round))
            continue
        now, job, sent_in = heapq.heappop(flying)
        is_over = limit.ask(now)
        if is_over:
            pace.note_passed(sent_in)
        else:
            course.refused += 1
            wait = float(limit.retry_after(now)) if says_when else None
            pace.note_refused(sent_in, now, too_often=True, retry_after=wait, chance=chance.random())
            times, seen = overtaken.get(job, (0, -1))
            overtaken[job] = (times + (seen != pace.let_through), pace.let_through)
            is_over = overtaken[job][0] >= ATTEMPTS or pace.is_shut(now)
            course.given_up += is_over
        if is_over:
            finished += 1
            if next_job < jobs:
                heapq.heappush(waiting, next_job)
                next_job += 1
        else:
            heapq.heappush(waiting, job)
    course.seconds = now - start
    return course
