"""AWS as moto's server plays it over HTTP, seen by clients of the tests' own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from sinks.stage import PROJECT, STACK, owner, record

from reconciler.effects import Effects, System
from reconciler.errors import SinkError
from reconciler.model import SinkRecord, SinkSettings
from reconciler.sinks import Sink, open_sinks

REGION = "eu-west-1"
PARAMETER = f"/{STACK}/payments-api"


def generation(number: int, *, key: str = "payments-api", stack: str = STACK) -> SinkRecord:
    """A record as `apply` would make it."""
    return record(key, number, stack=stack)


def refused(act: Callable[[], object]) -> SinkError:
    """The error, which has a way out."""
    with pytest.raises(SinkError) as caught:
        act()
    assert caught.value.way_out
    return caught.value


class Aws:
    """One account, empty at first."""

    def __init__(self, url: str) -> None:
        import boto3

        self.url = url
        session = boto3.session.Session("id", "secret", region_name=REGION)
        self.client: Any = session.client("secretsmanager", endpoint_url=url)

    def open(
        self, *, stack: str = STACK, project: int = PROJECT, effects: Effects | None = None, **options: Any
    ) -> Sink:
        """The sink, as a run opens it."""
        given = {"region": REGION, **options}
        settings = SinkSettings("cloud", "aws-secrets-manager", given)
        return open_sinks([settings], owner=owner(stack, project=project), effects=effects or Counted())["cloud"]

    def value(self, name: str = f"{STACK}/payments-api", stage: str = "AWSCURRENT") -> str | None:
        """What a consumer gets."""
        try:
            answer = self.client.get_secret_value(SecretId=name, VersionStage=stage)
        except self.client.exceptions.ClientError:
            return None
        return str(answer["SecretString"])

    def fields(self, name: str = f"{STACK}/payments-api") -> dict[str, Any]:
        """What a consumer gets, where it is a JSON object."""
        found: dict[str, Any] = json.loads(self.value(name) or "{}")
        return found

    def describe(self, name: str = f"{STACK}/payments-api") -> dict[str, Any]:
        """All but the value."""
        found: dict[str, Any] = self.client.describe_secret(SecretId=name)
        return found

    def tags(self, name: str = f"{STACK}/payments-api") -> dict[str, str]:
        """The tags."""
        return {tag["Key"]: tag["Value"] for tag in self.describe(name).get("Tags", [])}

    def current(self, name: str = f"{STACK}/payments-api") -> str:
        """The id of the version that a consumer gets."""
        versions = self.describe(name)["VersionIdsToStages"]
        (found,) = (version for version, labels in versions.items() if "AWSCURRENT" in labels)
        return str(found)

    def edit(self, text: str, name: str = f"{STACK}/payments-api") -> None:
        """Somebody puts another value, as the console does.

        Two calls for what is one there: moto does not find the right AWSPREVIOUS after AWSCURRENT was moved.
        """
        before = self.current(name)
        made = self.client.put_secret_value(SecretId=name, SecretString=text, VersionStages=["edit"])["VersionId"]
        self.client.update_secret_version_stage(
            SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=made, RemoveFromVersionId=before
        )


class Ssm:
    """The Parameter Store of one account, empty at first."""

    clients: ClassVar[dict[str, Any]] = {}

    def __init__(self, url: str) -> None:
        import boto3

        self.url = url
        if url not in self.clients:
            session = boto3.session.Session("id", "secret", region_name=REGION)
            self.clients[url] = session.client("ssm", endpoint_url=url)
        self.client: Any = self.clients[url]

    def open(
        self, *, stack: str = STACK, project: int = PROJECT, effects: Effects | None = None, **options: Any
    ) -> Sink:
        """The sink, as a run opens it."""
        settings = SinkSettings("cloud", "aws-ssm", {"region": REGION, **options})
        return open_sinks([settings], owner=owner(stack, project=project), effects=effects or Counted())["cloud"]

    def value(self, name: str = PARAMETER) -> str | None:
        """What a consumer gets."""
        try:
            return str(self.client.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])
        except self.client.exceptions.ClientError:
            return None

    def describe(self, name: str = PARAMETER) -> dict[str, Any]:
        """All but the value and the tags."""
        filters = [{"Key": "Name", "Values": [name]}]
        (found,) = self.client.describe_parameters(ParameterFilters=filters)["Parameters"]
        return dict(found)

    def tags(self, name: str = PARAMETER) -> dict[str, str]:
        """The tags."""
        found = self.client.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"]
        return {tag["Key"]: tag["Value"] for tag in found}

    def tag(self, name: str = PARAMETER, **tags: str) -> None:
        """Somebody does."""
        given = [{"Key": key, "Value": value} for key, value in tags.items()]
        self.client.add_tags_to_resource(ResourceType="Parameter", ResourceId=name, Tags=given)

    def edit(self, text: str, name: str = PARAMETER, **more: str) -> None:
        """Somebody puts another value; moto keeps the description, as AWS may."""
        self.client.put_parameter(Name=name, Value=text, Type="SecureString", Overwrite=True, **more)


class Killed(BaseException):
    """The process is dead: no effect comes after this."""


class Counted(System):
    """The calls to AWS in order; `before` and `after` get each and may raise.

    They share the first client that a sink made: each takes 100 ms to make, and some megabytes for good. No one waits.
    """

    clients: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        before: Callable[[int, str], None] = lambda number, what: None,
        after: Callable[[int, str], None] = lambda number, what: None,
    ) -> None:
        super().__init__()
        self.log: list[str] = []
        self.waits: list[float] = []
        self.before = before
        self.after = after

    def call(self, what: str, function: Callable[[], Any]) -> Any:
        service, _, operation = what.partition(":")
        self.log.append(operation)
        number = len(self.log)
        self.before(number, what)
        result = super().call(what, function) if operation != "open" else self._client(service, function)
        self.after(number, what)
        return result

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def _client(self, service: str, make: Callable[[], Any]) -> Any:
        if service not in self.clients:
            self.clients[service] = make()
        return self.clients[service]


def kill_at(wanted: int) -> Callable[[int, str], None]:
    """The process dies at the n-th call (from 1), and stays dead."""

    def kill(number: int, _what: str) -> None:
        if number >= wanted:
            raise Killed

    return kill
