"""Whatever a store holds, a sink reads records in it or ends in a `SinkError`, which shows none of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sinks.stage import CANARY, DOTENV, JSON, KINDS, STACK, Kind, record
from support.fuzzing import fuzz

from reconciler.effects import System
from reconciler.errors import SinkError
from reconciler.model import ForeignRecord, Owner, Secret, SinkRecord, SinkSettings
from reconciler.sinks import open_sinks
from reconciler.sinks.local_sink import LocalFileSink
from reconciler.sinks.protocol import Reading
from reconciler.sinks.record import LONGEST_SECRET, format_instant, parse_instant

KEYS = ("payments-api", "batch-jobs", "a")
KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)


def pure(kind: Kind) -> LocalFileSink:
    """The sink for its pure functions alone."""
    sink = kind.open(f"/nowhere/{kind.name}")
    assert isinstance(sink, LocalFileSink)
    return sink


INSTANTS = st.one_of(
    st.datetimes(timezones=st.just(UTC)).map(format_instant),
    st.sampled_from(
        [
            *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
            *("0000-00-00T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21", "2026-W47-6T10:00Z", "Z", "-", "::::", ""),
            *("2026-11-21T10:00:00", "2026-11-21T10:00:00.123456789Z", "2026-11-21T10:00:60Z", "9" * 40, "T" * 40),
            *("2026-11-21T10:00:00+99:99", "2026-11-21T10:00:00+00:00:00.000001", "+10000-01-01T00:00:00Z"),
        ]
    ),
)
GENERATIONS = st.one_of(
    st.integers(-5, 10**12), st.sampled_from([0, 1, 99999, 10**9 - 1, 10**9, 10**400, True, None, "1", 1.5, -0.0])
)
NAMES = st.one_of(
    st.sampled_from([*KEYS, "", "a\x1b[2J", "::set-output name=x::y", "a\nb", "\u202e", "x" * 5000, "é", "a b"]),
    st.text(max_size=20),
)
SECRETS = st.one_of(
    st.sampled_from([CANARY, f"'{CANARY}'", f'"{CANARY}"', f"'{CANARY}", "'${X}'", "$(id)", "`id`", "''", "", "\x00"]),
    st.text(max_size=40),
    st.integers(LONGEST_SECRET - 1, LONGEST_SECRET + 1).map("x".__mul__),
)
LINES = st.one_of(
    st.builds(
        lambda stack, key, generation, live, at, end: f"# keyform {stack}/{key} g{generation} {live} {at}{end}",
        st.sampled_from([STACK, "other", ""]),
        NAMES,
        GENERATIONS,
        NAMES,
        INSTANTS,
        st.sampled_from(["", "\r", " ", " x"]),
    ),
    st.builds(
        lambda export, name, equals, value, end: f"{export}{name}{equals}{value}{end}",
        st.sampled_from(["", "export ", "\t", "export\t  ", "export" + " " * 50]),
        st.sampled_from(["PAYMENTS_API_KEY", "BATCH_JOBS_KEY", "A_KEY", "'A'", '"A"', "HOST", "A.B", "1"]),
        st.sampled_from(["=", " = ", "", ":", "=="]),
        SECRETS,
        st.sampled_from(["", "\r", " # note", "#", "\\"]),
    ),
    st.text(max_size=30),
)
NEARLY = st.builds(
    # A record as keyform writes it, with one part that anyone may have written.
    lambda part, generation, live, at, secret, key: (
        f"# keyform {STACK}/{key} g{generation if part == 0 else 3} {live if part == 1 else 'a-g3'} "
        f"{at if part == 2 else '2026-11-21T10:00:00.123456Z'}\n"
        f"{key.upper().replace('-', '_')}_KEY={secret if part == 3 else 'x'}"
    ),
    st.integers(0, 4),
    GENERATIONS,
    NAMES,
    INSTANTS,
    SECRETS,
    st.sampled_from(KEYS),
)
DOTENVS = st.one_of(
    st.binary(max_size=200),
    st.lists(LINES | NEARLY, max_size=8).map("\n".join).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
ENTRIES = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "secret": st.one_of(SECRETS, st.integers(), st.none(), st.lists(st.text(max_size=3), max_size=2)),
            "keyform": st.one_of(
                st.none(),
                st.text(max_size=5),
                st.fixed_dictionaries(
                    {},
                    optional={
                        "stack": st.one_of(st.sampled_from([STACK, "other", "", 1]), st.text(max_size=5)),
                        "generation": GENERATIONS,
                        "live_name": st.one_of(NAMES, st.integers()),
                        "created_at": st.one_of(INSTANTS, st.integers()),
                    },
                ),
            ),
            "other": st.recursive(st.none() | st.floats() | st.text(max_size=3), lambda x: st.lists(x, max_size=2)),
        },
    ),
    st.integers(),
    st.text(max_size=5),
)
NEARLY_ENTRIES = st.builds(
    lambda entry, keyform, extra: {
        "secret": "x",
        **entry,
        "keyform": {
            "stack": STACK,
            "generation": 3,
            "live_name": "a-g3",
            "created_at": "2026-11-21T10:00:00.123456Z",
            **keyform,
        },
        **extra,
    },
    st.fixed_dictionaries({}, optional={"secret": SECRETS}),
    st.one_of(
        st.fixed_dictionaries({"generation": GENERATIONS}),
        st.fixed_dictionaries({"live_name": NAMES}),
        st.fixed_dictionaries({"created_at": INSTANTS}),
        st.just({}),
    ),
    st.dictionaries(st.sampled_from(["other", "x"]), st.integers(), max_size=1),
)
JSONS = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(NAMES, ENTRIES | NEARLY_ENTRIES, max_size=5).map(lambda value: json.dumps(value).encode()),
    st.dictionaries(NAMES, NEARLY_ENTRIES, max_size=3).map(lambda value: json.dumps(value, indent=3).encode() + b"\n"),
    st.sampled_from(
        [
            *(b"[" * 100_000, b'{"a":' * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b'{"a": 1e999999}', b'{"a": NaN}'),
            *(b"\xef\xbb\xbf{}", b'{"a": 1, "a": 2}', b'{"\\ud800": {}}', b"null", b"", b"   ", b'{"a": "\\u0000"}'),
        ]
    ),
)


def assert_sane(records: Mapping[str, Reading]) -> None:
    """What may be shown, computed with, and written again."""
    for key, one in records.items():
        assert one.key == key
        if isinstance(one, ForeignRecord):
            assert one.message.isprintable()
            assert one.way_out.isprintable()
            assert CANARY not in one.message + one.way_out
            continue
        assert isinstance(one, SinkRecord)
        assert one.stack == STACK
        assert 1 <= one.generation < 10**9
        assert (key + one.live_name).isascii()
        assert (key + one.live_name).isprintable()
        assert max(len(key), len(one.live_name)) <= 100
        assert parse_instant(format_instant(one.created_at)) == one.created_at


def tried(act: Callable[[], Any]) -> Any:
    """What comes of it; None for an error, which shows nothing of what a store holds."""
    try:
        return act()
    except SinkError as error:
        refusal = error
    assert CANARY not in refusal.diagnostics()
    assert refusal.__cause__ is None
    assert refusal.__context__ is None
    assert refusal.diagnostics().replace("\n", "").isprintable()
    return None


def go_through(sink: LocalFileSink, content: bytes) -> None:
    """Everything that is done with a content; SinkError is an answer, and shows nothing of the content."""

    tried(lambda: sink.check(content, KEYS))
    records = tried(lambda: sink.records(content))
    assert_sane(records or {})
    has_record = sink.has_record(content)
    assert has_record or not records
    for key in KEYS:
        held = tried(lambda key=key: sink.held(content, key))
        if records is not None and held is not None:
            assert (held[key].record if key in held else None) == records.get(key)
        after = tried(lambda key=key: sink.put(content, record(key, 7), Secret("n3w-secret")))
        if after is not None:
            found = sink.held(after, key)[key]
            assert (found.record, found.secret) == (record(key, 7), Secret("n3w-secret"))
            assert sink.put(after, record(key, 7), Secret("n3w-secret")) == after
            gone = sink.drop(after, key)
            assert key not in sink.held(gone, key)
            assert b"n3w-secret" not in gone
        dropped = tried(lambda key=key: sink.drop(content, key))
        if dropped is not None and not has_record:
            assert dropped == content


@pytest.mark.attack("pull request author")
@given(DOTENVS)
@fuzz(500)
@example(b"# keyform inference-prod/a g1 a 0001-01-01T00:00:00Z\nA_KEY=x")
@example(b"# keyform inference-prod/a g999999999 a 9999-12-31T23:59:59-23:59\nA_KEY=x")
@example(b"export" + b" " * 10_000 + b"\n")
@example(b"A='" + b"x" * 100_000)
def test_any_env_file_gives_records_or_an_error(content: bytes) -> None:
    go_through(pure(DOTENV), content)


@pytest.mark.attack("pull request author")
@given(JSONS)
@fuzz(500)
@example(
    b'{"a": {"secret": "x", "keyform": {"stack": "inference-prod", "generation": 1, "live_name": "a", '
    b'"created_at": "0001-01-01T00:00:00+23:59"}}}'
)
def test_any_json_file_gives_records_or_an_error(content: bytes) -> None:
    go_through(pure(JSON), content)


@pytest.mark.attack("pull request author")
@given(st.lists(LINES, max_size=6), st.sampled_from(KEYS))
@fuzz(300)
def test_lines_of_others_stay_byte_for_byte(lines: list[str], key: str) -> None:
    """Whatever is not ours is there in the same order after a write and after a removal."""
    sink = pure(DOTENV)
    content = "\n".join(lines).encode("utf-8", "surrogatepass")
    try:
        after = sink.put(content, record(key), Secret("n3w-secret"))
    except SinkError:
        return
    others = sink.drop(content, key).split(b"\n")
    left = iter(sink.drop(after, key).split(b"\n"))
    assert all(line in left for line in others if line)


@pytest.mark.attack("project member")
@given(st.text(max_size=40) | INSTANTS)
@fuzz(300)
def test_any_text_is_an_instant_or_none(text: str) -> None:
    instant = parse_instant(text)
    assert instant is None or parse_instant(format_instant(instant)) == instant.replace(microsecond=0)


@pytest.mark.attack("project member")
def test_an_instant_has_one_length() -> None:
    lengths = {
        len(format_instant(instant)) for instant in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    }
    assert lengths == {20}


# --- AWS --------------------------------------------------------------------------------------------------------------

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.binary(max_size=5) | INSTANTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
TAG_KEYS = st.sampled_from(
    [
        "keyform:stack",
        "keyform:key",
        "keyform:api",
        "keyform:project",
        "keyform:version:v1",
        "keyform:version:v2",
        "x",
        "",
    ]
)
NEARLY_TAGS = st.builds(
    lambda part, generation, live, at, key: [
        {"Key": "keyform:stack", "Value": STACK},
        {"Key": "keyform:key", "Value": key},
        {
            "Key": "keyform:version:v1",
            "Value": f"g{generation if part == 0 else 3} {live if part == 1 else 'a-g3'} "
            f"{at if part == 2 else '2026-11-21T10:00:00.123456Z'}",
        },
    ],
    st.integers(0, 3),
    GENERATIONS,
    NAMES,
    INSTANTS,
    st.sampled_from(KEYS) | NAMES,
)
TAG_VALUES = st.one_of(
    st.sampled_from([STACK, *KEYS, "other"]),
    NAMES,
    st.builds(
        lambda g, name, at, field: f"g{g} {name} {at}{field}", GENERATIONS, NAMES, INSTANTS, st.sampled_from(["", " f"])
    ),
)
TAGS = st.lists(st.fixed_dictionaries({"Key": TAG_KEYS | JUNK, "Value": TAG_VALUES | JUNK}) | JUNK, max_size=5)
VALUES = st.one_of(
    SECRETS,
    st.dictionaries(st.sampled_from(["f", "g"]), SECRETS | st.integers(), max_size=2).map(json.dumps),
    st.sampled_from(["[" * 50_000, '{"f": 1, "f": 2}', '{"f": ' + "9" * 5000 + "}", "{", "{}"]),
    JUNK,
)
ANSWERS = st.one_of(
    JUNK,
    st.fixed_dictionaries(
        {
            "Tags": NEARLY_TAGS | TAGS | JUNK,
            "VersionIdsToStages": st.one_of(
                st.just({"v1": ["AWSCURRENT"]}),
                st.dictionaries(
                    st.sampled_from(["v1", "v2"]), st.sampled_from([["AWSCURRENT"], [], None, 1]), max_size=2
                ),
                JUNK,
            ),
            "SecretString": VALUES,
            "SecretList": st.one_of(
                st.lists(st.fixed_dictionaries({"Name": NAMES | JUNK, "Tags": TAGS}) | JUNK, max_size=3), JUNK
            ),
            "NextToken": st.sampled_from([None, "", "t", "u", 1, ["x"]]),
        },
        optional={"DeletedDate": JUNK},
    ),
)


class Answers(System):
    """AWS's side of the client: it gives these answers in turn, and again from the first one on."""

    def __init__(self, answers: list[Any]) -> None:
        super().__init__()
        self.answers = answers
        self.asked = 0

    def call(self, what: str, function: Any) -> Any:
        if what == "secretsmanager:open":
            return self
        self.asked += 1
        return self.answers[self.asked % len(self.answers)]


