"""Every unknown of the older generation of the API: what each mode changes."""

from __future__ import annotations

import pytest

NOWHERE = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
BODY = {
    "name": "llama3",
    "image": "x",
    "listening_port": 1,
    "flavor_id": NOWHERE,
    "containers": [{"region_id": 1, "scale": {"min": 1, "max": 1}}],
}
FIELDS = ("description", "expires_at", "inference_instance_ids", "project_id")


def _full_key(api) -> str:
    """A key with everything that a PATCH may change, in another project than the token's default one."""
    api.emulator.grant({api.token: [99]})
    instance = api.v2("GET", "deployments", project_id=1234)["results"][0]["id"]
    key_id: str = api.v2_key(
        "payments", description="Checkout", expires_at="2027-01-01", inference_instance_ids=[instance], project_id=1234
    )[0]
    return key_id


def test_null_in_a_patch_clears_a_field_or_leaves_it(make_api) -> None:
    for mode in ("clears", "unchanged"):
        api = make_api(patch_null=mode)
        key_id = _full_key(api)
        before = api.v2("GET", f"api_keys/{key_id}")
        cleared = {"description": None, "expires_at": None, "inference_instance_ids": [], "project_id": 99}
        for field in FIELDS:
            shown = api.v2("PATCH", f"api_keys/{key_id}", {field: None})
            before[field] = cleared[field] if mode == "clears" else before[field]
            assert shown == before
        assert api.opens("llama3", None) == (mode == "clears")


def test_a_field_that_a_patch_leaves_out_stays_or_is_emptied(make_api) -> None:
    for mode in ("unchanged", "resets"):
        api = make_api(patch_missing=mode)
        key_id = _full_key(api)
        before = api.v2("GET", f"api_keys/{key_id}")
        emptied = {"expires_at": None, "inference_instance_ids": [], "project_id": 99}
        shown = api.v2("PATCH", f"api_keys/{key_id}", {"description": "new"})
        assert shown == before | {"description": "new"} | (emptied if mode == "resets" else {})
        assert api.opens("llama3", None) == (mode == "resets")


def test_a_field_that_is_left_out_is_emptied_even_where_a_null_changes_nothing(make_api) -> None:
    api = make_api(patch_missing="resets", patch_null="unchanged")
    key_id = _full_key(api)
    shown = api.v2("PATCH", f"api_keys/{key_id}", {"inference_instance_ids": None, "project_id": None})
    assert (len(shown["inference_instance_ids"]), shown["project_id"]) == (1, 1234)
    assert (shown["description"], shown["expires_at"]) == (None, None)


def test_a_name_in_a_patch_is_refused_or_renames_the_key(make_api) -> None:
    api = make_api()
    key_id, _ = api.v2_key("payments")
    error = api.v2_refused(400, "PATCH", f"api_keys/{key_id}", {"name": "other"})
    assert error["invalid_fields"] == {"name": ["Extra inputs are not permitted"]}
    api = make_api(key_name_patch="renames")
    key_id, secret = api.v2_key("payments")
    api.link(key_id, "llama3")
    api.v2_key("taken")
    assert api.v2("PATCH", f"api_keys/{key_id}", {"name": "other"})["name"] == "other"
    assert api.v2("PATCH", f"api_keys/{key_id}", {"name": "other"})["key_id"] == key_id
    assert api.deployment("llama3")["api_keys"] == ["other"]
    assert api.call("GET", "api_keys/payments").status == 404
    assert api.door("llama3", secret) == (401, 200)
    api.v2_refused(409, "PATCH", f"api_keys/{key_id}", {"name": "taken"})
    for wrong in ("Bad", None):
        api.v2_refused(400, "PATCH", f"api_keys/{key_id}", {"name": wrong})


def test_an_attached_key_is_taken_off_and_deleted_or_refused(make_api) -> None:
    api = make_api()
    key_id, secret = api.v2_key("payments")
    api.link(key_id, "llama3")
    api.app("PATCH", "/webui", {"api_keys": ["payments"]})
    assert api.call("DELETE", f"/cloud/v2/inference/api_keys/{key_id}").status == 204
    assert api.deployment("llama3")["api_keys"] == api.app("GET", "/webui").json()["api_keys"] == []
    assert api.door("llama3", secret) == (200, 200)
    api = make_api(attached_key_delete="refused")
    key_id, secret = api.v2_key("payments")
    api.link(key_id, "llama3")
    assert api.v2_refused(409, "DELETE", f"api_keys/{key_id}")["exception_class"] == "ConflictError"
    assert api.door("llama3", secret) == (401, 200)
    api.link(key_id)
    assert api.call("DELETE", f"/cloud/v2/inference/api_keys/{key_id}").status == 204


