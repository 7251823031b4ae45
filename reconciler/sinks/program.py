"""Whether the system could start a program: checked as exec would, without starting it.

An executable file is not enough: the first line of a script names the program that runs it. A script saved with Windows
line ends names `/bin/sh\\r`, which does not exist.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.reach import printable

if TYPE_CHECKING:
    from reconciler.effects import Effects

_NAME = re.compile(r"[A-Za-z0-9_.+][A-Za-z0-9_.+-]*")
_INSTALL = "Install it, or correct the script's first line."
_SAVE = "Save the script with Unix line endings (LF), for example with `sed -i 's/\\r$//' FILE`."


def why_not_started(program: Path, folder: Path, effects: Effects) -> tuple[str, str] | None:
    """What is wrong with an executable file, and the way out; None if nothing is visible.

    The system starts it in `folder`. Checks only the first line, and whether the program that it names exists.
    """
    try:
        head = effects.first_bytes(program)
    except OSError:
        return None  # a program need not be readable
    if not head.startswith(b"#!"):
        if head and not _is_text(head):
            return None
        first = "begins with a byte order mark" if head.startswith(b"\xef\xbb\xbf") else "does not begin with `#!`"
        return (
            f"cannot be started: it {'is empty' if not head else first}",
            "Begin it with the program that runs it, such as `#!/bin/sh`.",
        )
    line = head[2:].partition(b"\n")[0]
    if line.endswith(b"\r"):
        shown = printable(line.decode(errors="replace").strip(" \t"))
        return f"cannot be started: its first line ends in CR, and there is no program {shown}", _SAVE
    interpreter, *arguments = line.decode(errors="surrogateescape").split(maxsplit=1) or [""]
    # The system expects a path, and does not search PATH.
    if not interpreter or effects.find_program(str(folder / interpreter)) is None:
        named = printable(interpreter) or "no program"
        return f"cannot be started: its first line names {named}, which does not exist", _INSTALL
    asked = arguments[0].strip() if arguments and Path(interpreter).name == "env" else ""
    if _NAME.fullmatch(asked) and effects.find_program(asked) is None:
        return f"cannot be started: its first line asks env for {asked}, which is not on PATH", _INSTALL
    return None


def _is_text(head: bytes) -> bool:
    """Whether a person could have written it; its last character may be cut off."""
    text = head.decode(errors="ignore")
    is_whole = len(text.encode()) >= len(head) - 3
    return is_whole and all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text)
