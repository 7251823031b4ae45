"""What holds up a key: what a person has to look at first, with the way out. Each finding holds up that key alone.

A leaked secret is cut whatever else is broken: for an urgent key, only what its successor needs can prevent it. Then
its generations are at least marked as revoked (see verdicts.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from difflib import get_close_matches
from itertools import takewhile

from reconciler.errors import Finding
from reconciler.model import (
    LAST_GENERATION,
    LONGEST_TEXT,
    NOWHERE,
    DesiredKey,
    EndpointRef,
    LiveKey,
    Ownership,
    Phase,
    Place,
    Trouble,
    UnwritableDescription,
    compose_description,
    generation_name,
    number_in_name,
)
from reconciler.plan.cases import Generation, KeyCase, holders_of, is_owned, name_some
from reconciler.plan.changes import PREVENT_DESTROY, Reason
from reconciler.plan.fates import Successor
from reconciler.plan.fields import instant
from reconciler.plan.holdings import NOTHING_LOST, find_holdings, sets_by_digest
from reconciler.plan.owners import describe_owner
from reconciler.plan.updates import KeyWriting

MOST_UNCERTAIN = 3
"""After this many generations in a row whose publication had an unknown outcome, a person has to look."""
MOST_UNUSED = 6
"""No two faults in a row leave this many unpublished generations: the API deletes none."""


def path_of(key: DesiredKey) -> str:
    """Where the file declares the key, or would."""
    return key.place.path or f"keys.{key.name}"


def find_obstacles(case: KeyCase, key: DesiredKey) -> Iterator[Finding]:
    """Everything that holds up a declared key, whatever the plan would do with it."""
    own = frozenset(key.sinks)
    concerned = own if case.is_urgent else case.facts.snapshot.sinks.keys()
    yield from hold_up_by_sinks(case, own & case.facts.broken.keys())
    yield from hold_up_by_records(case, concerned)
    yield from hold_up_by(case, case.facts.foreign, own)
    yield from hold_up_by(case, case.facts.unwritable, concerned)
    yield from hold_up_by_doubt(case)
    yield from find_unadoptable(case, key)
    yield from hold_up_by_giver(case)
    taken = [each for each in case.generations if each.live.taken_from or each.is_taken_over]
    yield from hold_up_by_protection(case, key, taken)
    yield from hold_up_by_endpoints(case, key)


def find_obstacles_to_removal(case: KeyCase, *, deletes: bool = True) -> Iterator[Finding]:
    """Everything that holds up a key that is no longer declared: its record goes before its live key does.

    The record of a leaked secret may outlive its key: it no longer opens anything. If nothing is deleted, it does not
    matter who else the live keys may belong to.
    """
    if case.is_urgent:
        return
    if deletes:
        yield from hold_up_by_typo(case)
    if case.generations:
        yield from hold_up_by_sinks(case, find_broken_holders(case))
    sinks = case.facts.snapshot.sinks.keys()
    yield from hold_up_by_records(case, sinks)
    yield from hold_up_by(case, case.facts.unwritable, sinks)
    if deletes:
        yield from hold_up_by_doubt(case)
    yield from hold_up_by_unseen(case)


def hold_up_by_typo(case: KeyCase) -> Iterator[Finding]:
    """A name in `moved` or `forget` that nothing has, and that is probably this key's: it must not be deleted then."""
    facts = case.facts
    if case.heir or facts.demand is not None or not case.generations:
        return
    places = {move.key: move.place for move in facts.desired.moves if move.key and not move.stack}
    places |= {each.key: each.place for each in facts.desired.farewells}
    if not places:
        return
    known = {identity.key for identity in facts.own.values()} | facts.records.keys()
    for name, place in places.items():
        if name not in known and get_close_matches(name, [case.name], n=1, cutoff=0.75):
            message = f"there is no key {name}, and {case.name} would be deleted"
            way_out = f"did you mean {case.name}? If not, remove {name} here"
            yield Finding(place.where, place.path, message, way_out)


def place_of(case: KeyCase) -> tuple[str, str]:
    """The place of a finding about a key: in the file if it declares the key, otherwise its address."""
    return (case.desired.place.where, path_of(case.desired)) if case.desired else (NOWHERE.where, case.address)


