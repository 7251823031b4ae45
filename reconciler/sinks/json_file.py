"""The `json` sink: an object with an entry per key, with the secret and its record side by side.

    {
      "payments-api": {
        "secret": "qLyjWDarjtT1zdp7dc",
        "keyform": {
          "form": 2,
          "api": "api.gcore.com",
          "project": 1234,
          "stack": "inference-prod",
          "generation": 2,
          "live_name": "payments-api-g2",
          "created_at": "2026-11-21T10:00:00Z"
        }
      }
    }

Option: `path`. Ours are `secret` and `keyform` of an entry whose `keyform` names this stack, and no other API or
project. The first form named neither, had no `form`, and had microseconds: it is read, and rewritten in the second.
Everything else, in the entry and around it, stays byte for byte.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from reconciler.errors import SinkError
from reconciler.model import ForeignRecord, LaterRecord, Owner, Secret, SinkRecord
from reconciler.sinks.declared import SinkType
from reconciler.sinks.json_text import Member, NameStandsTwice, NotAnObject, drop_member, parse_object, set_member
from reconciler.sinks.local_access import check_access
from reconciler.sinks.local_sink import LocalFileSink, local_options
from reconciler.sinks.protocol import Damage, HeldSecret
from reconciler.sinks.record import LONGEST_SECRET, STACK_FORM, record_from_fields, record_to_fields

if TYPE_CHECKING:
    from collections.abc import Collection

_MARK = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8, which JSON forbids, and some readers refuse."""
_RECORD = "keyform"
_SECRET = "secret"  # noqa: S105 - the name of a field


