"""Plan and outcomes as JSON: Terraform's plan representation, so that its tools read it, and under `keyform` the rest.

A policy written for Terraform finds `resource_changes[]` and the same objects as `prior_state` and `planned_values`
(json_resources.py), and the safety rules as `checks[]` (json_checks.py). `keyform.changes[]` are the plan's own: each
is about one generation and, where it binds or unbinds, one endpoint. docs/json.md explains every field, and
schemas/plan.schema.json is the schema.

`timestamp` and `keyform.made_at` are equal: when the plan was made. The same plan is the same to the byte. A plan holds
no secret, so nothing here can. The text is ASCII: no escape sequence from the API reaches a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime

from reconciler.encoder import disarm_json
from reconciler.errors import Finding
from reconciler.model import Unchanged
from reconciler.plan.changes import (
    Bind,
    Change,
    Copy,
    CreateGeneration,
    DeleteKey,
    Note,
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
from reconciler.report.json_checks import checks_of
from reconciler.report.json_resources import (
    PROVIDER,
    TERRAFORM_VERSION,
    attribution,
    changes_of_resources,
    drift_of_resources,
    drift_tree,
    relevant_attributes,
    values_after,
    values_before,
)
from reconciler.report.outcomes import complete_outcomes, count_done, count_steps
from reconciler.report.summary import summarise

PLAN_VERSION = "1.2"
"""The version of Terraform's plan representation."""
FORMAT_VERSION = "1.0"
"""The version of what is keyform's own."""
Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]


def plan_to_json(plan: Plan) -> str:
    """The plan, the same to the byte for the same plan, with a newline at its end.

    It is one line, as Terraform prints it: terraform-compliance takes several for an error.
    """
    return dump_line(plan_tree(plan))


def outcome_tree(result: Result) -> dict[str, Value]:
    """What came of a plan: `outcomes` by change, in the plan's order, and `resources` by key and endpoint."""
    return {
        "complete": result.complete,
        "interrupted": result.interrupted,
        "lock_was_lost": result.lock_was_lost,
        "exposures_afterwards": notes(result.exposures),
        "done": summary_tree(count_done(result)),
        "resources": [
            {"address": block.address, "action": block.action.value, "steps": of, "steps_done": done}
            for block, done, of in count_steps(result)
        ],
        "outcomes": [step_tree(outcome) for outcome in complete_outcomes(result)],
    }


def dump_line(tree: Mapping[str, Value]) -> str:
    """The same as one line, without blanks."""
    return disarm_json(json.dumps(tree, ensure_ascii=True, separators=(",", ":"))) + "\n"


def dump(tree: Mapping[str, Value]) -> str:
    """JSON in the order given, indented by two blanks, and safe for a log: everything that others wrote is ASCII, and
    inert.
    """
    return disarm_json(json.dumps(tree, indent=2, ensure_ascii=True)) + "\n"


def plan_tree(plan: Plan) -> dict[str, Value]:
    """The content of `plan_to_json`."""
    undone = plan.refusals or plan.unmet or plan.held_up or plan.selection
    return {
        "format_version": PLAN_VERSION,
        "terraform_version": TERRAFORM_VERSION,
        "variables": {},
        "planned_values": values_after(plan),
        "resource_drift": [*drift_of_resources(plan)],
        "resource_changes": [*changes_of_resources(plan)],
        "output_changes": {},
        "prior_state": values_before(plan),
        "configuration": {
            "provider_config": {PROVIDER: {"name": PROVIDER, "full_name": PROVIDER}},
            "root_module": {},
        },
        "relevant_attributes": relevant_attributes(plan),
        "checks": checks_of(plan),
        "timestamp": instant(plan.made_at),
        "applyable": bool(plan.changes or plan.repairs) and not plan.refusals,
        "complete": not undone,
        "errored": bool(plan.refusals),
        "keyform": _ours(plan),
    }


def _ours(plan: Plan) -> dict[str, Value]:
    """What Terraform has no place for."""
    base: Value = None
    if plan.base is not None:
        withdrawn, weakened = notes(plan.base.withdrawn), notes(plan.base.weakened)
        base = {"ref": plan.base.ref, "commit": plan.base.commit, "withdrawn": withdrawn, "weakened": weakened}
    return {
        "format_version": FORMAT_VERSION,
        "stack": plan.stack,
        "project": plan.project,
        "api": plan.api or None,
        "made_at": instant(plan.made_at),
        "key_count": plan.key_count,
        "summary": summary_tree(summarise(plan)),
        "selection": {"targets": [*plan.selection.targets], "excludes": [*plan.selection.excludes]},
        "base": base,
        "exposures": notes(plan.exposures),
        "refusals": [_finding(finding) for finding in plan.refusals],
        "unmet": [_finding(finding) for finding in plan.unmet],
        "held_up": [f"key.{name}" for name in plan.held_up],
        "warnings": notes(plan.warnings),
        "notes": notes(plan.notes),
        "repairs": notes(plan.repairs),
        "expiring": notes(plan.expiring),
        "drift": [drift_tree(each) for each in plan.drift],
        "unproven": [drift_tree(each) for each in plan.unproven],
        "destinations": [
            {"sink": each.sink, "destination": each.place, "readable": each.is_readable} for each in plan.destinations
        ],
        "lock": plan.lock or "api",
        "changes": [{**_change(change), **attribution(plan, [change])} for change in plan.changes],
    }


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
    return {**asdict(finding), "rule": finding.rule or None}


def notes(found: Iterable[Note]) -> list[Value]:
    """Notes with their codes."""
    return [{**asdict(note)} for note in found]


def summary_tree(summary: Summary) -> dict[str, Value]:
    """Counts of keys and endpoints."""
    return {**asdict(summary)}


def step_tree(outcome: Outcome) -> dict[str, Value]:
    """How far one change came."""
    return {
        "id": str(outcome.change.id),
        "address": outcome.change.address,
        "state": outcome.state.value,
        "detail": outcome.detail,
        "way_out": outcome.way_out,
        "seconds": round(outcome.seconds, 3),
    }
