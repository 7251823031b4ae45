"""What meets a run half-way, at every one of its effects: a portal user's edit, a second keyform, a first signal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from reconciler.emulator import Request
from reconciler.model import DesiredState
from support.faults.case_text import FIRST_SIGNAL, PORTAL_EDIT, SECOND_PROCESS, Spot, Strike
from support.faults.cases import Prepared, Tally, finish
from support.faults.effects import HTTP, Effect, Kind, TracedEffects
from support.faults.run import Ran, run_once
from support.faults.scenarios import BY_NAME, LLAMA, Scenario
from support.faults.world import FaultWorld
from support.http_fakes import PROJECT, TOKEN
from support.states import desired, key

PORTAL_MADE = "portal-made"
EDITED = "edited in the portal"


def rebound(file: DesiredState, *deployments: str) -> DesiredState:
    """The file, with its first key bound to these."""
    first, *others = file.keys
    return replace(file, keys=(replace(first, bindings=key(first.name, *deployments).bindings), *others))


MEETINGS: dict[str, DesiredState] = {
    "expiry, cut at once": desired(
        key("payments", "llama3", "whisper", overlap=BY_NAME["expiry, cut at once"].after.keys[0].overlap)
    ),
    "first create": BY_NAME["first create"].after,
    "a removed key": BY_NAME["a removed key"].before,
    "first create, v2": BY_NAME["first create, v2"].after,
    "a rotation, cut at once, v2": rebound(BY_NAME["a rotation, cut at once, v2"].after, "llama3", "whisper"),
    "a removed key, v2": BY_NAME["a removed key, v2"].before,
    "exclusive, v2": BY_NAME["exclusive, v2"].before,
    "an expiry that comes sooner, v2": BY_NAME["an expiry that comes later, v2"].after,
}
"""The scenarios in which a run meets somebody, and the file that a second process has in its place."""


def meet(at: Spot, what: Callable[[], None]) -> Callable[..., Any]:
    """A hook that lets something happen once, before effect `at`; not while a folder is locked, which is waited for."""
    state = {"due": False, "done": False}

    def hook(effect: Effect, perform: Callable[[], Any], effects: TracedEffects) -> Any:
        state["due"] |= effect.spot == at
        if state["due"] and not state["done"] and not effects.world.disk.locks:
            state["done"] = True
            what()
        return perform()

    return hook


def judge_two_processes(prepared: Prepared, at: Spot, tally: Tally) -> None:
    """The whole run of a second process, maybe with another file, happens at one effect of the first."""
    other = MEETINGS.get(prepared.scenario.name, prepared.scenario.after)
    world, watch = prepared.fork()
    second: list[Ran] = []

    def run_second() -> None:
        effects = TracedEffects(world, watch=watch)
        second.append(run_once(world, other, effects, holder="ci@runner-2"))

    first = run_once(world, prepared.scenario.after, TracedEffects(world, hook=meet(at, run_second), watch=watch))
    for who, ran in (("the run that is met", first), *(("the second process", ran) for ran in second)):
        tally.note(who, ran, world, watch)
    finish(prepared, world, watch, prepared.case(Strike(SECOND_PROCESS, at)), tally, "meeting")


def judge_portal_edit(prepared: Prepared, at: Spot, tally: Tally) -> None:
    """A portal user links another foreign key at one effect of a run; in v2 he also edits one that is there.

    What is written as a whole, a list of keys or in v2 a key, is so without an ETag: an edit between its reading and
    the end of the write that depends on it is lost, and nobody can prevent it [I]. At every other instant it has to
    survive; and in that window there is no room for any other effect but polling the task. In v2 a key that is linked
    is another key than those that keyform writes: it survives at every instant.
    """
    world, watch = prepared.fork()
    is_v2 = prepared.scenario.api == "v2"
    trace: list[Effect] = []
    edited_at: list[int] = []

    def edit() -> None:
        path = f"/cloud/v3/inference/{PROJECT}"
        world.emulator.respond(Request.build("POST", f"{path}/api_keys", token=TOKEN, json_body={"name": "late-comer"}))
        bound = list(world.bound(LLAMA))
        edited_at.append(len(trace))
        with world.emulator.editing() as store:
            row = store.row("SELECT id FROM keys WHERE name = 'late-comer'")
            target = store.row("SELECT id FROM deployments WHERE name = ?", LLAMA.name)
            assert row is not None
            assert target is not None
            store.run("INSERT INTO bindings VALUES ('deployment', ?, ?, ?)", target["id"], row["id"], len(bound))
        live = world.emulator.live_keys(PROJECT)["late-comer"]
        watch.foreign["late-comer"] = live
        watch.foreign_on[LLAMA] |= {"late-comer"}
        if is_v2 and PORTAL_MADE in watch.foreign:
            with world.emulator.editing() as store:
                store.run("UPDATE keys SET description = ? WHERE name = ?", EDITED, PORTAL_MADE)
            watch.foreign[PORTAL_MADE] = world.emulator.live_keys(PROJECT)[PORTAL_MADE]

    hook = meet(at, edit)
    effects = TracedEffects(world, hook=hook, watch=watch)
    trace = effects.trace
    ran = run_once(world, prepared.scenario.after, effects)
    tally.note("the run that is met", ran, world, watch)
    if edited_at and is_v2 and is_written_next(effects.trace, edited_at[0] - 1, f"PATCH {PORTAL_MADE}"):
        watch.violations = [found for found in watch.violations if f"foreign key {PORTAL_MADE}" not in found.text]
        watch.foreign[PORTAL_MADE] = world.emulator.live_keys(PROJECT)[PORTAL_MADE]
    elif edited_at and not is_v2 and in_window(effects.trace, edited_at[0] - 1):
        watch.violations = [found for found in watch.violations if found.promise != 5]
        watch.foreign_on[LLAMA] -= {"late-comer"} - set(world.bound(LLAMA))
    finish(prepared, world, watch, prepared.case(Strike(PORTAL_EDIT, at)), tally, "meeting")


def judge_first_signal(prepared: Prepared, at: Spot, tally: Tally) -> None:
    """The user asks to stop, once, at one effect of a run.

    What is made and bound everywhere by then, or by what still runs, is published before the run ends: its secret is
    nowhere else.
    """
    world, watch = prepared.fork()
    stop = threading.Event()
    effects = TracedEffects(world, hook=meet(at, stop.set), watch=watch)
    ran = run_once(world, prepared.scenario.after, effects, demand=prepared.scenario.demand, stop=stop)
    tally.note("the run that is to stop", ran, world, watch)
    bound = set(find_bound(prepared.scenario, world))
    for found in world.marked():
        if found.live_name in bound and found.phase == "pending":
            watch.violate(6, f"{found.live_name} is bound everywhere, and its secret was thrown away")
    finish(prepared, world, watch, prepared.case(Strike(FIRST_SIGNAL, at)), tally, "signal")


def find_bound(scenario: Scenario, world: FaultWorld) -> Iterator[str]:
    """The live names of generations that are bound wherever the file binds their key."""
    declared = {key.name: key for key in scenario.after.keys}
    for found in world.marked():
        if found.key in declared and all(found.live_name in world.bound(ref) for ref in declared[found.key].endpoints):
            yield found.live_name


def is_written_next(trace: list[Effect], number: int, name: str) -> bool:
    """Whether an edit before this effect falls between the reading of a key and the write of it, which is next."""
    later = [effect for effect in trace[number:] if effect.kind in HTTP]
    return bool(later) and later[0].name == name


def in_window(trace: list[Effect], number: int) -> bool:
    """Whether an edit before this effect falls between the reading of llama3's list and the end of a write of it."""
    later = [effect for effect in trace[number:] if effect.kind in HTTP]
    if later and later[0].kind is Kind.BIND and later[0].name.endswith(LLAMA.name):
        return True
    return bool(later) and later[0].kind is Kind.POLL
