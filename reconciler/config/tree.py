"""A configuration file as a tree in which every name and value has a mark: its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from reconciler.config.showing import shown_name
from reconciler.errors import Finding
from reconciler.model import Place

Path: TypeAlias = tuple[str | int, ...]
"""The names and positions that lead to a value from the top: `("keys", "payments", "deployments", 0)`."""

WayOut: TypeAlias = str | Callable[[], str]

MAX_FOUND = 1000

Value: TypeAlias = "str | int | bool | list[Value] | dict[str, Value] | None"
"""What a JSON Schema is checked against. There are no floats: `1e3` and `1.5` stay text."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value; `text` is as written, `is_quoted` distinguishes `"on"` from `on`."""

    value: str | int | bool | None
    mark: Mark
    text: str = ""
    is_quoted: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of values."""

    items: tuple[Node, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Entry:
    """A value under its name; `mark` is the place of the name."""

    mark: Mark
    node: Node


@dataclass(frozen=True, slots=True)
class Table:
    """Values by name, each name once."""

    entries: Mapping[str, Entry]
    mark: Mark


Node: TypeAlias = Scalar | Listing | Table


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, where it was found in a file, before it is reported: `path` is empty for one about a whole file.

    A way out that is slow to find, such as the nearest name, is computed only when it is reported. `code` names the
    rule that is broken; the stage that found it gives the code where the finding has none (`coded`).
    """

    mark: Mark | None
    path: Path
    message: str
    way_out: WayOut = ""
    file: str = field(default="", kw_only=True)
    code: str = field(default="", kw_only=True)

    def tell(self) -> Finding:
        """The finding as the user reads it."""
        where = str(self.mark) if self.mark else self.file
        way_out = self.way_out if isinstance(self.way_out, str) else self.way_out()
        return Finding(where=where, path=render_path(self.path), message=self.message, way_out=way_out, rule=self.code)


def coded(findings: Iterable[Found], code: str) -> list[Found]:
    """The findings with this code, unless they have one."""
    return [each if each.code else replace(each, code=code) for each in findings]


class Findings(list[Found]):
    """The findings of one stage: the first `MAX_FOUND`, so that time and memory are bounded; nobody reads more."""

    def add(self, *findings: Found) -> None:
        """Add these, up to the limit."""
        self.extend(findings[: MAX_FOUND - len(self)])


def render_path(path: Path, show: Callable[[str], str | None] = shown_name) -> str:
    """`keys.payments.deployments[0]`; a name that could be a secret is not shown."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        name = show(part) or "(name not shown)"
        text += f'["{name}"]' if "." in name else f".{name}" if text else name
    return text


def place_of(mark: Mark, path: Path) -> Place:
    """A mark in the model's form, in full: a state is only returned if its names are valid."""
    return Place(file=mark.file, line=mark.line, column=mark.column, path=render_path(path, str))


def is_same(first: Node, second: Node) -> bool:
    """Whether two nodes are equal; stops at the first difference."""
    match first, second:
        case Scalar(value=one), Scalar(value=other):
            return type(one) is type(other) and one == other
        case Listing(items=ones), Listing(items=others):
            return len(ones) == len(others) and all(map(is_same, ones, others))
        case Table(entries=ones), Table(entries=others):
            return ones.keys() == others.keys() and all(is_same(ones[name].node, others[name].node) for name in ones)
        case _:
            return False


def value_of(node: Node) -> Value:
    """The tree without its marks."""
    match node:
        case Scalar(value=value):
            return value
        case Listing(items=items):
            return [value_of(item) for item in items]
        case Table(entries=entries):
            return {name: value_of(entry.node) for name, entry in entries.items()}


def find_node(root: Node, path: Sequence[str | int]) -> Node | None:
    """The node at a path, if there is one."""
    node: Node | None = root
    for part in path:
        if node is None:
            return None
        node = _below(node, part)
    return node


def find_mark(root: Node, path: Sequence[str | int]) -> Mark:
    """The place of the value at a path; if it is missing, the nearest thing around it."""
    node = root
    for part in path:
        below = _below(node, part)
        if below is None:
            break
        node = below
    return node.mark


def _below(node: Node, part: str | int) -> Node | None:
    """The node under a name of a table, or at a number of a list."""
    match node, part:
        case Table(entries=entries), str() if part in entries:
            return entries[part].node
        case Listing(items=items), int() if part < len(items):
            return items[part]
        case _:
            return None


def find_name_mark(root: Node, path: Sequence[str | int]) -> Mark:
    """The place of the name that a path ends in; for an item of a list, or the top itself, that of its value."""
    parent = find_node(root, path[:-1]) if path else None
    if isinstance(parent, Table) and isinstance(path[-1], str) and path[-1] in parent.entries:
        return parent.entries[path[-1]].mark
    return find_mark(root, path)


def entries_of(root: Node, *path: str | int) -> Mapping[str, Entry]:
    """The entries of the table at a path; nothing if there is no table."""
    node = find_node(root, path)
    return node.entries if isinstance(node, Table) else {}
