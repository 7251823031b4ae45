"""`keyform apply` and `keyform destroy`: plan, ask, look again, do, and tell what came of it."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.cli.progress import ShownProgress
from reconciler.cli.stage import Stage, open_stage, without_keys
from reconciler.cli.terminal import Terminal
from reconciler.errors import KeyformError, PlanIsStale

if TYPE_CHECKING:
    from types import FrameType


    from reconciler.plan.changes import Plan
    from reconciler.plan.outcomes import Result


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 0 if and only if all that was planned was done."""
    from reconciler.report.json import plan_to_json, result_to_json
    from reconciler.report.outcomes import render_result
    from reconciler.report.text import render_plan

    narrow = without_keys if args.command == "destroy" else lambda desired: desired
    progress = ShownProgress(terminal)
    with open_stage(args, terminal, listener=progress.on_api_event, narrow=narrow) as stage:
        plan = stage.plan()
        if not args.json:
            terminal.show(render_plan(plan, colour=terminal.colour, width=terminal.width))
        if plan.refusals:
            if args.json:
                terminal.show(plan_to_json(plan))
            terminal.tell("Error: safety refuses this plan; nothing was changed.")
            return 1
        if not plan.is_empty and not args.auto_approve:
            approve(stage, plan, terminal, destroys=args.command == "destroy")
        if plan.is_empty and not args.json:
            return 0
        result = execute(stage, plan, args, terminal, progress)
    if args.json:
        terminal.show(result_to_json(result))
    else:
        terminal.show("\n" + render_result(result, colour=terminal.colour, width=terminal.width))
    return 0 if result.complete else 1


def approve(stage: Stage, plan: Plan, terminal: Terminal, *, destroys: bool) -> None:
    """Ask for `yes`; then look again, since time has passed: a plan that no longer fits is refused, not forced."""
    if not terminal.interactive:
        raise KeyformError(
            "There is nobody to ask: this is not a terminal. Nothing was changed.",
            way_out="review the plan, and run again with --auto-approve",
        )
    what = "remove all of the above" if destroys else "make these changes"
    answer = terminal.ask(f"\nDo you want keyform to {what}? Only 'yes' is taken for an answer: ")
    if answer != "yes":
        raise KeyformError("Not approved: nothing was changed.")
    if stage.plan(at=plan.made_at) != plan:
        raise PlanIsStale(
            "What is live has changed since the plan was shown. Nothing was changed.", way_out="run apply again"
        )


def execute(
    stage: Stage, plan: Plan, args: argparse.Namespace, terminal: Terminal, progress: ShownProgress
) -> Result:
    """Do it, with progress; Ctrl-C finishes the running steps and begins no others."""
    from reconciler.apply import apply_plan

    with stopping(stage, terminal) as stop, progress.shown(len(plan.changes)):
        return apply_plan(
            plan,
            stage.api,
            stage.sinks,
            stage.effects,
            parallelism=args.parallelism,
            listener=progress.on_event,
            stop=stop,
        )


@contextmanager
def stopping(stage: Stage, terminal: Terminal) -> Iterator[threading.Event]:
    """The first SIGINT or SIGTERM lets running steps finish; the second one no longer waits for them."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            stage.effects.abandoned.set()
            return
        stop.set()
        terminal.tell("\nStopping: running steps are being finished. Interrupt again to no longer wait for them.")

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
