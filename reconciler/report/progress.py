"""Progress while an apply runs: events in from several worker threads, lines out.

In a pipe each event is a line, written whole. On a terminal finished steps scroll by above a live part that shows what
runs, for how long, and what it waits for, over a bar of done and total.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from reconciler.encoder import one_line, shown
from reconciler.plan.changes import Change, ChangeId
from reconciler.plan.outcomes import Event, Finished, Outcome, OutcomeState, PaceChanged, Started, StepNote
from reconciler.report.roles import Role
from reconciler.report.terminal import STYLES, hanging
from reconciler.report.times import elapsed
from reconciler.report.verbs import doing, done, subject_of

if TYPE_CHECKING:
    from rich.console import Console, ConsoleRenderable
    from rich.text import Text

_MOST_RUNNING = 12


class Progress(Protocol):
    """A listener of an apply: used as a context manager around it, called with each event from any thread."""

    def __call__(self, event: Event) -> None:
        """Show the event."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainProgress:
    """One line for each event, without its newline, given to `write` by one thread at a time."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._subjects: dict[ChangeId | str, str] = {}

    def __call__(self, event: Event) -> None:
        """Write the event's line."""
        with self._lock:
            match event:
                case Started(changes):
                    subject = subject_of(changes)
                    self._subjects.update({change.id: subject for change in changes})
                    self._write(f"{shown(subject)}: {doing(changes)}...")
                case Finished(outcomes):
                    for found in by_end(outcomes):
                        subject = subject_of([outcome.change for outcome in found])
                        self._write(f"{shown(subject)}: {describe_outcomes(found)}")
                case StepNote(subject, text):
                    self._write(f"{shown(self._subjects.get(subject, str(subject)))}: {one_line(text)}")
                case PaceChanged():
                    pass  # it is about no step: the log has it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


