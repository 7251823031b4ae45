"""What keeps a file from being replaced by another one, as far as the system shows it: a mount, or an attribute."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from pathlib import Path

_FS_IOC_GETFLAGS = 0x80086601
_IMMUTABLE_OR_APPEND_ONLY = 0x30


def pinned_by(path: Path) -> str:
    """`a mount`, `an attribute`, or nothing known."""
    if is_mounted(path):
        return "a mount"
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if read_attributes(descriptor) & _IMMUTABLE_OR_APPEND_ONLY:
                return "an attribute"
        finally:
            os.close(descriptor)
    return ""


def is_mounted(path: Path) -> bool:
    """Whether something is mounted at exactly this path, by the table of mounts, which only Linux has.

    The device number does not show that: a file can be mounted from the same device, and on an overlay file system a
    file and its folder have different ones.
    """
    real = os.path.realpath(path).encode("utf-8", "surrogateescape")
    try:
        table = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return False
    rows = (line.split(b" ") for line in table.splitlines())
    return any(len(row) > 4 and _unescaped(row[4]) == real for row in rows)


def read_attributes(descriptor: int) -> int:
    """The attributes that `lsattr` shows; OSError where the file system has none."""
    if sys.platform != "linux":
        return 0
    import fcntl  # noqa: PLC0415 - only POSIX has it

    return int.from_bytes(fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, bytes(8))[:4], sys.byteorder)


def _unescaped(word: bytes) -> bytes:
    """A path of the table, which has spaces and the like as octal numbers."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8) & 255]), word)
