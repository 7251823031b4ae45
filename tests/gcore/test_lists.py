"""Whole lists, read page by page while others change them."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest
from support.http_fakes import (
    ScriptedEffects,
    Step,
    answer,
    application_json,
    deployment_json,
    key_json,
    make_api,
    page_json,
    refusal,
    scripted_api,
)

from reconciler.errors import ApiFailed, UnexpectedAnswer
from reconciler.gcore import ApiEvent, EventKind


class Shelf:
    """A list of keys that a test may change between two pages."""

    def __init__(self, *names: str, most: int = 1000) -> None:
        self.names = list(names)
        self.most = most
        self.asked: list[tuple[int, int]] = []
        self.before: dict[int, Any] = {}
        self.guard = threading.Lock()

    def __call__(self, request: httpx.Request) -> Step:
        limit, offset = int(request.url.params["limit"]), int(request.url.params["offset"])
        with self.guard:
            self.before.pop(len(self.asked), lambda: None)()
            self.asked.append((limit, offset))
            shown = self.names[offset : offset + min(limit, self.most)]
            return answer(200, page_json(*map(key_json, shown), count=len(self.names)))


def numbered(amount: int) -> list[str]:
    return [f"key-{number:04}" for number in range(amount)]


def test_an_empty_list_is_one_request() -> None:
    shelf = Shelf()
    assert make_api(ScriptedEffects(respond=shelf)).list_keys() == ()
    assert shelf.asked == [(1000, 0)]


@pytest.mark.parametrize(("amount", "pages"), [(1000, 1), (1001, 2), (2000, 2)])
def test_pages_are_asked_for_exactly(amount: int, pages: int) -> None:
    shelf = Shelf(*numbered(amount))
    assert [key.name for key in make_api(ScriptedEffects(respond=shelf)).list_keys()] == numbered(amount)
    assert sorted(shelf.asked) == [(1000, 1000 * page) for page in range(pages)]


def test_a_server_that_gives_smaller_pages_is_read_whole() -> None:
    shelf = Shelf(*numbered(950), most=100)
    assert [key.name for key in make_api(ScriptedEffects(respond=shelf)).list_keys()] == numbered(950)
    assert sorted(shelf.asked)[0:2] == [(100, 100), (100, 200)]


def test_pages_after_the_first_are_read_side_by_side() -> None:
    shelf = Shelf(*numbered(4000))
    together = threading.Barrier(3, timeout=5)

    def respond(request: httpx.Request) -> Step:
        if request.url.params["offset"] != "0":
            together.wait()
        return shelf(request)

    assert len(make_api(ScriptedEffects(respond=respond), workers=3).list_keys()) == 4000


def test_a_key_that_is_made_between_two_pages_is_in_the_list() -> None:
    shelf = Shelf(*numbered(1500))
    shelf.before[1] = lambda: shelf.names.insert(0, "brand-new")  # pushes one key into both pages
    events: list[ApiEvent] = []
    keys = make_api(ScriptedEffects(respond=shelf), events=events).list_keys()
    assert [key.name for key in keys] == ["brand-new", *numbered(1500)]
    assert [event.wait_seconds for event in events if event.kind is EventKind.RELIST] == [0.2]


def test_a_key_that_is_deleted_between_two_pages_hides_no_other() -> None:
    shelf = Shelf(*numbered(1500))
    shelf.before[1] = lambda: shelf.names.pop(0)
    assert [key.name for key in make_api(ScriptedEffects(respond=shelf)).list_keys()] == numbered(1500)[1:]


@pytest.mark.parametrize("count", [0, 3])
def test_a_list_that_never_holds_as_many_as_it_says_is_an_error(count: int) -> None:
    effects = ScriptedEffects(answer(200, page_json(key_json("aaaa"), key_json("bbbb"), count=count)))
    with pytest.raises(UnexpectedAnswer, match="did not match its own count in 5 readings"):
        make_api(effects).list_keys()
    assert effects.slept == [0.2, 0.4, 0.8, 1.6]


@pytest.mark.parametrize("count", [10**12, 10**300])
def test_a_count_beyond_reason_is_an_error_and_not_a_million_requests(count: int) -> None:
    api, effects = scripted_api(answer(200, page_json(key_json(), count=count)))
    with pytest.raises(UnexpectedAnswer, match="more than keyform reads"):
        api.list_keys()
    assert len(effects.sent) == 1


def test_one_page_that_fails_fails_the_list() -> None:
    shelf = Shelf(*numbered(5000))

    def respond(request: httpx.Request) -> Step:
        return refusal(500) if request.url.params["offset"] == "2000" else shelf(request)

    with pytest.raises(ApiFailed):
        make_api(ScriptedEffects(respond=respond)).list_keys()


def test_applications_are_asked_for_without_pages() -> None:
    def respond(request: httpx.Request) -> Step:
        if request.url.path.endswith("api_keys"):
            return answer(200, page_json())
        shown = application_json if "/applications/" in request.url.path else deployment_json
        return answer(200, page_json(shown("zeta"), shown("alpha")))

    effects = ScriptedEffects(respond=respond)
    endpoints = make_api(effects).read_live().endpoints
    assert [str(each.ref) for each in endpoints] == [
        "application.alpha",
        "application.zeta",
        "deployment.alpha",
        "deployment.zeta",
    ]
    assert {str(sent.url.query) for sent in effects.sent} == {"b''", "b'limit=1000&offset=0'"}
