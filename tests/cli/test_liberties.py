"""What a user reads of a server that does not do what it was asked."""

from __future__ import annotations

from typing import Any

import pytest
from cli.conftest import MakeWorld
from cli.in_process import InProcess
from cli.stage import HEAD

from reconciler.emulator import Modes

FILE_LOCK = HEAD + "lock: {type: file}\n"
DATED = "keys:\n  payments:\n    description: a & b\n    expires_at: 2099-06-30T10:07:09Z\n    deployments: [llama3]\n"


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs keyform in a world."""
    return lambda world: InProcess(world, monkeypatch, capsys)


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("modes", "said"),
    [
        (
            {"expiry_kept": "end_of_day"},
            "the API created payments with another expires_at than requested (asked: 2099-06-30T10:07:09Z, kept:"
            " 2099-06-30T23:59:59Z), so it was deleted again",
        ),
        (
            {"expiry_kept": "dropped"},
            "the API created payments with another expires_at than requested (asked: 2099-06-30T10:07:09Z, kept:"
            " never), so it was deleted again",
        ),
        ({"description_kept": "escaped"}, 'kept: "a &amp; b [keyform 2 shop/payments g1 pending'),
    ],
    ids=str,
)
def test_a_key_that_is_made_otherwise_is_an_error_each_time_and_leaves_nothing(
    make_world: MakeWorld, in_process: Any, modes: dict[str, Any], said: str
) -> None:
    world = make_world(modes=Modes(**modes))
    keyform = in_process(world)
    world.write(FILE_LOCK + DATED)
    for _ in range(2):
        ran = keyform("apply", "--auto-approve")
        assert ran.code == 1
        assert said in words(ran.out)
        assert set(world.emulator.live_keys(1234)) == {"portal-made"}


def test_a_lock_that_never_expires_is_an_error_that_names_another_lock(make_world: MakeWorld, in_process: Any) -> None:
    world = make_world(modes=Modes(expiry_kept="dropped"))
    keyform = in_process(world)
    world.write(HEAD + "keys:\n  payments: {deployments: [llama3]}\n")
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "The API created the lock of stack shop with another expires_at than requested" in words(ran.err)
    assert "use another lock (`lock: {type: file}`" in words(ran.err)
    assert set(world.emulator.live_keys(1234)) == {"portal-made"}
    world.write(FILE_LOCK + "keys:\n  payments: {deployments: [llama3]}\n")
    assert keyform("apply", "--auto-approve").code == 0
    assert keyform("plan", "--detailed-exitcode").code == 0


def test_a_leaked_key_is_not_deleted_while_a_task_is_cancelled(make_world: MakeWorld, in_process: Any) -> None:
    world = make_world()
    keyform = in_process(world)
    world.write(HEAD + "keys:\n  payments: {deployments: [llama3]}\n")
    assert keyform("apply", "--auto-approve").code == 0
    world.emulator._world.modes = Modes(task_end="cancelled")
    ran = keyform("rotate", "payments", "--revoke", "--auto-approve")
    assert ran.code == 1
    assert "is in an unknown state: CANCELLED. Its effect is unknown." in words(ran.out)
    assert "payments" in world.emulator.live_keys(1234)
    assert "payments" in world.emulator.api_keys_of(1234, "deployment", "llama3")
