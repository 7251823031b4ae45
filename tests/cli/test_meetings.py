"""Several stacks of one project, each a separate process, apply at the same time to deployments that they share."""

from __future__ import annotations

import random
import threading

import pytest
from cli.conftest import MakeWorld
from cli.processes import PATIENCE
from cli.stage import PROJECT, Proceed

from reconciler.emulator import Answer, Request

pytestmark = pytest.mark.process("several of them meet")


def stack_file(stack: str, keys: int) -> str:
    """A stack whose keys open everything there is."""
    head = f"version: 1\nstack: {stack}\nproject: {PROJECT}\n"
    sinks = f"sinks:\n  local: {{type: dotenv, path: {stack}.env}}\ndefaults: {{sink: local}}\nkeys:\n"
    opens = "    deployments: [llama3, whisper]\n    applications: [webui]\n"
    return head + sinks + "".join(f"  {stack}-{number}:\n{opens}" for number in range(keys))


@pytest.mark.parametrize("size", [2, 3, pytest.param(6, marks=pytest.mark.torture)])
def test_stacks_that_apply_at_once_lose_no_binding(make_world: MakeWorld, size: int) -> None:
    world, chance = make_world(task_seconds=1.5), random.Random(size)
    stacks = {f"team-{number}": chance.randint(1, 3) for number in range(size)}
    for stack, keys in stacks.items():
        world.write(stack_file(stack, keys), f"{stack}.yaml")
    made = threading.Barrier(size)

    def meet(request: Request, proceed: Proceed) -> Answer:
        """None of them binds before each has made its first key."""
        answer = proceed(request)
        if request.method == "POST" and any(f'"{stack}-0"'.encode() in request.body for stack in stacks):
            made.wait(PATIENCE)
        return answer

    world.fail(meet)
    running = [world.start("apply", "--auto-approve", "-f", f"{stack}.yaml") for stack in stacks]
    ended = [each.finish() for each in running]
    assert [ran.code for ran in ended] == [0] * size, [ran.err for ran in ended]
    assert any("waiting for the lock of the lists of keys, held by " in ran.err for ran in ended)
    for stack, keys in stacks.items():
        held = world.held(f"{stack}.env")
        assert len(held) == keys
        for secret in held.values():
            assert all(world.opens(name, secret) for name in ("llama3", "whisper"))
            assert world.opens("webui", secret, "application")
    assert "portal-made" in world.bound("llama3")
    assert world.locks == []
