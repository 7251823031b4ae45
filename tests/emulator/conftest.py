"""An emulator to call: in process with a clock that does not move, or over HTTP on a port of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from reconciler.emulator import Answer, Emulator, EmulatorServer, Modes, Request, VirtualClock, seed

TOKEN = "1234$management"
PROJECT = 1234
V2 = "/cloud/v2/inference/"


@dataclass
class Api:
    """Somebody with a token, in one project of one emulator."""

    emulator: Emulator
    clock: VirtualClock
    token: str | None = TOKEN
    project: int = PROJECT

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Answer:
        """Send a request; `path` continues after the project of the inference API, or is whole."""
        if not path.startswith("/"):
            path = f"/cloud/v3/inference/{self.project}/{path}"
        request = Request.build(method, path, token=self.token, query=query, json_body=body)
        return self.emulator.respond(request)

    def app(self, method: str, path: str = "", body: Any = None) -> Answer:
        """Send a request to the applications' part of the API."""
        return self.call(method, f"/cloud/v3/inference/applications/{self.project}/deployments{path}", body)

    def ok(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Send a request that must succeed, and give what it answers."""
        answer = self.call(method, path, body, **query)
        assert answer.status in {200, 204}, answer.body
        return answer.json() if answer.body else None

    def refused(self, status: int, method: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        """Send a request that must be refused with this status, and give the error."""
        answer = self.call(method, path, body, **query)
        assert answer.status == status, (answer.status, answer.body)
        error: dict[str, Any] = answer.json()
        return error

    def key(self, name: str, **fields: Any) -> str:
        """Make a key and give its secret."""
        secret: str = self.ok("POST", "api_keys", {"name": name, **fields})["secret"]
        return secret

    def attach(self, deployment: str, *names: str) -> str:
        """PATCH a deployment's list of keys and give the task's id."""
        task: str = self.ok("PATCH", f"deployments/{deployment}", {"api_keys": list(names)})["tasks"][0]
        return task

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ok("GET", f"deployments/{name}")
        return found

    def task(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ok("GET", f"/cloud/v1/tasks/{task_id}")
        return found

    def v2(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Send a request to the older generation of the API that must succeed, and give what it answers."""
        return self.ok(method, V2 + path, body, **query)

    def v2_refused(self, status: int, method: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        """Send a request to the older generation that must be refused with this status, and give the error."""
        return self.refused(status, method, V2 + path, body, **query)

    def v2_key(self, name: str, **fields: Any) -> tuple[str, str]:
        """Make a key through v2; its id and its secret."""
        made = self.v2("POST", "api_keys", {"name": name, **fields})
        return made["key_id"], made["secret"]

    def instance_id(self, name: str) -> str:
        """The id of the oldest deployment of this name."""
        listed = self.v2("GET", "deployments", order_by="created_at.asc")["results"]
        return next(str(item["id"]) for item in listed if item["name"] == name)

    def link(self, key_id: str, *names: str) -> Any:
        """PATCH the deployments that a key opens, by their names; what v2 answers."""
        ids = [self.instance_id(name) for name in names]
        return self.v2("PATCH", f"api_keys/{key_id}", {"inference_instance_ids": ids})

    def door(self, deployment: str, *secrets: str) -> tuple[int, ...]:
        """What the data plane answers to a request without a key, and to one with each of the secrets."""
        return (self.chat(deployment).status, *(self.chat(deployment, X_API_Key=each).status for each in secrets))

    def opens(self, deployment: str, secret: str | None) -> bool:
        return self.emulator.accepts(self.project, "deployment", deployment, secret)

    def chat(self, deployment: str, **headers: str) -> Answer:
        """Ask a deployment's data plane for a completion; headers are written with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        body = {"model": deployment, "messages": [{"role": "user", "content": "hello there"}]}
        url = f"/dataplane/{self.project}/deployments/{deployment}/v1/chat/completions"
        return self.emulator.respond(Request.build("POST", url, headers=sent, json_body=body))


MakeApi = Callable[..., Api]


@pytest.fixture
def make_api() -> Iterator[MakeApi]:
    """Makes an emulator in a given mode, with the deployments llama3 and whisper and the application webui."""
    opened: list[Emulator] = []

    def make(*, task_seconds: float = 0, **modes: Any) -> Api:
        clock = VirtualClock()
        emulator = Emulator(
            clock=clock,
            modes=Modes(**modes),
            tokens={TOKEN: [PROJECT], "neighbour": [5678]},
            base_url="http://emulator.test",
            task_seconds=task_seconds,
            seed=1,
        )
        opened.append(emulator)
        content = {
            "deployments": [{"name": "llama3"}, {"name": "whisper"}],
            "applications": [{"name": "webui", "application_name": "open-webui"}],
        }
        seed(emulator, {"projects": {PROJECT: content}})
        return Api(emulator, clock)

    yield make
    for emulator in opened:
        emulator.close()


@pytest.fixture
def api(make_api: MakeApi) -> Api:
    """An emulator in the default modes, whose tasks have ended by the next request."""
    return make_api()


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    """An emulator over HTTP, on the real clock, with the deployment llama3 and the application webui."""
    with Emulator(tokens={TOKEN: [PROJECT]}) as emulator:
        content = {"deployments": [{"name": "llama3"}], "applications": [{"name": "webui"}]}
        seed(emulator, {"projects": {PROJECT: content}})
        with EmulatorServer(emulator) as running:
            yield running
