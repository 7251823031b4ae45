"""One part of a stack is bad, and the rest continues: every kind of bad part, before every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Keyform, MakeWorld
from cli.faults import refusal
from cli.stage import LIVE, PROJECT, TOKEN, Proceed, World

from reconciler.effects import System
from reconciler.emulator import Answer, Request, VirtualClock

START = datetime(2026, 11, 21, 10, tzinfo=UTC)
A_DAY = 86400.0
FILE = f"""\
version: 1
stack: shop
project: {PROJECT}
sinks:
  local: {{type: dotenv, path: secrets.env}}
  jobs: {{type: json, path: jobs/jobs.json}}
  team: {{type: dotenv, path: team/team.env}}
defaults:
  sink: local
  rotation: {{every: 60d, overlap: 7d}}
keys:
  payments: {{deployments: [llama3]}}
  search: {{deployments: [whisper], sink: jobs}}
"""
IN_A_DOTENV = FILE.replace("sink: jobs", "sink: team")
ON_AN_APPLICATION = FILE.replace("deployments: [whisper]", "applications: [webui]")


def send(world: World, method: str, path: str, body: object = None) -> Answer:
    """What somebody does in the portal."""
    return world.emulator.respond(Request.build(method, path, token=TOKEN, json_body=body))


def keys_path(name: str = "") -> str:
    return f"/cloud/v3/inference/{PROJECT}/api_keys" + (f"/{name}" if name else "")


def deployment_path(name: str) -> str:
    return f"/cloud/v3/inference/{PROJECT}/deployments/{name}"


def applications_path(name: str = "") -> str:
    return f"/cloud/v3/inference/applications/{PROJECT}/deployments" + (f"/{name}" if name else "")


def damage_json(world: World) -> None:
    (world.folder / "jobs/jobs.json").write_text("{not json")


def damage_dotenv(world: World) -> None:
    (world.folder / "team/team.env").write_bytes(b"\0\0")


def become_a_link(world: World) -> None:
    file = world.folder / "jobs/jobs.json"
    file.rename(world.folder / "jobs/elsewhere.json")
    file.symlink_to("elsewhere.json")


def become_a_folder(world: World) -> None:
    (world.folder / "jobs/jobs.json").unlink()
    (world.folder / "jobs/jobs.json").mkdir()


def stand_in_the_way(world: World) -> None:
    (world.folder / "jobs/.keyform.tmp").write_text("of somebody else")


def edit_json(**fields: Any) -> Callable[[World], None]:
    def edit(world: World) -> None:
        file = world.folder / "jobs/jobs.json"
        held = json.loads(file.read_text())
        held["search"]["keyform"] |= fields
        file.write_text(json.dumps(held))

    return edit


def edit_dotenv(old: str, new: str) -> Callable[[World], None]:
    def edit(world: World) -> None:
        file = world.folder / "team/team.env"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    return edit


def delete_whisper(world: World) -> None:
    assert send(world, "DELETE", deployment_path("whisper")).status == 200


def delete_webui(world: World) -> None:
    assert send(world, "DELETE", applications_path("webui")).status == 200


def forbid_applications(world: World) -> None:
    """The token has no rights on applications."""

    def forbid(request: Request, proceed: Proceed) -> Answer:
        return refusal(403, "Forbidden") if "/inference/applications/" in request.path else proceed(request)

    world.fail(forbid)


def tidy_away(world: World) -> None:
    """Somebody unlinks the expired key in the portal, and deletes it."""
    assert send(world, "PATCH", deployment_path("whisper"), {"api_keys": ["portal-made"]}).status == 200
    assert send(world, "DELETE", keys_path("search")).status == 204


def take_the_name(world: World) -> None:
    tidy_away(world)
    assert send(world, "POST", keys_path(), {"name": "search"}).status == 200


def take_the_name_for_a_stack(world: World) -> None:
    tidy_away(world)
    marker = "[keyform 2 staging/search g1 published 2026-11-21T10:00:00Z]"
    assert send(world, "POST", keys_path(), {"name": "search", "description": marker}).status == 200


def break_the_marker(world: World) -> None:
    marker = "[keyform 2 shop/search g1 published whenever]"
    assert send(world, "PATCH", keys_path("search"), {"description": marker}).status == 200


BOTH = ("v3", "v2")


@dataclass(frozen=True)
class Part:
    """A bad part that `search` depends on, and `payments` does not; `said` is a part of what a plan says of it."""

    id: str
    ruin: Callable[[World], None]
    said: str
    file: str = FILE
    later: str = ""
    """The file as it becomes."""
    apis: tuple[str, ...] = ("v3",)
    status: int = 0
    """The exit code of `status`: 1 where it could not read a part, or found what is somebody else's."""
    is_kept: bool = True
    """Nothing at all changes of `search`; otherwise it is rotated like the other, and stays where it is bound."""


