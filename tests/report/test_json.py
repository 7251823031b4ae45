"""Plans as JSON. The whole expected text is in `everything.json` next to this file."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan.test_rules import CASES
from report.builders import CREATE, DELETE, EVERYTHING, TOO_MANY, plan
from support.drawn import files, worlds
from support.fuzzing import fuzz
from support.schemas import check_plan, validator
from support.states import NOW, days, declared, desired, endpoint, key, live, snapshot

from reconciler.model import Auth, Secret, SinkContents, SinkRecord
from reconciler.plan import compute_plan
from reconciler.plan.changes import Base, Destroy, Drift, Note, Resource, Rotate, Selection
from reconciler.plan.fields import instant
from reconciler.report.json import plan_to_json

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
    text = plan_to_json(PLANNED)
    assert json.dumps(json.loads(text), indent=2) + "\n" == EXPECTED.read_text(encoding="utf-8")
    assert (text.count("\n"), text[-1]) == (1, "\n"), "terraform-compliance takes several lines for an error"
    assert plan_to_json(compute_plan(FILE, WORLD, NOW)) == plan_to_json(PLANNED)


def test_an_empty_plan_has_all_fields():
    tree = json.loads(plan_to_json(plan()))
    checks = tree.pop("checks")
    assert [(check["address"]["name"], check["status"]) for check in checks] == [
        ("max_deletes", "pass"),
        ("max_replacements", "pass"),
        ("allow_empty", "pass"),
        ("absent_sinks", "pass"),
        ("prevent_destroy", "pass"),
        ("keeps_a_key", "pass"),
        ("renames", "pass"),
    ]
    assert tree == {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "variables": {},
        "planned_values": {"root_module": {"resources": []}},
        "resource_drift": [],
        "resource_changes": [],
        "output_changes": {},
        "prior_state": {
            "format_version": "1.0",
            "terraform_version": "1.9.0",
            "values": {"root_module": {"resources": []}},
        },
        "configuration": {
            "provider_config": {"keyform": {"name": "keyform", "full_name": "keyform"}},
            "root_module": {},
        },
        "relevant_attributes": [],
        "timestamp": "2026-11-21T10:00:00Z",
        "applyable": False,
        "complete": True,
        "errored": False,
        "keyform": {
            "format_version": "1.0",
            "stack": "inference-prod",
            "project": 1234,
            "api": None,
            "made_at": "2026-11-21T10:00:00Z",
            "key_count": 0,
            "summary": {
                "add": 0,
                "change": 0,
                "rotate": 0,
                "destroy": 0,
                "forget": 0,
                "deployments": 0,
                "applications": 0,
            },
            "selection": {"targets": [], "excludes": []},
            "base": None,
            "exposures": [],
            "refusals": [],
            "unmet": [],
            "held_up": [],
            "warnings": [],
            "notes": [],
            "repairs": [],
            "expiring": [],
            "drift": [],
            "unproven": [],
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
        "provider_name": "keyform",
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
                "stack": "prod",
                "project": 1234,
                "rotation": {
                    "every": None,
                    "overlap": "1d",
                    "lifetime": None,
                    "every_seconds": None,
                    "overlap_seconds": 86400,
                    "lifetime_seconds": None,
                },
                "prove": False,
                "adopt": None,
                "destinations": [{"sink": "local", "type": None, "destination": None, "tags": {}}],
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
        "keyform": {
            "action": "create",
            "reason": {"code": "key_is_missing", "sentence": "does not exist yet", "is_urgent": False},
            "changes": [
                "create_generation payments-api",
                "bind payments-api deployment.llama3",
                "publish payments-api",
            ],
            "from_this_change": None,
            "pending": None,
        },
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
            "rule": None,
        }
    ]


def test_a_safety_rule_that_refuses_is_a_check_that_fails():
    """For a rule about single keys or endpoints, the instances say which of them it is about."""
    file = desired(key("payments", "llama3"), key("kept", "llama3", prevent_destroy=True), max_deletes=1)
    world = snapshot(
        live("kept", of="kept", protected=True),
        *(live(name, of=name, protected=name == "old1") for name in ("old1", "old2")),
        live("last", of="last"),
        endpoint("llama3", "kept", "old1", "old2"),
        endpoint("whisper", "last"),
        held=["kept"],
    )
    found = json.loads(plan_to_json(compute_plan(file, world, NOW)))
    checks = {check["address"]["name"]: check for check in found["checks"]}
    assert {name: check["status"] for name, check in checks.items()} == {
        "max_deletes": "fail",
        "max_replacements": "pass",
        "allow_empty": "pass",
        "absent_sinks": "pass",
        "prevent_destroy": "fail",
        "keeps_a_key": "fail",
        "renames": "pass",
    }
    told = {
        name: {each["address"]["to_display"]: (each["status"], len(each["problems"])) for each in check["instances"]}
        for name, check in checks.items()
    }
    assert told["max_deletes"] == {"check.max_deletes": ("fail", 1)}
    assert told["prevent_destroy"] == {"key.kept": ("pass", 0), "key.old1": ("fail", 1)}
    assert told["keeps_a_key"] == {"deployment.llama3": ("pass", 0), "deployment.whisper": ("fail", 1)}
    (problem,) = checks["max_deletes"]["instances"][0]["problems"]
    assert problem["message"] == "3 keys would be deleted, but at most 1 may be: last, old1, old2"
    assert [refusal["rule"] for refusal in found["keyform"]["refusals"]] == ["max_deletes", "prevent_destroy"]
    assert (found["applyable"], found["complete"], found["errored"]) == (False, False, True)


def test_a_plan_is_complete_if_it_leaves_nothing_of_the_file_undone():
    assert json.loads(plan_to_json(PLANNED))["complete"] is True
    for undone in (
        replace(PLANNED, held_up=("payments",)),
        replace(PLANNED, unmet=(TOO_MANY,)),
        replace(PLANNED, selection=Selection(("payments",))),
    ):
        tree = json.loads(plan_to_json(undone))
        assert (tree["applyable"], tree["complete"], tree["errored"]) == (True, False, False)


def test_repairs_are_worth_an_apply():
    damaged = replace(plan(), repairs=(Note("record_is_damaged", "sink.local", "is damaged"),))
    assert json.loads(plan_to_json(damaged))["applyable"] is True


def test_values_before_and_after_are_those_of_the_changes():
    tree = json.loads(plan_to_json(PLANNED))
    for side, values in (("before", tree["prior_state"]["values"]), ("after", tree["planned_values"])):
        told = {each["address"]: each["values"] for each in values["root_module"]["resources"]}
        assert told == {
            each["address"]: each["change"][side]
            for each in tree["resource_changes"]
            if each["change"][side] is not None
        }


def test_without_a_base_nothing_is_said_of_where_a_change_comes_from():
    tree = json.loads(plan_to_json(PLANNED))
    told = [*tree["keyform"]["changes"], *(each["keyform"] for each in tree["resource_changes"])]
    assert {(each["from_this_change"], each["pending"]) for each in told} == {(None, None)}


def test_with_a_base_each_step_and_each_resource_says_where_it_comes_from():
    pending = frozenset(change.id for change in PLANNED.changes if change.key in ("gone", "batch"))
    withdrawn, weakened = Note("a", "key.x", "is kept"), Note("b", "key.y", "lives longer")
    base = Base("main", "0123abc", pending, (withdrawn,), (weakened,))
    tree = check_plan(json.loads(plan_to_json(replace(PLANNED, base=base))))
    assert tree["keyform"]["base"] == {
        "ref": "main",
        "commit": "0123abc",
        "withdrawn": [{"code": "a", "address": "key.x", "sentence": "is kept"}],
        "weakened": [{"code": "b", "address": "key.y", "sentence": "lives longer"}],
    }
    for step in tree["keyform"]["changes"]:
        assert (step["from_this_change"], step["pending"]) == (
            (False, True) if step["address"] in ("key.gone", "key.batch") else (True, False)
        )
    told = {
        each["address"]: (each["keyform"]["from_this_change"], each["keyform"]["pending"])
        for each in tree["resource_changes"]
        if each["keyform"]["action"]
    }
    assert told["key.gone"] == (False, True)
    assert told["key.payments"] == (True, False)
    assert told["deployment.llama3"] == (True, True), "it gains keys by both"


def test_what_drifted_and_changes_is_told_by_its_attributes():
    before, after = ({"name": "x", "auth": auth, "keys": []} for auth in ("required", "open"))
    found = Drift("x", "deployment.llama3", "is public", "it closes", Resource("deployment.llama3", before, after))
    lone = Drift("y", "sink.local", "was edited", "it is written again")
    still = Drift("z", "key.steady", "was edited", "", Resource("key.steady", {"a": 1}, {"a": 2}))
    tree = json.loads(plan_to_json(replace(PLANNED, drift=(*PLANNED.drift, found, lone, still))))
    assert tree["relevant_attributes"] == [
        {"resource": "key.gone", "attribute": ["generation"]},
        {"resource": "deployment.llama3", "attribute": ["auth"]},
    ]
    assert [(each["address"], each["change"]["actions"]) for each in tree["resource_drift"]] == [
        ("key.gone", ["delete"]),
        ("deployment.llama3", ["update"]),
        ("key.steady", ["update"]),
    ]
    assert [each["address"] for each in tree["keyform"]["drift"]] == [
        "key.gone",
        "deployment.llama3",
        "sink.local",
        "key.steady",
    ]
    assert tree["resource_drift"][1]["keyform"] == tree["keyform"]["drift"][1]


def test_every_plan_that_is_planned_somewhere_fits_the_schema():
    for planned in (PLANNED, EVERYTHING, *(compute_plan(case.desired, case.live, NOW) for case in CASES)):
        check_plan(json.loads(plan_to_json(planned)))


@fuzz(100)
@given(files(), worlds(), st.sampled_from([None, Destroy(), Rotate(frozenset({"alpha"})), Rotate(revoke=True)]))
def test_any_plan_fits_the_schema_and_is_the_same_to_the_byte(file, world, demand):
    text = plan_to_json(compute_plan(file, world, NOW, demand))
    tree = check_plan(json.loads(text))
    assert plan_to_json(compute_plan(file, world, NOW, demand)) == text
    for each in tree["resource_changes"]:
        change = each["change"]
        assert (change["actions"] == ["no-op"]) == (each["keyform"]["action"] is None)
        if change["actions"] == ["no-op"]:
            assert change["before"] == change["after"]
    steps = {step["id"] for step in tree["keyform"]["changes"]}
    assert steps == {step for each in tree["resource_changes"] for step in each["keyform"]["changes"]}


@fuzz(50)
@given(files(), worlds(), st.integers(1, 59))
def test_the_same_a_moment_later_differs_in_instants_alone(file, world, seconds):
    one, other = (
        json.loads(plan_to_json(compute_plan(file, world, moment, None)))
        for moment in (NOW, NOW + timedelta(seconds=seconds))
    )
    assert (one.pop("timestamp"), other.pop("timestamp")) == (
        instant(NOW),
        instant(NOW + timedelta(seconds=seconds)),
    )
    differing = {path[-1] for path in differences(one, other)}
    assert differing <= {"made_at", "since", "expires_at", "marker", "desired", "sentence"}


def differences(one, other, path=()):
    """The paths at which two trees differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one.keys() | other.keys():
            yield from differences(one.get(name), other.get(name), (*path, name))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for left, right in zip(one, other, strict=True):
            yield from differences(left, right, path)
    elif one != other:
        yield path


