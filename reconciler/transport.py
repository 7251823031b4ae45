"""How a request leaves this machine: kept connections, time limits, proxies, trusted certificates.

From the environment come HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY (in either case), and SSL_CERT_FILE or
SSL_CERT_DIR for the certificates to trust instead of those that come with httpx.
"""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from reconciler.loopback import is_loopback
from reconciler.sockets import Network, trusting

if TYPE_CHECKING:
    import ssl

LONGEST_CONNECT = 5.0
"""Seconds for a connection to be made."""
LONGEST_BODY = 32 * 1024 * 1024
"""Bytes of an answer's body, decompressed, unless its request sets a lower limit. A page of 1,000 deployments has some
5 MB.
"""
LONGEST_TOGETHER = 2 * LONGEST_BODY
"""Bytes of all bodies that are being read at the same time: each of ten requests in flight could have the longest."""
LONGEST_ERROR = 1024 * 1024
"""Bytes of the body of an answer other than 2xx. Its status is what counts: a longer body is left out."""
LONGEST_HEAD = 256 * 1024
"""Bytes that may come before the body: the answer's headers, interim answers, a proxy's answer."""
UNPACKED_AT_ONCE = 1024 * 1024
"""Bytes that are decompressed before they are counted."""
KEPT_SECONDS = 5.0
"""How long an idle connection is kept."""


class Connections:
    """All HTTP connections of a run. Safe between threads."""

    def __init__(self, *, kept: int, request_timeout: float) -> None:
        """`kept` connections stay open for the next request; a whole exchange may take `request_timeout` seconds."""
        self._kept = kept
        self._request_timeout = request_timeout
        self._guard = threading.Lock()
        self._network = Network()
        self._bodies = _Bodies()
        self._routes: dict[tuple[str, str, int, str], tuple[_Transport, str]] = {}
        self._transports: dict[tuple[str, str, int, str], _Transport] = {}

    def send(self, request: httpx.Request) -> httpx.Response:
        """One request, and its answer. Raises httpx.HTTPError, and OSError for certificates that cannot be read.

        The request's extensions may narrow the limits: `timeout`, with `whole` in seconds for the whole exchange, from
        connecting to the last byte of the answer, and `longest_body` in bytes. `certificates` names a file of those to
        trust instead of all others. They then hold what failures need to know about the limits and the proxy: `timeout`
        (`whole` and `connect`) and `proxy`.

        A body that is too long, or in an encoding that was not requested, is left out: the answer's extension
        `left_out` says why. So is an incomplete one, except for a 2xx, where the status alone is not enough.
        """
        try:
            transport, request.extensions["proxy"] = self._route(request)
        except UnicodeError:  # for a host like xn--…, which is not a valid name
            raise httpx.UnsupportedProtocol("the host is not a name", request=request) from None
        whole = request.extensions.get("timeout", {}).get("whole", self._request_timeout)
        request.extensions["timeout"] = {"connect": min(LONGEST_CONNECT, whole), "whole": whole}
        longest = request.extensions.get("longest_body", LONGEST_BODY)
        self._network.allowance.begin(seconds=whole, most_bytes=LONGEST_HEAD)
        try:
            response = transport.handle_request(request)
            # A chunked body is longer on the wire; twice as long with chunks of a few bytes.
            self._network.allowance.bytes_left += 2 * longest
            with contextlib.closing(cast("httpx.SyncByteStream", response.stream)):
                takes_gzip = "gzip" in request.headers.get("accept-encoding", "")
                self._bodies.take(response, longest, takes_gzip=takes_gzip)
        except ValueError as failure:  # h11, for a Content-Length of 5,000 digits
            raise httpx.RemoteProtocolError(str(type(failure)), request=request) from None
        return response

    def break_all(self) -> None:
        """Break every open connection, whatever is in flight; those made later are whole."""
        self._network.break_all()

    def close(self) -> None:
        """Close everything that is open."""
        with self._guard:
            for transport in self._transports.values():
                transport.close()

    def _route(self, request: httpx.Request) -> tuple[httpx.HTTPTransport, str]:
        """What connects to an address, and the proxy's host and port if it goes through one."""
        # A server may close a kept connection at the moment it is used. A read is then sent again, and keyform checks
        # whether any other write arrived; a lost create would cost its key, so each create has a separate connection.
        kept = 0 if request.method == "POST" else self._kept
        certificates = request.extensions.get("certificates", "")
        place = (request.url.scheme, request.url.netloc.decode("ascii"), kept, certificates)
        with self._guard:
            if place not in self._routes:
                proxy = _proxy_for(request.url)
                key = request.url.scheme, "" if proxy is None else str(proxy.url), kept, certificates
                if key not in self._transports:
                    self._transports[key] = self._connect_through(proxy, kept, request.url.scheme, certificates)
                shown = "" if proxy is None else proxy.url.netloc.decode("ascii")
                self._routes[place] = self._transports[key], shown
            return self._routes[place]

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        """The trusted certificates. They are read once, and only for HTTPS: it takes some 20 ms."""
        return httpx.create_ssl_context()

    def _connect_through(self, proxy: httpx.Proxy | None, kept: int, scheme: str, certificates: str) -> _Transport:
        if proxy is not None and proxy.url.scheme not in ("http", "https"):
            raise httpx.ProxyError("keyform supports HTTP proxies, not SOCKS")
        trusted = (trusting(certificates) if certificates else self._trusted) if scheme == "https" else None
        return _Transport(self._network, kept=kept, proxy=proxy, trusted=trusted)


