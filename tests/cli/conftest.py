"""Fixtures for the tests of the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.faults import HeldTasks
from cli.in_process import InProcess
from cli.stage import LIVE, PROJECT, TOKEN, TWO_KEYS, World

from reconciler.emulator import Emulator, EmulatorServer

MakeWorld = Callable[..., World]
Keyform = InProcess


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[MakeWorld]:
    """Makes a folder with a separate emulator, in the given mode."""
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
    """A folder, and an emulator with two deployments, an application and a foreign key; tasks end at once."""
    return make_world()


@pytest.fixture
def held(make_world: MakeWorld) -> HeldTasks:
    """A world whose tasks do not end by themselves, with two keys to be made in it."""
    world = make_world(task_seconds=3600)
    world.write(TWO_KEYS)
    return HeldTasks(world)


@pytest.fixture
def run_held(held: HeldTasks, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Keyform:
    """Runs keyform in this process, in the world of `held`."""
    return InProcess(held.world, monkeypatch, capsys)


@pytest.fixture
def keyform(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Keyform:
    """Runs keyform in this process, in the world's folder, with waits that take no time."""
    return InProcess(world, monkeypatch, capsys)


@pytest.fixture(autouse=True)
def _a_process_has_a_reason(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process takes ten times as long as a run in this one: a test that starts some says what it needs them for."""
    if request.node.get_closest_marker("process") is None:

        def refuse(world: World, *argv: str, **options: object) -> None:
            raise AssertionError("use the fixture `keyform`, or mark the test with @pytest.mark.process(WHY)")

        monkeypatch.setattr(World, "start", refuse)
