"""Several files, or a folder, make one stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.config import files, load_config
from reconciler.errors import ConfigError


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)


def refuse(*paths: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(paths, {})
    return "\n".join(map(str, caught.value.findings))


TOP = "version: 1\nstack: demo\nproject: 1234\n"


def test_files_are_merged(folder: Path) -> None:
    write(
        folder,
        a=f"{TOP}sinks: {{local: {{type: json, path: a.json}}}}\ndefaults: {{sink: local}}\nkeys:\ndeployments: {{}}\n",
        b=f"{TOP}keys: {{payments: {{}}}}\ndefaults: {{rotation: {{overlap: 1h}}}}\nsinks:\n",
        c="keys: {searches: {}}\ndeployments: {llama3: {exclusive: true}}\n",
    )
    state = load_config([Path("a.yaml"), Path("b.yaml"), Path("c.yaml")], {})
    assert [key.name for key in state.keys] == ["payments", "searches"]
    assert {key.overlap.total_seconds() for key in state.keys} == {3600}
    assert [key.place.where for key in state.keys] == ["b.yaml:4:8", "c.yaml:1:8"]
    assert [str(endpoint.ref) for endpoint in state.endpoints] == ["deployment.llama3"]


def test_a_folder_stands_for_its_yaml_files_and_not_for_those_further_down(folder: Path) -> None:
    write(folder, b=TOP, a="safety: {max_deletes: 1}\n")
    (folder / "c.yml").write_text("safety: {allow_empty: true}\n")
    (folder / "d.txt").write_text("not read")
    (folder / "deeper").mkdir()
    (folder / "deeper" / "e.yaml").write_text("not read")
    state = load_config([Path()], {})
    assert (state.safety.max_deletes, state.safety.allow_empty) == (1, True)
    assert state.place.file == "a.yaml"


def test_a_file_given_twice_is_read_once(folder: Path) -> None:
    write(folder, a=f"{TOP}deployments: {{llama3: {{}}}}\n")
    assert len(load_config([Path("a.yaml"), folder / "a.yaml", folder], {}).endpoints) == 1


def test_the_order_of_files_does_not_change_the_state(folder: Path) -> None:
    write(folder, a=f"{TOP}deployments: {{llama3: {{}}}}\n", b="deployments: {whisper: {}}\nsafety: {max_deletes: 1}\n")
    assert load_config([Path("a.yaml"), Path("b.yaml")], {}) == load_config([Path("b.yaml"), Path("a.yaml")], {})


def test_an_empty_folder_a_missing_file_and_no_file_at_all_are_told_with_the_way_out(folder: Path) -> None:
    (folder / "empty").mkdir()
    assert refuse(Path("empty"), Path("nowhere.yaml")) == (
        "empty: the folder holds no *.yaml or *.yml file\n"
        "    Run `keyform init` to create one.\n"
        "nowhere.yaml: no such file\n"
        "    Run `keyform init` to create one."
    )
    assert refuse() == "no configuration file was given\n    Run `keyform init` to create one."


def test_a_file_that_may_not_be_read_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_to_open(*_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied")

    write(folder, a=TOP)
    monkeypatch.setattr(files.os, "open", refuse_to_open)
    assert refuse(Path("a.yaml")) == (
        "a.yaml: cannot be read: Permission denied\n    Check the path and its permissions."
    )


def test_a_name_that_no_file_can_have_is_told(folder: Path) -> None:
    assert refuse(Path("a\0b")) == "a\\x00b: the file's name has unprintable characters\n    Rename it."


def test_what_is_wrong_in_every_file_is_told_in_their_order(folder: Path) -> None:
    write(folder, b="a: b: c\n", a="- a\n", c=TOP)
    assert [line for line in refuse(Path("b.yaml"), Path("a.yaml"), Path("c.yaml")).splitlines() if line[0] != " "] == [
        "b.yaml:1:5: a `:` is not expected here",
        "a.yaml:1:1: the file contains a list, but must be a map (`name: value` lines)",
    ]
