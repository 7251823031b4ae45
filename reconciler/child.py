"""A child process, from its start to its end: whole input, bounded output, a deadline, and no pipe left open.

- What it reads is in the pipe before it starts: if keyform dies meanwhile, the child still reads all of it, never half.
- It runs in a separate session, which Ctrl-C at a terminal does not reach: a command that is saving a secret can
  finish. It has no terminal either, so a program that asks a question fails instead of waiting.
- Killing it kills everything that it started and that stayed in its session.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

LONGEST_INPUT = 4096
"""Bytes: what a pipe accepts in one piece (PIPE_BUF on Linux)."""
LONGEST_OUTPUT = 10 * 1024 * 1024
_GRACE = 1.0
"""Seconds for the rest of the output, after a child has ended whose own children keep the pipe open."""


class Ended(NamedTuple):
    """How a child ended; `was_abandoned` when `Children.abandon` killed it."""

    returncode: int
    stdout: bytes
    stderr: bytes
    was_abandoned: bool


class Children:
    """The running ones. Safe between threads."""

    def __init__(self) -> None:
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._abandoned: set[int] = set()

    def run(
        self, argv: Sequence[str], *, stdin: bytes, env: Mapping[str, str], folder: Path | None, timeout: float | None
    ) -> Ended:
        """Start one and wait; OSError when it cannot be started, TimeoutError when it had to be killed."""
        with _filled_pipe(stdin) as source:
            process = subprocess.Popen(
                list(argv),
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(env),
                cwd=folder,
                start_new_session=True,
            )
        self._running[process.pid] = process
        try:
            outputs = [_Output(stream) for stream in (process.stdout, process.stderr) if stream]
            returncode = process.wait(timeout)
            stdout, stderr = (output.gather() for output in outputs)
        except subprocess.TimeoutExpired:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
        finally:
            del self._running[process.pid]
            was_abandoned = process.pid in self._abandoned
            self._abandoned.discard(process.pid)
            if process.returncode is None:
                _kill(process)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE)
        return Ended(returncode, stdout, stderr, was_abandoned)

    def abandon(self) -> None:
        """Kill all running ones; a signal handler may call this."""
        for process in list(self._running.values()):
            self._abandoned.add(process.pid)
            _kill(process)


class _Output:
    """Read to its end, so that the child never waits for us; the first 10 MB are kept."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = bytearray()
        self._reader = threading.Thread(target=self._read, name="keyform-output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._stream:
            while chunk := os.read(self._stream.fileno(), 65536):
                self._kept += chunk[: LONGEST_OUTPUT - len(self._kept)]

    def gather(self) -> bytes:
        self._reader.join(_GRACE)
        return bytes(self._kept)


@contextmanager
def _filled_pipe(content: bytes) -> Iterator[int]:
    if len(content) > LONGEST_INPUT:
        raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
    source, target = os.pipe()
    try:
        try:
            os.write(target, content)
        finally:
            os.close(target)
        yield source
    finally:
        os.close(source)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says "permission" of one that has just ended
        os.killpg(process.pid, signal.SIGKILL)
