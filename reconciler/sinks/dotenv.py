"""The `dotenv` sink: secrets as variables of a .env file, each with its record in the line above.

    # keyform 2 inference-prod/payments-api g2 payments-api-g2 2026-11-21T10:00:00Z api.gcore.com/1234
    PAYMENTS_API=qLyjWDarjtT1zdp7dc

`2` is the form of the record; `api.gcore.com/1234` the API's host and the project. The first form had neither of them,
and had microseconds: it is read, and rewritten in the second.

Options: `path`, and `variable`, the name's template, `{KEY}` unless given; `{KEY}` is the key in upper snake case.

Programs that read .env files disagree about quoting, so a secret is written in the plainest form that all read alike:

1. letters, digits and `_./+=:@%-` alone: without quotes, the same to everyone;
2. else in single quotes, unless it holds a single quote, a backslash or `${`;
3. else in double quotes, unless it holds `"`, a backslash, `$` or a backtick;
4. else, or when it is not printable ASCII, it is refused: a shell and python-dotenv would read different values.

2 and 3 are right for a shell (`set -a; . ./secrets.env`), python-dotenv and Docker Compose; `docker run --env-file` and
`docker --env-file` take quotes as part of the value.

What is read is held to the same rules. A value that a write could not have written is not held. One that is certain, on
a line of which readers differ (a CR at its end, spaces around `=`, a name in quotes; a byte order mark before the first
line), is held and damaged: `tidy` writes that line again.

The file is looked at line by line, as Docker does. What is ours is a record line, and the line right below it when that
sets the key's variable; every other line stays byte for byte (a last line without a line end gets one, so that ours can
go below it). Our lines end in LF in any file, since a shell would take a CR as part of the secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.model import (
    RECORD_FORM,
    DesiredState,
    ForeignRecord,
    LaterRecord,
    Owner,
    Secret,
    SinkRecord,
    SinkSettings,
    is_variable_name,
    variable_name,
)
from reconciler.sinks.declared import VARIABLE, Complaint, Kind, Option, SinkType
from reconciler.sinks.local_sink import SHARED, LocalFileSink, path_option
from reconciler.sinks.protocol import Damage, HeldSecret, Surroundings
from reconciler.sinks.record import (
    API_FORM,
    KEY_FORM,
    LIVE_NAME_FORM,
    LONGEST_SECRET,
    STACK_FORM,
    format_instant,
    parse_instant,
)
from reconciler.sinks.reserved import who_owns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from reconciler.errors import SinkError

_HEAD = "# keyform "
_RECORD = re.compile(
    rf"# keyform (?P<form>{RECORD_FORM} )?(?P<stack>{STACK_FORM})/(?P<key>{KEY_FORM}) "
    rf"g(?P<generation>[1-9][0-9]{{0,8}}) (?P<live_name>{LIVE_NAME_FORM}) (?P<created_at>[0-9TZ:.-]{{1,40}})"
    rf"(?(form)(?: (?P<api>{API_FORM})?/(?P<project>[0-9]{{1,18}}))?)[ \t]*\r?"
)
# What stays true of every form: a number (none in the first), then stack and key.
_BEGINNING = re.compile(r"# keyform (?:(?P<form>[0-9]{1,9}) )?(?P<stack>[^ \t\r\n/]+)/(?P<key>[^ \t\r\n]*).*")
# All that some reader takes as setting the variable; `export` is the user's to add, and stays.
_ASSIGNMENT = re.compile(
    r"[ \t]*(?P<export>export[ \t]+)?(?P<quote>['\"]?)(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P=quote)"
    r"(?P<rest>[ \t]*(?:[=#].*)?\r?)"
)
# A value that all readers agree about.
_PLAIN = r"[A-Za-z0-9_./+=:@%-]+"
_VALUE = re.compile(
    rf"(?P<before>[ \t]*)=(?P<after>[ \t]*)(?:(?P<plain>{_PLAIN})|'(?P<single>[^'\\]+)'|\"(?P<double>[^\"\\$`]+)\")"
    r"(?:[ \t]+#.*|[ \t]*)(?P<cr>\r?)"
)
_FREE = "INFERENCE_{KEY}"
"""A template of which no name is anybody's."""
_ANY = "some-key"
"""Stands for whichever key."""
_PRINTABLE = re.compile(r"[ -~]+")
_MARK = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8, by which some editors begin a file."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a key stands: the line of its record (from 0), and its variable right below; None where missing."""

    record: int | None
    variable: re.Match[str] | None


