"""The changes on a plan's page: a block for each key and each endpoint, to be narrowed by what a reader picks.

Where the plan has a base, what comes from this change of the file comes first and is whole, each step that was pending
already marked; what was pending altogether is apart, and folded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.plan.changes import Action, Change, Note, OpenEndpoint, Plan, Prove, RemoveRecord
from reconciler.report.blocks import Block, group_changes
from reconciler.report.html import NEWLINE, Html, join, prose, tag, whole
from reconciler.report.origins import find_origins
from reconciler.report.page_style import as_role
from reconciler.report.roles import Role
from reconciler.report.rows import Row, rows_of
from reconciler.report.text import SYMBOLS

MANY = 24
"""With more blocks than that, each is folded: the heads alone are an overview."""
FEW = 4
"""Up to this many need no filter."""
WORDS = {
    Action.CREATE: ("+", "create", Role.ADDED),
    Action.UPDATE: ("~", "update", Role.CHANGED),
    Action.ROTATE: ("+/-", "rotate", Role.NOTE),
    Action.DELETE: ("-", "destroy", Role.REMOVED),
    Action.FORGET: (".", "forget", Role.FORGOTTEN),
}
"""The symbol of each action, its name, and how its badge is drawn."""


def draw_changes(plan: Plan, *, unfolds: bool) -> Html:
    """All blocks, with a filter if there are more than a few; `unfolds` shows every step however many there are."""
    origins = find_origins(plan)
    blocks = (*origins.own, *origins.pending)
    parts = [_filter(blocks, has_base=plan.base is not None)] if is_long(plan) else []
    is_open = unfolds or len(blocks) <= MANY
    if plan.base is None:
        parts.append(_list(plan, origins.own, heading="h3", is_open=is_open))
        return join(parts, "\n")
    for name, title, found, unfolded in (
        ("ours", "From this change", origins.own, is_open),
        ("pending", f"Already pending at {plan.base.name}", origins.pending, unfolds),
    ):
        head = tag("h3", title, " ", tag("span", str(len(found)), class_="count"), class_="part")
        none = tag("p", "Nothing.", class_=as_role(Role.QUIET))
        shown = _list(plan, found, heading="h4", is_open=unfolded) if found else none
        parts.append(tag("div", head, NEWLINE, shown, class_=name))
    return join(parts, "\n")


def is_long(plan: Plan) -> bool:
    """Whether there are so many blocks that a reader looks for one."""
    return len(group_changes(plan.changes)) > FEW


# --- The filter -------------------------------------------------------------------------------------------------------


def text_filter(label: str, name: str) -> Html:
    """A box to type in, and how much is shown; hidden where scripts do not run."""
    box = tag("input", type_="text", id=name, autocomplete="off", spellcheck="false")
    found = tag("output", for_=name, class_="later quiet", hidden=True)
    return join((tag("span", tag("label", label, for_=name), " ", box, class_="find later", hidden=True), found), " ")


def choice(name: str, label: str, *, kind: str = "checkbox", group: str = "", checked: bool = True) -> Html:
    """A box to tick, with its label."""
    box = tag("input", type_=kind, id=name, name_=group or False, checked=checked, autocomplete="off")
    return tag("label", box, " ", label, class_="choice")


def _filter(blocks: Sequence[Block], *, has_base: bool) -> Html:
    present = [action for action in WORDS if any(block.action is action for block in blocks)]
    counts = {action: sum(1 for block in blocks if block.action is action) for action in present}
    lines = [text_filter("Key, endpoint or action", "find-change")]
    if len(present) > 1:
        boxes = [choice(f"show-{action.value}", f"{WORDS[action][1]} ({counts[action]})") for action in present]
        lines.append(_group("Show actions", boxes))
    if has_base:
        origins = (("all", "all"), ("ours", "only from this change"), ("pending", "only already pending"))
        boxes = [
            choice(f"from-{name}", label, kind="radio", group="from", checked=name == "all") for name, label in origins
        ]
        lines.append(_group("Show changes", boxes))
    if len(blocks) > MANY:
        steps = choice("steps", "show every step", checked=False)
        lines.append(tag("span", steps, class_="steps later", hidden=True))
    return tag("div", join(lines, "\n"), class_="filter", role="group", aria_label="Filter changes")


def _group(label: str, boxes: Iterable[Html]) -> Html:
    return tag("div", join(boxes, "\n"), class_="choices", role="group", aria_label=label)


# --- The blocks -------------------------------------------------------------------------------------------------------


def _list(plan: Plan, blocks: Iterable[Block], *, heading: str, is_open: bool) -> Html:
    shown = [_draw(plan, block, heading=heading, is_open=is_open) for block in blocks]
    return tag("ol", NEWLINE, join(shown, "\n"), NEWLINE, class_="blocks")


def _draw(plan: Plan, block: Block, *, heading: str, is_open: bool) -> Html:
    symbol, word, role = WORDS[block.action]
    reason = tag("span", prose(block.reason.sentence), class_=as_role(_urgent(block), "why"))
    name = tag(heading, block.address, class_=as_role(Role.NAME))
    head = tag("summary", tag("span", f"{symbol} {word}", class_=as_role(role, "badge")), " ", name, " ", reason)
    mixed = not all(map(plan.is_pending, block.changes))
    rows = [draw_row(row, says_pending=mixed) for row in rows_of(block, plan.base)]
    remarks = [*_remarks(plan, block)]
    more = [tag("ul", *remarks, class_="remarks")] if remarks else []
    return tag(
        "li",
        tag("details", head, NEWLINE, tag("table", *rows, class_="steps"), *more, open=is_open),
        class_=f"block {block.action.value}",
        data_find=" ".join(find_words(block)).lower(),
    )


def _urgent(block: Block) -> Role:
    return Role.DANGER if block.reason.is_urgent else Role.QUIET


def draw_row(row: Row, *, says_pending: bool = False) -> Html:
    """A line of a block's table."""
    words = [tag("span", whole("→" if word == "->" else word), class_=as_role(role)) for word, role in row.words]
    notes = (row.note, "already pending" if row.is_pending and says_pending else "")
    words += [tag("span", "(", prose(note), ")", class_=as_role(Role.QUIET)) for note in notes if note]
    return tag(
        "tr",
        tag("td", SYMBOLS[row.role], class_=as_role(row.role, "sign")),
        tag("th", row.label, scope="row"),
        tag("td", join(words, " ")),
    )


def _remarks(plan: Plan, block: Block) -> Iterator[Html]:
    edited = plan.base.edited if plan.base else ()
    for role, word, notes in (
        (Role.WARNING, "Warning", plan.warnings),
        (Role.NOTE, "Note", plan.notes),
        (Role.NOTE, "This change", edited),
    ):
        yield from (_remark(role, word, note) for note in notes if note.address == block.address)


def _remark(role: Role, word: str, note: Note) -> Html:
    return tag("li", tag("span", word, class_=as_role(role, "badge")), " ", prose(note.sentence))


def find_words(block: Block) -> list[str]:
    """What a reader finds a block by: its address, its action, and the live keys, endpoints and sinks of its steps."""
    symbol, word, _ = WORDS[block.action]
    found = [block.address, word, symbol]
    for change in block.changes:
        found += _named(change)
    return [*dict.fromkeys(filter(None, found))]


def _named(change: Change) -> Iterator[str]:
    yield change.id.live.name
    yield str(change.endpoint or "")
    match change:
        case Prove():
            yield from (str(ref) for ref in change.endpoints)
        case RemoveRecord():
            yield change.sink
        case OpenEndpoint():
            yield "public"
        case _:
            yield from getattr(change, "sinks", ())
