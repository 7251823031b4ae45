"""All of it: every effect, fault, scenario and mode; doubles and real kills, as far as the budget goes; the figures.

python tests/faults/torture.py --budget-seconds 3600 --json docs/faults.json --page docs/faults.md
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.faults.branches import BRANCHES
from support.faults.bugs import BUGS
from support.faults.cases import Tally, judge_double, judge_single, pass_through, prepare, singles
from support.faults.catching import find_failures
from support.faults.kills import STORIES, count_effects, judge_kill
from support.faults.meetings import judge_portal_edit, judge_two_processes
from support.faults.page import write_page
from support.faults.scenarios import BY_NAME, SCENARIOS

from reconciler.emulator import Modes

MEETINGS = ("expiry, cut at once", "first create", "a removed key")


def torture_scenario(job: tuple[str, int, int, float]) -> Tally:
    """One scenario in one mode, until the deadline: all singles in a seeded order; with the default mode, more."""
    name, mode, seed, deadline = job
    tally = Tally()
    prepared = prepare(BY_NAME[name], Modes.pairwise()[mode])
    done = pass_through(prepared)
    tally.effects += len(done.ran.trace)
    chance = random.Random(f"{seed} {name} {mode}")
    cases = list(singles(done))
    chance.shuffle(cases)
    if name in MEETINGS:
        for at in range(0, len(done.ran.trace) + 1, 1 if mode == 0 else 7):
            if time.time() < deadline:
                judge_two_processes(prepared, prepared.scenario.after, at, tally)
                judge_portal_edit(prepared, at, tally)
    for place, injection in enumerate(cases):
        if time.time() > deadline:
            break
        judge_single(prepared, done, injection, tally)
        if place % 10 == 0:
            judge_double(prepared, done, injection, lambda found: chance.sample(found, min(5, len(found))), tally)
    return tally


def kill_for_real(job: tuple[str, int]) -> list[str]:
    """One real kill."""
    story, point = job
    with tempfile.TemporaryDirectory() as folder:
        return [f"{story} | killed at {point} | {text}" for text in judge_kill(Path(folder), story, point)]


def catch_bugs() -> dict[str, bool]:
    """Which planted bugs are caught, by the promise that each breaks."""
    caught = {}
    for bug in BUGS:
        with pytest.MonkeyPatch.context() as patch:
            bug.plant(patch)
            caught[bug.name] = any(f"| P{bug.promise}: " in failure for failure in find_failures(bug))
    return caught


def torture(seed: int, budget: float, workers: int) -> dict[str, Any]:
    """The figures."""
    begun = time.time()
    deadline = begun + budget * 0.7
    modes = len(Modes.pairwise())
    total = Tally()
    default = [(scenario.name, 0, seed, deadline) for scenario in SCENARIOS]
    others = [(scenario.name, mode, seed, deadline) for mode in range(1, modes) for scenario in SCENARIOS]
    random.Random(seed).shuffle(others)
    worlds = 0
    kills = 0
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for tally in pool.imap_unordered(torture_scenario, [*default, *others]):
            total.add(tally)
            worlds += bool(tally.injected)
        jobs = []
        for story in STORIES:
            with tempfile.TemporaryDirectory() as folder:
                jobs += [(story, point) for point in range(count_effects(Path(folder) / "count", story))]
        random.Random(seed).shuffle(jobs)
        for found in pool.imap_unordered(kill_for_real, jobs):
            kills += 1
            total.failures += found
            if time.time() > begun + budget:
                pool.terminate()
                break
    caught = catch_bugs()
    runs = total.runs_to_converge
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "measured_on": "the bundled emulator",
        "commit": commit.stdout.strip() or "unknown",
        "seed": seed,
        "effects_traced": total.effects,
        "faults": {"single": total.injected["single"], "double": total.injected["double"],
                   "meetings": total.injected["meeting"], "real_kills": kills},
        "scenarios": len(SCENARIOS),
        "modes": modes,
        "scenarios_in_modes": worlds,
        "evaluations": {f"P{promise}": number for promise, number in sorted(total.evaluations.items())},
        "violations": len(total.failures),
        "failures": total.failures[:100],
        "runs_to_converge": {"most": max(runs, default=0), "mean": round(_mean(runs), 3)},
        "planted_bugs": {"planted": len(caught), "caught": sum(caught.values()),
                         "not_caught": sorted(name for name, found in caught.items() if not found)},
        "branches": {"known": len(BRANCHES), "reached": sum(name in total.reached for name in BRANCHES),
                     "not_reached": [name for name in BRANCHES if name not in total.reached]},
        "canaries": {"characters_searched": total.searched, "hits": total.hits},
        "orphans_left": sum("is left" in failure for failure in total.failures),
        "seconds": round(time.time() - begun),
    }  # fmt: skip


def _mean(runs: Counter[int]) -> float:
    return sum(number * times for number, times in runs.items()) / max(1, runs.total())


def main() -> int:
    """Write the figures; 1 when a promise was broken, or a planted bug was not caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget-seconds", type=float, default=3600)
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path)
    args = parser.parse_args()
    figures = torture(args.seed, args.budget_seconds, args.workers)
    text = json.dumps(figures, indent=2) + "\n"
    if args.json:
        args.json.write_text(text)
    if args.page:
        args.page.write_text(write_page(figures))
    sys.stdout.write(text)
    return 1 if figures["violations"] or figures["planted_bugs"]["not_caught"] else 0


if __name__ == "__main__":
    sys.exit(main())
