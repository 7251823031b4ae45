"""A plan as text, to be read in a pull request or on a terminal: what matters most first, then one block per key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.encoder import one_line, shown
from reconciler.errors import Finding
from reconciler.plan.changes import Action, Drift, Note, Plan
from reconciler.report.blocks import Block
from reconciler.report.folding import SHOWN_LINES, Fold, fold_blocks, fold_findings, fold_notes, named
from reconciler.report.origins import find_origins, origins_line, own_first, said_at
from reconciler.report.roles import Role
from reconciler.report.rows import Row, rows_of
from reconciler.report.summary import count_blocks, plan_line, tell_selection
from reconciler.report.terminal import Palette, cells, pad, widest, wrap

SYMBOLS = {Role.ADDED: "+", Role.CHANGED: "~", Role.REMOVED: "-", Role.FORGOTTEN: "."}
ACTIONS = {
    Action.CREATE: (Role.ADDED,),
    Action.UPDATE: (Role.CHANGED,),
    Action.DELETE: (Role.REMOVED,),
    Action.ROTATE: (Role.ADDED, Role.REMOVED),
    Action.FORGET: (Role.FORGOTTEN,),
}
"""The roles of each action's symbols: of a rotation `+/-`."""
NO_CHANGES = "No changes. The live API matches the file."
NO_CHANGES_OF_THESE = "No changes to these keys. The others may have some."
NOTHING_MORE = "No other changes."
REPAIRS_ONLY = "No changes except repairs. The live API matches the file."
REPAIRS_ONLY_OF_THESE = "No changes to these keys except repairs. The others may have some."
DRIFT_STAYS = "No changes. What was changed outside keyform stays as it is."
REFUSED = "This plan is refused, for the reasons above."
DRIFT = "Changed outside keyform"
_MARKS = {Role.NOTE: "i"}
"""What a line that asks for nothing begins with; all others have `!`."""
_ADDRESS_COLUMN = 6
_NARROWEST_TEXT = 24
_ROOM_FOR_COUNT = 30
"""What `and 189 more` takes, and the end of the first of two lines."""
_WIDEST_LABEL = 24
"""The name of a field or a step; longer ones, which others must have written, get no column."""


def render_plan(plan: Plan, *, colour: bool, width: int = 100, verbose: bool = False) -> str:
    """The plan in lines of at most `width` columns, with ANSI colour or without a single escape code.

    Where it was compared with the file at a base, what comes from this change of the file is whole and comes first.
    What is alike is folded, unless `verbose`.
    """
    palette = Palette(colour)
    origins = find_origins(plan)
    blocks = (*origins.own, *origins.pending)
    # What is pending is one line each: a warning about it must not go missing.
    shown_whole, addresses = {block.address for block in origins.own}, {block.address for block in blocks}
    elsewhere = [note for note in plan.warnings if note.address not in shown_whole]
    notes = [note for note in plan.notes if note.address not in addresses]
    weakened, withdrawn = (plan.base.weakened, plan.base.withdrawn) if plan.base else ((), ())
    exposures = [*own_first(plan, [*weakened, *plan.exposures])]
    parts = [
        *render_notes(palette, "Exposures", Role.DANGER, exposures, width),
        *_section(palette, "Refused", Role.DANGER, _finding_entries(plan, plan.refusals, width, verbose=True), width),
        *_section(
            palette, "Left undone", Role.DANGER, _finding_entries(plan, plan.unmet, width, verbose=verbose), width
        ),
        *render_drift_entries(palette, DRIFT, Role.WARNING, plan.drift, width),
        *_notes(palette, "Warnings", Role.WARNING, own_first(plan, elsewhere), width, verbose=verbose),
        *_notes(palette, "Repairs", Role.WARNING, own_first(plan, plan.repairs), width, verbose=verbose),
        *_notes(palette, "Expiring", Role.WARNING, own_first(plan, plan.expiring), width, verbose=verbose),
        *_notes(palette, "Notes", Role.NOTE, own_first(plan, notes), width, verbose=verbose),
        *_notes(palette, "Withdrawn by this change", Role.NOTE, withdrawn, width, verbose=verbose),
    ]
    parts += render_selection(palette, plan, width)
    if not blocks:
        parts += _render_destinations(palette, plan, width)
        return "\n\n".join([*parts, palette.paint(verdict_of(plan), Role.TITLE)]) + "\n"
    parts.append("\n".join(wrap(_opening(plan), width)))
    if plan.base is not None:
        title = "From this change" if origins.own else "From this change: nothing"
        parts.append(palette.paint(title, Role.TITLE))
    own = fold_blocks(origins.own, plan, verbose=verbose)
    pending = fold_blocks(origins.pending, plan, verbose=verbose, shown=SHOWN_LINES)
    parts += _render_blocks(palette, own, plan, width) if own else ()
    parts += _render_pending(palette, pending, plan, width)
    parts += _render_destinations(palette, plan, width)
    parts.append(_closing(palette, blocks, plan, width))
    return "\n\n".join(parts) + "\n"


