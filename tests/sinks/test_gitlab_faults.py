"""Each request of each act on a variable meets each kind of trouble, and the process dies before and after each."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from sinks.gitlab_server import TOKEN, Gitlab, Held
from sinks.places import KEY, GitlabPlace
from sinks.stage import CANARY, record
from support.http_fakes import Hasty

from reconciler.errors import SinkError
from reconciler.model import Secret
from reconciler.sinks import Sink
from reconciler.sinks.store import ATTEMPTS

NAME = GitlabPlace.name
OLD = "the-old-secret$1"
TROUBLES = (
    *("lost", "unheard", "nonsense", "raced: edited-by-hand", "raced: removed"),
    *("301", "400", "401", "403", "404", "409", "412", "422", "429", "500", "502", "503"),
)
OPTIONS: Mapping[str, dict[str, Any]] = {
    "project": {"masked": True},
    "hidden": {"hidden": True},
    "group": {"group": "group", "environment_scope": "prod"},
}


@dataclass(frozen=True)
class Act:
    """What a run does with a sink, and what a variable may hold after it: before it, or after."""

    do: Callable[[Sink], object]
    was_there: bool
    outcome: str | None
    """The secret afterwards."""
    requests: int


ACTS = {
    "create": Act(lambda sink: sink.write(record(KEY), Secret(CANARY)), False, CANARY, 2),
    "update": Act(lambda sink: sink.write(record(KEY, 2), Secret(CANARY)), True, CANARY, 2),
    "remove": Act(lambda sink: sink.remove(KEY), True, None, 2),
    "release": Act(lambda sink: sink.release(KEY), True, OLD, 2),
    "read": Act(lambda sink: sink.read([KEY]), True, OLD, 1),
    "read what is not there": Act(lambda sink: sink.read([KEY]), False, None, 2),
    "read secrets": Act(lambda sink: sink.read_secrets([KEY]), True, OLD, 1),
    "probe": Act(lambda sink: sink.probe([KEY]), True, OLD, 1),
    "rehearse a new one": Act(lambda sink: sink.rehearse([KEY]), False, None, 3),
    "rehearse an update": Act(lambda sink: sink.rehearse([KEY]), True, OLD, 2),
}
CASES = [
    pytest.param(options, name, number, id=f"{options}-{name}-{number}")
    for options, (name, act) in itertools.product(OPTIONS, ACTS.items())
    for number in range(act.requests)
]


class Killed(BaseException):
    """The process is dead."""


class KilledAt(Hasty):
    """Dead at the n-th request (from 0): before it is sent, or after it was answered."""

    def __init__(self, number: int, *, is_sent: bool) -> None:
        super().__init__()
        self.left, self.is_sent = number, is_sent

    def send(self, request: httpx.Request) -> httpx.Response:
        if self.left == 0 and not self.is_sent:
            raise Killed
        answer = super().send(request)
        if self.left == 0:
            raise Killed
        self.left -= 1
        return answer


class Stage:
    """GitLab with, or without, the old generation in it."""

    def __init__(self, gitlab: Gitlab, options: str) -> None:
        self.gitlab, self.place, self.options = gitlab, GitlabPlace(gitlab), OPTIONS[options]
        self.where = "groups" if "group" in self.options else "projects"
        self.scope = self.options.get("environment_scope", "*")

    def open(self, **more: Any) -> Sink:
        return self.place.open(**self.options, **more)

    def begin(self, act: Act) -> None:
        self.gitlab.reset()
        self.gitlab.variables[self.where] = [Held("ANOTHER", "theirs")]
        if act.was_there:
            self.open().write(record(KEY), Secret(OLD))
        self.gitlab.log.clear()

    def held(self) -> Held | None:
        return self.gitlab.find(NAME, self.scope, self.where)

    def is_whole(self) -> bool:
        """Whether value and record belong together, or the value was written by hand."""
        found = self.held()
        if found is None or found.value == "edited-by-hand":
            return True
        generation = 1 if found.value == OLD or "g1" in (found.description or "") else 2
        return f" g{generation} " in (found.description or "") and found.raw and found.protected

    def heal(self, act: Act) -> None:
        """A later run does the same without trouble."""
        self.gitlab.troubles.clear()
        found = self.held()
        if found is not None and found.value == "edited-by-hand" and not found.description:
            return  # somebody else's by now
        act.do(self.open())
        found = self.held()
        assert (found.value if found else None) in {act.outcome, "edited-by-hand"} or found is None
        left = {each.key for each in self.gitlab.variables[self.where]}
        assert left <= {"ANOTHER", NAME}


def attempt(act: Act, sink: Sink) -> SinkError | None:
    """How it failed, if it did; neither a secret nor a token is in any trace of it."""
    found = None
    try:
        act.do(sink)
    except SinkError as error:
        found = error
    if found is not None:
        shown = "".join(traceback.format_exception(found)) + found.diagnostics()
        assert not [word for word in (CANARY, OLD, TOKEN) if word in shown]
        assert found.way_out
        assert found.message.startswith("sink lab: ")
    return found


@pytest.mark.parametrize(("options", "name", "number"), CASES)
@pytest.mark.parametrize("is_lasting", [False, True], ids=["once", "for good"])
def test_no_trouble_at_any_step_loses_a_secret_shows_one_or_lies_about_its_effect(
    *, gitlab: Gitlab, options: str, name: str, number: int, is_lasting: bool
) -> None:
    act, stage = ACTS[name], Stage(gitlab, options)
    for trouble in TROUBLES:
        stage.begin(act)
        before = stage.held()
        gitlab.troubles = [""] * number + [trouble] * (ATTEMPTS * act.requests if is_lasting else 1)
        error = attempt(act, stage.open())
        where = f"{trouble} at request {number + 1} of {name}: {gitlab.log}"
        assert stage.is_whole(), where
        assert gitlab.find("ANOTHER", where=stage.where) == Held("ANOTHER", "theirs"), where
        after = stage.held()
        if trouble.startswith("raced"):
            pass  # somebody else's write counts, whenever it was
        elif error is None:
            value = after.value if after else None
            assert value == act.outcome, where
        elif not error.effect_is_unknown and name in ("create", "update"):
            assert after == before, where
        elif after is not None and before is not None and name != "update":
            assert after.value == before.value, where
        stage.heal(act)


@pytest.mark.parametrize(("options", "name", "number"), CASES)
@pytest.mark.parametrize("is_sent", [False, True], ids=["before", "after"])
def test_a_run_that_dies_at_any_step_leaves_one_whole_generation(
    *, gitlab: Gitlab, options: str, name: str, number: int, is_sent: bool
) -> None:
    act, stage = ACTS[name], Stage(gitlab, options)
    stage.begin(act)
    with pytest.raises(Killed):
        act.do(stage.open(effects=KilledAt(number, is_sent=is_sent)))
    assert stage.is_whole()
    stage.heal(act)


def test_a_paused_run_does_not_write_an_older_generation_over_a_newer_one(gitlab: Gitlab) -> None:
    place = GitlabPlace(gitlab)
    later = replace(record(KEY, 2), created_at=record(KEY).created_at.replace(hour=11))
    place.open().write(later, Secret("the-new-secret"))
    error = attempt(Act(lambda sink: sink.write(record(KEY), Secret(OLD)), True, None, 1), place.open())
    assert error is not None
    assert "holds a newer generation" in error.message
    assert place.secret() == "the-new-secret"
