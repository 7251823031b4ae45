"""The API's JSON: every form that it may have is read, and everything else is an error that names the field."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.http_fakes import (
    ScriptedEffects,
    answer,
    application_json,
    deployment_json,
    key_json,
    make_api,
    page_json,
    scripted_api,
    write_list,
)

from reconciler.api import EndpointReading, KeyUpdate
from reconciler.errors import KeyformError, UnexpectedAnswer
from reconciler.gcore.wire import read_instant, write_instant
from reconciler.model import EndpointKind, EndpointRef, LiveEndpoint

LLAMA = EndpointRef(EndpointKind.DEPLOYMENT, "llama3")
WEBUI = EndpointRef(EndpointKind.APPLICATION, "webui")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2023-10-01T12:00:00Z", datetime(2023, 10, 1, 12, tzinfo=UTC)),
        ("2023-10-01t12:00:00z", datetime(2023, 10, 1, 12, tzinfo=UTC)),
        ("2026-05-31T06:43:54.717473", datetime(2026, 5, 31, 6, 43, 54, 717473, tzinfo=UTC)),
        ("2026-05-31T06:43:54.717473123Z", datetime(2026, 5, 31, 6, 43, 54, 717473, tzinfo=UTC)),
        ("2026-05-31T06:43:54+0000", datetime(2026, 5, 31, 6, 43, 54, tzinfo=UTC)),
        ("2026-05-31T06:43:54.7+00:00", datetime(2026, 5, 31, 6, 43, 54, 700000, tzinfo=UTC)),
        ("2026-05-31 06:43:54-05:30", datetime(2026, 5, 31, 12, 13, 54, tzinfo=UTC)),
        ("2027-06-30", datetime(2027, 6, 30, tzinfo=UTC)),
    ],
)
def test_every_form_of_a_timestamp_is_an_instant_in_utc(text: str, instant: datetime) -> None:
    read = read_instant(text)
    assert (read, read.tzinfo) == (instant, UTC)


@pytest.mark.parametrize(
    "text", ["", "now", "0", "2023-13-01", "12:00", "2026-W01-1", "2026-05-31T24:00:00", "20260531T0643"]
)
def test_what_is_no_timestamp_is_not_guessed_at(text: str) -> None:
    with pytest.raises(ValueError):
        read_instant(text)


def test_a_naive_datetime_is_not_sent() -> None:
    with pytest.raises(ValueError, match="an instant is aware"):
        write_instant(datetime(2027, 6, 30))  # noqa: DTZ001 - that is the point


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=ZONES)  # noqa: DTZ001


@given(INSTANTS)
def test_an_instant_survives_every_form(instant: datetime) -> None:
    whole = instant.replace(microsecond=0)
    naive = instant.astimezone(UTC).replace(tzinfo=None)
    assert read_instant(write_instant(whole)) == whole
    assert read_instant(instant.isoformat()) == instant
    assert read_instant(naive.isoformat()) == instant
    assert read_instant(naive.isoformat() + "Z") == instant
    assert read_instant(instant.strftime("%Y-%m-%dT%H:%M:%S.%f%z")) == instant


@given(st.text(max_size=30))
def test_no_text_breaks_the_reading_of_timestamps(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert read_instant(text).tzinfo is UTC


def test_instants_of_a_key_are_cut_off_to_the_second() -> None:
    """Whether each answer shows the same fraction is unknown, and a record keeps none."""
    shown = key_json(created_at="2026-05-31T06:43:54.999", expires_at="2027-05-31T06:43:54.5Z")
    key = scripted_api(answer(200, shown))[0].get_key("payments")
    assert key is not None
    assert (key.created_at.isoformat(), key.expires_at and key.expires_at.isoformat()) == (
        "2026-05-31T06:43:54+00:00",
        "2027-05-31T06:43:54+00:00",
    )


def test_fields_that_nobody_knows_are_ignored() -> None:
    api, _ = scripted_api(answer(200, key_json(colour="blue", deployment_names=None)))
    assert api.get_key("payments") is not None


def endpoint(ref: EndpointRef, shown: dict[str, Any]) -> EndpointReading | None:
    api, _ = scripted_api(answer(200, shown))
    return api.read_endpoint(ref)


@pytest.mark.parametrize(
    ("fields", "keys", "auth_enabled"),
    [
        ({"api_keys": ["a"], "auth_enabled": True}, ("a",), True),
        ({"api_keys": ["a"], "auth_enabled": False}, ("a",), False),
        ({"api_keys": None, "auth_enabled": True}, (), True),
        ({"api_keys": None, "auth_enabled": None}, (), False),
        ({"api_keys": ["b", "a"], "auth_enabled": None}, ("b", "a"), True),
    ],
)
def test_authentication_is_what_the_deprecated_field_says_while_it_is_there(
    fields: dict[str, Any], keys: tuple[str, ...], auth_enabled: bool
) -> None:
    assert endpoint(LLAMA, deployment_json(**fields)) == EndpointReading(
        LiveEndpoint(LLAMA, auth_enabled, (), "ACTIVE"), keys
    )


def test_without_the_deprecated_field_authentication_is_on_when_there_are_keys() -> None:
    shown = deployment_json(api_keys=["a"])
    del shown["auth_enabled"]
    assert endpoint(LLAMA, shown) == EndpointReading(LiveEndpoint(LLAMA, True, (), "ACTIVE"), ("a",))
    del shown["api_keys"]
    assert endpoint(LLAMA, shown) == EndpointReading(LiveEndpoint(LLAMA, False, (), "ACTIVE"), ())


def test_a_deployment_knows_its_application_and_its_address() -> None:
    references = [{"kind": "Other", "name": "x"}, {"kind": "AppDeployment", "name": "webui"}]
    shown = deployment_json(object_references=references, address="llama3.example:8443", status="PENDING")
    assert endpoint(LLAMA, shown) == EndpointReading(
        LiveEndpoint(LLAMA, True, ("llama3.example:8443",), "PENDING", "webui"), ()
    )


def test_an_application_has_the_addresses_of_its_components() -> None:
    addresses = {"web": {"address": "https://w.example"}, "model": {"address": "https://m.example"}}
    status = {"consolidated_status": "PartiallyDeployed", "expose_addresses": addresses, "regions": []}
    assert endpoint(WEBUI, application_json(api_keys=["a"], status=status)) == EndpointReading(
        LiveEndpoint(WEBUI, True, ("https://w.example", "https://m.example"), "PartiallyDeployed"), ("a",)
    )


ODD = [None, 7, [], {}, True]


@pytest.mark.parametrize("odd", ["missing", *ODD])
def test_what_only_a_call_of_an_endpoint_needs_may_be_missing_from_it(odd: Any) -> None:
    """One application without `expose_addresses` would otherwise hold up every command, for every key."""
    shown = deployment_json(api_keys=["a"])
    for name in ("status", "address"):
        without = {field: value for field, value in shown.items() if field != name}
        reading = endpoint(LLAMA, without if odd == "missing" else {**shown, name: odd})
        status = "" if name == "status" else "ACTIVE"
        assert reading == EndpointReading(LiveEndpoint(LLAMA, True, (), status), ("a",))
    state = {"consolidated_status": "Active", "expose_addresses": {"web": {"address": "https://w.example"}}}
    for name, addresses, word in (
        ("status", (), ""),
        ("expose_addresses", (), "Active"),
        ("consolidated_status", ("https://w.example",), ""),
    ):
        without = {field: value for field, value in state.items() if field != name}
        status = {**state, name: odd} if odd != "missing" else without
        odd_one = application_json(api_keys=["a"], status=odd if name == "status" and odd != "missing" else status)
        if name == "status" and odd == "missing":
            del odd_one["status"]
        assert endpoint(WEBUI, odd_one) == EndpointReading(LiveEndpoint(WEBUI, True, addresses, word), ("a",))


@pytest.mark.parametrize("part", [{}, *({"address": odd} for odd in ODD), *ODD])
def test_a_part_of_an_application_without_an_address_is_not_passed_over(part: Any) -> None:
    """`verify` would else call an application in order of which it could not call one part."""
    state = {
        "consolidated_status": "Active",
        "expose_addresses": {"web": {"address": "https://w.example"}, "api": part},
    }
    reading = endpoint(WEBUI, application_json(api_keys=["a"], status=state))
    assert reading == EndpointReading(LiveEndpoint(WEBUI, True, ("https://w.example", ""), "Active"), ("a",))


def test_a_lone_surrogate_cannot_break_an_output() -> None:
    api, _ = scripted_api(answer(200, text=json.dumps(key_json(description="x\ud800y"))))
    key = api.get_key("payments")
    assert key is not None
    assert key.text == "x?y"


@pytest.mark.parametrize(
    ("shown", "finding"),
    [
        ([], "it is not an object"),
        ({}, "'count' is missing"),
        ({"count": -1, "results": []}, "'count' is not a whole number"),
        ({"count": True, "results": []}, "'count' is not a whole number"),
        ({"count": 0.5, "results": []}, "'count' is not a whole number"),
        ({"count": 1}, "'results' is missing"),
        ({"count": 1, "results": None}, "'results' is not a list"),
        ({"count": 1, "results": [7]}, "'results[0]' is not an object"),
        (page_json(key_json(), key_json(name=None)), "'results[1].name' is not a string"),
        (page_json(key_json(description=5)), "'results[0].description' is not a string"),
        (page_json(key_json(created_at=None)), "'results[0].created_at' is not a string"),
        (page_json(key_json(created_at="yesterday")), "'results[0].created_at' is not a time"),
        (page_json(key_json(expires_at=1700000000)), "'results[0].expires_at' is not a string"),
        (page_json({"name": "payments", "created_at": "2026-01-01"}), "'results[0].description' is missing"),
    ],
)
def test_a_list_in_another_shape_names_the_field(shown: Any, finding: str) -> None:
    api, _ = scripted_api(answer(200, shown))
    with pytest.raises(UnexpectedAnswer) as caught:
        api.list_keys()
    assert caught.value.message == f"The API's answer about the list of keys has an unexpected format: {finding}."


@pytest.mark.parametrize(
    ("ref", "shown", "finding"),
    [
        (LLAMA, deployment_json(api_keys="a"), "'api_keys' is not a list"),
        (LLAMA, deployment_json(api_keys=[None]), "'api_keys' is not a list of strings"),
        (LLAMA, deployment_json(auth_enabled="yes"), "'auth_enabled' is not true or false"),
        (LLAMA, deployment_json(object_references=None), "'object_references' is not a list"),
        (LLAMA, deployment_json(object_references=[{"kind": "x"}, 1]), "'object_references[1]' is not an object"),
        (LLAMA, deployment_json("other"), "it is for another one"),
        (WEBUI, {"name": "webui"}, "'api_keys' is missing"),
    ],
)
def test_an_endpoint_in_another_shape_names_the_field(ref: EndpointRef, shown: Any, finding: str) -> None:
    with pytest.raises(UnexpectedAnswer) as caught:
        endpoint(ref, shown)
    assert caught.value.message == f"The API's answer about {ref} has an unexpected format: {finding}."


FIELD_NAMES = st.sampled_from(
    [
        "count",
        "results",
        "name",
        "description",
        "created_at",
        "expires_at",
        "secret",
        "tasks",
        "state",
        "error",
        "status",
        "api_keys",
        "auth_enabled",
        "address",
        "object_references",
        "consolidated_status",
        "expose_addresses",
        "message",
        "request_id",
        "invalid_fields",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2000)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["payments", "llama3", "webui", "2026-01-01T00:00:00Z", "FINISHED", "ERROR", "RUNNING"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELD_NAMES | st.text(max_size=5), inner, max_size=6),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([200, 202, 400, 401, 404, 409, 429, 500]), VALUES), min_size=1, max_size=3))
def test_no_json_ever_raises_anything_but_an_error_of_ours(answers: list[tuple[int, Any]]) -> None:
    told = "nothing"
    for action in range(7):
        steps = [answer(status, text=json.dumps(body)) for status, body in answers]
        api = make_api(ScriptedEffects(*steps), task_timeout=5.0)
        try:
            match action:
                case 0:
                    api.list_keys()
                case 1:
                    api.read_live()
                case 2:
                    api.get_key("payments")
                case 3:
                    api.create_key("payments", "x", None)
                case 4:
                    api.update_key("payments", KeyUpdate("x"))
                case 5:
                    api.delete_key("payments")
                case _:
                    write_list(api, LLAMA, ["payments"])
        except KeyformError as error:
            told = error.diagnostics()
        assert told.encode()


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe", b"[" * 100_000, b'{"count": ' + b"9" * 5000 + b"}", b"nul", b"\x1f\x8b garbage", b"<"],
    ids=["no text", "too deep", "too long a number", "half a word", "binary", "an angle"],
)
@pytest.mark.parametrize("status", [200, 404, 500])
def test_no_bytes_ever_raise_anything_but_an_error_of_ours(body: bytes, status: int) -> None:
    api, _ = scripted_api(answer(status, text=body))
    with pytest.raises(KeyformError):
        api.list_keys()
