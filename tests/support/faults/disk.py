"""A disk in memory that knows what a crash of the machine would leave of it.

A file's content is durable once `create_file` has returned. An entry of a folder (a new name, a rename, a removal) is
durable once the folder was synced; before that a crash may undo it. A killed process undoes nothing: what it wrote is
seen by everybody, and only its locks go.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

GROUP, GID = "app", 1001
"""The group of a consumer, which reads the files of `json` sinks."""


@dataclass(frozen=True, slots=True)
class Inode:
    """A folder (content None) or a file, with its permissions and its group (None: the process's own)."""

    number: int
    content: bytes | None = None
    permissions: int = 0o600
    gid: int | None = None

    @property
    def mode(self) -> int:
        """As `st_mode` has it."""
        return (stat.S_IFDIR if self.content is None else stat.S_IFREG) | self.permissions

    def is_read_by(self, gid: int) -> bool:
        """Whether members of a group can read it."""
        return self.gid == gid and bool(self.permissions & stat.S_IRGRP)


class Disk:
    """Files and folders by path: as they are seen now, and as a crash would leave them."""

    def __init__(self) -> None:
        self.seen: dict[str, Inode] = {"/": Inode(1, permissions=0o755)}
        self.durable: dict[str, Inode] = dict(self.seen)
        self.locks: set[str] = set()
        self.stored: dict[tuple[str, str], str] = {}
        """What a store that cannot be read back was given, by store and key."""
        self._last = 1

    def copy(self) -> Disk:
        """Another disk with the same on it; locks belong to processes, and are not copied."""
        other = Disk()
        other.seen, other.durable, other.stored = dict(self.seen), dict(self.durable), dict(self.stored)
        other._last = self._last
        return other

    @property
    def is_settled(self) -> bool:
        """Whether a crash would change nothing."""
        return self.seen == self.durable

    def crash(self) -> None:
        """The machine stops: what was not synced is gone."""
        alive: dict[str, Inode] = {}
        for path in sorted(self.durable):
            if path == "/" or str(Path(path).parent) in alive:
                alive[path] = self.durable[path]
        self.seen, self.durable = dict(alive), dict(alive)
        self.locks.clear()

    def files(self) -> dict[str, bytes]:
        """Every file's content, by path."""
        return {path: inode.content for path, inode in self.seen.items() if inode.content is not None}

    def folders(self) -> list[str]:
        """Every folder's path."""
        return [path for path, inode in self.seen.items() if inode.content is None]

    # --- What the effects do, with the errors of the real ones --------------------------------------------------------

    def read(self, path: Path) -> bytes:
        content = self._node(path).content
        if content is None:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        return content

    def create(self, path: Path, content: bytes, permissions: int = 0o600, gid: int | None = None) -> None:
        self._need_folder(path.parent)
        if str(path) in self.seen:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        self.seen[str(path)] = replace(self._inode(content), permissions=permissions, gid=gid)

    def rename(self, source: Path, target: Path) -> None:
        node = self._node(source)
        self._need_folder(target.parent)
        del self.seen[str(source)]
        self.seen[str(target)] = node

    def sync_folder(self, path: Path) -> None:
        self._need_folder(path)
        for name in {*self.seen, *self.durable} - {"/"}:
            if str(Path(name).parent) != str(path):
                continue
            if name in self.seen:
                self.durable[name] = self.seen[name]
            else:
                del self.durable[name]

    def remove(self, path: Path) -> None:
        if str(path) in self.seen and self._node(path).content is None:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        self.seen.pop(str(path), None)

    def make_folder(self, path: Path, gid: int | None = None) -> None:
        self._need_folder(path.parent)
        if str(path) in self.seen:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        made = self._inode(None)
        self.seen[str(path)] = made if gid is None else replace(made, permissions=0o710, gid=gid)

    def remove_folder(self, path: Path) -> None:
        self._need_folder(path)
        if any(str(Path(name).parent) == str(path) for name in self.seen if name != "/"):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(path))
        del self.seen[str(path)]

    def store(self, store: str, key: str, secret: str | None) -> None:
        """Keep a secret in a store that cannot be read back, or remove it."""
        if secret is None:
            self.stored.pop((store, key), None)
        else:
            self.stored[store, key] = secret

    def stat(self, path: Path) -> os.stat_result:
        node = self._node(path)
        size = len(node.content or b"")
        gid = os.getegid() if node.gid is None else node.gid
        return os.stat_result((node.mode, node.number, 1, 1, os.geteuid(), gid, size, 0, 0, 0))

    def exists(self, path: Path) -> bool:
        return str(path) in self.seen

    def _node(self, path: Path) -> Inode:
        try:
            return self.seen[str(path)]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None

    def _need_folder(self, path: Path) -> None:
        if self._node(path).content is not None:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))

    def _inode(self, content: bytes | None) -> Inode:
        self._last += 1
        return Inode(self._last, content, 0o700 if content is None else 0o600)
