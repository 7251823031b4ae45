"""What apply needs from the API: the live keys and endpoints, one write at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from reconciler.api import Fence
from reconciler.model import Capabilities, CreatedKey, EndpointRef, LiveEndpoint, LiveKey, Secret
from reconciler.model.verification import Reply


class Api(Protocol):
    """The API, in keyform's words. Failures are `ApiError`; reads are retried inside, a create never is."""

    @property
    def capabilities(self) -> Capabilities:
        """What depends on the API's generation."""
        ...

    def now(self) -> datetime:
        """The instant by the API's own clock, aware and in UTC: what decides whether something is due, or over."""
        ...

    def list_keys(self) -> tuple[LiveKey, ...]:
        """All live keys of the project, in order of name."""
        ...

    def list_endpoints(self) -> tuple[LiveEndpoint, ...]:
        """All deployments and applications of the project, in order."""
        ...

    def get_key(self, name: str) -> LiveKey | None:
        """One live key, or None when there is none."""
        ...

    def get_endpoint(self, ref: EndpointRef) -> LiveEndpoint | None:
        """One endpoint, or None when there is none."""
        ...

    def create_key(
        self, name: str, description: str, expires_at: datetime | None, *, fence: Fence | None = None
    ) -> CreatedKey:
        """Make a live key; done at most once: sent again only where the API said that it did not take it.

        A fence has to hold each time that it is sent, and is asked before it is sent again, as with the next two.
        """
        ...

    def set_description(self, name: str, description: str, *, fence: Fence | None = None) -> None:
        """Write a live key's description."""
        ...

    def delete_key(self, name: str, *, fence: Fence | None = None) -> bool:
        """Delete a live key; False when it was gone already."""
        ...

    def set_api_keys(self, ref: EndpointRef, names: Sequence[str], *, fence: Fence, opens: bool = False) -> None:
        """Write an endpoint's whole list and wait for the task; an empty list only where it `opens` the endpoint.

        No list is written without a fence, which has to hold right before the request is sent. Raises LockLost.
        """
        ...

    def ask_endpoint(self, address: str, secret: Secret | None, *, timeout: float) -> Reply:
        """Ask an endpoint itself, at its address, with a secret or without a key; never with keyform's own token.

        `timeout` is in seconds. It does not fail: no answer is a reply, too.
        """
        ...
