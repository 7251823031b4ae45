"""Fixtures of the local sinks."""

from __future__ import annotations

from pathlib import Path

import pytest
from sinks.stage import KINDS, Kind, git


@pytest.fixture(params=KINDS, ids=lambda kind: kind.type)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each type of local sink in turn."""
    return request.param


@pytest.fixture
def path(tmp_path: Path, kind: Kind) -> Path:
    """Where the sink's file belongs, in a folder that no git knows."""
    return tmp_path / kind.name


@pytest.fixture
def repository(tmp_path: Path, kind: Kind) -> Path:
    """A git repository that ignores exactly the sink's file."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / ".gitignore").write_text(f"/{kind.name}\n")
    git(folder, "add", ".gitignore")
    git(folder, "commit", "--quiet", "--message", "start")
    return folder