def find_broken_holders(case: KeyCase) -> AbstractSet[str]:
    """The broken sinks that may hold a removed key's secret: none, if the markers say that it is elsewhere."""
    facts = case.facts
    if not facts.broken:
        return set()
    sound = facts.snapshot.sinks.keys() - facts.broken.keys()
    sets = sets_by_digest(tuple(sorted({each.destination for each in facts.desired.sinks if each.name in sound})))
    elsewhere = {said for said, some in sets.items() if len(sound) <= FEW_SINKS or len(some) <= MOST_OF_MANY}
    markers = [generation.live.ownership for generation in case.generations]
    return set() if all(marker and marker.published_to in elsewhere for marker in markers) else facts.broken.keys()


FEW_SINKS, MOST_OF_MANY = 8, 2
"""Up to this many sinks every set counts; with more, only sets of one and of two."""


def hold_up_by_sinks(case: KeyCase, sinks: AbstractSet[str]) -> Iterator[Finding]:
    """Sinks that hold its secret, or may, and could not be read."""
    for sink in sorted(sinks):
        trouble = case.facts.broken[sink]
        yield Finding(*place_of(case), f"is held up: {trouble.message}", trouble.way_out)


def hold_up_by_records(case: KeyCase, sinks: AbstractSet[str]) -> Iterator[Finding]:
    """A record that only a later version of keyform reads must not be overwritten or removed: it may say anything."""
    later = case.facts.later.get(case.name, {})
    if sentences := [later[sink] for sink in sorted(later.keys() & sinks)]:
        yield Finding(*place_of(case), f"is held up: {'; '.join(sentences)}", "update keyform")


def hold_up_by(case: KeyCase, found: Mapping[str, Mapping[str, Trouble]], sinks: AbstractSet[str]) -> Iterator[Finding]:
    """Findings of these sinks about the key: its place has another owner, or nothing can be written there."""
    troubles = found.get(case.name, {})
    for sink in sorted(troubles.keys() & sinks):
        way_out = troubles[sink].way_out
        if found is case.facts.foreign and (owner := find_other_owner(case)):
            way_out = (
                f"its live key belongs to the stack {owner} now, and the secret there is in use: if this stack was"
                " renamed, write that name here; if the key was handed over, remove it here"
            )
        yield Finding(*place_of(case), f"is held up: {troubles[sink].message}", way_out)


def find_other_owner(case: KeyCase) -> str:
    """The stack that a live key called like a generation of this key belongs to, by its marker and its name."""
    for live in case.lookalikes:
        if live.ownership is not None and live.ownership.stack != case.stack and live.ownership.fits(live.name):
            return live.ownership.stack
    lives = case.facts.by_name.get(case.name, ())
    owners = (live.ownership for live in lives if live.ownership is not None)
    return next((owner.stack for owner in owners if owner.stack != case.stack), "")


def hold_up_by_endpoints(case: KeyCase, key: DesiredKey) -> Iterator[Finding]:
    """Endpoints that it cannot open at all: a key that nobody uses yet waits, and so does one with invisible endpoints.

    A key in use continues without them, and stays bound everywhere (see verdicts.py).
    """
    yield from hold_up_by_unseen(case)
    for ref, place, trouble in find_missing(case, key):
        if case.newest_in_use is None or ref.kind in case.facts.snapshot.unseen:
            yield Finding(place.where, place.path, trouble.message, trouble.way_out)


def find_missing(case: KeyCase, key: DesiredKey) -> list[tuple[EndpointRef, Place, Trouble]]:
    """The endpoints that the file says it opens and that it cannot be bound to, with their places, and why."""
    unusable = case.facts.unusable
    return [(each.endpoint, each.place, unusable[each.endpoint]) for each in key.bindings if each.endpoint in unusable]


def hold_up_by_unseen(case: KeyCase) -> Iterator[Finding]:
    """Endpoints that a live key of it opens, and that the API does not show: nobody could unlink it there."""
    declared = case.desired.endpoints if case.desired else frozenset()
    for generation in case.generations:
        for ref in sorted(generation.bound_to - declared):
            if unseen := case.facts.snapshot.unseen.get(ref.kind):
                message = f"{generation.name} opens {ref}, which is not shown: {unseen.message}"
                yield Finding(*place_of(case), message, unseen.way_out)


