"""`keyform verify` over HTTP: who is let in, whether endpoints accept the secrets in the sinks, and what
stays unclear.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cli.conftest import Keyform, MakeWorld
from cli.faults import always, on, refusal
from cli.in_process import InProcess
from cli.stage import HEAD, LIVE, PROJECT, TOKEN, TWO_KEYS, Fault, Proceed, World
from support.lazy import Lazy
from support.proxies import answering, read_head, serving

from reconciler.effects import System
from reconciler.emulator import Answer, Modes, Request, VirtualClock

openai = Lazy("openai")
AWAY = {"deployments": [*LIVE["deployments"], {"name": "sleeper", "status": "PENDING", "api_keys": ["portal-made"]}]}
SLEEPER = HEAD + "keys:\n  payments:\n    deployments: [sleeper, llama3]\n"


@pytest.fixture
def applied(world: World, keyform: Keyform) -> World:
    """Two keys, live and in their sinks."""
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    return world


Begin = Callable[..., tuple[World, Keyform]]


@pytest.fixture
def begin(make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Begin:
    """Makes a world of the given kind, and runs keyform in it; a given clock moves only by waiting."""

    def make(live: dict[str, Any], *, clock: VirtualClock | None = None, **modes: Any) -> tuple[World, Keyform]:
        world = make_world({**LIVE, **live}, clock=clock, modes=Modes(**modes))
        keyform = InProcess(world, monkeypatch, capsys)
        if clock is not None:
            wait: Callable[[System, float], None] = System.sleep

            def sleep(self: System, seconds: float) -> None:
                wait(self, seconds)
                clock.advance(seconds)

            monkeypatch.setattr(System, "sleep", sleep)
            monkeypatch.setattr(System, "now", lambda self: clock.now())
        return world, keyform

    return make


@pytest.fixture
def asked(world: World) -> list[tuple[str, str]]:
    """The endpoints that were called, each with the secret that it was called with."""
    found: list[tuple[str, str]] = []

    def listen(request: Request, answer: Answer) -> None:
        if request.path.startswith("/dataplane"):
            assert (request.method, request.path.rsplit("/", 3)[2:]) == ("GET", ["v1", "models"])
            assert not request.header("authorization")
            found.append((request.path.split("/")[4], request.header("x-api-key") or ""))
        del answer

    world.emulator.listeners.append(listen)
    return found


def states(ran: Any) -> dict[tuple[str, str, str], str]:
    """What became of each secret."""
    return {(b["key"], b["endpoint"], b["sink"]): b["state"] for b in ran.json["bindings"]}


def access(ran: Any) -> dict[str, str]:
    """Whom each endpoint lets in."""
    return {endpoint["address"]: endpoint["access"] for endpoint in ran.json["endpoints"]}


def spoil(world: World, old: str, new: str, path: str = "secrets.env") -> None:
    """Change what a sink's file holds, as somebody with an editor would."""
    file = world.folder / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def moved(name: str, address: str | None) -> Fault:
    """The API gives another address for a deployment."""

    def interceptor(request: Request, proceed: Proceed) -> Answer:
        given = proceed(request)
        if request.method != "GET" or not request.path.endswith(f"/{PROJECT}/deployments"):
            return given
        page = given.json()
        for entry in page["results"]:
            if entry["name"] == name:
                entry["address"] = address
        return Answer(given.status, given.headers, json.dumps(page).encode())

    return interceptor


# --- All is well ------------------------------------------------------------------------------------------------------

WELL = """\
Stack shop (project 1234)

 Endpoint  Kind         Without a key  Made-up key  Access
 ─────────────────────────────────────────────────────────────
 webui     application  401 refused    401 refused  protected
 llama3    deployment   401 refused    401 refused  protected
 whisper   deployment   401 refused    401 refused  protected


 Key       Generation  Endpoint  Sink   Secret
 ────────────────────────────────────────────────
 payments  g1          llama3    local  accepted
           g1          whisper   local  accepted
 search    g1          webui     local  accepted
           g1          webui     jobs   accepted
           g1          llama3    local  accepted
           g1          llama3    jobs   accepted

All as declared: 9 of 9 checks.
"""


