"""API keys: created and shown at once, without a task; the secret is in the answer to POST and in no other [D]."""

from __future__ import annotations

import sqlite3
from typing import Any

from reconciler.emulator.bindings import detach, places_of
from reconciler.emulator.keeping import (
    HOUR,
    Telling,
    answer_patch,
    echo,
    keep_description,
    keep_expiry,
    tell_created_at,
    tell_expires_at,
)
from reconciler.emulator.validation import check_key_address, read_body, read_instant, read_paging
from reconciler.emulator.wire import NO_CONTENT, Answer, ApiError, conflict, json_answer, not_found, validation_error
from reconciler.emulator.world import Call, World

QUOTA = "inference_api_key_count_limit"
"""The name of the quota of keys [U]."""


def create_key(call: Call) -> Answer:
    """POST: 200, not 201, with the `secret` [D]; 409 if the name is taken ([D] for v2, [I] for v3)."""
    body = read_body(call.request, "KEY_CREATE")
    world, name = call.world, body["name"]
    expires_at = keep_expiry(world, read_expiry(call, body.get("expires_at")))
    check_name(call, call.project_id, name)
    check_quota(world, call.project_id)
    secret = world.new_secret()
    insert_key(
        world,
        call.project_id,
        name,
        description=keep_description(world, body.get("description")),
        secret=secret,
        created_at=call.now,
        expires_at=expires_at,
    )
    row = world.find("keys", call.project_id, name)
    assert row is not None  # noqa: S101 - inserted just now
    return json_answer(200, echo(world, _show(world, row, [], "create"), body) | {"secret": secret})


def read_expiry(call: Call, text: str | None) -> int | None:
    """The instant at which a key shall expire, None for never; one in the past is refused in a mode."""
    expires_at = None if text is None else read_instant("expires_at", text)
    if expires_at is not None and expires_at <= call.now and call.world.modes.past_expiry == "rejected":
        raise validation_error({"expires_at": ["Expiration date should be in the future"]})
    return expires_at


def check_name(call: Call, project_id: int, name: str) -> None:
    """Refuse a name that a key has, or had, if that counts: a mode [U]. A deleted key has no other traces."""
    world = call.world
    since = {"free": call.now, "reserved_for_an_hour": call.now - HOUR, "reserved": 0}[world.modes.deleted_name]
    query = "SELECT 1 FROM deleted_keys WHERE project_id = ? AND name = ? AND deleted_at > ?"
    if world.find("keys", project_id, name) or world.row(query, project_id, name, since):
        raise conflict(f"API key {name} already exists")


def check_quota(world: World, project_id: int) -> None:
    """Refuse one key more than a project may have: `QuotaLimitExceed` [D], with status and `info` by modes [U]."""
    limit = world.modes.key_quota
    used = world.number("SELECT count(*) FROM keys WHERE project_id = ?", project_id)
    if limit == "none" or used < limit:
        return
    counts = {"limit": limit, "usage": used}
    told: dict[str, Any] = {
        "counts": {"quota": QUOTA, **counts},
        "nested": {QUOTA: counts},
        "text": f"{QUOTA}: {used} of {limit} used",
    }
    info = {"info": told[world.modes.quota_info]} if world.modes.quota_info in told else {}
    raise ApiError(world.modes.quota_status, "QuotaLimitExceed", f"Quota limit exceeded: {QUOTA}", **info)


def insert_key(
    world: World,
    project_id: int,
    name: str,
    *,
    description: str | None,
    secret: str,
    created_at: int,
    expires_at: int | None,
    uuid: str | None = None,
) -> int:
    """Put a key into the store, under a new uuid unless one is given, and return its row's id."""
    return world.run(
        "INSERT INTO keys (uuid, project_id, name, description, secret, created_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        uuid or world.new_uuid(),
        project_id,
        name,
        description,
        secret,
        created_at,
        expires_at,
    )


def list_keys(call: Call) -> Answer:
    """GET: `limit` is 100 by default, at most 1000; there is no sort parameter [D]."""
    limit, offset = read_paging(call.request, default=100)
    world = call.world
    rows = world.all_of("keys", call.project_id, world.modes.list_order)
    names = _deployment_names(world, call.project_id)
    page = [_show(world, row, names.get(row["id"], []), "list") for row in rows[offset : offset + limit]]
    return json_answer(200, {"count": len(rows), "results": page})


