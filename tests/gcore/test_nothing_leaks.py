"""No token and no secret in anything that an error shows, whatever the API does."""

from __future__ import annotations

import base64
import html
import json
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.http_fakes import (
    TOKEN,
    OpenFence,
    ScriptedEffects,
    Step,
    answer,
    key_json,
    make_api,
    refusal,
    write_list,
)

from reconciler.api import KeyUpdate, Rebinding
from reconciler.errors import ApiError, ApiUnreachable, KeyformError, UnexpectedAnswer
from reconciler.gcore import ApiEvent, GcoreApi
from reconciler.model import Binding, EndpointKind, EndpointRef, Secret
from reconciler.redaction import Redactor

SECRET = 'kf"S3cr3t/+canary=<&>\\ü-tail'
LLAMA = EndpointRef(EndpointKind.DEPLOYMENT, "llama3")


def forms_of(value: str) -> Iterator[str]:
    """The ways in which a value could be recognised."""
    raw = value.encode()
    yield value
    yield quote(value, safe="")
    yield quote_plus(value).lower()
    yield json.dumps(value)[1:-1]
    yield json.dumps({"inner": json.dumps(value)})
    yield html.escape(value)
    yield raw.hex()
    yield repr(value)
    for before in ("", "APIKey ", "a"):
        yield base64.b64encode(before.encode() + raw).decode()
        yield base64.urlsafe_b64encode(before.encode() + raw + b"!").decode()


ECHOES = [form for value in (TOKEN, SECRET) for form in forms_of(value)]
HALVES = [value[start : start + 10] for value in (TOKEN, SECRET) for start in range(0, len(value) - 9, 5)]


def pieces_of(value: str, size: int = 6) -> set[str]:
    """Every piece of a value, in each of its forms, that is long enough to matter."""
    raw = value.encode()
    plain = [value, quote(value, safe=""), json.dumps(value)[1:-1], html.escape(value), repr(value)[1:-1]]
    for before in range(3):
        # Without the characters at the edges, which are made of the neighbours' bits too.
        encoded = base64.b64encode(bytes(before) + raw).decode().rstrip("=")[before + 1 : -1]
        plain += [encoded, encoded.replace("+", "-").replace("/", "_")]
    pieces = {form[start : start + size] for form in plain for start in range(len(form) - size + 1)}
    # As many characters of it as of the others: six digits would also be found in a memory address, by chance.
    return pieces | {raw[start : start + size].hex() for start in range(len(raw) - size + 1)}


TOKEN_LEAKS = pieces_of(TOKEN)
LEAKS = TOKEN_LEAKS | pieces_of(SECRET)


def shown_by(error: KeyformError) -> Iterator[str]:
    """Everything that a user, a log or a crash report could see of an error."""
    yield str(error)
    yield repr(error)
    yield repr(vars(error))
    yield error.diagnostics()
    # With the variables of every frame but those of this file, where the secrets are made up.
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    told.stack = traceback.StackSummary.from_list([frame for frame in told.stack if frame.filename != __file__])
    yield "".join(told.format())
    assert error.__cause__ is None
    assert error.__context__ is None


ADDRESS = re.compile("0x[0-9a-f]{8,}")
"""Where Python keeps an object, as a traceback shows it: six digits of that can be those of a secret."""


def assert_nothing_leaks(error: KeyformError, events: list[ApiEvent], leaks: set[str] = LEAKS) -> None:
    for whole in (*shown_by(error), repr(events)):
        text = ADDRESS.sub("", whole)
        found = {piece for piece in leaks if piece in text}
        assert not found, (found, text)


def api_that_knows_a_secret(*steps: Step) -> tuple[GcoreApi, list[ApiEvent]]:
    """A client that made a key before the trouble begins."""
    events: list[ApiEvent] = []
    api = make_api(ScriptedEffects(answer(200, key_json(secret=SECRET)), *steps), events=events)
    api.create_key("payments", "x", None)
    return api, events


ACTIONS: dict[str, Callable[[GcoreApi], Any]] = {
    "list": lambda api: api.list_keys(),
    "everything": lambda api: api.read_live(),
    "bindings": lambda api: api.list_bindings(),
    "endpoint": lambda api: api.read_endpoint(LLAMA),
    "get": lambda api: api.get_key("payments"),
    "create": lambda api: api.create_key("payments", "x", None),
    "describe": lambda api: api.update_key("payments", KeyUpdate("x")),
    "bind": lambda api: api.fenced(OpenFence()).rebind(Rebinding(add=frozenset({Binding("payments", LLAMA)}))),
    "write a list": lambda api: write_list(api, LLAMA, ["payments"]),
}


@pytest.mark.parametrize(
    ("action", "status"),
    [*(("create", status) for status in (401, 403, 404, 409, 422, 429, 500)), *((action, 400) for action in ACTIONS)],
)
def test_what_an_error_answer_echoes_is_masked(action: str, status: int) -> None:
    for echo in [*ECHOES, *HALVES]:
        api, events = api_that_knows_a_secret(
            answer(
                status,
                {"message": f"bad header {echo}!", "request_id": echo, "invalid_fields": {echo: ["no"]}, "info": echo},
                headers=httpx.Headers({b"x-request-id": echo.encode()}),
            )
        )
        with pytest.raises(ApiError) as caught:
            ACTIONS[action](api)
        assert_nothing_leaks(caught.value, events)


