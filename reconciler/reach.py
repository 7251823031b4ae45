"""How far a path in the file may reach: the rule for everything that keyform writes at a path from the file.

Below the folder of the file no symbolic link may lead out of it, since a link can be committed with the file. Links
above it, as in /tmp on macOS, git-sync or a mounted ConfigMap, belong to the machine. The content of a `.git` folder
belongs to git.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import KeyformError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reconciler.effects import Effects

_GIT_FOLDERS = frozenset({".git", "git~1"})
# Characters that the macOS file system ignores in a name, so that `.g\u200cit` is `.git` there.
_IGNORED = dict.fromkeys((*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF))


class PathRefused(KeyformError):
    """A path leads where the file must not reach; the message says what is wrong with the path."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a path leads after its links are followed, and whether that is in the folder of the file."""

    path: Path
    is_inside: bool


def check_reach(path: str, folder: Path, effects: Effects) -> Reach:
    """Where a path in a file in `folder` leads; PathRefused, or OSError if it cannot be read.

    Looks only at what is between the two, so that a path right in the folder costs no effect.
    """
    home = folder.absolute()
    given = Path(path).parts
    depth = next((place for place, part in enumerate(given) if part != ".."), len(given))
    if ".." in given[depth:]:
        raise PathRefused("has `..` in the middle, which a link could redirect", way_out="Write the path without it.")
    full = home / path
    if _is_gits((*home.parts, *given)):
        raise _in_git()
    if depth or not full.is_relative_to(home):
        real = effects.real_path(full.parent) / full.name
        if _is_gits(real.parts):
            raise _in_git()
        root = effects.real_path(home)
        is_inside = real.is_relative_to(root)
        # Inside, one file has one path, whichever way leads to it.
        return Reach(home / real.relative_to(root) if is_inside else real, is_inside)
    *folders, name = full.relative_to(home).parts or [""]
    return Reach(_follow_links(home, folders, effects) / name, is_inside=True)


def show_path(path: Path, folder: Path) -> str:
    """A path as people write it: relative to the folder if it is in it, else whole, with `~/` for the home folder."""
    home = Path(os.environ.get("HOME") or "/")
    if path.is_relative_to(folder.absolute()):
        return printable(str(path.relative_to(folder.absolute())))
    if home.is_absolute() and home != Path("/") and path.is_relative_to(home):
        return printable(f"~/{path.relative_to(home)}")
    return printable(str(path))


def printable(text: str) -> str:
    """The text on one line, with escapes for invisible characters."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def _follow_links(home: Path, folders: Sequence[str], effects: Effects) -> Path:
    """Where these folders below `home` lead; a link among them must not lead out of it, or into git's folder."""
    place = home
    for number, part in enumerate(folders):
        place /= part
        try:
            if not stat.S_ISLNK(effects.stat(place).st_mode):
                continue
        except FileNotFoundError:
            return place.joinpath(*folders[number + 1 :])
        real, root = effects.real_path(place), effects.real_path(home)
        if not real.is_relative_to(root):
            raise PathRefused(
                f"leads out of the folder of the configuration file through the symbolic link {show_path(place, home)}",
                way_out="Give the path of the file itself, or choose another path.",
            )
        if _is_gits(real.parts):
            raise _in_git()
        place = home / real.relative_to(root)
    return place


def _is_gits(parts: Iterable[str]) -> bool:
    names = (part.translate(_IGNORED).casefold().partition(":")[0].rstrip(". ") for part in parts)
    return not _GIT_FOLDERS.isdisjoint(names)


def _in_git() -> PathRefused:
    return PathRefused("is in a .git folder, which belongs to git", way_out="Choose another path.")
