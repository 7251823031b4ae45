"""Paths -> texts: which files make the stack, and whether each is a text that YAML can be read from.

A folder may hold anything that a pull request put there. keyform opens only regular files, never blocks on one, and
follows no link out of the folder in which the file is given: `keyform.yaml -> ..data/keyform.yaml`, as in a mounted
ConfigMap, stays inside; `keyform.yaml -> /proc/self/environ` does not.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePath

from reconciler.config.tree import Found, Mark

SUFFIXES = frozenset({".yaml", ".yml"})
MAX_BYTES = 4_000_000
"""The limit for all files of a stack together: ten thousand keys with every field take about half of it."""
MAX_FILES = 1000
STDIN = Path("<stdin>")
"""Means standard input; a relative path in it starts at the working folder."""

_NOT_ALLOWED = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML does not count as printable (YAML 1.1, 5.1)."""
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ONE_FILE = "Use fewer files, or split them into several stacks."


def find_files(paths: Sequence[Path]) -> tuple[list[Path], list[Found]]:
    """The files that make the stack, each once: those given, and those of a folder that is given, in order of name."""
    files: dict[Path, Path] = {}
    findings: list[Found] = []
    for path in paths:
        try:
            found = {file.absolute(): file for file in (sorted(_files_in(path)) if path.is_dir() else [path])}
        except (OSError, ValueError) as error:
            findings.append(_unreadable(path, error))
            continue
        if not found:
            message, way_out = "the folder holds no *.yaml or *.yml file", "Run `keyform init` to create one."
            if unread := find_unread([path]):
                way_out = f"Its subfolders are not read: pass {', '.join(map(str, unread[:5]))} instead."
            findings.append(_fault(path, message, way_out))
        for absolute, file in found.items():
            files.setdefault(absolute, file)
        if len(files) > MAX_FILES:
            findings.append(_fault(path, f"there are more than {MAX_FILES} files", _ONE_FILE))
            return [], findings
    return list(files.values()), findings


def find_unread(paths: Sequence[Path]) -> list[Path]:
    """The subfolders of the given ones that hold YAML files, too: keyform does not read those."""
    found = []
    for path in paths:
        with suppress(OSError, ValueError), os.scandir(path) as entries:
            inner = sorted(Path(entry) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
            found += [each for each in inner if _holds_files(each)]
    return found


def _holds_files(folder: Path) -> bool:
    with suppress(OSError):
        return bool(_files_in(folder))
    return False


def _files_in(folder: Path) -> list[Path]:
    """Everything named like a YAML file there, except folders and hidden files: `.yamllint.yaml`, an editor's own.

    That includes unreadable files: the keys of a file that is skipped would be deleted by a plan.
    """
    with os.scandir(folder) as entries:
        return [
            folder / entry.name for entry in entries if is_named_like_a_part(entry.name) and not Path(entry).is_dir()
        ]


def is_named_like_a_part(name: str) -> bool:
    """Whether what has this name in a folder is one of its files: YAML, and not hidden."""
    return PurePath(name).suffix in SUFFIXES and not name.startswith(".")


def read_text(path: Path, room: int = MAX_BYTES) -> tuple[str, int] | Found:
    """The text of a file, without a byte order mark, and its size in bytes, `room` at most; or why there is none."""
    if not re.sub("[\udc80-\udcff]", "", str(path)).isprintable():  # a byte that is not text here may be text elsewhere
        return _fault(path, "the file's name has unprintable characters", "Rename it.")
    try:
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(os.path.realpath(path.parent)):
            way_out = "Replace the link with the file, or use the path that it points to."
            return _fault(path, "is a symbolic link that leads out of its folder; keyform does not follow it", way_out)
        content = read_regular_file(real, room + 1)
    except FileNotFoundError:
        return _fault(path, "no such file", "Run `keyform init` to create one.")
    except (OSError, ValueError) as error:
        return _unreadable(path, error)
    if content is None:
        return _fault(path, "is not a regular file", "Check the path.")
    return decode(content, path, room)


def decode(content: bytes, path: Path, room: int) -> tuple[str, int] | Found:
    """What was read of a file, as `read_text` gives it."""
    if len(content) > room:
        return _fault(path, f"the stack's files are larger than {MAX_BYTES // 1_000_000} MB together", _ONE_FILE)
    text = _decode(content, str(path))
    return text if isinstance(text, Found) else (text, len(content))


def read_regular_file(path: Path, size: int) -> bytes | None:
    """The beginning of a regular file; None for anything else, including a link. OSError as everywhere."""
    if not stat.S_ISREG(path.lstat().st_mode):  # before opening it, because opening affects some devices
        return None
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        return stream.read(size) if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else None


def _fault(path: Path, message: str, way_out: str) -> Found:
    shown = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in str(path)[:500])
    return Found(None, (), message, way_out, file=shown)


def _unreadable(path: Path, error: Exception) -> Found:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "its name is not valid"
    return _fault(path, f"cannot be read: {reason}", "Check the path and its permissions.")


def _decode(content: bytes, file: str) -> str | Found:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", "replace")
        kind = "UTF-16" if content.startswith(_UTF_16) else "not UTF-8"
        return Found(_mark_after(before, file), (), f"the file is {kind}", "Save it as UTF-8 text.")
    if match := _NOT_ALLOWED.search(text):
        message = "YAML does not allow this control character"
        return Found(_mark_after(text[: match.start()], file), (), message, "Check the file: it must be text.")
    return text


def _mark_after(before: str, file: str) -> Mark:
    lines = _LINE_BREAK.split(before)
    return Mark(file, len(lines), len(lines[-1]) + 1)
