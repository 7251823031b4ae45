"""`plan --out`, `show` and `apply FILE`: what was reviewed is what is applied."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Keyform, MakeWorld
from cli.in_process import InProcess
from cli.stage import HEAD, LIVE, PROJECT, TOKEN, TWO_KEYS, Proceed, World
from support.http_fakes import START

from reconciler.emulator import Answer, Request, VirtualClock
from reconciler.plan_file import _checksum

PORTAL = f"/cloud/v3/inference/{PROJECT}"


def in_portal(world: World, method: str, path: str, **body: Any) -> None:
    """Somebody does something in the portal."""
    request = Request.build(method, f"{PORTAL}/{path}", token=TOKEN, json_body=body or None)
    assert world.emulator.respond(request).status < 300


def forge(world: World, **changes: Any) -> None:
    """Rewrite parts of the saved plan, with a checksum that matches."""
    path = world.folder / "plan.json"
    tree = json.loads(path.read_text())
    tree["plan"] |= changes
    body = {name: tree[name] for name in ("stack", "project", "api", "configuration", "commit", "plan")}
    path.write_text(json.dumps({**tree, "checksum": _checksum(body)}))


def saved(world: World, keyform: Keyform, text: str, *argv: str) -> str:
    """Write the file, and save its plan."""
    world.write(text)
    ran = keyform("plan", "--out", "plan.json", *argv)
    assert ran.code == 0, ran.out + ran.err
    assert "`keyform apply plan.json` carries out exactly this" in ran.err
    return ran.out


def test_what_was_reviewed_is_applied_without_a_question_and_only_once(world: World, keyform: Keyform) -> None:
    plan = saved(world, keyform, TWO_KEYS)
    shown = keyform("show", "plan.json")
    assert (shown.code, shown.out) == (0, plan)
    ran = keyform("apply", "plan.json")
    assert ran.code == 0, ran.out + ran.err
    assert "Apply complete! Keys: 2 added" in ran.out
    world.in_order(keyform)
    writes = len(world.writes)
    again = keyform("apply", "plan.json")
    assert again.code == 1
    assert "plan.json has been applied already: everything is as it says. Nothing was changed." in again.err
    assert len(world.writes) == writes


def test_it_is_for_its_owner_alone_and_shows_in_every_format(world: World, keyform: Keyform) -> None:
    (world.folder / "plan.json").write_text('{"kind":"keyform plan","note":"an older one, that all can read"}')
    (world.folder / "plan.json").chmod(0o644)
    live = saved(world, keyform, TWO_KEYS, "--json")
    assert stat.S_IMODE((world.folder / "plan.json").stat().st_mode) == 0o600
    assert json.loads(keyform("show", "plan.json", "--json").out) == json.loads(live)


def test_the_same_content_elsewhere_is_the_same_and_another_content_is_not(world: World, keyform: Keyform) -> None:
    saved(world, keyform, TWO_KEYS)
    world.write("# squashed and rebased\n" + TWO_KEYS.replace("deployments: [llama3]", "deployments:  ['llama3']"))
    other = world.folder / "elsewhere"
    other.mkdir()
    shutil.copy(world.folder / "keyform.yaml", other)
    assert keyform("apply", "-f", "elsewhere/keyform.yaml", "plan.json").code == 0
    assert world.held("elsewhere/secrets.env").keys() == {"PAYMENTS", "SEARCH"}
    world.write(TWO_KEYS.replace("Checkout", "Checkout, and more"))
    ran = keyform("apply", "plan.json")
    assert ran.code == 1
    assert "plan.json was made from another content of the configuration" in ran.err


def test_another_value_of_a_variable_is_another_content(world: World, keyform: Keyform) -> None:
    text = TWO_KEYS.replace("path: secrets.env", 'path: "${KEYFORM_VAR_PLACE}.env"')
    world.env["KEYFORM_VAR_PLACE"] = "one"
    saved(world, keyform, text)
    world.env["KEYFORM_VAR_PLACE"] = "two"
    ran = keyform("apply", "plan.json")
    assert ran.code == 1
    assert "from other values of its variables" in ran.err
    world.env["KEYFORM_VAR_PLACE"] = "one"
    assert keyform("apply", "plan.json").code == 0


def test_what_moved_is_named_and_nothing_is_done(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    saved(world, keyform, TWO_KEYS.replace("Checkout", "Checkout of the shop"))
    in_portal(world, "PATCH", "deployments/whisper", api_keys=["portal-made"])
    writes = len(world.writes)
    ran = keyform("apply", "plan.json")
    assert ran.code == 1
    assert "What plan.json would change is no longer as it was when the plan was made. Nothing was changed." in ran.err
    assert (
        "key.payments: live key payments: opens was deployment.llama3, deployment.whisper, and is now deployment.llama3"
        in ran.err
    )
    assert len(world.writes) == writes


def test_an_apply_that_is_not_complete_says_how_to_go_on(world: World, keyform: Keyform) -> None:
    saved(world, keyform, TWO_KEYS)
    proceed = world.emulator.respond

    def refuse(request: Request) -> Answer:
        is_bind = request.method == "PATCH" and request.path.endswith("/whisper")
        return Answer(403, {}, b"{}") if is_bind else proceed(request)

    world.emulator.respond = refuse  # type: ignore[method-assign]
    ran = keyform("apply", "plan.json")
    world.emulator.respond = proceed  # type: ignore[method-assign]
    assert ran.code == 1
    assert "for the rest, run `keyform plan --out FILE` again." in ran.err
    again = keyform("apply", "plan.json")
    assert again.code == 1
    assert "is no longer as it was when the plan was made" in again.err
    assert keyform("plan", "--out", "plan.json").code == 0
    assert keyform("apply", "plan.json").code == 0
    world.in_order(keyform)


def test_what_is_unrelated_may_move_and_is_left_alone(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    saved(world, keyform, TWO_KEYS.replace("Checkout", "Checkout of the shop"))
    in_portal(world, "PATCH", "deployments/llama3", api_keys=["payments"])  # `search`, and a neighbour's
    ran = keyform("apply", "plan.json")
    assert ran.code == 0, ran.out + ran.err
    assert "Left out, because plan.json does not have it (`keyform plan` shows it):" in ran.err
    assert "key.search: bind search deployment.llama3" in ran.err
    assert "Checkout of the shop" in (world.emulator.live_keys(PROJECT)["payments"].description or "")
    assert world.bound("llama3") == ["payments"]
    assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)


def test_what_moves_while_it_waits_for_the_lock_is_seen(world: World, keyform: Keyform) -> None:
    saved(world, keyform, TWO_KEYS)
    moved = []

    def edit(request: Request, proceed: Proceed) -> Answer:
        if request.method == "POST" and not moved:  # the lock is made
            moved.append(request)
            in_portal(world, "POST", "api_keys", name="payments", description="somebody's own")
        return proceed(request)

    world.fail(edit)
    ran = keyform("apply", "plan.json")
    world.fail(None)
    assert ran.code == 1
    assert moved
    assert sorted(world.live_names()) == ["payments", "portal-made"]
    assert world.locks == []


@pytest.mark.parametrize(
    ("forged", "sentence"),
    [
        ({"stack": "other"}, "plan.json is damaged: it names two stacks, projects or APIs."),
        ({"changes": []}, "Left out, because plan.json does not have it"),
        ({"changes": [{"type": "system", "command": "rm"}]}, "plan.json is damaged: a part of it is not what a plan"),
        ({"selection": {"targets": ["search"], "excludes": []}}, "Left out"),
    ],
)
def test_a_forged_plan_gains_nothing(world: World, keyform: Keyform, forged: dict[str, Any], sentence: str) -> None:
    saved(world, keyform, TWO_KEYS)
    forge(world, **forged)
    ran = keyform("apply", "plan.json")
    assert sentence in ran.out + ran.err or ran.code == 1
    assert set(world.live_names()) <= {"portal-made", "search"}


def test_a_plan_that_says_more_than_the_file_does_no_more(world: World, keyform: Keyform) -> None:
    """A plan of a file that opens an endpoint and deletes a key, with the digest of one that does neither."""
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    saved(world, keyform, TWO_KEYS)
    innocent = json.loads((world.folder / "plan.json").read_text())
    greedy = HEAD + "keys: {search: {deployments: [llama3], sink: [local, jobs]}}\nsafety: {max_deletes: 9}\n"
    world.write(greedy)
    assert keyform("plan", "--out", "plan.json").code == 0
    tree = json.loads((world.folder / "plan.json").read_text())
    assert tree["plan"]["changes"]
    tree["configuration"] = innocent["configuration"]
    (world.folder / "plan.json").write_text(json.dumps(tree))
    forge(world)
    world.write(TWO_KEYS)
    writes = len(world.writes)
    ran = keyform("apply", "plan.json")
    assert ran.code == 1, ran.out + ran.err
    assert len(world.writes) == writes


def test_a_plan_of_another_project_is_refused(make_world: MakeWorld, monkeypatch: Any, capsys: Any) -> None:
    one, two = make_world(LIVE), make_world(LIVE)
    saved(one, InProcess(one, monkeypatch, capsys), TWO_KEYS)
    two.write(TWO_KEYS)
    shutil.copy(one.folder / "plan.json", two.folder)
    ran = InProcess(two, monkeypatch, capsys)("apply", "plan.json")
    assert ran.code == 1
    assert "plan.json is a plan of another API: 127.0.0.1:" in ran.err


def test_a_refused_plan_can_be_shown_and_not_applied(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    world.write(HEAD + "keys: {}\n")
    assert keyform("plan", "--out", "plan.json").code == 1
    assert "Refused" in keyform("show", "plan.json").out
    ran = keyform("apply", "plan.json")
    assert ran.code == 1
    assert "plan.json is a plan that is refused. Nothing was changed:" in ran.err


def test_a_rotation_that_is_planned_is_carried_out_hours_later(
    make_world: MakeWorld, monkeypatch: Any, capsys: Any
) -> None:
    clock = VirtualClock(START)
    world = make_world(LIVE, clock=clock)
    keyform = InProcess(world, monkeypatch, capsys)
    text = HEAD + "keys: {payments: {deployments: [llama3], rotation: {every: 60d, overlap: 7d, lifetime: 90d}}}\n"
    world.write(text)
    assert keyform("apply", "--auto-approve").code == 0
    clock.advance(61 * 86400)
    saved(world, keyform, text)
    clock.advance(5 * 3600)
    ran = keyform("apply", "plan.json")
    assert ran.code == 0, ran.out + ran.err
    assert "1 rotated" in ran.out
    assert world.owned() == ["payments", "payments-g2"]
    assert keyform("plan", "--detailed-exitcode").code == 0


def test_a_selection_is_kept_in_the_file(world: World, keyform: Keyform) -> None:
    told = saved(world, keyform, TWO_KEYS, "--target", "pay*")
    assert "Partial: Only keys that match pay*: all others stay as they are." in told
    assert keyform("apply", "plan.json", "--target", "search").code == 1
    ran = keyform("apply", "plan.json")
    assert ran.code == 0, ran.out + ran.err
    assert world.owned() == ["payments"]
    told = keyform("plan", "--target", "payments").out
    assert "No changes to these keys. The others may have some." in told
    assert "matches the file" not in told


def test_what_is_left_out_is_told_and_is_not_said_to_match(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve", "--target", "payments").code == 0
    told = "Partial: Only keys that match payments: all others stay as they are."
    for command in (["plan"], ["plan", "--drift"], ["apply", "--auto-approve"]):
        ran = keyform(*command, "--target", "payments")
        assert (ran.code, told in ran.out) == (0, True)
        assert "matches the file." not in ran.out
    for shape in ("markdown", "html"):
        assert "matches the file." not in keyform("plan", "--target", "payments", "--format", shape).out


def test_a_plan_of_which_nothing_is_left_does_not_say_that_all_is_done(world: World, keyform: Keyform) -> None:
    saved(world, keyform, TWO_KEYS)
    kept = json.loads((world.folder / "plan.json").read_text())["plan"]["changes"]
    forge(world, changes=[each for each in kept if "Publish" not in json.dumps(each)])
    ran = keyform("apply", "plan.json")
    assert ran.code == 1
    assert "Nothing was changed: no change of plan.json is due and possible now." in ran.out
    assert "matches the file" not in ran.out
    assert world.owned() == []


def test_an_empty_plan_does_not_say_that_all_is_done(world: World, keyform: Keyform) -> None:
    saved(world, keyform, TWO_KEYS)
    assert keyform("apply", "plan.json").code == 0
    assert "No changes." in saved(world, keyform, TWO_KEYS)
    assert keyform("apply", "plan.json").out == "No changes. The live API matches the file.\n"
    in_portal(world, "PATCH", "deployments/whisper", api_keys=["portal-made"])
    ran = keyform("apply", "plan.json")
    assert (ran.code, ran.out) == (0, "Nothing was changed: plan.json has no changes.\n")
    assert "payments: bind payments deployment.whisper" in ran.err


def test_what_cannot_be_done_elsewhere_is_told_and_is_no_failure(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    saved(world, keyform, TWO_KEYS.replace("Checkout", "Checkouts"))
    marked = world.emulator.live_keys(PROJECT)["search"].description or ""
    in_portal(world, "PATCH", "api_keys/search", description=marked.replace(" g1 ", " gx "))
    assert keyform("plan").code == 1
    ran = keyform("apply", "plan.json")
    assert ran.code == 0, ran.out + ran.err
    assert "Left undone, and no part of plan.json:\n  keys.search: is held up by the live key search" in ran.err


def test_a_sink_that_leads_elsewhere_than_in_the_plan_gets_nothing(world: World, keyform: Keyform) -> None:
    for name in ("a", "b"):
        (world.folder / name).mkdir()
    (world.folder / "out").symlink_to("a")
    saved(world, keyform, TWO_KEYS.replace("path: secrets.env", "path: out/secrets.env"))
    (world.folder / "out").unlink()
    (world.folder / "out").symlink_to("b")
    ran = keyform("apply", "plan.json")
    assert ran.code == 1
    assert "sink.local: place was a/secrets.env, and is now b/secrets.env" in ran.err
    assert world.writes == []


@pytest.mark.parametrize(
    ("api", "field"),
    [("v3", "prevent_destroy: true"), ("v2", "prevent_destroy: true"), ("v2", "expires_at: 2030-01-01")],
)
def test_what_is_held_up_meanwhile_is_not_said_to_be_applied(
    world: World, keyform: Keyform, api: str, field: str
) -> None:
    text = HEAD.replace("version: 1", f"version: 1\napi: {api}") + "keys:\n  search:\n    deployments: [llama3]\n"
    world.write(text)
    assert keyform("apply", "--auto-approve").code == 0
    saved(world, keyform, f"{text}    {field}\n")
    (world.folder / "secrets.env").unlink()
    (world.folder / "secrets.env").mkdir()
    ran = keyform("apply", "plan.json")
    assert ran.code == 1
    assert "applied already" not in ran.err
    assert "record in sink local was that of search" in ran.err


@pytest.mark.parametrize("kind", ["link", "folder", "fifo", "missing", "empty", "yaml"])
def test_a_file_that_is_no_plan_is_refused(world: World, keyform: Keyform, kind: str, tmp_path: Path) -> None:
    world.write(TWO_KEYS)
    path = world.folder / "plan.json"
    match kind:
        case "link":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "empty":
            path.touch()
        case "yaml":
            path.write_text(TWO_KEYS)
        case _:
            pass
    for command in ("show", "apply"):
        ran = keyform(command, "plan.json")
        assert ran.code == 1
        assert ran.err.startswith("Error: plan.json ")
        assert "keyform plan --out" in ran.err
    assert world.writes == []


@pytest.mark.parametrize("target", ["../outside.json", "folder"])
def test_out_writes_nowhere_else(world: World, keyform: Keyform, target: str) -> None:
    (world.folder / "folder").mkdir()
    (world.folder / "plan.json").symlink_to(target)
    world.write(TWO_KEYS)
    ran = keyform("plan", "--out", "plan.json")
    assert ran.code == 1
    assert "plan.json is a symbolic link. It was not changed." in ran.err
    assert not (world.folder.parent / "outside.json").exists()


@pytest.mark.parametrize("name", ["keyform.yaml", "secrets.env", "notes.txt", "other.json"])
def test_out_writes_over_no_file_but_a_plan(world: World, keyform: Keyform, name: str) -> None:
    """A slip would cost the configuration, or secrets that are nowhere else."""
    world.write(TWO_KEYS)
    path = world.folder / name
    if not path.exists():
        path.write_text('{"kind": "keyform plan of mine"}')
    before = path.read_bytes()
    for shape in ("text", "json"):
        ran = keyform("plan", "--out", name, "--format", shape)
        assert (ran.code, path.read_bytes()) == (1, before)
        assert f"{name} holds something else. It was not changed." in ran.err


def test_out_writes_over_an_earlier_plan_and_an_empty_file(world: World, keyform: Keyform) -> None:
    (world.folder / "plan.json").touch()
    for text in (TWO_KEYS, TWO_KEYS.replace("Checkout", "Checkout of the shop")):
        saved(world, keyform, text)
