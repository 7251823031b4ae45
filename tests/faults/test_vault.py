"""The Vault of the fault suite does what OpenBao does, request by request, as far as the sink asks for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sinks.conftest import bao, bao_server  # noqa: F401 - fixtures
from sinks.vault_stage import Bao
from support.faults.vault import ROOT, FakeVault

from reconciler.emulator import Request

NAME = "inference/payments"
NOTES = {"keyform-stack": "prod", "keyform-next:api_key": "v1 2 g1"}
Ask = tuple[str, str, Any]


def metadata(method: str, **notes: str | None) -> Ask:
    return method, f"secret/metadata/{NAME}", {"custom_metadata": notes}


def data(method: str, cas: int, **fields: str | None) -> Ask:
    return method, f"secret/data/{NAME}", {"options": {"cas": cas}, "data": fields}


def destroy(*versions: int) -> Ask:
    return "POST", f"secret/destroy/{NAME}", {"versions": list(versions)}


LOOK: Ask = ("GET", f"secret/metadata/{NAME}", None)
READ: Ask = ("GET", f"secret/data/{NAME}", None)
LIST: Ask = ("GET", "secret/metadata/inference/?list=true", None)
FIELDS: Ask = ("GET", f"secret/subkeys/{NAME}", None)
CREATE = (metadata("POST", **NOTES), data("POST", 0, api_key="a", record="r"))
STORIES: dict[str, list[Ask]] = {
    "nothing-there": [LOOK, READ, FIELDS, metadata("PATCH", a="b"), data("PATCH", 0, api_key="a"), LOOK],
    "create": [*CREATE, LOOK, READ, FIELDS],
    "metadata-only": [CREATE[0], LOOK, READ, data("PATCH", 0, api_key="a"), LOOK],
    "metadata-again": [*CREATE, metadata("POST", only="this"), LOOK],
    "metadata-merged": [*CREATE, metadata("PATCH", **{"keyform-stack": None, "team": "x"}), LOOK],
    "create-twice": [*CREATE, CREATE[1], LOOK, READ],
    "merge": [*CREATE, data("PATCH", 1, api_key="b"), LOOK, READ, data("PATCH", 1, api_key="c"), READ],
    "remove": [*CREATE, data("PATCH", 1, api_key=None, record=None), READ, FIELDS, destroy(1, 2), LOOK, READ, FIELDS],
    "write-after-destroy": [
        *CREATE,
        destroy(1),
        *(LOOK, data("PATCH", 1, api_key="b"), LOOK, data("POST", 0, api_key="b"), data("POST", 1, api_key="b")),
        *(LOOK, READ, destroy(1, 7), LOOK, READ),
    ],
    "lists": [
        *(LIST, metadata("POST", **NOTES), LIST, ("GET", "secret/metadata/?list=true", None)),
        ("GET", "secret/metadata/inference/payments/?list=true", None),
    ],
    "the-mount": [("GET", "sys/internal/ui/mounts/secret", None), ("GET", "sys/internal/ui/mounts/other", None)],
    "rights": [("POST", "sys/capabilities-self", {"paths": ["secret/data/x"]})],
}


def told(answer: tuple[int, bytes], ask: Ask) -> Any:
    """What an answer gives, as far as the sink looks at it."""
    status, body = answer
    content = json.loads(body) if body else {}
    found = content.get("data") or {}
    if ask[1].endswith("?list=true"):
        return status, found.get("keys")
    match ask[1].split("/"):
        case ["secret", "metadata", *_] if ask[0] == "GET" and status == 200:
            versions = {
                number: (each["deletion_time"], each["destroyed"]) for number, each in found["versions"].items()
            }
            notes = found["custom_metadata"] or {}
            return found["current_version"], notes, found["delete_version_after"], versions
        case ["secret", "data", *_] if ask[0] == "GET":
            return status, found.get("data")
        case ["secret", "subkeys", *_]:
            return status, found.get("subkeys")
        case ["sys", "internal", *_]:
            return status, found.get("type"), (found.get("options") or {}).get("version")
        case ["sys", "capabilities-self"]:
            return status, content["secret/data/x"]
        case _:
            return status, content.get("errors") if status == 400 else None


@pytest.mark.parametrize("story", list(STORIES))
def test_each_request_gives_what_it_gives_in_openbao(story: str, bao: Bao) -> None:  # noqa: F811 - the fixture
    ours = FakeVault()
    for ask in STORIES[story]:
        method, path, content = ask
        body = b"" if content is None else json.dumps(content).encode()
        mine = ours.respond(Request(method, f"{ROOT}{path.partition('?')[0]}", path.partition("?")[2], body=body))
        theirs = bao._send(method, path, content)
        assert told((mine.status, mine.body), ask) == told((theirs.status_code, theirs.content), ask), ask


def test_a_copy_goes_its_own_way() -> None:
    ours = FakeVault()
    for method, path, content in CREATE:
        ours.respond(Request(method, f"{ROOT}{path}", body=json.dumps(content).encode()))
    other = ours.copy()
    assert (other.outline(), other.held()) == (ours.outline(), {"payments": "a"})
    destroying = destroy(1)
    other.respond(Request("POST", f"{ROOT}{destroying[1]}", body=json.dumps(destroying[2]).encode()))
    assert (ours.held(), other.held()) == ({"payments": "a"}, {})
    assert other.outline() != ours.outline()
