"""The emulator against the API's published OpenAPI document, whose path the variable KEYFORM_CONTRACT gives.

The document is not a part of this project. Every documented operation is driven in every one of the pairwise worlds,
every answer is checked against the documented schema, and the fields that the emulator takes are the documented ones.
"""

from __future__ import annotations

from typing import Any

import pytest
from support.contracts import Checker, body_names, demands, demands_of, load, operations

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


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    return load(VARIABLE)


def test_the_emulator_answers_exactly_the_documented_operations(contract) -> None:
    served = {(method, path) for method, path, _, access in ROUTES if access != "secret" and "/v2/" not in path}
    assert served == set(operations(contract)) | NOT_IN_THE_DOCUMENT


def test_every_documented_body_is_known_here(contract) -> None:
    assert body_names(contract) == set(BODIES)


@pytest.mark.parametrize(("documented", "ours"), BODIES.items())
def test_the_fields_and_limits_of_a_body_are_the_documented_ones(contract, documented: str, ours: str) -> None:
    assert demands(getattr(schemas, ours), contract) == demands_of(documented, contract)


def test_the_parameters_of_paths_and_pages_are_the_documented_ones(contract, api) -> None:
    for (method, path), operation in operations(contract).items():
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
    clock, checker = VirtualClock(), Checker(contract)
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
    assert checker.driven == set(operations(contract))


def test_the_check_itself_notices_a_wrong_answer(contract) -> None:
    checker = Checker(contract)
    request = Request("GET", "/cloud/v3/inference/1/api_keys")
    wrong = [b'{"count": 0}', b'{"count": 0, "results": [{}]}', b'{"count": 0, "results": [], "next": 1}']
    for body in wrong:
        with pytest.raises(Exception, match=r"required|not documented"):
            checker(request, Answer(200, {"Content-Type": "application/json"}, body))
    with pytest.raises(AssertionError):
        checker(request, Answer(201, {"Content-Type": "application/json"}, b'{"count": 0, "results": []}'))
