"""Tree -> DesiredState. What the schema already refused is skipped; errors that only the meaning shows are reported
here.
"""

from __future__ import annotations

import json
import os.path
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path, PurePath

from reconciler.config.environment import MAX_LENGTH, PROJECT, parse_project, way_out_of_project
from reconciler.config.moving import build_farewells, build_moves
from reconciler.config.paths import is_in_git_folder, leaves_folder
from reconciler.config.schema import LONGEST_TEXT
from reconciler.config.tree import (
    Findings,
    Found,
    Listing,
    Mark,
    Node,
    Scalar,
    Table,
    entries_of,
    find_mark,
    find_node,
    place_of,
)
from reconciler.config.tree import Path as TreePath
from reconciler.config.values import parse_duration, parse_instant
from reconciler.model import (
    APIS,
    DEFAULT_API,
    Auth,
    DesiredBinding,
    DesiredEndpoint,
    DesiredKey,
    DesiredState,
    EndpointKind,
    EndpointRef,
    LockKind,
    LockSettings,
    Safety,
    SinkSettings,
    Warnings,
    as_kept,
)
from reconciler.model import LONGEST_TEXT as LONGEST_DESCRIPTION
from reconciler.sinks.declared import Kind, sink_types

_CHECK_PATH = "Use visible characters, and check the values of its variables."
MAX_SINKS = 20
DEFAULT_LOCK_FILE = ".keyform.lock"
SOMEBODY = {"HOME": "/home of a user"}
"""Where the environment is not looked at: `~/` leads to one place, whichever it is."""
SECTIONS = {"deployments": EndpointKind.DEPLOYMENT, "applications": EndpointKind.APPLICATION}


@dataclass(slots=True)
class _Build:
    """What building one state needs and finds."""

    root: Table
    env: Mapping[str, str]
    is_symbolic: bool = False
    """Variables are not filled in: a value that depends on one is its text."""
    findings: Findings = field(default_factory=Findings)

    def text(self, *path: str | int) -> str | None:
        node = find_node(self.root, path)
        return node.value if isinstance(node, Scalar) and isinstance(node.value, str) else None

    def number(self, *path: str | int) -> int | None:
        node = find_node(self.root, path)
        is_number = isinstance(node, Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool)
        return node.value if is_number else None  # type: ignore[union-attr,return-value]

    def switch(self, *path: str | int) -> bool | None:
        node = find_node(self.root, path)
        return node.value if isinstance(node, Scalar) and isinstance(node.value, bool) else None

    def texts(self, *path: str | int) -> Iterator[tuple[str, Mark, TreePath]]:
        """The texts of a list, or the only text, with their places."""
        node = find_node(self.root, path)
        items = enumerate(node.items) if isinstance(node, Listing) else [(None, node)]
        for index, item in items:
            if isinstance(item, Scalar) and isinstance(item.value, str):
                yield item.value, item.mark, (*path, *(() if index is None else (index,)))

    def refuse(self, path: TreePath, message: str, way_out: str = "") -> None:
        self.findings.add(Found(find_mark(self.root, path), path, message, way_out))


def build_state(root: Table, env: Mapping[str, str] | None) -> tuple[DesiredState, list[Found]]:
    """What the file says, in order of name, and what is wrong with its meaning; with an error, the state is only a
    sketch.

    Without an `env`, `root` has its variables as they are written; a project that is one is 0.
    """
    build = _Build(root, SOMEBODY if env is None else env, is_symbolic=env is None)
    stack = build.text("stack") or ""
    state = DesiredState(
        stack=stack,
        project=_build_project(build),
        api=api if (api := build.text("api")) in APIS else DEFAULT_API,
        keys=tuple(_build_keys(build)),
        endpoints=tuple(sorted(_build_endpoints(build), key=lambda endpoint: endpoint.ref)),
        sinks=tuple(_build_sinks(build)),
        safety=_build_safety(build),
        lock=_build_lock(build),
        warnings=_build_warnings(build),
        moves=tuple(build_moves(root, stack, frozenset(entries_of(root, "keys")))),
        farewells=tuple(build_farewells(root)),
        place=replace(place_of(root.mark, ()), line=1, column=1),
    )
    return state, build.findings


def _build_project(build: _Build) -> int:
    """The project's number: that of the environment, if set, so that no file chooses another."""
    number = build.number("project") or 0
    if (said := build.env.get(PROJECT, "").strip()) and number:
        allowed = parse_project(said)
        if allowed is None:
            message = f"the environment variable `{PROJECT}` does not hold a project's number"
            build.refuse(("project",), message, way_out_of_project(said))
        elif allowed != number:
            message = f"is not the project of this environment: `{PROJECT}` is {allowed}"
            build.refuse(
                ("project",), message, f"Write `${{{PROJECT}}}`, or set it to this project where keyform runs."
            )
    return number


