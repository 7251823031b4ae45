"""The outcome of a plan, as data: one for each change, and the events that report it while it happens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.plan.changes import Change, ChangeId, Note, Plan


class OutcomeState(StrEnum):
    """How far a change came."""

    DONE = "done"
    """The live state was confirmed to be as planned."""
    FAILED = "failed"
    """It was refused, or gave up: it had no effect that anyone relies on."""
    SKIPPED = "skipped"
    """A change that it depends on was not done."""
    UNKNOWN = "unknown"
    """It was sent, and never confirmed: the next run reads the live state."""
    NOT_STARTED = "not_started"
    """The run was interrupted before it started."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one change: `detail` says what went wrong, `way_out` what to do; `seconds` is how long it took."""

    change: Change
    state: OutcomeState
    detail: str = ""
    way_out: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a plan; outcomes are in the order of the plan's changes. `interrupted`: by Ctrl-C or SIGTERM.

    `exposures` are what is not as it should be after the lock was lost, read again, since another run may have been
    crossed. `lock_was_lost`: another run may have had the lock while a change of this one was under way.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    interrupted: bool = False
    exposures: tuple[Note, ...] = ()
    lock_was_lost: bool = False

    @property
    def complete(self) -> bool:
        """Whether every change of the plan was done; a change without an outcome was not."""
        done = {outcome.change.id for outcome in self.outcomes if outcome.state is OutcomeState.DONE}
        return all(change.id in done for change in self.plan.changes)


@dataclass(frozen=True, slots=True)
class Started:
    """A worker thread started changes: several if one write makes them all."""

    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """Changes have their outcomes, those of one write together; a skipped change has one without a start.

    A change may have another at the end: the last look found that it was not done.
    """

    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class StepNote:
    """Something worth reporting while changes run: `waiting for task …`, `retrying in 2s (HTTP 429)`.

    `subject` is the id of a change, or the subject of a request (see `gcore.events`); the text holds no secret.
    """

    subject: ChangeId | str
    text: str


@dataclass(frozen=True, slots=True)
class PaceChanged:
    """The API asks for fewer requests, or allows more again: `in_flight` of `most`, and none for `wait_seconds`."""

    in_flight: int
    most: int
    wait_seconds: float


Event = Started | Finished | StepNote | PaceChanged
"""Events of an apply, from several worker threads."""
