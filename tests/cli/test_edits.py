"""What people do to descriptions in the portal, seen by a consumer: the secret in use is accepted before and after."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from cli.conftest import Keyform
from cli.stage import LIVE, PROJECT, TOKEN, World
from support.edits import BREAKING, EDITS, HARMLESS, WIPING

from reconciler.emulator import Request

BY_PORTAL: dict[str, Any] = {"api_keys": LIVE["api_keys"], "deployments": LIVE["deployments"]}


def file(api: str, sink: str = "local", **said: str) -> str:
    """`app-two` and another key on an exclusive endpoint."""
    fields = ", ".join(f"{name}: {value}" for name, value in {"deployments": "[llama3]", **said}.items())
    return (
        f"version: 1\nstack: shop\nproject: {PROJECT}\napi: {api}\nsinks:\n"
        "  local: {type: dotenv, path: ../secrets.env}\n"
        '  pager: {type: command, write: [sh, -c, "cat > /dev/null"], remove: ["true"]}\n'
        "defaults: {rotation: {overlap: 0s}}\n"
        f"keys:\n  app-two: {{sink: {sink}, {fields}}}\n  search: {{sink: local, deployments: [llama3]}}\n"
        "deployments:\n  llama3: {exclusive: true}\n"
    )


class Portal:
    """A person in the portal, and a consumer of `app-two`."""

    def __init__(self, world: World, keyform: Keyform, api: str, sink: str = "local") -> None:
        self.world, self.keyform, self.api, self.sink = world, keyform, api, sink
        assert self.apply().code == 0
        assert keyform("rotate", "app-two", "--auto-approve").code == 0
        self.secret = world.secret_of("app-two-g2")
        assert self.accepts()

    def apply(self, **said: str) -> Any:
        """The file as it is, or says."""
        self.world.write(file(self.api, self.sink, **said))
        return self.keyform("apply", "--auto-approve")

    def accepts(self) -> bool:
        """Whether the endpoint takes the secret in use."""
        return self.world.opens("llama3", self.secret)

    def describe(self, text: str, name: str = "app-two-g2") -> None:
        """Write a description over another."""
        self.world.emulator.live_keys(PROJECT)
        path = f"/cloud/v3/inference/{PROJECT}/api_keys/{name}"
        answer = self.world.emulator.respond(Request.build("PATCH", path, token=TOKEN, json_body={"description": text}))
        assert answer.status == 200

    def described(self, name: str = "app-two-g2") -> str:
        """The present text."""
        return self.world.emulator.live_keys(PROJECT)[name].description or ""


FEW = ("a note behind", "a phase of a later version", "cut off in the middle", "capitals", "replaced", "emptied")
"""Those that every pair of API and sink is tried with."""
TRIED = [
    *(("v3", "local", edit) for edit in EDITS),
    *((api, sink, edit) for api, sink in (("v3", "pager"), ("v2", "local"), ("v2", "pager")) for edit in FEW),
]


@pytest.mark.parametrize(("api", "sink", "edit"), TRIED)
def test_no_edit_cuts_a_consumer(world: World, keyform: Keyform, api: str, sink: str, edit: str) -> None:
    portal = Portal(world, keyform.without_network(), api, sink)
    before = portal.described()
    portal.describe(EDITS[edit](f"Checkout {before}"))
    ran = portal.apply(description="Checkout")
    assert portal.accepts()
    assert sorted(world.live_names()) == ["app-two-g2", "portal-made", "search"]
    if edit in HARMLESS or (edit in WIPING and sink == "local"):
        assert ran.code == 0
    else:
        assert ran.code == 1
        assert "keys.app-two: is held up by the live key app-two-g2: " in ran.err
        assert "adopt: " in ran.err
        assert keyform("status").code == 0
        ran = portal.apply(description="Checkout", adopt="app-two-g2")
        assert ran.code == 0
        assert portal.accepts()
    assert portal.described().startswith("Checkout") or edit in HARMLESS
    again = keyform("plan", "--detailed-exitcode")
    assert again.code == 0, again.out
    assert portal.accepts()


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_a_note_is_shown_before_it_goes_where_the_file_says_another_description(
    world: World, keyform: Keyform, api: str
) -> None:
    portal = Portal(world, keyform, api)
    portal.describe(f"{portal.described()} ask Bob")
    assert keyform("plan", "--detailed-exitcode").code == 0, "the file says no description: people's words stay"
    world.write(file(api, description="Checkout"))
    ran = keyform("plan")
    assert '"ask Bob" -> "Checkout"' in ran.out
    assert "Plan: 0 to add, 1 to change, 0 to rotate, 0 to destroy." in ran.out
    assert keyform("apply", "--auto-approve").code == 0
    assert portal.described().startswith("Checkout [keyform 2 shop/app-two g2 published ")
    world.write(file(api, description='""'))
    assert keyform("apply", "--auto-approve").code == 0
    assert portal.described().startswith("[keyform 2 shop/app-two g2 published ")


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_a_marker_is_restored_and_the_words_stay(world: World, keyform: Keyform, api: str) -> None:
    portal = Portal(world, keyform, api)
    portal.describe("ask Bob")
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0
    assert "its marker is gone, and a sink's record proves which generation it is" in ran.out
    assert portal.described().startswith("ask Bob [keyform 2 shop/app-two g2 published ")
    assert " to=" in portal.described()
    assert portal.accepts()


@pytest.mark.process("git decides which records prove something")
def test_a_record_that_git_tracks_proves_nothing(world: World, keyform: Keyform) -> None:
    portal = Portal(world, keyform, "v3")
    for argv in (["init", "-q"], ["add", "-f", "secrets.env"]):
        subprocess.run(["git", *argv], cwd=world.folder.parent, check=True)
    portal.describe("ask Bob")
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "keys.app-two: is held up" in ran.err
    assert portal.accepts()
    assert portal.described() == "ask Bob"


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize("edit", ["replaced", "a phase of a later version", "cut off in the middle"])
@pytest.mark.parametrize("sink", ["local", "pager"])
def test_a_leaked_secret_goes_or_is_named(world: World, keyform: Keyform, edit: str, sink: str, api: str) -> None:
    portal = Portal(world, keyform.without_network(), api, sink)
    portal.describe(EDITS[edit](f"Checkout {portal.described()}"))
    ran = keyform("rotate", "app-two", "--revoke", "--auto-approve")
    assert world.opens("llama3", world.secret_of("app-two-g3"))
    if sink == "local" or edit in BREAKING:
        assert ran.code == 0, ran.err
        assert not portal.accepts()
    else:
        assert ran.code == 1
        assert "another secret may have leaked: the live key app-two-g2 is not deleted" in ran.err


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_destroy_says_what_it_leaves(world: World, keyform: Keyform, api: str) -> None:
    portal = Portal(world, keyform, api, "pager")
    portal.describe("ask Bob")
    ran = keyform("destroy", "--auto-approve")
    assert ran.code == 1
    assert "keys.app-two: the live key app-two-g2 is not deleted: its name is that of a generation" in ran.err
    assert sorted(world.live_names()) == ["app-two-g2", "portal-made"]


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_an_adopted_key_keeps_what_the_file_does_not_say(world: World, keyform: Keyform, api: str) -> None:
    expiry = "2099-06-30T00:00:00Z"
    body = {"name": "by-hand", "description": "of the portal", "expires_at": expiry}
    path = f"/cloud/v3/inference/{PROJECT}/api_keys"
    made = world.emulator.respond(Request.build("POST", path, token=TOKEN, json_body=body))
    assert made.status == 200
    world.write(file(api, adopt="by-hand"))
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0
    assert f"by-hand keeps the expiry of the adopted key (expires_at: {expiry})" in ran.out + ran.err
    live = world.emulator.live_keys(PROJECT)["by-hand"]
    assert (live.description or "").startswith("of the portal [keyform 2 shop/app-two g1 adopted ")
    assert keyform("rotate", "app-two", "--auto-approve").code == 0
    successor = world.emulator.live_keys(PROJECT)["app-two-g2"]
    assert (successor.description or "").startswith("of the portal [keyform 2 shop/app-two g2 published ")
    assert successor.expires_at == live.expires_at
    world.write(file(api))
    ran = keyform("plan", "--detailed-exitcode")
    assert ran.code == 0, "without `adopt`, nothing changes"


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize("sink", ["local", "pager"])
@pytest.mark.parametrize("stack", ["zz", "shop"])
def test_no_list_of_stacks_cuts_a_key_whose_marker_was_edited(
    world: World, keyform: Keyform, api: str, sink: str, stack: str
) -> None:
    portal = Portal(world, keyform.without_network(), api, sink)
    portal.describe(portal.described().replace(" shop/", " zz/"))
    ran = portal.apply()
    assert ran.code == 1
    assert "stacks: [" not in ran.out + ran.err
    world.write(file(api, sink).replace("exclusive: true", f"exclusive: {{stacks: [{stack}]}}"))
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "but the key app-two-g2 stays bound to it" in ran.err
    assert portal.accepts()


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize("sink", ["local", "pager"])
def test_a_published_key_is_not_cut_by_the_word_pending(world: World, keyform: Keyform, api: str, sink: str) -> None:
    portal = Portal(world, keyform.without_network(), api, sink)
    portal.describe(portal.described().replace(" published ", " pending "))
    ran = portal.apply()
    assert ran.code == 1
    assert "is held up by the live key app-two-g2: " in ran.err
    assert portal.accepts()
    assert portal.apply(adopt="app-two-g2").code == 0
    assert portal.accepts()


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_an_old_generation_that_seems_to_be_another_keys_is_adopted_and_retired(
    world: World, keyform: Keyform, api: str
) -> None:
    world.write(file(api))
    assert keyform("apply", "--auto-approve").code == 0
    slow = file(api).replace("overlap: 0s", "overlap: 7d")
    world.write(slow)
    assert keyform("rotate", "app-two", "--auto-approve").code == 0
    portal = Portal.__new__(Portal)
    portal.world = world
    portal.describe(portal.described("app-two").replace("/app-two ", "/search "), "app-two")
    assert world.opens("llama3", world.secret_of("app-two"))
    world.write(file(api, adopt="app-two"))
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0, ran.err
    assert "app-two" not in world.live_names()
    world.write(file(api))
    assert keyform("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize("commands", [["apply"], ["destroy"], ["apply", "destroy"]])
def test_an_adopted_key_that_the_file_no_longer_has_is_named(
    world: World, keyform: Keyform, api: str, commands: list[str]
) -> None:
    path = f"/cloud/v3/inference/{PROJECT}/api_keys"
    made = world.emulator.respond(Request.build("POST", path, token=TOKEN, json_body={"name": "by-hand"}))
    assert made.status == 200
    world.write(file(api, adopt="by-hand"))
    assert keyform("apply", "--auto-approve").code == 0
    world.write(file(api).replace("  app-two: {sink: local, deployments: [llama3]}\n", ""))
    for command in commands:
        ran = keyform(command, "--auto-approve")
        assert ran.code == 1
        assert "key.app-two: the live key by-hand is neither changed nor deleted: " in ran.err
        assert "by-hand" in world.live_names()
    world.write(file(api, adopt="by-hand"))
    assert keyform("apply", "--auto-approve").code == 0
    assert keyform("rotate", "app-two", "--auto-approve").code == 0
    assert "by-hand" not in world.live_names()


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_an_old_generation_whose_marker_is_gone_is_named_until_it_is_adopted(
    world: World, keyform: Keyform, api: str
) -> None:
    slow = file(api).replace("overlap: 0s", "overlap: 7d").replace("exclusive: true", "")
    world.write(slow)
    assert keyform("apply", "--auto-approve").code == 0
    assert keyform("rotate", "app-two", "--auto-approve").code == 0
    portal = Portal.__new__(Portal)
    portal.world = world
    portal.describe("", "app-two")
    assert keyform("apply", "--auto-approve").code == 0, "its overlap is not over"
    world.write(slow.replace("overlap: 7d", "overlap: 0s"))
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "keys.app-two: the live key app-two is not deleted: " in ran.err
    world.write(file(api, adopt="app-two"))
    assert keyform("apply", "--auto-approve").code == 0
    assert "app-two" not in world.live_names()


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_an_adopted_generation_is_named_if_adopt_goes_before_its_overlap_is_over(
    world: World, keyform: Keyform, api: str
) -> None:
    path = f"/cloud/v3/inference/{PROJECT}/api_keys"
    made = world.emulator.respond(Request.build("POST", path, token=TOKEN, json_body={"name": "by-hand"}))
    assert made.status == 200
    world.write(file(api, adopt="by-hand").replace("overlap: 0s", "overlap: 7d"))
    assert keyform("apply", "--auto-approve").code == 0
    assert keyform("rotate", "app-two", "--auto-approve").code == 0
    world.write(file(api))
    for command in ("apply", "rotate"):
        revoking = ["app-two", "--revoke"] if command == "rotate" else []
        ran = keyform(command, *revoking, "--auto-approve")
        assert ran.code == 1
        assert "keys.app-two: " in ran.err
        assert "the live key by-hand " in ran.err
        assert "by-hand" in world.live_names()
    world.write(file(api, adopt="by-hand"))
    assert keyform("apply", "--auto-approve").code == 0
    assert "by-hand" not in world.live_names()
