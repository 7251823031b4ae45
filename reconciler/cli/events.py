"""The stream of events that `apply --json` writes on stdout: one line each, as it happens."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from reconciler import __version__
from reconciler.cli.terminal import Terminal
from reconciler.errors import KeyformError

if TYPE_CHECKING:
    from reconciler.plan.changes import Plan
    from reconciler.plan.outcomes import Event, Result
    from reconciler.report.events import Follower, Line

STREAMING = frozenset({"apply", "destroy", "rotate"})
EVERY = 10.0
"""Seconds between two lines about what still runs."""


def streams(args: argparse.Namespace) -> bool:
    """Whether a command writes events; `rotate --due` lists, and has one document."""
    return args.command in STREAMING and bool(args.json) and getattr(args, "due", None) is None


class EventStream:
    """Writes events as lines, from any thread. An event that cannot be written never ends a run that changes something:
    `finish` raises for it.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()
        self._follower: Follower | None = None
        self._fault: KeyformError | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """The first line, unless it is there."""
        from reconciler.report.events import version_line

        if not self._terminal.has_shown:
            self._write([version_line(__version__, now())])
            self._raise_fault()

    def plan(self, plan: Plan) -> None:
        """What is planned; a second plan takes the place of the first."""
        from reconciler.report.events import plan_lines

        self._write(plan_lines(self._terminal.masked(plan), now()))
        self._raise_fault()

    def follow(self, plan: Plan) -> EventStream:
        """Ready for the events of this plan, as a context manager around the apply."""
        from reconciler.report.events import Follower

        self._follower = Follower(self._terminal.masked(plan))
        return self

    def __call__(self, event: Event) -> None:
        """An event of the apply."""
        with self._lock:
            if self._follower is not None:
                self._write_all(self._follower.follow(event, now()))

    def __enter__(self) -> Self:
        self._over.clear()
        self._thread = threading.Thread(target=self._tell_what_runs, name="keyform-events", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def finish(self, result: Result, error: KeyformError | None, *, destroys: bool) -> None:
        """The last lines. KeyformError if a line could not be written."""
        from reconciler.report.events import result_lines

        told = self._diagnostics(error) if error else []
        self._write(result_lines(self._terminal.masked(result), told, now(), destroys=destroys))
        self._raise_fault()

    def fail(self, error: KeyformError) -> None:
        """An error that ends the command."""
        from reconciler.report.events import error_lines

        self.begin()
        self._write(error_lines(self._diagnostics(error), now()))

    def _diagnostics(self, error: KeyformError) -> list[Line]:
        """An error without credentials, before a text of it is cut."""
        from reconciler.report.diagnostics import diagnostics_of

        return self._terminal.masked(diagnostics_of(error))

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _tell_what_runs(self) -> None:
        while not self._over.wait(EVERY):
            with self._lock:
                if self._follower is not None:
                    self._write_all(self._follower.still_running(now()))

    def _write(self, lines: Iterable[Line]) -> None:
        with self._lock:
            self._write_all(lines)

    def _write_all(self, lines: Iterable[Line]) -> None:
        from reconciler.report.json import dump_line

        for line in lines:
            try:
                self._terminal.show(dump_line(line), is_json=True)
            except KeyformError as error:
                self._fault = self._fault or error


def now() -> datetime:
    """The time of this machine, for people who read the lines; nothing is decided by it."""
    return datetime.now(UTC)
