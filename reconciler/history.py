"""What a repository held at a commit: the files of a stack as they were, and which commit that is.

Only objects are read, by their ids: no filter, textconv or attribute applies, nothing is checked out, and nothing is
fetched. A ref that somebody else chose is never an option to git.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from reconciler.errors import KeyformError
from reconciler.git import SECONDS, Repository

if TYPE_CHECKING:
    from reconciler.effects import Completed

_ID = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LONGEST_REF = 250
_AT_ONCE = 60
"""Ids that fit in what a child may be given at once (4096 bytes), and then some."""
_LOOK = ("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)")
_FETCH = "If it is a partial clone, clone it without `--filter`, or fetch the file: "
_INSTALL = "Install git, or put it on the PATH, outside of the checkout."
SHORT = 12
"""Characters of a commit's id that are shown."""


class Kind(Enum):
    """What is at a path at a commit."""

    FILE = auto()
    FOLDER = auto()
    ABSENT = auto()
    OUTSIDE = auto()
    """A symbolic link that leads out of the repository, to nothing, or in a circle."""
    OTHER = auto()
    """Neither: a submodule."""


_MODES = {"100644": Kind.FILE, "100755": Kind.FILE, "100664": Kind.FILE, "040000": Kind.FOLDER, "120000": None}
"""What is at a name in a folder, by its mode; None for a symbolic link."""


