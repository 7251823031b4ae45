"""What an answer of the API means, or that there is none: its JSON, or why not, as an error of errors.py.

Nothing here raises: a failure is a value, so that the retry loop can inspect it, and so that the error which is raised
in the end has no httpx exception behind it (`__context__`), whose request would carry the token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from reconciler.api import Fence
from reconciler.errors import (
    ApiError,
    ApiFailed,
    ApiRefused,
    ApiUnreachable,
    Conflict,
    Forbidden,
    NotAuthenticated,
    NotFound,
    QuotaReached,
    RateLimited,
    UnexpectedAnswer,
)
from reconciler.http_failures import AGAIN, NoAnswer, Server, read_retry_after
from reconciler.redaction import Redactor

if TYPE_CHECKING:
    import httpx

NOT_OF_QUOTAS = (401, 404, 408)
"""Statuses of refusals that have one meaning, whatever the body says."""
ABOUT_ACCESS = (401, 403, 404)
"""Statuses that say something of the token, the project or an object, if the API itself gives them."""
SOMETHING_ELSE = "something else answers at this address (a proxy or login page?)"
NOT_ITS_JSON = "something that is not the API's JSON"
LESS_OFTEN = "Wait a moment and run keyform again, or lower --parallelism."
MOST_INFO = 6
"""Facts of an error's `info` that are shown."""
MOST_VALUES = 1_000_000
"""Values that an answer's JSON may hold: Python's objects for them are up to a hundred times as large."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the API, and its words in errors.

    `doing` completes "the API refused to …"; `subject` is the event's; `missing` is what a 404 means, as a sentence
    without its full stop; `missing_way_out` what to do then. `fence` is checked each time before it is sent.
    """

    method: str
    path: str
    doing: str
    subject: str
    missing: str
    missing_way_out: str
    query: tuple[tuple[str, int], ...] = ()
    body: dict[str, Any] | None = None
    fence: Fence | None = None

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET"


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer: its JSON, or None for an empty body; `size` is in bytes. Without a repr: it may hold a secret."""

    payload: object
    size: int = 0

    def __repr__(self) -> str:
        return "Answer(…)"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer.

    `is_transient`: the same request may succeed a moment later. `may_have_happened`: the API may have processed it.
    `retry_after` is in seconds, if the API gives it. `is_documented`: the body is an error as the API writes it.
    """

    error: ApiError
    is_transient: bool = False
    may_have_happened: bool = False
    retry_after: float | None = None
    is_documented: bool = False

    @property
    def is_too_often(self) -> bool:
        """Whether the status means a rate limit [D]: the API refused the request unseen."""
        return self.error.status == 429 and not isinstance(self.error, QuotaReached)

    @property
    def asks_for_fewer(self) -> bool:
        """Whether fewer requests may help: 429, and the 503 of an overloaded server."""
        return self.is_too_often or self.error.status == 503


def the_api(host: str) -> Server:
    """The API at this host, as errors name it."""
    return Server(f"The API at {host}", address="GCORE_BASE_URL", token="GCORE_API_KEY")  # noqa: S106 - its name


_CHECK_URL = the_api("").check_address


def no_answer(found: NoAnswer, call: Call) -> Failure:
    """No answer came, or only part of one."""
    error = ApiUnreachable(
        found.message, way_out=found.way_out, effect_is_unknown=call.writes and found.may_have_happened
    )
    return Failure(error, is_transient=found.is_transient, may_have_happened=found.may_have_happened)


