"""Rewriting an endpoint's list of keys: what is read, written, read again, and reported for each binding."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from support.http_fakes import (
    PROJECT,
    START,
    OpenFence,
    ScriptedEffects,
    Step,
    answer,
    deployment_json,
    key_json,
    make_api,
    refusal,
)

from reconciler.api import Move, Rebinding
from reconciler.errors import (
    ApiError,
    ApiFailed,
    ApiRefused,
    Conflict,
    Interrupted,
    KeyformError,
    LockLost,
    NotFound,
    TaskFailed,
)
from reconciler.gcore import GcoreApi
from reconciler.model import Binding, EndpointKind, EndpointRef

LLAMA = EndpointRef(EndpointKind.DEPLOYMENT, "llama3")
WEBUI = EndpointRef(EndpointKind.APPLICATION, "webui")
LOST = httpx.ReadTimeout("late")


class Door(ScriptedEffects):
    """One deployment, whose list each PATCH replaces unless the script says otherwise, and keys, some of them expired.

    `writes` and `readings` are what the next PATCH and the next GET of the list meet, in order; None is the normal run
    of things. `meddle` is called with the list after each write that was taken, and gives what is then on it.
    """

    def __init__(
        self,
        *names: str,
        expired: Iterable[str] = (),
        gone: Iterable[str] = (),
        writes: Iterable[Step | None] = (),
        readings: Iterable[list[str] | Step | None] = (),
        meddle: Callable[[list[str]], list[str]] = lambda names: names,
        task: Any = "FINISHED",
        **fields: Any,
    ) -> None:
        super().__init__(respond=self.play)
        self.names = list(names)
        self.expired, self.gone = set(expired), set(gone)
        self.writes, self.readings = list(writes), list(readings)
        self.meddle = meddle
        self.task = task
        self.fields = fields
        self.written: list[list[str]] = []
        self.looks = 0

    def play(self, request: httpx.Request) -> Step:
        kind, name = request.url.path.split("/")[-2:]
        if kind == "tasks":
            return answer(200, {"id": "t", "state": self.task, "error": None})
        if kind == "api_keys":
            expires_at = (START - timedelta(hours=1)).isoformat() if name in self.expired else None
            return refusal(404) if name in self.gone else answer(200, key_json(name, expires_at=expires_at))
        if request.method == "GET":
            self.looks += 1
            met = self.readings.pop(0) if self.readings else None
            if isinstance(met, httpx.Response | Exception):
                return met
            shown = self.names if met is None else met
            return answer(200, deployment_json(api_keys=shown, auth_enabled=bool(shown), **self.fields))
        self.written.append(json.loads(request.content)["api_keys"])
        step = self.writes.pop(0) if self.writes else None
        if step is None or step is LOST:
            self.names = self.meddle(self.written[-1])
        return answer(200, {"tasks": ["t"]}) if step is None else step


def at(*names: str, ref: EndpointRef = LLAMA) -> frozenset[Binding]:
    return frozenset(Binding(name, ref) for name in names)


def rebind(door: Door, fence: OpenFence | None = None, **wanted: Any) -> dict[Move, KeyformError]:
    return dict(make_api(door).fenced(fence or OpenFence()).rebind(Rebinding(**wanted)))


def failure(door: Door, fence: OpenFence | None = None, **wanted: Any) -> Any:
    with pytest.raises((KeyformError, ValueError)) as caught:
        rebind(door, fence, **wanted)
    return caught.value


# --- What goes in one write -------------------------------------------------------------------------------------------


def test_an_endpoint_is_written_once_for_all_that_it_gains() -> None:
    door = Door("portal-made")
    assert rebind(door, add=at("b", "a")) == {}
    assert door.written == [["portal-made", "a", "b"]]


def test_bindings_of_one_endpoint_and_its_opening_are_one_group_and_each_move_is_in_one() -> None:
    api = make_api(Door())
    moves: list[Move] = [Binding("a", LLAMA), Binding("a", WEBUI), LLAMA, Binding("b", LLAMA)]
    assert api.group(moves) == ((Binding("a", LLAMA), LLAMA, Binding("b", LLAMA)), (Binding("a", WEBUI),))
    assert api.group([]) == ()


def test_what_is_no_group_is_not_written() -> None:
    door = Door()
    assert "one group at a time" in str(failure(door, add=at("a") | at("a", ref=WEBUI)))
    assert "one group at a time" in str(failure(door))
    assert "names its key" in str(failure(door, add=at("")))
    assert door.sent == []


def test_no_bindings_are_written_without_a_fence() -> None:
    door = Door()
    with pytest.raises(ValueError, match="behind a fence only"):
        make_api(door).rebind(Rebinding(add=at("a")))
    assert door.sent == []


# --- On a reading right before, and verified by one right after -------------------------------------------------------


def test_what_others_have_bound_since_the_plan_stays() -> None:
    door = Door("portal-made", "late-comer", "old")
    assert rebind(door, add=at("new"), remove=at("old")) == {}
    assert door.names == ["portal-made", "late-comer", "new"]


def test_a_write_that_crosses_somebody_elses_is_noticed_and_made_again() -> None:
    edits = iter([["portal-made"], ["portal-made", "other"]])
    door = Door("portal-made", meddle=lambda names: next(edits, names))
    assert rebind(door, add=at("new")) == {}
    assert door.written == [["portal-made", "new"], ["portal-made", "new"], ["portal-made", "other", "new"]]


def test_a_list_that_never_keeps_what_is_written_ends_after_five_writes() -> None:
    door = Door("portal-made", meddle=lambda names: ["portal-made"])
    error = failure(door, add=at("new"))
    assert error.message == ("deployment.llama3 does not keep what is written to it; someone else may be changing it")
    assert len(door.written) == 5


def test_of_several_what_the_last_reading_shows_is_done_and_the_rest_has_the_error() -> None:
    door = Door("old", meddle=lambda names: [*names[:-1], "old"] if "old" not in names else names[:-1])
    undone = rebind(door, add=at("a", "b"))
    assert door.names == ["old", "a"]
    assert list(undone) == [Binding("b", LLAMA)]
    assert "does not keep what is written" in undone[Binding("b", LLAMA)].message


def test_one_reading_alone_is_not_taken_for_the_work_of_another_run() -> None:
    door = Door("portal-made", readings=[["portal-made", "new"]])
    assert rebind(door, add=at("new")) == {}
    assert door.written == [["portal-made", "new"]]


def test_what_two_readings_show_in_place_is_not_written() -> None:
    door = Door("new")
    assert rebind(door, add=at("new"), remove=at("old")) == {}
    assert (door.written, door.looks) == ([], 2)


def test_bindings_that_stay_are_put_back_whatever_a_stale_reading_says() -> None:
    door = Door("mine", "old", "portal-made", readings=[["portal-made"]])
    assert rebind(door, add=at("new"), keep=at("mine") | at("elsewhere", ref=WEBUI)) == {}
    assert door.written == [["portal-made", "mine", "new"]]


def test_a_write_in_which_a_binding_that_stays_is_lost_is_not_done() -> None:
    door = Door("mine", meddle=lambda names: [name for name in names if name != "mine"])
    assert "does not keep what is written" in failure(door, add=at("new"), keep=at("mine")).message
    assert (door.names, len(door.written)) == (["new"], 5)


# --- Answers that are lost, refused or late ---------------------------------------------------------------------------


def test_a_write_whose_answer_is_lost_is_made_again_although_a_reading_shows_it_and_its_task_is_waited_for() -> None:
    door = Door("portal-made", writes=[LOST])
    assert rebind(door, add=at("new")) == {}
    assert door.written == [["portal-made", "new"], ["portal-made", "new"]]


@pytest.mark.parametrize("wanted", [{"add": at("new")}, {"remove": at("old")}], ids=["add", "remove"])
def test_what_a_reading_shows_is_not_done_while_no_write_of_it_has_an_answer(wanted: Any) -> None:
    door = Door("portal-made", "old", writes=[LOST] * 5)
    error = failure(door, **wanted)
    assert (error.effect_is_unknown, len(door.written)) == (True, 5)


def test_what_was_in_place_before_a_write_that_nobody_knows_the_end_of_is_done() -> None:
    door = Door("there", "portal-made", writes=[LOST] * 5)
    undone = rebind(door, add=at("there", "new"))
    assert {move: error.effect_is_unknown for move, error in undone.items()} == {Binding("new", LLAMA): True}


def test_a_busy_endpoint_does_not_hide_that_nobody_knows_the_end_of_an_earlier_write() -> None:
    door = Door("portal-made", writes=[LOST, *[refusal(409)] * 4])
    assert failure(door, add=at("new")).effect_is_unknown


@pytest.mark.parametrize("shows", [True, False], ids=["kept", "not kept"])
@pytest.mark.parametrize(
    "given", [answer(204, text=""), answer(200, deployment_json(api_keys=["new"]))], ids=["empty", "the endpoint"]
)
def test_where_an_answer_names_no_task_the_next_reading_tells(given: httpx.Response, shows: bool) -> None:
    door = Door("portal-made", writes=[given] * 5)
    if shows:
        door.writes = []
        play = door.play
        door.respond = lambda request: given if play(request) and request.method == "PATCH" else play(request)
        assert rebind(door, add=at("new")) == {}
        assert len(door.written) == 1
    else:
        assert "does not keep what is written" in failure(door, add=at("new")).message


def test_a_write_that_did_not_arrive_is_made_again_on_a_new_reading() -> None:
    door = Door("portal-made", writes=[refusal(500)], readings=[None, ["other"]])
    assert rebind(door, add=at("new")) == {}
    assert door.written == [["portal-made", "new"], ["other", "new"]]


def test_a_write_whose_effect_never_shows_stays_unknown() -> None:
    error = failure(Door("portal-made", writes=[refusal(500)] * 5), add=at("new"))
    assert (type(error), error.effect_is_unknown) == (ApiFailed, True)


def test_a_reading_that_fails_after_a_write_leaves_its_effect_unknown() -> None:
    assert failure(Door("portal-made", readings=[None, refusal(403)]), add=at("new")).effect_is_unknown
    assert not failure(Door("portal-made", readings=[refusal(403)]), add=at("new")).effect_is_unknown


def test_a_refusal_is_final_and_holds_up_only_what_is_not_in_place() -> None:
    door = Door("there", writes=[refusal(403)])
    undone = rebind(door, add=at("there", "new"))
    assert [(str(move), error.__class__.__name__) for move, error in undone.items()] == [
        (str(Binding("new", LLAMA)), "Forbidden")
    ]
    assert len(door.written) == 1
    error = failure(Door(writes=[refusal(400)]), add=at("new"))
    assert (type(error), error.effect_is_unknown) == (ApiRefused, False)


def test_an_endpoint_that_is_busy_is_waited_for_longer_each_time() -> None:
    door = Door("portal-made", writes=[refusal(409), refusal(409)])
    assert rebind(door, add=at("new")) == {}
    assert [seconds for seconds in door.slept if seconds >= 2] == [2.0, 4.0]
    assert isinstance(failure(Door(writes=[refusal(409)] * 5), add=at("new")), Conflict)


def test_a_task_that_fails_leaves_nothing_done() -> None:
    door = Door("portal-made", task="ERROR")
    error = failure(door, add=at("new"))
    assert (type(error), error.effect_is_unknown, len(door.written)) == (TaskFailed, False, 1)


@pytest.mark.parametrize("shows", [True, False], ids=["shown", "not shown"])
@pytest.mark.parametrize("task", ["RUNNING", "CANCELLED", "", None, 7], ids=repr)
def test_a_task_that_does_not_end_as_tasks_do_leaves_the_effect_unknown_whatever_a_reading_shows(
    task: Any, shows: bool
) -> None:
    door = Door("old", "portal-made", task=task, meddle=lambda names: names if shows else ["old", "portal-made"])
    error = failure(door, add=at("new"), remove=at("old"))
    assert (type(error), error.effect_is_unknown, len(door.written)) == (TaskFailed, True, 1)


def test_an_endpoint_that_is_seen_to_be_open_while_its_task_never_ends_is_not_opened() -> None:
    error = failure(Door("payments", task="RUNNING"), remove=at("payments"), opens=frozenset({LLAMA}))
    assert (type(error), error.effect_is_unknown) == (TaskFailed, True)


def test_an_endpoint_that_is_gone_or_somebody_elses_is_not_written() -> None:
    door = Door(readings=[refusal(404)])
    assert isinstance(failure(door, add=at("new")), NotFound)
    owned = Door(object_references=[{"kind": "AppDeployment", "name": "webui"}])
    assert "now belongs to the application webui" in failure(owned, add=at("new")).message
    assert door.written == owned.written == []


def test_a_user_who_waits_no_longer_is_heard_before_each_write() -> None:
    class Impatient(Door):
        def sleep(self, seconds: float) -> None:
            raise Interrupted("Interrupted while waiting.")

    door = Impatient("portal-made")
    assert isinstance(failure(door, add=at("new")), Interrupted)
    assert door.written == []


# --- No endpoint is left without a valid key --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "trouble"),
    [([], {}), (["other"], {"expired": ["other"]}), (["other"], {"gone": ["other"]})],
    ids=["nothing", "an expired key", "a key that is gone"],
)
def test_the_last_valid_key_stays(left: list[str], trouble: dict[str, list[str]]) -> None:
    door = Door("payments", *left, **trouble)
    error = failure(door, remove=at("payments"))
    assert error.message == "deployment.llama3 would be left without a valid key, so payments stays bound to it"
    assert door.written == []


def test_a_key_goes_when_another_is_seen_to_be_valid_and_the_list_is_read_again_after_that_look() -> None:
    door = Door("old", "other", readings=[None, ["old", "other", "late-comer"]])
    assert rebind(door, remove=at("old")) == {}
    assert door.written == [["other", "late-comer"]]


def test_of_two_keys_that_have_expired_the_one_that_stays_keeps_the_endpoint_closed() -> None:
    door = Door("old", "older", expired=["old", "older"])
    assert rebind(door, remove=at("older")) == {}
    assert door.written == [["old"]]


@pytest.mark.parametrize("status", [400, 500])
def test_an_expired_key_that_is_to_go_later_goes_at_once_where_the_api_refuses_a_list_with_it(status: int) -> None:
    door = Door("old", "older", "portal-made", expired=["old"], writes=[refusal(status)])
    assert rebind(door, add=at("new"), going=at("old", "older")) == {}
    assert door.names == (["old", "older"] if status == 500 else ["older"]) + ["portal-made", "new"]


def test_a_key_that_expires_and_was_only_to_be_added_is_refused_as_the_api_does() -> None:
    door = Door("portal-made", expired=["new"], writes=[refusal(400)])
    assert isinstance(failure(door, add=at("new")), ApiRefused)
    assert len(door.written) == 1


# --- Opening ----------------------------------------------------------------------------------------------------------


def test_an_endpoint_opens_by_losing_its_last_key_in_one_write() -> None:
    door = Door("payments", "portal-made")
    assert rebind(door, remove=at("payments", "portal-made"), opens=frozenset({LLAMA})) == {}
    assert (door.written, door.names) == ([[]], [])


def test_an_endpoint_that_somebody_bound_a_key_to_stays_closed_and_that_is_told() -> None:
    door = Door("payments", "late-comer")
    undone = rebind(door, remove=at("payments"), opens=frozenset({LLAMA}))
    assert {move: error.message for move, error in undone.items()} == {
        LLAMA: "deployment.llama3 was not opened: late-comer is bound to it now"
    }
    assert door.written == [["late-comer"]]


def test_an_endpoint_without_keys_that_asks_for_one_is_written_to_open_it() -> None:
    shown = answer(200, deployment_json(api_keys=[], auth_enabled=True))
    door = Door(readings=[shown])
    assert rebind(door, opens=frozenset({LLAMA})) == {}
    assert door.written == [[]]
    stuck = Door(readings=[shown] * 9)
    assert "does not keep what is written" in failure(stuck, opens=frozenset({LLAMA})).message


# --- The fence --------------------------------------------------------------------------------------------------------


class Journal(OpenFence):
    """A fence that is asked between the requests of a door, and is lost at one of its questions."""

    def __init__(self, door: Door, lost_at: int = 0) -> None:
        super().__init__()
        self.door = door
        self.lost_at = lost_at
        self.order: list[str] = []
        self.seen = 0

    def note(self, question: str) -> None:
        sent = [f"{request.method} {request.url.path.split('/')[-2]}" for request in self.door.sent]
        self.order += [*sent[self.seen :], question]
        self.seen = len(sent)
        self.asked.append(question)
        if len(self.asked) == self.lost_at:
            raise LockLost("The lock was lost.")

    def check(self) -> None:
        self.note("check")

    def hold(self) -> None:
        self.note("hold")

    def keep_alive(self) -> None:
        self.note("keep_alive")


def test_the_fence_is_asked_right_before_the_reading_held_before_the_write_and_asked_after_it() -> None:
    door = Door("portal-made")
    fence = Journal(door)
    assert rebind(door, fence, add=at("new")) == {}
    assert fence.order == [
        *("check", "GET deployments", "hold", "PATCH deployments", "keep_alive", "GET tasks", "check"),
    ]
    assert [request.method for request in door.sent[fence.seen :]] == ["GET"]


def test_the_fence_is_asked_before_a_write_is_sent_again() -> None:
    door = Door("portal-made", writes=[refusal(429)])
    fence = Journal(door)
    assert rebind(door, fence, add=at("new")) == {}
    assert fence.asked == ["check", "hold", "check", "hold", "keep_alive", "check"]


@pytest.mark.parametrize(
    ("lost_at", "writes", "is_unknown"),
    [(1, 0, False), (2, 0, False), (3, 1, True), (4, 1, True)],
    ids=["before the reading", "before the write", "during the task", "after the write"],
)
def test_a_lock_that_is_lost_says_whether_the_write_was_sent(lost_at: int, writes: int, is_unknown: bool) -> None:
    door = Door("portal-made")
    error = failure(door, Journal(door, lost_at), add=at("new"))
    assert (type(error), error.effect_is_unknown, len(door.written)) == (LockLost, is_unknown, writes)


def test_a_lock_that_is_lost_after_a_write_of_unknown_effect_leaves_it_unknown() -> None:
    door = Door("portal-made", writes=[LOST])
    error = failure(door, Journal(door, 3), add=at("new"))
    assert (type(error), error.effect_is_unknown) == (LockLost, True)


@pytest.mark.parametrize(
    "write",
    [
        lambda api: api.create_key("payments", "", None),
        lambda api: api.delete_key("payments"),
    ],
    ids=["create", "delete"],
)
def test_a_fence_holds_writes_of_keys_too_and_leaves_the_api_without_it_as_it_was(
    write: Callable[[GcoreApi], object],
) -> None:
    effects = ScriptedEffects(answer(200, key_json(secret="abc")))
    fence = OpenFence()
    api = make_api(effects)
    fenced = api.fenced(fence)
    write(fenced)
    assert fence.asked == ["hold"]
    write(api)
    fenced.get_key("payments")
    assert fence.asked == ["hold"]
    assert (len(effects.sent), fenced.host) == (3, api.host)
    assert {request.url.path.split("/")[4] for request in effects.sent} == {str(PROJECT)}


def test_nothing_that_is_raised_holds_what_came_before() -> None:
    errors = [
        failure(Door(writes=[refusal(500)] * 5), add=at("new")),
        failure(Door(writes=[refusal(400)]), add=at("new"), going=at("new")),
        failure(Door(writes=[LOST], readings=[None, refusal(403)]), add=at("new")),
    ]
    assert all(isinstance(error, ApiError) and error.__context__ is None for error in errors)
