"""`keyform unlock`: who holds the stack's locks, since when, and a way to release them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cli.conftest import Keyform, MakeWorld
from cli.faults import HeldTasks, always, on, refusal
from cli.in_process import InProcess
from cli.processes import wait_until
from cli.stage import ONE_KEY, PROJECT, TOKEN, TWO_KEYS, World
from cli.terminals import on_terminal

from reconciler.effects import System
from reconciler.emulator import Request, VirtualClock
from reconciler.model import LockOf

OLDER = ONE_KEY.replace("version: 1\n", "version: 1\napi: v2\n")
BOTH = pytest.mark.parametrize("file", [ONE_KEY, OLDER], ids=["v3", "v2"])


def lock(
    world: World,
    name: str = "keyform-lock-shop-e1",
    *,
    holder: str = "ci@runner-7, process 4242",
    nonce: str = "0123456789ab",
    minutes: float = 6,
) -> None:
    """A lock as a run leaves it that died three minutes ago."""
    since = f"{datetime.now(UTC) - timedelta(minutes=3, seconds=5):%Y-%m-%dT%H:%M:%SZ}"
    make(world, name, f"held by {holder} since {since} [keyform-lock {nonce}]", minutes)


def make(world: World, name: str, description: str, minutes: float | None = 6) -> None:
    body: dict[str, Any] = {"name": name, "description": description}
    if minutes is not None:
        body["expires_at"] = f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
    request = Request.build("POST", f"/cloud/v3/inference/{PROJECT}/api_keys", token=TOKEN, json_body=body)
    assert world.emulator.respond(request).status == 200


@BOTH
def test_without_a_lock_there_is_nothing_to_show_or_to_release(world: World, keyform: Keyform, file: str) -> None:
    world.write(file)
    for argv in ([], ["--release"], ["--release", "--auto-approve"]):
        ran = keyform("unlock", *argv)
        assert (ran.code, ran.out) == (0, "Stack shop is not locked.\n")
        assert ran.err == ("Nothing to release.\n" if argv else "")
    assert world.writes == []
    tree = json.loads(keyform("unlock", "--json").out)
    assert (tree["locked"], tree["locks"], tree["stack"], tree["lock"]) == (False, [], "shop", "api")


@BOTH
def test_a_lock_is_shown_with_its_holder_and_its_key_and_stays(world: World, keyform: Keyform, file: str) -> None:
    world.write(file)
    lock(world)
    ran = keyform("unlock")
    assert (ran.code, ran.err) == (0, "")
    assert re.fullmatch(
        r"Stack shop is locked\.\n"
        r"\n"
        r"keyform-lock-shop-e1: the lock of the stack\n"
        r"  holder   ci@runner-7, process 4242\n"
        r"  since    [0-9TZ:-]{20}, 3 minutes ago\n"
        r"  expires  [0-9TZ:-]{20}, in [56] minutes, unless it is renewed\n"
        r"\n"
        r"Release it with `keyform unlock --release`, once its holder no longer runs\.\n",
        ran.out,
    )
    assert world.locks == ["keyform-lock-shop-e1"]
    (found,) = json.loads(keyform("unlock", "--json").out)["locks"]
    assert found | {"id": "", "since": "", "expires_at": "", "age_seconds": 0} == {
        "of": "stack",
        "name": "keyform-lock-shop-e1",
        "id": "",
        "stack": "shop",
        "holder": "ci@runner-7, process 4242",
        "holder_state": "unknown",
        "since": "",
        "age_seconds": 0,
        "expires_at": "",
        "held": True,
        "releasable": True,
        "hindrance": None,
        "released": False,
    }


@BOTH
def test_a_lock_is_released_and_an_apply_goes_on(world: World, keyform: Keyform, file: str) -> None:
    world.write(file)
    lock(world)
    lock(world, "keyform-lock--lists-e7", holder="ci@runner-7, process 4242 for stack shop")
    refused = keyform("apply", "--auto-approve")
    assert refused.code == 1
    assert "`keyform unlock` shows who holds it" in refused.err
    ran = keyform("unlock", "--release")
    assert ran.code == 1
    assert ran.err.startswith(
        "Error: stdin is not a terminal, so keyform cannot ask for approval. Nothing was released.\n"
    )
    assert len(world.locks) == 2
    ran = keyform("unlock", "--release", "--auto-approve", "--json")
    assert ran.code == 0
    tree = json.loads(ran.out)
    assert (tree["locked"], [each["released"] for each in tree["locks"]]) == (False, [True, True])
    assert ran.err == "Released keyform-lock-shop-e1.\nReleased keyform-lock--lists-e7.\n"
    assert world.locks == []
    assert keyform("apply", "--auto-approve").code == 0


def test_a_lock_that_expired_is_called_so(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = VirtualClock(datetime.now(UTC))
    world = make_world(clock=clock)
    keyform = InProcess(world, monkeypatch, capsys)
    monkeypatch.setattr(System, "now", lambda self: clock.now())
    world.write(ONE_KEY)
    lock(world)
    clock.advance(600)
    ran = keyform("unlock")
    assert ran.out.startswith("Stack shop is not locked.\n\nkeyform-lock-shop-e1: the lock of the stack\n")
    assert re.search(r"  expired  [0-9TZ:-]{20}, [34] minutes ago: the next apply removes it\n$", ran.out)
    assert keyform("unlock", "--release", "--auto-approve").code == 0
    assert world.locks == []


def test_the_lists_lock_of_another_stack_is_theirs(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    lock(world, "keyform-lock--lists-e7", holder="ci@runner-9 for stack billing")
    lock(world, "keyform-lock-billing-e1", holder="ci@runner-9")
    lock(world)
    ran = keyform("unlock", "--release", "--auto-approve")
    assert ran.code == 1
    assert ran.err == (
        "Released keyform-lock-shop-e1.\n"
        "Error: keyform-lock--lists-e7 was not released: a run of stack billing holds it.\n"
        "  run `keyform unlock` with that stack's file\n"
    )
    assert "  keyform-lock-billing-e1, held by ci@runner-9\n" in ran.out
    assert sorted(world.locks) == ["keyform-lock--lists-e7", "keyform-lock-billing-e1"]


@pytest.mark.parametrize(
    ("description", "bound", "told"),
    [
        ("somebody's own", False, "it is called like a lock, but its description has no marker of one"),
        ("held by me since ever [keyform-lock 0123]", True, "it is called like a lock, but it opens deployment.llama3"),
    ],
)
def test_a_key_that_is_only_called_like_a_lock_is_never_deleted(
    world: World, keyform: Keyform, description: str, bound: bool, told: str
) -> None:
    world.write(ONE_KEY)
    make(world, "keyform-lock-shop-e1", description, minutes=None)
    if bound:
        path = f"/cloud/v3/inference/{PROJECT}/deployments/llama3"
        body = {"api_keys": ["portal-made", "keyform-lock-shop-e1"]}
        assert world.emulator.respond(Request.build("PATCH", path, token=TOKEN, json_body=body)).status == 200
    ran = keyform("unlock", "--release", "--auto-approve")
    assert ran.code == 1
    assert f"Error: keyform-lock-shop-e1 was not released: {told}.\n" in ran.err
    assert "expires  never\n" in ran.out
    assert world.locks == ["keyform-lock-shop-e1"]


def test_a_process_of_this_machine_is_looked_for(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    here = socket.gethostname()
    for number, (holder, state, told) in enumerate(
        [
            (f"me@{here}, process {os.getpid()}", "runs", "(a process of this number runs on this machine)"),
            (f"me@{here}, process {ended.pid}", "ended", "(this process of this machine has ended)"),
            (f"me@elsewhere, process {os.getpid()}", "unknown", f"process {os.getpid()}\n"),
            (f"me@{here}, process 0", "unknown", "process 0\n"),
            ("https://example.com/runs/1", "unknown", "https://example.com/runs/1\n"),
        ]
    ):
        lock(world, f"keyform-lock-shop-e{number + 1}", holder=holder)
        assert told in keyform("unlock").out
        assert json.loads(keyform("unlock", "--json").out)["locks"][-1]["holder_state"] == state
        world.break_lock()


def test_what_a_holder_holds_stays_on_its_line(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    make(world, "keyform-lock-shop-e1", "held by a\x1b[31m\nStack shop is not locked. since x [keyform-lock 0123]")
    out = keyform("unlock").out
    assert out.startswith("Stack shop is locked.\n")
    assert "\x1b" not in out
    assert "\nStack shop is not" not in out


def test_a_lock_is_shown_whatever_is_wrong_with_the_sinks(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    (world.folder / "secrets.env").mkdir()
    lock(world)
    assert keyform("unlock", "--release", "--auto-approve").code == 0
    assert world.locks == []


def test_a_release_that_the_api_refuses_is_an_error(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    lock(world)
    world.fail(on("DELETE", "keyform-lock-shop-e1", always(refusal(403))))
    ran = keyform("unlock", "--release", "--auto-approve")
    assert ran.code == 1
    assert "Error: The token has no permission to delete key keyform-lock-shop-e1" in ran.err
    assert world.locks == ["keyform-lock-shop-e1"]


@pytest.mark.parametrize("kind", ["file", "none"])
def test_other_kinds_of_locks(world: World, keyform: Keyform, kind: str) -> None:
    world.write(ONE_KEY.replace("keys:\n", f"lock: {{type: {kind}}}\nkeys:\n"))
    ran = keyform("unlock")
    assert ran.code == 0
    assert ran.out.startswith("Stack shop is not locked.")
    assert ("The file declares no lock" in ran.out) == (kind == "none")
    assert list(world.folder.glob(".keyform*")) == []


@pytest.mark.process("a terminal belongs to a process")
def test_on_a_terminal_only_yes_releases_a_lock(world: World) -> None:
    world.write(ONE_KEY)
    lock(world, holder=f"me@{socket.gethostname()}, process {os.getpid()}")
    for answer, code, left in (("y\n", 1, 1), ("yes\n", 0, 0)):
        with on_terminal(world, "unlock", "--release") as terminal:
            terminal.wait_for("Do you want keyform to release this lock? Only 'yes' will be accepted to approve: ")
            assert "Its holder seems to be running on this machine. A run that still holds" in terminal.text
            terminal.type(answer)
            assert terminal.end() == code
        assert len(world.locks) == left


@pytest.mark.process("two runs meet")
@pytest.mark.parametrize("kind", ["api", "file"])
def test_a_run_whose_lock_was_released_stops_with_a_sentence(held: HeldTasks, run_held: Keyform, kind: str) -> None:
    """It is in the middle of its writes of lists; another run then does all of the work."""
    world = held.world
    world.write(TWO_KEYS.replace("keys:\n", f"lock: {{type: {kind}}}\nkeys:\n"))
    running = world.start("apply", "--auto-approve")
    wait_until(lambda: running.err.count("waiting for task") == 3, "all three tasks", lambda: running.err)
    tree = json.loads(run_held("unlock", "--json").out)
    assert {each["of"] for each in tree["locks"]} == {LockOf.STACK, LockOf.LISTS} if kind == "api" else {LockOf.FILE}
    assert {each["holder_state"] for each in tree["locks"]} == {"runs"}
    assert run_held("unlock", "--release", "--auto-approve").code == 0
    held.let_go()
    ran = running.finish()
    assert ran.code == 1
    said = " ".join(ran.out.split())
    assert ("was lost: it was released, or another run took it over" if kind == "api" else "was removed") in said
    assert world.held() == {}, "nothing is published once the lock is gone"
    assert run_held("apply", "--auto-approve").code == 0
    if kind == "api":
        world.in_order(run_held)
