"""Everything that happens to one key: its generations' fates, its successor, updates in place, or why nothing does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from reconciler.errors import Finding
from reconciler.model import LAST_GENERATION, DesiredKey, EndpointRef, generation_name, number_in_name
from reconciler.plan.cases import KeyCase
from reconciler.plan.changes import Action, Destroy, KeyRef, Note, Reason
from reconciler.plan.fates import Fate, Ruling, Successor, rule_on
from reconciler.plan.holdings import NOTHING_LOST, Holdings, describe_deleted, find_deleted, find_losses
from reconciler.plan.leftovers import explain_old, find_unretired
from reconciler.plan.notes import (
    expose_leak,
    expose_revival,
    expose_unproven,
    warn,
    warn_of_adoption,
    warn_of_expiry,
    warn_of_foreign_records,
    warn_of_lasting_records,
    warn_of_lookalikes,
    warn_of_places,
)
from reconciler.plan.obstacles import (
    explain_kept_record,
    explain_last_number,
    explain_uncut,
    explain_unwritable,
    find_doubtful,
    find_long_text,
    find_missing,
    find_obstacles,
    find_obstacles_to_another,
    find_obstacles_to_removal,
    find_past_expiry,
    find_taken_name,
    find_uncut,
    hold_up_by_unseen,
    is_released_by,
    is_writable,
    refuse_protected,
)
from reconciler.plan.owners import record_is_of
from reconciler.plan.rules import expiry_of_successor, find_cause
from reconciler.plan.updates import Copying, KeyWriting, mark_revoked, plan_copying, plan_writings

CUT_NOW = "to revoke the leaked secret first, remove the key from the file and apply"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything that happens to one key. `obsolete_records` are the sinks whose record of it is removed.

    `losses` is where the newest published secret is, for a key whose next generation replaces it. `opens` is what it
    should open once the plan is done; with `keeps_bindings`, each generation that stays also opens what it does now.
    `unmet` is what a person has to look at; `is_held_up`: until then nothing of the key changes, except that a leaked
    secret is marked.
    """

    case: KeyCase
    action: Action
    rulings: tuple[Ruling, ...] = ()
    successor: Successor | None = None
    writings: tuple[KeyWriting, ...] = ()
    copying: Copying | None = None
    losses: Holdings = NOTHING_LOST
    opens: frozenset[EndpointRef] = frozenset()
    keeps_bindings: bool = False
    obsolete_records: Mapping[str, Reason] = field(default_factory=dict)
    refusals: tuple[Finding, ...] = ()
    exposures: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()
    expiring: tuple[Note, ...] = ()
    unmet: tuple[Finding, ...] = ()
    is_held_up: bool = False
    heir: Verdict | None = None
    """For a key that another one replaces: what happens to that one."""
    released_records: Mapping[str, Reason] = field(default_factory=dict)
    """The sinks whose record of it is released; the secret stays there."""

    @property
    def replaces_loss(self) -> bool:
        """Whether there would be no new generation but for a secret that is lost, or may be."""
        code = self.successor.reason.code if self.successor else ""
        return code in ("secret_is_not_in_sink", "publication_is_uncertain")

    @property
    def going(self) -> tuple[Ruling, ...]:
        """The generations whose live keys are deleted."""
        return tuple(ruling for ruling in self.rulings if ruling.goes)


def judge(case: KeyCase, *, stays_at: frozenset[EndpointRef] = frozenset(), is_stopped: bool = False) -> Verdict:
    """Decide about one key; for what endpoints need of it, see `bindings.Holds`.

    `stays_at` are endpoints that it still opens although the file no longer says so; `is_stopped`: nothing of it may
    change.
    """
    if case.is_set_aside:
        return keep(case, Reason("key_is_not_asked_for", "it was not named on the command line"))
    if case.desired is None:
        found = tuple(find_obstacles_to_removal(case))
        return hold_up(case, found) if found or is_stopped else judge_removed(case)
    found = tuple(find_obstacles(case, case.desired))
    return hold_up(case, found) if found or is_stopped else judge_declared(case, case.desired, stays_at)


def keep(case: KeyCase, reason: Reason) -> Verdict:
    """Leave all generations of a key as they are, and where they are."""
    return Verdict(case, Action.UPDATE, tuple(Ruling(generation, Fate.KEEP, reason) for generation in case.generations))


def hold_up(case: KeyCase, findings: tuple[Finding, ...]) -> Verdict:
    """Leave one key as it is until a person has looked; the others continue.

    A leak is at least marked, so that every later apply knows to cut it.
    """
    kept = replace(keep(case, Reason("key_is_held_up", "it is held up")), unmet=findings, is_held_up=True)
    if case.desired is None or not case.is_urgent:
        return kept
    told = (replace(each, way_out="; ".join(filter(None, (each.way_out.rstrip(". "), CUT_NOW)))) for each in findings)
    marks = (writing for writing in mark_revoked(case, case.desired, kept.rulings) if is_writable(writing))
    exposed = expose_leak(case, kept.rulings, None, is_held_up=True)
    return replace(kept, writings=tuple(marks), exposures=tuple(exposed), unmet=tuple(told))


