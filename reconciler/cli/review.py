"""What a run is about, for those who look at its results in a pull request."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

from reconciler.cli.terminal import Terminal
from reconciler.errors import ConfigError, KeyformError
from reconciler.report.about import About

_KINDS = {"show": "plan"}
"""Commands whose results replace those of another."""


def describe_run(args: argparse.Namespace, terminal: Terminal, error: KeyformError | None = None) -> About:
    """From the command line, the files once they are read, and the error if there is one."""
    stack, project = getattr(args, "about", ("", 0))
    if not stack and isinstance(error, ConfigError):
        stack, project = error.stack, error.project
    folder = root = ""
    with suppress(OSError):  # the working folder may be gone
        here = Path.cwd()
        folder = str(here)
        root = next((str(each) for each in (here, *here.parents) if (each / ".git").exists()), folder)
    kind = "drift" if getattr(args, "drift", False) else _KINDS.get(args.command, args.command)
    saved = getattr(args, "plan_file", None)
    files = tuple(getattr(args, "file", None) or [saved or "keyform.yaml"])
    return terminal.masked(About(kind, stack, project, files, folder, root))


def without_credentials(error: KeyformError, terminal: Terminal) -> KeyformError:
    """The same for a renderer that takes sentences apart: what it parts could not be recognised afterwards."""
    kind = type(error)
    found = kind.__new__(kind)  # its own constructor takes other arguments than those that every error has
    for name, value in vars(error).items():
        setattr(found, name, terminal.masked(value))
    return found
