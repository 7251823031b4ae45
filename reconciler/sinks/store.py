"""The base of sinks over a store with an entry for each key. A sink says how to look, put and drop; the rest is here.

- What is not ours is never replaced or removed; nor what is newer, or what a later version of keyform wrote.
- The same record and the same secret again make no write, where a look shows the secret.
- A request that failed in passing is made again, after a wait. Each time begins with a look, so that a write whose
  answer was lost is found; one that nobody can confirm is an unknown outcome.
- `put` is to be bound to the entry that was looked at (check-and-set); `Moved` says that it is another by now.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, TypeVar

from reconciler.errors import SinkError
from reconciler.model import RECORD_FORM, LaterRecord, Owner, Repair, Secret, SinkRecord, SinkSettings
from reconciler.reach import printable
from reconciler.sinks.protocol import (
    HeldSecret,
    OwnReading,
    Reading,
    Sink,
    Surroundings,
    Traits,
    refuse_foreign,
    refuse_older,
)
from reconciler.sinks.record import LONGEST_SECRET, UPDATE_KEYFORM, explain_later, record_from_fields, record_to_fields
from reconciler.workers import side_by_side

Answer = TypeVar("Answer")

ATTEMPTS = 4
"""How often a change starts again."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds; each wait is twice the one before, and longer if the store asks for it."""
_READERS = 8
_FEW = 10
"""Up to this many entries are read one after the other, so that a run can be made repeatable."""


class Moved(Exception):
    """Another writer changed the entry after it was looked at."""


class Passing(SinkError):
    """A failure that may pass a moment later, such as a store that asks for fewer requests.

    `retry_after` is how many seconds the store asks for; None if it does not say.
    """

    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """The content of a key's place in the store, whoever put it there.

    `found` is its record (None: there is none that can be read), `secret` what is next to it, if a look shows that.
    `whose` completes "the entry …" for one that is not ours, and `other` is its owner, if it names one. `state` is what
    the store needs when it puts or drops, such as a version.
    """

    found: OwnReading | None = None
    secret: Secret | None = None
    whose: str = ""
    other: Owner | None = None
    state: Any = field(default=None, compare=False)

    @property
    def record(self) -> SinkRecord | None:
        """The record, if it is ours and in a known form."""
        return self.found if isinstance(self.found, SinkRecord) and not self.whose else None


class Unseen(Enum):
    """Marks a look that does not show the secret."""

    UNSEEN = "unseen"


def read_entry(key: str, fields: object, owner: Owner, *, secret: object = Unseen.UNSEEN, state: Any = None) -> Entry:
    """The entry of a store that keeps `record_to_fields` next to a secret; both may hold anything."""
    found = record_from_fields(key, fields)
    stack = fields.get("stack") if isinstance(fields, Mapping) else None
    if isinstance(found, SinkRecord) and not owner.owns(found.owner, key):
        return Entry(found, whose=f"belongs to {printable(found.owner.of(key))}", other=found.owner, state=state)
    if not isinstance(stack, str) or not owner.has(stack, key):
        return Entry(whose="has no keyform record", state=state)
    found = owner.take(found) if isinstance(found, SinkRecord) else found
    if secret is Unseen.UNSEEN or isinstance(found, LaterRecord):
        return Entry(found, state=state)
    # A record whose secret cannot be read is not held.
    held = Secret(secret) if isinstance(secret, str) and 0 < len(secret) <= LONGEST_SECRET else None
    return Entry(found if held else None, held, state=state)


def read_document(key: str, document: object, owner: Owner, *, state: Any = None) -> Entry:
    """The entry of a JSON document, or of its text: `{"secret": …, "keyform": {…}}`. Anything else is not ours."""
    try:
        found = json.loads(document) if isinstance(document, str | bytes) else document
    except (ValueError, RecursionError):
        found = None
    parts = found if isinstance(found, Mapping) else {}
    return read_entry(key, parts.get("keyform"), owner, secret=parts.get("secret"), state=state)


def make_document(record: SinkRecord, secret: Secret) -> dict[str, object]:
    """The JSON document that `read_document` reads."""
    return {"secret": secret.reveal(), "keyform": record_to_fields(record)}


