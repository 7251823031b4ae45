"""The `dotenv` sink: secrets as variables of a .env file, each with its record in the line above.

    # keyform 2 inference-prod/payments-api g2 payments-api-g2 2026-11-21T10:00:00Z api.gcore.com/1234
    PAYMENTS_API_KEY=qLyjWDarjtT1zdp7dc

`2` is the form of the record; `api.gcore.com/1234` the API's host and the project. The first form had neither of them,
and had microseconds: it is read, and rewritten in the second.

Options: those of local_sink.py, and `variable`, the name's template (templates.py), `{KEY}_KEY` unless given.

Programs that read .env files disagree about quoting, so a secret is written in the plainest form that all read alike:

1. letters, digits and `_./+=:@%-` alone: without quotes, the same to everyone;
2. else in single quotes, unless it holds a single quote, a backslash or `${`;
3. else in double quotes, unless it holds `"`, a backslash, `$` or a backtick;
4. else, or when it is not printable ASCII, it is refused: a shell and python-dotenv would read different values.

2 and 3 are right for a shell (`set -a; . ./secrets.env`), python-dotenv and Docker Compose; `docker run --env-file` and
`docker --env-file` take quotes as part of the value.

Reading follows the same rules. A value that keyform could not have written is not held. One that is certain, on a line
that readers differ about (a CR at its end, spaces around `=`, a name in quotes; a byte order mark before the first
line), is held and damaged: `tidy` writes that line again.

The file is read line by line, as Docker does. A record line is ours, and so is the line right below it if that sets the
key's variable; every other line stays byte for byte (a last line without a line end gets one, so that ours can go below
it). Our lines end in LF in any file, since a shell would read a CR as part of the secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.model import RECORD_FORM, DesiredState, ForeignRecord, LaterRecord, Secret, SinkRecord, SinkSettings
from reconciler.sinks.declared import Complaint, SinkType
from reconciler.sinks.dotenv_text import (
    ASSIGNMENT,
    BEGINNING,
    HEAD,
    MARK,
    RECORD,
    damage_of,
    join_lines,
    owner_in,
    read_record,
    read_value,
    split_lines,
    write_record,
    write_value,
)
from reconciler.sinks.local_access import check_access
from reconciler.sinks.local_sink import LocalFileSink, local_options
from reconciler.sinks.protocol import Damage, HeldSecret, Surroundings
from reconciler.sinks.reserved import who_owns
from reconciler.sinks.templates import UPPER, VARIABLE_TEMPLATE, fill, is_variable_name, template_option

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from reconciler.errors import SinkError

_FREE = "INFERENCE_{KEY}_KEY"
"""A template whose names nobody else owns."""
_ANY = "some-key"
"""Means any key."""


@dataclass(frozen=True, slots=True)
class _Found:
    """The place of a key: the line of its record (from 0), and its variable right below; None if missing."""

    record: int | None
    variable: re.Match[str] | None


class DotenvSink(LocalFileSink):
    """A .env file; `variable` must hold `{KEY}`, so that no two keys share a name."""

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        self._template = _template_of(settings)
        if "{KEY}" not in self._template or not is_variable_name(self._variable_of("k")):
            raise self._file.error(
                "`variable` is not a valid template",
                "Letters, digits, underscores and {KEY}, such as `variable: GCORE_{KEY}_TOKEN`.",
            )

    @property
    def destination(self) -> str:
        """The file's path, and the variable's name if it is not the key's own."""
        return f"{super().destination}{self._variable}"

    @property
    def place(self) -> str:
        """The file, and the variable."""
        return f"{super().place}{self._variable}"

    @property
    def _variable(self) -> str:
        return "" if self._template == VARIABLE_TEMPLATE else f", variable {fill(self._template, stack=self._stack)}"

    def has_record(self, content: bytes) -> bool:
        """Whether a line begins as a record of this stack does, and names no other API or project."""
        return HEAD.encode() in content and b"\0" not in content and any(map(self._ours, self._lines(content)))

    def check(self, content: bytes, keys: Collection[str]) -> None:
        """Refuse a variable of a key's name that is not ours, or appears twice."""
        lines = self._lines(content)
        wanted = {self._name(key): key for key in keys}
        for key, records, variables in self._places_of(lines, wanted):
            self._placed(lines, key, records, variables)

    def foreign(self, content: bytes, keys: Collection[str]) -> dict[str, ForeignRecord]:
        """Variables of these keys' names without the key's record in the line above, or that appear twice."""
        lines = self._lines(content)
        wanted = {self._variable_of(key): key for key in keys}
        found = {}
        for key, records, variables in self._places_of(lines, wanted):
            if error := self._twice(key, records, variables):
                found[key] = self.foreign_record(key, error, None)
            elif strangers := [number for number in variables if number - 1 not in records]:
                other = self._record_above(lines, strangers[0])
                error = self._not_ours(lines, key, strangers[0])
                found[key] = self.foreign_record(key, error, owner_in(other) if other else None)
        return found

    def _places_of(self, lines: list[str], wanted: Mapping[str, str]) -> Iterator[tuple[str, list[int], list[int]]]:
        """Of these keys, by the names of their variables, the lines of their records and of their variables.

        One pass through the lines, not one for each key.
        """
        records: dict[str, list[int]] = {}
        variables: dict[str, list[int]] = {}
        for number, line in enumerate(lines):
            if ours := self._ours(line):
                if not self._is_of_another_template(lines, number, ours["key"]):
                    records.setdefault(ours["key"], []).append(number)
            elif (assignment := ASSIGNMENT.fullmatch(line)) and assignment["name"] in wanted:
                variables.setdefault(assignment["name"], []).append(number)
        for name, key in wanted.items():
            yield key, records.get(key, []), variables.get(name, [])

    def held(self, content: bytes, only: str | None = None) -> dict[str, HeldSecret]:
        """Records right above their variable, which must have a value that all readers read alike."""
        lines = self._lines(content)
        found: dict[str, HeldSecret] = {}
        places: dict[str, list[int]] = {}
        for number in range(len(lines)) if only is None else self._lines_about(lines, only):
            line = lines[number]
            if assignment := ASSIGNMENT.fullmatch(line):
                places.setdefault(assignment["name"], []).append(number)
            elif (record := self._record(line)) and only in {None, record.key}:
                below = self._variable_at(lines, number + 1, record.key)
                if below and (secret := read_value(below)):
                    damage = Damage("a byte order mark before", 1) if content.startswith(MARK) else None
                    found[record.key] = HeldSecret(record, secret, damage_of(below, number + 2) or damage)
                    places.setdefault(f"{self._stack}/{record.key}", []).append(number)
        for key, held in found.items():
            error = self._twice(key, places[f"{self._stack}/{key}"], places[self._variable_of(key)])
            if error and only:
                raise error
            found[key] = replace(held, doubt=error)
        return found

    def later(self, content: bytes) -> dict[str, LaterRecord]:
        """Record lines that begin with a higher number."""
        ours = filter(None, map(self._ours, self._lines(content)))
        return {
            each["key"]: LaterRecord(each["key"], form)
            for each in ours
            if (form := int(each["form"] or 1)) > RECORD_FORM
        }

    def put(self, content: bytes, record: SinkRecord, secret: Secret) -> bytes:
        """The two lines in place of the earlier ones, or at the end."""
        lines = self._lines(content)
        found = self._find(lines, record.key)
        above = write_record(record)
        if read_record(above) != record:
            raise self._file.error(
                f"the record of {record.key} does not fit on a line of a .env file", "Choose another sink for this key."
            )
        name, value, export = self._name(record.key), write_value(secret.reveal()), ""
        if value is None:
            raise self._file.error(
                f"the secret of {record.key} has characters that readers of .env files interpret differently",
                "Choose another sink for this key, such as one of type json.",
            )
        if found.record is not None and found.variable is not None:
            if (
                lines[found.record] == above
                and read_value(found.variable) == secret
                and not damage_of(found.variable, 1)
                and not content.startswith(MARK)
            ):
                return content
            export = found.variable["export"] or ""
        new = [above, f"{export}{name}={value}"]
        if found.record is not None:
            end = found.record + (2 if found.variable else 1)
            # Our own last line may have lost its line end.
            return join_lines([*lines[: found.record], *new, *(lines[end:] or [""])])
        if lines[-1] == "":
            lines.pop()
        # A shell would read our comment line as the continuation of a line that ends in a backslash.
        gap = [""] if lines and lines[-1].endswith("\\") else []
        return join_lines([*lines, *gap, *new, ""])

    def drop(self, content: bytes, key: str) -> bytes:
        """Without our lines, however often they appear; a variable of this name that is not ours stays."""
        lines = self._lines(content)
        ours: set[int] = set()
        for number in self._records_of(lines, key):
            ours |= {number, number + 1} if self._variable_at(lines, number + 1, key) else {number}
        if not ours:
            return content
        kept = [line for number, line in enumerate(lines) if number not in ours]
        # Our own last line may have lost its line end; the line above it has not.
        return join_lines([*kept, ""] if len(lines) - 1 in ours else kept)

    def _find(self, lines: list[str], key: str) -> _Found:
        name = self._name(key)
        records = self._records_of(lines, key)
        variables = [
            number for number, line in enumerate(lines) if name in line and self._variable_at(lines, number, key)
        ]
        return self._placed(lines, key, records, variables)

    def _placed(self, lines: list[str], key: str, records: list[int], variables: list[int]) -> _Found:
        """The one place of a key, by the numbers of its record lines and of those that set its variable."""
        if error := self._twice(key, records, variables):
            raise error
        if variables and [number - 1 for number in variables] != records:
            raise self._not_ours(lines, key, variables[0])
        if not records:
            return _Found(None, None)
        return _Found(records[0], self._variable_at(lines, records[0] + 1, key))

    def _not_ours(self, lines: list[str], key: str, line: int) -> SinkError:
        """The message about a variable of this key's name without its record in the line above."""
        name, other = self._variable_of(key), self._record_above(lines, line)
        return self._file.error(
            f"{name} belongs to {owner_in(other).of(other['key'])}"
            if other
            else f"{name} exists without a keyform record in the line above",
            f"Remove {name}, or set `variable` (such as {_FREE}) or another path for this sink.",
            line=line + 1,
        )

    @staticmethod
    def _record_above(lines: list[str], line: int) -> re.Match[str] | None:
        """The record in the line above, whoever owns it."""
        return RECORD.fullmatch(lines[line - 1]) if line else None

    def _lines_about(self, lines: list[str], key: str) -> Iterator[int]:
        """Lines that may be a record or a variable of this key, and few others: parsing each takes much longer."""
        name, head = self._variable_of(key), f"/{key} "
        yield from (number for number, line in enumerate(lines) if name in line or head in line)

    def _records_of(self, lines: list[str], key: str) -> list[int]:
        """Record lines of this key, damaged ones too, as long as stack and key can be read."""
        found = (number for number, line in enumerate(lines) if (ours := self._ours(line)) and ours["key"] == key)
        return [number for number in found if not self._is_of_another_template(lines, number, key)]

    def _is_of_another_template(self, lines: list[str], number: int, key: str) -> bool:
        """Whether a record is of this key by another template: another sink's in this file, or this one's earlier."""
        below = ASSIGNMENT.fullmatch(lines[number + 1]) if number + 1 < len(lines) else None
        name, core = self._variable_of(key), fill("{KEY}", key=key)
        return below is not None and below["name"] != name and core in below["name"]

    def _ours(self, line: str) -> re.Match[str] | None:
        """The beginning of a record of this stack, even a damaged one, unless it names another API or project."""
        match = BEGINNING.fullmatch(line) if line.startswith(HEAD) else None
        if match is None or not self._owner.has(match["stack"], match["key"]):
            return None
        if "\r" in line[:-1]:
            raise self._file.error(
                "has lines that end in CR alone, so readers treat all of them as one comment",
                "Save it with Unix line endings (LF).",
            )
        whole = RECORD.fullmatch(line)
        return match if whole is None or self._owner.owns(owner_in(whole), whole["key"]) else None

    def _variable_at(self, lines: list[str], number: int, key: str) -> re.Match[str] | None:
        match = ASSIGNMENT.fullmatch(lines[number]) if number < len(lines) else None
        return match if match and match["name"] == self._variable_of(key) else None

    def _record(self, line: str) -> SinkRecord | None:
        record = read_record(line)
        return self._owner.take(record) if record and self._owner.owns(record.owner, record.key) else None

    def _variable_of(self, key: str) -> str:
        return fill(self._template, key=key, stack=self._stack)

    def _name(self, key: str) -> str:
        name = self._variable_of(key)
        if not is_variable_name(name):
            raise self._file.error(
                f"the key {key} would give the variable {name}, which is not allowed in a shell",
                f"Set `variable` for this sink, such as {_FREE}.",
            )
        if owner := who_owns(name):
            raise self._file.error(
                f"the key {key} would give the variable {name}, which {owner}",
                f"Set `variable` for this sink, such as {_FREE}.",
            )
        return name

    def _lines(self, content: bytes) -> list[str]:
        if b"\0" in content:
            raise self._file.error("is not a text file", "Save it as UTF-8 if it is one, or choose another path.")
        return split_lines(content)

    def _twice(self, key: str, records: list[int], variables: list[int]) -> SinkError | None:
        """The message about a key whose record or variable appears more than once: readers differ about its secret."""
        for what, places in ((f"{self._stack}/{key}", records), (self._variable_of(key), variables)):
            if len(places) > 1:
                lines = " and ".join(str(number + 1) for number in places)
                return self._file.error(
                    f"{what} appears more than once (lines {lines})", "Remove all but one.", line=places[-1] + 1
                )
        return None


