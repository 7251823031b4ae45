"""What came of a plan, as data: one outcome for each change, and the events that tell of it while it happens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.plan.changes import Change, Plan


class OutcomeState(StrEnum):
    """How far a change came."""

    DONE = "done"
    """What is live was seen to be as planned."""
    FAILED = "failed"
    """It was refused, or gave up: it had no effect that anyone relies on."""
    SKIPPED = "skipped"
    """A change that it depends on was not done."""
    UNKNOWN = "unknown"
    """It was sent, and never confirmed: the next run looks at what is live."""
    NOT_STARTED = "not_started"
    """The run was interrupted before its turn."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one change: `detail` says what went wrong, `way_out` what to do; `seconds` is how long it took."""

    change: Change
    state: OutcomeState
    detail: str = ""
    way_out: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a plan; outcomes stand in the order of the plan's changes. `interrupted`: by Ctrl-C or SIGTERM."""

    plan: Plan
    outcomes: tuple[Outcome, ...] = ()
    interrupted: bool = False

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


Event = ChangeStarted | ChangeFinished | StepNote
"""What apply tells its listener, from several worker threads."""
