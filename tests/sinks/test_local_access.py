"""Who may read a local sink's file: its owner, and one group that the file names; from its first instant on."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from sinks.stage import GID, KINDS, STACK, Kind, Watched, for_group, look, save

from reconciler.effects import Group, System
from reconciler.errors import SinkError
from reconciler.model import Repair
from reconciler.sinks import Sink
from reconciler.sinks.local_access import find_faults

MODES = {"0600": 0o600, "600": 0o600, "0640": 0o640, "0400": 0o400, "0440": 0o440, "440": 0o440}


def access_of(path: Path) -> tuple[int, int]:
    found = path.stat()
    return stat.S_IMODE(found.st_mode), found.st_gid


def refused(act: Callable[[], object]) -> SinkError:
    with pytest.raises(SinkError) as caught:
        act()
    assert caught.value.way_out
    return caught.value


@pytest.fixture(params=map(for_group, KINDS), ids=lambda kind: kind.type)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each type of local sink, for a group."""
    return request.param


@pytest.mark.parametrize(("text", "mode"), MODES.items())
def test_a_mode_is_octal_and_holds_through_every_change(kind: Kind, path: Path, text: str, mode: int) -> None:
    group = {"group": str(GID)} if mode & 0o040 else {"group": ""}
    sink = kind.open(path, mode=text, **group)
    for act in (
        lambda: save(sink, "payments-api"),
        lambda: save(sink, "payments-api", "n3w", 2),
        lambda: save(sink, "batch-jobs"),
        lambda: sink.remove("batch-jobs"),
    ):
        act()
        assert access_of(path) == (mode, GID if mode & 0o040 else path.parent.stat().st_gid)
        sink.read(["payments-api"])
        assert (sink.repairs, sink.exposure) == ((), "")


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_the_mask_of_the_process_changes_nothing(kind: Kind, path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        save(kind.open(path), "payments-api")
    finally:
        os.umask(before)
    assert access_of(path) == (0o640, GID)


def test_no_other_mode_or_group_is_ever_seen_on_the_way(kind: Kind, path: Path) -> None:
    """Whatever effect comes next, the file in place is the old one or the new one, with the same access."""
    seen: set[tuple[int, int]] = set()

    class Looking(Watched):
        def before(self, name: str, arguments: tuple[object, ...]) -> None:
            if path.exists():
                seen.add(access_of(path))
            for each in path.parent.rglob("*/*"):
                assert stat.S_IMODE(each.parent.stat().st_mode) == 0o700
                seen.discard((0, 0))

    save(kind.open(path, effects=Looking()), "payments-api")
    save(kind.open(path, effects=Looking()), "payments-api", "n3w", 2)
    assert seen == {(0o640, GID)}


def test_a_new_file_has_its_access_before_anything_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []
    whole = {name: getattr(os, name) for name in ("fchown", "fchmod")}
    for name, act in whole.items():

        def watched(descriptor: int, *arguments: int, name: str = name, act: Callable[..., None] = act) -> None:
            asked.append((name, os.fstat(descriptor).st_size))
            act(descriptor, *arguments)

        monkeypatch.setattr(os, name, watched)
    System().create_file(tmp_path / "new", b"secret", mode=0o640, gid=GID)
    assert asked == [("fchown", 0), ("fchmod", 0)]


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="lists of access are Linux's here")
def test_a_list_of_access_that_the_folder_hands_down_lets_nobody_in(kind: Kind, path: Path) -> None:
    """With a mode for a group, the list's mask would let in whoever else it names."""

    def entry(tag: int, rights: int, number: int = 0xFFFFFFFF) -> bytes:
        return tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + number.to_bytes(4, "little")

    inherited = (2).to_bytes(4, "little") + b"".join(
        (entry(1, 7), entry(2, 7, 54321), entry(4, 5), entry(16, 7), entry(32, 5))
    )
    try:
        os.setxattr(path.parent, "system.posix_acl_default", inherited)
    except OSError:
        pytest.skip("this file system has no lists of access")
    save(kind.open(path), "payments-api")
    assert "system.posix_acl_access" not in os.listxattr(path)
    assert access_of(path) == (0o640, GID)


