"""The API as it answers, without keyform's reading of it: a question about the API must not depend on what it expects.

An answer is a value, whatever it is. Reads are sent again where that may help; a write is sent once, unless it is part
of the cleaning, which repeats what changes nothing a second time.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconciler.errors import Interrupted
from reconciler.gcore.addresses import api_address, trouble_with_endpoint
from reconciler.gcore.clock import ApiClock
from reconciler.http_client import make_client
from reconciler.http_failures import FAILURES, read_retry_after
from reconciler.loopback import is_loopback

if TYPE_CHECKING:
    from datetime import datetime

    import httpx

    from reconciler.effects import Effects
    from reconciler.model import Secret
    from reconciler.redaction import Redactor

ATTEMPTS = 5
"""How often a request is sent that may be sent again."""
LONGEST_PAUSE = 60.0
"""Seconds; what the API asks for beyond this is cut."""
SLICE = 1.0
"""Seconds of a wait after which it is seen whether the user has asked to stop."""
LONGEST_BODY = 64 * 1024
"""Bytes of an endpoint's answer that are read."""
PROBE = "/v1/models"
"""[D] What a request to an endpoint reads: a model computes nothing."""

_CLASS = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Stopped(Exception):
    """The user has asked to stop: nothing more is asked, and what was made is removed."""


@dataclass(frozen=True, slots=True)
class Said:
    """What came back: `status` 0 means that no answer came. Without a repr of the payload: it may hold a secret.

    `error_class` is the API's word for an error, where it is one by its form; `retry_after` is in seconds.
    """

    status: int
    payload: object = field(default=None, repr=False)
    retry_after: float | None = None
    is_json: bool = True
    error_class: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the API did it."""
        return 200 <= self.status < 300

    @property
    def is_refusal(self) -> bool:
        """Whether the API refused, and surely did nothing."""
        return 400 <= self.status < 500 and self.status not in (408, 429)

    @property
    def is_objection(self) -> bool:
        """Whether the API objects to the request itself, and not to who sends it, or how often."""
        return self.status in (400, 404, 405, 409, 422)

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body's fields; none of what is no object."""
        return self.payload if isinstance(self.payload, dict) else {}

    def __str__(self) -> str:
        """Such as `400 ValidationError`: fit to be published."""
        if not self.status:
            return "no answer"
        if self.is_ok or self.error_class:
            return f"{self.status} {self.error_class}".strip()
        return f"{self.status} with {'another body' if self.is_json else 'a body that is no JSON'}"


def shape_of(payload: object) -> dict[str, str]:
    """The fields of an object with their types, and no value; names that no API would choose are left out."""
    if not isinstance(payload, dict):
        return {}
    return {name: _kind(value) for name, value in sorted(payload.items()) if _FIELD.fullmatch(name)}


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            kinds = sorted({_kind(each) for each in value})
            return f"list of {' or '.join(kinds)}" if kinds else "empty list"
        case _:
            return "object"


