"""Live keys that stay although they may be this stack's, and hold up nothing: a plan lists them, with the way out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

from reconciler.errors import Finding
from reconciler.model import LiveKey, number_in_name
from reconciler.plan.cases import MOST_TOLD, Facts, KeyCase
from reconciler.plan.fates import overlap_end
from reconciler.plan.obstacles import describe_claim, describe_doubt, find_doubtful, place_of, way_out_of_claim
from reconciler.plan.owners import find_claims


def find_old(case: KeyCase) -> list[LiveKey]:
    """Live keys that are named like old generations of the key, have no matching marker, and open a managed
    endpoint.
    """
    newest = case.newest_in_use or (case.generations[-1] if case.generations else None)
    known = {generation.live.id for generation in case.generations} | {live.id for live in find_doubtful(case)}

    def is_old(live: LiveKey) -> bool:
        number = number_in_name(case.name, live.name)
        return number is not None and (newest is None or number < newest.number)

    return [
        live
        for live in case.lookalikes
        if live.marked_by in (None, case.stack)
        and live.id not in known
        and is_old(live)
        and case.facts.bound.get(live.id, frozenset()) & case.facts.managed
        and not live.is_expired(case.now)
    ]


def find_unretired(case: KeyCase) -> list[LiveKey]:
    """Those that would have been retired by now if they had a marker: nobody else cuts their secrets."""
    return [live for live in find_old(case) if is_over(case, number_in_name(case.name, live.name) or 0)]


def find_namesakes(case: KeyCase) -> list[LiveKey]:
    """Live keys that are named like generations of the key, and whose secrets its consumers may still use."""
    newest = case.newest_in_use
    if newest is None:
        return list(case.lookalikes)
    numbers = {live.id: number_in_name(case.name, live.name) or newest.number for live in case.lookalikes}
    old = (live for live in case.lookalikes if numbers[live.id] < newest.number)
    return [live for live in old if not is_over(case, numbers[live.id])]


def is_over(case: KeyCase, number: int) -> bool:
    """Whether a generation of this number should be gone."""
    key = case.desired
    if key is None or case.is_urgent:
        return True
    end = overlap_end(case, key, number)
    return end is not None and (key.overlap <= timedelta(0) or end <= case.now)


def explain_old(case: KeyCase, left: Sequence[LiveKey]) -> Iterator[Finding]:
    """A key that stays although it may be an old generation: a name alone is no reason to delete it."""
    for live in left[:MOST_TOLD]:
        way_out = "delete it in the portal once nobody uses its secret"
        if case.desired is not None:
            way_out = f"if it belongs to this key, set `adopt: {live.name}` to have it retired; otherwise {way_out}"
        message = f"the live key {live.name} is not deleted: {describe_doubt(case, live)}"
        yield Finding(*place_of(case), message, way_out)
    if len(left) > MOST_TOLD:
        message = f"{len(left) - MOST_TOLD} more live keys are named like its generations and are not deleted"
        yield Finding(*place_of(case), message, "check them in the portal")


def find_left_claims(facts: Facts, cases: Sequence[KeyCase], told: Collection[str]) -> Iterator[tuple[str, Finding]]:
    """Live keys that seem to be this stack's by markers alone, and that hold up no key; with their ids.

    Those with unreadable markers, of keys that the file does not declare; and those whose markers say that they were
    adopted, and that the file no longer adopts: keyform deletes nothing for that alone. `told` are the keys that have a
    finding already.
    """
    by_name = {case.name: case for case in cases}
    declared = {key.name: key for key in facts.desired.keys}
    known = {generation.live.id for case in cases for generation in case.generations}
    known |= {live.id for case in cases if case.name in told for live in find_doubtful(case)}
    claims = {live: key for key, live in reversed(list(find_claims(facts.desired, facts.snapshot, facts.own)))}
    left = []
    for live, name in ((live, name) for live, name in claims.items() if facts.selects(name)):
        marker = live.ownership
        if marker is None and name not in declared and name not in told:
            way_out = way_out_of_claim(live)
            left.append((live, name, describe_claim(live), way_out))
        if marker is not None and marker.names(live.name) and live.id not in known:
            why = (
                f"its marker says that it was adopted as g{marker.generation} of {name}, but the"
                " file no longer adopts it"
            )
            way_out = f"to keep it, declare the key `{name}` with `adopt: {live.name}`"
            if name in declared:
                way_out = f"if it belongs to this key, set `adopt: {live.name}` until it is retired"
            left.append(
                (live, name, why, f"{way_out}; otherwise unlink and delete it in the portal once nobody uses it")
            )
    left.sort(key=lambda each: each[0].name)
    for live, name, why, way_out in left[:MOST_TOLD]:
        where = place_of(by_name[name]) if name in by_name else ("", f"key.{name}")
        yield live.id, Finding(*where, f"the live key {live.name} is neither changed nor deleted: {why}", way_out)
    if len(left) > MOST_TOLD:
        live, name, _, way_out = left[MOST_TOLD]
        message = f"{len(left) - MOST_TOLD} more live keys with markers of this stack are neither changed nor deleted"
        yield live.id, Finding("", f"key.{name}", message, way_out)
