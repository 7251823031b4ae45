"""Runs of keyform against a server that takes liberties with what it is asked, and what the third plan then says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from reconciler.apply.api_lock import ApiLock
from reconciler.apply.lock import Lock, NoLock
from reconciler.emulator import Modes
from reconciler.errors import KeyformError
from reconciler.model import DesiredState
from reconciler.plan import compute_plan
from reconciler.plan.changes import Demand, Plan
from reconciler.plan.outcomes import OutcomeState
from reconciler.snapshot import take_snapshot
from support.http_fakes import PROJECT, START, make_api
from support.states import days, key
from support.worlds import BASE_URL, STACK, OtherProcess, World, apply_under

TASK_TIMEOUT = 20.0
LIVE: dict[str, Any] = {
    "api_keys": [{"name": "portal-made", "description": "somebody's own"}],
    "deployments": [
        {"name": "llama3", "image": "demo/llama3", "api_keys": ["portal-made"]},
        {"name": "whisper", "image": "demo/whisper", "api_keys": ["portal-made"]},
    ],
}
TEXTS = (
    *("", "Checkout", "Z\u00fcrich", "a & b <c> 'd'", "two  blanks", "\u043a\u043b\u044e\u0447", "x" * 100),
    *("[brackets] \u2013 dash", "\U0001f469\u200d\U0001f4bb at work", "back\\slash \u00a0 nbsp"),
)
"""Descriptions as the file gives them to the model: composed and trimmed."""
ROTATIONS: tuple[dict[str, Any], ...] = (
    {},
    {"expires_at": START + days(30)},
    {"expires_at": START.replace(hour=0) + days(30)},
    {"expires_at": START + timedelta(days=30, minutes=7, seconds=9)},
    {"expires_at": START + days(30), "every": days(10)},
    {"every": days(60), "lifetime": days(90)},
    {"lifetime": days(31), "overlap": timedelta(0)},
    {"lifetime": timedelta(hours=26)},
    {"lifetime": timedelta(hours=40), "overlap": timedelta(hours=38)},
)
MORTAL = key("payments", "llama3", "whisper", text="Checkout & co", lifetime=days(30))


@dataclass
class Stage:
    """One project of a server, and keyform's runs there, each a separate process."""

    folder: Path
    modes: Modes
    api: str = "v3"
    has_lock: bool = True
    world: World = field(init=False)
    runs: int = 0
    said: list[str] = field(default_factory=list)
    """What the runs have said of what they have not done."""

    def __post_init__(self) -> None:
        self.world = World(self.folder, LIVE, modes=self.modes, task_seconds=0.5)
        self.world.emulator.base_url = BASE_URL  # a secret goes to no other plain http

    def file(self, desired: DesiredState) -> DesiredState:
        """The same file for the API of this stage."""
        return replace(desired, api=self.api)

    def take_liberties(self, **modes: Any) -> None:
        """From now on, the server behaves so."""
        self.world.emulator._world.modes = replace(self.world.emulator._world.modes, **modes)

    def apply(self, desired: DesiredState, demand: Demand | None = None) -> int:
        """One run; its exit code."""
        world, desired = self.world, self.file(desired)
        self.runs += 1
        effects = OtherProcess(world.emulator, self.runs / 100)
        api = make_api(effects, base_url=BASE_URL, generation=self.api, workers=1, task_timeout=TASK_TIMEOUT)
        sinks = world.sinks(effects)

        def look() -> Plan:
            snapshot = take_snapshot(api, sinks, desired, workers=1)
            return compute_plan(desired, snapshot, api.now().replace(microsecond=0), demand)

        chance = ApiLock(api, effects, stack=STACK, holder="ci & co", request_limit=30.0)
        lock: Lock = chance if self.has_lock else NoLock()
        try:
            result = apply_under(lock, look, api, sinks, effects)
        except KeyformError as error:
            self.said.append(" ".join(error.lines()))
            return error.exit_code
        undone = [outcome for outcome in result.outcomes if outcome.state is not OutcomeState.DONE]
        self.said += [outcome.detail for outcome in undone]
        return 0 if result.complete and not result.plan.unmet else 1

    def plan(self, desired: DesiredState) -> Plan:
        """What a run would do now."""
        desired = self.file(desired)
        api = make_api(self.world.effects, base_url=BASE_URL, generation=self.api, workers=1)
        snapshot = take_snapshot(api, self.world.sinks(), desired, workers=1)
        return compute_plan(desired, snapshot, api.now().replace(microsecond=0))

    def names(self) -> list[str]:
        """What is live, but for what was there from the start."""
        return sorted(set(self.world.emulator.live_keys(PROJECT)) - {"portal-made"})