def render_selection(palette: Palette, plan: Plan, width: int) -> Iterator[str]:
    """Which keys it is about, if that is not all of them."""
    if plan.selection:
        told = f"Partial: {one_line(tell_selection(plan.selection))}"
        yield "\n".join(palette.paint(line, Role.WARNING) for line in wrap(told.split(" "), width))


def render_drift_entries(palette: Palette, title: str, role: Role, found: Sequence[Drift], width: int) -> Iterator[str]:
    """A titled list of what was changed outside keyform, and what apply does about each; nothing if there is none."""
    entries = [(shown(each.address), one_line(each.sentence), one_line(each.remedy)) for each in found]
    return _section(palette, title, role, entries, width)


def render_notes(palette: Palette, title: str, role: Role, notes: Sequence[Note], width: int) -> Iterator[str]:
    """A titled list of notes; nothing if there are none."""
    return _section(palette, title, role, [_note_words(note) for note in notes], width)


def symbol_of(palette: Palette, action: Action) -> str:
    """The action's symbol in its colours, at the end of five columns."""
    roles = ACTIONS[action]
    return " " * (6 - 2 * len(roles)) + "/".join(palette.paint(SYMBOLS[role], role) for role in roles)


def _opening(plan: Plan) -> list[str]:
    would = "would" if plan.refusals else "will"
    sentence = f"keyform {would} perform the following actions in stack {shown(plan.stack)}"
    return [*sentence.split(" "), f"(project {plan.project}):"]


def _closing(palette: Palette, blocks: Sequence[Block], plan: Plan, width: int) -> str:
    summary = wrap(plan_line(count_blocks(blocks)).split(" "), width)
    if origins := origins_line(plan):
        summary += wrap(origins.split(" "), width)
    lines = [palette.paint(line, Role.TITLE) for line in summary]
    if plan.refusals:
        verdict = "This plan is refused, for the reasons above, and cannot be applied."
        lines += [palette.paint(line, Role.DANGER) for line in wrap(verdict.split(" "), width)]
    return "\n".join(lines)


def verdict_of(plan: Plan) -> str:
    """The text of a plan without changes."""
    if plan.refusals:
        return REFUSED
    if plan.unmet:
        return NOTHING_MORE
    if plan.drift:
        return DRIFT_STAYS
    if plan.repairs:
        return REPAIRS_ONLY_OF_THESE if plan.selection else REPAIRS_ONLY
    return NO_CHANGES_OF_THESE if plan.selection else NO_CHANGES


def _note_words(note: Note) -> tuple[str, str, str]:
    return shown(note.address), one_line(note.sentence), ""


