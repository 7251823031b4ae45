"""Whatever JSON, dates, names and pages an API sends: each reading ends in a value or in keyform's own errors."""

from __future__ import annotations

import copy
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import fuzz
from support.http_fakes import (
    PROJECT,
    START,
    Hasty,
    OpenFence,
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
    write_list,
)
from support.proxies import read_head, serving

from reconciler.api import KeyUpdate, Rebinding
from reconciler.errors import KeyformError, UnexpectedAnswer
from reconciler.gcore import GcoreApi
from reconciler.gcore.clock import ABSURD, ApiClock
from reconciler.gcore.dataplane import ask_endpoint
from reconciler.gcore.listing import MOST_PAGES, READINGS
from reconciler.gcore.v3.wire import MOST_TASKS
from reconciler.gcore.wire import LONGEST_NAME, read_instant, write_instant
from reconciler.http_failures import read_retry_after
from reconciler.model import EARLIEST, LATEST, Binding, EndpointKind, EndpointRef, Secret, shift
from reconciler.model.verification import Reply

SECRET = "cAnArY-secret-of-tests"
LLAMA = EndpointRef(EndpointKind.DEPLOYMENT, "llama3")
WEBUI = EndpointRef(EndpointKind.APPLICATION, "webui")

# --- Everything that is asked -----------------------------------------------------------------------------------------

QUESTIONS: dict[str, tuple[Any, Callable[[GcoreApi], object]]] = {
    "keys": (page_json(key_json()), lambda api: api.list_keys()),
    "deployments": (page_json(deployment_json()), lambda api: api.list_bindings()),
    "applications": (page_json(application_json()), lambda api: api.list_bindings()),
    "a key": (key_json(), lambda api: api.get_key("payments")),
    "a deployment": (deployment_json(), lambda api: api.read_endpoint(LLAMA)),
    "an application": (application_json(), lambda api: api.read_endpoint(WEBUI)),
    "a create": (key_json(secret=SECRET), lambda api: api.create_key("payments", "x", None)),
    "a description": (key_json(description="x"), lambda api: api.update_key("payments", KeyUpdate("x"))),
    "a delete": (None, lambda api: api.delete_key("payments")),
    "a list write": ({"tasks": ["t-1"]}, lambda api: write_list(api, LLAMA, ["payments"])),
    "a rebinding": (
        {**deployment_json(api_keys=["old", "other"]), **key_json("llama3"), "tasks": ["t-1"]},
        lambda api: api.fenced(OpenFence()).rebind(
            Rebinding(add=frozenset({Binding("new", LLAMA)}), remove=frozenset({Binding("old", LLAMA)}))
        ),
    ),
    "a task": (
        {"state": "RUNNING", "error": "x", "tasks": ["t-1"]},
        lambda api: write_list(api, LLAMA, ["payments"]),
    ),
}

OLDER_KEY = key_json(key_id="k-1", status="ACTIVE", inference_instance_ids=["d-1"], project_id=PROJECT)
OLDER_DEPLOYMENT = deployment_json(id="d-1", api_key_ids=["k-1"])
OLDER: dict[str, tuple[Any, Callable[[GcoreApi], object]]] = {
    "keys, v2": (page_json(OLDER_KEY), lambda api: api.list_keys()),
    "deployments, v2": (page_json(OLDER_DEPLOYMENT), lambda api: api.read_endpoint(LLAMA)),
    "both, v2": (page_json(OLDER_DEPLOYMENT | OLDER_KEY), lambda api: api.read_live()),
    "a key, v2": (OLDER_KEY, lambda api: api.get_key("k-1")),
    "a create, v2": (OLDER_KEY | {"secret": SECRET}, lambda api: api.create_key("payments", "x", None)),
    "a description, v2": (OLDER_KEY | {"description": "x"}, lambda api: api.update_key("k-1", KeyUpdate("x"))),
    "an expiry, v2": (OLDER_KEY | {"description": "x"}, lambda api: api.update_key("k-1", KeyUpdate("x", None))),
    "a delete, v2": (OLDER_KEY, lambda api: api.delete_key("k-1")),
    "a rebinding, v2": (
        page_json(OLDER_DEPLOYMENT) | OLDER_KEY,
        lambda api: api.fenced(OpenFence()).rebind(Rebinding(remove=frozenset({Binding("k-1", LLAMA)}))),
    ),
}
QUESTIONS |= OLDER


