"""A saved plan against the plan of now: what both have, and what has moved in between.

A saved plan is an upper bound on what may happen, never an instruction: only changes of the plan of now are carried
out, those that the saved one has, too. What differs only by the passing of time counts as the same: the instant of a
plan in its markers, and an expiry that is a `lifetime` from then.

Every object that a saved change touches is compared with what the plan was made from, and so is the place of every
sink that it writes to. Others may move.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.errors import Finding
from reconciler.model import Binding, Ownership
from reconciler.plan.changes import (
    Change,
    Copy,
    CreateGeneration,
    Object,
    OpenEndpoint,
    Plan,
    Publish,
    Unbind,
    UpdateKey,
)
from reconciler.plan.compute import sinks_written

MOST_TOLD = 20
"""How many differences are listed."""
_DERIVED = frozenset({"reason", "diff", "depends_on", "length"})
"""Fields of a change that follow from others, or explain it."""
_FOREIGN = "foreign key "
"""What the facts about foreign keys begin with: only those that the plan unlinks count, others come and go."""
_MISSING = "(not there)"
_KEY_IS_CUT, _FOREIGN_KEY_IS_CUT, _IS_OPENED = "key_loses_access", "foreign_key_is_cut", "endpoint_becomes_public"
_CAUSES = (_KEY_IS_CUT, _FOREIGN_KEY_IS_CUT, _IS_OPENED)
"""Exposures that do not count if the change that causes them is left out."""
_EXPOSED = "sink_is_exposed"
"""The exposure of a sink itself; others of a sink are about the keys whose secrets get there."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A fact about an object that a saved plan touches, and that is another one by now; in words."""

    address: str
    fact: str
    then: str
    now: str

    def __str__(self) -> str:
        return f"{self.address}: {self.fact} was {self.then}, and is now {self.now}"


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
        lost = {each.live for each in fresh.changes if isinstance(each, Publish) and each.id not in kept_ids}
        foreign = {
            each.live
            for each in fresh.changes
            if isinstance(each, UpdateKey) and each.adopts and each.id not in kept_ids
        }
        kept = [
            each
            for each in kept
            if kept_ids.issuperset(each.depends_on)
            and not _empties(each, closed)
            and not _is_lost(each, lost)
            and each.id.live not in foreign
        ]
        if len(kept) == len(kept_ids):
            break
        kept_ids = {change.id for change in kept}
    stay = (
        Binding(each.live.id, each.endpoint)
        for each in fresh.changes
        if isinstance(each, Unbind) and each.key and each.id not in kept_ids
    )
    elsewhere = find_elsewhere(saved, fresh)
    touched = {change.address for change in kept}
    known = {(note.code, note.address) for note in saved.exposures}
    return replace(
        fresh,
        changes=tuple(kept),
        keeps=fresh.keeps.union(stay),
        unmet=tuple(each for each in fresh.unmet if each not in elsewhere),
        exposures=tuple(
            note
            for note in fresh.exposures
            if (note.code, note.address) in known and (note.code != _FOREIGN_KEY_IS_CUT or note in saved.exposures)
        ),
        resources=tuple(
            each if each.address in touched else replace(each, after=each.before) for each in fresh.resources
        ),
    )


def find_elsewhere(saved: Plan, fresh: Plan) -> tuple[Finding, ...]:
    """What the plan of now leaves undone about keys and endpoints that the saved one does not touch; news only."""
    touched, known = addresses_of(saved.changes), {(each.path, each.message) for each in saved.unmet}

    def is_elsewhere(finding: Finding) -> bool:
        kind, _, rest = finding.path.partition(".")
        addresses = {"keys": f"key.{rest.partition('.')[0]}", "deployment": finding.path, "application": finding.path}
        is_known = (finding.path, finding.message) in known
        return kind in addresses and not is_known and addresses[kind] not in touched

    return tuple(filter(is_elsewhere, fresh.unmet))


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


def _is_lost(change: Change, lost: Collection[object]) -> bool:
    """Whether a change would make a generation whose secret nobody gets."""
    return isinstance(change, CreateGeneration) and change.live in lost


def find_moved(saved: Plan, fresh: Plan) -> tuple[Moved, ...]:
    """What the saved plan touches and is no longer as it was then."""
    return tuple(_find_moved(saved, fresh))


