"""Live keys that the stack does not own, but that an exclusive endpoint nevertheless keeps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from reconciler.model import LiveKey, SinkRecord, key_of_name
from reconciler.plan.cases import Facts, KeyCase
from reconciler.plan.changes import KeyRef
from reconciler.plan.leftovers import find_namesakes
from reconciler.plan.obstacles import find_doubtful
from reconciler.plan.owners import describe_owner, record_is_of

Holders = Mapping[str, Sequence[tuple[str, SinkRecord]]]
"""By live name, the sinks that have a record of it, with that."""


def gather_holders(facts: Facts) -> Holders:
    """The sinks' records of this stack's keys, whether or not they are proof."""
    found: dict[str, list[tuple[str, SinkRecord]]] = defaultdict(list)
    for held in facts.records.values():
        for sink, record in held.items():
            found[record.live_name].append((sink, record))
    return found


def find_holders(recorded: Holders, live: LiveKey) -> list[str]:
    """The sinks that have a record of exactly this live key."""
    return sorted({sink for sink, record in recorded.get(live.name, ()) if record_is_of(record, live)})


def find_suspects(facts: Facts, cases: Iterable[KeyCase]) -> dict[KeyRef, str]:
    """Live keys that count as foreign and may be in use as this stack's, and why: not even the file unlinks them.

    A sink has a record of one, whether or not it is proof; or the file adopts it, although that has to wait; or it
    holds up a key, or seems to belong to a declared one.
    """
    found, recorded = {}, gather_holders(facts)
    adopted = {key.adopt: key.name for key in facts.desired.keys if key.adopt is not None}
    for case in cases:
        claims = case.claims if case.desired is not None else ()
        for live in (*claims, *find_namesakes(case), *find_doubtful(case)):
            found[KeyRef.of(live)] = f"it may be a generation of {case.name}"
    for live in facts.snapshot.keys:
        if holders := find_holders(recorded, live):
            found[KeyRef.of(live)] = f"sink {', '.join(holders)} has a record of it"
        elif live.name in adopted:
            found[KeyRef.of(live)] = f"the file adopts it as {adopted[live.name]}"
    return {live: why for live, why in found.items() if live.id not in facts.own}


def gather_markers(facts: Facts) -> dict[KeyRef, str | None]:
    """Per live key the stack that seems to own it: by its marker or, without one, by what nobody can remove.

    Anyone may clear a description in the portal. So a key that a sink has a record of, or that is named like a
    generation of a key of this stack, is not cut: someone may use its secret. Nor is any key while a sink that may have
    a record of it cannot be read.
    """
    desired = facts.desired
    recorded = gather_holders(facts)
    declared = {key.name for key in desired.keys}

    def is_ours_by_more(live: LiveKey) -> bool:
        is_called_so = live.name in declared or key_of_name(live.name) in declared
        return bool(find_holders(recorded, live) or facts.broken) or is_called_so

    def stack_of(live: LiveKey) -> str | None:
        if live.released is not None:
            return live.released.stack  # its consumers are still there
        return desired.stack if live.marked_by is None and is_ours_by_more(live) else live.marked_by

    return {KeyRef.of(key): stack_of(key) for key in facts.snapshot.keys}


def explain_spared(live: LiveKey | None, suspicion: str, own_stack: str) -> tuple[str, str]:
    """Why a key stays on an exclusive endpoint, and the way out; `suspicion` says why it may be this stack's."""
    if live is None:
        return "it is missing from the list of keys", "run plan again; if this persists, unlink the key in the portal"
    stack, off = live.marked_by, "unlink the key in the portal"
    if live.released is not None:
        take = f"`moved: [{{from: {live.released.stack}/{live.released.key}, to: KEY}}]`"
        if live.released.stack == own_stack:
            take = f"`adopt: {live.name}`"
        return describe_owner(live), f"{off} once nobody uses it, or take it over with {take}"
    if stack is None:
        more = suspicion or "its name is that of a key of this stack, or a sink may have a record of it"
        way_out = f"declare a key with `adopt: {live.name}` to take it over; if nobody uses it, {off}"
        return f"it has no marker, but {more}", way_out
    if stack == own_stack:
        why = "it may belong to this stack, but its marker cannot be read or verified"
        return why, f"restore its marker, or {off}"
    if suspicion:
        return (
            f"{describe_owner(live)}, but {suspicion}",
            f"if it belongs to this stack, correct its marker; otherwise {off}",
        )
    off += ", or remove its marker there"
    if not stack:
        return describe_owner(live), off
    return describe_owner(live), f"write `exclusive: {{stacks: [{stack}]}}` to unlink keys of that stack, or {off}"
