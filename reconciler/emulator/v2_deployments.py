"""Deployments in v2: written at once, and by PUT as a whole, including keys and authentication [D].

v2 does not show the deployments of applications [I].
"""

from __future__ import annotations

import sqlite3
from typing import Any

from reconciler.emulator import bindings, v2
from reconciler.emulator.deployment_view import flavor_id, show_instance
from reconciler.emulator.deployments import DEFAULTS, bury_deployment, insert_deployment, remove_deployment
from reconciler.emulator.validation import read_body
from reconciler.emulator.wire import NO_CONTENT, Answer, conflict, json_answer, not_found, validation_error
from reconciler.emulator.world import ROW_ORDERS, Call, pack, unpack

APART = {"api_key_ids", "auth_enabled", "flavor_id", "project_id"}
"""Fields of a body that are stored outside a deployment's settings, or in another form."""
ONLY_IN_V3 = ("credentials_name", "ingress_opts", "logging")
"""Settings that v2 does not know: a PUT leaves them as they are [I]."""
ATTACHED = (
    "SELECT b.target_id, k.uuid FROM bindings b JOIN keys k ON k.id = b.key_id"
    " WHERE b.kind = 'deployment' AND b.target_id IN ({}) ORDER BY b.target_id, b.position"
)
ATTACHED_IN_PROJECT = ATTACHED.format("SELECT id FROM deployments WHERE project_id = ?")
ATTACHED_TO_ONE = ATTACHED.format("?")


def create_deployment(call: Call) -> Answer:
    """POST: 200 with the deployment, which is ACTIVE at once [I]; 409 if the name is taken [D], unless in a mode."""
    body = read_body(call.request, "DEPLOYMENT_V2")
    project_id = v2.project_of(call, body.get("project_id"))
    _check_name(call, project_id, body["name"], None)
    settings = _settings(body, body["flavor_id"])
    deployment_id = insert_deployment(call.world, project_id, settings, now=call.now, status="ACTIVE")
    _write_keys(call, deployment_id, body)
    return _answer(call, deployment_id)


def list_deployments(call: Call) -> Answer:
    """GET of a project's deployments."""
    world = call.world

    def rows_of(project_id: int) -> list[sqlite3.Row]:
        order = world.modes.list_order
        rows = [row for row in world.all_of("deployments", project_id, order) if row["application_id"] is None]
        deleted = world.rows("SELECT * FROM deleted_deployments WHERE project_id = ?", project_id)
        return sorted(rows + deleted, key=ROW_ORDERS[order]) if deleted else rows

    def show(project_id: int, rows: list[sqlite3.Row]) -> list[dict[str, Any]]:
        ids = _key_ids(call, ATTACHED_IN_PROJECT, project_id)
        return [show_instance(world, row, ids.get(row["id"], [])) for row in rows]

    return v2.answer_list(call, rows_of, show)


def get_deployment(call: Call) -> Answer:
    """GET of one deployment; one that was deleted may still be shown."""
    row = _live(call) or _deleted(call)
    if row is None:
        raise _not_found(call)
    return _show(call, row)


def replace_deployment(call: Call) -> Answer:
    """PUT: everything is replaced, and missing fields get their default: no keys, no authentication [D]."""
    row = _find(call)
    body = read_body(call.request, "DEPLOYMENT_V2")
    project_id = row["project_id"] if body.get("project_id") is None else v2.project_of(call, body["project_id"])
    _check_name(call, project_id, body["name"], row["id"])
    old = unpack(row["spec"])
    # A flavor that is only given back keeps the name that v3 knows.
    flavor = old["flavor_name"] if body["flavor_id"] == flavor_id(old["flavor_name"]) else body["flavor_id"]
    kept = {name: old[name] for name in ONLY_IN_V3}
    call.world.run(
        "UPDATE deployments SET project_id = ?, name = ?, spec = ? WHERE id = ?",
        project_id,
        body["name"],
        pack(DEFAULTS | kept | _settings(body, flavor)),
        row["id"],
    )
    _write_keys(call, row["id"], body)
    return _answer(call, row["id"])


