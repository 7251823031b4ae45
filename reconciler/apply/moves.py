"""Changes that make and remove bindings, those of one write together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.api import Move, Rebinding
from reconciler.apply.run import Run
from reconciler.apply.steps import find_key
from reconciler.errors import KeyformError, PlanIsStale
from reconciler.model import Binding, EndpointRef, Phase
from reconciler.plan.changes import Bind, Change, ChangeId, OpenEndpoint, Unbind

AGAIN = "run plan again"


def movable(run: Run, changes: Sequence[Change]) -> list[list[Change]]:
    """The changes, grouped by write, as the API says."""
    moves = {move_of(run, change): change for change in changes}
    return [[moves[each] for each in group] for group in run.api.group(moves)]


def move_of(run: Run, change: Change) -> Move:
    """The effect of a change on bindings, in the API's terms."""
    match change:
        case OpenEndpoint(endpoint=ref):
            return ref
        case Bind(live=live, endpoint=ref) | Unbind(live=live, endpoint=ref):
            return Binding(run.id_of(live), ref)
        case _:
            raise TypeError(f"{type(change).__name__} moves nothing")


def move(run: Run, changes: Sequence[Change]) -> Mapping[ChangeId, KeyformError | str]:
    """Do one write of bindings, and return why any change was not done.

    A disposable key goes only while its marker still says so; an endpoint opens only if all its keys go.
    """
    failed: dict[ChangeId, KeyformError | str] = {}
    moves: dict[Move, Change] = {}
    for change in changes:
        if isinstance(change, Unbind) and change.is_disposable and is_in_use(run, change):
            failed[change.id] = PlanIsStale(f"the live key {change.live.name} is in use now", way_out=AGAIN)
        elif isinstance(change, OpenEndpoint) and any(each in failed for each in change.depends_on):
            failed[change.id] = PlanIsStale(f"{change.endpoint} still has a key, so it is not opened", way_out=AGAIN)
        else:
            moves[move_of(run, change)] = change
    if not moves:
        return failed
    wanted = gather(run, moves)
    for each, error in run.api.rebind(wanted).items():
        failed[moves[each].id] = error
    run.kept.add(binding for binding in wanted.add if moves[binding].id not in failed)
    run.going.remove(binding for binding in wanted.remove if moves[binding].id not in failed)
    return failed


def gather(run: Run, moves: Mapping[Move, Change | None]) -> Rebinding:
    """Everything that the write has to know about the endpoints and keys that it touches.

    A binding without a change is one that stays, and was lost.
    """
    bindings = {each for each in moves if isinstance(each, Binding)}
    opens = frozenset(each for each in moves if isinstance(each, EndpointRef))
    add = frozenset(each for each in bindings if isinstance(moves[each], Bind | None))
    closes = frozenset(change.endpoint for change in moves.values() if isinstance(change, Bind) and change.closes)
    keep = run.kept.near(bindings, opens)
    # What goes later goes then, and not because of an old reading.
    going = run.going.near(bindings, opens) if add else frozenset()
    return Rebinding(
        add=add,
        remove=frozenset(bindings - add),
        opens=opens,
        keep=(keep | going) - bindings,
        going=going,
        closes=closes,
    )


def is_in_use(run: Run, change: Unbind) -> bool:
    """Whether a secret that was in no sink may be in one now: only its marker shows that, so it is read again."""
    live = find_key(run, change.live.id)
    return live is not None and live.ownership is not None and live.ownership.phase is not Phase.PENDING
