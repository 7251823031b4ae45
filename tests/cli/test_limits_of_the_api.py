"""What the API may refuse or show although nothing is wrong: reserved names, quotas, lists that lag, odd names."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from cli.conftest import MakeWorld
from cli.in_process import InProcess
from cli.stage import HEAD, LIVE, ONE_KEY, PROJECT, TOKEN, TWO_KEYS, World

from reconciler.effects import System
from reconciler.emulator import Modes, Request, VirtualClock

APIS = ("v3", "v2")
FILE_LOCK = HEAD + "lock: {type: file}\n"
TWO = "keys:\n  payments:\n    deployments: [llama3]\n  search:\n    deployments: [whisper]\n"


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs keyform in a world."""
    return lambda world: InProcess(world, monkeypatch, capsys)


def words(text: str) -> str:
    return " ".join(text.split())


def of(api: str, text: str) -> str:
    """The file for one generation of the API."""
    return text.replace("version: 1\n", f"version: 1\napi: {api}\n")


# --- Names of deleted keys are reserved -------------------------------------------------------------------------------


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("mode", ["reserved", "reserved_for_an_hour"])
def test_a_key_that_is_removed_and_declared_again_gets_the_next_free_generation(
    make_world: MakeWorld, in_process: Any, api: str, mode: Any
) -> None:
    world = make_world(modes=Modes(deleted_name=mode))
    keyform = in_process(world)
    names = []
    for _ in range(3):
        world.write(of(api, HEAD + TWO))
        assert keyform("apply", "--auto-approve").code == 0
        assert world.bound("llama3") == sorted(["portal-made", *(each for each in world.owned() if "pay" in each)])
        names.append(world.owned()[0])
        world.in_order(keyform)
        assert keyform("plan", "--detailed-exitcode").code == 0
        world.write(of(api, HEAD + TWO.partition("  payments:")[0] + "  search:\n    deployments: [whisper]\n"))
        assert keyform("apply", "--auto-approve").code == 0
        assert world.owned() == ["search"]
        assert world.locks == []
    assert names[:2] == ["payments", "payments-g2"]
    assert names[2] in {f"payments-g{number}" for number in range(3, 7)}


@pytest.mark.parametrize("api", APIS)
def test_a_stack_that_is_destroyed_is_applied_again(make_world: MakeWorld, in_process: Any, api: str) -> None:
    world = make_world(modes=Modes(deleted_name="reserved"))
    keyform = in_process(world)
    world.write(of(api, HEAD + TWO))
    names = set()
    for number in range(1, 6):
        assert keyform("apply", "--auto-approve").code == 0
        names.add(world.owned()[0])
        assert len(names) == number
        world.in_order(keyform)
        assert keyform("destroy", "--auto-approve").code == 0
        assert (world.owned(), world.locks, world.held()) == ([], [], {})


def test_a_rotation_whose_number_is_reserved_takes_a_later_one(make_world: MakeWorld, in_process: Any) -> None:
    world = make_world(modes=Modes(deleted_name="reserved"))
    keyform = in_process(world)
    world.write(ONE_KEY)
    assert keyform("apply", "--auto-approve").code == 0
    path = f"/cloud/v3/inference/{PROJECT}/api_keys"
    for number in range(2, 7):
        ask(world, "POST", path, {"name": f"payments-g{number}"})
        ask(world, "DELETE", f"{path}/payments-g{number}")
    assert keyform("rotate", "payments", "--auto-approve").code == 0
    old, new = sorted(world.owned(), key=len)
    assert (old, int(new.removeprefix("payments-g")) > 6) == ("payments", True)
    assert world.held() == {"PAYMENTS": world.secret_of(new)}
    assert keyform("rotate", "payments", "--auto-approve").code == 0
    newest = f"payments-g{int(new.removeprefix('payments-g')) + 1}"
    assert sorted(world.owned()) == sorted(["payments", new, newest])
    assert world.held() == {"PAYMENTS": world.secret_of(newest)}


