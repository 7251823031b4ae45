"""The base of stores that are asked over HTTP: one request is one effect, and each failure one `SinkError`.

The address and the token come from the environment alone, and secrets go over plain http to this machine only.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconciler.http_client import make_client
from reconciler.http_failures import AGAIN, FAILURES, Server, explain, read_retry_after
from reconciler.loopback import Whereabouts, locate
from reconciler.model import SinkSettings
from reconciler.sinks.protocol import Surroundings
from reconciler.sinks.store import Store, StoreTrouble

if TYPE_CHECKING:
    import httpx

_IN_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class HttpStore(Store, ABC):
    """`address` and `token` are the names of environment variables; `title` is what errors call the store."""

    title: str
    address: str
    token: str

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        base_url = self._variable(self.address)
        parts = urlsplit(base_url)
        is_safe = parts.scheme == "https" or (
            parts.scheme == "http" and locate(parts.hostname or "") is Whereabouts.HERE
        )
        if not parts.hostname or not is_safe:
            raise self.error(f"{self.address} is not an https:// URL", "Set it to the address of the store.")
        self._client = make_client(self._effects, base_url=base_url, headers=self.headers(self._variable(self.token)))
        self._server = Server(f"{self.title} at {parts.hostname}", self.address, self.token)

    def headers(self, token: str) -> Mapping[str, str]:
        """What goes with each request."""
        return {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, *, accepts: Collection[int] = (), **request: Any) -> httpx.Response:
        """The answer to one request, when its status is 2xx or one of `accepts`."""
        writes = method not in ("GET", "HEAD")
        # Raised outside of the `except`: httpx's exceptions carry the request along, with token and secret.
        try:
            answer = self._client.request(method, path, **request)
        except FAILURES as failure:
            why = explain(failure, self._server, f"{method} {path}", self._redactor)
        else:
            if answer.is_success or answer.status_code in accepts:
                return answer
            raise self._refusal(answer, writes=writes)
        kind = StoreTrouble if why.is_transient else type(self.error("", ""))
        raise kind(
            f"sink {self.name}: {why.message}", way_out=why.way_out, effect_is_unknown=writes and why.may_have_happened
        )

    def _refusal(self, answer: httpx.Response, *, writes: bool) -> Exception:
        """What an answer means that is no success; a store that repeats what it was sent is not shown."""
        status = answer.status_code
        said = "" if writes else self._redactor.clean(answer.text, longest=200)
        message = f"{self._server.name} answered {status}{': ' if said else ''}{said}"
        if status in (401, 403):
            return self.error(message, f"See what {self.token} is allowed to do.")
        if status not in _IN_PASSING:
            return self.error(message, f"Check the sink's settings, and {self.address}.")
        trouble = StoreTrouble(
            f"sink {self.name}: {message}", way_out=AGAIN, effect_is_unknown=writes and status not in (425, 429)
        )
        trouble.wait = read_retry_after(answer.headers.get("Retry-After"), self._effects.now)
        return trouble

    def _variable(self, name: str) -> str:
        value = self._env.get(name, "").strip()
        if not value:
            raise self.error(f"{name} is not set", f"Set {name} where keyform runs.")
        return value
