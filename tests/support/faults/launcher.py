"""`keyform`, killed for real: processes that kill themselves with SIGKILL at one of their effects.

Started once, this script loads keyform and then reads one run per line of its standard input, as JSON (see `Job`). For
each it forks a process, which is `keyform` from there on: its own arguments, environment, folder and output; and it
answers with the exit code, negative for a signal. Forking saves every process the half second of loading.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import reconciler.effects
from reconciler.cli import main

NAMES = (
    *("send", "read_file", "create_file", "rename", "sync_folder", "remove_file", "lock_folder", "unlock_file"),
    *("make_folder", "remove_folder", "stat", "can_write", "run"),
)


LOADED = ("httpx", "jsonschema", "rich.console", "tenacity", "yaml")
"""Libraries that a run loads when it comes to need them."""
LONGEST = 60
"""Seconds after which a process that hangs is ended."""


@dataclass(frozen=True)
class Job:
    """One run of `keyform`.

    It sends itself SIGKILL before effect `kill_at` (never, when that is negative); its clock is `later` seconds ahead,
    so that a dead process's lock has expired; each effect's name is appended to the file `trace`.
    """

    argv: list[str]
    folder: str
    environment: dict[str, str]
    output: str
    """The file for standard output and standard error."""
    trace: str
    kill_at: int = -1
    later: float = 0.0

    def line(self) -> str:
        """For the launcher's standard input."""
        return json.dumps(asdict(self)) + "\n"


def install(job: Job) -> None:
    """Count the effects of every `System` of this process; sleeping takes a tenth of its time."""
    count = 0
    system = reconciler.effects.System

    def counted(name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def effect(self: Any, *args: Any, **named: Any) -> Any:
            nonlocal count
            if count == job.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            with Path(job.trace).open("a") as file:
                file.write(f"{name}\n")
            return whole(self, *args, **named)

        return effect

    for name in NAMES:
        setattr(system, name, counted(name, getattr(system, name)))
    now, sleep = system.now, system.sleep

    def later_now(self: Any) -> datetime:
        return now(self) + timedelta(seconds=job.later)

    def shorter_sleep(self: Any, seconds: float) -> None:
        sleep(self, seconds / 10)

    setattr(system, "now", later_now)  # noqa: B010 - mypy knows that a method is no attribute
    setattr(system, "sleep", shorter_sleep)  # noqa: B010


def become(job: Job) -> int:
    """Be `keyform`, in a process of its own."""
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


def serve() -> None:
    """One process for each line."""
    for name in LOADED:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if not module.name.startswith(("reconciler.emulator", "reconciler.__main__")):
            importlib.import_module(module.name)
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
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
