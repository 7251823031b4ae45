"""What came of a plan, as data: one outcome for each change, and the events that tell of it while it happens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from reconciler.plan.changes import Bind, Change, Link, Note, Plan, Unbind


class OutcomeState(StrEnum):
    """How far a change came."""

    DONE = "done"
    """What is live was seen to be as planned."""
    FAILED = "failed"
    """It was refused, or gave up: it had no effect that anyone relies on."""
    PARTLY_DONE = "partly_done"
    """Of a write for several keys, some links are seen to be as planned; the others wait for a change that was not."""
    SKIPPED = "skipped"
    """A change that it depends on was not done."""
    UNKNOWN = "unknown"
    """It was sent, and never confirmed: the next run looks at what is live."""
    NOT_STARTED = "not_started"
    """The run was interrupted before its turn."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one change: `detail` says what went wrong, `way_out` what to do; `seconds` is how long it took.

    `links` are those that were done of a write that is PARTLY_DONE.
    """

    change: Change
    state: OutcomeState
    detail: str = ""
    way_out: str = ""
    seconds: float = 0.0
    links: tuple[Link, ...] = ()

    @property
    def links_done(self) -> tuple[Link, ...]:
        """What a Bind has seen in place, or an Unbind gone."""
        if isinstance(self.change, Bind | Unbind) and self.state is OutcomeState.DONE:
            return self.change.links
        return self.links

    @property
    def done_part(self) -> Change:
        """The change with those links alone that were done."""
        return _only(self.change, self.links_done)

    @property
    def undone_part(self) -> Change:
        """The change without the links that were done."""
        if not isinstance(self.change, Bind | Unbind):
            return self.change
        return _only(self.change, tuple(link for link in self.change.links if link not in self.links_done))


def _only(change: Change, links: tuple[Link, ...]) -> Change:
    return replace(change, links=links) if isinstance(change, Bind | Unbind) else change


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a plan; outcomes are in the order of the plan's changes. `interrupted`: by Ctrl-C or SIGTERM.

    `exposures` are what is not as it should be after the lock was lost: read again, since another run may have been
    crossed.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    interrupted: bool = False
    exposures: tuple[Note, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every change of the plan was done; what has no outcome was not."""
        done = {outcome.change.id for outcome in self.outcomes if outcome.state is OutcomeState.DONE}
        return all(change.id in done for change in self.plan.changes)


@dataclass(frozen=True, slots=True)
class ChangeStarted:
    """A worker thread took a change up."""

    change: Change


@dataclass(frozen=True, slots=True)
class ChangeFinished:
    """A change has its outcome; one that never started (skipped, interrupted) has it without a start."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class StepNote:
    """Something worth telling while a change runs: `waiting for task …`, `retrying in 2s (HTTP 429)`.

    `subject` is the change's id or an address; the text holds no secret.
    """

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class PaceChanged:
    """The API asks for fewer requests, or takes more again: `in_flight` of `most`, and none for `wait_seconds`."""

    in_flight: int
    most: int
    wait_seconds: float


Event = ChangeStarted | ChangeFinished | StepNote | PaceChanged
"""What is told while an apply runs, from several worker threads."""
