"""The format of the dotenv sink, and what its readers get."""

from __future__ import annotations

import os
import re
import shutil
import string
import subprocess
from pathlib import Path

import dotenv
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sinks.stage import CREATED_AT, DOTENV, STACK, Killed, record, save

from reconciler.effects import Completed, System
from reconciler.errors import SinkError
from reconciler.model import ForeignRecord, Secret, SinkRecord
from reconciler.sinks.dotenv import DotenvSink

MARK = b"\xef\xbb\xbf"
SHELLS = [shell for shell in ("sh", "bash", "dash", "zsh") if shutil.which(shell)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets.env"


class WithoutGit(System):
    def run(self, *arguments: object, **named: object) -> Completed:
        raise FileNotFoundError


def pure(**options: str) -> DotenvSink:
    """The sink for its pure functions alone: any effect would be an error."""

    class Unreachable(System):
        def __getattribute__(self, name: str) -> object:
            raise Killed

    sink = DOTENV.open("/secrets.env", effects=Unreachable(), **options)
    assert isinstance(sink, DotenvSink)
    return sink


def put(content: str, key: str = "payments-api", secret: str = "abc", generation: int = 1, **options: str) -> str:
    return pure(**options).put(content.encode(), record(key, generation), Secret(secret)).decode()


def test_the_secret_stands_below_its_record() -> None:
    assert put("", secret="qLyjWDarjtT1zdp7dc", generation=2) == (
        "# keyform 2 inference-prod/payments-api g2 payments-api-g2 2026-11-21T10:00:00Z api.gcore.com/1234\n"
        "PAYMENTS_API_KEY=qLyjWDarjtT1zdp7dc\n"
    )


def test_a_new_secret_comes_last_and_a_replaced_one_stays_in_its_place() -> None:
    first = put(put("HOST=a\n\n# note\n"), key="batch-jobs", secret="def")
    assert first == (
        "HOST=a\n\n# note\n"
        "# keyform 2 inference-prod/payments-api g1 payments-api 2026-11-21T10:00:00Z api.gcore.com/1234\n"
        "PAYMENTS_API_KEY=abc\n"
        "# keyform 2 inference-prod/batch-jobs g1 batch-jobs 2026-11-21T10:00:00Z api.gcore.com/1234\n"
        "BATCH_JOBS_KEY=def\n"
    )
    assert put(first, secret="xyz", generation=2) == first.replace("g1 payments-api", "g2 payments-api-g2").replace(
        "=abc", "=xyz"
    )


def test_the_variables_name_follows_the_template() -> None:
    content = put("", variable="GCORE_{KEY}_TOKEN")
    assert content.splitlines()[1] == "GCORE_PAYMENTS_API_TOKEN=abc"
    assert pure(variable="GCORE_{KEY}_TOKEN").records(content.encode()) == {"payments-api": record("payments-api")}


@pytest.mark.parametrize("template", ["TOKEN", "", "{key}", "A-{KEY}", "1{KEY}", "{KEY} ", "{KEY}\nX"])
def test_a_template_that_names_no_variable_of_its_own_for_each_key_is_refused(template: str) -> None:
    with pytest.raises(SinkError, match="`variable` is not a valid template"):
        pure(variable=template)


def test_a_key_that_gives_no_name_for_a_shell_is_refused() -> None:
    with pytest.raises(SinkError, match="the key 1st-key would give the variable 1ST_KEY_KEY"):
        pure().check(b"", ["1st-key"])
    pure(variable="KEY_{KEY}").check(b"", ["1st-key"])


def test_after_a_change_of_the_template_the_secret_is_missing_and_what_was_written_before_stays() -> None:
    """Another sink may have written it: two sinks can share a file."""
    before = put("")
    sink = pure(variable="NEW_{KEY}_KEY")
    assert sink.records(before.encode()) == {}
    after = put(before, secret="def", generation=2, variable="NEW_{KEY}_KEY")
    assert after.startswith(before)
    assert after.splitlines()[3:] == ["NEW_PAYMENTS_API_KEY=def"]
    assert set(sink.records(after.encode())) == {"payments-api"}


def test_two_sinks_of_one_file_keep_out_of_each_others_way() -> None:
    one, two = pure(), pure(variable="NEW_{KEY}_KEY")
    first = put("")
    both = put(first, variable="NEW_{KEY}_KEY")
    for content in (first, both):
        two.check(content.encode(), ["payments-api"])
        assert one.put(content.encode(), record("payments-api"), Secret("abc")) == content.encode()
    assert set(one.records(both.encode())) == set(two.records(both.encode())) == {"payments-api"}
    assert two.drop(both.encode(), "payments-api") == first.encode()
    assert two.drop(first.encode(), "payments-api") == first.encode()


@pytest.mark.parametrize(
    "line",
    [
        "PAYMENTS_API_KEY=x",
        "  PAYMENTS_API_KEY=x",
        "export PAYMENTS_API_KEY=x",
        "PAYMENTS_API_KEY = x",
        "'PAYMENTS_API_KEY'=x",
        "PAYMENTS_API_KEY=",
        "PAYMENTS_API_KEY",
        "export PAYMENTS_API_KEY",
        "PAYMENTS_API_KEY # none",
        "PAYMENTS_API_KEY=x\r",
        "PAYMENTS_API_KEY=größe",
    ],
)
def test_every_way_of_setting_the_variable_is_seen(line: str) -> None:
    content = f"HOST=a\n# mine\n{line}\nMORE=b\n".encode()
    for refused in (
        lambda: pure().check(content, ["payments-api"]),
        lambda: pure().put(content, record("payments-api"), Secret("abc")),
    ):
        with pytest.raises(SinkError) as refusal:
            refused()
        assert refusal.value.diagnostics() == (
            "sink local: /secrets.env:3: PAYMENTS_API_KEY exists without a keyform record in the line above\n"
            "  Remove PAYMENTS_API_KEY, or set `variable` (such as INFERENCE_{KEY}_KEY) or another path for this sink."
        )
    assert pure().drop(content, "payments-api") == content


@pytest.mark.parametrize(
    "line", ["PAYMENTS_API_KEY_2=x", "MY_PAYMENTS_API_KEY=x", "# PAYMENTS_API_KEY=x", "A=PAYMENTS_API_KEY=x"]
)
def test_other_variables_are_in_nobodys_way(line: str) -> None:
    assert put(f"{line}\n").startswith(f"{line}\n# keyform ")


def test_a_line_between_record_and_variable_makes_it_nobodys() -> None:
    above, below = put("").splitlines()
    content = f"{above}\n# mine\n{below}\n".encode()
    assert pure().records(content) == {}
    with pytest.raises(SinkError, match=r":3: PAYMENTS_API_KEY exists without a keyform record"):
        pure().put(content, record("payments-api"), Secret("abc"))
    assert pure().drop(content, "payments-api") == f"# mine\n{below}\n".encode()


def test_what_belongs_to_another_stack_is_named() -> None:
    content = put("").replace(STACK, "other").encode()
    with pytest.raises(SinkError, match=r":2: PAYMENTS_API_KEY belongs to other/payments-api "):
        pure().check(content, ["payments-api"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("PAYMENTS_API_KEY=y\n", r":4: PAYMENTS_API_KEY appears more than once \(lines 2 and 4\)"),
        (put(""), r":4: inference-prod/payments-api appears more than once \(lines 1 and 4\)"),
    ],
)
def test_what_stands_twice_is_refused_since_readers_would_differ(more: str, message: str) -> None:
    content = (put("") + "\n" * (more[0] != "#") + "\n" * (more[0] == "#") + more).encode()
    for refused in (
        lambda: pure().held(content, "payments-api"),
        lambda: pure().check(content, ["payments-api"]),
        lambda: pure().put(content, record("payments-api"), Secret("abc")),
    ):
        with pytest.raises(SinkError, match=message):
            refused()
    assert pure().records(content) == {}
    assert re.search(message, pure().foreign(content, ["payments-api"])["payments-api"].message)


def test_what_is_there_twice_holds_up_no_other_key(path: Path) -> None:
    DOTENV.write_users_own(path, put(put("") + "PAYMENTS_API_KEY=y\n", key="batch-jobs", secret="def"))
    sink = DOTENV.open(path, effects=WithoutGit())
    found = sink.read(["batch-jobs", "payments-api"])
    assert found["batch-jobs"] == record("batch-jobs")
    assert isinstance(found["payments-api"], ForeignRecord)
    assert found["payments-api"].way_out == "Remove all but one."
    assert list(sink.read_secrets(["batch-jobs", "payments-api"])) == ["batch-jobs"]
    sink.probe(["batch-jobs"])
    with pytest.raises(SinkError, match="appears more than once"):
        sink.probe(["payments-api"])
    save(sink, "batch-jobs", "ghi", 2)
    assert DOTENV.secret_in(path, "batch-jobs") == "ghi"


def test_a_key_that_left_the_file_and_is_there_twice_is_still_known_and_removed(path: Path) -> None:
    DOTENV.write_users_own(path, put(put("") + "PAYMENTS_API_KEY=y\n", key="batch-jobs", secret="def"))
    sink = DOTENV.open(path, effects=WithoutGit())
    assert sink.read(["batch-jobs"])["payments-api"] == record("payments-api")
    sink.remove("payments-api")
    assert path.read_text() == "PAYMENTS_API_KEY=y\n" + put("", key="batch-jobs", secret="def")


def test_removing_takes_all_of_ours_however_often_it_stands_there() -> None:
    content = put("A=b\n") + put("") + "PAYMENTS_API_KEY=users\n"
    assert pure().drop(content.encode(), "payments-api") == b"A=b\nPAYMENTS_API_KEY=users\n"


def test_an_export_that_the_user_put_before_the_variable_stays() -> None:
    content = put("").replace("PAYMENTS_API_KEY=", "export PAYMENTS_API_KEY=")
    assert pure().records(content.encode()) == {"payments-api": record("payments-api")}
    assert put(content, secret="def", generation=2).splitlines()[1] == "export PAYMENTS_API_KEY=def"


def test_the_same_secret_in_the_users_own_quotes_is_left_as_it_is() -> None:
    content = put("").replace("=abc", '="abc" # for the shop')
    assert put(content) == content


def test_a_file_with_windows_line_ends_keeps_them_but_our_own_are_a_shells() -> None:
    """A shell would take the CR as part of the secret."""
    ours = put("")
    assert put("A=b\r\n\r\n# note\r\nC=d\r\n") == f"A=b\r\n\r\n# note\r\nC=d\r\n{ours}"
    by_an_editor = ours.replace("\n", "\r\n")
    assert pure().records(by_an_editor.encode()) == {"payments-api": record("payments-api")}
    assert put(f"A=b\r\n{by_an_editor}") == f"A=b\r\n{ours}"


def test_a_last_line_without_an_end_gets_one() -> None:
    assert put("A=b") == f"A=b\n{put('')}"
    assert put(put("")[:-1], secret="def", generation=2) == put("", secret="def", generation=2)
    assert pure().drop((put("A=b\n"))[:-1].encode(), "payments-api") == b"A=b\n"


def test_a_line_that_goes_on_does_not_swallow_the_record() -> None:
    assert put("A=b\\\n") == f"A=b\\\n\n{put('')}"


def test_a_name_that_does_not_fit_in_a_line_is_refused() -> None:
    for name in ("two words", "line\nbreak", "größe"):
        with pytest.raises(SinkError, match="does not fit on a line"):
            pure().put(b"", SinkRecord(STACK, "payments-api", 1, name, CREATED_AT), Secret("abc"))


def test_a_binary_file_is_refused() -> None:
    with pytest.raises(SinkError, match="is not a text file"):
        pure().records(b"A=\0")


# --- Quoting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "written"),
    [
        ("qLyjWDarjtT1zdp7dc", "qLyjWDarjtT1zdp7dc"),
        ("aZ09_./+=:@%-", "aZ09_./+=:@%-"),
        ("two words", "'two words'"),
        ('#$`"&;|<>()[]{}*?!~^,', "'#$`\"&;|<>()[]{}*?!~^,'"),
        ("it's", '"it\'s"'),
    ],
)
def test_a_secret_is_written_as_plainly_as_all_readers_allow(secret: str, written: str) -> None:
    assert put("", secret=secret).splitlines()[1] == f"PAYMENTS_API_KEY={written}"


