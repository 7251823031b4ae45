"""Whole runs of keyform with a GitLab project as the sink: what jobs get in each phase, and what failures leave."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli.conftest import Keyform
from cli.in_process import InProcess
from cli.stage import HEAD, LIVE, PROJECT, TOKEN, World
from sinks import gitlab_server as server
from sinks.gitlab_server import Gitlab, Held

from reconciler.effects import System
from reconciler.emulator import Emulator, EmulatorServer, VirtualClock

SINK = "  lab: {type: gitlab-ci, project: group/app, environment_scope: prod}\n"
FILE = (
    HEAD.replace("sinks:\n", f"sinks:\n{SINK}").replace("{sink: local}", "{sink: lab, rotation: {overlap: 90s}}")
    + "keys:\n  payments: {deployments: [llama3]}\n  search: {deployments: [whisper]}\n"
)
NAMES = {"PAYMENTS_KEY", "SEARCH_KEY"}


@pytest.fixture
def world(tmp_path: Path, gitlab: Gitlab) -> Iterator[World]:
    """An emulator over HTTP, beside GitLab."""
    emulator = Emulator(tokens={TOKEN: [PROJECT]}, clock=VirtualClock(datetime.now(UTC)))
    with EmulatorServer(emulator) as served:
        made = World.make(tmp_path, served, LIVE)
        made.env |= {"CI_API_V4_URL": gitlab.url, "GITLAB_TOKEN": server.TOKEN}
        made.write(FILE)
        yield made


@pytest.fixture
def keyform(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Keyform:
    """keyform in this process, on the emulator's clock."""
    monkeypatch.setattr(System, "now", lambda self: world.emulator.clock.now())
    return InProcess(world, monkeypatch, capsys)


def live(world: World) -> dict[str, str]:
    """The secrets of live keys by name, without the one that was made by hand."""
    keys = world.emulator.live_keys(PROJECT)
    return {name: key.secret for name, key in keys.items() if name != "portal-made"}


def wait(world: World, seconds: float) -> None:
    clock = world.emulator.clock
    assert isinstance(clock, VirtualClock)
    clock.advance(seconds)


def test_jobs_of_the_environment_get_the_secret_of_each_generation(
    world: World, keyform: Keyform, gitlab: Gitlab
) -> None:
    plan = keyform("plan")
    assert "GitLab project group/app: variable {KEY}_KEY, environments prod, protected, masked" in " ".join(
        plan.out.split()
    )
    assert gitlab.variables["projects"] == []
    assert keyform("apply", "--auto-approve").code == 0
    assert gitlab.job("test") == {}
    first = gitlab.job("prod")
    assert set(first) == NAMES
    assert sorted(first.values()) == sorted(live(world).values())
    assert keyform("plan", "--detailed-exitcode").code == 0
    assert keyform("verify", "--timeout", "2s").code == 0

    wait(world, 1)
    assert keyform("rotate", "payments", "--auto-approve").code == 0
    second = gitlab.job("prod")
    assert second["PAYMENTS_KEY"] not in first.values()
    assert second["SEARCH_KEY"] == first["SEARCH_KEY"]
    assert {first["PAYMENTS_KEY"], second["PAYMENTS_KEY"]} <= set(live(world).values()), "both work in the overlap"
    wait(world, 120)
    assert keyform("apply", "--auto-approve").code == 0
    assert first["PAYMENTS_KEY"] not in live(world).values()
    assert gitlab.job("prod") == second

    world.write(FILE.replace("  search: {deployments: [whisper]}\n", ""))
    assert keyform("apply", "--auto-approve").code == 0
    assert gitlab.job("prod") == {"PAYMENTS_KEY": second["PAYMENTS_KEY"]}
    assert keyform("destroy", "--auto-approve").code == 0
    assert gitlab.variables["projects"] == []
    assert live(world) == {}


