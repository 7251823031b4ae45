"""Whatever the API, the files, the environment and the arguments hold: every stream of every command is harmless."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Keyform
from cli.faults import always, refusal
from cli.processes import Ran
from cli.stage import HEAD, TOKEN, TWO_KEYS, Proceed, World
from support.hostile_output import CORPUS, EVERYTHING, violations

from reconciler.effects import System
from reconciler.emulator import Answer, Request

SHORT = {name: text for name, text in CORPUS.items() if not name.startswith("long")}
IN_NAMES = {name: text.replace("\0", "").replace("/", "|")[:60] for name, text in SHORT.items()}
"""As arguments and names of files can hold them."""
IN_NAMES = {
    name: os.fsdecode(text.encode("utf-8", "surrogateescape" if "\udcff" in text else "strict"))
    for name, text in IN_NAMES.items()
    if name != "surrogates"
}
READING = (
    ["plan"],
    ["plan", "--json"],
    ["plan", "--format", "html"],
    ["status"],
    ["status", "--json"],
    ["status", "--format", "html"],
    ["verify"],
    ["verify", "--json"],
    ["rotate", "--due", "90d"],
    ["rotate", "--due", "90d", "--json"],
    ["validate"],
    ["validate", "--live"],
)
CHANGING = (["apply", "--auto-approve"], ["apply", "--auto-approve", "--json"], ["destroy", "--auto-approve"])


@pytest.fixture
def keyform(keyform: Keyform) -> Keyform:
    """Without a network: each text is tried in some twenty commands."""
    return keyform.without_network()


def judge(ran: Ran, *, is_json: bool = False) -> None:
    """Both streams hold nothing that acts; stdout is JSON if the command line says so."""
    assert violations(ran.out) == []
    assert violations(ran.err) == []
    assert "Traceback" not in ran.err
    assert "Internal error" not in ran.err, ran.err
    assert not is_json or not ran.out or ran.is_json


def saying(hostile: str) -> Any:
    """An API whose answers hold this text wherever it is not keyform that chose it."""

    def change(value: Any, name: str = "") -> Any:
        match value:
            case dict():
                return {key: change(each, key) for key, each in value.items()}
            case list() if name != "api_keys":
                return [change(each, name) for each in value]
            case str() if name == "description" and "[keyform" in value:
                return f"{hostile} {value}"
            case str() if name in ("description", "status", "error", "consolidated_status"):
                return hostile
            case str() if name in ("name", "address") and value in ("portal-made", "bystander"):
                return hostile
            case _:
                return value

    def fault(request: Request, proceed: Proceed) -> Answer:
        answer = proceed(request)
        if not answer.body or request.path.startswith("/dataplane"):
            return answer
        body = json.dumps(change(json.loads(answer.body))).encode()
        return Answer(answer.status, answer.headers, body)

    return fault


# --- The API ----------------------------------------------------------------------------------------------------------


@pytest.mark.attack("project member")
@pytest.mark.parametrize("name", SHORT)
def test_text_in_the_portal_is_only_shown(name: str, world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    world.fail(saying(SHORT[name]))
    for argv in (*READING, *CHANGING[:1], *READING, *CHANGING[1:]):
        judge(keyform(*argv, "--log-level", "debug"), is_json="--json" in argv)


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 418, 429, 500, 503])
@pytest.mark.parametrize("name", ["github v2", "azure", "split by escape", "gitlab", "bidi", "marks", "line feed"])
def test_an_errors_words_are_only_shown(name: str, status: int, world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    text = SHORT[name]
    fields = {"exception_class": text, "request_id": text, "info": text, "invalid_fields": {text: [text]}, "code": text}
    world.fail(always(refusal(status, text, headers={"X-Request-ID": "a", "Retry-After": "0"}, **fields)))
    for argv in (*READING, *CHANGING):
        judge(keyform(*argv, "--log-level", "debug"), is_json="--json" in argv)


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("name", ["github v2", "azure", "split by escape", "gitlab", "bidi", "marks", "line feed"])
def test_a_tasks_name_and_its_error_are_only_shown(name: str, world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    text = SHORT[name]

    def fault(request: Request, proceed: Proceed) -> Answer:
        if "/tasks/" in request.path:
            body = {"id": text, "state": "ERROR", "error": text, "task_type": text, "created_on": text}
            return Answer(200, {"Content-Type": "application/json"}, json.dumps(body).encode())
        answer = proceed(request)
        if b'"tasks"' in answer.body:
            return Answer(200, answer.headers, json.dumps({"tasks": [f"id{text}"]}).encode())
        return answer

    world.fail(fault)
    for argv in CHANGING[:2]:
        judge(keyform(*argv, "--log-level", "debug"), is_json="--json" in argv)


@pytest.mark.attack("project member")
@pytest.mark.parametrize("name", SHORT)
def test_who_holds_the_lock_is_only_shown(name: str, world: World, keyform: Keyform) -> None:
    """The holder's text is a description, which the portal can write."""
    world.write(TWO_KEYS)
    held = {"name": "keyform-lock-shop-e1", "created_at": "2026-01-01T00:00:00Z", "expires_at": "2099-01-01T00:00:00Z"}

    def fault(request: Request, proceed: Proceed) -> Answer:
        answer = proceed(request)
        if request.method == "POST" and b"keyform-lock" in request.body:
            return refusal(409, SHORT[name], exception_class="ConflictError")
        if request.method == "GET" and b'"results"' in answer.body and "api_keys" in request.path:
            page = json.loads(answer.body)
            text = f"held by {SHORT[name]} since 2026-01-01T00:00:00Z [keyform-lock abcd]"
            page["results"].append({**held, "description": text, "deployment_names": []})
            page["count"] += 1
            return Answer(200, answer.headers, json.dumps(page).encode())
        return answer

    world.fail(fault)
    for timeout in ("0s", "5s"):
        ran = keyform("apply", "--auto-approve", "--lock-timeout", timeout, "--log-level", "debug")
        judge(ran)
        assert ran.code == 1
        assert "at the latest" in ran.err


