"""Kills for real: the command line as a process of its own, over HTTP, with files; SIGKILL at one of its effects."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from reconciler.emulator import Answer, Emulator, EmulatorServer, Request, seed
from support.faults import launcher
from support.faults.canaries import forms
from support.http_fakes import PROJECT

TOKEN = "1234$canary/token+of==kills"
LATER = 12 * 60
"""Seconds by which the next process's clock is ahead, so that the dead one's lock has expired."""
FILE = """\
version: 1
stack: shop
project: {project}
sinks:
  local: {{type: dotenv, path: secrets.env}}
  jobs: {{type: json, path: jobs.json}}
defaults: {{sink: [local, jobs], rotation: {{overlap: 0s}}}}
keys:
  payments: {{deployments: [llama3, whisper], expires_at: {expires}}}
{more}"""
BEFORE = FILE.format(project=PROJECT, expires="never", more="  batch: {deployments: [llama3]}\n")
AFTER = FILE.format(project=PROJECT, expires="2031-01-01", more="  search: {deployments: [whisper]}\n")
LIVE = {
    "api_keys": [{"name": "portal-made"}],
    "deployments": [
        {"name": name, "image": f"demo/{name}", "api_keys": ["portal-made"]} for name in ("llama3", "whisper")
    ],
}
STORIES = {"create": (None, AFTER), "replace, add and remove": (BEFORE, AFTER)}


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

    def run(self, job: launcher.Job) -> int:
        """The exit code of one run."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(job.line())
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


@cache
def start_launcher() -> Launcher:
    """One for each process of the suite."""
    found = Launcher()
    atexit.register(found.close)
    return found


class LaterClock:
    """The machine's clock, some seconds ahead: what the API goes by moves on with the processes' own."""

    later = 0.0

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.later)


@dataclass
class Ground:
    """A folder and a served emulator."""

    folder: Path
    server: EmulatorServer
    clock: LaterClock
    outputs: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    issued: set[str] = field(default_factory=set)

    def watch(self, request: Request, answer: Answer) -> None:
        """P2, P3 after every write: no endpoint is public, and what the sinks hold is accepted where it was bound."""
        if request.method == "POST" and answer.status == 200 and request.path.endswith("/api_keys"):
            self.issued.add(answer.json()["secret"])
        if request.method == "GET" or request.path.startswith("/dataplane"):
            return
        for name in ("llama3", "whisper"):
            if self.server.emulator.accepts(PROJECT, "deployment", name, None):
                self.opened.append(f"P2: {name} is public after {request.method} {request.path}")
            payments = self.held().get("payments")
            if payments and not self.server.emulator.accepts(PROJECT, "deployment", name, payments):
                self.opened.append(f"P3: {name} refuses payments after {request.method} {request.path}")

    def held(self) -> dict[str, str]:
        """What the JSON sink holds."""
        path = self.folder / "jobs.json"
        return {name: entry["secret"] for name, entry in json.loads(path.read_text()).items()} if path.exists() else {}

    def run(self, text: str, *, kill_at: int = -1, later: int = 0) -> tuple[int, int]:
        """One process; gives its exit code and how many effects it had."""
        (self.folder / "keyform.yaml").write_text(text)
        trace = self.folder.parent / "trace"
        trace.write_text("")
        output = self.folder.parent / "output"
        output.write_text("")
        job = launcher.Job(
            argv=["apply", "--auto-approve", "--parallelism", "1"],
            folder=str(self.folder),
            environment={"PATH": os.environ["PATH"], "GCORE_API_KEY": TOKEN, "GCORE_BASE_URL": self.server.base_url},
            output=str(output),
            trace=str(trace),
            kill_at=kill_at,
            later=later,
        )
        self.clock.later = later
        code = start_launcher().run(job)
        self.outputs.append(output.read_text())
        return code, len(trace.read_text().splitlines())


