"""One face for the tests over every kind of sink that can be read back: how it is opened, and what stands in it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from sinks.stage import DOTENV, JSON, STACK, Kind

if TYPE_CHECKING:
    from sinks.aws_stage import Aws

    from reconciler.sinks import Sink

KEY = "payments-api"


class Place(ABC):
    """Where one sink keeps the secret of payments-api."""

    @abstractmethod
    def open(self, *, stack: str = STACK, project: int = 1234) -> Sink:
        """The sink as a new run opens it."""

    @abstractmethod
    def secret(self) -> str | None:
        """What a consumer gets."""

    @abstractmethod
    def record(self) -> str:
        """The record in the words of the sink, each form of which names its number."""

    @abstractmethod
    def plant(self, form: int, secret: str) -> None:
        """The record and the secret as another version would leave them: form 1 as it was, a later one as it may be."""


class FilePlace(Place):
    """A file of a kind."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind, self.path = kind, folder / kind.name

    def open(self, *, stack: str = STACK, project: int = 1234) -> Sink:
        return self.kind.open(self.path, stack=stack, project=project)

    def secret(self) -> str | None:
        return self.kind.secret_in(self.path, KEY)

    def record(self) -> str:
        text = self.path.read_text()
        return text.splitlines()[0] if self.kind is DOTENV else json.dumps(json.loads(text)[KEY]["keyform"])

    def plant(self, form: int, secret: str) -> None:
        fields = {"stack": STACK, "generation": 1, "live_name": KEY, "created_at": "2026-11-21T10:00:00.123456Z"}
        words = f"{STACK}/{KEY} g1 {KEY} 2026-11-21T10:00:00.123456Z"
        if form > 1:
            fields, words = {"form": form, "stack": STACK, "more": []}, f"{form} {STACK}/{KEY} and more=yes"
        self.kind.write_users_own(
            self.path,
            f"# keyform {words}\nPAYMENTS_API={secret}\n"
            if self.kind is DOTENV
            else json.dumps({KEY: {"secret": secret, "keyform": fields}}),
        )


class AwsPlace(Place):
    """A secret in AWS Secrets Manager."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws

    def open(self, *, stack: str = STACK, project: int = 1234) -> Sink:
        return self.aws.open(stack=stack, project=project, name="shared/{key}")

    def secret(self) -> str | None:
        return self.aws.value(f"shared/{KEY}")

    def record(self) -> str:
        name = f"shared/{KEY}"
        return json.dumps(self.aws.tags(name)[f"keyform:version:{self.aws.current(name)}"])

    def plant(self, form: int, secret: str) -> None:
        made = self.aws.client.create_secret(Name=f"shared/{KEY}", SecretString=secret)
        words = f"g1 {KEY} 2026-11-21T10:00:00.123456Z" if form == 1 else f"{form} and more=yes"
        tags = {"keyform:stack": STACK, "keyform:key": KEY, f"keyform:version:{made['VersionId']}": words}
        self.aws.client.tag_resource(
            SecretId=f"shared/{KEY}", Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
        )


def make_place(kind: str, folder: Path, aws: Aws | None) -> Place:
    """A place of this type, empty."""
    if kind == "aws-secrets-manager":
        assert aws is not None
        return AwsPlace(aws)
    return FilePlace({"dotenv": DOTENV, "json": JSON}[kind], folder)
