"""`plan --base REF`: a reviewer sees what this change of the file does, apart from what was pending before it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from cli.conftest import MakeWorld
from cli.in_process import InProcess
from cli.stage import HEAD, LIVE, PROJECT, TOKEN, World
from support.http_fakes import START

from reconciler.emulator import Request, VirtualClock

TEN = "".join(f"  key-{number}: {{deployments: [llama3], rotation: {{every: 60d}}}}\n" for number in range(10))
FILE = f"{HEAD}keys:\n  payments: {{description: Checkout, deployments: [llama3, whisper]}}\n{TEN}"


@pytest.fixture
def clock() -> VirtualClock:
    """The API's clock."""
    return VirtualClock(START)


@pytest.fixture
def world(make_world: MakeWorld, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> World:
    """A repository whose `main` has ten keys, applied."""
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    world = make_world(LIVE, clock=clock)
    git(world, "init", "--quiet", "--initial-branch=main")
    world.write("*.env\n*.json\n", ".gitignore")
    commit(world, FILE)
    git(world, "checkout", "--quiet", "-b", "change")
    return world


@pytest.fixture
def keyform(world: World, monkeypatch: Any, capsys: Any) -> InProcess:
    """keyform in the repository, after an apply of `main`."""
    run = InProcess(world, monkeypatch, capsys)
    assert run("apply", "--auto-approve").code == 0
    return run


def git(world: World, *argv: str) -> None:
    """Run git there."""
    settings = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *settings, *argv], cwd=world.folder, check=True, capture_output=True)


def commit(world: World, text: str) -> None:
    """Write the file, and commit it."""
    world.write(text)
    git(world, "add", "--all")
    git(world, "commit", "--quiet", "--message=another")


def in_portal(world: World, deployment: str, *keys: str) -> None:
    """Somebody sets a deployment's list of keys."""
    path = f"/cloud/v3/inference/{PROJECT}/deployments/{deployment}"
    request = Request.build("PATCH", path, token=TOKEN, json_body={"api_keys": list(keys)})
    assert world.emulator.respond(request).status == 200


def test_a_description_does_not_look_as_if_it_rotated_ten_keys(
    world: World, keyform: InProcess, clock: VirtualClock
) -> None:
    clock.advance(61 * 86400)
    commit(world, FILE.replace("Checkout", "Checkout of the shop"))
    told = keyform("plan", "--base", "main")
    assert told.code == 0, told.err
    own, _, pending = told.out.partition("Already pending at main (")
    assert "key.payments" in own.partition("From this change")[2]
    assert "+/-" not in own
    assert pending.count("+/-") == 10
    assert "1 to change from this change; 10 to rotate already pending." in told.out
    assert keyform("plan", "--verbose").out.count("+/-") > 5


def test_links_are_told_apart_one_by_one(world: World, keyform: InProcess) -> None:
    in_portal(world, "whisper", "portal-made")
    commit(
        world,
        FILE.replace("[llama3, whisper]", "[llama3, whisper]\n    applications: [webui]").replace("{desc", "desc"),
    )
    commit(
        world,
        f"{HEAD}keys:\n  payments:\n    description: Checkout\n    deployments: [llama3, whisper]\n"
        f"    applications: [webui]\n{TEN}",
    )
    told = keyform("plan", "--base", "main", "--json")
    assert told.code == 0, told.err
    tree = json.loads(told.out)
    (ids,) = ([each["id"] for each in tree["keyform"]["changes"]],)
    assert ids == ["bind payments application.webui", "bind payments deployment.whisper"]
    text = keyform("plan", "--base", "main").out
    assert "binds  application.webui" in text
    assert "deployment.whisper (already pending)" in " ".join(text.split())


def test_what_is_pending_alone_is_not_of_this_change(world: World, keyform: InProcess) -> None:
    in_portal(world, "whisper", "portal-made")
    text = keyform("plan", "--base", "main").out
    assert "From this change: nothing" in text


