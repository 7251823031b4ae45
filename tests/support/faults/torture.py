"""All of it, as far as a budget goes: jobs in an order that the seed decides, and the figures that come of them.

Every job is a function of (seed, what, deadline) and can run in any process. The order is: planted bugs; every single
fault in the default mode, with what meets a run; kills for real; then other modes and doubles for as long as there is
time. What has the least time for itself has a part of the budget kept for it.
"""

from __future__ import annotations

import math
import multiprocessing
import platform
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from reconciler.emulator import Modes
from support.faults.branches import BRANCHES, SHOWN_BY
from support.faults.bugs import BUGS
from support.faults.cases import Tally, judge_double, judge_single, pass_through, prepare
from support.faults.catching import find_failures, is_caught
from support.faults.gatherings import GATHERINGS, Counts, gather
from support.faults.kills import STORIES, count_points, is_real, judge_kill, part_of_points
from support.faults.meetings import MEETINGS, judge_first_signal, judge_portal_edit, judge_two_processes
from support.faults.scenarios import BY_NAME, SCENARIOS
from support.faults.tables import GENERATIONS

SINGLES_UNTIL = 0.6
KILLS_UNTIL = 0.85
"""Parts of the budget after which no single in the default mode, and no kill for real, begins."""
KINDS = {"single": "single", "double": "double", "meetings": "meeting", "signals": "signal", "real_kills": "kill"}
"""What a figure counts, by what a tally calls it."""
PER_MODE = 40
"""Singles of one scenario in one other mode, at a time."""
KILL_PARTS = 6
"""Jobs into which the kills of one story are cut."""
now = time.time
"""The clock that the budget goes by, the same in all processes."""
DOUBLE_PARTS = 4
"""Jobs into which all first faults of one scenario are cut."""
PER_GATHERING = 10
"""Meetings of stacks at a time."""
PER_DOUBLE = 6
"""How many second faults each first one has; and, without all of them, first faults of one scenario at a time."""


@dataclass
class Figures:
    """What a job found out."""

    tally: Tally = field(default_factory=Tally)
    places: int = 0
    """Effects of runs without faults."""
    points: dict[str, int] = field(default_factory=dict)
    """Kill points of the stories that were begun."""
    caught: dict[str, bool] = field(default_factory=dict)
    worlds: set[tuple[str, int]] = field(default_factory=set)
    """Scenarios, and modes by number."""
    singles_begun: float = math.inf
    singles_done: float = 0
    """When the first and the last single of the default mode was judged, on the clock of the budget."""
    gatherings: Counts = field(default_factory=Counts)
    unfinished: int = 0
    """Jobs that the budget cut short."""

    def add(self, other: Figures) -> None:
        """Take another's in."""
        self.tally.add(other.tally)
        self.places += other.places
        self.points |= other.points
        self.caught |= other.caught
        self.worlds |= other.worlds
        self.gatherings.add(other.gatherings)
        self.singles_begun = min(self.singles_begun, other.singles_begun)
        self.singles_done = max(self.singles_done, other.singles_done)
        self.unfinished += other.unfinished


@dataclass(frozen=True)
class Job:
    """`what` names one of the functions below; it ends at `deadline`, on the clock of all processes."""

    what: str
    scenario: str
    number: int
    seed: int
    deadline: float
    full: bool = False
    """All of it, and no sample."""

    def is_over(self) -> bool:
        """Whether the time is up."""
        return now() > self.deadline

    @property
    def chance(self) -> random.Random:
        """The same for the same job."""
        return random.Random(f"{self.seed} {self.what} {self.scenario} {self.number}")


def catch_bug(job: Job, found: Figures) -> None:
    """Plant one bug, and see whether it is caught by the promise that it breaks."""
    bug = BUGS[job.number]
    prepare(BY_NAME[bug.scenario], bug.modes)  # the state before it is kept, and made without the bug
    with pytest.MonkeyPatch.context() as patch:
        bug.plant(patch)
        found.caught[bug.name] = is_caught(bug, find_failures(bug))


