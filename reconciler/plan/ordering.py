"""Every change of a plan, in the order of an apply, and what each waits for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from reconciler.model import Auth, DesiredKey, Length, Phase
from reconciler.plan.bindings import IS_OPEN, BindingPlan
from reconciler.plan.changes import (
    Action,
    Bind,
    Change,
    ChangeId,
    Copy,
    CreateGeneration,
    DeleteKey,
    FieldDiff,
    KeyRef,
    OpenEndpoint,
    Prove,
    Publish,
    RemoveRecord,
    Step,
    Unbind,
    UpdateKey,
)
from reconciler.plan.fields import Value, compare_fields, instant
from reconciler.plan.updates import RESTORATION
from reconciler.plan.verdicts import Verdict

Ids = dict[KeyRef, list[ChangeId]]
"""By live key, the ids of the changes of its bindings, so that a thousand keys do not each search every endpoint."""


def order_changes(verdicts: Sequence[Verdict], bindings: BindingPlan) -> Iterator[Change]:
    """Nothing is removed before its replacement is in place."""
    yield from create(verdicts)
    updates = list(update(verdicts))
    yield from (change for change in updates if change.sets_expiry)
    binds = list(bind(bindings))
    yield from binds
    yield from (change for change in updates if not change.sets_expiry)
    bound = by_live_key(binds)
    yield from prove(verdicts, bound)
    yield from publish(verdicts, bound)
    yield from copy(verdicts)
    unbinds = list(unbind(bindings))
    yield from unbinds
    unbound = by_live_key(change for change in unbinds if isinstance(change, Unbind))
    yield from remove_records(verdicts, unbound)
    yield from delete(verdicts, unbound)


def by_live_key(changes: Iterable[Bind | Unbind]) -> Ids:
    """The ids of these changes, by the live key that is bound or unbound."""
    found: Ids = defaultdict(list)
    for change in changes:
        found[change.live].append(change.id)
    return found


def create(verdicts: Iterable[Verdict]) -> Iterator[Change]:
    """New generations, marked pending."""
    for verdict in verdicts:
        case, key, successor = verdict.case, verdict.case.desired, verdict.successor
        if key is None or successor is None:
            continue
        yield CreateGeneration(
            key=case.name,
            action=verdict.action,
            reason=successor.reason,
            diff=differences(verdict),
            live=successor.live,
            text=key.description or "",
            ownership=case.marker(successor.generation, Phase.PENDING, case.now, successor.live.name),
            expires_at=successor.expires_at,
            length=length_of(key),
        )


def length_of(key: DesiredKey | None) -> Length | None:
    """Marks a key's expiry that comes from its `lifetime`; None for a date, or never."""
    return Length(key.overlap) if key is not None and key.lifetime is not None else None


def differences(verdict: Verdict) -> tuple[FieldDiff, ...]:
    """How the new generation differs from the one that it succeeds, its own name first."""
    key, successor, newest = verdict.case.desired, verdict.successor, verdict.case.newest_in_use
    assert key is not None  # noqa: S101 - for the type checker
    assert successor is not None  # noqa: S101
    made: dict[str, Value] = {"description": key.description or "", "expires_at": instant(successor.expires_at)}
    name = FieldDiff("generation", newest.name if newest else None, successor.live.name)
    if newest is None:
        return name, *(FieldDiff(path, None, value) for path, value in made.items())
    live: dict[str, Value] = {"description": newest.text, "expires_at": instant(newest.live.expires_at)}
    return name, *compare_fields(live, made)


def bind(bindings: BindingPlan) -> Iterator[Bind]:
    """What each endpoint gains."""
    for comparison in bindings.comparisons:
        for link in comparison.gains:
            assert link.verdict is not None  # noqa: S101 - for the type checker: no foreign key is bound
            yield Bind(
                key=link.verdict.case.name,
                endpoint=comparison.endpoint.ref,
                action=link.verdict.action,
                reason=link.reason,
                depends_on=() if link.live.id else (ChangeId(Step.CREATE_GENERATION, link.live),),
                live=link.live,
                closes=comparison.closes,
            )