def ask_with(step: Step, ask: Callable[[GcoreApi], object], question: str) -> None:
    """One question; every request to the API gets the same answer to it."""
    effects = ScriptedEffects(step)
    generation = "v2" if question in OLDER else "v3"
    api = make_api(effects, workers=1, task_timeout=5.0, generation=generation)
    said = ""
    try:
        ask(api)
    except KeyformError as error:
        said = error.diagnostics()
    assert SECRET not in said
    assert len(said) < 2000
    assert EARLIEST <= api.now() <= LATEST
    assert len(effects.sent) < 50


STRANGE = st.sampled_from(
    [
        *(
            None,
            True,
            False,
            0,
            -1,
            1.5,
            1e308,
            10**300,
            "",
            "x",
            " ",
            "\0",
            "\n",
            "\u202e",
            "\ud800",
            "../x",
            "%2e%2e",
        ),
        *("x" * 300, "x" * 5000, [], {}, [[]], [None], {"": None}, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"),
        *(
            "NaN",
            "[keyform a/b g99999 published 9999-12-31T23:59:59Z]",
            "[keyform a/b g1 pending 0001-01-01T00:00:00Z]",
        ),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | STRANGE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a JSON text."""
    match value:
        case dict():
            below = [place for name, inner in value.items() for place in places(inner, (*path, name))]
        case list():
            below = [place for index, inner in enumerate(value) for place in places(inner, (*path, index))]
        case _:
            below = []
    return [path, *below]


@st.composite
def almost(draw: st.DrawFn, document: Any) -> Any:
    """An answer as the API documents it, with a value or two replaced, left out or said twice."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(places(changed)))
        if not path:
            return draw(JSON)
        holder = changed
        for step in path[:-1]:
            holder = holder[step]
        match draw(st.sampled_from(["replace", "remove", "double"])):
            case "remove":
                del holder[path[-1]]
            case "double" if isinstance(holder, list):
                holder.append(copy.deepcopy(holder[path[-1]]))
            case _:
                holder[path[-1]] = copy.deepcopy(draw(JSON))  # what is drawn is shared
    return changed


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("question", QUESTIONS)
@fuzz(100)
@given(st.data(), st.sampled_from([200, 200, 200, 400, 404, 409, 429, 500]))
def test_an_answer_that_is_almost_right_is_read_or_refused(question: str, data: st.DataObject, status: int) -> None:
    document, ask = QUESTIONS[question]
    shown = json.dumps(data.draw(almost(document)))
    ask_with(httpx.Response(status, content=shown), ask, question)


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("question", QUESTIONS)
@fuzz(50)
@given(st.binary(max_size=200), st.sampled_from([200, 204, 299, 301, 400, 401, 404, 500]), st.text(max_size=40))
def test_any_bytes_are_read_or_refused(question: str, body: bytes, status: int, header: str) -> None:
    _, ask = QUESTIONS[question]
    said = header.encode("utf-8", "replace").translate(None, b"\r\n\0")
    names = ("Date", "Retry-After", "Age", "Content-Type", "X-Request-Id", "Location")
    ask_with(httpx.Response(status, content=body, headers=[(name.encode(), said) for name in names]), ask, question)


TEXTS = {
    "nested lists": b"[" * 100_000,
    "nested lists with an end": b"[" * 100_000 + b"]" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "a number of 5,000 digits": b"1" * 5000,
    "a number of 1,000,000 digits": b"1" * 1_000_000,
    "a number beyond all": b'{"count": 1e999, "results": []}',
    "a negative number beyond all": b'{"count": -1e999, "results": []}',
    "no number": b'{"count": NaN, "results": []}',
    "infinity": b'{"count": Infinity, "results": []}',
    "a count of 4,000 digits": b'{"count": ' + b"9" * 4000 + b', "results": [{}]}',
    "a count that is true": b'{"count": true, "results": []}',
    "half a surrogate": b'{"count": 1, "results": [{"name": "\\ud800", "created_at": "2026-01-01"}]}',
    "half a surrogate in UTF-8": b'{"count": 1, "results": "\xed\xa0\x80"}',
    "a name that is no string": b"{1: 2}",
    "a mark of byte order": b"\xef\xbb\xbf{}",
    "UTF-32": '{"count": 1}'.encode("utf-32"),
    "NULs": b"\0" * 1000,
    "empty lists without end": b"[" + b"[]," * 3_000_000 + b"[]]",
    "numbers without end": b"[" + b"1.1," * 3_000_000 + b"1]",
    "a million entries": b'{"count": 1000000, "results": [' + b"{}," * 999_999 + b"{}]}",
    "a million strings": b'{"count": 1, "results": [' + b'"",' * 999_999 + b'""]}',
    "a thousand times the same field": b"{" + b'"count": 0, ' * 100_000 + b'"results": 0}',
}


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_json_that_is_made_to_hurt_is_an_error_at_once(text: bytes) -> None:
    begun = time.monotonic()
    api, effects = scripted_api(httpx.Response(200, content=text))
    with pytest.raises(KeyformError) as caught:
        api.list_keys()
    assert len(caught.value.diagnostics()) < 1000
    assert len(effects.sent) <= 5
    for status in (400, 404, 409, 500):
        api, _ = scripted_api(httpx.Response(status, content=text))
        with pytest.raises(KeyformError):
            api.list_keys()
    assert time.monotonic() - begun < 20


@pytest.mark.attack("endpoint owner")
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_json_that_is_made_to_hurt_says_no_more_than_another_body(text: bytes) -> None:
    for status in (200, 401, 503):
        reply = ask_endpoint(
            ScriptedEffects(httpx.Response(status, content=text)), "https://x.example", None, timeout=1
        )
        assert reply.status == status


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize(
    "invalid",
    [["x" * 1000] * 100_000, {f"f{number}": 1 for number in range(100_000)}, [{"field": "y"}] * 100_000, [[[]]], 7],
    ids=["names", "an object", "objects", "lists", "a number"],
)
def test_what_the_api_objects_to_is_shown_in_part(invalid: Any) -> None:
    api, _ = scripted_api(refusal(400, "m" * 1_000_000, invalid_fields=invalid))
    with pytest.raises(KeyformError) as caught:
        api.list_keys()
    assert len(caught.value.diagnostics()) < 2000


# --- Bytes on a socket ------------------------------------------------------------------------------------------------

WHOLE = (
    b"HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\nRetry-After: 1\r\n\r\n1b\r\n"
    b'{"count": 0, "results": []}'
    b"\r\n0\r\nX: y\r\n\r\n"
)
SNIPPETS = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\0",
        b" ",
        b":",
        b"\xff",
        b"0",
        b"9" * 30,
        b"HTTP/1.1 100 C\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"",
    ]
)


@pytest.mark.attack("API or proxy")
@pytest.mark.attack("endpoint owner")
@fuzz(100)
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 40), SNIPPETS | st.binary(max_size=8)), max_size=4)
)
def test_an_answer_with_bytes_replaced_is_read_or_refused(edits: list[tuple[int, int, bytes]]) -> None:
    said = WHOLE
    for start, length, text in edits:
        said = said[:start] + text + said[start + length :]

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(said)

    effects = Hasty(request_timeout=5.0)
    try:
        with serving(serve) as port:
            with suppress(KeyformError):
                make_api(effects, base_url=f"http://127.0.0.1:{port}").check()
            assert isinstance(
                ask_endpoint(effects, f"http://127.0.0.1:{port}", None, api_is_here=True, timeout=5), Reply
            )
    finally:
        effects.close()


