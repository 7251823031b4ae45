"""Where output goes: results to stdout, everything else to stderr; colour and live progress only on a terminal.

Output never ends a run that is changing something: if a reader went away (`keyform plan | head`), a terminal was closed
or a stream was never open, its output is dropped, and the run continues.

Everything that keyform writes passes here. A renderer's output is text (`show`, `show_aside`). Everything else is given
as lines (`say`, `tell`, `log`, `fail`), and each stays one line whatever it holds. Credentials are masked, and nothing
leaves that a terminal or a CI acts on, but for keyform's own styles.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TextIO, TypeVar

from reconciler.credentials import find_credentials
from reconciler.encoder import LONGEST_LINE, last_net, shown
from reconciler.errors import KeyformError
from reconciler.redaction import Redactor

LEVELS = {"error": 0, "warning": 1, "info": 2, "debug": 3}
WIDTH_OF_A_PIPE = 100
WIDEST = 120
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Terminal:
    """The streams of one run, with what the environment says about them, and what they can show."""

    env: Mapping[str, str]
    colour: bool
    """stdout is a terminal that shows colours."""
    live: bool
    """stderr is a terminal on which lines may be drawn over."""
    interactive: bool
    """There is a person to ask."""
    width: int
    log_level: int
    redactor: Redactor = field(default_factory=Redactor)
    """Knows every credential of the environment, and what the run learns."""
    written: list[bool] = field(default_factory=list)
    """Not empty once there is a result on stdout."""

    @classmethod
    def open(cls, env: Mapping[str, str], *, no_color: bool, log_level: str) -> Terminal:
        """Set up the streams; from now on, what their encoding lacks is written as an escape (`\\u2713`)."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        in_ci = env.get("CI", "").lower() not in ("", "0", "false")
        off = no_color or bool(env.get("NO_COLOR"))
        plain = in_ci or off or env.get("TERM") == "dumb"
        forced = env.get("FORCE_COLOR", "").lower() not in ("", "0", "false")  # if a pipe shows colours, as in CI
        return cls(
            env=env,
            colour=not off and (forced or (_is_terminal(sys.stdout) and not plain)),
            live=_is_terminal(sys.stderr) and _draws(sys.stderr) and not plain,
            interactive=_is_terminal(sys.stdin) and _is_terminal(sys.stderr) and not in_ci,
            width=_width() if _is_terminal(sys.stdout) else WIDTH_OF_A_PIPE,
            log_level=LEVELS[log_level],
            redactor=redactor_for(env),
        )

    @property
    def has_shown(self) -> bool:
        """Whether there is a result on stdout, or a part of one."""
        return bool(self.written)

    def fit(self, text: str, *, is_json: bool = False) -> str:
        """Rendered text as it may leave."""
        return last_net(self.redactor.mask(text, is_json=is_json))

    def masked(self, value: Value) -> Value:
        """Data without credentials, for a renderer: what it cuts or wraps could not be recognised afterwards."""
        return self.redactor.masked(value)

    def show(self, text: str, *, is_json: bool = False) -> None:
        """A rendered result, on stdout. KeyformError if it cannot be written, unless the reader went away."""
        self.written.append(True)
        fault = _write_result(self.fit(text if text.endswith("\n") else f"{text}\n", is_json=is_json))
        if fault is not None:
            raise fault

    def show_aside(self, text: str) -> None:
        """The same on stderr, if stdout is for something else; or nowhere."""
        _write(sys.stderr, self.fit(f"{text}\n"))

    def say(self, *lines: str) -> None:
        """Lines of a result, on stdout."""
        self.show(as_lines(lines, self.redactor))

    def tell(self, *lines: str) -> None:
        """Anything else, on stderr, or nowhere."""
        _write(sys.stderr, last_net(f"{as_lines(lines, self.redactor)}\n"))

    def log(self, level: str, text: str) -> None:
        """Something for those who asked for it with `--log-level`."""
        if LEVELS[level] <= self.log_level:
            self.tell(f"{level}: {text}")

    def fail(self, error: KeyformError) -> None:
        """An error, with its way out."""
        head = "\x1b[1;31mError:\x1b[0m " if self.live else "Error: "
        _write(sys.stderr, last_net(f"{head}{as_lines(error.lines(), self.redactor)}\n"))

    def read_input(self, size: int) -> bytes:
        """The first bytes of standard input, which a program has written; nothing if that is closed."""
        try:
            return sys.stdin.buffer.read(size)
        except (AttributeError, OSError, ValueError):
            return b""

    def approve(self, question: str, *, review: str, refused: str = "Nothing was changed.") -> None:
        """Raise KeyformError unless a person answers `yes`; `review` is what to do before `--auto-approve`, `refused`
        what is so without the approval.
        """
        if not self.interactive:
            raise KeyformError(
                f"stdin is not a terminal, so keyform cannot ask for approval. {refused}",
                way_out=f"{review}, then run again with --auto-approve",
            )
        if self.ask(f"\n{question} Only 'yes' will be accepted to approve: ") != "yes":
            raise KeyformError(f"Not approved. {refused}")

    def ask(self, question: str) -> str:
        """A person's answer to keyform's own words; nothing at the end of input."""
        _write(sys.stderr, last_net(question))
        try:
            return sys.stdin.readline().strip()
        except UnicodeDecodeError:
            return ""