def by_end(outcomes: Sequence[Outcome]) -> list[list[Outcome]]:
    """The outcomes of one write, those that ended in the same way together."""
    found: dict[tuple[OutcomeState, str], list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault((outcome.state, outcome.detail), []).append(outcome)
    return list(found.values())


def describe_outcomes(outcomes: Sequence[Outcome]) -> str:
    """`created payments-api in 0.4s`, or how it ended and why; the way out is shown once, at the end of the run.

    The outcomes are those of changes that were made together and ended in the same way.
    """
    first = outcomes[0]
    detail = f": {one_line(first.detail)}" if first.detail else ""
    changes = [outcome.change for outcome in outcomes]
    match first.state:
        case OutcomeState.DONE:
            return f"{done(changes)} in {elapsed(first.seconds)}{detail}"
        case OutcomeState.FAILED:
            return f"{doing(changes)} failed after {elapsed(first.seconds)}{detail}"
        case OutcomeState.UNKNOWN:
            return f"{doing(changes)} was not confirmed after {elapsed(first.seconds)}{detail}"
        case OutcomeState.SKIPPED:
            return f"{doing(changes)} was skipped{detail}"
        case OutcomeState.NOT_STARTED:
            return f"{doing(changes)} was not started{detail}"


@dataclass(frozen=True, slots=True)
class _Running:
    changes: tuple[Change, ...]
    since: float
    note: str = ""

    @property
    def subject(self) -> str:
        """What its line begins with."""
        return subject_of(self.changes)

    def is_about(self, subject: ChangeId | str) -> bool:
        """Whether a note is about it."""
        return subject == self.subject or any(subject == change.id for change in self.changes)


class LiveProgress:
    """A live part on a terminal; `total` is the number of changes in the plan.

    The drawing is an immutable tuple that events replace: rich draws in another thread, and holds the console's lock
    while it does, so it must never wait for ours.
    """

    def __init__(self, console: Console, *, total: int) -> None:
        from rich.live import Live  # noqa: PLC0415 - a run in a pipe does not load rich
        from rich.spinner import Spinner  # noqa: PLC0415

        self._console = console
        self._total = total
        self._lock = threading.Lock()
        self._running: tuple[_Running, ...] = ()
        self._finished: dict[ChangeId, OutcomeState] = {}
        """The latest of each: a last look may change what counted as done."""
        self._pace: tuple[PaceChanged, float] | None = None
        """The API's request to slow down, and until when nothing is sent."""
        self._spinner = Spinner("dots", style=STYLES[Role.QUIET])
        self._live = Live(console=console, get_renderable=self.draw, refresh_per_second=10, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Draw what it changes, from whichever thread."""
        lines: list[Text] = []
        with self._lock:
            match event:
                case Started(changes):
                    self._running = (*self._running, _Running(changes, self._console.get_time()))
                case Finished(outcomes):
                    ended = {outcome.change.id for outcome in outcomes}
                    self._running = tuple(r for r in self._running if r.changes[0].id not in ended)
                    self._finished = self._finished | {outcome.change.id: outcome.state for outcome in outcomes}
                    lines = [_finished_line(found) for found in by_end(outcomes)]
                case StepNote(subject, text):
                    self._running = tuple(
                        replace(r, note=one_line(text)) if r.is_about(subject) else r for r in self._running
                    )
                case PaceChanged(wait_seconds=wait):
                    self._pace = (event, self._console.get_time() + wait)
        for line in lines:
            # Under the lock that rich refreshes under: without it, with ten threads, one line in ten was lost.
            with self._live._lock:  # noqa: SLF001 - rich offers no other way to order the two
                self._console.print(*hanging(line, self._console, self._console.width), sep="\n")

    def draw(self) -> ConsoleRenderable:
        """The current live part: what runs, the API's request to slow down, and the bar."""
        from rich.console import Group  # noqa: PLC0415
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        running, finished, now = self._running, list(self._finished.values()), self._console.get_time()
        times = [elapsed(now - row.since) for row in running[:_MOST_RUNNING]]
        # Where a line is too long, its text is cut, and neither the spinner before it nor the time behind it.
        room = self._console.width - 4 - max(map(len, times), default=0)
        steps = Table.grid(padding=(0, 1, 0, 0))
        steps.add_column(no_wrap=True)
        steps.add_column(no_wrap=True, overflow="ellipsis", max_width=max(1, room))
        steps.add_column(no_wrap=True, justify="right")
        for row, time in zip(running, times, strict=False):
            text = Text.assemble((shown(row.subject), STYLES[Role.NAME]), "  ", doing(row.changes))
            if row.note:
                text.append(f"  {row.note}", STYLES[Role.WARNING])
            steps.add_row(self._spinner, text, Text(time, STYLES[Role.QUIET]))
        if len(running) > _MOST_RUNNING:
            steps.add_row("", Text(f"and {len(running) - _MOST_RUNNING} more", STYLES[Role.QUIET]), "")
        counts = Text(f"{finished.count(OutcomeState.DONE)} of {self._total} done")
        failed = finished.count(OutcomeState.FAILED) + finished.count(OutcomeState.UNKNOWN)
        if failed:
            counts.append(f", {failed} failed", STYLES[Role.DANGER])
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=max(1, self._total), completed=len(finished), width=30, complete_style=STYLES[Role.GOOD]),
            counts,
        )
        pace = self._words_of_pace(now)
        return Group(steps, *([Text(pace, STYLES[Role.WARNING])] if pace else []), bar)

    def _words_of_pace(self, now: float) -> str:
        if self._pace is None:
            return ""
        pace, until = self._pace
        if pace.in_flight == pace.most and now >= until:
            return ""
        wait = f", next in {elapsed(until - now)}" if now < until else ""
        return f"The API asks for fewer requests: at most {pace.in_flight} of {pace.most} in flight{wait}"


_MARKS = {
    OutcomeState.DONE: ("✓", Role.GOOD),
    OutcomeState.FAILED: ("✗", Role.DANGER),
    OutcomeState.UNKNOWN: ("?", Role.DANGER),
    OutcomeState.SKIPPED: ("-", Role.WARNING),
    OutcomeState.NOT_STARTED: ("-", Role.WARNING),
}


def _finished_line(outcomes: Sequence[Outcome]) -> Text:
    from rich.text import Text  # noqa: PLC0415

    state = outcomes[0].state
    mark, role = _MARKS[state]
    subject = subject_of([outcome.change for outcome in outcomes])
    told = (describe_outcomes(outcomes), "" if state is OutcomeState.DONE else STYLES[role])
    return Text.assemble((mark, STYLES[role]), " ", (shown(subject), STYLES[Role.NAME]), "  ", told)
