"""The client for everything that keyform asks over HTTP: httpx's own, with each of its requests as one effect.

What is not wanted of it is left out here: cookies, redirects, .netrc. Time limits, proxies and certificates are the
transport's, behind the effects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import httpx

from reconciler import __version__

if TYPE_CHECKING:
    from reconciler.effects import Effects


class _Seam(httpx.BaseTransport):
    def __init__(self, effects: Effects) -> None:
        self._effects = effects

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._effects.send(request)
        # The client would keep the one, and fail at the other where it is no URL; nobody wants either.
        for name in ("Set-Cookie", "Location"):
            response.headers.pop(name, None)
        return response


def make_client(effects: Effects, *, base_url: str = "", headers: Mapping[str, str] | None = None) -> httpx.Client:
    """A client whose requests leave through `effects.send`; safe between threads, and nothing has to be closed.

    `headers` go with each request. It fails by httpx's exceptions, and by OSError: see `http_failures.FAILURES`.
    """
    return httpx.Client(
        base_url=base_url,
        headers={"User-Agent": f"keyform/{__version__}", "Accept-Encoding": "gzip", **(headers or {})},
        timeout=None,  # noqa: S113 - the transport has one, for the whole exchange
        trust_env=False,
        transport=_Seam(effects),
    )
