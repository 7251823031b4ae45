"""Plan and outcomes as JSON. The whole expected text is in `everything.json` next to this file."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from report.builders import BIND, CREATE, DELETE, TOO_MANY, plan
from support.states import NOW, days, declared, desired, endpoint, key, live, snapshot

from reconciler.model import Auth, Secret, SinkContents, SinkRecord
from reconciler.plan import compute_plan
from reconciler.plan.changes import Resource
from reconciler.plan.outcomes import Outcome, OutcomeState, Result
from reconciler.report.json import plan_to_json, result_to_json

EXPECTED = Path(__file__).with_name("everything.json")
FILE = desired(
    key("batch", "llama3", text="Nightly batch", expires_at=NOW + days(90)),
    key("gone", "whisper"),
    key("payments", "llama3", "app:webui", text="Checkout", prevent_destroy=True),
    key("search", "whisper", text="Search, renamed"),
    key("steady", "llama3"),
    endpoints=[declared("llama3", exclusive=True), declared("playground", Auth.OPEN)],
)
WORLD = snapshot(
    live("batch", of="batch", text="Nightly batch"),
    live("search", of="search", text="Search"),
    live("steady", of="steady"),
    live("old-demo", of="old-demo"),
    live("portal-made"),
    endpoint("llama3", "batch", "steady", "portal-made"),
    endpoint("whisper", "search"),
    endpoint("app:webui", "portal-made"),
    endpoint("playground", "old-demo"),
    held=["batch", "search", "steady", "old-demo"],
)
GONE = SinkRecord("prod", "gone", 2, "gone-g2", NOW - days(40))
WORLD = replace(WORLD, sinks={"local": SinkContents({**WORLD.sinks["local"].records, "gone": GONE})})
PLANNED = compute_plan(FILE, WORLD, NOW)


def resources(of):
    return {resource["address"]: resource["change"] for resource in json.loads(plan_to_json(of))["resource_changes"]}


def ask(of, query):
    """What a policy in Rego asks with `input.resource_changes[_]`."""
    return [found for each in json.loads(plan_to_json(of))["resource_changes"] if (found := query(each)) is not None]


def test_a_plan_is_the_same_to_the_byte():
    assert plan_to_json(PLANNED) == EXPECTED.read_text(encoding="utf-8")
    assert plan_to_json(compute_plan(FILE, WORLD, NOW)) == plan_to_json(PLANNED)


def test_an_empty_plan_has_all_fields():
    assert json.loads(plan_to_json(plan())) == {
        "format_version": "1.0",
        "applyable": False,
        "resource_changes": [],
        "resource_drift": [],
        "keyform": {
            "stack": "inference-prod",
            "project": 1234,
            "made_at": "2026-11-21T10:00:00Z",
            "summary": {
                "add": 0,
                "change": 0,
                "rotate": 0,
                "destroy": 0,
                "forget": 0,
                "deployments": 0,
                "applications": 0,
            },
            "exposures": [],
            "refusals": [],
            "unmet": [],
            "held_up": [],
            "warnings": [],
            "notes": [],
            "repairs": [],
            "expiring": [],
            "destinations": [],
            "lock": "api",
            "changes": [],
        },
    }


def test_a_created_key_is_told_as_terraform_tells_a_created_resource():
    made = compute_plan(
        desired(key("payments-api", "llama3")), snapshot(endpoint("llama3", "other"), live("other")), NOW
    )
    assert json.loads(plan_to_json(made))["resource_changes"][0] == {
        "address": "key.payments-api",
        "mode": "managed",
        "type": "keyform_key",
        "name": "payments-api",
        "change": {
            "actions": ["create"],
            "before": None,
            "after": {
                "name": "payments-api",
                "description": "",
                "expires_at": None,
                "prevent_destroy": False,
                "generation": "payments-api",
                "created_at": None,
                "deployments": ["llama3"],
                "applications": [],
                "sinks": ["local"],
                "generations": [
                    {
                        "name": "payments-api",
                        "number": 1,
                        "phase": "published",
                        "description": "",
                        "expires_at": None,
                        "prevent_destroy": False,
                        "created_at": None,
                        "deployments": ["llama3"],
                        "applications": [],
                        "marker": None,
                    }
                ],
                "secret": None,
            },
            "after_unknown": {
                "created_at": True,
                "secret": True,
                "generations": [{"created_at": True, "marker": True}],
            },
            "before_sensitive": {},
            "after_sensitive": {"secret": True},
            "replace_paths": [],
        },
        "action_reason": "key_is_missing",
    }


def test_what_stays_as_it_is_is_there_too():
    change = resources(PLANNED)["key.steady"]
    assert change["actions"] == ["no-op"]
    assert change["before"] == change["after"]
    assert (change["after_unknown"], change["replace_paths"]) == ({}, [])


ACTIONS = {
    "key.batch": ["create", "delete"],
    "key.gone": ["create"],
    "key.old-demo": ["delete"],
    "key.payments": ["create"],
    "key.search": ["update"],
    "key.steady": ["no-op"],
    "application.webui": ["update"],
    "deployment.llama3": ["update"],
    "deployment.playground": ["update"],
    "deployment.whisper": ["update"],
}


def test_every_key_and_endpoint_has_one_entry_and_its_action():
    assert {address: change["actions"] for address, change in resources(PLANNED).items()} == ACTIONS


@pytest.mark.parametrize(
    ("question", "query", "answer"),
    [
        (
            "which keys open llama3 afterwards?",
            lambda each: (
                each["name"] if "llama3" in ((each["change"]["after"] or {}).get("deployments") or []) else None
            ),
            ["batch", "payments", "steady"],
        ),
        (
            "and says the deployment the same?",
            lambda each: each["change"]["after"]["keys"] if each["address"] == "deployment.llama3" else None,
            [["batch", "payments", "steady"]],
        ),
        (
            "which endpoints become public?",
            lambda each: (
                each["name"]
                if each["type"] == "keyform_endpoint"
                and (each["change"]["before"]["auth"], each["change"]["after"]["auth"]) == ("required", "open")
                else None
            ),
            ["playground"],
        ),
        (
            "which keys never expire afterwards?",
            lambda each: (
                each["name"]
                if each["type"] == "keyform_key"
                and each["change"]["after"] is not None
                and each["change"]["after"]["expires_at"] is None
                else None
            ),
            ["gone", "payments", "search", "steady"],
        ),
        (
            "which keys are deleted, and what did they open?",
            lambda each: (
                (each["name"], each["change"]["before"]["deployments"])
                if each["type"] == "keyform_key" and each["change"]["actions"] == ["delete"]
                else None
            ),
            [("old-demo", ["playground"])],
        ),
        (
            "which attribute forces a rotation?",
            lambda each: (each["name"], each["change"]["replace_paths"]) if each["change"]["replace_paths"] else None,
            [("batch", [["expires_at"]])],
        ),
        (
            "which foreign keys lose llama3?",
            lambda each: each["change"]["before"]["foreign_keys"] if each["address"] == "deployment.llama3" else None,
            [["portal-made"]],
        ),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_policy_finds_its_answer(question, query, answer):
    assert ask(PLANNED, query) == answer, question


def test_a_key_that_was_deleted_outside_keyform_is_drift():
    (drift,) = json.loads(plan_to_json(PLANNED))["resource_drift"]
    assert (drift["address"], drift["change"]["actions"], drift["change"]["after"]) == ("key.gone", ["delete"], None)
    assert drift["change"]["before"]["generation"] == "gone-g2"


def test_an_adopted_key_is_imported():
    world = snapshot(live("portal-made", text="By hand"), endpoint("llama3", "portal-made"))
    adopted = resources(compute_plan(desired(key("bot", "llama3", text=None, adopt="portal-made")), world, NOW))[
        "key.bot"
    ]
    assert (adopted["actions"], adopted["importing"]) == (["update"], {"id": "portal-made"})
    assert (adopted["before"]["description"], adopted["after"]["description"]) == ("By hand", "By hand")


def test_retiring_an_old_generation_is_an_update_and_not_the_end_of_the_key():
    world = snapshot(
        live("batch", of="batch", since=NOW - days(60)),
        live("batch-g2", of="batch", generation=2, since=NOW - days(30)),
        endpoint("llama3", "batch", "batch-g2"),
        held=["batch-g2"],
    )
    change = resources(compute_plan(desired(key("batch", "llama3")), world, NOW))["key.batch"]
    assert change["actions"] == ["update"]
    assert [each["name"] for each in change["before"]["generations"]] == ["batch", "batch-g2"]
    assert [each["name"] for each in change["after"]["generations"]] == ["batch-g2"]


def test_a_refused_plan_is_not_applyable_and_says_why():
    refused = json.loads(plan_to_json(plan(DELETE, refusals=(TOO_MANY,))))
    assert refused["applyable"] is False
    assert refused["keyform"]["refusals"] == [
        {
            "where": "keyform.yaml:3:1",
            "path": "safety.max_deletes",
            "message": "6 keys would be deleted, but at most 5 may",
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
        "done": {
            "add": 0,
            "change": 0,
            "rotate": 0,
            "destroy": 0,
            "forget": 0,
            "deployments": 0,
            "applications": 0,
        },
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
    def described(text):
        return compute_plan(desired(key("payments", text=text)), snapshot(), NOW)

    shown = plan_to_json(described("\x1b[31m \u202e \x9b é"))
    assert shown.isascii()
    assert "\x1b" not in shown
    assert resources(described("é"))["key.payments"]["after"]["description"] == "é"


@pytest.mark.parametrize(
    "slipped",
    [
        plan(replace(CREATE, text=Secret("s3cr3t"))),
        replace(plan(), resources=(Resource("key.payments", None, {"generations": [], "secret": Secret("s3cr3t")}),)),
    ],
    ids=["in-a-change", "in-a-resource"],
)
def test_a_secret_that_slipped_into_a_plan_is_an_error_and_no_output(slipped):
    with pytest.raises(TypeError) as error:
        plan_to_json(slipped)
    assert "s3cr3t" not in str(error.value)
