"""When the API fails midway: what was done and what was not, nothing half-recorded, and one clean run repairs it."""

from __future__ import annotations

import pytest
from cli.conftest import Keyform, MakeWorld
from cli.faults import always, cut_short, failed_after, lost, on, refusal
from cli.in_process import InProcess
from cli.stage import ONE_KEY, TOKEN, TWO_KEYS, Fault, Proceed, World

from reconciler.emulator import Answer, Request

MIDWAY: dict[str, tuple[str, str, Fault, int]] = {
    "create answered 500, but made": ("POST", "/api_keys", failed_after, 1),
    "create whose connection is lost after the effect": ("POST", "/api_keys", lost, 1),
    "create whose answer is cut short": ("POST", "/api_keys", cut_short, 1),
    "create answered HTML": ("POST", "/api_keys", always(Answer(200, {"Content-Type": "text/html"}, b"<p>")), 1),
    "every create answered 500, but made": ("POST", "/api_keys", failed_after, 99),
    "every create answered 500, not made": ("POST", "/api_keys", always(refusal(500)), 99),
    "every create cut short": ("POST", "/api_keys", cut_short, 99),
    "binding answered 500, but done": ("PATCH", "/llama3", failed_after, 1),
    "binding always answered 500": ("PATCH", "/llama3", always(refusal(500)), 99),
    "binding refused": ("PATCH", "/llama3", always(refusal(400, "Flavor is gone")), 99),
    "binding whose connection is lost": ("PATCH", "/llama3", lost, 1),
    "binding asked too often": ("PATCH", "/llama3", always(refusal(429)), 99),
    "application refused": ("PATCH", "/webui", always(refusal(409, "Another task is running")), 99),
    "marking as published lost": ("PATCH", "/api_keys/payments", lost, 99),
    "marking as published refused": ("PATCH", "/api_keys/payments", always(refusal(500)), 99),
}


@pytest.mark.parametrize("name", MIDWAY)
def test_trouble_midway_leaves_nothing_that_one_clean_run_does_not_repair(
    world: World, keyform: Keyform, name: str
) -> None:
    method, ending, fault, times = MIDWAY[name]
    world.write(TWO_KEYS)
    world.fail(on(method, ending, fault, times=times))
    ran = keyform("apply", "--auto-approve", "--parallelism", "1")
    assert ran.code in (0, 1)
    assert (ran.code == 0) == ("Apply complete!" in ran.out)
    if ran.code:
        assert "is not complete" in ran.out
        assert "why:" in ran.out
        assert "fix:" in ran.out
        assert "It is safe to run apply again" in " ".join(ran.out.split())
    world.fail(None)
    if ran.code:
        assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)
    assert "portal-made" in world.live_names()


@pytest.mark.parametrize("fault", [failed_after, lost, cut_short], ids=lambda fault: fault.__name__)
def test_a_lost_create_is_discarded_and_the_next_generation_is_used(
    world: World, keyform: Keyform, fault: Fault
) -> None:
    world.write(ONE_KEY)
    world.fail(on("POST", "/api_keys", fault, times=1))
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0, ran.out + ran.err
    assert world.owned() == ["payments-g2"]
    assert world.bound("llama3") == ["payments-g2", "portal-made"]
    assert world.held() == {"PAYMENTS": world.secret_of("payments-g2")}
    world.fail(None)
    world.in_order(keyform)


def test_a_quota_that_ends_after_some_creates_stops_those_keys_alone(world: World, keyform: Keyform) -> None:
    keys = "".join(f"  key-{number}:\n    deployments: [llama3]\n" for number in range(5))
    world.write(ONE_KEY.split("keys:")[0] + "keys:\n" + keys)
    made: list[str] = []

    def quota(request: Request, proceed: Proceed) -> Answer:
        if len(made) == 3:
            return refusal(403, "Quota exceeded: 3 of 3 keys", exception_class="ForbiddenError")
        made.append(request.json()["name"])
        return proceed(request)

    world.fail(on("POST", "/api_keys", quota))
    ran = keyform("apply", "--auto-approve", "--parallelism", "1")
    assert ran.code == 1
    said = " ".join(ran.out.split())
    assert (
        'why: The token has no permission to create key key-3 (status 403, request req-1). It says: "Quota exceeded'
        in said
    )
    assert "or raise the exceeded quota." in said
    assert "Keys: 3 added, 0 changed, 0 rotated, 0 destroyed." in said
    assert "Done + key.key-0, key.key-1, key.key-2" in said
    assert "! deployment.llama3 binding key-3 ! key.key-3 publishing key-3 to local why: waits for create" in said
    assert "bound key-0, key-1, key-2 in " in ran.err
    assert sorted(world.held()) == ["KEY_0", "KEY_1", "KEY_2"]
    assert world.bound("llama3") == ["key-0", "key-1", "key-2", "portal-made"]
    world.fail(None)
    assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)
    assert world.owned() == [f"key-{number}" for number in range(5)], "nothing is made twice"


