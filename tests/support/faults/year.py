"""A year of a stack: hourly applies, rotations, leaks, edits and faults, judged by clients that never stop calling.

Two clients call every deployment that a key opens, over the emulator's data plane. One reads the sink before each
call. The other keeps what it read, and reads again only when an overlap has nearly passed, as a service does that is
restarted now and then. Neither is ever to be refused. What they may rely on is what the file has declared since an
apply last came to its end, so that a binding that is being made, or was taken away, is not called.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from reconciler.emulator import Request
from reconciler.model import DEFAULT_API, DesiredKey, EndpointRef
from reconciler.plan.changes import Rotate
from support.faults.effects import FILE_WRITES, HTTP_WRITES, Effect, Kind, TracedEffects
from support.faults.faults import Injection, injections
from support.faults.run import Ran, run_once
from support.faults.world import FaultWorld
from support.http_fakes import PROJECT
from support.states import days, desired, key, ref

HOUR = timedelta(hours=1)
RELOAD = days(2) - HOUR
"""How long the second client keeps what it has read; no overlap of the files is shorter than two days."""
SINKS = {"local": "dotenv", "jobs": "json", "vault": "store"}
DEPLOYMENTS = ("flux", "llama3", "whisper")
LIVE: dict[str, Any] = {
    "api_keys": [{"name": "portal-made", "description": "somebody's own"}],
    "deployments": [{"name": name, "image": f"demo/{name}", "api_keys": ["portal-made"]} for name in DEPLOYMENTS],
    "applications": [
        {
            "name": "webui",
            "application_name": "open-webui",
            "api_keys": ["portal-made"],
            "components": {"web": {"exposed": True}},
        }
    ],
}
KEYS = (
    key("batch", "llama3", every=days(18), lifetime=days(22), overlap=days(2), sinks=["jobs"]),
    key("nightly", "flux", every=days(10), overlap=days(2), sinks=["vault"]),
    key("payments", "llama3", "whisper", every=days(30), overlap=days(7), sinks=["local"]),
    key("search", "app:webui", "llama3", every=days(14), overlap=days(3), sinks=["jobs", "local"]),
)
V2_LIVE = {name: found for name, found in LIVE.items() if name != "applications"}
V2_KEYS = (*KEYS[:-1], key("search", "flux", "llama3", every=days(14), overlap=days(3), sinks=["jobs", "local"]))
"""What stands for the two in v2, which has no applications."""
SEEN = HTTP_WRITES | FILE_WRITES | {Kind.STORE, Kind.POLL}
"""After these what a client meets may be different."""
UNKEEPABLE = frozenset({Kind.BIND})
"""A list that arrives late overwrites what was written since, and the API has no ETag: nobody can keep that.

