"""The timeline of a status page: a lane for each generation, what was, the present, and what is to come.

Everything is placed in percent of the lane's width, so that the same markup fits a phone and a wide screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reconciler.model import Phase, shift
from reconciler.plan.due import Due
from reconciler.plan.standing import GenerationStatus, KeyState, KeyStatus, Standing
from reconciler.report.html import Html, join, tag
from reconciler.report.roles import Role
from reconciler.report.status_words import EXPIRY_ROLES
from reconciler.report.times import MONTHS, relative, span

DAY = timedelta(days=1)
SHORTEST, LONGEST = 14 * DAY, 400 * DAY
"""How far a timeline reaches to each side at least and at most; what lies beyond is cut off at its edge."""
MOST_TICKS = 7
LONGEST_WITHOUT_YEAR = 330 * DAY
"""In a longer window two ticks could have the same month."""
LANE, GAP, MARGIN = 10, 4, 8
"""Pixels. A mark reaches up to 9 of them to each side: lanes and axis keep that free beside what they show."""


@dataclass(frozen=True, slots=True)
class Window:
    """The span of time that is shown."""

    start: datetime
    now: datetime
    end: datetime

    def percent(self, instant: datetime) -> float:
        """The place of an instant; what lies beyond an edge is drawn on it."""
        share = (instant - self.start) / (self.end - self.start)
        return round(min(max(share, 0.0), 1.0) * 100, 2)

    def shows(self, instant: datetime) -> bool:
        """Whether it lies within."""
        return self.start <= instant <= self.end


def choose_window(standing: Standing) -> Window:
    """As much of past and future as most keys need; a single old one does not squeeze all others."""
    past = [standing.now - each.created_at for key in standing.keys for each in key.generations]
    future = [instant - standing.now for key in standing.keys for instant in _ahead(key)]
    before, after = _reach(past), _reach([length for length in future if length > timedelta(0)])
    return Window(
        shift(standing.now, -max(before, after / 3)), standing.now, shift(standing.now, max(after, before / 3))
    )


def _ahead(key: KeyStatus) -> Iterator[datetime]:
    if key.next_rotation is not None:
        yield shift(key.next_rotation.due_at, key.overlap)
    for each in key.generations:
        if each.until is not None:
            yield each.until
        elif each.expires_at is not None:
            yield each.expires_at


def _reach(lengths: Sequence[timedelta]) -> timedelta:
    """A little more than nine of ten need."""
    ordered = sorted(lengths)
    needed = ordered[(len(ordered) - 1) * 9 // 10] * 1.1 if ordered else SHORTEST
    return min(max(needed, SHORTEST), LONGEST)


# --- The axis ---------------------------------------------------------------------------------------------------------


def ticks(window: Window) -> list[tuple[datetime, str]]:
    """Instants worth a line, and their labels: days, weeks, months or years, whichever are few enough."""
    for step in (1, 2, 7, 14):
        found = list(_days(window, step))
        if len(found) <= MOST_TICKS:
            return [(instant, f"{instant.day} {MONTHS[instant.month - 1]}") for instant in found]
    found = []
    for months in (1, 2, 3, 6, 12):
        found = list(_months(window, months))
        if len(found) <= MOST_TICKS:
            break
    names_repeat = window.end - window.start > LONGEST_WITHOUT_YEAR
    return [(instant, _month(instant, with_year=names_repeat or not number)) for number, instant in enumerate(found)]


def _days(window: Window, step: int) -> Iterator[datetime]:
    instant = window.start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    while instant <= window.end:
        if instant.toordinal() % step == 1 % step:  # weeks begin on Mondays
            yield instant
        instant += DAY


def _months(window: Window, step: int) -> Iterator[datetime]:
    start = window.start.astimezone(UTC)
    count = start.year * 12 + start.month
    while (instant := datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)) <= window.end:
        if (count % 12) % step == 0:
            yield instant
        count += 1


def _month(instant: datetime, *, with_year: bool) -> str:
    name = MONTHS[instant.month - 1]
    return f"{name} {instant.year}" if with_year or instant.month == 1 else name


def draw_axis(window: Window) -> Html:
    """The labels above the lanes; the lists say the same in words."""
    now = window.percent(window.now)
    marks = [tag("text", "now", class_="now", x=f"{now}%", y=11)]
    for number, (instant, label) in enumerate(ticks(window)):
        place = window.percent(instant)
        if 4 <= place <= 96:  # a label at the edge would be cut
            minor = " minor" if number % 2 else ""
            marks.append(tag("text", label, class_=f"tick{minor}", x=f"{place}%", y=26))
    return tag("svg", *marks, class_="axis", width="100%", height=32, aria_hidden="true", focusable="false")


def style_lines(window: Window) -> str:
    """CSS for the lines that run through all lanes: the present, and the axis's ticks."""
    now = window.percent(window.now)
    lines = [_line(now, "var(--now)", 2)]
    lines += [_line(window.percent(instant), "var(--line)", 1) for instant, _ in ticks(window)]
    return f".lane{{background-image:{','.join(lines)}}}"


