"""What a rehearsal finds before a key is made, and that it leaves nothing behind."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sinks.stage import CANARY, FailsAt, FailsWhen, Killed, KilledAt, Kind, Watched, git, git_would_add, look, save

from reconciler.effects import System
from reconciler.errors import SinkError
from reconciler.sinks.local_file import TEMPORARY_FOLDER

KEYS = ["payments-api"]


def refused(sink: Any) -> SinkError:
    with pytest.raises(SinkError) as refusal:
        sink.rehearse(KEYS)
    assert refusal.value.message.startswith("sink local: ")
    assert refusal.value.way_out
    assert not refusal.value.effect_is_unknown
    return refusal.value


def test_it_leaves_the_file_and_its_folder_as_they_were(kind: Kind, path: Path) -> None:
    kind.write_users_own(path)
    save(kind.open(path), "payments-api")
    before = look(path.parent)
    kind.open(path).rehearse(KEYS)
    assert look(path.parent) == before


def test_it_makes_the_folders_that_the_file_needs(kind: Kind, tmp_path: Path) -> None:
    kind.open(tmp_path / "a" / "b" / kind.name).rehearse(KEYS)
    assert [str(place.relative_to(tmp_path)) for place in sorted(tmp_path.rglob("*"))] == ["a", "a/b"]


def test_a_removal_from_a_file_that_is_not_there_needs_none(kind: Kind, tmp_path: Path) -> None:
    kind.open(tmp_path / "a" / kind.name).rehearse([])
    assert look(tmp_path) == {}


def test_it_does_all_that_a_write_does_with_as_many_bytes(kind: Kind, path: Path) -> None:
    kind.write_users_own(path)
    written: list[tuple[str, int]] = []

    class Weighed(Watched):
        def before(self, name: str, arguments: tuple[Any, ...]) -> None:
            if name == "create_file":
                written.append((arguments[0].name, len(arguments[1])))

    def act(what: str) -> list[str]:
        effects = Weighed()
        sink = kind.open(path, effects=effects)
        sink.rehearse(KEYS) if what == "rehearse" else save(sink, KEYS[0], "s" * 400)
        return effects.log

    rehearsed, done = act("rehearse"), act("write")
    for effect in (
        "lock_folder",
        "make_folder",
        "create_file",
        "rename",
        "sync_folder",
        "remove_file",
        "remove_folder",
    ):
        assert effect in rehearsed
        assert effect in done
    sizes = dict(written)
    assert sizes["trial"] >= sizes["new"]


@pytest.mark.parametrize(
    ("effect", "number", "message"),
    [
        ("create_file", errno.ENOSPC, "the disk is full"),
        ("create_file", errno.EDQUOT, "the disk quota is used up"),
        ("create_file", errno.EIO, os.strerror(errno.EIO)),
        ("make_folder", errno.EROFS, "the file system is read-only"),
        ("make_folder", errno.EACCES, "permission was denied"),
        *(
            ("lock_folder", number, "its folder cannot be locked")
            for number in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF)
        ),
        ("rename", errno.EPERM, "permission was denied"),
        ("sync_folder", errno.EIO, os.strerror(errno.EIO)),
        ("sync_folder", errno.ENOSPC, "the disk is full"),
        ("remove_folder", errno.EBUSY, f"{TEMPORARY_FOLDER} beside it could not be cleared"),
    ],
)
def test_what_would_stop_a_write_stops_it(kind: Kind, repository: Path, effect: str, number: int, message: str) -> None:
    path = repository / kind.name
    save(kind.open(path), "payments-api")
    before = path.read_bytes()
    error = refused(kind.open(path, effects=FailsWhen(effect, OSError(number, "as the system puts it"))))
    assert error.message == f"sink local: {path}: cannot be written: {message}"
    assert path.read_bytes() == before
    assert git_would_add(repository) == ""


class Shared(System):
    """A file system that does not keep modes, such as CIFS: every file shows as one that all may read."""

    def create_file(self, path: Path, content: bytes) -> None:
        super().create_file(path, content)
        path.chmod(0o755)


def test_a_file_system_that_does_not_keep_modes_gets_no_secret(kind: Kind, tmp_path: Path) -> None:
    """Found by the rehearsal, before a key is made; and by a write, before the secret is in any file."""
    path = tmp_path / kind.name
    sink = kind.open(path, effects=Shared())
    assert "with mode 755, which others may read" in refused(sink).message
    with pytest.raises(SinkError, match="which others may read"):
        save(sink, KEYS[0])
    assert look(tmp_path) == {}


def test_it_may_fail_or_die_at_any_effect(kind: Kind, repository: Path) -> None:
    """What it leaves is never seen by git, holds no secret, and is cleared away by the next run."""
    (repository / ".gitignore").write_text(f"{kind.name}\n")
    git(repository, "commit", "--all", "--quiet", "--message", "in any folder")
    path = repository / kind.name
    save(kind.open(path), "payments-api")
    before = path.read_bytes()
    whole = Watched()
    kind.open(path, effects=whole).rehearse(KEYS)
    for number in range(1, len(whole.log) + 1):
        for effects in (
            KilledAt(number),
            FailsAt(number, OSError(errno.EIO, "")),
            FailsAt(number, KeyboardInterrupt()),
        ):
            with suppress(Killed, KeyboardInterrupt, SinkError):
                kind.open(path, effects=effects).rehearse(KEYS)
            effects.bury()
            assert path.read_bytes() == before
            assert git_would_add(repository) == ""
            for left in (repository / TEMPORARY_FOLDER).rglob("*"):
                assert CANARY.encode() not in left.read_bytes()
            if number % 2:
                kind.open(path).rehearse(KEYS)
            else:
                kind.open(path).tidy()
            assert not (repository / TEMPORARY_FOLDER).exists()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF])
def test_a_file_system_that_cannot_sync_a_folder_is_no_error(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """As CIFS and the shared folders of virtual machines; that a file cannot be synced is one."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    path = tmp_path / "a" / kind.name
    sink = kind.open(path)
    sink.rehearse(KEYS)
    save(sink, "payments-api")
    assert kind.secret_in(path, "payments-api") == CANARY
    sink.remove("payments-api")
    assert not path.exists()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_folder_that_could_not_be_synced_is_an_error(
    kind: Kind, path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    refused(kind.open(path))
    assert look(path.parent) == {}


# --- A file that nothing can take the place of ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pin", "message"),
    [
        ("a mount", "cannot be written: the file is mounted by itself"),
        ("an attribute", "cannot be written: an attribute of the file prevents replacing it"),
    ],
)
def test_a_file_that_cannot_be_replaced_is_found_by_probing_and_read(
    kind: Kind, path: Path, pin: str, message: str
) -> None:
    class Pinned(System):
        def pinned_by(self, place: Path) -> str:
            return pin if place == path else ""

    sink = kind.open(path, effects=Pinned())
    sink.probe(KEYS)  # a file that is not there is pinned by nothing
    save(kind.open(path), "payments-api")
    with pytest.raises(SinkError) as refusal:
        sink.probe(KEYS)
    assert refusal.value.message == f"sink local: {path}: {message}"
    assert refusal.value.way_out
    assert set(sink.read(KEYS)) == {"payments-api"}


