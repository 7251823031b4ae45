"""`keyform`, killed for real: processes that kill themselves with SIGKILL at one of their effects.

Started once, this script loads keyform and then reads one run per line of its standard input, as JSON (see `Job`). For
each it forks a process, which is `keyform` from there on: its own arguments, environment, folder and output; and it
answers with the exit code, negative for a signal. For one that stops itself it answers `stopped`, and lets it run on at
the next line. Forking saves every process the half second of loading.
"""

from __future__ import annotations

import gc
import importlib
import json
import mmap
import os
import pkgutil
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import reconciler.effects
from reconciler.cli import main
from reconciler.cli.parser import build_parser
from reconciler.config import load_config

UNCOUNTED = frozenset({"now", "monotonic", "sleep", "random"})
"""These touch nothing: a kill before one of them is the kill before the next effect."""
NAMES = tuple(
    sorted(name for name in vars(reconciler.effects.Effects) if not name.startswith("_") and name not in UNCOUNTED)
)
LOADED = ("certifi", "encodings.idna", "httpcore", "httpx", "jsonschema", "rich.console", "yaml")
"""Libraries that a run loads when it comes to need them."""
LONGEST = 60
"""Seconds after which a process that hangs is ended."""
SAMPLE = """\
version: 1
stack: sample
project: 1
sinks: {local: {type: dotenv, path: secrets.env}, vault: {type: command, write: [./save]}}
keys: {payments: {sink: [local, vault], deployments: [llama3], expires_at: 2031-01-01, rotation: {overlap: 1h}}}
"""
"""A file with something of everything."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STOPPED = "stopped"
"""The report about a process that has stopped itself."""
SHORTEST = 1
"""Microseconds: a shorter sleep would end at the instant at which it began, again and again."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of `keyform`.

    It sends itself SIGKILL at kill point `kill_at`, or SIGSTOP at `stop_at` (never, when that is negative); each point
    that it passes is a line of the file `trace`: the effect's name, a tab, and what it touches.
    """

    argv: list[str]
    folder: str
    environment: dict[str, str]
    output: str
    """The file for standard output and standard error."""
    trace: str
    clock: str
    """The file of the clock that all processes of a world share; see `SharedInstant`."""
    chance: int
    """What its random numbers come from."""
    kill_at: int = -1
    stop_at: int = -1
    bug: str = ""
    """The name of a bug to plant, for a proof that the judge sees it; see bugs.py, whose folder is in `bugs_from`."""
    bugs_from: str = ""

    def line(self) -> str:
        """For the launcher's standard input."""
        return json.dumps(asdict(self)) + "\n"


