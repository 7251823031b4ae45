"""A path in the file tries to reach where the file has no business, or to pass unseen."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sinks.stage import CANARY, DOTENV, JSON, KINDS, Kind, git, look, record, save

from reconciler.effects import LONGEST_FILE, System
from reconciler.errors import SinkError
from reconciler.model import Owner, Place, SinkSettings
from reconciler.reach import PathRefused, check_reach
from reconciler.sinks import Sink, open_sinks
from reconciler.snapshot import read_sink

KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)


@dataclass(frozen=True, slots=True)
class Machine:
    """A home folder with things of value, and a checkout in which a stranger's file lies in `stack`."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def checkout(self) -> Path:
        return self.root / "checkout"

    @property
    def folder(self) -> Path:
        """Where keyform.yaml is."""
        return self.checkout / "stack"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    made.folder.mkdir(parents=True)
    (made.home / ".ssh").mkdir(parents=True)
    for name in (".bashrc", ".netrc", ".ssh/authorized_keys", "empty"):
        (made.home / name).write_text("" if name == "empty" else "theirs\n")
        (made.home / name).chmod(0o600)
    (made.home / "settings.json").write_text('{"theirs": 1}')
    (made.home / "settings.json").chmod(0o600)
    git(made.checkout, "init", "--quiet")
    (made.checkout / ".git" / "info" / "exclude").write_text("*\n")  # that it is ignored is not the point here
    (made.checkout / ".git" / "config").write_text("[core]\n")
    (made.checkout / ".git" / "config").chmod(0o600)
    monkeypatch.setenv("HOME", str(made.home))
    return made


def refusals(sink: Sink) -> list[str]:
    """What it says to everything that can be asked of it."""
    said = []
    for act in (
        lambda: sink.read(["payments-api"]),
        lambda: sink.probe(["payments-api"]),
        lambda: save(sink, "payments-api"),
        lambda: sink.remove("payments-api"),
    ):
        try:
            act()
        except SinkError as error:
            said.append(error.message if error.way_out else "without a way out")
    return said


def refuses(sink: Sink, root: Path, sentence: str) -> None:
    """All of it is refused with this sentence, and nothing has moved."""
    before = look(root)
    said = refusals(sink)
    assert len(said) == 4
    assert all(sentence in each for each in said), said
    assert look(root) == before


@pytest.mark.attack("pull request author")
@KIND
@pytest.mark.parametrize("steps", [("out",), ("a", "out"), ("a", "b", "out")])
@pytest.mark.parametrize("target", ["home", "home/.ssh", "checkout", "/etc", "/", ".."])
def test_a_folder_that_is_a_link_out_is_refused(
    machine: Machine, kind: Kind, steps: tuple[str, ...], target: str
) -> None:
    link = machine.folder.joinpath(*steps)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(machine.root / target if target != ".." else Path("..", *[".."] * len(steps)))
    for name in (kind.name, f"new/{kind.name}", ".bashrc"):
        sink = kind.open_in(machine.folder, Path(*steps, name))
        refuses(sink, machine.root, f"through the symbolic link {'/'.join(steps)}")


@pytest.mark.attack("pull request author")
@KIND
def test_a_link_by_way_of_links_is_refused(machine: Machine, kind: Kind) -> None:
    (machine.folder / "one").symlink_to("two")
    (machine.folder / "two").symlink_to("sub/three")
    (machine.folder / "sub").mkdir()
    (machine.folder / "sub" / "three").symlink_to("../../../home")
    refuses(kind.open_in(machine.folder, f"one/{kind.name}"), machine.root, "through the symbolic link one")
    (machine.folder / "loop").symlink_to("loop")
    before = look(machine.root)
    assert len(refusals(kind.open_in(machine.folder, f"loop/{kind.name}"))) == 4
    assert look(machine.root) == before


@pytest.mark.attack("pull request author")
@KIND
def test_a_link_that_stays_inside_is_followed_and_written(machine: Machine, kind: Kind) -> None:
    (machine.folder / "real").mkdir()
    (machine.folder / "link").symlink_to("real")
    sink = kind.open_in(machine.folder, f"link/{kind.name}")
    save(sink, "payments-api")
    assert kind.secret_in(machine.folder / "real" / kind.name, "payments-api") == CANARY
    assert sink.destination == f"real/{kind.name}"


@pytest.mark.attack("pull request author")
@KIND
def test_links_above_the_folder_are_the_machines_own(machine: Machine, kind: Kind) -> None:
    (machine.root / "current").symlink_to("checkout")
    for folder in (machine.root / "current" / "stack", Path(os.path.relpath(machine.root / "current" / "stack"))):
        sink = kind.open_in(folder, f"sub/{kind.name}")
        save(sink, "payments-api")
        assert sink.read([]) == {"payments-api": record("payments-api")}
        assert sink.destination == f"sub/{kind.name}"


