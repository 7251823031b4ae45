"""The gate that all requests pass, with real threads; and a client behind it, whose API limits its callers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.http_fakes import (
    BASE_URL,
    PROJECT,
    START,
    TOKEN,
    EmulatedEffects,
    ScriptedEffects,
    answer,
    key_json,
    make_api,
    refusal,
)
from support.rate_limits import LATENCY, Limit, TokenBucket, Window

from reconciler.effects import System
from reconciler.emulator import Answer, Emulator, EmulatorServer, Request, VirtualClock, seed
from reconciler.errors import ApiError, Interrupted, RateLimited
from reconciler.gcore import ApiEvent, EventKind, GcoreApi
from reconciler.gcore.pace import Gate, Shut
from reconciler.model import Secret

Proceed = Callable[[Request], Answer]


class Hurried(System):
    """A clock that runs fifty times as fast."""

    def monotonic(self) -> float:
        return super().monotonic() * 50

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds / 50)


def make_gate(workers: int, effects: System | None = None) -> tuple[Gate, list[tuple[str, float]]]:
    told: list[tuple[str, float]] = []
    return Gate(workers, effects or Hurried(), lambda sentence, wait, _: told.append((sentence, wait))), told


# --- The gate ---------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 8),
    st.integers(1, 12),
    st.lists(st.sampled_from(["pass", "pass", "pass", "refuse", "after", "fail"]), min_size=1, max_size=40),
)
def test_there_are_never_more_in_flight_than_the_limit_and_every_place_is_given_back(
    workers: int, threads: int, ends: list[str]
) -> None:
    gate, _ = make_gate(workers)
    watch, in_flight, too_many = threading.Lock(), [0], []

    def send(end: str) -> None:
        try:
            with gate.place(gate.draw_ticket()) as place:
                with watch:
                    in_flight[0] += 1
                    if in_flight[0] > workers:
                        too_many.append(in_flight[0])
                time.sleep(0.0005)
                with watch:
                    in_flight[0] -= 1
                match end:
                    case "pass":
                        place.passed()
                    case "refuse":
                        place.refused(None, too_often=True)
                    case "after":
                        place.refused(1.0, too_often=True)
                    case _:
                        json.loads("it broke")
        except (ValueError, Shut):
            return

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(send, ends))
    assert too_many == []
    assert gate._in_flight == set()
    assert (gate._line, gate._bells) == ([], {})


def test_after_a_refusal_no_more_than_the_new_limit_are_admitted() -> None:
    gate, told = make_gate(8)
    with gate.place(gate.draw_ticket()) as place:
        place.refused(None, too_often=True)
    most, in_flight, watch = [0], [0], threading.Lock()
    barrier = threading.Barrier(8)

    def send(_: int) -> None:
        barrier.wait()
        with gate.place(gate.draw_ticket()):  # it says nothing, so that the limit stays
            with watch:
                in_flight[0] += 1
                most[0] = max(most[0], in_flight[0])
            time.sleep(0.01)
            with watch:
                in_flight[0] -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(8)))
    assert most == [4]
    assert told[0][0].startswith("The API asks for fewer requests: at most 8 -> 4 in flight, next in 0.")


def test_who_came_first_goes_first_also_when_it_comes_back() -> None:
    gate, _ = make_gate(1)
    early, held = gate.draw_ticket(), gate.draw_ticket()
    order: list[str] = []
    release = threading.Event()

    def wait(name: str, ticket: int) -> threading.Thread:
        def run() -> None:
            with gate.place(ticket):
                order.append(name)

        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: ticket in gate._bells)
        return thread

    with gate.place(held):
        threads = [wait("third", gate.draw_ticket()), wait("fourth", gate.draw_ticket()), wait("first", early)]
        release.set()
    for thread in threads:
        thread.join()
    assert order == ["first", "third", "fourth"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted, OSError])
def test_whatever_ends_a_wait_for_time_lets_the_others_go_on(error: type[BaseException]) -> None:
    class Ending(Hurried):
        def sleep(self, seconds: float) -> None:
            if threading.current_thread() is threading.main_thread():
                raise error("stop")
            super().sleep(seconds)

    gate, _ = make_gate(2, Ending())
    with gate.place(gate.draw_ticket()) as place:
        place.refused(5.0, too_often=True)
    with pytest.raises(error), gate.place(gate.draw_ticket()):
        raise AssertionError("it was let in")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: pool and pass_through(gate), range(6)))
    assert gate._line == []


def test_an_interrupt_in_the_wait_for_a_place_leaves_the_line() -> None:
    class Bell(threading.Condition):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    gate, _ = make_gate(1)
    with gate.place(gate.draw_ticket()):
        ticket = gate.draw_ticket()
        gate._bells[ticket] = Bell(gate._guard)
        with pytest.raises(KeyboardInterrupt), gate.place(ticket):
            raise AssertionError("it was let in")
        assert (gate._line, gate._bells) == ([], {})
    pass_through(gate)


def pass_through(gate: Gate) -> None:
    with gate.place(gate.draw_ticket()) as place:
        place.passed()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


# --- The client behind it ---------------------------------------------------------------------------------------------


def test_a_client_that_is_not_refused_never_sleeps() -> None:
    effects = ScriptedEffects(answer(200, key_json()))
    api = make_api(effects)
    for _ in range(20):
        api.get_key("payments")
    assert effects.slept == []


def test_a_retry_after_holds_back_the_requests_of_everybody() -> None:
    effects = ScriptedEffects(refusal(400), answer(429, {"message": "x"}, headers={"retry-after": "7"}), refusal(404))
    api = make_api(effects)
    for _ in range(2):
        with pytest.raises(ApiError):
            api.create_key("payments", "x", None)
    assert effects.slept == []
    assert api.get_key("another") is None
    assert effects.slept == [7.375]


def test_one_request_that_alone_is_refused_is_given_up_though_others_get_through() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        return refusal(429) if request.url.path.endswith("/payments") else answer(200, key_json("other"))

    def overtake(event: ApiEvent) -> None:
        if event.kind is EventKind.RETRY:
            api.get_key("other")

    effects = ScriptedEffects(respond=respond)
    api = GcoreApi(base_url=BASE_URL, token=Secret(TOKEN), project=PROJECT, effects=effects, listener=overtake)
    with pytest.raises(RateLimited):
        api.get_key("payments")
    assert [sent.url.path.rpartition("/")[2] for sent in effects.sent] == ["payments", "other"] * 4 + ["payments"]


def test_a_request_that_is_sent_again_keeps_its_place_in_line() -> None:
    class Slow(ScriptedEffects):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if threading.current_thread() is other:
                until(lambda: len(gate._line) == 2 or len(effects.sent) == 2)

    def respond(request: httpx.Request) -> httpx.Response:
        if len(effects.sent) > 1:
            return answer(200, key_json(request.url.path.rpartition("/")[2]))
        other.start()
        until(lambda: bool(gate._bells))
        return refusal(429)

    effects = Slow(respond=respond)
    api = make_api(effects, workers=1)
    gate = api._project.exchange._gate
    other = threading.Thread(target=api.get_key, args=["other"])
    api.get_key("payments")
    other.join()
    assert [sent.url.path.rpartition("/")[2] for sent in effects.sent] == ["payments", "payments", "other"]


def test_when_nothing_gets_through_the_next_requests_are_not_even_sent_until_it_is_time() -> None:
    effects = ScriptedEffects(refusal(429))
    api = make_api(effects)
    with pytest.raises(RateLimited, match="status 429"):
        api.get_key("payments")
    sent = len(effects.sent)
    with pytest.raises(RateLimited) as caught:
        api.create_key("payments", "x", None)
    assert len(effects.sent) == sent
    assert caught.value.message == (
        "The API is refusing all requests (too many), so keyform did not create key payments."
    )
    assert (caught.value.effect_is_unknown, caught.value.retry_after) == (False, 6.0)
    effects.sleep(6.0)
    with pytest.raises(RateLimited, match="status 429"):
        api.get_key("payments")
    assert len(effects.sent) == sent + 1


def limited(limit: Limit, now: Callable[[], float], *, says_when: bool) -> Callable[[Request, Proceed], Answer]:
    """An API that answers 429, in its documented form, whenever the limit says so."""
    guard = threading.Lock()

    def intercept(request: Request, proceed: Proceed) -> Answer:
        with guard:
            if limit.ask(now()):
                return proceed(request)
            body = json.dumps({"exception_class": "TooManyRequests", "message": "slow down", "request_id": "r"})
            headers = {"Content-Type": "application/json"}
            if says_when:
                headers["Retry-After"] = str(limit.retry_after(now()))
            return Answer(429, headers, body.encode())

    return intercept


@pytest.mark.parametrize("says_when", [True, False], ids=["with Retry-After", "without"])
@pytest.mark.parametrize("name", ["100 in 10 seconds", "10 a second after a burst of 100", "10 a second"])
def test_one_worker_makes_300_keys_at_ten_a_second(name: str, says_when: bool) -> None:
    limit: Limit = TokenBucket(10, 100 if "burst" in name else 1)
    if name == "100 in 10 seconds":
        limit = Window(100, 10)

    class Slow(EmulatedEffects):
        def send(self, request: httpx.Request) -> httpx.Response:
            self.sleep(LATENCY)
            return super().send(request)

        def monotonic(self) -> float:
            return (self.emulator.clock.now() - START).total_seconds()

    with Emulator(clock=VirtualClock(START), tokens={TOKEN: [PROJECT]}) as emulator:
        effects = Slow(emulator)
        emulator.interceptor = limited(limit, effects.monotonic, says_when=says_when)
        api = make_api(effects, workers=1)
        secrets = {api.create_key(f"key-{number}", "x", None).secret.reveal() for number in range(300)}
        assert secrets == {key.secret for key in emulator.live_keys(PROJECT).values()}
        assert len(secrets) == 300
        assert effects.monotonic() < 110
        assert len(effects.sent) < 300 + 45


@pytest.mark.parametrize("says_when", [True, False], ids=["with Retry-After", "without"])
def test_40_keys_are_made_over_http_by_ten_workers_at_10_a_second(says_when: bool) -> None:
    events: list[ApiEvent] = []
    with Emulator() as emulator, EmulatorServer(emulator) as server:
        seed(emulator, {"tokens": {TOKEN: [PROJECT]}, "projects": {PROJECT: {}}})
        emulator.interceptor = limited(TokenBucket(10, 10), time.monotonic, says_when=says_when)
        effects = System(connections=10)
        api = make_api(effects, base_url=server.base_url, events=events)
        begun = time.monotonic()
        with ThreadPoolExecutor(10) as pool:
            made = list(pool.map(lambda number: api.create_key(f"key-{number}", "x", None), range(40)))
        seconds = time.monotonic() - begun
        effects.close()
        assert {key.secret.reveal() for key in made} == {key.secret for key in emulator.live_keys(PROJECT).values()}
    assert len({key.key.name for key in made}) == 40
    assert seconds < 30
    assert sum(event.kind is EventKind.REQUEST for event in events) < 40 + 50
    paces = [event for event in events if event.kind is EventKind.PACE]
    assert any("10 -> 5 in flight" in event.detail for event in paces)
    assert all(event.wait_seconds > 0 for event in paces if "fewer" in event.detail)


def test_recovery_is_told_too() -> None:
    events: list[ApiEvent] = []
    effects = ScriptedEffects(refusal(429), answer(200, key_json()))
    api = make_api(effects, events=events, workers=4)
    for _ in range(5):
        api.get_key("payments")
    assert [(event.detail, event.in_flight, event.most) for event in events if event.kind is EventKind.PACE] == [
        ("The API asks for fewer requests: at most 4 -> 2 in flight, next in 0.4s.", 2, 4),
        ("The API takes 3 requests in flight.", 3, 4),
        ("The API takes 4 requests in flight again.", 4, 4),
    ]