class DotenvSink(LocalFileSink):
    """A .env file; `variable` must hold `{KEY}`, so that no two keys share a name."""

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        template = _template_of(settings)
        if "{KEY}" not in template or not is_variable_name(variable_name(template, "k")):
            raise self._file.error(
                "`variable` is no template of a variable's name",
                "Letters, digits, underscores and {KEY}, such as `variable: GCORE_{KEY}_TOKEN`.",
            )
        self._template = template

    @property
    def destination(self) -> str:
        """The file's path, and the variable's name where it is not the key's own."""
        return f"{super().destination}{self._variable}"

    @property
    def place(self) -> str:
        """The file, and the variable."""
        return f"{super().place}{self._variable}"

    @property
    def _variable(self) -> str:
        return "" if self._template == "{KEY}" else f", variable {self._template}"

    def has_record(self, content: bytes) -> bool:
        """Whether a line begins as a record of this stack does, and names no other API or project."""
        return _HEAD.encode() in content and b"\0" not in content and any(map(self._ours, self._lines(content)))

    def check(self, content: bytes, keys: Collection[str]) -> None:
        """Refuse a variable of a key's name that is not ours, or stands twice."""
        lines = self._lines(content)
        wanted = {self._name(key): key for key in keys}
        for key, records, variables in self._places_of(lines, wanted):
            self._placed(lines, key, records, variables)

    def foreign(self, content: bytes, keys: Collection[str]) -> dict[str, ForeignRecord]:
        """Variables of these keys' names that have no record of theirs in the line above."""
        lines = self._lines(content)
        wanted = {variable_name(self._template, key): key for key in keys}
        found = {}
        for key, records, variables in self._places_of(lines, wanted):
            if strangers := [number for number in variables if number - 1 not in records]:
                other = self._record_above(lines, strangers[0])
                error = self._not_ours(lines, key, strangers[0])
                found[key] = self.foreign_record(key, error, _owner_in(other) if other else None)
        return found

    def _places_of(self, lines: list[str], wanted: Mapping[str, str]) -> Iterator[tuple[str, list[int], list[int]]]:
        """Of these keys, by the names of their variables, the lines of their records and of their variables.

        Once through the lines, not once for each key.
        """
        records: dict[str, list[int]] = {}
        variables: dict[str, list[int]] = {}
        for number, line in enumerate(lines):
            if ours := self._ours(line):
                if not self._is_of_another_template(lines, number, ours["key"]):
                    records.setdefault(ours["key"], []).append(number)
            elif (assignment := _ASSIGNMENT.fullmatch(line)) and assignment["name"] in wanted:
                variables.setdefault(assignment["name"], []).append(number)
        for name, key in wanted.items():
            yield key, records.get(key, []), variables.get(name, [])

    def held(self, content: bytes, only: str | None = None) -> dict[str, HeldSecret]:
        """Records right above their variable, which must have a value that all readers agree about."""
        lines = self._lines(content)
        found: dict[str, HeldSecret] = {}
        places: dict[str, list[int]] = {}
        for number in range(len(lines)) if only is None else self._lines_about(lines, only):
            line = lines[number]
            if assignment := _ASSIGNMENT.fullmatch(line):
                places.setdefault(assignment["name"], []).append(number)
            elif (record := self._record(line)) and only in {None, record.key}:
                below = self._variable_at(lines, number + 1, record.key)
                if below and (secret := _value(below)):
                    damage = Damage("a byte order mark before", 1) if content.startswith(_MARK) else None
                    found[record.key] = HeldSecret(record, secret, _damage(below, number + 2) or damage)
                    places.setdefault(f"{self._stack}/{record.key}", []).append(number)
        for key in found:
            for what in (f"{self._stack}/{key}", variable_name(self._template, key)):
                if len(places[what]) > 1:
                    raise self._twice(what, places[what])
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
        """The two lines in the place of the earlier ones, or at the end."""
        lines = self._lines(content)
        found = self._find(lines, record.key)
        above = (
            f"{_HEAD}{RECORD_FORM} {record.stack}/{record.key} g{record.generation} {record.live_name} "
            f"{format_instant(record.created_at)}"
        )
        if record.api or record.project:
            above += f" {record.api}/{record.project}"
        if _read_record(above) != record:
            raise self._file.error(
                f"the record of {record.key} does not fit in a line of a .env file", "Choose another sink for this key."
            )
        name = self._name(record.key)
        export = ""
        if found.record is not None and found.variable is not None:
            if (
                lines[found.record] == above
                and _value(found.variable) == secret
                and not _damage(found.variable, 1)
                and not content.startswith(_MARK)
            ):
                return content
            export = found.variable["export"] or ""
        new = [above, f"{export}{name}={self._quoted(secret.reveal(), record.key)}"]
        if found.record is not None:
            end = found.record + (2 if found.variable else 1)
            # Our own last line may have lost its end.
            return _joined([*lines[: found.record], *new, *(lines[end:] or [""])])
        if lines[-1] == "":
            lines.pop()
        # A shell would take our comment line as more of a line that ends in a backslash.
        gap = [""] if lines and lines[-1].endswith("\\") else []
        return _joined([*lines, *gap, *new, ""])

    def drop(self, content: bytes, key: str) -> bytes:
        """Without our lines, however often they stand there; a variable of this name that is not ours stays."""
        lines = self._lines(content)
        ours: set[int] = set()
        for number in self._records_of(lines, key):
            ours |= {number, number + 1} if self._variable_at(lines, number + 1, key) else {number}
        if not ours:
            return content
        kept = [line for number, line in enumerate(lines) if number not in ours]
        # Our own last line may have lost its end; the line above it has not.
        return _joined([*kept, ""] if len(lines) - 1 in ours else kept)

    def _find(self, lines: list[str], key: str) -> _Found:
        name = self._name(key)
        records = self._records_of(lines, key)
        variables = [
            number for number, line in enumerate(lines) if name in line and self._variable_at(lines, number, key)
        ]
        return self._placed(lines, key, records, variables)

    def _placed(self, lines: list[str], key: str, records: list[int], variables: list[int]) -> _Found:
        """The one place of a key, by the numbers of its record lines and of those that set its variable."""
        name = self._name(key)
        for what, places in ((f"{self._stack}/{key}", records), (name, variables)):
            if len(places) > 1:
                raise self._twice(what, places)
        if variables and [number - 1 for number in variables] != records:
            raise self._not_ours(lines, key, variables[0])
        if not records:
            return _Found(None, None)
        return _Found(records[0], self._variable_at(lines, records[0] + 1, key))

    def _not_ours(self, lines: list[str], key: str, line: int) -> SinkError:
        """What is said of a variable of this key's name without its record in the line above."""
        name, other = variable_name(self._template, key), self._record_above(lines, line)
        return self._file.error(
            f"{name} belongs to {_owner_in(other).of(other['key'])}"
            if other
            else f"{name} stands here without a keyform record in the line above",
            f"Remove {name}, or set `variable` (such as KEYFORM_{{KEY}}) or another path for this sink.",
            line=line + 1,
        )

    @staticmethod
    def _record_above(lines: list[str], line: int) -> re.Match[str] | None:
        """The record in the line above, whosever it is."""
        return _RECORD.fullmatch(lines[line - 1]) if line else None

    def _lines_about(self, lines: list[str], key: str) -> Iterator[int]:
        """Lines that may be a record or a variable of this key, and few others: to look at all takes much longer."""
        name, head = variable_name(self._template, key), f"/{key} "
        yield from (number for number, line in enumerate(lines) if name in line or head in line)

    def _records_of(self, lines: list[str], key: str) -> list[int]:
        """Record lines of this key, damaged ones too, as long as stack and key can be read."""
        found = (number for number, line in enumerate(lines) if (ours := self._ours(line)) and ours["key"] == key)
        return [number for number in found if not self._is_of_another_template(lines, number, key)]

    def _is_of_another_template(self, lines: list[str], number: int, key: str) -> bool:
        """Whether a record is of this key by another template: another sink's in this file, or this one's earlier."""
        below = _ASSIGNMENT.fullmatch(lines[number + 1]) if number + 1 < len(lines) else None
        name, core = variable_name(self._template, key), variable_name("{KEY}", key)
        return below is not None and below["name"] != name and core in below["name"]

    def _ours(self, line: str) -> re.Match[str] | None:
        """How a record of this stack begins, be it damaged, unless it names another API or project."""
        match = _BEGINNING.fullmatch(line) if line.startswith(_HEAD) else None
        if match is None or not self._owner.has(match["stack"], match["key"]):
            return None
        if "\r" in line[:-1]:
            raise self._file.error(
                "has lines that end in CR alone, so that readers take all of them for a comment",
                "Save it with the line ends of Unix (LF).",
            )
        whole = _RECORD.fullmatch(line)
        return match if whole is None or self._owner.owns(_owner_in(whole), whole["key"]) else None

    def _variable_at(self, lines: list[str], number: int, key: str) -> re.Match[str] | None:
        match = _ASSIGNMENT.fullmatch(lines[number]) if number < len(lines) else None
        return match if match and match["name"] == variable_name(self._template, key) else None

    def _record(self, line: str) -> SinkRecord | None:
        record = _read_record(line)
        return self._owner.take(record) if record and self._owner.owns(record.owner, record.key) else None

    def _name(self, key: str) -> str:
        name = variable_name(self._template, key)
        if not is_variable_name(name):
            raise self._file.error(
                f"the key {key} would give the variable {name}, which is not allowed in a shell",
                "Set `variable` for this sink, such as KEYFORM_{KEY}.",
            )
        if owner := who_owns(name):
            raise self._file.error(
                f"the key {key} would give the variable {name}, which {owner}",
                f"Set `variable` for this sink, such as {_FREE}.",
            )
        return name

    def _quoted(self, secret: str, key: str) -> str:
        if re.fullmatch(_PLAIN, secret):
            return secret
        if _PRINTABLE.fullmatch(secret):
            if not any(word in secret for word in ("'", "\\", "${")):
                return f"'{secret}'"
            if not any(word in secret for word in ('"', "\\", "$", "`")):
                return f'"{secret}"'
        raise self._file.error(
            f"the secret of {key} has characters that readers of .env files disagree about",
            "Choose another sink for this key, such as one of type json.",
        )

    def _lines(self, content: bytes) -> list[str]:
        if b"\0" in content:
            raise self._file.error("is not a text file", "Save it as UTF-8 if it is one, or choose another path.")
        # Latin-1 gives each byte one character and back, so that a file in any ASCII-based encoding stays as it is.
        return content.removeprefix(_MARK).decode("latin-1").split("\n")

    def _twice(self, what: str, places: list[int]) -> SinkError:
        lines = " and ".join(str(number + 1) for number in places)
        return self._file.error(
            f"{what} stands here a second time (lines {lines})", "Remove all but one.", line=places[-1] + 1
        )


