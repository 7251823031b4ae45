"""A case: a prepared world, one or two faults, and the recovery from them; judged all along."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from reconciler.apply.api_lock import GRACE, LIFETIME
from reconciler.emulator import Modes, Request
from reconciler.model import DesiredState
from reconciler.plan.changes import Plan
from support.edits import EDITS, Edit
from support.faults.branches import observe
from support.faults.canaries import search
from support.faults.case_text import Case, Strike
from support.faults.effects import Effect, Kind, TracedEffects
from support.faults.faults import Injection, injections, pending_effects
from support.faults.judge import (
    judge_clean_run,
    judge_exit_code,
    judge_requests,
    judge_second_run,
    judge_state,
    longest_overlap,
    run_again,
)
from support.faults.run import Ran, plan_once, run_once
from support.faults.scenarios import Scenario
from support.faults.watch import Violation, Watch
from support.faults.world import FaultWorld
from support.http_fakes import PROJECT, TOKEN
from support.states import desired

LATER_KINDS = frozenset(
    {Kind.CREATE, Kind.BIND, Kind.DESCRIBE, Kind.LINK, Kind.DELETE, Kind.CLOUD_WRITE, Kind.WEB_WRITE}
)
QUIET = 180.0
"""Seconds; longer than two runs without faults take."""


@dataclass(frozen=True)
class Failure:
    """A promise that a case breaks, and how to see it do so."""

    case: Case
    violation: Violation

    def __str__(self) -> str:
        return f'{self.violation}\n    make fault CASE="{self.case}"'


@dataclass
class Tally:
    """What a number of cases amounted to."""

    effects: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    injected_in: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The same, by the generation of the API."""
    evaluations: Counter[int] = field(default_factory=Counter)
    runs_to_converge: Counter[int] = field(default_factory=Counter)
    searched: int = 0
    hits: int = 0
    failures: list[Failure] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)
    """Branches of recovery."""
    told: Callable[[str, Ran], None] | None = None
    """Called with each run, for an observer."""

    def add(self, other: Tally) -> None:
        """Take another's figures in."""
        self.effects += other.effects
        self.injected += other.injected
        self.injected_in += other.injected_in
        self.evaluations += other.evaluations
        self.runs_to_converge += other.runs_to_converge
        self.searched += other.searched
        self.hits += other.hits
        self.failures += other.failures
        self.reached += other.reached

    def note(self, what: str, ran: Ran, world: FaultWorld, watch: Watch) -> None:
        """A run has ended: P4 (no secret in what it showed, or in what others can read), and its requests
        were right.
        """
        if self.told is not None:
            self.told(what, ran)
        self.effects += len(ran.trace)
        self.reached.update(observe(ran))
        judge_requests(ran, watch)
        relied = {relied.secret for found in watch.reliances.values() for relied in found}
        characters, hits = search(ran, world, relied | set(world.live_secrets().values()) | world.issued)
        self.searched += characters
        self.hits += len(hits)
        watch.evaluations[4] += 1
        for hit in hits:
            watch.violate(4, hit)

    def close(self, kind: str, case: Case, watch: Watch, runs: int) -> None:
        """A case has ended."""
        self.injected[kind] += 1
        self.injected_in[watch.after.api, kind] += 1
        self.evaluations += watch.evaluations
        self.runs_to_converge[runs] += 1
        self.failures += [Failure(case, violation) for violation in watch.violations]

    def require_no_failures(self) -> None:
        """AssertionError with everything about them."""
        assert not self.failures, "\n".join(map(str, self.failures[:30]))


@dataclass
class Prepared:
    """A scenario in a mode, up to the moment at which the file changes, or to the recovery from the `first` faults."""

    scenario: Scenario
    modes: Modes
    world: FaultWorld
    watch: Watch
    first: tuple[Strike, ...] = ()
    again: Callable[[FaultWorld, Scenario, Watch], Ran] = run_again
    """A run without faults."""

    def fork(self) -> tuple[FaultWorld, Watch]:
        """A copy to spoil."""
        world = self.world.fork()
        return world, self.watch.fork(world)

    def case(self, *strikes: Strike) -> Case:
        """The name of what happens next."""
        return Case(self.scenario.name, (*self.first, *strikes), self.modes)


