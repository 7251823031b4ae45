"""Tree -> findings against the schema: each violation at its line and column, one for each place."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from reconciler.config.schema import Violation, iter_violations
from reconciler.config.sentences import say_bad_name, say_missing_field, say_unknown_field, say_violation
from reconciler.config.tree import (
    MAX_FOUND,
    Found,
    Node,
    Path,
    Scalar,
    coded,
    find_mark,
    find_name_mark,
    find_node,
    value_of,
)

PRECEDENCE = ("type", "not", "minItems", "const", "enum", "pattern", "minimum", "minLength", "maxLength")
"""Which violation is reported when a place has several."""
CODES = {
    "additionalProperties": "field_is_unknown",
    "required": "field_is_missing",
    "type": "type_is_wrong",
    "uniqueItems": "item_is_repeated",
    "not": "name_is_reserved",
}
"""The code of what breaks a keyword of the schema; of all others `name_is_invalid` or `value_is_invalid`."""


def check_schema(root: Node) -> list[Found]:
    """What the schema finds wrong with the file, about `MAX_FOUND` findings at most."""
    findings: dict[object, tuple[int, Found]] = {}
    for violation in iter_violations(value_of(root)):
        keyword = violation.keyword
        rank = PRECEDENCE.index(keyword) if keyword in PRECEDENCE else len(PRECEDENCE)
        if len(findings) >= MAX_FOUND:
            break
        code = CODES.get(keyword, "name_is_invalid" if violation.is_of_name else "value_is_invalid")
        for finding in coded(islice(_tell(root, violation), MAX_FOUND), code):
            place = (finding.path, finding.mark, finding.message if keyword == "required" else "")
            if place not in findings or rank < findings[place][0]:
                findings[place] = (rank, finding)
    return [finding for _, finding in findings.values()]


def _tell(root: Node, violation: Violation) -> Iterator[Found]:
    """The findings behind a violation: one for each field or name that is wrong."""
    path = violation.path
    if violation.is_of_name:
        at = (*path, violation.instance)
        yield Found(find_name_mark(root, at), at, *say_bad_name(violation, violation.instance))
    elif violation.keyword == "additionalProperties":
        for name in sorted(set(violation.instance) - set(violation.schema["properties"])):
            at = (*path, name)
            yield Found(find_name_mark(root, at), at, *say_unknown_field(name, violation))
    elif violation.keyword == "required":
        # jsonschema gives one violation for each missing field, without naming it: each lists all, so report them once.
        for name in violation.expected:
            if name not in violation.instance:
                yield Found(find_name_mark(root, path), path, *say_missing_field(name, violation))
    elif violation.keyword == "uniqueItems":
        yield from _tell_repetitions(root, path, violation.instance)
    else:
        node = find_node(root, path)
        message, way_out = say_violation(violation, node)
        if isinstance(node, Scalar) and node.value != node.text and "${" in node.text:
            way_out = "Check the values of its variables."
        yield Found(find_mark(root, path), path, message, way_out)


def _tell_repetitions(root: Node, path: Path, items: list[Any]) -> Iterator[Found]:
    places: dict[str, int] = {}
    for index, item in enumerate(items):
        if isinstance(item, str) and (first := places.setdefault(item, index)) < index:
            message = f"is a duplicate of the item at {find_mark(root, (*path, first))}"
            yield Found(find_mark(root, (*path, index)), (*path, index), message, "Remove one of them.")
