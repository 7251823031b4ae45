"""Deployments: tasks, the list of keys as a whole, and the door that opens when it is empty."""

from __future__ import annotations

import pytest

BODY = {
    "name": "mistral",
    "image": "vllm/vllm-openai:v0.6",
    "listening_port": 8000,
    "flavor_name": "inference-16vcpu-232gib-1xh100-80gb",
    "containers": [{"region_id": 7, "scale": {"min": 0, "max": 3}}],
}


def test_a_created_deployment_is_deploying_without_an_address_until_its_task_is_finished(make_api) -> None:
    api = make_api(task_seconds=10)
    api.key("payments")
    task = api.ok("POST", "deployments", BODY | {"api_keys": ["payments"]})["tasks"][0]
    begun = api.deployment("mistral")
    assert (begun["status"], begun["address"], begun["api_keys"]) == ("DEPLOYING", None, ["payments"])
    assert api.chat("mistral", X_API_Key=api.emulator.live_keys(1234)["payments"].secret).status == 503
    api.clock.advance(10)
    assert api.task(task)["created_resources"] == {"inference_instances": ["mistral"]}
    assert api.deployment("mistral") == {
        "project_id": 1234,
        "name": "mistral",
        "description": "",
        "image": "vllm/vllm-openai:v0.6",
        "listening_port": 8000,
        "created_at": "2026-01-01T00:00:00Z",
        "status": "ACTIVE",
        "auth_enabled": True,
        "api_keys": ["payments"],
        "address": "http://emulator.test/dataplane/1234/deployments/mistral",
        "containers": [
            {
                "region_id": 7,
                "address": "http://emulator.test/dataplane/1234/deployments/mistral",
                "scale": {
                    "min": 0,
                    "max": 3,
                    "cooldown_period": 60,
                    "polling_interval": 30,
                    "triggers": {
                        "cpu": {"threshold": 80},
                        "memory": {"threshold": 80},
                        "gpu_utilization": None,
                        "gpu_memory": None,
                        "http": None,
                        "sqs": None,
                    },
                },
                "deploy_status": {"total": 1, "ready": 1},
                "error_message": None,
            }
        ],
        "timeout": 120,
        "envs": {},
        "flavor_name": "inference-16vcpu-232gib-1xh100-80gb",
        "command": None,
        "credentials_name": "",
        "ingress_opts": None,
        "logging": None,
        "probes": None,
        "object_references": [],
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "abc"}, "name"),
        ({"name": "a" * 31}, "name"),
        ({"name": "a.bcd"}, "name"),
        ({"image": "No Such:Image"}, "image"),
        ({"listening_port": 0}, "listening_port"),
        ({"listening_port": "8000"}, "listening_port"),
        ({"containers": []}, "containers"),
        ({"containers": [{"region_id": 1, "scale": {"min": 0, "max": 301}}]}, "containers.0.scale.max"),
        ({"containers": [{"region_id": 1, "scale": {"min": 0}}]}, "containers.0.scale.max"),
        ({"containers": [{"region_id": 1, "scale": {"min": 0, "max": 1, "up": 1}}]}, "containers.0.scale.up"),
        (
            {"probes": {"liveness_probe": {"enabled": True, "probe": {"exec": {}}}}},
            "probes.liveness_probe.probe.exec.command",
        ),
        ({"flavour_name": "x"}, "flavour_name"),
        ({"api_keys": None}, "api_keys"),
        ({"status": "ACTIVE"}, "status"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(api, change, field: str) -> None:
    assert list(api.refused(400, "POST", "deployments", BODY | change)["invalid_fields"]) == [field]
    assert api.call("GET", "deployments/mistral").status == 404


def test_a_second_deployment_of_the_same_name_is_a_conflict(api) -> None:
    assert api.refused(409, "POST", "deployments", BODY | {"name": "llama3"})["exception_class"] == "ConflictError"


def test_auth_enabled_beside_api_keys_is_refused_in_create_and_in_patch(api) -> None:
    both = {"auth_enabled": True, "api_keys": []}
    for method, path, body in (("POST", "deployments", BODY | both), ("PATCH", "deployments/llama3", both)):
        error = api.refused(400, method, path, body)
        assert error["exception_class"] == "ValidationError"
        assert sorted(error["invalid_fields"]) == ["api_keys", "auth_enabled"]


def test_keys_close_the_door_and_an_empty_list_opens_it(api) -> None:
    secret = api.key("payments")
    assert api.opens("llama3", None)
    assert not api.deployment("llama3")["auth_enabled"]
    api.attach("llama3", "payments")
    assert api.deployment("llama3")["auth_enabled"]
    assert (api.opens("llama3", None), api.opens("llama3", secret)) == (False, True)
    api.attach("llama3")
    shown = api.deployment("llama3")
    assert (shown["auth_enabled"], shown["api_keys"]) == (False, [])
    assert api.opens("llama3", None)


def test_api_keys_are_written_as_a_whole_in_the_order_given_each_once(api) -> None:
    for name in ("key-a", "key-b", "key-c"):
        api.key(name)
    api.attach("llama3", "key-c", "key-a", "key-c")
    assert api.deployment("llama3")["api_keys"] == ["key-c", "key-a"]
    api.attach("llama3", "key-b")
    assert api.deployment("llama3")["api_keys"] == ["key-b"]
    assert api.emulator.api_keys_of(1234, "deployment", "llama3") == ("key-b",)


def test_a_patch_changes_only_what_it_gives(api) -> None:
    api.key("payments")
    api.attach("llama3", "payments")
    before = api.deployment("llama3")
    api.ok("PATCH", "deployments/llama3", {"description": "Llama", "image": None, "timeout": None, "envs": {"A": "1"}})
    assert api.deployment("llama3") == before | {"description": "Llama", "timeout": None, "envs": {"A": "1"}}


def test_every_field_of_a_deployment_comes_back_as_it_was_set(api) -> None:
    probe = {"enabled": True, "probe": {"http_get": {"port": 80}, "period_seconds": 5}}
    trigger = {
        "queue_url": "https://queue",
        "queue_length": 10,
        "activation_queue_length": 1,
        "aws_region": "eu-west-1",
        "secret_name": "aws",
    }
    change = {
        "command": ["nginx", "-g"],
        "credentials_name": "hub",
        "ingress_opts": {"disable_response_buffering": True},
        "logging": {"enabled": True, "topic_name": "logs", "destination_region_id": 1},
        "probes": {"liveness_probe": probe, "readiness_probe": None},
        "containers": [{"region_id": 1, "scale": {"min": 2, "max": 4, "triggers": {"sqs": trigger}}}],
    }
    api.ok("PATCH", "deployments/llama3", change)
    shown = api.deployment("llama3")
    assert shown["command"] == "nginx -g"
    assert shown["credentials_name"] == "hub"
    assert shown["ingress_opts"] == {"disable_response_buffering": True}
    assert shown["logging"] == {"enabled": True, "topic_name": "logs", "destination_region_id": 1}
    assert shown["probes"]["startup_probe"] is None
    assert shown["probes"]["liveness_probe"]["probe"]["http_get"]["path"] == "/"
    assert shown["probes"]["liveness_probe"]["probe"]["period_seconds"] == 5
    scale = shown["containers"][0]["scale"]
    assert (scale["min"], scale["triggers"]["cpu"]) == (2, None)
    defaults = {"scale_on_flight": False, "scale_on_delayed": False, "aws_endpoint": None}
    assert scale["triggers"]["sqs"] == trigger | defaults


def test_auth_enabled_alone_locks_everybody_out_or_lets_everybody_in(api) -> None:
    secret = api.key("payments")
    api.ok("PATCH", "deployments/llama3", {"auth_enabled": True})
    assert (api.opens("llama3", None), api.opens("llama3", secret)) == (False, False)
    api.attach("llama3", "payments")
    api.ok("PATCH", "deployments/llama3", {"auth_enabled": False})
    assert api.opens("llama3", None)
    assert api.deployment("llama3")["api_keys"] == []


def test_a_key_that_was_deleted_before_the_task_took_effect_fails_the_task(make_api) -> None:
    api = make_api(task_seconds=10)
    api.key("payments")
    task = api.attach("llama3", "payments")
    api.ok("DELETE", "api_keys/payments")
    api.clock.advance(10)
    assert (api.task(task)["state"], api.task(task)["error"]) == ("ERROR", "API key payments not found")
    assert api.deployment("llama3")["api_keys"] == []


def test_a_deleted_deployment_is_deleting_and_then_gone_and_its_keys_live_on(make_api) -> None:
    api = make_api(task_seconds=10)
    api.key("payments")
    api.attach("llama3", "payments")
    api.clock.advance(10)
    task = api.ok("DELETE", "deployments/llama3")["tasks"][0]
    assert api.deployment("llama3")["status"] == "DELETING"
    assert api.call("PATCH", "deployments/llama3", {"api_keys": []}).status == 409
    assert api.call("DELETE", "deployments/llama3").status == 409
    api.clock.advance(10)
    assert api.task(task)["state"] == "FINISHED"
    assert api.refused(404, "GET", "deployments/llama3")["message"] == "Inference deployment llama3 not found"
    assert api.ok("GET", "api_keys/payments")["deployment_names"] == []
    assert api.call("DELETE", "api_keys/payments").status == 204


def test_an_update_whose_deployment_went_away_meanwhile_fails(make_api) -> None:
    api = make_api(task_seconds=10)
    task = api.ok("PATCH", "deployments/whisper", {"description": "x"})["tasks"][0]
    api.emulator.hold_task(task)
    api.ok("DELETE", "deployments/whisper")
    api.clock.advance(10)
    api.emulator.release_task(task)
    assert api.task(task)["error"] == "Inference deployment not found"


def test_what_is_not_there_can_be_neither_changed_nor_deleted(api) -> None:
    assert api.call("PATCH", "deployments/nothing", {"api_keys": []}).status == 404
    assert api.call("DELETE", "deployments/nothing").status == 404


def test_deployments_are_listed_in_pages(api) -> None:
    assert api.ok("GET", "deployments")["count"] == 3
    names = [api.ok("GET", "deployments", limit=1, offset=at)["results"][0]["name"] for at in range(3)]
    assert names == ["llama3", "whisper", "webui-web"] == list(api.emulator.names(1234, "deployment"))
    assert api.call("GET", "deployments", limit=1001).status == 400
