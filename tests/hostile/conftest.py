"""Every test here is somebody's attempt, and says whose, or a control; `make hostile` counts what got through."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import keyform, make_world, world
from support.hostile import ATTACKERS, Record, Tried

__all__ = ["keyform", "make_world", "world"]  # the folder and the emulator of the command line's tests
FOLDER = Path(__file__).parent
# Into this file go the figures of the run.
FIGURES = os.environ.get("KEYFORM_HOSTILE_JSON")
ATTEMPT, SAMPLES = "keyform attempt", "keyform samples"

record = Record()
samples = 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that does not say who attacks, and let each report carry what it reports on.

    None is measured for coverage: it would take twice as long, and the attacked code has separate tests.
    """
    for item in items:
        if not isinstance(item, pytest.Function) or not item.path.is_relative_to(FOLDER):
            continue
        item.add_marker("no_cover")
        if item.get_closest_marker("control"):
            continue
        marker = item.get_closest_marker("attack")
        if marker is None or len(marker.args) != 1 or marker.args[0] not in ATTACKERS:
            raise pytest.UsageError(
                f"{item.nodeid} needs @pytest.mark.attack(WHO) or control; WHO is one of: {', '.join(ATTACKERS)}"
            )
        item.user_properties.append((ATTEMPT, [marker.args[0], item.path.name, _topic(item), _sentence(item)]))
        if (drawn := getattr(item.function, "hypothesis", None)) is not None and not hasattr(drawn, "counted"):
            drawn.inner_test, drawn.counted = _count(drawn.inner_test), True


def _topic(item: pytest.Function) -> str:
    return (item.module.__doc__ or item.path.stem).strip().splitlines()[0].rstrip(".")


def _sentence(item: pytest.Function) -> str:
    said = (item.function.__doc__ or item.originalname.removeprefix("test_").replace("_", " ")).strip()
    return (said[0].upper() + said[1:]).splitlines()[0].rstrip(".")


def _count(test: Any) -> Any:
    @functools.wraps(test)
    def counted(*args: Any, **kwargs: Any) -> Any:
        global samples  # noqa: PLW0603 - Hypothesis calls the test with nothing but what it drew
        samples += 1
        return test(*args, **kwargs)

    return counted


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Count the samples that Hypothesis draws."""
    before = samples
    try:
        return (yield)
    finally:
        if samples > before:
            item.user_properties.append((SAMPLES, samples - before))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count an attempt once it has ended: when it was made, or when something before it or after it failed."""
    properties = dict(report.user_properties)
    attempt = properties.pop(ATTEMPT, None)
    if attempt is None or (report.when != "call" and report.passed):
        return
    number = properties.pop(SAMPLES, 0)
    tried = Tried(*attempt, attempts=1, got_through=int(report.failed), not_tried=int(report.skipped), samples=number)
    tried.attempts -= tried.not_tried
    record.add(tried)
    record.crashes += int(report.failed and number > 0)
    record.measured.update({name: str(value) for name, value in properties.items()})


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the figures, once: not in a worker, which reports to where they are."""
    if FIGURES and not hasattr(session.config, "workerinput"):
        Path(FIGURES).write_text(json.dumps(record.figures()), encoding="utf-8")
