"""Random workloads: edits of the file, runs, crashes, faults, portal users and time, in any order."""

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.faults.cases import deliver_after_reading
from support.faults.effects import TracedEffects
from support.faults.faults import Injection, injections, pending_effects
from support.faults.judge import find_faults
from support.faults.run import TASK_TIMEOUT, run_once
from support.faults.scenarios import LATER, LIVE, Scenario
from support.faults.watch import Watch
from support.faults.world import FaultWorld
from support.http_fakes import PROJECT
from support.states import desired, key

from reconciler.model import DesiredState

NAMES = ("alpha", "beta")
ENDPOINTS = ("llama3", "whisper")


@st.composite
def files(draw: st.DrawFn) -> DesiredState:
    """Any file of two keys on two deployments."""
    return desired(
        *(
            key(
                name,
                *draw(st.lists(st.sampled_from(ENDPOINTS), unique=True, min_size=1)),
                text=draw(st.sampled_from(["", "words"])),
                expires_at=draw(st.sampled_from([None, LATER])),
                overlap=draw(st.sampled_from([timedelta(0), timedelta(hours=1)])),
            )
            for name in draw(st.lists(st.sampled_from(NAMES), unique=True))
        ),
        allow_empty=True,
    )


class Workload(RuleBasedStateMachine):
    """The world, its file, and what was relied on since the file was last edited."""

    @initialize(file=files())
    def begin(self, file: DesiredState) -> None:
        self.world = FaultWorld.make(LIVE, {"local": "dotenv"})
        self.file = self.before = file
        self.watch = Watch(self.world, file, file).begin()
        self.added = 0

    def run(self, hook: Any = None) -> int | None:
        """One run; what an earlier one left under way arrives when this one has read everything, or before a fault."""
        if hook is not None:
            self.arrive()
        waits = pending_effects(self.world)
        effects = TracedEffects(self.world, hook=deliver_after_reading if waits else hook, watch=self.watch)
        code = run_once(self.world, self.file, effects).code
        if waits:
            self.arrive()
        return code

    def arrive(self) -> None:
        """A late write takes effect, and a hung one continues."""
        if pending_effects(self.world):
            self.world.deliver()
            self.world.clock.advance(TASK_TIMEOUT)
            self.watch.check("a late arrival")

    @rule(file=files())
    def edit(self, file: DesiredState) -> None:
        """The file changes once all is in order: consumers rely on what was declared until then."""
        self.recover()
        self.before, self.file = self.file, file
        self.watch = Watch(self.world, self.before, file).begin()

    @rule()
    def apply(self) -> None:
        self.run()

    @rule(data=st.data())
    def apply_with_a_fault(self, data: st.DataObject) -> None:
        copy = self.world.fork()
        trace = run_once(copy, self.file).trace
        effect = data.draw(st.sampled_from(trace), label="effect")
        fitting = [found for found in injections(effect) if usable(found)]
        if fitting:
            injection = data.draw(st.sampled_from(fitting), label="fault")
            self.run(injection)
            if injection.fault.name.startswith("machine"):
                self.watch.forget_undone()
                self.watch.check(str(injection))

    @rule(seconds=st.sampled_from([10.0, 700.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @rule(endpoint=st.sampled_from(ENDPOINTS))
    def somebody_links_a_key(self, endpoint: str) -> None:
        self.arrive()  # a whole list that is under way takes off what it does not know; nobody can prevent that
        self.added += 1
        name = f"theirs-{self.added}"
        with self.world.emulator.editing() as store:
            kind = store.run("INSERT INTO keys (project_id, name, secret, created_at) VALUES (?, ?, ?, 0)",
                             PROJECT, name, f"secret-of-{name}")  # fmt: skip
            target = store.row("SELECT id FROM deployments WHERE name = ?", endpoint)
            assert target is not None
            store.run("INSERT INTO bindings VALUES ('deployment', ?, ?, ?)", target["id"], kind, 50 + self.added)
        self.watch.foreign[name] = self.world.emulator.live_keys(PROJECT)[name]
        for ref in list(self.watch.foreign_on):
            if ref.name == endpoint:
                self.watch.foreign_on[ref] |= {name}

    def recover(self) -> None:
        self.world.clock.advance(800)
        if pending_effects(self.world):
            self.run()
            self.world.clock.advance(800)
        code = self.run()
        assert code == 0, "a clean run brings everything about"
        self.world.clock.advance(3700)
        assert self.run() == 0
        scenario = Scenario("workload", self.file, sinks=self.world.sinks)
        assert list(find_faults(self.world, scenario, settled=True)) == []

    @invariant()
    def promises_hold(self) -> None:
        if hasattr(self, "watch"):
            assert self.watch.violations == []

    def teardown(self) -> None:
        if hasattr(self, "watch"):
            self.recover()
            assert self.watch.violations == []


def usable(injection: Injection) -> bool:
    """All of them, but for readings that are all of the past: no run can keep every promise with those."""
    return not (injection.fault.name == "stale" and injection.lasting)


TestWorkloads = Workload.TestCase
TestWorkloads.settings = settings(
    max_examples=12, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
