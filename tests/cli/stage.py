"""A folder, an emulator over HTTP, and `keyform` run in it: as a separate process, in this one, or on a terminal.

After every run, everything it wrote is searched for secrets and tokens; `in_order` says what a finished stack is.
"""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import yaml
from cli.processes import Ran, Running

from reconciler.emulator import Answer, Emulator, EmulatorServer, Request, seed

PROJECT = 1234
TOKEN = "1234$canary/token+of==tests"
LIVE: dict[str, Any] = {
    "api_keys": [{"name": "portal-made", "description": "somebody's own"}],
    "deployments": [
        {"name": "llama3", "image": "demo/llama3", "api_keys": ["portal-made"]},
        {"name": "whisper", "image": "demo/whisper", "api_keys": ["portal-made"]},
    ],
    "applications": [
        {
            "name": "webui",
            "application_name": "open-webui",
            "api_keys": ["portal-made"],
            "components": {"web": {"exposed": True}},
        }
    ],
}
HEAD = f"""\
version: 1
stack: shop
project: {PROJECT}
sinks:
  local: {{type: dotenv, path: secrets.env}}
  jobs: {{type: json, path: jobs.json}}
defaults: {{sink: local}}
"""
ONE_KEY = HEAD + "keys:\n  payments:\n    deployments: [llama3]\n"
TWO_KEYS = HEAD + (
    "keys:\n"
    "  payments:\n    description: Checkout\n    deployments: [llama3, whisper]\n"
    "  search:\n    deployments: [llama3]\n    applications: [webui]\n    sink: [local, jobs]\n"
)
Proceed = Callable[[Request], Answer]
Fault = Callable[[Request, Proceed], Answer]


