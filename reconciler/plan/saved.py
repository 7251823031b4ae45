"""A saved plan against the plan of now: what stands in both, and what has moved in between.

A saved plan is an upper bound on what may happen, never an instruction: only changes of the plan of now are carried
out, those that the saved one has, too. What differs only by the passing of time counts as the same: the instant of a
plan in its markers, and an expiry that is a `lifetime` from then.

Every object that a saved change touches is compared with what the plan was made from. Others may move.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.model import Binding, Ownership
from reconciler.plan.changes import (
    Bind,
    Change,
    ChangeId,
    CreateGeneration,
    Object,
    OpenEndpoint,
    Plan,
    Unbind,
    UpdateKey,
)

MOST_TOLD = 20
"""How many differences are listed."""
_DERIVED = frozenset({"reason", "diff", "depends_on", "length"})
"""Fields of a change that follow from others, or explain it."""
_COMPARED = {"key": ("generations", "records", "sinks"), "endpoint": ("auth", "foreign_keys")}
"""What a change rests on, of the attributes of a key and of an endpoint. Other keys come and go at an endpoint."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A field of an object that a saved plan touches, and that has another value by now; in words."""

    address: str
    field: str
    then: str
    now: str

    def __str__(self) -> str:
        return f"{self.address}: {self.field} was {self.then}, and is {self.now}"


def limit(saved: Plan, fresh: Plan, shown: Plan | None = None) -> Plan:
    """The plan of now without everything that the saved one does not have, and without what depends on that.

    `shown` is the plan of now in the form in which it would be saved: without credentials.
    """
    allowed = {change.id: change for change in saved.changes}
    pairs = zip(fresh.changes, (shown or fresh).changes, strict=True)
    kept = [each for each, seen in pairs if seen.id in allowed and is_same(allowed[seen.id], saved, seen, fresh)]
    kept_ids = {change.id for change in kept}
    while True:
        closed = {each.endpoint for each in fresh.changes if isinstance(each, OpenEndpoint) and each.id not in kept_ids}
        kept = [each for each in kept if kept_ids.issuperset(each.depends_on) and not _empties(each, closed)]
        if len(kept) == len(kept_ids):
            break
        kept_ids = {change.id for change in kept}
    stay = (
        Binding(each.live.id, each.endpoint)
        for each in fresh.changes
        if isinstance(each, Unbind) and each.key and each.id not in kept_ids
    )
    touched = {change.address for change in kept}
    known = {(note.code, note.address) for note in saved.exposures}
    return replace(
        fresh,
        changes=tuple(kept),
        keeps=fresh.keeps.union(stay),
        exposures=tuple(note for note in fresh.exposures if (note.code, note.address) in known),
        resources=tuple(
            each if each.address in touched else replace(each, after=each.before) for each in fresh.resources
        ),
    )


def leave_out(plan: Plan, done: Plan) -> tuple[Change, ...]:
    """The changes of a plan that are not part of what is carried out."""
    ids = {change.id for change in done.changes}
    return tuple(change for change in plan.changes if change.id not in ids)


def is_same(one: Change, saved: Plan, other: Change, fresh: Plan) -> bool:
    """Whether two changes of one id do the same, whenever their plans were made."""
    fields = type(one).__dataclass_fields__.keys() - _DERIVED
    if type(one) is not type(other) or one.reason.code != other.reason.code:
        return False
    return all(
        (then := getattr(one, name)) == (now := getattr(other, name))
        or (name == "expires_at" and _is_from_a_lifetime(one) and _is_from_a_lifetime(other))
        or (isinstance(then, Ownership) and isinstance(now, Ownership) and _is_timed(then, saved, now, fresh))
        for name in fields
    )


def _is_from_a_lifetime(change: Change) -> bool:
    return isinstance(change, CreateGeneration | UpdateKey) and change.length is not None


def _is_timed(then: Ownership, saved: Plan, now: Ownership, fresh: Plan) -> bool:
    """Whether two markers differ only in their instants, each that of its plan."""
    return (then.since, now.since) == (saved.made_at, fresh.made_at) and replace(then, since=now.since) == now


def _empties(change: Change, closed: Collection[object]) -> bool:
    """Whether a change may take the last key from an endpoint that is not opened in the same write."""
    return isinstance(change, Unbind) and change.endpoint in closed


def find_moved(saved: Plan, fresh: Plan) -> tuple[Moved, ...]:
    """What the saved plan touches and is no longer as it was then."""
    return tuple(_find_moved(saved, fresh))


