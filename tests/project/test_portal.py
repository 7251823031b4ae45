"""docs/portal.md is made from the tests of the portal's steps, and shows what they run."""

from __future__ import annotations

import re
from pathlib import Path

from cli import test_portal
from support.portal import Step, not_run, rows_of, write_page


def test_the_page_is_made_from_the_tests(project_root: Path) -> None:
    page = (project_root / "docs" / "portal.md").read_text(encoding="utf-8")
    assert page == write_page(rows_of(test_portal)), "run `make portal`"


def test_every_test_of_a_step_is_in_a_row_and_every_row_names_one(project_root: Path) -> None:
    page = (project_root / "docs" / "portal.md").read_text(encoding="utf-8")
    named = re.findall(r"^\|.*\| \[`(\w+)`\]\(\.\./tests/cli/test_portal\.py\) \|$", page, re.MULTILINE)
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    source = (project_root / "tests" / "cli" / "test_portal.py").read_text(encoding="utf-8")
    assert len(named) == len(rows)
    assert list(dict.fromkeys(named)) == re.findall(r"^def (test_\w+)", source, re.MULTILINE)


def test_what_a_row_shows_and_its_test_does_not_run_is_noticed() -> None:
    step = Step(portal="", result="", files=("a", "b"), commands=("keyform plan",), code=("sh", "curl"))
    assert not_run(step, ["a", "b"], ["keyform plan"], ["curl"]) == []
    assert not_run(step, ["b", "c"], ["keyform apply"], []) == ["a", "keyform plan", "curl"]
    assert not_run(Step(portal="", result=""), [], [], []) == []
