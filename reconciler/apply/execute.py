"""The loop: step by step, each step's changes side by side, and an outcome for every one."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from reconciler.api import Api, Fence
from reconciler.apply.lock import Lock, NoLock
from reconciler.apply.moves import movable, move
from reconciler.apply.run import Run
from reconciler.apply.steps import take_step
from reconciler.effects import Effects
from reconciler.errors import Interrupted, KeyformError, LockLost, PlanRefused, SinkError
from reconciler.plan.cases import name_some
from reconciler.plan.changes import (
    Bind,
    Change,
    ChangeId,
    Note,
    OpenEndpoint,
    Plan,
    Step,
    Unbind,
    UpdateKey,
)
from reconciler.plan.outcomes import Event, Finished, Outcome, OutcomeState, Result, Started
from reconciler.sinks.protocol import Sink
from reconciler.workers import side_by_side

ORDER: tuple[tuple[Step, ...], ...] = (
    (Step.CREATE_GENERATION,),
    (Step.BIND,),
    (Step.UPDATE_KEY,),
    (Step.PROVE,),
    (Step.PUBLISH,),
    (Step.COPY,),
    (Step.UNBIND, Step.OPEN_ENDPOINT),  # an endpoint opens in the write that takes its last key off
    (Step.REMOVE_RECORD,),
    (Step.DELETE_KEY,),
)
ASK_BEFORE = (Step.REMOVE_RECORD, Step.DELETE_KEY)
"""Before each of these the lock is looked at: whoever took it over would see what we did not. What writes bindings and
secrets looks for itself, right before each write."""


def check_plan(plan: Plan) -> None:
    """Raise PlanRefused for a plan that safety refuses: before anything is changed, the lock included."""
    if plan.refusals:
        raise PlanRefused("The plan is refused; nothing was changed.", plan.refusals)


def tidy_sinks(sinks: Mapping[str, Sink]) -> list[SinkError]:
    """Let sinks clear away what a run left that died while it wrote, before any change rests on what they hold.

    One that fails counts as one that cannot be read, and is returned.
    """
    errors = []
    for sink in (sinks[name] for name in sorted(sinks) if sinks[name].traits.tidies):
        sink.untidied = None
        try:
            sink.tidy()
        except SinkError as error:
            sink.untidied = error
            errors.append(error)
    return errors


@contextmanager
def locked(
    lock: Lock, plan: Plan, sinks: Mapping[str, Sink], look: Callable[[], Plan], *, timeout: float = 0.0
) -> Iterator[Plan]:
    """Check a plan, take the lock for a block, waiting at most `timeout` seconds, and yield the plan as of then.

    If that differs, what is live has changed since: the caller compares, then refuses, or checks and applies the new
    one. Raises what `check_plan` raises, and LockHeld when another run has the lock: before anything is changed.
    """
    check_plan(plan)
    with lock.held(timeout=timeout):
        tidy_sinks(sinks)
        yield look()


def clear_away(lock: Lock, sinks: Mapping[str, Sink]) -> None:
    """Remove what a run left that died after its last change, where there is nothing to apply.

    Raises the SinkError of the first sink that cannot be tidied, once all others are.
    """
    lock.sweep()
    for error in tidy_sinks(sinks):
        raise error


def apply_plan(
    plan: Plan,
    api: Api,
    sinks: Mapping[str, Sink],
    effects: Effects,
    *,
    fence: Fence | None = None,
    parallelism: int = 10,
    listener: Callable[[Event], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> Result:
    """Do what a checked plan says, and tell what came of it; the caller has the lock that is the `fence`.

    Failures do not raise: they are outcomes, and what does not depend on them goes on. Once `stop` is set, running
    changes are finished and no others begun.
    """
    fence = fence or NoLock()
    run = Run(plan, api.fenced(fence), sinks, effects, listener, stop or threading.Event(), fence)
    for changes in in_turn(plan.changes):
        ready = find_ready(run, changes)
        # Once it is to stop, nothing is grouped: what was not made has no id to be told apart by.
        moves = changes[0].step in (Step.BIND, Step.UNBIND, Step.OPEN_ENDPOINT) and not run.stop.is_set()
        groups = movable(run, ready) if moves else [[change] for change in ready]
        for outcomes in side_by_side(lambda group: attempt(run, group), groups, parallelism):
            run.outcomes.update({outcome.change.id: outcome for outcome in outcomes})
    told = tuple(run.outcomes[change.id] for change in plan.changes)
    return Result(plan, told, interrupted=run.stop.is_set(), lock_was_lost=run.lock_was_lost)


def in_turn(changes: Sequence[Change]) -> list[list[Change]]:
    """The changes that are made at the same time, in the order of an apply."""
    turns: defaultdict[tuple[int, int], list[Change]] = defaultdict(list)
    for change in changes:
        turns[turn_of(change)].append(change)
    return [turns[turn] for turn in sorted(turns)]


def turn_of(change: Change) -> tuple[int, int]:
    """When a change is made, among all others.

    An expiry is changed before anything is bound: the API may refuse to bind a key that has expired, or take it off
    again [U].
    """
    if isinstance(change, UpdateKey) and change.sets_expiry:
        return turn_of_step(Step.BIND), 0
    return turn_of_step(change.step), 1


def turn_of_step(step: Step) -> int:
    """Its place in `ORDER`."""
    return next(number for number, steps in enumerate(ORDER) if step in steps)


def find_ready(run: Run, changes: Sequence[Change]) -> list[Change]:
    """Those of these that wait for nothing, or for what is done in the same write; the others get their outcome."""
    if run.stop.is_set():
        return list(changes)  # none of them begins, whatever it waits for
    ready: dict[ChangeId, Change] = {}
    for change in changes:
        waits_for = [each for each in change.depends_on if not run.is_in(each, OutcomeState.DONE) and each not in ready]
        if waits_for:
            # A change that was itself skipped is not the reason: everything about a key that could not be made waits
            # for the create alone.
            causes = [each for each in waits_for if not run.is_in(each, OutcomeState.SKIPPED)] or waits_for
            outcome = Outcome(change, OutcomeState.SKIPPED, f"waits for {', '.join(each.in_words for each in causes)}")
            run.outcomes[change.id] = outcome
            run.listener(Finished((outcome,)))
        else:
            ready[change.id] = change
    return list(ready.values())


def attempt(run: Run, changes: Sequence[Change]) -> list[Outcome]:
    """One step, or one write of several, and what came of each change."""
    if run.stop.is_set():
        outcomes = [Outcome(change, OutcomeState.NOT_STARTED, "interrupted before its turn") for change in changes]
    else:
        run.listener(Started(tuple(changes)))
        begun = run.effects.monotonic()
        results = act(run, changes)
        seconds = run.effects.monotonic() - begun
        outcomes = [conclude(run, change, results.get(change.id, ""), seconds) for change in changes]
    run.listener(Finished(tuple(outcomes)))
    return outcomes


def act(run: Run, changes: Sequence[Change]) -> Mapping[ChangeId, KeyformError | str]:
    """Do it, and return per change why it was not done, or what is worth reporting although it was."""
    try:
        if changes[0].step in ASK_BEFORE:
            run.fence.check()
        else:
            run.fence.keep_alive()
        if isinstance(changes[0], Bind | Unbind | OpenEndpoint):
            return move(run, changes)
        return {change.id: take_step(run, change) for change in changes}
    except KeyformError as error:
        return dict.fromkeys((change.id for change in changes), error)


def conclude(run: Run, change: Change, result: KeyformError | str, seconds: float) -> Outcome:
    """The outcome; every failure becomes one."""
    match result:
        case str():
            return Outcome(change, OutcomeState.DONE, result, seconds=seconds)
        case Interrupted():
            way_out = "run apply again: it looks at what is live"
            return Outcome(change, OutcomeState.UNKNOWN, "interrupted while it ran", way_out, seconds)
        case LockLost():
            run.stop.set()
            run.lock_was_lost = True
        case _:
            pass
    state = OutcomeState.UNKNOWN if result.effect_is_unknown else OutcomeState.FAILED
    return Outcome(change, state, result.message, result.way_out, seconds)


def find_exposures(result: Result, api: Api, look_again: Callable[[], Plan]) -> Iterator[Note]:
    """What is not as it should be, now that the lock was lost: our last writes may have crossed those of another run.

    That is what such a write left on its endpoint, what is public, and what another apply would put right.
    """
    unknown = {
        outcome.change.endpoint
        for outcome in result.outcomes
        if outcome.state is OutcomeState.UNKNOWN and isinstance(outcome.change, Bind | Unbind | OpenEndpoint)
    }
    try:
        names = {key.id: key.name for key in api.list_keys()} if unknown else {}
        for ref in sorted(unknown):
            live = api.read_endpoint(ref)
            if live is not None:
                bound = name_some([names.get(key_id, key_id) for key_id in live.bound])
                finding = f"it takes {bound}" if live.endpoint.auth_enabled else "it is PUBLIC"
                sentence = f"may have been written after the lock was lost, and {finding}"
                yield Note("written_without_the_lock", str(ref), sentence)
        now = look_again()
    except KeyformError as error:
        yield Note("exposures_are_unknown", "", f"what is live could not be read again: {error.message}")
        return
    yield from now.exposures
    for address, sentence in dict.fromkeys((change.address, change.reason.sentence) for change in now.changes):
        yield Note("lock_was_lost", address, f"is not as declared: {sentence}")
