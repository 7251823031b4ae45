"""A file becomes a DesiredState: sorted, with defaults filled in, each thing with its place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.config import load_config
from reconciler.config.values import parse_duration, parse_instant
from reconciler.errors import ConfigError
from reconciler.model import (
    Auth,
    DesiredBinding,
    DesiredEndpoint,
    DesiredKey,
    DesiredState,
    EndpointKind,
    EndpointRef,
    Place,
    Safety,
    SinkSettings,
    Warnings,
)

Load = Callable[..., DesiredState]

FILE = """\
version: 1
stack: inference-prod
project: ${KEYFORM_VAR_PROJECT}
sinks:
  local: {type: dotenv, path: secrets/team.env, variable: "${KEYFORM_VAR_PREFIX}_{KEY}"}
  jobs: {type: json, path: ~/jobs.json, shared: true}
defaults:
  sink: local
  rotation: {every: 60d, overlap: 7d, lifetime: 90d}
  prevent_destroy: true
keys:
  payments-api:
    description: >
      Checkout summaries, owned by team payments
    deployments: [whisper, llama3]
  batch-jobs:
    expires_at: 2027-06-30
    applications: [webui]
    deployments: [llama3]
    sink: [jobs, local]
    prevent_destroy: false
    rotation: {overlap: 0s, every: never}
    adopt: portal-key
  empty-one:
deployments:
  playground: {auth: open}
  llama3: {auth: required, exclusive: true}
applications:
  webui: {exclusive: {stacks: [shop, search-prod]}}
