"""What the tests of the local sinks share: both kinds behind one face, and worlds in which an effect goes wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.effects import Effects, System
from reconciler.model import Owner, Place, Secret, SinkRecord, SinkSettings
from reconciler.sinks import Sink, open_sinks

STACK = "inference-prod"
API, PROJECT = "api.gcore.com", 1234
CREATED_AT = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
CANARY = "cAnArY0secret0of0a0test"


def owner(stack: str = STACK, api: str = API, project: int = PROJECT) -> Owner:
    """Whose the sinks are."""
    return Owner(stack, api, project)


def record(key: str, generation: int = 1, *, stack: str = STACK, project: int = PROJECT) -> SinkRecord:
    """A record as `apply` would make it."""
    live_name = key if generation == 1 else f"{key}-g{generation}"
    return SinkRecord(stack, key, generation, live_name, CREATED_AT, API, project)


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of sink: how its file looks to those who did not write it."""

    type: str
    name: str
    by_hand: str
    """A file of the user's own; with `{secret}` where the entry of payments-api has its secret, without a record."""
    users_own: str
    """A file with nothing of ours in it."""
    consume: Callable[[str, str], str | None]
    """The secret of a key, as a program gets it that knows nothing of keyform."""
    damage: Callable[[str], tuple[str, ...]]
    """Ways in which a file with payments-api alone can be hurt so that the secret cannot be vouched for."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What the file says of it beside its path."""
    mode: int = 0o600
    """That of its file."""

    def open(
        self,
        path: Path | str,
        *,
        stack: str = STACK,
        project: int = PROJECT,
        effects: Effects | None = None,
        **options: str | bool,
    ) -> Sink:
        """The sink over a file, declared beside it."""
        return self.open_in(Path(path).parent, path, stack=stack, project=project, effects=effects, **options)

    def open_in(
        self,
        folder: Path,
        path: Path | str,
        *,
        stack: str = STACK,
        project: int = PROJECT,
        effects: Effects | None = None,
        **options: str | bool,
    ) -> Sink:
        """The sink as a file in a folder declares it."""
        settings = SinkSettings(
            "local", self.type, {"path": str(path), **self.options, **options}, Place(str(folder / "keyform.yaml"))
        )
        return open_sinks([settings], owner=owner(stack, project=project), effects=effects or System())["local"]

    def write_users_own(self, path: Path, text: str = "") -> None:
        """A file of the user's own, for nobody else to read than who reads the sink's."""
        path.write_text(text or self.users_own)
        if "group" in self.options:
            os.chown(path, -1, GID)
        path.chmod(self.mode)

    def secret_in(self, path: Path, key: str) -> str | None:
        """The secret in the file, if there is a file."""
        return self.consume(path.read_text(), key) if path.exists() else None


def _from_dotenv(text: str, key: str) -> str | None:
    found = re.search(rf"(?m)^{key.upper().replace('-', '_')}_KEY=(.*)$", text)
    return found[1].strip("'\"") if found else None


def _from_json(text: str, key: str) -> str | None:
    entry = json.loads(text).get(key)
    return entry["secret"] if entry else None


def _damaged_dotenv(text: str) -> tuple[str, ...]:
    head, value = text.splitlines()
    return (
        f"{head}\n",
        f"{head}\nPAYMENTS_API_KEY=\n",
        f"{head}\nPAYMENTS_API_KEY=''\n",
        f"{head}\nPAYMENTS_API_KEY=$(cat elsewhere)\n",
        f"{head}\nPAYMENTS_API_KEY='torn\n",
        f"{head[:-9]}\n{value}\n",
        f"{head.replace(' g1 ', ' g0 ')}\n{value}\n",
        f"# keyform {STACK}/payments-api\n{value}\n",
    )


def _damaged_json(text: str) -> tuple[str, ...]:
    def with_entry(**fields: Any) -> str:
        return json.dumps({"payments-api": entry | fields})

    entry = json.loads(text)["payments-api"]
    mark = entry["keyform"]
    return (
        json.dumps({"payments-api": {"keyform": mark}}),
        with_entry(secret=""),
        with_entry(secret=None),
        with_entry(keyform={"stack": STACK}),
        with_entry(keyform=mark | {"generation": 0}),
        with_entry(keyform=mark | {"generation": True}),
        with_entry(keyform=mark | {"generation": "1"}),
        with_entry(keyform=mark | {"created_at": "2026-11-21T10:00:00"}),
        with_entry(keyform=mark | {"live_name": ""}),
    )


