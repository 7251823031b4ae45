"""The status as a page: what needs a look, what comes next, a timeline of generations, and who opens what.

It is one file that needs nothing else, no script and no font: it can be mailed, kept as a pipeline's artefact, or put
on an internal server. It is the same to the byte for the same view, and holds no secret, since the view has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reconciler import __version__
from reconciler.model import shift
from reconciler.plan.fields import duration, instant
from reconciler.report.html import NEWLINE, Html, join, page, tag
from reconciler.report.status import (
    EndpointStatus,
    Expiry,
    GenerationStatus,
    KeyState,
    KeyStatus,
    SinkState,
    StatusView,
)
from reconciler.report.status_matrix import draw_matrix
from reconciler.report.status_style import STYLE
from reconciler.report.status_timeline import LANE, choose_window, draw_axis, draw_key, style_lines, tell_what_comes
from reconciler.report.times import MONTHS, relative, span

MOST_NAMES = 8
MOST_EVENTS = 8
SOON = timedelta(days=30)
"""How far ahead the list of what comes next looks."""


def status_to_html(view: StatusView) -> str:
    """The whole page."""
    window = choose_window(view)
    sections = [
        _header(view),
        tag("main", join(_sections(view), "\n")),
        tag("footer", f"Written by keyform {__version__}. It shows names and times, and never a secret."),
    ]
    return page(f"{view.stack}: inference keys", STYLE + style_lines(window), *sections)


def _sections(view: StatusView) -> Iterator[Html]:
    yield _tiles(view)
    yield tag("div", _section("look", "Needs a look", _look(view)), _section("next", "Next", _next(view)), class_="two")
    yield _section("timeline", "Generations over time", _timeline(view))
    yield _section("matrix", "Who opens what", draw_matrix(view))
    yield _section("details", "In detail", join((_generations(view), _endpoints(view)), "\n"))


def _section(name: str, title: str, content: Html) -> Html:
    return tag("section", tag("h2", title, id=f"h-{name}"), NEWLINE, content, class_=name, aria_labelledby=f"h-{name}")


def _header(view: StatusView) -> Html:
    return tag(
        "header",
        tag("p", "Inference keys", class_="kicker"),
        tag("h1", view.stack),
        tag("p", f"Project {view.project}, as of ", _time(view.now, exact=True), class_="quiet"),
    )


# --- What there is ----------------------------------------------------------------------------------------------------


def _tiles(view: StatusView) -> Html:
    due = sum(1 for key in view.keys if key.next_rotation and key.next_rotation.due_at <= view.now)
    overlaps = sum(1 for key in view.keys for each in key.generations if each.is_in_overlap)
    near = len(view.expired) + len(view.expiring)
    bound = len({name for endpoint in view.with_foreign_keys for name in endpoint.foreign})
    unwanted = [endpoint for endpoint in view.public if not endpoint.is_meant_to_be_public]
    return tag(
        "dl",
        _tile("Keys", len(view.keys)),
        _tile("Rotation due", due, "warn"),
        _tile("In overlap", overlaps),
        _tile("Expired or soon", near, "bad" if view.expired else "warn"),
        _tile("Public endpoints", len(view.public), "bad" if unwanted else "warn"),
        _tile("Foreign keys here", bound, "warn"),
        class_="tiles",
    )


def _tile(name: str, count: int, kind: str = "") -> Html:
    return tag("div", tag("dt", name), tag("dd", str(count)), class_=kind if count and kind else False)


# --- What needs a look ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Finding:
    """Something of one kind, and what it holds for."""

    kind: str
    sentence: str
    names: tuple[str, ...]


def _look(view: StatusView) -> Html:
    found = [finding for finding in _findings(view) if finding.names]
    if not found:
        return tag("p", "Nothing: every key is published, in its sinks, and opens what the file says.", class_="well")
    return tag("ul", *(_show_finding(finding) for finding in found), class_="findings")


def _findings(view: StatusView) -> Iterator[_Finding]:
    """The worst first."""
    meant = [endpoint for endpoint in view.public if endpoint.is_meant_to_be_public]
    yield _Finding("bad", "Public, and the file does not say so", _addresses(set(view.public) - set(meant)))
    yield _Finding("bad", "Expired", tuple(view.with_expiry(key) for key in view.expired))
    yield _Finding("bad", "Revoked, and not yet cut", view.leaked)
    yield _Finding("bad", "Marked as this stack's, and not counted as its own: see plan", view.claims)
    yield _Finding("bad", "Declared, and not live", _in_state(view, KeyState.MISSING))
    yield _Finding("bad", "The secret is not in its sink", _in_sink_state(view, SinkState.LOST))
    yield _Finding(
        "warn", "Expires soon, and nothing rotates it", tuple(view.with_expiry(key) for key in view.expiring)
    )
    yield _Finding("warn", "A run ended while it published", _in_state(view, KeyState.PARTIAL))
    yield _Finding("warn", "Made, and not yet published", _in_state(view, KeyState.PENDING))
    yield _Finding("warn", "Live, and in no file", tuple(key.name for key in view.keys if not key.declared))
    yield _Finding(
        "warn",
        "Foreign keys open",
        tuple(f"{endpoint.ref} ({_some(endpoint.foreign, 3)})" for endpoint in view.with_foreign_keys),
    )
    yield _Finding("note", "Public, as the file says", _addresses(meant))
    yield _Finding("note", "Adopted: the secret is unknown until it rotates", _in_state(view, KeyState.ADOPTED))


_WORDS = {"bad": "Problem", "warn": "Warning", "note": "Note"}


def _show_finding(finding: _Finding) -> Html:
    return tag(
        "li",
        tag("span", _WORDS[finding.kind], class_=f"badge {finding.kind}"),
        " ",
        tag("strong", f"{finding.sentence}:"),
        " ",
        _some(finding.names, MOST_NAMES),
    )


def _addresses(endpoints: Iterable[EndpointStatus]) -> tuple[str, ...]:
    return tuple(sorted(str(endpoint.ref) for endpoint in endpoints))


def _in_state(view: StatusView, state: KeyState) -> tuple[str, ...]:
    return tuple(key.name for key in view.keys if key.state is state)


def _in_sink_state(view: StatusView, wanted: SinkState) -> tuple[str, ...]:
    return tuple(f"{key.name} ({sink})" for key in view.keys for sink, state in key.sinks if state is wanted)


def _some(names: Sequence[str], most: int) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


# --- What comes next --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class _Event:
    """Something that time brings about."""

    at: datetime
    name: str
    what: str


def _next(view: StatusView) -> Html:
    events = sorted(event for event in _events(view) if event.at <= shift(view.now, SOON))
    if not events:
        return tag("p", f"Nothing within {duration(SOON)}.", class_="quiet")
    items = [
        tag("li", _when(event.at, view.now), tag("span", tag("strong", event.name), f" {event.what}"))
        for event in events[:MOST_EVENTS]
    ]
    rest = len(events) - MOST_EVENTS
    more = [tag("p", f"and {rest} more within {duration(SOON)}", class_="quiet")] if rest > 0 else []
    return join((tag("ol", *items, class_="events"), *more))


def _events(view: StatusView) -> Iterator[_Event]:
    for key in view.keys:
        if key.next_rotation is not None:
            yield _Event(max(key.next_rotation.due_at, view.now), key.name, "rotates")
        for each in key.generations:
            if each.until is not None:
                yield _Event(max(each.until, view.now), key.name, f"overlap of g{each.generation} ends")
        if key.expiry in (Expiry.LATER, Expiry.SOON) and key.expires_at is not None and key.next_rotation is None:
            yield _Event(key.expires_at, key.live_name, "expires, and nothing rotates it")


def _when(at: datetime, now: datetime) -> Html:
    if at <= now:
        return tag("span", "at the next apply", class_="when due")
    return tag("time", relative(at, now), datetime=instant(at), title=instant(at), class_="when")


# --- The timeline -----------------------------------------------------------------------------------------------------


def _timeline(view: StatusView) -> Html:
    if not view.keys:
        return tag("p", "No keys: the file declares none, and none is live.", class_="quiet")
    window = choose_window(view)
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
            tag("div", *(tag("p", line, class_=kind or False) for kind, line in tell_what_comes(key, view.now))),
            class_="row",
        )
        for key in view.keys
    ]
    return join((hatch, axis, tag("ol", NEWLINE, join(rows, "\n"), NEWLINE, class_="rows"), _legend()), "\n")


_HATCH = (
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="stripe" width="2.5" height="6"/></pattern>'
)
_STATES = {
    KeyState.PUBLISHED: "ok",
    KeyState.PENDING: "warn",
    KeyState.ADOPTED: "note",
    KeyState.PARTIAL: "warn",
    KeyState.REVOKED: "bad",
    KeyState.EXPIRED: "bad",
    KeyState.MISSING: "bad",
}


def _name(key: KeyStatus) -> Html:
    number = f" g{key.generation}" if key.generation else ""
    parts = [
        tag("span", key.name, class_="name"),
        " ",
        tag("span", f"{key.state.value}{number}", class_=f"badge {_STATES[key.state]}"),
    ]
    if not key.declared:
        parts += [" ", tag("span", "not declared", class_="badge warn")]
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


def _generations(view: StatusView) -> Html:
    heads = ("Key", "Live name", "Phase", "Made", "Since", "Expires", "Overlap ends", "Bound to", "Sinks")
    rows = [_generation_row(key, each, view) for key in view.keys for each in key.generations]
    return _details(f"All {len(rows)} generations" if len(rows) != 1 else "The one generation", heads, rows)


def _generation_row(key: KeyStatus, each: GenerationStatus, view: StatusView) -> Html:
    left = f"{span(each.until - view.now)} left" if each.until and each.until > view.now else ""
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


def _endpoints(view: StatusView) -> Html:
    heads = ("Endpoint", "Access", "The file says", "Keys of this stack", "Foreign keys", "Status")
    rows = [
        tag(
            "tr",
            tag("th", str(endpoint.ref), f" (in {endpoint.application})" if endpoint.application else "", scope="row"),
            tag("td", tag("span", "PUBLIC", class_="badge bad") if endpoint.public else "needs a key"),
            tag("td", _said(endpoint)),
            tag("td", ", ".join(endpoint.own) or "none"),
            tag("td", ", ".join(endpoint.foreign) or "none"),
            tag("td", endpoint.status.lower()),
        )
        for endpoint in view.endpoints
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
