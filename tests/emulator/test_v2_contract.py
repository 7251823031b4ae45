"""The emulator's older generation against its published OpenAPI document, whose path KEYFORM_CONTRACT_V2 gives.

The document is not a part of this project. It says that the list of keys answers with one key, which is a mistake of
the document: each element of the list is held to it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.contracts import Checker, body_names, demands, demands_of, load, operations

from reconciler.emulator import Answer, Emulator, Modes, Request, VirtualClock, schemas, seed
from reconciler.emulator.routes import ROUTES

VARIABLE = "KEYFORM_CONTRACT_V2"
NOWHERE = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
LISTS = {("GET", "/cloud/v2/inference/api_keys")}
BODIES = {
    "ApiKeyInSerializer": "KEY_CREATE_V2",
    "ApiKeyPatchSerializer": "KEY_UPDATE_V2",
    "InferenceInstanceInSerializer": "DEPLOYMENT_V2",
}


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    return load(VARIABLE)


def test_the_emulator_answers_exactly_the_documented_operations(contract) -> None:
    assert {(method, path) for method, path, *_ in ROUTES if "/v2/" in path} == set(operations(contract))


def test_every_documented_body_is_known_here(contract) -> None:
    assert body_names(contract) == set(BODIES)


@pytest.mark.parametrize(("documented", "ours"), BODIES.items())
def test_the_fields_and_limits_of_a_body_are_the_documented_ones(contract, documented: str, ours: str) -> None:
    assert demands(getattr(schemas, ours), contract) == demands_of(documented, contract)


def test_the_parameters_of_a_list_are_the_documented_ones(contract, api) -> None:
    given = {"limit": 1000, "offset": 1, "order_by": "name.asc", "project_id": api.project}
    for (method, path), operation in operations(contract).items():
        named = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"}
        assert named in (set(), set(given))
        if named:
            assert api.call(method, path, **given).status == 200


def test_the_statuses_of_a_deployment_are_the_documented_ones(contract) -> None:
    documented = contract["components"]["schemas"]["InferenceInstanceStatus"]["enum"]
    assert sorted(schemas.STATUSES + schemas.STATUSES_ONLY_IN_V2) == documented


PROBE = {"enabled": True, "probe": {"http_get": {"port": 80}, "exec": {"command": ["x"]}, "tcp_socket": {"port": 1}}}
TRIGGERS = {"http": {"rate": 1, "window": 60}, "gpu_memory": {"threshold": 5}}
DEPLOYMENT = {
    "name": "mistral",
    "image": "vllm/vllm-openai:latest",
    "listening_port": 8000,
    "flavor_id": NOWHERE,
    "containers": [
        {"region_id": 1, "scale": {"min": 1, "max": 2, "triggers": TRIGGERS, "cooldown_period": None}},
        {"region_id": 2, "scale": {"min": 0, "max": 1, "triggers": None}},
    ],
    "command": ["serve"],
    "envs": {"A": "1"},
    "probes": {"liveness_probe": PROBE, "startup_probe": {"enabled": False, "probe": None}},
    "timeout": None,
    "auth_enabled": True,
}
QUEUE = {"queue_url": "q", "queue_length": 1, "activation_queue_length": 1, "aws_region": "eu", "secret_name": "s"}
STATUSES = ("ERROR", "FAILED", "NEW", "DELETED", "PENDING", "DISABLED")


@pytest.mark.parametrize("world", Modes.pairwise(), ids=lambda world: f"world{Modes.pairwise().index(world)}")
def test_every_operation_answers_as_documented(contract, world: Modes) -> None:
    # Across the API's services timestamps come in more forms than a date-time has.
    lenient = () if world.timestamps in ("zulu", "offset_colon") else ("date-time",)
    clock, checker = VirtualClock(), Checker(contract, LISTS, lenient)
    with Emulator(clock=clock, modes=world, tokens={"t": [1234]}, task_seconds=10, base_url="http://x") as emulator:
        seeded = [{"name": f"is-{status.lower()}", "status": status} for status in STATUSES]
        seed(emulator, {"projects": {1234: {"deployments": seeded, "applications": [{"name": "webui"}]}}})
        scheme = "APIKey"

        def call(method: str, path: str, body: Any = None, **query: Any) -> Any:
            headers = {"Authorization": f"{scheme} t"}
            url = path if path.startswith("/") else f"/cloud/v2/inference/{path}"
            answer = emulator.respond(Request.build(method, url, headers=headers, query=query, json_body=body))
            return answer.json() if answer.body else {}

        # What v3 has made has to look right here too.
        scale = {"min": 1, "max": 1, "polling_interval": 5, "triggers": {"sqs": QUEUE}}
        newer = {name: DEPLOYMENT[name] for name in ("image", "listening_port", "probes")}
        newer |= {"name": "newer", "flavor_name": "small", "containers": [{"region_id": 1, "scale": scale}]}
        call("POST", "/cloud/v3/inference/1234/deployments", newer | {"logging": {"enabled": True}})
        call("GET", "deployments")
        clock.advance(10)
        call("POST", "/cloud/v3/inference/1234/api_keys", {"name": "from-v3", "expires_at": "2099-01-01"})
        call("PATCH", "/cloud/v3/inference/1234/deployments/newer", {"api_keys": ["from-v3"], "command": ["a"]})
        clock.advance(10)

        emulator.listeners.append(checker)
        brief = {"name": "brief", "description": "x", "expires_at": "2026-01-01T00:02:00Z"}
        key = call("POST", "api_keys", brief)["key_id"]
        call("POST", "api_keys", {"name": "brief"})
        call("POST", "api_keys", {"name": "a.b", "description": None, "expires_at": None, "project_id": None})
        call("GET", "api_keys", limit=1, order_by="name.desc")
        made = call("POST", "deployments", DEPLOYMENT | {"api_key_ids": [key]})["id"]
        call("POST", "deployments", DEPLOYMENT)
        for query in ({}, {"order_by": "created_at.desc"}, {"offset": 1, "project_id": 1234}):
            for item in call("GET", "deployments", **query)["results"]:
                call("GET", f"deployments/{item['id']}")
        call("PUT", f"deployments/{made}", DEPLOYMENT | {"probes": None, "description": "x", "auth_enabled": False})
        call("PATCH", f"api_keys/{key}", {"inference_instance_ids": [made, "unknown"], "name": "other"})
        call("PATCH", f"api_keys/{key}", {"inference_instance_ids": [made]})
        call("PATCH", f"api_keys/{key}", dict.fromkeys(("description", "expires_at", "project_id")))
        clock.advance(600)
        call("GET", f"api_keys/{key}")
        call("DELETE", f"deployments/{made}")
        call("GET", f"deployments/{made}")
        call("GET", "deployments")
        call("GET", "api_keys")
        call("PATCH", f"api_keys/{key}", {"inference_instance_ids": []})
        call("DELETE", f"api_keys/{key}")
        scheme = "Bearer"
        call("GET", "api_keys")
    assert checker.driven == set(operations(contract))


def test_the_check_itself_notices_a_wrong_answer(contract) -> None:
    request = Request("GET", "/cloud/v2/inference/api_keys")
    key = {"key_id": "mine", "name": "payments", "status": "ACTIVE", "created_at": "today"}
    for content, problem in (
        ({"count": 0}, r"a count and results"),
        ({"count": 0, "results": [], "next": 1}, r"a count and results"),
        ({"count": 1, "results": [{}]}, r"required"),
        ({"count": 1, "results": [key]}, r"not a '(uuid|date-time)'"),
        ({"count": 1, "results": [key | {"key_id": NOWHERE}]}, r"not a 'date-time'"),
        ({"count": 1, "results": [key | {"key_id": NOWHERE, "created_at": "2026-01-01T00:00:00Z", "x": 1}]}, "not doc"),
    ):
        answer = Answer(200, {"Content-Type": "application/json"}, json.dumps(content).encode())
        with pytest.raises(Exception, match=problem):
            Checker(contract, LISTS)(request, answer)