In v2 it is a key that is written as a whole, and only this stack writes it: one that arrives late is put right before
anything depends on it.
"""


@dataclass
class Figures:
    """What a year amounted to."""

    hours: int = 0
    runs: int = 0
    failed_runs: int = 0
    published: int = 0
    rotations: int = 0
    revocations: int = 0
    edits: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    kept_requests: int = 0
    """Of these, with a secret that the client had read before."""
    refusals: list[str] = field(default_factory=list)
    revoked_refused: int = 0
    """Leaked secrets that were tried after their revocation, and refused, as they must be."""
    revoked_accepted: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Kept:
    """What the second client has read of a key, and when."""

    secret: str
    since: datetime


class Year:
    """One stack, from its first apply on."""

    def __init__(self, seed: int, *, step: timedelta = HOUR, api: str = DEFAULT_API) -> None:
        self.chance = random.Random(seed)
        self.step = step
        live, keys = (V2_LIVE, V2_KEYS) if api == "v2" else (LIVE, KEYS)
        self.world = FaultWorld.make(live, SINKS)
        self.file = replace(desired(*keys, max_deletes=None, allow_empty=True), api=api)
        self.promised: dict[str, frozenset[EndpointRef]] = {}
        self.kept: dict[str, Kept] = {}
        self.leaked: dict[str, set[str]] = {}
        self.revoking: set[str] = set()
        self.figures = Figures()
        self.seen: dict[str, str] = {}

    def live_through(self, length: timedelta) -> Figures:
        """So much time, step by step."""
        end = self.world.now() + length
        while self.world.now() < end:
            before = self.world.now()
            self.take_turn()
            self.figures.hours += 1
            self.world.clock.advance((before + self.step - self.world.now()).total_seconds())
        return self.figures

    def take_turn(self) -> None:
        """Perhaps somebody edits the file, or a secret leaks; then the pipeline applies; and the clients call."""
        hours = self.step / HOUR
        if self.chance.random() < hours / 100:
            self.edit()
        if self.chance.random() < hours / 500:
            self.leak(self.chance.choice(self.file.keys).name)
        if self.revoking:
            self.apply(Rotate(frozenset(self.revoking), revoke=True))
        elif self.chance.random() < hours / 1000:
            self.apply(Rotate(frozenset({self.chance.choice(self.file.keys).name})))
        self.apply()
        self.call("time passing")

    # --- What happens -------------------------------------------------------------------------------------------------

    def edit(self) -> None:
        """A binding or a key comes or goes, or another field changes."""
        self.figures.edits += 1
        keys = {one.name: one for one in self.file.keys}
        name = self.chance.choice(sorted(keys))
        match self.chance.randrange(6):
            case 0 | 1:
                keys[name] = self._rebind(keys[name])
            case 2:
                keys[name] = replace(keys[name], description=f"Edited {self.figures.edits} times")
            case 3:
                keys[name] = replace(keys[name], overlap=days(self.chance.choice([2, 3])))
            case 4:
                extra = key(f"extra-{self.figures.edits}", "llama3", every=days(5), overlap=days(2), sinks=["local"])
                keys[extra.name] = extra
            case _:
                extras = [other for other in keys if other.startswith("extra")]
                if extras:
                    del keys[self.chance.choice(extras)]
        self.file = replace(self.file, keys=tuple(keys[name] for name in sorted(keys)))
        self.promised = {
            one.name: self.promised[one.name] & one.endpoints for one in self.file.keys if one.name in self.promised
        }
        self.kept = {name: kept for name, kept in self.kept.items() if name in self.promised}
        self.revoking &= set(keys)

    def _rebind(self, one: DesiredKey) -> DesiredKey:
        """Some other deployments, and never none at all."""
        chosen = self.chance.sample(DEPLOYMENTS, self.chance.randint(1, len(DEPLOYMENTS)))
        kept = [binding for binding in one.bindings if binding.endpoint.kind.value == "application"]
        fresh = key(one.name, *chosen).bindings
        return replace(one, bindings=tuple(sorted((*kept, *fresh), key=lambda binding: binding.endpoint)))

    def leak(self, name: str) -> None:
        """Somebody finds the secret in a log; from now on consumers of this key read the sink before each call."""
        if name in self.promised and name not in self.revoking:
            self.figures.revocations += 1
            self.revoking.add(name)
            self.leaked[name] = {self.secret_of(name)} - {""}
            self.kept.pop(name, None)

    def apply(self, demand: Rotate | None = None) -> None:
        """One run of the pipeline; sometimes with a fault, and then again, as its message says."""
        turn = Turn(self)
        ran = turn.run(demand)
        self.figures.runs += 1
        if ran.code != 0:
            self.figures.failed_runs += 1
            return
        if demand is None:
            self.promised = {one.name: one.endpoints for one in self.file.keys}
        elif demand.revoke:
            self.revoking -= demand.keys
            self.try_leaked(demand.keys)

    def try_leaked(self, names: frozenset[str]) -> None:
        """What leaked opens nothing any more."""
        for name in sorted(names):
            for secret in self.leaked.pop(name, set()):
                for endpoint in sorted(self.promised.get(name, ())):
                    if self.world.accepts(endpoint, secret):
                        self.figures.revoked_accepted.append(f"{name} on {endpoint} at {self.world.now()}")
                    else:
                        self.figures.revoked_refused += 1

    # --- The clients --------------------------------------------------------------------------------------------------

    def call(self, after: str) -> None:
        """Both clients, every key, every endpoint."""
        now = self.world.now()
        for name in sorted(self.promised):
            fresh = self.secret_of(name)
            if fresh != self.seen.get(name):
                self.figures.rotations += name in self.seen
                self.figures.published += 1
                self.seen[name] = fresh
            kept = self.kept.get(name)
            if name not in self.revoking and (kept is None or now - kept.since >= RELOAD):
                kept = self.kept[name] = Kept(fresh, now)
            for endpoint in sorted(self.promised[name]):
                self._ask(name, endpoint, fresh, after)
                if kept is not None and kept.secret != fresh:
                    self.figures.kept_requests += 1
                    self._ask(name, endpoint, kept.secret, f"{after}, kept since {kept.since}")

    def _ask(self, name: str, endpoint: EndpointRef, secret: str, after: str) -> None:
        for deployment in self.deployments_of(endpoint):
            path = f"/dataplane/{PROJECT}/deployments/{deployment}/v1/models"
            self.figures.requests += 1
            answer = self.world.emulator.respond(Request("GET", path, "", {"X-API-Key": secret}, b""))
            if answer.status != 200:
                self.figures.refusals.append(f"{name} on {endpoint} at {self.world.now()}: {answer.status} ({after})")

    def deployments_of(self, endpoint: EndpointRef) -> tuple[str, ...]:
        """Where an endpoint answers: an application by each of its deployments."""
        return (endpoint.name,) if endpoint == ref(endpoint.name) else (f"{endpoint.name}-web",)

    def secret_of(self, name: str) -> str:
        """What a consumer reads, from any of the key's sinks."""
        sinks = next(one.sinks for one in self.file.keys if one.name == name)
        return self.world.holds(self.chance.choice(sinks)).get(name, "")


