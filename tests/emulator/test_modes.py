"""Every unknown of the API: what each mode changes, and that all of them work together."""

from __future__ import annotations

from itertools import combinations

import pytest

from reconciler.emulator import Modes, seed


def test_an_unknown_key_is_refused_at_once_or_fails_the_task(make_api) -> None:
    strict, late = make_api(), make_api(unknown_key="task_error")
    error = strict.refused(400, "PATCH", "deployments/llama3", {"api_keys": ["nobody"]})
    assert error["invalid_fields"] == {"api_keys": ["API key nobody not found"]}
    late.key("payments")
    task = late.task(late.attach("llama3", "payments", "nobody"))
    assert (task["state"], task["error"]) == ("ERROR", "API key nobody not found")
    assert late.deployment("llama3")["api_keys"] == []


def test_an_unknown_key_in_a_create_leaves_nothing_behind_when_its_task_fails(make_api) -> None:
    api = make_api(unknown_key="task_error", task_seconds=1)
    container = {"region_id": 1, "scale": {"min": 1, "max": 1}}
    body = {"name": "mistral", "image": "x", "listening_port": 1, "flavor_name": "x", "containers": [container]}
    task = api.ok("POST", "deployments", body | {"api_keys": ["nobody"]})["tasks"][0]
    assert api.deployment("mistral")["auth_enabled"]
    api.clock.advance(1)
    assert api.task(task)["state"] == "ERROR"
    assert api.call("GET", "deployments/mistral").status == 404


def test_null_keys_clear_the_list_or_are_refused_or_ignored(make_api) -> None:
    seen = {}
    for mode in ("clears", "refused", "ignored"):
        api = make_api(null_api_keys=mode)
        api.key("payments")
        api.attach("llama3", "payments")
        status = api.call("PATCH", "deployments/llama3", {"api_keys": None}).status
        seen[mode] = (status, api.deployment("llama3")["api_keys"], api.opens("llama3", None))
    assert seen == {
        "clears": (200, [], True),
        "refused": (400, ["payments"], False),
        "ignored": (200, ["payments"], False),
    }


def test_attaching_an_expired_key_is_accepted_or_rejected(make_api) -> None:
    for mode, status in (("accepted", 200), ("rejected", 400)):
        api = make_api(attach_expired=mode)
        api.key("payments", expires_at="2026-01-01T00:00:01Z")
        api.clock.advance(1)
        assert api.call("PATCH", "deployments/llama3", {"api_keys": ["payments"]}).status == status


def test_disabling_authentication_clears_the_keys_or_keeps_them_listed(make_api) -> None:
    for mode, listed in (("clears_keys", []), ("keeps_keys", ["payments"])):
        api = make_api(auth_disabled=mode)
        api.key("payments")
        api.attach("llama3", "payments")
        api.ok("PATCH", "deployments/llama3", {"auth_enabled": False})
        shown = api.deployment("llama3")
        assert (shown["auth_enabled"], shown["api_keys"], api.opens("llama3", None)) == (False, listed, True)


def test_keys_set_on_an_applications_deployment_are_refused_taken_or_ignored(make_api) -> None:
    seen = {}
    for mode in ("refused", "accepted", "ignored"):
        api = make_api(owned_deployment_patch=mode)
        api.key("payments")
        status = api.call("PATCH", "deployments/webui-web", {"api_keys": ["payments"]}).status
        seen[mode] = (status, api.deployment("webui-web")["api_keys"])
        api.app("PATCH", "/webui", {"api_keys": []})
        assert api.deployment("webui-web")["api_keys"] == []
    assert seen == {"refused": (409, []), "accepted": (200, ["payments"]), "ignored": (200, [])}


def test_a_write_during_a_task_is_accepted_refused_or_queued(make_api) -> None:
    for mode, ends in (("accept", (10, 11)), ("queue", (10, 20))):
        api = make_api(write_while_busy=mode, task_seconds=10)
        api.key("payments")
        tasks = [api.attach("llama3", "payments")]
        api.clock.advance(1)
        tasks.append(api.attach("llama3"))
        api.attach("whisper", "payments")
        for task, end in zip(tasks, ends, strict=True):
            api.clock.advance(end - (api.clock.now().second + 0.5))
            assert api.task(task)["state"] != "FINISHED"
            api.clock.advance(0.5)
            assert api.task(task)["finished_on"] == f"2026-01-01T00:00:{end}Z"
    api = make_api(write_while_busy="refuse", task_seconds=10)
    api.attach("llama3")
    assert api.refused(409, "PATCH", "deployments/llama3", {"api_keys": []})["exception_class"] == "ConflictError"
    assert api.call("DELETE", "deployments/llama3").status == 409
    api.clock.advance(10)
    assert api.call("PATCH", "deployments/llama3", {"api_keys": []}).status == 200


