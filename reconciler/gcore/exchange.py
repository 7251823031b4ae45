"""Requests and their answers: one place builds, counts, sends and, where that is safe, sends again."""

from __future__ import annotations

import threading
from enum import Enum
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconciler import __version__
from reconciler.effects import Effects
from reconciler.errors import ConfigError, CredentialsMissing
from reconciler.gcore.events import ApiEvent, EventKind, Listener
from reconciler.gcore.faults import Answer, Call, Fault, no_answer, read_answer
from reconciler.gcore.redaction import Redactor
from reconciler.model import Secret

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

ATTEMPTS = 5
FIRST_WAIT = 0.5
LONGEST_WAIT = 8.0
LONGEST_RETRY_AFTER = 60.0
"""Seconds; what the API asks for beyond this is cut."""


class Resend(Enum):
    """When a request may be sent again."""

    NEVER = "never"
    """Not even when it surely did not arrive: a create."""
    IF_UNPROCESSED = "if unprocessed"
    """Only when the API surely did nothing: a write of a whole list, which rests on a reading just before it."""
    IF_TRANSIENT = "if transient"
    """Whenever that may help: a second time changes nothing."""


class Exchange:
    """One API's address, token and way of being asked. Safe between threads.

    Proxies of the environment, cookies, redirects and .netrc play no part: what connects is `effects.send`.
    """

    def __init__(
        self, *, base_url: str, token: Secret, effects: Effects, redactor: Redactor, listener: Listener | None
    ) -> None:
        """Raises ConfigError for a base URL that a token must not go to, CredentialsMissing for an unusable token."""
        # 100 ms that `keyform validate` need not wait.
        from http.cookiejar import CookieJar, DefaultCookiePolicy  # noqa: PLC0415

        import httpx  # noqa: PLC0415

        address = _address(base_url)
        if not (token.reveal().isascii() and token.reveal().isprintable() and " " not in token.reveal()):
            raise CredentialsMissing(
                "The token in GCORE_API_KEY holds a space, a line break or another character that no token has.",
                way_out="Set it again, without quotes or a line break around it.",
            )
        self._effects = effects
        self._redactor = redactor
        self._listener = listener
        self._host = urlsplit(address).netloc
        self._counting = threading.Lock()
        self._count = 0
        self._client = httpx.Client(
            base_url=address,
            transport=_transport(effects),
            trust_env=False,
            # A load balancer's cookie would make one thread's answers depend on another's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={
                "Authorization": f"APIKey {token.reveal()}",  # [C] as the official SDK writes it
                "User-Agent": f"keyform/{__version__}",
                "Accept": "application/json",
            },
        )

    @property
    def request_count(self) -> int:
        """How many requests were sent, the repeated ones too."""
        with self._counting:
            return self._count

    def ask(self, call: Call, resend: Resend) -> Answer:
        """The API's answer, after as many attempts as `resend` allows.

        Raises ApiError; its `effect_is_unknown` tells of all attempts together, so that it is also true of a 404 to a
        DELETE of which an earlier one may have arrived. Interrupted comes from the waiting.
        """
        outcome, doubtful = self._attempts(call, resend)
        match outcome:
            case Answer():
                return outcome
            case Fault(error=error):
                error.effect_is_unknown |= call.writes and doubtful
                raise error

    def tell(self, event: ApiEvent) -> None:
        """Tell the listener, if there is one."""
        if self._listener is not None:
            self._listener(event)

    def _attempts(self, call: Call, resend: Resend) -> tuple[Answer | Fault, bool]:
        """The last outcome, and whether any attempt before it may have had its effect."""
        import tenacity  # noqa: PLC0415 - 30 ms that `keyform validate` need not wait

        faults: list[Fault] = []

        def attempt() -> Answer | Fault:
            outcome = self._send(call, number=len(faults) + 1)
            if isinstance(outcome, Fault):
                faults.append(outcome)
            return outcome

        def is_worth_another(outcome: Answer | Fault) -> bool:
            return isinstance(outcome, Fault) and _may_resend(outcome, resend)

        def tell_of_wait(state: RetryCallState) -> None:
            wait = state.next_action.sleep if state.next_action else 0.0
            self.tell(ApiEvent(EventKind.RETRY, call.method, call.subject, len(faults), wait, faults[-1].error.message))

        # Outcomes are values, not exceptions: an exception that tenacity holds would keep the frames that it passed.
        retrying = tenacity.Retrying(
            sleep=self._effects.sleep,
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=lambda state: self._wait_seconds(state.attempt_number, faults[-1]),
            retry=tenacity.retry_if_result(is_worth_another),
            before_sleep=tell_of_wait,
            retry_error_callback=lambda _: faults[-1],
        )
        outcome: Answer | Fault = retrying(attempt)
        earlier = faults[:-1] if isinstance(outcome, Fault) else faults
        return outcome, any(fault.may_have_happened for fault in earlier)

    def _wait_seconds(self, attempt: int, fault: Fault) -> float:
        """Doubled each time, with half of it left to chance; not less than what the API asks for, within reason."""
        backoff: float = min(FIRST_WAIT * 2.0 ** (attempt - 1), LONGEST_WAIT)
        jittered = backoff * (0.5 + self._effects.random() / 2)
        if fault.retry_after is None:
            return jittered
        return min(fault.retry_after, LONGEST_RETRY_AFTER) + jittered

    def _send(self, call: Call, *, number: int) -> Answer | Fault:
        import httpx  # noqa: PLC0415 - loaded by the constructor already

        self.tell(ApiEvent(EventKind.REQUEST, call.method, call.subject, number))
        with self._counting:
            self._count += 1
        try:
            response = self._client.request(call.method, call.path, params=dict(call.query) or None, json=call.body)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as failure:
            return no_answer(failure, call, self._host, self._redactor)
        return read_answer(response, call, self._host, self._redactor, self._effects.now())


