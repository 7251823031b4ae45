"""What the API keeps of a key that is written: seen by the answer, or else by one reading, for every field."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import fuzz
from support.http_fakes import PROJECT, START, TOKEN, EmulatedEffects, ScriptedEffects, answer, make_api, refusal

from reconciler.api import KeyUpdate
from reconciler.emulator import Emulator, Modes, VirtualClock, seed
from reconciler.errors import ApiError, NotKept
from reconciler.gcore import GcoreApi
from reconciler.model import Length, LiveKey, Ownership, Phase, compose_description

MARK = Ownership("prod", "payments", 1, Phase.PUBLISHED, START)
LATER = START + timedelta(days=40)
GENERATIONS = ("v3", "v2")
Change = Callable[[dict[str, Any]], object]
"""What becomes of a key as the API shows it: another body, or the same one, changed."""


class Server:
    """An emulator with one key, whose answers about that key can be replaced: to a PATCH, and to a GET."""

    def __init__(self, generation: str, **modes: Any) -> None:
        self.emulator = Emulator(clock=VirtualClock(START), modes=Modes(**modes), tokens={TOKEN: [PROJECT]}, seed=7)
        key = {"name": "payments", "description": "old", "expires_at": "2027-01-01T00:00:00Z"}
        seed(self.emulator, {"projects": {PROJECT: {"api_keys": [key]}}})
        self.inner = EmulatedEffects(self.emulator)
        self.patched: Change | httpx.Response | None = None
        self.read: Change | httpx.Response | None = None
        self.asked: list[str] = []
        self.api: GcoreApi = make_api(ScriptedEffects(respond=self.play), generation=generation)
        (self.key_id,) = (key.id for key in self.api.list_keys())
        self.asked.clear()

    def play(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.method)
        given = self.inner.send(request)
        step = self.patched if request.method == "PATCH" else self.read if "PATCH" in self.asked else None
        if step is None or isinstance(step, httpx.Response):
            return step or given
        body = given.json()
        return answer(200, step(body) or body)

    @property
    def live(self) -> Any:
        return self.emulator.live_keys(PROJECT)["payments"]


@pytest.fixture(params=GENERATIONS)
def server(request: pytest.FixtureRequest) -> Server:
    return Server(request.param)


WRITTEN = KeyUpdate(compose_description("new", MARK))
STALE: Change = lambda body: {**body, "description": "old"}  # noqa: E731
ANSWERS: dict[str, Change | httpx.Response] = {
    "as it was": STALE,
    "nothing": answer(204, text=""),
    "an empty object": answer(200, {}),
    "a list": answer(200, []),
    "another key": lambda body: {**body, "name": "other", "key_id": "other"},
    "HTML": answer(200, text="<html>"),
}


@pytest.mark.parametrize("given", ANSWERS)
def test_an_answer_that_does_not_show_what_was_written_is_followed_by_one_reading(server: Server, given: str) -> None:
    server.patched = ANSWERS[given]
    server.api.update_key(server.key_id, WRITTEN)
    assert server.live.description == WRITTEN.description
    assert server.asked.count("PATCH") == 1
    assert server.asked[-1] == "GET"


@pytest.mark.parametrize("given", ANSWERS)
def test_what_neither_answer_nor_reading_shows_is_an_error_with_both_values(server: Server, given: str) -> None:
    server.patched, server.read = ANSWERS[given], STALE
    with pytest.raises(NotKept) as caught:
        server.api.update_key(server.key_id, WRITTEN)
    assert caught.value.message == (
        "The API did not keep the description that was sent for key payments (asked: "
        f'"{WRITTEN.description}", kept: "old").'
    )
    assert caught.value.effect_is_unknown


def test_an_answer_that_shows_it_is_believed(server: Server) -> None:
    server.api.update_key(server.key_id, WRITTEN)
    assert server.asked[-1] == "PATCH"


def test_a_reading_that_fails_leaves_the_failure_of_the_write(server: Server) -> None:
    server.patched, server.read = STALE, refusal(403)
    with pytest.raises(NotKept, match='kept: "old"'):
        server.api.update_key(server.key_id, WRITTEN)
    server.patched = answer(204, text="")
    server.asked.clear()  # v2 reads before it writes
    with pytest.raises(ApiError, match="has an unexpected format") as caught:
        server.api.update_key(server.key_id, WRITTEN)
    assert caught.value.effect_is_unknown


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("kept", ["trimmed", "composed"])
def test_a_text_that_is_kept_composed_or_trimmed_is_kept(generation: str, kept: str) -> None:
    server = Server(generation, description_kept=kept)
    server.api.update_key(server.key_id, KeyUpdate("Zu\u0308rich "))
    assert server.api.list_keys()[0].text == "Z\u00fcrich"


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    ("kept", "asked", "shown"),
    [
        ("escaped", "a & b", '(asked: "a & b", kept: "a &amp; b")'),
        ("folded", "a  b", '(asked: "a␣␣b", kept: "a b")'),
        ("cut", "x" * 121, f'(asked: "{"x" * 121}", kept: "{"x" * 120}")'),
        ("dropped", "a", '(asked: "a", kept: "")'),
    ],
)
def test_a_text_that_is_kept_otherwise_is_told_apart(generation: str, kept: str, asked: str, shown: str) -> None:
    server = Server(generation, description_kept=kept)
    with pytest.raises(NotKept) as caught:
        server.api.update_key(server.key_id, KeyUpdate(asked))
    assert caught.value.message.endswith(f"{shown}.")


EXPIRIES = {
    "end_of_day": "2026-12-31T23:59:59Z",
    "midnight": "2026-12-31T00:00:00Z",
    "an_hour_later": "2026-12-31T11:00:00Z",
    "dropped": "never",
}


@pytest.mark.parametrize("kept", EXPIRIES)
def test_a_date_is_kept_to_the_second_and_of_a_length_a_day_is_tolerated(kept: str) -> None:
    server = Server("v2", expiry_kept=kept)
    with pytest.raises(NotKept) as caught:
        server.api.update_key(server.key_id, KeyUpdate("old", LATER))
    assert caught.value.message.endswith(f"(asked: 2026-12-31T10:00:00Z, kept: {EXPIRIES[kept]}).")
    by_length = KeyUpdate("old", LATER, Length(timedelta(days=7)))
    if kept == "dropped":
        with pytest.raises(NotKept):
            server.api.update_key(server.key_id, by_length)
    else:
        server.api.update_key(server.key_id, by_length)


def test_a_length_that_leaves_no_time_for_the_overlap_is_not_kept() -> None:
    server = Server("v2", expiry_kept="midnight")
    with pytest.raises(NotKept, match="kept: 2026-11-22T00:00:00Z"):
        server.api.update_key(server.key_id, KeyUpdate("old", START + timedelta(hours=26), Length(timedelta(hours=24))))


@fuzz(60)
@given(
    st.sampled_from(GENERATIONS),
    st.one_of(st.none(), st.text(max_size=30), st.just(WRITTEN.description)),
    st.one_of(st.none(), st.datetimes(datetime(2026, 12, 1), datetime(2028, 1, 1)), st.just(LATER)),  # noqa: DTZ001
)
def test_only_what_was_asked_for_is_ever_taken_for_kept(
    generation: str, description: str | None, expires_at: datetime | None
) -> None:
    """Whatever the server then shows of the key, in its answer and in each reading."""
    server = Server(generation)
    update = KeyUpdate(WRITTEN.description, LATER) if generation == "v2" else WRITTEN
    shown = {"description": description, "expires_at": expires_at and expires_at.replace(tzinfo=None).isoformat()}
    server.patched = server.read = lambda body: json.loads(json.dumps({**body, **shown}))
    try:
        server.api.update_key(server.key_id, update)
        is_kept = True
    except NotKept:
        is_kept = False
    seen = server.api.get_key(server.key_id)
    assert isinstance(seen, LiveKey)
    same_text = (seen.text, seen.ownership) == ("new", MARK)
    assert is_kept == (same_text and (generation == "v3" or seen.expires_at == LATER))
