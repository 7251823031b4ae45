"""Deployments of the older generation: written at once, and by PUT as a whole."""

from __future__ import annotations

import pytest

from reconciler.emulator import seed

NOWHERE = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
FLAVOR = "9a1c0f7e-6f0d-4a61-8a5e-0d1f5b0c7d11"
SCALE = {"min": 0, "max": 3}
BODY = {
    "name": "mistral",
    "image": "vllm/vllm-openai:v0.6",
    "listening_port": 8000,
    "flavor_id": FLAVOR,
    "containers": [{"region_id": 7, "scale": SCALE}],
}


def test_a_created_deployment_is_active_at_once_and_shows_every_documented_field(api) -> None:
    key_id, secret = api.v2_key("payments")
    made = api.v2("POST", "deployments", BODY | {"api_key_ids": [key_id], "auth_enabled": True})
    assert made == {
        "id": made["id"],
        "name": "mistral",
        "description": None,
        "image": "vllm/vllm-openai:v0.6",
        "image_registry_id": None,
        "listening_port": 8000,
        "created_at": "2026-01-01T00:00:00Z",
        "status": "ACTIVE",
        "auth_enabled": True,
        "api_key_ids": [key_id],
        "address": "http://emulator.test/dataplane/1234/deployments/mistral",
        "containers": [
            {
                "region_id": 7,
                "scale": {
                    "min": 0,
                    "max": 3,
                    "cooldown_period": 60,
                    "triggers": {
                        "cpu": {"threshold": 80},
                        "memory": {"threshold": 80},
                        "gpu_utilization": None,
                        "gpu_memory": None,
                        "http": None,
                    },
                },
                "deploy_status": {"total": 1, "ready": 1},
                "error_message": None,
            }
        ],
        "timeout": 120,
        "envs": {},
        "flavor_id": FLAVOR,
        "command": None,
        "probes": None,
    }
    assert api.door("mistral", secret) == (401, 200)
    assert api.v2("GET", f"deployments/{made['id']}") == made
    assert made in api.v2("GET", "deployments")["results"]


def test_every_field_of_a_deployment_comes_back_as_it_was_set(api) -> None:
    probe = {"enabled": True, "probe": {"http_get": {"port": 80}, "period_seconds": 5}}
    triggers = {"http": {"rate": 1, "window": 60}, "cpu": None}
    body = BODY | {
        "description": "Mistral",
        "command": ["serve", "it"],
        "envs": {"A": "1"},
        "image_registry_id": NOWHERE,
        "probes": {"liveness_probe": probe},
        "timeout": None,
        "containers": [{"region_id": 7, "scale": SCALE | {"cooldown_period": 5, "triggers": triggers}}],
    }
    shown = api.v2("POST", "deployments", body)
    for field in ("description", "command", "envs", "image_registry_id", "timeout"):
        assert shown[field] == body[field]
    assert shown["probes"]["liveness_probe"]["probe"]["http_get"]["path"] == "/"
    scale = shown["containers"][0]["scale"]
    assert (scale["cooldown_period"], scale["triggers"]["http"], scale["triggers"]["cpu"]) == (
        5,
        {"rate": 1, "window": 60},
        None,
    )
    whole = api.deployment("mistral")
    assert (whole["command"], whole["description"], whole["flavor_name"]) == ("serve it", "Mistral", FLAVOR)


def test_null_triggers_are_the_default_ones_in_either_generation(api) -> None:
    body = BODY | {"containers": [{"region_id": 7, "scale": SCALE | {"triggers": None}}]}
    shown = api.v2("POST", "deployments", body)
    assert shown["containers"][0]["scale"]["triggers"]["cpu"] == {"threshold": 80}
    assert api.deployment("mistral")["containers"][0]["scale"]["triggers"]["cpu"] == {"threshold": 80}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "abc"}, "name"),
        ({"name": "a" * 31}, "name"),
        ({"name": "a.bcd"}, "name"),
        ({"image": "No Such:Image"}, "image"),
        ({"listening_port": 0}, "listening_port"),
        ({"containers": []}, "containers"),
        ({"containers": [{"region_id": 1, "scale": SCALE | {"up": 1}}]}, "containers.0.scale.up"),
        ({"flavor_id": "small"}, "flavor_id"),
        ({"flavor_name": "small"}, "flavor_name"),
        ({"image_registry_id": "hub"}, "image_registry_id"),
        ({"api_key_ids": ["payments"]}, "api_key_ids.0"),
        ({"api_key_ids": [NOWHERE]}, "api_key_ids"),
        ({"api_key_ids": None}, "api_key_ids"),
        ({"auth_enabled": None}, "auth_enabled"),
        ({"api_keys": []}, "api_keys"),
        ({"project_id": "mine"}, "project_id"),
    ],
)
def test_a_wrong_field_is_named_by_its_path_in_post_and_in_put(api, change, field: str) -> None:
    assert list(api.v2_refused(400, "POST", "deployments", BODY | change)["invalid_fields"]) == [field]
    path = f"deployments/{api.instance_id('llama3')}"
    before = api.v2("GET", path)
    assert list(api.v2_refused(400, "PUT", path, BODY | change)["invalid_fields"]) == [field]
    assert api.v2("GET", path) == before
    assert api.call("GET", "deployments/mistral").status == 404


