"""What a rotation costs, in requests that change something, as keys and deployments grow."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from reconciler.model import DEFAULT_API, DesiredState
from support.faults.effects import HTTP_WRITES, Kind
from support.faults.run import run_once
from support.faults.world import FaultWorld
from support.states import days, desired, key

SIZES = (1, 100, 1000)
DEPLOYMENTS = (1, 10, 100)
OPENS = 2
"""How many deployments each key opens, where there are so many."""


def measure_growth(keys: int, deployments: int, sink: str = "json", api: str = DEFAULT_API) -> dict[str, Any]:
    """All keys rotate in one apply, and are retired in another; `sink` is the type of their sinks."""
    world = FaultWorld.make(
        {
            "api_keys": [{"name": "portal-made"}],
            "deployments": [
                {"name": f"model-{number}", "image": "demo/model", "api_keys": ["portal-made"]}
                for number in range(deployments)
            ],
        },
        {sink: sink},
    )
    state = replace(declare(keys, deployments, sink), api=api)
    assert run_once(world, state).code == 0
    world.clock.advance(days(60).total_seconds() + 3600)
    rotation = count_writes(world, state)
    world.clock.advance(days(7).total_seconds() + 3600)
    retirement = count_writes(world, state)
    total = sum(rotation.values()) + sum(retirement.values())
    assert count_writes(world, state) == {}
    return {
        "api": api,
        "keys": keys,
        "deployments": deployments,
        "bindings": keys * min(OPENS, deployments),
        "rotation": dict(rotation),
        "retirement": dict(retirement),
        "lock": 2 * 2,
        "per_key": round(total / keys, 2),
    }


def declare(keys: int, deployments: int, sink: str) -> DesiredState:
    """So many keys, spread evenly."""
    return desired(
        *(
            key(
                f"key-{number:04}",
                *{f"model-{(number + step) % deployments}" for step in range(min(OPENS, deployments))},
                every=days(60),
                overlap=days(7),
                sinks=[sink],
            )
            for number in range(keys)
        )
    )


def count_writes(world: FaultWorld, state: DesiredState) -> Counter[str]:
    """The requests of an apply that change something, by kind; those of the lock apart."""
    ran = run_once(world, state)
    assert ran.code == 0, ran.error
    world.images.clear()
    return Counter(
        effect.kind.value for effect in ran.trace if effect.kind in HTTP_WRITES and effect.kind is not Kind.LOCK
    )