def test_a_task_that_ends_in_error_is_told_with_its_words(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(task_seconds=0.05)
    keyform = InProcess(world, monkeypatch, capsys)
    world.write(TWO_KEYS)

    def fails(request: Request, proceed: Proceed) -> Answer:
        answer = proceed(request)
        world.emulator.fail_task(answer.json()["tasks"][0], "No GPU is left in this region")
        return answer

    world.fail(on("PATCH", "/llama3", fails))
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 1
    said = " ".join(ran.out.split())
    assert 'which was to set the keys of deployment.llama3, failed. It says: "No GPU is left in this region"' in said
    assert "Keys: 0 added, 0 changed, 0 rotated, 0 destroyed." in said
    assert world.held() == {}, "no secret is published that does not open what it is to open"
    world.fail(None)
    assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)


@pytest.mark.parametrize(
    ("method", "ending"), [("PATCH", "/llama3"), ("PATCH", "/webui"), ("DELETE", "/search"), ("DELETE", "/payments")]
)
@pytest.mark.parametrize("fault", [failed_after, lost, always(refusal(500)), always(refusal(400))], ids=range(4))
def test_trouble_while_keys_are_removed_is_repaired_by_the_next_run(
    world: World, keyform: Keyform, method: str, ending: str, fault: Fault
) -> None:
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    world.write(ONE_KEY.split("keys:")[0] + "keys:\n  other:\n    deployments: [whisper]\n")
    world.fail(on(method, ending, fault))
    ran = keyform("apply", "--auto-approve")
    assert not world.opens("llama3", None)
    world.fail(None)
    if ran.code:
        assert "is not complete" in ran.out
        assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)
    assert world.live_names() == ["portal-made", "other"]


def test_json_says_what_failed_and_stays_json(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    world.fail(on("PATCH", "/llama3", always(refusal(400, "no"))))
    ran = keyform("apply", "--auto-approve", "--json")
    assert ran.code == 1
    assert (ran.result["complete"], ran.result["interrupted"]) == (False, False)
    states = {outcome["state"] for outcome in ran.result["outcomes"]}
    assert states == {"done", "failed", "skipped"}
    assert TOKEN not in ran.out


def test_a_token_that_stops_working_midway_leaves_a_stack_that_a_good_one_repairs(
    world: World, keyform: Keyform
) -> None:
    for allowed in range(3, 16, 3):
        count = [0]

        def revoked(request: Request, proceed: Proceed, allowed: int = allowed, count: list[int] = count) -> Answer:
            count[0] += 1
            return proceed(request) if count[0] <= allowed else refusal(401, f"bad token {TOKEN[:9]}")

        world.write(TWO_KEYS)
        world.fail(revoked)
        ran = keyform("apply", "--auto-approve")
        assert ran.code == 1
        assert ("The lock of stack shop may still exist. The API did not accept " in ran.err) == bool(world.locks)
        world.fail(None)
        world.break_lock()
        assert keyform("apply", "--auto-approve").code == 0
        world.in_order(keyform)
        assert keyform("destroy", "--auto-approve").code == 0
        assert world.live_names() == ["portal-made"]


def test_no_temporary_file_is_left(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    world.fail(on("PATCH", "/api_keys/payments", lost))
    keyform("apply", "--auto-approve")
    assert sorted(path.name for path in world.folder.iterdir()) == ["jobs.json", "keyform.yaml", "secrets.env"]
