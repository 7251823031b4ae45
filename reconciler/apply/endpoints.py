"""Rewriting one endpoint's list: on a list read just before, verified on a list read just after."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.apply.run import Run
from reconciler.errors import ApiError, Conflict, KeyformError, NotFound, TaskFailed
from reconciler.model import EndpointRef, LiveEndpoint

ATTEMPTS = 5
"""How often a list is written before giving up on someone who keeps changing it."""
INVALID = 400
"""What the API answers to a list with a name that it does not take."""
BUSY_WAIT = 2.0
"""Seconds before trying again when the API refuses a write because a task runs on the endpoint; doubled each time."""


def rewrite_list(
    run: Run,
    ref: EndpointRef,
    *,
    add: Collection[str] = (),
    remove: Collection[str] = (),
    opens: bool = False,
    going: Collection[str] = (),
) -> None:
    """Bring an endpoint's list to where all of `add` and none of `remove` is on it; others' entries stay.

    The API has no ETag, so a write that crosses someone else's can only be noticed by reading back: then the list is
    read and written again. An empty list is sent only when `opens`.

    `going` are entries that a later step takes off. An API that refuses a list with an expired key on it [U] would
    never let that step come: those of them that have expired, and open nothing any more, are then taken off at once.
    """
    trouble: ApiError | None = None
    wait = BUSY_WAIT
    valid: set[str] = set()
    writes = 0
    surprised = False
    while writes < ATTEMPTS:
        if trouble is not None or not writes:  # a write that was confirmed has asked in its end
            run.lock.check()
        live = read_endpoint(run, ref)
        wanted = [name for name in live.api_keys if name not in remove]
        wanted += [name for name in add if name not in live.api_keys]
        opening = opens and not wanted
        if wanted == list(live.api_keys) and not (opening and live.auth_enabled):
            if writes or surprised:
                return
            surprised = True  # the plan saw something to do: one reading alone may be older than that
            continue
        if not opening and set(live.api_keys) - set(wanted) and not valid & set(wanted):
            valid.add(find_valid_key(run, live, wanted))
            continue  # that took time: the write has to rest on a reading right before it, or an edit is lost
        writes += 1
        run.effects.sleep(0)  # raises when the user waits no longer
        try:
            run.api.set_api_keys(ref, wanted, fence=run.lock, opens=opening)
            trouble = None
        except Conflict as error:
            trouble = error
            run.effects.sleep(wait)
            wait *= 2
        except TaskFailed as error:
            if not error.effect_is_unknown:
                raise
            trouble = error  # it was waited for long enough; a last look, and no more
            break
        except ApiError as error:
            if not error.effect_is_unknown:
                expired = find_expired(run, set(wanted) & set(going)) if error.status == INVALID else set()
                if not expired:
                    raise
                add, remove = [name for name in add if name not in expired], {*remove, *expired}
            trouble = error  # what came of it, the next reading tells
    live = read_endpoint(run, ref)
    if not set(add) - set(live.api_keys) and not set(remove) & set(live.api_keys):
        return
    raise trouble or KeyformError(
        f"{ref} does not keep what is written to it: someone else keeps changing its list of keys",
        way_out="find out who does, and run apply again",
    )


def read_endpoint(run: Run, ref: EndpointRef) -> LiveEndpoint:
    """The endpoint as it is now."""
    live = run.api.get_endpoint(ref)
    if live is None:
        raise NotFound(f"{ref} is gone since the plan was made", way_out="run plan again")
    if live.application is not None:
        raise KeyformError(
            f"{ref} belongs to the application {live.application} by now",
            way_out="bind the key to the application instead",
        )
    return live


def find_expired(run: Run, names: Collection[str]) -> set[str]:
    """Those that have expired, of live keys of the stack."""
    now = run.api.now()
    return {name for name in sorted(names) if (key := run.api.get_key(name)) is not None and key.is_expired(now)}


def find_valid_key(run: Run, live: LiveEndpoint, wanted: list[str]) -> str:
    """Refuse to leave an endpoint that has keys without one that opens it: the last line of defence.

    Also where the API says that it asks for none: an empty list would make that so for good.

    Where all of them have expired, an expired one that stays is as good as those that go.
    """
    now = run.api.now()

    def opens(name: str) -> bool:
        key = run.api.get_key(name)
        return key is not None and not key.is_expired(now)

    for name in wanted:
        if opens(name):
            return name
    removes = sorted(set(live.api_keys) - set(wanted))
    if wanted and not any(opens(name) for name in removes):
        return wanted[0]
    raise KeyformError(
        f"{live.ref} would be left without a valid key, so {', '.join(removes)} stays on it",
        way_out="bind another key to it, or declare it `auth: open` to make it public",
    )
