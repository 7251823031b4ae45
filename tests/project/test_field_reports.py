"""docs/field-reports.md is made from docs/field-reports.toml, and names tests that are there."""

from __future__ import annotations

from pathlib import Path

from support.field_reports import URL, missing_tests, read, reports_of, write_page

THIS = "tests/project/test_field_reports.py"


def test_the_page_is_made_from_the_file(project_root: Path) -> None:
    page = (project_root / "docs" / "field-reports.md").read_text(encoding="utf-8")
    assert page == write_page(read(project_root / "docs" / "field-reports.toml")), "run `make reports`"


def test_every_report_names_a_test_that_is_there(project_root: Path) -> None:
    reports = reports_of(read(project_root / "docs" / "field-reports.toml"))
    assert missing_tests(reports, project_root) == []


def test_a_test_that_is_not_there_is_noticed(project_root: Path) -> None:
    named = [
        f"{THIS}::test_gone",
        "tests/gone.py::test_gone",
        THIS,
        f"{THIS}::test_a_test_that_is_not_there_is_noticed",
    ]
    assert missing_tests([{"test": test} for test in named], project_root) == named[:-1]


def test_every_report_is_one_public_report_and_is_told_in_full(project_root: Path) -> None:
    kinds = read(project_root / "docs" / "field-reports.toml")
    reports = reports_of(kinds)
    assert [report["url"] for report in reports if not URL.fullmatch(report["url"])] == []
    assert len({report["url"] for report in reports}) == len(reports)
    assert [kind["title"] for kind in kinds if len(kind["reports"]) < 3] == []
    assert [report["url"] for report in reports if not all(report[name] for name in report if name != "test")] == []
