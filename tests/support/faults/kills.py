"""Kills for real: the command line as a separate process, over HTTP, with files; SIGKILL at one of its effects.

Every scenario of the suite without AWS is one, in v2 too, whatever is added to it: the file is made from the scenario's
data, and the judge is the one that judges in process. What a kill needs beside that is below: stores that fail, which
in process is a fault.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reconciler.emulator import Modes
from support.faults.case_text import KILL, STOP, Case, Spot, Strike
from support.faults.cases import Prepared, Tally, bring_about, finish
from support.faults.effects import name_request
from support.faults.judge import judge_clean_run
from support.faults.real_world import KEEPER, Image, RealRan, RealWorld
from support.faults.run import Ran
from support.faults.scenarios import HOUR, LATER, SCENARIOS, Scenario, by_age, in_v2
from support.faults.watch import Watch
from support.faults.world import FaultWorld
from support.states import desired, key


@dataclass(frozen=True)
class Story:
    """A scenario; and whether the store of the run that is killed fails, `before` or `after` it has done its work."""

    scenario: Scenario
    store_fails: str = ""

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that is killed; those that recover from it are plain applies."""
        demand = self.scenario.demand
        if demand is None:
            return ("apply",)
        return ("rotate", *sorted(demand.keys), *(("--revoke",) if demand.revoke else ()))


ONE_FAILS = Scenario(
    "two sinks, one of which fails",
    desired(key("payments", "llama3", expires_at=LATER, overlap=HOUR, sinks=["local", "vault"])),
    desired(key("payments", "llama3", overlap=HOUR, sinks=["local", "vault"])),
    sinks={"local": "dotenv", "vault": "store"},
)


def is_real(scenario: Scenario) -> bool:
    """A real process would ask a real AWS: those scenarios are killed in memory alone, at the same calls."""
    return not {"cloud", "parameters", "vault"} & {*scenario.sinks.values()}


STORIES: dict[str, Story] = {scenario.name: Story(scenario) for scenario in SCENARIOS if is_real(scenario)} | {
    f"{scenario.name}, {when} it has saved": Story(scenario, when)
    for scenario in (ONE_FAILS, in_v2(by_age(ONE_FAILS, ONE_FAILS.name)))
    for when in ("before", "after")
}


@dataclass(frozen=True)
class Ready:
    """A story up to the run that is to be killed."""

    name: str
    story: Story
    image: Image
    prepared: Prepared
    points: tuple[str, ...]
    """Every kill point of that run, by name."""

    def case(self, what: str, at: int) -> Case:
        """The name of what happens at a point."""
        name = self.points[at]
        return Case(self.name, (Strike(what, Spot(name, self.points[: at + 1].count(name))),))

    def find(self, spot: Spot) -> int:
        """The number of a point. Raises ValueError where there is none."""
        found = [number for number, name in enumerate(self.points) if name == spot.name]
        if len(found) < spot.nth:
            raise ValueError(f"{self.name} has no kill point {spot}")
        return found[spot.nth - 1]


def apply_again(world: FaultWorld, scenario: Scenario, watch: Watch) -> Ran:
    """A process of keyform that nothing happens to."""
    assert isinstance(world, RealWorld)
    return world.run(scenario.after, watch)


@cache
def make_ready(name: str) -> Ready:
    """Bring about the state before, and count the kill points of the run that follows."""
    story = STORIES[name]
    scenario = story.scenario
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "before"
        folder.mkdir()
        world = RealWorld.make_real(folder, scenario.live, scenario.sinks, scenario.in_modes(Modes()))
        watch = bring_about(world, scenario, world.run)
        prepared = Prepared(scenario, Modes(), world, watch, again=apply_again)
        image = world.image()
        world.close()
    ready = Ready(name, story, image, prepared, ())
    with begin(ready) as (world, watch):
        ran = run_story(ready, world, watch)
        judge_unharmed(story, ran, watch)
        assert not watch.violations, watch.violations
    return Ready(name, story, image, prepared, tuple(map(name_point, ran.points)))


def name_point(point: str) -> str:
    """A kill point without what is different on another machine, or in another run."""
    point = re.sub(r"/cloud/v1/tasks/\S+", "task", point)
    point = re.sub(r"/cloud/\S*/", "", point)
    return point.replace(f"{KEEPER.parent}/", "")


