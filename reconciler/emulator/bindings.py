"""Which keys open what: lists of keys on deployments and applications, and what the data plane reads of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Literal

from reconciler.emulator.wire import validation_error
from reconciler.emulator.world import World, pack, unpack

Kind = Literal["deployment", "application"]
FOREVER_AGO = 0


class UnknownKeyError(Exception):
    """A name in `api_keys` that no key of the project has."""

    def __init__(self, name: str) -> None:
        super().__init__(f"API key {name} not found")
        self.name = name


def key_names(world: World, kind: Kind, target_id: int) -> list[str]:
    """The names attached to one object, in the order of the answer."""
    rows = world.rows(
        "SELECT k.name FROM bindings b JOIN keys k ON k.id = b.key_id WHERE b.kind = ? AND b.target_id = ?"
        " ORDER BY b.position",
        kind,
        target_id,
    )
    names = [row["name"] for row in rows] * (2 if world.modes.api_keys_kept == "doubled" else 1)
    return sorted(names) if world.modes.api_keys_order == "sorted" else names


def key_ids(world: World, project_id: int, names: Iterable[str]) -> list[int]:
    """The rows of these names, each once, in their order [I]; UnknownKeyError for the first that does not exist."""
    found: list[int] = []
    for name in dict.fromkeys(names):
        row = world.find("keys", project_id, name)
        if row is None:
            raise UnknownKeyError(name)
        found.append(row["id"])
    return found


def existing_key_ids(world: World, project_id: int, names: Iterable[str]) -> list[int]:
    """The rows of those names that exist: what a new object starts with, while its task may still fail."""
    rows = [world.find("keys", project_id, name) for name in dict.fromkeys(names)]
    return [row["id"] for row in rows if row is not None]


def check_keys(world: World, project_id: int, names: Iterable[str], now: int) -> None:
    """Refuse, with 400, the names in a body that could not be attached; a mode decides which those are [U]."""
    problems: list[str] = []
    for name in dict.fromkeys(names):
        row = world.find("keys", project_id, name)
        if row is None:
            if world.modes.unknown_key == "reject":
                problems.append(f"API key {name} not found")
        elif may_not_attach(world, row, now):
            problems.append(f"API key {name} has expired")
    if problems:
        raise validation_error({"api_keys": problems})


def may_not_attach(world: World, key: sqlite3.Row, now: int) -> bool:
    """Whether a key has expired, in a world that then refuses to attach it; a mode decides that [U]."""
    return world.modes.attach_expired == "rejected" and key["expires_at"] is not None and key["expires_at"] <= now


def set_keys(world: World, kind: Kind, target_id: int, ids: Sequence[int]) -> None:
    """Replace the whole list of one object. The data plane's own list is not touched: see `publish_gate`."""
    world.run("DELETE FROM bindings WHERE kind = ? AND target_id = ?", kind, target_id)
    world.db.executemany(
        "INSERT INTO bindings VALUES (?, ?, ?, ?)",
        [(kind, target_id, key_id, position) for position, key_id in enumerate(ids)],
    )


def write_deployment_keys(world: World, deployment_id: int, ids: Sequence[int], at: int) -> None:
    """Set a deployment's list; an empty one turns authentication off [D], any other turns it on."""
    if world.modes.api_keys_kept == "ignored":
        return
    set_keys(world, "deployment", deployment_id, ids)
    world.run("UPDATE deployments SET auth_enabled = ? WHERE id = ?", bool(ids), deployment_id)
    publish_gate(world, deployment_id, at)


def write_application_keys(world: World, application_id: int, ids: Sequence[int], at: int) -> None:
    """Set an application's list, and that of every deployment that belongs to it [I]."""
    if world.modes.api_keys_kept == "ignored":
        return
    set_keys(world, "application", application_id, ids)
    for child in world.rows("SELECT id FROM deployments WHERE application_id = ?", application_id):
        write_deployment_keys(world, child["id"], ids, at)


def publish_gate(world: World, deployment_id: int, at: int) -> None:
    """Let the data plane follow the deployment's row and list: at once, or after the lag of the mode."""
    state = world.row("SELECT auth_enabled FROM deployments WHERE id = ?", deployment_id)
    if state is None:
        return
    attached = world.rows(
        "SELECT key_id FROM bindings WHERE kind = 'deployment' AND target_id = ? ORDER BY position", deployment_id
    )
    newest = world.row("SELECT max(since) AS since FROM gates WHERE deployment_id = ?", deployment_id)
    since = FOREVER_AGO
    if newest is not None and newest["since"] is not None:
        # Not before an earlier change: a key that had expired long ago may have been attached only now.
        since = max(at + world.modes.data_plane_lag * 1_000_000, newest["since"])
    world.run(
        "DELETE FROM gates WHERE deployment_id = ?1 AND since < (SELECT max(since) FROM gates"
        " WHERE deployment_id = ?1 AND since <= ?2)",
        deployment_id,
        at,
    )
    world.run(
        "INSERT INTO gates (deployment_id, since, auth_enabled, key_ids) VALUES (?, ?, ?, ?)",
        deployment_id,
        since,
        state["auth_enabled"],
        pack([row["key_id"] for row in attached]),
    )