def _find_moved(saved: Plan, fresh: Plan) -> Iterator[Moved]:
    then, now = ({each.address: dict(each.facts) for each in plan.expects} for plan in (saved, fresh))
    touched = addresses_of(saved.changes)
    for address in sorted(touched):
        was, has = then.get(address, {}), now.get(address, {})
        unlinked = {f"{_FOREIGN}{name}" for name in foreign_at(saved, address)}
        was, has = _told_once(was, has), _told_once(has, was)
        for fact in sorted(was.keys() | has.keys()):
            is_neighbour = fact.startswith(_FOREIGN) and fact not in unlinked
            if was.get(fact) != has.get(fact) and not is_neighbour:
                yield Moved(address, fact, was.get(fact, _MISSING), has.get(fact, _MISSING))
    sinks = {f"sink.{name}" for name in sinks_of(saved.changes)}
    places, places_now = ({f"sink.{each.sink}": each.place for each in plan.destinations} for plan in (saved, fresh))
    for address in sorted(sinks & places.keys() & places_now.keys()):
        if places[address] != places_now[address]:
            yield Moved(address, "place", places[address], places_now[address])
    known = {(note.code, note.address) for note in saved.exposures}
    done = limit(saved, fresh).changes
    caused = {(_cause(change), str(change.endpoint)) for change in done}
    for note in fresh.exposures:
        is_touched = note.address in touched or (note.code == _EXPOSED and note.address in sinks)
        is_left_out = note.code in _CAUSES and (note.code, note.address) not in caused
        if is_touched and not is_left_out and (note.code, note.address) not in known:
            yield Moved(note.address, "exposure", _MISSING, note.sentence)


def _cause(change: Change) -> str:
    """The code of what a change at an endpoint exposes, if only such a change does."""
    match change:
        case Unbind():
            return _KEY_IS_CUT if change.key else _FOREIGN_KEY_IS_CUT
        case OpenEndpoint():
            return _IS_OPENED
        case _:
            return ""


def _told_once(facts: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """The facts; of a live key that the others do not know, only that it is there."""
    known = {fact.partition(": ")[0] for fact in others}
    told = {}
    for fact, value in facts.items():
        subject, colon, _ = fact.partition(": ")
        is_news = colon and subject not in known
        told[subject if is_news else fact] = "there" if is_news else value
    return told


def addresses_of(changes: Collection[Change]) -> set[str]:
    """The keys and the endpoints that changes touch."""
    return {change.address for change in changes} | {str(each.endpoint) for each in changes if each.endpoint}


def sinks_of(changes: Collection[Change]) -> set[str]:
    """The sinks that changes write to, or read a secret from."""
    return sinks_written(changes) | {change.source for change in changes if isinstance(change, Copy)}


def foreign_at(plan: Plan, address: str) -> set[str]:
    """The foreign keys that a plan unlinks from an endpoint."""
    return {
        change.live.name
        for change in plan.changes
        if isinstance(change, Unbind) and not change.key and str(change.endpoint) == address
    }


def is_applied(saved: Plan, fresh: Plan) -> bool:
    """Whether everything that a saved plan changes is as it was to be: it was applied, or something else did it."""
    if not saved.changes or limit(saved, fresh).changes:
        return False
    wanted, live = (
        {each.address: each.after for each in saved.resources},
        {each.address: each.before for each in fresh.resources},
    )
    timed = {change.address for change in saved.changes if _is_from_a_lifetime(change)}
    return all(
        _matches(wanted.get(each), live.get(each), is_timed=each in timed)
        for each in addresses_of(saved.changes)
        if each in live or each.startswith("key.")
    )


def _matches(wanted: Object | None, live: Object | None, *, is_timed: bool) -> bool:
    """Whether an object is as it was to be, apart from what only an apply gives; `is_timed`: such as its expiry."""
    if wanted is None or live is None:
        return wanted is live
    if "generations" in wanted and "auth" not in wanted:
        names, found = (
            [(each["name"], each.get("phase")) for each in _objects(tree["generations"])] for tree in (wanted, live)
        )
        fields = ["deployments", "applications", "sinks", "description", "prevent_destroy"]
        fields += [] if is_timed else ["expires_at"]
        return names == found and all(wanted[field] == live[field] for field in fields)
    return all(wanted[field] == live[field] for field in ("auth", "generations"))


def _objects(value: object) -> list[Object]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def in_words(changes: Collection[Change]) -> list[str]:
    """A few of these changes."""
    return first_of([f"{change.address}: {change.id.in_words}" for change in changes])


def first_of(told: Sequence[str]) -> list[str]:
    """The first of these sentences, and how many more there are."""
    return [*told[:MOST_TOLD], *([f"and {len(told) - MOST_TOLD} more"] if len(told) > MOST_TOLD else [])]
