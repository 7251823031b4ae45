"""Findings as SARIF: what a forge shows at the lines of a pull request."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.builders import DELETE, OVERLAP, TOO_MANY, plan
from support.fuzzing import fuzz
from support.hostile_output import CORPUS, violations
from support.sarif import check

from reconciler.errors import ApiUnreachable, ConfigError, Finding
from reconciler.report.about import About
from reconciler.report.formats import Look, error_as, plan_as, validity_as

HERE = About("plan", files=("keyform.yaml",), folder="/build/repo/infra", root="/build/repo")
HELD_UP = Finding("keyform.yaml:9:1", "keys.a", "is held up: sink x does not answer", "start it")
UNKNOWN = Finding("keyform.yaml:8:5", "keys.a.deploymnts", "unknown field", "Did you mean `x`?", "field_is_unknown")


def of_plan(of, about=HERE):
    return check(plan_as(of, "sarif", Look(about=about)))


def of_error(*findings, about=HERE):
    return check(error_as(ConfigError("It is invalid.", findings), "sarif", limit=0, about=about))


def results(log):
    return log["runs"][0]["results"]


def uri(log, number=0):
    return results(log)[number]["locations"][0]["physicalLocation"]["artifactLocation"]


def fingerprint(finding):
    return results(of_error(finding))[0]["partialFingerprints"]["keyformFinding/v1"]


def test_a_refusal_is_a_result_at_its_line():
    refused = replace(TOO_MANY, rule="max_deletes")
    assert results(of_plan(plan(DELETE, refusals=(refused,)))) == [
        {
            "ruleId": "max_deletes",
            "level": "error",
            "message": {
                "text": "safety.max_deletes 6 keys would be deleted, but at most 5 may."
                " Set `safety: {max_deletes: 6}` if so meant"
            },
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": "infra/keyform.yaml", "uriBaseId": "%SRCROOT%"},
                        "region": {"startLine": 3, "startColumn": 1},
                    },
                    "logicalLocations": [{"fullyQualifiedName": "safety.max_deletes"}],
                }
            ],
            "partialFingerprints": {"keyformFinding/v1": fingerprint(refused)},
            "ruleIndex": 0,
        }
    ]


def test_what_is_left_undone_is_a_result_too():
    (result,) = results(of_plan(replace(plan(), unmet=(HELD_UP,))))
    assert (result["ruleId"], result["level"]) == ("left_undone", "error")


@pytest.mark.parametrize(
    "written",
    [
        plan_as(plan(DELETE, notes=(OVERLAP,)), "sarif", Look(about=HERE)),
        validity_as("Valid.", [], "sarif", limit=0, about=HERE),
    ],
)
def test_where_nothing_is_wrong_there_are_no_results(written):
    log = check(written)
    assert results(log) == []
    assert log["runs"][0]["tool"]["driver"]["rules"] == []
    assert log["runs"][0]["invocations"] == [{"executionSuccessful": True}]


def test_each_finding_of_the_file_is_a_result_with_its_rule():
    log = of_error(UNKNOWN, replace(UNKNOWN, path="keys.b"), Finding("", "", "and 3 more", rule="more_is_wrong"))
    assert [each["ruleId"] for each in results(log)] == ["field_is_unknown", "field_is_unknown", "more_is_wrong"]
    assert [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]] == ["field_is_unknown", "more_is_wrong"]
    assert results(log)[2]["locations"][0]["physicalLocation"]["region"] == {"startLine": 1}


def test_an_error_that_is_about_no_file_is_a_notification():
    error = ApiUnreachable("The API does not answer.", way_out="check GCORE_BASE_URL")
    log = check(error_as(error, "sarif", limit=0, about=HERE))
    assert results(log) == []
    assert log["runs"][0]["invocations"] == [
        {
            "executionSuccessful": False,
            "toolExecutionNotifications": [
                {"level": "error", "message": {"text": "The API does not answer. check GCORE_BASE_URL"}}
            ],
        }
    ]


@pytest.mark.parametrize(
    ("where", "about", "expected"),
    [
        ("keyform.yaml:1:1", HERE, ("infra/keyform.yaml", "%SRCROOT%")),
        ("../keyform.yaml:1:1", HERE, ("keyform.yaml", "%SRCROOT%")),
        ("/build/repo/a b#c?.yaml:1:1", HERE, ("a%20b%23c%3F.yaml", "%SRCROOT%")),
        ("/elsewhere/x.yaml:1:1", HERE, ("file:///elsewhere/x.yaml", None)),
        ("/build/repository/x.yaml:1:1", HERE, ("file:///build/repository/x.yaml", None)),
        ("keyform.yaml", HERE, ("infra/keyform.yaml", "%SRCROOT%")),
        ("", HERE, ("infra/keyform.yaml", "%SRCROOT%")),
        ("x.yaml:1:1", About(), ("x.yaml", "%SRCROOT%")),
        ("x.yaml:1:1", replace(HERE, root=""), ("x.yaml", "%SRCROOT%")),
        ("x.yaml:1:1", replace(HERE, root="/", folder="/a"), ("a/x.yaml", "%SRCROOT%")),
    ],
)
def test_a_file_is_named_from_the_top_of_the_repository(where, about, expected):
    found = uri(of_error(replace(UNKNOWN, where=where), about=about))
    assert (found["uri"], found.get("uriBaseId")) == expected


@pytest.mark.parametrize("where", ["<stdin>:3:4", "<stdin>"])
def test_standard_input_is_no_file(where):
    (result,) = results(of_error(replace(UNKNOWN, where=where)))
    assert result["locations"] == [{"logicalLocations": [{"fullyQualifiedName": "keys.a.deploymnts"}]}]


def test_a_fingerprint_stays_when_lines_move_and_differs_between_findings():
    assert fingerprint(UNKNOWN) == fingerprint(replace(UNKNOWN, where="keyform.yaml:80:2"))
    twice = replace(UNKNOWN, message="is also at keyform.yaml:3:9, 5 times")
    assert fingerprint(twice) == fingerprint(replace(twice, message="is also at keyform.yaml:4:9, 6 times"))
    others = [replace(UNKNOWN, **{name: "other"}) for name in ("path", "message", "rule", "where")]
    assert len({fingerprint(each) for each in (UNKNOWN, *others)}) == 5


def test_the_same_finding_twice_has_two_fingerprints():
    prints = [each["partialFingerprints"]["keyformFinding/v1"] for each in results(of_error(UNKNOWN, UNKNOWN))]
    assert prints == [fingerprint(UNKNOWN), f"{fingerprint(UNKNOWN)}:2"]


def test_a_message_holds_no_link_of_others():
    (result,) = results(of_error(replace(UNKNOWN, message="see [this](https://evil.example), keys.a[0] (x)")))
    assert "see \\[this](https" in result["message"]["text"]
    assert "keys.a[0] (x)" in result["message"]["text"]


@given(st.text() | st.sampled_from(sorted(CORPUS.values(), key=len)[:40]))
@fuzz(100)
def test_whatever_others_write_it_is_valid_and_inert(text):
    finding = Finding(f"{text}:1:2", text, text, text)
    written = error_as(ConfigError(text, [finding]), "sarif", limit=0, about=HERE)
    check(written)
    assert written.isascii()
    assert not violations(written)
    assert json.loads(written)["version"] == "2.1.0"
