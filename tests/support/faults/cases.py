"""A case: a prepared world, one or two faults, and the recovery from them; judged all along."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from reconciler.apply.lock import GRACE, LIFETIME
from reconciler.emulator import Modes
from reconciler.plan.changes import Plan
from support.faults.asking import Course, Joints, Known, Recorded, Spared
from support.faults.canaries import search
from support.faults.effects import Came, Effect, Kind, TracedEffects
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
from support.faults.outline import outline
from support.faults.run import Ran, plan_once, run_once
from support.faults.scenarios import Scenario
from support.faults.watch import Violation, Watch
from support.faults.world import FaultWorld
from support.states import desired

LATER_KINDS = frozenset({Kind.CREATE, Kind.BIND, Kind.DESCRIBE, Kind.DELETE})
RARELY = (100_000, 20, 50)
"""How often Python collects garbage while faults are injected: kept worlds are many objects, and all stay."""
ROUND = 3600
QUIET = 180.0
"""Seconds; longer than two runs without faults take."""


@dataclass
class Tally:
    """What a number of cases amounted to."""

    effects: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    evaluations: Counter[int] = field(default_factory=Counter)
    runs_to_converge: Counter[int] = field(default_factory=Counter)
    searched: int = 0
    hits: int = 0
    joined: int = 0
    """Runs that went on as another one does."""
    failures: list[str] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Take another's figures in."""
        self.effects += other.effects
        self.injected += other.injected
        self.evaluations += other.evaluations
        self.runs_to_converge += other.runs_to_converge
        self.searched += other.searched
        self.hits += other.hits
        self.joined += other.joined
        self.failures += other.failures
        self.reached += other.reached


@dataclass
class Verdict:
    """What came of a recovery."""

    violations: tuple[Violation, ...]
    evaluations: Counter[int]
    runs: int
    effects: int
    searched: int
    hits: int
    reached: Counter[str]

    def add(self, later: Verdict) -> Verdict:
        """What came of it, and then of what followed."""
        return Verdict(
            self.violations + later.violations,
            self.evaluations + later.evaluations,
            self.runs + later.runs,
            self.effects + later.effects,
            self.searched + later.searched,
            self.hits + later.hits,
            self.reached + later.reached,
        )

    def taken_over(self, watch: Watch | None = None) -> Verdict:
        """For what comes to the same, after what `watch` saw of it; figures tell of what was done, and so only once."""
        seen, evaluations = (watch.violations, watch.evaluations) if watch else ([], Counter[int]())
        violations = (*seen, *self.violations)
        return replace(self, violations=violations, evaluations=evaluations, effects=0, searched=0, hits=0)


Recoveries = dict[object, Verdict]
Injected = tuple[Ran, FaultWorld, Watch]
"""A run, and where it has left its world."""


@dataclass
class Prepared:
    """A scenario in a mode, up to the moment at which the file changes."""

    scenario: Scenario
    modes: Modes
    world: FaultWorld
    watch: Watch
    recoveries: Recoveries = field(default_factory=dict)
    ends: Recoveries = field(default_factory=dict)
    """What comes after a recovery."""
    looks: dict[object, Plan] = field(default_factory=dict)
    """What is left to be done."""
    doubles: dict[object, int] = field(default_factory=dict)
    """How many second faults were known where they were judged."""
    doubts: bool = False
    """Whether to go through what is known, too, and compare."""
    doubted: set[object] = field(default_factory=set)
    again: Callable[[FaultWorld, Scenario, Watch], Ran] = run_again
    """A run without faults."""

    def forget(self) -> None:
        """What is known by heart was judged with another keyform."""
        self.recoveries.clear()
        self.ends.clear()
        self.looks.clear()
        self.doubles.clear()

    def fork(self) -> tuple[FaultWorld, Watch]:
        """A copy to spoil."""
        world = self.world.fork()
        return world, self.watch.fork(world)


@lru_cache(maxsize=32)
def prepare(scenario: Scenario, modes: Modes) -> Prepared:
    """Bring about the state before, without faults."""
    sinks = dict(scenario.sinks)
    if modes.secret_shape == "symbols":
        # A .env file refuses secrets that its readers would read differently; JSON takes them all.
        sinks = {name: "json" if kind == "dotenv" else kind for name, kind in sinks.items()}
    world = FaultWorld.make(scenario.live, sinks, modes)
    watch = Watch(world, desired(), scenario.stages[0][0]).begin()
    files = [*(file for file, _ in scenario.stages[1:]), scenario.promised or scenario.after]
    for (file, pause), following in zip(scenario.stages, files, strict=True):
        if file.keys:
            ran = run_once(world, file, TracedEffects(world, watch=watch))
            assert ran.code == 0, ran.said
        world.clock.advance(pause)
        assert not watch.violations, watch.violations
        watch = watch.edit(following)
    return Prepared(scenario, modes, world, watch)