# --- Drift ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o644, 0o660, 0o666, 0o604])
def test_a_changed_mode_is_a_repair_that_one_apply_makes(kind: Kind, path: Path, mode: int) -> None:
    save(kind.open(path), "payments-api")
    content = path.read_bytes()
    path.chmod(mode)
    sink = kind.open(path)
    sink.read(["payments-api"])
    (repair,) = sink.repairs
    assert repair.code == "sink_access_differs"
    assert f"has mode {mode:04o} and the group " in repair.sentence
    assert repair.sentence.endswith(f"and should have mode 0640, group {GID}: an apply sets them")
    assert bool(sink.exposure) == (not mode & 0o040)
    sink.tidy()
    assert access_of(path) == (0o640, GID)
    assert path.read_bytes() == content
    sink.read(["payments-api"])
    assert sink.repairs == ()
    before = look(path.parent)
    sink.tidy()
    assert look(path.parent) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to any group")
def test_a_changed_group_is_a_repair_and_an_exposure(kind: Kind, path: Path) -> None:
    save(kind.open(path), "payments-api")
    os.chown(path, -1, GID + 1)
    sink = kind.open(path)
    sink.read(["payments-api"])
    assert [each.code for each in sink.repairs] == ["sink_access_differs"]
    assert sink.exposure == f"sink local lets the group {GID} read {kind.name}"
    sink.tidy()
    assert access_of(path) == (0o640, GID)


def test_a_file_that_was_widened_by_hand_without_a_word_in_the_file_is_tightened_and_said(
    kind: Kind, path: Path
) -> None:
    """Silently, at the next rotation, consumers in that group would lose it."""
    plain = next(each for each in KINDS if each.type == kind.type)
    save(plain.open(path), "payments-api")
    os.chown(path, -1, GID)
    path.chmod(0o640)
    sink = plain.open(path)
    sink.read(["payments-api"])
    assert sink.repairs == (
        Repair(
            "sink_access_differs",
            f"{kind.name} has mode 0640 and the group {System().find_group(str(GID)).name}, and should have 0600: "
            'an apply sets it; if that is meant, declare `mode: "0640"` and '
            f"`group: {System().find_group(str(GID)).name}` for the sink",
        ),
    )
    sink.tidy()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_not_ours_is_no_drift_and_keeps_its_access(kind: Kind, path: Path) -> None:
    kind.write_users_own(path)
    path.chmod(0o600)
    before = look(path.parent)
    sink = kind.open(path)
    sink.read(["payments-api"])
    assert sink.repairs == ()
    for act in (lambda: sink.probe(["payments-api"]), lambda: save(sink, "payments-api")):
        error = refused(act)
        assert "already exists without a record of this stack, and its mode 600 and its group" in error.message
        assert f"`chgrp {GID}` and `chmod 640` it" in error.way_out
    assert look(path.parent) == before


# --- Exposure ---------------------------------------------------------------------------------------------------------


def test_a_group_that_gets_to_read_is_an_exposure_until_it_does(kind: Kind, path: Path) -> None:
    sink = kind.open(path)
    sink.read(["payments-api"])
    assert sink.exposure == f"sink local lets the group {GID} read {kind.name}"
    assert sink.destination == f"{kind.name}, mode 0640, group {GID}"
    assert sink.place == str(path)
    save(sink, "payments-api")
    sink.read(["payments-api"])
    assert sink.exposure == ""


# --- Groups that cannot be --------------------------------------------------------------------------------------------


class Unknown(System):
    """A machine without the group."""

    def find_group(self, name: str) -> Group | None:
        return None


