"""Writing a list of bindings as a whole: on a reading just before, verified by a reading just after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.api import Move, Rebinding
from reconciler.errors import ApiError, Conflict, KeyformError, LockLost, TaskFailed
from reconciler.gcore.project import Project
from reconciler.model import Binding, EndpointRef

ATTEMPTS = 5
"""How often a list is written before giving up on another writer that keeps changing it."""
INVALID = 400
"""The API's statuses for a list with a key that it does not accept."""
PAUSES = (1.0, 2.0, 4.0)
"""Seconds before the next looks at a list that does not show what was written: a reading may be old."""
BUSY_WAIT = 2.0
"""Seconds before trying again when the API refuses a write because a task runs on the endpoint; doubled each time."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The content of a list, in the API's order; `closed` are endpoints that, by this reading, still require a key.

    `ids` are those by which keys list endpoints, for each endpoint that a key is seen to list. A key that stays there
    has to list it, too: one that only the endpoint lists may open nothing.
    """

    bindings: tuple[Binding, ...] = ()
    closed: frozenset[EndpointRef] = frozenset()
    ids: Mapping[EndpointRef, str] = field(default_factory=dict)


class WholeList(Protocol):
    """Bindings that the API writes all at once: an endpoint's keys, or a key's endpoints.

    Its `str()` is its name in messages. `has_tasks`: a write is done when its tasks are, and what a reading shows
    before may be undone.
    """

    @property
    def has_tasks(self) -> bool:
        """Whether a write continues after its answer."""
        ...

    def read(self) -> Listed:
        """Its content now. Raises NotFound if its owner is gone."""
        ...

    def left_on(self, endpoint: EndpointRef, after: Sequence[Binding]) -> Sequence[Binding]:
        """The valid keys that open an endpoint once the list is `after`."""
        ...

    def write(self, bindings: Sequence[Binding]) -> None:
        """Write all of it, wait until that is done, and check the fence once more."""
        ...


def rewrite(project: Project, target: WholeList, wanted: Rebinding) -> Mapping[Move, KeyformError]:
    """Add everything to a list that should be on it, and remove what should not; others' entries stay.

    The API has no ETag, so a write that crosses someone else's can only be noticed by reading back: then the list is
    read and written again. A key that is `going` and has expired is removed at once if the API refuses a list with it
    [U]: the step that removes it would never come. No endpoint loses its last valid key by this, unless it opens.

    If there are tasks, a reading alone confirms nothing that was written here: while it is unknown how a write ended,
    the same list is written once more, and its tasks are waited for. If a task does not end in time, or not as the
    API's documents say, the waiting ends, and everything that it should have done is unknown.

    Returns what was not done, and why; what the last reading shows is done. Raises if nothing was done, and with
    `effect_is_unknown` if a write was sent whose effect no reading could show.
    """
    fence = project.require_fence()
    trouble: KeyformError | None = None
    add, remove, keep = wanted.add, wanted.remove, wanted.keep
    valid: frozenset[Binding] = frozenset()
    wait, writes, pauses = BUSY_WAIT, 0, iter(PAUSES)
    surprised = is_unseen = False
    doubtful: Mapping[Move, KeyformError] = {}

    def look() -> Listed:
        nonlocal is_unseen
        try:
            if trouble is not None or not writes:  # a confirmed write has checked it at its end
                fence.check()
            live = target.read()
        except (ApiError, LockLost) as error:
            error.effect_is_unknown |= is_unseen
            raise
        is_unseen = False
        return live

    def sort_out(live: Listed, trouble: KeyformError | None) -> Mapping[Move, KeyformError]:
        errors = find_undone(project, target, wanted, live, trouble)
        errors |= doubtful
        if len(errors) == len(wanted.add) + len(wanted.remove) + len(wanted.opens) or not keep.issubset(live.bindings):
            raise max(errors.values(), key=lambda error: error.effect_is_unknown, default=trouble or unkept(target))
        return errors

    while writes < ATTEMPTS:
        live = look()
        before = live.bindings
        after = [*(each for each in before if each not in remove), *sorted((add | keep).difference(before))]
        if not doubtful and after == list(before) and (after or wanted.opens.isdisjoint(live.closed)):
            if writes or surprised:
                return sort_out(live, trouble)
            surprised = True  # the plan saw something to do: one reading alone may be older than that
            continue
        if writes and trouble is None and waits(project, pauses):
            continue
        found = find_valid_keys(project, target, wanted, live, after, valid=valid)
        if isinstance(found, KeyformError):
            if waits(project, pauses):
                continue
            return sort_out(live, found)
        if found:
            valid |= found
            continue  # that took time: the write has to follow right after a reading, or an edit is lost
        writes += 1
        project.effects.sleep(0)  # raises if the user no longer waits
        failure = trouble = attempt(target, after)
        is_unseen = failure is None or failure.effect_is_unknown
        doubtful = doubt(target, wanted, before, doubtful, failure)
        match failure:
            case Conflict():
                project.effects.sleep(wait)
                wait *= 2
            case TaskFailed(effect_is_unknown=True):
                break  # it was waited for as long as that helps; one last look
            case TaskFailed():
                raise failure
            case ApiError(effect_is_unknown=False):
                going = wanted.going.intersection(after) if failure.status == INVALID else ()
                expired = {each for each in sorted(going) if has_expired(project, each)}
                if not expired:
                    return sort_out(live, trouble)
                add, remove, keep = add - expired, remove | expired, keep - expired
            case _:
                pass  # the next reading shows its effect
    return sort_out(look(), trouble)


