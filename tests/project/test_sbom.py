"""The bill of materials of a release: what `tools/sbom.py` adds to it, and what it does not let pass."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LICENCES = [{"license": {"id": "MIT"}}]


@pytest.fixture
def sbom(project_root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", project_root / "tools" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _component(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "purl": f"pkg:pypi/{name}@1.0", "licenses": LICENCES, **more}


def test_it_names_the_wheel_and_the_hash_of_every_file(sbom: ModuleType, tmp_path: Path) -> None:
    wheel = tmp_path / "keyform-1.2.3-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    root = {"name": "keyform", "licenses": LICENCES}
    bom = {"metadata": {"component": root}, "components": [_component("PyYAML"), _component("typing_extensions")]}
    sbom.complete(bom, {"pyyaml": "a" * 64, "typing-extensions": "b" * 64}, wheel)
    assert bom["metadata"]["component"] == {
        "name": "keyform",
        "version": "1.2.3",
        "purl": "pkg:pypi/keyform@1.2.3",
        "licenses": LICENCES,
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(b"wheel").hexdigest()}],
    }
    assert [component["hashes"][0]["content"] for component in bom["components"]] == ["a" * 64, "b" * 64]
    assert sbom.lacks(bom, ["pyyaml>=6", "typing_extensions"]) == []


def test_what_is_missing_is_said(sbom: ModuleType) -> None:
    hashed = {"hashes": [{"alg": "SHA-256", "content": "a" * 64}]}
    bom = {
        "metadata": {"component": _component("keyform", **hashed)},
        "components": [_component("rich"), _component("httpx", **hashed) | {"version": ""}],
    }
    assert sbom.lacks(bom, ["httpx>=0.27", "rich>=13", "tenacity>=8.2.3"]) == [
        "tenacity is missing",
        "rich has no hashes",
        "httpx has no version",
    ]
