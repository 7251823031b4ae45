"""Many processes on one clock: each runs until it waits, and the first to wake continues.

Each process has a separate thread, and only one of them runs at a time. A request takes a moment before and after it
arrives, so that those of several processes interleave; a seed decides how. Time passes only while all of them wait.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections.abc import Callable
from datetime import datetime

import httpx

from reconciler.effects import System
from reconciler.emulator import Emulator, VirtualClock
from support.http_fakes import ask_emulator

PATIENCE = 60.0
"""Seconds of real time after which a process that does not wait is stuck."""
LONGEST_TRIP = 0.3
"""Seconds that a request, or its answer, is on its way at most."""


class Stage:
    """The clock that several processes share."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._waiting: list[tuple[datetime, int, threading.Event]] = []
        self._order = itertools.count()
        self._back = threading.Event()
        self._failures: list[BaseException] = []

    def run(self, *processes: tuple[float, Callable[[], None]]) -> None:
        """Start each process after so many seconds, and let all come to their end; the first failure is raised."""
        threads = []
        for begins, process in processes:
            go = self._wake_in(begins)
            threads.append(threading.Thread(target=self._begin, args=(process, go), daemon=True))
        for thread in threads:
            thread.start()
        while self._waiting:
            at, _, go = heapq.heappop(self._waiting)
            self.clock.advance(max(0.0, (at - self.clock.now()).total_seconds()))
            go.set()
            assert self._back.wait(PATIENCE), "a process neither waits nor ends"
            self._back.clear()
        for thread in threads:
            thread.join(PATIENCE)
        if self._failures:
            raise self._failures[0]

    def wait(self, seconds: float) -> None:
        """Let the others run for so long; called by the process that runs."""
        go = self._wake_in(seconds)
        self._back.set()
        assert go.wait(PATIENCE), "no other process waits or ends"

    def _begin(self, process: Callable[[], None], go: threading.Event) -> None:
        go.wait(PATIENCE)
        try:
            process()
        except BaseException as failure:  # noqa: BLE001 - it is raised in the thread of the test
            self._failures.append(failure)
        finally:
            self._back.set()

    def _wake_in(self, seconds: float) -> threading.Event:
        go = threading.Event()
        at = VirtualClock(self.clock.now())
        at.advance(max(0.0, seconds))
        heapq.heappush(self._waiting, (at.now(), next(self._order), go))
        return go


class StagedEffects(System):
    """One process's effects: real files, and the emulator's API."""

    def __init__(self, stage: Stage, emulator: Emulator, seed: str) -> None:
        super().__init__()
        self._stage = stage
        self._emulator = emulator
        self._chance = random.Random(seed)
        self.requests = 0

    def now(self) -> datetime:
        return self._stage.clock.now()

    def monotonic(self) -> float:
        return self._stage.clock.now().timestamp()

    def random(self) -> float:
        return self._chance.random()

    def sleep(self, seconds: float) -> None:
        self._stage.wait(seconds)

    def send(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        self._stage.wait(self._chance.uniform(0.01, LONGEST_TRIP))
        response = ask_emulator(self._emulator, request)
        self._stage.wait(self._chance.uniform(0.01, LONGEST_TRIP))
        return response
