"""What a sink is: where secrets are saved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.errors import SinkError
from reconciler.model import RELEASED, ForeignRecord, LaterRecord, Owner, Repair, Secret, SinkRecord, SinkSettings

if TYPE_CHECKING:
    from reconciler.effects import Effects
    from reconciler.redaction import Redactor

OwnReading = SinkRecord | LaterRecord
Reading = OwnReading | ForeignRecord
"""A sink's statement about a key: a record, that a later version wrote one, or that its place has another owner."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a sink can do. Callers ask here, and nowhere else."""

    readable: bool = True
    """Its records can be read back."""
    removable: bool = True
    """What it holds can be removed; otherwise `remove` does nothing, and its content stays there."""
    reads_secrets: bool = True
    """Its secrets can be read back, too: by `verify`, and by `apply` to copy one to another sink."""
    tidies: bool = False
    """`tidy` may find something: the rest of an interrupted write, or records of an earlier form."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What keeps some readers from getting a secret that it holds; `line` counts from 1, 0 is the whole file."""

    what: str
    """Such as "CR at the end of", which the line completes."""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.what} line {self.line}" if self.line else self.what


def describe_damages(damages: Collection[Damage]) -> str:
    """All of them, those of one kind together, and of many lines the first."""
    kinds = {each.what: sorted({other.line for other in damages if other.what == each.what}) for each in damages}
    return ", ".join(_describe_lines(what, lines) for what, lines in kinds.items())


def _describe_lines(what: str, lines: list[int]) -> str:
    if len(lines) == 1:
        return str(Damage(what, lines[0]))
    more = f" and {len(lines) - 5} more" if len(lines) > 5 else ""
    return f"{what} lines {', '.join(map(str, lines[:5]))}{more}"


@dataclass(frozen=True, slots=True)
class HeldSecret:
    """A secret as a sink holds it, with its record.

    With a damage it exists, but not every reader gets it; with a doubt, readers may get different ones.
    """

    record: SinkRecord
    secret: Secret
    damage: Damage | None = field(default=None, compare=False)
    doubt: SinkError | None = field(default=None, compare=False)


def refuse_foreign(record: SinkRecord, owner: Owner, error: Callable[[str, str], SinkError]) -> None:
    """Write only the run's own record: another one would have no owner to remove it."""
    if not record.owner.is_same(owner):
        raise error(f"{record.key} is a record of another owner", "Report this as a bug of keyform.")


