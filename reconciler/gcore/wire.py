"""The API's JSON, read into the model and written from it: what is the same in every generation of the API.

Unknown fields are ignored; a field that the contract promises and the answer lacks, or that has another type, is an
`UnexpectedAnswer` that names the field, and never its value. Timestamps become aware instants in UTC here, and nowhere
else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from reconciler.errors import UnexpectedAnswer
from reconciler.model import (
    EARLIEST,
    Identity,
    LiveKey,
    Secret,
    as_kept,
    is_written_behind,
    read_description,
    read_identity,
    read_release,
    shift,
)

Item = TypeVar("Item")

LONGEST_NAME = 255
"""Characters of a name; the documents allow 200 at most [D]. A word such as a status is cut to this."""
LONGEST_ADDRESS = 2048
LONGEST_SECRET = 4096
"""Characters; a command that saves secrets accepts no more."""

_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ](?:[01]\d|2[0-3]):\d\d(?::\d\d(?:[.,]\d{1,30})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Entry(Generic[Item]):
    """One object as the API shows it: the `id` that paths and other objects use for it, its name, and what it is.

    `links` are the ids of what it is bound to, if it lists that: an endpoint's keys, a key's endpoints.
    """

    id: str
    name: str
    item: Item
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list; `count` is how many objects all pages hold together [D], `size` the answer's, in bytes."""

    count: int
    entries: tuple[Entry[Item], ...]
    size: int = 0


def read_page(payload: object, what: str, read: Callable[[Fields], Entry[Item]], size: int = 0) -> Page[Item]:
    """`{count, results}` [D]. Raises UnexpectedAnswer."""
    fields = Fields.of(payload, what)
    count, entries = fields.whole_number("count"), fields.objects("results")
    return Page(count, tuple(map(read, entries)), size)


def read_key(fields: Fields, key_id: str) -> LiveKey:
    """What every generation shows of a key [D]. Raises UnexpectedAnswer.

    An `expires_at` of 0001-01-01T00:00:00Z is how a service in Go writes that none is set: never, like null [I]. Both
    instants are cut off to the second, as records keep `created_at`, and as the file's `expires_at` is read and sent:
    whether the API keeps a fraction, and shows it in every answer, is unknown [U].
    """
    description = fields.optional_text("description")
    text, ownership = read_description(description)
    released = read_release(description)
    claim = read_identity(description) if ownership is None and released is None else None
    expires_at = fields.optional_instant("expires_at")
    return LiveKey(
        id=key_id,
        name=fields.name("name"),
        text=as_kept(text),
        ownership=ownership,
        created_at=fields.instant("created_at").replace(microsecond=0),
        expires_at=expires_at.replace(microsecond=0) if expires_at and expires_at != EARLIEST else None,
        claimed_by=claim.stack if claim else None,
        identity=claim or Identity(),
        released=released,
        has_addition=is_written_behind(description),
    )


def read_instant(text: str) -> datetime:
    """An instant in any of the API's forms [D], aware and in UTC. Raises ValueError.

    `2023-10-01T12:00:00Z`, `2026-05-31T06:43:54.717473` (no zone means UTC), `+0000`, `+00:00`; a date alone is its
    first instant [D, portal]. Instants without a year in UTC, such as the first hours of the year 1 east of Greenwich,
    are EARLIEST or LATEST. Forms that only some versions of Python read are refused in all.
    """
    stripped = text.strip()
    if _INSTANT.fullmatch(stripped) is None:
        raise ValueError("not an instant")
    return shift(datetime.fromisoformat(stripped.upper()), timedelta(0))