FOREIGN = "belongs to shop/search (project 77 at api.example.org)"
PARTS = (
    Part("json-damaged", damage_json, "jobs/jobs.json: is not valid JSON", status=1, apis=BOTH),
    Part("dotenv-damaged", damage_dotenv, "team/team.env: is not a text file", IN_A_DOTENV, status=1),
    Part("link", become_a_link, "is a symbolic link", status=1),
    Part("folder", become_a_folder, "is not a regular file", status=1),
    Part("unwritable", stand_in_the_way, "is needed for writing, but is not a keyform folder"),
    Part("json-later", edit_json(form=9), "a record in format 9, written by a later version of keyform"),
    Part("json-foreign-stack", edit_json(stack="office"), "belongs to office/search", status=1),
    Part("json-foreign-project", edit_json(project=77, api="api.example.org"), FOREIGN, status=1, apis=BOTH),
    Part("dotenv-foreign-stack", edit_dotenv("shop/", "office/"), "belongs to office/search", IN_A_DOTENV, status=1),
    Part("dotenv-no-record", edit_dotenv("# keyform", "# by hand"), "without a keyform record", IN_A_DOTENV, status=1),
    Part("deployment-deleted", delete_whisper, "there is no deployment whisper", is_kept=False, apis=BOTH),
    Part(
        "deployment-misspelt",
        lambda world: None,
        "did you mean whisper?",
        later=FILE.replace("[whisper]", "[whispr]"),
        is_kept=False,
        apis=BOTH,
    ),
    Part("application-deleted", delete_webui, "no application webui", ON_AN_APPLICATION, is_kept=False),
    Part(
        "applications-forbidden",
        forbid_applications,
        "application webui is not shown: The token has no permission",
        ON_AN_APPLICATION,
        status=1,
    ),
    Part(
        "expired-and-tidied-away",
        tidy_away,
        "expires_at 2026-12-01T00:00:00Z is in the past",
        FILE.replace("sink: jobs", "sink: jobs, expires_at: 2026-12-01"),
        apis=BOTH,
    ),
    Part("name-taken", take_the_name, "the live key search already exists, and this stack does not own it", apis=BOTH),
    Part("name-taken-by-a-stack", take_the_name_for_a_stack, "the live key search belongs to staging/search"),
    Part("marker-broken", break_the_marker, "is held up by the live key search", apis=BOTH),
)
CASES = [pytest.param(part, api, id=f"{part.id}-{api}") for part in PARTS for api in part.apis]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    """The time of the API and of this machine."""
    clock = VirtualClock(START)
    monkeypatch.setattr(System, "now", lambda effects: clock.now())
    return clock


@pytest.fixture
def world(make_world: MakeWorld, clock: VirtualClock) -> World:
    return make_world(LIVE, clock=clock)


def speak(api: str, file: str) -> str:
    return file.replace("version: 1\n", f"version: 1\napi: {api}\n")


def begin(world: World, keyform: Keyform, part: Part, api: str) -> None:
    """Two keys that are two months old, one of which depends on a part that is bad by now."""
    world.write(speak(api, part.file))
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0, ran.out + ran.err
    world.emulator.clock.advance(61 * A_DAY)  # type: ignore[attr-defined]
    part.ruin(world)
    world.write(speak(api, part.later or part.file))


def files_of(folder: Path) -> dict[str, bytes]:
    """What the sinks of `search` hold."""
    places = (path for name in ("jobs", "team") for path in (folder / name).rglob("*"))
    return {str(path): path.read_bytes() for path in places if path.is_file()}


