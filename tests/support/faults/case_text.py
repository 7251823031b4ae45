"""A case in one line: what `make fault CASE="…"` is given, what each failure prints, and what cases.txt keeps.

    first create | 500 after at POST payments
    two sinks | data_plane_lag=5 | EIO at rename to /disk/jobs/secrets.json for good | killed before at PATCH llama3 (2)

First the scenario (or, for a kill of a real process, the story); then the emulator's modes, where they are not the
default ones; then what strikes, one after the other: the second strikes the run that recovers from the first. The place
is the effect's name, and which one of that name it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from typing import Any

from reconciler.emulator import Modes

BAR = " | "
DEFAULT = Modes()
NO_FAULT = "no fault"
FOR_GOOD = " for good"
SECOND_PROCESS = "a second process"
PORTAL_EDIT = "a portal edit"
FIRST_SIGNAL = "a first signal"
KILL = "SIGKILL"
STOP = "SIGSTOP"
_NTH = re.compile(r"(?P<name>.+) \((?P<nth>[1-9]\d*)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Spot:
    """An effect of a run, by its name; `nth` is its number (from one) among those of that name."""

    name: str
    nth: int = 1

    def __str__(self) -> str:
        needs_number = self.nth > 1 or _NTH.fullmatch(self.name) or self.name.endswith(FOR_GOOD)
        return f"{self.name} ({self.nth})" if needs_number else self.name


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens, and where; `lasting` for good."""

    what: str
    at: Spot
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.what} at {self.at}{FOR_GOOD if self.lasting else ''}"

    @classmethod
    def parse(cls, text: str) -> Strike:
        """The same from its text. Raises ValueError."""
        what, at, place = text.partition(" at ")
        if not at or not what or not place:
            raise ValueError(f"no place in {text!r}: expected '<fault> at <effect>'")
        name = place.removesuffix(FOR_GOOD)
        numbered = _NTH.fullmatch(name)
        spot = Spot(numbered["name"], int(numbered["nth"])) if numbered else Spot(name)
        return cls(what, spot, name != place)


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario, the modes, and what strikes."""

    scenario: str
    strikes: tuple[Strike, ...] = ()
    modes: Modes = DEFAULT

    def __str__(self) -> str:
        modes = [write_modes(self.modes)] if self.modes != DEFAULT else []
        return BAR.join([self.scenario, *modes, *(map(str, self.strikes) if self.strikes else [NO_FAULT])])

    @classmethod
    def parse(cls, text: str) -> Case:
        """The same from its text. Raises ValueError."""
        scenario, *rest = text.strip().split(BAR)
        if not rest:
            raise ValueError(f"nothing strikes in {text!r}: expected '<scenario> | <fault> at <effect>'")
        modes = DEFAULT
        if re.match(r"[a-z_]+=", rest[0]):
            modes = read_modes(rest.pop(0))
        strikes = () if rest == [NO_FAULT] else tuple(map(Strike.parse, rest))
        return cls(scenario, strikes, modes)


def write_modes(modes: Modes) -> str:
    """Those that are not as they are by default, such as `expired_key=detached data_plane_lag=5`."""
    different = {each.name: getattr(modes, each.name) for each in fields(Modes)}
    return " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in different.items()
        if value != getattr(DEFAULT, name)
    )


def read_modes(text: str) -> Modes:
    """The same from their text. Raises ValueError."""
    found: dict[str, Any] = {}
    for part in text.split(" "):
        name, _, value = part.partition("=")
        if not hasattr(DEFAULT, name):
            raise ValueError(f"there is no mode {name}")
        found[name] = value if isinstance(getattr(DEFAULT, name), str) else json.loads(value)
    return Modes(**found)
