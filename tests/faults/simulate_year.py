"""A whole simulated year of a stack, judged by clients that never stop calling, and what rotations cost; the figures.

python tests/faults/simulate_year.py --seed 1 --json docs/rotation.json --page docs/rotation.md
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.faults.growth import DEPLOYMENTS, SIZES, measure_growth
from support.faults.rotation_page import write_page
from support.faults.torture import find_commit
from support.faults.year import RELOAD, live_a_year


def main() -> int:
    """Write the figures; 1 when a client was refused, or a revoked secret accepted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=365)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path)
    args = parser.parse_args()
    begun = time.monotonic()
    year = live_a_year(args.seed, timedelta(days=args.days))
    figures = {
        "measured_on": "the bundled emulator",
        "commit": find_commit(),
        "seed": args.seed,
        "simulated_days": args.days,
        "applies": year.runs,
        "applies_that_failed": year.failed_runs,
        "faults_injected": sum(year.faults.values()),
        "faults_by_kind": dict(sorted(year.faults.items())),
        "edits": year.edits,
        "rotations": year.rotations,
        "revocations": year.revocations,
        "requests": year.requests,
        "requests_with_a_kept_secret": year.kept_requests,
        "kept_for_hours": RELOAD / timedelta(hours=1),
        "refusals": len(year.refusals),
        "examples_of_refusals": year.refusals[:10],
        "revoked_secrets_refused": year.revoked_refused,
        "revoked_secrets_accepted": len(year.revoked_accepted),
        "growth": [measure_growth(keys, deployments) for keys in SIZES for deployments in DEPLOYMENTS],
        "seconds": round(time.monotonic() - begun),
    }
    text = json.dumps(figures, indent=2) + "\n"
    if args.json:
        args.json.write_text(text)
    if args.page:
        args.page.write_text(write_page(figures))
    sys.stdout.write(text)
    return 1 if figures["refusals"] or figures["revoked_secrets_accepted"] else 0


if __name__ == "__main__":
    sys.exit(main())