class JsonFileSink(LocalFileSink):
    """A JSON file in UTF-8; one that is not a JSON object, or has a name twice, is refused without showing
    any of it.
    """

    def has_record(self, content: bytes) -> bool:
        """Whether an entry names this stack."""
        try:
            return any(map(self._is_ours, self._members(self._text(content)).values()))
        except SinkError:
            return False

    def check(self, content: bytes, keys: Collection[str]) -> None:
        """Refuse an entry of a key's name that is not ours."""
        members = self._members(self._text(content))
        for key in keys:
            self._entry(members, key)

    def foreign(self, content: bytes, keys: Collection[str]) -> dict[str, ForeignRecord]:
        """Entries of these keys' names that are not ours."""
        members = self._members(self._text(content))
        others = [members[key] for key in keys if key in members and not self._is_ours(members[key])]
        return {each.name: self.foreign_record(each.name, self._not_ours(each), _owner_in(each)) for each in others}

    def held(self, content: bytes, only: str | None = None) -> dict[str, HeldSecret]:
        """Entries with a record, and a secret that is text and not empty."""
        members = self._members(self._text(content))
        held = {name: self._held(member) for name, member in members.items() if only in {None, name}}
        damage = Damage("a byte order mark before", 1) if content.startswith(_MARK) else None
        return {name: replace(found, damage=damage) for name, found in held.items() if found is not None}

    def later(self, content: bytes) -> dict[str, LaterRecord]:
        """Entries of this stack whose record has a higher `form`."""
        members = self._members(self._text(content)).values()
        found = {member.name: _read_record(member) for member in members if self._is_ours(member)}
        return {key: record for key, record in found.items() if isinstance(record, LaterRecord)}

    def put(self, content: bytes, record: SinkRecord, secret: Secret) -> bytes:
        """Secret and record in the entry, which comes last if it is new."""
        if record_from_fields(record.key, record_to_fields(record)) != record:
            raise self._file.error(f"the record of {record.key} could not be read back", "Report this as a bug.")
        text = self._text(content)
        members = self._members(text)
        member = self._entry(members, record.key)
        held = self._held(member) if member else None
        is_same = held is not None and held == HeldSecret(record, secret) and held.record.form == record.form
        if held is not None and is_same and not held.record.former and not content.startswith(_MARK):
            return content
        entry = text[member.value_start : member.end] if member else "{}"
        entry = set_member(entry, parse_object(entry), _SECRET, json.dumps(secret.reveal()), indent="  ")
        fields = json.dumps(record_to_fields(record), indent=2).replace("\n", "\n    ")
        entry = set_member(entry, parse_object(entry), _RECORD, fields, indent="  ")
        return set_member(text, members, record.key, entry).encode()

    def drop(self, content: bytes, key: str) -> bytes:
        """Without secret and record; without the entry if nothing else is in it; `b""` if that was all."""
        text = self._text(content)
        members = self._members(text)
        member = members.get(key)
        if member is None or not self._is_ours(member):
            return content
        entry = text[member.value_start : member.end]
        for name in (_SECRET, _RECORD):
            if name in parse_object(entry):
                entry = drop_member(entry, parse_object(entry), name)
        if parse_object(entry):
            return set_member(text, members, key, entry).encode()
        return drop_member(text, members, key).encode() if len(members) > 1 else b""

    def _text(self, content: bytes) -> str:
        # Raised outside the `except`: a decoding error carries the whole content.
        try:
            return content.removeprefix(_MARK).decode() or "{}\n"
        except UnicodeDecodeError:
            pass
        raise self._not_json()

    def _members(self, text: str) -> dict[str, Member]:
        try:
            return parse_object(text)
        except NotAnObject:
            error = self._file.error("is JSON, but not an object", "Choose another path.")
        except NameStandsTwice:
            error = self._file.error("has an object with a duplicate name", "Remove all but one of them.")
        except (ValueError, RecursionError):
            error = self._not_json()
        raise error

    def _not_json(self) -> SinkError:
        return self._file.error("is not valid JSON in UTF-8", "Repair it, or choose another path.")

    def _entry(self, members: dict[str, Member], key: str) -> Member | None:
        """The key's entry, which must be ours if there is one."""
        member = members.get(key)
        if member is None or self._is_ours(member):
            return member
        raise self._not_ours(member)

    def _not_ours(self, member: Member) -> SinkError:
        """The message about an entry that is not ours."""
        key = member.name
        match member.value:
            case {"keyform": {"stack": str(stack)}} if re.fullmatch(STACK_FORM, stack):
                whose = f"belongs to {(_owner_in(member) or Owner(stack)).of(key)}"
            case _:
                whose = "has no keyform record of this stack"
        return self._file.error(f'the entry "{key}" {whose}', "Remove the entry, or choose another path for this sink.")

    def _is_ours(self, member: Member) -> bool:
        """Whether the entry has this stack's record, even a damaged one."""
        match member.value:
            case {"keyform": {"stack": str(stack)}} if self._owner.has(stack, member.name):
                owner = _owner_in(member)
                return owner is None or self._owner.owns(owner, member.name)
            case _:
                return False

    def _held(self, member: Member) -> HeldSecret | None:
        match member.value:
            case {"secret": str(secret)} if 0 < len(secret) <= LONGEST_SECRET and self._is_ours(member):
                record = _read_record(member)
                return HeldSecret(self._owner.take(record), Secret(secret)) if isinstance(record, SinkRecord) else None
            case _:
                return None


def _read_record(member: Member) -> SinkRecord | LaterRecord | None:
    match member.value:
        case {"keyform": fields}:
            return record_from_fields(member.name, fields)
        case _:
            return None


def _owner_in(member: Member) -> Owner | None:
    """The owner of the entry; None if its record cannot be read."""
    record = _read_record(member)
    return record.owner if isinstance(record, SinkRecord) else None


SINK = SinkType(
    type="json",
    opens=JsonFileSink,
    title="A JSON file.",
    description="A local JSON file, one entry for each key, that only its owner can read, unless `mode` and `group` "
    "say more.",
    options=local_options("secrets/team.json"),
    example={"type": "json", "path": "secrets/team.json"},
    check=partial(check_access, kind="json"),
)
