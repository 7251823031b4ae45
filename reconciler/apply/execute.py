"""The loop: phase by phase, each phase's changes side by side, and an outcome for every one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from reconciler.apply.interface import Api
from reconciler.apply.lock import Lock, NoLock
from reconciler.apply.run import Run
from reconciler.apply.steps import Incomplete, take_step
from reconciler.effects import Effects
from reconciler.errors import ApiError, Interrupted, KeyformError, LockLost, PlanIsStale, PlanRefused, SinkError
from reconciler.plan.cases import name_some
from reconciler.plan.changes import (
    Bind,
    Change,
    CreateGeneration,
    DeleteKey,
    Describe,
    Link,
    Note,
    Plan,
    Prove,
    Publish,
    RemoveRecord,
    Unbind,
)
from reconciler.plan.outcomes import ChangeFinished, ChangeStarted, Event, Outcome, OutcomeState, Result
from reconciler.sinks.protocol import Sink, Tidies
from reconciler.workers import side_by_side

PHASES: tuple[type[Change], ...] = (CreateGeneration, Bind, Describe, Prove, Publish, Unbind, RemoveRecord, DeleteKey)
"""Nothing is taken away before what replaces it is in place.

Descriptions come after creates: a generation of which nobody knows whether its sink has it stays marked pending until
its successor exists, or a run that died in between would take it for one that was surely published.
"""
ASK_BEFORE = (RemoveRecord, DeleteKey)
"""Before each of these the lock is looked at: whoever took it over would see what we did not. What writes lists and
secrets looks for itself, right before each write."""


def apply_plan(
    plan: Plan,
    api: Api,
    sinks: Mapping[str, Sink],
    effects: Effects,
    *,
    lock: Lock | None = None,
    lock_timeout: float = 0.0,
    look_again: Callable[[], Plan] | None = None,
    on_moved: Callable[[Plan], None] | None = None,
    on_begin: Callable[[], None] = lambda: None,
    parallelism: int = 10,
    listener: Callable[[Event], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> Result:
    """Do what the plan says, and tell what came of it.

    `lock` is taken first, waiting at most `lock_timeout` seconds; then `look_again` plans anew. If that differs, what
    is live has moved since: `on_moved` is told the new plan, which is then applied, unless it raises; without it
    PlanIsStale is raised. `on_begin` is called when nothing is left to wait for.

    Failures do not raise: they are outcomes, and what does not depend on them goes on. Once `stop` is set, running
    changes are finished and no others begun. Raises PlanRefused for a plan that safety refuses, SinkError when a sink
    that is needed cannot be written, LockHeld when somebody else is at it: all before anything is changed.
    """
    check_plan(plan, sinks)
    lock = lock or NoLock()
    if plan.is_empty:
        # Nothing to do, but a run that died after its last change may have left something behind.
        lock.sweep()
        tidy_sinks(sinks)
        return Result(plan)
    try:
        lock.acquire(timeout=lock_timeout)
        tidy_sinks(sinks)
        if look_again is not None and (moved := look_again()) != plan:
            if on_moved is None:
                raise PlanIsStale(
                    "What is live has changed since the plan was made. Nothing was changed.",
                    way_out="run again, and review the new plan",
                )
            check_plan(moved, sinks)
            on_moved(moved)
            plan = moved
        on_begin()
        run = Run(plan, api, sinks, effects, listener, stop or threading.Event(), lock)
        result = run_phases(run, parallelism)
        if run.lock_was_lost and look_again is not None:
            result = replace(result, exposures=tuple(find_exposures(run, look_again)))
        return result
    finally:
        lock.release()


def find_exposures(run: Run, look_again: Callable[[], Plan]) -> Iterator[Note]:
    """What is not as it should be, now that the lock was lost: our last writes may have crossed those of another run.

    That is what such a write left on its endpoint, what is public, and what another apply would put right.
    """
    try:
        for outcome in run.outcomes.values():
            if outcome.state is OutcomeState.UNKNOWN and isinstance(outcome.change, Bind | Unbind):
                live = run.api.get_endpoint(outcome.change.endpoint)
                if live is not None:
                    keys = f"it takes {name_some(live.api_keys)}" if live.auth_enabled else "it is PUBLIC"
                    sentence = f"{live.ref} may have been written after the lock was lost, and {keys}"
                    yield Note("written_without_the_lock", str(live.ref), sentence)
        now = look_again()
    except KeyformError as error:
        yield Note("exposures_are_unknown", "", f"what is live could not be read again: {error.message}")
        return
    yield from now.exposures
    for change in now.changes:
        yield Note("lock_was_lost", change.address, f"{change.address} is not as declared: {change.reason.sentence}")


def check_plan(plan: Plan, sinks: Mapping[str, Sink]) -> None:
    """Everything that can be known to stand in the way, before anything is changed."""
    if plan.refusals:
        raise PlanRefused("The plan is refused; nothing was changed.", plan.refusals)
    probe_sinks(plan, sinks)


def run_phases(run: Run, parallelism: int) -> Result:
    """Phase by phase, each phase's changes side by side."""
    for phase in PHASES:
        changes = [change for change in run.plan.changes if isinstance(change, phase)]
        for outcome in side_by_side(lambda change: attempt(run, change), changes, parallelism):
            run.outcomes[outcome.change.id] = outcome
    outcomes = tuple(run.outcomes[change.id] for change in run.plan.changes)
    return Result(run.plan, outcomes, interrupted=run.stop.is_set())


