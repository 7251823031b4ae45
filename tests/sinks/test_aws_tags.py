"""Tags of the user's own on the secrets in AWS: set, kept, taken off; never those of others, and without the value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sinks.aws_stage import Aws, Counted, generation, kill_at, refused
from sinks.aws_stage import Killed as Dead
from sinks.stage import STACK

from reconciler.model import Place, Repair, Secret, SinkSettings
from reconciler.sinks.aws_record import TAGS_TAG
from reconciler.sinks.aws_tags import OwnTags, find_faults

NAME = f"{STACK}/payments-api"
KEYS = ["payments-api"]
TAGS = {"team": "payments", "key": "{stack}/{key} {KEY}"}
FILLED = {"team": "payments", "key": f"{STACK}/payments-api PAYMENTS_API"}
HOW: list[dict[str, Any]] = [{}, {"field": "{KEY}_KEY"}]
each_way = pytest.mark.parametrize("options", HOW, ids=["whole", "field"])


def own_tags(aws: Aws) -> dict[str, str]:
    """All but keyform's."""
    return {name: value for name, value in aws.tags().items() if not name.startswith("keyform:")}


def tag(aws: Aws, **tags: str) -> None:
    """Somebody does."""
    aws.client.tag_resource(SecretId=NAME, Tags=[{"Key": name, "Value": value} for name, value in tags.items()])


def calls(aws: Aws, act: str, **options: Any) -> list[str]:
    """What a new run asks AWS when it reads and tidies."""
    effects = Counted()
    sink = aws.open(effects=effects, **options)
    sink.read(KEYS)
    assert bool(sink.repairs) == (act == "repairs")
    sink.tidy()
    return effects.log[1:]


@each_way
def test_a_new_secret_has_its_tags_in_the_call_that_makes_it(aws: Aws, options: dict[str, Any]) -> None:
    effects = Counted()
    aws.open(effects=effects, tags=TAGS, **options).write(generation(1), Secret("abc"))
    assert effects.log == ["open", "describe_secret", "create_secret"]
    assert own_tags(aws) == FILLED
    assert "get_secret_value" not in calls(aws, "nothing", tags=TAGS)


@each_way
@pytest.mark.parametrize(
    ("before", "after", "made"),
    [
        ({}, TAGS, ["tag_resource"]),
        (TAGS, {"team": "search"}, ["untag_resource", "tag_resource"]),
        (TAGS, {}, ["untag_resource"]),
        ({"a": "b"}, {"a": "c"}, ["tag_resource"]),
    ],
)
def test_what_the_file_says_now_is_a_repair_that_one_apply_makes_without_the_value(
    aws: Aws,
    options: dict[str, Any],
    before: dict[str, str],
    after: dict[str, str],
    made: list[str],
) -> None:
    aws.open(tags=before, **options).write(generation(1), Secret("abc"))
    tag(aws, theirs="stays")
    version = aws.current()
    log = calls(aws, "repairs", tags=after, **options)
    assert [call for call in log if "tag_" in call] == made
    assert "get_secret_value" not in log
    assert own_tags(aws) == {"theirs": "stays", **{name: FILLED.get(name, after[name]) for name in after}} | (
        {"team": after["team"]} if "team" in after else {}
    )
    assert (TAGS_TAG in aws.tags()) == bool(after)
    assert aws.current() == version
    assert not [call for call in calls(aws, "nothing", tags=after, **options) if "tag_" in call]


def test_a_tag_that_somebody_changed_or_took_off_is_set_again_and_named(aws: Aws) -> None:
    aws.open(tags=TAGS).write(generation(1), Secret("abc"))
    tag(aws, team="eve")
    aws.client.untag_resource(SecretId=NAME, TagKeys=["key"])
    sink = aws.open(tags=TAGS)
    assert sink.read(KEYS) == {"payments-api": generation(1)}
    assert sink.repairs == (
        Repair(
            "sink_entry_differs",
            f"the tags of {NAME} differ: key should be {FILLED['key']}, team should be payments; "
            "an apply corrects them",
        ),
    )
    sink.tidy()
    assert own_tags(aws) == FILLED


def test_a_tag_that_others_put_stays_although_the_file_once_had_it_no_more(aws: Aws) -> None:
    aws.open(tags={"team": "a", "cost": "b"}).write(generation(1), Secret("abc"))
    calls(aws, "repairs", tags={"team": "a"})
    tag(aws, cost="theirs")
    assert calls(aws, "nothing", tags={"team": "a"}) == ["list_secrets", "describe_secret"]
    assert own_tags(aws) == {"team": "a", "cost": "theirs"}


def test_keyforms_own_tags_are_never_taken_off_whatever_the_list_says(aws: Aws) -> None:
    import hashlib

    aws.open(tags=TAGS).write(generation(1), Secret("abc"))
    ours = {name: value for name, value in aws.tags().items() if name.startswith("keyform:")}
    forged = " ".join(hashlib.sha256(name.encode()).hexdigest()[:8] for name in ours)
    aws.client.tag_resource(SecretId=NAME, Tags=[{"Key": TAGS_TAG, "Value": forged}])
    calls(aws, "repairs", tags=TAGS)
    assert {name: value for name, value in aws.tags().items() if name.startswith("keyform:")} == ours


