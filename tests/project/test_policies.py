"""The example policies, run by a real engine over plans that keyform makes of their YAML files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.policies import CASES, POLICIES, SIDES, StackWorld, cases, plan_case
from support.schemas import check_plan

from reconciler.report.json import plan_to_json

regopy = pytest.importorskip("regopy", reason="regopy, which evaluates Rego, has no wheel for this Python or platform")

NAMES = sorted(policy.stem for policy in POLICIES.glob("*.rego"))


def denied(plan: Any, *policies: str) -> list[str]:
    """What these policies say against a plan, or all of them."""
    rego = regopy.Interpreter()
    for name in policies or NAMES:
        rego.add_module(f"{name}.rego", (POLICIES / f"{name}.rego").read_text(encoding="utf-8"))
    rego.set_input(plan)
    answer = json.loads(str(rego.query("data.main.deny")))
    return list(answer["expressions"][0])


def plan_of(name: str, side: str) -> Any:
    return json.loads((CASES / name / f"{side}.json").read_text(encoding="utf-8"))


DENIED = {
    "deletions": "2 keys are deleted, and at most 1 may be: search-api, search-jobs",
    "expiry": "key.search-jobs never expires and is never rotated: set expires_at, or rotation.every",
    "labels": (
        "key.search-jobs saves its secret in the new sink scratch, which has no label: add a tag `team`, or name it"
        " TEAM-scratch"
    ),
    "opening": "deployment.payments-whisper becomes public: anyone could call it without a key",
    "overlap": "key.search-jobs has no overlap: a rotation would lock its consumers out",
    "owner": "key.search-jobs has no owner: end its description with `owned by team NAME`",
    "reach": "key.payments-api opens 4 endpoints, and at most 3 are allowed: use one key for each consumer",
    "teams": "key.search-api opens payments-whisper, which belongs to team payments",
}


def test_there_are_eight_policies() -> None:
    assert sorted(DENIED) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_refuses_the_one_plan_and_no_other(name: str) -> None:
    """Each plan that is to fail breaks one rule, so that it also shows what the others leave alone."""
    assert denied(plan_of(name, "fail"), name) == denied(plan_of(name, "fail")) == [DENIED[name]]
    assert denied(plan_of(name, "pass"), name) == denied(plan_of(name, "pass")) == []


@pytest.mark.parametrize(("file", "plan"), [*cases()], ids=[f"{name}-{side}" for name in NAMES for side in SIDES])
def test_the_plans_are_what_keyform_makes_of_the_files_today(file: Path, plan: Path) -> None:
    """`python -m support.policies`, with the tests on the path, makes them again."""
    made = plan_case(file)
    assert made == plan.read_text(encoding="utf-8")
    check_plan(json.loads(made))


def changed(plan: Any, name: str, **fields: Any) -> Any:
    """The plan with other values in what a key is afterwards."""
    (found,) = [each for each in plan["resource_changes"] if each["address"] == f"key.{name}"]
    found["change"]["after"].update(fields)
    return found


def test_a_tag_is_a_label_too() -> None:
    plan = plan_of("labels", "fail")
    (scratch,) = changed(plan, "search-jobs")["change"]["after"]["destinations"]
    assert denied(plan, "labels") == [DENIED["labels"]]
    scratch["tags"] = {"team": "nobody"}
    assert denied(plan, "labels") == [DENIED["labels"]]
    scratch["tags"] = {"team": "search"}
    assert denied(plan, "labels") == []


def test_a_leaked_secret_may_be_cut_at_once_in_production() -> None:
    plan = plan_of("overlap", "fail")
    found = changed(plan, "search-jobs")
    found["keyform"]["reason"] = {"code": "key_is_revoked", "sentence": "its secret leaked", "is_urgent": True}
    assert denied(plan, "overlap") == []


@pytest.mark.parametrize(
    ("stack", "is_production"),
    [("shop-prod", True), ("prod", True), ("prod-eu", True), ("shop-dev", False), ("products", False)],
)
def test_production_is_told_by_the_name_of_the_stack(stack: str, is_production: bool) -> None:
    plan = plan_of("overlap", "fail")
    plan["keyform"]["stack"] = stack
    assert bool(denied(plan, "overlap")) is is_production


def test_a_key_that_goes_breaks_no_rule_about_keys() -> None:
    plan = plan_of("deletions", "fail")
    assert denied(plan, *(name for name in NAMES if name != "deletions")) == []


def test_a_rename_breaks_no_rule_whenever_it_is_looked_at(tmp_path: Path) -> None:
    """Two former keys stay for the overlap, which no rotation is declared for, and go: no key is deleted by that."""
    world = StackWorld(tmp_path)
    text = (CASES / "before.yaml").read_text(encoding="utf-8")
    assert world.apply(world.load(CASES / "before.yaml")).complete
    names = {"search-api": "search-queries", "search-jobs": "search-index"}
    for former, name in names.items():
        text = text.replace(f"  {former}:", f"  {name}:")
    moved = [{"from": former, "to": name} for former, name in names.items()]
    renamed = tmp_path / "renamed.yaml"
    renamed.write_text(f"{text}\nmoved: {json.dumps(moved)}\n")
    seen = set[str]()
    for days in (0, 1, 7):
        world.clock.advance(days * 86_400)
        plan = json.loads(plan_to_json(world.plan(world.load(renamed))))
        assert denied(plan) == []
        seen |= {f"{each['address']}: {each['change']['actions'][0]}" for each in plan["resource_changes"]}
        assert world.apply(world.load(renamed)).complete
    assert {"key.search-api: update", "key.search-api: no-op", "key.search-api: delete"} <= seen


def test_an_endpoint_of_which_nothing_is_known_may_not_become_public() -> None:
    plan = plan_of("opening", "fail")
    (found,) = [each for each in plan["resource_changes"] if each["address"] == "deployment.payments-whisper"]
    for before in (None, {}, {"auth": None}, {"auth": "required"}):
        found["change"]["before"] = before
        assert denied(plan, "opening") == [DENIED["opening"]]
    found["change"]["before"] = {"auth": "open"}
    assert denied(plan, "opening") == []


def test_the_policies_need_no_import_that_an_older_engine_lacks() -> None:
    for name in NAMES:
        text = (POLICIES / f"{name}.rego").read_text(encoding="utf-8")
        assert "package main\n\nimport rego.v1\n" in text
        assert ".every " not in text, "`every` is a keyword: some engines read it only in brackets"