def tell_nothing() -> Verdict:
    """Of a run that is not over."""
    raise AssertionError("nothing can be told of a run that is not over")


def run_injected(prepared: Prepared, done: Pass, injection: Injection, course: Course | None = None) -> Injected:
    """One run of the new file, with a fault in it; up to the fault it is the run without faults.

    With a `course`, which is its own, it ends as soon as it is known how it goes on.
    """
    kept, its_watch = done.before[injection.number]
    world = kept.fork(mid_run=True)
    watch = its_watch.fork(world)
    if injection.fault.name == "stale" and injection.lasting:
        # A whole list written without an ETag on readings that are all of the past: nobody can keep P3 then.
        watch.suspended.update(watch.endpoints)
    effects = TracedEffects(world, hook=injection, watch=watch, replay=done.came[: injection.number])
    scenario = prepared.scenario
    own = None if injection.lasting else course
    client = Spared(done.known, done.joints, own, injection.number, lambda: at_most_apart(world, scenario))
    ran = run_once(world, scenario.after, effects, demand=scenario.demand, client=client)
    return ran, world, watch


def judge_injected(
    prepared: Prepared, done: Pass, injection: Injection, tally: Tally, *, in_full: bool = False
) -> Verdict:
    """One fault, and the recovery from it. `in_full`: to the end, even where it is known what comes of it."""
    course = Course(tell_nothing, may_be_joined=not sees_less(injection))
    ran, world, watch = run_injected(prepared, done, injection, None if in_full else course)
    tally.effects += len(ran.trace) - injection.number
    if ran.joined is not None:
        tally.joined += 1
        search_all(ran, world, watch, tally)
        return ran.joined.course.verdict.taken_over(watch)
    verdict = judge_whole(prepared, injection, (ran, world, watch), tally)
    course.ran, course.find_verdict = ran, lambda: verdict
    return verdict


def judge_whole(prepared: Prepared, injection: Injection, injected: Injected, tally: Tally) -> Verdict:
    """A run that has come to its end, and the recovery from it."""
    from support.faults.branches import observe

    ran, world, watch = injected
    tally.reached.update(observe(ran))
    finish_injected(prepared, injection, ran, world, watch, tally)
    return recover(prepared, world, watch)


def finish_injected(  # noqa: PLR0917 - each is another thing
    prepared: Prepared, injection: Injection, ran: Ran, world: FaultWorld, watch: Watch, tally: Tally
) -> None:
    """Judge the run that the fault was in."""
    if injection.fault.name.startswith("machine"):
        watch.forget_undone()
    if injection.fault.ends:
        watch.check(str(injection))
    if injection.fault.name == "stale" and injection.lasting:
        return  # a run that is shown nothing but the past cannot know what it has done
    judge_exit_code(ran, world, watch, lambda at: look(prepared, world, watch, at), saw_less=sees_less(injection))
    search_all(ran, world, watch, tally)


def sees_less(injection: Injection) -> bool:
    """Whether a run cannot see all that it is judged by: its readings are stale, or something happens after them."""
    return injection.fault.name == "stale" or injection.fault.name.startswith("late")


def look(prepared: Prepared, world: FaultWorld, watch: Watch, at: datetime | None) -> Plan:
    """What a run would do now, seen without a fault and without doing anything; in worlds that are alike, the same."""
    place = outline(world, watch, at, *turning_points(world, prepared.scenario))
    known = prepared.looks.get(place)
    if known is None or prepared.doubts:
        known = plan_once(world, prepared.scenario.after, TracedEffects(world), at)
        if place is not None:
            told = prepared.looks.setdefault(place, known)
            if {change.id for change in told.changes} != {change.id for change in known.changes}:
                watch.violate(6, "of two worlds that are alike, in one there is something else to be done")
    return known


def search_all(ran: Ran, world: FaultWorld, watch: Watch, tally: Tally) -> None:
    """P4: no secret and no token is in what the run showed, or in what others can read; and what it sent was right."""
    judge_requests(ran, watch)
    relied = {relied.secret for found in watch.reliances.values() for relied in found}
    characters, hits = search(ran, world, relied | set(world.live_secrets().values()) | world.issued)
    tally.searched += characters
    tally.hits += len(hits)
    watch.evaluations[4] += 1
    for hit in hits:
        watch.violate(4, hit)


