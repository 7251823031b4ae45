"""Requests and their answers: one place builds, counts, sends and, where that is safe, sends again."""

from __future__ import annotations

import itertools
import json
import threading
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconciler import __version__
from reconciler.effects import Effects
from reconciler.errors import ConfigError, Conflict, CredentialsMissing, LockLost, UnexpectedAnswer
from reconciler.gcore.clock import ApiClock
from reconciler.gcore.events import ApiEvent, EventKind, Listener
from reconciler.gcore.faults import AGAIN, Answer, Call, Fault, not_asked, read_answer
from reconciler.gcore.pace import LONGEST_RETRY_AFTER, Gate, Shut, backoff
from reconciler.gcore.unreachable import no_answer
from reconciler.loopback import is_loopback
from reconciler.model import Secret
from reconciler.redaction import Redactor

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

ATTEMPTS = 5
"""How often a request may fail; being asked to come back later (429) is no failure."""
PATIENCE = 180.0
"""Seconds for which a request comes back that is refused again and again while others are let through. One more wait
fits into the half of the lock's life that is left when a step begins."""


class Resend(Enum):
    """When a request may be sent again."""

    IF_TOO_OFTEN = "if too often"
    """Only when the API itself said that it was asked too often, and refused it unseen: a create."""
    IF_UNPROCESSED = "if unprocessed"
    """Only when the API surely did nothing: a write of a whole list, which rests on a reading just before it."""
    IF_TRANSIENT = "if transient"
    """Whenever that may help: a second time changes nothing."""


