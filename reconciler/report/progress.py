"""Progress while an apply runs: events in from several worker threads, lines out.

In a pipe each event is a line, written whole. On a terminal finished steps scroll by above a live part that shows what
runs, for how long, and what it waits for, over a bar of done and total.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from reconciler.encoder import one_line, shown
from reconciler.plan.changes import Change
from reconciler.plan.outcomes import ChangeFinished, ChangeStarted, Event, Outcome, OutcomeState, PaceChanged, StepNote
from reconciler.report.terminal import hanging
from reconciler.report.times import elapsed
from reconciler.report.verbs import doing, done

if TYPE_CHECKING:
    from rich.console import Console, ConsoleRenderable
    from rich.text import Text

_MOST_RUNNING = 12


class Progress(Protocol):
    """What listens to an apply: used as a context manager around it, called with each event from any thread."""

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
        self._addresses: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        """Write what there is to say of it, from whichever thread."""
        with self._lock:
            match event:
                case ChangeStarted(change):
                    self._addresses[change.id] = change.address
                    self._write(f"{shown(change.address)}: {doing(change)}...")
                case ChangeFinished(outcome):
                    self._write(f"{shown(outcome.change.address)}: {describe_outcome(outcome)}")
                case StepNote(subject, text):
                    self._write(f"{shown(self._addresses.get(subject, subject))}: {one_line(text)}")
                case PaceChanged():
                    pass  # it is about no step: the log has it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


def describe_outcome(outcome: Outcome) -> str:
    """`created payments-api in 0.4s`, or how it ended and why; the way out is told once, at the end of the run."""
    detail = f": {one_line(outcome.detail)}" if outcome.detail else ""
    step = doing(outcome.change)
    match outcome.state:
        case OutcomeState.DONE:
            return f"{done(outcome.change)} in {elapsed(outcome.seconds)}{detail}"
        case OutcomeState.PARTLY_DONE:
            return f"{done(outcome.done_part)} in {elapsed(outcome.seconds)}; {one_line(outcome.detail)}"
        case OutcomeState.FAILED:
            return f"{step} failed after {elapsed(outcome.seconds)}{detail}"
        case OutcomeState.UNKNOWN:
            return f"{step} was not confirmed after {elapsed(outcome.seconds)}{detail}"
        case OutcomeState.SKIPPED:
            return f"{step} was skipped{detail}"
        case OutcomeState.NOT_STARTED:
            return f"{step} was not started{detail}"


@dataclass(frozen=True, slots=True)
class _Running:
    change: Change
    since: float
    note: str = ""


class LiveProgress:
    """A live part on a terminal; `total` is the number of changes in the plan.

    What is drawn is an immutable tuple that events replace: rich draws in a thread of its own, and holds the console's
    lock while it does, so it must never wait for ours.
    """

    def __init__(self, console: Console, *, total: int) -> None:
        from rich.live import Live  # noqa: PLC0415 - a run in a pipe does not load rich
        from rich.spinner import Spinner  # noqa: PLC0415

        self._console = console
        self._total = total
        self._lock = threading.Lock()
        self._running: tuple[_Running, ...] = ()
        self._finished: tuple[OutcomeState, ...] = ()
        self._pace: tuple[PaceChanged, float] | None = None
        """What the API asks for, and until when nobody sends."""
        self._spinner = Spinner("dots", style="cyan")
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
        line: Text | None = None
        with self._lock:
            match event:
                case ChangeStarted(change):
                    self._running = (*self._running, _Running(change, self._console.get_time()))
                case ChangeFinished(outcome):
                    self._running = tuple(r for r in self._running if r.change.id != outcome.change.id)
                    self._finished = (*self._finished, outcome.state)
                    line = _finished_line(outcome)
                case StepNote(subject, text):
                    self._running = tuple(
                        replace(r, note=one_line(text)) if subject in (r.change.id, r.change.address) else r
                        for r in self._running
                    )
                case PaceChanged(wait_seconds=wait):
                    self._pace = (event, self._console.get_time() + wait)
        if line is not None:
            # Under the lock that rich refreshes under: beside a refresh, with ten threads, one line in ten was lost.
            with self._live._lock:  # noqa: SLF001 - rich offers no other way to order the two
                self._console.print(*hanging(line, self._console, self._console.width), sep="\n")

    def draw(self) -> ConsoleRenderable:
        """The live part as it stands: what runs, what the API asks for, and the bar."""
        from rich.console import Group  # noqa: PLC0415
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        running, finished, now = self._running, self._finished, self._console.get_time()
        steps = Table.grid(padding=(0, 1))
        steps.add_column(no_wrap=True)
        steps.add_column(no_wrap=True, overflow="ellipsis")
        steps.add_column(no_wrap=True, justify="right")
        for row in running[:_MOST_RUNNING]:
            text = Text.assemble((shown(row.change.address), "bold"), "  ", doing(row.change))
            if row.note:
                text.append(f"  {row.note}", "yellow")
            steps.add_row(self._spinner, text, Text(elapsed(now - row.since), "dim"))
        if len(running) > _MOST_RUNNING:
            steps.add_row("", Text(f"and {len(running) - _MOST_RUNNING} more", "dim"), "")
        counts = Text(f"{finished.count(OutcomeState.DONE)} of {self._total} done")
        failed = finished.count(OutcomeState.FAILED) + finished.count(OutcomeState.UNKNOWN)
        if failed:
            counts.append(f", {failed} failed", "bold red")
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=max(1, self._total), completed=len(finished), width=30, complete_style="green"), counts
        )
        pace = self._words_of_pace(now)
        return Group(steps, *([Text(pace, "yellow")] if pace else []), bar)

    def _words_of_pace(self, now: float) -> str:
        if self._pace is None:
            return ""
        pace, until = self._pace
        if pace.in_flight == pace.most and now >= until:
            return ""
        wait = f", next in {elapsed(until - now)}" if now < until else ""
        return f"The API asks for fewer requests: at most {pace.in_flight} of {pace.most} in flight{wait}"


_MARKS = {
    OutcomeState.DONE: ("✓", "green"),
    OutcomeState.FAILED: ("✗", "bold red"),
    OutcomeState.UNKNOWN: ("?", "bold red"),
    OutcomeState.PARTLY_DONE: ("-", "yellow"),
    OutcomeState.SKIPPED: ("-", "yellow"),
    OutcomeState.NOT_STARTED: ("-", "yellow"),
}


def _finished_line(outcome: Outcome) -> Text:
    from rich.text import Text  # noqa: PLC0415

    mark, style = _MARKS[outcome.state]
    told = (describe_outcome(outcome), "" if outcome.state is OutcomeState.DONE else style)
    return Text.assemble((mark, style), " ", (shown(outcome.change.address), "bold"), "  ", told)