def find_doubtful(case: KeyCase) -> list[LiveKey]:
    """Live keys that make it unclear which generation consumers use.

    A marker that cannot be read may be that of the newest generation. One that nothing confirms is forged, or belongs
    to a key whose `adopt` was removed from the file: if the key has other generations, it is only reported.
    """
    taken_over = case.desired.adopt if case.desired else None
    has_own = any(not generation.is_taken_over for generation in case.generations)
    leaked = [live for live in case.claims if case.is_urgent and live.ownership and live.ownership.names(live.name)]
    claims = [live for live in case.claims if live.ownership is None or (case.desired and not has_own)]
    lookalikes = [live for live in case.lookalikes if may_be_in_use(case, live)]
    known = {generation.live.id for generation in case.generations}
    found = {
        live.id: live
        for live in (*claims, *leaked, *lookalikes)
        if live.name != taken_over and not (case.desired is None and is_released_by(case.stack, live))
    }
    return [live for live_id, live in found.items() if live_id not in known]


def is_released_by(stack: str, live: LiveKey) -> bool:
    """Whether this stack let go of a live key."""
    return live.released is not None and live.released.stack == stack


def may_be_in_use(case: KeyCase, live: LiveKey) -> bool:
    """Whether a live key that is named like a generation of a key, or is in a record of it, may be the one in use.

    One that is older than the newest known generation is not, nor is any if a sink holds that one's secret.
    """
    if holders_of(case.facts, case.name, live):
        return True
    if case.desired is None:
        return False
    newest, number = case.newest_in_use, number_in_name(case.name, live.name) or 0
    if newest is None:
        return bool(case.generations) or number > 1  # otherwise `find_taken_name` reports it
    return number > newest.number and not newest.sinks_that_hold_it


def hold_up_by_doubt(case: KeyCase) -> Iterator[Finding]:
    """The key stays as it is until a person has decided about such a live key; a leaked secret is cut anyway."""
    for live in find_doubtful(case)[:1] if not case.is_urgent else ():
        message = f"is held up by the live key {live.name}: {describe_doubt(case, live)}"
        yield Finding(*place_of(case), message, way_out_of_doubt(case, live))


def describe_doubt(case: KeyCase, live: LiveKey) -> str:
    """Why it is unclear whether a live key is a generation of a key."""
    if live.marked_by in (case.stack, ""):
        return describe_claim(live)
    holders = sorted(holders_of(case.facts, case.name, live))
    seems = (
        f"sink {', '.join(holders)} has a record of it" if holders else "its name is that of a generation of this key"
    )
    return f"{seems}, but {describe_owner(live)}"


def describe_claim(live: LiveKey) -> str:
    """Why a marker of this stack does not count."""
    if live.ownership is None:
        return "it may belong to this stack, but its marker cannot be read"
    own = live.ownership
    return f"its marker says that it is g{own.generation} of {own.key}, but its name does not match"


def way_out_of_claim(live: LiveKey) -> str:
    """What a person can do about a live key whose marker does not count."""
    return (
        "restore its name or its marker in the portal, remove the marker if it is wrong, or set"
        f" `adopt: {live.name}` on the key that owns it"
    )


def way_out_of_doubt(case: KeyCase, live: LiveKey) -> str:
    """What a person can do about a live key whose owner is unclear."""
    if live.marked_by in (case.stack, ""):
        return way_out_of_claim(live)
    if live.marked_by is not None:
        return (
            "if it belongs to this key, correct its marker in the portal; otherwise declare the key under another name"
        )
    if case.desired is None:
        return (
            "to delete it, use the portal, or declare the key again, apply, and then remove it; to"
            " keep it, remove the record from the sink"
        )
    return (
        f"if it belongs to this key, set `adopt: {live.name}`; otherwise delete it in the portal once nobody"
        " uses it, or declare the key under another name"
    )


