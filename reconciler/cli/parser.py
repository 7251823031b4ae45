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
  GCORE_API_KEY        the API token (required by all commands that talk to the API)
  GCORE_BASE_URL       the API's address (default: https://api.gcore.com)
  GCORE_CLOUD_PROJECT_ID
                       the project, where the file says ${GCORE_CLOUD_PROJECT_ID};
                       a file with another project is refused
  KEYFORM_VAR_...      what the file reads with ${KEYFORM_VAR_...}; not for secrets
  NO_COLOR             no colours; FORCE_COLOR: colours in a pipe, too
  CI                   plain lines, and nobody is asked

exit codes:
  0 done   1 error, or not all was done   2 changes (plan --detailed-exitcode)   130 interrupted
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
        advice = f"did you mean {near}?" if near else f"there are {', '.join(parser.commands)}"
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
    init.add_argument("--stack", metavar="NAME", help="the stack's name (default: the folder's)")
    init.add_argument(
        "--project", metavar="ID", type=project_number, help="the project's number (default: from the environment)"
    )
    init.add_argument(
        "--api", choices=["v3", "v2"], default="v3", help="the generation of the API (default: %(default)s)"
    )
    init.add_argument("-f", "--file", default="keyform.yaml", help="the file to write (default: %(default)s)")

    validate = command("validate", "check the file, its schema and its meaning, offline", files, api, output)
    validate.add_argument("--json", action="store_true", help="what is wrong as JSON, in Terraform's form")
    validate.add_argument(
        "--live", action="store_true", help="ask the API which keys are live: theirs may have dates in the past"
    )

    plan = command("plan", "show what apply would change", files, api, output)
    plan.add_argument("--json", action="store_true", help="the plan as JSON")
    plan.add_argument("--detailed-exitcode", action="store_true", help="exit with 2 when there are changes")

    apply = command("apply", "make what is live what the file says", files, api, output)
    apply.add_argument("--auto-approve", action="store_true", help="do not ask")
    apply.add_argument("--json", action="store_true", help="the plan and what came of it as JSON")

    status = command("status", "show keys, generations, where each is bound, and public endpoints", files, api, output)
    shape = status.add_mutually_exclusive_group()
    shape.add_argument(
        "--format",
        choices=["text", "json", "html"],
        default="text",
        help="tables, data, or a page (default: %(default)s)",
    )
    shape.add_argument("--json", action="store_const", dest="format", const="json", help="the same as --format json")
    status.add_argument("--out", metavar="FILE", help="write it to this file (default: to standard output)")

    verify = command(
        "verify", "see on the endpoints that keys are asked for, and that what the sinks hold is accepted",
        files, api, output,
    )  # fmt: skip
    verify.add_argument("--json", action="store_true", help="what was found as JSON")
    verify.add_argument(
        "--timeout",
        metavar="TIME",
        type=waiting_time,
        default="60s",
        help="how long to wait for an endpoint that gives no clear answer, such as one that is scaled to zero"
        " (default: %(default)s)",
    )

    waiting_options(apply)

    rotate = command("rotate", "make new generations of keys now, or show which fall due", files, api, output)
    rotate_options(rotate)
    waiting_options(rotate)

    destroy = command("destroy", "remove all that the stack owns", files, api, output)
    destroy.add_argument("--auto-approve", action="store_true", help="do not ask")
    destroy.add_argument("--json", action="store_true", help="the plan and what came of it as JSON")

    waiting_options(destroy)

    unlock = command("unlock", "show who holds the stack's lock, and release it", files, api, output)
    unlock_options(unlock)

    doctor = command(
        "doctor", "check that everything is in place, and say what to do where it is not", files, api, output
    )
    doctor.add_argument("--json", action="store_true", help="what was found as JSON")
    doctor.add_argument(
        "--api", choices=["v3", "v2"], help="the generation of the API (default: what the file says, or v3)"
    )
    live_test_options(doctor)

    emulator = command("emulator", "serve the API on this machine, for trying and testing", output)
    emulator.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    emulator.add_argument("--port", type=port_number, default=8080, help="the port; 0 takes a free one (default: 8080)")
    emulator.add_argument("--db", metavar="FILE", help="keep everything in this file (default: in memory)")
    emulator.add_argument("--seed", metavar="FILE", help="start with what this YAML or JSON file holds")
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

    completion = command("completion", "print what completes keyform's commands and options in a shell", output)
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], help="the shell to print it for")

    demo = command("demo", "the whole story in one command, on an embedded emulator", output)
    demo.add_argument("--keep", metavar="FOLDER", help="work in this folder, and leave it there")
    parser.commands = commands.choices
    return parser


def output_options() -> Parser:
    """Options of every command."""
    options = Parser(add_help=False)
    options.add_argument("--no-color", action="store_true", help="no colours")
    options.add_argument(
        "--log-level",
        choices=["error", "warning", "info", "debug"],
        default="warning",
        help="what to tell on stderr: info adds retries, debug every request (default: %(default)s)",
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
        help="a configuration file, a folder of them, or - for standard input; may be given several times"
        " (default: keyform.yaml)",
    )
    return options


def api_options() -> Parser:
    """Options of commands that call the API."""
    options = Parser(add_help=False)
    options.add_argument(
        "--parallelism", type=worker_count, default=10, metavar="N", help="requests in flight (default: %(default)s)"
    )
    options.add_argument(
        "--request-timeout",
        metavar="TIME",
        type=request_time,
        default="30s",
        help="how long a request and its whole answer may take, such as 10s (default: %(default)s)",
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
        "--revoke", action="store_true", help="its secret leaked: cut the old one as soon as it is replaced"
    )
    rotate.add_argument(
        "--due", metavar="TIME", type=length, help="only show what falls due within this time, such as 14d"
    )
    rotate.add_argument("--auto-approve", action="store_true", help="do not ask")
    rotate.add_argument("--json", action="store_true", help="the plan and what came of it, or what falls due, as JSON")


def unlock_options(unlock: argparse.ArgumentParser) -> None:
    """Options of `unlock`."""
    unlock.add_argument("--release", action="store_true", help="release the lock, once its holder no longer runs")
    unlock.add_argument("--auto-approve", action="store_true", help="do not ask")
    unlock.add_argument("--json", action="store_true", help="the locks, and what was released, as JSON")


def waiting_options(command: argparse.ArgumentParser) -> None:
    """Options of commands that change something: how long they wait for others."""
    command.add_argument(
        "--lock-timeout",
        metavar="TIME",
        type=waiting_time,
        default="0s",
        help="how long to wait while another apply has the stack's lock, such as 5m (default: %(default)s)",
    )
    command.add_argument(
        "--task-timeout",
        metavar="TIME",
        type=task_time,
        default="30m",
        help="how long a task of the API may take, such as 20m (default: %(default)s)",
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
    live.add_argument("--auto-approve", action="store_true", help="do not ask")


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
