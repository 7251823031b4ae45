"""Asking an endpoint until it answers as hoped, or patience ends: what `verify` and the proof of an apply share."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from reconciler.effects import Effects
from reconciler.model import EndpointKind, LiveEndpoint, Secret
from reconciler.model.verification import Admission, Reply

ASLEEP = "PENDING"
"""[D] A deployment's status while it is scaled to zero; a request wakes it."""
NO_REQUESTS = {"DISABLED": "it is disabled, and takes no requests", "DELETING": "it is being deleted"}
"""Statuses in which a deployment answers nobody [D], in words."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two requests: doubled each time, up to the longest, with half of it left to chance."""
LONGEST_RETRY_AFTER = 60.0
LONGEST_REQUEST, SHORTEST_REQUEST = 60.0, 5.0
"""Seconds that one request may take: a gateway may hold it until the model is awake. As much as is left, within these.
"""


MOST_ADDRESSES = 20
"""Of how many addresses an endpoint is asked: an application has one for each part that it exposes [D]."""


def addresses_of(endpoint: LiveEndpoint) -> tuple[str, ...]:
    """Its addresses, each once, and at most `MOST_ADDRESSES` of them."""
    return tuple(dict.fromkeys(endpoint.addresses))[:MOST_ADDRESSES]


def too_many_addresses(endpoint: LiveEndpoint) -> str:
    """That it has more of them than are asked, in words; nothing when it has not."""
    count = len(set(endpoint.addresses))
    return f"it has {count} addresses, and at most {MOST_ADDRESSES} are called" if count > MOST_ADDRESSES else ""


class Asks(Protocol):
    """Whoever can ask an endpoint: the API's client."""

    def ask_endpoint(self, address: str, secret: Secret | None, *, timeout: float) -> Reply:
        """Ask it at its address, with a secret or without a key; `timeout` is in seconds. It does not fail."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """One request, and how long it is worth repeating.

    `hoped` are the answers that end it at once. Until the instant `unclear_until` (of `Effects.monotonic`) an unclear
    answer may still become clear, and until `contrary_until` a clear one may still become another: a change of keys
    takes a moment to arrive [I].
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
    """The first answer that was hoped for, or else the last one.

    `while_waiting` is told each answer that is not enough, and in how many seconds the next is asked for; what it
    raises ends it. Interrupted comes from the waiting.
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
    """Whether it is scaled to zero; an application, whether one of its deployments is, which are among `endpoints`."""
    if endpoint.status == ASLEEP:
        return True
    return endpoint.ref.kind is EndpointKind.APPLICATION and any(
        other.application == endpoint.ref.name and other.status == ASLEEP for other in endpoints
    )