def _build_safety(build: _Build) -> Safety:
    max_deletes, max_replacements = (build.number("safety", name) for name in ("max_deletes", "max_replacements"))
    return Safety(
        max_deletes=Safety().max_deletes if max_deletes is None else max_deletes,
        allow_empty=build.switch("safety", "allow_empty") or False,
        max_replacements=Safety().max_replacements if max_replacements is None else max_replacements,
    )


def _build_warnings(build: _Build) -> Warnings:
    if not isinstance(find_node(build.root, ("warnings", "expiry")), Listing):
        return Warnings()
    lengths = {_read_duration(build, text, path) for text, _, path in build.texts("warnings", "expiry")} - {None}
    return Warnings(expiry=tuple(sorted((length for length in lengths if length is not None), reverse=True)))


def _build_lock(build: _Build) -> LockSettings:
    kind = build.text("lock", "type")
    text = build.text("lock", "path")
    mark = find_mark(build.root, ("lock",) if text is None else ("lock", "path"))
    path = None
    if kind == "file" or text is not None:
        path = _resolve_path(build, text or DEFAULT_LOCK_FILE, mark, ("lock", "path"))
    if path is not None and (problem := leaves_folder(path, Path(mark.file).parent)):
        way_out = "Write a path in the folder of this file, such as `.keyform.lock`."
        build.refuse(
            ("lock", "path"), f"a lock file must be in the folder of this file or below it: {problem}", way_out
        )
    return LockSettings(LockKind(kind) if kind in tuple(LockKind) else LockKind.API, path or "")


def _build_endpoints(build: _Build) -> Iterator[DesiredEndpoint]:
    for section, kind in SECTIONS.items():
        for name, entry in entries_of(build.root, section).items():
            auth = build.text(section, name, "auth")
            stacks = tuple(stack for stack, _, _ in build.texts(section, name, "exclusive", "stacks"))
            yield DesiredEndpoint(
                ref=EndpointRef(kind, name),
                auth=Auth(auth) if auth in tuple(Auth) else None,
                exclusive=build.switch(section, name, "exclusive") or bool(stacks),
                exclusive_stacks=tuple(sorted(stacks)),
                place=place_of(entry.mark, (section, name)),
            )


# --- Keys -------------------------------------------------------------------------------------------------------------


def _build_keys(build: _Build) -> Iterator[DesiredKey]:
    default_sinks = _build_names(build, ("defaults", "sink"))
    default_rotation = _build_rotation(build, ("defaults",))
    default_prevent = build.switch("defaults", "prevent_destroy") or False
    default_prove = build.switch("defaults", "prove") or False
    for name, entry in sorted(entries_of(build.root, "keys").items()):
        rotation = default_rotation | _build_rotation(build, ("keys", name))
        expires = find_node(build.root, ("keys", name, "expires_at")) is not None
        prevent = build.switch("keys", name, "prevent_destroy")
        prove = build.switch("keys", name, "prove")
        key = DesiredKey(
            name=name,
            description=_build_description(build, ("keys", name, "description")),
            expires_at=_build_expiry(build, ("keys", name, "expires_at")),
            bindings=tuple(sorted(_build_bindings(build, name), key=lambda binding: binding.endpoint)),
            sinks=_build_names(build, ("keys", name, "sink")) or default_sinks,
            prevent_destroy=default_prevent if prevent is None else prevent,
            adopt=build.text("keys", name, "adopt"),
            every=rotation.get("every"),
            # A key's own expiry takes precedence over a lifetime from `defaults`.
            lifetime=None if expires else rotation.get("lifetime"),
            prove=default_prove if prove is None else prove,
            says_expiry=expires,
            place=place_of(entry.mark, ("keys", name)),
        )
        chosen = rotation.get("overlap")
        yield key if chosen is None else replace(key, overlap=chosen)


def _build_description(build: _Build, path: TreePath) -> str | None:
    """The text as the API stores it, composed and trimmed: some characters become several by that. None: not set."""
    written = build.text(*path)
    if written is None:
        return None
    text = as_kept(written)
    if len(text) > LONGEST_DESCRIPTION >= len(written):  # a longer one is refused already
        message = f"has {len(text)} characters in Unicode's composed form (NFC), which the API keeps"
        build.refuse(path, message, f"Shorten it to {LONGEST_DESCRIPTION} characters.")
    return text


def _build_names(build: _Build, path: TreePath) -> tuple[str, ...]:
    """The sinks of a list, no more than the schema allows: each rule checks each sink of each key."""
    return tuple(name for name, _, _ in islice(build.texts(*path), MAX_SINKS))


def _build_rotation(build: _Build, owner: TreePath) -> dict[str, timedelta | None]:
    """What the file says about rotation there, and nothing else; `never` is None."""
    said = entries_of(build.root, *owner, "rotation")
    return {name: _build_duration(build, (*owner, "rotation", name)) for name in said}


