"""Both generations over one store: whatever is written through either, they say the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.emulator import Answer, Emulator, Modes, Request, VirtualClock, seed

NAMES = st.sampled_from(["key-a", "key-b", "key-c"])
PLACES = st.sampled_from(["llama3", "whisper"])
LISTS = st.lists(NAMES, max_size=3, unique=True)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["create", "create in v2", "delete", "delete in v2"]), NAMES, st.none()),
    st.tuples(st.just("attach"), PLACES, LISTS),
    st.tuples(st.just("link"), NAMES, st.lists(PLACES, max_size=2)),
    st.tuples(st.just("patch"), NAMES, st.sampled_from(["description", "expires_at", "inference_instance_ids"])),
    st.tuples(st.just("put"), PLACES, LISTS),
    st.tuples(st.just("replace"), PLACES, st.none()),
    st.tuples(st.just("app"), st.none(), LISTS),
    st.tuples(st.just("wait"), st.integers(1, 90), st.none()),
)
BODY = {
    "image": "x",
    "listening_port": 1,
    "flavor_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "containers": [{"region_id": 1, "scale": {"min": 1, "max": 1}}],
}


def instant(text: str | None) -> datetime | None:
    """A timestamp in whole seconds; without a zone it is in UTC."""
    if text is None:
        return None
    read = datetime.fromisoformat(text).replace(microsecond=0)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


class Both:
    """One emulator, written and read through both generations."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def call(self, method: str, url: str, body: object = None) -> Answer:
        answer = self.emulator.respond(Request.build(method, f"/cloud/{url}", token="t", json_body=body))
        assert answer.status < 500
        return answer

    def results(self, url: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", url).json()["results"]
        return found

    def live_instances(self) -> list[dict[str, Any]]:
        return [each for each in self.results("v2/inference/deployments") if each["status"] != "DELETED"]

    def ids_of(self, places: list[str]) -> list[str]:
        return [each["id"] for each in self.live_instances() if each["name"] in places]

    def key_path(self, name: str) -> str:
        live = self.emulator.live_keys(1234).get(name)
        return f"v2/inference/api_keys/{live.key_id if live else 'nobody'}"

    def take(self, step: str, first: Any, second: Any, expires_at: str) -> None:
        """Carry out one of the steps."""
        call, whole_key = self.call, {"name": first, "expires_at": expires_at}
        match step:
            case "create":
                call("POST", "v3/inference/1234/api_keys", whole_key)
            case "create in v2":
                call("POST", "v2/inference/api_keys", whole_key)
            case "delete":
                call("DELETE", f"v3/inference/1234/api_keys/{first}")
            case "delete in v2":
                call("DELETE", self.key_path(first))
            case "attach":
                call("PATCH", f"v3/inference/1234/deployments/{first}", {"api_keys": second})
            case "link":
                call("PATCH", self.key_path(first), {"inference_instance_ids": self.ids_of(second)})
            case "patch":
                call("PATCH", self.key_path(first), {second: None})
            case "put":
                live = self.emulator.live_keys(1234)
                keys = [live[name].key_id for name in second if name in live]
                body = BODY | {"name": first, "api_key_ids": keys, "auth_enabled": bool(keys)}
                for each in self.ids_of([first]):
                    call("PUT", f"v2/inference/deployments/{each}", body)
            case "replace":
                for each in self.ids_of([first]):
                    call("DELETE", f"v2/inference/deployments/{each}")
                call("POST", "v2/inference/deployments", BODY | {"name": first})
            case "app":
                call("PATCH", "v3/inference/applications/1234/deployments/webui", {"api_keys": second})

    def check(self) -> None:
        """Both generations agree on every key and deployment, and both sides of a link on the link."""
        modes = self.emulator.modes
        newer, older = self.results("v3/inference/1234/api_keys"), self.results("v2/inference/api_keys")
        for field in ("name", "description"):
            assert [key[field] for key in newer] == [key[field] for key in older]
        for field in ("created_at", "expires_at"):  # each call may write an instant in another form
            assert [instant(key[field]) for key in newer] == [instant(key[field]) for key in older]
        names = {key["key_id"]: key["name"] for key in older}
        whole = {item["name"]: item for item in self.results("v3/inference/1234/deployments")}
        shown = self.live_instances()
        assert {each["name"] for each in shown} == whole.keys() - {"webui-web"}
        for each in shown:
            there = whole[each["name"]]
            assert sorted(names[key] for key in each["api_key_ids"]) == sorted(there["api_keys"] or [])
            assert each["auth_enabled"] == there["auth_enabled"]
            if modes.data_plane_lag == 0:
                assert self.emulator.accepts(1234, "deployment", each["name"], None) != each["auth_enabled"]
        alive = {each["id"] for each in shown}
        for key in older:
            linked = {each["id"] for each in shown if key["key_id"] in each["api_key_ids"]}
            ids = set(key["inference_instance_ids"])
            assert (ids if modes.deleted_instance == "unlinked" else ids & alive) == linked


@settings(max_examples=60, deadline=None)
@given(world=st.sampled_from(Modes.pairwise()), steps=st.lists(STEPS, max_size=14))
def test_in_every_world_both_generations_and_both_sides_of_a_link_agree(world, steps) -> None:
    clock = VirtualClock()
    with Emulator(clock=clock, modes=world, tokens={"t": [1234]}, task_seconds=10, seed=1) as emulator:
        content = {"deployments": [{"name": "llama3"}, {"name": "whisper"}], "applications": [{"name": "webui"}]}
        seed(emulator, {"projects": {1234: content}})
        both = Both(emulator)
        for step, first, second in steps:
            changes, live = emulator.changes, emulator.live_keys(1234)
            if step == "wait":
                clock.advance(first * 1000)
            both.take(step, first, second, clock.now().isoformat()[:10] + "T23:59:59Z")
            assert emulator.changes > changes or emulator.live_keys(1234) == live
            clock.advance(world.lists_lag)
            both.check()