def waits(project: Project, pauses: Iterator[float]) -> bool:
    """Wait for the next of these pauses, if there is one: a difference in a reading may be old."""
    pause = next(pauses, None)
    if pause is not None:
        project.effects.sleep(pause)
    return pause is not None


def attempt(target: WholeList, bindings: Sequence[Binding]) -> ApiError | None:
    """Write the list; returns why it failed, as a value, so that nothing which is raised later is chained to it."""
    try:
        target.write(bindings)
    except ApiError as error:
        return error
    return None


def doubt(
    target: WholeList,
    wanted: Rebinding,
    before: Sequence[Binding],
    doubtful: Mapping[Move, KeyformError],
    failure: ApiError | None,
) -> Mapping[Move, KeyformError]:
    """The moves whose outcome is unknown after a write, and why: a confirmed write of the whole list settles all."""
    if failure is None:
        return {}
    if not failure.effect_is_unknown or not target.has_tasks:
        return doubtful
    moved: list[Move] = [*sorted(wanted.add.difference(before)), *sorted(wanted.remove.intersection(before))]
    return {**doubtful, **dict.fromkeys([*moved, *sorted(wanted.opens)], failure)}


def find_undone(
    project: Project, target: WholeList, wanted: Rebinding, live: Listed, trouble: KeyformError | None
) -> dict[Move, KeyformError]:
    """What a reading shows as missing, and why: `trouble`, or another writer that keeps changing it."""
    there = frozenset(live.bindings)
    error = trouble or unkept(target)
    errors: dict[Move, KeyformError] = dict.fromkeys(
        [*sorted(wanted.add - there), *sorted(wanted.remove & there)], error
    )
    others = [project.name_of(binding.key_id) for binding in live.bindings if binding not in wanted.remove]
    if others and trouble is None:
        error = KeyformError(f"{target} stays closed: {', '.join(others)} opens it by now", way_out="run plan again")
    return errors | dict.fromkeys(sorted(wanted.opens & live.closed), error)


def unkept(target: WholeList) -> KeyformError:
    """Why a list is not as it was written, if nothing else explains it."""
    return KeyformError(
        f"{target} does not keep what is written to it: someone else may keep changing it",
        way_out="find out who does, and run apply again; if nobody does, report it to Gcore",
    )


def has_expired(project: Project, binding: Binding, ids: Mapping[EndpointRef, str] | None = None) -> bool | None:
    """Whether a binding's key has expired; None if it is gone, or does not list an endpoint that is among `ids`."""
    entry = project.get(project.keys, binding.key_id)
    listed_as = (ids or {}).get(binding.endpoint)
    if entry is None or (listed_as is not None and listed_as not in entry.links):
        return None
    return entry.item.is_expired(project.exchange.clock.now())


def find_valid_keys(
    project: Project,
    target: WholeList,
    wanted: Rebinding,
    live: Listed,
    after: Sequence[Binding],
    *,
    valid: frozenset[Binding],
) -> set[Binding] | KeyformError:
    """For each endpoint that loses a binding, one that stays and opens it, if none is known to be `valid`.

    This is the last line of defence: it refuses to leave an endpoint that has keys without one that opens it, even if
    the API says that the endpoint is open: an empty list would make that permanent. If all keys have expired, an
    expired one that stays is as good as those that go.
    """

    def opens(binding: Binding) -> bool:
        return has_expired(project, binding, live.ids) is False

    def stays(binding: Binding) -> bool:
        return binding.endpoint not in live.ids or has_expired(project, binding, live.ids) is not None

    found: set[Binding] = set()
    lost = sorted(set(live.bindings).difference(after))
    for endpoint in sorted({binding.endpoint for binding in lost}):
        left = target.left_on(endpoint, after)
        if any(binding in valid for binding in left) or (not left and endpoint in wanted.opens):
            continue
        goes = [binding for binding in lost if binding.endpoint == endpoint]
        proof = next(filter(opens, left), None)
        if proof is None and left and not any(map(opens, goes)):
            proof = next(filter(stays, left), None)
        if proof is None:
            names = ", ".join(project.name_of(binding.key_id) for binding in goes)
            return KeyformError(
                f"{endpoint} would be left without a valid key, so {names} stays on it",
                way_out="bind another key to it, or declare it `auth: open` to make it public",
            )
        found.add(proof)
    return found
