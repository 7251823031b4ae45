"""One run of the command: parse, dispatch, and turn whatever happens into text and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence

from reconciler.cli.parser import build_parser
from reconciler.cli.terminal import Terminal
from reconciler.errors import KeyformError

COMMANDS = {
    "init": "reconciler.cli.init",
    "validate": "reconciler.cli.validate",
    "plan": "reconciler.cli.plan",
    "apply": "reconciler.cli.apply",
    "destroy": "reconciler.cli.apply",
    "status": "reconciler.cli.status",
    "emulator": "reconciler.cli.emulator",
    "demo": "reconciler.cli.demo",
}
"""Where each command's `run` is; imported only when it is asked for."""


def main(argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> int:
    """Run `keyform` with these arguments and this environment (default: the process's); gives the exit code."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 1
    terminal = Terminal.open(os.environ if env is None else env, no_color=args.no_color, log_level=args.log_level)
    try:
        code: int = importlib.import_module(COMMANDS[args.command]).run(args, terminal)
        sys.stdout.flush()
    except KeyformError as error:
        terminal.fail(error)
        return error.exit_code
    except KeyboardInterrupt:
        terminal.tell("Interrupted: nothing was changed.")
        return 130
    except BrokenPipeError:
        # The reader went away (`keyform plan | head`): what is still buffered goes nowhere, and quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code
