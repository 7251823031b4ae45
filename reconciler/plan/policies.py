"""What the file says about a key and nothing live shows: how it rotates, whether it is proved, where its secret goes.

A tool that judges a plan finds it in the objects of the plan, next to what is live. It is the same before and after: a
policy has no live value that could differ from the file's, and a key that stays as it is must have equal objects. All
of it is None for a key that the file does not declare.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from reconciler.model import DesiredKey, DesiredState, SinkSettings, Snapshot, read_description
from reconciler.plan.changes import Drift, Object, Resource
from reconciler.plan.fields import duration

LENGTHS = ("every", "overlap", "lifetime")
_POLICY = ("rotation", "prove", "adopt", "destinations")
_SCOPE = ("stack", "project")
KEY_FIELDS = frozenset(
    {
        *("name", "description", "expires_at", "prevent_destroy", "generation", "created_at"),
        *("deployments", "applications", "sinks", "generations", "secret", *_POLICY, *_SCOPE),
    }
)
"""The attributes of a whole key."""
ENDPOINT_FIELDS = frozenset({"name", "kind", "auth", "keys", "generations", "foreign_keys", *_SCOPE})
"""The attributes of a whole endpoint."""


def add_policies(
    desired: DesiredState, snapshot: Snapshot, resources: Iterable[Resource], drift: Iterable[Drift]
) -> tuple[tuple[Resource, ...], tuple[Drift, ...]]:
    """The same keys and endpoints, each with its stack and project, and keys with what the file says about them.

    `desired` is the whole file, even if the plan is about a part of it.
    """
    keys = {f"key.{key.name}": key for key in desired.keys}
    sinks = {sink.name: sink for sink in desired.sinks}
    told = {name: contents.destination for name, contents in snapshot.sinks.items()}

    def complete(found: Resource) -> Resource:
        before, after = (
            side and {**side, **_scope(desired, found, side), **_policy(found, keys, sinks, told)}
            for side in (found.before, found.after)
        )
        return replace(found, before=before, after=after)

    drifted = (replace(each, resource=complete(each.resource)) if each.resource else each for each in drift)
    return tuple(map(complete, resources)), tuple(drifted)


def _scope(desired: DesiredState, found: Resource, side: Object) -> Object:
    """The stack that the key's marker names, which differs before a key changes hands; and the project."""
    generations = side.get("generations")
    for each in generations if isinstance(generations, list) else ():
        if isinstance(each, dict) and each["name"] == side.get("generation"):
            _, marker = read_description(each["marker"])
            if marker is not None:
                return {"stack": marker.stack, "project": desired.project}
            if side is found.before and found.adopts == each["name"]:
                return {"stack": None, "project": desired.project}
    return {"stack": desired.stack, "project": desired.project}


def _policy(
    found: Resource, keys: Mapping[str, DesiredKey], sinks: Mapping[str, SinkSettings], told: Mapping[str, str]
) -> Object:
    """How the file says that a key is managed; nothing for an endpoint."""
    if not found.address.startswith("key."):
        return {}
    key = keys.get(found.address)
    if key is None:
        return dict.fromkeys(_POLICY, None)
    return {
        "rotation": _rotation(key),
        "prove": key.prove,
        "adopt": key.adopt,
        "destinations": [_destination(name, sinks.get(name), told.get(name, "")) for name in key.sinks],
    }


def _rotation(key: DesiredKey) -> Object:
    """Each length as the file writes it, and in seconds, for comparisons."""
    lengths: dict[str, timedelta | None] = {"every": key.every, "overlap": key.overlap, "lifetime": key.lifetime}
    written: Object = {name: None if length is None else duration(length) for name, length in lengths.items()}
    seconds: Object = {
        f"{name}_seconds": None if length is None else length // timedelta(seconds=1)
        for name, length in lengths.items()
    }
    return {**written, **seconds}


def _destination(name: str, sink: SinkSettings | None, place: str) -> Object:
    """A sink of the key: its type, the place as every plan shows it, and the tags that it puts on each secret."""
    tags = sink.options.get("tags") if sink else None
    return {
        "sink": name,
        "type": sink.type if sink else None,
        "destination": place or None,
        "tags": dict(sorted(tags.items())) if isinstance(tags, Mapping) else {},
    }
