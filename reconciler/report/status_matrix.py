"""The matrix of a status page: keys down, endpoints across, and in each cell how the one opens the other.

A cell shows its meaning by its shape and, for screen readers, in words; colour only adds to that.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model import EndpointKind
from reconciler.plan.standing import EndpointStatus, KeyStatus, Opening, Standing
from reconciler.report.html import NEWLINE, Html, join, tag
from reconciler.report.page_style import as_role
from reconciler.report.roles import Role

MANY = 20
"""With more rows than that, the frame scrolls by itself, so that its head stays visible."""
FEW = 6
"""Up to this many columns have room for a horizontal name."""


FOREIGN = "foreign"
CELLS: dict[str, str] = {
    Opening.BOUND: "bound",
    Opening.BOTH: "bound by two generations",
    Opening.OTHER: "bound by another generation only",
    Opening.WANTED: "declared, not bound yet",
    Opening.EXTRA: "bound, but no longer declared",
    FOREIGN: "foreign key",
}
"""A screen reader's words for a cell, by the cell's class."""


def draw_matrix(standing: Standing) -> Html:
    """The table, in a frame that scrolls if it is too wide."""
    columns = choose_columns(standing)
    if not columns:
        return tag("p", "No endpoint is managed by this stack.", class_=as_role(Role.QUIET))
    heads = [_head(endpoint) for endpoint in columns]
    corner = tag("th", tag("span", "Key", class_="vh"), scope="col", class_="corner")
    rows = [_row(key, columns) for key in standing.keys]
    foreign = _foreign_rows(columns)
    few = " few" if len(columns) <= FEW else ""
    table = tag(
        "table",
        tag("caption", "Bindings of keys to endpoints", class_="vh"),
        tag("thead", tag("tr", corner, *heads)),
        NEWLINE,
        tag("tbody", join(rows, "\n")),
        NEWLINE,
        *([tag("tbody", *foreign)] if foreign else []),
        class_=f"matrix{few}",
    )
    rest = sum(1 for endpoint in standing.endpoints if endpoint.application is None) - len(
        [endpoint for endpoint in columns if endpoint.application is None]
    )
    notes = [legend(has_foreign=bool(foreign))]
    if rest:
        noun = "endpoint is" if rest == 1 else "endpoints are"
        notes.append(tag("p", f"{rest} more {noun} not managed by this stack.", class_=as_role(Role.QUIET)))
    tall = " tall" if len(rows) > MANY else ""
    frame = tag("div", table, class_=f"frame{tall}", role="region", aria_label="Keys and endpoints", tabindex=0)
    return join((frame, *notes), "\n")


def choose_columns(standing: Standing) -> list[EndpointStatus]:
    """The stack's own endpoints, and public ones. A deployment of an application mirrors it, and is left out."""
    return [
        endpoint
        for endpoint in standing.endpoints
        if endpoint.public or (endpoint.managed and endpoint.application is None)
    ]


def _head(endpoint: EndpointStatus) -> Html:
    parts = [tag("span", endpoint.ref.name, class_=as_role(Role.NAME))]
    if endpoint.ref.kind is EndpointKind.APPLICATION:
        parts.append(tag("span", "application", class_="kind"))
    if endpoint.public:
        parts.append(tag("span", "PUBLIC", class_=as_role(Role.DANGER, "badge")))
    return tag("th", tag("div", *parts), scope="col", class_="public" if endpoint.public else False)


def _row(key: KeyStatus, columns: Iterable[EndpointStatus]) -> Html:
    cells = [_cell(key.opening(endpoint.ref), endpoint) for endpoint in columns]
    return tag("tr", tag("th", key.name, scope="row"), *cells)


def _cell(kind: str | None, endpoint: EndpointStatus) -> Html:
    public = "public" if endpoint.public else ""
    if kind is None:
        return tag("td", class_=public or False)
    return tag("td", tag("span", CELLS[kind]), class_=f"{kind} {public}".rstrip())


def _foreign_rows(columns: list[EndpointStatus]) -> list[Html]:
    names = sorted({name for endpoint in columns for name in endpoint.foreign})
    if not names:
        return []
    title = tag("tr", tag("th", "Foreign keys", scope="rowgroup", colspan=len(columns) + 1, class_="group"))
    return [
        title,
        *(
            tag(
                "tr",
                tag("th", name, scope="row"),
                *(_cell(FOREIGN if name in endpoint.foreign else None, endpoint) for endpoint in columns),
            )
            for name in names
        ),
    ]


def legend(*, has_foreign: bool) -> Html:
    """What the shapes mean."""
    shown = [kind for kind in CELLS if has_foreign or kind != FOREIGN]
    items = [tag("li", tag("span", class_=f"key {kind}", aria_hidden="true"), CELLS[kind]) for kind in shown]
    return tag("ul", *items, class_="legend")
