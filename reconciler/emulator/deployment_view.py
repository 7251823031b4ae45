"""A deployment as its callers see it."""

from __future__ import annotations

import sqlite3
from typing import Any

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


def address_of(world: World, row: sqlite3.Row) -> str | None:
    """Where the data plane of a deployment answers; null before it is deployed, and for what is not exposed [I]."""
    if row["status"] == "DEPLOYING" or not row["exposed"]:
        return None
    return f"{world.base_url}/dataplane/{row['project_id']}/deployments/{row['name']}"


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
    return {
        "project_id": row["project_id"],
        "name": row["name"],
        "description": spec["description"] or "",
        "image": spec["image"],
        "listening_port": spec["listening_port"],
        "created_at": world.timestamp("created_at", row["created_at"]),
        "status": row["status"],
        "auth_enabled": bool(row["auth_enabled"]),
        "api_keys": keys,
        "address": address,
        "containers": [_show_container(item, row["status"], address) for item in spec["containers"]],
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
