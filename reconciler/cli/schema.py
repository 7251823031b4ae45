"""`keyform schema`: the JSON Schema of keyform.yaml, for an editor, and those of what keyform prints.

keyform schema > schemas/keyform.schema.json
"""

from __future__ import annotations

import argparse
from importlib.resources import files

from reconciler.cli.terminal import Terminal


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print it as it is in the package."""
    from reconciler.config import schema_path

    if args.of == "file":
        text = schema_path().read_text(encoding="utf-8")
    else:
        text = files("reconciler").joinpath("report", f"{args.of}.schema.json").read_text(encoding="utf-8")
    terminal.show(text, is_json=True)
    return 0