# --- Dates ------------------------------------------------------------------------------------------------------------

DATES = [
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00"),
    *("1969-12-31T23:59:59Z", "2026-05-31T06:43:54." + "9" * 30 + "Z", "2026-05-31T24:00:00Z", "2026-06-30T23:59:60Z"),
    *("2026-W22-7", "2026-151", "20260531", "2026-02-30", "2026-05-31T06:43:54+24:00", "2026-05-31T06:43:54 UTC"),
    *(" 2026-05-31 ", "\t2026-05-31\n", "\u0662\u0660\u0662\u0666-05-31", "2026-05-31\u20282026", "+2026-05-31"),
    *(
        "10000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "1780210000",
        "",
        "2026-05-31T06:43:54Z" * 100_000,
        " " * 10**6,
    ),
]


@pytest.mark.attack("API or proxy")
@pytest.mark.attack("project member")
@pytest.mark.parametrize("date", DATES, ids=lambda date: repr(date[:40]))
@pytest.mark.parametrize("field", ["created_at", "expires_at"])
def test_a_key_s_date_is_an_instant_or_an_error_that_names_it(date: str, field: str) -> None:
    api, _ = scripted_api(answer(200, page_json(key_json(**{field: date}))))
    try:
        (key,) = api.list_keys()
    except UnexpectedAnswer as error:
        assert error.message.endswith(f"'results[0].{field}' is not a time.")  # noqa: PT017 - or it is a time
    else:
        for instant in (key.created_at, key.expires_at or LATEST):
            assert instant.tzinfo is UTC
            assert shift(instant, timedelta(days=99999)) >= shift(instant, -timedelta(days=99999))
            assert read_instant(write_instant(instant)) == instant.replace(microsecond=0)