@pytest.mark.parametrize("by", ["PATCH", "DELETE"])
def test_the_last_key_leaves_an_open_door_or_a_shut_one(make_api, by: str) -> None:
    for mode, status in (("auth_turns_off", 200), ("auth_stays_on", 401)):
        # What the server does by itself is another mode.
        api = make_api(last_key_unlinked=mode, last_key_detached="auth_stays_on")
        ids = [api.v2_key(name)[0] for name in ("key-a", "key-b")]
        for key_id in ids:
            api.link(key_id, "llama3")
        for key_id, expected in zip(ids, (401, status), strict=True):
            api.v2(by, f"api_keys/{key_id}", {"inference_instance_ids": []} if by == "PATCH" else None)
            assert api.door("llama3") == (expected,)
        assert api.deployment("llama3")["auth_enabled"] == (status == 401)


@pytest.mark.parametrize("by", ["PATCH", "POST"])
def test_the_first_key_shuts_the_door_or_leaves_it_as_it_was(make_api, by: str) -> None:
    for mode, status in (("auth_turns_on", 401), ("auth_unchanged", 200)):
        api = make_api(first_key_linked=mode)
        ids = [api.instance_id("llama3")]
        if by == "POST":
            key_id, secret = api.v2_key("payments", inference_instance_ids=ids)
        else:
            key_id, secret = api.v2_key("payments")
            api.link(key_id, "llama3")
        assert api.deployment("llama3")["api_keys"] == ["payments"]
        assert api.deployment("llama3")["auth_enabled"] == (status == 401)
        assert api.door("llama3", secret) == (status, 200)


def test_a_first_key_on_a_shut_door_leaves_it_shut_in_either_mode(make_api) -> None:
    for mode in ("auth_turns_on", "auth_unchanged"):
        api = make_api(first_key_linked=mode)
        api.ok("PATCH", "deployments/llama3", {"auth_enabled": True})
        key_id, secret = api.v2_key("payments")
        api.link(key_id, "llama3")
        assert api.door("llama3", secret) == (401, 200)


def test_a_second_key_on_an_open_door_leaves_it_open(api) -> None:
    first, _ = api.v2_key("key-a")
    api.v2("PUT", f"deployments/{api.instance_id('llama3')}", BODY | {"api_key_ids": [first]})
    second, _ = api.v2_key("key-b")
    api.link(second, "llama3")
    assert (api.deployment("llama3")["auth_enabled"], api.door("llama3")) == (False, (200,))


def test_a_key_shows_its_project_or_null(make_api) -> None:
    for mode, shown in (("number", 1234), ("null", None)):
        api = make_api(key_project=mode)
        key_id, _ = api.v2_key("payments", project_id=1234)
        assert api.v2("GET", f"api_keys/{key_id}")["project_id"] == shown
        assert [key["project_id"] for key in api.v2("GET", "api_keys")["results"]] == [shown]


def test_an_unknown_instance_is_refused_or_left_out(make_api) -> None:
    for mode in ("reject", "ignored"):
        api = make_api(unknown_instance=mode)
        api.emulator.grant({"theirs": [77]})
        mine, api.token = api.token, "theirs"
        foreign = api.v2("POST", "deployments", BODY)["id"]
        api.token = mine
        key_id, _ = api.v2_key("payments")
        ids = [foreign, NOWHERE, "junk", api.instance_id("llama3")]
        answer = api.call("PATCH", f"/cloud/v2/inference/api_keys/{key_id}", {"inference_instance_ids": ids})
        if mode == "reject":
            problems = [f"Inference instance {each} not found" for each in ids[:3]]
            assert answer.json()["invalid_fields"] == {"inference_instance_ids": problems}
            assert api.v2("GET", f"api_keys/{key_id}")["inference_instance_ids"] == []
            api.v2_refused(400, "POST", "api_keys", {"name": "other", "inference_instance_ids": ids})
        else:
            assert answer.json()["inference_instance_ids"] == ids[3:]
            _, other = api.v2_key("other", inference_instance_ids=ids)
            assert api.door("llama3", other) == (401, 200)


