"""One run of the command: parse, dispatch, and turn whatever happens into text and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence

from reconciler.cli.parser import build_parser, parse_arguments
from reconciler.cli.terminal import Terminal, flush_output
from reconciler.errors import Interrupted, KeyformError

COMMANDS = {
    "init": "reconciler.cli.init",
    "validate": "reconciler.cli.validate",
    "plan": "reconciler.cli.plan",
    "apply": "reconciler.cli.apply",
    "destroy": "reconciler.cli.apply",
    "status": "reconciler.cli.status",
    "rotate": "reconciler.cli.rotate",
    "verify": "reconciler.cli.verify",
    "emulator": "reconciler.cli.emulator",
    "demo": "reconciler.cli.demo",
}
"""Where each command's `run` is; imported only when it is asked for."""


def main(argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> int:
    """Run `keyform` with these arguments and this environment (default: the process's); gives the exit code.

    Usage errors, `--help` and `--version` end in SystemExit, as argparse has it.
    """
    try:
        args = parse_arguments(sys.argv[1:] if argv is None else argv)
    except SystemExit:
        flush_output()  # `keyform --help | head`
        raise
    if args.command is None:
        build_parser().print_help(sys.stderr)
        return 1
    terminal = Terminal.open(os.environ if env is None else env, no_color=args.no_color, log_level=args.log_level)
    try:
        code: int = importlib.import_module(COMMANDS[args.command]).run(args, terminal)
    except KeyformError as error:
        terminal.fail(error)
        code = error.exit_code
    except KeyboardInterrupt:
        # Only while nothing is being changed: apply takes the signals for itself.
        terminal.tell("\nInterrupted: nothing was changed.")
        code = Interrupted.exit_code
    except OSError as error:
        # What no stage expects, such as a working folder that is gone.
        where = f"{error.filename}: " if error.filename else ""
        terminal.fail(KeyformError(f"{where}{error.strerror or type(error).__name__}."))
        code = 1
    if argv is None and threading.active_count() > 1:
        # A reading was given up that still waits for a connection: the process would wait for it, up to half a minute.
        os._exit(code)
    return code
