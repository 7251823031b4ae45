"""What a user reads when the API, or the way to it, fails: a sentence, and a way out."""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any

import httpx
import pytest
from support.http_fakes import Step, answer, refusal, scripted_api

from reconciler.errors import ApiError, Forbidden, NotAuthenticated, NotFound, UnexpectedAnswer

CASES: dict[str, tuple[Step, str]] = {
    "the token is not accepted": (
        refusal(401, "Token 1234$0badca... is unknown"),
        (
            "The API did not accept the token in GCORE_API_KEY (status 401, request req-1).\n"
            "  Check that it is complete and not expired or revoked, or create another in the Gcore portal."
        ),
    ),
    "a quota is used up": (
        refusal(403, "Quota of api keys exceeded"),
        (
            "The token has no permission to create key payments (status 403, request req-1)."
            ' It says: "Quota of api keys exceeded"\n'
            "  Give the token a role with this permission in the project, or raise the exceeded quota."
        ),
    ),
    "a firewall forbids": (
        answer(403, text="<html>blocked</html>"),
        (
            "Could not create key payments: api.gcore.com answered with HTML and status 403: something else answers at"
            " this address (a proxy or login page?).\n"
            "  Check GCORE_BASE_URL, and any proxy on the way."
        ),
    ),
    "there is no such project": (
        refusal(404, "Project not found"),
        (
            "There is no project 1234, or this token cannot access it (status 404, request req-1)."
            ' It says: "Project not found"\n'
            "  Check `project` in the file (or GCORE_CLOUD_PROJECT_ID), and that the token belongs to it."
        ),
    ),
    "the name is taken": (
        refusal(409, "API key already exists"),
        (
            "The API refused to create key payments: it conflicts with what is live (status 409, request req-1)."
            ' It says: "API key already exists"\n'
            "  Run plan again to see what is live now."
        ),
    ),
    "a field is not valid": (
        refusal(400, "Validation error", invalid_fields={"expires_at": ["in the past"], "name": ["bad"]}),
        (
            "The API refused to create key payments (status 400, request req-1)."
            ' It says: "Validation error" Fields: expires_at, name.\n'
            "  Fix the cause, and run keyform again."
        ),
    ),
    "fields in another form": (
        refusal(422, "Validation error", invalid_fields=["name", {"field": "expires_at"}, {"loc": 1}, 7]),
        (
            "The API refused to create key payments (status 422, request req-1)."
            ' It says: "Validation error" Fields: name, expires_at.\n'
            "  Fix the cause, and run keyform again."
        ),
    ),
    "the short form of an error": (
        answer(400, {"code": 17, "message": "bad"}, headers={"X-Request-Id": "edge-7"}),
        (
            'The API refused to create key payments (status 400, request edge-7). It says: "bad"\n'
            "  Fix the cause, and run keyform again."
        ),
    ),
    "too many requests": (
        refusal(429, "slow down"),
        (
            "The API refused to create key payments: too many requests (status 429, request req-1)."
            ' It says: "slow down"\n'
            "  Wait a moment and run keyform again, or lower --parallelism."
        ),
    ),
    "the API fails": (
        refusal(500, "Traceback (most recent call last)\n  boom"),
        (
            "The API failed to create key payments (status 500, request req-1)."
            ' It says: "Traceback (most recent call last) boom"\n'
            "  Run keyform again: it continues from the live state."
        ),
    ),
    "a gateway fails, in HTML": (
        answer(502, text="<html>Bad Gateway</html>"),
        "The API failed to create key payments (status 502).\n  Run keyform again: it continues from the live state.",
    ),
    "another site answers": (
        answer(200, text="<!doctype html><title>Welcome</title>"),
        (
            "Could not create key payments: api.gcore.com returned HTML, not JSON.\n"
            "  Check GCORE_BASE_URL, and any proxy on the way."
        ),
    ),
    "another site redirects": (
        answer(301, text="", headers={"location": "https://www.example.com/"}),
        (
            "Could not create key payments: api.gcore.com returned a redirect or another interim status (301).\n"
            "  Check GCORE_BASE_URL, and any proxy on the way."
        ),
    ),
    "the answer is cut short": (
        answer(200, text='{"name": "payments", "secret": "hush'),
        (
            "Could not create key payments: api.gcore.com returned a body that is not JSON, or was cut short.\n"
            "  Run keyform again: it continues from the live state."
        ),
    ),
    "the answer is empty": (
        answer(200, text=""),
        (
            "The API's answer about key payments has an unexpected format: it is not an object.\n"
            "  Check that GCORE_BASE_URL is right. If it is, the API has changed: update keyform, or report this."
        ),
    ),
    "a field is missing": (
        answer(200, {"name": "payments", "description": None, "secret": "hush", "expires_at": None}),
        (
            "The API's answer about key payments has an unexpected format: 'created_at' is missing.\n"
            "  Check that GCORE_BASE_URL is right. If it is, the API has changed: update keyform, or report this."
        ),
    ),
    "it does not answer in time": (
        httpx.ReadTimeout("timed out"),
        (
            "The API at api.gcore.com could not be reached to create key payments: it did not answer in time.\n"
            "  Run keyform again: it continues from the live state."
        ),
    ),
    "it cannot be connected to in time": (
        httpx.ConnectTimeout("timed out"),
        (
            "The API at api.gcore.com could not be reached to create key payments: could not connect in"
            " time.\n"
            "  Check the network. Check GCORE_BASE_URL, and any proxy on the way."
        ),
    ),
    "the connection breaks": (
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
        (
            "The API at api.gcore.com could not be reached to create key payments: the connection was lost.\n"
            "  Run keyform again: it continues from the live state."
        ),
    ),
    "the header is not one": (
        httpx.LocalProtocolError("Illegal header value b'APIKey 1234$0badcafe/42+management=token'"),
        (
            "The API at api.gcore.com could not be reached to create key payments: the request is not valid HTTP.\n"
            "  Check GCORE_API_KEY for stray characters."
        ),
    ),
    "the certificates are not there": (
        FileNotFoundError("/nowhere.pem"),
        (
            "The API at api.gcore.com could not be reached to create key payments: the trusted certificates cannot be"
            " read.\n"
            "  Check SSL_CERT_FILE and SSL_CERT_DIR."
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_failed_create_tells_what_is_wrong_and_what_to_do(case: str) -> None:
    step, told = CASES[case]
    assert failure_of_create(step).diagnostics() == told


BODIES = {
    "HTML": {"text": "<html>blocked</html>"},
    "an empty body": {"text": ""},
    "something that is not the API's JSON": {"text": "Access denied"},
}


@pytest.mark.parametrize(("status", "form"), [(401, "HTML"), (403, "HTML"), *((404, form) for form in BODIES)], ids=str)
def test_the_refusal_of_a_login_page_says_nothing_of_token_project_or_rights(status: int, form: str) -> None:
    error = failure_of_create(answer(status, **BODIES[form]))
    assert type(error) is UnexpectedAnswer
    assert error.message == (
        f"Could not create key payments: api.gcore.com answered with {form} and status {status}: something else answers"
        " at this address (a proxy or login page?)."
    )
    assert error.effect_is_unknown, "a proxy may have changed the answer, and not the request"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"detail": "Not Found"},
        {"error": {"code": 403}},
        {"exception_class": "X", "message": "no"},
        {"code": "x", "message": "no"},
    ],
)
@pytest.mark.parametrize(("status", "kind"), [(401, NotAuthenticated), (403, Forbidden), (404, NotFound)])
def test_a_refusal_in_json_is_the_api_s_whatever_its_form(
    status: int, kind: type[ApiError], body: dict[str, Any]
) -> None:
    assert type(failure_of_create(answer(status, body))) is kind


