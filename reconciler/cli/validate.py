"""`keyform validate`: the file, its schema and its meaning, offline; with `--live`, its dates against what is live."""

from __future__ import annotations

import argparse
from contextlib import closing

from reconciler.cli.session import open_session, read_configuration
from reconciler.cli.terminal import Terminal
from reconciler.model import DesiredState


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Say that the file is valid, or raise ConfigError with everything that is wrong."""
    desired = read_configuration(args, terminal)
    check_dates(desired, args, terminal)
    tell_limits(desired, terminal)
    endpoints = {endpoint.ref for endpoint in desired.endpoints}.union(*(key.endpoints for key in desired.keys))
    keys, sinks = count(len(desired.keys), "key"), count(len(desired.sinks), "sink")
    terminal.say(f"Valid: stack {desired.stack} declares {keys}, {count(len(endpoints), 'endpoint')} and {sinks}.")
    return 0


def check_dates(desired: DesiredState, args: argparse.Namespace, terminal: Terminal) -> None:
    """Refuse an `expires_at` that is over. Only the API can tell whose it may be, and by which clock."""
    from reconciler.config import refuse
    from reconciler.plan.expiry import find_past_dates

    if args.live:
        with open_session(args, terminal) as session:
            live_keys = session.api.list_keys()  # first: its answer tells the API's clock
            found = find_past_dates(desired, live_keys, session.api.now())
    elif any(key.expires_at is not None for key in desired.keys):
        from reconciler.effects import System

        with closing(System()) as effects:
            found = find_past_dates(desired, None, effects.now())
    else:
        return
    for note in found.notes:
        terminal.tell(f"note: {note.address}: {note.sentence}.")
    if found.findings:
        raise refuse(found.findings, len(found.findings))


def tell_limits(desired: DesiredState, terminal: Terminal) -> None:
    """Say what the file asks for that this generation of the API may not bring about."""
    if all(endpoint.auth is None for endpoint in desired.endpoints):
        return
    from reconciler.gcore.generations import CAPABILITIES
    from reconciler.plan.bindings import note_unswitched

    for note in note_unswitched(desired, switches=CAPABILITIES[desired.api].switches_authentication):
        terminal.tell(f"note: {note.address}: {note.sentence}.")


def count(number: int, noun: str) -> str:
    """`1 key`, `2 keys`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