def opens(world: World, deployment_id: int, secret: str | None, now: int) -> bool:
    """Whether the data plane of a deployment accepts a request with this secret; None means none.

    Without authentication every request is accepted [D]; a key that is not attached, or expired, is refused [D].
    """
    gate = world.row(
        "SELECT auth_enabled, key_ids FROM gates WHERE deployment_id = ? AND since <= ? ORDER BY since DESC, id DESC",
        deployment_id,
        now,
    )
    if gate is None or not gate["auth_enabled"]:
        return gate is not None
    if secret is None:
        return False
    for key_id in unpack(gate["key_ids"]):
        key = world.row("SELECT secret, expires_at FROM keys WHERE id = ?", key_id)
        if key is None and world.modes.data_plane_lag:
            since = now - world.modes.data_plane_lag * 1_000_000
            key = world.row(
                "SELECT secret, expires_at FROM deleted_keys WHERE id = ? AND deleted_at > ?", key_id, since
            )
        if key is not None and key["secret"] == secret and (key["expires_at"] is None or key["expires_at"] > now):
            return True
    return False


def places_of(world: World, key_id: int) -> list[sqlite3.Row]:
    """What a key is attached to: rows of `kind` and `target_id`."""
    return world.rows("SELECT kind, target_id FROM bindings WHERE key_id = ?", key_id)


def detach(world: World, key_id: int, at: int) -> None:
    """Detach a key from everything, as the server does by itself; the effect of an emptied list is a mode [U]."""
    take_off_all(world, key_id, at, auth_turns_off=world.modes.last_key_detached == "auth_turns_off")


def take_off_all(world: World, key_id: int, at: int, *, auth_turns_off: bool) -> None:
    """Detach a key from everything; `auth_turns_off` decides what the last key leaves behind."""
    bound = places_of(world, key_id)
    world.run("DELETE FROM bindings WHERE key_id = ?", key_id)
    for row in bound:
        if row["kind"] == "deployment":
            if auth_turns_off:
                _open_if_empty(world, row["target_id"])
            publish_gate(world, row["target_id"], at)


def _open_if_empty(world: World, deployment_id: int) -> None:
    world.run(
        "UPDATE deployments SET auth_enabled = 0 WHERE id = ?1 AND NOT EXISTS"
        " (SELECT 1 FROM bindings WHERE kind = 'deployment' AND target_id = ?1)",
        deployment_id,
    )


def own_links(world: World, key_id: int) -> set[int]:
    """The rows of the deployments that a key opens, except those that it opens through an application."""
    rows = world.rows(
        "SELECT b.target_id FROM bindings b JOIN deployments d ON d.id = b.target_id"
        " WHERE b.kind = 'deployment' AND b.key_id = ? AND d.application_id IS NULL",
        key_id,
    )
    return {row["target_id"] for row in rows}


def link(world: World, key_id: int, deployment_id: int, at: int) -> None:
    """Add a key to a deployment's list, as v2 does from the key's side; the effect of the first one is a mode [U]."""
    position = world.number(
        "SELECT coalesce(max(position) + 1, 0) FROM bindings WHERE kind = 'deployment' AND target_id = ?", deployment_id
    )
    world.run("INSERT INTO bindings VALUES ('deployment', ?, ?, ?)", deployment_id, key_id, position)
    if position == 0 and world.modes.first_key_linked == "auth_turns_on":
        world.run("UPDATE deployments SET auth_enabled = 1 WHERE id = ?", deployment_id)
    publish_gate(world, deployment_id, at)


def unlink(world: World, key_id: int, deployment_id: int, at: int) -> None:
    """Detach a key from a deployment, as v2 does from the key's side; the effect of an emptied list is a mode [U]."""
    world.run("DELETE FROM bindings WHERE kind = 'deployment' AND target_id = ? AND key_id = ?", deployment_id, key_id)
    if world.modes.last_key_unlinked == "auth_turns_off":
        _open_if_empty(world, deployment_id)
    publish_gate(world, deployment_id, at)


def next_expiry(world: World) -> tuple[int, int] | None:
    """When the server next detaches a key by itself, and its row: the first attached one to expire, or that did."""
    if world.modes.expired_key == "stays":
        return None
    row = world.row(
        "SELECT k.expires_at, k.id FROM keys k WHERE k.expires_at IS NOT NULL AND EXISTS"
        " (SELECT 1 FROM bindings b WHERE b.key_id = k.id) ORDER BY k.expires_at, k.id LIMIT 1"
    )
    return None if row is None else (row["expires_at"], row["id"])
