"""What each violated keyword of the schema means to a person: tables, one sentence for each.

An `errorMessage` in the schema (editors show it too) is the sentence; the offending value is never quoted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.config.schema import Violation, compile_pattern
from reconciler.config.showing import ask_for, listed, nearest_name, shown_name
from reconciler.config.tree import Node, Scalar, WayOut
from reconciler.config.values import lacks_zone
from reconciler.model import LOCK_PREFIX
from reconciler.sinks.declared import SinkType, sink_types

TYPES = {
    "object": "a map (`name: value` lines)",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "boolean": "`true` or `false`",
}

KEYWORDS: dict[str, Callable[[Any], str]] = {
    "type": lambda types: f"must be {_any_type(types)}",
    "const": lambda value: f"must be `{value}`",
    "enum": lambda values: f"must be {listed(map(str, values), word='or')}",
    "pattern": lambda _: "has an invalid format",
    "minLength": lambda length: f"must have at least {length} characters",
    "maxLength": lambda length: f"must have at most {length} characters",
    "minimum": lambda number: f"must be {number} or more",
    "minItems": lambda _: "is an empty list",
    "maxProperties": lambda number: f"must have at most {number} entries",
    "maxItems": lambda number: f"must have at most {number} items",
    "not": lambda _: "is not an allowed name",
}

FIELDS = {
    "version": "Write `version: 1` at the top.",
    "stack": "Write `stack: NAME`, the owner written on every key.",
    "project": "Write `project: NUMBER`, or `project: ${GCORE_CLOUD_PROJECT_ID}`.",
    "type": "Write `type: dotenv`, or another type of sink.",
    "stacks": "Write `exclusive: {stacks: [NAME]}`, or `exclusive: true`.",
}
"""The way out for a missing required field."""

NOT_YET_SINKS = frozenset(
    {
        "github",
        "github-actions",
        "gitlab",
        "gitlab-ci",
        "kubernetes",
        "openbao",
    }
)
"""Types of sinks that are planned."""


def _any_type(types: str | list[str]) -> str:
    names = [types] if isinstance(types, str) else types
    return " or ".join(TYPES[name] for name in names if name != "null")


def say_violation(violation: Violation, node: Node | None) -> tuple[str, WayOut]:
    """What is wrong with a value, and the way out."""
    sentence = _sentence(violation)
    if violation.keyword == "minItems":
        return sentence, "Add a name, or remove the field."
    if not isinstance(node, Scalar):
        return sentence, ""
    match violation.keyword:
        case "type":
            return sentence, _about_type(violation, node)
        case "enum" if set(violation.expected) == set(sink_types()) and node.text in NOT_YET_SINKS:
            way_out = f"Use {listed(violation.expected, word='or')}."
            return "keyform does not support this type of sink yet", way_out
        case "enum":
            return sentence, lambda: ask_for(nearest_name(node.text, map(str, violation.expected)))
        case "const" if isinstance(violation.expected, int) and node.is_quoted:
            return sentence, "Write it without quotes."
        case "pattern" if "never" in violation.expected and lacks_zone(node.text):
            return "has no time zone", "Add `Z` for UTC, or an offset such as `+02:00`."
        case "not" | "pattern":
            return sentence, _about_name(violation, node.text)
        case _:
            return sentence, ""


def say_bad_name(violation: Violation, name: str) -> tuple[str, str]:
    """A declared name that the API would not accept."""
    return _sentence(violation), _about_name(violation, name)


def say_unknown_field(name: str, violation: Violation) -> tuple[str, WayOut]:
    """A field that does not exist, with the one that was probably meant."""
    known, sink = sorted(violation.schema["properties"]), _sink_type(violation)
    if sink is not None and name in sink.elsewhere:
        return f"`{name}` cannot be set in this file: it decides where credentials are sent", sink.elsewhere[name]
    shown = shown_name(name)
    what = f"unknown field `{shown}`" if shown else "unknown field (name not shown, because it could be a secret)"
    fields = "The field here is" if len(known) == 1 else "The fields here are"
    return what, lambda: ask_for(nearest_name(name, known)) or f"{fields} {listed(known)}."


def say_missing_field(name: str, violation: Violation) -> tuple[str, str]:
    """A field that the file must have."""
    sink = _sink_type(violation)
    option = sink.option(name) if sink is not None else None
    way_out = option.way_out if option is not None else FIELDS.get(name, "")
    return f"the field `{name}` is missing", way_out or f"Write `{name}: …`."


def _sink_type(violation: Violation) -> SinkType | None:
    """The type of sink that this part of the schema describes."""
    return sink_types().get(violation.schema.get("properties", {}).get("type", {}).get("const", ""))


def _sentence(violation: Violation) -> str:
    if violation.keyword != "minItems" and "errorMessage" in violation.schema:
        return str(violation.schema["errorMessage"])
    return KEYWORDS.get(violation.keyword, KEYWORDS["pattern"])(violation.expected)


def _about_type(violation: Violation, node: Scalar) -> str:
    """The way out if YAML read a value differently than its author meant it."""
    types = violation.expected
    if node.value is None:
        return "It is empty: write a value after the `:`, or remove the field."
    if "string" not in types:
        return "Write it without quotes." if node.is_quoted and types in ("boolean", "integer") else ""
    if not compile_pattern(violation.schema.get("pattern", "")).search(node.text):
        return ""
    if isinstance(node.value, bool):
        return "YAML reads this word as a boolean: put it in quotes."
    return "YAML reads this as a number: put it in quotes." if isinstance(node.value, int) else ""


def _about_name(violation: Violation, name: str) -> str:
    """The way out for a name that is refused for a reason that surprises."""
    if violation.keyword == "not" and name.startswith(LOCK_PREFIX):
        return f"Names that begin with `{LOCK_PREFIX}` are reserved for locks."
    if violation.keyword == "not":
        return "Names that end in `-g` and a number are reserved for generations."
    if "." in name and "name of a key" in _sentence(violation):
        return "The API can neither read nor delete a key with a dot in its name: use hyphens."
    return ""
