"""A stale reading shows what was, and nothing else than what was."""

import json
from typing import Any

import pytest
from support.faults.effects import Effect, Kind, TracedEffects
from support.faults.faults import stale
from support.faults.scenarios import LIVE
from support.faults.world import FaultWorld
from support.http_fakes import PROJECT, TOKEN

from reconciler.emulator import Request

BASE = f"/cloud/v3/inference/{PROJECT}"


@pytest.fixture
def world() -> FaultWorld:
    """One write ago llama3 had another list of keys."""
    world = FaultWorld.make(LIVE, {"local": "dotenv"})
    world.images.append(world.emulator.dump())
    body = {"api_keys": ["portal-made", "new-key"]}
    world.respond(Request.build("POST", f"{BASE}/api_keys", token=TOKEN, json_body={"name": "new-key"}))
    world.respond(Request.build("PATCH", f"{BASE}/deployments/llama3", token=TOKEN, json_body=body))
    world.clock.advance(10)
    return world


def read(world: FaultWorld, path: str) -> tuple[Any, Any]:
    """What a stale reading shows, and what a true one does."""
    request = Request.build("GET", f"{BASE}/{path}", token=TOKEN)
    shown = stale(Effect(0, Kind.READ, f"GET {path}", request), lambda: world.respond(request), TracedEffects(world))
    return json.loads(shown.body), json.loads(world.respond(request).body)


def test_it_shows_an_old_list_of_keys_and_the_rest_as_it_is(world: FaultWorld) -> None:
    shown, true = read(world, "deployments/llama3")
    assert (shown["api_keys"], true["api_keys"]) == (["portal-made"], ["portal-made", "new-key"])
    assert shown | {"api_keys": true["api_keys"]} == true


def test_a_list_of_deployments_is_as_old(world: FaultWorld) -> None:
    shown, true = read(world, "deployments")
    assert [found["api_keys"] for found in shown["results"]] == [["portal-made"], ["portal-made"]]
    assert [found["api_keys"] for found in true["results"]] == [["portal-made", "new-key"], ["portal-made"]]


def test_a_key_that_was_made_since_is_missing(world: FaultWorld) -> None:
    shown, true = read(world, "api_keys/new-key")
    assert (shown["exception_class"], true["name"]) == ("NotFoundError", "new-key")


@pytest.mark.parametrize("path", ["deployments/whisper", "applications", "deployments/nobody"])
def test_where_nothing_was_otherwise_it_shows_what_is(world: FaultWorld, path: str) -> None:
    request = Request.build("GET", f"{BASE}/{path}", token=TOKEN)
    true = world.respond(request)
    shown = stale(Effect(0, Kind.READ, "", request), lambda: true, TracedEffects(world))
    assert shown is true
