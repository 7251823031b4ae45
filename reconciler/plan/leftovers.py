"""Live keys that stay although they may be this stack's, and hold up nothing: a plan names them, and how they go."""

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
    """Live keys without a marker that are called like old generations of the key, and open what this stack manages."""
    newest = case.newest_in_use or (case.generations[-1] if case.generations else None)
    known = {generation.live.id for generation in case.generations} | {live.id for live in find_doubtful(case)}

    def is_old(live: LiveKey) -> bool:
        number = number_in_name(case.name, live.name)
        return number is not None and (newest is None or number < newest.number)

    return [
        live
        for live in case.lookalikes
        if live.marked_by is None
        and live.id not in known
        and is_old(live)
        and case.facts.bound.get(live.id, frozenset()) & case.facts.managed
        and not live.is_expired(case.now)
    ]


def find_unretired(case: KeyCase) -> list[LiveKey]:
    """Those that would have been retired by now, had they a marker: nobody else takes their secrets away."""
    return [live for live in find_old(case) if is_over(case, number_in_name(case.name, live.name) or 0)]


def is_over(case: KeyCase, number: int) -> bool:
    """Whether a generation of this number would have to be gone."""
    key = case.desired
    if key is None or case.is_urgent:
        return True
    end = overlap_end(case, key, number)
    return end is not None and (key.overlap <= timedelta(0) or end <= case.now)


def explain_old(case: KeyCase, left: Sequence[LiveKey]) -> Iterator[Finding]:
    """What stays although it may be an old generation, and is not deleted for its name alone."""
    for live in left[:MOST_TOLD]:
        way_out = "delete it in the portal once nobody uses its secret"
        if case.desired is not None:
            way_out = f"if it is this key's, write `adopt: {live.name}` on it to have it retired; or {way_out}"
        message = f"is not deleted: the live key {live.name}; {describe_doubt(case, live)}"
        yield Finding(*place_of(case), message, way_out)
    if len(left) > MOST_TOLD:
        message = f"nor are {len(left) - MOST_TOLD} more live keys that are called like generations of it"
        yield Finding(*place_of(case), message, "check them in the portal")


def find_left_claims(facts: Facts, cases: Sequence[KeyCase], told: Collection[str]) -> Iterator[tuple[str, Finding]]:
    """Live keys that seem to be this stack's by markers alone, and that no key is held up by; with their ids.

    Those whose markers cannot be read, of keys that the file does not declare; and those that were adopted, as their
    markers say, and that the file adopts no more: by that word alone, nothing is deleted. `told` are the keys of which
    something is unmet.
    """
    by_name = {case.name: case for case in cases}
    declared = {key.name: key for key in facts.desired.keys}
    known = {generation.live.id for case in cases for generation in case.generations}
    known |= {live.id for case in cases if case.name in told for live in find_doubtful(case)}
    claims = {live: key for key, live in reversed(list(find_claims(facts.desired, facts.snapshot, facts.own)))}
    left = []
    for live, name in claims.items():
        marker = live.ownership
        if marker is None and name not in declared and name not in told:
            way_out = way_out_of_claim(live)
            left.append((live, name, describe_claim(live), way_out))
        if marker is not None and marker.names(live.name) and live.id not in known:
            why = (
                f"its marker says that it was adopted as g{marker.generation} of {name}, and the file adopts it no more"
            )
            way_out = f"to keep it, write `adopt: {live.name}` on a key `{name}`"
            if name in declared:
                way_out = f"if it is this key's, write `adopt: {live.name}` on it until it is retired"
            left.append((live, name, why, f"{way_out}; or unlink and delete it in the portal once nobody uses it"))
    left.sort(key=lambda each: each[0].name)
    for live, name, why, way_out in left[:MOST_TOLD]:
        where = place_of(by_name[name]) if name in by_name else ("", f"key.{name}")
        yield live.id, Finding(*where, f"the live key {live.name} is neither changed nor deleted: {why}", way_out)
    if len(left) > MOST_TOLD:
        live, name, _, way_out = left[MOST_TOLD]
        message = f"nor are {len(left) - MOST_TOLD} more live keys with markers of this stack"
        yield live.id, Finding("", f"key.{name}", message, way_out)
