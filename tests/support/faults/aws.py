"""AWS as boto3's client shows it: what the real sinks call, in memory, on the world's clock.

tests/faults/test_aws.py makes the same calls here and in moto, and compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from support.faults.aws_ssm import READS as PARAMETER_READS
from support.faults.aws_ssm import FakeParameters, Parameter

REGION = "eu-west-1"
CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
READS = PARAMETER_READS | {"describe_secret", "get_secret_value"}
Given = Mapping[str, Any]
PAGE = 2
"""Secrets of a page: few, so that there are several."""


@dataclass
class Entry:
    """One secret: its tags, the value of each version, and which version has each staging label."""

    tags: dict[str, str]
    versions: dict[str, str]
    labels: dict[str, str]
    deleted: datetime | None = None


@dataclass(frozen=True)
class LateCall:
    """A call that may reach AWS long after its caller gave up."""

    operation: str
    given: Given


@dataclass
class FakeAws:
    """All secrets and parameters of an account, by name."""

    secrets: dict[str, Entry] = field(default_factory=dict)
    parameters: dict[str, Parameter] = field(default_factory=dict)
    _on_its_way: list[LateCall] | None = None
    """While it is a list, calls end up there."""

    @contextmanager
    def delayed(self) -> Iterator[list[LateCall]]:
        """Calls made meanwhile have no effect, and are here to be made later."""
        self._on_its_way = []
        try:
            yield self._on_its_way
        finally:
            self._on_its_way = None

    def call(self, now: Callable[[], datetime], call: LateCall) -> dict[str, Any]:
        """One call; botocore's ClientError when AWS refuses it."""
        if self._on_its_way is not None:
            self._on_its_way.append(call)
            return {}
        answer: dict[str, Any] = getattr(FakeClient(self, now), f"_{call.operation}")(call.operation, call.given)
        return answer

    def deliver(self, call: LateCall, now: Callable[[], datetime]) -> None:
        """Make a call whose answer nobody reads."""
        from botocore.exceptions import ClientError

        with suppress(ClientError):
            self.call(now, call)

    def copy(self) -> FakeAws:
        """Another account with the same in it."""
        return FakeAws(deepcopy(self.secrets), deepcopy(self.parameters))

    def outline(self) -> tuple[Any, ...]:
        """Everything in it, to compare."""
        return tuple(
            (name, *(tuple(sorted(part.items())) for part in (one.tags, one.versions, one.labels)), one.deleted)
            for name, one in sorted(self.secrets.items())
        ) + tuple(
            (name, tuple(sorted(one.tags.items())), tuple(one.versions))
            for name, one in sorted(self.parameters.items())
        )

    def held(self) -> dict[str, str]:
        """What a consumer gets, by the secret's name."""
        alive = {name: one for name, one in self.secrets.items() if one.deleted is None and CURRENT in one.labels}
        return {name: one.versions[one.labels[CURRENT]] for name, one in alive.items()}


def refusal(code: str, operation: str, status: int = 400, message: str = "refused", *, retries: int = 0) -> Exception:
    """An error as botocore raises it, after that many retries by botocore itself."""
    from botocore.exceptions import ClientError

    about = {"HTTPStatusCode": status, "RetryAttempts": retries}
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": about}
    error: Exception = ClientError(answer, "".join(part.capitalize() for part in operation.split("_")))
    return error


