"""What is published of the attacks: the page is made of the figures, and nothing got through."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import markdown
from support.hostile import ATTACKERS, Record, Tried, write_page


def test_the_page_is_made_from_the_figures(project_root: Path) -> None:
    figures = json.loads((project_root / "docs" / "hostile.json").read_text())
    assert (project_root / "docs" / "hostile.md").read_text() == write_page(figures)


def test_the_published_figures_are_of_every_attack_and_nothing_got_through(project_root: Path) -> None:
    figures = json.loads((project_root / "docs" / "hostile.json").read_text())
    tried = {test["file"] for attacker in figures["attackers"] for test in attacker["tests"]}
    assert tried == {path.name for path in (project_root / "tests" / "hostile").glob("test_*.py")}, "run `make hostile`"
    assert (figures["got_through"], figures["crashes"]) == (0, 0)
    assert figures["findings"] == {"zizmor": 0, "actionlint": 0}
    assert not figures["commit"].endswith("-dirty")


def test_every_attacker_has_a_line_in_the_table_of_who_is_trusted(project_root: Path) -> None:
    table = markdown.section((project_root / "SECURITY.md").read_text(), "Who is trusted with what")
    linked = re.findall(r"\(docs/hostile\.md#([a-z-]+)\)", table)
    assert linked == [attacker.lower().replace(" ", "-") for attacker in ATTACKERS]


@pytest.mark.parametrize("marker", ["", '@pytest.mark.attack("nobody")'])
def test_an_attack_that_does_not_say_whose_it_is_is_refused(project_root: Path, tmp_path: Path, marker: str) -> None:
    shutil.copy(project_root / "tests" / "hostile" / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    attack(who): somebody\n    control: nobody\n")
    (tmp_path / "test_x.py").write_text(f"import pytest\n\n{marker}\ndef test_x():\n    pass\n")
    places = [str(project_root / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", tmp_path],
        env={"PYTHONPATH": os.pathsep.join(places)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert (
        "test_x.py::test_x needs @pytest.mark.attack(WHO) or control; WHO is one of: pull request author" in done.stderr
    )


def test_attempts_are_counted_by_attacker_and_by_test() -> None:
    record = Record()
    record.add(Tried("project member", "test_a.py", "Names", "A name is a name", attempts=1, samples=100))
    record.add(Tried("project member", "test_a.py", "Names", "A name is a name", attempts=1, got_through=1, samples=7))
    record.add(Tried("API or proxy", "test_a.py", "Names", "A date is a date", not_tried=1))
    figures = record.figures()
    assert [(of["attacker"], of["attempts"], of["got_through"], of["not_tried"]) for of in figures["attackers"]] == [
        ("pull request author", 0, 0, 0),
        ("after merge", 0, 0, 0),
        ("project member", 2, 1, 0),
        ("endpoint owner", 0, 0, 0),
        ("API or proxy", 0, 0, 1),
    ]
    assert (figures["attempts"], figures["got_through"], figures["samples"]) == (2, 1, 107)
    page = write_page({**figures, "findings": {}, "seconds": 1, "commit": "x"})
    assert "- A name is a name: 2, 107 samples\n" in page