def _template_of(sink: SinkSettings) -> str:
    return str(sink.options.get("variable", VARIABLE_TEMPLATE))


def _check(state: DesiredState) -> Iterator[Complaint]:
    """Names that no shell could read, or that are others': of a template, whatever the key; and of a key in it."""

    def name_in(sink: SinkSettings, key: str) -> str:
        return fill(_template_of(sink), key=key, stack=state.stack)

    yield from check_access(state, SINK.type)
    usable = {}
    for sink in (each for each in state.sinks if each.type == SINK.type):
        path, name = ("sinks", sink.name, "variable"), name_in(sink, _ANY)
        if not is_variable_name(name):
            message = "must give a name of letters, digits and underscores that does not begin with a digit"
            yield Complaint(path, message, f"Write it such as `{VARIABLE_TEMPLATE}`.")
        elif owner := who_owns(name):
            yield Complaint(path, f"would make variables such as {name}, which {owner}", f"Write it such as `{_FREE}`.")
        else:
            usable[sink.name] = sink
    for key in state.keys:
        for sink in (usable[name] for name in key.sinks if name in usable):
            name, where = name_in(sink, key.name), sink.place.where
            if not is_variable_name(name):
                message = "the key's variable in a dotenv sink would begin with a digit"
                way_out = f'Give the sink at {where} a prefix, such as `variable: "{_FREE}"`.'
                yield Complaint(("keys", key.name), message, way_out)
            elif owner := who_owns(name):
                message = f"the key's variable in a dotenv sink would be {name}, which {owner}"
                way_out = f"Give the sink at {where} another `variable`, such as `{_FREE}`."
                yield Complaint(("keys", key.name), message, way_out)


SINK = SinkType(
    type="dotenv",
    opens=DotenvSink,
    title="A dotenv file.",
    description="A local file of `NAME=secret` lines that only its owner can read, unless `mode` and `group` say more.",
    options=(
        *local_options("secrets/team.env"),
        template_option(
            name="variable",
            description="The name of a key's variable in the file.",
            characters="A-Za-z0-9_",
            words="letters, digits and underscores",
            takes=UPPER,
            default=VARIABLE_TEMPLATE,
            examples=(VARIABLE_TEMPLATE, _FREE),
        ),
    ),
    example={"type": "dotenv", "path": "secrets/team.env"},
    full_example={"type": "dotenv", "path": "secrets/team.env", "variable": _FREE, "mode": "0640", "group": "app"},
    check=_check,
    slot_of=lambda settings, stack, key: (fill(_template_of(settings), key=key, stack=stack),),
)
