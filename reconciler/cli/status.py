"""`keyform status`: what is live, at a glance."""

from __future__ import annotations

import argparse

from reconciler.cli.stage import open_stage
from reconciler.cli.terminal import Terminal


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print the tables, or JSON."""
    from reconciler.report.status import build_status
    from reconciler.report.status_json import status_to_json
    from reconciler.report.status_table import render_status

    with open_stage(args, terminal) as stage:
        view = build_status(stage.desired, stage.look(), stage.api.now())
    if args.json:
        terminal.show(status_to_json(view))
    else:
        terminal.show(render_status(view, colour=terminal.colour, width=terminal.width))
    return 0
