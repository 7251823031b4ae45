"""`api: v2`: what a user of the older generation of the API sees, where that differs from v3."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cli.conftest import Keyform, MakeWorld
from cli.faults import always, on, refusal
from cli.in_process import InProcess
from cli.stage import HEAD, LIVE, ONE_KEY, PROJECT, TWO_KEYS, Proceed, World

from reconciler.emulator import Answer, Modes, Request

OLDER = HEAD.replace("version: 1\n", "version: 1\napi: v2\n")
NEVER_SWITCHED = "keyform never replaces a deployment to switch it"
DEPLOYMENTS: dict[str, Any] = {"api_keys": LIVE["api_keys"], "deployments": LIVE["deployments"]}


def key(name: str, **fields: str) -> str:
    """A line of a file."""
    said = ", ".join(f"{field}: {value}" for field, value in fields.items())
    return f"  {name}: {{{said}}}\n"


ONE = OLDER + "keys:\n" + key("payments", deployments="[llama3]")


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs keyform in a world."""
    return lambda world: InProcess(world, monkeypatch, capsys)


def test_validate_tells_what_the_file_asks_for_in_vain(world: World, keyform: Keyform) -> None:
    world.write(ONE + "deployments:\n  llama3: {auth: required}\n  whisper: {auth: open}\n  flux: {exclusive: true}\n")
    ran = keyform("validate")
    assert (ran.code, ran.out) == (0, "Valid: stack shop declares 1 key, 3 endpoints and 2 sinks.\n")
    notes = ran.err.splitlines()
    assert [note.partition(": `")[0] for note in notes] == ["note: deployment.llama3", "note: deployment.whisper"]
    assert all(note.endswith(f"; {NEVER_SWITCHED}.") for note in notes)
    assert world.calls == []
    world.write(ONE_KEY + "deployments:\n  llama3: {auth: required}\n")
    assert keyform("validate").err == "", "v3 does all of it"


def test_the_generation_may_change_and_nothing_else_does(world: World, keyform: Keyform) -> None:
    file = TWO_KEYS.replace("    applications: [webui]\n", "")
    world.write(file)
    assert keyform("apply", "--auto-approve").code == 0
    for api in ("v2", "v3"):
        world.write(
            TWO_KEYS.replace("    applications: [webui]\n", "").replace("version: 1\n", f"version: 1\napi: {api}\n")
        )
        world.in_order(keyform)


def test_an_expiry_changes_in_place_and_its_secret_stays(world: World, keyform: Keyform) -> None:
    world.write(ONE)
    assert keyform("apply", "--auto-approve").code == 0
    secret = world.secret_of("payments")
    for expiry, instant in (("2099-01-31", datetime(2099, 1, 31, tzinfo=UTC)), ("never", None)):
        world.write(OLDER + "keys:\n" + key("payments", deployments="[llama3]", expires_at=expiry))
        ran = keyform("apply", "--auto-approve")
        assert ran.code == 0
        assert "Plan: 0 to add, 1 to change, 0 to rotate, 0 to destroy." in ran.out
        assert "    ~ key.payments   expires_at differs\n" in ran.out
        assert world.emulator.live_keys(PROJECT)["payments"].expires_at == instant
    assert world.secret_of("payments") == secret == world.held()["PAYMENTS"]
    world.in_order(keyform)


def test_an_expiry_that_does_not_go_has_a_way_out(make_world: MakeWorld, in_process: Any) -> None:
    world = make_world(DEPLOYMENTS, modes=Modes(patch_null="unchanged"))
    keyform = in_process(world)
    world.write(OLDER + "keys:\n" + key("payments", deployments="[llama3]", expires_at="2099-01-31"))
    assert keyform("apply", "--auto-approve").code == 0
    world.write(ONE)
    ran = keyform("apply", "--auto-approve")
    said = " ".join(ran.out.split())
    assert ran.code == 1
    assert (
        "why: The API did not keep the expires_at that was sent for key payments (asked: never, kept:"
        " 2099-01-31T00:00:00Z). The previous content was restored." in said
    )
    assert "fix: Rotate the key, with `keyform rotate`: the new generation never expires." in said
    assert keyform("rotate", "payments", "--auto-approve").code == 0
    assert world.emulator.live_keys(PROJECT)["payments-g2"].expires_at is None


def test_a_live_key_of_any_name_is_adopted(make_world: MakeWorld, in_process: Any) -> None:
    name = "my." + "very-" * 20 + "old.key"
    live = {**DEPLOYMENTS, "api_keys": [*DEPLOYMENTS["api_keys"], {"name": "aaaa"}]}
    world = make_world(live, modes=Modes(key_name_patch="renames"))
    keyform = in_process(world)
    with world.emulator.editing() as store:
        store.run("UPDATE keys SET name = ? WHERE name = 'aaaa'", name)
    world.write(OLDER + "keys:\n" + key("payments", adopt=name, deployments="[llama3]"))
    assert keyform("apply", "--auto-approve").code == 0
    assert world.owned() == [name]
    assert world.bound("llama3") == sorted([name, "portal-made"])
    assert keyform("rotate", "payments", "--auto-approve").code == 0
    assert world.held()["PAYMENTS"] == world.secret_of("payments-g2")


