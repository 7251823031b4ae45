"""One run of `keyform apply --auto-approve`, in process: a new process's objects, and what its user would see."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import reconciler
from reconciler.apply.api_lock import ApiLock
from reconciler.errors import KeyformError, NotAsDeclared, PlanRefused
from reconciler.gcore import GcoreApi
from reconciler.gcore.events import ApiEvent
from reconciler.gcore.generations import dialect_of
from reconciler.model import DesiredState, Secret
from reconciler.plan import compute_plan
from reconciler.plan.changes import Demand, Plan
from reconciler.plan.outcomes import OutcomeState, Result
from reconciler.report.json import outcome_tree, plan_tree
from reconciler.report.outcomes import render_result
from reconciler.report.text import render_plan
from reconciler.snapshot import take_snapshot
from support.faults.effects import WRITES, Effect, Killed, TracedEffects
from support.faults.sinks import open_all
from support.faults.world import FaultWorld
from support.http_fakes import TOKEN
from support.worlds import BASE_URL, apply_under, plan_probed

TASK_TIMEOUT = 60.0
KEYFORM = Path(reconciler.__file__).parent


@dataclass
class Ran:
    """How a run ended: `code` is the process's, None when it was killed; `said` is everything that it showed
    or logged.
    """

    code: int | None
    trace: list[Effect]
    plan: Plan | None = None
    result: Result | None = None
    error: KeyformError | None = None
    moved: bool = False
    refused: set[int] = field(default_factory=set)
    """Numbers of requests that surely were not processed."""
    said: list[str] = field(default_factory=list, repr=False)

    @property
    def writes(self) -> list[Effect]:
        """What it did that could change something."""
        return [effect for effect in self.trace if effect.kind in WRITES]

    @property
    def was_refused(self) -> bool:
        """Whether there was a plan, and keyform would not carry it out."""
        return self.plan is not None and bool(self.plan.refusals)

    @property
    def why(self) -> str:
        """Its report about everything that it did not do."""
        undone = (
            f"{outcome.change.id} {outcome.state.value}: {outcome.detail}"
            for outcome in (self.result.outcomes if self.result else ())
            if outcome.state is not OutcomeState.DONE
        )
        return "; ".join([*(self.error.lines() if self.error is not None else ()), *undone])


def run_once(
    world: FaultWorld,
    desired: DesiredState,
    effects: TracedEffects | None = None,
    *,
    holder: str = "ci@runner-1",
    demand: Demand | None = None,
    stop: threading.Event | None = None,
) -> Ran:
    """Plan, and if there is something to do, lock, look again and do it; as the command line does.

    With a demand, as `keyform rotate` does. `stop` is set by a first signal.
    """
    effects = effects or TracedEffects(world)
    ran = Ran(None, effects.trace, refused=effects.refused)

    def tell(event: Any) -> None:
        # Of the events of requests, which are by far the most, what is text.
        is_request = isinstance(event, ApiEvent)
        ran.said.append(f"{event.method} {event.subject} {event.detail}" if is_request else str(event))

    try:
        ran.code = _run(world, desired, effects, ran, tell, holder, demand, stop)
    except Killed:
        ran.code = None
    except KeyformError as error:
        ran.code, ran.error = error.exit_code, error
        ran.said.append(error.diagnostics())
        ran.said += format_traceback(error)
    ran.said += effects.said
    return ran


def format_traceback(error: KeyformError) -> Iterator[str]:
    """The error's traceback and those of its causes, with all local variables; from where keyform begins."""
    whole = traceback.TracebackException.from_exception
    frames = error.__traceback__
    while frames is not None and KEYFORM not in Path(frames.tb_frame.f_code.co_filename).parents:
        frames = frames.tb_next
    return whole(error.with_traceback(frames), capture_locals=True).format()


def plan_once(world: FaultWorld, desired: DesiredState, effects: TracedEffects, at: datetime | None = None) -> Plan:
    """What a run would do, now or at another instant."""
    api = _open_api(desired, effects, lambda event: None)
    snapshot = take_snapshot(api, open_all(world, desired, effects), desired, workers=1)
    return compute_plan(desired, snapshot, at or api.now().replace(microsecond=0))


def _open_api(desired: DesiredState, effects: TracedEffects, tell: Callable[[object], None]) -> GcoreApi:
    return GcoreApi(
        base_url=BASE_URL,  # as its endpoints are
        token=Secret(TOKEN),
        project=desired.project,
        effects=effects,
        dialect=dialect_of(desired.api),
        named=desired.named,
        workers=1,
        listener=tell,
        task_timeout=TASK_TIMEOUT,
    )


def _run(  # noqa: PLR0917 - each is another thing
    world: FaultWorld,
    desired: DesiredState,
    effects: TracedEffects,
    ran: Ran,
    tell: Callable[[object], None],
    holder: str,
    demand: Demand | None,
    stop: threading.Event | None,
) -> int:
    api = _open_api(desired, effects, tell)
    sinks = open_all(world, desired, effects)

    def look(at: datetime | None = None) -> Plan:
        snapshot = take_snapshot(api, sinks, desired, workers=1)
        return plan_probed(desired, snapshot, at or api.now(), sinks, demand)

    def show(plan: Plan) -> None:
        ran.plan = plan
        ran.said += [render_plan(plan, colour=False), json.dumps(plan_tree(plan))]

    def note_move(plan: Plan) -> None:
        ran.moved = True
        show(plan)

    plan = look()
    show(plan)
    if plan.refusals:
        raise PlanRefused("The plan is refused. Nothing was changed:", plan.refusals)
    lock = ApiLock(api, effects, stack=desired.stack, holder=holder, tell=tell)
    result = apply_under(
        lock,
        lambda: look(plan.made_at),
        api,
        sinks,
        effects,
        plan=plan,
        accept=note_move,
        listener=tell,
        stop=stop,
    )
    ran.result = result
    ran.said += [render_result(result, colour=False), json.dumps([plan_tree(result.plan), outcome_tree(result)])]
    if result.plan.unmet:
        raise NotAsDeclared("Apply left part of the configuration undone:", result.plan.unmet)
    return 0 if result.complete else 1
