"""Whatever is in a file, a state or a ConfigError comes out of it, and nothing of the environment."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import fuzz

from reconciler.config import load_config
from reconciler.errors import ConfigError

CANARIES = {
    name: f"canary{number}x9fQ2xLr7VbT4mN8c"
    for number, name in enumerate(
        ["GCORE_API_KEY", "GCORE_BASE_URL", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "VAULT_TOKEN",
         "GITHUB_TOKEN", "CI_JOB_TOKEN", "PATH", "USER", "A", "_", "KEYFORM_VAR", "KEYFORM_VAR_", "keyform_var_a"]
    )
}  # fmt: skip
READ = {"KEYFORM_VAR_A": "team", "KEYFORM_VAR_B": "a\u202eb", "KEYFORM_VAR_C": "${GCORE_API_KEY}", "HOME": "/srv/me"}
ENV = {**CANARIES, **READ}

_WORDS = """
version stack project sinks defaults keys deployments applications lock safety warnings type path variable shared
write remove timeout name field region kms_key_id endpoint_url profile sink rotation every overlap lifetime prove
expires_at adopt auth exclusive stacks max_deletes allow_empty expiry description dotenv json command api file none
aws-secrets-manager required open never local payments llama3 demo 1 1234 true 60d 2027-06-30 9999-12-31 0001-01-01
1e400 9999999999999999999999 .git ~/x ../x {key} {KEY} {stack} << *a &a !!x | > - : , [ ] { } ' " # % @ ` \\ --- ...
"""
WORDS = _WORDS.split()
SIGNS = ["\n", "\n  ", "\n    ", ": ", "- ", " ", "\t", "\u2028", "\u202e", "\u0085", "\ufeff", "\0", "\r", "\udc80"]
REFERENCES = [*(f"${{{name}}}" for name in ENV), "${", "$A", "${GCORE_CLOUD_PROJECT_ID}", "${KEYFORM_VAR_NONE}"]
words = st.sampled_from([*WORDS, *SIGNS, *REFERENCES])
texts = st.lists(words, max_size=60).map("".join)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.datetimes(), st.text(max_size=12), words
) | st.builds(lambda before, name, after: f"{before}${{{name}}}{after}", words, st.sampled_from(sorted(ENV)), words)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=6), inner, max_size=5),
    max_leaves=40,
)
sections = st.sampled_from(WORDS[:11])
sinks = st.dictionaries(
    st.sampled_from(["type", "path", "variable", "shared", "write", "remove", "timeout", "name", "field", "region",
                     "kms_key_id", "recovery_days", "endpoint_url", "profile"]),
    scalars | st.lists(scalars, max_size=3),
)  # fmt: skip
stacks = st.builds(
    lambda tree, kind, sink: {
        "version": 1, "stack": "demo", "project": 7, "sinks": {"local": {"type": kind, **sink}}, **tree
    },
    st.dictionaries(sections, trees, max_size=4),
    st.sampled_from(["dotenv", "json", "command", "aws-secrets-manager", "aws-ssm"]),
    sinks,
)  # fmt: skip


def check(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    began = time.process_time()
    try:
        said = repr(load_config([file], ENV))
    except ConfigError as error:
        said = error.diagnostics() + repr(error) + repr(error.findings)
        count = len(error.findings)
    else:
        count = 1
    assert time.process_time() - began < 2
    assert 1 <= count <= 51
    assert [value for value in CANARIES.values() if value in said] == []


@pytest.mark.attack("pull request author")
@fuzz(400)
@given(content=st.binary(max_size=400))
def test_any_bytes(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    check(content, tmp_path_factory.getbasetemp() / "bytes.yaml")


@pytest.mark.attack("pull request author")
@fuzz(400)
@given(text=texts)
def test_any_words(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    check(text.encode("utf-8", "surrogatepass"), tmp_path_factory.getbasetemp() / "words.yaml")


@pytest.mark.attack("pull request author")
@fuzz(400)
@given(tree=stacks)
def test_any_stack(tree: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")
    check(content, tmp_path_factory.getbasetemp() / "stack.yaml")