def _line(place: float, colour: str, width: int) -> str:
    half = width / 2
    a, b = f"calc({place}% - {half}px)", f"calc({place}% + {half}px)"
    return f"linear-gradient(to right,transparent {a},{colour} {a},{colour} {b},transparent {b})"


# --- A key's lanes ----------------------------------------------------------------------------------------------------


def draw_key(key: KeyStatus, window: Window) -> Html:
    """The key's generations, one lane each, and below them the one that the next rotation will create."""
    lanes = [_draw_generation(key, each, window, number) for number, each in enumerate(key.generations)]
    due = key.next_rotation
    if due is not None and window.shows(due.due_at):
        lanes.append(_draw_next(max(due.due_at, window.now), window, len(lanes)))
    height = MARGIN + max(1, len(lanes)) * (LANE + GAP) - GAP + MARGIN
    return tag(
        "svg",
        tag("title", describe(key, window.now)),
        *lanes,
        width="100%",
        height=height,
        role="img",
        focusable="false",
    )


def _draw_generation(key: KeyStatus, each: GenerationStatus, window: Window, lane: int) -> Html:
    y = MARGIN + lane * (LANE + GAP)
    end = _end(key, each, window.now)
    kind = _kind(key, each)
    parts = [_bar(window, each.created_at, min(end or window.now, window.now), y, f"bar {kind}")]
    if each.expires_at is not None and each.expires_at < window.now:
        parts.append(_bar(window, each.expires_at, window.now, y, "bar dead"))
    elif end is None or end > window.now:
        parts.append(_bar(window, window.now, end or window.end, y, f"bar {kind} ahead"))
    for start, stop in _overlaps(key, each, end, window):
        parts.append(_bar(window, start, stop, y, "overlap", fill="url(#hatch)"))
    if each.expires_at is not None and end is not None and window.now <= end < each.expires_at:
        parts.append(_fuse(window, end, each.expires_at, y))
    if each.expires_at is not None and window.shows(each.expires_at):
        parts.append(_mark(window, each.expires_at, y, "cross", "M-5-5 5 5M5-5-5 5"))
    return join(parts)


def _kind(key: KeyStatus, each: GenerationStatus) -> str:
    if each.phase is Phase.REVOKED:
        return "revoked"
    if each.phase in (Phase.PENDING, Phase.PARTIAL):
        return "pending"
    return "old" if not each.is_current or each.fate.goes or not key.declared else "current"


def _end(key: KeyStatus, each: GenerationStatus, now: datetime) -> datetime | None:
    """When it goes, as far as that is known; None for never."""
    if each.fate.goes:
        return now
    ends = [each.expires_at, each.until]
    if each.is_current and key.next_rotation is not None:
        ends.append(shift(max(key.next_rotation.due_at, now), key.overlap))
    return min((end for end in ends if end is not None), default=None)