class Turn:
    """One run, and the fault that may strike it: rarely a run that only reads, every third that changes something."""

    def __init__(self, year: Year) -> None:
        self.year = year
        self.injection: Injection | None = None
        self.decided = False
        if year.chance.random() < 1 / 50:
            self.strike_at = year.chance.randrange(12)
        else:
            self.strike_at = -1

    def run(self, demand: Rotate | None) -> Ran:
        """Late requests arrive before it or in its middle; the clients call all along."""
        world = self.year.world
        if self.year.chance.random() < 1 / 2:
            world.deliver()
        effects = TracedEffects(world, hook=self._stand_around, watch=self._look)
        ran = run_once(world, self.year.file, effects, demand=demand)
        world.images = world.images[-3:]
        return ran

    def _look(self, effect: Effect) -> None:
        if effect.kind in SEEN:
            self.year.call(str(effect))

    def _stand_around(self, effect: Effect, perform: Callable[[], Any], effects: TracedEffects) -> Any:
        if effect.kind in HTTP_WRITES:
            self.year.world.deliver()
            if not self.decided:
                self.decided = True
                if self.year.chance.random() < 1 / 3:
                    self.strike_at = effect.number + self.year.chance.randrange(25)
        if self.injection is None and 0 <= self.strike_at <= effect.number:
            found = list(self._fitting(effect))
            if found:
                self.injection = self.year.chance.choice(found)
                self.year.figures.faults[self.injection.fault.name] += 1
        if self.injection is None:
            return perform()
        return self.injection(effect, perform, effects)

    def _fitting(self, effect: Effect) -> Iterator[Injection]:
        for found in injections(effect, unsettled=not self.year.world.disk.is_settled):
            is_late = found.fault.name.startswith("late") or found.fault.name == "task hangs"
            if is_late and effect.kind in UNKEEPABLE:
                continue
            if found.fault.name == "stale" and found.lasting:
                continue  # a run that is shown nothing but the past cannot know what it has done
            yield found


def live_a_year(
    seed: int = 1, length: timedelta = timedelta(days=365), step: timedelta = HOUR, api: str = DEFAULT_API
) -> Figures:
    """A stack's year; deterministic by its seed."""
    return Year(seed, step=step, api=api).live_through(length)
