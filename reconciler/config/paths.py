"""Where a path of the file may lead: not into git's own folder, and, for a lock file, nowhere else at all."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePath

_GIT = frozenset({".git", "git~1"})
"""How git's folder is called; the second is its short name on a file system of Windows."""


def is_in_git_folder(path: str, folder: str) -> bool:
    """Whether a path has git's own folder in it, in whichever form a file system takes for it.

    Only below `folder` when it lies there: a checkout inside of somebody's `.git` is theirs to have.
    """
    whole = PurePath(path)
    parts = whole.relative_to(folder).parts if whole.is_relative_to(folder) else whole.parts
    return any(_plain(part) in _GIT for part in parts)


def _plain(part: str) -> str:
    """A name as the most lenient of file systems sees it: without case, final dots and spaces, streams, invisibles."""
    seen = "".join(each for each in unicodedata.normalize("NFKC", part) if each.isprintable())
    return seen.partition(":")[0].rstrip(". ").casefold()


def leaves_folder(path: str, folder: Path) -> str:
    """Why a file that may only lie in a folder or below it does not; nothing when it does. Links are followed."""
    absolute, top = PurePath(os.path.abspath(folder)), PurePath(os.path.realpath(folder))  # noqa: PTH100 - see below
    whole = PurePath(path)
    real = PurePath(os.path.realpath(whole.parent)) / whole.name  # realpath knows loops; Path.resolve() raises
    if not whole.is_relative_to(absolute):
        return "this one is outside it"
    if not real.is_relative_to(top):
        return "a symbolic link in its path leads out of it"
    return "a symbolic link leads into a `.git` folder" if is_in_git_folder(str(real), str(top)) else ""
