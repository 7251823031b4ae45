"""What one key passes from YAML to the last request, and its secret from the answer to the sink: files and shapes.

It runs `keyform apply` in this process, against the emulator, and looks at every call of a function of keyform: which
arguments hold the key's name, or the secret, and of which types they are. What it prints is what docs/house.md says.

    python tools/journey.py
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import reconciler
from reconciler.cli import main as keyform
from reconciler.emulator import Answer, Emulator, EmulatorServer, Request, seed
from reconciler.model import Secret

TOKEN = "journey-token"  # noqa: S105 - of an emulator
NAME = "payments-api"
FILE = f"""\
version: 1
stack: prod
project: 1234
sinks:
  local: {{type: dotenv, path: secrets.env}}
keys:
  {NAME}: {{deployments: [llama3], sink: local}}
"""
LIVE = {
    "tokens": {TOKEN: [1234]},
    "projects": {
        1234: {
            "api_keys": [{"name": "made-in-portal"}],
            "deployments": [{"name": "llama3", "image": "example/llama3", "api_keys": ["made-in-portal"]}],
        }
    },
}
HOUSE = Path(reconciler.__file__).parent
APART = ("emulator", "cli", "report", "encoder.py", "redaction.py")
"""Not on the way: the API itself, and what shows others what happens."""
DEEP = 6
"""How far into an argument it looks."""
SURROUNDINGS = ("Run", "Facts", "_Build", "_Reading")
"""Shapes that hold everything at hand: who is handed one is not handed the key, or the secret, for that."""


class Tracer:
    """Records, for every call inside keyform, which of the followed values it receives."""

    def __init__(self) -> None:
        self.key_files: Counter[str] = Counter()
        self.key_shapes: Counter[str] = Counter()
        self.secret_files: Counter[str] = Counter()
        self._guard = threading.Lock()

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """To be set as the profile of a thread."""
        if event != "call":
            return
        path = Path(frame.f_code.co_filename)
        if not path.is_relative_to(HOUSE):
            return
        place = path.relative_to(HOUSE).as_posix()
        if place.startswith(APART):
            return
        names = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
        values = [frame.f_locals[name] for name in names if name in frame.f_locals and name not in {"self", "cls"}]
        shapes = {type(value).__name__ for value in values if is_of_house(value) and holds(value, is_key)}
        has_key = bool(shapes) or any(holds(value, is_key) for value in values)
        has_secret = any(holds(value, is_secret) for value in values)
        with self._guard:
            self.key_files.update([place] if has_key else [])
            self.key_shapes.update(shapes)
            self.secret_files.update([place] if has_secret else [])


def is_of_house(value: object) -> bool:
    """Whether a value is of a class of keyform's own."""
    return type(value).__module__.startswith("reconciler.") and is_dataclass(value)


def is_key(value: object) -> bool:
    """Whether it is the key's name, by itself or in a text."""
    return isinstance(value, str) and NAME in value


SHOWN: list[str] = []
"""The secret, once the API has shown it."""


def is_secret(value: object) -> bool:
    """Whether it is the secret, by itself or in a text, a body or a file's content."""
    match value:
        case Secret():
            return value.reveal() in SHOWN
        case str():
            return any(secret in value for secret in SHOWN)
        case bytes():
            return any(secret.encode() in value for secret in SHOWN)
        case _:
            return False


def note_secret(request: Request, answer: Answer) -> None:
    """Learn the secret from the answer to the create."""
    if request.method == "POST" and (answer.json() or {}).get("name") == NAME:
        SHOWN.append(answer.json()["secret"])


def holds(value: object, wanted: Any, depth: int = DEEP) -> bool:
    """Whether a value is what is looked for, or data that holds it."""
    if wanted(value):
        return True
    if depth == 0:
        return False
    match value:
        case dict():
            inner: list[object] = [*value, *value.values()]
        case list() | tuple() | set() | frozenset():
            inner = list(value)
        case _ if is_of_house(value) and type(value).__name__ not in SURROUNDINGS:
            inner = [getattr(value, field.name) for field in fields(value)]  # type: ignore[arg-type]
        case _:
            return False
    return any(holds(each, wanted, depth - 1) for each in inner)


def main() -> int:
    """Print both journeys."""
    emulator = Emulator(task_seconds=0.0, seed=1)
    seed(emulator, LIVE)
    emulator.listeners.append(note_secret)
    tracer = Tracer()
    with EmulatorServer(emulator) as server, tempfile.TemporaryDirectory(prefix="keyform-journey-") as folder:
        os.chdir(folder)
        Path("keyform.yaml").write_text(FILE, encoding="utf-8")
        env = {**os.environ, "GCORE_BASE_URL": server.base_url, "GCORE_API_KEY": TOKEN}
        threading.setprofile(tracer)
        sys.setprofile(tracer)
        try:
            code = keyform(("apply", "--auto-approve"), env)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]
    for title, found in (
        ("files that the key passes", tracer.key_files),
        ("shapes that it has on the way", tracer.key_shapes),
        ("files that its secret passes", tracer.secret_files),
    ):
        print(f"\n{len(found)} {title}:")
        for name in sorted(found):
            print(f"  {name}")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
