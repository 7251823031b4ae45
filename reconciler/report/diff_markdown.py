"""How two versions of a file differ, as Markdown for a comment on a pull request, in at most so many characters.

Others' words are in code alone, where a forge looks for no mention, link, issue or markup: a span that is delimited by
more backticks than it holds, or a block whose fence is longer than any in it. The one HTML comment is the marker in the
first line, by which the comment is found again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.encoder import last_net, one_line, shown
from reconciler.plan.revision import Comparison
from reconciler.report.diff_rows import (
    MOST_FAULTS,
    ROLES,
    Entry,
    entries_of,
    named,
    notices_of,
    summary_line,
    title_of_weakened,
    warned_of,
    warning_of,
)
from reconciler.report.diff_text import FATES
from reconciler.report.markdown_text import code, fence_for, marker, size, without_comments
from reconciler.report.terminal import cells, pad
from reconciler.report.text import SYMBOLS

_LONGEST_NAME = 100
_WIDEST_LABEL = 24


def diff_to_markdown(comparison: Comparison, *, limit: int, verbose: bool = False) -> str:
    """The differences, the same to the byte for the same versions; what does not fit is counted."""
    revision = comparison.revision
    head = [
        marker("diff", stack=revision.stack),
        f"### keyform diff: {inert(revision.stack)} — {summary_line(revision)}",
        f"Compares {_files(comparison.files)} with {inert(comparison.ref)} ({inert(comparison.commit[:12])}).",
    ]
    if comparison.faults:
        head.append("**The file cannot be read there, so everything counts as added.**")
    else:
        head += [_moved(comparison) if comparison.moved_from else f"{each}." for each in notices_of(comparison)]
    blocks: list[tuple[str, list[str]]] = []
    if comparison.faults:
        found = [one_line(line) for fault in comparison.faults[:MOST_FAULTS] for line in fault.lines()]
        more = len(comparison.faults) - MOST_FAULTS
        blocks.append(("text", [*found, *([f"and {more} more"] if more > 0 else [])]))
    warnings = [warning_of(each, verbose=verbose) for each in warned_of(revision.weakened, verbose=verbose)]
    weakened = [f"! {subject} {sentence}" for subject, sentence in warnings]
    entries = entries_of(revision, verbose=verbose)
    labels = max((size for size in _label_sizes(entries) if size <= _WIDEST_LABEL), default=0)
    lines = [line for entry in entries for line in _entry(entry, labels, verbose=verbose)]
    if weakened:
        blocks.append(("diff", weakened))
    if lines:
        blocks.append(("diff", lines))
    titles = {id(weakened): f"**{title_of_weakened(comparison)}**"}
    text = "\n\n".join(head)
    for kind, content in blocks:
        title = titles.get(id(content), "")
        text += _fitting(kind, content, title, limit - size(text) - 1)
    return last_net(f"{text}\n")


def inert(text: str) -> str:
    """The text as a code span, and not too long: nothing in it means anything, nor ends it."""
    return code(text[:_LONGEST_NAME])


def _files(files: Sequence[str]) -> str:
    told = ", ".join(map(inert, files[:3]))
    return f"{told} and {len(files) - 3} more" if len(files) > 3 else told


def _moved(comparison: Comparison) -> str:
    return f"The file was {inert(comparison.moved_from)} there."


def _label_sizes(entries: Iterable[Entry]) -> list[int]:
    return [cells(shown(row.label)) for entry in entries for row in entry.rows]


def _entry(entry: Entry, labels: int, *, verbose: bool) -> list[str]:
    symbol = SYMBOLS[ROLES[entry.fate]]
    many = f"{len(entry.addresses)} keys: " if len(entry.addresses) > 1 else ""
    told = FATES.get(entry.fate, "")
    said = f" ({told}{f', was {entry.former}' if entry.former else ''})" if told else ""
    lines = [f"{symbol} {many}{named(entry.addresses, verbose=verbose)}{one_line(said) if said else ''}"]
    if said:
        lines = [f"{symbol} {many}{named(entry.addresses, verbose=verbose)} {one_line(said.strip())}"]
    for row in entry.rows:
        words = " ".join(text for text, _ in row.words) + (f" ({row.note})" if row.note else "")
        lines.append(f"{SYMBOLS[row.role]}   {pad(shown(row.label), labels)}  {words}")
    return lines


def _fitting(kind: str, content: list[str], title: str, room: int) -> str:
    """A block with as many of its lines as there is room for, and how many are left out."""
    lines = [without_comments(line) for line in content]
    fence = fence_for(lines)
    head = f"\n\n{title}\n\n{fence}{kind}\n" if title else f"\n\n{fence}{kind}\n"
    kept: list[str] = []
    used = size(head) + len(fence) + 40  # for the line that counts the others
    for line in lines:
        used += size(line) + 1
        if used > room:
            break
        kept.append(line)
    rest = len(lines) - len(kept)
    if not kept:
        note = f"\n\n… and {rest} lines more"
        return note if size(note) <= room else ""
    more = [f"… and {rest} lines more"] if rest else []
    return head + "\n".join([*kept, *more]) + f"\n{fence}"
