"""Put the published schema together: `make schema` writes into it what each sink declares about itself.

The rest of schemas/keyform.schema.json is written by hand, and stays; all of it is laid out alike.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from reconciler.sinks.declared import add_to_schema, sink_types

WIDTH = 120
SCHEMA = Path(__file__).parents[1] / "schemas" / "keyform.schema.json"


def put_together(text: str) -> str:
    """The schema with what the sinks declare today, from the text of an earlier one."""
    schema = json.loads(text)
    types = sink_types()
    own = {each.fragment_name for each in types.values()}
    definitions: dict[str, Any] = {}
    for name, part in schema["$defs"].items():
        if not name.endswith("Sink"):
            definitions[name] = part
        if name == "sink":
            definitions |= dict.fromkeys(sorted(own), None)
    return lay_out(add_to_schema({**schema, "$defs": definitions}, types)) + "\n"


def lay_out(value: Any, indent: str = "", before: int = 0) -> str:
    """JSON in which a value is on one line if it fits, unless it describes something."""
    line = json.dumps(value, ensure_ascii=False)
    is_short = len(indent) + before + len(line) < WIDTH
    if not isinstance(value, dict | list) or not value or (is_short and not _describes(value)):
        return line
    inner = indent + "  "
    if isinstance(value, list):
        return "[\n" + ",\n".join(inner + lay_out(each, inner) for each in value) + f"\n{indent}]"
    parts = (f"{inner}{json.dumps(name)}: {lay_out(part, inner, len(name) + 4)}" for name, part in value.items())
    return "{\n" + ",\n".join(parts) + f"\n{indent}}}"


def _describes(value: Any) -> bool:
    """Whether a part of the schema is about something that an editor shows."""
    if isinstance(value, list):
        return any(isinstance(each, dict) and "if" in each for each in value)
    return "description" in value or any(
        isinstance(part, dict) and _describes(part) for name, part in value.items() if name != "examples"
    )


if __name__ == "__main__":
    made = put_together(SCHEMA.read_text(encoding="utf-8"))
    if sys.argv[1:] == ["--check"]:
        sys.exit(made != SCHEMA.read_text(encoding="utf-8"))
    SCHEMA.write_text(made, encoding="utf-8")
