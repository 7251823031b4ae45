"""Gather, per key, everything that decides about it, so that the rules are small and pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reconciler.model import (
    DesiredKey,
    DesiredState,
    EndpointKind,
    EndpointRef,
    Identity,
    LiveKey,
    Ownership,
    Phase,
    SinkRecord,
    Snapshot,
    Trouble,
    digest,
    human_text,
    number_in_name,
    shift,
)
from reconciler.plan.changes import EVERYTHING, Demand, KeyRef, Rotate, Selection
from reconciler.plan.endpoint_names import find_unusable
from reconciler.plan.owners import find_claims, find_lookalikes, own_keys, record_is_of
from reconciler.plan.takeovers import take_over

CLOCKS_DIFFER = timedelta(days=1)
"""How much later than now an instant in a marker may be: it comes from another machine's idea of the time."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One live key of this stack, and where it is.

    `phase` and `since` are those that count, even if its marker does not say so yet: a generation that should be
    revoked counts as revoked, and an impossible instant is replaced by that of its creation. `live.ownership` is the
    marker as it is.
    """

    live: LiveKey
    number: int
    phase: Phase
    since: datetime
    bound_to: frozenset[EndpointRef]
    sinks_that_hold_it: frozenset[str]
    sinks_that_may_hold_it: frozenset[str]
    """The key's sinks that cannot be read back: their content is unknown."""
    is_taken_over: bool = False
    """The file adopts it, and its marker does not say so yet."""

    @property
    def name(self) -> str:
        """Its live name."""
        return self.live.name

    @property
    def ref(self) -> KeyRef:
        """Its live key, as changes name it."""
        return KeyRef.of(self.live)

    @property
    def text(self) -> str:
        """What people wrote into its description."""
        return human_text(self.live.text) if self.live.ownership is None else self.live.text

    @property
    def is_restored(self) -> bool:
        """Its marker is gone, or cannot be read, and something else proves what it is: the marker is written again."""
        return self.live.ownership is None and not self.is_taken_over

    @property
    def is_protected(self) -> bool:
        """Whether `prevent_destroy` is written on it."""
        marker = self.live.ownership or self.live.released
        return marker is not None and marker.protected

    @property
    def is_in_use(self) -> bool:
        """A consumer may rely on its secret: its marker says so, or a sink holds it.

        Before a secret goes to a sink that cannot be read back, the marker says so: a pending generation is in none.
        """
        return self.phase is not Phase.PENDING or bool(self.sinks_that_hold_it)

    @property
    def is_unfinished(self) -> bool:
        """No run has confirmed its publication: it is marked pending, or partial."""
        return self.phase in (Phase.PENDING, Phase.PARTIAL)

    def leaks(self, now: datetime) -> bool:
        """Whether its secret leaked, and still opens something."""
        return self.phase is Phase.REVOKED and bool(self.bound_to) and not self.live.is_expired(now)

    def has_replaced(self, sinks: Iterable[str]) -> bool:
        """Whether its secret is in every sink of its key, so that consumers no longer rely on what was there before."""
        return not self.is_unfinished or set(sinks) <= self.sinks_that_hold_it

    def is_marked(self, phase: Phase) -> bool:
        """Whether its marker says so already."""
        return self.live.ownership is not None and self.live.ownership.phase is phase


