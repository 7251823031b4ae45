"""From (desired, snapshot, now) to the plan: gather, judge, compare, order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime

from reconciler.model import DesiredState, LockKind, LockSettings, Ownership, Phase, Snapshot
from reconciler.plan.bindings import BindingPlan, plan_bindings
from reconciler.plan.cases import MOST_TOLD, find_claims, gather_cases, own_keys
from reconciler.plan.changes import (
    Action,
    Bind,
    Change,
    CreateGeneration,
    DeleteKey,
    Demand,
    Describe,
    Destination,
    FieldDiff,
    Link,
    Note,
    Plan,
    Prove,
    Publish,
    Reason,
    RemoveRecord,
    Unbind,
)
from reconciler.plan.fields import instant
from reconciler.plan.safety import check_safety
from reconciler.plan.verdicts import WAY_OUT_OF_CLAIM, Fate, Successor, Verdict, describe_claim, judge

GOING = (Fate.RETIRE, Fate.DISCARD, Fate.REMOVE)


def compute_plan(desired: DesiredState, snapshot: Snapshot, now: datetime, demand: Demand | None = None) -> Plan:
    """The plan that takes what is live to what is desired; deterministic to the byte, and without secrets.

    With a `demand`, the keys that it names are rotated, and all else stays as it is, endpoints' own settings too.
    """
    if demand is not None:
        desired = desired.with_keys(tuple(key for key in desired.keys if key.name in demand.keys), ())
    verdicts = [judge(case) for case in gather_cases(desired, snapshot, now, demand)]
    bindings = plan_bindings(desired, snapshot, verdicts, now)
    refusals = (
        *check_safety(desired, verdicts),
        *(finding for verdict in verdicts for finding in verdict.refusals),
        *bindings.refusals,
    )
    changes = tuple(order_changes(verdicts, bindings))
    written = sorted(sinks_written(changes) & set(snapshot.sinks))
    named = {*written, *(sink for key in desired.keys for sink in key.sinks)}
    return Plan(
        stack=desired.stack,
        project=desired.project,
        made_at=now,
        changes=changes,
        refusals=refusals,
        exposures=(
            *(note for verdict in verdicts for note in verdict.exposures),
            *bindings.exposures,
            *(
                Note("sink_is_exposed", f"sink.{name}", snapshot.sinks[name].exposure)
                for name in written
                if snapshot.sinks[name].exposure
            ),
        ),
        warnings=(
            *(note for verdict in verdicts for note in verdict.warnings),
            *bindings.warnings,
            *note_claims(desired, snapshot, {verdict.case.name for verdict in verdicts if verdict.unmet}),
        ),
        expiring=tuple(note for verdict in verdicts for note in verdict.expiring),
        unmet=(*(finding for verdict in verdicts for finding in verdict.unmet), *bindings.unmet),
        destinations=tuple(
            Destination(name, contents.destination, contents.readable)
            for name, contents in sorted(snapshot.sinks.items())
            if contents.destination and name in named
        ),
        lock=describe_lock(desired.lock),
        key_count=len(desired.keys),
    )


def describe_lock(lock: LockSettings) -> str:
    """What keeps two applies apart, where it is not the API's own lock."""
    match lock.kind:
        case LockKind.API:
            return ""
        case LockKind.FILE:
            return f"the file {lock.path}"
        case LockKind.NONE:
            return "none: nothing keeps two applies apart"


def sinks_written(changes: Iterable[Change]) -> set[str]:
    """The sinks that a plan writes to, or removes something from."""
    found: set[str] = set()
    for change in changes:
        match change:
            case Publish(sinks=sinks):
                found.update(sinks)
            case RemoveRecord(sink=sink):
                found.add(sink)
            case _:
                pass
    return found


def note_claims(desired: DesiredState, snapshot: Snapshot, held_up: Collection[str]) -> Iterator[Note]:
    """Live keys that bear this stack's marker and are not counted as its own; not those that hold a key up."""
    claims = [
        (key, live) for key, live in find_claims(desired, snapshot, own_keys(desired, snapshot)) if key not in held_up
    ]
    for key, live in claims[:MOST_TOLD]:
        sentence = f"the live key {live.name} is neither changed nor deleted: {describe_claim(live)}"
        yield Note("marker_is_not_borne_out", f"key.{key}", f"{sentence}; {WAY_OUT_OF_CLAIM}")
    if len(claims) > MOST_TOLD:
        sentence = f"so are {len(claims) - MOST_TOLD} more live keys with markers of this stack that nothing bears out"
        yield Note("marker_is_not_borne_out", f"key.{claims[MOST_TOLD][0]}", sentence)