def test_a_patch_is_seen_when_its_task_finishes_or_when_it_starts(make_api) -> None:
    for mode, early in (("at_finish", []), ("at_start", ["payments"])):
        api = make_api(effect=mode, task_seconds=10)
        api.key("payments")
        task = api.attach("llama3", "payments")
        assert (api.deployment("llama3")["api_keys"], api.task(task)["state"]) == (early, "NEW")
        assert api.opens("llama3", None) == (mode == "at_finish")
        api.clock.advance(10)
        assert (api.deployment("llama3")["api_keys"], api.task(task)["state"]) == (["payments"], "FINISHED")


def test_an_early_effect_stays_even_if_the_task_fails_later(make_api) -> None:
    api = make_api(effect="at_start", task_seconds=10)
    api.key("payments")
    task = api.attach("llama3", "payments")
    api.emulator.fail_task(task, "Timed out")
    api.clock.advance(10)
    assert (api.task(task)["state"], api.deployment("llama3")["api_keys"]) == ("ERROR", ["payments"])


def test_a_queued_early_effect_waits_for_its_turn(make_api) -> None:
    api = make_api(effect="at_start", write_while_busy="queue", task_seconds=10)
    api.key("payments")
    api.attach("llama3")
    api.attach("llama3", "payments")
    assert api.deployment("llama3")["api_keys"] == []
    api.clock.advance(10)
    assert api.deployment("llama3")["api_keys"] == ["payments"]


@pytest.mark.parametrize(
    ("modes", "listed", "public"),
    [
        ({"expired_key": "stays"}, ["payments"], False),
        ({"expired_key": "detached", "last_key_detached": "auth_stays_on"}, [], False),
        ({"expired_key": "detached", "last_key_detached": "auth_turns_off"}, [], True),
    ],
)
def test_an_expired_key_stays_or_is_detached_and_may_leave_the_door_open(make_api, modes, listed, public) -> None:
    api = make_api(**modes)
    api.key("payments", expires_at="2026-01-01T00:01:00Z")
    api.attach("llama3", "payments")
    api.app("PATCH", "/webui", {"api_keys": ["payments"]})
    assert not api.opens("llama3", None)
    api.clock.advance(60)
    assert api.deployment("llama3")["api_keys"] == listed
    assert api.app("GET", "/webui").json()["api_keys"] == listed
    assert api.opens("llama3", None) == public
    assert api.emulator.accepts(1234, "application", "webui", None) == public
    assert (api.call("DELETE", "api_keys/payments").status == 204) == (not listed)


def test_the_data_plane_follows_when_a_key_that_had_expired_is_attached_and_taken_off_again(make_api) -> None:
    api = make_api(expired_key="detached", last_key_detached="auth_turns_off")
    api.key("brief", expires_at="2026-01-01T00:00:05Z")
    api.key("payments")
    api.clock.advance(60)
    api.attach("llama3", "payments")
    api.attach("llama3", "brief")
    shown = api.deployment("llama3")
    assert (shown["api_keys"], shown["auth_enabled"], api.opens("llama3", None)) == ([], False, True)


def test_a_key_that_expires_beside_a_good_one_never_opens_the_door(make_api) -> None:
    api = make_api(expired_key="detached", last_key_detached="auth_turns_off")
    api.key("short", expires_at="2026-01-01T00:01:00Z")
    secret = api.key("long")
    api.attach("llama3", "short", "long")
    api.clock.advance(60)
    assert (api.opens("llama3", None), api.opens("llama3", secret)) == (False, True)


def test_deleting_a_key_that_only_applications_use_is_refused_or_detaches_it(make_api) -> None:
    api = make_api(application_key_delete="allowed_and_detached")
    api.key("payments")
    api.app("PATCH", "/webui", {"api_keys": ["payments"]})
    api.attach("llama3", "payments")
    assert api.call("DELETE", "api_keys/payments").status == 409
    api.attach("llama3")
    assert api.call("DELETE", "api_keys/payments").status == 204
    assert api.app("GET", "/webui").json()["api_keys"] == []
    assert api.deployment("webui-web")["api_keys"] == []
    assert not api.opens("webui-web", None)


def test_a_key_that_has_expired_already_is_rejected_or_made(make_api) -> None:
    body = {"name": "payments", "expires_at": "2020-01-01"}
    assert make_api().call("POST", "api_keys", body).status == 400
    assert make_api(past_expiry="accepted").ok("POST", "api_keys", body)["expires_at"] == "2020-01-01T00:00:00Z"


