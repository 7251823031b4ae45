"""One function per kind of change. Each looks at what is, acts, and sees that it is done; it raises when it is not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.apply.endpoints import rewrite_list
from reconciler.apply.proof import prove
from reconciler.apply.run import Run
from reconciler.errors import ApiError, Conflict, KeyformError, LockLost, PlanIsStale, SinkError
from reconciler.model import (
    LAST_GENERATION,
    LiveKey,
    Ownership,
    Phase,
    SinkRecord,
    UnwritableDescription,
    are_close,
    compose_description,
    generation_name,
    read_description,
    shift,
)
from reconciler.plan.changes import (
    Bind,
    Change,
    CreateGeneration,
    DeleteKey,
    Describe,
    Link,
    Prove,
    Publish,
    RemoveRecord,
    Unbind,
)

NEVER_PUBLISHED = "generation_was_never_published"
"""The reason that lets go of a generation at once."""
CREATES = 2
"""How many generations are tried when the answer to a create is lost."""


def take_step(run: Run, change: Change) -> str:
    """Do one change, and give what is worth telling of it although it was done."""
    told = ""
    match change:
        case Describe():
            describe(run, change)
        case CreateGeneration():
            create(run, change)
        case Bind():
            bind(run, change)
        case Prove():
            told = prove(run, change)
        case Publish():
            publish(run, change)
        case Unbind():
            unbind(run, change)
        case RemoveRecord():
            run.sinks[change.sink].remove(change.key)
        case DeleteKey():
            delete(run, change)
        case _:
            raise TypeError(f"there is no step for {type(change).__name__}")
    return told


def describe(run: Run, change: Describe) -> None:
    """Write the description, unless the live key changed hands since the plan."""
    live = run.api.get_key(change.live_name)
    if live is None:
        raise PlanIsStale(f"the live key {change.live_name} is gone since the plan was made", way_out="run plan again")
    require_same_owner(change.live_name, live.ownership, change.ownership)
    text = compose(change.live_name, change.text, change.ownership)
    run.api.set_description(change.live_name, text, fence=run.lock)


def create(run: Run, change: CreateGeneration) -> None:
    """Make the generation, marked pending.

    A create is done at most once. If its answer is lost, the key it may have made is worthless, since its secret was in
    the answer: it is discarded, and the next generation number is used.
    """
    ownership = change.ownership
    if change.expires_at is not None and change.expires_at <= run.api.now():
        raise PlanIsStale(f"{change.live_name} would be expired by now: the plan is too old", way_out="run plan again")
    lost: ApiError | None = None
    for number in range(ownership.generation, min(ownership.generation + CREATES, LAST_GENERATION + 1)):
        name = change.live_name if number == ownership.generation else generation_name(ownership.key, number)
        mark = replace(ownership, generation=number, since=run.api.now())
        description = compose(name, change.text, mark)
        try:
            made = run.api.create_key(name, description, change.expires_at, fence=run.lock)
        except Conflict as error:
            raise Conflict(
                f"the name {name} was taken since the plan was made",
                way_out="run plan again: it shows by whom",
                status=error.status,
            ) from None
        except ApiError as error:
            if not error.effect_is_unknown:
                raise
            lost = error
            discard(run, name, mark)
            continue
        require_as_asked(run, made.key, description, change.expires_at)
        run.created[change.live_name] = made
        return
    if lost is not None:
        raise lost


def require_as_asked(run: Run, made: LiveKey, description: str, expires_at: datetime | None) -> None:
    """See that the API made what it was asked to make, before anything rests on it; what it made otherwise is deleted.

    A key that expires at another time than the file says would be replaced at every apply, and one without its marker
    would be nobody's.
    """
    asked = expires_at.replace(microsecond=0) if expires_at else None
    differs = "description" if (made.text, made.ownership) != read_description(description) else "expires_at"
    if differs == "expires_at" and made.expires_at == asked:
        return
    # It was made just now: it is bound nowhere, and nobody has its secret.
    run.api.delete_key(made.name, fence=run.lock)
    raise KeyformError(
        f"the API made {made.name} with another {differs} than it was asked to, so it was deleted again",
        way_out="check what the API takes, and change the file; nothing rests on that key",
    )


def compose(name: str, text: str, ownership: Ownership) -> str:
    """A live key's description, read back before it is sent: one that cannot be read would make the key foreign."""
    try:
        return compose_description(text, ownership)
    except UnwritableDescription:
        pass
    raise KeyformError(
        f"the description of the live key {name} leaves no room for a marker that can be read",
        way_out="shorten it in the portal to 140 characters on one line, and run apply again",
    )