@pytest.mark.attack("API or proxy")
def test_a_zero_time_of_go_is_an_expiry_that_nobody_set() -> None:
    zero = "0001-01-01T00:00:00Z"
    api, _ = scripted_api(answer(200, page_json(key_json(expires_at=zero, created_at=zero))))
    (key,) = api.list_keys()
    assert (key.expires_at, key.created_at) == (None, EARLIEST)


HTTP_DATES = [
    *("Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"),
    *("Sat, 21 Nov 2137 10:00:00 GMT", "Sat, 21 Nov 2026 10:00:00 -0000", "Sat, 21 Nov 2026 10:00:00 +9999"),
    *("9999-12-31T23:59:59Z", "Fri, 31 Dec 99999 23:59:59 GMT", "Sat, 21 Nov 10000 10:00:00 GMT", "-1", "9" * 5000),
    *("1e999", "nan", "", " ", "Saturday, 21-Nov-26 10:00:00 GMT", "Sat Nov 21 10:00:00 2026", "x" * 50_000, "\u0661"),
]
http_dates = pytest.mark.parametrize("date", HTTP_DATES, ids=lambda date: repr(date[:40]))


@pytest.mark.attack("API or proxy")
@http_dates
def test_the_date_of_an_answer_never_loses_a_secret_nor_moves_the_clock(date: str) -> None:
    step = answer(200, key_json(secret=SECRET), headers=httpx.Headers([(b"Date", date.encode())]))
    effects = ScriptedEffects(step)
    api = make_api(effects)
    for _ in range(3):
        assert api.create_key("payments", "", None).secret.reveal() == SECRET
        assert api.now() == effects.now()


@pytest.mark.attack("API or proxy")
@pytest.mark.attack("endpoint owner")
@http_dates
def test_a_retry_after_is_waited_for_within_reason(date: str) -> None:
    step = httpx.Response(503, json={"message": "x"}, headers=httpx.Headers([(b"Retry-After", date.encode())]))
    effects = ScriptedEffects(step)
    with suppress(KeyformError):
        make_api(effects).list_keys()
    assert all(0 <= slept <= 70 for slept in effects.slept)
    assert (ask_endpoint(effects, "https://x.example", None, timeout=1).retry_after or 0) >= 0


@pytest.mark.attack("API or proxy")
@fuzz(200)
@given(
    st.lists(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)), max_size=12),  # noqa: DTZ001
    st.datetimes(timezones=st.just(UTC)),
)
def test_no_dates_take_the_clock_out_of_the_calendar_or_far_away(dates: list[datetime], local: datetime) -> None:
    clock = ApiClock(lambda: local)
    for date in dates:
        said = f"Sat, {date:%d} {date:%b} {date.year:04} {date:%H:%M:%S} GMT"
        clock.note(said, sent=local, received=local)
    assert abs(clock.now() - local) <= ABSURD
    assert abs(clock.glance() - local) <= ABSURD


