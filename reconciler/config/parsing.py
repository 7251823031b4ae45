"""YAML text -> tree, in one pass over the parser's events, so that every name and value keeps its line and column.

Building from events rather than loading has three more reasons: it finds duplicate names; nesting and aliases stay
within the limits below; and scalars mean what is written (`2027-06-30` is that text, `010` is not eight, `1e3` is not a
float).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from reconciler.config.showing import shown_name
from reconciler.config.syntax import explain_problem
from reconciler.config.tree import Entry, Findings, Found, Listing, Mark, Node, Path, Scalar, Table

MAX_DEPTH = 30
MAX_UNFOLDED = 100_000
"""How many values all aliases of a file may expand to."""
MAX_VALUES = 400_000
"""How many names and values a stack's files may hold together, including those behind aliases: this bounds memory. Ten
thousand keys with every field have about 280,000.
"""
MAX_TAG_LINES = 100
"""The parser compares each `%TAG` line with all before it."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WHOLE_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})", re.ASCII)
_TAG_LINE = re.compile("^%TAG", re.MULTILINE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_BOOLEANS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}
_WORDS: dict[str, bool | None] = {
    **{form: value for word, value in _BOOLEANS.items() for form in (word, word.capitalize(), word.upper())},
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}
"""The plain words that YAML 1.1 reads as true, false or nothing."""
_QUOTED = frozenset({"'", '"', "|", ">"})
_TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
_OTHER_TAGS = frozenset({"!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


_Content = (yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent)
_ContentEvent: TypeAlias = yaml.ScalarEvent | yaml.SequenceStartEvent | yaml.MappingStartEvent


class ParsingStops(Exception):
    """The rest of the text cannot be read."""

    def __init__(self, finding: Found) -> None:
        super().__init__(finding.message)
        self.finding = finding


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A node that an alias can refer to: how many values it has, and how deeply they are nested."""

    node: Node
    size: int
    height: int


@dataclass(slots=True)
class _Reading:
    """What is known while one file is read."""

    file: str
    text: str
    events: Iterator[yaml.Event]
    room: int
    findings: Findings = field(default_factory=Findings)
    anchors: dict[str, _Anchor | None] = field(default_factory=dict)
    """None for an anchor while its own value is being read."""
    count: int = 0
    unfolded: int = 0
    deepest: int = 0

    def mark_of(self, event: yaml.Event) -> Mark:
        at = event.start_mark
        return Mark(self.file, at.line + 1, at.column + 1) if at else Mark(self.file, 1, 1)

    def next_event(self) -> yaml.Event:
        try:
            return next(self.events)
        except yaml.MarkedYAMLError as error:
            at = error.problem_mark or error.context_mark
            mark = Mark(self.file, at.line + 1, at.column + 1) if at else Mark(self.file, 1, 1)
            message, way_out = explain_problem(error.problem or "", self._character_at(mark))
            raise ParsingStops(Found(mark, (), message, way_out)) from None
        except (yaml.YAMLError, ValueError, OverflowError):
            # An escape beyond Unicode; or a character that YAML does not allow, which files.py finds first.
            message, way_out = explain_problem("", "")
            raise ParsingStops(Found(Mark(self.file, 1, 1), (), message, way_out)) from None

    def _character_at(self, mark: Mark) -> str:
        lines = self.text.splitlines()  # once in a file: the parser reads nothing after an error
        line = lines[mark.line - 1] if mark.line <= len(lines) else ""
        return line[mark.column - 1 : mark.column]


def parse_yaml(text: str, file: str, room: int = MAX_VALUES) -> tuple[Node | None, list[Found], int]:
    """The tree of a file, its YAML errors, and how many values it holds: `room` at most.

    There is no tree if the file cannot be read to its end.
    """
    if len(_TAG_LINE.findall(text)) > MAX_TAG_LINES:
        message = f"the file has more than {MAX_TAG_LINES} lines that begin with `%TAG`"
        return None, [Found(Mark(file, 1, 1), (), message, "Remove them.")], 0
    reading = _Reading(file, text, iter(yaml.parse(text, Loader=_LOADER)), room)
    try:
        return _read_document(reading), reading.findings, reading.count
    except ParsingStops as stop:
        return None, [*reading.findings, stop.finding], reading.count


def _read_document(reading: _Reading) -> Node:
    reading.next_event()  # the stream's start
    event = reading.next_event()
    if isinstance(event, yaml.StreamEndEvent):
        return Scalar(None, Mark(reading.file, 1, 1))
    root = _read_node(reading, reading.next_event(), ())
    reading.next_event()  # the document's end
    event = reading.next_event()
    if not isinstance(event, yaml.StreamEndEvent):
        message = "a second document begins here, but a file can hold only one"
        way_out = "Move it to a separate file, and pass both files."
        raise ParsingStops(Found(reading.mark_of(event), (), message, way_out))
    return root


def _read_node(reading: _Reading, event: yaml.Event, path: Path) -> Node:
    """One value with everything in it; `event` is its first."""
    mark = reading.mark_of(event)
    if isinstance(event, yaml.AliasEvent):
        return _follow_alias(reading, event, path)
    assert isinstance(event, _Content)  # noqa: S101 - the parser's grammar has nothing else here
    depth = len(path)
    _go_down(reading, depth, mark)
    if event.anchor is None:
        return _read_content(reading, event, path, mark)
    reading.anchors[event.anchor] = None
    count, deepest = reading.count, reading.deepest
    reading.deepest = depth
    node = _read_content(reading, event, path, mark)
    reading.anchors[event.anchor] = _Anchor(node, reading.count - count, reading.deepest - depth)
    reading.deepest = max(deepest, reading.deepest)
    return node


def _read_content(reading: _Reading, event: _ContentEvent, path: Path, mark: Mark) -> Node:
    _count(reading, 1, mark)
    if isinstance(event, yaml.ScalarEvent):
        return _read_scalar(reading, event, path, mark)
    if event.tag is not None and event.tag not in _OTHER_TAGS:
        _refuse_tag(reading, mark, path)
    read = _read_list if isinstance(event, yaml.SequenceStartEvent) else _read_table
    return read(reading, mark, path)


def _go_down(reading: _Reading, depth: int, mark: Mark) -> None:
    if depth > MAX_DEPTH:
        raise ParsingStops(Found(mark, (), "this is nested too deeply", "Check the indentation and the brackets."))
    reading.deepest = max(reading.deepest, depth)


def _count(reading: _Reading, values: int, mark: Mark) -> None:
    reading.count += values
    if reading.count > reading.room:
        message = f"the stack's files hold more than {MAX_VALUES} names and values"
        raise ParsingStops(Found(mark, (), message, "Split it into several stacks."))


def _follow_alias(reading: _Reading, event: yaml.AliasEvent, path: Path) -> Node:
    mark = reading.mark_of(event)
    if event.anchor not in reading.anchors:
        way_out = "Put a value that begins with `*` in quotes."
        raise ParsingStops(Found(mark, path, "there is no `&anchor` of this name above", way_out))
    anchor = reading.anchors[event.anchor]
    if anchor is None:
        raise ParsingStops(Found(mark, path, "the alias refers to a value that contains it", "Write the value out."))
    _go_down(reading, len(path) + anchor.height, mark)
    reading.unfolded += anchor.size
    _count(reading, anchor.size, mark)
    if reading.unfolded > MAX_UNFOLDED:
        raise ParsingStops(
            Found(mark, path, "the aliases of this file expand to too many values", "Write the values out.")
        )
    return anchor.node


def _read_scalar(reading: _Reading, event: yaml.ScalarEvent, path: Path, mark: Mark) -> Scalar:
    text: str = event.value
    if _SURROGATE.search(text):
        raise ParsingStops(Found(mark, path, *explain_problem("escape code", "")))
    if event.tag is not None and event.tag not in _TEXT_TAGS:
        _refuse_tag(reading, mark, path)
    is_quoted = event.style in _QUOTED or event.tag is not None
    return Scalar(text if is_quoted else _resolve(text), mark, text, is_quoted)


def _resolve(text: str) -> str | int | bool | None:
    """The meaning of a plain word: a whole number, true, false, nothing, or else just the text."""
    if _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    return _WORDS.get(text, text)


def _refuse_tag(reading: _Reading, mark: Mark, path: Path) -> None:
    message = "YAML tags (values that begin with `!`) are not supported"
    reading.findings.add(Found(mark, path, message, "Remove the `!…`, or put the value in quotes."))


def _read_list(reading: _Reading, mark: Mark, path: Path) -> Listing:
    items: list[Node] = []
    while not isinstance(event := reading.next_event(), yaml.SequenceEndEvent):
        items.append(_read_node(reading, event, (*path, len(items))))
    return Listing(tuple(items), mark)


def _read_table(reading: _Reading, mark: Mark, path: Path) -> Table:
    entries: dict[str, Entry] = {}
    merged: list[Table] = []
    merge_mark: Mark | None = None
    while not isinstance(event := reading.next_event(), yaml.MappingEndEvent):
        name = _read_name(reading, event, path)
        node = _read_node(reading, reading.next_event(), (*path, name.text))
        if name.text == "<<" and not name.is_quoted and merge_mark is None:
            merge_mark = name.mark
            merged = _tables_to_merge(reading, node, path)
        elif name.text == "<<" and merge_mark is not None:
            _refuse_repetition(reading, (*path, "<<"), name.mark, merge_mark)
        elif name.text in entries:
            _refuse_repetition(reading, (*path, name.text), name.mark, entries[name.text].mark)
        else:
            entries[name.text] = Entry(name.mark, node)
    inherited = {name: entry for table in reversed(merged) for name, entry in table.entries.items()}
    return Table({**inherited, **entries} if inherited else entries, mark)


def _read_name(reading: _Reading, event: yaml.Event, path: Path) -> Scalar:
    """A name is always the text that was written: `on:` and `1234:` are names like others."""
    node = _read_node(reading, event, (*path, ""))
    if isinstance(node, Scalar):
        return node
    message = "expected a name, found a list or a map"
    raise ParsingStops(Found(node.mark, path, message, "Write `name: value`."))


def _tables_to_merge(reading: _Reading, node: Node, path: Path) -> list[Table]:
    nodes = node.items if isinstance(node, Listing) else (node,)
    tables = [node for node in nodes if isinstance(node, Table)]
    if len(tables) != len(nodes):
        way_out = "Write `<<: *anchor`, or `<<: [*one, *another]`."
        reading.findings.add(Found(node.mark, path, "`<<` takes a map, or a list of maps", way_out))
    return tables


def _refuse_repetition(reading: _Reading, path: Path, mark: Mark, first: Mark) -> None:
    name = shown_name(str(path[-1]))
    message = f"{f'`{name}`' if name else 'this name'} is a duplicate of the entry at {first}"
    reading.findings.add(Found(mark, path, message, "Remove one of them."))
