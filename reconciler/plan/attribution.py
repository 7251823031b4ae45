"""Which changes of a plan come from a change of the file, and which were pending before it.

The plan of the file as it was (the base) for the same live state is the measure. A change that is in both, with the
same effect, was pending: drift, a rotation that is due, an earlier change of the file that is not applied. What only
the base's plan does is withdrawn.

change                      is pending if the base's plan
creates, proves, publishes  does so, too, with the same generation; where that is to get something else, it is edited
writes on a live key        writes the same fields; or the same marker for the same other reason, such as an adoption
copies a secret             copies it to the same sinks, and these are where they were
removes a record            removes it from the same place
all others                  has the same: the same step, live key, and endpoint or record

If safety refuses the base's plan and not this one, nothing was pending: this change makes all of it possible.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from reconciler.plan.cases import name_some
from reconciler.plan.changes import (
    Base,
    Change,
    ChangeId,
    Copy,
    CreateGeneration,
    Note,
    Plan,
    Publish,
    RemoveRecord,
    Step,
    UpdateKey,
)

FIELD_WRITES = frozenset({"description_differs", "expiry_differs"})
"""The reasons to write nothing but what the file says about a live key."""
_VERBS = {
    Step.CREATE_GENERATION: ("create", ""),
    Step.BIND: ("bind", "to"),
    Step.UPDATE_KEY: ("update", ""),
    Step.PROVE: ("prove", ""),
    Step.PUBLISH: ("publish", ""),
    Step.COPY: ("copy the secret of", ""),
    Step.UNBIND: ("unbind", "from"),
    Step.OPEN_ENDPOINT: ("turn off its authentication", ""),
    Step.REMOVE_RECORD: ("remove the record of", "from"),
    Step.DELETE_KEY: ("delete", ""),
}


def attribute(plan: Plan, base_plan: Plan, ref: str, commit: str, weakened: Sequence[Note] = ()) -> Plan:
    """The plan with what the base's plan, of the same snapshot and instant, says about it.

    `weakened` says what protects less in the file than at the base.
    """
    is_enabled = bool(base_plan.refusals) and not plan.refusals
    was = {} if is_enabled else {change.id: change for change in base_plan.changes}
    ids = {change.id for change in plan.changes}
    pairs = [(change, was[change.id]) for change in plan.changes if change.id in was]
    places, places_then = ({each.sink: each.place for each in one.destinations} for one in (plan, base_plan))
    moved = frozenset(sink for sink in places.keys() & places_then.keys() if places[sink] != places_then[sink])
    left = [change for change in base_plan.changes if change.id not in ids] if not base_plan.refusals else []
    base = Base(
        ref=ref,
        commit=commit,
        pending=frozenset(change.id for change, old in pairs if is_pending(change, old, moved)),
        withdrawn=tuple(explain_withdrawn(left)),
        weakened=tuple(weakened),
        edited=tuple(explain_edited(pairs, moved)),
        edits=frozenset((change.id, path) for change, old in pairs for path in _edited(change, old, moved)),
        notes=gather_notes(base_plan),
        findings=frozenset((each.path, each.message) for each in (*base_plan.refusals, *base_plan.unmet)),
    )
    return replace(plan, base=base, unproven=tuple(each for each in plan.unproven if each in base_plan.unproven))


def is_pending(change: Change, old: Change, moved: Collection[str] = ()) -> bool:
    """Whether a change has the same effect as that of the same id in the base's plan; `moved` are the sinks that are
    in another place there.
    """
    match change, old:
        case UpdateKey(), UpdateKey():
            if change.reason.code in FIELD_WRITES or old.reason.code in FIELD_WRITES:
                return _written(change) == _written(old)
            return (change.reason.code, _marked(change)) == (old.reason.code, _marked(old))
        case Copy(), Copy():
            return change.sinks == old.sinks and not {*change.sinks, change.source} & {*moved}
        case RemoveRecord(), RemoveRecord():
            return change.keeps_secret == old.keeps_secret and change.sink not in moved
        case _:
            return type(change) is type(old)


def _written(change: UpdateKey) -> object:
    return change.text, change.ownership, change.expires_at, change.adopts


def _marked(change: UpdateKey) -> object:
    """What a marker is written for, apart from the fields that the file says of a key: these are edited."""
    return replace(change.ownership, protected=False), change.adopts, change.taken_from


def explain_edited(pairs: Iterable[tuple[Change, Change]], moved: Collection[str] = ()) -> Iterator[Note]:
    """What a pending generation, or a pending write, gets otherwise by this change, one note for each key."""
    found: dict[str, dict[str, list[str]]] = {}
    for change, old in pairs:
        if paths := list(_edited(change, old, moved)):
            names = found.setdefault(change.address, {}).setdefault(change.id.live.name, [])
            names += [path for path in paths if path not in names]
    for address, edits in found.items():
        for name, paths in edits.items():
            sentence = f"{name} is already pending; this change edits its {_and(paths)}"
            yield Note("pending_change_is_edited", address, sentence)


def _edited(change: Change, old: Change, moved: Collection[str]) -> Iterator[str]:
    """The fields that a change of the file gives another value; of a write, only if it is pending as a whole.

    A sink in another place is another sink.
    """
    match change, old:
        case CreateGeneration(), CreateGeneration():
            yield from _fields(change, old)
        case Publish(), Publish() if {*change.sinks} != {*old.sinks} or {*change.sinks} & {*moved}:
            yield "sink"
        case UpdateKey(), UpdateKey() if is_pending(change, old):
            yield from _fields(change, old)
        case _:
            return


def _fields(change: CreateGeneration | UpdateKey, old: CreateGeneration | UpdateKey) -> Iterator[str]:
    if change.text != old.text:
        yield "description"
    if change.expires_at != old.expires_at:
        yield "expires_at"
    if change.ownership.protected != old.ownership.protected:
        yield "prevent_destroy"


def explain_withdrawn(changes: Iterable[Change]) -> Iterator[Note]:
    """What apply would do without this change of the file, and does not do with it, one note for each address."""
    by_address: dict[str, list[Change]] = {}
    for change in changes:
        by_address.setdefault(change.address, []).append(change)
    for address in sorted(by_address, key=lambda each: (not each.startswith("key."), each)):
        parts = []
        for (step, name), found in groupby(by_address[address], lambda change: (change.step, change.id.live.name)):
            parts.append(_say(step, name, [change.id for change in found]))
        sentence = f"without this change, apply would {_and(parts)}"
        yield Note("change_is_withdrawn", address, sentence)


def _say(step: Step, name: str, ids: Sequence[ChangeId]) -> str:
    verb, preposition = _VERBS[step]
    places = [str(each.at) for each in ids if each.at is not None] if preposition else []
    return " ".join(filter(None, (verb, name, preposition, name_some(places))))


def _and(parts: Sequence[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def gather_notes(plan: Plan) -> frozenset[Note]:
    """Every note of a plan, whatever it is about."""
    return frozenset((*plan.exposures, *plan.warnings, *plan.expiring, *plan.notes, *plan.repairs))