def delete_deployment(call: Call) -> Answer:
    """DELETE: 204 [D]; the attached keys stay. What is left to see of the deployment is a mode [U]."""
    row = _find(call)
    if call.world.modes.deleted_deployment == "listed":
        bury_deployment(call.world, row["id"])
    else:
        remove_deployment(call.world, row["id"])
    return NO_CONTENT


def _live(call: Call) -> sqlite3.Row | None:
    row = v2.find(call, "deployments", call.path["instance_id"])
    return None if row is None or row["application_id"] is not None else row


def _deleted(call: Call) -> sqlite3.Row | None:
    row = call.world.row("SELECT * FROM deleted_deployments WHERE uuid = ?", call.path["instance_id"])
    return row if row is not None and row["project_id"] in call.projects else None


def _not_found(call: Call) -> Exception:
    return not_found("Inference instance", call.path["instance_id"])


def _find(call: Call) -> sqlite3.Row:
    """The deployment that is to be written."""
    row = _live(call)
    if row is None:
        raise _not_found(call)
    v2.project_of(call, row["project_id"])
    if row["status"] == "DELETING":
        raise conflict(f"Inference instance {row['name']} is being deleted")
    return row


def _check_name(call: Call, project_id: int, name: str, own_id: int | None) -> None:
    if call.world.modes.twin_deployments == "refused":
        taken = call.world.find("deployments", project_id, name)
        if taken is not None and taken["id"] != own_id:
            raise conflict(f"Inference instance {name} already exists")


def _settings(body: dict[str, Any], flavor_name: str) -> dict[str, Any]:
    """A body in the form in which both generations keep a deployment's settings."""
    settings = {name: value for name, value in body.items() if name not in APART}
    settings["flavor_name"] = flavor_name
    settings["containers"] = [container | {"scale": _scale(container["scale"])} for container in body["containers"]]
    return settings


def _scale(scale: dict[str, Any]) -> dict[str, Any]:
    """Null triggers are those that are left out [D]."""
    return {name: value for name, value in scale.items() if name != "triggers" or value is not None}


def _write_keys(call: Call, deployment_id: int, body: dict[str, Any]) -> None:
    """Set the list of keys and, separately, whether a key is required [D]."""
    world = call.world
    ids: list[int] = []
    problems: list[str] = []
    for uuid in dict.fromkeys(body.get("api_key_ids", [])):
        key = v2.find(call, "keys", uuid)
        if key is None:
            problems.append(f"API key {uuid} not found")
            continue
        ids.append(key["id"])
        if bindings.may_not_attach(world, key, call.now):
            problems.append(f"API key {uuid} has expired")
    if problems:
        raise validation_error({"api_key_ids": problems})
    bindings.set_keys(world, "deployment", deployment_id, ids)
    world.run("UPDATE deployments SET auth_enabled = ? WHERE id = ?", body.get("auth_enabled", False), deployment_id)
    bindings.publish_gate(world, deployment_id, call.now)


def _key_ids(call: Call, query: str, whose: int) -> dict[int, list[str]]:
    """For each deployment, by its row's id, the ids of its keys."""
    ids: dict[int, list[str]] = {}
    for row in call.world.rows(query, whose):
        ids.setdefault(row["target_id"], []).append(row["uuid"])
    if call.world.modes.api_keys_order == "sorted":
        return {target: sorted(uuids) for target, uuids in ids.items()}
    return ids


def _show(call: Call, row: sqlite3.Row) -> Answer:
    ids = _key_ids(call, ATTACHED_TO_ONE, row["id"]).get(row["id"], [])
    return json_answer(200, show_instance(call.world, row, ids))


def _answer(call: Call, deployment_id: int) -> Answer:
    """The deployment as it is after the write."""
    row = call.world.row("SELECT * FROM deployments WHERE id = ?", deployment_id)
    assert row is not None  # noqa: S101 - written just now
    return _show(call, row)
