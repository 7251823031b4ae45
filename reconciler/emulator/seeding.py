"""A starting state from a file: tokens, projects, keys, deployments and applications, in YAML or JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from reconciler.emulator.applications import child_name, insert_application
from reconciler.emulator.clock import micros
from reconciler.emulator.core import Emulator
from reconciler.emulator.deployments import BOTH_GIVEN, attach_first_keys, bury_deployment, insert_deployment
from reconciler.emulator.keys import insert_key
from reconciler.emulator.modes import Modes
from reconciler.emulator.validation import is_label, problems_in, read_instant
from reconciler.emulator.wire import ApiError
from reconciler.emulator.world import Table, World

REGION = 1
LONGEST_APPLICATION = 15
"""Characters [D]."""
FLAVOR = "inference-16vcpu-232gib-1xh100-80gb"
DEPLOYMENT: dict[str, Any] = {
    "image": "vllm/vllm-openai:latest",
    "listening_port": 8000,
    "flavor_name": FLAVOR,
    "containers": [{"region_id": REGION, "scale": {"min": 1, "max": 1}}],
}
APART = {"api_keys", "auth_enabled", "id", "status"}
"""Fields of a seeded deployment that are not settings of it."""
COMPONENT: dict[str, Any] = {"flavor": FLAVOR, "exposed": True, "scale": {"min": 1, "max": 1}}
IN_LIST = re.compile(r"(?<=api_keys|loyments|ications|.regions)\.([0-9]+)")
"""A position in a list, within a dotted path."""


class SeedError(ValueError):
    """A seed that cannot be used; `problems` lists every place and what is wrong there."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load_seed(path: str | Path, modes: Modes | None = None) -> dict[str, Any]:
    """Read and check a seed file, YAML or JSON, for an emulator in `modes`; SeedError if it cannot be read or used."""
    import yaml  # noqa: PLC0415 - only a seed file needs it

    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SeedError([f"{path}: {getattr(error, 'strerror', None) or 'not a text file'}"]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f":{mark.line + 1}:{mark.column + 1}"
        raise SeedError([f"{path}{place}: not valid YAML: {getattr(error, 'problem', None) or 'unreadable'}"]) from None
    try:
        return check_seed({} if data is None else data, modes)
    except SeedError as error:
        raise SeedError([f"{path}: {problem}" for problem in error.problems]) from None


def check_seed(data: object, modes: Modes | None = None) -> dict[str, Any]:
    """The seed with YAML's dates and whole numbers turned into JSON's types; SeedError with all problems at once.

    `modes` are those of the emulator it is for: in some, two deployments may have one name, or applications any.
    """
    modes = modes or Modes()
    plain = _plain(data)
    told = {IN_LIST.sub(r"[\1]", place): messages for place, messages in problems_in("SEED", plain).items()}
    problems = [f"{place}: {message}" for place, messages in told.items() for message in messages]
    if not problems:
        for project, content in plain.get("projects", {}).items():
            problems += [f"projects.{project}.{problem}" for problem in _project_problems(content or {}, modes)]
        problems += _repeated_ids(plain.get("projects", {}))
    if problems:
        raise SeedError(problems)
    checked: dict[str, Any] = plain
    return checked


def seed(emulator: Emulator, data: Mapping[str, Any]) -> None:
    """Put everything of `data` into the emulator that it does not have yet; SeedError if the data is wrong.

    Existing objects stay as they are, so that a restart with the same seed changes nothing.
    """
    checked = check_seed(data, emulator.modes)
    emulator.grant(checked.get("tokens", {}))
    now = micros(emulator.clock.now())
    with emulator.editing() as world:
        for project, content in checked.get("projects", {}).items():
            _fill_project(world, int(project), content or {}, now)


def _plain(value: object) -> Any:
    """JSON's types only: YAML reads dates, and numbers as the names of fields."""
    match value:
        case Mapping():
            return {str(name): _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case datetime() | date():
            return value.isoformat()
        case _:
            return value


def _project_problems(content: Mapping[str, Any], modes: Modes) -> Iterator[str]:
    keys = [key["name"] for key in content.get("api_keys", [])]
    taken: set[str] = set()
    yield from _repeated("api_keys", keys)
    for position, key in enumerate(content.get("api_keys", [])):
        for field in ("expires_at", "created_at"):
            if field in key:
                try:
                    read_instant(field, key[field])
                except ApiError:
                    yield f"api_keys[{position}].{field}: not an ISO 8601 date or time"
    for section in ("deployments", "applications"):
        items = content.get(section, [])
        may_repeat = modes.twin_deployments == "allowed" and section == "deployments"
        yield from () if may_repeat else _repeated(section, [_taken_name(item) for item in items])
        for position, item in enumerate(items):
            for name in item.get("api_keys", []):
                if name not in keys:
                    yield f"{section}[{position}].api_keys: there is no key {name!r} in this project's api_keys"
            if "api_keys" in item and "auth_enabled" in item:
                yield f"{section}[{position}]: {BOTH_GIVEN}"
            names = [_taken_name(item)]
            if section == "applications":
                if modes.application_name == "label" and not is_label(item["name"]):
                    yield f"applications[{position}].name: small letters, digits and inner hyphens only"
                if modes.application_name == "label" and len(item["name"]) > LONGEST_APPLICATION:
                    yield f"applications[{position}].name: at most {LONGEST_APPLICATION} characters"
                names = [child_name(item["name"], component) for component in item.get("components", {"web": None})]
            for name in filter(None, names):
                if name in taken and not may_repeat:
                    yield f"{section}[{position}]: the deployment name {name!r} is taken"
                taken.add(name)


def _taken_name(item: Mapping[str, Any]) -> str | None:
    """The name that nothing else may have; a deleted deployment takes none."""
    return None if item.get("status") == "DELETED" else item["name"]


def _repeated(section: str, names: Sequence[str | None]) -> Iterator[str]:
    for position, name in enumerate(names):
        if name is not None and name in names[:position]:
            yield f"{section}[{position}].name: {name!r} appears here twice"


def _repeated_ids(projects: Mapping[str, Any]) -> Iterator[str]:
    for section, field in (("api_keys", "key_id"), ("deployments", "id")):
        seen: set[str] = set()
        for project, content in projects.items():
            for position, item in enumerate((content or {}).get(section, [])):
                if field in item and item[field] in seen:
                    yield f"projects.{project}.{section}[{position}].{field}: {item[field]!r} appears here twice"
                seen.add(item.get(field, ""))


def _fill_project(world: World, project_id: int, content: Mapping[str, Any], now: int) -> None:
    world.run("INSERT OR IGNORE INTO projects VALUES (?)", project_id)
    for key in content.get("api_keys", []):
        if not world.find("keys", project_id, key["name"]):
            _check_id(world, project_id, "keys", key.get("key_id"))
            insert_key(
                world,
                project_id,
                key["name"],
                description=key.get("description"),
                secret=key.get("secret") or world.new_secret(),
                created_at=read_instant("created_at", key["created_at"]) if "created_at" in key else now,
                expires_at=read_instant("expires_at", key["expires_at"]) if "expires_at" in key else None,
                uuid=key.get("key_id"),
            )
    there = Counter(row["name"] for row in world.all_of("deployments", project_id))
    deleted = world.rows("SELECT name FROM deleted_deployments WHERE project_id = ?", project_id)
    there_deleted = Counter(row["name"] for row in deleted)
    for item in content.get("deployments", []):
        alike = there_deleted if item.get("status") == "DELETED" else there
        if alike[item["name"]]:  # the first of two with one name is the older one
            alike[item["name"]] -= 1
        else:
            _add_deployment(world, project_id, item, now)
    for item in content.get("applications", []):
        if not world.find("applications", project_id, item["name"]):
            _add_application(world, project_id, item, now)


def _check_id(world: World, project_id: int, table: Table, uuid: str | None) -> None:
    if uuid is not None and world.find_uuid(table, uuid):
        section = "api_keys" if table == "keys" else table
        raise SeedError([f"projects.{project_id}.{section}: the id {uuid!r} is taken"])


def _add_deployment(world: World, project_id: int, item: Mapping[str, Any], now: int) -> None:
    body = DEPLOYMENT | {name: value for name, value in item.items() if name not in APART}
    uuid, status = item.get("id"), item.get("status", "ACTIVE")
    _check_id(world, project_id, "deployments", uuid)
    created = insert_deployment(world, project_id, body, now=now, status=status, uuid=uuid)
    names, auth_enabled = item.get("api_keys", []), item.get("auth_enabled", False)
    attach_first_keys(world, project_id, created, names, now=now, auth_enabled=auth_enabled)
    if status == "DELETED":
        bury_deployment(world, created)


def _add_application(world: World, project_id: int, item: Mapping[str, Any], now: int) -> None:
    components = item.get("components", {"web": {}})
    body = {
        "name": item["name"],
        "application_name": item.get("application_name", item["name"]),
        "regions": item.get("regions", [REGION]),
        "components_configuration": {name: COMPONENT | (setting or {}) for name, setting in components.items()},
        "api_keys": item.get("api_keys", []),
    }
    for component in components:
        name = child_name(item["name"], component)
        if world.find("deployments", project_id, name):
            raise SeedError([f"projects.{project_id}.applications: the deployment name {name!r} is taken"])
    insert_application(world, project_id, body, now=now, status="ACTIVE")
