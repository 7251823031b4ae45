"""The one seam through which a run touches the world: clock, sleep, randomness, HTTP, files, locks, child processes.

Every method is one effect. Tests put another implementation here to count, fail, delay or kill at each of them; nothing
else in keyform may reach past it.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any, Protocol

from reconciler.errors import Interrupted

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class Completed:
    """How a child process ended."""

    returncode: int
    stdout: str
    stderr: str


class Effects(Protocol):
    """What a run may do to the world. Failures of files are OSError; of HTTP, httpx.TransportError."""

    def now(self) -> datetime:
        """The instant, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; raises Interrupted at once when the user asked twice to stop."""
        ...

    def random(self) -> float:
        """A number in [0, 1)."""
        ...

    def send(self, request: httpx.Request) -> httpx.Response:
        """One HTTP request, answered or failed; the body of the answer is read already."""
        ...

    def read_file(self, path: Path) -> bytes:
        """A file's content; a symbolic link is refused (OSError, ELOOP)."""
        ...

    def create_file(self, path: Path, content: bytes) -> None:
        """A new file of mode 0600 with this content, synced to disk; FileExistsError when there is one."""
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target`, in one step."""
        ...

    def sync_folder(self, path: Path) -> None:
        """Make a folder's entries durable."""
        ...

    def remove_file(self, path: Path) -> None:
        """Remove a file; no error when there is none."""
        ...

    def lock_file(self, path: Path) -> int:
        """Wait for the exclusive lock on a lock file (made if missing, 0600); gives a handle for `unlock_file`."""
        ...

    def try_lock_file(self, path: Path) -> int | None:
        """The exclusive lock on a lock file (made if missing, 0600), or None when another process has it."""
        ...

    def lock_folder(self, path: Path) -> int:
        """Wait for the exclusive lock on a folder itself, which makes no file; gives a handle for `unlock_file`."""
        ...

    def unlock_file(self, handle: int) -> None:
        """Give the lock back."""
        ...

    def stat(self, path: Path) -> os.stat_result:
        """What stands at a path; of a symbolic link, the link itself. FileNotFoundError when there is nothing."""
        ...

    def can_write(self, path: Path) -> bool:
        """Whether this process may make and remove files in a folder, as far as one can say without trying."""
        ...

    def make_folder(self, path: Path) -> None:
        """A new folder of mode 0700, its parent being there; FileExistsError when there is something."""
        ...

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder; FileNotFoundError when there is none, OSError (ENOTEMPTY) when it is not empty."""
        ...

    def run(self, argv: Sequence[str], *, stdin: str = "", env: Mapping[str, str] | None = None) -> Completed:
        """A child process, to its end; `env` is added to the environment. FileNotFoundError when there is no such program."""
        ...


class System:
    """The real world. One HTTP connection per worker is kept alive; `close` when done."""

    def __init__(self, *, connections: int = 10, timeout: float = 30.0) -> None:
        self._connections = connections
        self._timeout = timeout
        self._transport: httpx.HTTPTransport | None = None
        self._building = threading.Lock()
        self._closed = False
        self._abandoned = threading.Event()
        self._sockets: weakref.WeakSet[Any] = weakref.WeakSet()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if self._abandoned.wait(seconds):
            raise Interrupted("Interrupted while waiting.")

    def random(self) -> float:
        return random.random()  # noqa: S311 - jitter, not cryptography

    def send(self, request: httpx.Request) -> httpx.Response:
        with self._building:
            if self._closed:
                raise Interrupted("The run has ended.")
            if self._transport is None:
                import httpx

                # As many keep-alive connections as workers: with httpx's default of 20, 1,000 requests at 32 in flight
                # opened about 1,000 connections.
                limits = httpx.Limits(max_connections=None, max_keepalive_connections=self._connections)
                self._transport = httpx.HTTPTransport(limits=limits)
        request.extensions.setdefault("timeout", dict.fromkeys(("connect", "read", "write", "pool"), self._timeout))
        request.extensions["trace"] = self._watch
        try:
            response = self._transport.handle_request(request)
            try:
                response.read()
            finally:
                response.close()
        finally:
            if self._closed:
                self._transport.close()
        return response

    def abandon(self) -> None:
        """Wait for nothing any more: `sleep` raises Interrupted, and connections break, whatever is on its way there.

        What is sent later still goes out, so that a lock can be given back.
        """
        self._abandoned.set()
        for connection in list(self._sockets):
            with contextlib.suppress(OSError):  # it may be closed already
                connection.shutdown(SHUT_RDWR)

    def _watch(self, name: str, info: Mapping[str, Any]) -> None:
        """Keep every connection that is made (httpx's `trace` extension), so that `abandon` can break it."""
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            connection = info["return_value"].get_extra_info("socket")
            self._sockets.add(connection)

    def close(self) -> None:
        """Close what is open, now and as soon as the last request under way has ended; no other begins."""
        with self._building:
            self._closed = True
        if self._transport is not None:
            self._transport.close()

    def read_file(self, path: Path) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def create_file(self, path: Path, content: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        os.rename(source, target)  # noqa: PTH104 - named after the system call it is

    def sync_folder(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove_file(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def lock_file(self, path: Path) -> int:
        import fcntl

        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def try_lock_file(self, path: Path) -> int | None:
        import fcntl  # noqa: PLC0415 - see lock_file

        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    def lock_folder(self, path: Path) -> int:
        import fcntl  # noqa: PLC0415 - see lock_file

        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def unlock_file(self, handle: int) -> None:
        os.close(handle)

    def stat(self, path: Path) -> os.stat_result:
        return path.lstat()

    def can_write(self, path: Path) -> bool:
        return os.access(path, os.W_OK | os.X_OK)

    def make_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700)

    def remove_folder(self, path: Path) -> None:
        path.rmdir()

    def run(self, argv: Sequence[str], *, stdin: str = "", env: Mapping[str, str] | None = None) -> Completed:
        # S603: argv is a list, never a shell line; no secret is ever in it.
        done = subprocess.run(  # noqa: S603
            list(argv),
            input=stdin,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        return Completed(done.returncode, done.stdout, done.stderr)
