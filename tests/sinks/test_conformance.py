"""The same sentences over every kind of sink: first over all of them, then over those that can be read back."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sinks.places import (
    KEY,
    AwsPlace,
    CommandPlace,
    FilePlace,
    GitlabPlace,
    Place,
    ReadablePlace,
    SsmPlace,
    StorePlace,
)
from sinks.stage import CANARY, DOTENV, JSON, record

from reconciler.errors import SinkError
from reconciler.model import ForeignRecord, LaterRecord, Secret, SinkRecord
from reconciler.sinks.declared import sink_types
from reconciler.sinks.protocol import HeldSecret, Sink

READABLE = ("dotenv", "json", "aws-secrets-manager", "aws-ssm", "example", "gitlab-ci", "vault")


def make_place(kind: str, folder: Path, request: pytest.FixtureRequest) -> Place:
    """A place of this kind, empty."""
    match kind:
        case "example":
            return StorePlace(request.getfixturevalue("shop"))
        case "gitlab-ci":
            return GitlabPlace(request.getfixturevalue("gitlab"))
        case "aws-secrets-manager":
            return AwsPlace(request.getfixturevalue("aws"))
        case "aws-ssm":
            return SsmPlace(request.getfixturevalue("ssm"))
        case "command":
            return CommandPlace(folder)
        case "vault":
            from sinks.vault_stage import VaultPlace

            return VaultPlace(request.getfixturevalue("bao"))
        case "dotenv":
            return FilePlace(DOTENV, folder)
        case _:
            return FilePlace(JSON, folder)


@pytest.fixture(params=READABLE)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> ReadablePlace:
    """Each kind of sink that can be read back, with nothing in it."""
    made = make_place(request.param, tmp_path, request)
    assert isinstance(made, ReadablePlace)
    return made


@pytest.fixture(params=[*READABLE, "command"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of sink, with nothing in it."""
    return make_place(request.param, tmp_path, request)


def refused(act: Callable[[], object]) -> SinkError:
    """The error, which was raised before anything was changed."""
    with pytest.raises(SinkError) as caught:
        act()
    assert not caught.value.effect_is_unknown
    assert caught.value.way_out
    return caught.value


# --- Every sink -------------------------------------------------------------------------------------------------------


def test_the_kinds_here_are_all_that_there_are(shop: object) -> None:
    assert shop
    assert {*READABLE, "command"} == set(sink_types())


def test_a_consumer_gets_what_was_written_and_the_newest_of_it(any_place: Place) -> None:
    any_place.open().probe([KEY])
    assert any_place.secret() is None
    for generation, secret in ((1, "one"), (1, "one"), (2, "two")):
        any_place.open().write(record(KEY, generation), Secret(secret))
        assert any_place.secret() == secret


def test_what_is_removed_is_gone_and_can_be_removed_again(any_place: Place) -> None:
    any_place.open().remove(KEY)
    any_place.open().write(record(KEY), Secret("one"))
    for _ in range(2):
        any_place.open().remove(KEY)
        assert any_place.secret() is None


def test_opening_and_probing_change_nothing_and_say_where_it_writes(any_place: Place) -> None:
    any_place.open().write(record(KEY), Secret("one"))
    sink = any_place.open()
    sink.probe([KEY])
    assert any_place.secret() == "one"
    assert sink.destination.isprintable()
    assert sink.destination
    assert CANARY not in sink.destination


def test_a_record_that_is_not_the_sinks_own_is_never_written(any_place: Place) -> None:
    for other in (record(KEY, stack="other"), record(KEY, project=77), replace(record(KEY), api="api.example.org")):
        error = refused(lambda given=other: any_place.open().write(given, Secret("abc")))  # type: ignore[misc]
        assert error.message.endswith("belongs to another owner")
    assert any_place.secret() is None


def test_no_failure_shows_the_secret_or_carries_it_along(any_place: Place) -> None:
    any_place.open()
    any_place.break_down()
    with pytest.raises(SinkError) as caught:
        any_place.open().write(record(KEY), Secret(CANARY))
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.diagnostics()
    assert CANARY not in shown
    assert caught.value.way_out
    assert any_place.secret() is None


# --- Those that can be read back --------------------------------------------------------------------------------------


def test_what_was_written_is_held_to_the_second_and_can_be_consumed(place: ReadablePlace) -> None:
    made = replace(record(KEY), created_at=record(KEY).created_at.replace(microsecond=999_999))
    place.open().write(made, Secret("abc"))
    assert place.open().read([KEY]) == {KEY: record(KEY)}
    assert place.open().read_one(KEY) == record(KEY)
    assert place.secret() == "abc"


