"""From (desired, snapshot, now) to the plan: gather, judge, compare, order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from reconciler.model import Auth, DesiredState, LockKind, LockSettings, Safety, Snapshot
from reconciler.plan.bindings import plan_bindings
from reconciler.plan.cases import MOST_TOLD, Facts, find_claims, gather_cases, gather_facts
from reconciler.plan.changes import (
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
)
from reconciler.plan.obstacles import WAY_OUT_OF_CLAIM, describe_claim
from reconciler.plan.ordering import order_changes
from reconciler.plan.safety import check_safety
from reconciler.plan.verdicts import judge


def compute_plan(desired: DesiredState, snapshot: Snapshot, now: datetime, demand: Demand | None = None) -> Plan:
    """The plan that takes what is live to what is desired; deterministic to the byte, and without secrets.

    With `Rotate`, the keys that it names are rotated, and all else stays as it is, endpoints' own settings too. With
    `Destroy`, everything that the stack owns goes.
    """
    desired = narrow(desired, demand)
    facts = gather_facts(desired, snapshot, now, demand)
    verdicts = [judge(case) for case in gather_cases(facts)]
    bindings = plan_bindings(facts, verdicts)
    refusals = (
        *check_safety(facts, verdicts),
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
            *note_claims(facts, {verdict.case.name for verdict in verdicts if verdict.unmet}),
        ),
        expiring=tuple(note for verdict in verdicts for note in verdict.expiring),
        unmet=(*(finding for verdict in verdicts for finding in verdict.unmet), *bindings.unmet),
        destinations=tuple(
            Destination(name, contents.destination, contents.readable)
            for name, contents in sorted(snapshot.sinks.items())
            if contents.destination and name in named
        ),
        lock=describe_lock(desired.lock),
        keeps=bindings.keeps,
        key_count=len(desired.keys),
    )


def narrow(desired: DesiredState, demand: Demand | None) -> DesiredState:
    """What the file says as far as the demand lets it count; whose the live keys are does not change by that."""
    match demand:
        case None:
            return desired
        case Rotate(keys=names):
            return desired.with_keys(tuple(key for key in desired.keys if key.name in names), ())
        case Destroy():
            open_ones = tuple(endpoint for endpoint in desired.endpoints if endpoint.auth is Auth.OPEN)
            return replace(desired.with_keys((), open_ones), safety=Safety(None, allow_empty=True))


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
            case Publish(sinks=sinks) | Copy(sinks=sinks):
                found.update(sinks)
            case RemoveRecord(sink=sink):
                found.add(sink)
            case _:
                pass
    return found


def note_claims(facts: Facts, held_up: Collection[str]) -> Iterator[Note]:
    """Live keys that bear this stack's marker and are not counted as its own; not those that hold a key up."""
    found = find_claims(facts.desired, facts.snapshot, facts.own)
    claims = [(key, live) for key, live in found if key not in held_up]
    for key, live in claims[:MOST_TOLD]:
        sentence = f"the live key {live.name} is neither changed nor deleted: {describe_claim(live)}"
        yield Note("marker_is_not_borne_out", f"key.{key}", f"{sentence}; {WAY_OUT_OF_CLAIM}")
    if len(claims) > MOST_TOLD:
        sentence = f"so are {len(claims) - MOST_TOLD} more live keys with markers of this stack that nothing bears out"
        yield Note("marker_is_not_borne_out", f"key.{claims[MOST_TOLD][0]}", sentence)
