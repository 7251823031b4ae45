"""One language of templates for all sinks: what each placeholder stands for, and that no two secrets share a place."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.config import load_config
from reconciler.errors import ConfigError
from reconciler.sinks.declared import sink_types
from reconciler.sinks.templates import NAMES, VARIABLE_TEMPLATE, fill, placeholders_in

FILLED = {"key": "payments-api", "KEY": "PAYMENTS_API", "stack": "inference-prod", "STACK": "INFERENCE_PROD"}


@pytest.mark.parametrize("name", NAMES)
def test_a_placeholder_stands_for_the_same_in_every_place(name: str) -> None:
    template = f"a{{{name}}}b{{other}}"
    assert fill(template, key="payments-api", stack="inference-prod") == f"a{FILLED[name]}b{{other}}"
    assert fill(template) == template
    assert placeholders_in(template) == {name}


@given(st.text("{}kKeyEYst", max_size=30), st.sampled_from(["{stack}", "{key}", "payments"]))
def test_what_is_filled_in_is_not_read_again(template: str, value: str) -> None:
    filled = fill(template, key=value)
    for part in template.split("{key}"):
        assert fill(part, key=value) in filled
    assert fill(template) == template


def test_variables_have_one_default_and_one_error(project_root: Path) -> None:
    option = sink_types()["dotenv"].option("variable")
    assert option is not None
    assert option.default == VARIABLE_TEMPLATE == "{KEY}_KEY"
    messages = {
        name: str(option.schema["errorMessage"])
        for kind in sink_types().values()
        for name in ("variable", "name", "field")
        if (option := kind.option(name))
    }
    assert set(messages) == {"variable", "name", "field"}
    for message in messages.values():
        assert "; its placeholders are `{" in message
    for path in (*(project_root / "examples").glob("*.yaml"), project_root / "README.md"):
        assert "_API_KEY}" not in path.read_text(encoding="utf-8")


KEYS = ("pays", "pays-api", "pays-api-key", "api-pays", "pays-key")
TEMPLATES = ("{KEY}", "{KEY}_KEY", "{KEY}_API_KEY", "API_{KEY}", "{STACK}_{KEY}", "API_{KEY}_KEY")


@settings(deadline=None, max_examples=60)
@given(
    sinks=st.lists(st.sampled_from(TEMPLATES), min_size=2, max_size=3),
    keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True),
    stack=st.sampled_from(["api", "pays"]),
)
@example(["{KEY}_KEY", "{KEY}_API_KEY"], ["pays", "pays-api"], "demo")
@example(["API_{KEY}", "{STACK}_{KEY}"], ["pays"], "api")
def test_two_secrets_in_one_variable_are_refused_with_both_places(
    sinks: list[str], keys: list[str], stack: str
) -> None:
    names = [f"s{number}" for number in range(len(sinks))]
    text = f"version: 1\nstack: {stack}\nproject: 1\nsinks:\n"
    text += "".join(
        f'  {name}: {{type: dotenv, path: a.env, variable: "{each}"}}\n'
        for name, each in zip(names, sinks, strict=True)
    )
    text += f"defaults: {{sink: [{', '.join(names)}]}}\nkeys:\n" + "".join(f"  {key}: {{}}\n" for key in keys)
    variables = [fill(each, key=key, stack=stack) for each in sinks for key in keys]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "keyform.yaml")
        path.write_text(text, encoding="utf-8")
        if len(set(variables)) == len(variables):
            load_config([path], {})
            return
        with pytest.raises(ConfigError) as caught:
            load_config([path], {})
    for finding in caught.value.findings:
        assert "its secret would overwrite that of " in finding.message
        assert finding.message.endswith(", which another sink writes to the same file")
        assert "keyform.yaml:" in finding.way_out