# --- Names ------------------------------------------------------------------------------------------------------------

NAMES = [
    "a\nb",
    "a\x1b[31mb",
    "\u202eabc",
    "a/b",
    "..",
    "a\0b",
    "\u200b",
    "\ufeff",
    "##[x]",
    "::x",
    "é",
    "x" * LONGEST_NAME,
]


@pytest.mark.attack("project member")
@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_strange_name_stays_equal_so_that_it_can_be_sent_back(name: str) -> None:
    api, _ = scripted_api(answer(200, page_json(key_json(name))))
    assert [key.name for key in api.list_keys()] == [name]
    api, effects = scripted_api(
        answer(200, page_json(deployment_json(name, api_keys=[name]))),
        answer(200, page_json()),
        answer(200, {"tasks": []}),
    )
    (binding,) = make_api(effects, workers=1).list_bindings()
    assert (binding.endpoint.name, binding.key_id) == (name, name)
    write_list(make_api(effects), LLAMA, [binding.key_id])
    assert json.loads(effects.sent[-1].content) == {"api_keys": [name]}


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("name", ["", "x" * (LONGEST_NAME + 1), "x" * 1_000_000, "\ud800", "a\udfffb"], ids=range(5))
def test_a_name_that_cannot_be_sent_back_or_shown_is_refused_by_its_field(name: str) -> None:
    def text_of(shown: Any) -> httpx.Response:
        return httpx.Response(200, content=json.dumps(shown))

    for step, field in (
        (text_of(page_json(key_json(name))), "'results[0].name'"),
        (text_of(page_json(deployment_json(name))), "'results[0].name'"),
        (text_of(page_json(deployment_json(api_keys=[name]))), "'results[0].api_keys'"),
    ):
        api = make_api(ScriptedEffects(step), workers=1)
        with pytest.raises(UnexpectedAnswer) as caught:
            api.list_keys() if "created_at" in step.text else api.list_bindings()
        assert caught.value.message.endswith(f"{field} is not a name.")


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("space", ["\x1f", "\x1c", "\x85", "\xa0", "\u2003", "\t"], ids=repr)
def test_a_retry_after_in_any_white_space_is_a_number_or_nothing(space: str) -> None:
    assert read_retry_after(f"7{space}", lambda: START) == 7.0


@pytest.mark.attack("API or proxy")
def test_what_is_long_is_cut_where_it_is_a_word_and_refused_where_it_is_an_address() -> None:
    api = make_api(ScriptedEffects(answer(200, deployment_json(status="s" * 1_000_000))))
    reading = api.read_endpoint(LLAMA)
    assert reading is not None
    assert reading.endpoint.status == "s" * LONGEST_NAME
    api = make_api(ScriptedEffects(answer(200, deployment_json(address="https://" + "a" * 1_000_000))))
    with pytest.raises(UnexpectedAnswer, match="'address' is too long"):
        api.read_endpoint(LLAMA)


@pytest.mark.attack("API or proxy")
def test_a_write_with_tasks_without_end_is_refused_and_its_effect_unknown() -> None:
    for amount in (MOST_TASKS + 1, 100_000):
        api, effects = scripted_api(answer(200, {"tasks": [f"t-{number}" for number in range(amount)]}))
        with pytest.raises(UnexpectedAnswer, match="'tasks' names more than 100") as caught:
            write_list(api, LLAMA, ["payments"])
        assert caught.value.effect_is_unknown
        assert len(effects.sent) == 1


@pytest.mark.attack("API or proxy")
def test_a_secret_is_masked_before_the_rest_of_its_answer_is_shown() -> None:
    api, _ = scripted_api(
        answer(200, key_json(secret=SECRET, created_at=SECRET)), refusal(400, f"You sent {SECRET}, did you?")
    )
    with pytest.raises(UnexpectedAnswer) as caught:
        api.create_key("payments", "", None)
    assert caught.value.effect_is_unknown
    with pytest.raises(KeyformError) as caught_later:
        api.delete_key("payments")
    assert SECRET not in caught_later.value.diagnostics()


