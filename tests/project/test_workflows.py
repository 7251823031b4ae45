"""What is checked before a merge is what is checked in CI, whoever runs it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = ("ci.yml", "release.yml")


def _load(path: Path) -> dict[str, Any]:
    # BaseLoader: "on" stays a word, and 3.10 is no number.
    document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - it makes strings only
    return document


def _steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def _make_targets(commands: str) -> set[str]:
    lines = re.findall(r"^\s*make ([a-z -]+)$", commands, re.MULTILINE)
    return {target for line in lines for target in line.split()}


def test_the_workflow_makes_all_that_the_local_ci_makes(project_root: Path) -> None:
    local = _make_targets((project_root / ".ci" / "run").read_text(encoding="utf-8"))
    steps = _steps(_load(project_root / ".github" / "workflows" / "ci.yml"))
    hosted = _make_targets("\n".join(step.get("run", "") for step in steps))
    assert {"test", "lint", "format-check", "types"} <= local <= hosted


def test_the_workflow_tests_every_python_that_the_project_declares(project_root: Path) -> None:
    declared = re.findall(r"Python :: (3\.\d+)", (project_root / "pyproject.toml").read_text(encoding="utf-8"))
    workflow = _load(project_root / ".github" / "workflows" / "ci.yml")
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == declared


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_read_only_and_each_job_asks_for_what_else_it_needs(project_root: Path, name: str) -> None:
    workflow = _load(project_root / ".github" / "workflows" / name)
    assert workflow["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_checkout_leaves_no_token_behind(project_root: Path, name: str) -> None:
    checkouts = [
        step
        for step in _steps(_load(project_root / ".github" / "workflows" / name))
        if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert checkouts
    assert [step["with"]["persist-credentials"] for step in checkouts] == ["false"] * len(checkouts)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_command_is_composed_from_what_a_contributor_wrote(project_root: Path, name: str) -> None:
    commands = [step["run"] for step in _steps(_load(project_root / ".github" / "workflows" / name)) if "run" in step]
    assert [command for command in commands if "${{ github." in command] == []
