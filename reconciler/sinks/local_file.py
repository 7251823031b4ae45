"""A local file that holds secrets, and the rules for every touch of it.

- reach.py decides where it may be. Outside the folder of the configuration file, an existing file without a record of
  this stack has another owner: keyform neither reads nor writes it, unless the sink is `shared`.
- Mode 0600, ours, a regular file with one name; a symbolic link is refused. A file without a record of this stack has
  to be 0600 already: keyform changes nobody else's mode. Git must be unable to commit it, and keyform does not read a
  file that git tracks.
- A change is whole or not at all: write and sync a new file, rename it over the old one, and sync the folder.
- Writers take turns by a lock on the *folder* itself (`flock`), threads and processes alike: a lock file would have to
  be left behind, where git sees it; and the file itself cannot be locked, because each change replaces it.
- The new file is created in a sub-folder `.keyform.tmp` (0700) with a `.gitignore` for everything in it. So it needs no
  pattern of the user's, and after a kill at any moment no `git add` can pick the secret up. The next change of any file
  in that folder removes it: under the lock, it is stale.
- Before a key is created, a rehearsal there does everything that a change does. A file system that cannot sync a folder
  is not an error; one that cannot lock it is.

keyform does not check who owns the folder, or who else may write to it: only its owner can ever read the file, and
anyone who can replace the folder's content could do so without keyform. A volume that a container shares with its job
is mostly of that kind.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import shake_256
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import SinkError
from reconciler.reach import PathRefused, check_reach, printable, show_path
from reconciler.sinks.git_ignore import Git, GitSays
from reconciler.sinks.local_words import (
    ACCESS,
    MAX_BYTES,
    TEMPORARY_FOLDER,
    explain_errno,
    explain_pin,
    explain_silence,
)

if TYPE_CHECKING:
    from reconciler.effects import Effects

_OWNER_ONLY = 0o600
_OTHERS = 0o077

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF})
"""What flock says of a folder where the file system has no such thing."""


class LocalFile:
    """One path under these rules, which are checked again at every touch; only git is asked once.

    `path` is as the user wrote it, relative to `folder`; `has_record` says whether a content has a record of this
    stack, even a damaged one. All failures are SinkError, and none shows the content.
    """

    def __init__(
        self,
        path: str,
        folder: Path,
        *,
        sink: str,
        shared: bool,
        has_record: Callable[[bytes], bool],
        effects: Effects,
    ) -> None:
        self._given = path
        self._home = folder.absolute()
        self._path = self._home / path
        self._sink = sink
        self._is_shared = shared
        self._has_record = has_record
        self._effects = effects
        self._git = Git(effects, self._home)
        self._git_of_temporary = Git(effects, self._home)
        self._is_found = False
        self._is_inside = True
        self._is_strangers = False

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

    @property
    def exposure(self) -> str:
        """What a review should know before this is written: when it was last read, the file had another owner."""
        if not self._is_strangers:
            return ""
        return (
            f"sink {self._sink} writes to {self.destination}, which is outside the folder of the configuration "
            "file and holds no record of this stack"
        )

    @property
    def is_evidence(self) -> bool:
        """Whether no pull request can have made it: git says that it does not track it, or it is outside the folder.

        A folder without a repository around it can be a copy of one, with everything that was committed.
        """
        return self._git.is_sure and (self._git.has_repository or not self._is_inside)

    def error(self, message: str, way_out: str, *, line: int = 0, effect_is_unknown: bool = False) -> SinkError:
        """An error that names the sink and the path, and the line if there is one (counted from 1)."""
        shown = printable(self._given)
        place = f"{shown}:{line}" if line else shown
        return SinkError(f"sink {self._sink}: {place}: {message}", way_out=way_out, effect_is_unknown=effect_is_unknown)

    def read(self) -> bytes | None:
        """The content, all of it from one moment; None if there is no file."""
        with self._told("cannot be read"):
            self._find()
            if self._check_file() is not None:
                self._check_tracked()
            return self._read()

    def check_writable(self) -> bytes | None:
        """Check, without making a change, that one could be made now; returns the content."""
        with self._told("cannot be written"):
            self._find()
            if self._check_file() is not None:
                self._check_replaceable()
            folder = self._nearest_folder()
            self._check_git(folder)
            if not self._effects.can_write(folder):
                # Only a trial could tell which of the two it is; both have the same way out.
                place = printable(str(folder))
                raise self.error(
                    f"no file can be made in the folder {place}: permission is denied, or it is read-only",
                    ACCESS,
                )
            self._check_temporary_folder()
            # Last: a failure meanwhile must not carry the content along, in the variables of its traceback.
            return self._read(to_write=True)

    def rehearse(self, more: int) -> None:
        """Do everything that a change does but the change: to a file in the temporary folder, `more` bytes longer than
        ours.

        This finds what only a trial can show: a full disk, a folder that cannot be locked, a rename that is refused.
        With `more` 0, it is for a removal, which needs none of that if there is no file.
        """
        with self._told("cannot be written"):
            self._find()
            found = self._check_file()
            if found is None and not more:
                return
            self._check_git(self._nearest_folder())
            self._make_folders()
            temporary = self._folder / TEMPORARY_FOLDER
            with self._lock():
                if self._check_temporary_folder():
                    self._effects.sync_folder(self._folder)  # see `tidy`
                    self._clear()
                try:
                    self._prepare("trial", _padding((found.st_size if found else 0) + more))
                    self._effects.rename(temporary / "trial", temporary / "tried")
                    self._effects.sync_folder(self._folder)
                finally:
                    self._clear("trial", "tried")
                if self._stat(temporary) is not None:
                    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))

    def edit(self, change: Callable[[bytes], bytes]) -> None:
        """Replace the content by the result of `change`, durably; `b""` means no file, on both sides.

        Unchanged content is not written again. Missing folders are created, 0700.
        """
        with self._told("cannot be written"):
            self._find()
            self._check_file()
            self._check_git(self._nearest_folder())
            self._make_folders()
            with self._lock():
                if self._check_temporary_folder():
                    self._clear()
                old = self._read(to_write=True)
                new = change(old or b"")
                if len(new) > MAX_BYTES:
                    raise self._too_big()
                if new == (old or b"") and (old is None or self._is_owner_only()):
                    pass
                elif new:
                    self._replace(new)
                    self._confirm(new)
                    self._clear()
                    return
                else:
                    self._effects.remove_file(self._path)
                self._confirm(new)

    def tidy(self) -> None:
        """Make durable what a run that died here has put in place, and remove its temporary folder."""
        with self._told("cannot be tidied"):
            self._find()
            if self._stat(self._folder) is None or not self._check_temporary_folder(to_write=False):
                return
            with self._lock():
                self._effects.sync_folder(self._folder)
                self._clear()

    def _confirm(self, content: bytes) -> None:
        """Make it durable and read it: even if nothing changed, since an earlier run may have died before this."""
        with self._told("may not have been saved", effect_is_unknown=True):
            self._effects.sync_folder(self._folder)
            if content and self._effects.read_file(self._path) != content:
                raise self.error(
                    "something else was read back than was written",
                    "Another program writes this file: stop it and run again.",
                    effect_is_unknown=True,
                )

    def _replace(self, content: bytes) -> None:
        """Put the new file in place. Its folder stays until that is durable: it shows `tidy` what was interrupted."""
        temporary = self._folder / TEMPORARY_FOLDER
        try:
            self._prepare("new", content)
            self._find()  # a folder on the way may have become a link meanwhile
        except BaseException:
            self._clear()
            raise
        try:
            self._effects.rename(temporary / "new", self._path)
        except OSError as error:
            # A network file system may report a failure for a rename that worked: then the source is gone.
            unknown = not self._is_there(temporary / "new")
            if not unknown:
                self._clear()
            raise self._translated("cannot be written", error, effect_is_unknown=unknown) from error

    def _prepare(self, name: str, content: bytes) -> None:
        """A path of this name in the temporary folder, without a file."""
        temporary = self._folder / TEMPORARY_FOLDER
        self._effects.make_folder(temporary)
        ignored = temporary / ".gitignore"
        self._effects.create_file(ignored, b"*\n")
        made = self._stat(ignored)
        if made is not None and made.st_mode & _OTHERS:
            mode = f"{stat.S_IMODE(made.st_mode):03o}"
            raise self.error(
                f"cannot be written: its file system shows a new file with mode {mode}, which others may read",
                "Mount it so that files are their owner's alone (`file_mode=0600`), or choose another path.",
            )
        self._effects.create_file(temporary / name, content)

    def _clear(self, *names: str) -> None:
        """Remove the temporary folder, and before it these files, or everything that keyform creates there, the secret
        first.

        git ignores what stays, and others cannot read it.
        """
        temporary = self._folder / TEMPORARY_FOLDER
        with suppress(OSError):
            for name in (*(names or ("new", "trial", "tried")), ".gitignore"):
                self._effects.remove_file(temporary / name)
            self._effects.remove_folder(temporary)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            handle = self._effects.lock_folder(self._folder)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK)) from None
            raise
        try:
            yield
        finally:
            with suppress(OSError):  # what was done is done
                self._effects.unlock_file(handle)

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

    def _read(self, *, to_write: bool = False) -> bytes | None:
        found = self._check_file()
        if found is None:
            self._is_strangers = False
            return None
        content = self._effects.read_file(self._path)
        is_ours = self._has_record(content)
        self._is_strangers = bool(content) and not is_ours and not self._is_inside
        if self._is_strangers and not self._is_shared:
            raise self.error(
                "already exists outside the folder of the configuration file, without a record of this stack",
                "Choose another path; or, to write into a file that others use, set `shared: true` for this sink.",
            )
        mode = stat.S_IMODE(found.st_mode)
        if to_write and not is_ours and mode != _OWNER_ONLY:
            raise self.error(
                f"already exists without a record of this stack, and its mode {mode:03o} is left as it is",
                "A secret needs a file that is yours alone: `chmod 600` it, or choose another path.",
            )
        return content

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

    def _make_folders(self) -> None:
        nearest = self._nearest_folder()
        missing = [folder for folder in (self._folder, *self._folder.parents) if folder.is_relative_to(nearest)][:-1]
        for folder in reversed(missing):
            try:
                self._effects.make_folder(folder)
            except FileExistsError:
                continue  # another thread or process was faster
            self._effects.sync_folder(folder.parent)

    def _is_owner_only(self) -> bool:
        found = self._stat(self._path)
        return found is not None and stat.S_IMODE(found.st_mode) == _OWNER_ONLY

    def _is_there(self, path: Path) -> bool:
        with suppress(OSError):
            return self._stat(path) is not None
        return False

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


def _padding(size: int) -> bytes:
    """This many bytes without meaning, which no file system compresses."""
    return shake_256(b"keyform").digest(size)
