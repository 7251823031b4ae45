"""What becomes of each generation of a key, and whether there is a new one.

generation                         file declares the key                     file does not
pending, in no readable sink       discard: unbind, delete                   discard
pending, in all sinks              mark published (it is in use), then as    remove
                                   published
pending, in some sinks             mark partial (it is in use), and make     remove
                                   another
partial                            as above: some sinks may hold it          remove
newest in use                      current; or, beside a successor, overlap  remove: unbind, sink record, delete
older in use                       overlap; retire once the overlap is over  remove
revoked                            retire as soon as another is published    remove
foreign, named by `adopt`          adopt: it gets the marker                 -

An overlap begins when a newer generation is in every sink of the key: while one of them may hold the older secret, it
is relied on. A partial generation has therefore replaced nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum

from reconciler.errors import Finding
from reconciler.model import (
    LAST_GENERATION,
    DesiredKey,
    EndpointRef,
    LiveKey,
    Ownership,
    Phase,
    UnwritableDescription,
    compose_description,
    generation_name,
    shift,
)
from reconciler.plan.cases import Generation, KeyCase, name_some, record_is_of
from reconciler.plan.changes import Action, FieldDiff, Note, Reason
from reconciler.plan.fields import compare_fields, duration, instant
from reconciler.plan.rules import due_by_expiry, expiry_of_successor, find_reason_for_successor


class Fate(StrEnum):
    """What becomes of a generation in this plan."""

    CURRENT = "current"
    OVERLAP = "overlap"
    RETIRE = "retire"
    DISCARD = "discard"
    REMOVE = "remove"
    KEEP = "keep"
    """Something else is asked for: it stays as it is."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A generation's fate, and why."""

    generation: Generation
    fate: Fate
    reason: Reason

    def endpoints(self, desired: DesiredKey | None) -> frozenset[EndpointRef]:
        """Where the generation is to be bound once the plan is done.

        In its overlap it opens all that the key opens, also what was bound since: who still has its secret is to notice
        nothing of the rotation.
        """
        if self.fate is Fate.KEEP:
            return self.generation.bound_to
        if desired is None or self.fate in (Fate.RETIRE, Fate.DISCARD, Fate.REMOVE):
            return frozenset()
        return desired.endpoints


