"""Whatever a server, a proxy or an endpoint answers: it gets no more time and no more bytes than an exchange has."""

from __future__ import annotations

import gzip
import itertools
import json
import shutil
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.http_fakes import Hasty, key_json, make_api, page_json, write_list
from support.proxies import ANSWER, EMPTY_PAGE, Serve, answering, make_certificate, over_tls, read_head, serving

from reconciler.effects import System
from reconciler.errors import ApiError, ApiFailed, ApiUnreachable, ConfigError, NotAuthenticated, UnexpectedAnswer
from reconciler.gcore import GcoreApi
from reconciler.gcore.dataplane import ask_endpoint
from reconciler.gcore.exchange import ATTEMPTS
from reconciler.model import EndpointKind, EndpointRef, Secret
from reconciler.model.verification import Admission, Reply

SECRET = Secret("cAnArY/secret+of=tests")
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MB = 1024 * 1024

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Server:
    """Sends the same pieces on every connection, and counts connections, requests and bytes."""

    def __init__(self, pieces: Callable[[], Iterable[bytes]], *, pause: float = 0.0) -> None:
        self.pieces = pieces
        self.pause = pause
        self.heads: list[bytes] = []
        self.sent = 0

    def __call__(self, connection: socket.socket) -> None:
        while head := read_head(connection):
            self.heads.append(head)
            for piece in self.pieces():
                connection.sendall(piece)
                self.sent += len(piece)
                time.sleep(self.pause)


@contextmanager
def api_at(base_url: str, *, request_timeout: float = 20.0) -> Iterator[GcoreApi]:
    effects = Hasty(request_timeout=request_timeout)
    try:
        yield make_api(effects, base_url=base_url)
    finally:
        effects.close()


def failure_of(serve: Serve, *, request_timeout: float = 20.0) -> ApiError:
    with serving(serve) as port, api_at(f"http://127.0.0.1:{port}", request_timeout=request_timeout) as api:
        with pytest.raises(ApiError) as caught:
            api.check()
        assert "cAnArY" not in caught.value.diagnostics()
        return caught.value


def reply_of(serve: Serve, *, timeout: float = 20.0) -> Reply:
    effects = System()
    try:
        with serving(serve) as port:
            return ask_endpoint(effects, f"http://127.0.0.1:{port}", SECRET, api_is_here=True, timeout=timeout)
    finally:
        effects.close()


def bytes_of(text: bytes) -> Callable[[], Iterator[bytes]]:
    """A text byte by byte."""
    return lambda: (text[place : place + 1] for place in range(len(text)))


def endless(begin: bytes, *again: bytes) -> Callable[[], Iterator[bytes]]:
    """A beginning, and then the same pieces forever."""
    return lambda: itertools.chain([begin], itertools.cycle(again))


# --- One limit of time for all of it ----------------------------------------------------------------------------------

DRIPS: dict[str, Callable[[], Iterable[bytes]]] = {
    "the status line": bytes_of(HEAD + b" " * 10_000),
    "a header's value": endless(HEAD + b"X-Slow: ", b"x"),
    "header lines": endless(HEAD, b"X-Slow: x\r\n"),
    "interim answers": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "early hints": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    "a body that names its length": endless(HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "a body up to the end": endless(HEAD + b"\r\n", b" "),
    "chunks": endless(CHUNKED, b"1\r\n \r\n"),
    "a chunk's size": endless(CHUNKED, b"0"),
    "a chunk's extension": endless(CHUNKED + b"1;x=", b"x"),
    "trailers": endless(CHUNKED + b"0\r\n", b"X-Slow: x\r\n"),
    "a compressed body": endless(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b" "), b"x"),
}
drips = pytest.mark.parametrize("pieces", DRIPS.values(), ids=DRIPS)


@pytest.mark.attack("API or proxy")
@drips
def test_an_answer_of_the_api_that_drips_is_given_up_in_time(pieces: Callable[[], Iterable[bytes]]) -> None:
    server = Server(pieces, pause=0.02)
    begun = time.monotonic()
    error = failure_of(server, request_timeout=0.2)
    assert isinstance(error, ApiUnreachable)
    assert error.message.endswith("within 0.2 seconds.")
    assert len(server.heads) == ATTEMPTS
    assert time.monotonic() - begun < 4


