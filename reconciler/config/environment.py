"""`${NAME}` -> the environment's value, in connection settings only; a value that was read is never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from reconciler.config.showing import ask_for, nearest_name, shown_name
from reconciler.config.tree import Fault, Listing, Mark, Node, Path, Scalar, Table

_UNBRACED = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*(/|$)", re.ASCII)
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)


def read_variables(text: str, env: Mapping[str, str], mark: Mark, path: Path) -> tuple[str, list[Fault]]:
    """A text with its `${NAME}` filled in, and what is wrong with them; an unset or empty variable gives nothing."""
    faults = [fault for name in _REFERENCE.findall(text) if (fault := _check_variable(name, env, mark, path))]
    filled = _REFERENCE.sub(lambda match: env.get(match[1], ""), text)
    if "${" in _REFERENCE.sub("", text):
        message = "`${` begins a variable that is not written as `${NAME}`"
        faults.append(Fault(mark, path, message, "A name has letters, digits and underscores."))
    if path[-1] == "path" and _UNBRACED.match(text):
        # A folder that is really named `$HOME` is nobody's wish, and secrets would lie in it.
        message = "begins with a variable without braces, which is not read"
        faults.append(Fault(mark, path, message, "Write `${NAME}/…`; `~/` is your home folder."))
    return filled, faults


def _check_variable(name: str, env: Mapping[str, str], mark: Mark, path: Path) -> Fault | None:
    if env.get(name):
        return None
    state = "empty" if name in env else "not set"
    shown = shown_name(name)
    message = f"the environment variable {f'`{shown}`' if shown else 'named here'} is {state}"
    near = None if name in env else nearest_name(name, (each for each in env if shown_name(each)))
    return Fault(mark, path, message, ask_for(near) or "Set it where keyform runs.")


def find_misplaced_variables(node: Node, path: Path = ()) -> Iterator[Fault]:
    """Every `${` outside of the connection settings, in values and in names."""
    match node:
        case Scalar(value=str(text), mark=mark) if "${" in text and not _may_read_variables(path):
            yield _misplaced(mark, path)
        case Listing(items=items):
            for index, item in enumerate(items):
                yield from find_misplaced_variables(item, (*path, index))
        case Table(entries=entries):
            for name, entry in entries.items():
                if "${" in name:
                    yield _misplaced(entry.mark, (*path, name))
                yield from find_misplaced_variables(entry.node, (*path, name))
        case _:
            pass


def _misplaced(mark: Mark, path: Path) -> Fault:
    way_out = "It is read in `project` and in the settings of a sink; write the value itself here."
    if path[0] == "sinks" and path[2:3] in (("write",), ("remove",)):
        # Others can see arguments, so that a variable with a secret in it must not get there.
        way_out = "A command is given `{key}`, `{stack}` and `{generation}`; it can read its own environment."
    return Fault(mark, path, "`${…}` is not read here", way_out)


def _may_read_variables(path: Path) -> bool:
    return path in (("project",), ("lock", "path")) or (len(path) == 3 and path[0] == "sinks" and path[2] != "type")
