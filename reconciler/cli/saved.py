"""Saved plans: write one, read one, and carry out what it and the plan of now have in common."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.files import write_whole
from reconciler.cli.session import Session
from reconciler.cli.terminal import Terminal
from reconciler.config.files import read_regular_file
from reconciler.errors import Finding, KeyformError, NotAsDeclared, PlanIsStale, PlanRefused
from reconciler.plan_file import AGAIN, BEGINS, LARGEST, SavedPlan, dump_plan, load_plan

if TYPE_CHECKING:
    from reconciler.plan.changes import Plan


WAY_OUT = "give the file that `keyform plan --out` wrote"


def save_plan(plan: Plan, session: Session, args: argparse.Namespace) -> None:
    """Write a plan to the file of `--out`, which only its owner can read, without credentials."""
    from reconciler.cli.base import head_of
    from reconciler.plan.saved import addresses_of

    touched = addresses_of(plan.changes)
    plan = replace(plan, expects=tuple(each for each in plan.expects if each.address in touched))
    plan = session.terminal.masked(plan)
    content = dump_plan(SavedPlan(plan, session.desired.content, head_of(args)))
    write_whole(Path(args.out), content, way_out="choose another file for --out", private=True, begins=BEGINS)
    session.terminal.tell(
        f"Saved the plan to {args.out}. `keyform apply {args.out}` carries out exactly this, and nothing else."
    )


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A saved plan that is to be carried out: an upper bound on what may happen, and the approval of it."""

    name: str
    saved: SavedPlan
    terminal: Terminal

    @classmethod
    def read(cls, name: str, terminal: Terminal) -> PlanFile:
        """From the file of this name. KeyformError for one that cannot be read, or is none."""
        try:
            content = read_regular_file(Path(os.path.realpath(name)), LARGEST + 1)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "its name is not valid"
            raise KeyformError(f"{name} cannot be read: {why}.", way_out=WAY_OUT) from None
        if content is None or len(content) > LARGEST:
            why = "is not a regular file" if content is None else "is larger than any saved plan"
            raise KeyformError(f"{name} {why}.", way_out=WAY_OUT)
        return cls(name, load_plan(content, name), terminal)

    def explain_nothing(self, fresh: Plan) -> str:
        """A sentence in place of a plan that has nothing left to do; "" if that of now has no changes either."""
        if self.saved.plan.changes:
            return f"Nothing was changed: no change of {self.name} is due and possible now."
        return f"Nothing was changed: {self.name} has no changes." if fresh.changes else ""

    def check(self, session: Session) -> None:
        """Refuse a plan of another stack, project or API, and one of another content of the file."""
        desired, plan = session.desired, self.saved.plan
        for noun, then, now in (
            ("stack", plan.stack, desired.stack),
            ("project", str(plan.project), str(desired.project)),
            ("API", plan.api, session.api.host),
        ):
            if then != now:
                raise PlanIsStale(
                    f"{self.name} is a plan of another {noun}: {then}. The file and the environment say {now}."
                    " Nothing was changed.",
                    way_out=f"use the plan of this {noun}, or {AGAIN}",
                )
        if self.saved.configuration != desired.content:
            commit = f" ({self.saved.commit})" if self.saved.commit else ""
            raise PlanIsStale(
                f"{self.name} was made from another content of the configuration, or from other values of its"
                " variables. Nothing was changed.",
                way_out=f"check out what was planned{commit}, or {AGAIN}",
            )
        if plan.refusals:
            raise PlanRefused(f"{self.name} is a plan that is refused. Nothing was changed:", plan.refusals)

    def narrow(self, fresh: Plan) -> Plan:
        """What it and the plan of now have in common. PlanIsStale if it was applied, or if something moved."""
        from reconciler.plan.saved import find_moved, first_of, is_applied, limit

        shown = self.terminal.masked(fresh)
        if is_applied(self.saved.plan, shown):
            raise PlanIsStale(
                f"{self.name} has been applied already: everything is as it says. Nothing was changed.",
                way_out=f"to change more, {AGAIN}",
            )
        if moved := find_moved(self.saved.plan, shown):
            raise PlanIsStale(
                f"What {self.name} would change is no longer as it was when the plan was made. Nothing was changed.",
                differences=first_of([str(each) for each in moved]),
                way_out=f"{AGAIN}, and have the new plan reviewed",
            )
        return limit(self.saved.plan, fresh, shown)

    def tell_left_out(self, fresh: Plan, plan: Plan) -> None:
        """Say what is not carried out, although the plan of now has it."""
        from reconciler.plan.saved import find_elsewhere, in_words, leave_out

        if news := find_elsewhere(self.saved.plan, fresh):
            self.terminal.tell(
                f"Left undone, and no part of {self.name}:", *(f"  {each.path}: {each.message}" for each in news)
            )
        if more := leave_out(fresh, plan):
            self.terminal.tell(
                f"Left out, because {self.name} does not have it (`keyform plan` shows it):",
                *(f"  {each}" for each in in_words(more)),
            )

    def tell_rest(self) -> None:
        """Say what to do after an apply that was not complete."""
        self.terminal.tell(f"{self.name} cannot be applied again once a part of it is done: for the rest, {AGAIN}.")

    def require_whole(self, plan: Plan) -> None:
        """Raise NotAsDeclared if a part of it was not carried out."""
        from reconciler.plan.saved import in_words, leave_out

        if left := leave_out(self.saved.plan, plan):
            raise NotAsDeclared(
                f"Part of {self.name} was not carried out, because it is no longer due, or no longer possible:",
                [Finding("", "", each) for each in in_words(left)],
                way_out="run `keyform plan` to see why",
            )