def _finding_entries(
    plan: Plan, findings: Sequence[Finding], width: int, *, verbose: bool
) -> list[tuple[str, str, str]]:
    """What this change of the file causes comes first."""
    return [
        _fold_words(each.like.path, [finding.path for finding in each.items], width)
        if isinstance(each, Fold)
        else _finding_words(plan, each)
        for each in fold_findings(sorted(findings, key=plan.was_said), plan, verbose=verbose)
    ]


def _finding_words(plan: Plan, finding: Finding) -> tuple[str, str, str]:
    where = f" ({shown(finding.where)})" if finding.where else ""
    said = f" {said_at(plan.base)}" if plan.base and plan.was_said(finding) else ""
    return shown(finding.path), one_line(f"{finding.message}{said}") + where, one_line(finding.way_out)


def _notes(
    palette: Palette, title: str, role: Role, notes: Sequence[Note], width: int, *, verbose: bool
) -> Iterator[str]:
    """As `render_notes`, with those folded that have the same code."""
    entries = [
        _fold_words(each.like.address, [note.address for note in each.items], width)
        if isinstance(each, Fold)
        else _note_words(each)
        for each in fold_notes(notes, verbose=verbose)
    ]
    return _section(palette, title, role, entries, width)


def _fold_words(like: str, names: Sequence[str], width: int) -> tuple[str, str, str]:
    return f"{len(names)} more", f"like {shown(like)}: {' '.join(named(names, width))}", ""


def _section(
    palette: Palette, title: str, role: Role, entries: Sequence[tuple[str, str, str]], width: int
) -> Iterator[str]:
    """A titled list of (subject, sentence, way out), loud enough to be read first; nothing if empty."""
    if not entries:
        return
    lines = [palette.paint(title, role)]
    column = max(cells(subject) for subject, _, _ in entries)
    beside = 4 + column + 2 + _NARROWEST_TEXT <= width
    indent = (4 + column + 2 if column else 4) if beside else 6
    mark = palette.paint(_MARKS.get(role, "!"), role)
    for subject, sentence, way_out in entries:
        text = [palette.paint(line, role) for line in wrap(sentence.split(" "), width - indent)]
        text += [palette.paint(line, Role.QUIET) for line in wrap(way_out.split(" "), width - indent) if line]
        head = f"  {mark} {palette.paint(subject, Role.NAME)}"
        lines.append(head + " " * (indent - 4 - cells(subject)) + text.pop(0) if beside else head)
        lines += [" " * indent + line for line in text]
    yield "\n".join(lines)