@dataclass(frozen=True, slots=True)
class Successor:
    """A generation to be made; it expires at an instant in UTC, or never (None)."""

    live_name: str
    generation: int
    expires_at: datetime | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A live key's description is to be written: the text, the marker, what differs, and why."""

    live: LiveKey
    text: str
    ownership: Ownership
    diff: tuple[FieldDiff, ...]
    reason: Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that is to happen to one key."""

    case: KeyCase
    action: Action
    rulings: tuple[Ruling, ...] = ()
    successor: Successor | None = None
    rewritings: tuple[Rewriting, ...] = ()
    obsolete_records: Mapping[str, Reason] | None = None
    """Sinks whose record of the key is to be removed."""
    refusals: tuple[Finding, ...] = ()
    exposures: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()
    expiring: tuple[Note, ...] = ()
    unmet: tuple[Finding, ...] = ()


def judge(case: KeyCase) -> Verdict:
    """Decide about one key."""
    if case.is_set_aside:
        return keep(case, Reason("key_is_not_asked_for", "only the keys that are asked for change"))
    if case.desired is None:
        return judge_removed(case)
    if obstacle := find_obstacle(case):
        kept = keep(case, Reason("key_is_held_up", "its generations cannot be determined"))
        return replace(kept, unmet=(hold_up(case.desired, obstacle),))
    return judge_declared(case, case.desired)


def keep(case: KeyCase, reason: Reason) -> Verdict:
    """Leave all generations of a key as they are, and where they are."""
    return Verdict(case, Action.UPDATE, tuple(Ruling(generation, Fate.KEEP, reason) for generation in case.generations))


WAY_OUT_OF_CLAIM = (
    "write `adopt: LIVE-NAME` on the key that it belongs to, or correct or remove its marker in the portal"
)


def find_obstacle(case: KeyCase) -> LiveKey | None:
    """A live key because of which nobody can tell which generation consumers use; a leaked secret goes all the same.

    A marker that cannot be read may be that of the newest generation. One that nothing bears out is forged, or that of
    a key whose `adopt` has gone from the file: where the key has generations of its own, it is only reported.
    """
    if case.revokes or any(generation.ownership.phase is Phase.REVOKED for generation in case.generations):
        return None
    taken_over = case.desired.adopt if case.desired else None
    return next(
        (live for live in case.claims if live.name != taken_over and (live.ownership is None or not case.generations)),
        None,
    )


def describe_claim(live: LiveKey) -> str:
    """Why a marker of this stack does not count."""
    if live.ownership is None:
        return "it seems to belong to this stack, but its marker cannot be read"
    own = live.ownership
    return f"its marker says that it is g{own.generation} of {own.key}, but its name does not match"


def hold_up(key: DesiredKey, live: LiveKey) -> Finding:
    """The key stays as it is until a person has said what the live key is."""
    message = f"is held up by the live key {live.name}: {describe_claim(live)}"
    return Finding(key.place.where, key.place.path or f"keys.{key.name}", message, WAY_OUT_OF_CLAIM)


def judge_removed(case: KeyCase) -> Verdict:
    """The file does not declare the key: everything of it goes, sink records before live keys."""
    gone = Reason("key_is_not_declared", "it is no longer declared")
    refusals = tuple(
        Finding(
            "",
            case.address,
            f"prevent_destroy is set on the live key {generation.name}, so it is not destroyed",
            "declare the key with `prevent_destroy: false`, apply, and then remove it",
        )
        for generation in case.generations[-1:]  # older ones keep what was declared in their time
        if generation.ownership.protected
    )
    sinks = {*case.records, *case.unreadable_sinks} if case.generations else set(case.records)
    unproven = [each for each in case.generations if each.bound_to and not case.records]
    return Verdict(
        case,
        Action.DELETE,
        rulings=tuple(Ruling(generation, Fate.REMOVE, gone) for generation in case.generations),
        obsolete_records=dict.fromkeys(sorted(sinks - case.lasting_sinks), gone),
        refusals=refusals,
        exposures=tuple(
            Note(
                "key_is_deleted_by_its_marker",
                case.address,
                f"{each.name} is unlinked from {name_some(sorted(map(str, each.bound_to)))} and deleted because of its"
                " marker and its name: no sink has a record of it, so make sure that it is this stack's",
            )
            for each in unproven
        ),
        warnings=tuple(
            Note(
                "record_stays",
                case.address,
                f"what sink {sink} holds of {case.name} stays there: this sink removes nothing, so remove it by hand",
            )
            for sink in sorted(sinks & case.lasting_sinks)
        ),
    )


def judge_declared(case: KeyCase, key: DesiredKey) -> Verdict:
    """The file declares the key: adopt, repair, replace, retire, or leave alone."""
    adopted, refusals = judge_adoption(case, key)
    if refusals:
        return Verdict(case, Action.UPDATE, refusals=refusals)
    if adopted is not None:
        case = replace(case, generations=(adopted,))
    if case.revokes:
        generations = tuple(each.revoked() if each.is_in_use else each for each in case.generations)
        case = replace(case, generations=generations)
    newest = case.newest_in_use
    reason = find_reason_for_successor(case, key, newest)
    successor = choose_successor(case, key, reason) if reason else None
    if successor is not None and successor.generation > LAST_GENERATION:
        return Verdict(case, Action.UPDATE, refusals=(refuse_last_number(case, key),))
    rulings = tuple(rule_on(case, key, generation, newest, successor) for generation in case.generations)
    action = Action.UPDATE if successor is None else Action.CREATE if newest is None else Action.ROTATE
    undeclared = sorted(set(case.records) - set(key.sinks))
    rewritings = rewrite_descriptions(case, key, rulings, newest, successor)
    refusals = (
        *refuse_taken_name(case, key, successor),
        *refuse_past_expiry(case, key, successor),
        *refuse_unwritable(key, rewritings),
    )
    return Verdict(
        case,
        action,
        rulings=rulings,
        successor=successor,
        rewritings=rewritings,
        obsolete_records={
            sink: Reason("sink_is_not_declared", f"the key no longer names sink {sink}") for sink in undeclared
        },
        refusals=refusals,
        exposures=tuple(expose_leak(case, rulings, successor)),
        warnings=tuple(warn(case, newest, rulings, successor)),
        expiring=tuple(warn_of_expiry(case, key, newest)) if newest and successor is None else (),
    )


ADOPTION = Reason("key_is_adopted", "the file takes over a live key that was made elsewhere")


def judge_adoption(case: KeyCase, key: DesiredKey) -> tuple[Generation | None, tuple[Finding, ...]]:
    """The live key to take over as the first generation, if there is one still to be taken over."""
    if key.adopt is None or case.generations:
        return None, ()
    place = key.place
    live = case.live_keys.get(key.adopt)
    if live is None:
        near = get_close_matches(key.adopt, sorted(case.live_keys), n=1)
        hint = f"did you mean {near[0]}?" if near else "check the name in the portal, or remove `adopt`"
        return None, (Finding(place.where, f"{place.path}.adopt", f"there is no live key {key.adopt}", hint),)
    if live.ownership is not None and live.ownership.stack != case.stack:
        owner = f"{live.ownership.stack}/{live.ownership.key}"
        return None, (
            Finding(
                place.where,
                f"{place.path}.adopt",
                f"the live key {live.name} belongs to {owner}",
                "remove it there first: a key has one owner",
            ),
        )
    held = frozenset(sink for sink, record in case.records.items() if record_is_of(record, live))
    phase = Phase.PUBLISHED if held else Phase.ADOPTED
    ownership = Ownership(case.stack, case.name, 1, phase, case.now, key.prevent_destroy)
    return Generation(live, ownership, case.bound_to(live.name), held, frozenset()), ()


def choose_successor(case: KeyCase, key: DesiredKey, reason: Reason) -> Successor:
    """The next free generation number; a numbered name that someone else holds is passed over."""
    number = 1 + max((generation.number for generation in case.generations), default=0)
    while number > 1 and generation_name(case.name, number) in case.live_keys:
        number += 1
    return Successor(generation_name(case.name, number), number, expiry_of_successor(case, key), reason)


def refuse_last_number(case: KeyCase, key: DesiredKey) -> Finding:
    """No marker holds a larger number, so that a generation with one would be made again at each apply."""
    last = generation_name(case.name, LAST_GENERATION)
    if last not in case.live_keys and case.generations:
        last = case.generations[-1].name
    message = f"needs a new generation, but {last} has the last possible number"
    way_out = f"delete {last} in the portal if it is not yours, or declare the key under another name"
    return Finding(key.place.where, key.place.path, message, way_out)


def refuse_unwritable(key: DesiredKey, rewritings: tuple[Rewriting, ...]) -> Iterator[Finding]:
    """What is written has to be read back as it was: a marker that is cut off would make a key foreign."""
    for rewriting in rewritings:
        try:
            compose_description(rewriting.text, rewriting.ownership)
        except UnwritableDescription:
            message = f"the description of the live key {rewriting.live.name} leaves no room for a marker"
            way_out = "shorten it in the portal to 140 characters on one line"
            yield Finding(key.place.where, key.place.path, message, way_out)


def refuse_taken_name(case: KeyCase, key: DesiredKey, successor: Successor | None) -> tuple[Finding, ...]:
    """A key's first live name is its own name: when someone else holds it, the user has to say what that means."""
    if successor is None or successor.live_name not in case.live_keys:
        return ()
    holder = case.live_keys[successor.live_name]
    if holder.ownership is None or holder.ownership.stack == case.stack:
        message = f"the live key {holder.name} exists already, and this stack does not own it"
        way_out = f"write `adopt: {holder.name}` to take it over, or declare the key under another name"
    else:
        message = f"the live key {holder.name} belongs to {holder.ownership.stack}/{holder.ownership.key}"
        way_out = "declare the key under another name"
    return (Finding(key.place.where, key.place.path, message, way_out),)


