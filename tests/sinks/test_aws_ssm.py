"""The sink over AWS's Parameter Store, against moto's server over HTTP: what the conformance suite does not ask."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import botocore.exceptions as boto
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sinks.aws_stage import PARAMETER, Counted, Killed, Ssm, generation, kill_at, refused
from sinks.stage import CANARY, STACK, owner
from support.faults.aws import refusal

from reconciler.effects import System
from reconciler.errors import ExtraMissing, SinkError
from reconciler.model import ForeignRecord, Place, Repair, Secret, SinkRecord, SinkSettings
from reconciler.sinks import Sink, open_sinks
from reconciler.sinks.aws_ssm import SINK, AwsSsmSink, find_fault, read_parameter
from reconciler.sinks.protocol import HeldSecret

KEY = "payments-api"
LOOK = ["describe_parameters", "list_tags_for_resource"]
LONGER = "x" * 4096
NO_ANSWER = boto.ReadTimeoutError(endpoint_url="http://aws")


# --- What is kept -----------------------------------------------------------------------------------------------------


def test_a_new_parameter_is_there_with_record_and_tags_in_one_call(ssm: Ssm) -> None:
    effects = Counted()
    ssm.open(effects=effects, kms_key_id="alias/team", tags={"team": "{key}"}).write(generation(1), Secret("abc"))
    assert effects.log == ["open", "describe_parameters", "put_parameter"]
    found = ssm.describe()
    assert (found["Type"], found["Tier"], found["KeyId"], found["Version"]) == (
        *("SecureString", "Standard", "alias/team", 1),
    )
    assert found["Description"] == (
        "Inference API key payments-api of the stack inference-prod, written by keyform. "
        "keyform:version:1=2 g1 payments-api 2026-11-21T10:00:00Z"
    )
    assert {name: value for name, value in ssm.tags().items() if name != "keyform:tags"} == {
        "keyform:api": "api.gcore.com",
        "keyform:project": "1234",
        "keyform:stack": STACK,
        "keyform:key": KEY,
        "team": KEY,
    }


def test_a_new_generation_is_one_request_with_its_record_and_keeps_the_kms_key(ssm: Ssm) -> None:
    ssm.open(kms_key_id="alias/team").write(generation(1), Secret("old"))
    effects = Counted()
    sink = ssm.open(effects=effects)
    sink.write(generation(2), Secret("new"))
    assert effects.log == ["open", *LOOK, "put_parameter"]
    assert (ssm.value(), ssm.describe()["Version"], ssm.describe()["KeyId"]) == ("new", 2, "alias/team")
    assert sink.read([KEY]) == {KEY: generation(2)}


def test_the_kms_key_of_the_file_is_taken_by_the_next_write(ssm: Ssm) -> None:
    ssm.open().write(generation(1), Secret("old"))
    ssm.open(kms_key_id="alias/other").write(generation(2), Secret("new"))
    assert ssm.describe()["KeyId"] == "alias/other"


def test_reading_and_writing_never_ask_for_a_secret(ssm: Ssm) -> None:
    effects = Counted()
    sink = ssm.open(effects=effects)
    for number in (1, 2):
        sink.write(generation(number), Secret(f"secret-{number}"))
        sink.probe([KEY])
        sink.read([KEY])
        sink.read_one(KEY)
    sink.release(KEY)
    assert "get_parameter" not in effects.log


def test_a_reading_asks_once_for_a_page_of_parameters_and_for_the_tags_of_each(ssm: Ssm) -> None:
    sink = ssm.open()
    keys = [f"key-{number}" for number in range(60)]
    for key in keys:
        sink.write(generation(1, key=key), Secret("abc"))
    effects = Counted()
    assert set(ssm.open(effects=effects).read(keys)) == set(keys)
    assert effects.log.count("describe_parameters") == 7, "moto's pages hold ten, AWS's fifty; the last one says so"
    assert effects.log.count("list_tags_for_resource") == 60


def test_a_listed_description_serves_one_look_and_no_later_one(ssm: Ssm) -> None:
    sink = ssm.open()
    sink.write(generation(1), Secret("one"))
    sink = ssm.open()
    assert sink.read([KEY]) == {KEY: generation(1)}
    ssm.edit("by hand")
    assert sink.read_one(KEY) is None


def test_writing_the_same_again_makes_no_version(ssm: Ssm) -> None:
    for _ in range(3):
        ssm.open().write(generation(1), Secret("abc"))
    assert ssm.describe()["Version"] == 1


def test_a_secret_of_more_than_4_kb_takes_the_advanced_tier_and_a_shorter_one_does_not_leave_it(ssm: Ssm) -> None:
    sink = ssm.open()
    sink.write(generation(1), Secret(LONGER))
    assert ssm.describe()["Tier"] == "Standard"
    sink.write(generation(2), Secret("é" * 4096))
    assert ssm.describe()["Tier"] == "Advanced"
    sink.write(generation(3), Secret("short"))
    assert ssm.describe()["Tier"] == "Advanced", "AWS takes nobody back"


@pytest.mark.parametrize("value", ["a{{b}}", "{{ssm:other}}", "\U0001f600" * 4096])
def test_a_value_that_aws_takes_in_no_parameter_is_refused_before_it_is_sent(ssm: Ssm, value: str) -> None:
    effects = Counted()
    error = refused(lambda: ssm.open(effects=effects).write(generation(1), Secret(value)))
    assert error.message == f"sink cloud: the secret of {KEY} has a form that AWS takes in no parameter"
    assert not error.effect_is_unknown
    assert "put_parameter" not in effects.log


# --- What somebody else did -------------------------------------------------------------------------------------------


def test_a_value_that_somebody_else_put_there_is_not_held_although_the_description_stays(ssm: Ssm) -> None:
    sink = ssm.open()
    sink.write(generation(1), Secret("one"))
    ssm.edit("by hand")
    assert "keyform:version:1=" in ssm.describe()["Description"]
    assert (sink.read([KEY]), sink.read_secrets([KEY])) == ({}, {})
    sink.write(generation(2), Secret("two"))
    assert (ssm.value(), sink.read([])) == ("two", {KEY: generation(2)})


@pytest.mark.parametrize(
    "words",
    [
        *("", "nothing of ours", "keyform:version:2=", "keyform:version:2=2 g0 payments-api 2026-11-21T10:00:00Z"),
        *("keyform:version:02=2 g1 a 2026-11-21T10:00:00Z", "keyform:version:2=2 g1 a yesterday", "\n\x1b[31m\x00"),
    ],
)
def test_a_description_that_was_damaged_holds_nothing_and_is_written_anew(ssm: Ssm, words: str) -> None:
    sink = ssm.open()
    sink.write(generation(1), Secret("one"))
    ssm.edit("by hand", Description=f"written by somebody. {words}")
    assert sink.read([]) == {}
    sink.write(generation(2), Secret("two"))
    assert sink.read([]) == {KEY: generation(2)}


def test_a_tag_claims_nothing_about_a_version(ssm: Ssm) -> None:
    sink = ssm.open()
    sink.write(generation(1), Secret("one"))
    ssm.edit("by hand")
    ssm.tag(**{"keyform:version:2": "2 g1 payments-api 2026-11-21T10:00:00Z"})
    assert sink.read([KEY]) == {}


def test_a_parameter_that_is_not_encrypted_is_refused(ssm: Ssm) -> None:
    tags = [{"Key": "keyform:stack", "Value": STACK}, {"Key": "keyform:key", "Value": KEY}]
    ssm.client.put_parameter(Name=PARAMETER, Value="x", Type="String", Tags=tags)
    for act in (lambda: ssm.open().probe([KEY]), lambda: ssm.open().write(generation(1), Secret("abc"))):
        assert "is not a SecureString, and AWS does not change that" in refused(act).message
    assert ssm.value() == "x"


def test_a_parameter_without_tags_is_refused_until_it_is_handed_over(ssm: Ssm) -> None:
    ssm.client.put_parameter(Name=PARAMETER, Value="theirs", Type="SecureString")
    sink = ssm.open()
    for act in (lambda: sink.probe([KEY]), lambda: sink.write(generation(1), Secret("ours"))):
        error = refused(act)
        assert error.message == f"sink cloud: the parameter {PARAMETER} has no keyform tags"
        assert f"tag it keyform:stack={STACK} and keyform:key={KEY}" in error.way_out
    sink.remove(KEY)
    assert ssm.value() == "theirs"
    assert [type(found) for found in sink.read([KEY]).values()] == [ForeignRecord]
    ssm.tag(**{"keyform:stack": STACK, "keyform:key": KEY})
    sink.write(generation(1), Secret("ours"))
    assert (ssm.value(), sink.read([])) == ("ours", {KEY: generation(1)})


@pytest.mark.parametrize("name", ["/{stack}/{key}", "{KEY}.of.{stack}", "/a/{STACK}/{KEY}/{key}/{KEY}"])
def test_parameters_of_keys_that_left_the_file_are_found_by_their_names(ssm: Ssm, name: str) -> None:
    sink = ssm.open(name=name)
    for number in range(52):  # more than a page
        sink.write(generation(1, key=f"key-{number}"), Secret("x"))
    other = ssm.open(stack=f"{STACK}-2", name="/second/{key}")
    other.write(generation(1, stack=f"{STACK}-2"), Secret("of a stack whose name begins alike"))
    ssm.open(name="/elsewhere/{key}").write(generation(1, key="key-99"), Secret("under another template"))
    assert set(ssm.open(name=name).read([])) == {f"key-{number}" for number in range(52)}


@given(st.lists(st.sampled_from(["{key}", "{KEY}", "{stack}", "a", "-", "/", "_"]), min_size=1, max_size=40))
def test_a_parameter_is_found_by_its_name_whatever_the_template(parts: list[str]) -> None:
    settings = SinkSettings("cloud", "aws-ssm", {"name": f"/x{''.join(parts)}{{key}}y"}, Place())
    try:
        sink = open_sinks([settings], owner=owner(), effects=Counted())["cloud"]
    except SinkError:
        return  # a name that AWS would not take
    assert isinstance(sink, AwsSsmSink)
    assert sink._key_of(sink.name_of(KEY)) == KEY
    assert sink._key_of("/x" + "a" * 900) == ""


# --- Tags of one's own ------------------------------------------------------------------------------------------------


def test_tags_that_differ_are_a_repair_that_takes_no_value_and_makes_no_version(ssm: Ssm) -> None:
    ssm.open(tags={"team": "a", "cost": "b"}).write(generation(1), Secret("abc"))
    ssm.tag(theirs="stays", team="eve")
    effects = Counted()
    sink = ssm.open(tags={"team": "a"}, effects=effects)
    sink.read([KEY])
    assert sink.repairs == (
        Repair(
            "sink_entry_differs",
            f"the tags of {PARAMETER} differ: team should be a, cost left the file; an apply corrects them",
        ),
    )
    sink.tidy()
    assert effects.log[-2:] == ["remove_tags_from_resource", "add_tags_to_resource"]
    own = {name: value for name, value in ssm.tags().items() if not name.startswith("keyform:")}
    assert own == {"theirs": "stays", "team": "a"}
    assert ssm.describe()["Version"] == 1
    assert {"put_parameter", "get_parameter"}.isdisjoint(effects.log)


def test_a_rotation_sets_tags_first_and_only_if_they_differ(ssm: Ssm) -> None:
    ssm.open().write(generation(1), Secret("old"))
    for tags, calls in (({"team": "a"}, ["add_tags_to_resource", "put_parameter"]), ({"team": "a"}, ["put_parameter"])):
        effects = Counted()
        number = ssm.describe()["Version"] + 1
        ssm.open(tags=tags, effects=effects).write(generation(number), Secret(f"new-{number}"))
        assert effects.log == ["open", *LOOK, *calls]


# --- Races, and what takes effect late --------------------------------------------------------------------------------


def when(operation: str, act: Callable[[], object], times: int = 1) -> Counted:
    """A world in which somebody acts just before a call, so many times."""
    left = [act] * times

    def before(_number: int, what: str) -> None:
        if what == f"ssm:{operation}" and left:
            left.pop()()

    return Counted(before)


def test_a_value_that_came_between_look_and_write_is_seen_and_the_record_is_true_in_the_end(ssm: Ssm) -> None:
    ssm.open().write(generation(1), Secret("one"))
    effects = when("put_parameter", lambda: ssm.edit("by hand"))
    ssm.open(effects=effects).write(generation(2), Secret("two"))
    assert effects.log == ["open", *LOOK, "put_parameter", *LOOK, "put_parameter"]
    assert (ssm.value(), ssm.describe()["Version"]) == ("two", 4)
    assert ssm.open().read([KEY]) == {KEY: generation(2)}


def test_somebody_who_writes_each_time_makes_the_outcome_unknown(ssm: Ssm) -> None:
    ssm.open().write(generation(1), Secret("one"))
    effects = when("put_parameter", lambda: ssm.edit("by hand"), times=9)
    error = refused(lambda: ssm.open(effects=effects).write(generation(2), Secret("two")))
    assert error.message == f"sink cloud: {PARAMETER} was changed by someone else while it was written"
    assert error.effect_is_unknown, "consumers get it"
    assert (ssm.value(), ssm.open().read([KEY])) == ("two", {}), "no record claims what nobody can vouch for"


@pytest.mark.parametrize("answer", [{}, {"Version": "2"}, {"Version": 0}, {"Version": True}, []])
def test_an_answer_without_a_version_leaves_the_outcome_to_a_look(ssm: Ssm, answer: Any) -> None:
    ssm.open().write(generation(1), Secret("one"))

    class Odd(Counted):
        def call(self, what: str, function: Callable[[], Any]) -> Any:
            found = super().call(what, function)
            return answer if what == "ssm:put_parameter" else found

    effects = Odd()
    error = error_of(lambda: ssm.open(effects=effects).write(generation(2), Secret("two")))
    assert error is None or error.effect_is_unknown
    assert effects.log.count("put_parameter") == 1
    assert (ssm.value(), ssm.open().read([KEY])) == ("two", {KEY: generation(2)})


def test_a_parameter_that_somebody_else_made_meanwhile_is_not_replaced(ssm: Ssm) -> None:
    def make() -> None:
        ssm.client.put_parameter(Name=PARAMETER, Value="theirs", Type="SecureString")

    error = refused(lambda: ssm.open(effects=when("put_parameter", make)).write(generation(1), Secret("ours")))
    assert "has no keyform tags" in error.message
    assert not error.effect_is_unknown
    assert ssm.value() == "theirs"


def test_a_parameter_that_somebody_removed_meanwhile_is_not_claimed(ssm: Ssm) -> None:
    ssm.open().write(generation(1), Secret("one"))
    effects = when("put_parameter", lambda: ssm.client.delete_parameter(Name=PARAMETER))
    error = refused(lambda: ssm.open(effects=effects).write(generation(2), Secret("two")))
    assert error.effect_is_unknown
    assert ssm.open().read_one(KEY) is None


@pytest.mark.parametrize("before", [0, 1])
def test_a_write_whose_answer_was_lost_is_found_and_not_made_again(ssm: Ssm, before: int) -> None:
    if before:
        ssm.open().write(generation(1), Secret("one"))

    class Lost(Counted):
        def call(self, what: str, function: Callable[[], Any]) -> Any:
            answer = super().call(what, function)
            if what == "ssm:put_parameter":
                raise NO_ANSWER
            return answer

    effects = Lost()
    ssm.open(effects=effects).write(generation(2), Secret("two"))
    assert effects.log.count("put_parameter") == 1
    assert (ssm.value(), ssm.describe()["Version"]) == ("two", before + 1)
    assert ssm.open().read([KEY]) == {KEY: generation(2)}


@pytest.mark.parametrize("next_write", [False, True])
def test_a_write_that_takes_effect_late_makes_no_record_lie(ssm: Ssm, *, next_write: bool) -> None:
    """Nobody can keep AWS from it: consumers then get a generation that counts as in use, and the record says so."""
    ssm.open().write(generation(1), Secret("one"))
    late: list[Callable[[], Any]] = []

    class Late(Counted):
        def call(self, what: str, function: Callable[[], Any]) -> Any:
            if what == "ssm:put_parameter":
                late.append(function)
                raise NO_ANSWER
            return super().call(what, function)

    error = refused(lambda: ssm.open(effects=Late()).write(generation(2), Secret("two")))
    assert error.effect_is_unknown
    if next_write:
        ssm.open().write(generation(3), Secret("three"))
    late[0]()
    assert ssm.value() == "two"
    assert ssm.open().read([KEY]) == ({} if next_write else {KEY: generation(2)})
    newest = replace(generation(4), created_at=generation(1).created_at + timedelta(hours=1))
    ssm.open().write(newest, Secret("four"))
    assert (ssm.value(), ssm.open().read([KEY])) == ("four", {KEY: newest})


def test_what_aws_does_not_show_yet_is_waited_for(ssm: Ssm) -> None:
    """It answers with what was there some seconds ago."""

    class Lagging(Counted):
        def call(self, what: str, function: Callable[[], Any]) -> Any:
            answer = super().call(what, function)
            is_lagging = what == "ssm:describe_parameters" and "put_parameter" in self.log and len(self.waits) < 2
            return {"Parameters": []} if is_lagging else answer

    effects = Lagging()
    sink = ssm.open(effects=effects)
    sink.write(generation(1), Secret("one"))
    assert sink.read_one(KEY) == generation(1)
    assert effects.waits == [1.0, 2.0]


def test_what_aws_does_not_show_at_all_is_said(ssm: Ssm) -> None:
    sink = ssm.open(effects=Counted())
    sink.write(generation(1), Secret("one"))
    ssm.client.delete_parameter(Name=PARAMETER)
    error = refused(lambda: sink.read_one(KEY))
    assert error.message == f"sink cloud: AWS does not show yet what became of {PARAMETER}"


def nothing(_ssm: Ssm) -> None:
    pass


def held(ssm: Ssm) -> None:
    ssm.open().write(generation(1), Secret("1"))


def write(sink: Sink) -> None:
    sink.write(generation(2), Secret("2"))


def remove(sink: Sink) -> None:
    sink.remove(KEY)


STORIES: dict[str, tuple[Callable[[Ssm], None], Callable[[Sink], None], dict[str, Any], list[str]]] = {
    "first write": (nothing, write, {}, ["describe_parameters", "put_parameter"]),
    "second write": (held, write, {}, [*LOOK, "put_parameter"]),
    "second write with tags": (held, write, {"tags": {"a": "b"}}, [*LOOK, "add_tags_to_resource", "put_parameter"]),
    "removal": (held, remove, {}, [*LOOK, "delete_parameter"]),
}
each_story = pytest.mark.parametrize("story", STORIES)


def assert_true(ssm: Ssm) -> int | None:
    """What a new run reads is what a consumer gets; gives the generation."""
    record = ssm.open().read([KEY]).get(KEY)
    assert record is None or isinstance(record, SinkRecord)
    assert ssm.value() == (str(record.generation) if record else None)
    return record.generation if record else None


def reset() -> None:
    """AWS as it was before the test."""
    from moto.ssm.models import ssm_backends

    ssm_backends.reset()


@each_story
def test_killed_after_any_call(ssm: Ssm, story: str) -> None:
    before, act, options, calls = STORIES[story]
    for number in range(1, len(calls) + 2):
        reset()
        before(ssm)
        effects = Counted(after=kill_at(number))
        with pytest.raises(Killed):
            act(ssm.open(effects=effects, **options))
        assert effects.log == ["open", *calls][:number]
        is_done = number == len(calls) + 1
        assert assert_true(ssm) == ((2 if act is write else None) if is_done else (1 if before is held else None))
        ssm.open(**options).write(generation(3), Secret("3"))
        assert assert_true(ssm) == 3


REFUSED = ("AccessDeniedException", "ValidationException", "ExpiredTokenException")
TROUBLES = {
    **{code: refusal(code, "any", 400, "no") for code in (*REFUSED, "ThrottlingException", "TooManyUpdates")},
    "InternalServerError": refusal("InternalServerError", "any", 500, "no"),
    "no answer": NO_ANSWER,
    "no way there": boto.EndpointConnectionError(endpoint_url="http://aws"),
}


def error_of(act: Callable[[], object]) -> SinkError | None:
    """The error that an act ends with, if it does."""
    try:
        act()
    except SinkError as error:
        return error
    return None


@each_story
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("name", TROUBLES)
def test_failing_at_any_call(ssm: Ssm, story: str, name: str, moment: str, *, lasting: bool) -> None:
    """What passes is tried again; an error that calls the outcome known means that consumers get what they got."""
    before, act, options, calls = STORIES[story]
    if moment == "after" and name in (*REFUSED, "ThrottlingException", "TooManyUpdates"):
        return  # AWS does nothing then
    for number in range(2, len(calls) + 2):
        reset()
        before(ssm)
        first = ssm.value()

        def strike(count: int, what: str, *, at: int = number, calls: list[str] = calls) -> None:
            operation = what.partition(":")[2]
            if count == at or (lasting and count > at and operation == calls[at - 2]):
                raise TROUBLES[name]

        effects = Counted(**{moment: strike})
        error = error_of(lambda: act(ssm.open(effects=effects, **options)))  # noqa: B023 - called at once
        if error is None:
            assert ssm.value() == ("2" if act is write else None)
            assert name not in REFUSED
        else:
            assert error.way_out
            assert lasting or name in REFUSED
            assert error.effect_is_unknown or ssm.value() == first
            assert not (error.effect_is_unknown and name in REFUSED)
        assert_true(ssm)


# --- What is said, and what it needs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "message", "way_out"),
    [
        (
            refusal("AccessDeniedException", "any", 400, f"no {CANARY}"),
            f"{PARAMETER}: AWS denies the access (PutParameter: AccessDeniedException)",
            "Allow ssm:PutParameter to the identity that keyform runs as.",
        ),
        (
            refusal("InvalidKeyId", "any", 400, CANARY),
            f"{PARAMETER}: AWS cannot use the parameter's KMS key (PutParameter: InvalidKeyId)",
            "Check that the key exists and is enabled, and allow kms:Encrypt, kms:GenerateDataKey and kms:Decrypt",
        ),
        (
            refusal("ParameterMaxVersionLimitExceeded", "any", 400, CANARY),
            f"{PARAMETER}: the parameter has 100 versions, and a label keeps the oldest "
            "(PutParameter: ParameterMaxVersionLimitExceeded)",
            "Move that label to a newer version: AWS can then drop the oldest one.",
        ),
        (
            refusal("ParameterLimitExceeded", "any", 400, CANARY),
            f"{PARAMETER}: a quota of AWS is used up (PutParameter: ParameterLimitExceeded)",
            "Remove parameters that nobody reads, or ask AWS for more in this account and region.",
        ),
        (
            refusal("ValidationException", "any", 400, CANARY),
            f"{PARAMETER}: AWS refuses it (PutParameter: ValidationException)",
            "Fix the cause, and run apply again.",
        ),
        (
            refusal("ThrottlingException", "any", 400, CANARY),
            f"{PARAMETER}: AWS asks for fewer requests (PutParameter: ThrottlingException)",
            "Run apply again in a few minutes, with a lower --parallelism.",
        ),
        (
            refusal("ExpiredTokenException", "any", 400, CANARY),
            f"{PARAMETER}: the credentials have expired (PutParameter: ExpiredTokenException)",
            "Sign in again, or refresh them, and check this machine's clock.",
        ),
        (boto.SSLError(endpoint_url="http://aws", error=CANARY), "AWS cannot be trusted: TLS failed", "Check AWS_"),
        (boto.ParamValidationError(report=CANARY), "AWS does not accept the request", "Report this as a bug"),
    ],
)
def test_a_failed_write_is_told_without_the_secret(ssm: Ssm, trouble: Exception, message: str, way_out: str) -> None:
    def strike(_number: int, what: str) -> None:
        if what == "ssm:put_parameter":
            raise trouble

    error = refused(lambda: ssm.open(effects=Counted(strike)).write(generation(1), Secret(CANARY)))
    assert error.message == f"sink cloud: {message}"
    assert error.way_out.startswith(way_out)
    assert CANARY not in "".join(traceback.format_exception(error)) + error.diagnostics()


def test_the_hundred_and_first_version_is_made_and_the_first_one_goes(ssm: Ssm) -> None:
    sink = ssm.open()
    for number in range(1, 103):
        sink.write(generation(number), Secret(f"secret-{number}"))
    assert (ssm.value(), sink.read([])) == ("secret-102", {KEY: generation(102)})


def test_a_version_that_a_label_keeps_is_named_as_the_cause(ssm: Ssm) -> None:
    sink = ssm.open()
    sink.write(generation(1), Secret("one"))
    ssm.client.label_parameter_version(Name=PARAMETER, ParameterVersion=1, Labels=["prod"])
    for number in range(2, 101):
        sink.write(generation(number), Secret(f"secret-{number}"))
    error = refused(lambda: sink.write(generation(101), Secret("new")))
    assert "a label keeps the oldest" in error.message
    assert not error.effect_is_unknown
    assert (ssm.value(), sink.read([])) == ("secret-100", {KEY: generation(100)})


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *((name, "") for name in ("/prod/key", "key", "prod.key_1-a", "/saws/key", "/a" * 15, "/" + "a" * 1010)),
        *((name, "begins with `aws` or `ssm`") for name in ("aws-key", "/AWS/key", "Ssm.key", "/ssmkey", "/awsome/k")),
        *(
            (name, "is neither like")
            for name in ("prod/key", "/prod/key/", "/prod//key", "", "/", "/a b", "/a:1", "/é")
        ),
        ("/" + "a" * 1011, "has more than 1011 characters"),
        ("/a" * 16, "has more than 15 levels"),
    ],
)
def test_a_name_that_aws_would_refuse_is_refused(name: str, fault: str) -> None:
    assert find_fault(name).startswith(fault)
    assert bool(find_fault(name)) == bool(fault)


@pytest.mark.parametrize(
    "options",
    [{"name": "/{stack}"}, {"name": "{stack}/{key}"}, {"name": "/a b/{key}"}, {"name": "/aws/{key}"}, {"region": "eu"}],
)
def test_options_that_make_no_sense_are_refused(ssm: Ssm, options: dict[str, Any]) -> None:
    assert refused(lambda: ssm.open(**options)).message.startswith("sink cloud: `")


def test_the_destination_names_region_kms_key_and_tags(ssm: Ssm) -> None:
    sink = ssm.open(kms_key_id="alias/team", tags={"team": "a"})
    place = f"AWS Parameter Store: /{STACK}/{{key}}, region eu-west-1, KMS key alias/team"
    assert (sink.place, sink.destination) == (place, f"{place}, tags team=a")


def test_a_secret_can_be_read_back_by_the_version_that_its_record_is_about(ssm: Ssm) -> None:
    ssm.open().write(generation(1), Secret("old"))
    ssm.open().write(generation(2), Secret("new"))
    effects = Counted()
    held = ssm.open(effects=effects).read_secrets([KEY])
    assert held == {KEY: HeldSecret(generation(2), Secret("new"))}
    assert effects.log == ["open", *LOOK, "get_parameter"]


def test_threads_share_one_client(ssm: Ssm) -> None:
    effects = Counted()
    sink = ssm.open(effects=effects)
    keys = [f"key-{number}" for number in range(24)]
    together = threading.Barrier(8)

    def write(mine: list[str]) -> None:
        together.wait()
        for key in mine:
            sink.write(generation(1, key=key), Secret(f"{key}-secret"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, [keys[number::8] for number in range(8)]))
    assert effects.log.count("open") == 1
    assert {ssm.value(f"/{STACK}/{key}") for key in keys} == {f"{key}-secret" for key in keys}


def test_boto3_is_loaded_only_when_the_sink_is_used(ssm: Ssm) -> None:
    script = (
        "import sys\nfrom reconciler.effects import System\nfrom reconciler.model import Owner, SinkSettings\n"
        "from reconciler.sinks import open_sinks\n"
        "open_sinks([SinkSettings('cloud', 'aws-ssm')], owner=Owner('a'), effects=System())\n"
        "sys.exit(bool({'boto3', 'botocore'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], env={**os.environ}, check=False).returncode == 0


def test_without_boto3_the_extra_is_named(ssm: Ssm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ExtraMissing) as caught:
        ssm.open().probe([KEY])
    assert caught.value.diagnostics() == (
        "sink cloud: AWS Parameter Store needs boto3, which is not installed.\n  pip install 'keyform[aws]'"
    )


def test_an_address_where_nobody_listens_is_told(ssm: Ssm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:9")
    monkeypatch.setattr(System, "sleep", lambda _self, _seconds: None)
    assert refused(lambda: ssm.open(effects=System()).probe([KEY])).message == "sink cloud: AWS cannot be reached"


def test_an_address_that_is_none_is_told(ssm: Ssm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "nowhere")
    error = refused(lambda: ssm.open(effects=System()).probe([KEY]))
    assert error.diagnostics() == (
        "sink cloud: the address of AWS is not a URL\n  Correct AWS_ENDPOINT_URL_SSM, or AWS_ENDPOINT_URL."
    )


def test_no_log_has_a_secret_in_it(ssm: Ssm, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sink = ssm.open()
    for number in (1, 2):
        sink.write(generation(number), Secret(f"{CANARY}-{number}"))
    sink.read([KEY])
    logging.getLogger("botocore").info("said")
    assert "said" in caplog.text
    assert CANARY not in caplog.text


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("Version", "Description", "Type", "Tier", "KeyId")


@given(
    found=st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, anything)),
    tags=st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4),
)
def test_whatever_aws_says_of_a_parameter_it_claims_nothing_that_is_not_in_its_description(
    found: dict[str, Any], tags: dict[str, str]
) -> None:
    parameter = read_parameter(found, {**tags, "keyform:version:1": "2 g1 a 2026-11-21T10:00:00Z"})
    assert parameter.claims() == {}


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_description_is_about_one_version(claimed: int, version: int) -> None:
    words = f"Anything. keyform:version:{claimed}=2 g1 a 2026-11-21T10:00:00Z"
    parameter = read_parameter({"Version": version, "Description": words}, {})
    assert (parameter.current in parameter.claims()) == (claimed == version)


def test_the_rights_that_are_declared_are_those_that_are_used(ssm: Ssm) -> None:
    effects = Counted()
    sink = ssm.open(effects=effects, tags={"a": "b"})
    sink.write(generation(1), Secret("one"))
    sink.write(generation(2), Secret("two"))
    ssm.tag(a="c")
    other = ssm.open(effects=effects, tags={"d": "e"})
    other.read([KEY])
    other.tidy()
    other.remove(KEY)

    def actions(calls: list[str]) -> set[str]:
        return {"".join(part.capitalize() for part in call.split("_")) for call in calls} - {"Open"}

    assert actions(effects.log) == set(SINK.rights.write)
    reading = Counted()
    ssm.open().write(generation(3), Secret("three"))
    ssm.open(effects=reading).read([KEY])
    assert actions(reading.log) == set(SINK.rights.read)
    ssm.open(effects=reading).read_secrets([KEY])
    assert actions(reading.log) == set(SINK.rights.verify)


def test_two_sinks_of_a_region_share_no_parameter_of_two_stacks(ssm: Ssm) -> None:
    settings = [SinkSettings(name, "aws-ssm", {"region": "eu-west-1"}, Place()) for name in ("one", "two")]
    one, two = (
        open_sinks([each], owner=replace(ssm.open()._owner, stack=each.name), effects=Counted())[each.name]
        for each in settings
    )
    one.write(generation(1, stack="one"), Secret("1"))
    assert two.read([KEY]) == {}
    assert one.place != two.place