def test_a_token_that_may_only_read_plans_and_applies_nothing(world: World, keyform: Keyform, gitlab: Gitlab) -> None:
    world.env["GITLAB_TOKEN"] = server.READER
    assert keyform("plan").code == 0
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "with `read_api`, it may only plan" in " ".join((ran.out + ran.err).split())
    assert (live(world), gitlab.variables["projects"]) == ({}, [])


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        (server.EXPIRED, "Set GITLAB_TOKEN to one that has not expired"),
        (server.DEVELOPER, "the role Maintainer in the project group/app"),
        (server.STRANGER, "GitLab has no project group/app, or does not show it"),
        ("", "GITLAB_TOKEN is not set"),
    ],
)
def test_a_token_that_will_not_do_makes_no_key(
    world: World, keyform: Keyform, gitlab: Gitlab, token: str, sentence: str
) -> None:
    world.env["GITLAB_TOKEN"] = token
    for command in (("plan",), ("apply", "--auto-approve"), ("doctor",)):
        ran = keyform(*command)
        assert ran.code == 1, command
        assert sentence in " ".join((ran.out + ran.err).split())
    assert (live(world), gitlab.variables["projects"]) == ({}, [])


def test_a_full_project_makes_no_key(world: World, keyform: Keyform, gitlab: Gitlab) -> None:
    gitlab.variables["projects"] = [Held("A", "theirs"), Held("B", "theirs")]
    gitlab.limits["projects"] = 2
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "Maximum number of project ci variables (2) exceeded" in " ".join((ran.out + ran.err).split())
    assert live(world) == {}


def test_a_gitlab_that_is_down_at_any_request_is_an_error_that_the_next_apply_makes_up_for(
    world: World, keyform: Keyform, gitlab: Gitlab
) -> None:
    assert keyform("apply", "--auto-approve").code == 0
    number, code = 0, 1
    while code:
        wait(world, 200)
        gitlab.log.clear()
        gitlab.troubles = [""] * number + ["503"] * 60
        ran = keyform("rotate", "payments", "--auto-approve")
        code = ran.code
        assert code in (0, 1)
        assert gitlab.job("prod")["PAYMENTS_KEY"] in live(world).values(), (
            "a job never gets a secret that opens nothing"
        )
        gitlab.troubles.clear()
        wait(world, 200)
        assert keyform("apply", "--auto-approve").code == 0, number
        number += 1
    assert number > 5
    assert keyform("plan", "--detailed-exitcode").code == 0
    assert len(live(world)) == len(NAMES)


def test_a_variable_that_was_edited_by_hand_is_drift_and_gets_the_next_generation(
    world: World, keyform: Keyform, gitlab: Gitlab
) -> None:
    assert keyform("apply", "--auto-approve").code == 0
    gitlab.edit("PAYMENTS_KEY", "prod", value="edited-by-hand")
    gitlab.edit("SEARCH_KEY", "prod", protected=False)
    ran = keyform("plan", "--detailed-exitcode")
    assert ran.code == 2
    assert "the variable SEARCH_KEY differs: it is protected in the file; an apply corrects it" in " ".join(
        ran.out.split()
    )
    wait(world, 1)
    assert keyform("apply", "--auto-approve").code == 0
    assert gitlab.job("prod")["PAYMENTS_KEY"] in live(world).values()
    found = gitlab.find("SEARCH_KEY", "prod")
    assert found is not None
    assert found.protected


def test_a_secret_is_copied_to_and_from_gitlab_without_a_rotation(
    world: World, keyform: Keyform, gitlab: Gitlab
) -> None:
    assert keyform("apply", "--auto-approve").code == 0
    before = live(world)
    world.write(FILE.replace("sink: lab", "sink: [lab, local]"))
    assert keyform("apply", "--auto-approve").code == 0
    gitlab.variables["projects"].clear()
    assert keyform("apply", "--auto-approve").code == 0
    assert live(world) == before
    assert sorted(gitlab.job("prod").values()) == sorted(before.values())
