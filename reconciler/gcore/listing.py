"""Whole lists out of pages: complete, or an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reconciler.effects import Effects
from reconciler.errors import UnexpectedAnswer
from reconciler.gcore.events import ApiEvent, EventKind
from reconciler.gcore.exchange import Exchange
from reconciler.gcore.wire import Page
from reconciler.workers import side_by_side

Item = TypeVar("Item")

READINGS = 5
"""How often a list is read before giving up on one that keeps changing."""
FIRST_WAIT = 0.2
"""Seconds; doubled each time."""

MOST_PAGES = 1000
"""A million keys; a count that asks for more is nonsense."""

ReadPage = Callable[[int, int], Page[Item]]
"""The page of `limit` objects from `offset` on."""


def read_whole_list(
    read_page: ReadPage[Item],
    name_of: Callable[[Item], str],
    *,
    what: str,
    page_limit: int | None,
    exchange: Exchange,
    effects: Effects,
    workers: int,
) -> tuple[Item, ...]:
    """Every object of a list once, in order of name.

    The first page tells how many there are; the others are read side by side. What is created or deleted meanwhile
    moves objects between pages: one may come twice, or never. So the objects are told apart by name and counted, and
    the list is read again when it is not whole. Raises UnexpectedAnswer when it never is.
    """
    wait = FIRST_WAIT
    for reading in range(1, READINGS + 1):
        pages = _read_pages(read_page, what=what, page_limit=page_limit, workers=workers)
        by_name: dict[str, Item] = {}
        for page in pages:
            for item in page.items:
                by_name.setdefault(name_of(item), item)
        if all(page.count == len(by_name) for page in pages):
            return tuple(by_name[name] for name in sorted(by_name))
        if reading < READINGS:
            exchange.tell(ApiEvent(EventKind.RELIST, "GET", what, reading, wait, "the list changed while it was read"))
            effects.sleep(wait)
            wait *= 2
    raise UnexpectedAnswer(
        f"The API's list of {what} never held as many as it said, in {READINGS} readings.",
        way_out="Someone may be changing many of them: run keyform again when that is done.",
    )


def _read_pages(read_page: ReadPage[Item], *, what: str, page_limit: int | None, workers: int) -> list[Page[Item]]:
    if page_limit is None:
        return [read_page(0, 0)]
    first = read_page(0, page_limit)
    if not first.items:
        return [first]
    # A server that gives less than it is asked for is asked for no more than it gives.
    step = min(page_limit, len(first.items))
    if first.count > step * MOST_PAGES:
        raise UnexpectedAnswer(
            f"The API says that it has {first.count} {what}, and gives {step} at a time: more than keyform reads.",
            way_out="Check that GCORE_BASE_URL is right.",
        )

    offsets = range(step, first.count, step)
    if not offsets:
        return [first]

    def read_from(offset: int) -> Page[Item]:
        return read_page(offset, step)

    return [first, *side_by_side(read_from, offsets, workers)]
