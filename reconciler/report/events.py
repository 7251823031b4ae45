"""The events of an apply in the form of Terraform's machine-readable UI, one JSON object each.

Terraform's types say what it says: `version`, `diagnostic`, `resource_drift`, `planned_change`, `change_summary`,
`apply_start`, `apply_progress`, `apply_complete` and `apply_errored`, about a key or an endpoint as a whole. Types that
begin with `keyform_` say the rest: the plan, exposures, each step, waits, and the result. docs/json.md lists all.

Pure: the time is an argument, and who calls writes the lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.encoder import one_line, shown
from reconciler.plan.changes import Action, Change, ChangeId, Note, Plan, Resource, Summary
from reconciler.plan.fields import instant
from reconciler.plan.outcomes import Event, Finished, Outcome, OutcomeState, PaceChanged, Result, Started, StepNote
from reconciler.report.blocks import group_changes
from reconciler.report.json import Value, outcome_tree, plan_tree, step_tree, summary_tree
from reconciler.report.json_resources import PROVIDER, TERRAFORM_VERSION, changes_of_resources
from reconciler.report.outcomes import count_done
from reconciler.report.progress import describe_outcomes
from reconciler.report.summary import summarise
from reconciler.report.verbs import doing, subject_of

UI_VERSION = "1.2"
"""The version of Terraform's messages."""
Line = dict[str, Value]

_ACTIONS = {
    Action.CREATE: "create",
    Action.UPDATE: "update",
    Action.DELETE: "delete",
    Action.ROTATE: "replace",
    Action.FORGET: "remove",
}
_WORDS = {
    Action.CREATE: ("Creating", "creating", "Creation"),
    Action.UPDATE: ("Modifying", "modifying", "Modifications"),
    Action.DELETE: ("Destroying", "destroying", "Destruction"),
    Action.ROTATE: ("Rotating", "rotating", "Rotation"),
    Action.FORGET: ("Forgetting", "forgetting", "Forgetting"),
}
_REASONS = {
    "rotation_is_asked": "requested",
    "expiry_differs": "cannot_update",
    "lifetime_differs": "cannot_update",
    "key_is_not_declared": "delete_because_no_resource_config",
}
"""Terraform's reason for an action on a key, by keyform's code, where there is one that says the same."""


def version_line(version: str, now: datetime) -> Line:
    """The first line of every stream."""
    told: Line = {"keyform": version, "terraform": TERRAFORM_VERSION, "ui": UI_VERSION}
    return _line("version", f"keyform {version}", now, told)


def error_lines(diagnostics: Iterable[Line], now: datetime) -> Iterator[Line]:
    """An error, as `diagnostics_of` gives it: a line for each of its findings, or one for itself."""
    for found in diagnostics:
        yield _line("diagnostic", f"Error: {one_line(str(found['summary']))}", now, {"diagnostic": found}, "error")


def plan_lines(plan: Plan, now: datetime) -> Iterator[Line]:
    """What a plan says before anything is done: warnings, drift, exposures, each planned change, counts, and all of it
    as `keyform plan --json` has it.
    """
    for note in plan.warnings:
        told: Line = {"severity": "warning", "summary": f"{note.address}: {note.sentence}", "detail": ""}
        yield _line("diagnostic", f"Warning: {_said(note)}", now, {"diagnostic": told}, "warn")
    for drift in plan.drift:
        message = f"{shown(drift.address)}: Drift detected"
        if drift.resource:
            action = "delete" if drift.resource.after is None else "update"
            change: Line = {"resource": _address(drift.address), "action": action}
            yield _line("resource_drift", f"{message} ({action})", now, {"change": change})
        else:
            told = {"code": drift.code, "address": drift.address, "sentence": drift.sentence, "remedy": drift.remedy}
            yield _line("keyform_drift", f"{message}: {one_line(drift.sentence)}", now, {"drift": told})
    yield from _exposures(plan.exposures, now)
    counted = {block.address for block in group_changes(plan.changes)}
    for tree in changes_of_resources(plan):
        if tree["address"] in counted:
            planned = _planned(plan, tree)
            message = f"{shown(str(tree['address']))}: Plan to {planned['action']}"
            yield _line("planned_change", message, now, {"change": planned})
    yield _summary_line(plan, summarise(plan), "plan", now)
    yield _line("keyform_plan", "The plan as a whole", now, {"plan": plan_tree(plan)})


