"""The older generation of the API: its documented example, and what the client does where its documents are silent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from support.http_fakes import (
    PROJECT,
    START,
    TOKEN,
    EmulatedEffects,
    OpenFence,
    ScriptedEffects,
    Step,
    answer,
    make_api,
    methods,
    page_json,
    refusal,
)
from support.states import deployment

from reconciler.api import KeyUpdate, Rebinding
from reconciler.emulator import Emulator, Modes, Request, VirtualClock, seed
from reconciler.errors import Conflict, KeyformError, NotFound, PlanIsStale, UnexpectedAnswer
from reconciler.gcore import GcoreApi
from reconciler.gcore.v2 import V2
from reconciler.model import (
    Binding,
    EndpointRef,
    LiveEndpoint,
    LiveKey,
    Ownership,
    Phase,
    compose_description,
)

KEYS = "/cloud/v2/inference/api_keys"
DEPLOYMENTS = "/cloud/v2/inference/deployments"
KEY_ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
OTHER_ID = "11111111-2222-4333-8444-555555555555"
LLAMA, WHISPER = deployment("llama3"), deployment("whisper")
LATER = START + timedelta(days=30)
EXAMPLE: dict[str, Any] = {
    "created_at": "2022-01-01T00:00:00Z",
    "description": "My first key",
    "expires_at": "2024-08-22T11:21:00Z",
    "inference_instance_ids": [KEY_ID],
    "key_id": KEY_ID,
    "name": "my-key",
    "project_id": 1,
    "status": "ACTIVE",
}
"""The key of the document's examples [D]."""


def key_json(name: str = "payments", key_id: str = KEY_ID, **fields: Any) -> dict[str, Any]:
    return {**EXAMPLE, "name": name, "key_id": key_id, "project_id": PROJECT, "inference_instance_ids": [], **fields}


def deployment_json(name: str = "llama3", instance_id: str = OTHER_ID, **fields: Any) -> dict[str, Any]:
    return {"id": instance_id, "name": name, "status": "ACTIVE", "auth_enabled": True, "address": None, **fields}


def scripted(*pages: dict[str, Any], named: frozenset[str] = frozenset()) -> tuple[GcoreApi, ScriptedEffects]:
    effects = ScriptedEffects(*(answer(200, page) for page in pages))
    return make_api(effects, generation="v2", named=named), effects


# --- The documented example -------------------------------------------------------------------------------------------


def test_the_documented_key_is_read_field_by_field() -> None:
    api = make_api(ScriptedEffects(answer(200, EXAMPLE)), generation="v2", project=1)
    assert api.get_key(KEY_ID) == LiveKey(
        id=KEY_ID,
        name="my-key",
        text="My first key",
        ownership=None,
        created_at=datetime(2022, 1, 1, tzinfo=UTC),
        expires_at=datetime(2024, 8, 22, 11, 21, tzinfo=UTC),
        status="ACTIVE",
    )


def test_the_documented_key_is_made_with_its_documented_fields() -> None:
    effects = ScriptedEffects(answer(200, EXAMPLE | {"secret": "my-secret"}))
    api = make_api(effects, generation="v2", project=1)
    made = api.create_key("my-key", "My first key", datetime(2024, 8, 22, 11, 21, tzinfo=UTC))
    assert (made.key.id, made.key.name, made.secret.reveal()) == (KEY_ID, "my-key", "my-secret")
    (request,) = effects.sent
    assert (request.method, request.url.path, request.url.query) == ("POST", KEYS, b"")
    # Never linked at once: were the answer lost, a key would open something, and nobody would have its secret.
    asked = {field: EXAMPLE[field] for field in ("name", "description", "expires_at", "project_id")}
    assert json.loads(request.content) == asked
    assert request.headers["authorization"] == f"APIKey {TOKEN}"


def test_what_an_answer_may_leave_out_is_nothing() -> None:
    shown = {field: EXAMPLE[field] for field in ("name", "key_id", "status", "created_at")}
    api = make_api(ScriptedEffects(answer(200, shown)), generation="v2", project=1)
    live = api.get_key(KEY_ID)
    assert live is not None
    assert (live.text, live.expires_at) == ("", None)
    api, _ = scripted(page_json({"id": OTHER_ID, "name": "llama3", "status": "ACTIVE"}), page_json())
    reading = api.read_endpoint(LLAMA)
    assert reading is not None
    assert (reading.endpoint, reading.bound) == (
        LiveEndpoint(LLAMA, auth_enabled=False, status="ACTIVE"),
        (),
    )


