"""The keys of others on the deployment: which came and went while a live test ran, and which its own writes took off.

A write of v3 carries the whole list. Only what was in that list, and is gone after it, is put back: what somebody takes
off at any other time stays off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LOST = "a key of somebody else is gone from the deployment: nothing more is asked of it"
CHANGED = "others changed the keys of the deployment meanwhile: nothing more is asked of it"


@dataclass(slots=True)
class Others:
    """What is known of them, by their links. `own` are the links, and names, of every key of a live test, gone or not.

    `names` are those of the keys that the project had at first. `known` are the keys that the last reading showed.
    """

    own: set[str] = field(default_factory=set)
    names: Mapping[str, str] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    sent: frozenset[str] | None = None
    """The list of the last write, until a reading shows that it took nothing off: None without one."""
    lost: set[str] = field(default_factory=set)
    """What a write took off, and is not attached again so far."""
    restored: set[str] = field(default_factory=set)
    """What is attached again."""
    went: set[str] = field(default_factory=set)
    came: set[str] = field(default_factory=set)

    def notice(self, listed: Sequence[str]) -> None:
        """Compare a list with the last one; what the last write may have taken off is left to `judge`."""
        shown = frozenset(listed)
        others, sent = shown - self.own, self.sent or frozenset()
        self.restored |= self.lost & others
        self.lost -= others
        went, came = self.known - others - self.lost - sent, others - self.known
        self.went, self.came = (self.went | went) - came, (self.came | came) - went
        self.known = (self.known | came) - went
        if self.sent is not None and shown >= self.sent and shown & self.own <= self.sent:
            self.sent = None  # the write is done, and took nothing off: what goes from here on, others take off

    def judge(self, listed: Sequence[str]) -> None:
        """Note as lost what the last write carried, and this list, which was read after it, does not show."""
        if self.sent is not None:
            self.lost |= (self.sent & self.known) - frozenset(listed)
            self.sent = None

    def disturbance(self) -> str:
        """Why nothing more may be asked of the deployment; nothing if it may."""
        if self.lost or self.restored:
            return LOST
        return CHANGED if self.went or self.came else ""
