"""`keyform apply` and `keyform destroy`: plan, ask, look again, do, and tell what came of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.cli.progress import ShownProgress
from reconciler.cli.stage import Stage, open_stage, without_keys
from reconciler.cli.terminal import Terminal
from reconciler.errors import KeyformError, PlanIsStale, PlanRefused

if TYPE_CHECKING:
    from reconciler.plan.changes import Plan

NOTHING_TO_DESTROY = "Nothing to destroy: the stack owns no live key, and no sink has a record of it."


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 0 if and only if all that was planned was done."""
    from reconciler.report.json import plan_to_json
    from reconciler.report.text import render_plan

    destroys = args.command == "destroy"
    progress = ShownProgress(terminal)
    with open_stage(
        args,
        terminal,
        listener=progress.on_api_event,
        narrow=without_keys if destroys else lambda desired: desired,
    ) as stage:
        plan = stage.plan()
        text = render_plan(plan, colour=terminal.colour, width=terminal.width)
        if not args.json:
            terminal.show(NOTHING_TO_DESTROY if destroys and plan.is_empty and not plan.refusals else text)
        if plan.refusals:
            if args.json:
                terminal.show(plan_to_json(plan))
            raise PlanRefused("Nothing was changed, because the plan is refused:", plan.refusals)
        if plan.is_empty and not args.json:
            return 0
        if not plan.is_empty and not args.auto_approve:
            if args.json:
                terminal.tell(text)
            approve(stage, plan, terminal, destroys=destroys)
        return execute(stage, plan, args, terminal, progress)


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
            "What is live has changed since the plan was shown. Nothing was changed.",
            way_out="run again: the new plan shows what is to be done now",
        )


def execute(stage: Stage, plan: Plan, args: argparse.Namespace, terminal: Terminal, progress: ShownProgress) -> int:
    """Do it, with progress, and tell what came of it; Ctrl-C finishes the running steps and begins no others."""
    from reconciler.apply import apply_plan
    from reconciler.report.json import result_to_json
    from reconciler.report.outcomes import render_result

    stage.interruption.begin_changes()
    with progress.shown(len(plan.changes)):
        result = apply_plan(
            plan,
            stage.api,
            stage.sinks,
            stage.effects,
            parallelism=args.parallelism,
            listener=progress.on_event,
            stop=stage.interruption.stop,
        )
    if args.json:
        terminal.show(result_to_json(result))
    else:
        terminal.show("\n" + render_result(result, colour=terminal.colour, width=terminal.width))
    return 0 if result.complete else 1