class SharedInstant:
    """An instant in a file of eight bytes, which the emulator's process and those of `keyform` all move on.

    So that nobody sleeps: who would, moves the clock on for all.
    """

    def __init__(self, path: Path, start: datetime | None = None) -> None:
        """Open the file at `path`; with `start`, make it."""
        if start is not None:
            path.write_bytes(struct.pack("<q", (start - EPOCH) // timedelta(microseconds=1)))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)

    @property
    def microseconds(self) -> int:
        """Since 1970."""
        return int(struct.unpack("<q", self._memory[:8])[0])

    def now(self) -> datetime:
        """The instant, aware and in UTC."""
        return EPOCH + timedelta(microseconds=self.microseconds)

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._memory[:8] = struct.pack("<q", self.microseconds + max(round(seconds * 1e6), SHORTEST))

    def close(self) -> None:
        """Let go of the file."""
        self._memory.close()


class Points:
    """The kill points of a process: one before each effect, and one in the middle of those that can be cut in two."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._count = 0
        self._guard = threading.Lock()
        self._under_way = threading.local()
        """What this thread does that can be cut in two."""

    def pass_by(self, name: str, detail: str) -> None:
        """Die here, or continue."""
        with self._guard:
            if self._count == self._job.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._count == self._job.stop_at:
                os.kill(os.getpid(), signal.SIGSTOP)
            self._count += 1
            with Path(self._job.trace).open("a") as file:
                file.write(f"{name}\t{detail}\n")

    @contextmanager
    def cut_in_two(self, what: str) -> Iterator[None]:
        """Within the block, `be_halfway` is a kill point."""
        self._under_way.what = what
        try:
            yield
        finally:
            self._under_way.what = ""

    def be_halfway(self) -> None:
        """The middle of it is reached."""
        if what := getattr(self._under_way, "what", ""):
            self._under_way.what = ""
            self.pass_by("halfway", what)


def describe(name: str, args: tuple[Any, ...]) -> str:
    """What an effect touches, without anything that could be a secret."""
    if name == "send":
        return f"{args[0].method} {args[0].url.path}"
    if name == "run":
        return str(args[0][0])
    return str(args[1] if name == "rename" else args[0]) if name != "unlock_file" else ""


def install(job: Job) -> None:
    """Count the effects of every `System` of this process, and put its clock and its chance in others' hands."""
    points = Points(job)
    system = reconciler.effects.System

    def counted(name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def effect(self: Any, *args: Any, **named: Any) -> Any:
            points.pass_by(name, describe(name, args))
            # git only looks; any other program saves a secret.
            is_cut = name == "create_file" or (name == "run" and Path(args[0][0]).name != "git")
            with points.cut_in_two(name if is_cut else ""):
                return whole(self, *args, **named)

        return effect

    for name in NAMES:
        setattr(system, name, counted(name, getattr(system, name)))
    cut_files(points)
    cut_children(points)
    clock, chance = SharedInstant(Path(job.clock)), random.Random(job.chance)
    instead: dict[str, Callable[..., Any]] = {
        "now": lambda self: clock.now(),
        "monotonic": lambda self: clock.microseconds / 1e6,
        "sleep": lambda self, seconds: clock.advance(seconds),
        "random": lambda self: chance.random(),
    }
    for name, method in instead.items():
        setattr(system, name, method)


def cut_files(points: Points) -> None:
    """The middle of making a file: it is there, and nothing is in it."""
    whole = os.fdopen

    def fdopen(*args: Any, **named: Any) -> Any:
        points.be_halfway()
        return whole(*args, **named)

    setattr(os, "fdopen", fdopen)  # noqa: B010 - mypy knows that a function is no attribute


def cut_children(points: Points) -> None:
    """The middle of a child process: it has been started, and comes to its own end, whatever becomes of keyform."""

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            points.be_halfway()

    setattr(subprocess, "Popen", Popen)  # noqa: B010


def plant(job: Job) -> None:
    """Be the keyform of somebody who made a mistake."""
    sys.path.append(job.bugs_from)
    import pytest

    from support.faults.bugs import BUGS

    next(bug for bug in BUGS if bug.name == job.bug).plant(pytest.MonkeyPatch())


def become(job: Job) -> int:
    """Be `keyform`, in a separate process."""
    if job.bug:
        plant(job)
    os.chdir(job.folder)
    os.environ.clear()
    os.environ.update(job.environment)
    output = os.open(job.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, output, output)):
        os.dup2(descriptor, number)
    signal.alarm(LONGEST)
    install(job)
    try:
        return main(job.argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1


def warm_up() -> None:
    """Have regular expressions and the schema compiled, and nothing of it collected, before the first fork."""
    build_parser().parse_args(["apply", "--auto-approve", "--parallelism", "1"])
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "keyform.yaml"
        sample.write_text(SAMPLE)
        load_config([sample], {})
    gc.collect()
    gc.freeze()


def serve() -> None:
    """One process for each line."""
    for name in LOADED:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if not module.name.startswith(("reconciler.emulator", "reconciler.__main__")):
            importlib.import_module(module.name)
    warm_up()
    for line in sys.stdin:
        job = Job(**json.loads(line))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = become(job)
            except BaseException:  # noqa: BLE001 - whatever it is, this process ends here
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            sys.stdout.write(f"{STOPPED}\n")
            sys.stdout.flush()
            sys.stdin.readline()
            os.kill(child, signal.SIGCONT)
            _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
