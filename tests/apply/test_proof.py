"""`prove: true`: a new secret is tried at every endpoint that it opens, before anybody gets it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.http_fakes import START
from support.states import desired, key
from support.worlds import BASE_URL, World, states

from reconciler.emulator import Answer, Modes, Request
from reconciler.model import DesiredState
from reconciler.plan import compute_plan
from reconciler.plan.outcomes import OutcomeState, Result, StepNote
from reconciler.report.outcomes import render_result
from reconciler.sinks.protocol import Sink
from reconciler.snapshot import take_snapshot

LIVE: dict[str, Any] = {
    "api_keys": [{"name": "portal-made"}],
    "deployments": [
        {"name": "llama3", "api_keys": ["portal-made"]},
        {"name": "whisper", "api_keys": ["portal-made"]},
        {"name": "sleeper", "api_keys": ["portal-made"], "status": "PENDING"},
        {"name": "closed", "api_keys": ["portal-made"], "status": "DISABLED"},
    ],
    "applications": [{"name": "webui", "api_keys": ["portal-made"], "components": {"web": {"exposed": True}}}],
}
Proceed = Callable[[Request], Answer]
FIRST = desired(key("payments", "llama3", "whisper", prove=True))
NEXT = desired(key("payments", "llama3", "whisper", prove=True, expires_at=START + timedelta(days=90)))


def make(folder: Path, **modes: Any) -> World:
    world = World(folder, LIVE, modes=Modes(**modes))
    world.emulator.base_url = BASE_URL  # a secret goes to no other plain http
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make(tmp_path)


@pytest.fixture
def asked(world: World) -> list[tuple[str, str]]:
    """The endpoints that were called, each with the secret."""
    return listen_to(world)


def listen_to(world: World) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    def listen(request: Request, answer: Answer) -> None:
        if request.path.startswith("/dataplane"):
            assert request.path.endswith("/v1/models")
            found.append((request.path.split("/")[4], request.header("x-api-key") or ""))
        del answer

    world.emulator.listeners.append(listen)
    return found


def answers(world: World, endpoint: str, respond: Callable[[Request, Proceed], Answer]) -> None:
    """Something else than the emulator answers at an endpoint."""

    def interceptor(request: Request, proceed: Proceed) -> Answer:
        return respond(request, proceed) if f"/{endpoint}/v1/" in request.path else proceed(request)

    world.emulator.interceptor = interceptor


def refusing(status: int) -> Callable[[Request, Proceed], Answer]:
    return lambda request, proceed: Answer(status, {}, b"no")


def notes(world: World) -> list[str]:
    """What progress said of it."""
    return [event.text for event in world.events if isinstance(event, StepNote)]


def outcome_of(result: Result, change_id: str) -> Any:
    return next(outcome for outcome in result.outcomes if str(outcome.change.id) == change_id)


# --- Proven -----------------------------------------------------------------------------------------------------------


def test_a_new_secret_is_tried_everywhere_after_it_is_bound_and_before_it_is_published(
    world: World, asked: list[tuple[str, str]]
) -> None:
    file = desired(key("payments", "llama3", "whisper", "app:webui", prove=True))
    held: list[str | None] = []
    world.emulator.listeners.append(
        lambda request, answer: held.append(world.held("payments")) if "/dataplane" in request.path else None
    )
    plan = world.plan(file)
    assert [str(change.id) for change in plan.changes] == [
        "create_generation payments",
        *(f"bind payments {ref}" for ref in ("application.webui", "deployment.llama3", "deployment.whisper")),
        "prove payments",
        "publish payments",
    ]
    result = world.apply(file)
    assert result.complete
    secret = world.secret_of("payments")
    assert sorted(asked) == [("llama3", secret), ("webui-web", secret), ("whisper", secret)]
    assert held == [None, None, None]
    assert world.held("payments") == secret
    assert world.converges(file)


def test_without_the_word_no_endpoint_is_called(world: World, asked: list[tuple[str, str]]) -> None:
    assert world.apply(desired(key("payments", "llama3"))).complete
    assert asked == []


def test_a_key_that_opens_nothing_has_nothing_to_prove(world: World) -> None:
    assert "prove payments" not in [
        str(change.id) for change in world.plan(desired(key("payments", prove=True))).changes
    ]


def test_turning_it_on_changes_nothing_that_is_live(world: World) -> None:
    assert world.apply(desired(key("payments", "llama3"))).complete
    assert world.converges(desired(key("payments", "llama3", prove=True)))


def test_keys_that_are_still_on_their_way_are_waited_for(tmp_path: Path) -> None:
    world = make(tmp_path, data_plane_lag=5)
    asked = listen_to(world)
    assert world.apply(FIRST).complete
    assert len(asked) > 2
    assert any(
        note.startswith("deployment.llama3 refused it (status 401); trying again in ") for note in notes(world)
    ), notes(world)


def test_an_endpoint_that_is_down_for_a_moment_is_waited_for(world: World) -> None:
    back = world.clock.now() + timedelta(seconds=60)
    answers(world, "llama3", lambda request, go: go(request) if world.clock.now() > back else Answer(502, {}, b""))
    assert world.apply(FIRST).complete
    assert world.clock.now() < back + timedelta(seconds=10)


def test_a_model_server_without_a_list_of_models_proves_as_much(world: World, asked: list[tuple[str, str]]) -> None:
    def no_such_path(request: Request, proceed: Proceed) -> Answer:
        given = proceed(request)
        return Answer(404, {}, b"Not Found") if given.status == 200 else given

    answers(world, "llama3", no_such_path)
    assert world.apply(FIRST).complete
    secret = world.secret_of("payments")
    assert sorted(asked) == [("llama3", ""), ("llama3", secret), ("whisper", secret)]


# --- Not proven -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (401, "deployment.llama3 refuses the new secret (status 401)"),
        (503, "deployment.llama3 did not confirm the new secret: it answered with status 503"),
        (
            404,
            "deployment.llama3 did not confirm the new secret: with it, it answered with status"
            " 404; without a key, it answered with status 404",
        ),
    ],
)
def test_a_secret_that_is_not_taken_is_not_published_and_the_old_one_stays(
    world: World, status: int, detail: str
) -> None:
    assert world.apply(FIRST).complete
    old = world.secret_of("payments")
    answers(world, "llama3", refusing(status))
    begun = world.clock.now()
    result = world.apply(NEXT)
    assert timedelta(seconds=120) <= world.clock.now() - begun <= timedelta(seconds=140)
    assert not result.complete
    assert states(result)["prove payments-g2"] is OutcomeState.FAILED
    assert states(result)["publish payments-g2"] is OutcomeState.SKIPPED
    assert outcome_of(result, "prove payments-g2").detail == detail
    assert "the secret was not published" in outcome_of(result, "prove payments-g2").way_out
    assert outcome_of(result, "publish payments-g2").detail == "waits for prove payments-g2"
    assert world.held("payments") == old
    assert world.accepts("whisper", old)
    assert {key.name: key.ownership.phase.value for key in world.owned() if key.ownership} == {
        "payments": "published",
        "payments-g2": "pending",
    }


def test_the_next_run_discards_what_was_not_proven_and_tries_again(world: World) -> None:
    assert world.apply(FIRST).complete
    old = world.secret_of("payments")
    answers(world, "llama3", refusing(401))
    assert not world.apply(NEXT).complete
    unproven = world.secret_of("payments-g2")
    world.emulator.interceptor = None
    assert world.apply(NEXT).complete
    assert [key.name for key in world.owned()] == ["payments", "payments-g3"]
    assert world.held("payments") == world.secret_of("payments-g3")
    assert world.accepts("llama3", old), "its overlap begins only now"
    assert not world.accepts("llama3", unproven)
    assert world.converges(NEXT)


def test_nor_with_a_sink_that_cannot_be_read_back(world: World) -> None:
    """Its marker says that it is in no such sink, so that it need not be kept for who may have read it there."""
    assert world.apply(FIRST, sinks=write_only(world)).complete
    answers(world, "whisper", refusing(401))
    for _ in range(4):
        plan = compute_plan(NEXT, take_snapshot(world.api, write_only(world), NEXT), world.clock.now())
        assert not world.apply(NEXT, plan=plan, sinks=write_only(world)).complete
    assert [key.name for key in world.owned()] == ["payments", "payments-g5"]
    assert sorted(world.bound("llama3")) == ["payments", "payments-g5", "portal-made"]


def write_only(world: World) -> dict[str, Sink]:
    """The world's sinks, as if nobody could read them."""
    sinks = world.sinks()
    for sink in sinks.values():
        sink.traits = replace(sink.traits, readable=False)
    return sinks


