"""One function per kind of change. Each looks at what is, acts, and sees that it is done; it raises when it is not.

What makes and takes away bindings is in moves.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.api import KeyUpdate, find_unkept
from reconciler.apply.proof import prove
from reconciler.apply.run import Left, Run
from reconciler.errors import ApiError, Conflict, KeyformError, LockLost, NotKept, PlanIsStale, SinkError
from reconciler.model import (
    LAST_GENERATION,
    LONGEST_TEXT,
    Binding,
    LiveKey,
    Ownership,
    Phase,
    Secret,
    SinkRecord,
    Unchanged,
    UnwritableDescription,
    compose_description,
    generation_name,
    shift,
)
from reconciler.plan.changes import Change, Copy, CreateGeneration, DeleteKey, Prove, Publish, RemoveRecord, UpdateKey
from reconciler.plan.owners import record_is_of

CREATES = 2
"""How many generations are tried when the answer to a create is lost."""
LOOKS = 4
"""A reading may be old: what it shows otherwise is believed after so many."""
PAUSE = 1.0
"""Seconds before the second look; doubled before each more."""


def take_step(run: Run, change: Change) -> str:
    """Do one change, and give what is worth telling of it although it was done."""
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
    # A marker of this stack is in the way of no adoption: the plan found that nothing bears it out.
    by_marker = live.ownership.key if change.adopts and live.ownership else change.key
    require_same_owner(live, change.taken_from or change.ownership.stack, by_marker)
    if live.claimed_by is not None and not change.adopts:
        raise PlanIsStale(f"the marker of {live.name} cannot be read any more", way_out="run plan again")
    text = compose(live.name, change.text, change.ownership)
    write(run, change, live, KeyUpdate(text, change.expires_at, change.length))


def write(run: Run, change: Change, former: LiveKey, update: KeyUpdate) -> None:
    """Change a live key in place. Where the API keeps something else, what was there before is put back.

    A marker that is cut, or an expiry that is rounded to an hour ago, would otherwise stay.
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


def create(run: Run, change: CreateGeneration) -> None:
    """Make the generation, marked pending.

    A create is done at most once. If its answer is lost, the key it may have made is worthless, since its secret was in
    the answer: it is discarded, and the next generation number is used.
    """
    ownership = change.ownership
    if change.expires_at is not None and change.expires_at <= run.api.now():
        raise PlanIsStale(f"{change.live.name} would be expired by now: the plan is too old", way_out="run plan again")
    lost: ApiError | None = None
    for number in range(ownership.generation, min(ownership.generation + CREATES, LAST_GENERATION + 1)):
        name = change.live.name if number == ownership.generation else generation_name(ownership.key, number)
        mark = replace(ownership, generation=number, since=run.api.now()).on(name)
        description = compose(name, change.text, mark)
        try:
            made = run.api.create_key(name, description, change.expires_at)
        except Conflict as error:
            raise name_is_taken(run, name, error) from None
        except ApiError as error:
            if not error.effect_is_unknown:
                raise
            lost = error
            discard(run, name, mark)
            continue
        asked = KeyUpdate(description, change.expires_at, change.length)
        if unkept := find_unkept(made.key, asked, run.api.now()):
            raise take_back(run, made.key, unkept)
        run.created[change.live] = made
        return
    if lost is not None:
        raise lost


def name_is_taken(run: Run, name: str, refused: Conflict) -> Conflict:
    """Why the API makes no key of a name: another has it since the plan was made, or one that no list shows."""
    finding, way_out = f"the name {name} was taken since the plan was made", "run plan again: it shows by whom"
    with suppress(ApiError):
        if run.api.find_key(name) is None:
            finding = f"the API says that the name {name} is taken, and shows no such key in project {run.plan.project}"
            way_out = "find it in the portal, maybe in another project, or declare the key under another name"
    return Conflict(finding, way_out=way_out, status=refused.status)


