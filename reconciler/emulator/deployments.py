"""Deployments: every write is a task; the list of keys is written as a whole, and an empty one opens the door [D]."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from reconciler.emulator import bindings
from reconciler.emulator.deployment_view import show_deployment
from reconciler.emulator.tasks import TaskFailedError, Work, start_task
from reconciler.emulator.validation import read_body, read_paging
from reconciler.emulator.wire import Answer, conflict, json_answer, not_found, validation_error
from reconciler.emulator.world import Call, World, pack, unpack

DEFAULTS: dict[str, Any] = {
    "description": "",
    "credentials_name": "",
    "envs": {},
    "command": None,
    "ingress_opts": None,
    "logging": None,
    "probes": None,
    "timeout": 120,
}
"""[D] What create leaves out."""
NOT_NULL = ("image", "listening_port", "containers", "credentials_name", "description", "envs")
"""Fields whose null in a PATCH means "as it is" [I]: their answers have no null."""
BOTH_GIVEN = "`auth_enabled` and `api_keys` are both specified"


def create_deployment(call: Call) -> Answer:
    """POST: a task that ends with the deployment ACTIVE; until then it is DEPLOYING and has no address [I]."""
    body = read_body(call.request, "DEPLOYMENT_CREATE")
    _check_auth(body)
    names = body.pop("api_keys", [])
    bindings.check_keys(call.world, call.project_id, names, call.now)
    if call.world.find("deployments", call.project_id, body["name"]):
        raise conflict(f"Inference deployment {body['name']} already exists")
    auth_enabled = body.pop("auth_enabled", False)
    deployment_id = insert_deployment(call.world, call.project_id, body, now=call.now, status="DEPLOYING")
    attach_first_keys(call.world, call.project_id, deployment_id, names, now=call.now, auth_enabled=auth_enabled)
    return start_task(
        call,
        "create_inference_instance",
        "deployment",
        deployment_id,
        work={"api_keys": names},
        data=body | {"api_keys": names},
        creates=[body["name"]],
    )


def insert_deployment(
    world: World,
    project_id: int,
    body: dict[str, Any],
    *,
    now: int,
    status: str,
    application_id: int | None = None,
    component: str | None = None,
    exposed: bool = True,
    uuid: str | None = None,
) -> int:
    """Put a deployment without keys into the store, under a new uuid unless one is given, and return its row's id."""
    return world.run(
        "INSERT INTO deployments (uuid, project_id, name, status, spec, auth_enabled, created_at, application_id,"
        " component, exposed) VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
        uuid or world.new_uuid(),
        project_id,
        body["name"],
        status,
        pack(DEFAULTS | body),
        now,
        application_id,
        component,
        exposed,
    )


def attach_first_keys(
    world: World, project_id: int, deployment_id: int, names: Sequence[str], *, now: int, auth_enabled: bool = False
) -> None:
    """Attach the keys that a new deployment starts with; those that do not exist fail its task later."""
    ids = bindings.existing_key_ids(world, project_id, names)
    bindings.set_keys(world, "deployment", deployment_id, ids)
    world.run("UPDATE deployments SET auth_enabled = ? WHERE id = ?", bool(names) or auth_enabled, deployment_id)
    bindings.publish_gate(world, deployment_id, now)


def list_deployments(call: Call) -> Answer:
    """GET: `limit` is 1000 by default, and at most [D]."""
    limit, offset = read_paging(call.request, default=1000)
    world = call.world
    rows = world.all_of("deployments", call.project_id, world.modes.list_order)
    page = [show_deployment(world, row) for row in rows[offset : offset + limit]]
    return json_answer(200, {"count": len(rows), "results": page})


def get_deployment(call: Call) -> Answer:
    """GET of one deployment."""
    return json_answer(200, show_deployment(call.world, _find(call)))


def update_deployment(call: Call) -> Answer:
    """PATCH: a task; only what is given changes, `api_keys` as a whole [D]."""
    row = _find(call)
    world = call.world
    body = read_body(call.request, "DEPLOYMENT_UPDATE")
    _check_auth(body)
    if row["status"] == "DELETING":
        raise conflict(f"Inference deployment {row['name']} is being deleted")
    work = {name: value for name, value in body.items() if value is not None or name not in NOT_NULL}
    if "api_keys" in work and work["api_keys"] is None:
        match world.modes.null_api_keys:
            case "clears":
                work["api_keys"] = []
            case "refused":
                raise validation_error({"api_keys": ["Input should be a valid list"]})
            case "ignored":
                del work["api_keys"]
    if row["application_id"] is not None and work.keys() & {"api_keys", "auth_enabled"}:
        match world.modes.owned_deployment_patch:
            case "refused":
                raise conflict(f"Inference deployment {row['name']} belongs to an application")
            case "ignored":
                work = {name: value for name, value in work.items() if name not in {"api_keys", "auth_enabled"}}
            case "accepted":
                pass
    bindings.check_keys(world, call.project_id, work.get("api_keys", []), call.now)
    return start_task(call, "update_inference_instance", "deployment", row["id"], work=work, data=body)