@pytest.mark.parametrize("by", ["v2", "v3"])
def test_a_deleted_instance_is_unlinked_or_still_listed(make_api, by: str) -> None:
    for mode in ("unlinked", "still_listed"):
        api = make_api(deleted_instance=mode)
        key_id, secret = api.v2_key("payments")
        path = f"api_keys/{key_id}"
        gone, kept = ids = api.link(key_id, "llama3", "whisper")["inference_instance_ids"]
        if by == "v2":
            api.v2("DELETE", f"deployments/{gone}")
        else:
            api.ok("DELETE", "deployments/llama3")
        listed = ids if mode == "still_listed" else [kept]
        assert api.v2("GET", path)["inference_instance_ids"] == listed
        assert api.v2("GET", "api_keys")["results"][0]["inference_instance_ids"] == listed
        assert api.ok("GET", "api_keys/payments")["deployment_names"] == ["whisper"]
        if mode == "unlinked":
            api.v2_refused(400, "PATCH", path, {"inference_instance_ids": ids})
            continue
        assert api.v2("PATCH", path, {"description": "x"})["inference_instance_ids"] == ids
        assert api.v2("PATCH", path, {"inference_instance_ids": ids})["inference_instance_ids"] == ids
        other, _ = api.v2_key("other")
        api.v2_refused(400, "PATCH", f"api_keys/{other}", {"inference_instance_ids": [gone]})
        assert api.v2("PATCH", path, {"inference_instance_ids": [kept]})["inference_instance_ids"] == [kept]
        api.v2_refused(400, "PATCH", path, {"inference_instance_ids": ids})
        assert api.door("whisper", secret) == (401, 200)


def test_a_key_that_only_names_a_deleted_instance_can_be_deleted(make_api) -> None:
    api = make_api(deleted_instance="still_listed", attached_key_delete="refused")
    key_id, _ = api.v2_key("payments")
    api.link(key_id, "llama3")
    api.v2("DELETE", f"deployments/{api.instance_id('llama3')}")
    api.v2("DELETE", f"api_keys/{key_id}")
    assert api.v2("GET", "api_keys")["count"] == 0


def test_a_deleted_deployment_is_gone_or_listed_as_deleted(make_api) -> None:
    for mode in ("gone", "listed"):
        api = make_api(deleted_deployment=mode)
        key_id, secret = api.v2_key("payments")
        api.link(key_id, "llama3")
        gone = api.instance_id("llama3")
        api.v2("DELETE", f"deployments/{gone}")
        names = [item["name"] for item in api.v2("GET", "deployments")["results"]]
        assert names == (["llama3", "whisper"] if mode == "listed" else ["whisper"])
        if mode == "gone":
            api.v2_refused(404, "GET", f"deployments/{gone}")
        else:
            shown = api.v2("GET", f"deployments/{gone}")
            assert (shown["status"], shown["api_key_ids"], shown["address"]) == ("DELETED", [], None)
        assert api.v2("GET", f"api_keys/{key_id}")["inference_instance_ids"] == []
        assert api.emulator.names(1234, "deployment") == ("whisper", "webui-web")
        api.v2_refused(404, "DELETE", f"deployments/{gone}")
        api.v2_refused(400, "PATCH", f"api_keys/{key_id}", {"inference_instance_ids": [gone]})
        assert api.v2("POST", "deployments", BODY)["id"] != gone
        assert api.door("llama3", secret) == (200, 200)


def test_what_v3_deletes_is_gone_in_either_mode(make_api) -> None:
    api = make_api(deleted_deployment="listed")
    api.ok("DELETE", "deployments/llama3")
    assert [item["name"] for item in api.v2("GET", "deployments")["results"]] == ["whisper"]