def find_uncut(case: KeyCase) -> list[LiveKey]:
    """For a key with a leaked secret, live keys that may be another generation, and stay.

    If the key was named on the command line, that is each that opens anything, even one that is certainly not the
    newest.
    """
    found = {live.id: live for live in (find_doubtful(case) if case.is_urgent else ())}
    if case.is_revoked:
        known = {generation.live.id for generation in case.generations}
        opens = (live for live in (*case.claims, *case.lookalikes) if case.facts.bound.get(live.id))
        found |= {live.id: live for live in opens if live.id not in known and not live.is_expired(case.now)}
    return list(found.values())


def explain_uncut(case: KeyCase, live: LiveKey) -> Finding:
    """Keys that may have leaked as well, and are not deleted on suspicion."""
    message = (
        f"another secret may have leaked: the live key {live.name} is not deleted, because {describe_doubt(case, live)}"
    )
    way_out = "if it belongs to this key, delete it in the portal"
    return Finding(*place_of(case), message, way_out)


def find_obstacles_to_another(case: KeyCase, key: DesiredKey, why: Reason) -> Iterator[Finding]:
    """What prevents another generation.

    A requested rotation is made anyway, and so is a replacement of a leaked secret.
    """
    if not case.is_rotated and not case.is_urgent:
        yield from hold_up_by_attempts(case, key)
        if why.code == "secret_is_not_in_sink":
            yield from hold_up_by_source(case, key)
            yield from hold_up_by_instants(case, key)


def hold_up_by_attempts(case: KeyCase, key: DesiredKey) -> Iterator[Finding]:
    """Generations that were published to nobody, or may have been, must not pile up with each run."""
    in_use = [generation for generation in reversed(case.generations) if generation.is_in_use]
    tried = [*takewhile(lambda each: each.is_unfinished and not each.has_replaced(key.sinks), in_use)]
    unused = [generation for generation in case.generations if not generation.is_in_use]
    way_out = f"then run `keyform rotate {case.name}`"
    if len(tried) >= MOST_UNCERTAIN:
        names, sinks = name_some([each.name for each in reversed(tried)]), ", ".join(key.sinks)
        message = f"is held up: the last {len(tried)} generations ({names}) may or may not have reached sink {sinks}"
        yield Finding(*place_of(case), message, f"find out why publishing fails, {way_out}")
    if len(unused) >= MOST_UNUSED:
        names = name_some([each.name for each in unused])
        message = f"is held up: {len(unused)} unpublished generations could not be deleted ({names})"
        yield Finding(*place_of(case), message, f"find out why, {way_out}")


def hold_up_by_source(case: KeyCase, key: DesiredKey) -> Iterator[Finding]:
    """A secret that no sink gives back now may be in one that cannot be read this time: that is no reason to replace
    it.
    """
    newest, suspects = case.newest_in_use, case.facts.broken.keys()
    if newest is not None and suspects:
        named = find_holdings(case, key, newest).published_to
        yield from hold_up_by_sinks(case, suspects if named is None else suspects & named)


def hold_up_by_instants(case: KeyCase, key: DesiredKey) -> Iterator[Finding]:
    """A record and a marker name the same generation, published to that sink, and only `created_at` differs.

    Someone created the key again and copied its marker, or the API changed the instant. In that case it would not
    recognise a new generation either, and each apply would create one.
    """
    newest = case.newest_in_use
    found = find_holdings(case, key, newest) if newest is not None else NOTHING_LOST
    if newest is None or not found.published_to:
        return
    for sink in found.lost:
        record = case.records.get(sink)
        if record is not None and (record.live_name, record.generation) == (newest.name, newest.number):
            message = (
                f"is held up: sink {sink} holds the secret of {newest.name} that was created"
                f" {instant(record.created_at)}, and the API says {instant(newest.live.created_at)}"
            )
            way_out = (
                f"if {newest.name} was recreated, run `keyform rotate {case.name}`; otherwise report"
                " to Gcore that its created_at changes"
            )
            yield Finding(*place_of(case), message, way_out)


def explain_kept_record(case: KeyCase, key: DesiredKey) -> Iterator[Finding]:
    """A sink that the key no longer names has its secret, and cannot be read, so that nothing can be removed
    there now.
    """
    newest = case.newest_in_use
    if newest is not None and case.facts.broken:
        named = find_holdings(case, key, newest).published_to or frozenset()
        for sink in sorted((named & case.facts.broken.keys()) - set(key.sinks)):
            trouble = case.facts.broken[sink]
            yield Finding(*place_of(case), f"its old secret is not removed: {trouble.message}", trouble.way_out)