def probe_sinks(plan: Plan, sinks: Mapping[str, Sink]) -> None:
    """See that every sink the plan needs can be written, before a key is made."""
    needed: dict[str, set[str]] = {}
    for change in plan.changes:
        if isinstance(change, Publish):
            for sink in change.sinks:
                needed.setdefault(sink, set()).add(change.ownership.key)
        elif isinstance(change, RemoveRecord):
            needed.setdefault(change.sink, set()).add(change.key)
    for sink, keys in sorted(needed.items()):
        sinks[sink].probe(sorted(keys))


def tidy_sinks(sinks: Mapping[str, Sink]) -> None:
    """Let sinks clear away what a run left that died while it wrote, before any change rests on what they hold."""
    for name in sorted(sinks):
        sink = sinks[name]
        if isinstance(sink, Tidies):
            sink.tidy()


def attempt(run: Run, change: Change) -> Outcome:
    """One change, and what came of it."""
    outcome = None
    if run.stop.is_set():
        outcome = Outcome(change, OutcomeState.NOT_STARTED, "interrupted before its turn")
    elif blockers := find_blockers(run, change):
        outcome = Outcome(change, OutcomeState.SKIPPED, f"waits for {', '.join(blockers)}")
    if outcome is None:
        run.listener(ChangeStarted(change))
        begun = run.effects.monotonic()
        outcome = judge_attempt(run, change, begun)
    run.listener(ChangeFinished(outcome))
    return outcome


def judge_attempt(run: Run, change: Change, begun: float) -> Outcome:
    """Take the step; every failure becomes an outcome."""

    def outcome(state: OutcomeState, detail: str = "", way_out: str = "", links: tuple[Link, ...] = ()) -> Outcome:
        return Outcome(change, state, detail, way_out, run.effects.monotonic() - begun, links)

    try:
        if isinstance(change, ASK_BEFORE):
            run.lock.check()
        else:
            run.lock.keep_alive()
        detail = take_step(run, change)
    except Incomplete as error:
        state = OutcomeState.PARTLY_DONE if error.links else OutcomeState.SKIPPED
        return outcome(state, error.message, error.way_out, error.links)
    except LockLost as error:
        run.stop.set()
        run.lock_was_lost = True
        state = OutcomeState.UNKNOWN if error.effect_is_unknown else OutcomeState.FAILED
        return outcome(state, error.message, error.way_out)
    except Interrupted:
        return outcome(OutcomeState.UNKNOWN, "interrupted while it ran", "run apply again: it looks at what is live")
    except (ApiError, SinkError) as error:
        unknown = error.effect_is_unknown if isinstance(error, ApiError) else error.outcome_is_unknown
        return outcome(OutcomeState.UNKNOWN if unknown else OutcomeState.FAILED, error.message, error.way_out)
    except KeyformError as error:
        return outcome(OutcomeState.FAILED, error.message, error.way_out)
    return outcome(OutcomeState.DONE, detail)


def find_blockers(run: Run, change: Change) -> list[str]:
    """What the change waits for in vain. Coalesced writes sort their links out themselves."""
    match change:
        case Bind() | Unbind():
            return []
        case Prove() | Publish():
            return _unless_done(run, _without_binds(change.depends_on)) + _not_bound(run, change)
        case DeleteKey() | RemoveRecord():
            return _unless_done(run, _without_unbinds(change.depends_on)) + _not_unbound(run, change)
        case _:
            return _unless_done(run, change.depends_on)


def _unless_done(run: Run, ids: Iterable[str]) -> list[str]:
    return [change_id for change_id in ids if not run.is_done(change_id)]


def _without_binds(ids: Iterable[str]) -> list[str]:
    return [change_id for change_id in ids if not change_id.startswith("bind:")]


def _without_unbinds(ids: Iterable[str]) -> list[str]:
    return [change_id for change_id in ids if not change_id.startswith("unbind:")]


def _not_bound(run: Run, change: Prove | Publish) -> list[str]:
    """Binds in which this generation itself did not get its place."""
    return [
        bind.id
        for bind in map(run.changes.get, change.depends_on)
        if isinstance(bind, Bind) and (bind.endpoint, change.live_name) not in run.bound
    ]


def _not_unbound(run: Run, change: DeleteKey | RemoveRecord) -> list[str]:
    """Unbinds in which this live key, or for a record any of its key's, did not lose its place."""
    return [
        unbind.id
        for unbind in map(run.changes.get, change.depends_on)
        if isinstance(unbind, Unbind)
        and any(
            (unbind.endpoint, link.live_name) not in run.unbound
            for link in unbind.links
            if (link.live_name == change.live_name if isinstance(change, DeleteKey) else link.key == change.key)
        )
    ]