def test_all_is_as_declared(applied: World, keyform: Keyform, asked: list[tuple[str, str]]) -> None:
    before, files = len(applied.writes), applied.files()
    ran = keyform("verify", "--no-color")
    assert (ran.code, ran.out, ran.err) == (0, WELL, "")
    assert len(applied.writes) == before
    assert applied.files() == files
    payments, search = applied.secret_of("payments"), applied.secret_of("search")
    made_up = {secret for _, secret in asked} - {"", payments, search}
    assert len(made_up) == 1
    assert re.fullmatch(r"keyform-verify-[A-Za-z0-9]{32}", random := made_up.pop())
    # The same secret in two sinks is tried once, and no other endpoint is called.
    assert sorted(asked) == sorted(
        [
            *((name, key) for name in ("llama3", "whisper", "webui-web") for key in ("", random)),
            *(("llama3", payments), ("whisper", payments), ("llama3", search), ("webui-web", search)),
        ]
    )


def test_each_run_makes_up_another_key(applied: World, keyform: Keyform, asked: list[tuple[str, str]]) -> None:
    keyform("verify")
    keyform("verify")
    assert len({key for _, key in asked if key.startswith("keyform-verify-")}) == 2
    assert all(key not in applied.issued for _, key in asked if key.startswith("keyform-verify-"))


def test_verify_and_the_official_client_agree(applied: World, keyform: Keyform) -> None:
    assert keyform("verify").code == 0
    address = f"{applied.url}/dataplane/{PROJECT}/deployments/llama3/v1"

    def models(secret: str) -> list[str]:
        with openai.OpenAI(
            base_url=address, api_key="unused", default_headers={"X-API-Key": secret}, max_retries=0
        ) as client:
            return [model.id for model in client.models.list()]

    assert models(applied.held()["PAYMENTS"]) == ["llama3"]
    with pytest.raises(openai.AuthenticationError):
        models("keyform-verify-made-up")


def test_json_has_stable_names(applied: World, keyform: Keyform) -> None:
    ran = keyform("verify", "--json")
    assert ran.code == 0
    found = ran.json
    assert list(found) == [
        *("format_version", "stack", "project", "now", "as_declared"),
        *("endpoints", "bindings", "public_endpoints", "in_overlap"),
    ]
    assert (found["stack"], found["project"], found["as_declared"]) == ("shop", PROJECT, True)
    assert found["endpoints"][0] == {
        "address": "application.webui",
        "kind": "application",
        "name": "webui",
        "auth": None,
        "status": "Active",
        "access": "protected",
        "ok": True,
        "without_key_status": 401,
        "random_key_status": 401,
        "reason": "",
    }
    assert found["bindings"][0] == {
        "key": "payments",
        "endpoint": "deployment.llama3",
        "sink": "local",
        "generation": 1,
        "live_name": "payments",
        "state": "accepted",
        "ok": True,
        "secret_status": 200,
        "reason": "",
    }


@pytest.mark.parametrize("parallelism", ["1", "64"])
def test_the_result_does_not_depend_on_how_many_are_asked_at_once(
    applied: World, keyform: Keyform, parallelism: str
) -> None:
    assert keyform("verify", "--parallelism", parallelism).out == WELL


# --- Endpoints --------------------------------------------------------------------------------------------------------


def test_an_endpoint_that_lets_everyone_in_is_public(applied: World, keyform: Keyform) -> None:
    path = f"/cloud/v3/inference/{PROJECT}/deployments/whisper"
    applied.emulator.respond(Request.build("PATCH", path, token=TOKEN, json_body={"api_keys": []}))
    ran = keyform("verify")
    assert ran.code == 1
    assert ran.out.startswith("1 endpoint is PUBLIC, and can be called without a key: deployment.whisper\n\nStack shop")
    assert "  ! deployment.whisper  PUBLIC\n    without a key, it answered (status 200)\n" in ran.out
    assert ran.out.endswith("\nNot as declared: 1 of 9 checks.\n")
    ran = keyform("verify", "--json")
    assert ran.json["public_endpoints"] == ["deployment.whisper"]
    assert access(ran)["deployment.whisper"] == "public"
    assert states(ran)["payments", "deployment.whisper", "local"] == "not_checked", "any secret would be accepted"
    assert states(ran)["payments", "deployment.llama3", "local"] == "accepted"


