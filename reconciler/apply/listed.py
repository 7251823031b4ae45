"""What the list of live keys says about what was created, written and deleted: the next plan depends on such a list.

An answer only claims what the API has done. If it echoes the request, and the API stores something else, the next apply
would do the same again, forever, with exit code 0 each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from reconciler.api import find_unkept
from reconciler.apply.creation import take_back
from reconciler.apply.run import Left, Run
from reconciler.apply.steps import LOOKS, PAUSE, unlike_made
from reconciler.errors import ApiError, Interrupted
from reconciler.model import LiveKey, Unchanged, are_close, read_description
from reconciler.plan.changes import Change, Publish
from reconciler.plan.fields import instant
from reconciler.plan.outcomes import Finished, OutcomeState

WAY_OUT = "run apply again; if this persists, report it to Gcore"


def look_at_made(run: Run, changes: Sequence[Change]) -> None:
    """Check that the keys which these changes created are listed as created, before binding them; delete those that
    differ.

    A list that does not show a key yet, or cannot be read, says nothing: the key is read before it is published.
    """
    made = {key.key.id: change for change in changes if (key := run.created.get(change.id.live)) is not None}
    if run.stop.is_set() or not made:
        return
    with suppress(ApiError, Interrupted):
        for live in run.api.list_keys():
            change = made.get(live.id)
            if change is None:
                continue
            unlike = unlike_made(run, live, run.created[change.id.live].key)
            if not unlike:
                run.listed[live.id] = live
                continue
            error = take_back(run, run.created.pop(change.id.live).key, unlike)
            tell(run, change, OutcomeState.FAILED, error.message, error.way_out)


def look_at_listed(run: Run) -> None:
    """Turn the outcome of each change that the list does not confirm from done to unknown.

    A list that cannot be read changes nothing: each change had an answer. A list may be old, but if it shows the marker
    that was written and another `created_at`, the instant moves: one more look may match by luck alone.
    """
    found: dict[str, str] = {}
    moved: dict[str, str] = {}
    for look in range(LOOKS):
        doubtful = [left for left in run.left.values() if run.is_in(left.change.id, OutcomeState.DONE)]
        if run.stop.is_set() or not doubtful:
            return
        try:
            if look:
                run.effects.sleep(PAUSE * 2 ** (look - 1))
            listed = {key.id: key for key in run.api.list_keys()}
        except (ApiError, Interrupted):
            break
        found = {left.former.id: why for left in doubtful if (why := find_otherwise(run, left, listed))}
        moved |= {left.former.id: why for left in doubtful if (why := find_moved(left, listed))}
        if not found:
            break
    for key_id, why in {**found, **moved}.items():
        tell(run, run.left[key_id].change, OutcomeState.UNKNOWN, why, WAY_OUT)


def tell(run: Run, change: Change, state: OutcomeState, detail: str, way_out: str) -> None:
    """Report another outcome of a change that counted as done."""
    outcome = replace(run.outcomes[change.id], state=state, detail=detail, way_out=way_out)
    run.outcomes[change.id] = outcome
    run.listener(Finished((outcome,)))


def find_otherwise(run: Run, left: Left, listed: dict[str, LiveKey]) -> str:
    """How the live key differs from what a change has left; `""` if it does not."""
    former, live = left.former, listed.get(left.former.id)
    if left.written is None:
        # Someone has since created one with another marker, under the same name.
        is_there = live is not None and live.ownership == former.ownership
        return f"the API reported that it deleted {former.name}, but still lists it" if is_there else ""
    if live is None:
        return f"the API does not list {former.name}, which was just written"
    wanted = left.written
    if isinstance(wanted.expires_at, Unchanged):
        wanted = replace(wanted, expires_at=former.expires_at)
    unkept = find_unkept(live, wanted, run.api.now())
    return f"the API lists {former.name} with another {unkept} than was written" if unkept else ""


def find_moved(left: Left, listed: dict[str, LiveKey]) -> str:
    """A sentence if a published key is listed with another `created_at` than its record has; `""` if not."""
    live = listed.get(left.former.id)
    if live is None or left.written is None or not isinstance(left.change, Publish):
        return ""
    if live.ownership != read_description(left.written.description)[1]:
        return ""
    if are_close(live.created_at, left.former.created_at):
        return ""
    return (
        f"the API lists {left.former.name} with another created_at than when its secret was published"
        f" ({instant(live.created_at)} and not {instant(left.former.created_at)})"
    )
