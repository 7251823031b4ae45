"""Where a path of the file may lead: not into git's own folder, and, for a lock file, only into the file's folder."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePath

_GIT = frozenset({".git", "git~1"})
"""The names of git's folder; the second is its short name on a Windows file system."""


def is_in_git_folder(path: str, folder: str) -> bool:
    """Whether a path has git's own folder in it, in any form that a file system accepts.

    Only below `folder` if the path is in it: a checkout inside a `.git` is allowed.
    """
    whole = PurePath(path)
    parts = whole.relative_to(folder).parts if whole.is_relative_to(folder) else whole.parts
    return any(_plain(part) in _GIT for part in parts)


def _plain(part: str) -> str:
    """A name as the most lenient file system sees it: without case, final dots and spaces, streams, invisible
    characters.
    """
    seen = "".join(each for each in unicodedata.normalize("NFKC", part) if each.isprintable())
    return seen.partition(":")[0].rstrip(". ").casefold()


def leaves_folder(path: str, folder: Path) -> str:
    """Why a file that must be in a folder or below it is not; nothing if it is. Links are followed."""
    absolute, top = PurePath(os.path.abspath(folder)), PurePath(os.path.realpath(folder))  # noqa: PTH100 - see below
    whole = PurePath(path)
    real = PurePath(os.path.realpath(whole.parent)) / whole.name  # realpath handles loops; Path.resolve() raises
    if not whole.is_relative_to(absolute):
        return "this one is outside it"
    if not real.is_relative_to(top):
        return "a symbolic link in its path leads out of it"
    return "a symbolic link leads into a `.git` folder" if is_in_git_folder(str(real), str(top)) else ""
