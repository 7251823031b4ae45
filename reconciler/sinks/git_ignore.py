"""Whether git could come to hold a file: asked of git itself, whose rules nobody else gets right."""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.effects import Completed, Effects


class GitSays(Enum):
    """What git makes of a path."""

    OUT_OF_REACH = auto()
    """It cannot be committed: it is ignored, or in no work tree, or there is no git."""
    TRACKED = auto()
    NOT_IGNORED = auto()
    UNCLEAR = auto()
    """Git answered with an error of its own, so that nothing is certain."""


# A git hook, or a shell within one, names its repository in the environment; what counts is the one the file lies in.
_OF_THE_FOLDER_ALONE = ("env", "-u", "GIT_DIR", "-u", "GIT_WORK_TREE", "-u", "GIT_INDEX_FILE", "-u", "GIT_PREFIX")
# Messages tell "no repository" from trouble (both are status 128), so they must not be translated.
_UNTRANSLATED = {"LC_ALL": "C"}
_NO_WORK_TREE = ("not a git repository (or any", "must be run in a work tree")
_NOT_INSTALLED = 127


def ask_git(effects: Effects, folder: Path, relative: str) -> GitSays:
    """What git makes of `relative`, which need not be there yet, seen from `folder`, which is there."""

    def git(*arguments: str) -> Completed:
        argv = (*_OF_THE_FOLDER_ALONE, "git", "-C", str(folder), *arguments, "--", f"./{relative}")
        return effects.run(argv, env=_UNTRANSLATED)

    try:
        # It looks into the index, too: a tracked path is not ignored, whatever the patterns say. So that in the usual
        # case one child process is enough.
        ignored = git("check-ignore", "--quiet")
        if ignored.returncode in {0, _NOT_INSTALLED} or any(word in ignored.stderr for word in _NO_WORK_TREE):
            return GitSays.OUT_OF_REACH
        if ignored.returncode != 1:
            return GitSays.UNCLEAR
        tracked = git("--literal-pathspecs", "ls-files", "--error-unmatch")
    except FileNotFoundError:
        return GitSays.OUT_OF_REACH
    return GitSays.TRACKED if tracked.returncode == 0 else GitSays.NOT_IGNORED
