"""What is written on live keys in place: the human text, the marker, and the expiry if the API can change that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.model import FORM, RELEASED, DesiredKey, LiveKey, Ownership, Phase, Unchanged
from reconciler.plan.cases import Generation, KeyCase
from reconciler.plan.changes import FieldDiff, Reason
from reconciler.plan.fates import Fate, Ruling, Successor
from reconciler.plan.fields import compare_fields, instant
from reconciler.plan.holdings import find_holdings
from reconciler.plan.rules import expiry_in_place

ADOPTION = Reason("key_is_adopted", "the file adopts a live key")
RESTORATION = Reason("marker_is_restored", "its marker is gone, and a sink's record proves which generation it is")


@dataclass(frozen=True, slots=True)
class KeyWriting:
    """What to write on a live key, what differs, and why; `adopts` one without an owner."""

    live: LiveKey
    text: str
    ownership: Ownership
    diff: tuple[FieldDiff, ...]
    reason: Reason
    expires_at: datetime | Unchanged | None = Unchanged.UNCHANGED
    adopts: bool = False


@dataclass(frozen=True, slots=True)
class Copying:
    """A secret to copy: its live key, the sinks, and what its live key says afterwards."""

    live: LiveKey
    text: str
    ownership: Ownership
    source: str
    sinks: tuple[str, ...]
    reason: Reason


def plan_copying(case: KeyCase, key: DesiredKey, newest: Generation) -> Copying | None:
    """Copy a secret that another sink still has to the sinks that lack it, so that no consumer needs another one."""
    found = find_holdings(case, key, newest)
    claimed = find_claimed(case, newest)
    if not found.source and not claimed:
        return None
    ownership, _ = mark(case, key, newest, is_newly_revoked=False)
    source, sinks = found.source or claimed[0], (*claimed, *(found.lacking if found.source else ()))
    reason = explain_claim(case, claimed)
    if found.source:
        sentence = f"its secret is copied from sink {source} to sink {', '.join(found.lacking)}"
        reason = Reason("secret_is_in_another_sink", sentence)
    return Copying(
        newest.live,
        key.description or "",
        replace(
            ownership,
            published_to=case.destinations,
            protected=key.prevent_destroy,
            keeps_expiry=key.keeps_expiry,
        ),
        source,
        sinks,
        reason,
    )


def find_claimed(case: KeyCase, generation: Generation) -> tuple[str, ...]:
    """The sinks whose record of a generation still has the name of the stack that it is taken over from."""
    return tuple(
        sink
        for sink, record in sorted(case.records.items())
        if record.former and sink in generation.sinks_that_hold_it and case.facts.snapshot.sinks[sink].reads_secrets
    )


def explain_claim(case: KeyCase, sinks: Sequence[str]) -> Reason:
    """Why a secret is written to the sinks that hold it."""
    former = next((case.records[sink].former.removeprefix(RELEASED) for sink in sinks), "")
    sentence = f"its record in sink {', '.join(sinks)} names the stack {former}"
    return Reason("record_is_taken_over", sentence)


def plan_writings(
    case: KeyCase,
    key: DesiredKey,
    rulings: Sequence[Ruling],
    newest: Generation | None,
    successor: Successor | None,
) -> Iterator[KeyWriting]:
    """Adoption, lost markers, revocation, interrupted publications, older forms, and what the file says."""
    for ruling in rulings:
        generation = ruling.generation
        is_newly_revoked = generation.phase is Phase.REVOKED and not generation.is_marked(Phase.REVOKED)
        stays = ruling.fate in (Fate.CURRENT, Fate.OVERLAP)
        is_marked = generation.live.ownership is not None and not is_unowned(generation)
        if not stays and not is_newly_revoked and is_marked:
            continue
        is_current = generation is newest and successor is None
        ownership, reason = mark(case, key, generation, is_newly_revoked=is_newly_revoked)
        text = generation.text
        was = generation.live.text.strip()
        diff = () if text == was else compare_fields({"description": was}, {"description": text})
        expires_at: datetime | Unchanged | None = Unchanged.UNCHANGED
        if is_current:
            expires_at = expiry_in_place(case, key, generation)
            ownership = replace(ownership, protected=key.prevent_destroy, keeps_expiry=key.keeps_expiry)
            diff = compare(key, generation, expires_at)
            text = key.description or ""
            if diff and reason is None:
                fields = " and ".join(change.path for change in diff)
                code = "expiry_differs" if [change.path for change in diff] == ["expires_at"] else "description_differs"
                reason = Reason(code, f"{fields} differ{'s' if len(diff) == 1 else ''}")
        if reason is not None:
            yield KeyWriting(generation.live, text, ownership, diff, reason, expires_at, is_unowned(generation))


def is_unowned(generation: Generation) -> bool:
    """Whether the present marker, if any, is not this stack's: it is overwritten, whatever it says."""
    return generation.is_taken_over or generation.live.claimed_by is not None or bool(generation.live.taken_from)


