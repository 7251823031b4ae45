"""Applications: one deployment for each component, all with the application's keys."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import Any

from reconciler.emulator import bindings
from reconciler.emulator.deployment_view import address_of
from reconciler.emulator.deployments import attach_first_keys, insert_deployment, nothing, remove_deployment
from reconciler.emulator.tasks import TaskFailedError, Work, start_task
from reconciler.emulator.validation import is_label, problems_in, read_body, refuse_unknown
from reconciler.emulator.wire import Answer, conflict, json_answer, not_found, validation_error
from reconciler.emulator.world import Call, World, pack, unpack

CONSOLIDATED = {"ACTIVE": "Active"}
"""[D] `consolidated_status`; any transition is Unknown [I]."""
CHILD_PORT = 80


@dataclass(frozen=True, slots=True)
class Owner:
    """An application as its children see it."""

    id: int
    project_id: int
    name: str
    spec: dict[str, Any]


def create_application(call: Call) -> Answer:
    """POST: a task that ends with the application, and a deployment for each of its components."""
    world, is_free = call.world, call.world.modes.application_name == "free"
    body = read_body(call.request, "APPLICATION_CREATE_FREE" if is_free else "APPLICATION_CREATE")
    name = body["name"]
    if not (is_free or is_label(name)):
        raise validation_error({"name": ["The name becomes a part of its deployments' names"]})
    names = body.get("api_keys", [])
    bindings.check_keys(world, call.project_id, names, call.now)
    if world.find("applications", call.project_id, name):
        raise conflict(f"Application deployment {name} already exists")
    _check_children(call, name, body["components_configuration"])
    application_id = insert_application(world, call.project_id, body, now=call.now, status="DEPLOYING")
    return start_task(
        call,
        "create_inference_application",
        "application",
        application_id,
        work={"api_keys": names},
        data=body,
        creates=[child_name(name, component) for component in body["components_configuration"]],
    )


def insert_application(world: World, project_id: int, body: dict[str, Any], *, now: int, status: str) -> int:
    """Put an application, its children and their keys into the store and return the application's row id."""
    components = {
        component: {"parameter_overrides": {}} | setting
        for component, setting in body["components_configuration"].items()
    }
    spec = {"application_name": body["application_name"], "regions": body["regions"], "components": components}
    application_id = world.run(
        "INSERT INTO applications (project_id, name, status, spec) VALUES (?, ?, ?, ?)",
        project_id,
        body["name"],
        status,
        pack(spec),
    )
    owner = Owner(application_id, project_id, body["name"], spec)
    names = body.get("api_keys", [])
    for component in components:
        attach_first_keys(world, project_id, _insert_child(world, owner, component, now, status), names, now=now)
    bindings.set_keys(world, "application", application_id, bindings.existing_key_ids(world, project_id, names))
    return application_id


def list_applications(call: Call) -> Answer:
    """GET: all of them, without paging [D]."""
    refuse_unknown(call.request, ())
    world = call.world
    rows = world.all_of("applications", call.project_id, world.modes.list_order)
    return json_answer(200, {"count": len(rows), "results": [_show(world, row) for row in rows]})


def get_application(call: Call) -> Answer:
    """GET of one application."""
    return json_answer(200, _show(call.world, _find(call)))


def update_application(call: Call) -> Answer:
    """PATCH: a task; only what is given changes, and a component that is null is disabled [D]."""
    row = _find(call)
    world = call.world
    body = read_body(call.request, "APPLICATION_UPDATE")
    if row["status"] == "DELETING":
        raise conflict(f"Application deployment {row['name']} is being deleted")
    known = unpack(row["spec"])["components"]
    added = {
        component: setting
        for component, setting in body.get("components_configuration", {}).items()
        if component not in known and setting is not None
    }
    for component, setting in added.items():
        if problems := problems_in("COMPONENT_CREATE", setting):
            raise validation_error({f"components_configuration.{component}.{at}": why for at, why in problems.items()})
    _check_children(call, row["name"], added)
    bindings.check_keys(world, call.project_id, body.get("api_keys", []), call.now)
    return start_task(call, "update_inference_application", "application", row["id"], work=body, data=body)


def delete_application(call: Call) -> Answer:
    """DELETE: a task that takes the application's deployments with it [D]."""
    row = _find(call)
    if row["status"] == "DELETING":
        raise conflict(f"Application deployment {row['name']} is being deleted")
    answer = start_task(call, "delete_inference_application", "application", row["id"], data={"name": row["name"]})
    _set_status(call.world, row["id"], "DELETING")
    return answer


def child_name(application: str, component: str) -> str:
    """The name of the deployment that runs a component [I]; at most 30 characters, as for any deployment."""
    return re.sub(r"[^a-z0-9]+", "-", f"{application}-{component}".lower()).strip("-")[:30].strip("-")


def _find(call: Call) -> sqlite3.Row:
    name = call.path["deployment_name"]
    row = call.world.find("applications", call.project_id, name)
    if row is None:
        raise not_found("Application deployment", name)
    return row


def _children(world: World, application_id: int) -> list[sqlite3.Row]:
    return world.rows("SELECT * FROM deployments WHERE application_id = ? ORDER BY id", application_id)


def _check_children(call: Call, application: str, components: dict[str, Any]) -> None:
    names = [child_name(application, component) for component in components]
    for position, name in enumerate(names):
        taken = call.world.find("deployments", call.project_id, name)
        if taken or name in names[:position]:
            raise conflict(f"Inference deployment {name} already exists")


