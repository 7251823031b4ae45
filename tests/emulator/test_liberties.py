"""What the emulator does instead of what it is asked, in the modes in which it takes liberties."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from support.http_fakes import PROJECT, START, TOKEN

from reconciler.emulator import Answer, Emulator, Modes, Request, VirtualClock, seed

LIVE = {"deployments": [{"name": "llama3", "image": "demo/llama3"}]}
KEYS = {"v3": f"/cloud/v3/inference/{PROJECT}/api_keys", "v2": "/cloud/v2/inference/api_keys"}
DESCRIPTION = " Zu\u0308rich  & co " + "x" * 120
EXPIRES = "2026-12-21T10:07:09Z"


class Client:
    """Whoever asks about keys, in one generation of the API."""

    def __init__(self, generation: str, **modes: Any) -> None:
        self.emulator = Emulator(clock=VirtualClock(START), modes=Modes(**modes), tokens={TOKEN: [PROJECT]}, seed=7)
        self.generation = generation
        self.emulator.clock.advance(0.25)  # type: ignore[attr-defined]
        seed(self.emulator, {"projects": {PROJECT: LIVE}})

    def call(self, method: str, path: str = "", body: Any = None) -> Answer:
        query = {"project_id": PROJECT} if not path and method == "GET" and self.generation == "v2" else {}
        url = KEYS[self.generation] + path if not path.startswith("/cloud") else path
        return self.emulator.respond(Request.build(method, url, token=TOKEN, query=query, json_body=body))

    def make(self, **fields: Any) -> dict[str, Any]:
        given = self.call("POST", body={"name": "payments", **fields})
        assert given.status == 200
        made: dict[str, Any] = given.json()
        self.path = f"/{made.get('key_id', made['name'])}"
        return made

    def list(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET").json()["results"]
        return found


@pytest.fixture(params=["v3", "v2"])
def generation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ("exact", datetime(2026, 12, 21, 10, 7, 9, tzinfo=UTC)),
        ("end_of_day", datetime(2026, 12, 21, 23, 59, 59, tzinfo=UTC)),
        ("midnight", datetime(2026, 12, 21, tzinfo=UTC)),
        ("to_the_minute", datetime(2026, 12, 21, 10, 8, tzinfo=UTC)),
        ("an_hour_later", datetime(2026, 12, 21, 11, 7, 9, tzinfo=UTC)),
        ("dropped", None),
    ],
)
def test_an_expiry_is_kept_so(generation: str, kept: Any, shown: datetime | None) -> None:
    client = Client(generation, expiry_kept=kept)
    made = client.make(expires_at=EXPIRES)
    assert made["expires_at"] == (shown and f"{shown:%Y-%m-%dT%H:%M:%SZ}")
    assert client.emulator.live_keys(PROJECT)["payments"].expires_at == shown
    if generation == "v2":
        assert client.call("PATCH", client.path, {"expires_at": EXPIRES}).json()["expires_at"] == made["expires_at"]


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ("as_sent", DESCRIPTION),
        ("trimmed", DESCRIPTION.strip()),
        ("composed", DESCRIPTION.replace("u\u0308", "\u00fc")),
        ("decomposed", DESCRIPTION),
        ("compatible", DESCRIPTION.replace("u\u0308", "\u00fc")),
        ("ascii", DESCRIPTION.replace("\u0308", "?")),
        ("escaped", DESCRIPTION.replace("&", "&amp;")),
        ("folded", DESCRIPTION.strip().replace("  ", " ")),
        ("cut", DESCRIPTION[:120]),
        ("dropped", None),
    ],
)
def test_a_description_is_kept_so(generation: str, kept: Any, shown: str | None) -> None:
    client = Client(generation, description_kept=kept)
    assert client.make(description=DESCRIPTION)["description"] == shown
    assert client.call("PATCH", client.path, {"description": DESCRIPTION}).json()["description"] == shown
    assert [key["description"] for key in client.list()] == [shown]


def test_an_expiry_is_kept_and_shown_as_a_date(generation: str) -> None:
    client = Client(generation, expiry_kept="date")
    assert client.make(expires_at=EXPIRES)["expires_at"] == "2026-12-21"
    assert [key["expires_at"] for key in client.list()] == ["2026-12-21"]
    assert client.emulator.live_keys(PROJECT)["payments"].expires_at == datetime(2026, 12, 21, tzinfo=UTC)


def test_letters_are_kept_as_their_plain_or_decomposed_forms(generation: str) -> None:
    kept = {}
    for mode in ("compatible", "decomposed"):
        client = Client(generation, description_kept=mode)
        kept[mode] = client.make(description="\ufb01n\u00e9 \u2460")["description"]
    assert kept == {"compatible": "fin\u00e9 1", "decomposed": "\ufb01ne\u0301 \u2460"}


def test_created_at_is_finer_at_first_and_then_rounded_up(generation: str) -> None:
    client = Client(generation, created_at_told="finer_at_first")
    assert client.make()["created_at"] == "2026-11-21T10:00:00.250000"
    assert client.list()[0]["created_at"] == "2026-11-21T10:00:01Z"
    assert client.call("GET", client.path).json()["created_at"] == "2026-11-21T10:00:01Z"


def test_created_at_is_another_where_one_key_is_asked_for(generation: str) -> None:
    client = Client(generation, created_at_told="otherwise_alone")
    assert client.make()["created_at"] == client.call("GET", client.path).json()["created_at"]
    assert client.list()[0]["created_at"] == "2026-11-21T10:00:00Z"
    assert client.call("GET", client.path).json()["created_at"] == "2026-11-21T09:00:00Z"


def test_a_write_is_answered_with_what_was_sent_with_nothing_or_with_what_was_there(generation: str) -> None:
    given = {}
    for mode in ("what_is_kept", "what_was_sent", "nothing", "as_it_was"):
        client = Client(generation, key_answers=mode, description_kept="escaped")
        made = client.make(description="<")["description"]
        answer = client.call("PATCH", client.path, {"description": ">"})
        given[mode] = (made, answer.status, answer.json()["description"] if answer.body else None)
        assert client.list()[0]["description"] == "&gt;"
    assert given == {
        "what_is_kept": ("&lt;", 200, "&gt;"),
        "what_was_sent": ("<", 200, ">"),
        "nothing": ("&lt;", 204, None),
        "as_it_was": ("&lt;", 200, "&lt;"),
    }


def test_a_write_of_a_key_is_taken_and_forgotten(generation: str) -> None:
    client = Client(generation, key_patch="ignored", key_delete="ignored")
    client.make(description="old")
    assert client.call("PATCH", client.path, {"description": "new"}).json()["description"] == "old"
    assert client.call("DELETE", client.path).status == 204
    assert [key["description"] for key in client.list()] == ["old"]


@pytest.mark.parametrize(("kept", "shown"), [("as_sent", ["payments"]), ("doubled", ["payments"] * 2), ("ignored", [])])
def test_a_list_of_keys_is_kept_so(kept: Any, shown: list[str]) -> None:
    client = Client("v3", api_keys_kept=kept)
    client.make()
    deployment = f"/cloud/v3/inference/{PROJECT}/deployments/llama3"
    assert client.call("PATCH", deployment, {"api_keys": ["payments"]}).status == 200
    assert client.call("GET", deployment).json()["api_keys"] == shown


def test_links_of_a_key_are_forgotten() -> None:
    client = Client("v2", api_keys_kept="ignored")
    client.make()
    (deployment,) = client.call("GET", f"/cloud/v2/inference/deployments?project_id={PROJECT}").json()["results"]
    answer = client.call("PATCH", client.path, {"inference_instance_ids": [deployment["id"]]})
    assert answer.json()["inference_instance_ids"] == []


@pytest.mark.parametrize(
    ("end", "state"),
    [("finished", "FINISHED"), ("never", "RUNNING"), ("cancelled", "CANCELLED"), ("empty", ""), ("null", None)],
)
def test_a_task_that_has_had_its_effect_ends_so(end: Any, state: str | None) -> None:
    client = Client("v3", task_end=end)
    client.make()
    deployment = f"/cloud/v3/inference/{PROJECT}/deployments/llama3"
    (task,) = client.call("PATCH", deployment, {"api_keys": ["payments"]}).json()["tasks"]
    assert client.call("GET", deployment).json()["api_keys"] == ["payments"]
    assert client.call("GET", f"/cloud/v1/tasks/{task}").json()["state"] == state
