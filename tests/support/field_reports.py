"""docs/field-reports.md: public reports of faults, carried over to keyform. It is made of docs/field-reports.toml."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
URL = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)/issues/([1-9]\d*)")
HEAD = """\
# Public bug reports carried over

This page lists {reports} public reports of faults in {projects} projects that do a job like keyform's: they keep live
objects in line with a file, or manage secrets. Each row gives the equivalent fault in keyform, what keyform does, and
the test that shows it, on the emulator. `make reports` writes this page from [field-reports.toml](field-reports.toml).

The summaries are ours. Each report's own page shows what became of it.
"""


def read(file: Path) -> list[dict[str, Any]]:
    """The kinds of fault, each with its `reports`."""
    kinds: list[dict[str, Any]] = tomllib.loads(file.read_text(encoding="utf-8"))["kinds"]
    return kinds


def reports_of(kinds: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """All reports, in their order."""
    return [report for kind in kinds for report in kind["reports"]]


def missing_tests(reports: Iterable[dict[str, str]], root: Path) -> list[str]:
    """The tests that are named, as path::name, and are not there."""
    return [test for report in reports if (test := report["test"]) and not _is_there(test, root)]


def write_page(kinds: list[dict[str, Any]]) -> str:
    """Markdown."""
    reports = reports_of(kinds)
    head = HEAD.format(reports=len(reports), projects=len({_names(report)[0] for report in reports}))
    return "\n".join([head, *map(_section, kinds)])


def _is_there(test: str, root: Path) -> bool:
    path, _, name = test.partition("::")
    if not (root / path).is_file():
        return False
    tree = ast.parse((root / path).read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)


def _section(kind: dict[str, Any]) -> str:
    head = "| Report | What happened | In keyform | What keyform does |\n|---|---|---|---|"
    return "\n".join([f"## {kind['title']}\n", f"{kind['intro']}\n", head, *map(_row, kind["reports"]), ""])


def _row(report: dict[str, str]) -> str:
    project, number = _names(report)
    title = report["title"].replace('"', '\\"')
    path, _, name = report["test"].partition("::")
    shown = f"[`{name}`](../{path})" if name else "to be shown"
    link = f'[{project.partition("/")[2]} {number}]({report["url"]} "{title}")'
    cells = [link, report["reported"], report["means"], f"{report['keyform']} {shown}"]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _names(report: dict[str, str]) -> tuple[str, str]:
    """The project, as owner/name, and the report's number."""
    match = URL.fullmatch(report["url"])
    assert match, report["url"]
    return match[1], match[2]


if __name__ == "__main__":
    (DOCS / "field-reports.md").write_text(write_page(read(DOCS / "field-reports.toml")), encoding="utf-8")
