"""A sink's file for a group, from the plan that says so to the rotation that keeps it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cli.conftest import Keyform
from cli.stage import ONE_KEY, TWO_KEYS, World

from reconciler.effects import Group, System

GID = 12345 if os.geteuid() == 0 else os.getegid()
SINKS = {"local": "secrets.env", "jobs": "jobs.json"}


def for_group(text: str, group: object = GID) -> str:
    for path in SINKS.values():
        text = text.replace(f"path: {path}", f'path: {path}, mode: "0640", group: {group}')
    return text


@pytest.fixture
def shared(world: World) -> World:
    """A world in which the files of both sinks are for a group."""
    world.group = GID
    world.write(for_group(TWO_KEYS))
    world.folder.chmod(0o755)
    return world


def modes(world: World) -> set[tuple[int, int]]:
    found = [(world.folder / path).stat() for path in SINKS.values()]
    return {(stat.S_IMODE(each.st_mode), each.st_gid) for each in found}


def test_a_file_is_for_its_group_through_rotations_and_nothing_is_left_to_do(shared: World, keyform: Keyform) -> None:
    plan = keyform("plan").out
    assert f"sink.local sink local lets the group {GID} read secrets.env" in " ".join(plan.split())
    assert f"secrets.env, mode 0640, group {GID}" in plan
    assert keyform("apply", "--auto-approve").code == 0
    assert modes(shared) == {(0o640, GID)}
    shared.in_order(keyform)
    ran = keyform("rotate", "payments", "search", "--auto-approve")
    assert ran.code == 0
    assert "lets the group" not in ran.out
    assert modes(shared) == {(0o640, GID)}
    assert keyform("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_what_somebody_changed_is_shown_and_set_back_once(shared: World, keyform: Keyform, mode: int) -> None:
    assert keyform("apply", "--auto-approve").code == 0
    for path in SINKS.values():
        (shared.folder / path).chmod(mode)
    if mode == 0o644:
        shared.issued.clear()  # they are open to others until the apply
    ran = keyform("plan", "--detailed-exitcode")
    assert ran.code == 2
    words = " ".join(ran.out.split())
    assert f"sink.jobs jobs.json has mode {mode:04o} and the group" in words
    assert f"and should have mode 0640, group {GID}: an apply sets them" in words
    assert ("lets the group" in words) == (mode == 0o600)
    before = shared.writes
    ran = keyform("apply", "--auto-approve")
    assert (ran.code, "Repaired sink.jobs, sink.local." in ran.out) == (0, True)
    assert shared.writes == before
    assert modes(shared) == {(0o640, GID)}
    assert keyform("plan", "--detailed-exitcode").code == 0


def test_a_mode_that_enters_and_leaves_the_file_rotates_nothing(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    secrets, world.group = world.held(), GID
    for text, mode in ((for_group(TWO_KEYS), 0o640), (TWO_KEYS, 0o600)):
        world.write(text)
        assert keyform("plan", "--detailed-exitcode").code == 2
        assert keyform("apply", "--auto-approve").code == 0
        assert {found for found, _ in modes(world)} == {mode}
        assert world.held() == secrets
        assert keyform("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("is_there", [False, True])
def test_a_group_that_cannot_be_given_makes_no_key_and_names_the_way_out(
    world: World, keyform: Keyform, monkeypatch: pytest.MonkeyPatch, *, is_there: bool
) -> None:
    world.write(for_group(ONE_KEY, "web"))
    found = Group("web", GID, may_be_given=False) if is_there else None
    monkeypatch.setattr(System, "find_group", lambda _effects, _name: found)
    for argv in (["plan"], ["apply", "--auto-approve"]):
        ran = keyform(*argv)
        assert ran.code == 1
        words = " ".join((ran.out + ran.err).split())
        assert ("is not in the group web" if is_there else "there is no group web on this machine") in words
    assert world.owned() == []
    assert not (world.folder / "secrets.env").exists()


def test_a_folder_that_the_group_cannot_pass_is_a_warning_and_no_change(shared: World, keyform: Keyform) -> None:
    shared.folder.chmod(0o700)
    ran = keyform("plan", "--detailed-exitcode")
    assert ran.code == 2
    assert f"secrets.env may be out of reach for the group {GID}: the folder {shared.folder} has mode 0700" in " ".join(
        ran.out.split()
    )
    assert keyform("apply", "--auto-approve").code == 0
    ran = keyform("plan", "--detailed-exitcode")
    assert (ran.code, ran.out) == (0, "No changes. The live API matches the file.\n")


def lines_of_payments(path: Path) -> list[str]:
    """Its record, and each variable of its name."""
    return [line for line in path.read_text().splitlines() if "payments" in line.lower()]


def test_a_variable_that_is_there_twice_holds_up_its_key_alone(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    path = world.folder / "secrets.env"
    path.write_text(path.read_text() + "PAYMENTS_KEY=other\n")
    content = lines_of_payments(path)
    ran = keyform("rotate", "search", "payments", "--auto-approve")
    assert ran.code == 1
    words = " ".join((ran.out + ran.err).split())
    assert "keys.payments is held up: sink local: " in words
    assert "PAYMENTS_KEY appears more than once (lines " in words
    assert world.owned() == ["payments", "search", "search-g2"]
    assert world.held()["SEARCH"] == world.secret_of("search-g2")
    assert lines_of_payments(path) == content
    ran = keyform("verify")
    assert (ran.code, "appears more than once" in " ".join(ran.out.split())) == (1, True)