def test_a_run_that_is_refused_again_and_again_leaves_no_more_than_one_behind(world: World) -> None:
    assert world.apply(FIRST).complete
    old = world.secret_of("payments")
    answers(world, "whisper", refusing(401))
    for _ in range(4):
        assert not world.apply(NEXT).complete
        assert len(world.owned()) == 2
        assert world.held("payments") == old
        assert world.accepts("llama3", old)


def test_what_is_not_proven_does_not_hold_up_other_keys(world: World) -> None:
    answers(world, "llama3", refusing(401))
    result = world.apply(desired(key("payments", "llama3", prove=True), key("search", "whisper", prove=True)))
    assert states(result)["publish payments"] is OutcomeState.SKIPPED
    assert states(result)["publish search"] is OutcomeState.DONE
    assert world.held("search") == world.secret_of("search")


def test_what_could_not_be_bound_is_not_tried(world: World, asked: list[tuple[str, str]]) -> None:
    def no_patch(request: Request, proceed: Proceed) -> Answer:
        return Answer(400, {}, b"{}") if request.method == "PATCH" and "whisper" in request.path else proceed(request)

    world.emulator.interceptor = no_patch
    result = world.apply(FIRST)
    assert states(result)["prove payments"] is OutcomeState.SKIPPED
    assert asked == []


