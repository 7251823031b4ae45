"""The messages about a local file that cannot be written: what is wrong with it, and the way out."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from reconciler.effects import LONGEST_FILE
from reconciler.reach import printable
from reconciler.sinks.git_ignore import SECONDS, GitSays

MAX_BYTES = LONGEST_FILE
TEMPORARY_FOLDER = ".keyform.tmp"

ACCESS = "Give the user that runs keyform read and write access to it and its folder, or choose another path."
_MOUNT_ITS_FOLDER = "Mount its folder, so that the file can be replaced in one step."
_TROUBLE: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "Free some space and run again."),
    errno.EDQUOT: ("the disk quota is used up", "Free some space and run again."),
    errno.EACCES: ("permission was denied", ACCESS),
    errno.EPERM: ("permission was denied", ACCESS),
    errno.EROFS: ("the file system is read-only", "Choose a path that can be written."),
    errno.ELOOP: ("there is a symbolic link in the way", "Use the path of the file itself."),
    errno.ENOTDIR: ("a part of its path is not a folder", "Correct the path."),
    errno.EISDIR: ("it is a folder", "Use the path of a file."),
    errno.ENAMETOOLONG: ("its path is too long", "Choose a shorter path."),
    errno.EEXIST: (f"{TEMPORARY_FOLDER} beside it could not be cleared", "Remove it and run again."),
    errno.ENOLCK: ("its folder cannot be locked", "Choose a path on a local disk."),
    errno.EINVAL: ("it is not a regular file", "Use the path of a file."),
    errno.EFBIG: (f"it is bigger than {MAX_BYTES >> 20} MB", "Choose another path, or split the stack."),
    errno.EXDEV: ("the file is mounted by itself", _MOUNT_ITS_FOLDER),
    errno.EBUSY: ("the file is mounted by itself", _MOUNT_ITS_FOLDER),
}


def explain_errno(number: int) -> tuple[str, str]:
    """The system's error in words, by its number; it completes "cannot be written: …"."""
    return _TROUBLE.get(number, (os.strerror(number), "Fix the cause, or choose another path."))


def explain_pin(pin: str, path: Path) -> tuple[str, str]:
    """Why no other file can replace this one: see `Effects.pinned_by`."""
    if pin == "a mount":
        return "cannot be written: the file is mounted by itself", _MOUNT_ITS_FOLDER
    return (
        f"cannot be written: {pin} of the file prevents replacing it",
        f"Take it off with `chattr -i -a {printable(str(path))}`, or choose another path.",
    )


def explain_silence(says: GitSays, asked: Path, folder: Path) -> tuple[str, str]:
    """Without a clear answer of git's, the file might be committed; `asked` is the `.git` in question."""
    place = printable(str(asked))
    match says:
        case GitSays.NO_GIT:
            message = f"{place} exists, but there is no git program to tell whether it is ignored"
            way_out = "Install git on PATH, outside of the checkout, or choose a path outside of any repository."
        case GitSays.BROKEN:
            message = f"git cannot tell whether it is ignored, because it cannot read the repository {place}"
            way_out = "Repair or remove it, or choose another path."
        case GitSays.TOO_SLOW:
            message = f"git did not tell within {SECONDS} seconds whether it is ignored"
            way_out = "Look for a pipe or an endless pattern in its .gitignore files, or choose another path."
        case _:
            message = "git cannot tell whether it is ignored"
            way_out = f"Check what `git -C {printable(str(folder))} status` says, and fix it."
    return message, way_out
