"""What the data plane answered, and what that says of endpoints and of the secrets that open them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reconciler.model.desired import Auth
from reconciler.model.names import EndpointRef


class Admission(StrEnum):
    """Whether an endpoint let a request in, as far as one answer tells."""

    ADMITTED = "admitted"
    """It answered what was asked (2xx, as JSON)."""
    BEYOND = "beyond"
    """Something answered that does not ask for keys: 404, 405, 422, a page of HTML. The model server behind the door,
    when a request without a key is refused there; otherwise nobody can tell."""
    REFUSED = "refused"
    """401: the key is missing, or not accepted [D]."""
    UNCLEAR = "unclear"
    """No answer, or one without a meaning: a timeout, a redirect, 403, 429, 5xx."""


@dataclass(frozen=True, slots=True)
class Reply:
    """How an endpoint answered one request.

    `detail` completes "it …" and holds nothing of the answer's own words; `status` is None without an answer.
    `is_transient`: the same request may be answered otherwise a moment later. `retry_after` is in seconds.
    """

    admission: Admission
    status: int | None = None
    detail: str = ""
    is_transient: bool = False
    retry_after: float | None = None


class Access(StrEnum):
    """Whom an endpoint lets in."""

    PROTECTED = "protected"
    """A call without a key and one with a made-up key are both refused."""
    OPEN = "open"
    """It lets everyone in, and the file says so."""
    PUBLIC = "public"
    """It lets everyone in, and the file does not say so."""
    ANY_KEY = "any_key"
    """It refuses a call without a key, and lets a made-up key in."""
    NOT_OPEN = "not_open"
    """The file declares it open, and it refuses a call without a key."""
    ASLEEP = "asleep"
    """It is scaled to zero, and did not answer in time."""
    UNCLEAR = "unclear"
    """Its answers did not tell, in time."""
    MISSING = "missing"
    """There is no such endpoint."""
    NOT_CHECKED = "not_checked"
    """There is nothing to ask: it is disabled, or has no address."""

    @property
    def is_ok(self) -> bool:
        """Whether nothing was found that differs from the file."""
        return self in (Access.PROTECTED, Access.OPEN, Access.NOT_CHECKED)


class SecretState(StrEnum):
    """An endpoint's answer to a sink's secret."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_BOUND = "not_bound"
    """The API does not list the live key of that secret at the endpoint, so it was not sent there."""
    LOST = "lost"
    """The sink does not hold the secret that it should."""
    DAMAGED = "damaged"
    """The sink holds it, and not every reader gets it."""
    UNREADABLE = "unreadable"
    """The sink can be read, and could not be this time."""
    FOREIGN = "foreign"
    """The key's place in the sink has another owner."""
    UNPUBLISHED = "unpublished"
    """No generation of the key is published."""
    ASLEEP = "asleep"
    """The endpoint is scaled to zero, and did not answer in time."""
    UNCLEAR = "unclear"
    """The endpoint's answers did not tell, in time."""
    NOT_CHECKED = "not_checked"
    """It cannot be checked, or what the endpoint makes of any secret says nothing."""

    @property
    def is_ok(self) -> bool:
        """Whether nothing was found that differs from the file."""
        return self in (SecretState.ACCEPTED, SecretState.NOT_CHECKED)


@dataclass(frozen=True, slots=True)
class EndpointCheck:
    """One endpoint: whom it lets in.

    `auth` is what the file says, `status` the API's own word; the two HTTP statuses are those of the answer that
    decided, None where nothing was asked or nothing answered. `reason` says more, and is never secret.
    """

    ref: EndpointRef
    auth: Auth | None
    status: str
    access: Access
    without_key: int | None = None
    random_key: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SecretCheck:
    """One sink's secret of one key, at one endpoint; `generation` 0 and `live_name` `""` where the sink names none."""

    key: str
    endpoint: EndpointRef
    sink: str
    state: SecretState
    generation: int = 0
    live_name: str = ""
    status: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found: endpoints in order, secrets in order of key, endpoint and sink."""

    stack: str
    project: int
    now: datetime
    endpoints: tuple[EndpointCheck, ...]
    secrets: tuple[SecretCheck, ...]
    in_overlap: tuple[str, ...]
    """Live names of older generations that are in use: no sink holds their secrets any more."""

    @property
    def as_declared(self) -> bool:
        """Whether all is as the file declares it, as far as it can be checked at all."""
        return not any(self.problems())

    def problems(self) -> Iterator[EndpointCheck | SecretCheck]:
        """Everything that is not as declared."""
        yield from (check for check in self.endpoints if not check.access.is_ok)
        yield from (check for check in self.secrets if not check.state.is_ok)
