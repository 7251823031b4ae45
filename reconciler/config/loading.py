"""Files -> DesiredState, in five steps: find, read, merge, check against the schema, make sense of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.config.building import build_state, describe_node
from reconciler.config.checking import check_schema
from reconciler.config.environment import find_misplaced_variables
from reconciler.config.files import find_files, read_text
from reconciler.config.merging import merge_trees
from reconciler.config.parsing import parse_yaml
from reconciler.config.rules import check_meaning
from reconciler.config.tree import Fault, Mark, Table, render_path
from reconciler.errors import ConfigError
from reconciler.model import DesiredState


def load_config(paths: Sequence[Path], env: Mapping[str, str]) -> DesiredState:
    """What the files say, together; a folder stands for its *.yaml and *.yml files.

    `env` is where `${NAME}` is read from. ConfigError with all findings at once, in the order of the files, none of
    which quotes a value.
    """
    files, faults = find_files(paths)
    if not paths:
        faults.append(Fault(None, (), "no configuration file is given", "`keyform init` writes a first one."))
    trees, more = _read_trees(files)
    faults += more
    if not trees or len(trees) < len(files) or any(fault.mark is None for fault in faults):
        # What a missing part would have said is unknown: checking the rest would find what is not wrong.
        raise _refuse(faults, files)
    root, more = merge_trees(trees)
    faults += more
    state, more = _check(root, env)
    faults += more
    if faults:
        raise _refuse(faults, files)
    return state


def _read_trees(files: Sequence[Path]) -> tuple[list[Table], list[Fault]]:
    trees: list[Table] = []
    faults: list[Fault] = []
    for file in files:
        text = read_text(file)
        if isinstance(text, Fault):
            faults.append(text)
            continue
        node, found = parse_yaml(text, str(file))
        faults += found
        if isinstance(node, Table):
            trees.append(node)
        elif node is not None:
            message = f"the file holds {describe_node(node)}, and must be a map (`name: value` lines)"
            way_out = "`keyform init` writes a first one."
            faults.append(Fault(node.mark, (), message, way_out))
    return trees, faults


def _check(root: Table, env: Mapping[str, str]) -> tuple[DesiredState, list[Fault]]:
    """Schema, variables and meaning; each place is told once, by the first that finds something there."""
    state, unbuildable = build_state(root, env)
    stages = (list(find_misplaced_variables(root)), check_schema(root), unbuildable, check_meaning(state, root))
    faults: list[Fault] = []
    for found in stages:
        told = {fault.path for fault in faults}
        faults += [fault for fault in found if fault.path not in told]
    return state, faults


def _refuse(faults: Sequence[Fault], files: Sequence[Path]) -> ConfigError:
    order = {str(file): index for index, file in enumerate(files)}

    def position(fault: Fault) -> tuple[int, Mark, str, str]:
        mark = fault.mark or Mark(fault.file, 0, 0)
        return order.get(mark.file, -1), mark, render_path(fault.path), fault.message

    findings = [fault.tell() for fault in sorted(faults, key=position)]
    things = "1 thing is" if len(findings) == 1 else f"{len(findings)} things are"
    return ConfigError(f"The configuration is not valid: {things} wrong.", findings)
