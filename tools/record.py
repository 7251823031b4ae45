"""Make the README's pictures: run keyform in a pseudo-terminal, and draw the screen at the end.

The runs are real: an emulator of the API serves on this machine, `keyform` is the installed command, and every byte
that it writes is kept. What a terminal would have drawn over, the live progress, is drawn over here too. Ids, the pace
of the emulator's answers and the moment of the start are fixed, so that another recording differs in little.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import shlex
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from reconciler.emulator import Answer, Emulator, EmulatorServer, Proceed, Request, seed

DOCS = Path(__file__).resolve().parent.parent / "docs"
WIDTH = 100
ROWS = 200
TOKEN = "demo-token"  # noqa: S105 - of the emulator
LONGEST_COMMAND = 60.0

FIRST = """\
version: 1
stack: inference-prod
project: 1234

sinks:
  local: {type: dotenv, path: secrets.env}

defaults:
  sink: local
  rotation: {overlap: 7d}

keys:
  payments-api:
    description: Checkout summaries, owned by team payments
    deployments: [llama3, whisper]
  batch-jobs:
    expires_at: 2028-06-30
    deployments: [llama3]
    applications: [webui]
"""
BEFORE_REVIEW = """\
  contractor-eval:
    deployments: [whisper]
"""
REVIEWED = FIRST.replace("[llama3, whisper]", "[llama3]").replace("2028-06-30", "2028-12-31") + (
    "\ndeployments:\n  playground: {auth: open, exclusive: true}\n"
)
LIVE = {
    "tokens": {TOKEN: [1234]},
    "projects": {
        1234: {
            "api_keys": [{"name": "made-in-portal", "description": "somebody's own"}],
            "deployments": [
                {"name": "llama3", "image": "example/llama3", "api_keys": ["made-in-portal"]},
                {"name": "whisper", "image": "example/whisper", "api_keys": ["made-in-portal"]},
                {"name": "playground", "image": "example/tiny", "api_keys": ["made-in-portal"]},
            ],
            "applications": [
                {
                    "name": "webui",
                    "application_name": "open-webui",
                    "api_keys": ["made-in-portal"],
                    "components": {"web": {"exposed": True}},
                }
            ],
        }
    },
}


def main() -> int:
    """Record every picture; what they are called is what the documentation links to."""
    DOCS.mkdir(exist_ok=True)
    for name, story in (("demo", tell_first_apply), ("status", tell_status), ("review", tell_review)):
        emulator = Emulator(task_seconds=0.8, seed=1)
        seed(emulator, LIVE)
        emulator.interceptor = at_its_own_pace
        with EmulatorServer(emulator) as server, tempfile.TemporaryDirectory(prefix="keyform-record-") as folder:
            story(recorder := Recorder(Path(folder), server.base_url))
        path = DOCS / f"{name}.svg"
        path.write_text(draw(recorder.screen.lines, name=name), encoding="utf-8")
        print(f"{path.relative_to(DOCS.parent)}: {len(recorder.screen.lines)} lines")
    return 0


def tell_first_apply(recorder: Recorder) -> None:
    """From a file to keys in their sink."""
    recorder.write("keyform.yaml", FIRST)
    recorder.run("cat keyform.yaml")
    recorder.run("keyform apply", answers={b"to approve: ": b"yes\n"})


def tell_status(recorder: Recorder) -> None:
    """What came of it."""
    recorder.write("keyform.yaml", FIRST)
    wait_for_whole_second()
    recorder.run("keyform apply --auto-approve", shown=False)
    recorder.run("curl -s -o answer -w '%{http_code}\\n' $LLAMA3/v1/models")
    recorder.source(". ./secrets.env")
    recorder.run("curl -s -o answer -w '%{http_code}\\n' -H \"X-API-Key: $PAYMENTS_API_KEY\" $LLAMA3/v1/models")
    recorder.run("keyform plan")
    recorder.run("keyform status")


def tell_review(recorder: Recorder) -> None:
    """A plan with something of everything."""
    recorder.write("keyform.yaml", FIRST + BEFORE_REVIEW)
    recorder.run("keyform apply --auto-approve", shown=False)
    recorder.write("keyform.yaml", REVIEWED)
    recorder.run("keyform plan")


def at_its_own_pace(request: Request, proceed: Proceed) -> Answer:
    """The API's answer after a while that depends on what was asked, so that what ends first always does."""
    steps = {"POST": 0.15, "PATCH": 0.1}
    names = ("webui", "llama3", "playground", "whisper", "batch-jobs", "contractor-eval", "payments-api")
    about = f"{request.path} {request.body!r}"
    place = next((number for number, name in enumerate(names) if name in about), 0)
    if request.method in steps:
        time.sleep(steps[request.method] + 0.02 * place)
    return proceed(request)


def wait_for_whole_second() -> None:
    """Ages are in whole seconds: begin at the start of one."""
    time.sleep(1.05 - time.time() % 1)


class Recorder:
    """A folder, an environment, and the screen that commands have written to."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.folder = folder
        self.screen = Screen()
        self.sourced = ""
        program = folder / ".bin" / "keyform"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m reconciler "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        self.env = {
            "PATH": f"{program.parent}:{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "GCORE_API_KEY": TOKEN,
            "GCORE_BASE_URL": base_url,
            "LLAMA3": f"{base_url}/dataplane/1234/deployments/llama3",
        }

    def write(self, name: str, text: str) -> None:
        """Put a file there."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, command: str, *, answers: Mapping[bytes, bytes] | None = None, shown: bool = True) -> None:
        """Run one line of shell to its end, as typed at a prompt; it is on the screen unless not `shown`."""
        written = run_in_terminal(self.sourced + command, self.folder, self.env, answers or {})
        if shown:
            self.prompt(command)
            self.screen.feed(written)

    def source(self, command: str) -> None:
        """A line of shell whose variables stay for later commands."""
        self.sourced += f"{command}\n"
        self.run(":", shown=False)
        self.prompt(command)

    def prompt(self, command: str) -> None:
        """Show a command as typed, below an empty line when it follows output."""
        gap = "\n" if self.screen.lines else ""
        self.screen.feed(f"{gap}\x1b[32m$\x1b[0m \x1b[1m{command}\x1b[0m\n")


