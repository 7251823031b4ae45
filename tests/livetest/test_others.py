"""What a live test makes of people who change the deployment's keys while it runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from livetest.stage import PUBLIC, SHARED, SPARE, World
from support.http_fakes import PROJECT, TOKEN

from reconciler.emulator import Modes, Request, VirtualClock
from reconciler.model.findings import LiveTest
from reconciler.report.live_test import live_test_to_json, live_test_to_markdown, summarize

PATH = f"/cloud/v3/inference/{PROJECT}/deployments/{SPARE}"
PATIENCE = 75.0
AT_START = Modes(effect="at_start")


def take_off(world: World, name: str, api: str) -> None:
    """Unlink a key in the portal, and see that it is done."""
    names = world.emulator.api_keys_of(PROJECT, "deployment", SPARE)
    request = Request.build(
        "PATCH", PATH, token=TOKEN, json_body={"api_keys": [each for each in names if each != name]}
    )
    if api == "v2":
        path = f"/cloud/v2/inference/api_keys/{world.emulator.live_keys(PROJECT)[name].key_id}"
        request = Request.build("PATCH", path, token=TOKEN, json_body={"inference_instance_ids": []})
    assert world.emulator.respond(request).status == 200
    wait(world)


def wait(world: World) -> None:
    assert isinstance(world.emulator.clock, VirtualClock)
    world.emulator.clock.advance(2.5)


def ask_while(world: World, api: str, *, at: Callable[[int, httpx.Request], bool], do: Callable[[], None]) -> LiveTest:
    """One live test; something is done by somebody else before the first request that is meant."""
    effects = world.effects()
    done: list[int] = []

    def before(number: int, request: httpx.Request) -> None:
        if not done and at(number, request):
            done.append(number)
            do()

    effects.before = before
    found = world.ask(api, effects=effects, keeps_others=True, patience=PATIENCE)
    assert done
    return found


def calls_the_deployment(_number: int, request: httpx.Request) -> bool:
    return request.url.path.startswith("/dataplane")


def names_the_change(found: LiveTest, what: str) -> None:
    """The terminal and the JSON name it; the page counts it."""
    assert [each.what for each in found.changed_by_others] == [what]
    assert f"During the test, {what}." in summarize(found)
    assert json.loads(live_test_to_json(found))["changed_by_others"][0]["what"] == what
    assert json.loads(live_test_to_json(found))["complete"] is False
    page = live_test_to_markdown(found)
    assert "- others changed the deployment during the test: a key came or went\n" in page
    assert not found.is_complete


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize("modes", [Modes(), AT_START], ids=["at_finish", "at_start"])
def test_a_key_that_its_owner_takes_off_meanwhile_stays_off_and_is_named(api: str, modes: Modes) -> None:
    world = World.make(modes, live=SHARED)
    found = ask_while(world, api, at=calls_the_deployment, do=lambda: take_off(world, "portal-made", api))
    world.settle()
    assert world.emulator.api_keys_of(PROJECT, "deployment", SPARE) == ("another-one",)
    assert (world.own, found.remains) == ([], ())
    names_the_change(found, f"key portal-made was taken off deployment {SPARE} by somebody else, and stays off")
    reason = "others changed the keys of the deployment meanwhile: nothing more is asked of it"
    assert reason in {each.reason for each in found.findings}


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_a_key_that_was_deleted_before_the_first_write_stays_gone(api: str) -> None:
    """A person takes minutes to approve."""
    world = World.make(live=SHARED)
    found = ask_while(
        world,
        api,
        at=lambda _, request: request.method != "GET",
        do=lambda: take_off(world, "portal-made", api),
    )
    world.settle()
    assert world.emulator.api_keys_of(PROJECT, "deployment", SPARE) == ("another-one",)
    names_the_change(found, f"key portal-made was taken off deployment {SPARE} by somebody else, and stays off")


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_a_change_by_others_is_named_whenever_it_comes_and_no_other_key_is_touched(api: str) -> None:
    """Where it comes between a write and the first look at its effect, nothing tells it from what the write did: the
    key comes back, and the report says so."""
    world = World.make(AT_START, live=SHARED)
    effects = world.effects()
    world.ask(api, effects=effects, keeps_others=True, patience=PATIENCE)
    count, back = len(effects.sent), 0
    for number in range(6, count - 12, 7):
        world = World.make(AT_START, live=SHARED)

        def is_time(at: int, request: httpx.Request, *, number: int = number) -> bool:
            # Right before a PATCH, the API gives no way to see it: the list has no ETag.
            return at >= number and request.method != "PATCH"

        found = ask_while(world, api, at=is_time, do=lambda world=world: take_off(world, "portal-made", api))
        world.settle()
        bound = world.emulator.api_keys_of(PROJECT, "deployment", SPARE)
        assert "another-one" in bound, number
        assert (world.own, found.remains) == ([], ()), number
        (change,) = found.changed_by_others
        came_back = "portal-made" in bound
        back += came_back
        assert ("is attached again" if came_back else "stays off") in change.what, number
    assert back <= (count // 20 if api == "v3" else 0)


def test_a_key_that_comes_to_a_public_deployment_stays_and_ends_its_questions() -> None:
    world = World.make(AT_START, live={**PUBLIC, "api_keys": [{"name": "portal-made"}]})

    def add() -> None:
        names = [*world.emulator.api_keys_of(PROJECT, "deployment", SPARE), "portal-made"]
        request = Request.build("PATCH", PATH, token=TOKEN, json_body={"api_keys": names})
        assert world.emulator.respond(request).status == 200

    found = ask_while(world, "v3", at=calls_the_deployment, do=add)
    world.settle()
    assert world.emulator.api_keys_of(PROJECT, "deployment", SPARE) == ("portal-made",)
    names_the_change(found, f"key portal-made was attached to deployment {SPARE} by somebody else, and stays")


def test_the_last_key_that_others_take_off_does_not_make_the_deployment_public() -> None:
    """It ends at once, and says what is left: only a throw-away key keeps the deployment closed."""
    live: dict[str, Any] = {
        "api_keys": [{"name": "portal-made"}],
        "deployments": [{"name": SPARE, "image": "demo/llama3", "api_keys": ["portal-made"]}],
    }
    world = World.make(AT_START, live=live)
    found = ask_while(world, "v3", at=calls_the_deployment, do=lambda: take_off(world, "portal-made", "v3"))
    world.settle()
    assert not world.emulator.accepts(PROJECT, "deployment", SPARE, None)
    (key,) = world.emulator.api_keys_of(PROJECT, "deployment", SPARE)
    assert [key in each.what or "others removed their keys" in each.what for each in found.remains] == [True, True]
    assert len(found.changed_by_others) == 1