def discard(run: Run, name: str, mark: Ownership) -> None:
    """Delete the key that a lost create may have made; one that appears only later is found by the next plan."""
    live = run.api.get_key(name)
    if live is not None and live.ownership is not None and replace(live.ownership, since=mark.since) == mark:
        run.api.delete_key(name, fence=run.lock)


def bind(run: Run, change: Bind) -> None:
    """Add what is there to be added, in one write; a generation that could not be made holds nobody else up."""
    ready = [link for link in change.links if _is_made(run, change, link)]
    if ready:
        gained = [run.live_name(link.live_name) for link in ready]
        unbinding = run.changes.get(f"unbind:{change.endpoint}")
        going = [link.live_name for link in unbinding.links if link.key] if isinstance(unbinding, Unbind) else []
        rewrite_list(run, change.endpoint, add=[*change.stays, *gained], going=going)
    for link in ready:
        run.bound.add((change.endpoint, link.live_name))
    missing = [link.live_name for link in change.links if link not in ready]
    if missing:
        raise Incomplete(f"not bound, since they were not made: {', '.join(missing)}", ready)


def _is_made(run: Run, change: Bind, link: Link) -> bool:
    return f"create:{link.live_name}" not in change.depends_on or link.live_name in run.created


def publish(run: Run, change: Publish) -> None:
    """Write the secret to every sink, read it back where that is possible, and mark the generation published.

    Before the first sink that cannot be read back, the generation is marked partial: from then on nobody can know where
    the secret is. So a generation that is still marked pending is in none of those, whatever ended the run.
    """
    made = run.created[change.live_name]
    name, key = made.key.name, change.ownership.key
    generation = made.key.ownership.generation if made.key.ownership else change.ownership.generation
    record = SinkRecord(change.ownership.stack, key, generation, name, made.key.created_at)
    require_as_made(run, made.key)

    def mark(phase: Phase, since: datetime) -> None:
        ownership = replace(change.ownership, generation=generation, phase=phase, since=since)
        run.api.set_description(name, compose(name, change.text, ownership), fence=run.lock)

    is_marked = False
    for number, sink_name in enumerate(change.sinks):
        sink = run.sinks[sink_name]
        if not sink.readable and not is_marked:
            mark(Phase.PARTIAL, run.api.now())
            is_marked = True
        run.lock.check()
        try:
            sink.write(record, made.secret)
        except SinkError as error:
            if is_marked and number == 0 and not error.outcome_is_unknown:
                with suppress(ApiError):  # it stays partial, which is the more careful of the two
                    mark(Phase.PENDING, run.api.now())
            raise
        if sink.readable and sink.read_one(key) != record:
            raise SinkError(
                f"sink {sink_name} does not hold what was written to it for {key}",
                way_out="see who else writes there, and run apply again",
                outcome_is_unknown=True,
            )
        require_lock(run)
    # A marker tells whole seconds: cut off, the overlap would end up to a second too early.
    mark(Phase.PUBLISHED, shift(run.api.now(), timedelta(seconds=1)).replace(microsecond=0))


def require_as_made(run: Run, made: LiveKey) -> None:
    """See that the API shows the key as it said that it had made it, before a sink gives up what it holds for it.

    The next plan would not know the key by its record, or replace it for its expiry: and so at every apply.
    """
    live = run.api.get_key(made.name)
    if live is None:
        return  # an old reading
    shown = are_close(live.created_at, made.created_at), live.expires_at == made.expires_at
    if not all(shown):
        field = "expires_at" if shown[0] else "created_at"
        raise KeyformError(
            f"the API shows {made.name} with another {field} than when it was made, so its secret is not published",
            way_out="nothing rests on that key: the next apply makes another; report this to Gcore if it stays so",
        )


