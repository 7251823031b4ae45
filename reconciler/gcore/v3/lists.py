"""The list of an endpoint's keys: one PATCH writes all of it, and is done when its tasks are [D]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from reconciler.api import EndpointReading, require_settable
from reconciler.gcore.answers import Answer
from reconciler.gcore.dialects import Collection
from reconciler.gcore.project import Project
from reconciler.gcore.rewriting import Listed
from reconciler.gcore.v3.tasks import await_tasks
from reconciler.gcore.v3.wire import task_ids
from reconciler.model import Binding, EndpointRef, LiveEndpoint


def read_endpoint(project: Project, place: Collection[LiveEndpoint], ref: EndpointRef) -> EndpointReading | None:
    """An endpoint, which lists the names of its keys [D]; None if there is none."""
    entry = project.get(place, ref.name)
    return None if entry is None else EndpointReading(entry.item, entry.links)


@dataclass(frozen=True, slots=True)
class EndpointList:
    """The keys of a deployment or an application. `opens`: the list may be emptied, which makes the endpoint public."""

    project: Project
    place: Collection[LiveEndpoint]
    ref: EndpointRef
    opens: bool
    has_tasks: ClassVar[bool] = True

    def __str__(self) -> str:
        return str(self.ref)

    def read(self) -> Listed:
        """The list as it is now. Raises KeyformError if the endpoint's keys cannot be set on it."""
        reading = require_settable(self.ref, read_endpoint(self.project, self.place, self.ref))
        closed = {self.ref} if reading.bound or reading.endpoint.auth_enabled else set[EndpointRef]()
        return Listed(tuple(Binding(name, self.ref) for name in reading.bound), frozenset(closed))

    def left_on(self, endpoint: EndpointRef, after: Sequence[Binding]) -> Sequence[Binding]:  # noqa: ARG002
        """The list itself."""
        return after

    def write(self, bindings: Sequence[Binding]) -> None:
        """Write the whole list, and wait for the tasks.

        An empty list turns authentication off [D]: without `opens` it is a ValueError, and nothing is sent. Raises
        TaskFailed if a task ends in ERROR, in an unknown state, or not in time.
        """
        if not bindings and not self.opens:
            raise ValueError(f"an empty list would make {self.ref} public, and `opens` does not say so")
        # [D] never null, and never together with `auth_enabled`.
        body = {"api_keys": [binding.key_id for binding in bindings]}
        call = self.project.call("PATCH", self.place, self.ref.name, "set the keys of", body)

        def settle(answer: Answer) -> None:
            if answer.payload is None or self._is_shown_by(answer.payload):
                return  # no task: the reading that follows decides
            tasks = self.project.read(
                answer, lambda payload: task_ids(payload, f"the write to {self.ref}"), in_doubt=True
            )
            await_tasks(self.project, tasks, call)

        self.project.write_bindings(call, settle)

    def _is_shown_by(self, payload: object) -> bool:
        """Whether an answer is the endpoint itself, as of an API without tasks."""
        return isinstance(payload, dict) and "tasks" not in payload and payload.get("name") == self.ref.name