def take_back(run: Run, made: LiveKey, unkept: str) -> KeyformError:
    """Delete what was made otherwise than it was asked for (`unkept`), before anything rests on it; and say so.

    A key that expires at another time than the file says would be replaced at every apply, and one without its marker
    would be nobody's. It was made just now: it is bound nowhere, and nobody has its secret.
    """
    field, _, values = unkept.partition(" ")
    finding = f"the API made {made.name} with another {field} than it was asked to {values}"
    way_out = "write in the file what the API keeps; nothing rests on that key"
    try:
        run.api.delete_key(made.id)
    except ApiError as error:
        return KeyformError(f"{finding}, and it could not be deleted again: {error.message}", way_out=way_out)
    return KeyformError(f"{finding}, so it was deleted again", way_out=way_out)


def compose(name: str, text: str, ownership: Ownership) -> str:
    """A live key's description, read back before it is sent: one that cannot be read would make the key foreign."""
    try:
        return compose_description(text, ownership)
    except UnwritableDescription:
        pass
    raise KeyformError(
        f"the description of the live key {name} leaves no room for a marker that can be read",
        way_out=f"shorten it in the portal to {LONGEST_TEXT} characters on one line, and run apply again",
    )


def discard(run: Run, name: str, mark: Ownership) -> None:
    """Delete the key that a lost create may have made; one that appears only later is found by the next plan."""
    live = run.api.find_key(name)
    if live is not None and live.ownership is not None and replace(live.ownership, since=mark.since) == mark:
        run.api.delete_key(live.id)


def publish(run: Run, change: Publish) -> None:
    """Write the secret to every sink, read it back where that is possible, and mark the generation published.

    Before the first sink that cannot be read back, the generation is marked partial: from then on nobody can know where
    the secret is. So a generation that is still marked pending is in none of those, whatever ended the run. When
    the outcome of a write is unknown it is marked so, too: a later reading shows whether it arrived, not if it will.

    Before each of these writes, the live key is seen to be the one that was made: where its name is its id, somebody
    may have deleted it and made another. Once a sink has the secret, that leaves an unknown outcome.
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
                with suppress(ApiError, PlanIsStale):  # it stays partial, which is the more careful of the two
                    mark(Phase.PENDING, run.api.now())
            elif not is_marked and error.effect_is_unknown:
                # What a later reading does not show may still be on its way into the sink.
                with suppress(ApiError, PlanIsStale):
                    mark(Phase.PARTIAL, run.api.now())
            raise
        is_saved = True
        require_kept(run, sink_name, record)
    # A marker tells whole seconds: cut off, the overlap would end up to a second too early.
    since = shift(run.api.now(), timedelta(seconds=1)).replace(microsecond=0)
    mark(Phase.PUBLISHED, since, change.destinations)


def save(run: Run, sink: str, record: SinkRecord, secret: Secret) -> None:
    """Write a secret to a sink, while the lock is ours."""
    run.fence.check()
    run.sinks[sink].write(record, secret)


def require_kept(run: Run, name: str, record: SinkRecord) -> None:
    """See that a sink holds what was written, where it can be read back, and that no other run can have crossed it."""
    sink = run.sinks[name]
    if sink.traits.readable and sink.read_one(record.key) != record:
        raise SinkError(
            f"sink {name} does not hold what was written to it for {record.key}",
            way_out="see who else writes there, and run apply again",
            effect_is_unknown=True,
        )
    require_lock(run)


def copy(run: Run, change: Copy) -> None:
    """Copy the secret of the generation in use from one sink to others, and let its marker say where it is.

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
    """Check that the API shows a key as its create said, before a sink gives up what it holds for it.

    Otherwise the next plan would not recognise the key, or would replace it for its expiry, at every apply. Returns the
    key as a reading shows it, which is what the record has to agree with.
    """
    live = run.api.get_key(made.id)
    if live is not None and (unlike := unlike_made(run, live, made)):
        raise KeyformError(
            f"the API shows {made.name} with another {unlike} than when it was made, so its secret is not published",
            way_out="nothing rests on that key: the next apply makes another; report this to Gcore if it stays so",
        )
    return live or made  # an old reading


