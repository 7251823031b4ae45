"""A generation of the API that nobody serves, in this file alone: keys have ids, list what they open, and keep no task.

Snapshot, plan and apply use it as they use v3: nothing but a dialect knows which generation answers.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.http_fakes import (
    PROJECT,
    START,
    TOKEN,
    OpenFence,
    ScriptedEffects,
    Step,
    answer,
    methods,
    page_json,
    refusal,
)
from support.states import deployment, desired, key
from support.worlds import World

from reconciler.api import EndpointReading, KeyUpdate, Move, Rebinding
from reconciler.errors import KeyformError, NotFound
from reconciler.gcore import GcoreApi
from reconciler.gcore.dialects import Collection
from reconciler.gcore.exchange import Resend
from reconciler.gcore.project import Project
from reconciler.gcore.rewriting import Listed, rewrite
from reconciler.gcore.wire import Entry, Fields, read_key, write_instant
from reconciler.model import Binding, Capabilities, EndpointKind, EndpointRef, LiveEndpoint, LiveKey, Secret, Unchanged

# --- The server -------------------------------------------------------------------------------------------------------


class Toy(ScriptedEffects):
    """Keys by id, each with the ids of the doors that it opens; a door is locked while a key opens it."""

    def __init__(self, *doors: str) -> None:
        super().__init__(respond=self.serve)
        self.doors = {f"door-{number}": name for number, name in enumerate(doors)}
        self.keys: dict[str, dict[str, Any]] = {}

    def serve(self, request: httpx.Request) -> Step:
        _, _, kind, *rest = request.url.path.split("/")
        body = json.loads(request.content or "{}")
        if kind == "doors":
            opened = [door for shown in self.keys.values() for door in shown["opens"]]
            return answer(200, page_json(*({"id": d, "name": n, "locked": d in opened} for d, n in self.doors.items())))
        match request.method, rest:
            case "GET", []:
                return answer(200, page_json(*self.keys.values()))
            case "POST", []:
                key_id = f"id-{len(self.sent)}"
                self.keys[key_id] = {"id": key_id, "created_at": "2026-11-21T10:00:00.5Z", "opens": [], **body}
                return answer(200, {**self.keys[key_id], "secret": f"secret-of-{key_id}"})
            case _, [key_id] if key_id not in self.keys:
                return refusal(404)
            case "DELETE", [key_id]:
                del self.keys[key_id]
                return answer(204, text="")
            case _, [key_id]:
                self.keys[key_id] |= body
                return answer(200, self.keys[key_id])
        return refusal(405)


# --- The dialect ------------------------------------------------------------------------------------------------------


def read_door(fields: Fields) -> Entry[LiveEndpoint]:
    ref = EndpointRef(EndpointKind.DEPLOYMENT, fields.name("name"))
    return Entry(fields.name("id"), ref.name, LiveEndpoint(ref, auth_enabled=bool(fields.optional_flag("locked"))))


def read_toy_key(fields: Fields) -> Entry[LiveKey]:
    return Entry(fields.name("id"), fields.name("name"), read_key(fields, fields.name("id")), fields.names("opens"))


class ToyDialect:
    capabilities = Capabilities(mutable_key_fields=frozenset({"description", "expires_at"}))
    keys = Collection(noun="key", words="key {}", path="/toy/keys", read=read_toy_key, shows_bindings=True)
    doors = Collection(noun="deployment", words="deployment.{}", path="/toy/doors", read=read_door, shows_bindings=True)
    endpoints = (doors,)

    def __init__(self, number: int, named: Container[str]) -> None:
        """It has one project."""

    def key_id_of(self, name: str) -> None:
        """The API gives ids."""

    def create_body(self, name: str, description: str, expires_at: datetime | None) -> dict[str, Any]:
        return {"name": name, "description": description, "expires_at": expires_at and write_instant(expires_at)}

    def update_key(self, project: Project, key_id: str, update: KeyUpdate) -> LiveKey:
        body: dict[str, Any] = {"description": update.description}
        if not isinstance(update.expires_at, Unchanged):
            body["expires_at"] = update.expires_at and write_instant(update.expires_at)
        answer = project.write(project.call("PATCH", self.keys, key_id, "update", body), Resend.IF_TRANSIENT)
        return project.read_one(answer, self.keys, key_id, in_doubt=True).item

    def require_unbound(self, project: Project, key_id: str, *, sees_all: bool) -> None:
        """The API would refuse it."""

    def read_endpoint(self, project: Project, ref: EndpointRef) -> EndpointReading | None:
        door = next((door for door in project.list_all(self.doors) if door.item.ref == ref), None)
        keys = project.list_all(self.keys)
        return door and EndpointReading(door.item, tuple(each.id for each in keys if door.id in each.links))

    def group(self, moves: Iterable[Move]) -> tuple[tuple[Move, ...], ...]:
        groups: dict[str, list[Move]] = {}
        for move in moves:
            groups.setdefault(move.key_id if isinstance(move, Binding) else str(move), []).append(move)
        return tuple(map(tuple, groups.values()))

    def rebind(self, project: Project, wanted: Rebinding) -> Mapping[Move, KeyformError]:
        ((key_id,),) = {tuple({binding.key_id for binding in wanted.add | wanted.remove})}
        keep = frozenset(binding for binding in wanted.keep if binding.key_id == key_id)
        return rewrite(project, KeyList(self, project, key_id), replace(wanted, keep=keep))


@dataclass
class KeyList:
    """What a key opens."""

    dialect: ToyDialect
    project: Project
    key_id: str

    def read(self) -> Listed:
        entry = self.project.get(self.dialect.keys, self.key_id)
        if entry is None:
            raise NotFound("the key was removed after the plan was made")
        self.refs = {door.id: door.item.ref for door in self.project.list_all(self.dialect.doors)}
        return Listed(tuple(Binding(self.key_id, self.refs[door]) for door in entry.links))

    def left_on(self, endpoint: EndpointRef, after: Sequence[Binding]) -> Sequence[Binding]:
        reading = self.dialect.read_endpoint(self.project, endpoint)
        others = reading.bound if reading else ()
        return [Binding(each, endpoint) for each in others if each != self.key_id]

    def write(self, bindings: Sequence[Binding]) -> None:
        ids = {ref: door for door, ref in self.refs.items()}
        body = {"opens": [ids[binding.endpoint] for binding in bindings]}
        self.project.write_bindings(self.project.call("PATCH", self.dialect.keys, self.key_id, "set what opens", body))


# --- What it shows ----------------------------------------------------------------------------------------------------


@pytest.fixture
def toy() -> Toy:
    return Toy("llama3", "whisper")


@pytest.fixture
def world(tmp_path: Path, toy: Toy) -> World:
    world = World(tmp_path, {})
    settings: dict[str, Any] = {"base_url": "https://toy.example", "token": Secret(TOKEN), "project": PROJECT}
    world.api = GcoreApi(**settings, effects=toy, dialect=ToyDialect, workers=1)
    return world


def test_keys_are_made_bound_published_rotated_and_deleted_by_their_ids(world: World, toy: Toy) -> None:
    state = desired(key("payments", "llama3", "whisper"))
    assert world.apply(state).complete
    (first,) = toy.keys.values()
    assert (first["name"], first["opens"]) == ("payments", ["door-0", "door-1"])
    assert world.held("payments") == f"secret-of-{first['id']}"
    assert (
        methods(request for request in toy.sent if request.method == "PATCH") == [f"PATCH /toy/keys/{first['id']}"] * 2
    )
    assert world.converges(state)
    assert world.api.read_endpoint(deployment("whisper")) == EndpointReading(
        LiveEndpoint(deployment("whisper")), (first["id"],)
    )
    assert world.apply(desired(key("payments", "llama3"), key("other", "whisper"))).complete
    assert {shown["name"]: shown["opens"] for shown in toy.keys.values()} == {
        "payments": ["door-0"],
        "other": ["door-1"],
    }


def test_an_expiry_changes_in_place_where_the_api_can_do_that(world: World, toy: Toy) -> None:
    assert world.apply(desired(key("payments", "llama3", expires_at=START + timedelta(days=30)))).complete
    later = desired(key("payments", "llama3", expires_at=START + timedelta(days=60)))
    assert world.apply(later).complete
    assert [shown["expires_at"] for shown in toy.keys.values()] == ["2027-01-20T10:00:00Z"]
    assert world.apply(desired(key("payments", "llama3"))).complete
    assert [shown["expires_at"] for shown in toy.keys.values()] == [None]
    assert world.converges(desired(key("payments", "llama3")))


def test_the_last_key_of_an_endpoint_stays_whichever_side_lists_it(world: World, toy: Toy) -> None:
    assert world.apply(desired(key("payments", "llama3", "whisper"), key("other", "llama3"))).complete
    (binding,) = [each for each in world.api.list_bindings() if each.endpoint == deployment("whisper")]
    with pytest.raises(KeyformError, match=r"deployment\.whisper would be left without a valid key, so payments stays"):
        world.api.fenced(OpenFence()).rebind(Rebinding(remove=frozenset({binding})))
    wanted = Rebinding(remove=frozenset({replace(binding, endpoint=deployment("llama3"))}))
    assert world.api.fenced(OpenFence()).rebind(wanted) == {}
    assert toy.keys[binding.key_id]["opens"] == ["door-1"]


def test_messages_call_a_key_by_its_name(world: World, toy: Toy) -> None:
    assert world.apply(desired(key("payments", "llama3"))).complete
    (key_id,) = toy.keys
    toy.keys.clear()
    with pytest.raises(NotFound, match="There is no key payments in project 1234"):
        world.api.update_key(key_id, KeyUpdate("x"))


def test_it_is_as_short_as_the_documentation_says() -> None:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    server, end = (next(n for n, line in enumerate(lines) if f"--- {title}" in line) for title in ("The s", "What it"))
    assert 50 < end - server < 150
