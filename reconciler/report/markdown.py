"""A plan, or an error, as Markdown for a comment on a pull request: what matters most first, and cut to a length.

The first line is a marker, by which one comment for each stack and project is found again. Then one line says
everything; exposures, refusals and what is left undone follow; details are folded away. A comment that would be too
long loses whole elements, the least important first, and says how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.encoder import one_line, shown
from reconciler.errors import Finding, KeyformError
from reconciler.plan.changes import Action, Base, Drift, Note, OpenEndpoint, Plan
from reconciler.report.blocks import Block, group_changes
from reconciler.report.drift import DIFFERS
from reconciler.report.folding import Fold, fold_blocks, fold_findings, fold_notes, named
from reconciler.report.markdown_sections import (
    Part,
    Section,
    alert,
    assemble,
    code_section,
    codes,
    counted,
    cut,
    folded,
    listed,
)
from reconciler.report.markdown_text import code, marker, prose
from reconciler.report.origins import Origins, find_origins, origins_line, own_first, said_at
from reconciler.report.rows import Row, rows_of
from reconciler.report.summary import count_blocks, summary_words
from reconciler.report.terminal import cells, pad, wrap
from reconciler.report.text import ACTIONS, DRIFT, SYMBOLS, verdict_of

WIDTH = 100
"""Columns of a block of code: about what a comment shows without scrolling."""
_OPENING = 100
"""Characters of a text in the opening, which always stays."""
_EVERYTHING = "shows everything."
_STRENGTH = (Action.DELETE, Action.FORGET, Action.ROTATE, Action.CREATE, Action.UPDATE)
_WIDEST_ADDRESS = 44
_WIDEST_LABEL = 24
_MOST_CHOSEN = 3


def plan_to_markdown(plan: Plan, *, limit: int, verbose: bool = False, drift_only: bool = False) -> str:
    """The plan in at most `limit` characters, the same to the byte for the same plan."""
    if drift_only:
        drift = _drift(plan, rank=1, is_open=True)
        return assemble(_drift_opening(plan), drift, limit, whole=f"`keyform plan --drift` {_EVERYTHING}")
    sections = _sections(plan, find_origins(plan), verbose=verbose)
    return assemble(_opening(plan), sections, limit, whole=f"`keyform plan --verbose` {_EVERYTHING}")


def error_to_markdown(error: KeyformError, comment: str, *, limit: int) -> str:
    """What is wrong, and the way out, in place of a plan; `comment` is the marker of the comment that it replaces."""
    findings: Sequence[Finding] = getattr(error, "findings", ())
    differences: Sequence[str] = getattr(error, "differences", ())
    opening = [comment, f"### keyform — {prose(cut(error.message.rstrip('.'), _OPENING))}"]
    if error.way_out:
        opening.append(prose(_sentence(cut(error.way_out))))
    sections = [
        Section(1, "error", "", [finding_part(finding) for finding in findings], prefix="- "),
        Section(
            2,
            "difference",
            "",
            [Part(f"- {prose(each)}", f"- {prose(cut(each))}") for each in differences],
            prefix="- ",
        ),
    ]
    return assemble(opening, sections, limit, whole="The log of this run has everything.")


def valid_to_markdown(comment: str, sentence: str, notes: Sequence[Note], *, limit: int) -> str:
    """The comment about a file in which nothing is wrong."""
    section = Section(1, "note", "", _notes(notes, verbose=True), prefix="- ")
    opening = [comment, f"### keyform — {prose(cut(sentence, _OPENING))}"]
    return assemble(opening, [section], limit, whole=f"`keyform validate` {_EVERYTHING}")


# --- The parts of a plan ----------------------------------------------------------------------------------------------


def _opening(plan: Plan) -> list[str]:
    summary = summary_words(count_blocks(group_changes(plan.changes)))
    words = [", ".join(summary) or ("no changes except repairs" if plan.repairs else "no changes")]
    exposures = len(plan.exposures) + (len(plan.base.weakened) if plan.base else 0)
    words += [counted(exposures, "exposure")] if exposures else []
    words += ["refused"] if plan.refusals else []
    words += [f"{len(plan.unmet)} left undone"] if plan.unmet else []
    lines = [marker("plan", stack=plan.stack, project=plan.project), _title(plan, "; ".join(words))]
    if plan.refusals:
        lines.append("**This plan is refused, and cannot be applied.**")
    if plan.base is not None:
        lines.append(f"Compared with the file at {code(cut(plan.base.name))}. {origins_line(plan)}".rstrip())
    if plan.selection:
        chosen = [("only", plan.selection.targets), ("without", plan.selection.excludes)]
        told = [f"{word} {_some(names)}" for word, names in chosen if names]
        lines.append(f"A plan of some keys: {', '.join(told)}. All others stay as they are.")
    if plan.is_empty and not plan.refusals and not plan.unmet:
        lines.append(verdict_of(plan))
    return lines


def _title(plan: Plan, what: str) -> str:
    return f"### keyform: {code(cut(plan.stack, _OPENING))} (project {prose(str(plan.project))}) — {what}"


def _sections(plan: Plan, origins: Origins, *, verbose: bool) -> Iterator[Section]:
    weakened, withdrawn, edited = (
        (plan.base.weakened, plan.base.withdrawn, plan.base.edited) if plan.base else ((),) * 3
    )

    def notes(found: Sequence[Note], *, all_of_them: bool = verbose) -> list[Part]:
        return _notes(own_first(plan, found), verbose=all_of_them)

    yield alert(1, "exposure", "CAUTION", "Exposures", notes([*weakened, *plan.exposures], all_of_them=True))
    yield alert(2, "refusal", "CAUTION", "Refused", _findings(plan, plan.refusals, verbose=True))
    yield alert(3, "finding", "WARNING", "Left undone", _findings(plan, plan.unmet, verbose=verbose))
    yield alert(4, "warning", "WARNING", "Warnings", notes(plan.warnings))
    changes = _in_order(origins.own, plan, verbose=verbose)
    yield code_section(5, "change", _heads(changes, plan))
    details = [Part("\n".join(_details(block, plan.base))) for block in changes if isinstance(block, Block)]
    yield folded(6, "detail", "Details", details, is_code=True)
    yield listed(7, "note", "Edited by this change, and pending before", notes(edited))
    yield listed(7, "note", "Withdrawn by this change", notes(withdrawn))
    pending = _heads(_in_order(origins.pending, plan, verbose=verbose), plan, details=True)
    yield folded(8, "pending change", f"Already pending ({len(origins.pending)})", pending, is_code=True)
    yield folded(7, "repair", f"Repairs ({len(plan.repairs)})", notes(plan.repairs))
    yield folded(7, "note", f"Expiring ({len(plan.expiring)})", notes(plan.expiring))
    yield from _drift(plan, rank=9)
    yield folded(10, "note", f"Notes ({len(plan.notes)})", notes(plan.notes))
    yield folded(11, "sink", "Sinks", _destinations(plan), is_code=True)


def _in_order(blocks: Sequence[Block], plan: Plan, *, verbose: bool) -> list[Block | Fold[Block]]:
    """What takes something away first: leaks, what opens, deletes, rotations; then what is new, and what changes."""

    def rank(block: Block) -> tuple[bool, bool, int]:
        opens = any(isinstance(change, OpenEndpoint) for change in block.changes)
        return not any(change.reason.is_urgent for change in block.changes), not opens, _STRENGTH.index(block.action)

    return fold_blocks(sorted(blocks, key=rank), plan, verbose=verbose)


def _heads(blocks: Sequence[Block | Fold[Block]], plan: Plan, *, details: bool = False) -> list[Part]:
    """A line for each block, `details` with its rows; and one for each fold, which names what is in it."""
    widths = [cells(shown(block.address)) for block in blocks if isinstance(block, Block)]
    column = 4 + min(max(widths, default=0), _WIDEST_ADDRESS) + 2
    return [
        Part(_fold_line(each))
        if isinstance(each, Fold)
        else _head(each, column, _details(each, plan.base)[1:] if details else [])
        for each in blocks
    ]


def _head(block: Block, column: int, rows: Sequence[str]) -> Part:
    address, sentence = shown(block.address), one_line(block.reason.sentence)
    used = 4 + cells(address)
    head = f"{_symbol(block.action)} {address}" + " " * max(2, column - used)

    def text(sentence: str) -> str:
        first, *rest = wrap(sentence.split(" "), max(30, WIDTH - column))
        return "\n".join([head + first, *(" " * column + line for line in rest)])

    return Part("\n".join([text(sentence), *rows]), text(cut(sentence)))


def _fold_line(fold: Fold[Block]) -> str:
    head = f"{len(fold.items)} more like {shown(fold.like.address)}:"
    words = [*head.split(" "), *named([block.address for block in fold.items], 2 * WIDTH - cells(head) - 30)]
    first, *rest = wrap(words, WIDTH - 4)
    return "\n".join([f"{_symbol(fold.like.action)} {first}", *(f"    {line}" for line in rest)])


def _symbol(action: Action) -> str:
    """Three columns, the symbol at the beginning: a viewer of differences colours the line by it."""
    return "/".join(SYMBOLS[role] for role in ACTIONS[action]).ljust(3)


def _details(block: Block, base: Base | None) -> list[str]:
    """The block line by line, each row behind its own symbol."""
    rows = rows_of(block, base)
    widths = [size for row in rows if (size := cells(shown(row.label))) <= _WIDEST_LABEL]
    labels = max(widths, default=0)
    first = f"{_symbol(block.action)} {shown(block.address)}"
    return [first, *(line for row in rows for line in _row(row, labels))]


def _row(row: Row, labels: int) -> Iterator[str]:
    words = [word for text, _ in row.words for word in text.split(" ")]
    for note in filter(None, (one_line(row.note), "already pending" if row.is_pending else "")):
        words += f"({note})".split(" ")
    indent = 6 + labels + 2
    first, *rest = wrap(words, WIDTH - indent)
    yield f"{SYMBOLS[row.role]}     {pad(shown(row.label), labels)}  {first}".rstrip()
    yield from (" " * indent + line for line in rest)


def _destinations(plan: Plan) -> list[Part]:
    """Where each sink is, as in the text: without changes, those that the plan could not read."""
    rows = [(each.sink, each.place) for each in plan.destinations if plan.changes or not each.is_readable]
    rows += [("(lock)", plan.lock)] if plan.lock else []
    column = min(max((cells(shown(name)) for name, _ in rows), default=0), _WIDEST_ADDRESS)
    return [Part(f"  {pad(shown(name), column)}  {shown(place, longest=len(place))}") for name, place in rows]


# --- Notes and findings -----------------------------------------------------------------------------------------------


def _notes(notes: Iterable[Note], *, verbose: bool) -> list[Part]:
    return [
        Part(f"- {_fold_words(each.like.address, [note.address for note in each.items])}")
        if isinstance(each, Fold)
        else Part(f"- {_note(each)}", f"- {_note(each, short=True)}")
        for each in fold_notes(notes, verbose=verbose)
    ]


def _findings(plan: Plan, findings: Iterable[Finding], *, verbose: bool) -> list[Part]:
    """What this change of the file causes comes first."""
    return [
        Part(f"- {_fold_words(each.like.path, [finding.path for finding in each.items])}")
        if isinstance(each, Fold)
        else finding_part(each, f" {said_at(plan.base)}" if plan.base and plan.was_said(each) else "")
        for each in fold_findings(sorted(findings, key=plan.was_said), plan, verbose=verbose)
    ]


def finding_part(finding: Finding, said: str = "") -> Part:
    """A finding in a list, with its place and the way out; `said` ends its message."""
    return Part(f"- {_finding(finding, said)}", f"- {_finding(finding, said, short=True)}")


def _note(note: Note, *, short: bool = False) -> str:
    return f"{code(cut(note.address))} {prose(cut(note.sentence) if short else note.sentence)}"


def _finding(finding: Finding, said: str, *, short: bool = False) -> str:
    """`path` message (`file:line:column`). The way out."""
    message = prose(f"{cut(finding.message) if short else finding.message}{said}")
    path = f"{code(cut(finding.path))} " if finding.path else ""
    where = f" ({code(cut(finding.where))})" if finding.where else ""
    way_out = f". {prose(_sentence(finding.way_out))}" if finding.way_out and not short else ""
    return f"{path}{message}{where}{way_out}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _fold_words(like: str, names: Sequence[str]) -> str:
    """`12 more like` what was shown last, with as many names as a line has."""
    words = named(names, WIDTH)
    count = words[-3:] if words[-1] == "more" and words[-3:-2] == ["and"] else []
    told = [word.rstrip(",") for word in words[: len(words) - len(count)]]
    return f"{len(names)} more like {code(like)}: {codes(told)}{' ' if count else ''}{' '.join(count)}"


def _some(names: Sequence[str]) -> str:
    """The first few names that a person gave."""
    more = f" and {len(names) - _MOST_CHOSEN} more" if len(names) > _MOST_CHOSEN else ""
    return codes(cut(name, 64) for name in names[:_MOST_CHOSEN]) + more


# --- Drift ------------------------------------------------------------------------------------------------------------


def _drift_opening(plan: Plan) -> list[str]:
    words = [f"{len(plan.drift)} changed outside keyform"] if plan.drift else []
    words += [f"{len(plan.unproven)} different from the file"] if plan.unproven else []
    return [
        marker("drift", stack=plan.stack, project=plan.project),
        _title(plan, ", ".join(words) or "no drift found"),
    ]


def _drift(plan: Plan, *, rank: int, is_open: bool = False) -> Iterator[Section]:
    """Drift that is proven; if that is all a comment is about, also what may be drift, and what could not be read."""
    parts = [Part(f"- {_drifted(each)}", f"- {_drifted(each, short=True)}") for each in plan.drift]
    if not is_open:
        yield folded(rank, "change outside keyform", f"{DRIFT} ({len(parts)})", parts)
        return
    maybe = [Part(f"- {_drifted(each)}", f"- {_drifted(each, short=True)}") for each in plan.unproven]
    unread = [note for note in plan.warnings if note.code == "sink_is_not_read"]
    yield listed(rank, "change", DRIFT, parts)
    yield listed(rank + 1, "difference", DIFFERS, maybe)
    yield listed(rank, "sink", "Not read", _notes(unread, verbose=True))


def _drifted(drift: Drift, *, short: bool = False) -> str:
    sentence = cut(drift.sentence) if short else drift.sentence
    remedy = "" if short or not drift.remedy else f". {prose(_sentence(drift.remedy))}"
    return f"{code(cut(drift.address))} {prose(sentence)}{remedy}"
