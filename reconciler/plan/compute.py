"""From (desired, snapshot, now) to the plan: gather, judge, compare, order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.errors import Finding
from reconciler.model import Auth, DesiredKey, DesiredState, LockKind, LockSettings, Safety, Snapshot
from reconciler.plan.bindings import BindingPlan, Holds, plan_bindings
from reconciler.plan.cases import MOST_TOLD, Facts, KeyCase, gather_cases, gather_facts
from reconciler.plan.changes import (
    EVERYTHING,
    Change,
    Copy,
    Demand,
    Destination,
    Destroy,
    Note,
    Plan,
    Publish,
    RemoveRecord,
    Rotate,
    Selection,
)
from reconciler.plan.drift import find_drift
from reconciler.plan.expectations import describe_expected
from reconciler.plan.exposures import (
    STANDING_EXPOSURES,
    expose_access,
    expose_lost_protection,
    expose_places,
    in_order_of_danger,
)
from reconciler.plan.leftovers import explain_old, find_left_claims, find_old, find_unretired
from reconciler.plan.moving import (
    expose_takeovers,
    judge_forgotten,
    judge_moved,
    note_done,
    refuse_partial_rename,
    refuse_unproven_rename,
)
from reconciler.plan.notes import NEUTRAL
from reconciler.plan.obstacles import describe_claim, find_doubtful, way_out_of_claim
from reconciler.plan.ordering import order_changes
from reconciler.plan.owners import find_claims
from reconciler.plan.policies import add_policies
from reconciler.plan.resources import describe_resources
from reconciler.plan.rotation import resolve_demand
from reconciler.plan.safety import check_safety
from reconciler.plan.selection import find_unmatched, narrow_endpoints, refuse_renamed_in_part, without_unmatched
from reconciler.plan.verdicts import Verdict, judge


def compute_plan(
    desired: DesiredState,
    snapshot: Snapshot,
    now: datetime,
    demand: Demand | None = None,
    selection: Selection = EVERYTHING,
) -> Plan:
    """The plan that changes the live state to the desired one; deterministic to the byte, and without secrets.

    With `Rotate`, the keys that it asks for are rotated, and everything else stays as it is, including endpoints' own
    settings. With `Destroy`, everything that the stack owns is removed. Keys that the `selection` leaves out stay as
    they are.
    """
    whole = desired
    demand, found = (resolved := resolve_demand(desired, snapshot, now, demand)).demand, resolved.notes
    desired = narrow(desired, demand)
    facts = narrow_endpoints(gather_facts(desired, snapshot, now, demand, selection))
    verdicts, bindings = decide(facts)
    told = {verdict.case.name for verdict in verdicts if verdict.unmet}
    cases = [verdict.case for verdict in verdicts]
    old = {live.id for case in cases for live in find_unretired(case)}
    left = [] if isinstance(demand, Rotate) else list(find_left_claims(facts, cases, told))
    refusals = (
        *check_safety(facts, verdicts),
        *((*refuse_unproven_rename(facts), *refuse_partial_rename(facts)) if demand is None else ()),
        *find_unmatched(selection, cases),
        *refuse_renamed_in_part(facts),
        *(finding for verdict in verdicts for finding in verdict.refusals),
    )
    unmet = (
        *(finding for verdict in verdicts for finding in verdict.unmet),
        *bindings.unmet,
        *(find_left(whole, facts, old) if isinstance(demand, Destroy) else ()),
        *(finding for _, finding in left),
    )
    exposures = (
        *(expose_takeovers(facts) if demand is None else ()),
        *(note for verdict in verdicts for note in verdict.exposures),
        *bindings.exposures,
        *expose_access(facts, verdicts, bindings),
        *expose_places(facts, verdicts),
        *expose_lost_protection(verdicts),
    )
    changes = tuple(order_changes(verdicts, bindings))
    written = sorted(sinks_written(changes) & set(snapshot.sinks))
    named = {*written, *(sink for key in desired.keys for sink in key.sinks)}
    notes = (*(note for verdict in verdicts for note in verdict.warnings), *bindings.warnings)
    resources = describe_resources(facts, verdicts, bindings)
    drift = find_drift(facts, verdicts, bindings, resources, is_refused=bool(refusals))
    resources, drifted = add_policies(whole, snapshot, resources, drift.proven)
    repairs = tuple(find_repairs(snapshot))
    touched = {name: each for name, each in sorted(snapshot.sinks.items()) if name in written or each.repairs}
    return Plan(
        stack=desired.stack,
        project=desired.project,
        made_at=now,
        changes=changes,
        refusals=refusals,
        exposures=in_order_of_danger(
            # A refused plan changes nothing: only exposures that already exist are worth reporting.
            *(note for note in exposures if not refusals or note.code in STANDING_EXPOSURES),
            *(
                Note("sink_is_exposed", f"sink.{name}", contents.exposure)
                for name, contents in ({} if refusals else touched).items()
                if contents.exposure
            ),
        ),
        warnings=(
            *found,
            *(note for note in notes if note.code not in NEUTRAL),
            *note_broken_sinks(facts, unmet),
            *(
                Note("sink_is_out_of_reach", f"sink.{name}", contents.warning)
                for name, contents in touched.items()
                if contents.warning
            ),
            *note_claims(facts, told, {live_id for live_id, _ in left}),
            *(note_done(facts) if demand is None and not selection else ()),
        ),
        expiring=tuple(note for verdict in verdicts for note in verdict.expiring),
        unmet=unmet,
        held_up=tuple(verdict.case.name for verdict in verdicts if verdict.is_held_up),
        destinations=tuple(
            Destination(name, contents.destination, contents.readable)
            for name, contents in sorted(snapshot.sinks.items())
            if contents.destination and name in named
        ),
        lock=describe_lock(desired.lock),
        keeps=bindings.keeps,
        key_count=len(desired.keys),
        renames=tuple((verdict.case.name, verdict.case.heir) for verdict in verdicts if verdict.case.heir),
        repairs=repairs,
        notes=tuple(note for note in notes if note.code in NEUTRAL),
        resources=resources,
        drift=drifted,
        unproven=drift.unproven,
        selection=selection,
        expects=describe_expected(facts, verdicts, bindings),
    )


def find_repairs(snapshot: Snapshot) -> Iterator[Note]:
    """What is not as it should be in the sinks although no secret is lost."""
    for name, contents in sorted(snapshot.sinks.items()):
        for repair in contents.repairs:
            yield Note(repair.code, f"sink.{name}", repair.sentence)


def decide(facts: Facts) -> tuple[list[Verdict], BindingPlan]:
    """What happens to each key, and to each endpoint.

    A key that has to stay where it is may change what another endpoint gains. So everything is decided again until
    endpoints hold up nothing more; each round holds up more than the one before.
    """
    cases, holds = gather_cases(facts), Holds()
    while True:
        verdicts = judge_all(cases, holds)
        bindings = plan_bindings(facts, verdicts, holds)
        if not bindings.conflicts:
            return verdicts, bindings
        for conflict in bindings.conflicts:
            holds = holds.with_conflict(conflict)


def judge_all(cases: Sequence[KeyCase], holds: Holds) -> list[Verdict]:
    """What happens to each key; for one that was renamed, by what happens to the key that replaces it."""
    found: dict[str, Verdict] = {}
    for case in sorted(cases, key=lambda case: bool(case.heir)):
        stays_at, is_stopped = holds.stays_at.get(case.name, frozenset()), case.name in holds.stopped
        if case.heir:
            found[case.name] = judge_moved(case, found[case.heir], stays_at=stays_at, is_stopped=is_stopped)
        elif case.desired is None and case.name in case.facts.forgotten:
            found[case.name] = judge_forgotten(case, is_stopped=is_stopped)
        else:
            found[case.name] = judge(case, stays_at=stays_at, is_stopped=is_stopped)
    return [found[case.name] for case in cases]


def choose_of(desired: DesiredState, snapshot: Snapshot, now: datetime, selection: Selection) -> Selection | None:
    """What a selection that was made for another version of the file chooses of this one; None if that is nothing."""
    cases = gather_cases(gather_facts(desired, snapshot, now))
    return without_unmatched(selection, [case.name for case in cases])


def find_held_up(desired: DesiredState, snapshot: Snapshot, now: datetime) -> tuple[Finding, ...]:
    """Why declared keys that are live are held up, so that nothing of them is rotated when it is due."""
    verdicts, bindings = decide(gather_facts(desired, snapshot, now))
    held_up = [each for each in verdicts if each.is_held_up and each.case.desired and each.case.generations]
    by_endpoints = bindings.holding if any(not verdict.unmet for verdict in held_up) else ()
    return (*(finding for verdict in held_up for finding in verdict.unmet), *by_endpoints)


def note_broken_sinks(facts: Facts, unmet: Sequence[Finding]) -> Iterator[Note]:
    """Sinks that could not be read, and hold up no key."""
    for name, trouble in sorted(facts.broken.items()):
        if not any(trouble.message in finding.message for finding in unmet):
            yield Note("sink_is_not_read", f"sink.{name}", f"{trouble.message}: its contents are unknown")


def find_left(whole: DesiredState, facts: Facts, told: Collection[str]) -> Iterator[Finding]:
    """What `destroy` leaves although it may be the stack's: the file says which keys there were.

    `told` are the ids of live keys that are reported already.
    """
    yield from find_foreign_records(whole.keys, facts)
    for case in gather_cases(gather_facts(whole, facts.snapshot, facts.now)):
        doubtful = [live for live in find_doubtful(case) if not live.marked_by and case.name not in facts.records]
        left = [live for live in (*doubtful, *find_old(case)) if live.id not in told]
        yield from explain_old(case, left)


def find_foreign_records(keys: Iterable[DesiredKey], facts: Facts) -> Iterator[Finding]:
    """Other owners' records in the places of the file's keys: not even `destroy` removes them."""
    for key in keys:
        for sink, trouble in sorted(facts.foreign.get(key.name, {}).items()):
            if sink in key.sinks:
                path = key.place.path or f"keys.{key.name}"
                message = f"its record in sink {sink} is not removed: {trouble.message}"
                yield Finding(key.place.where, path, message, trouble.way_out)


def narrow(desired: DesiredState, demand: Demand | None) -> DesiredState:
    """The part of the file that counts for the demand; the owners of the live keys do not change by that."""
    match demand:
        case None:
            return desired
        case Rotate(keys=names):
            return desired.with_keys(tuple(key for key in desired.keys if key.name in names), ())
        case Destroy():
            open_ones = tuple(endpoint for endpoint in desired.endpoints if endpoint.auth is Auth.OPEN)
            own = tuple(move for move in desired.moves if not move.stack)  # what another stack owns is not deleted
            return replace(desired.with_keys((), open_ones), moves=own, safety=Safety(None, allow_empty=True))


def describe_lock(lock: LockSettings) -> str:
    """What keeps two applies apart, if it is not the API's own lock."""
    match lock.kind:
        case LockKind.API:
            return ""
        case LockKind.FILE:
            return f"the file {lock.path}; it does not protect lists of keys that other stacks share"
        case LockKind.NONE:
            return "none: two applies can run at the same time"


def sinks_written(changes: Iterable[Change]) -> set[str]:
    """The sinks that a plan writes to, or removes something from."""
    found: set[str] = set()
    for change in changes:
        match change:
            case Publish(sinks=sinks) | Copy(sinks=sinks):
                found.update(sinks)
            case RemoveRecord(sink=sink):
                found.add(sink)
            case _:
                pass
    return found


def note_claims(facts: Facts, held_up: Collection[str], told: Collection[str]) -> Iterator[Note]:
    """Live keys with markers of this stack that nothing confirms; not those that hold a key up, or are `told`."""
    found = find_claims(facts.desired, facts.snapshot, facts.own)
    claims = [(key, live) for key, live in found if key not in held_up and live.id not in told and facts.selects(key)]
    for key, live in claims[:MOST_TOLD]:
        sentence = f"the live key {live.name} is neither changed nor deleted: {describe_claim(live)}"
        yield Note("marker_is_not_borne_out", f"key.{key}", f"{sentence}; {way_out_of_claim(live)}")
    if len(claims) > MOST_TOLD:
        sentence = f"{len(claims) - MOST_TOLD} more live keys have an unverified marker of this stack"
        yield Note("marker_is_not_borne_out", f"key.{claims[MOST_TOLD][0]}", sentence)
