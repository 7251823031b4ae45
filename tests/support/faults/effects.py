"""Effects of an emulated world, each with a number and a name, and with room around it for a fault."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from reconciler.effects import Completed, Group
from reconciler.emulator import Answer, ConnectionLost, Request
from support.faults import aws
from support.faults.aws import FakeClient
from support.faults.case_text import Spot
from support.faults.disk import GID, GROUP
from support.faults.gitlab import is_for_gitlab
from support.faults.vault import ROOT as VAULT

if TYPE_CHECKING:
    from support.faults.world import FaultWorld

SECONDS_PER_REQUEST = 0.01
"""How far the clock moves with every request, so that no two things happen at one instant."""
SHORTEST = 1e-6
"""The clock tells no less: a shorter sleep would end at the instant at which it began, again and again."""
PROGRAMS = Path("/bin")
STORE = "keep-secret"
"""The program of a store that takes a secret on its standard input and cannot be read back."""


NOTHING = httpx.SyncByteStream()
"""Stands for what comes over a connection: of an answer that is here nothing more does."""


class Kind(StrEnum):
    """What an effect is: which faults fit it depends on this alone."""

    READ = "read"
    POLL = "poll"
    CREATE = "create"
    LOCK = "lock"
    DESCRIBE = "describe"
    BIND = "bind"
    LINK = "link"
    """A write of a whole key, as in v2: its description, its expiry and what it opens, without a task."""
    DELETE = "delete"
    READ_FILE = "read_file"
    CREATE_FILE = "create_file"
    RENAME = "rename"
    SYNC_FOLDER = "sync_folder"
    REMOVE_FILE = "remove_file"
    MAKE_FOLDER = "make_folder"
    REMOVE_FOLDER = "remove_folder"
    LOCK_FOLDER = "lock_folder"
    UNLOCK = "unlock"
    LOOK = "look"
    """stat and access."""
    STORE = "store"
    """A child process that saves a secret."""
    CLOUD_LIST = "cloud_list"
    CLOUD_READ = "cloud_read"
    CLOUD_WRITE = "cloud_write"
    """Calls of a library that contacts a server itself: boto3's."""
    WEB_READ = "web_read"
    WEB_WRITE = "web_write"
    """Requests of a sink to GitLab."""
    SHELF_READ = "shelf_read"
    SHELF_WRITE = "shelf_write"
    """Requests of a sink to Vault."""
    GIT = "git"
    SLEEP = "sleep"
    CLOCK = "clock"
    CHANCE = "chance"


HTTP = frozenset({Kind.READ, Kind.POLL, Kind.CREATE, Kind.LOCK, Kind.DESCRIBE, Kind.BIND, Kind.LINK, Kind.DELETE})
HTTP_WRITES = HTTP - {Kind.READ, Kind.POLL}
FILE_WRITES = frozenset(
    {
        *(Kind.CREATE_FILE, Kind.RENAME, Kind.SYNC_FOLDER, Kind.REMOVE_FILE, Kind.MAKE_FOLDER, Kind.REMOVE_FOLDER),
    }
)
FILES = FILE_WRITES | {Kind.READ_FILE, Kind.LOCK_FOLDER, Kind.UNLOCK, Kind.LOOK}
CLOUD = frozenset({Kind.CLOUD_LIST, Kind.CLOUD_READ, Kind.CLOUD_WRITE})
WEB = frozenset({Kind.WEB_READ, Kind.WEB_WRITE})
SHELF = frozenset({Kind.SHELF_READ, Kind.SHELF_WRITE})
WRITES = HTTP_WRITES | FILE_WRITES | {Kind.STORE, Kind.CLOUD_WRITE, Kind.WEB_WRITE, Kind.SHELF_WRITE}
SEEN = WRITES | HTTP | {Kind.SLEEP}
"""After these the world may have changed: tasks progress during requests and sleep."""
COUNTED = frozenset({Kind.SLEEP, Kind.CLOCK, Kind.CHANCE})
"""These cannot fail; they are numbered and named all the same."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One place where a run touches the world; `number` counts from 0 within the run."""

    number: int
    kind: Kind
    name: str
    request: Request | None = field(default=None, compare=False, repr=False)
    nth: int = 1
    """Which one of its name."""

    @property
    def spot(self) -> Spot:
        """Where it is in its run, whatever comes before it."""
        return Spot(self.name, self.nth)

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


class Killed(BaseException):
    """The process is gone: nothing catches this, and no effect happens any more."""


Answered = TypeVar("Answered")
Hook = Callable[[Effect, Callable[[], Any], "TracedEffects"], Any]


