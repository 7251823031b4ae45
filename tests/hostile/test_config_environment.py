"""What a file of a stranger gets of the environment: what is declared to be for everybody, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.config import load_config, schema
from reconciler.errors import ConfigError

CANARY = "canary-5f1d0c9e7b3a"
SECRET = [
    "GCORE_API_KEY",
    "GCORE_BASE_URL",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "VAULT_TOKEN",
    "GITHUB_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "CI_JOB_TOKEN",
    "HOME",
    "PATH",
    "KEYFORM",
    "KEYFORM_VAR",
    "KEYFORM_VAR_",
    "keyform_var_team",
    "XKEYFORM_VAR_TEAM",
    "GCORE_CLOUD_PROJECT_ID2",
    "_",
]
PLACES = {
    "stack": "stack: '{}'",
    "project": "project: '{}'",
    "lock.path": "lock: {{type: file, path: '{}'}}",
    "lock.type": "lock: {{type: '{}'}}",
    "sink name": "sinks: {{'{}': {{type: json, path: a}}}}",
    "path": "sinks: {{s: {{type: json, path: '/etc/hostname/{}'}}}}",
    "variable": "sinks: {{s: {{type: dotenv, path: a, variable: '{}_{{KEY}}'}}}}",
    "shared": "sinks: {{s: {{type: json, path: a, shared: '{}'}}}}",
    "write": "sinks: {{s: {{type: command, write: [curl, '{}']}}}}",
    "check": "sinks: {{s: {{type: command, write: [a], check: [curl, '{}']}}}}",
    "timeout": "sinks: {{s: {{type: command, write: [a], timeout: '{}'}}}}",
    "name": "sinks: {{s: {{type: aws-secrets-manager, name: '{}/{{key}}'}}}}",
    "field": "sinks: {{s: {{type: aws-secrets-manager, field: '{}'}}}}",
    "region": "sinks: {{s: {{type: aws-secrets-manager, region: '{}'}}}}",
    "kms_key_id": "sinks: {{s: {{type: aws-secrets-manager, kms_key_id: '{}'}}}}",
    "endpoint_url": "sinks: {{s: {{type: aws-secrets-manager, endpoint_url: 'http://127.0.0.1:9999/{}'}}}}",
    "profile": "sinks: {{s: {{type: aws-secrets-manager, profile: '{}'}}}}",
    "key name": "keys: {{'{}': {{}}}}",
    "description": "keys: {{payments: {{description: '{}'}}}}",
    "deployment": "keys: {{payments: {{deployments: ['{}']}}}}",
    "adopt": "keys: {{payments: {{adopt: '{}'}}}}",
    "exclusive": "deployments: {{llama3: {{exclusive: {{stacks: ['{}']}}}}}}",
    "expiry": "warnings: {{expiry: ['{}']}}",
    "another field": "x: '{}'",
}


def told(text: str, folder: Path, env: dict[str, str]) -> str:
    (folder / "keyform.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config([folder / "keyform.yaml"], env)
    return caught.value.diagnostics()


def stack_with(place: str, text: str) -> str:
    line = PLACES[place].format(text)
    rest = [each for each in ("version: 1", "stack: demo", "project: 1234") if each[:5] != line[:5]]
    return "\n".join([*rest, line, ""])


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", SECRET)
def test_no_other_variable_is_read_and_nobody_learns_whether_it_is_set(place: str, name: str, tmp_path: Path) -> None:
    text = stack_with(place, f"${{{name}}}")
    base = {"HOME": "/srv/me"}
    unset = told(text, tmp_path, base)
    assert told(text, tmp_path, {**base, name: CANARY}) == unset
    assert told(text, tmp_path, {**base, name: ""}) == unset
    assert told(text, tmp_path, {**base, f"{name}S": CANARY, f"X{name}": CANARY}) == unset
    assert CANARY not in unset


@pytest.mark.attack("pull request author")
def test_a_variable_that_is_not_set_is_not_told_with_the_names_of_others(tmp_path: Path) -> None:
    env = {"KEYFORM_VAR_TEAMS": CANARY, "XKEYFORM_VAR_TEAM": CANARY, "KEYFORM_VAR": CANARY}
    (only,) = [
        line for line in told(stack_with("path", "${KEYFORM_VAR_TEAM}"), tmp_path, env).splitlines() if "?" in line
    ]
    assert only == "    Did you mean `KEYFORM_VAR_TEAMS`?"
    del env["KEYFORM_VAR_TEAMS"]
    assert "Did you mean" not in told(stack_with("path", "${KEYFORM_VAR_TEAM}"), tmp_path, env)


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("place", ["path", "variable", "name", "field", "region", "kms_key_id", "lock.path"])
@pytest.mark.parametrize(
    "value",
    ["a\nb", "a\rb", "a\x1b[31m", "a\u202eb", "a\u200bb", "a\u2028b", "\udc80", "{key}", "{stack}", "${GCORE_API_KEY}",
     "$" + "{KEYFORM_VAR_X}", "}", "x" * 1025, "\0"],
    ids=ascii,
)  # fmt: skip
def test_what_a_variable_holds_is_no_better_than_what_the_file_says(place: str, value: str, tmp_path: Path) -> None:
    said = told(stack_with(place, "${KEYFORM_VAR_X}"), tmp_path, {"KEYFORM_VAR_X": value, "GCORE_API_KEY": CANARY})
    assert said.startswith("The configuration is invalid: 1 error.\n")
    assert value not in said or value == "}"
    assert CANARY not in said


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize(
    "region",
    ["eu-west-1.evil.example", "evil.example/", "127.0.0.1", "eu-west-1#", "@evil", "eu west 1", "", "-", "eu-west",
     "eu-west-1\u3002evil", "a" * 5000, "../eu-west-1", "EU-WEST-1"],
)  # fmt: skip
def test_a_region_forms_no_other_address(region: str, tmp_path: Path) -> None:
    assert "region: must be an AWS region" in told(stack_with("region", region), tmp_path, {})
    if region:
        env = {"KEYFORM_VAR_REGION": region}
        assert "sinks.s.region: " in told(stack_with("region", "${KEYFORM_VAR_REGION}"), tmp_path, env)


@pytest.mark.control
@pytest.mark.parametrize(
    "region",
    ["eu-west-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1",
     "eusc-de-east-1", "mx-central-1", "ap-southeast-7", "il-central-1"],
)  # fmt: skip
def test_the_regions_that_there_are_are_taken(region: str, tmp_path: Path) -> None:
    (tmp_path / "keyform.yaml").write_text(stack_with("region", region))
    (sink,) = load_config([tmp_path / "keyform.yaml"], {}).sinks
    assert sink.options == {"region": region}


def option_names() -> Iterator[str]:
    definitions = schema()["$defs"]
    for name in definitions:
        if name.endswith("Sink"):
            yield from definitions[name]["properties"]


@pytest.mark.attack("pull request author")
def test_no_sink_has_a_setting_for_an_address_an_identity_or_a_credential() -> None:
    words = ("url", "endpoint", "address", "host", "server", "proxy", "profile", "role", "token", "credential",
             "password", "auth", "identity", "kubeconfig", "context", "ca_")  # fmt: skip
    assert [name for name in option_names() if any(word in name for word in words)] == []


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("field", ["endpoint_url", "profile"])
def test_what_decides_where_credentials_go_belongs_in_the_environment(field: str, tmp_path: Path) -> None:
    said = told(stack_with(field, "x"), tmp_path, {})
    assert f"sinks.s.{field}: `{field}` cannot be set in this file: it decides where credentials are sent" in said
    assert "where keyform runs" in said


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("value", ["99", "9" * 17, "'${KEYFORM_VAR_OTHER}'"])
def test_the_token_is_not_pointed_at_another_project(value: str, tmp_path: Path) -> None:
    env = {"GCORE_CLOUD_PROJECT_ID": " 1234\n", "KEYFORM_VAR_OTHER": "99"}
    assert told(f"version: 1\nstack: demo\nproject: {value}\n", tmp_path, env).endswith(
        ":3:10: project: is not the project of this environment: `GCORE_CLOUD_PROJECT_ID` is 1234\n"
        "    Write `${GCORE_CLOUD_PROJECT_ID}`, or set it to this project where keyform runs."
    )


@pytest.mark.control
@pytest.mark.parametrize("value", ["1234", "'${GCORE_CLOUD_PROJECT_ID}'", "'${KEYFORM_VAR_SAME}'"])
def test_the_project_of_the_environment_is_taken_in_every_form(value: str, tmp_path: Path) -> None:
    (tmp_path / "keyform.yaml").write_text(f"version: 1\nstack: demo\nproject: {value}\n")
    env = {"GCORE_CLOUD_PROJECT_ID": "1234", "KEYFORM_VAR_SAME": "01234"}
    assert load_config([tmp_path / "keyform.yaml"], env).project == 1234


@pytest.mark.control
@pytest.mark.parametrize("number", ["none", "-1", "1 2", "0", "\u0661", "9" * 400])
def test_an_environment_that_names_no_project_is_told(number: str, tmp_path: Path) -> None:
    said = told("version: 1\nstack: demo\nproject: 1\n", tmp_path, {"GCORE_CLOUD_PROJECT_ID": number})
    assert "project: the environment variable `GCORE_CLOUD_PROJECT_ID` does not hold a project's number" in said