def test_a_name_that_somebody_else_took_meanwhile_is_still_an_error(make_world: MakeWorld, in_process: Any) -> None:
    world = make_world(modes=Modes(deleted_name="reserved"))
    keyform = in_process(world)
    world.write(ONE_KEY)
    path = f"/cloud/v3/inference/{PROJECT}/api_keys"

    def meddle(request: Any, proceed: Any) -> Any:
        if request.method == "POST" and request.json()["name"] == "payments":
            world.fail(None)
            ask(world, "POST", path, {"name": "payments"})
        return proceed(request)

    world.fail(meddle)
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "the name payments was taken after the plan was made" in words(ran.out)
    assert (world.owned(), world.held()) == ([], {})


def ask(world: World, method: str, path: str, body: Any = None) -> Any:
    """A request past keyform, which succeeds."""
    answer = world.emulator.respond(Request.build(method, path, token=TOKEN, json_body=body))
    assert answer.status in (200, 204), answer.body
    return answer.json() if answer.body else None


# --- A quota of keys --------------------------------------------------------------------------------------------------

INFO = {
    "counts": " (quota inference_api_key_count_limit, limit 3, usage 3)",
    "nested": " (inference_api_key_count_limit.limit 3, inference_api_key_count_limit.usage 3)",
    "text": " (inference_api_key_count_limit: 3 of 3 used)",
    "missing": "",
}


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("status", [403, 409, 429, 400])
@pytest.mark.parametrize("info", INFO)
def test_a_quota_that_is_used_up_is_named_and_holds_up_only_the_keys_beyond_it(
    make_world: MakeWorld, in_process: Any, api: str, status: Any, info: Any
) -> None:
    world = make_world(modes=Modes(key_quota=3, quota_status=status, quota_info=info))
    keyform = in_process(world)
    keys = "".join(f"  key-{number}:\n    deployments: [llama3]\n" for number in range(3))
    world.write(of(api, f"{FILE_LOCK}keys:\n{keys}"))
    ran = keyform("apply", "--auto-approve", "--parallelism", "1")
    assert ran.code == 1
    said = words(ran.out)
    assert f"A quota is used up{INFO[info]}, so the API refused to create key key-2 (status {status}, request" in said
    assert 'It says: "Quota limit exceeded: inference_api_key_count_limit"' in said
    assert "Project 1234 has 3 live keys, 2 of them of stack shop." in said
    assert "Delete keys that nobody uses, or have the quota raised in the Gcore portal, and run keyform again." in said
    refused = [call for call in world.calls if call.method == "POST" and call.status == status]
    assert len(refused) == 1, "it is asked once"
    assert world.owned() == ["key-0", "key-1"]
    assert world.held() == {f"KEY_{number}": world.secret_of(f"key-{number}") for number in range(2)}
    assert world.bound("llama3") == ["key-0", "key-1", "portal-made"]
    world.write(of(api, f"{FILE_LOCK}keys:\n{keys.partition('  key-1')[1]}{keys.partition('  key-1')[2]}"))
    assert keyform("apply", "--auto-approve", "--parallelism", "1").code == 1
    assert world.owned() == ["key-1"], "what goes, goes, and makes room"
    assert keyform("apply", "--auto-approve").code == 0
    assert keyform("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("api", APIS)
def test_a_rotation_beyond_the_quota_leaves_the_generation_in_use(
    make_world: MakeWorld, in_process: Any, api: str
) -> None:
    world = make_world(modes=Modes(key_quota=3, quota_status=429))
    keyform = in_process(world)
    world.write(of(api, FILE_LOCK + TWO))
    assert keyform("apply", "--auto-approve").code == 0
    held, secrets = world.held(), {name: world.secret_of(name) for name in world.owned()}
    ran = keyform("rotate", "payments", "--auto-approve")
    assert (ran.code, "A quota is used up" in ran.out) == (1, True)
    assert (world.held(), {name: world.secret_of(name) for name in world.owned()}) == (held, secrets)
    assert keyform("verify").code == 0
    assert keyform("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("status", [403, 409, 429, 400])
def test_a_project_without_room_for_the_lock_names_another_lock(
    make_world: MakeWorld, in_process: Any, status: Any
) -> None:
    live = {**LIVE, "api_keys": [*LIVE["api_keys"], {"name": "second"}, {"name": "third"}]}
    world = make_world(live, modes=Modes(key_quota=3, quota_status=status))
    keyform = in_process(world)
    world.write(ONE_KEY)
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert words(ran.err.partition("Error:")[2]).startswith(
        "The lock of stack shop could not be acquired. A quota is used up (quota"
        " inference_api_key_count_limit, limit 3,"
        f" usage 3), so the API refused to create key keyform-lock-shop-e1 (status {status}, request"
    )
    assert "and run keyform again. Or use another lock: `lock: {type: file}`." in words(ran.err)
    assert len([call for call in world.calls if call.method == "POST"]) == 1
    assert world.live_names() == ["portal-made", "second", "third"]


# --- Lists that lag ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", APIS)
def test_lists_that_lag_are_waited_for(
    make_world: MakeWorld, in_process: Any, monkeypatch: pytest.MonkeyPatch, api: str
) -> None:
    clock = VirtualClock()
    world = make_world(clock=clock, modes=Modes(lists_lag=3))
    keyform = in_process(world)
    wait = System.sleep

    def sleep(effects: System, seconds: float) -> None:
        clock.advance(seconds)
        wait(effects, seconds)

    monkeypatch.setattr(System, "sleep", sleep)
    monkeypatch.setattr(System, "now", lambda effects: clock.now())
    for text in (TWO, TWO.replace("[llama3]", "[llama3, whisper]"), TWO.replace("payments", "batch")):
        world.write(of(api, HEAD + text))
        ran = keyform("apply", "--auto-approve")
        assert ran.code == 0, ran.out + ran.err
        clock.advance(3)
        assert keyform("plan", "--detailed-exitcode").code == 0
        clock.advance(100_000)  # past the overlap
        assert keyform("apply", "--auto-approve").code == 0
        clock.advance(3)
        world.in_order(keyform)


# --- Applications of any name -----------------------------------------------------------------------------------------

ODD = ("Chat.UI v2", "UPPER", "a" * 100, "ünï<b>&|`*_", "\u202eevil", "..", "a?b#c%20", "application.webui")


@pytest.fixture
def odd(make_world: MakeWorld) -> World:
    """A project with applications of odd names; a foreign key opens each."""
    applications = [
        {"name": name, "application_name": "chat", "api_keys": ["portal-made"], "components": {f"c{number}": None}}
        for number, name in enumerate(ODD)
    ]
    live = {**LIVE, "applications": [*LIVE["applications"], *applications]}
    return make_world(live, modes=Modes(application_name="free"))


def test_applications_of_any_name_are_in_nobodys_way(odd: World, in_process: Any) -> None:
    keyform = in_process(odd)
    odd.write(TWO_KEYS)
    assert keyform("plan").code == 0
    assert keyform("apply", "--auto-approve").code == 0
    assert keyform("plan", "--detailed-exitcode").code == 0
    for command in ("status", "verify"):
        ran = keyform(command)
        assert ran.code == 0, ran.out + ran.err
        assert "\u202e" not in ran.out + ran.err
    for argv in (("status", "--format", "html"), ("plan", "--json"), ("status", "--json"), ("verify", "--json")):
        ran = keyform(*argv)
        assert ran.code == 0, ran.out + ran.err
        assert "<b>&|" not in ran.out or "--json" in argv
    assert all(odd.bound(name, "application") == ["portal-made"] for name in ODD)
    odd.in_order(keyform)


def test_a_key_that_somebody_bound_to_an_application_of_an_odd_name_is_taken_off_it(
    odd: World, in_process: Any
) -> None:
    keyform = in_process(odd)
    odd.write(ONE_KEY)
    assert keyform("apply", "--auto-approve").code == 0
    reachable = [name for name in ODD if name != ".."]
    for name in reachable:
        path = f"/cloud/v3/inference/applications/{PROJECT}/deployments/{quote(name, safe='')}"
        ask(odd, "PATCH", path, {"api_keys": ["portal-made", "payments"]})
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0, ran.out + ran.err
    assert all(odd.bound(name, "application") == ["portal-made"] for name in ODD)
    assert keyform("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("name", ["Chat.UI v2", "UPPER", "a" * 100])
def test_a_file_that_names_an_application_of_an_odd_name_is_told_where_and_why(
    odd: World, in_process: Any, name: str
) -> None:
    keyform = in_process(odd)
    odd.write(HEAD + f"keys:\n  payments:\n    applications: [{json.dumps(name)}]\n")
    ran = keyform("plan")
    assert ran.code == 1
    assert "keyform.yaml:10:20: keys.payments.applications[0]:" in ran.err
    assert "must be the name of an application" in words(ran.err)