def test_two_deployments_of_a_name_are_told_apart_by_their_ids(make_world: MakeWorld, in_process: Any) -> None:
    twin = {"name": "llama3", "image": "demo/llama3", "api_keys": ["portal-made"]}
    live = {**DEPLOYMENTS, "deployments": [*DEPLOYMENTS["deployments"], twin]}
    world = make_world(live, modes=Modes(twin_deployments="allowed"))
    keyform = in_process(world)
    world.write(ONE)
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "keys.payments.deployments[0]: there are 2 deployments llama3\n    name it by its id: " in ran.err
    assert world.writes == []
    ids = ran.err.split("name it by its id: ")[1].split("\n")[0].split(" or ")
    world.write(ONE.replace("[llama3]", f"[{ids[0]}]"))
    assert keyform("apply", "--auto-approve").code == 0
    endpoints = {each["name"]: each for each in keyform("status", "--json").json["endpoints"]}
    assert {name: endpoint["alias"] for name, endpoint in endpoints.items()} == {
        ids[0]: "llama3",
        ids[1]: "llama3",
        "whisper": None,
    }
    assert (endpoints[ids[0]]["keys"], endpoints[ids[1]]["keys"]) == (["payments"], [])
    assert keyform("plan", "--detailed-exitcode").code == 0
    assert "llama3" in keyform("status").out
    assert keyform("verify").code == 0


def test_a_deployment_that_stays_public_is_told_and_turned_on_in_the_portal(
    make_world: MakeWorld, in_process: Any
) -> None:
    live = {**DEPLOYMENTS, "deployments": [*DEPLOYMENTS["deployments"], {"name": "public", "image": "demo/public"}]}
    world = make_world(live, modes=Modes(first_key_linked="auth_unchanged"))
    keyform = in_process(world)
    file = ONE.replace("[llama3]", "[llama3, public]")
    world.write(file + "deployments:\n  public: {auth: required}\n")
    ran = keyform("apply", "--auto-approve")
    said = " ".join(ran.out.split())
    assert ran.code == 1
    assert "binding a key may turn its authentication on: apply reports it if not" in said
    assert "deployment.public has the key payments now, but is still public" in said
    assert "fix: turn its authentication on in the portal, and run apply again" in said
    assert world.held() == {}
    world.write(file)
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0, "the file does not ask for it"
    assert "is public: although keys are bound to it" in " ".join(keyform("plan").out.split())
    world.write(file + "deployments:\n  public: {auth: required}\n")
    ran = keyform("plan")
    assert ran.code == 1
    assert "is declared `auth: required`, but it is public, although keys are bound to it" in " ".join(ran.out.split())
    with world.emulator.editing() as store:
        store.run("UPDATE deployments SET auth_enabled = 1 WHERE name = 'public'")
    assert keyform("apply", "--auto-approve").code == 0


def test_a_key_that_is_not_active_is_told(make_world: MakeWorld, in_process: Any) -> None:
    world = make_world(DEPLOYMENTS, modes=Modes(key_status="tells_expiry"))
    keyform = in_process(world)
    world.write(ONE)
    assert keyform("apply", "--auto-approve").code == 0
    with world.emulator.editing() as store:
        store.run("UPDATE keys SET expires_at = 0 WHERE name = 'payments'")
    assert "the API reports payments as 'EXPIRED'" in " ".join(keyform("plan").out.split())
    assert "1 live key is not active according to the API: payments (EXPIRED)" in keyform("status").out
    assert keyform("status", "--json").json["inactive_live_keys"] == ["payments (EXPIRED)"]


def test_a_name_that_is_taken_is_told_by_whom_where_the_api_shows_it(world: World, keyform: Keyform) -> None:
    def taken_first(request: Request, proceed: Proceed) -> Answer:
        proceed(request)
        return refusal(409)

    world.write(ONE)
    for fault, finding, way_out in (
        (
            always(refusal(409)),
            "the API reports that the name payments is taken, but shows no such key in project 1234",
            "find it in the portal, maybe in another project, or declare the key under another name",
        ),
        (taken_first, "the name payments was taken after the plan was made", "run plan again to see by whom"),
    ):
        world.fail(on("POST", "/api_keys", fault))
        ran = keyform("apply", "--auto-approve")
        said = " ".join(ran.out.split())
        assert ran.code == 1
        assert f"why: {finding} fix: {way_out}" in said
    assert world.held() == {}
