"""Whether git holds a file, or could come to: asked of git itself, whose rules nobody else gets right.

The folder may be a stranger's checkout, so git is asked in a way in which nothing in there can make it run a program:

- Which repositories there are is found out here, by their `.git`, and git is given each by its path. It discovers none
  itself: neither a bare repository that was committed as plain files, nor one that the environment names.
- All settings by which it would start a program or open a connection are overridden where that beats all others.
- Its environment is PATH, HOME and XDG_CONFIG_HOME, and what is set here: no credential, and no GIT_* of a CI job. HOME
  stays because the user's own `core.excludesFile` is part of what git ignores for them.
- The program is found on PATH by absolute entries outside of the checkout alone, and has ten seconds. The checkout is
  that of the configuration file, too: a sink in another repository must not let the file's own one bring a git along.

With its repository named, git does not ask whose it is (`safe.directory`), so a checkout of another user's, as in a
container, is answered for, too: what that question guards against is off.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

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


_NAME = ".git"
SECONDS = 10
"""Seconds that git may take for an answer."""
_ENVIRONMENT = ("PATH", "HOME", "XDG_CONFIG_HOME")
_SET = {
    "LC_ALL": "C",  # messages are looked at below, so they must not be translated
    "GIT_ALLOW_PROTOCOL": "none",  # beats every protocol.*.allow; a missing object is fetched by no transport
    "GIT_ASKPASS": "false",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_SSH_COMMAND": "false",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_TRACE2": "0",
    "GIT_TRACE2_EVENT": "0",
    "GIT_TRACE2_PERF": "0",
}
_OVERRIDDEN = (
    "core.alternateRefsCommand=false",
    "core.askPass=false",
    "core.attributesFile=/dev/null",
    "core.editor=false",
    "core.fsmonitor=",  # empty means none to every git; before 2.36, `false` was the name of a program
    "core.gitProxy=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.sshCommand=false",
    "core.untrackedCache=false",
    "credential.helper=",
    "diff.external=false",
    "gpg.program=false",
    "protocol.allow=never",
    "safe.bareRepository=explicit",
    "submodule.recurse=false",
)
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
            self._trees = self._effects.enclosing(folder, _NAME)
        return self._trees

    def _written_by_strangers(self, folder: Path) -> Sequence[Path]:
        """The folders in which no git is looked for."""
        if self._strangers is None:
            found = [*self._around(folder)]
            if not folder.is_relative_to(self._home):
                found += [self._effects.real_path(self._home), *self._effects.enclosing(self._home, _NAME)]
            # A repository at the root would hold every program.
            self._strangers = [each for each in found if each.parent != each]
        return self._strangers

    def _ask(self, tree: Path, folder: Path, path: str, *question: str) -> Completed | None:
        """One answer, about a repository by its `.git`; None without a git that can be trusted."""
        program = self._effects.find_program("git", outside=self._written_by_strangers(folder))
        self.asked = tree / _NAME
        if program is None:
            return None
        overrides = [word for setting in _OVERRIDDEN for word in ("-c", setting)]
        where = [f"--git-dir={self.asked}", f"--work-tree={tree}", "--no-pager"]
        try:
            return self._effects.run(
                [str(program), *overrides, *where, *question, "--", path],
                env=_SET,
                only=_ENVIRONMENT,
                folder=folder,
                timeout=SECONDS,
            )
        except FileNotFoundError:
            return None


def _trouble(done: Completed) -> GitSays:
    """The meaning of an error answer."""
    return GitSays.BROKEN if done.stderr.startswith("fatal: not a git repository") else GitSays.UNCLEAR
