"""A whole world in process: the emulator, a clock that only sleeping moves, real sinks in a folder, and keyform."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler.apply import apply_plan, check_plan, clear_away, find_exposures, locked
from reconciler.apply.api_lock import ApiLock
from reconciler.apply.lock import Lock, NoLock
from reconciler.effects import Effects
from reconciler.emulator import Answer, Emulator, Kind, Modes, Request, VirtualClock, seed
from reconciler.gcore import GcoreApi
from reconciler.model import DesiredState, LiveKey, Owner, Secret, SinkSettings, Snapshot
from reconciler.plan import compute_plan
from reconciler.plan.changes import Demand, Plan
from reconciler.plan.outcomes import Event, OutcomeState, Result
from reconciler.probing import plan_what_can_be_written
from reconciler.sinks import open_sinks
from reconciler.sinks.protocol import Sink
from reconciler.snapshot import take_snapshot
from support.http_fakes import PROJECT, START, TOKEN, EmulatedEffects, make_api

STACK = "prod"
BASE_URL = "http://127.0.0.1:9"
"""Where the API and its endpoints are: every client of a world is at the same API."""


class WorldEffects(EmulatedEffects):
    """The emulator's clock is the machine's clock too."""

    def now(self) -> datetime:
        return self.emulator.clock.now()

    def monotonic(self) -> float:
        return self.emulator.clock.now().timestamp()


class OtherProcess(WorldEffects):
    """Those of one of several processes, each with a separate chance."""

    def __init__(self, emulator: Emulator, chance: float) -> None:
        super().__init__(emulator)
        self.chance = chance

    def random(self) -> float:
        return self.chance


class World:
    """One project on the emulator, and one folder of sinks."""

    def __init__(
        self,
        folder: Path,
        live: Mapping[str, Any],
        *,
        modes: Modes | None = None,
        sinks: Mapping[str, str] | None = None,
        task_seconds: float = 2.0,
    ) -> None:
        self.folder = folder
        self.clock = VirtualClock(START)
        self.emulator = Emulator(
            clock=self.clock, modes=modes, tokens={TOKEN: [PROJECT]}, task_seconds=task_seconds, seed=7
        )
        seed(self.emulator, {"projects": {PROJECT: dict(live)}})
        self.effects = WorldEffects(self.emulator)
        self.api = make_api(self.effects, base_url=BASE_URL, workers=2)  # as its endpoints are
        self.settings = tuple(
            SinkSettings(name, kind, {"path": str(folder / f"{name}.{kind}")})
            for name, kind in (sinks or {"local": "dotenv"}).items()
        )
        self.events: list[Event] = []
        self.calls: list[str] = []
        self.emulator.listeners.append(self._note_write)

    def _note_write(self, request: Request, answer: Answer) -> None:
        if request.method != "GET":
            self.calls.append(f"{request.method} {request.path.rsplit('/', 1)[-1]} {answer.status}")

    def sinks(self, effects: Effects | None = None) -> dict[str, Sink]:
        """The sinks, opened as a run does."""
        return open_sinks(self.settings, owner=Owner(STACK, self.api.host, PROJECT), effects=effects or self.effects)

    def look(self, desired: DesiredState, sinks: Mapping[str, Sink] | None = None) -> Snapshot:
        """What a run would see now."""
        return take_snapshot(self.api, sinks or self.sinks(), desired)

    def plan(self, desired: DesiredState) -> Plan:
        """What a run would do now."""
        return plan_probed(desired, self.look(desired), self.clock.now(), self.sinks())

    def apply(
        self,
        desired: DesiredState,
        *,
        plan: Plan | None = None,
        sinks: Mapping[str, Sink] | None = None,
        stop: threading.Event | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> Result:
        """One run."""

        def listen(event: Event) -> None:
            self.events.append(event)
            if on_event is not None:
                on_event(event)

        plan, sinks = plan or self.plan(desired), sinks or self.sinks()
        with locked(NoLock(), plan, sinks, lambda: plan):
            return apply_plan(
                plan,
                self.api,
                sinks,
                self.effects,
                parallelism=2,
                listener=listen,
                stop=stop,
            )

    # --- Judging, by the emulator's own opinion -----------------------------------------------------------------------

    def live_names(self) -> list[str]:
        """All live keys."""
        return sorted(self.emulator.live_keys(PROJECT))

    def owned(self) -> list[LiveKey]:
        """The stack's live keys, as keyform reads them."""
        return [key for key in self.api.list_keys() if key.ownership is not None and key.ownership.stack == STACK]

    def bound(self, name: str, kind: Kind = "deployment") -> list[str]:
        """The keys of an endpoint."""
        return sorted(self.emulator.api_keys_of(PROJECT, kind, name))

    def accepts(self, name: str, secret: str | None, kind: Kind = "deployment") -> bool:
        """Whether the data plane lets this secret in."""
        return self.emulator.accepts(PROJECT, kind, name, secret)

    def secret_of(self, live_name: str) -> str:
        """The secret that the API made."""
        return self.emulator.live_keys(PROJECT)[live_name].secret

    def held(self, key: str) -> str | None:
        """The secret that the first sink (a dotenv) holds for a key."""
        path = Path(str(self.settings[0].options["path"]))
        if not path.exists():
            return None
        prefix = f"{key.upper().replace('-', '_')}_KEY="
        lines = [line for line in path.read_text().splitlines() if line.startswith(prefix)]
        return lines[0].removeprefix(prefix).strip("'\"") if lines else None

    def converges(self, desired: DesiredState) -> bool:
        """Whether a plan finds nothing left to do."""
        plan = self.plan(desired)
        return plan.is_empty and not plan.refusals


