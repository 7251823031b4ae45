"""One function per kind of change. Each reads the live state, acts, and confirms the result; it raises if that fails.

Changes of bindings are in moves.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.api import KeyUpdate, find_unkept
from reconciler.apply.creation import compose, create
from reconciler.apply.proof import prove
from reconciler.apply.run import Left, Run
from reconciler.errors import ApiError, Conflict, KeyformError, LockLost, NotKept, PlanIsStale, SinkError
from reconciler.model import (
    LiveKey,
    Ownership,
    Phase,
    Secret,
    SinkRecord,
    Unchanged,
    shift,
)
from reconciler.plan.changes import Change, Copy, CreateGeneration, DeleteKey, Prove, Publish, RemoveRecord, UpdateKey
from reconciler.plan.owners import record_is_of

LOOKS = 4
"""A reading may be old: a difference counts after this many."""
PAUSE = 1.0
"""Seconds before the second look; doubled before each more."""


def take_step(run: Run, change: Change) -> str:
    """Make one change, and return what is worth reporting although it was done."""
    told = ""
    match change:
        case UpdateKey():
            update(run, change)
        case CreateGeneration():
            create(run, change)
        case Prove():
            told = prove(run, change)
        case Publish():
            publish(run, change)
        case Copy():
            copy(run, change)
        case RemoveRecord():
            sink = run.sinks[change.sink]
            (sink.release if change.keeps_secret else sink.remove)(change.key)
        case DeleteKey():
            delete(run, change)
        case _:
            raise TypeError(f"there is no step for {type(change).__name__}")
    return told


def update(run: Run, change: UpdateKey) -> None:
    """Change the live key in place, unless it changed hands since the plan."""
    live = run.api.get_key(change.live.id)
    if live is None:
        raise PlanIsStale(f"the live key {change.live.name} is gone since the plan was made", way_out="run plan again")
    # A marker of this stack does not prevent an adoption: the plan found that nothing confirms it.
    by_marker = live.ownership.key if change.adopts and live.ownership else change.key
    require_same_owner(live, change.taken_from or change.ownership.stack, by_marker)
    if live.claimed_by is not None and not change.adopts:
        raise PlanIsStale(f"the marker of {live.name} cannot be read any more", way_out="run plan again")
    text = compose(live.name, change.text, change.ownership)
    write(run, change, live, KeyUpdate(text, change.expires_at, change.length))


def write(run: Run, change: Change, former: LiveKey, update: KeyUpdate) -> None:
    """Change a live key in place. If the API stores something else, restore what was there before.

    Otherwise a truncated marker, or an expiry that is rounded to an hour ago, would stay.
    """
    try:
        run.api.update_key(former.id, update)
    except NotKept as error:
        is_set = not isinstance(update.expires_at, Unchanged)
        expires_at = former.expires_at if is_set else Unchanged.UNCHANGED
        try:
            run.api.update_key(former.id, KeyUpdate(former.description, expires_at))
        except KeyformError as again:
            error.message += f" What was there before could not be put back: {again.message}"
        else:
            error.message += " What was there before was put back."
            error.effect_is_unknown = False
        raise
    run.left[former.id] = Left(change, former, update)


def publish(run: Run, change: Publish) -> None:
    """Write the secret to every sink, read it back if that is possible, and mark the generation published.

    Before the first sink that cannot be read back, the generation is marked partial: from then on nobody can know where
    the secret is. So a generation that is still marked pending is in none of those, however the run ended. If the
    outcome of a write is unknown, it is marked partial, too: a later reading shows whether the write arrived, not
    whether it will.

    Before each of these writes, the live key is confirmed to be the one that was created: if its name is its id,
    someone may have deleted it and created another. Once a sink has the secret, that leaves an unknown outcome.
    """
    made = run.created[change.live]
    name, key = made.key.name, change.key
    generation = made.key.ownership.generation if made.key.ownership else change.ownership.generation
    shown = run.listed.get(made.key.id) or require_as_made(run, made.key)
    record = SinkRecord(change.ownership.stack, key, generation, name, shown.created_at, run.api.host, run.plan.project)

    markers, is_saved = [made.key.ownership], False

    def mark(phase: Phase, since: datetime, published_to: str = "") -> None:
        nonlocal shown
        require_ours(run, made.key, markers, is_saved=is_saved)
        ownership = replace(
            change.ownership, generation=generation, phase=phase, since=since, published_to=published_to
        ).on(name)
        write(run, change, shown, KeyUpdate(compose(name, change.text, ownership)))
        shown = replace(shown, text=change.text, ownership=replace(ownership, since=since.replace(microsecond=0)))
        markers.append(shown.ownership)

    is_marked = False
    for number, sink_name in enumerate(change.sinks):
        sink = run.sinks[sink_name]
        if not sink.traits.readable and not is_marked:
            mark(Phase.PARTIAL, run.api.now())
            require_marked(run, shown)
            is_marked = True
        else:
            require_ours(run, made.key, markers, is_saved=is_saved)
        try:
            save(run, sink_name, record, made.secret)
        except SinkError as error:
            if is_marked and number == 0 and not error.effect_is_unknown:
                with suppress(ApiError, PlanIsStale):  # it stays partial, which is the safer of the two
                    mark(Phase.PENDING, run.api.now())
            elif not is_marked and error.effect_is_unknown:
                # A write that a later reading does not show may still reach the sink.
                with suppress(ApiError, PlanIsStale):
                    mark(Phase.PARTIAL, run.api.now())
            raise
        is_saved = True
        require_kept(run, sink_name, record)
    # A marker has whole seconds: cut off, the overlap would end up to a second too early.
    since = shift(run.api.now(), timedelta(seconds=1)).replace(microsecond=0)
    mark(Phase.PUBLISHED, since, change.destinations)


def save(run: Run, sink: str, record: SinkRecord, secret: Secret) -> None:
    """Write a secret to a sink, while this run holds the lock."""
    run.fence.check()
    run.sinks[sink].write(record, secret)


def require_kept(run: Run, name: str, record: SinkRecord) -> None:
    """Check that a sink holds what was written, if it can be read back, and that no other run can have crossed it."""
    sink = run.sinks[name]
    if sink.traits.readable and sink.read_one(record.key) != record:
        raise SinkError(
            f"sink {name} does not hold what was written to it for {record.key}",
            way_out="see who else writes there, and run apply again",
            effect_is_unknown=True,
        )
    require_lock(run)


def copy(run: Run, change: Copy) -> None:
    """Copy the secret of the generation in use from one sink to others, and record in its marker where it is.

    Until all of them have it, the marker stays as it was: the next run copies again, and no sink loses anything by it.
    """
    live = find_key(run, change.live.id)
    if live is None:
        raise PlanIsStale(f"the live key {change.live.name} is gone since the plan was made", way_out="run plan again")
    own = live.ownership
    require_same_owner(live, change.ownership.stack, change.key)
    if own is None or own.phase is not change.ownership.phase:
        raise PlanIsStale(f"the marker of {live.name} is another since the plan was made", way_out="run plan again")
    held = run.sinks[change.source].read_secret(change.key)
    if held is None or not record_is_of(held.record, live):
        raise SinkError(
            f"sink {change.source} does not give the secret of {live.name} back any more, so it cannot be copied",
            way_out=f"restore it there, or run `keyform rotate {change.key}` for a new secret",
        )
    generation, place = change.ownership.generation, (run.api.host, run.plan.project)
    record = SinkRecord(own.stack, change.key, generation, live.name, live.created_at, *place)
    for sink in change.sinks:
        save(run, sink, record, held.secret)
        require_kept(run, sink, record)
    write(run, change, live, KeyUpdate(compose(live.name, change.text, change.ownership)))


def require_as_made(run: Run, made: LiveKey) -> LiveKey:
    """Check that the API shows a key as its create said, before a sink drops its record of it.

    Otherwise the next plan would not recognise the key, or would replace it for its expiry, at every apply. Returns the
    key as a reading shows it, which the record has to match.
    """
    live = run.api.get_key(made.id)
    if live is not None and (unlike := unlike_made(run, live, made)):
        raise KeyformError(
            f"the API shows {made.name} with another {unlike} than when it was made, so its secret is not published",
            way_out="nothing rests on that key: the next apply makes another; report this to Gcore if it stays so",
        )
    return live or made  # an old reading


def require_ours(run: Run, made: LiveKey, markers: Sequence[Ownership | None], *, is_saved: bool) -> None:
    """Check that the live key is still the one that this run created: it has one of the `markers` that the run wrote on
    it.

    Its name may be someone else's by now, and `created_at` is not a proof: the marker has the instant of the run. A
    reading may be old. Raises PlanIsStale, with an unknown outcome if a sink has the secret already (`is_saved`).
    """

    def is_ours(live: LiveKey | None) -> bool:
        return live is not None and live.ownership in markers and run.is_as_old(made, live)

    live = look_for(run, made.id, is_ours)
    if is_ours(live):
        return
    finding = f"the live key {made.name} that this run made is gone"
    if live is not None:
        finding = f"{made.name} does not have the marker any more that this run wrote on it: somebody made it anew"
    rest = "although a sink has its secret" if is_saved else "so its secret is not published"
    error = PlanIsStale(f"{finding}, {rest}", way_out="see in the portal who did it, and run plan again")
    error.effect_is_unknown = is_saved
    raise error


def require_marked(run: Run, marked: LiveKey) -> None:
    """Check that a generation is marked as in use, before its secret goes where nobody can look.

    If it were still marked pending, the next run would discard it, and cut off a consumer.
    """
    live = look_for(run, marked.id, lambda live: live is not None and live.ownership == marked.ownership)
    if live is not None and live.ownership == marked.ownership:
        return
    raise KeyformError(
        f"the API does not show the marker that was written on {marked.name}, so its secret is not published",
        way_out="nothing rests on that key: the next apply makes another; report this to Gcore if it stays so",
    )


def look_for(run: Run, key_id: str, is_right: Callable[[LiveKey | None], bool]) -> LiveKey | None:
    """A live key, read until a reading is as expected, or for as many looks as it takes to believe another one."""
    live = run.api.get_key(key_id)
    for look in range(1, LOOKS):
        if is_right(live):
            break
        run.effects.sleep(PAUSE * 2 ** (look - 1))
        live = run.api.get_key(key_id)
    return live


def unlike_made(run: Run, live: LiveKey, made: LiveKey) -> str:
    """The field in which a reading of a key differs from the answer to its create, with both values; `""` if none does.

    It is the key that was created as long as its marker is: how the API writes its `created_at` in one answer or
    another does not count.
    """
    return find_unkept(live, KeyUpdate(made.description, made.expires_at), run.api.now())


def require_lock(run: Run) -> None:
    """Check by the clock that this run held the lock while a secret was being written: no other run can have crossed
    it.
    """
    try:
        run.fence.hold()
    except LockLost as error:
        error.effect_is_unknown = True
        raise


def delete(run: Run, change: DeleteKey) -> None:
    """Delete a live key that is confirmed to be bound nowhere and to be still this stack's."""
    live = find_key(run, change.live.id)
    if live is None:
        return
    require_same_owner(live, run.plan.stack, change.key)
    if live.ownership is None:
        raise PlanIsStale(f"the live key {live.name} has lost its marker", way_out="run plan again")
    if change.is_disposable and live.ownership.phase is not Phase.PENDING:
        raise PlanIsStale(f"the live key {live.name} is in use by now", way_out="run plan again")
    if is_listed_as_bound(run, live.id):
        raise Conflict(
            f"the live key {live.name} is still bound, so it is not deleted",
            way_out="run apply again; if it stays, someone else binds it",
        )
    run.api.delete_key(live.id)
    run.left[live.id] = Left(change, live, None)


