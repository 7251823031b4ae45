"""Tasks: their life follows from the clock alone, and a test may steer it."""

from __future__ import annotations

import pytest


def test_a_task_is_new_then_running_then_finished_and_its_effect_comes_with_the_end(make_api) -> None:
    api = make_api(task_seconds=10)
    api.key("payments")
    task = api.attach("llama3", "payments")
    assert api.task(task)["state"] == "NEW"
    api.clock.advance(2)
    assert api.task(task)["state"] == "RUNNING"
    api.clock.advance(7.9)
    assert (api.task(task)["state"], api.deployment("llama3")["api_keys"]) == ("RUNNING", [])
    api.clock.advance(0.1)
    done = api.task(task)
    assert done == {
        "id": task,
        "task_type": "update_inference_instance",
        "state": "FINISHED",
        "detailed_state": "FINISHED",
        "error": None,
        "data": {"api_keys": ["payments"]},
        "created_resources": None,
        "created_on": "2026-01-01T00:00:00Z",
        "updated_on": "2026-01-01T00:00:10Z",
        "finished_on": "2026-01-01T00:00:10Z",
        "acknowledged_at": None,
        "acknowledged_by": None,
        "user_id": 1,
        "user_client_id": 1,
        "client_id": 1,
        "project_id": 1234,
        "region_id": None,
        "request_id": None,
        "job_id": task,
        "lifecycle_policy_id": None,
        "schedule_id": None,
    }
    assert api.deployment("llama3")["api_keys"] == ["payments"]


def test_what_was_due_while_nobody_looked_happened_at_its_own_time_and_in_order(make_api) -> None:
    api = make_api(task_seconds=10)
    api.key("key-a")
    api.key("key-b")
    first = api.attach("llama3", "key-a")
    api.clock.advance(1)
    second = api.attach("llama3", "key-b")
    api.clock.advance(1000)
    assert api.deployment("llama3")["api_keys"] == ["key-b"]
    assert api.task(first)["finished_on"] == "2026-01-01T00:00:10Z"
    assert api.task(second)["finished_on"] == "2026-01-01T00:00:11Z"


def test_without_a_length_a_task_is_over_by_the_next_request(api) -> None:
    api.key("payments")
    assert api.task(api.attach("llama3", "payments"))["state"] == "FINISHED"


def test_a_failed_task_tells_its_error_only_in_the_end_and_has_no_effect(make_api) -> None:
    api = make_api(task_seconds=10)
    api.key("payments")
    task = api.attach("llama3", "payments")
    api.emulator.fail_task(task, "No capacity")
    assert api.task(task)["error"] is None
    api.clock.advance(10)
    assert (api.task(task)["state"], api.task(task)["error"]) == ("ERROR", "No capacity")
    assert api.deployment("llama3")["api_keys"] == []


def test_a_failed_create_leaves_nothing_and_a_failed_delete_everything(make_api) -> None:
    api = make_api(task_seconds=10)
    body = {"name": "mistral", "image": "x", "listening_port": 1, "flavor_name": "x",
            "containers": [{"region_id": 1, "scale": {"min": 1, "max": 1}}]}  # fmt: skip
    component = {"flavor": "x", "exposed": True, "scale": {"min": 1, "max": 1}}
    application = {
        "name": "shop",
        "application_name": "x",
        "regions": [1],
        "components_configuration": {"web": component},
    }
    tasks = [
        api.ok("POST", "deployments", body)["tasks"][0],
        api.ok("DELETE", "deployments/llama3")["tasks"][0],
        api.app("POST", "", application).json()["tasks"][0],
        api.app("DELETE", "/webui").json()["tasks"][0],
    ]
    for task in tasks:
        api.emulator.fail_task(task)
    api.clock.advance(10)
    assert {api.task(task)["state"] for task in tasks} == {"ERROR"}
    assert api.call("GET", "deployments/mistral").status == 404
    assert api.app("GET", "/shop").status == 404
    assert api.deployment("llama3")["status"] == "ACTIVE"
    assert api.app("GET", "/webui").json()["status"]["consolidated_status"] == "Active"


