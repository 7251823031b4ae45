"""What read-only commands need: a token that may read, metadata of sinks, and nothing that writes or runs.

The table in docs/rights.md is what is granted here: each row of it to each of its commands, and less to see that less
does not do.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Keyform
from cli.in_process import InProcess
from cli.stage import HEAD, LIVE, PROJECT, TOKEN, TWO_KEYS, World
from sinks.aws_stage import REGION, Aws
from sinks.conftest import aws_server  # noqa: F401 - a fixture
from support import markdown

from reconciler.effects import System
from reconciler.emulator import Emulator, EmulatorServer, Request, VirtualClock
from reconciler.sinks.declared import sink_types

READER = "1234$canary/may-only+look=tests"
READ_ONLY = {
    "plan": ("plan",),
    "plan as JSON": ("plan", "--json", "--detailed-exitcode"),
    "status": ("status",),
    "status page": ("status", "--format", "html"),
    "verify": ("verify", "--timeout", "2s"),
    "rotate --due": ("rotate", "--due", "90d"),
    "validate": ("validate",),
    "validate --live": ("validate", "--live"),
    "unlock": ("unlock",),
    "doctor": ("doctor",),
}
WRITING = {"apply": ("apply",), "rotate": ("rotate", "payments"), "destroy": ("destroy",)}
STATES = {
    "nothing is live": lambda world, run: world.write(TWO_KEYS),
    "all is live": lambda world, run: apply(world, run, TWO_KEYS),
    "an expiry changes": lambda world, run: (
        apply(world, run, TWO_KEYS),
        world.write(TWO_KEYS.replace("description: Checkout", "expires_at: 2099-01-01")),
    ),
    "keys go": lambda world, run: (apply(world, run, TWO_KEYS), world.write(TWO_KEYS.replace("search:", "other:"))),
    "a sink has lost its file": lambda world, run: (
        apply(world, run, TWO_KEYS),
        (world.folder / "secrets.env").unlink(),
    ),
    "a sink has lost a secret": lambda world, run: (
        apply(world, run, TWO_KEYS),
        (world.folder / "secrets.env").write_text(
            "".join(
                line
                for line in (world.folder / "secrets.env").read_text().splitlines(keepends=True)
                if "payments" not in line and "PAYMENTS" not in line
            )
        ),
    ),
    "an overlap is over": lambda world, run: (
        apply(world, run, ROTATED),
        apply(world, run, ROTATED.replace("description: Checkout", "expires_at: 2099-01-01")),
        pass_time(world, 120),
    ),
    "another run holds the lock": lambda world, run: (apply(world, run, TWO_KEYS), hold_lock(world)),
}
ROTATED = TWO_KEYS.replace("{sink: local}", "{sink: local, rotation: {overlap: 90s}}")


def apply(world: World, run: Keyform, text: str) -> None:
    """A file, applied a second after whatever came before."""
    pass_time(world, 1)
    world.write(text)
    assert run("apply", "--auto-approve").code == 0


def pass_time(world: World, seconds: float) -> None:
    clock = world.emulator.clock
    assert isinstance(clock, VirtualClock)
    clock.advance(seconds)


def hold_lock(world: World) -> None:
    path = f"/cloud/v3/inference/{PROJECT}/api_keys"
    body = {"name": "keyform-lock-shop", "description": "held", "expires_at": "2099-01-01T00:00:00Z"}
    assert world.emulator.respond(Request.build("POST", path, token=TOKEN, json_body=body)).status == 200


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An emulator over HTTP with two tokens of one project: one that may write, and one that may read."""
    tokens: dict[str, Any] = {TOKEN: [PROJECT], READER: {"projects": [PROJECT], "role": "read"}}
    with EmulatorServer(Emulator(tokens=tokens, clock=VirtualClock(datetime.now(UTC)))) as server:
        yield World.make(tmp_path, server, LIVE)