def test_a_second_deployment_of_the_same_name_is_a_conflict(api) -> None:
    error = api.v2_refused(409, "POST", "deployments", BODY | {"name": "llama3"})
    assert error["message"] == "Inference instance llama3 already exists"
    assert (
        api.v2_refused(409, "POST", "deployments", BODY | {"name": "webui-web"})["exception_class"] == "ConflictError"
    )
    api.v2_refused(409, "PUT", f"deployments/{api.instance_id('whisper')}", BODY | {"name": "llama3"})


def test_a_put_without_keys_takes_them_off_and_opens_the_door(api) -> None:
    key_id, secret = api.v2_key("payments")
    path = f"deployments/{api.instance_id('llama3')}"
    keep = BODY | {"name": "llama3"}
    api.v2("PUT", path, keep | {"api_key_ids": [key_id], "auth_enabled": True})
    assert api.door("llama3", secret) == (401, 200)
    assert api.v2("GET", f"api_keys/{key_id}")["inference_instance_ids"] == [api.instance_id("llama3")]
    shown = api.v2("PUT", path, keep)
    assert (shown["api_key_ids"], shown["auth_enabled"]) == ([], False)
    assert api.door("llama3", secret) == (200, 200)
    assert api.v2("GET", f"api_keys/{key_id}")["inference_instance_ids"] == []


def test_keys_and_authentication_are_two_things_where_a_deployment_is_written(api) -> None:
    key_id, secret = api.v2_key("payments")
    made = api.v2("POST", "deployments", BODY | {"api_key_ids": [key_id]})
    assert (made["api_key_ids"], made["auth_enabled"], api.door("mistral", secret)) == ([key_id], False, (200, 200))
    shown = api.deployment("mistral")
    assert (shown["api_keys"], shown["auth_enabled"]) == (["payments"], False)
    path = f"deployments/{made['id']}"
    api.v2("PUT", path, BODY | {"auth_enabled": True})
    assert api.door("mistral", secret) == (401, 401)
    api.v2("PUT", path, BODY | {"auth_enabled": True, "api_key_ids": [key_id]})
    assert api.door("mistral", secret) == (401, 200)


def test_a_put_replaces_every_field_of_v2_and_leaves_what_only_v3_has(api) -> None:
    api.ok("PATCH", "deployments/llama3", {"credentials_name": "hub", "envs": {"A": "1"}, "description": "Llama"})
    path = f"deployments/{api.instance_id('llama3')}"
    before = api.v2("GET", path)
    shown = api.v2("PUT", path, BODY | {"timeout": 5})
    assert shown["id"] == before["id"]
    assert (shown["name"], shown["image"], shown["timeout"]) == ("mistral", "vllm/vllm-openai:v0.6", 5)
    assert (shown["envs"], shown["description"]) == ({}, None)
    assert api.deployment("mistral")["credentials_name"] == "hub"
    assert api.call("GET", "deployments/llama3").status == 404
    assert api.v2("PUT", path, BODY)["timeout"] == 120


def test_a_put_of_what_was_read_changes_nothing_in_either_generation(api) -> None:
    key_id, _ = api.v2_key("payments")
    api.link(key_id, "llama3")
    before = api.deployment("llama3")
    shown = api.v2("GET", f"deployments/{api.instance_id('llama3')}")
    read_only = {"id", "status", "created_at", "address"}
    body = {name: value for name, value in shown.items() if name not in read_only}
    body["containers"] = [{"region_id": each["region_id"], "scale": each["scale"]} for each in shown["containers"]]
    assert api.v2("PUT", f"deployments/{shown['id']}", body) == shown
    assert api.deployment("llama3") == before


