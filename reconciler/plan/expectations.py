"""What a plan was made from, object by object: a saved plan is refused if an object that it touches has moved.

Every key and every endpoint of the stack has its facts, in words: a live key's marker and bindings, a sink's record, an
endpoint's authentication and the keys on it. One that is not there has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.plan.bindings import BindingPlan, Comparison
from reconciler.plan.cases import Facts, KeyCase
from reconciler.plan.changes import Expected
from reconciler.plan.fields import instant
from reconciler.plan.verdicts import Verdict


def describe_expected(facts: Facts, verdicts: Sequence[Verdict], bindings: BindingPlan) -> tuple[Expected, ...]:
    """Of every key, in order of name, and of every endpoint, in order of address."""
    keys = (Expected(verdict.case.address, tuple(_of_key(verdict.case))) for verdict in verdicts)
    endpoints = (Expected(found.address, tuple(_of_endpoint(found, facts))) for found in bindings.compared)
    return (*(each for each in keys if each.facts), *endpoints)


def _of_key(case: KeyCase) -> Iterator[tuple[str, str]]:
    for generation in case.generations:
        live = generation.live
        name = f"live key {live.name}"
        yield f"{name}: created at", instant(live.created_at)
        yield f"{name}: description", live.description
        yield f"{name}: expires at", instant(live.expires_at)
        yield f"{name}: opens", ", ".join(sorted(map(str, generation.bound_to))) or "nothing"
        if live.status:
            yield f"{name}: status", live.status
    for sink, record in sorted(case.records.items()):
        yield f"record in sink {sink}", f"that of {record.live_name}, created at {instant(record.created_at)}"


def _of_endpoint(found: Comparison, facts: Facts) -> Iterator[tuple[str, str]]:
    yield "authentication", "off" if found.endpoint.is_public else "on"
    created = {live.id: live.created_at for live in facts.snapshot.keys}
    for live in sorted(found.present):
        if live.id not in facts.own:
            since = f", created at {instant(created[live.id])}" if live.id in created else ""
            yield f"foreign key {live.name}", f"bound{since}"
