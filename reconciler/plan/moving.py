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
from reconciler.model import EndpointRef, LiveKey, Move, Phase, digest, shift
from reconciler.plan.cases import Facts, Generation, KeyCase, name_some
from reconciler.plan.changes import Action, Note, Reason
from reconciler.plan.fates import Fate, Ruling
from reconciler.plan.fields import duration, instant
from reconciler.plan.obstacles import find_obstacles_to_removal, hold_up_by_protection, is_writable
from reconciler.plan.updates import KeyWriting
from reconciler.plan.verdicts import Verdict, hold_up, keep

FORGOTTEN = Reason("key_is_forgotten", "the file no longer manages it, and leaves it as it is")


def judge_moved(case: KeyCase, heir: Verdict, *, stays_at: frozenset[EndpointRef], is_stopped: bool) -> Verdict:
    """Decide about a key that another one replaces; `heir` is the verdict on that one."""
    if case.is_set_aside:
        return keep(case, Reason("key_is_not_asked_for", "only the keys that are asked for change"))
    if is_stopped or heir.is_held_up:
        kept = keep(case, Reason("key_is_held_up", "the key that takes its place is held up"))
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
    reason = Reason("key_was_renamed", f"{heir.case.name} has taken its place")
    sinks = {*case.records, *case.facts.unreadable_sinks} - case.facts.lasting_sinks if ends else ()
    return Verdict(
        case,
        Action.DELETE if ends else Action.UPDATE,
        rulings=rulings,
        writings=tuple(filter(is_writable, writings)),
        opens=heir.opens | stays_at,
        keeps_bindings=heir.keeps_bindings,
        obsolete_records=dict.fromkeys(sorted(sinks), reason),
        exposures=tuple(_expose_move(case, heir, rulings)),
        heir=heir,
    )


def _rule(case: KeyCase, heir: Verdict, generation: Generation) -> Ruling:
    """The fate of one generation (the table at the top)."""
    key, name = heir.case.desired, heir.case.name
    overlap = key.overlap if key else timedelta(0)
    if not generation.is_in_use:
        sentence = f"the secret of {generation.name} reached no sink"
        return Ruling(generation, Fate.DISCARD, Reason("generation_was_never_published", sentence))
    if generation.phase is Phase.REVOKED:
        sentence = f"{generation.name} is revoked"
        return Ruling(generation, Fate.RETIRE, Reason("key_is_revoked", sentence, is_urgent=True))
    end = end_of_former(case, heir, generation)
    if generation.live.is_expired(case.now) and end:
        sentence = f"{generation.name} has been replaced by {name}, and expired {instant(generation.live.expires_at)}"
        return Ruling(generation, Fate.RETIRE, Reason("generation_has_expired", sentence))
    if overlap <= timedelta(0) or (end and end <= case.now):
        sentence = f"{generation.name} has been replaced by {name}, and the overlap has passed"
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
        if key and newer.is_in_use and newer.has_replaced(key.sinks) and newer.phase is not Phase.REVOKED
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
    marker = generation.live.ownership or case.marker(
        generation.number, generation.phase, generation.since, generation.name
    )
    own = replace(marker, generation=generation.number, phase=generation.phase).on(generation.name)
    if generation.phase is Phase.REVOKED:
        sentence = f"its secret leaked: it is cut as soon as {name} is published"
        reason = Reason("key_is_revoked", sentence, is_urgent=True)
    else:
        is_moved = own.into == digest([name])
        own = own.moved_into(name, generation.since if is_moved else case.now)
        reason = Reason("key_is_renamed", f"the file calls it {name} from now on")
        if is_moved:
            reason = Reason("key_is_taken_over", f"the file takes it over from the stack {generation.live.taken_from}")
    taken = bool(generation.live.taken_from)
    return KeyWriting(generation.live, generation.text, own, (), reason, adopts=taken)


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
    sentence = f"is {name} by now: its secret is accepted {when}; its consumers need the one of {name} (sink {sinks})"
    yield Note("key_is_renamed", case.address, sentence)


def judge_forgotten(case: KeyCase, *, is_stopped: bool) -> Verdict:
    """Release a key: nothing is deleted, and nobody rotates or retires it any longer."""
    if case.is_set_aside:
        return keep(case, Reason("key_is_not_asked_for", "only the keys that are asked for change"))
    found = tuple(_find_obstacles_to_forgetting(case))
    if found or is_stopped:
        return hold_up(case, found)
    kept = keep(case, FORGOTTEN)
    writings = []
    for generation in case.generations:
        marker = generation.live.ownership or case.marker(
            generation.number, generation.phase, generation.since, generation.name
        )
        own = replace(marker, generation=generation.number).on(generation.name).let_go()
        taken = bool(generation.live.taken_from)
        writings.append(KeyWriting(generation.live, generation.text, own, (), FORGOTTEN, adopts=taken))
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
        message = f"is not forgotten: what leaked ({name_some(leaked)}) still opens something"
        yield Finding("", case.address, message, "declare the key, apply until that is cut, and forget it then")
    yield from find_obstacles_to_removal(case)


def _expose_farewell(case: KeyCase) -> Iterator[Note]:
    """What still opens something although nobody manages it."""
    for each in case.generations:
        if each.bound_to:
            sentence = f"{each.name} goes on opening {name_some(sorted(map(str, each.bound_to)))}"
            end = f", until it expires {instant(each.live.expires_at)}" if each.live.expires_at else " without an end"
            yield Note("key_is_forgotten", case.address, f"{sentence}{end}: nobody rotates or retires it any more")


def expose_takeovers(facts: Facts) -> Iterator[Note]:
    """Which keys change hands, one note for each stack that had them."""
    for stack in sorted({move.stack for move in facts.desired.moves if move.stack}):
        taken = sorted({live.name for live in facts.snapshot.keys if live.taken_from == stack})
        if taken:
            sentence = f"{name_some(taken)} from the stack {stack}: this stack manages them from now on"
            yield Note("keys_change_hands", f"stack.{facts.desired.stack}", f"takes over {sentence}")


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
                way_out = "declare them, or name them in `forget`; what is to be deleted is deleted before the rename"
                yield Finding(move.place.where, move.place.path, message, way_out)


def note_done(facts: Facts) -> Iterator[Note]:
    """Entries of `moved` and `forget` that are no longer needed."""
    for move in facts.desired.moves:
        if not any(_is_open(facts, move, live) for live in facts.snapshot.keys):
            address = f"key.{move.to}" if move.key else f"stack.{move.to}"
            sentence = f"the move from {move.source} has nothing left to do: remove it from `moved`"
            yield Note("move_is_done", address, sentence)
    present = {identity.key for identity in facts.own.values()}
    for each in facts.desired.farewells:
        if each.key not in present and each.key not in facts.records:
            yield Note("farewell_is_done", f"key.{each.key}", "has nothing left to forget: remove it from `forget`")


def _is_open(facts: Facts, move: Move, live: LiveKey) -> bool:
    """Whether a live key is still to be moved by an entry."""
    if not move.key:
        return live.taken_from == move.stack
    marker = live.ownership or live.released
    if move.stack:
        return bool(live.taken_from == move.stack and marker and marker.key == move.key) or (
            marker is not None and (marker.stack, marker.key) == (move.stack, move.key)
        )
    is_of_it = live.id in facts.own and facts.own[live.id].key == move.key
    return is_of_it and not (marker and marker.into == digest([move.to]))
