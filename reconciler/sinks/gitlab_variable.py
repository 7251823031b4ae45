"""A CI/CD variable as GitLab's API shows it, and the record in its description.

    keyform 2 inference-prod/payments-api g2 payments-api-g2 2026-11-21T10:00:00Z api.gcore.com/1234 check=1b2f5d8a

The words are those of a record in a .env file. GitLab saves value and description in one step, but someone who edits
the value leaves the description as it is. `check` shows that: eight hexadecimal digits of a hash of the secret and its
generation. A hidden variable has none, since its value is never shown again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.model import RECORD_FORM, LaterRecord, Owner, Secret, SinkRecord
from reconciler.reach import printable
from reconciler.sinks.dotenv_text import BEGINNING, read_record, write_record
from reconciler.sinks.record import KEY_FORM, LONGEST_SECRET, format_instant
from reconciler.sinks.store import Entry

LONGEST_DESCRIPTION = 255
"""Characters that GitLab keeps."""
LONGEST_NAME = 255
MASKABLE = re.compile(r"\S{8,}")
"""The values that GitLab masks in job logs, if it does not expand them."""
_CHECKED = re.compile(r"(?P<words>.*) check=(?P<check>[0-9a-f]{8})")
_COMMENT = "# "
_KEY = re.compile(KEY_FORM)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a project or group; `value` is None where GitLab does not show it.

    `shown` is the whole answer, without the value.
    """

    name: str
    scope: str
    value: str | None
    description: str
    is_hidden: bool
    shown: Mapping[str, object]


def read_variable(answer: object) -> Variable | None:
    """The variable in an answer; None if it is not one."""
    parts = answer if isinstance(answer, Mapping) else {}
    match parts:
        case {"key": str(name), "value": str() | None as value}:
            description, scope = parts.get("description"), parts.get("environment_scope", "*")
            return Variable(
                name,
                scope if isinstance(scope, str) else "",
                value,
                description if isinstance(description, str) else "",
                parts.get("hidden") is True,
                {each: told for each, told in parts.items() if each != "value"},
            )
        case _:
            return None


def describe(record: SinkRecord, secret: Secret | None) -> str:
    """The description of a variable with this record; `secret` is None if it is not shown again."""
    words = write_record(record).removeprefix(_COMMENT)
    return f"{words} check={_check(record, secret)}" if secret is not None else words


def read_entry(key: str, variable: Variable, owner: Owner) -> Entry:
    """The content of a key's variable, whoever wrote it."""
    match = _CHECKED.fullmatch(variable.description)
    line = f"{_COMMENT}{match['words'] if match else variable.description}"
    beginning = BEGINNING.fullmatch(line)
    record = read_record(line)
    if record is not None and (record.key != key or not owner.owns(record.owner, key)):
        whose = f"belongs to {printable(record.owner.of(record.key))}"
        return Entry(record, whose=whose, other=record.owner, state=variable)
    if beginning is None or beginning["key"] != key or not owner.has(beginning["stack"], key):
        return Entry(whose="has no keyform record", state=variable)
    if (form := int(beginning["form"] or 1)) > RECORD_FORM:
        return Entry(LaterRecord(key, form), state=variable)
    if record is None:
        return Entry(state=variable)
    if variable.is_hidden:
        return Entry(owner.take(record), state=variable)
    # A value that is not the record's is not held.
    secret = Secret(variable.value) if variable.value and len(variable.value) <= LONGEST_SECRET else None
    is_changed = secret is None or (match is not None and match["check"] != _check(record, secret))
    return Entry(state=variable) if is_changed else Entry(owner.take(record), secret, state=variable)


def key_in(variable: Variable) -> str:
    """The key that the description names, whoever wrote it; nothing if it names none."""
    match = BEGINNING.fullmatch(f"{_COMMENT}{variable.description}")
    key = match["key"] if match else ""
    return key if _KEY.fullmatch(key) else ""


def _check(record: SinkRecord, secret: Secret) -> str:
    """It does not depend on the stack's name: a release or a rename does not change it."""
    text = f"{record.key} {record.generation} {format_instant(record.created_at)} {secret.reveal()}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