def write_instant(instant: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SSZ` [D: ISO 8601]. A naive datetime is a ValueError."""
    if instant.tzinfo is None:
        raise ValueError("an instant is aware")
    return shift(instant, timedelta(0)).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def new_key(name: str, description: str, expires_at: datetime | None) -> dict[str, Any]:
    """What every generation needs to create a key [D]; an empty description, or no expiry, is left out."""
    body = {"name": name}
    if description:
        body["description"] = description
    if expires_at is not None:
        body["expires_at"] = write_instant(expires_at)
    return body


@dataclass(frozen=True, slots=True, repr=False)
class Fields:
    """A JSON object whose fields are read by name and type; `path` is its place (`results[3].`).

    Without a repr: the values may be secret.
    """

    values: dict[str, object]
    what: str
    path: str = ""

    @classmethod
    def of(cls, payload: object, what: str, path: str = "") -> Fields:
        """The object in `payload`; `what` says what the answer is about."""
        if not isinstance(payload, dict):
            raise unexpected(what, f"{path.removesuffix('.')!r} is not an object" if path else "it is not an object")
        return cls(payload, what, path)

    def has(self, name: str) -> bool:
        """Whether there is such a field, be it null."""
        return name in self.values

    def text(self, name: str) -> str:
        """A string. A lone surrogate, which no output could encode, is replaced."""
        return self._printable(self._of_type(name, str, "a string"))

    def optional_text(self, name: str) -> str | None:
        """A string or null; the field must exist."""
        return None if self._field(name) is None else self.text(name)

    def word(self, name: str) -> str:
        """A string that is cut to the length of a name."""
        return self.text(name)[:LONGEST_NAME]

    def any_word(self, name: str) -> str:
        """The same, or `""` if there is no string: for what is shown, and decides nothing that cannot wait."""
        return self.word(name) if isinstance(self.values.get(name), str) else ""

    def any_address(self, name: str) -> str:
        """An address, or `""` if there is no string: only calling the endpoint needs it."""
        return self.address(name) if isinstance(self.values.get(name), str) else ""

    def any_members(self, name: str) -> tuple[Fields, ...]:
        """The objects that an object holds under their names, or none if it is not there."""
        inner = self.values.get(name)
        values = inner.values() if isinstance(inner, dict) else ()
        path = f"{self.path}{name}.*."
        return tuple(Fields(value if isinstance(value, dict) else {}, self.what, path) for value in values)

    def any_inner(self, name: str) -> Fields:
        """An object in this one, empty if it is not there."""
        inner = self.values.get(name)
        return Fields(inner if isinstance(inner, dict) else {}, self.what, f"{self.path}{name}.")

    def name(self, name: str) -> str:
        """A name: a string that is accepted unchanged, or refused. It may hold any character that can be sent back."""
        return self._name(self._of_type(name, str, "a string"), name)

    def address(self, name: str) -> str:
        """A string that is not longer than an address may be."""
        address = self.text(name)
        if len(address) > LONGEST_ADDRESS:
            raise self._unexpected(name, "is too long")
        return address

    def secret(self, name: str) -> Secret:
        """A string that is accepted unchanged, or refused."""
        value = self._of_type(name, str, "a string")
        if (
            not value or len(value) > LONGEST_SECRET or not value.isprintable()
        ):  # a line break could not go into a request header either
            raise self._unexpected(name, "is not a secret that can be kept")
        return Secret(value)

    def whole_number(self, name: str) -> int:
        """An integer of 0 or more."""
        value = self._of_type(name, int, "a whole number")
        if isinstance(value, bool) or value < 0:
            raise self._unexpected(name, "is not a whole number")
        return value

    def optional_flag(self, name: str) -> bool | None:
        """true or false; None if the field is null or missing."""
        return None if self.values.get(name) is None else self._of_type(name, bool, "true or false")

    def instant(self, name: str) -> datetime:
        """A timestamp."""
        try:
            return read_instant(self.text(name))
        except ValueError:
            pass
        raise self._unexpected(name, "is not a time")

    def optional_instant(self, name: str) -> datetime | None:
        """A timestamp or null; the field must exist."""
        return None if self._field(name) is None else self.instant(name)

    def names(self, name: str) -> tuple[str, ...]:
        """A list of names."""
        entries = self._of_type(name, list, "a list")
        if not all(isinstance(entry, str) for entry in entries):
            raise self._unexpected(name, "is not a list of strings")
        return tuple(self._name(entry, name) for entry in entries)

    def nullable_names(self, name: str) -> tuple[str, ...]:
        """A list of names; null is an empty one; the field must exist."""
        return () if self._field(name) is None else self.names(name)

    def objects(self, name: str) -> tuple[Fields, ...]:
        """A list of objects."""
        entries = self._of_type(name, list, "a list")
        return tuple(Fields.of(entry, self.what, f"{self.path}{name}[{index}].") for index, entry in enumerate(entries))

    def _field(self, name: str) -> object:
        if name not in self.values:
            raise self._unexpected(name, "is missing")
        return self.values[name]

    def _of_type(self, name: str, wanted: type[Value], said: str) -> Value:
        value = self._field(name)
        if not isinstance(value, wanted):
            raise self._unexpected(name, f"is not {said}")
        return value

    def _name(self, value: str, name: str) -> str:
        if not 0 < len(value) <= LONGEST_NAME or self._printable(value) != value:
            raise self._unexpected(name, "is not a name")
        return value

    def _unexpected(self, name: str, finding: str) -> UnexpectedAnswer:
        return unexpected(self.what, f"{self.path + name!r} {finding}")

    @staticmethod
    def _printable(text: str) -> str:
        return text.encode("utf-8", "replace").decode()


Value = TypeVar("Value", str, int, bool, list[Any])


def unexpected(what: str, finding: str) -> UnexpectedAnswer:
    """The answer about `what` differs from the API's document."""
    return UnexpectedAnswer(
        f"The API's answer about {what} has an unexpected format: {finding}.",
        way_out="Check that GCORE_BASE_URL is right. If it is, the API has changed: update keyform, or report this.",
    )