# --- Files, arguments, environment ------------------------------------------------------------------------------------


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("name", IN_NAMES)
def test_a_files_name_is_only_shown(name: str, world: World, keyform: Keyform) -> None:
    """Missing, no YAML, a folder, an address inside a file: every error names it."""
    text = IN_NAMES[name]
    judge(keyform("validate", "-f", text))
    world.write("version: 1\nstack: [\n", text)
    judge(keyform("validate", "-f", text))
    world.write(f"version: 1\nstack: 7\nkeys: {{{json.dumps(text)}: 5}}\n", text)
    judge(keyform("plan", "-f", text, "--log-level", "debug"))
    judge(keyform("status", "-f", "keyform.yaml", "--out", f"nowhere/{text}"))
    judge(keyform("init", "-f", text))
    judge(keyform("init", "-f", f"new{text}"))
    (world.folder / text).unlink()
    world.write(TWO_KEYS)
    judge(keyform("status", "--out", text))
    (world.folder / text).unlink()
    (world.folder / text).mkdir()
    judge(keyform("status", "--out", text))
    judge(keyform("validate", "-f", text))


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("name", SHORT)
def test_text_in_a_file_is_only_shown(name: str, world: World, keyform: Keyform) -> None:
    text = json.dumps(SHORT[name])
    for file in (
        f"version: 1\nstack: {text}\nproject: {text}\n{text}: {text}\nkeys:\n  {text}: {{deployments: [{text}]}}\n",
        HEAD + f"keys:\n  payments:\n    description: {text}\n    deployments: [llama3, {text}]\n    sink: {text}\n",
        HEAD + f"keys:\n  payments:\n    description: {text}\n    deployments: [llama3]\n    adopt: {text}\n",
        HEAD.replace("secrets.env", "x") + f"keys: {{}}\ndeployments:\n  {text}: {{auth: {text}}}\nsafety: {text}\n",
        f"version: 1\nstack: shop\nproject: 1234\nsinks:\n  local: {{type: dotenv, path: {text}}}\n"
        "keys:\n  payments: {sink: local, deployments: [llama3]}\n",
        f"version: 1\nstack: shop\nproject: 1234\nsinks:\n  run: {{type: command, write: [{text}, {text}]}}\n"
        "keys:\n  payments: {sink: run, deployments: [llama3]}\n",
        f"version: 1\nstack: ${{KEYFORM_VAR_{text[1:-1]}}}\n",
        SHORT[name].replace("\ud800", "").replace("\udc00", "").replace("\udcff", ""),
    ):
        world.write(file)
        for argv in (["validate"], ["plan"], ["plan", "--json"], ["apply", "--auto-approve"]):
            judge(keyform(*argv, "--log-level", "debug"), is_json="--json" in argv)


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("name", IN_NAMES)
def test_an_argument_is_only_shown(name: str, world: World, keyform: Keyform) -> None:
    text = IN_NAMES[name]
    world.write(TWO_KEYS)
    for argv in (
        [text],
        [f"-{text}"],
        ["plan", text],
        ["plan", f"--{text}"],
        ["plan", "--parallelism", text],
        ["plan", "--log-level", text],
        ["plan", "--request-timeout", text],
        ["status", "--format", text],
        ["rotate", text, "--auto-approve"],
        ["rotate", "--due", text],
        ["init", "--stack", text],
        ["init", "--project", text],
        ["emulator", "--seed", text],
        ["emulator", "--db", f"nowhere/{text}"],
        ["emulator", "--host", text.replace("\udcff", ""), "--port", "0"] if text.isascii() else ["plan", "--port"],
        ["demo", "--keep", text, "--nonsense"],
    ):
        judge(keyform(*argv))


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("name", SHORT)
def test_a_variable_is_only_shown(name: str, world: World, keyform: Keyform) -> None:
    text = SHORT[name]
    world.write(TWO_KEYS.replace("secrets.env", '"${KEYFORM_VAR_TEAM}/x"'))
    text = text.replace("\0", "")  # no environment holds it
    env = {"KEYFORM_VAR_TEAM": text, "USER": text, "CI_JOB_URL": text, "GITHUB_REPOSITORY": text}
    for argv in (*READING, *CHANGING):
        judge(keyform(*argv, env=env), is_json="--json" in argv)
    for place in ("GCORE_BASE_URL", "GCORE_API_KEY", "GCORE_CLOUD_PROJECT_ID"):
        world.write(TWO_KEYS.replace("project: 1234", "project: ${GCORE_CLOUD_PROJECT_ID}"))
        ran = keyform("plan", "--log-level", "debug", env={"GCORE_CLOUD_PROJECT_ID": "1234", place: text})
        judge(ran)


