"""`keyform plan`: what apply would change."""

from __future__ import annotations

import argparse

from reconciler.cli.session import open_session
from reconciler.cli.terminal import Terminal
from reconciler.errors import NotAsDeclared, PlanRefused

CHANGES = 2
"""The exit code of `--detailed-exitcode` when there are changes, or repairs; with `--drift`, when there is drift."""


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print the plan; a plan that safety refuses is an error.

    With `--drift`, the question is another: drift is the answer to it, and what may hide some is an error.
    """
    from reconciler.cli.review import describe_run
    from reconciler.report.formats import IS_JSON, Look, plan_as

    with open_session(args, terminal) as session:
        plan = session.plan(probes=True)
        if args.out is not None:
            from reconciler.cli.saved import save_plan

            save_plan(plan, session, args)
    about = describe_run(args, terminal)
    look = Look(terminal.colour, terminal.width, args.verbose, args.limit, args.drift, about)
    shown = plan if args.format in IS_JSON else terminal.masked(plan)
    terminal.show(plan_as(shown, args.format, look), is_json=args.format in IS_JSON)
    if args.drift and (plan.drift or plan.unproven):
        return CHANGES if args.detailed_exitcode else 0
    if plan.refusals and not args.drift:
        raise PlanRefused("The plan is refused: apply would change nothing:", plan.refusals)
    if plan.unmet:
        raise NotAsDeclared("Apply would leave part of the configuration undone:", plan.unmet)
    has_changes = bool(plan.repairs or not plan.is_empty) and not args.drift
    return CHANGES if args.detailed_exitcode and has_changes else 0
