"""What every test may use. Each folder adds its own; nothing here loads a library."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The folder of the checkout: documentation, workflows and sources as they stand in git."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _without_the_developers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that needs a credential or a CI flag sets it: those of the machine change no outcome and reach no API."""
    for name in list(os.environ):
        if name.startswith(("GCORE_", "VAULT_", "BAO_", "AWS_")):
            monkeypatch.delenv(name)
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
