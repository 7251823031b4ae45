"""`keyform init` in a folder that somebody else filled: it writes there or nowhere, and waits for nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cli import main

MINE = "alias ls='ls --color'\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout, with somebody's own file beside it."""
    (tmp_path / "checkout").mkdir()
    (tmp_path / "bashrc").write_text(MINE)
    monkeypatch.chdir(tmp_path / "checkout")
    return tmp_path / "checkout"


def all_below(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything beside the checkout, with its mode and content."""
    return {
        str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.parent.rglob("*")
        if folder not in path.parents
    }


def init(folder: Path, capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str]:
    """How it ended, and what it said on stderr; nothing beside the checkout has changed."""
    before = all_below(folder)
    capsys.readouterr()
    code = main(["init", "--project", "1234", *argv], {"NO_COLOR": "1"})
    assert all_below(folder) == before
    return code, capsys.readouterr().err


TAKEN: dict[str, Callable[[Path], object]] = {
    "a link to another file": lambda path: path.symlink_to("../bashrc"),
    "a dangling link": lambda path: path.symlink_to("../new"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to a device": lambda path: path.symlink_to("/dev/full"),
    "a pipe": os.mkfifo,
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("what", TAKEN)
def test_a_gitignore_that_is_no_file_is_left_alone(what: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    TAKEN[what](folder / ".gitignore")
    kind = stat.S_IFMT((folder / ".gitignore").lstat().st_mode)
    code, err = init(folder, capsys)
    is_what = what if what in {"a pipe", "a folder"} else "a symbolic link"
    assert (code, err) == (
        1,
        f"Error: .gitignore is {is_what}. It was not changed.\n"
        "  replace it with a regular file that lists secrets.env and secrets.json\n",
    )
    assert [path.name for path in folder.iterdir()] == [".gitignore"]
    assert stat.S_IFMT((folder / ".gitignore").lstat().st_mode) == kind


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("what", TAKEN)
def test_a_keyform_yaml_that_is_there_is_left_alone(
    what: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    TAKEN[what](folder / "keyform.yaml")
    code, err = init(folder, capsys)
    assert (code, err) == (
        1,
        "Error: keyform.yaml already exists; it was not changed.\n  remove it, or choose another --file\n",
    )
    assert [path.name for path in folder.iterdir()] == ["keyform.yaml"]


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"*.log", b"*.log\n# secrets that keyform writes\nsecrets.env\nsecrets.json\n"),
        (b"\xff\xfe\n", b"\xff\xfe\n# secrets that keyform writes\nsecrets.env\nsecrets.json\n"),
        (b"a\r\nsecrets.env\r\n", b"a\r\nsecrets.env\r\n# secrets that keyform writes\nsecrets.json\n"),
        (b"secrets.json\nsecrets.env", b"secrets.json\nsecrets.env"),
        (b"\0", b"\0\n# secrets that keyform writes\nsecrets.env\nsecrets.json\n"),
    ],
)
def test_a_gitignore_keeps_every_byte(
    before: bytes, after: bytes, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".gitignore").write_bytes(before)
    (folder / ".gitignore").chmod(0o640)
    assert init(folder, capsys) == (0, "")
    assert (folder / ".gitignore").read_bytes() == after
    assert stat.S_IMODE((folder / ".gitignore").stat().st_mode) == 0o640
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "keyform.yaml", "schemas"]


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("name", ["schemas", "schemas/keyform.schema.json"])
@pytest.mark.parametrize("what", TAKEN)
def test_a_schema_that_leads_elsewhere_or_is_no_file_is_not_written(
    what: str, name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    TAKEN[what](folder / name)
    kind = stat.S_IFMT((folder / name).lstat().st_mode)
    if (what, name) == ("a folder", "schemas"):
        assert init(folder, capsys) == (0, "")
        return
    code, err = init(folder, capsys)
    assert code == 1
    assert err.startswith("Error: schemas")
    assert "make schemas a folder of your own" in err
    assert stat.S_IFMT((folder / name).lstat().st_mode) == kind


@pytest.mark.attack("pull request author")
def test_a_gitignore_of_gigabytes_is_not_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / ".gitignore").open("wb") as file:
        file.truncate(2**40)
    code, err = init(folder, capsys)
    assert (code, err.splitlines()[0]) == (1, "Error: .gitignore is larger than 1 MB. It was not changed.")


@pytest.mark.attack("pull request author")
def test_a_file_that_has_other_names_keeps_them_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.link(folder.parent / "bashrc", folder / ".gitignore")
    assert init(folder, capsys) == (0, "")
    assert (folder.parent / "bashrc").read_text() == MINE


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize(
    ("name", "stack"),
    [
        ("a\n::error::b", "a-error-b"),
        ("${GCORE_API_KEY}", "gcore-api-key"),
        ("x: {y: z}", "x-y-z"),
        ("'\"#&*!%@`", "inference"),
        ("\u202e\u200b", "inference"),
        ("\udcff\udcfe", "inference"),
        ("-" * 200, "inference"),
        (".git", "git"),
    ],
    ids=ascii,
)
def test_a_folders_name_becomes_a_stacks_name_and_nothing_else(
    name: str, stack: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / name).mkdir()
    monkeypatch.chdir(folder / name)
    assert init(folder, capsys) == (0, "")
    text = (folder / name / "keyform.yaml").read_text()
    assert f"\nstack: {stack}\n" in text
    assert "GCORE_API_KEY}" not in text


@pytest.mark.attack("pull request author")
def test_a_disk_that_is_full_leaves_the_gitignore_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".gitignore").write_bytes(b"mine\n")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", fail)
    code, err = init(folder, capsys)
    assert (code, err.splitlines()[0]) == (1, "Error: .gitignore cannot be written: No space left on device.")
    assert (folder / ".gitignore").read_bytes() == b"mine\n"
    assert sorted(path.name for path in folder.iterdir()) == [".gitignore", "keyform.yaml"]
