"""The command line: wires the stages, prints, exits. Nothing else in keyform does either of the last two."""

from reconciler.cli.main import main
from reconciler.cli.parser import build_parser

__all__ = ["build_parser", "main"]
