"""A key whose live key is gone: what proves that it existed, and what plan and status say then."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.states import A_MONTH_AGO, NOW, days, desired, endpoint, key, live, snapshot

from reconciler.model import Phase, SinkContents, SinkRecord, Snapshot, Trouble
from reconciler.plan import compute_plan
from reconciler.plan.changes import Destroy
from reconciler.plan.standing import KeyState, SinkState
from reconciler.plan.survey import compute_standing

FIRST = SinkRecord("prod", "payments", 1, "payments", A_MONTH_AGO)
SECOND = replace(FIRST, generation=2, live_name="payments-g2", created_at=NOW - days(5))
FILE = desired(key("payments", "llama3", sinks=["local", "vault"]))
OTHERS = (live("other"), endpoint("llama3", "other"))


def world(*parts: object, **sinks: SinkContents) -> Snapshot:
    return replace(snapshot(*OTHERS, *parts), sinks={"local": SinkContents(), "vault": SinkContents(), **sinks})  # type: ignore[arg-type]


def holds(record: SinkRecord) -> SinkContents:
    return SinkContents({"payments": record})


MISSING, DELETED = KeyState.MISSING, KeyState.DELETED
NOT_YET, STALE, UNKNOWN = SinkState.NOT_YET, SinkState.STALE, SinkState.UNKNOWN
CASES = {
    "nothing-proves-it": (world(), "does not exist yet", MISSING, (NOT_YET, NOT_YET)),
    "one-sink": (
        world(local=holds(FIRST)),
        "was deleted outside keyform: sink local still holds its secret",
        DELETED,
        (STALE, NOT_YET),
    ),
    "both-sinks": (
        world(local=holds(FIRST), vault=holds(FIRST)),
        "was deleted outside keyform: sinks local and vault still hold its secret",
        DELETED,
        (STALE, STALE),
    ),
    "later-generation": (
        world(local=holds(SECOND)),
        "generation payments-g2 was deleted outside keyform: sink local still holds its secret",
        DELETED,
        (STALE, NOT_YET),
    ),
    "sink-that-removes-nothing": (
        world(local=replace(holds(FIRST), removable=False)),
        "does not exist yet",
        MISSING,
        (NOT_YET, NOT_YET),
    ),
    "another-stack": (
        world(local=holds(replace(FIRST, stack="theirs"))),
        "does not exist yet",
        MISSING,
        (NOT_YET, NOT_YET),
    ),
    "unreadable-sink": (world(vault=SinkContents(readable=False)), "does not exist", MISSING, (NOT_YET, NOT_YET)),
    "never-published": (
        world(live("payments", of="payments", phase=Phase.PENDING)),
        "no generation of it is published yet",
        KeyState.PENDING,
        (NOT_YET, NOT_YET),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_said_of_a_key_without_a_live_key(case: str) -> None:
    before, sentence, state, sinks = CASES[case]
    made = compute_plan(FILE, before, NOW).changes[0]
    assert made.reason.sentence == sentence
    assert made.reason.code == ("key_was_deleted" if state is DELETED else "key_is_missing")
    (found,) = compute_standing(FILE, before, NOW).keys
    assert (found.state, tuple(held for _, held in found.sinks)) == (state, sinks)


def test_the_newest_generation_is_deleted_and_the_old_one_is_still_in_its_overlap() -> None:
    before = world(
        live("payments", of="payments"), endpoint("whisper", "payments"), local=holds(SECOND), vault=holds(SECOND)
    )
    assert compute_plan(FILE, before, NOW).changes[0].reason.sentence == (
        "generation payments-g2 was deleted outside keyform: sinks local and vault still hold its secret,"
        " and sinks local and vault do not hold the secret of payments"
    )
    (found,) = compute_standing(FILE, before, NOW).keys
    assert [held for _, held in found.sinks] == [STALE, STALE]


def test_a_live_key_that_was_made_again_under_the_name_is_not_said_to_be_deleted() -> None:
    before = world(live("payments", created_at=NOW - days(1)), local=holds(FIRST))
    (found,) = compute_standing(FILE, before, NOW).keys
    assert found.state is MISSING
    assert [finding.message for finding in compute_plan(FILE, before, NOW).unmet] == [
        "the live key payments already exists, and this stack does not own it"
    ]


def test_what_only_a_sink_holds_of_a_key_that_goes() -> None:
    before = world(local=holds(FIRST))
    left = "was deleted outside keyform: sink local still holds its secret"
    assert compute_plan(desired(), before, NOW).changes[0].reason.sentence == f"is no longer declared, and {left}"
    destroyed = compute_plan(FILE, before, NOW, Destroy()).changes[0]
    assert destroyed.reason.sentence == f"is destroyed with its stack, and {left}"


def test_a_broken_sink_proves_nothing() -> None:
    before = world(local=SinkContents(trouble=Trouble("sink local: locked")))
    (found,) = compute_standing(FILE, before, NOW).keys
    assert found.state is MISSING
