"""Several stacks of one project meet: all apply at once, and share the deployments that their keys open.

A list of keys belongs to an endpoint, and every stack that binds a key there writes all of it. So each of them could
write back what another has just changed. What is counted is what consumers would see: a binding that the file of a run
declares, that the run said was done (exit code 0), and that is not there.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from reconciler.apply.api_lock import ApiLock
from reconciler.apply.lock import NoLock
from reconciler.effects import Effects
from reconciler.emulator import Emulator, Modes, VirtualClock, seed
from reconciler.errors import KeyformError
from reconciler.model import DesiredKey, DesiredState, Owner, SinkSettings
from reconciler.plan import compute_plan
from reconciler.plan.changes import Plan
from reconciler.plan.outcomes import Result
from reconciler.sinks import open_sinks
from reconciler.sinks.protocol import Sink
from reconciler.snapshot import take_snapshot
from support.faults.stage import Stage, StagedEffects
from support.faults.world import read_dotenv
from support.http_fakes import PROJECT, START, TOKEN, make_api
from support.states import days, desired, key
from support.states import ref as make_ref
from support.worlds import BASE_URL, apply_under

TASK_SECONDS = 5.0
GATHERINGS = {2: 120, 3: 60, 6: 30}
"""How many meetings of so many stacks `make torture` judges."""
SPREAD = 4.0
"""Seconds within which all of them begin."""
SHARED = ("llama3", "whisper", "app:webui")
FOREIGN = "portal-made"
MODES: tuple[Mapping[str, str], ...] = (
    {},
    {"effect": "at_start"},
    {"write_while_busy": "queue"},
    {"write_while_busy": "queue", "effect": "at_start"},
    {"write_while_busy": "refuse"},
    {"write_while_busy": "refuse", "effect": "at_start"},
)
"""How the API may take a write while a task runs, and when a write is seen [U]."""
LIVE: dict[str, Any] = {
    "api_keys": [{"name": FOREIGN}],
    "deployments": [
        {"name": name, "image": f"demo/{name}", "api_keys": [FOREIGN]} for name in SHARED if ":" not in name
    ],
    "applications": [
        {
            "name": "webui",
            "application_name": "open-webui",
            "api_keys": [FOREIGN],
            "components": {"web": {"exposed": True}},
        }
    ],
}


@dataclass
class Counts:
    """What came of gatherings, by how many stacks met."""

    meetings: Counter[int] = field(default_factory=Counter)
    runs: Counter[int] = field(default_factory=Counter)
    runs_done: Counter[int] = field(default_factory=Counter)
    """Those that ended with 0."""
    lost: Counter[int] = field(default_factory=Counter)
    """Bindings that a run which ended with 0 declares, and that are not there in the end."""
    failures: list[str] = field(default_factory=list)
    """What must not be, in words: lost bindings, and everything else."""
    undone: list[str] = field(default_factory=list)
    """Runs that ended with 1, and why."""
    longest: dict[int, float] = field(default_factory=dict)
    """Seconds, on the clock of the world, from the first start to the last end."""

    def add(self, other: Counts) -> None:
        """Take another's in."""
        for name in ("meetings", "runs", "runs_done", "lost"):
            getattr(self, name).update(getattr(other, name))
        self.failures += other.failures
        self.undone += other.undone
        for size, seconds in other.longest.items():
            self.longest[size] = max(seconds, self.longest.get(size, 0.0))

    def as_figures(self) -> list[dict[str, Any]]:
        """A row for each number of stacks."""
        return [
            {
                "stacks": size,
                "meetings": times,
                "runs": self.runs[size],
                "runs_with_exit_code_0": self.runs_done[size],
                "bindings_lost": self.lost[size],
                "longest_seconds": round(self.longest[size]),
            }
            for size, times in sorted(self.meetings.items())
        ]


@dataclass
class Member:
    """One stack: its file before the meeting, the one that it meets with, and what came of its last run."""

    before: DesiredState
    after: DesiredState
    result: Result | None = None
    error: KeyformError | None = None

    @property
    def is_done(self) -> bool:
        """Whether its last run ended with 0."""
        return self.result is not None and self.result.complete

    @property
    def said(self) -> str:
        """Why its last run did not do all."""
        outcomes = self.result.outcomes if self.result else ()
        undone = (f"{each.change.id} {each.state}: {each.detail}" for each in outcomes if each.detail)
        return "; ".join([*(self.error.lines() if self.error else ()), *undone])