def refuse_past_expiry(case: KeyCase, key: DesiredKey, successor: Successor | None) -> tuple[Finding, ...]:
    """A key that is born expired opens nothing."""
    if successor is None or key.expires_at is None or key.expires_at > case.now:
        return ()
    message = f"expires_at {instant(key.expires_at)} is in the past, so the new key would open nothing"
    return (Finding(key.place.where, f"{key.place.path}.expires_at", message, "give a later date, or never"),)


def rule_on(
    case: KeyCase,
    key: DesiredKey,
    generation: Generation,
    newest: Generation | None,
    successor: Successor | None,
) -> Ruling:
    """The fate of one generation of a declared key (the table at the top)."""
    if not generation.is_in_use:
        return Ruling(
            generation,
            Fate.DISCARD,
            Reason("generation_was_never_published", f"the secret of {generation.name} reached no sink"),
        )
    if generation is newest and successor is None:
        return Ruling(generation, Fate.CURRENT, Reason("generation_is_current", "nothing newer is published"))
    if generation.ownership.phase is Phase.REVOKED:
        return Ruling(generation, Fate.RETIRE, Reason("key_is_revoked", f"{generation.name} is revoked"))
    end = overlap_end(case, key, generation)
    if key.overlap <= timedelta(0) or (end is not None and end <= case.now):
        sentence = f"{generation.name} has been replaced, and the overlap is over"
        return Ruling(generation, Fate.RETIRE, Reason("overlap_is_over", sentence))
    if generation.live.is_expired(case.now):
        sentence = f"{generation.name} has been replaced, and expired {instant(generation.live.expires_at)}"
        return Ruling(generation, Fate.RETIRE, Reason("generation_has_expired", sentence))
    expires = generation.live.expires_at
    if end is not None:
        sentence = f"{generation.name} stays valid until {instant(min(end, expires) if expires else end)}"
    else:
        newer = successor.live_name if successor else "its successor"
        sentence = f"{generation.name} stays valid for {duration(key.overlap)} after {newer} is published"
        if expires and expires < shift(case.now, key.overlap):
            sentence = f"{generation.name} stays valid until it expires {instant(expires)}, before the overlap is over"
    return Ruling(generation, Fate.OVERLAP, Reason("generation_is_in_overlap", sentence))


