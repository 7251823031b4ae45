"""The loop: step by step, each step's changes in parallel, and an outcome for every one."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from reconciler.api import Api
from reconciler.apply.last_look import look_once_more
from reconciler.apply.listed import look_at_listed, look_at_made
from reconciler.apply.lists import lists_locked
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
    Copy,
    CreateGeneration,
    Note,
    OpenEndpoint,
    Plan,
    Publish,
    RemoveRecord,
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
    (Step.UNBIND, Step.OPEN_ENDPOINT),  # an endpoint opens in the write that unlinks its last key
    (Step.REMOVE_RECORD,),
    (Step.DELETE_KEY,),
)
ASK_BEFORE = (Step.REMOVE_RECORD, Step.DELETE_KEY)
"""Before each of these the lock is checked: a run that took it over would not see our changes. Writes of bindings and
secrets check it themselves, right before each write.
"""
MOVES = (Step.BIND, Step.UNBIND, Step.OPEN_ENDPOINT)
"""These write lists of keys."""


def check_plan(plan: Plan) -> None:
    """Raise PlanRefused for a plan that safety refuses: before anything is changed, the lock included."""
    if plan.refusals:
        raise PlanRefused("The plan is refused. Nothing was changed.", plan.refusals)


def rehearse(run: Run) -> Iterator[tuple[ChangeId, KeyformError]]:
    """Let each sink that is needed rehearse its writes, and yield the changes that do not begin, each with the reason.

    keyform creates no key whose secret could not be saved, and deletes none whose record could not be removed.
    Everything else continues.
    """
    written: defaultdict[str, set[str]] = defaultdict(set)
    for change in run.plan.changes:
        match change:
            case Publish(sinks=sinks) | Copy(sinks=sinks):
                for sink in sinks:
                    written[sink].add(change.key)
            case RemoveRecord(sink=sink):
                written[sink] |= set()
            case _:
                pass
    for sink in sorted(written):
        if run.stop.is_set():
            return
        try:
            run.sinks[sink].rehearse(sorted(written[sink]))
        except KeyformError as error:
            for change in run.plan.changes:
                match change:
                    case CreateGeneration(key=key) if key in written[sink]:
                        yield change.id, error
                    case Copy(sinks=sinks) if sink in sinks:
                        yield change.id, error
                    case RemoveRecord(sink=where) if where == sink:
                        yield change.id, error
                    case _:
                        pass


def tidy_sinks(sinks: Mapping[str, Sink]) -> list[SinkError]:
    """Let sinks clean up what a run left that died while it wrote, before any change depends on what they hold.

    A sink that fails counts as unreadable, and is returned.
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

    If that differs, the live state has changed since: the caller compares, then refuses, or checks and applies the new
    one. Raises what `check_plan` raises, and LockHeld if another run has the lock: before anything is changed.
    """
    check_plan(plan)
    with lock.held(timeout=timeout):
        tidy_sinks(sinks)
        yield look()


def clear_away(lock: Lock, sinks: Mapping[str, Sink]) -> None:
    """Remove what a run left that died after its last change, if there is nothing to apply.

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
    fence: Lock | None = None,
    parallelism: int = 10,
    listener: Callable[[Event], None] = lambda _: None,
    stop: threading.Event | None = None,
    lock_timeout: float = 0.0,
) -> Result:
    """Carry out a checked plan, and return the outcomes; the caller holds the lock, which is the `fence`.

    Failures do not raise: they are outcomes, and what does not depend on them continues. Once `stop` is set, running
    changes are finished, and of the others only those begin that publish what is created and bound. `lock_timeout` is
    how many seconds the user would wait for a lock.
    """
    fence, stop = fence or NoLock(), stop or threading.Event()
    lists = fence.for_lists(plan.project) if api.capabilities.shares_lists else None
    run = Run(plan, api.fenced(fence), sinks, effects, listener, stop, fence, lists, lock_timeout)
    run.held_up.update(rehearse(run))
    for changes in in_turn(plan.changes):
        take_turn(run, find_ready(run, changes), parallelism)
    look_once_more(run)
    look_at_listed(run)
    told = tuple(run.outcomes[change.id] for change in plan.changes)
    return Result(plan, told, interrupted=stop.is_set(), lock_was_lost=run.lock_was_lost)