@dataclass(frozen=True, slots=True)
class Facts:
    """What is the same for every key of a plan, each part computed once.

    Live keys go by their ids. `bound` leaves out deployments of an application, whose lists only mirror its own.
    """

    desired: DesiredState
    snapshot: Snapshot
    now: datetime
    demand: Demand | None
    own: Mapping[str, Identity]
    """Its generations, by the ids of their live keys."""
    by_name: Mapping[str, tuple[LiveKey, ...]]
    bound: Mapping[str, frozenset[EndpointRef]]
    records: Mapping[str, Mapping[str, SinkRecord]]
    """By key, what each readable sink holds for it."""
    later: Mapping[str, Mapping[str, str]]
    """By key and sink, the records that a later version of keyform wrote."""
    foreign: Mapping[str, Mapping[str, Trouble]]
    """By key and sink, what is in the key's place and has another owner."""
    unwritable: Mapping[str, Mapping[str, Trouble]]
    """By key and sink, why the sink cannot take its secret."""
    managed: frozenset[EndpointRef]
    """The endpoints that the file names, or that the stack's keys open."""
    broken: Mapping[str, Trouble]
    """The sinks that could not be read this time: their content is unknown, which does not count as a loss."""
    unusable: Mapping[EndpointRef, Trouble]
    """The endpoints that the file names and no key can be bound to, and why."""
    unreadable_sinks: frozenset[str]
    """Sinks that can never be read back."""
    lasting_sinks: frozenset[str]
    """Sinks from which nothing can be removed."""
    absent_sinks: frozenset[str]
    """Sinks that hold nothing at all."""
    heirs: Mapping[str, str]
    """By the name of a key that is no longer declared, the declared one that replaces it (`moved`)."""
    forgotten: frozenset[str]
    """The keys that the stack lets go of, with those whose place they have taken."""
    selection: Selection
    """Which keys the plan is about."""

    @property
    def unknown_sinks(self) -> frozenset[str]:
        """Sinks whose present content is unknown."""
        return self.unreadable_sinks | self.broken.keys()

    @property
    def mutable_fields(self) -> frozenset[str]:
        """The fields of a live key that the API changes in place."""
        return self.snapshot.capabilities.mutable_key_fields

    def selects(self, key: str) -> bool:
        """Whether the plan is about this key; a key and those that it replaces are chosen together."""
        if not self.selection:
            return True
        end = self.heirs.get(key, key)
        kin = {end, *(former for former, heir in self.heirs.items() if heir == end)}
        return self.selection.chooses(kin)

    def rotates(self, key: str) -> bool:
        """Whether the demand rotates this key, whatever the file says."""
        return isinstance(self.demand, Rotate) and self.heirs.get(key, key) in self.demand.keys

    def revokes(self, key: str) -> bool:
        """Whether the demand rotates it because the secret leaked."""
        return isinstance(self.demand, Rotate) and self.demand.revoke and self.rotates(key)


@dataclass(frozen=True, slots=True)
class KeyCase:
    """Everything that decides about one key. `desired` None: the file does not declare it, or no longer does."""

    facts: Facts
    name: str
    desired: DesiredKey | None
    generations: tuple[Generation, ...]
    """Oldest first; one that the file adopts is among them."""
    claims: tuple[LiveKey, ...] = ()
    """Live keys that seem to be generations of it, by markers that nothing else confirms, or that cannot be read."""
    lookalikes: tuple[LiveKey, ...] = ()
    """Live keys that may be generations of it, by their names or a sink's record, without such a marker."""
    former: tuple[str, ...] = ()
    """The keys that it replaces, and that still have generations."""

    @property
    def heir(self) -> str:
        """The declared key that replaces it; `""` for none."""
        return self.facts.heirs.get(self.name, "")

    @property
    def stack(self) -> str:
        """The stack's name."""
        return self.facts.desired.stack

    @property
    def now(self) -> datetime:
        """The instant of the plan."""
        return self.facts.now

    @property
    def address(self) -> str:
        """Its address in a plan."""
        return f"key.{self.name}"

    @property
    def records(self) -> Mapping[str, SinkRecord]:
        """What each readable sink holds for the key."""
        return self.facts.records.get(self.name, {})

    @property
    def is_rotated(self) -> bool:
        """The demand rotates it, whatever the file says."""
        return self.facts.rotates(self.name)

    @property
    def is_rotated_by_name(self) -> bool:
        """A person named this key, or a secret of it leaked; a pattern or a sink does not name it."""
        demand = self.facts.demand
        is_chosen = isinstance(demand, Rotate) and (self.name in demand.matching or bool(self.why_rotated))
        return self.is_revoked or (self.is_rotated and not is_chosen)

    @property
    def why_rotated(self) -> str:
        """Why a leaked sink concerns this key; empty if none does."""
        demand = self.facts.demand
        return dict(demand.because).get(self.name, "") if isinstance(demand, Rotate) else ""

    @property
    def is_revoked(self) -> bool:
        """The demand rotates it because the secret leaked."""
        return self.facts.revokes(self.name)

    @property
    def is_urgent(self) -> bool:
        """A secret of it leaked: obstacles to other changes do not prevent cutting it."""
        return self.is_revoked or any(generation.phase is Phase.REVOKED for generation in self.generations)

    @property
    def is_set_aside(self) -> bool:
        """The plan is about other keys: this one stays as it is."""
        is_left_out = isinstance(self.facts.demand, Rotate) and not self.is_rotated
        return is_left_out or not self.facts.selects(self.name)

    @property
    def newest_in_use(self) -> Generation | None:
        """The current generation: the newest that a consumer may rely on."""
        return next((generation for generation in reversed(self.generations) if generation.is_in_use), None)

    @property
    def destinations(self) -> str:
        """The digest of the destinations to which the file publishes the key's secret."""
        return self.facts.desired.digest_of(self.desired.sinks) if self.desired else ""

    def marker(self, generation: int, phase: Phase, since: datetime, live_name: str) -> Ownership:
        """The marker of a generation of this key, before anything of it is published."""
        key = self.desired
        marker = Ownership(self.stack, self.name, generation, phase, since)
        if key is not None:
            marker = replace(marker, protected=key.prevent_destroy, keeps_expiry=key.keeps_expiry)
        return marker.on(live_name)


