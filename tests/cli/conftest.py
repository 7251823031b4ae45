"""What the tests of the command line stand on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.faults import HeldTasks
from cli.processes import Ran
from cli.stage import LIVE, PROJECT, TOKEN, TWO_KEYS, World

from reconciler.effects import System
from reconciler.emulator import Emulator, EmulatorServer

MakeWorld = Callable[..., World]
Keyform = Callable[..., Ran]


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    """Makes a folder with an emulator of its own, in the given mode."""
    running: list[EmulatorServer] = []

    def make(live: dict[str, Any] = LIVE, **options: Any) -> World:
        folder = tmp_path / f"stack{len(running) or ''}"
        folder.mkdir()
        server = EmulatorServer(Emulator(tokens={TOKEN: [PROJECT]}, **options)).start()
        running.append(server)
        return World.make(folder, server, live)

    yield make
    for server in running:
        server.stop()
        server.emulator.close()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A folder, and an emulator with two deployments, an application and a foreign key; tasks are over at once."""
    return make_world()


@pytest.fixture
def held(make_world: MakeWorld) -> HeldTasks:
    """A world whose tasks do not end by themselves, with two keys to be made in it."""
    world = make_world(task_seconds=3600)
    world.write(TWO_KEYS)
    return HeldTasks(world)


@pytest.fixture
def keyform(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Keyform:
    """Runs keyform in this process, in the world's folder, with waits that take no time."""
    return in_process(world, monkeypatch, capsys)


def in_process(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Keyform:
    """A function that runs keyform in this process."""
    from reconciler.cli import main

    slept = [0.0]

    def sleep(self: System, seconds: float) -> None:
        slept[0] += seconds

    monkeypatch.setattr(System, "sleep", sleep)
    monkeypatch.setattr(System, "monotonic", lambda self: time.monotonic() + slept[0])
    monkeypatch.chdir(world.folder)

    def run(*argv: str, env: dict[str, str] | None = None) -> Ran:
        capsys.readouterr()
        whole = {name: value for name, value in {**world.env, **(env or {})}.items() if value}
        try:
            code = main(argv, whole)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        told = capsys.readouterr()
        world.search(told.out, told.err)
        return Ran(code, told.out, told.err)

    return run
