"""Plan and outcomes as JSON. The whole expected text is in `everything.json` next to this file."""

import json
from dataclasses import replace
from pathlib import Path

from report.builders import BIND, CREATE, DELETE, EVERYTHING, TOO_MANY, plan, there

from reconciler.model import Secret
from reconciler.plan.changes import Action, DeleteKey, Reason
from reconciler.plan.outcomes import Outcome, OutcomeState, Result
from reconciler.report.json import plan_to_json, result_to_json

EXPECTED = Path(__file__).with_name("everything.json")


def resources(of):
    return {resource["address"]: resource["change"] for resource in json.loads(plan_to_json(of))["resource_changes"]}


def test_a_plan_is_the_same_to_the_byte():
    assert plan_to_json(EVERYTHING) == EXPECTED.read_text(encoding="utf-8")
    assert plan_to_json(EVERYTHING) == plan_to_json(replace(EVERYTHING))


def test_an_empty_plan_has_all_fields():
    assert json.loads(plan_to_json(plan())) == {
        "format_version": "1.0",
        "applyable": False,
        "resource_changes": [],
        "keyform": {
            "stack": "inference-prod",
            "project": 1234,
            "made_at": "2026-11-21T10:00:00Z",
            "summary": {"add": 0, "change": 0, "rotate": 0, "destroy": 0, "forget": 0},
            "exposures": [],
            "refusals": [],
            "unmet": [],
            "held_up": [],
            "warnings": [],
            "repairs": [],
            "expiring": [],
            "destinations": [],
            "lock": "api",
            "changes": [],
        },
    }


def test_a_created_key_is_told_as_terraform_tells_a_created_resource():
    assert json.loads(plan_to_json(plan(CREATE)))["resource_changes"] == [
        {
            "address": "key.payments-api",
            "mode": "managed",
            "type": "keyform_key",
            "name": "payments-api",
            "change": {
                "actions": ["create"],
                "before": None,
                "after": {
                    "name": "payments-api",
                    "description": "Checkout summaries, owned by team payments",
                    "expires_at": "never",
                    "prevent_destroy": False,
                    "generation": "payments-api",
                },
                "after_unknown": {"created_at": True, "secret": True},
                "before_sensitive": {},
                "after_sensitive": {"secret": True},
                "replace_paths": [],
            },
            "action_reason": "key_is_missing",
        }
    ]


def test_retiring_an_old_generation_is_an_update_and_not_the_end_of_the_key():
    retire = DeleteKey(
        key="batch-jobs",
        action=Action.UPDATE,
        reason=Reason("overlap_is_over", "the overlap is over"),
        live=there("batch-jobs"),
    )
    change = resources(plan(retire))["key.batch-jobs"]
    assert change["actions"] == ["update"]
    assert change["before"] == {"name": "batch-jobs", "old_generations": ["batch-jobs"]}
    assert change["after"] == {"name": "batch-jobs", "old_generations": []}


def test_a_refused_plan_is_not_applyable_and_says_why():
    refused = json.loads(plan_to_json(plan(DELETE, refusals=(TOO_MANY,))))
    assert refused["applyable"] is False
    assert refused["keyform"]["refusals"] == [
        {
            "where": "keyform.yaml:3:1",
            "path": "safety.max_deletes",
            "message": "6 keys would be deleted, and at most 5 may",
            "way_out": "set `safety: {max_deletes: 6}` if so meant",
        }
    ]


def test_outcomes_stand_beside_the_plan_one_for_every_change():
    result = Result(
        plan(CREATE, BIND, DELETE),
        (
            Outcome(CREATE, OutcomeState.DONE, seconds=0.41234),
            Outcome(BIND, OutcomeState.FAILED, "HTTP 500", "try again", 2.0),
        ),
        interrupted=True,
    )
    tree = json.loads(result_to_json(result))
    ours = tree["keyform"]
    added = {
        name: ours.pop(name)
        for name in ("complete", "interrupted", "exposures_afterwards", "done", "resources", "outcomes")
    }
    assert tree == json.loads(plan_to_json(result.plan))
    assert added == {
        "complete": False,
        "interrupted": True,
        "exposures_afterwards": [],
        "done": {"add": 0, "change": 0, "rotate": 0, "destroy": 0, "forget": 0},
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


def test_nothing_but_ascii_reaches_a_terminal():
    shown = plan_to_json(plan(replace(CREATE, text="\x1b[31m \u202e \x9b é")))
    assert shown.isascii()
    assert "\x1b" not in shown
    assert resources(plan(replace(CREATE, text="é")))["key.payments-api"]["after"]["description"] == "é"


def test_a_secret_that_slipped_into_a_plan_is_an_error_and_no_output():
    slipped = replace(CREATE, text=Secret("s3cr3t"))
    try:
        shown = plan_to_json(plan(slipped))
    except TypeError as error:
        shown = str(error)
    assert "s3cr3t" not in shown