class FakeClient(FakeParameters):
    """boto3's client of it; `now` is the world's clock."""

    meta = SimpleNamespace(region_name=REGION)

    def __init__(self, aws: FakeAws, now: Callable[[], datetime]) -> None:
        self._aws, self._secrets = aws, aws.secrets
        self.parameters = aws.parameters
        self._now = now

    def _refuse(self, code: str, operation: str) -> Exception:
        return refusal(code, operation)

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        return lambda **given: self._aws.call(self._now, LateCall(operation, given))

    def _find(self, operation: str, name: str, *, alive: bool = True) -> Entry:
        entry = self._secrets.get(name)
        if entry is None:
            raise refusal("ResourceNotFoundException", operation)
        if alive and entry.deleted is not None:
            raise refusal("InvalidRequestException", operation, message="it is scheduled for deletion")
        return entry

    def _create_secret(self, operation: str, given: Given) -> dict[str, Any]:
        name, version, text = given["Name"], given["ClientRequestToken"], given["SecretString"]
        there = self._secrets.get(name)
        if there is not None:
            if there.deleted is not None:
                raise refusal("InvalidRequestException", operation, message="it is scheduled for deletion")
            if there.versions.get(version) != text:
                raise refusal("ResourceExistsException", operation)
        else:
            tags = {tag["Key"]: tag["Value"] for tag in given.get("Tags", [])}
            self._secrets[name] = Entry(tags, {version: text}, {CURRENT: version})
        return {"Name": name, "VersionId": version}

    def _describe_secret(self, operation: str, given: Given) -> dict[str, Any]:
        entry = self._find(operation, given["SecretId"], alive=False)
        stages: dict[str, list[str]] = {}
        for label, version in sorted(entry.labels.items()):
            stages.setdefault(version, []).append(label)
        deleted = {"DeletedDate": entry.deleted} if entry.deleted is not None else {}
        return {"Name": given["SecretId"], "Tags": as_list(entry.tags), "VersionIdsToStages": stages, **deleted}

    def _tag_resource(self, operation: str, given: Given) -> dict[str, Any]:
        self._find(operation, given["SecretId"]).tags.update({tag["Key"]: tag["Value"] for tag in given["Tags"]})
        return {}

    def _untag_resource(self, operation: str, given: Given) -> dict[str, Any]:
        entry = self._find(operation, given["SecretId"])
        for key in given["TagKeys"]:
            entry.tags.pop(key, None)
        return {}

    def _put_secret_value(self, operation: str, given: Given) -> dict[str, Any]:
        entry = self._find(operation, given["SecretId"])
        version, text = given["ClientRequestToken"], given["SecretString"]
        if entry.versions.setdefault(version, text) != text:
            raise refusal("ResourceExistsException", operation)
        for label in given.get("VersionStages", [CURRENT]):
            self._move(entry, label, version)
        return {"VersionId": version, "VersionStages": given.get("VersionStages", [CURRENT])}

    def _update_secret_version_stage(self, operation: str, given: Given) -> dict[str, Any]:
        entry = self._find(operation, given["SecretId"])
        label, version = given["VersionStage"], given["MoveToVersionId"]
        if version not in entry.versions:
            raise refusal("InvalidParameterException", operation, message="there is no such version")
        there = entry.labels.get(label)
        if there is not None and there != given.get("RemoveFromVersionId"):
            raise refusal("InvalidParameterException", operation, message="the label is on another version")
        self._move(entry, label, version)
        return {}

    @staticmethod
    def _move(entry: Entry, label: str, version: str) -> None:
        """Put a staging label on a version; what was current becomes the previous one."""
        before = entry.labels.get(label)
        entry.labels[label] = version
        if label == CURRENT and before not in (None, version):
            entry.labels[PREVIOUS] = str(before)

    def _get_secret_value(self, operation: str, given: Given) -> dict[str, Any]:
        entry = self._find(operation, given["SecretId"])
        version = given.get("VersionId") or entry.labels.get(given.get("VersionStage", CURRENT), "")
        if version not in entry.versions:
            raise refusal("ResourceNotFoundException", operation)
        return {"Name": given["SecretId"], "VersionId": version, "SecretString": entry.versions[version]}

    def _delete_secret(self, operation: str, given: Given) -> dict[str, Any]:
        is_forced = given.get("ForceDeleteWithoutRecovery", False)
        entry = self._find(operation, given["SecretId"], alive=not is_forced)
        if is_forced:
            del self._secrets[given["SecretId"]]
        else:
            entry.deleted = self._now()
        return {"Name": given["SecretId"]}

    def _restore_secret(self, operation: str, given: Given) -> dict[str, Any]:
        self._find(operation, given["SecretId"], alive=False).deleted = None
        return {"Name": given["SecretId"]}

    def _list_secrets(self, _operation: str, given: Given) -> dict[str, Any]:
        by = {each["Key"]: each["Values"][0] for each in given["Filters"]}
        found = [
            {"Name": name, "Tags": as_list(entry.tags)}
            for name, entry in sorted(self._secrets.items())
            if entry.deleted is None
            and any(key.startswith(by["tag-key"]) for key in entry.tags)
            and any(value.startswith(by["tag-value"]) for value in entry.tags.values())
        ]
        first = int(given.get("NextToken", 0))
        last = first + min(PAGE, given["MaxResults"])
        more = {"NextToken": str(last)} if last < len(found) else {}
        return {"SecretList": found[first:last], **more}


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as AWS shows them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