def order_changes(verdicts: Sequence[Verdict], bindings: BindingPlan) -> Iterator[Change]:
    """Every change, in the order of an apply: nothing is taken away before what replaces it is in place."""
    yield from create(verdicts)
    yield from bind(verdicts, bindings)
    yield from describe(verdicts)
    touched = Touched(bindings)
    yield from prove(verdicts, touched)
    yield from publish(verdicts, touched)
    yield from unbind(verdicts, bindings)
    yield from remove_records(verdicts, touched)
    yield from delete(verdicts, touched)


def create(verdicts: Iterable[Verdict]) -> Iterator[Change]:
    """New generations, marked pending."""
    for verdict in verdicts:
        key, successor = verdict.case.desired, verdict.successor
        if key is None or successor is None:
            continue
        newest = verdict.case.newest_in_use
        diff = [FieldDiff("generation", newest.name if newest else None, successor.live_name)]
        if newest is None or newest.live.text != key.description:
            diff.append(FieldDiff("description", newest.live.text if newest else None, key.description))
        if newest is None or newest.live.expires_at != successor.expires_at:
            live = instant(newest.live.expires_at) if newest else None
            diff.append(FieldDiff("expires_at", live, instant(successor.expires_at)))
        yield CreateGeneration(
            address=verdict.case.address,
            action=verdict.action,
            reason=successor.reason,
            diff=tuple(diff),
            live_name=successor.live_name,
            text=key.description,
            ownership=owner_of(verdict, successor, Phase.PENDING),
            expires_at=successor.expires_at,
        )


def owner_of(verdict: Verdict, successor: Successor, phase: Phase) -> Ownership:
    """The marker of a generation to be made."""
    case = verdict.case
    protected = case.desired is not None and case.desired.prevent_destroy
    return Ownership(case.stack, case.name, successor.generation, phase, case.now, protected)


def bind(verdicts: Iterable[Verdict], bindings: BindingPlan) -> Iterator[Change]:
    """One write per endpoint with everything that it gains."""
    successors = {verdict.successor.live_name for verdict in verdicts if verdict.successor}
    for rebinding in bindings.rebindings:
        if rebinding.gains:
            created = [f"create:{link.live_name}" for link in rebinding.gains if link.live_name in successors]
            yield Bind(
                address=str(rebinding.endpoint.ref),
                action=Action.UPDATE,
                reason=_first_reason(rebinding.gains),
                depends_on=tuple(created),
                endpoint=rebinding.endpoint.ref,
                links=rebinding.gains,
                stays=rebinding.present,
            )


def describe(verdicts: Iterable[Verdict]) -> Iterator[Change]:
    """Descriptions and markers of live keys; what is replaced is marked only once its successor exists.

    Not so what leaked: even if no successor can be made now, every later apply is to know that it has to be cut.
    """
    for verdict in verdicts:
        for rewriting in verdict.rewritings:
            waits = verdict.successor is not None and rewriting.ownership.phase is not Phase.REVOKED
            yield Describe(
                address=verdict.case.address,
                action=verdict.action,
                reason=rewriting.reason,
                diff=rewriting.diff,
                depends_on=(f"create:{verdict.successor.live_name}",) if verdict.successor and waits else (),
                live_name=rewriting.live.name,
                text=rewriting.text,
                ownership=rewriting.ownership,
            )


def prove(verdicts: Iterable[Verdict], touched: Touched) -> Iterator[Change]:
    """New secrets are tried where they open something, before anybody gets them, if the file says so."""
    for verdict in verdicts:
        if verdict.case.desired is not None and verdict.successor is not None and _is_proven(verdict):
            yield Prove(
                address=verdict.case.address,
                action=verdict.action,
                reason=verdict.successor.reason,
                depends_on=(
                    f"create:{verdict.successor.live_name}",
                    *touched.binds[verdict.successor.live_name],
                ),
                live_name=verdict.successor.live_name,
                key=verdict.case.name,
                endpoints=tuple(sorted(verdict.case.desired.endpoints)),
            )


def _is_proven(verdict: Verdict) -> bool:
    key = verdict.case.desired
    return key is not None and key.prove and bool(key.endpoints)