@pytest.mark.attack("endpoint owner")
@drips
def test_an_answer_of_an_endpoint_that_drips_is_given_up_in_time(pieces: Callable[[], Iterable[bytes]]) -> None:
    begun = time.monotonic()
    reply = reply_of(Server(pieces, pause=0.02), timeout=0.2)
    assert (reply.admission, reply.status) in ((Admission.UNCLEAR, None), (Admission.BEYOND, 200))
    assert time.monotonic() - begun < 2


@pytest.mark.attack("API or proxy")
@pytest.mark.attack("endpoint owner")
def test_a_status_counts_though_its_body_never_ends() -> None:
    pieces = endless(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 1000000\r\n\r\n", b" ")
    assert isinstance(failure_of(Server(pieces, pause=0.02), request_timeout=0.3), NotAuthenticated)
    assert reply_of(Server(pieces, pause=0.02), timeout=0.3).admission is Admission.REFUSED


@pytest.mark.attack("API or proxy")
def test_a_request_that_is_taken_byte_by_byte_is_given_up_in_time() -> None:
    def sipping(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while connection.recv(64):
            time.sleep(0.02)

    names = [f"key-{number:050}" for number in range(100_000)]
    begun = time.monotonic()
    with serving(sipping) as port, api_at(f"http://127.0.0.1:{port}", request_timeout=0.5) as api:
        with pytest.raises(ApiUnreachable, match=r"it did not accept the request within 0\.5 seconds") as caught:
            write_list(api, EndpointRef(EndpointKind.DEPLOYMENT, "llama3"), names)
        assert caught.value.effect_is_unknown
    assert time.monotonic() - begun < 4


@pytest.mark.attack("API or proxy")
def test_a_name_with_many_dead_addresses_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        dead = (socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [dead] * 1000)
        begun = time.monotonic()
        with api_at("https://api.keyform.test", request_timeout=0.2) as api, pytest.raises(ApiUnreachable):
            api.check()
    assert time.monotonic() - begun < 4


def dripping_to(port: int, *, at_once: int = 0) -> Serve:
    """Passes on what a server sends, byte by byte after the first bytes."""

    def serve(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as target:
            threading.Thread(target=_pour, args=(connection, target), daemon=True).start()
            left = at_once
            while piece := target.recv(left or 1):
                connection.sendall(piece)
                left = max(0, left - len(piece))
                if not left:
                    time.sleep(0.02)

    return serve


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("certificate"), "localhost")


@needs_openssl
@pytest.mark.attack("API or proxy")
def test_a_tls_handshake_that_drips_is_given_up_in_time(certificate: tuple[Path, Path]) -> None:
    begun = time.monotonic()
    with (
        serving(over_tls(answering(), certificate[0])) as behind,
        serving(dripping_to(behind)) as port,
        api_at(f"https://localhost:{port}", request_timeout=0.3) as api,
        pytest.raises(ApiUnreachable, match=r"could not connect within 0\.3 seconds"),
    ):
        api.check()
    assert time.monotonic() - begun < 4


@pytest.mark.attack("API or proxy")
@drips
def test_a_proxy_s_answer_that_drips_is_given_up_in_time(
    pieces: Callable[[], Iterable[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(pieces, pause=0.02)
    begun = time.monotonic()
    with serving(server) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with api_at("https://api.keyform.test", request_timeout=0.2) as api, pytest.raises(ApiUnreachable):
            api.check()
    assert b"APIKey" not in b"".join(server.heads)
    assert time.monotonic() - begun < 4


def through_tls_proxy(port: int, certificate: Path, *, at_once: int) -> Serve:
    """A proxy for CONNECT that itself uses TLS, and drips."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            read_head(encrypted)
            encrypted.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            dripping_to(port, at_once=at_once)(encrypted)

    return serve


@needs_openssl
@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("drips_after", [10, 500, 1 << 30])
def test_tls_through_a_tls_proxy_works_and_is_given_up_in_time(
    drips_after: int, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = time.monotonic()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
    whole = drips_after > 10_000
    with (
        serving(over_tls(answering(), certificate[0])) as behind,
        serving(through_tls_proxy(behind, certificate[0], at_once=drips_after)) as port,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"https://localhost:{port}")
        # Not "localhost", which is never asked for through a proxy.
        monkeypatch.setattr("reconciler.transport.is_loopback", lambda _: False)
        with api_at("https://localhost", request_timeout=10 if whole else 0.4) as api:
            if whole:
                api.check()
                api.check()
            else:
                with pytest.raises(ApiUnreachable, match=r"within 0\.4 seconds"):
                    api.check()
    assert time.monotonic() - begun < 6


# --- One limit of bytes for all of it ---------------------------------------------------------------------------------

BLOCK = b"x" * 65536
FLOODS: dict[str, Callable[[], Iterable[bytes]]] = {
    "one header": endless(HEAD + b"X-Long: ", BLOCK),
    "header lines": endless(HEAD, b"X-Many: x\r\n" * 5000),
    "the status line": endless(b"HTTP/1.1 200 ", BLOCK),
    "no line at all": endless(b"", BLOCK),
    "interim answers": endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 1000),
    "a chunk's extension": endless(CHUNKED + b"1;x=", BLOCK),
    "trailers": endless(CHUNKED + b"0\r\n", b"X-Many: x\r\n" * 5000),
    "a chunk's size": endless(CHUNKED, b"0" * 65536),
}
floods = pytest.mark.parametrize("pieces", FLOODS.values(), ids=FLOODS)


@pytest.mark.attack("API or proxy")
@floods
def test_a_flood_around_the_api_s_body_is_cut(pieces: Callable[[], Iterable[bytes]]) -> None:
    server = Server(pieces)
    assert isinstance(failure_of(server), ApiUnreachable)
    # As far as the sockets' buffers fill before the connection is seen to be closed.
    assert server.sent < ATTEMPTS * 8 * MB


@pytest.mark.attack("endpoint owner")
@floods
def test_a_flood_around_an_endpoint_s_body_is_cut(pieces: Callable[[], Iterable[bytes]]) -> None:
    server = Server(pieces)
    assert reply_of(server).admission is Admission.UNCLEAR
    assert server.sent < 8 * MB


BODIES = {
    "that names no length": b"\r\n",
    "that names a huge length": b"Content-Length: 99999999999999\r\n\r\n",
    "that names a small length of a second header": b"content-length: 99999999999\r\nX-Content-Length: 2\r\n\r\n",
}
bodies = pytest.mark.parametrize("headers", BODIES.values(), ids=BODIES)


@pytest.mark.attack("API or proxy")
@bodies
def test_a_body_of_the_api_without_end_is_cut_and_not_asked_for_again(headers: bytes) -> None:
    server = Server(endless(HEAD + headers, BLOCK))
    error = failure_of(server)
    assert isinstance(error, UnexpectedAnswer)
    assert error.message.endswith("answered with a body longer than 32 MB.")
    assert len(server.heads) == 1
    assert server.sent < 48 * MB


@pytest.mark.attack("API or proxy")
def test_bodies_without_end_that_are_read_side_by_side_have_one_limit_together() -> None:
    page = json.dumps(page_json(*(key_json(f"key-{number:04}") for number in range(100)), count=1000)).encode()
    sent: list[int] = []

    def serve(connection: socket.socket) -> None:
        while head := read_head(connection):
            if b"offset=0 " in head:
                connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(page) + page)
                continue
            connection.sendall(HEAD + b"\r\n")
            while True:
                connection.sendall(BLOCK)
                sent.append(len(BLOCK))

    tracemalloc.start()
    try:
        with (
            serving(serve) as port,
            api_at(f"http://127.0.0.1:{port}") as api,
            pytest.raises(UnexpectedAnswer, match="longer than 32 MB"),
        ):
            api.list_keys()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(sent) > 100
    assert peak < 100 * MB


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 429, 500, 503])
def test_a_status_counts_and_a_body_without_end_behind_it_does_not(status: int) -> None:
    server = Server(endless(b"HTTP/1.1 %d No\r\n\r\n" % status, BLOCK))
    assert failure_of(server).status == status
    assert server.sent < len(server.heads) * 9 * MB


@pytest.mark.attack("endpoint owner")
@bodies
@pytest.mark.parametrize(
    ("status", "admission"),
    [(200, Admission.BEYOND), (401, Admission.REFUSED), (404, Admission.BEYOND), (503, Admission.UNCLEAR)],
)
def test_a_body_of_an_endpoint_without_end_is_cut(headers: bytes, status: int, admission: Admission) -> None:
    server = Server(endless(b"HTTP/1.1 %d x\r\n" % status + headers, BLOCK))
    reply = reply_of(server)
    assert (reply.admission, reply.status) == (admission, status)
    assert server.sent < 8 * MB


@pytest.mark.attack("endpoint owner")
def test_a_list_of_models_that_ends_in_endless_white_space_admits_nobody() -> None:
    assert reply_of(Server(endless(HEAD + b"\r\n[]", b" " * 65536))).admission is Admission.BEYOND


# --- Compression ------------------------------------------------------------------------------------------------------


def bomb(megabytes: int, *, layers: int = 1) -> bytes:
    """So many megabytes of one byte, compressed once or several times."""
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(b"0" * MB) for _ in range(megabytes)) + packer.flush()
    for _ in range(layers - 1):
        packed = gzip.compress(packed)
    return packed


def encoded(body: bytes, encoding: bytes, *, status: bytes = b"200 OK") -> bytes:
    headers = b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding, len(body))
    return b"HTTP/1.1 " + status + b"\r\n" + headers + body


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("status", [b"200 OK", b"500 No"])
def test_a_bomb_of_400_megabytes_takes_no_more_memory_than_the_limit(status: bytes) -> None:
    packed = bomb(400)
    assert len(packed) < MB
    server = answering(encoded(packed, b"gzip", status=status))
    tracemalloc.start()
    try:
        error = failure_of(server)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(error, UnexpectedAnswer if status.startswith(b"200") else ApiFailed)
    assert peak < 100 * MB


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize(
    "encoding", [b"gzip, gzip", b"gzip,identity", b"deflate", b"br", b"zstd", b"x-gzip", b"gzip\xff", b"identity, gzip"]
)
def test_an_encoding_that_the_api_was_not_asked_for_is_refused_unread(encoding: bytes) -> None:
    error = failure_of(answering(encoded(bomb(1, layers=2), encoding)))
    assert error.message.endswith("answered with a body in an encoding that was not asked for.")


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize(
    "body",
    [
        b"plain",
        gzip.compress(EMPTY_PAGE, mtime=0)[:-9],
        gzip.compress(EMPTY_PAGE, mtime=0)[:-8] + b"x" * 8,
        b"\x1f\x8b" * 50,
    ],
)
def test_what_is_not_whole_gzip_is_an_error(body: bytes) -> None:
    assert failure_of(answering(encoded(body, b"gzip"))).message.endswith("its answer could not be decompressed.")


@pytest.mark.attack("API or proxy")
def test_what_follows_a_compressed_body_is_ignored() -> None:
    body = gzip.compress(EMPTY_PAGE) + b"x" * 5 * MB
    server = Server(lambda: [encoded(body, b"GZip")])
    with serving(server) as port, api_at(f"http://127.0.0.1:{port}") as api:
        api.check()
        api.check()
    assert len(server.heads) == 2


@pytest.mark.attack("endpoint owner")
@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"gzip, gzip", b"x"])
def test_an_endpoint_s_compressed_body_is_not_looked_at(encoding: bytes) -> None:
    packed = gzip.compress(b"[]")
    assert reply_of(answering(encoded(packed, encoding))).admission is Admission.BEYOND
    assert reply_of(answering(encoded(packed, encoding, status=b"401 No"))).admission is Admission.REFUSED


# --- Framing ----------------------------------------------------------------------------------------------------------

PAGE = EMPTY_PAGE
LENGTH = b"Content-Length: %d\r\n" % len(PAGE)
BROKEN = {
    "HTTP/0.9": PAGE,
    "nothing": b"\r\n\r\n",
    "HTTP/10": b"HTTP/10.0 200 OK\r\n" + LENGTH + b"\r\n" + PAGE,
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n" + PAGE,
    "a length with a sign": HEAD + b"Content-Length: +27\r\n\r\n" + PAGE,
    "a length of 5,000 digits": HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + PAGE,
    "a length of other digits": HEAD + "Content-Length: ٢٧\r\n\r\n".encode() + PAGE,
    "two lengths": HEAD + LENGTH + b"Content-Length: 1\r\n\r\n" + PAGE,
    "two lengths in one": HEAD + b"Content-Length: 27, 1\r\n\r\n" + PAGE,
    "another transfer encoding": HEAD + b"Transfer-Encoding: gzip\r\n\r\n" + PAGE,
    "two transfer encodings": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a chunk of no size": CHUNKED + b"x\r\n\r\n",
    "a chunk of a negative size": CHUNKED + b"-1\r\n\r\n",
    "a chunk of 2**80 bytes": CHUNKED + b"1" + b"0" * 20 + b"\r\n\r\n",
    "a chunk that is longer than it says": CHUNKED + b"1\r\nabc\r\n0\r\n\r\n",
    "a header without a colon": HEAD + b"nonsense\r\n" + LENGTH + b"\r\n" + PAGE,
    "a header without a name": HEAD + b": x\r\n" + LENGTH + b"\r\n" + PAGE,
    "a NUL in a header": HEAD + b"X: a\0b\r\n" + LENGTH + b"\r\n" + PAGE,
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "a status of other digits": "HTTP/1.1 ٢٠٠ OK\r\n\r\n".encode(),
    "a change of protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n" + PAGE,
    "an unknown status": b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    "a redirect to a file": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    "a body that is cut": HEAD + b"Content-Length: 1000\r\n\r\n" + PAGE,
    "a chunk that is cut": CHUNKED + b"ff\r\n" + PAGE,
}
broken = pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN)


def once(said: bytes) -> Serve:
    """Answers once, and closes the connection."""

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(said)

    return serve


@pytest.mark.attack("API or proxy")
@broken
def test_an_answer_that_is_no_http_is_an_error_of_keyform_s_own(said: bytes) -> None:
    error = failure_of(once(said))
    assert isinstance(error, ApiUnreachable | UnexpectedAnswer | ApiFailed)
    assert error.way_out


@pytest.mark.attack("endpoint owner")
@broken
def test_an_endpoint_s_answer_that_is_no_http_is_a_reply(said: bytes) -> None:
    assert reply_of(once(said)).admission in (Admission.UNCLEAR, Admission.BEYOND)


@pytest.mark.attack("API or proxy")
@broken
def test_a_proxy_s_answer_that_is_no_http_is_an_error_of_keyform_s_own(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(once(said)) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with api_at("https://api.keyform.test", request_timeout=1.0) as api, pytest.raises(ApiUnreachable):
            api.check()


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize(
    "headers",
    [
        b"Location: http://127.0.0.1:1/",
        b"Refresh: 0; url=http://127.0.0.1:1/",
        b'Alt-Svc: h2="127.0.0.1:1"',
        b"Set-Cookie: a=b; Path=/",
        b"WWW-Authenticate: Basic realm=x",
        b"Link: <http://127.0.0.1:1/>; rel=preload",
        b"Connection: close, upgrade\r\nUpgrade: h2c",
        b"Date: \xff\xfe",
        b"Age: x",
        b"X-Folded: a\r\n b",
        b"X-Request-Id: " + b"x" * 50_000,
        b"\r\n".join(b"X-%d: x" % number for number in range(3000)),
    ],
    ids=lambda headers: headers[:20].decode(errors="replace"),
)
def test_headers_that_ask_for_something_get_nothing(headers: bytes) -> None:
    server = Server(lambda: [HEAD + headers + b"\r\n" + LENGTH + b"\r\n" + PAGE])
    with serving(server) as port, api_at(f"http://127.0.0.1:{port}") as api:
        api.check()
        api.check()
    assert len(server.heads) == 2
    assert not any(b"cookie" in head.lower() for head in server.heads)


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("body", [b"", b"hello", ANSWER])
def test_a_body_where_none_may_be_is_not_the_next_answer(body: bytes) -> None:
    answers = iter([b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body), ANSWER])
    server = Server(lambda: [next(answers)])
    with serving(server) as port, api_at(f"http://127.0.0.1:{port}") as api:
        assert api.delete_key("payments")
        api.check()
    assert len(server.heads) == 2


@pytest.mark.attack("endpoint owner")
@pytest.mark.parametrize("host", ["a" * 64 + ".example.com", "xn--" + "a" * 100, ".".join(["a" * 60] * 10), "a..b"])
def test_a_host_that_no_dns_can_name_is_an_error_of_keyform_s_own(host: str) -> None:
    effects = Hasty()
    reply = ask_endpoint(effects, f"https://{host}", SECRET, timeout=2)
    assert reply.admission is Admission.UNCLEAR
    with pytest.raises((ApiUnreachable, ConfigError)):
        make_api(effects, base_url=f"https://{host}").check()
    effects.close()
