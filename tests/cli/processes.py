"""keyform as a separate process: started, waited for, interrupted, with its whole output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.schemas import check_event, check_plan

if TYPE_CHECKING:
    from cli.stage import World

PATIENCE = 60.0
"""Seconds after which a test gives up waiting for a process; none takes nearly as long, on whichever machine."""


@dataclass(frozen=True)
class Ran:
    """How a run ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What stdout holds, which is JSON and nothing else."""
        found = json.loads(self.out)
        return check_plan(found) if isinstance(found, dict) and "resource_changes" in found else found

    @property
    def is_json(self) -> bool:
        """Whether stdout holds a document of JSON, or a stream of them, and nothing else."""
        try:
            return bool(self.events if self.out.startswith('{"@level"') else self.json)
        except ValueError:
            return False

    @property
    def events(self) -> list[Any]:
        """What a stream on stdout holds, which is one JSON object on each line and nothing else."""
        return [check_event(json.loads(line)) for line in self.out.splitlines()]

    def told(self, kind: str) -> list[Any]:
        """The events of one type."""
        return [event for event in self.events if event["type"] == kind]

    @property
    def result(self) -> Any:
        """The last line of a stream."""
        assert self.events[-1]["type"] == "keyform_result"
        return self.events[-1]["result"]

    @property
    def plan(self) -> Any:
        """The plan in a stream, as `plan --json` prints it; the last, if it was made again."""
        return self.told("keyform_plan")[-1]["plan"]


class Running:
    """keyform as a separate process, in a clean environment."""

    def __init__(
        self,
        world: World,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        before: Callable[[], None] = lambda: None,
        **streams: Any,
    ) -> None:
        self._world = world
        given = {**world.env, **path_of_this_process(), **(env or {})}
        whole = {name: value for name, value in given.items() if value}
        pipes: dict[str, Any] = {name: streams.pop(name, subprocess.PIPE) for name in ("stdin", "stdout", "stderr")}

        def prepare() -> None:
            # A test runner in the background, or under nohup, may have them ignored, which a child would inherit.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            before()

        self.process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", *argv],
            cwd=cwd or world.folder,
            env={name: value for name, value in whole.items() if value},
            preexec_fn=prepare,  # noqa: PLW1509 - it takes no lock that another thread could hold
            **pipes,
            **streams,
        )
        self._texts = {"stdout": bytearray(), "stderr": bytearray()}
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True)
            for name in self._texts
            if getattr(self.process, name) is not None
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        stream = getattr(self.process, name)
        while chunk := os.read(stream.fileno(), 65536):
            self._texts[name] += chunk

    @property
    def err(self) -> str:
        """stderr so far."""
        return self._texts["stderr"].decode("utf-8", "replace")

    @property
    def out(self) -> str:
        """stdout so far."""
        return self._texts["stdout"].decode("utf-8", "replace")

    def wait_for(self, text: str) -> None:
        """Wait until it appears on stderr."""
        wait_until(lambda: text in self.err or self.process.poll() is not None, f"{text!r} on stderr", lambda: self.err)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def finish(self, stdin: str | None = None) -> Ran:
        """Wait for its end; search what it wrote."""
        if self.process.stdin is not None:
            if stdin:
                self.process.stdin.write(stdin.encode())
            self.process.stdin.close()
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"keyform does not end; it said: {self.err}") from None
        for reader in self._readers:
            reader.join(PATIENCE)
        for name in self._texts:
            if stream := getattr(self.process, name):
                stream.close()
        ran = Ran(code, self._texts["stdout"].decode("utf-8", "replace"), self.err)
        self._world.search(ran.out, ran.err)
        assert "Traceback" not in ran.err, ran.err
        return ran


def wait_until(holds: Callable[[], bool], what: str, told: Callable[[], str] = str) -> None:
    """Look every few milliseconds, for a while."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what}; {told()}")
        time.sleep(0.005)


def path_of_this_process() -> dict[str, str]:
    """What a child needs to find the source tree, when that is tested."""
    return {name: os.environ[name] for name in ["PYTHONPATH"] if name in os.environ}
