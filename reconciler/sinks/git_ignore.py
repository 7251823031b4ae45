"""Whether git holds a file, or could come to: asked of git itself, whose rules nobody else gets right.

The folder may be a stranger's checkout: git is asked as git.py says.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import git

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.effects import Completed, Effects


class GitSays(Enum):
    """git's answer about a path."""

    OUT_OF_REACH = auto()
    """It is in no work tree."""
    IGNORED = auto()
    TRACKED = auto()
    UNTRACKED = auto()
    """Not tracked; of a path that was to be ignored: nor ignored."""
    NO_GIT = auto()
    """There is a `.git` around it, and no git to ask."""
    BROKEN = auto()
    """There is a `.git` around it that git does not call a repository: once it is repaired, it may take the file in."""
    UNCLEAR = auto()
    """Git answered with an error, so that nothing is certain."""
    TOO_SLOW = auto()
    """It did not answer in time."""

    @property
    def is_answer(self) -> bool:
        """Whether it says something for certain."""
        return self in {GitSays.OUT_OF_REACH, GitSays.IGNORED, GitSays.TRACKED, GitSays.UNTRACKED}


SECONDS = git.SECONDS
"""Seconds that git may take for an answer."""
_PATTERN = re.compile(r"[*?\[\\]")


class Git:
    """What git says about one path; each question is asked once."""

    def __init__(self, effects: Effects, home: Path) -> None:
        """`home` is the folder of the configuration file, whose author must not choose a git, wherever the sink is."""
        self._effects = effects
        self._home = home
        self._trees: Sequence[Path] | None = None
        self._strangers: Sequence[Path] | None = None
        self._tracked: GitSays | None = None
        self._ignored: GitSays | None = None
        self.asked = Path()
        """The `.git` of the last repository that was asked."""

    @property
    def is_sure(self) -> bool:
        """Whether every question has a certain answer."""
        return all(says.is_answer for says in (self._tracked, self._ignored) if says is not None)

    @property
    def has_repository(self) -> bool:
        """Whether there was a repository to ask."""
        return bool(self._trees)

    def is_tracked(self, folder: Path, name: str) -> GitSays:
        """Whether some repository around `folder`, which exists, tracks a file below it."""
        if self._ignored in {GitSays.IGNORED, GitSays.OUT_OF_REACH}:
            return self._ignored  # what is tracked is not ignored
        if self._tracked is None:
            try:
                self._tracked = self._ask_all(folder, name, self._around(folder))
            except TimeoutError:
                self._tracked = GitSays.TOO_SLOW
        return self._tracked

    def is_ignored(self, folder: Path, name: str) -> GitSays:
        """Whether git would never add the file, which need not exist.

        The innermost repository has to ignore it: those around that one add nothing that is in another's work tree.
        They can track it from earlier.
        """
        if self._ignored is None:
            try:
                self._ignored = self._ask_whether_ignored(folder, name)
            except TimeoutError:
                self._ignored = GitSays.TOO_SLOW
        return self._ignored

    def _ask_whether_ignored(self, folder: Path, name: str) -> GitSays:
        trees = self._around(folder)
        for place, tree in enumerate(trees):
            done = self._ask(tree, folder, f"./{name}", "check-ignore", "--quiet")
            if done is None:
                return GitSays.NO_GIT
            if done.returncode == 0:
                # It checks the index, too: what is tracked is not ignored, whatever the patterns say. So usually one
                # child process is enough.
                outer = self._ask_all(folder, name, trees[place + 1 :])
                return GitSays.IGNORED if outer in {GitSays.UNTRACKED, GitSays.OUT_OF_REACH} else outer
            if done.returncode == 1:
                return self.is_tracked(folder, name)
            return _trouble(done)
        return GitSays.OUT_OF_REACH

    def _ask_all(self, folder: Path, name: str, trees: Sequence[Path]) -> GitSays:
        says = GitSays.OUT_OF_REACH
        for tree in trees:
            # If the file system ignores case, git tracks it by whichever name was committed.
            literal = _PATTERN.sub(r"\\\g<0>", name)
            done = self._ask(tree, folder, f":(icase)./{literal}", "ls-files", "-z")
            if done is None:
                return GitSays.NO_GIT
            if done.returncode == 0 and done.stdout:
                return GitSays.TRACKED
            if done.returncode != 0:
                return _trouble(done)
            says = GitSays.UNTRACKED
        return says

    def _around(self, folder: Path) -> Sequence[Path]:
        if self._trees is None:
            self._trees = git.repositories_around(folder, self._effects)
        return self._trees

    def _written_by_strangers(self, folder: Path) -> Sequence[Path]:
        """The folders in which no git is looked for."""
        if self._strangers is None:
            self._strangers = git.written_by_strangers(folder, self._home, self._effects)
        return self._strangers

    def _ask(self, tree: Path, folder: Path, path: str, *question: str) -> Completed | None:
        """One answer, about a repository by its `.git`; None without a git that can be trusted."""
        repository = git.Repository(tree, self._written_by_strangers(folder), self._effects)
        self.asked = repository.dot_git
        return repository.ask(*question, "--", path, folder=folder, timeout=SECONDS)


def _trouble(done: Completed) -> GitSays:
    """The meaning of an error answer."""
    return GitSays.BROKEN if done.stderr.startswith("fatal: not a git repository") else GitSays.UNCLEAR
