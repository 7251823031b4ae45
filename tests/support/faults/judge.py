"""Promises 4, 6, 7 and 8: what has to hold at the end of a run, and of a recovery."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from reconciler.errors import NotAsDeclared
from reconciler.model import Auth
from reconciler.plan.changes import DeleteKey, Plan
from reconciler.plan.outcomes import OutcomeState
from support.faults.effects import FILE_WRITES, Kind, TracedEffects
from support.faults.limits import find_limit
from support.faults.run import Ran, run_once
from support.faults.scenarios import Scenario
from support.faults.watch import Watch
from support.faults.world import MARKER, FaultWorld

A_MINUTE = timedelta(minutes=1)
JUDGED = frozenset({Kind.BIND, Kind.CREATE})
"""Requests whose bodies tell what was never to be sent."""
SINK_WRITES = FILE_WRITES - {Kind.SYNC_FOLDER} | {Kind.STORE, Kind.CLOUD_WRITE, Kind.WEB_WRITE}
TRIALS = "/.keyform.tmp"
"""The folder in which a sink tries what it will do; what it writes there is gone again, and in no sink."""


def judge_exit_code(
    ran: Ran, world: FaultWorld, watch: Watch, look: Callable[[datetime | None], Plan], *, saw_less: bool
) -> None:
    """P8: exit code 0 if and only if everything that was planned was done.

    After 0, nothing that was planned is still to be done by a look without faults; and nothing else is either, unless
    the run could not see it (`saw_less`): its readings were stale, or a request took effect after they were made. After
    another code, the run says what is not done, and why. (A step that was done but never confirmed counts as not done:
    nobody can know.)

    `look` gives what a run would do now, seen without a fault and without doing anything; what is due is decided by the
    instant that it is given: an overlap that ended while a run waited was not to be seen by it.
    """
    if ran.code is None:
        return
    watch.evaluations[8] += 1
    if ran.code == 0:
        left = look(ran.plan.made_at if ran.plan else None)
        planned = {change.id for change in ran.plan.changes} if ran.plan else set()
        undone = [change.id for change in left.changes if change.id in planned or not saw_less]
        if undone or ((left.refusals or left.unmet) and not saw_less):
            watch.violate(8, f"exit code 0, and still to be done: {', '.join(map(str, undone))}")
    elif ran.result is not None:
        told = [outcome for outcome in ran.result.outcomes if outcome.state is not OutcomeState.DONE]
        if not (told or isinstance(ran.error, NotAsDeclared)) or not all(outcome.detail for outcome in told):
            watch.violate(8, "exit code 1, and no outcome says why")
        live = world.live_secrets()
        for outcome in told:
            change = outcome.change
            if isinstance(change, DeleteKey) and outcome.state is OutcomeState.FAILED and change.live.name not in live:
                watch.violate(8, f"{change.live.name} is deleted, and the run says that this failed")
    elif ran.error is None or not ran.error.message:
        watch.violate(8, "exit code 1 without an error")


def judge_requests(ran: Ran, watch: Watch) -> None:
    """What may never be sent: a create again (P1: the first secret would be lost), an empty list of keys (P2), a key
    that opens something from the start (P6: were the answer lost, it would stay, and nobody would have its secret).

    A create that surely was not processed (429, no connection) may be sent again. In v2 a key's list of deployments may
    be empty: whether a deployment is left without keys, the watch sees.
    """
    watch.evaluations[1] += 1
    watch.evaluations[2] += 1
    watch.evaluations[6] += 1
    creates = [effect.name for effect in ran.trace if effect.kind is Kind.CREATE and effect.number not in ran.refused]
    if len(creates) != len(set(creates)):
        watch.violate(1, "a create was sent twice")
    opened = {endpoint.ref.name for endpoint in watch.after.endpoints if endpoint.auth is Auth.OPEN}
    for effect in ran.trace:
        body = json.loads(effect.request.body) if effect.kind in JUDGED and effect.request is not None else {}
        if effect.kind is Kind.BIND and not body.get("api_keys") and effect.name.split(" ")[-1] not in opened:
            watch.violate(2, f"an empty list was sent: {effect}")
        if effect.kind is Kind.CREATE and body.get("inference_instance_ids"):
            watch.violate(6, f"a key was made that opens something from the start: {effect}")


def judge_clean_run(ran: Ran, scenario: Scenario, watch: Watch) -> None:
    """P6, first half: a run without faults does everything that is to be done; or it is refused as it has to be.

    Where the API cannot do all of it, it says so of that, and does the rest.
    """
    watch.evaluations[6] += 1
    limit = find_limit(scenario, watch.world.emulator.modes)
    if limit is not None:
        if not limit.is_told(ran):
            watch.violate(6, f"a clean run ended with {ran.code}, and not because of {limit.mode}: {ran.why}")
    elif scenario.refused:
        if ran.code != 1 or not ran.was_refused or ran.writes:
            watch.violate(6, "a plan that has to be refused was not, or something was changed")
    elif ran.code != 0:
        watch.violate(6, f"a clean run ended with {ran.code}: {ran.why}")


def judge_second_run(ran: Ran, scenario: Scenario, watch: Watch) -> None:
    """P7: a second apply makes no mutating call and no sink write.

    Where the API cannot do all of it, the second tries again, and says the same; it writes no sink.
    """
    watch.evaluations[7] += 1
    limit = find_limit(scenario, watch.world.emulator.modes)
    if limit is not None:
        saved = (effect for effect in ran.writes if effect.kind in SINK_WRITES and TRIALS not in effect.name)
        names = ", ".join(map(str, saved))
        if names or not limit.is_told(ran):
            watch.violate(7, f"a second run ended with {ran.code}, and not because of {limit.mode}: {ran.why} {names}")
    elif ran.code != (1 if scenario.refused else 0) or ran.writes:
        names = ", ".join(str(effect) for effect in ran.writes)
        watch.violate(7, f"a second run ended with {ran.code}, and did: {names}")


def judge_state(world: FaultWorld, scenario: Scenario, watch: Watch, *, settled: bool) -> None:
    """P6, second half: what is live is what the file says, with nothing left over; `settled`: no overlap is pending."""
    watch.evaluations[6] += 1
    world.clock.advance(max(world.emulator.modes.data_plane_lag, world.emulator.modes.lists_lag))
    watch.check("recovery")
    limit = find_limit(scenario, world.emulator.modes)
    with world.standing_still():
        for text in find_faults(world, scenario, settled=settled):
            if limit is None or not re.match(limit.leaves, text):
                watch.violate(6, text)


def find_faults(  # noqa: PLR0912 - a list of what can be wrong
    world: FaultWorld, scenario: Scenario, *, settled: bool
) -> Iterator[str]:
    """Everything that is not as the file says."""
    live = world.live_keys()
    marked = world.marked()
    expected = world.secret_files()
    if scenario.refused:
        return  # and so nothing was tidied, not even an expired lock of a run that was shown nothing but the past
    yield from (f"the lock {name} is left" for name in live if name.startswith("keyform-lock-"))
    yield from (f"the file {path} is left" for path in world.files() if path not in expected)
    yield from (f"the folder {path} is left" for path in world.folders() if path.endswith(".keyform.tmp"))
    after = scenario.after
    declared = {key.name: key for key in after.keys}
    # What has another name by now stays for the overlap, and where it was; what is forgotten stays for good.
    former = {} if settled else {name: declared[to] for name, to in after.heirs.items() if to in declared}
    for found in marked:
        if found.phase in ("pending", "revoked") or found.key not in {*declared, *former}:
            yield f"{found.live_name} is left, {found.phase}"
    for sink in world.sinks:
        for held, secret in world.holds(sink).items():
            if held in former or held in after.forgotten:
                continue
            if held not in declared or sink not in declared[held].sinks:
                yield f"sink {sink} still holds {held}"
            elif secret not in {found.secret for found in marked if found.key == held}:
                yield f"sink {sink} holds a secret of {held} that opens nothing"
    for name, key in declared.items():
        mine = sorted((found for found in marked if found.key == name), key=lambda found: found.generation)
        if not mine or (settled and len(mine) > 1):
            yield f"{name} has {len(mine)} generations"
            continue
        newest = mine[-1]
        text = MARKER.sub("", live[newest.live_name].description or "").strip()
        if text != key.description:
            yield f"{newest.live_name} is described as {text!r}"
        made = live[newest.live_name]
        if key.lifetime is None and made.expires_at != key.expires_at:
            yield f"{newest.live_name} expires {made.expires_at}"
        if key.lifetime is not None and (
            made.expires_at is None or abs(made.expires_at - made.created_at - key.lifetime) > A_MINUTE
        ):
            yield f"{newest.live_name} was made {made.created_at} and expires {made.expires_at}"
        for sink in key.sinks if newest.phase != "adopted" else ():
            if world.holds(sink).get(name) != newest.secret:
                yield f"sink {sink} does not hold {newest.live_name}"
        for ref in key.endpoints:
            if not world.accepts(ref, newest.secret):
                yield f"{ref} refuses {newest.live_name}"
    for ref in watch_endpoints(world):
        names = {
            found.live_name
            for found in marked
            if (owner := declared.get(found.key) or former.get(found.key)) and ref in owner.endpoints
        }
        there = {found.live_name for found in marked if found.live_name in world.bound(ref)}
        if there - names or (settled and there != names):
            yield f"{ref} has {sorted(there)} and not {sorted(names)}"
    for endpoint in after.endpoints:
        if endpoint.auth is Auth.OPEN and not world.accepts(endpoint.ref, None):
            yield f"{endpoint.ref} is not open"


def watch_endpoints(world: FaultWorld) -> list:  # type: ignore[type-arg]
    """All endpoints."""
    from support.states import desired

    return Watch(world, desired(), desired()).endpoints


def longest_overlap(scenario: Scenario) -> timedelta:
    """After this time, all overlaps of a rotation have ended."""
    return max((key.overlap for key in scenario.after.keys), default=timedelta(0))


def run_again(world: FaultWorld, scenario: Scenario, watch: Watch) -> Ran:
    """A run without faults, watched."""
    return run_once(world, scenario.after, TracedEffects(world, watch=watch))
