"""The plans that the example policies are tried with: made by keyform from the YAML files in examples/policies/cases.

Each folder there has a file that its policy allows and one that it refuses. `before.yaml` is applied on the emulator,
whose project `live.yaml` describes, and then the other file is planned, at an instant that stays the same.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from reconciler.config import load_config
from reconciler.effects import Effects
from reconciler.model import DesiredState
from reconciler.plan.outcomes import Result
from reconciler.report.json import plan_to_json
from reconciler.sinks import open_sinks
from reconciler.sinks.protocol import Sink
from support.worlds import World

POLICIES = Path(__file__).parents[2] / "examples" / "policies"
CASES = POLICIES / "cases"
SIDES = ("pass", "fail")


class StackWorld(World):
    """A world whose sinks are those of a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, yaml.safe_load((CASES / "live.yaml").read_text(encoding="utf-8")), task_seconds=0)
        self.desired: DesiredState | None = None

    def load(self, path: Path) -> DesiredState:
        """A file of the examples, as if it were in the world's folder."""
        here = self.folder / "keyform.yaml"
        shutil.copyfile(path, here)
        self.desired = load_config([here], {})
        return self.desired

    def sinks(self, effects: Effects | None = None) -> dict[str, Sink]:
        """Those of the file that was loaded last."""
        assert self.desired is not None
        owner = self.desired.owner(self.api.host)
        return open_sinks(self.desired.sinks, owner=owner, effects=effects or self.effects)


def plan_case(path: Path) -> str:
    """The plan of a file, after `before.yaml` was applied, as `keyform plan --json` prints it."""
    with tempfile.TemporaryDirectory() as folder:
        world = StackWorld(Path(folder))
        result: Result = world.apply(world.load(CASES / "before.yaml"))
        assert result.complete
        return plan_to_json(world.plan(world.load(path)))


def cases() -> Iterator[tuple[Path, Path]]:
    """Each YAML file with its plan."""
    for policy in sorted(POLICIES.glob("*.rego")):
        for side in SIDES:
            path = CASES / policy.stem / f"{side}.yaml"
            yield path, path.with_suffix(".json")


def write_plans() -> None:
    """Make all plans again."""
    for path, plan in cases():
        plan.write_text(plan_case(path), encoding="utf-8")


if __name__ == "__main__":
    write_plans()