def test_a_held_task_never_ends_until_it_is_released(make_api) -> None:
    api = make_api(task_seconds=10)
    api.key("payments")
    task = api.attach("llama3", "payments")
    api.emulator.hold_task(task)
    api.clock.advance(1_000_000)
    assert (api.task(task)["state"], api.deployment("llama3")["api_keys"]) == ("RUNNING", [])
    api.emulator.release_task(task)
    assert (api.task(task)["state"], api.deployment("llama3")["api_keys"]) == ("FINISHED", ["payments"])


def test_what_waits_behind_a_held_task_moves_on_when_it_is_released(make_api) -> None:
    api = make_api(task_seconds=10, write_while_busy="queue")
    api.key("payments")
    held = api.attach("llama3")
    api.emulator.hold_task(held)
    waiting = api.attach("llama3", "payments")
    api.clock.advance(1000)
    assert api.task(waiting)["state"] == "NEW"
    api.emulator.release_task(held)
    assert (api.task(held)["state"], api.task(waiting)["state"]) == ("FINISHED", "NEW")
    api.clock.advance(10)
    assert (api.task(waiting)["state"], api.deployment("llama3")["api_keys"]) == ("FINISHED", ["payments"])


def test_a_task_that_is_over_cannot_be_steered(api) -> None:
    task = api.attach("llama3")
    api.task(task)
    for steer in (api.emulator.fail_task, api.emulator.hold_task, api.emulator.release_task):
        with pytest.raises(KeyError, match=task):
            steer(task)


def test_a_task_is_seen_only_by_those_who_may_see_its_project(api) -> None:
    task = api.attach("llama3")
    assert api.call("GET", "/cloud/v1/tasks/no-such-task").status == 404
    api.token = "neighbour"
    assert api.call("GET", f"/cloud/v1/tasks/{task}").status == 404
    assert api.ok("GET", "/cloud/v1/tasks")["count"] == 0
    api.token = None
    assert api.call("GET", f"/cloud/v1/tasks/{task}").status == 401


def _listed(api, **query) -> list[str]:
    return [task["id"] for task in api.ok("GET", "/cloud/v1/tasks", **query)["results"]]


def test_tasks_are_listed_newest_first_ten_at_a_time(api) -> None:
    made = []
    for _ in range(12):
        made.append(api.attach("llama3"))
        api.clock.advance(1)
    assert _listed(api) == made[:1:-1]
    assert _listed(api, offset=10) == [made[1], made[0]]
    assert _listed(api, order_by="asc", limit=2) == made[:2]
    assert _listed(api, sorting="asc", limit=2) == made[:2]
    assert api.ok("GET", "/cloud/v1/tasks", limit=1)["count"] == 12


def test_tasks_are_filtered_by_project_state_type_and_time(make_api) -> None:
    api = make_api(task_seconds=10)
    first = api.attach("llama3")
    api.clock.advance(20)
    second = api.ok("DELETE", "deployments/llama3")["tasks"][0]
    assert _listed(api, state="FINISHED") == [first]
    assert _listed(api, state=["NEW", "FINISHED"]) == [second, first]
    assert _listed(api, state="ERROR") == []
    assert _listed(api, task_type="delete_inference_instance") == [second]
    assert _listed(api, project_id=1234) == [second, first]
    assert _listed(api, project_id=5678) == []
    assert _listed(api, from_timestamp="2026-01-01T00:00:10Z") == [second]
    assert _listed(api, to_timestamp="2026-01-01T00:00:10Z") == [first]
    assert _listed(api, region_id=1) == []
    assert _listed(api, is_acknowledged="true") == []
    assert _listed(api, is_acknowledged="false") == [second, first]


@pytest.mark.parametrize(
    "query",
    [{"state": "DONE"}, {"limit": 1001}, {"order_by": "up"}, {"colour": "red"}, {"from_timestamp": "then"}],
)
def test_a_wrong_filter_is_refused(api, query) -> None:
    assert list(api.refused(400, "GET", "/cloud/v1/tasks", **query)["invalid_fields"]) == list(query)
