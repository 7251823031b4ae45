"""No request gets a 5xx, whatever it is, and none leaves anything behind that a later one would stumble over."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import fuzz

from reconciler.emulator import Emulator, schemas
from reconciler.emulator.clock import VirtualClock
from reconciler.emulator.modes import Modes
from reconciler.emulator.routes import ROUTES
from reconciler.emulator.server import EmulatorServer
from reconciler.emulator.wire import Answer, Request

PROJECT, TOKEN = 1234, "a-token"
NAMES = ("payments", "batch-jobs", "app.dotted", "webui", "llama3", "model", "web")
PATHS = sorted({path for _, path, _, _ in ROUTES})
LISTS = (
    f"/cloud/v3/inference/{PROJECT}/api_keys",
    f"/cloud/v3/inference/{PROJECT}/deployments",
    f"/cloud/v3/inference/applications/{PROJECT}/deployments",
    f"/cloud/v2/inference/api_keys?project_id={PROJECT}",
    f"/cloud/v2/inference/deployments?project_id={PROJECT}",
    "/cloud/v1/tasks?limit=1000",
)
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "FROB")
BODIES = {
    "api_keys": ("KEY_CREATE", "KEY_UPDATE", "KEY_CREATE_V2", "KEY_UPDATE_V2"),
    "deployments": ("DEPLOYMENT_CREATE", "DEPLOYMENT_UPDATE", "DEPLOYMENT_V2"),
    "applications": ("APPLICATION_CREATE", "APPLICATION_UPDATE"),
}

odd_text = st.one_of(
    st.sampled_from([*NAMES, "", "\ud800", "a\x00b", "\n", "-" * 300, "a-" * 5000, "${X}", "null", "2030-01-01"]),
    st.text(st.characters(), max_size=20),  # half surrogates included
)
whole = st.one_of(st.integers(-3, 3), st.sampled_from([80, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400]))
leaves = st.one_of(st.none(), st.booleans(), whole, st.floats(), odd_text)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3)
)


def body_for(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Mostly what a schema asks for, and at any place of it something else."""
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    nullable = not isinstance(kinds, str)
    match kind:
        case "object":
            known = {name: body_for(inner) for name, inner in schema.get("properties", {}).items()}
            required = schema.get("required", [])
            right = st.fixed_dictionaries(
                {name: known[name] for name in required},
                optional={name: each for name, each in known.items() if name not in required},
            )
            if isinstance(more := schema.get("additionalProperties"), dict):
                right = st.dictionaries(odd_text, body_for(more), max_size=2)
        case "array":
            right = st.lists(body_for(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
        case "integer":
            right = st.integers(schema.get("minimum", 0), schema.get("maximum", 2**31))
        case "boolean":
            right = st.booleans()
        case _ if schema.get("format") == "uuid":
            right = st.uuids().map(str)
        case _:
            right = st.sampled_from([*NAMES, "2030-01-01", "docker.io/library/nginx:1"])
    options = [right, right, right, *([st.none()] if nullable else []), anything]
    return st.one_of(options)


def bodies() -> st.SearchStrategy[bytes]:
    """JSON, or what looks like it."""
    shaped = st.sampled_from([name for names in BODIES.values() for name in names]).flatmap(
        lambda name: body_for(getattr(schemas, name))
    )
    raw = st.sampled_from(
        [
            b"",
            b"{",
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b"NaN",
            b"\xff\xfe",
            b'"\\ud800"',
            b"\xef\xbb\xbf{}",
            b'{"a":1,"a":2}',
        ]
    )
    return st.one_of(shaped.map(lambda value: json.dumps(value).encode()), raw, st.binary(max_size=20))


def paths() -> st.SearchStrategy[str]:
    """Every path of the API with names and ids in it, or with something else."""
    part = st.one_of(st.sampled_from([*NAMES, str(PROJECT), "0", "9" * 30, "", "..", "a%0A", "1234\n"]), odd_text)
    right = st.sampled_from([*NAMES, str(PROJECT)])

    def fill(path: str) -> st.SearchStrategy[str]:
        names = [piece.partition("}")[0] for piece in path.split("{")[1:]]
        values = [st.just(str(PROJECT)) if name == "project_id" else st.one_of(right, right, part) for name in names]

        def put(chosen: list[str]) -> str:
            whole_path = path
            for name, value in zip(names, chosen, strict=True):
                whole_path = whole_path.replace("{" + name + "}", value)
            return whole_path.encode("utf-8", "replace").decode()  # as a server decodes it

        return st.tuples(*values).map(list).map(put)

    return st.sampled_from(PATHS).flatmap(fill)


queries = [f"project_id={PROJECT}", "limit=0", "offset=" + "9" * 40, "limit=%00", "order_by=x"]
rights = {"Authorization": f"APIKey {TOKEN}"}
requests = st.builds(
    Request,
    method=st.sampled_from(METHODS),
    path=paths(),
    query=st.one_of(st.just(""), st.sampled_from(queries)),
    headers=st.sampled_from([rights, rights, rights, {}, {"Authorization": "APIKey \xff"}, {"X-API-Key": "x"}]),
    body=bodies(),
)


def opened(modes: Modes | None = None) -> Emulator:
    """With a key, a deployment and an application, and tasks that take two seconds."""
    emulator = Emulator(clock=VirtualClock(), modes=modes, tokens={TOKEN: [PROJECT]}, task_seconds=2, seed=1)
    scale = {"min": 0, "max": 1, "cooldown_period": 60, "triggers": {}}
    for path, body in (
        (LISTS[0], {"name": "payments"}),
        (
            LISTS[1],
            {
                "name": "llama3",
                "image": "nginx",
                "listening_port": 80,
                "flavor_name": "f",
                "containers": [{"region_id": 1, "scale": scale}],
                "api_keys": ["payments"],
            },
        ),
        (
            LISTS[2],
            {
                "name": "webui",
                "application_name": "chat",
                "regions": [1],
                "components_configuration": {"model": {"flavor": "f", "exposed": True, "scale": {"min": 0, "max": 1}}},
            },
        ),
    ):
        assert emulator.respond(Request.build("POST", path, token=TOKEN, json_body=body)).status == 200
    return emulator


def look_at_lists(emulator: Emulator) -> Iterator[Answer]:
    for path in LISTS:
        answer = emulator.respond(Request.build("GET", path, token=TOKEN))
        assert answer.status == 200, (path, answer.body)
        assert json.dumps(answer.json())
        yield answer


@fuzz(400)
@given(st.lists(st.tuples(requests, st.sampled_from([0.0, 1.0, 3.0])), min_size=1, max_size=6))
def test_no_sequence_of_requests_gets_a_5xx_or_wedges_the_emulator(steps: list[tuple[Request, float]]) -> None:
    with opened() as emulator:
        for request, seconds in steps:
            assert emulator.respond(request).status < 500
            emulator.clock.advance(seconds)  # type: ignore[attr-defined]
        emulator.clock.advance(60)  # type: ignore[attr-defined]
        assert len([*look_at_lists(emulator)]) == len(LISTS)


def test_a_component_that_goes_and_comes_back_before_it_is_gone_fails_its_own_task_alone() -> None:
    with opened() as emulator:
        emulator.clock.advance(3)  # type: ignore[attr-defined]
        path = f"{LISTS[2]}/webui"
        tasks = []
        for change in (None, {"exposed": False}):
            body = {"components_configuration": {"model": change}}
            answer = emulator.respond(Request.build("PATCH", path, token=TOKEN, json_body=body))
            tasks.append(answer.json()["tasks"][0])
        emulator.clock.advance(10)  # type: ignore[attr-defined]
        seen = [emulator.respond(Request.build("GET", f"/cloud/v1/tasks/{task}", token=TOKEN)).json() for task in tasks]
        assert [task["state"] for task in seen] == ["FINISHED", "ERROR"]
        assert "model" in seen[1]["error"]
        assert len([*look_at_lists(emulator)]) == len(LISTS)


@pytest.mark.parametrize(
    "body", [b'{"description": "\\ud800"}', b"[" * 200_000, b'{"listening_port": 9223372036854775808}']
)
def test_a_body_that_could_not_be_kept_is_refused(body: bytes) -> None:
    with opened() as emulator:
        request = Request("PATCH", f"{LISTS[1]}/llama3", headers={"Authorization": f"APIKey {TOKEN}"}, body=body)
        assert emulator.respond(request).status == 400


def test_a_topic_name_is_checked_in_no_time() -> None:
    with opened() as emulator:
        body = {"logging": {"enabled": True, "topic_name": "a." + "a" * 5000 + "!"}}
        answer = emulator.respond(Request.build("PATCH", f"{LISTS[1]}/llama3", token=TOKEN, json_body=body))
        assert answer.status == 400


def test_over_http_every_method_and_path_gets_an_answer_below_500() -> None:
    with opened() as emulator, EmulatorServer(emulator) as server:
        address = urlsplit(server.base_url)
        for method in (*METHODS, "CONNECT"):
            for path in (LISTS[0], f"{LISTS[0]}%0A", f"{LISTS[0]}/payments%00", "/", "//", "/%ff", "/" + quote("ü")):
                connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
                try:
                    connection.request(method, path, headers={"Authorization": f"APIKey {TOKEN}"})
                    answer = connection.getresponse()
                    assert answer.status < 500, (method, path)
                    assert answer.status != 405 or answer.headers["Allow"], (method, path)
                    assert path != f"{LISTS[0]}%0A" or answer.status == 404
                finally:
                    connection.close()
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=5) as wire:
            wire.sendall(b"\x00\x01\x02\r\n\r\n")
            assert b" 400 " in wire.recv(100)


def test_a_method_that_a_path_does_not_have_names_those_that_it_has() -> None:
    with opened() as emulator:
        answer = emulator.respond(Request.build("DELETE", LISTS[0], token=TOKEN))
        assert (answer.status, answer.headers["Allow"]) == (405, "POST, GET")
        assert answer.json()["exception_class"] == "HTTPError"
        assert answer.json()["message"] == "HTTP 405: Method Not Allowed"
