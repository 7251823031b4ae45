"""`keyform validate`: the file, its schema and its meaning, offline; with `--live`, its dates against the live keys."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from reconciler.cli.options import COMMENT_LENGTH
from reconciler.cli.session import open_session, read_configuration
from reconciler.cli.terminal import Terminal
from reconciler.errors import ConfigError
from reconciler.model import DesiredState

if TYPE_CHECKING:
    from reconciler.plan.changes import Note


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Say that the file is valid, or raise ConfigError with everything that is wrong."""
    try:
        desired = read_configuration(args, terminal)
        notes = [*check_dates(desired, args, terminal), *find_limits(desired)]
    except ConfigError as error:
        if args.format == "json":
            show_invalidity(terminal, error)
        raise
    if args.format in ("text", "sarif"):
        for note in notes:
            terminal.tell(f"note: {note.address}: {note.sentence}.")
    if args.format == "text":
        terminal.say(describe(desired))
    else:
        show_validity(args, terminal, desired, notes)
    return 0


def describe(desired: DesiredState) -> str:
    """What a valid file declares, counted."""
    endpoints = {endpoint.ref for endpoint in desired.endpoints}.union(*(key.endpoints for key in desired.keys))
    keys, sinks = count(len(desired.keys), "key"), count(len(desired.sinks), "sink")
    return f"Valid: stack {desired.stack} declares {keys}, {count(len(endpoints), 'endpoint')} and {sinks}."


def show_validity(args: argparse.Namespace, terminal: Terminal, desired: DesiredState, notes: Sequence[Note]) -> None:
    """The result about a valid file in a format other than text."""
    from reconciler.cli.review import describe_run
    from reconciler.report.formats import IS_JSON, validity_as

    about = describe_run(args, terminal)
    text = validity_as(describe(desired), notes, args.format, limit=COMMENT_LENGTH, about=about)
    terminal.show(text, is_json=args.format in IS_JSON)


def show_invalidity(terminal: Terminal, error: ConfigError) -> None:
    """The result as JSON; what renders it takes as long to import as a check of the file, which needs none of it."""
    from reconciler.report.diagnostics import validity_to_json

    terminal.show(validity_to_json(error), is_json=True)


def check_dates(desired: DesiredState, args: argparse.Namespace, terminal: Terminal) -> Sequence[Note]:
    """Refuse an `expires_at` in the past. Only the API can tell which live key has it, and what time it is."""
    from reconciler.config import refuse
    from reconciler.plan.expiry import find_past_dates

    if args.live:
        with open_session(args, terminal) as session:
            live_keys = session.api.list_keys()  # first: its answer sets the API's clock
            found = find_past_dates(desired, live_keys, session.api.now())
    elif any(key.expires_at is not None for key in desired.keys):
        from reconciler.effects import System

        with closing(System()) as effects:
            found = find_past_dates(desired, None, effects.now())
    else:
        return ()
    if found.findings:
        raise refuse(found.findings, len(found.findings))
    return found.notes


def find_limits(desired: DesiredState) -> Iterator[Note]:
    """What the file asks for and this generation of the API may not do."""
    if all(endpoint.auth is None for endpoint in desired.endpoints):
        return
    from reconciler.gcore.generations import CAPABILITIES
    from reconciler.plan.bindings import note_unswitched

    yield from note_unswitched(desired, switches=CAPABILITIES[desired.api].switches_authentication)


def count(number: int, noun: str) -> str:
    """`1 key`, `2 keys`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
