"""The port to the API: what keyform asks of it, in keyform's words."""

from __future__ import annotations

from typing import Protocol


class Fence(Protocol):
    """What keeps a write from crossing that of another run: the lock of the stack. All raise LockLost."""

    def check(self) -> None:
        """Ask whether it is still ours, and has time left."""
        ...

    def hold(self) -> None:
        """See by the clock alone that more of its life is left than a request may take."""
        ...

    def keep_alive(self) -> None:
        """Renew it when that is due, during a long wait."""
        ...
