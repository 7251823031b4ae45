"""What was changed outside keyform: in the portal, by another tool, or in a sink. Each kind has a name and a proof.

There is no state file. So only what keyform never does itself counts as drift, where a marker, a record or an instant
of the API shows that it happened. Whatever else differs from the file may also be a change of the file that is not
applied yet: that is `unproven`, and claims no more. docs/decisions/0044 has the proof of each kind.

what is proven                      by
key_was_deleted                     a sink's record: keyform removes that first
key_was_recreated                   the same, and a live key of that name with another created_at
marker_was_removed                  a record of exactly this live key: it had a marker when that was written
marker_was_edited                   a number that its live name refutes, or an instant that it cannot have
marker_was_copied                   a live name that keyform would have noted in the marker
description_was_edited              text behind the marker, where keyform writes none
secret_is_gone                      a marker that says the secret was published there, of a key that is bound:
                                    keyform unbinds a key before it removes a record
secret_was_overwritten              the same, and another owner's record there
secret_was_rolled_back              the same, and a record of an older generation there
authentication_was_switched_off     a published key of the stack that is bound there

what only differs                   may also be
key_is_missing                      new in the file: no sink that it names can be read back
binding_is_missing                  new in the file
binding_is_extra                    gone from the file
description_differs                 edited in the file
expiry_differs                      edited in the file (only where the API changes an expiry in place)
protection_differs                  edited in the file
foreign_key_is_bound                older than `exclusive` in the file
authentication_differs              new in the file
marker_is_unreadable                written by a later version of keyform
marker_may_be_gone                  forged: anyone who can edit the file can write such a record
secret_may_be_gone                  on another machine: there is nothing at all at the sink's place; or removed by an
                                    apply that was interrupted before it deleted the key
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.model import FORM, Auth, DesiredKey, EndpointRef, LiveKey, Phase, Unchanged, generation_name, shift
from reconciler.plan.bindings import BindingPlan, Comparison
from reconciler.plan.cases import CLOCKS_DIFFER, MOST_TOLD, Facts, Generation, KeyCase, holders_of, name_sinks
from reconciler.plan.changes import Drift, KeyRef, Object, Resource
from reconciler.plan.fields import instant
from reconciler.plan.holdings import describe_deleted, find_deleted, find_holdings
from reconciler.plan.owners import find_claims, record_is_of
from reconciler.plan.resources import recorded_key
from reconciler.plan.verdicts import Verdict

HELD_UP = "apply leaves it as it is: the key is held up"
UNTOUCHED = "apply leaves it as it is"


@dataclass(frozen=True, slots=True)
class FoundDrift:
    """What was changed outside keyform, and what differs without a proof of that; each in order of address."""

    proven: tuple[Drift, ...] = ()
    unproven: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True)
class _Look:
    """One key, and what it takes to say what happened to it."""

    verdict: Verdict
    before: Object | None
    """The key as it is."""

    @property
    def case(self) -> KeyCase:
        return self.verdict.case

    @property
    def key(self) -> DesiredKey | None:
        return self.case.desired

    @property
    def newest(self) -> Generation | None:
        return self.case.newest_in_use

    def drift(self, code: str, sentence: str, remedy: str = "", resource: Resource | None = None) -> Drift:
        """With what apply does about it: `remedy`, unless it leaves the key alone (even without a remedy)."""
        if self.verdict.is_held_up:
            remedy = HELD_UP
        return Drift(code, self.case.address, sentence, remedy or UNTOUCHED, resource)

    def without(self, sink: str) -> Resource | None:
        """The key that has lost its secret in a sink."""
        return Resource(self.case.address, _with_sink(self.before, sink), self.before) if self.before else None

    @property
    def replacement(self) -> str:
        """What apply does where a secret is lost."""
        successor = self.verdict.successor
        return f"apply creates {successor.live.name} and publishes its secret" if successor else ""


def find_drift(
    facts: Facts, verdicts: Sequence[Verdict], bindings: BindingPlan, resources: Iterable[Resource], *, is_refused: bool
) -> FoundDrift:
    """Everything that was changed outside keyform, and everything that may have been.

    It is what was changed about the keys that the plan is about, and about the endpoints that concern these. A demand
    looks at a part of the file only: then it is what is proven about its keys.
    """
    objects = {each.address: each.before for each in resources}
    proven, unproven = list[Drift](), list[Drift]()
    present = {found.endpoint.ref: found.present for found in bindings.compared}
    chosen = [verdict for verdict in verdicts if not verdict.case.is_set_aside]
    for verdict in chosen:
        look = _Look(verdict, objects.get(verdict.case.address))
        proven += [*_deleted(look), *_recreated(look), *_markers(look), *_text(look), *_secrets(look)]
        unproven += [*_may_be_gone(look), *_fields(look), *_bindings(look, present)]
    if facts.demand is not None:
        return FoundDrift(_in_order(proven, is_refused=is_refused))
    proven += _copied(facts)
    unproven += _unreadable(facts)
    published = {
        each.generation.ref
        for verdict in verdicts
        for each in verdict.rulings
        if each.generation.phase is Phase.PUBLISHED and not each.generation.live.taken_from
    }
    concerned = {ref for verdict in chosen for ref in _refs_of(verdict)} if facts.selection.targets else present.keys()
    for found in bindings.compared:
        if found.endpoint.ref not in concerned:
            continue
        proven += _switched_off(facts, found, published, objects.get(found.address))
        unproven += [*_public(facts, found, published), *_foreign(found)]
    return FoundDrift(_in_order(proven, is_refused=is_refused), _in_order(unproven, is_refused=is_refused))


def _refs_of(verdict: Verdict) -> Iterator[EndpointRef]:
    """The endpoints that concern a key: those that it opens, or should."""
    yield from verdict.case.desired.endpoints if verdict.case.desired else ()
    for ruling in verdict.rulings:
        yield from ruling.generation.bound_to


def _in_order(found: Iterable[Drift], *, is_refused: bool) -> tuple[Drift, ...]:
    """Keys, then endpoints; of a refused plan, nothing is done about any of them."""
    ordered = sorted(found, key=lambda each: (not each.address.startswith("key."), each.address))
    idle = (HELD_UP, UNTOUCHED)
    refused = "apply does nothing about it while the plan is refused"
    return tuple(replace(each, remedy=refused) if is_refused and each.remedy not in idle else each for each in ordered)


# --- Proven -----------------------------------------------------------------------------------------------------------


def _deleted(look: _Look) -> Iterator[Drift]:
    """Of a key that the file no longer declares, keyform itself may have deleted a leaked live key, and not reached its
    record. Nor does it reach that in a sink that left the file together with the key; the sentence says so.
    """
    deleted = find_deleted(look.case)
    if deleted is None or look.key is None:
        return
    after = look.before if look.newest else None
    resource = Resource(look.case.address, recorded_key(look.verdict, deleted), after)
    sentence = f"{describe_deleted(look.case, deleted)}, unless it left the file together with that sink"
    yield look.drift("key_was_deleted", sentence, look.replacement, resource)


def _recreated(look: _Look) -> Iterator[Drift]:
    """Not for what is older than the newest: a sink may hold that for long; nor for a sink that removes nothing."""
    case, newest = look.case, look.newest
    told = set()
    for sink, record in sorted(case.records.items()):
        namesakes = case.facts.by_name.get(record.live_name, ())
        if look.key is None or sink in case.facts.lasting_sinks or not namesakes or record.live_name in told:
            continue
        if record.generation < (newest.number if newest else 1) or any(record_is_of(record, one) for one in namesakes):
            continue
        told.add(record.live_name)
        sentence = (
            f"{record.live_name} was deleted and created again outside keyform, unless the API changes created_at: it"
            f" was created {instant(namesakes[0].created_at)}, and sink {sink} holds the secret of one of that name"
            f" that was created {instant(record.created_at)}"
        )
        after = look.before if newest else None
        resource = Resource(case.address, recorded_key(look.verdict, record), after)
        yield look.drift("key_was_recreated", sentence, look.replacement, resource)


def _markers(look: _Look) -> Iterator[Drift]:
    """Markers that are gone, or that say what keyform did not write."""
    written = {writing.live.id for writing in look.verdict.writings}
    for each in look.case.generations:
        live, marker = each.live, each.live.ownership
        again = "apply writes it again" if live.id in written else ""
        if each.is_restored and live.claimed_by is None and each.sinks_that_hold_it:
            yield look.drift("marker_was_removed", _say_removed(live, sorted(each.sinks_that_hold_it)), again)
        if marker is None or each.is_taken_over or live.taken_from or marker.form != FORM:
            continue
        if marker.generation != each.number:
            what = f"g{marker.generation}, and its name g{each.number}"
            yield look.drift("marker_was_edited", _say_edited(live, what), again)
        is_early = marker.phase is not Phase.PENDING and marker.since < shift(live.created_at, -CLOCKS_DIFFER)
        if is_early or marker.since > shift(look.case.now, CLOCKS_DIFFER):
            why = f"before it was created ({instant(live.created_at)})" if is_early else "which is yet to come"
            what = f"{marker.phase.value} since {instant(marker.since)}, {why}"
            yield look.drift("marker_was_edited", _say_edited(live, what), again)


def _say_removed(live: LiveKey, sinks: Sequence[str]) -> str:
    proof = f"{name_sinks(sinks, 'holds', 'hold')} its secret, by name and created_at"
    return f"the marker of {live.name} was removed outside keyform: {proof}"


def _say_edited(live: LiveKey, what: str) -> str:
    return f"the marker of {live.name} was edited outside keyform: it says {what}"


def _copied(facts: Facts) -> Iterator[Drift]:
    """keyform notes a live name in the marker where that does not follow from the key and its generation."""
    by_name, told = facts.by_name, set()
    for key, live in find_claims(facts.desired, facts.snapshot, facts.own):
        marker = live.ownership
        if marker is None or marker.form != FORM or marker.names(live.name) or live.id in told:
            continue
        if not facts.selects(key):
            continue
        told.add(live.id)
        named = generation_name(marker.key, marker.generation)
        what = f"the live key {live.name} has the marker of {named}"
        how = "it was copied, or the live key was renamed, outside keyform"
        if named in by_name:
            how = "it was copied outside keyform"
        if len(by_name[live.name]) > 1:
            how = "there are several live keys of that name, and keyform creates one"
        if len(told) <= MOST_TOLD:
            yield Drift("marker_was_copied", f"key.{key}", f"{what}: {how}", UNTOUCHED)


def _text(look: _Look) -> Iterator[Drift]:
    if _text_differs(look) and look.newest and look.newest.live.has_addition:
        sentence = f"the description of {look.newest.name} was edited outside keyform: there is text behind the marker"
        yield look.drift("description_was_edited", sentence, _on_writing(look, "apply writes the file's description"))


def _text_differs(look: _Look) -> bool:
    """Whether the newest has another description than the file sets; what is left of a marker does not count."""
    newest, key = look.newest, look.key
    if newest is None or key is None or newest.is_taken_over or newest.live.ownership is None:
        return False
    return newest.text != (key.description or "")


def _on_writing(look: _Look, remedy: str) -> str:
    """What apply does, if it writes on the newest, or makes another."""
    newest, copying = look.newest, look.verdict.copying
    written = {each.live.id for each in (*look.verdict.writings, *((copying,) if copying else ()))}
    if look.verdict.successor:
        return f"the next generation, {look.verdict.successor.live.name}, is as the file says"
    return remedy if newest and newest.live.id in written else ""


def _secrets(look: _Look) -> Iterator[Drift]:
    """Sinks that the marker of the newest says it was published to, and that do not hold it now."""
    case = look.case
    for sink, newest in _lacking(look):
        if not _is_in_its_place(case, newest, sink):
            continue
        trouble, record = case.facts.foreign.get(case.name, {}).get(sink), case.records.get(sink)
        published = f"the secret of {newest.name} was published to sink {sink}"
        if sink in case.facts.later.get(case.name, {}):
            continue
        if trouble is not None:
            sentence = f"{published}, and was overwritten there outside keyform: {trouble.message}"
            yield look.drift("secret_was_overwritten", sentence, _on_loss(look), look.without(sink))
        elif record is None:
            sentence = f"{published}, and was removed there outside keyform"
            yield look.drift("secret_is_gone", sentence, _on_loss(look), look.without(sink))
        elif record.generation < newest.number:
            sentence = (
                f"sink {sink} was rolled back outside keyform: it holds the secret of {record.live_name}, and that of"
                f" {newest.name} was published to it"
            )
            yield look.drift("secret_was_rolled_back", sentence, _on_loss(look))


def _lacking(look: _Look) -> Iterator[tuple[str, Generation]]:
    newest, key = look.newest, look.key
    if newest is None or key is None or newest.is_taken_over or newest.live.taken_from:
        return
    found = find_holdings(look.case, key, newest)
    for sink in found.lost:
        if found.published_to and sink in found.published_to:
            yield sink, newest


def _is_in_its_place(case: KeyCase, newest: Generation, sink: str) -> bool:
    """Whether only somebody else can have removed a secret there.

    The sink could be that of another machine; and an apply of a file without the key, interrupted before it deleted
    the live key, has unbound it and removed its record. The next one, with the key in the file again, binds it again
    together with a successor.
    """
    return sink not in case.facts.absent_sinks and bool(newest.bound_to) and newest is case.generations[-1]


def _on_loss(look: _Look) -> str:
    copying = look.verdict.copying
    return f"apply copies it there from sink {copying.source}" if copying else look.replacement


def _with_sink(key: Object, sink: str) -> Object:
    held = key["sinks"]
    return {**key, "sinks": sorted({*(held if isinstance(held, list) else ()), sink})}


def _switched_off(facts: Facts, found: Comparison, published: set[KeyRef], endpoint: Object | None) -> Iterator[Drift]:
    """A generation is published once it is bound, and its binding turns authentication on; nothing that keyform does
    turns it off while a key stays.
    """
    own = sorted(found.present & published)
    if not (_should_require(facts, found) and own and facts.snapshot.capabilities.switches_authentication):
        return
    sentence = f"authentication was turned off outside keyform, although {own[0].name} is bound to it"
    remedy = "binding another key turns it on" if found.gains else f"{UNTOUCHED}: turn it on in the portal"
    before = {**endpoint, "auth": Auth.REQUIRED.value} if endpoint else None
    resource = Resource(found.address, before, endpoint) if endpoint else None
    yield Drift("authentication_was_switched_off", found.address, sentence, remedy, resource)


def _should_require(facts: Facts, found: Comparison) -> bool:
    """Whether an endpoint of the stack is public, and the file does not say so."""
    is_managed = found.endpoint.ref in facts.managed
    return is_managed and found.endpoint.is_public and found.declaration.auth is not Auth.OPEN


# --- Unproven ---------------------------------------------------------------------------------------------------------


def _may_be_gone(look: _Look) -> Iterator[Drift]:
    """Keys, markers and secrets that may have been there."""
    case, key = look.case, look.key
    if key and not case.generations and not case.former and not case.records and key.adopt is None:
        hidden = [sink for sink in key.sinks if sink in case.facts.unreadable_sinks]
        if hidden and len(hidden) == len(key.sinks):
            sentence = f"does not exist, and {name_sinks(hidden, 'does', 'do')} not show whether it did"
            yield look.drift("key_is_missing", sentence, look.replacement)
    for live in case.lookalikes:
        holders = sorted(holders_of(case.facts, case.name, live))
        if holders and live.marked_by is None and live.released is None:
            sentence = (
                f"the live key {live.name} has no marker, and {name_sinks(holders, 'has', 'have')} a record of it"
            )
            yield look.drift("marker_may_be_gone", sentence)
    for sink, newest in _lacking(look):
        if sink not in case.facts.later.get(case.name, {}) and not _is_in_its_place(case, newest, sink):
            is_absent = sink in case.facts.absent_sinks
            now = "there is nothing at all there now" if is_absent else "it is not there now"
            sentence = f"the secret of {newest.name} was published to sink {sink}, and {now}"
            yield look.drift("secret_may_be_gone", sentence, _on_loss(look))


def _unreadable(facts: Facts) -> Iterator[Drift]:
    told = set()
    for key, live in find_claims(facts.desired, facts.snapshot, facts.own):
        if live.ownership is None and live.id not in told and facts.selects(key):
            told.add(live.id)
            sentence = f"the marker of {live.name} was edited by hand, or written by a later version of keyform"
            if len(told) <= MOST_TOLD:
                yield Drift("marker_is_unreadable", f"key.{key}", sentence, UNTOUCHED)


def _fields(look: _Look) -> Iterator[Drift]:
    """What is written on the newest and differs from the file."""
    newest, key = look.newest, look.key
    if newest is None or key is None or newest.is_taken_over or newest.live.taken_from or look.case.former:
        return
    if _text_differs(look) and not newest.live.has_addition:
        remedy = _on_writing(look, "apply writes the file's description")
        yield look.drift("description_differs", f"the description of {newest.name} is not that of the file", remedy)
    if newest.live.ownership is not None and newest.is_protected != key.prevent_destroy:
        sentence = f"the marker of {newest.name} {'has' if newest.is_protected else 'lacks'} `prevent_destroy`"
        sentence += ", and the file does not" if newest.is_protected else ", and the file has it"
        yield look.drift("protection_differs", sentence, _on_writing(look, "apply writes what the file says"))
    for writing in look.verdict.writings:
        if writing.live.id == newest.live.id and not isinstance(writing.expires_at, Unchanged):
            sentence = f"{newest.name} expires {instant(newest.live.expires_at)}, and the file says otherwise"
            yield look.drift("expiry_differs", sentence, f"apply sets {instant(writing.expires_at)}")


def _bindings(look: _Look, present: Mapping[EndpointRef, frozenset[KeyRef]]) -> Iterator[Drift]:
    """What a published key opens, and what the file says."""
    case, newest, key = look.case, look.newest, look.key
    if newest is None or key is None or newest.is_taken_over or newest.live.taken_from or case.former:
        return
    if newest.phase is Phase.PARTIAL:
        return
    refs = key.endpoints - case.facts.unusable.keys()
    for ref in sorted(ref for ref in refs & present.keys() if newest.ref not in present[ref]):
        successor = look.verdict.successor
        remedy = f"apply binds {successor.live.name if successor else newest.name}"
        sentence = f"the file binds it to {ref}, and {newest.name} is not bound there"
        yield look.drift("binding_is_missing", sentence, remedy)
    for ref in sorted(newest.bound_to - key.endpoints):
        stays = ref in look.verdict.opens or look.verdict.keeps_bindings
        remedy = "" if stays else f"apply unbinds {newest.name}"
        sentence = f"{newest.name} is bound to {ref}, and the file does not say so"
        yield look.drift("binding_is_extra", sentence, remedy)


def _public(facts: Facts, found: Comparison, published: set[KeyRef]) -> Iterator[Drift]:
    """An endpoint of keys in use that requires none, or that should."""
    switches = facts.snapshot.capabilities.switches_authentication
    if _should_require(facts, found) and not (switches and found.present & published):
        remedy = "binding a key turns it on" if found.gains and switches else f"{UNTOUCHED}: turn it on in the portal"
        sentence = "its authentication is off, and the file does not say `auth: open`"
        yield Drift("authentication_differs", found.address, sentence, remedy)
    if found.declaration.auth is Auth.OPEN and found.endpoint.auth_enabled:
        remedy = "apply turns it off" if found.opens else UNTOUCHED
        sentence = "its authentication is on, and the file says `auth: open`"
        yield Drift("authentication_differs", found.address, sentence, remedy)


def _foreign(found: Comparison) -> Iterator[Drift]:
    """Keys that the stack did not bind to an endpoint that is exclusive to it."""
    cut = sorted(link.live for link in found.losses if link.verdict is None)
    for live in [*cut, *found.spared][:MOST_TOLD] if found.declaration.exclusive else ():
        remedy = "apply unbinds it" if live in cut else UNTOUCHED
        sentence = f"the foreign key {live.name} is bound to it, and the file says `exclusive`"
        yield Drift("foreign_key_is_bound", found.address, sentence, remedy)
