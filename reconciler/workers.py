"""Work in parallel on a few threads, or one after the other on none, so that a run can be made repeatable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

ATTENTION = 0.5
"""Seconds after which a waiting thread wakes up."""


def side_by_side(function: Callable[[Item], Outcome], items: Sequence[Item], workers: int) -> list[Outcome]:
    """The function's result for each item, in the items' order.

    With one worker, or one item, everything happens in order in the calling thread. When one fails, those that have not
    begun are cancelled, and the first failure in the items' order is raised.
    """
    if workers <= 1 or len(items) <= 1:
        return [function(item) for item in items]
    pool = ThreadPoolExecutor(max_workers=min(workers, len(items)), thread_name_prefix="keyform")
    waits = True
    try:
        futures = [pool.submit(function, item) for item in items]
        return [_await(future) for future in futures]
    except KeyboardInterrupt:
        waits = False  # what is in flight may wait for an answer that never comes
        raise
    finally:
        pool.shutdown(wait=waits, cancel_futures=True)


def _await(future: Future[Outcome]) -> Outcome:
    """Its result.

    Python runs signal handlers in the main thread, and one that arrives in the instant before a wait without an end
    would only be noticed after it.
    """
    while not future.done():
        wait([future], timeout=ATTENTION)
    return future.result()
