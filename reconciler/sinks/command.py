"""The `command` sink: any program that takes a secret on its standard input. It cannot be read back.

    type: command
    write: [./save-secret.sh, "{key}"]
    remove: [./forget-secret.sh, "{key}"]
    check: [./can-save.sh]
    timeout: 60s

The program is started without a shell, in the folder of the configuration file, in a separate session. It gets:

- standard input: the secret's bytes, no newline behind them. Whole from the first instant: never half, never empty.
- arguments: as written, with placeholders (templates.py) filled in, each staying one argument.
- environment: keyform's own without GCORE_API_KEY, so with all other credentials that keyform was started with, since
  the store's own are among them; and with KEYFORM_API (the API's host, `api.gcore.com`), KEYFORM_PROJECT (a number),
  KEYFORM_STACK, KEYFORM_KEY, KEYFORM_GENERATION (a number), KEYFORM_LIVE_NAME and KEYFORM_CREATED_AT
  (`2026-11-21T10:00:00Z`).

The secret is in neither of the latter two. Leaving out GCORE_API_KEY guards against accidents, not against the program:
on Linux it can read the environment that keyform was started with (`/proc/PPID/environ`).

Exit status 0 means saved, durably. After any other, or when the time is up, it may have been saved all the same; only a
program that could not be started has saved nothing for certain.

`remove` gets nothing on its standard input, and of these KEYFORM_API, KEYFORM_PROJECT, KEYFORM_STACK and
KEYFORM_KEY alone. It is called for each key that
leaves the file, whether or not this sink ever had it, and again after a failure: it must take a missing secret for
done. Without `remove`, nothing is removed, and the plan says so. The live key is deleted all the same, so that the
secret which stays opens nothing.

`check` is for a store that cannot be asked otherwise. An apply runs it once, before it makes or removes a key; with
another exit status than 0, nothing is written there, and no key is made whose secret would be. It gets nothing on its
standard input, and KEYFORM_API, KEYFORM_PROJECT and KEYFORM_STACK. No plan runs it, as no plan runs the others: a plan
only looks whether the programs are there, and for a script whether what its first line names is.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.model import DesiredState, Owner, Secret, SinkRecord, SinkSettings
from reconciler.reach import printable
from reconciler.redaction import MASK
from reconciler.sinks.declared import Complaint, Kind, Option, SinkType
from reconciler.sinks.program import why_not_started
from reconciler.sinks.protocol import Sink, Surroundings, Traits, refuse_foreign
from reconciler.sinks.record import format_instant
from reconciler.sinks.templates import OF_A_KEY, fill, placeholders_in

if TYPE_CHECKING:
    from reconciler.effects import Completed

_KEPT_FROM_IT = ("GCORE_API_KEY",)
_OURS = (
    *("KEYFORM_API", "KEYFORM_PROJECT", "KEYFORM_STACK", "KEYFORM_KEY"),
    *("KEYFORM_GENERATION", "KEYFORM_LIVE_NAME", "KEYFORM_CREATED_AT"),
)
_DEFAULT_TIMEOUT = 60
_LONGEST_WORDS = 300
_LONGEST_LOOKED_AT = 4000
_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9_@%+=:,./{}-]+")
_GENERATION = frozenset({"generation"})
_OF_ONE_KEY = frozenset(OF_A_KEY) | _GENERATION
# An earlier secret, which this process no longer knows: a long run of letters and digits that no person would write.
_LIKE_A_TOKEN = re.compile(
    r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{16,}|(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*[0-9])[\w-]{16,}",
    re.ASCII,
)

_SAVED_OR_NOT = "Put it right and apply again: a new generation is then published, whether or not this one was saved."
_CHECK_AGAIN = "Put it right and apply again: nothing was written there, and no key was made for it."
_REMOVED_OR_NOT = "Put it right and apply again: it is called once more, and must take a missing secret for done."


class CommandSink(Sink):
    """A program for writing, and maybe one for removing; only their exit status shows what they did."""

    def __init__(self, settings: SinkSettings, around: Surroundings) -> None:
        super().__init__(settings, around)
        self._folder = Path(settings.place.file).parent.absolute()
        self._write = self._argv(settings, "write")
        self._remove = self._argv(settings, "remove") if "remove" in settings.options else ()
        self._check = self._argv(settings, "check") if "check" in settings.options else ()
        self.traits = Traits(readable=False, removable=bool(self._remove), reads_secrets=False)
        if any(_GENERATION & placeholders_in(argument) for argument in self._remove):
            raise self.error(
                "`remove` names {generation}, but what is removed is the key, in whichever generation",
                "Take it out; `{key}` and `{stack}` are known.",
            )
        if any(_OF_ONE_KEY & placeholders_in(argument) for argument in self._check):
            raise self.error(
                "`check` names a key, but it is run once for all of them", "Take it out; `{stack}` is known."
            )
        timeout = settings.options.get("timeout", _DEFAULT_TIMEOUT)
        if not isinstance(timeout, int) or timeout < 1:
            raise self.error("`timeout` is no time that a command could run", "Write it such as `timeout: 60s`.")
        self._timeout = timeout

    @property
    def destination(self) -> str:
        """The commands, as one would type them."""
        removed = f", removed by {_shown(self._remove)}" if self._remove else ""
        checked = f", checked by {_shown(self._check)}" if self._check else ""
        return f"command {_shown(self._write)}{removed}{checked}"

    def probe(self, keys: Collection[str]) -> None:  # noqa: ARG002 - the same programs see to every key
        """Make sure that the programs are there and can be executed, starting none of them."""
        for argv in filter(None, (self._write, self._remove, self._check)):
            found = self._effects.find_program(self._program(argv))
            if found is None:
                raise self.error(
                    f"there is no program {argv[0]} that can be executed",
                    "Install it, or make it executable; a path with a slash starts at the configuration file's folder.",
                )
            if why := why_not_started(found, self._folder, self._effects):
                message, way_out = why
                raise self.error(f"{argv[0]} {message}", way_out)

    def rehearse(self, keys: Collection[str]) -> None:  # noqa: ARG002 - it is asked once for all keys
        """Let the program check whether secrets can be saved; without one, nobody knows."""
        if self._check:
            self._run(_filled(self._check, stack=self._stack), _whose(self._owner), _CHECK_AGAIN, saves=False)

    def write(self, record: SinkRecord, secret: Secret) -> None:
        """Give the secret to the program; every failure but that of starting it leaves the outcome unknown."""
        refuse_foreign(record, self._owner, self.error)
        variables = {
            **_place(record.owner, record.key),
            "KEYFORM_GENERATION": str(record.generation),
            "KEYFORM_LIVE_NAME": record.live_name,
            "KEYFORM_CREATED_AT": format_instant(record.created_at),
        }
        argv = _filled(self._write, key=record.key, stack=record.stack, generation=record.generation)
        self._run(argv, variables, _SAVED_OR_NOT, secret)

    def remove(self, key: str) -> None:
        """Let the program remove the key's secret; without a program, leave it where it is."""
        if self._remove:
            argv = _filled(self._remove, key=key, stack=self._stack)
            self._run(argv, _place(self._owner, key), _REMOVED_OR_NOT)

    def _run(
        self,
        argv: list[str],
        variables: dict[str, str],
        way_out: str,
        secret: Secret | None = None,
        *,
        saves: bool = True,
    ) -> None:
        # Raised outside the `except`: no error carries another one along that could hold what was run.
        try:
            done = self._effects.run(
                [self._found(argv), *argv[1:]],
                stdin=secret.reveal() if secret else "",
                env=variables,
                without=(*_KEPT_FROM_IT, *_OURS),
                folder=self._folder,
                timeout=self._timeout,
            )
        except TimeoutError:
            error = self.error(
                f"{argv[0]} did not end within {self._timeout} seconds, and was killed",
                f"{way_out} If it needs more time, raise `timeout`.",
                effect_is_unknown=saves,
            )
        except OSError as trouble:
            error = self.error(
                f"{argv[0]} could not be started: {trouble.strerror or 'the system refused'}",
                "See that it is there and can be executed, and apply again.",
            )
        else:
            if done.returncode == 0:
                return
            error = self.error(self._ending(argv[0], done, secret), way_out, effect_is_unknown=saves)
        raise error

    def _ending(self, program: str, done: Completed, secret: Secret | None) -> str:
        how = f"ended with status {done.returncode}"
        if done.returncode < 0:
            number = -done.returncode
            how = (
                f"was killed by {signal.Signals(number).name if number in set(signal.Signals) else f'signal {number}'}"
            )
        if secret:
            self._redactor.learn(secret)  # it may have repeated its input
        words = self._words(done.stderr) or self._words(done.stdout)
        return f"{program} {how}, saying: {words}" if words else f"{program} {how}, without a word"

    def _words(self, output: str) -> str:
        """The end of a program's output, safe to show: also without an earlier secret that it may have found."""
        line = self._redactor.clean(output[-_LONGEST_LOOKED_AT:], longest=_LONGEST_LOOKED_AT * len(MASK))
        text = _LIKE_A_TOKEN.sub(MASK, line)
        return text if len(text) <= _LONGEST_WORDS else f"…{text[1 - _LONGEST_WORDS :]}"

    def _program(self, argv: Sequence[str]) -> str:
        """The program as it is looked up: a bare name on PATH, anything with a slash relative to the folder."""
        return str(self._folder / argv[0]) if "/" in argv[0] else argv[0]

    def _found(self, argv: Sequence[str]) -> str:
        """Where it is. The system would look for a bare name in relative entries of PATH, too."""
        name = self._program(argv)
        found = name if "/" in name else self._effects.find_program(name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return str(found)

    def _argv(self, settings: SinkSettings, option: str) -> tuple[str, ...]:
        argv = settings.options.get(option)
        if not isinstance(argv, tuple) or not argv or not argv[0] or any("\0" in argument for argument in argv):
            raise self.error(
                f"`{option}` is no command: a list of the program and its arguments",
                f'Write it such as `{option}: [./{option}-secret.sh, "{{key}}"]`.',
            )
        return argv


def _whose(owner: Owner) -> dict[str, str]:
    return {"KEYFORM_API": owner.api, "KEYFORM_PROJECT": str(owner.project or ""), "KEYFORM_STACK": owner.stack}


def _place(owner: Owner, key: str) -> dict[str, str]:
    """Which key, and its owner."""
    return {**_whose(owner), "KEYFORM_KEY": key}


def _shown(argv: Sequence[str]) -> str:
    """A command as one would type it: it is never in doubt where one word ends and the next begins."""
    return " ".join(word if _NEEDS_NO_QUOTES.fullmatch(word) else _quoted(word) for word in argv)


def _quoted(word: str) -> str:
    return "'{}'".format(printable(word).replace("'", "'\\''"))


def _filled(argv: tuple[str, ...], *, stack: str, key: str | None = None, generation: int | None = None) -> list[str]:
    """The program as it is, and its arguments with their placeholders filled in; other braces are the program's own."""
    program, *arguments = argv
    return [program, *(fill(argument, key=key, stack=stack, generation=generation) for argument in arguments)]


def _check(state: DesiredState) -> Iterator[Complaint]:
    """`remove` is about a key, in any generation; `check` is about the store, for all keys."""
    removes = "a command that removes gets no generation: it removes the key"
    checks = "a command that checks gets no key: it runs once for all keys"
    rules = (
        ("remove", _GENERATION, removes, "`{key}` and `{stack}`"),
        ("check", _OF_ONE_KEY, checks, "`{stack}`"),
    )
    for sink in (each for each in state.sinks if each.type == SINK.type):
        for option, unknown, message, known in rules:
            arguments = sink.options.get(option, ())
            for index, argument in enumerate(arguments if isinstance(arguments, tuple) else ()):
                if unknown & placeholders_in(argument):
                    yield Complaint(("sinks", sink.name, option, index), message, f"Take it out; it is given {known}.")


SINK = SinkType(
    type="command",
    opens=CommandSink,
    title="A command.",
    description="A program that takes a secret on its standard input and saves it. What it did cannot be read back.",
    options=(
        Option(
            name="write",
            kind=Kind.COMMAND,
            description="The program that saves a secret, and its arguments. It gets the secret on its standard input, "
            f"without a newline, and {', '.join(_OURS[:-1])} and {_OURS[-1]} in its environment. Exit status 0 means "
            "saved.",
            required=True,
            way_out="Write `write: [PROGRAM, ARGUMENT]`: it gets the secret on its standard input.",
            chooses_place=True,
            examples=(["./save-secret.sh", "{key}"], ["pass", "insert", "--multiline", "inference/{key}"]),
        ),
        Option(
            name="remove",
            kind=Kind.COMMAND,
            description="The program that removes the secret of a key that leaves the file, and its arguments. A "
            "secret that it does not find is removed. Without it, secrets stay where they were written; they open "
            "nothing any more.",
            examples=(["pass", "rm", "--force", "inference/{key}"],),
        ),
        Option(
            name="check",
            kind=Kind.COMMAND,
            description="The program that an apply runs once before it makes or removes a key, and its arguments. If "
            "its exit status is not 0, no key is made whose secret this sink should hold. It gets no secret. A plan "
            "never runs it.",
            examples=(["./can-save.sh"], ["pass", "ls"]),
        ),
        Option(
            name="timeout",
            kind=Kind.DURATION,
            description="How long a program may run before it is killed.",
            schema={
                "errorMessage": "must be a duration: a whole number of 1 or more and a unit, such as `60s` or `5m`"
            },
            default=f"{_DEFAULT_TIMEOUT}s",
            examples=("60s", "5m"),
        ),
    ),
    example={"type": "command", "write": ["./save-secret.sh", "{key}"]},
    full_example={"type": "command", "write": ["./save-secret.sh", "{key}"], "timeout": "30s"},
    check=_check,
    slot_of=lambda _settings, _stack, _key: (),
)
