"""`keyform apply`, `destroy` and `rotate`: plan, ask, look again, do, and tell what came of it."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.progress import ShownProgress
from reconciler.cli.stage import Stage, open_stage, without_keys
from reconciler.cli.terminal import Terminal
from reconciler.errors import KeyformError, NotAsDeclared, PlanIsStale, PlanRefused
from reconciler.model import DesiredState, LockKind, LockSettings

if TYPE_CHECKING:
    from reconciler.apply.lock import Lock
    from reconciler.plan.changes import Demand, Plan

NOTHING_TO_DESTROY = "Nothing to destroy: the stack owns no live key, and no sink has a record of it."


def run(
    args: argparse.Namespace, terminal: Terminal, ask: Callable[[DesiredState], Demand | None] = lambda _: None
) -> int:
    """Exit code 0 if and only if all that was planned was done; `ask` gives what is asked for beside the file."""
    from reconciler.report.json import plan_to_json
    from reconciler.report.text import render_plan

    destroys = args.command == "destroy"
    progress = ShownProgress(terminal)
    with open_stage(
        args,
        terminal,
        listener=progress.on_api_event,
        narrow=without_keys if destroys else lambda desired: desired,
        ask=ask,
        task_timeout=args.task_timeout,
    ) as stage:
        plan = stage.plan()
        text = render_plan(terminal.masked(plan), colour=terminal.colour, width=terminal.width)
        if not args.json:
            terminal.show(NOTHING_TO_DESTROY if destroys and plan.is_empty and not plan.refusals else text)
        if plan.refusals:
            if args.json:
                terminal.show(plan_to_json(plan), is_json=True)
            raise PlanRefused("Nothing was changed, because the plan is refused:", plan.refusals)
        if not plan.is_empty and not args.auto_approve:
            if args.json:
                terminal.show_aside(text)
            approve(terminal, destroys=destroys)
        return execute(stage, plan, args, terminal, progress)


def approve(terminal: Terminal, *, destroys: bool) -> None:
    """Ask for `yes`, on a terminal."""
    if not terminal.interactive:
        raise KeyformError(
            "There is nobody to ask: this is not a terminal. Nothing was changed.",
            way_out="review the plan, and run again with --auto-approve",
        )
    what = "remove all of the above" if destroys else "make these changes"
    answer = terminal.ask(f"\nDo you want keyform to {what}? Only 'yes' is taken for an answer: ")
    if answer != "yes":
        raise KeyformError("Not approved: nothing was changed.")


def open_lock(stage: Stage, terminal: Terminal, request_limit: float) -> Lock:
    """The lock that the file declares; `request_limit` is how many seconds a request may take at most."""
    from reconciler.apply.lock import ApiLock, FileLock, NoLock

    match stage.desired.lock:
        case LockSettings(LockKind.API):
            return ApiLock(
                stage.api,
                stage.effects,
                stack=stage.desired.stack,
                holder=name_holder(terminal.env),
                request_limit=request_limit,
                tell=terminal.tell,
            )
        case LockSettings(LockKind.FILE, path):
            return FileLock(Path(path), stage.effects)
        case _:
            return NoLock()


def name_holder(env: Mapping[str, str]) -> str:
    """Who holds the lock, for those who wait for it: the pipeline's own address, or the user and the machine."""
    if env.get("GITHUB_RUN_ID"):
        address = (
            f"{env.get('GITHUB_SERVER_URL', '')}/{env.get('GITHUB_REPOSITORY', '')}/actions/runs/{env['GITHUB_RUN_ID']}"
        )
    elif env.get("CI_JOB_URL"):
        address = env["CI_JOB_URL"]
    else:
        address = f"{env.get('USER') or env.get('LOGNAME') or 'somebody'}@{socket.gethostname()}, process {os.getpid()}"
    return "".join(character for character in address if character.isascii() and character.isprintable())[:150]


def execute(
    stage: Stage,
    plan: Plan,
    args: argparse.Namespace,
    terminal: Terminal,
    progress: ShownProgress,
) -> int:
    """Do it, with progress, and tell what came of it; Ctrl-C finishes the running steps and begins no others."""
    from reconciler.apply import apply_plan
    from reconciler.report.json import result_to_json
    from reconciler.report.outcomes import render_result
    from reconciler.report.text import render_plan

    def show_moved(moved: Plan) -> None:
        """Somebody changed what is live meanwhile: whoever approved everything approves the new plan, no one else."""
        if not args.auto_approve:
            raise PlanIsStale(
                "What is live has changed since the plan was shown. Nothing was changed.",
                way_out="run again: the new plan shows what is to be done now",
            )
        show = terminal.show_aside if args.json else terminal.show
        show("\nWhat is live has changed meanwhile. The plan is now:\n")
        show(render_plan(terminal.masked(moved), colour=terminal.colour, width=terminal.width))

    with ExitStack() as shown:

        def begin() -> None:
            """Nothing is left to wait for: from here on, lines may be drawn over, and a signal raises no more."""
            shown.enter_context(progress.shown(len(plan.changes)))
            stage.interruption.begin_changes()

        result = apply_plan(
            plan,
            stage.api,
            stage.sinks,
            stage.effects,
            lock=open_lock(stage, terminal, args.request_timeout),
            lock_timeout=args.lock_timeout,
            look_again=lambda: stage.plan(at=plan.made_at),
            on_moved=show_moved,
            on_begin=begin,
            parallelism=args.parallelism,
            listener=progress.on_event,
            stop=stage.interruption.stop,
        )
    if args.json:
        terminal.show(result_to_json(result), is_json=True)
    elif not plan.is_empty:
        told = render_result(terminal.masked(result), colour=terminal.colour, width=terminal.width)
        terminal.show(f"\n{told}")
    if result.plan.unmet:
        raise NotAsDeclared("Part of what the file asks for was left undone:", result.plan.unmet)
    return 0 if result.complete else 1
