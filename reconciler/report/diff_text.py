"""How two versions of a file differ, as text: what protects less comes first, then one block for each address."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.encoder import one_line, shown
from reconciler.plan.revision import Comparison, Fate
from reconciler.report.diff_rows import (
    MOST_FAULTS,
    ROLES,
    Entry,
    at,
    entries_of,
    headline,
    named,
    notices_of,
    summary_line,
    title_of_weakened,
    warned_of,
    warning_of,
)
from reconciler.report.roles import Role
from reconciler.report.rows import Row
from reconciler.report.terminal import Palette, cells, pad, wrap
from reconciler.report.text import SYMBOLS

NO_DIFFERENCE = "No differences. The file means the same as at"
_INDENT = 6
_WIDEST_LABEL = 24
FATES = {
    Fate.RENAMED: "renamed",
    Fate.TAKEN_OVER: "taken over",
    Fate.FORGOTTEN: "no longer managed, not deleted",
}
"""What a symbol alone does not say."""


def render_diff(comparison: Comparison, *, colour: bool, width: int = 100, verbose: bool = False) -> str:
    """The differences in lines of at most `width` columns, with ANSI colour or without a single escape code."""
    palette = Palette(colour)
    revision = comparison.revision
    head = f"{headline(comparison)}, in stack {revision.stack}."
    parts = ["\n".join(wrap(one_line(head).split(" "), width))]
    parts += _notices(palette, comparison, width)
    parts += _weakened(palette, comparison, width, verbose=verbose)
    if revision.is_empty:
        parts.append(palette.paint(shown(f"{NO_DIFFERENCE} {at(comparison)}."), Role.TITLE))
        return "\n\n".join(parts) + "\n"
    entries = entries_of(revision, verbose=verbose)
    sizes = [cells(shown(row.label)) for entry in entries for row in entry.rows]
    labels = max((size for size in sizes if size <= _WIDEST_LABEL), default=0)
    parts += ["\n".join(_block(palette, entry, labels, width, verbose=verbose)) for entry in entries]
    summary = wrap(f"Diff: {summary_line(revision)}.".split(" "), width)
    parts.append("\n".join(palette.paint(line, Role.TITLE) for line in summary))
    return "\n\n".join(parts) + "\n"


def _notices(palette: Palette, comparison: Comparison, width: int) -> Iterator[str]:
    role = Role.WARNING if comparison.faults else Role.NOTE
    for sentence in notices_of(comparison):
        yield "\n".join(_marked(palette, "!" if comparison.faults else "i", role, f"{sentence}.", width))
    if comparison.faults:
        found = [line for fault in comparison.faults[:MOST_FAULTS] for line in fault.lines()]
        more = len(comparison.faults) - MOST_FAULTS
        lines = [*found, *([f"and {more} more"] if more > 0 else [])]
        yield "\n".join(f"  {part}" for line in lines for part in wrap(one_line(line).split(" "), width - 2))


def _weakened(palette: Palette, comparison: Comparison, width: int, *, verbose: bool) -> Iterator[str]:
    weakened = comparison.revision.weakened
    if not weakened:
        return
    lines = [palette.paint(title_of_weakened(comparison), Role.DANGER)]
    for each in warned_of(weakened, verbose=verbose):
        subject, sentence = warning_of(each, verbose=verbose)
        lines += _marked(palette, "!", Role.DANGER, sentence, width, subject=subject)
    yield "\n".join(lines)


def _marked(palette: Palette, mark: str, role: Role, sentence: str, width: int, *, subject: str = "") -> Iterator[str]:
    words = [palette.paint(word, Role.NAME) for word in subject.split(" ") if word]
    words += [palette.paint(word, role) for word in sentence.split(" ")]
    first, *rest = wrap(words, width - 4)
    yield f"  {palette.paint(mark, role)} {first}"
    yield from (f"    {line}" for line in rest)


def _block(palette: Palette, entry: Entry, labels: int, width: int, *, verbose: bool) -> Iterator[str]:
    role = ROLES[entry.fate]
    symbol = palette.paint(SYMBOLS[role], role)
    words = [palette.paint(shown(entry.addresses[0]), Role.NAME)]
    if len(entry.addresses) > 1:
        words = [
            palette.paint(f"{len(entry.addresses)} keys:", Role.NAME),
            *named(entry.addresses, verbose=verbose).split(" "),
        ]
    if said := FATES.get(entry.fate, ""):
        told = f"{said}, was {entry.former}" if entry.former else said
        words += [palette.paint(word, Role.QUIET) for word in f"({one_line(told)})".split(" ")]
    first, *rest = wrap(words, width - 4)
    yield f"  {symbol} {first}"
    yield from (f"    {line}" for line in rest)
    for row in entry.rows:
        yield from _row(palette, row, labels, width)


def _row(palette: Palette, row: Row, labels: int, width: int) -> Iterator[str]:
    indent = _INDENT + 2 + labels + 2
    words = [palette.paint(word, role) for text, role in row.words for word in text.split(" ")]
    words += [palette.paint(word, Role.QUIET) for word in f"({row.note})".split(" ")] if row.note else []
    first, *rest = wrap(words, width - indent)
    symbol = palette.paint(SYMBOLS[row.role], row.role)
    yield f"{' ' * _INDENT}{symbol} {pad(shown(row.label), labels)}  {first}".rstrip()
    yield from (" " * indent + line for line in rest)
