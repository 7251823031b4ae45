"""AWS Secrets Manager as moto's server plays it over HTTP, seen by a client of the tests' own."""

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


class Killed(BaseException):
    """The process is dead: no effect comes after this."""


class Counted(System):
    """The calls to AWS in order; `before` and `after` get each and may raise.

    They share the first client that a sink made: each takes 100 ms to make, and some megabytes for good.
    """

    clients: ClassVar[list[Any]] = []

    def __init__(
        self,
        before: Callable[[int, str], None] = lambda number, what: None,
        after: Callable[[int, str], None] = lambda number, what: None,
    ) -> None:
        super().__init__()
        self.log: list[str] = []
        self.before = before
        self.after = after

    def call(self, what: str, function: Callable[[], Any]) -> Any:
        self.log.append(what.removeprefix("secretsmanager:"))
        number = len(self.log)
        self.before(number, what)
        result = super().call(what, function) if self.log[-1] != "open" else self._client(function)
        self.after(number, what)
        return result

    def _client(self, make: Callable[[], Any]) -> Any:
        if not self.clients:
            self.clients.append(make())
        return self.clients[0]


def kill_at(wanted: int) -> Callable[[int, str], None]:
    """The process dies at the n-th call (from 1), and stays dead."""

    def kill(number: int, _what: str) -> None:
        if number >= wanted:
            raise Killed

    return kill