class RawApi:
    """One API and a token, as requests and what comes back. Not for several threads."""

    def __init__(
        self, *, base_url: str, token: Secret, effects: Effects, redactor: Redactor, stop: threading.Event
    ) -> None:
        """Once `stop` is set, `ask` and `wait` raise Stopped, until `is_cleaning`.

        Raises ConfigError for a base URL that a token must not go to.
        """
        address = api_address(base_url)
        self._effects, self._token, self._redactor, self._stop = effects, token, redactor, stop
        self._client = make_client(effects, base_url=address, headers={"Accept": "application/json"})
        self._endpoints = make_client(effects, headers={"Accept": "application/json", "Accept-Encoding": "identity"})
        self._is_here = is_loopback(urlsplit(address).hostname or "")
        self.host = urlsplit(address).netloc
        self.clock = ApiClock(effects.now)
        self.is_cleaning = False
        self.is_hurried = False
        """Whether the user no longer waits for the cleaning."""
        self.sent = 0

    def now(self) -> datetime:
        """The instant by the API's clock, which decides when a key expires."""
        return self.clock.glance()

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return self._effects.monotonic()

    def wait(self, seconds: float) -> None:
        """Wait, and stop when the user asks for it; while cleaning, a second request to stop ends the wait at once."""
        until = self._effects.monotonic() + seconds
        while (left := until - self._effects.monotonic()) > 1e-6:
            self.check_stop()
            try:
                self._effects.sleep(min(SLICE, left))
            except Interrupted:
                self.is_hurried = True
                if self.is_cleaning:
                    return
                raise Stopped from None
        self.check_stop()

    def check_stop(self) -> None:
        """Raise Stopped once the user has asked to stop, unless what was made is being removed."""
        if self._stop.is_set() and not self.is_cleaning:
            raise Stopped

    def get(self, path: str, **query: str | int) -> Said:
        """A read, sent again where that may help."""
        return self.ask("GET", path, query=query, attempts=ATTEMPTS)

    def get_as_lower_case(self, path: str, **query: str | int) -> Said:
        """A read with the word before the token as the published document writes it."""
        return self.get_with(f"apikey {self._token.reveal()}", path, **query)

    def get_with(self, authorization: str, path: str, **query: str | int) -> Said:
        """A read with another authorization than the token's."""
        return self.ask("GET", path, query=query, authorization=authorization, attempts=ATTEMPTS)

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str | int] | None = None,
        authorization: str | None = None,
        attempts: int = 1,
    ) -> Said:
        """One request, at most `attempts` times: again when no answer came, or the API failed or was asked too often.

        `authorization` replaces the header with the token.
        """
        said = Said(0)
        for number in range(1, attempts + 1):
            self.check_stop()
            said = self._send(method, path, body, query, authorization)
            if said.status not in (0, 408, 429) and said.status < 500:
                return said
            if number < attempts:
                self.wait(min(said.retry_after or 0.0, LONGEST_PAUSE) + 0.5 * 2 ** (number - 1))
        return said

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str | int] | None,
        authorization: str | None,
    ) -> Said:
        headers = {"Authorization": authorization or f"APIKey {self._token.reveal()}"}
        before = self._effects.now()
        self.sent += 1
        try:
            response = self._client.request(method, path, params=dict(query or {}) or None, json=body, headers=headers)
        except FAILURES:
            return Said(0)
        if "age" not in response.headers:
            self.clock.note(response.headers.get("date"), sent=before, received=self._effects.now())
        return self._read(response)

    def _read(self, response: httpx.Response) -> Said:
        pause = read_retry_after(response.headers.get("retry-after"), self.clock.glance)
        if not response.content.strip():
            return Said(response.status_code, None, pause)
        status = response.status_code
        try:
            payload = json.loads(response.content)
        except (ValueError, RecursionError):
            # A 2xx that is no JSON is not the API's answer: what it did is unknown.
            return Said(0 if 200 <= status < 300 else status, None, pause, is_json=False)
        word = payload.get("exception_class", payload.get("code")) if isinstance(payload, dict) else None
        # A word that holds a part of the token, or of a secret, is none.
        is_word = isinstance(word, str) and _CLASS.fullmatch(word) and self._redactor.clean(word) == word
        return Said(status, payload, pause, error_class=str(word) if is_word else "")

    def call_endpoint(self, address: str, *, key: str | None = None, bearer: str | None = None, timeout: float) -> int:
        """The status of one request to an endpoint itself; 0 when no answer came, or none may be asked for.

        Never with the API's token. `timeout` is in seconds. A redirect is not followed.
        """
        self.check_stop()
        url = address if "://" in address else f"https://{address}"
        if trouble_with_endpoint(url, api_is_here=self._is_here):
            return 0
        offered = {"X-API-Key": key, "Authorization": bearer and f"Bearer {bearer}"}
        headers = {name: value for name, value in offered.items() if value}
        limits = {"timeout": {"whole": timeout}, "longest_body": LONGEST_BODY}
        self.sent += 1
        try:
            return self._endpoints.get(f"{url.rstrip('/')}{PROBE}", headers=headers, extensions=limits).status_code
        except (*FAILURES, UnicodeError):
            return 0