# --- Pages ------------------------------------------------------------------------------------------------------------


def keys_from(first: int, amount: int) -> list[dict[str, Any]]:
    return [key_json(f"key-{number:07}") for number in range(first, first + amount)]


PAGES: dict[str, tuple[Callable[[int, int], dict[str, Any]], int]] = {
    "without end": (lambda offset, limit: page_json(*keys_from(offset, limit), count=offset + limit + 1), READINGS * 2),
    "with a count that grows": (lambda offset, limit: page_json(*keys_from(offset, limit), count=2000 + offset), 10),
    "always the same": (lambda offset, limit: page_json(*keys_from(0, limit), count=5000), READINGS * 5),
    "always empty": (lambda offset, limit: page_json(count=5000), READINGS),
    "empty but for the first": (lambda offset, limit: page_json(*keys_from(0, 10 if not offset else 0), count=50), 25),
    "one by one": (lambda offset, limit: page_json(*keys_from(offset, 1), count=MOST_PAGES), MOST_PAGES),
    "one by one, and one more": (lambda offset, limit: page_json(*keys_from(offset, 1), count=MOST_PAGES + 1), 1),
    "more than asked": (lambda offset, limit: page_json(*keys_from(offset, 1500), count=5000), 1),
    "all at once": (lambda offset, limit: page_json(*keys_from(offset, 5000), count=5000), 1),
    "more on the second": (lambda offset, limit: page_json(*keys_from(0, 5 if offset else 1), count=3), 3),
    "a count of 10**12": (lambda offset, limit: page_json(*keys_from(offset, limit), count=10**12), 1),
    "a count of 10**300": (lambda offset, limit: page_json(*keys_from(offset, limit), count=10**300), 1),
    "fewer than there are": (lambda offset, limit: page_json(*keys_from(0, 1000), count=0), READINGS),
}


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize(("page", "most"), PAGES.values(), ids=PAGES)
def test_pages_are_read_up_to_the_count_and_no_more(page: Callable[[int, int], dict[str, Any]], most: int) -> None:
    def respond(request: httpx.Request) -> Step:
        return answer(200, page(int(request.url.params["offset"]), int(request.url.params["limit"])))

    effects = ScriptedEffects(respond=respond)
    with suppress(UnexpectedAnswer):
        make_api(effects, workers=1).list_keys()
    assert len(effects.sent) <= most


@pytest.mark.attack("API or proxy")
def test_a_list_of_long_pages_is_given_up_when_all_of_them_are_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.gcore.listing.LONGEST_LIST", 1_000_000)

    def respond(request: httpx.Request) -> Step:
        offset = int(request.url.params["offset"])
        return answer(200, page_json(key_json(f"key-{offset}", description="x" * 100_000), count=1000))

    effects = ScriptedEffects(respond=respond)
    with pytest.raises(UnexpectedAnswer, match="returns a list of keys that is longer than keyform reads"):
        make_api(effects, workers=1).list_keys()
    assert len(effects.sent) < 12


@pytest.mark.attack("project member")
@pytest.mark.parametrize(
    "text", ["x [keyform ", " ", "\n", "[", "[keyform a/b g1 pending 2026-01-01T00:00:00Z] ", "\x1b["]
)
def test_a_long_description_is_no_reason_to_refuse_a_key(text: str) -> None:
    api, _ = scripted_api(answer(200, page_json(key_json(description=text * 200_000 + "."), key_json("other"))))
    begun = time.monotonic()
    assert len(api.list_keys()) == 2
    assert time.monotonic() - begun < 5


@pytest.mark.control
def test_no_secret_is_sent_anywhere_else() -> None:
    effects = ScriptedEffects(answer(200, {"object": "list", "data": []}, headers={"Location": "https://evil.example"}))
    ask_endpoint(effects, "https://llama3.example", Secret(SECRET), timeout=1)
    assert [request.url.host for request in effects.sent] == ["llama3.example"]
