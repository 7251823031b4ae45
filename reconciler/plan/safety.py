"""What a plan may not do unless the file says so. Each refusal has its own switch; there is no `--force`."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import Finding
from reconciler.model import DesiredState
from reconciler.plan.cases import name_some
from reconciler.plan.verdicts import Verdict


def check_safety(desired: DesiredState, verdicts: Sequence[Verdict]) -> tuple[Finding, ...]:
    """Count the keys that would go. `prevent_destroy` is found with the key, opening an endpoint with the endpoint."""
    removed = [verdict.case.name for verdict in verdicts if _is_removed(verdict)]
    where, safety = desired.place.where, desired.safety
    if removed and not desired.keys and not safety.allow_empty:
        message = f"the file declares no keys, but the stack has {len(removed)} live: {name_some(removed)}"
        return (Finding(where, "keys", message, "set `safety: {allow_empty: true}` if all of them are to go"),)
    if safety.max_deletes is not None and len(removed) > safety.max_deletes:
        message = f"{len(removed)} keys would be deleted, and at most {safety.max_deletes} may: {name_some(removed)}"
        return (
            Finding(where, "safety.max_deletes", message, f"set `safety: {{max_deletes: {len(removed)}}}` if so meant"),
        )
    return ()


def _is_removed(verdict: Verdict) -> bool:
    return verdict.case.desired is None and not verdict.case.is_set_aside and bool(verdict.case.generations)