def test_what_this_change_no_longer_does_is_told(world: World, keyform: InProcess) -> None:
    git(world, "checkout", "--quiet", "main")
    commit(world, FILE + "  extra: {deployments: [whisper]}\n")
    git(world, "checkout", "--quiet", "-b", "later")
    commit(world, FILE)
    text = " ".join(keyform("plan", "--base", "main").out.split())
    assert "Withdrawn by this change" in text
    assert "without this change, apply would create extra" in text


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("nonsense: [", "cannot be read (1 error, the first at keyform.yaml@"),
        (FILE.replace(str(PROJECT), "99"), "is about another project"),
        (FILE.replace("version: 1", "version: 1\napi: v2"), "uses another generation of the API"),
    ],
)
def test_a_file_that_cannot_be_compared_says_so_and_nothing_was_pending(
    world: World, keyform: InProcess, before: str, why: str
) -> None:
    commit(world, before)
    commit(world, FILE.replace("Checkout", "Checkout of the shop"))
    told = keyform("plan", "--base", "HEAD~1")
    assert told.code == 0, told.err
    assert why in " ".join(told.out.split())
    assert "Already pending" not in told.out


def test_a_file_that_is_new_is_all_of_this_change(world: World, keyform: InProcess) -> None:
    git(world, "rm", "--quiet", "--cached", "keyform.yaml")
    git(world, "commit", "--quiet", "--message=gone")
    commit(world, FILE.replace("Checkout", "Checkout of the shop"))
    told = keyform("plan", "--base", "HEAD~1")
    assert told.code == 0, told.err
    assert "From this change" in told.out
    assert "Already pending" not in told.out


@pytest.mark.parametrize("ref", ["nope", "--output=x", "HEAD:keyform.yaml", "a b", "", "\x1b[2J"])
def test_a_ref_that_is_no_commit_is_an_error_before_any_request(world: World, keyform: InProcess, ref: str) -> None:
    calls = len(world.calls)
    told = keyform("plan", f"--base={ref}")
    assert told.code == 1
    assert told.err.startswith("Error: ")
    assert "\x1b" not in told.err
    assert len(world.calls) == calls


def test_a_secret_that_goes_elsewhere_is_of_this_change_though_its_key_was_pending(
    world: World, keyform: InProcess
) -> None:
    git(world, "checkout", "--quiet", "main")
    more = f"{FILE}  newest: {{deployments: [llama3], sink: jobs}}\n"
    commit(world, more)
    git(world, "checkout", "--quiet", "-B", "change")
    commit(world, more.replace("path: jobs.json", "path: public.json"))
    ran = keyform("plan", "--base", "main")
    assert "From this change: nothing" not in ran.out
    assert "newest is already pending; this change edits its sink" in ran.out
    assert "1 to change from this change; 1 to add already pending." in ran.out


@pytest.mark.parametrize("chosen", [["--target", "newest", "--target", "key-*"], ["--exclude", "newest"]])
def test_a_key_that_is_chosen_by_name_need_not_have_been_in_the_file(
    world: World, keyform: InProcess, clock: VirtualClock, chosen: list[str]
) -> None:
    clock.advance(61 * 86400)
    commit(world, f"{FILE}  newest: {{deployments: [llama3]}}\n")
    ran = keyform("plan", "--base", "main", *chosen)
    added = "1 to add" if "--target" in chosen else "nothing"
    assert f"{added} from this change; 10 to rotate already pending." in ran.out
    only_new = keyform("plan", "--base", "main", "--target", "newest")
    assert "1 to add from this change; nothing already pending." in only_new.out


def test_a_saved_plan_keeps_what_it_says(world: World, keyform: InProcess, clock: VirtualClock) -> None:
    clock.advance(61 * 86400)
    commit(world, FILE.replace("Checkout", "Checkout of the shop"))
    plan = keyform("plan", "--base", "main", "--out", "plan.json").out
    assert keyform("show", "plan.json").out == plan
    tree = json.loads((world.folder / "plan.json").read_text())
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=world.folder, check=True, capture_output=True, text=True)
    assert tree["commit"] == head.stdout.strip()
    git(world, "commit", "--quiet", "--amend", "--message=squashed")
    assert keyform("apply", "plan.json").code == 0
