"""`keyform init`: a commented keyform.yaml to start from, its schema for editors, and a .gitignore for its secrets."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from reconciler.cli.files import regular_mode, write_whole
from reconciler.cli.terminal import Terminal
from reconciler.errors import KeyformError

IGNORED = ("secrets.env", "secrets.json")
"""What the template's local sinks write, and people copy: never for git."""

WAY_OUT = f"make it a file that holds {' and '.join(IGNORED)}"
SCHEMA = Path("schemas", "keyform.schema.json")
"""Next to keyform.yaml, where its first line tells an editor to look. It is in git, so that it works for the whole
team.

The file names no address: an editor would fetch whatever that serves, and not what this version reads.
"""
_FREE_SCHEMA = f"remove it, or make {SCHEMA.parent} a folder of your own"
MAX_BYTES = 1_000_000
"""The limit of a .gitignore that is added to."""


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Write the file, unless there is one, and what belongs to it; existing files stay as they are."""
    from reconciler.config.template import template

    path = Path(args.file)
    stack = args.stack or stack_from_folder(path.absolute().parent)
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", stack):
        raise KeyformError(
            "--stack is not a stack's name.", way_out="use lower-case letters, digits and hyphens, at most 40 of them"
        )
    schema = path.parent / SCHEMA
    ignored, has_schema = None, False
    if not os.path.lexists(path):  # an error comes before anything is written
        ignored = Ignored.read(path.parent / ".gitignore")
        has_schema = regular_mode(schema, way_out=_FREE_SCHEMA) is not None
    text = template(stack=stack, project=args.project, schema=f"./{SCHEMA.as_posix()}", api=args.api)
    try:
        with path.open("x", encoding="utf-8") as file:  # which follows no link, a dangling one neither
            file.write(text)
    except FileExistsError:
        way_out = "remove it, or give another --file"
        raise KeyformError(f"{path} is there already; it was left as it is.", way_out=way_out) from None
    except OSError as error:
        raise KeyformError(f"{path} cannot be written: {error.strerror}.", way_out="give another --file") from None
    terminal.say(f"Wrote {path}.")
    if ignored is not None and ignored.missing:
        ignored.add()
        terminal.say(f"Added {', '.join(ignored.missing)} to {ignored.path}.")
    if has_schema:
        terminal.say(f"Kept {schema}; `keyform schema` prints the one of this version.")
    else:
        write_schema(schema)
        terminal.say(f"Wrote {schema}, by which editors check and complete {path.name}.")
    terminal.say("", "Next: run `keyform plan`, and name your own keys and deployments in the file.")
    return 0


def write_schema(path: Path) -> None:
    """Write the schema of this version where the file says that it is."""
    from reconciler.config import schema_path

    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise KeyformError(f"{path.parent} cannot be made: {error.strerror}.", way_out=_FREE_SCHEMA) from None
    write_whole(path, schema_path().read_bytes(), way_out=_FREE_SCHEMA)


def stack_from_folder(folder: Path) -> str:
    """The folder's name, as a valid name of a stack."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")[:40].strip("-")
    return name or "inference"


@dataclass(frozen=True, slots=True)
class Ignored:
    """A .gitignore as it was found, byte for byte, and what it lacks."""

    path: Path
    content: bytes
    missing: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Its content. The author of the folder may have made it a link, or a pipe: a KeyformError, and not read."""
        from reconciler.config.files import read_regular_file

        content: bytes | None = b""
        if regular_mode(path, way_out=WAY_OUT) is not None:
            try:
                content = read_regular_file(path, MAX_BYTES + 1)
            except OSError as error:
                raise KeyformError(f"{path} cannot be read: {error.strerror}.", way_out=WAY_OUT) from None
        if content is None or len(content) > MAX_BYTES:
            raise KeyformError(f"{path} is larger than 1 MB. It was left as it is.", way_out=WAY_OUT)
        lines = content.splitlines()
        return cls(path, content, tuple(name for name in IGNORED if name.encode() not in lines))

    def add(self) -> None:
        """Add what is missing, in one step."""
        gap = b"" if not self.content or self.content.endswith(b"\n") else b"\n"
        lines = "".join(f"{name}\n" for name in self.missing).encode()
        write_whole(self.path, self.content + gap + b"# secrets that keyform writes\n" + lines, way_out=WAY_OUT)
