"""How a request leaves this machine: connections that are kept, time limits, proxies, trusted certificates.

From the environment come HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY (in either case), and SSL_CERT_FILE or
SSL_CERT_DIR for the certificates to trust instead of those that httpx brings.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from socket import SHUT_RDWR
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx

from reconciler.loopback import is_loopback

LONGEST_CONNECT = 5.0
"""Seconds for a connection to be made."""
WHOLE_ANSWER = 10.0
"""How many times the time limit of a silence an answer may take that keeps trickling in."""
_CONNECTED = ("connection.connect_tcp.complete", "connection.start_tls.complete", "proxy.start_tls.complete")


class Connections:
    """All HTTP connections of a run. Safe between threads."""

    def __init__(self, *, kept: int, request_timeout: float) -> None:
        """`kept` connections stay open for the next request; a server may be silent for `request_timeout` seconds."""
        self._kept = kept
        self._limits = {
            "connect": min(LONGEST_CONNECT, request_timeout),
            **dict.fromkeys(("read", "write", "pool"), request_timeout),
            "whole": request_timeout * WHOLE_ANSWER,
        }
        self._guard = threading.Lock()
        self._routes: dict[tuple[str, str], tuple[httpx.HTTPTransport, str]] = {}
        self._transports: dict[str, httpx.HTTPTransport] = {}
        self._sockets: weakref.WeakSet[Any] = weakref.WeakSet()

    def send(self, request: httpx.Request) -> httpx.Response:
        """One request, and its answer whole. Raises httpx.TransportError.

        What faults tell of the limits and of the proxy is in the request's extensions, `timeout` and `proxy`.
        """
        transport, proxy = self._route(request.url)
        limits = request.extensions.setdefault("timeout", self._limits)
        request.extensions["proxy"] = proxy
        request.extensions["trace"] = self._watch
        deadline = time.monotonic() + limits.get("whole", float("inf"))
        response = transport.handle_request(request)
        if isinstance(response.stream, httpx.SyncByteStream):
            response.stream = _Bounded(response.stream, deadline)
        try:
            response.read()
        finally:
            response.close()
        return response

    def break_all(self) -> None:
        """Break every connection that is open, whatever is on its way there; those made later are whole."""
        for connection in list(self._sockets):
            with contextlib.suppress(OSError):  # it may be closed already
                connection.shutdown(SHUT_RDWR)

    def close(self) -> None:
        """Close what is open."""
        with self._guard:
            for transport in self._transports.values():
                transport.close()

    def _watch(self, name: str, info: Mapping[str, Any]) -> None:
        """Keep every connection that is made (httpx's `trace` extension), so that it can be broken."""
        if name in _CONNECTED:
            self._sockets.add(info["return_value"].get_extra_info("socket"))

    def _route(self, url: httpx.URL) -> tuple[httpx.HTTPTransport, str]:
        """What connects to an address, and the proxy's host and port if it goes through one."""
        place = (url.scheme, url.netloc.decode("ascii"))
        with self._guard:
            if place not in self._routes:
                proxy = _proxy_for(url)
                key = "" if proxy is None else str(proxy.url)
                if key not in self._transports:
                    self._transports[key] = self._connect_through(proxy)
                shown = "" if proxy is None else proxy.url.netloc.decode("ascii")
                self._routes[place] = self._transports[key], shown
            return self._routes[place]

    def _connect_through(self, proxy: httpx.Proxy | None) -> httpx.HTTPTransport:
        # As many keep-alive connections as workers: with httpx's default of 20, 1,000 requests at 32 in flight opened
        # about 1,000 connections.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=self._kept)
        try:
            return httpx.HTTPTransport(limits=limits, proxy=proxy)
        except ImportError:
            raise httpx.ProxyError("keyform speaks to proxies over HTTP, not SOCKS") from None


class _Bounded(httpx.SyncByteStream):
    """A body that has to be whole by an instant: each single piece of it may come in time, for ever."""

    def __init__(self, stream: httpx.SyncByteStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            if time.monotonic() > self._deadline:
                raise httpx.TimeoutException("the answer was not whole in time")
            yield piece

    def close(self) -> None:
        self._stream.close()


def _proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """The environment's proxy for an address. This machine is never asked for through one."""
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
        # Not a word of it: it may hold a password, and one that is not written as a URL has it shows up elsewhere.
        raise httpx.ProxyError("its address is not that of a proxy")
    return proxy
