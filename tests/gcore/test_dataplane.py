"""Asking an endpoint itself: what each answer says, where a secret may go, and that none is ever shown."""

from __future__ import annotations

import socket
import ssl
import time

import httpx
import pytest
from support.http_fakes import ScriptedEffects, answer
from support.proxies import ANSWER, answering, make_certificate, over_tls, read_head, serving

from reconciler.effects import System
from reconciler.gcore.dataplane import ask_endpoint
from reconciler.model import Secret
from reconciler.model.verification import Admission, Reply

ADDRESS = "https://llama3.inference.example.com"
SECRET = Secret("cAnArY/secret+of=tests")
HTML = "<html><body>Sign in</body></html>"


def ask(
    *steps: httpx.Response | Exception, address: str = ADDRESS, secret: Secret | None = SECRET, **options: bool
) -> Reply:
    effects = ScriptedEffects(*steps)
    reply = ask_endpoint(effects, address, secret, timeout=7, **options)
    assert "cAnArY" not in repr(reply)
    return reply


def test_the_list_of_models_is_asked_for_with_the_secret_in_the_documented_header() -> None:
    effects = ScriptedEffects(answer(200, {"object": "list", "data": []}))
    reply = ask_endpoint(effects, f"{ADDRESS}/", SECRET, timeout=7)
    assert (reply.admission, reply.status) == (Admission.ADMITTED, 200)
    (request,) = effects.sent
    assert (request.method, str(request.url)) == ("GET", f"{ADDRESS}/v1/models")
    assert request.headers["X-API-Key"] == SECRET.reveal()
    assert "Authorization" not in request.headers
    assert request.extensions == {"timeout": {"whole": 7}, "longest_body": 65536}


def test_without_a_key_no_header_speaks_of_one() -> None:
    effects = ScriptedEffects(answer(401))
    assert ask_endpoint(effects, ADDRESS, None, timeout=7).admission is Admission.REFUSED
    assert not {"X-API-Key", "Authorization", "Cookie"} & set(effects.sent[0].headers)


def test_an_address_without_a_scheme_is_called_over_https() -> None:
    effects = ScriptedEffects(answer(401))
    ask_endpoint(effects, "llama3.example.com", SECRET, timeout=7)
    assert str(effects.sent[0].url) == "https://llama3.example.com/v1/models"


@pytest.mark.parametrize(
    ("given", "admission", "is_transient"),
    [
        (answer(200, {"data": []}), Admission.ADMITTED, False),
        (answer(200, text=HTML), Admission.BEYOND, False),
        (answer(204, text=""), Admission.BEYOND, False),
        (answer(400, {}), Admission.BEYOND, False),
        (answer(404, {"detail": "Not Found"}), Admission.BEYOND, False),
        (answer(404, text=HTML), Admission.BEYOND, False),
        (answer(405), Admission.BEYOND, False),
        (answer(422), Admission.BEYOND, False),
        (answer(401, {"error": {}}), Admission.REFUSED, False),
        (answer(401, text=HTML), Admission.REFUSED, False),
        (answer(403), Admission.UNCLEAR, False),
        (answer(302, headers={"Location": "https://elsewhere.example.com"}), Admission.UNCLEAR, False),
        (answer(307, headers={"Location": "/v1/models/"}), Admission.UNCLEAR, False),
        (answer(408), Admission.UNCLEAR, True),
        (answer(429), Admission.UNCLEAR, True),
        (answer(500), Admission.UNCLEAR, True),
        (answer(502, text=HTML), Admission.UNCLEAR, True),
        (answer(503), Admission.UNCLEAR, True),
        (httpx.ConnectError(""), Admission.UNCLEAR, True),
        (httpx.ReadTimeout(""), Admission.UNCLEAR, True),
        (httpx.RemoteProtocolError(""), Admission.UNCLEAR, True),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), Admission.UNCLEAR, False),
    ],
    ids=lambda value: str(getattr(value, "status_code", value)),
)
def test_what_an_answer_says(given: httpx.Response | Exception, admission: Admission, is_transient: bool) -> None:
    reply = ask(given)
    assert (reply.admission, reply.is_transient) == (admission, is_transient)
    assert reply.detail


