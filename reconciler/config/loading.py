"""Files -> DesiredState, in five steps: find, read, merge, check against the schema, interpret."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from reconciler.config.building import DEFAULT_LOCK_FILE, build_state, describe_node
from reconciler.config.checking import check_schema
from reconciler.config.content import digest_of
from reconciler.config.environment import fill_variables, find_misplaced_variables, find_variables
from reconciler.config.files import MAX_BYTES, STDIN, decode, find_files, read_text
from reconciler.config.merging import merge_trees
from reconciler.config.parsing import MAX_VALUES, parse_yaml
from reconciler.config.rules import check_meaning
from reconciler.config.showing import shown_name
from reconciler.config.tree import MAX_FOUND, Findings, Found, Mark, Scalar, Table, coded, find_node, render_path
from reconciler.config.tree import Path as TreePath
from reconciler.errors import ConfigError, Finding
from reconciler.model import DesiredState, LockKind, Written

MAX_TOLD = 50
"""How many findings are shown, in the order of the files; the rest is only counted."""


def load_config(
    paths: Sequence[Path], env: Mapping[str, str], read_stdin: Callable[[int], bytes] = lambda _: b""
) -> DesiredState:
    """What the files say, together; a folder means its *.yaml and *.yml files, and `STDIN` for standard input.

    `read_stdin` returns that many bytes of the latter. `${KEYFORM_VAR_…}` is read from `env`. ConfigError with
    the first findings, in the order of the files, and the number of the others; none quotes a value.
    """
    files, findings = find_files(paths)
    if not paths:
        findings.append(Found(None, (), "no configuration file was given", "Run `keyform init` to create one."))
    read = _read_files(files, read_stdin)
    return _load(files, read, coded(findings, "file_is_not_found"), env).state


def load_texts(contents: Sequence[tuple[Path, bytes]], env: Mapping[str, str]) -> DesiredState:
    """What files say that were read elsewhere, each with the path that its relative ones begin at."""
    return _load([file for file, _ in contents], _decode_all(contents), [], env).state


def read_written(
    paths: Sequence[Path], read_stdin: Callable[[int], bytes] = lambda _: b""
) -> tuple[DesiredState, Written]:
    """What the files say, and what they write, whatever the environment: `${...}` stays as it is."""
    files, findings = find_files(paths)
    return _load(files, _read_files(files, read_stdin), coded(findings, "file_is_not_found"), None).both


def read_texts(contents: Sequence[tuple[Path, bytes]]) -> tuple[DesiredState, Written]:
    """The same of files that were read elsewhere."""
    return _load([file for file, _ in contents], _decode_all(contents), [], None).both


def find_stack(content: bytes) -> str:
    """The name of the stack that one file is of, or of which it is a part; nothing if it does not say."""
    read = decode(content, Path(), MAX_BYTES)
    root = None if isinstance(read, Found) else parse_yaml(read[0], "")[0]
    node = find_node(root, ("stack",)) if isinstance(root, Table) else None
    return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else ""


@dataclass(frozen=True, slots=True)
class _Loaded:
    state: DesiredState
    root: Table

    @property
    def both(self) -> tuple[DesiredState, Written]:
        project, lock = (find_node(self.root, path) for path in (("project",), ("lock", "path")))
        project_text, lock_text = (each.text if isinstance(each, Scalar) else "" for each in (project, lock))
        if self.state.lock.kind is LockKind.FILE:
            lock_text = lock_text or DEFAULT_LOCK_FILE
        return self.state, Written(project_text, lock_text)


def _load(
    files: Sequence[Path],
    read: Iterator[tuple[Path, tuple[str, int] | Found]],
    findings: list[Found],
    env: Mapping[str, str] | None,
) -> _Loaded:
    """Parse, merge, check and interpret; without an `env`, variables stay as they are written."""
    trees, more = _parse(read)
    findings += more
    if not trees or len(trees) < len(files) or any(finding.mark is None for finding in findings):
        # The content of a missing part is unknown: checking the rest would find errors that are none.
        raise _refuse(findings, files)
    root, more = merge_trees(trees)
    findings += coded(more, "files_contradict")
    state, filled, more = _check(root, env)
    findings += more
    if findings:
        error = _refuse(findings, files)
        if not any(finding.path[:1] in (("stack",), ("project",)) for finding in findings):
            error.stack = shown_name(state.stack) or ""
            error.project = state.project or (_Loaded(state, filled).both[1].project if env is None else 0)
        raise error
    return _Loaded(replace(state, content=digest_of(filled)), filled)


def _read_files(
    files: Sequence[Path], read_stdin: Callable[[int], bytes]
) -> Iterator[tuple[Path, tuple[str, int] | Found]]:
    room = MAX_BYTES
    for file in files:
        read = decode(read_stdin(room + 1), file, room) if file == STDIN else read_text(file, room)
        yield file, read
        room -= 0 if isinstance(read, Found) else read[1]


def _decode_all(contents: Sequence[tuple[Path, bytes]]) -> Iterator[tuple[Path, tuple[str, int] | Found]]:
    room = MAX_BYTES
    for file, content in contents:
        yield file, decode(content, file, room)
        room -= len(content)


def _parse(files: Iterator[tuple[Path, tuple[str, int] | Found]]) -> tuple[list[Table], list[Found]]:
    trees: list[Table] = []
    findings = Findings()
    values = MAX_VALUES
    for file, read in files:
        if isinstance(read, Found):
            findings.add(*coded([read], "file_is_not_read"))
            continue
        node, found, count = parse_yaml(read[0], str(file), values)
        values -= count
        findings.add(*coded(found, "yaml_is_invalid"))
        if isinstance(node, Table):
            trees.append(node)
        elif node is not None:
            message = f"the file contains {describe_node(node)}, but must be a map (`name: value` lines)"
            way_out = "Run `keyform init` to create one."
            findings.add(Found(node.mark, (), message, way_out, code="type_is_wrong"))
    return trees, findings


def _check(root: Table, env: Mapping[str, str] | None) -> tuple[DesiredState, Table, list[Found]]:
    """Schema, variables and meaning, and the tree with the variables filled in.

    Each place is reported once, by the first check that finds something there. Without an `env`, nothing is known of
    what holds a variable, and so nothing wrong with it.
    """
    misplaced = list(islice(find_misplaced_variables(root), MAX_FOUND))
    left_open = frozenset[TreePath]() if env is not None else frozenset(find_variables(root))
    root, unset = fill_variables(root, env)
    state, unbuildable = build_state(root, env)
    findings: list[Found] = []
    for found in (coded(misplaced, "variable_is_misplaced"), coded(unset, "variable_is_invalid")):
        findings += _untold(found, findings)
    for found in (check_schema(root), coded(unbuildable, "value_is_invalid"), check_meaning(state, root)):
        findings += [each for each in _untold(found, findings) if each.path not in left_open]
    return state, root, findings


def _untold(found: Sequence[Found], findings: Sequence[Found]) -> list[Found]:
    told = {finding.path for finding in findings}
    return [finding for finding in found if finding.path not in told]


def _refuse(findings: Sequence[Found], files: Sequence[Path]) -> ConfigError:
    order = {str(file): index for index, file in enumerate(files)}

    def position(finding: Found) -> tuple[int, Mark, str, str]:
        mark = finding.mark or Mark(finding.file, 0, 0)
        return order.get(mark.file, -1), mark, render_path(finding.path), finding.message

    first = [finding.tell() for finding in sorted(findings, key=position)[:MAX_TOLD]]
    return refuse(first, len(findings), is_all=len(findings) < MAX_FOUND)


def refuse(findings: Sequence[Finding], count: int, *, is_all: bool = True) -> ConfigError:
    """The error with the first findings of `count`; if the search stopped early, there are at least as many."""
    told, least = findings[:MAX_TOLD], "" if is_all else "at least "
    things = "1 error" if count == 1 else f"{least}{count} errors"
    more = []
    if count > len(told):
        more = [Finding("", "", f"and {least}{count - len(told)} more", rule="more_is_wrong")]
    return ConfigError(f"The configuration is invalid: {things}.", [*told, *more])