def result_lines(result: Result, diagnostics: Iterable[Line], now: datetime, *, destroys: bool) -> Iterator[Line]:
    """How it ended: exposures that are left, counts if all was done, errors, and in the last line every step."""
    yield from _exposures(result.exposures, now)
    if result.complete:
        yield _summary_line(result.plan, count_done(result), "destroy" if destroys else "apply", now)
    yield from error_lines(diagnostics, now)
    state = "complete" if result.complete else "interrupted" if result.interrupted else "not complete"
    level = "info" if result.complete else "error"
    yield _line("keyform_result", f"Apply is {state}.", now, {"result": outcome_tree(result)}, level)


@dataclass(slots=True)
class _Resource:
    """A key or an endpoint, as the steps of the plan that are about it go."""

    action: Action
    left: set[ChangeId]
    live_name: str
    since: datetime | None = None
    has_failed: bool = False


class Follower:
    """Turns the events of an apply into lines; knows how far each key and endpoint is.

    `apply_start` comes with the first step of a key or an endpoint, `apply_complete` once all of them are done,
    `apply_errored` once none is left to try. Not for several threads at once.
    """

    def __init__(self, plan: Plan) -> None:
        resources = {each.address: each for each in plan.resources}
        self._subjects: dict[ChangeId | str, str] = {}
        self._found = {
            block.address: _Resource(
                block.action,
                {change.id for change in block.changes},
                _live_name(resources.get(block.address)),
            )
            for block in group_changes(plan.changes)
        }

    def follow(self, event: Event, now: datetime) -> Iterator[Line]:
        """The lines of one event."""
        match event:
            case Started(changes):
                yield from self._start(changes, now)
            case Finished(outcomes):
                yield from self._finish(outcomes, now)
            case StepNote(subject, text):
                about = self._subjects.get(subject, str(subject))
                told: Line = {
                    "subject": about,
                    "step": str(subject) if subject in self._subjects else None,
                    "text": text,
                }
                yield _line("keyform_note", f"{shown(about)}: {one_line(text)}", now, {"note": told})
            case PaceChanged(in_flight, most, wait):
                pace: Line = {"in_flight": in_flight, "most": most, "wait_seconds": round(wait, 3)}
                message = f"At most {in_flight} of {most} requests at once"
                yield _line("keyform_pace", message, now, {"pace": pace})

    def still_running(self, now: datetime) -> Iterator[Line]:
        """A line for each key and endpoint that has begun and is not done."""
        for address, found in self._found.items():
            if found.since is not None and found.left:
                seconds = _elapsed(found, now)
                hook: Line = {**_hook(address, found), "elapsed_seconds": seconds}
                message = f"{shown(address)}: Still {_WORDS[found.action][1]}... [{seconds}s elapsed]"
                yield _line("apply_progress", message, now, {"hook": hook})

    def _start(self, changes: Sequence[Change], now: datetime) -> Iterator[Line]:
        for address in dict.fromkeys(change.address for change in changes):
            found = self._found.get(address)
            if found is not None and found.since is None:
                found.since = now
                message = f"{shown(address)}: {_WORDS[found.action][0]}...{_id(found)}"
                yield _line("apply_start", message, now, {"hook": {**_hook(address, found), **_id_keys(found)}})
        subject = subject_of(changes)
        self._subjects.update({change.id: subject for change in changes})
        message = f"{shown(subject)}: {doing(changes)}..."
        steps: list[Value] = [_step(change) for change in changes]
        yield _line("keyform_step_start", message, now, {"steps": steps})

    def _finish(self, outcomes: Sequence[Outcome], now: datetime) -> Iterator[Line]:
        for outcome in outcomes:
            is_good = outcome.state in (OutcomeState.DONE, OutcomeState.NOT_STARTED)
            message = f"{shown(subject_of([outcome.change]))}: {describe_outcomes([outcome])}"
            step: Line = {**_step(outcome.change), **step_tree(outcome)}
            yield _line("keyform_step", message, now, {"step": step}, "info" if is_good else "error")
        for address in dict.fromkeys(outcome.change.address for outcome in outcomes):
            found = self._found.get(address)
            if found is None:
                continue
            ended = [outcome for outcome in outcomes if outcome.change.address == address]
            was_over = not found.left
            found.left -= {outcome.change.id for outcome in ended}
            undone = any(outcome.state is not OutcomeState.DONE for outcome in ended)
            is_worse = undone and not found.has_failed
            found.has_failed = found.has_failed or undone
            if found.left or found.since is None or (was_over and not is_worse):
                continue
            yield _end(address, found, now)