# --- Lists ------------------------------------------------------------------------------------------------------------


def test_a_key_of_another_project_is_left_out_and_one_of_none_is_not() -> None:
    strange = key_json("theirs", OTHER_ID, project_id=PROJECT + 1)
    nameless = key_json("anybodys", "22222222-2222-4333-8444-555555555555", project_id=None)
    api, effects = scripted(page_json(key_json("ours"), strange, nameless))
    assert [live.name for live in api.list_keys()] == ["anybodys", "ours"]
    assert effects.sent[0].url.params["project_id"] == str(PROJECT)


def twins() -> dict[str, Any]:
    return page_json(
        deployment_json("llama3", KEY_ID),
        deployment_json("llama3", OTHER_ID),
        deployment_json("whisper", "22222222-2222-4333-8444-555555555555"),
        deployment_json("whisper", "33333333-2222-4333-8444-555555555555", status="DELETED"),
    )


@pytest.mark.parametrize(
    ("named", "names"),
    [
        (frozenset[str](), [OTHER_ID, KEY_ID, "whisper"]),
        (frozenset({"llama3"}), [OTHER_ID, KEY_ID, "whisper"]),
        (
            frozenset({"22222222-2222-4333-8444-555555555555"}),
            [OTHER_ID, "22222222-2222-4333-8444-555555555555", KEY_ID],
        ),
    ],
)
def test_a_deployment_is_called_by_its_id_where_its_name_is_not_its_own_or_the_file_says_so(
    named: frozenset[str], names: list[str]
) -> None:
    api = make_api(
        ScriptedEffects(
            respond=lambda request: answer(200, twins() if request.url.path == DEPLOYMENTS else page_json())
        ),
        generation="v2",
        named=named,
    )
    endpoints = api.read_live().endpoints
    assert [endpoint.ref.name for endpoint in endpoints] == names
    assert {endpoint.alias for endpoint in endpoints if endpoint.ref.name in (KEY_ID, OTHER_ID)} == {"llama3"}


# --- Over the emulator ------------------------------------------------------------------------------------------------