def gather_facts(
    desired: DesiredState,
    snapshot: Snapshot,
    now: datetime,
    demand: Demand | None = None,
    selection: Selection = EVERYTHING,
) -> Facts:
    """What is the same for every key."""
    snapshot = take_over(desired, snapshot)
    by_name: dict[str, list[LiveKey]] = defaultdict(list)
    for key in snapshot.keys:
        by_name[key.name].append(key)
    records: dict[str, dict[str, SinkRecord]] = defaultdict(dict)
    later: dict[str, dict[str, str]] = defaultdict(dict)
    foreign: dict[str, dict[str, Trouble]] = defaultdict(dict)
    unwritable: dict[str, dict[str, Trouble]] = defaultdict(dict)
    for sink, contents in snapshot.sinks.items():
        for name, record in contents.records.items():
            if record.stack == desired.stack:
                records[name][sink] = record
        for name, sentence in contents.later.items():
            later[name][sink] = sentence
        for name, trouble in contents.foreign.items():
            foreign[name][sink] = trouble
        for name, trouble in contents.unwritable.items():
            unwritable[name][sink] = trouble
    own = own_keys(desired, snapshot, demand.keys if isinstance(demand, Rotate) and demand.revoke else ())
    bound, heirs = gather_bound(snapshot), find_heirs(desired, snapshot, own)
    named = {endpoint.ref for endpoint in desired.endpoints}.union(*(key.endpoints for key in desired.keys))
    return Facts(
        desired=desired,
        snapshot=snapshot,
        now=now,
        demand=demand,
        own=own,
        by_name={name: tuple(keys) for name, keys in by_name.items()},
        bound=bound,
        managed=frozenset(named.union(*(bound.get(live_id, ()) for live_id in own))),
        records=records,
        later=later,
        foreign=foreign,
        unwritable=unwritable,
        broken={name: contents.trouble for name, contents in snapshot.sinks.items() if contents.trouble is not None},
        unusable=find_unusable(desired, snapshot),
        unreadable_sinks=frozenset(name for name, contents in snapshot.sinks.items() if not contents.readable),
        lasting_sinks=frozenset(name for name, contents in snapshot.sinks.items() if not contents.removable),
        absent_sinks=frozenset(name for name, contents in snapshot.sinks.items() if contents.is_absent),
        heirs={name: end for name, end in heirs.items() if end not in desired.forgotten},
        forgotten=desired.forgotten | {name for name, end in heirs.items() if end in desired.forgotten},
        selection=selection,
    )


