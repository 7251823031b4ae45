"""Make every attack on the table of SECURITY.md, and write what was tried and what got through.

python tests/hostile/attack.py --json docs/hostile.json --page docs/hostile.md
python tests/hostile/attack.py --only-fuzz --examples 20000    only what draws samples, and many more of them
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.faults.torture import find_commit
from support.hostile import write_page

FOLDER = Path(__file__).parent
TOOLS = FOLDER.parents[1] / "tools"


def main() -> int:
    """Write the figures; 1 when something got through."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, help="so many samples each, random ones; else fewer, and the same")
    parser.add_argument("--only-fuzz", action="store_true", help="only what draws samples")
    parser.add_argument("--workers", default="auto")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", type=Path)
    args = parser.parse_args()
    begun = time.monotonic()
    code, tried = attack(args.examples, args.workers, ["-m", "hypothesis"] if args.only_fuzz else [])
    figures: dict[str, Any] = {
        "measured_on": "the bundled emulator, and servers made to misbehave",
        "commit": find_commit(),
        "python": platform.python_version(),
        "examples": args.examples,
        "seconds": round(time.monotonic() - begun),
        "findings": {} if args.only_fuzz else lint(),
        **tried,
    }
    if not args.only_fuzz:
        figures["measured"] |= measure()
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    if args.page:
        args.page.write_text(write_page(figures))
    counted = {name: figures[name] for name in ("attempts", "got_through", "samples", "crashes", "findings", "seconds")}
    sys.stdout.write(json.dumps(counted) + "\n")
    return 1 if code or figures["got_through"] or any(figures["findings"].values()) else 0


def attack(examples: int | None, workers: str, selection: list[str]) -> tuple[int, dict[str, Any]]:
    """The exit code of the tests, and what they counted."""
    environment = dict(os.environ)
    if examples is not None:
        environment["KEYFORM_FUZZ_EXAMPLES"] = str(examples)
    with tempfile.TemporaryDirectory() as folder:
        environment["KEYFORM_HOSTILE_JSON"] = str(Path(folder) / "hostile.json")
        pytest = [sys.executable, "-m", "pytest", f"--numprocesses={workers}", "--dist=worksteal", FOLDER, *selection]
        done = subprocess.run(pytest, cwd=FOLDER.parents[1], env=environment, check=False)
        tried: dict[str, Any] = json.loads(Path(environment["KEYFORM_HOSTILE_JSON"]).read_text())
    return done.returncode, tried


def measure() -> dict[str, str]:
    """Peak memory and time against servers gone wrong and files made to be slow, by attack."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "costs.json"
        bench = [sys.executable, FOLDER.parents[1] / "benchmarks" / "hostile.py", "--json", file]
        subprocess.run(bench, check=True, stdout=subprocess.DEVNULL)
        costs = json.loads(file.read_text())["figures"]
    return {f"Costs of {each['attack']}": f"{each['peak_mb']:.0f} MB, {each['seconds']:.1f} s" for each in costs}


def lint() -> dict[str, int | None]:
    """How much the linters of workflows find, by name; None for one that cannot run here."""
    found = subprocess.run(
        [sys.executable, TOOLS / "workflows.py", "--json"], capture_output=True, text=True, check=False
    )
    findings: dict[str, int | None] = json.loads(found.stdout)
    return findings


if __name__ == "__main__":
    sys.exit(main())
