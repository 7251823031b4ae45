"""The stack's files as they were at a commit: what `diff` and `plan --base` compare with.

A ref is compared at its merge base with HEAD: what others have committed to that branch since then does not count.
Where no ref is given, it is the base of the pull request that the pipeline names, or else HEAD.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from reconciler.cli.files import names_of
from reconciler.cli.terminal import Terminal
from reconciler.errors import ConfigError, Finding, KeyformError
from reconciler.model import DesiredState, Written

if TYPE_CHECKING:
    from reconciler.effects import Effects
    from reconciler.history import History, Object

_BRANCHES = (
    "GITHUB_BASE_REF",
    "SYSTEM_PULLREQUEST_TARGETBRANCH",
    "BUILDKITE_PULL_REQUEST_BASE_BRANCH",
    "CHANGE_TARGET",
)
"""Variables in which a pipeline names the branch that a pull request goes to."""
_COMMITS = ("CI_MERGE_REQUEST_DIFF_BASE_SHA", "BITBUCKET_PR_DESTINATION_COMMIT")
"""Variables in which a pipeline names a commit of that branch."""
_BRANCH = re.compile(r"(?!-)(?!.*(\.\.|//|@\{))[^\x00-\x20~^:?*\[\\\x7f]{1,200}")
_COMMIT = re.compile("[0-9a-f]{7,64}")
_MERGE_OF_A_PULL_REQUEST = re.compile("refs/pull/[0-9]+/merge")
_MOST_LOOKED_THROUGH = 100_000
_MOST_CANDIDATES = 50
"""Files that are looked at, to find where a file was before."""


@dataclass(frozen=True, slots=True)
class Ref:
    """What to compare with: a commit's name for git (`""`: the first parent of HEAD), how it is called, who says so."""

    name: str
    called: str
    said_by: str = ""
    is_merged: bool = False
    """HEAD may be the merge commit of a pull request, whose first parent is the base."""


@dataclass(frozen=True, slots=True)
class BaseFile:
    """The stack's files at the merge base of `ref` and HEAD, whose full id is `commit`.

    `desired` is None if there were none (`is_absent`), or if they cannot be read, for the reasons in `faults`; these
    name a place as `keyform.yaml@a1b2c3d4e5f6:3:5`. `moved_from` is where the file was, if that was another place.
    """

    ref: str
    commit: str
    desired: DesiredState | None
    written: Written = field(default_factory=Written)
    faults: tuple[Finding, ...] = ()
    moved_from: str = ""

    @property
    def is_absent(self) -> bool:
        """Whether the stack has no file there."""
        return self.desired is None and not self.faults

    def state(self, head: DesiredState) -> DesiredState:
        """What it declares; where it declares nothing, an empty stack like `head`."""
        return self.desired or DesiredState(head.stack, head.project, api=head.api)


def read_base(args: argparse.Namespace, terminal: Terminal, ref: str, *, stack: str = "") -> BaseFile:
    """The stack as it was at the merge base of a ref and HEAD, with variables filled in from the environment.

    `stack` is its name, by which a file is found that was in another place. KeyformError if there is no such commit, or
    git cannot tell.
    """
    from reconciler.config import load_texts

    return _read(args, Ref(ref, ref), stack, lambda texts: (load_texts(texts, terminal.env), Written()), terminal.env)


def read_base_as_written(args: argparse.Namespace, env: Mapping[str, str], ref: Ref, *, stack: str) -> BaseFile:
    """The same without a look at the environment: variables stay as they are written."""
    from reconciler.config import read_texts

    return _read(args, ref, stack, read_texts, env)


def head_of(args: argparse.Namespace) -> str:
    """The full id of the commit that is checked out around the files; nothing if git cannot tell."""
    from reconciler.effects import System

    with closing(System()) as effects, suppress(KeyformError):
        history, _ = _find(args, effects)
        return history.head()
    return ""


def choose_base(named: str | None, env: Mapping[str, str]) -> Ref:
    """What to compare with: as named, or as the pipeline of a pull request names it, or else HEAD."""
    if named is not None:
        return Ref(named, named)
    for variable in _BRANCHES:
        if said := env.get(variable, ""):
            branch = said.removeprefix("refs/heads/")
            if not _BRANCH.fullmatch(branch):
                raise _no_ref(variable, "a branch")
            is_merged = bool(_MERGE_OF_A_PULL_REQUEST.fullmatch(env.get("GITHUB_REF", "")))
            return Ref(f"refs/remotes/origin/{branch}", f"origin/{branch}", variable, is_merged)
    for variable in _COMMITS:
        if said := env.get(variable, ""):
            if not _COMMIT.fullmatch(said):
                raise _no_ref(variable, "a commit")
            return Ref(said, said, variable)
    return Ref("HEAD", "HEAD")