def recover(prepared: Prepared, world: FaultWorld, watch: Watch) -> Verdict:
    """Time passes, a run without faults follows, and another; worlds that are alike have equal recoveries."""
    pass_time(world)
    watch.suspended.clear()
    step_over(world, prepared.scenario)
    place = outline(world, watch, *turning_points(world, prepared.scenario))
    place = place or (world.fingerprint(), watch.fingerprint())
    known = prepared.recoveries.get(place)
    if known is not None:
        if prepared.doubts:
            doubt(prepared, world, watch, known)
        return known.taken_over(watch)
    before, evaluations = watch.violations, watch.evaluations
    watch.violations, watch.evaluations = [], Counter()
    found = prepared.recoveries[place] = _recover(prepared, world, watch)
    return replace(found, violations=(*before, *found.violations), evaluations=evaluations + found.evaluations)


def doubt(prepared: Prepared, world: FaultWorld, watch: Watch, known: Verdict) -> None:
    """Go through a recovery though it is known what comes of it; but only once if the world is the same to the byte."""
    copy = world.fork()
    its_watch = watch.fork(copy)
    place = (world.fingerprint(), watch.fingerprint())
    if place in prepared.doubted:
        return
    prepared.doubted.add(place)
    afresh = replace(prepared, recoveries={}, ends={}, looks={}, doubts=False)
    found = _recover(afresh, copy, its_watch)
    if (found.violations, found.runs) != (known.violations, known.runs):
        watch.violate(6, f"alike in all, this world needs {found.runs} runs, and not {known.runs}; {found.violations}")


def pass_time(world: FaultWorld) -> None:
    """Until every lock of a dead process has expired, and to a full hour, so that equal worlds are equal in time."""
    world.clock.advance((LIFETIME + GRACE).total_seconds() + 1)
    stamp = world.clock.now().timestamp()
    world.clock.advance(-stamp % ROUND)
    world.chances = max(1_000_000, world.chances)


def step_over(world: FaultWorld, scenario: Scenario) -> None:
    """Past every overlap that would end between a run and the one after it, which then has something to do indeed."""
    for end in sorted(ends_of_overlaps(world, scenario)):
        if is_soon(end, world.now()):
            world.clock.advance((end - world.now()).total_seconds() + 1)


def ends_of_overlaps(world: FaultWorld, scenario: Scenario) -> Iterator[datetime]:
    """When each generation's overlap would be over, if it was replaced when it was marked last."""
    overlaps = {key.name: key.overlap for key in scenario.after.keys}
    yield from (found.since + overlaps.get(found.key, timedelta()) for found in world.marked())


def turning_points(world: FaultWorld, scenario: Scenario) -> Iterator[datetime]:
    """Instants that no clock has shown, and that decide what is to be done."""
    yield from ends_of_overlaps(world, scenario)
    live, declared = world.live_keys(), {key.name: key for key in scenario.after.keys}
    for found in world.marked():
        key, expires_at = declared.get(found.key), live[found.live_name].expires_at
        if key is not None and key.every is not None:
            yield found.since + key.every
        if key is not None and expires_at is not None:
            yield expires_at - key.overlap


def is_soon(instant: datetime, now: datetime) -> bool:
    """Whether something comes within two runs."""
    return now < instant < now + timedelta(seconds=QUIET)


def at_most_apart(world: FaultWorld, scenario: Scenario) -> timedelta:
    """How far from each other two runs may be in time that are alike in all else, and go on alike.

    No promise, and no wait, is shorter than a second. While no overlap ends soon, and no key or lock expires, it may be
    as much as an API may ask a client to wait for. Where the data plane lags, each instant may be another to it.
    """
    if world.emulator.modes.data_plane_lag:
        return timedelta()
    expiries = (key.expires_at for key in world.live_keys().values() if key.expires_at is not None)
    comes_soon = any(is_soon(instant, world.now()) for instant in (*ends_of_overlaps(world, scenario), *expiries))
    return timedelta(seconds=1 if comes_soon else 15)


def _recover(prepared: Prepared, world: FaultWorld, watch: Watch) -> Verdict:
    scenario = prepared.scenario
    tally = Tally()
    runs = 1
    if pending_effects(world):
        ran = run_once(world, scenario.after, TracedEffects(world, hook=deliver_after_reading, watch=watch))
        world.deliver()
        watch.suspended.clear()
        _note(ran, world, watch, tally)
        pass_time(world)
        step_over(world, scenario)
        runs += 1
    ran = prepared.again(world, scenario, watch)
    _note(ran, world, watch, tally)
    judge_clean_run(ran, scenario, watch)
    judge_state(world, scenario, watch, settled=False)
    verdict = Verdict(
        tuple(watch.violations), watch.evaluations, runs, tally.effects, tally.searched, tally.hits, tally.reached
    )
    return verdict.add(_end(prepared, world, watch))


