"""Waiting for tasks: a write is done when its tasks are [D]."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reconciler.effects import Effects
from reconciler.errors import ApiError, NotFound, TaskFailed, UnexpectedAnswer
from reconciler.gcore.answers import Call
from reconciler.gcore.dialects import Dialect
from reconciler.gcore.events import ApiEvent, EventKind
from reconciler.gcore.exchange import Exchange, Resend
from reconciler.gcore.wire import FAILED, FINISHED, UNFINISHED, read_task
from reconciler.http_failures import AGAIN
from reconciler.redaction import Redactor

FIRST_WAIT = 0.2
GROWTH = 1.5
LONGEST_WAIT = 3.0
"""Seconds between two looks, as in the official SDK [C]."""


def await_tasks(
    task_ids: Sequence[str],
    call: Call,
    *,
    exchange: Exchange,
    effects: Effects,
    dialect: Dialect,
    redactor: Redactor,
    timeout: float,
    while_waiting: Callable[[], None],
) -> None:
    """Wait until every task of a write is FINISHED, at most `timeout` seconds for all of them.

    Raises TaskFailed for a task that ends in ERROR, after the others have ended too. All other errors say
    `effect_is_unknown`: the task goes on without being watched.
    """
    deadline = effects.monotonic() + timeout
    failures: list[ApiError] = []
    for task_id in task_ids:
        exchange.tell(ApiEvent(EventKind.TASK_STARTED, call.method, call.subject, detail=redactor.clean(task_id)))
    for task_id in task_ids:
        failure = _await_task(
            task_id,
            call,
            deadline=deadline,
            timeout=timeout,
            exchange=exchange,
            effects=effects,
            dialect=dialect,
            redactor=redactor,
            while_waiting=while_waiting,
        )
        if failure is not None:
            failures.append(failure)
    if failures:
        # One that leaves the effect open tells the caller to look; it must not hide behind one that does not.
        raise max(failures, key=lambda failure: failure.effect_is_unknown)


def _in_words(seconds: float) -> str:
    """`90 seconds`, `20 minutes`."""
    number, unit = (seconds / 60, "minute") if seconds % 60 == 0 else (seconds, "second")
    return f"{number:g} {unit}{'s' if number != 1 else ''}"


def _await_task(
    task_id: str,
    call: Call,
    *,
    deadline: float,
    timeout: float,
    exchange: Exchange,
    effects: Effects,
    dialect: Dialect,
    redactor: Redactor,
    while_waiting: Callable[[], None],
) -> ApiError | None:
    """None when the task is FINISHED, or why it is not."""
    shown = redactor.clean(task_id, longest=80)
    look = Call(
        method="GET",
        path=dialect.task(task_id),
        doing=f"show task {shown}, which is to {call.doing}",
        subject=f"task.{shown}",
        missing=f"The API has forgotten task {shown}, which was to {call.doing}",
        missing_way_out=AGAIN,
    )
    wait, looks = FIRST_WAIT, 0
    while True:
        left = deadline - effects.monotonic()
        if looks and left <= 0:
            return TaskFailed(
                f"Task {shown}, which is to {call.doing}, was not done within {_in_words(timeout)}."
                " It may still finish.",
                way_out="Wait until it ends in the Gcore portal, and run keyform again.",
                effect_is_unknown=True,
            )
        pause = max(0.0, min(wait, left))
        looks += 1
        exchange.tell(ApiEvent(EventKind.TASK_POLLING, call.method, call.subject, looks, pause, shown))
        effects.sleep(pause)
        while_waiting()
        try:
            task = read_task(exchange.ask(look, Resend.IF_TRANSIENT).payload, f"task {shown}")
        except NotFound as error:
            lost = UnexpectedAnswer(error.message, way_out=error.way_out, effect_is_unknown=True, status=error.status)
            lost.request_id = error.request_id
            return lost
        except ApiError as error:
            error.effect_is_unknown = True
            return error
        if task.state == FINISHED:
            exchange.tell(ApiEvent(EventKind.TASK_FINISHED, call.method, call.subject, looks, detail=shown))
            return None
        if task.state == FAILED:
            words = redactor.clean(task.error)
            said = f' It says: "{words}"' if words else ""
            return TaskFailed(
                f"Task {shown}, which was to {call.doing}, failed.{said}",
                way_out="Change what it objects to, and run keyform again.",
            )
        if task.state not in UNFINISHED:
            state = redactor.clean(task.state, longest=40)
            return UnexpectedAnswer(
                f"Task {shown}, which is to {call.doing}, is in a state that the API does not have: {state}.",
                way_out="See what became of it in the Gcore portal, and run keyform again.",
                effect_is_unknown=True,
            )
        wait = min(wait * GROWTH, LONGEST_WAIT)
