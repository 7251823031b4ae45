"""Effects whose HTTP is a script or an emulator in process, and whose clock moves only by sleeping."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from reconciler.effects import System
from reconciler.emulator import ConnectionLost, Emulator, Request, VirtualClock
from reconciler.gcore import V3, ApiEvent, GcoreApi
from reconciler.gcore.generations import dialect_of
from reconciler.gcore.v3.lists import EndpointList
from reconciler.model import Binding, EndpointRef, Secret

TOKEN = "1234$0badcafe/42+management=token"
PROJECT = 1234
BASE_URL = "https://api.gcore.com"
START = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)

Step = httpx.Response | Exception
"""What one request meets."""


def answer(
    status: int,
    content: Any = None,
    *,
    text: str | bytes | None = None,
    headers: Mapping[str, str] | httpx.Headers | None = None,
) -> httpx.Response:
    """A response with `content` as JSON, or with `text` as it is."""
    if text is not None:
        return httpx.Response(status, content=text, headers=headers)
    return httpx.Response(status, json=content, headers=headers)


def refusal(status: int, message: str = "no", **extra: Any) -> httpx.Response:
    """The API's documented error."""
    return answer(status, {"exception_class": "Error", "message": message, "request_id": "req-1", **extra})


def key_json(name: str = "payments", **fields: Any) -> dict[str, Any]:
    """A key as the API shows it."""
    shown: dict[str, Any] = {
        "description": None,
        "created_at": "2026-11-21T09:00:00Z",
        "expires_at": None,
        "deployment_names": [],
    }
    return {"name": name, **shown, **fields}


def deployment_json(name: str = "llama3", **fields: Any) -> dict[str, Any]:
    """As much of a deployment as the client reads."""
    shown = {"api_keys": [], "auth_enabled": True, "address": None, "status": "ACTIVE", "object_references": []}
    return {"name": name, **shown, **fields}


def application_json(name: str = "webui", **fields: Any) -> dict[str, Any]:
    """As much of an application as the client reads."""
    status = {"consolidated_status": "Active", "expose_addresses": {}}
    return {"name": name, "api_keys": [], "status": status, **fields}


def page_json(*results: dict[str, Any], count: int | None = None) -> dict[str, Any]:
    """A page of a list."""
    return {"count": len(results) if count is None else count, "results": list(results)}


class Hasty(System):
    """The real world, but that waiting only moves the clock."""

    slept = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


class VirtualEffects(System):
    """A clock that only sleeping moves, chance that is always 1/2, and a record of what was sent and slept."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[httpx.Request] = []
        self.slept: list[float] = []
        self.passed = 0.0
        self.guard = threading.Lock()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return self.passed

    def random(self) -> float:
        return 0.5

    def sleep(self, seconds: float) -> None:
        with self.guard:
            self.slept.append(round(seconds, 6))
            self.passed += seconds


class ScriptedEffects(VirtualEffects):
    """Each request gets the next step of the script, the last one again and again; or the result of `respond`."""

    def __init__(self, *steps: Step, respond: Callable[[httpx.Request], Step] | None = None) -> None:
        super().__init__()
        self.steps = list(steps)
        self.respond = respond

    def send(self, request: httpx.Request) -> httpx.Response:
        with self.guard:
            self.sent.append(request)
            number = len(self.sent)
        step = self.respond(request) if self.respond else self.steps[min(number, len(self.steps)) - 1]
        if isinstance(step, Exception):
            if isinstance(step, httpx.RequestError):
                step.request = request
            raise step
        # A step that is met twice is another response each time.
        return httpx.Response(step.status_code, headers=step.headers, content=step.content)


def ask_emulator(emulator: Emulator, request: httpx.Request) -> httpx.Response:
    """What the emulator answers, without a network in between."""
    incoming = Request(
        method=request.method,
        path=request.url.path,
        query=request.url.query.decode(),
        headers=dict(request.headers),
        body=request.content,
    )
    try:
        given = emulator.respond(incoming)
    except ConnectionLost as lost:
        raise httpx.ReadError("", request=request) from lost
    return httpx.Response(given.status, headers=dict(given.headers), content=given.body)


class EmulatedEffects(VirtualEffects):
    """The emulator in process, on the same clock."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__()
        self.emulator = emulator

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if isinstance(self.emulator.clock, VirtualClock):
            self.emulator.clock.advance(seconds)

    def send(self, request: httpx.Request) -> httpx.Response:
        with self.guard:
            self.sent.append(request)
        return ask_emulator(self.emulator, request)


def make_api(
    effects: System,
    *,
    events: list[ApiEvent] | None = None,
    base_url: str = BASE_URL,
    token: str = TOKEN,
    project: int = PROJECT,
    task_timeout: float = 7200.0,
    workers: int = 10,
    generation: str = "v3",
    named: Container[str] = (),
) -> GcoreApi:
    """A client with the settings of these tests."""
    return GcoreApi(
        base_url=base_url,
        token=Secret(token),
        project=project,
        effects=effects,
        dialect=dialect_of(generation),
        named=named,
        listener=None if events is None else events.append,
        task_timeout=task_timeout,
        workers=workers,
    )


class OpenFence:
    """A fence that holds, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def check(self) -> None:
        self.asked.append("check")

    def hold(self) -> None:
        self.asked.append("hold")

    def keep_alive(self) -> None:
        self.asked.append("keep_alive")


def write_list(api: GcoreApi, ref: EndpointRef, names: Iterable[str], *, opens: bool = False) -> None:
    """Write an endpoint's whole list and wait for the tasks, without the readings around it."""
    project = replace(api._project, fence=OpenFence())
    place = V3(project.number).place_of(ref)
    EndpointList(project, place, ref, opens).write([Binding(name, ref) for name in names])


def scripted_api(*steps: Step) -> tuple[GcoreApi, ScriptedEffects]:
    """A client whose requests meet these steps."""
    effects = ScriptedEffects(*steps)
    return make_api(effects), effects


def methods(requests: Iterable[httpx.Request]) -> list[str]:
    """`METHOD path`, in order."""
    return [f"{request.method} {request.url.path}" for request in requests]
