"""The texts about the modes, one for each, and how settings are read from text."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

from reconciler.emulator import modes
from reconciler.emulator.modes import Choice, Modes

SHOWN = 60
"""Characters of a setting that an error repeats."""


class ModeError(ValueError):
    """A setting that is not a mode's; `way_out` lists the possible ones."""

    def __init__(self, message: str, way_out: str) -> None:
        super().__init__(message)
        self.message = message
        self.way_out = way_out


@dataclass(frozen=True, slots=True)
class ModeText:
    """One mode: its values, the default first, and what they mean. `is_liberty`: see `Modes.liberties`."""

    name: str
    values: tuple[Choice, ...]
    text: str
    is_liberty: bool


def describe_modes() -> tuple[ModeText, ...]:
    """Every mode in the order of `Modes`; the texts are those below its fields there."""
    (body,) = (
        node.body
        for node in ast.parse(inspect.getsource(modes)).body
        if isinstance(node, ast.ClassDef) and node.name == Modes.__name__
    )
    texts = {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
    liberties = Modes.liberties()
    return tuple(
        ModeText(name, values, texts[name], name in liberties) for name, values in (Modes.choices() | liberties).items()
    )


def read_modes(settings: Iterable[str]) -> Modes:
    """The modes of settings such as `deleted_name=reserved`; of two for one mode, the last counts.

    ModeError for an unknown name or value.
    """
    known: Mapping[str, tuple[Choice, ...]] = Modes.choices() | Modes.liberties()
    chosen: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ModeError(f"{_shown(setting)} sets no mode.", "Write NAME=VALUE, such as deleted_name=reserved.")
        if name not in known:
            near = get_close_matches(name[:SHOWN], known, n=1, cutoff=0.6)
            advice = f"Did you mean `{near[0]}`? " if near else ""
            raise ModeError(f"There is no mode {_shown(name)}.", f"{advice}`keyform emulator --list-modes` lists all.")
        values = {str(value): value for value in known[name]}
        if text not in values:
            raise ModeError(f"The mode {name} has no value {_shown(text)}.", f"Its values are {', '.join(values)}.")
        chosen[name] = values[text]
    return Modes(**chosen)


def _shown(text: str) -> str:
    return ascii(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
