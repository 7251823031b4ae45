"""Plan and outcomes as JSON: Terraform's plan representation, so that its tools read it, and under `keyform` the rest.

A policy written for Terraform finds `resource_changes[]`, one for each key, and one for each endpoint whose own setting
changes. `before` and `after` hold what the plan's changes carry and no more: an update names the fields that differ,
not the whole resource. `endpoints` are those that the plan touches. `keyform.changes[]` are the plan's own: each is
about one generation and, where it binds or unbinds, one endpoint.

A plan holds no secret, so nothing here can. The text is ASCII: no escape sequence from the API reaches a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from reconciler.encoder import disarm_json
from reconciler.errors import Finding
from reconciler.model import EndpointRef, Unchanged
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
        "resource_changes": [_resource(block, plan) for block in group_changes(plan.changes)],
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
            "repairs": [{**asdict(note)} for note in plan.repairs],
            "expiring": [{**asdict(note)} for note in plan.expiring],
            "destinations": [{"sink": each.sink, "destination": each.place} for each in plan.destinations],
            "lock": plan.lock or "api",
            "changes": [_change(change) for change in plan.changes],
        },
    }


def _resource(block: Block, plan: Plan) -> Value:
    before, after = _endpoint(block, block.endpoint) if block.endpoint else _key(block)
    makes = any(isinstance(change, CreateGeneration) for change in block.changes)
    former = [name for name, heir in plan.renames if heir == block.name and not block.endpoint]
    return {
        "address": block.address,
        **({"previous_address": f"key.{former[0]}"} if former else {}),
        "mode": "managed",
        "type": "keyform_endpoint" if block.endpoint else "keyform_key",
        "name": block.name,
        "change": {
            "actions": [*_ACTIONS[block.action]],
            "before": before,
            "after": after,
            "after_unknown": {"created_at": True, "secret": True} if makes else {},
            "before_sensitive": {"secret": True} if before is not None and not block.endpoint else {},
            "after_sensitive": {"secret": True} if after is not None and not block.endpoint else {},
            "replace_paths": _replace_paths(block),
        },
        "action_reason": block.reason.code,
    }


def _key(block: Block) -> tuple[Value, Value]:
    """What is known of a key before and after; null if there is no such key."""
    before: dict[str, Value] = {"name": block.name}
    after: dict[str, Value] = {"name": block.name}
    for change in block.changes:
        if isinstance(change, CreateGeneration):
            after["description"] = change.text
            after["expires_at"] = instant(change.expires_at)
            after["prevent_destroy"] = change.ownership.protected
            after["generation"] = change.live.name
        elif isinstance(change, Publish):
            after["sinks"] = [*change.sinks]
        elif isinstance(change, Copy):
            after["copied"] = {"from": change.source, "to": [*change.sinks]}
        if not isinstance(change, DeleteKey):
            before |= {diff.path: diff.live for diff in change.diff}
            after |= {diff.path: diff.desired for diff in change.diff}
    going: list[Value] = [change.live.name for change in block.changes if isinstance(change, DeleteKey)]
    if going and block.action is Action.DELETE:
        before["generations"] = going
    elif going:
        before["old_generations"], after["old_generations"] = going, []
    gained = sorted({str(change.endpoint) for change in block.changes if isinstance(change, Bind)})
    lost = sorted({str(change.endpoint) for change in block.changes if isinstance(change, Unbind)})
    if block.action is Action.ROTATE:
        # Old and new generation overlap: the changes do not show where the key was bound before.
        after["endpoints"] = [*gained]
    elif gained or lost:
        before["endpoints"] = [*lost]
        after["endpoints"] = [*gained]
    match block.action:
        case Action.CREATE:
            return None, after
        case Action.DELETE:
            return before, None
        case Action.FORGET:
            return before, None
        case Action.UPDATE | Action.ROTATE:
            return before, after


def _endpoint(block: Block, ref: EndpointRef) -> tuple[Value, Value]:
    """What is known of an endpoint: foreign keys that are unlinked, and authentication that goes off."""
    before: dict[str, Value] = {"name": ref.name, "kind": ref.kind.value}
    after = dict(before)
    if names := [change.live.name for change in block.changes if isinstance(change, Unbind)]:
        before["foreign_keys"] = [*names]
        after["foreign_keys"] = []
    for diff in (diff for change in block.changes for diff in change.diff):
        before[diff.path], after[diff.path] = diff.live, diff.desired
    return before, after


def _replace_paths(block: Block) -> Value:
    """The fields that cannot be changed in place, each as a path."""
    if block.action is not Action.ROTATE:
        return []
    made = (change for change in block.changes if isinstance(change, CreateGeneration))
    return [[diff.path] for change in made for diff in change.diff if diff.path != "generation"]


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
    return {**asdict(finding)}


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