def failure_of_create(step: Step) -> ApiError:
    api, _ = scripted_api(step)
    with pytest.raises(ApiError) as caught:
        api.create_key("payments", "x", None)
    return caught.value


def caused_by(cause: BaseException) -> httpx.ConnectError:
    """As httpx tells it: its own exception, around httpcore's, around the system's."""
    failure = httpx.ConnectError(str(cause))
    failure.__cause__ = RuntimeError("as httpcore says")
    failure.__cause__.__context__ = cause
    return failure


def untrusted() -> ssl.SSLCertVerificationError:
    failure = ssl.SSLCertVerificationError(1, "certificate verify failed")
    failure.verify_message = "self-signed certificate"
    return failure


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "it refused the connection"),
        (socket.gaierror(-2, "Name or service not known"), "its name cannot be resolved"),
        (untrusted(), "its TLS certificate is not trusted (self-signed certificate)"),
        (ssl.SSLError(1, "wrong version number"), "TLS could not be set up"),
        (OSError(101, "Network is unreachable"), "no connection was made"),
    ],
    ids=["refused", "unresolved", "untrusted", "TLS", "other"],
)
def test_why_there_is_no_connection_is_told(cause: BaseException, reason: str) -> None:
    error = failure_of_create(caused_by(cause))
    assert error.message == f"The API at api.gcore.com could not be reached to create key payments: {reason}."
    assert not error.effect_is_unknown


def test_a_certificate_that_is_not_trusted_is_not_tried_again() -> None:
    api, effects = scripted_api(caused_by(untrusted()))
    with pytest.raises(ApiError):
        api.list_keys()
    assert len(effects.sent) == 1


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07alert\x07 \x9b2Jclear", "red alert clear"),
        ("a\u202egnp.exe\u200b", "agnp.exe"),
        ("two\r\nlines\t and\x00 more", "two lines and more"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("x" * 299 + "yz", "x" * 299 + "…"),
        ("x" * 10_000_000, "x" * 299 + "…"),
    ],
    ids=["terminal codes", "directions", "lines", "surrogates", "301 characters", "a flood"],
)
def test_what_the_api_says_is_one_harmless_line_of_at_most_300_characters(said: str, shown: str) -> None:
    error = failure_of_create(answer(400, text=json.dumps({"message": said})))
    assert f'It says: "{shown}"' in error.message
    error.message.encode()


@pytest.mark.parametrize("request_id", ["a b", "x" * 101, "\x1b[31m", 7, None, {"a": 1}], ids=repr)
def test_a_request_id_that_is_none_is_not_shown(request_id: Any) -> None:
    error = failure_of_create(answer(400, {"message": "no", "request_id": request_id}))
    assert (error.request_id, "request" in error.message) == ("", False)