class NotAMember(System):
    """The group is there, and this user is not in it."""

    def find_group(self, name: str) -> Group | None:
        return Group(name, GID, may_be_given=False)


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        (Unknown(), "there is no group app on this machine"),
        (NotAMember(), "the user that keyform runs as is not in the group app, and cannot give the file to it"),
    ],
)
def test_a_group_that_a_file_cannot_be_given_to_stops_all_writing(
    kind: Kind, path: Path, effects: System, message: str
) -> None:
    sink = kind.open(path, group="app", effects=effects)
    for act in (
        lambda: sink.probe(["payments-api"]),
        lambda: sink.rehearse(["payments-api"]),
        lambda: save(sink, "payments-api"),
    ):
        assert refused(act).message == f"sink local: {path}: {message}"
    assert look(path.parent) == {}
    assert sink.read(["payments-api"]) == {}


def test_a_group_that_is_gone_is_found_although_nothing_is_to_be_written(kind: Kind, path: Path) -> None:
    save(kind.open(path), "payments-api")
    sink = kind.open(path, group="app", effects=Unknown())
    assert set(sink.read(["payments-api"])) == {"payments-api"}
    assert sink.repairs
    assert "there is no group app" in refused(lambda: sink.probe([])).message
    assert access_of(path) == (0o640, GID)


def test_a_file_system_that_keeps_no_group_is_found_by_the_rehearsal(kind: Kind, path: Path) -> None:
    class Fixed(System):
        def create_file(self, path: Path, content: bytes, *, mode: int = 0o600, gid: int | None = None) -> None:
            super().create_file(path, content)

    for act in (
        lambda: kind.open(path, effects=Fixed()).rehearse(["payments-api"]),
        lambda: save(kind.open(path, effects=Fixed()), "payments-api"),
    ):
        assert f"its file system does not keep mode 0640, group {GID} of a new file" in refused(act).message
    assert look(path.parent) == {}


# --- Folders ----------------------------------------------------------------------------------------------------------


def test_folders_that_are_made_let_the_group_through_and_show_it_nothing(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / kind.name
    save(kind.open_in(tmp_path, path), "payments-api")
    for folder in (path.parent, path.parent.parent):
        assert access_of(folder) == (0o710, GID)


def test_a_folder_that_is_closed_to_the_group_is_named(kind: Kind, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    sink = kind.open_in(tmp_path, closed / kind.name)
    save(sink, "payments-api")
    sink.read(["payments-api"])
    if closed.stat().st_gid == GID:
        closed.chmod(0o600)
    assert sink.warning == (
        f"closed/{kind.name} may be out of reach for the group {GID}: the folder {closed} has mode 0700; "
        f"`chgrp {GID}` and `chmod g+x` it, if they cannot"
    )
    os.chown(closed, -1, GID)
    closed.chmod(0o710)
    assert f"the folder {closed} has" not in sink.warning


# --- What makes no sense ----------------------------------------------------------------------------------------------


def test_a_mode_passes_if_only_its_owner_writes_and_only_a_group_that_is_named_also_reads() -> None:
    for mode in range(0o1000):
        for group in ("", "app"):
            is_right = mode in ((0o640, 0o440) if group else (0o600, 0o400))
            assert (not list(find_faults(mode, group))) == is_right, f"{mode:04o} {group}"


@pytest.mark.parametrize(
    "options",
    [{"mode": "0666"}, {"mode": "rw"}, {"mode": ""}, {"mode": "0640", "group": ""}, {"mode": "0600"}, {"mode": "1640"}],
)
def test_a_sink_does_not_open_with_an_access_that_makes_no_sense(
    kind: Kind, path: Path, options: dict[str, str]
) -> None:
    error = refused(lambda: kind.open(path, **options))
    assert error.message == "sink local: `mode` and `group` do not say who may read its file"


def test_the_stack_of_another_is_still_refused(kind: Kind, path: Path) -> None:
    save(kind.open(path), "payments-api")
    other: Sink = kind.open(path, stack=f"{STACK}-2")
    assert "payments-api" in other.read(["payments-api"])
    assert "belongs to" in refused(lambda: other.probe(["payments-api"])).message