def read_answer(
    response: httpx.Response, call: Call, host: str, redactor: Redactor, now: Callable[[], datetime]
) -> Answer | Failure:
    """What an HTTP response means: the JSON of a 2xx, or the failure. `now` is called if the answer names an
    instant.
    """
    status = response.status_code
    if 200 <= status < 300:
        return _read_success(response, call, host)
    if 300 <= status < 400 or status < 200:
        return _strange(call, status, f"{host} returned a redirect or another interim status ({status})", _CHECK_URL)
    said = _read_error(response, redactor)
    if _is_of_another_server(status, said):
        finding = f"{host} answered with {said.form} and status {status}"
        return _strange(call, status, f"{finding}: {SOMETHING_ELSE}", _CHECK_URL)
    is_quota = call.writes and (status == 402 or (said.is_of_quota and 400 <= status < 500))
    is_quota = is_quota and status not in NOT_OF_QUOTAS
    kind, finding, way_out = _explain_quota(said, call) if is_quota else _explain(status, call)
    request = f", request {said.request_id}" if said.request_id else ""
    # A 401's own words are left out: they can repeat a part of the token.
    words = f' It says: "{said.text}"' if said.text and status != 401 else ""
    fields = f" Fields: {', '.join(said.fields)}." if said.fields and kind is ApiRefused else ""
    # [I] 408: the server waited too long for the end of the request, or a gateway for the server.
    in_doubt = status == 408 or status >= 500
    error = kind(
        f"{finding} (status {status}{request}).{words}{fields}",
        way_out=way_out,
        effect_is_unknown=in_doubt and call.writes,
        status=status,
        request_id=said.request_id,
    )
    seconds = read_retry_after(response.headers.get("retry-after"), now)
    if isinstance(error, RateLimited | ApiFailed):
        error.retry_after = seconds
    return Failure(
        error,
        is_transient=in_doubt or (status == 429 and not is_quota),
        may_have_happened=in_doubt,
        retry_after=seconds,
        is_documented=said.is_documented,
    )


def _is_of_another_server(status: int, said: _Said) -> bool:
    """Whether a refusal is not the API's: the 401 or 403 of a login page says nothing of the token or its rights, and a
    proxy's 404 does not mean "this key does not exist".

    Any JSON may be the API's: the forms of its errors differ between its services [D].
    """
    return not said.is_json and (status == 404 or (status in (*ABOUT_ACCESS, 407) and said.form == "HTML"))


def not_asked(call: Call, seconds: float) -> Failure:
    """The request was not sent: the API has refused everything for a while, and asks for that many more seconds."""
    error = RateLimited(
        f"The API is refusing all requests (too many), so keyform did not {call.doing}.",
        way_out=LESS_OFTEN,
    )
    error.retry_after = seconds
    return Failure(error)


def _explain(status: int, call: Call) -> tuple[type[ApiError], str, str]:
    """The error of a status, its sentence without the full stop, and the way out [D for all but 408]."""
    match status:
        case 401:
            way_out = "Check that it is complete and not expired or revoked, or create another in the Gcore portal."
            return NotAuthenticated, "The API did not accept the token in GCORE_API_KEY", way_out
        case 403:
            way_out = "Give the token a role with this permission in the project, or raise the exceeded quota."
            return Forbidden, f"The token has no permission to {call.doing}", way_out
        case 404:
            return NotFound, call.missing, call.missing_way_out
        case 408:
            return ApiFailed, f"The API timed out waiting for the request to {call.doing}", AGAIN
        case 409:
            finding = f"The API refused to {call.doing}: it conflicts with what is live"
            return Conflict, finding, "Run plan again to see what is live now."
        case 429:
            finding = f"The API refused to {call.doing}: too many requests"
            return RateLimited, finding, LESS_OFTEN
        case _ if status < 500:
            way_out = "Fix the cause, and run keyform again."
            return ApiRefused, f"The API refused to {call.doing}", way_out
        case _:
            return ApiFailed, f"The API failed to {call.doing}", AGAIN


def _explain_quota(said: _Said, call: Call) -> tuple[type[ApiError], str, str]:
    """The same for a quota that is used up, with what the API says about it."""
    details = f" ({', '.join(said.info)})" if said.info else ""
    way_out = "Delete keys that nobody uses, or have the quota raised in the Gcore portal, and run keyform again."
    return QuotaReached, f"A quota is used up{details}, so the API refused to {call.doing}", way_out


def _read_success(response: httpx.Response, call: Call, host: str) -> Answer | Failure:
    status = response.status_code
    body = response.content
    if left_out := response.extensions.get("left_out"):
        return _strange(call, status, f"{host} answered with a body {left_out}", _CHECK_URL)
    if not body.strip():
        return Answer(None)
    payload = _json(body)
    if payload is not _NOT_JSON:
        return Answer(payload, len(body))
    if _holds_too_much(body):
        return _strange(call, status, f"{host} returned more values than keyform accepts", _CHECK_URL)
    if _is_html(response):
        return _strange(call, status, f"{host} returned HTML, not JSON", _CHECK_URL)
    # Nothing of the body: that of a create holds the secret.
    return _strange(call, status, f"{host} returned a body that is not JSON, or was cut short", AGAIN, transient=True)