def _end(prepared: Prepared, world: FaultWorld, watch: Watch) -> Verdict:
    """A run that has nothing to do, and what is left once overlaps are over; known for a world that is like another."""
    place = outline(world, watch, *turning_points(world, prepared.scenario))
    known = prepared.ends.get(place)
    watch.violations, watch.evaluations = [], Counter()
    if known is not None:
        return known.taken_over(watch)
    found = _come_to_an_end(prepared, world, watch)
    if place is not None:
        prepared.ends[place] = found
    return found


def _come_to_an_end(prepared: Prepared, world: FaultWorld, watch: Watch) -> Verdict:
    scenario = prepared.scenario
    tally = Tally()
    judge_second_run(prepared.again(world, scenario, watch), scenario, watch)
    overlap = longest_overlap(scenario).total_seconds()
    if overlap:
        world.clock.advance(overlap + 1)
        step_over(world, scenario)
        ran = prepared.again(world, scenario, watch)
        _note(ran, world, watch, tally)
        judge_clean_run(ran, scenario, watch)
        judge_second_run(prepared.again(world, scenario, watch), scenario, watch)
    judge_state(world, scenario, watch, settled=True)
    return Verdict(
        tuple(watch.violations), watch.evaluations, 0, tally.effects, tally.searched, tally.hits, tally.reached
    )


def _note(ran: Ran, world: FaultWorld, watch: Watch, tally: Tally) -> None:
    from support.faults.branches import observe

    tally.effects += len(ran.trace)
    search_all(ran, world, watch, tally)
    tally.reached.update(observe(ran))


def deliver_after_reading(effect: Effect, perform: Callable[[], Any], effects: TracedEffects) -> Any:
    """What is late arrives when the next run has read everything, just before it changes something."""
    if effect.kind in LATER_KINDS:
        effects.world.deliver()
    return perform()


# --- Singles ----------------------------------------------------------------------------------------------------------


@dataclass
class Pass:
    """A run without faults: its trace, and the world before and after each effect."""

    ran: Ran
    before: dict[int, tuple[FaultWorld, Watch]]
    after: dict[int, tuple[FaultWorld, Watch]]
    unsettled: set[int]
    """Effects before or after which a crash of the machine is worse than a kill."""
    came: list[tuple[Effect, Came]] = field(default_factory=list)
    """What came of each effect."""
    known: Known = field(default_factory=Known)
    course: Course = field(default_factory=lambda: Course(tell_nothing))
    """What came of the run itself."""
    joints: Joints = field(default_factory=Joints)
    kills: dict[tuple[int, bool], Verdict] = field(default_factory=dict)
    """What came of the worlds that were kept, by `id`, and whether the machine stopped."""


def pass_through(prepared: Prepared) -> Pass:
    """Run without faults, keeping the world as a kill at each effect would leave it."""
    done = Pass(Ran(None, []), {}, {}, set())
    world, watch = prepared.fork()
    kept: dict[object, tuple[FaultWorld, Watch]] = {}

    def keep(effect: Effect, perform: Callable[[], Any], _effects: TracedEffects) -> Any:
        try:
            value = keep_worlds(effect, perform)
        except Exception as error:
            done.came.append((effect, Came(error=error)))
            raise
        done.came.append((effect, Came(value)))
        return value

    def keep_worlds(effect: Effect, perform: Callable[[], Any]) -> Any:
        if next(iter(injections(effect)), None) is None:
            return perform()

        def note(places: dict[int, tuple[FaultWorld, Watch]]) -> None:
            place = (world.fingerprint(), tuple(world.disk.locks), tuple(world.handles.items()), watch.fingerprint())
            if place not in kept:
                copy = world.fork(mid_run=True)
                kept[place] = copy, watch.fork(copy)
            places[effect.number] = kept[place]
            if not world.disk.is_settled:
                done.unsettled.add(effect.number)

        note(done.before)
        try:
            return perform()
        finally:
            watch(effect)
            note(done.after)

    def find_verdict() -> Verdict:
        left = world.fork()
        its_watch = watch.fork(left)
        tally = Tally()
        judge_exit_code(done.ran, left, its_watch, lambda at: look(prepared, left, its_watch, at), saw_less=False)
        search_all(done.ran, left, its_watch, tally)
        verdict = recover(prepared, left, its_watch)
        return replace(verdict, violations=(*watch.violations, *verdict.violations))

    effects = TracedEffects(world, hook=keep, watch=watch)
    done.course = course = Course(find_verdict)
    scenario = prepared.scenario
    done.ran = run_once(
        world,
        scenario.after,
        effects,
        demand=scenario.demand,
        client=Recorded(done.known, done.joints, course),
    )
    course.ran = done.ran
    watch.check("the run without faults")
    return done


