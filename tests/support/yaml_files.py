"""The configuration file that says what a `DesiredState` of the tests says: from data to a real file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import yaml

from reconciler.model import DEFAULT_API, DesiredKey, DesiredState, EndpointKind

PLACES = {EndpointKind.DEPLOYMENT: "deployments", EndpointKind.APPLICATION: "applications"}


def to_yaml(desired: DesiredState, sinks: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of keyform.yaml; `sinks` are the settings of each sink, as the file has them."""
    if desired.safety.max_deletes is None:
        raise ValueError("a file cannot lift the limit of deletes")
    file: dict[str, Any] = {
        "version": 1,
        "stack": desired.stack,
        "project": desired.project,
        **({"api": desired.api} if desired.api != DEFAULT_API else {}),
        "sinks": {name: dict(settings) for name, settings in sinks.items()},
        "keys": {key.name: _write_key(key) for key in desired.keys},
        "moved": [{"from": move.source, "to": move.to if move.key else f"stack.{move.to}"} for move in desired.moves],
        "forget": [farewell.key for farewell in desired.farewells],
        "safety": {"max_deletes": desired.safety.max_deletes, "allow_empty": desired.safety.allow_empty},
    }
    for kind, place in PLACES.items():
        declared = [endpoint for endpoint in desired.endpoints if endpoint.ref.kind is kind]
        file[place] = {
            endpoint.ref.name: {"exclusive": endpoint.exclusive}
            | ({"auth": endpoint.auth.value} if endpoint.auth is not None else {})
            for endpoint in declared
        }
    return yaml.safe_dump(file, sort_keys=False)


def _write_key(key: DesiredKey) -> dict[str, Any]:
    rotation = {"overlap": _seconds(key.overlap)}
    rotation |= {"every": _seconds(key.every)} if key.every is not None else {}
    rotation |= {"lifetime": _seconds(key.lifetime)} if key.lifetime is not None else {}
    written: dict[str, Any] = {
        "sink": list(key.sinks),
        "rotation": rotation,
        "prevent_destroy": key.prevent_destroy,
        "prove": key.prove,
    }
    for kind, place in PLACES.items():
        written[place] = [ref.name for ref in sorted(key.endpoints) if ref.kind is kind]
    if key.description is not None:
        written["description"] = key.description
    if key.expires_at is not None:
        written["expires_at"] = key.expires_at.isoformat()
    elif key.says_expiry:
        written["expires_at"] = "never"
    if key.adopt is not None:
        written["adopt"] = key.adopt
    return written


def _seconds(length: timedelta) -> str:
    return f"{length // timedelta(seconds=1)}s"
