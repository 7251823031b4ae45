"""What goes in and what comes out: requests, answers, and the API's documented errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

Json = Any
"""Any value in JSON."""

JSON_TYPE = "application/json"
EVENT_STREAM = "text/event-stream"
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True)
class Request:
    """One HTTP request, with or without HTTP: `path` is decoded, `query` is the raw string without its `?`."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @classmethod
    def build(
        cls,
        method: str,
        url: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        json_body: Json = None,
    ) -> Request:
        """A request to `url` (a path or a whole address), signed with a management `token` if one is given."""
        parts = urlsplit(url)
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"APIKey {token}"
        body = b"" if json_body is None else json.dumps(json_body).encode()
        return cls(method, unquote(parts.path), parts.query or urlencode(query or {}, doseq=True), sent, body)

    @cached_property
    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def header(self, name: str) -> str | None:
        """A header's value; `name` in lower case."""
        return self._headers.get(name)

    @cached_property
    def parameters(self) -> dict[str, list[str]]:
        """The query, parsed: every name with all of its values."""
        return parse_qs(self.query, keep_blank_values=True) if self.query else {}

    def json(self) -> Json:
        """The body as JSON; ValueError if it is not JSON, or could not be stored and shown again (see `read_json`)."""
        return read_json(self.body)


@dataclass(frozen=True)
class Answer:
    """One HTTP response."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    def dated(self, date: str) -> Answer:
        """The same response with a `Date` header."""
        return Answer(self.status, {**self.headers, "Date": date}, self.body)

    def json(self) -> Json:
        """The body as JSON; ValueError if it is not."""
        return json.loads(self.body)


def read_json(body: bytes) -> Json:
    """JSON in UTF-8 [RFC 8259]. ValueError, too, for half of a surrogate pair, for `NaN`, and for deep nesting."""
    try:
        content = json.loads(body.decode(), parse_constant=_refuse)
        _encode(content).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return content


def _refuse(constant: str) -> Json:
    raise ValueError(f"{constant} is no JSON")


class ConnectionLost(ConnectionError):
    """Raised by an interceptor to lose the answer: over HTTP the connection breaks, in process it is raised on."""


def json_answer(status: int, content: Json) -> Answer:
    """`content` as a JSON response."""
    return Answer(status, {"Content-Type": JSON_TYPE}, _encode(content).encode())


NO_CONTENT = Answer(204)
"""[D] What DELETE of a key answers."""


class ApiError(Exception):
    """A refusal, in the API's documented form: `{exception_class, message, request_id, info?, invalid_fields?}` [D]."""

    def __init__(
        self,
        status: int,
        exception_class: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extra: Json,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.exception_class = exception_class
        self.message = message
        self.headers = headers or {}
        self.extra = extra

    def answer(self, request_id: str) -> Answer:
        """The response that carries this error."""
        content = {"exception_class": self.exception_class, "message": self.message, "request_id": request_id}
        answer = json_answer(self.status, content | self.extra)
        return Answer(answer.status, {**answer.headers, **self.headers}, answer.body)


class RawError(Exception):
    """A refusal in another form; carries the ready answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def validation_error(invalid_fields: Mapping[str, list[str]]) -> ApiError:
    """400 with every bad field and why [D]; `invalid_fields` maps a dotted path to its messages."""
    found = dict(invalid_fields)
    return ApiError(400, "ValidationError", f"Validation Error: {found}", invalid_fields=found)


def not_found(kind: str, name: str | int) -> ApiError:
    """404 `NotFoundError` [D]."""
    return ApiError(404, "NotFoundError", f"{kind} {name} not found")


def conflict(message: str) -> ApiError:
    """409 `ConflictError` ([D] by name, [I] by status)."""
    return ApiError(409, "ConflictError", message)


def forbidden(message: str) -> ApiError:
    """403 `ForbiddenError` [D]."""
    return ApiError(403, "ForbiddenError", message)
