"""A path that a local sink may use: where it leads, what is there, and what git says about it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import SinkError
from reconciler.reach import PathRefused, check_reach, printable, show_path
from reconciler.sinks.git_ignore import Git, GitSays
from reconciler.sinks.local_words import MAX_BYTES, TEMPORARY_FOLDER, explain_errno, explain_pin, explain_silence

if TYPE_CHECKING:
    from reconciler.effects import Effects


class LocalPlace:
    """One path under the rules of local_file.py, which are checked again at every touch; only git is asked once.

    `path` is as the user wrote it, relative to `folder`. All failures are SinkError.
    """

    def __init__(self, path: str, folder: Path, *, sink: str, effects: Effects) -> None:
        self._given = path
        self._home = folder.absolute()
        self._path = self._home / path
        self._sink = sink
        self._effects = effects
        self._git = Git(effects, self._home)
        self._git_of_temporary = Git(effects, self._home)
        self._is_found = False
        self._is_inside = True

    @property
    def _folder(self) -> Path:
        return self._path.parent

    @property
    def destination(self) -> str:
        """Its place, as a plan shows it: relative to the folder of the configuration file, or whole."""
        with suppress(OSError, SinkError):  # its readers and writers get the error
            self._find()
        return show_path(self._path, self._home)

    @property
    def place(self) -> str:
        """The whole path, as far as its links were followed."""
        return str(self._path)

    def error(self, message: str, way_out: str, *, line: int = 0, effect_is_unknown: bool = False) -> SinkError:
        """An error that names the sink and the path, and the line if there is one (counted from 1)."""
        shown = printable(self._given)
        place = f"{shown}:{line}" if line else shown
        return SinkError(f"sink {self._sink}: {place}: {message}", way_out=way_out, effect_is_unknown=effect_is_unknown)

    # --- What is looked at -------------------------------------------------------------------------------------------

    def _find(self) -> None:
        """Resolve the path; it must not lead elsewhere later."""
        try:
            reach = check_reach(self._given, self._home, self._effects)
        except PathRefused as refused:
            raise self.error(refused.message, refused.way_out) from None
        if self._is_found and reach.path != self._path:
            raise self.error(
                "leads to another place than when it was first checked", "Check who changes its symbolic links."
            )
        self._path, self._is_inside, self._is_found = reach.path, reach.is_inside, True

    def _check_file(self) -> os.stat_result | None:
        """Refuse what is not a file of our own."""
        found = self._stat(self._path)
        if found is None:
            return None
        if stat.S_ISLNK(found.st_mode):
            raise self.error("is a symbolic link, which is not followed", "Give the path of the file itself.")
        if not stat.S_ISREG(found.st_mode):
            raise self.error("is not a regular file", "Give the path of a file.")
        if found.st_uid != os.geteuid():
            raise self.error(
                "belongs to another user, who could read what is written to it",
                "Give it to the user that keyform runs as, or choose another path.",
            )
        if found.st_nlink > 1:
            raise self.error(
                "has a second name (a hard link), under which an old secret would stay",
                "Remove the other name, or choose another path.",
            )
        if found.st_size > MAX_BYTES:
            raise self._too_big()
        return found

    def _check_replaceable(self) -> None:
        """Refuse a file that cannot be replaced."""
        if pin := self._effects.pinned_by(self._path):
            raise self.error(*explain_pin(pin, self._path))

    def _check_temporary_folder(self, *, to_write: bool = True) -> bool:
        """Whether an earlier run left its folder; refuse anything else of that name."""
        found = self._stat(self._folder / TEMPORARY_FOLDER)
        if found is None:
            return False
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise self.error(
                f"{TEMPORARY_FOLDER} beside it is needed for writing, but is not a folder of keyform's own",
                "Remove it, or choose another path.",
            )
        # The next `commit --all` adds a new file with a name that git tracks, whatever is ignored.
        says = self._git_of_temporary.is_tracked(self._folder, TEMPORARY_FOLDER)
        if to_write and not says.is_answer:
            raise self.error(*explain_silence(says, self._git_of_temporary.asked, self._folder))
        if says is GitSays.TRACKED:
            raise self.error(
                f"{TEMPORARY_FOLDER} beside it is needed for writing, but is tracked by git",
                f"Take it out with `git -C {printable(str(self._folder))} rm -r --cached {TEMPORARY_FOLDER}`.",
            )
        return True

    def _check_tracked(self) -> None:
        if self._git.is_tracked(self._folder, self._path.name) is GitSays.TRACKED:
            raise self._is_tracked(self._folder, self._path.name)

    def _check_git(self, folder: Path) -> None:
        name = str(self._path.relative_to(folder))
        match says := self._git.is_ignored(folder, name):
            case GitSays.OUT_OF_REACH | GitSays.IGNORED:
                pass
            case GitSays.TRACKED:
                raise self._is_tracked(folder, name)
            case GitSays.UNTRACKED:
                raise self.error(
                    "is not ignored by git, and could be committed by accident",
                    f"Add a line for it to .gitignore: {printable(self._path.name)}",
                )
            case _:
                raise self.error(*explain_silence(says, self._git.asked, folder))

    def _is_tracked(self, folder: Path, name: str) -> SinkError:
        return self.error(
            "is tracked by git, and must not hold secrets",
            f"Take it out with `git -C {printable(str(folder))} rm --cached {printable(name)}`, "
            "and add it to .gitignore.",
        )

    def _nearest_folder(self) -> Path:
        folder = self._folder
        while self._stat(folder) is None:
            folder = folder.parent
        return folder

    def _stat(self, path: Path) -> os.stat_result | None:
        try:
            return self._effects.stat(path)
        except FileNotFoundError:
            return None

    # --- What is said ------------------------------------------------------------------------------------------------

    @contextmanager
    def _told(self, doing: str, *, effect_is_unknown: bool = False) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._translated(doing, error, effect_is_unknown=effect_is_unknown) from error

    def _translated(self, doing: str, error: OSError, *, effect_is_unknown: bool) -> SinkError:
        what, way_out = explain_errno(error.errno or 0)
        return self.error(f"{doing}: {what}", way_out, effect_is_unknown=effect_is_unknown)

    def _too_big(self) -> SinkError:
        return self.error(f"is bigger than {MAX_BYTES >> 20} MB", "Choose another path, or split the stack.")
