"""API keys: what the API promises about making, showing, changing and deleting them."""

from __future__ import annotations

import pytest

LONG = "a" * 63


def test_a_new_key_shows_its_secret_once_and_never_again(api) -> None:
    made = api.ok("POST", "api_keys", {"name": "payments", "description": "Checkout"})
    assert made == {
        "name": "payments",
        "description": "Checkout",
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": None,
        "deployment_names": [],
        "secret": made["secret"],
    }
    assert len(made["secret"]) == 32
    shown = {name: value for name, value in made.items() if name != "secret"}
    assert api.ok("GET", "api_keys/payments") == shown
    assert api.ok("GET", "api_keys") == {"count": 1, "results": [shown]}
    assert api.ok("PATCH", "api_keys/payments", {}) == shown


def test_create_answers_200_and_delete_204_without_a_body(api) -> None:
    assert api.call("POST", "api_keys", {"name": "payments"}).status == 200
    gone = api.call("DELETE", "api_keys/payments")
    assert (gone.status, gone.body) == (204, b"")
    assert api.refused(404, "GET", "api_keys/payments")["exception_class"] == "NotFoundError"


def test_a_second_key_of_the_same_name_is_a_conflict_and_the_first_one_stays(api) -> None:
    secret = api.key("payments")
    error = api.refused(409, "POST", "api_keys", {"name": "payments"})
    assert (error["exception_class"], error["message"]) == ("ConflictError", "API key payments already exists")
    assert api.emulator.live_keys(api.project)["payments"].secret == secret


def test_the_same_name_in_another_project_is_another_key(api, make_api) -> None:
    secret = api.key("payments")
    api.token, api.project = "neighbour", 5678
    assert api.key("payments") != secret


@pytest.mark.parametrize("name", ["abcd", "0123", LONG, "a-b-c", "a.b.c.d", "team.a-1"])
def test_a_name_that_the_documents_allow_is_taken(api, name: str) -> None:
    api.key(name)
    assert [key["name"] for key in api.ok("GET", "api_keys")["results"]] == [name]


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({}, "name", "Field required"),
        ({"name": "abc"}, "name", "String should have at least 4 characters"),
        ({"name": "a" * 64}, "name", "String should have at most 63 characters"),
        ({"name": 1234}, "name", "Input should be a string"),
        ({"name": None}, "name", "Input should be a string"),
        ({"name": "good", "description": "x" * 301}, "description", "String should have at most 300 characters"),
        ({"name": "good", "description": None}, "description", "Input should be a string"),
        ({"name": "good", "expires_at": None}, "expires_at", "Input should be a string"),
        ({"name": "good", "expires_at": "soon"}, "expires_at", "Input should be a valid datetime in ISO 8601 format"),
        ({"name": "good", "expires_at": "2020-01-01"}, "expires_at", "Expiration date should be in the future"),
        ({"name": "good", "expires": "2030-01-01"}, "expires", "Extra inputs are not permitted"),
        ([], "body", "Input should be an object"),
    ],
)
def test_a_wrong_field_is_the_documented_error(api, body, field: str, message: str) -> None:
    error = api.refused(400, "POST", "api_keys", body)
    assert sorted(error) == ["exception_class", "invalid_fields", "message", "request_id"]
    assert error["exception_class"] == "ValidationError"
    assert error["invalid_fields"] == {field: [message]}
    assert error["message"] == f"Validation Error: {error['invalid_fields']}"
    assert len(error["request_id"]) == 32
    assert api.ok("GET", "api_keys")["count"] == 0


@pytest.mark.parametrize("name", ["Abcd", "-abc", "abc-", "ab_cd", "ab cd", "abc.", ".abc", "a..b", "abcd\n", "äbcd"])
def test_a_name_outside_the_pattern_is_refused(api, name: str) -> None:
    messages = api.refused(400, "POST", "api_keys", {"name": name})["invalid_fields"]["name"]
    assert len(messages) == 1
    assert messages[0].startswith("String should match pattern '^[a-z0-9]")
    assert messages[0].endswith("$'")


def test_an_error_never_repeats_what_was_sent(api) -> None:
    error = api.call("POST", "api_keys", {"name": "good", "description": "hush" * 100})
    assert error.status == 400
    assert b"hush" not in error.body


