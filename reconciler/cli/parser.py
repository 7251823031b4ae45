"""The command line's grammar. Nothing heavy is imported here: `keyform --version` answers at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from reconciler import __version__
from reconciler.cli.options import (
    Parser,
    api_options,
    file_options,
    format_options,
    live_test_options,
    output_options,
    port_number,
    project_number,
    review_options,
    rotate_options,
    seconds,
    selection_options,
    unlock_options,
    verbose_option,
    waiting_options,
    waiting_time,
)

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


PLAN_FORMATS = ("text", "json", "markdown", "html", "sarif")


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
    format_options(validate, ["text", "json", "markdown", "sarif"])
    validate.add_argument(
        "--live",
        action="store_true",
        help="also ask the API which keys exist: those may have an expires_at in the past",
    )

    plan_commands(command, output, files, api)

    status = command(
        "status", "show keys, generations, bindings, expiry dates and public endpoints", files, api, output
    )
    format_options(status, ["text", "json", "html"])
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

    rotate = command("rotate", "rotate keys now, or show which rotations are due", files, api, output)
    rotate_options(rotate)
    waiting_options(rotate)

    destroy = command("destroy", "delete every key that the stack owns", files, api, output)
    verbose_option(destroy)
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

    schema = command("schema", "print the JSON Schema of the file, for an editor, or of what keyform prints", output)
    schema.add_argument(
        "of",
        nargs="?",
        choices=["file", "plan", "events"],
        default="file",
        help="the file, `plan --json`, or a line of `apply --json` (default: %(default)s)",
    )

    completion = command("completion", "print a shell completion script", output)
    completion.add_argument("shell", choices=["bash", "zsh", "fish"], help="the shell")

    demo = command("demo", "run a guided demo on a built-in emulator", output)
    demo.add_argument("--keep", metavar="FOLDER", help="run in this folder, and keep it")
    parser.commands = commands.choices
    return parser


def plan_commands(command: Callable[..., Parser], output: Parser, files: Parser, api: Parser) -> None:
    """The commands that make a plan, show one and carry it out, and what a change of the file means."""
    plan = command("plan", "show the changes that apply would make", files, api, output)
    format_options(plan, PLAN_FORMATS)
    review_options(plan)
    selection_options(plan)
    plan.add_argument("--out", metavar="FILE", help="also save the plan to this file, for `keyform apply FILE`")
    plan.add_argument(
        "--base", metavar="REF", help="tell what this change of the file does from what was pending at this git ref"
    )
    plan.add_argument("--drift", action="store_true", help="show only what was changed outside keyform")
    plan.add_argument("--detailed-exitcode", action="store_true", help="exit with code 2 if there are changes")

    show = command("show", "show a saved plan", output)
    show.add_argument("plan_file", metavar="PLANFILE", help="the file that `keyform plan --out` wrote")
    format_options(show, PLAN_FORMATS)
    review_options(show)

    diff = command("diff", "show what a change of the file means, offline: no API, no token", files, output)
    format_options(diff, ["text", "json", "markdown", "html"])
    review_options(diff)
    diff.add_argument(
        "--base",
        metavar="REF",
        help="compare with the file at this git ref (default: what a pull request's pipeline names, or HEAD)",
    )
    diff.add_argument("--detailed-exitcode", action="store_true", help="exit with code 2 if there are changes")

    apply = command("apply", "make the API match the file, or carry out a saved plan", files, api, output)
    apply.add_argument(
        "plan_file", metavar="PLANFILE", nargs="?", help="a plan that `keyform plan --out` saved: nothing else is done"
    )
    selection_options(apply)
    verbose_option(apply)
    apply.add_argument("--auto-approve", action="store_true", help="skip the confirmation prompt")
    apply.add_argument("--json", action="store_true", help="print the plan and its outcome as JSON")
    waiting_options(apply)


def _nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was meant, if one is near enough."""
    from difflib import get_close_matches

    matches = get_close_matches(name, list(known), n=1, cutoff=0.7)
    return matches[0] if matches else None
