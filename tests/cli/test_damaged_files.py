"""A secrets file that an editor has changed: every command says the same of it, and no secret that is there is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.conftest import Keyform
from cli.stage import ONE_KEY, World
from support.lazy import Lazy

dotenv = Lazy("dotenv")
MARK = b"\xef\xbb\xbf"
Edit = Callable[[bytes], bytes]


def value(edit: Callable[[bytes], bytes]) -> Edit:
    """Edit the line that sets the variable."""

    def change(content: bytes) -> bytes:
        *above, line = content.splitlines()
        return b"\n".join([*above, edit(line), b""])

    return change


def between(name: bytes, sign: bytes, end: bytes = b"") -> Edit:
    """Write the variable's line in another way: the sign between name and secret, and the end of the line."""
    return value(lambda line: name + sign + line.split(b"=")[1] + end)


REPAIRED: dict[str, tuple[Edit, str]] = {
    "crlf": (lambda content: content.replace(b"\n", b"\r\n"), "CR at the end of line 2"),
    "cr at the end": (value(lambda line: line + b"\r"), "CR at the end of line 2"),
    "blanks and cr": (value(lambda line: line + b" \t\r"), "CR at the end of line 2"),
    "spaces around": (between(b"PAYMENTS_KEY", b" = "), "spaces around `=` in line 2"),
    "space before": (between(b"PAYMENTS_KEY", b" ="), "spaces around `=` in line 2"),
    "tab after": (between(b"PAYMENTS_KEY", b"=\t"), "spaces around `=` in line 2"),
    "spaces in quotes": (between(b"PAYMENTS_KEY", b" = '", b"'"), "spaces around `=` in line 2"),
    "export and spaces": (between(b"export PAYMENTS_KEY", b" = "), "spaces around `=` in line 2"),
    "quoted name": (between(b'"PAYMENTS_KEY"', b"="), "quotes around the name in line 2"),
    "byte order mark": (lambda content: MARK + content, "a byte order mark before line 1"),
    "mark before a line of others": (lambda content: MARK + b"HOST=a\n" + content, "a byte order mark before line 1"),
    "mark and crlf": (lambda content: MARK + content.replace(b"\n", b"\r\n"), "CR at the end of line 2"),
}
FINE: dict[str, Edit] = {
    "export": between(b"export PAYMENTS_KEY", b"="),
    "single quotes": between(b"PAYMENTS_KEY", b"='", b"'"),
    "double quotes": between(b"PAYMENTS_KEY", b'="', b'"'),
    "indented": between(b"  PAYMENTS_KEY", b"="),
    "comment behind": between(b"PAYMENTS_KEY", b"=", b" # of the shop"),
    "blanks behind": between(b"PAYMENTS_KEY", b"=", b" \t"),
    "no line end": lambda content: content.rstrip(b"\n"),
    "cr of the record alone": lambda content: content.replace(b"\n", b"\r\n", 1),
    "blanks behind the record": lambda content: content.replace(b"\n", b" \t\n", 1),
    "others with crlf": lambda content: b"HOST=a\r\n" + content + b"PORT=1\r\n",
}
REFUSED: dict[str, tuple[Edit, str]] = {
    "utf-16": (lambda content: content.decode().encode("utf-16"), "is not a text file"),
    "utf-16 without a mark": (lambda content: content.decode().encode("utf-16-le"), "is not a text file"),
    "nul": (lambda content: content + b"\0", "is not a text file"),
    "cr alone": (lambda content: content.replace(b"\n", b"\r"), "has lines that end in CR alone"),
    "variable twice": (lambda content: content + b"PAYMENTS_KEY=other\n", "PAYMENTS_KEY appears more than once"),
    "both lines twice": (lambda content: content + content, "shop/payments appears more than once"),
}
LOST: dict[str, Edit] = {
    "torn quote": between(b"PAYMENTS_KEY", b"='"),
    "not ascii": between(b"PAYMENTS_KEY", b"='", "ö'".encode()),
    "a tab in it": between(b"PAYMENTS_KEY", b"='", b"\tx'"),
    "empty": value(lambda _line: b"PAYMENTS_KEY="),
}


@pytest.fixture
def path(world: World, keyform: Keyform) -> Path:
    """The file of a key that is live and in it."""
    world.write(ONE_KEY)
    assert keyform("apply", "--auto-approve").code == 0
    return world.folder / "secrets.env"


def read_by_a_shell(path: Path) -> str | None:
    done = subprocess.run(
        ["sh", "-ec", 'set -a; . "$1"; exec printenv PAYMENTS_KEY', "sh", str(path)], capture_output=True, check=False
    )
    return done.stdout.decode()[:-1] if done.returncode == 0 and not done.stderr else None


def read_by_docker(path: Path) -> str | None:
    """As `docker run --env-file`: everything behind the first `=`."""
    lines = [line.split("=", 1) for line in path.read_text().split("\n") if line and not line.startswith("#")]
    return next((rest[0] for name, *rest in lines if name == "PAYMENTS_KEY" and rest), None)


def assert_all_read(path: Path, secret: str, *, docker: bool) -> None:
    assert shutil.which("sh")
    assert read_by_a_shell(path) == secret
    assert dotenv.dotenv_values(path)["PAYMENTS_KEY"] == secret
    assert not docker or read_by_docker(path) == secret


