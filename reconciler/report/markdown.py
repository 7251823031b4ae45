"""A plan, or an error, as Markdown for a comment on a pull request: what matters most first, and cut to a length.

The first line is a marker, by which one comment for each stack and project is found again. Then one line says
everything; exposures, refusals and what is left undone follow; details are folded away. A comment that would be too
long loses whole elements, the least important first, and says how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from reconciler.encoder import last_net, one_line, shown
from reconciler.errors import Finding, KeyformError
from reconciler.plan.changes import Action, Base, Drift, Note, OpenEndpoint, Plan
from reconciler.report.blocks import Block, group_changes
from reconciler.report.drift import DIFFERS
from reconciler.report.folding import Fold, fold_blocks, fold_findings, fold_notes, named
from reconciler.report.markdown_text import code, fence_for, marker, prose, size, without_comments
from reconciler.report.origins import Origins, find_origins, origins_line, own_first, said_at
from reconciler.report.rows import Row, rows_of
from reconciler.report.summary import count_blocks, summary_words
from reconciler.report.terminal import cells, pad, wrap
from reconciler.report.text import ACTIONS, DRIFT, SYMBOLS, verdict_of

WIDTH = 100
"""Columns of a block of code: about what a comment shows without scrolling."""
SHORT = 160
"""Characters of a sentence that is too long to be shown whole."""
_STRENGTH = (Action.DELETE, Action.FORGET, Action.ROTATE, Action.CREATE, Action.UPDATE)
_WIDEST_ADDRESS = 44
_WIDEST_LABEL = 24
_MOST_CHOSEN = 3


@dataclass(frozen=True, slots=True)
class Part:
    """An element that is shown whole, or in a `short` form, or not at all."""

    text: str
    short: str = ""


@dataclass(slots=True)
class Section:
    """Parts of one kind between what opens and closes them. The lowest `rank` matters most; `noun` names a part."""

    rank: int
    noun: str
    head: str
    parts: Sequence[Part]
    foot: str = ""
    prefix: str = ""
    between: str = "\n"
    kept: list[str] = field(default_factory=list)

    @property
    def left(self) -> int:
        """How many parts are cut."""
        return len(self.parts) - len(self.kept)

    def rest(self, number: int) -> str:
        """The line in place of the parts that are cut."""
        return f"{self.between}{self.prefix}… and {number} more" if number else ""

    def render(self) -> str:
        """The section with the parts that are kept, and how many are not."""
        return f"{self.head}{self.between.join(self.kept)}{self.rest(self.left)}{self.foot}"


def plan_to_markdown(plan: Plan, *, limit: int, verbose: bool = False, drift_only: bool = False) -> str:
    """The plan in at most `limit` characters, the same to the byte for the same plan."""
    if drift_only:
        return _assemble(_drift_opening(plan), _drift(plan, rank=1, is_open=True), limit)
    return _assemble(_opening(plan), _sections(plan, find_origins(plan), verbose=verbose), limit)


def error_to_markdown(error: KeyformError, comment: str, *, limit: int) -> str:
    """What is wrong, and the way out, in place of a plan; `comment` is the marker of the comment that it replaces."""
    findings: Sequence[Finding] = getattr(error, "findings", ())
    differences: Sequence[str] = getattr(error, "differences", ())
    opening = [comment, f"### keyform — {prose(_cut(error.message.rstrip('.'), SHORT))}"]
    if error.way_out:
        opening.append(f"{prose(_sentence(_cut(error.way_out, SHORT)))}")
    sections = [
        Section(1, "error", "", [_finding_part(finding) for finding in findings], prefix="- "),
        Section(2, "difference", "", [Part(f"- {prose(each)}") for each in differences], prefix="- "),
    ]
    return _assemble(opening, sections, limit)


def valid_to_markdown(comment: str, sentence: str, notes: Sequence[Note], *, limit: int) -> str:
    """The comment about a file in which nothing is wrong."""
    section = Section(1, "note", "", _notes(notes, verbose=True), prefix="- ")
    return _assemble([comment, f"### keyform — {prose(_cut(sentence, SHORT))}"], [section], limit)


# --- The parts of a plan ----------------------------------------------------------------------------------------------


def _opening(plan: Plan) -> list[str]:
    counted = summary_words(count_blocks(group_changes(plan.changes)))
    words = [", ".join(counted) or ("no changes except repairs" if plan.repairs else "no changes")]
    exposures = len(plan.exposures) + (len(plan.base.weakened) if plan.base else 0)
    words += [_count(exposures, "exposure")] if exposures else []
    words += ["refused"] if plan.refusals else []
    words += [f"{len(plan.unmet)} left undone"] if plan.unmet else []
    lines = [marker("plan", stack=plan.stack, project=plan.project), _title(plan, "; ".join(words))]
    if plan.refusals:
        lines.append("**This plan is refused, and cannot be applied.**")
    if plan.base is not None:
        lines.append(f"Compared with the file at {code(_cut(plan.base.name, SHORT))}. {origins_line(plan)}".rstrip())
    if plan.selection:
        chosen = [("only", plan.selection.targets), ("without", plan.selection.excludes)]
        told = [f"{word} {_some(names)}" for word, names in chosen if names]
        lines.append(f"A plan of some keys: {', '.join(told)}. All others stay as they are.")
    if plan.is_empty and not plan.refusals and not plan.unmet:
        lines.append(verdict_of(plan))
    return lines


def _title(plan: Plan, what: str) -> str:
    return f"### keyform: {code(_cut(plan.stack, SHORT))} (project {prose(str(plan.project))}) — {what}"


def _sections(plan: Plan, origins: Origins, *, verbose: bool) -> Iterator[Section]:
    weakened, withdrawn, edited = (
        (plan.base.weakened, plan.base.withdrawn, plan.base.edited) if plan.base else ((),) * 3
    )

    def notes(found: Sequence[Note], *, all_of_them: bool = verbose) -> list[Part]:
        return _notes(own_first(plan, found), verbose=all_of_them)

    yield _alert(1, "exposure", "CAUTION", "Exposures", notes([*weakened, *plan.exposures], all_of_them=True))
    yield _alert(2, "refusal", "CAUTION", "Refused", _findings(plan, plan.refusals, verbose=True))
    yield _alert(3, "finding", "WARNING", "Left undone", _findings(plan, plan.unmet, verbose=verbose))
    yield _alert(4, "warning", "WARNING", "Warnings", notes(plan.warnings))
    changes = _in_order(origins.own, plan, verbose=verbose)
    yield _code_section(5, "change", _heads(changes, plan))
    details = [Part("\n".join(_details(block, plan.base))) for block in changes if isinstance(block, Block)]
    yield _folded(6, "detail", "Details", details, is_code=True)
    yield _listed(7, "note", "Edited by this change, and pending before", notes(edited))
    yield _listed(7, "note", "Withdrawn by this change", notes(withdrawn))
    pending = _heads(_in_order(origins.pending, plan, verbose=verbose), plan, details=True)
    yield _folded(8, "pending change", f"Already pending ({len(origins.pending)})", pending, is_code=True)
    yield _folded(7, "repair", f"Repairs ({len(plan.repairs)})", notes(plan.repairs))
    yield _folded(7, "note", f"Expiring ({len(plan.expiring)})", notes(plan.expiring))
    yield from _drift(plan, rank=9)
    yield _folded(10, "note", f"Notes ({len(plan.notes)})", notes(plan.notes))
    yield _folded(11, "sink", "Sinks", _destinations(plan), is_code=True)


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

    return Part("\n".join([text(sentence), *rows]), text(_cut(sentence, SHORT)))


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
        else _finding_part(each, f" {said_at(plan.base)}" if plan.base and plan.was_said(each) else "")
        for each in fold_findings(sorted(findings, key=plan.was_said), plan, verbose=verbose)
    ]


def _finding_part(finding: Finding, said: str = "") -> Part:
    return Part(f"- {_finding(finding, said)}", f"- {_finding(finding, said, short=True)}")


def _note(note: Note, *, short: bool = False) -> str:
    return f"{code(_cut(note.address, SHORT))} {prose(_cut(note.sentence, SHORT) if short else note.sentence)}"


def _finding(finding: Finding, said: str, *, short: bool = False) -> str:
    """`path` message (`file:line:column`). The way out."""
    message = prose(f"{_cut(finding.message, SHORT) if short else finding.message}{said}")
    path = f"{code(_cut(finding.path, SHORT))} " if finding.path else ""
    where = f" ({code(_cut(finding.where, SHORT))})" if finding.where else ""
    way_out = f". {prose(_sentence(finding.way_out))}" if finding.way_out and not short else ""
    return f"{path}{message}{where}{way_out}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _fold_words(like: str, names: Sequence[str]) -> str:
    """`12 more like` what was shown last, with as many names as a line has."""
    words = named(names, WIDTH)
    count = words[-3:] if words[-1] == "more" and words[-3:-2] == ["and"] else []
    told = [word.rstrip(",") for word in words[: len(words) - len(count)]]
    return f"{len(names)} more like {code(like)}: {_codes(told)}{' ' if count else ''}{' '.join(count)}"


def _some(names: Sequence[str]) -> str:
    """The first few names that a person gave."""
    more = f" and {len(names) - _MOST_CHOSEN} more" if len(names) > _MOST_CHOSEN else ""
    return _codes(_cut(name, 64) for name in names[:_MOST_CHOSEN]) + more


def _codes(names: Iterable[str]) -> str:
    return ", ".join(code(_cut(name, SHORT)) for name in names)


def _cut(text: str, longest: int) -> str:
    text = one_line(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


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
        yield _folded(rank, "change outside keyform", f"{DRIFT} ({len(parts)})", parts)
        return
    maybe = [Part(f"- {_drifted(each)}", f"- {_drifted(each, short=True)}") for each in plan.unproven]
    unread = [note for note in plan.warnings if note.code == "sink_is_not_read"]
    yield _listed(rank, "change", DRIFT, parts)
    yield _listed(rank + 1, "difference", DIFFERS, maybe)
    yield _listed(rank, "sink", "Not read", _notes(unread, verbose=True))


def _drifted(drift: Drift, *, short: bool = False) -> str:
    sentence = _cut(drift.sentence, SHORT) if short else drift.sentence
    remedy = "" if short or not drift.remedy else f". {prose(_sentence(drift.remedy))}"
    return f"{code(_cut(drift.address, SHORT))} {prose(sentence)}{remedy}"


# --- Sections, and how they are cut -----------------------------------------------------------------------------------


def _alert(rank: int, noun: str, kind: str, title: str, parts: Sequence[Part]) -> Section:
    """A box that stands out; where a forge does not know it, a quotation."""
    quoted = [Part(f"> {part.text}", f"> {part.short}" if part.short else "") for part in parts]
    return Section(rank, noun, f"> [!{kind}]\n> **{title}**\n>\n", quoted, prefix="> - ")


def _listed(rank: int, noun: str, title: str, parts: Sequence[Part]) -> Section:
    return Section(rank, noun, f"**{title}**\n\n", parts, prefix="- ")


def _code_section(rank: int, noun: str, parts: Sequence[Part], between: str = "\n") -> Section:
    parts = [Part(without_comments(part.text), without_comments(part.short)) for part in parts]
    fence = fence_for(part.text for part in parts)
    return Section(rank, noun, f"{fence}diff\n", parts, f"\n{fence}", between=between)


def _folded(rank: int, noun: str, title: str, parts: Sequence[Part], *, is_code: bool = False) -> Section:
    """What is seen after a click. The title is keyform's own: it is in HTML, and not escaped."""
    has_rows = any("\n" in part.text for part in parts)
    inner = (
        _code_section(rank, noun, parts, "\n\n" if has_rows else "\n")
        if is_code
        else Section(rank, noun, "", parts, prefix="- ")
    )
    inner.head = f"<details>\n<summary>{title}</summary>\n\n{inner.head}"
    inner.foot += "\n\n</details>"
    return inner


