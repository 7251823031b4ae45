"""How long `keyform --version` and `keyform validate` take, from the start of the process to its end.

    python benchmarks/startup.py [--runs 20] [--json FILE]

Every run is a separate process, with byte code compiled already. The first row is Python itself doing nothing: what
is above it is keyform's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "team.yaml"
KEYFORM = [sys.executable, "-m", "reconciler"]
CASES = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "keyform --version": [*KEYFORM, "--version"],
    "keyform validate -f examples/team.yaml": [*KEYFORM, "validate", "-f", str(EXAMPLE)],
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, and write the figures where asked to."""
    parser = argparse.ArgumentParser(description="Measure how fast keyform starts.")
    parser.add_argument("--runs", type=int, default=20, help="how often each command is run (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here, too")
    args = parser.parse_args(argv)

    figures = []
    for name, command in CASES.items():
        measure(command)  # the first run compiles, and warms the disk's cache
        times = [measure(command) for _ in range(args.runs)]
        figures.append({"command": name, "best_ms": 1000 * min(times), "median_ms": 1000 * statistics.median(times)})

    width = max(map(len, CASES))
    sys.stdout.write(f"{'command':{width}}  {'best':>8}  {'median':>8}\n")
    for figure in figures:
        sys.stdout.write(f"{figure['command']:{width}}  {figure['best_ms']:5.0f} ms  {figure['median_ms']:5.0f} ms\n")
    if args.json:
        args.json.write_text(json.dumps({"runs": args.runs, "figures": figures}, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(command: Sequence[str]) -> float:
    """Seconds that a command takes; it must succeed."""
    environment = {**os.environ, "GCORE_CLOUD_PROJECT_ID": "1234"}
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
