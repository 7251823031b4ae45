"""The emulator against the API's published OpenAPI document, whose path the variable KEYFORM_CONTRACT gives.

The document is not a part of this project. Every documented operation is driven in every one of the pairwise worlds,
every answer is checked against the documented schema, and the fields that the emulator takes are the documented ones.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from reconciler.emulator import Answer, Emulator, Modes, Request, VirtualClock, schemas, seed
from reconciler.emulator.routes import ROUTES

VARIABLE = "KEYFORM_CONTRACT"
NOT_IN_THE_DOCUMENT = {("GET", "/cloud/v1/tasks")}
"""The slice that was published with these paths has single tasks only; the list is known from the official SDK."""
BODIES = {
    "ApiKeyCreateRequestSerializer": "KEY_CREATE",
    "ApiKeyUpdateRequestSerializer": "KEY_UPDATE",
    "InferenceInstanceInSerializerV3": "DEPLOYMENT_CREATE",
    "InferenceInstanceInUpdateSerializerV3": "DEPLOYMENT_UPDATE",
    "AppDeploymentCreateRequest": "APPLICATION_CREATE",
    "AppDeploymentPatchRequest": "APPLICATION_UPDATE",
}
REMARKS = {"title", "description", "example", "examples", "default", "deprecated"}

Operation = tuple[str, str]


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    path = os.environ.get(VARIABLE)
    if not path:
        pytest.skip(f"set {VARIABLE} to the path of the published OpenAPI document to compare the emulator with it")
    document: dict[str, Any] = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    return document


def _operations(contract: dict[str, Any]) -> dict[Operation, dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in contract["paths"].items()
        for method, operation in methods.items()
    }


def _plain(schema: Any, contract: dict[str, Any]) -> Any:
    """What a schema demands, without remarks, in one form: no references, null as a type, closed objects unmarked."""
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _plain(contract["components"]["schemas"][schema["$ref"].rpartition("/")[2]], contract)
    if "anyOf" in schema:
        (inner,) = [_plain(item, contract) for item in schema["anyOf"] if item != {"type": "null"}]
        return inner | {"type": [inner["type"], "null"]}
    plain: dict[str, Any] = {}
    for word, value in schema.items():
        if word in REMARKS or (word == "additionalProperties" and value is False):
            continue
        match word:
            case "properties":
                plain[word] = {name: _plain(item, contract) for name, item in value.items()}
            case "items" | "additionalProperties":
                plain[word] = _plain(value, contract)
            case "required":
                plain[word] = sorted(value)
            case "pattern":
                plain[word] = value.replace(r"\Z", "$")
            case _:
                plain[word] = value
    return plain


def test_the_emulator_answers_exactly_the_documented_operations(contract) -> None:
    served = {(method, path) for method, path, _, access in ROUTES if access != "secret" and "/v2/" not in path}
    assert served == set(_operations(contract)) | NOT_IN_THE_DOCUMENT


def test_every_documented_body_is_known_here(contract) -> None:
    named = {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for operation in _operations(contract).values()
        if "requestBody" in operation
    }
    assert named == set(BODIES)


@pytest.mark.parametrize(("documented", "ours"), BODIES.items())
def test_the_fields_and_limits_of_a_body_are_the_documented_ones(contract, documented: str, ours: str) -> None:
    theirs = _plain(contract["components"]["schemas"][documented], contract)
    assert _plain(getattr(schemas, ours), contract) == theirs


def test_the_parameters_of_paths_and_pages_are_the_documented_ones(contract, api) -> None:
    for (method, path), operation in _operations(contract).items():
        for parameter in operation["parameters"]:
            schema = parameter["schema"]
            if parameter["in"] == "query":
                assert parameter["name"] in {"limit", "offset"}
                url = path.format(project_id=api.project)
                lowest = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
                edges = {lowest: 200, lowest - 1: 400}
                if "maximum" in schema:
                    edges |= {schema["maximum"]: 200, schema["maximum"] + 1: 400}
                for value, status in edges.items():
                    assert api.call(method, url, **{parameter["name"]: value}).status == status
            elif parameter["name"] == "api_key_name":
                assert schema["pattern"] == schemas.LABEL.replace(r"\Z", "$")
                assert schema["minLength"] == 4


def test_a_page_is_as_long_as_documented_unless_the_caller_says_otherwise(contract, api) -> None:
    seed(api.emulator, {"projects": {1234: {"api_keys": [{"name": f"key-{n}"} for n in range(101)]}}})
    parameters = contract["paths"]["/cloud/v3/inference/{project_id}/api_keys"]["get"]["parameters"]
    (limit,) = [item["schema"]["default"] for item in parameters if item["name"] == "limit"]
    assert len(api.ok("GET", "api_keys")["results"]) == limit


class _Checker:
    """Listens to an emulator and holds every answer to the document."""

    def __init__(self, contract: dict[str, Any]) -> None:
        self.driven: set[Operation] = set()
        self._operations = {
            (method, re.compile("^" + re.sub(r"\{\w+\}", "[^/]+", path) + "$")): ((method, path), operation)
            for (method, path), operation in _operations(contract).items()
        }
        self._contract = contract
        self._validators: dict[str, Draft202012Validator] = {}

    def __call__(self, request: Request, answer: Answer) -> None:
        if answer.status >= 400:
            self._check_error(answer)
            return
        (found,) = [
            known
            for (method, pattern), known in self._operations.items()
            if method == request.method and pattern.match(request.path)
        ]
        place, operation = found
        assert str(answer.status) in operation["responses"], (place, answer.status)
        content = operation["responses"][str(answer.status)].get("content")
        if content is None:
            assert answer.body == b""
        else:
            self._check(content["application/json"]["schema"]["$ref"], answer.json())
        self.driven.add(place)

    def _check(self, reference: str, value: Any) -> None:
        if reference not in self._validators:
            whole = {"$ref": reference, "components": self._contract["components"]}
            self._validators[reference] = Draft202012Validator(
                whole, format_checker=Draft202012Validator.FORMAT_CHECKER
            )
        self._validators[reference].validate(value)
        schema = self._contract["components"]["schemas"][reference.rpartition("/")[2]]
        assert value.keys() <= schema["properties"].keys(), "a field that is not documented"

    @staticmethod
    def _check_error(answer: Answer) -> None:
        assert answer.headers["Content-Type"] == "application/json"
        error = answer.json()
        if "code" not in error:
            assert {"exception_class", "message", "request_id"} <= error.keys()
            assert error.keys() <= {"exception_class", "message", "request_id", "info", "invalid_fields"}


SCALE = {"min": 1, "max": 2}
PROBE = {"enabled": True, "probe": {"http_get": {"port": 80}, "exec": {"command": ["x"]}, "tcp_socket": {"port": 1}}}
PARTIAL_PROBE = {"probe": {"http_get": {}, "exec": {}, "tcp_socket": {}}}
QUEUE = {
    "queue_url": "https://q",
    "queue_length": 1,
    "activation_queue_length": 1,
    "aws_region": "eu",
    "secret_name": "s",
}
TRIGGERS = {"http": {"rate": 1, "window": 60}, "gpu_memory": {"threshold": 5}, "sqs": QUEUE}
DEPLOYMENT = {
    "name": "mistral",
    "image": "vllm/vllm-openai:latest",
    "listening_port": 8000,
    "flavor_name": "small",
    "containers": [{"region_id": 1, "scale": SCALE | {"triggers": TRIGGERS}}],
    "command": ["serve"],
    "probes": {"liveness_probe": PROBE},
    "logging": {"enabled": True},
    "ingress_opts": {},
    "api_keys": ["payments"],
}
APPLICATION = {
    "name": "shop",
    "application_name": "demo",
    "regions": [1, 2],
    "components_configuration": {"model": {"flavor": "small", "exposed": True, "scale": SCALE}},
}


@pytest.mark.parametrize("world", Modes.pairwise(), ids=lambda world: f"world{Modes.pairwise().index(world)}")
def test_every_operation_answers_as_documented(contract, world: Modes) -> None:
    clock, checker = VirtualClock(), _Checker(contract)
    with Emulator(clock=clock, modes=world, tokens={"t": [1234]}, task_seconds=10, base_url="http://x") as emulator:
        emulator.listeners.append(checker)
        scheme = "APIKey"

        def call(method: str, path: str, body: Any = None, **query: Any) -> Any:
            headers = {"Authorization": f"{scheme} t"}
            url = f"/cloud/v3/inference/{path}" if not path.startswith("/") else path
            answer = emulator.respond(Request.build(method, url, headers=headers, query=query, json_body=body))
            result = answer.json() if answer.body else {}
            for task in result.get("tasks", []):
                for seconds in (0, 5, 5, 20):
                    clock.advance(seconds)
                    call("GET", f"/cloud/v1/tasks/{task}")
                    call("GET", "1234/deployments")
                    call("GET", "applications/1234/deployments")
            return result

        call("POST", "1234/api_keys", {"name": "payments", "expires_at": "2099-01-01"})
        call("POST", "1234/api_keys", {"name": "brief", "description": "x", "expires_at": "2026-01-01T00:02:00Z"})
        call("POST", "1234/api_keys", {"name": "payments"})
        call("GET", "1234/api_keys", limit=1)
        call("PATCH", "1234/api_keys/payments", {"description": None})
        call("POST", "1234/deployments", DEPLOYMENT)
        call("PATCH", "1234/deployments/mistral", {"probes": {"startup_probe": PARTIAL_PROBE}, "api_keys": ["brief"]})
        call("POST", "applications/1234/deployments", APPLICATION | {"api_keys": ["brief"]})
        call("PATCH", "1234/deployments/mistral", {"api_keys": ["nobody"]})
        call("PATCH", "1234/deployments/mistral", {"api_keys": None, "logging": None, "timeout": None})
        call("PATCH", "1234/deployments/mistral", {"image": None, "listening_port": None, "containers": None})
        call("GET", "applications/1234/deployments/shop")
        call("PATCH", "applications/1234/deployments/shop", {"api_keys": ["payments"], "regions": [3]})
        call("PATCH", "1234/deployments/shop-model", {"api_keys": []})
        call("DELETE", "1234/api_keys/payments")
        call("GET", "1234/deployments/mistral")
        call("GET", "1234/api_keys/brief")
        call("DELETE", "1234/deployments/mistral")
        call("DELETE", "applications/1234/deployments/shop")
        call("DELETE", "1234/api_keys/brief")
        scheme = "Bearer"
        call("GET", "1234/api_keys")
    assert checker.driven == set(_operations(contract))


def test_the_check_itself_notices_a_wrong_answer(contract) -> None:
    checker = _Checker(contract)
    request = Request("GET", "/cloud/v3/inference/1/api_keys")
    wrong = [b'{"count": 0}', b'{"count": 0, "results": [{}]}', b'{"count": 0, "results": [], "next": 1}']
    for body in wrong:
        with pytest.raises(Exception, match=r"required|not documented"):
            checker(request, Answer(200, {"Content-Type": "application/json"}, body))
    with pytest.raises(AssertionError):
        checker(request, Answer(201, {"Content-Type": "application/json"}, b'{"count": 0, "results": []}'))