@pytest.mark.parametrize(
    "secret", ["a\nb", "a\rb", "a\0b", "a\tb", "größe", "a\\b", "${HOME}", "it's \"", "it's $1", "it's `", "\x7f"]
)
def test_a_secret_that_readers_would_differ_about_is_refused(secret: str) -> None:
    with pytest.raises(SinkError, match=r"has characters that readers of \.env files interpret differently") as refusal:
        put("", secret=secret)
    assert secret not in refusal.value.diagnostics()


ASCII = "".join(chr(number) for number in range(32, 127))
secrets = st.one_of(
    st.text(string.ascii_letters + string.digits + "_./+=:@%-", min_size=1, max_size=60),
    st.text(ASCII, min_size=1, max_size=30),
    st.text("'\"\\$`{} #~!a=", min_size=1, max_size=8),
)


def sourced(shell: str, path: Path) -> dict[str, str]:
    """The variables that a shell exports after `set -a; . file`, in an empty environment."""
    done = subprocess.run(
        [shell, "-c", 'set -a; . "$1"; exec env -0', shell, str(path)],
        env={"PATH": os.environ["PATH"], "HOME": "/wrong", "a": "wrong"},
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    return dict(entry.split("=", 1) for entry in done.stdout.decode().split("\0") if entry)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(secrets, min_size=1, max_size=25))
def test_all_readers_get_the_very_secret(path: Path, values: list[str]) -> None:
    """By really sourcing the file in each shell on this machine, and by python-dotenv with all its defaults."""
    sink = pure()
    content, expected = b"HOST=example.org\n", {}
    for number, value in enumerate(values):
        try:
            content = sink.put(content, record(f"key-{number}"), Secret(value))
        except SinkError:
            continue
        expected[f"KEY_{number}_KEY"] = value
    path.write_bytes(content)
    for shell in SHELLS:
        got = sourced(shell, path)
        assert {name: got.get(name) for name in expected} == expected, shell
    got = dotenv.dotenv_values(path)
    assert {name: got.get(name) for name in expected} == expected
    keys = {name: name.removesuffix("_KEY").lower().replace("_", "-") for name in expected}
    assert set(sink.records(content)) == set(keys.values())
    for name, value in expected.items():
        key = keys[name]
        assert sink.put(content, record(key), Secret(value)) == content  # what was written is what is read


