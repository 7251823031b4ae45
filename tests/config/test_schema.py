"""The schema is one that editors can use, and means in Python what it means in them."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.config import schema, schema_path
from reconciler.config.schema import compile_pattern


def walk(part: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every map of the schema, with the path to it."""
    if isinstance(part, dict):
        yield path, part
    for name, each in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        yield from walk(each, f"{path}/{name}")


def fields() -> dict[str, dict[str, Any]]:
    """Every field that a user can write."""
    return {
        f"{path}/{name}": field
        for path, part in walk(schema())
        if not re.search(r"/(examples|default|if)\b", path)
        for name, field in part.get("properties", {}).items()
    }


PATTERNS = sorted({part["pattern"] for _, part in walk(schema()) if isinstance(part.get("pattern"), str)})


def test_it_is_a_schema() -> None:
    assert list(Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema())) == []


def test_the_packaged_schema_is_the_one_of_the_project(project_root: Path) -> None:
    assert schema_path().read_bytes() == (project_root / "schemas" / "keyform.schema.json").read_bytes()


def test_every_field_has_a_description_and_an_example() -> None:
    found = fields()
    assert len(found) > 20
    assert [path for path, field in found.items() if len(field.get("description", "")) < 10] == []
    assert [path for path, field in found.items() if not field.get("examples")] == []


def test_every_definition_has_a_description() -> None:
    assert [name for name, part in schema()["$defs"].items() if not part.get("description")] == []


def test_every_example_and_default_is_valid() -> None:
    whole = schema()
    wrong = []
    for path, part in walk(whole):
        if "examples" in part and "/examples/" not in path:
            check = Draft202012Validator({"$schema": whole["$schema"], "$defs": whole["$defs"], **part})
            samples = [*part["examples"], *([part["default"]] if "default" in part else [])]
            wrong += [f"{path}: {sample}" for sample in samples if not check.is_valid(sample)]
    assert wrong == []


def test_no_map_takes_unknown_fields() -> None:
    """A sink is closed by its type's own part."""
    maps = {path: part for path, part in walk(schema()) if "properties" in part and "/if" not in path}
    assert [path for path, part in maps.items() if "additionalProperties" not in part] == ["/$defs/sink"]


def test_no_pattern_uses_what_editors_and_python_read_differently() -> None:
    assert [pattern for pattern in PATTERNS if re.search(r"\\[dDwWsSbBAZzpP]|\(\?|\\u\{", pattern)] == []


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_line_feed_at_the_end_does_not_pass_a_pattern(pattern: str) -> None:
    names = ["payments", "payments-g2", "${KEYFORM_VAR_NAME}", "{KEY}_API", "{stack}/{key}"]
    passing = [*names, "24h", "never", "2027-06-30", "a/b.env", "eu-west-1", "alias/team"]
    matching = [text for text in passing if compile_pattern(pattern).search(text)]
    assert matching
    takes_lines = pattern.endswith(r"\n?$") or r"\u0008\u000b" in pattern
    if not takes_lines:
        assert [text for text in matching if compile_pattern(pattern).search(f"{text}\n")] == []


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [("^a$", "a", True), ("^a$", "a\n", False), (r"^\$$", "$", True), ("^[$a]$", "$", True), ("^[$a]$", "a\n", False)],
)
def test_a_dollar_is_the_very_end_unless_it_is_a_character(pattern: str, text: str, matches: bool) -> None:
    assert bool(compile_pattern(pattern).search(text)) is matches


def test_a_caller_may_change_what_it_got() -> None:
    schema()["properties"].clear()
    assert schema()["properties"]


def test_what_is_published_is_what_the_sinks_declare(project_root: Path) -> None:
    """`make schema` writes it."""
    text = (project_root / "schemas" / "keyform.schema.json").read_text(encoding="utf-8")
    tool = runpy.run_path(str(project_root / "tools" / "schema.py"))
    assert tool["put_together"](text) == text
    torn = text.replace('"NAME=secret"', '"x"').replace("A dotenv file.", "Something else.")
    assert tool["put_together"](torn) == text