OPEN_PLACES = {("tags",), ("record",), ("provider_config",), ("provider_config", "keyform")}
"""Where the schema takes any name."""
MAY_LACK = {
    *("previous_address", "action_reason", "importing", "replace_paths"),
    *("secret", "created_at", "generations", "marker"),
}
"""Fields that are there or not."""


def test_the_schema_notices_every_field_that_comes_or_goes():
    """Otherwise a plan that loses a field would still fit."""
    tree = json.loads(plan_to_json(replace(PLANNED, base=Base("main", "0"), warnings=(Note("x", "key.y", "z"),))))
    schema = validator("plan")
    assert schema.is_valid(tree)
    seen = set()

    def walk(found, path):
        if isinstance(found, list):
            for each in found:
                walk(each, path)
            return
        if not isinstance(found, dict):
            return
        if path in seen or path[-2:] in OPEN_PLACES or path[-1:] in OPEN_PLACES or path[-1:] == ("fields",):
            return
        seen.add(path)
        found["surprise"] = 1
        assert not schema.is_valid(tree), f"{path} takes any field"
        del found["surprise"]
        for name in list(found):
            value = found.pop(name)
            is_loose = name in MAY_LACK and path[-1:] != ("after",)
            assert is_loose or not schema.is_valid(tree), f"{path} may lack {name}"
            found[name] = value
        for name, value in list(found.items()):
            walk(value, (*path, name))

    walk(tree, ())
    assert len(seen) > 40


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
