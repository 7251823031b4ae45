"""How two plans differ, in words: what moved since the one was shown. The only user of deepdiff."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from reconciler.plan.changes import Change, Plan

MOST_TOLD = 10
"""How many differences are named one by one."""


def explain_difference(before: Plan, after: Plan) -> tuple[str, ...]:
    """A sentence for each change that only one of the plans has, or that both have otherwise, in order.

    `==` has decided that they differ; this only explains it. It loads deepdiff, which takes 150 ms.
    """
    then, now = ({str(change.id): change for change in plan.changes} for plan in (before, after))
    found = [
        *(f"{change.address}: {name} is no longer needed" for name, change in then.items() if name not in now),
        *(f"{change.address}: {name} is needed now, since {change.reason.sentence}" for name, change in now.items()
          if name not in then),
        *(
            f"{now[name].address}: {name} differs in {', '.join(fields)}"
            for name in now
            if name in then and now[name] != then[name] and (fields := list(_fields(then[name], now[name])))
        ),
    ]  # fmt: skip
    if len(found) > MOST_TOLD:
        found = [*found[:MOST_TOLD], f"and {len(found) - MOST_TOLD} more"]
    return tuple(found) or ("what the plan says beside its changes differs: warnings, exposures, or what is refused",)


def _fields(then: Change, now: Change) -> Iterator[str]:
    """The fields in which two changes of one id differ."""
    from deepdiff import DeepDiff  # noqa: PLC0415 - see above

    found = DeepDiff(asdict(then), asdict(now), view="tree")
    paths = {tuple(map(str, item.path(output_format="list"))) for items in found.values() for item in items}
    yield from (".".join(path) for path in sorted(paths))
