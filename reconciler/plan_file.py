"""A plan as a file: written by `plan --out`, and read by `show` and `apply`.

The file is JSON: a form, what it is bound to, a checksum of the rest against damage, and the plan. It holds no secret,
and nothing in it is an instruction (see plan/saved.py), so the checksum guards against accidents, not against forgers.
A reader checks the type of every value: what does not fit is refused, and nothing in it is called or imported.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any, get_origin

from reconciler import __version__
from reconciler.errors import KeyformError
from reconciler.model import EndpointRef, Unchanged
from reconciler.plan.changes import Change, Object, Plan, Resource
from reconciler.plan.policies import ENDPOINT_FIELDS, KEY_FIELDS

if TYPE_CHECKING:
    from cattrs import Converter

FORM = 1
"""The form in which plans are saved; another one is refused."""
KIND = "keyform plan"
BEGINS = f'{{"kind":"{KIND}",'.encode()
"""The first bytes of every saved plan, of any form."""
LARGEST = 200_000_000
"""The largest file that is read, in bytes: a plan of ten thousand rotations takes about a fifth of it."""
AGAIN = "run `keyform plan --out FILE` again"


class PlanFileError(KeyformError):
    """A file that is no saved plan, or one that this version cannot read."""


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan, and what it is bound to: `configuration` is the digest of the file's content. `commit` only informs."""

    plan: Plan
    configuration: str
    commit: str = ""
    version: str = __version__