def _end(address: str, found: _Resource, now: datetime) -> Line:
    """One line at the end of a key or an endpoint."""
    seconds, noun = _elapsed(found, now), _WORDS[found.action][2]
    hook: Line = {**_hook(address, found), **({} if found.has_failed else _id_keys(found)), "elapsed_seconds": seconds}
    if found.has_failed:
        return _line(
            "apply_errored", f"{shown(address)}: {noun} errored after {seconds}s", now, {"hook": hook}, "error"
        )
    message = f"{shown(address)}: {noun} complete after {seconds}s{_id(found)}"
    return _line("apply_complete", message, now, {"hook": hook})


def _line(kind: str, message: str, now: datetime, told: Line, level: str = "info") -> Line:
    """One event. `@message` is for people, printable and on one line."""
    return {
        "@level": level,
        "@message": message,
        "@module": "keyform.ui",
        "@timestamp": instant(now),
        "type": kind,
        **told,
    }


def _planned(plan: Plan, tree: Line) -> Line:
    """A key or an endpoint that changes; not an endpoint that only changes with its keys."""
    ours, change = tree["keyform"], tree["change"]
    assert isinstance(ours, dict)  # noqa: S101 - for the type checker
    assert isinstance(change, dict)  # noqa: S101
    planned: Line = {"resource": _address(str(tree["address"]))}
    if "previous_address" in tree:
        planned["previous_resource"] = _address(str(tree["previous_address"]))
    planned["action"] = _ACTIONS[Action(str(ours["action"]))]
    if reason := _REASONS.get(str(tree.get("action_reason", ""))):
        planned["reason"] = reason
    if "importing" in change:
        planned["importing"] = change["importing"]
    attributed = {"from_this_change": ours["from_this_change"], "pending": ours["pending"]} if plan.base else {}
    return {**planned, "keyform": {"action": ours["action"], "reason": ours["reason"], **attributed}}


def _summary_line(plan: Plan, summary: Summary, operation: str, now: datetime) -> Line:
    """Counts as Terraform has them: a rotated key is one that is added and one that is removed, and endpoints are among
    those that change. `keyform` counts each key once.
    """
    imported = 0
    if operation == "plan":
        imported = sum(bool(each.adopts) for each in plan.resources)
    add, remove = summary.add + summary.rotate, summary.destroy + summary.rotate
    change = summary.change + summary.deployments + summary.applications
    message = {
        "plan": f"Plan: {add} to add, {change} to change, {remove} to destroy.",
        "destroy": f"Destroy complete! Resources: {remove} destroyed.",
    }.get(operation, f"Apply complete! Resources: {add} added, {change} changed, {remove} destroyed.")
    counts: Line = {"add": add, "change": change, "import": imported, "remove": remove, "operation": operation}
    return _line("change_summary", message, now, {"changes": counts, "keyform": summary_tree(summary)})


def _exposures(found: Iterable[Note], now: datetime) -> Iterator[Line]:
    for note in found:
        told: Line = {"code": note.code, "address": note.address, "sentence": note.sentence}
        yield _line("keyform_exposure", _said(note), now, {"exposure": told}, "warn")


def _said(note: Note) -> str:
    return one_line(f"{note.address} {note.sentence}")


def _step(change: Change) -> Line:
    return {"id": str(change.id), "step": change.step.value, "address": change.address}


def _hook(address: str, found: _Resource) -> Line:
    return {"resource": _address(address), "action": _ACTIONS[found.action]}


def _address(address: str) -> Line:
    """A resource as Terraform names it."""
    kind, _, name = address.partition(".")
    return {
        "addr": address,
        "module": "",
        "resource": address,
        "implied_provider": PROVIDER,
        "resource_type": "keyform_key" if kind == "key" else "keyform_endpoint",
        "resource_name": name,
        "resource_key": None,
    }


def _live_name(found: Resource | None) -> str:
    """The live key that a key is once the plan is done, or was."""
    side = (found.after or found.before) if found else None
    return str(side.get("generation") or "") if side else ""


def _id_keys(found: _Resource) -> Line:
    return {"id_key": "generation", "id_value": found.live_name} if found.live_name else {}


def _id(found: _Resource) -> str:
    return f" [generation={shown(found.live_name)}]" if found.live_name else ""


def _elapsed(found: _Resource, now: datetime) -> int:
    return max(0, round((now - found.since).total_seconds())) if found.since else 0
