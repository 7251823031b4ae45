"""What a plan exposes, besides what bindings.py, notes.py and moving.py find: who gains access, and what is weaker.

A warning on everything is read by nobody, so each of these is about something that was not so before: see
docs/decisions/0045.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from reconciler.model import Phase
from reconciler.plan.bindings import BindingPlan, Comparison
from reconciler.plan.cases import Facts, Generation, KeyCase, name_some
from reconciler.plan.changes import KeyRef, Note
from reconciler.plan.holdings import find_holdings, find_published, sets_by_digest
from reconciler.plan.rules import expiry_after
from reconciler.plan.verdicts import Verdict

DANGER = (
    "leaked_secret_opens",
    "endpoint_becomes_public",
    "endpoint_is_public",
    "expired_key_is_accepted_again",
    "adopted_key_gains_access",
    "taken_over_key_gains_access",
    "key_joins_another_stack",
    "unlimited_key_gains_access",
    "secrets_get_to_a_new_place",
    "sink_is_exposed",
    "protection_is_removed",
    "foreign_key_is_cut",
    "key_is_deleted_by_its_marker",
    "key_loses_access",
    "keys_change_hands",
    "key_is_renamed",
    "key_is_forgotten",
    "key_stays",
    "record_stays",
)
"""The codes of all exposures, the most dangerous first: open doors, new people, new places, and what somebody loses."""
STANDING_EXPOSURES = frozenset({"endpoint_is_public", "key_stays", "leaked_secret_opens"})
"""The exposures that describe the present, not the effect of the plan."""


def in_order_of_danger(*notes: Note) -> tuple[Note, ...]:
    """The notes as a reader needs them; those of one code stay in their order."""
    ranks = {code: rank for rank, code in enumerate(DANGER)}
    return tuple(sorted(notes, key=lambda note: ranks[note.code]))


# --- Who gains access -------------------------------------------------------------------------------------------------


def expose_access(facts: Facts, verdicts: Sequence[Verdict], bindings: BindingPlan) -> Iterator[Note]:
    """Endpoints that require a key, and accept one that is weaker, or whose secret others have, from now on."""
    generations = {each.generation.ref: each.generation for verdict in verdicts for each in verdict.rulings}
    stacks = {KeyRef.of(live): live.marked_by for live in facts.snapshot.keys}
    before, after = _find_unlimited(facts, verdicts), _find_unlimited_after(verdicts)
    valid = {KeyRef.of(live) for live in facts.snapshot.keys if not live.is_expired(facts.now)}
    for found in bindings.compared:
        if found.endpoint.is_public:
            continue  # binding a key closes it: whoever calls it now can do so without one
        for link in found.gains:
            if link.live in generations:
                yield from _expose_known_secret(found, generations[link.live])
        yield from _expose_joining(found, stacks, facts.desired.stack)
        present = found.present & valid
        unlimited = {after[live] for live in found.remain if live in after}
        if present and unlimited and not any(live in before for live in present):
            sentence = f"accepts a key that never expires, and that nothing rotates ({name_some(sorted(unlimited))})"
            sentence += ": so far, each of its keys expires or is rotated"
            yield Note("unlimited_key_gains_access", found.address, sentence)


def _expose_known_secret(found: Comparison, generation: Generation) -> Iterator[Note]:
    live = generation.live
    if live.taken_from:
        sentence = f"accepts {live.name} from now on, a key of the stack {live.taken_from} so far"
        yield Note("taken_over_key_gains_access", found.address, f"{sentence}: anyone who has its secret can call it")
    elif generation.is_taken_over or generation.phase is Phase.ADOPTED:
        sentence = f"accepts the adopted key {live.name} from now on: whoever created it has its secret"
        yield Note("adopted_key_gains_access", found.address, sentence)


def _expose_joining(found: Comparison, stacks: Mapping[KeyRef, str | None], own: str) -> Iterator[Note]:
    """An endpoint that only other stacks' keys opened so far; one with keys from the portal has no owner."""
    owners = {stacks.get(live) for live in found.present}
    others = sorted(owner for owner in owners if owner and owner != own)
    joining = sorted({link.verdict.case.name for link in found.gains if link.verdict})
    if joining and others and len(others) == len(owners):
        sentence = (
            f"accepts only keys of the stack {name_some(others)} so far; now it also accepts {name_some(joining)}"
        )
        yield Note("key_joins_another_stack", found.address, sentence)


