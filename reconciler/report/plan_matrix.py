"""Which key opens which endpoint, before and after a plan: keys down, endpoints across, and in each cell what happens.

A cell shows its meaning by its shape and, for screen readers, in words; colour only adds to that. What stays as it is
can be left out: of three hundred keys, a plan changes a few.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model import EndpointKind
from reconciler.plan.changes import Action, Object, Plan, Resource
from reconciler.report.blocks import group_changes
from reconciler.report.html import NEWLINE, Html, join, prose, tag
from reconciler.report.page_style import as_role
from reconciler.report.plan_blocks import choice, text_filter
from reconciler.report.roles import Role

MANY = 20
"""With more rows than that, what does not change is left out until a reader asks for it."""
FEW = 8
"""Up to this many columns have room for a horizontal name."""


class Cell(StrEnum):
    """What happens between a key and an endpoint; the value is the class of the cell."""

    KEPT = "kept"
    ADDED = "gain"
    REMOVED = "loss"
    RENEWED = "renewed"
    """Another generation opens it, or one more, or one less."""
    LET_GO = "left"
    FOREIGN = "foreign"


TOLD = {
    Cell.ADDED: "is bound",
    Cell.REMOVED: "is unbound",
    Cell.RENEWED: "stays bound, by other generations",
    Cell.LET_GO: "stays bound, and is no longer managed",
    Cell.KEPT: "stays bound",
    Cell.FOREIGN: "foreign key, stays bound",
}
"""A screen reader's words for a cell, and the legend's."""
CALM = frozenset({Cell.KEPT, Cell.FOREIGN})
"""What stays as it is."""


_WORDS = {
    Action.CREATE: "new",
    Action.ROTATE: "rotated",
    Action.DELETE: "destroyed",
    Action.FORGET: "forgotten",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A row: a key, or a foreign one, and its cells by the address of the endpoint."""

    name: str
    what: str = ""
    cells: Mapping[str, Cell] = field(default_factory=dict)

    @property
    def is_calm(self) -> bool:
        """Whether all of it stays as it is."""
        return not self.what and CALM.issuperset(self.cells.values())


@dataclass(frozen=True, slots=True)
class Column:
    """An endpoint, and what happens to its authentication: whether it is public before and after."""

    address: str
    was_public: bool = False
    is_public: bool = False

    @property
    def is_calm(self) -> bool:
        """Whether its authentication stays as it is."""
        return self.was_public == self.is_public


@dataclass(frozen=True, slots=True)
class Matrix:
    """All of it: the stack's keys, foreign ones, endpoints."""

    columns: tuple[Column, ...]
    keys: tuple[Line, ...]
    foreign: tuple[Line, ...]

    @property
    def changed(self) -> frozenset[str]:
        """The addresses of the endpoints to which anything happens."""
        lines = (*self.keys, *self.foreign)
        cells = {address for line in lines for address, cell in line.cells.items() if cell not in CALM}
        return frozenset(cells | {column.address for column in self.columns if not column.is_calm})

    @property
    def is_long(self) -> bool:
        """Whether there is so much that a reader has to look for a key."""
        return len(self.keys) + len(self.foreign) > MANY

    @property
    def folds(self) -> bool:
        """Whether so much stays as it is that it is left out at first."""
        calm = sum(1 for line in (*self.keys, *self.foreign) if line.is_calm)
        return self.is_long and 0 < calm < len(self.keys) + len(self.foreign)


# --- What happens -----------------------------------------------------------------------------------------------------


def compare_bindings(plan: Plan) -> Matrix:
    """The bindings of all keys before and after the plan, in order of name and of address."""
    keys = [each for each in plan.resources if each.address.startswith("key.")]
    endpoints = {each.address: each for each in plan.resources if not each.address.startswith("key.")}
    actions = {block.address: block.action for block in group_changes(plan.changes)}
    former = {f"key.{heir}": name for name, heir in plan.renames}
    own: set[str] = set()
    lines = []
    for key in keys:
        before, after = _opened(key.before), _opened(key.after)
        own |= {name for names in (*before.values(), *after.values()) for name in names}
        what = _what(key, former.get(key.address), actions.get(key.address))
        lines.append(Line(_name(key), what, dict(_cells(key, before, after, endpoints))))
    addresses = {*endpoints, *(address for line in lines for address in line.cells)}
    columns = [Column(address, *_publicity(endpoints.get(address))) for address in sorted(addresses)]
    return Matrix(tuple(columns), tuple(lines), tuple(_foreign_lines(endpoints, own)))