safety: {max_deletes: 2, allow_empty: true}
warnings: {expiry: [1d, 2w]}
"""

NO_HOME = "`~/` cannot be expanded: `HOME` is not set, or is not an absolute path"
NOT_FILLED_IN = "the environment variable `KEYFORM_VAR_D` has an invalid value"
DEPLOYMENT, APPLICATION = EndpointKind.DEPLOYMENT, EndpointKind.APPLICATION


def test_a_file_with_everything(load: Load, folder: Path) -> None:
    state = load(FILE, KEYFORM_VAR_PROJECT=" 1234\n", KEYFORM_VAR_PREFIX="GCORE", HOME="/srv/me")
    assert state == DesiredState(
        stack="inference-prod",
        project=1234,
        keys=(
            DesiredKey(
                name="batch-jobs",
                expires_at=datetime(2027, 6, 30, tzinfo=UTC),
                bindings=(
                    DesiredBinding(EndpointRef(APPLICATION, "webui")),
                    DesiredBinding(EndpointRef(DEPLOYMENT, "llama3")),
                ),
                sinks=("jobs", "local"),
                overlap=timedelta(0),
                adopt="portal-key",
                says_expiry=True,
            ),
            DesiredKey(
                name="empty-one",
                sinks=("local",),
                overlap=timedelta(days=7),
                prevent_destroy=True,
                every=timedelta(days=60),
                lifetime=timedelta(days=90),
            ),
            DesiredKey(
                name="payments-api",
                description="Checkout summaries, owned by team payments",
                bindings=(
                    DesiredBinding(EndpointRef(DEPLOYMENT, "llama3")),
                    DesiredBinding(EndpointRef(DEPLOYMENT, "whisper")),
                ),
                sinks=("local",),
                overlap=timedelta(days=7),
                prevent_destroy=True,
                every=timedelta(days=60),
                lifetime=timedelta(days=90),
            ),
        ),
        endpoints=(
            DesiredEndpoint(
                EndpointRef(APPLICATION, "webui"), exclusive=True, exclusive_stacks=("search-prod", "shop")
            ),
            DesiredEndpoint(EndpointRef(DEPLOYMENT, "llama3"), Auth.REQUIRED, exclusive=True),
            DesiredEndpoint(EndpointRef(DEPLOYMENT, "playground"), Auth.OPEN),
        ),
        sinks=(
            SinkSettings(
                "jobs",
                "json",
                {"path": "/srv/me/jobs.json", "shared": True},
                destination='{"path": "~/jobs.json", "type": "json"}',
            ),
            SinkSettings(
                "local",
                "dotenv",
                {"path": f"{folder}/secrets/team.env", "variable": "GCORE_{KEY}"},
                destination='{"path": "secrets/team.env", "type": "dotenv", "variable": "${KEYFORM_VAR_PREFIX}_{KEY}"}',
            ),
        ),
        safety=Safety(max_deletes=2, allow_empty=True),
        warnings=Warnings(expiry=(timedelta(days=14), timedelta(days=1))),
    )


def test_everything_knows_its_place(load: Load) -> None:
    state = load(FILE, KEYFORM_VAR_PROJECT="1234", KEYFORM_VAR_PREFIX="GCORE", HOME="/srv/me")
    places = [state.place, state.keys[2].place, state.keys[2].bindings[0].place, state.endpoints[1].place]
    assert [*places, state.sinks[0].place] == [
        Place("keyform.yaml", 1, 1, ""),
        Place("keyform.yaml", 12, 3, "keys.payments-api"),
        Place("keyform.yaml", 15, 28, "keys.payments-api.deployments[1]"),
        Place("keyform.yaml", 27, 3, "deployments.llama3"),
        Place("keyform.yaml", 6, 3, "sinks.jobs"),
    ]


def test_the_smallest_file(load: Load) -> None:
    assert load("{version: 1, stack: demo, project: 7}") == DesiredState(stack="demo", project=7)


def test_an_empty_section_is_an_absent_one(load: Load) -> None:
    text = "version: 1\nstack: demo\nproject: 7\nkeys:\nsinks:\ndefaults:\ndeployments:\napplications:\nsafety:\n"
    assert load(text) == DesiredState(stack="demo", project=7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-06-30", datetime(2027, 6, 30, tzinfo=UTC)),
        ("2027-06-30T18:00Z", datetime(2027, 6, 30, 18, tzinfo=UTC)),
        ("2027-06-30 18:00:00 +02:00", datetime(2027, 6, 30, 16, tzinfo=UTC)),
        ("2027-06-30t18:00:00.25z", datetime(2027, 6, 30, 18, 0, 0, tzinfo=UTC)),
        ("2027-06-30T00:30:00+0530", datetime(2027, 6, 29, 19, tzinfo=UTC)),
        ("2027-06-30T23:00:00-08", datetime(2027, 7, 1, 7, tzinfo=UTC)),
        ("2028-02-29", datetime(2028, 2, 29, tzinfo=UTC)),
        ("2027-02-29", None),
        ("0000-01-01", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("2027-06-30T18:00:61Z", None),
        ("2027-06-30T18:00:00+00:60", None),
        ("2027-06-30T18:00:00", None),
        ("2027-06-30\n", None),
        ("\u0662\u0660\u0662\u0667-06-30", None),
        ("never", None),
    ],
)
def test_an_instant_is_in_utc_whatever_its_zone(text: str, expected: datetime | None) -> None:
    assert parse_instant(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("60d", timedelta(days=60)),
        ("8w", timedelta(weeks=8)),
        ("0s", timedelta(0)),
        ("3650d", timedelta(days=3650)),
        ("3651d", None),
        ("\u0663d", None),
        ("-1d", None),
        ("d", None),
        ("", None),
    ],
)
def test_a_duration_is_a_whole_number_and_a_unit(text: str, expected: timedelta | None) -> None:
    assert parse_duration(text) == expected


def test_unquoted_dates_and_quoted_ones_are_the_same(load: Load) -> None:
    head = "version: 1\nstack: demo\nproject: 7\nsinks: {local: {type: json, path: a.json}}\ndefaults: {sink: local}\n"
    plain = load(f"{head}keys: {{payments: {{expires_at: 2027-06-30T18:00:00+02:00}}}}\n")
    quoted = load(f"{head}keys: {{payments: {{expires_at: '2027-06-30T18:00:00+02:00'}}}}\n")
    assert plain == quoted
    assert load(f"{head}keys: {{payments: {{expires_at: never}}}}\n").keys[0].expires_at is None


def test_a_path_begins_at_the_folder_of_its_file(folder: Path) -> None:
    (folder / "stacks").mkdir()
    (folder / "stacks" / "a.yaml").write_text("version: 1\nstack: demo\nproject: 7\n")
    (folder / "sinks.yaml").write_text("sinks: {up: {type: dotenv, path: ../x/a.env}, abs: {type: json, path: /b}}\n")
    state = load_config([folder / "stacks", Path("sinks.yaml")], {})
    assert [sink.options["path"] for sink in state.sinks] == ["/b", f"{folder.parent}/x/a.env"]


@pytest.mark.parametrize(
    ("path", "env", "expected"),
    [
        ("~/a.env", {}, NO_HOME),
        ("~/a.env", {"HOME": "me"}, NO_HOME),
        ("~/a.env", {"HOME": "/srv/a\nb"}, NO_HOME),
        ("${KEYFORM_VAR_D}/a.env", {"KEYFORM_VAR_D": "a\nb"}, NOT_FILLED_IN),
        ("a/${KEYFORM_VAR_D}", {"KEYFORM_VAR_D": "b/"}, "must be the path of a file, such as `secrets/team.env`"),
        ("a/\u00a0b", {}, "is not the path of a file: it ends like a folder, or has characters that cannot be seen"),
        ("$HOME/a.env", {"HOME": "/somewhere"}, "begins with a variable without braces, which is not supported"),
    ],
)
def test_a_path_that_is_none_is_refused(path: str, env: dict[str, str], expected: str, folder: Path) -> None:
    text = f"version: 1\nstack: demo\nproject: 7\nsinks: {{local: {{type: json, path: '{path}'}}}}\n"
    (folder / "keyform.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config([Path("keyform.yaml")], env)
    assert [finding.message for finding in caught.value.findings] == [expected]


def test_a_dollar_elsewhere_in_a_path_is_a_dollar(folder: Path) -> None:
    sinks = "{a: {type: json, path: a/$HOME.json}, b: {type: json, path: '${KEYFORM_VAR_DIR}/b'}}"
    (folder / "keyform.yaml").write_text(f"version: 1\nstack: demo\nproject: 7\nsinks: {sinks}\n")
    state = load_config([Path("keyform.yaml")], {"KEYFORM_VAR_DIR": "$X"})
    assert [sink.options["path"] for sink in state.sinks] == [f"{folder}/a/$HOME.json", f"{folder}/$X/b"]


@pytest.mark.parametrize(
    ("default", "own", "expected"),
    [("", "", False), ("prove: true", "", True), ("prove: true", "prove: false", False), ("", "prove: true", True)],
)
def test_what_a_key_says_of_proving_goes_before_the_default(load: Load, default: str, own: str, expected: bool) -> None:
    head = "version: 1\nstack: demo\nproject: 1\nsinks: {local: {type: dotenv, path: a.env}}\n"
    state = load(f"{head}defaults: {{sink: local, {default}}}\nkeys:\n  payments: {{{own}}}\n")
    assert state.keys[0].prove is expected


def test_a_description_is_read_as_the_api_keeps_it(load: Load, refusal: Callable[[str], str]) -> None:
    head = "version: 1\nstack: demo\nproject: 1234\ndefaults: {sink: local}\n"
    file = head + "sinks: {local: {type: dotenv, path: a.env}}\n" + 'keys: {payments: {description: "%s"}}\n'
    (key,) = load(file % " Zu\u0308rich\u00a0 ").keys
    assert key.description == "Z\u00fcrich"
    # A letter without a composed form becomes two by that.
    assert load(file % ("\u0958" * 50)).keys[0].description == "\u0915\u093c" * 50
    assert refusal(file % ("\u0958" * 51)) == (
        "keyform.yaml:6:32: keys.payments.description: has 102 characters in Unicode's composed"
        " form (NFC), which the API keeps\n    Shorten it to 100 characters."
    )