@pytest.mark.parametrize(("auth", "code", "expected"), [("open", 0, "open"), ("required", 1, "public")])
def test_an_endpoint_without_keys_is_public_unless_the_file_says_open(
    begin: Begin, auth: str, code: int, expected: str
) -> None:
    world, keyform = begin({"deployments": [*LIVE["deployments"], {"name": "playground"}]})
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    world.write(TWO_KEYS + f"deployments: {{playground: {{auth: {auth}}}}}\n")
    ran = keyform("verify", "--json")
    assert (ran.code, access(ran)["deployment.playground"]) == (code, expected)
    assert ran.json["public_endpoints"] == ([] if code == 0 else ["deployment.playground"])


def test_an_endpoint_that_is_declared_open_and_asks_for_a_key_is_not_as_declared(
    applied: World, keyform: Keyform
) -> None:
    applied.write(HEAD + "keys: {}\nsafety: {allow_empty: true}\ndeployments: {whisper: {auth: open}}\n")
    ran = keyform("verify", "--json")
    assert (ran.code, access(ran)) == (1, {"deployment.whisper": "not_open"})


def test_an_endpoint_that_takes_any_key_is_found(applied: World, keyform: Keyform) -> None:
    def any_key(request: Request, proceed: Proceed) -> Answer:
        return (
            Answer(200, {"Content-Type": "application/json"}, b"{}")
            if request.header("x-api-key")
            else proceed(request)
        )

    applied.fail(on("GET", "llama3/v1/models", any_key))
    ran = keyform("verify", "--json")
    assert (ran.code, access(ran)["deployment.llama3"]) == (1, "any_key")
    assert states(ran)["payments", "deployment.llama3", "local"] == "not_checked"


def test_an_endpoint_that_is_gone_is_missing(applied: World, keyform: Keyform) -> None:
    applied.write(TWO_KEYS.replace("[llama3, whisper]", "[llama3, mistral]"))
    ran = keyform("verify", "--json")
    assert (ran.code, access(ran)["deployment.mistral"]) == (1, "missing")


def test_a_model_server_without_a_list_of_models_proves_as_much(applied: World, keyform: Keyform) -> None:
    def no_such_path(request: Request, proceed: Proceed) -> Answer:
        given = proceed(request)
        return Answer(404, {"Content-Type": "text/html"}, b"<html>Not Found</html>") if given.status == 200 else given

    applied.fail(on("GET", "/v1/models", no_such_path))
    ran = keyform("verify", "--json")
    assert ran.code == 0
    assert set(states(ran).values()) == {"accepted"}
    assert {binding["secret_status"] for binding in ran.json["bindings"]} == {404}


def test_where_everyone_gets_an_error_nobody_can_tell_who_is_let_in(applied: World, keyform: Keyform) -> None:
    page = Answer(200, {"Content-Type": "text/html"}, b"<html>Welcome to this network. Please sign in.</html>")
    applied.fail(on("GET", "llama3/v1/models", always(page)))
    ran = keyform("verify", "--json")
    assert (ran.code, access(ran)["deployment.llama3"]) == (1, "unclear")
    (check,) = [endpoint for endpoint in ran.json["endpoints"] if endpoint["name"] == "llama3"]
    assert check["reason"] == (
        "without a key, it returned something other than a list of models (status 200), although its"
        " authentication is on"
    )
    assert "Welcome" not in ran.out


def test_a_disabled_endpoint_is_not_called_and_fails_nothing(begin: Begin) -> None:
    closed = {"name": "closed", "status": "DISABLED", "api_keys": ["portal-made"]}
    world, keyform = begin({"deployments": [*LIVE["deployments"], closed]})
    world.write(TWO_KEYS.replace("whisper", "closed"))
    assert keyform("apply", "--auto-approve").code == 0
    ran = keyform("verify")
    assert ran.code == 0
    assert "Not checked: deployment.closed, key.payments at deployment.closed (local): it is disabled" in ran.out
    assert ran.out.endswith("\nAll as declared: 7 of 9 checks. 2 not checked.\n")


# --- Secrets ----------------------------------------------------------------------------------------------------------


def test_a_wrong_secret_in_a_sink_is_refused_and_the_other_sink_is_not_blamed(applied: World, keyform: Keyform) -> None:
    spoil(applied, applied.secret_of("search"), "not-the-secret", "jobs.json")
    ran = keyform("verify", "--json")
    assert ran.code == 1
    assert states(ran)["search", "deployment.llama3", "jobs"] == "refused"
    assert states(ran)["search", "deployment.llama3", "local"] == "accepted"
    ran = keyform("verify")
    assert "  ! key.search at deployment.llama3 (jobs)  REFUSED\n" in ran.out
    assert "search is bound and valid, so the secret in the sink is not its secret" in ran.out
    assert "not-the-secret" not in ran.out + ran.err