def _name(key: Resource) -> str:
    return key.address.removeprefix("key.")


def _what(key: Resource, former: str | None, action: Action | None) -> str:
    """What happens to the key itself, briefly; nothing if it is only updated."""
    if key.adopts:
        return "adopted"
    return f"was {former}" if former is not None else _WORDS.get(action, "") if action else ""


def _cells(
    key: Resource,
    before: Mapping[str, frozenset[str]],
    after: Mapping[str, frozenset[str]],
    endpoints: Mapping[str, Resource],
) -> Iterator[tuple[str, Cell]]:
    for address in sorted({*before, *after}):
        had, has = before.get(address, frozenset()), after.get(address, frozenset())
        if had and has:
            yield address, Cell.KEPT if had == has else Cell.RENEWED
        elif has:
            yield address, Cell.ADDED
        else:
            found = endpoints.get(address)
            stays = key.after is None and found is not None and had & {*_names(found.after, "foreign_keys")}
            yield address, Cell.LET_GO if stays else Cell.REMOVED


def _opened(key: Object | None) -> dict[str, frozenset[str]]:
    """By the address of an endpoint, the live names of the key's generations that open it."""
    found: dict[str, set[str]] = {}
    generations = (key or {}).get("generations")
    for each in generations if isinstance(generations, list) else []:
        if isinstance(each, dict):
            for kind in EndpointKind:
                for name in _names(each, f"{kind.value}s"):
                    found.setdefault(f"{kind.value}.{name}", set()).add(str(each.get("name")))
    return {address: frozenset(names) for address, names in found.items()}


def _names(found: Object | None, attribute: str) -> list[str]:
    value = (found or {}).get(attribute)
    return [str(each) for each in value] if isinstance(value, list) else []


def _publicity(endpoint: Resource | None) -> tuple[bool, bool]:
    """Whether it is public before and after."""
    if endpoint is None:
        return False, False
    before, after = endpoint.before or endpoint.after or {}, endpoint.after or endpoint.before or {}
    return before.get("auth") == "open", after.get("auth") == "open"


def _foreign_lines(endpoints: Mapping[str, Resource], own: Collection[str]) -> Iterator[Line]:
    """The keys of others at these endpoints, apart from what this plan lets go of or takes over."""
    found: dict[str, dict[str, Cell]] = {}
    for address, endpoint in endpoints.items():
        before, after = _names(endpoint.before, "foreign_keys"), _names(endpoint.after, "foreign_keys")
        for name in {*before, *after} - {*own}:
            cell = Cell.REMOVED if name not in after else Cell.ADDED if name not in before else Cell.FOREIGN
            found.setdefault(name, {})[address] = cell
    return (Line(name, "", cells) for name, cells in sorted(found.items()))


# --- How it is drawn --------------------------------------------------------------------------------------------------


def draw_matrix(matrix: Matrix, *, unfolds: bool) -> Html:
    """The table, in a frame that scrolls if it is too wide, and what its shapes mean."""
    if not matrix.columns:
        return tag("p", "No endpoint is managed by this stack.", class_=as_role(Role.QUIET))
    corner = tag("th", tag("span", "Key", class_="vh"), scope="col", class_="corner")
    table = tag(
        "table",
        tag("caption", "Bindings of keys to endpoints, before and after the plan", class_="vh"),
        tag("thead", tag("tr", corner, *(_head(column) for column in matrix.columns))),
        NEWLINE,
        tag("tbody", join([_draw(line, matrix.columns) for line in matrix.keys], "\n")),
        NEWLINE,
        *([_foreign(matrix), NEWLINE] if matrix.foreign else []),
        class_="matrix few" if len(matrix.columns) <= FEW else "matrix",
    )
    tall = " tall" if matrix.is_long else ""
    frame = tag("div", table, class_=f"frame{tall}", role="region", aria_label="Keys and endpoints", tabindex=0)
    parts = [tag("p", prose(_count(matrix)), class_=as_role(Role.QUIET))]
    if matrix.is_long:
        boxes = [text_filter("Key or endpoint", "find-key")]
        if matrix.folds:
            boxes.append(choice("only", "only what changes", checked=not unfolds))
        parts.append(tag("div", join(boxes, "\n"), class_="filter", role="group", aria_label="Filter bindings"))
    return join([*parts, frame, _legend(matrix)], "\n")