@dataclass(frozen=True, slots=True)
class Object:
    """What is at a path, with the links in it followed: its id, and its size in bytes."""

    kind: Kind
    id: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder; `kind` is None for a symbolic link, which `History.look` follows."""

    name: str
    kind: Kind | None
    id: str


class History:
    """One repository's commits; every failure is a KeyformError that says what to do."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    @property
    def tree(self) -> Path:
        """The work tree."""
        return self._repository.tree

    def commit_of(self, ref: str, *, how_to_fetch: str = "") -> str:
        """The full id of the commit that a ref names; `how_to_fetch` ends the sentence for one that is not there."""
        if not is_ref(ref):
            way_out = "Name a commit, such as origin/main, HEAD~1, a tag or an id."
            raise KeyformError(f"{_shown(ref)} is not the name of a commit.", way_out=way_out)
        done = self._ask("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        found = done.stdout.strip()
        if done.returncode == 0 and _ID.fullmatch(found):
            return found
        self.head()  # git gives the same status for `@{upstream}` without one as for a repository that it cannot read
        raise KeyformError(
            f"The commit {_shown(ref)} is not in this clone ({self.tree}).",
            way_out=how_to_fetch or self._how_to_fetch(ref),
        )

    def head(self) -> str:
        """The full id of HEAD."""
        done = self._ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        found = done.stdout.strip()
        if done.returncode == 0 and _ID.fullmatch(found):
            return found
        self._check_repository(done)
        raise KeyformError(
            f"There is no commit yet in {self.tree}, so there is nothing to compare with.",
            way_out="Commit the file first, or name a commit with --base.",
        )

    def parents(self, commit: str) -> list[str]:
        """The ids of a commit's parents, as far as the clone has them."""
        asked = [self._ask("rev-parse", "--verify", "--quiet", f"{commit}^{number}^{{commit}}") for number in (1, 2)]
        return [found for each in asked if _ID.fullmatch(found := each.stdout.strip())]

    def merge_base(self, ref: str, commit: str) -> str:
        """Where HEAD went its own way from a commit, which `ref` names."""
        head = self.head()
        if head == commit:
            return commit
        done = self._ask("merge-base", commit, head)
        found = done.stdout.strip()
        if done.returncode == 0 and _ID.fullmatch(found):
            return found
        if self.is_shallow:
            raise KeyformError(
                f"This clone is shallow: it does not reach back to where HEAD and {_shown(ref)} part.",
                way_out="Fetch the whole history: `fetch-depth: 0` for actions/checkout, `GIT_DEPTH: 0` in GitLab, or"
                " `git fetch --unshallow --no-tags origin`.",
            )
        if done.returncode == 1:
            raise KeyformError(
                f"HEAD and {_shown(ref)} have no commit in common.",
                way_out="Name a commit of the same history with --base.",
            )
        raise self._failed(done, "find where the two histories part")

    @property
    def is_shallow(self) -> bool:
        """Whether the clone has only the newest part of the history."""
        return self._ask("rev-parse", "--is-shallow-repository").stdout.strip() == "true"

    def look(self, commit: str, path: PurePath) -> Object:
        """What is at a path below the work tree, with symbolic links followed inside the repository."""
        name = "" if path == PurePath() else path.as_posix()
        if "\n" in name:
            return Object(Kind.ABSENT)  # no such file is read: its name cannot be shown
        done = self._ask(*_LOOK, "--follow-symlinks", stdin=os.fsencode(f"{commit}:{name}\n"))
        found = next(_objects(done.stdout), None)
        if found is None or done.returncode != 0 or found.kind is Kind.ABSENT:
            self._check_absence(commit, path)
        if found is None or done.returncode != 0:
            raise self._failed(done, "find a file")
        return found

    def _check_absence(self, commit: str, path: PurePath) -> None:
        """Raise unless something is really not there: git says the same of what is only missing in a partial clone."""
        prefixes = [PurePath(), *reversed([each for each in path.parents if each != PurePath()]), path]
        for prefix in prefixes:
            name = "" if prefix == PurePath() else prefix.as_posix()
            named = self._ask("rev-parse", "--verify", "--quiet", f"{commit}:{name}")
            id_ = named.stdout.strip()
            if name and (named.returncode != 0 or not _ID.fullmatch(id_)):
                return
            if self._ask("cat-file", "-t", id_ or "-").stdout.strip() != "tree":
                raise KeyformError(
                    f"What was at {name or 'the top'} at the commit {commit[:SHORT]} is not in this clone.",
                    way_out=f"{_FETCH}`git -C {self.tree} cat-file -p {id_ or commit}`. The content of a submodule"
                    " cannot be compared from outside it.",
                )

    def entries(self, folder: Object) -> list[Entry]:
        """Everything in a folder, in order of name."""
        done = self._ask("ls-tree", "-z", folder.id)
        if done.returncode != 0 or (done.raw and not done.raw.endswith(b"\0")):
            raise self._failed(done, "list a folder")
        found = []
        for line in done.raw.split(b"\0")[:-1]:
            about, _, name = line.partition(b"\t")
            mode, _, id_ = about.decode("ascii", "replace").split(" ")
            found.append(Entry(os.fsdecode(name), _MODES.get(mode, Kind.OTHER), id_))
        return found

    def sizes(self, ids: Sequence[str]) -> list[int]:
        """The sizes of files, by their ids."""
        return [size for some in _batches(ids) for size in self._sizes(some)]

    def read(self, ids: Sequence[str]) -> list[bytes]:
        """The contents of files, by their ids, which are some megabytes together at most."""
        return [content for some in _batches(ids) for content in self._contents(some)]

    def files_below(self, commit: str, most: int) -> list[PurePath]:
        """The paths of all files at a commit, up to so many; none if there are more than can be listed."""
        try:
            done = self._repository.ask("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit)
        except TimeoutError:  # a tree of few objects may have any number of paths
            return []
        if done is None or done.returncode != 0 or (done.raw and not done.raw.endswith(b"\0")):
            return []
        names = done.raw.split(b"\0")[:-1]
        return [PurePath(os.fsdecode(name)) for name in names] if len(names) <= most else []

    # --- Asking -------------------------------------------------------------------------------------------------------

    def _ask(self, *question: str, stdin: str | bytes = "") -> Completed:
        try:
            done = self._repository.ask(*question, stdin=stdin)
        except TimeoutError:
            message = f"git did not answer within {SECONDS} seconds in {self.tree}."
            raise KeyformError(message, way_out="See what `git status` says there.") from None
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise KeyformError(f"git cannot be asked: {why}.", way_out=_INSTALL) from None
        if done is None:
            raise KeyformError("There is no git to ask what the file was.", way_out=_INSTALL)
        return done

    def _sizes(self, ids: Sequence[str]) -> Iterator[int]:
        done = self._ask(*_LOOK, stdin="".join(f"{id_}\n" for id_ in ids))
        found = list(_objects(done.stdout))
        if done.returncode != 0 or [each.id for each in found] != [*ids]:
            known = {each.id for each in found}
            raise _not_here(next((id_ for id_ in ids if id_ not in known), ids[0]))
        yield from (each.size for each in found)

    def _contents(self, ids: Sequence[str]) -> Iterator[bytes]:
        done = self._ask("cat-file", "--batch", stdin="".join(f"{id_}\n" for id_ in ids))
        rest = done.raw
        for id_ in ids:
            head, _, rest = rest.partition(b"\n")
            words = head.decode("ascii", "replace").split(" ")
            if done.returncode != 0 or len(words) != 3 or words[:2] != [id_, "blob"] or len(rest) <= int(words[2]):
                raise _not_here(id_)
            yield rest[: int(words[2])]
            rest = rest[int(words[2]) + 1 :]

    def _check_repository(self, done: Completed) -> None:
        """Raise unless git has answered at all."""
        if done.returncode not in (0, 1):
            raise self._failed(done, "name a commit")

    def _failed(self, done: Completed, what: str) -> KeyformError:
        """git's own words are left out: they repeat what others wrote."""
        if done.stderr.startswith("fatal: not a git repository"):
            message = f"git does not take {self.tree} for a repository, although there is a .git in it."
            return KeyformError(message, way_out="See what `git status` says there.")
        return KeyformError(
            f"git could not {what} in {self.tree} (status {done.returncode}).",
            way_out="See what `git fsck` says there.",
        )

    def _how_to_fetch(self, ref: str) -> str:
        branch = ref.removeprefix("refs/remotes/").removeprefix("origin/")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*", branch) or branch.startswith("refs/"):
            return "Check its name, and fetch it: `git fetch origin`, or `fetch-depth: 0` for actions/checkout."
        if _ID.fullmatch(branch):
            return f"Fetch it: `git fetch --no-tags origin {branch}`, or `fetch-depth: 0` for actions/checkout."
        fetch = f"git fetch --no-tags origin {branch}:refs/remotes/origin/{branch}"
        return f"Check its name, and fetch it: `{fetch}`, or `fetch-depth: 0` for actions/checkout."


def is_ref(text: str) -> bool:
    """Whether git may be given a text as the name of a commit: nothing that it takes for an option."""
    return text.isprintable() and not text.startswith("-") and 0 < len(text) <= _LONGEST_REF


def _not_here(id_: str) -> KeyformError:
    message = "The content that a file had at that commit is not in this clone."
    return KeyformError(message, way_out=f"{_FETCH}`git cat-file -p {id_}`.")


def _shown(ref: str) -> str:
    return f"`{ref[:_LONGEST_REF]}`" if ref.isprintable() else "this"


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def _objects(answer: str) -> Iterator[Object]:
    """What `cat-file --batch-check --follow-symlinks` says of each name, on one line or, of a bad link, on two."""
    lines = iter(answer.split("\n"))
    for line in lines:
        words = line.rsplit(" ", 2)
        if line.endswith(" missing"):
            yield Object(Kind.ABSENT)
        elif re.fullmatch("(symlink|dangling|loop|notdir) [0-9]+", line):
            next(lines, "")
            yield Object(Kind.ABSENT if line.startswith("notdir") else Kind.OUTSIDE)
        elif len(words) == 3 and _ID.fullmatch(words[0]) and words[2].isdecimal():
            kinds = {"blob": Kind.FILE, "tree": Kind.FOLDER}
            yield Object(kinds.get(words[1], Kind.OTHER), words[0], int(words[2]))
        elif line:
            yield Object(Kind.OTHER)
