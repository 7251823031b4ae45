"""One face for the tests over every kind of sink that can be read back: how it is opened, and what stands in it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from sinks.example_server import TOKEN, ExampleServer
from sinks.stage import DOTENV, STACK, Kind, owner

from reconciler.effects import Effects, System
from reconciler.model import SinkSettings
from reconciler.sinks import Sink, open_sinks

if TYPE_CHECKING:
    from sinks.aws_stage import Aws

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


class ExamplePlace(Place):
    """A document in the example store."""

    def __init__(self, store: ExampleServer) -> None:
        self.store = store

    def open(self, *, stack: str = STACK, project: int = 1234, effects: Effects | None = None) -> Sink:
        env = {"EXAMPLE_STORE_URL": self.store.url, "EXAMPLE_STORE_TOKEN": TOKEN, "OTHER": "is not given"}
        settings = SinkSettings("kept", "example-store", {"path": "team/{key}"})
        whose = owner(stack, project=project)
        return open_sinks([settings], owner=whose, effects=effects or Rested(), env=env)["kept"]

    def secret(self) -> str | None:
        document = self.store.documents.get(f"/v1/team/{KEY}")
        return document[1]["secret"] if document else None

    def record(self) -> str:
        return json.dumps(self.store.documents[f"/v1/team/{KEY}"][1]["keyform"])

    def plant(self, form: int, secret: str) -> None:
        fields = {"stack": STACK, "generation": 1, "live_name": KEY, "created_at": "2026-11-21T10:00:00.123456Z"}
        if form > 1:
            fields = {"form": form, "stack": STACK, "more": []}
        self.store.documents[f"/v1/team/{KEY}"] = 1, {"secret": secret, "keyform": fields}


class Rested(System):
    """Effects that wait for nothing; `waits` are the seconds that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
