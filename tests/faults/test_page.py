"""The published figures: the page comes from them, and they are what they have to be."""

import json
from itertools import count, islice
from pathlib import Path

import pytest
from support.faults import cases, torture
from support.faults.bugs import BUGS
from support.faults.page import write_page
from support.faults.scenarios import BY_NAME

from reconciler.emulator import Modes


def test_the_page_is_made_from_the_figures(project_root: Path) -> None:
    figures = json.loads((project_root / "docs" / "faults.json").read_text())
    assert (project_root / "docs" / "faults.md").read_text() == write_page(figures)


def test_the_published_figures_hold_what_the_readme_says(project_root: Path) -> None:
    figures = json.loads((project_root / "docs" / "faults.json").read_text())
    assert (figures["violations"], figures["canaries"]["hits"], figures["orphans_left"]) == (0, 0, 0)
    assert figures["planted_bugs"]["not_caught"] == []
    assert figures["faults"]["single"] > 10_000
    assert figures["faults"]["double"] > 100
    assert figures["faults"]["real_kills"] == figures["faults"]["real_kill_points"]
    assert figures["faults"]["real_kill_stories"] >= figures["scenarios"] - figures.get("scenarios_with_aws", 0)
    assert figures["parts_cut_short"] == 0
    assert not figures["commit"].endswith("-dirty")


@pytest.mark.no_cover
def test_a_budget_is_kept_and_what_it_left_no_time_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torture, "BUGS", BUGS[:1])
    monkeypatch.setattr(torture, "STORIES", {})
    monkeypatch.setattr(torture, "GATHERINGS", {})
    monkeypatch.setattr(torture, "SCENARIOS", [BY_NAME["description, v2"], BY_NAME["first create"]])
    looks = count()
    monkeypatch.setattr(torture, "now", lambda: next(looks))
    figures = torture.torture(seed=3, budget=80, workers=0)
    assert figures["seconds"] < 200  # every job that is left looks once
    assert figures["violations"] == 0, figures["failures"]
    assert figures["parts_cut_short"] > 0
    assert figures["faults"]["single"] > 30
    singles = {api: found["single"] for api, found in figures["generations"].items()}
    assert all(singles.values()), singles
    assert sum(singles.values()) == figures["faults"]["single"]
    page = write_page(figures)
    assert "\n| | v3 | v2 |\n|---|---|---|\n| Scenarios, and how many" in page
    assert f"\n| Single faults | {singles['v3']:,} | {singles['v2']:,} |\n" in page


def test_a_seed_decides_which_cases_are_taken_and_in_which_order() -> None:
    assert list(torture.jobs(1, 0.0, 60.0)) == list(torture.jobs(1, 0.0, 60.0))
    assert list(torture.jobs(1, 0.0, 60.0)) != list(torture.jobs(2, 0.0, 60.0))


def test_in_full_no_single_of_a_mode_and_no_first_fault_of_a_double_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torture, "BUGS", [])
    monkeypatch.setattr(torture, "STORIES", {})
    monkeypatch.setattr(torture, "MEETINGS", {})
    monkeypatch.setattr(torture, "GATHERINGS", {2: 2})
    monkeypatch.setattr(torture, "SCENARIOS", [BY_NAME["the last key removed"]])
    whole = cases.Pass.singles
    monkeypatch.setattr(cases.Pass, "singles", lambda done: islice(whole(done), 5))
    modes = len(Modes.pairwise())
    figures = torture.torture(seed=3, budget=float("inf"), workers=0, full=True)
    assert figures["faults"]["single"] == 5 * modes
    assert figures["faults"]["double"] == 5 * 5
    assert (figures["violations"], figures["parts_cut_short"]) == (0, 0)
    (met,) = figures["gatherings"]
    assert (met["stacks"], met["meetings"], met["runs"], met["bindings_lost"]) == (2, 2, 4, 0)
    assert "| 2 stacks | 2 | 4 of 4 | 0 | " in write_page(figures)