def _no_ref(variable: str, what: str) -> KeyformError:
    return KeyformError(
        f"The environment variable {variable} does not hold the name of {what}.",
        way_out="Name what to compare with: --base origin/main.",
    )


# --- Where the files are ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Given:
    """A path of `--file`: as it was given, and below the work tree."""

    path: Path
    inside: PurePath


def _find(args: argparse.Namespace, effects: Effects) -> tuple[History, list[_Given]]:
    """The repository of the files, and where they are in it."""
    from reconciler.git import Repository, repositories_around, written_by_strangers
    from reconciler.history import History

    here = Path.cwd()
    around_here = repositories_around(here, effects)
    found: list[_Given] = []
    tree: Path | None = None
    strangers: list[Path] = [each for each in around_here if each.parent != each]
    for name in names_of(args):
        if name == "-":
            raise KeyformError(
                "Standard input has no history to compare with.", way_out="Pass the file itself to --file."
            )
        path = Path(name)
        whole = Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve() would follow links
        folder = whole if whole.is_dir() else whole.parent
        trees = repositories_around(folder, effects)
        if not trees:
            raise KeyformError(
                f"{path} is in no git repository, so there is nothing to compare it with.",
                way_out="Run it in a clone of the repository that has the file.",
            )
        _check_tree(path, whole, trees, around_here[0] if around_here else None, effects)
        if tree not in (None, trees[0]):
            raise KeyformError(
                f"{path} is in another repository than the files before it: {trees[0]}, not {tree}.",
                way_out="Compare the files of one repository at a time.",
            )
        tree = trees[0]
        strangers += written_by_strangers(effects.real_path(folder), folder, effects)
        found.append(_Given(path, _inside(whole, tree, effects)))
    assert tree is not None  # noqa: S101 - there is a path
    return History(Repository(tree, strangers, effects)), found


def _check_tree(path: Path, whole: Path, trees: Sequence[Path], here: Path | None, effects: Effects) -> None:
    """Refuse a repository inside another, and one that a link in another leads to, unless the work is done in it.

    Otherwise a change could put the file into a repository with a history of its author's choice.
    """
    passed = {effects.real_path(each) for each in (whole, *whole.parents) if os.path.lexists(each / ".git")}
    others = (passed | {*trees}) - {trees[0]}
    if others and here != trees[0]:
        raise KeyformError(
            f"{path} is in a repository ({trees[0]}) inside another ({max(others, key=lambda each: len(str(each)))}).",
            way_out="Run keyform in the one whose history counts; the content of a submodule cannot be compared from"
            " outside it.",
        )


def _inside(whole: Path, tree: Path, effects: Effects) -> PurePath:
    """The path below the work tree as it was given, since a link on the way may be new; else, as it is."""
    for place in reversed((whole, *whole.parents)):
        if effects.real_path(place) == tree:
            return whole.relative_to(place)
    return effects.real_path(whole.parent).relative_to(tree) / whole.name


# --- What they were ---------------------------------------------------------------------------------------------------


def _read(
    args: argparse.Namespace,
    ref: Ref,
    stack: str,
    load: Callable[[Sequence[tuple[Path, bytes]]], tuple[DesiredState, Written]],
    env: Mapping[str, str],
) -> BaseFile:
    from reconciler.effects import System

    with closing(System()) as effects:
        history, given = _find(args, effects)
        commit = _commit_of(history, ref, env)
        reading = _Reading(history, commit)
        moved_from = ""
        for each in given:
            reading.add(each, history.look(commit, each.inside))
        if reading.is_empty and stack and len(given) == 1 and given[0].path.is_file():
            moved_from = reading.add_moved(stack)
        if reading.is_empty:
            return BaseFile(ref.called, commit, None)
        texts = reading.contents()
    if reading.faults:
        return BaseFile(ref.called, commit, None, faults=tuple(reading.faults), moved_from=moved_from)
    try:
        desired, written = load(texts)
    except ConfigError as error:
        names = [str(path) for path, _ in texts]
        faults = tuple(replace(each, where=_then(each.where, names, commit)) for each in error.findings)
        return BaseFile(ref.called, commit, None, faults=faults, moved_from=moved_from)
    return BaseFile(ref.called, commit, desired, written, moved_from=moved_from)


def _commit_of(history: History, ref: Ref, env: Mapping[str, str]) -> str:
    """The merge base of a ref and HEAD."""
    try:
        return history.merge_base(ref.called, history.commit_of(ref.name))
    except KeyformError as error:
        head = history.head()
        parents = history.parents(head) if ref.is_merged and env.get("GITHUB_SHA", head) == head else []
        if len(parents) == 2:
            return parents[0]
        if not ref.said_by:
            raise
        advice = f"{error.way_out} {ref.said_by} names it; with --base, another."
        if ref.is_merged:
            advice = (
                "Check out with `fetch-depth: 2` (actions/checkout), so that the commit before the merge is there, or"
                f" with `fetch-depth: 0`. {ref.said_by} names the branch; with --base, another."
            )
        raise KeyformError(error.message, way_out=advice) from None


