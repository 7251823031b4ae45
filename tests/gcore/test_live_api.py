"""Against the emulator: what users have the client do all day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from support.http_fakes import PROJECT, START, TOKEN, EmulatedEffects, make_api, write_list

from reconciler.api import KeyUpdate
from reconciler.effects import System
from reconciler.emulator import Emulator, EmulatorServer, Modes, VirtualClock, seed
from reconciler.errors import Conflict, Forbidden, NotAuthenticated, NotFound, TaskFailed
from reconciler.gcore import ApiEvent, EventKind, GcoreApi
from reconciler.model import (
    Binding,
    EndpointKind,
    EndpointRef,
    LiveKey,
    Ownership,
    Phase,
    compose_description,
)

LLAMA = EndpointRef(EndpointKind.DEPLOYMENT, "llama3")
OPEN = EndpointRef(EndpointKind.DEPLOYMENT, "playground")
WEBUI = EndpointRef(EndpointKind.APPLICATION, "webui")
OWNED = Ownership("prod", "payments", 1, Phase.PENDING, START)

SEED = {
    "tokens": {TOKEN: [PROJECT], "99$somebody-else": [99]},
    "projects": {
        PROJECT: {
            "api_keys": [{"name": "first", "created_at": "2026-01-02T03:04:05Z"}, {"name": "second"}],
            "deployments": [{"name": "playground"}, {"name": "llama3", "api_keys": ["second", "first"]}],
            "applications": [{"name": "webui", "api_keys": ["first"]}],
        }
    },
}


def emulate(modes: Modes | None = None, *, task_seconds: float = 0.0) -> Emulator:
    emulator = Emulator(clock=VirtualClock(START), modes=modes, seed=7, task_seconds=task_seconds)
    seed(emulator, SEED)
    return emulator


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with emulate() as emulator:
        yield emulator


@pytest.fixture
def effects(emulator: Emulator) -> EmulatedEffects:
    return EmulatedEffects(emulator)


@pytest.fixture
def api(effects: EmulatedEffects) -> GcoreApi:
    return make_api(effects)


def test_a_key_is_read_as_it_was_made(api: GcoreApi) -> None:
    expiry = datetime(2027, 6, 30, tzinfo=UTC)
    created = api.create_key("payments", compose_description("Checkout", OWNED), expiry)
    assert created.key == LiveKey("payments", "payments", "Checkout", OWNED, created_at=START, expires_at=expiry)
    assert api.get_key("payments") == created.key
    assert str(created.secret) == "(sensitive value)"


def test_a_secret_is_the_one_that_the_data_plane_knows(api: GcoreApi, emulator: Emulator) -> None:
    created = api.create_key("payments", "x", None)
    assert emulator.live_keys(PROJECT)["payments"].secret == created.secret.reveal()


def test_a_key_without_expiry_or_description_sends_neither(api: GcoreApi, effects: EmulatedEffects) -> None:
    api.create_key("payments", "", None)
    assert json.loads(effects.sent[-1].content) == {"name": "payments"}


def test_an_expiry_is_sent_in_whole_seconds_of_utc(api: GcoreApi, effects: EmulatedEffects) -> None:
    elsewhere = datetime.fromisoformat("2027-06-30T02:00:00.5+02:00")
    api.create_key("payments", "x", elsewhere)
    assert json.loads(effects.sent[-1].content)["expires_at"] == "2027-06-30T00:00:00Z"


def test_a_taken_name_is_a_conflict_and_is_not_tried_again(api: GcoreApi, effects: EmulatedEffects) -> None:
    with pytest.raises(Conflict) as caught:
        api.create_key("first", "x", None)
    assert (caught.value.effect_is_unknown, len(effects.sent)) == (False, 1)


def test_a_description_is_replaced(api: GcoreApi) -> None:
    published = Ownership("prod", "payments", 1, Phase.PUBLISHED, START + timedelta(hours=1))
    api.create_key("payments", compose_description("Checkout", OWNED), None)
    api.update_key("payments", KeyUpdate(compose_description("Zahlung für Käufer", published)))
    key = api.get_key("payments")
    assert key is not None
    assert (key.text, key.ownership) == ("Zahlung für Käufer", published)


def test_describing_a_key_that_is_gone_is_not_found(api: GcoreApi) -> None:
    with pytest.raises(NotFound, match="There is no key payments in project 1234"):
        api.update_key("payments", KeyUpdate("x"))


def test_deleting_tells_whether_there_was_a_key(api: GcoreApi) -> None:
    api.create_key("payments", "x", None)
    assert (api.delete_key("payments"), api.delete_key("payments")) == (True, False)
    assert api.get_key("payments") is None


def test_an_attached_key_is_not_deleted(api: GcoreApi) -> None:
    with pytest.raises(Conflict):
        api.delete_key("second")


def test_all_endpoints_come_in_order_with_what_they_hold(api: GcoreApi, emulator: Emulator) -> None:
    live = api.read_live()
    assert [(str(each.ref), each.auth_enabled, each.application) for each in live.endpoints] == [
        ("application.webui", True, None),
        ("deployment.llama3", True, None),
        ("deployment.playground", False, None),
        ("deployment.webui-web", True, "webui"),
    ]
    assert (
        live.bindings
        == api.list_bindings()
        == {
            Binding("first", WEBUI),
            Binding("second", LLAMA),
            Binding("first", LLAMA),
            Binding("first", EndpointRef(EndpointKind.DEPLOYMENT, "webui-web")),
        }
    )
    assert live.keys == api.list_keys()
    for each in live.endpoints:
        bound = tuple(binding.key_id for binding in live.bindings if binding.endpoint == each.ref)
        reading = api.read_endpoint(each.ref)
        assert reading is not None
        assert (reading.endpoint, sorted(reading.bound)) == (each, sorted(bound))
    assert all(address.startswith("http") for each in live.endpoints for address in each.addresses)


def test_all_that_is_live_is_one_request_a_list_and_bindings_are_read_off_the_endpoints_alone(
    api: GcoreApi, effects: EmulatedEffects
) -> None:
    api.read_live()
    lists = [f"/cloud/v3/inference/{PROJECT}/api_keys", f"/cloud/v3/inference/{PROJECT}/deployments"]
    lists.append(f"/cloud/v3/inference/applications/{PROJECT}/deployments")
    assert sorted(sent.url.path for sent in effects.sent) == sorted(lists)
    effects.sent.clear()
    api.list_bindings()
    assert sorted(sent.url.path for sent in effects.sent) == sorted(lists[1:])


def test_a_key_is_found_by_its_name_with_one_request_since_that_is_its_id(
    api: GcoreApi, effects: EmulatedEffects
) -> None:
    assert api.find_key("first") == api.get_key("first")
    assert api.find_key("nobody") is None
    assert [sent.url.path.rpartition("/")[2] for sent in effects.sent] == ["first", "first", "nobody"]


def test_an_expiry_cannot_be_changed_in_place_and_is_not_tried(api: GcoreApi, effects: EmulatedEffects) -> None:
    with pytest.raises(ValueError, match="cannot change when a key expires"):
        api.update_key("first", KeyUpdate("x", expires_at=None))
    assert effects.sent == []


def test_an_endpoint_that_is_not_there_is_none(api: GcoreApi) -> None:
    assert api.read_endpoint(EndpointRef(EndpointKind.DEPLOYMENT, "nowhere")) is None
    assert api.read_endpoint(EndpointRef(EndpointKind.APPLICATION, "a/../b")) is None


def test_a_public_endpoint_is_seen_as_public_in_whatever_form_no_keys_are_shown() -> None:
    for form in ("empty_list", "null"):
        with emulate(Modes(no_keys_shown_as=form)) as emulator:
            reading = make_api(EmulatedEffects(emulator)).read_endpoint(OPEN)
        assert reading is not None
        assert (reading.bound, reading.endpoint.is_public) == ((), True)


@pytest.mark.parametrize("ref", [LLAMA, WEBUI], ids=str)
def test_a_whole_list_is_written(api: GcoreApi, ref: EndpointRef) -> None:
    write_list(api, ref, ["first", "second"])
    assert shown(api, ref) == (("first", "second"), True)


def shown(api: GcoreApi, ref: EndpointRef) -> tuple[tuple[str, ...], bool]:
    """The keys of an endpoint, and whether its authentication is on."""
    reading = api.read_endpoint(ref)
    assert reading is not None
    return reading.bound, reading.endpoint.auth_enabled


def test_an_empty_list_is_not_sent_unless_it_is_said_to_open(api: GcoreApi, effects: EmulatedEffects) -> None:
    with pytest.raises(ValueError, match=r"would make deployment\.llama3 public"):
        write_list(api, LLAMA, [])
    assert effects.sent == []
    write_list(api, LLAMA, [], opens=True)
    assert shown(api, LLAMA) == ((), False)


def test_no_write_of_bindings_holds_anything_but_the_list(api: GcoreApi, effects: EmulatedEffects) -> None:
    write_list(api, LLAMA, ("first",))
    assert [json.loads(sent.content) for sent in effects.sent if sent.method == "PATCH"] == [{"api_keys": ["first"]}]


def test_a_write_is_done_when_its_task_is() -> None:
    with emulate(task_seconds=30) as emulator:
        events: list[ApiEvent] = []
        effects = EmulatedEffects(emulator)
        write_list(make_api(effects, events=events), LLAMA, ["first"])
        assert emulator.api_keys_of(PROJECT, "deployment", "llama3") == ("first",)
    assert effects.slept[:8] == [0.2, 0.3, 0.45, 0.675, 1.0125, 1.51875, 2.278125, 3.0]
    assert set(effects.slept[8:]) == {3.0}
    assert 30 <= effects.monotonic() <= 33
    polled = [event.kind for event in events if event.kind not in (EventKind.REQUEST, EventKind.ANSWER)]
    assert polled == [EventKind.TASK_STARTED, *[EventKind.TASK_POLLING] * len(effects.slept), EventKind.TASK_FINISHED]


def test_a_task_that_fails_says_why() -> None:
    with emulate(Modes(unknown_key="task_error")) as emulator, pytest.raises(TaskFailed) as caught:
        write_list(make_api(EmulatedEffects(emulator)), LLAMA, ["first", "nobody"])
    assert "which was to set the keys of deployment.llama3, failed" in caught.value.message
    assert "nobody" in caught.value.message
    assert not caught.value.effect_is_unknown


def test_2500_keys_are_read_in_three_pages_and_come_in_order(emulator: Emulator, effects: EmulatedEffects) -> None:
    names = sorted(f"key-{number}" for number in range(2500))
    seed(emulator, {"projects": {PROJECT: {"api_keys": [{"name": name} for name in names]}}})
    api = make_api(effects)
    assert [key.name for key in api.list_keys()] == ["first", *names, "second"]
    assert sorted(str(sent.url.query) for sent in effects.sent) == [
        "b'limit=1000&offset=0'",
        "b'limit=1000&offset=1000'",
        "b'limit=1000&offset=2000'",
    ]


@pytest.mark.parametrize("form", ["zulu", "naive", "offset", "offset_colon", "mixed"])
def test_instants_are_the_same_in_every_form(form: str) -> None:
    with emulate(Modes(timestamps=form)) as emulator:  # type: ignore[arg-type]
        key = make_api(EmulatedEffects(emulator)).get_key("first")
    assert key is not None
    assert key.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert key.created_at.tzinfo is UTC


@pytest.mark.parametrize("world", Modes.pairwise(), ids=lambda modes: "")
def test_every_world_lets_a_key_live_its_life(world: Modes) -> None:
    with emulate(world, task_seconds=2) as emulator:
        api = make_api(EmulatedEffects(emulator))
        api.check()
        api.create_key("payments", compose_description("", OWNED), START + timedelta(days=1))
        write_list(api, LLAMA, ["first", "payments"])
        api.update_key("payments", KeyUpdate("mine"))
        write_list(api, LLAMA, ["first"])
        assert api.delete_key("payments")
        emulator.clock.advance(world.lists_lag)  # type: ignore[attr-defined]
        assert [key.name for key in api.list_keys()] == ["first", "second"]
        assert len(api.read_live().endpoints) == 4


def test_a_wrong_token_is_told_as_such(effects: EmulatedEffects) -> None:
    with pytest.raises(NotAuthenticated, match="did not accept the token in GCORE_API_KEY"):
        make_api(effects, token="1234$wrong").check()


@pytest.mark.parametrize(("mode", "error"), [("forbidden", Forbidden), ("not_found", NotFound)])
def test_an_unknown_project_is_told_as_such(mode: str, error: type[Exception]) -> None:
    with emulate(Modes(foreign_project=mode)) as emulator, pytest.raises(error):  # type: ignore[arg-type]
        make_api(EmulatedEffects(emulator), project=99).list_keys()


def test_it_works_over_http_too(emulator: Emulator) -> None:
    effects = System()
    with EmulatorServer(emulator) as server:
        api = make_api(effects, base_url=server.base_url + "/")
        created = api.create_key("payments", "x", None)
        write_list(api, WEBUI, ["first", "payments"])
        assert emulator.accepts(PROJECT, "application", "webui", created.secret.reveal())
        assert [key.name for key in api.list_keys()] == ["first", "payments", "second"]
        effects.close()
