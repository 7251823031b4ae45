"""Servers of a few lines, each on a port of this machine: a proxy for CONNECT, and servers behind it."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

EMPTY_PAGE = b'{"count": 0, "results": []}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(EMPTY_PAGE),
    EMPTY_PAGE,
)

Serve = Callable[[socket.socket], None]


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """A server whose every connection gets a thread with this function; the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=run, args=(connection,), daemon=True).start()

    def run(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def read_head(connection: socket.socket) -> bytes:
    """Everything up to the empty line; what comes behind it must not have been sent yet."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            break
        head += piece
    return head


def answering(answer: bytes = ANSWER, *, heads: list[bytes] | None = None) -> Serve:
    """Answers every request alike."""

    def serve(connection: socket.socket) -> None:
        while head := read_head(connection):
            if heads is not None:
                heads.append(head)
            connection.sendall(answer)

    return serve


def over_tls(serve: Serve, certificate: Path) -> Serve:
    """The same, encrypted; the file contains the key too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def wrapped(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            serve(encrypted)

    return wrapped


def proxying(port: int, *, heads: list[bytes], refuses: bytes | None = None) -> Serve:
    """A proxy for CONNECT: it connects to this port, whatever host the request names; or it answers with `refuses`."""

    def serve(connection: socket.socket) -> None:
        heads.append(read_head(connection))
        if refuses is not None:
            connection.sendall(refuses)
            return
        with socket.create_connection(("127.0.0.1", port)) as target:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pour, args=(target, connection), daemon=True)
            back.start()
            _pour(connection, target)
            back.join()

    return serve


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def make_certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """A self-signed certificate for a host, by openssl: the file with its key, and the file to trust."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    about = ["-days", "2", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*new, *about, *files], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both, certificate