def judge_removed(case: KeyCase) -> Verdict:
    """The file does not declare the key: everything of it goes, sink records before live keys."""
    gone = explain_removal(case)
    sinks = {*case.records, *case.facts.unreadable_sinks} if case.generations else set(case.records)
    lasting, uncut = case.facts.lasting_sinks, find_doubtful(case)
    sinks -= {sink for sink, record in case.records.items() if any(record_is_of(record, live) for live in uncut)}
    released = [live for live in case.lookalikes if is_released_by(case.stack, live)]
    let_go = {sink for sink, record in case.records.items() if any(record_is_of(record, live) for live in released)}
    sinks -= let_go
    return Verdict(
        case,
        Action.DELETE,
        rulings=tuple(Ruling(generation, Fate.REMOVE, gone) for generation in case.generations),
        obsolete_records=dict.fromkeys(sorted(sinks - lasting - case.facts.unwritable.get(case.name, {}).keys()), gone),
        released_records=dict.fromkeys(sorted(let_go - case.facts.unwritable.get(case.name, {}).keys()), gone),
        refusals=tuple(refuse_protected(case)),
        exposures=tuple(expose_unproven(case)),
        warnings=(*warn_of_lasting_records(case, sorted(sinks & lasting)), *warn_of_foreign_records(case)),
        unmet=(
            *hold_up_by_unseen(case),
            *(explain_uncut(case, live) for live in uncut),
            *explain_old(case, find_unretired(case)),
        ),
    )


def explain_removal(case: KeyCase) -> Reason:
    """Why a key goes, and what is left of it where somebody deleted its live key already."""
    why, deleted = "is no longer declared", None if case.generations else find_deleted(case)
    if isinstance(case.facts.demand, Destroy):
        why = "is destroyed with its stack"
    if deleted is not None:
        return Reason("key_is_not_declared", f"{why}, and {describe_deleted(case, deleted)}")
    return Reason("key_is_not_declared", why)


def judge_declared(case: KeyCase, key: DesiredKey, stays_at: frozenset[EndpointRef]) -> Verdict:
    """The file declares the key: adopt, repair, replace, retire, or leave alone."""
    newest, cause = case.newest_in_use, find_cause(case)
    action = (cause.action if cause else None) or Action.UPDATE
    if cause and cause.action and (found := tuple(find_obstacles_to_another(case, key, cause.reason))):
        return hold_up(case, found)
    successor = choose_successor(case, key, cause.reason) if cause and cause.action else None
    if successor is not None and successor.generation > LAST_GENERATION:
        return hold_up(case, (explain_last_number(case, key),))
    rulings = tuple(rule_on(case, key, generation, newest, successor) for generation in case.generations)
    writings = tuple(plan_writings(case, key, rulings, newest, successor))
    unwritable = tuple(explain_unwritable(case, writing) for writing in writings if not is_writable(writing))
    in_the_way = (
        *(() if case.is_urgent else unwritable),
        *find_taken_name(case, key, successor),
        *find_past_expiry(case, key, successor, writings),
        *find_long_text(case, key, successor),
    )
    if in_the_way:
        return hold_up(case, in_the_way)
    # A missing or misspelt endpoint may mean one that the key is bound to: it stays bound everywhere.
    missing = find_missing(case, key)
    uncut = find_uncut(case)
    unretired = [live for live in find_unretired(case) if live not in uncut]
    left = {live.id for live in (*uncut, *unretired)}
    kept = newest.bound_to if newest and missing else frozenset[EndpointRef]()
    return Verdict(
        case,
        action,
        rulings=rulings,
        successor=successor,
        writings=tuple(filter(is_writable, writings)),
        copying=plan_copying(case, key, newest) if newest and not cause else None,
        losses=find_losses(case, key) if successor else NOTHING_LOST,
        opens=(key.endpoints - case.facts.unusable.keys()) | kept | stays_at,
        keeps_bindings=bool(missing),
        obsolete_records={
            sink: Reason("sink_is_not_declared", f"the key no longer names sink {sink}")
            for sink in sorted(set(case.records) - set(key.sinks) - case.facts.unwritable.get(case.name, {}).keys())
        },
        exposures=(*expose_leak(case, rulings, successor), *expose_revival(case, writings)),
        warnings=(
            *warn(case, newest, rulings, successor),
            *warn_of_adoption(case, key, successor),
            *warn_of_lookalikes(case, [live for live in case.lookalikes if live.id not in left]),
            *warn_of_places(case, key),
        ),
        expiring=tuple(warn_of_expiry(case, key, newest)) if newest and successor is None else (),
        unmet=(
            *unwritable,
            *explain_kept_record(case, key),
            *(explain_uncut(case, live) for live in uncut),
            *explain_old(case, unretired),
            *(Finding(place.where, place.path, trouble.message, trouble.way_out) for _, place, trouble in missing),
        ),
    )


def choose_successor(case: KeyCase, key: DesiredKey, reason: Reason) -> Successor:
    """The next free generation number; skips a numbered name that another owner holds."""
    number = 1 + max((generation.number for generation in case.generations), default=0)
    # A live key that may be a generation of a revoked key must not seem newer because of its number.
    for doubtful in find_doubtful(case) if case.is_urgent and not case.generations else ():
        beyond = 1 + (number_in_name(case.name, doubtful.name) or 0)
        number = max(number, beyond) if beyond < LAST_GENERATION else number
    while number > 1 and generation_name(case.name, number) in case.facts.by_name:
        number += 1
    live = KeyRef(generation_name(case.name, number))
    return Successor(live, number, expiry_of_successor(case, key), reason)
