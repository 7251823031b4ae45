"""The changes on a plan's page: a block for each key and each endpoint, to be narrowed by what a reader picks.

Where the plan has a base, what comes from this change of the file is apart from what was pending already: a block whose
changes are of both kinds is shown in each part with its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.plan.changes import Action, Change, Note, OpenEndpoint, Plan, Prove, RemoveRecord
from reconciler.report.blocks import Block, group_changes
from reconciler.report.html import NEWLINE, Html, join, prose, tag, whole
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
    ours, pending = split_changes(plan)
    count = len(ours) + len(pending)
    parts = [_filter([*ours, *pending], has_base=plan.base is not None)] if count > FEW else []
    is_open = unfolds or count <= MANY
    if plan.base is None:
        parts.append(_list(plan, ours, heading="h3", is_open=is_open, told=set()))
        return join(parts, "\n")
    told: set[str] = set()
    for name, title, blocks, none in (
        ("ours", "From this change", ours, "This change of the file changes nothing that is live."),
        ("pending", "Already pending", pending, "Nothing was pending before."),
    ):
        head = tag("h3", title, " ", tag("span", str(len(blocks)), class_="count"), class_="part")
        shown = _list(plan, blocks, heading="h4", is_open=is_open, told=told) if blocks else _quiet(none)
        parts.append(tag("div", head, NEWLINE, shown, class_=name))
    return join(parts, "\n")


def split_changes(plan: Plan) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    """The blocks from this change of the file (all, if there is no base), and those that were pending already."""
    ours = [change for change in plan.changes if not plan.is_pending(change)]
    pending = [change for change in plan.changes if plan.is_pending(change)]
    return group_changes(ours), group_changes(pending)


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


def _list(plan: Plan, blocks: Sequence[Block], *, heading: str, is_open: bool, told: set[str]) -> Html:
    """`told` are the addresses whose notes are shown already."""
    shown = []
    for block in blocks:
        remarks = [] if block.address in told else [*_remarks(plan, block)]
        told.add(block.address)
        shown.append(_draw(block, remarks, heading=heading, is_open=is_open))
    return tag("ol", NEWLINE, join(shown, "\n"), NEWLINE, class_="blocks")


def _draw(block: Block, remarks: Sequence[Html], *, heading: str, is_open: bool) -> Html:
    symbol, word, role = WORDS[block.action]
    reason = tag("span", prose(block.reason.sentence), class_=as_role(_urgent(block), "why"))
    name = tag(heading, block.address, class_=as_role(Role.NAME))
    head = tag("summary", tag("span", f"{symbol} {word}", class_=as_role(role, "badge")), " ", name, " ", reason)
    rows = tag("table", *(_draw_row(row) for row in rows_of(block)), class_="steps")
    more = [tag("ul", *remarks, class_="remarks")] if remarks else []
    return tag(
        "li",
        tag("details", head, NEWLINE, rows, *more, open=is_open),
        class_=f"block {block.action.value}",
        data_find=" ".join(find_words(block)).lower(),
    )


def _urgent(block: Block) -> Role:
    return Role.DANGER if block.reason.is_urgent else Role.QUIET


def _draw_row(row: Row) -> Html:
    words = [tag("span", whole("→" if word == "->" else word), class_=as_role(role)) for word, role in row.words]
    note = [tag("span", "(", prose(row.note), ")", class_=as_role(Role.QUIET))] if row.note else []
    return tag(
        "tr",
        tag("td", SYMBOLS[row.role], class_=as_role(row.role, "sign")),
        tag("th", row.label, scope="row"),
        tag("td", join([*words, *note], " ")),
    )


def _remarks(plan: Plan, block: Block) -> Iterator[Html]:
    for role, word, notes in ((Role.WARNING, "Warning", plan.warnings), (Role.NOTE, "Note", plan.notes)):
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


def _quiet(sentence: str) -> Html:
    return tag("p", sentence, class_=as_role(Role.QUIET))
