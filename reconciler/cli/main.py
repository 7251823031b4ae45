"""One run of the command: parse, dispatch, and turn whatever happens into text and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType

from reconciler.cli.options import COMMENT_LENGTH, UsageError
from reconciler.cli.parser import build_parser, parse_arguments
from reconciler.cli.terminal import Terminal, complain, flush_output
from reconciler.errors import Interrupted, KeyformError

COMMANDS = {
    "init": "reconciler.cli.init",
    "validate": "reconciler.cli.validate",
    "plan": "reconciler.cli.plan",
    "show": "reconciler.cli.show",
    "diff": "reconciler.cli.diff",
    "apply": "reconciler.cli.apply",
    "destroy": "reconciler.cli.apply",
    "status": "reconciler.cli.status",
    "rotate": "reconciler.cli.rotate",
    "unlock": "reconciler.cli.unlock",
    "verify": "reconciler.cli.verify",
    "doctor": "reconciler.cli.doctor",
    "emulator": "reconciler.cli.emulator",
    "schema": "reconciler.cli.schema",
    "completion": "reconciler.cli.completion",
    "demo": "reconciler.cli.demo",
}
"""The module of each command's `run`; imported only when it runs."""


def main(argv: Sequence[str] | None = None, env: Mapping[str, str] | None = None) -> int:
    """Run `keyform` with these arguments and this environment (default: the process's); gives the exit code.

    `--help`, `--version` and usage errors end in SystemExit, as argparse has it; the latter with 1, since 2 means
    "changes" to a pipeline that asked for it.
    """
    whole = os.environ if env is None else env
    if argv is None:
        leave_out_libraries()
        silence_libraries()
    try:
        args = parse_arguments(sys.argv[1:] if argv is None else argv)
    except UsageError as error:
        complain(error.usage, error.complaint, whole)
        raise SystemExit(1) from None
    except SystemExit:
        if (fault := flush_output()) is not None:  # but not for `keyform --help | head`
            complain("", f"Error: {fault.message}", whole, f"  {fault.way_out}")
            raise SystemExit(1) from None
        raise
    if args.command is None:
        build_parser().print_help(sys.stderr)
        return 1
    if argv is None:
        silence_loggers()
    terminal = Terminal.open(whole, no_color=args.no_color, log_level=args.log_level)
    try:
        code: int = importlib.import_module(COMMANDS[args.command]).run(args, terminal)
    except KeyformError as error:
        terminal.fail(error)
        show_as_result(error, args, terminal)
        code = error.exit_code
    except KeyboardInterrupt:
        # Only while nothing is being changed: apply handles the signals itself.
        terminal.tell("", "Interrupted. Nothing was changed.")
        end_stream(Interrupted("Interrupted. Nothing was changed."), args, terminal)
        code = Interrupted.exit_code
    except OSError as error:
        # What no stage expects, such as a missing working folder.
        where = f"{error.filename}: " if error.filename else ""
        told = KeyformError(f"{where}{error.strerror or type(error).__name__}.")
        terminal.fail(told)
        end_stream(told, args, terminal)
        code = 1
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user: its lines hold what others wrote
        frames = places_of(error.__traceback__)
        told = fault_of_keyform(error, frames)
        terminal.fail(told)
        end_stream(told, args, terminal)
        for frame in frames:
            terminal.log("debug", frame)
        code = 1
    if argv is None and threading.active_count() > 1:
        # An abandoned reading still waits for a connection: the process would wait for it, up to half a minute.
        os._exit(code)
    return code


def show_as_result(error: KeyformError, args: argparse.Namespace, terminal: Terminal) -> None:
    """The error on stdout, too, for whoever asked for a format other than text and has no other result."""
    if end_stream(error, args, terminal):
        return
    shape = "json" if getattr(args, "json", False) else getattr(args, "format", "text")
    if shape == "text" or terminal.has_shown or (args.command == "status" and args.out):
        return
    from reconciler.cli.review import describe_run, without_credentials
    from reconciler.report.formats import IS_JSON, error_as

    told = error if shape in IS_JSON else without_credentials(error, terminal)
    about = describe_run(args, terminal, error)
    if text := error_as(told, shape, limit=getattr(args, "limit", COMMENT_LENGTH), about=about):
        with suppress(KeyformError):
            terminal.show(text, is_json=shape in IS_JSON)


def end_stream(error: KeyformError, args: argparse.Namespace, terminal: Terminal) -> bool:
    """The error as the last event, whatever came before it; false if the command writes no events."""
    from reconciler.cli.events import EventStream, streams

    if not streams(args):
        return False
    with suppress(KeyformError):
        EventStream(terminal).fail(error)
    return True


def fault_of_keyform(error: BaseException, frames: Sequence[str]) -> KeyformError:
    """An unexpected error, by its kind and its place: its text could hold anything."""
    ours = [frame for frame in frames if frame.startswith("reconciler")]
    place = next(reversed(ours or frames), "an unknown location")
    return KeyformError(
        f"Internal error: {type(error).__name__} at {place}. This is a bug in keyform.",
        way_out="Run plan to see what is live. Report this bug with the output of --log-level"
        " debug, which holds no values.",
    )


def places_of(trace: TracebackType | None) -> list[str]:
    """`reconciler.plan.rules:42` for each frame, the outermost first."""
    places: list[str] = []
    while trace is not None:
        places.append(f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}")
        trace = trace.tb_next
    return places[-100:]


def leave_out_libraries() -> None:
    """What jsonschema and httpx load if they find it, for formats and a command line that keyform does not use.

    `rfc3987_syntax` alone has 38 parsers, in 0.8 s.
    """
    for name in ("rfc3987_syntax", "isoduration", "fqdn", "uri_template", "webcolors", "httpx._main"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type] # "not installed", to an import


def silence_libraries() -> None:
    """In a separate process, only keyform writes: no traceback of a thread, no warning, no library's log."""

    def say_nothing(*_: object) -> None:
        """The thread that waits gets the exception; a traceback's lines hold what others wrote."""

    def tell_kind(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """What ends the process outside a command, such as Ctrl-C while it starts."""
        known = fault_of_keyform(error.with_traceback(trace), places_of(trace))
        complain("", "Interrupted." if issubclass(kind, KeyboardInterrupt) else f"Error: {known.message}", os.environ)

    threading.excepthook = say_nothing
    sys.unraisablehook = say_nothing
    sys.excepthook = tell_kind
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def silence_loggers() -> None:
    """A library's log goes nowhere unless the user turns it on: it can hold a whole request."""
    import logging

    logging.lastResort = None
    logging.raiseExceptions = False
