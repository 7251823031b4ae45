"""What all stores have in common that keep an entry for each key: a sink is `look`, `put` and `drop` on top of it.

Whose an entry is, what to do when it is there already, whether a write took effect whose answer was lost, when to try
again: all of that is here, and rests on two promises of a store. It writes a secret and its record in one step; and it
refuses to write, or to remove, where it holds something else by then than what was looked at.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from reconciler.errors import SinkError
from reconciler.model import LaterRecord, Secret, SinkRecord
from reconciler.sinks.protocol import HeldSecret, Reading, Sink, refuse_older
from reconciler.sinks.record import LONGEST_SECRET, UPDATE_KEYFORM, explain_later, record_from_fields, record_to_fields
from reconciler.workers import side_by_side

Found = TypeVar("Found")

ATTEMPTS = 4
"""How often something is tried that may succeed a moment later."""
FIRST_WAIT = 1.0
"""Seconds before it is tried again; twice as long each time."""
LONGEST_WAIT = 60.0
"""Seconds, whatever the store asks for."""
READERS = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at a key's place: the secret, and the `fields` of its record (`record_to_fields`), or anything else.

    `version` is the store's own word for what was looked at.
    """

    fields: Mapping[str, object]
    secret: Secret | None
    version: str = ""

    @classmethod
    def of(cls, record: SinkRecord, secret: Secret) -> Entry:
        """The entry to write."""
        return cls(record_to_fields(record), secret)

    @classmethod
    def read(cls, document: object, version: str = "") -> Entry:
        """The entry that a JSON document holds, or its text: `{"secret": …, "keyform": {…}}`. All else is not ours."""
        match _parsed(document) if isinstance(document, str | bytes) else document:
            case {"secret": str(secret), "keyform": dict(fields)}:
                return cls(fields, Secret(secret), version)
            case {"keyform": dict(fields)}:
                return cls(fields, None, version)
            case _:
                return cls({}, None, version)

    def document(self) -> dict[str, object]:
        """The JSON document that holds it."""
        return {"secret": self.secret.reveal() if self.secret else "", "keyform": dict(self.fields)}