@pytest.mark.attack("API or proxy")
@given(st.lists(ANSWERS, min_size=1, max_size=4), st.sampled_from(["", "f"]))
@fuzz(500)
@example(
    [
        {
            "Tags": [
                {"Key": "keyform:stack", "Value": STACK},
                {"Key": "keyform:key", "Value": "a"},
                {"Key": "keyform:version:v1", "Value": "g1 a 9999-12-31T23:59:59-23:59"},
            ],
            "VersionIdsToStages": {"v1": ["AWSCURRENT"]},
        }
    ],
    "",
)
def test_any_answers_of_aws_give_records_or_an_error(answers: list[Any], field: str) -> None:
    effects = Answers(answers)
    options = {"field": field, "region": "eu-west-1"} if field else {"region": "eu-west-1"}
    settings = SinkSettings("cloud", "aws-secrets-manager", options)
    sink = open_sinks([settings], owner=Owner(STACK), effects=effects)["cloud"]
    for act in (
        lambda: assert_sane(dict(sink.read(KEYS))),
        lambda: sink.read_one("a"),
        lambda: sink.read_secrets(KEYS),  # type: ignore[attr-defined]
        lambda: sink.probe(KEYS),
        lambda: sink.write(record("a"), Secret(CANARY)),
        lambda: sink.remove("a"),
    ):
        tried(act)
    assert effects.asked < 3000


