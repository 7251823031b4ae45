"""The text of a .env file: its lines, keyform's records, and values that all readers read alike."""

from __future__ import annotations

import re

from reconciler.model import RECORD_FORM, Owner, Secret, SinkRecord
from reconciler.sinks.protocol import Damage
from reconciler.sinks.record import (
    API_FORM,
    KEY_FORM,
    LIVE_NAME_FORM,
    LONGEST_SECRET,
    STACK_FORM,
    format_instant,
    parse_instant,
)

HEAD = "# keyform "
RECORD = re.compile(
    rf"# keyform (?P<form>{RECORD_FORM} )?(?P<stack>{STACK_FORM})/(?P<key>{KEY_FORM}) "
    rf"g(?P<generation>[1-9][0-9]{{0,8}}) (?P<live_name>{LIVE_NAME_FORM}) (?P<created_at>[0-9TZ:.-]{{1,40}})"
    rf"(?(form)(?: (?P<api>{API_FORM})?/(?P<project>[0-9]{{1,18}}))?)[ \t]*\r?"
)
# The part common to every form: a number (none in the first), then stack and key.
BEGINNING = re.compile(r"# keyform (?:(?P<form>[0-9]{1,9}) )?(?P<stack>[^ \t\r\n/]+)/(?P<key>[^ \t\r\n]*).*")
# Everything that some reader accepts as setting the variable; users may add `export`, and it stays.
ASSIGNMENT = re.compile(
    r"[ \t]*(?P<export>export[ \t]+)?(?P<quote>['\"]?)(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P=quote)"
    r"(?P<rest>[ \t]*(?:[=#].*)?\r?)"
)
# A value that all readers read alike.
_PLAIN = r"[A-Za-z0-9_./+=:@%-]+"
_VALUE = re.compile(
    rf"(?P<before>[ \t]*)=(?P<after>[ \t]*)(?:(?P<plain>{_PLAIN})|'(?P<single>[^'\\]+)'|\"(?P<double>[^\"\\$`]+)\")"
    r"(?:[ \t]+#.*|[ \t]*)(?P<cr>\r?)"
)
_PRINTABLE = re.compile(r"[ -~]+")
MARK = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8, with which some editors begin a file."""


def split_lines(content: bytes) -> list[str]:
    """The lines, without the mark. Latin-1 gives each byte one character and back, whatever the encoding is."""
    return content.removeprefix(MARK).decode("latin-1").split("\n")


def join_lines(lines: list[str]) -> bytes:
    """The content that consists of these lines."""
    return "\n".join(lines).encode("latin-1")


def write_record(record: SinkRecord) -> str:
    """The line of a record."""
    words = (
        f"{HEAD}{RECORD_FORM} {record.stack}/{record.key} g{record.generation} {record.live_name} "
        f"{format_instant(record.created_at)}"
    )
    return f"{words} {record.api}/{record.project}" if record.api or record.project else words


def read_record(line: str) -> SinkRecord | None:
    """The record in a line, whoever owns it; None for anything else."""
    match = RECORD.fullmatch(line) if line.startswith(HEAD) else None
    created_at = parse_instant(match["created_at"]) if match else None
    if match is None or created_at is None:
        return None
    owner, generation, form = owner_in(match), int(match["generation"]), RECORD_FORM if match["form"] else 1
    return SinkRecord(
        owner.stack, match["key"], generation, match["live_name"], created_at, owner.api, owner.project, form
    )


def owner_in(match: re.Match[str]) -> Owner:
    """The owner of a record line."""
    return Owner(match["stack"], match["api"] or "", int(match["project"] or 0))


def write_value(secret: str) -> str | None:
    """The secret in the plainest quotes that all readers read alike; None if there are none."""
    if re.fullmatch(_PLAIN, secret):
        return secret
    if _PRINTABLE.fullmatch(secret):
        if not any(word in secret for word in ("'", "\\", "${")):
            return f"'{secret}'"
        if not any(word in secret for word in ('"', "\\", "$", "`")):
            return f'"{secret}"'
    return None


def read_value(assignment: re.Match[str]) -> Secret | None:
    """The value, if all readers read it alike; None if it is empty, or something that they would interpret."""
    match = _VALUE.fullmatch(assignment["rest"])
    value = (match["plain"] or match["single"] or match["double"]) if match else ""
    # In single quotes, Docker Compose and python-dotenv differ about a variable.
    is_certain = len(value) <= LONGEST_SECRET and not (match and match["single"] and "${" in value)
    return Secret(value) if is_certain and _PRINTABLE.fullmatch(value) else None


def damage_of(assignment: re.Match[str], line: int) -> Damage | None:
    """Why some readers do not get the value that is certain here."""
    match = _VALUE.fullmatch(assignment["rest"])
    if assignment["quote"]:
        return Damage("quotes around the name in", line)
    if match and (match["before"] or match["after"]):
        return Damage("spaces around `=` in", line)
    return Damage("CR at the end of", line) if match and match["cr"] else None
