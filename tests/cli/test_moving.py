"""`moved` and `forget`, as a team uses them: over HTTP, with consumers that keep calling."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from cli.conftest import Keyform, MakeWorld
from cli.in_process import InProcess
from cli.stage import HEAD, LIVE, PROJECT, TOKEN, World
from support.http_fakes import START

from reconciler.emulator import Request, VirtualClock

V2 = {"api_keys": LIVE["api_keys"], "deployments": LIVE["deployments"]}


@pytest.fixture(params=["v3", "v2"])
def api(request: pytest.FixtureRequest) -> str:
    """Each generation of the API."""
    return str(request.param)


@pytest.fixture
def clock() -> VirtualClock:
    """The API's clock."""
    return VirtualClock(START)


@pytest.fixture
def world(make_world: MakeWorld, clock: VirtualClock) -> World:
    """Two deployments, and a clock that a test turns."""
    return make_world(V2, clock=clock)


def file(api: str, text: str, stack: str = "shop") -> str:
    """A configuration with these lines at its end."""
    return HEAD.replace("stack: shop", f"stack: {stack}").replace("version: 1\n", f"version: 1\napi: {api}\n") + text


def apply(keyform: Keyform, world: World, text: str) -> str:
    """Apply a file, see that a second time does nothing, and give what the first said."""
    world.write(text)
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0, ran.out + ran.err
    writes = list(world.writes)
    assert keyform("apply", "--auto-approve").code == 0
    assert world.writes == writes
    return ran.out


def test_a_renamed_key_cuts_nobody(world: World, keyform: Keyform, clock: VirtualClock, api: str) -> None:
    apply(keyform, world, file(api, "keys: {payments: {description: Checkout, deployments: [llama3, whisper]}}\n"))
    old = world.secret_of("payments")
    renamed = "keys: {checkout: {deployments: [llama3, whisper], rotation: {overlap: 7d}}}\n"
    said = apply(keyform, world, file(api, renamed + "moved: [{from: payments, to: checkout}]\n"))
    assert "Plan: 1 to add, 1 to change, 0 to rotate, 0 to destroy." in said
    new = world.secret_of("checkout")
    assert world.held() == {"PAYMENTS": old, "CHECKOUT": new}
    for _ in range(2):  # the entry in the file can go
        assert all(world.opens(name, secret) for name in ("llama3", "whisper") for secret in (old, new))
        world.write(file(api, renamed))
        assert keyform("plan", "--detailed-exitcode").code == 0
        clock.advance(3 * 86400)
    table = keyform("status").out
    assert "now checkout" in table
    clock.advance(2 * 86400)
    apply(keyform, world, file(api, renamed))
    assert world.held() == {"CHECKOUT": new}
    assert world.owned() == ["checkout"]
    assert not world.opens("llama3", old)


def test_a_renamed_stack_keeps_its_keys_its_secrets_and_its_sinks(world: World, keyform: Keyform, api: str) -> None:
    keys = "keys: {payments: {deployments: [llama3]}, search: {sink: [local, jobs], prevent_destroy: true}}\n"
    apply(keyform, world, file(api, keys))
    held = world.held(), world.held("jobs.json")
    said = apply(keyform, world, file(api, keys + "moved: [{from: stack.shop, to: stack.office}]\n", "office"))
    assert "Plan: 0 to add, 2 to change, 0 to rotate, 0 to destroy." in said
    assert (world.held(), world.held("jobs.json")) == held
    assert world.owned("shop") == []
    assert world.owned("office") == ["payments", "search"]
    assert "shop" not in (world.folder / "secrets.env").read_text() + (world.folder / "jobs.json").read_text()
    world.write(file(api, keys, "office"))
    assert keyform("plan", "--detailed-exitcode").code == 0
    world.write(file(api, keys, "shop"))
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1, "a pipeline with the old name is held up, and changes nothing"
    assert world.owned("office") == ["payments", "search"]
    assert (world.held(), world.held("jobs.json")) == held


def test_a_stack_is_not_renamed_while_another_run_has_the_lock_of_its_former_name(
    world: World, keyform: Keyform, api: str
) -> None:
    apply(keyform, world, file(api, "keys: {payments: {deployments: [llama3]}}\n"))
    world.write(
        file(
            api, "keys: {payments: {deployments: [llama3]}}\nmoved: [{from: stack.shop, to: stack.office}]\n", "office"
        )
    )
    path = f"/cloud/v3/inference/{PROJECT}/api_keys"
    body = {
        "name": "keyform-lock-shop-e1",
        "description": "held by ci@elsewhere since 2026-11-21T10:00:00Z [keyform-lock 8f3a]",
        "expires_at": (START + timedelta(minutes=10)).isoformat(),
    }
    assert world.emulator.respond(Request.build("POST", path, token=TOKEN, json_body=body)).status == 200
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "The stack shop is locked by ci@elsewhere" in ran.err
    assert world.owned("shop") == ["payments"]
    assert world.locks == ["keyform-lock-shop-e1"]


