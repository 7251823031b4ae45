"""Progress of an apply: live on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.cli.terminal import Terminal
from reconciler.plan.outcomes import ChangeFinished, ChangeStarted, Event, StepNote

if TYPE_CHECKING:
    from reconciler.gcore import ApiEvent
    from reconciler.report.progress import Progress

NOTES = {
    "retry": "{detail}; again in {wait:.1f}s",
    "task_started": "waiting for task {detail}",
}
"""What of the client's events a person wants to read, by kind."""


class ShownProgress:
    """Gives apply's events, and the client's, to whatever shows them while the apply runs."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._progress: Progress | None = None
        self._running: dict[str, str] = {}
        self._lock = threading.Lock()

    @contextmanager
    def shown(self, total: int) -> Iterator[None]:
        """Show progress of this many changes."""
        from reconciler.report.progress import LiveProgress, PlainProgress

        progress: Progress
        if self._terminal.live:
            from rich.console import Console

            progress = LiveProgress(Console(file=sys.stderr, highlight=False, emoji=False), total=total)
        else:
            progress = PlainProgress(self._terminal.tell)
        with progress:
            self._progress = progress
            try:
                yield
            finally:
                self._progress = None

    def on_event(self, event: Event) -> None:
        """An event of apply."""
        match event:
            case ChangeStarted(change):
                with self._lock:
                    self._running[f"key.{getattr(change, 'live_name', '')}"] = change.id
            case ChangeFinished(outcome):
                with self._lock:
                    self._running.pop(f"key.{getattr(outcome.change, 'live_name', '')}", None)
            case StepNote():
                pass
        if self._progress is not None:
            self._progress(event)

    def on_api_event(self, event: ApiEvent) -> None:
        """An event of the client, told as a note on the change that it belongs to."""
        text = NOTES.get(event.kind.value)
        if text is None or self._progress is None:
            return
        with self._lock:
            subject = self._running.get(event.subject, event.subject)
        self._progress(StepNote(subject, text.format(detail=event.detail, wait=event.wait_seconds)))