def _parsed(text: str | bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


class Moved(Exception):
    """The store holds something else by now than what was looked at; nothing was done."""


class Passing(SinkError):
    """A failure that may be over a moment later, such as a store that asks for fewer requests.

    `retry_after` is how many seconds the store asks to be left alone; None where it does not say.
    """

    retry_after: float | None = None


class Store(Sink):
    """An entry for each key. `look`, `put` and `drop` raise SinkError, `Passing` for what may be over soon."""

    @abstractmethod
    def look(self, key: str) -> Entry | None:
        """What stands at a key's place, whoever wrote it; None for nothing."""

    @abstractmethod
    def put(self, key: str, entry: Entry, found: Entry | None) -> None:
        """Write secret and record in one step in the place of what was found; Moved where that is gone."""

    @abstractmethod
    def drop(self, key: str, found: Entry) -> None:
        """Remove what was found; Moved where something else is there by now."""

    def listed(self) -> Collection[str]:
        """Keys that may have an entry of this stack, where the store can tell; those of the file are looked at too."""
        return ()

    # --- The protocol -------------------------------------------------------------------------------------------------

    def probe(self, keys: Collection[str]) -> None:
        """Refuse what is not ours."""
        side_by_side(lambda key: self._require_ours(key, self._look(key)), sorted(keys), READERS)

    def read(self, keys: Collection[str]) -> Mapping[str, Reading]:
        """The records of these keys, and of those that the store lists."""
        names = sorted({*keys, *self._again(self.listed)})
        found = zip(names, side_by_side(self._read, names, READERS), strict=True)
        return {key: record for key, record in found if record is not None}

    def read_one(self, key: str) -> SinkRecord | None:
        """One record."""
        found = self._read(key)
        return found if isinstance(found, SinkRecord) else None

    def read_secrets(self, keys: Collection[str]) -> Mapping[str, HeldSecret]:
        """Records and secrets of these keys."""
        names = sorted(keys)
        found = zip(names, side_by_side(lambda key: self._held(key, self._look(key)), names, READERS), strict=True)
        return {key: held for key, held in found if held is not None}

    def write(self, record: SinkRecord, secret: Secret) -> None:
        """Save a secret with its record; the same again leaves the entry as it is."""
        if not record.owner.is_same(self._owner):
            raise self.error(f"{record.key} is a record of another owner", "Report this as a bug of keyform.")
        self._redactor.learn(secret)  # the store may repeat it
        wanted, entry = HeldSecret(record, secret), Entry.of(record, secret)

        def is_done(found: Entry | None) -> bool:
            held = self._held(record.key, found)
            refuse_older(held.record if held else None, record, self.error)
            return held is not None and held == wanted and held.record.form == record.form

        self._settle(record.key, is_done, lambda found: self.put(record.key, entry, found))

    def remove(self, key: str) -> None:
        """Remove our entry; what is not ours stays."""

        def drop(found: Entry | None) -> None:
            if found is not None:
                self.drop(key, found)

        if self._is_ours(key, self._look(key)):
            self._settle(key, lambda found: not self._is_ours(key, found), drop)

    # --- Whose it is --------------------------------------------------------------------------------------------------

    def _record(self, key: str, found: Entry | None) -> Reading | None:
        """The record in an entry, whose ever it is; None where none can be read."""
        return record_from_fields(key, found.fields) if found is not None else None

    def _is_ours(self, key: str, found: Entry | None) -> bool:
        record = self._record(key, found)
        if isinstance(record, SinkRecord):
            return record.owner.is_same(self._owner)
        # Damaged, or of a later form: all forms name the stack.
        return found is not None and found.fields.get("stack") == self._stack

    def _require_ours(self, key: str, found: Entry | None) -> None:
        """Refuse what somebody else wrote, and what a later version wrote."""
        record = self._record(key, found)
        if self._is_ours(key, found):
            if isinstance(record, LaterRecord):
                raise self.error(explain_later(record), UPDATE_KEYFORM)
        elif found is not None:
            whose = f"belongs to {record.owner.of(key)}" if isinstance(record, SinkRecord) else "has no keyform record"
            raise self.error(f"the entry of {key} {whose}", "Remove it, or choose another place for this sink.")

    def _read(self, key: str) -> Reading | None:
        found = self._look(key)
        record = self._record(key, found) if self._is_ours(key, found) else None
        return record if isinstance(record, LaterRecord) or self._held(key, found) else None

    def _held(self, key: str, found: Entry | None) -> HeldSecret | None:
        record = self._record(key, found) if self._is_ours(key, found) else None
        if found is None or found.secret is None or not isinstance(record, SinkRecord):
            return None
        return HeldSecret(record, found.secret) if 0 < len(found.secret.reveal()) <= LONGEST_SECRET else None

    # --- Trying -------------------------------------------------------------------------------------------------------

    def _settle(self, key: str, is_done: Callable[[Entry | None], bool], act: Callable[[Entry | None], None]) -> None:
        """Act on what is there until it is done, or is said to fail; where an answer was lost, what is there tells.

        Once an attempt may have taken effect, that stays unknown, whatever later ones are told: it may come late.
        """
        is_unknown = False
        for number in range(ATTEMPTS):
            try:
                found = self._look(key)
                self._require_ours(key, found)
                if is_done(found):
                    return
                act(found)
            except Moved:
                continue
            except SinkError as error:
                is_final = not isinstance(error, Passing) and not error.effect_is_unknown
                is_unknown = error.effect_is_unknown = error.effect_is_unknown or is_unknown
                if is_final:
                    raise
                if number == ATTEMPTS - 1:
                    with suppress(SinkError):
                        if is_done(self._look(key)):
                            return
                    raise
                self._wait(number, error)
            else:
                return
        raise self.error(
            f"the entry of {key} was changed by somebody else each time",
            "See who writes it; apply again.",
            effect_is_unknown=is_unknown,
        )

    def _wait(self, number: int, error: SinkError) -> None:
        asked = error.retry_after if isinstance(error, Passing) and error.retry_after else 0.0
        self._effects.sleep(max(FIRST_WAIT * 2**number, min(asked, LONGEST_WAIT)))

    def _look(self, key: str) -> Entry | None:
        return self._again(lambda: self.look(key))

    def _again(self, ask: Callable[[], Found]) -> Found:
        """What a reading gives, which is tried again while that may help."""
        for number in range(ATTEMPTS - 1):
            try:
                return ask()
            except Passing as error:
                self._wait(number, error)
        return ask()
