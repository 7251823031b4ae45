"""What is tested is what is shipped: the wheel, installed, and whole."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
from importlib import resources
from pathlib import Path

import pytest

import reconciler

FROM_SOURCE = os.environ.get("KEYFORM_TEST_SOURCE") == "1"
only_the_wheel = pytest.mark.skipif(FROM_SOURCE, reason="KEYFORM_TEST_SOURCE=1: the source tree is tested")


@only_the_wheel
def test_the_installed_wheel_is_what_is_tested() -> None:
    assert Path(reconciler.__file__).is_relative_to(sysconfig.get_path("purelib")), (
        "the source tree stands in for the wheel: run `make test`, or set KEYFORM_TEST_SOURCE=1 to mean it"
    )


@only_the_wheel
def test_a_child_process_in_the_checkout_imports_the_wheel_too(project_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import reconciler; print(reconciler.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=project_root,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
    assert Path(done.stdout.strip()).is_relative_to(sysconfig.get_path("purelib"))


@only_the_wheel
def test_the_wheel_is_made_from_this_source(project_root: Path) -> None:
    installed = Path(reconciler.__file__).parent
    source = project_root / "reconciler"

    def content(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    assert content(installed) == content(source)


@only_the_wheel
def test_the_version_of_the_distribution_is_that_of_the_package() -> None:
    assert importlib.metadata.version("keyform") == reconciler.__version__


def test_the_types_are_declared() -> None:
    assert resources.files("reconciler").joinpath("py.typed").is_file()


SCHEMAS = [("config", "keyform"), ("report", "plan"), ("report", "events")]


@pytest.mark.parametrize(("part", "name"), SCHEMAS)
def test_a_schema_is_in_the_package_and_is_the_published_one(project_root: Path, part: str, name: str) -> None:
    packaged = resources.files("reconciler").joinpath(part, f"{name}.schema.json").read_text(encoding="utf-8")
    assert packaged == (project_root / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8")
    assert json.loads(packaged)["type"] == "object"


@pytest.mark.parametrize(("part", "name"), SCHEMAS)
def test_in_the_source_tree_a_schema_stands_once(project_root: Path, part: str, name: str) -> None:
    link = project_root / "reconciler" / part / f"{name}.schema.json"
    assert link.is_symlink()
    assert link.readlink().as_posix() == f"../../schemas/{name}.schema.json"