@lru_cache(maxsize=128)
def prepare(scenario: Scenario, modes: Modes) -> Prepared:
    """Bring about the state before, without faults."""
    sinks = dict(scenario.sinks)
    if modes.secret_shape == "symbols":
        # A .env file refuses secrets that its readers would read differently; JSON takes them all.
        sinks = {name: "json" if kind == "dotenv" else kind for name, kind in sinks.items()}
    world = FaultWorld.make(scenario.live, sinks, scenario.in_modes(modes))
    watch = bring_about(world, scenario, lambda file, seen: run_once(world, file, TracedEffects(world, watch=seen)))
    return Prepared(scenario, modes, world, watch)


def bring_about(world: FaultWorld, scenario: Scenario, run: Callable[[DesiredState, Watch], Ran]) -> Watch:
    """Go through the stages of a scenario, without faults; the watch over what follows."""
    watch = Watch(world, desired(), scenario.stages[0][0]).begin()
    files = [*(file for file, _ in scenario.stages[1:]), scenario.promised or scenario.after]
    for number, ((file, pause), following) in enumerate(zip(scenario.stages, files, strict=True), 1):
        if file.keys or file.farewells:
            ran = run(file, watch)
            assert ran.code == 0, ran.said
        world.clock.advance(max(pause, world.emulator.modes.lists_lag))
        assert not watch.violations, watch.violations
        is_last = number == len(files)
        for sink, key in scenario.lost if is_last else ():
            world.lose(sink, key)
        for sink, kind in scenario.moved.items() if is_last else ():
            world.move(sink, kind)
        watch = watch.edit(following, {*(sink for sink, _ in scenario.lost), *scenario.moved} if is_last else ())
    for live_name, edit in scenario.edits:
        describe_in_portal(world, live_name, EDITS[edit])
    world.clock.advance(world.emulator.modes.lists_lag)
    return watch


def describe_in_portal(world: FaultWorld, live_name: str, edit: Edit) -> None:
    """Somebody edits a live key's description, past keyform."""
    path = f"/cloud/v3/inference/{PROJECT}/api_keys/{live_name}"
    world.edited[live_name] = text = world.live_keys()[live_name].description or ""
    body = {"description": edit(text)}
    answer = world.emulator.respond(Request.build("PATCH", path, token=TOKEN, json_body=body))
    assert answer.status == 200


# --- Runs without faults ----------------------------------------------------------------------------------------------


@dataclass
class Pass:
    """A run without faults: what it did, and around which effects a crash of the machine is worse than a kill."""

    trace: list[Effect]
    unsettled: set[int]

    def singles(self) -> Iterator[Injection]:
        """Every fault at every effect of it, once and for good."""
        for effect in self.trace:
            yield from injections(effect, unsettled=effect.number in self.unsettled)


def pass_through(prepared: Prepared, tally: Tally | None = None) -> Pass:
    """Run without faults; with a tally, judge that too."""
    world, watch = prepared.fork()
    unsettled: set[int] = set()

    def look_at_disk(effect: Effect, perform: Callable[[], Any], effects: TracedEffects) -> Any:
        before = effects.world.disk.is_settled
        try:
            return perform()
        finally:
            if not (before and effects.world.disk.is_settled):
                unsettled.add(effect.number)

    scenario = prepared.scenario
    effects = TracedEffects(world, hook=look_at_disk, watch=watch)
    ran = run_once(world, scenario.after, effects, demand=scenario.demand)
    if tally is not None:
        watch.check("the run without faults")
        tally.note("a run without faults", ran, world, watch)
        judge_clean_run(ran, scenario, watch)
        judge_exit_code(ran, world, watch, lambda at: look(scenario, world, at), saw_less=False)
        finish(prepared, world, watch, prepared.case(), tally, "none")
    return Pass(ran.trace, unsettled)


def look(scenario: Scenario, world: FaultWorld, at: datetime | None) -> Plan:
    """What a run would do now, seen without a fault and without doing anything."""
    return plan_once(world, scenario.after, TracedEffects(world), at)


# --- One fault --------------------------------------------------------------------------------------------------------


def judge_single(prepared: Prepared, injection: Injection, tally: Tally) -> None:
    """One fault, and the recovery from it."""
    world, watch = prepared.fork()
    strike(prepared, injection, world, watch, tally)
    finish(prepared, world, watch, prepared.case(injection.strike), tally, "double" if prepared.first else "single")


