"""A world that is real but for the API and the clock: keyform in separate processes, HTTP, files, child processes.

It is a `FaultWorld`, so that whoever judges one judges the other. The emulator and the judge are in this process.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from reconciler.emulator import Answer, Emulator, EmulatorServer, Modes, Request, VirtualClock, seed
from reconciler.model import DesiredState
from support.faults import launcher
from support.faults.disk import Disk
from support.faults.effects import SECONDS_PER_REQUEST, V2, Effect, Kind, name_request
from support.faults.launcher import SharedInstant
from support.faults.run import TASK_TIMEOUT, Ran
from support.faults.watch import Watch
from support.faults.world import TASK_SECONDS, FaultWorld
from support.http_fakes import PROJECT, START, TOKEN
from support.yaml_files import to_yaml

FILE = "keyform.yaml"
KEEPER = Path(__file__).with_name("keep-secret.sh")
LONGEST_CALL = 20.0
"""Seconds of real time for a child process that its dead parent left behind."""
REFUSED = "The plan is refused. Nothing was changed"
HOLDER = {"CI_JOB_URL": "https://ci.example/jobs/1"}
"""Who holds the lock: the same in all processes, so that what they leave behind is the same."""
KINDS = {
    "read_file": Kind.READ_FILE,
    "create_file": Kind.CREATE_FILE,
    "rename": Kind.RENAME,
    "sync_folder": Kind.SYNC_FOLDER,
    "remove_file": Kind.REMOVE_FILE,
    "make_folder": Kind.MAKE_FOLDER,
    "remove_folder": Kind.REMOVE_FOLDER,
    "lock_file": Kind.LOCK_FOLDER,
    "try_lock_file": Kind.LOCK_FOLDER,
    "lock_folder": Kind.LOCK_FOLDER,
    "unlock_file": Kind.UNLOCK,
    "stat": Kind.LOOK,
    "real_path": Kind.LOOK,
    "enclosing": Kind.LOOK,
    "can_write": Kind.LOOK,
    "pinned_by": Kind.LOOK,
    "first_bytes": Kind.LOOK,
    "find_group": Kind.LOOK,
    "find_program": Kind.LOOK,
    "call": Kind.CLOUD_WRITE,
}
"""What an effect of a process is for a judge; `send` and `run` depend on what is sent and run."""


class Launcher:
    """The process that starts all others; see launcher.py."""

    def __init__(self) -> None:
        environment = {
            name: os.environ[name] for name in ("PATH", "PYTHONPATH", "PYTHONSAFEPATH") if name in os.environ
        }
        self._process = subprocess.Popen(
            [sys.executable, launcher.__file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, job: launcher.Job, meanwhile: Callable[[], None] = lambda: None) -> int:
        """The exit code of one run; `meanwhile` is called when it stops itself, and then it continues."""
        said = self._say(job.line())
        if said == launcher.STOPPED:
            meanwhile()
            said = self._say("\n")
        return int(said)

    def _say(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


class Front(Emulator):
    """One server for all worlds, one after the other: whatever is asked, the world that runs now answers."""

    def __init__(self) -> None:
        super().__init__()
        self._behind: RealWorld | None = None
        self._guard = threading.Lock()
        self.server = EmulatorServer(self).start()

    def respond(self, request: Request) -> Answer:
        """Ask the world; not through an interceptor, for which the server would change threads every time."""
        with self._guard:
            if self._behind is None:
                return Answer(503, {}, b"")  # on its way when its process was killed, and nobody is there to read this
            return self._behind.respond(request)

    @contextmanager
    def serving(self, world: RealWorld) -> Iterator[None]:
        """Within the block this world answers; after it, nothing touches the world that the block did not wait for."""
        before, self._behind = self._behind, world
        try:
            yield
        finally:
            with self._guard:
                self._behind = before


@cache
def start_launcher(name: str = "") -> Launcher:
    """One for each process of the suite; by another name another one, for while a run of the first is stopped."""
    found = Launcher()
    atexit.register(found.close)
    return found


@cache
def start_front() -> Front:
    """The same."""
    found = Front()
    atexit.register(found.server.stop)
    return found


class SharedClock(VirtualClock):
    """The clock of a world: the emulator's and that of every process."""

    def __init__(self, path: Path, start: datetime) -> None:
        super().__init__(start)
        self._shared = SharedInstant(path, start)

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return self._shared.now()

    def advance(self, seconds: float) -> None:
        """Move forward."""
        self._shared.advance(seconds)

    def copy(self) -> VirtualClock:
        """Another clock that shows the same time and moves on its own."""
        return VirtualClock(self.now())

    def close(self) -> None:
        """Let go of the file."""
        self._shared.close()