def test_deployment_names_include_an_applications_deployments_or_not(make_api) -> None:
    for mode, names in (("with_children", ["llama3", "webui-web"]), ("own_only", ["llama3"])):
        api = make_api(deployment_names=mode)
        api.key("payments")
        api.attach("llama3", "payments")
        api.app("PATCH", "/webui", {"api_keys": ["payments"]})
        assert api.ok("GET", "api_keys/payments")["deployment_names"] == names


def test_secrets_are_plain_or_hold_symbols_that_need_quoting(make_api) -> None:
    plain, hard = make_api(), make_api(secret_shape="symbols")
    assert "".join(plain.key(f"key-{number}") for number in range(20)).isalnum()
    secrets = "".join(hard.key(f"key-{number}") for number in range(40))
    assert set("$#'\"\\`%&=+/!;<>{}~^") <= set(secrets)
    assert secrets.isascii()
    assert secrets.isprintable()
    assert " " not in secrets


def test_no_keys_are_shown_as_an_empty_list_or_null(make_api) -> None:
    assert make_api().deployment("llama3")["api_keys"] == []
    api = make_api(no_keys_shown_as="null")
    assert api.deployment("llama3")["api_keys"] is None
    assert api.app("GET", "/webui").json()["api_keys"] == []
    assert api.emulator.api_keys_of(1234, "deployment", "llama3") == ()


def test_keys_are_shown_as_sent_or_sorted(make_api) -> None:
    for mode, shown in (("as_sent", ["key-b", "key-a"]), ("sorted", ["key-a", "key-b"])):
        api = make_api(api_keys_order=mode)
        api.key("key-a")
        api.key("key-b")
        api.attach("llama3", "key-b", "key-a")
        assert api.deployment("llama3")["api_keys"] == shown


def test_lists_come_oldest_first_newest_first_or_by_name(make_api) -> None:
    for mode, order in (
        ("oldest_first", ["key-b", "key-c", "key-a"]),
        ("newest_first", ["key-a", "key-c", "key-b"]),
        ("by_name", ["key-a", "key-b", "key-c"]),
    ):
        api = make_api(list_order=mode)
        for name in ("key-b", "key-c", "key-a"):
            api.key(name)
        assert [key["name"] for key in api.ok("GET", "api_keys")["results"]] == order


def test_with_the_newest_first_a_key_made_between_two_pages_shows_one_twice(make_api) -> None:
    api = make_api(list_order="newest_first")
    api.key("key-a")
    api.key("key-b")
    first = api.ok("GET", "api_keys", limit=1)
    api.key("key-c")
    second = api.ok("GET", "api_keys", limit=1, offset=1)
    assert first["results"][0]["name"] == second["results"][0]["name"] == "key-b"


@pytest.mark.parametrize(
    ("mode", "created_at", "expires_at"),
    [
        ("zulu", "2026-01-01T00:00:00Z", "2027-06-30T00:00:00Z"),
        ("naive", "2026-01-01T00:00:00.000000", "2027-06-30T00:00:00.000000"),
        ("offset", "2026-01-01T00:00:00+0000", "2027-06-30T00:00:00+0000"),
        ("offset_colon", "2026-01-01T00:00:00+00:00", "2027-06-30T00:00:00+00:00"),
        ("mixed", "2026-01-01T00:00:00.000000", "2027-06-30T00:00:00Z"),
    ],
)
def test_timestamps_come_in_the_forms_of_the_apis_services(make_api, mode, created_at, expires_at) -> None:
    made = make_api(timestamps=mode).ok("POST", "api_keys", {"name": "payments", "expires_at": "2027-06-30"})
    assert (made["created_at"], made["expires_at"]) == (created_at, expires_at)


def test_the_word_before_a_token_may_have_to_be_as_the_sdk_writes_it(make_api) -> None:
    from reconciler.emulator import Request

    api = make_api(auth_scheme="as_the_sdk")
    assert api.call("GET", "api_keys").status == 200
    headers = {"Authorization": f"apikey {api.token}"}
    assert api.emulator.respond(Request("GET", "/cloud/v3/inference/1234/api_keys", headers=headers)).status == 401


def test_a_foreign_project_is_forbidden_or_not_found(make_api) -> None:
    for mode, status in (("forbidden", 403), ("not_found", 404)):
        api = make_api(foreign_project=mode)
        api.project = 5678
        assert api.call("GET", "api_keys").status == status


def test_a_401_has_one_of_three_bodies(make_api) -> None:
    bodies = {}
    for mode in ("documented", "code_and_message", "echoes_token"):
        api = make_api(unauthorized=mode)
        api.token = "abcdefgh"
        bodies[mode] = api.refused(401, "GET", "api_keys")
    assert bodies["documented"]["exception_class"] == "token_not_valid"
    assert bodies["documented"]["message"] == "Bad permanent token: abcd..."
    assert bodies["code_and_message"] == {"code": 401, "message": "Unauthorized"}
    assert bodies["echoes_token"]["message"] == "Bad permanent token: abcdefgh"