@pytest.mark.attack("after merge")
@pytest.mark.parametrize("name", SHORT)
def test_what_a_sinks_program_says_is_only_shown(name: str, world: World, keyform: Keyform) -> None:
    program = world.folder / "save"
    said = SHORT[name].encode("utf-8", "surrogatepass")
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.buffer.write({said!r})\nsys.exit(3)\n", "utf-8")
    program.chmod(0o755)
    world.write(
        "version: 1\nstack: shop\nproject: 1234\nsinks:\n  run: {type: command, write: [./save]}\n"
        "keys:\n  payments: {sink: run, deployments: [llama3]}\n"
    )
    judge(keyform("apply", "--auto-approve"))


@pytest.mark.attack("project member")
@pytest.mark.parametrize("name", SHORT)
def test_what_a_sinks_file_holds_is_only_shown(name: str, world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    record = {"stack": "shop", "key": SHORT[name], "generation": 1, "live_name": SHORT[name], "secret": SHORT[name]}
    (world.folder / "jobs.json").write_text(json.dumps({"search": {**record, "keyform": record}, SHORT[name]: record}))
    text = SHORT[name].encode("utf-8", "surrogatepass")
    (world.folder / "secrets.env").write_bytes(
        b"# keyform: shop/payments g1 " + text + b"\nPAYMENTS_KEY='" + text + b"'\n"
    )
    for path in ("jobs.json", "secrets.env"):
        (world.folder / path).chmod(0o600)
    for argv in (*READING, *CHANGING):
        judge(keyform(*argv), is_json="--json" in argv)


@pytest.mark.control
def test_the_corpus_in_one_value_is_what_it_says() -> None:
    assert violations(EVERYTHING)


# --- Faults of keyform's own ------------------------------------------------------------------------------------------


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("kind", [ValueError, RecursionError, MemoryError, UnicodeError, KeyError, AssertionError])
@pytest.mark.parametrize("level", ["warning", "debug"])
def test_no_traceback_reaches_a_user(
    kind: type[Exception], level: str, world: World, keyform: Keyform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: System) -> None:
        raise kind(f"{EVERYTHING} {TOKEN}")

    world.write(TWO_KEYS)
    monkeypatch.setattr(System, "now", fails)
    ran = keyform("plan", "--log-level", level)
    assert ran.code == 1
    assert violations(ran.err) == []
    sentence, way_out, *frames = ran.err[ran.err.index("Error: ") :].rstrip().split("\n")
    said = "Error: Internal error:"
    assert re.fullmatch(rf"{said} {kind.__name__} at reconciler[.\w]*:\d+\. This is a bug in keyform\.", sentence)
    assert way_out.startswith("  Run plan to see what is live.")
    assert bool(frames) is (level == "debug")
    assert all(re.fullmatch(r"debug: [.\w]+:\d+", frame) for frame in frames)
    assert "FORGED" not in ran.err


PLANTED = """\
import gc, logging, sys, threading, warnings
import reconciler.cli.{command} as command

class Falls:
    def __del__(self):
        raise ValueError("canary-value")

def run(args, terminal):
    thread = threading.Thread(target=lambda: 1 / len(""), name="canary-value")
    thread.start()
    thread.join()
    Falls()
    gc.collect()
    warnings.warn("canary-value")
    logging.getLogger("httpx").error("canary-value")
    logging.getLogger("botocore").critical("canary-value %s %s", 1)
    return 0

command.run = run
sys.argv = ["keyform", "validate"]
from reconciler.cli import main
sys.exit(main())
"""


@pytest.mark.attack("API or proxy")
def test_threads_destructors_warnings_and_libraries_write_nothing(world: World) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLANTED.format(command="validate")],
        cwd=world.folder,
        env={**world.env, **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- Files that a command writes --------------------------------------------------------------------------------------

FORMATS = ("text", "json", "html")


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A file outside of the checkout, which stays as it is."""
    path = tmp_path / "outside"
    path.write_text("mine", encoding="utf-8")
    yield path
    assert path.read_text(encoding="utf-8") == "mine"


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("shape", FORMATS)
def test_a_committed_link_is_not_written_through(
    shape: str, world: World, keyform: Keyform, outside: Path, tmp_path: Path
) -> None:
    world.write(TWO_KEYS)
    (world.folder / "link").symlink_to(outside)
    (world.folder / "dangling").symlink_to(tmp_path / "new")
    (world.folder / "public").symlink_to(tmp_path)
    for name in ("link", "dangling", "public/outside", "public/new", str(world.folder / "public" / "new")):
        ran = keyform("status", "--format", shape, "--out", name)
        assert (ran.code, ran.out) == (1, "")
        assert "link" in ran.err
    assert not (tmp_path / "new").exists()


@pytest.mark.attack("pull request author")
def test_init_adds_to_no_file_that_a_link_leads_to(world: World, keyform: Keyform, outside: Path) -> None:
    (world.folder / ".gitignore").symlink_to(outside)
    ran = keyform("init")
    assert ran.code == 1
    assert ".gitignore is a symbolic link. It was not changed." in ran.err


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("shape", FORMATS)
def test_what_is_no_file_is_not_written_to(shape: str, world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    os.mkfifo(world.folder / "pipe")
    (world.folder / "folder").mkdir()
    (world.folder / "loop").symlink_to("loop")
    for name in ("pipe", "folder", "loop", "loop/x", "/dev/full", "."):
        ran = keyform("status", "--format", shape, "--out", name)
        assert (ran.code, ran.out) == (1, ""), name
        assert ran.err.startswith(f"Error: {name}"), name
    assert sorted(path.name for path in world.folder.iterdir()) == ["folder", "keyform.yaml", "loop", "pipe"]


@pytest.mark.control
def test_a_file_is_replaced_whole_and_keeps_its_mode(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    old = world.write("x" * 100_000, "status.html")
    old.chmod(0o640)
    with old.open("rb") as reader:
        assert keyform("status", "--format", "html", "--out", "status.html").code == 0
        assert reader.read() == b"x" * 100_000
    assert old.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert sorted(path.name for path in world.folder.iterdir()) == ["keyform.yaml", "status.html"]


@pytest.mark.control
def test_a_full_disk_loses_nothing(world: World, keyform: Keyform, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(TWO_KEYS)
    old = world.write("before", "status.html")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    ran = keyform("status", "--out", "status.html")
    assert ran.code == 1
    assert "Error: status.html cannot be written: No space left on device.\n" in ran.err
    assert old.read_text(encoding="utf-8") == "before"
    assert sorted(path.name for path in world.folder.iterdir()) == ["keyform.yaml", "status.html"]
