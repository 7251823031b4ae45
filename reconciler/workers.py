"""Work side by side on a few threads, or one after the other on none, so that a run can be made repeatable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def side_by_side(function: Callable[[Item], Outcome], items: Sequence[Item], workers: int) -> list[Outcome]:
    """What the function gives for each item, in the items' order.

    With one worker, or one item, everything happens in order in the calling thread. When one fails, those that have
    not begun are called off, and the first failure in the items' order is raised.
    """
    if workers <= 1 or len(items) <= 1:
        return [function(item) for item in items]
    pool = ThreadPoolExecutor(max_workers=min(workers, len(items)), thread_name_prefix="keyform")
    try:
        return list(pool.map(function, items))
    finally:
        # Nobody waits for the others when one has failed, or when the user has interrupted them.
        pool.shutdown(wait=False, cancel_futures=True)
