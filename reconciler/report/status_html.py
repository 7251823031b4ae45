"""The status as a page: what needs a look, what comes next, a timeline of generations, and who opens what.

It is one file that needs nothing else, no script and no font: it can be mailed, kept as a pipeline's artefact, or put
on an internal server. It is the same to the byte for the same standing, and holds no secret, since that has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reconciler import __version__
from reconciler.model import shift
from reconciler.plan.fields import duration, instant
from reconciler.plan.standing import EndpointStatus, Expiry, GenerationStatus, KeyState, KeyStatus, SinkState, Standing
from reconciler.report.html import NEWLINE, Html, join, page, tag
from reconciler.report.page_style import as_role
from reconciler.report.roles import Role
from reconciler.report.status_matrix import draw_matrix
from reconciler.report.status_style import STYLE
from reconciler.report.status_timeline import LANE, choose_window, draw_axis, draw_key, style_lines, tell_what_comes
from reconciler.report.status_words import KEY_ROLES, tell_expiry
from reconciler.report.times import MONTHS, relative, span

MOST_NAMES = 8
MOST_EVENTS = 8
SOON = timedelta(days=30)
"""How far ahead the list of coming events looks."""


def status_to_html(standing: Standing) -> str:
    """The whole page."""
    window = choose_window(standing)
    sections = [
        _header(standing),
        tag("main", join(_sections(standing), "\n")),
        tag("footer", f"Written by keyform {__version__}. It contains no secrets."),
    ]
    return page(f"{standing.stack}: inference keys", STYLE + style_lines(window), *sections)


def _sections(standing: Standing) -> Iterator[Html]:
    yield _tiles(standing)
    yield tag(
        "div",
        _section("look", "Needs a look", _look(standing)),
        _section("next", "Next", _next(standing)),
        class_="two",
    )
    yield _section("timeline", "Generations over time", _timeline(standing))
    yield _section("matrix", "Bindings", draw_matrix(standing))
    yield _section("details", "In detail", join((_generations(standing), _endpoints(standing)), "\n"))


def _section(name: str, title: str, content: Html) -> Html:
    return tag("section", tag("h2", title, id=f"h-{name}"), NEWLINE, content, class_=name, aria_labelledby=f"h-{name}")


def _header(standing: Standing) -> Html:
    return tag(
        "header",
        tag("p", "Inference keys", class_="kicker"),
        tag("h1", standing.stack),
        tag("p", f"Project {standing.project}, as of ", _time(standing.now, exact=True), class_=as_role(Role.QUIET)),
    )


# --- What there is ----------------------------------------------------------------------------------------------------


def _tiles(standing: Standing) -> Html:
    due = sum(1 for key in standing.keys if key.next_rotation and key.next_rotation.is_due(standing.now))
    overlaps = sum(1 for key in standing.keys for each in key.generations if each.is_in_overlap)
    near = len(standing.expired) + len(standing.expiring)
    bound = len({name for endpoint in standing.with_foreign_keys for name in endpoint.foreign})
    unwanted = [endpoint for endpoint in standing.public if not endpoint.is_meant_to_be_public]
    return tag(
        "dl",
        _tile("Keys", len(standing.keys)),
        _tile("Rotation due", due, Role.WARNING),
        _tile("In overlap", overlaps),
        _tile("Expired or soon", near, Role.DANGER if standing.expired else Role.WARNING),
        _tile("Public endpoints", len(standing.public), Role.DANGER if unwanted else Role.WARNING),
        _tile("Foreign keys here", bound, Role.WARNING),
        class_="tiles",
    )


def _tile(name: str, count: int, role: Role = Role.PLAIN) -> Html:
    return tag("div", tag("dt", name), tag("dd", str(count)), class_=as_role(role if count else Role.PLAIN))


# --- What needs a look ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Finding:
    """Something of one kind, and the names that it is about."""

    role: Role
    sentence: str
    names: tuple[str, ...]


def _look(standing: Standing) -> Html:
    found = [finding for finding in _findings(standing) if finding.names]
    if not found:
        return tag("p", "Nothing: every key is published, saved in its sinks, and bound as declared.", class_="well")
    return tag("ul", *(_show_finding(finding) for finding in found), class_="findings")


def _findings(standing: Standing) -> Iterator[_Finding]:
    """The worst first."""
    meant = [endpoint for endpoint in standing.public if endpoint.is_meant_to_be_public]
    yield _Finding(Role.DANGER, "Public, but not declared `auth: open`", _addresses(set(standing.public) - set(meant)))
    yield _Finding(Role.DANGER, "Expired", tuple(tell_expiry(key, standing.now) for key in standing.expired))
    yield _Finding(Role.DANGER, "Revoked, but still working", standing.leaked)
    yield _Finding(Role.WARNING, "Not active according to the API", standing.inactive)
    yield _Finding(Role.DANGER, "Has an unverified marker of this stack: see plan", standing.claims)
    yield _Finding(Role.DANGER, "Held up: see plan", standing.held_up)
    troubles = tuple(f"{trouble.path}: {trouble.message}" for trouble in standing.troubles)
    yield _Finding(Role.DANGER, "Could not be read, or belongs to another stack", troubles)
    yield _Finding(Role.WARNING, "Endpoints that the API does not show", standing.unseen)
    repairs = tuple(f"{note.address}: {note.sentence}" for note in standing.repairs)
    yield _Finding(Role.WARNING, "To be repaired by the next apply", repairs)
    yield _Finding(Role.DANGER, "Deleted outside keyform", _in_state(standing, KeyState.DELETED))
    yield _Finding(Role.DANGER, "The sink does not exist", _in_sink_state(standing, SinkState.ABSENT))
    yield _Finding(Role.DANGER, "The secret is not in its sink", _in_sink_state(standing, SinkState.LOST))
    yield _Finding(Role.WARNING, "The sink has moved", _in_sink_state(standing, SinkState.ELSEWHERE))
    yield _Finding(
        Role.WARNING,
        "Expires soon, without a rotation",
        tuple(tell_expiry(key, standing.now) for key in standing.expiring),
    )
    yield _Finding(Role.WARNING, "Does not exist yet", _in_state(standing, KeyState.MISSING))
    yield _Finding(Role.WARNING, "A run was interrupted while publishing", _in_state(standing, KeyState.PARTIAL))
    yield _Finding(Role.WARNING, "Created, but not published yet", _in_state(standing, KeyState.PENDING))
    yield _Finding(Role.WARNING, "Live, but not declared", tuple(key.name for key in standing.keys if not key.declared))
    yield _Finding(
        Role.WARNING,
        "Foreign keys are bound",
        tuple(f"{endpoint.ref} ({_some(endpoint.foreign, 3)})" for endpoint in standing.with_foreign_keys),
    )
    yield _Finding(Role.NOTE, "Public, as declared", _addresses(meant))
    yield _Finding(
        Role.NOTE, "Adopted: keyform knows the secret after the next rotation", _in_state(standing, KeyState.ADOPTED)
    )


_WORDS = {Role.DANGER: "Problem", Role.WARNING: "Warning", Role.NOTE: "Note"}


def _show_finding(finding: _Finding) -> Html:
    return tag(
        "li",
        tag("span", _WORDS[finding.role], class_=as_role(finding.role, "badge")),
        " ",
        tag("strong", f"{finding.sentence}:"),
        " ",
        _some(finding.names, MOST_NAMES),
    )


def _addresses(endpoints: Iterable[EndpointStatus]) -> tuple[str, ...]:
    return tuple(sorted(str(endpoint.ref) for endpoint in endpoints))


def _in_state(standing: Standing, state: KeyState) -> tuple[str, ...]:
    return tuple(key.name for key in standing.keys if key.state is state)


def _in_sink_state(standing: Standing, wanted: SinkState) -> tuple[str, ...]:
    return tuple(f"{key.name} ({sink})" for key in standing.keys for sink, state in key.sinks if state is wanted)


def _some(names: Sequence[str], most: int) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


# --- What comes next --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class _Event:
    """Something that happens at a known time."""

    at: datetime
    name: str
    what: str


def _next(standing: Standing) -> Html:
    events = sorted(event for event in _events(standing) if event.at <= shift(standing.now, SOON))
    if not events:
        return tag("p", f"Nothing within {duration(SOON)}.", class_=as_role(Role.QUIET))
    items = [
        tag("li", _when(event.at, standing.now), tag("span", tag("strong", event.name), f" {event.what}"))
        for event in events[:MOST_EVENTS]
    ]
    rest = len(events) - MOST_EVENTS
    more = [tag("p", f"and {rest} more within {duration(SOON)}", class_=as_role(Role.QUIET))] if rest > 0 else []
    return join((tag("ol", *items, class_="events"), *more))


def _events(standing: Standing) -> Iterator[_Event]:
    for key in standing.keys:
        if key.next_rotation is not None:
            yield _Event(max(key.next_rotation.due_at, standing.now), key.name, "rotates")
        for each in key.generations:
            if each.until is not None:
                yield _Event(max(each.until, standing.now), key.name, f"overlap of g{each.generation} ends")
        if key.expiry in (Expiry.LATER, Expiry.SOON) and key.expires_at is not None and key.next_rotation is None:
            yield _Event(key.expires_at, key.live_name, "expires, without a rotation")


def _when(at: datetime, now: datetime) -> Html:
    if at <= now:
        return tag("span", "at the next apply", class_=as_role(Role.WARNING, "when"))
    return tag("time", relative(at, now), datetime=instant(at), title=instant(at), class_="when")


# --- The timeline -----------------------------------------------------------------------------------------------------


def _timeline(standing: Standing) -> Html:
    if not standing.keys:
        return tag("p", "No keys: the file declares none, and none is live.", class_=as_role(Role.QUIET))
    window = choose_window(standing)
    hatch = tag(
        "svg",
        tag("defs", Html(_HATCH)),
        width=0,
        height=0,
        class_="vh",
        aria_hidden="true",
        focusable="false",
    )
    axis = tag("div", tag("div"), tag("div", draw_axis(window)), tag("div"), class_="row head", aria_hidden="true")
    rows = [
        tag(
            "li",
            tag("div", _name(key), class_="who"),
            tag("div", draw_key(key, window), class_="lane"),
            tag("div", *(tag("p", line, class_=as_role(role)) for role, line in tell_what_comes(key, standing.now))),
            class_="row",
        )
        for key in standing.keys
    ]
    return join((hatch, axis, tag("ol", NEWLINE, join(rows, "\n"), NEWLINE, class_="rows"), _legend()), "\n")


_HATCH = (
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="stripe" width="2.5" height="6"/></pattern>'
)


def _name(key: KeyStatus) -> Html:
    number = f" g{key.generation}" if key.generation else ""
    parts = [
        tag("span", key.name, class_=as_role(Role.NAME)),
        " ",
        tag("span", f"{key.state.value}{number}", class_=as_role(KEY_ROLES[key.state], "badge")),
    ]
    if not key.declared:
        what = f"now {key.heir}" if key.heir else "not declared"
        parts += [" ", tag("span", what, class_=as_role(Role.WARNING, "badge"))]
    if key.description:
        parts.append(tag("p", key.description, class_="about"))
    return join(parts)


def _legend() -> Html:
    """What bars and marks mean."""
    bars = (
        ("bar current", "valid"),
        ("bar current ahead", "still to come"),
        ("bar old", "replaced"),
        ("bar pending", "not yet published"),
        ("bar dead", "expired"),
        ("bar next", "next generation"),
    )
    items = [_legend_item(tag("rect", class_=kind, x=1, y=3, width=28, height=LANE, rx=3), word) for kind, word in bars]
    hatched = tag("rect", class_="bar old", x=1, y=3, width=28, height=LANE, rx=3) + tag(
        "rect", class_="overlap", fill="url(#hatch)", x=1, y=3, width=28, height=LANE, rx=3
    )
    items.append(_legend_item(Html(hatched), "overlap: both are valid"))
    items.append(_legend_item(tag("path", class_="diamond", d="M15 1 22 8 15 15 8 8z"), "next rotation"))
    items.append(_legend_item(tag("path", class_="cross", d="M10 3 20 13M20 3 10 13"), "expiry"))
    return tag("ul", *items, class_="legend")


def _legend_item(shape: Html, word: str) -> Html:
    return tag("li", tag("svg", shape, width=30, height=16, aria_hidden="true", focusable="false"), word)


# --- In detail --------------------------------------------------------------------------------------------------------


def _generations(standing: Standing) -> Html:
    heads = ("Key", "Live name", "Phase", "Made", "Since", "Expires", "Overlap ends", "Bound to", "Sinks")
    rows = [_generation_row(key, each, standing) for key in standing.keys for each in key.generations]
    return _details(f"All {len(rows)} generations" if len(rows) != 1 else "The one generation", heads, rows)


def _generation_row(key: KeyStatus, each: GenerationStatus, standing: Standing) -> Html:
    left = f"{span(each.until - standing.now)} left" if each.until and each.until > standing.now else ""
    sinks = ", ".join(f"{sink}: {state.value}" for sink, state in key.sinks) if each.is_current else ""
    return tag(
        "tr",
        tag("th", key.name, scope="row"),
        tag("td", each.live_name),
        tag("td", each.phase.value + (", current" if each.is_current else "")),
        tag("td", _time(each.created_at)),
        tag("td", _time(each.since)),
        tag("td", _time(each.expires_at) if each.expires_at else "never"),
        tag("td", _time(each.until) if each.until else "", f" ({left})" if left else ""),
        tag("td", ", ".join(str(ref) for ref in each.bound_to) or "nowhere"),
        tag("td", sinks),
    )


def _beside(endpoint: EndpointStatus) -> str:
    return f"in {endpoint.application}" if endpoint.application else endpoint.alias


def _endpoints(standing: Standing) -> Html:
    heads = ("Endpoint", "Access", "The file says", "Live keys of this stack", "Foreign keys", "Status")
    rows = [
        tag(
            "tr",
            tag("th", str(endpoint.ref), f" ({beside})" if (beside := _beside(endpoint)) else "", scope="row"),
            tag(
                "td", tag("span", "PUBLIC", class_=as_role(Role.DANGER, "badge")) if endpoint.public else "needs a key"
            ),
            tag("td", _said(endpoint)),
            tag("td", ", ".join(endpoint.own) or "none"),
            tag("td", ", ".join(endpoint.foreign) or "none"),
            tag("td", endpoint.status.lower()),
        )
        for endpoint in standing.endpoints
    ]
    return _details(f"All {len(rows)} endpoints" if len(rows) != 1 else "The one endpoint", heads, rows)


def _said(endpoint: EndpointStatus) -> str:
    parts = [f"auth: {endpoint.auth.value}"] if endpoint.auth else []
    return ", ".join([*parts, *(["exclusive"] if endpoint.exclusive else [])]) or "nothing"


def _details(title: str, heads: Iterable[str], rows: Sequence[Html]) -> Html:
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
        NEWLINE,
        tag("tbody", join(rows, "\n")),
        class_="plain",
    )
    frame = tag("div", table, class_="frame", role="region", aria_label=title, tabindex=0)
    return tag("details", tag("summary", title), frame)


def _time(at: datetime, *, exact: bool = False) -> Html:
    moment = at.astimezone(UTC)
    shown = f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"
    if exact:
        shown += f", {moment:%H:%M:%S} UTC"
    return tag("time", shown, datetime=instant(at), title=instant(at))
