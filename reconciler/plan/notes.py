"""What a reader of a plan should know about a key although nothing changes because of it, and what is exposed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.model import DesiredKey, EndpointRef, LiveKey, Phase, Unchanged, number_in_name, shift
from reconciler.plan.cases import MOST_TOLD, Generation, KeyCase, name_some
from reconciler.plan.changes import Note
from reconciler.plan.fates import Fate, Ruling, Successor
from reconciler.plan.fields import duration, instant
from reconciler.plan.holdings import find_holdings
from reconciler.plan.owners import describe_owner
from reconciler.plan.rules import due_by_expiry, expiry_after
from reconciler.plan.updates import KeyWriting

NEUTRAL = frozenset({"generation_is_in_overlap", "adopted_secret_is_unknown", "expiry_is_kept", "adopt_is_done"})
"""The codes of notes that ask nothing of a reader: all is as it should be."""


def warn_of_expiry(case: KeyCase, key: DesiredKey, newest: Generation) -> Iterator[Note]:
    """A key that expires, or has expired, and that nothing replaces before: by the shortest warning that applies."""
    expires = expiry_after(case, key, newest)
    if expires is None or due_by_expiry(case, key, newest) is not None:
        return
    if expires <= case.now:
        sentence = f"{newest.name} expired on {instant(expires)}, and no rotation is configured"
        yield Note("key_has_expired", case.address, f"{sentence}: set a later `expires_at`, or `rotation.lifetime`")
        return
    near = [length for length in case.facts.desired.warnings.expiry if shift(expires, -length) <= case.now]
    if near:
        sentence = (
            f"{newest.name} expires on {instant(expires)}, in less than"
            f" {duration(min(near))}, and no rotation is configured"
        )
        yield Note("key_expires_soon", case.address, f"{sentence}: set a later `expires_at`, or `rotation.lifetime`")


def expose_leak(
    case: KeyCase, rulings: tuple[Ruling, ...], successor: Successor | None, *, is_held_up: bool = False
) -> Iterator[Note]:
    """What a leaked secret opens until it is cut, and whether it is cut now, without an overlap."""
    leaked = [ruling.generation for ruling in rulings if ruling.generation.leaks(case.now)]
    if leaked:
        names = ", ".join(generation.name for generation in leaked)
        opened = sorted(frozenset[EndpointRef]().union(*(generation.bound_to for generation in leaked)))
        when = f"once {successor.live.name} is published" if successor else "with this plan"
        told = f"it stops working {when}, without an overlap"
        if is_held_up:
            told = (
                "it still works, because the key is held up: to revoke it now, remove the key from the file and apply"
            )
        sentence = f"the leaked secret ({names}) opens {', '.join(map(str, opened))}; {told}"
        yield Note("leaked_secret_opens", case.address, sentence)


def expose_revival(case: KeyCase, writings: Iterable[KeyWriting]) -> Iterator[Note]:
    """An expired key that becomes valid again by an expiry that is written in place: with the same secret."""
    for writing in writings:
        expires_at, live = writing.expires_at, writing.live
        if not isinstance(expires_at, Unchanged) and live.is_expired(case.now):
            sentence = (
                f"{live.name} expired {instant(live.expires_at)}, and its secret will work again: if it was left to"
                " expire on purpose, run `keyform rotate --revoke` instead"
            )
            yield Note("expired_key_is_accepted_again", case.address, sentence)


def warn(
    case: KeyCase,
    newest: Generation | None,
    rulings: tuple[Ruling, ...],
    successor: Successor | None,
) -> list[Note]:
    """What a reader should know although nothing changes because of it."""
    notes = []
    for each in case.generations:
        if not each.live.is_active:
            sentence = f"the API reports {each.name} as {each.live.status!a}"
            notes.append(Note("key_is_not_active", case.address, sentence))
    if newest and successor is None and newest.phase is Phase.ADOPTED:
        sentence = (
            f"{newest.name} is adopted: keyform does not know its secret, and writes it to"
            " no sink before the next rotation"
        )
        notes.append(Note("adopted_secret_is_unknown", case.address, sentence))
    for ruling in rulings:
        if ruling.fate is Fate.OVERLAP:
            sentence = f"{ruling.reason.sentence}; a later apply retires it"
            notes.append(Note("generation_is_in_overlap", case.address, sentence))
    return notes


def expose_unproven(case: KeyCase) -> Iterator[Note]:
    """A removed key's generations in use that no sink has a record of: only marker and name show their owner."""
    for each in case.generations:
        if each.bound_to and not case.records:
            sentence = (
                f"{each.name} is unlinked from {name_some(sorted(map(str, each.bound_to)))} and deleted because of its"
                " marker and its name: no sink has a record of it, so check that it belongs to this stack"
            )
            yield Note("key_is_deleted_by_its_marker", case.address, sentence)


