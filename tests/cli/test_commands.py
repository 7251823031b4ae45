"""init, validate, status, destroy, emulator and demo."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cli.conftest import Keyform, MakeWorld
from cli.in_process import InProcess
from cli.processes import wait_until
from cli.stage import HEAD, LIVE, ONE_KEY, TWO_KEYS, World

from reconciler.effects import System
from reconciler.emulator import Emulator, Modes, VirtualClock

# --- init -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [LIVE, {}], ids=["deployments", "empty project"])
@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize("in_git", [False, True], ids=["no git", "git"])
def test_init_writes_a_file_that_is_applied_as_it_is(
    make_world: MakeWorld,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    live: dict[str, Any],
    api: str,
    *,
    in_git: bool,
) -> None:
    world = make_world(live)
    keyform = InProcess(world, monkeypatch, capsys)
    if in_git:
        subprocess.run(["git", "init", "--quiet"], cwd=world.folder, check=True)
    ran = keyform("init", "--project", "1234", *(["--api", api] if api != "v3" else []))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "Wrote keyform.yaml.\n"
        "Added secrets.env, secrets.json to .gitignore.\n"
        "Wrote schemas/keyform.schema.json, by which editors check and complete keyform.yaml.\n"
        "\nNext: run `keyform plan`, and name your own keys and deployments in the file.\n"
    )
    ran = keyform("validate", env={"GCORE_API_KEY": "", "GCORE_BASE_URL": ""})
    assert (ran.code, ran.out) == (0, "Valid: stack stack declares 1 key, 0 endpoints and 1 sink.\n")
    assert world.calls == []
    ran = keyform("plan", "--detailed-exitcode")
    assert (ran.code, ran.err) == (2, "")
    assert ran.out.splitlines()[-1] == "Plan: 1 to add, 0 to change, 0 to rotate, 0 to destroy."
    assert ran.out.startswith(
        "Exposures\n  ! sink.local  gets the secret of my-stack-app, which was not there before: secrets.env\n\n"
    ), "and nothing else is exposed"
    assert "Warnings" not in ran.out
    assert keyform("apply", "--auto-approve").code == 0
    assert world.held() == {"MY_STACK_APP": world.secret_of("my-stack-app")}
    before = world.writes
    ran = keyform("apply", "--auto-approve")
    assert (ran.code, ran.out) == (0, "No changes. The live API matches the file.\n")
    assert world.writes == before
    assert keyform("verify").code == 0
    assert keyform("status").code == 0
    assert keyform("destroy", "--auto-approve").code == 0
    assert world.owned() == []


def test_the_schema_that_init_writes_is_where_the_file_says_and_is_what_schema_prints(
    world: World, keyform: Keyform
) -> None:
    assert keyform("init", "--project", "1234").code == 0
    first = (world.folder / "keyform.yaml").read_text().splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert named != first
    written = (world.folder / named).read_text()
    ran = keyform("schema", env={"GCORE_API_KEY": "", "GCORE_BASE_URL": ""})
    assert (ran.code, ran.out) == (0, written)
    said = yaml.safe_load((world.folder / "keyform.yaml").read_text())
    jsonschema.Draft202012Validator(json.loads(written)).validate(said)


def test_a_schema_that_is_there_is_kept(world: World, keyform: Keyform) -> None:
    (world.folder / "schemas").mkdir()
    world.write("mine", "schemas/keyform.schema.json")
    ran = keyform("init", "--project", "1234")
    assert ran.code == 0
    assert "Kept schemas/keyform.schema.json; `keyform schema` prints the one of this version.\n" in ran.out
    assert (world.folder / "schemas/keyform.schema.json").read_text() == "mine"


def test_init_reads_the_project_from_the_environment_unless_it_is_given(world: World, keyform: Keyform) -> None:
    assert keyform("init", "--stack", "mine").code == 0
    assert keyform("validate").code == 1
    assert keyform("validate", env={"GCORE_CLOUD_PROJECT_ID": "1234"}).code == 0
    assert "stack: mine\n" in (world.folder / "keyform.yaml").read_text()


def test_after_init_git_ignores_what_the_sinks_write(world: World, keyform: Keyform) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=world.folder, check=True)
    world.write("*.log", ".gitignore")  # a last line without its end
    assert keyform("init", "--project", "1234").code == 0
    assert keyform("apply", "--auto-approve").code == 0
    status = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=world.folder, check=True, capture_output=True, text=True
    )
    assert sorted(status.stdout.split()[1::2]) == [
        ".gitignore",
        "keyform.yaml",
        "schemas/keyform.schema.json",
    ]
    assert "secrets.env" in {path.name for path in world.folder.iterdir()}


def test_init_overwrites_nothing_and_repeats_nothing(world: World, keyform: Keyform) -> None:
    mine = world.write("mine")
    ran = keyform("init")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "Error: keyform.yaml already exists; it was not changed.\n  remove it, or choose another --file\n"
    )
    assert mine.read_text() == "mine"
    assert not (world.folder / ".gitignore").exists()
    assert keyform("init", "-f", "other.yaml").code == 0
    ignored = (world.folder / ".gitignore").read_text()
    assert keyform("init", "-f", "third.yaml").code == 0
    assert (world.folder / ".gitignore").read_text() == ignored


@pytest.mark.parametrize(
    ("folder", "stack"), [("My Team's Keys!", "my-team-s-keys"), ("...", "inference"), ("x" * 80, "x" * 40)]
)
def test_init_names_the_stack_after_the_folder(world: World, keyform: Keyform, folder: str, stack: str) -> None:
    (world.folder / folder).mkdir()
    assert keyform("init", "--project", "1", "-f", f"{folder}/keyform.yaml").code == 0
    assert keyform("validate", "-f", folder).out.startswith(f"Valid: stack {stack} declares")


@pytest.mark.parametrize("argv", [["--stack", "Bad Name"], ["-f", "no/such/folder/keyform.yaml"]], ids=" ".join)
def test_init_says_what_it_cannot_do(world: World, keyform: Keyform, argv: list[str]) -> None:
    ran = keyform("init", *argv)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Error: ")
    assert list(world.folder.iterdir()) == []


# --- validate ---------------------------------------------------------------------------------------------------------


def test_validate_needs_neither_network_nor_token(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    ran = keyform("validate", env={"GCORE_API_KEY": "", "GCORE_BASE_URL": "http://127.0.0.1:9"})
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "Valid: stack shop declares 2 keys, 3 endpoints and 2 sinks.\n"
    assert world.calls == []


def dated(date: str) -> str:
    """A file whose first key has this date, and whose second is to come for a long time."""
    return ONE_KEY + f"    expires_at: {date}\n  search:\n    deployments: [llama3]\n    expires_at: 2099-01-01\n"


def test_validate_refuses_a_date_in_the_past_and_says_where_it_stands(world: World, keyform: Keyform) -> None:
    world.write(dated("2020-01-31"))
    ran = keyform("validate")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "Error: The configuration is invalid: 1 error.\n"
        "  keyform.yaml:9:3: keys.payments.expires_at: expires_at 2020-01-31T00:00:00Z is in the past,"
        " so a new key would be unusable\n"
        "    Set a later date, or `never`. If the key is already live, run `keyform validate --live`.\n"
    )
    assert world.calls == []


def test_validate_accepts_the_past_date_of_a_key_that_is_live_when_it_may_ask(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = VirtualClock(datetime(2026, 11, 21, 10, 0, tzinfo=UTC))
    world = make_world(clock=clock)
    keyform = InProcess(world, monkeypatch, capsys)
    world.write(dated("2026-12-01"))
    monkeypatch.setattr(System, "now", lambda self: clock.now())
    assert keyform("validate").code == 0
    assert keyform("apply", "--auto-approve").code == 0
    clock.advance(20 * 86400)
    assert keyform("validate").code == 1
    before = len(world.calls)
    live = keyform("validate", "--live")
    assert (live.code, live.out) == (0, "Valid: stack shop declares 2 keys, 1 endpoint and 2 sinks.\n")
    assert live.err == (
        "note: key.payments: expires_at 2026-12-01T00:00:00Z is in the past: payments is live, and has expired.\n"
    )
    assert [str(call) for call in world.calls[before:]] == ["GET api_keys"]
    assert keyform("plan").code == 0  # reading the file knows no time
    world.write(dated("2026-12-02"))
    other = keyform("validate", "--live")
    assert other.code == 1
    assert "the live key payments expires on 2026-12-01T00:00:00Z: a new generation with that date" in other.err
    monkeypatch.setattr(System, "now", lambda self: clock.now() - timedelta(days=15))
    world.write(dated("2026-12-05"))
    assert keyform("validate").code == 0, "by this machine's clock it is to come"
    assert keyform("validate", "--live").code == 1, "by the API's it is over"


def test_validate_live_needs_a_token(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    assert "GCORE_API_KEY is not set" in keyform("validate", "--live", env={"GCORE_API_KEY": ""}).err


# --- status -----------------------------------------------------------------------------------------------------------


def test_status_shows_keys_endpoints_and_what_is_public(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    before = keyform("status")
    assert before.code == 0
    assert re.search(r"payments +missing +- +- ", before.out)
    assert keyform("apply", "--auto-approve").code == 0
    ran = keyform("status")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Foreign keys are bound to endpoints of this stack: application.webui (portal-made),")
    assert "\nStack shop (project 1234)\n" in ran.out
    assert re.search(r"payments +g1 published .* never +never +2 +llama3, whisper +local ok", ran.out)
    assert re.search(r"llama3 +deployment +protected +payments, search +portal-made +active", ran.out)
    assert ran.out.endswith("1 foreign key in the project.\n")
    shown = keyform("status", "--json").json
    assert shown["stack"] == "shop"
    (world.folder / "secrets.env").unlink()
    assert "absent" in keyform("status").out


def test_status_comes_in_three_forms_and_goes_to_a_file_when_asked_to(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    assert keyform("status", "--format", "json").json.keys() == keyform("status", "--json").json.keys()
    page = keyform("status", "--format", "html")
    assert (page.code, page.err) == (0, "")
    assert page.out.startswith("<!doctype html>\n")
    assert "payments" in page.out
    written = keyform("status", "--format", "html", "--out", "status.html")
    assert (written.code, written.out, written.err) == (0, "", "Wrote status.html.\n")
    text = (world.folder / "status.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>\n")
    assert text.endswith("</html>\n")
    world.search(text)


def test_a_status_that_cannot_be_written_is_an_error_that_names_the_file(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    ran = keyform("status", "--format", "html", "--out", "nowhere/status.html")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "Error: nowhere/status.html cannot be written: No such file or directory.\n"
        "  choose another file for --out, or omit it to print to stdout\n"
    )


@pytest.mark.parametrize("choice", [("--format", "svg"), ("--json", "--format", "html")])
def test_a_form_of_the_status_that_there_is_not_is_refused(keyform: Keyform, choice: tuple[str, ...]) -> None:
    assert keyform("status", *choice).code == 1


def test_status_fits_narrow_and_wide_terminals(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    assert max(map(len, keyform("status").out.splitlines())) <= 100


# --- destroy ----------------------------------------------------------------------------------------------------------


def test_destroy_removes_all_that_the_stack_owns_and_nothing_else(world: World, keyform: Keyform) -> None:
    world.write("MINE=1\n", "secrets.env").chmod(0o600)
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    ran = keyform("destroy", "--auto-approve")
    assert ran.code == 0
    assert "Plan: 0 to add, 0 to change, 0 to rotate, 2 to destroy." in ran.out
    assert world.live_names() == ["portal-made"]
    assert world.bound("llama3") == world.bound("whisper") == world.bound("webui", "application") == ["portal-made"]
    assert (world.folder / "secrets.env").read_text() == "MINE=1\n"
    assert not (world.folder / "jobs.json").exists()
    ran = keyform("destroy", "--auto-approve")
    assert ran.code == 0
    assert ran.out == "Nothing to destroy: the stack owns no live key, and no sink has a record of it.\n"


def test_destroy_leaves_no_deployment_without_a_key(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY + "deployments:\n  llama3: {exclusive: true}\n")
    assert keyform("apply", "--auto-approve").code == 0
    assert world.bound("llama3") == ["payments"]
    ran = keyform("destroy", "--auto-approve")
    assert ran.code == 1
    assert "deployment.llama3: would be left without a valid key" in ran.err
    assert "declare the endpoint `auth: open`" in ran.err
    assert world.bound("llama3") == ["payments"]
    # Written, reviewed, and only then done.
    world.write(HEAD + "keys:\n  payments:\n    description: idle\ndeployments:\n  llama3: {auth: open}\n")
    assert keyform("destroy", "--auto-approve").code == 0
    assert world.opens("llama3", None)


def test_destroy_without_a_terminal_needs_auto_approve(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    assert keyform("apply", "--auto-approve").code == 0
    ran = keyform("destroy")
    assert ran.code == 1
    assert "stdin is not a terminal" in ran.err
    assert world.owned() == ["payments"]


# --- emulator ---------------------------------------------------------------------------------------------------------

SEED = """\
tokens: {demo-token: [1234]}
projects:
  1234:
    api_keys: [{name: portal-made}]
    deployments: [{name: llama3, api_keys: [portal-made]}]
