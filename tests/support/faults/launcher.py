"""`keyform`, killed for real: a script that lets the process kill itself at one of its effects.

    python launcher.py KILL_AT LATER_SECONDS TRACE -- apply --auto-approve …

The process sends itself SIGKILL before effect KILL_AT (never, when it is negative); its clock is LATER_SECONDS ahead,
so that a dead process's lock has expired; each effect's name is appended to the file TRACE.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import reconciler.effects
from reconciler.cli import main

NAMES = (
    *("send", "read_file", "create_file", "rename", "sync_folder", "remove_file", "lock_folder", "unlock_file"),
    *("make_folder", "remove_folder", "stat", "can_write", "run"),
)


def install(kill_at: int, later: float, trace: Path) -> None:
    """Count the effects of every `System` of this process; sleeping takes a tenth of its time."""
    count = 0
    system = reconciler.effects.System

    def counted(name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def effect(self: Any, *args: Any, **named: Any) -> Any:
            nonlocal count
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1
            with trace.open("a") as file:
                file.write(f"{name}\n")
            return whole(self, *args, **named)

        return effect

    for name in NAMES:
        setattr(system, name, counted(name, getattr(system, name)))
    now, sleep = system.now, system.sleep

    def later_now(self: Any) -> datetime:
        return now(self) + timedelta(seconds=later)

    def shorter_sleep(self: Any, seconds: float) -> None:
        sleep(self, seconds / 10)

    setattr(system, "now", later_now)  # noqa: B010 - mypy knows that a method is no attribute
    setattr(system, "sleep", shorter_sleep)  # noqa: B010


if __name__ == "__main__":
    install(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))
    sys.exit(main(sys.argv[5:]))