def test_a_flavor_has_one_id_for_its_name_and_an_id_is_a_name_too(api) -> None:
    shown = api.v2("GET", "deployments")["results"]
    assert len({item["flavor_id"] for item in shown}) == 1
    assert len(shown[0]["flavor_id"]) == 36
    api.ok("PATCH", "deployments/llama3", {"flavor_name": "small"})
    other = api.v2("GET", f"deployments/{api.instance_id('llama3')}")["flavor_id"]
    assert other != shown[0]["flavor_id"]
    made = api.v2("POST", "deployments", BODY)
    api.ok("PATCH", "deployments/mistral", {"flavor_name": "small"})
    assert api.v2("GET", f"deployments/{made['id']}")["flavor_id"] == other


def test_an_expired_key_in_a_body_is_taken_or_refused(make_api) -> None:
    for mode, status in (("accepted", 200), ("rejected", 400)):
        api = make_api(attach_expired=mode)
        key_id, _ = api.v2_key("payments", expires_at="2026-01-01T00:00:01Z")
        api.clock.advance(1)
        body = BODY | {"api_key_ids": [key_id]}
        assert api.call("POST", "/cloud/v2/inference/deployments", body).status == status


def test_keys_are_shown_as_sent_or_sorted(make_api) -> None:
    for mode in ("as_sent", "sorted"):
        api = make_api(api_keys_order=mode)
        ids = sorted((api.v2_key(f"key-{n}")[0] for n in range(3)), reverse=True)
        shown = api.v2("POST", "deployments", BODY | {"api_key_ids": [ids[0], *ids]})["api_key_ids"]
        assert shown == (ids if mode == "as_sent" else sorted(ids))


def test_the_data_plane_follows_a_put_with_its_lag(make_api) -> None:
    api = make_api(data_plane_lag=5)
    key_id, secret = api.v2_key("payments")
    path = f"deployments/{api.instance_id('llama3')}"
    keep = BODY | {"name": "llama3"}
    api.v2("PUT", path, keep | {"api_key_ids": [key_id], "auth_enabled": True})
    assert api.door("llama3", secret) == (200, 200)
    api.clock.advance(5)
    assert api.door("llama3", secret) == (401, 200)
    api.v2("PUT", path, keep)
    assert api.door("llama3", secret) == (401, 200)
    api.clock.advance(5)
    assert api.door("llama3", secret) == (200, 200)


def test_a_deleted_deployment_is_gone_in_both_generations_and_its_keys_live_on(api) -> None:
    key_id, secret = api.v2_key("payments")
    api.link(key_id, "llama3")
    path = f"deployments/{api.instance_id('llama3')}"
    answer = api.call("DELETE", f"/cloud/v2/inference/{path}")
    assert (answer.status, answer.body) == (204, b"")
    for method, body in (("GET", None), ("PUT", BODY), ("DELETE", None)):
        assert api.v2_refused(404, method, path, body)["exception_class"] == "NotFoundError"
    assert api.call("GET", "deployments/llama3").status == 404
    assert api.door("llama3", secret) == (404, 404)
    assert api.ok("GET", "api_keys/payments")["deployment_names"] == []


def test_what_v3_deletes_is_deleting_and_then_gone_here_too(make_api) -> None:
    api = make_api(task_seconds=10)
    path = f"deployments/{api.instance_id('llama3')}"
    api.ok("DELETE", "deployments/llama3")
    assert api.v2("GET", path)["status"] == "DELETING"
    assert api.v2_refused(409, "PUT", path, BODY)["exception_class"] == "ConflictError"
    assert api.v2_refused(409, "DELETE", path)["exception_class"] == "ConflictError"
    api.clock.advance(10)
    api.v2_refused(404, "GET", path)


def test_a_task_whose_deployment_v2_has_deleted_fails(make_api) -> None:
    for mode in ("gone", "listed"):
        api = make_api(task_seconds=10, deleted_deployment=mode)
        secret = api.key("payments")
        task = api.attach("llama3", "payments")
        api.v2("DELETE", f"deployments/{api.instance_id('llama3')}")
        api.clock.advance(10)
        assert (api.task(task)["state"], api.task(task)["error"]) == ("ERROR", "Inference deployment not found")
        assert api.call("GET", "deployments/llama3").status == 404
        assert api.door("llama3", secret) == (404, 404)


def test_a_deployment_that_v3_is_making_has_no_address_yet(make_api) -> None:
    api = make_api(task_seconds=10)
    whole = {"flavor_name": "small", **{name: value for name, value in BODY.items() if name != "flavor_id"}}
    api.ok("POST", "deployments", whole)
    path = f"deployments/{api.instance_id('mistral')}"
    assert (api.v2("GET", path)["status"], api.v2("GET", path)["address"]) == ("DEPLOYING", None)
    api.clock.advance(10)
    assert api.v2("GET", path)["status"] == "ACTIVE"


