"""Creating a generation: once, under a free name, and deleted again if the API created something else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import takewhile

from reconciler.api import KeyUpdate, find_unkept
from reconciler.apply.numbers import count_on
from reconciler.apply.run import Run
from reconciler.errors import ApiError, Conflict, KeyformError, PlanIsStale, QuotaReached
from reconciler.model import (
    LAST_GENERATION,
    LONGEST_TEXT,
    CreatedKey,
    LiveKey,
    Ownership,
    UnwritableDescription,
    compose_description,
    generation_name,
)
from reconciler.plan.changes import CreateGeneration

CREATES = 2
"""How many generation numbers are tried if the answer to a create is lost."""


def create(run: Run, change: CreateGeneration) -> None:
    """Create the generation, marked pending, and check that it was created as requested."""
    if change.expires_at is not None and change.expires_at <= run.api.now():
        raise PlanIsStale(f"{change.live.name} would already be expired: the plan is too old", way_out="run plan again")
    made, description = make(run, change)
    asked = KeyUpdate(description, change.expires_at, change.length)
    if unkept := find_unkept(made.key, asked, run.api.now()):
        raise take_back(run, made.key, unkept)
    run.created[change.live] = made


def make(run: Run, change: CreateGeneration) -> tuple[CreatedKey, str]:
    """Create the generation, or one with a later number; returns the key, and the description that was sent for it.

    A create is done at most once. If its answer is lost, the key that may exist is worthless, since its secret was in
    the answer: it is discarded, and the next generation number is used. If the API refuses a name that no key has,
    later numbers are tried as well.
    """
    ownership, lost = change.ownership, 0
    failure: KeyformError | None = None
    numbers = count_on(ownership.generation, run.effects.random)
    for number in takewhile(LAST_GENERATION.__ge__, numbers):
        name = change.live.name if number == ownership.generation else generation_name(ownership.key, number)
        mark = replace(ownership, generation=number, since=run.api.now()).on(name)
        description = compose(name, change.text, mark)
        try:
            return run.api.create_key(name, description, change.expires_at), description
        except Conflict as error:
            is_seen = is_shown(run, name)
            taken = name_is_taken(run, name, error, is_seen=is_seen)
            if is_seen:
                raise taken from None
            failure = failure or taken
        except QuotaReached as error:
            error.message += count_keys(run)
            raise
        except ApiError as error:
            if not error.effect_is_unknown:
                raise
            failure, lost = error, lost + 1
            discard(run, name, mark)
            if lost == CREATES:
                break
    raise failure or KeyformError(f"{change.key} has no generation left", way_out="declare it under another name")


def count_keys(run: Run) -> str:
    """The number of keys in a project that may have no more: a sentence behind others; `""` if unknown."""
    with run.guard:
        if run.keys_counted is None:
            run.keys_counted = ""
            with suppress(ApiError):
                keys = run.api.list_keys()
                own = sum(key.ownership is not None and key.ownership.stack == run.plan.stack for key in keys)
                run.keys_counted = (
                    f" Project {run.plan.project} has {len(keys)} live keys, {own} of them of stack {run.plan.stack}."
                )
        return run.keys_counted


def is_shown(run: Run, name: str) -> bool:
    """Whether a key has this name; true if nobody can tell."""
    try:
        return run.api.find_key(name) is not None
    except ApiError:
        return True


def name_is_taken(run: Run, name: str, refused: Conflict, *, is_seen: bool) -> Conflict:
    """Why the API creates no key of a name: it is taken since the plan was made, or by a key that no list shows."""
    if is_seen:
        finding, way_out = f"the name {name} was taken after the plan was made", "run plan again to see by whom"
    else:
        finding = f"the API reports that the name {name} is taken, but shows no such key in project {run.plan.project}"
        way_out = "find it in the portal, maybe in another project, or declare the key under another name"
    return Conflict(finding, way_out=way_out, status=refused.status)


def take_back(run: Run, made: LiveKey, unkept: str) -> KeyformError:
    """Delete a key that was created differently than requested (`unkept`), before anything depends on it; and report
    it.

    A key that expires at another time than the file says would be replaced at every apply, and one without its marker
    would have no owner. This one is new: it is bound nowhere, and nobody has its secret.
    """
    field, _, values = unkept.partition(" ")
    finding = f"the API created {made.name} with another {field} than requested {values}"
    way_out = "use a value in the file that the API keeps; the new key was not used"
    try:
        run.api.delete_key(made.id)
    except ApiError as error:
        return KeyformError(f"{finding}, and it could not be deleted again: {error.message}", way_out=way_out)
    return KeyformError(f"{finding}, so it was deleted again", way_out=way_out)


def compose(name: str, text: str, ownership: Ownership) -> str:
    """A live key's description, parsed before it is sent: one that cannot be read would make the key foreign."""
    try:
        return compose_description(text, ownership)
    except UnwritableDescription:
        pass
    raise KeyformError(
        f"the description of the live key {name} leaves no room for a marker that can be read",
        way_out=f"shorten it in the portal to {LONGEST_TEXT} characters on one line, and run apply again",
    )


def discard(run: Run, name: str, mark: Ownership) -> None:
    """Delete the key that a lost create may have created; the next plan finds one that appears only later."""
    live = run.api.find_key(name)
    if live is not None and live.ownership is not None and replace(live.ownership, since=mark.since) == mark:
        run.api.delete_key(live.id)
