"""Every request that keyform sends, against the API's published OpenAPI documents, one for each generation.

The variables KEYFORM_CONTRACT (v3) and KEYFORM_CONTRACT_V2 give their paths; without one, its tests are skipped.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from support.contracts import load
from support.http_fakes import PROJECT, START, TOKEN, EmulatedEffects, OpenFence, make_api, write_list

from reconciler.api import KeyUpdate, Rebinding
from reconciler.emulator import Emulator, VirtualClock, seed
from reconciler.gcore import V3
from reconciler.gcore.v2 import V2, wire
from reconciler.model import Binding, EndpointKind, EndpointRef, LiveKey

LLAMA, WEBUI = EndpointRef(EndpointKind.DEPLOYMENT, "llama3"), EndpointRef(EndpointKind.APPLICATION, "webui")


class Contract:
    """The document, and what it says of a request."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def problems(self, request: httpx.Request) -> list[str]:
        """Everything in the request that the document does not allow."""
        found = self.operation(request)
        if found is None:
            return [f"{request.method} {request.url.path} is not in the document"]
        operation, in_path = found
        given = {"path": in_path, "query": dict(request.url.params)}
        declared = {(each["in"], each["name"]): each for each in operation.get("parameters", [])}
        problems = [
            f"{place} parameter {name} is unknown"
            for place, values in given.items()
            for name in values
            if (place, name) not in declared
        ]
        for (place, name), parameter in declared.items():
            if name in given.get(place, {}):
                text = given[place][name]
                value = int(text) if parameter["schema"].get("type") == "integer" else text
                problems += self.mismatches(value, parameter["schema"])
            elif parameter.get("required"):
                problems.append(f"{place} parameter {name} is missing")
        return problems + self.body_problems(operation, request)

    def operation(self, request: httpx.Request) -> tuple[dict[str, Any], dict[str, str]] | None:
        """The operation that a request is for, and the parameters in its path."""
        for template, methods in self.document["paths"].items():
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template))
            match = re.fullmatch(pattern, request.url.raw_path.decode().partition("?")[0])
            if match and request.method.lower() in methods:
                return methods[request.method.lower()], match.groupdict()
        return None

    def body_problems(self, operation: dict[str, Any], request: httpx.Request) -> list[str]:
        """What is wrong with a body; a field that the schema does not name is wrong too."""
        if not request.content:
            return []
        if "requestBody" not in operation:
            return ["there must be no body"]
        assert request.headers["content-type"] == "application/json"
        body = json.loads(request.content)
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        named = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
        unknown = [f"field {name} is unknown" for name in body if name not in named]
        return unknown + self.mismatches(body, schema)

    def mismatches(self, value: object, schema: dict[str, Any]) -> list[str]:
        whole = {**schema, "components": self.document["components"]}
        return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract(load("KEYFORM_CONTRACT"))


@pytest.fixture(scope="module")
def contract_v2() -> Contract:
    return Contract(load("KEYFORM_CONTRACT_V2"))


def everything_that_keyform_sends() -> list[httpx.Request]:
    keys = [{"name": f"key-{number}"} for number in range(1100)]
    content = {"api_keys": keys, "deployments": [{"name": "llama3"}], "applications": [{"name": "webui"}]}
    with Emulator(clock=VirtualClock(START), task_seconds=1) as emulator:
        seed(emulator, {"tokens": {TOKEN: [PROJECT]}, "projects": {PROJECT: content}})
        effects = EmulatedEffects(emulator)
        api = make_api(effects)
        api.check()
        api.list_keys()
        api.read_live()
        api.create_key("payments", "d" * 300, datetime(2027, 6, 30, tzinfo=UTC))
        api.create_key("batch-jobs", "", None)
        api.get_key("payments")
        api.update_key("payments", KeyUpdate("x"))
        for ref in (LLAMA, WEBUI):
            api.read_endpoint(ref)
            write_list(api, ref, ["payments", "batch-jobs"])
        write_list(api, LLAMA, [], opens=True)
        api.delete_key("key-1")
        return effects.sent


def test_every_request_is_one_that_the_document_allows(contract: Contract) -> None:
    sent = everything_that_keyform_sends()
    assert {problem for request in sent for problem in contract.problems(request)} == set()
    assert len({(request.method, len(request.url.path.split("/"))) for request in sent}) >= 5


def test_the_check_sees_what_is_not_allowed(contract: Contract) -> None:
    base = f"https://x/cloud/v3/inference/{PROJECT}"
    wrong = [
        httpx.Request("PUT", f"{base}/api_keys/payments"),
        httpx.Request("GET", f"{base}/api_keys", params={"limit": 1001}),
        httpx.Request("GET", f"{base}/api_keys", params={"page": 1}),
        httpx.Request("GET", f"{base}/api_keys/a.b"),
        httpx.Request("PATCH", f"{base}/api_keys/payments", json={"expires_at": "2027-06-30"}),
        httpx.Request("POST", f"{base}/api_keys", json={"name": "payments", "description": None}),
        httpx.Request("PATCH", f"{base}/applications/{PROJECT}/deployments/webui", json={"api_keys": None}),
    ]
    assert all(contract.problems(request) for request in wrong)