@contextmanager
def begin(ready: Ready) -> Iterator[tuple[RealWorld, Watch]]:
    """A copy of the state before, to spoil."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "world"
        folder.mkdir()
        world = RealWorld.load(folder, ready.image)
        try:
            yield world, ready.prepared.watch.fork(world)
        finally:
            world.close()


def run_story(ready: Ready, world: RealWorld, watch: Watch, kill_at: int = -1) -> RealRan:
    """The run that the story is about."""
    story = ready.story
    return world.run(story.scenario.after, watch, *story.argv, kill_at=kill_at, store_fails=story.store_fails)


def judge_unharmed(story: Story, ran: RealRan, watch: Watch) -> None:
    """P8 of the run when nobody kills it: it does all, or it is refused, or it says that a store has failed."""
    if not story.store_fails:
        judge_clean_run(ran, story.scenario, watch)
    elif ran.code != 1 or "sink vault" not in ran.said[0]:
        watch.violate(8, f"a store failed, and the run ended with {ran.code}: {ran.why}")


def count_points(name: str) -> int:
    """How many kill points a story has."""
    return len(make_ready(name).points)


def part_of_points(name: str, part: int, parts: int) -> range:
    """One of several parts of a story's kill points; neighbours share many recoveries, and stay together."""
    total = count_points(name)
    return range(part * total // parts, (part + 1) * total // parts)


def judge_kill(name: str, kill_at: int, tally: Tally, bug: str = "") -> None:
    """Kill a process at a point; the next one has to bring everything about. The bug is in all of them."""
    ready = make_ready(name)
    with begin(ready) as (world, watch):
        world.bug = bug
        ran = run_story(ready, world, watch, kill_at)
        if ran.code is not None:
            watch.violate(8, f"it was not killed, and ended with {ran.code}: {ran.why}")
        tally.note("the process that is killed", ran, world, watch)
        finish(ready.prepared, world, watch, ready.case(KILL, kill_at), tally, "kill")


# --- Stopped, and going on --------------------------------------------------------------------------------------------

LONGER_THAN_A_LOCK = 720.0
"""Seconds: after them another run takes the lock over."""
LOCK = "keyform-lock-"


def checks_of_the_lock(name: str) -> tuple[int, ...]:
    """The points of a story right before a look at the lock that is to let a write pass.

    In v2 a key is looked at before it is deleted, and so is the lock that is given back: that is no such look.
    """
    sent = [(number, point) for number, point in enumerate(make_ready(name).points) if point.startswith("send ")]
    following = [*(point for _, point in sent[1:]), ""]
    is_v2 = STORIES[name].scenario.api == "v2"
    return tuple(
        number
        for (number, point), then in zip(sent, following, strict=True)
        if point.startswith("send GET") and LOCK in point and not (is_v2 and then.startswith(f"send DELETE {LOCK}"))
    )


def judge_stop(name: str, stop_at: int, tally: Tally) -> None:
    """Stop a process right before it looks at its lock, for longer than that lives, while another run does it all.

    Then it continues: it has to see that the lock is gone, send no more writes, and say so.
    """
    ready = make_ready(name)
    scenario = ready.story.scenario
    with begin(ready) as (world, watch):
        after = 0

        def meanwhile() -> None:
            nonlocal after
            world.clock.advance(LONGER_THAN_A_LOCK)
            watch.check("a process is stopped")
            other = world.run(scenario.after, watch)
            assert other.code == 0, other.said
            after = len(world.answered)

        ran = world.run(scenario.after, watch, *ready.story.argv, stop_at=stop_at, meanwhile=meanwhile)
        sent = [name_request(request, world.name_of)[1] for request in world.answered[after:]]
        late = [name for name in sent if not name.startswith(("GET ", f"DELETE {LOCK}"))]
        if late:
            watch.violate(1, f"after its lock was lost it wrote {late}")
        if ran.code != 1 or "was lost: " not in " ".join(ran.said[0].split()):
            watch.violate(8, f"its lock was lost, and it ended with {ran.code}: {ran.why}")
        tally.note("the process that is stopped", ran, world, watch)
        finish(ready.prepared, world, watch, ready.case(STOP, stop_at), tally, "stop")
