"""The command sink, with real child processes: what they get, and what their exit status means."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sinks.command_stage import is_gone, open_command, refused, save, script, wait_until
from sinks.stage import CANARY, record

from reconciler.effects import System
from reconciler.errors import Interrupted, SinkError
from reconciler.model import Secret

PY = sys.executable
GIVEN = (
    *("KEYFORM_API", "KEYFORM_PROJECT", "KEYFORM_STACK", "KEYFORM_KEY"),
    *("KEYFORM_GENERATION", "KEYFORM_LIVE_NAME", "KEYFORM_CREATED_AT"),
)
SAVE = """\
import json, os, pathlib, sys
seen = {"argv": sys.argv[1:], "env": dict(os.environ), "stdin": sys.stdin.buffer.read().decode(), "cwd": os.getcwd()}
pathlib.Path("seen.json").write_text(json.dumps(seen))
"""


# --- What it is given -------------------------------------------------------------------------------------------------


def test_the_secret_is_on_standard_input_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCORE_API_KEY", "t0ken-of-the-api")
    monkeypatch.setenv("TEAM", "payments")
    name = script(tmp_path, SAVE)
    save(open_command(tmp_path, write=(name, "{key}", "--stack={stack}", "g{generation}", "{other} {{key}}", "a b;$x")))
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["stdin"] == CANARY
    assert seen["argv"] == [
        "payments-api",
        "--stack=inference-prod",
        "g2",
        "{other} {payments-api}",
        "a b;$x",
    ]
    assert {name: value for name, value in seen["env"].items() if name in (*GIVEN, "GCORE_API_KEY", "TEAM")} == {
        "KEYFORM_API": "api.gcore.com",
        "KEYFORM_PROJECT": "1234",
        "KEYFORM_STACK": "inference-prod",
        "KEYFORM_KEY": "payments-api",
        "KEYFORM_GENERATION": "2",
        "KEYFORM_LIVE_NAME": "payments-api-g2",
        "KEYFORM_CREATED_AT": "2026-11-21T10:00:00Z",
        "TEAM": "payments",
    }
    assert CANARY not in json.dumps([seen["argv"], seen["env"]])
    assert seen["cwd"] == str(tmp_path)


def test_every_byte_of_the_secret_arrives(tmp_path: Path) -> None:
    secret = "a'\"\\ $é\n\t" + "x" * 3000
    save(open_command(tmp_path, write=("sh", "-c", "cat > out")), secret=secret)
    assert (tmp_path / "out").read_bytes() == secret.encode()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_the_system_shows_no_secret_of_a_command_while_it_runs(tmp_path: Path) -> None:
    sink = open_command(
        tmp_path, write=("sh", "-c", "echo $$ > pid.new; mv pid.new pid; cat go > /dev/null; cat > out")
    )
    os.mkfifo(tmp_path / "go")
    writing = threading.Thread(target=save, args=(sink,))
    writing.start()
    wait_until((tmp_path / "pid").exists)
    process = Path("/proc") / (tmp_path / "pid").read_text().strip()
    shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    assert b"KEYFORM_KEY=payments-api" in shown
    assert CANARY.encode() not in shown
    assert os.getsid(int(process.name)) == int(process.name)  # Ctrl-C at keyform's terminal does not reach it
    (tmp_path / "go").write_text("")
    writing.join(20)
    assert (tmp_path / "out").read_text() == CANARY


def test_removing_is_told_the_key_and_nothing_of_a_generation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYFORM_GENERATION", "of a run around this one")
    name = script(tmp_path, SAVE)
    open_command(tmp_path, write=("true",), remove=(name, "{stack}/{key}")).remove("payments-api")
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert (seen["stdin"], seen["argv"]) == ("", ["inference-prod/payments-api"])
    assert [name for name in GIVEN if name in seen["env"]] == list(GIVEN[:4])


def test_without_a_command_for_removing_nothing_is_removed(tmp_path: Path) -> None:
    ran: list[object] = []

    class Still(System):
        def run(self, *arguments: object, **named: object) -> Any:
            ran.append(arguments)

    open_command(tmp_path, Still(), write=("true",)).remove("payments-api")
    assert ran == []


def test_it_says_that_it_cannot_be_read_back_and_whether_it_can_remove(tmp_path: Path) -> None:
    sink = open_command(tmp_path, write=("true",))
    assert (sink.name, sink.traits.readable, sink.read(["payments-api"])) == ("pager", False, {})
    assert not sink.traits.removable
    assert open_command(tmp_path, write=("true",), remove=("true",)).traits.removable


# --- How it ends ------------------------------------------------------------------------------------------------------


def test_a_command_that_fails_may_have_saved_it(tmp_path: Path) -> None:
    error = refused(lambda: save(open_command(tmp_path, write=("sh", "-c", "echo no room >&2; exit 3"))))
    assert error.message == "sink pager: sh ended with status 3, saying: no room"
    assert error.way_out == (
        "Fix the cause and run apply again: it publishes a new generation, whether or not this one was saved."
    )
    assert error.effect_is_unknown


def test_a_command_that_is_killed_may_have_saved_it(tmp_path: Path) -> None:
    error = refused(lambda: save(open_command(tmp_path, write=("sh", "-c", "kill -9 $$"))))
    assert (error.message, error.effect_is_unknown) == (
        "sink pager: sh was killed by SIGKILL, without any output",
        True,
    )


def test_a_command_that_does_not_end_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    sink = open_command(tmp_path, write=("sh", "-c", "sleep 600 & echo $! > pid; wait"), timeout=1)
    error = refused(lambda: save(sink))
    assert error.message == "sink pager: sh did not end within 1 seconds, and was killed"
    assert "raise `timeout`" in error.way_out
    assert error.effect_is_unknown
    wait_until(lambda: is_gone(int((tmp_path / "pid").read_text())))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (("./missing.sh",), "./missing.sh could not be started: No such file or directory"),
        (("keyform-no-such-program",), "keyform-no-such-program could not be started: No such file or directory"),
        (("./plain.txt",), "./plain.txt could not be started: Permission denied"),
        (("./not-a-program",), "./not-a-program could not be started: Exec format error"),
    ],
)
def test_a_command_that_cannot_be_started_has_saved_nothing(
    tmp_path: Path, write: tuple[str, ...], message: str
) -> None:
    (tmp_path / "plain.txt").write_text("#!/bin/sh\n")
    (tmp_path / "not-a-program").write_bytes(b"\x00\x01")
    (tmp_path / "not-a-program").chmod(0o755)
    error = refused(lambda: save(open_command(tmp_path, write=write)))
    assert (error.message, error.effect_is_unknown) == (f"sink pager: {message}", False)


def test_a_secret_longer_than_a_pipe_takes_at_once_is_refused(tmp_path: Path) -> None:
    error = refused(lambda: save(open_command(tmp_path, write=("cat",)), secret=CANARY * 200))
    assert not error.effect_is_unknown


def test_a_command_that_does_not_read_its_input_is_believed(tmp_path: Path) -> None:
    save(open_command(tmp_path, write=("touch", "done")))
    assert (tmp_path / "done").exists()


def test_what_a_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    begun = time.monotonic()
    save(open_command(tmp_path, write=("sh", "-c", "sleep 5 & echo $! > pid")))
    assert time.monotonic() - begun < 4.5
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_failed_removal_is_told(tmp_path: Path) -> None:
    sink = open_command(tmp_path, write=("true",), remove=("sh", "-c", "echo not today >&2; exit 1"))
    error = refused(lambda: sink.remove("payments-api"))
    assert error.message == "sink pager: sh ended with status 1, saying: not today"
    assert "must succeed if the secret is already gone" in error.way_out
    assert error.effect_is_unknown


# --- Before a key is made ---------------------------------------------------------------------------------------------


def test_probing_starts_nothing(tmp_path: Path) -> None:
    name = script(tmp_path, SAVE)
    open_command(tmp_path, write=(name,), remove=("sh",)).probe(["payments-api"])
    assert not (tmp_path / "seen.json").exists()


@pytest.mark.parametrize("option", ["write", "remove"])
@pytest.mark.parametrize("program", ["./missing.sh", "keyform-no-such-program", "./plain.txt", "./folder"])
def test_a_program_that_cannot_be_executed_is_found_by_probing(tmp_path: Path, program: str, option: str) -> None:
    (tmp_path / "plain.txt").touch()
    (tmp_path / "folder").mkdir()
    sink = open_command(tmp_path, **{"write": ("true",), option: (program,)})
    error = refused(lambda: sink.probe(["payments-api"]))
    assert error.message == f"sink pager: the program {program} does not exist, or is not executable"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"write": ()},
        {"write": ("",)},
        {"write": "./save.sh {key}"},
        {"write": ("a", "b\0c")},
        {"write": ("true",), "remove": ()},
        {"write": ("true",), "remove": ("true", "{generation}")},
        {"write": ("true",), "timeout": 0},
        {"write": ("true",), "timeout": "60s"},
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    assert refused(lambda: open_command(tmp_path, **options)).message.startswith("sink pager: `")


# --- The end of a run ------------------------------------------------------------------------------------------------


def test_a_run_that_waits_for_nothing_any_more_kills_its_commands(tmp_path: Path) -> None:
    effects = System()
    sink = open_command(tmp_path, effects, write=("sh", "-c", "echo $$ > pid.new; mv pid.new pid; exec sleep 600"))
    ended: list[BaseException] = []

    def write() -> None:
        try:
            save(sink)
        except Interrupted as error:
            ended.append(error)

    writing = threading.Thread(target=write)
    writing.start()
    wait_until((tmp_path / "pid").exists)
    effects.abandon()
    writing.join(20)
    assert [str(error) for error in ended] == ["Interrupted while a command ran."]
    assert is_gone(int((tmp_path / "pid").read_text()))
    open_command(tmp_path, effects, write=("true",)).write(record("payments-api"), Secret(CANARY))


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    sinks = [open_command(tmp_path, write=write, timeout=1) for write in (("true",), ("./no",), ("sleep", "9"))]
    before = descriptors()
    for sink in sinks:
        with suppress(SinkError):
            save(sink)
    wait_until(lambda: descriptors() <= before)


def test_a_full_system_is_told_as_what_it_is(tmp_path: Path) -> None:
    class Full(System):
        def run(self, *arguments: object, **named: object) -> Any:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    error = refused(lambda: save(open_command(tmp_path, Full(), write=("true",))))
    assert error.message == "sink pager: true could not be started: Resource temporarily unavailable"
    assert not error.effect_is_unknown


# --- Whether a program could be started -------------------------------------------------------------------------------


def starts(program: Path) -> bool:
    """What the system does with it."""
    try:
        return System().run([str(program)], folder=program.parent).returncode == 0
    except OSError:
        return False


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"#!/bin/sh\r\nexit 0\r\n",
            "cannot be started: its first line ends in CR, and there is no program /bin/sh\\r",
        ),
        (b"#!/bin/sh -e\r\n", "cannot be started: its first line ends in CR, and there is no program /bin/sh -e\\r"),
        (
            b"#!/usr/bin/env bash\r\n",
            "cannot be started: its first line ends in CR, and there is no program /usr/bin/env bash\\r",
        ),
        (b"#!/opt/none/python3\n", "cannot be started: its first line names /opt/none/python3, which does not exist"),
        (b"#! \n", "cannot be started: its first line names no program, which does not exist"),
        (b"#!none/sh\n", "cannot be started: its first line names none/sh, which does not exist"),
        (b"#!/usr/bin/env keyform-none\n", "cannot be started: its first line asks env for keyform-none, which is not"),
        (b"", "cannot be started: it is empty"),
        (b"exit 0\n", "cannot be started: it does not begin with `#!`"),
        (b"\xef\xbb\xbf#!/bin/sh\n", "cannot be started: it begins with a byte order mark"),
    ],
)
@pytest.mark.parametrize("option", ["write", "remove", "check"])
def test_a_script_that_the_system_cannot_start_is_found_by_probing(
    tmp_path: Path, content: bytes, message: str, option: str
) -> None:
    (tmp_path / "save.sh").write_bytes(content)
    (tmp_path / "save.sh").chmod(0o755)
    sink = open_command(tmp_path, **{"write": ("true",), option: ("./save.sh",)})
    assert refused(lambda: sink.probe(["payments-api"])).message.startswith(f"sink pager: ./save.sh {message}")
    assert not starts(tmp_path / "save.sh")


@pytest.mark.parametrize(
    "content",
    [
        b"#!/bin/sh\nexit 0\n",
        b"#! \t/bin/sh  -e \nexit 0\n",
        b"#!/usr/bin/env sh\n",
        b"#!/usr/bin/env -S sh -e\n",
        b"#!bin/sh",
    ],
)
def test_a_script_that_the_system_starts_passes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bin").symlink_to("/bin")
    (tmp_path / "real.sh").write_bytes(content)
    (tmp_path / "real.sh").chmod(0o755)
    (tmp_path / "save.sh").symlink_to("real.sh")
    open_command(tmp_path, write=("./save.sh",)).probe(["payments-api"])
    assert starts(tmp_path / "save.sh")


def test_a_program_that_may_be_executed_and_not_read_passes(tmp_path: Path) -> None:
    class Hidden(System):
        asked = 0

        def first_bytes(self, path: Path) -> bytes:
            self.asked += 1
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    effects = Hidden()
    open_command(tmp_path, effects, write=("true",)).probe(["payments-api"])
    assert effects.asked == 1


# --- The program that checks ------------------------------------------------------------------------------------------


def test_the_program_that_checks_gets_no_secret_and_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCORE_API_KEY", "t0ken-of-the-api")
    monkeypatch.setenv("KEYFORM_KEY", "somebody-elses")
    name = script(tmp_path, SAVE)
    sink = open_command(tmp_path, write=("true",), check=(name, "{stack}", "now"))
    assert sink.destination == f"command true, checked by {name} '{{stack}}' now".replace("'{stack}'", "{stack}")
    sink.probe(["payments-api"])
    assert not (tmp_path / "seen.json").exists()
    sink.rehearse(["payments-api", "batch-jobs"])
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert (seen["stdin"], seen["argv"], seen["cwd"]) == ("", ["inference-prod", "now"], str(tmp_path))
    assert {name: value for name, value in seen["env"].items() if name in (*GIVEN, "GCORE_API_KEY")} == {
        "KEYFORM_API": "api.gcore.com",
        "KEYFORM_PROJECT": "1234",
        "KEYFORM_STACK": "inference-prod",
    }


def test_a_check_that_fails_says_why_and_nothing_was_written(tmp_path: Path) -> None:
    name = script(tmp_path, f"import sys\nsys.exit('sealed, token {CANARY}')\n")
    sink = open_command(tmp_path, write=("true",), check=(name,))
    error = refused(lambda: sink.rehearse(["payments-api"]))
    assert error.message == f"sink pager: {name} ended with status 1, saying: sealed, token (sensitive value)"
    assert error.way_out == "Fix the cause and run apply again: nothing was written, and no key was created."
    assert not error.effect_is_unknown
    slow = open_command(tmp_path, write=("true",), check=("sleep", "9"), timeout=1)
    error = refused(lambda: slow.rehearse([]))
    assert error.message == "sink pager: sleep did not end within 1 seconds, and was killed"
    assert not error.effect_is_unknown


def test_without_a_check_nothing_is_run(tmp_path: Path) -> None:
    name = script(tmp_path, SAVE)
    open_command(tmp_path, write=(name,), remove=(name,)).rehearse(["payments-api"])
    assert not (tmp_path / "seen.json").exists()


@pytest.mark.parametrize("argument", ["{key}", "--of={generation}"])
def test_a_check_of_one_key_is_refused(tmp_path: Path, argument: str) -> None:
    error = refused(lambda: open_command(tmp_path, write=("true",), check=("true", argument)))
    assert error.message == "sink pager: `check` names a key, but runs once for all keys"