def find_key(run: Run, key_id: str) -> LiveKey | None:
    """A live key that should exist. It takes a second look to believe that it is gone: one stale reading would
    otherwise count as done.
    """
    return run.api.get_key(key_id) or run.api.get_key(key_id)


def is_listed_as_bound(run: Run, key_id: str) -> bool:
    """Whether any list shows a binding of this key, after all unbinding.

    The lists are read once, for the first delete. They may be old: a difference counts after as many looks as for a
    key, for all deletes of the run together.
    """
    with run.guard:
        while True:
            if run.bindings_seen is None:
                run.bindings_seen = run.api.list_bindings()
                run.looks_at_bindings += 1
            if all(binding.key_id != key_id for binding in run.bindings_seen):
                return False
            if run.looks_at_bindings >= LOOKS:
                return True
            run.effects.sleep(PAUSE * 2 ** (run.looks_at_bindings - 1))
            run.bindings_seen = None


def require_same_owner(live: LiveKey, stack: str, key: str) -> None:
    """Refuse a live key whose marker names another key or stack; no marker is fine for an adoption."""
    own = live.ownership
    if own is not None and (own.stack, own.key) != (stack, key):
        raise PlanIsStale(f"the live key {live.name} belongs to {own.stack}/{own.key} by now", way_out="run plan again")
