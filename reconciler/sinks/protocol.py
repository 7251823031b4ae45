"""What a sink is: where secrets are saved."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from reconciler.model import Secret, SinkRecord


class Sink(Protocol):
    """One place where secrets are saved. All failures are `SinkError`, none of which holds a secret.

    Rules for all: one atomic write per secret, with its record; idempotent; a record that is not ours (no keyform
    record, or another stack's) is refused; other fields of a shared record are kept.
    """

    name: str
    """Its name in the file."""

    @property
    def destination(self) -> str:
        """One printable line that says where it writes, as a plan shows it."""
        ...

    @property
    def exposure(self) -> str:
        """A sentence when writing there deserves to be an exposure of a plan, as of the last `read`; else nothing."""
        ...

    @property
    def is_evidence(self) -> bool:
        """Whether the records of the last `read` prove anything: false where a pull request could have written them."""
        ...

    readable: bool
    """Whether what it holds can be read back."""
    removable: bool
    """Whether what it holds can be removed; otherwise `remove` does nothing, and what it holds stays there."""

    def probe(self, keys: Collection[str]) -> None:
        """Make sure that these keys could be written or removed now, changing nothing; SinkError says why not."""
        ...

    def read(self, keys: Collection[str]) -> Mapping[str, SinkRecord]:
        """This stack's records by key, without the secrets: at least those of `keys`, all of them where it can list."""
        ...

    def read_one(self, key: str) -> SinkRecord | None:
        """This stack's record of one key, for a look at what was written just now; others are not looked at."""
        ...

    def write(self, record: SinkRecord, secret: Secret) -> None:
        """Save a secret with its record, replacing this stack's earlier one; durable when it returns.

        SinkError with `effect_is_unknown` when it may have been saved.
        """
        ...

    def remove(self, key: str) -> None:
        """Remove this stack's record and secret of a key; nothing to do when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class HeldSecret:
    """A secret as a sink holds it, and the record that stands beside it."""

    record: SinkRecord
    secret: Secret


@runtime_checkable
class ReadsSecrets(Protocol):
    """A sink whose secrets can be read back. Only `verify` does: nothing else that keyform does needs a secret."""

    def read_secrets(self, keys: Collection[str]) -> Mapping[str, HeldSecret]:
        """What a consumer finds for these keys, as far as it is this stack's; a key that is not held is left out.

        A value that a program may not get as it stands here (empty, or quoted by hand in a way that readers differ
        about) is not held. All failures are SinkError, none of which holds a secret.
        """
        ...


@runtime_checkable
class Tidies(Protocol):
    """A sink in which a write that was cut short leaves something to clear away, or to make durable."""

    def tidy(self) -> None:
        """Make what it holds durable, and clear away what is left over; touches nothing when nothing was cut short."""
        ...