"""


@pytest.mark.process("it serves until it is signalled")
def test_the_emulator_serves_what_it_is_seeded_with_and_keeps_it_in_a_file(world: World) -> None:
    world.write(SEED, "seed.yaml")
    world.write(ONE_KEY)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])  # the same both times: at another address it would be another API
    for run in range(2):
        serving = world.start(
            "emulator", "--port", port, "--seed", "seed.yaml", "--db", "state.db", "--task-seconds", "0"
        )
        wait_until(lambda: b"CLOUD_PROJECT_ID" in serving._texts["stdout"], "the address", lambda: serving.err)  # noqa: B023
        text = serving._texts["stdout"].decode()
        env = dict(re.findall(r"export (\w+)=(\S+)", text))
        assert env["GCORE_API_KEY"] == "demo-token"
        assert env["GCORE_CLOUD_PROJECT_ID"] == "1234"
        ran = world.run("apply", "--auto-approve", env=env)
        assert ran.code == 0, ran.err
        assert ("No changes." in ran.out) == (run == 1), "a restart forgets nothing"
        serving.send(signal.SIGINT)
        done = serving.finish()
        assert (done.code, done.err) == (0, "")


def test_the_emulator_says_when_its_port_is_taken(keyform: Keyform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = keyform("emulator", "--port", str(port))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"Error: The emulator cannot listen on 127.0.0.1:{port}: Address already in use.\n"
        "  choose another --port; 0 picks a free one\n"
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("projects: [", "seed.yaml:1:"),
        ("projekts: {}", "projekts"),
        ("projects: {1: {deployments: [{name: llama3, api_keys: [nobody]}]}}", "there is no key 'nobody'"),
    ],
)
def test_a_seed_that_cannot_be_used_is_told_with_its_place(
    world: World, keyform: Keyform, content: str, sentence: str
) -> None:
    world.write(content, "seed.yaml")
    ran = keyform("emulator", "--seed", "seed.yaml")
    assert (ran.code, ran.out) == (1, "")
    assert sentence in ran.err


def test_the_emulator_lists_its_modes_with_the_default_first(keyform: Keyform) -> None:
    ran = keyform("emulator", "--list-modes")
    assert (ran.code, ran.err) == (0, "")
    listed = dict(re.findall(r"^  (\w+) = (.+)$", ran.out, re.MULTILINE))
    known = Modes.choices() | Modes.liberties()
    assert listed == {name: " | ".join(map(str, values)) for name, values in known.items()}
    assert (
        "  deleted_name = free | reserved_for_an_hour | reserved\n      The name of a deleted key: free at" in ran.out
    )


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            "deleted_nam=reserved",
            "There is no mode 'deleted_nam'.\n"
            "  Did you mean `deleted_name`? `keyform emulator --list-modes` lists all.",
        ),
        ("lists_lag=4", "The mode lists_lag has no value '4'.\n  Its values are 0, 3."),
        ("lists_lag", "'lists_lag' sets no mode.\n  Write NAME=VALUE, such as deleted_name=reserved."),
    ],
)
def test_a_mode_that_there_is_not_is_told_with_those_that_there_are(keyform: Keyform, setting: str, said: str) -> None:
    ran = keyform("emulator", "--mode", setting)
    assert (ran.code, ran.out, ran.err) == (1, "", f"Error: {said}\n")


@pytest.mark.process("it serves until it is signalled")
def test_the_emulator_behaves_as_its_modes_say(world: World) -> None:
    world.write("projects: {1234: {applications: [{name: Chat UI}]}}", "seed.yaml")
    modes = ("--mode", "application_name=free", "--mode", "key_quota=3", "--mode", "quota_status=409")
    serving = world.start("emulator", "--port", "0", "--seed", "seed.yaml", *modes)
    wait_until(lambda: b"CLOUD_PROJECT_ID" in serving._texts["stdout"], "the address", lambda: serving.err)
    env = dict(re.findall(r"export (\w+)=(\S+)", serving._texts["stdout"].decode()))
    keys = "".join(f"  key-{number}: {{}}\n" for number in range(4))
    world.write(f"{ONE_KEY.partition('keys:')[0]}lock: {{type: none}}\nkeys:\n{keys}")
    ran = world.run("apply", "--auto-approve", env=env)
    assert ran.code == 1
    said = " ".join(ran.out.split())
    assert "A quota is used up (quota inference_api_key_count_limit, limit 3, usage 3), so the API refused to" in said
    assert "Keys: 3 added" in said
    serving.send(signal.SIGINT)
    assert serving.finish().code == 0


def test_a_database_that_is_none_is_told(world: World, keyform: Keyform) -> None:
    world.write("not a database " * 100, "state.db")
    ran = keyform("emulator", "--db", "state.db")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Error: ")


# --- demo -------------------------------------------------------------------------------------------------------------


@pytest.mark.process("the demo as a stranger sees it, in its own temporary folder")
def test_the_demo_tells_the_whole_story_and_leaves_nothing_behind(world: World, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    ran = world.run("demo", env={"GCORE_API_KEY": "", "GCORE_BASE_URL": "", "TMPDIR": str(temporary)})
    assert ran.code == 0, ran.err
    commands = re.findall(r"^\$ (\S+ ?[a-z]*)", ran.out, re.MULTILINE)
    assert commands == [
        "cat keyform", "keyform plan", "keyform apply", "stat ", "curl ", "curl ", "keyform plan", "cat keyform",
        "keyform apply", "curl ", "curl ", "keyform status", "keyform plan",
    ]  # fmt: skip
    assert "Plan: 2 to add, 0 to change, 0 to rotate, 0 to destroy." in ran.out
    assert "Plan: 0 to add, 1 to change, 0 to rotate, 1 to destroy." in ran.out
    assert ran.out.count("401 Unauthorized") == 2
    assert ran.out.count("200 You said: Hello?") == 2
    assert "PAYMENTS_API_KEY=(sensitive value)" in ran.out
    assert ran.out.endswith("No changes. The live API matches the file.\n")
    assert list(temporary.iterdir()) == []
    assert list(world.folder.iterdir()) == []


def test_the_demo_can_be_kept_and_does_not_overwrite(
    world: World, keyform: Keyform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.emulator.Emulator", lambda task_seconds: Emulator())
    ran = keyform("demo", "--keep", "kept")
    assert ran.code == 0
    kept = {path.name for path in (world.folder / "kept").iterdir()}
    assert kept == {"keyform.yaml", "secrets.env"}
    secret = re.findall(r"^PAYMENTS_API_KEY=(\S+)", (world.folder / "kept/secrets.env").read_text(), re.MULTILINE)[0]
    assert secret not in ran.out + ran.err
    ran = keyform("demo", "--keep", "kept")
    assert ran.code == 1
    assert ran.err == "Error: kept already has a keyform.yaml.\n  give --keep an empty folder\n"


@pytest.mark.process("it is signalled")
def test_the_demo_can_be_interrupted(world: World, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    running = world.start("demo", env={"TMPDIR": str(temporary)})
    running.wait_for("waiting for task")
    running.send(signal.SIGINT)
    ran = running.finish()
    assert ran.code == 130
    assert ran.err.endswith("Error: The demo was interrupted.\n")
    assert list(temporary.iterdir()) == []
