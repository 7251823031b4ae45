"""The format of the json sink."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sinks.stage import JSON, STACK, Killed, record

from reconciler.effects import System
from reconciler.errors import SinkError
from reconciler.model import Secret
from reconciler.sinks.json_file import JsonFileSink


def pure() -> JsonFileSink:
    """The sink for its pure functions alone: any effect would be an error."""

    class Unreachable(System):
        def __getattribute__(self, name: str) -> object:
            raise Killed

    sink = JSON.open("/secrets.json", effects=Unreachable())
    assert isinstance(sink, JsonFileSink)
    return sink


def put(content: str, key: str = "payments-api", secret: str = "abc", generation: int = 1) -> str:
    return pure().put(content.encode(), record(key, generation), Secret(secret)).decode()


FIRST = """\
{
  "payments-api": {
    "secret": "qLyjWDarjtT1zdp7dc",
    "keyform": {
      "form": 2,
      "api": "api.gcore.com",
      "project": 1234,
      "stack": "inference-prod",
      "generation": 2,
      "live_name": "payments-api-g2",
      "created_at": "2026-11-21T10:00:00Z"
    }
  }
}
"""


def test_secret_and_record_stand_side_by_side() -> None:
    assert put("", secret="qLyjWDarjtT1zdp7dc", generation=2) == FIRST


def test_the_file_looks_as_if_it_had_been_dumped_whole() -> None:
    content = put(put(FIRST, key="batch-jobs"), key="payments-api", secret="new", generation=3)
    assert content == json.dumps(json.loads(content), indent=2) + "\n"
    assert list(json.loads(content)) == ["payments-api", "batch-jobs"]


def test_other_fields_of_the_entry_and_of_the_document_stay_as_they_are_written() -> None:
    content = """\
{ "pi":3.10, "big": 1e400,
  "payments-api" : {"team": "\\u0070ay",   "secret": "old", "keyform": {"stack": "inference-prod"}, "n": -0.0},
\t"last": [ ] }"""
    written = put(content)
    assert written.startswith(
        '{ "pi":3.10, "big": 1e400,\n  "payments-api" : {"team": "\\u0070ay",   "secret": "abc", '
    )
    assert written.endswith('}, "n": -0.0},\n\t"last": [ ] }')
    assert pure().records(written.encode()) == {"payments-api": record("payments-api")}
    assert pure().drop(written.encode(), "payments-api").decode() == (
        '{ "pi":3.10, "big": 1e400,\n  "payments-api" : {"team": "\\u0070ay", "n": -0.0},\n\t"last": [ ] }'
    )


def test_the_same_in_the_users_own_layout_is_left_as_it_is() -> None:
    content = json.dumps(json.loads(put("")), separators=(",", ":"))
    assert put(content) == content


def test_any_secret_comes_back() -> None:
    for secret in ('"', "\\", "a\nb\0c", "größe", "\U0001f511", "\ud800"):
        assert json.loads(put("", secret=secret))["payments-api"]["secret"] == secret
        assert put(put("", secret=secret), secret=secret) == put("", secret=secret)


def test_an_empty_object_is_filled_and_an_emptied_one_is_no_file() -> None:
    for empty in ("{}", " { } \n", ""):
        written = put(empty)
        assert pure().records(written.encode()) == {"payments-api": record("payments-api")}
        assert pure().drop(written.encode(), "payments-api") == b""


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"secret": "theirs"}, "has no keyform record of this stack"),
        ("text", "has no keyform record of this stack"),
        (None, "has no keyform record of this stack"),
        ([], "has no keyform record of this stack"),
        ({"keyform": STACK}, "has no keyform record of this stack"),
        ({"keyform": {"stack": [STACK]}}, "has no keyform record of this stack"),
        ({"keyform": {"stack": "other"}}, "belongs to other/payments-api"),
    ],
)
def test_an_entry_that_is_not_ours_is_refused(entry: object, message: str) -> None:
    content = json.dumps({"payments-api": entry}).encode()
    for refused in (
        lambda: pure().check(content, ["payments-api"]),
        lambda: pure().put(content, record("payments-api"), Secret("abc")),
    ):
        with pytest.raises(SinkError) as refusal:
            refused()
        assert refusal.value.diagnostics() == (
            f'sink local: /secrets.json: the entry "payments-api" {message}\n'
            "  Remove the entry, or choose another path for this sink."
        )
    assert pure().drop(content, "payments-api") == content


@pytest.mark.parametrize(
    "content",
    [
        *("{", "}", "{]", '{"a"}', '{"a":}', '{"a":1,}', '{"a":1 "b":2}', '{"a":1;"b":2}', "{,}", "{a:1}", '{1:"a"}'),
        *('{"a":1}{', '{"a":1}x', "{'a':1}", '{"a":01}', '{"a":NaN}', '{"a":-Infinity}', '{"a":"\n"}', '{"a":"'),
        *(
            "x",
            " \n",
            "nul",
            '{"a": tru}',
            '{"a":1}\x0c',
            '{"a":1',
            '{"a":1,',
            '{"a":[1,]}',
            '{"a" 1}',
        ),
        '{"a":' + "[" * 100_000,
        '{"a":' + "1" * 5000 + "}",
    ],
)
def test_what_is_not_json_is_refused(content: str) -> None:
    with pytest.raises(SinkError) as refusal:
        pure().records(content.encode())
    assert refusal.value.message == "sink local: /secrets.json: is not valid JSON in UTF-8"


@pytest.mark.parametrize("content", [b'{"a": "\xff"}', '{"a": 1}'.encode("utf-16")])
def test_what_is_not_utf_8_is_refused(content: bytes) -> None:
    with pytest.raises(SinkError, match="is not valid JSON in UTF-8"):
        pure().records(content)


@pytest.mark.parametrize("content", ["[]", "1", '"a"', "null", " [1] "])
def test_json_that_is_no_object_is_refused(content: str) -> None:
    with pytest.raises(SinkError, match="is JSON, but not an object"):
        pure().records(content.encode())


@pytest.mark.parametrize("content", ['{"a":1,"a":2}', '{"b":{"a":1,"\\u0061":2}}', '{"b":[{"a":1,"a":1}]}'])
def test_a_name_that_stands_twice_is_refused_at_any_depth(content: str) -> None:
    with pytest.raises(SinkError, match="has an object with a duplicate name"):
        pure().records(content.encode())


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=10,
)
layouts = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 0, 1, 2, 4, "\t"]),
        "separators": st.sampled_from([(",", ":"), (", ", ": "), (" ,\r\n", "\t: ")]),
        "ensure_ascii": st.just(True),
    }
)


@given(document=st.dictionaries(st.text(max_size=5), values, min_size=1, max_size=4), layout=layouts, place=st.data())
def test_the_users_own_document_stays_byte_for_byte(
    document: dict[str, Any], layout: dict[str, Any], place: st.DataObject
) -> None:
    assume("payments-api" not in document)
    sink = pure()
    text = json.dumps(document, **layout).encode()
    written = sink.put(text, record("payments-api"), Secret("abc"))
    parsed = json.loads(written)
    assert parsed.pop("payments-api")["secret"] == "abc"
    assert parsed == document
    assert sink.drop(written, "payments-api") == text
    # Wherever the user moved the entry to:
    names = list(document)
    position = place.draw(st.integers(0, len(names)))
    entry = json.loads(written)["payments-api"]
    moved = {name: document[name] for name in names[:position]} | {"payments-api": entry} | document
    replaced = sink.put(json.dumps(moved, **layout).encode(), record("payments-api", 2), Secret("def"))
    assert sink.records(replaced) == {"payments-api": record("payments-api", 2)}
    assert list(json.loads(replaced)) == list(moved)
    dropped = sink.drop(replaced, "payments-api")
    assert json.loads(dropped) == document
    assert list(json.loads(dropped)) == names


@given(
    st.text(st.sampled_from('{}[]",:\\ \n1aé'), max_size=12) | st.binary(max_size=12).map(lambda b: b.decode("latin-1"))
)
def test_what_is_valid_is_what_pythons_own_parser_takes(text: str) -> None:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError
        return dict(pairs)

    def constant(name: str) -> object:
        raise ValueError(name)

    try:
        document = json.loads(text, object_pairs_hook=unique, parse_constant=constant)
    except ValueError:
        document = None
    if isinstance(document, dict):
        assert pure().records(text.encode()) == {}
    elif text:
        with pytest.raises(SinkError):
            pure().records(text.encode())
