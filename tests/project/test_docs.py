"""The documentation says what is so: every link, every command, every option, every version."""

from __future__ import annotations

import argparse
import re
import subprocess
from datetime import date
from pathlib import Path

import pytest
from support import markdown

import reconciler

KINDS_OF_CHANGE = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]


def _files(root: Path) -> list[Path]:
    """Everything that is or will be in git; in a source distribution, which has no git, everything that it holds."""
    if not (root / ".git").exists():
        return [path for path in root.rglob("*") if path.is_file() and not {".venv", "dist"} & set(path.parts)]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    return [path for name in sorted(set(listed.stdout.split("\0"))) if name and (path := root / name).is_file()]


def _pages(root: Path) -> list[Path]:
    return [path for path in _files(root) if path.suffix == ".md"]


def test_every_relative_link_leads_somewhere(project_root: Path) -> None:
    broken = {
        page.relative_to(project_root).as_posix(): targets
        for page in _pages(project_root)
        if (targets := markdown.broken_links(page, project_root))
    }
    assert broken == {}


def test_a_link_that_leads_nowhere_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One title, twice\n\n# One title, twice\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[good](other.md#one-title-twice) [second](other.md#one-title-twice-1) [web](https://example.com/x)\n"
        "[bad](missing.md) [worse](other.md#no-title) ![out](../picture.svg) `[code](nowhere.md)`\n"
        '<img src="no.svg" alt="">\n\n[ref]: gone.md\n\n```\n[in a block](nowhere.md)\n```\n'
    )
    assert markdown.broken_links(page, tmp_path) == [
        "missing.md",
        "other.md#no-title",
        "../picture.svg",
        "gone.md",
        "no.svg",
    ]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_is_mentioned_exists(project_root: Path, name: str) -> None:
    makefile = (project_root / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    code = "\n".join(markdown.code((project_root / name).read_text(encoding="utf-8")))
    mentioned = set(re.findall(r"(?:^|&& |\$ )make +([a-z][a-z-]*)", code, re.MULTILINE))
    assert mentioned
    assert mentioned - targets == set()


def test_every_make_target_for_people_says_what_it_does(project_root: Path) -> None:
    makefile = (project_root / "Makefile").read_text(encoding="utf-8")
    phony = set(re.findall(r"^\.PHONY: ([a-z-]+)$", makefile, re.MULTILINE))
    described = set(re.findall(r"^([a-z-]+):[^#\n]*## \S", makefile, re.MULTILINE))
    assert phony == described


def test_the_changelog_keeps_its_form(project_root: Path) -> None:
    text = (project_root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.startswith("# Changelog\n")
    releases = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert releases[0] == "[Unreleased]"
    released = []
    for title in releases[1:]:
        match = re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d{2}-\d{2})", title)
        assert match, title
        released.append((date.fromisoformat(match[4]), tuple(int(part) for part in match.groups()[:3])))
    assert released == sorted(released, reverse=True)
    for title in releases:
        section = markdown.section(text, title)
        kinds = re.findall(r"^### (.+)$", section, re.MULTILINE)
        assert kinds == [kind for kind in KINDS_OF_CHANGE if kind in kinds], title
        assert [kind for kind in kinds if not re.search(r"^- ", markdown.section(section, kind), re.MULTILINE)] == []


def test_the_version_is_released_or_about_to_be(project_root: Path) -> None:
    text = (project_root / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", text, re.MULTILINE)
    assert reconciler.__version__ in released or markdown.section(text, "[Unreleased]").strip()


# --- The table of commands --------------------------------------------------------------------------------------------


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(commands.choices)


def _options(parser: argparse.ArgumentParser) -> set[str]:
    return {
        option
        for action in parser._actions
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)
        for option in action.option_strings
        if option.startswith("--")
    }


def _options_in(text: str) -> set[str]:
    return {option for span in markdown.code(text) for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", span)}


def _documented(readme: str) -> tuple[dict[str, set[str]], set[str]]:
    """Per command, the options in its row of the table; and the options named beside the table, common to several."""
    section = markdown.section(readme, "Commands")
    rows = re.findall(r"^\|\s*`(?:keyform )?([a-z-]+)[^`|]*`.*$", section, re.MULTILINE)
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    beside = "\n".join(line for line in section.splitlines() if not line.startswith("|"))
    return {name: _options_in(line) for name, line in zip(rows, lines, strict=True)}, _options_in(beside)


def test_the_readme_lists_the_commands_that_there_are(project_root: Path) -> None:
    from reconciler.cli import build_parser

    documented, _ = _documented((project_root / "README.md").read_text(encoding="utf-8"))
    assert sorted(documented) == sorted(_subparsers(build_parser()))


def test_the_readme_lists_the_options_that_there_are(project_root: Path) -> None:
    """An option is in the row of each command that has it, or outside the table when several share it."""
    from reconciler.cli import build_parser

    parser = build_parser()
    commands = _subparsers(parser)
    by_row, beside = _documented((project_root / "README.md").read_text(encoding="utf-8"))
    defined = {name: _options(command) for name, command in commands.items()}
    everywhere = _options(parser).union(*defined.values())
    assert beside - everywhere == set(), "no command has an option that is named beside the table"
    assert _options(parser) - beside == set(), "an option of keyform itself is missing beside the table"
    assert {name: by_row.get(name, set()) - beside for name in commands} == {
        name: options - beside for name, options in defined.items()
    }
    assert {name: by_row[name] - defined[name] for name in by_row} == {name: set() for name in by_row}


def test_the_table_of_commands_is_read_row_by_row() -> None:
    readme = (
        "## Commands\n\n| command | does |\n|---|---|\n"
        "| `plan` | `--out FILE --format text/json` |\n| `keyform apply [PLANFILE]` | asks; `--auto-approve` |\n\n"
        "Common: `-f/--file`, `--no-color`.\n\n## Next\n\n`--other`\n"
    )
    assert _documented(readme) == (
        {"plan": {"--out", "--format"}, "apply": {"--auto-approve"}},
        {"--file", "--no-color"},
    )


# --- What is in nobody's interest -------------------------------------------------------------------------------------

# Written in pieces, so that this file does not hold what it looks for.
REGISTRIES = ("pypi" + ".org", "python" + "hosted.org", "registry.npm" + "js.org", "deb.debian" + ".org")
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:work|root|Users/\w+|home/\w+)(?=[/\s\"'`)]|$)", re.MULTILINE)


def test_no_file_depends_on_a_registry_or_on_a_machine(project_root: Path) -> None:
    found = []
    for path in _files(project_root):
        text = path.read_text(encoding="utf-8", errors="replace")
        names = [name for name in REGISTRIES if name in text] + [match[0] for match in MACHINE_PATH.finditer(text)]
        found += [f"{path.relative_to(project_root).as_posix()}: {name}" for name in names]
    assert found == []


@pytest.mark.parametrize("line", ["open('/" + "root/x')", "see /" + "home/alice/keyform.yaml"])
def test_a_path_of_one_machine_is_noticed(line: str) -> None:
    assert MACHINE_PATH.search(line)


@pytest.mark.parametrize("line", ["https://example.com/root/x", "GET /roots", "tests/root/file", "~/home"])
def test_an_ordinary_path_is_no_machine(line: str) -> None:
    assert not MACHINE_PATH.search(line)