def _assemble(opening: Sequence[str], sections: Iterable[Section], limit: int) -> str:
    """The opening, and of the sections what fits: parts in the order of their rank, and none behind one that did not.

    A part that is too long is tried in its short form. What is cut is counted in its section, and at the end.
    """
    found = [section for section in sections if section.parts]
    for section in found:
        section.parts = [Part(last_net(part.text), last_net(part.short)) for part in section.parts]
        section.kept = [part.text for part in section.parts]
    start = last_net("\n\n".join(opening).replace("\n\n", "\n", 1))
    whole = "\n\n".join([start, *(section.render() for section in found)]) + "\n"
    if size(whole) <= limit:
        return whole
    room = limit - size(start) - size(_cut_line(limit, [(len(each.parts), each.noun) for each in found])) - 3
    _keep(sorted(found, key=lambda section: section.rank), room)
    end = _cut_line(limit, [(section.left, section.noun) for section in found])
    return "\n\n".join([start, *(section.render() for section in found if section.kept), end]) + "\n"


def _keep(sections: Sequence[Section], room: int) -> None:
    for section in sections:
        section.kept.clear()
    for section in sections:
        room -= 2 + size(section.head) + size(section.foot) + size(section.rest(len(section.parts)))
        for part in section.parts:
            between = size(section.between) if section.kept else 0
            fitting = [text for text in (part.text, part.short) if text and size(text) + between <= room]
            if not fitting:
                return
            section.kept.append(fitting[0])
            room -= size(fitting[0]) + between


def _cut_line(limit: int, left: Sequence[tuple[int, str]]) -> str:
    counts: dict[str, int] = {}
    for number, noun in left:
        counts[noun] = counts.get(noun, 0) + number
    told = ", ".join(_count(number, noun) for noun, number in counts.items() if number)
    return f"**Cut to {limit:,} characters.** Not shown: {told}. `keyform plan --verbose` shows everything."
