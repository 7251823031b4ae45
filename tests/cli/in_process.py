"""keyform in this process, with what a separate process would have: environment, folder, streams, signals.

It takes the time of the command itself, without that of a start. What only a process has (being signalled or killed,
closed streams, a terminal, an encoding, a limit of the system) is tested with `World.start`, by tests that say so with
`@pytest.mark.process(WHY)`.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import time
from typing import Self
from unittest import mock

import pytest
from cli.processes import Ran
from cli.stage import World
from support.http_fakes import ask_emulator

from reconciler.effects import System
from reconciler.sockets import Allowance

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InProcess:
    """Runs keyform in the world's folder, with waits that take no time; what it wrote is searched for secrets."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._world, self._monkeypatch, self._capsys = world, monkeypatch, capsys
        self._slept = 0.0

        def sleep(effects: System, seconds: float) -> None:
            self._slept += seconds

        monkeypatch.setattr(System, "sleep", sleep)
        monkeypatch.setattr(System, "monotonic", lambda effects: time.monotonic() + self._slept)
        monkeypatch.chdir(world.folder)

    def without_network(self) -> Self:
        """Let the emulator answer each request unchanged: for text in names and bodies, tried by thousands."""
        emulator = self._world.emulator
        self._monkeypatch.setattr(System, "send", lambda effects, request: ask_emulator(emulator, request))
        return self

    def in_a_hurry(self) -> Self:
        """Give up a request, whose limit does take time, after a twentieth of it."""
        begin = Allowance.begin

        def sooner(allowance: Allowance, *, seconds: float, most_bytes: int) -> None:
            begin(allowance, seconds=seconds / 20, most_bytes=most_bytes)

        self._monkeypatch.setattr(Allowance, "begin", sooner)
        return self

    def __call__(self, *argv: str, env: dict[str, str] | None = None, stdin: str = "") -> Ran:
        """As `World.run`: `env` comes on top of the world's, and an empty value takes a variable out."""
        from reconciler.cli import main

        given = {**self._world.env, **(env or {})}
        whole = {name: value for name, value in given.items() if value}
        handlers = [signal.getsignal(number) for number in SIGNALS]
        self._capsys.readouterr()
        with (
            contextlib.chdir(self._world.folder),
            mock.patch.dict(os.environ, {name: value for name, value in whole.items() if _can_be_passed(value)}),
            mock.patch("sys.stdin", io.StringIO(stdin)),
        ):
            for name in given.keys() - whole.keys():
                os.environ.pop(name, None)
            try:
                code = main(argv, whole)
            except SystemExit as exit_:
                code = int(exit_.code or 0)
        told = self._capsys.readouterr()
        assert [signal.getsignal(number) for number in SIGNALS] == handlers, "a command gives the signals back"
        self._world.search(told.out, told.err)
        assert "Traceback" not in told.err, told.err
        return Ran(code, told.out, told.err)


def _can_be_passed(value: str) -> bool:
    """Whether the system lets a process have this in its environment; keyform is given it all the same."""
    try:
        return b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False
