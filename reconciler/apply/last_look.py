"""The last look of a run that wrote lists: whether all lists are as it left them, and as it found the others.

A writer may ignore the locks: the portal, another tool, or a stack whose lock is a file. It may change a list that the
run had nothing to write on. The run repeats once what such a write undid. If that does not last, the run says so, and
exits with 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.api import Move
from reconciler.apply.lists import lists_locked
from reconciler.apply.moves import AGAIN, gather, is_in_use
from reconciler.apply.run import Run
from reconciler.apply.steps import LOOKS, PAUSE, find_key
from reconciler.errors import Interrupted, KeyformError, LockLost, PlanIsStale
from reconciler.model import Binding
from reconciler.plan.changes import Bind, OpenEndpoint, Unbind
from reconciler.plan.outcomes import Outcome, OutcomeState, StepNote

OTHERS = "somebody else writes its list of keys, past the lock"
WAY_OUT = "find out who else writes it, and run apply again"


@dataclass(frozen=True)
class Undone:
    """What differs from what the run left: lost bindings, and returned ones, each with the change whose outcome reports
    it. `kept` are those of the lost ones that this run did not make. `names` are the keys' by their ids. `strange` are
    those of the lost ones whose live key is no longer this stack's: they are not restored.
    """

    lost: Mapping[Binding, Bind | Unbind] = field(default_factory=dict)
    back: Mapping[Binding, Unbind] = field(default_factory=dict)
    kept: frozenset[Binding] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)
    strange: frozenset[Binding] = frozenset()

    def describe(self, binding: Binding) -> str:
        """What is wrong with one."""
        name = self.names[binding.key_id]
        return (
            f"{name} is on {binding.endpoint} again" if binding in self.back else f"{binding.endpoint} has lost {name}"
        )

    def __bool__(self) -> bool:
        return bool(self.lost or self.back)


def look_once_more(run: Run) -> None:
    """Read all bindings again, and restore what the run had done to them; what does not last is not done."""
    moved = [
        change
        for change in run.plan.changes
        if isinstance(change, Bind | Unbind) and run.is_in(change.id, OutcomeState.DONE)
    ]
    if not moved or run.lock_was_lost:
        return
    try:
        undone = find_undone(run, moved)
        errors: Mapping[Move, KeyformError] = {}
        if undone:
            tell(run, undone)
            with lists_locked(run):
                errors = restore(run, undone)
            undone = look_until_restored(run, moved)
    except KeyformError as error:
        run.lock_was_lost |= isinstance(error, LockLost)
        why = "interrupted before its last look" if isinstance(error, Interrupted) else error.message
        for change in moved:
            detail = f"it was done, and could not be looked at once more: {why}"
            run.outcomes[change.id] = Outcome(change, OutcomeState.UNKNOWN, detail, "run apply again")
        return
    for binding, change in {**undone.lost, **undone.back}.items():
        problem, finding = errors.get(binding), undone.describe(binding)
        detail = f"{finding}: {problem.message if problem else OTHERS}"
        way_out = (problem and problem.way_out) or WAY_OUT
        run.outcomes[change.id] = Outcome(change, OutcomeState.FAILED, detail, way_out)


def look_until_restored(run: Run, moved: list[Bind | Unbind]) -> Undone:
    """What still differs from what the run left: lists may be old, so this takes as many looks as a key."""
    undone = find_undone(run, moved)
    for look in range(1, LOOKS):
        if not undone:
            break
        run.effects.sleep(PAUSE * 2 ** (look - 1))
        undone = find_undone(run, moved)
    return undone


def find_undone(run: Run, moved: list[Bind | Unbind]) -> Undone:
    """What differs from what the run left, by a reading that its own lock still covers."""
    run.fence.check()
    live = run.api.list_bindings()
    by_binding = {Binding(run.id_of(change.live), change.endpoint): change for change in moved}
    made = {binding: change for binding, change in by_binding.items() if isinstance(change, Bind)}
    gone = {binding: change for binding, change in by_binding.items() if isinstance(change, Unbind)}
    kept = run.kept.all() - gone.keys()
    names = {run.id_of(change.live): change.live.name for change in moved}
    lost: dict[Binding, Bind | Unbind] = {}
    strange: set[Binding] = set()
    for binding in sorted((kept | made.keys()) - live):
        key = find_key(run, binding.key_id)
        if key is None and binding not in made:
            continue  # someone deleted it, which is not a write of a list
        if key is not None and key.is_expired(run.api.now()):
            continue  # the server may unlink it by itself [U]
        if key is not None:
            names[key.id] = key.name
            if key.ownership is None or key.ownership.stack != run.plan.stack:
                strange.add(binding)
        # A binding that stays has no change: it is reported with one at the same endpoint, or of the same key.
        near = (
            *(change for other, change in by_binding.items() if binding.endpoint == other.endpoint),
            *(change for other, change in by_binding.items() if binding.key_id == other.key_id),
        )
        lost[binding] = made.get(binding) or (*near, *moved)[0]
    back = {binding: gone[binding] for binding in sorted(gone.keys() & live)}
    return Undone(lost, back, frozenset(lost) - made.keys(), names, frozenset(strange))


def tell(run: Run, undone: Undone) -> None:
    """Report what is restored."""
    for binding, change in {**undone.lost, **undone.back}.items():
        if binding not in undone.strange:
            run.listener(StepNote(change.id, f"{undone.describe(binding)}, and is put right"))


def restore(run: Run, undone: Undone) -> Mapping[Move, KeyformError]:
    """Repeat what was undone, each write as safe as the first; returns why any of it was not done."""
    moves: dict[Move, Bind | Unbind | OpenEndpoint | None] = {
        binding: None if binding in undone.kept else change
        for binding, change in undone.lost.items()
        if binding not in undone.strange
    }
    moves |= {
        binding: change
        for binding, change in undone.back.items()
        if not (change.is_disposable and is_in_use(run, change))
    }
    emptied = {binding.endpoint for binding in undone.back}
    moves |= {
        change.endpoint: change
        for change in run.plan.changes
        if isinstance(change, OpenEndpoint) and change.endpoint in emptied and run.is_in(change.id, OutcomeState.DONE)
    }
    errors: dict[Move, KeyformError] = {
        binding: PlanIsStale(f"the live key {undone.names[binding.key_id]} is not this stack's any more", way_out=AGAIN)
        for binding in undone.strange
    }
    for group in run.api.group(moves):
        try:
            errors |= run.api.rebind(gather(run, {move: moves[move] for move in group}))
        except (Interrupted, LockLost):
            raise
        except KeyformError as error:
            errors |= dict.fromkeys(group, error)
    return errors