def test_a_secret_that_no_request_can_hold_is_told_and_not_shown(applied: World, keyform: Keyform) -> None:
    spoil(applied, applied.secret_of("search"), "cAnArY\\r\\nX-Evil: 1", "jobs.json")
    ran = keyform("verify", "--json")
    assert ran.code == 1
    assert states(ran)["search", "deployment.llama3", "jobs"] == "unclear"
    assert states(ran)["search", "deployment.llama3", "local"] == "accepted"
    assert "cAnArY" not in ran.out + ran.err


def test_a_key_that_was_unbound_by_hand_is_refused_and_the_reason_told(applied: World, keyform: Keyform) -> None:
    path = f"/cloud/v3/inference/{PROJECT}/deployments/whisper"
    applied.emulator.respond(Request.build("PATCH", path, token=TOKEN, json_body={"api_keys": ["portal-made"]}))
    ran = keyform("verify")
    assert ran.code == 1
    assert "payments is not bound to it: run plan" in ran.out


def test_an_expired_key_is_refused_and_the_reason_told(begin: Begin) -> None:
    clock = VirtualClock(datetime.now(UTC))
    world, keyform = begin({}, clock=clock)
    world.write(TWO_KEYS.replace("description: Checkout", f"expires_at: {clock.now() + timedelta(days=1):%Y-%m-%d}"))
    assert keyform("apply", "--auto-approve").code == 0
    assert keyform("verify").code == 0
    clock.advance(86400 * 2)
    ran = keyform("verify", "--json")
    assert ran.code == 1
    refused = [binding for binding in ran.json["bindings"] if binding["state"] == "refused"]
    assert {binding["key"] for binding in refused} == {"payments"}
    assert re.fullmatch(r"payments expired \d{4}-\d\d-\d\dT00:00:00Z", refused[0]["reason"])


def test_a_sink_that_lost_the_secret_fails(applied: World, keyform: Keyform) -> None:
    (applied.folder / "secrets.env").unlink()
    ran = keyform("verify", "--json")
    assert ran.code == 1
    assert states(ran)["payments", "deployment.llama3", "local"] == "lost"
    assert states(ran)["search", "deployment.llama3", "jobs"] == "accepted"


def test_what_is_not_published_yet_fails(world: World, keyform: Keyform) -> None:
    world.write(TWO_KEYS)
    ran = keyform("verify", "--json")
    assert ran.code == 1
    assert set(states(ran).values()) == {"unpublished"}
    assert set(access(ran).values()) == {"protected"}


def test_a_sink_that_cannot_be_read_back_is_told_and_fails_nothing(world: World, keyform: Keyform) -> None:
    world.write(
        HEAD.replace("sinks:", 'sinks:\n  script: {type: command, write: [sh, -c, "cat >/dev/null"]}')
        + "keys:\n  payments:\n    deployments: [llama3]\n    sink: [local, script]\n"
    )
    assert keyform("apply", "--auto-approve").code == 0
    ran = keyform("verify")
    assert ran.code == 0
    said = " ".join(ran.out.split())
    assert "Not checked: key.payments at deployment.llama3 (script): this kind of sink cannot be read back" in said
    assert ran.out.endswith("\nAll as declared: 2 of 3 checks. 1 not checked.\n")


def test_an_adopted_key_whose_secret_is_unknown_is_told_and_fails_nothing(world: World, keyform: Keyform) -> None:
    world.write(
        HEAD
        + "keys:\n  payments:\n    adopt: portal-made\n    deployments: [llama3, whisper]\n    applications: [webui]\n"
    )
    assert keyform("apply", "--auto-approve").code == 0
    ran = keyform("verify", "--json")
    assert ran.code == 0
    assert set(states(ran).values()) == {"not_checked"}
    assert ran.json["bindings"][0]["reason"] == "portal-made is adopted, and keyform does not know its secret"


