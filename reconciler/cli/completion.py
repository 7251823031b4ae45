"""`keyform completion`: a script that completes commands and options in a shell.

keyform completion bash > ~/.local/share/bash-completion/completions/keyform
"""

from __future__ import annotations

import argparse

from reconciler.cli.parser import build_parser
from reconciler.cli.terminal import Terminal
from reconciler.errors import ExtraMissing


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print the script for a shell; ExtraMissing without the library that writes it."""
    try:
        import shtab
    except ImportError:
        raise ExtraMissing(
            "Shell completion is an optional extra that is not installed.", way_out="pip install 'keyform[completion]'"
        ) from None
    terminal.show(shtab.complete(build_parser(), shell=args.shell))
    return 0
