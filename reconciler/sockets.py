"""The sockets under HTTP, whose every operation ends at the deadline of its exchange.

httpx and httpcore limit single operations: one connect, one read, one write. A server that sends a byte now and then,
of a header, of a TLS handshake, of a proxy's answer to CONNECT, or `100 Continue` without end, passes each of them
forever. Here every operation gets what is left of one deadline, and everything that is read counts against one number
of bytes. So both limit every layer above, by construction.

Only the look-up of a name has no deadline: the system's resolver cannot be cancelled, and its own limits count (about
half a minute, unless resolv.conf says otherwise). If it took too long, nothing is sent.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import httpcore

Result = TypeVar("Result")

_PIECE = 65536
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class AnswerTooLong(httpcore.ReadError):
    """An answer, with its headers and whatever came before it, has more bytes than its exchange may read."""


class Allowance(threading.local):
    """What is left of a thread's exchange; each thread has its own, and is in one exchange at a time."""

    deadline = 0.0
    bytes_left = 0

    def begin(self, *, seconds: float, most_bytes: int) -> None:
        """An exchange begins, with these limits."""
        self.deadline = time.monotonic() + seconds
        self.bytes_left = most_bytes

    def seconds(self, most: float | None = None) -> float:
        """Seconds that the next operation may take. Raises TimeoutError if none are left."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the exchange ran out of time")
        return left if most is None else min(left, most)

    def spend(self, size: int) -> None:
        """Count bytes that were read."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise AnswerTooLong("the answer is too long")


class Network(httpcore.NetworkBackend):
    """Makes connections, and tracks the open ones."""

    def __init__(self) -> None:
        self.allowance = Allowance()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - keyform's pools name none
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - nor any of these
    ) -> httpcore.NetworkStream:
        """The first of the host's addresses that answers, each within `timeout` and the rest of the exchange."""
        with _failing_as(httpcore.ConnectTimeout, httpcore.ConnectError):
            failure: OSError = OSError("the host has no address")
            for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                left = self.allowance.seconds(timeout)
                try:
                    connection = socket.socket(family, kind, protocol)
                except OSError as unsupported:  # an address of a family that this machine does not have
                    failure = unsupported
                    continue
                try:
                    connection.settimeout(left)
                    connection.connect(address)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                except OSError as refused:
                    connection.close()
                    failure = refused
                else:
                    return Stream(self.keep(connection), self)
            raise failure

    def keep(self, connection: socket.socket) -> socket.socket:
        """Remember a connection, so that it can be broken."""
        self._sockets.add(connection)
        return connection

    def break_all(self) -> None:
        """Break every open connection, whatever is in flight; those made later are whole."""
        for connection in list(self._sockets):
            with suppress(OSError):  # it may be closed already
                connection.shutdown(socket.SHUT_RDWR)


class Stream(httpcore.NetworkStream):
    """One connection, encrypted or not."""

    def __init__(self, connection: socket.socket, network: Network) -> None:
        self._connection = connection
        self._network = network
        self._allowance = network.allowance

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What there is, at most `max_bytes`; nothing at the end."""
        with _failing_as(httpcore.ReadTimeout, httpcore.ReadError):
            self._connection.settimeout(self._allowance.seconds(timeout))
            piece = self._connection.recv(max_bytes)
        self._allowance.spend(len(piece))
        return piece

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of it."""
        left = memoryview(buffer)
        with _failing_as(httpcore.WriteTimeout, httpcore.WriteError):
            while left:
                self._connection.settimeout(self._allowance.seconds(timeout))
                left = left[self._connection.send(left) :]

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same connection, encrypted; or encrypted twice, to a server behind a proxy that uses TLS itself."""
        if isinstance(self._connection, ssl.SSLSocket):
            try:
                return _Tunnel(self, ssl_context, server_hostname)
            except BaseException:
                self.close()
                raise
        with _failing_as(httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                # The limit of a handshake covers all of it, however many pieces it comes in.
                encrypted = ssl_context.wrap_socket(
                    self._connection, server_hostname=server_hostname, do_handshake_on_connect=False
                )
            except BaseException:
                self.close()
                raise
            try:
                self._network.keep(encrypted)
                encrypted.settimeout(self._allowance.seconds(timeout))
                encrypted.do_handshake()
            except BaseException:
                encrypted.close()
                raise
        return Stream(encrypted, self._network)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks about: the socket, and whether it can be read (when idle, it is at its end then)."""
        match info:
            case "is_readable":
                return self._is_readable()
            case "socket":
                return self._connection
            case "ssl_object":
                return self._connection if isinstance(self._connection, ssl.SSLSocket) else None
            case _:
                return None

    def _is_readable(self) -> bool:
        if self._connection.fileno() < 0:
            return True
        with _Selector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            return bool(selector.select(0))


class _Tunnel(httpcore.NetworkStream):
    """TLS within TLS, which Python's sockets do not do; time and bytes are those of the stream below."""

    def __init__(self, below: Stream, context: ssl.SSLContext, host: str | None) -> None:
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        with _failing_as(httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                self._do(self._tls.do_handshake)
            except httpcore.TimeoutException as late:
                raise TimeoutError(str(late)) from late

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the exchange's counts
        """See `Stream.read`."""
        with _failing_as(httpcore.ReadTimeout, httpcore.ReadError):
            try:
                return self._do(lambda: self._tls.read(max_bytes))
            except ssl.SSLZeroReturnError:
                return b""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - as above
        """See `Stream.write`."""
        with _failing_as(httpcore.WriteTimeout, httpcore.WriteError):
            while buffer:
                buffer = buffer[self._do(lambda: self._tls.write(buffer)) :]  # noqa: B023 - called at once

    def close(self) -> None:
        """Close the connection."""
        self._below.close()

    def get_extra_info(self, info: str) -> Any:
        """See `Stream.get_extra_info`."""
        return self._tls if info == "ssl_object" else self._below.get_extra_info(info)

    def _do(self, step: Callable[[], Result]) -> Result:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                piece = self._below.read(_PIECE)
                if piece:
                    self._incoming.write(piece)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if waiting := self._outgoing.read():
            self._below.write(waiting)


@contextmanager
def _failing_as(late: type[Exception], broken: type[Exception]) -> Iterator[None]:
    """The system's errors as httpcore's; the original stays their cause."""
    try:
        yield
    except TimeoutError as failure:  # it is an OSError, too
        raise late(str(failure)) from failure
    except (OSError, UnicodeError) as failure:  # UnicodeError: a host's name that is not valid in DNS
        raise broken(str(failure)) from failure


def trusting(certificates: str) -> ssl.SSLContext:
    """TLS that trusts the certificates in a file, and no others; OSError if it cannot be read."""
    return ssl.create_default_context(cafile=certificates)
