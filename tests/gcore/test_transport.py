"""The way to the API over real sockets: time limits, proxies, certificates."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import httpx
import pytest
from support.http_fakes import Hasty, make_api
from support.proxies import answering, make_certificate, over_tls, proxying, read_head, serving

from reconciler.effects import System
from reconciler.errors import ApiError, ApiUnreachable, Interrupted

HOST = "api.keyform.test"
PASSWORD = "hunter2-of-the-proxy"

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("certificate"), HOST)


@pytest.fixture
def tls_server(certificate: tuple[Path, Path]) -> Iterator[int]:
    with serving(over_tls(answering(), certificate[0])) as port:
        yield port


def check(base_url: str, *, request_timeout: float = 5.0) -> None:
    effects = Hasty(request_timeout=request_timeout)
    try:
        make_api(effects, base_url=base_url).check()
    finally:
        effects.close()


def failure(base_url: str, *, request_timeout: float = 5.0) -> ApiUnreachable:
    with pytest.raises(ApiUnreachable) as caught:
        check(base_url, request_timeout=request_timeout)
    return caught.value


# --- Time -------------------------------------------------------------------------------------------------------------


def test_a_server_that_is_silent_is_given_up_after_the_request_timeout() -> None:
    def silent(connection: socket.socket) -> None:
        while read_head(connection):
            pass

    with serving(silent) as port:
        begun = time.monotonic()
        error = failure(f"http://127.0.0.1:{port}", request_timeout=0.1)
    assert error.message == (
        f"The API at 127.0.0.1:{port} could not be reached to list keys: it did not answer within 0.1 seconds."
    )
    assert 0.4 < time.monotonic() - begun < 4


def test_an_answer_that_trickles_in_for_ever_is_given_up_after_the_request_timeout() -> None:
    def trickling(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            connection.sendall(b" ")
            time.sleep(0.01)

    with serving(trickling) as port:
        error = failure(f"http://127.0.0.1:{port}", request_timeout=0.2)
    assert error.message.endswith("its answer was not complete within 0.2 seconds.")


def test_a_connection_that_is_not_made_is_given_up_after_five_seconds_or_the_request_timeout() -> None:
    # A listener with a full backlog: the system leaves further connections unanswered.
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        port = listener.getsockname()[1]
        error = failure(f"http://127.0.0.1:{port}", request_timeout=0.2)
    assert error.message.endswith("could not connect within 0.2 seconds.")


# --- Proxies ----------------------------------------------------------------------------------------------------------


@needs_openssl
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_https_goes_through_the_environments_proxy(
    variable: str, tls_server: int, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []
    with serving(proxying(tls_server, heads=heads)) as port:
        monkeypatch.setenv(variable, f"http://user:{PASSWORD}@127.0.0.1:{port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
        check(f"https://{HOST}")
    assert heads[0].startswith(f"CONNECT {HOST}:443 HTTP/1.1".encode())
    assert b"proxy-authorization: basic" in heads[0].lower()
    assert b"APIKey" not in heads[0]


@needs_openssl
def test_a_proxy_may_be_named_without_its_scheme(
    tls_server: int, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []
    with serving(proxying(tls_server, heads=heads)) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
        check(f"https://{HOST}")
    assert len(heads) == 1


@pytest.mark.parametrize("exempt", [HOST, ".keyform.test", "other.test, keyform.test", "*"])
def test_hosts_of_no_proxy_are_asked_directly(exempt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []
    with serving(proxying(1, heads=heads)) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", exempt)
        assert "its name cannot be resolved" in failure(f"https://{HOST}").message
    assert heads == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_never_asked_for_through_a_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with serving(answering()) as port:
        check(f"http://{host}:{port}")


@pytest.mark.parametrize(
    ("status", "attempts"), [("407 Proxy Authentication Required", 1), ("403 Forbidden", 1), ("502 Bad Gateway", 5)]
)
def test_what_a_proxy_says_is_told_and_only_a_gateways_trouble_is_waited_out(
    status: str, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[bytes] = []
    with serving(proxying(1, heads=heads, refuses=f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@127.0.0.1:{port}")
        error = failure(f"https://{HOST}")
    assert error.diagnostics() == (
        f"The API at {HOST} could not be reached through the proxy 127.0.0.1:{port} to list keys:"
        f" the proxy did not connect it ({status}).\n  Check HTTPS_PROXY and NO_PROXY."
    )
    assert len(heads) == attempts


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@127.0.0.1:1")
    assert failure(f"https://{HOST}").message == (
        f"The API at {HOST} could not be reached through the proxy 127.0.0.1:1 to list keys: it refused the connection."
    )


@pytest.mark.parametrize(
    "proxy",
    [
        f"ftp://user:{PASSWORD}@127.0.0.1",
        f"http://user:{PASSWORD}#@127.0.0.1",
        "http://user:2#2@proxy",
        "socks5://proxy",
    ],
)
def test_a_proxy_that_is_none_is_an_error_that_does_not_repeat_it(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    error = failure(f"https://{HOST}")
    assert "the proxy did not connect it (" in error.message
    assert PASSWORD not in error.diagnostics()
    assert ":2" not in error.diagnostics()
    assert (error.effect_is_unknown, error.__context__) == (False, None)


# --- Certificates -----------------------------------------------------------------------------------------------------


@needs_openssl
def test_a_certificate_of_ones_own_is_trusted_when_ssl_cert_file_names_it(
    tls_server: int, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(proxying(tls_server, heads=[])) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        error = failure(f"https://{HOST}")
        assert "its TLS certificate is not trusted (self-signed certificate)" in error.message
        assert "set SSL_CERT_FILE to its certificates" in error.way_out
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
        check(f"https://{HOST}")
        with pytest.raises(ApiError, match="its TLS certificate is not trusted"):
            check("https://another.keyform.test")


@needs_openssl
def test_certificates_are_read_once_and_only_for_https(
    tls_server: int, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/there-are-none.pem")
    with serving(answering()) as plain:
        check(f"http://127.0.0.1:{plain}")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
    effects, client = Hasty(), httpx.Client()
    with (
        mock.patch("httpx.create_ssl_context", wraps=httpx.create_ssl_context) as reads,
        serving(proxying(tls_server, heads=[])) as port,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        for method in ("GET", "POST", "GET"):
            assert effects.send(client.build_request(method, f"https://{HOST}/")).status_code == 200
    effects.close()
    assert reads.call_count == 1


@needs_openssl
def test_a_request_that_is_under_way_through_a_proxy_can_be_broken_off(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    effects = System(request_timeout=20.0)

    def silent(connection: socket.socket) -> None:
        read_head(connection)
        effects.abandon()
        connection.recv(1)

    begun = time.monotonic()
    with (
        serving(over_tls(silent, certificate[0])) as tls_port,
        serving(proxying(tls_port, heads=[])) as port,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
        with pytest.raises(Interrupted):
            make_api(effects, base_url=f"https://{HOST}").check()
    effects.close()
    assert time.monotonic() - begun < 10