def take_singles(job: Job, found: Figures) -> None:
    """The singles of a scenario: all of them in the default mode, a sample in another one, if not all are wanted."""
    if job.number == 0:
        found.singles_begun = now()
    prepared = prepare(BY_NAME[job.scenario], Modes.pairwise()[job.number])
    done = pass_through(prepared, found.tally)
    found.places += len(done.trace)
    found.worlds.add((job.scenario, job.number))
    cases = list(done.singles())
    job.chance.shuffle(cases)
    for injection in cases if job.number == 0 or job.full else cases[:PER_MODE]:
        if job.is_over():
            found.unfinished += job.number == 0
            return
        judge_single(prepared, injection, found.tally)
    if job.number == 0:
        found.singles_done = now()


def take_meetings(job: Job, found: Figures) -> None:
    """A second process, a portal user, and a first signal, at every effect of a run."""
    prepared = prepare(BY_NAME[job.scenario], Modes())
    for effect in pass_through(prepared).trace:
        if job.is_over():
            found.unfinished += 1
            return
        judge_two_processes(prepared, effect.spot, found.tally)
        judge_portal_edit(prepared, effect.spot, found.tally)
        judge_first_signal(prepared, effect.spot, found.tally)


def let_stacks_meet(job: Job, found: Figures) -> None:
    """Some meetings of as many stacks as its scenario says; `number` is that of the first."""
    size = int(job.scenario)
    for number in range(job.number, min(job.number + PER_GATHERING, GATHERINGS[size])):
        if job.is_over():
            found.unfinished += 1
            return
        found.gatherings.add(gather(size, number, str(job.seed)))


def take_doubles(job: Job, found: Figures) -> None:
    """Some first faults, or one part of all, and in the recovery from each some second ones."""
    prepared = prepare(BY_NAME[job.scenario], Modes())
    known = list(pass_through(prepared).singles())
    chance = job.chance
    for first in known[job.number :: DOUBLE_PARTS] if job.full else chance.sample(known, min(PER_DOUBLE, len(known))):
        if job.is_over():
            return
        judge_double(prepared, first, lambda some: chance.sample(some, min(PER_DOUBLE, len(some))), found.tally)


def kill_for_real(job: Job, found: Figures) -> None:
    """A part of the kills of the command line in one story."""
    if job.is_over():
        found.unfinished += 1
        return
    points = list(part_of_points(job.scenario, job.number, KILL_PARTS))
    found.points[job.scenario] = count_points(job.scenario)
    job.chance.shuffle(points)
    for point in points:
        if job.is_over():
            found.unfinished += 1
            return
        judge_kill(job.scenario, point, found.tally)


DOES: dict[str, Callable[[Job, Figures], None]] = {
    "bug": catch_bug,
    "singles": take_singles,
    "meetings": take_meetings,
    "gathering": let_stacks_meet,
    "doubles": take_doubles,
    "kill": kill_for_real,
}


def do(job: Job) -> Figures:
    """One job, in whatever process."""
    found = Figures()
    if job.what in ("singles", "doubles") and job.is_over():
        found.unfinished += job.number == 0 and job.what == "singles"
        return found
    DOES[job.what](job, found)
    return found