@given(value=st.text(string.ascii_letters + string.digits + "_./+=:@%-", min_size=1))
def test_a_plain_secret_needs_no_quotes_so_that_docker_reads_it_too(value: str) -> None:
    """`docker run --env-file` keeps everything after the first `=` unchanged."""
    assert put("", secret=value).split("\n")[1].split("=", 1)[1] == value


# --- The user's own lines ---------------------------------------------------------------------------------------------

users_lines = st.lists(
    st.one_of(
        st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"").replace(b"\0", b"").rstrip(b"\\")),
        st.sampled_from([b"", b"A=b", b"# note", b'C="d', b'e"', b"# keyform", b"# keyform other/x g1 x y", b"X=1\r"]),
    )
)


@given(before=users_lines, after=users_lines, last_has_end=st.booleans())
def test_the_users_own_lines_stay_byte_for_byte(before: list[bytes], after: list[bytes], last_has_end: bool) -> None:
    sink = pure()
    head = b"".join(line + b"\n" for line in before)
    tail = b"".join(line + b"\n" for line in after)
    if not last_has_end:
        tail = tail[:-1]
    assume(not head.startswith(MARK) and not tail.startswith(MARK))  # the one thing that no reader is glad of
    ours = put("").encode()
    written = sink.put(head, record("payments-api"), Secret("abc"))
    assert written == head + ours
    replaced = sink.put(head + ours + tail, record("payments-api", 2), Secret("def"))
    assert replaced == head + put("", secret="def", generation=2).encode() + tail
    assert sink.drop(replaced, "payments-api") == head + tail
    whole = head + tail
    appended = sink.put(whole, record("payments-api"), Secret("abc"))
    ended = whole if not whole or whole.endswith(b"\n") else whole + b"\n"
    assert appended == ended + ours
    assert sink.drop(appended, "payments-api") == ended


def test_reading_a_file_of_a_thousand_keys_holds_them_all(path: Path) -> None:
    content = b""
    for number in range(1000):
        content += pure().put(b"", record(f"key-{number}"), Secret(f"secret{number}"))
    path.write_bytes(content)
    sink = DOTENV.open(path, effects=WithoutGit())
    assert len(sink.read([])) == 1000
    save(sink, "key-500", "new", 2)
    assert DOTENV.secret_in(path, "key-500") == "new"
    assert len(sink.read([])) == 1000
