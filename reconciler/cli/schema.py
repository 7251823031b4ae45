"""`keyform schema`: the JSON Schema of keyform.yaml, for an editor.

keyform schema > schemas/keyform.schema.json
"""

from __future__ import annotations

import argparse

from reconciler.cli.terminal import Terminal


def run(args: argparse.Namespace, terminal: Terminal) -> int:  # noqa: ARG001 - it has no options of its own
    """Print it as it is in the package."""
    from reconciler.config import schema_path

    terminal.show(schema_path().read_text(encoding="utf-8"), is_json=True)
    return 0
