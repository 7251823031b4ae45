"""API keys in v2: identified by id, changed by PATCH, and linked to deployments from the key's side [D]."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from reconciler.emulator import bindings, v2
from reconciler.emulator.keeping import (
    Telling,
    answer_patch,
    echo,
    keep_description,
    keep_expiry,
    tell_created_at,
    tell_expires_at,
)
from reconciler.emulator.keys import check_name, check_quota, insert_key, read_expiry, remove_key
from reconciler.emulator.modes import Modes
from reconciler.emulator.validation import read_body
from reconciler.emulator.wire import NO_CONTENT, Answer, conflict, json_answer, not_found, validation_error
from reconciler.emulator.world import Call

FIELDS = ("description", "expires_at", "inference_instance_ids", "project_id")
"""[D] What a PATCH may change."""
OF_PROJECT = "SELECT id FROM keys WHERE project_id = ?"
OF_KEY = "?"


def _links_of(keys: str) -> str:
    """The query for the ids that keys show as those of their deployments, without applications' ones."""
    return (
        "SELECT b.key_id, d.uuid, d.id AS place FROM bindings b JOIN deployments d ON d.id = b.target_id"  # noqa: S608
        f" WHERE b.kind = 'deployment' AND d.application_id IS NULL AND b.key_id IN ({keys})"
        f" UNION ALL SELECT key_id, uuid, deployment_id FROM stale_links WHERE key_id IN ({keys}) ORDER BY place"
    )


LINKS_OF_PROJECT, LINKS_OF_KEY = _links_of(OF_PROJECT), _links_of(OF_KEY)


def create_key(call: Call) -> Answer:
    """POST: 200 with the `secret`, and linked at once; 409 if the name is taken [D]."""
    body = read_body(call.request, "KEY_CREATE_V2")
    world = call.world
    project_id = v2.project_of(call, body.get("project_id"))
    expires_at = keep_expiry(world, read_expiry(call, body.get("expires_at")))
    check_name(call, project_id, body["name"])
    check_quota(world, project_id)
    secret = world.new_secret()
    key_id = insert_key(
        world,
        project_id,
        body["name"],
        description=keep_description(world, body.get("description")),
        secret=secret,
        created_at=call.now,
        expires_at=expires_at,
    )
    _link(call, key_id, body.get("inference_instance_ids", []))
    shown = _show_one(call, _row(call, key_id), "create")
    return json_answer(200, echo(world, shown, body) | {"secret": secret})


def list_keys(call: Call) -> Answer:
    """GET of a project's keys."""

    def show(project_id: int, rows: list[sqlite3.Row]) -> list[dict[str, Any]]:
        ids: dict[int, list[str]] = {}
        for link in call.world.rows(LINKS_OF_PROJECT, project_id, project_id):
            ids.setdefault(link["key_id"], []).append(link["uuid"])
        return [_show(call, row, ids.get(row["id"], []), "list") for row in rows]

    return v2.answer_list(call, lambda project: call.world.all_of("keys", project, call.world.modes.list_order), show)


def get_key(call: Call) -> Answer:
    """GET of one key: everything but its secret [D]."""
    return json_answer(200, _show_one(call, _find(call), "alone"))


def update_key(call: Call) -> Answer:
    """PATCH: what null and what a missing field mean are modes [U], as is whether there can be a name."""
    row = _find(call)
    world = call.world
    renames = world.modes.key_name_patch == "renames"
    body = read_body(call.request, "KEY_RENAME_V2" if renames else "KEY_UPDATE_V2")
    before, changes = _show_one(call, row, "alone"), _changes(world.modes, body)
    if world.modes.key_patch == "ignored":
        return answer_patch(world, before, before, body)
    name, project_id, expires_at = changes.get("name", row["name"]), row["project_id"], row["expires_at"]
    if "project_id" in changes:
        project_id = v2.project_of(call, changes["project_id"])
    if "expires_at" in changes:
        expires_at = keep_expiry(world, read_expiry(call, changes["expires_at"]))
    if (project_id, name) != (row["project_id"], row["name"]):
        check_name(call, project_id, name)
    world.run(
        "UPDATE keys SET project_id = ?, name = ?, description = ?, expires_at = ? WHERE id = ?",
        project_id,
        name,
        keep_description(world, changes["description"]) if "description" in changes else row["description"],
        expires_at,
        row["id"],
    )
    if "inference_instance_ids" in changes:
        _link(call, row["id"], changes["inference_instance_ids"] or [])
    return answer_patch(world, before, _show_one(call, _row(call, row["id"]), "alone"), body)


