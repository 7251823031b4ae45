"""Who owns a live key: by its marker, and by what confirms it, since anyone may write, copy or break a marker.

the live key                                                       counts as
marker of this stack, which its name, the file or a record         a generation of its key
confirms
no marker, and a record that proves that it is a generation of a   the same: its marker is restored
key that the file declares
a marker that cannot be read, and seems to be this stack's         a claim: its key is held up
marker of this stack that nothing confirms                         a claim: its key is held up if it has no other
named like a generation, or in a record, and none of the above     a lookalike: its key is held up if it may be the one
                                                                   in use; otherwise it is only reported
all others                                                         foreign
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping

from reconciler.model import (
    DesiredState,
    Identity,
    LiveKey,
    SinkRecord,
    Snapshot,
    are_close,
    generation_name,
    key_of_name,
    number_in_name,
)


def own_keys(desired: DesiredState, snapshot: Snapshot, revoked: Collection[str] = ()) -> dict[str, Identity]:
    """This stack's generations, by the ids of their live keys.

    The live name, which never changes, has to fit the marker; or the file has to adopt that live key as that key; or a
    sink has to hold a record of it that neither the portal nor a pull request can have written. If the API lets two
    live keys share a name, and both have the marker, the name proves neither.

    Without a marker, it takes such a record, a name that fits it, and that the file declares the key: someone may have
    removed the marker to keep a key that should be removed. For the keys that are `revoked`, because a person named
    them, any record is enough, or the readable part of a marker, if the live name fits it.
    """
    recorded, all_records = gather_evidence(desired, snapshot), gather_records(desired, snapshot)
    marked = Counter(map(mark_of, snapshot.keys))
    own: dict[str, Identity] = {}
    for live in snapshot.keys:
        if (marker := live.ownership) is not None and is_borne_out(live, desired, marked, recorded):
            number = number_in_name(marker.key, live.name) or marker.generation
            own[live.id] = Identity(marker.stack, marker.key, number)
    taken, declared = set(own.values()), {key.name for key in desired.keys}
    for live in snapshot.keys:
        if live.marked_by not in (None, "", desired.stack) or live.ownership is not None:
            continue
        records = [each for each in all_records.get(live.name, ()) if record_is_of(each, live)]
        proven = [each for each in records if live.claimed_by is None and each in recorded.get(live.name, ())]
        leaked = [each for each in records if each.key in revoked]
        said = [Identity(desired.stack, each.key, each.generation) for each in (*proven, *leaked)]
        if live.identity.stack == desired.stack and live.identity.key in revoked:
            said.append(live.identity)
        for found in said:
            fits = generation_name(found.key, found.generation) == live.name
            if fits and found.key in declared and found not in taken:
                own[live.id] = found
                taken.add(found)
    return own


def is_borne_out(
    live: LiveKey, desired: DesiredState, marked: Mapping[object, int], recorded: Mapping[str, list[SinkRecord]]
) -> bool:
    """Whether something that the portal cannot write into a description confirms a marker of this stack."""
    own = live.ownership
    if own is None or own.stack != desired.stack:
        return False
    return (
        (own.fits(live.name) and marked[mark_of(live)] == 1)
        or (own.key, live.name) in desired.adoptions
        or any(record.key == own.key and record_is_of(record, live) for record in recorded.get(live.name, ()))
    )


def mark_of(live: LiveKey) -> object:
    """What two live keys of one name must not both claim."""
    return live.name, live.marked_by, live.ownership and live.ownership.key


def gather_evidence(desired: DesiredState, snapshot: Snapshot) -> dict[str, list[SinkRecord]]:
    """The sinks' records of this stack's live keys, by live name; not those that a pull request can have written."""
    return gather_records(desired, snapshot, only_evidence=True)


def gather_records(
    desired: DesiredState, snapshot: Snapshot, *, only_evidence: bool = False
) -> dict[str, list[SinkRecord]]:
    """All records of the sinks about this stack's live keys, by live name."""
    recorded: dict[str, list[SinkRecord]] = defaultdict(list)
    for contents in snapshot.sinks.values():
        if contents.is_evidence or not only_evidence:
            for record in contents.records.values():
                if record.stack == desired.stack:
                    recorded[record.live_name].append(record)
    return recorded


def find_claims(desired: DesiredState, snapshot: Snapshot, own: Collection[str]) -> Iterator[tuple[str, LiveKey]]:
    """Live keys that have this stack's marker and are not its own, each with the key that it seems to belong to.

    If a marker cannot be read whole, that is the key of the live name, and the one that the marker names; if not even
    the stack can be read, only the first of these, and only if the file declares it.
    """
    declared = {key.name for key in desired.keys}
    for live in snapshot.keys:
        if live.id in own:
            continue
        if live.ownership is not None:
            if live.ownership.stack == desired.stack:
                yield live.ownership.key, live
        elif live.claimed_by == desired.stack:
            for name in sorted({key_of_name(live.name), live.identity.key or key_of_name(live.name)}):
                yield name, live
        elif live.claimed_by == "" and key_of_name(live.name) in declared:
            yield key_of_name(live.name), live


def find_lookalikes(
    desired: DesiredState,
    records: Mapping[str, Mapping[str, SinkRecord]],
    by_name: Mapping[str, tuple[LiveKey, ...]],
    own: Mapping[str, Identity],
) -> dict[str, tuple[LiveKey, ...]]:
    """By key, live keys that may be generations of it although no marker says so: by their name, or by a record.

    A marker alone does not say which of two stacks such a live key belongs to: it may be edited.
    """
    found: dict[str, dict[str, LiveKey]] = defaultdict(dict)
    others = {name: [live for live in keys if live.id not in own] for name, keys in by_name.items()}
    for key, held in records.items():
        for record in held.values():
            found[key] |= {live.id: live for live in others.get(record.live_name, ()) if record_is_of(record, live)}
    known = {key.name for key in desired.keys} | {identity.key for identity in own.values()}
    for name, keys in others.items():
        key = key_of_name(name)
        if key in known and number_in_name(key, name) is not None:
            found[key] |= {live.id: live for live in keys}
    return {key: tuple(lives.values()) for key, lives in found.items()}


def describe_owner(live: LiveKey | None) -> str:
    """The owner of a live key that this stack does not own, in words."""
    if live is not None and live.released is not None:
        return f"the stack {live.released.stack} released it"
    if live is None or live.marked_by is None:
        return "it has no keyform marker"
    return f"its marker names the stack {live.marked_by}" if live.marked_by else "its marker cannot be read"


def record_is_of(record: SinkRecord, live: LiveKey) -> bool:
    """Whether a sink's record is of exactly this live key, and not of an earlier one that had the same name."""
    return record.live_name == live.name and are_close(record.created_at, live.created_at)