def take_turn(run: Run, changes: Sequence[Change], parallelism: int) -> None:
    """Make these changes in parallel; lists of keys under the lock that all stacks share."""

    def act_on(groups: Sequence[Sequence[Change]]) -> None:
        for outcomes in side_by_side(lambda group: attempt(run, group), groups, parallelism):
            run.outcomes.update({outcome.change.id: outcome for outcome in outcomes})

    if not changes or changes[0].step not in MOVES:
        act_on([[change] for change in changes])
        if changes and changes[0].step is Step.CREATE_GENERATION:
            look_at_made(run, changes)
        return
    try:
        with lists_locked(run):
            act_on(movable(run, changes))
    except KeyformError as error:  # from the lock: nothing was begun
        outcomes = [
            not_begun(run, change) if isinstance(error, Interrupted) else conclude(run, change, error, 0.0)
            for change in changes
        ]
        run.outcomes.update({outcome.change.id: outcome for outcome in outcomes})
        run.listener(Finished(tuple(outcomes)))


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
    """The changes that begin: they wait for nothing, or for what is done in the same write; the others get their
    outcome.
    """
    ready: dict[ChangeId, Change] = {}
    for change in changes:
        if not run.begins(change):
            run.outcomes[change.id] = not_begun(run, change)
            run.listener(Finished((run.outcomes[change.id],)))
            continue
        waits_for = [each for each in change.depends_on if not run.is_in(each, OutcomeState.DONE) and each not in ready]
        if waits_for:
            # A change that was itself skipped is not the reason: everything about a key that could not be created waits
            # for the create alone.
            causes = [each for each in waits_for if not run.is_in(each, OutcomeState.SKIPPED)] or waits_for
            outcome = Outcome(change, OutcomeState.SKIPPED, f"waits for {', '.join(each.in_words for each in causes)}")
            run.outcomes[change.id] = outcome
            run.listener(Finished((outcome,)))
        else:
            ready[change.id] = change
    return list(ready.values())


def attempt(run: Run, changes: Sequence[Change]) -> list[Outcome]:
    """One step, or one write of several, and the outcome of each change."""
    if not all(map(run.begins, changes)):
        outcomes = [not_begun(run, change) for change in changes]
    else:
        run.listener(Started(tuple(changes)))
        begun = run.effects.monotonic()
        results = act(run, changes)
        seconds = run.effects.monotonic() - begun
        outcomes = [conclude(run, change, results.get(change.id, ""), seconds) for change in changes]
    run.listener(Finished(tuple(outcomes)))
    return outcomes


def not_begun(run: Run, change: Change) -> Outcome:
    """The outcome of a change that no longer begins."""
    why = "the lock was lost before it started" if run.lock_was_lost else "the run was interrupted before it started"
    return Outcome(change, OutcomeState.NOT_STARTED, why)


def act(run: Run, changes: Sequence[Change]) -> Mapping[ChangeId, KeyformError | str]:
    """Do it, and return per change why it was not done, or what is worth reporting although it was."""
    try:
        if error := next((run.held_up[change.id] for change in changes if change.id in run.held_up), None):
            raise error
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
            way_out = "run apply again: it starts from what is live"
            return Outcome(change, OutcomeState.UNKNOWN, "the run was interrupted during this step", way_out, seconds)
        case LockLost():
            run.lock_was_lost = True
        case _:
            pass
    state = OutcomeState.UNKNOWN if result.effect_is_unknown else OutcomeState.FAILED
    return Outcome(change, state, result.message, result.way_out, seconds)


def find_exposures(result: Result, api: Api, look_again: Callable[[], Plan]) -> Iterator[Note]:
    """What is not as it should be after the lock was lost: our last writes may have crossed those of another run.

    That is what such a write left on its endpoint, what is public, and what another apply would restore.
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
                sentence = f"may have been changed after the lock was lost: {finding}"
                yield Note("written_without_the_lock", str(ref), sentence)
        now = look_again()
    except KeyformError as error:
        yield Note("exposures_are_unknown", "", f"the live state could not be read again: {error.message}")
        return
    yield from now.exposures
    for address, sentence in dict.fromkeys((change.address, change.reason.sentence) for change in now.changes):
        yield Note("lock_was_lost", address, f"is not as declared: {sentence}")