def test_mounts_are_known_by_their_own_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the escapes of the system's table; a file beside one, or below a mounted folder, is not mounted itself."""
    table = (
        "29 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"30 29 8:1 /x {tmp_path}/my\\040secrets.env rw,relatime - ext4 /dev/sda1 rw\n"
        f"31 29 0:5 / {tmp_path}/folder rw - tmpfs tmpfs rw\n"
    )
    read_bytes = Path.read_bytes

    def read(path: Path) -> bytes:
        return table.encode() if str(path) == "/proc/self/mountinfo" else read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    (tmp_path / "folder").mkdir()
    for name, pinned in (("my secrets.env", "a mount"), ("secrets.env", ""), ("folder/secrets.env", "")):
        (tmp_path / name).touch()
        assert System().pinned_by(tmp_path / name) == pinned
    assert System().pinned_by(tmp_path / "none") == ""


@pytest.mark.parametrize("flags", [0x10, 0x20])
def test_attributes_are_read_of_the_file_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: int) -> None:
    import reconciler.pins as module

    path = tmp_path / "secrets.env"
    path.touch()
    assert System().pinned_by(path) == ""
    monkeypatch.setattr(module, "read_attributes", lambda _descriptor: flags | 0x80000)
    assert System().pinned_by(path) == "an attribute"
