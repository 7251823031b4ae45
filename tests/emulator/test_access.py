"""Who may call the API, and what the paths are."""

from __future__ import annotations

import pytest

from reconciler.emulator import Request
from reconciler.emulator.seeding import DEPLOYMENT as SETTINGS

DEPLOYMENT = {"name": "another", **SETTINGS}


def _get(api, **headers: str) -> int:
    path = f"/cloud/v3/inference/{api.project}/api_keys"
    status: int = api.emulator.respond(Request("GET", path, headers=headers)).status
    return status


@pytest.mark.parametrize("scheme", ["APIKey", "apikey", "ApiKey", "APIKEY"])
def test_the_word_before_a_token_is_read_in_any_case(api, scheme: str) -> None:
    assert _get(api, Authorization=f"{scheme} {api.token}") == 200


def test_the_names_of_headers_are_read_in_any_case(api) -> None:
    assert _get(api, authorization=f"APIKey {api.token}") == 200
    assert _get(api, AUTHORIZATION=f"APIKey {api.token}") == 200


@pytest.mark.parametrize(
    "value", ["", "APIKey", "APIKey wrong", "Bearer 1234$management", "1234$management", "Basic x"]
)
def test_without_a_valid_token_every_call_is_401(api, value: str) -> None:
    assert _get(api, Authorization=value) == 401
    assert _get(api) == 401


def test_a_401_is_the_documented_error_and_says_nothing_about_the_token(api) -> None:
    api.token = "not-a-token"
    error = api.refused(401, "GET", "api_keys")
    assert sorted(error) == ["exception_class", "message", "request_id"]
    assert "not-a-token" not in str(error)


def test_another_teams_project_is_forbidden_and_one_that_is_not_is_not_found(api) -> None:
    api.project = 5678
    assert api.refused(403, "GET", "api_keys")["exception_class"] == "ForbiddenError"
    assert api.refused(403, "POST", "api_keys", {"name": "payments"})["message"] == "Access to project 5678 is denied"
    api.project = 999
    assert api.refused(404, "GET", "api_keys")["exception_class"] == "NotFoundError"


def test_a_token_may_open_several_projects(api) -> None:
    api.emulator.grant({"both": [1234, 5678]})
    api.token = "both"
    api.key("payments")
    api.project = 5678
    assert api.ok("GET", "api_keys")["count"] == 0


def test_a_token_that_may_only_read_is_forbidden_every_write_and_changes_nothing(api) -> None:
    api.key("payments")
    before = api.emulator.dump()
    api.emulator.grant({"reader": {"projects": [1234], "role": "read"}})
    granted = api.emulator.dump()
    assert granted != before
    api.token = "reader"
    for path in ("api_keys", "api_keys/payments", "deployments", "deployments/llama3"):
        assert api.ok("GET", path)
    assert api.ok("GET", "/cloud/v1/tasks", project_id=1234)["count"] >= 0
    writes = [
        ("POST", "api_keys", {"name": "another"}),
        ("POST", "api_keys", {"no": "such field"}),
        ("PATCH", "api_keys/payments", {"description": "mine"}),
        ("DELETE", "api_keys/payments", None),
        ("DELETE", "api_keys/no-such-key", None),
        ("POST", "deployments", DEPLOYMENT),
        ("PATCH", "deployments/llama3", {"api_keys": ["payments"]}),
        ("DELETE", "deployments/llama3", None),
    ]
    for method, path, body in writes:
        error = api.refused(403, method, path, body)
        assert error["exception_class"] == "ForbiddenError"
        assert "reader" not in str(error)
    assert api.app("PATCH", "/webui", {"api_keys": []}).status == 403
    assert api.emulator.dump() == granted


def test_a_role_is_one_of_one_project(api) -> None:
    api.emulator.grant({"mixed": {"projects": [1234], "role": "read"}})
    api.emulator.grant({"mixed": [5678]})
    api.token = "mixed"
    api.refused(403, "POST", "api_keys", {"name": "payments"})
    api.project = 5678
    api.key("payments")
    with pytest.raises(ValueError, match="role"):
        api.emulator.grant({"mixed": {"projects": [1234], "role": "admin"}})


def test_a_project_that_is_no_number_is_a_validation_error(api) -> None:
    api.project = "mine"
    assert api.refused(400, "GET", "api_keys")["invalid_fields"] == {"project_id": ["Input should be a valid integer"]}


def test_an_unknown_path_is_404_and_a_wrong_method_405(api) -> None:
    assert api.call("GET", "/cloud/v9/inference/api_keys").status == 404
    assert api.call("GET", "/").status == 404
    assert api.call("PUT", "api_keys/payments").status == 405
    assert api.refused(405, "DELETE", "api_keys")["message"] == "HTTP 405: Method Not Allowed"


def test_a_body_that_is_not_json_is_a_validation_error(api) -> None:
    path = f"/cloud/v3/inference/{api.project}/api_keys"
    headers = {"Authorization": f"APIKey {api.token}"}
    for body in (b"", b"{", b"\xff\xfe\x00"):
        answer = api.emulator.respond(Request("POST", path, headers=headers, body=body))
        assert answer.status == 400
        assert answer.json()["invalid_fields"] == {"body": ["Request body is not valid JSON"]}


def test_a_request_shows_neither_its_headers_nor_its_body_when_printed() -> None:
    request = Request.build("POST", "/x", token="hush-token", json_body={"secret": "hush-body"})
    assert "hush" not in repr(request)
