"""What a live test does not touch, and what it makes of an earlier one, of odd answers, and of too little time."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livetest.stage import PUBLIC, SHARED, SPARE, START, World
from support.fuzzing import fuzz
from support.http_fakes import PROJECT, TOKEN, refusal

from reconciler.emulator import Answer, Request
from reconciler.errors import KeyformError
from reconciler.model import Ownership, Phase, compose_description
from reconciler.model.findings import Verdict

MARKED = compose_description("Checkout", Ownership("shop", "payments", 1, Phase.PUBLISHED, START))
DEPLOYMENT = {"name": SPARE, "image": "demo/llama3"}
APPLICATION = {"name": "webui", "application_name": "open-webui", "components": {"web": {"exposed": True}}}
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "foreign": (dict(SHARED), {}, "deployment.spare has 2 keys of others"),
    "hidden": (
        {"deployments": [{**DEPLOYMENT, "auth_enabled": True}]},
        {},
        "deployment.spare asks for a key and lists none of others",
    ),
    "managed": (dict(PUBLIC), {"managed": (SPARE,)}, "deployment.spare is in the file: keyform manages it"),
    "application": (
        {"applications": [APPLICATION]},
        {"deployment": "webui-web"},
        "deployment.webui-web belongs to an application",
    ),
    "missing": (dict(PUBLIC), {"deployment": "other"}, "deployment.other cannot be read: 404 NotFoundError"),
}


@pytest.mark.parametrize(("live", "options", "finding"), REFUSED.values(), ids=[*REFUSED])
def test_a_deployment_that_something_depends_on_is_not_touched(
    live: dict[str, Any], options: dict[str, Any], finding: str
) -> None:
    world = World.make(live=live)
    written: list[str] = []
    world.emulator.listeners.append(lambda request, _: written.append(request.method))
    with pytest.raises(KeyformError) as refused:
        world.prepare(world.effects(), **options)
    assert refused.value.message.startswith(finding)
    assert "Nothing was changed" in refused.value.message
    assert refused.value.way_out
    assert set(written) == {"GET"}


def test_a_deployment_with_a_key_of_a_stack_is_not_touched_even_when_told() -> None:
    live = {**SHARED, "api_keys": [{"name": "payments", "description": MARKED}, {"name": "another-one"}]}
    live["deployments"] = [{**DEPLOYMENT, "api_keys": ["payments", "another-one"]}]
    world = World.make(live=live)
    with pytest.raises(KeyformError, match=r"deployment.spare has keys of the stack shop"):
        world.prepare(world.effects(), keeps_others=True)


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_a_key_of_an_earlier_live_test_that_opens_something_else_stays(api: str) -> None:
    left = {"name": "keyform-doctor-0badcafe-key1", "description": "[keyform-doctor 0badcafe public other] left"}
    live = {
        "api_keys": [left, {**left, "name": "keyform-doctor-0badcafe-key2"}],
        "deployments": [DEPLOYMENT, {"name": "other", "image": "demo/llama3", "api_keys": [left["name"]]}],
    }
    world = World.make(live=live)
    plan = world.prepare(world.effects(), api)
    assert [made.name for made in plan.bound] == [left["name"]]
    assert [made.name for made in plan.leftovers] == ["keyform-doctor-0badcafe-key2"]
    found = world.ask(api, patience=1.0)
    assert (found.removed, found.remains) == (1, ())
    assert world.own == [left["name"]]
    assert world.emulator.api_keys_of(PROJECT, "deployment", "other") == (left["name"],)


@pytest.mark.parametrize(
    "given_key",
    [
        {"name": "keyform-doctor-0badcafe-key1", "description": "somebody's own"},
        {"name": "keyform-doctor-0badcafe-key1", "description": "[keyform-doctor 1badcafe] of another run"},
        {"name": "keyform-doctor-of-ours", "description": "[keyform-doctor 0badcafe] copied"},
        {"name": "payments", "description": "[keyform-doctor 0badcafe] copied"},
        {"name": "keyform-doctor-0badcafe-key1"},
    ],
)
def test_what_only_name_or_description_calls_a_throw_away_key_stays(given_key: dict[str, str]) -> None:
    world = World.make(live={**PUBLIC, "api_keys": [given_key]})
    found = world.ask(patience=1.0)
    assert (found.removed, found.remains) == (0, ())
    assert given_key["name"] in world.emulator.live_keys(PROJECT)


def test_a_deployment_is_opened_again_only_where_the_keys_on_it_say_that_it_was_public() -> None:
    for said, reopens in (("public spare", True), ("keyed spare", False), ("public other", False)):
        key = {"name": "keyform-doctor-0badcafe-key1", "description": f"[keyform-doctor 0badcafe {said}] left"}
        world = World.make(live={"api_keys": [key], "deployments": [{**DEPLOYMENT, "api_keys": [key["name"]]}]})
        if not reopens:
            with pytest.raises(KeyformError, match="asks for a key and lists none of others"):
                world.prepare(world.effects())
            continue
        assert world.prepare(world.effects()).reopens
        assert world.ask(patience=1.0).remains == ()
        world.settle()
        assert world.own == []
        assert world.emulator.accepts(PROJECT, "deployment", SPARE, None)


def test_what_takes_longer_than_patience_is_left_open_and_says_so() -> None:
    found = World.make().ask(patience=30.0)
    reasons = {each.mode: each.reason for each in found.findings}
    assert reasons["expired_key"] == "it needs a wait of 70 seconds: give a longer --patience"
    assert found.seconds < 120


def test_an_api_that_is_asked_too_often_is_waited_for() -> None:
    world = World.make()
    count = [0]

    def limit(request: Request, proceed: Any) -> Any:
        count[0] += 1
        if count[0] % 3 == 0:
            return Answer(429, {"Content-Type": "application/json", "Retry-After": "2"}, refusal(429).content)
        return proceed(request)

    world.emulator.interceptor = limit
    found = world.ask(patience=75.0)
    world.emulator.interceptor = None
    assert found.count(Verdict.DETERMINED) > 20
    assert (found.remains, world.is_as_before()) == ((), True)


# --- What an API may answer -------------------------------------------------------------------------------------------

PIECE = "badcafe"
"""A part of the token."""
assert PIECE in TOKEN
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)
FIELDS = (
    *("name", "key_id", "id", "description", "created_at", "expires_at", "secret", "api_keys", "auth_enabled", "state"),
    *("tasks", "status", "address", "results", "count", "exception_class", "message", "info", "object_references"),
)


@fuzz(200)
@given(
    odd=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6),
    every=st.integers(2, 6),
    status=st.sampled_from([None, 200, 204, 302, 400, 404, 409, 500]),
    api=st.sampled_from(["v3", "v2"]),
)
def test_no_answer_breaks_it_or_is_repeated(odd: dict[str, Any], every: int, status: int | None, api: str) -> None:
    """An API that puts whatever it likes into fields, the token too: every question ends, and what it sees is clean."""
    world = World.make()
    effects = world.effects()
    odd = {**odd, "message": f"Bad permanent token: {TOKEN}", TOKEN: TOKEN, "badcafe": TOKEN}
    if status is not None and status >= 400:
        odd["exception_class"] = PIECE

    def spoil(number: int, _request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if number < 4 or number % every:
            return answer
        try:
            payload = answer.json()
        except ValueError:
            payload = {}
        content = {**payload, **odd} if isinstance(payload, dict) else odd
        body = json.dumps(content).encode("utf-8", "surrogatepass")
        return httpx.Response(status or answer.status_code, content=body)

    effects.after = spoil
    found = world.ask(api, effects=effects, patience=5.0)
    assert PIECE not in repr(found)
    named = [each.mode for each in found.findings if each.mode]
    assert len(named) == len(set(named))
    assert not world.own or found.remains, "what is left is named"
