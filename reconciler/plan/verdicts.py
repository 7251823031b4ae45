"""All that is to happen to one key: its generations' fates, its successor, what is written in place, or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.errors import Finding
from reconciler.model import LAST_GENERATION, DesiredKey, generation_name
from reconciler.plan.cases import KeyCase
from reconciler.plan.changes import Action, KeyRef, Note, Reason
from reconciler.plan.fates import Fate, Ruling, Successor, rule_on
from reconciler.plan.holdings import NOTHING_LOST, Holdings, find_losses
from reconciler.plan.notes import (
    expose_leak,
    expose_revival,
    expose_unproven,
    warn,
    warn_of_expiry,
    warn_of_lasting_records,
    warn_of_places,
)
from reconciler.plan.obstacles import (
    find_obstacle,
    find_unwritable,
    hold_up_by,
    hold_up_by_attempts,
    hold_up_by_record,
    refuse_adoption,
    refuse_last_number,
    refuse_past_expiry,
    refuse_protected,
    refuse_taken_name,
)
from reconciler.plan.rules import expiry_of_successor, find_cause
from reconciler.plan.updates import Copying, KeyWriting, plan_copying, plan_writings


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that is to happen to one key. `obsolete_records` are the sinks whose record of it is to be removed.

    `losses` is where the newest secret that was published is, for a key whose next generation replaces it.
    """

    case: KeyCase
    action: Action
    rulings: tuple[Ruling, ...] = ()
    successor: Successor | None = None
    writings: tuple[KeyWriting, ...] = ()
    copying: Copying | None = None
    losses: Holdings = NOTHING_LOST
    obsolete_records: Mapping[str, Reason] = field(default_factory=dict)
    refusals: tuple[Finding, ...] = ()
    exposures: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()
    expiring: tuple[Note, ...] = ()
    unmet: tuple[Finding, ...] = ()

    @property
    def replaces_loss(self) -> bool:
        """Whether there would be no new generation but for a secret that is lost, or may be."""
        code = self.successor.reason.code if self.successor else ""
        return code in ("secret_is_not_in_sink", "publication_is_uncertain")

    @property
    def going(self) -> tuple[Ruling, ...]:
        """The generations whose live keys are deleted."""
        return tuple(ruling for ruling in self.rulings if ruling.goes)


def judge(case: KeyCase) -> Verdict:
    """Decide about one key."""
    if case.is_set_aside:
        return keep(case, Reason("key_is_not_asked_for", "only the keys that are asked for change"))
    if finding := hold_up_by_record(case):
        return hold_up(case, finding)
    if case.desired is None:
        return judge_removed(case)
    if obstacle := find_obstacle(case):
        return hold_up(case, hold_up_by(case.desired, obstacle))
    return judge_declared(case, case.desired)


def keep(case: KeyCase, reason: Reason) -> Verdict:
    """Leave all generations of a key as they are, and where they are."""
    return Verdict(case, Action.UPDATE, tuple(Ruling(generation, Fate.KEEP, reason) for generation in case.generations))


def hold_up(case: KeyCase, finding: Finding) -> Verdict:
    """Leave one key as it is until a person has looked; the others go on."""
    kept = keep(case, Reason("key_is_held_up", "a person has to look at it first"))
    return Verdict(case, Action.UPDATE, kept.rulings, unmet=(finding,))


def judge_removed(case: KeyCase) -> Verdict:
    """The file does not declare the key: everything of it goes, sink records before live keys."""
    gone = Reason("key_is_not_declared", "it is no longer declared")
    sinks = {*case.records, *case.facts.unreadable_sinks} if case.generations else set(case.records)
    lasting = case.facts.lasting_sinks
    return Verdict(
        case,
        Action.DELETE,
        rulings=tuple(Ruling(generation, Fate.REMOVE, gone) for generation in case.generations),
        obsolete_records=dict.fromkeys(sorted(sinks - lasting), gone),
        refusals=tuple(refuse_protected(case)),
        exposures=tuple(expose_unproven(case)),
        warnings=tuple(warn_of_lasting_records(case, sorted(sinks & lasting))),
    )


def judge_declared(case: KeyCase, key: DesiredKey) -> Verdict:
    """The file declares the key: adopt, repair, replace, retire, or leave alone."""
    if refused := tuple(refuse_adoption(case, key)):
        return Verdict(case, Action.UPDATE, refusals=refused)
    newest, cause = case.newest_in_use, find_cause(case)
    action = (cause.action if cause else None) or Action.UPDATE
    if cause and cause.action and (finding := hold_up_by_attempts(case, key)):
        return hold_up(case, finding)
    successor = choose_successor(case, key, cause.reason) if cause and cause.action else None
    if successor is not None and successor.generation > LAST_GENERATION:
        return Verdict(case, Action.UPDATE, refusals=(refuse_last_number(case, key),))
    rulings = tuple(rule_on(case, key, generation, newest, successor) for generation in case.generations)
    writings = tuple(plan_writings(case, key, rulings, newest, successor))
    if unwritable := find_unwritable(key, writings):
        return hold_up(case, unwritable)
    return Verdict(
        case,
        action,
        rulings=rulings,
        successor=successor,
        writings=writings,
        copying=plan_copying(case, key, newest) if newest and not cause else None,
        losses=find_losses(case, key) if successor else NOTHING_LOST,
        obsolete_records={
            sink: Reason("sink_is_not_declared", f"the key no longer names sink {sink}")
            for sink in sorted(set(case.records) - set(key.sinks))
        },
        refusals=(
            *refuse_taken_name(case, key, successor),
            *refuse_past_expiry(case, key, successor, writings),
        ),
        exposures=(*expose_leak(case, rulings, successor), *expose_revival(case, writings)),
        warnings=(*warn(case, newest, rulings, successor), *warn_of_places(case, key)),
        expiring=tuple(warn_of_expiry(case, key, newest)) if newest and successor is None else (),
    )


def choose_successor(case: KeyCase, key: DesiredKey, reason: Reason) -> Successor:
    """The next free generation number; a numbered name that someone else holds is passed over."""
    number = 1 + max((generation.number for generation in case.generations), default=0)
    while number > 1 and generation_name(case.name, number) in case.facts.by_name:
        number += 1
    live = KeyRef(generation_name(case.name, number))
    return Successor(live, number, expiry_of_successor(case, key), reason)