def request_with_the_token() -> httpx.Request:
    return httpx.Request("GET", "https://api.gcore.com", headers={"Authorization": f"APIKey {TOKEN}"})


FAILURES: dict[str, Callable[[], Step]] = {
    "an illegal header": lambda: httpx.LocalProtocolError(f"Illegal header value b'APIKey {TOKEN}'"),
    "a timeout": lambda: httpx.ReadTimeout(f"{TOKEN}", request=request_with_the_token()),
    "a refused connection": lambda: httpx.ConnectError(f"{TOKEN}", request=request_with_the_token()),
    "an address that is none": lambda: httpx.InvalidURL(f"{TOKEN}"),
    "an OSError": lambda: OSError(5, f"{TOKEN} {SECRET}"),
    "a body cut short": lambda: answer(200, text=json.dumps(key_json(secret=SECRET))[:-3]),
    "a body without created_at": lambda: answer(200, {"name": "payments", "description": None, "secret": SECRET}),
    "a body in a list": lambda: answer(200, [key_json(secret=SECRET)]),
    "a secret in another field": lambda: answer(200, key_json(created_at=SECRET, secret=SECRET)),
    "a secret with a line break": lambda: answer(200, key_json(secret=SECRET + "\n")),
    "another key's answer": lambda: answer(200, key_json(SECRET, secret=SECRET)),
    "HTML": lambda: answer(200, text=f"<html>{SECRET} {TOKEN}</html>"),
    "HTML that fails": lambda: answer(500, text=f"<html>{SECRET} {TOKEN}</html>"),
    "plain text": lambda: answer(400, text=f"{SECRET} {TOKEN}"),
    "a redirect": lambda: answer(302, text="", headers={"location": f"https://x.example/{quote(TOKEN)}"}),
    "an unknown task": lambda: answer(200, {"tasks": ["t"], "state": f"{TOKEN} {SECRET}"}),
    "a task that fails": lambda: answer(200, {"tasks": ["t"], "state": "ERROR", "error": f"{TOKEN} {SECRET}"}),
    "a task that is forgotten": lambda: refusal(404, f"{TOKEN} {SECRET}"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("action", ACTIONS)
def test_no_failure_shows_a_token_or_a_secret(action: str, failure: str) -> None:
    for knows in (True, False):
        if knows:
            api, events = api_that_knows_a_secret(FAILURES[failure]())
        else:
            events = []
            api = make_api(ScriptedEffects(FAILURES[failure]()), events=events)
        try:
            ACTIONS[action](api)
        except ApiError as error:
            # What this client never saw it cannot know in the API's words; a create's own answer is never shown.
            ours_alone = action == "create" and isinstance(error, UnexpectedAnswer | ApiUnreachable)
            assert_nothing_leaks(error, events, LEAKS if knows or ours_alone else TOKEN_LEAKS)


def test_a_client_shows_nothing_of_its_token() -> None:
    api = make_api(ScriptedEffects(refusal(500)))
    for text in (
        repr(api),
        repr(vars(api)),
        repr(vars(vars(api)["_project"])),
        repr(vars(vars(api)["_project"].exchange)),
    ):
        assert TOKEN not in text


def test_a_part_of_a_token_is_masked_and_what_stands_around_it_is_kept() -> None:
    redactor = Redactor(Secret(TOKEN))
    assert redactor.clean(f"Token {TOKEN[3:12]}... is unknown") == "Token (sensitive value)... is unknown"
    assert redactor.clean(f"a{TOKEN}b {TOKEN.upper()}") == "a(sensitive value)b (sensitive value)"


def test_five_characters_are_no_part_that_matters() -> None:
    assert Redactor(Secret(TOKEN)).clean(f"prefix {TOKEN[:5]}") == f"prefix {TOKEN[:5]}"


def test_a_short_token_is_masked_whole() -> None:
    assert Redactor(Secret("abc")).clean("see abc.") == "see (sensitive value)."


def test_control_codes_do_not_hide_a_token_from_the_mask() -> None:
    hidden = TOKEN[:4] + "\x1b[0m" + TOKEN[4:9] + "\x00\u200b" + TOKEN[9:]
    assert Redactor(Secret(TOKEN)).clean(hidden) == "(sensitive value)"


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=6, max_size=40), st.text(max_size=30), st.text(max_size=30))
def test_no_secret_survives_in_any_text(secret: str, before: str, after: str) -> None:
    redactor = Redactor(Secret(secret))
    cleaned = redactor.clean(before + secret + after)
    assert len(cleaned) <= 300
    if secret.isprintable() and " " not in secret:
        assert secret not in cleaned.replace("(sensitive value)", "")
