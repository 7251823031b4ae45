"""What a plan must not do unless the file allows it. Each refusal has its own switch; there is no `--force`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.errors import Finding
from reconciler.plan.cases import Facts, name_some
from reconciler.plan.changes import ABSENT_SINKS, ALLOW_EMPTY, MAX_DELETES, MAX_REPLACEMENTS
from reconciler.plan.verdicts import Verdict


def check_safety(facts: Facts, verdicts: Sequence[Verdict]) -> tuple[Finding, ...]:
    """Count the keys that would go, and the secrets that are lost.

    `prevent_destroy` is found with the key, opening an endpoint with the endpoint.
    """
    return (*check_deletes(facts, verdicts), *check_losses(facts, verdicts))


def check_deletes(facts: Facts, verdicts: Sequence[Verdict]) -> tuple[Finding, ...]:
    """Count the keys that would go."""
    desired = facts.desired
    removed = [verdict.case.name for verdict in verdicts if _is_removed(verdict)]
    where, safety = desired.place.where, desired.safety
    if removed and not desired.keys and not safety.allow_empty:
        message = f"the file declares no keys, but the stack has {len(removed)} live: {name_some(removed)}"
        way_out = "set `safety: {allow_empty: true}` to delete all of them"
        return (Finding(where, "keys", message, way_out, ALLOW_EMPTY),)
    if safety.max_deletes is not None and len(removed) > safety.max_deletes:
        keys = "1 key" if len(removed) == 1 else f"{len(removed)} keys"
        message = f"{keys} would be deleted, but at most {safety.max_deletes} may be: {name_some(removed)}"
        way_out = f"set `safety: {{max_deletes: {len(removed)}}}` to allow it"
        return (Finding(where, "safety.max_deletes", message, way_out, MAX_DELETES),)
    return ()


def check_losses(facts: Facts, verdicts: Sequence[Verdict]) -> Iterator[Finding]:
    """Secrets that were published and cannot be found: on another machine that is all of them, and none is lost.

    Keys that a rotation names one by one do not count, nor does a leaked secret. Keys behind a pattern or a sink count:
    nobody named each of them. A sink that does not exist at all was never partly lost: it is somewhere else,
    however few keys it had.
    """
    desired, absent = facts.desired, dict[str, list[str]]()
    lost = [verdict for verdict in verdicts if verdict.losses.lost and not verdict.case.is_rotated_by_name]
    for verdict in lost:
        for sink in verdict.losses.lost:
            if sink in facts.absent_sinks and verdict.losses.published_to is not None:
                absent.setdefault(sink, []).append(verdict.case.name)
    for sink, keys in sorted(absent.items()):
        place = next((one.place for one in desired.sinks if one.name == sink), desired.place)
        what = facts.snapshot.sinks[sink].destination or f"sink {sink}"
        were = "1 key was" if len(keys) == 1 else f"{len(keys)} keys were"
        message = f"{what} does not exist, although {were} published to it ({name_some(keys)})"
        way_out = (
            "run apply on the machine and in the folder where it is, or restore it; if it is lost,"
            f" `keyform rotate {' '.join(keys[:5])}{' …' if len(keys) > 5 else ''}` creates new secrets"
        )
        yield Finding(place.where, f"sinks.{sink}", message, way_out, ABSENT_SINKS)
    told = {key for keys in absent.values() for key in keys}
    replaced = [each for each in lost if each.replaces_loss or (each.case.is_rotated and not each.case.why_rotated)]
    others = [verdict for verdict in replaced if verdict.case.name not in told]
    if len(others) > desired.safety.max_replacements:
        names = [verdict.case.name for verdict in others]
        sinks = sorted({sink for verdict in others for sink in verdict.losses.lost})
        have = "1 secret that was published is" if len(names) == 1 else f"{len(names)} secrets that were published are"
        message = (
            f"{have} no longer in sink {name_some(sinks)}, but at most {desired.safety.max_replacements} may be"
            f" replaced: {name_some(names)}"
        )
        way_out = (
            "run apply where the secrets are, or restore them; if they are lost, run `keyform rotate KEY`, or set"
            f" `safety: {{max_replacements: {len(names)}}}` to replace all of them"
        )
        yield Finding(desired.place.where, "safety.max_replacements", message, way_out, MAX_REPLACEMENTS)


def _is_removed(verdict: Verdict) -> bool:
    """Whether a key goes, and no other replaces it."""
    case = verdict.case
    stays = case.is_set_aside or bool(case.heir) or case.name in case.facts.forgotten
    return case.desired is None and not stays and bool(case.generations)
