"""What all calls of v2, the older generation of the API, have in common: projects, pages, and objects found by their
id.

No path names a project [D]. A write is done when it is answered: there are no tasks [D].
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from reconciler.emulator.access import check_project, check_role
from reconciler.emulator.validation import read_paging, read_project_id
from reconciler.emulator.wire import Answer, json_answer, validation_error
from reconciler.emulator.world import Call, Table

SORTS = {
    "name.asc": ("name", False),
    "name.desc": ("name", True),
    "created_at.asc": ("created_at", False),
    "created_at.desc": ("created_at", True),
}
"""[D] only the form, `name.asc`; the fields are [I]."""


def project_of(call: Call, given: int | None) -> int:
    """The project that a call names, or the token's default one, the lowest [I]; refused if it may not go there."""
    project_id = min(call.projects) if given is None else read_project_id(str(given))
    check_project(call.world, project_id, call.projects)
    check_role(call.request, call.projects[project_id])
    return project_id


def find(call: Call, table: Table, uuid: str) -> sqlite3.Row | None:
    """The one of this id, if it is in a project that the token opens."""
    row = call.world.find_uuid(table, uuid)
    return row if row is not None and row["project_id"] in call.projects else None


def answer_list(
    call: Call,
    rows_of: Callable[[int], list[sqlite3.Row]],
    show: Callable[[int, list[sqlite3.Row]], list[dict[str, Any]]],
) -> Answer:
    """GET of a list: `limit` is at most 1000 [D], and 1000 by default [I]; the project is in the query [D].

    `rows_of` gives everything that a project has, in the order of the mode, and `show` the form of a page.
    """
    limit, offset = read_paging(call.request, default=1000, known=("order_by", "project_id"))
    given = call.request.parameters
    project_id = project_of(call, read_project_id(given["project_id"][-1]) if "project_id" in given else None)
    rows = rows_of(project_id)
    if "order_by" in given:
        field, reverse = _read_sort(given["order_by"][-1])
        rows = sorted(rows, key=lambda row: (row[field], row["id"]), reverse=reverse)
    return json_answer(200, {"count": len(rows), "results": show(project_id, rows[offset : offset + limit])})


def _read_sort(text: str) -> tuple[str, bool]:
    if text not in SORTS:
        raise validation_error({"order_by": [f"Input should be {', '.join(map(repr, SORTS))}"]})
    return SORTS[text]