DOTENV = Kind(
    "dotenv",
    "secrets.env",
    "HOST=example.org\nPAYMENTS_API_KEY={secret}\n",
    "# by hand\nHOST=example.org\n",
    _from_dotenv,
    _damaged_dotenv,
)
JSON = Kind(
    "json",
    "secrets.json",
    '{{"host": "example.org", "payments-api": {{"secret": "{secret}"}}}}',
    '{"host": "example.org", "pi": 3.10}',
    _from_json,
    _damaged_json,
)
KINDS = (DOTENV, JSON)
GID = 12345 if os.geteuid() == 0 else os.getegid()
"""A group that a file can be given to here."""


def for_group(kind: Kind) -> Kind:
    """The kind with a file that a group may read."""
    return replace(kind, options={"mode": "0640", "group": str(GID)}, mode=0o640)


# --- Worlds in which an effect goes wrong -----------------------------------------------------------------------------

EFFECTS = (
    *("read_file", "create_file", "rename", "sync_folder", "remove_file", "lock_folder", "unlock_file"),
    *("stat", "real_path", "enclosing", "can_write", "pinned_by", "make_folder", "remove_folder"),
    *("find_program", "first_bytes", "run"),
)


class Killed(BaseException):
    """The process is dead: no effect comes after this, not even the clearing up in a `finally`."""


class Watched(System):
    """The real world, in which `before` gets each effect and may raise; counts how often each was requested."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []
        self.handles: set[int] = set()

    def before(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Nothing goes wrong here."""

    def bury(self) -> None:
        """What the kernel does for a dead process: its locks are free."""
        for handle in self.handles:
            os.close(handle)
        self.handles.clear()


def _watch(name: str) -> None:
    def effect(self: Watched, *arguments: Any, **named: Any) -> Any:
        self.log.append(name)
        self.before(name, arguments)
        result = getattr(System, name)(self, *arguments, **named)
        if name == "lock_folder":
            self.handles.add(result)
        if name == "unlock_file":
            self.handles.discard(arguments[0])
        return result

    setattr(Watched, name, effect)


for _name in EFFECTS:
    _watch(_name)


class KilledAt(Watched):
    """Dead from the n-th effect on (from 1); a file that was being made then is there by half."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def before(self, name: str, arguments: tuple[Any, ...]) -> None:
        if len(self.log) == self.number and name == "create_file":
            path, content = arguments
            System.create_file(self, path, content[: len(content) // 2])
        if len(self.log) >= self.number:
            raise Killed


class FailsAt(Watched):
    """The n-th effect (from 1) fails by this, and is not done; all others work."""

    def __init__(self, number: int, error: BaseException) -> None:
        super().__init__()
        self.number = number
        self.error = error

    def before(self, name: str, arguments: tuple[Any, ...]) -> None:
        if len(self.log) == self.number:
            raise self.error


class FailsWhen(Watched):
    """The effects of this name fail by this error."""

    def __init__(self, name: str, error: BaseException) -> None:
        super().__init__()
        self.name = name
        self.error = error

    def before(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == self.name:
            raise self.error


# --- Looking around ---------------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str, stdin: str = "") -> str:
    """What git says, in a repository that no setting of the developer's reaches."""
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "LC_ALL": "C"}
    names = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *names, *arguments],
        env={**os.environ, **nobody},
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def git_would_add(folder: Path) -> str:
    """What `git add --all` would take in."""
    return git(folder, "add", "--all", "--dry-run")


def look(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """All below a folder but git's own: inode, mode, time and content, to see that nothing has moved."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if ".git" not in path.parts:
            is_file = path.is_file() and not path.is_symlink()
            stat = path.lstat()
            found[str(path)] = (stat.st_ino, stat.st_mode, stat.st_mtime_ns, path.read_bytes() if is_file else b"")
    return found


def save(sink: Sink, key: str, secret: str = CANARY, generation: int = 1) -> None:
    """One write."""
    sink.write(record(key, generation), Secret(secret))