def test_nothing_is_held_before_the_first_write(place: ReadablePlace) -> None:
    sink = place.open()
    sink.probe([KEY])
    assert (sink.read([KEY]), sink.read_one(KEY), sink.read_secrets([KEY])) == ({}, None, {})
    sink.remove(KEY)


def test_a_new_generation_takes_the_place_of_the_earlier_one(place: ReadablePlace) -> None:
    place.open().write(record(KEY), Secret("old"))
    place.open().write(record(KEY, 2), Secret("new"))
    assert place.open().read([KEY]) == {KEY: record(KEY, 2)}
    assert place.secret() == "new"


def test_the_same_write_again_changes_nothing(place: ReadablePlace) -> None:
    place.open().write(record(KEY), Secret("abc"))
    before = place.record()
    place.open().write(record(KEY), Secret("abc"))
    assert (place.secret(), place.record()) == ("abc", before)


def test_a_removed_secret_is_held_no_more_and_can_be_removed_again(place: ReadablePlace) -> None:
    place.open().write(record(KEY), Secret("abc"))
    place.open().remove(KEY)
    place.open().remove(KEY)
    assert place.open().read([KEY]) == {}


def test_a_secret_can_be_read_back_with_its_record(place: ReadablePlace) -> None:
    place.open().write(record(KEY), Secret("a'b c/+="))
    held = place.open().read_secrets([KEY, "unknown"])
    assert held == {KEY: HeldSecret(record(KEY), Secret("a'b c/+="))}
    assert "a'b" not in repr(held)


def test_an_older_generation_does_not_take_the_place_of_a_newer_one(place: ReadablePlace) -> None:
    newer = replace(record(KEY, 2), created_at=record(KEY).created_at + timedelta(hours=1))
    place.open().write(newer, Secret("new"))
    assert "holds a newer generation" in refused(lambda: place.open().write(record(KEY), Secret("old"))).message
    assert place.secret() == "new"


# --- Whose it is ------------------------------------------------------------------------------------------------------


def test_a_secret_without_a_record_is_nobodys(place: ReadablePlace) -> None:
    place.plant_foreign("theirs")
    sink = place.open()
    for act in (lambda: sink.probe([KEY]), lambda: sink.write(record(KEY), Secret("ours"))):
        assert "theirs" not in refused(act).diagnostics()
    sink.remove(KEY)
    assert sink.read_secrets([KEY]) == {}
    foreign = foreign_in(sink)
    assert "theirs" not in repr(foreign)
    assert foreign.message in (refused(lambda: sink.probe([KEY])).message)
    assert sink.read([]) == {}, "only what stands in the place of a key that is asked for is told"


def foreign_in(sink: Sink) -> ForeignRecord:
    """What `read` says of a place that is not ours."""
    found = sink.read([KEY])
    assert list(found) == [KEY]
    foreign = found[KEY]
    assert isinstance(foreign, ForeignRecord)
    assert foreign.key == KEY
    assert foreign.way_out
    return foreign


def test_another_stacks_record_is_neither_read_nor_written_nor_removed(place: ReadablePlace) -> None:
    place.open(stack="other").write(record(KEY, stack="other"), Secret("theirs"))
    sink = place.open()
    assert (sink.read_one(KEY), sink.read_secrets([KEY])) == (None, {})
    for act in (lambda: sink.probe([KEY]), lambda: sink.write(record(KEY), Secret("ours"))):
        assert "belongs to other/payments-api (project 1234 at api.gcore.com)" in refused(act).message
    foreign = foreign_in(sink)
    assert "belongs to other/payments-api (project 1234 at api.gcore.com)" in foreign.message
    assert "GCORE_CLOUD_PROJECT_ID" not in foreign.way_out
    sink.remove(KEY)
    assert place.secret() == "theirs"


def owned_by(sink: Sink, **more: object) -> Sink:
    """The sink as a run opens it whose file says more of the owner."""
    sink._owner = replace(sink._owner, **more)  # type: ignore[arg-type]
    return sink


def test_what_is_released_keeps_its_secret_and_is_nobodys_until_it_is_taken_over(place: ReadablePlace) -> None:
    place.open().write(record(KEY), Secret("kept"))
    sink = place.open()
    sink.release(KEY)
    sink.release(KEY)
    assert place.secret() == "kept"
    assert sink.read_one(KEY) is None
    assert "belongs to inference-prod/payments-api, which that stack released" in foreign_in(place.open()).message
    place.open().remove(KEY)
    assert place.secret() == "kept"
    refused(lambda: place.open(stack="other").write(record(KEY, stack="other"), Secret("theirs")))
    for takes in ({("inference-prod", "another")}, {("third", KEY)}):
        assert owned_by(place.open(stack="other"), takes=frozenset(takes)).read_one(KEY) is None
    taker = owned_by(place.open(stack="other"), takes=frozenset({("inference-prod", KEY)}))
    assert taker.read([KEY])[KEY] == record(KEY, stack="other")
    taker.tidy()
    assert place.open(stack="other").read_one(KEY) is None, "only a write takes it over: the plan may not do it"
    taker.write(record(KEY, stack="other"), Secret("kept"))
    assert place.open(stack="other").read_one(KEY) == record(KEY, stack="other")
    assert place.secret() == "kept"