def find_heirs(desired: DesiredState, snapshot: Snapshot, own: Mapping[str, Identity]) -> dict[str, str]:
    """By the former name of a key, the one that takes its place, as the file says, or a marker.

    That one is declared, or forgotten: then so is the former one.
    """
    declared = {key.name for key in desired.keys}
    ends = declared | desired.forgotten
    names = {digest([name]): name for name in (*ends, *desired.heirs)}
    heirs = {
        own[live.id].key: names[live.ownership.into]
        for live in snapshot.keys
        if live.id in own and live.ownership and live.ownership.into in names
    }
    heirs |= desired.heirs
    found = {}
    for name in heirs.keys() - ends:
        end, seen = heirs[name], {name}
        while end not in ends and end in heirs and end not in seen:
            seen.add(end)
            end = heirs[end]
        if end in ends:
            found[name] = end
    return found


def gather_cases(facts: Facts) -> tuple[KeyCase, ...]:
    """One case for every key that the file declares, that the stack owns live, or that a sink has a record of."""
    declared = {key.name: key for key in facts.desired.keys}
    owned: dict[str, list[tuple[int, str, LiveKey]]] = defaultdict(list)
    for live in facts.snapshot.keys:
        if identity := facts.own.get(live.id):
            owned[identity.key].append((identity.generation, live.name, live))
    claims: dict[str, list[LiveKey]] = defaultdict(list)
    for claimed, live in find_claims(facts.desired, facts.snapshot, facts.own):
        claims[claimed].append(live)
    lookalikes = find_lookalikes(facts.desired, facts.records, facts.by_name, facts.own)
    generations: dict[str, list[Generation]] = {}
    for name in sorted({*declared, *owned, *facts.records, *facts.later}):
        desired, known = declared.get(name), list[Generation]()
        for number, _, live in sorted(owned[name], key=lambda each: each[:2]):
            known.append(gather_generation(facts, name, desired, live, number, has_older=bool(known)))
        if desired is not None and (taken := find_adopted(facts, desired, known)):
            known = sorted([*known, taken], key=lambda each: each.number)
        generations[name] = known
    former: dict[str, list[str]] = defaultdict(list)
    for name in sorted(facts.heirs):
        if generations.get(name):
            former[facts.heirs[name]].append(name)
    cases = []
    for name, known in generations.items():
        desired, names = declared.get(name), tuple(former[name])
        if desired is not None:
            desired = settle(desired, known or [each for before in names for each in generations[before]])
        cases.append(KeyCase(facts, name, desired, tuple(known), tuple(claims[name]), lookalikes.get(name, ()), names))
    return tuple(cases)


def gather_generation(
    facts: Facts, name: str, key: DesiredKey | None, live: LiveKey, number: int, *, has_older: bool
) -> Generation:
    """One live key of the stack, with what counts of its marker; without one, as in a sink's record.

    Without a marker, it counts as in use since its creation: removing a marker does not put off a rotation. If there is
    an older one, it counts since now: nobody knows how much of that one's overlap has passed. And if a sink cannot be
    read back, nobody knows whether it was published there, too.
    """
    holding = holders_of(facts, name, live)
    may_hold = facts.unreadable_sinks & frozenset(key.sinks) if key else facts.unreadable_sinks
    # Nothing is published before its creation, or later than now. An earlier instant, written in the portal, would end
    # overlaps at once; a later one would put off every rotation.
    made_at = live.created_at.replace(microsecond=0)
    if live.ownership is not None:
        phase, since = live.ownership.phase, live.ownership.since
        if not made_at <= since <= shift(facts.now, CLOCKS_DIFFER):
            since = made_at
        if live.taken_from and phase is Phase.ADOPTED:
            since = facts.now  # its previous owners may have given its old generations longer
    else:
        phase = Phase.PARTIAL if has_older and may_hold else Phase.PUBLISHED
        since = facts.now if has_older else min(made_at, facts.now)
    is_used = phase is not Phase.PENDING or bool(holding)
    if is_used and facts.revokes(name):
        phase = Phase.REVOKED
    bound = facts.bound.get(live.id, frozenset())
    return Generation(live, number, phase, since, bound, holding, may_hold)