class _Reading:
    """The files of a stack at a commit, and what is wrong with them."""

    def __init__(self, history: History, commit: str) -> None:
        self._history = history
        self._commit = commit
        self._found: dict[Path, tuple[Path, str]] = {}
        self.faults: list[Finding] = []

    @property
    def is_empty(self) -> bool:
        """Whether there are no files."""
        return not self._found and not self.faults

    def add(self, given: _Given, found: Object) -> None:
        """A path that was given, with what is there; nothing if that is nothing."""
        from reconciler.config.files import MAX_FILES
        from reconciler.history import Kind

        match found.kind:
            case Kind.FILE:
                self._add_file(given.path, found.id)
            case Kind.FOLDER:
                for path, id_ in self._files_in(given, found):
                    self._add_file(path, id_)
            case Kind.OUTSIDE:
                self._refuse(given.path, *_LEADS_OUT)
            case Kind.OTHER:
                self._refuse(given.path, "is neither a file nor a folder", "Name a file of this repository.")
            case Kind.ABSENT:
                pass
        if len(self._found) > MAX_FILES:
            self._refuse(given.path, f"there are more than {MAX_FILES} files", "Use fewer files.")

    def _add_file(self, path: Path, id_: str) -> None:
        if str(path).encode("utf-8", "replace").decode().isprintable():
            self._found.setdefault(path.absolute(), (path, id_))
        else:
            self._refuse(path, "the file's name has unprintable characters", "")

    def _files_in(self, given: _Given, folder: Object) -> Iterator[tuple[Path, str]]:
        from reconciler.config.files import is_named_like_a_part
        from reconciler.history import Kind

        for entry in self._history.entries(folder):
            if not is_named_like_a_part(entry.name):
                continue
            if entry.kind is Kind.FILE:
                yield given.path / entry.name, entry.id
            elif entry.kind is None:
                target = self._history.look(self._commit, given.inside / entry.name)
                if target.kind is Kind.FILE:
                    yield given.path / entry.name, target.id
                elif target.kind is not Kind.FOLDER:
                    self._refuse(given.path / entry.name, *_LEADS_OUT)

    def add_moved(self, stack: str) -> str:
        """The one file of this stack that has gone from the work tree since, and where it was; nothing if unclear."""
        from reconciler.config import find_stack
        from reconciler.config.files import MAX_BYTES, is_named_like_a_part
        from reconciler.history import Kind

        tree = self._history.tree
        gone = [
            path
            for path in self._history.files_below(self._commit, _MOST_LOOKED_THROUGH)
            if is_named_like_a_part(path.name) and not os.path.lexists(tree / path)
        ]
        if len(gone) > _MOST_CANDIDATES:
            return ""
        objects = [self._history.look(self._commit, path) for path in gone]
        files = [(path, each) for path, each in zip(gone, objects, strict=True) if each.kind is Kind.FILE]
        if sum(each.size for _, each in files) > MAX_BYTES:
            return ""
        contents = self._history.read([each.id for _, each in files])
        same = [
            (path, each) for (path, each), content in zip(files, contents, strict=True) if find_stack(content) == stack
        ]
        if len(same) != 1:
            return ""
        ((path, found),) = same
        self._add_file(Path(os.path.relpath(tree / path)), found.id)
        return str(path)

    def contents(self) -> list[tuple[Path, bytes]]:
        """The paths and contents of all of them; nothing if something is wrong."""
        from reconciler.config.files import MAX_BYTES

        ids = [id_ for _, id_ in self._found.values()]
        paths = [path for path, _ in self._found.values()]
        if not self.faults and sum(self._history.sizes(ids)) > MAX_BYTES:
            size = f"the stack's files are larger than {MAX_BYTES // 1_000_000} MB together"
            self._refuse(paths[0], size, "")
        return [] if self.faults else list(zip(paths, self._history.read(ids), strict=True))

    def _refuse(self, path: Path, message: str, way_out: str) -> None:
        self.faults.append(Finding(_at(str(path), self._commit), "", message, way_out))


_LEADS_OUT = ("is a symbolic link that leads to no file of the repository", "Replace the link with the file.")


def _at(file: str, commit: str) -> str:
    from reconciler.history import SHORT

    return f"{file}@{commit[:SHORT]}"


def _then(where: str, files: Sequence[str], commit: str) -> str:
    """A place in a file, or a file, with the commit at which it was."""
    for file in sorted(files, key=len, reverse=True):
        if where == file or where.startswith(f"{file}:"):
            return _at(file, commit) + where.removeprefix(file)
    return where
