"""The rules for a local file that holds secrets."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sinks.stage import CANARY, FailsWhen, Kind, Watched, git, git_would_add, look, record, save

from reconciler.effects import Completed, System
from reconciler.errors import SinkError
from reconciler.sinks import Sink
from reconciler.sinks.local_file import TEMPORARY_FOLDER

ACTS: tuple[Callable[[Sink], object], ...] = (
    lambda sink: sink.probe(["payments-api"]),
    lambda sink: sink.read(["payments-api"]),
    lambda sink: save(sink, "payments-api"),
    lambda sink: sink.remove("payments-api"),
)


def refuses_all(sink: Sink, message: str) -> None:
    for act in ACTS:
        with pytest.raises(SinkError, match=message) as refusal:
            act(sink)
        assert refusal.value.message.startswith("sink local: ")
        assert refusal.value.way_out
        assert not refusal.value.effect_is_unknown


def test_a_symbolic_link_is_not_followed(kind: Kind, path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")
    refuses_all(kind.open(path), "is a symbolic link")
    (path.parent / "elsewhere").touch()
    before = look(path.parent)
    refuses_all(kind.open(path), "is a symbolic link")
    assert look(path.parent) == before


def test_a_second_name_of_the_file_is_refused(kind: Kind, path: Path) -> None:
    save(kind.open(path), "payments-api")
    os.link(path, path.parent / "second-name")
    refuses_all(kind.open(path), "has a hard link")


def test_a_folder_or_a_pipe_is_refused(kind: Kind, path: Path) -> None:
    path.mkdir()
    refuses_all(kind.open(path), "is not a regular file")
    path.rmdir()
    os.mkfifo(path)
    refuses_all(kind.open(path), "is not a regular file")


def test_a_part_of_the_path_that_is_no_folder_is_refused(kind: Kind, path: Path) -> None:
    path.touch()
    refuses_all(kind.open(path / kind.name), "a part of its path is not a folder")


def test_another_users_file_is_refused(kind: Kind, path: Path) -> None:
    class Strangers(System):
        def stat(self, path: Path) -> os.stat_result:
            found = list(super().stat(path))
            found[4] += 1
            return os.stat_result(found)

    save(kind.open(path), "payments-api")
    refuses_all(kind.open(path, effects=Strangers()), "belongs to another user")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o700, 0o400, 0o4600])
def test_a_file_without_a_record_of_ours_keeps_its_mode_and_gets_no_secret(kind: Kind, path: Path, mode: int) -> None:
    path.write_text(kind.users_own)
    path.chmod(mode)
    before = look(path.parent)
    sink = kind.open(path)
    assert sink.read([]) == {}
    for act in (ACTS[0], ACTS[2]):
        with pytest.raises(SinkError, match=f"its mode {mode:03o} is left as it is") as refusal:
            act(sink)
        assert "Run `chmod 600` on it" in refusal.value.way_out
    assert look(path.parent) == before


def test_our_own_file_that_others_could_read_is_tightened(kind: Kind, path: Path) -> None:
    kind.write_users_own(path)
    sink = kind.open(path)
    save(sink, "payments-api")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    save(sink, "payments-api")
    assert path.stat().st_mode & 0o777 == 0o600


# --- Git --------------------------------------------------------------------------------------------------------------


def test_a_path_that_git_tracks_is_refused(kind: Kind, repository: Path) -> None:
    path = repository / kind.name
    path.write_text(kind.users_own)
    git(repository, "add", "--force", kind.name)
    for act in ACTS:
        with pytest.raises(SinkError, match="is tracked by git") as refusal:
            act(kind.open(path))
        assert f"rm --cached {kind.name}" in refusal.value.way_out
    assert path.read_text() == kind.users_own


@pytest.mark.parametrize("folder", ["", "missing/folder"])
def test_a_path_that_git_would_not_ignore_is_refused_before_anything_is_made(
    kind: Kind, repository: Path, folder: str
) -> None:
    (repository / ".gitignore").write_text("/elsewhere\n")
    before = look(repository)
    for act in (ACTS[0], ACTS[2]):
        with pytest.raises(SinkError, match="is not ignored by git") as refusal:
            act(kind.open(repository / folder / kind.name))
        assert kind.name in refusal.value.way_out
    assert look(repository) == before


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*.env", "a.env"),
        ("/local/", "local/deep/secrets"),
        ("*.env\n!example.env", "b.env"),
        ("secrets", "s/secrets"),
        (r"\:odd\[1\]*", ":odd[1]*"),
        ("-dash", "-dash"),
        ("größe", "größe"),
    ],
)
def test_a_path_that_git_ignores_is_written_and_git_sees_nothing(
    kind: Kind, repository: Path, pattern: str, name: str
) -> None:
    (repository / ".gitignore").write_text(f"{pattern}\n")
    git(repository, "commit", "--all", "--quiet", "--message", "other patterns")
    sink = kind.open(repository / name)
    sink.probe(["payments-api"])
    save(sink, "payments-api")
    assert sink.read([]) == {"payments-api": record("payments-api")}
    assert git(repository, "status", "--porcelain", "--untracked-files=all") == ""


@pytest.mark.parametrize("name", [":odd[1]*", "-dash", "b.env"])
def test_an_odd_name_is_no_pattern(kind: Kind, repository: Path, name: str) -> None:
    (repository / ".gitignore").write_text("*.env\n!b.env\n")
    (repository / ":odd1x").touch()
    git(repository, "add", "--all")  # what a pattern would find
    with pytest.raises(SinkError, match="is not ignored by git"):
        kind.open(repository / name).probe([])


def test_the_repository_that_counts_is_the_one_around_the_file(
    kind: Kind, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git hook sets GIT_DIR for its own repository, and everything below inherits it."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    tracked = repository / "sub" / kind.name
    tracked.parent.mkdir()
    tracked.write_text(kind.users_own)
    git(repository, "add", "--force", str(tracked))
    (tracked.parent / ".gitignore").write_text("*\n")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    kind.open(repository / kind.name).probe([])
    with pytest.raises(SinkError, match="is not ignored by git"):
        kind.open(repository / "unknown").probe([])
    with pytest.raises(SinkError, match="is tracked by git"):
        kind.open(tracked).probe([])


def test_inside_the_git_folder_nothing_is_written(kind: Kind, repository: Path) -> None:
    refuses_all(kind.open(repository / ".git" / kind.name), "is in a .git folder, which belongs to git")


class Git(System):
    """Git as it answers where the tests do not run."""

    def __init__(self, answer: Completed | OSError) -> None:
        super().__init__()
        self.answer = answer

    def run(self, *arguments: object, **named: object) -> Completed:
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


def test_without_git_nothing_is_written_where_there_is_a_repository(kind: Kind, repository: Path) -> None:
    """Nobody else can tell whether git ignores it. What is held is read all the same, and proves nothing."""
    path = repository / kind.name
    sink = kind.open(path, effects=Git(FileNotFoundError(errno.ENOENT, "git")))
    for act in (ACTS[0], ACTS[2]):
        with pytest.raises(SinkError, match="there is no git program to tell whether it is ignored") as refusal:
            act(sink)
        assert str(repository / ".git") in refusal.value.message
        assert "Install git" in refusal.value.way_out
    assert not path.exists()
    save(kind.open(path), "payments-api")
    assert sink.read([]) == {"payments-api": record("payments-api")}
    assert not sink.is_evidence
    sink = kind.open(path)
    assert sink.read([]) == {"payments-api": record("payments-api")}
    assert sink.is_evidence


def test_without_git_a_folder_that_is_in_no_repository_needs_none(kind: Kind, path: Path) -> None:
    """As in a slim image."""
    sink = kind.open(path, effects=Git(FileNotFoundError(errno.ENOENT, "git")))
    sink.probe(["payments-api"])
    save(sink, "payments-api")
    assert sink.read([]) == {"payments-api": record("payments-api")}


def spoil_head(repository: Path) -> None:
    (repository / ".git" / "HEAD").unlink()


def spoil_settings(repository: Path) -> None:
    (repository / ".git" / "config").write_text("[core\n")


def spoil_link(repository: Path) -> None:
    """As of a submodule, or a work tree, whose repository is elsewhere."""
    (repository / ".git").rename(repository.parent / "moved")
    (repository / ".git").write_text("gitdir: ../gone\n")


def spoil_folder(repository: Path) -> None:
    (repository / ".git").rename(repository.parent / "moved")
    (repository / ".git").mkdir()


@pytest.mark.parametrize("spoil", [spoil_head, spoil_settings, spoil_link, spoil_folder])
@pytest.mark.parametrize("folder", [".", "inner"])
def test_a_repository_that_git_cannot_read_gets_no_secret(
    kind: Kind, repository: Path, folder: str, spoil: Callable[[Path], None]
) -> None:
    """Once it is repaired, the file could be committed. So it is with one around a repository that ignores the file."""
    (repository / "inner").mkdir(exist_ok=True)
    if folder == "inner":
        git(repository / "inner", "init", "--quiet")
        (repository / "inner" / ".gitignore").write_text(f"/{kind.name}\n")
    path = repository / folder / kind.name
    save(kind.open(path), "payments-api")
    spoil(repository)
    before = path.read_bytes()
    sink = kind.open(path)
    for act in (ACTS[0], lambda sink: save(sink, "batch-jobs")):
        with pytest.raises(SinkError, match="git cannot tell whether it is ignored") as refusal:
            act(sink)
        assert refusal.value.way_out
    assert path.read_bytes() == before
    assert sink.read([]) == {"payments-api": record("payments-api")}
    assert not sink.is_evidence


@pytest.mark.parametrize("is_linked", [False, True], ids=["separate", "linked"])
def test_a_repository_whose_folder_is_elsewhere_is_asked(kind: Kind, repository: Path, *, is_linked: bool) -> None:
    """`.git` is a file there."""
    tree = repository.parent / "tree"
    if is_linked:
        git(repository, "worktree", "add", "--quiet", str(tree))
    else:
        git(
            repository.parent,
            "clone",
            "--quiet",
            f"--separate-git-dir={repository.parent / 'away'}",
            "repository",
            "tree",
        )
    assert (tree / ".git").is_file()
    sink = kind.open(tree / kind.name)
    sink.probe([])
    save(sink, "payments-api")
    assert git_would_add(tree) == ""
    with pytest.raises(SinkError, match="is not ignored by git"):
        kind.open(tree / "unknown").probe([])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Completed(128, "", "fatal: bad config line 1 in file .git/config"), "git cannot tell whether it is ign"),
        (Completed(-9, "", ""), "git cannot tell whether it is ignored"),
        (Completed(129, "", "unknown option: --no-pager"), "git cannot tell whether it is ignored"),
        (
            Completed(128, "", "fatal: not a git repository: '.git'"),
            "git cannot tell whether it is ignored, because",
        ),
        (TimeoutError(errno.ETIMEDOUT, "Timed out"), "git did not tell within 10 seconds whether it is ignored"),
    ],
)
def test_when_git_cannot_say_the_path_is_refused(
    kind: Kind, repository: Path, answer: Completed | OSError, message: str
) -> None:
    path = repository / kind.name
    sink = kind.open(path, effects=Git(answer))
    for act in (ACTS[0], ACTS[2]):
        with pytest.raises(SinkError, match=message):
            act(sink)
    assert not path.exists()
    save(kind.open(path), "payments-api")
    assert sink.read([]) == {"payments-api": record("payments-api")}
    assert not sink.is_evidence


def test_git_is_asked_once_for_each_sink(kind: Kind, repository: Path) -> None:
    effects = Watched()
    sink = kind.open(repository / kind.name, effects=effects)
    sink.probe([])
    for number in range(3):
        save(sink, f"key-{number}")
    assert effects.log.count("run") == 1
    sink = kind.open(repository / kind.name, effects=effects)
    for _ in range(3):
        sink.read([])
    assert effects.log.count("run") == 2


def test_outside_of_any_repository_git_is_not_asked(kind: Kind, path: Path) -> None:
    effects = Watched()
    sink = kind.open(path, effects=effects)
    sink.probe([])
    save(sink, "payments-api")
    sink.read([])
    assert "run" not in effects.log
    assert not sink.is_evidence, "the folder can be a copy of a repository, with all that was committed"


# --- The temporary folder ---------------------------------------------------------------------------------------------


def test_what_a_killed_run_left_is_unseen_by_git_and_cleared_by_the_next_write(kind: Kind, repository: Path) -> None:
    stale = repository / TEMPORARY_FOLDER
    stale.mkdir(mode=0o700)
    (stale / ".gitignore").write_text("*\n")
    (stale / "new").write_text(CANARY)
    assert git_would_add(repository) == ""
    save(kind.open(repository / kind.name), "payments-api", "abc")
    assert not stale.exists()


def test_what_is_not_ours_under_the_temporary_name_is_refused(kind: Kind, path: Path) -> None:
    temporary = path.parent / TEMPORARY_FOLDER
    (path.parent / "elsewhere").mkdir()
    for make in (temporary.touch, lambda: temporary.symlink_to("elsewhere")):
        make()
        for act in (ACTS[0], ACTS[2]):
            with pytest.raises(SinkError, match="is not a keyform folder"):
                act(kind.open(path))
        temporary.unlink()


def test_a_temporary_folder_with_something_else_in_it_is_left_and_told(kind: Kind, path: Path) -> None:
    (path.parent / TEMPORARY_FOLDER).mkdir()
    (path.parent / TEMPORARY_FOLDER / "notes").touch()
    with pytest.raises(SinkError, match=r"\.keyform\.tmp beside it could not be cleared"):
        save(kind.open(path), "payments-api")
    assert not path.exists()


# --- Errors of the system ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "number", "message"),
    [
        ("create_file", errno.ENOSPC, "cannot be written: the disk is full"),
        ("create_file", errno.EDQUOT, "cannot be written: the disk quota is used up"),
        ("make_folder", errno.EROFS, "cannot be written: the file system is read-only"),
        ("make_folder", errno.EACCES, "cannot be written: permission was denied"),
        ("lock_folder", errno.ENOLCK, "cannot be written: its folder cannot be locked"),
        ("rename", errno.EBUSY, "cannot be written: the file is mounted by itself"),
        ("stat", errno.ENAMETOOLONG, "cannot be written: its path is too long"),
        ("stat", errno.ESTALE, f"cannot be written: {os.strerror(errno.ESTALE)}"),
        ("read_file", errno.ELOOP, "cannot be written: there is a symbolic link in the way"),
        ("run", errno.EACCES, "cannot be written: permission was denied"),
        ("enclosing", errno.EACCES, "cannot be written: permission was denied"),
    ],
)
def test_a_failing_effect_is_told_and_nothing_has_changed(
    kind: Kind, repository: Path, effect: str, number: int, message: str
) -> None:
    path = repository / kind.name
    kind.write_users_own(path)
    before = look(repository)
    sink = kind.open(path, effects=FailsWhen(effect, OSError(number, "as the system puts it", "/some/path")))
    with pytest.raises(SinkError) as failure:
        save(sink, "payments-api")
    assert failure.value.message == f"sink local: {path}: {message}"
    assert failure.value.way_out
    assert not failure.value.effect_is_unknown
    assert look(repository) == before


def test_when_the_folder_cannot_be_synced_the_effect_is_unknown(kind: Kind, path: Path) -> None:
    with pytest.raises(SinkError, match="may not have been saved") as failure:
        save(kind.open(path, effects=FailsWhen("sync_folder", OSError(errno.EIO, ""))), "payments-api")
    assert failure.value.effect_is_unknown


def test_a_rename_that_was_done_although_it_failed_is_unknown(kind: Kind, path: Path) -> None:
    """As over NFS, when the answer is lost and the second try finds nothing to rename."""

    class LostAnswer(System):
        def rename(self, source: Path, target: Path) -> None:
            super().rename(source, target)
            raise FileNotFoundError(errno.ENOENT, "")

    with pytest.raises(SinkError) as failure:
        save(kind.open(path, effects=LostAnswer()), "payments-api")
    assert failure.value.effect_is_unknown


def test_something_else_that_is_read_back_is_an_unknown_outcome(kind: Kind, path: Path) -> None:
    class Interferes(System):
        def sync_folder(self, folder: Path) -> None:
            super().sync_folder(folder)
            path.write_text(kind.users_own)

    with pytest.raises(SinkError, match="it contains something other than") as failure:
        save(kind.open(path, effects=Interferes()), "payments-api")
    assert failure.value.effect_is_unknown