@pytest.mark.parametrize("name", REPAIRED)
def test_a_damaged_line_is_told_by_all_and_written_again_without_another_key(
    world: World, keyform: Keyform, path: Path, name: str
) -> None:
    edit, damage = REPAIRED[name]
    secret = world.secret_of("payments")
    content = edit(path.read_bytes())
    path.write_bytes(content)
    told = f"secrets.env has {damage}: not every reader can use its secrets"
    planned = keyform("plan", "--detailed-exitcode")
    assert planned.code == 2
    assert told in " ".join(planned.out.replace("!", "").split())
    assert "No changes except repairs." in planned.out
    [note] = json.loads(keyform("plan", "--json").out)["keyform"]["repairs"]
    assert note["sentence"].startswith(told)
    shown = keyform("status")
    assert shown.code == 0
    assert told in " ".join(shown.out.split())
    verified = keyform("verify")
    assert verified.code == 1
    assert f"local has {damage}" in " ".join(verified.out.split())
    assert path.read_bytes() == content

    before = world.writes
    applied = keyform("apply")
    assert applied.code == 0
    assert "Repaired sink.local." in applied.out
    assert world.writes == before
    assert_all_read(path, secret, docker=b"export" not in content)
    assert world.owned() == ["payments"]
    assert keyform("plan", "--detailed-exitcode").code == 0
    assert keyform("verify").code == 0
    assert path.read_bytes().startswith(b"HOST=a") == (b"HOST" in content)


@pytest.mark.parametrize("name", FINE)
def test_what_all_readers_take_alike_stays_as_it_is(world: World, keyform: Keyform, path: Path, name: str) -> None:
    content = FINE[name](path.read_bytes())
    path.write_bytes(content)
    assert_all_read(path, world.secret_of("payments"), docker=False)
    assert keyform("plan", "--detailed-exitcode").code == 0
    assert keyform("apply").code == 0
    assert keyform("verify").code == 0
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_told_is_refused_by_all(world: World, keyform: Keyform, path: Path, name: str) -> None:
    edit, message = REFUSED[name]
    content = edit(path.read_bytes())
    path.write_bytes(content)
    before = world.writes
    for argv in (["plan"], ["apply", "--auto-approve"], ["status"], ["verify"]):
        ran = keyform(*argv)
        assert ran.code == 1
        assert message in " ".join((ran.out + ran.err).split())
    assert path.read_bytes() == content
    assert world.writes == before


@pytest.mark.parametrize("name", LOST)
def test_a_value_that_no_write_could_have_made_is_replaced(
    world: World, keyform: Keyform, path: Path, name: str
) -> None:
    path.write_bytes(LOST[name](path.read_bytes()))
    assert "+/-" in keyform("plan").out
    assert keyform("apply", "--auto-approve").code == 0
    assert_all_read(path, world.secret_of("payments-g2"), docker=True)


def test_a_repair_that_fails_is_an_error_and_nothing_is_lost(
    world: World, keyform: Keyform, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.effects import System

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    content = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(System, "create_file", full)
        ran = keyform("apply")
    assert ran.code == 1
    assert "the disk is full" in ran.err
    assert "Repaired" not in ran.out
    assert path.read_bytes() == content
    assert keyform("apply").code == 0
    assert world.owned() == ["payments"]


def test_a_repair_that_could_not_be_written_is_found_by_plan(
    world: World, keyform: Keyform, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.effects import System

    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    monkeypatch.setattr(System, "pinned_by", lambda _effects, _path: "a mount")
    for argv in (["plan"], ["apply"]):
        ran = keyform(*argv)
        assert ran.code == 1
        assert "the file is mounted by itself" in ran.err
    assert world.owned() == ["payments"]


@pytest.mark.parametrize(
    ("edit", "is_repaired"),
    [
        pytest.param(lambda content: MARK + content, True, id="byte order mark"),
        pytest.param(lambda content: content.replace(b"\n", b"\r\n"), False, id="crlf"),
        pytest.param(lambda content: MARK + content.replace(b"\n", b"\r\n"), True, id="mark and crlf"),
    ],
)
def test_a_json_file_that_was_saved_by_another_editor_keeps_its_secret(
    world: World, keyform: Keyform, edit: Edit, is_repaired: bool
) -> None:
    world.write(ONE_KEY.replace("sink: local", "sink: jobs"))
    assert keyform("apply", "--auto-approve").code == 0
    path = world.folder / "jobs.json"
    path.write_bytes(edit(path.read_bytes()))
    assert keyform("plan", "--detailed-exitcode").code == (2 if is_repaired else 0)
    assert keyform("verify").code == is_repaired
    before = world.writes
    assert keyform("apply").code == 0
    assert world.writes == before
    assert json.loads(path.read_text("utf-8"))["payments"]["secret"] == world.secret_of("payments")
    assert keyform("plan", "--detailed-exitcode").code == 0
    assert keyform("verify").code == 0


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        pytest.param(lambda content: content.decode().encode("utf-16"), "is not valid JSON in UTF-8", id="utf-16"),
        pytest.param(lambda content: content.replace(b"}\n}", b"},\n}"), "is not valid JSON in UTF-8", id="comma"),
        pytest.param(lambda content: b'{"payments": 1,' + content[1:], "a duplicate name", id="twice"),
    ],
)
def test_a_json_file_that_readers_differ_about_is_refused_by_all(
    world: World, keyform: Keyform, edit: Edit, message: str
) -> None:
    world.write(ONE_KEY.replace("sink: local", "sink: jobs"))
    assert keyform("apply", "--auto-approve").code == 0
    path = world.folder / "jobs.json"
    content = edit(path.read_bytes())
    assert content != path.read_bytes()
    path.write_bytes(content)
    for argv in (["plan"], ["apply", "--auto-approve"], ["status"], ["verify"]):
        ran = keyform(*argv)
        assert ran.code == 1
        assert message in " ".join((ran.out + ran.err).split())
    assert path.read_bytes() == content
