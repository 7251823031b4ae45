"""`keyform diff`: what a change of the file means, from the two versions alone: no API, no token, no environment."""

from __future__ import annotations

import argparse

from reconciler.cli.files import names_of
from reconciler.cli.session import paths_of
from reconciler.cli.terminal import Terminal

DIFFERS = 2
"""The exit code of `--detailed-exitcode` if the versions differ."""


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print how the files of the work tree differ from those at the base."""
    from reconciler.cli.base import choose_base, read_base_as_written
    from reconciler.config import read_written
    from reconciler.plan.revision import Comparison, revise
    from reconciler.report.formats import IS_JSON, Look, diff_as

    ref = choose_base(args.base, terminal.env)
    head, written = read_written(paths_of(args, terminal), terminal.read_input)
    project = head.project or written.project
    args.about = (head.stack, project)  # for a later error
    base = read_base_as_written(args, terminal.env, ref, stack=head.stack)
    before, before_written = base.state(head), base.written if base.desired is not None else written
    found = Comparison(
        revise(before, head, before_written, written),
        files=tuple(names_of(args)),
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