def overlap_end(case: KeyCase, key: DesiredKey, generation: Generation) -> datetime | None:
    """When the overlap ends that began when the first newer generation was in every sink; None if none is."""
    published = [
        case.now if newer.is_unfinished else newer.ownership.since
        for newer in case.generations
        if newer.number > generation.number and newer.is_in_use and newer.has_replaced(key.sinks)
    ]
    return shift(min(published), key.overlap) if published else None


def rewrite_descriptions(
    case: KeyCase,
    key: DesiredKey,
    rulings: tuple[Ruling, ...],
    newest: Generation | None,
    successor: Successor | None,
) -> tuple[Rewriting, ...]:
    """Descriptions to write: adoption, publications that were cut short, and what the file says of the current one."""
    found: list[Rewriting] = []
    for ruling in rulings:
        generation = ruling.generation
        is_newly_revoked = generation.ownership.phase is Phase.REVOKED and not _is_marked(generation, Phase.REVOKED)
        stays = ruling.fate in (Fate.CURRENT, Fate.OVERLAP)
        if not stays and not is_newly_revoked and generation.live.ownership is not None:
            continue
        live, ownership, text = generation.live, generation.ownership, generation.live.text.rstrip()
        reason: Reason | None = None
        if live.ownership is None:
            reason = ADOPTION
        elif is_newly_revoked:
            reason = Reason("key_is_revoked", "its secret leaked: it is cut as soon as another is published")
        elif generation.is_unfinished and generation.has_replaced(key.sinks):
            ownership = replace(ownership, phase=Phase.PUBLISHED, since=case.now)
            reason = Reason("publication_is_unfinished", "an earlier run ended before it marked this as published")
        elif ownership.phase is Phase.PENDING:
            ownership = replace(ownership, phase=Phase.PARTIAL, since=case.now)
            reason = Reason("publication_is_uncertain", "an earlier run ended while it was being published")
        diff: tuple[FieldDiff, ...] = ()
        if generation is newest and successor is None:
            ownership = replace(ownership, protected=key.prevent_destroy)
            was_protected = live.ownership is not None and live.ownership.protected
            diff = compare_fields(
                {"description": text, "prevent_destroy": was_protected},
                {"description": key.description, "prevent_destroy": key.prevent_destroy},
            )
            text = key.description
            if diff and reason is None:
                fields = " and ".join(change.path for change in diff)
                reason = Reason("description_differs", f"{fields} differs")
        if reason is not None:
            found.append(Rewriting(live, text, ownership, diff, reason))
    return tuple(found)


