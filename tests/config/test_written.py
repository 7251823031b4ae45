"""The file as it is written, without a look at the environment: variables stay, and need no values."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.config import find_stack, load_config, load_texts, read_texts, read_written
from reconciler.errors import ConfigError
from reconciler.model import DesiredState, Written

HEAD = """\
version: 1
stack: prod
project: {project}
sinks:
  local: {sink}
defaults: {{sink: local}}
keys:
  payments: {{deployments: [llama3]}}
"""


def read(text: str) -> tuple[DesiredState, Written]:
    """One file."""
    return read_texts([(Path("keyform.yaml"), text.encode())])


def text_of(sink: str = "{type: dotenv, path: a.env}", project: str = "${GCORE_CLOUD_PROJECT_ID}") -> str:
    """A file with this sink and this project."""
    return HEAD.format(sink=sink, project=project)


@pytest.mark.parametrize("project", ["${GCORE_CLOUD_PROJECT_ID}", "${KEYFORM_VAR_PROJECT}", "1234"])
def test_a_project_is_as_it_is_written(project: str) -> None:
    state, written = read(text_of(project=project))
    assert written.project == project
    assert state.project == (1234 if project == "1234" else 0)


@pytest.mark.parametrize(
    "sink",
    [
        "{type: dotenv, path: '${KEYFORM_VAR_DIR}/secrets.env'}",
        "{type: dotenv, path: '~/secrets.env'}",
        "{type: dotenv, path: a.env, mode: '${KEYFORM_VAR_MODE}', group: '${KEYFORM_VAR_GROUP}'}",
        "{type: dotenv, path: a.env, variable: '${KEYFORM_VAR_PREFIX}_{KEY}'}",
        "{type: json, path: '${KEYFORM_VAR_DIR}/secrets.json'}",
        "{type: command, write: [./save.sh], timeout: '${KEYFORM_VAR_TIMEOUT}'}",
        "{type: aws-secrets-manager, name: '${KEYFORM_VAR_TEAM}/{key}', region: '${KEYFORM_VAR_REGION}'}",
        "{type: aws-secrets-manager, tags: {team: '${KEYFORM_VAR_TEAM}'}}",
    ],
)
def test_a_variable_of_a_sink_stays_and_needs_no_value(sink: str) -> None:
    state, _ = read(text_of(sink))
    told = str(state.sinks[0].options) + state.sinks[0].destination
    assert "${" in told or "~/" in told


def test_sinks_with_different_variables_are_different_places() -> None:
    sinks = "{type: dotenv, path: '${KEYFORM_VAR_A}/a.env'}\n  other: {type: dotenv, path: '${KEYFORM_VAR_B}/a.env'}"
    state, _ = read(text_of(sinks).replace("defaults: {sink: local}", "defaults: {sink: [local, other]}"))
    assert len({sink.destination for sink in state.sinks}) == 2


def test_a_lock_file_is_as_it_is_written() -> None:
    text = text_of() + "lock: {type: file, path: '${KEYFORM_VAR_LOCK}'}\n"
    assert read(text)[1].lock_path == "${KEYFORM_VAR_LOCK}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (text_of("{type: dotenv, path: '${HOME}/a.env'}"), "a file can read only"),
        (text_of("{type: dotenv, path: '${KEYFORM_VAR_A'}"), "invalid variable"),
        (text_of("{type: dotenv, path: '$HOME/a.env'}"), "begins with a variable without braces"),
        (text_of().replace("[llama3]", "['${KEYFORM_VAR_A}']"), "is not supported here"),
        (text_of(project="0"), "must be the project's number"),
        (text_of(project="12${KEYFORM_VAR_A}"), "must be the project's number"),
        (text_of().replace("sink: local", "sink: nowhere"), "there is no such sink"),
        (text_of("{type: dotenv, path: '${KEYFORM_VAR_A}', colour: red}"), "unknown field"),
    ],
)
def test_whatever_else_is_wrong_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(text)
    assert message in refusal.value.diagnostics()


def test_the_environment_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCORE_CLOUD_PROJECT_ID", "99")
    monkeypatch.setenv("KEYFORM_VAR_DIR", "/elsewhere")
    path = tmp_path / "keyform.yaml"
    path.write_text(text_of("{type: dotenv, path: '${KEYFORM_VAR_DIR}/a.env'}"))
    state, written = read_written([path])
    assert (state.project, written.project) == (0, "${GCORE_CLOUD_PROJECT_ID}")
    assert state.sinks[0].options["path"] == "${KEYFORM_VAR_DIR}/a.env"


def test_texts_from_elsewhere_mean_what_files_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("keyform.yaml")
    content = text_of("{type: dotenv, path: '${KEYFORM_VAR_DIR}/a.env'}").encode()
    path.write_bytes(content)
    env = {"GCORE_CLOUD_PROJECT_ID": "99", "KEYFORM_VAR_DIR": "deep"}
    assert load_texts([(path, content)], env) == load_config([path], env)
    assert load_texts([(path, content)], env).sinks[0].options["path"] == str(tmp_path / "deep" / "a.env")


def test_texts_from_elsewhere_have_the_limits_of_files() -> None:
    with pytest.raises(ConfigError) as refusal:
        read_texts([(Path("a.yaml"), b"#" * 3_000_000), (Path("b.yaml"), b"#" * 3_000_000)])
    assert "larger than 4 MB together" in refusal.value.diagnostics()
    with pytest.raises(ConfigError) as refusal:
        read_texts([(Path("a.yaml"), b"\xff")])
    assert "a.yaml:1:1: the file is not UTF-8" in refusal.value.diagnostics()


@pytest.mark.parametrize(
    ("content", "stack"),
    [(b"stack: prod", "prod"), (b"stack: 3", ""), (b"[", ""), (b"\xff", ""), (b"", ""), (b"a: b", "")],
)
def test_the_stack_of_a_file_is_found_whatever_it_holds(content: bytes, stack: str) -> None:
    assert find_stack(content) == stack
