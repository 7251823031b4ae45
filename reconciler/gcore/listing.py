"""Whole lists out of pages: complete, or an error."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from reconciler.effects import Effects
from reconciler.errors import UnexpectedAnswer
from reconciler.gcore.events import ApiEvent, EventKind
from reconciler.gcore.exchange import Exchange
from reconciler.gcore.wire import Entry, Page
from reconciler.workers import side_by_side

Item = TypeVar("Item")

READINGS = 5
"""How often a list is read before giving up on one that keeps changing."""
FIRST_WAIT = 0.2
"""Seconds; doubled each time."""

MOST_PAGES = 1000
"""A million keys; a larger count is nonsense."""
LONGEST_LIST = 256 * 1024 * 1024
"""Bytes of all the answers that make up one reading of a list."""

ReadPage = Callable[[int, int], Page[Item]]
"""The page of `limit` objects from `offset` on."""


def read_whole_list(
    read_page: ReadPage[Item],
    *,
    what: str,
    page_limit: int | None,
    exchange: Exchange,
    effects: Effects,
    workers: int,
) -> tuple[Entry[Item], ...]:
    """Every object of a list once, in order of name.

    The first page gives the count; the others are read in parallel. What is created or deleted meanwhile moves objects
    between pages: an object may appear twice, or be missed. So objects are counted by id, and the list is read
    again if it is not whole. Raises UnexpectedAnswer if it never is.
    """
    wait = FIRST_WAIT
    for reading in range(1, READINGS + 1):
        pages = _read_pages(read_page, what=what, page_limit=page_limit, workers=workers)
        by_id: dict[str, Entry[Item]] = {}
        for page in pages:
            for entry in page.entries:
                by_id.setdefault(entry.id, entry)
        if all(page.count == len(by_id) for page in pages):
            return tuple(sorted(by_id.values(), key=lambda entry: (entry.name, entry.id)))
        if reading < READINGS:
            exchange.tell(ApiEvent(EventKind.RELIST, "GET", what, reading, wait, "the list changed while it was read"))
            effects.sleep(wait)
            wait *= 2
    raise UnexpectedAnswer(
        f"The API's list of {what} did not match its own count in {READINGS} readings.",
        way_out="Someone may be changing it: run keyform again later.",
    )


def _read_pages(read_page: ReadPage[Item], *, what: str, page_limit: int | None, workers: int) -> list[Page[Item]]:
    if page_limit is None:
        return [read_page(0, 0)]
    first = read_page(0, page_limit)
    if not first.entries or len(first.entries) == first.count:
        return [first]
    if len(first.entries) > page_limit:
        raise _too_much(f"returns more than the {page_limit} {what} requested, but not all of them")
    # If a server gives less than the limit, later requests ask for no more than it gives.
    step = min(page_limit, len(first.entries))
    if first.count > step * MOST_PAGES:
        said = first.count if first.count < 10**12 else "over a trillion"
        raise _too_much(f"says that it has {said} {what}, and returns {step} at a time: more than keyform reads")
    guard, sizes = threading.Lock(), [first.size]

    def read_from(offset: int) -> Page[Item]:
        page = read_page(offset, step)
        with guard:
            sizes.append(page.size)
            size = sum(sizes)
        if len(page.entries) > step:
            raise _too_much(f"returns more than the {step} {what} requested")
        if size > LONGEST_LIST:
            raise _too_much(f"returns a list of {what} that is longer than keyform reads")
        return page

    return [first, *side_by_side(read_from, range(step, first.count, step), workers)]


def _too_much(finding: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"The API {finding}.", way_out="Check that GCORE_BASE_URL is right.")
