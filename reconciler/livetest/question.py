"""What a question is: data, but for the function that asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.livetest.bench import Bench
from reconciler.model.findings import Choice

V3_ONLY = frozenset({"v3"})
V2_ONLY = frozenset({"v2"})
BOTH = frozenset({"v3", "v2"})


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of one mode: a value of it, none (`value` None: as no mode), or nothing that decides (`reason`).

    Without a mode it is a fact beside them.
    """

    mode: str
    value: Choice | None
    seen: str
    reason: str = ""


Sights = Iterator[Sight]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One thing that is asked of the API.

    `modes` are the modes that its answer decides, with all values of each, as in `Modes` of the emulator. `deployment`:
    it needs the deployment that the user named. `alone`: it may open or close it, so that nobody's keys may be on it.
    `makes_keys`: it is not asked where keys cannot be deleted.
    """

    name: str
    asks: str
    modes: Mapping[str, tuple[Choice, ...]]
    ask: Callable[[Bench], Sights]
    apis: frozenset[str] = BOTH
    deployment: bool = False
    alone: bool = False
    makes_keys: bool = True


def fact(seen: str) -> Sight:
    """Something beside the modes."""
    return Sight("", None, seen)


def left_open(mode: str, reason: str, seen: str = "") -> Sight:
    """Nothing that decides."""
    return Sight(mode, None, seen, reason)
