"""The command line's grammar. Nothing heavy is imported here: `keyform --version` answers at once."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import NoReturn

from reconciler import __version__

DESCRIPTION = "Terraform for inference API keys, without the state file."
EPILOG = """\
environment:
  GCORE_API_KEY        the API token; required by every command that calls the API
  GCORE_BASE_URL       the API's base URL (default: https://api.gcore.com)
  GCORE_CLOUD_PROJECT_ID
                       the project; the file can read it as ${GCORE_CLOUD_PROJECT_ID},
                       and a file that names another project is refused
  KEYFORM_VAR_...      values that the file can read as ${KEYFORM_VAR_...}; not for secrets
  NO_COLOR             disable colors; FORCE_COLOR enables them in a pipe
  CI                   print plain lines, and never prompt

exit codes:
  0 success   1 error, or not everything was done   2 changes (plan --detailed-exitcode)   130 interrupted
"""


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


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The parsed arguments. UsageError from the command that does not understand one."""
    parser = build_parser()
    argv = command_first(list(argv), parser)
    first = argv[0] if argv else "--help"
    if first.startswith("-"):
        if first not in ("-h", "--help", "--version"):
            near = _nearest(first, ["--help", "--version"]) or {"-v": "--version", "-V": "--version"}.get(first)
            advice = f"did you mean {near}?" if near else "name a command first, such as `keyform plan`"
            parser.error(f"unrecognized argument: {first}; {advice}")
    elif first not in parser.commands:
        near = ELSEWHERE.get(first.lower()) or _nearest(first.lower(), parser.commands)
        advice = f"did you mean {near}?" if near else f"the commands are {', '.join(parser.commands)}"
        parser.error(f"there is no command {first!a}; {advice}")
    command = parser.commands.get(first, parser)
    for name in (each.partition("=")[0] for each in argv):
        if not name.startswith("--") and f"-{name}" in command.option_names():
            command.error(f"unrecognized argument: {name}; did you mean -{name}?")  # not `-f ile`
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        option = unknown[0].partition("=")[0]
        near = OTHER_OPTIONS.get(option) or _nearest(option, command.option_names())
        advice = f"; did you mean {near}?" if near else ""
        if "--file" in command.option_names() and unknown[0].endswith((".yaml", ".yml")):
            advice = "; name a file with -f"
        command.error(f"unrecognized arguments: {' '.join(unknown)}{advice}")
    return args


ELSEWHERE = {
    "force-unlock": "unlock",
    "delete": "destroy",
    "rm": "destroy",
    "get": "status",
    "list": "status",
    "ls": "status",
    "diff": "plan",
    "check": "validate",
    "up": "apply",
}
"""What other tools call a command; one that keyform has under the same name comes first."""


OTHER_OPTIONS = {
    "-v": "--log-level debug",
    "--verbose": "--log-level debug",
    "--debug": "--log-level debug",
    "-y": "--auto-approve",
    "--yes": "--auto-approve",
}
"""What other tools call an option."""


def command_first(argv: list[str], parser: Parser) -> list[str]:
    """The arguments with the command before its options; `help plan` is `plan --help`, and `version` `--version`.

    Options before the command are those of kubectl, or of Terraform: they belong to the command that follows.
    """
    if not argv:
        return argv
    if argv[0] == "help" and "help" not in parser.commands:
        return [*argv[1:2], "--help"]
    if argv[0] == "version":
        return ["--version"]
    takes_value = {
        name
        for command in parser.commands.values()
        for action in command.options()
        for name in action.option_strings
        if action.nargs is None
    }
    place = 0
    while place < len(argv) and argv[place].startswith("-") and argv[place] not in ("-h", "--help", "--version"):
        place += 2 if argv[place] in takes_value else 1
    return [argv[place], *argv[:place], *argv[place + 1 :]] if place < len(argv) else argv


