"""`keyform plan`: what apply would change."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.cli.session import Session, open_session
from reconciler.cli.terminal import Terminal
from reconciler.errors import KeyformError, NotAsDeclared, PlanRefused

if TYPE_CHECKING:
    from reconciler.plan.changes import Plan

CHANGES = 2
"""The exit code of `--detailed-exitcode` when there are changes, or repairs."""


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print the plan; a plan that safety refuses is an error."""
    from reconciler.report.json import plan_to_json
    from reconciler.report.text import render_plan

    with open_session(args, terminal) as session:
        plan = session.plan()
        trouble = find_trouble(plan, session)
    if args.json:
        terminal.show(plan_to_json(plan), is_json=True)
    else:
        terminal.show(render_plan(terminal.masked(plan), colour=terminal.colour, width=terminal.width))
    if plan.refusals:
        raise PlanRefused("Apply would change nothing, because the plan is refused:", plan.refusals)
    if trouble is not None:
        raise trouble
    if plan.unmet:
        raise NotAsDeclared("Apply would leave part of what the file asks for undone:", plan.unmet)
    return CHANGES if args.detailed_exitcode and (plan.repairs or not plan.is_empty) else 0


def find_trouble(plan: Plan, session: Session) -> KeyformError | None:
    """Why an apply of this plan would stop before it changes anything, as far as that can be seen."""
    from reconciler.apply import check_sinks

    try:
        if not plan.refusals:
            check_sinks(plan, session.sinks)
    except KeyformError as error:
        return error
    return None
