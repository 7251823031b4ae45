"""Gather, per key, everything that decides about it, so that the rules are small and pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reconciler.model import (
    DesiredKey,
    DesiredState,
    EndpointRef,
    LiveKey,
    Ownership,
    Phase,
    SinkRecord,
    Snapshot,
    are_close,
    key_of_name,
    shift,
)
from reconciler.plan.changes import Demand

CLOCKS_DIFFER = timedelta(days=1)
"""How much later than now a marker may say that something was: it was written by another machine's idea of the time."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One live key of this stack, and where it is."""

    live: LiveKey
    ownership: Ownership
    bound_to: frozenset[EndpointRef]
    sinks_that_hold_it: frozenset[str]
    sinks_that_may_hold_it: frozenset[str]
    """Of the key's sinks that cannot be read back: what they hold is unknown."""

    @property
    def name(self) -> str:
        """Its live name."""
        return self.live.name

    @property
    def number(self) -> int:
        """Which generation of its key it is, from 1."""
        return self.ownership.generation

    @property
    def is_in_use(self) -> bool:
        """A consumer may rely on its secret: its marker says so, or a sink holds it.

        Before a secret goes to a sink that cannot be read back, the marker says so: one that is pending is in none.
        """
        return self.ownership.phase is not Phase.PENDING or bool(self.sinks_that_hold_it)

    @property
    def is_unfinished(self) -> bool:
        """No run has told that it was published: marked pending, or partial."""
        return self.ownership.phase in (Phase.PENDING, Phase.PARTIAL)

    def has_replaced(self, sinks: Iterable[str]) -> bool:
        """Whether its secret is in every sink of its key, so that what they held before is relied on no longer."""
        return not self.is_unfinished or set(sinks) <= self.sinks_that_hold_it

    def revoked(self) -> Generation:
        """The same, to be cut as soon as another is published."""
        return replace(self, ownership=replace(self.ownership, phase=Phase.REVOKED))


@dataclass(frozen=True, slots=True)
class KeyCase:
    """All that decides about one key. `desired` None: the file does not declare it (any more)."""

    stack: str
    name: str
    desired: DesiredKey | None
    generations: tuple[Generation, ...]
    """Oldest first."""
    records: Mapping[str, SinkRecord]
    """What each readable sink holds for the key."""
    unreadable_sinks: frozenset[str]
    lasting_sinks: frozenset[str]
    """Sinks from which nothing can be removed."""
    live_keys: Mapping[str, LiveKey]
    """All live keys by name, foreign ones too."""
    bindings: Mapping[str, frozenset[EndpointRef]]
    """Where each live key is bound."""
    mutable_fields: frozenset[str]
    now: datetime
    warn_before: tuple[timedelta, ...] = ()
    """How long before its expiry a key that nothing rotates is warned of, the longest first."""
    rotates: bool = False
    """A rotation is asked for, whatever the file says."""
    revokes: bool = False
    """It is asked for because the secret leaked."""
    is_set_aside: bool = False
    """Something else is asked for: this key stays as it is."""
    claims: tuple[LiveKey, ...] = ()
    """Live keys that seem to be generations of it, by markers that nothing else bears out, or that cannot be read."""

    @property
    def address(self) -> str:
        """Its address in a plan."""
        return f"key.{self.name}"

    def bound_to(self, live_name: str) -> frozenset[EndpointRef]:
        """Where a live key is bound."""
        return self.bindings.get(live_name, frozenset())

    @property
    def newest_in_use(self) -> Generation | None:
        """The current generation: the newest that a consumer may rely on."""
        return next((generation for generation in reversed(self.generations) if generation.is_in_use), None)