@pytest.mark.attack("pull request author")
@KIND
@pytest.mark.parametrize(
    "path",
    [
        *("../.git/config", "../.git/hooks/post-checkout", ".git/config", ".GIT/config", ".Git/x", "sub/.git/config"),
        *(
            "GIT~1/config",
            ".git./config",
            ".git /config",
            ".g\u200cit/config",
            ".git::$INDEX_ALLOCATION/config",
            ".git",
        ),
        *("{checkout}/.git/config", "into-git/config", "into-git-by-two/hooks/x"),
    ],
)
def test_what_is_gits_is_refused(machine: Machine, kind: Kind, path: str) -> None:
    (machine.folder / "into-git").symlink_to("../.git")
    (machine.folder / "into-git-by-two").symlink_to("into-git")
    before = look(machine.checkout / ".git")
    sink = kind.open_in(machine.folder, path.format(checkout=machine.checkout))
    assert len(refusals(sink)) == 4
    assert look(machine.checkout / ".git") == before


@pytest.mark.attack("pull request author")
@KIND
def test_a_file_in_a_git_folder_reaches_nothing(machine: Machine, kind: Kind) -> None:
    folder = machine.checkout / ".git" / "stack"
    folder.mkdir()
    refuses(kind.open_in(folder, kind.name), machine.root, "is in a .git folder, which belongs to git")


@pytest.mark.attack("pull request author")
@KIND
@pytest.mark.parametrize("name", [".bashrc", ".netrc", ".ssh/authorized_keys", "settings.json"])
@pytest.mark.parametrize("way", ["{home}/{name}", "../../home/{name}", "../../checkout/stack/../../home/{name}"])
def test_somebody_elses_file_outside_is_refused(machine: Machine, kind: Kind, name: str, way: str) -> None:
    path = way.format(home=machine.home, name=name)
    sentence = "`..` in the middle" if "stack/.." in path else "outside the folder of the configuration file"
    refuses(kind.open_in(machine.folder, path), machine.root, sentence)


@pytest.mark.attack("pull request author")
@KIND
def test_an_outer_link_of_the_checkout_makes_nothing_inside(machine: Machine, kind: Kind) -> None:
    """A link that was committed above the folder of the file, and is reached by `..`."""
    (machine.checkout / "out").symlink_to("../home")
    refuses(
        kind.open_in(machine.folder, "../out/.bashrc"), machine.root, "outside the folder of the configuration file"
    )
    assert kind.open_in(machine.folder, "../out/.bashrc").destination == "~/.bashrc"


@pytest.mark.attack("after merge")
@KIND
def test_shared_writes_into_a_file_outside_and_says_so(machine: Machine, kind: Kind) -> None:
    path = machine.home / kind.name
    kind.write_users_own(path)
    sink = kind.open_in(machine.folder, str(path), shared=True)
    contents = read_sink(sink, ["payments-api"])
    assert contents.destination == f"~/{kind.name}"
    assert contents.exposure == (
        f"sink local writes to ~/{kind.name}, which is outside the folder of the configuration file and holds no "
        "record of this stack"
    )
    save(sink, "payments-api")
    assert kind.secret_in(path, "payments-api") == CANARY
    assert read_sink(sink, ["payments-api"]).exposure == ""
    assert read_sink(kind.open_in(machine.folder, str(path)), ["payments-api"]).exposure == ""  # ours by now


@pytest.mark.attack("after merge")
@KIND
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666, 0o700, 0o755, 0o400, 0o4600])
@pytest.mark.parametrize("where", ["inside", "outside"])
def test_nobody_elses_mode_is_changed(machine: Machine, kind: Kind, mode: int, where: str) -> None:
    path = (machine.folder if where == "inside" else machine.home) / kind.name
    path.write_text(kind.users_own)
    path.chmod(mode)
    before = look(machine.root)
    said = refusals(kind.open_in(machine.folder, str(path), shared=True))
    assert len(said) == 2
    assert all(f"its mode {mode:03o}" in each for each in said)
    assert look(machine.root) == before


