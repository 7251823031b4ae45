"""The emulator's state: it survives a restart, can be copied, and is the same for the same seed."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.emulator import (
    Answer,
    ConnectionLost,
    Emulator,
    Kind,
    Modes,
    Request,
    StoreError,
    VirtualClock,
    seed,
)

KEYS = "/cloud/v3/inference/1234/api_keys"


def _make_key(emulator: Emulator, name: str) -> Answer:
    return emulator.respond(Request.build("POST", KEYS, token="t", json_body={"name": name}))


def test_what_is_in_a_file_survives_a_restart_with_a_task_under_way(tmp_path: Path) -> None:
    file, clock = tmp_path / "emulator.db", VirtualClock()
    with Emulator(file, clock=clock, tokens={"t": [1234]}, task_seconds=10) as emulator:
        seed(emulator, {"projects": {1234: {"deployments": [{"name": "llama3"}]}}})
        secret = _make_key(emulator, "payments").json()["secret"]
        url = "/cloud/v3/inference/1234/deployments/llama3"
        emulator.respond(Request.build("PATCH", url, token="t", json_body={"api_keys": ["payments"]}))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600  # it holds the secrets
    with Emulator(str(file), clock=clock) as emulator:
        assert _make_key(emulator, "payments").status == 409
        assert emulator.accepts(1234, "deployment", "llama3", None)
        clock.advance(10)
        assert emulator.accepts(1234, "deployment", "llama3", secret)
        assert not emulator.accepts(1234, "deployment", "llama3", None)


def test_what_another_process_has_begun_in_a_file_goes_on_for_all(tmp_path: Path) -> None:
    file, clock = tmp_path / "emulator.db", VirtualClock()
    with (
        Emulator(file, clock=clock, tokens={"t": [1234]}, task_seconds=10) as emulator,
        Emulator(file, clock=clock) as other,
    ):
        seed(emulator, {"projects": {1234: {"deployments": [{"name": "llama3"}]}}})
        _make_key(emulator, "payments")
        assert other.api_keys_of(1234, "deployment", "llama3") == ()
        url = "/cloud/v3/inference/1234/deployments/llama3"
        emulator.respond(Request.build("PATCH", url, token="t", json_body={"api_keys": ["payments"]}))
        clock.advance(10)
        assert other.api_keys_of(1234, "deployment", "llama3") == ("payments",)
        assert emulator.api_keys_of(1234, "deployment", "llama3") == ("payments",)


def test_a_file_of_something_else_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    text, foreign = tmp_path / "notes.txt", tmp_path / "foreign.db"
    text.write_text("not a database, " * 100)
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    for file in (text, foreign, tmp_path / "no-such-folder" / "emulator.db"):
        before = file.read_bytes() if file.exists() else None
        with pytest.raises(StoreError, match=str(file)):
            Emulator(file)
        assert (file.read_bytes() if file.exists() else None) == before


def test_a_fork_goes_its_own_way_on_its_own_clock(make_api) -> None:
    api = make_api(task_seconds=10)
    api.key("payments")
    task = api.attach("llama3", "payments")
    with api.emulator.fork() as fork:
        fork.clock.advance(10)
        assert not fork.accepts(1234, "deployment", "llama3", None)
        assert api.emulator.accepts(1234, "deployment", "llama3", None)
        assert api.task(task)["state"] == "NEW"
        assert fork.base_url == api.emulator.base_url


def test_a_fork_can_live_in_another_world(api) -> None:
    with api.emulator.fork(modes=Modes(no_keys_shown_as="null")) as fork:
        assert fork.modes.no_keys_shown_as == "null"
        request = Request.build("GET", "/cloud/v3/inference/1234/deployments/llama3", token=api.token)
        assert fork.respond(request).json()["api_keys"] is None


def test_a_dump_loads_into_the_same_state_and_goes_on_as_the_original(api) -> None:
    api.key("payments")
    image = api.emulator.dump()
    with Emulator.load(image, clock=api.clock.copy(), base_url=api.emulator.base_url, seed=1) as loaded:
        assert loaded.dump() == image
        body = {"name": "next-key"}
        request = Request.build("POST", KEYS, token=api.token, json_body=body)
        assert loaded.respond(request).body == api.emulator.respond(request).body


def test_a_dump_of_a_file_loads_into_memory(tmp_path: Path) -> None:
    with Emulator(tmp_path / "emulator.db", tokens={"t": [1234]}) as emulator:
        _make_key(emulator, "payments")
        with Emulator.load(emulator.dump()) as loaded:
            assert list(loaded.live_keys(1234)) == ["payments"]
            assert _make_key(loaded, "other").status == 200
        assert list(emulator.live_keys(1234)) == ["payments"]


def test_the_same_seed_gives_the_same_ids_and_secrets_and_none_gives_new_ones() -> None:
    def secrets_of(number: int | None) -> list[str]:
        with Emulator(tokens={"t": [1234]}, seed=number) as emulator:
            return [_make_key(emulator, name).json()["secret"] for name in ("key-a", "key-b")]

    assert secrets_of(7) == secrets_of(7) != secrets_of(8)
    assert len({*secrets_of(7), *secrets_of(None), *secrets_of(None)}) == 6


def test_a_refused_request_changes_nothing(api) -> None:
    before = api.emulator.dump()
    assert api.call("POST", "api_keys", {"name": "A"}).status == 400
    assert api.call("PATCH", "deployments/llama3", {"api_keys": ["nobody"]}).status == 400
    assert api.call("GET", "api_keys/nobody").status == 404
    assert api.emulator.dump() == before


def test_many_threads_at_once_lose_nothing() -> None:
    with Emulator(tokens={"t": [1234]}) as emulator:
        outcomes: list[int] = []

        def work() -> None:
            outcomes.extend(_make_key(emulator, f"key-{number}").status for number in range(50))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == [200] * 50 + [409] * 350
        assert len(emulator.live_keys(1234)) == 50


def test_a_listener_sees_every_request_with_its_true_answer(api) -> None:
    seen: list[tuple[str, int]] = []
    api.emulator.listeners.append(lambda request, answer: seen.append((request.method, answer.status)))

    def lose(request: Request, proceed) -> Answer:
        proceed(request)
        raise ConnectionLost

    api.call("GET", "api_keys")
    api.emulator.interceptor = lose
    with pytest.raises(ConnectionLost):
        api.call("POST", "api_keys", {"name": "payments"})
    assert seen == [("GET", 200), ("POST", 200)]
    assert list(api.emulator.live_keys(1234)) == ["payments"]


def test_an_interceptor_may_answer_instead_repeat_or_change_a_request(api) -> None:
    api.emulator.interceptor = lambda request, proceed: Answer(503)
    assert api.call("POST", "api_keys", {"name": "payments"}).status == 503
    assert api.emulator.live_keys(1234) == {}
    api.emulator.interceptor = lambda request, proceed: (proceed(request), proceed(request))[1]
    assert api.call("POST", "api_keys", {"name": "payments"}).status == 409


def test_a_listener_may_look_at_the_state(api) -> None:
    counts: list[int] = []
    api.emulator.listeners.append(lambda *_: counts.append(len(api.emulator.live_keys(1234))))
    api.key("key-a")
    api.key("key-b")
    assert counts == [1, 2]


def test_live_keys_hold_their_secrets_but_do_not_print_them(api) -> None:
    secret = api.key("payments", description="Checkout")
    key = api.emulator.live_keys(1234)["payments"]
    assert (key.secret, key.description, key.expires_at) == (secret, "Checkout", None)
    assert secret not in repr(key)


def test_importing_the_emulator_loads_no_server_and_no_checker() -> None:
    heavy = "starlette uvicorn jsonschema yaml httpx"
    script = f"import sys, reconciler.emulator; print([n for n in '{heavy}'.split() if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_virtual_clock_only_moves_forward_and_starts_in_a_zone() -> None:
    from datetime import datetime

    with pytest.raises(ValueError, match="only moves forward"):
        VirtualClock().advance(-1)
    with pytest.raises(ValueError, match="aware"):
        VirtualClock(datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake in question


NAMES = st.sampled_from(["key-a", "key-b", "key-c"])
STEPS = st.one_of(
    st.tuples(st.just("create"), NAMES),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("attach"), st.lists(NAMES, max_size=3, unique=True)),
    st.tuples(st.just("app"), st.lists(NAMES, max_size=3, unique=True)),
    st.tuples(st.just("wait"), st.integers(1, 90)),
)


def _look(emulator: Emulator, *, at_gates: bool) -> object:
    """Everything that a look past the API shows; what depends on the time itself only on request."""
    kinds: tuple[Kind, ...] = ("deployment", "application")
    found = [(kind, name) for kind in kinds for name in emulator.names(1234, kind)]
    live = emulator.live_keys(1234)
    secrets = [None, *(key.secret for key in live.values())] if at_gates else []
    gates = [emulator.accepts(1234, *one, secret) for one in found for secret in secrets]
    return live, [(*one, emulator.api_keys_of(1234, *one)) for one in found], gates


def test_every_change_that_a_look_could_see_moves_the_count_of_changes(make_api) -> None:
    api = make_api(task_seconds=10, expired_key="detached")
    api.key("expiring", expires_at="2026-01-01T00:01:00Z")
    component = {"flavor": "f", "exposed": True, "scale": {"min": 1, "max": 1}}
    container = {"region_id": 1, "scale": {"min": 1, "max": 1}}
    whole = {"image": "demo/flux", "listening_port": 80, "flavor_name": "f", "containers": [container]}
    app = {"application_name": "webui", "regions": [1], "components_configuration": {"web": component}}

    def edit() -> None:
        with api.emulator.editing() as store:
            store.run("UPDATE keys SET description = 'edited in the store'")

    steps: list[Callable[[], object]] = [
        lambda: api.key("payments"),
        lambda: api.ok("PATCH", "api_keys/payments", {"description": "Checkout"}),
        lambda: api.attach("llama3", "payments", "expiring"),
        lambda: api.attach("llama3", "expiring", "payments"),
        lambda: api.app("PATCH", "/webui", {"api_keys": ["payments"]}),
        lambda: api.clock.advance(60),
        lambda: api.attach("llama3"),
        lambda: api.ok("PATCH", "deployments/llama3", {"auth_enabled": True}),
        lambda: api.ok("POST", "deployments", {"name": "flux", **whole, "api_keys": ["payments"]}),
        lambda: api.app("POST", "", {"name": "second", **app, "api_keys": ["payments"]}),
        lambda: api.ok("DELETE", "deployments/flux"),
        lambda: api.app("DELETE", "/second"),
        lambda: api.app("PATCH", "/webui", {"api_keys": []}),
        lambda: api.ok("DELETE", "api_keys/payments"),
        lambda: seed(api.emulator, {"projects": {1234: {"deployments": [{"name": "seeded"}]}}}),
        edit,
    ]
    for step in steps:
        seen, changes = _look(api.emulator, at_gates=True), api.emulator.changes
        step()
        api.clock.advance(10)
        assert _look(api.emulator, at_gates=True) != seen
        assert api.emulator.changes > changes


def test_what_no_look_can_see_does_not_move_the_count_of_changes(make_api) -> None:
    api = make_api(task_seconds=10)
    api.key("payments")
    changes = api.emulator.changes
    api.ok("GET", "api_keys")
    api.refused(404, "GET", "api_keys/nobody")
    task = api.attach("llama3", "payments")
    assert api.task(task)["state"] == "NEW"
    api.emulator.hold_task(task)
    api.clock.advance(10)
    assert api.task(task)["state"] == "RUNNING"
    assert api.emulator.changes == changes
    api.emulator.release_task(task)
    assert api.emulator.changes > changes


def test_a_copy_goes_on_counting_changes_where_it_left_the_original(api) -> None:
    api.key("payments")
    with api.emulator.fork() as fork:
        assert fork.changes == api.emulator.changes
        fork.respond(Request.build("DELETE", f"{KEYS}/payments", token=api.token))
        assert fork.changes > api.emulator.changes


@settings(max_examples=60, deadline=None)
@given(world=st.sampled_from(Modes.pairwise()), steps=st.lists(STEPS, max_size=12))
def test_in_every_world_no_answer_is_a_server_error_both_sides_of_a_binding_agree_and_all_changes_count(
    world, steps
) -> None:
    clock = VirtualClock()
    with Emulator(clock=clock, modes=world, tokens={"t": [1234]}, task_seconds=10, seed=1) as emulator:
        content = {"deployments": [{"name": "llama3"}], "applications": [{"name": "webui"}]}
        seed(emulator, {"projects": {1234: content}})

        def call(method: str, url: str, body: object = None) -> Answer:
            answer = emulator.respond(Request.build(method, f"/cloud/v3/inference/{url}", token="t", json_body=body))
            assert answer.status < 500
            return answer

        for step, value in steps:
            at_gates = step != "wait"
            seen, changes = _look(emulator, at_gates=at_gates), emulator.changes
            match step:
                case "create":
                    expires_at = (clock.now().replace(microsecond=0)).isoformat()[:10] + "T23:59:59Z"
                    call("POST", "1234/api_keys", {"name": value, "expires_at": expires_at})
                case "delete":
                    call("DELETE", f"1234/api_keys/{value}")
                case "attach":
                    call("PATCH", "1234/deployments/llama3", {"api_keys": value})
                case "app":
                    call("PATCH", "applications/1234/deployments/webui", {"api_keys": value})
                case "wait":
                    clock.advance(value * 1000)
            assert emulator.changes > changes or _look(emulator, at_gates=at_gates) == seen
            keys = call("GET", "1234/api_keys").json()["results"]
            shown = call("GET", "1234/deployments").json()["results"]
            if world.data_plane_lag == 0:
                for item in shown:
                    assert emulator.accepts(1234, "deployment", item["name"], None) != item["auth_enabled"]
            for key in keys:
                users = {item["name"] for item in shown if key["name"] in (item["api_keys"] or [])}
                if world.deployment_names == "with_children":
                    assert set(key["deployment_names"]) == users
                else:
                    assert set(key["deployment_names"]) == users - {"webui-web"}