class Refusals:
    """How often the API came back to one request with 429, and whether that is for all of them, or for this one."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._overtaken = 0
        self._let_through = -1

    def are_too_many(self, now: float, let_through: int) -> bool:
        """Called at each refusal, with how many requests were let through so far; whether to give up."""
        if self._since is None:
            self._since = now
        if let_through != self._let_through:
            # The first in line is refused, and another is not: the pace is not what is wrong with it.
            self._overtaken += 1
            self._let_through = let_through
        return self._overtaken >= ATTEMPTS or now - self._since >= PATIENCE


class Exchange:
    """One API's address, token and way of being asked. Safe between threads.

    Cookies, redirects and .netrc play no part. What connects, through a proxy or not, is `effects.send`.
    """

    def __init__(
        self,
        *,
        base_url: str,
        token: Secret,
        effects: Effects,
        redactor: Redactor,
        listener: Listener | None,
        workers: int,
    ) -> None:
        """`workers` is how many requests may be in flight at most.

        Raises ConfigError for a base URL that a token must not go to, CredentialsMissing for an unusable token."""
        import httpx  # noqa: PLC0415 - 100 ms that `keyform validate` need not wait

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
        self.is_here = is_loopback(urlsplit(address).hostname or "")
        self._workers = max(1, workers)
        self._gate = Gate(workers, effects, self._tell_of_pace)
        self.clock = ApiClock(effects.now, self._tell_of_clock)
        self._counting = threading.Lock()
        self._count = 0
        self._address = address
        self._headers = httpx.Headers(
            {
                "Host": _url(address, ()).netloc.decode("ascii"),
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "Connection": "keep-alive",
                "User-Agent": f"keyform/{__version__}",
                "Authorization": f"APIKey {token.reveal()}",  # [C] as the official SDK writes it
            }
        )

    @property
    def request_count(self) -> int:
        """How many requests were sent, the repeated ones too."""
        with self._counting:
            return self._count

    def ask(self, call: Call, resend: Resend) -> Answer:
        """The API's answer, after as many attempts as `resend` allows.

        Raises ApiError; its `effect_is_unknown` tells of all attempts together, so that it is also true of a 404 to a
        DELETE of which an earlier one may have arrived. Interrupted comes from the waiting, LockLost from the fence of
        the call, before it is sent.
        """
        ticket = self._gate.draw_ticket()
        earlier: list[Fault] = []
        try:
            outcome, pause = self._send(call, ticket, number=1)
        except Shut as shut:
            outcome, pause = not_asked(call, shut.seconds), 0.0
        # Nearly every request is answered at once, and need not pay for what it would take to send it again.
        if isinstance(outcome, Fault) and _may_resend(outcome, resend):
            outcome, earlier = self._ask_again(call, resend, ticket, outcome, pause)
        match outcome:
            case Answer():
                return outcome
            case Fault(error=Conflict() as error) if earlier and resend is Resend.IF_TOO_OFTEN:
                # Then the name was taken meanwhile; or the API refused what it had done. Nobody can tell.
                raise UnexpectedAnswer(
                    f"The API was asked too often to {call.doing}, and when asked again said that it is there"
                    f" (status {error.status}): it may have been made the first time.",
                    way_out=AGAIN,
                    effect_is_unknown=True,
                    status=error.status,
                )
            case Fault(error=error):
                error.effect_is_unknown |= call.writes and any(fault.may_have_happened for fault in earlier)
                raise error

    def tell(self, event: ApiEvent) -> None:
        """Tell the listener, if there is one."""
        if self._listener is not None:
            self._listener(event)

    def _tell_of_pace(self, sentence: str, wait: float, in_flight: int) -> None:
        event = ApiEvent(EventKind.PACE, "", "", 1, wait, sentence, in_flight, self._workers)
        self.tell(event)

    def _tell_of_clock(self, sentence: str) -> None:
        self.tell(ApiEvent(EventKind.CLOCK, "", "", detail=sentence))

    def _ask_again(
        self, call: Call, resend: Resend, ticket: int, first: Fault, pause: float
    ) -> tuple[Answer | Fault, list[Fault]]:
        """The last outcome, and the faults of the attempts before it; of the first, `first` and `pause` came."""
        import tenacity  # noqa: PLC0415 - 30 ms that a run without faults need not wait

        faults = [first]
        refusals = Refusals()
        is_shut = False

        def attempt() -> Answer | Fault:
            nonlocal pause, is_shut
            try:
                outcome, pause = self._send(call, ticket, number=len(faults) + 1)
            except Shut:
                is_shut = True
                return faults[-1]
            except LockLost as lost:
                lost.effect_is_unknown |= call.writes and any(fault.may_have_happened for fault in faults)
                raise
            if isinstance(outcome, Fault):
                faults.append(outcome)
            return outcome

        def failures() -> int:
            return sum(not fault.is_too_often for fault in faults)

        def is_worth_another(outcome: Answer | Fault) -> bool:
            return isinstance(outcome, Fault) and not is_shut and _may_resend(outcome, resend)

        def is_over(_: RetryCallState) -> bool:
            if faults[-1].is_too_often and refusals.are_too_many(self._effects.monotonic(), self._gate.let_through):
                return True
            if faults[-1].asks_for_fewer and self._gate.is_shut():
                return True
            return failures() >= ATTEMPTS

        def tell_of_wait(state: RetryCallState) -> None:
            wait = state.next_action.sleep if state.next_action else 0.0
            self.tell(ApiEvent(EventKind.RETRY, call.method, call.subject, len(faults), wait, faults[-1].error.message))

        def sleep(seconds: float) -> None:
            if not faults[-1].asks_for_fewer:  # or else all wait, at the gate
                self._effects.sleep(seconds)

        # Outcomes are values, not exceptions: an exception that tenacity holds would keep the frames that it passed.
        retrying = tenacity.Retrying(
            sleep=sleep,
            stop=is_over,
            wait=lambda _: pause or self._wait_seconds(failures(), faults[-1]),
            retry=tenacity.retry_if_result(is_worth_another),
            before_sleep=tell_of_wait,
            retry_error_callback=lambda _: faults[-1],
        )
        # What came of the first attempt is known; each of the others is made when it is asked for, and none is None.
        outcomes = itertools.chain([first], iter(attempt, None))
        outcome: Answer | Fault = retrying(next, outcomes)
        return outcome, faults[:-1] if isinstance(outcome, Fault) else faults

    def _wait_seconds(self, failures: int, fault: Fault) -> float:
        """Not less than what the API asks for, within reason."""
        return min(fault.retry_after or 0.0, LONGEST_RETRY_AFTER) + backoff(failures, self._effects.random())

    def _send(self, call: Call, ticket: int, *, number: int) -> tuple[Answer | Fault, float]:
        """The outcome of one attempt, and for how many seconds nobody sends if the API asked for fewer requests."""
        # Before the request has its place at the gate, where the question needs one of its own. The caller asked before
        # the first attempt; what happens while the request waits for its place, the clock tells.
        if call.fence is not None and number > 1:
            call.fence.check()
        with self._gate.place(ticket) as place:
            if call.fence is not None:
                call.fence.hold()
            self.tell(ApiEvent(EventKind.REQUEST, call.method, call.subject, number))
            with self._counting:
                self._count += 1
            outcome = self._exchange(call)
            if isinstance(outcome, Answer):
                place.passed()
            elif outcome.asks_for_fewer:
                return outcome, place.refused(outcome.retry_after, too_often=outcome.is_too_often)
            elif outcome.error.status is not None and outcome.error.status < 500:
                place.passed()
        return outcome, 0.0

    def _request(self, call: Call) -> httpx.Request:
        import httpx  # noqa: PLC0415 - loaded by the constructor already

        # As a stream, with all its headers: httpx would put together anew for each request what is the same for all.
        content = b"" if call.body is None else _write_json(call.body).encode()
        url = _url(self._address + call.path, call.query)
        request = httpx.Request(call.method, url, headers=self._headers, stream=httpx.ByteStream(content))
        if call.body is not None:
            request.headers["Content-Length"] = str(len(content))
            request.headers["Content-Type"] = "application/json"
        request.read()
        return request

    def _exchange(self, call: Call) -> Answer | Fault:
        import httpx  # noqa: PLC0415 - loaded by the constructor already

        sent = self._effects.now()
        # Not through httpx.Client: of what that adds, nothing but its default headers is wanted, and it takes longer
        # than all the rest of a request within this process.
        request = None
        try:
            request = self._request(call)
            response = self._effects.send(request)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as failure:
            if isinstance(failure, httpx.RequestError) and request is not None:
                failure.request = request  # its extensions tell of limits and proxies
            return no_answer(failure, call, self._host, self._redactor)
        received = self._effects.now()
        outcome = read_answer(response, call, self._host, self._redactor, self.clock.glance)
        # Whatever stands in between has a clock of its own: only the API's answers tell, and none from a cache.
        if (isinstance(outcome, Answer) or outcome.is_documented) and "age" not in response.headers:
            self.clock.note(response.headers.get("date"), sent=sent, received=received)
        return outcome


def _may_resend(fault: Fault, resend: Resend) -> bool:
    match resend:
        case Resend.IF_TOO_OFTEN:
            return fault.is_too_often and fault.is_documented
        case Resend.IF_UNPROCESSED:
            return fault.is_transient and not fault.may_have_happened
        case Resend.IF_TRANSIENT:
            return fault.is_transient


_write_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@lru_cache(maxsize=4096)
def _url(address: str, query: tuple[tuple[str, int], ...]) -> httpx.URL:
    """An address, parsed; a run asks for a key's several times, and for the lists again and again."""
    import httpx  # noqa: PLC0415 - loaded by the constructor already

    return httpx.URL(address, params=dict(query) or None)


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
        _ = httpx.URL(address).host  # which is a ValueError for one like xn--…, that no name becomes
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
    if parts.scheme == "http" and not is_loopback(host):
        return f"would send the token unencrypted to {host}: plain http is for this machine only"
    return ""
