"""A run dies, or loses an answer, at any call to AWS: what counts as held is held, and the next run converges."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from sinks.aws_stage import Aws, Counted, Killed, generation, kill_at
from sinks.stage import STACK

from reconciler.errors import SinkError
from reconciler.model import Secret
from reconciler.sinks import Sink

NAME = f"{STACK}/payments-api"
SECRETS = {1: "0ne", 2: "tw0", 3: "thr3e"}


def nothing(_aws: Aws, _options: dict[str, Any]) -> None:
    pass


def held(aws: Aws, options: dict[str, Any]) -> None:
    aws.open(**options).write(generation(1), Secret(SECRETS[1]))


def edited(aws: Aws, options: dict[str, Any]) -> None:
    held(aws, options)
    aws.edit(json.dumps({"api_key": SECRETS[1], "other": "theirs"}))


def removed(aws: Aws, options: dict[str, Any]) -> None:
    held(aws, options)
    aws.open(**options).remove("payments-api")


def old(aws: Aws, options: dict[str, Any]) -> None:
    """So old that tags of versions without a label are cleared away."""
    held(aws, options)
    claim = "g1 payments-api 2026-11-01T10:00:00.123456Z"
    aws.client.tag_resource(
        SecretId=NAME, Tags=[{"Key": f"keyform:version:{number}", "Value": claim} for number in range(9)]
    )


def write(sink: Sink) -> None:
    sink.write(generation(2), Secret(SECRETS[2]))


def remove(sink: Sink) -> None:
    sink.remove("payments-api")


def tagged_before(aws: Aws, options: dict[str, Any]) -> None:
    """By a file that said others."""
    held(aws, {**options, "tags": {"old": "tag"}})


FIELD = {"field": "api_key"}
TAGS = {"tags": {"team": "payments", "key": "{key}"}}


@dataclass(frozen=True)
class Story:
    options: dict[str, Any]
    before: Callable[[Aws, dict[str, Any]], None]
    act: Callable[[Sink], None]
    after: int | None
    calls: list[str]


REPLACE = ["tag_resource", "put_secret_value", "update_secret_version_stage"]
STORIES = {
    "first write": Story({}, nothing, write, 2, ["describe_secret", "create_secret"]),
    "first write of a field": Story(FIELD, nothing, write, 2, ["describe_secret", "create_secret"]),
    "second write": Story({}, held, write, 2, ["describe_secret", *REPLACE]),
    "second write of a field": Story(FIELD, held, write, 2, ["describe_secret", "get_secret_value", *REPLACE]),
    "write into what others edited": Story(FIELD, edited, write, 2, ["describe_secret", "get_secret_value", *REPLACE]),
    "second write with tags": Story(TAGS, tagged_before, write, 2, ["describe_secret", "untag_resource", *REPLACE]),
    "write after a removal": Story(
        {}, removed, write, 2, ["describe_secret", "restore_secret", "describe_secret", *REPLACE]
    ),
    "write with old tags": Story({}, old, write, 2, ["describe_secret", "untag_resource", *REPLACE]),
    "removal": Story({}, held, remove, None, ["describe_secret", "delete_secret"]),
    "removal of the only field": Story(
        FIELD, held, remove, None, ["describe_secret", "get_secret_value", "delete_secret"]
    ),
    "removal of a field": Story(FIELD, edited, remove, None, ["describe_secret", "get_secret_value", *REPLACE[1:]]),
}
each_story = pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)


def secret_of(aws: Aws, story: Story) -> str | None:
    """What a consumer gets."""
    text = aws.value()
    if text is None or "field" not in story.options:
        return text
    value = json.loads(text).get("api_key")
    return value if value is None else str(value)


def assert_true(aws: Aws, story: Story) -> int | None:
    """What a new run reads is what a consumer gets, secret and generation; gives the generation."""
    record = aws.open(**story.options).read(["payments-api"]).get("payments-api")
    number = record.generation if record else None
    assert secret_of(aws, story) == (SECRETS[number] if number else None)
    if story.before is edited:
        assert aws.fields()["other"] == "theirs"
    return number


def assert_converges(aws: Aws, story: Story) -> None:
    """The next run makes another generation, as it does after a death: its secret is known to nobody any more."""
    sink = aws.open(**story.options)
    sink.probe(["payments-api"])
    if story.after is None:
        sink.remove("payments-api")
        assert assert_true(aws, story) is None
    sink.write(generation(3), Secret(SECRETS[3]))
    assert assert_true(aws, story) == 3


def reset() -> None:
    """AWS as it was before the test."""
    from moto.secretsmanager.models import secretsmanager_backends

    secretsmanager_backends.reset()


@each_story
def test_a_write_makes_these_calls(aws: Aws, story: Story) -> None:
    story.before(aws, story.options)
    effects = Counted()
    story.act(aws.open(effects=effects, **story.options))
    assert effects.log == ["open", *story.calls]
    assert assert_true(aws, story) == story.after


@each_story
def test_killed_after_any_call(aws: Aws, story: Story) -> None:
    """And so before the next: there is nothing in between."""
    seen = set()
    for number in range(1, len(story.calls) + 2):
        reset()
        story.before(aws, story.options)
        with pytest.raises(Killed):
            story.act(aws.open(effects=Counted(after=kill_at(number)), **story.options))
        seen.add(assert_true(aws, story))
        assert_converges(aws, story)
    began = {nothing: {None}, removed: {None, 1}}.get(story.before, {1})  # what was restored is what it was
    assert seen <= {*began, story.after}


FAILING = ("first write", "second write of a field", "write after a removal", "removal", "removal of a field")
DENIED = ClientError({"Error": {"Code": "AccessDeniedException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "X")
NO_ANSWER = ReadTimeoutError(endpoint_url="http://aws")


def fail_at(wanted: int, trouble: Exception) -> Callable[[int, str], None]:
    """The n-th call (from 1) fails; all others work."""

    def fail(number: int, _what: str) -> None:
        if number == wanted:
            raise trouble

    return fail


@pytest.mark.parametrize("story", [STORIES[name] for name in FAILING], ids=FAILING)
@pytest.mark.parametrize(("moment", "trouble"), [("before", DENIED), ("before", NO_ANSWER), ("after", NO_ANSWER)])
def test_failing_at_any_call(aws: Aws, story: Story, moment: str, trouble: Exception) -> None:
    """An error that does not call the outcome unknown means that consumers get what they got before."""
    for number in range(3, len(story.calls) + 2):
        reset()
        story.before(aws, story.options)
        before = {secret_of(aws, story)} | ({SECRETS[1]} if story.before is removed else set())
        with pytest.raises(SinkError) as caught:
            story.act(aws.open(effects=Counted(**{moment: fail_at(number, trouble)}), **story.options))
        assert_true(aws, story)
        assert caught.value.effect_is_unknown or secret_of(aws, story) in before
        assert not (caught.value.effect_is_unknown and trouble is DENIED)


@each_story
def test_a_call_whose_effect_comes_late_tells_no_lie(aws: Aws, story: Story) -> None:
    """Its answer is lost, a new run recovers, and then it takes effect after all."""
    for number in range(3, len(story.calls) + 2):
        reset()
        story.before(aws, story.options)
        late: list[Callable[[], Any]] = []

        class Late(Counted):
            def call(self, what: str, function: Callable[[], Any], *, at: int = number, kept: list[Any] = late) -> Any:
                if len(self.log) + 1 == at:
                    kept.append(function)
                    raise ReadTimeoutError(endpoint_url="http://aws")
                return super().call(what, function)

        with pytest.raises(SinkError):
            story.act(aws.open(effects=Late(), **story.options))
        aws.open(**story.options).write(generation(3), Secret(SECRETS[3]))
        try:
            late.pop()()
        except ClientError:
            assert story.calls[number - 2] in ("create_secret", "update_secret_version_stage")
        if story.act is write:
            assert assert_true(aws, story) == 3
        else:
            assert_true(aws, story)
            assert_converges(aws, story)
