"""Write `dist/keyform.cdx.json`, the bill of materials (CycloneDX) of the wheel in `dist/`.

It lists what the wheel installs and nothing else: the environment is a new one, with the versions that
`locks/runtime.txt` names, and without pip. Each component has its version, its licences, and the hash of the file that
was installed here. Nothing in it depends on when it was made.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "dist" / "keyform.cdx.json"
LOCK = ROOT / "locks" / "runtime.txt"
PROJECT = ROOT / "pyproject.toml"


def main() -> int:
    """Write it; 1 when it does not say what it has to."""
    (wheel,) = ROOT.glob("dist/keyform-*.whl")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        environment = Path(folder) / "venv"
        venv.create(environment, with_pip=False)
        install(environment, "--require-hashes", "--report", report, "--requirement", LOCK)
        install(environment, "--no-index", wheel)
        bom = describe(environment)
        hashes = read_hashes(report)
    complete(bom, hashes, wheel)
    text = json.dumps(bom, indent=2, sort_keys=True) + "\n"
    wrong = lacks(bom, tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"])
    if (error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is not None:
        wrong.append(str(error))
    if wrong:
        print("The bill of materials is not what it has to be:", *wrong, sep="\n  ", file=sys.stderr)
        return 1
    OUT.write_text(text, encoding="utf-8")
    print(f"Successfully listed keyform and {len(bom['components'])} others in {OUT.relative_to(ROOT)}")
    return 0


def install(environment: Path, *what: str | Path) -> None:
    """Install exactly what is named, with the pip of this environment."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--quiet", "--disable-pip-version-check"]
    into = ["--python", environment / "bin" / "python", "install", "--no-compile", "--no-deps"]
    subprocess.run([*pip, *into, *what], check=True)


def describe(environment: Path) -> dict[str, Any]:
    """Everything that is installed there, in CycloneDX's form."""
    command = [Path(sys.executable).with_name("cyclonedx-py"), "environment", "--output-reproducible", "--sv", "1.6"]
    about = ["--pyproject", PROJECT, "--mc-type", "application", environment / "bin" / "python"]
    described: dict[str, Any] = json.loads(subprocess.run([*command, *about], check=True, capture_output=True).stdout)
    return described


def read_hashes(report: Path) -> dict[str, str]:
    """The SHA-256 of each file that pip installed, by the name of its package."""
    installed = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {
        normalise(item["metadata"]["name"]): item["download_info"]["archive_info"]["hashes"]["sha256"]
        for item in installed
    }


def complete(bom: dict[str, Any], hashes: dict[str, str], wheel: Path) -> None:
    """Add what CycloneDX cannot see in an environment: the hashes, and which wheel it is about."""
    keyform = bom["metadata"]["component"]
    keyform["version"] = wheel.name.split("-")[1]
    keyform["purl"] = f"pkg:pypi/keyform@{keyform['version']}"
    keyform["hashes"] = [sha256(hashlib.sha256(wheel.read_bytes()).hexdigest())]
    for component in bom["components"]:
        if (found := hashes.get(normalise(component["name"]))) is not None:
            component["hashes"] = [sha256(found)]


def lacks(bom: dict[str, Any], dependencies: list[str]) -> list[str]:
    """What is not in it, of what has to be: each dependency; for each component, a version, a licence and a hash."""
    components = {normalise(component["name"]): component for component in bom["components"]}
    needed = {normalise(re.split(r"[^\w.-]", dependency)[0]) for dependency in dependencies}
    wrong = [f"{name} is missing" for name in sorted(needed - set(components))]
    for component in [bom["metadata"]["component"], *bom["components"]]:
        missing = [field for field in ("version", "purl", "licenses", "hashes") if not component.get(field)]
        wrong += [f"{component['name']} has no {field}" for field in missing]
    return wrong


def normalise(name: str) -> str:
    """A package's name as it is compared: PyYAML is pyyaml, typing_extensions is typing-extensions."""
    return re.sub(r"[-_.]+", "-", name).lower()


def sha256(digest: str) -> dict[str, str]:
    """A hash, as CycloneDX writes it."""
    return {"alg": "SHA-256", "content": digest}


if __name__ == "__main__":
    sys.exit(main())
