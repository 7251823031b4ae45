"""What stores with an HTTP API have in common: each request is one effect, each failure one `SinkError`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.errors import SinkError
from reconciler.sinks.store import Moved, Passing, Store

if TYPE_CHECKING:
    import httpx

    from reconciler.http_failures import Server

_AGAIN = "Run apply again."


class HttpStore(Store):
    """A store at an address. Its address and token never come from the file: they have to be set."""

    title: str
    """The store's name at the beginning of a sentence, such as `Vault`."""
    address_variable: str
    token_variable: str

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each request."""
        return {"Authorization": f"Bearer {self._setting(self.token_variable)}"}

    def _setting(self, name: str) -> str:
        if not (value := self._env.get(name, "").strip()):
            raise self.error(f"{name} is not set", f"Set it where keyform runs, for {self.title}.")
        return value

    def ask(self, method: str, path: str, doing: str, *, saves: bool = False, **request: Any) -> httpx.Response:
        """An answer of 2xx, or of 404 if nothing was to be written; `Moved` for 409 and 412.

        `doing` completes "could not be reached to …".

        With `saves`, a failure that does not say whether it took effect leaves the effect unknown.
        """
        from reconciler.http_client import find_trouble, make_client
        from reconciler.http_failures import FAILURES, Server, explain

        server = Server(self.title, self.address_variable, self.token_variable)
        address = self._setting(self.address_variable)
        if trouble := find_trouble(address, self.token_variable):
            raise self.error(f"{self.address_variable} {trouble}", "Set it to a URL like https://store.example.org.")
        client = make_client(self._effects, base_url=address, headers=self.headers)
        # Raised outside the `except`: httpx's exceptions carry the request along.
        try:
            answer = client.request(method, path, **request)
        except FAILURES as failure:
            found = explain(failure, server, doing, self._redactor)
            kind = Passing if found.is_transient else SinkError
            error = kind(
                f"sink {self.name}: {found.message}",
                way_out=found.way_out,
                effect_is_unknown=saves and found.may_have_happened,
            )
        else:
            if answer.is_success or (answer.status_code == 404 and method in ("GET", "DELETE")):
                return answer
            if answer.status_code in (409, 412):
                raise Moved
            error = self._refusal(answer, server, doing, saves=saves)
        raise error

    def _refusal(self, answer: httpx.Response, server: Server, doing: str, *, saves: bool) -> SinkError:
        """An answer that is an error. Its words are shown without anything that the run knows to be secret."""
        from reconciler.http_failures import read_retry_after

        status, name = answer.status_code, server.name
        said = self._redactor.clean(answer.text)
        head = (
            f"sink {self.name}: {name} answered with status {status} when asked to {doing}{f': {said}' if said else ''}"
        )
        if status in (401, 403):
            return SinkError(head, way_out=f"Check {server.token}, and what it may do.")
        if status == 429 or status >= 500:
            passing = Passing(head, way_out=_AGAIN, effect_is_unknown=saves and status >= 500)
            passing.retry_after = read_retry_after(answer.headers.get("Retry-After"), self._effects.now)
            return passing
        return SinkError(head, way_out=server.check_address)
