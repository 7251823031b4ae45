"""The real sinks, as a new process opens them in a world: files on its disk, a program, and AWS."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from reconciler.effects import Effects
from reconciler.model import DesiredState, Place, SinkSettings
from reconciler.sinks import Sink, open_sinks
from support.faults import gitlab
from support.faults.aws import REGION
from support.faults.disk import GROUP
from support.faults.effects import STORE
from support.faults.vault import ENVIRONMENT
from support.faults.world import FOLDER, FaultWorld
from support.http_fakes import PROJECT
from support.worlds import BASE_URL

API = BASE_URL.removeprefix("http://")


def open_all(world: FaultWorld, desired: DesiredState, effects: Effects) -> dict[str, Sink]:
    """The world's sinks."""
    settings = [settings_of(world, name, kind) for name, kind in sorted(world.sinks.items())]
    owner = replace(desired, project=PROJECT).owner(API)
    return open_sinks(settings, owner=owner, effects=effects, env={**os.environ, **ENVIRONMENT, **gitlab.ENV})


def settings_of(world: FaultWorld, name: str, kind: str) -> SinkSettings:
    """What the file says of a sink: `store` is a program that takes secrets and gives none back, `cloud` and
    `parameters` are AWS, and `lab` is GitLab.
    """
    match kind:
        case "store":
            commands = {verb: (STORE, verb, name, "{key}") for verb in ("write", "remove")}
            checks = (STORE, "check", name)
            return SinkSettings(
                name, "command", {**commands, "check": checks, "timeout": 60}, Place(f"{FOLDER}/{name}/keyform.yaml")
            )
        case "lab":
            return SinkSettings(name, "gitlab-ci", {"project": gitlab.PROJECT})
        case "cloud":
            return SinkSettings(name, "aws-secrets-manager", {"region": REGION, "tags": {"team": "{key}"}})
        case "vault":
            return SinkSettings(name, "vault", {"path": "inference/{key}"})
        case "parameters":
            return SinkSettings(name, "aws-ssm", {"region": REGION, "tags": {"team": "{key}"}})
        case _:
            path = world.path_of(name)
            access = {"mode": "0640", "group": GROUP} if kind == "json" else {}
            return SinkSettings(name, kind, {"path": path, **access}, Place(f"{Path(path).parent}/keyform.yaml"))