def _read_record(line: str) -> SinkRecord | None:
    """The record of a line, whosever it is."""
    match = _RECORD.fullmatch(line) if line.startswith(_HEAD) else None
    created_at = parse_instant(match["created_at"]) if match else None
    if match is None or created_at is None:
        return None
    owner, generation, form = _owner_in(match), int(match["generation"]), RECORD_FORM if match["form"] else 1
    return SinkRecord(
        owner.stack, match["key"], generation, match["live_name"], created_at, owner.api, owner.project, form
    )


def _owner_in(match: re.Match[str]) -> Owner:
    return Owner(match["stack"], match["api"] or "", int(match["project"] or 0))


def _value(assignment: re.Match[str]) -> Secret | None:
    """The value, where all readers agree about it; None when it is empty, or something that they would interpret."""
    match = _VALUE.fullmatch(assignment["rest"])
    value = (match["plain"] or match["single"] or match["double"]) if match else ""
    # In single quotes, Docker Compose and python-dotenv differ about a variable.
    is_certain = len(value) <= LONGEST_SECRET and not (match and match["single"] and "${" in value)
    return Secret(value) if is_certain and _PRINTABLE.fullmatch(value) else None


def _damage(assignment: re.Match[str], line: int) -> Damage | None:
    """Why some readers do not get the value that is certain here."""
    match = _VALUE.fullmatch(assignment["rest"])
    if assignment["quote"]:
        return Damage("quotes around the name in", line)
    if match and (match["before"] or match["after"]):
        return Damage("spaces around `=` in", line)
    return Damage("CR at the end of", line) if match and match["cr"] else None