def mark_revoked(case: KeyCase, key: DesiredKey, rulings: Sequence[Ruling]) -> Iterator[KeyWriting]:
    """The marks of a leak, and nothing else, with the text as it is."""
    for ruling in rulings:
        generation = ruling.generation
        if generation.phase is Phase.REVOKED and not generation.is_marked(Phase.REVOKED):
            ownership, reason = mark(case, key, generation, is_newly_revoked=True)
            if reason is not None:
                yield KeyWriting(generation.live, generation.text, ownership, (), reason, adopts=is_unowned(generation))


def mark(
    case: KeyCase, key: DesiredKey, generation: Generation, *, is_newly_revoked: bool
) -> tuple[Ownership, Reason | None]:
    """The marker that a generation should have, and why to write it; None if the marker alone is no reason."""
    live, number, phase, since = generation.live, generation.number, generation.phase, generation.since
    if live.ownership is None or generation.is_taken_over:  # nothing confirms what a marker there says
        marked = replace(case.marker(number, phase, since, live.name), published_to=find_place(case, key, generation))
    else:
        marked = replace(live.ownership, generation=number, phase=phase, since=since, into="").on(live.name)
    if generation.is_taken_over:
        return marked, ADOPTION
    published = replace(marked, phase=Phase.PUBLISHED, since=case.now, published_to=case.destinations)
    if is_newly_revoked:
        sentence = "its secret leaked: it stops working once a new one is published"
        return marked, Reason("key_is_revoked", sentence, is_urgent=True)
    if live.ownership is None:
        return marked, RESTORATION
    if live.ownership.into:
        return marked, Reason("key_is_renamed", f"the file calls it {case.name} again")
    if live.taken_from:
        return marked, Reason("key_is_taken_over", f"the file takes it over from the stack {live.taken_from}")
    if generation.is_unfinished and generation.has_replaced(key.sinks):
        return published, Reason(
            "publication_is_unfinished", "an earlier run was interrupted before it marked this generation published"
        )
    if generation.phase is Phase.PENDING:
        partial = replace(marked, phase=Phase.PARTIAL, since=case.now)
        return partial, Reason("publication_is_uncertain", "an earlier run was interrupted while publishing it")
    if live.ownership.generation != number:
        return marked, Reason("marker_differs", f"its marker says g{live.ownership.generation}, and its name g{number}")
    marked = replace(marked, published_to=find_place(case, key, generation))
    if live.ownership.form != FORM:
        return marked, Reason("marker_is_old", "its marker has an older format")
    if marked.published_to != live.ownership.published_to:
        return marked, Reason("sinks_differ", "its marker does not name the sinks that the file names")
    return marked, None


def find_place(case: KeyCase, key: DesiredKey, generation: Generation) -> str:
    """The digest to write for the place of a secret: that of the file, once the secret is known to be in all of these
    sinks.

    An old generation keeps its own. What nobody can see is not written.
    """
    said = generation.live.ownership.published_to if generation.live.ownership and not generation.is_taken_over else ""
    if generation.phase is not Phase.PUBLISHED or generation is not case.newest_in_use:
        return said
    found = find_holdings(case, key, generation)
    is_seen = found.published_to is not None or not case.facts.unreadable_sinks & set(key.sinks)
    # While a sink cannot be read, the old digest shows that a record may be there.
    is_seen &= not case.facts.broken.keys() & {*key.sinks, *(found.published_to or ())}
    return case.destinations if is_seen and not found.lacking else said


def compare(key: DesiredKey, generation: Generation, expires_at: datetime | Unchanged | None) -> tuple[FieldDiff, ...]:
    """The fields of the current generation that differ from what the file says, and are written in place."""
    text = generation.live.text.rstrip()  # with what is left of a marker, so that a reviewer sees what disappears
    live: dict[str, str | bool] = {"description": text, "prevent_destroy": generation.is_protected}
    desired: dict[str, str | bool] = {
        "description": key.description or "",
        "prevent_destroy": key.prevent_destroy,
    }
    if not isinstance(expires_at, Unchanged):
        live["expires_at"], desired["expires_at"] = instant(generation.live.expires_at), instant(expires_at)
    return compare_fields(live, desired)
