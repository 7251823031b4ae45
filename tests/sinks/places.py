"""One face for the tests over every kind of sink that can be read back: how it is opened, and what it holds."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from sinks.aws_stage import Aws, Counted, Ssm
from sinks.gitlab_server import TOKEN as GITLAB_TOKEN
from sinks.gitlab_server import Gitlab, Held
from sinks.stage import DOTENV, STACK, Kind, owner
from sinks.store_server import TOKEN, Shop
from support.http_fakes import Hasty

from reconciler.effects import Effects, System
from reconciler.model import Place as Where
from reconciler.model import SinkSettings
from reconciler.sinks import Sink, open_sinks

KEY = "payments-api"


def fields_of(form: int) -> dict[str, Any]:
    """A record in JSON, as another version writes it."""
    if form > 1:
        return {"form": form, "stack": STACK, "more": []}
    return {"stack": STACK, "generation": 1, "live_name": KEY, "created_at": "2026-11-21T10:00:00.123456Z"}


class Place(ABC):
    """Where one sink keeps the secret of payments-api."""

    @abstractmethod
    def open(self, *, stack: str = STACK, project: int = 1234) -> Sink:
        """The sink as a new run opens it."""

    @abstractmethod
    def secret(self) -> str | None:
        """What a consumer gets; None for nothing, as where it is on its way out."""

    @abstractmethod
    def break_down(self) -> None:
        """From now on nothing can be written there, and it repeats what it is given where it can."""


class ReadablePlace(Place):
    """One that keyform reads back."""

    @abstractmethod
    def record(self) -> str:
        """The record in the words of the sink, each form of which names its number."""

    @abstractmethod
    def plant(self, form: int, secret: str) -> None:
        """The record and the secret as another version would leave them: form 1 as it was, a later one as it may be."""

    @abstractmethod
    def plant_foreign(self, secret: str) -> None:
        """A secret without a record, in the place of payments-api."""


class CommandPlace(Place):
    """What a real program keeps in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, *, stack: str = STACK, project: int = 1234) -> Sink:
        text = '#!/bin/sh\nif [ -e broken ]; then cat; exit 1; fi\ncat > "$1.$KEYFORM_PROJECT"\n'
        (self.folder / "save.sh").write_text(text)
        (self.folder / "save.sh").chmod(0o755)
        options = {"write": ("./save.sh", "{key}"), "remove": ("sh", "-c", 'rm -f "$1.$KEYFORM_PROJECT"', "-", "{key}")}
        settings = SinkSettings("pager", "command", options, Where(str(self.folder / "keyform.yaml")))
        return open_sinks([settings], owner=owner(stack, project=project), effects=System())["pager"]

    def secret(self) -> str | None:
        path = self.folder / f"{KEY}.1234"
        return path.read_text() if path.exists() else None

    def break_down(self) -> None:
        (self.folder / "broken").touch()


class FilePlace(ReadablePlace):
    """A file of a kind."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind, self.path = kind, folder / kind.name

    def open(self, *, stack: str = STACK, project: int = 1234) -> Sink:
        return self.kind.open(self.path, stack=stack, project=project)

    def break_down(self) -> None:
        self.path.with_name(".keyform.tmp").write_text("in the way")

    def secret(self) -> str | None:
        return self.kind.secret_in(self.path, KEY)

    def record(self) -> str:
        text = self.path.read_text()
        return text.splitlines()[0] if self.kind is DOTENV else json.dumps(json.loads(text)[KEY]["keyform"])

    def plant(self, form: int, secret: str) -> None:
        words = f"{STACK}/{KEY} g1 {KEY} 2026-11-21T10:00:00.123456Z"
        if form > 1:
            words = f"{form} {STACK}/{KEY} and more=yes"
        self.kind.write_users_own(
            self.path,
            f"# keyform {words}\nPAYMENTS_API_KEY={secret}\n"
            if self.kind is DOTENV
            else json.dumps({KEY: {"secret": secret, "keyform": fields_of(form)}}),
        )

    def plant_foreign(self, secret: str) -> None:
        self.kind.write_users_own(self.path, self.kind.by_hand.format(secret=secret))


class AwsPlace(ReadablePlace):
    """A secret in AWS Secrets Manager."""

    name = f"shared/{KEY}"

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.effects: Effects | None = None

    def open(self, *, stack: str = STACK, project: int = 1234) -> Sink:
        return self.aws.open(stack=stack, project=project, effects=self.effects, name="shared/{key}")

    def break_down(self) -> None:
        self.effects = Counted(before=self._refuse)

    def _refuse(self, _number: int, what: str) -> None:
        from botocore.exceptions import ClientError

        if "secret_value" in what or "create" in what:
            said = {"Error": {"Code": "ValidationException", "Message": "you sent what you sent"}}
            raise ClientError(said, what)  # type: ignore[arg-type]

    def secret(self) -> str | None:
        return self.aws.value(self.name)

    def record(self) -> str:
        return self.aws.tags(self.name)[f"keyform:version:{self.aws.current(self.name)}"]

    def plant(self, form: int, secret: str) -> None:
        self.plant_foreign(secret)
        words = f"g1 {KEY} 2026-11-21T10:00:00.123456Z" if form == 1 else f"{form} and more=yes"
        version = f"keyform:version:{self.aws.current(self.name)}"
        tags = {"keyform:stack": STACK, "keyform:key": KEY, version: words}
        self.aws.client.tag_resource(
            SecretId=self.name, Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
        )

    def plant_foreign(self, secret: str) -> None:
        self.aws.client.create_secret(Name=self.name, SecretString=secret)


class SsmPlace(ReadablePlace):
    """A parameter in AWS's Parameter Store."""

    name = f"/shared/{KEY}"

    def __init__(self, ssm: Ssm) -> None:
        self.ssm = ssm
        self.effects: Effects | None = None

    def open(self, *, stack: str = STACK, project: int = 1234) -> Sink:
        return self.ssm.open(stack=stack, project=project, effects=self.effects, name="/shared/{key}")

    def break_down(self) -> None:
        self.effects = Counted(before=self._refuse)

    def _refuse(self, _number: int, what: str) -> None:
        from botocore.exceptions import ClientError

        if "put_parameter" in what:
            said = {"Error": {"Code": "ValidationException", "Message": "you sent what you sent"}}
            raise ClientError(said, what)  # type: ignore[arg-type]

    def secret(self) -> str | None:
        return self.ssm.value(self.name)

    def record(self) -> str:
        words = str(self.ssm.describe(self.name)["Description"])
        return words.partition("=")[2] + json.dumps(self.ssm.tags(self.name), sort_keys=True)

    def plant(self, form: int, secret: str) -> None:
        words = f"g1 {KEY} 2026-11-21T10:00:00.123456Z" if form == 1 else f"{form} and more=yes"
        tags = [{"Key": "keyform:stack", "Value": STACK}, {"Key": "keyform:key", "Value": KEY}]
        about = f"written by keyform. keyform:version:1={words}"
        self.ssm.client.put_parameter(Name=self.name, Value=secret, Type="SecureString", Description=about, Tags=tags)

    def plant_foreign(self, secret: str) -> None:
        self.ssm.client.put_parameter(Name=self.name, Value=secret, Type="SecureString")


