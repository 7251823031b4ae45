"""The text of a JSON object, edited member by member: everything else stays byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NamedTuple

_SPACE = re.compile(r"[ \t\r\n]*")
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")
_SEPARATOR = re.compile(r"[ \t\r\n]*(?:(})|,[ \t\r\n]*)")


class NotAnObject(ValueError):
    """The text is valid as far as it was read, but its value is not an object."""


class NameStandsTwice(ValueError):
    """An object, at any depth, has two members with one name, so that readers may differ about its value."""


class Member(NamedTuple):
    """A member of an object, and where in the text it starts, where its value starts, and where both end."""

    name: str
    value: object
    start: int
    value_start: int
    end: int


def parse_object(text: str) -> dict[str, Member]:
    """The members of the object that the whole text is, in order.

    ValueError when it is not JSON (its message may quote the text, so it must not be shown), RecursionError when it is
    nested too deeply.
    """
    members: dict[str, Member] = {}
    position = _after(_SPACE, text, 0)
    if not text.startswith("{", position):
        _DECODER.raw_decode(text, position)
        raise NotAnObject
    position = _after(_SPACE, text, position + 1)
    closed = text.startswith("}", position)
    end = position + 1
    while not closed:
        if not text.startswith('"', position):
            raise ValueError
        name, end = _DECODER.raw_decode(text, position)
        if name in members:
            raise NameStandsTwice
        value_start = _after(_COLON, text, end)
        value, end = _DECODER.raw_decode(text, value_start)
        members[name] = Member(name, value, position, value_start, end)
        separator = _SEPARATOR.match(text, end)
        if separator is None:
            raise ValueError
        closed = separator[1] == "}"
        position = end = separator.end()
    if _after(_SPACE, text, end) != len(text):
        raise ValueError
    return members


def set_member(text: str, members: Mapping[str, Member], name: str, value: str, *, indent: str = "") -> str:
    """The object with this member, whose value is JSON text; a new one comes last, on its own line.

    `members` are the text's own, parsed before: parsing a document of 1,000 keys again would double a write's time.
    """
    if name in members:
        return text[: members[name].value_start] + value + text[members[name].end :]
    new = f"\n{indent}  {json.dumps(name)}: {value}"
    if members:
        end = list(members.values())[-1].end
        return f"{text[:end]},{new}{text[end:]}"
    return f"{text[: text.index('{')]}{{{new}\n{indent}{text[text.index('}') :]}"


def drop_member(text: str, members: Mapping[str, Member], name: str) -> str:
    """The object without this member; `members` are the text's own."""
    place = list(members).index(name)
    spans = list(members.values())
    if place > 0:
        return text[: spans[place - 1].end] + text[spans[place].end :]
    if len(spans) > 1:
        return text[: spans[0].start] + text[spans[1].start :]
    return f"{text[: text.index('{') + 1]}{text[_after(_SPACE, text, spans[0].end) :]}"


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    if match is None:
        raise ValueError
    return match.end()


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NameStandsTwice
    return value


def _refuse_constant(_name: str) -> object:
    raise ValueError("NaN and Infinity are not JSON")


# Numbers that are not integers are never read, and their text stays as it is.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=str)
