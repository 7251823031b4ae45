"""The events of an apply: Terraform's types about keys and endpoints, keyform's own about steps. All fit the schema."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.builders import BIND, CREATE, DELETE, EVERYTHING, NOW, PUBLISH, TOO_MANY, UNBIND, plan
from support.drawn import files, worlds
from support.fuzzing import fuzz
from support.schemas import check_event, check_plan
from support.states import NOW as THEN
from support.states import desired, endpoint, key, live, snapshot

from reconciler.errors import ConfigError, Finding, KeyformError
from reconciler.plan import compute_plan
from reconciler.plan.changes import Base, Drift, Note, Plan, Resource
from reconciler.plan.outcomes import Event, Finished, Outcome, OutcomeState, PaceChanged, Result, Started, StepNote
from reconciler.report.diagnostics import diagnostics_of
from reconciler.report.events import Follower, error_lines, plan_lines, result_lines, version_line
from reconciler.report.json import dump_line, plan_tree

DONE, FAILED, SKIPPED = OutcomeState.DONE, OutcomeState.FAILED, OutcomeState.SKIPPED
SMALL = plan(CREATE, BIND, DELETE)
EXAMPLE = (desired(key("payments", "llama3")), snapshot(live("other"), endpoint("llama3", "other")))


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def follow(of: Plan, *events: tuple[float, Event]) -> list[Any]:
    follower = Follower(of)
    return [check_event(line) for seconds, event in events for line in follower.follow(event, at(seconds))]


def kinds(lines: list[Any]) -> list[str]:
    return [line["type"] for line in lines]


def test_the_first_line_says_whose_messages_these_are_and_in_which_version() -> None:
    assert check_event(version_line("1.2.3", NOW)) == {
        "@level": "info",
        "@message": "keyform 1.2.3",
        "@module": "keyform.ui",
        "@timestamp": "2026-11-21T10:00:00Z",
        "type": "version",
        "keyform": "1.2.3",
        "terraform": "1.9.0",
        "ui": "1.2",
    }


def test_a_plan_is_told_by_what_changes_and_then_whole() -> None:
    exposure, *lines = [check_event(line) for line in plan_lines(compute_plan(*EXAMPLE, THEN), NOW)]
    assert (exposure["type"], exposure["@level"]) == ("keyform_exposure", "warn")
    assert [line["@message"] for line in lines] == [
        "key.payments: Plan to create",
        "Plan: 1 to add, 0 to change, 0 to destroy.",
        "The plan as a whole",
    ]
    assert lines[0]["change"] == {
        "resource": {
            "addr": "key.payments",
            "module": "",
            "resource": "key.payments",
            "implied_provider": "keyform",
            "resource_type": "keyform_key",
            "resource_name": "payments",
            "resource_key": None,
        },
        "action": "create",
        "keyform": {
            "action": "create",
            "reason": {"code": "key_is_missing", "sentence": "does not exist yet", "is_urgent": False},
        },
    }
    assert lines[1]["changes"] == {"add": 1, "change": 0, "import": 0, "remove": 0, "operation": "plan"}
    assert lines[2]["plan"] == json.loads(json.dumps(plan_tree(compute_plan(*EXAMPLE, THEN))))


def test_what_a_reader_should_know_comes_first() -> None:
    whole = Drift("a", "key.gone", "is gone", "it is made again", Resource("key.gone", {"name": "gone"}, None))
    part = Drift("b", "sink.local", "was edited", "it is written again")
    warned = replace(
        plan(),
        warnings=(Note("w", "key.x", "is odd"),),
        exposures=(Note("e", "deployment.y", "becomes PUBLIC"),),
        drift=(whole, part),
    )
    told = [(line["type"], line["@level"], line["@message"]) for line in plan_lines(warned, NOW)][:-2]
    assert told == [
        ("diagnostic", "warn", "Warning: key.x is odd"),
        ("resource_drift", "info", "key.gone: Drift detected (delete)"),
        ("keyform_drift", "info", "sink.local: Drift detected: was edited"),
        ("keyform_exposure", "warn", "deployment.y becomes PUBLIC"),
    ]


def test_a_key_starts_with_its_first_step_and_is_complete_with_its_last() -> None:
    found = follow(
        SMALL,
        (0, Started((CREATE,))),
        (1, Finished((Outcome(CREATE, DONE, seconds=1.0),))),
        (1, Started((BIND,))),
        (1, StepNote(BIND.id, "waiting for task 7")),
        (4.5, Finished((Outcome(BIND, DONE, seconds=3.5),))),
    )
    assert [(line["type"], line["@message"]) for line in found] == [
        ("apply_start", "key.payments-api: Creating..."),
        ("keyform_step_start", "key.payments-api: creating payments-api..."),
        ("keyform_step", "key.payments-api: created payments-api in 1.0s"),
        ("keyform_step_start", "deployment.llama3: binding payments-api..."),
        ("keyform_note", "deployment.llama3: waiting for task 7"),
        ("keyform_step", "deployment.llama3: bound payments-api in 3.5s"),
        ("apply_complete", "key.payments-api: Creation complete after 4s"),
    ]
    assert found[-1]["hook"]["elapsed_seconds"] == 4
    assert found[-2]["step"] == {
        "id": "bind payments-api deployment.llama3",
        "step": "bind",
        "address": "key.payments-api",
        "state": "done",
        "detail": "",
        "way_out": "",
        "seconds": 3.5,
    }


def test_a_key_of_which_a_step_failed_ends_with_an_error_once_nothing_is_left_to_try() -> None:
    found = follow(
        plan(CREATE, BIND, PUBLISH),
        (0, Started((CREATE,))),
        (1, Finished((Outcome(CREATE, DONE),))),
        (1, Started((BIND,))),
        (2, Finished((Outcome(BIND, FAILED, "HTTP 500", "try again"),))),
        (2, Finished((Outcome(PUBLISH, SKIPPED, "bind was not done"),))),
    )
    assert kinds(found)[-3:] == ["keyform_step", "keyform_step", "apply_errored"]
    assert [line["@level"] for line in found[-3:]] == ["error"] * 3
    assert found[-1]["@message"] == "key.payments-api: Creation errored after 2s"


def test_a_step_that_the_last_look_finds_undone_takes_back_that_its_key_is_complete() -> None:
    found = follow(
        plan(CREATE),
        (0, Started((CREATE,))),
        (1, Finished((Outcome(CREATE, DONE),))),
        (5, Finished((Outcome(CREATE, OutcomeState.UNKNOWN, "it is gone"),))),
    )
    assert kinds(found)[-4:] == ["keyform_step", "apply_complete", "keyform_step", "apply_errored"]


def test_a_key_of_which_nothing_began_has_no_end() -> None:
    found = follow(plan(UNBIND, DELETE), (0, Finished((Outcome(UNBIND, SKIPPED), Outcome(DELETE, SKIPPED)))))
    assert kinds(found) == ["keyform_step", "keyform_step"]


def test_what_still_runs_is_told_with_the_time_that_it_takes() -> None:
    follower = Follower(SMALL)
    assert [*follower.still_running(at(10))] == []
    [*follower.follow(Started((CREATE,)), at(0))]
    (line,) = map(check_event, follower.still_running(at(10)))
    assert (line["type"], line["@message"]) == (
        "apply_progress",
        "key.payments-api: Still creating... [10s elapsed]",
    )
    [*follower.follow(Finished((Outcome(CREATE, DONE), Outcome(BIND, DONE))), at(12))]
    assert [*follower.still_running(at(20))] == []


def test_the_pace_of_requests_is_told() -> None:
    (line,) = follow(SMALL, (0, PaceChanged(5, 10, 1.5)))
    assert line["pace"] == {"in_flight": 5, "most": 10, "wait_seconds": 1.5}


def test_the_last_line_holds_every_step_also_those_that_did_not_start() -> None:
    result = Result(
        SMALL,
        (
            Outcome(CREATE, DONE, seconds=0.41234),
            Outcome(BIND, FAILED, "HTTP 500", "try again", 2.0),
        ),
        interrupted=True,
    )
    *before, last = [check_event(line) for line in result_lines(result, [], NOW, destroys=False)]
    assert before == [], "counts are of an apply that is complete"
    assert (last["type"], last["@level"], last["@message"]) == ("keyform_result", "error", "Apply is interrupted.")
    nothing = dict.fromkeys(("add", "change", "rotate", "destroy", "forget", "deployments", "applications"), 0)
    assert last["result"] == {
        "complete": False,
        "interrupted": True,
        "lock_was_lost": False,
        "exposures_afterwards": [],
        "done": nothing,
        "resources": [
            {"address": "key.old-demo", "action": "delete", "steps": 1, "steps_done": 0},
            {"address": "key.payments-api", "action": "create", "steps": 2, "steps_done": 1},
        ],
        "outcomes": [
            {
                "id": "create_generation payments-api",
                "address": "key.payments-api",
                "state": "done",
                "detail": "",
                "way_out": "",
                "seconds": 0.412,
            },
            {
                "id": "bind payments-api deployment.llama3",
                "address": "key.payments-api",
                "state": "failed",
                "detail": "HTTP 500",
                "way_out": "try again",
                "seconds": 2.0,
            },
            {
                "id": "delete_key old-demo",
                "address": "key.old-demo",
                "state": "not_started",
                "detail": "",
                "way_out": "",
                "seconds": 0.0,
            },
        ],
    }


@pytest.mark.parametrize(
    ("destroys", "operation", "message"),
    [
        (False, "apply", "Apply complete! Resources: 0 added, 0 changed, 1 destroyed."),
        (True, "destroy", "Destroy complete! Resources: 1 destroyed."),
    ],
)
def test_a_complete_apply_is_counted_as_terraform_does(destroys: bool, operation: str, message: str) -> None:
    result = Result(plan(DELETE), (Outcome(DELETE, DONE),))
    summary, last = [check_event(line) for line in result_lines(result, [], NOW, destroys=destroys)]
    assert (summary["@message"], summary["changes"]["operation"]) == (message, operation)
    assert last["result"]["complete"] is True


def test_errors_and_what_became_public_come_before_the_result() -> None:
    result = Result(plan(DELETE), exposures=(Note("e", "deployment.y", "is PUBLIC"),))
    error = diagnostics_of(ConfigError("Two things:", [TOO_MANY, Finding("keyform.yaml:9:3", "keys.x", "is odd")]))
    lines = [check_event(line) for line in result_lines(result, error, NOW, destroys=False)]
    assert kinds(lines) == ["keyform_exposure", "diagnostic", "diagnostic", "keyform_result"]
    assert lines[2]["diagnostic"] == {
        "severity": "error",
        "summary": "is odd",
        "detail": "",
        "path": "keys.x",
        "range": {"filename": "keyform.yaml", "start": {"line": 9, "column": 3}},
    }


def test_an_error_without_findings_is_one_line() -> None:
    (line,) = error_lines(diagnostics_of(KeyformError("No.\x1b[2J", way_out="Yes.")), NOW)
    assert check_event(line)["@message"] == "Error: No.\\x1b[2J"
    assert line["diagnostic"] == {"severity": "error", "summary": "No.\x1b[2J", "detail": "Yes."}


def test_with_a_base_a_planned_change_says_where_it_comes_from() -> None:
    planned = replace(compute_plan(*EXAMPLE, THEN), base=Base("main", "0", frozenset()))
    (line,) = [check_event(line) for line in plan_lines(planned, NOW) if line["type"] == "planned_change"]
    assert (line["change"]["keyform"]["from_this_change"], line["change"]["keyform"]["pending"]) == (True, False)


@fuzz(50)
@given(files(), worlds(), st.randoms(use_true_random=False))
def test_the_events_of_any_apply_fit_the_schema_and_end_what_they_start(file: Any, world: Any, chance: Any) -> None:
    planned = compute_plan(file, world, THEN)
    follower = Follower(planned)
    lines = [*plan_lines(planned, NOW)]
    outcomes = []
    for number, change in enumerate(planned.changes):
        outcome = Outcome(change, chance.choice([DONE, DONE, DONE, FAILED, SKIPPED]))
        outcomes.append(outcome)
        if outcome.state is not SKIPPED:
            lines += follower.follow(Started((change,)), at(number))
            lines += follower.still_running(at(number))
        lines += follower.follow(Finished((outcome,)), at(number))
    lines += result_lines(Result(planned, tuple(outcomes)), [], at(99), destroys=False)
    for line in lines:
        text = dump_line(line)
        assert text.count("\n") == 1
        assert check_event(json.loads(text)) == line
    ended = {line["hook"]["resource"]["addr"] for line in lines if line["type"] in ("apply_complete", "apply_errored")}
    assert ended == {line["hook"]["resource"]["addr"] for line in lines if line["type"] == "apply_start"}
    good = {line["hook"]["resource"]["addr"] for line in lines if line["type"] == "apply_complete"}
    undone = {outcome.change.address for outcome in outcomes if outcome.state is not DONE}
    assert not good & undone
    counted = next(line["changes"] for line in lines if line["type"] == "change_summary")
    told = [line["change"]["action"] for line in lines if line["type"] == "planned_change"]
    assert counted["add"] == told.count("create") + told.count("replace")
    assert counted["remove"] == told.count("delete") + told.count("replace")
    assert counted["change"] == told.count("update")


def test_a_plan_with_everything_in_it_fits_both_schemas() -> None:
    for line in plan_lines(EVERYTHING, NOW):
        check_event(line)
    check_plan(plan_tree(replace(EVERYTHING, refusals=(TOO_MANY,))))
