"""Holders of a stack's lock, each a separate process, in a world with one deployment."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from reconciler.apply.api_lock import ApiLock
from reconciler.errors import LockHeld
from support.http_fakes import make_api
from support.worlds import STACK, OtherProcess, World

LIVE = {
    "api_keys": [{"name": "portal-made"}],
    "deployments": [{"name": "llama3", "image": "demo/llama3", "api_keys": ["portal-made"]}],
}


def make_lock(world: World, holder: str, chance: float, told: list[str] | None = None) -> ApiLock:
    effects = OtherProcess(world.emulator, chance)
    heard: list[str] = [] if told is None else told
    return ApiLock(make_api(effects, workers=1), effects, stack=STACK, holder=holder, tell=heard.append)


def locks(world: World) -> list[str]:
    return [name for name in world.live_names() if name.startswith("keyform-lock-")]


def interleave(first: ApiLock, second: ApiLock, order: list[bool], world: World) -> list[bool]:
    """Both acquire, one request each as `order` says; gives who holds it in the end."""
    turn = [threading.Event(), threading.Event()]
    ready = [threading.Event(), threading.Event()]
    done = [False, False]
    holds = [False, False]

    def steps(index: int, lock: ApiLock) -> Iterator[None]:
        effects = lock._effects
        send = effects.send

        def gated(request: object) -> object:
            ready[index].set()
            turn[index].wait(5)
            turn[index].clear()
            return send(request)  # type: ignore[arg-type]

        effects.send = gated  # type: ignore[method-assign,assignment]
        try:
            lock.acquire(timeout=0)
            holds[index] = True
        except LockHeld:
            pass
        finally:
            done[index] = True
            ready[index].set()
            effects.send = send  # type: ignore[method-assign]
        yield

    threads = [
        threading.Thread(target=lambda index=index, lock=lock: list(steps(index, lock)))
        for index, lock in enumerate((first, second))
    ]
    for thread in threads:
        thread.start()
    for index in (0, 1):
        ready[index].wait(5)
    for pick in [*order, *([False, True] * 20)]:
        index = int(pick)
        if done[index]:
            continue
        ready[index].clear()
        turn[index].set()
        ready[index].wait(5)
    for thread in threads:
        thread.join(5)
    return holds