def everything_about_search(world: World) -> object:
    """Its live keys, with their descriptions, where they are bound, and what its sinks hold."""
    live = {name: key for name, key in world.emulator.live_keys(PROJECT).items() if name.startswith("search")}
    names = world.emulator.names(PROJECT, "deployment")
    bound = {name: [key for key in world.bound(name) if key.startswith("search")] for name in names}
    return live, bound, files_of(world.folder)


@pytest.mark.parametrize(("part", "api"), CASES)
def test_the_rest_of_the_stack_is_planned_and_applied_and_the_bad_part_is_named(
    world: World, keyform: Keyform, part: Part, api: str
) -> None:
    begin(world, keyform, part, api)
    before = everything_about_search(world)
    for command in (("plan",), ("plan", "--detailed-exitcode"), ("apply", "--auto-approve")):
        ran = keyform(*command)
        assert ran.code == 1, ran.out + ran.err
        assert part.said in ran.err
        assert "refused" not in ran.err
        assert "+/- key.payments" in ran.out
    old, new = "payments", "payments-g2"
    assert new in world.live_names()
    assert world.opens("llama3", world.held()["PAYMENTS"])
    assert world.held()["PAYMENTS"] == world.secret_of(new)
    assert world.opens("llama3", world.secret_of(old)), "it is in its overlap"
    if part.is_kept:
        assert everything_about_search(world) == before
    writes = len(world.writes)
    again = keyform("apply", "--auto-approve")
    assert again.code == 1
    assert part.said in again.err
    assert len(world.writes) == writes, "nothing more is to be done"


@pytest.mark.parametrize(("part", "api"), CASES)
def test_a_plan_as_json_says_what_is_held_up(world: World, keyform: Keyform, part: Part, api: str) -> None:
    begin(world, keyform, part, api)
    ran = keyform("apply", "--json", "--auto-approve")
    assert ran.code == 1
    ours = ran.plan["keyform"]
    assert ours["held_up"] == (["key.search"] if part.is_kept else [])
    assert ours["refusals"] == []
    assert any(part.said in f"{finding['message']} {finding['way_out']}" for finding in ours["unmet"])
    assert all(finding["way_out"] for finding in ours["unmet"])
    assert all(finding["where"].startswith("keyform.yaml:") for finding in ours["unmet"])


@pytest.mark.parametrize(("part", "api"), CASES)
def test_a_leaked_secret_of_another_key_is_cut_all_the_same(
    world: World, keyform: Keyform, part: Part, api: str
) -> None:
    begin(world, keyform, part, api)
    before = everything_about_search(world)
    leaked = world.held()["PAYMENTS"]
    ran = keyform("rotate", "--revoke", "payments", "--auto-approve")
    assert ran.code == 0, ran.out + ran.err
    assert not world.opens("llama3", leaked)
    assert world.opens("llama3", world.held()["PAYMENTS"])
    assert "payments" not in world.live_names()
    assert everything_about_search(world) == before


@pytest.mark.parametrize(("part", "api"), CASES)
def test_a_leaked_secret_that_depends_on_the_bad_part_is_cut_as_far_as_that_goes(
    world: World, keyform: Keyform, part: Part, api: str
) -> None:
    """Without a successor that could be published, it is marked, so that the next apply that can cuts it."""
    begin(world, keyform, part, api)
    was_ours = "search" in world.owned()
    ran = keyform("rotate", "--revoke", "search", "--auto-approve")
    assert ran.code in (0, 1), ran.out + ran.err
    assert "payments-g2" not in world.live_names()
    live = world.emulator.live_keys(PROJECT)
    if part.id == "marker-broken":  # its name and the sink's record say that it is ours
        assert ran.code == 0
        assert "search" not in live
    elif was_ours and part.is_kept:
        assert ran.code == 1
        assert "shop/search g1 revoked" in (live["search"].description or "")
        assert "it still works, because the key is held up" in " ".join(ran.out.split())
    elif was_ours:
        assert ran.code == 1, "the endpoint is still not there"
        assert "search" not in live
        assert world.held("jobs/jobs.json")["search"] == live["search-g2"].secret