def get_key(call: Call) -> Answer:
    """GET of one key: everything but its secret [D]."""
    return json_answer(200, _show_alone(call))


def update_key(call: Call) -> Answer:
    """PATCH: the description and nothing else; null empties it [D]."""
    row = _find(call)
    body, before, world = read_body(call.request, "KEY_UPDATE"), _show_alone(call), call.world
    if "description" in body and world.modes.key_patch == "done":
        description = keep_description(world, body["description"])
        world.run("UPDATE keys SET description = ? WHERE id = ?", description, row["id"])
    return answer_patch(world, before, _show_alone(call), body)


def delete_key(call: Call) -> Answer:
    """DELETE: 204; a key attached to a deployment is refused with `ConflictError` [D].

    Whether a key that only applications use can be deleted is a mode [U].
    """
    row = _find(call)
    if call.world.modes.key_delete == "ignored":
        return NO_CONTENT
    if places_of(call.world, row["id"]):
        _detach(call, row)
    remove_key(call.world, row["id"], call.now)
    return NO_CONTENT


def remove_key(world: World, key_id: int, at: int) -> None:
    """Remove a key that is attached to nothing from the store; its traces are a mode [U]."""
    if world.modes.data_plane_lag or world.modes.deleted_name != "free":
        world.run(
            "INSERT INTO deleted_keys SELECT id, project_id, name, secret, expires_at, ? FROM keys WHERE id = ?",
            at,
            key_id,
        )
    world.run("DELETE FROM stale_links WHERE key_id = ?", key_id)
    world.run("DELETE FROM keys WHERE id = ?", key_id)


def _detach(call: Call, row: sqlite3.Row) -> None:
    """Detach a key that is to be deleted from everything, or refuse that."""
    users = call.world.rows(
        "SELECT d.name, EXISTS (SELECT 1 FROM bindings a WHERE a.kind = 'application' AND a.key_id = b.key_id"
        " AND a.target_id = d.application_id) AS through_application FROM bindings b"
        " JOIN deployments d ON d.id = b.target_id WHERE b.kind = 'deployment' AND b.key_id = ?1"
        " UNION SELECT a.name, 1 FROM bindings b JOIN applications a ON a.id = b.target_id"
        " WHERE b.kind = 'application' AND b.key_id = ?1 ORDER BY 1",
        row["id"],
    )
    allowed = call.world.modes.application_key_delete == "allowed_and_detached"
    if not allowed or not all(user["through_application"] for user in users):
        names = ", ".join(user["name"] for user in users)
        raise conflict(f"API key {row['name']} is attached to: {names}")
    detach(call.world, row["id"], call.now)


def _find(call: Call) -> sqlite3.Row:
    name = call.path["api_key_name"]
    check_key_address(name)
    row = call.world.find("keys", call.project_id, name)
    if row is None:
        raise not_found("API key", name)
    return row


def _deployment_names(world: World, project_id: int) -> dict[int, list[str]]:
    """For each key, by its row's id, the deployments it opens; those it opens through an application are a mode [U]."""
    names: dict[int, list[str]] = {}
    for row in world.rows(
        "SELECT b.key_id, d.name, d.application_id FROM bindings b JOIN deployments d ON d.id = b.target_id"
        " WHERE b.kind = 'deployment' AND d.project_id = ? ORDER BY d.name",
        project_id,
    ):
        if row["application_id"] is None or world.modes.deployment_names == "with_children":
            names.setdefault(row["key_id"], []).append(row["name"])
    return names


def _show_alone(call: Call) -> dict[str, Any]:
    row = _find(call)
    return _show(call.world, row, _deployment_names(call.world, call.project_id).get(row["id"], []), "alone")


def _show(world: World, row: sqlite3.Row, deployment_names: list[str], telling: Telling) -> dict[str, Any]:
    return {
        "name": row["name"],
        "description": row["description"],
        "created_at": tell_created_at(world, row, telling),
        "expires_at": tell_expires_at(world, row),
        "deployment_names": deployment_names,
    }
