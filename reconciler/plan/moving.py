"""What happens to a key that has another name by now (`moved`), and to one that the stack lets go of (`forget`).

A renamed key becomes another one, with its own new generation. The old generations stay, marked with what
takes their place (so that the file need not say it any more), open what that opens, and are retired once its secret has
been published for an overlap:

generation of the former key       what becomes of it
pending, in no sink                discard
revoked                            retire once the new key is published
in use, the new key is not yet     overlap
in use, the new key is published   overlap; retire once the overlap has passed since the later of publication and move

Of a key that is forgotten, nothing is unlinked or deleted: its marker and its records say that it was released.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.errors import Finding
from reconciler.model import EndpointRef, LiveKey, Move, Ownership, Phase, digest, shift
from reconciler.plan.cases import Facts, Generation, KeyCase, holders_of, name_some
from reconciler.plan.changes import RENAMES, Action, Note, Reason
from reconciler.plan.fates import Fate, Ruling
from reconciler.plan.fields import duration, instant
from reconciler.plan.obstacles import find_obstacles_to_removal, hold_up_by_protection, is_writable
from reconciler.plan.updates import Copying, KeyWriting, explain_claim, find_claimed, is_unowned
from reconciler.plan.verdicts import Verdict, hold_up, keep

UNKNOWN = (Phase.ADOPTED, Phase.REVOKED)
"""Generations of the new key whose secret its consumers cannot have from a sink."""
FORGOTTEN = Reason("key_is_forgotten", "the file forgets it: it is no longer managed, and not changed")


def judge_moved(case: KeyCase, heir: Verdict, *, stays_at: frozenset[EndpointRef], is_stopped: bool) -> Verdict:
    """Decide about a key that another one replaces; `heir` is the verdict on that one."""
    if case.is_set_aside:
        return keep(case, Reason("key_is_not_asked_for", "it was not named on the command line"))
    if is_stopped or heir.is_held_up:
        kept = keep(case, Reason("key_is_held_up", "the key that replaces it is held up"))
        leaked = (ruling for ruling in kept.rulings if ruling.generation.phase is Phase.REVOKED)
        marks = (_write(case, heir, ruling) for ruling in leaked if not _is_written(heir, ruling))
        return replace(kept, writings=tuple(filter(is_writable, marks)), is_held_up=True)
    if heir.case.desired and (found := tuple(hold_up_by_protection(heir.case, heir.case.desired, case.generations))):
        return hold_up(case, found)
    rulings = tuple(_rule(case, heir, generation) for generation in case.generations)
    ends = bool(rulings) and all(ruling.goes for ruling in rulings)
    if ends and (found := tuple(find_obstacles_to_removal(case))):
        return hold_up(case, found)
    writings = tuple(_write(case, heir, ruling) for ruling in rulings if not _is_written(heir, ruling))
    reason = Reason("key_was_renamed", f"{heir.case.name} has replaced it")
    opened = heir.case.desired.endpoints if heir.case.desired else frozenset[EndpointRef]()
    sinks = {*case.records, *case.facts.unreadable_sinks} - case.facts.lasting_sinks if ends else ()
    return Verdict(
        case,
        Action.DELETE if ends else Action.UPDATE,
        rulings=rulings,
        writings=tuple(filter(is_writable, writings)),
        opens=(opened - case.facts.unusable.keys()) | stays_at,
        keeps_bindings=heir.keeps_bindings,
        copying=_claim(case, heir, rulings),
        obsolete_records=dict.fromkeys(sorted(sinks), reason),
        exposures=tuple(_expose_move(case, heir, rulings)),
        heir=heir,
    )


def _rule(case: KeyCase, heir: Verdict, generation: Generation) -> Ruling:
    """The fate of one generation (the table at the top)."""
    key, name = heir.case.desired, heir.case.name
    overlap = key.overlap if key else timedelta(0)
    if not generation.is_in_use:
        sentence = f"the secret of {generation.name} was never published"
        return Ruling(generation, Fate.DISCARD, Reason("generation_was_never_published", sentence))
    if generation.phase is Phase.REVOKED:
        sentence = f"{generation.name} is revoked"
        return Ruling(generation, Fate.RETIRE, Reason("key_is_revoked", sentence, is_urgent=True))
    end = end_of_former(case, heir, generation)
    is_replaced = end is not None or heir.successor is not None
    if generation.live.is_expired(case.now) and end:
        sentence = f"{generation.name} has been replaced by {name}, and expired {instant(generation.live.expires_at)}"
        return Ruling(generation, Fate.RETIRE, Reason("generation_has_expired", sentence))
    if (overlap <= timedelta(0) and is_replaced) or (end and end <= case.now):
        sentence = f"{generation.name} has been replaced by {name}, and its overlap has ended"
        return Ruling(generation, Fate.RETIRE, Reason("overlap_is_over", sentence))
    sentence = f"{generation.name} stays valid for {duration(overlap)} after {name} is published"
    if end:
        sentence = f"{generation.name} stays valid until {instant(end)}"
    return Ruling(generation, Fate.OVERLAP, Reason("generation_is_in_overlap", sentence))


def end_of_former(case: KeyCase, heir: Verdict, generation: Generation) -> datetime | None:
    """When the overlap ends; None before it began: with the new key in all of its sinks, and the old one marked."""
    key = heir.case.desired
    published = [
        case.now if newer.is_unfinished else newer.since
        for newer in heir.case.generations
        if key and newer.is_in_use and newer.has_replaced(key.sinks) and newer.phase not in UNKNOWN
    ]
    marker = generation.live.ownership
    moved_at = generation.since if marker and marker.into == digest([heir.case.name]) else case.now
    return shift(max(moved_at, min(published)), key.overlap) if key and published else None


def _is_written(heir: Verdict, ruling: Ruling) -> bool:
    """Whether the marker says already what it is to say."""
    generation, marker = ruling.generation, ruling.generation.live.ownership
    if marker is None or generation.live.taken_from:
        return False
    if generation.phase is Phase.REVOKED:
        return generation.is_marked(Phase.REVOKED)
    return ruling.goes or marker.into == digest([heir.case.name])


def _write(case: KeyCase, heir: Verdict, ruling: Ruling) -> KeyWriting:
    """The marker that names what takes its place."""
    generation, name = ruling.generation, heir.case.name
    own = replace(_mark(case, generation), phase=generation.phase)
    if generation.phase is Phase.REVOKED:
        sentence = f"its secret leaked: it stops working once {name} is published"
        reason = Reason("key_is_revoked", sentence, is_urgent=True)
    else:
        is_moved = own.into == digest([name])
        own = own.moved_into(name, generation.since if is_moved else case.now)
        reason = Reason("key_is_renamed", f"it is renamed to {name}")
        if is_moved:
            reason = Reason("key_is_taken_over", f"it is taken over from the stack {generation.live.taken_from}")
    return KeyWriting(generation.live, generation.text, own, (), reason, adopts=is_unowned(generation))


def _mark(case: KeyCase, generation: Generation) -> Ownership:
    """The marker of a generation, or the one that it would have, for its live name."""
    marker = generation.live.ownership or case.marker(
        generation.number, generation.phase, generation.since, generation.name
    )
    return replace(marker, generation=generation.number).on(generation.name)


def _claim(case: KeyCase, heir: Verdict, rulings: tuple[Ruling, ...]) -> Copying | None:
    """The records of a generation that stays, if they still name the stack that it is taken over from."""
    for ruling in rulings:
        sinks = () if ruling.goes else find_claimed(case, ruling.generation)
        if sinks:
            written = _write(case, heir, ruling)
            return Copying(written.live, written.text, written.ownership, sinks[0], sinks, explain_claim(case, sinks))
    return None


def _expose_move(case: KeyCase, heir: Verdict, rulings: tuple[Ruling, ...]) -> Iterator[Note]:
    """Until when consumers have to read the secret of the new key."""
    opening = [ruling.generation for ruling in rulings if ruling.generation.bound_to and ruling.generation.is_in_use]
    if not opening:
        return
    key, name = heir.case.desired, heir.case.name
    end = max((at for each in opening if (at := end_of_former(case, heir, each))), default=None)
    overlap = key.overlap if key else timedelta(0)
    when = f"for {duration(overlap)} after {name} is published" if overlap else f"until {name} is published"
    if end and overlap:
        when = f"until {instant(end)}"
    if all(ruling.goes for ruling in rulings):
        when = "until this plan is applied"
    sinks = ", ".join(key.sinks) if key else ""
    sentence = f"is renamed to {name}: its secret works {when}; its consumers need the secret of {name} (sink {sinks})"
    yield Note("key_is_renamed", case.address, sentence)


def judge_forgotten(case: KeyCase, *, is_stopped: bool) -> Verdict:
    """Release a key: nothing is deleted, and nobody rotates or retires it any longer."""
    if case.is_set_aside:
        return keep(case, Reason("key_is_not_asked_for", "it was not named on the command line"))
    found = tuple(_find_obstacles_to_forgetting(case))
    if found or is_stopped:
        return hold_up(case, found)
    kept = keep(case, FORGOTTEN)
    writings = (
        KeyWriting(each.live, each.text, _mark(case, each).let_go(), (), FORGOTTEN, adopts=is_unowned(each))
        for each in case.generations
    )
    lasting = sorted((case.facts.unreadable_sinks | case.facts.lasting_sinks) & case.records.keys())
    return replace(
        kept,
        action=Action.FORGET,
        writings=tuple(writings),
        released_records=dict.fromkeys(sorted(case.records.keys() - set(lasting)), FORGOTTEN),
        exposures=tuple(_expose_farewell(case)),
    )


def _find_obstacles_to_forgetting(case: KeyCase) -> Iterator[Finding]:
    """What has to be done before: what leaked is not left behind, and what cannot be read is not let go of."""
    leaked = [each.name for each in case.generations if each.leaks(case.now)]
    if leaked:
        message = f"cannot be forgotten: its leaked secret ({name_some(leaked)}) still works"
        yield Finding(
            "", case.address, message, "declare the key, apply until the secret no longer works, then forget it"
        )
    exclusive = {endpoint.ref: endpoint for endpoint in case.facts.desired.endpoints if endpoint.exclusive}
    for ref in sorted({ref for each in case.generations for ref in each.bound_to} & exclusive.keys()):
        message = f"is held up: it opens {ref}, which is exclusive"
        way_out = "apply without this key's binding first, or remove `exclusive`"
        yield Finding(exclusive[ref].place.where, case.address, message, way_out)
    yield from find_obstacles_to_removal(case, deletes=False)


def _expose_farewell(case: KeyCase) -> Iterator[Note]:
    """What still opens something although nobody manages it."""
    for each in case.generations:
        if each.bound_to:
            sentence = f"{each.name} still opens {name_some(sorted(map(str, each.bound_to)))}"
            end = f", until it expires on {instant(each.live.expires_at)}" if each.live.expires_at else " indefinitely"
            yield Note("key_is_forgotten", case.address, f"{sentence}{end}: keyform no longer rotates or retires it")


def expose_takeovers(facts: Facts) -> Iterator[Note]:
    """Which keys change hands, one note for each stack that had them."""
    for stack in sorted({move.stack for move in facts.desired.moves if move.stack}):
        taken = sorted({live.name for live in facts.snapshot.keys if live.taken_from == stack})
        if taken:
            sentence = f"{name_some(taken)} from the stack {stack}"
            yield Note("keys_change_hands", f"stack.{facts.desired.stack}", f"takes over {sentence}")
    for sink in facts.desired.sinks if facts.desired.former_stacks else ():
        if "{stack}" in sink.destination or "{STACK}" in sink.destination:
            sentence = "has the stack's name in its place: what it holds under the former name stays there"
            yield Note("record_stays", f"sink.{sink.name}", f"{sentence}; remove it once its consumers have switched")


def refuse_unproven_rename(facts: Facts) -> Iterator[Finding]:
    """A stack is renamed by the file that had it, and its sinks show that; another stack has to release its keys."""
    for move in facts.desired.moves:
        taken = [live for live in facts.snapshot.keys if not move.key and live.taken_from == move.stack]
        if taken and not any(_is_proven(facts, live) for live in taken):
            message = f"no sink of this file shows that it is the file of the stack {move.stack}"
            way_out = (
                "run apply where the sinks of that stack are; to take keys over from another stack, have it release"
                " them (`forget`), and name each of them in `moved`"
            )
            yield Finding(move.place.where, move.place.path, message, way_out, RENAMES)


def _is_proven(facts: Facts, live: LiveKey) -> bool:
    """Whether a sink holds the secret of a live key; or it was published where nobody can look from under this name."""
    marker = live.ownership
    if marker is None:
        return False
    if holders_of(facts, marker.key, live):
        return True
    key = next((key for key in facts.desired.keys if key.name == marker.key), None)
    places = {sink.name: sink.destination for sink in facts.desired.sinks}
    is_hidden = key is not None and all(
        sink in facts.unreadable_sinks or "{stack}" in places.get(sink, "") or "{STACK}" in places.get(sink, "")
        for sink in key.sinks
    )
    return key is not None and is_hidden and marker.published_to == facts.desired.digest_of(key.sinks)


def refuse_partial_rename(facts: Facts) -> Iterator[Finding]:
    """A stack that is renamed takes all its keys along: one that the file leaves out would be lost on the way."""
    declared = {key.name for key in facts.desired.keys} | facts.heirs.keys() | facts.forgotten
    for move in facts.desired.moves:
        if not move.key:
            left = {
                live.ownership.key
                for live in facts.snapshot.keys
                if live.taken_from == move.stack and live.ownership and live.ownership.key not in declared
            }
            if left:
                message = f"the stack {move.stack} has keys that this file does not declare: {name_some(sorted(left))}"
                way_out = "declare them, or name them in `forget`; delete keys before you rename the stack"
                yield Finding(move.place.where, move.place.path, message, way_out, RENAMES)


def note_done(facts: Facts) -> Iterator[Note]:
    """Entries of `moved` and `forget` that are no longer needed: nothing has that name, or it is done."""
    for move in facts.desired.moves:
        if not any(_is_open(facts, move, live) for live in facts.snapshot.keys):
            address = f"key.{move.to}" if move.key else f"stack.{move.to}"
            sentence = f"there is nothing left to move from {move.source}: remove the entry from `moved`"
            yield Note("move_is_done", address, sentence)
    present = {identity.key for identity in facts.own.values()}
    for each in facts.desired.farewells:
        if each.key not in present and each.key not in facts.records:
            yield Note(
                "farewell_is_done", f"key.{each.key}", "there is nothing left to forget: remove it from `forget`"
            )


def _is_open(facts: Facts, move: Move, live: LiveKey) -> bool:
    """Whether a live key is still to be moved by an entry."""
    if not move.key:
        return live.taken_from == move.stack
    marker = live.ownership or live.released
    if move.stack == facts.desired.stack:
        return live.taken_from == move.stack
    if move.stack:
        return bool(live.taken_from == move.stack and marker and marker.key == move.key) or (
            marker is not None and (marker.stack, marker.key) == (move.stack, move.key)
        )
    is_of_it = live.id in facts.own and facts.own[live.id].key == move.key
    return is_of_it and not (marker and marker.into == digest([move.to]))
