"""What every store is given: lost answers, races, pauses, and errors without a secret, shown by the example sink."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sinks.example_store import SINK, ExampleStore
from sinks.places import KEY, StorePlace
from sinks.stage import CANARY, owner, record
from sinks.store_server import TOKEN, Shop
from support.http_fakes import Hasty

from reconciler.config import load_config
from reconciler.errors import SinkError
from reconciler.model import ForeignRecord, Secret, SinkSettings
from reconciler.sinks import Sink, open_sinks
from reconciler.sinks.declared import registered
from reconciler.sinks.protocol import Surroundings
from reconciler.sinks.store import ATTEMPTS


class Timed(Hasty):
    """Nobody waits, and how long one would have is noted, in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def refused(place: StorePlace, token: str = TOKEN) -> SinkError:
    """How a write fails; no secret and no token is in any trace of it."""
    with pytest.raises(SinkError) as caught:
        place.open(token=token).write(record(KEY), Secret(CANARY))
    shown = "".join(traceback.format_exception(caught.value)) + caught.value.diagnostics()
    assert CANARY not in shown
    assert TOKEN not in shown
    assert caught.value.__context__ is None or isinstance(caught.value.__context__, SinkError)
    return caught.value


def test_a_write_whose_answer_is_lost_is_looked_at_and_not_done_twice(shop: Shop) -> None:
    shop.troubles = ["", "lost"]
    StorePlace(shop).open().write(record(KEY), Secret("abc"))
    assert shop.log == ["GET", "PUT lost", "GET"]
    assert StorePlace(shop).secret() == "abc"


def test_a_write_that_was_not_heard_is_sent_again(shop: Shop) -> None:
    shop.troubles = ["", "unheard"]
    StorePlace(shop).open().write(record(KEY), Secret("abc"))
    assert shop.log == ["GET", "PUT unheard", "GET", "PUT"]
    assert StorePlace(shop).secret() == "abc"


def test_a_removal_whose_answer_is_lost_is_done(shop: Shop) -> None:
    StorePlace(shop).plant(1, "abc")
    shop.troubles = ["", "lost"]
    StorePlace(shop).open().remove(KEY)
    assert shop.entries == {}


def test_the_last_answer_that_is_lost_is_looked_at_too(shop: Shop) -> None:
    shop.troubles = ["", "unheard"] * (ATTEMPTS - 1) + ["", "lost"]
    StorePlace(shop).open().write(record(KEY), Secret("abc"))
    assert StorePlace(shop).secret() == "abc"


def test_a_store_that_never_answers_leaves_the_effect_unknown(shop: Shop) -> None:
    shop.troubles = ["", "unheard"] * ATTEMPTS
    error = refused(StorePlace(shop))
    assert error.effect_is_unknown
    assert "The example store could not be reached to save payments-api" in error.message


def test_what_somebody_else_writes_meanwhile_is_looked_at_again(shop: Shop) -> None:
    place = StorePlace(shop)
    place.plant(1, "old")
    shop.troubles = ["", "raced"]
    place.open().write(record(KEY), Secret("new"))
    assert shop.log == ["GET", "PUT raced", "GET", "PUT"]
    assert place.secret() == "new"


def test_a_foreign_entry_that_appears_meanwhile_is_not_overwritten(shop: Shop) -> None:
    shop.troubles = ["", "raced"]
    error = refused(StorePlace(shop))
    assert error.message == "sink shop: the entry of payments-api has no keyform record"
    assert not error.effect_is_unknown
    assert StorePlace(shop).document() == {}


def test_an_entry_that_is_changed_each_time_is_given_up(shop: Shop) -> None:
    StorePlace(shop).plant(1, "old")
    shop.troubles = ["", "raced"] * ATTEMPTS
    assert "was changed by someone else at each attempt" in refused(StorePlace(shop)).message


def test_a_store_that_asks_for_fewer_requests_is_waited_for(shop: Shop) -> None:
    shop.troubles = ["429", "503", "", "429"]
    effects = Timed()
    StorePlace(shop).open(effects=effects).write(record(KEY), Secret("abc"))
    assert effects.waits == [1.0, 2.0, 4.0]
    assert StorePlace(shop).secret() == "abc"


class Listing(ExampleStore):
    """A store that lists its keys page by page."""

    def listed(self) -> Iterator[str]:
        yield from ("another", KEY) if self.ask("GET", "/team/", "list the keys") else ()


def test_a_list_that_fails_in_passing_is_asked_for_again(shop: Shop) -> None:
    StorePlace(shop).plant(1, "abc")
    shop.troubles = ["429", "409"]
    env = {"EXAMPLE_STORE_URL": shop.url, "EXAMPLE_STORE_TOKEN": TOKEN}
    with registered(replace(SINK, type="listing", opens=Listing)):
        settings = SinkSettings("shop", "listing", {"folder": "team"})
        sink = open_sinks([settings], owner=owner(), effects=Hasty(), env=env)["shop"]
    assert sink.read([]) == {KEY: replace(record(KEY), api="", project=0)}
    assert shop.log == ["GET 429", "GET 409", "GET", "GET", "GET"]