@pytest.mark.attack("API or proxy")
@pytest.mark.parametrize("tokens", [["t"], ["t", "u"], list(map(str, range(5000)))])
def test_a_list_without_an_end_is_refused(tokens: list[str]) -> None:
    effects = Answers([{"SecretList": [], "NextToken": token} for token in tokens])
    settings = SinkSettings("cloud", "aws-secrets-manager", {"region": "eu-west-1"})
    sink = open_sinks([settings], owner=Owner(STACK), effects=effects)["cloud"]
    with pytest.raises(SinkError, match="AWS returns an endless list of secrets"):
        sink.read([])
    assert effects.asked <= 1001


# --- Time -------------------------------------------------------------------------------------------------------------

MANY = 10_000


def many_keys() -> tuple[list[str], bytes]:
    keys = [f"key-{number}" for number in range(MANY)]
    lines = [
        f"# keyform {STACK}/{key} g1 {key} 2026-11-21T10:00:00.123456Z\nKEY_{number}_KEY=x\nOTHER_{number}=y"
        for number, key in enumerate(keys)
    ]
    return keys, "\n".join(lines).encode()


def many_entries() -> tuple[list[str], bytes]:
    keys = [f"key-{number}" for number in range(MANY)]
    mark = {"stack": STACK, "generation": 1, "live_name": "x", "created_at": "2026-11-21T10:00:00Z"}
    return keys, json.dumps({key: {"secret": "x", "keyform": mark} for key in keys}).encode()


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize(("kind", "make"), [(DOTENV, many_keys), (JSON, many_entries)], ids=["dotenv", "json"])
def test_ten_thousand_keys_are_looked_at_in_seconds(kind: Kind, make: Any) -> None:
    keys, content = make()
    sink = pure(kind)
    begun = time.process_time()
    sink.check(content, keys)
    assert len(sink.records(content)) == MANY
    assert time.process_time() - begun < 5