class Project:
    """A project in the emulator, and the client in front of it."""

    def __init__(self, modes: Modes, *keys: dict[str, Any]) -> None:
        self.clock = VirtualClock(START)
        self.emulator = Emulator(clock=self.clock, modes=modes, tokens={TOKEN: [PROJECT]})
        deployments = [
            {"name": "llama3", "api_keys": ["portal-made"]},
            {"name": "whisper", "api_keys": ["portal-made"]},
            {"name": "public"},
        ]
        content = {"api_keys": [{"name": "portal-made"}, *keys], "deployments": deployments}
        seed(self.emulator, {"projects": {PROJECT: content}})
        self.effects = EmulatedEffects(self.emulator)
        self.fence = OpenFence()
        self.api = make_api(self.effects, generation="v2").fenced(self.fence)

    def id_of(self, name: str) -> str:
        return self.emulator.live_keys(PROJECT)[name].key_id

    def binding(self, name: str, ref: EndpointRef = LLAMA) -> Binding:
        return Binding(self.id_of(name), ref)

    def bind(self, name: str, *refs: EndpointRef) -> None:
        assert self.api.rebind(Rebinding(add=frozenset(self.binding(name, ref) for ref in refs))) == {}

    def bound(self, ref: EndpointRef) -> list[str]:
        return sorted(self.emulator.api_keys_of(PROJECT, "deployment", ref.name))

    def shows(self, path: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """From now on the API shows the objects of a list otherwise, one by one and in the list."""
        send = self.effects.send

        def doctored(request: httpx.Request) -> httpx.Response:
            given = send(request)
            if request.method != "GET" or not request.url.path.startswith(path) or given.status_code != 200:
                return given
            shown = given.json()
            listed = {"results": [change(each) for each in shown["results"]]} if "results" in shown else change(shown)
            whole = shown | listed if "results" in shown else listed
            return answer(200, whole, headers={"date": given.headers["date"]})

        self.effects.send = doctored  # type: ignore[method-assign]

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """As a portal user."""
        given = self.emulator.respond(Request.build(method, path, token=TOKEN, json_body=body))
        assert given.status in (200, 204), given
        return given.json() if given.body else {}  # type: ignore[no-any-return]


@pytest.fixture
def make_project() -> Iterator[Callable[..., Project]]:
    made: list[Project] = []

    def make(*keys: dict[str, Any], **modes: Any) -> Project:
        made.append(Project(Modes(**modes), *keys))
        return made[-1]

    yield make
    for project in made:
        project.emulator.close()


MakeProject = Callable[..., Project]
SEVERAL: list[dict[str, Any]] = [{"name": "payments", "description": "text"}, {"name": "batch"}]


@pytest.mark.parametrize("missing", ["unchanged", "resets"])
@pytest.mark.parametrize("null", ["clears", "unchanged"])
def test_an_update_keeps_all_else_of_a_key_whatever_null_or_nothing_means(
    make_project: MakeProject, missing: str, null: str
) -> None:
    project = make_project(
        {"name": "payments", "description": "old", "expires_at": "2027-01-01T00:00:00.25Z"},
        patch_missing=missing,
        patch_null=null,
        timestamps="naive",
    )
    project.bind("payments", LLAMA, WHISPER)
    key_id = project.id_of("payments")
    project.api.update_key(key_id, KeyUpdate("new"))
    live = project.emulator.live_keys(PROJECT)["payments"]
    assert (live.description, live.expires_at) == ("new", datetime(2027, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC))
    assert project.bound(LLAMA) == project.bound(WHISPER) == ["payments", "portal-made"]
    project.api.update_key(key_id, KeyUpdate("new", LATER))
    assert project.emulator.live_keys(PROJECT)["payments"].expires_at == LATER
    sent = [json.loads(request.content) for request in project.effects.sent if request.method == "PATCH"]
    assert all(set(body) == {"description", "expires_at", "inference_instance_ids", "project_id"} for body in sent)
    assert {body["project_id"] for body in sent} == {PROJECT}


def test_an_expiry_is_taken_back_or_the_way_out_is_told(make_project: MakeProject) -> None:
    project = make_project({"name": "payments", "expires_at": "2027-01-01"})
    project.api.update_key(project.id_of("payments"), KeyUpdate("text", None))
    assert project.emulator.live_keys(PROJECT)["payments"].expires_at is None
    project = make_project({"name": "payments", "expires_at": "2027-01-01"}, patch_null="unchanged")
    with pytest.raises(UnexpectedAnswer, match="did not keep the expires_at") as caught:
        project.api.update_key(project.id_of("payments"), KeyUpdate("text", None))
    assert "keyform rotate" in caught.value.way_out
    assert caught.value.effect_is_unknown


@pytest.mark.parametrize("missing", ["unchanged", "resets"])
def test_a_key_that_has_expired_is_unlinked_and_stays_expired(make_project: MakeProject, missing: str) -> None:
    expires = (START + timedelta(minutes=1)).isoformat()
    project = make_project({"name": "payments", "expires_at": expires}, patch_missing=missing)
    project.bind("payments", LLAMA, WHISPER)
    project.clock.advance(3600)
    project.api.list_keys()  # its answer tells the API's clock
    assert project.api.rebind(Rebinding(remove=frozenset({project.binding("payments")}))) == {}
    assert (project.bound(LLAMA), project.bound(WHISPER)) == (["portal-made"], ["payments", "portal-made"])
    project.clock.advance(61)
    expiry = project.emulator.live_keys(PROJECT)["payments"].expires_at
    assert expiry is not None
    assert expiry <= project.clock.now()
    assert project.api.rebind(Rebinding(remove=frozenset({project.binding("payments", WHISPER)}))) == {}
    assert project.bound(WHISPER) == ["portal-made"]


def test_two_writes_of_one_key_wait_for_each_other(make_project: MakeProject) -> None:
    """Each repeats all of the key as it was read: side by side, one would take back what the other has done."""
    project = make_project(*SEVERAL)
    project.api.read_live()
    key_id = project.id_of("payments")
    meet = threading.Barrier(2)
    send = project.effects.send

    def slow(request: httpx.Request) -> httpx.Response:
        given = send(request)
        if request.method == "GET" and request.url.path == f"{KEYS}/{key_id}":
            try:
                meet.wait(0.2)  # both have read, unless one waits
            except threading.BrokenBarrierError:
                meet.reset()
        return given

    project.effects.send = slow  # type: ignore[method-assign]
    link = threading.Thread(target=project.bind, args=("payments", LLAMA))
    link.start()
    project.api.update_key(key_id, KeyUpdate("new"))
    link.join()
    assert project.bound(LLAMA) == ["payments", "portal-made"]
    assert project.emulator.live_keys(PROJECT)["payments"].description == "new"


def test_a_key_that_opens_something_is_not_deleted_though_the_api_would(make_project: MakeProject) -> None:
    project = make_project(*SEVERAL)
    project.bind("payments", LLAMA)
    with pytest.raises(Conflict, match="key payments still opens a deployment"):
        project.api.delete_key(project.id_of("payments"))
    assert project.bound(LLAMA) == ["payments", "portal-made"]
    assert project.api.delete_key(project.id_of("batch"))


@pytest.mark.parametrize("listed", ["gone", "listed"])
@pytest.mark.parametrize("unknown", ["reject", "ignored"])
def test_a_deployment_that_was_deleted_holds_up_nothing(make_project: MakeProject, listed: str, unknown: str) -> None:
    project = make_project(
        *SEVERAL, deleted_deployment=listed, deleted_instance="still_listed", unknown_instance=unknown
    )
    project.bind("payments", LLAMA, WHISPER)
    (whisper,) = [each["id"] for each in project.ask("GET", DEPLOYMENTS)["results"] if each["name"] == "whisper"]
    project.ask("DELETE", f"{DEPLOYMENTS}/{whisper}")
    live = project.api.read_live()
    assert [endpoint.ref for endpoint in live.endpoints] == [LLAMA, deployment("public")]
    assert {binding.endpoint for binding in live.bindings} == {LLAMA}
    project.api.update_key(project.id_of("payments"), KeyUpdate("new"))
    assert project.api.rebind(Rebinding(remove=frozenset({project.binding("payments")}))) == {}
    assert project.api.delete_key(project.id_of("payments"))


def test_a_deployment_that_no_list_shows_stays_linked(make_project: MakeProject) -> None:
    """As one that was made since the list was read."""
    project = make_project(*SEVERAL)
    project.api.read_live()
    key_id = project.id_of("payments")
    shown = project.ask("GET", DEPLOYMENTS)["results"][0]
    fields = ("image", "listening_port", "flavor_id")
    body = {name: shown[name] for name in fields} | {
        "name": "late-comer",
        "project_id": PROJECT,
        "api_key_ids": [key_id],
        "containers": [{"region_id": 1, "scale": {"min": 1, "max": 1}}],
    }
    project.ask("POST", DEPLOYMENTS, body)
    project.api.update_key(key_id, KeyUpdate("new"))
    assert project.bound(deployment("late-comer")) == ["payments"]


def test_the_last_key_of_a_deployment_stays_unless_it_is_to_open(make_project: MakeProject) -> None:
    project = make_project(*SEVERAL)
    gone = Rebinding(remove=frozenset({project.binding("portal-made")}))
    with pytest.raises(KeyformError, match=r"deployment\.llama3 would be left without a valid key"):
        project.api.rebind(gone)
    assert project.bound(LLAMA) == ["portal-made"]
    project.bind("payments", LLAMA)
    assert project.api.rebind(gone) == {}
    assert project.bound(LLAMA) == ["payments"]


def without(field: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda shown: {name: value for name, value in shown.items() if name != field}


def unknown_links(shown: dict[str, Any]) -> dict[str, Any]:
    """As by ids in upper case, where the API finds none by them."""
    return shown | {"inference_instance_ids": [link.replace("-", "_") for link in shown["inference_instance_ids"]]}


UNTOLD = pytest.mark.parametrize("untold", [without("inference_instance_ids"), unknown_links])


@UNTOLD
def test_a_key_that_does_not_show_what_it_opens_goes_on_to_open_it(make_project: MakeProject, untold: Any) -> None:
    """Every field that a PATCH repeats is one that an answer may leave out [D]."""
    project = make_project(*SEVERAL)
    project.bind("payments", LLAMA)
    project.shows(KEYS, untold)
    project.api.update_key(project.id_of("payments"), KeyUpdate("new"))
    assert project.bound(LLAMA) == ["payments", "portal-made"]


@UNTOLD
def test_a_key_that_does_not_show_what_it_opens_is_bound_and_taken_off(make_project: MakeProject, untold: Any) -> None:
    project = make_project(*SEVERAL)
    project.bind("payments", LLAMA)
    project.shows(KEYS, untold)
    project.bind("payments", WHISPER)
    assert project.bound(LLAMA) == project.bound(WHISPER) == ["payments", "portal-made"]
    assert project.api.rebind(Rebinding(remove=frozenset({project.binding("payments")}))) == {}
    assert (project.bound(LLAMA), project.bound(WHISPER)) == (["portal-made"], ["payments", "portal-made"])


def test_a_key_is_taken_off_a_deployment_that_does_not_show_its_keys(make_project: MakeProject) -> None:
    project = make_project(*SEVERAL)
    project.bind("payments", LLAMA)
    project.shows(DEPLOYMENTS, without("api_key_ids"))
    assert project.api.rebind(Rebinding(remove=frozenset({project.binding("payments")}))) == {}
    assert project.bound(LLAMA) == ["portal-made"]
    with pytest.raises(KeyformError, match=r"deployment\.llama3 would be left without a valid key"):
        project.api.rebind(Rebinding(remove=frozenset({project.binding("portal-made")})))


@pytest.mark.parametrize("mine", [{}, {"expires_at": (START + timedelta(minutes=1)).isoformat()}])
def test_a_key_that_only_the_deployment_lists_is_not_the_one_that_stays(
    make_project: MakeProject, mine: dict[str, Any]
) -> None:
    """It may open nothing, and then the last key that did would go, and with it authentication."""
    project = make_project({"name": "batch"}, {"name": "mine", **mine})
    project.bind("mine", LLAMA)
    assert project.api.rebind(Rebinding(remove=frozenset({project.binding("portal-made")}))) == {}
    project.clock.advance(3600)
    project.api.list_keys()  # its answer tells the API's clock
    ghost = project.id_of("batch")
    project.shows(DEPLOYMENTS, lambda shown: shown | {"api_key_ids": [*shown["api_key_ids"], ghost]})
    with pytest.raises(KeyformError, match=r"deployment\.llama3 would be left without a valid key, so mine stays"):
        project.api.rebind(Rebinding(remove=frozenset({project.binding("mine")})))
    assert project.bound(LLAMA) == ["mine"]


def test_a_key_that_a_deployment_goes_on_to_list_is_not_told_to_be_off(make_project: MakeProject) -> None:
    project = make_project(*SEVERAL)
    project.bind("payments", LLAMA, WHISPER)
    stuck = project.id_of("payments")
    project.shows(DEPLOYMENTS, lambda shown: shown | {"api_key_ids": sorted({*shown["api_key_ids"], stuck})})
    with pytest.raises(KeyformError, match="does not keep what is written to it; someone else may be changing it"):
        project.api.rebind(Rebinding(remove=frozenset({project.binding("payments")})))
    assert project.bound(WHISPER) == ["payments", "portal-made"]
    assert project.bound(deployment("public")) == [], "what nobody asked for is not written"


@pytest.mark.parametrize("last", ["auth_turns_off", "auth_stays_on"])
def test_a_deployment_opens_or_it_is_told_that_it_does_not(make_project: MakeProject, last: str) -> None:
    project = make_project(*SEVERAL, last_key_unlinked=last)
    project.bind("payments", LLAMA)
    both = frozenset({project.binding("payments"), project.binding("portal-made")})
    wanted = Rebinding(remove=both, opens=frozenset({LLAMA}))
    errors = project.api.rebind(wanted)
    assert project.bound(LLAMA) == []
    if last == "auth_turns_off":
        assert errors == {}
        assert project.emulator.accepts(PROJECT, "deployment", "llama3", None)
    else:
        assert list(errors) == [LLAMA]
        assert "still requires a key" in errors[LLAMA].message
        assert "in the portal" in errors[LLAMA].way_out
    with pytest.raises(KeyformError, match="still requires a key"):
        project.api.rebind(Rebinding(opens=frozenset({WHISPER})))
    assert not [request for request in project.effects.sent if request.method == "PUT"]


@pytest.mark.parametrize("first", ["auth_turns_on", "auth_unchanged"])
def test_a_first_key_closes_a_deployment_or_it_is_told_that_it_does_not(make_project: MakeProject, first: str) -> None:
    project = make_project(*SEVERAL, first_key_linked=first)
    public = deployment("public")
    wanted = Rebinding(add=frozenset({project.binding("payments", public)}), closes=frozenset({public}))
    if first == "auth_turns_on":
        assert project.api.rebind(wanted) == {}
        assert not project.emulator.accepts(PROJECT, "deployment", "public", None)
    else:
        with pytest.raises(KeyformError, match=r"deployment\.public has the key payments now, but is still public"):
            project.api.rebind(wanted)
    assert project.bound(public) == ["payments"]


def test_a_binding_is_one_patch_and_one_reading_before_and_after(make_project: MakeProject) -> None:
    project = make_project(*SEVERAL)
    project.bind("payments", LLAMA, WHISPER)
    item = f"{KEYS}/{project.id_of('payments')}"
    look = [f"GET {DEPLOYMENTS}", f"GET {item}"]
    assert methods(project.effects.sent) == [*look, f"PATCH {item}", *look]


def test_a_key_that_was_moved_to_another_project_stays_there(make_project: MakeProject) -> None:
    """A write names the project of the file, and would bring it back."""
    project = make_project(*SEVERAL)
    project.bind("payments", LLAMA)
    project.shows(KEYS, lambda shown: shown | {"project_id": PROJECT + 1})
    key_id, binding = project.id_of("payments"), project.binding("payments")
    begun = len(project.effects.sent)
    with pytest.raises(NotFound, match="There is no key payments in project 1234"):
        project.api.update_key(key_id, KeyUpdate("new"))
    with pytest.raises(NotFound, match="There is no key payments in project 1234"):
        project.api.rebind(Rebinding(remove=frozenset({binding})))
    with pytest.raises(Conflict, match="key payments is now in another project"):
        project.api.delete_key(key_id)
    assert {request.method for request in project.effects.sent[begun:]} == {"GET"}


def test_a_deployment_that_is_gone_is_not_linked(make_project: MakeProject) -> None:
    project = make_project(*SEVERAL)
    with pytest.raises(NotFound, match=r"deployment\.nowhere was removed or renamed after the plan was made, or"):
        project.api.rebind(Rebinding(add=frozenset({project.binding("payments", deployment("nowhere"))})))


def test_a_write_whose_answer_is_lost_is_looked_at_before_it_is_sent_again(make_project: MakeProject) -> None:
    project = make_project(*SEVERAL)
    lost = [True]

    def respond(request: httpx.Request) -> Step:
        given = project.effects.send(request)
        if request.method == "PATCH" and lost:
            lost.pop()
            return httpx.ReadError("")
        return given

    api = make_api(ScriptedEffects(respond=respond), generation="v2").fenced(OpenFence())
    assert api.rebind(Rebinding(add=frozenset({project.binding("payments")}))) == {}
    assert sum(request.method == "PATCH" for request in project.effects.sent) == 1
    lost.append(True)
    api.update_key(project.id_of("payments"), KeyUpdate("new"))
    assert project.emulator.live_keys(PROJECT)["payments"].description == "new"
    assert sum(request.method == "PATCH" for request in project.effects.sent) == 2, "an update is not sent again"


def marked(phase: Phase) -> str:
    """A description with a marker."""
    return compose_description("", Ownership("prod", "payments", 1, phase, START))


class OldReadings:
    """A client that is shown a key as it once was, so many times from now on."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.item = f"{KEYS}/{project.id_of('payments')}"
        self.then = project.ask("GET", self.item)
        self.left = 0
        self.api = make_api(ScriptedEffects(respond=self.respond), generation="v2").fenced(OpenFence())

    def respond(self, request: httpx.Request) -> Step:
        if self.left and (request.method, request.url.path) == ("GET", self.item):
            self.left -= 1
            return answer(200, self.then)
        return self.project.effects.send(request)


def test_one_old_reading_of_a_key_takes_back_nothing_of_it(make_project: MakeProject) -> None:
    project = make_project({"name": "payments", "description": "theirs"})
    old = OldReadings(project)
    project.bind("payments", LLAMA)
    project.ask("PATCH", old.item, {"expires_at": "2027-01-01T00:00:00Z"})
    old.api.list_keys()
    old.left = 1
    old.api.update_key(project.id_of("payments"), KeyUpdate("new"))
    assert project.bound(LLAMA) == ["payments", "portal-made"]
    assert project.emulator.live_keys(PROJECT)["payments"].expires_at is not None


def test_what_was_written_last_is_not_taken_back_by_old_readings(make_project: MakeProject) -> None:
    project = make_project({"name": "payments", "description": marked(Phase.PENDING)})
    old = OldReadings(project)
    old.api.rebind(Rebinding(add=frozenset({project.binding("payments")})))
    old.left = 2
    old.api.update_key(project.id_of("payments"), KeyUpdate(marked(Phase.PUBLISHED)))
    assert old.left == 0
    assert project.bound(LLAMA) == ["payments", "portal-made"]
    old.left = 1  # the first look at the list; the second, after the write, is true
    old.api.rebind(Rebinding(add=frozenset({project.binding("payments", WHISPER)})))
    assert project.emulator.live_keys(PROJECT)["payments"].description == marked(Phase.PUBLISHED)


def test_a_marker_that_is_another_than_the_plan_saw_is_not_written_over(make_project: MakeProject) -> None:
    project = make_project({"name": "payments", "description": marked(Phase.PENDING)})
    old = OldReadings(project)
    project.ask("PATCH", old.item, {"description": marked(Phase.PUBLISHED)})
    old.api.list_keys()
    old.left = 2
    with pytest.raises(PlanIsStale, match="the live key payments was changed after the plan was made"):
        old.api.rebind(Rebinding(add=frozenset({project.binding("payments")})))
    assert project.emulator.live_keys(PROJECT)["payments"].description == marked(Phase.PUBLISHED)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.PUBLISHED])
def test_a_write_that_may_still_arrive_keeps_a_generation_from_being_published(
    make_project: MakeProject, phase: Phase
) -> None:
    """It would mark it pending again, and the next apply would discard a secret that consumers have."""
    project = make_project({"name": "payments", "description": marked(phase)})
    lost = [True]

    def respond(request: httpx.Request) -> Step:
        if request.method == "PATCH" and lost:
            lost.pop()
            return httpx.ReadTimeout("")
        return project.effects.send(request)

    api = make_api(ScriptedEffects(respond=respond), generation="v2").fenced(OpenFence())
    wanted = Rebinding(add=frozenset({project.binding("payments")}))
    if phase is Phase.PUBLISHED:
        assert api.rebind(wanted) == {}
        assert project.bound(LLAMA) == ["payments", "portal-made"]
    else:
        with pytest.raises(KeyformError, match="got no answer, and may still take effect") as caught:
            api.rebind(wanted)
        assert caught.value.effect_is_unknown
        assert project.bound(LLAMA) == ["portal-made"]


def test_a_key_that_is_gone_is_called_by_its_name(make_project: MakeProject) -> None:
    project = make_project(*SEVERAL)
    key_id = project.id_of("payments")
    project.api.list_keys()
    project.ask("DELETE", f"{KEYS}/{key_id}")
    with pytest.raises(NotFound, match="There is no key payments in project 1234"):
        project.api.update_key(key_id, KeyUpdate("new"))
    assert project.api.delete_key(key_id) is False


def test_an_error_calls_a_key_by_its_name() -> None:
    effects = ScriptedEffects(answer(200, page_json(key_json())), refusal(500))
    api = make_api(effects, generation="v2")
    api.list_keys()
    with pytest.raises(KeyformError, match="show key payments"):
        api.get_key(KEY_ID)


# --- What goes together -----------------------------------------------------------------------------------------------


def test_moves_of_one_key_are_one_write_and_those_of_an_endpoint_that_opens_too() -> None:
    a, b, c = (Binding(name, LLAMA) for name in "abc")
    a2, c2 = Binding("a", WHISPER), Binding("c", WHISPER)
    v2 = V2(PROJECT)
    assert v2.group([a, b, a2]) == ((b,), (a, a2))
    (whole,) = v2.group([a, LLAMA, a2, b])
    assert set(whole) == {a, a2, b, LLAMA}
    opened, other = v2.group([a, LLAMA, c2])
    assert (set(opened), set(other)) == ({a, LLAMA}, {c2})
    assert sum(map(len, v2.group([a, b, c, a2, c2, LLAMA, WHISPER]))) == 7