@cache
def build_parser() -> Parser:
    """All commands and their options; the demo runs several in one process."""
    parser = Parser(
        prog="keyform",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"keyform {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)

    def command(name: str, text: str, *parents: Parser) -> Parser:
        return commands.add_parser(name, help=text, description=text, parents=parents, allow_abbrev=False)

    output, files, api = output_options(), file_options(), api_options()
    init = command(
        "init", "write a commented keyform.yaml and its schema, and ignore local secret files in git", output
    )
    init.add_argument("--stack", metavar="NAME", help="the stack's name (default: the name of the folder)")
    init.add_argument(
        "--project", metavar="ID", type=project_number, help="the project's number (default: $GCORE_CLOUD_PROJECT_ID)"
    )
    init.add_argument(
        "--api", choices=["v3", "v2"], default="v3", help="the generation of the API (default: %(default)s)"
    )
    init.add_argument("-f", "--file", default="keyform.yaml", help="the file to write (default: %(default)s)")

    validate = command("validate", "check the configuration, offline", files, api, output)
    validate.add_argument("--json", action="store_true", help="print the diagnostics as JSON, in Terraform's format")
    validate.add_argument(
        "--live",
        action="store_true",
        help="also ask the API which keys exist: those may have an expires_at in the past",
    )

    plan = command("plan", "show the changes that apply would make", files, api, output)
    plan.add_argument("--json", action="store_true", help="print the plan as JSON")
    plan.add_argument("--detailed-exitcode", action="store_true", help="exit with code 2 if there are changes")

    apply = command("apply", "make the API match the file", files, api, output)
    apply.add_argument("--auto-approve", action="store_true", help="skip the confirmation prompt")
    apply.add_argument("--json", action="store_true", help="print the plan and its outcome as JSON")

    status = command(
        "status", "show keys, generations, bindings, expiry dates and public endpoints", files, api, output
    )
    shape = status.add_mutually_exclusive_group()
    shape.add_argument(
        "--format",
        choices=["text", "json", "html"],
        default="text",
        help="the output format (default: %(default)s)",
    )
    shape.add_argument("--json", action="store_const", dest="format", const="json", help="short for --format json")
    status.add_argument("--out", metavar="FILE", help="write the output to this file (default: stdout)")

    verify = command(
        "verify", "call every endpoint to check that it requires a key, and accepts the secrets in the sinks",
        files, api, output,
    )  # fmt: skip
    verify.add_argument("--json", action="store_true", help="print the results as JSON")
    verify.add_argument(
        "--timeout",
        metavar="TIME",
        type=waiting_time,
        default="60s",
        help="how long to wait for an endpoint that does not answer yet, such as one scaled to zero"
        " (default: %(default)s)",
    )

    waiting_options(apply)

    rotate = command("rotate", "rotate keys now, or show which rotations are due", files, api, output)
    rotate_options(rotate)
    waiting_options(rotate)

    destroy = command("destroy", "delete every key that the stack owns", files, api, output)
    destroy.add_argument("--auto-approve", action="store_true", help="skip the confirmation prompt")
    destroy.add_argument("--json", action="store_true", help="print the plan and its outcome as JSON")

    waiting_options(destroy)

    unlock = command("unlock", "show who holds the stack's lock, and release it", files, api, output)
    unlock_options(unlock)

    doctor = command(
        "doctor", "check that everything is in place, and say what to do where it is not", files, api, output
    )
    doctor.add_argument("--json", action="store_true", help="print the results as JSON")
    doctor.add_argument(
        "--api", choices=["v3", "v2"], help="the generation of the API (default: what the file says, or v3)"
    )
    live_test_options(doctor)

    emulator = command("emulator", "run a local API server for demos and tests", output)
    emulator.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    emulator.add_argument(
        "--port", type=port_number, default=8080, help="the port to listen on; 0 picks a free one (default: 8080)"
    )
    emulator.add_argument("--db", metavar="FILE", help="store all data in this file (default: in memory)")
    emulator.add_argument("--seed", metavar="FILE", help="load the initial state from this YAML or JSON file")
    emulator.add_argument(
        "--task-seconds", metavar="S", type=seconds, default=1.0, help="how long tasks take (default: %(default)s)"
    )
    emulator.add_argument(
        "--mode",
        dest="modes",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="behave so where the API's documents are silent; may be given several times",
    )
    emulator.add_argument("--list-modes", action="store_true", help="list the modes with their values, and exit")

    command("schema", "print the JSON Schema of the file, for an editor", output)

    completion = command("completion", "print a shell completion script", output)
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], help="the shell")

    demo = command("demo", "run a guided demo on a built-in emulator", output)
    demo.add_argument("--keep", metavar="FOLDER", help="run in this folder, and keep it")
    parser.commands = commands.choices
    return parser


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


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was meant, if one is near enough."""
    from difflib import get_close_matches

    matches = get_close_matches(name, list(known), n=1, cutoff=0.7)
    return matches[0] if matches else None


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