def test_a_rotation_keeps_the_tags_and_asks_for_nothing_more(aws: Aws) -> None:
    effects = Counted()
    sink = aws.open(tags=TAGS, effects=effects)
    sink.write(generation(1), Secret("old"))
    effects.log.clear()
    sink.write(generation(2), Secret("new"))
    assert effects.log == ["describe_secret", "tag_resource", "put_secret_value", "update_secret_version_stage"]
    assert own_tags(aws) == FILLED
    assert "untag_resource" not in calls(aws, "nothing", tags=TAGS)


def test_a_secret_of_another_stack_keeps_its_tags(aws: Aws) -> None:
    aws.open(stack="other", name="{stack}/{key}", tags={"team": "other"}).write(
        generation(1, stack="other"), Secret("abc")
    )
    before = aws.tags("other/payments-api")
    sink = aws.open(name="other/{key}", tags=TAGS)
    sink.read(KEYS)
    assert sink.repairs == ()
    sink.tidy()
    assert aws.tags("other/payments-api") == before


def test_a_secret_without_room_for_the_tags_is_refused_before_a_key_is_made(aws: Aws) -> None:
    aws.open().write(generation(1), Secret("abc"))
    tag(aws, **{f"theirs-{number}": "x" for number in range(44)})
    error = refused(lambda: aws.open(tags=TAGS).probe(KEYS))
    assert error.message == f"sink cloud: the secret {NAME} has no room for its tags: they are 3 too many"
    aws.open().probe(KEYS)


@pytest.mark.parametrize(("number", "is_done"), [(4, False), (5, False), (6, True)], ids=["look", "untag", "tag"])
def test_a_repair_that_dies_after_any_call_is_finished_by_the_next_run(aws: Aws, number: int, *, is_done: bool) -> None:
    aws.open(tags=TAGS).write(generation(1), Secret("abc"))
    after = {"owner": "me"}
    sink = aws.open(tags=after, effects=Counted(after=kill_at(number)))
    sink.read(KEYS)
    with pytest.raises(Dead):
        sink.tidy()
    assert aws.value() == "abc"
    assert (own_tags(aws) == after) == is_done
    calls(aws, "nothing" if is_done else "repairs", tags=after)
    assert own_tags(aws) == after


def test_the_destination_names_the_tags_and_the_place_does_not(aws: Aws) -> None:
    sink = aws.open(tags=TAGS)
    assert sink.destination == (
        f"AWS Secrets Manager: {STACK}/{{key}}, region eu-west-1, tags key={STACK}/{{key}} {{KEY}} team=payments"
    )
    assert sink.place == aws.open().destination


names = st.text(st.characters(codec="utf-8", categories=["L", "N", "Zs", "P", "S"]), min_size=1, max_size=20)
others = names.filter(lambda name: not name.casefold().startswith("keyform:"))
"""A file may not set the names that keyform keeps for itself, and nobody else owns them."""


@given(desired=st.dictionaries(others, names, max_size=8), live=st.dictionaries(others, names, max_size=8))
def test_a_difference_once_made_leaves_none_and_touches_nobody_elses(
    desired: dict[str, str], live: dict[str, str]
) -> None:
    tags = OwnTags(SinkSettings("cloud", "aws-secrets-manager", {"tags": desired}, Place()), STACK)

    def make(tags: OwnTags, live: dict[str, str]) -> dict[str, str]:
        difference = tags.difference(live, "payments")
        if difference is None:
            return live
        assert difference.words
        assert not set(difference.to_remove) & set(difference.to_set)
        return {name: value for name, value in live.items() if name not in difference.to_remove} | dict(
            difference.to_set
        )

    done = make(tags, live)
    assert make(tags, done) == done
    kept = {name: value for name, value in live.items() if name not in desired}
    assert {name: done[name] for name in kept} == kept
    nothing = OwnTags(SinkSettings("cloud", "aws-secrets-manager", {}, Place()), STACK)
    assert make(nothing, done) == kept


@pytest.mark.parametrize("name", ["aws:x", "AWS:x", "keyform:stack", "KEYFORM:x", "a#b", "a\nb", "a,b"])
def test_a_name_that_is_reserved_or_not_allowed_is_refused(name: str) -> None:
    settings = SinkSettings("cloud", "aws-secrets-manager", {"tags": {name: "x"}}, Place())
    assert [fault[0] for fault in find_faults(settings, STACK, KEYS)] == [name]


def test_a_value_that_grows_too_long_with_a_key_in_it_is_refused() -> None:
    settings = SinkSettings("cloud", "aws-secrets-manager", {"tags": {"a": "{key}" * 51}}, Place())
    assert list(find_faults(settings, STACK, ["pays"])) == []
    assert "more than 256 characters" in next(iter(find_faults(settings, STACK, KEYS)))[1]