def jobs(seed: int, begun: float, budget: float, *, full: bool = False) -> Iterator[Job]:
    """All jobs in their order; in full, or as a sample of other modes and of doubles."""
    chance = random.Random(seed)
    yield from (Job("bug", bug.scenario, number, seed, begun + budget) for number, bug in enumerate(BUGS))
    early = begun + budget * SINGLES_UNTIL
    longest = sorted(SCENARIOS, key=lambda found: len(found.before.keys) + len(found.after.keys), reverse=True)
    yield from (Job("singles", scenario.name, 0, seed, early) for scenario in longest)
    yield from (Job("meetings", name, 0, seed, early) for name in MEETINGS)
    yield from (
        Job("gathering", str(size), number, seed, early)
        for size, count in GATHERINGS.items()
        for number in range(0, count, PER_GATHERING)
    )
    kills = [
        Job("kill", story, part, seed, begun + budget * KILLS_UNTIL) for story in STORIES for part in range(KILL_PARTS)
    ]
    chance.shuffle(kills)
    yield from kills
    modes = [
        Job("singles", scenario.name, mode, seed, begun + budget, full)
        for mode in range(1, len(Modes.pairwise()))
        for scenario in SCENARIOS
    ]
    chance.shuffle(modes)
    doubles = [
        Job("doubles", scenario.name, number, seed, begun + budget, full)
        for number in range(DOUBLE_PARTS if full else len(modes) // len(SCENARIOS))
        for scenario in SCENARIOS
    ]
    for mode, double in zip_longest(modes, doubles):
        yield from (job for job in (mode, double) if job is not None)


def torture(seed: int, budget: float, workers: int, *, full: bool = False) -> dict[str, Any]:
    """The figures, within the budget and the time of the job that is last; without workers, in this process."""
    begun = now()
    total = Figures()
    if not workers:
        for job in jobs(seed, begun, budget, full=full):
            total.add(do(job))
        return show(total, seed, budget, begun, full=full) | {"workers": 1}
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for found in pool.imap_unordered(do, jobs(seed, begun, budget, full=full)):
            total.add(found)
        pool.close()
        pool.join()
    return show(total, seed, budget, begun, full=full) | {"workers": workers}


def show(found: Figures, seed: int, budget: float, begun: float, *, full: bool) -> dict[str, Any]:
    """The figures as they are written down."""
    seconds = now() - begun
    tally = found.tally
    reached = [branch for branch in BRANCHES if branch in tally.reached]
    return {
        "measured_on": "the bundled emulator",
        "commit": find_commit(),
        "seed": seed,
        "full": full,
        "budget_seconds": budget if math.isfinite(budget) else None,
        "seconds": round(seconds),
        "seconds_for_all_singles": round(found.singles_done - found.singles_begun) if not found.unfinished else None,
        "python": platform.python_version(),
        "effects": {"in_runs_without_faults": found.places, "traced": tally.effects},
        "faults": {
            **{kind: tally.injected[injected] for kind, injected in KINDS.items()},
            "real_kill_stories": len(found.points),
            "real_kill_points": sum(found.points.values()),
        },
        "generations": {
            api: {
                "scenarios": sum(scenario.api == api for scenario in SCENARIOS),
                "scenarios_in_modes": sum(BY_NAME[name].api == api for name, _ in found.worlds),
                **{kind: tally.injected_in[api, injected] for kind, injected in KINDS.items()},
                "real_kill_stories": sum(STORIES[name].scenario.api == api for name in found.points),
                "real_kill_points": sum(
                    points for name, points in found.points.items() if STORIES[name].scenario.api == api
                ),
            }
            for api in GENERATIONS
        },
        "scenarios": len(SCENARIOS),
        "scenarios_with_aws": sum(not is_real(scenario) for scenario in SCENARIOS),
        "modes": len(Modes.pairwise()),
        "scenarios_in_modes": len(found.worlds),
        "parts_cut_short": found.unfinished,
        "evaluations": {f"P{promise}": number for promise, number in sorted(tally.evaluations.items())},
        "gatherings": found.gatherings.as_figures(),
        "violations": len(tally.failures) + len(found.gatherings.failures),
        "failures": sorted([*map(str, tally.failures), *found.gatherings.failures])[:100],
        "runs_to_converge": {"most": max(tally.runs_to_converge, default=0), "mean": _mean(tally.runs_to_converge)},
        "planted_bugs": {
            "planted": len(BUGS),
            "caught": sum(found.caught.values()),
            "not_caught": sorted(bug.name for bug in BUGS if not found.caught.get(bug.name)),
        },
        "branches": {
            "known": len(SHOWN_BY),
            "reached": len(reached),
            "not_reached": sorted(set(BRANCHES) - set(reached)),
        },
        "canaries": {"bytes_searched": tally.searched, "hits": tally.hits},
        "orphans_left": sum("is left" in failure.violation.text for failure in tally.failures),
    }


def _mean(runs: Counter[int]) -> float:
    return round(sum(number * times for number, times in runs.items()) / max(1, runs.total()), 3)


def find_commit() -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
    )  # fmt: skip
    return asked.stdout.strip() or "unknown"
