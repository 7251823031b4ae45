"""Two clocks, over HTTP: whatever this machine's says, the API's decides what is due, over or expired."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from cli.conftest import MakeWorld
from cli.in_process import InProcess
from cli.processes import Ran
from cli.stage import HEAD, PROJECT, TOKEN, Proceed, World

from reconciler.effects import System
from reconciler.emulator import Answer, Request, VirtualClock

START = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
CLOSE = timedelta(seconds=3)
"""The client knows the API's clock to half a second, and a marker's instant is rounded up."""
ROTATED = HEAD + "keys:\n  payments:\n    deployments: [llama3]\n    rotation: {every: 60d, overlap: 7d}\n"
SHORT = HEAD + "keys:\n  payments:\n    deployments: [llama3]\n    rotation: {every: 20d, overlap: 5d, lifetime: 30d}\n"
NO_CHANGES = "No changes. The live API matches the file.\n"
WARNING = "warning: This machine's clock is"


@dataclass
class Story:
    """An API with a clock that a test turns, and a machine whose clock is `wrong_by` so much."""

    world: World
    clock: VirtualClock
    keyform: Callable[..., Ran]
    wrong_by: timedelta

    def pass_by(self, **length: float) -> None:
        self.clock.advance(timedelta(**length).total_seconds())

    def done(self, *argv: str) -> Ran:
        ran = self.keyform(*argv)
        assert ran.code == 0, ran.err
        return ran

    def since(self, name: str) -> datetime:
        text = self.world.emulator.live_keys(PROJECT)[name].description or ""
        found = re.search(r"published (\S+?)[ \]]", text)
        assert found, text
        return datetime.fromisoformat(found[1])


@pytest.fixture(params=[timedelta(hours=2), timedelta(days=-3)], ids=["2 hours ahead", "3 days behind"])
def story(request, make_world: MakeWorld, monkeypatch, capsys) -> Story:
    return tell(request.param, make_world, monkeypatch, capsys)


def tell(wrong_by: timedelta, make_world: MakeWorld, monkeypatch, capsys) -> Story:
    clock = VirtualClock(START)
    world = make_world(clock=clock)
    monkeypatch.setattr(System, "now", lambda self: clock.now() + wrong_by)
    return Story(world, clock, InProcess(world, monkeypatch, capsys), wrong_by)


def test_a_rotation_is_due_and_its_overlap_over_when_the_api_s_clock_says_so(story: Story) -> None:
    story.world.write(ROTATED)
    story.done("apply", "--auto-approve")
    assert abs(story.since("payments") - START) <= CLOSE
    story.pass_by(days=60, hours=-1)
    assert story.done("plan").out == NO_CHANGES
    story.pass_by(hours=1, seconds=5)
    assert "Plan: 0 to add, 0 to change, 1 to rotate, 0 to destroy." in story.done("plan").out
    story.done("apply", "--auto-approve")
    assert story.world.live_names() == ["portal-made", "payments", "payments-g2"]
    story.pass_by(days=7, hours=-1)
    story.done("plan", "--detailed-exitcode")
    assert story.world.opens("llama3", story.world.secret_of("payments"))
    story.pass_by(hours=1, seconds=5)
    story.done("apply", "--auto-approve")
    assert story.world.live_names() == ["portal-made", "payments-g2"]


def test_a_lifetime_is_counted_by_the_api_s_clock(story: Story) -> None:
    story.world.write(SHORT)
    story.done("apply", "--auto-approve")
    live = story.world.emulator.live_keys(PROJECT)["payments"]
    assert live.expires_at is not None
    assert abs(live.expires_at - START - timedelta(days=30)) <= CLOSE
    assert story.done("plan").out == NO_CHANGES


def test_a_lock_is_in_force_as_long_as_the_api_s_clock_says(story: Story) -> None:
    story.world.write(ROTATED)
    expires = START + timedelta(minutes=5)
    body = {
        "name": "keyform-lock-shop-e1",
        "description": "held by somebody since 2026-11-21T09:55:00Z [keyform-lock 0123456789ab]",
        "expires_at": expires.isoformat(),
    }
    path = f"/cloud/v3/inference/{PROJECT}/api_keys"
    assert story.world.emulator.respond(Request.build("POST", path, token=TOKEN, json_body=body)).status == 200
    held = story.keyform("apply", "--auto-approve")
    assert held.code == 1
    assert "is locked by somebody" in held.err
    story.pass_by(minutes=7)
    story.done("apply", "--auto-approve")
    (own,) = [call.body for call in story.world.calls if call.method == "POST" and "shop-e2" in call.body["name"]]
    left = datetime.fromisoformat(own["expires_at"]) - story.clock.now()
    assert abs(left - timedelta(minutes=10)) <= CLOSE
    assert story.world.locks == []


def test_a_date_in_the_past_of_the_api_is_refused_whatever_this_machine_says(story: Story) -> None:
    soon = (START + timedelta(hours=1)).isoformat()
    story.world.write(HEAD + f"keys:\n  payments:\n    deployments: [llama3]\n    expires_at: {soon}\n")
    assert "Plan: 1 to add" in story.done("plan").out
    story.pass_by(hours=2)
    refused = story.keyform("plan")
    assert refused.code == 1
    assert "is in the past" in refused.err


@pytest.mark.parametrize("command", [["plan"], ["status"], ["apply", "--auto-approve"]], ids=" ".join)
def test_it_is_said_once_how_far_the_clocks_are_apart_and_which_counts(story: Story, command: list[str]) -> None:
    story.world.write(ROTATED)
    way = "2 hours ahead of" if story.wrong_by > timedelta(0) else "3 days behind"
    told = story.done(*command).err
    assert [line for line in told.splitlines() if "clock" in line] == [
        f"{WARNING} {way} the API's. keyform uses the API's clock; correct this machine's."
    ]


def test_the_status_counts_ages_by_the_api_s_clock(story: Story) -> None:
    story.world.write(ROTATED)
    story.done("apply", "--auto-approve")
    story.pass_by(days=10)
    now = datetime.fromisoformat(story.done("status", "--json").json["now"])
    assert abs(now - story.clock.now()) <= CLOSE


@pytest.mark.parametrize("wrong_by", [timedelta(0), timedelta(seconds=20), timedelta(seconds=-20)])
def test_clocks_that_are_close_are_not_worth_a_word(wrong_by, make_world, monkeypatch, capsys) -> None:
    story = tell(wrong_by, make_world, monkeypatch, capsys)
    story.world.write(ROTATED)
    assert "clock" not in story.done("apply", "--auto-approve").err
    assert story.done("plan").out == NO_CHANGES


@pytest.mark.parametrize("date", [None, "the day after tomorrow"])
def test_without_a_date_that_can_be_read_this_machine_s_clock_decides(date, make_world, monkeypatch, capsys) -> None:
    story = tell(timedelta(hours=2), make_world, monkeypatch, capsys)

    def hide(request: Request, proceed: Proceed) -> Answer:
        answer = proceed(request)
        kept = {name: value for name, value in answer.headers.items() if name != "Date"}
        return replace(answer, headers=kept | ({"Date": date} if date else {}))

    story.world.fail(hide)
    story.world.write(ROTATED)
    ran = story.done("apply", "--auto-approve")
    assert "clock" not in ran.err
    assert abs(story.since("payments") - START - timedelta(hours=2)) <= CLOSE


def test_one_absurd_date_among_the_answers_decides_nothing(make_world, monkeypatch, capsys) -> None:
    story = tell(timedelta(0), make_world, monkeypatch, capsys)
    story.world.write(ROTATED)
    story.done("apply", "--auto-approve")

    def confuse(request: Request, proceed: Proceed) -> Answer:
        answer = proceed(request)
        if not request.path.endswith(f"/inference/{PROJECT}/deployments"):
            return answer
        return replace(answer, headers={**answer.headers, "Date": "Sun, 21 Nov 2083 10:00:00 GMT"})

    story.world.fail(confuse)
    ran = story.done("plan")
    assert ran.out == NO_CHANGES
    assert "clock" not in ran.err
