"""Nothing is installed for development but files whose hashes are in git."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

LOCKS = ("runtime", "demo", "dev")
ENTRY = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>[\w.!+]+)(?: ; [^\n\\]+)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+",
    re.MULTILINE,
)


def _lock(root: Path, name: str) -> str:
    return (root / "locks" / f"{name}.txt").read_text(encoding="utf-8")


def _versions(root: Path, name: str) -> dict[str, str]:
    return {entry["name"]: entry["version"] for entry in ENTRY.finditer(_lock(root, name))}


def _names(requirements: list[str]) -> set[str]:
    return {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower() for requirement in requirements}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_versions_and_hashes_and_no_address(project_root: Path, name: str) -> None:
    left = ENTRY.sub("", _lock(project_root, name))
    assert [line for line in left.splitlines() if not line.startswith("#")] == []


def test_each_lock_has_all_that_the_project_declares_for_it(project_root: Path) -> None:
    declared = tomllib.loads((project_root / "pyproject.toml").read_text(encoding="utf-8"))
    extras, runtime = declared["project"]["optional-dependencies"], _names(declared["project"]["dependencies"])
    demo = runtime | _names(extras["emulator"]) | _names(declared["build-system"]["requires"])
    assert runtime - set(_versions(project_root, "runtime")) == set()
    assert demo - set(_versions(project_root, "demo")) == set()
    assert (demo | _names(extras["dev"]) | _names(extras["aws"])) - set(_versions(project_root, "dev")) == set()


@pytest.mark.parametrize("smaller", ["runtime", "demo"])
def test_the_locks_agree(project_root: Path, smaller: str) -> None:
    assert _versions(project_root, smaller).items() <= _versions(project_root, "dev").items()


def test_pip_takes_only_what_a_lock_lists_and_then_the_wheel_alone(project_root: Path) -> None:
    makefile = (project_root / "Makefile").read_text(encoding="utf-8")
    installs = re.findall(r"^.*\binstall\b.*$", makefile, re.MULTILINE)
    commands = [line for line in installs if "$(PIP)" in line or "-m pip" in line]
    assert len(commands) == 2
    assert [line for line in commands if "--no-deps" not in line] == []
    assert ["--require-hashes" in line or "--no-index" in line for line in commands] == [True, True]