@dataclass
class RealRan(Ran):
    """How a process ended: its output is all there is."""

    points: list[str] = field(default_factory=list)
    """The kill points that it passed."""

    @property
    def was_refused(self) -> bool:
        """Whether there was a plan, and keyform would not carry it out."""
        return REFUSED in " ".join(self.said[0].split())

    @property
    def why(self) -> str:
        """The end of what it said."""
        return self.said[0][-1500:]


@dataclass(frozen=True)
class Image:
    """All of a world, to continue from again and again."""

    emulator: bytes
    modes: Modes
    files: Mapping[str, bytes | None]
    """By path below the folder; None for a folder."""
    now: datetime
    chances: int
    issued: frozenset[str]
    sinks: Mapping[str, str]
    left: frozenset[tuple[str, str]]


class RealWorld(FaultWorld):
    """A world in a folder: `work` is where keyform runs, `kept` what stores hold that it cannot read back."""

    def __init__(
        self, folder: Path, emulator: Emulator, clock: VirtualClock, sinks: Mapping[str, str], *, bug: str = ""
    ) -> None:
        super().__init__(emulator, clock, Disk(), sinks)
        self.folder = folder
        self.work = folder / "work"
        self.kept = folder / "kept"
        self.bug = bug
        """The name of a bug that is planted in the next process."""
        self.issued: set[str] = set()
        """Every secret that there ever was."""
        self._requests: list[Request] = []
        self.answered: list[Request] = []
        """Everything that any process of this world has sent."""
        self._watch: Watch | None = None
        self._trouble: list[BaseException] = []
        self._is_running = False

    @classmethod
    def make_real(cls, folder: Path, live: Mapping[str, Any], sinks: Mapping[str, str], modes: Modes) -> RealWorld:
        """A world with these live objects and empty sinks, in an empty folder."""
        clock = SharedClock(folder / "clock", START)
        emulator = Emulator(clock=clock, modes=modes, tokens={TOKEN: [PROJECT]}, task_seconds=TASK_SECONDS, seed=7)
        seed(emulator, {"projects": {PROJECT: dict(live)}})
        world = cls(folder, emulator, clock, sinks)
        for place in (world.work, world.kept, *(world.work / sink for sink in sinks)):
            place.mkdir(mode=0o700)
        world.issued = set(world.live_secrets().values())
        return world

    @classmethod
    def load(cls, folder: Path, image: Image) -> RealWorld:
        """A world that continues from an image, in an empty folder."""
        clock = SharedClock(folder / "clock", image.now)
        emulator = Emulator.load(image.emulator, clock=clock, modes=image.modes, task_seconds=TASK_SECONDS, seed=7)
        world = cls(folder, emulator, clock, image.sinks)
        world.chances, world.issued, world.left = image.chances, set(image.issued), set(image.left)
        for name, content in image.files.items():
            path = folder / name
            if content is None:
                path.mkdir(mode=0o700)
            else:
                path.write_bytes(content)
                path.chmod(0o600)
        return world

    def image(self) -> Image:
        """The image for `load`."""
        issued, sinks = frozenset(self.issued), dict(self.sinks)
        files, now = self._files_of_both(), self.clock.now()
        left = frozenset(self.left)
        return Image(self.emulator.dump(), self.emulator.modes, files, now, self.chances, issued, sinks, left)

    def _files_of_both(self) -> dict[str, bytes | None]:
        """What is in the two folders, each folder before what is in it."""
        places = sorted((*self.work.rglob("*"), *self.kept.rglob("*")))
        return {
            str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else None
            for path in (self.work, self.kept, *places)
        }

    def close(self) -> None:
        """Remove all of it."""
        assert isinstance(self.clock, SharedClock)
        self.emulator.close()
        self.clock.close()
        shutil.rmtree(self.folder)

    # --- Running ------------------------------------------------------------------------------------------------------

    def run(
        self,
        desired: DesiredState,
        watch: Watch,
        *argv: str,
        kill_at: int = -1,
        store_fails: str = "",
        stop_at: int = -1,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> RealRan:
        """One process of keyform, `apply` unless `argv` says otherwise; killed at a point, if that is not negative.

        Or stopped at one: it continues after `meanwhile`, in which others may run.
        """
        (self.work / FILE).write_text(to_yaml(desired, {name: self._settings(name) for name in self.sinks}))
        name = "while-another-is-stopped" if self._is_running else ""
        output, trace = self.folder / f"output{name}", self.folder / f"trace{name}"
        output.write_text("")
        trace.write_text("")
        calls = self._count_calls()
        front = start_front()
        self.emulator.base_url = front.server.base_url
        before = self._requests, self._watch
        self._requests, self._watch = [], watch
        job = launcher.Job(
            argv=[
                *(argv or ("apply",)),
                "--auto-approve",
                "--parallelism",
                "1",
                "--task-timeout",
                f"{TASK_TIMEOUT:.0f}s",
            ],
            folder=str(self.work),
            environment={
                "PATH": os.environ["PATH"],
                "GCORE_API_KEY": TOKEN,
                "GCORE_BASE_URL": front.server.base_url,
                "KEPT_SECRETS": str(self.kept),
                "SSL_CERT_DIR": str(self.work),  # nothing here speaks TLS, and reading all certificates takes long
                **({"KEPT_SECRETS_FAIL": store_fails} if store_fails else {}),
                **HOLDER,
            },
            output=str(output),
            trace=str(trace),
            clock=str(self.folder / "clock"),
            chance=self.chances,
            kill_at=kill_at,
            stop_at=stop_at,
            bug=self.bug,
            bugs_from=str(Path(__file__).parents[2]),
        )
        self.chances += 1
        was_running, self._is_running = self._is_running, True
        with front.serving(self):
            code = start_launcher(name).run(job, meanwhile)
        self._is_running = was_running
        if self._trouble:
            raise self._trouble[0]
        ran = self._tell(None if code == -9 else code, trace.read_text(), output.read_text())
        if was_running:
            self._requests, self._watch = before
        self._await_calls(calls + sum(effect.kind is Kind.STORE for effect in ran.trace))
        ran.said += self._log().read_text().splitlines()[calls:] if self._log().exists() else []
        watch.check(f"{' '.join(argv) or 'apply'}, which ended with {code}")
        self._check_modes(watch)
        return ran

    def respond(self, request: Request) -> Answer:
        """Let the emulator answer, and the judge look; time passes."""
        try:
            self.clock.advance(SECONDS_PER_REQUEST)
            named = name_request(request, self.name_of)  # a key that is deleted has no name any more
            answer = self.emulator.respond(request)
            self._requests.append(request)
            self.answered.append(request)
            if request.method == "POST" and request.path.endswith("/api_keys") and answer.status == 200:
                self.issued.add(json.loads(answer.body)["secret"])
            if self._watch is not None:
                self._watch(Effect(len(self._requests), *named))
        except BaseException as trouble:
            self._trouble.append(trouble)
            raise
        return answer

    def _settings(self, sink: str) -> dict[str, Any]:
        if self.sinks[sink] != "store":
            return {"type": self.sinks[sink], "path": str(Path(self.path_of(sink)).relative_to(self.work))}
        return {
            "type": "command",
            "write": [str(KEEPER), "write", sink, "{key}"],
            "remove": [str(KEEPER), "remove", sink, "{key}"],
        }

    def _tell(self, code: int | None, trace: str, output: str) -> RealRan:
        lines = [line.partition("\t") for line in trace.splitlines()]
        answered: dict[str, list[Request]] = {}
        for request in self._requests:
            answered.setdefault(f"{request.method} {request.path}", []).append(request)
        effects = []
        for number, (name, _, detail) in enumerate(lines):
            if name == "send":
                # The lists are read by several threads: a kill can cut one off on its way.
                if answered.get(detail):
                    request = answered[detail].pop(0)
                    effects.append(Effect(number, *name_request(request, self.name_of), request))
                else:
                    assert code is None, f"{detail} was not answered"
                    assert detail.startswith("GET "), f"{detail} was not answered"
            elif name == "run":
                effects.append(Effect(number, Kind.STORE if detail == str(KEEPER) else Kind.GIT, detail))
            elif name != "halfway":
                effects.append(Effect(number, KINDS[name], f"{name} {detail}"))
        left = [request for requests in answered.values() for request in requests if request.method != "GET"]
        assert not left, f"answered, and nobody sent it: {left}"
        points = [f"{name} {self._call_by_name(detail)}".replace(str(self.folder), "") for name, _, detail in lines]
        return RealRan(code, effects, said=[output], points=points)

    def _call_by_name(self, detail: str) -> str:
        """What an effect touches, with the name of what a path of v2 calls by its id."""
        before, slash, last = detail.rpartition("/")
        return f"{before}{slash}{self.name_of(last)}" if V2 in detail else detail

    def _log(self) -> Path:
        return self.folder / f"{self.kept.name}.log"

    def _count_calls(self) -> int:
        return self._log().read_text().count("\n") if self._log().exists() else 0

    def _await_calls(self, expected: int) -> None:
        """A child whose parent is killed continues: it is waited for, as one that saves within a minute would be."""
        deadline = time.monotonic() + LONGEST_CALL
        while self._count_calls() < expected:
            if time.monotonic() > deadline:
                raise AssertionError("a program that saves a secret has not come to its end")
            time.sleep(0.005)

    def _check_modes(self, watch: Watch) -> None:
        """P4: no file is left that others can read."""
        watch.evaluations[4] += 1
        for path in self.work.rglob("*"):
            if path.name != FILE and path.lstat().st_mode & 0o077:
                watch.violate(4, f"others can read {path.relative_to(self.work)}")

    # --- What a judge sees --------------------------------------------------------------------------------------------

    def path_of(self, sink: str, kind: str = "") -> str:
        """Where a sink's file is, or was when it was of another kind."""
        return str(self.work / sink / f"secrets.{kind or self.sinks[sink]}")

    def is_open(self, path: str) -> bool:
        """Whether others than its owner can read a file."""
        return bool(Path(path).lstat().st_mode & 0o077)

    def is_for_group(self, path: str) -> bool:
        """Here the files are their owner's alone."""
        return Path(path).exists()

    def put_file(self, path: str, content: bytes) -> None:
        """Somebody else's write; of nothing: no file."""
        Path(path).unlink()
        if content:
            Path(path).touch(mode=0o600)
            Path(path).write_bytes(content)

    def files(self) -> dict[str, bytes]:
        """Every file's content, by path; what the test itself put there is none of keyform's."""
        return {str(path): path.read_bytes() for path in self.work.rglob("*") if path.is_file() and path.name != FILE}

    def folders(self) -> list[str]:
        """Every folder's path."""
        return [str(path) for path in self.work.rglob("*") if path.is_dir()]

    def stored(self, store: str) -> dict[str, str]:
        """What a store was given that keyform cannot read back, by key."""
        place = self.kept / store
        return {path.name: path.read_text() for path in place.iterdir()} if place.exists() else {}

    def version(self) -> object:
        """Another one after every change that a judge could see, but for the passing of time."""
        stats = [(path, path.lstat()) for place in (self.work, self.kept) for path in place.rglob("*")]
        return self.emulator.changes, tuple(
            (path, found.st_ino, found.st_size, found.st_mtime_ns) for path, found in stats
        )