@pytest.mark.parametrize(
    ("said", "seconds"), [("17", 17), ("Sat, 21 Nov 2026 10:00:30 GMT", 30), ("soon", None), ("", None)]
)
def test_a_retry_after_is_heard(said: str, seconds: float | None) -> None:
    assert ask(answer(503, headers={"Retry-After": said})).retry_after == seconds


def test_a_redirect_is_not_followed() -> None:
    effects = ScriptedEffects(answer(307, headers={"Location": "https://elsewhere.example.com"}), answer(200, {}))
    reply = ask_endpoint(effects, ADDRESS, SECRET, timeout=7)
    assert reply.detail == "returned a redirect, which keyform does not follow (status 307)"
    assert len(effects.sent) == 1


@pytest.mark.parametrize(
    "address",
    [
        "http://llama3.example.com",
        "http://10.0.0.7:8080",
        "http://localhost.example.com",
        "https://user:password@llama3.example.com",
        "https://llama3.example.com?next=",
        "https://llama3.example.com/#x",
        "ftp://llama3.example.com",
        "file:///etc/passwd",
        "https://",
        "https://llama3.example.com:99999",
        "https://[::1",
        "https://llama3.example.com\\@elsewhere",
        "https://llama3.example.com /x",
        "https://llama3\r\nX-Evil: 1",
        "",
    ],
)
@pytest.mark.parametrize("secret", [SECRET, None])
def test_an_address_that_a_secret_must_not_go_to_is_not_called(address: str, secret: Secret | None) -> None:
    effects = ScriptedEffects(answer(200, {}))
    reply = ask_endpoint(effects, address, secret, timeout=7)
    assert (reply.admission, reply.is_transient, effects.sent) == (Admission.UNCLEAR, False, [])
    assert "address" in reply.detail
    assert "password" not in reply.detail


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x", "http://localhost:9", "http://[::1]:9"])
def test_this_machine_may_be_called_over_plain_http_where_the_api_is_on_it(address: str) -> None:
    assert ask(answer(401), address=address, api_is_here=True).admission is Admission.REFUSED
    reply = ask(answer(401), address=address)
    assert (reply.admission, reply.detail) == (
        Admission.UNCLEAR,
        "has an address that is not https, and was not called",
    )


@pytest.mark.parametrize("value", ["cAnArY\r\nX-Evil: 1", "cAnArY\x00", "cAnArY-ключ", " cAnArY", "cAnArY\n"])
def test_a_secret_that_no_header_can_hold_is_not_sent(value: str) -> None:
    effects = ScriptedEffects(answer(200, {}))
    reply = ask_endpoint(effects, ADDRESS, Secret(value), timeout=7)
    assert effects.sent == []
    assert reply.detail == "was not called: the secret contains characters that a request cannot contain"


# --- Over real connections --------------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_given_up_in_time() -> None:
    def silent(connection: socket.socket) -> None:
        read_head(connection)
        connection.recv(1)

    effects = System()
    begun = time.monotonic()
    with serving(silent) as port:
        reply = ask_endpoint(effects, f"http://127.0.0.1:{port}", SECRET, timeout=0.3, api_is_here=True)
    effects.close()
    assert time.monotonic() - begun < 5
    assert reply == Reply(
        Admission.UNCLEAR,
        detail="could not be reached: it did not answer within 0.3 seconds",
        is_transient=True,
    )


def test_nothing_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    effects = System()
    reply = ask_endpoint(effects, f"http://127.0.0.1:{port}", SECRET, timeout=2, api_is_here=True)
    effects.close()
    assert (reply.detail, reply.is_transient) == ("could not be reached: it refused the connection", True)


def test_a_certificate_that_is_not_trusted_keeps_the_secret_here(
    tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, trusted = make_certificate(tmp_path, "localhost")  # type: ignore[arg-type]
    heads: list[bytes] = []
    with serving(over_tls(answering(ANSWER, heads=heads), both)) as port:
        effects = System()
        reply = ask_endpoint(effects, f"https://localhost:{port}", SECRET, timeout=5, api_is_here=True)
        effects.close()
        assert heads == []
        assert not reply.is_transient
        assert reply.detail.startswith("could not be reached: its TLS certificate is not trusted")
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        effects = System()
        reply = ask_endpoint(effects, f"https://localhost:{port}", SECRET, timeout=5, api_is_here=True)
        effects.close()
    assert reply.admission is Admission.ADMITTED
    assert b"X-API-Key: cAnArY/secret+of=tests\r\n" in heads[0]
