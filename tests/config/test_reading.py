"""Any file is read as written or refused in a sentence: YAML, encodings, aliases, repetitions."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator

import pytest
import yaml

from reconciler.config import parsing
from reconciler.model import DesiredState

Load = Callable[..., DesiredState]
Refusal = Callable[..., str]

GOOD = "version: 1\nstack: demo\nproject: 1234\nsinks: {local: {type: dotenv, path: a.env}}\ndefaults: {sink: local}\n"
DEEP_ALIASES = "x0: &x0 [1]\n" + "".join(f"x{i}: &x{i} {'[' * 20}*x{i - 1}{']' * 20}\n" for i in range(1, 100))
A_BILLION_LAUGHS = "a0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 9)
)


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def _both_parsers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PyYAML has a parser in C and one in Python, and not every machine has the first."""
    if not hasattr(yaml, request.param):
        pytest.skip("PyYAML was built without libyaml")
    monkeypatch.setattr(parsing, "_LOADER", getattr(yaml, request.param))
    return iter(())


@pytest.mark.parametrize(
    ("text", "told", "way_out"),
    [
        pytest.param(
            "a:\n\tb: 1", "2:1: the indentation contains a tab", "Indent with spaces.", id="a tab does not indent"
        ),
        pytest.param(
            "a: b: c",
            "1:5: a `:` is not expected here",
            "Check the indentation. Put a value with `: ` in it in quotes.",
            id="a value with a colon needs quotes",
        ),
        pytest.param(
            "a: @x",
            "1:4: a value cannot begin with this character",
            "Put the value in quotes.",
            id="a value cannot begin with an at sign",
        ),
        pytest.param('a: "x', "1:6: the file ends inside a quoted value", "Close the quotes.", id="quotes are closed"),
        pytest.param(
            'a: "\\x"',
            "1:7: incomplete escape in double quotes",
            "Use 'single quotes', or write \\\\ for a backslash.",
            id="an escape is one that YAML has",
        ),
        pytest.param(
            "a: [b: c, }",
            "1:11: a value is missing here",
            "Check brackets and commas.",
            id="a list in brackets is closed",
        ),
        pytest.param(
            "- a\nb: 1",
            "2:1: this does not match the structure above it",
            "Check the indentation, and that quotes and brackets are closed.",
            id="a list is not mixed with a map",
        ),
        pytest.param("a: - b", "1:4: a `-` is not expected here", "Check the indentation.", id="a dash begins a line"),
        pytest.param(
            "a: |q\n x",
            "1:5: unexpected text after `|` or `>`",
            "Begin the text on the next line.",
            id="a text block begins on the next line",
        ),
        pytest.param(
            "a: *nothing",
            "1:4: a: there is no `&anchor` of this name above",
            "Put a value that begins with `*` in quotes.",
            id="an alias has an anchor above",
        ),
        pytest.param(
            "a: &x [*x]",
            "1:8: a[0]: the alias refers to a value that contains it",
            "Write the value out.",
            id="an alias does not hold itself",
        ),
        pytest.param(
            "a: 1\n---\nb: 2\n",
            "2:1: a second document begins here, but a file can hold only one",
            "Move it to a separate file, and pass both files.",
            id="a file holds one document",
        ),
        pytest.param(
            "? [a]\n: b",
            "1:3: expected a name, found a list or a map",
            "Write `name: value`.",
            id="a name is a text",
        ),
        pytest.param(
            "[" * 5000,
            "1:32: this is nested too deeply",
            "Check the indentation and the brackets.",
            id="brackets do not nest for ever",
        ),
        pytest.param(
            "- " * 5000,
            "1:63: this is nested too deeply",
            "Check the indentation and the brackets.",
            id="dashes do not nest for ever",
        ),
        pytest.param(
            DEEP_ALIASES,
            "3:29: this is nested too deeply",
            "Check the indentation and the brackets.",
            id="aliases do not nest for ever",
        ),
        pytest.param(
            A_BILLION_LAUGHS,
            "6:10: a5[0]: the aliases of this file expand to too many values",
            "Write the values out.",
            id="aliases do not unfold to gigabytes",
        ),
    ],
)
def test_what_is_not_yaml_is_told_in_a_sentence(text: str, told: str, way_out: str, refusal: Refusal) -> None:
    assert refusal(text) == f"keyform.yaml:{told}\n    {way_out}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "1:1: the file contains nothing, but must be a map (`name: value` lines)"),
        (b"# only a comment\n", "1:1: the file contains nothing, but must be a map (`name: value` lines)"),
        (b"- a\n", "1:1: the file contains a list, but must be a map (`name: value` lines)"),
        (b"version\n", "1:1: the file contains a single value, but must be a map (`name: value` lines)"),
        (b"a: 1\nb: \xff", "2:4: the file is not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00", "1:1: the file is not UTF-8"),
        (codecs.BOM_UTF16_LE + "version: 1".encode("utf-16-le"), "1:1: the file is UTF-16"),
        (b"a: 1\nb: \x00", "2:4: YAML does not allow this control character"),
        (b"a: \x1b[31m", "1:4: YAML does not allow this control character"),
        (b" " * 4_000_001, " the stack's files are larger than 4 MB together"),
    ],
)
def test_what_is_not_a_configuration_at_all_is_refused(content: bytes, expected: str, refusal: Refusal) -> None:
    assert refusal(content).splitlines()[0] == f"keyform.yaml:{expected}"