def states(result: Result) -> dict[str, OutcomeState]:
    """How each change ended, by what it does: `bind payments deployment.llama3`."""
    return {str(outcome.change.id): outcome.state for outcome in result.outcomes}


def apply_locked(world: World, file: DesiredState, effects: WorldEffects) -> Result:
    """One run as a separate process, with a lock, from its plan to its end."""
    api, sinks = make_api(effects, base_url=BASE_URL, workers=1), world.sinks(effects)

    def look() -> Plan:
        return plan_probed(file, take_snapshot(api, sinks, file, workers=1), world.clock.now(), sinks)

    lock = ApiLock(api, effects, stack=STACK, holder="ci", request_limit=30.0)
    return apply_under(lock, look, api, sinks, effects)


def apply_under(
    lock: Lock,
    look: Callable[[], Plan],
    api: GcoreApi,
    sinks: Mapping[str, Sink],
    effects: Effects,
    *,
    plan: Plan | None = None,
    accept: Callable[[Plan], None] = lambda _: None,
    listener: Callable[[Event], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> Result:
    """One run under a lock, from its plan to its end, as the command does it; `accept` is given a plan that moved."""
    plan = plan or look()
    if plan.is_empty:
        check_plan(plan)
        clear_away(lock, sinks)
        return Result(plan)
    with locked(lock, plan, sinks, look) as now:
        if now != plan:
            accept(now)
            check_plan(now)
        result = apply_plan(now, api, sinks, effects, fence=lock, parallelism=1, listener=listener, stop=stop)
        if result.lock_was_lost:
            result = replace(result, exposures=tuple(find_exposures(result, api, look)))
        return result


def plan_probed(
    file: DesiredState, snapshot: Snapshot, now: datetime, sinks: Mapping[str, Sink], demand: Demand | None = None
) -> Plan:
    """The plan of an apply, which sees that the sinks can be written."""

    def compute(read: Snapshot) -> Plan:
        return compute_plan(file, read, now.replace(microsecond=0), demand)

    return plan_what_can_be_written(compute, snapshot, sinks)


_in_portal = threading.Lock()


def patch_in_portal(world: World, deployment: str, names: list[str]) -> None:
    """Somebody sets a deployment's keys, past keyform, and waits. Interceptors call it from several threads."""
    path = f"/cloud/v3/inference/{PROJECT}/deployments/{deployment}"
    with _in_portal:  # or one would put the other's missing hook back
        emulator, hook = world.emulator, world.emulator.interceptor
        emulator.interceptor = None
        answer = emulator.respond(Request.build("PATCH", path, token=TOKEN, json_body={"api_keys": names}))
        assert answer.status == 200
        world.clock.advance(10)
        emulator.interceptor = hook


class BrokenSink(Sink):
    """A sink around another one that fails on demand."""

    def __init__(self, sink: Sink, *, error: Exception, after: bool = False) -> None:
        self._sink = sink
        self._error = error
        self._after = after
        self.name = sink.name
        self.traits = sink.traits

    @property
    def destination(self) -> str:
        return self._sink.destination

    @property
    def exposure(self) -> str:
        return self._sink.exposure

    @property
    def is_evidence(self) -> bool:
        return self._sink.is_evidence

    def probe(self, keys: Any) -> None:
        self._sink.probe(keys)

    def read(self, keys: Any) -> Any:
        return self._sink.read(keys)

    def read_one(self, key: str) -> Any:
        return self._sink.read_one(key)

    def write(self, record: Any, secret: Secret) -> None:
        if self._after:
            self._sink.write(record, secret)
        raise self._error

    def remove(self, key: str) -> None:
        raise self._error
