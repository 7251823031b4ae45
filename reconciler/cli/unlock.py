"""`keyform unlock`: who holds the stack's locks, since when, and a way to release them."""

from __future__ import annotations

import argparse
import os
import re
import socket

from reconciler.cli.session import Session, open_session
from reconciler.cli.terminal import Terminal
from reconciler.encoder import shown
from reconciler.errors import KeyformError
from reconciler.model import FoundLock, HolderState, LockReport

_PROCESS = re.compile(r"@(?P<host>[^@ ]+), process (?P<pid>[0-9]{1,9})\b", re.ASCII)
RELEASE = "Release it with `keyform unlock --release`, once its holder no longer runs."


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 0 unless a lock that was to be released stays."""
    from reconciler.apply.unlock import find_locks
    from reconciler.report.locks import locks_to_json, render_locks

    with open_session(args, terminal, needs_sinks=False) as session:
        report = find_locks(session.api, session.desired, session.effects, look_for)
        if not args.json:
            terminal.show(render_locks(terminal.masked(report)))
        released = release(session, report, args, terminal) if args.release else []
    if args.json:
        terminal.show(locks_to_json(report, released=released), is_json=True)
    elif not args.release and any(lock.is_held and not lock.hindrance for lock in report.locks):
        terminal.say("", RELEASE)
    stays = [lock for lock in report.locks if lock.is_held and lock.hindrance]
    if args.release and stays:
        first = stays[0]
        raise KeyformError(f"{first.name} was not released: {first.hindrance}.", way_out=first.way_out)
    return 0


def release(session: Session, report: LockReport, args: argparse.Namespace, terminal: Terminal) -> list[FoundLock]:
    """Release what can be, once a person agrees, and give what is released; each is looked at again just before."""
    from reconciler.apply.unlock import release_lock
    from reconciler.report.locks import render_locks

    wanted = [lock for lock in report.locks if not lock.hindrance]
    if not wanted:
        if not report.is_locked:
            terminal.tell("Nothing to release.")
        return []
    if not args.auto_approve:
        if args.json:
            terminal.show_aside(render_locks(terminal.masked(report)))
        approve(wanted, terminal)
    for lock in wanted:
        was_there = release_lock(lock, session.api, session.effects)
        terminal.tell(f"{'Released' if was_there else 'Gone already:'} {shown(lock.name)}.")
    return wanted


def approve(wanted: list[FoundLock], terminal: Terminal) -> None:
    """Ask for `yes`, and say what a release does."""
    runs = any(lock.holder_state is HolderState.RUNS for lock in wanted)
    alive = "Its holder seems to be running on this machine. " if runs else ""
    what = "this lock" if len(wanted) == 1 else f"these {len(wanted)} locks"
    terminal.approve(
        f"{alive}A run that still holds a lock stops before its next change once the lock is released.\n"
        f"Do you want keyform to release {what}?",
        review="make sure that the holder no longer runs",
        refused="Nothing was released.",
    )


def look_for(holder: str) -> HolderState:
    """Whether the process that a holder names runs on this machine; anybody can write a holder in the portal."""
    match = _PROCESS.search(holder)
    if match is None or match["host"] != socket.gethostname() or not 0 < int(match["pid"]) < 2**31:
        return HolderState.UNKNOWN
    try:
        os.kill(int(match["pid"]), 0)
    except ProcessLookupError:
        return HolderState.ENDED
    except OSError:  # it is somebody else's
        return HolderState.RUNS
    return HolderState.RUNS
