"""When the API cannot be read: a clear sentence with a way out, exit code 1, and nothing was changed."""

from __future__ import annotations

import socket

import pytest
from cli.conftest import Keyform, MakeWorld
from cli.faults import always, cut_short, on, refusal
from cli.in_process import InProcess
from cli.stage import ONE_KEY, PROJECT, TOKEN, TWO_KEYS, Proceed, World

from reconciler.emulator import Answer, Modes, Request

PLAN_AND_APPLY = [("plan",), ("status",), ("apply", "--auto-approve"), ("destroy", "--auto-approve")]


# --- Who asks, and for what -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", PLAN_AND_APPLY, ids=" ".join)
def test_a_missing_token_is_told_before_anything_is_asked(
    world: World, keyform: Keyform, command: tuple[str, ...]
) -> None:
    world.write(ONE_KEY)
    ran = keyform(*command, env={"GCORE_API_KEY": ""})
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "Error: GCORE_API_KEY is not set.\n  create a permanent API token in the portal, and export GCORE_API_KEY=…\n"
    )
    assert world.calls == []


@pytest.mark.parametrize("mode", ["documented", "code_and_message", "echoes_token"])
@pytest.mark.parametrize("command", PLAN_AND_APPLY, ids=" ".join)
def test_a_wrong_token_is_named_by_its_variable_and_never_shown(
    make_world: MakeWorld,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    mode: str,
) -> None:
    world = make_world(modes=Modes(unauthorized=mode))  # type: ignore[arg-type]
    world.write(ONE_KEY)
    ran = InProcess(world, monkeypatch, capsys)(*command, env={"GCORE_API_KEY": "wrong$canary-of-a-token"})
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Error: The API did not accept the token in GCORE_API_KEY (status 401")
    assert ran.err.endswith(
        "\n  Check that it is complete and not expired or revoked, or create another in the Gcore portal.\n"
    )
    assert "canary" not in ran.err
    assert "wrong" not in ran.err


def test_a_token_that_is_no_header_is_refused_without_being_shown(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    ran = keyform("plan", env={"GCORE_API_KEY": "canary\nsecond-line"})
    assert (ran.code, ran.out) == (1, "")
    assert "GCORE_API_KEY" in ran.err
    assert "canary" not in ran.err
    assert world.calls == []


@pytest.mark.parametrize("mode", ["forbidden", "not_found"])
def test_a_project_of_somebody_else_is_told_with_its_number(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    world = make_world(modes=Modes(foreign_project=mode))  # type: ignore[arg-type]
    world.emulator.grant({"neighbour": [99]})
    world.write(ONE_KEY.replace(f"project: {PROJECT}", "project: 99"))
    ran = InProcess(world, monkeypatch, capsys)("apply", "--auto-approve")
    assert (ran.code, ran.out) == (1, "")
    if mode == "not_found":
        assert ran.err.startswith("Error: There is no project 99, or this token cannot access it (status 404")
        assert "  Check `project` in the file (or GCORE_CLOUD_PROJECT_ID), and that the token belongs to it." in ran.err
    else:
        assert ran.err.startswith("Error: The token has no permission to list ")
        assert "  Give the token a role with this permission in the project" in ran.err


def test_an_unknown_project_is_an_error_with_its_number(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY.replace(f"project: {PROJECT}", "project: 777"))
    ran = keyform("plan")
    assert (ran.code, ran.out) == (1, "")
    assert "777" in ran.err or "has no permission" in ran.err


@pytest.mark.parametrize("address", ["http://api.gcore.example", "ftp://x", "https://me:canary@x", "::"])
def test_an_address_that_a_token_must_not_go_to_is_refused(world: World, keyform: Keyform, address: str) -> None:
    world.write(ONE_KEY)
    ran = keyform("plan", env={"GCORE_BASE_URL": address})
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Error: GCORE_BASE_URL ")
    assert "https://api.gcore.com" in ran.err
    assert "canary" not in ran.err


# --- No answer, or a strange one --------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", PLAN_AND_APPLY, ids=" ".join)
def test_an_api_that_is_down_is_told_with_its_address(world: World, keyform: Keyform, command: tuple[str, ...]) -> None:
    world.write(ONE_KEY)
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = keyform(*command, env={"GCORE_BASE_URL": f"http://{host}"})
    assert (ran.code, ran.out) == (1, "")
    *warnings, error, way_out = ran.err.splitlines()
    assert error.startswith(f"Error: The API at {host} could not be reached to list ")
    assert error.endswith(": it refused the connection.")
    assert way_out == "  Check the network. Check GCORE_BASE_URL, and any proxy on the way."
    assert warnings
    assert all(line.startswith(f"warning: The API at {host} could not") for line in warnings)
    assert world.files().keys() == {"keyform.yaml"}


def test_a_host_that_does_not_exist_is_told_by_its_name(
    world: World, keyform: Keyform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    world.write(ONE_KEY)
    ran = keyform("plan", env={"GCORE_BASE_URL": "https://api.nowhere.invalid"})
    assert (ran.code, ran.out) == (1, "")
    assert "The API at api.nowhere.invalid could not be reached to list " in ran.err
    assert ": its name cannot be resolved.\n" in ran.err


STRANGE: dict[str, tuple[Answer, str]] = {
    "429": (refusal(429, "Too many requests"), "The API refused to list "),
    "500": (refusal(500, "boom"), "The API failed to list "),
    "503": (Answer(503, {"Content-Type": "text/html"}, b"<h1>Down</h1>"), "The API failed to list "),
    "HTML": (Answer(200, {"Content-Type": "text/html"}, b"<html>Log in</html>"), "returned HTML, not JSON."),
    **{
        f"HTML and {status}": (
            Answer(status, {"Content-Type": "text/html"}, b"<html>?</html>"),
            f"answered with HTML and status {status}: something else answers at this address (a proxy or login page?).",
        )
        for status in (401, 403, 404)
    },
    "redirect": (Answer(302, {"Location": "https://elsewhere.example"}), "returned a redirect"),
    "no JSON": (
        Answer(200, {"Content-Type": "application/json"}, b'{"count": 1, "resu'),
        "is not JSON, or was cut short.",
    ),
    "another shape": (Answer(200, {"Content-Type": "application/json"}, b"[]"), "has an unexpected format"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_an_api_that_answers_strangely_is_an_error_with_a_way_out(world: World, keyform: Keyform, name: str) -> None:
    answer, sentence = STRANGE[name]
    world.write(ONE_KEY)
    world.fail(always(answer))
    for command in PLAN_AND_APPLY:
        ran = keyform(*command)
        assert (ran.code, ran.out) == (1, "")
        error, way_out = ran.err[ran.err.index("Error: ") :].splitlines()
        assert sentence in error
        assert way_out.startswith("  ")
    assert world.files().keys() == {"keyform.yaml"}
    world.fail(None)
    assert keyform("apply", "--auto-approve").code == 0
    world.in_order(keyform)


@pytest.mark.parametrize("answer", [refusal(429, headers={"Retry-After": "2"}), refusal(502), refusal(429)])
def test_trouble_that_passes_is_waited_out(world: World, keyform: Keyform, answer: Answer) -> None:
    world.write(TWO_KEYS)
    seen: set[tuple[str, str]] = set()

    def once_each(request: Request, proceed: Proceed) -> Answer:
        # A create is sent again only after the API's own 429: then it surely did nothing.
        may_come_again = request.method != "POST" or answer.status == 429
        if may_come_again and (request.method, request.path) not in seen:
            seen.add((request.method, request.path))
            return answer
        return proceed(request)

    world.fail(once_each)
    assert keyform("apply", "--auto-approve").code == 0
    assert any(method == "POST" for method, _ in seen) == (answer.status == 429)
    assert world.owned() == ["payments", "search"], "each was made once, under its first name"
    world.fail(None)
    world.in_order(keyform)


def test_a_list_that_is_cut_short_once_is_read_again(world: World, keyform: Keyform) -> None:
    world.write(ONE_KEY)
    world.fail(on("GET", "/api_keys", cut_short, times=1))
    ran = keyform("plan")
    assert (ran.code, ran.err) == (0, "")
    assert "Plan: 1 to add" in ran.out


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        (
            "GCORE_API_KEY",
            f'"{TOKEN}"',
            "Error: GCORE_API_KEY has quotation marks around it, which are part of the value.",
        ),
        ("GCORE_API_KEY", f"Bearer {TOKEN}", "Error: GCORE_API_KEY begins with the word `Bearer`."),
        ("GCORE_API_KEY", "$GCORE_API_KEY", "Error: GCORE_API_KEY holds the name of a variable, not its value."),
        ("GCORE_API_KEY", " \n", "Error: GCORE_API_KEY holds nothing but white space."),
        ("GCORE_API_KEY", "<token>", "Error: GCORE_API_KEY holds a placeholder, not a token."),
        ("GCORE_BASE_URL", '"https://api.gcore.com"', "Error: GCORE_BASE_URL has quotation marks around it"),
        ("GCORE_CLOUD_PROJECT_ID", f'"{PROJECT}"', "It has quotation marks around it, which are part of the value"),
        ("GCORE_CLOUD_PROJECT_ID", "shop", "Its value must be a whole number of 1 or more."),
    ],
)
def test_a_variable_that_is_not_as_a_shell_leaves_it_is_named_before_anything_is_asked(
    world: World, keyform: Keyform, variable: str, value: str, told: str
) -> None:
    for project in ("${GCORE_CLOUD_PROJECT_ID}", str(PROJECT)):
        world.write(ONE_KEY.replace(f"project: {PROJECT}", f"project: {project}"))
        ran = keyform("plan", env={"GCORE_CLOUD_PROJECT_ID": str(PROJECT), variable: value})
        assert (ran.code, ran.out) == (1, "")
        assert told in ran.err
        assert world.calls == []


def test_a_line_break_at_the_end_of_a_token_is_left_out(world: World, keyform: Keyform) -> None:
    """As a file, or a secret of a cluster, has it."""
    world.write(ONE_KEY)
    assert keyform("plan", env={"GCORE_API_KEY": f"{TOKEN}\n"}).code == 0