def test_applications_deployments_are_neither_listed_nor_found(api) -> None:
    assert [item["name"] for item in api.v2("GET", "deployments")["results"]] == ["llama3", "whisper"]
    with api.emulator.editing() as store:
        child = store.row("SELECT uuid FROM deployments WHERE name = 'webui-web'")["uuid"]
    for method, body in (("GET", None), ("PUT", BODY), ("DELETE", None)):
        api.v2_refused(404, method, f"deployments/{child}", body)


def test_projects_are_given_in_the_body_and_in_the_query(api) -> None:
    api.emulator.grant({api.token: [99]})
    made = api.v2("POST", "deployments", BODY | {"project_id": 1234})
    assert api.v2("GET", "deployments")["count"] == 0
    assert api.v2("GET", "deployments", project_id=1234)["count"] == 3
    path = f"deployments/{made['id']}"
    api.v2("PUT", path, BODY)
    assert api.v2("GET", "deployments", project_id=1234)["count"] == 3
    assert api.v2("PUT", path, BODY | {"project_id": 99})["address"].endswith("/dataplane/99/deployments/mistral")
    assert api.v2("GET", "deployments")["count"] == 1
    api.v2_refused(403, "POST", "deployments", BODY | {"name": "other", "project_id": 5678})
    api.token = "neighbour"
    api.v2_refused(404, "PUT", path, BODY)


def test_a_token_that_only_reads_may_write_nothing(api) -> None:
    path = f"deployments/{api.instance_id('llama3')}"
    api.emulator.grant({"reader": {"projects": [api.project], "role": "read"}})
    api.token = "reader"
    assert api.v2("GET", path)["name"] == "llama3"
    for method, where, body in (("POST", "deployments", BODY), ("PUT", path, {}), ("DELETE", path, None)):
        api.v2_refused(403, method, where, body)


def test_a_list_comes_in_pages_and_in_the_order_that_is_asked_for(make_api) -> None:
    for mode, names in (
        ("oldest_first", ["llama3", "whisper", "alba"]),
        ("newest_first", ["alba", "whisper", "llama3"]),
        ("by_name", ["alba", "llama3", "whisper"]),
    ):
        api = make_api(list_order=mode, deleted_deployment="listed")
        api.v2("DELETE", f"deployments/{api.instance_id('whisper')}")
        api.clock.advance(1)
        seed(api.emulator, {"projects": {1234: {"deployments": [{"name": "alba"}]}}})
        assert [item["name"] for item in api.v2("GET", "deployments")["results"]] == names
        assert [item["name"] for item in api.v2("GET", "deployments", offset=1, limit=1)["results"]] == names[1:2]
        by_name = api.v2("GET", "deployments", order_by="name.desc")["results"]
        assert [item["name"] for item in by_name] == ["whisper", "llama3", "alba"]


@pytest.mark.parametrize(
    ("status", "in_v3", "has_address"),
    [("NEW", "DEPLOYING", False), ("FAILED", "DISABLED", False), ("ERROR", "DISABLED", True)],
)
def test_statuses_that_only_v2_has_can_be_seeded(api, status: str, in_v3: str, has_address: bool) -> None:
    content = {"deployments": [{"name": "mistral", "id": NOWHERE, "status": status, "auth_enabled": True}]}
    seed(api.emulator, {"projects": {1234: content}})
    shown = api.v2("GET", f"deployments/{NOWHERE}")
    assert (shown["status"], shown["address"] is not None) == (status, has_address)
    assert shown["containers"][0]["deploy_status"]["ready"] == 0
    assert api.deployment("mistral")["status"] == in_v3
    api.ok("PATCH", "deployments/mistral", {"auth_enabled": False})
    assert api.door("mistral") == (503,)


def test_a_deployment_that_is_seeded_as_deleted_is_only_shown(api) -> None:
    content = {
        "api_keys": [{"name": "payments"}],
        "deployments": [
            {"name": "llama3", "id": NOWHERE, "status": "DELETED", "api_keys": ["payments"]},
        ],
    }
    for _ in range(2):
        seed(api.emulator, {"projects": {1234: content}})
    shown = api.v2("GET", f"deployments/{NOWHERE}")
    assert (shown["status"], shown["api_key_ids"], shown["address"]) == ("DELETED", [], None)
    assert [item["name"] for item in api.v2("GET", "deployments")["results"]] == ["llama3", "whisper", "llama3"]
    assert api.emulator.names(1234, "deployment") == ("llama3", "whisper", "webui-web")
    for method, body in (("PUT", BODY), ("DELETE", None)):
        api.v2_refused(404, method, f"deployments/{NOWHERE}", body)
    api.token = "neighbour"
    api.v2_refused(404, "GET", f"deployments/{NOWHERE}")
