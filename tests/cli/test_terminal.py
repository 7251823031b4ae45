"""On a terminal: colours, live progress, and a question; elsewhere not one escape code."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from cli.conftest import Keyform, MakeWorld
from cli.faults import HeldTasks, refusal
from cli.processes import wait_until
from cli.stage import HEAD, ONE_KEY, PROJECT, TOKEN, TWO_KEYS, Proceed, World
from cli.terminals import on_terminal

from reconciler.emulator import Answer, Request

pytestmark = pytest.mark.process("a terminal belongs to a process")
QUESTION = "Do you want keyform to perform these actions? Only 'yes' will be accepted to approve: "


def test_a_plan_is_coloured_and_no_line_is_wider_than_the_terminal(world: World) -> None:
    world.write(TWO_KEYS)
    for columns in (100, 40):
        with on_terminal(world, "plan", columns=columns) as terminal:
            assert terminal.end() == 0
            assert "\x1b[" in terminal.raw
            assert "Plan: 2 to add, 0 to change, 0 to rotate, 0 to destroy." in " ".join(terminal.text.split())
            lines = terminal.text.splitlines()
            assert [line for line in lines if len(line) > columns and not line.startswith("Plan:")] == []


@pytest.mark.parametrize(
    ("command", "env"),
    [
        ("apply --auto-approve --no-color", {}),
        ("apply --auto-approve", {"NO_COLOR": "1"}),
        ("apply --auto-approve", {"CI": "true"}),
        ("apply --auto-approve", {"TERM": "dumb"}),
        ("status", {"NO_COLOR": "1"}),
    ],
)
def test_colours_can_be_switched_off(world: World, command: str, env: dict[str, str]) -> None:
    world.write(TWO_KEYS)
    with on_terminal(world, *command.split(), env=env) as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.raw
        assert terminal.text


def test_ci_set_to_false_is_no_ci(world: World) -> None:
    world.write(TWO_KEYS)
    with on_terminal(world, "plan", env={"CI": "false"}) as terminal:
        assert terminal.end() == 0
        assert "\x1b[" in terminal.raw


def test_progress_is_live_and_leaves_a_clean_screen(make_world: MakeWorld) -> None:
    world = make_world(task_seconds=0.5)
    world.write(TWO_KEYS)
    with on_terminal(world, "apply", "--auto-approve") as terminal:
        terminal.wait_for("of 8 done")
        assert terminal.end() == 0
        assert "waiting for task" in terminal.text
        assert "\x1b[?25l" in terminal.raw, "the cursor is hidden while it draws"
        assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l"), "and shown again"
        for line in ("✓ key.payments  created payments", "✓ key.search  published search to jobs, local"):
            assert line in terminal.text or line.replace("jobs, local", "local, jobs") in terminal.text
        last = terminal.text.strip().splitlines()[-1]
        assert last == "Apply complete! Keys: 2 added, 0 changed, 0 rotated, 0 destroyed."


def test_progress_shows_that_the_api_asks_for_fewer_requests(world: World) -> None:
    """Not as lines that scroll by: for as long as it does."""
    world.write(TWO_KEYS)
    refused = [1]

    def too_often(request: Request, proceed: Proceed) -> Answer:
        if request.method == "POST" and b"keyform-lock" not in request.body and refused:
            refused.pop()
            return refusal(429, headers={"Retry-After": "1"})
        return proceed(request)

    world.fail(too_often)
    with on_terminal(world, "apply", "--auto-approve") as terminal:
        terminal.wait_for("The API asks for fewer requests: at most 5 of 10 in flight, next in 1.")
        assert terminal.end() == 0
        assert "warning: The API asks for fewer" not in terminal.text
        assert "Apply complete! Keys: 2 added" in terminal.text


def test_progress_is_live_while_the_result_goes_into_a_pipe(make_world: MakeWorld) -> None:
    world = make_world(task_seconds=0.3)
    world.write(TWO_KEYS)
    with on_terminal(world, "apply", "--auto-approve", "--json", stdout=subprocess.PIPE) as terminal:
        ran = terminal.running.finish()
        assert ran.code == 0
        assert ran.result["complete"] is True
        assert "\x1b[?25l" in terminal.raw


def test_a_terminal_without_unicode_gets_plain_lines(world: World) -> None:
    world.write(TWO_KEYS)
    with on_terminal(world, "apply", "--auto-approve", env={"PYTHONIOENCODING": "ascii"}) as terminal:
        assert terminal.end() == 0
        assert "key.payments: created payments in" in terminal.text
        assert "\\u2" not in terminal.text
        assert "\x1b[?25l" not in terminal.raw


def test_yes_is_the_only_yes(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    for answer in ("no\n", "YES\n", "\x04"):
        with on_terminal(world, "apply") as terminal:
            terminal.wait_for(QUESTION)
            terminal.type(answer)
            assert terminal.end() == 1
            assert terminal.text.rstrip().endswith("Error: Not approved. Nothing was changed.")
    assert world.writes == []
    with on_terminal(world, "apply") as terminal:
        terminal.wait_for(QUESTION)
        terminal.type("yes\n")
        assert terminal.end() == 0
        assert "Apply complete! Keys: 1 added" in terminal.text
    world.in_order(keyform)


def test_what_is_live_may_not_change_between_plan_and_approval(world: World) -> None:
    world.write(ONE_KEY)
    with on_terminal(world, "apply") as terminal:
        terminal.wait_for(QUESTION)
        path = f"/cloud/v3/inference/{PROJECT}/deployments/llama3"
        world.emulator.respond(Request.build("PATCH", path, token=TOKEN, json_body={"api_keys": []}))
        before = len(world.writes)
        terminal.type("yes\n")
        assert terminal.end() == 1
        assert "Error: Live objects changed after the plan was shown. Nothing was changed.\n" in terminal.text
    assert len(world.writes) == before


def test_ctrl_c_at_the_question_changes_nothing(world: World) -> None:
    world.write(ONE_KEY)
    with on_terminal(world, "apply") as terminal:
        terminal.wait_for(QUESTION)
        terminal.running.send(signal.SIGINT)
        assert terminal.end() == 130
        assert terminal.text.endswith("\nInterrupted. Nothing was changed.\n")
    assert world.writes == []


def test_ctrl_c_during_live_progress_ends_with_a_clean_screen(held: HeldTasks) -> None:
    with on_terminal(held.world, "apply", "--auto-approve") as terminal:
        wait_until(lambda: held.count == 3, "all three tasks")
        terminal.wait_for("waiting for task")
        terminal.running.send(signal.SIGINT)
        terminal.wait_for("Stopping")
        held.let_go()
        assert terminal.end() == 0
        assert "Stopping after the running steps; keys that are already bound are still published." in terminal.text
        assert "Apply complete! Keys: 2 added" in terminal.text
        assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l")


def test_a_terminal_that_is_closed_lets_running_steps_finish(held: HeldTasks, run_held: Keyform) -> None:
    world = held.world
    with on_terminal(world, "apply", "--auto-approve") as terminal:
        wait_until(lambda: held.count == 3, "all three tasks")
        os.dup2(os.open(os.devnull, os.O_RDWR), terminal._master)  # the last hold on it
        terminal.running.send(signal.SIGHUP)
        asked = held.looks
        wait_until(lambda: held.looks > asked + 2, "three more looks at a task")  # the signal has long come by then
        held.let_go()
        assert terminal.running.finish().code == 1
    assert sorted(world.bound("llama3")) == ["payments", "portal-made", "search"]
    assert run_held("apply", "--auto-approve").code == 0
    world.in_order(run_held)


def test_destroy_asks_in_its_own_words(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    assert keyform("apply", "--auto-approve").code == 0
    with on_terminal(world, "destroy") as terminal:
        terminal.wait_for("Do you want keyform to destroy all of the above? Only 'yes' will be accepted to approve: ")
        terminal.type("yes\n")
        assert terminal.end() == 0
    assert world.live_names() == ["portal-made"]
    assert world.held() == {}


def test_json_on_a_terminal_shows_the_plan_before_it_asks(world: World) -> None:
    world.write(ONE_KEY)
    with on_terminal(world, "apply", "--json", stdout=subprocess.PIPE) as terminal:
        terminal.wait_for(QUESTION)
        assert "Plan: 1 to add" in terminal.text
        terminal.type("yes\n")
        ran = terminal.running.finish()
        assert (ran.code, ran.result["complete"]) == (0, True)


def test_what_others_write_into_the_api_cannot_draw_on_the_terminal(make_world: MakeWorld) -> None:
    world = make_world(
        {
            "api_keys": [{"name": "portal-made", "description": "\x1b[2J\x1b]0;owned\x07"}],
            "deployments": [{"name": "llama3", "api_keys": ["portal-made"]}],
        }
    )
    world.write(HEAD + "keys:\n  mine:\n    adopt: portal-made\n    description: tidy\n    deployments: [llama3]\n")
    for command in (["plan"], ["apply", "--auto-approve"], ["status"]):
        with on_terminal(world, *command) as terminal:
            assert terminal.end() == 0
            assert "\x1b[2J" not in terminal.raw
            assert "\x1b]0" not in terminal.raw
            assert "\x07" not in terminal.raw
