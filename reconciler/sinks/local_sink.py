"""What the sinks that keep their secrets in one local file have in common."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from reconciler.errors import SinkError
from reconciler.model import RECORD_FORM, ForeignRecord, LaterRecord, Repair, Secret, SinkRecord, SinkSettings
from reconciler.sinks.declared import Kind, Option
from reconciler.sinks.local_access import GROUP, MODE, FileAccess, find_faults, read_group, read_mode
from reconciler.sinks.local_file import LocalFile
from reconciler.sinks.protocol import (
    Damage,
    HeldSecret,
    OwnReading,
    Reading,
    Sink,
    Surroundings,
    Traits,
    describe_damages,
    refuse_foreign,
    refuse_older,
)
from reconciler.sinks.record import LONGEST_SECRET, UPDATE_KEYFORM, explain_later

_ROOM = 1024
"""Bytes that a new key adds to a file at most, as far as a rehearsal has to know."""

_SHARED = Option(
    name="shared",
    kind=Kind.SWITCH,
    description="Whether the file lies outside of the folder of this configuration file and holds what others wrote: "
    "without it, such a file is left alone.",
    default=False,
    examples=(True,),
)


def local_options(example: str) -> tuple[Option, ...]:
    """The options that all local files have; `example` is a path."""
    path = Option(
        name="path",
        kind=Kind.FILE_PATH,
        description="The file, relative to the folder of this configuration file; `~/` is the home folder, "
        "`${KEYFORM_VAR_NAME}` an environment variable. Git must ignore it. Nothing under `.git` is written.",
        required=True,
        way_out="Write `path: FILE`.",
        chooses_place=True,
        examples=(example,),
    )
    return path, _SHARED, MODE, GROUP


class LocalFileSink(Sink):
    """A `Sink` over one file: the file's rules are LocalFile's, its format is the subclass's pure functions.

    `b""` means a missing file. A relative `path` starts at the folder of the configuration file, so that a run finds
    the same secrets from any working folder.
    """

    traits = Traits(tidies=True)

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        self._has_old = False
        self._is_absent = False
        self._damage: Collection[Damage] = ()
        path = settings.options.get("path")
        if not isinstance(path, str) or not path or not _can_be_a_name(path):
            raise SinkError(f"sink {self.name}: it has no path", way_out="Give the path of its file: `path: secrets`.")
        mode, group = read_mode(settings), read_group(settings)
        if mode is None or any(find_faults(mode, group)):
            raise SinkError(
                f"sink {self.name}: `mode` and `group` do not say who may read its file",
                way_out='Write `mode: "0640"` and `group: NAME`, or neither.',
            )
        self._access = FileAccess(mode, group, around.effects)
        self._file = LocalFile(
            path,
            Path(settings.place.file).parent,
            sink=self.name,
            shared=settings.options.get("shared") is True,
            access=self._access,
            has_record=self.has_record,
            effects=around.effects,
        )

    @property
    def destination(self) -> str:
        """The file's path, and its readers if that is not only its owner."""
        return ", ".join(filter(None, (self._file.destination, self._access.words)))

    @property
    def place(self) -> str:
        """The file, relative to whichever folder its path is written."""
        return self._file.place

    @property
    def exposure(self) -> str:
        """A sentence if the file had another owner, or a group will read it, as it was last read."""
        return self._file.exposure

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """Changes by hand to who may read the file, and its damage, as it was last read."""
        found = []
        if self._file.drift:
            found.append(Repair("sink_access_differs", f"{self._file.destination} {self._file.drift}"))
        if self._damage:
            sentence = (
                f"{self._file.destination} has {describe_damages(self._damage)}: not every reader can use its secrets"
            )
            found.append(Repair("sink_is_damaged", f"{sentence}; the next apply rewrites these lines"))
        return tuple(found)

    @property
    def warning(self) -> str:
        """A folder on the way that the file's readers cannot pass."""
        barrier = self._file.barrier
        return f"{self._file.destination} {barrier}" if barrier else ""

    @property
    def is_evidence(self) -> bool:
        """Whether no commit can have written what was last read."""
        return self._file.is_evidence

    @property
    def is_absent(self) -> bool:
        """Whether there was no file at the last reading."""
        return self._is_absent

    def probe(self, keys: Collection[str]) -> None:
        """Check that these keys could be written or removed now, changing nothing."""
        content = self._file.check_writable() or b""
        self._refuse_later(content, keys)
        self.check(content, sorted(keys))

    def rehearse(self, keys: Collection[str]) -> None:
        """Write, sync and rename as many bytes next to the file as it will have, and remove them."""
        self._file.rehearse(len(keys) * _ROOM)

    def read(self, keys: Collection[str]) -> Mapping[str, Reading]:
        """All records of this stack with their secrets next to them; a key whose secret cannot be read is not held."""
        whole = self._file.read()
        content, self._is_absent = whole or b"", whole is None
        held = self.held(content)
        found: dict[str, Reading] = {
            **self.foreign(content, sorted(keys)),
            **{key: each.record for key, each in held.items() if not (each.doubt and key in keys)},
            **self.later(content),
        }
        self._damage = [each.damage for each in held.values() if each.damage and not each.doubt]
        self._has_old = any(isinstance(each, SinkRecord) and each.form < RECORD_FORM for each in found.values())
        return found

    def read_one(self, key: str) -> SinkRecord | None:
        """One record; the rest of the file is not parsed for it."""
        held = self.held(self._file.read() or b"", key).get(key)
        return held.record if held else None

    def read_secrets(self, keys: Collection[str]) -> Mapping[str, HeldSecret]:
        """Records and secrets of these keys."""
        only = next(iter(keys)) if len(keys) == 1 else None
        held = self.held(self._file.read() or b"", only)
        return {key: held[key] for key in sorted(keys) if key in held and not held[key].doubt}

    def write(self, record: SinkRecord, secret: Secret) -> None:
        """Save a secret with its record in one step, durably; saving the same again leaves the file as it is."""
        refuse_foreign(record, self._owner, self._file.error)
        if len(secret.reveal()) > LONGEST_SECRET:
            raise self._file.error(f"the secret of {record.key} is too long", "Check that GCORE_BASE_URL is right.")

        def put(content: bytes) -> bytes:
            self._refuse_later(content, [record.key])
            held = self.held(content, record.key).get(record.key)
            refuse_older(held.record if held else None, record, self._file.error)
            return self.put(content, record, secret)

        self._file.edit(put)

    def remove(self, key: str) -> None:
        """Remove record and secret, and the file itself if nothing is left in it."""

        def drop(content: bytes) -> bytes:
            self._refuse_later(content, [key])
            return self.drop(content, key)

        content = self._file.read() or b""
        if drop(content) != content:
            self._file.edit(drop)

    def release(self, key: str) -> None:
        """Write the record as one that is released; the secret stays."""

        def let_go(content: bytes) -> bytes:
            self._refuse_later(content, [key])
            held = self.held(content, key).get(key)
            return self.put(content, held.record.let_go, held.secret) if held else content

        self._file.edit(let_go)

    def tidy(self) -> None:
        """Finish an interrupted change of the file; write records in today's form, if others were read.

        Nothing depends on the latter: the next write of such a record does it, too. Damage is repaired, with mode and
        group as declared, and it is an error if that fails.
        """
        self._file.tidy()
        if self.repairs:
            self._damage, self._has_old = (), False
            self._file.edit(self._renewed)
        if self._has_old:
            self._has_old = False
            with suppress(SinkError):
                self._file.edit(self._renewed)

    def _renewed(self, content: bytes) -> bytes:
        """The content with repaired damage, and with records of an earlier form in today's."""
        for held in self.held(content).values():
            if (held.record.form < RECORD_FORM or held.damage) and not held.doubt and not held.record.former:
                record = replace(held.record, api=self._owner.api, project=self._owner.project, form=RECORD_FORM)
                content = self.put(content, record, held.secret)
        return content

    def records(self, content: bytes) -> dict[str, OwnReading]:
        """This stack's records by key."""
        held = {key: each.record for key, each in self.held(content).items() if not each.doubt}
        return held | dict(self.later(content))

    def _refuse_later(self, content: bytes, keys: Collection[str]) -> None:
        """Leave what a later version wrote."""
        later = self.later(content)
        for key in sorted(set(keys) & set(later)):
            raise self._file.error(explain_later(later[key]), UPDATE_KEYFORM)

    @abstractmethod
    def has_record(self, content: bytes) -> bool:
        """Whether this stack has a record in it, even a damaged one; False for a file of another kind."""

    @abstractmethod
    def check(self, content: bytes, keys: Collection[str]) -> None:
        """Refuse, by SinkError, what is in the place of one of these keys without being ours, or appears twice."""

    @abstractmethod
    def foreign(self, content: bytes, keys: Collection[str]) -> Mapping[str, ForeignRecord]:
        """What is in the place of one of these keys without being ours, or appears twice."""

    @abstractmethod
    def held(self, content: bytes, only: str | None = None) -> Mapping[str, HeldSecret]:
        """This stack's records and secrets by key; only if every reader can read the secret.

        With `only`, those of this key alone, or SinkError where it is in doubt.
        """

    @abstractmethod
    def later(self, content: bytes) -> Mapping[str, LaterRecord]:
        """This stack's records in a form that only a later version reads."""

    @abstractmethod
    def put(self, content: bytes, record: SinkRecord, secret: Secret) -> bytes:
        """The content with this secret and its record; everything that is not ours stays byte for byte."""

    @abstractmethod
    def drop(self, content: bytes, key: str) -> bytes:
        """The content without our record and secret of a key; `b""` if nothing is left."""


def _can_be_a_name(path: str) -> bool:
    """Whether the system could have a file of this name."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False
