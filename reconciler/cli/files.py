"""Files that a command writes besides its output: whole or not at all, and only where the name itself leads."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import stat
from pathlib import Path

from reconciler.errors import KeyformError

_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def names_of(args: argparse.Namespace) -> list[str]:
    """The names that `--file` gives, or that of the usual file."""
    return list(args.file or ["keyform.yaml"])


def write_whole(path: Path, content: bytes, *, way_out: str, private: bool = False, begins: bytes = b"") -> None:
    """Replace `path` with a file of this content, in one step; an earlier one keeps its mode, unless it is to be
    `private`: 0600. It has to be empty, or to begin like this: `keyform.yaml` is not written over by a slip.

    In another person's checkout the name can be a link to anywhere, or a pipe that nobody reads: KeyformError, as for
    whatever the system refuses. Then what was there stays as it was.
    """
    mode = regular_mode(path, way_out=way_out)
    if mode is not None and begins:
        _check_beginning(path, begins, way_out=way_out)
    if private:
        mode = 0o600
    aside = path.with_name(f".keyform-{secrets.token_hex(8)}.new")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode or 0o666)
        try:
            with os.fdopen(descriptor, "wb") as file:
                if mode is not None:
                    os.fchmod(descriptor, mode)
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            aside.rename(path)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise KeyformError(f"{path} cannot be written: {why}.", way_out=way_out) from None


def _check_beginning(path: Path, begins: bytes, *, way_out: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = file.read(len(begins))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise KeyformError(f"{path} cannot be read: {why}. It was not changed.", way_out=way_out) from None
    if found and found != begins:
        raise KeyformError(f"{path} holds something else. It was not changed.", way_out=way_out)


def regular_mode(path: Path, *, way_out: str) -> int | None:
    """The mode of the existing file, or None; KeyformError if it is not a file, or is not where its name says."""
    try:
        folder, here = Path(os.path.abspath(path)).parent, Path.cwd()  # noqa: PTH100 - `resolve` would follow links
        if folder.is_relative_to(here) and not folder.resolve().is_relative_to(here):
            raise KeyformError(
                f"{path}: a symbolic link leads out of this folder. Nothing was written.", way_out=way_out
            )
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links is a RuntimeError in Python 3.12
        why = getattr(error, "strerror", None) or "its path cannot be resolved"
        raise KeyformError(f"{path} cannot be written: {why}.", way_out=way_out) from None
    if not stat.S_ISREG(mode):
        kind = next((name for is_one, name in _KINDS if is_one(mode)), "not a regular file")
        raise KeyformError(f"{path} is {kind}. It was not changed.", way_out=way_out)
    return stat.S_IMODE(mode)
