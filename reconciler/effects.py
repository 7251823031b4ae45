"""The one seam through which a run touches the world: clock, sleep, randomness, HTTP, files, locks, child processes.

Every method is one effect. Tests use another implementation to count, fail, delay or kill at each of them; nothing else
in keyform may bypass it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import stat
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from reconciler.child import Children
from reconciler.errors import Interrupted
from reconciler.pins import pinned_by

if TYPE_CHECKING:
    import httpx

    from reconciler.transport import Connections

Answer = TypeVar("Answer")

_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
"""On Linux the monotonic clock stops while the machine sleeps; on macOS only Python's own does."""
_NOT_OFFERED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF})
"""The error of fsync for a folder if the file system cannot sync folders."""
LOCK_NOTE = b"held by "
"""What the note in a lock file begins with."""
LONGEST_FILE = 10 * 1024 * 1024
"""Bytes of a file that are read."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a child process ended."""

    returncode: int
    stdout: str
    stderr: str
    raw: bytes = field(default=b"", repr=False)
    """`stdout` as it was, whether or not it is text."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of users; `may_be_given`: this process can give its files to that group."""

    name: str
    number: int
    may_be_given: bool


class Effects(Protocol):
    """What a run may do to the world. Failures of files are OSError; of HTTP, httpx.HTTPError."""

    def now(self) -> datetime:
        """The instant, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back, and keeps running while the machine sleeps."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; raises Interrupted at once when the user asked twice to stop."""
        ...

    def random(self) -> float:
        """A number in [0, 1)."""
        ...

    def send(self, request: httpx.Request) -> httpx.Response:
        """One HTTP request, answered or failed; the body of the answer is already read, or left out.

        Its extensions may narrow the limits, and the answer's say what was left out: see `transport.Connections.send`.
        """
        ...

    def read_file(self, path: Path) -> bytes:
        """A file's content, without waiting for more.

        OSError: a symbolic link (ELOOP), not a regular file (EINVAL), or more than 10 MB (EFBIG).
        """
        ...

    def create_file(self, path: Path, content: bytes, *, mode: int = 0o600, gid: int | None = None) -> None:
        """A new file with this content, synced to disk; FileExistsError if the path exists.

        It has mode 0600, or the given mode and group, before it has any content.
        """
        ...

    def rename(self, source: Path, target: Path) -> None:
        """Put `source` in the place of `target`, in one step."""
        ...

    def sync_folder(self, path: Path) -> None:
        """Make a folder's entries durable, as far as its file system can."""
        ...

    def remove_file(self, path: Path) -> None:
        """Remove a file; not an error if it does not exist."""
        ...

    def lock_file(self, path: Path) -> int:
        """Wait for the exclusive lock on a lock file (created if missing, 0600); returns a handle for `unlock_file`."""
        ...

    def try_lock_file(self, path: Path, note: str = "") -> int | None:
        """The exclusive lock on a lock file (created if missing, 0600), or None if another process has it.

        `note` (`held by …`) is then what the file holds, for whoever finds it locked. A file that holds anything but
        such a note stays as it is.
        """
        ...

    def lock_folder(self, path: Path) -> int:
        """Wait for the exclusive lock on a folder itself, which creates no file; returns a handle for `unlock_file`."""
        ...

    def unlock_file(self, handle: int) -> None:
        """Release the lock."""
        ...

    def stat(self, path: Path) -> os.stat_result:
        """What is at a path; for a symbolic link, the link itself. FileNotFoundError if there is nothing."""
        ...

    def real_path(self, path: Path) -> Path:
        """A path with all symbolic links followed; its last parts may be missing."""
        ...

    def enclosing(self, folder: Path, name: str) -> tuple[Path, ...]:
        """The real path of a folder and of those around it, the innermost first, that hold an entry of this name."""
        ...

    def can_write(self, path: Path) -> bool:
        """Whether this process may create and remove files in a folder, as far as that is visible without trying."""
        ...

    def pinned_by(self, path: Path) -> str:
        """What keeps a file from being replaced by another: `a mount`, `an attribute`, or nothing known."""
        ...

    def first_bytes(self, path: Path) -> bytes:
        """The first 256 bytes of a file, following links: the system looks there for what runs it."""
        ...

    def make_folder(self, path: Path, *, gid: int | None = None) -> None:
        """A new folder in an existing one: 0700, or 0710 for a group; FileExistsError if the path exists."""
        ...

    def find_group(self, name: str) -> Group | None:
        """The group of a name or a number; None for a name that this machine does not know."""
        ...

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder; FileNotFoundError if there is none, OSError (ENOTEMPTY) if it is not empty."""
        ...

    def call(self, what: str, function: Callable[[], Answer]) -> Answer:
        """One call of a library that contacts a server itself; `what` names it, such as `secretsmanager:tag_resource`.

        It fails with the library's own errors.
        """
        ...

    def find_program(self, name: str, *, outside: Collection[Path] = ()) -> Path | None:
        """The file that a program's name refers to; None if none can be executed.

        Only absolute entries of PATH count, and none in a folder of `outside` (real paths): a relative one would find
        what a stranger's checkout holds.
        """
        ...

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
        """A child process, to its end, in a separate session.

        `env` is added to the environment, `without` are names removed from it, `only` the only names that stay; `stdin`
        has at most 4096 bytes; of each output the first 10 MB are kept. TimeoutError: it was not done after `timeout`
        seconds, and was killed. Any other OSError: it was not started (FileNotFoundError: no such program, or no such
        folder).
        """
        ...


class System:
    """The real world. One HTTP connection per worker is kept alive; `close` when done."""

    def __init__(self, *, connections: int = 10, request_timeout: float = 30.0) -> None:
        """`request_timeout` is in seconds, for a request with its whole answer; connecting takes 5 at most."""
        self._connections = connections
        self._request_timeout = request_timeout
        self._transport: Connections | None = None
        self._building = threading.Lock()
        # The lock is reentrant: a signal handler may abandon its own thread's sleep.
        self._patience = threading.Condition()
        self._abandoned = False
        self._children = Children()

    def now(self) -> datetime:
        """The machine's own clock, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since the machine was started, including those that it slept."""
        return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait for that many seconds; Interrupted once `abandon` was called, before or meanwhile."""
        with self._patience:
            if self._patience.wait_for(lambda: self._abandoned, seconds):
                raise Interrupted("Interrupted while waiting.")

    def random(self) -> float:
        """A number in [0, 1) for jitter; never for secrets."""
        return random.random()  # noqa: S311 - jitter, not cryptography

    def send(self, request: httpx.Request) -> httpx.Response:
        """Over a connection that is kept for the next request; httpx.HTTPError."""
        with self._building:
            if self._transport is None:
                from reconciler.transport import Connections  # noqa: PLC0415 - it loads httpx

                self._transport = Connections(kept=self._connections, request_timeout=self._request_timeout)
        return self._transport.send(request)

    def abandon(self) -> None:
        """Stop all waiting: `sleep` raises Interrupted, connections break, and child processes are killed.

        What is sent later still goes out, so that a lock can be released.
        """
        with self._patience:
            self._abandoned = True
            self._patience.notify_all()
        self._children.abandon()
        if self._transport is not None:
            self._transport.break_all()

    def close(self) -> None:
        """Close everything that is open."""
        if self._transport is not None:
            self._transport.close()

    def read_file(self, path: Path) -> bytes:
        """At most 10 MB of a regular file; OSError with ELOOP, EINVAL or EFBIG for anything else."""
        # If something else, such as a pipe, has replaced the file since it was looked at, do not wait for it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            content = bytearray()
            while chunk := os.read(descriptor, min(1 << 18, LONGEST_FILE + 1 - len(content))):
                content += chunk
            if len(content) > LONGEST_FILE:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            return bytes(content)
        finally:
            os.close(descriptor)

    def create_file(self, path: Path, content: bytes, *, mode: int = 0o600, gid: int | None = None) -> None:
        """Synced; FileExistsError if the path exists, OSError if it cannot be written whole."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if gid is not None:
                _drop_acl(descriptor)
                os.fchown(descriptor, -1, gid)
            if mode != 0o600:
                os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """In one step; OSError."""
        os.rename(source, target)  # noqa: PTH104 - named after the system call it is

    def sync_folder(self, path: Path) -> None:
        """By fsync; OSError, unless it says that folders cannot be synced there, as on CIFS and shared folders."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise
        finally:
            os.close(descriptor)

    def remove_file(self, path: Path) -> None:
        """A file or a link; OSError if it exists and cannot be removed."""
        path.unlink(missing_ok=True)

    def lock_file(self, path: Path) -> int:
        """By flock, however long it takes; returns a descriptor. OSError if the file cannot be opened."""
        import fcntl  # noqa: PLC0415 - only POSIX has it; without it, `keyform validate` still works

        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def try_lock_file(self, path: Path, note: str = "") -> int | None:
        """By flock, without waiting; returns a descriptor, or None. OSError if the file cannot be opened."""
        import fcntl  # noqa: PLC0415 - see lock_file

        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        with contextlib.suppress(OSError):  # a disk that is full keeps nobody from having the lock
            if note and os.pread(handle, len(LOCK_NOTE), 0) in (b"", LOCK_NOTE):
                os.ftruncate(handle, 0)
                os.pwrite(handle, note.encode("ascii", "replace"), 0)
        return handle

    def lock_folder(self, path: Path) -> int:
        """By flock, however long it takes; returns a descriptor. OSError if the folder cannot be opened."""
        import fcntl  # noqa: PLC0415 - see lock_file

        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def unlock_file(self, handle: int) -> None:
        """Close the descriptor, which releases the lock."""
        os.close(handle)

    def stat(self, path: Path) -> os.stat_result:
        """By lstat; OSError."""
        return path.lstat()

    def real_path(self, path: Path) -> Path:
        """By realpath, which keeps missing parts as they are written."""
        return Path(os.path.realpath(path))

    def enclosing(self, folder: Path, name: str) -> tuple[Path, ...]:
        """From the folder up to the root."""
        real = self.real_path(folder)
        return tuple(place for place in (real, *real.parents) if os.path.lexists(place / name))

    def can_write(self, path: Path) -> bool:
        """By the permissions of this process."""
        return os.access(path, os.W_OK | os.X_OK)

    def pinned_by(self, path: Path) -> str:
        """By what Linux reports; nothing elsewhere."""
        return pinned_by(path)

    def first_bytes(self, path: Path) -> bytes:
        """Nothing for anything but a regular file; OSError."""
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.read(descriptor, 256) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
        finally:
            os.close(descriptor)

    def make_folder(self, path: Path, *, gid: int | None = None) -> None:
        """By mkdir, then by chown and chmod; OSError."""
        path.mkdir(mode=0o700)
        if gid is not None:
            os.chown(path, -1, gid, follow_symlinks=False)
            path.chmod(0o710)

    def find_group(self, name: str) -> Group | None:
        """By the system's database of groups, and the groups of this process."""
        import grp  # noqa: PLC0415 - see lock_file

        try:
            found = grp.getgrgid(int(name)) if name.isdecimal() else grp.getgrnam(name)
            label, number = found.gr_name, found.gr_gid
        except (KeyError, OSError, OverflowError):
            if not name.isdecimal():
                return None
            label, number = name, int(name)
        return Group(label, number, os.geteuid() == 0 or number in {os.getegid(), *os.getgroups()})

    def remove_folder(self, path: Path) -> None:
        """By rmdir; OSError."""
        path.rmdir()

    def call(self, what: str, function: Callable[[], Answer]) -> Answer:  # noqa: ARG002 - the name is for traces
        """The call itself, and whatever it raises."""
        return function()

    def find_program(self, name: str, *, outside: Collection[Path] = ()) -> Path | None:
        """By PATH, as a shell would, and more strictly."""
        import shutil  # noqa: PLC0415 - it loads all kinds of archives

        entries = [
            entry
            for entry in os.get_exec_path()
            if Path(entry).is_absolute()
            and not any(self.real_path(Path(entry)).is_relative_to(each) for each in outside)
        ]
        found = shutil.which(name, path=os.pathsep.join(entries))
        return Path(found) if found else None

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
        """OSError if it was not started, TimeoutError if it was killed, Interrupted once `abandon` was called."""
        inherited = {
            name: value for name, value in os.environ.items() if name not in without and (only is None or name in only)
        }
        try:
            ended = self._children.run(
                argv,
                stdin=stdin.encode() if isinstance(stdin, str) else stdin,
                env=inherited | dict(env or {}),
                folder=folder,
                timeout=timeout,
            )
        except ValueError:
            # A NUL, or half of a surrogate pair; Python's own error would quote the input.
            ended = None
        if ended is None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if ended.was_abandoned:
            raise Interrupted("Interrupted while a command ran.")
        return Completed(
            ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace"), ended.stdout
        )


def _drop_acl(descriptor: int) -> None:
    """Remove what a new file inherits from its folder: with a mode for a group, such a list lets others in, too."""
    if hasattr(os, "removexattr"):  # Linux
        with suppress(OSError):  # there is none, or the file system has no such thing
            os.removexattr(descriptor, "system.posix_acl_access")
