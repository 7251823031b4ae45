"""The one way in which keyform runs git, whoever wrote the checkout: nothing in there can make git run a program.

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

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.effects import Completed, Effects

NAME = ".git"
"""What a repository is known by: a folder, or in a worktree or a submodule a file."""
SECONDS = 10
"""Seconds that git may take for an answer."""
ENVIRONMENT = ("PATH", "HOME", "XDG_CONFIG_HOME")
SET = {
    "LC_ALL": "C",  # messages are looked at, so they must not be translated
    "GIT_ALLOW_PROTOCOL": "none",  # beats every protocol.*.allow; a missing object is fetched by no transport
    "GIT_ASKPASS": "false",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_GRAFT_FILE": "/dev/null",  # a commit's parents are what it says
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",  # an object is what its id says
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


def repositories_around(folder: Path, effects: Effects) -> Sequence[Path]:
    """The work trees that a folder is in, the innermost first: real paths."""
    return effects.enclosing(folder, NAME)


def written_by_strangers(folder: Path, home: Path, effects: Effects) -> Sequence[Path]:
    """The folders in which no git is looked for; `home` is that of the configuration file."""
    found = [*repositories_around(folder, effects)]
    if not folder.is_relative_to(home):
        found += [effects.real_path(home), *repositories_around(home, effects)]
    # A repository at the root would hold every program.
    return [each for each in found if each.parent != each]


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository by its work tree; no git is looked for in the folders of `strangers`."""

    tree: Path
    strangers: Sequence[Path]
    effects: Effects

    @property
    def dot_git(self) -> Path:
        """Its `.git`."""
        return self.tree / NAME

    def ask(
        self, *question: str, folder: Path | None = None, stdin: str | bytes = "", timeout: float | None = None
    ) -> Completed | None:
        """git's answer, asked in a folder, or in the work tree's; None without a git that can be trusted.

        TimeoutError if it took longer than `timeout` seconds, or than `SECONDS`.
        """
        program = self.effects.find_program("git", outside=self.strangers)
        if program is None:
            return None
        overrides = [word for setting in _OVERRIDDEN for word in ("-c", setting)]
        where = [f"--git-dir={self.dot_git}", f"--work-tree={self.tree}", "--no-pager"]
        try:
            return self.effects.run(
                [str(program), *overrides, *where, *question],
                stdin=stdin,
                env=SET,
                only=ENVIRONMENT,
                folder=folder or self.tree,
                timeout=SECONDS if timeout is None else timeout,
            )
        except FileNotFoundError:
            return None
