"""What a run is about, for results that others look up again: a comment by its marker, a finding by its file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class About:
    """`kind` is `plan`, `drift`, `diff` or `validate`; `stack` and `project` are empty until they are known.

    `project` is a number, or, where no variable is read, the text in the file.

    `files` are those of the command line, `folder` is the working folder and `root` the top of the repository, both
    absolute.
    """

    kind: str = "plan"
    stack: str = ""
    project: int | str = 0
    files: tuple[str, ...] = ()
    folder: str = ""
    root: str = ""


NOTHING_KNOWN = About()
