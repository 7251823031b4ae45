"""`keyform validate`: the file, its schema and its meaning, offline."""

from __future__ import annotations

import argparse

from reconciler.cli.stage import read_configuration
from reconciler.cli.terminal import Terminal


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Say that the file is valid, or raise ConfigError with everything that is wrong."""
    desired = read_configuration(args, terminal)
    endpoints = {endpoint.ref for endpoint in desired.endpoints}.union(*(key.endpoints for key in desired.keys))
    keys, sinks = count(len(desired.keys), "key"), count(len(desired.sinks), "sink")
    terminal.show(f"Valid: stack {desired.stack} declares {keys}, {count(len(endpoints), 'endpoint')} and {sinks}.")
    return 0


def count(number: int, noun: str) -> str:
    """`1 key`, `2 keys`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
