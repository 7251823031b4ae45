"""The published schemas of what keyform prints, as validators."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parents[2] / "schemas"


@cache
def validator(name: str) -> Draft202012Validator:
    """The validator of `plan` or `events`."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def check_plan(tree: Any) -> Any:
    """The same plan, which fits its schema; AssertionError if it does not."""
    return _check("plan", tree)


def check_event(tree: Any) -> Any:
    """The same event, which fits its schema, and so does a plan in it."""
    _check("events", tree)
    if tree["type"] == "keyform_plan":
        check_plan(tree["plan"])
    return tree


def _check(name: str, tree: Any) -> Any:
    errors = validator(name).iter_errors(tree)
    found = [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in errors]
    assert not found, found
    return tree