def explain_last_number(case: KeyCase, key: DesiredKey) -> Finding:
    """No marker holds a larger number, so a generation with one would be created again at each apply."""
    last = generation_name(case.name, LAST_GENERATION)
    if last not in case.facts.by_name and case.generations:
        last = case.generations[-1].name
    message = f"needs a new generation, but {last} has the highest possible number"
    way_out = f"declare the key under another name, or delete {last} in the portal if nobody uses it"
    return Finding(key.place.where, key.place.path, message, way_out)


def find_taken_name(case: KeyCase, key: DesiredKey, successor: Successor | None) -> tuple[Finding, ...]:
    """A key's first live name is its own name: if another owner holds it, the user has to decide."""
    holders = case.facts.by_name.get(successor.live.name, ()) if successor is not None else ()
    if not holders:
        return ()
    holder = holders[0]
    if holder.released is not None:
        source = f"{holder.released.stack}/{holder.released.key}"
        message = f"the live key {holder.name} already exists: the stack of {source} released it"
        way_out = f"write `moved: [{{from: {source}, to: {case.name}}}]` to take it over"
        if holder.released.stack == case.stack:
            way_out = f"set `adopt: {holder.name}` to take it back"
    elif holder.ownership is None or holder.ownership.stack == case.stack:
        message = f"the live key {holder.name} already exists, and this stack does not own it"
        way_out = f"set `adopt: {holder.name}` to take it over"
    else:
        message = f"the live key {holder.name} belongs to {holder.ownership.stack}/{holder.ownership.key}"
        way_out = release_by(holder.ownership, case.name)
    way_out += ", or declare the key under another name"
    return (Finding(key.place.where, key.place.path, message, way_out),)


def hold_up_by_giver(case: KeyCase) -> Iterator[Finding]:
    """Another stack's key can be taken over once that stack has released it: until then it rotates and retires it."""
    for move in case.facts.desired.moves:
        if move.stack not in ("", case.stack) and move.key and move.to == case.name:
            for live in case.facts.snapshot.keys:
                owner = live.ownership
                if owner is not None and (owner.stack, owner.key) == (move.stack, move.key) and owner.fits(live.name):
                    message = f"is held up: the stack {move.stack} has not released {live.name}"
                    way_out = f"write `forget: [{move.key}]` in its file in place of the key, and apply there first"
                    yield Finding(move.place.where, move.place.path, message, way_out)
                    break


def hold_up_by_protection(case: KeyCase, key: DesiredKey, generations: Sequence[Generation]) -> Iterator[Finding]:
    """A key protected by `prevent_destroy` can only be taken over, or renamed, by a key that is protected as well."""
    protected = [each.name for each in generations if each.is_protected]
    if protected and not key.prevent_destroy:
        message = f"prevent_destroy is set on the live key {protected[-1]}, which is to become one of this key"
        way_out = "write `prevent_destroy: true` here as well; to drop it, apply `false` under the former name first"
        yield Finding(*place_of(case), message, way_out)


def release_by(owner: Ownership, name: str) -> str:
    """How another stack hands a key over without cutting a consumer."""
    return (
        f"to have it handed over, write `forget: [{owner.key}]` in the file of {owner.stack} in place of the key, apply"
        f" there, and then write `moved: [{{from: {owner.stack}/{owner.key}, to: {name}}}]` here"
    )


def find_past_expiry(
    case: KeyCase, key: DesiredKey, successor: Successor | None, writings: tuple[KeyWriting, ...]
) -> Iterator[Finding]:
    """A key that has expired at its creation opens nothing, and one whose expiry is set to the past is cut at once."""
    if key.expires_at is None or key.expires_at > case.now:
        return
    effect = ""
    if successor is not None:
        effect = "so the new key would be unusable"
    elif any(writing.expires_at == key.expires_at for writing in writings):
        effect = "so the live key would stop working immediately"
    if effect:
        whose = ", kept from the adopted key," if key.keeps_expiry else ""
        message = f"expires_at {instant(key.expires_at)}{whose} is in the past, {effect}"
        yield Finding(key.place.where, f"{key.place.path}.expires_at", message, "set a later date, or `never`")


