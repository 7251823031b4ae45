"""stdout carries the result and nothing else, whatever the streams are and wherever they lead; exit codes."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli.conftest import Keyform
from cli.stage import HEAD, ONE_KEY, TWO_KEYS, World
from support.schemas import validator

import reconciler
from reconciler.cli.terminal import Terminal

FOREIGN_WORDS = HEAD + "keys:\n  payments:\n    description: Zahlung für Łukasz — 支払い ✓\n    deployments: [llama3]\n"


def test_the_exit_code_of_plan_tells_of_changes_only_when_asked(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    assert keyform("plan").code == 0
    assert keyform("plan", "--detailed-exitcode").code == 2
    assert keyform("plan", "--detailed-exitcode", "--json").code == 2
    assert keyform("apply", "--auto-approve").code == 0
    assert keyform("plan", "--detailed-exitcode").code == 0
    world.write(ONE_KEY.replace("llama3", "lama3"))
    assert keyform("plan", "--detailed-exitcode").code == 1
    assert keyform("plan", "--detailed-exitcode", "-f", "missing.yaml").code == 1
    assert keyform("plan", "--detailed-exitcode", "--nonsense").code == 1


@pytest.mark.process("what the streams of a process carry, whoever writes")
def test_stdout_carries_the_result_and_stderr_the_progress(world: World) -> None:
    world.write(TWO_KEYS)
    ran = world.run("apply", "--auto-approve")
    assert ran.code == 0
    assert ran.out.startswith("Exposures\n")
    assert "\n\nkeyform will perform the following actions in stack shop (project 1234):\n" in ran.out
    assert ran.out.endswith("\n\nApply complete! Keys: 2 added, 0 changed, 0 rotated, 0 destroyed.\n")
    assert "key.payments: created payments in" in ran.err
    assert "\x1b" not in ran.out + ran.err


@pytest.mark.parametrize("level", ["error", "warning", "info", "debug"])
def test_json_is_all_of_stdout_at_every_log_level(world: World, keyform: Keyform, level: str) -> None:
    world.write(TWO_KEYS)
    ran = keyform("plan", "--json", "--log-level", level)
    assert ran.json["format_version"] == "1.2"
    assert {"key.payments", "key.search"} < {change["address"] for change in ran.json["resource_changes"]}
    assert ("debug: request: GET" in ran.err) == (level == "debug")
    ran = keyform("apply", "--json", "--auto-approve", "--log-level", level)
    assert ran.result["complete"] is True
    assert keyform("status", "--json", "--log-level", level).json
    ran = keyform("destroy", "--json", "--auto-approve", "--log-level", level)
    assert ran.result["complete"] is True


def test_a_run_is_a_stream_of_events_that_ends_with_its_result(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    ran = keyform("apply", "--json", "--auto-approve")
    kinds = [event["type"] for event in ran.events]
    assert kinds[0] == "version"
    assert kinds[-2:] == ["change_summary", "keyform_result"]
    told = {event["change"]["resource"]["addr"] for event in ran.told("planned_change")}
    assert told == {each["address"] for each in ran.plan["resource_changes"] if each["type"] == "keyform_key"}
    started = [event["hook"]["resource"]["addr"] for event in ran.told("apply_start")]
    assert sorted(started) == ["key.payments", "key.search"]
    assert {event["step"]["id"] for event in ran.told("keyform_step")} == {
        step["id"] for step in ran.plan["keyform"]["changes"]
    }
    ran = keyform("rotate", "payments", "--json", "--auto-approve")
    (change,) = ran.told("planned_change")
    assert (change["change"]["action"], change["change"]["reason"]) == ("replace", "requested")
    ran = keyform("destroy", "--json", "--auto-approve")
    assert ran.told("change_summary")[-1]["@message"] == "Destroy complete! Resources: 2 destroyed."


def test_a_stream_says_what_it_cannot_do_and_still_ends_with_its_result(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS.replace("webui", "wobui"))
    ran = keyform("apply", "--json", "--auto-approve")
    assert ran.code == 1
    *_, error, last = ran.events
    assert (error["type"], error["@level"], last["type"]) == ("diagnostic", "error", "keyform_result")
    assert error["diagnostic"]["summary"] == ran.plan["keyform"]["unmet"][0]["message"]
    assert ran.err.count(error["diagnostic"]["summary"]) == 1, "stderr says it once"
    assert last["result"]["complete"] is True, "all that was planned was done"


def test_a_stream_without_approval_ends_with_why(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    ran = keyform("apply", "--json")
    assert ran.code == 1
    assert ran.events[-1]["diagnostic"]["summary"].startswith("stdin is not a terminal")
    assert world.writes == []


def test_the_schemas_of_what_is_printed_can_be_had(keyform: Keyform) -> None:
    for name in ("plan", "events"):
        assert keyform("schema", name).json == validator(name).schema


def test_two_plans_of_the_same_are_the_same_but_for_their_time(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    one, other = (re.sub(r"\d{4}-\d\d-\d\dT[0-9:]+Z", "", keyform("plan", "--json").out) for _ in range(2))
    assert one == other
    assert keyform("plan").out == keyform("plan").out


@pytest.mark.process("a pipe breaks")
@pytest.mark.parametrize(
    "arguments", ["plan", "status", "apply --auto-approve", "--help", "plan --json", "apply --auto-approve --json"]
)
def test_a_reader_that_goes_away_is_no_trouble(world: World, arguments: str) -> None:
    world.write(TWO_KEYS)
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as gone:
        assert gone.stdin is not None
        gone.wait()
        ran = world.run(*arguments.split(), stdout=gone.stdin)
    assert ran.code == 0
    assert "Error" not in ran.err
    assert "Exception" not in ran.err


@pytest.mark.process("a pipe breaks")
def test_an_apply_goes_on_when_nobody_reads_its_progress(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as gone:
        assert gone.stdin is not None
        gone.wait()
        assert world.run("apply", "--auto-approve", stdout=gone.stdin, stderr=gone.stdin).code == 0
    world.in_order(keyform)


def closes(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.mark.process("it starts with closed streams")
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=["stdin", "stdout", "stderr", "all"])
def test_streams_that_are_closed_are_no_trouble(world: World, keyform: Keyform, closed: tuple[int, ...]) -> None:
    world.write(TWO_KEYS)
    assert world.run("plan", "--detailed-exitcode", before=lambda: closes(*closed)).code == 2
    assert world.run("apply", "--auto-approve", before=lambda: closes(*closed)).code == 0
    world.in_order(keyform)


@pytest.mark.process("its stdout is a device")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full, as Linux has it")
@pytest.mark.parametrize(
    "command", ["plan", "plan --json", "apply --json --auto-approve", "unlock", "--help", "plan --help", "--version"]
)
def test_an_output_that_cannot_be_written_is_an_error(world: World, command: str) -> None:
    world.write(TWO_KEYS)
    with Path("/dev/full").open("wb") as full:
        ran = world.run(*command.split(), stdout=full)
    assert ran.code == 1
    assert ran.err == (
        "Error: The output cannot be written: No space left on device.\n  check where stdout is redirected to\n"
    )


@pytest.mark.process("an encoding is chosen when Python starts")
@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ],
    ids=["C", "POSIX", "ascii"],
)
def test_any_encoding_will_do(world: World, env: dict[str, str]) -> None:
    world.write(FOREIGN_WORDS)
    for command in (["apply", "--auto-approve"], ["status"]):
        ran = world.run(*command, env=env)
        assert ran.code == 0, ran.err
        assert "UnicodeEncodeError" not in ran.err
    description = world.emulator.live_keys(1234)["payments"].description or ""
    assert description.startswith("Zahlung für Łukasz — 支払い ✓ [keyform"), "what is sent is not bent"
    ran = world.run("plan", "-f", "für-✓.yaml", env=env)
    assert ran.code == 1
    assert "no such file" in ran.err


def test_a_file_name_that_is_no_text_is_told(keyform: Keyform) -> None:
    ran = keyform("validate", "-f", os.fsdecode(b"\xff.yaml"))
    assert ran.code == 1
    assert "no such file" in ran.err


# --- Help, version, start-up ------------------------------------------------------------------------------------------


def test_the_version_is_the_packages(keyform: Keyform) -> None:
    ran = keyform("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"keyform {reconciler.__version__}\n", "")


def test_the_help_lists_every_command_and_what_it_does(world: World, keyform: Keyform) -> None:
    ran = keyform("--help")
    assert (ran.code, ran.err) == (0, "")
    commands = re.findall(r"^    ([a-z]+) {2,}(\S.*)$", ran.out, re.MULTILINE)
    assert [name for name, _ in commands] == [
        "init", "validate", "plan", "show", "diff", "apply", "status", "verify", "rotate", "destroy", "unlock",
        "doctor", "emulator", "schema", "demo",
    ]  # fmt: skip
    assert "GCORE_API_KEY" in ran.out
    assert "130 interrupted" in ran.out
    for name, text in commands:
        ran = keyform(name, "--help")
        assert ran.code == 0
        assert ran.out.startswith(f"usage: keyform {name} ")
        assert text.split()[0] in ran.out
        assert ran.out.isascii()


HEAVY = (
    "httpx", "deepdiff", "rich", "click", "pygments", "starlette", "uvicorn", "asyncio", "jsonschema", "lark", "arrow",
    "yaml", "sqlite3",
)  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "allowed"),
    [
        (["--version"], ()),
        (["validate"], ("jsonschema", "yaml")),
        (["plan"], ("jsonschema", "yaml", "httpx")),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_loads_no_library_that_it_does_not_need(
    world: World, argv: list[str], allowed: tuple[str, ...]
) -> None:
    world.write(ONE_KEY)
    script = (
        "import sys, atexit\n"
        f"heavy = {HEAVY!r}\n"
        "atexit.register(lambda: print('loaded', *[n for n in heavy if sys.modules.get(n)], file=sys.stderr))\n"
        "from reconciler.cli import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *argv],
        cwd=world.folder,
        env={**world.env, **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stderr.split("loaded")[-1].split())
    assert loaded <= set(allowed)


def test_a_signal_that_comes_in_the_middle_of_a_line_is_not_kept_from_saying_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python refuses to enter a buffer twice, so that the handler's own line was lost."""
    terminal = Terminal.open(os.environ, no_color=True, log_level="warning")
    reader, writer = os.pipe()

    class Signalled(io.RawIOBase):
        is_first = True

        def writable(self) -> bool:
            return True

        def fileno(self) -> int:
            return writer

        def write(self, data: object) -> int:
            if self.is_first:
                self.is_first = False
                terminal.tell("Stopping.")
            return os.write(writer, bytes(data))  # type: ignore[call-overload]

    with io.TextIOWrapper(io.BufferedWriter(Signalled())) as stream:
        monkeypatch.setattr("sys.stderr", stream)
        terminal.tell("16/26 Ask the deployment")
        terminal.tell("17/26 Ask it again")
    assert sorted(os.read(reader, 1000).splitlines()) == [
        b"16/26 Ask the deployment",
        b"17/26 Ask it again",
        b"Stopping.",
    ]
    os.close(reader)
    os.close(writer)