class Store(Sink):
    """A `Sink` over a store. `look`, `put` and `drop` fail with SinkError; with Passing if trying again helps."""

    traits = Traits(tidies=True)

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        self._old: dict[str, Entry] = {}
        self._differing: dict[str, str] = {}

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """What besides the secrets differed from the file when the store was last read."""
        return tuple(Repair("sink_entry_differs", self._differing[key]) for key in sorted(self._differing))

    @abstractmethod
    def look(self, key: str) -> Entry | None:
        """The content of the key's place in the store: see `read_entry`; None for nothing."""

    @abstractmethod
    def put(self, record: SinkRecord, secret: Secret, there: Entry | None) -> None:
        """Save secret and record in one step, in place of the looked-at entry, which is ours; durable."""

    @abstractmethod
    def drop(self, key: str, there: Entry) -> None:
        """Remove secret and record of the looked-at entry, which is ours."""

    def listed(self) -> Iterable[str]:
        """The keys that this stack has entries for, declared or not, if the store can list them."""
        return ()

    def check_place(self, key: str, there: Entry) -> None:
        """Refuse an entry of ours that cannot hold a secret."""

    def find_record(self, key: str, there: Entry) -> OwnReading | None:  # noqa: ARG002 - some have to read more
        """The record in an entry of ours."""
        return there.found

    def find_secret(self, key: str, there: Entry) -> Secret | None:  # noqa: ARG002 - some have to read more
        """The secret in an entry with a record."""
        return there.secret

    def holds(self, there: Entry, secret: Secret) -> bool:
        """Whether an entry with the record of a secret has the secret itself; no, if that cannot be seen."""
        return there.secret == secret

    def let_go(self, key: str, there: Entry) -> None:
        """Write the record of an entry of ours as released; the secret stays."""
        secret = self.find_secret(key, there)
        if there.record is not None and secret is not None:
            self.put(there.record.let_go, secret, there)

    def renew(self, key: str, there: Entry) -> None:
        """Write the record of an entry in today's form, if that takes no secret; otherwise the next write does."""

    def differs(self, key: str, there: Entry) -> str:  # noqa: ARG002 - for those that keep more than secrets
        """What besides the secret differs from the file, and what an apply does about it; nothing if all is right."""
        return ""

    def correct(self, key: str, there: Entry) -> None:
        """Set that as in the file."""

    def foreign(self, key: str, there: Entry) -> SinkError:
        """The message about an entry that is not ours."""
        return self.error(f"the entry of {key} {there.whose}", "Remove it, or choose another place for this sink.")

    # --- The protocol ------------------------------------------------------------------------------------------------

    def probe(self, keys: Collection[str]) -> None:
        """Refuse what a write would refuse."""

        def probe_one(key: str) -> None:
            there = self._insist(key, lambda: self.look(key))
            if there is not None:
                self._check(key, there)
                self.check_place(key, there)

        _for_all(probe_one, sorted(keys))

    def read(self, keys: Collection[str]) -> Mapping[str, Reading]:
        """The records of these keys, and of all others that the store lists."""
        names = sorted({*keys, *self._insist("", lambda: set(self.listed()))})
        entries = dict(zip(names, _for_all(self._entry, names), strict=True))
        there = {key: entry for key, entry in entries.items() if entry is not None}
        self._old = {key: each for key, each in there.items() if each.record and each.record.form < RECORD_FORM}
        ours = {key: there[key] for key in sorted(set(keys) & set(there)) if not there[key].whose}
        differing = {key: self.differs(key, entry) for key, entry in ours.items() if not _is_later(entry)}
        self._differing = {key: sentence for key, sentence in differing.items() if sentence}
        found = {key: self._reading(key, entry) for key, entry in there.items()}
        return {key: reading for key, reading in found.items() if reading is not None}

    def _reading(self, key: str, there: Entry) -> Reading | None:
        """The sink's statement about an entry, whoever owns it."""
        return self.foreign_record(key, self.foreign(key, there), there.other) if there.whose else there.found

    def read_one(self, key: str) -> SinkRecord | None:
        """One record, without a list of all."""
        there = self._entry(key)
        return there.record if there else None

    def read_secrets(self, keys: Collection[str]) -> Mapping[str, HeldSecret]:
        """Records and secrets of these keys."""

        def read_one(key: str) -> HeldSecret | None:
            there = self._entry(key)
            if there is None or there.record is None:
                return None
            secret = self._insist(key, lambda: self.find_secret(key, there))
            return HeldSecret(there.record, secret) if secret else None

        names = sorted(keys)
        found = zip(names, _for_all(read_one, names), strict=True)
        return {key: held for key, held in found if held is not None}

    def write(self, record: SinkRecord, secret: Secret) -> None:
        """Save a secret with its record; nothing is done if a look shows that the same is already there."""
        key = record.key
        self._redactor.learn(secret)
        refuse_foreign(record, self._owner, self.error)
        if len(secret.reveal()) > LONGEST_SECRET:
            raise self.error(f"the secret of {key} is too long", "Check that GCORE_BASE_URL is right.")

        def is_done(there: Entry | None) -> bool:
            held = there.record if there is not None else None
            if there is None or held is None or held.former:
                return False
            return held == record and self.holds(there, secret)

        def attempt() -> None:
            there = self.look(key)
            if there is not None:
                self._check(key, there, record)
            if not is_done(there):
                self.put(record, secret, there)

        self._change(key, attempt, lambda: is_done(self.look(key)))

    def remove(self, key: str) -> None:
        """Remove record and secret; what is not ours stays."""

        def attempt() -> None:
            there = self.look(key)
            if there is not None and not there.whose:
                self._check(key, there)
                self.drop(key, there)

        self._change(key, attempt, lambda: self.look(key) is None)

    def release(self, key: str) -> None:
        """Release a record; the secret stays, and so does what is not ours."""

        def attempt() -> None:
            there = self.look(key)
            if there is not None and not there.whose:
                self._check(key, there)
                self.let_go(key, replace(there, found=self.find_record(key, there)))

        def is_done() -> bool:
            there = self.look(key)
            return there is None or bool(there.whose)

        self._change(key, attempt, is_done)

    def tidy(self) -> None:
        """Correct what `repairs` reports; write the records in today's form that the last reading found in another.

        Nothing depends on the latter.
        """
        for key in sorted(self._differing):
            self._insist(key, lambda key=key: self._correct(key))  # type: ignore[misc]
        self._differing = {}
        for key in sorted(self._old):
            with suppress(SinkError):
                self.renew(key, self._old[key])
        self._old = {}

    # --- What holds for all ------------------------------------------------------------------------------------------

    def _check(self, key: str, there: Entry, record: SinkRecord | None = None) -> None:
        """Refuse to replace with this record, or to remove, what is not ours, cannot be read here, or is newer."""
        if there.whose:
            raise self.foreign(key, there)
        if isinstance(there.found, LaterRecord):
            raise self.error(explain_later(there.found), UPDATE_KEYFORM)
        if record is not None:
            refuse_older(there.found, record, self.error)

    def _correct(self, key: str) -> None:
        there = self.look(key)
        if there is not None and not there.whose and not _is_later(there):
            self.correct(key, there)

    def _entry(self, key: str) -> Entry | None:
        """An entry with everything about its record, if it is ours."""

        def attempt() -> Entry | None:
            there = self.look(key)
            if there is None or there.whose:
                return there
            return replace(there, found=self.find_record(key, there))

        return self._insist(key, attempt)

    def _change(self, key: str, attempt: Callable[[], None], is_done: Callable[[], bool]) -> None:
        """Change something; if no attempt succeeds, check at the end whether one of them took effect after all."""
        try:
            self._insist(key, attempt)
        except SinkError as error:
            if error.effect_is_unknown:
                with suppress(SinkError):
                    if is_done():
                        return
            raise

    def _insist(self, key: str, attempt: Callable[[], Answer]) -> Answer:
        """The final result, after as many attempts as it takes; an outcome that was once unknown stays so."""
        is_unknown, wait = False, FIRST_WAIT
        error: SinkError = self.error(
            f"the entry of {key} was changed by someone else at each attempt to write it",
            "Find out who, and run apply again.",
        )
        for number in range(ATTEMPTS):
            try:
                return attempt()
            except Moved:
                continue
            except Passing as trouble:
                error, pause = trouble, wait if trouble.retry_after is None else max(wait, trouble.retry_after)
            except SinkError as trouble:
                trouble.effect_is_unknown = is_unknown or trouble.effect_is_unknown
                raise
            is_unknown = is_unknown or error.effect_is_unknown
            if number < ATTEMPTS - 1:
                self._effects.sleep(min(LONGEST_WAIT, pause))
                wait *= 2
        error.effect_is_unknown = is_unknown
        raise error


def _is_later(there: Entry) -> bool:
    return isinstance(there.found, LaterRecord)


def _for_all(function: Callable[[str], Answer], keys: Sequence[str]) -> list[Answer]:
    return side_by_side(function, keys, 1 if len(keys) <= _FEW else _READERS)
