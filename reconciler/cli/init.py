"""`keyform init`: a commented keyform.yaml to start from."""

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
MAX_BYTES = 1_000_000
"""The limit of a .gitignore that is added to."""


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Write the file, unless there is one, and make git ignore local secret files."""
    from reconciler.config.template import template

    path = Path(args.file)
    stack = args.stack or stack_from_folder(path.absolute().parent)
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", stack):
        raise KeyformError(
            "--stack is not a stack's name.", way_out="use lower-case letters, digits and hyphens, at most 40 of them"
        )
    ignored = Ignored.read(path.parent / ".gitignore") if not os.path.lexists(path) else None
    try:
        with path.open("x", encoding="utf-8") as file:  # which follows no link, a dangling one neither
            file.write(template(stack=stack, project=args.project))
    except FileExistsError:
        way_out = "remove it, or give another --file"
        raise KeyformError(f"{path} is there already; it was left as it is.", way_out=way_out) from None
    except OSError as error:
        raise KeyformError(f"{path} cannot be written: {error.strerror}.", way_out="give another --file") from None
    terminal.say(f"Wrote {path}.")
    if ignored is not None and ignored.missing:
        ignored.add()
        terminal.say(f"Added {', '.join(ignored.missing)} to {ignored.path}.")
    terminal.say("", "Next: name your keys and deployments in it, then run `keyform validate` and `keyform plan`.")
    return 0


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