def _insert_child(world: World, owner: Owner, component: str, now: int, status: str) -> int:
    application_name = owner.spec["application_name"]
    body = {"name": child_name(owner.name, component), "image": f"{application_name}/{component}"}
    return insert_deployment(
        world,
        owner.project_id,
        body | _child_spec(owner.spec, component),
        now=now,
        status=status,
        application_id=owner.id,
        component=component,
        exposed=owner.spec["components"][component]["exposed"],
    )


def _add_child(world: World, owner: Owner, component: str, at: int) -> None:
    """A component that a PATCH has added; it starts with the application's keys."""
    name = child_name(owner.name, component)
    if world.find("deployments", owner.project_id, name):
        raise TaskFailedError(f"Inference deployment {name} already exists")
    keys = bindings.key_names(world, "application", owner.id)
    attach_first_keys(world, owner.project_id, _insert_child(world, owner, component, at, "ACTIVE"), keys, now=at)


def _child_spec(spec: dict[str, Any], component: str) -> dict[str, Any]:
    setting = spec["components"][component]
    return {
        "listening_port": CHILD_PORT,
        "flavor_name": setting["flavor"],
        "containers": [{"region_id": region, "scale": setting["scale"]} for region in spec["regions"]],
    }


def _set_status(world: World, application_id: int, status: str) -> None:
    world.run("UPDATE applications SET status = ? WHERE id = ?", status, application_id)
    world.run("UPDATE deployments SET status = ? WHERE application_id = ?", status, application_id)


def _show(world: World, row: sqlite3.Row) -> dict[str, Any]:
    spec = unpack(row["spec"])
    children = _children(world, row["id"])
    addresses = {child["component"]: address_of(world, child) for child in children}
    status = CONSOLIDATED.get(row["status"], "Unknown")
    parts = {
        child["component"]: {"status": CONSOLIDATED.get(child["status"], "Unknown"), "error": ""} for child in children
    }
    return {
        "name": row["name"],
        "application_name": spec["application_name"],
        "api_keys": bindings.key_names(world, "application", row["id"]),
        "regions": spec["regions"],
        "components_configuration": spec["components"],
        "status": {
            "consolidated_status": status,
            "regions": [{"region_id": region, "status": status, "components": parts} for region in spec["regions"]],
            "expose_addresses": {name: {"address": value} for name, value in addresses.items() if value is not None},
            "component_inferences": {
                child["component"]: {"name": child["name"], "flavor": unpack(child["spec"])["flavor_name"]}
                for child in children
            },
        },
    }


def _finish_create(world: World, project_id: int, application_id: int, work: dict[str, Any], _at: int) -> None:
    bindings.key_ids(world, project_id, work["api_keys"])
    _set_status(world, application_id, "ACTIVE")


def _remove(world: World, _project: int, application_id: int, _work: dict[str, Any], _at: int) -> None:
    for child in _children(world, application_id):
        remove_deployment(world, child["id"])
    world.run("DELETE FROM bindings WHERE kind = 'application' AND target_id = ?", application_id)
    world.run("DELETE FROM applications WHERE id = ?", application_id)


def _finish_update(world: World, project_id: int, application_id: int, work: dict[str, Any], at: int) -> None:
    row = world.row("SELECT * FROM applications WHERE id = ?", application_id)
    if row is None:
        raise TaskFailedError("Application deployment not found")
    ids = bindings.key_ids(world, project_id, work["api_keys"]) if "api_keys" in work else None
    spec = unpack(row["spec"])
    spec["regions"] = work.get("regions", spec["regions"])
    children = {child["component"]: child for child in _children(world, application_id)}
    for component, change in work.get("components_configuration", {}).items():
        if change is None:
            spec["components"].pop(component, None)
            if component in children:
                remove_deployment(world, children.pop(component)["id"])
            continue
        merged = _merged(spec["components"].get(component), change)
        if problems := problems_in("COMPONENT_CREATE", merged):
            # It existed when this was requested, and another task has removed it since.
            raise TaskFailedError(f"components_configuration.{component}: {problems}")
        spec["components"][component] = merged
        if component not in children:
            owner = Owner(application_id, project_id, row["name"], spec)
            _add_child(world, owner, component, at)
    for component, old in children.items():
        world.run(
            "UPDATE deployments SET spec = ?, exposed = ? WHERE id = ?",
            pack(unpack(old["spec"]) | _child_spec(spec, component)),
            spec["components"][component]["exposed"],
            old["id"],
        )
    world.run("UPDATE applications SET spec = ? WHERE id = ?", pack(spec), application_id)
    if ids is not None:
        bindings.write_application_keys(world, application_id, ids, at)


def _merged(old: dict[str, Any] | None, change: dict[str, Any]) -> dict[str, Any]:
    """A component's configuration after a PATCH: missing fields stay, an override that is null is removed [D]."""
    old = old or {"scale": {}, "parameter_overrides": {}}
    overrides = old["parameter_overrides"] | change.get("parameter_overrides", {})
    return {
        **old,
        **change,
        "scale": old["scale"] | change.get("scale", {}),
        "parameter_overrides": {name: value for name, value in overrides.items() if value is not None},
    }


def _restore(world: World, _project: int, application_id: int, _work: dict[str, Any], _at: int) -> None:
    _set_status(world, application_id, "ACTIVE")


WORKS = {
    "create_inference_application": Work(_finish_create, _remove),
    "update_inference_application": Work(_finish_update, nothing),
    "delete_inference_application": Work(_remove, _restore),
}
