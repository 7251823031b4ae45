"""Where output goes: results to stdout, all else to stderr; colour and live progress only where a person looks."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.errors import KeyformError

LEVELS = {"error": 0, "warning": 1, "info": 2, "debug": 3}


@dataclass(frozen=True, slots=True)
class Terminal:
    """The streams of one run, what the environment says, and what they can show."""

    env: Mapping[str, str]
    colour: bool
    """stdout is a terminal that shows colours."""
    live: bool
    """stderr is a terminal on which lines may be drawn over."""
    interactive: bool
    """There is a person to ask."""
    width: int
    log_level: int

    @classmethod
    def open(cls, env: Mapping[str, str], *, no_color: bool, log_level: str) -> Terminal:
        """See what the streams are."""
        plain = no_color or bool(env.get("NO_COLOR")) or env.get("TERM") == "dumb"
        ci = bool(env.get("CI"))
        return cls(
            env=env,
            colour=sys.stdout.isatty() and not plain and not ci,
            live=sys.stderr.isatty() and not plain and not ci,
            interactive=sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty() and not ci,
            width=min(shutil.get_terminal_size((100, 24)).columns, 120) if sys.stdout.isatty() else 100,
            log_level=LEVELS[log_level],
        )

    def show(self, text: str) -> None:
        """A result, on stdout."""
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")

    def tell(self, text: str) -> None:
        """Anything else, on stderr."""
        sys.stdout.flush()
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def log(self, level: str, text: str) -> None:
        """Something for those who asked for it with `--log-level`."""
        if LEVELS[level] <= self.log_level:
            self.tell(f"{level}: {text}")

    def fail(self, error: KeyformError) -> None:
        """An error, with its way out."""
        head = "\x1b[1;31mError:\x1b[0m " if self.live else "Error: "
        self.tell(head + printable(error.diagnostics()))

    def ask(self, question: str) -> str:
        """What a person answers; nothing at the end of input."""
        sys.stdout.flush()
        sys.stderr.write(question)
        sys.stderr.flush()
        return sys.stdin.readline().strip()


def printable(text: str) -> str:
    """Text without control characters other than line ends: what a server says must not move the cursor."""
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)