def test_all_wrong_fields_are_told_at_once(api) -> None:
    fields = api.refused(400, "POST", "api_keys", {"description": 1, "colour": "red"})["invalid_fields"]
    assert sorted(fields) == ["colour", "description", "name"]


def test_a_dotted_key_can_be_made_and_then_never_be_read_changed_or_deleted(api) -> None:
    api.key("team.payments")
    for method, body in (("GET", None), ("PATCH", {"description": "x"}), ("DELETE", None)):
        error = api.refused(400, method, "api_keys/team.payments", body)
        assert list(error["invalid_fields"]) == ["api_key_name"]
    assert api.ok("GET", "api_keys")["count"] == 1


def test_a_path_refuses_a_name_that_is_too_short_or_malformed_before_looking_for_it(api) -> None:
    assert api.call("GET", "api_keys/abc").status == 400
    assert api.call("GET", "api_keys/ABCD").status == 400
    assert api.call("GET", "api_keys/abcd").status == 404


def test_patch_changes_the_description_and_null_empties_it(api) -> None:
    api.key("payments", description="old")
    assert api.ok("PATCH", "api_keys/payments", {"description": "new"})["description"] == "new"
    assert api.ok("PATCH", "api_keys/payments", {})["description"] == "new"
    assert api.ok("PATCH", "api_keys/payments", {"description": None})["description"] is None


@pytest.mark.parametrize("field", ["name", "expires_at", "secret", "deployment_names"])
def test_nothing_but_the_description_can_be_changed(api, field: str) -> None:
    api.key("payments")
    error = api.refused(400, "PATCH", "api_keys/payments", {field: "other"})
    assert error["invalid_fields"] == {field: ["Extra inputs are not permitted"]}


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("2027-06-30", "2027-06-30T00:00:00Z"),
        ("2027-06-30T12:30:00Z", "2027-06-30T12:30:00Z"),
        ("2027-06-30T12:30:00", "2027-06-30T12:30:00Z"),
        ("2027-06-30T12:30:00+02:00", "2027-06-30T10:30:00Z"),
        ("2027-06-30T12:30:00.500000+0000", "2027-06-30T12:30:00Z"),
    ],
)
def test_an_expiry_is_an_instant_however_it_is_written(api, sent: str, shown: str) -> None:
    assert api.ok("POST", "api_keys", {"name": "payments", "expires_at": sent})["expires_at"] == shown


def test_a_key_lists_the_deployments_it_opens_in_their_order(api) -> None:
    api.key("payments")
    api.attach("whisper", "payments")
    api.attach("llama3", "payments")
    assert api.ok("GET", "api_keys/payments")["deployment_names"] == ["llama3", "whisper"]
    assert api.ok("GET", "api_keys")["results"][0]["deployment_names"] == ["llama3", "whisper"]


def test_an_attached_key_cannot_be_deleted_and_a_detached_one_can(api) -> None:
    api.key("payments")
    api.attach("llama3", "payments")
    error = api.refused(409, "DELETE", "api_keys/payments")
    assert error["exception_class"] == "ConflictError"
    assert error["message"] == "API key payments is attached to: llama3"
    api.attach("llama3")
    assert api.call("DELETE", "api_keys/payments").status == 204


def test_a_list_has_100_keys_by_default_and_at_most_1000(api) -> None:
    for number in range(130):
        api.key(f"key-{number}")
    first = api.ok("GET", "api_keys")
    assert (first["count"], len(first["results"])) == (130, 100)
    rest = api.ok("GET", "api_keys", offset=100)
    assert (rest["count"], len(rest["results"])) == (130, 30)
    assert len({key["name"] for key in first["results"] + rest["results"]}) == 130
    assert len(api.ok("GET", "api_keys", limit=1000)["results"]) == 130
    assert api.ok("GET", "api_keys", offset=130)["results"] == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": 0}, "Input should be greater than or equal to 1"),
        ({"limit": 1001}, "Input should be less than or equal to 1000"),
        ({"limit": "ten"}, "Input should be a valid integer"),
        ({"limit": ""}, "Input should be a valid integer"),
        ({"offset": -1}, "Input should be greater than or equal to 0"),
        ({"order_by": "name"}, "Extra inputs are not permitted"),
    ],
)
def test_a_page_outside_the_limits_is_refused(api, query, message: str) -> None:
    error = api.refused(400, "GET", "api_keys", **query)
    assert error["invalid_fields"] == {next(iter(query)): [message]}
