"""The base of stores that are asked over HTTP: one request is one effect, and each failure one `SinkError`.

The address and the token come from the environment alone, and secrets go over plain http to this machine only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconciler.errors import SinkError
from reconciler.loopback import Whereabouts, locate
from reconciler.model import Secret, SinkSettings
from reconciler.sinks.protocol import Surroundings
from reconciler.sinks.store import Conflict, Store, StoreTrouble

if TYPE_CHECKING:
    import httpx

_IN_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_NOT_DONE = frozenset({425, 429})
"""Of these, the ones that say that nothing was done."""


class HttpStore(Store):
    """`address` and `token` name environment variables, which its type has to declare; `title` is for errors."""

    title: str
    address: str
    token: str

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        # httpx takes longer to load than a file to be checked, for which this module is loaded too.
        from reconciler.http_client import make_client
        from reconciler.http_failures import Server

        base_url = self._variable(self.address)
        try:
            parts = urlsplit(base_url)
            scheme, host = parts.scheme, parts.hostname or ""
        except ValueError:
            scheme, host = "", ""
        is_safe = scheme == "https" or (scheme == "http" and locate(host) is Whereabouts.HERE)
        if not host or not is_safe:
            raise self.error(f"{self.address} is not an https:// URL", "Set it to the address of the store.")
        self._redactor.learn(Secret(self._variable(self.token)))
        self._client = make_client(self._effects, base_url=base_url, headers=self.headers(self._variable(self.token)))
        self._server = Server(self.title, self.address, self.token)

    def headers(self, token: str) -> Mapping[str, str]:
        """What goes with each request."""
        return {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, doing: str, **request: Any) -> httpx.Response:
        """The answer to one request, of 2xx, or 404 where nothing is saved; `request` is what httpx takes.

        `doing` completes "could not be reached to …". Raises Conflict for 409 and 412, and SinkError for all else:
        StoreTrouble for what may pass, with `effect_is_unknown` for a write that may be done.
        """
        from reconciler.http_failures import FAILURES, explain

        writes = method not in ("GET", "HEAD")
        # Raised outside of the `except`: httpx's exceptions carry the request along, with token and secret.
        try:
            answer = self._client.request(method, path, **request)
        except FAILURES as failure:
            why = explain(failure, self._server, doing, self._redactor)
        else:
            if answer.is_success or (answer.status_code == 404 and method in ("GET", "HEAD", "DELETE")):
                return answer
            if answer.status_code in (409, 412):
                raise Conflict
            raise self._refusal(answer, doing, writes=writes)
        kind = StoreTrouble if why.is_transient else SinkError
        is_unknown = writes and why.may_have_happened
        raise kind(f"sink {self.name}: {why.message}", way_out=why.way_out, effect_is_unknown=is_unknown)

    def _refusal(self, answer: httpx.Response, doing: str, *, writes: bool) -> SinkError:
        """What an answer means that is no success. Its words are shown without what the run knows to be secret."""
        from reconciler.http_failures import AGAIN, read_retry_after

        status = answer.status_code
        said = self._redactor.clean(answer.text, longest=200)
        message = f"{self._server.name} answered with status {status} when asked to {doing}{': ' if said else ''}{said}"
        if status in (401, 403):
            return self.error(message, f"See what {self.token} is allowed to do.")
        if status not in _IN_PASSING:
            return self.error(message, f"Check the settings of this sink, and {self.address}.")
        is_unknown = writes and status not in _NOT_DONE
        trouble = StoreTrouble(f"sink {self.name}: {message}", way_out=AGAIN, effect_is_unknown=is_unknown)
        trouble.wait = read_retry_after(answer.headers.get("Retry-After"), self._effects.now)
        return trouble

    def _variable(self, name: str) -> str:
        value = self._env.get(name, "").strip()
        if not value:
            raise self.error(f"{name} is not set", f"Set {name} where keyform runs.")
        return value
