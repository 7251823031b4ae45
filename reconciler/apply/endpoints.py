"""Rewriting one endpoint's list: on a list read just before, verified on a list read just after."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.apply.run import Run
from reconciler.errors import ApiError, Conflict, KeyformError, NotFound, TaskFailed
from reconciler.model import EndpointRef, LiveEndpoint

ATTEMPTS = 5
"""How often a list is written before giving up on someone who keeps changing it."""
BUSY_WAIT = 2.0
"""Seconds before trying again when the API refuses a write because a task runs on the endpoint; doubled each time."""


def rewrite_list(
    run: Run, ref: EndpointRef, *, add: Collection[str] = (), remove: Collection[str] = (), opens: bool = False
) -> None:
    """Bring an endpoint's list to where all of `add` and none of `remove` is on it; others' entries stay.

    The API has no ETag, so a write that crosses someone else's can only be noticed by reading back: then the list is
    read and written again. An empty list is sent only when `opens`.
    """
    trouble: ApiError | None = None
    wait = BUSY_WAIT
    for _ in range(ATTEMPTS):
        live = read_endpoint(run, ref)
        wanted = [name for name in live.api_keys if name not in remove]
        wanted += [name for name in add if name not in live.api_keys]
        opening = opens and not wanted
        if wanted == list(live.api_keys) and not (opening and live.auth_enabled):
            return
        if not opening:
            require_valid_key(run, live, wanted)
        try:
            run.api.set_api_keys(ref, wanted, opens=opening, while_waiting=run.lock.keep_alive)
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
                raise
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


def require_valid_key(run: Run, live: LiveEndpoint, wanted: list[str]) -> None:
    """Refuse to leave an endpoint that asks for keys without one that opens it: the last line of defence."""
    removes = set(live.api_keys) - set(wanted)
    if not live.auth_enabled or not removes:
        return
    now = run.effects.now()
    for name in wanted:
        key = run.api.get_key(name)
        if key is not None and not key.is_expired(now):
            return
    raise KeyformError(
        f"{live.ref} would be left without a valid key, so {', '.join(sorted(removes))} stays on it",
        way_out="bind another key to it, or declare it `auth: open` to make it public",
    )
