"""What is wrong with a sink is found before a key is made: by plan what can be seen, by a rehearsal the rest."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Keyform
from cli.stage import HEAD, TWO_KEYS, World

from reconciler.effects import System

KEYS = "keys:\n  payments:\n    deployments: [llama3]\n"


def with_command(**options: str) -> str:
    parts = {"write": "[./save.sh, '{key}']", **options}
    sink = "  vault: {type: command, " + ", ".join(f"{name}: {value}" for name, value in parts.items()) + "}\n"
    return HEAD.replace("defaults: {sink: local}", f"{sink}defaults: {{sink: vault}}") + KEYS


def script(world: World, name: str, content: bytes) -> None:
    (world.folder / name).write_bytes(content)
    (world.folder / name).chmod(0o755)


def fails(monkeypatch: pytest.MonkeyPatch, effect: str, number: int) -> None:
    def act(*_arguments: Any, **_named: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(System, effect, act)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (("create_file", errno.ENOSPC), "the disk is full"),
        (("create_file", errno.EDQUOT), "the disk quota is used up"),
        (("make_folder", errno.EROFS), "the file system is read-only"),
        (("lock_folder", errno.ENOLCK), "its folder cannot be locked"),
        (("lock_folder", errno.EOPNOTSUPP), "its folder cannot be locked"),
        (("rename", errno.EBUSY), "the file is mounted by itself"),
        (("sync_folder", errno.EIO), "Input/output error"),
    ],
)
@pytest.mark.parametrize("sink", ["local", "jobs"])
def test_a_write_that_cannot_work_makes_no_key(
    world: World,
    keyform: Keyform,
    monkeypatch: pytest.MonkeyPatch,
    *,
    sink: str,
    failure: tuple[str, int],
    message: str,
) -> None:
    world.write(HEAD.replace("{sink: local}", f"{{sink: {sink}}}") + KEYS)
    with monkeypatch.context() as patched:
        fails(patched, *failure)
        for _ in range(3):
            ran = keyform("apply", "--auto-approve")
            assert ran.code == 1
            assert message in " ".join(ran.out.split())
    assert world.writes == []
    assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)


def test_what_does_not_need_the_sink_is_done(world: World, keyform: Keyform, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leaked key is cut, and a deployment lets nobody in, whatever a disk says."""
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    changed = TWO_KEYS.replace("deployments: [llama3, whisper]", "deployments: [llama3]")
    world.write(changed + "  batch:\n    deployments: [whisper]\n")
    with monkeypatch.context() as patched:
        fails(patched, "create_file", errno.ENOSPC)
        ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "sink local" in ran.out
    assert "batch" not in world.live_names()
    assert world.emulator.api_keys_of(1234, "deployment", "whisper") == ("portal-made",)


def test_a_removal_that_cannot_work_keeps_the_key(
    world: World, keyform: Keyform, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    with monkeypatch.context() as patched:
        fails(patched, "create_file", errno.ENOSPC)
        assert keyform("destroy", "--auto-approve").code == 1
    assert {"payments", "search"} <= set(world.live_names())
    assert keyform("destroy", "--auto-approve").code == 0
    assert world.live_names() == ["portal-made"]


# --- Programs ---------------------------------------------------------------------------------------------------------

CHECK = b"""#!/bin/sh
test "$1 $#" = "shop 1" || exit 9
test -e open || { echo "the store is sealed" >&2; exit 3; }
"""
GOOD = b'#!/bin/sh\ncat > "../saved.$1"\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD.replace(b"\n", b"\r\n"), "its first line ends in CR"),
        (b"#!/opt/none/bash\n", "its first line names /opt/none/bash, which does not exist"),
        (b"cat\n", "it does not begin with `#!`"),
    ],
)
def test_a_script_that_cannot_be_started_is_found_by_plan(
    world: World, keyform: Keyform, content: bytes, message: str
) -> None:
    world.write(with_command())
    script(world, "save.sh", content)
    for argv in (["plan"], ["apply", "--auto-approve"]):
        ran = keyform(*argv)
        assert ran.code == 1
        assert message in " ".join((ran.out + ran.err).split())
    assert world.writes == []
    script(world, "save.sh", GOOD)
    assert keyform("plan").code == 0
    assert keyform("apply", "--auto-approve").code == 0
    assert (world.folder.parent / "saved.payments").read_text() == world.secret_of("payments")


def test_a_check_that_fails_makes_no_key_and_its_words_are_told(world: World, keyform: Keyform) -> None:
    world.write(with_command(check="[./check.sh, '{stack}']"))
    script(world, "save.sh", GOOD)
    script(world, "check.sh", CHECK)
    planned = keyform("plan")
    assert planned.code == 0
    assert "checked by ./check.sh {stack}" in " ".join(planned.out.split())
    for _ in range(2):
        ran = keyform("apply", "--auto-approve")
        assert ran.code == 1
        assert "./check.sh ended with status 3, saying: the store is sealed" in " ".join(ran.out.split())
    assert world.writes == []
    (world.folder / "open").touch()
    assert keyform("apply", "--auto-approve").code == 0
    assert world.owned() == ["payments"]
    (world.folder / "open").unlink()
    assert keyform("apply", "--auto-approve").code == 0, "nothing is written, so nothing is checked"


def test_a_check_of_a_key_is_found_by_validate(world: World, keyform: Keyform) -> None:
    world.write(with_command(check="[./check.sh, '{key}']"))
    ran = keyform("validate")
    assert ran.code == 1
    assert "sinks.vault.check[1]: a command that checks gets no key" in ran.err


# --- Git --------------------------------------------------------------------------------------------------------------


def init(folder: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True, capture_output=True)


def no_git(_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    find: Callable[..., Any] = System.find_program
    monkeypatch.setattr(
        System, "find_program", lambda self, name, **named: None if name == "git" else find(self, name, **named)
    )


def broken(world: World, _monkeypatch: pytest.MonkeyPatch) -> None:
    (world.folder / ".git" / "HEAD").unlink()


def not_ignored(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.folder / ".gitignore").unlink()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(world.folder))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_git, "there is no git program to tell whether it is ignored"),
        (broken, "git cannot tell whether it is ignored, because"),
        (not_ignored, "is not ignored by git"),
    ],
)
def test_without_a_clear_answer_of_git_plan_and_apply_refuse(
    world: World,
    keyform: Keyform,
    monkeypatch: pytest.MonkeyPatch,
    *,
    spoil: Callable[[World, pytest.MonkeyPatch], None],
    message: str,
) -> None:
    init(world.folder)
    world.write(HEAD + KEYS)
    (world.folder / ".gitignore").write_text("secrets.env\njobs.json\n")
    assert keyform("plan").code == 0
    spoil(world, monkeypatch)
    for argv in (["plan"], ["apply", "--auto-approve"]):
        ran = keyform(*argv, env={"GIT_CEILING_DIRECTORIES": str(world.folder)})
        assert ran.code == 1
        assert message in " ".join((ran.out + ran.err).split())
    assert world.writes == []
    assert not (world.folder / "secrets.env").exists()