def _strange(call: Call, status: int, finding: str, way_out: str, *, transient: bool = False) -> Failure:
    error = UnexpectedAnswer(
        f"Could not {call.doing}: {finding}.", way_out=way_out, effect_is_unknown=call.writes, status=status
    )
    return Failure(error, is_transient=transient, may_have_happened=True)


@dataclass(frozen=True, slots=True)
class _Said:
    """What may be shown of an error answer."""

    text: str = ""
    request_id: str = ""
    fields: tuple[str, ...] = ()
    form: str = NOT_ITS_JSON
    is_json: bool = False
    is_documented: bool = False
    is_of_quota: bool = False
    info: tuple[str, ...] = ()


def request_id_of(response: httpx.Response, redactor: Redactor) -> str:
    """The API's own number for a request, by the answer's header; `""` if there is none that is safe to show."""
    return _identifier(response.headers.get("x-request-id"), redactor)


def _read_error(response: httpx.Response, redactor: Redactor) -> _Said:
    """Read `{exception_class, message, request_id, invalid_fields}` [D] or `{code, message}` [C]; HTML says nothing."""
    header_id = request_id_of(response, redactor)
    payload = _json(response.content)
    if not isinstance(payload, dict):
        form = "HTML" if _is_html(response) else NOT_ITS_JSON if response.content.strip() else "an empty body"
        return _Said(request_id=header_id, form=form)
    message = payload.get("message")
    return _Said(
        text=redactor.clean(message) if isinstance(message, str) else "",
        request_id=_identifier(payload.get("request_id"), redactor) or header_id,
        fields=_field_names(payload.get("invalid_fields"), redactor),
        is_json=True,
        is_documented=isinstance(message, str) and ("exception_class" in payload or "code" in payload),
        is_of_quota="quota" in f"{payload.get('exception_class')} {payload.get('code')}".lower(),
        info=tuple(islice(_flatten(payload.get("info"), redactor), MOST_INFO)),
    )


def _flatten(info: object, redactor: Redactor, name: str = "", depth: int = 3) -> Iterator[str]:
    """The content of `info`, whose form is undocumented: its names, numbers and short texts, as far as they may be
    shown.
    """
    match info:
        case dict() if depth:
            for key, value in islice(info.items(), MOST_INFO):
                inner = redactor.clean(f"{name}.{key}".removeprefix("."), longest=60)
                yield from _flatten(value, redactor, inner, depth - 1)
        case list() if depth:
            for value in info[:MOST_INFO]:
                yield from _flatten(value, redactor, name, depth - 1)
        case int() | str() if not isinstance(info, bool) and (text := redactor.clean(str(info), longest=60)):
            yield f"{name} {text}".strip()
        case _:
            pass


def _field_names(invalid: object, redactor: Redactor) -> tuple[str, ...]:
    """The names in `invalid_fields`, whose form is undocumented: an object by name, a list of names or of objects."""
    match invalid:
        case dict():
            found = list(invalid)
        case list():
            found = [entry.get("field") or entry.get("name") if isinstance(entry, dict) else entry for entry in invalid]
        case _:
            return ()
    names = (redactor.clean(name, longest=60) for name in found[:10] if isinstance(name, str))
    return tuple(name for name in names if name)


def _identifier(value: object, redactor: Redactor) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", value):
        return ""
    return value if redactor.clean(value) == value else ""


_NOT_JSON = object()


def _json(body: bytes) -> object:
    if _holds_too_much(body):
        return _NOT_JSON
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):  # ValueError: also bytes that are not text, and numbers of 5,000 digits
        return _NOT_JSON


def _holds_too_much(body: bytes) -> bool:
    return sum(map(body.count, (b",", b":", b"[", b"{"))) > MOST_VALUES


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity, which only Python reads


def _is_html(response: httpx.Response) -> bool:
    return "html" in response.headers.get("content-type", "") or response.content.lstrip()[:1] == b"<"