BIG = 10 * 1024 * 1024
HEAVY = {
    "one line": b"x" * BIG,
    "one assignment": b"A=" + b"x" * (BIG - 2),
    "one quote": b"# keyform inference-prod/a g1 a 2026-11-21T10:00:00Z\nA_KEY='" + b"x" * (BIG - 100) + b"'",
    "an open quote": b'# keyform inference-prod/a g1 a 2026-11-21T10:00:00Z\nA_KEY="' + b"x" * (BIG - 100),
    "blanks": b" " * BIG,
    "export and blanks": b"export" + b" " * (BIG - 6),
    "a value and blanks": b"# keyform inference-prod/a g1 a 2026-11-21T10:00:00Z\nA_KEY=x" + b" " * (BIG - 100) + b"y",
    "no end of a record": b"# keyform inference-prod/" + b"a" * (BIG - 100),
    "a record of blanks": b"# keyform inference-prod/a g1 a " + b"0" * (BIG - 100),
    "lines": b"\n" * BIG,
    "records": b"# keyform inference-prod/a \n" * (BIG // 28),
    "braces": b"{" * BIG,
    "an array": b"[" * BIG,
    "numbers": b'{"a": [' + b"1," * (BIG // 2 - 10) + b"1]}",
    "a number": b'{"a": ' + b"1" * (BIG - 10) + b"}",
    "a text": b'{"a": "' + b"x" * (BIG - 10) + b'"}',
    "escapes": b'{"a": "' + b"\\u0041" * (BIG // 6 - 10) + b'"}',
}


@pytest.mark.attack("pull request author")
@KIND
@pytest.mark.parametrize("what", HEAVY)
def test_a_file_of_ten_megabytes_takes_seconds(kind: Kind, what: str) -> None:
    sink = pure(kind)
    begun = time.process_time()
    for act in (
        lambda: sink.check(HEAVY[what], KEYS),
        lambda: sink.records(HEAVY[what]),
        lambda: sink.has_record(HEAVY[what]),
    ):
        tried(act)
    assert time.process_time() - begun < 20
