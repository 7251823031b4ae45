"""`prove: true` end to end over HTTP: what the plan says, what progress tells, and what comes of it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from cli.conftest import Keyform
from cli.faults import always, on, refusal
from cli.processes import wait_until
from cli.stage import HEAD, PROJECT, World
from support.lazy import Lazy
from support.proxies import answering, serving

from reconciler.emulator import Answer, Request

openai = Lazy("openai")
PROVEN = HEAD.replace("{sink: local}", "{sink: local, prove: true}") + (
    "keys:\n"
    "  payments:\n    deployments: [llama3, whisper]\n"
    "  search:\n    deployments: [llama3]\n    applications: [webui]\n    prove: false\n"
)
NEXT = PROVEN.replace("[llama3, whisper]\n", "[llama3, whisper]\n    expires_at: 2099-01-01\n")


@pytest.fixture
def applied(world: World, keyform: Keyform) -> World:
    world.write(PROVEN)
    assert keyform("apply", "--auto-approve").code == 0
    return world


def test_the_plan_says_what_is_proven_and_the_run_does_it(world: World, keyform: Keyform) -> None:
    asked: list[str] = []
    world.emulator.listeners.append(
        lambda request, answer: asked.append(request.path) if request.path.startswith("/dataplane") else None
    )
    world.write(PROVEN)
    said = keyform("plan", "--no-color").out
    assert said.count("+ proves") == 1
    assert "      + binds       deployment.llama3, deployment.whisper\n      + proves      deployment.llama3" in said
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0
    assert "key.payments: proving payments at deployment.llama3, deployment.whisper...\n" in ran.err
    assert "key.payments: proved payments at deployment.llama3, deployment.whisper in " in ran.err
    assert [path.split("/")[4] for path in asked] == ["llama3", "whisper"], "search is not proven"
    world.in_order(keyform)
    assert keyform("verify").code == 0


def test_json_tells_of_the_proof(world: World, keyform: Keyform) -> None:
    world.write(PROVEN)
    ran = keyform("apply", "--auto-approve", "--json")
    (change,) = [change for change in ran.plan["keyform"]["changes"] if change["step"] == "prove"]
    assert change["id"] == "prove payments"
    assert change["fields"] == {
        "key": "payments",
        "live_name": "payments",
        "live_id": None,
        "endpoints": ["deployment.llama3", "deployment.whisper"],
    }
    assert "prove payments" in next(
        change["depends_on"] for change in ran.plan["keyform"]["changes"] if change["id"] == "publish payments"
    )
    assert "prove payments" in {outcome["id"] for outcome in ran.result["outcomes"] if outcome["state"] == "done"}


def test_the_official_client_goes_on_with_the_old_secret_when_the_new_one_is_refused(
    applied: World, keyform: Keyform
) -> None:
    old = applied.held()["PAYMENTS"]

    def refuses_the_new(request: Request, proceed: object) -> Answer:
        given: Answer = proceed(request)  # type: ignore[operator]
        return given if request.header("x-api-key") in (old, None) else Answer(401, {}, b"{}")

    applied.fail(on("GET", "whisper/v1/models", refuses_the_new))
    applied.write(NEXT)
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    said = " ".join(ran.out.split())
    assert "Failed ! key.payments proving payments-g2 at deployment.llama3, deployment.whisper" in said
    assert "why: deployment.whisper refuses the new secret (status 401)" in said
    assert "fix: the secret was not published, and the sinks are unchanged" in said
    assert "key.payments: deployment.whisper refused it (status 401); trying again in" in ran.err
    assert applied.held()["PAYMENTS"] == old
    address = f"{applied.url}/dataplane/{PROJECT}/deployments/whisper/v1"
    with openai.OpenAI(base_url=address, api_key="unused", default_headers={"X-API-Key": old}) as client:
        assert client.models.list().data
    applied.fail(None)
    assert keyform("apply", "--auto-approve").code == 0
    assert applied.owned() == ["payments", "payments-g3", "search"]
    assert applied.held()["PAYMENTS"] == applied.secret_of("payments-g3")
    assert keyform("verify").code == 0


def test_the_secret_goes_to_no_other_address(world: World, keyform: Keyform, tmp_path: Path) -> None:
    """Neither where a redirect leads, nor to an address that is not https."""
    del tmp_path
    world.write(PROVEN)
    heads: list[bytes] = []
    with serving(answering(heads=heads)) as port:
        to = {"Location": f"http://127.0.0.1:{port}/v1/models"}
        world.fail(on("GET", "llama3/v1/models", always(Answer(307, to, b""))))
        ran = keyform("apply", "--auto-approve")
        assert ran.code == 1
        assert "returned a redirect, which keyform does not follow (status 307)" in " ".join(ran.out.split())
        world.fail(None)
        world.emulator.base_url = f"http://localhost.example.com:{port}"
        ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    assert "has an address that is not https, and was not called" in " ".join(ran.out.split())
    assert heads == []
    assert "PAYMENTS" not in world.held()


@pytest.mark.process("it is signalled")
@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_ends_the_waiting_and_nothing_is_published(world: World, keyform: Keyform, signals: int) -> None:
    world.write(PROVEN)
    world.fail(on("GET", "llama3/v1/models", always(refusal(503))))
    running = world.start("apply", "--auto-approve")
    running.wait_for("trying again in")
    begun = time.monotonic()
    for _ in range(signals):
        running.send(signal.SIGINT)
        running.wait_for("Stopping")
    ran = running.finish()
    assert time.monotonic() - begun < 15
    assert ran.code == 1
    assert "PAYMENTS" not in world.held()
    world.fail(None)
    assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)


@pytest.mark.process("it is killed")
def test_a_run_that_is_killed_while_it_proves_leaves_nothing_that_the_next_one_does_not_clear(
    world: World, keyform: Keyform
) -> None:
    world.write(PROVEN)
    world.fail(on("GET", "llama3/v1/models", always(refusal(503))))
    running = world.start("apply", "--auto-approve")
    running.wait_for("trying again in")
    running.send(signal.SIGKILL)
    wait_until(lambda: running.process.poll() is not None, "its end")
    running.finish()
    world.fail(None)
    world.break_lock()
    assert keyform("apply", "--auto-approve").code == 0
    assert world.owned() == ["payments-g2", "search-g2"], "nothing is published before all that is proven is"
    world.in_order(keyform)
