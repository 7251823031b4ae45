"""The live test against every world that the emulator can be: it names what it meets, and leaves nothing behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from livetest.stage import PUBLIC, SHARED, SPARE, World
from support.http_fakes import PROJECT

from reconciler.emulator import Answer, Modes, Request
from reconciler.livetest.catalogue import NOT_ASKED, QUESTIONS, questions_for
from reconciler.model.findings import Choice, Verdict

APIS = ("v3", "v2")
ALL: Mapping[str, tuple[Choice, ...]] = Modes.choices() | Modes.liberties()
ONLY_WITH: Mapping[str, Mapping[str, Choice]] = {
    "last_key_detached": {"expired_key": "detached"},
    "quota_status": {"key_quota": 3},
    "quota_info": {"key_quota": 3},
}
"""What shows only where another mode has this value."""
NO_DIFFERENCE = {("v2", "api_keys_kept", "doubled")}
"""Values that a generation of the API behaves in as in the default."""
THREE_KEYS = {**PUBLIC, "api_keys": [{"name": f"portal-made-{number}"} for number in range(3)]}


def rows(*, all_values: bool) -> Iterator[Any]:
    for api in APIS:
        for mode, values in ALL.items():
            some = values if all_values else values[1:]
            yield from (pytest.param(api, mode, value, id=f"{api}-{mode}-{value}") for value in some)


def world_of(mode: str, value: Choice) -> World:
    settings: dict[str, Any] = {**ONLY_WITH.get(mode, {}), mode: value}
    live: dict[str, Any] = {**(THREE_KEYS if "key_quota" in ONLY_WITH.get(mode, {}) else PUBLIC)}
    if mode == "scaled_to_zero":
        live["deployments"] = [{**each, "status": "PENDING"} for each in live["deployments"]]
    return World.make(Modes(**settings), live=live)


def test_every_mode_is_asked_for_or_said_to_be_out_of_reach() -> None:
    asked = {mode: values for question in QUESTIONS for mode, values in question.modes.items()}
    out_of_reach = {mode: values for mode, (values, _) in NOT_ASKED.items()}
    assert asked.keys() & out_of_reach.keys() == set()
    said = {mode: set(values) for mode, values in (asked | out_of_reach).items()}
    assert said == {mode: set(values) for mode, values in ALL.items()}
    assert Counter(mode for question in QUESTIONS for mode in question.modes).most_common(1)[0][1] == 1
    assert all(reason for _, reason in NOT_ASKED.values())


@pytest.mark.parametrize(("api", "mode", "value"), [*rows(all_values=True)])
def test_a_value_is_named_and_no_other_is_named_wrongly(api: str, mode: str, value: Choice) -> None:
    world = world_of(mode, value)
    found = world.ask(api)
    named = {each.mode: each for each in found.findings if each.mode}
    assert named.keys() == ALL.keys()
    if mode in {each for question in questions_for(api) for each in question.modes}:
        expected = ALL[mode][0] if (api, mode, value) in NO_DIFFERENCE else value
        assert (named[mode].verdict, named[mode].value) == (Verdict.DETERMINED, expected), named[mode]
    else:
        assert named[mode].verdict is Verdict.UNDETERMINED
        assert named[mode].reason
    wrong = {
        each.mode: (each.value, each.seen)
        for each in named.values()
        if each.verdict is not Verdict.UNDETERMINED and each.value != getattr(world.emulator.modes, each.mode)
    }
    assert {other: seen for other, seen in wrong.items() if (api, other, value) not in NO_DIFFERENCE} == {}
    assert [each.reason for each in named.values() if "could not be read" in each.reason] == []
    if (mode, value) == ("key_delete", "ignored"):
        assert len(found.remains) == len(world.own) == 1
        assert world.own[0] in found.remains[0].what
    else:
        assert found.remains == ()
        assert world.is_as_before()
    assert found.is_complete == (not found.remains)


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("modes", [pytest.param(each, id=f"world-{n}") for n, each in enumerate(Modes.pairwise())])
def test_where_modes_meet_nothing_is_named_wrongly(api: str, modes: Modes) -> None:
    world = World.make(modes)
    found = world.ask(api)
    wrong = {
        each.mode: (each.value, each.seen)
        for each in found.findings
        if each.mode and each.verdict is not Verdict.UNDETERMINED and each.value != getattr(modes, each.mode)
    }
    assert wrong == {}
    assert found.remains == ()
    assert world.is_as_before()


@pytest.mark.parametrize(("api", "mode", "value"), [*rows(all_values=False)])
def test_keys_of_others_stay_attached_and_valid_throughout(api: str, mode: str, value: Choice) -> None:
    settings: dict[str, Any] = {mode: value}
    world = World.make(Modes(**settings), live=SHARED)
    live = world.emulator.live_keys(PROJECT)
    secrets = [live[name].secret for name in ("portal-made", "another-one")]
    cut: list[str] = []

    def look(request: Request, answer: Answer) -> None:
        accepts = [world.emulator.accepts(PROJECT, "deployment", SPARE, secret) for secret in secrets]
        if not all(accepts):
            cut.append(f"{request.method} {answer.status}: a consumer is refused")
        if world.emulator.accepts(PROJECT, "deployment", SPARE, None):
            cut.append(f"{request.method} {answer.status}: it is public")

    world.emulator.listeners.append(look)
    found = world.ask(api, keeps_others=True)
    assert cut == []
    assert (mode, value) == ("key_delete", "ignored") or (world.is_as_before() and not found.remains)


@pytest.mark.parametrize("api", APIS)
def test_without_a_deployment_none_is_touched(api: str) -> None:
    world = World.make(live=SHARED)
    written: list[str] = []
    world.emulator.listeners.append(
        lambda request, _: written.append(request.path) if request.method != "GET" else None
    )
    found = world.ask(api, deployment="")
    assert {path.split("/")[-2 if "keyform-doctor" in path or api == "v2" else -1] for path in written} <= {
        "api_keys",
        "inference",
    }
    assert [path for path in written if "deployments" in path] == []
    needs = {mode for question in questions_for(api) if question.deployment for mode in question.modes}
    reasons = {each.mode: each.reason for each in found.findings}
    assert {reasons[mode] for mode in needs} == {"it needs a deployment: give --deployment NAME"}
    assert found.count(Verdict.DETERMINED) > 10


def test_the_figure_that_is_published(record_property: Any) -> None:
    """How many modes and values there are, and how many a live test can name: each of them is named by a test above."""
    asked = {mode for question in QUESTIONS for mode in question.modes}
    figures = {
        "modes": len(ALL),
        "values": sum(map(len, ALL.values())),
        "modes asked": len(asked),
        "values named": sum(len(ALL[mode]) for mode in asked),
    }
    for name, number in figures.items():
        record_property(name, number)
    assert figures["modes asked"] + len(NOT_ASKED) == figures["modes"]