def find_faults(ground: Ground) -> list[str]:
    """All that is not as AFTER says."""
    emulator = ground.server.emulator
    found = list(ground.opened)
    names = sorted(emulator.live_keys(PROJECT))
    owned = [name for name in names if name != "portal-made"]
    if any(name.startswith("keyform-lock-") for name in names):
        found.append("P6: a lock is left")
    held = ground.held()
    if sorted(held) != ["payments", "search"] or len(owned) != 2:
        found.append(f"P6: sinks hold {sorted(held)}, and live are {owned}")
    for name, where in (("payments", ["llama3", "whisper"]), ("search", ["whisper"])):
        found += [
            f"P3: {deployment} refuses {name}"
            for deployment in where
            if not emulator.accepts(PROJECT, "deployment", deployment, held.get(name))
        ]
    found += [
        f"P5: the foreign key is gone from {name}"
        for name in ("llama3", "whisper")
        if "portal-made" not in emulator.api_keys_of(PROJECT, "deployment", name)
    ]
    found += [
        f"P4: others can read {path.name}"
        for path in ground.folder.iterdir()
        if path.name != "keyform.yaml" and path.stat().st_mode & 0o077
    ]
    left = sorted(path.name for path in ground.folder.rglob("*") if path.is_file())
    if left != ["jobs.json", "keyform.yaml", "secrets.env"]:
        found.append(f"P6: files are {left}")
    said = "\n".join(ground.outputs)
    found += ["P4: a secret is shown" for value in {TOKEN, *ground.issued} for form in forms(value) if form in said]
    return found


@cache
def make_before(story: str) -> tuple[bytes, dict[str, bytes]]:
    """The emulator and the files as they are before the run that is to be killed."""
    clock = LaterClock()
    with Emulator(clock=clock, tokens={TOKEN: [PROJECT]}, seed=7) as emulator, tempfile.TemporaryDirectory() as folder:
        seed(emulator, {"projects": {PROJECT: LIVE}})
        work = Path(folder) / "work"
        work.mkdir()
        before = STORIES[story][0]
        if before is not None:
            with EmulatorServer(emulator) as server:
                ground = Ground(work, server, clock)
                code, _ = ground.run(before)
                assert code == 0, ground.outputs
        return emulator.dump(), {path.name: path.read_bytes() for path in work.iterdir()}


def start(folder: Path, story: str) -> Ground:
    """A world as it is before the run that is to be killed. The caller stops the server."""
    image, files = make_before(story)
    work = folder / "work"
    work.mkdir(parents=True)
    for name, content in files.items():
        (work / name).write_bytes(content)
        (work / name).chmod(0o600)
    clock = LaterClock()
    emulator = Emulator.load(image, clock=clock, seed=7)
    ground = Ground(work, EmulatorServer(emulator).start(), clock)
    ground.issued |= {key.secret for key in emulator.live_keys(PROJECT).values()}
    emulator.listeners.append(ground.watch)
    return ground


def count_effects(folder: Path, story: str) -> int:
    """How many kill points a story has."""
    ground = start(folder, story)
    try:
        code, effects = ground.run(STORIES[story][1])
        assert code == 0, ground.outputs
        return effects
    finally:
        ground.server.stop()


@dataclass(frozen=True)
class Killed:
    """What came of a kill: what was wrong, and how many bytes of output were searched."""

    failures: list[str]
    searched: int


def judge_kill(folder: Path, story: str, kill_at: int) -> Killed:
    """Kill a process at an effect; the next one has to bring everything about."""
    ground = start(folder, story)
    try:
        code, _ = ground.run(STORIES[story][1], kill_at=kill_at)
        if code != -9:
            return Killed([f"it was not killed, and ended with {code}"], 0)
        code, _ = ground.run(STORIES[story][1], later=LATER)
        found = [] if code == 0 else [f"P6: the next run ended with {code}: {ground.outputs[-1]}"]
        writes: list[str] = []
        emulator = ground.server.emulator
        emulator.listeners.append(lambda request, _: writes.append(request.method) if request.method != "GET" else None)
        code, _ = ground.run(STORIES[story][1], later=LATER)
        if code or writes:
            found.append(f"P7: a second run ended with {code} and sent {writes}")
        return Killed([*found, *find_faults(ground)], sum(len(output.encode()) for output in ground.outputs))
    finally:
        ground.server.stop()
