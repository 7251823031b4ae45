"""`keyform show`: a saved plan, in any format."""

from __future__ import annotations

import argparse

from reconciler.cli.terminal import Terminal


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print the plan; it needs neither the API nor the configuration."""
    from reconciler.cli.review import describe_run
    from reconciler.cli.saved import PlanFile
    from reconciler.report.formats import IS_JSON, Look, plan_as

    plan = terminal.masked(PlanFile.read(args.plan_file, terminal).saved.plan)
    about = describe_run(args, terminal)
    look = Look(terminal.colour, terminal.width, args.verbose, args.limit, about=about)
    terminal.show(plan_as(plan, args.format, look), is_json=args.format in IS_JSON)
    return 0
