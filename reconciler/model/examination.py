"""What `keyform doctor` found: one check after the other, each with what is so and, where it is wrong, the way out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It could not be made, because an earlier one failed or something is not there."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at (`token`, `sink.vault`), how it is, and what to do where it is not right."""

    topic: str
    state: State
    message: str
    way_out: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """All checks, in the order in which they are shown."""

    checks: tuple[Check, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing failed; warnings, and what could not be checked for want of a file, do not count."""
        return self.count(State.FAILED) == 0

    def count(self, state: State) -> int:
        """How many checks ended so."""
        return sum(check.state is state for check in self.checks)
