"""Applications: a deployment for each component, and one list of keys for all of them."""

from __future__ import annotations

import pytest

COMPONENT = {"flavor": "small", "exposed": True, "scale": {"min": 1, "max": 2}}
BODY = {
    "name": "shop",
    "application_name": "demo-app",
    "regions": [1, 2],
    "components_configuration": {"model": COMPONENT, "Store_1": COMPONENT | {"exposed": False}},
}


def _opens(api, secret: str | None) -> bool:
    verdict: bool = api.emulator.accepts(1234, "application", "shop", secret)
    return verdict


def test_creating_an_application_makes_a_deployment_for_each_component(make_api) -> None:
    api = make_api(task_seconds=10)
    secret = api.key("payments")
    task = api.app("POST", "", BODY | {"api_keys": ["payments"]}).json()["tasks"][0]
    assert api.app("GET", "/shop").json()["status"]["consolidated_status"] == "Unknown"
    api.clock.advance(10)
    done = api.task(task)
    assert (done["task_type"], done["state"]) == ("create_inference_application", "FINISHED")
    address = "http://emulator.test/dataplane/1234/deployments/shop-model"
    part = {"status": "Active", "error": ""}
    parts = {"model": part, "Store_1": part}
    assert api.app("GET", "/shop").json() == {
        "name": "shop",
        "application_name": "demo-app",
        "api_keys": ["payments"],
        "regions": [1, 2],
        "components_configuration": {
            "model": COMPONENT | {"parameter_overrides": {}},
            "Store_1": COMPONENT | {"exposed": False, "parameter_overrides": {}},
        },
        "status": {
            "consolidated_status": "Active",
            "regions": [
                {"region_id": 1, "status": "Active", "components": parts},
                {"region_id": 2, "status": "Active", "components": parts},
            ],
            "expose_addresses": {"model": {"address": address}},
            "component_inferences": {
                "model": {"name": "shop-model", "flavor": "small"},
                "Store_1": {"name": "shop-store-1", "flavor": "small"},
            },
        },
    }
    child = api.deployment("shop-model")
    assert child["object_references"] == [{"kind": "AppDeployment", "name": "shop"}]
    assert (child["api_keys"], child["auth_enabled"], child["address"]) == (["payments"], True, address)
    assert api.deployment("shop-store-1")["address"] is None
    assert api.chat("shop-model", X_API_Key=secret).status == 200
    assert api.chat("shop-store-1", X_API_Key=secret).status == 404


def test_the_deployments_follow_the_applications_keys(api) -> None:
    old, new = api.key("key-old"), api.key("key-new")
    api.app("POST", "", BODY)
    assert _opens(api, None)
    api.app("PATCH", "/shop", {"api_keys": ["key-old"]})
    assert (_opens(api, None), _opens(api, old), _opens(api, new)) == (False, True, False)
    api.app("PATCH", "/shop", {"api_keys": ["key-old", "key-new"]})
    assert (_opens(api, old), _opens(api, new)) == (True, True)
    assert api.deployment("shop-model")["api_keys"] == ["key-old", "key-new"]
    assert api.ok("GET", "api_keys/key-new")["deployment_names"] == ["shop-model", "shop-store-1"]
    api.app("PATCH", "/shop", {"api_keys": []})
    assert _opens(api, None)
    assert api.emulator.api_keys_of(1234, "application", "shop") == ()


def test_an_applications_deployment_takes_no_keys_of_its_own_and_goes_only_with_it(api) -> None:
    api.key("payments")
    for method, body in (("PATCH", {"api_keys": ["payments"]}), ("PATCH", {"auth_enabled": True}), ("DELETE", None)):
        error = api.refused(409, method, "deployments/webui-web", body)
        assert error["message"] == "Inference deployment webui-web belongs to an application"
    assert api.call("PATCH", "deployments/webui-web", {"description": "x"}).status == 200


def test_a_patch_changes_adds_and_disables_components(api) -> None:
    api.key("payments")
    api.app("POST", "", BODY | {"api_keys": ["payments"]})
    change = {
        "model": {"scale": {"max": 9}, "flavor": "large", "parameter_overrides": {"a": {"value": "1"}}},
        "Store_1": None,
        "extra": COMPONENT,
    }
    assert api.app("PATCH", "/shop", {"components_configuration": change, "regions": [3]}).status == 200
    shown = api.app("GET", "/shop").json()
    assert shown["components_configuration"] == {
        "model": {
            "flavor": "large",
            "exposed": True,
            "scale": {"min": 1, "max": 9},
            "parameter_overrides": {"a": {"value": "1"}},
        },
        "extra": COMPONENT | {"parameter_overrides": {}},
    }
    assert api.call("GET", "deployments/shop-store-1").status == 404
    assert api.deployment("shop-extra")["api_keys"] == ["payments"]
    model = api.deployment("shop-model")
    assert (model["flavor_name"], model["containers"][0]["region_id"], model["api_keys"]) == ("large", 3, ["payments"])
    dropped = {"model": {"parameter_overrides": {"a": None}, "exposed": False}}
    api.app("PATCH", "/shop", {"components_configuration": dropped})
    assert api.app("GET", "/shop").json()["components_configuration"]["model"]["parameter_overrides"] == {}
    assert api.deployment("shop-model")["address"] is None