def test_a_stack_that_was_called_otherwise_reads_its_records_and_rewrites_them(place: ReadablePlace) -> None:
    place.open().write(record(KEY), Secret("kept"))
    assert place.open(stack="other").read_one(KEY) is None
    sink = owned_by(place.open(stack="other"), formerly=frozenset({"inference-prod"}))
    assert sink.read([KEY])[KEY] == record(KEY, stack="other")
    sink.tidy()
    sink.write(record(KEY, stack="other"), Secret("kept"))
    assert place.open(stack="other").read_one(KEY) == record(KEY, stack="other")
    assert place.open().read_one(KEY) is None
    assert place.secret() == "kept"


def test_nothing_is_released_where_there_is_nothing(any_place: Place) -> None:
    any_place.open().release(KEY)
    assert any_place.secret() is None


def test_a_record_of_the_first_form_is_read_and_says_neither_api_nor_project(place: ReadablePlace) -> None:
    place.plant(1, "abc")
    held = place.open().read([KEY])[KEY]
    assert isinstance(held, SinkRecord)
    assert held == replace(record(KEY), api="", project=0)
    assert held.form == 1
    assert place.open().read_one(KEY) == held


def test_a_record_of_the_first_form_is_upgraded_by_the_next_write(place: ReadablePlace) -> None:
    place.plant(1, "abc")
    place.open().probe([KEY])
    place.open().write(record(KEY), Secret("abc"))
    held = place.open().read([KEY])[KEY]
    assert (held, held.form) == (record(KEY), 2)
    assert "2 " in place.record() or '"form": 2' in place.record()
    assert ".123456" not in place.record()
    assert place.secret() == "abc"


def test_a_record_of_the_first_form_is_upgraded_once_by_tidying(place: Place) -> None:
    place.plant(1, "abc")
    sink = place.open()
    sink.tidy()
    assert ".123456" in place.record(), "a run tidies what it has read"
    sink.read([KEY])
    sink.tidy()
    if isinstance(place, StorePlace | SsmPlace):
        assert ".123456" in place.record(), "there it takes the secret to write the record"
        return
    upgraded = place.record()
    assert "2 " in upgraded or '"form": 2' in upgraded
    assert ".123456" not in upgraded
    held = place.open().read([KEY])[KEY]
    assert (held, held.form) == (record(KEY), 2)
    assert place.secret() == "abc"
    sink = place.open()
    sink.read([KEY])
    sink.tidy()
    assert place.record() == upgraded


def test_a_record_of_the_first_form_can_be_removed(place: ReadablePlace) -> None:
    place.plant(1, "abc")
    place.open().remove(KEY)
    assert place.open().read([KEY]) == {}


def test_another_projects_record_is_neither_read_nor_written_nor_removed(place: ReadablePlace) -> None:
    place.open(project=77).write(record(KEY, project=77), Secret("theirs"))
    before = place.record()
    ours = place.open()
    foreign = foreign_in(ours)
    assert "belongs to inference-prod/payments-api (project 77 at api.gcore.com)" in foreign.message
    assert foreign.way_out.startswith("Check GCORE_CLOUD_PROJECT_ID")
    assert ours.read_one(KEY) is None
    for act in (lambda: ours.probe([KEY]), lambda: ours.write(record(KEY), Secret("ours"))):
        assert "(project 77 at api.gcore.com)" in refused(act).message
    ours.remove(KEY)
    assert (place.secret(), place.record()) == ("theirs", before)


@pytest.mark.parametrize("form", [3, 999])
def test_a_record_of_a_later_form_is_neither_absent_nor_touched(place: ReadablePlace, form: int) -> None:
    place.plant(form, "abc")
    before = place.record()
    sink = place.open()
    assert sink.read([KEY]) == {KEY: LaterRecord(KEY, form)}
    assert sink.read_one(KEY) is None
    for act in (
        lambda: sink.probe([KEY]),
        lambda: sink.write(record(KEY), Secret("new")),
        lambda: sink.remove(KEY),
    ):
        error = refused(act)
        assert f"the record of {KEY} has the format {form} of a later version of keyform" in error.message
        assert error.way_out.startswith("Update keyform")
    assert (place.secret(), place.record()) == ("abc", before)
