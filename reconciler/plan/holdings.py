"""Where a generation's secret is: which sinks hold it, and where its marker says it was published.

The marker carries a digest of the destinations of the sinks that the secret was published to. If it equals that of the
key's sinks in the file, nothing was edited since. Otherwise keyform looks for a set of the file's sinks with that
digest: a sink outside that set was added since, or has moved since.

sink of the key          the marker says         and so
can be read              anything                its record decides: with it, the secret is there
  without the record     published there         the sink lost it
                         (nothing)               the sink lost it
                         not published there     the secret is yet to get there
cannot be read now       anything                nothing is known, and nothing is lost
cannot be read back      published there         the secret is there
                         (nothing)               the secret is there, unless another sink is to give it up now
                         not published there     the secret is yet to get there
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations, islice

from reconciler.model import DesiredKey, Phase, SinkRecord, digest
from reconciler.plan.cases import Generation, KeyCase, name_sinks

MOST_SETS = 5000
"""How many sets of sinks are tried for a digest, small ones first: all sets of twelve sinks."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """Where one generation's secret is; names of sinks, in the key's order.

    `lost` are those of `lacking` that held it. `published_to` are the sinks of the file that the marker names: None if
    it names none, empty if it names places that the file no longer has. `source` is a sink that the secret can be
    copied from to those that lack it (`""`: none).
    """

    lacking: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    published_to: frozenset[str] | None = None
    source: str = ""

    @property
    def is_elsewhere(self) -> bool:
        """Whether it was published to a place that the file no longer has."""
        return self.published_to == frozenset()


NOTHING_LOST = Holdings()


def find_holdings(case: KeyCase, key: DesiredKey, generation: Generation) -> Holdings:
    """Where the secret of a declared key's generation is."""
    named = find_published(case, key, generation)
    unreadable, holding = case.facts.unreadable_sinks, generation.sinks_that_hold_it
    gives_up = bool(holding - set(key.sinks))

    def lacks(sink: str) -> bool:
        if sink in case.facts.broken:
            return False  # a sink that cannot be read this time has lost nothing
        if sink in unreadable:
            # A record that goes from another sink could be the last copy of the secret: nobody can see whether this
            # one, added since, ever got it.
            return gives_up if named is None else sink not in named
        return sink not in holding

    lacking = tuple(sink for sink in key.sinks if lacks(sink))
    is_published = generation.phase is Phase.PUBLISHED
    return Holdings(
        lacking=lacking,
        lost=tuple(s for s in lacking if is_published and s not in unreadable and (named is None or s in named)),
        published_to=named,
        source=find_source(case, key, generation) if lacking and is_published else "",
    )


def find_published(case: KeyCase, key: DesiredKey, generation: Generation) -> frozenset[str] | None:
    """The sinks of the file that the marker names; None if it names none, empty if it names other places."""
    said = generation.live.ownership.published_to if generation.live.ownership and not generation.is_taken_over else ""
    if not said:
        return None
    if said == case.destinations:
        return frozenset(key.sinks)
    sinks = case.facts.desired.sinks
    places = sets_by_digest(tuple(sorted({sink.destination for sink in sinks}))).get(said, frozenset())
    return frozenset(sink.name for sink in sinks if sink.destination in places)


@lru_cache(maxsize=4)
def sets_by_digest(destinations: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    """The sets of these destinations by their digest."""
    sizes = range(1, len(destinations) + 1)
    sets = chain.from_iterable(combinations(destinations, size) for size in sizes)
    return {digest(each): frozenset(each) for each in islice(sets, MOST_SETS)}


def find_source(case: KeyCase, key: DesiredKey, generation: Generation) -> str:
    """A sink that holds the secret and can be read: one of the key, or one that it no longer names."""
    others = sorted(generation.sinks_that_hold_it - set(key.sinks))
    held = (sink for sink in (*key.sinks, *others) if sink in generation.sinks_that_hold_it)
    return next((sink for sink in held if case.facts.snapshot.sinks[sink].reads_secrets), "")


def find_losses(case: KeyCase, key: DesiredKey) -> Holdings:
    """The sinks that lost the newest published generation, if none of the sinks has anything newer."""
    published = next((each for each in reversed(case.generations) if each.phase is Phase.PUBLISHED), None)
    if published is None:
        return NOTHING_LOST
    found = find_holdings(case, key, published)
    newer = frozenset[str]().union(*(g.sinks_that_hold_it for g in case.generations if g.number > published.number))
    return Holdings(found.lacking, tuple(s for s in found.lost if s not in newer), found.published_to, found.source)


def find_deleted(case: KeyCase) -> SinkRecord | None:
    """What a sink still holds of the newest generation, whose live key was deleted outside keyform; None if no sink
    proves that.

    keyform itself removes the record before the live key, except from a sink that removes nothing. A live key that was
    renamed, or made again under its name, is not gone for sure.
    """
    facts, newest = case.facts, case.newest_in_use
    gone = [
        record
        for sink, record in case.records.items()
        if sink not in facts.lasting_sinks
        and record.generation > (newest.number if newest else 0)
        and record.live_name not in facts.by_name
    ]
    return max(gone, key=lambda record: record.generation, default=None) if not case.claims else None


def holds_deleted(case: KeyCase, sink: str) -> bool:
    """Whether what a sink holds of the key is of a live key that was deleted outside keyform."""
    record, deleted = case.records.get(sink), find_deleted(case)
    return record is not None and deleted is not None and record.live_name == deleted.live_name


def describe_deleted(case: KeyCase, deleted: SinkRecord) -> str:
    """What was deleted outside keyform, and what proves that it existed."""
    sinks = [sink for sink in sorted(case.records) if holds_deleted(case, sink)]
    what = "" if deleted.live_name == case.name else f"generation {deleted.live_name} "
    return f"{what}was deleted outside keyform: {name_sinks(sinks, 'still holds', 'still hold')} its secret"


def describe_lack(found: Holdings, generation: Generation, unreadable: frozenset[str]) -> str:
    """Why the secret has to get to a sink, in words."""
    seen = [sink for sink in found.lacking if sink not in unreadable]
    unseen = ", ".join(sink for sink in found.lacking if sink in unreadable)
    parts = [f"{name_sinks(seen, 'does', 'do')} not hold the secret of {generation.name}"] if seen else []
    if unseen and found.published_to is None:
        parts.append(
            f"the secret of {generation.name} is about to be removed from another sink, and"
            f" {unseen} cannot be read back"
        )
    elif unseen:
        parts.append(f"{generation.name} was published before the file set this place for sink {unseen}")
    return ", and ".join(parts)
