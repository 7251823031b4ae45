"""An API that does something other than it says, a portal that removes markers, and runs that continue too late."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.http_fakes import PROJECT, START, TOKEN
from support.states import NOW, days, declared, desired, endpoint, key, live, snapshot
from support.worlds import STACK, World, WorldEffects, apply_locked, states

from reconciler.api import KeyUpdate
from reconciler.apply.api_lock import GRACE, LIFETIME
from reconciler.emulator import Answer, Modes, Request
from reconciler.model import Auth
from reconciler.plan import compute_plan
from reconciler.plan.changes import Plan, Unbind
from reconciler.plan.outcomes import OutcomeState

LIVE = {
    "api_keys": [{"name": "portal-made"}],
    "deployments": [
        {"name": "llama3", "image": "demo/llama3", "api_keys": ["portal-made"]},
        {"name": "whisper", "image": "demo/whisper", "api_keys": []},
    ],
}
LONG = (LIFETIME + GRACE + timedelta(minutes=1)).total_seconds()
Proceed = Callable[[Request], Answer]
Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, LIVE, task_seconds=0)


def is_create(request: Request) -> bool:
    return request.method == "POST" and request.path.endswith("/api_keys")


def is_list_of_deployments(request: Request) -> bool:
    ending = f"/inference/{PROJECT}/deployments"
    return request.method == "GET" and request.path.endswith(ending)


def edited(answer: Answer, edit: Edit) -> Answer:
    """The same answer, with its object changed."""
    found = answer.json()
    edit(found)
    return Answer(answer.status, answer.headers, json.dumps(found).encode())


def cut_by(plan: Plan) -> set[str]:
    """Every live name that a plan takes off an endpoint."""
    return {change.live.name for change in plan.changes if isinstance(change, Unbind)}


# --- Writes that the API takes otherwise than they were meant ---------------------------------------------------------


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("fraction", [".123456Z", ".999999Z"])
def test_a_create_that_tells_its_instant_more_exactly_than_the_list_begins_no_rotation(
    world: World, fraction: str
) -> None:
    def intercept(request: Request, proceed: Proceed) -> Answer:
        answer = proceed(request)
        if not is_create(request):
            return answer
        return edited(answer, lambda made: made.update(created_at=made["created_at"].replace("Z", fraction)))

    world.emulator.interceptor = intercept
    file = desired(key("payments", "llama3"))
    assert world.apply(file).complete
    for _ in range(5):
        world.clock.advance(3600)
        assert world.apply(file).outcomes == ()
    assert world.live_names() == ["payments", "portal-made"]


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"expires_at": START + days(365)}, id="of its own"),
        pytest.param({"lifetime": days(30)}, id="from a lifetime"),
    ],
)
@pytest.mark.parametrize("given", [None, "2026-11-21T12:00:00Z", "9999-12-31T23:59:59Z"])
def test_an_expiry_that_the_api_does_not_keep_begins_no_rotation(world: World, asked: Any, given: str | None) -> None:
    def intercept(request: Request, proceed: Proceed) -> Answer:
        if is_create(request):
            body = {**json.loads(request.body), "expires_at": given}
            body = {name: value for name, value in body.items() if value is not None}
            request = replace(request, body=json.dumps(body).encode())
        return proceed(request)

    world.emulator.interceptor = intercept
    for _ in range(6):
        result = world.apply(desired(key("payments", "llama3", **asked)))
        assert states(result)["create_generation payments"] is OutcomeState.FAILED
        world.clock.advance(3600)
    assert world.live_names() == ["portal-made"]
    assert world.held("payments") is None


def shown_in_readings(world: World, shown: dict[str, Any]) -> None:
    """Let every reading show this of the key search, whatever the create was answered with."""

    def show(answer: dict[str, Any]) -> None:
        for each in answer.get("results", [answer]):
            if each["name"].startswith("search"):
                each.update(shown)

    world.emulator.interceptor = lambda request, proceed: (
        edited(proceed(request), show) if request.method == "GET" and "/api_keys" in request.path else proceed(request)
    )


@pytest.mark.attack("API or proxy")
def test_a_key_that_is_shown_with_another_expiry_than_it_was_made_is_never_published(world: World) -> None:
    assert world.apply(desired(key("payments", "llama3"))).complete
    held = world.held("payments")
    shown_in_readings(world, {"expires_at": None})
    for _ in range(4):
        asked = key("search", "llama3", expires_at=START + days(365))
        result = world.apply(desired(key("payments", "llama3"), asked))
        assert states(result)["create_generation search"] is OutcomeState.FAILED
        assert world.live_names() == ["payments", "portal-made"], "it is deleted again"
    assert world.held("payments") == held
    assert world.held("search") is None


@pytest.mark.attack("API or proxy")
def test_a_key_that_is_shown_with_another_time_than_it_was_made_at_is_made_once(world: World) -> None:
    """The server's rendering is not an identity: the record has to match what readings show."""
    shown_in_readings(world, {"created_at": "2026-11-21T08:00:00Z"})
    file = desired(key("search", "llama3"))
    assert world.apply(file).complete
    held = world.held("search")
    for _ in range(2):
        assert world.apply(file).plan.is_empty
    assert world.held("search") == held