def _find_unlimited(facts: Facts, verdicts: Sequence[Verdict]) -> set[KeyRef]:
    """Live keys that never expire and that the file does not rotate; whether others rotate theirs is unknown."""
    rotated = {each.generation.ref for verdict in verdicts if _is_rotated(verdict.case) for each in verdict.rulings}
    return {KeyRef.of(live) for live in facts.snapshot.keys if live.expires_at is None} - rotated


def _find_unlimited_after(verdicts: Sequence[Verdict]) -> dict[KeyRef, str]:
    """The same once the plan is done, of the stack's own keys: their names, by live key."""
    found = {}
    for verdict in verdicts:
        case, key = verdict.case, verdict.case.desired
        if key is None or _is_rotated(case):
            continue
        if verdict.successor and verdict.successor.expires_at is None:
            found[verdict.successor.live] = case.name
        for each in (ruling.generation for ruling in verdict.rulings if not ruling.goes):
            is_written = any(writing.live.id == each.live.id for writing in verdict.writings)
            if (expiry_after(case, key, each) if is_written else each.live.expires_at) is None:
                found[each.ref] = case.name
    return found


def _is_rotated(case: KeyCase) -> bool:
    return case.desired is not None and case.desired.every is not None


# --- Where secrets get to ---------------------------------------------------------------------------------------------


def expose_places(facts: Facts, verdicts: Sequence[Verdict]) -> Iterator[Note]:
    """Sinks that get the secret of a key that was published elsewhere; or a first secret, if they have none at all."""
    used, found = _find_used(facts), defaultdict[str, list[str]](list)
    for verdict in verdicts:
        case, key = verdict.case, verdict.case.desired
        if key is None or verdict.is_held_up or not (verdict.successor or verdict.copying):
            continue
        known = _find_homes(case)
        written = key.sinks if verdict.successor else verdict.copying.sinks if verdict.copying else ()
        for sink in written:
            if sink not in (used if known is None else known):
                found[sink].append(case.name)
    for sink, names in sorted(found.items()):
        what = f"the secret of {names[0]}" if len(names) == 1 else f"{len(names)} secrets ({name_some(sorted(names))})"
        place = facts.snapshot.sinks[sink].destination if sink in facts.snapshot.sinks else ""
        sentence = f"gets {what}, which {'was' if len(names) == 1 else 'were'} not there before"
        yield Note("secrets_get_to_a_new_place", f"sink.{sink}", f"{sentence}: {place}" if place else sentence)


def _find_homes(case: KeyCase) -> frozenset[str] | None:
    """The sinks that have, or had, a secret of the key; None if there is none yet, or nobody knows where it is."""
    key, found, is_known = case.desired, set(case.records), bool(case.records)
    for each in case.generations if key else ():
        named = find_published(case, key, each) if key else None
        is_known |= named is not None
        found |= named or frozenset()
        found |= {*find_holdings(case, key, each).lost} if key else set()
        if each.phase is Phase.PARTIAL and each.sinks_that_may_hold_it:
            found |= each.sinks_that_may_hold_it
            is_known = True
    return frozenset(found) if is_known else None


def _find_used(facts: Facts) -> frozenset[str]:
    """The sinks that hold something of this stack, as a record or a marker says."""
    found = {sink for held in facts.records.values() for sink in held}
    sinks = facts.desired.sinks
    places = sets_by_digest(tuple(sorted({sink.destination for sink in sinks})))
    for live in facts.snapshot.keys:
        if live.id in facts.own and live.ownership is not None:
            named = places.get(live.ownership.published_to, frozenset())
            found |= {sink.name for sink in sinks if sink.destination in named}
    return frozenset(found)


# --- What is no longer protected --------------------------------------------------------------------------------------


def expose_lost_protection(verdicts: Sequence[Verdict]) -> Iterator[Note]:
    """Keys that nothing protects from being deleted once this is applied."""
    for verdict in verdicts:
        newest, key = verdict.case.newest_in_use, verdict.case.desired
        stays = verdict.is_held_up or verdict.case.is_set_aside
        if newest and key and newest.is_protected and not key.prevent_destroy and not stays:
            sentence = "loses `prevent_destroy`: after this, it is deleted once the file no longer declares it"
            yield Note("protection_is_removed", verdict.case.address, sentence)