class _Transport(httpx.HTTPTransport):
    """httpx's own, on sockets that respect the limits of an exchange."""

    def __init__(
        self, network: Network, *, kept: int, proxy: httpx.Proxy | None, trusted: ssl.SSLContext | None
    ) -> None:
        # As many keep-alive connections as workers: with httpx's default of 20, 1,000 requests at 32 in flight opened
        # about 1,000 connections.
        pool: dict[str, Any] = {
            "ssl_context": trusted,
            "max_connections": None,
            "max_keepalive_connections": kept,
            "keepalive_expiry": KEPT_SECONDS,
            "network_backend": network,
        }
        if proxy is None:
            self._pool = httpcore.ConnectionPool(**pool)
        else:
            url = proxy.url
            self._pool = httpcore.HTTPProxy(
                proxy_url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                proxy_auth=proxy.raw_auth,
                proxy_headers=proxy.headers.raw,
                proxy_ssl_context=proxy.ssl_context,
                **pool,
            )


class _Bodies:
    """Reads the bodies of answers, each within its limit, and all of them together within another."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._together = 0

    def take(self, response: httpx.Response, longest: int, *, takes_gzip: bool) -> None:
        """Read an answer's body, decompressed, or leave it out. Raises httpx.HTTPError if a 2xx's is not whole."""
        is_success = 200 <= response.status_code < 300
        body, left_out = bytearray(), ""
        try:
            for piece in _unpacked(response, takes_gzip=takes_gzip):
                body += piece
                most = longest if is_success else min(longest, LONGEST_ERROR)
                if self._count(len(piece)) > LONGEST_TOGETHER or len(body) > most:
                    left_out = f"longer than {_in_words(most)}"
                    break
        except _UnknownEncodingError:
            left_out = "in an encoding that was not asked for"
        except httpx.HTTPError as failure:
            if is_success and isinstance(failure, httpx.TimeoutException):
                raise httpx.TimeoutException("the answer was not complete in time") from None
            if is_success:
                raise
            left_out = "not whole"
        finally:
            self._count(-len(body))
        response.headers.pop("content-encoding", None)
        response.extensions["left_out"] = left_out
        response.stream = httpx.ByteStream(b"" if left_out else bytes(body))
        response.read()

    def _count(self, size: int) -> int:
        with self._guard:
            self._together += size
            return self._together


class _UnknownEncodingError(Exception):
    """The body is in an encoding that was not requested."""


def _unpacked(response: httpx.Response, *, takes_gzip: bool) -> Iterator[bytes]:
    """The body in pieces, decompressed: a small piece of gzip may expand a thousandfold, and then comes in several."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    pieces = cast("httpx.SyncByteStream", response.stream)
    if response.status_code in (204, 304) and response.headers.get("content-length", "0") != "0":
        # According to HTTP there is no such body. If one is sent nevertheless, it is not the beginning of the next
        # answer: a connection whose answer is not read to its end is closed.
        return
    if encoding in ("", "identity"):
        yield from pieces
    elif takes_gzip and encoding == "gzip":
        gzip, is_empty = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS), True
        for piece in pieces:
            is_empty = False
            if not gzip.eof:  # otherwise zlib would collect what follows the end
                yield from _unpack(gzip, piece)
        if not gzip.eof and not is_empty:
            raise httpx.DecodingError("cut short")
    else:
        raise _UnknownEncodingError


def _unpack(gzip: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    try:
        while piece := gzip.decompress(packed, UNPACKED_AT_ONCE):
            yield piece
            packed = gzip.unconsumed_tail
    except zlib.error:
        raise httpx.DecodingError("not gzip") from None


def _in_words(size: int) -> str:
    """`64 kB`, `32 MB`."""
    return f"{size // 1024**2} MB" if size >= 1024**2 else f"{size // 1024} kB"


def _proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """The environment's proxy for an address; never one for this machine."""
    if is_loopback(url.host):
        return None
    proxies = getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or proxy_bypass(url.netloc.decode("ascii")):
        return None
    proxy = None
    with contextlib.suppress(ValueError, httpx.InvalidURL):
        proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
    if proxy is None or ("@" in address and proxy.auth is None):
        # Nothing of it: it may hold a password, and if it is not a valid URL, the password could be anywhere in it.
        raise httpx.ProxyError("its address is not that of a proxy")
    return proxy
