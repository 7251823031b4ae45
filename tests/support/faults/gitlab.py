"""GitLab in a world: the server of the sinks' tests, without a socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sinks.gitlab_server import TOKEN, Gitlab

from reconciler.emulator import Answer, Request

PROJECT = "group/app"
ENV = {"CI_API_V4_URL": "https://gitlab.example.org/api/v4", "GITLAB_TOKEN": TOKEN}


def is_for_gitlab(request: Request) -> bool:
    """Whether a request is for GitLab, and not for the emulator."""
    return request.path.startswith("/api/v4/")


def respond(gitlab: Gitlab, request: Request) -> Answer:
    """GitLab's answer."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    given = json.loads(request.body) if request.body else {}
    target = f"{request.path}?{request.query}" if request.query else request.path
    status, content, more = gitlab.answer(request.method, target, headers, given)
    body = b"" if status == 204 else json.dumps(content).encode()
    return Answer(status, {"Content-Type": "application/json", **more}, body)


def copy_of(gitlab: Gitlab) -> Gitlab:
    """Another one with the same in it."""
    return Gitlab(variables={where: list(held) for where, held in gitlab.variables.items()})


def outline(gitlab: Gitlab) -> tuple[Any, ...]:
    """Everything in it, to compare."""
    return tuple((where, *held) for where, held in gitlab.variables.items())


def held_in(gitlab: Gitlab) -> Mapping[str, str]:
    """What a job gets, by key."""
    suffix = "_KEY"
    found = {name: value for name, value in gitlab.job().items() if name.endswith(suffix)}
    return {name.removesuffix(suffix).lower().replace("_", "-"): value for name, value in found.items()}
