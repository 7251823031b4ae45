"""`keyform plan`: what apply would change."""

from __future__ import annotations

import argparse

from reconciler.cli.session import open_session
from reconciler.cli.terminal import Terminal
from reconciler.errors import NotAsDeclared, PlanRefused

CHANGES = 2
"""The exit code of `--detailed-exitcode` when there are changes, or repairs."""


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print the plan; a plan that safety refuses is an error."""
    from reconciler.report.json import plan_to_json
    from reconciler.report.text import render_plan

    with open_session(args, terminal) as session:
        plan = session.plan(probes=True)
    if args.json:
        terminal.show(plan_to_json(plan), is_json=True)
    else:
        terminal.show(render_plan(terminal.masked(plan), colour=terminal.colour, width=terminal.width))
    if plan.refusals:
        raise PlanRefused("The plan is refused: apply would change nothing:", plan.refusals)
    if plan.unmet:
        raise NotAsDeclared("Apply would leave part of the configuration undone:", plan.unmet)
    return CHANGES if args.detailed_exitcode and (plan.repairs or not plan.is_empty) else 0
