"""Any file gives a state or a ConfigError, and no output repeats what could be a secret."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.config import load_config
from reconciler.errors import ConfigError

CANARY = "sk-9fQ2xLr7VbT4mN8c"
WHOLE: dict[str, Any] = {
    "version": 1,
    "stack": "demo",
    "project": "${KEYFORM_VAR_PROJECT}",
    "sinks": {
        "local": {"type": "dotenv", "path": "a.env", "variable": "{KEY}_X"},
        "jobs": {"type": "json", "path": "b"},
    },
    "defaults": {"sink": "local", "rotation": {"overlap": "7d"}, "prevent_destroy": False},
    "keys": {
        "payments": {"description": "x", "deployments": ["llama3"], "sink": ["local", "jobs"], "adopt": "portal-key"},
        "batches": {"expires_at": "2027-06-30", "applications": ["webui"], "rotation": {"overlap": "0s"}},
    },
    "deployments": {"llama3": {"auth": "required", "exclusive": True}, "playground": {"auth": "open"}},
    "applications": {"webui": {"auth": "required"}},
    "safety": {"max_deletes": 5, "allow_empty": False},
}
SECTIONS = [section for section in WHOLE.values() if isinstance(section, dict)]
NAMES = sorted({"<<", "every", *WHOLE, *(name for section in SECTIONS for name in section)})
SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.text(max_size=20), st.sampled_from(NAMES)
)
names = st.sampled_from(NAMES) | st.text(max_size=8)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=25,
)


def tell(content: bytes, folder: Path, **env: str) -> str:
    """Every message about a file, or nothing if it is valid; anything but a ConfigError fails the test."""
    path = folder / "keyform.yaml"
    path.write_bytes(content)
    try:
        load_config([path], env)
    except ConfigError as error:
        return _tell_error(error, str(path))
    return ""


def _tell_error(error: ConfigError, file: str) -> str:
    assert error.findings
    assert [finding for finding in error.findings if not (finding.message and finding.where.startswith(file))] == []
    return error.diagnostics() + repr(error) + repr(error.findings)


@SETTINGS
@given(content=st.binary(max_size=200))
def test_any_bytes(content: bytes, folder: Path) -> None:
    tell(content, folder)


@SETTINGS
@given(content=st.text(alphabet="ab:-[]{},&*!|>'\"#%@`?<~ \n\t$\\", max_size=60))
def test_any_punctuation(content: str, folder: Path) -> None:
    tell(content.encode(), folder)


@SETTINGS
@given(tree=st.dictionaries(st.sampled_from(NAMES), trees, max_size=6))
def test_any_tree(tree: Any, folder: Path) -> None:
    tell(
        yaml.safe_dump({**WHOLE, **tree}, allow_unicode=True).encode("utf-8", "surrogatepass"),
        folder,
        KEYFORM_VAR_PROJECT="1",
    )


def spots(part: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a tree."""
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    return [path, *(spot for name, each in inner for spot in spots(each, (*path, name)))]


def plant(spot: tuple[Any, ...], *, as_name: bool, canary: str) -> Any:
    """The whole file with a canary at one place: as its value, or as its name."""
    tree = copy.deepcopy(WHOLE)
    if not spot:
        return {canary: 1} if as_name else canary
    parent = tree
    for part in spot[:-1]:
        parent = parent[part]
    if as_name and isinstance(parent, dict):
        parent[canary] = parent.pop(spot[-1])
    else:
        parent[spot[-1]] = canary
    return tree


@pytest.mark.parametrize("spot", spots(WHOLE), ids=lambda spot: ".".join(map(str, spot)) or "top")
def test_a_canary_planted_anywhere_is_not_told(spot: tuple[Any, ...], folder: Path) -> None:
    for form in ("{}", "${{{}}}", "x {}", "{}\n", "${{{}", "2027-06-30{}", "{}.yaml"):
        for as_name in (False, True):
            tree = plant(spot, as_name=as_name, canary=form.format(CANARY))
            told = tell(yaml.safe_dump(tree, sort_keys=False).encode(), folder, KEYFORM_VAR_PROJECT=CANARY)
            assert CANARY[3:] not in told


@SETTINGS
@given(
    spot=st.sampled_from(spots(WHOLE)),
    as_name=st.booleans(),
    place=st.floats(0, 1),
    noise=st.sampled_from(["\t", ": ", "\n", "[", '"', "&", "*", "!", "\x00", "%", "- "]),
)
def test_a_canary_in_broken_yaml_is_not_told(
    spot: tuple[Any, ...], as_name: bool, place: float, noise: str, folder: Path
) -> None:
    text = yaml.safe_dump(plant(spot, as_name=as_name, canary=CANARY))
    at = int(place * len(text))
    told = tell(f"{text[:at]}{noise}{text[at:]}".encode(), folder, KEYFORM_VAR_PROJECT="1")
    assert CANARY not in told
