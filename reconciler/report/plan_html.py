"""A plan as a page: the verdict, what to read first, the changes, what drifted, who opens what, and where secrets go.

It is one file that needs nothing else and asks for nothing: it can be kept as a pipeline's artefact, mailed, or put on
an internal server. It is the same to the byte for the same plan, and holds no secret, since a plan has none. Its one
script narrows long lists, and the page is whole without it: see plan_script.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC

from reconciler import __version__
from reconciler.errors import Finding, KeyformError
from reconciler.plan.changes import Drift, Note, Plan
from reconciler.plan.fields import instant
from reconciler.report.blocks import group_changes
from reconciler.report.diagnostics import findings_of
from reconciler.report.drift import DIFFERS, drift_line
from reconciler.report.html import NEWLINE, Html, join, page, prose, tag, whole
from reconciler.report.origins import origins_line, own_first, said_at
from reconciler.report.page_style import as_role
from reconciler.report.plan_blocks import draw_changes, is_long
from reconciler.report.plan_matrix import Matrix, compare_bindings, draw_matrix, fold_lines
from reconciler.report.plan_script import SCRIPT
from reconciler.report.plan_style import plan_style
from reconciler.report.roles import Role
from reconciler.report.summary import count_blocks, plan_line, tell_selection
from reconciler.report.text import DRIFT, DRIFT_STAYS, NOTHING_MORE, verdict_of
from reconciler.report.times import MONTHS

MOST = 12
"""So many notes of a kind are shown; the others are folded."""
FOOTER = tag("footer", f"Written by keyform {__version__}. It contains no secrets.")


def plan_to_html(plan: Plan, *, unfolds: bool = False, drift_only: bool = False) -> str:
    """The whole page. `unfolds` shows every step and every binding at once, however many there are; `drift_only` leaves
    out all but what was changed outside keyform.
    """
    if drift_only:
        parts = [_header(plan, "Drift"), tag("main", NEWLINE, join(_only_drift(plan), "\n"), NEWLINE), FOOTER]
        return page(f"{plan.stack}: drift", plan_style(), *parts)
    matrix = compare_bindings(plan)
    has_filter = is_long(plan) or matrix.is_long
    return page(
        f"{plan.stack}: plan",
        plan_style(fold_lines(matrix)),
        _header(plan, "Plan"),
        tag("main", NEWLINE, join(_sections(plan, matrix, unfolds=unfolds), "\n"), NEWLINE),
        FOOTER,
        script=SCRIPT if has_filter else "",
    )


def error_to_html(error: KeyformError) -> str:
    """A page that says why there is no other: a pipeline keeps it in place of the result."""
    entries = [draw_finding(finding) for finding in findings_of(error)]
    verdict = say(Role.DANGER, error.message, error.way_out)
    more = [section("look", "What is wrong", draw_list(entries))] if entries else []
    head = tag("header", tag("p", "keyform", class_="kicker"), NEWLINE, tag("h1", "No result"), NEWLINE)
    return page("keyform: error", plan_style(), head, tag("main", verdict, NEWLINE, *more), FOOTER)


def _sections(plan: Plan, matrix: Matrix, *, unfolds: bool) -> Iterator[Html]:
    yield _verdict(plan)
    yield _tiles(plan)
    yield from _first(plan)
    yield from _changes(plan, unfolds=unfolds)
    yield from _drift(plan)
    if plan.resources:
        drawn = draw_matrix(matrix, unfolds=unfolds)
        yield section("bindings", "Bindings before and after", drawn, filters=matrix.is_long)
    yield from _sinks(plan)
    yield from _notes(plan, unfolds=unfolds)


def section(name: str, title: str, *content: Html, filters: bool = False) -> Html:
    """A part of a page under its heading; `filters`: the script narrows it."""
    return tag(
        "section",
        tag("h2", title, id=f"h-{name}"),
        NEWLINE,
        join(content, "\n"),
        class_=name,
        aria_labelledby=f"h-{name}",
        data_filter=filters,
    )


# --- What it is about -------------------------------------------------------------------------------------------------


def _header(plan: Plan, kicker: str) -> Html:
    made = plan.made_at.astimezone(UTC)
    day = f"{made.day} {MONTHS[made.month - 1]} {made.year}, {made:%H:%M:%S} UTC"
    where = f" at {plan.api}" if plan.api else ""
    lines = [
        tag("p", kicker, class_="kicker"),
        tag("h1", plan.stack),
        tag(
            "p",
            f"Project {plan.project}{where}, as of ",
            tag("time", day, datetime=instant(plan.made_at)),
            class_=as_role(Role.QUIET),
        ),
    ]
    if plan.base is not None:
        lines.append(tag("p", "Compared with the file at ", tag("strong", plan.base.name)))
    if plan.selection:
        badge = tag("span", "Partial", class_=as_role(Role.WARNING, "badge"))
        lines.append(tag("p", badge, " ", prose(tell_selection(plan.selection)), class_="partial"))
    return tag("header", NEWLINE, join(lines, "\n"), NEWLINE)


def _verdict(plan: Plan) -> Html:
    """What becomes of the plan, in a sentence, and what it does, in another."""
    line = plan_line(count_blocks(group_changes(plan.changes)))
    match plan:
        case Plan(refusals=refusals) if refusals:
            return say(Role.DANGER, "This plan is refused, and cannot be applied.", line if plan.changes else "")
        case Plan(unmet=unmet) if unmet:
            what = line if plan.changes else NOTHING_MORE
            return say(Role.WARNING, "An apply would leave a part of the file undone.", what)
        case Plan(changes=(), drift=drift) if drift:
            return say(Role.WARNING, DRIFT_STAYS, "")
        case Plan(changes=()):
            return say(Role.GOOD, verdict_of(plan), "")
        case _:
            role = Role.DANGER if plan.exposures or (plan.base and plan.base.weakened) else Role.PLAIN
            return say(role, line, origins_line(plan))


def say(role: Role, title: str, more: str) -> Html:
    """A sentence that stands out, and another one below."""
    words = [tag("strong", prose(title)), *([" ", tag("span", prose(more))] if more else [])]
    return tag("p", *words, class_=as_role(role, "verdict"))


def _tiles(plan: Plan) -> Html:
    summary = count_blocks(group_changes(plan.changes))
    tiles = [
        _tile("to add", summary.add),
        _tile("to change", summary.change),
        _tile("to rotate", summary.rotate),
        _tile("to destroy", summary.destroy, Role.DANGER),
    ]
    if summary.forget:
        tiles.append(_tile("to forget", summary.forget, Role.WARNING))
    if endpoints := summary.deployments + summary.applications:
        tiles.append(_tile("endpoint to change" if endpoints == 1 else "endpoints to change", endpoints))
    if plan.drift:
        tiles.append(_tile("drifted", len(plan.drift), Role.WARNING))
    return tag("dl", *tiles, class_="tiles")


def _tile(name: str, count: int, role: Role = Role.PLAIN) -> Html:
    return tag("div", tag("dt", name), tag("dd", str(count)), class_=as_role(role if count else Role.PLAIN))


# --- What to read first -----------------------------------------------------------------------------------------------


def _first(plan: Plan) -> Iterator[Html]:
    """Who gets in or loses access, why the plan is refused, what it leaves undone, and what protects less."""
    weakened = plan.base.weakened if plan.base else ()
    parts = [
        *_titled("Exposures", [_note(Role.DANGER, "Exposure", note) for note in own_first(plan, plan.exposures)]),
        *_titled("Refused", _findings(plan, plan.refusals, "Refused")),
        *_titled("Left undone", _findings(plan, plan.unmet, "Undone"), _held_up(plan)),
        *_titled("Protects less than before", [_note(Role.WARNING, "Weaker", note) for note in weakened]),
    ]
    if parts:
        yield section("look", "Read first", *parts)


def _held_up(plan: Plan) -> Iterable[Html]:
    if plan.held_up:
        names = ", ".join(f"key.{name}" for name in plan.held_up)
        yield tag("p", "Held up, and left as they are: ", whole(names), class_=as_role(Role.QUIET))


def _titled(title: str, entries: Sequence[Html], more: Iterable[Html] = ()) -> list[Html]:
    """A list under a heading; nothing if it is empty."""
    return [tag("h3", title), draw_list(entries), *more] if entries else []


def _folded(title: str, entries: Sequence[Html], *, unfolds: bool) -> list[Html]:
    """The same, with the rest of a long list folded."""
    first, rest = entries[:MOST], entries[MOST:]
    found = _titled(title, first)
    if rest:
        found.append(tag("details", tag("summary", f"and {len(rest)} more"), NEWLINE, draw_list(rest), open=unfolds))
    return found


def draw_list(entries: Iterable[Html]) -> Html:
    """What `entry` makes, one below the other."""
    return tag("ul", NEWLINE, join(entries, "\n"), NEWLINE, class_="findings")


def _note(role: Role, word: str, note: Note) -> Html:
    return entry(role, word, note.address, note.sentence)


def _findings(plan: Plan, findings: Sequence[Finding], word: str) -> list[Html]:
    """What this change of the file causes comes first."""
    return [
        draw_finding(finding, word, said_at(plan.base) if plan.base and plan.was_said(finding) else "")
        for finding in sorted(findings, key=plan.was_said)
    ]


def draw_finding(finding: Finding, word: str = "Problem", said: str = "") -> Html:
    """What is wrong, where, and what to do."""
    sentence = " ".join(filter(None, (finding.message, said, f"({finding.where})" if finding.where else "")))
    return entry(Role.DANGER, word, finding.path, sentence, finding.way_out)


def entry(role: Role, word: str, address: str, sentence: str, more: str = "") -> Html:
    """A badge, what it is about, and a sentence; `more` is a line below."""
    parts = [tag("span", word, class_=as_role(role, "badge")), " "]
    parts += [tag("strong", address), " "] if address else []
    parts.append(prose(sentence))
    parts += [" ", tag("p", prose(more), class_="way")] if more else []
    return tag("li", *parts)


# --- What happens -----------------------------------------------------------------------------------------------------


def _changes(plan: Plan, *, unfolds: bool) -> Iterator[Html]:
    withdrawn = plan.base.withdrawn if plan.base else ()
    parts = []
    if plan.changes or plan.base:
        parts.append(draw_changes(plan, unfolds=unfolds))
    if withdrawn:
        entries = [_note(Role.NOTE, "Withdrawn", note) for note in withdrawn]
        shown = _folded("No longer done with this change", entries, unfolds=unfolds)
        parts.append(tag("div", join(shown, "\n"), class_="withdrawn"))
    if parts:
        yield section("changes", "Changes", *parts, filters=is_long(plan))


def _drift(plan: Plan) -> Iterator[Html]:
    if plan.drift:
        yield section("drift", DRIFT, draw_list(_drifted(Role.WARNING, "Drift", each) for each in plan.drift))


def _only_drift(plan: Plan) -> Iterator[Html]:
    """What was changed outside keyform, and what only differs from the file."""
    yield say(Role.WARNING if plan.drift else Role.NOTE if plan.unproven else Role.GOOD, drift_line(plan), "")
    yield from _drift(plan)
    if plan.unproven:
        entries = draw_list(_drifted(Role.NOTE, "Differs", each) for each in plan.unproven)
        yield section("unproven", DIFFERS, entries)
    unread = [note for note in plan.warnings if note.code == "sink_is_not_read"]
    if unread:
        yield section("unread", "Not read", draw_list(_note(Role.WARNING, "Warning", note) for note in unread))


def _drifted(role: Role, word: str, drift: Drift) -> Html:
    return entry(role, word, drift.address, drift.sentence, drift.remedy[:1].upper() + drift.remedy[1:])


# --- Where secrets go, and what else there is -------------------------------------------------------------------------


def _sinks(plan: Plan) -> Iterator[Html]:
    rows = [
        (each.sink, each.place, "yes" if each.is_readable else "no: a plan cannot tell what is there")
        for each in plan.destinations
    ]
    if plan.lock:
        rows.append(("(lock)", plan.lock, ""))
    if rows:
        heads = tag("tr", *(tag("th", head, scope="col") for head in ("Sink", "Writes to", "Can be read back")))
        lines = [
            tag("tr", tag("th", name, scope="row"), tag("td", whole(at)), tag("td", can)) for name, at, can in rows
        ]
        table = tag("table", tag("thead", heads), NEWLINE, tag("tbody", join(lines, "\n")), class_="plain")
        frame = tag("div", table, class_="frame", role="region", aria_label="Sinks", tabindex=0)
        yield section("sinks", "Where secrets are saved", frame)


def _notes(plan: Plan, *, unfolds: bool) -> Iterator[Html]:
    """What no block shows already."""
    told = {block.address for block in group_changes(plan.changes)}
    warnings = [note for note in plan.warnings if note.address not in told]
    notes = [note for note in plan.notes if note.address not in told]
    parts = [
        *_folded(
            "Warnings", [_note(Role.WARNING, "Warning", note) for note in own_first(plan, warnings)], unfolds=unfolds
        ),
        *_folded(
            "Expiring",
            [_note(Role.WARNING, "Expiry", note) for note in own_first(plan, plan.expiring)],
            unfolds=unfolds,
        ),
        *_folded(
            "Repairs", [_note(Role.WARNING, "Repair", note) for note in own_first(plan, plan.repairs)], unfolds=unfolds
        ),
        *_folded("Notes", [_note(Role.NOTE, "Note", note) for note in own_first(plan, notes)], unfolds=unfolds),
    ]
    if parts:
        yield section("notes", "Warnings and notes", *parts)