@pytest.mark.attack("API or proxy")
def test_a_key_that_was_made_without_its_marker_is_not_left_behind(world: World) -> None:
    def intercept(request: Request, proceed: Proceed) -> Answer:
        if is_create(request):
            body = {**json.loads(request.body), "description": "tidied"}
            request = replace(request, body=json.dumps(body).encode())
        return proceed(request)

    world.emulator.interceptor = intercept
    result = world.apply(desired(key("payments", "llama3")))
    assert states(result)["create_generation payments"] is OutcomeState.FAILED
    assert world.live_names() == ["portal-made"]
    assert world.bound("llama3") == ["portal-made"]


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("name", ["..", "."])
def test_an_endpoint_that_no_path_leads_to_ends_in_no_traceback(world: World, name: str) -> None:
    file = desired(key("payments", "llama3"))
    world.apply(file)

    def add(page: dict[str, Any]) -> None:
        page["results"].append({**page["results"][0], "name": name, "api_keys": ["payments", "portal-made"]})
        page["count"] += 1

    world.emulator.interceptor = lambda request, proceed: (
        edited(proceed(request), add) if is_list_of_deployments(request) else proceed(request)
    )
    result = world.apply(file)
    assert states(result) == {f"unbind payments deployment.{name}": OutcomeState.FAILED}


# --- Authentication that is off although keys are listed --------------------------------------------------------------


def turn_off(world: World, deployment: str) -> None:
    """Somebody turns authentication off in the portal, and the keys stay listed."""
    path = f"/cloud/v3/inference/{PROJECT}/deployments/{deployment}"
    request = Request.build("PATCH", path, token=TOKEN, json_body={"auth_enabled": False})
    assert world.emulator.respond(request).status == 200
    world.clock.advance(10)


@pytest.fixture
def off(tmp_path: Path) -> World:
    """A world in which whisper has our key, and its authentication was turned off in the portal."""
    world = World(tmp_path, LIVE, task_seconds=0, modes=Modes(auth_disabled="keeps_keys"))
    assert world.apply(desired(key("payments", "whisper"))).complete
    turn_off(world, "whisper")
    return world


@pytest.mark.attack("project member")
def test_the_last_key_stays_where_authentication_was_turned_off_in_the_portal(off: World) -> None:
    result = off.apply(desired(key("payments")))
    assert ["without a valid key" in finding.message for finding in result.plan.unmet] == [True]
    assert off.bound("whisper") == ["payments"]


@pytest.mark.attack("project member")
def test_where_the_file_says_open_the_last_key_goes_all_the_same(off: World) -> None:
    file = desired(key("payments"), endpoints=[declared("whisper", Auth.OPEN)])
    assert off.apply(file).complete
    assert off.bound("whisper") == []
    assert off.converges(file)