def publish(verdicts: Iterable[Verdict], touched: Touched) -> Iterator[Change]:
    """The new generations' secrets into their sinks, once they open all that they are to open."""
    for verdict in verdicts:
        key, successor = verdict.case.desired, verdict.successor
        if key is None or successor is None:
            continue
        yield Publish(
            address=verdict.case.address,
            action=verdict.action,
            reason=successor.reason,
            depends_on=(
                f"create:{successor.live_name}",
                *(f"describe:{rewriting.live.name}" for rewriting in verdict.rewritings),
                *touched.binds[successor.live_name],
                *([f"prove:{successor.live_name}"] if _is_proven(verdict) else []),
            ),
            live_name=successor.live_name,
            text=key.description,
            ownership=owner_of(verdict, successor, Phase.PUBLISHED),
            sinks=key.sinks,
        )


def unbind(verdicts: Sequence[Verdict], bindings: BindingPlan) -> Iterator[Change]:
    """One write per endpoint with everything that it loses, after what replaces it is bound and published."""
    successors = {verdict.case.name: verdict.successor.live_name for verdict in verdicts if verdict.successor}
    for rebinding in bindings.rebindings:
        if not rebinding.losses and not rebinding.opens:
            continue
        published = dict.fromkeys(
            f"publish:{successors[link.key]}" for link in rebinding.losses if link.key in successors
        )
        yield Unbind(
            address=str(rebinding.endpoint.ref),
            action=Action.UPDATE,
            reason=_first_reason(rebinding.losses),
            diff=rebinding.diff_of_opening,
            depends_on=(*([f"bind:{rebinding.endpoint.ref}"] if rebinding.gains else []), *published),
            endpoint=rebinding.endpoint.ref,
            links=rebinding.losses,
            stays=rebinding.stays,
            opens=rebinding.opens,
        )


def remove_records(verdicts: Iterable[Verdict], touched: Touched) -> Iterator[Change]:
    """A removed key's record goes after its bindings and before its live key, so that a record never outlives a key."""
    for verdict in verdicts:
        unbinds = [change for name in _going(verdict) for change in touched.unbinds[name]]
        for sink, reason in (verdict.obsolete_records or {}).items():
            yield RemoveRecord(
                address=verdict.case.address,
                action=verdict.action,
                reason=reason,
                depends_on=(
                    *([f"publish:{verdict.successor.live_name}"] if verdict.successor else []),
                    *(dict.fromkeys(unbinds) if verdict.case.desired is None else []),
                ),
                sink=sink,
                key=verdict.case.name,
                record=verdict.case.records.get(sink),
            )


def delete(verdicts: Iterable[Verdict], touched: Touched) -> Iterator[Change]:
    """Live keys that are bound nowhere any more."""
    for verdict in verdicts:
        records = (
            [f"remove-record:{sink}/{verdict.case.name}" for sink in verdict.obsolete_records or {}]
            if verdict.case.desired is None
            else []
        )
        for ruling in verdict.rulings:
            if ruling.fate not in GOING:
                continue
            waits_for_successor = verdict.successor is not None and ruling.fate is not Fate.DISCARD
            yield DeleteKey(
                address=verdict.case.address,
                action=verdict.action,
                reason=ruling.reason,
                diff=(FieldDiff("generation", ruling.generation.name, None),),
                depends_on=(
                    *([f"publish:{verdict.successor.live_name}"] if verdict.successor and waits_for_successor else []),
                    *touched.unbinds[ruling.generation.name],
                    *records,
                ),
                live_name=ruling.generation.name,
                key=verdict.case.name,
            )


def _going(verdict: Verdict) -> list[str]:
    return [ruling.generation.name for ruling in verdict.rulings if ruling.fate in GOING]


class Touched:
    """Which binds and unbinds concern a live name, by id, so that a thousand keys do not each search every endpoint."""

    def __init__(self, bindings: BindingPlan) -> None:
        self.binds: dict[str, list[str]] = defaultdict(list)
        self.unbinds: dict[str, list[str]] = defaultdict(list)
        for rebinding in bindings.rebindings:
            for link in rebinding.gains:
                self.binds[link.live_name].append(f"bind:{rebinding.endpoint.ref}")
            for link in rebinding.losses:
                self.unbinds[link.live_name].append(f"unbind:{rebinding.endpoint.ref}")


def _first_reason(links: Sequence[Link]) -> Reason:
    """The reason of the whole write: its links' own, or that there are several."""
    reasons = dict.fromkeys(link.reason for link in links)
    if not reasons:
        return Reason("endpoint_is_open", "the file declares the endpoint open")
    if len(reasons) == 1:
        return next(iter(reasons))
    return Reason("several", "; ".join(reason.sentence for reason in reasons))
