"""What SARIF 2.1.0 and code scanning require of a log, as far as keyform writes one.

Every property that is not listed is refused, as the standard's schema refuses it: so a misspelt one is found. The
rules of code scanning are those of its documentation: a result has a rule, a message and a fingerprint, a rule has
texts, and a file is relative to the top of the repository.
"""

from __future__ import annotations

import json
import re
from typing import Any

from jsonschema import Draft7Validator

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
COUNT = {"type": "integer", "minimum": 1}
URI = {"type": "string", "pattern": r"^[A-Za-z0-9._~:/%@!$&'()*+,;=-]+$"}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": required.split(),
        "properties": properties,
        "additionalProperties": False,
    }


def _list(items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, **more}


ARTIFACT = _object("uri", uri=URI, uriBaseId={"const": "%SRCROOT%"})
REGION = _object("startLine", startLine=COUNT, startColumn=COUNT)
LOCATION = {
    **_object(
        "",
        physicalLocation=_object("artifactLocation region", artifactLocation=ARTIFACT, region=REGION),
        logicalLocations=_list(_object("fullyQualifiedName", fullyQualifiedName={"type": "string"})),
    ),
    "required": [],
}
RESULT = _object(
    "ruleId ruleIndex level message partialFingerprints",
    ruleId={"type": "string", "pattern": "^[a-z_]+$"},
    ruleIndex={"type": "integer", "minimum": 0},
    level=LEVEL,
    message=TEXT,
    locations=_list(LOCATION, minItems=1, maxItems=1),
    partialFingerprints={"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}},
)
RULE = _object(
    "id shortDescription fullDescription help defaultConfiguration",
    id={"type": "string", "pattern": "^[a-z_]+$"},
    shortDescription=TEXT,
    fullDescription=TEXT,
    help=TEXT,
    defaultConfiguration=_object("level", level=LEVEL),
)
DRIVER = _object(
    "name version rules",
    name={"const": "keyform"},
    version={"type": "string"},
    semanticVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
    rules=_list(RULE, uniqueItems=True),
)
NOTIFICATION = _object("message level", message=TEXT, level=LEVEL)
RUN = _object(
    "tool results",
    tool=_object("driver", driver=DRIVER),
    invocations=_list(
        _object(
            "executionSuccessful",
            executionSuccessful={"type": "boolean"},
            toolExecutionNotifications=_list(NOTIFICATION, minItems=1),
        )
    ),
    originalUriBaseIds={"type": "object", "additionalProperties": _object("description", description=TEXT)},
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results=_list(RESULT),
)
LOG = _object(
    "version runs", **{"$schema": {"type": "string"}, "version": {"const": "2.1.0"}, "runs": _list(RUN, minItems=1)}
)


def check(text: str) -> dict[str, Any]:
    """The log; AssertionError with the first thing that is wrong with it."""
    log: dict[str, Any] = json.loads(text)
    wrong = [f"{each.json_path}: {each.message}" for each in Draft7Validator(LOG).iter_errors(log)]
    assert not wrong, wrong[0]
    for run in log["runs"]:
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        prints = [json.dumps(each["partialFingerprints"]) for each in run["results"]]
        assert len(set(rules)) == len(rules), "a rule is there twice"
        assert len(set(prints)) == len(prints), "two results have one fingerprint"
        for result in run["results"]:
            assert rules[result["ruleIndex"]] == result["ruleId"], "the index is that of another rule"
            for location in result.get("locations", ()):
                artifact = location.get("physicalLocation", {}).get("artifactLocation", {"uri": "x", "uriBaseId": ""})
                is_absolute = re.match("[a-z]+:|/", artifact["uri"]) is not None
                assert is_absolute != ("uriBaseId" in artifact), "a base for what is absolute, or none for what is not"
    return log
