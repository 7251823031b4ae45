"""The keys and endpoints of a plan in Terraform's representation: their changes, their drift, and their values.

`before` and `after` are whole objects: all attributes are there, null where there is no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from reconciler.plan.changes import Action, Change, Drift, Plan, Reason, Resource
from reconciler.report.blocks import Block, group_changes

if TYPE_CHECKING:
    from reconciler.report.json import Value

TERRAFORM_VERSION = "1.9.0"
"""The Terraform whose representation this is: tools ask for it. keyform needs no Terraform."""
PROVIDER = "keyform"
ACTIONS = {
    Action.CREATE: ["create"],
    Action.UPDATE: ["update"],
    Action.DELETE: ["delete"],
    Action.ROTATE: ["create", "delete"],
    Action.FORGET: ["forget"],
}


def changes_of_resources(plan: Plan) -> list[dict[str, Value]]:
    """Every key and endpoint of the stack, also those that stay as they are (`no-op`)."""
    blocks = {block.address: block for block in group_changes(plan.changes)}
    at: dict[str, list[Change]] = {}
    for change in plan.changes:
        if change.endpoint is not None:
            at.setdefault(str(change.endpoint), []).append(change)
    former = {f"key.{heir}": f"key.{name}" for name, heir in plan.renames}
    found: list[dict[str, Value]] = []
    for each in plan.resources:
        block = blocks.get(each.address)
        moves = at.get(each.address, [])
        tree = _resource(each, block, moves[0].reason if moves else None)
        if each.address in former:
            tree["previous_address"] = former[each.address]
        tree["keyform"] = _ours(plan, block, moves)
        found.append(tree)
    return found


def drift_of_resources(plan: Plan) -> list[dict[str, Value]]:
    """What was changed outside keyform and has a whole object before and after it, each with what it is about."""
    return [
        {
            **identity_of(each.resource),
            "change": _change_of(each.resource, [_drifted(each.resource)]),
            "keyform": drift_tree(each),
        }
        for each in plan.drift
        if each.resource
    ]


def drift_tree(found: Drift) -> dict[str, Value]:
    """What drifted, and what an apply does about it, without the objects."""
    return {"code": found.code, "address": found.address, "sentence": found.sentence, "remedy": found.remedy}


def relevant_attributes(plan: Plan) -> list[Value]:
    """The attributes that drifted of those keys and endpoints that the plan changes: they may be why."""
    changed = {change.address for change in plan.changes} | {str(change.endpoint) for change in plan.changes}
    found: dict[tuple[str, str], None] = {}
    for each in plan.drift:
        if each.resource and each.address in changed:
            before, after = each.resource.before, each.resource.after
            names = ["generation"]
            if before is not None and after is not None:
                names = [name for name in before if before[name] != after[name]]
            found.update({(each.address, name): None for name in names})
    return [{"resource": address, "attribute": [name]} for address, name in found]


def values_before(plan: Plan) -> dict[str, Value]:
    """All keys and endpoints as they are, as Terraform has its prior state."""
    values = _values([(each, each.before) for each in plan.resources])
    return {"format_version": "1.0", "terraform_version": TERRAFORM_VERSION, "values": values}


def values_after(plan: Plan) -> dict[str, Value]:
    """All keys and endpoints as an apply leaves them; what only that gives is null."""
    return _values([(each, each.after) for each in plan.resources])


def _values(found: Sequence[tuple[Resource, object]]) -> dict[str, Value]:
    resources: list[Value] = [
        {
            **identity_of(each),
            "schema_version": 0,
            "values": _value(side),
            "sensitive_values": {"secret": True} if _is_key(each) else {},
        }
        for each, side in found
        if side is not None
    ]
    return {"root_module": {"resources": resources}}


def _resource(found: Resource, block: Block | None, reason: Reason | None) -> dict[str, Value]:
    """One of them; an endpoint without a separate block changes in its list of keys."""
    change = _change_of(found, [*ACTIONS[block.action]] if block else ["no-op" if reason is None else "update"])
    change["replace_paths"] = _replace_paths(found, block)
    if found.adopts:
        change["importing"] = {"id": found.adopts}
    told = block.reason if block else reason
    code: dict[str, Value] = {"action_reason": told.code} if told else {}
    return {**identity_of(found), "change": change, **code}


def _ours(plan: Plan, block: Block | None, moves: Sequence[Change]) -> dict[str, Value]:
    """What Terraform has no place for: the action in keyform's words, why, the steps, and where they come from."""
    changes = [*(block.changes if block else ()), *(each for each in moves if not block or each not in block.changes)]
    told = block.reason if block else moves[0].reason if moves else None
    return {
        "action": block.action.value if block else "update" if moves else None,
        "reason": {**asdict(told)} if told else None,
        "changes": [str(change.id) for change in changes],
        **attribution(plan, changes),
    }


def attribution(plan: Plan, changes: Sequence[Change]) -> dict[str, Value]:
    """Whether some of these come from this change of the file, and whether some were pending; null without a base."""
    if plan.base is None:
        return {"from_this_change": None, "pending": None}
    pending = [plan.is_pending(change) for change in changes]
    return {"from_this_change": not all(pending), "pending": any(pending)}


def identity_of(found: Resource) -> dict[str, Value]:
    """How Terraform names a resource."""
    _, _, name = found.address.partition(".")
    type_ = "keyform_key" if _is_key(found) else "keyform_endpoint"
    return {"address": found.address, "mode": "managed", "type": type_, "name": name, "provider_name": PROVIDER}


def _is_key(found: Resource) -> bool:
    return found.address.startswith("key.")


def _drifted(found: Resource) -> str:
    return "delete" if found.after is None else "create" if found.before is None else "update"


def _change_of(found: Resource, actions: list[Value]) -> dict[str, Value]:
    is_key = _is_key(found)
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
