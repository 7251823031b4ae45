"""The options that commands share, and the forms of their values. Nothing heavy is imported here."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NoReturn

COMMENT_LENGTH = 65_536
"""The characters that GitHub takes in a comment."""


class UsageError(Exception):
    """An error in the command line; both texts may be shown, and `complaint` repeats arguments."""

    def __init__(self, usage: str, complaint: str) -> None:
        super().__init__(usage, complaint)
        self.usage = usage
        self.complaint = complaint


class Parser(argparse.ArgumentParser):
    """A parser that raises its usage errors: the code that prints them knows what output must not hold."""

    commands: Mapping[str, Parser] = {}
    """The parser of each command, on the parser of them all."""

    def error(self, message: str) -> NoReturn:
        """Always raises UsageError, with the usage and the complaint separately."""
        raise UsageError(self.format_usage(), f"{self.prog}: error: {message}")

    def options(self) -> Sequence[argparse.Action]:
        """What it takes."""
        return self._actions

    def option_names(self) -> list[str]:
        """`--json` and so on."""
        return [name for action in self._actions for name in action.option_strings if name.startswith("--")]


def output_options() -> Parser:
    """Options of every command."""
    options = Parser(add_help=False)
    options.add_argument("--no-color", action="store_true", help="disable colors")
    options.add_argument(
        "--log-level",
        choices=["error", "warning", "info", "debug"],
        default="warning",
        help="how much to log to stderr: info adds retries, debug adds every request (default: %(default)s)",
    )
    return options


def file_options() -> Parser:
    """Options of commands that read the configuration."""
    options = Parser(add_help=False)
    options.add_argument(
        "-f",
        "--file",
        action="append",
        metavar="FILE",
        help="a configuration file, a folder of them, or - for stdin; can be repeated (default: keyform.yaml)",
    )
    return options


def api_options() -> Parser:
    """Options of commands that call the API."""
    options = Parser(add_help=False)
    options.add_argument(
        "--parallelism",
        type=worker_count,
        default=10,
        metavar="N",
        help="the number of concurrent requests (default: %(default)s)",
    )
    options.add_argument(
        "--request-timeout",
        metavar="TIME",
        type=request_time,
        default="30s",
        help="the timeout of a request, such as 10s (default: %(default)s)",
    )
    return options


def format_options(command: argparse.ArgumentParser, formats: Sequence[str]) -> None:
    """In which format a result is printed; the first one is the default."""
    shape = command.add_mutually_exclusive_group()
    shape.add_argument("--format", choices=formats, default=formats[0], help="the output format (default: %(default)s)")
    shape.add_argument("--json", action="store_const", dest="format", const="json", help="short for --format json")


def review_options(command: argparse.ArgumentParser) -> None:
    """How much of a plan, or of a diff, is printed."""
    verbose_option(command)
    command.add_argument(
        "--limit",
        metavar="N",
        type=comment_length,
        default=COMMENT_LENGTH,
        help="the longest Markdown, in characters (default: %(default)s, as GitHub takes; GitLab takes 1000000)",
    )


def verbose_option(command: argparse.ArgumentParser) -> None:
    """Whether a plan folds what is alike."""
    command.add_argument("--verbose", action="store_true", help="show every change, also many that are alike")


def selection_options(command: argparse.ArgumentParser) -> None:
    """Which keys a plan is about."""
    for name, text in (
        ("--target", "plan only this key, or those that match a pattern ('payments-*')"),
        ("--exclude", "leave this key as it is, or those that match a pattern"),
    ):
        command.add_argument(
            name, metavar="KEY", action="append", default=[], help=f"{text}; may be given several times"
        )


def rotate_options(rotate: argparse.ArgumentParser) -> None:
    """Options of `rotate`: which keys, and how."""
    rotate.add_argument(
        "keys",
        nargs="*",
        metavar="KEY",
        help="a key to rotate, as the file has it under `keys:`, or a pattern ('payments-*')",
    )
    rotate.add_argument("--all", action="store_true", help="rotate all keys that the file declares")
    rotate.add_argument(
        "--sink",
        action="append",
        default=[],
        metavar="NAME",
        help="rotate all keys whose secret this sink holds, or held; may be given several times",
    )
    rotate.add_argument(
        "--revoke",
        action="store_true",
        help="the secret leaked: delete the old generation once the new one is published, without an overlap",
    )
    rotate.add_argument(
        "--due", metavar="TIME", type=length, help="only show the rotations that are due within this time, such as 14d"
    )
    verbose_option(rotate)
    rotate.add_argument("--auto-approve", action="store_true", help="skip the confirmation prompt")
    rotate.add_argument(
        "--json", action="store_true", help="print the plan and its outcome, or the due rotations, as JSON"
    )


def unlock_options(unlock: argparse.ArgumentParser) -> None:
    """Options of `unlock`."""
    unlock.add_argument("--release", action="store_true", help="release the lock, once its holder no longer runs")
    unlock.add_argument("--auto-approve", action="store_true", help="skip the confirmation prompt")
    unlock.add_argument("--json", action="store_true", help="the locks, and what was released, as JSON")


def waiting_options(command: argparse.ArgumentParser) -> None:
    """Options of commands that change something: how long they wait for others."""
    command.add_argument(
        "--lock-timeout",
        metavar="TIME",
        type=waiting_time,
        default="0s",
        help="how long to wait for the stack's lock, such as 5m (default: %(default)s)",
    )
    command.add_argument(
        "--task-timeout",
        metavar="TIME",
        type=task_time,
        default="30m",
        help="the timeout of an API task, such as 20m (default: %(default)s)",
    )


def live_test_options(command: argparse.ArgumentParser) -> None:
    """Options of the command that asks a real API what its documents leave open."""
    live = command.add_argument_group("live test")
    live.add_argument(
        "--live-test",
        action="store_true",
        help="find out what the API's documents leave open, with keys that are deleted afterwards, and write a report",
    )
    live.add_argument("--deployment", metavar="NAME", help="a disposable deployment that the keys may be attached to")
    live.add_argument(
        "--keep-keys", action="store_true", help="the deployment has keys of others: leave them on, and ask less"
    )
    live.add_argument(
        "--foreign-project",
        metavar="ID",
        type=project_number,
        help="a project that the token has no part in, to see how it is refused",
    )
    live.add_argument(
        "--patience",
        metavar="TIME",
        type=waiting_time,
        help="how long to wait for a task, or for a key to expire (default: 5m)",
    )
    live.add_argument("--out", metavar="FILE", help="write the report to this file (default: keyform-doctor-report.md)")
    live.add_argument("--auto-approve", action="store_true", help="skip the confirmation prompt")


def waiting_time(text: str) -> float:
    """Seconds, from a duration as the file has them: `30s`, `5m`, `1h`."""
    return length(text).total_seconds()


def request_time(text: str) -> float:
    """Seconds for a request: a second to a minute, so that its five attempts end before the lock has to be renewed."""
    return _time_between(text, 1, 60, "give a duration from 1s to 1m")


def task_time(text: str) -> float:
    """Seconds for a task: a second to a day."""
    return _time_between(text, 1, 86400, "give a duration from 1s to 1d, such as 20m")


def length(text: str) -> timedelta:
    """A length of time as the file has them: `30s`, `5m`, `14d`."""
    from reconciler.config.values import parse_duration

    duration = parse_duration(text)
    if duration is None:
        raise argparse.ArgumentTypeError("give a duration such as 30s, 5m, 1h or 14d")
    return duration


def worker_count(text: str) -> int:
    """A number from 1 to 64."""
    return _whole_number(text, 1, 64)


def comment_length(text: str) -> int:
    """The length of a comment in characters, from 1000."""
    return _whole_number(text, 1000, 100_000_000)


def port_number(text: str) -> int:
    """A port, or 0."""
    return _whole_number(text, 0, 65535)


def project_number(text: str) -> int:
    """A project's number."""
    return _whole_number(text, 1, 2**63 - 1)


def seconds(text: str) -> float:
    """A number of seconds, up to a day."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 86400:
        raise argparse.ArgumentTypeError("give a number of seconds, 0 or more")
    return number


def _time_between(text: str, lowest: float, highest: float, advice: str) -> float:
    try:
        given = length(text).total_seconds()
    except argparse.ArgumentTypeError:
        given = lowest - 1
    if not lowest <= given <= highest:
        raise argparse.ArgumentTypeError(advice)
    return given


def _whole_number(text: str, lowest: int, highest: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = lowest - 1
    if not lowest <= number <= highest:
        limits = f"from {lowest} to {highest}" if highest < 2**63 - 1 else f"of {lowest} or more"
        raise argparse.ArgumentTypeError(f"give a whole number {limits}")
    return number
