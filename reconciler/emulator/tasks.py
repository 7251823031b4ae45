"""Work that takes time: a write answers with a task at once, and its effect comes later [D].

Nothing runs in the background. A task's row says when it starts, takes effect and ends; `settle` brings the store up to
an instant, in the order of time, and a task's state follows from the clock alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.emulator.bindings import Kind, UnknownKeyError, detach, next_expiry
from reconciler.emulator.validation import read_instant, read_paging, read_project_id
from reconciler.emulator.wire import Answer, conflict, json_answer, not_found, validation_error
from reconciler.emulator.world import Call, World, pack, unpack

STATES = ("NEW", "RUNNING", "FINISHED", "ERROR")
NEVER = 2**62
"""The instant at which a held task is due."""
USER_ID, CLIENT_ID = 1, 1
_ENDS = {"finished": "FINISHED", "never": "RUNNING", "cancelled": "CANCELLED", "empty": "", "null": ""}

Effect = Callable[[World, int, int, dict[str, Any], int], None]
"""(world, project id, row of the target, the task's work, the instant in microseconds)."""


class TaskFailedError(Exception):
    """A task could not take effect; the text becomes the task's `error`."""


@dataclass(frozen=True, slots=True)
class Work:
    """The effect of a task on the store, and what it leaves if it fails instead.

    `apply` fails with TaskFailedError, or with UnknownKeyError for a key that has gone since the request, or never
    existed.
    """

    apply: Effect
    undo: Effect


def start_task(
    call: Call,
    task_type: str,
    kind: Kind,
    target_id: int,
    *,
    work: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    creates: list[str] | None = None,
) -> Answer:
    """Begin a task, and answer `{"tasks": [id]}` [D].

    `work` is what its effect needs, `data` what GET shows, `creates` the deployments that it will have created. If
    another task runs on the same object, the mode decides [U].
    """
    world = call.world
    starts_at = call.now
    busy = world.row(
        "SELECT max(due_at) AS until FROM tasks WHERE kind = ? AND target_id = ? AND next_at IS NOT NULL",
        kind,
        target_id,
    )
    if busy is not None and busy["until"] is not None:
        if world.modes.write_while_busy == "refuse":
            raise conflict(f"Another task is running on this {kind}")
        if world.modes.write_while_busy == "queue":
            starts_at = busy["until"]
    due_at = min(starts_at + world.task_length(), NEVER)
    early = world.modes.effect == "at_start" and task_type.startswith("update_")
    effect_at = starts_at if early else due_at
    uuid = world.new_uuid()
    world.note(
        "INSERT INTO tasks (uuid, project_id, task_type, kind, target_id, work, data, created_resources, created_at,"
        " starts_at, effect_at, due_at, next_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        uuid,
        call.project_id,
        task_type,
        kind,
        target_id,
        pack(work or {}),
        pack(data or {}),
        pack({"inference_instances": creates}) if creates else None,
        call.now,
        starts_at,
        effect_at,
        due_at,
        effect_at,
    )
    return json_answer(200, {"tasks": [uuid]})


def settle(world: World, now: int, works: Mapping[str, Work], *, effects_only: bool = False) -> int:
    """Bring the store up to `now`: due effects and ends of tasks, and expiries, each at its own instant, in order.

    Returns the instant at which the next of them is due. `effects_only` leaves out what is about to end: for the end of
    a request, whose own effect may be immediate.
    """
    query = "SELECT * FROM tasks WHERE next_at IS NOT NULL AND done = 0 ORDER BY next_at, id LIMIT 1"
    if not effects_only:
        query = "SELECT * FROM tasks WHERE next_at IS NOT NULL ORDER BY next_at, id LIMIT 1"
    while True:
        task = world.row(query)
        task_at: int = NEVER if task is None else task["next_at"]
        expires_at, key_id = next_expiry(world) or (NEVER, 0)
        if min(task_at, expires_at) > now:
            return min(task_at, expires_at)
        if task is None or expires_at <= task_at:
            detach(world, key_id, expires_at)
        elif task["done"]:
            world.note("UPDATE tasks SET next_at = NULL, finished_at = ? WHERE id = ?", task["due_at"], task["id"])
        else:
            _take_effect(world, task, works[task["task_type"]])


def _take_effect(world: World, task: sqlite3.Row, work: Work) -> None:
    target = (world, task["project_id"], task["target_id"], unpack(task["work"]), task["next_at"])
    error = task["error"]
    if error is None:
        world.run("SAVEPOINT effect")
        try:
            work.apply(*target)
        except (TaskFailedError, UnknownKeyError) as failure:
            world.run("ROLLBACK TO effect")
            error = str(failure)
        world.run("RELEASE effect")
    if error is not None:
        work.undo(*target)
    world.note("UPDATE tasks SET done = 1, next_at = due_at, error = ? WHERE id = ?", error, task["id"])


def steer(world: World, uuid: str, *, due_at: int | None = None, error: str | None = None) -> None:
    """Change the fate of a running task: when it is due, or that it ends in `error`. KeyError if it has ended.

    An effect that has happened already stays: the task of a PATCH that showed at once may still fail.
    """
    task = world.row("SELECT * FROM tasks WHERE uuid = ? AND next_at IS NOT NULL", uuid)
    if task is None:
        raise KeyError(f"no task {uuid} is under way")
    if error is not None:
        world.note("UPDATE tasks SET error = ? WHERE id = ?", error, task["id"])
    if due_at is not None:
        _reschedule(world, task, task["starts_at"], due_at)
        # Tasks that wait for their turn behind this one move with it.
        old, new = task["due_at"], due_at
        for waiting in world.rows(
            "SELECT * FROM tasks WHERE kind = ? AND target_id = ? AND id > ? AND starts_at >= ? AND next_at IS NOT NULL"
            " ORDER BY id",
            task["kind"],
            task["target_id"],
            task["id"],
            old,
        ):
            starts_at, new = new, min(new + world.task_length(), NEVER)
            _reschedule(world, waiting, starts_at, new)


def _reschedule(world: World, task: sqlite3.Row, starts_at: int, due_at: int) -> None:
    effect_at = starts_at if task["effect_at"] < task["due_at"] else due_at
    world.note(
        "UPDATE tasks SET starts_at = ?, effect_at = ?, due_at = ?, next_at = ? WHERE id = ?",
        starts_at,
        effect_at,
        due_at,
        due_at if task["done"] else effect_at,
        task["id"],
    )


def get_task(call: Call) -> Answer:
    """GET `/cloud/v1/tasks/{task_id}`: 404 too for a task of a project that the token does not open [I]."""
    uuid = call.path["task_id"]
    task = call.world.row("SELECT * FROM tasks WHERE uuid = ?", uuid)
    if task is None or task["project_id"] not in call.projects:
        raise not_found("Task", uuid)
    return json_answer(200, _show(call.world, task, call.now))


FILTERS = (
    "project_id",
    "state",
    "task_type",
    "region_id",
    "is_acknowledged",
    "from_timestamp",
    "to_timestamp",
    "order_by",
    "sorting",
)


def list_tasks(call: Call) -> Answer:
    """GET `/cloud/v1/tasks`: `limit` is 10 by default, at most 1000 [C]; the most recent comes first [I].

    `project_id` and `state` may be given several times. Nothing here has a region or can be acknowledged, so those
    filters find nothing, or everything.
    """
    limit, offset = read_paging(call.request, default=10, known=FILTERS)
    given = call.request.parameters
    projects = {read_project_id(text) for text in given.get("project_id", [])} or call.projects.keys()
    states = _chosen(given, "state", STATES)
    order = _chosen(given, "order_by", ("asc", "desc")) or _chosen(given, "sorting", ("asc", "desc")) or ["desc"]
    acknowledged = _chosen(given, "is_acknowledged", ("true", "false"))
    after = read_instant("from_timestamp", given["from_timestamp"][-1]) if "from_timestamp" in given else 0
    before = read_instant("to_timestamp", given["to_timestamp"][-1]) if "to_timestamp" in given else NEVER
    nothing = "region_id" in given or "true" in acknowledged
    rows = call.world.rows(
        "SELECT * FROM tasks WHERE created_at BETWEEN ? AND ? ORDER BY created_at, id",
        after,
        before,
    )
    found = [
        task
        for task in (rows if order[-1] == "asc" else reversed(rows))
        if not nothing
        and task["project_id"] in projects & call.projects.keys()
        and task["task_type"] in given.get("task_type", [task["task_type"]])
        and (not states or _state(call.world, task, call.now) in states)
    ]
    page = [_show(call.world, task, call.now) for task in found[offset : offset + limit]]
    return json_answer(200, {"count": len(found), "results": page})


def _chosen(given: Mapping[str, list[str]], name: str, allowed: tuple[str, ...]) -> list[str]:
    chosen = given.get(name, [])
    if any(value not in allowed for value in chosen):
        raise validation_error({name: [f"Input should be {', '.join(map(repr, allowed))}"]})
    return chosen


def _state(world: World, task: sqlite3.Row, now: int) -> str:
    """NEW for the first fifth of its time, then RUNNING, then FINISHED or ERROR [D]."""
    if task["next_at"] is None:
        return _ENDS[world.modes.task_end] if task["error"] is None else "ERROR"
    return "NEW" if now < task["starts_at"] + world.task_length() // 5 else "RUNNING"


def _show(world: World, task: sqlite3.Row, now: int) -> dict[str, Any]:
    state = _state(world, task, now)
    finished = world.timestamp("finished_on", task["finished_at"])
    return {
        "id": task["uuid"],
        "task_type": task["task_type"],
        "state": None if world.modes.task_end == "null" and not state else state,
        "detailed_state": state if state in {"FINISHED", "ERROR"} else None,
        "error": task["error"] if state == "ERROR" else None,
        "data": unpack(task["data"]),
        "created_resources": unpack(task["created_resources"] or "null") if state == "FINISHED" else None,
        "created_on": world.timestamp("created_on", task["created_at"]),
        "updated_on": finished or world.timestamp("updated_on", task["created_at"]),
        "finished_on": finished,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "user_id": USER_ID,
        "user_client_id": CLIENT_ID,
        "client_id": CLIENT_ID,
        "project_id": task["project_id"],
        "region_id": None,
        "request_id": None,
        "job_id": task["uuid"],
        "lifecycle_policy_id": None,
        "schedule_id": None,
    }
