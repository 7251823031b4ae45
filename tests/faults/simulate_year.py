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
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.faults.growth import DEPLOYMENTS, SIZES, measure_growth
from support.faults.rotation_page import write_page
from support.faults.torture import find_commit
from support.faults.year import RELOAD, Figures, live_a_year


def tell(seed: int, days: float) -> dict[str, Any]:
    """The figures: those of v3, with those of v2 in a separate place."""
    begun = time.monotonic()
    return {
        "measured_on": "the bundled emulator",
        "commit": find_commit(),
        "seed": seed,
        "simulated_days": days,
        "kept_for_hours": RELOAD / timedelta(hours=1),
        **tell_of(live_a_year(seed, timedelta(days=days))),
        "v2": tell_of(live_a_year(seed, timedelta(days=days), api="v2")),
        "growth": [
            measure_growth(keys, deployments, api=api)
            for api, sizes in {"v3": SIZES, "v2": SIZES[:2]}.items()  # in v2 a key costs the same, whatever the size
            for keys in sizes
            for deployments in DEPLOYMENTS
        ],
        "seconds": round(time.monotonic() - begun),
    }


def tell_of(year: Figures) -> dict[str, Any]:
    """The figures of one generation of the API."""
    return {
        "applies": year.runs,
        "applies_that_failed": year.failed_runs,
        "faults_injected": sum(year.faults.values()),
        "faults_by_kind": dict(sorted(year.faults.items())),
        "edits": year.edits,
        "rotations": year.rotations,
        "revocations": year.revocations,
        "requests": year.requests,
        "requests_with_a_kept_secret": year.kept_requests,
        "refusals": len(year.refusals),
        "examples_of_refusals": year.refusals[:10],
        "revoked_secrets_refused": year.revoked_refused,
        "revoked_secrets_accepted": len(year.revoked_accepted),
    }


def main() -> int:
    """Write the figures; 1 when a client was refused, or a revoked secret accepted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=365)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path)
    args = parser.parse_args()
    figures = tell(args.seed, args.days)
    text = json.dumps(figures, indent=2) + "\n"
    if args.json:
        args.json.write_text(text)
    if args.page:
        args.page.write_text(write_page(figures))
    sys.stdout.write(text)
    return any(found["refusals"] or found["revoked_secrets_accepted"] for found in (figures, figures["v2"]))


if __name__ == "__main__":
    sys.exit(main())