def _joined(lines: list[str]) -> bytes:
    return "\n".join(lines).encode("latin-1")


def _template_of(sink: SinkSettings) -> str:
    return str(sink.options.get("variable", "{KEY}"))


def _check(state: DesiredState) -> Iterator[Complaint]:
    """Names that no shell could read, or that are others': of a template, whatever the key; and of a key in it."""
    usable = {}
    for sink in (each for each in state.sinks if each.type == SINK.type):
        path, name = ("sinks", sink.name, "variable"), variable_name(_template_of(sink), _ANY)
        if not is_variable_name(name):
            message = "does not give the name of a variable: letters, digits and underscores, no digit first"
            yield Complaint(path, message, "Write it such as `{KEY}_API_KEY`.")
        elif owner := who_owns(name):
            yield Complaint(path, f"would make variables such as {name}, which {owner}", f"Write it such as `{_FREE}`.")
        else:
            usable[sink.name] = sink
    for key in state.keys:
        for sink in (usable[name] for name in key.sinks if name in usable):
            name, where = variable_name(_template_of(sink), key.name), sink.place.where
            if not is_variable_name(name):
                message = "the key's variable in a dotenv sink would begin with a digit"
                way_out = f"Give the sink at {where} a prefix, such as `variable: KEY_{{KEY}}`."
                yield Complaint(("keys", key.name), message, way_out)
            elif owner := who_owns(name):
                message = f"the key's variable in a dotenv sink would be {name}, which {owner}"
                way_out = f"Give the sink at {where} another `variable`, such as `{_FREE}`."
                yield Complaint(("keys", key.name), message, way_out)


SINK = SinkType(
    type="dotenv",
    opens=DotenvSink,
    title="A dotenv file.",
    description="A local file of `NAME=secret` lines that only its owner can read.",
    options=(
        path_option("secrets/team.env"),
        Option(
            name="variable",
            kind=Kind.TEXT,
            description="The name of a key's variable in the file. `{KEY}` stands for the key's name in upper case "
            "with underscores; `${KEYFORM_VAR_NAME}` reads an environment variable.",
            schema={
                "pattern": rf"^([A-Za-z0-9_]|{VARIABLE})*\{{KEY\}}([A-Za-z0-9_]|{VARIABLE}|\{{KEY\}})*$",
                "maxLength": 200,
                "errorMessage": "must be letters, digits and underscores around `{KEY}`, such as `{KEY}_API_KEY`",
            },
            default="{KEY}",
            chooses_place=True,
            examples=("{KEY}_API_KEY", "GCORE_{KEY}"),
        ),
        SHARED,
    ),
    example={"type": "dotenv", "path": "secrets/team.env"},
    full_example={"type": "dotenv", "path": "secrets/team.env", "variable": "{KEY}_API_KEY"},
    check=_check,
    slot_of=lambda settings, key: variable_name(_template_of(settings), key),
)
