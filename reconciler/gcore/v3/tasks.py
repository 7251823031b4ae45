"""Waiting for tasks: a write is done when its tasks are [D]."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from reconciler.errors import ApiError, NotFound, TaskFailed, UnexpectedAnswer
from reconciler.gcore.answers import Call
from reconciler.gcore.events import ApiEvent, EventKind
from reconciler.gcore.exchange import Resend
from reconciler.gcore.project import Project
from reconciler.gcore.v3.wire import FAILED, FINISHED, UNFINISHED, Task, task
from reconciler.http_failures import AGAIN

PATH = "/cloud/v1/tasks/{}"
FIRST_WAIT = 0.2
GROWTH = 1.5
LONGEST_WAIT = 3.0
"""Seconds between two looks, as in the official SDK [C]."""


def await_tasks(project: Project, task_ids: Sequence[str], call: Call) -> None:
    """Wait until every task of a write is FINISHED, at most `project.task_timeout` seconds for all of them.

    The fence is kept alive before each look. Raises TaskFailed for a task that ends in ERROR, after the others have
    ended too. All other errors say `effect_is_unknown`: the task continues unobserved, or is in a state that the
    documents do not have.
    """
    deadline = project.effects.monotonic() + project.task_timeout
    for task_id in task_ids:
        tell(project, call, EventKind.TASK_STARTED, project.redactor.clean(task_id))
    failures = [failure for task_id in task_ids if (failure := await_task(project, task_id, call, deadline))]
    if failures:
        # An error with an unknown effect tells the caller to look; an error without one must not hide it.
        raise max(failures, key=lambda failure: failure.effect_is_unknown)


def await_task(project: Project, task_id: str, call: Call, deadline: float) -> ApiError | None:
    """None when the task is FINISHED, or why it is not."""
    shown = project.redactor.clean(task_id, longest=80)
    wait, looks = FIRST_WAIT, 0
    while True:
        left = deadline - project.effects.monotonic()
        if looks and left <= 0:
            return TaskFailed(
                f"Task {shown}, which is to {call.doing}, did not finish within {in_words(project.task_timeout)}."
                " It may still finish.",
                way_out="Wait until it ends in the Gcore portal, and run keyform again.",
                effect_is_unknown=True,
            )
        pause = max(0.0, min(wait, left))
        looks += 1
        tell(project, call, EventKind.TASK_POLLING, shown, looks=looks, pause=pause)
        project.effects.sleep(pause)
        project.require_fence().keep_alive()
        seen = look_at(project, task_id, shown, call)
        if isinstance(seen, ApiError):
            return seen
        if seen.state == FINISHED:
            tell(project, call, EventKind.TASK_FINISHED, shown, looks=looks)
            return None
        if seen.state == FAILED:
            words = project.redactor.clean(seen.error)
            said = f' It says: "{words}"' if words else ""
            return TaskFailed(
                f"Task {shown}, which was to {call.doing}, failed.{said}",
                way_out="Fix the cause, and run keyform again.",
            )
        if seen.state not in UNFINISHED:
            state = project.redactor.clean(seen.state, longest=40) or "none at all"
            return TaskFailed(
                f"Task {shown}, which is to {call.doing}, is in an unknown state: {state}. Its effect is unknown.",
                way_out="Check it in the Gcore portal, and run keyform again.",
                effect_is_unknown=True,
            )
        wait = min(wait * GROWTH, LONGEST_WAIT)


def look_at(project: Project, task_id: str, shown: str, call: Call) -> Task | ApiError:
    """The task as it is now, or why it cannot be read: then the effect is unknown."""
    look = Call(
        method="GET",
        path=PATH.format(quote(task_id, safe="")),
        doing=f"show task {shown}, which is to {call.doing}",
        subject=f"task.{shown}",
        missing=f"The API has forgotten task {shown}, which was to {call.doing}",
        missing_way_out=AGAIN,
    )
    try:
        answer = project.exchange.ask(look, Resend.IF_TRANSIENT)
        return project.read(answer, lambda payload: task(payload, f"task {shown}"))
    except NotFound as error:
        lost: ApiError = UnexpectedAnswer(error.message, way_out=error.way_out, status=error.status)
        lost.request_id = error.request_id
    except ApiError as error:
        lost = error
    lost.effect_is_unknown = True
    return lost


def tell(project: Project, call: Call, kind: EventKind, shown: str, *, looks: int = 1, pause: float = 0.0) -> None:
    """Notify the listener of a task, whose id is safe to show."""
    project.exchange.tell(ApiEvent(kind, call.method, call.subject, looks, pause, shown))


def in_words(seconds: float) -> str:
    """`90 seconds`, `20 minutes`."""
    number, unit = (seconds / 60, "minute") if seconds % 60 == 0 else (seconds, "second")
    return f"{number:g} {unit}{'s' if number != 1 else ''}"
