"""The AWS of the fault suite does what moto does, call by call, as far as the sink asks for it.

Three answers are AWS's own where moto's are others, and are not compared: a secret that is scheduled for deletion takes
no value, its name is refused to a new one as InvalidRequestException, and a move that is refused moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from support.faults.aws import REGION, FakeAws, FakeClient

NAME = "prod/payments"
ONE, TWO, THREE = (f"{digit * 8}-0000-4000-8000-{digit * 12}" for digit in "123")
LABEL = "keyform"
TAGS = [{"Key": "keyform:stack", "Value": "prod"}]
FILTERS = [{"Key": "tag-key", "Values": ["keyform:stack"]}, {"Key": "tag-value", "Values": ["prod"]}]
CREATE = ("create_secret", {"Name": NAME, "SecretString": "a", "ClientRequestToken": ONE, "Tags": TAGS})


def put(version: str, text: str, *labels: str) -> tuple[str, dict[str, Any]]:
    given = {"SecretId": NAME, "ClientRequestToken": version, "SecretString": text, "VersionStages": [*labels]}
    return "put_secret_value", given


def move(to: str, away_from: str) -> tuple[str, dict[str, Any]]:
    given = {"VersionStage": "AWSCURRENT", "MoveToVersionId": to, "RemoveFromVersionId": away_from}
    return "update_secret_version_stage", {"SecretId": NAME, **given}


GET = ("get_secret_value", {"SecretId": NAME, "VersionStage": "AWSCURRENT"})
DESCRIBE = ("describe_secret", {"SecretId": NAME})
LIST = ("list_secrets", {"Filters": FILTERS, "MaxResults": 100})
STORIES = {
    "nothing-there": [DESCRIBE, GET, LIST, put(ONE, "a", "AWSCURRENT")],
    "create": [CREATE, DESCRIBE, GET, LIST],
    "replace": [CREATE, put(TWO, "b", LABEL), GET, move(TWO, ONE), DESCRIBE, GET],
    "replace-twice": [
        *(CREATE, put(TWO, "b", LABEL), move(TWO, ONE), put(THREE, "c", LABEL), move(THREE, TWO)),
        *(DESCRIBE, GET, ("get_secret_value", {"SecretId": NAME, "VersionId": ONE})),
    ],
    "move-twice": [CREATE, put(TWO, "b", LABEL), move(TWO, ONE), move(TWO, ONE), DESCRIBE, GET],
    "move-from-elsewhere": [CREATE, put(TWO, "b", LABEL), put(THREE, "c", LABEL), move(THREE, TWO), DESCRIBE],
    "move-to-nothing": [CREATE, move(TWO, ONE)],
    "move-back": [CREATE, put(TWO, "b", LABEL), move(TWO, ONE), move(ONE, TWO), DESCRIBE, GET],
    "create-beside-another": [CREATE, ("create_secret", CREATE[1] | {"ClientRequestToken": TWO}), DESCRIBE, GET],
    "two-values-of-one-version": [CREATE, put(TWO, "b", LABEL), put(TWO, "c", LABEL), GET, DESCRIBE],
    "put-as-current": [CREATE, put(TWO, "b", "AWSCURRENT", LABEL), DESCRIBE, GET],
    "while-deleted": [
        CREATE,
        ("delete_secret", {"SecretId": NAME, "RecoveryWindowInDays": 7}),
        *(LIST, GET, DESCRIBE, ("delete_secret", {"SecretId": NAME, "RecoveryWindowInDays": 7})),
    ],
    "nothing-to-change": [
        ("tag_resource", {"SecretId": NAME, "Tags": TAGS}),
        ("untag_resource", {"SecretId": NAME, "TagKeys": ["keyform:stack"]}),
        ("delete_secret", {"SecretId": NAME, "RecoveryWindowInDays": 7}),
        ("restore_secret", {"SecretId": NAME}),
        move(TWO, ONE),
    ],
    "tagged-by-others": [("create_secret", CREATE[1] | {"Tags": [{"Key": "keyform:stack", "Value": "dev"}]}), LIST],
    "put-again": [CREATE, put(TWO, "b", LABEL), put(TWO, "b", LABEL), GET],
    "tags": [
        CREATE,
        ("tag_resource", {"SecretId": NAME, "Tags": [{"Key": "x", "Value": "y"}]}),
        ("untag_resource", {"SecretId": NAME, "TagKeys": ["keyform:stack"]}),
        *(DESCRIBE, LIST),
    ],
    "delete-and-restore": [
        CREATE,
        ("delete_secret", {"SecretId": NAME, "RecoveryWindowInDays": 7}),
        *(GET, ("restore_secret", {"SecretId": NAME}), GET, DESCRIBE),
    ],
    "delete-for-good": [
        CREATE,
        ("delete_secret", {"SecretId": NAME, "ForceDeleteWithoutRecovery": True}),
        DESCRIBE,
        GET,
    ],
}
PARAMETER = "/prod/payments"
WHICH = {"ResourceType": "Parameter", "ResourceId": PARAMETER}
GET_PARAMETER = ("get_parameter", {"Name": PARAMETER, "WithDecryption": True})
TAGS_OF = ("list_tags_for_resource", WHICH)


def put_parameter(value: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "put_parameter", {"Name": PARAMETER, "Value": value, "Type": "SecureString", **more}


def describe_parameters(what: str, value: str) -> tuple[str, dict[str, Any]]:
    filters = [{"Key": what, "Option": "Equals", "Values": [value]}]
    return "describe_parameters", {"ParameterFilters": filters, "MaxResults": 50}


LOOK = (describe_parameters("Name", PARAMETER), describe_parameters("tag:keyform:stack", "prod"), TAGS_OF)
MAKE = put_parameter("a", Description="one", Tags=TAGS)
STORIES |= {
    "no-parameter": [
        *(*LOOK, GET_PARAMETER, ("delete_parameter", {"Name": PARAMETER})),
        ("add_tags_to_resource", {**WHICH, "Tags": TAGS}),
        ("remove_tags_from_resource", {**WHICH, "TagKeys": ["a"]}),
    ],
    "a-parameter": [MAKE, *LOOK, GET_PARAMETER, MAKE, GET_PARAMETER],
    "a-second-version": [
        *(MAKE, put_parameter("b", Description="two", Overwrite=True), *LOOK, GET_PARAMETER),
        ("get_parameter", {"Name": f"{PARAMETER}:1", "WithDecryption": True}),
        ("get_parameter", {"Name": f"{PARAMETER}:3", "WithDecryption": True}),
    ],
    "a-version-without-a-description": [MAKE, put_parameter("b", Overwrite=True), *LOOK],
    "tags-and-overwrite": [MAKE, put_parameter("b", Overwrite=True, Tags=TAGS), *LOOK],
    "overwritten-though-it-is-gone": [put_parameter("b", Description="two", Overwrite=True), *LOOK, GET_PARAMETER],
    "a-parameter-that-goes": [MAKE, ("delete_parameter", {"Name": PARAMETER}), *LOOK, GET_PARAMETER, MAKE, *LOOK],
    "tags-of-a-parameter": [
        MAKE,
        ("add_tags_to_resource", {**WHICH, "Tags": [{"Key": "x", "Value": "y"}]}),
        ("remove_tags_from_resource", {**WHICH, "TagKeys": ["keyform:stack", "gone"]}),
        *LOOK,
    ],
}


def told(client: Any, call: tuple[str, Mapping[str, Any]]) -> Any:
    """What a call gives, as far as the sink looks at it: values, tags, labels, or the error's code."""
    from botocore.exceptions import ClientError

    operation, given = call
    try:
        answer = getattr(client, operation)(**given)
        while operation == "describe_parameters" and not answer["Parameters"] and "NextToken" in answer:
            answer = getattr(client, operation)(**given, NextToken=answer["NextToken"])
    except ClientError as error:
        return error.response["Error"]["Code"]
    match operation:
        case "get_secret_value":
            return answer["SecretString"], answer["VersionId"]
        case "describe_secret":
            labels = {version: sorted(found) for version, found in answer["VersionIdsToStages"].items() if found}
            tags = {tag["Key"]: tag["Value"] for tag in answer.get("Tags", [])}
            return tags, labels, "DeletedDate" in answer
        case "list_secrets":
            return [entry["Name"] for entry in answer["SecretList"]]
        case "put_parameter":
            return answer["Version"]
        case "get_parameter":
            return answer["Parameter"]["Value"], answer["Parameter"]["Version"]
        case "describe_parameters":
            fields = ("Name", "Version", "Description", "Type", "Tier", "KeyId")
            return [[entry.get(name) for name in fields] for entry in answer["Parameters"]]
        case "list_tags_for_resource":
            return {tag["Key"]: tag["Value"] for tag in answer["TagList"]}
        case _:
            return "done"


@pytest.mark.parametrize("story", list(STORIES))
def test_each_call_gives_what_it_gives_in_moto(story: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3
    from moto import mock_aws

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_SSM"):
        monkeypatch.delenv(name, raising=False)
    ours = FakeClient(FakeAws(), lambda: datetime(2026, 11, 21, tzinfo=UTC))
    with mock_aws():
        session = boto3.session.Session(region_name=REGION)
        clients = [session.client(name) for name in ("secretsmanager", "ssm")]
        for call in STORIES[story]:
            theirs = next(client for client in clients if hasattr(client, call[0]))
            assert told(ours, call) == told(theirs, call), call
