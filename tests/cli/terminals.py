"""A terminal for a process: what it draws there can be waited for, and typed into."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cli.processes import PATIENCE, Running, wait_until
from cli.stage import World

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A process on a terminal, and everything that it wrote there."""

    def __init__(self, running: Running, master: int) -> None:
        self.running = running
        self._master = master
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # what reading gives once the other side is closed
            while chunk := os.read(self._master, 65536):
                self._seen += chunk

    @property
    def raw(self) -> str:
        """With its escape codes."""
        return self._seen.decode("utf-8", "replace").replace("\r\n", "\n")

    @property
    def text(self) -> str:
        """Without them."""
        return ESCAPES.sub("", self.raw)

    def wait_for(self, text: str) -> None:
        wait_until(
            lambda: text in self.text or self.running.process.poll() is not None,
            f"{text!r} on the terminal",
            lambda: self.text,
        )
        assert text in self.text, self.text

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Wait for the process; gives its exit code."""
        code = self.running.finish().code
        self._reader.join(PATIENCE)
        return code


@contextmanager
def on_terminal(
    world: World, *argv: str, columns: int = 100, env: dict[str, str] | None = None, **streams: Any
) -> Iterator[Terminal]:
    """keyform with its three streams on a terminal, but for those that are given."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    whole = {"TERM": "xterm-256color", "LANG": "C.UTF-8", **(env or {})}
    pipes: dict[str, Any] = {"stdin": slave, "stdout": slave, "stderr": slave, **streams}
    try:
        running = world.start(*argv, env=whole, start_new_session=True, **pipes)
    finally:
        os.close(slave)
    terminal = Terminal(running, master)
    try:
        yield terminal
        world.search(terminal.raw)
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
        os.close(master)


DEVNULL = subprocess.DEVNULL
