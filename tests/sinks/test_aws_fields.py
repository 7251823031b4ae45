"""A field of a JSON object in AWS Secrets Manager: ours is kept, and so is everything that others have there."""

from __future__ import annotations

from typing import Any

import pytest
from sinks.aws_stage import Aws, Counted, generation, refused

from reconciler.model import Secret
from reconciler.sinks.protocol import HeldSecret

FIELD: dict[str, Any] = {"name": "checkout/{key}", "field": "api_key"}
SHARED = "checkout/payments-api"


def test_a_field_is_written_and_all_others_stay_byte_for_byte(aws: Aws) -> None:
    sink = aws.open(**FIELD)
    sink.write(generation(1), Secret('o"ne'))
    assert aws.fields(SHARED) == {"api_key": 'o"ne'}
    aws.edit('{"password": 1.50,   "api_key" : "o\\"ne", "nested": {"a": []}}', SHARED)
    sink.write(generation(2), Secret("two"))
    assert aws.value(SHARED) == '{"password": 1.50,   "api_key" : "two", "nested": {"a": []}}'
    assert sink.read([]) == {"payments-api": generation(2)}


def test_an_edit_of_another_field_does_not_take_ours_away(aws: Aws) -> None:
    sink = aws.open(**FIELD)
    sink.write(generation(1), Secret("one"))
    for number in range(3):
        aws.edit(f'{{"api_key": "one", "edit": {number}}}', SHARED)
        assert sink.read(["payments-api"]) == {"payments-api": generation(1)}
    sink.probe(["payments-api"])
    for lost in ('{"api_key": "two"}', '{"edit": 1}', '{"api_key": 1}', '{"api_key": ""}'):
        aws.edit(lost, SHARED)
        assert sink.read(["payments-api"]) == {}


def test_an_edit_in_the_middle_of_a_write_is_not_lost(aws: Aws) -> None:
    """AWS moves AWSCURRENT only from where it was when the value was read."""
    aws.open(**FIELD).write(generation(1), Secret("one"))
    edits = iter(['{"api_key": "one", "edit": 1}', '{"api_key": "one", "edit": 2}'])

    def edit_before_the_move(_number: int, what: str) -> None:
        if what.endswith("update_secret_version_stage") and (text := next(edits, None)):
            aws.edit(text, SHARED)

    aws.open(effects=Counted(edit_before_the_move), **FIELD).write(generation(2), Secret("two"))
    assert aws.fields(SHARED) == {"api_key": "two", "edit": 2}
    assert aws.open(**FIELD).read([]) == {"payments-api": generation(2)}


def test_whoever_edits_without_end_is_not_overwritten(aws: Aws) -> None:
    sink = aws.open(**FIELD)
    sink.write(generation(1), Secret("one"))

    def edit(number: int, what: str) -> None:
        if what.endswith("update_secret_version_stage"):
            aws.edit(f'{{"api_key": "one", "edit": {number}}}', SHARED)

    error = refused(lambda: aws.open(effects=Counted(edit), **FIELD).write(generation(2), Secret("two")))
    assert "was changed by someone else at each attempt" in error.message
    assert aws.fields(SHARED)["api_key"] == "one"
    assert sink.read([]) == {"payments-api": generation(1)}


def test_two_sinks_can_share_a_secret_by_two_fields(aws: Aws) -> None:
    first, second = aws.open(**FIELD), aws.open(**{**FIELD, "field": "token"})
    for number, secret in ((1, "one"), (2, "two")):
        for sink in (first, second):
            sink.write(generation(number), Secret(secret))
            assert sink.read(["payments-api"]) == {"payments-api": generation(number)}
    assert aws.fields(SHARED) == {"api_key": "two", "token": "two"}
    assert first.read([]) == second.read([]) == {"payments-api": generation(2)}
    first.remove("payments-api")
    assert aws.fields(SHARED) == {"token": "two"}
    assert (first.read([]), second.read([])) == ({}, {"payments-api": generation(2)})


def test_another_field_or_the_whole_is_another_place(aws: Aws) -> None:
    """Whoever changes `field` in the file must see the secret written there, and not believed to be."""
    aws.open(**FIELD).write(generation(1), Secret("one"))
    assert aws.open(**{**FIELD, "field": "token"}).read([]) == {}
    assert aws.open(name=FIELD["name"]).read([]) == {}


@pytest.mark.parametrize("text", ["plain", "[1]", '{"a": 1, "a": 2}', '{"a": ' * 5000, '{"api_key": "x"} y'])
def test_a_secret_that_has_no_fields_is_refused_before_a_key_is_made(aws: Aws, text: str) -> None:
    aws.open(**FIELD).write(generation(1), Secret("one"))
    aws.edit(text, SHARED)
    for act in (
        lambda: aws.open(**FIELD).probe(["payments-api"]),
        lambda: aws.open(**FIELD).write(generation(2), Secret("two")),
    ):
        assert "is not a JSON object" in refused(act).message
    assert aws.value(SHARED) == text


def test_writing_the_same_field_again_makes_no_version(aws: Aws) -> None:
    aws.open(**FIELD).write(generation(1), Secret("one"))
    before = aws.describe(SHARED)["VersionIdsToStages"]
    aws.open(**FIELD).write(generation(1), Secret("one"))
    assert aws.describe(SHARED)["VersionIdsToStages"] == before


def test_removing_a_field_leaves_the_others_and_the_way_back(aws: Aws) -> None:
    sink = aws.open(**FIELD)
    sink.write(generation(1), Secret("one"))
    aws.edit('{"password": 1, "api_key": "one"}', SHARED)
    sink.remove("payments-api")
    sink.remove("payments-api")
    assert (aws.value(SHARED), sink.read(["payments-api"])) == ('{"password": 1}', {})
    sink.write(generation(2), Secret("two"))
    assert aws.fields(SHARED) == {"password": 1, "api_key": "two"}
    aws.edit('{"api_key": "two"}', SHARED)
    sink.remove("payments-api")
    assert aws.value(SHARED) is None


def test_a_field_can_be_read_back_also_after_somebody_changed_others(aws: Aws) -> None:
    sink: Any = aws.open(**FIELD)
    sink.write(generation(1), Secret("one"))
    assert sink.read_secrets(["payments-api"]) == {"payments-api": HeldSecret(generation(1), Secret("one"))}
    aws.edit('{"api_key": "one", "host": "h"}', SHARED)
    assert sink.read_secrets(["payments-api"]) == {"payments-api": HeldSecret(generation(1), Secret("one"))}
    aws.edit('{"api_key": "mine", "host": "h"}', SHARED)
    assert sink.read_secrets(["payments-api"]) == {}, "it holds nothing of ours, and a wrong secret is not sent"
