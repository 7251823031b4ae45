"""A deployment as its callers see it."""

from __future__ import annotations

import re
import sqlite3
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5

from reconciler.emulator import bindings
from reconciler.emulator.world import World, unpack

TRIGGERS = ("cpu", "memory", "gpu_utilization", "gpu_memory", "http", "sqs")
PROBE_DEFAULTS: dict[str, Any] = {
    "failure_threshold": 3,
    "initial_delay_seconds": 0,
    "period_seconds": 10,
    "success_threshold": 1,
    "timeout_seconds": 3,
    "exec": None,
    "tcp_socket": None,
    "http_get": None,
}
NOT_DEPLOYED = {"DEPLOYING", "NEW", "FAILED", "DELETED"}
STATUS_IN_V3 = {"NEW": "DEPLOYING", "ERROR": "DISABLED", "FAILED": "DISABLED"}
"""How v3 shows the statuses that exist only in v2 [I]."""
IS_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
FLAVORS = UUID("4f1a7c52-9f0e-4d0b-8a35-6a0c6f0e2b71")
"""The namespace of flavors' ids; any would do."""


def address_of(world: World, row: sqlite3.Row) -> str | None:
    """Where the data plane of a deployment answers; null before it is deployed, and for what is not exposed [I]."""
    return _address(world, row, row["name"])


def _address(world: World, row: sqlite3.Row, place: str) -> str | None:
    if row["status"] in NOT_DEPLOYED or not row["exposed"]:
        return None
    return f"{world.base_url}/dataplane/{row['project_id']}/deployments/{place}"


def show_deployment(world: World, row: sqlite3.Row) -> dict[str, Any]:
    """A deployment as GET gives it: every documented field, with the documented defaults [D]."""
    spec = unpack(row["spec"])
    keys: list[str] | None = bindings.key_names(world, "deployment", row["id"])
    if not keys and world.modes.no_keys_shown_as == "null":
        keys = None
    references = []
    if row["application_id"] is not None:
        owner = world.row("SELECT name FROM applications WHERE id = ?", row["application_id"])
        references = [] if owner is None else [{"kind": "AppDeployment", "name": owner["name"]}]
    address = address_of(world, row)
    status = STATUS_IN_V3.get(row["status"], row["status"])
    return {
        "project_id": row["project_id"],
        "name": row["name"],
        "description": spec["description"] or "",
        "image": spec["image"],
        "listening_port": spec["listening_port"],
        "created_at": world.timestamp("created_at", row["created_at"]),
        "status": status,
        "auth_enabled": bool(row["auth_enabled"]),
        "api_keys": keys,
        "address": address,
        "containers": [_show_container(item, status, address) for item in spec["containers"]],
        "timeout": spec["timeout"],
        "envs": spec["envs"],
        "flavor_name": spec["flavor_name"],
        "command": None if spec["command"] is None else " ".join(spec["command"]),
        "credentials_name": spec["credentials_name"] or "",
        "ingress_opts": _filled(spec["ingress_opts"], disable_response_buffering=False),
        "logging": _filled(spec["logging"], enabled=False, destination_region_id=None, topic_name=None),
        "probes": _show_probes(spec["probes"]),
        "object_references": references,
    }


@lru_cache(maxsize=1000)
def flavor_id(name: str) -> str:
    """What v2 calls the flavor that v3 calls `name`; one that v2 gave is named by its id in v3 [I]."""
    return name if IS_UUID.fullmatch(name) else str(uuid5(FLAVORS, name))


def show_instance(world: World, row: sqlite3.Row, api_key_ids: list[str]) -> dict[str, Any]:
    """A deployment in v2's form: every documented field of v2, and nothing that exists only in v3 [D]."""
    spec = unpack(row["spec"])
    # If a name can be that of two deployments, only the id tells their addresses apart.
    by_id = world.modes.twin_deployments == "allowed"
    return {
        "id": row["uuid"],
        "name": row["name"],
        "description": spec["description"] or None,
        "image": spec["image"],
        "image_registry_id": spec.get("image_registry_id"),
        "listening_port": spec["listening_port"],
        "created_at": world.timestamp("created_at", row["created_at"]),
        "status": row["status"],
        "auth_enabled": bool(row["auth_enabled"]),
        "api_key_ids": api_key_ids,
        "address": _address(world, row, row["uuid"] if by_id else row["name"]),
        "containers": [_show_container_in_v2(item, row["status"]) for item in spec["containers"]],
        "timeout": spec["timeout"],
        "envs": spec["envs"],
        "flavor_id": flavor_id(spec["flavor_name"]),
        "command": spec["command"],
        "probes": _show_probes(spec["probes"]),
    }


def _show_container_in_v2(container: dict[str, Any], status: str) -> dict[str, Any]:
    shown = _show_container(container, status, None)
    del shown["address"], shown["scale"]["polling_interval"], shown["scale"]["triggers"]["sqs"]
    return shown


def _filled(given: dict[str, Any] | None, **defaults: Any) -> dict[str, Any] | None:
    return None if given is None else defaults | given


def _show_container(container: dict[str, Any], status: str, address: str | None) -> dict[str, Any]:
    scale = container["scale"]
    triggers = scale.get("triggers", {"cpu": {"threshold": 80}, "memory": {"threshold": 80}})
    shown = {name: triggers.get(name) for name in TRIGGERS}
    if shown["sqs"] is not None:
        shown["sqs"] = {"scale_on_flight": False, "scale_on_delayed": False, "aws_endpoint": None} | shown["sqs"]
    total = max(scale["min"], 1)
    return {
        "region_id": container["region_id"],
        "address": address,
        "scale": {"cooldown_period": 60, "polling_interval": 30} | scale | {"triggers": shown},
        "deploy_status": {"total": total, "ready": total if status == "ACTIVE" else 0},
        "error_message": None,
    }


def _show_probes(probes: dict[str, Any] | None) -> dict[str, Any] | None:
    if probes is None:
        return None
    return {name: _show_slot(probes.get(name)) for name in ("liveness_probe", "readiness_probe", "startup_probe")}


def _show_slot(slot: dict[str, Any] | None) -> dict[str, Any] | None:
    if slot is None:
        return None
    probe = slot.get("probe")
    if probe is not None:
        probe = PROBE_DEFAULTS | probe
        probe["exec"] = _filled(probe["exec"], command=[])
        probe["tcp_socket"] = _filled(probe["tcp_socket"], port=80)
        probe["http_get"] = _filled(probe["http_get"], headers={}, host=None, path="/", port=80, schema="HTTP")
    return {"enabled": slot.get("enabled", False), "probe": probe}
