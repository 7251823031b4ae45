"""How `keyform plan` and `keyform apply` do with many keys, against the emulator over HTTP.

    python benchmarks/plan.py [--keys 1000] [--deployments 100] [--json FILE]

The emulator runs in a separate process and counts requests by kind. Its tasks take no time: what is measured
is keyform, the way to the API, and the disk. Every key opens two deployments.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from reconciler.emulator import Answer, Emulator, EmulatorServer, Request, seed

PROJECT = 1234
TOKEN = "bench-token"  # noqa: S105 - of the emulator
KINDS = (
    (r"/tasks/[^/]+$", "task"),
    (r"/api_keys$", "keys"),
    (r"/api_keys/[^/]+$", "key"),
    (r"/applications/\d+/deployments$", "applications"),
    (r"/deployments$", "deployments"),
    (r"/deployments/[^/]+$", "deployment"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, and write the figures where asked to."""
    parser = argparse.ArgumentParser(description="Measure plans and applies of many keys.")
    parser.add_argument("--keys", type=int, default=1000, help="how many keys (default: %(default)s)")
    parser.add_argument("--deployments", type=int, default=100, help="how many deployments (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here, too")
    args = parser.parse_args(argv)

    figures: list[dict[str, Any]] = []
    saved = 0
    for sink in ("dotenv", "json"):
        with emulator(args.deployments) as api, tempfile.TemporaryDirectory(prefix="keyform-bench-") as name:
            folder = Path(name)
            (folder / "keyform.yaml").write_text(declare(args.keys, args.deployments, sink), encoding="utf-8")
            for step, command in (
                (f"plan, {args.keys} keys to add", ["plan"]),
                (f"plan --out, {args.keys} keys to add", ["plan", "--out", "plan.json"]),
                (f"show, {args.keys} keys to add", ["show", "plan.json"]),
                (f"apply, {args.keys} new keys, {sink} sink", ["apply", "--auto-approve"]),
                (f"plan, {args.keys} keys, no changes, {sink} sink", ["plan"]),
            ):
                if step in {figure["step"] for figure in figures}:
                    continue
                figures.append(measure(step, command, folder, api))
                if "--out" in command:
                    saved = (folder / "plan.json").stat().st_size

    width = max(len(figure["step"]) for figure in figures)
    sys.stdout.write(f"{args.keys} keys, {args.deployments} deployments, {os.cpu_count()} CPUs\n\n")
    sys.stdout.write(f"{'step':{width}}  {'wall':>8}  {'requests':>8}  by kind\n")
    for figure in figures:
        kinds = ", ".join(f"{count} {kind}" for kind, count in figure["by_kind"].items())
        sys.stdout.write(f"{figure['step']:{width}}  {figure['seconds']:6.2f} s  {figure['requests']:8}  {kinds}\n")
    sys.stdout.write(f"\nThe saved plan: {saved:,} bytes, {saved // args.keys:,} for each key\n")
    if args.json:
        shape = {"saved_plan_bytes": saved, "keys": args.keys, "deployments": args.deployments, "cpus": os.cpu_count()}
        args.json.write_text(json.dumps({**shape, "figures": figures}, indent=2) + "\n", encoding="utf-8")
    return 0


def declare(keys: int, deployments: int, sink: str) -> str:
    """A file with so many keys, spread evenly over the deployments."""
    lines = [
        "version: 1",
        "stack: bench",
        f"project: {PROJECT}",
        f"sinks: {{local: {{type: {sink}, path: secrets}}}}",
        "defaults: {sink: local}",
        "keys:",
    ]
    for number in range(keys):
        opened = sorted({number % deployments, (number * 7 + 1) % deployments})
        names = ", ".join(f"model-{place:04}" for place in opened)
        lines.append(f"  consumer-{number:05}: {{description: Consumer {number}, deployments: [{names}]}}")
    return "\n".join(lines) + "\n"


def measure(step: str, command: Sequence[str], folder: Path, api: Api) -> dict[str, Any]:
    """Run keyform in a separate process: returns the seconds from start to end, and its requests to the API."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GCORE_")},
        "GCORE_API_KEY": TOKEN,
        "GCORE_BASE_URL": api.base_url,
    }
    api.take_counts()
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", *command],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"keyform {' '.join(command)} ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    counts = api.take_counts()
    return {"step": step, "seconds": round(seconds, 3), "requests": sum(counts.values()), "by_kind": counts}


# --- The emulator, in a process of its own ----------------------------------------------------------------------------


class Api:
    """The other process: where it answers, and what it was asked since the last time that one looked."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.base_url: str = pipe.recv()

    def take_counts(self) -> dict[str, int]:
        """How many requests of each kind; starts counting again."""
        self._pipe.send("counts")
        counts: dict[str, int] = self._pipe.recv()
        return counts


@contextmanager
def emulator(deployments: int) -> Iterator[Api]:
    """An emulator with so many deployments, each opened by a key that was made elsewhere."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, deployments), daemon=True)
    process.start()
    try:
        yield Api(ours)
        ours.send("stop")
        process.join()
    finally:
        process.kill()


def serve(pipe: Connection, deployments: int) -> None:
    """What the other process does."""
    counts: Counter[str] = Counter()

    def count(request: Request, answer: Answer) -> None:
        kind = next((name for pattern, name in KINDS if re.search(pattern, request.path)), "other")
        counts[f"{request.method} {kind}" + ("" if answer.status < 400 else f" ({answer.status})")] += 1

    served = Emulator(tokens={TOKEN: [PROJECT]}, seed=1)
    names = [f"model-{number:04}" for number in range(deployments)]
    seed(
        served,
        {
            "projects": {
                PROJECT: {
                    "api_keys": [{"name": "made-in-portal"}],
                    "deployments": [
                        {"name": name, "image": "example/model", "api_keys": ["made-in-portal"]} for name in names
                    ],
                }
            }
        },
    )
    served.listeners.append(count)
    with EmulatorServer(served) as server:
        pipe.send(server.base_url)
        while pipe.recv() != "stop":
            pipe.send(dict(counts.most_common()))
            counts.clear()


if __name__ == "__main__":
    sys.exit(main())