def singles(done: Pass) -> Iterator[Injection]:
    """Every fault at every effect of a run, once and for good."""
    for effect in done.ran.trace:
        yield from injections(effect, unsettled=effect.number in done.unsettled)


def judge_single(
    prepared: Prepared, done: Pass, injection: Injection, tally: Tally, *, in_full: bool = False
) -> Verdict:
    """One single fault; what ends the process needs no process, but the world that was kept.

    `in_full`: its run goes to the end, even where it is known what comes of it.
    """
    verdict = judge(prepared, done, injection, tally, in_full=in_full)
    count(prepared, injection, verdict, tally)
    return verdict


def judge(prepared: Prepared, done: Pass, injection: Injection, tally: Tally, *, in_full: bool = False) -> Verdict:
    """The same, without taking the verdict into the figures."""
    if injection.fault.ends and injection.fault.name != "torn write":
        return judge_end(prepared, done, injection)
    return judge_injected(prepared, done, injection, tally, in_full=in_full)


def judge_end(prepared: Prepared, done: Pass, injection: Injection) -> Verdict:
    """A process that is killed, or whose machine stops; one that leaves the same behind leads to the same."""
    name = injection.fault.name
    world, watch = (done.after if name.endswith(" after") else done.before)[injection.number]
    crashes = name.startswith("machine")
    if known := done.kills.get((id(world), crashes)):
        return known.taken_over()
    copy = world.fork()
    its_watch = watch.fork(copy)
    if crashes:
        copy.disk.crash()
        its_watch.forget_undone()
    its_watch.check(str(injection))
    verdict = done.kills[id(world), crashes] = recover(prepared, copy, its_watch)
    return verdict


# --- Doubles ----------------------------------------------------------------------------------------------------------


def judge_double(  # noqa: PLR0917 - each is another thing
    prepared: Prepared,
    done: Pass,
    first: Injection,
    choose: Callable[[list[Injection]], list[Injection]],
    tally: Tally,
    belongs: Callable[[object], bool] = lambda place: True,
) -> None:
    """Replay a single, trace the run that recovers from it, and inject chosen faults into that run too.

    Faults that leave alike worlds behind share that run, and with it all doubles, which are judged at the first of
    them. `belongs` tells of such a world whether it is to be judged here.
    """
    ran, world, watch = run_injected(prepared, done, first)
    finish_injected(prepared, first, ran, world, watch, tally)
    pass_time(world)
    world.deliver()
    # A run cannot see what takes effect after it has read; and here it is the second fault that is judged.
    pass_time(world)
    watch.suspended.clear()
    step_over(world, prepared.scenario)
    place = outline(world, watch, *turning_points(world, prepared.scenario)) or str(first)
    if not belongs(place):
        return
    if place in prepared.doubles:
        tally.injected["double of an alike world"] += prepared.doubles[place]
        return
    # What recovers is a plain apply.
    again = replace(prepared, scenario=replace(prepared.scenario, demand=None), world=world, watch=watch.fork(world))
    recovery = pass_through(again)
    count(prepared, f"{first}, and its recovery", recovery.course.verdict, tally, "none")
    known = list(singles(recovery))
    chosen = choose(known)
    for second in chosen:
        verdict = judge(again, recovery, second, tally)
        count(prepared, f"{first}, then {second}", verdict, tally, "double")
    if len(chosen) == len(known):
        prepared.doubles[place] = len(known)
        gc.collect()  # the worlds around each effect are many, and are rarely collected otherwise


def count(prepared: Prepared, injection: object, verdict: Verdict, tally: Tally, kind: str = "single") -> None:
    """Take a verdict into the figures."""
    tally.injected[kind] += 1
    tally.effects += verdict.effects
    tally.evaluations += verdict.evaluations
    tally.runs_to_converge[verdict.runs] += 1
    tally.searched += verdict.searched
    tally.hits += verdict.hits
    tally.reached += verdict.reached
    tally.failures += [f"{prepared.scenario} | {injection} | {violation}" for violation in verdict.violations]
