"""Every fault at every effect of every scenario in every mode, real kills, every double; figures.

python tests/faults/torture.py --json docs/faults.json --page docs/faults.md    all of it: hours
python tests/faults/torture.py --budget-seconds 1200    a sample of other modes than the default, and of doubles
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.faults.page import write_page
from support.faults.torture import torture


def main() -> int:
    """Write the figures; 1 when a promise was broken, or a planted bug was not caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget-seconds", type=float, help="with it, a sample of modes and doubles; without, all")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path)
    args = parser.parse_args()
    full = args.budget_seconds is None
    figures = torture(args.seed, math.inf if full else args.budget_seconds, args.workers, full=full)
    text = json.dumps(figures, indent=2) + "\n"
    if args.json:
        args.json.write_text(text)
    if args.page:
        args.page.write_text(write_page(figures))
    sys.stdout.write(text)
    return 1 if figures["violations"] or figures["planted_bugs"]["not_caught"] else 0


if __name__ == "__main__":
    sys.exit(main())