@pytest.fixture
def keyform(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Keyform:
    """keyform in this process, on the emulator's clock, which does not move: two runs print the same."""
    monkeypatch.setattr(System, "now", lambda self: world.emulator.clock.now())
    return InProcess(world, monkeypatch, capsys)


@pytest.fixture
def requests(world: World) -> Counter[tuple[str, int]]:
    """What the API was asked, and how it answered."""
    seen: Counter[tuple[str, int]] = Counter()

    def listen(request: Request, answer: Any) -> None:
        if not request.path.startswith("/dataplane"):
            seen[request.method, answer.status] += 1

    world.emulator.listeners.append(listen)
    return seen


@pytest.fixture
def effects(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every effect on files and child processes, by name; a child process with its words."""
    done: list[str] = []

    def record(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(self: System, *args: Any, **options: Any) -> Any:
            done.append(" ".join(["run", *args[0]]) if name == "run" else name)
            return method(self, *args, **options)

        return recorded

    quiet = {"now", "monotonic", "random", "sleep", "send", "close", "abandon"}
    for name in [name for name in vars(System) if not name.startswith("_") and name not in quiet]:
        monkeypatch.setattr(System, name, record(name, getattr(System, name)))
    return done


SOURCE = bool(os.environ.get("KEYFORM_TEST_SOURCE"))
LOOKS = {"read_file", "enclosing", "real_path", "stat", "can_write", "pinned_by", "first_bytes", "find_program"}
"""Effects that change nothing."""


def assert_only_looks(effects: list[str]) -> None:
    others = [what for what in effects if what not in LOOKS]
    assert [what for what in others if not re.match(r"run (?:\S+ )*?(?:\S*/)?git ", what)] == []


# --- The token --------------------------------------------------------------------------------------------------------


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("state", STATES)
def test_read_only_commands_need_only_a_token_that_may_read(
    world: World, keyform: Keyform, requests: Counter[tuple[str, int]], effects: list[str], state: str
) -> None:
    STATES[state](world, keyform)
    for argv in READ_ONLY.values():
        files = world.files()
        with_all = keyform(*argv)
        requests.clear()
        effects.clear()
        ran = keyform(*argv, env={"GCORE_API_KEY": READER})
        assert (ran.code, ran.out, ran.err) == (with_all.code, with_all.out, with_all.err), argv
        assert READER not in ran.out + ran.err
        assert set(requests) <= {("GET", 200)}, argv
        assert_only_looks(effects)
        assert world.files() == files, argv


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("argv", [("init", "--project", "1234", "-f", "new.yaml"), ("schema",), ("validate",)])
def test_what_asks_no_api_needs_no_token(
    world: World, keyform: Keyform, requests: Counter[tuple[str, int]], argv: tuple[str, ...]
) -> None:
    world.write(TWO_KEYS)
    assert keyform(*argv, env={"GCORE_API_KEY": "", "GCORE_BASE_URL": ""}).code == 0
    assert not requests


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("argv", WRITING.values(), ids=WRITING)
@pytest.mark.parametrize("state", ["nothing is live", "an expiry changes", "keys go", "a sink has lost a secret"])
def test_what_writes_fails_with_it_and_loses_nothing(
    world: World, keyform: Keyform, requests: Counter[tuple[str, int]], argv: tuple[str, ...], state: str
) -> None:
    STATES[state](world, keyform)
    live, files = world.emulator.live_keys(PROJECT), world.files()
    bound = [world.bound("llama3"), world.bound("whisper"), world.bound("webui", "application")]
    requests.clear()
    ran = keyform(*argv, "--auto-approve", env={"GCORE_API_KEY": READER})
    if (state, argv) == ("nothing is live", ("destroy",)):
        assert ran.code == 0, "there is nothing to destroy"
        assert set(requests) == {("GET", 200)}
    else:
        assert ran.code == 1
        assert "403" in ran.err
        assert "permission" in ran.err
        assert {key for key in requests if key[0] != "GET"} == {("POST", 403)}, "the lock, which comes first"
    assert world.emulator.live_keys(PROJECT) == live
    assert [world.bound("llama3"), world.bound("whisper"), world.bound("webui", "application")] == bound
    assert world.files() == files
    assert keyform("apply", "--auto-approve").code == 0
    assert keyform("plan", "--detailed-exitcode").code == 0


@pytest.mark.attack("pull request author")
def test_an_apply_with_nothing_to_do_writes_nothing(
    world: World, keyform: Keyform, requests: Counter[tuple[str, int]]
) -> None:
    apply(world, keyform, TWO_KEYS)
    requests.clear()
    assert keyform("apply", "--auto-approve", env={"GCORE_API_KEY": READER}).code == 0
    assert set(requests) == {("GET", 200)}


# --- Files and programs -----------------------------------------------------------------------------------------------


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("argv", READ_ONLY.values(), ids=READ_ONLY)
def test_a_command_is_not_run_by_what_only_looks(
    world: World, keyform: Keyform, effects: list[str], argv: tuple[str, ...]
) -> None:
    sink = '  script: {type: command, write: [sh, -c, "touch ran; cat"], remove: [sh, -c, "touch ran"], '
    sink += 'check: [sh, -c, "touch ran"]}\n'
    text = TWO_KEYS.replace("defaults:", f"{sink}defaults:").replace("sink: local}", "sink: [local, script]}")
    world.write(text)
    keyform(*argv, env={"GCORE_API_KEY": READER})
    apply(world, keyform, text)
    assert (world.folder / "ran").exists()
    (world.folder / "ran").unlink()
    world.write(text.replace("  payments:", "  renamed:"))
    effects.clear()
    keyform(*argv, env={"GCORE_API_KEY": READER})
    assert_only_looks(effects)
    assert not (world.folder / "ran").exists()


TRAP = "import pathlib; pathlib.Path({!r}).touch()\n"
TRAPS = (
    "sitecustomize.py",
    "usercustomize.py",
    "yaml.py",
    "httpx.py",
    "json.py",
    "reconciler/__init__.py",
    "conftest.py",
)


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("argv", READ_ONLY.values(), ids=READ_ONLY)
def test_a_checkout_is_data_and_nothing_in_it_is_run(
    world: World, tmp_path_factory: pytest.TempPathFactory, argv: tuple[str, ...]
) -> None:
    sprung = tmp_path_factory.mktemp("sprung") / "sprung"
    for name in TRAPS:
        (world.folder / name).parent.mkdir(exist_ok=True)
        world.write(TRAP.format(str(sprung)), name)
    file = str(world.write(TWO_KEYS))
    env = {"PYTHONPATH": str(RIGHTS.parents[1]) if SOURCE else "", "GCORE_API_KEY": READER}
    ran = world.run(*argv, "-f", file, cwd=tmp_path_factory.mktemp("elsewhere"), env=env)
    assert ran.code == {"verify": 1, "plan": 2 if "--json" in argv else 0}.get(argv[0], 0), ran.err
    assert not sprung.exists()


@pytest.mark.attack("pull request author")
def test_init_writes_through_no_link_of_a_checkout(world: World, keyform: Keyform, tmp_path: Path) -> None:
    for linked in (".gitignore", "keyform.yaml"):
        target = tmp_path / f"target-of-{linked}"
        target.write_text("mine\n")
        (world.folder / linked).symlink_to(target)
        ran = keyform("init", "--project", "1234")
        assert ran.code == 1
        assert f"{linked}" in ran.err
        assert target.read_text() == "mine\n"
        (world.folder / linked).unlink()
        (world.folder / "keyform.yaml").unlink(missing_ok=True)


# --- AWS --------------------------------------------------------------------------------------------------------------

AWS_FILE = HEAD.replace("sinks:", f"sinks:\n  cloud: {{type: aws-secrets-manager, region: {REGION}}}").replace(
    "{sink: local}", "{sink: cloud, rotation: {overlap: 0s}}"
) + ("keys:\n  payments: {deployments: [llama3]}\n  search: {deployments: [whisper]}\n")
FIELD_FILE = AWS_FILE.replace(f"region: {REGION}", f"region: {REGION}, field: api_key")
PARAMETER_FILE = AWS_FILE.replace("aws-secrets-manager", "aws-ssm")
RIGHTS = Path(__file__).resolve().parents[2] / "docs" / "rights.md"
NEXT = {"payments: {": "payments: {expires_at: 2099-01-01, ", "  search: {deployments: [whisper]}\n": ""}


def rights() -> dict[str, list[str]]:
    """By command, what its row of the documented table grants in AWS Secrets Manager."""
    text = RIGHTS.read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for line in markdown.section(text, "Rights").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].startswith("`"):
            for command in markdown.code(cells[0]):
                found[command] = re.findall(r"\b[A-Z]\w+[a-z]\b", cells[2])
    return found


def rights_of(kind: str) -> dict[str, list[str]]:
    """By command, what the row of a sink grants in the table of stores."""
    text = RIGHTS.read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    head = next(row for row in rows if row[0] == "sink")
    row = next(row for row in rows if f"`{kind}`" in row[0])
    return {
        command: re.findall(r"\b[A-Z]\w+[a-z]\b", cell)
        for title, cell in zip(head[1:], row[1:], strict=True)
        for command in markdown.code(title)
    }


@pytest.mark.control
def test_the_row_of_parameters_says_what_the_sink_declares() -> None:
    declared = sink_types()["aws-ssm"].rights
    assert {command: tuple(granted) for command, granted in rights_of("aws-ssm").items()} == {
        **dict.fromkeys(("plan", "status", "rotate --due", "doctor"), declared.read),
        "verify": declared.verify,
        **dict.fromkeys(("apply", "rotate", "destroy"), declared.write),
    }


@pytest.mark.control
def test_the_table_says_what_the_sink_declares() -> None:
    declared = sink_types()["aws-secrets-manager"].rights
    assert {command: tuple(granted) for command, granted in rights().items()} == {
        **dict.fromkeys(("init", "schema", "validate", "diff", "show", "validate --live", "unlock"), ()),
        **dict.fromkeys(("plan", "status", "rotate --due"), declared.read),
        "doctor": ("DescribeSecret",),
        "verify": declared.verify,
        **dict.fromkeys(("apply", "rotate", "destroy"), declared.write),
    }


class Account:
    """moto's account, whose policies hold from `enforce` on."""

    def __init__(self, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        self._aws = aws
        self._monkeypatch = monkeypatch
        import boto3

        self._iam: Any = boto3.session.Session("id", "secret", region_name=REGION).client("iam", endpoint_url=aws.url)
        self._users = 0

    def as_owner(self) -> None:
        """From now on, everything is allowed."""
        self._become("id", "key", until=math.inf)

    def restrict(self, actions: list[str]) -> None:
        """From now on, keyform is somebody who may do these."""
        self._become("id", "key", until=math.inf)
        self._users += 1
        name = f"user-{self._users}"
        self._iam.create_user(UserName=name)
        if actions:
            allowed = [f"{service}:{action}" for action in actions for service in ("secretsmanager", "ssm")]
            statement = {"Effect": "Allow", "Action": allowed, "Resource": "*"}
            document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            self._iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=document)
        made = self._iam.create_access_key(UserName=name)["AccessKey"]
        self._become(made["AccessKeyId"], made["SecretAccessKey"], until=0)

    def _become(self, key: str, secret: str, *, until: float) -> None:
        from moto import settings

        self._monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", until)
        self._monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        self._monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)


@pytest.fixture
def account(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An empty account on moto's server, which the environment names."""
    from moto.iam.models import iam_backends
    from moto.secretsmanager.models import secretsmanager_backends
    from moto.ssm.models import ssm_backends

    aws: Aws = request.getfixturevalue("aws_server")
    secretsmanager_backends.reset()
    ssm_backends.reset()
    iam_backends.reset()
    environment: Mapping[str, str] = {
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": aws.url,
        "AWS_ENDPOINT_URL_SSM": aws.url,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    account = Account(aws, monkeypatch)
    account.as_owner()
    return account


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of AWS."""
    made: list[str] = []
    ask = System.call

    def call(self: System, what: str, function: Callable[[], Any]) -> Any:
        operation = what.partition(":")[2]
        if operation != "open":
            made.append("".join(part.capitalize() for part in operation.split("_")))
        return ask(self, what, function)

    monkeypatch.setattr(System, "call", call)
    return made


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("file", [AWS_FILE, FIELD_FILE], ids=["whole", "field"])
@pytest.mark.parametrize(
    "command", ["plan", "status", "rotate --due", "doctor", "verify", "validate", "validate --live", "unlock"]
)
def test_the_narrowest_rights_in_aws_are_those_of_the_table(
    *, world: World, keyform: Keyform, account: Account, calls: list[str], command: str, file: str
) -> None:
    apply(world, keyform, file)
    granted = rights()[command]
    if file == FIELD_FILE and granted:
        granted = sorted({*granted, "GetSecretValue"})
    argv = READ_ONLY[command]
    calls.clear()
    account.restrict(granted)
    ran = keyform(*argv, env={"GCORE_API_KEY": READER})
    assert ran.code == 0, ran.out + ran.err
    assert set(calls) <= set(granted)
    for missing in granted:
        if missing == "GetSecretValue" and command != "verify":
            continue  # of a value nobody edited, the record is in the tags alone
        account.restrict([action for action in granted if action != missing])
        ran = keyform(*argv, env={"GCORE_API_KEY": READER})
        assert ran.code == 1, f"{command} does without {missing}"
        assert missing in " ".join((ran.out + ran.err).split())


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("file", [AWS_FILE, FIELD_FILE], ids=["whole", "field"])
def test_what_applies_needs_no_more_than_its_row(
    world: World, keyform: Keyform, account: Account, calls: list[str], file: str
) -> None:
    granted = rights()["apply"]
    account.restrict([*granted, *(["GetSecretValue"] if file == FIELD_FILE else [])])
    apply(world, keyform, file)
    for old, new in NEXT.items():
        assert old in file
        apply(world, keyform, file.replace(old, new))
    apply(world, keyform, file)
    for _ in range(10):
        assert keyform("rotate", "payments", "--auto-approve").code == 0
    assert keyform("destroy", "--auto-approve").code == 0
    assert set(calls) - {"GetSecretValue"} == set(granted), "each of them was needed"
    assert ("GetSecretValue" in calls) is (file == FIELD_FILE)


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("command", ["plan", "status", "rotate --due", "doctor", "verify"])
def test_the_narrowest_rights_over_parameters_are_those_of_their_row(
    world: World, keyform: Keyform, account: Account, calls: list[str], command: str
) -> None:
    apply(world, keyform, PARAMETER_FILE)
    granted = rights_of("aws-ssm")[command]
    calls.clear()
    account.restrict(granted)
    ran = keyform(*READ_ONLY[command], env={"GCORE_API_KEY": READER})
    assert ran.code == 0, ran.out + ran.err
    assert set(calls) == set(granted), "each of them was needed"
    for missing in granted:
        account.restrict([action for action in granted if action != missing])
        ran = keyform(*READ_ONLY[command], env={"GCORE_API_KEY": READER})
        assert ran.code == 1, f"{command} does without {missing}"
        assert missing in " ".join((ran.out + ran.err).split())


@pytest.mark.attack("pull request author")
def test_what_applies_needs_no_more_than_its_row_over_parameters(
    world: World, keyform: Keyform, account: Account, calls: list[str]
) -> None:
    tagged = PARAMETER_FILE.replace(f"region: {REGION}", f"region: {REGION}, tags: {{team: a}}")
    granted = rights_of("aws-ssm")["apply"]
    account.restrict(granted)
    for file in (PARAMETER_FILE, tagged, PARAMETER_FILE):
        apply(world, keyform, file)
    for old, new in NEXT.items():
        assert old in PARAMETER_FILE
        apply(world, keyform, PARAMETER_FILE.replace(old, new))
    for _ in range(2):
        assert keyform("rotate", "payments", "--auto-approve").code == 0
    assert keyform("destroy", "--auto-approve").code == 0
    assert set(calls) == set(granted), "each of them was needed, and no value was read"
