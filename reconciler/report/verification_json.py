"""The findings of `verify` as JSON; every name in it is stable."""

from __future__ import annotations

from reconciler.model.verification import Access, EndpointCheck, SecretCheck, Verification
from reconciler.plan.fields import instant
from reconciler.report.json import FORMAT_VERSION, Value, dump


def verification_to_json(found: Verification) -> str:
    """The findings, the same to the byte for the same findings, with a newline at its end."""
    return dump(
        {
            "format_version": FORMAT_VERSION,
            "stack": found.stack,
            "project": found.project,
            "now": instant(found.now),
            "as_declared": found.as_declared,
            "endpoints": [_endpoint(check) for check in found.endpoints],
            "bindings": [_binding(check) for check in found.secrets],
            "public_endpoints": [str(check.ref) for check in found.endpoints if check.access is Access.PUBLIC],
            "in_overlap": [*found.in_overlap],
        }
    )


def _endpoint(check: EndpointCheck) -> Value:
    return {
        "address": str(check.ref),
        "kind": check.ref.kind.value,
        "name": check.ref.name,
        "auth": check.auth.value if check.auth else None,
        "status": check.status or None,
        "access": check.access.value,
        "ok": check.access.is_ok,
        "without_key_status": check.without_key,
        "random_key_status": check.random_key,
        "reason": check.reason,
    }


def _binding(check: SecretCheck) -> Value:
    return {
        "key": check.key,
        "endpoint": str(check.endpoint),
        "sink": check.sink,
        "generation": check.generation or None,
        "live_name": check.live_name or None,
        "state": check.state.value,
        "ok": check.state.is_ok,
        "secret_status": check.status,
        "reason": check.reason,
    }