def update(verdicts: Iterable[Verdict]) -> Iterator[UpdateKey]:
    """What is written in place; a replaced generation is marked only once its successor exists.

    A leaked secret is marked at once: even if no successor can be created now, every later apply has to cut it.
    """
    for verdict in verdicts:
        successor = verdict.successor
        for writing in verdict.writings:
            waits = writing.ownership.phase is not Phase.REVOKED and writing.reason != RESTORATION
            yield UpdateKey(
                key=verdict.case.name,
                action=verdict.action,
                reason=writing.reason,
                diff=writing.diff,
                depends_on=(ChangeId(Step.CREATE_GENERATION, successor.live),) if successor and waits else (),
                live=KeyRef.of(writing.live),
                text=writing.text,
                ownership=writing.ownership,
                expires_at=writing.expires_at,
                length=length_of(verdict.case.desired),
                adopts=writing.adopts,
                taken_from=writing.live.taken_from,
            )


def is_proven(verdict: Verdict) -> bool:
    """Whether the new secret is tried before it is published: the file says so, and it opens something."""
    key = verdict.case.desired
    return key is not None and key.prove and bool(verdict.opens)


def prove(verdicts: Iterable[Verdict], bound: Ids) -> Iterator[Change]:
    """New secrets are tried where they open something, before they are published, if the file says so."""
    for verdict in verdicts:
        key, successor = verdict.case.desired, verdict.successor
        if key is not None and successor is not None and is_proven(verdict):
            yield Prove(
                key=key.name,
                action=verdict.action,
                reason=successor.reason,
                depends_on=(ChangeId(Step.CREATE_GENERATION, successor.live), *bound[successor.live]),
                live=successor.live,
                endpoints=tuple(sorted(verdict.opens)),
            )


def publish(verdicts: Iterable[Verdict], bound: Ids) -> Iterator[Change]:
    """The new generations' secrets into their sinks, once they open everything that they should."""
    for verdict in verdicts:
        case, key, successor = verdict.case, verdict.case.desired, verdict.successor
        if key is None or successor is None:
            continue
        yield Publish(
            key=case.name,
            action=verdict.action,
            reason=successor.reason,
            depends_on=(
                ChangeId(Step.CREATE_GENERATION, successor.live),
                *(ChangeId(Step.UPDATE_KEY, KeyRef.of(writing.live)) for writing in verdict.writings),
                *bound[successor.live],
                *([ChangeId(Step.PROVE, successor.live)] if is_proven(verdict) else []),
            ),
            live=successor.live,
            text=key.description or "",
            ownership=case.marker(successor.generation, Phase.PUBLISHED, case.now, successor.live.name),
            destinations=case.destinations,
            sinks=key.sinks,
        )


def copy(verdicts: Iterable[Verdict]) -> Iterator[Copy]:
    """Secrets that a sink lacks and another one has, before that one drops them."""
    for verdict in verdicts:
        copying = verdict.copying
        if copying is not None:
            live = KeyRef.of(copying.live)
            writings = (KeyRef.of(writing.live) for writing in verdict.writings)
            yield Copy(
                key=verdict.case.name,
                action=verdict.action,
                reason=copying.reason,
                depends_on=tuple(ChangeId(Step.UPDATE_KEY, each) for each in writings if each == live),
                live=live,
                text=copying.text,
                ownership=copying.ownership,
                source=copying.source,
                sinks=copying.sinks,
            )


def unbind(bindings: BindingPlan) -> Iterator[Unbind | OpenEndpoint]:
    """What each endpoint loses, once its replacement is published; and those that lose their last key to open."""
    for comparison in bindings.comparisons:
        ref, losses = comparison.endpoint.ref, []
        for link in comparison.losses:
            verdict = link.verdict
            losses.append(
                Unbind(
                    key=verdict.case.name if verdict else "",
                    endpoint=ref,
                    action=verdict.action if verdict else Action.UPDATE,
                    reason=link.reason,
                    depends_on=()
                    if verdict is None or link.is_disposable
                    else (*published(verdict), *copied(verdict, link.live), *taken_over(verdict, link.live)),
                    live=link.live,
                    is_disposable=link.is_disposable,
                )
            )
        yield from losses
        if comparison.opens:
            yield OpenEndpoint(
                endpoint=ref,
                action=Action.UPDATE,
                reason=IS_OPEN,
                diff=(FieldDiff("auth", Auth.REQUIRED.value, Auth.OPEN.value),),
                depends_on=tuple(change.id for change in losses),
            )