def test_a_key_goes_from_one_stack_to_another_and_back(world: World, keyform: Keyform, api: str) -> None:
    shop = "keys: {payments: {description: Checkout, deployments: [llama3]}, search: {}}\n"
    apply(keyform, world, file(api, shop))
    secret = world.secret_of("payments")
    said = apply(keyform, world, file(api, "keys: {search: {}}\nforget: [payments]\n"))
    assert "1 to forget" in said
    assert world.held()["PAYMENTS"] == secret
    assert world.opens("llama3", secret)
    world.write(file(api, "keys: {search: {}}\n"))
    assert keyform("plan", "--detailed-exitcode").code == 0
    take = "keys: {payments: {deployments: [llama3]}}\nmoved: [{from: shop/payments, to: payments}]\n"
    said = apply(keyform, world, file(api, take, "office"))
    assert "Plan: 0 to add, 1 to change, 0 to rotate, 0 to destroy." in said
    assert world.secret_of("payments") == secret == world.held()["PAYMENTS"], "the same sink: the secret is known"
    assert world.owned("office") == ["payments"]
    world.write(file(api, "keys: {payments: {deployments: [llama3]}}\n", "office"))
    assert keyform("plan", "--detailed-exitcode").code == 0
    assert "Checkout" in (world.emulator.live_keys(PROJECT)["payments"].description or "")
    apply(keyform, world, file(api, "forget: [payments]\n", "office"))
    back = "keys: {payments: {deployments: [llama3]}, search: {}}\nmoved: [{from: office/payments, to: payments}]\n"
    apply(keyform, world, file(api, back))
    assert world.held()["PAYMENTS"] == secret
    assert world.owned("shop") == ["payments", "search"]


def test_a_key_that_was_forgotten_can_be_taken_back(world: World, keyform: Keyform, api: str) -> None:
    apply(keyform, world, file(api, "keys: {payments: {deployments: [llama3]}}\n"))
    secret = world.secret_of("payments")
    apply(keyform, world, file(api, "forget: [payments]\n"))
    world.write(file(api, "keys: {payments: {deployments: [llama3]}}\n"))
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "To take it over, write `adopt: NAME` on the key" in ran.err
    apply(keyform, world, file(api, "keys: {payments: {deployments: [llama3], adopt: payments}}\n"))
    assert world.held()["PAYMENTS"] == secret
    assert world.secret_of("payments") == secret


def test_destroy_of_an_endpoints_only_key_has_ways_that_work(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], api: str
) -> None:
    live = {"api_keys": [], "deployments": [{"name": "solo", "image": "demo/solo", "auth_enabled": True}]}
    for way in ("forget", "open"):
        world = make_world(live)
        keyform = InProcess(world, monkeypatch, capsys)
        keys = "keys: {payments: {deployments: [solo]}}\n"
        apply(keyform, world, file(api, keys))
        secret = world.secret_of("payments")
        ran = keyform("destroy", "--auto-approve")
        assert ran.code == 1
        assert "`forget: [payments]`" in ran.err
        assert "`auth: open`" in ran.err
        assert world.opens("solo", secret)
        opening = "keys: {payments: {}}\ndeployments: {solo: {auth: open}}\n"
        world.write(file(api, "forget: [payments]\n" if way == "forget" else opening))
        ran = keyform("destroy", "--auto-approve")
        assert ran.code == 0, ran.err
        assert world.owned() == []
        assert world.opens("solo", secret)
        assert world.opens("solo", None) is (way == "open")


def test_the_json_plan_names_what_is_forgotten_and_what_it_was_called(world: World, keyform: Keyform) -> None:
    apply(keyform, world, file("v3", "keys: {payments: {deployments: [llama3]}, search: {}}\n"))
    text = "keys: {checkout: {deployments: [llama3]}}\nmoved: [{from: payments, to: checkout}]\nforget: [search]\n"
    world.write(file("v3", text))
    plan = json.loads(keyform("plan", "--json").out)
    found = {each["address"]: each for each in plan["resource_changes"]}
    assert found["key.search"]["change"]["actions"] == ["forget"]
    assert found["key.search"]["change"]["after"] is None
    assert found["key.checkout"]["previous_address"] == "key.payments"
    assert "previous_address" not in found["key.search"]
