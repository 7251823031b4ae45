"""Lists of keys that several stacks write: one writer at a time, and a last look at what was written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.http_fakes import PROJECT, START, make_api
from support.states import declared, desired, key
from support.worlds import BASE_URL, OtherProcess, World, apply_under, patch_in_portal, states

from reconciler.apply.api_lock import GRACE, LIFETIME, ApiLock
from reconciler.apply.holdings import Scope
from reconciler.apply.lists import PATIENCE
from reconciler.apply.lock import FileLock, Lock, NoLock
from reconciler.emulator import Answer, Modes, Request
from reconciler.errors import LockHeld
from reconciler.model import LISTS, Auth, DesiredState, lock_name, read_lock_name
from reconciler.plan import compute_plan
from reconciler.plan.changes import Plan, Publish
from reconciler.plan.outcomes import Event, Finished, OutcomeState, Result, StepNote
from reconciler.snapshot import take_snapshot

LIVE: dict[str, Any] = {
    "api_keys": [{"name": "portal-made"}],
    "deployments": [
        {"name": name, "image": f"demo/{name}", "api_keys": ["portal-made"]} for name in ("flux", "llama3", "whisper")
    ],
}
FIRST = desired(key("payments", "llama3", "whisper"))
MADE_IN_PORTAL = "keyform-lock--lists-e7"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, LIVE)


def stack_lock(world: World, stack: str = "prod", told: list[str] | None = None, chance: float = 0.25) -> ApiLock:
    effects = OtherProcess(world.emulator, chance)
    tell = [].append if told is None else told.append
    api = make_api(effects, base_url=BASE_URL, workers=1)
    return ApiLock(api, effects, stack=stack, holder=f"{stack}@ci", request_limit=30.0, tell=tell)


def lists_lock(world: World, stack: str = "other", chance: float = 0.75) -> ApiLock:
    """As another stack takes it."""
    return stack_lock(world, stack, chance=chance).for_lists(PROJECT)


def apply(
    world: World,
    file: DesiredState,
    lock: Lock | None = None,
    *,
    on_event: Callable[[Event], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> Result:
    return apply_under(
        lock or stack_lock(world),
        lambda: world.plan(file),
        world.api,
        world.sinks(),
        world.effects,
        listener=on_event,
        stop=stop,
    )


def list_locks(world: World) -> list[str]:
    return [name for name in world.live_names() if name.startswith("keyform-lock--lists-")]


def is_list_write(request: Request) -> bool:
    return request.method == "PATCH" and "/deployments/" in request.path


# --- The lock of the lists --------------------------------------------------------------------------------------------


def test_the_lock_of_the_lists_is_called_as_no_lock_of_a_stack_can_be() -> None:
    assert read_lock_name(lock_name(LISTS, 5)) == (LISTS, 5)
    assert not LISTS[0].isalnum(), "a stack's name begins with a letter or digit"
    assert Scope.of_lists(PROJECT).first_number(START) < Scope.of_lists(PROJECT).first_number(START + LIFETIME + GRACE)


def test_it_is_held_only_while_lists_are_written(world: World) -> None:
    held: list[tuple[str, bool]] = []

    def note(request: Request, _: Answer) -> None:
        if request.method != "GET" and "keyform-lock" not in f"{request.path}{request.body!r}":
            held.append((f"{request.method} {request.path.rsplit('/', 1)[-1]}", bool(list_locks(world))))

    assert apply(world, FIRST).complete
    world.emulator.listeners.append(note)
    rotated = replace(FIRST, keys=(replace(FIRST.keys[0], expires_at=START + timedelta(days=9), overlap=timedelta(0)),))
    assert apply(world, rotated).complete
    assert sorted(held[1:3]) == [("PATCH llama3", True), ("PATCH whisper", True)]
    assert sorted(held[4:6]) == [("PATCH llama3", True), ("PATCH whisper", True)]
    assert [held[0], held[3], *held[6:]] == [
        ("POST api_keys", False),
        ("PATCH payments-g2", False),
        ("DELETE payments", False),
    ]
    assert list_locks(world) == []


def count_requests(tmp_path: Path, count: int, endpoints: tuple[str, ...], *, shares: bool) -> int:
    """Of an apply of so many keys, with and without the lock of the lists."""
    folder = tmp_path / f"{count}-{len(endpoints)}-{shares}"
    folder.mkdir()
    world = World(folder, LIVE, task_seconds=0)
    asked: list[Request] = []
    world.emulator.listeners.append(lambda request, _: asked.append(request))
    lock = stack_lock(world)
    if not shares:
        lock.for_lists = lambda project: None  # type: ignore[method-assign,assignment,return-value]
    assert apply(world, desired(*(key(f"key-{number}", *endpoints) for number in range(count))), lock).complete
    return len(asked)


def test_it_costs_a_few_requests_and_none_for_a_key_or_an_endpoint(tmp_path: Path) -> None:
    costs = {
        count_requests(tmp_path, count, endpoints, shares=True)
        - count_requests(tmp_path, count, endpoints, shares=False)
        for count in (1, 10)
        for endpoints in (("llama3",), ("flux", "llama3", "whisper"))
    }
    assert costs == {5}


def test_who_waits_for_the_lists_is_told_for_whom_and_goes_on_when_it_is_their_turn(world: World) -> None:
    other, told = lists_lock(world), list[str]()
    other.acquire(timeout=0)
    waited: list[float] = []

    def give_back_later(text: str) -> None:
        told.append(text)
        world.emulator.interceptor = after_looks(3, other.release)

    lock = stack_lock(world)
    lock._tell = give_back_later
    begun = world.clock.now()
    assert apply(world, FIRST, lock).complete
    waited.append((world.clock.now() - begun).total_seconds())
    assert told == ["waiting for the lock of the lists of keys, held by other@ci for stack other"]
    assert waited[0] < 30


def after_looks(count: int, then: Callable[[], None]) -> Callable[[Request, Callable[[Request], Answer]], Answer]:
    """Something happens after so many looks at the list of keys."""
    looks: list[None] = []

    def intercept(request: Request, proceed: Callable[[Request], Answer]) -> Answer:
        if request.method == "GET" and request.path.endswith("/api_keys"):
            looks.append(None)
            if len(looks) == count:
                then()
        return proceed(request)

    return intercept


def test_a_holder_that_died_is_waited_for_until_its_lock_has_expired(world: World) -> None:
    lists_lock(world).acquire(timeout=0)
    begun = world.clock.now()
    assert apply(world, FIRST).complete
    assert LIFETIME <= world.clock.now() - begun < LIFETIME + GRACE + timedelta(minutes=1)
    assert timedelta(seconds=PATIENCE) > LIFETIME + GRACE
    assert [name for name in world.live_names() if name.startswith("keyform-lock")] == []


def test_at_the_end_of_the_wait_the_binds_fail_and_name_the_holder_and_all_else_stays(world: World) -> None:
    text = "held by other@ci since 2026-11-21T10:00:00Z [keyform-lock 0123456789ab]"
    world.api.create_key(MADE_IN_PORTAL, text, None)  # it never expires
    file = desired(key("payments", "llama3"), key("unbound"))
    result = apply(world, file)
    assert not result.complete
    (bind,) = [each for each in result.outcomes if each.change.step.value == "bind"]
    assert bind.state is OutcomeState.FAILED
    assert bind.detail == "The lists of keys in project 1234 are locked by other@ci."
    assert bind.way_out == (
        "wait, or use --lock-timeout; `keyform unlock` shows who holds it, and releases it if its holder is dead"
    )
    assert states(result)["publish payments"] is OutcomeState.SKIPPED
    assert states(result)["publish unbound"] is OutcomeState.DONE
    assert world.bound("llama3") == ["portal-made"]
    world.api.delete_key(MADE_IN_PORTAL)
    assert apply(world, file).complete
    assert world.converges(file)


def test_a_run_that_is_to_stop_waits_for_no_list(world: World) -> None:
    other, stop = lists_lock(world), threading.Event()
    other.acquire(timeout=0)
    lock = stack_lock(world)
    lock._tell = lambda text: stop.set()
    result = apply(world, FIRST, lock, stop=stop)
    assert result.interrupted
    assert states(result) == {
        "create_generation payments": OutcomeState.DONE,
        "bind payments deployment.llama3": OutcomeState.NOT_STARTED,
        "bind payments deployment.whisper": OutcomeState.NOT_STARTED,
        "publish payments": OutcomeState.NOT_STARTED,
    }
    assert world.bound("llama3") == ["portal-made"]


@pytest.mark.parametrize("gone", ["keyform-lock--lists-", "keyform-lock-prod-"])
def test_a_lock_that_is_gone_lets_nothing_more_be_said_to_be_done(world: World, gone: str) -> None:
    """The run asks for the lists' lock around each list; for the stack's, before it writes secrets and at the end."""
    file, written = desired(key("payments", "flux", "llama3", "whisper")), list[str]()

    def watch(request: Request, _: Answer) -> None:
        if is_list_write(request):
            written.append(request.path)
            for name in [each for each in world.live_names() if each.startswith(gone)]:
                world.api.delete_key(name)

    world.emulator.listeners.append(watch)
    result = apply(world, file)
    assert result.lock_was_lost
    assert not result.interrupted
    assert not result.complete
    assert world.held("payments") is None
    assert len(written) == (1 if "lists" in gone else 3)


def test_an_expired_lock_of_the_lists_goes_with_any_apply_of_any_stack(world: World) -> None:
    assert apply(world, FIRST).complete
    lists_lock(world).acquire(timeout=0)
    assert apply(world, FIRST).complete
    assert len(list_locks(world)) == 1
    world.clock.advance((LIFETIME + GRACE).total_seconds() + 1)
    assert apply(world, FIRST).complete
    assert list_locks(world) == []


@pytest.mark.parametrize("kind", ["none", "file"])
def test_where_the_api_is_to_hold_no_lock_it_holds_none_for_the_lists_either(world: World, kind: str) -> None:
    lock = NoLock() if kind == "none" else FileLock(world.folder / "stack.lock", world.effects)
    assert apply(world, FIRST, lock).complete
    assert [call for call in world.calls if call.startswith(("DELETE", "POST"))] == ["POST api_keys 200"]


def test_in_v2_a_list_belongs_to_a_key_and_so_to_one_stack(tmp_path: Path) -> None:
    world = World(tmp_path, LIVE)
    file = replace(FIRST, api="v2")
    effects = OtherProcess(world.emulator, 0.25)
    api = make_api(effects, base_url=BASE_URL, workers=1, generation="v2")
    assert not api.capabilities.shares_lists

    def look() -> Plan:
        return compute_plan(file, take_snapshot(api, world.sinks(), file), world.clock.now().replace(microsecond=0))

    lock = ApiLock(api, effects, stack="prod", holder="ci", request_limit=30.0)
    names: set[str] = set()
    world.emulator.listeners.append(lambda request, _: names.update(world.live_names()))
    assert apply_under(lock, look, api, world.sinks(), effects).complete
    assert {name for name in names if "lock" in name} == {"keyform-lock-prod-e1"}


def test_only_one_of_two_stacks_has_the_lists(world: World) -> None:
    ours, theirs = lists_lock(world, "one", 0.25), lists_lock(world, "two", 0.75)
    ours.acquire(timeout=0)
    with pytest.raises(LockHeld, match="are locked by one@ci for stack one, until 2026-11-21T10:10:00Z"):
        theirs.acquire(timeout=0)
    ours.release()
    theirs.acquire(timeout=0)
    theirs.release()


# --- The last look ----------------------------------------------------------------------------------------------------


def at_publication(what: Callable[[], None]) -> Callable[[Event], None]:
    """Something happens once a secret is published: after all binds."""

    def on_event(event: Event) -> None:
        if isinstance(event, Finished) and isinstance(event.outcomes[0].change, Publish):
            what()

    return on_event


def test_a_binding_that_somebody_takes_off_during_the_run_is_made_once_more(world: World) -> None:
    notes: list[str] = []

    def on_event(event: Event) -> None:
        at_publication(lambda: patch_in_portal(world, "llama3", ["portal-made"]))(event)
        if isinstance(event, StepNote):
            notes.append(event.text)

    assert apply(world, FIRST, on_event=on_event).complete
    assert world.bound("llama3") == ["payments", "portal-made"]
    assert notes == ["payments is no longer bound to deployment.llama3; this was corrected"]
    assert world.converges(FIRST)


def test_a_binding_that_was_there_before_is_restored_too(world: World) -> None:
    assert apply(world, FIRST).complete
    more = desired(*FIRST.keys, key("search", "llama3"))
    result = apply(world, more, on_event=at_publication(lambda: patch_in_portal(world, "llama3", ["search"])))
    assert result.complete
    assert "payments" in world.bound("llama3")
    assert "portal-made" not in world.bound("llama3"), "who owns that key has to put it back"


@pytest.mark.parametrize("lock", ["api", "none"])
def test_who_keeps_writing_the_list_is_told_of_and_the_run_does_not_end_with_0(world: World, lock: str) -> None:
    on = [False]

    def undo(request: Request, proceed: Callable[[Request], Answer]) -> Answer:
        answer = proceed(request)
        if on[0] and request.method == "GET" and request.path.endswith("/deployments"):
            patch_in_portal(world, "llama3", ["portal-made"])
            answer = proceed(request)
        return answer

    world.emulator.interceptor = undo
    on_event = at_publication(lambda: on.__setitem__(0, True))
    result = apply(world, FIRST, NoLock() if lock == "none" else None, on_event=on_event)
    assert not result.complete
    found = {str(each.change.id): each for each in result.outcomes}
    lost = found.pop("bind payments deployment.llama3")
    assert lost.state is OutcomeState.FAILED
    assert lost.detail == (
        "payments is no longer bound to deployment.llama3: someone else changes its list of keys without the lock"
    )
    assert lost.way_out == "find out who changes it, and run apply again"
    assert {each.state for each in found.values()} == {OutcomeState.DONE}


def test_a_key_that_was_taken_off_and_is_back_goes_once_more(world: World) -> None:
    both = desired(key("payments", "llama3"), key("search", "llama3", "whisper"))
    assert apply(world, both).complete
    less = desired(key("payments", "llama3"), key("search", "whisper"), key("third", "flux"))
    done: list[bool] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Finished) and event.outcomes[0].change.step.value == "unbind" and not done:
            done.append(True)
            patch_in_portal(world, "llama3", ["portal-made", "payments", "search"])

    assert apply(world, less, on_event=on_event).complete
    assert done
    assert world.bound("llama3") == ["payments", "portal-made"]


def test_an_endpoint_that_was_to_open_opens_once_more(world: World) -> None:
    assert apply(world, desired(key("payments", "llama3"))).complete
    opened = desired(
        key("payments", "whisper"), endpoints=[declared("llama3", Auth.OPEN, exclusive=True)], allow_empty=True
    )
    done: list[bool] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Finished) and event.outcomes[0].change.step.value == "unbind" and not done:
            done.append(True)
            patch_in_portal(world, "llama3", ["portal-made"])

    assert apply(world, opened, on_event=on_event).complete
    assert done
    assert world.accepts("llama3", None)


def test_a_last_look_that_fails_is_told_and_nothing_counts_as_done(world: World) -> None:
    on = [False]

    def refuse(request: Request, proceed: Callable[[Request], Answer]) -> Answer:
        if on[0] and request.method == "GET" and request.path.endswith("/deployments"):
            return Answer(403, {"Content-Type": "application/json"}, b'{"message": "no"}')
        return proceed(request)

    world.emulator.interceptor = refuse
    result = apply(world, FIRST, on_event=at_publication(lambda: on.__setitem__(0, True)))
    assert not result.complete
    assert states(result)["publish payments"] is OutcomeState.DONE
    bind = next(each for each in result.outcomes if each.change.step.value == "bind")
    assert bind.state is OutcomeState.UNKNOWN
    assert bind.detail.startswith("it was done, but the final check failed: ")


def test_a_key_that_the_server_takes_off_when_it_expires_was_not_undone_by_anybody(tmp_path: Path) -> None:
    world = World(tmp_path, LIVE, modes=Modes(expired_key="detached"))
    short = desired(key("payments", "llama3", expires_at=START + timedelta(minutes=5)), key("search", "llama3"))
    expire = at_publication(lambda: world.clock.advance(400))
    assert apply(world, short, on_event=expire).complete
    assert world.bound("llama3") == ["portal-made", "search"]


def test_one_old_reading_is_no_last_word(world: World) -> None:
    """It is looked into, and nothing is written."""
    image: list[Answer] = []
    on = [False]

    def stale(request: Request, proceed: Callable[[Request], Answer]) -> Answer:
        answer = proceed(request)
        if request.method == "GET" and request.path.endswith("/deployments"):
            image.append(answer)
            if on[0]:
                on[0] = False
                return image[0]
        return answer

    world.emulator.interceptor = stale
    result = apply(world, FIRST, on_event=at_publication(lambda: on.__setitem__(0, True)))
    assert result.complete
    assert [call for call in world.calls if call.startswith("PATCH llama3")] == ["PATCH llama3 200"]


def make_world(folder: Path, api: str) -> World:
    world = World(folder, LIVE)
    world.api = make_api(world.effects, base_url=BASE_URL, generation=api, workers=2)
    return world


ELSEWHERE = desired(key("payments", "whisper"), key("search", "whisper"))
MORE = desired(key("payments", "llama3", "whisper"), key("search", "whisper"), key("batch", "llama3"))


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize("left", [[], ["portal-made"], ["payments"]], ids=str)
def test_a_list_that_the_run_did_not_write_is_put_right_too(tmp_path: Path, left: list[str], api: str) -> None:
    world, notes = make_world(tmp_path, api), list[str]()
    assert apply(world, replace(ELSEWHERE, api=api), NoLock()).complete
    file = replace(MORE, api=api)

    def on_event(event: Event) -> None:
        if isinstance(event, Finished) and event.outcomes[0].change.step.value == "publish":
            patch_in_portal(world, "whisper", left)
        if isinstance(event, StepNote):
            notes.append(event.text)

    assert apply(world, file, NoLock(), on_event=on_event).complete
    assert {"payments", "search"} <= set(world.bound("whisper"))
    lost = sorted({"payments", "search"} - set(left))
    assert notes == [f"{name} is no longer bound to deployment.whisper; this was corrected" for name in lost]


def test_who_keeps_writing_a_list_that_the_run_did_not_write_is_told_of(world: World) -> None:
    assert apply(world, ELSEWHERE).complete
    on = [False]

    def undo(request: Request, proceed: Callable[[Request], Answer]) -> Answer:
        if on[0] and request.method == "GET" and request.path.endswith("/deployments"):
            patch_in_portal(world, "whisper", ["portal-made", "payments"])
        return proceed(request)

    world.emulator.interceptor = undo
    result = apply(world, MORE, on_event=at_publication(lambda: on.__setitem__(0, True)))
    assert not result.complete
    (failed,) = [each for each in result.outcomes if each.state is not OutcomeState.DONE]
    assert (
        failed.detail
        == "search is no longer bound to deployment.whisper: someone else changes its list of keys without the lock"
    )


def test_a_key_that_somebody_recreated_is_not_bound_again(world: World) -> None:
    assert apply(world, ELSEWHERE).complete
    notes: list[str] = []

    def make_anew() -> None:
        patch_in_portal(world, "whisper", ["portal-made", "payments"])
        world.api.delete_key("search")
        world.api.create_key("search", "bob's", None)

    def on_event(event: Event) -> None:
        at_publication(make_anew)(event)
        if isinstance(event, StepNote):
            notes.append(event.text)

    result = apply(world, MORE, on_event=on_event)
    (failed,) = [each for each in result.outcomes if each.state is not OutcomeState.DONE]
    assert (
        failed.detail
        == "search is no longer bound to deployment.whisper: the live key search no longer belongs to this stack"
    )
    assert world.bound("whisper") == ["payments", "portal-made"]
    assert notes == []


def test_the_last_look_asks_no_more_for_more_lists_and_nothing_where_none_was_written(world: World) -> None:
    asked: list[str] = []
    world.emulator.listeners.append(lambda request, _: asked.append(f"{request.method} {request.path}"))
    assert apply(world, ELSEWHERE).complete
    counts = []
    for places in (("whisper",), ("flux", "whisper")):
        assert apply(world, desired(key("payments", *places), key("search", *places))).complete
        asked.clear()
        more = desired(key("payments", *places), key("search", *places), key(f"more-{len(places)}", "llama3"))
        assert apply(world, more).complete
        counts.append(len(asked))
    assert counts[0] == counts[1]
    asked.clear()
    told = desired(key("payments", "flux", "whisper", text="told"), key("search", "flux", "whisper"))
    assert apply(world, replace(told, keys=(*told.keys, key("more-2", "llama3")))).complete
    assert asked.count(f"GET /cloud/v3/inference/{PROJECT}/deployments") == 2, "the plan's, before and under the lock"
