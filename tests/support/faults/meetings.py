"""What meets a run half-way: a portal user's edit, or a second keyform, at every one of its effects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.emulator import Request
from reconciler.model import DesiredState
from support.faults.cases import Prepared, Tally, Verdict, count, recover, search_all
from support.faults.effects import HTTP, Effect, Kind, TracedEffects
from support.faults.run import Ran, run_once
from support.faults.scenarios import BY_NAME, LLAMA
from support.http_fakes import PROJECT, TOKEN
from support.states import desired, key

MEETINGS: dict[str, DesiredState] = {
    "expiry, cut at once": desired(
        key("payments", "llama3", "whisper", overlap=BY_NAME["expiry, cut at once"].after.keys[0].overlap)
    ),
    "first create": BY_NAME["first create"].after,
    "a removed key": BY_NAME["a removed key"].before,
}
"""The scenarios in which a run meets somebody, and the file that a second process has in its place."""


def meet(prepared: Prepared, at: int, what: Callable[[], None]) -> Callable[..., Any]:
    """A hook that lets something happen once, before effect `at`; not while a folder is locked, which is waited for."""
    state = {"done": False}

    def hook(effect: Effect, perform: Callable[[], Any], effects: TracedEffects) -> Any:
        if not state["done"] and effect.number >= at and not effects.world.disk.locks:
            state["done"] = True
            what()
        return perform()

    return hook


def judge_two_processes(prepared: Prepared, other: DesiredState, at: int, tally: Tally) -> Verdict:
    """The whole run of a second process, with a file of its own, happens at one effect of the first."""
    world, watch = prepared.fork()
    second: list[Ran] = []

    def run_second() -> None:
        effects = TracedEffects(world, watch=watch)
        second.append(run_once(world, other, effects, holder="ci@runner-2"))

    first = run_once(
        world, prepared.scenario.after, TracedEffects(world, hook=meet(prepared, at, run_second), watch=watch)
    )
    for ran in (first, *second):
        search_all(ran, world, watch, tally)
        from support.faults.branches import observe

        tally.reached.update(observe(ran))
    verdict = recover(prepared, world, watch)
    count(prepared, f"a second process at effect {at}", verdict, tally, "meeting")
    return verdict


def judge_portal_edit(prepared: Prepared, at: int, tally: Tally) -> Verdict:
    """A portal user links another foreign key at one effect of a run.

    A list is written as a whole, and the API has no ETag: an edit between the reading of a list and the end of the
    write that rests on it is lost, and nobody can prevent it [I]. At every other instant it has to survive; and in that
    window there is no room for any other effect but polling the task.
    """
    world, watch = prepared.fork()
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

    hook = meet(prepared, at, edit)
    effects = TracedEffects(world, hook=hook, watch=watch)
    trace = effects.trace
    ran = run_once(world, prepared.scenario.after, effects)
    search_all(ran, world, watch, tally)
    if edited_at and in_window(effects.trace, edited_at[0] - 1):
        watch.violations = [found for found in watch.violations if found.promise != 5]
        watch.foreign_on[LLAMA] -= {"late-comer"} - set(world.bound(LLAMA))
    verdict = recover(prepared, world, watch)
    count(prepared, f"a portal edit at effect {at}", verdict, tally, "meeting")
    return verdict


def in_window(trace: list[Effect], number: int) -> bool:
    """Whether an edit before this effect falls between the reading of llama3's list and the end of a write of it."""
    later = [effect for effect in trace[number:] if effect.kind in HTTP]
    if later and later[0].kind is Kind.BIND and later[0].name.endswith(LLAMA.name):
        return True
    return bool(later) and later[0].kind is Kind.POLL