def strike(prepared: Prepared, injection: Injection, world: FaultWorld, watch: Watch, tally: Tally) -> None:
    """The run that the fault is in, judged."""
    scenario, is_blind = prepared.scenario, injection.fault.name == "stale" and injection.lasting
    if is_blind:
        # A whole list, or key, written without an ETag on readings that are all of the past: nobody can keep P3 then.
        watch.suspended.update(watch.endpoints)
        watch.is_blinded = scenario.api == "v2"
    effects = TracedEffects(world, hook=injection, watch=watch)
    ran = run_once(world, scenario.after, effects, demand=scenario.demand)
    if injection.fault.name.startswith("machine"):
        watch.forget_undone()
    if injection.fault.ends:
        watch.check(str(injection))
    if not is_blind:  # a run that is shown nothing but the past cannot know what it has done
        # What it is judged by it could not see if its readings were stale, or something happened after them.
        saw_less = injection.fault.name.startswith(("stale", "late"))
        judge_exit_code(ran, world, watch, lambda at: look(scenario, world, at), saw_less=saw_less)
    tally.note(f"the run with {injection}", ran, world, watch)


def judge_double(
    prepared: Prepared, first: Injection, choose: Callable[[list[Injection]], list[Injection]], tally: Tally
) -> None:
    """One fault, and chosen ones in the run that recovers from it."""
    again = after_first(prepared, first, tally)
    for second in choose(list(pass_through(again).singles())):
        judge_single(again, second, tally)


def after_first(prepared: Prepared, first: Injection, tally: Tally) -> Prepared:
    """The world in which a run recovers from a first fault: a plain apply, whatever the first command was."""
    world, watch = prepared.fork()
    strike(prepared, first, world, watch, tally)
    case = prepared.case(first.strike)
    tally.failures += [Failure(case, violation) for violation in watch.violations]
    pass_time(world)
    world.deliver()
    # A run cannot see what takes effect after it has read; and here it is the second fault that is judged.
    pass_time(world)
    watch.expect_again()
    step_over(world, prepared.scenario)
    plain = replace(prepared.scenario, demand=None)
    return Prepared(plain, prepared.modes, world, watch.fork(world), case.strikes, prepared.again)


# --- What follows -----------------------------------------------------------------------------------------------------


def finish(  # noqa: PLR0917 - each is another thing
    prepared: Prepared, world: FaultWorld, watch: Watch, case: Case, tally: Tally, kind: str
) -> None:
    """Time passes, a run without faults follows, and another; then the case has ended."""
    scenario = prepared.scenario
    runs = 1
    pass_time(world)
    watch.expect_again()
    step_over(world, scenario)
    if pending_effects(world):
        ran = run_once(world, scenario.after, TracedEffects(world, hook=deliver_after_reading, watch=watch))
        world.deliver()
        watch.expect_again()
        tally.note("a run that meets what was late", ran, world, watch)
        pass_time(world)
        step_over(world, scenario)
        runs += 1
    recover(prepared, world, watch, tally)
    watch.expect_again(is_recovered=True)
    judge_state(world, scenario, watch, settled=False)
    judge_second_run(prepared.again(world, scenario, watch), scenario, watch)
    overlap = longest_overlap(scenario).total_seconds()
    if overlap:
        world.clock.advance(overlap + 1)
        step_over(world, scenario)
        recover(prepared, world, watch, tally)
        judge_second_run(prepared.again(world, scenario, watch), scenario, watch)
    judge_state(world, scenario, watch, settled=True)
    tally.close(kind, case, watch, runs)


def recover(prepared: Prepared, world: FaultWorld, watch: Watch, tally: Tally) -> None:
    """A run without faults brings everything about; the next one reads lists that show it."""
    ran = prepared.again(world, prepared.scenario, watch)
    tally.note("a run without faults", ran, world, watch)
    judge_clean_run(ran, prepared.scenario, watch)
    world.clock.advance(world.emulator.modes.lists_lag)


def pass_time(world: FaultWorld) -> None:
    """Until every lock of a dead process has expired."""
    world.clock.advance((LIFETIME + GRACE).total_seconds() + 1)


def step_over(world: FaultWorld, scenario: Scenario) -> None:
    """Past every overlap that would end between a run and the one after it, which then has something to do indeed."""
    overlaps = {key.name: key.overlap for key in scenario.after.keys}
    ends = (found.since + overlaps.get(found.key, timedelta()) for found in world.marked())
    for end in sorted(ends):
        if world.now() < end < world.now() + timedelta(seconds=QUIET):
            world.clock.advance((end - world.now()).total_seconds() + 1)


def deliver_after_reading(effect: Effect, perform: Callable[[], Any], effects: TracedEffects) -> Any:
    """What is late arrives when the next run has read everything, just before it changes something."""
    if effect.kind in LATER_KINDS:
        effects.world.deliver()
    return perform()