def _overlaps(
    key: KeyStatus, each: GenerationStatus, end: datetime | None, window: Window
) -> Iterator[tuple[datetime, datetime]]:
    """When another generation was, or will be, valid beside it."""
    if end is None:
        return
    newer = [other.since for other in key.generations if other.generation > each.generation]
    if newer and each.until is not None:
        yield min(newer), end
    elif each.is_current and key.next_rotation is not None:
        yield max(key.next_rotation.due_at, window.now), end


def _draw_next(due: datetime, window: Window, lane: int) -> Html:
    y = MARGIN + lane * (LANE + GAP)
    return join((_bar(window, due, window.end, y, "bar next"), _mark(window, due, y, "diamond", "M0-7 7 0 0 7-7 0z")))


def _bar(window: Window, start: datetime, stop: datetime, y: int, kind: str, *, fill: str = "") -> Html:
    left, right = window.percent(start), window.percent(stop)
    if right <= left:
        return Html("")
    attributes = {"fill": fill} if fill else {}
    return tag(
        "rect", class_=kind, x=f"{left}%", y=y, width=f"{round(right - left, 2)}%", height=LANE, rx=3, **attributes
    )


def _fuse(window: Window, start: datetime, stop: datetime, y: int) -> Html:
    """From the end that is planned to the expiry that would come if nobody applied."""
    middle = y + LANE // 2
    left, right = window.percent(start), window.percent(stop)
    return tag("line", class_="fuse", x1=f"{left}%", y1=middle, x2=f"{right}%", y2=middle)


def _mark(window: Window, instant: datetime, y: int, kind: str, path: str) -> Html:
    place = tag("path", class_=kind, d=path)
    return tag("svg", place, x=f"{window.percent(instant)}%", y=y + LANE // 2, overflow="visible")


# --- In words ---------------------------------------------------------------------------------------------------------


def describe(key: KeyStatus, now: datetime) -> str:
    """What the lanes show, as one sentence for each generation."""
    if not key.generations:
        return f"{key.name}: no generation is live."
    told = [_tell(each, now) for each in key.generations]
    if key.next_rotation is not None:
        told.append(tell_rotation(key.next_rotation, now))
    return f"{key.name}: {'; '.join(told)}."


def _tell(each: GenerationStatus, now: datetime) -> str:
    parts = [f"generation {each.generation} {each.phase.value}, made {relative(each.created_at, now)}"]
    if each.until is not None:
        parts.append(f"in overlap for {span(each.until - now)}" if each.until > now else "to retire")
    elif each.fate.goes:
        parts.append(f"to {each.fate.value}")
    if each.expires_at is not None:
        word = "expires" if each.expires_at > now else "expired"
        parts.append(f"{word} {relative(each.expires_at, now)}")
    return ", ".join(parts)


def tell_rotation(due: Due, now: datetime) -> str:
    """`rotates in 57 days`, `rotation is due`."""
    return "rotation is due" if due.is_due(now) else f"rotates {relative(due.due_at, now)}"


def tell_what_comes(key: KeyStatus, now: datetime) -> list[tuple[Role, str]]:
    """Coming events, as lines next to the lanes, each with its role."""
    lines: list[tuple[Role, str]] = []
    if key.next_rotation is not None:
        role = Role.WARNING if key.next_rotation.is_due(now) else Role.PLAIN
        lines.append((role, tell_rotation(key.next_rotation, now)))
    if key.expires_at is not None:
        word = "expires" if key.expires_at > now else "expired"
        lines.append((EXPIRY_ROLES[key.expiry], f"{word} {relative(key.expires_at, now)}"))
    lines += [
        (Role.QUIET, f"g{each.generation} valid for {span(each.until - now)} more")
        for each in key.others
        if each.until is not None and each.until > now
    ]
    lines += [(Role.QUIET, f"g{each.generation} to {each.fate.value}") for each in key.generations if each.fate.goes]
    if not lines and key.state not in (KeyState.MISSING, KeyState.DELETED):
        lines.append((Role.QUIET, "neither rotates nor expires"))
    return lines
