"""`keyform init`: a commented keyform.yaml to start from."""

from __future__ import annotations

import argparse
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from reconciler.cli.terminal import Terminal
from reconciler.errors import KeyformError

IGNORED = ("secrets.env", "secrets.json")
"""What the template's local sinks write, and people copy: never for git."""

MAX_BYTES = 1_000_000
"""Of a .gitignore that is added to."""


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
    """The folder's name, as a stack's name may be."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")[:40].strip("-")
    return name or "inference"


@dataclass(frozen=True, slots=True)
class Ignored:
    """A .gitignore as it was found, byte for byte, and what it lacks. Whoever made the folder may have made it a link,
    or a pipe: it is neither followed nor waited for, and a change replaces the file in one step."""

    path: Path
    content: bytes
    mode: int
    missing: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """What it holds; KeyformError when it is no file that could be added to."""
        from reconciler.config.files import read_regular_file

        content: bytes | None = b""
        mode = 0o644
        try:
            if os.path.lexists(path):
                mode = stat.S_IMODE(path.lstat().st_mode)
                content = read_regular_file(path, MAX_BYTES + 1)
        except OSError as error:
            raise _cannot_update(path, error.strerror) from None
        if content is None or len(content) > MAX_BYTES:
            raise _cannot_update(path, "it is no regular file of at most 1 MB")
        lines = content.splitlines()
        return cls(path, content, mode, tuple(name for name in IGNORED if name.encode() not in lines))

    def add(self) -> None:
        """Add what is missing."""
        gap = b"" if not self.content or self.content.endswith(b"\n") else b"\n"
        lines = "".join(f"{name}\n" for name in self.missing).encode()
        try:
            number, new = tempfile.mkstemp(prefix=".gitignore-", dir=self.path.parent)
            try:
                with os.fdopen(number, "wb") as file:
                    file.write(self.content + gap + b"# secrets that keyform writes\n" + lines)
                    os.fchmod(file.fileno(), self.mode)
                Path(new).replace(self.path)
            except BaseException:
                Path(new).unlink()
                raise
        except OSError as error:
            raise _cannot_update(self.path, error.strerror) from None


def _cannot_update(path: Path, reason: str | None) -> KeyformError:
    names = " and ".join(IGNORED)
    return KeyformError(f"{path} cannot be updated: {reason}.", way_out=f"make it a file that holds {names}")
