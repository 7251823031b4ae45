"""A folder to write configuration files in, so that findings are `keyform.yaml:6:3: …` on every machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.config import load_config
from reconciler.errors import ConfigError
from reconciler.model import DesiredState

Load = Callable[..., DesiredState]
Refusal = Callable[..., str]

HEAD = """\
version: 1
stack: demo
project: 1234
sinks: {local: {type: dotenv, path: a.env}, spare: {type: json, path: b.json}}
defaults: {sink: local}
"""
"""Five lines that a case about something else begins with."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the working folder too."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Load:
    """Load one file with this text (or these bytes)."""

    def load(content: str | bytes, **env: str) -> DesiredState:
        (folder / "keyform.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
        return load_config([Path("keyform.yaml")], env)

    return load


@pytest.fixture
def refusal(load: Load) -> Refusal:
    """All findings of one file, as a user reads them."""

    def refuse(content: str | bytes, **env: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load(content, **env)
        return "\n".join(map(str, caught.value.findings))

    return refuse