def require_lock(run: Run) -> None:
    """See by the clock that the lock was ours while a secret was being written: no other run can have crossed it."""
    try:
        run.lock.hold()
    except LockLost as error:
        error.effect_is_unknown = True
        raise


def unbind(run: Run, change: Unbind) -> None:
    """Take off what may go by now: not what a generation was to replace that is not published."""
    ready = [link for link in change.links if _may_go(run, link)]
    held = [link.live_name for link in change.links if link not in ready]
    if ready or (change.opens and not held):
        names = [link.live_name for link in ready]
        # A reading may be older than what this run has bound: taking off must not take that off too.
        gained = [run.live_name(name) for endpoint, name in sorted(run.bound) if endpoint == change.endpoint]
        rewrite_list(run, change.endpoint, add=[*change.stays, *gained], remove=names, opens=change.opens and not held)
    for link in ready:
        run.unbound.add((change.endpoint, link.live_name))
    if held:
        why = "what replaces them is not published, or they are in use by now"
        raise Incomplete(f"still bound, since {why}: {', '.join(held)}", ready)


def _may_go(run: Run, link: Link) -> bool:
    """A link goes once its key's new generation, if there is to be one, is published; an unpublished one's at any time.

    That it is unpublished its marker tells alone, if a sink cannot be read back: so the marker is looked at once more.
    """
    if link.reason.code == NEVER_PUBLISHED:
        live = find_key(run, link.live_name)
        return live is None or live.ownership is None or live.ownership.phase is Phase.PENDING
    publication = run.publications.get(link.key)
    return publication is None or run.is_done(publication)


def delete(run: Run, change: DeleteKey) -> None:
    """Delete a live key that is seen to be bound nowhere and to be still ours."""
    live = find_key(run, change.live_name)
    if live is None:
        return
    planned = Ownership(run.plan.stack, change.key, 1, Phase.PENDING, run.plan.made_at)
    require_same_owner(change.live_name, live.ownership, planned)
    if live.ownership is None:
        raise PlanIsStale(f"the live key {change.live_name} has lost its marker", way_out="run plan again")
    if change.reason.code == NEVER_PUBLISHED and live.ownership.phase is not Phase.PENDING:
        raise PlanIsStale(f"the live key {change.live_name} is in use by now", way_out="run plan again")
    if change.live_name in names_bound(run):
        raise Conflict(
            f"the live key {change.live_name} is still bound, so it is not deleted",
            way_out="run apply again; if it stays, someone else binds it",
        )
    run.api.delete_key(change.live_name, fence=run.lock)


def find_key(run: Run, name: str) -> LiveKey | None:
    """A live key that is expected to be there. That it is gone is believed after a second look: one stale reading would
    otherwise count as what was to be done."""
    return run.api.get_key(name) or run.api.get_key(name)


def names_bound(run: Run) -> frozenset[str]:
    """Every live name that an endpoint lists; read once, when the first delete asks, after all unbinding."""
    with run.guard:
        if run.bindings_seen is None:
            run.bindings_seen = frozenset(name for endpoint in run.api.list_endpoints() for name in endpoint.api_keys)
        return run.bindings_seen


def require_same_owner(name: str, live: Ownership | None, planned: Ownership) -> None:
    """A live key whose marker names another key or stack is not touched; none at all is fine for an adoption."""
    if live is not None and (live.stack, live.key) != (planned.stack, planned.key):
        raise PlanIsStale(f"the live key {name} belongs to {live.stack}/{live.key} by now", way_out="run plan again")


class Incomplete(KeyformError):
    """A coalesced write was done in part, because of what it depends on; `links` are the part that was done."""

    def __init__(self, message: str, links: Sequence[Link]) -> None:
        super().__init__(message)
        self.links = tuple(links)