def test_a_name_that_is_taken_is_refused_or_makes_twins_of_which_v3_finds_the_older(make_api) -> None:
    assert make_api().v2_refused(409, "POST", "deployments", BODY)["exception_class"] == "ConflictError"
    api = make_api(twin_deployments="allowed")
    key_id, secret = api.v2_key("payments")
    older = api.instance_id("llama3")
    younger = api.v2("POST", "deployments", BODY | {"auth_enabled": True, "api_key_ids": [key_id]})
    assert api.deployment("llama3")["api_keys"] == []
    assert [item["name"] for item in api.ok("GET", "deployments")["results"]].count("llama3") == 2
    assert api.opens("llama3", None)
    assert api.call("POST", "deployments", {"name": "llama3"}).status == 400
    # Each twin has a separate address.
    places = [api.v2("GET", f"deployments/{each}")["address"] for each in (older, younger["id"])]
    assert [place.rpartition("/")[2] for place in places] == [older, younger["id"]]
    assert (api.door(older, secret), api.door(younger["id"], secret)) == ((200, 200), (401, 200))
    # So it is for who looks past the API.
    assert (api.opens(older, None), api.opens(younger["id"], None)) == (True, False)
    assert api.emulator.api_keys_of(1234, "deployment", younger["id"]) == ("payments",)
    api.v2("DELETE", f"deployments/{older}")
    assert api.deployment("llama3")["api_keys"] == ["payments"]
    assert api.door("llama3", secret) == (401, 200)


def test_an_expired_key_is_active_or_says_that_it_has_expired(make_api) -> None:
    for mode, status in (("always_active", "ACTIVE"), ("tells_expiry", "EXPIRED")):
        api = make_api(key_status=mode)
        key_id, _ = api.v2_key("payments", expires_at="2026-01-01T00:01:00Z")
        assert api.v2("GET", f"api_keys/{key_id}")["status"] == "ACTIVE"
        api.clock.advance(60)
        assert api.v2("GET", f"api_keys/{key_id}")["status"] == status
        assert api.v2("GET", "api_keys")["results"][0]["status"] == status
        assert api.v2("PATCH", f"api_keys/{key_id}", {"expires_at": None})["status"] == "ACTIVE"


def test_an_expiry_in_the_past_is_refused_or_taken_in_a_create_and_in_a_patch(make_api) -> None:
    for mode, status in (("rejected", 400), ("accepted", 200)):
        api = make_api(past_expiry=mode)
        key_id, _ = api.v2_key("payments")
        past = {"expires_at": "2020-01-01"}
        assert api.call("PATCH", f"/cloud/v2/inference/api_keys/{key_id}", past).status == status
        assert api.call("POST", "/cloud/v2/inference/api_keys", {"name": "other"} | past).status == status


def test_linking_an_expired_key_is_accepted_or_rejected(make_api) -> None:
    for mode, status in (("accepted", 200), ("rejected", 400)):
        api = make_api(attach_expired=mode)
        key_id, secret = api.v2_key("payments", expires_at="2026-01-01T00:00:01Z")
        api.link(key_id, "whisper")
        api.clock.advance(1)
        path = f"/cloud/v2/inference/api_keys/{key_id}"
        ids = [api.instance_id(name) for name in ("llama3", "whisper")]
        assert api.call("PATCH", path, {"inference_instance_ids": ids}).status == status
        assert api.call("PATCH", path, {"inference_instance_ids": ids[1:]}).status == 200  # nothing new
        renewed = {"inference_instance_ids": ids, "expires_at": "2027-01-01"}
        assert api.call("PATCH", path, renewed).status == 200
        assert api.door("llama3", secret) == (401, 200)


def test_a_key_that_expires_is_taken_off_on_both_sides(make_api) -> None:
    api = make_api(expired_key="detached", last_key_unlinked="auth_turns_off", last_key_detached="auth_stays_on")
    key_id, secret = api.v2_key("payments", expires_at="2026-01-01T00:01:00Z")
    api.link(key_id, "llama3")
    api.clock.advance(60)
    assert api.v2("GET", f"api_keys/{key_id}")["inference_instance_ids"] == []
    assert api.v2("GET", f"deployments/{api.instance_id('llama3')}")["api_key_ids"] == []
    assert api.door("llama3", secret) == (401, 401)


@pytest.mark.parametrize(
    ("mode", "created_at", "expires_at"),
    [("naive", "2026-01-01T00:00:00.000000", "2027-06-30T00:00:00.000000"),
     ("mixed", "2026-01-01T00:00:00.000000", "2027-06-30T00:00:00Z")],
)  # fmt: skip
def test_timestamps_come_in_the_forms_of_v3(make_api, mode: str, created_at: str, expires_at: str) -> None:
    api = make_api(timestamps=mode)
    made = api.v2("POST", "api_keys", {"name": "payments", "expires_at": "2027-06-30"})
    assert (made["created_at"], made["expires_at"]) == (created_at, expires_at)
