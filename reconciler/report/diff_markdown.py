"""How two versions of a file differ, as Markdown for a comment on a pull request: what protects less first, and cut.

What is removed or forgotten comes before what is renamed, added or changed, so that a cut takes that last.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.encoder import one_line, shown
from reconciler.plan.revision import Comparison, Fate
from reconciler.report.diff_rows import (
    ROLES,
    Entry,
    Warned,
    entries_of,
    named,
    notices_of,
    summary_line,
    title_of_weakened,
    warned_of,
)
from reconciler.report.diff_text import FATES
from reconciler.report.markdown import finding_part
from reconciler.report.markdown_sections import Part, alert, assemble, code_section, codes, cut, listed
from reconciler.report.markdown_text import code, marker, prose
from reconciler.report.terminal import cells, pad
from reconciler.report.text import SYMBOLS

_OPENING = 100
"""Characters of a text in the opening, which always stays."""
_MOST_FILES = 3
_WIDEST_LABEL = 24
_ORDER = (Fate.REMOVED, Fate.FORGOTTEN, Fate.RENAMED, Fate.TAKEN_OVER, Fate.ADDED, Fate.CHANGED)


def diff_to_markdown(comparison: Comparison, *, limit: int, verbose: bool = False) -> str:
    """The differences, the same to the byte for the same versions; what does not fit is counted."""
    revision = comparison.revision
    ref = f"{code(cut(comparison.ref, _OPENING))} ({code(comparison.commit[:12])})"
    opening = [
        marker("diff", stack=revision.stack, project=comparison.project),
        f"### keyform diff: {code(cut(revision.stack, _OPENING))} — {summary_line(revision)}",
        f"Compares {_files(comparison.files)} with {ref}.",
        *(prose(f"{each[:1].upper()}{each[1:]}.") for each in notices_of(comparison)),
    ]
    warned = warned_of(revision.weakened, verbose=verbose)
    entries = sorted(entries_of(revision, verbose=verbose), key=_rank)
    sizes = [cells(shown(row.label)) for entry in entries for row in entry.rows]
    labels = max((size for size in sizes if size <= _WIDEST_LABEL), default=0)
    sections = [
        alert(
            1,
            "weaker setting",
            "CAUTION",
            title_of_weakened(comparison),
            [_warning(each, verbose=verbose) for each in warned],
        ),
        listed(2, "error", "Errors of the file there", [finding_part(fault) for fault in comparison.faults]),
        code_section(3, "difference", [_entry(entry, labels, verbose=verbose) for entry in entries]),
    ]
    return assemble(opening, sections, limit, whole="`keyform diff --verbose` shows everything.")


def _files(files: Sequence[str]) -> str:
    told = ", ".join(code(cut(each, _OPENING)) for each in files[:_MOST_FILES])
    return f"{told} and {len(files) - _MOST_FILES} more" if len(files) > _MOST_FILES else told


def _rank(entry: Entry) -> tuple[bool, int]:
    """The stack's own settings come first, which count for everything."""
    return "." in entry.addresses[0], _ORDER.index(entry.fate)


def _warning(warned: Warned, *, verbose: bool) -> Part:
    def text(names: Sequence[str], sentence: str) -> str:
        left = len(warned.addresses) - len(names)
        subject = f"{codes(names)}{f' and {left} more' if left else ''}{':' if len(warned.addresses) > 1 else ''}"
        return f"- {subject} {prose(sentence)}"

    return Part(text(warned.names(verbose=verbose), warned.sentence), text(warned.addresses[:2], cut(warned.sentence)))


def _entry(entry: Entry, labels: int, *, verbose: bool) -> Part:
    symbol = SYMBOLS[ROLES[entry.fate]]
    many = f"{len(entry.addresses)} keys: " if len(entry.addresses) > 1 else ""
    told = FATES.get(entry.fate, "")
    said = f" ({told}{f', was {entry.former}' if entry.former else ''})" if told else ""
    head = f"{symbol} {many}{named(entry.addresses, verbose=verbose)}{f' {one_line(said)}' if said else ''}"
    rows = []
    for row in entry.rows:
        words = " ".join(text for text, _ in row.words) + (f" ({row.note})" if row.note else "")
        rows.append(f"{SYMBOLS[row.role]}   {pad(shown(row.label), labels)}  {words}")
    return Part("\n".join([head, *rows]), cut(head))
