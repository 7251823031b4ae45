"""`keyform init`: a commented keyform.yaml to start from."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from reconciler.cli.files import regular_mode, write_whole
from reconciler.cli.terminal import Terminal
from reconciler.errors import KeyformError

IGNORED = ("secrets.env", "secrets.json")
"""What the template's local sinks write, and people copy: never for git."""


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Write the file, unless there is one, and make git ignore local secret files."""
    from reconciler.config.template import template

    path = Path(args.file)
    stack = args.stack or stack_from_folder(path.absolute().parent)
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", stack):
        raise KeyformError(
            "--stack is not a stack's name.", way_out="use lower-case letters, digits and hyphens, at most 40 of them"
        )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(stack=stack, project=args.project))
    except FileExistsError:
        way_out = "remove it, or give another --file"
        raise KeyformError(f"{path} is there already; it was left as it is.", way_out=way_out) from None
    except OSError as error:
        raise KeyformError(f"{path} cannot be written: {error.strerror}.", way_out="give another --file") from None
    terminal.say(f"Wrote {path}.")
    ignore = path.parent / ".gitignore"
    if added := ignore_secrets(ignore):
        terminal.say(f"Added {', '.join(added)} to {ignore}.")
    terminal.say("", "Next: name your keys and deployments in it, then run `keyform validate` and `keyform plan`.")
    return 0


def stack_from_folder(folder: Path) -> str:
    """The folder's name, as a stack's name may be."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")[:40].strip("-")
    return name or "inference"


def ignore_secrets(path: Path) -> list[str]:
    """Add what is missing to a .gitignore; gives what was added."""
    way_out = f"add to it: {', '.join(IGNORED)}"
    try:
        text = path.read_text(encoding="utf-8") if regular_mode(path, way_out=way_out) is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        why = (isinstance(error, OSError) and error.strerror) or "it is no text in UTF-8"
        raise KeyformError(f"{path} cannot be updated: {why}.", way_out=way_out) from None
    missing = [name for name in IGNORED if name not in text.splitlines()]
    if missing:
        gap = "" if not text or text.endswith("\n") else "\n"
        lines = "".join(f"{name}\n" for name in missing)
        write_whole(path, f"{text}{gap}# secrets that keyform writes\n{lines}", way_out=way_out)
    return missing
