"""What every test may use. Each folder adds its own; nothing here loads a library."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

# jsonschema loads this where it finds it, for the format `iri`, which nothing here checks: it takes 0.8 s.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The folder of the checkout: documentation, workflows and sources as they are in git."""
    return Path(__file__).resolve().parents[1]


LONGEST_ID = 32
UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a row by the first words in it, joined as `-k` takes them; what is short and one word names it as it is."""
    if isinstance(val, str) and len(val) <= LONGEST_ID and len(val.split()) == 1:
        return None
    return "-".join(re.findall(r"\w+", " ".join(texts_in(val))[:LONGEST_ID], re.ASCII)) or None


def texts_in(val: object) -> Iterator[str]:
    """The beginning of every text, number and length of time in it."""
    match val:
        case str():
            yield val[:LONGEST_ID]
        case bool() | int() if abs(val) < 10**LONGEST_ID:
            yield str(val)
        case timedelta():
            seconds = round(val.total_seconds())
            size, unit = next(each for each in UNITS if seconds % each[0] == 0)
            yield f"{seconds // size}{unit}"
        case dict():
            for key, each in val.items():
                yield from (*texts_in(key), *texts_in(each))
        case list() | tuple():
            for each in val[:LONGEST_ID]:
                yield from texts_in(each)


@pytest.fixture(autouse=True)
def _without_the_developers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that needs a credential or a CI flag sets it: those of the machine change no outcome and reach no API."""
    for name in list(os.environ):
        if name.startswith(("GCORE_", "VAULT_", "BAO_", "AWS_")):
            monkeypatch.delenv(name)
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


# --- Browsers ---------------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """Where KEYFORM_NEEDS_BROWSER is set, as in CI, a browser test that was skipped has failed."""
    report: pytest.TestReport = yield
    if os.environ.get("KEYFORM_NEEDS_BROWSER") and report.skipped and item.get_closest_marker("browser"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{why}\nKEYFORM_NEEDS_BROWSER is set: no browser test may be skipped."
    return report


# --- Coverage ---------------------------------------------------------------------------------------------------------
#
# In a worker, pytest-cov measures twice: as in a run without workers, and as in a worker. The first takes over whenever
# the second pauses, and what is marked `no_cover` would be measured all the same, and take twice as long.


def pytest_configure(config: pytest.Config) -> None:
    """Leave only the second."""
    plugin = config.pluginmanager.getplugin("_cov")
    if hasattr(config, "workerinput") and plugin is not None and plugin.cov_controller is not None:
        plugin.cov_controller.cov.stop()
