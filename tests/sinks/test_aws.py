"""The AWS Secrets Manager sink against moto's server over HTTP: what it keeps, and what it leaves alone."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sinks.aws_stage import Aws, Counted, generation, refused
from sinks.stage import CANARY, STACK

from reconciler.errors import ExtraMissing
from reconciler.model import ForeignRecord, Secret
from reconciler.sinks.protocol import HeldSecret

NAME = f"{STACK}/payments-api"


# --- What is kept -----------------------------------------------------------------------------------------------------


def test_a_new_secret_is_there_with_its_tags_in_one_call(aws: Aws) -> None:
    effects = Counted()
    aws.open(effects=effects, kms_key_id="alias/team").write(generation(1), Secret("abc"))
    assert effects.log == ["open", "describe_secret", "create_secret"]
    assert aws.tags() == {
        "keyform:api": "api.gcore.com",
        "keyform:project": "1234",
        "keyform:stack": STACK,
        "keyform:key": "payments-api",
        f"keyform:version:{aws.current()}": "2 g1 payments-api 2026-11-21T10:00:00Z",
    }
    described = aws.describe()
    assert described["KmsKeyId"] == "alias/team"
    assert described["Description"] == "Inference API key payments-api of the stack inference-prod, written by keyform"


def test_a_new_generation_becomes_current_and_the_old_one_previous(aws: Aws) -> None:
    effects = Counted()
    sink = aws.open(effects=effects)
    sink.write(generation(1), Secret("old"))
    effects.log.clear()
    sink.write(generation(2), Secret("new"))
    assert effects.log == ["describe_secret", "tag_resource", "put_secret_value", "update_secret_version_stage"]
    assert (aws.value(), aws.value(stage="AWSPREVIOUS")) == ("new", "old")
    assert sink.read(["payments-api"]) == {"payments-api": generation(2)}
    assert sorted(value for name, value in aws.tags().items() if ":version:" in name) == [
        "2 g1 payments-api 2026-11-21T10:00:00Z",
        "2 g2 payments-api-g2 2026-11-21T10:00:00Z",
    ]


def test_reading_never_asks_for_a_secret(aws: Aws) -> None:
    aws.open().write(generation(1), Secret("abc"))
    effects = Counted()
    aws.open(effects=effects).read(["payments-api"])
    assert effects.log == ["open", "list_secrets", "describe_secret"]


def test_reading_back_asks_for_nothing_but_what_was_written(aws: Aws) -> None:
    effects = Counted()
    sink = aws.open(effects=effects)
    for key in ("one-key", "two-key"):
        sink.write(generation(1, key=key), Secret("abc"))
    effects.log.clear()
    assert sink.read_one("one-key") == generation(1, key="one-key")
    assert effects.log == ["describe_secret"]


def test_writing_the_same_again_makes_no_version(aws: Aws) -> None:
    sink = aws.open()
    sink.write(generation(1), Secret("abc"))
    before = aws.describe()
    sink.write(generation(1), Secret("abc"))
    aws.open().write(generation(1), Secret("abc"))
    assert aws.describe()["VersionIdsToStages"] == before["VersionIdsToStages"]
    assert aws.tags() == {tag["Key"]: tag["Value"] for tag in before["Tags"]}


def test_another_secret_under_the_record_that_is_held_is_refused(aws: Aws) -> None:
    aws.open().write(generation(1), Secret("abc"))
    error = refused(lambda: aws.open().write(generation(1), Secret("other")))
    assert "already exists with other content" in error.message
    assert aws.value() == "abc"


def test_an_earlier_generation_can_be_written_again(aws: Aws) -> None:
    sink = aws.open()
    for number, secret in ((1, "one"), (2, "two"), (1, "one")):
        sink.write(generation(number), Secret(secret))
    assert (aws.value(), sink.read([])) == ("one", {"payments-api": generation(1)})


def test_what_was_said_of_versions_that_are_gone_is_cleared_away(aws: Aws) -> None:
    sink = aws.open()
    for number in range(1, 15):
        sink.write(generation(number), Secret(f"secret-{number}"))
    said = {int(value.split()[1][1:]) for name, value in aws.tags().items() if ":version:" in name}
    assert said == set(range(4, 15))  # current, previous, the one that is pruned next time, and eight more


def test_a_version_that_somebody_made_current_again_is_what_is_held(aws: Aws) -> None:
    sink = aws.open()
    sink.write(generation(1), Secret("one"))
    first = aws.current()
    sink.write(generation(2), Secret("two"))
    aws.client.update_secret_version_stage(
        SecretId=NAME, VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=aws.current()
    )
    assert (aws.value(), sink.read([])) == ("one", {"payments-api": generation(1)})


def test_a_value_that_somebody_else_put_there_is_not_held(aws: Aws) -> None:
    sink = aws.open()
    sink.write(generation(1), Secret("one"))
    aws.edit("by hand")
    assert sink.read(["payments-api"]) == {}
    sink.write(generation(2), Secret("two"))
    assert (aws.value(), sink.read([])) == ("two", {"payments-api": generation(2)})


def test_tags_that_were_damaged_hold_nothing_and_are_written_anew(aws: Aws) -> None:
    sink = aws.open()
    sink.write(generation(1), Secret("one"))
    tag = f"keyform:version:{aws.current()}"
    for damage in ("", "2 g0 payments-api 2026-11-21T10:00:00Z", "2 g1 payments-api yesterday", "1", "g1  x"):
        aws.client.tag_resource(SecretId=NAME, Tags=[{"Key": tag, "Value": damage}])
        assert sink.read([]) == {}
    sink.write(generation(2), Secret("two"))
    assert sink.read([]) == {"payments-api": generation(2)}


# --- What is not ours -------------------------------------------------------------------------------------------------


def test_a_secret_without_tags_is_refused_and_left_alone_until_it_is_handed_over(aws: Aws) -> None:
    aws.client.create_secret(Name=NAME, SecretString="theirs")
    sink = aws.open()
    for act in (lambda: sink.probe(["payments-api"]), lambda: sink.write(generation(1), Secret("ours"))):
        error = refused(act)
        assert error.message == f"sink cloud: the secret {NAME} has no keyform tags"
        assert f"tag it keyform:stack={STACK} and keyform:key=payments-api" in error.way_out
    sink.remove("payments-api")
    assert aws.value() == "theirs"
    assert [type(found) for found in sink.read(["payments-api"]).values()] == [ForeignRecord]
    tags = [{"Key": "keyform:stack", "Value": STACK}, {"Key": "keyform:key", "Value": "payments-api"}]
    aws.client.tag_resource(SecretId=NAME, Tags=tags)
    sink.probe(["payments-api"])
    sink.write(generation(1), Secret("ours"))
    assert (aws.value(), aws.value(stage="AWSPREVIOUS")) == ("ours", "theirs")
    assert sink.read([]) == {"payments-api": generation(1)}


def test_other_tags_stay(aws: Aws) -> None:
    sink = aws.open()
    sink.write(generation(1), Secret("one"))
    aws.client.tag_resource(SecretId=NAME, Tags=[{"Key": "team", "Value": "payments"}])
    for number in range(2, 6):
        sink.write(generation(number), Secret(f"{number}"))
    assert aws.tags()["team"] == "payments"


def test_secrets_of_keys_that_left_the_file_are_found(aws: Aws) -> None:
    sink = aws.open()
    for number in range(101):  # more than a page
        aws.client.create_secret(
            Name=f"{STACK}/key-{number}",
            SecretString="x",
            Tags=[{"Key": "keyform:stack", "Value": STACK}, {"Key": "keyform:key", "Value": f"key-{number}"}],
        )
    sink.write(generation(1, key="key-7"), Secret("one"))
    sink.write(generation(1, key="key-100"), Secret("two"))
    aws.open(stack=f"{STACK}-2").write(generation(1, stack=f"{STACK}-2"), Secret("of a stack whose name begins alike"))
    aws.open(name="elsewhere/{key}").write(generation(1, key="key-9"), Secret("under another template"))
    assert set(aws.open().read(["key-7"])) == {"key-7", "key-100"}


# --- Removing ---------------------------------------------------------------------------------------------------------


def test_a_removed_secret_can_be_restored_for_a_while_and_is_held_no_more(aws: Aws) -> None:
    sink = aws.open(recovery_days=10)
    sink.write(generation(1), Secret("one"))
    sink.remove("payments-api")
    sink.remove("payments-api")
    sink.remove("never-there")
    assert (aws.value(), sink.read(["payments-api"])) == (None, {})
    described = aws.describe()
    assert 9 <= (described["DeletedDate"] - described["CreatedDate"]).days <= 10


def test_with_no_recovery_days_it_is_gone_at_once(aws: Aws) -> None:
    sink = aws.open(recovery_days=0)
    sink.write(generation(1), Secret("one"))
    sink.remove("payments-api")
    with pytest.raises(aws.client.exceptions.ResourceNotFoundException):
        aws.describe()
    sink.write(generation(2), Secret("two"))
    assert aws.value() == "two"


@pytest.mark.parametrize("options", [{}, {"field": "api_key"}])
def test_a_secret_on_its_way_out_is_restored_to_be_written(aws: Aws, options: dict[str, str]) -> None:
    sink = aws.open(**options)
    sink.write(generation(1), Secret("one"))
    sink.remove("payments-api")
    sink.probe(["payments-api"])
    sink.write(generation(2), Secret("two"))
    assert "two" in (aws.value() or "")
    assert sink.read([]) == {"payments-api": generation(2)}


def test_another_stacks_secret_on_its_way_out_stays_so(aws: Aws) -> None:
    other = aws.open(stack="other", name="shared/{key}")
    other.write(generation(1, stack="other"), Secret("theirs"))
    other.remove("payments-api")
    refused(lambda: aws.open(name="shared/{key}").write(generation(1), Secret("ours")))
    assert "DeletedDate" in aws.describe("shared/payments-api")


# --- Side by side, and what it needs ----------------------------------------------------------------------------------


def test_threads_share_one_client(aws: Aws) -> None:
    effects = Counted()
    sink = aws.open(effects=effects)
    keys = [f"key-{number}" for number in range(24)]
    together = threading.Barrier(8)

    def write(mine: list[str]) -> None:
        together.wait()
        for key in mine:
            sink.write(generation(1, key=key), Secret(f"{key}-secret"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, [keys[number::8] for number in range(8)]))
    assert effects.log.count("open") == 1
    assert set(aws.open().read(keys)) == set(keys)
    assert {aws.value(f"{STACK}/{key}") for key in keys} == {f"{key}-secret" for key in keys}


def test_opening_touches_nothing(aws: Aws) -> None:
    effects = Counted()
    aws.open(effects=effects)
    assert effects.log == []


def test_boto3_is_loaded_only_when_the_sink_is_used(aws: Aws) -> None:
    script = (
        "import sys\nfrom reconciler.effects import System\nfrom reconciler.model import Owner, SinkSettings\n"
        "from reconciler.sinks import open_sinks\n"
        "open_sinks([SinkSettings('cloud', 'aws-secrets-manager')], owner=Owner('a'), effects=System())\n"
        "sys.exit(bool({'boto3', 'botocore'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], env={**os.environ}, check=False).returncode == 0


def test_without_boto3_the_extra_is_named(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ExtraMissing) as caught:
        aws.open().probe(["payments-api"])
    assert caught.value.diagnostics() == (
        "sink cloud: AWS Secrets Manager needs boto3, which is not installed.\n  pip install 'keyform[aws]'"
    )


@pytest.mark.parametrize("options", [{}, {"field": "api_key"}])
def test_no_log_has_a_secret_in_it(aws: Aws, caplog: pytest.LogCaptureFixture, options: dict[str, str]) -> None:
    """At DEBUG, botocore writes down what it sends."""
    caplog.set_level(logging.DEBUG)
    sink = aws.open(**options)
    for number in (1, 2):
        sink.write(generation(number), Secret(f"{CANARY}-{number}"))
    sink.read(["payments-api"])
    logging.getLogger("botocore").info("said")
    assert "said" in caplog.text
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"name": "{stack}"},
        {"name": "a b/{key}"},
        {"name": "{key}" + "x" * 512},
        {"name": "{key}/{generation}"},
        {"field": "a b"},
        {"field": "x" * 129},
        {"recovery_days": 3},
        {"recovery_days": 31},
        {"recovery_days": -1},
        {"recovery_days": "7"},
    ],
)
def test_options_that_make_no_sense_are_refused(aws: Aws, options: dict[str, Any]) -> None:
    assert refused(lambda: aws.open(**options)).message.startswith("sink cloud: `")


def test_a_secret_can_be_read_back_with_its_record(aws: Aws) -> None:
    aws.open().write(generation(1), Secret("old"))
    aws.open().write(generation(2), Secret("new"))
    effects = Counted()
    sink: Any = aws.open(effects=effects)
    held = sink.read_secrets(["payments-api", "unknown"])
    assert held == {"payments-api": HeldSecret(generation(2), Secret("new"))}
    assert effects.log == ["open", "describe_secret", "get_secret_value", "describe_secret"]
    assert "new" not in repr(held)