class Gathering:
    """One project, and the stacks that share it. `locks`: those of stacks are live keys."""

    def __init__(self, folder: Path, members: list[Member], modes: Modes, chance: str, *, locks: bool = True) -> None:
        self.clock = VirtualClock(START)
        self.emulator = Emulator(
            clock=self.clock,
            modes=modes,
            tokens={TOKEN: [PROJECT]},
            base_url=BASE_URL,
            task_seconds=TASK_SECONDS,
            seed=7,
        )
        seed(self.emulator, {"projects": {PROJECT: LIVE}})
        self.stage = Stage(self.clock)
        self.folder = folder
        self.members = members
        self.locks = locks
        self.requests = 0
        self._chance = random.Random(chance)

    def prepare(self) -> None:
        """Each stack applies its file from before, alone."""
        for member in self.members:
            self.stage.run((0.0, self._process(member, member.before)))

    def meet(self, spread: float = SPREAD) -> None:
        """All of them apply their files, and begin within so many seconds."""
        starts = [0.0, *(self._chance.uniform(0, spread) for _ in self.members[1:])]
        runs = [self._process(member, member.after) for member in self.members]
        self.stage.run(*zip(starts, runs, strict=True))
        self.clock.advance(100)  # whatever is still under way has its effect

    def _process(self, member: Member, file: DesiredState) -> Callable[[], None]:
        effects = StagedEffects(self.stage, self.emulator, str(self._chance.random()))

        def process() -> None:
            api = make_api(effects, base_url=BASE_URL, workers=1)
            sinks = self._open_sinks(file, effects, api.host)

            def look() -> Plan:
                snapshot = take_snapshot(api, sinks, file, workers=1)
                return compute_plan(file, snapshot, api.now().replace(microsecond=0))

            holder = f"{file.stack}@ci"
            lock = (
                ApiLock(api, effects, stack=file.stack, holder=holder, request_limit=30.0) if self.locks else NoLock()
            )
            member.result = member.error = None
            try:
                member.result = apply_under(lock, look, api, sinks, effects)
            except KeyformError as error:
                member.error = error
            self.requests += effects.requests

        return process

    def _open_sinks(self, file: DesiredState, effects: Effects, host: str) -> Mapping[str, Sink]:
        settings = (SinkSettings("local", "dotenv", {"path": str(self.folder / f"{file.stack}.env")}),)
        return open_sinks(settings, owner=Owner(file.stack, host, PROJECT), effects=effects)

    # --- Judging, past keyform ----------------------------------------------------------------------------------------

    def find_lost(self, member: Member) -> Iterator[str]:
        """Bindings that its file declares, of what its sink holds, that are not there."""
        held = self._held(member.after.stack)
        for declared in member.after.keys:
            for ref in sorted(declared.endpoints):
                secret = held.get(declared.name)
                if secret is None or not self.emulator.accepts(PROJECT, ref.kind.value, ref.name, secret):
                    yield f"{ref} refuses {declared.name} of {member.after.stack}"

    def find_faults(self) -> Iterator[str]:
        """Everything else that must not be: a removed binding is back, a foreign binding is gone, a lock is left."""
        live = self.emulator.live_keys(PROJECT)
        yield from (f"the lock {name} is left" for name in live if name.startswith("keyform-lock-"))
        declared = {key.name for member in self.members for key in member.after.keys}
        undone = {key.name for member in self.members if not member.is_done for key in member.before.keys}
        for ref in map(make_ref, SHARED):
            bound = self.emulator.api_keys_of(PROJECT, ref.kind.value, ref.name)
            if FOREIGN not in bound:
                yield f"{ref} has lost the foreign key"
            for name in bound:
                key_name = name.partition("-g")[0]
                if name != FOREIGN and key_name not in declared | undone:
                    yield f"{ref} has {name}, which was removed"
        for member in self.members:
            if not member.is_done and not member.said:
                yield f"{member.after.stack} ended with 1 and does not say why"

    def _held(self, stack: str) -> Mapping[str, str]:
        path = self.folder / f"{stack}.env"
        return read_dotenv(path.read_bytes()) if path.exists() else {}


def draw_members(size: int, chance: random.Random) -> list[Member]:
    """That many stacks, each with its keys, which open some of the deployments that they share."""
    return [draw_member(f"team-{number}", chance) for number in range(size)]


def draw_member(stack: str, chance: random.Random) -> Member:
    """One stack, and what changes in it: keys come and go, are bound elsewhere, or are replaced at once."""

    def some() -> list[str]:
        return chance.sample(SHARED, chance.randint(1, len(SHARED)))

    names = [f"{stack}-{number}" for number in range(chance.randint(1, 3))]
    before = [key(name, *some(), overlap=timedelta(0)) for name in names if chance.random() < 0.6]
    after: list[DesiredKey] = []
    for name in names:
        old = next((each for each in before if each.name == name), None)
        new = key(name, *some(), overlap=timedelta(0))
        match chance.choice(["goes", "stays", "is replaced", "is bound elsewhere"]) if old else "comes":
            case "goes" if after:
                continue
            case "is replaced":
                new = replace(new, expires_at=START + days(90))
            case "stays" if old is not None:
                new = old
            case _:
                pass
        after.append(new)
    return Member(name_it(stack, before), name_it(stack, after))


def name_it(stack: str, keys: list[DesiredKey]) -> DesiredState:
    """The file of a stack."""
    return replace(desired(*keys, allow_empty=True), stack=stack)


def gather(size: int, number: int, seed_of_all: str, *, locks: bool = True) -> Counts:
    """One meeting of that many stacks, judged; `number` decides the mode and, with the seed, every draw."""
    name = f"{seed_of_all} {size} {number}"
    chance = random.Random(name)
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        modes = Modes(**MODES[number % len(MODES)])  # type: ignore[arg-type]
        gathering = Gathering(Path(folder), draw_members(size, chance), modes, name, locks=locks)
        gathering.prepare()
        begun = gathering.clock.now()
        gathering.meet()
        counts.meetings[size] += 1
        counts.longest[size] = (gathering.clock.now() - begun).total_seconds() - 100
        for member in gathering.members:
            counts.runs[size] += 1
            counts.runs_done[size] += member.is_done
            if member.is_done:
                lost = list(gathering.find_lost(member))
                counts.lost[size] += len(lost)
                counts.failures += (f"meeting {size} {number}: lost: {text}" for text in lost)
            else:
                counts.undone.append(f"meeting {size} {number}: {member.after.stack}: {member.said}")
        counts.failures += (f"meeting {size} {number}: {text}" for text in gathering.find_faults())
        gathering.emulator.close()
    return counts