def test_a_store_that_names_how_long_is_waited_for_as_long_within_reason(shop: Shop) -> None:
    shop.troubles = ["429", "429"]
    shop.retry_after = "7"
    effects = Timed()
    StorePlace(shop).open(effects=effects).write(record(KEY), Secret("abc"))
    shop.retry_after, shop.troubles = "86400", ["429"]
    StorePlace(shop).open(effects=effects).read([KEY])
    shop.retry_after = ""
    assert effects.waits == [7.0, 7.0, 60.0]


def test_once_a_write_may_have_been_done_a_later_refusal_does_not_say_otherwise(shop: Shop) -> None:
    shop.troubles = ["", "unheard", "", "400"]
    error = refused(StorePlace(shop))
    assert "answered with status 400" in error.message
    assert error.effect_is_unknown


def test_a_place_that_is_not_there_is_no_success_of_a_write(shop: Shop) -> None:
    shop.troubles = ["", "404"]
    error = refused(StorePlace(shop))
    assert "answered with status 404 when asked to save payments-api" in error.message
    assert not error.effect_is_unknown


def test_a_token_goes_over_plain_http_to_this_machine_only(shop: Shop) -> None:
    error = refused(StorePlace(replace(shop, url="http://store.example.org")))
    assert "EXAMPLE_STORE_URL would send the token unencrypted to store.example.org" in error.message
    assert shop.log == []


def test_a_sink_is_given_the_variables_that_it_declares_and_no_others(shop: Shop) -> None:
    given: list[Surroundings] = []

    def opens(settings: SinkSettings, around: Surroundings) -> Sink:
        given.append(around)
        return SINK.opens(settings, around)

    env = {"EXAMPLE_STORE_URL": shop.url, "GCORE_API_KEY": "b", "AWS_SECRET_ACCESS_KEY": "c"}
    with registered(replace(SINK, type="other", opens=opens)):
        open_sinks([SinkSettings("shop", "other")], owner=owner(), effects=Hasty(), env=env)
    assert [around.env for around in given] == [{"EXAMPLE_STORE_URL": shop.url}]


def test_a_token_that_is_not_accepted_is_told_at_once_and_by_its_name(shop: Shop) -> None:
    error = refused(StorePlace(shop), token="another")
    assert error.message.startswith("sink shop: The example store answered with status 401 when asked to read")
    assert "EXAMPLE_STORE_TOKEN" in error.way_out
    assert shop.log == ["GET"]


def test_a_token_that_is_not_set_is_told_before_anything_is_sent(shop: Shop) -> None:
    assert refused(StorePlace(shop), token="").message == "sink shop: EXAMPLE_STORE_TOKEN is not set"
    assert shop.log == []


def test_a_store_that_repeats_the_secret_does_not_get_it_shown(shop: Shop) -> None:
    shop.troubles = ["", "400"]
    error = refused(StorePlace(shop))
    assert "answered with status 400 when asked to save payments-api: you sent" in error.message
    assert "(sensitive value)" in error.message


REMOVE = "Remove it, or choose another place for this sink."


def test_what_is_no_document_of_ours_is_somebody_elses(shop: Shop) -> None:
    for junk in (b"", b"\xff", b"[", b"[" * 100_000, b"[]", b'{"keyform": 1}', b'{"secret": "x", "keyform": {}}'):
        shop.set(StorePlace.path, junk)
        message = "sink shop: the entry of payments-api has no keyform record"
        assert StorePlace(shop).open().read([KEY]) == {KEY: ForeignRecord(KEY, message, REMOVE)}
        assert refused(StorePlace(shop)).message == message
        assert shop.entries[StorePlace.path][1] == junk


def test_a_damaged_record_of_ours_is_not_held_and_is_written_anew(shop: Shop) -> None:
    shop.set(StorePlace.path, b'{"secret": "x", "keyform": {"stack": "inference-prod", "generation": 0}}')
    sink = StorePlace(shop).open()
    assert sink.read([KEY]) == {}
    sink.write(record(KEY), Secret("abc"))
    assert sink.read([KEY]) == {KEY: record(KEY)}


def test_the_file_takes_such_a_sink_as_it_takes_keyforms_own(shop: Shop, tmp_path: Path) -> None:
    path = tmp_path / "keyform.yaml"
    path.write_text("version: 1\nstack: demo\nproject: 1\nsinks:\n  shop: {type: example, folder: team}\n")
    (sink,) = load_config([path], {}).sinks
    assert (sink.options, sink.destination) == ({"folder": "team"}, '{"folder": "team", "type": "example"}')
