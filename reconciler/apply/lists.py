"""One writer of lists at a time: the lock that all stacks of a project share while they write lists of keys.

A list of keys belongs to an endpoint, and binding one key writes all of it. The API has no ETag, so two stacks that
write one list at the same time each write back what they read, and one binding is gone. A stack's own lock keeps only
its own runs apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from reconciler.api import Fence
from reconciler.apply.run import Run
from reconciler.errors import Interrupted

PATIENCE = timedelta(minutes=45).total_seconds()
"""Seconds that a run waits for its turn at least: a holder that died blocks it for eleven minutes, and one whose task
hangs for thirty, unless `--task-timeout` says otherwise.
"""


@dataclass(frozen=True, slots=True)
class BothLocks:
    """The locks of the stack and of the lists, as one fence that asks the API no more than either alone.

    While lists are written, the lists' lock keeps all others off them, so `check` asks the API for that one. The
    stack's is judged by the clock: no other run takes it over before it expires. If someone deletes it in the portal,
    the run notices before its next write of another kind, and at the last look.
    """

    stack: Fence
    lists: Fence

    def check(self) -> None:
        """Ask the API for the lists' lock."""
        self.stack.keep_alive()
        self.stack.hold()
        self.lists.check()

    def hold(self) -> None:
        """Both last longer than a request."""
        self.stack.hold()
        self.lists.hold()

    def keep_alive(self) -> None:
        """Both are renewed when that is due."""
        self.stack.keep_alive()
        self.lists.keep_alive()


@contextmanager
def lists_locked(run: Run) -> Iterator[None]:
    """Hold the lock of the lists for a block, in which the run's fence is that of both locks.

    Raises LockHeld if others hold it for too long, LockLost if the stack's lock is lost meanwhile, Interrupted if the
    user asks to stop while the run waits for its turn, and whatever keeps the lock from being created.
    """
    if run.lists is None:
        yield
        return
    stack, api = run.fence, run.api

    def meanwhile() -> None:
        stack.keep_alive()
        if run.stop.is_set():
            raise Interrupted("Interrupted while waiting for the lock of the lists of keys.")

    with run.lists.held(timeout=max(PATIENCE, run.lock_timeout), meanwhile=meanwhile) as lists:
        stack.check()  # the waiting may have been longer than the stack's lock lives
        run.fence = BothLocks(stack, lists)
        run.api = api.fenced(run.fence)
        try:
            yield
        finally:
            run.fence, run.api = stack, api
