"""How long keyform waits for an answer, and for a task: both have an end, which the user may set."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from cli.conftest import Keyform
from cli.faults import HeldTasks
from cli.stage import ONE_KEY, TWO_KEYS, Fault, Proceed, World

from reconciler.emulator import Answer, Request

READS = [("plan",), ("status",), ("destroy", "--auto-approve")]


@pytest.fixture
def answer() -> Iterator[threading.Event]:
    """Set once hanging requests may continue."""
    event = threading.Event()
    yield event
    event.set()


def hang(answer: threading.Event, method: str, ending: str, *, times: int = 1_000_000) -> Fault:
    """The first requests of one kind are not answered for as long as the test lasts; they do nothing."""
    left = [times]

    def never(request: Request, proceed: Proceed) -> Answer:
        if left[0] and request.method == method and request.path.endswith(ending):
            left[0] -= 1
            answer.wait(60)
            return Answer(500)
        return proceed(request)

    return never


@pytest.mark.parametrize("command", READS, ids=" ".join)
def test_a_request_that_hangs_is_given_up_and_sent_again(
    world: World, keyform: Keyform, answer: threading.Event, command: tuple[str, ...]
) -> None:
    world.write(ONE_KEY)
    world.fail(hang(answer, "GET", "/api_keys", times=1))
    ran = keyform.in_a_hurry()(*command, "--request-timeout", "5s", "--log-level", "info")
    assert ran.code == 0
    assert "to list keys: it did not answer within 5 seconds." in ran.err


def test_the_limit_is_in_seconds_that_really_pass(world: World, keyform: Keyform, answer: threading.Event) -> None:
    world.write(ONE_KEY)
    world.fail(hang(answer, "GET", "/api_keys", times=1))
    began = time.monotonic()
    assert keyform("plan", "--request-timeout", "1s").code == 0
    assert 1 < time.monotonic() - began < 20, "not the 30 seconds that it would be"


def test_a_request_that_always_hangs_is_an_error_that_names_the_limit(
    world: World, keyform: Keyform, answer: threading.Event
) -> None:
    world.write(ONE_KEY)
    world.fail(hang(answer, "GET", "/deployments"))
    ran = keyform.in_a_hurry()("plan", "--request-timeout", "5s")
    assert (ran.code, ran.out) == (1, "")
    error, way_out = ran.err[ran.err.index("Error: ") :].splitlines()
    assert error.startswith("Error: The API at 127.0.0.1:")
    assert error.endswith(" could not be reached to list deployments: it did not answer within 5 seconds.")
    assert way_out == "  Run keyform again: it continues from the live state."


def test_a_write_that_hangs_is_an_unconfirmed_step_that_the_next_run_repairs(
    world: World, keyform: Keyform, answer: threading.Event
) -> None:
    world.write(TWO_KEYS)
    world.fail(hang(answer, "PATCH", "/webui"))
    ran = keyform.in_a_hurry()("apply", "--auto-approve", "--request-timeout", "5s", "--parallelism", "2")
    assert ran.code == 1
    said = " ".join(ran.out.split())
    assert "Sent, but not confirmed ! application.webui binding search why: The API at 127.0.0.1:" in said
    assert "it did not answer within 5 seconds." in said
    assert "Keys: 1 added" in said
    assert sorted(world.held()) == ["PAYMENTS"]
    assert world.locks == []
    world.fail(None)
    assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)


def test_a_task_that_takes_longer_than_it_may_is_given_up_with_a_clear_outcome(
    held: HeldTasks, run_held: Keyform
) -> None:
    world, keyform = held.world, run_held
    world.write(ONE_KEY)
    ran = keyform("apply", "--auto-approve", "--task-timeout", "1s")
    assert ran.code == 1
    said = " ".join(ran.out.split())
    assert "Apply is not complete: 1 of 3 steps done." in said
    assert "Sent, but not confirmed ! deployment.llama3 binding payments why: Task " in said
    assert (
        ", which is to set the keys of deployment.llama3, did not finish within 1 second. It may still finish."
    ) in said
    assert "fix: Wait until it ends in the Gcore portal, and run keyform again." in said
    assert world.held() == {}, "nothing is published that may not open what it is to open"
    assert world.locks == []
    held.let_go()
    assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)


def test_the_limits_stand_in_the_help(keyform: Keyform) -> None:
    said = " ".join(keyform("apply", "--help").out.split())
    assert "--request-timeout TIME the timeout of a request, such as 10s (default: 30s)" in said
    assert "--task-timeout TIME the timeout of an API task, such as 20m (default: 30m)" in said