def _is_marked(generation: Generation, phase: Phase) -> bool:
    return generation.live.ownership is not None and generation.live.ownership.phase is phase


def warn_of_expiry(case: KeyCase, key: DesiredKey, newest: Generation) -> Iterator[Note]:
    """A key that expires, or has expired, and that nothing replaces before: by the shortest length that it has left."""
    expires = newest.live.expires_at
    if expires is None or due_by_expiry(key, newest) is not None:
        return
    if expires <= case.now:
        sentence = f"{newest.name} expired {instant(expires)}, and nothing rotates it"
        yield Note("key_has_expired", case.address, f"{sentence}: give a later expires_at, or a rotation.lifetime")
        return
    near = [length for length in case.warn_before if shift(expires, -length) <= case.now]
    if near:
        sentence = (
            f"{newest.name} expires {instant(expires)}, in less than {duration(min(near))}, and nothing rotates it"
        )
        yield Note("key_expires_soon", case.address, f"{sentence}: give a later expires_at, or a rotation.lifetime")


def expose_leak(case: KeyCase, rulings: tuple[Ruling, ...], successor: Successor | None) -> Iterator[Note]:
    """What a leaked secret opens until it is cut, and that it is cut without an overlap."""
    leaked = [
        ruling.generation
        for ruling in rulings
        if ruling.generation.ownership.phase is Phase.REVOKED
        and ruling.generation.bound_to
        and not ruling.generation.live.is_expired(case.now)
    ]
    if leaked:
        names = ", ".join(generation.name for generation in leaked)
        opened = sorted(frozenset[EndpointRef]().union(*(generation.bound_to for generation in leaked)))
        when = f"once {successor.live_name} is published" if successor else "by this plan"
        sentence = f"what leaked ({names}) opens {', '.join(map(str, opened))}; it is cut {when}, without an overlap"
        yield Note("leaked_secret_opens", case.address, sentence)


def warn(
    case: KeyCase,
    newest: Generation | None,
    rulings: tuple[Ruling, ...],
    successor: Successor | None,
) -> list[Note]:
    """What a reader should know although nothing changes because of it."""
    notes = []
    if newest and successor is None and newest.ownership.phase is Phase.ADOPTED:
        sentence = f"{newest.name} was adopted: its secret is unknown, and no sink is written until the next generation"
        notes.append(Note("adopted_secret_is_unknown", case.address, sentence))
    for ruling in rulings:
        if ruling.fate is Fate.OVERLAP:
            sentence = f"{ruling.reason.sentence}; a later apply retires it"
            notes.append(Note("generation_is_in_overlap", case.address, sentence))
    return notes
