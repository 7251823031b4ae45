"""The model of an apply behind the planner's properties does what the real one does, on the emulator."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import assume, given
from support.drawn import ENDPOINTS, files, worlds
from support.fuzzing import fuzz
from support.simulation import simulate
from support.states import bound_to, ref
from support.worlds import World

from reconciler.model import DesiredState, LiveKey, Secret, Snapshot, compose_description
from reconciler.plan import compute_plan


def seeded(before: Snapshot) -> dict[str, Any]:
    """What is live, as the emulator takes it."""
    return {
        "api_keys": [
            {
                "name": key.name,
                "description": compose_description(key.text, key.ownership) if key.ownership else key.text,
                "created_at": key.created_at.isoformat(),
                **({"expires_at": key.expires_at.isoformat()} if key.expires_at else {}),
            }
            for key in before.keys
        ],
        "deployments": [
            {"name": name, "image": "demo/model", "api_keys": sorted(bound_to(before, ref(name)))}
            for name in ENDPOINTS
            if ref(name).kind.value == "deployment"
        ],
        "applications": [
            {
                "name": "webui",
                "application_name": "open-webui",
                "api_keys": sorted(bound_to(before, ref("app:webui"))),
                "components": {"web": {"exposed": True}},
            }
        ],
    }


@dataclass(frozen=True)
class Outline:
    """What of a snapshot both executors have to agree on: all but the instants of what is made and written."""

    keys: dict[str, tuple[Any, ...]]
    bindings: set[tuple[str, str]]
    public: set[str]
    records: dict[str, str]

    @classmethod
    def of(cls, what: Snapshot) -> Outline:
        """A snapshot's outline; the deployments of an application only mirror it."""
        places = {str(endpoint.ref) for endpoint in what.endpoints if endpoint.application is None}
        return cls(
            {key.name: describe(key) for key in what.keys},
            {(each.key_id, str(each.endpoint)) for each in what.bindings if str(each.endpoint) in places},
            {str(endpoint.ref) for endpoint in what.endpoints if endpoint.is_public and str(endpoint.ref) in places},
            {name: record.live_name for name, record in what.sinks["local"].records.items()},
        )


def describe(key: LiveKey) -> tuple[Any, ...]:
    """A live key, without its instants."""
    own = key.ownership
    marker = (own.key, own.generation, own.phase, own.protected, own.published_to, own.named) if own else None
    return key.text, key.expires_at, marker


@fuzz(40)
@given(files(), worlds())
def test_the_real_executor_leaves_what_the_model_leaves(file: DesiredState, drawn: Snapshot) -> None:
    # A proof changes nothing, and has separate tests.
    file = replace(file, keys=tuple(replace(key, prove=False) for key in file.keys))
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), seeded(drawn), sinks={"local": "dotenv", "ci": "json"})
        sinks = world.sinks()
        sinks["ci"].traits = replace(sinks["ci"].traits, readable=False)
        for record in drawn.sinks["local"].records.values():
            sinks["local"].write(record, Secret(world.secret_of(record.live_name)))
        before = world.look(file, sinks)
        plan = compute_plan(file, before, world.clock.now().replace(microsecond=0))
        assume(not plan.refusals)
        result = world.apply(file, plan=plan, sinks=sinks)
        assert result.complete, [outcome for outcome in result.outcomes if outcome.detail]
        assert Outline.of(world.look(file, sinks)) == Outline.of(simulate(plan, before, plan.made_at))
