"""`plan --base REF`: which changes of a plan come from this change of the file, and which were pending before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from reconciler.model import DesiredState, SinkContents, Snapshot

if TYPE_CHECKING:
    from reconciler.cli.base import BaseFile
    from reconciler.cli.session import Session
    from reconciler.plan.changes import Note, Plan


def attribute_to(base: BaseFile, plan: Plan, session: Session, snapshot: Snapshot, now: datetime) -> Plan:
    """The plan with what that of the file at the base says about it, for the same live state.

    Where the file did not exist yet, cannot be read, or names another project or generation of the API, nothing was
    pending.
    """
    from reconciler.plan.attribution import attribute
    from reconciler.plan.changes import Plan as PlanOf
    from reconciler.plan.weakening import weakened

    head, before = session.desired, base.state(session.desired)
    notes = tuple(explain(base, head))
    then = PlanOf(head.stack, head.project, now)
    if base.desired is not None and not notes:
        then = plan_then(before, session, snapshot, now)
    known = {(note.code, note.address) for note in plan.exposures}
    weaker = [note for note in weakened(before, head) if (note.code, note.address) not in known]
    return replace(attribute(plan, then, base.ref, base.commit, weaker), warnings=(*plan.warnings, *notes))


def plan_then(before: DesiredState, session: Session, snapshot: Snapshot, now: datetime) -> Plan:
    """The plan of the file at the base. What its sinks hold is read, unless the same sinks were read for this one.

    A key that the command line chooses need not have been in that file.
    """
    from reconciler.plan.changes import Plan as PlanOf
    from reconciler.plan.compute import choose_of
    from reconciler.sinks import open_sinks
    from reconciler.snapshot import read_sink

    head = session.desired
    names = sorted({*(key.name for key in before.keys), *before.heirs, *before.forgotten})
    asked = {*(key.name for key in head.keys), *head.heirs, *head.forgotten}
    kept = {sink.name for sink in before.sinks if sink in head.sinks} if asked.issuperset(names) else set[str]()
    owner = before.owner(session.api.host)
    if owner != head.owner(session.api.host):
        kept = set()
    sinks = open_sinks(
        [sink for sink in before.sinks if sink.name not in kept],
        owner=owner,
        effects=session.effects,
        redactor=session.terminal.redactor,
        env=session.terminal.env,
    )
    contents: dict[str, SinkContents] = {name: snapshot.sinks[name] for name in kept}
    contents |= {name: read_sink(sink, names) for name, sink in sinks.items()}
    sinks |= {name: session.sinks[name] for name in kept}
    then = replace(snapshot, sinks=contents)
    if session.selection is not None:
        selection = choose_of(before, then, now, session.selection)
        if selection is None:
            return PlanOf(before.stack, before.project, now)
        session = replace(session, selection=selection)
    return session.compute(before, then, now, sinks)


def explain(base: BaseFile, head: DesiredState) -> Iterator[Note]:
    """Why every change counts as one of this change, although the file was there."""
    from reconciler.plan.changes import Note

    why = ""
    if base.faults:
        count = f"{len(base.faults)} error{'s' if len(base.faults) > 1 else ''}"
        why = f"the file at {base.ref} cannot be read ({count}, the first at {base.faults[0].where})"
    elif base.desired is not None and base.desired.project != head.project:
        why = f"the file at {base.ref} is about another project"
    elif base.desired is not None and base.desired.api != head.api:
        why = f"the file at {base.ref} uses another generation of the API"
    if why:
        yield Note("base_is_not_compared", f"stack.{head.stack}", f"{why}: all changes count as changes of this file")