@pytest.mark.attack("API or proxy")
def test_a_flag_that_flips_while_an_apply_runs_leaves_no_endpoint_without_a_valid_key(world: World) -> None:
    assert world.apply(desired(key("payments", "whisper"))).complete
    file = desired(key("payments"), key("search", "whisper"))
    plan = world.plan(file)

    def intercept(request: Request, proceed: Proceed) -> Answer:
        if is_create(request) and b"keyform 2 prod/search" in request.body:
            return Answer(403, {}, b'{"exception_class": "ForbiddenError", "message": "no"}')
        answer = proceed(request)
        if request.method == "GET" and request.path.endswith("/deployments/whisper"):
            return edited(answer, lambda shown: shown.update(auth_enabled=False))
        return answer

    world.emulator.interceptor = intercept
    assert not world.apply(file, plan=plan).complete
    assert world.bound("whisper") == ["payments"]


# --- Keys on an exclusive endpoint ------------------------------------------------------------------------------------

EXCLUSIVE = [declared("llama3", exclusive=True)]


@pytest.mark.attack("project member")
def test_a_marker_that_is_taken_off_cuts_no_consumer_of_what_the_sink_holds() -> None:
    current = live("payments-g2", of="payments", generation=2)
    world = snapshot(current, endpoint("llama3", "payments-g2"), held=["payments-g2"])
    bare = replace(world, keys=(replace(current, ownership=None),))
    plan = compute_plan(desired(key("payments", "llama3"), endpoints=EXCLUSIVE), bare, NOW)
    assert [str(change.id) for change in plan.changes] == ["update_key payments-g2"], plan.unmet
    assert plan.changes[0].reason.code == "marker_is_restored"
    assert plan.unmet == ()
    assert (
        "payments-g2" in compute_plan(desired(key("search", "llama3"), endpoints=EXCLUSIVE), bare, NOW).unmet[0].message
    )


@pytest.mark.attack("project member")
def test_a_marker_that_is_taken_off_ends_no_overlap() -> None:
    older = replace(live("payments", of="payments"), ownership=None)
    newer = live("payments-g2", of="payments", generation=2, since=NOW - timedelta(hours=1))
    world = snapshot(older, newer, endpoint("llama3", "payments", "payments-g2"), held=["payments-g2"])
    file = desired(key("payments", "llama3", overlap=days(7)), endpoints=EXCLUSIVE)
    plan = compute_plan(file, world, NOW)
    assert cut_by(plan) == set()
    assert len(plan.unmet) == 1
    named = (replace(EXCLUSIVE[0], exclusive_stacks=(STACK,)),)
    assert cut_by(compute_plan(replace(file, endpoints=named), world, NOW)) == set(), "not even by its own name"
    over = desired(key("payments", "llama3", overlap=timedelta(minutes=30)), endpoints=named)
    assert cut_by(compute_plan(over, world, NOW)) == {"payments"}


@pytest.mark.attack("API or proxy")
def test_a_key_that_the_list_of_keys_does_not_show_is_nobodys_to_cut() -> None:
    """The two lists are read side by side: a key that another stack has made and bound in between is in one alone."""
    world = snapshot(live("payments", of="payments"), endpoint("llama3", "payments", "search"), held=["payments"])
    plan = compute_plan(desired(key("payments", "llama3"), endpoints=EXCLUSIVE), world, NOW)
    assert plan.changes == ()
    assert "search" in plan.unmet[0].message
    missing = replace(world, keys=())
    assert cut_by(compute_plan(desired(key("payments", "llama3"), endpoints=EXCLUSIVE), missing, NOW)) == set()


@pytest.mark.attack("project member")
def test_a_thousand_forged_markers_are_listed_in_part() -> None:
    forged = [live(f"portal-{number}", of="payments") for number in range(1000)]
    names = [each.name for each in forged]
    world = snapshot(
        live("payments", of="payments"), *forged, endpoint("llama3", "payments", *names), held=["payments"]
    )
    plan = compute_plan(desired(key("payments", "llama3"), endpoints=EXCLUSIVE), world, NOW)
    assert len(plan.warnings) == len(plan.unmet) == 21
    assert "980 more" in plan.warnings[-1].sentence
    assert "980 more" in plan.unmet[-1].message


