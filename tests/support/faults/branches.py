"""Recovery branches of plan and apply, each told by what a run shows: all of them have to be reached by the suite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.errors import LockHeld
from reconciler.plan.changes import CreateGeneration, DeleteKey, Step
from reconciler.plan.outcomes import Outcome, OutcomeState
from support.faults.effects import Kind
from support.faults.run import Ran

REASONS = {
    "generation_was_never_published": "a generation that was never published is discarded",
    "publication_is_unfinished": "a publication that was cut short is marked",
    "publication_is_uncertain": "a publication of unknown outcome is replaced",
    "secret_is_not_in_sink": "a secret that a sink lacks is replaced",
    "secret_is_in_another_sink": "a secret that a sink lacks is copied",
    "overlap_is_over": "a generation is retired",
}
BRANCHES = (
    *REASONS.values(),
    "a lost create is discarded within the run",
    "the next generation's name is used after a lost create",
    "a list is written again",
    "a plan that moved is applied as it is now",
    "a lock that somebody holds keeps the run out",
    "a stale lock is taken over",
    "an expired lock is swept away by a run with nothing to do",
    "a lock that was lost stops the run",
    "a task that fails is told",
    "a task that hangs is given up",
    "a step waits for one that was not done",
    "what a dead run left on the disk is tidied",
    "a key that is gone counts as deleted",
)

TASKS = ("a task that fails is told", "a task that hangs is given up")
"""What v2 has not: its writes are done when they are answered."""

MOVES = (Step.BIND, Step.UNBIND, Step.OPEN_ENDPOINT)


@dataclass(frozen=True)
class Shown:
    """What leads to a branch: a fault, or what meets a run, at effects of a scenario whose names begin with `at`."""

    scenario: str
    what: str
    at: str = ""


SHOWN_BY: dict[str, Shown] = {
    "a generation that was never published is discarded": Shown("first create", "killed after", "POST payments"),
    "a publication that was cut short is marked": Shown("first create", "killed before", "PATCH payments"),
    "a publication of unknown outcome is replaced": Shown("a write-only sink", "killed after", "keep-secret write"),
    "a secret that a sink lacks is replaced": Shown("two sinks", "killed after", "rename to"),
    "a secret that a sink lacks is copied": Shown("copy: a program joins a file", "killed after", "keep-secret"),
    "a generation is retired": Shown("expiry, with overlap", "killed before", "GET"),
    "a lost create is discarded within the run": Shown("first create", "answer lost", "POST payments"),
    "the next generation's name is used after a lost create": Shown("first create", "late by 25", "POST payments"),
    "a list is written again": Shown("first create", "answer lost", "PATCH llama3"),
    "a plan that moved is applied as it is now": Shown("first create", "a second process", "GET"),
    "a lock that somebody holds keeps the run out": Shown("first create", "broken before", "POST keyform-lock"),
    "a stale lock is taken over": Shown("first create", "killed after", "POST keyform-lock"),
    "an expired lock is swept away by a run with nothing to do": Shown(
        "first create", "killed after", "PATCH payments"
    ),
    "a lock that was lost stops the run": Shown(
        "two keys and a foreign one share a deployment", "stale", "GET keyform-lock"
    ),
    "a task that fails is told": Shown("first create", "task fails", "PATCH llama3"),
    "a task that hangs is given up": Shown("first create", "task hangs", "PATCH llama3"),
    "a step waits for one that was not done": Shown("first create", "409", "PATCH llama3"),
    "what a dead run left on the disk is tidied": Shown("first create", "EIO after", "rename to"),
    "a key that is gone counts as deleted": Shown("expiry, cut at once", "late by 25", "DELETE payments"),
}


ROTATED_IN_V2 = {
    "a write-only sink": "a rotation with a write-only sink",
    "two sinks": "a rotation with two sinks",
    "expiry, with overlap": "a rotation that is due",
    "expiry, cut at once": "a rotation, cut at once",
}
"""Where v3 replaces what v2 changes in place, the scenario that replaces it in v2."""


def show_in_v2(branch: str) -> Shown:
    """What leads there in v2, in which a write of bindings is one of a key."""
    if branch == "a list is written again":
        # An answer that is lost is none of a list that is still as it was: v2 knows no task that is under way.
        return Shown("all that a key is written with changes, v2", "broken before", "PATCH payments")
    shown = SHOWN_BY[branch]
    at = "PATCH payments" if shown.at == "PATCH llama3" else shown.at
    return Shown(f"{ROTATED_IN_V2.get(shown.scenario, shown.scenario)}, v2", shown.what, at)


SHOWN = [
    *((branch, SHOWN_BY[branch]) for branch in BRANCHES),
    *((branch, show_in_v2(branch)) for branch in BRANCHES if branch not in TASKS),
]
"""Every branch in either generation of the API, and what leads there."""


def observe(ran: Ran) -> Iterator[str]:
    """The names of the branches that a run went through; what a real process shows does not tell."""
    names = [effect.name for effect in ran.trace]
    locks = [effect.name for effect in ran.trace if effect.kind is Kind.LOCK]
    taken = [name.removeprefix("POST ") for name in locks if name.startswith("POST ")]
    if ran.plan is None:
        return
    if any(name.startswith("DELETE ") and name.removeprefix("DELETE ") not in taken for name in locks):
        swept = ran.plan.is_empty
        yield "an expired lock is swept away by a run with nothing to do" if swept else "a stale lock is taken over"
    if isinstance(ran.error, LockHeld):
        yield "a lock that somebody holds keeps the run out"
    if ran.moved:
        yield "a plan that moved is applied as it is now"
    kinds = {effect.kind for effect in ran.trace}
    if Kind.SYNC_FOLDER in kinds and Kind.CREATE_FILE not in kinds and ran.code == 0:
        yield "what a dead run left on the disk is tidied"
    for outcome in ran.result.outcomes if ran.result else ():
        yield from observe_outcome(outcome, names)
    changes = ran.result.plan.changes if ran.result else ()
    planned = {change.live.name for change in changes if isinstance(change, CreateGeneration)}
    made = {effect.name.removeprefix("POST ") for effect in ran.trace if effect.kind is Kind.CREATE}
    if made - planned and planned:
        yield "the next generation's name is used after a lost create"
    lists = {(change.endpoint, change.step is Step.BIND) for change in changes if change.step in MOVES}
    links = [(effect.name, effect.request.body) for effect in ran.trace if effect.kind is Kind.LINK and effect.request]
    if sum(effect.kind is Kind.BIND for effect in ran.trace) > len(lists) or len(set(links)) < len(links):
        yield "a list is written again"


def observe_outcome(outcome: Outcome, names: list[str]) -> Iterator[str]:
    """Those that show in what came of a change, and in the requests of its run."""
    change, is_done = outcome.change, outcome.state is OutcomeState.DONE
    if is_done and change.reason.code in REASONS:
        yield REASONS[change.reason.code]
    if "was lost: " in outcome.detail:
        yield "a lock that was lost stops the run"
    if "failed." in outcome.detail and "Task" in outcome.detail:
        yield "a task that fails is told"
    if "did not finish within" in outcome.detail:
        yield "a task that hangs is given up"
    if outcome.state is OutcomeState.SKIPPED:
        yield "a step waits for one that was not done"
    if is_done and isinstance(change, CreateGeneration) and f"DELETE {change.live.name}" in names:
        yield "a lost create is discarded within the run"
    if is_done and isinstance(change, DeleteKey) and names.count(f"DELETE {change.live.name}") != 1:
        yield "a key that is gone counts as deleted"
