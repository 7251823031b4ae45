"""The live test that docs/live-reports/emulator.md shows: of the emulator by default, on a virtual clock."""

from __future__ import annotations

import sys
from pathlib import Path

from livetest.stage import World

from reconciler.report.live_test import live_test_to_markdown

PAGE = "docs/live-reports/emulator.md"
PATIENCE = 300.0
"""Seconds, as by default."""


def example() -> str:
    """The page, with a deployment that is public; the same each time but for keyform's version."""
    return live_test_to_markdown(World.make().ask(patience=PATIENCE))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(example(), encoding="utf-8")
