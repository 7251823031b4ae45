"""Compute the standing of a stack, from what was read, by the rules that make a plan.

Which generation is current, what happens to the others, when the next rotation is due, and which expiry is worth a
warning: none of that is decided here again, so that status never contradicts plan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from reconciler.errors import Finding
from reconciler.model import DesiredState, EndpointRef, Phase, Snapshot
from reconciler.plan.cases import Facts, Generation, KeyCase, gather_facts
from reconciler.plan.compute import decide, find_repairs
from reconciler.plan.due import find_due
from reconciler.plan.fates import Fate, overlap_end
from reconciler.plan.holdings import find_deleted, find_holdings, holds_deleted
from reconciler.plan.moving import end_of_former
from reconciler.plan.obstacles import path_of
from reconciler.plan.owners import find_claims
from reconciler.plan.standing import (
    EndpointStatus,
    Expiry,
    GenerationStatus,
    KeyState,
    KeyStatus,
    SinkState,
    Standing,
)
from reconciler.plan.verdicts import Verdict


def compute_standing(desired: DesiredState, snapshot: Snapshot, now: datetime) -> Standing:
    """The standing of the stack at one instant; a pure function of what was read."""
    facts = gather_facts(desired, snapshot, now)
    return Standing(
        stack=desired.stack,
        project=desired.project,
        now=now,
        keys=tuple(_key(verdict) for verdict in decide(facts)[0]),
        endpoints=tuple(_endpoints(facts)),
        foreign_keys=tuple(key.name for key in snapshot.keys if key.id not in facts.own),
        troubles=tuple(find_troubles(facts)),
        unseen=tuple(trouble.message for _, trouble in sorted(snapshot.unseen.items())),
        claims=tuple(dict.fromkeys(live.name for _, live in find_claims(desired, snapshot, facts.own))),
        repairs=tuple(find_repairs(snapshot)),
    )


def find_troubles(facts: Facts) -> Iterator[Finding]:
    """The parts that could not be read, or that are not the stack's own."""
    for sink, trouble in sorted(facts.broken.items()):
        yield Finding("", f"sink.{sink}", trouble.message, trouble.way_out)
    named = {ref.kind for ref in facts.unusable}
    for kind, trouble in sorted(facts.snapshot.unseen.items()):
        if kind in named:
            yield Finding("", f"{kind.value}s", f"they are not shown: {trouble.message}", trouble.way_out)
    for key in facts.desired.keys:
        for sink, trouble in sorted(facts.foreign.get(key.name, {}).items()):
            if sink in key.sinks:
                yield Finding(key.place.where, path_of(key), trouble.message, trouble.way_out)


def _key(verdict: Verdict) -> KeyStatus:
    case = verdict.case
    generations = [each for each in case.generations if not each.is_taken_over]  # what exists, not what is to come
    in_use = [each for each in generations if each.is_in_use]
    current = next(reversed(in_use or generations), None)
    fates = {ruling.generation.live.id: ruling.fate for ruling in verdict.rulings}
    sinks = case.desired.sinks if case.desired else tuple(sorted(case.records))
    return KeyStatus(
        name=case.name,
        description=(case.desired.description or "") if case.desired else current.text if current else "",
        desired=case.desired,
        state=_state(case, current),
        generations=tuple(
            GenerationStatus(
                live_name=each.name,
                generation=each.number,
                phase=each.phase,
                is_current=each is current,
                fate=fates.get(each.live.id, Fate.KEEP),
                created_at=each.live.created_at,
                since=each.since,
                expires_at=each.live.expires_at,
                until=_until(verdict, each, is_current=each is current),
                bound_to=tuple(sorted(each.bound_to)),
                leaks=each.leaks(case.now),
                api_status="" if each.live.is_active else each.live.status,
            )
            for each in generations
        ),
        expiry=_expiry(current, verdict),
        next_rotation=find_due(case),
        sinks=tuple((sink, _sink_state(case, current, sink)) for sink in sinks),
        held_up=_why(verdict),
        heir=case.heir,
    )


def _expiry(current: Generation | None, verdict: Verdict) -> Expiry:
    if current is None or current.live.expires_at is None:
        return Expiry.NEVER
    if current.live.is_expired(verdict.case.now):
        return Expiry.EXPIRED
    return Expiry.SOON if verdict.expiring else Expiry.LATER


def _state(case: KeyCase, current: Generation | None) -> KeyState:
    if current is None:
        return KeyState.DELETED if find_deleted(case) else KeyState.MISSING
    if current.live.is_expired(case.now):
        return KeyState.EXPIRED
    return KeyState(current.phase.value)


def _until(verdict: Verdict, other: Generation, *, is_current: bool) -> datetime | None:
    """When an old generation's overlap ends, or its own expiry if that comes before; None for one in no overlap."""
    case, end = verdict.case, None
    if verdict.heir and other.is_in_use:
        end = end_of_former(case, verdict.heir, other)
    elif case.desired and other.is_in_use and not is_current:
        end = overlap_end(case, case.desired, other.number)
    if end is None or other.live.expires_at is None:
        return end
    return min(end, other.live.expires_at)


def _why(verdict: Verdict) -> tuple[str, ...]:
    """Why it is held up; what endpoints hold up is reported with them."""
    if not verdict.is_held_up:
        return ()
    return tuple(finding.message for finding in verdict.unmet) or ("an endpoint would be left without a valid key",)


def _sink_state(case: KeyCase, current: Generation | None, sink: str) -> SinkState:
    if sink in case.facts.foreign.get(case.name, {}):
        return SinkState.FOREIGN
    if holds_deleted(case, sink):
        return SinkState.STALE
    if current is None:
        return SinkState.NOT_YET
    if sink in current.sinks_that_hold_it:
        return SinkState.OK
    if case.desired is None:
        return SinkState.LOST if current.phase is Phase.PUBLISHED else SinkState.NOT_YET
    found = find_holdings(case, case.desired, current)
    if sink not in found.lacking:
        return SinkState.UNKNOWN
    if sink in found.lost:
        return SinkState.ABSENT if sink in case.facts.absent_sinks else SinkState.LOST
    return SinkState.ELSEWHERE if found.is_elsewhere and current.phase is Phase.PUBLISHED else SinkState.NOT_YET


def _endpoints(facts: Facts) -> Iterator[EndpointStatus]:
    declared = {endpoint.ref: endpoint for endpoint in facts.desired.endpoints}
    opened = {ref for key in facts.desired.keys for ref in key.endpoints}
    names = {key.id: key.name for key in facts.snapshot.keys}
    own: defaultdict[EndpointRef, set[str]] = defaultdict(set)
    foreign: defaultdict[EndpointRef, set[str]] = defaultdict(set)
    for binding in facts.snapshot.bindings:
        side = own if binding.key_id in facts.own else foreign
        side[binding.endpoint].add(names.get(binding.key_id, binding.key_id))
    for endpoint in sorted(facts.snapshot.endpoints, key=lambda endpoint: endpoint.ref):
        ref, said = endpoint.ref, declared.get(endpoint.ref)
        yield EndpointStatus(
            ref=ref,
            public=endpoint.is_public,
            own=tuple(sorted(own[ref])),
            foreign=tuple(sorted(foreign[ref])),
            status=endpoint.status,
            application=endpoint.application,
            managed=said is not None or ref in opened or bool(own[ref]),
            auth=said.auth if said else None,
            exclusive=said.exclusive if said else False,
            alias=endpoint.alias,
        )
