"""What sinks leave that never work, as a table for the documentation.

python tests/faults/failing_sinks.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.faults.failing import FAILURES, STORIES, as_table, let_it_fail, make_world


def main() -> None:
    """Run them all."""
    cases = [(failure, story) for failure in FAILURES for story in STORIES]
    sys.stdout.write(as_table([let_it_fail(failure, story, make_world(failure, story)) for failure, story in cases]))


if __name__ == "__main__":
    main()
