"""Waiting for tasks."""

from __future__ import annotations

import httpx
import pytest
from support.http_fakes import ScriptedEffects, Step, answer, make_api, refusal, write_list

from reconciler.errors import ApiError, ApiFailed, TaskFailed, UnexpectedAnswer
from reconciler.gcore import ApiEvent, EventKind
from reconciler.model import EndpointKind, EndpointRef

LLAMA = EndpointRef(EndpointKind.DEPLOYMENT, "llama3")


def task(state: str, error: str | None = None) -> httpx.Response:
    return answer(200, {"id": "t", "state": state, "error": error})


class Tasks(ScriptedEffects):
    """A write that is answered with tasks; each task answers its own steps, the last again and again."""

    def __init__(self, **tasks: list[Step]) -> None:
        self.tasks = tasks
        self.looks = dict.fromkeys(tasks, 0)
        super().__init__(respond=self.play)

    def play(self, request: httpx.Request) -> Step:
        if request.method == "PATCH":
            return answer(200, {"tasks": list(self.tasks)})
        name = request.url.path.rpartition("/")[2]
        assert request.url.path == f"/cloud/v1/tasks/{name}"
        steps = self.tasks[name]
        self.looks[name] += 1
        return steps[min(self.looks[name], len(steps)) - 1]


def bind(effects: Tasks, **settings: float) -> None:
    write_list(make_api(effects, **settings), LLAMA, ["payments"])  # type: ignore[arg-type]


def trouble(effects: Tasks, **settings: float) -> ApiError:
    with pytest.raises(ApiError) as caught:
        bind(effects, **settings)
    return caught.value


def test_all_tasks_of_a_write_are_awaited() -> None:
    effects = Tasks(one=[task("NEW"), task("RUNNING"), task("FINISHED")], two=[task("RUNNING"), task("FINISHED")])
    bind(effects)
    assert effects.looks == {"one": 3, "two": 2}


def test_a_task_that_fails_does_not_end_the_wait_for_the_others() -> None:
    effects = Tasks(one=[task("ERROR", "no capacity")], two=[task("RUNNING"), task("FINISHED")])
    error = trouble(effects)
    assert effects.looks == {"one": 1, "two": 2}
    assert error.message == 'Task one, which was to set the keys of deployment.llama3, failed. It says: "no capacity"'
    assert (type(error), error.effect_is_unknown) == (TaskFailed, False)


def test_a_task_that_fails_without_a_word_is_told_without_one() -> None:
    assert trouble(Tasks(one=[task("ERROR")])).message.endswith("failed.")


def test_a_task_that_is_not_done_in_time_may_still_finish() -> None:
    effects = Tasks(one=[task("RUNNING")])
    error = trouble(effects, task_timeout=10.0)
    assert error.message == (
        "Task one, which is to set the keys of deployment.llama3, did not finish within 10"
        " seconds. It may still finish."
    )
    assert (type(error), error.effect_is_unknown) == (TaskFailed, True)
    assert effects.monotonic() == pytest.approx(10)


def test_the_time_is_for_all_tasks_together_and_each_is_looked_at_once_at_least() -> None:
    effects = Tasks(one=[task("RUNNING")], two=[task("RUNNING")])
    trouble(effects, task_timeout=5.0)
    assert effects.monotonic() == pytest.approx(5)
    assert effects.looks["two"] == 1


def test_a_failure_that_leaves_the_effect_open_is_told_before_one_that_does_not() -> None:
    error = trouble(Tasks(one=[task("ERROR", "no")], two=[refusal(404)]))
    assert error.effect_is_unknown


def test_a_task_that_is_forgotten_leaves_the_effect_in_doubt() -> None:
    error = trouble(Tasks(one=[task("RUNNING"), refusal(404, "no such task")]))
    assert error.message.startswith("The API has forgotten task one")
    assert (type(error), error.effect_is_unknown) == (UnexpectedAnswer, True)


def test_an_answer_that_no_task_gives_leaves_the_effect_in_doubt() -> None:
    error = trouble(Tasks(one=[answer(200, [])]))
    assert (type(error), error.effect_is_unknown) == (UnexpectedAnswer, True)


@pytest.mark.parametrize("state", ["CANCELLED", "finished", "", None, 7, ["FINISHED"]], ids=repr)
def test_a_state_that_nobody_knows_ends_the_wait_and_leaves_the_effect_in_doubt(state: object) -> None:
    effects = Tasks(one=[task("RUNNING"), answer(200, {"id": "t", "state": state, "error": None}), task("FINISHED")])
    error = trouble(effects)
    assert error.message == (
        "Task one, which is to set the keys of deployment.llama3, is in an unknown state:"
        f" {state if state and isinstance(state, str) else 'none at all'}. Its effect is unknown."
    )
    assert (type(error), error.effect_is_unknown, effects.looks) == (TaskFailed, True, {"one": 2})


def test_a_task_without_a_state_is_in_none_that_anybody_knows() -> None:
    assert trouble(Tasks(one=[answer(200, {"id": "t"})])).effect_is_unknown


def test_an_api_that_fails_while_a_task_runs_is_waited_out_and_then_leaves_the_effect_in_doubt() -> None:
    bind(Tasks(one=[refusal(500), refusal(500), task("FINISHED")]))
    error = trouble(Tasks(one=[refusal(500)]))
    assert (type(error), error.effect_is_unknown) == (ApiFailed, True)


def test_a_tasks_id_cannot_lead_elsewhere() -> None:
    effects = ScriptedEffects(answer(200, {"tasks": ["../../x?y#z"]}), task("FINISHED"))
    write_list(make_api(effects), LLAMA, ["payments"])
    assert effects.sent[1].url.raw_path == b"/cloud/v1/tasks/..%2F..%2Fx%3Fy%23z"


def test_each_look_is_told_with_its_wait() -> None:
    events: list[ApiEvent] = []
    effects = Tasks(one=[task("RUNNING"), task("FINISHED")])
    write_list(make_api(effects, events=events), LLAMA, ["payments"])
    assert [event for event in events if event.kind not in (EventKind.REQUEST, EventKind.ANSWER)] == [
        ApiEvent(EventKind.TASK_STARTED, "PATCH", "deployment.llama3", detail="one"),
        ApiEvent(EventKind.TASK_POLLING, "PATCH", "deployment.llama3", 1, 0.2, "one"),
        ApiEvent(EventKind.TASK_POLLING, "PATCH", "deployment.llama3", 2, pytest.approx(0.3), "one"),
        ApiEvent(EventKind.TASK_FINISHED, "PATCH", "deployment.llama3", 2, detail="one"),
    ]
