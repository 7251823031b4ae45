"""Each file in `cases/` is a sentence about what is refused, the files, and the whole message, to the letter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.config import load_config
from reconciler.errors import ConfigError

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))
ENV = {
    "KEYFORM_VAR_EMPTY": "",
    "KEYFORM_VAR_PROJECT": "12",
    "KEYFORM_VAR_PREFIX": "9lives",
    "KEYFORM_VAR_WORD": "canary",
    "KEYFORM_VAR_BIDI": "a\u202eb",
    "KEYFORM_VAR_LINES": "a\nb",
    "KEYFORM_VAR_STRUCTURE": "{key}",
    "KEYFORM_VAR_REFERENCE": "${GCORE_API_KEY}",
    "KEYFORM_VAR_GIT": ".git",
    "KEYFORM_VAR_UP": "..",
    "KEYFORM_VAR_HOST": "eu-west-1.evil.example/",
    "GCORE_API_KEY": "canary",
    "AWS_REGION": "canary",
    "HOME": "/srv/me",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path, folder: Path) -> None:
    _, *parts = re.split(r"^==== (.*)\n", case.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = dict(zip(parts[::2], parts[1::2], strict=True))
    expected = texts.pop("findings")
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config([Path(name) for name in texts], ENV)
    assert "".join(f"{finding}\n" for finding in caught.value.findings) == expected
    assert "canary" not in caught.value.diagnostics()


def test_there_are_cases() -> None:
    assert len(CASES) > 25


def test_the_error_counts_its_findings(folder: Path) -> None:
    (folder / "keyform.yaml").write_text("version: 1\nstack: demo\n")
    with pytest.raises(ConfigError) as caught:
        load_config([Path("keyform.yaml")], {})
    assert caught.value.diagnostics() == (
        "The configuration is invalid: 1 error.\n"
        "  keyform.yaml:1:1: the field `project` is missing\n"
        "    Write `project: NUMBER`, or `project: ${GCORE_CLOUD_PROJECT_ID}`."
    )
