"""A server that does not do what it was asked: each difference fails once, and none is planned for ever."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import fuzz
from support.http_fakes import START
from support.liberties import MORTAL, ROTATIONS, TEXTS, Stage
from support.states import days, desired, key

from reconciler.emulator import Modes
from reconciler.model import DesiredKey, DesiredState, as_kept

A_WHILE = 300.0
"""Seconds between two runs: less than what makes anything due."""


def deviations() -> Iterator[tuple[str, Any]]:
    """Each value of each mode that is not the likeliest."""
    for name, values in (Modes.choices() | Modes.liberties()).items():
        yield from ((name, value) for value in values[1:])


def require_an_end(stage: Stage, file: DesiredState) -> None:
    """Two runs that did all of it leave nothing for a third."""
    codes = []
    for _ in range(2):
        codes.append(stage.apply(file))
        stage.world.clock.advance(A_WHILE)
    plan = stage.plan(file)
    left = [f"{change.id}: {change.reason.code}" for change in plan.changes]
    assert codes != [0, 0] or (not left and not plan.unmet and not plan.refusals), (stage.modes, left, stage.said)


# --- No input makes a run that ends well twice in a row and plans something the third time ---------------------------


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize(("mode", "value"), list(deviations()), ids=str)
def test_in_each_mode_two_good_ends_leave_nothing_to_do(tmp_path: Path, mode: str, value: Any, api: str) -> None:
    stage = Stage(tmp_path, Modes(**{mode: value}), api)
    dated = key("batch", "llama3", text="a  <b>", expires_at=START + timedelta(days=30, minutes=7, seconds=9))
    require_an_end(stage, desired(MORTAL, dated))
    text = replace(MORTAL, description="Z\u00fcrich", overlap=timedelta(hours=2))
    require_an_end(stage, desired(text, replace(dated, expires_at=START + days(60))))
    require_an_end(stage, desired(text))


@st.composite
def modes(draw: st.DrawFn) -> Modes:
    """A world of those in which all pairs of unknowns meet, and up to two liberties."""
    taken = draw(st.lists(st.sampled_from(sorted(Modes.liberties())), max_size=2, unique=True))
    values: dict[str, Any] = {name: draw(st.sampled_from(Modes.liberties()[name][1:])) for name in taken}
    return replace(draw(st.sampled_from(Modes.pairwise())), **values)


@st.composite
def keys(draw: st.DrawFn, name: str) -> DesiredKey:
    return key(
        name,
        *draw(st.sets(st.sampled_from(["llama3", "whisper"]))),
        text=as_kept(draw(st.sampled_from(TEXTS))),
        **draw(st.sampled_from(ROTATIONS)),
    )


@st.composite
def files(draw: st.DrawFn) -> DesiredState:
    names = draw(st.sets(st.sampled_from(["payments", "search-api"]), min_size=1))
    return desired(*(draw(keys(name)) for name in names), max_deletes=None)


@fuzz(250)
@given(modes(), st.sampled_from(["v3", "v2"]), st.booleans(), files(), files())
def test_in_any_world_two_good_ends_leave_nothing_to_do(
    modes: Modes, api: str, has_lock: bool, before: DesiredState, after: DesiredState
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), modes, api, has_lock)
        require_an_end(stage, before)
        require_an_end(stage, after)