class StorePlace(ReadablePlace):
    """An entry of a store that no file of the product knows."""

    path = f"/team/{KEY}"

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    def open(
        self, *, stack: str = STACK, project: int = 1234, effects: Effects | None = None, token: str = TOKEN
    ) -> Sink:
        settings = SinkSettings("shop", "example", {"folder": "team"})
        env = {"EXAMPLE_STORE_URL": self.shop.url, "EXAMPLE_STORE_TOKEN": token}
        return open_sinks([settings], owner=owner(stack, project=project), effects=effects or Hasty(), env=env)["shop"]

    def document(self) -> dict[str, Any]:
        """What the store holds."""
        held: dict[str, Any] = json.loads(self.shop.entries.get(self.path, (0, b"{}"))[1])
        return held

    def break_down(self) -> None:
        self.shop.troubles = ["", "400"]

    def secret(self) -> str | None:
        return self.document().get("secret")

    def record(self) -> str:
        return json.dumps(self.document()["keyform"])

    def plant(self, form: int, secret: str) -> None:
        self.shop.set(self.path, json.dumps({"secret": secret, "keyform": fields_of(form)}).encode())

    def plant_foreign(self, secret: str) -> None:
        self.shop.set(self.path, json.dumps({"secret": secret}).encode())


class GitlabPlace(ReadablePlace):
    """A variable of a project in GitLab."""

    name = "PAYMENTS_API_KEY"

    def __init__(self, gitlab: Gitlab) -> None:
        self.gitlab = gitlab

    def open(
        self,
        *,
        stack: str = STACK,
        project: int = 1234,
        effects: Effects | None = None,
        token: str = GITLAB_TOKEN,
        at: str | None = None,
        **options: str | bool,
    ) -> Sink:
        # The secrets of the conformance suite are shorter than what GitLab masks.
        given = {"masked": False, **options}
        if at is not None or "group" not in options:
            given["project"] = "group/app" if at is None else at
        env = {"CI_API_V4_URL": self.gitlab.url, "GITLAB_TOKEN": token}
        settings = SinkSettings("lab", "gitlab-ci", given)
        return open_sinks([settings], owner=owner(stack, project=project), effects=effects or Hasty(), env=env)["lab"]

    def break_down(self) -> None:
        self.gitlab.troubles = ["", "400"]

    def secret(self) -> str | None:
        return self.gitlab.job().get(self.name)

    def record(self) -> str:
        held = self.gitlab.find(self.name)
        assert held is not None
        return held.description or ""

    def plant(self, form: int, secret: str) -> None:
        words = f"keyform {STACK}/{KEY} g1 {KEY} 2026-11-21T10:00:00.123456Z"
        if form > 1:
            words = f"keyform {form} {STACK}/{KEY} and more=yes"
        self.gitlab.variables["projects"].append(Held(self.name, secret, words, raw=True, protected=True))

    def plant_foreign(self, secret: str) -> None:
        self.gitlab.variables["projects"].append(Held(self.name, secret, "set by hand"))
