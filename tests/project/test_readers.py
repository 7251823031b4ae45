"""A tool that was written for Terraform's plans reads keyform's."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from support.drawn import files, worlds
from support.fuzzing import fuzz
from support.policies import cases
from support.states import NOW

from reconciler.plan import compute_plan
from reconciler.report.json import plan_to_json

readtheplan = pytest.importorskip("readtheplan.plan", reason="readtheplan is not installed")


def judge(tree: Any, tmp_path: Path) -> None:
    """It finds each key and each endpoint, with what is done to it, and takes deletions for what they are."""
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    found = readtheplan.analyze_plan_file(path)
    told = Counter("/".join(each["change"]["actions"]) for each in tree["resource_changes"])
    assert found.terraform_version == tree["terraform_version"]
    assert dict(found.action_counts) == {action: count for action, count in told.items() if count}
    assert [each.address for each in found.resource_changes] == [each["address"] for each in tree["resource_changes"]]
    risks = {each.address: each.risk for each in found.resource_changes}
    for each in tree["resource_changes"]:
        assert (risks[each["address"]] == "irreversible") == (each["change"]["actions"] == ["delete"])


@pytest.mark.parametrize("plan", [plan for _, plan in cases()], ids=lambda plan: f"{plan.parent.name}-{plan.stem}")
def test_it_reads_the_plans_of_the_examples(plan: Path, tmp_path: Path) -> None:
    judge(json.loads(plan.read_text(encoding="utf-8")), tmp_path)


@fuzz(30)
@given(files(), worlds())
def test_it_reads_any_plan(tmp_path_factory: pytest.TempPathFactory, file: Any, world: Any) -> None:
    judge(json.loads(plan_to_json(compute_plan(file, world, NOW))), tmp_path_factory.mktemp("plan"))
