"""What holds up a key, or refuses a plan: what a person has to decide first, with the way out."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import takewhile

from reconciler.errors import Finding
from reconciler.model import (
    LAST_GENERATION,
    LONGEST_TEXT,
    NOWHERE,
    DesiredKey,
    LiveKey,
    Phase,
    UnwritableDescription,
    compose_description,
    generation_name,
)
from reconciler.plan.cases import KeyCase, is_owned, name_some
from reconciler.plan.fates import Successor
from reconciler.plan.fields import instant
from reconciler.plan.updates import KeyWriting

WAY_OUT_OF_CLAIM = (
    "give it back its name or its marker in the portal, remove a marker that is not its own, or write"
    " `adopt: LIVE-NAME` on the key that it belongs to"
)

MOST_UNCERTAIN = 3
"""After so many generations in a row whose publication had an outcome that nobody knows, a person has to look."""
MOST_UNUSED = 6
"""So many generations that were never published are left by no two faults in a row: the API deletes none."""


def path_of(key: DesiredKey) -> str:
    """Where the file declares the key, or would."""
    return key.place.path or f"keys.{key.name}"


def find_obstacle(case: KeyCase) -> LiveKey | None:
    """A live key that makes it unclear which generation consumers use; a leaked secret goes all the same.

    A marker that cannot be read may be that of the newest generation. One that nothing confirms is forged, or belongs
    to a key whose `adopt` was removed from the file: where the key has generations of its own, it is only reported.
    """
    if case.is_revoked or any(generation.phase is Phase.REVOKED for generation in case.generations):
        return None
    taken_over = case.desired.adopt if case.desired else None
    has_own = any(not generation.is_taken_over for generation in case.generations)
    return next(
        (live for live in case.claims if live.name != taken_over and (live.ownership is None or not has_own)),
        None,
    )


def describe_claim(live: LiveKey) -> str:
    """Why a marker of this stack does not count."""
    if live.ownership is None:
        return "it seems to belong to this stack, but its marker cannot be read"
    own = live.ownership
    return f"its marker says that it is g{own.generation} of {own.key}, but its name does not match"


def hold_up_by(key: DesiredKey, live: LiveKey) -> Finding:
    """The key stays as it is until a person has said what the live key is."""
    message = f"is held up by the live key {live.name}: {describe_claim(live)}"
    return Finding(key.place.where, path_of(key), message, WAY_OUT_OF_CLAIM)


def hold_up_by_record(case: KeyCase) -> Finding | None:
    """A record that only a later version of keyform reads is not to be overwritten or removed: it may say anything."""
    if not (sentences := case.facts.later.get(case.name, ())):
        return None
    where, path = (case.desired.place.where, path_of(case.desired)) if case.desired else (NOWHERE.where, case.address)
    return Finding(where, path, f"is held up: {'; '.join(sentences)}", "update keyform")


def hold_up_by_attempts(case: KeyCase, key: DesiredKey) -> Finding | None:
    """No more generations of a key that were published to nobody, or that nobody knows of, pile up with each run.

    A rotation that is asked for is another attempt, and a leaked secret is replaced whatever happens.
    """
    if case.is_rotated or any(generation.phase is Phase.REVOKED for generation in case.generations):
        return None
    in_use = [generation for generation in reversed(case.generations) if generation.is_in_use]
    tried = [*takewhile(lambda each: each.is_unfinished and not each.has_replaced(key.sinks), in_use)]
    unused = [generation for generation in case.generations if not generation.is_in_use]
    way_out = f"then run `keyform rotate {case.name}`"
    if len(tried) >= MOST_UNCERTAIN:
        names, sinks = name_some([each.name for each in reversed(tried)]), ", ".join(key.sinks)
        message = f"is held up: the last {len(tried)} generations ({names}) may or may not have reached sink {sinks}"
        return Finding(key.place.where, path_of(key), message, f"see why it fails, {way_out}")
    if len(unused) >= MOST_UNUSED:
        names = name_some([each.name for each in unused])
        message = f"is held up: {len(unused)} generations that were never published are still there ({names})"
        return Finding(key.place.where, path_of(key), message, f"see why they could not be deleted, {way_out}")
    return None


def refuse_last_number(case: KeyCase, key: DesiredKey) -> Finding:
    """No marker holds a larger number, so that a generation with one would be made again at each apply."""
    last = generation_name(case.name, LAST_GENERATION)
    if last not in case.facts.by_name and case.generations:
        last = case.generations[-1].name
    message = f"needs a new generation, but {last} has the last possible number"
    way_out = f"delete {last} in the portal if it is not yours, or declare the key under another name"
    return Finding(key.place.where, key.place.path, message, way_out)


def refuse_taken_name(case: KeyCase, key: DesiredKey, successor: Successor | None) -> tuple[Finding, ...]:
    """A key's first live name is its own name: when someone else holds it, the user has to say what that means."""
    holders = case.facts.by_name.get(successor.live.name, ()) if successor is not None else ()
    if not holders:
        return ()
    holder = holders[0]
    if holder.ownership is None or holder.ownership.stack == case.stack:
        message = f"the live key {holder.name} exists already, and this stack does not own it"
        way_out = f"write `adopt: {holder.name}` to take it over, or declare the key under another name"
    else:
        message = f"the live key {holder.name} belongs to {holder.ownership.stack}/{holder.ownership.key}"
        way_out = "declare the key under another name"
    return (Finding(key.place.where, key.place.path, message, way_out),)


