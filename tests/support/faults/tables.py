"""Tables of figures for the pages: a column for each generation of the API that there are figures of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

GENERATIONS = ("v3", "v2")


def columns_of(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of each generation: those of v3 are at the top, and there may be none of another yet."""
    return {"v3": figures, **{api: figures[api] for api in GENERATIONS if api in figures}}


def write_table(names: Sequence[str], rows: Mapping[str, Iterable[str]]) -> str:
    """Markdown. One column has no name; a row with fewer values than columns is about all of them."""
    names = names if len(names) > 1 else [""]
    lines = [["", *names], ["---"] * (len(names) + 1)]
    for name, values in rows.items():
        given = list(values)
        lines.append([name, *given, *[""] * (len(names) - len(given))])
    return "\n".join("|".join(["", *(_cell(cell) for cell in line), ""]) for line in lines)


def _cell(text: str) -> str:
    return text if text == "---" else f" {text} " if text else " "
