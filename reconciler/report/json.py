"""Plan and outcomes as JSON: Terraform's plan representation, so that its tools read it, and under `keyform` the rest.

A policy written for Terraform finds `resource_changes[]`, one for each key and each endpoint of the stack, also for
those that stay as they are (`no-op`), and `resource_drift[]`, one for each key that was deleted outside keyform.
`before` and `after` are whole objects: all attributes are there, null where there is no value; docs/json.md lists them.
`keyform.changes[]` are the plan's own: each is about one generation and, where it binds or unbinds, one endpoint.

A plan holds no secret, so nothing here can. The text is ASCII: no escape sequence from the API reaches a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from reconciler.encoder import disarm_json
from reconciler.errors import Finding
from reconciler.model import Unchanged
from reconciler.plan.changes import (
    Action,
    Bind,
    Change,
    Copy,
    CreateGeneration,
    DeleteKey,
    OpenEndpoint,
    Plan,
    Prove,
    Publish,
    Reason,
    RemoveRecord,
    Resource,
    Summary,
    Unbind,
    UpdateKey,
)
from reconciler.plan.fields import instant
from reconciler.plan.outcomes import Outcome, Result
from reconciler.report.blocks import Block, group_changes
from reconciler.report.outcomes import complete_outcomes, count_done, count_steps
from reconciler.report.summary import summarise

FORMAT_VERSION = "1.0"
Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]

_ACTIONS = {
    Action.CREATE: ["create"],
    Action.UPDATE: ["update"],
    Action.DELETE: ["delete"],
    Action.ROTATE: ["create", "delete"],
    Action.FORGET: ["forget"],
}


def plan_to_json(plan: Plan) -> str:
    """The plan, the same to the byte for the same plan, with a newline at its end."""
    return dump(plan_tree(plan))


def result_to_json(result: Result) -> str:
    """The plan and, under `keyform`, its outcome: `outcomes` by change, `resources` by key and endpoint."""
    return dump(result_tree(result))


def result_tree(result: Result) -> dict[str, Value]:
    """The content of `result_to_json`."""
    tree = plan_tree(result.plan)
    ours = tree["keyform"]
    assert isinstance(ours, dict)  # noqa: S101 - for the type checker
    ours["complete"] = result.complete
    ours["interrupted"] = result.interrupted
    ours["exposures_afterwards"] = [{**asdict(note)} for note in result.exposures]
    ours["done"] = _summary(count_done(result))
    ours["resources"] = [
        {"address": block.address, "action": block.action.value, "steps": of, "steps_done": done}
        for block, done, of in count_steps(result)
    ]
    ours["outcomes"] = [_outcome(outcome) for outcome in complete_outcomes(result)]
    return tree


def dump(tree: Mapping[str, Value]) -> str:
    """JSON in the order given, indented by two blanks, and safe for a log: everything that others wrote is ASCII, and
    inert.
    """
    return disarm_json(json.dumps(tree, indent=2, ensure_ascii=True)) + "\n"


def plan_tree(plan: Plan) -> dict[str, Value]:
    """The content of `plan_to_json`."""
    return {
        "format_version": FORMAT_VERSION,
        "applyable": bool(plan.changes) and not plan.refusals,
        "resource_changes": _resources(plan),
        "resource_drift": [_drift(each.resource) for each in plan.drift if each.resource],
        "keyform": {
            "stack": plan.stack,
            "project": plan.project,
            "made_at": instant(plan.made_at),
            "summary": _summary(summarise(plan)),
            "exposures": [{**asdict(note)} for note in plan.exposures],
            "refusals": [_finding(finding) for finding in plan.refusals],
            "unmet": [_finding(finding) for finding in plan.unmet],
            "held_up": [f"key.{name}" for name in plan.held_up],
            "warnings": [{**asdict(note)} for note in plan.warnings],
            "notes": [{**asdict(note)} for note in plan.notes],
            "repairs": [{**asdict(note)} for note in plan.repairs],
            "expiring": [{**asdict(note)} for note in plan.expiring],
            "destinations": [{"sink": each.sink, "destination": each.place} for each in plan.destinations],
            "lock": plan.lock or "api",
            "changes": [_change(change) for change in plan.changes],
        },
    }


def _resources(plan: Plan) -> list[Value]:
    """Every key and endpoint of the stack, also those that stay as they are (`no-op`)."""
    blocks = {block.address: block for block in group_changes(plan.changes)}
    reasons: dict[str, str] = {}
    for change in plan.changes:
        if change.endpoint is not None:
            reasons.setdefault(str(change.endpoint), change.reason.code)
    found = []
    for each in plan.resources:
        tree = _resource(each, blocks.get(each.address), reasons.get(each.address))
        former = [f"key.{name}" for name, heir in plan.renames if f"key.{heir}" == each.address]
        found.append({**tree, "previous_address": former[0]} if former else tree)
    return [*found]


def _resource(found: Resource, block: Block | None, reason: str | None) -> dict[str, Value]:
    """One of them; an endpoint without a separate block changes in its list of keys."""
    change = _change_of(found, [*_ACTIONS[block.action]] if block else ["no-op" if reason is None else "update"])
    change["replace_paths"] = _replace_paths(found, block)
    if found.adopts:
        change["importing"] = {"id": found.adopts}
    tree: dict[str, Value] = {**_identity(found), "change": change}
    code = block.reason.code if block else reason
    return {**tree, "action_reason": code} if code else tree


def _drift(found: Resource) -> Value:
    """What was changed outside keyform, since the sinks got what they hold."""
    return {**_identity(found), "change": _change_of(found, ["delete" if found.after is None else "update"])}


def _identity(found: Resource) -> dict[str, Value]:
    kind, _, name = found.address.partition(".")
    type_ = "keyform_key" if kind == "key" else "keyform_endpoint"
    return {"address": found.address, "mode": "managed", "type": type_, "name": name}


def _change_of(found: Resource, actions: list[Value]) -> dict[str, Value]:
    is_key = found.address.startswith("key.")
    return {
        "actions": actions,
        "before": _value(found.before),
        "after": _value(found.after),
        "after_unknown": _unknown(found),
        "before_sensitive": {"secret": True} if is_key and found.before is not None else {},
        "after_sensitive": {"secret": True} if is_key and found.after is not None else {},
    }


def _unknown(found: Resource) -> Value:
    """What only an apply gives, in the form of `after`: a list has as many entries as there."""
    if not found.made or found.after is None:
        return {}
    generations = found.after["generations"]
    new: dict[str, Value] = {"created_at": True, "marker": True}
    names = [each["name"] for each in generations if isinstance(each, dict)] if isinstance(generations, list) else []
    return {"created_at": True, "secret": True, "generations": [new if n == found.made else {} for n in names]}


_REPLACES = {
    "expiry_differs": "expires_at",
    "lifetime_differs": "expires_at",
    "expiry_is_near": "expires_at",
    "secret_is_not_in_sink": "sinks",
}
"""The attribute that takes a new generation, by the reason for that."""


def _replace_paths(found: Resource, block: Block | None) -> Value:
    """The attributes that differ and cannot be changed in place, each as a path."""
    if block is None or block.action is not Action.ROTATE or found.before is None or found.after is None:
        return []
    field = _REPLACES.get(block.reason.code, "")
    return [[field]] if field and found.before[field] != found.after[field] else []


def _value(tree: object) -> Value:
    """A tree as JSON takes it. TypeError for anything else: only data gets into an output."""
    match tree:
        case None | bool() | int() | str():
            return tree
        case list():
            return [_value(each) for each in tree]
        case dict():
            return {str(name): _value(each) for name, each in tree.items()}
        case _:
            raise TypeError(f"{type(tree).__name__} is not JSON")


def _change(change: Change) -> dict[str, Value]:
    return {
        "id": str(change.id),
        "step": change.step.value,
        "address": change.address,
        "action": change.action.value,
        "reason": _reason(change.reason),
        "diff": [{"path": diff.path, "live": diff.live, "desired": diff.desired} for diff in change.diff],
        "depends_on": [str(each) for each in change.depends_on],
        "fields": _fields(change),
    }


def _fields(change: Change) -> Value:
    """The change's fields, besides those that all changes have."""
    match change:
        case CreateGeneration():
            return {**_description(change), "expires_at": instant(change.expires_at)}
        case Prove():
            return {**_live(change), "endpoints": [str(ref) for ref in change.endpoints]}
        case Publish():
            return {**_description(change), "sinks": [*change.sinks], "destinations": change.destinations}
        case Copy():
            return {**_description(change), "from": change.source, "sinks": [*change.sinks]}
        case UpdateKey(expires_at=expires_at):
            expiry: dict[str, Value] = {} if isinstance(expires_at, Unchanged) else {"expires_at": instant(expires_at)}
            return {**_description(change), **expiry, "adopts": change.adopts, "taken_from": change.taken_from}
        case Bind():
            return {**_live(change), "endpoint": str(change.endpoint)}
        case Unbind():
            return {**_live(change), "endpoint": str(change.endpoint), "is_disposable": change.is_disposable}
        case OpenEndpoint():
            return {"endpoint": str(change.endpoint)}
        case RemoveRecord(record=record):
            told = _json({**asdict(record)}) if record else None
            return {"sink": change.sink, "key": change.key, "record": told, "keeps_secret": change.keeps_secret}
        case DeleteKey():
            return {**_live(change), "is_disposable": change.is_disposable}
        case _:
            return {}


def _live(
    change: Bind | Copy | DeleteKey | Prove | Unbind | CreateGeneration | Publish | UpdateKey,
) -> dict[str, Value]:
    return {"key": change.key, "live_name": change.live.name, "live_id": change.live.id or None}


def _description(change: Copy | CreateGeneration | Publish | UpdateKey) -> dict[str, Value]:
    return {**_live(change), "text": change.text, "ownership": _json({**asdict(change.ownership)})}


def _json(fields: Mapping[str, str | int | bool | datetime]) -> Value:
    return {name: instant(value) if isinstance(value, datetime) else value for name, value in fields.items()}


def _reason(reason: Reason) -> Value:
    return {**asdict(reason)}


def _finding(finding: Finding) -> Value:
    return {name: value for name, value in asdict(finding).items() if name != "code"}


def _summary(summary: Summary) -> Value:
    return {**asdict(summary)}


def _outcome(outcome: Outcome) -> Value:
    return {
        "id": str(outcome.change.id),
        "address": outcome.change.address,
        "state": outcome.state.value,
        "detail": outcome.detail,
        "way_out": outcome.way_out,
        "seconds": round(outcome.seconds, 3),
    }