# --- A request that is sent again once the lock is gone ---------------------------------------------------------------


class Late(WorldEffects):
    """A process that is stopped while it waits to send a request again."""

    def __init__(self, world: World, meanwhile: Callable[[], None]) -> None:
        super().__init__(world.emulator)
        self.world = world
        self.meanwhile = meanwhile
        self.is_stopped = False

    def random(self) -> float:
        return 0.9

    def fail_once(self, method: str, name: str) -> list[Request]:
        """The first such request meets a 500; those that are sent after the stop are gathered."""
        sent_late: list[Request] = []
        failed: list[Request] = []

        def intercept(request: Request, proceed: Proceed) -> Answer:
            if request.method == method and request.path.endswith(name):
                if not failed:
                    failed.append(request)
                    self.is_stopped = True
                    return Answer(500, {}, b'{"exception_class": "Error", "message": "later"}')
                sent_late.append(request)
            return proceed(request)

        self.world.emulator.interceptor = intercept
        return sent_late

    def sleep(self, seconds: float) -> None:
        if self.is_stopped:
            self.is_stopped = False
            self.world.clock.advance(LONG)
            hook, self.world.emulator.interceptor = self.world.emulator.interceptor, None
            for name in [each for each in self.world.live_names() if each.startswith("keyform-lock-")]:
                self.world.api.delete_key(name)
            self.meanwhile()
            self.world.emulator.interceptor = hook
        super().sleep(seconds)


@pytest.mark.attack("project member")
def test_a_key_is_not_deleted_again_by_a_run_that_lost_its_lock(world: World) -> None:
    assert world.apply(desired(key("payments", "llama3"), key("search", "llama3"))).complete

    def meanwhile() -> None:
        assert world.apply(desired(key("payments", "llama3"))).complete
        world.api.create_key("search", "[keyform prod/search g1 pending 2026-11-21T10:30:00Z]", None)

    late = Late(world, meanwhile)
    sent = late.fail_once("DELETE", "/api_keys/search")
    result = apply_locked(world, desired(key("payments", "llama3")), late)
    assert sent == []
    assert "search" in world.live_names()
    assert states(result)["delete_key search"] is OutcomeState.UNKNOWN


@pytest.mark.attack("project member")
def test_a_description_is_not_written_again_by_a_run_that_lost_its_lock(world: World) -> None:
    leaked = "[keyform prod/payments g1 revoked 2026-11-21T10:20:00Z]"
    late = Late(world, lambda: world.api.update_key("payments", KeyUpdate(leaked)))
    sent = late.fail_once("PATCH", "/api_keys/payments")
    result = apply_locked(world, desired(key("payments", "llama3")), late)
    assert sent == []
    assert world.emulator.live_keys(PROJECT)["payments"].description == leaked
    assert states(result)["publish payments"] is OutcomeState.UNKNOWN


@pytest.mark.attack("project member")
def test_a_run_that_was_stopped_right_before_it_saves_overwrites_no_newer_secret(world: World) -> None:
    """Stopped after its last look at the lock, before the file is locked: while another run does all of the work."""
    file = desired(key("payments", "llama3"))

    class Stopped(Late):
        def lock_folder(self, path: Path) -> int:
            if self.world.held("payments") is None and self.world.bound("llama3") == ["payments", "portal-made"]:
                self.is_stopped = True
                self.sleep(0)
            return super().lock_folder(path)

    def meanwhile() -> None:
        assert world.apply(file).complete

    result = apply_locked(world, file, Stopped(world, meanwhile))
    assert not result.complete
    assert world.live_names() == ["payments-g2", "portal-made"]
    assert world.held("payments") == world.secret_of("payments-g2")
    assert world.accepts("llama3", world.held("payments"))
