"""What is sent again, how often, and how long it waits: each write by its own rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.http_fakes import (
    ScriptedEffects,
    Step,
    answer,
    key_json,
    make_api,
    page_json,
    refusal,
    scripted_api,
    write_list,
)

from reconciler.api import KeyUpdate
from reconciler.errors import (
    ApiError,
    ApiFailed,
    ApiRefused,
    ApiUnreachable,
    Conflict,
    Interrupted,
    NotFound,
    RateLimited,
    UnexpectedAnswer,
)
from reconciler.gcore import ApiEvent, EventKind, GcoreApi
from reconciler.gcore.pace import PATIENCE
from reconciler.model import EndpointKind, EndpointRef

LLAMA = EndpointRef(EndpointKind.DEPLOYMENT, "llama3")
HTML = answer(502, text="<html>Bad Gateway</html>", headers={"content-type": "text/html"})
CUT_SHORT = answer(200, text='{"name": "paym', headers={"content-type": "application/json"})
GONE = answer(204, text="")
KEY = answer(200, key_json(description="x"))
PATH = "/cloud/v3/inference/1234/api_keys/payments"

Action = Callable[[GcoreApi], Any]


def read(api: GcoreApi) -> object:
    return api.get_key("payments")


def create(api: GcoreApi) -> object:
    return api.create_key("payments", "x", None)


def describe(api: GcoreApi) -> object:
    return api.update_key("payments", KeyUpdate("x"))


def delete(api: GcoreApi) -> object:
    return api.delete_key("payments")


def bind(api: GcoreApi) -> object:
    return write_list(api, LLAMA, ["payments"])


TRANSIENT: dict[str, Step] = {
    "a refused connection": httpx.ConnectError("refused"),
    "no connection in time": httpx.ConnectTimeout("late"),
    "no answer in time": httpx.ReadTimeout("late"),
    "a connection that breaks": httpx.ReadError("reset"),
    "a server that hangs up": httpx.RemoteProtocolError("Server disconnected"),
    "a body that cannot be decompressed": httpx.DecodingError("bad gzip"),
    "a plain OSError of the transport": ConnectionResetError("reset"),
    "a 408": refusal(408),
    "a 429": refusal(429),
    "a 500": refusal(500),
    "a 502 in HTML": HTML,
    "a 503": refusal(503),
    "an answer cut short": CUT_SHORT,
}
DID_NOTHING = {"a refused connection", "no connection in time", "a 429"}
FINAL: dict[str, Step] = {
    "a 400": refusal(400),
    "a 401": refusal(401),
    "a 403": refusal(403),
    "a 409": refusal(409),
    "a redirect": answer(302, text="", headers={"location": "https://elsewhere.example/"}),
    "HTML that says 200": answer(200, text="<html>Welcome</html>"),
    "HTML that says 404": answer(404, text="<html>no such page</html>"),
    "JSON of another shape": answer(200, [1]),
}


@pytest.mark.parametrize("trouble", TRANSIENT)
@pytest.mark.parametrize("action", [read, describe], ids=["a read", "a description"])
def test_what_may_pass_is_waited_out(action: Action, trouble: str) -> None:
    api, effects = scripted_api(*[TRANSIENT[trouble]] * 4, KEY)
    action(api)
    assert effects.slept == [0.375, 0.75, 1.5, 3.0]
    assert len(effects.sent) == 5


@pytest.mark.parametrize("trouble", TRANSIENT)
def test_a_delete_is_sent_again_too(trouble: str) -> None:
    api, effects = scripted_api(TRANSIENT[trouble], GONE)
    assert delete(api) is True
    assert len(effects.sent) == 2


@pytest.mark.parametrize("trouble", sorted(TRANSIENT.keys() - {"a 429"}))
def test_a_read_gives_up_after_five_attempts_and_leaves_nothing_in_doubt(trouble: str) -> None:
    api, effects = scripted_api(TRANSIENT[trouble])
    with pytest.raises(ApiError) as caught:
        read(api)
    assert len(effects.sent) == 5
    assert not caught.value.effect_is_unknown


def test_a_limit_that_lets_nothing_through_is_waited_out_as_long_as_one_per_minute_lasts() -> None:
    api, effects = scripted_api(TRANSIENT["a 429"])
    with pytest.raises(RateLimited) as caught:
        read(api)
    assert PATIENCE <= sum(effects.slept) < PATIENCE + 8
    assert not caught.value.effect_is_unknown


@pytest.mark.parametrize("trouble", sorted((TRANSIENT | FINAL).keys() - {"a 429"}))
def test_a_create_is_sent_once_whatever_happens(trouble: str) -> None:
    step = (TRANSIENT | FINAL)[trouble]
    api, effects = scripted_api(step)
    with pytest.raises(ApiError) as caught:
        create(api)
    assert (len(effects.sent), effects.slept) == (1, [])
    surely_not = DID_NOTHING | {"a 400", "a 401", "a 403", "a 409"}
    assert caught.value.effect_is_unknown is (trouble not in surely_not)


@pytest.mark.parametrize("trouble", TRANSIENT)
def test_a_list_of_bindings_is_sent_again_only_when_it_surely_was_not_processed(trouble: str) -> None:
    api, effects = scripted_api(TRANSIENT[trouble], answer(200, {"tasks": []}))
    if trouble in DID_NOTHING:
        bind(api)
        assert len(effects.sent) == 2
    else:
        with pytest.raises(ApiError) as caught:
            bind(api)
        assert (len(effects.sent), caught.value.effect_is_unknown) == (1, True)


@pytest.mark.parametrize("trouble", FINAL)
@pytest.mark.parametrize("action", [read, describe, bind], ids=["read", "describe", "bind"])
def test_what_will_not_pass_is_told_at_once(action: Action, trouble: str) -> None:
    api, effects = scripted_api(FINAL[trouble])
    with pytest.raises(ApiError) as caught:
        action(api)
    # An update that may have been done is looked for once.
    looks = 1 if action is describe and caught.value.effect_is_unknown else 0
    assert (len(effects.sent), effects.slept) == (1 + looks, [])


def test_a_proxys_404_is_not_taken_for_a_key_that_is_gone() -> None:
    api, _ = scripted_api(FINAL["HTML that says 404"])
    for action in (read, delete):
        with pytest.raises(UnexpectedAnswer, match="answered with HTML and status 404"):
            action(api)


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        ("7", 7.375),
        ("0", 0.375),
        ("100000", 60.375),
        ("Sat, 21 Nov 2026 10:00:30 GMT", 30.375),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0.375),
        ("soon", 0.375),
        ("-5", 0.375),
        ("٣", 0.375),
        ("", 0.375),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_heeded_in_both_its_forms_up_to_a_minute(asked: str, waits: float, status: int) -> None:
    # HTTP/1.1 headers are latin-1 at most; other bytes are what a broken server sends.
    slow_down = answer(status, {"message": "slow down"}, headers=httpx.Headers({b"retry-after": asked.encode()}))
    api, effects = scripted_api(slow_down, KEY)
    read(api)
    assert effects.slept == [waits]


def test_how_long_a_limit_lasts_is_told() -> None:
    api, _ = scripted_api(answer(429, {"message": "slow down"}, headers={"retry-after": "120"}))  # no error of the API
    with pytest.raises(RateLimited) as caught:
        create(api)
    assert caught.value.retry_after == 120


def test_a_delete_that_finds_nothing_was_not_done_by_this_client() -> None:
    api, _ = scripted_api(refusal(404))
    assert delete(api) is False


def test_a_delete_whose_answer_was_lost_is_done_when_the_key_is_gone() -> None:
    api, _ = scripted_api(httpx.ReadTimeout("late"), refusal(404))
    assert delete(api) is True


def test_a_delete_that_never_arrived_before_did_not_do_it() -> None:
    api, _ = scripted_api(refusal(429), httpx.ConnectError("refused"), refusal(404))
    assert delete(api) is False


def test_a_refusal_after_a_lost_answer_still_leaves_the_effect_in_doubt() -> None:
    api, _ = scripted_api(httpx.ReadTimeout("late"), refusal(401))
    with pytest.raises(ApiRefused) as caught:
        describe(api)
    assert caught.value.effect_is_unknown


def test_an_interrupt_while_waiting_ends_the_waiting() -> None:
    class Impatient(ScriptedEffects):
        def sleep(self, seconds: float) -> None:
            raise Interrupted("Interrupted while waiting.")

    with pytest.raises(Interrupted):
        read(make_api(Impatient(refusal(500))))


def test_every_attempt_and_every_wait_is_told() -> None:
    events: list[ApiEvent] = []
    make_api(ScriptedEffects(refusal(503, "maintenance"), KEY), events=events).get_key("payments")
    assert events == [
        ApiEvent(EventKind.REQUEST, "GET", "key.payments", 1),
        ApiEvent(EventKind.ANSWER, "GET", "key.payments", detail=f"{PATH}: 503, 0 ms, request req-1"),
        ApiEvent(
            EventKind.PACE,
            "",
            "",
            wait_seconds=0.375,
            in_flight=5,
            most=10,
            detail="The API asks for fewer requests: at most 10 -> 5 in flight, next in 0.4s.",
        ),
        ApiEvent(
            EventKind.RETRY,
            "GET",
            "key.payments",
            1,
            0.375,
            'The API failed to show key payments (status 503, request req-1). It says: "maintenance"',
        ),
        ApiEvent(EventKind.REQUEST, "GET", "key.payments", 2),
        ApiEvent(EventKind.ANSWER, "GET", "key.payments", detail=f"{PATH}: 200, 0 ms"),
    ]


@pytest.mark.parametrize("refused", [1, 2, 3])
def test_a_wait_is_told_as_long_as_it_will_be_when_all_wait(refused: int) -> None:
    events: list[ApiEvent] = []
    effects = ScriptedEffects(*[refusal(429)] * refused, KEY)
    make_api(effects, events=events).get_key("payments")
    waits = [event.wait_seconds for event in events if event.kind is EventKind.RETRY]
    assert waits == effects.slept == [0.375, 0.75, 1.5][:refused]


def test_a_create_that_answers_about_another_key_leaves_the_effect_in_doubt() -> None:
    api, _ = scripted_api(answer(200, key_json("other", secret="abc")))
    with pytest.raises(UnexpectedAnswer) as caught:
        create(api)
    assert caught.value.effect_is_unknown


@pytest.mark.parametrize("secret", [None, "", 7, "two\nlines", "\ud800"], ids=repr)
def test_a_create_without_a_usable_secret_leaves_the_effect_in_doubt(secret: object) -> None:
    body = key_json(secret=secret)
    api, _ = scripted_api(answer(200, text=json.dumps(body)))
    with pytest.raises(UnexpectedAnswer, match="'secret'") as caught:
        create(api)
    assert caught.value.effect_is_unknown


def test_a_description_that_the_api_did_not_keep_is_an_error() -> None:
    api, _ = scripted_api(answer(200, key_json(description="something else")))
    with pytest.raises(UnexpectedAnswer, match="did not keep the description") as caught:
        describe(api)
    assert caught.value.effect_is_unknown


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFound), (409, Conflict), (429, RateLimited), (418, ApiRefused), (599, ApiFailed)]
)
def test_each_status_has_its_error(status: int, error: type[ApiError]) -> None:
    api, _ = scripted_api(refusal(status))
    with pytest.raises(error) as caught:
        create(api)
    assert (type(caught.value), caught.value.status, caught.value.request_id) == (error, status, "req-1")


def test_a_write_of_bindings_that_is_answered_without_tasks_leaves_the_effect_in_doubt() -> None:
    api, _ = scripted_api(answer(200, {"task": "t-1"}))
    with pytest.raises(UnexpectedAnswer, match="'tasks' is missing") as caught:
        bind(api)
    assert caught.value.effect_is_unknown


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_be_another_path_is_not_sent(name: str) -> None:
    api, effects = scripted_api(KEY)
    with pytest.raises(ApiRefused, match="cannot address a deployment of this name"):
        write_list(api, EndpointRef(EndpointKind.DEPLOYMENT, name), ["payments"])
    assert effects.sent == []


def test_no_connection_at_all_is_unreachable() -> None:
    api, _ = scripted_api(httpx.ConnectError("refused"))
    with pytest.raises(ApiUnreachable):
        api.list_keys()


def test_a_dotted_key_is_found_in_the_list_and_never_written() -> None:
    api, effects = scripted_api(answer(200, page_json(key_json("a.b"), key_json("c"))))
    found = api.get_key("a.b")
    assert found is not None
    assert (found.name, api.get_key("x.y")) == ("a.b", None)
    sent = len(effects.sent)
    for write in (
        api.delete_key,
        lambda name: api.update_key(name, KeyUpdate("x")),
        lambda n: api.create_key(n, "x", None),
    ):
        with pytest.raises(ApiRefused, match="cannot address a key of this name"):
            write("a.b")
    assert len(effects.sent) == sent
