"""The client for every HTTP request of keyform: httpx's own, with each of its requests as one effect.

It leaves out what keyform does not want: cookies, redirects, .netrc. Time limits, proxies and certificates belong to
the transport, behind the effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from reconciler import __version__
from reconciler.loopback import is_loopback

if TYPE_CHECKING:
    from reconciler.effects import Effects


class _Seam(httpx.BaseTransport):
    def __init__(self, effects: Effects) -> None:
        self._effects = effects

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._effects.send(request)
        # The client would store cookies, and fail at a redirect to something that is not a URL; keyform wants neither.
        for name in ("Set-Cookie", "Location"):
            response.headers.pop(name, None)
        return response


def make_client(effects: Effects, *, base_url: str = "", headers: Mapping[str, str] | None = None) -> httpx.Client:
    """A client whose requests leave through `effects.send`; safe between threads, and nothing has to be closed.

    `headers` go with each request. It fails with httpx's exceptions, and with OSError: see `http_failures.FAILURES`.
    """
    return httpx.Client(
        base_url=base_url,
        headers={"User-Agent": f"keyform/{__version__}", "Accept-Encoding": "gzip", **(headers or {})},
        timeout=None,  # noqa: S113 - the transport has one, for the whole exchange
        trust_env=False,
        transport=_Seam(effects),
    )


def find_trouble(address: str, token: str) -> str:
    """Why a token must not go to this address, which `token` names; nothing if it may."""
    try:
        parts = urlsplit(address)
        host, port, user, password = parts.hostname, parts.port, parts.username, parts.password
        _ = httpx.URL(address).host  # which is a ValueError for one like xn--…, which is not a valid name
    except (ValueError, httpx.InvalidURL):
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return "is not a URL that begins with https:// and names a host"
    if user is not None or password is not None:
        return f"contains a user name or a password: set the token in {token}"
    if parts.query or parts.fragment:
        return "has a query or a fragment"
    if not address.isprintable() or " " in address:
        return "is not a URL"
    if parts.scheme == "http" and not is_loopback(host):
        return f"would send the token unencrypted to {host}: plain http is allowed for this machine only"
    return ""