def delete_deployment(call: Call) -> Answer:
    """DELETE: a task; the attached keys stay. A child goes only with its application [I]."""
    row = _find(call)
    if row["application_id"] is not None:
        raise conflict(f"Inference deployment {row['name']} belongs to an application")
    if row["status"] == "DELETING":
        raise conflict(f"Inference deployment {row['name']} is being deleted")
    answer = start_task(call, "delete_inference_instance", "deployment", row["id"], data={"name": row["name"]})
    call.world.run("UPDATE deployments SET status = 'DELETING' WHERE id = ?", row["id"])
    return answer


def remove_deployment(world: World, deployment_id: int) -> None:
    """Remove a deployment from the store, with everything that depends on it; whether keys still name it is a
    mode [U].
    """
    if world.modes.deleted_instance == "still_listed":
        world.run(
            "INSERT INTO stale_links SELECT b.key_id, d.id, d.uuid FROM bindings b JOIN deployments d"
            " ON d.id = b.target_id WHERE b.kind = 'deployment' AND d.id = ? AND d.application_id IS NULL",
            deployment_id,
        )
    world.run("DELETE FROM bindings WHERE kind = 'deployment' AND target_id = ?", deployment_id)
    world.run("DELETE FROM gates WHERE deployment_id = ?", deployment_id)
    world.run("DELETE FROM deployments WHERE id = ?", deployment_id)


def bury_deployment(world: World, deployment_id: int) -> None:
    """Remove a deployment from the store, and leave what v2 shows of a deleted one."""
    world.run("UPDATE deployments SET status = 'DELETED' WHERE id = ?", deployment_id)
    world.run("INSERT INTO deleted_deployments SELECT * FROM deployments WHERE id = ?", deployment_id)
    remove_deployment(world, deployment_id)


def _find(call: Call) -> sqlite3.Row:
    name = call.path["deployment_name"]
    row = call.world.find("deployments", call.project_id, name)
    if row is None:
        raise not_found("Inference deployment", name)
    return row


def _check_auth(body: dict[str, Any]) -> None:
    if "auth_enabled" in body and "api_keys" in body:
        raise validation_error({"auth_enabled": [BOTH_GIVEN], "api_keys": [BOTH_GIVEN]})


def _finish_create(world: World, project_id: int, deployment_id: int, work: dict[str, Any], _at: int) -> None:
    bindings.key_ids(world, project_id, work["api_keys"])
    world.run("UPDATE deployments SET status = 'ACTIVE' WHERE id = ?", deployment_id)


def _fail_create(world: World, _project: int, deployment_id: int, _work: dict[str, Any], _at: int) -> None:
    remove_deployment(world, deployment_id)


def _finish_update(world: World, project_id: int, deployment_id: int, work: dict[str, Any], at: int) -> None:
    row = world.row("SELECT * FROM deployments WHERE id = ?", deployment_id)
    if row is None:
        raise TaskFailedError("Inference deployment not found")
    fields = dict(work)
    names = fields.pop("api_keys", None)
    auth_enabled = fields.pop("auth_enabled", None)
    ids = None if names is None else bindings.key_ids(world, project_id, names)
    if fields:
        world.run("UPDATE deployments SET spec = ? WHERE id = ?", pack(unpack(row["spec"]) | fields), deployment_id)
    if ids is not None:
        bindings.write_deployment_keys(world, deployment_id, ids, at)
    if auth_enabled is not None:
        if not auth_enabled and world.modes.auth_disabled == "clears_keys":
            bindings.set_keys(world, "deployment", deployment_id, [])
        world.run("UPDATE deployments SET auth_enabled = ? WHERE id = ?", auth_enabled, deployment_id)
        bindings.publish_gate(world, deployment_id, at)


def _finish_delete(world: World, _project: int, deployment_id: int, _work: dict[str, Any], _at: int) -> None:
    remove_deployment(world, deployment_id)


def _fail_delete(world: World, _project: int, deployment_id: int, _work: dict[str, Any], _at: int) -> None:
    world.run("UPDATE deployments SET status = 'ACTIVE' WHERE id = ?", deployment_id)


def nothing(_world: World, _project: int, _target: int, _work: dict[str, Any], _at: int) -> None:
    """The state after a failed update: everything as it was [I]."""


WORKS = {
    "create_inference_instance": Work(_finish_create, _fail_create),
    "update_inference_instance": Work(_finish_update, nothing),
    "delete_inference_instance": Work(_finish_delete, _fail_delete),
}
