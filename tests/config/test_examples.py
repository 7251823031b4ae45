"""The examples, and the file that `keyform init` writes, are valid unchanged."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.config import load_config, template
from reconciler.model import DesiredState, EndpointKind

Load = Callable[..., DesiredState]

EXAMPLES = ["application", "minimal", "older-api", "team"]


def test_every_example_is_named_here_and_has_a_seed(project_root: Path) -> None:
    folder = project_root / "examples"
    assert sorted(path.stem for path in folder.glob("*.yaml")) == EXAMPLES
    assert sorted(path.stem for path in (folder / "seeds").glob("*.yaml")) == EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_valid_and_says_where_its_schema_is(name: str, project_root: Path) -> None:
    path = project_root / "examples" / f"{name}.yaml"
    state = load_config([path], {"GCORE_CLOUD_PROJECT_ID": "1234"})
    assert state.project == 1234
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=../schemas/keyform.schema.json"
    assert {Path(str(sink.options["path"])).parent for sink in state.sinks} == {path.parent / "secrets"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_seed_has_every_endpoint_that_its_example_speaks_of(name: str, project_root: Path) -> None:
    state = load_config([project_root / "examples" / f"{name}.yaml"], {"GCORE_CLOUD_PROJECT_ID": "1234"})
    seed = yaml.safe_load((project_root / "examples" / "seeds" / f"{name}.yaml").read_text(encoding="utf-8"))
    project = seed["projects"][state.project]
    live = {
        *((EndpointKind.DEPLOYMENT, each["name"]) for each in project["deployments"]),
        *((EndpointKind.APPLICATION, each["name"]) for each in project.get("applications", [])),
    }
    spoken_of = {ref for key in state.keys for ref in key.endpoints} | {each.ref for each in state.endpoints}
    assert {(ref.kind, ref.name) for ref in spoken_of} <= live
    foreign = {key["name"] for key in project["api_keys"]}
    assert foreign
    assert not foreign & {key.name for key in state.keys}


def test_the_template_is_valid(load: Load) -> None:
    state = load(template("demo"), GCORE_CLOUD_PROJECT_ID="7")
    assert (state.stack, state.project, state.api, state.safety.max_deletes) == ("demo", 7, "v3", 5)
    assert [(key.name, key.bindings) for key in state.keys] == [("my-demo-app", ())]
    assert load(template("demo", api="v2"), GCORE_CLOUD_PROJECT_ID="7").api == "v2"


@settings(deadline=None, max_examples=50)
@given(stack=st.from_regex(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True))
@example("1st")
@example("yes")
@example("2026-01-01")
@example("aws-prod")
@example("keyform-lock-x")
@example("x-g1")
@example("x" * 40)
def test_the_template_is_valid_whatever_the_stack_is_called(stack: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "keyform.yaml")
        path.write_text(template(stack, 1))
        assert load_config([path], {}).stack == stack


def test_the_template_takes_a_project_and_a_schema(load: Load) -> None:
    text = template("demo", 1234, schema="./keyform.schema.json")
    assert load(text).project == 1234
    assert text.splitlines()[0] == "# yaml-language-server: $schema=./keyform.schema.json"
    assert not template("demo").startswith("# yaml-language-server")


def test_what_the_template_shows_in_comments_is_valid_too(load: Load) -> None:
    lines = template("demo", 1234).splitlines()
    shown = [line[2:] if line.startswith(("#   ", "# deployments:")) else line for line in lines]
    state = load("\n".join(shown))
    assert [key.name for key in state.keys] == ["my-demo-app", "payments-api"]
    assert [endpoint.ref.name for endpoint in state.endpoints] == ["llama3", "playground"]
