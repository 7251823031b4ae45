"""How two versions of a file differ, as a page: what protects less comes first, then one block for each address."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.plan.revision import Comparison, Fate
from reconciler.report.diff_rows import (
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
from reconciler.report.diff_text import FATES, NO_DIFFERENCE
from reconciler.report.html import NEWLINE, Html, join, page, tag, whole
from reconciler.report.page_style import as_role
from reconciler.report.plan_blocks import draw_row
from reconciler.report.plan_html import FOOTER, draw_finding, draw_list, entry, say, section
from reconciler.report.plan_style import plan_style
from reconciler.report.roles import Role
from reconciler.report.text import SYMBOLS

WORDS = {
    Fate.ADDED: "added",
    Fate.TAKEN_OVER: "taken over",
    Fate.RENAMED: "renamed",
    Fate.CHANGED: "changed",
    Fate.REMOVED: "removed",
    Fate.FORGOTTEN: "forgotten",
}


def diff_to_html(comparison: Comparison, *, verbose: bool = False) -> str:
    """The whole page, without a script; the same to the byte for the same comparison."""
    head = tag(
        "header",
        tag("p", "Diff", class_="kicker"),
        tag("h1", comparison.revision.stack),
        tag("p", whole(f"{headline(comparison)}."), class_=as_role(Role.QUIET)),
    )
    main = tag("main", NEWLINE, join(_sections(comparison, verbose=verbose), "\n"), NEWLINE)
    return page(f"{comparison.revision.stack}: diff", plan_style(), head, main, FOOTER)


def _sections(comparison: Comparison, *, verbose: bool) -> Iterator[Html]:
    revision = comparison.revision
    if revision.is_empty:
        yield say(Role.GOOD, f"{NO_DIFFERENCE} {at(comparison)}.", "")
    else:
        role = Role.DANGER if revision.weakened else Role.PLAIN
        yield say(role, f"Diff: {summary_line(revision)}.", "")
    for notice in notices_of(comparison):
        yield say(Role.WARNING if comparison.faults else Role.NOTE, f"{notice}.", "")
    if comparison.faults:
        yield section("faults", "Errors in the file at the base", draw_list(map(draw_finding, comparison.faults)))
    if revision.weakened:
        told = [warning_of(each, verbose=verbose) for each in warned_of(revision.weakened, verbose=verbose)]
        shown = draw_list(entry(Role.DANGER, "Weaker", subject, sentence) for subject, sentence in told)
        yield section("look", title_of_weakened(comparison), shown)
    if not revision.is_empty:
        blocks = [_draw(each, verbose=verbose) for each in entries_of(revision, verbose=verbose)]
        yield section("changes", "Differences", tag("ol", NEWLINE, join(blocks, "\n"), NEWLINE, class_="blocks"))


def _draw(found: Entry, *, verbose: bool) -> Html:
    role, many = ROLES[found.fate], len(found.addresses)
    name = (f"{many} keys: " if many > 1 else "") + named(found.addresses, verbose=verbose)
    said = FATES.get(found.fate, "")
    said = f"{said}, was {found.former}" if found.former else said
    head = [
        tag("span", f"{SYMBOLS[role]} {WORDS[found.fate]}", class_=as_role(role, "badge")),
        " ",
        tag("h3", whole(name), class_=as_role(Role.NAME)),
        *([" ", tag("span", whole(said), class_="why quiet")] if said else []),
    ]
    rows = [draw_row(row) for row in found.rows]
    return tag(
        "li",
        tag("details", tag("summary", *head), NEWLINE, tag("table", *rows, class_="steps"), open=True),
        class_="block",
    )
