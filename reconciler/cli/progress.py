"""Progress of an apply: live on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TextIO, cast

from reconciler.cli.terminal import LastingStream, Terminal
from reconciler.plan.outcomes import Event, Finished, PaceChanged, Started, StepNote

if TYPE_CHECKING:
    from reconciler.cli.events import EventStream
    from reconciler.gcore import ApiEvent
    from reconciler.plan.changes import ChangeId
    from reconciler.report.progress import Progress

NOTES = {
    "retry": "{detail} Again in {wait:.1f}s.",
    "task_started": "waiting for task {detail}",
}
"""The client's events that a person wants to see next to a change, by kind."""
LEVELS = {"request": "debug", "answer": "debug", "task_polling": "debug", "retry": "warning", "relist": "warning"}
"""The level at which an event is logged that is shown nowhere else; `info` for all others."""
LONG_WAIT = 1.0
"""Seconds that a person notices: a shorter wait is not worth a warning."""


class ShownProgress:
    """Passes apply's events, and the client's, to whatever shows them; before and after the apply, to the log."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._progress: Progress | None = None
        self._stream: EventStream | None = None
        self._running: dict[ChangeId, None] = {}
        self._lock = threading.Lock()

    @contextmanager
    def shown(self, total: int, events: EventStream | None = None) -> Iterator[None]:
        """Show progress of this many changes, and pass every event to `events`, too."""
        from reconciler.report.progress import LiveProgress, PlainProgress

        progress: Progress
        if self._terminal.live:
            from rich.console import Console

            stream = cast(TextIO, LastingStream(sys.stderr))
            console = Console(file=stream, force_terminal=True, highlight=False, emoji=False)
            progress = LiveProgress(console, total=total)
        else:
            progress = PlainProgress(self._terminal.tell)
        with progress, events or nullcontext():
            self._progress, self._stream = progress, events
            try:
                yield
            finally:
                self._progress, self._stream = None, None

    def on_event(self, event: Event) -> None:
        """An event of apply."""
        with self._lock:
            match event:
                case Started(changes):
                    self._running.update((change.id, None) for change in changes)
                case Finished(outcomes):
                    for outcome in outcomes:
                        self._running.pop(outcome.change.id, None)
                case StepNote() | PaceChanged():
                    pass
        self._show(event)

    def _show(self, event: Event) -> None:
        told = self._terminal.masked(event)
        for each in (self._progress, self._stream):
            if each is not None:
                each(told)

    def on_api_event(self, event: ApiEvent) -> None:
        """An event of the client: a note on the change that it belongs to, or a line of the log."""
        kind = event.kind.value
        if kind == "pace":
            self._tell_of_pace(event)
            return
        if kind == "clock":
            self._terminal.log("warning", event.detail)
            return
        text = NOTES.get(kind)
        if text is None or self._progress is None:
            self._log(event, LEVELS.get(kind, "info"))
            return
        note = StepNote(self._find_change(event.subject), text.format(detail=event.detail, wait=event.wait_seconds))
        self._show(note)

    def _find_change(self, subject: str) -> ChangeId | str:
        """The running change of a request, by its endpoint or its live key; without one, the subject."""
        with self._lock:
            found = (each for each in self._running if subject in (str(each.at), f"key.{each.live.name}"))
            return next(found, subject)

    def _tell_of_pace(self, event: ApiEvent) -> None:
        """It concerns all requests, and its words say how long they wait; with live progress, no warning is needed."""
        progress, is_worth_it = self._progress, event.wait_seconds >= LONG_WAIT
        if progress is not None:
            self._show(PaceChanged(event.in_flight, event.most, event.wait_seconds))
            is_worth_it = is_worth_it and not self._terminal.live
        is_detail = not event.wait_seconds and event.in_flight < event.most
        self._terminal.log("warning" if is_worth_it else "debug" if is_detail else "info", event.detail)

    def _log(self, event: ApiEvent, level: str) -> None:
        if level == "warning":
            level = "warning" if event.wait_seconds >= LONG_WAIT else "info"
            self._terminal.log(level, f"{event.detail} Again in {event.wait_seconds:.1f}s.")
            return
        if event.kind.value == "answer":
            self._terminal.log(level, f"answer: {event.method} {event.detail}")
            return
        wait = f", again in {event.wait_seconds:.1f}s" if event.wait_seconds else ""
        detail = f" ({event.detail})" if event.detail else ""
        self._terminal.log(level, f"{event.kind.value.replace('_', ' ')}: {event.method} {event.subject}{detail}{wait}")
