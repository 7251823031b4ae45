"""`keyform status`: the live state at a glance."""

from __future__ import annotations

import argparse
from pathlib import Path

from reconciler.cli.files import write_whole
from reconciler.cli.session import open_session
from reconciler.cli.terminal import Terminal
from reconciler.errors import NotAsDeclared


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Show the tables, the JSON or the page, or write it to a file."""
    from reconciler.plan.survey import compute_standing

    with open_session(args, terminal) as session:
        snapshot = session.look()  # first: its answers set the API's clock
        standing = compute_standing(session.desired, snapshot, session.api.now().replace(microsecond=0))
    to_file = args.out is not None
    standing = terminal.masked(standing)
    match args.format:
        case "json":
            from reconciler.report.status_json import status_to_json

            text = status_to_json(standing)
        case "html":
            from reconciler.report.status_html import status_to_html

            text = status_to_html(standing)
        case _:
            from reconciler.report.status_table import render_status

            text = render_status(standing, colour=terminal.colour and not to_file, width=terminal.width)
    if to_file:
        whole = terminal.fit(text, is_json=args.format == "json").encode("utf-8", "backslashreplace")
        write_whole(Path(args.out), whole, way_out="choose another file for --out, or omit it to print to stdout")
        terminal.tell(f"Wrote {args.out}.")
    else:
        terminal.show(text, is_json=args.format == "json")
    if standing.troubles:
        raise NotAsDeclared("Part of the stack could not be read, or belongs to another stack:", standing.troubles)
    return 0