def warn_of_places(case: KeyCase, key: DesiredKey) -> Iterator[Note]:
    """Where a secret stays although the file no longer says so: in a sink that cannot be read, or at another place."""
    newest = case.newest_in_use
    if newest is None or newest.phase is not Phase.PUBLISHED:
        return
    found = find_holdings(case, key, newest)
    unread = [sink for sink in sorted(found.published_to or ()) if sink in case.facts.unreadable_sinks]
    for sink in (sink for sink in unread if sink not in key.sinks):
        sentence = f"the record of {case.name} stays in sink {sink}, which the key no longer names"
        yield Note("record_stays", case.address, f"{sentence}: remove it by hand")
    if found.is_elsewhere and not newest.live.taken_from and not any(each.former for each in case.records.values()):
        where = "a sink was"
        if found.lacking:
            where = f"sink {', '.join(found.lacking)} was"
        sentence = f"{where} somewhere else when {newest.name} was published: the record there stays"
        way_out = "remove it by hand"
        if not found.lacking and newest.sinks_that_hold_it:
            way_out = "remove it by hand, unless it is the same place, written in another way"
        yield Note("place_is_another", case.address, f"{sentence}; {way_out}")


def warn_of_adoption(case: KeyCase, key: DesiredKey, successor: Successor | None) -> Iterator[Note]:
    """What an adopted key keeps, and an `adopt` that is no longer needed."""
    newest, kept = case.newest_in_use, f"expires_at: {instant(key.expires_at)}"
    if newest and key.keeps_expiry and (successor is not None or newest.is_taken_over):
        name = successor.live.name if successor else newest.name
        sentence = f"{name} keeps the expiry of the adopted key ({kept}), because the file sets none"
        yield Note("expiry_is_kept", case.address, sentence)
    if key.adopt is not None and key.adopt not in case.facts.by_name and newest is not None:
        yield Note("adopt_is_done", case.address, f"the live key {key.adopt} no longer exists: remove `adopt`")


def warn_of_lookalikes(case: KeyCase, lookalikes: Sequence[LiveKey]) -> Iterator[Note]:
    """Live keys that are named like generations of the key, and are certainly not the one in use."""
    known = {generation.live.id for generation in case.generations}
    lookalikes = [live for live in lookalikes if live.id not in known]
    for live in lookalikes[:MOST_TOLD]:
        older = number_in_name(case.name, live.name) or 0
        sentence = f"the live key {live.name} is named like a generation of this key, but {describe_owner(live)}"
        way_out = "delete it in the portal once nobody uses it"
        if case.newest_in_use and older < case.newest_in_use.number and live.marked_by is None:
            way_out = f"if it belongs to this key, set `adopt: {live.name}` to have it retired; otherwise {way_out}"
        yield Note("marker_is_missing", case.address, f"{sentence}: it is neither changed nor deleted; {way_out}")
    if len(lookalikes) > MOST_TOLD:
        sentence = f"{len(lookalikes) - MOST_TOLD} more live keys are named like its generations"
        yield Note("marker_is_missing", case.address, sentence)


def warn_of_foreign_records(case: KeyCase) -> Iterator[Note]:
    """Another owner's record in a removed key's place: it stays."""
    for _, trouble in sorted(case.facts.foreign.get(case.name, {}).items()):
        yield Note("foreign_record_stays", case.address, f"{trouble.message}: it is not removed")


def warn_of_lasting_records(case: KeyCase, sinks: Sequence[str]) -> Iterator[Note]:
    """What a removed key leaves in sinks that remove nothing."""
    for sink in sinks:
        sentence = f"the record of {case.name} stays in sink {sink}, which cannot remove secrets: remove it by hand"
        yield Note("record_stays", case.address, sentence)
