"""Files -> DesiredState, in five steps: find, read, merge, check against the schema, interpret."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from reconciler.config.building import build_state, describe_node
from reconciler.config.checking import check_schema
from reconciler.config.environment import fill_variables, find_misplaced_variables
from reconciler.config.files import MAX_BYTES, STDIN, decode, find_files, read_text
from reconciler.config.merging import merge_trees
from reconciler.config.parsing import MAX_VALUES, parse_yaml
from reconciler.config.rules import check_meaning
from reconciler.config.showing import shown_name
from reconciler.config.tree import MAX_FOUND, Findings, Found, Mark, Table, coded, render_path
from reconciler.errors import ConfigError, Finding
from reconciler.model import DesiredState

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
    findings = coded(findings, "file_is_not_found")
    trees, more = _read_trees(files, read_stdin)
    findings += more
    if not trees or len(trees) < len(files) or any(finding.mark is None for finding in findings):
        # The content of a missing part is unknown: checking the rest would find errors that are none.
        raise _refuse(findings, files)
    root, more = merge_trees(trees)
    findings += coded(more, "files_contradict")
    state, more = _check(root, env)
    findings += more
    if findings:
        error = _refuse(findings, files)
        if not any(finding.path[:1] in (("stack",), ("project",)) for finding in findings):
            error.stack, error.project = shown_name(state.stack) or "", state.project
        raise error
    return state


def _read_trees(files: Sequence[Path], read_stdin: Callable[[int], bytes]) -> tuple[list[Table], list[Found]]:
    trees: list[Table] = []
    findings = Findings()
    room, values = MAX_BYTES, MAX_VALUES
    for file in files:
        read = decode(read_stdin(room + 1), file, room) if file == STDIN else read_text(file, room)
        if isinstance(read, Found):
            findings.add(*coded([read], "file_is_not_read"))
            continue
        text, size = read
        node, found, count = parse_yaml(text, str(file), values)
        room, values = room - size, values - count
        findings.add(*coded(found, "yaml_is_invalid"))
        if isinstance(node, Table):
            trees.append(node)
        elif node is not None:
            message = f"the file contains {describe_node(node)}, but must be a map (`name: value` lines)"
            way_out = "Run `keyform init` to create one."
            findings.add(Found(node.mark, (), message, way_out, code="type_is_wrong"))
    return trees, findings


def _check(root: Table, env: Mapping[str, str]) -> tuple[DesiredState, list[Found]]:
    """Schema, variables and meaning; each place is reported once, by the first check that finds something there."""
    misplaced = list(islice(find_misplaced_variables(root), MAX_FOUND))
    root, unset = fill_variables(root, env)
    state, unbuildable = build_state(root, env)
    stages = (
        coded(misplaced, "variable_is_misplaced"),
        coded(unset, "variable_is_invalid"),
        check_schema(root),
        coded(unbuildable, "value_is_invalid"),
        check_meaning(state, root),
    )
    findings: list[Found] = []
    for found in stages:
        told = {finding.path for finding in findings}
        findings += [finding for finding in found if finding.path not in told]
    return state, findings


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
        more = [Finding("", "", f"and {least}{count - len(told)} more", code="more_is_wrong")]
    return ConfigError(f"The configuration is invalid: {things}.", [*told, *more])
