"""`plan --drift` after what somebody does in the portal or in a sink, on the emulator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cli.conftest import Keyform
from cli.stage import PROJECT, TOKEN, World

from reconciler.emulator import Request

KEYS = f"/cloud/v3/inference/{PROJECT}/api_keys"
DEPLOYMENTS = f"/cloud/v3/inference/{PROJECT}/deployments"
FILE = f"""\
version: 1
stack: shop
project: {PROJECT}
sinks:
  local: {{type: dotenv, path: secrets.env}}
defaults: {{sink: local}}
keys:
  payments:
    description: Checkout
    deployments: [llama3]
  search:
    deployments: [whisper]
"""


def send(world: World, method: str, path: str, body: object = None) -> None:
    answer = world.emulator.respond(Request.build(method, path, token=TOKEN, json_body=body))
    assert answer.status < 300


def describe(world: World, change: Callable[[str], str]) -> None:
    live = world.emulator.live_keys(PROJECT)["payments"]
    send(world, "PATCH", f"{KEYS}/payments", {"description": change(live.description or "")})


def unlink(world: World) -> None:
    keys = [name for name in world.bound("llama3") if name != "payments"]
    send(world, "PATCH", f"{DEPLOYMENTS}/llama3", {"api_keys": keys})


def delete(world: World) -> None:
    unlink(world)
    send(world, "DELETE", f"{KEYS}/payments")


def forget(world: World) -> None:
    path = world.folder / "secrets.env"
    kept = [line for line in path.read_text().splitlines() if "payments" not in line and "PAYMENTS" not in line]
    path.write_text("\n".join(kept) + "\n")


EDITS: dict[str, tuple[Callable[[World], None], str, bool]] = {
    "deleted": (delete, "was deleted outside keyform: sink local still holds its secret", True),
    "annotated": (
        lambda world: describe(world, lambda text: f"{text} ask Bob"),
        "the description of payments was edited outside keyform: there is text behind the marker",
        True,
    ),
    "lost": (
        forget,
        "the secret of payments was published to sink local, and was removed there outside keyform",
        True,
    ),
    "unlinked": (
        unlink,
        "the file binds it to deployment.llama3, and payments is not bound there",
        False,
    ),
    "described": (
        lambda world: describe(world, lambda text: text.replace("Checkout", "Shop")),
        "the description of payments is not that of the file",
        False,
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_was_done_outside_keyform_is_named_and_an_apply_ends_it(world: World, keyform: Keyform, name: str) -> None:
    edit, sentence, is_proven = EDITS[name]
    world.write(FILE)
    assert keyform("apply", "--auto-approve").code == 0
    clean = keyform("plan", "--drift", "--detailed-exitcode")
    assert (clean.code, clean.out) == (0, "No drift found.\n")
    edit(world)
    before = list(world.writes)
    drifted = keyform("plan", "--drift", "--detailed-exitcode")
    told = " ".join(drifted.out.split())
    assert (drifted.code, drifted.err) == (2, "")
    assert sentence in told
    assert ("Changed outside keyform" in told) is is_proven
    assert "keyform will" not in told
    assert keyform("plan", "--drift").code == 0
    assert ("Changed outside keyform" in keyform("plan").out) is is_proven
    assert world.writes == before, "a plan only reads"
    assert keyform("apply", "--auto-approve").code == 0
    assert keyform("plan", "--drift", "--detailed-exitcode").code == 0


def test_a_merged_change_is_no_drift_that_is_proven(world: World, keyform: Keyform) -> None:
    world.write(FILE)
    assert keyform("apply", "--auto-approve").code == 0
    world.write(FILE.replace("[llama3]", "[llama3, whisper]").replace("Checkout", "Shop"))
    told = keyform("plan", "--drift")
    assert "Changed outside keyform" not in told.out
    assert told.out.endswith("Drift: none that is proven, and 2 differences that may be.\n")


def test_a_new_key_and_a_refused_plan_are_not_drift(world: World, keyform: Keyform) -> None:
    """The question is whether somebody changed something, not whether apply may."""
    world.write(FILE)
    assert keyform("apply", "--auto-approve").code == 0
    world.write(FILE.split("keys:", maxsplit=1)[0] + "keys: {}\n")
    assert keyform("plan").code == 1
    refused = keyform("plan", "--drift", "--detailed-exitcode")
    assert (refused.code, refused.out) == (0, "No drift found.\n")
    world.write(FILE + "  batch: {deployments: [whisper]}\n")
    assert keyform("plan", "--drift", "--detailed-exitcode").code == 0


def test_what_cannot_be_read_may_hide_drift_and_is_an_error(world: World, keyform: Keyform) -> None:
    world.write(FILE)
    assert keyform("apply", "--auto-approve").code == 0
    secrets = world.folder / "secrets.env"
    secrets.unlink()
    secrets.mkdir()
    told = keyform("plan", "--drift", "--detailed-exitcode")
    assert told.code == 1
    assert "secrets.env" in told.err
