"""`${NAME}` -> the environment's value, for the few variables that a file may read and the few settings that take one.

The author of the file must not be able to read the environment: it holds credentials. So a variable's name shows that
its value is public (`KEYFORM_VAR_…`), like Terraform's `TF_VAR_…`. For any other name, an error does not even say
whether it is set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from reconciler.config.showing import ask_for, nearest_name, shown_name
from reconciler.config.tree import Entry, Findings, Found, Listing, Mark, Node, Path, Scalar, Table, WayOut
from reconciler.model import is_quoted
from reconciler.sinks.declared import Kind, sink_types

PREFIX = "KEYFORM_VAR_"
PROJECT = "GCORE_CLOUD_PROJECT_ID"
MAX_LENGTH = 1024
"""The limit of a variable's value, in characters, and of a text in which variables are filled in."""

_PROJECT_NUMBER = re.compile("0{0,9}[1-9][0-9]{0,17}", re.ASCII)
_UNBRACED = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*(/|$)", re.ASCII)
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)


def may_be_read(name: str) -> bool:
    """Whether a file may read the variable of this name."""
    return name == PROJECT or (name.startswith(PREFIX) and name != PREFIX)


def fill_variables(root: Table, env: Mapping[str, str] | None) -> tuple[Table, list[Found]]:
    """The tree with its variables filled in, so that their values are checked like text in the file.

    A text with a wrong variable stays as it is; without an `env`, all texts do, and no variable is looked up.
    """
    findings = Findings()
    entries = {name: _fill_entry(entry, env, (name,), findings) for name, entry in root.entries.items()}
    return Table(entries, root.mark), findings


def _fill_entry(entry: Entry, env: Mapping[str, str] | None, path: Path, findings: Findings) -> Entry:
    match entry.node:
        case Table(entries=entries, mark=mark) if (path[0] in ("lock", "sinks") and len(path) < 3) or _has_texts(path):
            filled = {name: _fill_entry(inner, env, (*path, name), findings) for name, inner in entries.items()}
            return Entry(entry.mark, Table(filled, mark))
        case Scalar(value=str(text)) as node if "$" in text and _may_read_variables(path) and _is_known(path):
            found = _find_faults(node, text, env, path)
            findings.add(*found)
            return entry if found or env is None else Entry(entry.mark, replace(node, value=_fill(text, env, path)))
        case _:
            return entry


def _fill(text: str, env: Mapping[str, str], path: Path) -> str | int:
    if path != ("project",):
        return _REFERENCE.sub(lambda match: env[match[1]], text)
    whole = _REFERENCE.fullmatch(text)
    return parse_project(env[whole[1]]) or text if whole else text


def parse_project(text: str) -> int | None:
    """A project's number from a variable; None if it is not a number."""
    number = text.strip()
    return int(number) if _PROJECT_NUMBER.fullmatch(number) else None


def way_out_of_project(text: str) -> str:
    """What to do about a variable that holds no project's number."""
    if is_quoted(text):
        return "It has quotation marks around it, which are part of the value: set it without them."
    return "Its value must be a whole number of 1 or more."


def _find_faults(node: Scalar, text: str, env: Mapping[str, str] | None, path: Path) -> list[Found]:
    if len(text) > MAX_LENGTH:
        return [Found(node.mark, path, f"has more than {MAX_LENGTH} characters", "Use a shorter one.")]
    findings = [
        Found(node.mark, path, *finding)
        for name in dict.fromkeys(_REFERENCE.findall(text))
        if (finding := _check_variable(name, env, is_project=path == ("project",)))
    ]
    if "${" in _REFERENCE.sub("", text):
        message = "invalid variable: use `${NAME}`"
        findings.append(Found(node.mark, path, message, "A name consists of letters, digits and underscores."))
    if _is_file_path(path) and _UNBRACED.match(text):
        # Nobody wants a folder that is literally named `$HOME`, with secrets in it.
        message = "begins with a variable without braces, which is not supported"
        findings.append(Found(node.mark, path, message, f"Write `${{{PREFIX}NAME}}/…`; `~/` is your home folder."))
    return findings


def _check_variable(name: str, env: Mapping[str, str] | None, *, is_project: bool) -> tuple[str, WayOut] | None:
    """What is wrong with a variable, and the way out."""
    shown = shown_name(name)
    if not may_be_read(name):
        message = f"a file can read only `{PREFIX}…` and `{PROJECT}`"
        return message, f"If it is not a secret, export it as `{PREFIX}{shown or 'NAME'}` and use that name."
    if env is None:
        return None
    the_variable = f"the environment variable {f'`{shown}`' if shown else 'named here'}"
    value = env.get(name, "")
    if not value:
        return f"{the_variable} is {'empty' if name in env else 'not set'}", lambda: _suggest(name, env)
    if is_project:
        message = f"{the_variable} does not hold a project's number"
        return (message, way_out_of_project(value)) if parse_project(value) is None else None
    if not value.isprintable() or "{" in value or "}" in value or len(value) > MAX_LENGTH:
        message = f"{the_variable} has an invalid value"
        return message, f"Its value must be one line of at most {MAX_LENGTH} printable characters, without braces."
    return None


def _suggest(name: str, env: Mapping[str, str]) -> str:
    near = None if name in env else nearest_name(name, [each for each in env if may_be_read(each) and shown_name(each)])
    return ask_for(near) or "Set it where keyform runs."


def find_variables(node: Node, path: Path = ()) -> Iterator[Path]:
    """The place of every value that depends on a variable, apart from `project`, whose form says all about it."""
    match node:
        case Scalar(value=str(text)) if "${" in text and path != ("project",) and _may_read_variables(path):
            yield path
        case Table(entries=entries):
            for name, entry in entries.items():
                yield from find_variables(entry.node, (*path, name))
        case _:
            pass


def find_misplaced_variables(node: Node, path: Path = ()) -> Iterator[Found]:
    """Every `${` where no variable is read, in values and in names."""
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


def _misplaced(mark: Mark, path: Path) -> Found:
    way_out = "Variables are supported in `project` and in the settings of a sink; write the value itself here."
    if path[0] == "sinks" and len(path) > 3 and not _has_texts(path[:3]):
        # Others can see arguments, so a variable with a secret in it must not get there.
        way_out = "A command can use `{key}`, `{stack}` and `{generation}`, and can read its environment."
    return Found(mark, path, "`${…}` is not supported here", way_out)


def _has_texts(path: Path) -> bool:
    """Whether the user chooses the names of the texts there."""
    options = (option.name for each in sink_types().values() for option in each.options if option.kind is Kind.TEXTS)
    return len(path) == 3 and path[0] == "sinks" and path[2] in set(options)


def _is_known(path: Path) -> bool:
    """Whether the file has such a field: a field that it does not have is reported as unknown, and nothing else."""
    return (
        path[0] != "sinks"
        or _has_texts(path[:-1])
        or path[-1]
        in {
            "type",
            *(option.name for each in sink_types().values() for option in each.options),
        }
    )


def _is_file_path(path: Path) -> bool:
    """Whether a file is named there."""
    options = (option for each in sink_types().values() for option in each.options if option.kind is Kind.FILE_PATH)
    return path == ("lock", "path") or (path[0] == "sinks" and path[-1] in {option.name for option in options})


def _may_read_variables(path: Path) -> bool:
    if path in (("project",), ("lock", "path")) or _has_texts(path[:-1]):
        return True
    return len(path) == 3 and path[0] == "sinks" and path[2] != "type"