def require_ours(run: Run, made: LiveKey, markers: Sequence[Ownership | None], *, is_saved: bool) -> None:
    """See that the live key which a run made is still that one: it bears one of the `markers` that the run wrote on it.

    Its name may be somebody else's by now, and `created_at` is no proof: the marker has the instant of the run. A
    reading may be old. Raises PlanIsStale, with an unknown outcome where a sink has the secret already (`is_saved`).
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
    """See that a generation is marked as in use, before its secret goes where nobody can look.

    One that is still marked pending would be discarded by the next run, and a consumer cut off.
    """
    live = look_for(run, marked.id, lambda live: live is not None and live.ownership == marked.ownership)
    if live is not None and live.ownership == marked.ownership:
        return
    raise KeyformError(
        f"the API does not show the marker that was written on {marked.name}, so its secret is not published",
        way_out="nothing rests on that key: the next apply makes another; report this to Gcore if it stays so",
    )


def look_for(run: Run, key_id: str, is_right: Callable[[LiveKey | None], bool]) -> LiveKey | None:
    """A live key, read until a reading is as it should be, or for as many looks as it takes to believe another one."""
    live = run.api.get_key(key_id)
    for look in range(1, LOOKS):
        if is_right(live):
            break
        run.effects.sleep(PAUSE * 2 ** (look - 1))
        live = run.api.get_key(key_id)
    return live


def unlike_made(run: Run, live: LiveKey, made: LiveKey) -> str:
    """The field in which a reading of a key differs from the answer to its create, with both values; `""` if none does.

    It is the key that was made as long as its marker is: how the API writes its `created_at` in one answer or another
    does not count.
    """
    return find_unkept(live, KeyUpdate(made.description, made.expires_at), run.api.now())


def require_lock(run: Run) -> None:
    """See by the clock that the lock was ours while a secret was being written: no other run can have crossed it."""
    try:
        run.fence.hold()
    except LockLost as error:
        error.effect_is_unknown = True
        raise


def delete(run: Run, change: DeleteKey) -> None:
    """Delete a live key that is seen to be bound nowhere and to be still ours."""
    live = find_key(run, change.live.id)
    if live is None:
        return
    require_same_owner(live, run.plan.stack, change.key)
    if live.ownership is None:
        raise PlanIsStale(f"the live key {live.name} has lost its marker", way_out="run plan again")
    if change.is_disposable and live.ownership.phase is not Phase.PENDING:
        raise PlanIsStale(f"the live key {live.name} is in use by now", way_out="run plan again")
    if any(binding.key_id == live.id for binding in read_bindings(run)):
        raise Conflict(
            f"the live key {live.name} is still bound, so it is not deleted",
            way_out="run apply again; if it stays, someone else binds it",
        )
    run.api.delete_key(live.id)
    run.left[live.id] = Left(change, live, None)


def find_key(run: Run, key_id: str) -> LiveKey | None:
    """A live key that is expected to be there. That it is gone is believed after a second look: one stale reading would
    otherwise count as what was to be done."""
    return run.api.get_key(key_id) or run.api.get_key(key_id)


def read_bindings(run: Run) -> frozenset[Binding]:
    """Every binding; read once, when the first delete asks, after all unbinding."""
    with run.guard:
        if run.bindings_seen is None:
            run.bindings_seen = run.api.list_bindings()
        return run.bindings_seen


def require_same_owner(live: LiveKey, stack: str, key: str) -> None:
    """A live key whose marker names another key or stack is not touched; none at all is fine for an adoption."""
    own = live.ownership
    if own is not None and (own.stack, own.key) != (stack, key):
        raise PlanIsStale(f"the live key {live.name} belongs to {own.stack}/{own.key} by now", way_out="run plan again")