class TracedEffects:
    """One process's effects. `hook` wraps each of them; `watch` looks at the world after those that matter."""

    def __init__(
        self,
        world: FaultWorld,
        *,
        hook: Hook | None = None,
        watch: Callable[[Effect], None] | None = None,
    ) -> None:
        self.world = world
        self.hook = hook
        self.watch = watch
        self.trace: list[Effect] = []
        self._named: Counter[str] = Counter()
        self.dead = False
        self.deliver_at: int | None = None
        """The number of the effect before which late requests arrive."""
        self._writing: tuple[Path, bytes, int, int | None] = (Path(), b"", 0o600, None)
        self.refused: set[int] = set()
        """Numbers of requests that surely were not processed: no connection, or 429."""
        self.said: list[str] = []
        """Arguments and environments of child processes."""

    def die(self) -> None:
        """Kill the process, here and now."""
        self.dead = True
        self.world.disk.locks.clear()
        raise Killed

    def _do(self, kind: Kind, name: str, perform: Callable[[], Any], request: Request | None = None) -> Any:
        if self.dead:
            raise Killed
        self._named[name] += 1
        effect = Effect(len(self.trace), kind, name, request, self._named[name])
        self.trace.append(effect)
        if self.deliver_at is not None and effect.number >= self.deliver_at:
            self.deliver_at = None
            self.world.deliver()
        try:
            return perform() if self.hook is None else self.hook(effect, perform, self)
        finally:
            if kind in SEEN and self.watch is not None and not self.dead:
                self.watch(effect)

    # --- Clock and chance ---------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return self._do(Kind.CLOCK, "now", self.world.clock.now)  # type: ignore[no-any-return]

    def monotonic(self) -> float:
        return self._do(Kind.CLOCK, "monotonic", self.world.clock.now().timestamp)  # type: ignore[no-any-return]

    def sleep(self, seconds: float) -> None:
        self._do(Kind.SLEEP, "sleep", lambda: self.world.clock.advance(max(seconds, SHORTEST)))

    def random(self) -> float:
        return self._do(Kind.CHANCE, "random", self.world.chance)  # type: ignore[no-any-return]

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def send(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode().partition("?")
        headers = {name.decode("ascii"): value.decode("ascii") for name, value in request.headers.raw}
        incoming = Request(request.method, target[0], target[2], headers, request.content)
        kind, name = name_request(incoming, self.world.name_of)
        place = len(self.trace)
        try:
            given: Answer = self._do(kind, name, lambda: self._respond(kind, incoming), incoming)
        except ConnectionLost as lost:
            raise httpx.ReadError("", request=request) from lost
        except httpx.RequestError as error:
            if isinstance(error, httpx.ConnectError):
                self.refused.add(place)
            error.request = request
            raise
        if given.status == 429:
            self.refused.add(place)
        return as_response(given)

    def _respond(self, kind: Kind, request: Request) -> Answer:
        if kind in HTTP_WRITES:
            self.world.images.append(self.world.emulator.dump())
        return self.world.respond(request)

    # --- Files --------------------------------------------------------------------------------------------------------

    def read_file(self, path: Path) -> bytes:
        return self._do(Kind.READ_FILE, f"read {path}", lambda: self.world.disk.read(path))  # type: ignore[no-any-return]

    def create_file(self, path: Path, content: bytes, *, mode: int = 0o600, gid: int | None = None) -> None:
        self._writing = (path, content, mode, gid)
        self._do(Kind.CREATE_FILE, f"create {path}", lambda: self.world.disk.create(path, content, mode, gid))

    def tear(self) -> None:
        """Leave half of the file that is being created, as a kill in the middle of writing it does."""
        path, content, mode, gid = self._writing
        self.world.disk.create(path, content[: len(content) // 2], mode, gid)

    def rename(self, source: Path, target: Path) -> None:
        self._do(Kind.RENAME, f"rename to {target}", lambda: self.world.disk.rename(source, target))

    def sync_folder(self, path: Path) -> None:
        self._do(Kind.SYNC_FOLDER, f"sync {path}", lambda: self.world.disk.sync_folder(path))

    def remove_file(self, path: Path) -> None:
        self._do(Kind.REMOVE_FILE, f"remove {path}", lambda: self.world.disk.remove(path))

    def lock_file(self, path: Path) -> int:
        return self.lock_folder(path)

    def try_lock_file(self, path: Path, note: str = "") -> int | None:
        is_locked = str(path) in self.world.disk.locks
        return None if is_locked else self.lock_folder(path)

    def lock_folder(self, path: Path) -> int:
        def lock() -> int:
            assert str(path) not in self.world.disk.locks, f"{path} is locked: this process would wait for ever"
            self.world.disk.locks.add(str(path))
            return self.world.handle(str(path))

        return self._do(Kind.LOCK_FOLDER, f"lock {path}", lock)  # type: ignore[no-any-return]

    def unlock_file(self, handle: int) -> None:
        path = self.world.handles[handle]
        self._do(Kind.UNLOCK, f"unlock {path}", lambda: self.world.disk.locks.discard(path))

    def stat(self, path: Path) -> os.stat_result:
        return self._do(Kind.LOOK, f"stat {path}", lambda: self.world.disk.stat(path))  # type: ignore[no-any-return]

    def real_path(self, path: Path) -> Path:
        return self._do(Kind.LOOK, f"resolve {path}", lambda: path)  # type: ignore[no-any-return]

    def enclosing(self, folder: Path, name: str) -> tuple[Path, ...]:
        # Not an effect that could fail here: its failures are for the sinks' own tests.
        return ()

    def can_write(self, path: Path) -> bool:
        return self._do(Kind.LOOK, f"access {path}", lambda: self.world.disk.exists(path))  # type: ignore[no-any-return]

    def pinned_by(self, path: Path) -> str:
        return self._do(Kind.LOOK, f"pins {path}", str)  # type: ignore[no-any-return]

    def first_bytes(self, path: Path) -> bytes:
        return b"\x7fELF"

    def make_folder(self, path: Path, *, gid: int | None = None) -> None:
        self._do(Kind.MAKE_FOLDER, f"mkdir {path}", lambda: self.world.disk.make_folder(path, gid))

    def find_group(self, name: str) -> Group | None:
        # Not an effect that could fail here: it is a look into a file that is always there.
        return Group(GROUP, GID, may_be_given=True) if name in (GROUP, str(GID)) else None

    def remove_folder(self, path: Path) -> None:
        self._do(Kind.REMOVE_FOLDER, f"rmdir {path}", lambda: self.world.disk.remove_folder(path))

    # --- Child processes ----------------------------------------------------------------------------------------------

    def call(self, what: str, function: Callable[[], Answered]) -> Answered:
        operation = what.partition(":")[2]
        if operation == "open":
            return FakeClient(self.world.aws, self.world.clock.now)  # type: ignore[return-value]
        kind = Kind.CLOUD_READ if operation in aws.READS else Kind.CLOUD_WRITE
        kind = Kind.CLOUD_LIST if operation == "list_secrets" else kind
        return self._do(kind, what, function)  # type: ignore[no-any-return]

    def find_program(self, name: str, *, outside: Collection[Path] = ()) -> Path | None:
        # It never fails: what cannot be looked at is no program.
        return PROGRAMS / name

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: str | bytes = "",
        env: Mapping[str, str] | None = None,
        without: Collection[str] = (),
        only: Collection[str] | None = None,
        folder: Path | None = None,
        timeout: float | None = None,
    ) -> Completed:
        self.said += [*argv, *(f"{name}={value}" for name, value in (env or {}).items())]
        if argv[0] == str(PROGRAMS / STORE):
            name = " ".join((STORE, *argv[1:4]))
            return self._do(Kind.STORE, name, lambda: self._keep(argv, stdin))  # type: ignore[no-any-return]
        return self._do(Kind.GIT, "git", lambda: Completed(127, "", "git: not found"))  # type: ignore[no-any-return]

    def _keep(self, argv: Sequence[str], stdin: str | bytes) -> Completed:
        _, verb, store, *arguments = argv
        if verb == "check":
            return Completed(0, "", "")
        [key] = arguments
        text = stdin if isinstance(stdin, str) else stdin.decode()
        self.world.disk.store(store, key, text if verb == "write" else None)
        return Completed(0, "", "")


def as_response(given: Answer) -> httpx.Response:
    """What httpx gives for an answer that was read; it would take longer to read one that is here than to judge it."""
    response = httpx.Response(given.status, headers=dict(given.headers), stream=NOTHING)
    response._content = given.body
    return response


V2 = "/cloud/v2/"
"""What the paths of v2 begin with; they name objects by their ids."""


def name_request(request: Request, name_of: Callable[[str], str]) -> tuple[Kind, str]:
    """What a request is, and its name in a trace: an object goes by its name, which `name_of` gives for an id."""
    if request.path.startswith(VAULT):
        name = f"{request.method} {request.path}"
        is_write = request.method != "GET" and "/sys/" not in request.path
        return (Kind.SHELF_WRITE if is_write else Kind.SHELF_READ), name
    last = request.path.rsplit("/", 1)[-1]
    if is_for_gitlab(request):
        return (Kind.WEB_READ if request.method == "GET" else Kind.WEB_WRITE), f"gitlab {request.method} {last}"
    is_v2 = request.path.startswith(V2)
    if is_v2 and last not in ("api_keys", "deployments"):
        last = name_of(last)
    name = f"{request.method} {last}"
    if request.method == "GET":
        return (Kind.POLL, "GET task") if "/tasks/" in request.path else (Kind.READ, name)
    if "keyform-lock-" in last:
        return Kind.LOCK, name
    if request.method == "POST":
        made = json.loads(request.body)["name"]
        return (Kind.LOCK if made.startswith("keyform-lock-") else Kind.CREATE), f"POST {made}"
    if request.method == "DELETE":
        return Kind.DELETE, name
    if is_v2:
        return Kind.LINK, name
    return (Kind.DESCRIBE if "/api_keys/" in request.path else Kind.BIND), name