def fold_lines(matrix: Matrix) -> str:
    """The rules that leave out the columns that stay as they are, by number: no name gets into a style sheet."""
    if not matrix.folds or not matrix.changed:
        return ""
    calm = [number for number, column in enumerate(matrix.columns, 2) if column.address not in matrix.changed]
    cells = ",".join(f".matrix :nth-child({number})" for number in calm)
    return f".bindings:has(#only:checked) :is({cells}):is(td,th){{display:none}}\n" if calm else ""


def _count(matrix: Matrix) -> str:
    """`Bindings of 12 of 300 keys change, at 4 of 40 endpoints.`"""
    lines = [*matrix.keys, *matrix.foreign]
    keys = sum(1 for line in lines if not CALM.issuperset(line.cells.values()))
    if not keys and not matrix.changed:
        return f"No binding changes: {_many(len(lines), 'key')}, {_many(len(matrix.columns), 'endpoint')}."
    ends = f"{len(matrix.changed)} of {_many(len(matrix.columns), 'endpoint')}"
    return f"Bindings of {keys} of {_many(len(lines), 'key')} change, at {ends}."


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _head(column: Column) -> Html:
    kind, _, name = column.address.partition(".")
    parts = [tag("span", name, class_=as_role(Role.NAME))]
    if kind == EndpointKind.APPLICATION.value:
        parts.append(tag("span", kind, class_="kind"))
    match column.was_public, column.is_public:
        case False, True:
            parts.append(tag("span", "becomes PUBLIC", class_=as_role(Role.DANGER, "badge")))
        case True, True:
            parts.append(tag("span", "PUBLIC", class_=as_role(Role.DANGER, "badge")))
        case True, False:
            parts.append(tag("span", "no longer public", class_=as_role(Role.GOOD, "badge")))
        case _:
            pass
    return tag("th", tag("div", *parts), scope="col", class_="public" if column.is_public else False)


def _draw(line: Line, columns: Sequence[Column]) -> Html:
    kind = [" ", tag("span", line.what, class_="kind")] if line.what else []
    cells = [_cell(line.cells.get(column.address), column) for column in columns]
    words = " ".join(filter(None, (line.name, line.what, *line.cells))).lower()
    return tag(
        "tr",
        tag("th", line.name, *kind, scope="row"),
        *cells,
        class_="same" if line.is_calm else False,
        data_find=words,
    )


def _cell(cell: Cell | None, column: Column) -> Html:
    public = "public" if column.is_public else ""
    if cell is None:
        return tag("td", class_=public or False)
    return tag("td", tag("span", TOLD[cell]), class_=f"{cell.value} {public}".rstrip())


def _foreign(matrix: Matrix) -> Html:
    head = tag("th", "Foreign keys", scope="rowgroup", colspan=len(matrix.columns) + 1, class_="group")
    title = tag("tr", head, class_="same" if all(line.is_calm for line in matrix.foreign) else False)
    return tag("tbody", title, NEWLINE, join([_draw(line, matrix.columns) for line in matrix.foreign], "\n"))


def _legend(matrix: Matrix) -> Html:
    """What the shapes mean that are there."""
    there = {cell for line in (*matrix.keys, *matrix.foreign) for cell in line.cells.values()}
    items = [
        tag("li", tag("span", class_=f"key {cell.value}", aria_hidden="true"), words)
        for cell, words in TOLD.items()
        if cell in there
    ]
    return tag("ul", join(items, " "), class_="legend") if items else Html()
