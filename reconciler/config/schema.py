"""The JSON Schema of the file, which editors use too: read from the package, and checked against a tree.

jsonschema and its libraries take longer to import than the rest of keyform, so only a check imports them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.config.tree import Path as TreePath
from reconciler.config.tree import Value
from reconciler.sinks.declared import add_to_schema, sink_types

if TYPE_CHECKING:
    from jsonschema import ValidationError

LONGEST_TEXT = 10_000
"""Longer values are not matched against a pattern; no pattern would accept one."""

_RESOURCE = files("reconciler.config") / "keyform.schema.json"


def schema() -> dict[str, Any]:
    """The schema as data; a fresh copy, since a caller may change it."""
    loaded: dict[str, Any] = json.loads(_RESOURCE.read_text(encoding="utf-8"))
    types = sink_types()
    if set(types) - set(loaded["$defs"]["sink"]["properties"]["type"]["enum"]):
        add_to_schema(loaded, types)  # one that is not in this package
    return loaded


def schema_path() -> Path:
    """The packaged schema as a file, for an editor's settings."""
    with as_file(_RESOURCE) as path:
        return path


@dataclass(frozen=True, slots=True)
class Violation:
    """A keyword of the schema that a value, or the name of an entry (`is_of_name`), violates."""

    keyword: str
    expected: Any
    schema: Mapping[str, Any]
    path: TreePath
    instance: Any
    is_of_name: bool


def iter_violations(value: Value) -> Iterator[Violation]:
    """Every violation of the schema, in no promised order."""
    whole = schema()
    for error in _make_validator()(_inline(whole, whole["$defs"])).iter_errors(value):
        yield Violation(
            keyword=error.validator,
            expected=error.validator_value,
            schema=error.schema,
            path=tuple(error.absolute_path),
            instance=error.instance,
            is_of_name="propertyNames" in error.absolute_schema_path,
        )


def _inline(part: Any, definitions: Mapping[str, Any]) -> Any:
    """A part of the schema with its `$ref`s resolved; resolving them is a third of the time of a check."""
    if isinstance(part, list):
        return [_inline(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    referred = definitions[part["$ref"].removeprefix("#/$defs/")] if "$ref" in part else {}
    merged = {**referred, **{name: each for name, each in part.items() if name not in ("$ref", "$defs")}}
    return {name: _inline(each, definitions) for name, each in merged.items()}


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    r"""A pattern of the schema with the meaning that it has in an editor (ECMA 262) rather than Python's.

    `$` is the end of the text itself: Python's also matches before a trailing newline, which would accept `"abcd\n"` as
    a name. Apart from that, the schema's patterns use only what both read alike (no `\d`, `\w`, `\s`).
    """
    return re.compile(re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]|\$", lambda m: r"\Z" if m[0] == "$" else m[0], pattern))


@cache
def _make_validator() -> Any:
    from jsonschema import Draft202012Validator, ValidationError  # noqa: PLC0415 - see the module's docstring
    from jsonschema.validators import extend  # noqa: PLC0415

    def check_pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:  # noqa: ARG001
        if isinstance(instance, str) and (
            len(instance) > LONGEST_TEXT or not compile_pattern(pattern).search(instance)
        ):
            yield ValidationError("does not match")

    def check_unique(validator: Any, unique: bool, instance: Any, schema: Any) -> Iterator[ValidationError]:  # noqa: ARG001, FBT001
        # The library's own check compares each item with each. A value that is not text is refused for that.
        texts = [item for item in instance if isinstance(item, str)] if isinstance(instance, list) else []
        if unique and len(set(texts)) < len(texts):
            yield ValidationError("not unique")

    return extend(Draft202012Validator, {"pattern": check_pattern, "uniqueItems": check_unique})  # type: ignore[no-untyped-call]