@pytest.mark.attack("after merge")
@KIND
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("secrets.env", "secrets.env"),
        ("sub/./secrets.env", "sub/secrets.env"),
        ("{folder}/x.env", "x.env"),
        ("../x.env", "{checkout}/x.env"),
        ("{home}/x.env", "~/x.env"),
        ("{home}/.bash_profile", "~/.bash_profile"),
        ("../by-link/x.env", "~/x.env"),
        ("/nowhere/x.env", "/nowhere/x.env"),
        ("a\u202eb.env", "a\\u202eb.env"),
        ("a\x1b[2Jb.env", "a\\x1b[2Jb.env"),
        ("a\n::warning::b.env", "a\\n::warning::b.env"),
        ("a\\n\u200b.env", "a\\\\n\\u200b.env"),
    ],
)
def test_the_destination_is_where_it_writes(machine: Machine, kind: Kind, path: str, shown: str) -> None:
    (machine.checkout / "by-link").symlink_to("../home")
    places = {"folder": machine.folder, "checkout": machine.checkout, "home": machine.home}
    sink = kind.open_in(machine.folder, path.format(**places))
    assert sink.destination == shown.format(**places)
    assert sink.destination.isprintable()


@pytest.mark.attack("after merge")
@pytest.mark.parametrize(
    ("type_", "options", "shown"),
    [
        (
            "command",
            {"write": ("./save.sh", "{key}", "a b", "x\n::y"), "remove": ("rm",)},
            "command ./save.sh {key} 'a b' 'x\\n::y', removed by rm",
        ),
        ("command", {"write": ("aws",)}, "command aws"),
        ("aws-secrets-manager", {}, "AWS Secrets Manager: inference-prod/{key}"),
        (
            "aws-secrets-manager",
            {"name": "x/{key}", "field": "f", "region": "eu-west-1", "kms_key_id": "arn:aws:kms:eu-west-1:6:key/1"},
            "AWS Secrets Manager: x/{key}, field f, region eu-west-1, KMS key arn:aws:kms:eu-west-1:6:key/1",
        ),
    ],
)
def test_every_other_sink_names_its_destination(
    machine: Machine, type_: str, options: dict[str, str | tuple[str, ...]], shown: str
) -> None:
    settings = SinkSettings("one", type_, options, Place(str(machine.folder / "keyform.yaml")))
    sink = open_sinks([settings], owner=Owner("inference-prod"), effects=System())["one"]
    assert sink.destination == shown
    assert sink.is_evidence
    assert sink.exposure == ""


# --- What lies where the file is to be --------------------------------------------------------------------------------


class Swaps(System):
    """Somebody replaces what is at a path, right after it was looked at."""

    def __init__(self, path: Path, make: Callable[[Path], object]) -> None:
        super().__init__()
        self.path = path
        self.make = make

    def read_file(self, path: Path) -> bytes:
        if path == self.path:
            path.unlink()
            self.make(path)
        return super().read_file(path)


def grow(path: Path) -> None:
    path.touch(0o600)
    os.truncate(path, LONGEST_FILE * 40)


@pytest.mark.attack("pull request author")
@KIND
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (os.mkfifo, "it is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "there is a symbolic link in the way"),
        (lambda path: path.symlink_to("/proc/self/environ"), "there is a symbolic link in the way"),
        (lambda path: path.mkdir(), "it is not a regular file"),
        (grow, "it is bigger than 10 MB"),
    ],
)
def test_what_comes_into_the_files_place_is_not_waited_for(
    machine: Machine, kind: Kind, make: Callable[[Path], object], sentence: str
) -> None:
    path = machine.folder / kind.name
    kind.write_users_own(path)
    said: list[str] = []

    def read() -> None:
        try:
            kind.open(path, effects=Swaps(path, make)).read([])
        except SinkError as error:
            said.append(error.message)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    reading.join(10)
    assert len(said) == 1
    assert sentence in said[0]


@pytest.mark.attack("pull request author")
@KIND
@pytest.mark.parametrize("path", ["/proc/self/environ", "/proc/self/cmdline", "/dev/zero", "/dev/stdin", "/proc/kmsg"])
def test_files_of_the_system_are_not_read_out(machine: Machine, kind: Kind, path: str) -> None:
    for sink in (kind.open_in(machine.folder, path), kind.open_in(machine.folder, path, shared=True)):
        said = refusals(sink)
        assert said
        assert os.environ["PATH"] not in "".join(said)


@pytest.mark.attack("pull request author")
@KIND
def test_a_folder_that_becomes_a_link_while_it_is_written_gets_nothing(machine: Machine, kind: Kind) -> None:
    folder = machine.folder / "sub"
    folder.mkdir()

    class Turns(System):
        def create_file(self, path: Path, content: bytes) -> None:
            super().create_file(path, content)
            if path.name == "new":
                folder.rename(machine.folder / "gone")
                folder.symlink_to(machine.home)

    before = look(machine.home)
    with pytest.raises(SinkError, match="through the symbolic link sub"):
        save(kind.open_in(machine.folder, f"sub/{kind.name}", effects=Turns()), "payments-api")
    assert look(machine.home) == before