def _find_moved(saved: Plan, fresh: Plan) -> Iterator[Moved]:
    then, now = ({each.address: each.before for each in plan.resources} for plan in (saved, fresh))
    # An endpoint that the file does not name is no resource of the stack once no key of it is bound there.
    named = {str(each.endpoint) for each in saved.changes if isinstance(each, Bind) or not each.key}
    for address in sorted(addresses_of(saved.changes)):
        if address not in now and address in then and not address.startswith("key.") and address not in named:
            continue
        yield from _compare(address, then.get(address), now.get(address), foreign_at(saved, address))
    known = {(note.code, note.address) for note in saved.exposures}
    for note in fresh.exposures:
        if note.address in addresses_of(saved.changes) and (note.code, note.address) not in known:
            yield Moved(note.address, "exposure", "none of this kind", note.sentence)


def addresses_of(changes: Collection[Change]) -> set[str]:
    """The keys and the endpoints that changes touch."""
    return {change.address for change in changes} | {str(each.endpoint) for each in changes if each.endpoint}


def foreign_at(plan: Plan, address: str) -> set[str]:
    """The foreign keys that a plan unlinks from an endpoint."""
    return {
        change.live.name
        for change in plan.changes
        if isinstance(change, Unbind) and not change.key and str(change.endpoint) == address
    }


def _compare(address: str, then: Object | None, now: Object | None, foreign: Collection[str]) -> Iterator[Moved]:
    if then is None or now is None:
        if (then is None) != (now is None):
            yield Moved(address, "it", _existence(then), _existence(now))
        return
    if address.startswith("key."):
        yield from _compare_listed(address, "generation", "name", then["generations"], now["generations"])
        yield from _compare_listed(address, "record in sink", "sink", then.get("records"), now.get("records"))
        yield from _compare_fields(address, "", {"sinks": then["sinks"]}, {"sinks": now["sinks"]})
        return
    was, has = (
        {"auth": each["auth"], "foreign keys": sorted(set(_texts(each["foreign_keys"])) & set(foreign))}
        for each in (then, now)
    )
    yield from _compare_fields(address, "", was, has)


def _compare_listed(address: str, noun: str, name: str, then: object, now: object) -> Iterator[Moved]:
    """Two lists of objects that have names."""
    was, has = ({str(each[name]): each for each in _objects(listed)} for listed in (then, now))
    for each in sorted(was.keys() | has.keys()):
        if each not in was or each not in has:
            yield Moved(address, f"{noun} {each}", _existence(was.get(each)), _existence(has.get(each)))
        else:
            yield from _compare_fields(address, f"{noun} {each}: ", was[each], has[each])


def _compare_fields(
    address: str, prefix: str, then: Mapping[str, object], now: Mapping[str, object]
) -> Iterator[Moved]:
    for field in sorted(then.keys() | now.keys()):
        if then.get(field) != now.get(field):
            yield Moved(address, f"{prefix}{field.replace('_', ' ')}", _told(then.get(field)), _told(now.get(field)))


def _existence(found: Object | None) -> str:
    return "not there" if found is None else "there"


def _objects(value: object) -> list[Object]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _told(value: object) -> str:
    match value:
        case None | [] | "":
            return "empty"
        case list():
            return ", ".join(map(str, value))
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def is_applied(saved: Plan, fresh: Plan) -> bool:
    """Whether everything that a saved plan changes is as it was to be: it was applied, or something else did it."""
    if not saved.changes or limit(saved, fresh).changes:
        return False
    wanted, live = (
        {each.address: each.after for each in saved.resources},
        {each.address: each.before for each in fresh.resources},
    )
    return all(
        _matches(wanted.get(each), live.get(each))
        for each in addresses_of(saved.changes)
        if each in live or each.startswith("key.")
    )


def _matches(wanted: Object | None, live: Object | None) -> bool:
    """Whether an object is as it was to be, apart from what only an apply gives."""
    if wanted is None or live is None:
        return wanted is live
    if "generations" in wanted and "auth" not in wanted:
        names, found = ([each["name"] for each in _objects(tree["generations"])] for tree in (wanted, live))
        fields = ("deployments", "applications", "sinks", "description")
        return names == found and all(wanted[field] == live[field] for field in fields)
    return all(wanted[field] == live[field] for field in ("auth", "generations"))


def in_words(changes: Collection[Change]) -> list[str]:
    """A few of these changes."""
    told = [f"{change.address}: {_id(change.id)}" for change in changes][:MOST_TOLD]
    return [*told, f"and {len(changes) - MOST_TOLD} more"] if len(changes) > MOST_TOLD else told


def _id(change: ChangeId) -> str:
    return change.in_words