def find_unadoptable(case: KeyCase, key: DesiredKey) -> Iterator[Finding]:
    """The live key that the file takes over has to exist, once, and to belong to no other stack or key.

    One that is a generation of the key is fine. If there are others, it is taken over as the one that its name says.
    """
    own = [generation.name for generation in case.generations if not generation.is_taken_over]
    if key.adopt is None or any(generation.name == key.adopt for generation in case.generations):
        return
    where, path = key.place.where, f"{key.place.path}.adopt"
    found = case.facts.by_name.get(key.adopt, ())
    if own and (case.is_urgent or not found):
        return  # a leaked secret is cut whatever `adopt` says; and a missing one was replaced (`warn_of_adoption`)
    if not found:
        near = get_close_matches(key.adopt, sorted(case.facts.by_name), n=1)
        hint = f"did you mean {near[0]}?" if near else "check the name in the portal, or remove `adopt`"
        yield Finding(where, path, f"there is no live key {key.adopt}", hint)
    elif len(found) > 1:
        message = f"there are {len(found)} live keys {key.adopt}"
        yield Finding(where, path, message, "rename all but one of them in the portal")
    elif is_owned(case.facts, found[0]):
        marker = found[0].ownership
        owner = f"{marker.stack}/{marker.key}" if marker else f"the stack {found[0].marked_by}"
        message = f"the live key {key.adopt} belongs to {owner}"
        way_out = f"remove `adopt`; if there is no stack {found[0].marked_by}, remove the marker in the portal"
        if marker is not None:
            way_out = release_by(marker, key.name)
            if marker.stack == case.stack:
                way_out = f"to rename that key, remove it, and write `moved: [{{from: {marker.key}, to: {key.name}}}]`"
            else:
                way_out += f"; if the stack {marker.stack} no longer exists, remove the marker in the portal"
        yield Finding(where, path, message, way_out)
    elif own:
        message = f"the live key {key.adopt} cannot be adopted: the key has {', '.join(own)}, and by name and age"
        message += " it is not another generation of the key"
        way_out = "remove `adopt`, and delete the live key in the portal once nobody uses it"
        yield Finding(where, path, message, way_out)


def is_writable(writing: KeyWriting) -> bool:
    """A description has to be read back as written: a truncated marker would make a key foreign."""
    try:
        compose_description(writing.text, writing.ownership)
    except UnwritableDescription:
        return False
    return True


def explain_unwritable(case: KeyCase, writing: KeyWriting) -> Finding:
    """A live key that cannot be marked."""
    message = f"is held up: the description of the live key {writing.live.name} leaves no room for a marker"
    way_out = f"shorten it in the portal to {LONGEST_TEXT} characters on one line"
    return Finding(*place_of(case), message, way_out)


def find_long_text(case: KeyCase, key: DesiredKey, successor: Successor | None) -> Iterator[Finding]:
    """A description that the file does not set, and that leaves no room for the marker of the next generation."""
    if successor is None or case.newest_in_use is None:
        return
    mark = case.marker(successor.generation, Phase.PUBLISHED, case.now, successor.live.name)
    try:
        compose_description(key.description or "", replace(mark, published_to=case.destinations))
    except UnwritableDescription:
        message = f"is held up: the description of the live key {case.newest_in_use.name} leaves no room for a marker"
        way_out = f"shorten it in the portal to {LONGEST_TEXT} characters on one line, or set another in the file"
        yield Finding(*place_of(case), message, way_out)


def refuse_protected(case: KeyCase) -> Iterator[Finding]:
    """`prevent_destroy` on the newest live key of one that is no longer declared; older ones keep what was declared."""
    for generation in case.generations[-1:]:
        if generation.is_protected:
            yield Finding(
                "",
                case.address,
                f"prevent_destroy is set on the live key {generation.name}",
                "declare the key with `prevent_destroy: false`, apply, then remove it",
                PREVENT_DESTROY,
            )
