"""Whatever somebody puts where the file is read from: nothing is waited for, and nothing outside is read or shown."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.config import load_config
from reconciler.config.files import MAX_FILES
from reconciler.errors import ConfigError

TOP = "version: 1\nstack: demo\nproject: 1234\n"
CANARY = "canary_5f1d"
OUTSIDE = f"[default]\n{CANARY}: x\naws_secret_access_key: {CANARY}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A checkout, beside which there is what it must not lead to; nothing is waited for."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "credentials").write_text(OUTSIDE)
    (tmp_path / "outside" / "valid.yaml").write_text(TOP)
    (tmp_path / "checkout").mkdir()
    began = time.monotonic()
    yield tmp_path / "checkout"
    assert time.monotonic() - began < 60


def told(*paths: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(paths, {})
    said = caught.value.diagnostics()
    assert CANARY not in said
    assert len(said) < 20_000
    return said


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


MADE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link to credentials": (lambda path: path.symlink_to("../outside/credentials"), "leads out of its folder"),
    "a link to another stack": (lambda path: path.symlink_to("../outside/valid.yaml"), "leads out of its folder"),
    "an absolute link": (lambda path: path.symlink_to(path.parents[1] / "outside" / "valid.yaml"), "leads out of its"),
    "a link to the environment": (lambda path: path.symlink_to("/proc/self/environ"), "leads out of its folder"),
    "a link to standard input": (lambda path: path.symlink_to("/dev/stdin"), "leads out of its folder"),
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "leads out of its folder"),
    "a link to a terminal": (lambda path: path.symlink_to("/dev/tty"), "leads out of its folder"),
    "a dangling link": (lambda path: path.symlink_to("nowhere"), "no such file"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "is not a regular file"),
    "a pipe": (os.mkfifo, "is not a regular file"),
    "a socket": (make_socket, "is not a regular file"),
}


def link_by_a_folder(path: Path) -> None:
    (path.parent / "deeper").symlink_to("../outside")
    path.symlink_to("deeper/valid.yaml")


def link_by_links(path: Path) -> None:
    for number in range(30):
        (path.parent / f"l{number}").symlink_to(f"l{number + 1}")
    (path.parent / "l30").symlink_to("../outside/valid.yaml")
    path.symlink_to("l0")


MADE["a link through a linked folder"] = (link_by_a_folder, "leads out of its folder")
MADE["a link through many links"] = (link_by_links, "leads out of its folder")


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("what", MADE)
@pytest.mark.parametrize("how", ["the file", "the folder", "beside a good file"])
def test_what_is_no_file_of_the_folder_is_refused(what: str, how: str, folder: Path) -> None:
    make, expected = MADE[what]
    make(folder / "keyform.yaml")
    if how == "beside a good file":
        (folder / "good.yaml").write_text(TOP)
    said = told(folder / "keyform.yaml" if how == "the file" else folder)
    assert f"{folder / 'keyform.yaml'}: " in said
    assert expected in said


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize(
    "name",
    ["a\n::error::x.yaml", "a\r.yaml", "\x1b[2J.yaml", "a\u202e.yaml", "a\u200b.yaml", "a\u2028.yaml"],
    ids=ascii,
)
def test_a_name_that_is_not_what_it_looks_like_is_refused_and_shown_in_escapes(name: str, folder: Path) -> None:
    (folder / name).write_text(TOP)
    said = told(folder)
    assert "the file's name has unprintable characters" in said
    assert [line for line in said.splitlines() if not line.isprintable()] == []
    assert len(said.splitlines()) == 3


@pytest.mark.attack("pull request author")
def test_a_folder_of_too_many_files_is_refused(folder: Path) -> None:
    for number in range(MAX_FILES + 1):
        (folder / f"{number}.yaml").touch()
    assert f"there are more than {MAX_FILES} files" in told(folder)


@pytest.mark.attack("pull request author")
def test_a_folder_of_many_other_files_is_read_at_once(folder: Path) -> None:
    for number in range(2000):
        (folder / f"{number}.txt").touch()
    (folder / "a.yaml").write_text(TOP)
    assert load_config([folder], {}).stack == "demo"


@pytest.mark.attack("pull request author")
def test_many_files_are_not_larger_together_than_one_may_be(folder: Path) -> None:
    for number in range(3):
        (folder / f"{number}.yaml").write_text(f"{TOP}# {'x' * 1_500_000}\n")
    assert told(folder).splitlines()[1] == f"  {folder}/2.yaml: the stack's files are larger than 4 MB together"


@pytest.mark.attack("pull request author")
def test_many_files_do_not_hold_more_values_together_than_one_may(folder: Path) -> None:
    for number in range(3):
        (folder / f"{number}.yaml").write_text(f"{TOP}warnings: {{expiry: [{'1d,' * 140_000}]}}\n")
    said = told(folder)
    assert f"{folder}/2.yaml" in said
    assert "the stack's files hold more than 400000 names and values" in said


@pytest.mark.attack("pull request author")
def test_what_many_files_say_of_one_thing_is_compared_in_no_time(folder: Path) -> None:
    many = ", ".join(f"{number}s" for number in range(100_000))
    (folder / "0.yaml").write_text(f"{TOP}warnings: {{expiry: [{many}]}}\n")
    for number in range(1, 900):
        (folder / f"{number}.yaml").write_text("warnings: {expiry: [1d]}\n")
    began = time.process_time()
    assert "conflicts with another file of the stack" in told(folder)
    assert time.process_time() - began < 12


@pytest.mark.control
def test_the_links_of_a_mounted_configmap_are_followed(folder: Path) -> None:
    (folder / "..2026_11_26").mkdir()
    (folder / "..2026_11_26" / "keyform.yaml").write_text(TOP)
    (folder / "..data").symlink_to("..2026_11_26")
    (folder / "keyform.yaml").symlink_to("..data/keyform.yaml")
    assert load_config([folder / "keyform.yaml"], {}).stack == "demo"
    assert load_config([folder], {}).stack == "demo"


@pytest.mark.control
def test_links_above_the_folder_are_followed(folder: Path) -> None:
    (folder / "keyform.yaml").write_text(TOP)
    link = folder.parent / "current"
    link.symlink_to("checkout")
    assert load_config([link / "keyform.yaml"], {}).stack == "demo"
    assert load_config([link], {}).stack == "demo"


@pytest.mark.control
def test_what_emacs_locks_a_file_with_is_passed_over(folder: Path) -> None:
    (folder / "keyform.yaml").write_text(TOP)
    (folder / ".#keyform.yaml").symlink_to("me@here.1234:5678")
    assert load_config([folder], {}).stack == "demo"


# --- Paths that the file names ----------------------------------------------------------------------------------------

GIT = [
    ".git/config",
    ".git",
    "a/.git/hooks/pre-commit",
    ".GIT/config",
    ".gIt/config",
    "x/../.git/config",
    "./.git/config",
    ".git /config",
    ".git./config",
    ".git . ./config",
    "git~1/config",
    "GIT~1/config",
    ".git::$INDEX_ALLOCATION/config",
    ".git:x/config",
    "\uff0egit/config",
    "~/project/.git/config",
    "/srv/project/.git/config",
    "${KEYFORM_VAR_GIT}/config",
    ".${KEYFORM_VAR_IT}/config",
]
INVISIBLE = [
    ".g\u200cit/config",
    ".git\u200b/x",
    "\ufeff.git/x",
    "a\u202eb",
    "a\u00adb",
    "a\u2060b",
    "a\u2028b",
    "a\u00a0b",
]
ENV = {"HOME": "/srv/me", "KEYFORM_VAR_GIT": ".git", "KEYFORM_VAR_IT": "Git", "KEYFORM_VAR_UP": ".."}


def say_path(kind: str, path: str, folder: Path) -> str:
    text = f"{TOP}lock: {{type: file, path: '{path}'}}\n"
    if kind != "lock":
        text = f"{TOP}sinks: {{s: {{type: {kind}, path: '{path}'}}}}\n"
    (folder / "keyform.yaml").write_text(text)
    try:
        load_config([folder / "keyform.yaml"], ENV)
    except ConfigError as error:
        return error.diagnostics()
    return ""


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("kind", ["dotenv", "json", "lock"])
@pytest.mark.parametrize("path", GIT)
def test_no_file_lies_in_gits_own_folder(kind: str, path: str, folder: Path) -> None:
    assert "is in a `.git` folder, where keyform never writes" in say_path(kind, path, folder)


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("kind", ["dotenv", "json", "lock"])
@pytest.mark.parametrize("path", INVISIBLE, ids=ascii)
def test_no_path_holds_what_cannot_be_seen(kind: str, path: str, folder: Path) -> None:
    said = say_path(kind, path, folder)
    assert "path of a file" in said
    assert [line for line in said.splitlines() if not line.isprintable()] == []


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize(
    "path",
    [
        "/run/lock/x",
        "../x",
        "a/../../x",
        "~/x",
        "${KEYFORM_VAR_UP}/x",
        "out/x",
        "in/../../x",
        "gitdir/x",
    ],
)
def test_a_lock_file_is_made_nowhere_but_in_the_folder(path: str, folder: Path) -> None:
    (folder / "out").symlink_to("../outside")
    (folder / "in").mkdir()
    (folder / ".git").mkdir()
    (folder / "gitdir").symlink_to(".git")
    assert "lock.path: a lock file must be in the folder of this file or below it" in say_path("lock", path, folder)


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("kind", ["dotenv", "json", "lock"])
@pytest.mark.parametrize("path", [".", "..", "a/..", "a/.", "a/", "/", "~/", "~/.", "${KEYFORM_VAR_UP}"])
def test_a_path_is_not_that_of_a_folder(kind: str, path: str, folder: Path) -> None:
    assert "path of a file" in say_path(kind, path, folder)


@pytest.mark.control
@pytest.mark.parametrize("path", ["x.lock", "in/x.lock", "link/x.lock", ".gitlock", "a/b/c/x.lock"])
def test_a_lock_file_may_lie_anywhere_below_the_folder(path: str, folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "link").symlink_to("in")
    assert say_path("lock", path, folder) == ""


@pytest.mark.control
def test_a_checkout_may_lie_in_a_git_folder(folder: Path) -> None:
    inner = folder / ".git" / "worktree"
    inner.mkdir(parents=True)
    assert say_path("json", "secrets.json", inner) == ""
