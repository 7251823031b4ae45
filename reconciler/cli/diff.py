"""`keyform diff`: what a change of the file means, from the two versions alone: no API, no token, no environment."""

from __future__ import annotations

import argparse
from pathlib import Path

from reconciler.cli.terminal import Terminal

DIFFERS = 2
"""The exit code of `--detailed-exitcode` if the versions differ."""


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print how the files of the work tree differ from those at the base."""
    from reconciler.cli.base import choose_base, read_base_as_written
    from reconciler.config import STDIN, find_unread, read_written
    from reconciler.plan.revision import Comparison, revise
    from reconciler.report.formats import IS_JSON, Look, diff_as

    ref = choose_base(args.base, terminal.env)
    names = args.file or ["keyform.yaml"]
    paths = [STDIN if name == "-" else Path(name) for name in names]
    for folder in find_unread(paths):
        terminal.tell(f"note: {folder} is not read. If it is part of the stack, pass it to --file too.")
    head, written = read_written(paths, terminal.read_input)
    project = head.project or written.project
    args.about = (head.stack, project)  # for a later error
    base = read_base_as_written(args, terminal.env, ref, stack=head.stack)
    before, before_written = base.state(head), base.written if base.desired is not None else written
    found = Comparison(
        revise(before, head, before_written, written),
        files=tuple(names),
        ref=base.ref,
        commit=base.commit,
        is_new=base.is_absent,
        faults=base.faults,
        moved_from=base.moved_from,
        project=project,
    )
    look = Look(terminal.colour, terminal.width, args.verbose, args.limit)
    shown = found if args.format in IS_JSON else terminal.masked(found)
    terminal.show(diff_as(shown, args.format, look), is_json=args.format in IS_JSON)
    return DIFFERS if args.detailed_exitcode and not found.revision.is_empty else 0
