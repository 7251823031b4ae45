"""What went wrong on the way to a server, in words: httpx's exceptions, for the API, its endpoints and for stores.

Nothing here raises, and nothing keeps the exception, whose request carries a token.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from reconciler.redaction import Redactor
from reconciler.sockets import AnswerTooLong

FAILURES = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)
"""The exceptions with which a request of `http_client` fails."""
AGAIN = "Run keyform again: it continues from the live state."


@dataclass(frozen=True, slots=True)
class Server:
    """The server, as errors name it: `name` begins a sentence, such as `The API at api.gcore.com`.

    `address` and `token` are what a user checks, such as `GCORE_BASE_URL` and `GCORE_API_KEY`.
    """

    name: str
    address: str
    token: str

    @property
    def check_address(self) -> str:
        """What to do if the server may be the wrong one."""
        return f"Check {self.address}, and any proxy on the way."


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Why no whole answer came.

    `message` is a sentence, `reason` the part of it that needs a subject, `way_out` what to do. `is_transient`: the
    same request may succeed a moment later. `may_have_happened`: the server may have processed it.
    """

    message: str
    reason: str
    way_out: str
    is_transient: bool
    may_have_happened: bool


# These happen before a byte of the request is sent; after all others the server may have processed it.
_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
    FileNotFoundError,
)


def explain(failure: Exception, server: Server, doing: str, redactor: Redactor) -> NoAnswer:
    """What one of `FAILURES` means; `doing` completes "could not be reached to …"."""
    reason, way_out, is_transient = _explain_cause(failure, server, redactor) or _explain(failure, server, redactor)
    proxy = _extension(failure, "proxy")
    way = f" through the proxy {proxy}" if proxy else ""
    return NoAnswer(
        message=f"{server.name} could not be reached{way} to {doing}: {reason}.",
        reason=reason,
        way_out=way_out,
        is_transient=is_transient,
        may_have_happened=not isinstance(failure, _UNSENT),
    )


def _explain_cause(failure: BaseException, server: Server, redactor: Redactor) -> tuple[str, str, bool] | None:
    """What is behind the exception: httpx wraps httpcore, which wraps the system's own."""
    network = f"Check the network. {server.check_address}"
    seen: list[BaseException] = []
    cause: BaseException | None = failure
    while cause is not None and cause not in seen:
        match cause:
            case socket.gaierror():
                return "its name cannot be resolved", network, True
            case ssl.SSLCertVerificationError():
                trouble = redactor.clean(str(getattr(cause, "verify_message", "")), longest=100) or "not verified"
                way_out = f"Check {server.address}; behind a company's proxy, set SSL_CERT_FILE to its certificates."
                return f"its TLS certificate is not trusted ({trouble})", way_out, False
            case ssl.SSLError() if type(cause) is ssl.SSLError:  # others are of sockets that wait, or that closed
                return "TLS could not be set up", server.check_address, True
            case AnswerTooLong():
                return "it returned more than keyform accepts", server.check_address, False
            case ConnectionRefusedError():
                return "it refused the connection", network, True
            case _:
                pass
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    return None


def _explain(failure: Exception, server: Server, redactor: Redactor) -> tuple[str, str, bool]:
    """The reason in words, the way out, and whether waiting may help."""
    network = f"Check the network. {server.check_address}"
    match failure:
        case httpx.ConnectTimeout():
            return f"could not connect {_limit(failure, 'connect')}", network, True
        case httpx.WriteTimeout():
            return f"it did not accept the request {_limit(failure, 'whole')}", AGAIN, True
        case httpx.ReadTimeout():
            return f"it did not answer {_limit(failure, 'whole')}", AGAIN, True
        case httpx.TimeoutException():
            return f"its answer was not complete {_limit(failure, 'whole')}", AGAIN, True
        case httpx.ProxyError():
            said = redactor.clean(str(failure), longest=100)
            # The proxy's own status: that of a gateway may pass, "log in" and "forbidden" do not.
            return f"the proxy did not connect it ({said})", "Check HTTPS_PROXY and NO_PROXY.", said.startswith("5")
        case httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return "its address is not an HTTP address", server.check_address, False
        case httpx.LocalProtocolError():
            # httpx's own words would show the header.
            return "the request is not valid HTTP", f"Check {server.token} for stray characters.", False
        case FileNotFoundError():
            return "the trusted certificates cannot be read", "Check SSL_CERT_FILE and SSL_CERT_DIR.", False
        case httpx.DecodingError():
            return "its answer could not be decompressed", AGAIN, True
        case httpx.ConnectError():
            return "no connection was made", network, True
        case _:
            return "the connection was lost", AGAIN, True


def _extension(failure: Exception, name: str) -> Any:
    """What the transport noted on the request that failed."""
    try:
        return failure.request.extensions.get(name) if isinstance(failure, httpx.RequestError) else None
    except RuntimeError:  # httpx does not know the request
        return None


def _limit(failure: Exception, name: str) -> str:
    """The time limit that was reached: `within 30 seconds`, or `in time` if none was noted."""
    seconds = (_extension(failure, "timeout") or {}).get(name)
    return "in time" if seconds is None else f"within {seconds:g} second{'s' if seconds != 1 else ''}"


def read_date(value: str | None) -> datetime | None:
    """An HTTP date, in UTC; None for anything else."""
    if value is None or not value.isascii():
        return None
    try:
        date = parsedate_to_datetime(value)
        return None if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def read_retry_after(value: str | None, now: Callable[[], datetime]) -> float | None:
    """Seconds to wait, from `Retry-After` in either of its forms: seconds, or an HTTP date. None for nonsense."""
    if value is None:
        return None
    if re.fullmatch(r"\d{1,9}", value.strip(), re.ASCII):
        return float(value.strip())  # float accepts less white space
    until = read_date(value)
    return None if until is None else max(0.0, (until - now()).total_seconds())
