"""One project on the emulator, one disk, one clock: what a run touches, and what a judge looks at past keyform."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from sinks.gitlab_server import Gitlab

from reconciler.emulator import Answer, Emulator, LiveKey, Modes, Request, VirtualClock, seed
from reconciler.model import EndpointKind, EndpointRef
from support.faults.aws import FakeAws, LateCall
from support.faults.disk import GID, Disk
from support.faults.effects import SECONDS_PER_REQUEST
from support.faults.gitlab import copy_of, held_in, is_for_gitlab, outline, respond
from support.faults.vault import ROOT, FakeVault
from support.http_fakes import PROJECT, START, TOKEN
from support.worlds import BASE_URL

TASK_SECONDS = 0.3
"""Long enough that a task is seen running, short enough that few polls are needed."""
FOLDER = "/disk"
FILES = ("dotenv", "json")
"""Kinds of sinks that are files."""
MARKER = re.compile(
    r"\[keyform 2 (?P<stack>[^/]+)/(?P<key>\S+) g(?P<generation>\d+) (?P<phase>\w+) (?P<since>\S+?)"
    r"( protected)?( exp)?( into=\w{8})?( to=\w{8})?( as=\w{8})?( told=\w{8})?\]"
)

PASTS: dict[tuple[bytes, Modes], Emulator] = {}
"""Worlds of the past that were asked before, and did not change by it."""
MOST_PASTS = 500

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True)
class Marked:
    """A live key with keyform's marker, read without keyform's help."""

    live_name: str
    key: str
    generation: int
    phase: str
    since: datetime
    secret: str


class FaultWorld:
    """`sinks` gives each sink's type by name: `dotenv` and `json` are files on the disk, `store` is not readable."""

    def __init__(self, emulator: Emulator, clock: VirtualClock, disk: Disk, sinks: Mapping[str, str]) -> None:
        self.emulator = emulator
        self.clock = clock
        self.disk = disk
        self.sinks = dict(sinks)
        self.left: set[tuple[str, str]] = set()
        """Sinks, each with its type, that the file had at another place before: what they held stays there."""
        self.chances = 0
        self.handles: dict[int, str] = {}
        self.late: list[Request | LateCall] = []
        """Requests under way that nobody waits for any more."""
        self.aws = FakeAws()
        self.gitlab = Gitlab()
        self.vault = FakeVault()
        self.held_tasks: list[str] = []
        self.images: list[bytes] = []
        """The emulator's state before each write so far, for stale reads."""
        self.issued: set[str] = set()
        """Secrets that nobody holds any more, where a world remembers them."""
        self.names_by_id: dict[str, str] = {}
        """What the objects are called that were ever asked for by an id."""
        self.edited: dict[str, str] = {}
        """Descriptions before they were edited: they are generations by that, whatever is left of it."""
        self._known: dict[Hashable, Any] = {}
        self._known_as_of: object = None
        self._is_still = False

    @classmethod
    def make(cls, live: Mapping[str, Any], sinks: Mapping[str, str], modes: Modes | None = None) -> FaultWorld:
        """A world with these live objects and empty sinks."""
        clock = VirtualClock(START)
        emulator = Emulator(
            clock=clock,
            modes=modes,
            tokens={TOKEN: [PROJECT]},
            base_url=BASE_URL,  # a secret goes to no other plain http
            task_seconds=TASK_SECONDS,
            seed=7,
        )
        seed(emulator, {"projects": {PROJECT: dict(live)}})
        disk = Disk()
        disk.seen = {**disk.seen}
        for name in (FOLDER, *(f"{FOLDER}/{sink}" for sink in sinks)):
            disk.seen[name] = disk._inode(None)
        disk.durable = dict(disk.seen)
        return cls(emulator, clock, disk, sinks)

    def fork(self) -> FaultWorld:
        """A copy that goes its own way; what is late stays on its way in both."""
        clock = self.clock.copy()
        other = FaultWorld(self.emulator.fork(clock=clock), clock, self.disk.copy(), self.sinks)
        other.aws, other.vault, other.left = self.aws.copy(), self.vault.copy(), set(self.left)
        other.gitlab = copy_of(self.gitlab)
        other.images = list(self.images)
        other.chances, other.late, other.held_tasks = self.chances, list(self.late), list(self.held_tasks)
        other.names_by_id, other.edited = dict(self.names_by_id), dict(self.edited)
        return other

    # --- What effects do ----------------------------------------------------------------------------------------------

    def respond(self, request: Request) -> Answer:
        """Let the emulator answer, or Vault; time passes."""
        self.clock.advance(SECONDS_PER_REQUEST)
        return self._answer(request)

    def _answer(self, request: Request) -> Answer:
        if is_for_gitlab(request):
            return respond(self.gitlab, request)
        return self.vault.respond(request) if request.path.startswith(ROOT) else self.emulator.respond(request)

    def chance(self) -> float:
        """Repeatable, and never the same twice: it identifies a lock's holder."""
        self.chances += 1
        digest = hashlib.blake2b(str(self.chances).encode(), digest_size=6).digest()
        return int.from_bytes(digest, "big") / 256**6

    def handle(self, path: str) -> int:
        """A number for a lock."""
        self.handles[len(self.handles)] = path
        return len(self.handles) - 1

    def deliver(self) -> None:
        """What was late takes effect now, in the order in which it was sent."""
        late, self.late = self.late, []
        for request in late:
            if isinstance(request, LateCall):
                self.aws.deliver(request, self.clock.now)
            else:
                self._answer(request)
        held, self.held_tasks = self.held_tasks, []
        for task in held:
            self.emulator.release_task(task)

    def secret_files(self) -> set[str]:
        """The files that are sinks, or were."""
        return {self.path_of(sink, kind) for sink, kind in {*self.sinks.items(), *self.left} if kind in FILES}

    def path_of(self, sink: str, kind: str = "") -> str:
        """Where a sink's file is, or was when it was of another kind."""
        return f"{FOLDER}/{sink}/secrets.{kind or self.sinks[sink]}"

    def move(self, sink: str, kind: str) -> None:
        """The file names another place for a sink, long after the last run: no later one looks at the old one."""
        self.disk.durable = dict(self.disk.seen)
        self.left.add((sink, self.sinks[sink]))
        self.sinks[sink] = kind

    def lose(self, sink: str, key: str) -> None:
        """A sink's file loses a key, or is gone altogether (`""`)."""
        content = self.files()[self.path_of(sink)].decode() if key else ""
        if key and self.sinks[sink] == "json":
            content = json.dumps({name: entry for name, entry in json.loads(content).items() if name != key})
        elif key:
            lines = content.splitlines(keepends=True)
            pairs = zip(lines[::2], lines[1::2], strict=True)
            content = "".join("".join(pair) for pair in pairs if f"/{key} " not in pair[0])
        self.put_file(self.path_of(sink), content.encode())

    def put_file(self, path: str, content: bytes) -> None:
        """Somebody else's write, durable at once; of nothing: no file."""
        for there in (self.disk.seen, self.disk.durable):
            before = there.pop(path, None)
            if content:
                made = self.disk._inode(content)
                there[path] = replace(before, number=made.number, content=content) if before else made

    def of_old(self) -> Iterator[Emulator]:
        """The emulator as it was before each write so far, the newest first, at the present instant."""
        for image in reversed(self.images):
            place = (image, self.emulator.modes)
            then = PASTS.pop(place, None) or Emulator.load(
                image,
                modes=self.emulator.modes,
                base_url=self.emulator.base_url,
                task_seconds=TASK_SECONDS,
                seed=7,
            )
            then.clock = self.clock.copy()
            try:
                yield then
            finally:
                if then.dump() == image and len(PASTS) < MOST_PASTS:
                    PASTS[place] = then
                else:
                    then.close()

    # --- What a judge sees --------------------------------------------------------------------------------------------

    def files(self) -> dict[str, bytes]:
        """Every file's content, by path."""
        return self.disk.files()

    def folders(self) -> list[str]:
        """Every folder's path."""
        return self.disk.folders()

    def stored(self, store: str) -> dict[str, str]:
        """What a store was given that keyform cannot read back, by key."""
        return {key: secret for (where, key), secret in self.disk.stored.items() if where == store}

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Within the block nothing changes, so that repeated questions reach the emulator once.

        It is trying again in a later block only if it has changed, or time has passed.
        """
        outer, self._is_still = self._is_still, True
        as_of = (self.emulator.changes, self.clock.now())
        if as_of != self._known_as_of:
            self._known, self._known_as_of = {}, as_of
        try:
            yield
        finally:
            self._is_still = outer

    def _look(self, what: Hashable, ask: Callable[[], Seen]) -> Seen:
        if not self._is_still:
            return ask()
        if what not in self._known:
            self._known[what] = ask()
        return self._known[what]  # type: ignore[no-any-return]

    def version(self) -> object:
        """Another one after every change that a judge could see, but for the passing of time."""
        shown = tuple(self.disk.seen.get(self.path_of(sink)) for sink in self.sinks)
        stores = self.aws.outline(), self.vault.outline(), outline(self.gitlab)
        return self.emulator.changes, shown, tuple(self.disk.stored.items()), stores

    def now(self) -> datetime:
        """The instant."""
        return self.clock.now()

    def accepts(self, ref: EndpointRef, secret: str | None) -> bool:
        """The data plane's verdict."""
        return self._look(("accepts", ref, secret), lambda: self._accepts(ref, secret))

    def _accepts(self, ref: EndpointRef, secret: str | None) -> bool:
        return self.emulator.accepts(PROJECT, ref.kind.value, ref.name, secret)

    def names(self, kind: EndpointKind) -> tuple[str, ...]:
        """All deployments, or all applications; by its id where others have its name."""
        return self._look(("names", kind), lambda: self._names(kind))

    def _names(self, kind: EndpointKind) -> tuple[str, ...]:
        names = self.emulator.names(PROJECT, kind.value)
        if len(names) == len(set(names)):
            return names
        with self.emulator.editing() as store:
            rows = store.all_of("deployments", PROJECT)
        return tuple(row["uuid"] if names.count(row["name"]) > 1 else row["name"] for row in rows)

    def name_of(self, object_id: str) -> str:
        """What a key or a deployment of this id is called, or was; the id itself where there never was one."""
        if object_id not in self.names_by_id:
            self.names_by_id |= {key.key_id: key.name for key in self.emulator.live_keys(PROJECT).values()}
            with self.emulator.editing() as store:
                rows = store.all_of("deployments", PROJECT)
                self.names_by_id |= {row["uuid"]: row["name"] for row in rows}
        return self.names_by_id.get(object_id, object_id)

    def live_keys(self) -> dict[str, LiveKey]:
        """Every live key, by name."""
        return self._look("keys", lambda: self.emulator.live_keys(PROJECT))

    def bound(self, ref: EndpointRef) -> tuple[str, ...]:
        """The live names on an endpoint."""
        return self._look(("bound", ref), lambda: self.emulator.api_keys_of(PROJECT, ref.kind.value, ref.name))

    def holds(self, sink: str) -> Mapping[str, str]:
        """Every secret that a consumer would read from a sink now, by key; ValueError when it is not readable."""
        if self.sinks[sink] == "store":
            return self.stored(sink)
        if self.sinks[sink] == "cloud":
            return {name.rpartition("/")[2]: secret for name, secret in self.aws.held().items()}
        if self.sinks[sink] == "lab":
            return held_in(self.gitlab)
        if self.sinks[sink] == "vault":
            return self.vault.held()
        if self.sinks[sink] == "parameters":
            return {name.rpartition("/")[2]: one.value for name, one in self.aws.parameters.items()}
        content = self.files().get(self.path_of(sink), b"")
        if self.sinks[sink] != "json":
            return read_dotenv(content)
        if content and not self.is_for_group(self.path_of(sink)):
            raise ValueError("the group that the file is for cannot read it")
        return read_json(content)

    def is_open(self, path: str) -> bool:
        """Whether others than its owner, and the group that it is for, can read a file."""
        inode = self.disk.seen[path]
        others = 0o007 if path.endswith(".json") and inode.is_read_by(GID) else 0o077
        return path in self.secret_files() and bool(inode.permissions & others)

    def is_for_group(self, path: str) -> bool:
        """Whether the group of the consumers can read a file."""
        return self.disk.seen[path].is_read_by(GID)

    def marked(self) -> list[Marked]:
        """All live keys that keyform owns."""

        def read() -> list[Marked]:
            return [
                Marked(
                    key.name,
                    match["key"],
                    int(match["generation"]),
                    match["phase"],
                    datetime.fromisoformat(match["since"]),
                    key.secret,
                )
                for key in self.live_keys().values()
                if (match := MARKER.search(key.description or "") or MARKER.search(self.edited.get(key.name, "")))
            ]

        return self._look("marked", read)

    def live_secrets(self) -> dict[str, str]:
        """The secret of every live key."""
        return {name: key.secret for name, key in self.live_keys().items()}


@lru_cache(maxsize=256)
def read_json(content: bytes) -> Mapping[str, str]:
    """As a consumer with a JSON library reads it."""
    loaded = json.loads(content or b"{}")
    return {name: entry["secret"] for name, entry in loaded.items() if "secret" in entry}


@lru_cache(maxsize=256)
def read_dotenv(content: bytes) -> Mapping[str, str]:
    """As a consumer with a dotenv library reads it; a line that is neither a comment nor a variable is an error."""
    found = {}
    for line in content.decode().splitlines():
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not value or value.count("'") not in (0, 2) or not content.endswith(b"\n"):
            raise ValueError("a line is not whole")
        quoted = value[0] == value[-1] and value[0] in "'\"" and len(value) > 1
        key = name.removesuffix("_KEY").lower().replace("_", "-")
        found[key] = value[1:-1] if quoted else value
    return found
