"""The page that a live test writes is the one that the documentation shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from livetest.example import PAGE, example
from livetest.stage import World

from reconciler.cli.doctor import describe
from reconciler.emulator import Modes
from reconciler.livetest.catalogue import NOT_ASKED, QUESTIONS, questions_for

VERSION = re.compile(r"keyform \d+\.\d+\.\d+[\w.]*")


def test_the_example_is_what_a_live_test_of_the_emulator_writes(project_root: Path) -> None:
    """`make live-report` writes it."""
    page = (project_root / PAGE).read_text(encoding="utf-8")
    assert VERSION.sub("keyform", page) == VERSION.sub("keyform", example())


def test_the_documentation_shows_what_a_person_is_told_before_a_live_test(project_root: Path) -> None:
    page = (project_root / "docs/doctor.md").read_text(encoding="utf-8")
    world = World.make()
    plan = world.prepare(world.effects(), patience=300.0)
    host = plan.bench.raw.host
    for line in describe(plan, "keyform-doctor-report.md"):
        assert line.replace(host, "api.gcore.com") in page.splitlines()


def test_the_documentation_counts_the_modes(project_root: Path) -> None:
    page = (project_root / "docs/doctor.md").read_text(encoding="utf-8")
    asked = {mode: values for question in QUESTIONS for mode, values in question.modes.items()}
    modes = Modes.choices() | Modes.liberties()
    assert (
        f"The emulator has {len(modes)} modes with {sum(map(len, modes.values()))} values. A live test can name"
        f" {sum(map(len, asked.values()))} values of {len(asked)} modes"
    ) in " ".join(page.split())
    assert len(asked) + len(NOT_ASKED) == len(modes)
    counts = {}
    for api in ("v3", "v2"):
        counts[api] = sum(len(values) for question in questions_for(api) for values in question.modes.values())
    assert f": {counts['v3']} in v3 of the API, {counts['v2']} in v2." in " ".join(page.split())


@pytest.mark.parametrize("question", QUESTIONS, ids=[question.name for question in QUESTIONS])
def test_a_question_is_said_in_one_line_of_a_table(question: object) -> None:
    asks = getattr(question, "asks", "")
    assert asks
    assert "|" not in asks
    assert len(asks) < 110