def _build_bindings(build: _Build, key: str) -> Iterator[DesiredBinding]:
    for section, kind in SECTIONS.items():
        for name, mark, path in build.texts("keys", key, section):
            yield DesiredBinding(EndpointRef(kind, name), place_of(mark, path))


def _build_duration(build: _Build, path: TreePath) -> timedelta | None:
    text = build.text(*path)
    return None if text is None or text == "never" else _read_duration(build, text, path)


def _read_duration(build: _Build, text: str, path: TreePath) -> timedelta | None:
    duration = parse_duration(text)
    if duration is None:
        build.refuse(path, "is longer than ten years (`3650d`)", "Use a shorter one.")
    return duration


def _build_expiry(build: _Build, path: TreePath) -> datetime | None:
    text = build.text(*path)
    if text is None or text == "never":
        return None
    instant = parse_instant(text)
    if instant is None:
        build.refuse(path, "there is no such day, time or zone", "Check the day of the month, the hour and the offset.")
    return instant


# --- Sinks ------------------------------------------------------------------------------------------------------------


def _build_sinks(build: _Build) -> Iterator[SinkSettings]:
    types = sink_types()
    for name, entry in sorted(entries_of(build.root, "sinks").items()):
        kind = build.text("sinks", name, "type") or ""
        declared = types[kind].options if kind in types else ()
        options = {
            option.name: value
            for option in declared
            if (value := _build_option(build, ("sinks", name, option.name), option.kind)) is not None
        }
        written = {
            option.name: _as_written(find_node(build.root, ("sinks", name, option.name)), option.default)
            for option in declared
            if option.chooses_place
        }
        destination = json.dumps({"type": kind, **written}, sort_keys=True)
        yield SinkSettings(name, kind, options, place_of(entry.mark, ("sinks", name)), destination)


def _build_option(
    build: _Build, path: TreePath, kind: Kind
) -> str | bool | int | tuple[str, ...] | Mapping[str, str] | None:
    """The value of an option, by its kind; None if it is not set."""
    node = find_node(build.root, path)
    if build.is_symbolic and isinstance(node, Scalar) and "${" in node.text:
        return node.text
    if kind is Kind.TEXTS:
        texts = {name: build.text(*path, name) for name in entries_of(build.root, *path)}
        return {name: text for name, text in texts.items() if text is not None} if isinstance(node, Table) else None
    if kind is Kind.COMMAND:
        return tuple(text for text, _, _ in build.texts(*path)) if isinstance(node, Listing) else None
    if kind is Kind.DURATION:
        duration = _build_duration(build, path)
        return None if duration is None else int(duration.total_seconds())
    if not isinstance(node, Scalar) or len(node.text) > LONGEST_TEXT:
        return None
    if kind is Kind.FILE_PATH:
        return _resolve_path(build, node.value, node.mark, path) if isinstance(node.value, str) else None
    return node.value


def _as_written(node: Node | None, default: object) -> object:
    """A value as written in the file, including its variables; the default if it is not set."""
    match node:
        case Scalar():
            return node.text
        case Listing():
            return [_as_written(item, None) for item in node.items]
        case _:
            return default


def _resolve_path(build: _Build, text: str, mark: Mark, path: TreePath) -> str | None:
    """An absolute path; a relative one begins at the folder of its file. Links are not followed."""
    if "${" in text or len(text) > MAX_LENGTH:
        return None  # reported already
    if not text.isprintable() or PurePath(text).name in ("", "..") or text.endswith(("/", "/.")):
        build.refuse(
            path, "is not the path of a file: it ends like a folder, or has characters that cannot be seen", _CHECK_PATH
        )
        return None
    if text.startswith("~"):
        home = build.env.get("HOME", "")
        if not text.startswith("~/"):
            build.refuse(path, "only `~/` is supported, not the home folder of another user", "Write the path out.")
            return None
        if not home.startswith("/") or not home.isprintable():
            message = "`~/` cannot be expanded: `HOME` is not set, or is not an absolute path"
            build.refuse(path, message, "Set `HOME`, or write the path out.")
            return None
        text = home + text[1:]
    folder = os.path.abspath(PurePath(mark.file).parent)  # noqa: PTH100 - Path.resolve() would follow links
    whole = os.path.abspath(os.path.join(folder, text))  # noqa: PTH100, PTH118
    if is_in_git_folder(whole, folder):
        build.refuse(path, "is in a `.git` folder, where keyform never writes", "Choose another folder.")
        return None
    return whole


def describe_node(node: Node) -> str:
    """The kind of this value, for a file whose top is not a map."""
    match node:
        case Listing():
            return "a list"
        case Scalar(value=None):
            return "nothing"
        case _:
            return "a single value"
