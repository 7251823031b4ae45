"""Every file in examples/ is valid, is applied to what its seed has live, and does what it says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cli.conftest import Keyform
from cli.in_process import InProcess
from cli.stage import PROJECT, World

from reconciler.emulator import Emulator, EmulatorServer, load_seed

EXAMPLES = ["application", "minimal", "older-api", "team"]


def test_all_examples_are_tested(project_root: Path) -> None:
    assert sorted(path.stem for path in (project_root / "examples").glob("*.yaml")) == EXAMPLES
    assert sorted(path.stem for path in (project_root / "examples/seeds").glob("*.yaml")) == EXAMPLES


class Example:
    """An example in a separate folder, and the API with the live objects of its seed."""

    def __init__(self, world: World, path: Path) -> None:
        self.world = world
        self.said: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))

    def bindings(self) -> Iterator[tuple[str, str, str, Any]]:
        """Sink, key, endpoint and kind of everything that a secret opens."""
        for name, key in self.said["keys"].items():
            sinks = key.get("sink", self.said.get("defaults", {}).get("sink"))
            for sink in [sinks] if isinstance(sinks, str) else sinks:
                for kind in ("deployment", "application"):
                    for endpoint in key.get(f"{kind}s", []):
                        yield sink, name, endpoint, kind

    def secret(self, sink: str, key: str) -> str:
        """What a consumer finds in the sink."""
        entry = self.said["sinks"][sink]
        return self.world.held(entry["path"])[key if entry["type"] == "json" else key.upper().replace("-", "_")]

    def address(self, endpoint: str, kind: str) -> str:
        """Where the API says that it answers."""
        headers = {"Authorization": f"APIKey {self.world.env['GCORE_API_KEY']}"}
        if kind == "deployment":
            url = f"{self.world.url}/cloud/v3/inference/{PROJECT}/deployments/{endpoint}"
            return str(httpx.get(url, headers=headers).json()["address"])
        url = f"{self.world.url}/cloud/v3/inference/applications/{PROJECT}/deployments/{endpoint}"
        status = httpx.get(url, headers=headers).json()["status"]
        return str(next(iter(status["expose_addresses"].values()))["address"])


def call(address: str, secret: str | None) -> int:
    """The status of a completion, as a consumer asks for one."""
    body = {"model": "any", "messages": [{"role": "user", "content": "hello"}]}
    headers = {"X-API-Key": secret} if secret else {}
    return httpx.post(f"{address}/v1/chat/completions", headers=headers, json=body).status_code


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, project_root: Path, tmp_path: Path) -> Iterator[Example]:
    folder = tmp_path / "stack"
    folder.mkdir()
    path = Path(shutil.copy(project_root / f"examples/{request.param}.yaml", folder / "keyform.yaml"))
    data = load_seed(project_root / f"examples/seeds/{request.param}.yaml")
    with Emulator() as emulator, EmulatorServer(emulator) as server:
        emulator.grant(data["tokens"])
        world = World.make(folder, server, data["projects"][str(PROJECT)])
        world.env |= {"GCORE_API_KEY": next(iter(data["tokens"])), "GCORE_CLOUD_PROJECT_ID": str(PROJECT)}
        yield Example(world, path)


def test_an_example_is_valid_applied_used_and_then_left_alone(
    example: Example, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world, said = example.world, example.said
    keyform: Keyform = InProcess(world, monkeypatch, capsys)
    ran = keyform("validate")
    assert ran.code == 0, ran.err
    foreign = {name: world.secret_of(name) for name in world.live_names()}
    ran = keyform("apply", "--auto-approve")
    assert ran.code == 0, ran.out + ran.err

    bindings = list(example.bindings())
    assert bindings
    for sink, key, endpoint, kind in bindings:
        address = example.address(endpoint, kind)
        assert call(address, example.secret(sink, key)) == 200, (sink, key, endpoint)
        assert call(address, None) == 401
        assert call(address, "another") == 401
    for endpoint, settings in said.get("deployments", {}).items():
        assert call(example.address(endpoint, "deployment"), None) == (200 if settings["auth"] == "open" else 401)
        if settings.get("exclusive"):
            assert set(world.bound(endpoint)) <= set(said["keys"])
    assert {name: world.secret_of(name) for name in foreign} == foreign

    before, files = len(world.writes), world.files()
    for command in ("plan", "apply"):
        ran = keyform(command, "--auto-approve") if command == "apply" else keyform("plan", "--detailed-exitcode")
        assert ran.code == 0
        assert "No changes." in ran.out
    assert len(world.writes) == before
    assert world.files() == files