def _may_resend(fault: Fault, resend: Resend) -> bool:
    match resend:
        case Resend.NEVER:
            return False
        case Resend.IF_UNPROCESSED:
            return fault.is_transient and not fault.may_have_happened
        case Resend.IF_TRANSIENT:
            return fault.is_transient


def _transport(effects: Effects) -> httpx.BaseTransport:
    """What httpx asks for a connection: the run's effects."""
    import httpx  # noqa: PLC0415 - loaded by the constructor already

    class Seam(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            # How long to wait is for the effects to say; httpx.Client would put its own five seconds there.
            request.extensions.pop("timeout", None)
            return effects.send(request)

    return Seam()


def _address(base_url: str) -> str:
    """The base URL without a slash at its end. Raises ConfigError, which never repeats it: it may hold a password."""
    address = base_url.strip().rstrip("/")
    trouble = _trouble_with(address)
    if trouble:
        raise ConfigError(
            f"GCORE_BASE_URL {trouble}.", (), way_out="Set it to a URL like https://api.gcore.com, or leave it unset."
        )
    return address


def _trouble_with(address: str) -> str:
    """Why a token must not go to this address; nothing when it may."""
    import httpx  # noqa: PLC0415 - loaded by the constructor already

    try:
        parts = urlsplit(address)
        host, port, user, password = parts.hostname, parts.port, parts.username, parts.password
        httpx.URL(address)
    except (ValueError, httpx.InvalidURL):
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not host or port == 0:
        return "is not a URL that begins with https:// and names a host"
    if user is not None or password is not None:
        return "holds a user name or a password: the token goes into GCORE_API_KEY"
    if parts.query or parts.fragment:
        return "has a query or a fragment"
    if not address.isprintable() or " " in address:
        return "is not a URL"
    if parts.scheme == "http" and not _is_loopback(host):
        return f"would send the token unencrypted to {host}: plain http is for this machine only"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
