"""Modes of the life of a key: what lags, what is left of a deleted one, how many there may be, how times look."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from reconciler.emulator import Modes, SeedError, check_seed, seed
from reconciler.gcore.wire import read_instant

APPLICATION = {
    "name": "Chat.UI v2",
    "application_name": "open-webui",
    "regions": [1],
    "components_configuration": {"web": {"flavor": "f", "exposed": True, "scale": {"min": 0, "max": 1}}},
}


@pytest.mark.parametrize("lag", [0, 5, 60])
def test_the_data_plane_follows_a_list_and_a_deletion_after_its_lag(make_api, lag: int) -> None:
    api = make_api(data_plane_lag=lag)
    old, new = api.key("payments"), api.key("payments-g2")
    api.attach("llama3", "payments")
    api.clock.advance(lag)
    api.attach("llama3", "payments-g2")
    api.ok("DELETE", "api_keys/payments")
    assert api.deployment("llama3")["api_keys"] == ["payments-g2"]
    assert [api.opens("llama3", secret) for secret in (old, new, None)] == [bool(lag), not lag, False]
    api.clock.advance(lag)
    assert [api.opens("llama3", secret) for secret in (old, new, None)] == [False, True, False]


def test_a_key_that_is_deleted_while_it_is_attached_opens_until_the_lag_is_over(make_api) -> None:
    api = make_api(data_plane_lag=5, last_key_unlinked="auth_stays_on")
    key_id, secret = api.v2_key("payments", inference_instance_ids=[api.instance_id("llama3")])
    api.clock.advance(5)
    api.v2("DELETE", f"api_keys/{key_id}")
    assert (api.opens("llama3", secret), api.v2("GET", "api_keys")["results"]) == (True, [])
    api.clock.advance(5)
    assert not api.opens("llama3", secret)


@pytest.mark.parametrize("generation", ["v3", "v2"])
def test_a_list_shows_the_state_of_a_moment_ago_and_a_single_object_the_present_one(make_api, generation: str) -> None:
    api = make_api(lists_lag=3)
    path = "api_keys" if generation == "v3" else "/cloud/v2/inference/api_keys"

    def listed() -> list[str]:
        return [key["name"] for key in api.ok("GET", path)["results"]]

    made = api.ok("POST", path, {"name": "payments"})
    one = f"{path}/{made.get('key_id', made['name'])}"
    assert (listed(), api.ok("GET", one)["name"]) == ([], "payments")
    api.clock.advance(2)
    api.ok("POST", path, {"name": "batch-jobs"})
    assert listed() == []
    api.clock.advance(1)
    assert listed() == ["payments"]
    api.ok("DELETE", one)
    api.clock.advance(2)
    assert listed() == ["payments", "batch-jobs"]
    api.clock.advance(1)
    assert listed() == ["batch-jobs"]


def test_lists_of_endpoints_lag_and_the_data_plane_does_not(make_api) -> None:
    api = make_api(lists_lag=3)
    secret = api.key("payments")
    api.attach("llama3", "payments")
    assert (api.deployment("llama3")["api_keys"], api.opens("llama3", secret)) == (["payments"], True)
    assert api.ok("GET", "deployments")["results"][0]["api_keys"] == []
    copy = api.emulator.fork()
    copy.clock.advance(3)
    api.clock.advance(3)
    assert api.ok("GET", "deployments")["results"][0]["api_keys"] == ["payments"]
    assert type(api)(copy, copy.clock).ok("GET", "deployments")["results"][0]["api_keys"] == ["payments"]


def test_a_list_shows_the_effect_of_a_task_a_moment_after_it_was_had(make_api) -> None:
    api = make_api(lists_lag=3, task_seconds=2)
    api.key("payments")
    api.attach("llama3", "payments")
    seen = []
    for _ in range(6):
        listed, alone = api.ok("GET", "deployments")["results"][0], api.deployment("llama3")
        seen.append((listed["api_keys"], alone["api_keys"]))
        api.clock.advance(1)
    assert seen == [([], []), ([], []), *[([], ["payments"])] * 3, (["payments"], ["payments"])]


@pytest.mark.parametrize("generation", ["v3", "v2"])
@pytest.mark.parametrize(
    ("mode", "at_once", "later"), [("free", 200, 200), ("reserved_for_an_hour", 409, 200), ("reserved", 409, 409)]
)
def test_the_name_of_a_deleted_key_is_free_or_reserved(
    make_api, generation: str, mode: str, at_once: int, later: int
) -> None:
    statuses = []
    for seconds in (0, 3600):
        api = make_api(deleted_name=mode)
        path = "api_keys" if generation == "v3" else "/cloud/v2/inference/api_keys"
        made = api.ok("POST", path, {"name": "payments"})
        api.ok("DELETE", f"{path}/{made.get('key_id', made['name'])}")
        api.clock.advance(seconds)
        statuses.append(api.call("POST", path, {"name": "payments"}).status)
        assert api.ok("POST", path, {"name": "payments-g2"})["name"] == "payments-g2"
    assert statuses == [at_once, later]


@pytest.mark.parametrize("status", [403, 409, 429, 400])
@pytest.mark.parametrize("path", ["api_keys", "/cloud/v2/inference/api_keys"])
@pytest.mark.parametrize(
    ("info", "shown"),
    [
        ("counts", {"quota": "inference_api_key_count_limit", "limit": 3, "usage": 3}),
        ("nested", {"inference_api_key_count_limit": {"limit": 3, "usage": 3}}),
        ("text", "inference_api_key_count_limit: 3 of 3 used"),
        ("missing", None),
    ],
)
def test_one_key_more_than_the_quota_is_refused(make_api, status: int, path: str, info: str, shown: object) -> None:
    api = make_api(key_quota=3, quota_status=status, quota_info=info)
    for name in ("first", "second", "third"):
        api.ok("POST", path, {"name": name})
    error = api.refused(status, "POST", path, {"name": "fourth"})
    assert (error["exception_class"], error.get("info")) == ("QuotaLimitExceed", shown)
    assert [*api.emulator.live_keys(api.project)] == ["first", "second", "third"]
    api.ok("DELETE", "api_keys/first")
    api.ok("POST", path, {"name": "fourth"})


def test_each_call_writes_its_timestamps_in_another_form_and_means_the_same_instant(make_api) -> None:
    api = make_api(timestamps="per_call")
    api.clock.advance(0.25)
    api.key("payments", expires_at="2026-02-01T00:00:00Z")
    shown = [api.ok("GET", "api_keys/payments") for _ in range(6)]
    assert [key["created_at"] for key in shown] == [
        "2026-01-01T00:00:00+0000",
        "2026-01-01T00:00:00.250Z",
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T02:00:00.250000+02:00",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.250000",
    ]
    expiry = datetime.fromisoformat("2026-02-01T00:00:00Z")
    assert {read_instant(key["expires_at"]) for key in shown} == {expiry}
    made = {read_instant(key["created_at"]).replace(microsecond=0) for key in shown}
    assert made == {expiry - timedelta(days=31)}


def test_an_applications_name_is_a_label_or_any_text(make_api) -> None:
    strict, free = make_api(), make_api(application_name="free")
    assert strict.app("POST", "", APPLICATION).status == 400
    assert free.app("POST", "", APPLICATION).status == 200
    assert [app["name"] for app in free.app("GET").json()["results"]] == ["webui", "Chat.UI v2"]
    assert free.app("GET", "/Chat.UI%20v2").json()["name"] == "Chat.UI v2"
    assert free.deployment("chat-ui-v2-web")["object_references"] == [{"kind": "AppDeployment", "name": "Chat.UI v2"}]
    free.key("payments")
    assert free.app("PATCH", "/Chat.UI%20v2", {"api_keys": ["payments"]}).status == 200
    assert free.deployment("chat-ui-v2-web")["api_keys"] == ["payments"]
    for name in ("a/b", "", "line\nbreak", "x" * 201):
        assert free.app("POST", "", APPLICATION | {"name": name}).status == 400


def test_a_seed_names_applications_as_the_mode_has_them(make_api) -> None:
    content = {"projects": {1234: {"applications": [{"name": "Chat.UI version 2"}]}}}
    with pytest.raises(SeedError) as caught:
        check_seed(content)
    assert caught.value.problems == [
        "projects.1234.applications[0].name: small letters, digits and inner hyphens only",
        "projects.1234.applications[0].name: at most 15 characters",
    ]
    assert check_seed(content, Modes(application_name="free"))
    api = make_api(application_name="free")
    seed(api.emulator, content)
    assert api.emulator.names(api.project, "application") == ("webui", "Chat.UI version 2")
