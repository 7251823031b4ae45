"""What the base of stores carries, seen in the example store: retries, lost answers, and whoever writes in between."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from sinks.example_server import TOKEN, ExampleServer
from sinks.places import KEY, ExamplePlace, Rested
from sinks.stage import CANARY, owner, record

from reconciler.config import load_config
from reconciler.errors import SinkError
from reconciler.model import Secret, SinkSettings
from reconciler.sinks import Sink, open_sinks


@pytest.fixture
def place(example_server: ExampleServer) -> ExamplePlace:
    """The example store, empty."""
    return ExamplePlace(example_server)


def write(sink: Sink, generation: int = 1, secret: str = CANARY) -> None:
    sink.write(record(KEY, generation), Secret(secret))


def failing(sink: Sink) -> SinkError:
    """The error of a write, which shows neither the secret nor the token, and carries neither along."""
    with pytest.raises(SinkError) as caught:
        write(sink)
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + error.diagnostics()
    assert CANARY not in shown
    assert TOKEN not in shown
    assert (error.__cause__, error.__context__) == (None, None)
    return error


def test_the_same_again_makes_no_write(place: ExamplePlace) -> None:
    write(place.open())
    place.store.log.clear()
    write(place.open())
    assert place.store.log == ["GET"]


def test_a_store_that_is_busy_is_asked_again_after_longer_and_longer_waits(place: ExamplePlace) -> None:
    effects = Rested()
    place.store.failures = [429, 503, 0, 502]
    write(place.open(effects=effects))
    assert (place.secret(), effects.waits) == (CANARY, [0.5, 1.0, 2.0])
    assert place.store.log == ["GET", "GET", "GET", "PUT", "GET", "PUT"]


@pytest.mark.parametrize(("status", "is_unknown"), [(429, False), (503, True)])
def test_one_that_stays_busy_is_given_up(place: ExamplePlace, status: int, is_unknown: bool) -> None:
    place.store.failures = [0, status] * 4
    error = failing(place.open())
    assert error.message == f"sink kept: The example store at 127.0.0.1 answered {status}"
    assert error.effect_is_unknown is is_unknown
    assert place.store.log.count("PUT") == 4


@pytest.mark.parametrize(
    ("status", "way_out"),
    [
        (403, "See what EXAMPLE_STORE_TOKEN is allowed to do."),
        (400, "Check the settings of this sink, and EXAMPLE_STORE_URL."),
    ],
)
def test_a_refusal_is_not_tried_again(place: ExamplePlace, status: int, way_out: str) -> None:
    place.store.failures = [0, status]
    error = failing(place.open())
    assert (error.way_out, error.effect_is_unknown) == (way_out, False)
    assert place.store.log == ["GET", "PUT"]


def test_a_write_whose_answer_was_lost_is_found_by_the_next_look(place: ExamplePlace) -> None:
    place.store.failures = [0, "lost"]
    write(place.open())
    assert (place.secret(), place.store.log) == (CANARY, ["GET", "PUT", "GET"])


def test_a_write_that_nobody_can_confirm_has_an_unknown_outcome(place: ExamplePlace) -> None:
    place.store.failures = [0, "lost", 403]
    assert failing(place.open()).effect_is_unknown


def test_a_removal_whose_answer_was_lost_is_done(place: ExamplePlace) -> None:
    write(place.open())
    place.store.failures = [0, "lost"]
    place.open().remove(KEY)
    assert place.secret() is None


def test_who_writes_in_between_is_not_overwritten_unseen(place: ExamplePlace) -> None:
    sink = place.open()
    respond = place.store.respond

    def meddle(method: str, *request: object) -> object:
        if method == "PUT":
            place.store.respond = respond  # type: ignore[method-assign]
            place.plant(999, "theirs")
        return respond(method, *request)  # type: ignore[arg-type]

    place.store.respond = meddle  # type: ignore[method-assign,assignment]
    assert "has the form 999" in failing(sink).message
    assert place.secret() == "theirs"


def test_an_older_generation_does_not_take_the_place_of_a_newer_one(place: ExamplePlace) -> None:
    write(place.open(), 2)
    document = place.store.documents[f"/v1/team/{KEY}"][1]
    document["keyform"]["created_at"] = "2027-01-01T00:00:00Z"
    assert "already holds a newer generation of payments-api: payments-api-g2" in failing(place.open()).message


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({}, "EXAMPLE_STORE_URL is not set"),
        ({"EXAMPLE_STORE_URL": "http://store.example.org"}, "EXAMPLE_STORE_URL is not an https:// URL"),
        ({"EXAMPLE_STORE_URL": "https://[store"}, "EXAMPLE_STORE_URL is not an https:// URL"),
        ({"EXAMPLE_STORE_URL": "https://store.example.org"}, "EXAMPLE_STORE_TOKEN is not set"),
    ],
)
def test_secrets_go_nowhere_in_plain_text(place: ExamplePlace, env: dict[str, str], message: str) -> None:
    with pytest.raises(SinkError) as caught:
        open_sinks([SinkSettings("kept", "example-store")], owner=owner(), effects=Rested(), env=env)
    assert caught.value.message == f"sink kept: {message}"


def test_what_is_no_document_is_not_ours(place: ExamplePlace) -> None:
    for document in (None, [], "x", {"keyform": {"stack": "inference-prod"}, "secret": 3}):
        place.store.documents[f"/v1/team/{KEY}"] = 1, document
        assert place.open().read([KEY]) == {}
        assert place.open().read_secrets([KEY]) == {}


def test_a_file_that_names_it_is_read_by_what_it_declares(place: ExamplePlace, tmp_path: Path) -> None:
    """Its options are in the schema, and those that choose the place in the destination's digest."""
    file = tmp_path / "keyform.yaml"
    sink = "sinks: {kept: {type: example-store, path: 'team/{key}'}}\ndefaults: {sink: kept}"
    file.write_text(f"version: 1\nstack: prod\nproject: 1\n{sink}\nkeys: {{payments: {{}}}}\n")
    (settings,) = load_config([file], {}).sinks
    assert settings.options == {"path": "team/{key}"}
    assert "example-store" in settings.destination
    assert "team/{key}" in settings.destination