def test_a_generation_in_overlap_is_named_as_not_checked(applied: World, keyform: Keyform) -> None:
    applied.write(TWO_KEYS.replace("description: Checkout", "expires_at: 2099-01-01"))
    assert keyform("apply", "--auto-approve").code == 0
    ran = keyform("verify")
    assert ran.code == 0
    assert "Not checked: payments: in its overlap, and its secret is no longer in any sink" in ran.out
    ran = keyform("verify", "--json")
    assert ran.json["in_overlap"] == ["payments"]
    assert ran.json["bindings"][0]["live_name"] == "payments-g2"


def test_a_file_that_cannot_be_read_is_told_and_the_rest_is_checked(applied: World, keyform: Keyform) -> None:
    file = applied.folder / "secrets.env"
    target = applied.folder / "elsewhere"
    file.rename(target)
    file.symlink_to(target)
    ran = keyform("verify")
    assert ran.code == 1
    assert "cannot be read" in ran.out
    assert "is a symbolic link" in " ".join(ran.out.split())
    assert "accepted" in ran.out  # what the other sink holds


# --- Patience ---------------------------------------------------------------------------------------------------------


def test_a_change_of_keys_that_is_still_on_its_way_is_waited_for(begin: Begin) -> None:
    clock = VirtualClock(datetime.now(UTC))
    world, keyform = begin({}, clock=clock, data_plane_lag=5)
    world.write(TWO_KEYS)
    assert keyform("apply", "--auto-approve").code == 0
    begun = clock.now()
    assert keyform("verify").code == 0
    assert timedelta(seconds=3) < clock.now() - begun < timedelta(seconds=10)


@pytest.mark.parametrize("mode", ["held", "unavailable", "gate_sleeps_too"])
def test_an_endpoint_that_is_scaled_to_zero_is_woken_and_waited_for(begin: Begin, mode: Any) -> None:
    clock = VirtualClock(datetime.now(UTC))
    world, keyform = begin(AWAY, clock=clock, scaled_to_zero=mode)
    world.write(SLEEPER)
    assert keyform("apply", "--auto-approve").code == 0
    ran = keyform("verify")
    assert ran.code == 0, ran.out
    waited = (
        "deployment.sleeper answered with status 503; it is scaled to zero, and this request may wake it; "
        "waiting for it, at most 60 seconds.\n"
    )
    assert ran.err == ("" if mode == "held" else waited)


@pytest.mark.parametrize(("mode", "door"), [("unavailable", "protected"), ("gate_sleeps_too", "asleep")])
def test_an_endpoint_that_does_not_wake_in_time_is_named_and_fails(begin: Begin, mode: Any, door: str) -> None:
    clock = VirtualClock(datetime.now(UTC))
    world, keyform = begin(AWAY, clock=clock, scaled_to_zero=mode)
    world.write(SLEEPER)
    assert keyform("apply", "--auto-approve").code == 0
    begun = clock.now()
    ran = keyform("verify", "--timeout", "20s", "--json")
    assert clock.now() - begun <= timedelta(seconds=20)
    assert (ran.code, access(ran)["deployment.sleeper"]) == (1, door)
    expected = "asleep" if door == "protected" else "not_checked"
    assert states(ran)["payments", "deployment.sleeper", "local"] == expected
    assert states(ran)["payments", "deployment.llama3", "local"] == "accepted"
    assert "it is scaled to zero, and this request may wake it" in ran.out
    clock.advance(30)
    assert keyform("verify").code == 0, "by then it is awake"


def test_an_endpoint_that_is_down_is_unclear_and_waited_for_once(applied: World, keyform: Keyform) -> None:
    count = [0]

    def down(request: Request, proceed: Proceed) -> Answer:
        count[0] += 1
        return refusal(503, headers={"Retry-After": "9"})

    applied.fail(on("GET", "llama3/v1/models", down))
    ran = keyform("verify", "--json", "--timeout", "30s")
    assert (ran.code, access(ran)["deployment.llama3"]) == (1, "unclear")
    assert count[0] == 5, "at 0, 9, 18, 27 and 30 seconds"
    assert states(ran)["payments", "deployment.whisper", "local"] == "accepted"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://llama3.example.com", "has an address that is not https, and was not called"),
        ("https://somebody:password@example.com", "has an address with more than a host and a path"),
        ("https://llama3.invalid", "could not be reached: its name cannot be resolved"),
    ],
)
def test_an_address_that_cannot_or_must_not_be_called_is_unclear(
    applied: World, keyform: Keyform, address: str, told: str
) -> None:
    applied.fail(moved("llama3", address))
    ran = keyform("verify", "--timeout", "0s")
    assert ran.code == 1
    assert told in " ".join(ran.out.split())
    assert "password" not in ran.out