@pytest.mark.parametrize(("part", "api"), CASES)
def test_status_and_verify_show_the_rest(world: World, keyform: Keyform, part: Part, api: str) -> None:
    begin(world, keyform, part, api)
    ran = keyform("status")
    assert ran.code == part.status, ran.out + ran.err
    assert "payments" in ran.out
    if part.status:
        assert part.said.split(": ")[-1] in ran.err
    told = keyform("status", "--json").json
    assert [key["name"] for key in told["keys"]] == ["payments", "search"]
    assert bool(told["troubles"]) == bool(part.status)
    assert (told["held_up_keys"] == ["search"]) == (part.is_kept and part.id != "unwritable")
    ran = keyform("verify", "--json", "--timeout", "1s")
    checks = {check["key"]: check for check in ran.json["bindings"]}
    assert checks["payments"]["key"] == "payments"


@pytest.mark.parametrize(("part", "api"), CASES)
def test_destroy_removes_what_it_can_and_nothing_of_others(
    world: World, keyform: Keyform, part: Part, api: str
) -> None:
    begin(world, keyform, part, api)
    before = files_of(world.folder)
    live = world.emulator.live_keys(PROJECT)
    ran = keyform("destroy", "--auto-approve")
    assert ran.code in (0, 1), ran.out + ran.err
    assert "payments" not in world.live_names()
    assert "PAYMENTS" not in world.held()
    assert "portal-made" in world.live_names()
    if "foreign" in part.id or part.id == "dotenv-no-record":
        assert ran.code == 1
        assert part.said in ran.err
        assert files_of(world.folder) == before
        assert "search" not in world.live_names(), "the live key is this project's own"
    if part.status and "foreign" not in part.id and part.id != "dotenv-no-record":
        assert ran.code == 1
        assert world.emulator.live_keys(PROJECT)["search"] == live["search"]
        assert files_of(world.folder) == before


def test_a_token_without_rights_on_applications_that_nobody_uses_stops_nothing(world: World, keyform: Keyform) -> None:
    world.write(FILE)
    assert keyform("apply", "--auto-approve").code == 0
    forbid_applications(world)
    assert keyform("plan", "--detailed-exitcode").code == 0
    ran = keyform("status")
    assert ran.code == 0
    assert "Some endpoints are not shown" in ran.out
    assert keyform("verify").code == 0
    world.emulator.clock.advance(61 * A_DAY)  # type: ignore[attr-defined]
    assert keyform("apply", "--auto-approve").code == 0
    world.emulator.clock.advance(8 * A_DAY)  # type: ignore[attr-defined]
    assert keyform("apply", "--auto-approve").code == 0
    assert world.owned() == ["payments-g2", "search-g2"]


def test_a_key_that_may_open_an_application_that_nobody_sees_is_not_deleted(world: World, keyform: Keyform) -> None:
    world.write(FILE)
    assert keyform("apply", "--auto-approve").code == 0
    assert send(world, "PATCH", applications_path("webui"), {"api_keys": ["portal-made", "search"]}).status == 200
    forbid_applications(world)
    world.write(FILE.replace("  search: {deployments: [whisper], sink: jobs}\n", ""))
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "search opens application.webui, which is not shown" in ran.err
    assert "search" in world.live_names()
    world.fail(None)
    assert keyform("apply", "--auto-approve").code == 0
    assert "search" not in world.live_names()


def test_due_rotations_that_are_held_up_are_told(world: World, keyform: Keyform) -> None:
    begin(world, keyform, PARTS[0], "v3")
    ran = keyform("rotate", "--due", "1d")
    assert ran.code == 1
    assert "payments" in ran.out
    assert "jobs/jobs.json: is not valid JSON" in ran.err


def test_a_refused_plan_promises_nothing(world: World, keyform: Keyform) -> None:
    world.write(FILE.replace("{deployments: [llama3]}", "{deployments: [llama3], prevent_destroy: true}"))
    assert keyform("apply", "--auto-approve").code == 0
    world.write(
        FILE.replace(
            "  payments: {deployments: [llama3]}\n  search: {deployments: [whisper], sink: jobs}\n", ""
        ).replace("keys:\n", "keys: {}\n")
        + "deployments:\n  whisper: {auth: open, exclusive: true}\nsafety: {allow_empty: true}\n"
    )
    ran = keyform("plan")
    assert ran.code == 1
    assert "is refused" in ran.err
    assert "becomes PUBLIC" not in ran.out
    assert "No changes" not in ran.out
    assert ran.out.rstrip().endswith("and cannot be applied.")
