"""How a secret in Vault says what it holds: a record beside it in the data, and notes in its custom metadata.

    data               api_key              the secret
                       keyform_api_key      {"form": 2, "stack": "inference-prod", …, "digest": "5f1a…"}
    custom metadata    keyform-stack        inference-prod
                       keyform-api          api.gcore.com
                       keyform-project      1234
                       keyform-held:api_key v7 2 g2 payments-api-g2 2026-11-21T10:00:00Z
                       keyform-next:api_key v8 2 g3 payments-api-g3 2026-12-21T10:00:00Z

Secret and record are written in one step. `next` announces the version to come before it is written, and `held` says
afterwards what a version holds. Anyone else may write the announced version, so `next` proves nothing. `held` stays
true of its version, which never changes. So metadata alone says what the secret holds as long as `held` names the
version that consumers get; otherwise somebody has written since, and the record in the data says what is left.

The digest is of the secret beside it. It shows that somebody changed the secret and left the record.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.model import RECORD_FORM, Owner, Secret, SinkRecord
from reconciler.sinks.record import LIVE_NAME_FORM, format_instant, parse_instant, record_to_fields

PREFIX = "keyform-"
STACK, API, PROJECT = f"{PREFIX}stack", f"{PREFIX}api", f"{PREFIX}project"
HELD, NEXT = f"{PREFIX}held:", f"{PREFIX}next:"
RECORD_PREFIX = "keyform_"
"""What the name of the record's field begins with."""
MOST_NOTES, LONGEST_NOTE = 64, 512
"""How many entries custom metadata may have, and how many characters each: the store's own limits."""
_NUMBER = re.compile(r"[0-9]{1,15}")
_NOTE = re.compile(
    rf"v(?P<version>[1-9][0-9]{{0,14}}) (?P<form>[1-9][0-9]{{0,8}})"
    rf"(?: g(?P<generation>[1-9][0-9]{{0,8}}) (?P<live_name>{LIVE_NAME_FORM})"
    r" (?P<created_at>[0-9TZ:.-]{1,40}))?(?: .*)?"
)


@dataclass(frozen=True, slots=True)
class Metadata:
    """A secret without its data. `versions` are those that exist in any way: each with its time of deletion (`""`: it
    is not deleted), or None if it is destroyed.
    """

    current: int
    versions: Mapping[int, str | None]
    notes: Mapping[str, str]
    lifetime: str
    """After how long the store deletes a version by itself; `0s` for never."""

    def is_alive(self, now: datetime) -> bool:
        """Whether consumers get the version that is current."""
        deleted = self.versions.get(self.current)
        if deleted is None:
            return False
        at = parse_instant(_cut(deleted))
        return not deleted or (at is not None and at > now)

    @property
    def ends(self) -> str:
        """When the store deletes the version that is current; nothing for never."""
        return self.versions.get(self.current) or ""

    @property
    def is_empty(self) -> bool:
        """Whether no version has any data left, not even data that could be restored."""
        return all(deleted is None for deleted in self.versions.values())

    @property
    def owner(self) -> dict[str, str | int]:
        """Whose it is by its notes, in the fields of a record; a stack without a name for nobody's."""
        project = self.notes.get(PROJECT, "")
        number = int(project) if _NUMBER.fullmatch(project) else 0
        return {"stack": self.notes.get(STACK, ""), "api": self.notes.get(API, ""), "project": number}

    def held(self, field: str) -> dict[str, str | int] | None:
        """The fields of the record about the current version, as far as it is noted; None if it is not."""
        match = _NOTE.fullmatch(self.notes.get(HELD + field, ""))
        if match is None or int(match["version"]) != self.current or not self.notes.get(STACK):
            return None
        form = int(match["form"])
        if form > RECORD_FORM or match["generation"] is None:
            return {**self.owner, "form": form}
        words = {"live_name": match["live_name"], "created_at": match["created_at"]}
        return {**self.owner, "form": form, "generation": int(match["generation"]), **words}

    def carried(self, field: str, version: int) -> Iterator[tuple[str, str]]:
        """The notes about the other fields of the current version, once they are those of a next one as well."""
        for name, note in self.notes.items():
            is_held = name.startswith(HELD) and name != HELD + field
            if is_held and note.startswith(f"v{self.current} "):
                yield name, f"v{version}{note[len(f'v{self.current}') :]}"


def read_metadata(answer: object) -> Metadata | None:
    """The metadata in an answer; None if it is in no known form."""
    data = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(data, Mapping):
        return None
    current, versions, notes = data.get("current_version"), data.get("versions"), data.get("custom_metadata")
    if not isinstance(current, int) or isinstance(current, bool) or not 0 <= current < 10**15:
        return None
    found: dict[int, str | None] = {}
    for number, about in (versions if isinstance(versions, Mapping) else {}).items():
        if not isinstance(number, str) or not _NUMBER.fullmatch(number) or not isinstance(about, Mapping):
            return None
        deleted = about.get("deletion_time") or ""
        if not isinstance(deleted, str):
            return None
        found[int(number)] = None if about.get("destroyed") else deleted
    if current and current not in found:
        return None
    pairs = (notes if isinstance(notes, Mapping) else {}).items()
    texts = {name: note for name, note in pairs if isinstance(name, str) and isinstance(note, str)}
    return Metadata(current, found, texts, str(data.get("delete_version_after") or "0s"))


def owner_notes(owner: Owner) -> dict[str, str | None]:
    """The notes that say whose a secret is; None removes what is not known."""
    return {STACK: owner.stack, API: owner.api or None, PROJECT: str(owner.project) if owner.project else None}


def note(record: SinkRecord, version: int) -> str:
    """What a version holds."""
    words = (f"v{version}", str(RECORD_FORM), f"g{record.generation}", record.live_name)
    return " ".join((*words, format_instant(record.created_at)))


def record_field(field: str) -> str:
    """The name of the field with the record of the secret in another field."""
    return f"{RECORD_PREFIX}{field}"


def make_fields(field: str, record: SinkRecord, secret: Secret) -> dict[str, str]:
    """The two fields of a secret."""
    fields = record_to_fields(record) | {"digest": _digest(secret.reveal())}
    return {field: secret.reveal(), record_field(field): json.dumps(fields)}


def read_fields(field: str, data: Mapping[str, Any]) -> tuple[Mapping[str, Any], object]:
    """The fields of the record beside a secret, and the secret, if it is the one that was written with the record."""
    text, secret = data.get(record_field(field)), data.get(field)
    try:
        fields = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, Mapping):
        return {}, None
    is_same = "digest" not in fields or (isinstance(secret, str) and fields["digest"] == _digest(secret))
    return fields, secret if is_same else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _cut(instant: str) -> str:
    """An instant without the digits below microseconds, which Python does not read."""
    return re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", instant)
