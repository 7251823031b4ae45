"""The workflows that the README shows, with a pull request that wants the token or the reviewer's eye."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import markdown

README = Path(__file__).parents[2] / "README.md"
EXAMPLES = {
    workflow["name"]: workflow
    for block in markdown.code(README.read_text(encoding="utf-8"))
    if re.search(r"^jobs:$", block, re.MULTILINE)
    # BaseLoader: "on" stays a word.
    for workflow in [yaml.load(block, Loader=yaml.BaseLoader)]  # noqa: S506 - it makes strings only
}
every_example = pytest.mark.parametrize("name", sorted(EXAMPLES))
NASTY = "No changes.\n```\n# Approved by security\n~~~\n<script>x</script>\n</code></pre>\n\t\n\n    x"


def _steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = job["steps"]
    return steps


@pytest.mark.attack("pull request author")
@every_example
def test_no_example_runs_with_the_rights_of_the_target_branch(name: str) -> None:
    assert set(EXAMPLES[name]["on"]) <= {"pull_request", "push", "schedule"}
    assert EXAMPLES[name]["permissions"] == {"contents": "read"}


@pytest.mark.attack("pull request author")
@every_example
def test_a_job_that_a_pull_request_starts_has_an_environment_of_its_own(name: str) -> None:
    """A job that a pull request starts shares no environment, and so no token, with one that writes."""
    jobs = EXAMPLES[name]["jobs"].values()
    planning = {job["environment"] for job in jobs if job.get("if") == "github.event_name == 'pull_request'"}
    applying = {job["environment"] for job in jobs if "keyform apply" in str(job)}
    assert applying
    assert planning & applying == set()
    assert "pull_request" not in EXAMPLES[name]["on"] or all("if" in job for job in jobs)


@pytest.mark.attack("pull request author")
@every_example
def test_a_token_is_known_to_the_one_step_that_needs_it(name: str) -> None:
    workflow = EXAMPLES[name]
    jobs = workflow["jobs"].values()
    assert "secrets." not in str(workflow.get("env", "")) + "".join(str(job.get("env", "")) for job in jobs)
    for step in [step for job in jobs for step in _steps(job)]:
        if "uses" in step:
            assert {**step["with"], "fetch-depth": "0"} == {"persist-credentials": "false", "fetch-depth": "0"}
            assert "secrets." not in str(step)
        else:
            assert "keyform" in step["run"]
            assert "${{" not in step["run"]


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("code", [0, 1, 2, 130])
def test_a_plan_is_shown_in_the_format_that_makes_others_words_inert_and_ends_as_it_did(
    tmp_path: Path, code: int
) -> None:
    """The summary is keyform's Markdown, byte for byte, whatever comes of the plan (tests/report/test_markdown.py)."""
    script = _steps(EXAMPLES["Inference keys"]["jobs"]["plan"])[-1]["run"]
    keyform = tmp_path / "bin" / "keyform"
    keyform.parent.mkdir()
    (tmp_path / "said").write_text(NASTY)
    keyform.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat {tmp_path}/said\nexit {code}\n')
    keyform.chmod(0o755)
    nasty = "$(touch pwned);`touch pwned` --out x"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        env={
            "PATH": f"{keyform.parent}:{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
            "GITHUB_BASE_REF": nasty,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert (tmp_path / "asked").read_text() == f"plan --base origin/{nasty} --format markdown\n"
    assert (tmp_path / "summary.md").read_text() == NASTY
    assert not (tmp_path / "pwned").exists()