def test_the_dialect_is_the_documents(contract: Contract) -> None:
    paths = contract.document["paths"]
    one_key = paths["/cloud/v3/inference/{project_id}/api_keys/{api_key_name}"]
    (name,) = [each for each in one_key["get"]["parameters"] if each["name"] == "api_key_name"]
    v3 = V3(PROJECT)
    assert name["schema"]["pattern"] == f"^{v3.keys.addressable}$"
    patch = contract.document["components"]["schemas"]["ApiKeyUpdateRequestSerializer"]
    assert set(patch["properties"]) == v3.capabilities.mutable_key_fields
    for place in (v3.keys, *v3.endpoints):
        parameters = paths[place.path.replace(str(PROJECT), "{project_id}")]["get"]["parameters"]
        limits = [each["schema"]["maximum"] for each in parameters if each["name"] == "limit"]
        assert limits == ([] if place.page_limit is None else [place.page_limit])


# --- v2 ---------------------------------------------------------------------------------------------------------------


def everything_that_keyform_sends_in_v2() -> list[httpx.Request]:
    keys = [{"name": f"key-{number}"} for number in range(1100)]
    content = {"api_keys": keys, "deployments": [{"name": "llama3", "api_keys": ["key-1"]}]}
    with Emulator(clock=VirtualClock(START)) as emulator:
        seed(emulator, {"tokens": {TOKEN: [PROJECT]}, "projects": {PROJECT: content}})
        effects = EmulatedEffects(emulator)
        api = make_api(effects, generation="v2").fenced(OpenFence())
        api.check()
        api.read_live()
        expires_at = datetime(2027, 6, 30, tzinfo=UTC)
        made = [api.create_key("payments", "d" * 300, expires_at), api.create_key("batch-jobs", "", None)]
        for each in made:
            binding = Binding(each.key.id, LLAMA)
            api.update_key(each.key.id, KeyUpdate("x", expires_at))
            api.update_key(each.key.id, KeyUpdate("x", None))
            api.rebind(Rebinding(add=frozenset({binding})))
            api.rebind(Rebinding(remove=frozenset({binding})))
            api.delete_key(each.key.id)
        api.read_endpoint(LLAMA)
        return effects.sent


def test_every_request_of_v2_is_one_that_the_document_allows(contract_v2: Contract) -> None:
    sent = everything_that_keyform_sends_in_v2()
    assert {problem for request in sent for problem in contract_v2.problems(request)} == set()
    kinds = {(request.method, request.url.path.split("/")[4]) for request in sent}
    assert kinds == {(method, "api_keys") for method in ("POST", "GET", "PATCH", "DELETE")} | {("GET", "deployments")}


def test_the_check_of_v2_sees_what_is_not_allowed(contract_v2: Contract) -> None:
    base = "https://x/cloud/v2/inference"
    wrong = [
        httpx.Request("PUT", f"{base}/api_keys/x"),
        httpx.Request("GET", f"{base}/api_keys", params={"project": 1}),
        httpx.Request("GET", f"{base}/api_keys/x", params={"project_id": 1}),
        httpx.Request("PATCH", f"{base}/api_keys/x", json={"name": "y"}),
        httpx.Request("POST", f"{base}/api_keys", json={"name": "UPPER"}),
    ]
    assert all(contract_v2.problems(request) for request in wrong)


def test_the_dialect_of_v2_is_the_documents(contract_v2: Contract) -> None:
    patch = contract_v2.document["components"]["schemas"]["ApiKeyPatchSerializer"]["properties"]
    v2 = V2(PROJECT)
    assert set(patch) - {"inference_instance_ids", "project_id"} == v2.capabilities.mutable_key_fields
    live = LiveKey("id", "payments", "", None, START)
    assert set(wire.body(wire.KeyEntry("id", "payments", live), PROJECT)) == set(patch)
    for place in (v2.keys, *v2.endpoints):
        parameters = contract_v2.document["paths"][place.path]["get"]["parameters"]
        (limit,) = [each["description"] for each in parameters if each["name"] == "limit"]
        assert limit.endswith(f"max limit value of {place.page_limit}")
        assert {name for name, _ in place.query} <= {each["name"] for each in parameters}
    shown = contract_v2.document["components"]["schemas"]["ApiKeyOutSerializer"]
    assert set(wire.KEY_DEFAULTS) == set(shown["properties"]) - set(shown["required"])
    assert {name: shown["properties"][name].get("default") for name in wire.KEY_DEFAULTS} == wire.KEY_DEFAULTS
