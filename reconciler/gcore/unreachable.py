"""What httpx's exceptions mean, in words: no proper answer came from the API."""

from __future__ import annotations

from typing import Any

from reconciler.errors import ApiUnreachable
from reconciler.gcore.faults import AGAIN, CHECK_URL, Call, Fault
from reconciler.redaction import Redactor


def no_answer(failure: Exception, call: Call, host: str, redactor: Redactor) -> Fault:
    """What an httpx exception means."""
    import httpx  # noqa: PLC0415 - heavy; whoever gets here has loaded it

    # These happen before a byte of the request is on its way; after all others the API may have processed it.
    unsent = isinstance(
        failure,
        httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError | httpx.UnsupportedProtocol
        | httpx.LocalProtocolError | httpx.InvalidURL | FileNotFoundError,
    )  # fmt: skip
    reason, way_out, hopeful = _why(failure, redactor)
    error = ApiUnreachable(
        f"The API at {host} could not be reached{_way(failure)} to {call.doing}: {reason}.",
        way_out=way_out,
        effect_is_unknown=call.writes and not unsent,
    )
    return Fault(error, is_transient=hopeful, may_have_happened=not unsent)


def reason_for(failure: Exception, redactor: Redactor) -> tuple[str, bool]:
    """Why no answer came, in words that say nothing of an address or a header, and whether waiting may help."""
    reason, _, hopeful = _why(failure, redactor)
    return reason, hopeful


def _why(failure: Exception, redactor: Redactor) -> tuple[str, str, bool]:
    """The reason in words, the way out, and whether waiting may help."""
    for cause in _causes(failure):
        # By their names: whoever imports socket or ssl could reach past the effects.
        match type(cause).__name__:
            case "gaierror":
                return "its name cannot be resolved", f"Check the network. {CHECK_URL}", True
            case "SSLCertVerificationError":
                trouble = redactor.clean(str(getattr(cause, "verify_message", "")), longest=100) or "not verified"
                way_out = "Check GCORE_BASE_URL; behind a company's proxy, set SSL_CERT_FILE to its certificates."
                return f"its TLS certificate is not trusted ({trouble})", way_out, False
            case "SSLError":
                return "TLS could not be set up", CHECK_URL, True
            case "AnswerTooLong":
                return "it answered with more than keyform reads", CHECK_URL, False
            case "ConnectionRefusedError":
                return "it refused the connection", f"Check the network. {CHECK_URL}", True
            case _:
                continue
    return _in_words(failure, redactor)


def _in_words(failure: Exception, redactor: Redactor) -> tuple[str, str, bool]:
    import httpx  # noqa: PLC0415 - as above

    match failure:
        case httpx.ConnectTimeout():
            limit = _limit(failure, "connect")
            return f"it could not be connected to {limit}", f"Check the network. {CHECK_URL}", True
        case httpx.WriteTimeout():
            return f"it did not take the request {_limit(failure, 'whole')}", AGAIN, True
        case httpx.ReadTimeout():
            return f"it did not answer {_limit(failure, 'whole')}", AGAIN, True
        case httpx.TimeoutException():
            return f"its answer was not whole {_limit(failure, 'whole')}", AGAIN, True
        case httpx.ProxyError():
            said = redactor.clean(str(failure), longest=100)
            # The proxy's own status: that of a gateway may pass, "log in" and "forbidden" do not.
            return f"the proxy did not connect it ({said})", "Check HTTPS_PROXY and NO_PROXY.", said.startswith("5")
        case httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return "its address is not one for HTTP", CHECK_URL, False
        case httpx.LocalProtocolError():
            # httpx's own words would show the header.
            return "the request is not one that HTTP allows", "Check GCORE_API_KEY for stray characters.", False
        case FileNotFoundError():
            return "the trusted certificates cannot be read", "Check SSL_CERT_FILE and SSL_CERT_DIR.", False
        case httpx.DecodingError():
            return "its answer could not be decompressed", AGAIN, True
        case httpx.ConnectError():
            return "no connection was made", f"Check the network. {CHECK_URL}", True
        case _:
            return "the connection broke off", AGAIN, True


def _extension(failure: Exception, name: str) -> Any:
    """What the transport noted on the request that failed."""
    import httpx  # noqa: PLC0415 - as above

    try:
        return failure.request.extensions.get(name) if isinstance(failure, httpx.RequestError) else None
    except RuntimeError:  # httpx does not know the request
        return None


def _limit(failure: Exception, name: str) -> str:
    """The time limit that was passed: `within 30 seconds`, or `in time` when nobody noted it."""
    seconds = (_extension(failure, "timeout") or {}).get(name)
    return "in time" if seconds is None else f"within {seconds:g} second{'s' if seconds != 1 else ''}"


def _way(failure: Exception) -> str:
    proxy = _extension(failure, "proxy")
    return f" through the proxy {proxy}" if proxy else ""


def _causes(failure: BaseException) -> list[BaseException]:
    """The exception and what is behind it; httpx wraps httpcore, which wraps the system's own."""
    found: list[BaseException] = []
    cause: BaseException | None = failure
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found
