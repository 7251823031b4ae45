"""Ctrl-C, SIGTERM and a closed terminal: what runs is finished, what is bound is published, nothing else is begun."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from cli.conftest import Keyform, MakeWorld
from cli.faults import HeldTasks
from cli.in_process import InProcess
from cli.processes import PATIENCE, Running, wait_until
from cli.stage import HEAD, PROJECT, TWO_KEYS, Proceed, World

from reconciler.emulator import Answer, Request

pytestmark = pytest.mark.process("it is signalled or killed")
STOPPING = (
    "Stopping after the running steps; keys that are already bound are still published. Interrupt again to stop"
    " immediately.\n"
)
INTERRUPTED = "\nInterrupted. Nothing was changed.\n"


def wait_for_tasks(running: Running) -> None:
    """All three endpoints of the two keys are being written: one of them alone may be ahead of the others."""
    wait_until(lambda: running.err.count("waiting for task") == 3, "all three tasks", lambda: running.err)


MANY = 60
RETIRED = "  retired:\n    deployments: [llama3]\n"


def many_keys(*, retired: bool) -> str:
    """So many keys on one deployment, some on another one too; and one that goes."""
    keys = (f"  key-{n}:\n    deployments: [{'llama3, whisper' if n % 3 else 'llama3'}]\n" for n in range(MANY))
    return HEAD + "keys:\n" + (RETIRED if retired else "") + "".join(() if retired else keys)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_finishes_the_running_steps_publishes_what_is_bound_and_begins_no_others(
    held: HeldTasks, run_held: Keyform, number: signal.Signals
) -> None:
    world = held.world
    world.write(many_keys(retired=True))
    held.let_go()
    assert run_held("apply", "--auto-approve").code == 0
    held.hold()
    world.write(many_keys(retired=False))
    running = world.start("apply", "--auto-approve")
    wait_until(lambda: running.err.count("waiting for task") == 2, "both tasks", lambda: running.err)
    running.send(number)
    running.wait_for("Stopping")
    held.let_go()
    ran = running.finish()
    assert ran.code == 1
    assert "\n" + STOPPING in ran.err
    said = " ".join(ran.out.split())
    assert "Apply was interrupted: 220 of 223 steps done. Keys: 60 added" in said
    assert "Not started ! deployment.llama3 unbinding retired" in said
    assert "why: the run was interrupted before it started" in said
    assert "completed steps are not repeated." in said
    live = world.emulator.live_keys(PROJECT)
    published = {f"KEY_{n}": live[f"key-{n}"].secret for n in range(MANY)}
    assert world.held() == published | {"RETIRED": live["retired"].secret}
    made = world.live_names()
    ran = run_held("apply", "--auto-approve")
    assert ran.code == 0
    assert sorted(world.live_names()) == sorted(set(made) - {"retired"}), "no other generation is made"
    world.in_order(run_held)


def test_what_is_made_and_not_bound_when_the_signal_comes_is_made_again_and_that_is_said(
    world: World, keyform: Keyform
) -> None:
    world.write(TWO_KEYS)
    asked, answer = threading.Event(), threading.Event()

    def slow(request: Request, proceed: Proceed) -> Answer:
        given = proceed(request)
        if request.method == "POST" and b"keyform-lock" not in request.body:
            asked.set()
            answer.wait(PATIENCE)
        return given

    world.fail(slow)
    running = world.start("apply", "--auto-approve", "--parallelism", "1")
    assert asked.wait(PATIENCE)
    running.send(signal.SIGTERM)
    running.wait_for("Stopping")
    answer.set()
    ran = running.finish()
    assert ran.code == 1
    said = " ".join(ran.out.split())
    assert "These generations were not published, and are created again: payments." in said
    assert "done twice" not in said
    assert world.held() == {}
    assert keyform("apply", "--auto-approve").code == 0
    assert sorted(world.owned()) == ["payments-g2", "search"]
    world.in_order(keyform)


def test_the_second_signal_no_longer_waits_for_tasks(held: HeldTasks) -> None:
    world = held.world
    running = world.start("apply", "--auto-approve")
    wait_for_tasks(running)
    running.send(signal.SIGINT)
    running.wait_for("Stopping")
    running.send(signal.SIGINT)
    ran = running.finish()
    assert ran.code == 1
    said = " ".join(ran.out.split())
    assert "Apply was interrupted: 2 of 8 steps done." in said
    assert "Sent, but not confirmed ! application.webui binding search" in said
    assert "why: the run was interrupted during this step" in said
    assert "fix: run apply again: it starts from what is live" in said
    assert world.held() == {}


def test_the_second_signal_breaks_a_request_that_is_not_answered(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    asked, answer = threading.Barrier(4), threading.Event()

    def never(request: Request, proceed: Proceed) -> Answer:
        if request.method == "PATCH" and not answer.is_set():
            asked.wait(PATIENCE)
            answer.wait(PATIENCE)
        return proceed(request)

    world.fail(never)
    running = world.start("apply", "--auto-approve")
    asked.wait(PATIENCE)  # all three endpoints are being written
    running.send(signal.SIGINT)
    running.wait_for("Stopping")
    running.send(signal.SIGINT)
    ran = running.finish()
    world.fail(None)
    answer.set()
    assert ran.code == 1
    assert "Sent, but not confirmed" in ran.out
    assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)


def test_events_are_there_while_the_apply_runs(held: HeldTasks) -> None:
    running = held.world.start("apply", "--auto-approve", "--json")
    wait_for_tasks(running)
    so_far = [json.loads(line) for line in running.out.splitlines(keepends=True) if line.endswith("\n")]
    kinds = [event["type"] for event in so_far if event["type"] != "keyform_exposure"]
    assert kinds[:4] == ["version", "planned_change", "planned_change", "change_summary"]
    assert {"keyform_plan", "apply_start", "keyform_step_start", "keyform_step"} < {*kinds}
    assert not {"apply_complete", "keyform_result"} & {*kinds}
    held.let_go()
    ran = running.finish()
    assert (ran.code, ran.result["complete"]) == (0, True)
    assert [event["hook"]["resource"]["addr"] for event in ran.told("apply_complete")] == ["key.payments", "key.search"]
    (planned, applied) = ran.told("change_summary")
    assert [each["changes"]["operation"] for each in (planned, applied)] == ["plan", "apply"]


def test_an_interrupted_apply_tells_its_result_as_json_too(held: HeldTasks) -> None:
    running = held.world.start("apply", "--auto-approve", "--json", "--parallelism", "1")
    running.wait_for("waiting for task")
    running.send(signal.SIGINT)
    running.wait_for("Stopping")
    held.let_go()
    ran = running.finish()
    assert ran.code == 1
    assert ran.result["interrupted"] is True
    states = [outcome["state"] for outcome in ran.result["outcomes"]]
    assert states == ["done", "done", "done", *["not_started"] * 5]


@pytest.fixture
def stuck(world: World) -> Iterator[threading.Event]:
    """The API takes requests and never answers; set once one has come."""
    asked, answer = threading.Event(), threading.Event()

    def never(request: Request, proceed: Proceed) -> Answer:
        asked.set()
        answer.wait(PATIENCE)
        return proceed(request)

    world.write(TWO_KEYS)
    world.fail(never)
    yield asked
    answer.set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", [("plan",), ("status",), ("apply", "--auto-approve"), ("destroy",)], ids=" ".join)
def test_while_nothing_is_changed_a_signal_ends_the_run_at_once(
    world: World, stuck: threading.Event, command: tuple[str, ...], number: signal.Signals
) -> None:
    running = world.start(*command)
    assert stuck.wait(PATIENCE)
    running.send(number)
    ran = running.finish()  # though what was asked is not answered
    assert (ran.code, ran.out, ran.err) == (130, "", INTERRUPTED)
    assert world.writes == []


def test_a_lock_whose_create_is_interrupted_is_given_back(world: World) -> None:
    """The API has made it, and its answer is still on the way."""
    made, answer = threading.Event(), threading.Event()

    def slow_to_answer(request: Request, proceed: Proceed) -> Answer:
        given = proceed(request)
        if request.method == "POST":
            made.set()
            answer.wait(PATIENCE)
        return given

    world.write(TWO_KEYS)
    world.fail(slow_to_answer)
    running = world.start("apply", "--auto-approve")
    assert made.wait(PATIENCE)
    assert world.locks == ["keyform-lock-shop-e1"]
    running.send(signal.SIGINT)
    ran = running.finish()
    answer.set()
    assert (ran.code, ran.err) == (130, INTERRUPTED)
    assert (world.locks, world.writes) == ([], [])


def test_signals_that_come_in_a_burst_end_the_run_once(world: World, stuck: threading.Event) -> None:
    running = world.start("plan")
    assert stuck.wait(PATIENCE)
    for _ in range(5):
        running.send(signal.SIGINT)
    ran = running.finish()
    assert (ran.code, ran.out, ran.err) == (130, "", INTERRUPTED)


def test_a_signal_wakes_a_run_that_waits_to_ask_again(world: World) -> None:
    world.write(TWO_KEYS)
    body = json.dumps({"message": "Too many requests"}).encode()
    busy = Answer(429, {"Content-Type": "application/json", "Retry-After": "30"}, body)
    world.fail(lambda request, proceed: busy)
    running = world.start("plan")
    running.wait_for("warning: The API refused to ")
    running.send(signal.SIGINT)
    ran = running.finish()
    assert ran.code == 130
    assert ran.err.endswith(INTERRUPTED)


def test_a_signal_that_is_ignored_from_the_start_stays_ignored(make_world: MakeWorld) -> None:
    """As under `nohup`, which is there to let a run outlive its terminal."""
    world = make_world(task_seconds=0.5)
    world.write(HEAD + "keys:\n  payments:\n    deployments: [llama3]\n")
    running = world.start(
        "apply", "--auto-approve", before=lambda: (signal.signal(signal.SIGHUP, signal.SIG_IGN), None)[1]
    )
    running.wait_for("waiting for task")
    running.send(signal.SIGHUP)
    ran = running.finish()
    assert ran.code == 0
    assert "Stopping" not in ran.err


@pytest.mark.parametrize("moment", [1, 3, 6, 8])
def test_a_kill_at_any_moment_leaves_what_the_next_run_completes(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], moment: int
) -> None:
    world = make_world(task_seconds=0.05)
    world.write(TWO_KEYS.replace("{sink: local}", "{sink: local, rotation: {overlap: 0s}}"))
    dead = threading.Event()

    def hold(request: Request, proceed: Proceed) -> Answer:
        """Nothing is answered any more once there are so many writes."""
        answer = proceed(request)
        if len(world.writes) >= moment:
            dead.wait(PATIENCE)
        return answer

    world.fail(hold)
    running = world.start("apply", "--auto-approve", "--parallelism", "1")
    wait_until(lambda: len(world.writes) >= moment or running.process.poll() is not None, "a write")
    running.process.kill()
    running.finish()
    dead.set()
    world.fail(None)
    time.sleep(0.1)  # let its last task finish, as it would have long before anyone breaks the lock
    keyform = InProcess(world, monkeypatch, capsys)
    if world.locks:
        ran = keyform("apply", "--auto-approve")
        assert ran.code == 1
        assert ran.err.startswith("Error: The stack shop is locked by ")
        assert "`keyform unlock` shows who holds it" in ran.err
        assert "ended" in keyform("unlock").out
        assert keyform("unlock", "--release", "--auto-approve").code == 0
        assert world.locks == []
    assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)


def test_two_applies_take_turns(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    asked, answer = threading.Event(), threading.Event()

    def late(request: Request, proceed: Proceed) -> Answer:
        if request.method == "PATCH":
            asked.set()
            answer.wait(PATIENCE)
        return proceed(request)

    world.fail(late)
    first = world.start("apply", "--auto-approve")
    assert asked.wait(PATIENCE)
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert ran.err.startswith("Error: The stack shop is locked by ")
    assert "  wait, or use --lock-timeout; " in ran.err
    second = world.start("apply", "--auto-approve", "--lock-timeout", "60s")
    second.wait_for("waiting for the lock, held by ")
    answer.set()
    assert first.finish().code == 0
    ran = second.finish()
    assert ran.code == 0, ran.err
    assert "Live objects changed after the plan was made:\n" in ran.out
    assert re.search(r"\n  key\.payments: create generation payments\S* is no longer needed\n", ran.out)
    assert "\nThe plan is now:\n" in ran.out
    assert ran.out.endswith("No changes. The live API matches the file.\n")
    world.in_order(keyform)