def find_adopted(facts: Facts, key: DesiredKey, known: Sequence[Generation]) -> Generation | None:
    """The live key that the file takes over; None if there is none to take (`find_unadoptable`), or it is already
    known.

    It is the first generation, or the one whose live name it has. If there are others, it needs the name of a
    generation, and must have been created in the order of the numbers: `adopt` does not mean a live key that someone
    creates later under an old name.
    """
    found = facts.by_name.get(key.adopt or "", ())
    if len(found) != 1 or is_owned(facts, found[0]):
        return None
    live = found[0]
    number = number_in_name(key.name, live.name) or (0 if known else 1)
    in_order = all((one.number - number) * (one.live.created_at - live.created_at) >= timedelta(0) for one in known)
    if not number or number in {one.number for one in known} or not in_order:
        return None
    holding = holders_of(facts, key.name, live)
    phase = Phase.REVOKED if facts.revokes(key.name) else Phase.PUBLISHED if holding else Phase.ADOPTED
    bound = facts.bound.get(live.id, frozenset())
    return Generation(live, number, phase, facts.now, bound, holding, frozenset(), is_taken_over=True)


def settle(key: DesiredKey, generations: Sequence[Generation]) -> DesiredKey:
    """What applies if the file does not set it: the description stays, and so does an adopted key's expiry."""
    newest = next((one for one in reversed(generations) if one.is_in_use), None)
    described = newest or (generations[-1] if generations else None)
    if key.description is None:
        key = replace(key, description=described.text if described else "")
    if newest is None or key.says_expiry or key.expires_at is not None or key.lifetime is not None:
        return key
    marker = newest.live.ownership
    is_adopted = key.adopt is not None or newest.phase is Phase.ADOPTED or newest.is_marked(Phase.ADOPTED)
    keeps = is_adopted or (marker is not None and marker.keeps_expiry)
    live_expiry = newest.live.expires_at if keeps else None
    return replace(key, expires_at=live_expiry, keeps_expiry=live_expiry is not None)


def is_owned(facts: Facts, live: LiveKey) -> bool:
    """Whether its marker, maybe in a later form, names another stack, or it is a key of this one."""
    return live.id in facts.own or live.marked_by not in (None, "", facts.desired.stack)


def holders_of(facts: Facts, key: str, live: LiveKey) -> frozenset[str]:
    """The sinks that have a record of exactly this live key."""
    return frozenset(sink for sink, record in facts.records.get(key, {}).items() if record_is_of(record, live))


def gather_bound(snapshot: Snapshot) -> dict[str, frozenset[EndpointRef]]:
    """Where each live key is bound; a child deployment's list only mirrors its application's, and does not count.

    If applications are not visible, it is the only evidence of a key that opens one.
    """
    parents = {
        endpoint.ref: EndpointRef(EndpointKind.APPLICATION, endpoint.application)
        for endpoint in snapshot.endpoints
        if endpoint.application is not None
    }
    bound: dict[str, set[EndpointRef]] = defaultdict(set)
    for binding in snapshot.bindings:
        parent = parents.get(binding.endpoint)
        if parent is None or parent.kind in snapshot.unseen:
            bound[binding.key_id].add(parent or binding.endpoint)
    return {key_id: frozenset(refs) for key_id, refs in bound.items()}


MOST_TOLD = 20
"""How many keys a plan lists before it counts the rest: anyone can create a thousand."""


def name_sinks(names: Sequence[str], one: str, many: str) -> str:
    """`sink local holds`, `sinks local and vault hold`."""
    *first, last = names
    return f"sinks {', '.join(first)} and {last} {many}" if first else f"sink {last} {one}"


def name_some(names: Sequence[str]) -> str:
    """The first five, and how many more there are."""
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
