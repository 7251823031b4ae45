"""Which keys a rotation is about, where it does not name each: by a pattern, or by the sink that leaked.

What a sink holds, or held, is known from two sides. A record that it can be read for is there. And the marker of each
live key says where its secret was published, even if the record has gone since, or the file no longer names the sink.

the sink           the key                                                 is rotated
can be read        it holds a record of the key                            yes
                   a marker says that it was published there               yes
                   neither                                                 no
cannot be read     a marker says that it was published there               yes
                   the file names the sink for it, and it has a live key   yes: nobody knows what the sink held
                   neither                                                 no
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.model import DesiredKey, DesiredState, Phase, Snapshot
from reconciler.plan.cases import Facts, KeyCase, gather_cases, gather_facts, name_some
from reconciler.plan.changes import Demand, Note, Rotate
from reconciler.plan.holdings import find_published


@dataclass(frozen=True, slots=True)
class Resolved:
    """A demand that names each key, and notes on how they were found."""

    demand: Demand | None
    notes: tuple[Note, ...] = ()


def resolve_demand(desired: DesiredState, snapshot: Snapshot, now: datetime, demand: Demand | None) -> Resolved:
    """Name each key that patterns and sinks stand for; a pattern never creates a key."""
    if not isinstance(demand, Rotate) or not (demand.matching or demand.sinks):
        return Resolved(demand)
    facts = gather_facts(desired, snapshot, now)
    cases = gather_cases(facts)
    found = {
        key.name: _Found(key, tuple(case for case in cases if facts.heirs.get(case.name, case.name) == key.name))
        for key in desired.keys
    }
    reasons = {name: [one.why(sink) for sink in sorted(demand.sinks)] for name, one in found.items()}
    because = {name: "; ".join(filter(None, whys)) for name, whys in reasons.items() if any(whys)}
    live = {name for name in demand.matching if found[name].is_live}
    matching = frozenset(live - demand.keys - because.keys())
    notes = (
        *(
            Note("key_is_not_live", f"key.{name}", "is not rotated: it has no live key yet; `keyform apply` makes it")
            for name in sorted(demand.matching - live)
        ),
        *(note for sink in sorted(demand.sinks) for note in note_sink(facts, cases, found, sink)),
    )
    resolved = replace(
        demand,
        keys=demand.keys | matching | because.keys(),
        matching=matching,
        because=tuple(sorted(because.items())),
    )
    return Resolved(resolved, notes)


@dataclass(frozen=True, slots=True)
class _Found:
    """A declared key, and everything live or recorded of it, including under a former name (`moved`)."""

    key: DesiredKey
    cases: tuple[KeyCase, ...]

    @property
    def is_live(self) -> bool:
        """Whether there is a live key of it."""
        return any(case.generations or case.claims for case in self.cases)

    def why(self, sink: str) -> str:
        """Why a secret of it is, was or may be in this sink; nothing where it is not known to have been."""
        for case in self.cases:
            if sink in case.records or sink in case.facts.later.get(case.name, {}):
                return f"sink {sink} holds its secret"
            for generation in reversed(case.generations):
                places = find_published(case, self.key, generation) or ()
                if sink in places and generation.phase is not Phase.PENDING:
                    return f"{generation.name} was published to sink {sink}"
        if self.is_live and sink in self.key.sinks and any(sink in case.facts.unknown_sinks for case in self.cases):
            return f"it names sink {sink}, and nobody can see what that holds"
        return ""

    @property
    def was_elsewhere(self) -> bool:
        """Whether a generation was published to a set of places of which the file does not have all any more."""
        places = (find_published(case, self.key, each) for case in self.cases for each in case.generations)
        return frozenset() in places


def note_sink(facts: Facts, cases: Sequence[KeyCase], found: Mapping[str, _Found], sink: str) -> Iterator[Note]:
    """What is known of what a sink held, and what is not."""
    address = f"sink.{sink}"
    chosen = [name for name, one in found.items() if one.why(sink)]
    if chosen:
        has = "the secret of 1 key" if len(chosen) == 1 else f"the secrets of {len(chosen)} keys"
        held = f"held, or may have held, {has}, which this rotates: {name_some(chosen)}"
    else:
        held = "holds no secret of a key that the file declares"
    yield Note("sink_is_replaced", address, held)
    if sink in facts.unknown_sinks:
        trouble = facts.broken.get(sink)
        why = trouble.message if trouble else "it cannot be read back"
        sentence = f"what it holds is unknown ({why}): of keys that do not name it, only the markers are known"
        yield Note("sink_is_unknown", address, sentence)
    gone = [case.name for case in cases if sink in case.records and facts.heirs.get(case.name, case.name) not in found]
    if gone:
        sentence = "holds records of keys that the file no longer declares, which this does not rotate"
        yield Note("sink_holds_undeclared", address, f"{sentence}: {name_some(gone)}")
    moved = [name for name, one in found.items() if name not in chosen and one.was_elsewhere]
    if moved:
        sentence = "may have held the secrets of keys that were published to places that the file no longer has"
        yield Note("sink_may_have_held", address, f"{sentence}: {name_some(moved)}; name them to rotate them, too")
