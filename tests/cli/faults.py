"""What an API can do to a request, put into the emulator."""

from __future__ import annotations

import json
import threading
from typing import Any

from cli.stage import Fault, Proceed, World

from reconciler.emulator import Answer, ConnectionLost, Request


def refusal(status: int, message: str = "no", *, headers: dict[str, str] | None = None, **fields: Any) -> Answer:
    body = {"exception_class": "Error", "message": message, "request_id": "req-1", **fields}
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(body).encode())


def always(answer: Answer) -> Fault:
    return lambda request, proceed: answer


def on(method: str, ending: str, fault: Fault, *, times: int = 1_000_000) -> Fault:
    """The fault, for the first requests of one kind; the others, and those of the lock, continue as before."""
    left = [times]

    def interceptor(request: Request, proceed: Proceed) -> Answer:
        if (
            left[0]
            and request.method == method
            and request.path.endswith(ending)
            and b"keyform-lock" not in request.body
        ):
            left[0] -= 1
            return fault(request, proceed)
        return proceed(request)

    return interceptor


def lost(request: Request, proceed: Proceed) -> Answer:
    """Done, and the connection breaks before the answer."""
    proceed(request)
    raise ConnectionLost


def cut_short(request: Request, proceed: Proceed) -> Answer:
    """Done, and the answer ends in the middle."""
    answer = proceed(request)
    return Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2])


class HeldTasks:
    """A fault: tasks run until they are released, so that nothing depends on how fast a machine is.

    For a world whose tasks take hours.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.looks = 0
        """How often somebody asked how a task is."""
        self._guard = threading.Lock()
        self._begun: list[str] = []
        self._are_over = False
        world.fail(self)

    @property
    def count(self) -> int:
        """How many have begun."""
        return len(self._begun)

    def __call__(self, request: Request, proceed: Proceed) -> Answer:
        answer = proceed(request)
        tasks = answer.json().get("tasks", []) if request.method == "PATCH" and answer.status == 200 else []
        with self._guard:
            self.looks += "/tasks/" in request.path
            self._begun += tasks
            if self._are_over:
                self._end(tasks)
        return answer

    def let_go(self) -> None:
        """End those that have begun, and from now on each at once."""
        with self._guard:
            self._are_over = True
            self._end(self._begun)

    def hold(self) -> None:
        """From now on they continue."""
        with self._guard:
            self._are_over = False
            self._begun = []

    def _end(self, tasks: list[str]) -> None:
        for task in tasks:
            self.world.emulator.release_task(task)


def failed_after(request: Request, proceed: Proceed) -> Answer:
    """Done, and answered with a 500."""
    proceed(request)
    return refusal(500, "Internal error")