@dataclass(frozen=True)
class Call:
    """A request that the emulator answered."""

    method: str
    path: str
    body: Any
    status: int

    @property
    def name(self) -> str:
        """What it is about: the last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    def __str__(self) -> str:
        return f"{self.method} {self.name}"


@dataclass
class World:
    """A working folder and the API that it is about."""

    folder: Path
    emulator: Emulator
    url: str
    calls: list[Call] = field(default_factory=list)
    issued: set[str] = field(default_factory=set)
    """Every secret that the API has ever shown."""
    env: dict[str, str] = field(default_factory=dict)
    group: int = -1
    """The group that may read the sinks' files, where they are for one."""

    @classmethod
    def make(cls, folder: Path, server: EmulatorServer, live: Mapping[str, Any]) -> Self:
        """An empty folder, and a project with these objects."""
        seed(server.emulator, {"projects": {PROJECT: live}})
        world = cls(folder, server.emulator, server.base_url)
        world.env = {"GCORE_API_KEY": TOKEN, "GCORE_BASE_URL": server.base_url, "PATH": os.environ["PATH"]}
        server.emulator.listeners.append(world._listen)
        return world

    def _listen(self, request: Request, answer: Answer) -> None:
        if request.path.startswith("/dataplane"):
            return
        body = json.loads(request.body) if request.body else None
        self.calls.append(Call(request.method, request.path, body, answer.status))
        if request.method == "POST" and answer.status == 200 and request.path.endswith("/api_keys"):
            self.issued.add(answer.json()["secret"])

    # --- What is there ------------------------------------------------------------------------------------------------

    def write(self, text: str, name: str = "keyform.yaml") -> Path:
        """Write a file of the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def writes(self) -> list[str]:
        """Every request so far that was to change something, but for those of the lock."""
        return [str(call) for call in self.calls if call.method != "GET" and not _is_of_the_lock(call)]

    @property
    def locks(self) -> list[str]:
        """The locks that are live."""
        return [name for name in self.emulator.live_keys(PROJECT) if name.startswith("keyform-lock-")]

    def break_lock(self) -> None:
        """Delete what a run that died left of its lock, as its way out says; it would expire by itself."""
        for name in self.locks:
            path = f"/cloud/v3/inference/{PROJECT}/api_keys/{name}"
            assert self.emulator.respond(Request.build("DELETE", path, token=TOKEN)).status == 204

    def live_names(self) -> list[str]:
        """Every live key of the project but locks."""
        return [name for name in self.emulator.live_keys(PROJECT) if not name.startswith("keyform-lock-")]

    def owned(self, stack: str = "shop") -> list[str]:
        """The live names that carry the stack's marker."""
        keys = self.emulator.live_keys(PROJECT).values()
        marked = (key for key in keys if f"[keyform 2 {stack}/" in (key.description or ""))
        return sorted(key.name for key in marked if " released]" not in (key.description or ""))

    def secret_of(self, name: str) -> str:
        """The secret of a live key."""
        return self.emulator.live_keys(PROJECT)[name].secret

    def bound(self, name: str, kind: Any = "deployment") -> list[str]:
        """The keys of an endpoint."""
        return sorted(self.emulator.api_keys_of(PROJECT, kind, name))

    def opens(self, name: str, secret: str | None, kind: Any = "deployment") -> bool:
        """Whether the data plane takes a secret, or a request without one."""
        return self.emulator.accepts(PROJECT, kind, name, secret)

    def held(self, path: str = "secrets.env") -> dict[str, str]:
        """What a sink's file holds, by key; of a .env file, by the key in upper case, without the `_KEY` behind it."""
        file = self.folder / path
        if not file.exists():
            return {}
        text = file.read_text(encoding="utf-8")
        if path.endswith(".json"):
            return {name: entry["secret"] for name, entry in json.loads(text).items()}
        return dict(re.findall(r"^(\w+?)(?:_KEY)?='?([^'\n]*)'?$", text, re.MULTILINE))

    # --- Running ------------------------------------------------------------------------------------------------------

    def start(self, *argv: str, **options: Any) -> Running:
        """Start keyform as a separate process."""
        return Running(self, argv, **options)

    def run(self, *argv: str, stdin: str | None = "", **options: Any) -> Ran:
        """Run keyform as a separate process, to its end."""
        return self.start(*argv, **options).finish(stdin)

    def fail(self, fault: Fault | None) -> None:
        """Put a fault into the API, or take it out again."""
        self.emulator.interceptor = fault

    def search(self, *texts: str) -> None:
        """No secret and no token appears in these texts, or in a file that others can read."""
        where = {f"what was written ({number})": text for number, text in enumerate(texts)}
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and self._is_open(path):
                where[str(path)] = path.read_bytes().decode("utf-8", "replace")
        for place, text in where.items():
            for value in (TOKEN, *self.issued):
                for form in _forms(value):
                    assert form not in text, f"a secret is shown in {place}"

    def _is_open(self, path: Path) -> bool:
        """Whether others can read a file; the group that a sink's file is for is not one of them."""
        others = 0o037 if path.stat().st_gid == self.group else 0o077
        return bool(path.stat().st_mode & others)

    # --- What has to hold ---------------------------------------------------------------------------------------------

    def in_order(self, run: Callable[..., Ran] | None = None) -> None:
        """What is live is what the file says: keys, bindings, secrets; and keyform says so without touching it."""
        said = yaml.safe_load((self.folder / "keyform.yaml").read_text(encoding="utf-8"))
        keys: dict[str, Any] = said.get("keys") or {}
        markers = [re.search(r"\[keyform 2 shop/(\S+) g\d+ (\w+)", k.description or "") for k in self._keys()]
        assert sorted(found[1] for found in markers if found) == sorted(keys), "live keys are not those declared"
        assert {found[2] for found in markers if found} <= {"published", "adopted"}
        default = (said.get("defaults") or {}).get("sink")
        for name, key in keys.items():
            sinks = key.get("sink", default)
            for sink in [sinks] if isinstance(sinks, str) else sinks:
                entry = said["sinks"][sink]
                held = self.held(entry["path"])
                secret = held[name if entry["type"] == "json" else name.upper().replace("-", "_")]
                for kind in ("deployment", "application"):
                    for endpoint in key.get(f"{kind}s", []):
                        assert self.opens(endpoint, secret, kind), f"{kind} {endpoint} refuses what {sink} holds"
                        assert not self.opens(endpoint, None, kind), f"{kind} {endpoint} is public"
        for path, mode in {entry["path"]: entry.get("mode", "0600") for entry in said["sinks"].values()}.items():
            if (self.folder / path).exists():
                assert stat.S_IMODE((self.folder / path).stat().st_mode) == int(mode, 8)
        assert self.locks == [], "a lock was left"
        before, files = len(self.writes), self.files()
        again = (run or self.run)("plan", "--detailed-exitcode", "--no-color")
        assert (again.code, again.out) == (0, "No changes. The live API matches the file.\n"), again.out + again.err
        assert len(self.writes) == before
        assert self.files() == files

    def _keys(self) -> list[Any]:
        return list(self.emulator.live_keys(PROJECT).values())

    def files(self) -> dict[str, tuple[int, int]]:
        """The files of the folder: which they are, and when each was last written."""
        return {
            str(path.relative_to(self.folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in self.folder.iterdir()
            if path.is_file()
        }


def _is_of_the_lock(call: Call) -> bool:
    named = call.body.get("name", "") if isinstance(call.body, dict) else ""
    return call.name.startswith("keyform-lock-") or named.startswith("keyform-lock-")


def _forms(value: str) -> Iterator[str]:
    """The ways in which a secret could be recognised."""
    yield value
    yield quote(value, safe="")
    yield json.dumps(value)[1:-1]
    for before in ("", "x", "xx", "APIKey ", ":"):
        # Without the characters at the edges, which depend on their neighbours.
        encoded = base64.b64encode((before + value).encode()).decode().rstrip("=")[len(before) + 2 : -2]
        yield encoded
        yield encoded.replace("+", "-").replace("/", "_")