def published(verdict: Verdict) -> tuple[ChangeId, ...]:
    """The publication of the key's new generation, or of the key that replaces it, if there is one."""
    successor = verdict.heir.successor if verdict.heir else verdict.successor
    return (ChangeId(Step.PUBLISH, successor.live),) if successor else ()


def copied(verdict: Verdict, but: KeyRef | None = None) -> tuple[ChangeId, ...]:
    """The copying of the secret of the key's generation in use, if that is to be; not for what is done to that one."""
    copying = verdict.copying
    if copying is None or but == KeyRef.of(copying.live):
        return ()
    return (ChangeId(Step.COPY, KeyRef.of(copying.live)),)


def taken_over(verdict: Verdict, live: KeyRef) -> tuple[ChangeId, ...]:
    """The new marker of a live key that another owner's marker named: keyform removes nothing that is not its own."""
    adopted = (KeyRef.of(each.live) for each in verdict.writings if each.adopts and each.live.ownership is not None)
    return (ChangeId(Step.UPDATE_KEY, live),) if live in adopted else ()


def remove_records(verdicts: Iterable[Verdict], unbound: Ids) -> Iterator[Change]:
    """A removed key's record goes after its bindings and before its live key, so that a record never outlives a key.

    That of a sink that the key no longer names goes after the marker has ceased to name it: otherwise the sink would
    seem to have lost it.
    """
    for verdict in verdicts:
        newest = verdict.case.newest_in_use if verdict.case.desired else None
        marked = [
            ChangeId(Step.UPDATE_KEY, KeyRef.of(writing.live))
            for writing in verdict.writings
            if newest and writing.live.id == newest.live.id and not verdict.successor
        ]
        unbinds = [change for ruling in verdict.going for change in unbound[ruling.generation.ref]]
        for sink, reason in verdict.obsolete_records.items():
            yield RemoveRecord(
                key=verdict.case.name,
                action=verdict.action,
                reason=reason,
                depends_on=(
                    *published(verdict),
                    *copied(verdict),
                    *marked,
                    *(unbinds if verdict.case.desired is None else []),
                ),
                sink=sink,
                record=verdict.case.records.get(sink),
            )
        for sink, reason in verdict.released_records.items():
            yield RemoveRecord(
                key=verdict.case.name,
                action=verdict.action,
                reason=reason,
                depends_on=tuple(ChangeId(Step.UPDATE_KEY, KeyRef.of(writing.live)) for writing in verdict.writings),
                sink=sink,
                record=verdict.case.records.get(sink),
                keeps_secret=True,
            )


def delete(verdicts: Iterable[Verdict], unbound: Ids) -> Iterator[Change]:
    """Live keys that are no longer bound anywhere."""
    for verdict in verdicts:
        sinks = verdict.obsolete_records if verdict.case.desired is None else ()
        records = [ChangeId(Step.REMOVE_RECORD, KeyRef(verdict.case.name), sink) for sink in sinks]
        for ruling in verdict.going:
            yield DeleteKey(
                key=verdict.case.name,
                action=verdict.action,
                reason=ruling.reason,
                diff=(FieldDiff("generation", ruling.generation.name, None),),
                depends_on=(
                    *(() if ruling.is_disposable else (*published(verdict), *copied(verdict))),
                    *taken_over(verdict, ruling.generation.ref),
                    *unbound[ruling.generation.ref],
                    *records,
                ),
                live=ruling.generation.ref,
                is_disposable=ruling.is_disposable,
            )