def refuse_older(held: SinkRecord | None, record: SinkRecord, error: Callable[[str, str], SinkError]) -> None:
    """Keep what was saved since: a run that was paused just before it writes may continue after another one is done.

    Its secret may have been deleted by then, and consumers would find one that opens nothing.
    """
    if held is not None and held.created_at > record.created_at:
        raise error(
            f"already holds a newer generation of {record.key}: {held.live_name}",
            "Run plan again: another run has published it meanwhile. If that is not so, remove its record by hand.",
        )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every sink of a run gets: its owner, the world, and the redactor for the words of others.

    `env` holds the environment variables that its type declares, and no others.
    """

    owner: Owner
    effects: Effects
    redactor: Redactor
    env: Mapping[str, str] = field(default_factory=dict)


class Sink(ABC):
    """One place where secrets are saved. All failures are `SinkError`, none of which holds a secret.

    Rules for all: one atomic write per secret, with its record; idempotent; a record that is not ours (no keyform
    record, or one of another stack, API or project) is refused, and so is one that a later version wrote; other fields
    of a shared record are kept.
    """

    name: str
    """Its name in the file."""
    traits: Traits = Traits()
    untidied: SinkError | None = None
    """Why `tidy` failed, if it did: its content may not be durable, so nothing depends on it."""

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        """Touches nothing; SinkError for options that make no sense."""
        self.name = settings.name
        self._owner, self._stack = around.owner, around.owner.stack
        self._effects, self._redactor, self._env = around.effects, around.redactor, around.env

    def error(self, message: str, way_out: str, *, effect_is_unknown: bool = False) -> SinkError:
        """An error that names the sink."""
        return SinkError(f"sink {self.name}: {message}", way_out=way_out, effect_is_unknown=effect_is_unknown)

    def foreign_record(self, key: str, found: SinkError, other: Owner | None) -> ForeignRecord:
        """What `read` returns for a place that is not ours: the error that a write of the key would raise."""
        way_out = self.way_out_of_foreign(found.way_out, other)
        if other is not None and other.stack.startswith(RELEASED):
            giver = other.stack.removeprefix(RELEASED)
            take = f"write `moved: [{{from: {giver}/{key}, to: {key}}}]`, once its live key is released, too"
            if giver == self._stack:
                take = "write `adopt: NAME` on the key, with the name of its live key"
            way_out = f"To take it over, {take}. Or {way_out[:1].lower()}{way_out[1:]}"
        return ForeignRecord(key, found.message, way_out)

    def way_out_of_foreign(self, way_out: str, other: Owner | None) -> str:
        """What to do about a record of another owner (None: without one), maybe this stack in another project
        or API.
        """
        if other is None or other.stack != self._stack:
            return way_out
        hint = "Check GCORE_CLOUD_PROJECT_ID (or `project`) and GCORE_BASE_URL: they may not be those of this secret."
        return f"{hint} If they are right: {way_out[:1].lower()}{way_out[1:]}"

    @property
    @abstractmethod
    def destination(self) -> str:
        """One printable line that says where it writes, as a plan shows it."""

    @property
    def place(self) -> str:
        """Equal for two sinks that are one, as of the last `read`; not meant for people."""
        return self.destination

    @property
    def exposure(self) -> str:
        """A sentence if writing there belongs into a plan's exposures, as of the last `read`; else nothing."""
        return ""

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """What was not as it should be as of the last `read`, although no secret is lost: `tidy` corrects it."""
        return ()

    @property
    def warning(self) -> str:
        """A sentence if consumers may not get what it holds, in a way that keyform does not change; else nothing."""
        return ""

    @property
    def is_evidence(self) -> bool:
        """Whether the records of the last `read` are proof: false if a pull request could have written them."""
        return True

    @property
    def is_absent(self) -> bool:
        """Whether the last `read` found nothing at all where it writes, not even an empty place; False if unsure."""
        return False

    @abstractmethod
    def probe(self, keys: Collection[str]) -> None:
        """Check that these keys could be written or removed now, changing nothing; SinkError says why not."""

    def rehearse(self, keys: Collection[str]) -> None:  # noqa: B027 - for those whose probe leaves something open
        """Try what cannot be known without trying, and leave nothing behind; SinkError says what does not work.

        `keys` are those that will be written; without any, others will be removed. Only apply calls this, once it has
        the lock, and before it creates a key.
        """

    def read(self, keys: Collection[str]) -> Mapping[str, Reading]:  # noqa: ARG002 - for those that are readable
        """This stack's records by key, without the secrets: at least those of `keys`, all of them if it can list them.

        If the place of one of `keys` holds what is not ours, a ForeignRecord says so.
        """
        return {}

    def read_one(self, key: str) -> SinkRecord | None:  # noqa: ARG002 - for those that are readable
        """This stack's record of one key, to check what was written just now; others are not read."""
        return None

    def read_secrets(self, keys: Collection[str]) -> Mapping[str, HeldSecret]:  # noqa: ARG002 - for those that do
        """What a consumer finds for these keys, as far as it is this stack's; a key that is not held is left out.

        A value that is not certain (empty, or quoted by hand in a way that readers differ about) is not held; if it is
        certain, and some readers would get another, its damage says why.
        """
        return {}

    def read_secret(self, key: str) -> HeldSecret | None:
        """A secret to copy to another sink; it is masked in all output from here on."""
        held = self.read_secrets([key]).get(key)
        if held is not None:
            self._redactor.learn(held.secret)
        return held

    @abstractmethod
    def write(self, record: SinkRecord, secret: Secret) -> None:
        """Save a secret with its record, replacing this stack's earlier one; durable when it returns.

        SinkError with `effect_is_unknown` if it may have been saved.
        """

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove this stack's record and secret of a key; nothing to do when there is none."""

    def release(self, key: str) -> None:  # noqa: B027 - for those that are readable
        """Release this stack's record of a key, whose secret stays: the stack no longer manages it."""

    def tidy(self) -> None:  # noqa: B027 - for those that leave something behind
        """Make its content durable, remove leftovers, and write records of an earlier form in today's.

        Corrects what `repairs` reports. Touches nothing if no write was interrupted, and that read found neither.
        """
