"""API keys of the older generation: their ids, what a PATCH changes, and links from the key's side."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.emulator import Emulator, Modes, Request, VirtualClock, seed

NOWHERE = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
LONG = "a" * 200


def test_a_new_key_shows_its_secret_once_and_never_again(api) -> None:
    made = api.v2("POST", "api_keys", {"name": "payments", "description": "Checkout"})
    assert made == {
        "key_id": made["key_id"],
        "name": "payments",
        "status": "ACTIVE",
        "created_at": "2026-01-01T00:00:00Z",
        "description": "Checkout",
        "expires_at": None,
        "inference_instance_ids": [],
        "project_id": 1234,
        "secret": made["secret"],
    }
    assert (len(made["key_id"]), len(made["secret"])) == (36, 32)
    shown = {name: value for name, value in made.items() if name != "secret"}
    assert api.v2("GET", f"api_keys/{made['key_id']}") == shown
    assert api.v2("GET", "api_keys") == {"count": 1, "results": [shown]}
    assert api.v2("PATCH", f"api_keys/{made['key_id']}", {}) == shown


@pytest.mark.parametrize("scheme", ["apikey", "APIKey"])
def test_the_documented_example_works_in_its_time(scheme: str) -> None:
    with Emulator(clock=VirtualClock(datetime(2024, 1, 1, tzinfo=UTC)), tokens={"t": [1]}) as emulator:
        seed(emulator, {"projects": {1: {"deployments": [{"name": "llama3", "id": NOWHERE}]}}})
        body = {
            "name": "my-key",
            "description": "My first key",
            "expires_at": "2024-08-22T11:21:00Z",
            "inference_instance_ids": [NOWHERE],
            "project_id": 1,
        }
        headers = {"Authorization": f"{scheme} t"}
        answer = emulator.respond(
            Request.build("POST", "/cloud/v2/inference/api_keys", headers=headers, json_body=body)
        )
        assert answer.status == 200
        made = answer.json()
        assert {name: made[name] for name in body} == body
        assert emulator.accepts(1, "deployment", "llama3", made["secret"])
        assert not emulator.accepts(1, "deployment", "llama3", None)


def test_a_key_is_the_same_in_both_generations_whichever_made_it(api) -> None:
    api.key("from-v3", description="Newer")
    api.v2_key("from-v2", description="Older", expires_at="2027-06-30")
    both = [(key["name"], key["description"], key["expires_at"]) for key in api.ok("GET", "api_keys")["results"]]
    assert both == [("from-v3", "Newer", None), ("from-v2", "Older", "2027-06-30T00:00:00Z")]
    listed = api.v2("GET", "api_keys")["results"]
    assert [(key["name"], key["description"], key["expires_at"]) for key in listed] == both
    live = api.emulator.live_keys(api.project)
    assert [key["key_id"] for key in listed] == [live["from-v3"].key_id, live["from-v2"].key_id]


def test_a_link_shows_on_both_sides_in_both_generations(api) -> None:
    key_id, _ = api.v2_key("payments")
    api.link(key_id, "llama3")
    assert api.deployment("llama3")["api_keys"] == ["payments"]
    assert api.ok("GET", "api_keys/payments")["deployment_names"] == ["llama3"]
    assert api.emulator.api_keys_of(api.project, "deployment", "llama3") == ("payments",)
    api.attach("whisper", "payments")
    ids = [api.instance_id("llama3"), api.instance_id("whisper")]
    assert api.v2("GET", f"api_keys/{key_id}")["inference_instance_ids"] == ids
    assert [api.v2("GET", f"deployments/{each}")["api_key_ids"] for each in ids] == [[key_id], [key_id]]
    assert api.v2("GET", "api_keys")["results"][0]["inference_instance_ids"] == ids


def test_the_data_plane_follows_what_is_written_to_a_key(api) -> None:
    key_id, secret = api.v2_key("payments")
    assert api.door("llama3", secret) == (200, 200)
    api.link(key_id, "llama3", "whisper")
    assert (api.door("llama3", secret, "junk"), api.door("whisper", secret)) == ((401, 200, 401), (401, 200))
    api.link(key_id, "whisper")
    assert (api.door("llama3", secret), api.door("whisper", secret)) == ((200, 200), (401, 200))
    other, other_secret = api.v2_key("batch", inference_instance_ids=[api.instance_id("whisper")])
    assert api.door("whisper", secret, other_secret) == (401, 200, 200)
    api.v2("DELETE", f"api_keys/{key_id}")
    assert api.door("whisper", secret, other_secret) == (401, 401, 200)
    api.v2("DELETE", f"api_keys/{other}")
    assert api.door("whisper", other_secret) == (200, 200)


def test_the_data_plane_follows_a_link_with_its_lag(make_api) -> None:
    api = make_api(data_plane_lag=5)
    key_id, secret = api.v2_key("payments")
    for write, before, after in (
        (lambda: api.link(key_id, "llama3"), (200, 200), (401, 200)),
        (lambda: api.link(key_id), (401, 200), (200, 200)),
        (lambda: api.link(key_id, "llama3"), (200, 200), (401, 200)),
        (lambda: api.v2("DELETE", f"api_keys/{key_id}"), (401,), (200,)),
    ):
        write()
        api.clock.advance(4.9)
        assert api.door("llama3", *[secret][: len(before) - 1]) == before
        api.clock.advance(0.1)
        assert api.door("llama3", *[secret][: len(after) - 1]) == after


def test_a_patch_moves_an_expiry_and_the_data_plane_goes_by_the_new_one(api) -> None:
    key_id, secret = api.v2_key("payments", expires_at="2026-01-01T00:01:00Z")
    api.link(key_id, "llama3")
    path = f"api_keys/{key_id}"
    assert api.v2("PATCH", path, {"expires_at": "2026-01-01T00:02:00Z"})["expires_at"] == "2026-01-01T00:02:00Z"
    api.clock.advance(60)
    assert api.door("llama3", secret) == (401, 200)
    api.clock.advance(60)
    assert api.door("llama3", secret) == (401, 401)
    error = api.v2_refused(400, "PATCH", path, {"expires_at": "2026-01-01T00:02:00Z"})
    assert error["invalid_fields"] == {"expires_at": ["Expiration date should be in the future"]}


def test_keys_of_applications_stay_as_they_are_when_a_keys_deployments_are_written(api) -> None:
    key_id, secret = api.v2_key("payments")
    api.app("PATCH", "/webui", {"api_keys": ["payments"]})
    assert api.v2("GET", f"api_keys/{key_id}")["inference_instance_ids"] == []
    api.link(key_id, "llama3")
    api.link(key_id)
    assert api.app("GET", "/webui").json()["api_keys"] == ["payments"]
    assert api.emulator.accepts(api.project, "application", "webui", secret)
    assert not api.emulator.accepts(api.project, "application", "webui", None)


def test_an_applications_deployment_is_not_one_that_a_key_can_be_linked_to(api) -> None:
    api.key("payments")
    api.app("PATCH", "/webui", {"api_keys": ["payments"]})
    with api.emulator.editing() as store:
        child = store.row("SELECT uuid FROM deployments WHERE name = 'webui-web'")["uuid"]
    error = api.v2_refused(400, "POST", "api_keys", {"name": "other", "inference_instance_ids": [child]})
    assert error["invalid_fields"] == {"inference_instance_ids": [f"Inference instance {child} not found"]}
    assert list(api.emulator.live_keys(api.project)) == ["payments"]


def test_an_id_sent_twice_is_linked_once(api) -> None:
    key_id, _ = api.v2_key("payments")
    assert len(api.link(key_id, "llama3", "llama3")["inference_instance_ids"]) == 1


@pytest.mark.parametrize("name", ["a", "0", LONG, "a.b.c", "team.a-1"])
def test_a_name_that_the_documents_allow_is_taken(api, name: str) -> None:
    key_id, _ = api.v2_key(name)
    assert api.v2("GET", f"api_keys/{key_id}")["name"] == name
    assert [key["name"] for key in api.ok("GET", "api_keys")["results"]] == [name]


def test_a_dotted_key_can_be_deleted_by_its_id_but_not_by_its_name(api) -> None:
    key_id, _ = api.v2_key("team.payments")
    assert api.call("DELETE", "api_keys/team.payments").status == 400
    api.v2("DELETE", f"api_keys/{key_id}")
    assert api.emulator.live_keys(api.project) == {}


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({}, "name", "Field required"),
        ({"name": "a" * 201}, "name", "String should have at most 200 characters"),
        ({"name": None}, "name", "Input should be a string"),
        ({"name": "good", "description": 1}, "description", "Input should be a string or null"),
        ({"name": "good", "expires_at": "soon"}, "expires_at", "Input should be a valid datetime in ISO 8601 format"),
        ({"name": "good", "expires_at": "2020-01-01"}, "expires_at", "Expiration date should be in the future"),
        ({"name": "good", "inference_instance_ids": None}, "inference_instance_ids", "Input should be a list"),
        ({"name": "good", "project_id": "1234"}, "project_id", "Input should be an integer or null"),
        ({"name": "good", "project_id": -1}, "project_id", "Input should be a valid integer"),
        ({"name": "good", "project_id": 10**30}, "project_id", "Input should be a valid integer"),
        ({"name": "good", "secret": "s3cret"}, "secret", "Extra inputs are not permitted"),
        ([], "body", "Input should be an object"),
    ],
)
def test_a_wrong_field_is_the_documented_error(api, body, field: str, message: str) -> None:
    error = api.v2_refused(400, "POST", "api_keys", body)
    assert error["exception_class"] == "ValidationError"
    assert error["invalid_fields"] == {field: [message]}
    assert api.v2("GET", "api_keys")["count"] == 0


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a_b", "a b", "a.", ".a", "a..b", "a\n", "ä"])
def test_a_name_outside_the_pattern_is_refused(api, name: str) -> None:
    assert list(api.v2_refused(400, "POST", "api_keys", {"name": name})["invalid_fields"]) == ["name"]


def test_nulls_in_a_create_are_what_is_left_out(api) -> None:
    body = {"name": "payments", "description": None, "expires_at": None, "project_id": None}
    made = api.v2("POST", "api_keys", body)
    assert (made["description"], made["expires_at"], made["project_id"]) == (None, None, 1234)


def test_a_description_may_be_longer_than_v3_takes(api) -> None:
    key_id, _ = api.v2_key("payments", description="x" * 301)
    assert len(api.v2("GET", f"api_keys/{key_id}")["description"]) == 301


def test_a_second_key_of_the_same_name_is_a_conflict_in_either_generation(api) -> None:
    secret = api.key("payments")
    error = api.v2_refused(409, "POST", "api_keys", {"name": "payments"})
    assert (error["exception_class"], error["message"]) == ("ConflictError", "API key payments already exists")
    api.v2_key("batch")
    assert api.call("POST", "api_keys", {"name": "batch"}).status == 409
    assert api.emulator.live_keys(api.project)["payments"].secret == secret


def test_a_patch_changes_only_what_it_gives(api) -> None:
    key_id, _ = api.v2_key("payments", description="old", expires_at="2027-01-01")
    api.link(key_id, "llama3")
    before = api.v2("GET", f"api_keys/{key_id}")
    assert api.v2("PATCH", f"api_keys/{key_id}", {"description": "new"}) == before | {"description": "new"}


@pytest.mark.parametrize("field", ["name", "secret", "key_id", "status", "created_at"])
def test_nothing_but_the_documented_fields_can_be_changed(api, field: str) -> None:
    key_id, _ = api.v2_key("payments")
    error = api.v2_refused(400, "PATCH", f"api_keys/{key_id}", {field: "other"})
    assert error["invalid_fields"] == {field: ["Extra inputs are not permitted"]}


def test_an_unknown_id_is_404_whatever_its_form(api) -> None:
    for path in (f"api_keys/{NOWHERE}", "api_keys/payments", f"api_keys/{api.instance_id('llama3')}"):
        for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
            assert api.v2_refused(404, method, path, body)["exception_class"] == "NotFoundError"


def test_a_key_made_again_under_its_name_has_another_id(api) -> None:
    old, _ = api.v2_key("payments")
    api.v2("DELETE", f"api_keys/{old}")
    new, _ = api.v2_key("payments")
    assert new != old
    api.v2_refused(404, "GET", f"api_keys/{old}")


def _of_two_projects(api) -> None:
    """The token opens another project too; whoever else has one is the token `neighbour`."""
    seed(api.emulator, {"projects": {99: {"deployments": [{"name": "mistral"}]}, 5678: {}}})
    api.emulator.grant({api.token: [99]})


def test_the_default_project_is_the_lowest_that_the_token_opens(api) -> None:
    _of_two_projects(api)
    assert api.v2("POST", "api_keys", {"name": "payments"})["project_id"] == 99
    assert api.v2("POST", "api_keys", {"name": "payments", "project_id": 1234})["project_id"] == 1234
    assert [key["project_id"] for key in api.v2("GET", "api_keys")["results"]] == [99]
    assert [key["project_id"] for key in api.v2("GET", "api_keys", project_id=1234)["results"]] == [1234]


def test_a_key_is_found_by_its_id_in_any_project_that_the_token_opens(api) -> None:
    _of_two_projects(api)
    key_id, _ = api.v2_key("payments", project_id=1234)
    assert api.v2("GET", f"api_keys/{key_id}")["project_id"] == 1234
    token, api.token = api.token, "neighbour"
    for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
        api.v2_refused(404, method, f"api_keys/{key_id}", body)
    api.token = token
    api.v2("DELETE", f"api_keys/{key_id}")


def test_a_key_can_be_moved_to_another_project_where_its_name_is_free(api) -> None:
    _of_two_projects(api)
    key_id, secret = api.v2_key("payments", project_id=1234)
    ids = [item["id"] for item in api.v2("GET", "deployments")["results"]]
    api.v2("PATCH", f"api_keys/{key_id}", {"inference_instance_ids": ids})
    assert api.emulator.accepts(99, "deployment", "mistral", secret)
    assert api.v2("PATCH", f"api_keys/{key_id}", {"project_id": 99})["project_id"] == 99
    assert api.emulator.live_keys(1234) == {}
    assert api.emulator.live_keys(99)["payments"].secret == secret
    again, _ = api.v2_key("payments", project_id=1234)
    assert api.v2_refused(409, "PATCH", f"api_keys/{again}", {"project_id": 99})["exception_class"] == "ConflictError"


@pytest.mark.parametrize(("mode", "status"), [("forbidden", 403), ("not_found", 404)])
def test_a_project_that_the_token_does_not_open_is_refused(make_api, mode: str, status: int) -> None:
    api = make_api(foreign_project=mode)
    key_id, _ = api.v2_key("payments")
    api.v2_refused(status, "POST", "api_keys", {"name": "other", "project_id": 5678})
    api.v2_refused(status, "GET", "api_keys", project_id=5678)
    api.v2_refused(status, "PATCH", f"api_keys/{key_id}", {"project_id": 5678})
    api.v2_refused(404, "POST", "api_keys", {"name": "other", "project_id": 1})
    assert list(api.emulator.live_keys(1234)) == ["payments"]


def test_a_token_that_only_reads_may_write_nothing(api) -> None:
    key_id, _ = api.v2_key("payments")
    api.emulator.grant({"reader": {"projects": [api.project], "role": "read"}})
    api.token = "reader"
    assert api.v2("GET", f"api_keys/{key_id}")["name"] == "payments"
    for method, path, body in (
        ("POST", "api_keys", {"no": "name"}),
        ("PATCH", f"api_keys/{key_id}", {}),
        ("DELETE", f"api_keys/{key_id}", None),
        ("DELETE", f"api_keys/{NOWHERE}", None),
    ):
        assert api.v2_refused(403, method, path, body)["exception_class"] == "ForbiddenError"


def test_a_token_may_write_in_one_project_and_only_read_in_another(api) -> None:
    key_id, _ = api.v2_key("payments")
    api.emulator.grant({"both": {"projects": [api.project], "role": "read"}})
    api.emulator.grant({"both": [99]})
    api.token = "both"
    mine, _ = api.v2_key("mine")
    api.v2_refused(403, "POST", "api_keys", {"name": "other", "project_id": 1234})
    api.v2_refused(403, "PATCH", f"api_keys/{key_id}", {})
    api.v2_refused(403, "PATCH", f"api_keys/{mine}", {"project_id": 1234})
    assert (list(api.emulator.live_keys(99)), list(api.emulator.live_keys(1234))) == (["mine"], ["payments"])


def test_a_request_without_a_good_token_is_401(api) -> None:
    api.token = "nobody"
    assert api.v2_refused(401, "GET", "api_keys")["message"] == "Bad permanent token: nob..."


def test_a_list_has_at_most_1000_keys_and_goes_on_in_pages(api) -> None:
    seed(api.emulator, {"projects": {1234: {"api_keys": [{"name": f"key-{n}"} for n in range(1001)]}}})
    first = api.v2("GET", "api_keys")
    assert (first["count"], len(first["results"])) == (1001, 1000)
    rest = api.v2("GET", "api_keys", offset=1000, limit=1000)
    assert [key["name"] for key in rest["results"]] == ["key-1000"]


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("name.asc", ["key-a", "key-b", "key-c"]),
        ("name.desc", ["key-c", "key-b", "key-a"]),
        ("created_at.asc", ["key-b", "key-c", "key-a"]),
        ("created_at.desc", ["key-a", "key-c", "key-b"]),
    ],
)
def test_a_list_comes_in_the_order_that_is_asked_for(make_api, order: str, names: list[str]) -> None:
    api = make_api(list_order="newest_first")
    for name in ("key-b", "key-c", "key-a"):
        api.v2_key(name)
        api.clock.advance(1)
    assert [key["name"] for key in api.v2("GET", "api_keys", order_by=order)["results"]] == names


@pytest.mark.parametrize("path", ["api_keys", "deployments"])
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": 0}, "Input should be greater than or equal to 1"),
        ({"limit": 1001}, "Input should be less than or equal to 1000"),
        ({"offset": -1}, "Input should be greater than or equal to 0"),
        ({"project_id": "mine"}, "Input should be a valid integer"),
        ({"order_by": "name"}, "Input should be 'name.asc', 'name.desc', 'created_at.asc', 'created_at.desc'"),
        ({"sort": "name"}, "Extra inputs are not permitted"),
    ],
)
def test_a_page_outside_the_limits_is_refused(api, path: str, query, message: str) -> None:
    error = api.v2_refused(400, "GET", path, **query)
    assert error["invalid_fields"] == {next(iter(query)): [message]}


def test_a_key_keeps_its_id_in_a_copy_and_in_a_file(tmp_path, api) -> None:
    key_id, _ = api.v2_key("payments")
    with api.emulator.fork(modes=Modes(key_project="null")) as fork:
        assert fork.live_keys(1234)["payments"].key_id == key_id
    request = Request.build("POST", "/cloud/v2/inference/api_keys", token="t", json_body={"name": "payments"})
    with Emulator(tmp_path / "emulator.db", tokens={"t": [1]}) as emulator:
        made = emulator.respond(request).json()["key_id"]
    with Emulator(tmp_path / "emulator.db") as emulator:
        assert emulator.live_keys(1)["payments"].key_id == made
