"""Paths -> texts: which files make the stack, and whether each is a text that YAML can be read from."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from pathlib import Path

from reconciler.config.tree import Fault, Mark

SUFFIXES = frozenset({".yaml", ".yml"})
MAX_BYTES = 10_000_000

_NOT_ALLOWED = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML does not count as printable (YAML 1.1, 5.1)."""
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def find_files(paths: Sequence[Path]) -> tuple[list[Path], list[Fault]]:
    """The files that make the stack, each once: those given, and those of a folder that is given, in order of name."""
    files: dict[Path, Path] = {}
    faults: list[Fault] = []
    for path in paths:
        try:
            found = sorted(_files_in(path)) if path.is_dir() else [path]
        except OSError as error:
            faults.append(_unreadable(path, error))
            continue
        if not found:
            message = "the folder holds no *.yaml or *.yml file"
            faults.append(Fault(None, (), message, "`keyform init` writes a first one.", file=str(path)))
        for file in found:
            files.setdefault(file.absolute(), file)
    return list(files.values()), faults


def _files_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file()]


def read_text(path: Path) -> str | Fault:
    """The text of a file, without a byte order mark; or why there is none."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Fault(None, (), "there is no such file", "`keyform init` writes a first one.", file=str(path))
    except (OSError, ValueError) as error:
        return _unreadable(path, error)
    if len(content) > MAX_BYTES:
        return Fault(None, (), "the file is larger than 10 MB", "Is it the right file?", file=str(path))
    return _decode(content, str(path))


def _unreadable(path: Path, error: Exception) -> Fault:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "its name is not one of a file"
    return Fault(None, (), f"cannot be read: {reason}", "Check the path and its permissions.", file=str(path))


def _decode(content: bytes, file: str) -> str | Fault:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", "replace")
        kind = "UTF-16" if content.startswith(_UTF_16) else "something that is not UTF-8"
        return Fault(_mark_after(before, file), (), f"the file is {kind}", "Save it as UTF-8 text.")
    if match := _NOT_ALLOWED.search(text):
        message = "a control character stands here, which YAML does not allow"
        return Fault(_mark_after(text[: match.start()], file), (), message, "Is it the right file? It must be text.")
    return text


def _mark_after(before: str, file: str) -> Mark:
    lines = _LINE_BREAK.split(before)
    return Mark(file, len(lines), len(lines[-1]) + 1)
