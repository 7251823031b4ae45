"""`keyform apply`, `destroy` and `rotate`: plan, ask, read again, carry out, and report the outcome."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.events import EventStream
from reconciler.cli.progress import ShownProgress
from reconciler.cli.session import Session, open_session
from reconciler.cli.terminal import Terminal
from reconciler.encoder import shown
from reconciler.errors import KeyformError, NotAsDeclared, PlanIsStale, PlanRefused
from reconciler.model import DesiredState, LockKind, LockSettings

if TYPE_CHECKING:
    from reconciler.apply.lock import Lock
    from reconciler.cli.saved import PlanFile
    from reconciler.plan.changes import Demand, Plan

NOTHING_TO_DESTROY = "Nothing to destroy: the stack owns no live key, and no sink has a record of it."


def run(
    args: argparse.Namespace, terminal: Terminal, ask: Callable[[DesiredState], Demand | None] = lambda _: None
) -> int:
    """Exit code 0 if and only if everything that was planned was done; `ask` is what the command asks for besides the
    file.
    """
    from reconciler.plan.changes import Destroy

    if args.json:
        EventStream(terminal).begin()
    saved = read_saved(args, terminal)
    destroys = args.command == "destroy"
    progress = ShownProgress(terminal)
    with open_session(
        args,
        terminal,
        listener=progress.on_api_event,
        ask=(lambda _: Destroy()) if destroys else ask,
        task_timeout=args.task_timeout,
    ) as session:
        if saved is not None:
            saved.check(session)
        fresh = session.plan(probes=True)
        plan = saved.narrow(fresh) if saved is not None and not fresh.refusals else fresh
        text = as_text(plan, args, terminal)
        if args.json:
            EventStream(terminal).plan(plan)
        else:
            has_nothing = plan.is_empty and not plan.refusals and not plan.unmet
            instead = NOTHING_TO_DESTROY if destroys else saved.explain_nothing(fresh) if saved is not None else ""
            terminal.show(instead if has_nothing and instead else text)
        if plan.refusals:
            raise PlanRefused("The plan is refused. Nothing was changed:", plan.refusals)
        if not plan.is_empty and saved is None and not args.auto_approve:
            if args.json:
                terminal.show_aside(text)
            terminal.approve(question_of(plan, session.demand), review="review the plan")
        if saved is not None:
            saved.tell_left_out(fresh, plan)
        code = execute(session, plan, args, terminal, progress, saved=saved)
        if saved is not None:
            saved.require_whole(plan)
            if code:
                saved.tell_rest()
        return code


def read_saved(args: argparse.Namespace, terminal: Terminal) -> PlanFile | None:
    """The saved plan that is to be carried out, if there is one; its selection becomes that of the command."""
    if getattr(args, "plan_file", None) is None:
        return None
    from reconciler.cli.saved import PlanFile

    if args.target or args.exclude:
        raise KeyformError(
            "A saved plan says itself which keys it is about. Nothing was changed.",
            way_out="leave out --target and --exclude; give them to `keyform plan --out`",
        )
    found = PlanFile.read(args.plan_file, terminal)
    selection = found.saved.plan.selection
    args.target, args.exclude = selection.targets, selection.excludes
    args.auto_approve = False  # it would cover another plan, too
    return found


def as_text(plan: Plan, args: argparse.Namespace, terminal: Terminal) -> str:
    """What a person reads before the question."""
    from reconciler.report.text import render_plan

    return render_plan(terminal.masked(plan), colour=terminal.colour, width=terminal.width, verbose=args.verbose)


def question_of(plan: Plan, demand: Demand | None) -> str:
    """What `yes` means."""
    from reconciler.plan.changes import Destroy, Rotate
    from reconciler.report.summary import summarise

    match demand:
        case Destroy():
            return "Do you want keyform to destroy all of the above?"
        case Rotate(revoke=True):
            count = summarise(plan).rotate
            whose = "the secret of 1 key" if count == 1 else f"the secrets of {count} keys"
            return (
                f"This revokes {whose}, with no overlap: consumers on the old secret are locked out."
                "\nDo you want keyform to perform these actions?"
            )
        case _:
            return "Do you want keyform to perform these actions?"


def open_lock(session: Session, terminal: Terminal, request_limit: float) -> Lock:
    """The lock that the file declares; `request_limit` is how many seconds a request may take at most."""
    from reconciler.apply.api_lock import ApiLock
    from reconciler.apply.lock import FileLock, Locks, NoLock

    def lock_of(stack: str) -> ApiLock:
        return ApiLock(
            session.api,
            session.effects,
            stack=stack,
            holder=name_holder(terminal.env),
            request_limit=request_limit,
            tell=terminal.tell,
        )

    desired = session.desired
    match desired.lock:
        case LockSettings(LockKind.API) if desired.former_stacks:
            # A pipeline that does not know the new name yet must not run beside this one.
            return Locks(lock_of(desired.stack), *map(lock_of, sorted(desired.former_stacks)))
        case LockSettings(LockKind.API):
            return lock_of(desired.stack)
        case LockSettings(LockKind.FILE, path):
            return FileLock(Path(path), session.effects, holder=name_holder(terminal.env))
        case _:
            return NoLock()


def name_holder(env: Mapping[str, str]) -> str:
    """The holder of the lock, for those who wait for it: the pipeline's own address, or the user and the machine."""
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
    session: Session,
    plan: Plan,
    args: argparse.Namespace,
    terminal: Terminal,
    progress: ShownProgress,
    *,
    saved: PlanFile | None = None,
) -> int:
    """Carry out the plan, with progress, and report the outcome; Ctrl-C finishes what runs, and publishes what is
    bound. Nothing is done that a `saved` plan does not have.
    """
    from reconciler.apply import apply_plan, check_plan, clear_away, find_exposures, locked
    from reconciler.plan.outcomes import Result
    from reconciler.report.outcomes import render_result

    stream = EventStream(terminal) if args.json else None
    api, sinks, lock = session.api, session.sinks, open_lock(session, terminal, args.request_timeout)
    result = Result(plan)

    def look() -> Plan:
        return session.plan(at=plan.made_at, probes=True)

    def look_again() -> Plan:
        return look() if saved is None else saved.narrow(look())

    if plan.is_empty:
        clear_away(lock, sinks)
        if plan.repairs and not args.json:
            terminal.show(f"\nRepaired {', '.join(shown(note.address) for note in plan.repairs)}.")
    else:
        with locked(lock, plan, sinks, look_again, timeout=args.lock_timeout) as now:
            is_same = now == plan if saved is None else now.changes == plan.changes and not now.refusals
            if not is_same:
                check_plan(now)
                accept(plan, now, args, terminal)
            # Nothing is left to wait for: from here on, lines may be drawn over, and a signal no longer raises.
            with progress.shown(len(now.changes), stream.follow(now) if stream else None):
                session.interruption.begin_changes()
                result = apply_plan(
                    now,
                    api,
                    sinks,
                    session.effects,
                    fence=lock,
                    parallelism=args.parallelism,
                    listener=progress.on_event,
                    stop=session.interruption.stop,
                    lock_timeout=args.lock_timeout,
                )
                if result.lock_was_lost:
                    result = replace(result, exposures=tuple(find_exposures(result, api, look)))
    unmet = result.plan.unmet
    undone = NotAsDeclared("Apply left part of the configuration undone:", unmet) if unmet else None
    if stream:
        stream.finish(result, undone, destroys=args.command == "destroy")
        if undone:
            terminal.fail(undone)  # on stderr; the stream has it already
            return undone.exit_code
    elif not plan.is_empty:
        told = render_result(terminal.masked(result), colour=terminal.colour, width=terminal.width)
        terminal.show(f"\n{told}")
    if undone:
        raise undone
    return 0 if result.complete else 1


def accept(plan: Plan, moved: Plan, args: argparse.Namespace, terminal: Terminal) -> None:
    """Something live changed meanwhile: only `--auto-approve` covers the new plan, too."""
    from reconciler.plan.differences import explain_difference

    differences = explain_difference(terminal.masked(plan), terminal.masked(moved))
    if not args.auto_approve:
        raise PlanIsStale(
            "Live objects changed after the plan was shown. Nothing was changed.",
            differences=differences,
            way_out="run again to review the new plan",
        )
    if args.json:
        EventStream(terminal).plan(moved)
    show = terminal.show_aside if args.json else terminal.show
    listed = "".join(f"  {shown(each)}\n" for each in differences)
    show(f"\nLive objects changed after the plan was made:\n{listed}\nThe plan is now:\n")
    show(as_text(moved, args, terminal))
