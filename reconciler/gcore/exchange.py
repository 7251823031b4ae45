"""Requests and their answers: one place counts them, sends them and, where that is safe, sends them again."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from urllib.parse import urlsplit

from reconciler.effects import Effects
from reconciler.errors import ApiError, Conflict, LockLost, UnexpectedAnswer
from reconciler.gcore.addresses import api_address
from reconciler.gcore.answers import (
    Answer,
    Call,
    Failure,
    no_answer,
    not_asked,
    read_answer,
    request_id_of,
    the_api,
)
from reconciler.gcore.clock import ApiClock
from reconciler.gcore.events import ApiEvent, EventKind, Listener
from reconciler.gcore.pace import LONGEST_RETRY_AFTER, Gate, Shut, backoff
from reconciler.gcore.tokens import check_token
from reconciler.http_client import make_client
from reconciler.http_failures import AGAIN, FAILURES, explain
from reconciler.loopback import is_loopback
from reconciler.model import Secret
from reconciler.redaction import Redactor

ATTEMPTS = 5
"""How often a request may fail; see `Exchange.ask`."""
HURRIED_ATTEMPTS = 2
HURRIED_PAUSE = 5.0
"""Seconds; where somebody waits for a diagnosis, a longer pause ends the attempts."""


class Resend(Enum):
    """When a request may be sent again."""

    IF_TOO_OFTEN = "if too often"
    """Only if the API itself reported a rate limit, and refused it unseen: a create."""
    IF_UNPROCESSED = "if unprocessed"
    """Only if the API certainly did nothing: a write of a whole list, which depends on a reading just before it."""
    IF_TRANSIENT = "if transient"
    """Whenever that may help: a second time changes nothing."""


class Exchange:
    """One API: its address, token and pace. Safe between threads."""

    def __init__(
        self,
        *,
        base_url: str,
        token: Secret,
        effects: Effects,
        redactor: Redactor,
        listener: Listener | None,
        workers: int,
        is_hurried: bool = False,
    ) -> None:
        """`workers` is how many requests may be in flight at most. `is_hurried`: a request is sent again once only.

        Raises ConfigError for a base URL that a token must not go to, CredentialsMissing for an unusable token."""
        address = api_address(base_url)
        check_token(token.reveal())
        self._effects = effects
        self._redactor = redactor
        self._is_hurried = is_hurried
        self._attempts = HURRIED_ATTEMPTS if is_hurried else ATTEMPTS
        self._listener = listener
        self._host = urlsplit(address).netloc
        self.is_here = is_loopback(urlsplit(address).hostname or "")
        self._workers = max(1, workers)
        self._gate = Gate(workers, effects, self._tell_of_pace)
        self.clock = ApiClock(effects.now, self._tell_of_clock)
        self._client = make_client(
            effects,
            base_url=address,
            # [C] as the official SDK writes it
            headers={"Accept": "application/json", "Authorization": f"APIKey {token.reveal()}"},
        )

    def ask(self, call: Call, resend: Resend) -> Answer:
        """The API's answer, after as many attempts as `resend` allows, with growing waits between them.

        A request is given up at its fifth failure. A time in which the API refuses everyone (429) counts as one
        failure: all requests wait it out together, until nothing has got through for `pace.PATIENCE` seconds.

        Raises ApiError; its `effect_is_unknown` covers all attempts together, so it is also true for a 404 to a DELETE
        that an earlier attempt may have carried out. The waiting raises Interrupted; the fence of the call raises
        LockLost, before it is sent.
        """
        ticket = self._gate.draw_ticket()
        earlier: list[Failure] = []
        failures, let_through = 0, -1
        while True:
            try:
                outcome, pause = self._send(call, ticket, number=len(earlier) + 1)
            except Shut as shut:
                failure = earlier.pop() if earlier else not_asked(call, shut.seconds)
                break
            except LockLost as lost:
                lost.effect_is_unknown |= _may_have_happened(call, earlier)
                raise
            if isinstance(outcome, Answer):
                return outcome
            failure = outcome
            if self._is_hurried or not (failure.is_too_often and self._gate.let_through == let_through):
                failures += 1
                let_through = self._gate.let_through
            is_shut = failure.asks_for_fewer and self._gate.is_shut()
            if failures == self._attempts or is_shut or not _may_resend(failure, resend):
                break
            if not failure.asks_for_fewer:
                pause = min(failure.retry_after or 0.0, LONGEST_RETRY_AFTER) + backoff(failures, self._effects.random())
            if self._is_hurried and pause > HURRIED_PAUSE:
                break
            earlier.append(failure)
            self.tell(ApiEvent(EventKind.RETRY, call.method, call.subject, len(earlier), pause, failure.error.message))
            if not failure.asks_for_fewer:  # otherwise all wait, at the gate
                self._effects.sleep(pause)
        raise _final_error(call, resend, failure, earlier)

    def tell(self, event: ApiEvent) -> None:
        """Notify the listener, if there is one."""
        if self._listener is not None:
            self._listener(event)

    def _tell_of_pace(self, sentence: str, wait: float, in_flight: int) -> None:
        event = ApiEvent(EventKind.PACE, "", "", 1, wait, sentence, in_flight, self._workers)
        self.tell(event)

    def _tell_of_clock(self, sentence: str) -> None:
        self.tell(ApiEvent(EventKind.CLOCK, "", "", detail=sentence))

    def _send(self, call: Call, ticket: int, *, number: int) -> tuple[Answer | Failure, float]:
        """The outcome of one attempt, and for how many seconds nothing is sent if the API asked for fewer requests."""
        # Before the request has its place at the gate, because this check may need a request and a place itself. The
        # caller checked before the first attempt; for the time in which the request waits for its place, the clock
        # decides.
        if call.fence is not None and number > 1:
            call.fence.check()
        with self._gate.place(ticket) as place:
            if call.fence is not None:
                call.fence.hold()
            self.tell(ApiEvent(EventKind.REQUEST, call.method, call.subject, number))
            outcome = self._exchange(call)
            if isinstance(outcome, Answer):
                place.passed()
            elif outcome.asks_for_fewer:
                return outcome, place.refused(outcome.retry_after, too_often=outcome.is_too_often)
            elif outcome.error.status is not None and outcome.error.status < 500:
                place.passed()
        return outcome, 0.0

    def _tell_of_answer(self, call: Call, begun: float, status: str, request_id: str = "") -> None:
        query = "&".join(f"{name}={value}" for name, value in call.query)
        said = f"{call.path}{'?' if query else ''}{query}: {status}"
        took = f"{(self._effects.monotonic() - begun) * 1000:.0f} ms"
        words = ", ".join(filter(None, (said, took, request_id and f"request {request_id}")))
        self.tell(ApiEvent(EventKind.ANSWER, call.method, call.subject, detail=words))

    def _exchange(self, call: Call) -> Answer | Failure:
        sent, begun = self._effects.now(), self._effects.monotonic()
        try:
            response = self._client.request(call.method, call.path, params=dict(call.query) or None, json=call.body)
        except FAILURES as failure:
            self._tell_of_answer(call, begun, "no answer")
            return no_answer(explain(failure, the_api(self._host), call.doing, self._redactor), call)
        received = self._effects.now()
        outcome = read_answer(response, call, self._host, self._redactor, self.clock.glance)
        request_id = "" if isinstance(outcome, Answer) else outcome.error.request_id
        request_id = request_id or request_id_of(response, self._redactor)
        self._tell_of_answer(call, begun, str(response.status_code), request_id)
        # A proxy in between has another clock: only the API's answers count, and none from a cache.
        if (isinstance(outcome, Answer) or outcome.is_documented) and "age" not in response.headers:
            self.clock.note(response.headers.get("date"), sent=sent, received=received)
        return outcome


def _may_resend(failure: Failure, resend: Resend) -> bool:
    match resend:
        case Resend.IF_TOO_OFTEN:
            return failure.is_too_often and failure.is_documented
        case Resend.IF_UNPROCESSED:
            return failure.is_transient and not failure.may_have_happened
        case Resend.IF_TRANSIENT:
            return failure.is_transient


def _may_have_happened(call: Call, earlier: Sequence[Failure]) -> bool:
    return call.writes and any(failure.may_have_happened for failure in earlier)


def _final_error(call: Call, resend: Resend, failure: Failure, earlier: Sequence[Failure]) -> ApiError:
    """The error to raise for the last failure, in the light of the earlier ones."""
    error = failure.error
    if earlier and resend is Resend.IF_TOO_OFTEN and isinstance(error, Conflict):
        # Either the name was taken meanwhile, or the API refused what it had already done. There is no way to know.
        return UnexpectedAnswer(
            f"The API refused to {call.doing} (too many requests), then reported that it exists"
            f" (status {error.status}): the first request may have created it.",
            way_out=AGAIN,
            effect_is_unknown=True,
            status=error.status,
        )
    error.effect_is_unknown |= _may_have_happened(call, earlier)
    return error
