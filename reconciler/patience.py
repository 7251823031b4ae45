"""Calling an endpoint until it answers as hoped, or patience ends: shared by `verify` and the proof of an apply."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from reconciler.effects import Effects
from reconciler.model import EndpointKind, LiveEndpoint, Secret
from reconciler.model.verification import Admission, Reply

ASLEEP = "PENDING"
"""[D] A deployment's status while it is scaled to zero; a request wakes it."""
NO_REQUESTS = {"DISABLED": "it is disabled", "DELETING": "it is being deleted"}
"""Statuses in which a deployment does not answer [D], in words."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two requests: doubled each time, up to the longest, half of it random."""
LONGEST_RETRY_AFTER = 60.0
LONGEST_REQUEST, SHORTEST_REQUEST = 60.0, 5.0
"""Seconds that one request may take, within the time that is left: a gateway may hold it until the model is awake."""


MOST_ADDRESSES = 20
"""At most this many addresses of an endpoint are called: an application has one for each part that it exposes [D]."""


def addresses_of(endpoint: LiveEndpoint) -> tuple[str, ...]:
    """Its addresses, each once, and at most `MOST_ADDRESSES` of them."""
    return tuple(dict.fromkeys(endpoint.addresses))[:MOST_ADDRESSES]


def too_many_addresses(endpoint: LiveEndpoint) -> str:
    """A sentence if it has more of them than are called; nothing if it has not."""
    count = len(set(endpoint.addresses))
    return f"it has {count} addresses, but keyform calls at most {MOST_ADDRESSES}" if count > MOST_ADDRESSES else ""


class Asks(Protocol):
    """Anything that can call an endpoint: the API's client."""

    def ask_endpoint(self, address: str, secret: Secret | None, *, timeout: float) -> Reply:
        """Call it at its address, with a secret or without a key; `timeout` is in seconds. It does not fail."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """One request, and how long it is worth repeating.

    `hoped` are the answers that end it at once. Until the instant `unclear_until` (of `Effects.monotonic`) an unclear
    answer may still become clear, and until `contrary_until` a clear one may still change: new keys take a moment to
    arrive [I].
    """

    address: str
    secret: Secret | None
    hoped: Collection[Admission]
    unclear_until: float
    contrary_until: float


def ask_until(
    question: Question,
    api: Asks,
    effects: Effects,
    *,
    while_waiting: Callable[[Reply, float], None],
) -> Reply:
    """The first hoped-for answer, or else the last one.

    `while_waiting` gets each answer that is not enough, and the seconds until the next request; what it raises ends the
    loop. Interrupted comes from the waiting.
    """
    pause = FIRST_PAUSE
    while True:
        left = question.unclear_until - effects.monotonic()
        timeout = min(max(left, SHORTEST_REQUEST), LONGEST_REQUEST)
        reply = api.ask_endpoint(question.address, question.secret, timeout=timeout)
        if reply.admission in question.hoped:
            return reply
        is_unclear = reply.admission is Admission.UNCLEAR
        left = (question.unclear_until if is_unclear else question.contrary_until) - effects.monotonic()
        if left <= 0 or (is_unclear and not reply.is_transient):
            return reply
        asked_for = min(reply.retry_after or 0.0, LONGEST_RETRY_AFTER)
        seconds = min(left, max(asked_for, pause * (0.5 + effects.random() / 2)))
        pause = min(pause * 2, LONGEST_PAUSE)
        while_waiting(reply, seconds)
        effects.sleep(seconds)


def is_asleep(endpoint: LiveEndpoint, endpoints: Collection[LiveEndpoint]) -> bool:
    """Whether it is scaled to zero; for an application, whether one of its deployments is, which are among
    `endpoints`.
    """
    if endpoint.status == ASLEEP:
        return True
    return endpoint.ref.kind is EndpointKind.APPLICATION and any(
        other.application == endpoint.ref.name and other.status == ASLEEP for other in endpoints
    )
