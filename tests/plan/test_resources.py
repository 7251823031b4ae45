"""Keys and endpoints of a plan as whole objects, which match what a simulated apply leaves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from plan.test_rules import CASES, Case
from support.drawn import files, worlds
from support.fuzzing import fuzz
from support.simulation import simulate
from support.states import A_MONTH_AGO, NOW, STACK, days, declared, desired, endpoint, key, live, snapshot

from reconciler.model import Auth, DesiredState, Phase, SinkContents, SinkRecord, SinkSettings, Snapshot
from reconciler.plan import compute_plan
from reconciler.plan.changes import Destroy, Plan, Resource, Rotate

KEY = {
    *("name", "description", "expires_at", "prevent_destroy", "generation", "created_at"),
    *("deployments", "applications", "sinks", "generations", "secret"),
    *("stack", "project", "rotation", "prove", "adopt", "destinations"),
}
POLICY = {"stack", "project", "rotation", "prove", "adopt", "destinations"}
GENERATION = {
    *("name", "number", "phase", "description", "expires_at", "prevent_destroy", "created_at"),
    *("deployments", "applications", "marker"),
}
ENDPOINT = {"name", "kind", "auth", "keys", "generations", "foreign_keys", "stack", "project"}


def policy(every: str | None = None) -> dict[str, Any]:
    """What a key says of its stack and its policy, as the builders of a file have it."""
    lengths = {"every": every, "overlap": "1d", "lifetime": None}
    seconds = {"every_seconds": 864_000 if every else None, "overlap_seconds": 86400, "lifetime_seconds": None}
    destinations = [{"sink": "local", "type": None, "destination": None, "tags": {}}]
    found = {"rotation": {**lengths, **seconds}, "prove": False, "adopt": None, "destinations": destinations}
    return {"stack": STACK, "project": 1234, **found}


def by_address(resources: Iterable[Resource]) -> dict[str, Resource]:
    found = {each.address: each for each in resources}
    assert len(found) == len(list(resources))
    return found


def known(side: Any, made: str) -> Any:
    """A side of a key without what only an apply gives."""
    if side is None or "kind" in side:
        return side
    unknown = ("created_at", "marker")
    generations = [
        {name: value for name, value in each.items() if not (each["name"] == made and name in unknown)}
        for each in side["generations"]
    ]
    return {**side, "generations": generations, **({"created_at": None} if made else {})}


def check(file: DesiredState, world: Snapshot, plan: Plan) -> None:
    before = by_address(plan.resources)
    blocks = {change.address for change in plan.changes}
    assert blocks <= before.keys()
    for each in plan.resources:
        for side in filter(None, (each.before, each.after)):
            assert side.keys() == (KEY if each.address.startswith("key.") else ENDPOINT)
            assert side.get("secret") is None
            generations: Any = side["generations"]
            assert all(one.keys() == GENERATION for one in generations if isinstance(one, dict))
        touched = blocks | {str(change.endpoint) for change in plan.changes if change.endpoint}
        if each.address not in touched:
            assert each.before == each.after
    after = by_address(compute_plan(file, simulate(plan, world, NOW), NOW).resources)
    for address, each in before.items():
        if each.after is None:
            assert address not in after or after[address].before is None
        elif "kind" in each.after and address not in after:
            assert not each.after["keys"]  # it is no longer the stack's concern
        else:
            assert known(after[address].before, each.made) == known(each.after, each.made), address


@fuzz(600)
@given(files(), worlds())
def test_what_is_said_of_afterwards_is_there_afterwards(file: DesiredState, world: Snapshot) -> None:
    check(file, world, compute_plan(file, world, NOW))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_so_it_is_in_every_case_of_the_tables(case: Case) -> None:
    check(case.desired, case.live, compute_plan(case.desired, case.live, NOW))


PAYMENTS = live("payments", of="payments", text="Checkout")
FILE = desired(
    key("payments", "llama3", "app:webui", text="Checkout", every=days(10)),
    key("search", "whisper"),
    key("steady", "llama3"),
    endpoints=[declared("llama3", exclusive=True), declared("playground", Auth.OPEN)],
)
WORLD = snapshot(
    PAYMENTS,
    live("steady", of="steady", phase=Phase.PUBLISHED),
    live("old", of="old"),
    live("portal-made"),
    endpoint("llama3", "payments", "steady", "portal-made"),
    endpoint("app:webui", "payments"),
    endpoint("whisper", "old"),
    endpoint("playground", "old"),
    held=["payments", "steady", "old"],
)


def names(plan: Plan, deployment: str) -> list[str]:
    """What a policy asks: which keys open this deployment afterwards?"""
    afters = [each.after for each in plan.resources if each.address.startswith("key.") and each.after]
    return [str(each["name"]) for each in afters if deployment in each["deployments"]]  # type: ignore[operator]


def test_an_endpoint_and_its_keys_say_the_same() -> None:
    plan = compute_plan(FILE, WORLD, NOW)
    found = by_address(plan.resources)
    assert {address: each.after for address, each in found.items() if not address.startswith("key.")} == {
        "application.webui": {
            "name": "webui",
            "kind": "application",
            "auth": "required",
            "keys": ["payments"],
            "generations": ["payments", "payments-g2"],
            "foreign_keys": [],
            "stack": STACK,
            "project": 1234,
        },
        "deployment.llama3": {
            "name": "llama3",
            "kind": "deployment",
            "auth": "required",
            "keys": ["payments", "steady"],
            "generations": ["payments", "payments-g2", "steady"],
            "foreign_keys": [],
            "stack": STACK,
            "project": 1234,
        },
        "deployment.playground": {
            "name": "playground",
            "kind": "deployment",
            "auth": "open",
            "keys": [],
            "generations": [],
            "foreign_keys": [],
            "stack": STACK,
            "project": 1234,
        },
        "deployment.whisper": {
            "name": "whisper",
            "kind": "deployment",
            "auth": "required",
            "keys": ["search"],
            "generations": ["search"],
            "foreign_keys": [],
            "stack": STACK,
            "project": 1234,
        },
    }
    for name in ("llama3", "whisper", "playground"):
        after: Any = found[f"deployment.{name}"].after
        assert names(plan, name) == after["keys"]


def test_a_rotated_key_is_whole_on_both_sides() -> None:
    rotated = by_address(compute_plan(FILE, WORLD, NOW).resources)["key.payments"]
    assert PAYMENTS.ownership is not None
    old = {
        "name": "payments",
        "number": 1,
        "phase": "published",
        "description": "Checkout",
        "expires_at": None,
        "prevent_destroy": False,
        "created_at": "2026-10-22T10:00:00Z",
        "deployments": ["llama3"],
        "applications": ["webui"],
        "marker": PAYMENTS.ownership.marker(),
    }
    new = {**old, "name": "payments-g2", "number": 2, "created_at": None, "marker": None}
    same = {
        "name": "payments",
        "description": "Checkout",
        "expires_at": None,
        "prevent_destroy": False,
        "deployments": ["llama3"],
        "applications": ["webui"],
        "sinks": ["local"],
        "secret": None,
        **policy(every="10d"),
    }
    created_at = "2026-10-22T10:00:00Z"
    assert rotated.before == {**same, "generation": "payments", "created_at": created_at, "generations": [old]}
    assert rotated.after == {**same, "generation": "payments-g2", "created_at": None, "generations": [old, new]}
    assert rotated.made == "payments-g2"


POLICIES = desired(
    key("payments", "llama3", sinks=["local", "vault"], every=days(60), overlap=days(7), lifetime=days(90), prove=True),
    key("search", "llama3", text=None, adopt="portal-made", overlap=timedelta()),
)
POLICIES = replace(
    POLICIES,
    sinks=(
        SinkSettings("local", "dotenv", {"path": "secrets.env"}),
        SinkSettings("vault", "aws-secrets-manager", {"tags": {"team": "payments", "app": "shop"}}),
    ),
)
POLICIES_WORLD = snapshot(live("portal-made"), live("gone", of="gone"), endpoint("llama3", "portal-made", "gone"))
POLICIES_WORLD = replace(
    POLICIES_WORLD,
    sinks={
        "local": SinkContents({}, destination="secrets.env"),
        "vault": SinkContents({}, destination="AWS Secrets Manager, shop/{key}"),
    },
)


def test_a_key_carries_what_the_file_says_about_it() -> None:
    found = by_address(compute_plan(POLICIES, POLICIES_WORLD, NOW).resources)
    local = {"sink": "local", "type": "dotenv", "destination": "secrets.env", "tags": {}}
    vault = {
        "sink": "vault",
        "type": "aws-secrets-manager",
        "destination": "AWS Secrets Manager, shop/{key}",
        "tags": {"app": "shop", "team": "payments"},
    }
    payments: Any = found["key.payments"].after
    assert {name: payments[name] for name in POLICY} == {
        "stack": STACK,
        "project": 1234,
        "rotation": {
            "every": "60d",
            "overlap": "7d",
            "lifetime": "90d",
            "every_seconds": 5_184_000,
            "overlap_seconds": 604_800,
            "lifetime_seconds": 7_776_000,
        },
        "prove": True,
        "adopt": None,
        "destinations": [local, vault],
    }
    search: Any = found["key.search"].after
    assert (search["adopt"], search["rotation"]["overlap"], search["rotation"]["overlap_seconds"]) == (
        "portal-made",
        "0s",
        0,
    )


def test_a_policy_is_the_same_before_and_after_since_nothing_live_shows_it() -> None:
    found = by_address(compute_plan(POLICIES, POLICIES_WORLD, NOW).resources)
    before: Any = found["key.search"].before
    after: Any = found["key.search"].after
    assert (before["stack"], after["stack"]) == (None, STACK), "a key from the portal belongs to no stack"
    assert {name: before[name] for name in POLICY - {"stack"}} == {name: after[name] for name in POLICY - {"stack"}}


def test_a_key_that_the_file_does_not_declare_has_no_policy() -> None:
    before: Any = by_address(compute_plan(POLICIES, POLICIES_WORLD, NOW).resources)["key.gone"].before
    assert [before[name] for name in ("rotation", "prove", "adopt", "destinations")] == [None] * 4
    assert before["stack"] == STACK


def test_a_plan_about_some_keys_has_the_policies_of_all() -> None:
    for demand in (Rotate(frozenset({"steady"})), Destroy()):
        found = by_address(compute_plan(FILE, WORLD, NOW, demand).resources)
        for name, every in (("key.payments", "10d"), ("key.steady", None)):
            before: Any = found[name].before
            assert {field: before[field] for field in POLICY} == policy(every)


def test_whatever_is_destroyed_is_not_there_afterwards() -> None:
    world = snapshot(PAYMENTS, live("theirs"), endpoint("llama3", "payments", "theirs"), held=["payments"])
    found = by_address(compute_plan(FILE, world, NOW, Destroy()).resources)
    assert found["key.payments"].before is not None
    assert found["key.payments"].after is None
    after: Any = found["deployment.llama3"].after
    assert (after["keys"], after["foreign_keys"]) == ([], ["theirs"])


def test_a_key_that_is_not_asked_for_stays_as_it_is() -> None:
    found = by_address(compute_plan(FILE, WORLD, NOW, Rotate(frozenset({"steady"}))).resources)
    assert found["key.payments"].before == found["key.payments"].after
    assert found["key.steady"].made == "steady-g2"


def test_a_key_that_was_deleted_outside_keyform_is_drift() -> None:
    record = SinkRecord("prod", "payments", 1, "payments", A_MONTH_AGO)
    world = replace(
        snapshot(endpoint("llama3", "other"), live("other")), sinks={"local": SinkContents({"payments": record})}
    )
    plan = compute_plan(desired(key("payments", "llama3")), world, NOW)
    drift = plan.drift[0].resource
    assert drift is not None
    assert drift.address == "key.payments"
    assert drift.after is None
    assert drift.before is not None
    assert {name: value for name, value in drift.before.items() if name not in POLICY | {"generations"} and value} == {
        "name": "payments",
        "generation": "payments",
        "created_at": "2026-10-22T10:00:00Z",
        "sinks": ["local"],
    }
    assert drift.before.keys() == KEY
    assert by_address(plan.resources)["key.payments"].before is None
