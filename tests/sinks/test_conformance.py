"""The same sentences over every kind of sink: whose a record is, and what another version's record means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sinks.places import KEY, AwsPlace, ExamplePlace, FilePlace, Place
from sinks.stage import DOTENV, JSON, record

from reconciler.errors import SinkError
from reconciler.model import LaterRecord, Secret

READABLE = ("dotenv", "json", "aws-secrets-manager", "example-store")


@pytest.fixture(params=READABLE)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of sink that can be read back, with nothing in it."""
    match request.param:
        case "aws-secrets-manager":
            return AwsPlace(request.getfixturevalue("aws"))
        case "example-store":
            return ExamplePlace(request.getfixturevalue("example_server"))
        case kind:
            return FilePlace({"dotenv": DOTENV, "json": JSON}[kind], tmp_path)


def refused(act: Callable[[], object]) -> SinkError:
    """The error, which was raised before anything was changed."""
    with pytest.raises(SinkError) as caught:
        act()
    assert not caught.value.effect_is_unknown
    assert caught.value.way_out
    return caught.value


def test_a_record_names_the_api_and_the_project(place: Place) -> None:
    place.open().write(record(KEY), Secret("abc"))
    assert place.open().read([KEY]) == {KEY: record(KEY)}
    assert place.open().read_one(KEY) == record(KEY)


def test_a_record_of_the_first_form_is_read_and_says_neither_api_nor_project(place: Place) -> None:
    place.plant(1, "abc")
    held = place.open().read([KEY])[KEY]
    assert held == replace(record(KEY), api="", project=0)
    assert held.form == 1
    assert place.open().read_one(KEY) == held


def test_a_record_of_the_first_form_is_upgraded_by_the_next_write(place: Place) -> None:
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
    if isinstance(place, ExamplePlace):
        assert ".123456" in place.record(), "it takes the secret"
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


def test_a_record_of_the_first_form_can_be_removed(place: Place) -> None:
    place.plant(1, "abc")
    place.open().remove(KEY)
    assert place.open().read([KEY]) == {}


def test_another_projects_record_is_neither_read_nor_written_nor_removed(place: Place) -> None:
    place.open(project=77).write(record(KEY, project=77), Secret("theirs"))
    before = place.record()
    ours = place.open()
    assert ours.read([KEY]) == {}
    assert ours.read_one(KEY) is None
    for act in (lambda: ours.probe([KEY]), lambda: ours.write(record(KEY), Secret("ours"))):
        assert "(project 77 at api.gcore.com)" in refused(act).message
    ours.remove(KEY)
    assert (place.secret(), place.record()) == ("theirs", before)


def test_a_record_that_is_not_the_sinks_own_is_never_written(place: Place) -> None:
    for other in (record(KEY, stack="other"), record(KEY, project=77), replace(record(KEY), api="api.example.org")):
        error = refused(lambda given=other: place.open().write(given, Secret("abc")))  # type: ignore[misc]
        assert error.message.endswith("is a record of another owner")
    assert place.open().read([KEY]) == {}


@pytest.mark.parametrize("form", [3, 999])
def test_a_record_of_a_later_form_is_neither_absent_nor_touched(place: Place, form: int) -> None:
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
        assert f"the record of {KEY} has the form {form}, which a later version of keyform wrote" in error.message
        assert error.way_out.startswith("Update keyform")
    assert (place.secret(), place.record()) == ("abc", before)
