"""A write or a removal that dies at any effect leaves the old file or the new one, and the next one finds its way."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from sinks.stage import (
    CANARY,
    GID,
    KINDS,
    FailsAt,
    Killed,
    KilledAt,
    Kind,
    Watched,
    for_group,
    git,
    git_would_add,
    record,
    save,
)

from reconciler.effects import Completed, System
from reconciler.errors import SinkError
from reconciler.sinks import Sink
from reconciler.sinks.local_file import TEMPORARY_FOLDER

OLD, NEW = "0ld-" + CANARY, "n3w-" + CANARY


@pytest.fixture(
    params=[*KINDS, *map(for_group, KINDS)], ids=lambda kind: f"{kind.type}{' for a group' if kind.options else ''}"
)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each type of local sink in turn, for its owner alone and for a group."""
    return request.param


class QuickGit(System):
    """Git is no part of these stories but where they look at it, and a child process is slow: all is ignored."""

    def run(self, *arguments: object, **named: object) -> Completed:
        return Completed(0, "", "")


def nothing(_kind: Kind, _path: Path) -> None:
    pass


def users_file(kind: Kind, path: Path) -> None:
    kind.write_users_own(path)


def an_old_secret(kind: Kind, path: Path) -> None:
    users_file(kind, path)
    save(kind.open(path, effects=QuickGit()), "payments-api", OLD)


def only_an_old_secret(kind: Kind, path: Path) -> None:
    save(kind.open(path, effects=QuickGit()), "payments-api", OLD)


def a_stale_folder(kind: Kind, path: Path) -> None:
    an_old_secret(kind, path)
    stale = path.parent / TEMPORARY_FOLDER
    stale.mkdir(mode=0o700)
    for name, content in ((".gitignore", "*\n"), ("new", "half of a secr")):
        (stale / name).write_text(content)
        (stale / name).chmod(0o600)


def write(sink: Sink) -> None:
    save(sink, "payments-api", NEW, 2)


def remove(sink: Sink) -> None:
    sink.remove("payments-api")


STORIES = pytest.mark.parametrize(
    ("before", "act", "after"),
    [
        pytest.param(nothing, write, NEW, id="first write"),
        pytest.param(users_file, write, NEW, id="first write into a file of the user's"),
        pytest.param(an_old_secret, write, NEW, id="second write"),
        pytest.param(a_stale_folder, write, NEW, id="write after a kill"),
        pytest.param(an_old_secret, remove, None, id="removal"),
        pytest.param(only_an_old_secret, remove, None, id="removal of all"),
    ],
)
Before = Callable[[Kind, Path], None]
Act = Callable[[Sink], None]


def each_effect(kind: Kind, repository: Path, before: Before, act: Act) -> list[tuple[int, Path]]:
    """A folder in the state before, for every effect that the act has when nothing goes wrong."""
    places = []
    number = total = 0
    while number <= total:
        folder = repository / f"at-{number}"
        folder.mkdir()
        path = folder / kind.name
        before(kind, path)
        if number == 0:
            watched = Watched()
            act(kind.open(path, effects=watched))
            total = len(watched.log)
        else:
            places.append((number, path))
        number += 1
    assert total > 8
    return places


@pytest.fixture
def anywhere(repository: Path, kind: Kind) -> Path:
    """A repository that ignores the sink's file, by its exact name, in any folder."""
    (repository / ".gitignore").write_text(f"{kind.name}\n")
    git(repository, "commit", "--all", "--quiet", "--message", "in any folder")
    return repository


def assert_whole(kind: Kind, path: Path, old: bytes | None, after: str | None) -> None:
    """The file is as before, or as it would be after; and nobody else can read any of it."""
    if not path.exists():
        assert old is None or after is None
    elif path.read_bytes() != old:
        assert kind.secret_in(path, "payments-api") == after
        assert_access(kind, path)
    for other in path.parent.rglob("*"):
        if other.is_file() and other != path and other.name != ".gitignore":
            assert other.stat().st_mode & 0o777 in (0o600, kind.mode)
            assert other.parent.stat().st_mode & 0o777 == 0o700


def error_of(act: Act, sink: Sink) -> SinkError | None:
    try:
        act(sink)
    except SinkError as error:
        return error
    return None


def assert_converges(kind: Kind, path: Path, act: Act, after: str | None) -> None:
    act(kind.open(path, effects=QuickGit()))
    assert kind.secret_in(path, "payments-api") == after
    assert not (path.parent / TEMPORARY_FOLDER).exists() or after is None
    if after is None:
        save(kind.open(path, effects=QuickGit()), "payments-api", "again")
    assert [entry.name for entry in path.parent.iterdir()] == [kind.name]
    assert_access(kind, path)


def assert_access(kind: Kind, path: Path) -> None:
    """Whoever is to read the file can, and nobody else."""
    assert path.stat().st_mode & 0o777 == kind.mode
    assert path.stat().st_gid == GID or not kind.options


@STORIES
def test_killed_at_any_effect(kind: Kind, anywhere: Path, before: Before, act: Act, after: str | None) -> None:
    for number, path in each_effect(kind, anywhere, before, act):
        old = path.read_bytes() if path.exists() else None
        effects = KilledAt(number)
        with pytest.raises(Killed):
            act(kind.open(path, effects=effects))
        effects.bury()
        assert_whole(kind, path, old, after)
        assert git_would_add(path.parent) == ""
        assert_converges(kind, path, act, after)


@STORIES
def test_interrupted_at_any_effect(kind: Kind, anywhere: Path, before: Before, act: Act, after: str | None) -> None:
    """Ctrl-C: a `finally` still runs."""
    for number, path in each_effect(kind, anywhere, before, act):
        old = path.read_bytes() if path.exists() else None
        effects = FailsAt(number, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            act(kind.open(path, effects=effects))
        effects.bury()
        assert_whole(kind, path, old, after)
        assert_converges(kind, path, act, after)


@STORIES
def test_failing_at_any_effect(kind: Kind, anywhere: Path, before: Before, act: Act, after: str | None) -> None:
    """An error that does not call the outcome unknown means that nothing was saved; no error, that all was."""
    for number, path in each_effect(kind, anywhere, before, act):
        old = path.read_bytes() if path.exists() else None
        effects = FailsAt(number, OSError(errno.EIO, "Input/output error"))
        error = error_of(act, kind.open(path, effects=effects))
        if error is None:
            assert kind.secret_in(path, "payments-api") == after
        else:
            assert CANARY not in error.diagnostics()
            assert error.effect_is_unknown or (path.read_bytes() if path.exists() else None) == old
        effects.bury()
        assert_whole(kind, path, old, after)
        assert_converges(kind, path, act, after)


def test_what_was_saved_by_a_run_that_died_before_it_was_durable_is_made_durable(kind: Kind, path: Path) -> None:
    save(kind.open(path), "payments-api")
    watched = Watched()
    save(kind.open(path, effects=watched), "payments-api")
    assert "rename" not in watched.log
    assert "sync_folder" in watched.log
    assert kind.open(path).read([]) == {"payments-api": record("payments-api")}
