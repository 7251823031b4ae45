"""How two versions of a file differ, as JSON: the whole of it, however many keys differ in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from reconciler.plan import revision as data
from reconciler.plan.revision import Comparison, Part
from reconciler.report.diff_rows import weaker_settings
from reconciler.report.json import FORMAT_VERSION, Value, dump


def diff_to_json(comparison: Comparison) -> str:
    """The differences, the same to the byte for the same versions, with a newline at the end."""
    return dump(diff_tree(comparison))


def diff_tree(comparison: Comparison) -> dict[str, Value]:
    """The content of `diff_to_json`; docs/json.md describes it."""
    revision = comparison.revision
    weak = weaker_settings(revision)
    return {
        "format_version": FORMAT_VERSION,
        "stack": revision.stack,
        "files": [*comparison.files],
        "base": {
            "ref": comparison.ref,
            "commit": comparison.commit,
            "has_file": not (comparison.is_new or comparison.faults),
            "moved_from": comparison.moved_from or None,
            "errors": [{**asdict(fault)} for fault in comparison.faults],
        },
        "differs": not revision.is_empty,
        "key_count": revision.key_count,
        "weakened": [{**asdict(note)} for note in revision.weakened],
        "differences": [_part(part, weak) for part in revision.parts],
    }


def _part(part: Part, weak: set[tuple[str, str]]) -> Value:
    return {
        "address": part.address,
        "fate": part.fate.value,
        "former": part.former or None,
        "settings": [
            {
                "path": each.path,
                "before": _value(each.before),
                "after": _value(each.after),
                "weaker": (part.address, each.path) in weak,
            }
            for each in part.settings
        ],
        "gains": [*part.gains],
        "loses": [*part.loses],
        "touches": [*part.touches],
    }


def _value(value: data.Value) -> Value:
    match value:
        case tuple():
            return [_value(each) for each in value]
        case Mapping():
            return {name: _value(each) for name, each in value.items()}
        case _:
            return value