def _render_blocks(palette: Palette, folded: Sequence[Block | Fold[Block]], plan: Plan, width: int) -> Iterator[str]:
    blocks = [each for each in folded if isinstance(each, Block)]
    rows = {block.address: rows_of(block, plan.base) for block in blocks}
    widths = (cells(shown(row.label)) for found in rows.values() for row in found)
    labels = max((size for size in widths if size <= _WIDEST_LABEL), default=0)
    # One column for all reasons, unless a long name would push them to the edge.
    longest = max(cells(shown(block.address)) for block in blocks)
    column = _ADDRESS_COLUMN + min(longest, max(20, width * 2 // 5)) + 3
    for block in folded:
        if isinstance(block, Fold):
            yield "\n".join(_render_fold(palette, block, width))
            continue
        lines = list(_head(palette, block, column, width))
        for row in rows[block.address]:
            lines += _render_row(palette, row, labels, width)
        edited = plan.base.edited if plan.base else ()
        for role, notes in ((Role.WARNING, plan.warnings), (Role.NOTE, plan.notes), (Role.NOTE, edited)):
            for note in notes:
                if note.address == block.address:
                    lines += _remark(palette, role, one_line(note.sentence), width)
        yield "\n".join(lines)


def _render_fold(palette: Palette, fold: Fold[Block], width: int) -> Iterator[str]:
    """`+ 197 more like key.web-003: key.web-004, …`: the names of as many as fit in about two lines."""
    indent = _ADDRESS_COLUMN + 2
    head = f"{len(fold.items)} more like {shown(fold.like.address)}:"
    names = named([block.address for block in fold.items], 2 * (width - indent) - cells(head) - _ROOM_FOR_COUNT)
    first, *rest = wrap([*head.split(" "), *names], width - indent)
    yield f"{symbol_of(palette, fold.like.action)} {palette.paint(first, Role.QUIET)}"
    yield from (" " * indent + palette.paint(line, Role.QUIET) for line in rest)


def _render_pending(palette: Palette, folded: Sequence[Block | Fold[Block]], plan: Plan, width: int) -> Iterator[str]:
    """What does not come from this change of the file, in short: each key, and why."""
    if not folded or plan.base is None:
        return
    blocks = [each for each in folded if isinstance(each, Block)]
    longest = max(cells(shown(block.address)) for block in blocks)
    column = _ADDRESS_COLUMN + min(longest, max(20, width * 2 // 5)) + 3
    title = f"Already pending at {one_line(plan.base.name)}"
    lines = [palette.paint(line, Role.TITLE) for line in wrap(title.split(" "), width)]
    for each in folded:
        lines += _render_fold(palette, each, width) if isinstance(each, Fold) else _head(palette, each, column, width)
    yield "\n".join(lines)


def _render_destinations(palette: Palette, plan: Plan, width: int) -> Iterator[str]:
    """Where each sink is: a name in the file can be any place.

    Without changes, only those that cannot be read back: the plan has read the content of the others.
    """
    rows = [(each.sink, each.place) for each in plan.destinations if plan.changes or not each.is_readable]
    if plan.lock:
        rows.append(("(lock)", plan.lock))
    if not rows:
        return
    column = widest(name for name, _ in rows)
    lines = [palette.paint("Sinks", Role.TITLE)]
    for name, place in rows:
        first, *rest = wrap(shown(place, longest=len(place)).split(" "), width - 4 - column)
        lines += [f"  {pad(shown(name), column)}  {first}", *(" " * (4 + column) + line for line in rest)]
    yield "\n".join(lines)


def _head(palette: Palette, block: Block, column: int, width: int) -> Iterator[str]:
    address = shown(block.address)
    head = f"{symbol_of(palette, block.action)} {palette.paint(address, Role.NAME)}"
    used = _ADDRESS_COLUMN + cells(address)
    fits = used + 2 <= column and width - column >= _NARROWEST_TEXT
    indent = column if fits else _ADDRESS_COLUMN + 2
    role = Role.DANGER if block.reason.is_urgent else Role.QUIET
    sentence = one_line(block.reason.sentence).split(" ")
    reason = [palette.paint(line, role) for line in wrap(sentence, width - indent)]
    if fits:
        yield head + " " * (column - used) + reason.pop(0)
    else:
        yield head
    yield from (" " * indent + line for line in reason)


def _render_row(palette: Palette, row: Row, labels: int, width: int) -> Iterator[str]:
    indent = _ADDRESS_COLUMN + 2 + labels + 2
    words = [palette.paint(word, role) for text, role in row.words for word in text.split(" ")]
    notes = (one_line(row.note), "already pending" if row.is_pending else "")
    for note in filter(None, notes):
        words += [palette.paint(word, Role.QUIET) for word in f"({note})".split(" ")]
    first, *rest = wrap(words, width - indent)
    symbol = palette.paint(SYMBOLS[row.role], row.role)
    yield f"{' ' * _ADDRESS_COLUMN}{symbol} {pad(shown(row.label), labels)}  {first}".rstrip()
    yield from (" " * indent + line for line in rest)


def _remark(palette: Palette, role: Role, sentence: str, width: int) -> Iterable[str]:
    indent = _ADDRESS_COLUMN + 2
    first, *rest = [palette.paint(line, role) for line in wrap(sentence.split(" "), width - indent)]
    mark = palette.paint(_MARKS.get(role, "!"), role)
    return [f"{' ' * _ADDRESS_COLUMN}{mark} {first}", *(" " * indent + line for line in rest)]
