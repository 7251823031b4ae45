"""A local file that holds secrets, and the rules for every touch of it.

- reach.py decides where it may be. Outside the folder of the configuration file, an existing file without a record of
  this stack has another owner: keyform neither reads nor writes it, unless the sink is `shared`.
- Ours, a regular file with one name, of mode 0600 or as `mode` and `group` say (local_access.py); a symbolic link is
  refused. A file without a record of this stack has to have that mode already: keyform changes nobody else's mode. Git
  must be unable to commit it, and keyform does not read a file that git tracks.
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

from reconciler.reach import printable
from reconciler.sinks.local_access import FileAccess
from reconciler.sinks.local_place import LocalPlace
from reconciler.sinks.local_words import ACCESS, MAX_BYTES, TEMPORARY_FOLDER

if TYPE_CHECKING:
    from reconciler.effects import Effects

_OTHERS = 0o077

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF})
"""What flock says of a folder where the file system has no such thing."""


class LocalFile(LocalPlace):
    """A file at such a path; `has_record` says whether a content has a record of this stack, even a damaged one.

    `access` is who may read it. No error shows the content.
    """

    def __init__(
        self,
        path: str,
        folder: Path,
        *,
        sink: str,
        shared: bool,
        access: FileAccess,
        has_record: Callable[[bytes], bool],
        effects: Effects,
    ) -> None:
        super().__init__(path, folder, sink=sink, effects=effects)
        self._is_shared = shared
        self._access = access
        self._has_record = has_record
        self._is_strangers = False
        self._is_ours = False
        self._seen: os.stat_result | None = None

    @property
    def exposure(self) -> str:
        """What a review should know before this is written, about the file as it was last read.

        It had another owner; or a group will read it that could not before.
        """
        strangers = (
            f"sink {self._sink} writes to {self.destination}, which is outside the folder of the configuration "
            "file and holds no record of this stack"
        )
        widened = f"sink {self._sink} lets the group {self._access.group} read {self.destination}"
        told = (strangers if self._is_strangers else "", widened if self._access.widens(self._seen) else "")
        return "; ".join(filter(None, told))

    @property
    def drift(self) -> str:
        """What is wrong with its readers, as last seen, and what an apply does; nothing if all is right."""
        if self._seen is None or not self._is_ours:
            return ""
        return self._access.describe_drift(self._seen)

    @property
    def barrier(self) -> str:
        """Why its readers may not reach it; nothing if they can, or if only the owner reads it."""
        with suppress(OSError):
            return self._access.find_barrier(self._folder)
        return ""

    @property
    def is_evidence(self) -> bool:
        """Whether no pull request can have made it: git says that it does not track it, or it is outside the folder.

        A folder without a repository around it can be a copy of one, with everything that was committed.
        """
        return self._git.is_sure and (self._git.has_repository or not self._is_inside)

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
            self._check_access()
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
            self._check_access()
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

        Unchanged content is not written again, unless its mode or group has to change. Missing folders are created:
        0700, or 0710 for the group that may read the file.
        """
        with self._told("cannot be written"):
            self._find()
            self._check_access()
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
                if new == (old or b"") and (old is None or self._has_access(self._path)):
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
        if not self._access.words:
            self._effects.create_file(temporary / name, content)
            return
        self._effects.create_file(temporary / name, content, mode=self._access.mode, gid=self._access.gid)
        if not self._has_access(temporary / name):
            raise self.error(
                f"cannot be written: its file system does not keep {self._access.words} of a new file",
                "Choose a path on a file system that does, or take `mode` and `group` out.",
            )

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

    def _read(self, *, to_write: bool = False) -> bytes | None:
        found = self._check_file()
        if found is None:
            self._is_strangers, self._is_ours, self._seen = False, False, None
            return None
        content = self._effects.read_file(self._path)
        is_ours = self._has_record(content)
        self._is_ours, self._seen = is_ours, found
        self._is_strangers = bool(content) and not is_ours and not self._is_inside
        if self._is_strangers and not self._is_shared:
            raise self.error(
                "already exists outside the folder of the configuration file, without a record of this stack",
                "Choose another path; or, to write into a file that others use, set `shared: true` for this sink.",
            )
        if to_write and not is_ours and not self._access.is_given(found):
            raise self.error(*self._access.refuse_strangers(found))
        return content

    def _make_folders(self) -> None:
        nearest = self._nearest_folder()
        missing = [folder for folder in (self._folder, *self._folder.parents) if folder.is_relative_to(nearest)][:-1]
        for folder in reversed(missing):
            try:
                self._make_folder(folder)
            except FileExistsError:
                continue  # another thread or process was faster
            self._effects.sync_folder(folder.parent)

    def _make_folder(self, folder: Path) -> None:
        if self._access.gid is None:
            self._effects.make_folder(folder)
        else:
            self._effects.make_folder(folder, gid=self._access.gid)

    def _check_access(self) -> None:
        """Refuse an access that this process could not give the file: a group that does not exist, or is not
        its own.
        """
        if trouble := self._access.find_trouble():
            raise self.error(*trouble)

    def _has_access(self, path: Path) -> bool:
        found = self._stat(path)
        return found is not None and self._access.is_given(found)

    def _is_there(self, path: Path) -> bool:
        with suppress(OSError):
            return self._stat(path) is not None
        return False


def _padding(size: int) -> bytes:
    """This many bytes without meaning, which no file system compresses."""
    return shake_256(b"keyform").digest(size)