class LastingStream(io.TextIOBase):
    """stderr for code that draws on it from another thread: a closed terminal raises nothing there."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's own."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The stream's descriptor; OSError (`io.UnsupportedOperation`) if it has none."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """The number of characters: all, even if nobody sees them. Nothing but what draws acts on the terminal."""
        _write(self._stream, last_net(text, draws=True))
        return len(text)

    def flush(self) -> None:
        """Nothing is buffered."""


def flush_output() -> KeyformError | None:
    """Write what argparse has left on stdout, so that nothing fails when the process ends; why that cannot be done."""
    return _write_result("")


def _write_result(text: str) -> KeyformError | None:
    """Write on stdout; why that cannot be done, other than for want of a reader."""
    error = _write(sys.stdout, text)
    if error is None or isinstance(error, BrokenPipeError):
        return None
    why = error.strerror or type(error).__name__
    return KeyformError(f"The output cannot be written: {why}.", way_out="check where stdout is redirected to")


def redactor_for(env: Mapping[str, str]) -> Redactor:
    """A redactor that knows every credential in an environment."""
    redactor = Redactor()
    redactor.know(find_credentials(env))
    return redactor


def complain(usage: str, complaint: str, env: Mapping[str, str], *more: str) -> None:
    """A usage error, which repeats arguments; there is no terminal yet. `more` are further lines."""
    _write(sys.stderr, last_net(f"{usage}{as_lines([complaint, *more], redactor_for(env))}\n"))


def as_lines(lines: Iterable[str], redactor: Redactor) -> str:
    """Each as one line, whatever it holds."""
    return "\n".join(shown(redactor.mask(line), longest=LONGEST_LINE) for line in lines)


def _write(stream: TextIO | None, text: str) -> OSError | None:
    """Write at once. A broken stream is redirected to nowhere, so that nothing fails when the process ends."""
    if stream is None or stream.closed:  # Python has None for a stream that was closed before it began
        return None
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        return error
    except RuntimeError:
        # A signal came while its own thread was writing here: what its handler says goes past the buffer.
        with contextlib.suppress(OSError, ValueError):
            os.write(stream.fileno(), text.encode(stream.encoding or "ascii", "backslashreplace"))
    return None


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _draws(stream: TextIO) -> bool:
    """Whether its encoding has the characters that live progress is drawn with."""
    return (stream.encoding or "").lower().replace("-", "").replace("_", "") == "utf8"


def _width() -> int:
    return min(shutil.get_terminal_size((WIDTH_OF_A_PIPE, 24)).columns, WIDEST)