def gather_cases(
    desired: DesiredState, snapshot: Snapshot, now: datetime, demand: Demand | None = None
) -> tuple[KeyCase, ...]:
    """One case for every key that the file declares, that the stack owns live, or that a sink has a record of."""
    declared = {key.name: key for key in desired.keys}
    borne_out = own_keys(desired, snapshot)
    live_keys = {key.name: key for key in snapshot.keys}
    unreadable = frozenset(name for name, contents in snapshot.sinks.items() if not contents.readable)
    lasting = frozenset(name for name, contents in snapshot.sinks.items() if not contents.removable)
    bindings = gather_bindings(snapshot)
    owned: dict[str, list[tuple[LiveKey, Ownership]]] = defaultdict(list)
    for key in snapshot.keys:
        if key.ownership is not None and key.name in borne_out:
            owned[key.ownership.key].append((key, key.ownership))
    claims: dict[str, list[LiveKey]] = defaultdict(list)
    for claimed, live in find_claims(desired, snapshot, borne_out):
        claims[claimed].append(live)
    records: dict[str, dict[str, SinkRecord]] = defaultdict(dict)
    for sink, contents in snapshot.sinks.items():
        for name, record in contents.records.items():
            if record.stack == desired.stack:
                records[name][sink] = record

    def generation(live: LiveKey, ownership: Ownership) -> Generation:
        key = declared.get(ownership.key)
        holding = frozenset(sink for sink, record in records[ownership.key].items() if record_is_of(record, live))
        may_hold = unreadable & frozenset(key.sinks) if key else unreadable
        # Nothing is published before it is made, or later than now. An earlier instant, written in the portal, would
        # end overlaps at once; a later one would put off every rotation.
        made_at = live.created_at.replace(microsecond=0)
        if not made_at <= ownership.since <= shift(now, CLOCKS_DIFFER):
            ownership = replace(ownership, since=made_at)
        return Generation(live, ownership, bindings.get(live.name, frozenset()), holding, may_hold)

    return tuple(
        KeyCase(
            stack=desired.stack,
            name=name,
            desired=declared.get(name),
            generations=tuple(
                generation(live, ownership)
                for live, ownership in sorted(owned[name], key=lambda pair: (pair[1].generation, pair[0].name))
            ),
            records=dict(records[name]),
            unreadable_sinks=unreadable,
            lasting_sinks=lasting,
            live_keys=live_keys,
            bindings=bindings,
            mutable_fields=snapshot.capabilities.mutable_key_fields,
            now=now,
            warn_before=desired.warnings.expiry,
            rotates=demand is not None and name in demand.keys,
            revokes=demand is not None and demand.revoke and name in demand.keys,
            is_set_aside=demand is not None and name not in demand.keys,
            claims=tuple(claims[name]),
        )
        for name in sorted({*declared, *owned, *records})
    )


def own_keys(desired: DesiredState, snapshot: Snapshot) -> frozenset[str]:
    """The live names of this stack's generations: those with its marker, which something else bears out.

    Everyone who may edit descriptions in the portal can copy a marker. So the live name, which never changes, has to
    fit it; or the file has to adopt that live key as that key; or a sink has to hold a record of it, one that neither
    the portal nor a pull request can have written.
    """
    recorded = gather_evidence(desired, snapshot)
    adoptions = desired.adoptions

    def is_borne_out(live: LiveKey, own: Ownership) -> bool:
        return (
            own.fits(live.name)
            or (own.key, live.name) in adoptions
            or any(record.key == own.key and record_is_of(record, live) for record in recorded.get(live.name, ()))
        )

    return frozenset(
        live.name
        for live in snapshot.keys
        if live.ownership is not None and live.ownership.stack == desired.stack and is_borne_out(live, live.ownership)
    )


def gather_evidence(desired: DesiredState, snapshot: Snapshot) -> dict[str, list[SinkRecord]]:
    """What the sinks say of this stack's live keys, by live name; not what a pull request can have written."""
    recorded: dict[str, list[SinkRecord]] = defaultdict(list)
    for contents in snapshot.sinks.values():
        if contents.is_evidence:
            for record in contents.records.values():
                if record.stack == desired.stack:
                    recorded[record.live_name].append(record)
    return recorded


def find_claims(desired: DesiredState, snapshot: Snapshot, own: frozenset[str]) -> Iterator[tuple[str, LiveKey]]:
    """Live keys that bear this stack's marker and are not among its own, each with the key it seems to be of."""
    for live in snapshot.keys:
        if live.marked_by == desired.stack and live.name not in own:
            yield live.ownership.key if live.ownership is not None else key_of_name(live.name), live


def gather_bindings(snapshot: Snapshot) -> dict[str, frozenset[EndpointRef]]:
    """Where each live key is bound; a child deployment's list only mirrors its application's, and does not count."""
    bound: dict[str, set[EndpointRef]] = defaultdict(set)
    for endpoint in snapshot.endpoints:
        if endpoint.application is None:
            for name in endpoint.api_keys:
                bound[name].add(endpoint.ref)
    return {name: frozenset(refs) for name, refs in bound.items()}


def describe_owner(live: LiveKey | None) -> str:
    """Whose a live key is that this stack does not own, in words."""
    if live is None or live.marked_by is None:
        return "it has no keyform marker"
    return f"it has a marker of the stack {live.marked_by}" if live.marked_by else "its marker cannot be read"


def record_is_of(record: SinkRecord, live: LiveKey) -> bool:
    """Whether a sink's record is of this very live key, and not of an earlier one that had the same name."""
    return record.live_name == live.name and are_close(record.created_at, live.created_at)


MOST_TOLD = 20
"""How many keys a plan names one by one before it counts the rest: anybody can make a thousand."""


def name_some(names: Sequence[str]) -> str:
    """The first five, and how many more there are."""
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
