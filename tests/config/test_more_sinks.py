"""The sinks that are not files: what is read of `command` and `aws-secrets-manager`, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.effects import System
from reconciler.model import DesiredState, Owner
from reconciler.sinks import open_sinks
from reconciler.sinks.declared import Complaint, Kind, Option, SinkType, registered

Load = Callable[..., DesiredState]
Refusal = Callable[..., str]


def with_sink(text: str) -> str:
    return f"version: 1\nstack: demo\nproject: 1\nsinks:\n  one: {text}\n"


def options(state: DesiredState) -> dict[str, object]:
    (sink,) = state.sinks
    open_sinks(state.sinks, owner=Owner(state.stack), effects=System())  # the sink takes what the file gives
    return dict(sink.options)


def test_a_command_is_a_list_and_its_timeout_seconds(load: Load) -> None:
    text = (
        '{type: command, write: [./save.sh, "{key} {generation}"], remove: [rm, "{key}"], '
        'check: [./can-save.sh, "{stack}"], timeout: 5m}'
    )
    assert options(load(with_sink(text))) == {
        "write": ("./save.sh", "{key} {generation}"),
        "remove": ("rm", "{key}"),
        "check": ("./can-save.sh", "{stack}"),
        "timeout": 300,
    }


def test_a_command_needs_only_what_writes(load: Load) -> None:
    assert options(load(with_sink("{type: command, write: [pass]}"))) == {"write": ("pass",)}


def test_aws_needs_nothing(load: Load) -> None:
    assert options(load(with_sink("{type: aws-secrets-manager}"))) == {}


def test_settings_of_aws_read_variables(load: Load) -> None:
    text = (
        '{type: aws-secrets-manager, name: "${KEYFORM_VAR_TEAM}/{key}", field: api_key, '
        'region: "${KEYFORM_VAR_REGION}", kms_key_id: alias/team, recovery_days: 0}'
    )
    assert options(load(with_sink(text), KEYFORM_VAR_TEAM="payments", KEYFORM_VAR_REGION="eu-west-1")) == {
        "name": "payments/{key}",
        "field": "api_key",
        "region": "eu-west-1",
        "kms_key_id": "alias/team",
        "recovery_days": 0,
    }


@pytest.mark.parametrize(
    ("sink", "finding"),
    [
        (
            "{type: command}",
            "5:3: sinks.one: the field `write` is missing\n"
            "    Write `write: [PROGRAM, ARGUMENT]`: it gets the secret on its standard input.",
        ),
        (
            "{type: command, write: ./save.sh sk-canary}",
            "5:31: sinks.one.write: must be a list of the program and its arguments, such as "
            '`[./save-secret.sh, "{key}"]`',
        ),
        (
            "{type: command, write: []}",
            "5:31: sinks.one.write: is an empty list\n    Add a name, or remove the field.",
        ),
        (
            '{type: command, write: [""]}',
            "5:32: sinks.one.write[0]: must be the name or the path of a program",
        ),
        (
            "{type: command, write: [a, 3]}",
            "5:35: sinks.one.write[1]: must be a text of at most 4096 characters, without controls but tabs and line "
            "breaks\n"
            "    YAML reads this as a number: put it in quotes.",
        ),
        (
            '{type: command, write: [a, "${TOKEN}"]}',
            "5:35: sinks.one.write[1]: `${…}` is not supported here\n"
            "    A command can use `{key}`, `{stack}` and `{generation}`, and can read its environment.",
        ),
        (
            '{type: command, write: [a], remove: [b, "{generation}"]}',
            "5:48: sinks.one.remove[1]: a command that removes gets no generation: it removes the key\n"
            "    Remove it; `{key}` and `{stack}` are available.",
        ),
        (
            "{type: command, write: [a], timeout: 0s}",
            "5:45: sinks.one.timeout: must be a duration: a whole number of 1 or more and a unit, such as `60s` or "
            "`5m`",
        ),
        (
            "{type: command, write: [a], timeout: 9999d}",
            "5:45: sinks.one.timeout: is longer than ten years (`3650d`)\n    Use a shorter one.",
        ),
        (
            "{type: command, write: [a], wirte: [b]}",
            "5:36: sinks.one.wirte: unknown field `wirte`\n    Did you mean `write`?",
        ),
        (
            '{type: aws-secrets-manager, name: "{stack}"}',
            "5:42: sinks.one.name: must be letters, digits and `/_+=.@-` around `{key}`, such as `{stack}/{key}`; "
            "its placeholders are `{key}`, `{KEY}`, `{stack}` and `{STACK}`",
        ),
        (
            "{type: aws-secrets-manager, field: a b}",
            "5:43: sinks.one.field: must be at most 64 letters, digits, `_`, `.` and `-`, such as `{KEY}_KEY`; "
            "its placeholders are `{key}`, `{KEY}`, `{stack}` and `{STACK}`",
        ),
        (
            "{type: aws-secrets-manager, recovery_days: 3}",
            "5:51: sinks.one.recovery_days: must be 0, or a whole number from 7 to 30",
        ),
        (
            "{type: aws-secrets-manager, endpoint_url: localhost}",
            "5:36: sinks.one.endpoint_url: `endpoint_url` cannot be set in this file: it decides"
            " where credentials are sent\n"
            "    Set AWS_ENDPOINT_URL_SECRETS_MANAGER, or AWS_ENDPOINT_URL, where keyform runs.",
        ),
        (
            "{type: aws-secrets-manager, profile: team}",
            "5:36: sinks.one.profile: `profile` cannot be set in this file: it decides where credentials are sent\n"
            "    Set AWS_PROFILE where keyform runs.",
        ),
        (
            "{type: aws-secrets-manager, region: eu-west-1.evil.example/}",
            "5:44: sinks.one.region: must be an AWS region, such as `eu-west-1`",
        ),
        (
            "{type: aws-secrets-manager, kms_key_id: x}",
            "5:48: sinks.one.kms_key_id: must be a KMS key: its id, its ARN, or an alias such as `alias/inference`",
        ),
        (
            '{type: aws-secrets-manager, region: "${KEYFORM_VAR_NOWHERE}"}',
            "5:44: sinks.one.region: the environment variable `KEYFORM_VAR_NOWHERE` is not set\n"
            "    Set it where keyform runs.",
        ),
        (
            "{type: aws-secrets-manager, access_key: canary}",
            "5:36: sinks.one.access_key: unknown field `access_key`\n"
            "    The fields here are `field`, `kms_key_id`, `name`, `recovery_days`, `region`, `tags` and `type`.",
        ),
        (
            "{type: aws-secret-manager}",
            "5:15: sinks.one.type: must be a type of sink: `aws-secrets-manager`, `aws-ssm`, `command`, `dotenv`, "
            "`gitlab-ci`, `json` or `vault`\n"
            "    Did you mean `aws-secrets-manager`?",
        ),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(refusal: Refusal, sink: str, finding: str) -> None:
    told = refusal(with_sink(sink))
    assert told == f"keyform.yaml:{finding}"
    assert "canary" not in told


# --- What a sink's declaration decides --------------------------------------------------------------------------------

SHELF = SinkType(
    type="shelf",
    opens=lambda _settings, _around: pytest.fail("nothing opens it"),
    title="A shelf.",
    description="A place that no module of keyform knows.",
    options=(
        Option(name="path", kind=Kind.TEXT, description="A path that is none of a file.", examples=("a/b",)),
        Option(name="at", kind=Kind.FILE_PATH, description="A file.", examples=("a",), chooses_place=True),
        Option(name="patience", kind=Kind.DURATION, description="How long.", examples=("1m",)),
        Option(name="timeout", kind=Kind.NUMBER, description="A number.", examples=(1,), schema={"type": "integer"}),
    ),
    example={"type": "shelf"},
    check=lambda state: iter(
        Complaint(("sinks", sink.name, "path"), "is too far up", "Choose a lower one.")
        for sink in state.sinks
        if sink.options.get("path") == "attic"
    ),
)


def test_an_option_is_read_by_its_kind_and_not_by_its_name(load: Load, folder: Path) -> None:
    with registered(SHELF):
        (sink,) = load(with_sink("{type: shelf, path: ../a/b, at: c.txt, patience: 2m, timeout: 5}")).sinks
    assert sink.options == {"path": "../a/b", "at": f"{folder}/c.txt", "patience": 120, "timeout": 5}


def test_a_type_that_is_registered_is_checked_as_it_declares(refusal: Refusal) -> None:
    with registered(SHELF):
        assert "`path` is not known" not in (told := refusal(with_sink("{type: shelf, path: attic, timeout: x}")))
        assert "sinks.one.timeout: " in told
        assert refusal(with_sink("{type: shelf, path: attic}")).startswith(
            "keyform.yaml:5:28: sinks.one.path: is too far up\n    Choose a lower one."
        )
    assert (
        "must be a type of sink: `aws-secrets-manager`, `aws-ssm`, `command`, `dotenv`, `gitlab-ci`, `json` or `vault`"
        in refusal(with_sink("{type: shelf}"))
    )


@pytest.mark.parametrize(
    ("text", "destination"),
    [
        ("{type: dotenv, path: a.env}", {"type": "dotenv", "path": "a.env", "variable": "{KEY}_KEY"}),
        ("{type: dotenv, path: a.env, variable: '{KEY}_KEY', shared: true}", "the same as the one before"),
        ("{type: json, path: '${KEYFORM_VAR_TEAM}.json'}", {"type": "json", "path": "${KEYFORM_VAR_TEAM}.json"}),
        ("{type: command, write: [./a, '{key}']}", {"type": "command", "write": ["./a", "{key}"]}),
        ("{type: command, write: [./a, '{key}'], remove: [b], timeout: 5m}", "the same as the one before"),
        (
            "{type: aws-secrets-manager, region: eu-west-1, kms_key_id: alias/team, recovery_days: 0}",
            {"type": "aws-secrets-manager", "name": "{stack}/{key}", "field": None, "region": "eu-west-1"},
        ),
    ],
)
def test_a_destination_is_the_type_and_what_chooses_the_place_as_written(
    load: Load, text: str, destination: object
) -> None:
    (sink,) = load(with_sink(text), KEYFORM_VAR_TEAM="shop").sinks
    if isinstance(destination, str):
        plain = {"dotenv": "{type: dotenv, path: a.env}", "command": "{type: command, write: [./a, '{key}']}"}
        (same,) = load(with_sink(plain[sink.type])).sinks
        assert sink.destination == same.destination
    else:
        assert json.loads(sink.destination) == destination