def run_in_terminal(command: str, folder: Path, env: Mapping[str, str], answers: Mapping[bytes, bytes]) -> str:
    """Everything that a shell command writes to its terminal; each answer is typed when its question has been asked."""
    child, terminal = pty.fork()
    if child == 0:
        try:
            os.chdir(folder)
            os.execve("/bin/sh", ["sh", "-c", command], dict(env))  # noqa: S606 - a shell line is what is recorded
        finally:
            os._exit(127)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, WIDTH, 0, 0))
    written, waiting, deadline = b"", dict(answers), time.monotonic() + LONGEST_COMMAND
    try:
        while chunk := read_some(terminal, deadline):
            written += chunk
            for question in [question for question in waiting if question in written]:
                os.write(terminal, waiting.pop(question))
    finally:
        os.close(terminal)
    _, status = os.waitpid(child, 0)
    text = written.decode("utf-8")
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{command} ended with exit code {code}:\n{text}")
    return text


def read_some(terminal: int, deadline: float) -> bytes:
    """What is there to read; nothing at the end."""
    if not select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
        raise SystemExit("a command took too long")
    try:
        return os.read(terminal, 65536)
    except OSError as error:
        if error.errno == errno.EIO:  # how Linux tells that the other end is closed
            return b""
        raise


class Screen:
    """As much of a terminal as these runs need: lines that grow, a cursor that moves up, erasing, and styles."""

    _CODE = re.compile(r"\x1b\[(?P<arguments>[0-9;?]*)(?P<final>[A-Za-z])|(?P<text>[^\x1b])", re.DOTALL)

    def __init__(self) -> None:
        self._cells: list[list[tuple[str, str]]] = [[]]
        self._row = 0
        self._column = 0
        self._style = ""

    @property
    def lines(self) -> list[str]:
        """The screen, line by line, with ANSI styles; without empty lines at the end."""
        lines = [self._render(line) for line in self._cells]
        while lines and not lines[-1].strip():
            lines.pop()
        return lines

    def feed(self, text: str) -> None:
        """Write to it; raises ValueError for a code that it does not know."""
        position = 0
        while position < len(text):
            match = self._CODE.match(text, position)
            if match is None:
                raise ValueError(f"not a code that this screen knows: {text[position : position + 10]!r}")
            position = match.end()
            if match["text"] is not None:
                self._put(match["text"])
            else:
                self._obey(match["arguments"], match["final"])

    def _put(self, character: str) -> None:
        match character:
            case "\r":
                self._column = 0
            case "\n":
                self._row, self._column = self._row + 1, 0
                if self._row == len(self._cells):
                    self._cells.append([])
            case _:
                line = self._cells[self._row]
                line += [(" ", "")] * (self._column + 1 - len(line))
                line[self._column] = (character, self._style)
                self._column += 1

    def _obey(self, arguments: str, final: str) -> None:
        moves: dict[str, Callable[[int], None]] = {"A": self._move_up, "K": self._erase}
        match final:
            case "m":
                self._style = "" if arguments in ("", "0") else f"{self._style}\x1b[{arguments}m"
            case "h" | "l" if arguments.startswith("?"):
                pass  # the cursor is shown or hidden
            case "A" | "K":
                moves[final](int(arguments or (1 if final == "A" else 0)))
            case _:
                raise ValueError(f"not a code that this screen knows: {arguments}{final}")

    def _move_up(self, count: int) -> None:
        self._row = max(0, self._row - count)

    def _erase(self, how: int) -> None:
        if how == 2:
            self._cells[self._row] = []
        else:
            del self._cells[self._row][self._column :]

    def _render(self, line: list[tuple[str, str]]) -> str:
        text, style = "", ""
        for character, wanted in line:
            if wanted != style:
                text, style = f"{text}\x1b[0m{wanted}", wanted
            text += character
        return f"{text}\x1b[0m" if style else text


# --- Drawing ----------------------------------------------------------------------------------------------------------

THEME = TerminalTheme(
    (22, 27, 34),
    (214, 222, 235),
    [
        (72, 79, 88),
        (255, 123, 114),
        (86, 211, 100),
        (227, 179, 65),
        (121, 192, 255),
        (210, 168, 255),
        (86, 212, 221),
        (214, 222, 235),
    ],
)
# As rich's own, without the fonts that it has loaded from elsewhere: each machine's own monospace font will do.
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "SF Mono", SFMono-Regular, Menlo, "Cascadia Mono", Consolas, "DejaVu Sans Mono",
    "Liberation Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ display: none }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw(lines: list[str], *, name: str) -> str:
    """The lines as an SVG, one element a line, so that a change of one shows as that."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi("\n".join([*lines, ""])), soft_wrap=True)
        svg = console.export_svg(
            title="", theme=THEME, code_format=FORMAT, font_aspect_ratio=0.6, unique_id=f"keyform-{name}"
        )
    svg = svg.replace("</text><text", "</text>\n<text")
    if re.search(r"url\((?!#)|href|@import", svg):
        raise SystemExit("the picture refers to something outside of itself")
    return "\n".join(line.strip() for line in svg.splitlines() if line.strip()) + "\n"


if __name__ == "__main__":
    sys.exit(main())
