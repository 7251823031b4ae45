"""What the tests of the command sink share: real scripts, and errors that carry no secret."""

from __future__ import annotations

import base64
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sinks.stage import CANARY, owner, record

from reconciler.effects import System
from reconciler.errors import SinkError
from reconciler.model import Secret, SinkSettings
from reconciler.model.desired import Place
from reconciler.sinks import Sink, open_sinks

PY = sys.executable


def open_command(folder: Path, effects: System | None = None, **options: Any) -> Sink:
    """The sink of a configuration file in this folder."""
    settings = SinkSettings("pager", "command", options, Place(str(folder / "keyform.yaml"), 4, 3))
    return open_sinks([settings], owner=owner(), effects=effects or System())["pager"]


def script(folder: Path, text: str, name: str = "save.py") -> str:
    """An executable Python script, by its path from the folder."""
    path = folder / name
    path.write_text(f"#!{PY}\n{text}")
    path.chmod(0o755)
    return f"./{name}"


def refused(act: Callable[[], object]) -> SinkError:
    """The error, whose every trace is free of the secret."""
    with pytest.raises(SinkError) as caught:
        act()
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + error.diagnostics()
    for form in (CANARY, base64.b64encode(CANARY.encode()).decode().rstrip("="), CANARY.encode().hex(), CANARY[4:14]):
        assert form not in shown
    assert error.__cause__ is None
    assert error.__context__ is None
    assert error.way_out
    return error


def save(sink: Sink, generation: int = 2, secret: str = CANARY) -> None:
    sink.write(record("payments-api", generation), Secret(secret))


def is_gone(pid: int) -> bool:
    """Whether a process has ended, be it as one that nobody has waited for."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Return as soon as it is so."""
    for _ in _until(seconds):
        if condition():
            return
    raise AssertionError("it did not become so")


def _until(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.01)
