"""How two plans differ, in words: what changed since the first was shown. The only user of deepdiff."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from reconciler.plan.changes import Change, Plan

MOST_TOLD = 10
"""How many differences are listed."""


def explain_difference(before: Plan, after: Plan) -> tuple[str, ...]:
    """A sentence for each change that only one of the plans has, or that differs between them, in order.

    `==` has decided that they differ; this only explains it. It loads deepdiff, which takes 150 ms.
    """
    then, now = ({change.id: change for change in plan.changes} for plan in (before, after))
    known = (*before.refusals, *before.unmet)
    findings = (finding for finding in (*after.refusals, *after.unmet) if finding not in known)
    found = [": ".join(filter(None, (finding.path, finding.message))) for finding in findings]
    found += [f"{note.address} {note.sentence}" for note in after.exposures if note not in before.exposures]
    found += [
        f"{change.address}: {each.in_words} is no longer needed" for each, change in then.items() if each not in now
    ]
    for each, change in now.items():
        name = f"{change.address}: {each.in_words}"
        if each not in then:
            found.append(f"{name} is needed now, since {change.reason.sentence}")
        elif change != then[each]:
            found.append(f"{name} differs in {', '.join(_fields(then[each], change))}")
    if len(found) > MOST_TOLD:
        found = [*found[:MOST_TOLD], f"and {len(found) - MOST_TOLD} more"]
    return tuple(found) or ("what the plan says beside its changes differs",)


def _fields(then: Change, now: Change) -> Iterator[str]:
    """The fields in which two changes of one id differ."""
    from deepdiff import DeepDiff  # noqa: PLC0415 - see above

    found = DeepDiff(asdict(then), asdict(now), view="tree")
    paths = {tuple(map(str, item.path(output_format="list"))) for items in found.values() for item in items}
    yield from (".".join(path) for path in sorted(paths))
