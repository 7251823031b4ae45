"""The status as tables: keys, endpoints, and above them what needs a look.

A narrow terminal gets fewer columns rather than broken ones; what is public, expired or lost is red everywhere. This is
imported only to draw a table, since rich takes longer to import than a plan to compute.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from reconciler.encoder import one_line, shown
from reconciler.model import EndpointRef, Phase
from reconciler.plan.standing import EndpointStatus, GenerationStatus, KeyState, KeyStatus, Standing
from reconciler.report.roles import Role
from reconciler.report.status_words import EXPIRY_ROLES, KEY_ROLES, SINK_ROLES, tell_expiry
from reconciler.report.terminal import cells, hanging, rich_theme
from reconciler.report.times import relative, span
from reconciler.report.verbs import some_of

_UNIT = re.compile(r" (s|mi|h|d|mo|y)[a-z]+")
_NARROWEST = 80
_WIDE = 100
_LONGEST_WHOLE_NAME = 24
_LONGEST_ID = 36
"""Of an id of a deployment, which the older API has; one that is broken across lines cannot be copied."""
_MOST_RESERVED = 14


def render_status(standing: Standing, *, colour: bool, width: int = 100) -> str:
    """The tables in lines of at most `width` columns, or 80; without colour there is no escape code in them."""
    width = max(width, _NARROWEST)
    return draw(status_parts(standing, width=width), colour=colour, width=width)


def draw(parts: Iterable[RenderableType], *, colour: bool, width: int) -> str:
    """Renderables as text, in lines of at most `width` columns, or 80.

    Below 80 columns rich would cut words short, and a cut state or sink is worse than a line that the terminal wraps.
    """
    from io import StringIO  # noqa: PLC0415

    width = max(width, _NARROWEST)
    console = Console(
        file=StringIO(),
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        width=width,
        legacy_windows=False,
        highlight=False,
        emoji=False,
        markup=False,
        theme=rich_theme(),
        _environ={},
    )
    with console.capture() as captured:
        for part in parts:
            for line in hanging(part, console, width) if isinstance(part, Text) else [part]:
                console.print(line)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def status_parts(standing: Standing, *, width: int) -> list[RenderableType]:
    """The parts in order, as rich renderables, for a console of this width."""
    parts: list[RenderableType] = [*_alarm(standing), head_of(standing.stack, standing.project)]
    parts += (
        [_key_table(standing, wide=width >= _WIDE)]
        if standing.keys
        else [Text("No keys: the file declares none, and none is live.\n")]
    )
    if standing.endpoints:
        parts.append(_endpoint_table(standing.endpoints))
    parts.append(_footer(standing))
    return parts


def head_of(stack: str, project: int) -> Text:
    """The line above the tables."""
    return Text.assemble(("Stack ", Role.QUIET), (shown(stack), Role.NAME), (f" (project {project})", Role.QUIET))


def _alarm(standing: Standing) -> Iterator[Text]:
    now = standing.now
    if standing.public:
        yield alarm_of_public([str(endpoint.ref) for endpoint in standing.public])
    if leaked := standing.leaked:
        what = _count(leaked, "live key is", "live keys are")
        yield Text(f"{what} REVOKED, and not yet cut: {some_of(leaked)}. Run apply.\n", Role.DANGER)
    if inactive := standing.inactive:
        what = _count(inactive, "live key is", "live keys are")
        yield Text(f"{what} not active, the API says: {some_of(inactive)}\n", Role.WARNING)
    if expired := standing.expired:
        names = some_of([tell_expiry(key, now) for key in expired])
        yield Text(f"{_count(expired, 'key has', 'keys have')} EXPIRED: {names}\n", Role.DANGER)
    if expiring := standing.expiring:
        names = some_of([tell_expiry(key, now) for key in expiring])
        what, them = _count(expiring, "key expires", "keys expire"), "it" if len(expiring) == 1 else "them"
        yield Text(f"{what} soon, with nothing to rotate {them}: {names}\n", Role.WARNING)
    if claims := standing.claims:
        what = _count(claims, "live key has", "live keys have")
        yield Text(f"{what} this stack's marker without being its own: {some_of(claims)}. See plan.\n", Role.DANGER)
    if held_up := standing.held_up:
        what = _count(held_up, "key is", "keys are")
        yield Text(f"{what} HELD UP until somebody has looked: {some_of(held_up)}. See plan.\n", Role.DANGER)
    for trouble in standing.troubles:
        yield Text(f"{shown(trouble.path)}: {one_line(trouble.message)}\n", Role.DANGER)
    told = " ".join(trouble.message for trouble in standing.troubles)
    for sentence in (each for each in standing.unseen if each not in told):
        yield Text(f"Some endpoints are not shown: {one_line(sentence)}\n", Role.WARNING)
    for note in standing.repairs:
        yield Text(f"{shown(note.address)}: {one_line(note.sentence)}\n", Role.WARNING)
    if endpoints := standing.with_foreign_keys:
        bound = [f"{shown(str(endpoint.ref))} ({some_of(endpoint.foreign)})" for endpoint in endpoints]
        yield Text(f"Foreign keys open endpoints of this stack: {some_of(bound)}\n", Role.WARNING)


def alarm_of_public(addresses: Sequence[str]) -> Text:
    """Public endpoints, by name, above everything else."""
    names = ", ".join(map(shown, addresses))
    what = _count(addresses, "endpoint is", "endpoints are")
    return Text(f"{what} PUBLIC, open to anyone who knows the address: {names}\n", Role.DANGER)


def _count(found: Sequence[object], one: str, many: str) -> str:
    return f"{len(found)} {one if len(found) == 1 else many}"


def new_table(columns: Sequence[tuple[str, bool]]) -> Table:
    """A table with these columns; those with True are not wrapped, except for a single long word."""
    table = Table(box=SIMPLE_HEAD, border_style=Role.QUIET, header_style=Role.TITLE, padding=(0, 1, 0, 0))
    for title, whole in columns:
        table.add_column(title, no_wrap=whole, overflow="fold")
    return table


def _fits(names: Iterable[str], longest: int = _LONGEST_WHOLE_NAME) -> bool:
    return max(map(cells, names), default=0) <= longest


def _key_table(standing: Standing, *, wide: bool) -> Table:
    """One row per key; if there is little room, without the age."""
    columns = [("Key", _fits(key.name for key in standing.keys)), ("Generation", True)]
    columns += [("Age", True)] if wide else []
    table = new_table([*columns, ("Rotates", True), ("Expires", True), ("Bound to", False), ("Sinks", False)])
    labels = label_endpoints(standing)
    longest = max((cells(labels.get(ref, ref.name)) for key in standing.keys for ref in key.bound_to), default=0)
    table.columns[-2].min_width = min(longest, _MOST_RESERVED) + 4
    for key in standing.keys:
        name = Text.assemble((shown(key.name), Role.NAME))
        if not key.declared:
            name.append(f"\nnow {shown(key.heir)}" if key.heir else "\nnot declared", Role.WARNING)
        age = Text(
            span(standing.now - key.created_at) if key.created_at else "-", Role.PLAIN if key.created_at else Role.QUIET
        )
        table.add_row(
            name,
            _generations(key, standing),
            *([age] if wide else []),
            _rotation(key, standing, wide=wide),
            _expiry(key, standing, wide=wide),
            _bindings(key, labels, wide=wide),
            _sinks(key),
        )
    return table


def _generations(key: KeyStatus, standing: Standing) -> Text:
    """`g2 published`, and on separate lines the other generations."""
    text = Text(f"g{key.generation} " if key.generation else "")
    text.append(key.state.value, KEY_ROLES[key.state])
    for other in key.others:
        text.append(f"\n+g{other.generation} {_beside(other, standing)}", Role.QUIET)
    return text


def _beside(other: GenerationStatus, standing: Standing) -> str:
    """The standing of a generation that is not the current one."""
    if other.phase in (Phase.PENDING, Phase.PARTIAL, Phase.REVOKED):
        return other.phase.value
    if other.until is None:
        return other.fate.value
    return f"for {span(other.until - standing.now)}" if other.until > standing.now else "to retire"


def _rotation(key: KeyStatus, standing: Standing, *, wide: bool) -> Text:
    """When the next rotation is due."""
    due = key.next_rotation
    if due is None:
        is_settled = key.declared and key.state not in (KeyState.PENDING, KeyState.MISSING)
        return Text("never" if is_settled else "-", Role.QUIET)
    return Text("due", Role.WARNING) if due.is_due(standing.now) else Text(_when(due.due_at, standing.now, wide=wide))


def _expiry(key: KeyStatus, standing: Standing, *, wide: bool) -> Text:
    if key.expires_at is None:
        return Text("never" if key.live_name else "-", Role.QUIET)
    return Text(_when(key.expires_at, standing.now, wide=wide), EXPIRY_ROLES[key.expiry])


def _when(instant: datetime, now: datetime, *, wide: bool) -> str:
    """`in 41 days`, or `in 41d` if there is little room."""
    text = relative(instant, now)
    return text if wide else _UNIT.sub(lambda unit: "mo" if unit[1] == "mo" else unit[1][0], text)


def label_endpoints(standing: Standing) -> Mapping[EndpointRef, str]:
    """What a row calls an endpoint that is known by an id: its name, or the id's beginning where others have that name.

    The whole id is in the table of endpoints.
    """
    names = Counter(endpoint.alias for endpoint in standing.endpoints)
    return {
        endpoint.ref: endpoint.alias if names[endpoint.alias] == 1 else f"{endpoint.ref.name[:8]}…"
        for endpoint in standing.endpoints
        if endpoint.alias
    }


def _bindings(key: KeyStatus, labels: Mapping[EndpointRef, str], *, wide: bool) -> Text:
    """How many, and the first few names, one per line if a line is too short for them."""
    if not key.bound_to:
        return Text("nowhere", Role.WARNING) if key.live_name else Text("-", Role.QUIET)
    count = str(len(key.bound_to))
    names = some_of([labels.get(ref, ref.name) for ref in key.bound_to])
    if cells(names) > (_LONGEST_WHOLE_NAME if wide else _LONGEST_WHOLE_NAME // 2):
        indent = "\n" + " " * (len(count) + 2)
        names = names.replace(", ", f",{indent}").replace(" and ", f"{indent}and ")
    return Text.assemble((f"{count}  ", Role.NAME), names)


def _sinks(key: KeyStatus) -> Text:
    lines = [Text.assemble(f"{shown(sink)} ", (state.value, SINK_ROLES[state])) for sink, state in key.sinks]
    return Text("\n").join(lines)


def _endpoint_table(endpoints: Sequence[EndpointStatus]) -> Table:
    table = new_table(
        [
            ("Endpoint", _fits((endpoint.ref.name for endpoint in endpoints), _LONGEST_ID)),
            ("Kind", True),
            ("Access", True),
            ("Keys", False),
            ("Foreign", False),
            ("Status", False),
        ]
    )
    longest = max((cells(name) for endpoint in endpoints for name in endpoint.own), default=0)
    table.columns[3].min_width = min(longest, _MOST_RESERVED) + 1  # a comma
    for endpoint in endpoints:
        name = Text.assemble((shown(endpoint.ref.name), Role.NAME))
        if endpoint.application is not None:
            name.append(f"\nin {shown(endpoint.application)}", Role.QUIET)
        if endpoint.alias:
            name.append(f"\n{shown(endpoint.alias)}", Role.QUIET)
        table.add_row(
            name,
            Text(endpoint.ref.kind.value, Role.QUIET),
            Text("PUBLIC", Role.DANGER) if endpoint.public else Text("protected", Role.GOOD),
            some_of(endpoint.own) or Text("-", Role.QUIET),
            Text(some_of(endpoint.foreign), Role.WARNING) if endpoint.foreign else Text("-", Role.QUIET),
            Text(shown(endpoint.status).lower(), Role.QUIET),
        )
    return table


def _footer(standing: Standing) -> Text:
    count = len(standing.foreign_keys)
    keys = "1 foreign key" if count == 1 else f"{count or 'No'} foreign keys"
    return Text(f"{keys} in the project{', not owned by this stack' if count else ''}.", Role.QUIET)
