"""What people expect of any tool of this kind: errors as JSON, standard input, colours in CI, completion, a log."""

from __future__ import annotations

import json
import re

import pytest
from cli.conftest import Keyform
from cli.stage import HEAD, ONE_KEY, TWO_KEYS, World

WRONG = HEAD + "keys:\n  payments:\n    deployment: [llama3]\n"


@pytest.mark.parametrize(
    "command",
    [
        "validate --json",
        "plan --json",
        "status --json",
        "verify --json",
    ],
)
def test_an_error_is_json_on_stdout_and_words_on_stderr(world: World, keyform: Keyform, command: str) -> None:
    world.write(WRONG)
    ran = keyform(*command.split())
    (found,) = ran.json["diagnostics"]
    assert (ran.code, found["severity"], found["path"]) == (1, "error", "keys.payments.deployment")
    assert (found["range"]["filename"], found["range"]["start"]["line"]) == ("keyform.yaml", WRONG.count("\n"))
    assert "deployments" in found["detail"]
    assert (ran.json["error_count"], ran.json["warning_count"]) == (1, 0)
    assert ran.json.get("valid", False) is False
    assert ran.err.startswith("Error: The configuration is invalid: 1 error.")


@pytest.mark.parametrize("command", ["apply --json --auto-approve", "rotate x --json", "destroy --json"])
def test_an_error_is_an_event_of_a_command_that_streams(world: World, keyform: Keyform, command: str) -> None:
    world.write(WRONG)
    ran = keyform(*command.split())
    first, last = ran.events
    assert (ran.code, first["type"], last["type"], last["@level"]) == (1, "version", "diagnostic", "error")
    found = last["diagnostic"]
    assert (found["severity"], found["path"]) == ("error", "keys.payments.deployment")
    assert (found["range"]["filename"], found["range"]["start"]["line"]) == ("keyform.yaml", WRONG.count("\n"))
    assert ran.err.startswith("Error: The configuration is invalid: 1 error.")


def test_errors_without_a_place_are_json_too(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    ran = keyform("plan", "--json", env={"GCORE_API_KEY": ""})
    (found,) = ran.json["diagnostics"]
    assert "GCORE_API_KEY is not set" in found["summary"]
    assert "range" not in found


def test_there_is_one_document_on_stdout_whatever_happens_after_it(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY.replace("llama3", "lama3"))
    ran = keyform("plan", "--json")
    assert (ran.code, json.loads(ran.out)["format_version"]) == (1, "1.2")
    assert "resource_changes" in ran.json


def test_a_valid_file_is_said_to_be_valid_in_json(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    ran = keyform("validate", "--json")
    assert ran.code == 0
    assert ran.json == {
        "format_version": "1.0", "valid": True, "error_count": 0, "warning_count": 0, "diagnostics": [],
    }  # fmt: skip


def test_colours_can_be_had_in_a_pipe(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    assert "\x1b[" in keyform("plan", env={"FORCE_COLOR": "1", "CI": "true"}).out
    assert "\x1b[" not in keyform("plan", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).out
    assert "\x1b[" not in keyform("plan", "--no-color", env={"FORCE_COLOR": "1"}).out
    assert "\x1b[" not in keyform("plan", env={"FORCE_COLOR": "0"}).out


def test_the_log_has_method_path_status_and_time_of_every_request(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    told = keyform("plan", "--log-level", "debug").err
    assert re.search(r"debug: answer: GET /cloud/v3/inference/1234/api_keys\?limit=1000&offset=0: 200, [0-9]+ ms", told)


@pytest.mark.process("standard input is bytes there")
def test_the_file_can_come_from_standard_input(world: World) -> None:
    for text, code, word in ((ONE_KEY, 0, "Valid: stack shop"), (WRONG, 1, "<stdin>:")):
        ran = world.run("validate", "-f", "-", stdin=text)
        assert ran.code == code
        assert word in ran.out + ran.err


def test_hidden_files_of_a_folder_are_skipped_and_folders_in_it_named(world: World, keyform: Keyform) -> None:
    folder = world.folder / "stack"
    (folder / "team").mkdir(parents=True)
    (folder / "keyform.yaml").write_text(TWO_KEYS)
    (folder / ".yamllint.yaml").write_text("rules: {}\n")
    (folder / "team" / "more.yaml").write_text("keys: {}\n")
    ran = keyform("validate", "-f", "stack")
    assert ran.code == 0
    assert "note: stack/team is not read. If it is part of the stack" in ran.err
    (folder / "keyform.yaml").unlink()
    ran = keyform("validate", "-f", "stack")
    assert ran.code == 1
    assert "pass stack/team instead" in ran.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_what_the_library_writes(world: World, keyform: Keyform, shell: str) -> None:
    shtab = pytest.importorskip("shtab")
    from reconciler.cli.parser import build_parser

    ran = keyform("completion", shell)
    assert ran.out.rstrip("\n") == shtab.complete(build_parser(), shell=shell).rstrip("\n")
    assert "detailed-exitcode" in ran.out


def test_completion_without_its_extra_says_so(keyform: Keyform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "shtab", None)
    ran = keyform("completion", "bash")
    assert (ran.code, "pip install 'keyform[completion]'" in ran.err) == (1, True)