@pytest.mark.attack("pull request author")
@KIND
def test_a_path_outside_that_leads_elsewhere_meanwhile_is_refused(machine: Machine, kind: Kind) -> None:
    (machine.root / "one").mkdir()
    (machine.root / "link").symlink_to("one")
    sink = kind.open_in(machine.folder, f"../../link/{kind.name}")
    save(sink, "payments-api")
    (machine.root / "link").unlink()
    (machine.root / "link").symlink_to("home")
    refuses(sink, machine.root, "no longer leads to the place that was checked")


@pytest.mark.attack("pull request author")
@KIND
@pytest.mark.parametrize(
    "path", ["", "a\0b", "\ud800.env", "\udfffx/y", "x" * 5000, "a/" * 3000 + "b", ".", "/", "..", "../.."]
)
def test_a_path_that_is_none_is_refused(machine: Machine, kind: Kind, path: str) -> None:
    try:
        sink = kind.open_in(machine.folder, path)
    except SinkError:
        return
    before = look(machine.root)
    assert sink.destination.isprintable()
    assert len(refusals(sink)) == 4
    assert look(machine.root) == before


@pytest.mark.attack("pull request author")
@KIND
@pytest.mark.parametrize("what", ["link", "file", "full", "nested"])
def test_what_lies_at_the_temporary_folder_is_not_followed(machine: Machine, kind: Kind, what: str) -> None:
    temporary = machine.folder / ".keyform.tmp"
    match what:
        case "link":
            temporary.symlink_to("../../home")
        case "file":
            temporary.touch()
        case "full":
            temporary.mkdir()
            (temporary / "theirs").touch()
        case "nested":
            (temporary / "new").mkdir(parents=True)
    home = look(machine.home)
    with pytest.raises(SinkError, match=r"\.keyform\.tmp beside it"):
        save(kind.open_in(machine.folder, kind.name), "payments-api")
    assert look(machine.home) == home
    assert not (machine.folder / kind.name).exists()


@pytest.mark.attack("pull request author")
@pytest.mark.parametrize("path", ["out/x.lock", ".git/x.lock", "../.git/index.lock", "a/../x.lock"])
def test_the_paths_of_others_are_held_to_the_same_rule(machine: Machine, path: str) -> None:
    """As that of a lock file."""
    (machine.folder / "out").symlink_to(machine.home)
    with pytest.raises(PathRefused) as refusal:
        check_reach(path, machine.folder, System())
    assert refusal.value.way_out


@pytest.mark.attack("pull request author")
def test_a_command_is_not_found_in_the_checkout(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = machine.root / "ran"
    program = machine.checkout / "save-it"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    monkeypatch.chdir(machine.checkout)
    for first in (".", "", "./", "../checkout"):
        monkeypatch.setenv("PATH", f"{first}:{os.defpath}")
        place = Place(str(machine.folder / "keyform.yaml"))
        settings = SinkSettings("one", "command", {"write": ("save-it",), "remove": ("save-it",)}, place)
        sink = open_sinks([settings], owner=Owner("inference-prod"), effects=System())["one"]
        assert len(refusals(sink)) == 3
        assert not ran.exists()


@pytest.mark.attack("pull request author")
def test_finding_a_command_runs_nothing(machine: Machine) -> None:
    ran = machine.root / "ran"
    program = machine.folder / "save-it"
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    settings = SinkSettings("one", "command", {"write": ("./save-it",)}, Place(str(machine.folder / "keyform.yaml")))
    sink = open_sinks([settings], owner=Owner("inference-prod"), effects=System())["one"]
    read_sink(sink, ["payments-api"])
    sink.probe(["payments-api"])
    assert not ran.exists()


@pytest.mark.attack("project member")
@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300_000])
def test_a_live_name_that_no_system_takes_ends_in_a_clear_error(machine: Machine, name: str) -> None:
    """It is a part of a command's environment."""
    from dataclasses import replace

    from reconciler.model import Secret

    settings = SinkSettings("one", "command", {"write": ("true",)}, Place(str(machine.folder / "keyform.yaml")))
    sink = open_sinks([settings], owner=Owner("inference-prod"), effects=System())["one"]
    with pytest.raises(SinkError) as failure:
        sink.write(replace(record("payments-api"), live_name=name), Secret(CANARY))
    assert CANARY not in failure.value.diagnostics()
    for kind in (DOTENV, JSON):
        with pytest.raises(SinkError):
            kind.open_in(machine.folder, kind.name).write(replace(record("payments-api"), live_name=name), Secret("x"))
    assert json.dumps(failure.value.message)
