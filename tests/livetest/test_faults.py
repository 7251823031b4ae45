"""A live test in which something fails, at each request: everything is put back, or what is not is named."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import httpx
import pytest
from livetest.stage import PUBLIC, SHARED, SPARE, Effects, World
from support.http_fakes import PROJECT, TOKEN, refusal

from reconciler.emulator import Answer, Modes, Request
from reconciler.errors import Interrupted, KeyformError
from reconciler.model.findings import LiveTest, Verdict

PATIENCE = 75.0
"""Seconds: the wait for an expiry is one of the places where it can fail."""
STEP = 15
"""Of each kind of fault every so manieth request is tried, each kind at others; all of them with `-m torture`."""


class Killed(BaseException):
    """The process is gone: nothing more is sent."""


def lose_request(effects: Effects, at: int) -> None:
    def before(number: int, request: httpx.Request) -> None:
        if number == at:
            raise httpx.ConnectError("", request=request)

    effects.before = before


def lose_answer(effects: Effects, at: int) -> None:
    def after(number: int, request: httpx.Request, given: httpx.Response) -> httpx.Response:
        if number == at:
            raise httpx.ReadError("", request=request)
        return given

    effects.after = after


def _answer(given_instead: Callable[[], httpx.Response], *, effect: bool) -> Callable[[Effects, int], None]:
    def put(effects: Effects, at: int) -> None:
        if effect:
            effects.after = lambda number, request, given: given_instead() if number == at else given
            return

        def interceptor(request: Request, proceed: Callable[[Request], Answer]) -> Answer:
            if len(effects.sent) == at:
                said = given_instead()
                return Answer(said.status_code, dict(said.headers), said.content)
            return proceed(request)

        effects.emulator.interceptor = interceptor

    return put


def html() -> httpx.Response:
    return httpx.Response(200, text="<html>Log in</html>", headers={"Content-Type": "text/html"})


FAULTS: dict[str, Callable[[Effects, int], None]] = {
    "request lost": lose_request,
    "answer lost": lose_answer,
    "500 before": _answer(lambda: refusal(500), effect=False),
    "500 after": _answer(lambda: refusal(500), effect=True),
    "429": _answer(lambda: refusal(429), effect=False),
    "403": _answer(lambda: refusal(403), effect=False),
    "HTML after": _answer(html, effect=True),
}


@cache
def requests_of(api: str) -> int:
    """How many requests a whole live test has."""
    world = World.make()
    effects = world.effects()
    world.ask(api, effects=effects, patience=PATIENCE)
    return len(effects.sent)


def places(kinds: int) -> Iterator[Any]:
    """(generation, kind, offset): which requests are tried is for the test to say."""
    for api in ("v3", "v2"):
        for kind in range(kinds):
            yield pytest.param(api, kind, STEP, id=f"{api}-{kind}")
            yield pytest.param(api, kind, 1, id=f"{api}-{kind}-all", marks=pytest.mark.torture)


def numbers(api: str, kind: int, step: int) -> range:
    first = 5  # what comes before only reads
    return range(first + kind % step, requests_of(api) + 1, step)


@pytest.mark.parametrize(("api", "kind", "step"), [*places(len(FAULTS))])
def test_a_fault_leaves_nothing_behind(api: str, kind: int, step: int) -> None:
    name, put = [*FAULTS.items()][kind]
    for at in numbers(api, kind, step):
        world = World.make()
        effects = world.effects()
        put(effects, at)
        found = world.ask(api, effects=effects, patience=PATIENCE)
        world.emulator.interceptor = None
        assert (found.remains, world.is_as_before()) == ((), True), f"{name} at request {at}"
        wrong = {
            each.mode: (each.value, each.seen)
            for each in found.findings
            if each.verdict is Verdict.DETERMINED and each.value != getattr(Modes(), each.mode)
        }
        assert wrong == {}, f"{name} at request {at}"


def no_longer(_seconds: float) -> None:
    raise Interrupted("Interrupted.")


def is_free(world: World) -> bool:
    """Whether the deployment is public and has no keys."""
    world.settle()
    bound = world.emulator.api_keys_of(PROJECT, "deployment", SPARE)
    return not bound and world.emulator.accepts(PROJECT, "deployment", SPARE, None)


STOPS = ("asked to stop", "asked twice", "Ctrl-C", "a fault of keyform")


@pytest.mark.parametrize(("api", "kind", "step"), [*places(len(STOPS))])
def test_an_interruption_leaves_nothing_behind(api: str, kind: int, step: int) -> None:
    for at in numbers(api, kind, step):
        world = World.make()
        effects, stop = world.effects(), threading.Event()

        def before(
            number: int,
            _request: httpx.Request,
            *,
            at: int = at,
            stop: threading.Event = stop,
            effects: Effects = effects,
        ) -> None:
            if number != at:
                return
            match STOPS[kind]:
                case "asked to stop":
                    stop.set()
                case "asked twice":
                    stop.set()
                    effects.sleep = no_longer  # type: ignore[method-assign]
                case "Ctrl-C":
                    raise KeyboardInterrupt
                case _:
                    raise RuntimeError("a fault")

        effects.before = before
        found: LiveTest | None = None
        try:
            found = world.ask(api, effects=effects, patience=PATIENCE, stop=stop)
        except (RuntimeError, KeyformError):
            assert STOPS[kind] == "a fault of keyform"
        if STOPS[kind] == "asked twice":
            assert found is not None
            assert found.remains or world.is_as_before(), f"{STOPS[kind]} at request {at}"
            named = " ".join(each.what for each in found.remains)
            assert [name for name in world.own if name not in named] == []
            assert f"deployment {SPARE}" in named or is_free(world)
            continue
        assert world.is_as_before(), f"{STOPS[kind]} at request {at}"
        assert found is None or found.remains == ()
        if found is not None and STOPS[kind] != "a fault of keyform" and at < 0.9 * requests_of(api):
            assert found.stopped == "interrupted"
            assert not found.is_complete


@pytest.mark.parametrize(("api", "kind", "step"), [*places(1)])
def test_after_a_kill_the_next_live_test_removes_what_is_left(api: str, kind: int, step: int) -> None:
    left = 0
    for at in numbers(api, kind, max(1, step // 2)):
        world = World.make()
        effects = world.effects()

        def before(number: int, _request: httpx.Request, *, at: int = at) -> None:
            if number >= at:
                raise Killed

        effects.before = before
        with pytest.raises(Killed):
            world.ask(api, effects=effects, patience=PATIENCE)
        world.settle()
        keys = world.emulator.live_keys(PROJECT)
        without = [name for name in world.own if not keys[name].description]  # v2: it had just been emptied
        left += len(world.own)
        expected = len(world.own) - len(without)
        again = world.effects()
        plan = world.prepare(again, api)
        assert ([*plan.doubtful], len(plan.leftovers)) == (without, expected)
        found = world.ask(api, effects=again, patience=1.0)
        for name in without:
            world.delete(keys[name].key_id if api == "v2" else name, api)
        assert (found.remains, found.removed, world.is_as_before()) == ((), expected, True), f"killed at request {at}"
    assert left, "some kill leaves something behind"


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize("live", [PUBLIC, SHARED], ids=["public", "shared"])
def test_a_live_test_right_after_a_kill_knows_its_keys_before_the_list_shows_them(api: str, live: Any) -> None:
    """The list of keys lags; a reading of each attached key does not."""
    world = World.make(Modes(lists_lag=3, effect="at_start"), live=live)
    effects = world.effects()
    attached: list[str] = []

    def after(_number: int, request: httpx.Request, given: httpx.Response) -> httpx.Response:
        bound = world.emulator.api_keys_of(PROJECT, "deployment", SPARE)
        if request.method == "PATCH" and any(name.startswith("keyform-doctor-") for name in bound):
            attached.extend(name for name in bound if name.startswith("keyform-doctor-"))
            effects.before = killed
        return given

    def killed(_number: int, _request: httpx.Request) -> None:
        raise Killed

    effects.after = after
    with pytest.raises(Killed):
        world.ask(api, effects=effects, keeps_others=True, patience=PATIENCE)
    plan = world.prepare(world.effects(), api, keeps_others=True)
    assert {made.name for made in plan.leftovers} >= {*attached} != set()
    assert plan.bench.baseline is not None
    assert len(plan.bench.baseline.foreign) == len(live.get("api_keys", []))
    found = world.ask(api, keeps_others=True, patience=1.0)
    assert (found.remains, found.changed_by_others) == ((), ())
    world.settle()
    world.ask(api, keeps_others=True, patience=1.0)
    assert world.is_as_before()


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_a_token_that_may_only_read_makes_nothing_and_says_so(api: str) -> None:
    world = World.make(role="read")
    found = world.ask(api)
    assert world.is_as_before()
    assert found.remains == ()
    reasons = {each.mode: each.reason for each in found.findings}
    assert reasons["expiry_kept"] == "a key could not be made: 403 ForbiddenError"
    assert reasons["past_expiry"] == "POST was answered by 403 ForbiddenError"
    assert {each.mode for each in found.findings if each.verdict is Verdict.DETERMINED} - {"no_keys_shown_as"} == {
        "auth_scheme",
        "unauthorized",
        "foreign_project",
    }


def test_a_task_that_is_stuck_is_named_and_the_deployment_is_put_back() -> None:
    world = World.make()
    held: list[str] = []

    def hold_first(request: Request, proceed: Callable[[Request], Answer]) -> Answer:
        answer = proceed(request)
        if request.method == "PATCH" and "/deployments/" in request.path and not held:
            held.append(answer.json()["tasks"][0])
            world.emulator.hold_task(held[0])
        return answer

    world.emulator.interceptor = hold_first
    found = world.ask(patience=PATIENCE)
    assert [each.what for each in found.remains] == [
        f"a task on deployment {SPARE} has not ended, and may still change its keys"
    ]
    assert world.is_as_before()
    world.emulator.interceptor = None
    world.emulator.release_task(held[0])
    assert world.is_as_before(), "it names keys that are gone by then"


def test_what_cannot_be_put_back_is_named() -> None:
    world = World.make()

    def refuse(request: Request, proceed: Callable[[Request], Answer]) -> Answer:
        if request.method == "PATCH" and "/deployments/" in request.path and b"keyform" not in request.body:
            return Answer(403, {"Content-Type": "application/json"}, refusal(403).content)
        return proceed(request)

    world.emulator.interceptor = refuse
    found = world.ask(patience=PATIENCE)
    world.emulator.interceptor = None
    first, *keys = found.remains
    assert first.what == f"deployment {SPARE} may not be as it was (public, without keys): the API answered 403 Error"
    assert world.own
    assert [name for name in world.own if not any(name in each.what for each in keys)] == []
    reasons = {each.reason for each in found.findings}
    assert "a key that was made could not be deleted, so that no more are made" in reasons
    again = world.ask(patience=1.0)
    assert (again.remains, world.is_as_before()) == ((), True)


def test_a_key_of_others_that_a_write_takes_off_comes_back_and_ends_the_questions() -> None:
    world = World.make(live=SHARED)
    done: list[str] = []

    def drop(request: Request, proceed: Callable[[Request], Answer]) -> Answer:
        if request.method == "PATCH" and "/deployments/" in request.path and not done:
            done.append(request.path)
            body = request.body.replace(b'"another-one",', b"")
            return proceed(Request(request.method, request.path, request.query, request.headers, body))
        return proceed(request)

    world.emulator.interceptor = drop
    found = world.ask(keeps_others=True)
    assert world.is_as_before()
    assert found.remains == ()
    assert "a key of somebody else is gone from the deployment: nothing more is asked of it" in {
        each.reason for each in found.findings
    }


def test_keys_that_others_add_meanwhile_stay() -> None:
    world = World.make(live={**PUBLIC, "api_keys": [{"name": "portal-made"}]})
    path = f"/cloud/v3/inference/{PROJECT}/deployments/{SPARE}"
    added: list[int] = []

    def add(request: Request, proceed: Callable[[Request], Answer]) -> Answer:
        if request.path.startswith("/dataplane") and not added:
            names = [*world.emulator.api_keys_of(PROJECT, "deployment", SPARE), "portal-made"]
            added.append(proceed(Request.build("PATCH", path, token=TOKEN, json_body={"api_keys": names})).status)
            world.settle()
        return proceed(request)

    world.emulator.interceptor = add
    world.ask(patience=PATIENCE)
    world.emulator.interceptor = None
    assert added == [200]
    world.settle()
    assert world.emulator.api_keys_of(PROJECT, "deployment", SPARE) == ("portal-made",)
    assert not world.emulator.accepts(PROJECT, "deployment", SPARE, None)
    assert world.own == []