def test_a_junk_x_api_key_beside_a_good_bearer_is_accepted_or_refused(make_api) -> None:
    for mode, status in (("either", 200), ("x_api_key_decides", 401)):
        api = make_api(dual_credentials=mode)
        secret = api.key("payments")
        api.attach("llama3", "payments")
        assert api.chat("llama3", X_API_Key="junk", Authorization=f"Bearer {secret}").status == status
        assert api.chat("llama3", X_API_Key=secret, Authorization="Bearer junk").status == 200
        assert api.chat("llama3", Authorization=f"Bearer {secret}").status == 200


def test_the_data_plane_may_follow_a_few_seconds_late(make_api) -> None:
    api = make_api(data_plane_lag=5)
    old, new = api.key("key-old"), api.key("key-new")
    api.attach("llama3", "key-old")
    assert api.opens("llama3", None)
    api.clock.advance(5)
    assert (api.opens("llama3", None), api.opens("llama3", old)) == (False, True)
    api.attach("llama3", "key-new")
    api.deployment("llama3")
    api.clock.advance(2)
    api.attach("llama3", "key-new", "key-old")
    api.clock.advance(2.9)
    assert (api.opens("llama3", old), api.opens("llama3", new)) == (True, False)
    api.clock.advance(0.2)
    assert (api.opens("llama3", old), api.opens("llama3", new)) == (False, True)
    api.clock.advance(2)
    assert (api.opens("llama3", old), api.opens("llama3", new)) == (True, True)


@pytest.mark.parametrize(("mode", "refused"), [("unavailable", 401), ("gate_sleeps_too", 503)])
def test_a_deployment_at_zero_may_be_unavailable_until_it_is_awake(make_api, mode, refused) -> None:
    api = make_api(scaled_to_zero=mode)
    content = {
        "api_keys": [{"name": "payments", "secret": "s3cret"}],
        "deployments": [{"name": "sleeper", "status": "PENDING", "api_keys": ["payments"]}],
    }
    seed(api.emulator, {"projects": {1234: content}})
    for _ in range(2):
        assert api.chat("sleeper", X_API_Key="junk").status == refused
        assert api.chat("sleeper", X_API_Key="s3cret").status == 503
        assert api.deployment("sleeper")["status"] == "PENDING"
        api.clock.advance(29.9)
        assert api.chat("sleeper", X_API_Key="s3cret").status == 503
        api.clock.advance(0.1)
        assert api.chat("sleeper", X_API_Key="s3cret").status == 200
        assert api.deployment("sleeper")["status"] == "ACTIVE"
        assert api.chat("sleeper", X_API_Key="junk").status == 401
        with api.emulator.editing() as world:  # to zero again
            world.run("UPDATE deployments SET status = 'PENDING' WHERE name = 'sleeper'")


def test_only_a_request_wakes_a_deployment_at_zero(make_api) -> None:
    api = make_api(scaled_to_zero="unavailable")
    content = {"deployments": [{"name": "sleeper", "status": "PENDING"}]}
    seed(api.emulator, {"projects": {1234: content}})
    api.clock.advance(3600)
    assert api.chat("sleeper").status == 503
    api.clock.advance(30)
    assert api.chat("sleeper").status == 200


def test_a_mode_outside_its_choices_is_an_error() -> None:
    with pytest.raises(ValueError) as caught:
        Modes(effect="never")  # type: ignore[arg-type]
    assert str(caught.value) == "Modes.effect is one of 'at_finish', 'at_start'"


def test_the_choices_begin_with_the_default() -> None:
    defaults = Modes()
    for name, values in (Modes.choices() | Modes.liberties()).items():
        assert values[0] == getattr(defaults, name)
        assert len(values) == len(set(values)) >= 2


def test_a_world_in_which_unknowns_meet_takes_no_liberties() -> None:
    assert not Modes.choices().keys() & Modes.liberties().keys()
    for world in Modes.pairwise():
        assert all(getattr(world, name) == values[0] for name, values in Modes.liberties().items())


def test_in_the_pairwise_worlds_every_two_values_of_every_two_modes_meet() -> None:
    worlds = Modes.pairwise()
    assert worlds[0] == Modes()
    assert len(worlds) == len(set(worlds)) <= 30
    for (one, first), (other, second) in combinations(Modes.choices().items(), 2):
        met = {(getattr(world, one), getattr(world, other)) for world in worlds}
        assert met == {(a, b) for a in first for b in second}
