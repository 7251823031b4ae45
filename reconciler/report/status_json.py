"""The status as JSON; instants are ISO 8601 in UTC, or null."""

from __future__ import annotations

from datetime import datetime

from reconciler.plan.fields import instant
from reconciler.report.json import FORMAT_VERSION, Value, dump
from reconciler.report.status import EndpointStatus, KeyStatus, StatusView


def status_to_json(view: StatusView) -> str:
    """The view, the same to the byte for the same view, with a newline at its end."""
    return dump(
        {
            "format_version": FORMAT_VERSION,
            "stack": view.stack,
            "project": view.project,
            "now": instant(view.now),
            "keys": [_key(key) for key in view.keys],
            "endpoints": [_endpoint(endpoint) for endpoint in view.endpoints],
            "public_endpoints": [str(endpoint.ref) for endpoint in view.public],
            "foreign_keys": [*view.foreign_keys],
        }
    )


def _key(key: KeyStatus) -> Value:
    return {
        "name": key.name,
        "declared": key.declared,
        "state": key.state.value,
        "live_name": key.live_name or None,
        "generation": key.generation or None,
        "created_at": _instant(key.created_at),
        "expires_at": _instant(key.expires_at),
        "other_generations": [
            {
                "live_name": other.live_name,
                "generation": other.generation,
                "phase": other.phase.value,
                "until": _instant(other.until),
            }
            for other in key.others
        ],
        "bound_to": [str(ref) for ref in key.bound_to],
        "sinks": {sink: state.value for sink, state in key.sinks},
    }


def _endpoint(endpoint: EndpointStatus) -> Value:
    return {
        "address": str(endpoint.ref),
        "kind": endpoint.ref.kind.value,
        "name": endpoint.ref.name,
        "public": endpoint.public,
        "keys": [*endpoint.own],
        "foreign_keys": [*endpoint.foreign],
        "status": endpoint.status,
        "application": endpoint.application,
    }


def _instant(value: datetime | None) -> str | None:
    return None if value is None else instant(value)
