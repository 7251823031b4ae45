"""`keyform doctor`: every check by itself, what is wrong with its way out, and not one write."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Keyform, MakeWorld
from cli.faults import refusal
from cli.stage import HEAD, LIVE, PROJECT, TOKEN, TWO_KEYS, Proceed, World
from cli.terminals import on_terminal

from reconciler.effects import System
from reconciler.emulator import Answer, Modes, Request

SPARE = {**LIVE, "deployments": [*LIVE["deployments"], {"name": "spare", "image": "demo/llama3"}]}
TOPICS = [
    *("keyform", "extras", "file", "token", "project", "api", "clock", "rights.keys", "rights.deployments"),
    *("rights.applications", "lock", "sink.jobs", "sink.local", "git"),
]


def by_topic(ran: Any) -> dict[str, dict[str, str]]:
    return {check["topic"]: check for check in ran.json["checks"]}


def test_a_stack_in_which_all_is_in_place(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    ran = keyform("doctor")
    host = world.url.removeprefix("http://")
    assert ran.err == ""
    lines = ran.out.splitlines()
    assert ran.code == 0
    assert lines[2:] == [
        "✓ file                 keyform.yaml is valid: stack shop declares 2 keys, 3 endpoints and 2 sinks",
        "✓ token                GCORE_API_KEY is set, and the API accepts it",
        f"✓ project              project {PROJECT} is there, and the token has a part in it",
        f"✓ api                  {host} answers as v3 of the API does",
        "✓ clock                within 1 s of the API's",
        "✓ rights.keys          can be listed; whether they can be changed, only a change tells",
        "✓ rights.deployments   can be listed; whether they can be changed, only a change tells",
        "✓ rights.applications  can be listed; whether they can be changed, only a change tells",
        "✓ lock                 the lock of stack shop is free",
        "✓ sink.jobs            jobs.json can be written",
        "✓ sink.local           secrets.env can be written",
        "✓ git                  the folder is in no repository: nothing here can be committed by accident",
        "",
        "Everything that was checked is in place.",
    ]
    assert [call.method for call in world.calls if call.method != "GET"] == []
    assert sorted(path.name for path in world.folder.iterdir()) == ["keyform.yaml"]


def test_json_has_a_check_for_each_line(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    ran = keyform("doctor", "--json")
    assert [check["topic"] for check in ran.json["checks"]] == TOPICS
    assert ran.json["healthy"] is True
    assert ran.json["counts"] == {"ok": len(TOPICS), "warning": 0, "failed": 0, "skipped": 0}


def test_without_a_file_what_needs_none_is_checked(world: World, keyform: Keyform) -> None:
    ran = keyform("doctor", "--json", env={"GCORE_CLOUD_PROJECT_ID": str(PROJECT)})
    checks = by_topic(ran)
    assert ran.code == 0
    assert {topic: check["state"] for topic, check in checks.items() if check["state"] != "ok"} == {
        "file": "warning",
        "lock": "skipped",
        "sinks": "skipped",
    }
    assert checks["file"]["way_out"] == "write one with `keyform init`, or give --file"


# --- What is wrong, by itself -----------------------------------------------------------------------------------------

Prepare = Callable[[World], dict[str, str]]


def refuse(status: int, *parts: str) -> Callable[[World], dict[str, str]]:
    """Answer requests whose path holds one of these with a documented error."""

    def prepare(world: World) -> dict[str, str]:
        def fault(request: Request, proceed: Proceed) -> Answer:
            if not any(part in request.path for part in parts):
                return proceed(request)
            body = b'{"exception_class": "ForbiddenError", "message": "no", "request_id": "r"}'
            return Answer(status, {"Content-Type": "application/json"}, body)

        world.fail(fault)
        return {}

    return prepare


def answer_html(status: int) -> Callable[[World], dict[str, str]]:
    """Answer every request with a page."""

    def prepare(world: World) -> dict[str, str]:
        world.fail(lambda request, proceed: Answer(status, {"Content-Type": "text/html"}, b"<html>Log in</html>"))
        return {}

    return prepare


def lock_it(world: World) -> dict[str, str]:
    path = f"/cloud/v3/inference/{PROJECT}/api_keys"
    body = {
        "name": "keyform-lock-shop-e1",
        "description": "held by ci@runner since 2026-11-21T10:00:00Z [keyform-lock 8f3a]",
        "expires_at": "2099-01-01T00:00:00Z",
    }
    assert world.emulator.respond(Request.build("POST", path, token=TOKEN, json_body=body)).status == 200
    return {}


def change_file(old: str, new: str) -> Prepare:
    def prepare(world: World) -> dict[str, str]:
        text = (world.folder / "keyform.yaml").read_text(encoding="utf-8")
        assert old in text
        world.write(text.replace(old, new))
        return {}

    return prepare


def in_git(*committed: str, ignored: str = "") -> Prepare:
    def prepare(world: World) -> dict[str, str]:
        for name in committed:
            (world.folder / name).touch(mode=0o600)
        (world.folder / ".gitignore").write_text(ignored, encoding="utf-8")
        for argv in (["init", "-q"], ["add", "-f", ".gitignore", *committed]):
            subprocess.run(["git", *argv], cwd=world.folder, check=True, env={"PATH": os.environ["PATH"]})
        return {}

    return prepare


def env(**variables: str) -> Prepare:
    return lambda _: variables


SKIPPED_WITHOUT_API = {
    "clock": "skipped",
    "rights.keys": "skipped",
    "rights.deployments": "skipped",
    "rights.applications": "skipped",
    "lock": "skipped",
}
WRONG: dict[str, tuple[Prepare, dict[str, str], str, str]] = {
    "no token": (
        env(GCORE_API_KEY=""),
        {"token": "failed", "project": "skipped", "api": "skipped", **SKIPPED_WITHOUT_API},
        "GCORE_API_KEY is not set",
        "create a permanent API token in the portal, and export GCORE_API_KEY=…",
    ),
    "a token with a space": (
        env(GCORE_API_KEY="two words"),
        {"token": "failed", "project": "skipped", "api": "skipped", **SKIPPED_WITHOUT_API},
        "GCORE_API_KEY holds a space",
        "Set it again",
    ),
    "a wrong token": (
        env(GCORE_API_KEY="another-token-altogether"),
        {
            "token": "failed",
            "project": "skipped",
            "rights.keys": "skipped",
            "rights.deployments": "skipped",
            "rights.applications": "skipped",
            "lock": "skipped",
        },
        "The API did not accept the token in GCORE_API_KEY (status 401",
        "Check that it is complete and not expired or revoked",
    ),
    "an address that is none": (
        env(GCORE_BASE_URL="ftp://somewhere"),
        {"token": "skipped", "project": "skipped", "api": "failed", "sinks": "skipped", **SKIPPED_WITHOUT_API},
        "GCORE_BASE_URL is not a URL that begins with https://",
        "Set it to a URL like https://api.gcore.com",
    ),
    "nothing there": (
        env(GCORE_BASE_URL="http://127.0.0.1:9"),
        {"token": "skipped", "project": "skipped", "api": "failed", **SKIPPED_WITHOUT_API},
        "The API at 127.0.0.1:9 could not be reached to list keys: it refused the connection.",
        "Check the network.",
    ),
    "a login page": (
        answer_html(200),
        {
            "token": "skipped",
            "project": "skipped",
            "api": "failed",
            **SKIPPED_WITHOUT_API,
            **{f"rights.{name}": "failed" for name in ("keys", "deployments", "applications")},
        },
        "returned HTML, not JSON.",
        "Check GCORE_BASE_URL",
    ),
    **{
        f"a page of a proxy, status {status}": (
            answer_html(status),
            {
                "token": "skipped",
                "project": "skipped",
                "api": "failed",
                **SKIPPED_WITHOUT_API,
                **{f"rights.{name}": "failed" for name in ("keys", "deployments", "applications")},
            },
            f"answered with HTML and status {status}: something else answers at this address (a proxy or login page?).",
            "Check GCORE_BASE_URL",
        )
        for status in (401, 403, 404, 407)
    },
    "another project": (
        change_file(f"project: {PROJECT}", "project: 77"),
        {
            "project": "failed",
            "lock": "skipped",
            **{f"rights.{name}": "failed" for name in ("keys", "deployments", "applications")},
        },
        "There is no project 77, or this token cannot access it",
        "Check `project` in the file (or GCORE_CLOUD_PROJECT_ID)",
    ),
    "no part in the project": (
        refuse(403, "/inference/"),
        {
            "project": "failed",
            "lock": "skipped",
            "clock": "skipped",
            **{f"rights.{name}": "failed" for name in ("keys", "deployments", "applications")},
        },
        f"the token has no part in project {PROJECT}, or no rights there",
        "check `project` in the file",
    ),
    "no right to see keys": (
        refuse(403, "/api_keys"),
        {"rights.keys": "failed", "lock": "skipped"},
        "The token has no permission to list keys (status 403",
        "Give the token a role with this permission in the project",
    ),
    "no right to see deployments": (
        refuse(403, f"/{PROJECT}/deployments"),
        {"rights.deployments": "failed", "rights.applications": "warning"},
        "The token has no permission to list deployments (status 403",
        "Give the token a role with this permission in the project",
    ),
    "no right to see applications": (
        refuse(403, "/applications/"),
        {"rights.applications": "warning"},
        "the token may not see them: plans go without",
        "to manage applications, give the token a role that may see them",
    ),
    "the other generation": (
        refuse(404, "/cloud/v3/"),
        {
            "project": "failed",
            "api": "failed",
            "lock": "skipped",
            "clock": "skipped",
            **{f"rights.{name}": "failed" for name in ("keys", "deployments", "applications")},
        },
        "answers as v2 of the API does, and not as v3",
        "write `api: v2` in the file",
    ),
    "a lock": (
        lock_it,
        {"lock": "warning"},
        "The stack shop is locked by ci@runner, for ",
        "wait, or use --lock-timeout",
    ),
    "a sink that cannot be written": (
        lambda world: (world.folder / "jobs.json").mkdir() or {},  # type: ignore[func-returns-value]
        {"sink.jobs": "failed"},
        "sink jobs: ",
        "",
    ),
    "a sink that no key uses": (
        change_file("    sink: [local, jobs]\n", ""),
        {"sink.jobs": "warning"},
        "no key uses it",
        "remove it from the file, or name it as a key's sink",
    ),
    "a file that is not valid": (
        change_file("deployments: [llama3, whisper]", "deploymets: [llama3]"),
        {"file": "failed", "project": "failed", "token": "skipped", "api": "skipped", **SKIPPED_WITHOUT_API}
        | {"sinks": "skipped"},
        "keyform.yaml:",
        "",
    ),
    "secrets in git": (
        in_git("secrets.env", ignored="jobs.json\nsecrets.json\n"),
        {"git": "failed", "sink.local": "failed"},
        "git tracks secrets.env, which holds secrets",
        "take it out with `git rm --cached secrets.env`, ignore it, and revoke every key in it",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=[*WRONG])
def test_what_is_wrong_is_said_with_its_way_out_and_ends_no_other_check(
    world: World, keyform: Keyform, case: tuple[Prepare, dict[str, str], str, str]
) -> None:
    prepare, states, message, way_out = case
    world.write(TWO_KEYS)
    ran = keyform("doctor", "--json", env=prepare(world))
    checks = by_topic(ran)
    assert {topic: check["state"] for topic, check in checks.items() if check["state"] != "ok"} == states
    assert ran.code == (1 if "failed" in states.values() else 0)
    assert ran.json["healthy"] == (ran.code == 0)
    wrong = [check for check in ran.json["checks"] if check["state"] in ("failed", "warning")]
    assert [check for check in wrong if message in check["message"] and way_out in check["way_out"]]
    assert world.writes == []


def test_a_clock_that_is_wrong_is_a_warning(world: World, keyform: Keyform, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(TWO_KEYS)
    now = System.now
    monkeypatch.setattr(System, "now", lambda self: now(self) + timedelta(hours=2))
    checks = by_topic(keyform("doctor", "--json"))
    assert checks["clock"]["state"] == "warning"
    assert checks["clock"]["message"].startswith("This machine's clock is 2 hours ahead of the API's.")


def test_v2_of_the_api_has_no_applications(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS.replace("project:", "api: v2\nproject:").replace("    applications: [webui]\n", ""))
    checks = by_topic(keyform("doctor", "--json"))
    assert checks["rights.applications"] == {
        "topic": "rights.applications",
        "state": "skipped",
        "way_out": "",
        "message": "v2 of the API has none",
    }
    assert checks["api"]["message"].endswith("answers as v2 of the API does")


def test_a_folder_whose_secrets_git_ignores_is_in_order(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    in_git(ignored="jobs.json\nsecrets.env\nsecrets.json\n")(world)
    checks = by_topic(keyform("doctor", "--json"))
    assert checks["git"]["message"] == "in a repository, which keeps out the files that hold secrets"


@pytest.mark.parametrize(
    "option", ["--deployment x", "--keep-keys", "--foreign-project 7", "--out x.md", "--auto-approve", "--patience 5m"]
)
def test_what_is_for_the_live_test_alone_is_refused_without_it(world: World, keyform: Keyform, option: str) -> None:
    ran = keyform("doctor", *option.split())
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"Error: {option.split(maxsplit=1)[0]} is for --live-test.\n  give both, or neither\n"


def test_a_sink_of_another_project_takes_few_lines_however_many_keys_it_holds(world: World, keyform: Keyform) -> None:
    names = [f"key-{number:02}" for number in range(60)]
    keys = "".join(f"  {name}:\n    deployments: [llama3]\n" for name in names)
    world.write(HEAD + "keys:\n" + keys)
    assert keyform("apply", "--auto-approve").code == 0
    world.write(HEAD.replace(f"project: {PROJECT}", "project: 77") + "keys:\n" + keys)
    found = [check for check in keyform("doctor", "--json").json["checks"] if check["topic"] == "sink.local"]
    assert [check["state"] for check in found] == ["failed"] * 4
    assert [any(name in check["message"] for name in names) for check in found] == [True, True, True, False]
    assert found[-1]["message"] == "and 57 more keys cannot be saved there"
    assert found[-1]["way_out"] == "see all of them with `keyform plan`"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_api_that_fails_is_asked_again_once(world: World, keyform: Keyform, status: int) -> None:
    world.write(TWO_KEYS)
    asked: list[str] = []

    def fault(request: Request, proceed: Proceed) -> Answer:
        asked.append(request.path)
        return refusal(status, "no")

    world.fail(fault)
    begun = time.monotonic()
    assert keyform("doctor", "--json").code == 1
    assert sorted(Counter(asked).values()) == [2, 2, 2]
    assert time.monotonic() - begun < 15


def test_a_long_retry_after_is_not_waited_for(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    world.fail(lambda request, proceed: refusal(503, "no", headers={"Retry-After": "60"}))
    begun = time.monotonic()
    checks = by_topic(keyform("doctor", "--json"))
    assert checks["api"]["state"] == "failed"
    assert time.monotonic() - begun < 15


# --- The live test ----------------------------------------------------------------------------------------------------

LIVE_TEST = ("doctor", "--live-test", "--patience", "30s")
WITHOUT_FILE = {"GCORE_CLOUD_PROJECT_ID": str(PROJECT)}


def own(world: World) -> list[str]:
    return [name for name in world.emulator.live_keys(PROJECT) if name.startswith("keyform-doctor-")]


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_a_live_test_writes_a_report_and_leaves_nothing(make_world: MakeWorld, api: str, request: Any) -> None:
    world = make_world(SPARE, modes=Modes(list_order="by_name"))
    keyform = Keyform(world, request.getfixturevalue("monkeypatch"), request.getfixturevalue("capsys"))
    if api == "v3":
        world.write(TWO_KEYS)
    options = ["--api", "v2"] if api == "v2" else []
    ran = keyform(*LIVE_TEST, "--deployment", "spare", "--auto-approve", *options, env=WITHOUT_FILE)
    assert ran.code == 0, ran.err
    assert ran.out.endswith("Written to keyform-doctor-report.md. It holds no secret and none of your names.\n")
    page = (world.folder / "keyform-doctor-report.md").read_text(encoding="utf-8")
    world.search(page)
    assert "| `list_order` | `by_name` |" in page
    assert f"- API: {api}, another host\n" in page
    assert own(world) == []
    assert world.bound("spare") == []
    assert world.opens("spare", None)
    assert not world.opens("llama3", None)


def test_a_live_test_as_json(make_world: MakeWorld, request: Any) -> None:
    world = make_world(SPARE)
    keyform = Keyform(world, request.getfixturevalue("monkeypatch"), request.getfixturevalue("capsys"))
    ran = keyform(*LIVE_TEST, "--auto-approve", "--json", "--out", "found.md", env=WITHOUT_FILE)
    assert ran.code == 0
    found = {each["mode"]: each for each in ran.json["findings"]}
    assert found["past_expiry"] == {
        "mode": "past_expiry",
        "verdict": "determined",
        "value": "rejected",
        "reason": "",
        "asked": "POST a key whose expires_at has passed",
        "seen": "POST 400 ValidationError",
    }
    assert ran.json["complete"] is True
    assert ran.json["left_behind"] == []
    assert (world.folder / "found.md").exists()


def test_nobody_is_asked_where_there_is_no_terminal(world: World, keyform: Keyform) -> None:
    ran = keyform(*LIVE_TEST, env=WITHOUT_FILE)
    assert ran.code == 1
    assert "The live test asks v3 of the API at" in ran.out
    assert ran.err.endswith("read what the live test will do, then run again with --auto-approve\n")
    assert world.writes == []
    assert not (world.folder / "keyform-doctor-report.md").exists()


@pytest.mark.parametrize(
    ("argv", "env", "message"),
    [
        (["--deployment", "llama3"], {}, "deployment.llama3 is in the file: keyform manages it. Nothing was changed."),
        ([], {"GCORE_API_KEY": ""}, "GCORE_API_KEY is not set."),
        ([], {"GCORE_API_KEY": "wrong-token-altogether"}, "The API did not accept the token in GCORE_API_KEY"),
        (["--out", "folder"], {}, "folder is a folder. It was not changed."),
        (["--out", "no/such.md"], {}, "no/such.md cannot be written"),
    ],
)
def test_what_is_wrong_ends_a_live_test_before_it_begins(
    world: World, keyform: Keyform, argv: list[str], env: dict[str, str], message: str
) -> None:
    world.write(TWO_KEYS)
    (world.folder / "folder").mkdir()
    ran = keyform(*LIVE_TEST, "--auto-approve", *argv, env=env)
    assert ran.code == 1
    assert f"Error: {message}" in ran.err
    assert world.writes == []


def test_what_is_left_behind_is_named_and_is_an_error(make_world: MakeWorld, request: Any) -> None:
    world = make_world(SPARE, modes=Modes(key_delete="ignored"))
    keyform = Keyform(world, request.getfixturevalue("monkeypatch"), request.getfixturevalue("capsys"))
    ran = keyform(*LIVE_TEST, "--auto-approve", env=WITHOUT_FILE)
    (left,) = own(world)
    assert ran.code == 1
    assert "Error: Not everything could be put back:\n" in ran.err
    assert f"  key {left} may be left: to DELETE the API answered 204, and a reading then 200." in ran.err
    assert "    Run this again, or delete it in the Gcore portal.\n" in ran.err
    page = (world.folder / "keyform-doctor-report.md").read_text(encoding="utf-8")
    assert "- 1 thing could not be put back\n" in page
    assert left not in page


@pytest.mark.process("it is signalled")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_everything_put_back(make_world: MakeWorld, number: signal.Signals) -> None:
    world = make_world(SPARE, task_seconds=0.5)
    running = world.start(*LIVE_TEST, "--deployment", "spare", "--auto-approve", env=WITHOUT_FILE)
    running.wait_for("Ask the deployment itself with a made-up X-API-Key")
    running.send(number)
    ran = running.finish()
    assert ran.code == 130
    assert "Stopping: what was made is being removed. Interrupt again to no longer wait for that.\n" in ran.err
    assert "The test was interrupted before every question was asked.\n" in ran.out
    assert own(world) == []
    assert world.bound("spare") == []
    assert world.opens("spare", None)


@pytest.mark.process("a terminal belongs to a process")
@pytest.mark.parametrize("answer", ["yes", "no"])
def test_on_a_terminal_it_asks(make_world: MakeWorld, answer: str) -> None:
    world = make_world(SPARE)
    with on_terminal(world, *LIVE_TEST, env=WITHOUT_FILE) as terminal:
        terminal.wait_for("Do you want keyform to perform these actions? Only 'yes' will be accepted to approve: ")
        assert world.writes == []
        terminal.type(f"{answer}\n")
        assert terminal.end() == (0 if answer == "yes" else 1)
    assert bool(world.writes) == (answer == "yes")
    assert own(world) == []


def test_a_report_is_written_beside_nothing_else(world: World, keyform: Keyform) -> None:
    before = {path.name for path in world.folder.iterdir()}
    assert keyform(*LIVE_TEST, "--auto-approve", env=WITHOUT_FILE).code == 0
    assert {path.name for path in world.folder.iterdir()} - before == {Path("keyform-doctor-report.md").name}