@pytest.mark.parametrize(
    ("change", "status", "fields"),
    [
        ({"name": "a" * 16}, 400, ["name"]),
        ({"name": "Shop"}, 400, ["name"]),
        ({"regions": ["one"]}, 400, ["regions.0"]),
        ({"components_configuration": {"model": {"flavor": "x"}}}, 400,
         ["components_configuration.model.exposed", "components_configuration.model.scale"]),
        ({"api_keys": ["nobody"]}, 400, ["api_keys"]),
        ({"api_keys": None}, 400, ["api_keys"]),
        ({"colour": "red"}, 400, ["colour"]),
        ({"name": "webui"}, 409, None),
    ],
)  # fmt: skip
def test_a_wrong_application_is_refused(api, change, status: int, fields) -> None:
    answer = api.app("POST", "", BODY | change)
    assert (answer.status, list(answer.json().get("invalid_fields", [])) or None) == (status, fields)
    assert api.app("GET").json()["count"] == 1


def test_a_patch_refuses_null_keys_and_half_a_new_component(api) -> None:
    assert api.app("PATCH", "/webui", {"api_keys": None}).json()["invalid_fields"] == {
        "api_keys": ["Input should be a list"]
    }
    half = {"components_configuration": {"extra": {"flavor": "small"}}}
    assert list(api.app("PATCH", "/webui", half).json()["invalid_fields"]) == [
        "components_configuration.extra.exposed",
        "components_configuration.extra.scale",
    ]


def test_a_component_whose_deployments_name_is_taken_is_a_conflict(api) -> None:
    assert api.app("POST", "", BODY | {"name": "a", "components_configuration": {"b-c": COMPONENT}}).status == 200
    assert api.app("POST", "", BODY | {"name": "a-b", "components_configuration": {"c": COMPONENT}}).status == 409
    alike = {"web_1": COMPONENT, "web-1": COMPONENT}
    assert api.app("POST", "", BODY | {"components_configuration": alike}).status == 409
    assert api.app("PATCH", "/webui", {"components_configuration": alike}).status == 409


def test_a_patch_that_finds_a_name_taken_when_it_takes_effect_fails_and_changes_nothing(make_api) -> None:
    api = make_api(task_seconds=10)
    task = api.app("PATCH", "/webui", {"components_configuration": {"web": None, "chat": COMPONENT}}).json()["tasks"][0]
    body = {"name": "webui-chat", "image": "x", "listening_port": 1, "flavor_name": "x",
            "containers": [{"region_id": 1, "scale": {"min": 1, "max": 1}}]}  # fmt: skip
    api.ok("POST", "deployments", body)
    api.clock.advance(10)
    assert api.task(task)["error"] == "Inference deployment webui-chat already exists"
    assert list(api.app("GET", "/webui").json()["components_configuration"]) == ["web"]
    assert api.deployment("webui-web")["status"] == "ACTIVE"


def test_deleting_an_application_takes_its_deployments_with_it(make_api) -> None:
    api = make_api(task_seconds=10)
    task = api.app("DELETE", "/webui").json()["tasks"][0]
    assert api.app("DELETE", "/webui").status == 409
    assert api.app("PATCH", "/webui", {"regions": [1]}).status == 409
    assert api.deployment("webui-web")["status"] == "DELETING"
    api.clock.advance(10)
    assert api.task(task)["task_type"] == "delete_inference_application"
    assert api.app("GET", "/webui").status == 404
    assert api.call("GET", "deployments/webui-web").status == 404
    assert api.app("GET").json() == {"count": 0, "results": []}


def test_the_list_of_applications_has_no_pages(api) -> None:
    assert api.call("GET", "/cloud/v3/inference/applications/1234/deployments", limit=1).status == 400
    assert [item["name"] for item in api.app("GET").json()["results"]] == ["webui"]


def test_a_key_of_an_application_cannot_be_deleted(api) -> None:
    api.key("payments")
    api.app("PATCH", "/webui", {"api_keys": ["payments"]})
    assert api.refused(409, "DELETE", "api_keys/payments")["message"] == (
        "API key payments is attached to: webui, webui-web"
    )