def dump_plan(saved: SavedPlan) -> bytes:
    """The file's content, the same to the byte for the same plan."""
    body = {
        "stack": saved.plan.stack,
        "project": saved.plan.project,
        "api": saved.plan.api,
        "configuration": saved.configuration,
        "commit": saved.commit,
        "plan": make_converter().unstructure(saved.plan, Plan),
    }
    head = {"kind": KIND, "form": FORM, "version": saved.version, "checksum": _checksum(body)}
    return json.dumps({**head, **body}, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def load_plan(content: bytes, name: str) -> SavedPlan:
    """The saved plan in a file's content; `name` is the file's, for errors. PlanFileError for everything else."""
    from cattrs import BaseValidationError  # noqa: PLC0415 - takes 60 ms
    from cattrs.errors import ForbiddenExtraKeysError, StructureHandlerNotFoundError  # noqa: PLC0415

    tree = _parse(content, name)
    version = tree.get("version")
    if tree.get("kind") != KIND:
        raise PlanFileError(f"{name} is not a saved plan.", way_out=AGAIN)
    if tree.get("form") != FORM:
        form = tree.get("form")
        is_later = isinstance(form, int) and form > FORM
        raise PlanFileError(
            f"{name} was saved by {'a later' if is_later else 'an earlier'} version of keyform"
            f"{f' ({version[:20]})' if isinstance(version, str) else ''}, in a form that this one ({__version__}) does"
            " not read.",
            way_out=f"use the same version of keyform for plan and apply, or {AGAIN}",
        )
    body = {field: tree.get(field) for field in ("stack", "project", "api", "configuration", "commit", "plan")}
    if tree.get("checksum") != _checksum(body) or len(tree) != len(body) + 4:
        raise PlanFileError(f"{name} is damaged: its content does not match its checksum.", way_out=AGAIN)
    try:
        converter = make_converter()
        texts = [converter.structure(tree[field], str) for field in ("configuration", "commit", "version")]
        plan = converter.structure(body["plan"], Plan)
        drifted = [each.resource for each in (*plan.drift, *plan.unproven)]
        if not all(map(_is_whole, (*plan.resources, *drifted))):
            raise ValueError("an object without all of its attributes")
    except (
        *(BaseValidationError, ForbiddenExtraKeysError, StructureHandlerNotFoundError),
        *(ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError),
    ):
        raise PlanFileError(f"{name} is damaged: a part of it is not what a plan has.", way_out=AGAIN) from None
    if (plan.stack, plan.project, plan.api) != (body["stack"], body["project"], body["api"]):
        raise PlanFileError(f"{name} is damaged: it names two stacks, projects or APIs.", way_out=AGAIN)
    return SavedPlan(plan, *texts)


def _parse(content: bytes, name: str) -> dict[str, Any]:
    """The file as JSON, whose top is an object."""
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        what = "is empty" if not content.strip() else "is not a saved plan, or is damaged"
        raise PlanFileError(f"{name} {what}.", way_out=AGAIN) from None
    if not isinstance(tree, dict):
        raise PlanFileError(f"{name} is not a saved plan.", way_out=AGAIN)
    return tree


def _checksum(body: dict[str, Any]) -> str:
    canonical = json.dumps(body, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


# --- Values -----------------------------------------------------------------------------------------------------------


@cache
def make_converter() -> Converter:
    """Plans as JSON and back, to equality; of JSON, every value has to have the type that its field declares."""
    from cattrs import Converter  # noqa: PLC0415 - takes 60 ms
    from cattrs.strategies import configure_tagged_union, include_subclasses  # noqa: PLC0415

    converter = Converter(forbid_extra_keys=True, detailed_validation=False)
    for kind in (str, int, bool):  # by identity: a hook for `str` would also read the enumerations that are texts
        converter.register_structure_hook_func(partial(operator.is_, kind), _exactly(kind))
    converter.register_structure_hook(timedelta, lambda value, _: timedelta(microseconds=_exactly(int)(value, int)))
    converter.register_unstructure_hook(timedelta, lambda value: value // timedelta(microseconds=1))
    converter.register_structure_hook(datetime, lambda value, _: _read_instant(value))
    converter.register_unstructure_hook(datetime, _write_instant)
    for kinds, write, read in (
        (datetime | Unchanged | None, _write_expiry, _read_expiry),
        (EndpointRef | str | None, _write_place, lambda value: _read_place(value, converter)),
        (str | bool | int | None, _as_it_is, _read_scalar),
        (Object, _as_it_is, _read_object),
    ):
        _register(converter, kinds, write, read)
    converter.register_unstructure_hook_func(_is_set, lambda value: sorted(map(converter.unstructure, value), key=repr))
    include_subclasses(Change, converter, union_strategy=partial(configure_tagged_union, tag_name="type"))
    return converter


def _register(converter: Converter, kind: object, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> None:
    converter.register_unstructure_hook_func(lambda asked: asked == kind, write)
    converter.register_structure_hook_func(lambda asked: asked == kind, lambda value, _: read(value))


def _is_set(kind: Any) -> bool:
    return get_origin(kind) is frozenset


def _exactly(kind: type) -> Callable[[Any, object], Any]:
    def read(value: Any, _: object) -> Any:
        if type(value) is not kind:
            raise TypeError(f"not {kind.__name__}")
        return value

    return read


def _as_it_is(value: Any) -> Any:
    return value


def _read_scalar(value: Any) -> Any:
    if type(value) not in (str, bool, int, type(None)):
        raise TypeError("neither text, nor a number, nor a switch")
    return value


def _read_object(value: Any) -> Any:
    if type(value) is not dict or not _is_data(value):
        raise TypeError("not an object")
    return value


def _is_data(value: Any) -> bool:
    """Whether a plan's objects can have it: there are no fractions in them."""
    if type(value) is dict:
        return all(_is_data(each) for each in value.values())
    if type(value) is list:
        return all(_is_data(each) for each in value)
    return type(value) in (str, bool, int, type(None))


def _is_whole(resource: Resource | None) -> bool:
    """Whether both sides of a resource are objects of its kind, with all of their attributes."""
    sides = [side for side in (resource.before, resource.after) if side is not None] if resource else []
    if resource is None or not resource.address.startswith("key."):
        return all(side.keys() == ENDPOINT_FIELDS for side in sides)
    return all(
        side.keys() == KEY_FIELDS
        and isinstance(generations := side["generations"], list)
        and all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in generations)
        for side in sides
    )


def _write_instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat()


def _read_instant(value: Any) -> datetime:
    found = datetime.fromisoformat(_exactly(str)(value, str))
    if found.tzinfo is None:
        raise ValueError("an instant without its zone")
    return found.astimezone(UTC)


def _write_expiry(value: datetime | Unchanged | None) -> str | None:
    return value.value if isinstance(value, Unchanged) else _write_instant(value) if value else None


def _read_expiry(value: Any) -> datetime | Unchanged | None:
    if value is None:
        return None
    return Unchanged.UNCHANGED if value == Unchanged.UNCHANGED.value else _read_instant(value)


def _write_place(value: EndpointRef | str | None) -> Any:
    return {"kind": value.kind.value, "name": value.name} if isinstance(value, EndpointRef) else value


def _read_place(value: Any, converter: Converter) -> EndpointRef | str | None:
    return value if value is None or isinstance(value, str) else converter.structure(value, EndpointRef)