def delete_key(call: Call) -> Answer:
    """DELETE: 204 [D]; of a key that opens something, a mode [U]."""
    row = _find(call)
    world = call.world
    if world.modes.key_delete == "ignored":
        return NO_CONTENT
    if bindings.places_of(world, row["id"]):
        if world.modes.attached_key_delete == "refused":
            raise conflict(f"API key {row['name']} is attached to inference instances")
        auth_turns_off = world.modes.last_key_unlinked == "auth_turns_off"
        bindings.take_off_all(world, row["id"], call.now, auth_turns_off=auth_turns_off)
    remove_key(world, row["id"], call.now)
    return NO_CONTENT


def _find(call: Call) -> sqlite3.Row:
    uuid = call.path["key_id"]
    row = v2.find(call, "keys", uuid)
    if row is None:
        raise not_found("API key", uuid)
    v2.project_of(call, row["project_id"])
    return row


def _row(call: Call, key_id: int) -> sqlite3.Row:
    row = call.world.row("SELECT * FROM keys WHERE id = ?", key_id)
    assert row is not None  # noqa: S101 - written just now
    return row


def _changes(modes: Modes, body: dict[str, Any]) -> dict[str, Any]:
    """The fields that a PATCH changes; None empties one."""
    changes = {name: value for name, value in body.items() if value is not None or modes.patch_null == "clears"}
    if modes.patch_missing == "resets":
        changes |= {name: None for name in FIELDS if name not in body}
    return changes


def _link(call: Call, key_id: int, ids: Sequence[str]) -> None:
    """Let a key open the deployments of these ids, and apart from them only what it opens through applications."""
    world = call.world
    key = _row(call, key_id)
    held = bindings.own_links(world, key_id)
    stale = {row["uuid"] for row in world.rows("SELECT uuid FROM stale_links WHERE key_id = ?", key_id)}
    wanted: list[int] = []
    problems: list[str] = []
    for uuid in dict.fromkeys(ids):
        instance = v2.find(call, "deployments", uuid)
        if instance is not None and instance["application_id"] is None:
            wanted.append(instance["id"])
        elif uuid not in stale and world.modes.unknown_instance == "reject":
            problems.append(f"Inference instance {uuid} not found")
    new = [target for target in wanted if target not in held]
    if new and bindings.may_not_attach(world, key, call.now):
        problems.append("API key has expired")
    if problems:
        raise validation_error({"inference_instance_ids": problems})
    if world.modes.api_keys_kept == "ignored":
        return
    for target in sorted(held.difference(wanted)):
        bindings.unlink(world, key_id, target, call.now)
    for target in new:
        bindings.link(world, key_id, target, call.now)
    for uuid in stale.difference(ids):
        world.run("DELETE FROM stale_links WHERE key_id = ? AND uuid = ?", key_id, uuid)


def _show_one(call: Call, row: sqlite3.Row, telling: Telling) -> dict[str, Any]:
    return _show(call, row, [link["uuid"] for link in call.world.rows(LINKS_OF_KEY, row["id"], row["id"])], telling)


def _show(call: Call, row: sqlite3.Row, instance_ids: list[str], telling: Telling) -> dict[str, Any]:
    world = call.world
    expired = row["expires_at"] is not None and row["expires_at"] <= call.now
    return {
        "key_id": row["uuid"],
        "name": row["name"],
        "status": "EXPIRED" if expired and world.modes.key_status == "tells_expiry" else "ACTIVE",
        "created_at": tell_created_at(world, row, telling),
        "description": row["description"],
        "expires_at": tell_expires_at(world, row),
        "inference_instance_ids": instance_ids,
        "project_id": row["project_id"] if world.modes.key_project == "number" else None,
    }
