"""The safety rules of a plan as Terraform's `checks`: each passes or fails, as a whole and for each key or endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reconciler.errors import Finding
from reconciler.plan.changes import ABSENT_SINKS, KEEPS_A_KEY, PREVENT_DESTROY, SAFETY_RULES, Plan

if TYPE_CHECKING:
    from reconciler.report.json import Value


def checks_of(plan: Plan) -> list[Value]:
    """Every rule, also those that the plan respects; `problems` say what is wrong."""
    found = (*plan.refusals, *plan.unmet)
    return [_check(rule, _about(plan, rule), [each for each in found if each.rule == rule]) for rule in SAFETY_RULES]


def _about(plan: Plan, rule: str) -> list[str]:
    """What a rule is about, if not the plan as a whole."""
    match rule:
        case "prevent_destroy":
            return [each.address for each in plan.resources if each.before and each.before.get(PREVENT_DESTROY)]
        case "keeps_a_key":
            return [each.address for each in plan.resources if not each.address.startswith("key.")]
        case "absent_sinks":
            return [f"sinks.{each.sink}" for each in plan.destinations]
        case _:
            return []


_HAS_INSTANCES = frozenset({PREVENT_DESTROY, KEEPS_A_KEY, ABSENT_SINKS})


def _check(rule: str, about: Sequence[str], found: Sequence[Finding]) -> Value:
    display = f"check.{rule}"
    instances: dict[str, list[Value]] = {each: [] for each in about}
    if rule not in _HAS_INSTANCES:
        instances[display] = []
    for each in found:
        instances.setdefault(each.path if rule in _HAS_INSTANCES else display, []).append({"message": each.message})
    told: list[Value] = [
        {"address": {"to_display": address}, "status": _status(problems), "problems": problems}
        for address, problems in instances.items()
    ]
    address: Value = {"kind": "check", "name": rule, "to_display": display}
    return {"address": address, "status": _status(found), "instances": told}


def _status(found: Sequence[object]) -> str:
    return "fail" if found else "pass"