def test_an_endpoint_without_an_address_is_not_checked(applied: World, keyform: Keyform) -> None:
    applied.fail(moved("llama3", None))
    ran = keyform("verify", "--json")
    assert (ran.code, access(ran)["deployment.llama3"]) == (0, "not_checked")


def test_a_redirect_leads_no_secret_elsewhere(applied: World, keyform: Keyform) -> None:
    heads: list[bytes] = []
    with serving(answering(heads=heads)) as elsewhere:
        to = f"http://127.0.0.1:{elsewhere}/v1/models"
        page = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: " + to.encode() + b"\r\nContent-Length: 0\r\n\r\n"
        with serving(answering(page)) as port:
            applied.fail(moved("llama3", f"http://127.0.0.1:{port}"))
            ran = keyform("verify", "--json")
    assert (ran.code, access(ran)["deployment.llama3"]) == (1, "unclear")
    assert heads == []


def test_a_server_that_never_answers_is_given_up_after_the_timeout(applied: World, keyform: Keyform) -> None:
    def silent(connection: socket.socket) -> None:
        read_head(connection)
        connection.recv(1)

    with serving(silent) as port:
        applied.fail(moved("llama3", f"http://127.0.0.1:{port}"))
        ran = keyform.in_a_hurry()("verify", "--timeout", "1s", "--json")
    assert (ran.code, access(ran)["deployment.llama3"]) == (1, "unclear")
    assert states(ran)["payments", "deployment.whisper", "local"] == "accepted"


@pytest.mark.process("it is signalled")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_while_an_endpoint_is_waited_for(applied: World, number: signal.Signals) -> None:
    applied.fail(on("GET", "llama3/v1/models", always(refusal(503))))
    running = applied.start("verify", "--timeout", "10m")
    running.wait_for("waiting for it, at most 600 seconds.")
    begun = time.monotonic()
    running.send(number)
    ran = running.finish()
    assert time.monotonic() - begun < 5
    assert (ran.code, ran.out) == (130, "")
    assert ran.err.endswith("\nInterrupted. Nothing was changed.\n")


@pytest.mark.parametrize("text", ["1", "soon", "1.5s", ""])
def test_a_timeout_is_a_duration(world: World, keyform: Keyform, text: str) -> None:
    world.write(TWO_KEYS)
    ran = keyform("verify", "--timeout", text)
    assert ran.code == 1
    assert "give a duration such as 30s, 5m, 1h or 14d" in ran.err


def test_what_an_endpoint_says_is_never_shown(applied: World, keyform: Keyform) -> None:
    def echo(request: Request, proceed: Proceed) -> Answer:
        given = proceed(request)
        key = (request.header("x-api-key") or "").encode()
        return Answer(500 if given.status == 200 else 401, {"X-Echo": key.decode()}, b"no such key: " + key)

    applied.fail(on("GET", "/v1/models", echo))
    for argv in (("verify",), ("verify", "--json"), ("verify", "--log-level", "debug")):
        ran = keyform(*argv, "--timeout", "1s")  # all output is searched for secrets
        assert ran.code == 1
        assert "no such key" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("call", "callers"),
    [(".read_secrets(", {"sinks/protocol.py", "verify.py"}), (".read_secret(", {"apply/steps.py"})],
)
def test_nothing_but_verify_and_a_copy_reads_secrets_from_sinks(
    project_root: Any, call: str, callers: set[str]
) -> None:
    readers = {
        path.relative_to(project_root / "reconciler").as_posix()
        for path in (project_root / "reconciler").rglob("*.py")
        if call in path.read_text(encoding="utf-8")
    }
    assert readers == callers


def test_the_address_of_the_api_is_never_asked_for_models(applied: World, keyform: Keyform) -> None:
    """keyform's own token goes to the API, a secret to its endpoint, and neither to the other."""
    seen: list[tuple[str, bool, bool]] = []

    def listen(request: Request, answer: Answer) -> None:
        seen.append((request.path, TOKEN in str(request.headers), "x-api-key" in request.headers))
        del answer

    applied.emulator.listeners.append(listen)
    assert keyform("verify").code == 0
    for path, has_token, has_key in seen:
        assert has_token is not path.startswith("/dataplane"), path
        assert not (has_key and has_token), path