def refuse_past_expiry(
    case: KeyCase, key: DesiredKey, successor: Successor | None, writings: tuple[KeyWriting, ...]
) -> Iterator[Finding]:
    """A key that is born expired opens nothing, and one whose expiry is set to the past is cut at once."""
    if key.expires_at is None or key.expires_at > case.now:
        return
    effect = ""
    if successor is not None:
        effect = "so the new key would open nothing"
    elif any(writing.expires_at == key.expires_at for writing in writings):
        effect = "so the live key would be cut at once"
    if effect:
        message = f"expires_at {instant(key.expires_at)} is in the past, {effect}"
        yield Finding(key.place.where, f"{key.place.path}.expires_at", message, "give a later date, or never")


def refuse_adoption(case: KeyCase, key: DesiredKey) -> Iterator[Finding]:
    """The live key that the file takes over has to be there, once, and to belong to no other stack or key."""
    if key.adopt is None or any(not generation.is_taken_over for generation in case.generations):
        return
    where, path = key.place.where, f"{key.place.path}.adopt"
    found = case.facts.by_name.get(key.adopt, ())
    if not found:
        near = get_close_matches(key.adopt, sorted(case.facts.by_name), n=1)
        hint = f"did you mean {near[0]}?" if near else "check the name in the portal, or remove `adopt`"
        yield Finding(where, path, f"there is no live key {key.adopt}", hint)
    elif len(found) > 1:
        message = f"there are {len(found)} live keys {key.adopt}"
        yield Finding(where, path, message, "rename all but one of them in the portal")
    elif is_owned(case.facts, found[0]):
        own = found[0].ownership
        owner = f"{own.stack}/{own.key}" if own else f"the stack {found[0].marked_by}"
        message = f"the live key {key.adopt} belongs to {owner}"
        yield Finding(where, path, message, "remove it there first: a key has one owner")


def find_unwritable(key: DesiredKey, writings: tuple[KeyWriting, ...]) -> Finding | None:
    """What is written has to be read back as it was: a marker that is cut off would make a key foreign."""
    for writing in writings:
        try:
            compose_description(writing.text, writing.ownership)
        except UnwritableDescription:
            message = f"is held up: the description of the live key {writing.live.name} leaves no room for a marker"
            way_out = f"shorten it in the portal to {LONGEST_TEXT} characters on one line"
            return Finding(key.place.where, path_of(key), message, way_out)
    return None


def refuse_protected(case: KeyCase) -> Iterator[Finding]:
    """`prevent_destroy` on the newest live key of one that is no longer declared; older ones keep what was declared."""
    for generation in case.generations[-1:]:
        if generation.is_protected:
            yield Finding(
                "",
                case.address,
                f"prevent_destroy is set on the live key {generation.name}, so it is not destroyed",
                "declare the key with `prevent_destroy: false`, apply, and then remove it",
            )
