"""What every local sink does, whatever its format."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from sinks.stage import CANARY, STACK, Kind, Watched, look, owner, record, save

from reconciler.effects import System
from reconciler.errors import SinkError
from reconciler.model import ForeignRecord, Secret
from reconciler.model.desired import Place, SinkSettings
from reconciler.sinks import Sink, open_sinks
from reconciler.sinks.protocol import Traits


def test_a_sink_says_its_name_and_that_it_can_be_read_back(kind: Kind, path: Path) -> None:
    sink: Sink = kind.open(path)
    assert (sink.name, sink.traits) == ("local", Traits(tidies=True))


def test_where_there_is_no_file_nothing_is_held(kind: Kind, tmp_path: Path) -> None:
    assert kind.open(tmp_path / "missing" / kind.name).read(["payments-api"]) == {}
    assert look(tmp_path) == {}


def test_a_new_generation_takes_the_place_of_the_earlier_one(kind: Kind, path: Path) -> None:
    sink = kind.open(path)
    for key in ("a-key", "payments-api", "z-key"):
        save(sink, key, "old")
    before = path.read_text()
    save(sink, "payments-api", "new", generation=2)
    assert sink.read([])["payments-api"] == record("payments-api", 2)
    assert kind.secret_in(path, "payments-api") == "new"
    save(sink, "payments-api", "old")
    assert path.read_text() == before


def test_writing_the_same_again_leaves_the_file_untouched(kind: Kind, path: Path) -> None:
    sink = kind.open(path)
    save(sink, "payments-api")
    before = look(path.parent)
    save(sink, "payments-api")
    assert look(path.parent) == before


def test_removing_takes_record_and_secret_and_leaves_the_rest(kind: Kind, path: Path) -> None:
    kind.write_users_own(path)
    sink = kind.open(path)
    save(sink, "payments-api")
    save(sink, "batch-jobs", "other")
    sink.remove("payments-api")
    assert sink.read([]) == {"batch-jobs": record("batch-jobs")}
    assert CANARY not in path.read_text()
    sink.remove("batch-jobs")
    assert path.read_text() == kind.users_own


def test_removing_the_last_secret_removes_a_file_with_nothing_else_in_it(kind: Kind, path: Path) -> None:
    sink = kind.open(path)
    save(sink, "payments-api")
    sink.remove("payments-api")
    sink.remove("payments-api")
    assert look(path.parent) == {}


def test_removing_what_was_never_there_makes_nothing(kind: Kind, tmp_path: Path) -> None:
    kind.open(tmp_path / "missing" / kind.name).remove("payments-api")
    assert look(tmp_path) == {}


def test_what_stands_there_without_a_record_is_refused_and_not_removed(kind: Kind, path: Path) -> None:
    kind.write_users_own(path, kind.by_hand.format(secret="mine"))
    before = look(path.parent)
    sink = kind.open(path)
    for refused in (lambda: save(sink, "payments-api"), lambda: sink.probe(["payments-api"])):
        with pytest.raises(SinkError) as refusal:
            refused()
        assert str(path) in refusal.value.message
        assert refusal.value.way_out
        assert not refusal.value.effect_is_unknown
    sink.remove("payments-api")
    assert [type(found) for found in sink.read(["payments-api"]).values()] == [ForeignRecord]
    sink.probe(["batch-jobs"])
    assert look(path.parent) == before


def test_one_record_alone_is_what_it_is_among_all(kind: Kind, path: Path) -> None:
    sink = kind.open(path)
    assert sink.read_one("payments-api") is None
    save(sink, "payments-api", "abc")
    damaged = kind.damage(path.read_text())
    kind.open(path, stack="other").write(record("theirs", stack="other"), Secret("abc"))
    for key in ("payments", "api", "payments-api-2"):
        save(sink, key, f"of-{key}", generation=2)
    held = sink.read([])
    assert set(held) == {"payments-api", "payments", "api", "payments-api-2"}
    for key in (*held, "theirs", "nobody"):
        assert sink.read_one(key) == held.get(key)
    for text in damaged:
        path.write_text(text)
        assert sink.read_one("payments-api") is None, text


def test_two_stacks_can_share_a_file(kind: Kind, path: Path) -> None:
    kind.open(path, stack="other").write(record("theirs", stack="other"), Secret("abc"))
    sink = kind.open(path)
    save(sink, "ours", "def")
    assert set(sink.read([])) == {"ours"}
    sink.remove("ours")
    assert set(kind.open(path, stack="other").read([])) == {"theirs"}


def test_a_damaged_record_is_not_held_and_is_replaced_or_removed(kind: Kind, path: Path) -> None:
    sink = kind.open(path)
    save(sink, "payments-api", "before")
    whole = path.read_text()
    for damaged in kind.damage(whole):
        path.write_text(damaged)
        assert sink.read(["payments-api"]) == {}, damaged
        sink.probe(["payments-api"])
        save(sink, "payments-api", "before")
        assert sink.read(["payments-api"]) == {"payments-api": record("payments-api")}, damaged
        assert kind.secret_in(path, "payments-api") == "before"
        path.write_text(damaged)
        sink.remove("payments-api")
        assert not path.exists(), damaged


def test_probing_changes_nothing(kind: Kind, tmp_path: Path, path: Path) -> None:
    kind.open(tmp_path / "a" / "b" / kind.name).probe(["payments-api"])
    assert look(tmp_path) == {}
    save(kind.open(path), "payments-api")
    before = look(tmp_path)
    kind.open(path).probe(["payments-api", "batch-jobs"])
    assert look(tmp_path) == before


def test_a_folder_that_cannot_be_written_is_found_by_probing(kind: Kind, tmp_path: Path) -> None:
    class ReadOnly(System):
        def can_write(self, path: Path) -> bool:
            return path != tmp_path

    with pytest.raises(SinkError, match=f"no file can be made in the folder {tmp_path}"):
        kind.open(tmp_path / "missing" / kind.name, effects=ReadOnly()).probe([])


def test_missing_folders_are_made_for_their_owner_alone(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / kind.name
    effects = Watched()
    save(kind.open(path, effects=effects), "payments-api")
    assert effects.log.count("sync_folder") == 3  # each new folder in its parent, and the file
    assert [oct(folder.stat().st_mode & 0o777) for folder in (path.parent, path.parent.parent)] == ["0o700", "0o700"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_file_is_for_its_owner_alone_under_any_umask(kind: Kind, path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        save(kind.open(path), "payments-api")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_relative_path_starts_at_the_configuration_file(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "team").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = SinkSettings("local", kind.type, {"path": kind.name}, Place("team/keyform.yaml", 4, 3))
    sink = open_sinks([settings], owner=owner(), effects=System())["local"]
    monkeypatch.chdir("/")
    save(sink, "payments-api")
    assert (tmp_path / "team" / kind.name).exists()


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SinkError) as refusal:
        open_sinks([SinkSettings("local", "ini")], owner=owner(), effects=System())
    assert refusal.value.message == "sink local: there is no such type"
    assert "dotenv" in refusal.value.way_out
    assert "json" in refusal.value.way_out


@pytest.mark.parametrize("options", [{}, {"path": ""}, {"path": 3}, {"path": "a\0b"}])
def test_a_sink_without_a_path_is_refused(kind: Kind, options: dict[str, str | int | bool]) -> None:
    with pytest.raises(SinkError, match="sink local: it has no path"):
        open_sinks([SinkSettings("local", kind.type, options)], owner=owner(), effects=System())


def test_opening_touches_nothing(kind: Kind, path: Path) -> None:
    effects = Watched()
    kind.open(path, effects=effects)
    assert effects.log == []


def test_a_file_too_big_to_be_one_of_secrets_is_refused(kind: Kind, path: Path) -> None:
    path.touch()
    os.truncate(path, 10 * 1024 * 1024 + 1)
    sink = kind.open(path)
    for refused in (lambda: sink.read([]), lambda: save(sink, "payments-api"), lambda: sink.probe([])):
        with pytest.raises(SinkError, match="is bigger than 10 MB"):
            refused()


def test_a_write_that_would_make_the_file_too_big_is_refused(kind: Kind, path: Path) -> None:
    sink = kind.open(path)
    save(sink, "payments-api")
    with path.open("ab") as file:
        file.write(b"\n" * (10 * 1024 * 1024 - path.stat().st_size))
    with pytest.raises(SinkError, match="is bigger than 10 MB"):
        sink.write(record("batch-jobs"), Secret("a" * 4096))
    assert set(sink.read([])) == {"payments-api"}


def error_of(act: Callable[[], object]) -> SinkError | None:
    try:
        act()
    except SinkError as error:
        return error
    return None


def spoil(kind: Kind, path: Path) -> list[str]:
    """Files full of secrets that are refused, or hold nothing of ours."""
    save(kind.open(path), "payments-api")
    whole = path.read_text()
    return [
        whole + whole,
        whole + CANARY,
        "\0" + whole,
        "[" + whole + "]",
        whole.replace(CANARY, f"\ud800{CANARY}"),
        whole.replace(STACK, CANARY),
        kind.by_hand.format(secret=CANARY),
        *kind.damage(whole),
    ]


def test_no_error_shows_a_secret_nor_carries_one_along(kind: Kind, path: Path) -> None:
    """Not in its text, not in a traceback, and not in the exceptions behind it, whose fields a logger may dump."""
    refused = 0
    for content in spoil(kind, path):
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
        sink = kind.open(path)
        for act in (
            lambda sink=sink: sink.read([]),
            lambda sink=sink: sink.probe(["payments-api"]),
            lambda sink=sink: save(sink, "payments-api", f"'\"{CANARY}\\${{"),
            lambda sink=sink: sink.remove("payments-api"),
        ):
            if (error := error_of(act)) is None:
                continue
            refused += 1
            assert CANARY not in "".join(traceback.format_exception(error)) + error.diagnostics()
            assert error.__cause__ is None
            assert error.__context__ is None
            assert error.way_out
    assert refused >= 6


def test_secrets_that_are_not_ours_or_damaged_are_not_read_back(kind: Kind, path: Path) -> None:
    kind.open(path, stack="other").write(record("payments-api", stack="other"), Secret("theirs"))
    sink = kind.open(path)
    assert sink.read_secrets(["payments-api"]) == {}
    path.unlink()
    save(sink, "payments-api")
    for text in kind.damage(path.read_text()):
        path.write_text(text)
        assert sink.read_secrets(["payments-api"]) == {}
    path.write_text(kind.by_hand.format(secret="mine"))
    assert sink.read_secrets(["payments-api"]) == {}
