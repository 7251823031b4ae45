"""`keyform rotate`: new generations now, whatever the file says about their age; or a list of what falls due."""

from __future__ import annotations

import argparse
from difflib import get_close_matches
from itertools import chain
from typing import TYPE_CHECKING

from reconciler.cli import apply
from reconciler.cli.session import open_session
from reconciler.cli.terminal import Terminal
from reconciler.errors import KeyformError, NotAsDeclared
from reconciler.model import DesiredState

if TYPE_CHECKING:
    from reconciler.plan.changes import Demand


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Exit code 0 if and only if every requested rotation was done."""

    if args.due is not None:
        return show_due(args, terminal)
    if not args.keys:
        raise KeyformError(
            "No key is named.", way_out="name the keys to rotate, or give --due 14d to see which fall due by themselves"
        )

    def ask(desired: DesiredState) -> Demand:
        from reconciler.plan.changes import Rotate

        require_declared(args.keys, desired)
        return Rotate(frozenset(args.keys), revoke=args.revoke)

    return apply.run(args, terminal, ask)


def show_due(args: argparse.Namespace, terminal: Terminal) -> int:
    """Change nothing; list the keys that an apply within that time would rotate."""
    from reconciler.plan.compute import find_held_up
    from reconciler.plan.due import list_due
    from reconciler.report.due import due_to_json, render_due

    if args.keys or args.revoke:
        raise KeyformError(
            "--due only shows what falls due.", way_out="leave out the keys and --revoke, or leave out --due"
        )
    with open_session(args, terminal) as session:
        snapshot = session.look()
        now = session.api.now().replace(microsecond=0)
        found = list_due(session.desired, snapshot, now, args.due)
        held_up = find_held_up(session.desired, snapshot, now)
    if args.json:
        terminal.show(due_to_json(found, now, args.due), is_json=True)
    else:
        terminal.show(render_due(terminal.masked(found), now, args.due))
    if held_up:
        raise NotAsDeclared("An apply would not rotate all of them, since keys are held up:", terminal.masked(held_up))
    return 0


def require_declared(names: list[str], desired: DesiredState) -> None:
    """Only declared keys are rotated: the file says where the new secret goes."""
    declared = [key.name for key in desired.keys]
    unknown = [name for name in names if name not in declared]
    if unknown:
        near = list(dict.fromkeys(chain.from_iterable(get_close_matches(name, declared, n=1) for name in unknown)))
        raise KeyformError(
            f"The file declares no key {', '.join(map(ascii, unknown))}. Nothing was changed.",
            way_out=f"did you mean {', '.join(near)}?" if near else "name keys as they stand under `keys:`",
        )
