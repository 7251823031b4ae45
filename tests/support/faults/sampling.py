"""A seeded sample of single faults: some of each scenario, and whatever the seed, every way in which one can strike.

The seed decides all of it: the same one draws the same cases, in any process. `make test` gives both by these variables
of the environment, from FAULTS_SEED and FAULTS_SAMPLE.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache

from reconciler.emulator import Modes
from support.faults.case_text import Case
from support.faults.cases import pass_through, prepare
from support.faults.effects import Kind
from support.faults.scenarios import SCENARIOS

SEED = os.environ.get("KEYFORM_FAULTS_SEED") or f"{datetime.now(UTC):%Y%m%d}"
SIZE = os.environ.get("KEYFORM_FAULTS_SAMPLE") or "7"
"""How many of each scenario, or `all`."""
Way = tuple[str, Kind, bool]
"""A fault, the kind of effect that it strikes first, and whether it does so for good."""


@cache
def all_singles() -> Sequence[tuple[Case, Way]]:
    """Every single fault of every scenario in the likeliest world, each with its way."""
    found: list[tuple[Case, Way]] = []
    for scenario in SCENARIOS:
        done = pass_through(prepare(scenario, Modes()))
        kinds = {effect.spot: effect.kind for effect in done.trace}
        found += [
            (Case(scenario.name, (each.strike,)), (each.fault.name, kinds[each.at], each.lasting))
            for each in done.singles()
        ]
    return found


@cache
def draw(seed: str, size: str) -> Mapping[str, Sequence[Case]]:
    """By scenario: so many cases of each, and one of every way that there is, wherever it happens to be."""
    by_scenario: dict[str, list[Case]] = {scenario.name: [] for scenario in SCENARIOS}
    by_way: dict[Way, list[Case]] = {}
    for case, way in all_singles():
        by_scenario[case.scenario].append(case)
        by_way.setdefault(way, []).append(case)
    if size == "all":
        return by_scenario
    chance = random.Random(seed)
    drawn = {name: chance.sample(cases, min(int(size), len(cases))) for name, cases in by_scenario.items()}
    for way in sorted(by_way):
        case = chance.choice(by_way[way])
        drawn[case.scenario].append(case)
    return {name: tuple(dict.fromkeys(cases)) for name, cases in drawn.items()}