def test_a_byte_order_mark_is_passed_over(load: Load) -> None:
    assert load(codecs.BOM_UTF8 + GOOD.encode()).stack == "demo"


@pytest.mark.parametrize("escape", [r"\ud800", r"\U00110000"])
def test_an_escape_that_is_no_character_is_refused(escape: str, refusal: Refusal) -> None:
    assert len(refusal(f'{GOOD}keys: {{payments: {{description: "{escape}"}}}}\n').splitlines()) == 2


def test_a_name_that_stands_twice_is_told_with_both_places(refusal: Refusal) -> None:
    assert refusal(f"{GOOD}keys:\n  payments: {{}}\n  payments: {{}}\n") == (
        "keyform.yaml:8:3: keys.payments: `payments` is a duplicate of the entry at keyform.yaml:7:3\n"
        "    Remove one of them."
    )


def test_a_name_that_stands_twice_and_could_be_a_secret_is_not_shown(refusal: Refusal) -> None:
    assert refusal(f"{GOOD}sk-9fQ2xLr7VbT4mN8c: 1\nsk-9fQ2xLr7VbT4mN8c: 2\n").splitlines()[2] == (
        "keyform.yaml:7:1: (name not shown): this name is a duplicate of the entry at keyform.yaml:6:1"
    )


def test_anchors_aliases_and_merge_keys_work(load: Load) -> None:
    state = load(
        f"""{GOOD}keys:
  payments: &common {{deployments: &both [llama3, whisper], prevent_destroy: true}}
  searches: {{<<: *common, prevent_destroy: false}}
  batches: {{<<: [{{description: nightly}}, *common]}}
  others: {{deployments: *both}}
"""
    )
    found = {key.name: (key.description, len(key.bindings), key.prevent_destroy) for key in state.keys}
    assert found == {
        "batches": ("nightly", 2, True),
        "others": (None, 2, False),
        "payments": (None, 2, True),
        "searches": (None, 2, False),
    }


def test_what_an_alias_stands_for_is_told_where_it_is_written(refusal: Refusal) -> None:
    text = f"{GOOD}keys:\n  payments: &x {{auth: open}}\n  searches: *x\n"
    assert [line.partition(": unknown")[0] for line in refusal(text).splitlines()[::2]] == [
        "keyform.yaml:7:17: keys.payments.auth",
        "keyform.yaml:7:17: keys.searches.auth",
    ]


@pytest.mark.parametrize("merge", ["<<: 3", "<<: [1]", "<<: {}\n    <<: {}"])
def test_a_merge_key_takes_maps_once(merge: str, refusal: Refusal) -> None:
    lines = refusal(f"{GOOD}keys:\n  payments:\n    {merge}\n").splitlines()
    assert "`<<` takes a map" in lines[0] or "is a duplicate of the entry" in lines[0]


def test_a_tag_is_not_used_in_this_file(refusal: Refusal) -> None:
    text = f"{GOOD}keys: {{payments: {{description: !!python/object:os.system x}}}}\n"
    assert refusal(text) == (
        "keyform.yaml:6:32: keys.payments.description: YAML tags (values that begin with `!`) are"
        " not supported\n    Remove the `!…`, or put the value in quotes."
    )


def test_words_mean_what_is_written(load: Load) -> None:
    state = load(
        f"""{GOOD}keys:
  1234: {{description: "on", deployments: [1e10, 0x1f, '1234', 2027-06-30], prevent_destroy: yes, sink: spare}}
  true: {{description: 010, adopt: !!str 2027, prevent_destroy: Off}}
""".replace("{local:", "{spare: {type: json, path: b.json}, local:")
    )
    numbers, word = state.keys
    assert (numbers.name, numbers.description, numbers.prevent_destroy) == ("1234", "on", True)
    assert [binding.endpoint.name for binding in numbers.bindings] == ["0x1f", "1234", "1e10", "2027-06-30"]
    assert (word.name, word.description, word.adopt, word.prevent_destroy) == ("true", "010", "2027", False)
