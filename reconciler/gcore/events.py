"""What a client reports while it works, so that progress can be shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """What happens."""

    REQUEST = "request"
    """A request is about to be sent; `attempt` counts from 1."""
    ANSWER = "answer"
    """It was answered, or failed: `detail` is its path, status, milliseconds and the API's request id."""
    RETRY = "retry"
    """It failed, and will be sent again after `wait_seconds`."""
    RELIST = "relist"
    """A list changed while its pages were read, and will be read again after `wait_seconds`."""
    PACE = "pace"
    """The API asks for fewer requests, or allows more again: `detail` is the sentence that says so. `method` and
    `subject` are empty; nothing is sent for `wait_seconds`, and then `in_flight` of `most` requests may be in flight.
    """
    CLOCK = "clock"
    """This machine's clock and the API's are far apart: `detail` is the sentence that says so. The rest is empty."""
    TASK_STARTED = "task_started"
    """A write was answered with a task; `detail` is its id."""
    TASK_POLLING = "task_polling"
    """The task is not done; it will be read again after `wait_seconds`."""
    TASK_FINISHED = "task_finished"
    """The task ended; `detail` is its id and its state."""


@dataclass(frozen=True, slots=True)
class ApiEvent:
    """One thing that happened; `subject` is like `key.payments-g2`, `deployment.llama3` or `keys`; none is secret."""

    kind: EventKind
    method: str
    subject: str
    attempt: int = 1
    wait_seconds: float = 0.0
    detail: str = ""
    in_flight: int = 0
    most: int = 0


Listener = Callable[[ApiEvent], None]
"""Called from any thread; must be quick, and must not raise."""