def test_a_secret_that_is_not_proven_revokes_nothing(world: World) -> None:
    """The old generation is cut only once another is published, also without an overlap."""

    def file(days: int) -> DesiredState:
        expiry = START + timedelta(days=days)
        return desired(key("payments", "llama3", prove=True, overlap=timedelta(0), expires_at=expiry))

    assert world.apply(file(30)).complete
    old = world.secret_of("payments")
    answers(world, "llama3", refusing(503))
    assert not world.apply(file(60)).complete
    assert world.accepts("llama3", old)
    assert "payments" in world.bound("llama3")


def test_an_interruption_ends_the_waiting_and_publishes_nothing(world: World) -> None:
    stop = threading.Event()
    answers(world, "llama3", refusing(503))
    begun = world.clock.now()
    result = world.apply(FIRST, stop=stop, on_event=lambda event: stop.set() if isinstance(event, StepNote) else None)
    assert world.clock.now() - begun < timedelta(seconds=20)
    assert result.interrupted
    assert states(result)["publish payments"] in (OutcomeState.NOT_STARTED, OutcomeState.SKIPPED)
    assert world.held("payments") is None


# --- Asleep -----------------------------------------------------------------------------------------------------------

SLEEPY = desired(key("payments", "llama3", "sleeper", prove=True))


def test_an_endpoint_that_is_scaled_to_zero_is_woken_and_proven_if_it_wakes_in_time(tmp_path: Path) -> None:
    world = make(tmp_path, scaled_to_zero="gate_sleeps_too")
    result = world.apply(SLEEPY)
    assert result.complete
    assert outcome_of(result, "prove payments").detail == ""


def never_wakes(world: World) -> None:
    answers(world, "sleeper", refusing(503))


def test_an_endpoint_that_stays_asleep_is_named_and_holds_nothing_up(world: World) -> None:
    never_wakes(world)
    begun = world.clock.now()
    result = world.apply(SLEEPY)
    assert timedelta(seconds=60) <= world.clock.now() - begun <= timedelta(seconds=75)
    assert result.complete
    assert outcome_of(result, "prove payments").detail == "not tried at deployment.sleeper: asleep, scaled to zero"
    assert world.held("payments") == world.secret_of("payments")
    assert render_result(result, colour=False) == (
        "Apply complete! Keys: 1 added, 0 changed, 0 rotated, 0 destroyed.\n"
        "\n"
        "Done, with remarks\n"
        "  ! key.payments  proving payments at deployment.llama3, deployment.sleeper\n"
        "      why: not tried at deployment.sleeper: asleep, scaled to zero\n"
    )


def test_many_keys_wait_for_a_sleeping_endpoint_only_once(world: World) -> None:
    never_wakes(world)
    keys = [key(f"key-{number:02}", "sleeper", prove=True) for number in range(12)]
    begun = world.clock.now()
    assert world.apply(desired(*keys)).complete
    # Two workers wait side by side, and their waiting moves one clock.
    assert world.clock.now() - begun < timedelta(seconds=150)


@pytest.mark.parametrize("status", [401, 404, 503])
def test_many_keys_wait_for_an_endpoint_that_takes_none_only_once(world: World, status: int) -> None:
    answers(world, "llama3", refusing(status))
    keys = [key(f"key-{number:02}", "llama3", prove=True) for number in range(12)]
    begun = world.clock.now()
    result = world.apply(desired(*keys))
    assert world.clock.now() - begun < timedelta(seconds=270)
    assert [states(result)[f"publish {one.name}"] for one in keys] == [OutcomeState.SKIPPED] * 12


def test_an_endpoint_that_is_asleep_and_refuses_is_not_spared(world: World) -> None:
    answers(world, "sleeper", refusing(401))
    result = world.apply(SLEEPY)
    assert states(result)["prove payments"] is OutcomeState.FAILED
    assert world.held("payments") is None


def test_an_awake_endpoint_that_refuses_is_found_before_a_sleeping_one_is_woken(
    world: World, asked: list[tuple[str, str]]
) -> None:
    answers(world, "llama3", refusing(401))
    assert not world.apply(SLEEPY).complete
    assert "sleeper" not in {name for name, _ in asked}


def test_an_application_whose_deployment_is_asleep_is_named(world: World) -> None:
    with world.emulator.editing() as store:
        store.run("UPDATE deployments SET status = 'PENDING' WHERE name = 'webui-web'")
    answers(world, "webui-web", refusing(503))
    result = world.apply(desired(key("payments", "app:webui", prove=True)))
    assert result.complete
    assert outcome_of(result, "prove payments").detail == "not tried at application.webui: asleep, scaled to zero"


def test_a_disabled_endpoint_is_named_and_not_called(world: World, asked: list[tuple[str, str]]) -> None:
    result = world.apply(desired(key("payments", "closed", prove=True)))
    assert result.complete
    assert asked == []
    detail = outcome_of(result, "prove payments").detail
    assert detail == "not tried at deployment.closed: it is disabled"
