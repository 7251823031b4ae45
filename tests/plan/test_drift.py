"""What was changed outside keyform: each kind by its name, with its proof, and nothing that cannot be proven."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.drawn import ENDPOINTS, files
from support.edits import BREAKING, HARMLESS, WIPING, described
from support.fuzzing import fuzz
from support.simulation import simulate
from support.states import A_MONTH_AGO, NOW, STACK, days, declared, desired, endpoint, key, live, snapshot

from reconciler.api import EndpointReading
from reconciler.model import (
    Auth,
    DesiredKey,
    DesiredState,
    LiveKey,
    SinkContents,
    SinkRecord,
    Snapshot,
    Trouble,
    digest,
)
from reconciler.plan import compute_plan, drift
from reconciler.plan.changes import Drift, Rotate, Selection

PLACES = {"local": "file", "vault": "store", "ci": "command"}
TO_LOCAL, TO_BOTH = digest(["file"]), digest(["file", "store"])
FOREIGN = live("portal-made")
RECORD = SinkRecord(STACK, "payments", 1, "payments", A_MONTH_AGO)


def file(*keys: DesiredKey, endpoints: Any = ()) -> DesiredState:
    return desired(*keys, endpoints=endpoints, sinks=PLACES, max_replacements=9)


def own(name: str = "payments", **more: Any) -> LiveKey:
    return live(name, **{"of": "payments", "published_to": TO_LOCAL, **more})


def world(*parts: LiveKey | EndpointReading, records: Mapping[str, SinkRecord] | None = None, **more: Any) -> Snapshot:
    """What is live; sink `local` holds the secret of `payments`, unless it is given other `records`."""
    held = {"payments": RECORD} if records is None else records
    found = snapshot(*parts, FOREIGN, more_sinks=["vault"], **more)
    return replace(found, sinks={**found.sinks, "local": SinkContents(held)})


LLAMA = endpoint("llama3", "payments", "portal-made")
PAYMENTS = key("payments", "llama3", text="Checkout")
CLEAN = own(text="Checkout")


@dataclass(frozen=True)
class Case:
    """One kind: what the file says, what is live, and what the plan says of it."""

    id: str
    desired: DesiredState
    live: Snapshot
    proven: tuple[tuple[str, str, str, str], ...] = ()
    """Code, address, sentence and remedy."""
    unproven: tuple[tuple[str, str, str, str], ...] = ()


CASES = [
    Case("as-declared", file(PAYMENTS), world(CLEAN, LLAMA)),
    Case(
        "key-deleted",
        file(PAYMENTS),
        world(endpoint("llama3", "portal-made")),
        (
            (
                "key_was_deleted",
                "key.payments",
                "was deleted outside keyform: sink local still holds its secret, unless it left the file together with"
                " that sink",
                "apply creates payments and publishes its secret",
            ),
        ),
    ),
    Case(
        "generation-deleted",
        file(PAYMENTS),
        world(CLEAN, LLAMA, records={"payments": replace(RECORD, generation=2, live_name="payments-g2")}),
        (
            (
                "key_was_deleted",
                "key.payments",
                "generation payments-g2 was deleted outside keyform: sink local still holds its secret, unless it left"
                " the file together with that sink",
                "apply creates payments-g2 and publishes its secret",
            ),
        ),
    ),
    Case(
        "key-recreated",
        file(PAYMENTS),
        world(own(text="Checkout", created_at=NOW - days(1), since=NOW - days(1)), LLAMA),
        (
            (
                "key_was_recreated",
                "key.payments",
                "payments was deleted and created again outside keyform, unless the API changes created_at: it was"
                " created 2026-11-20T10:00:00Z, and sink local holds the secret of one of that name that was created"
                " 2026-10-22T10:00:00Z",
                "apply leaves it as it is: the key is held up",
            ),
        ),
    ),
    Case(
        "marker-removed",
        file(PAYMENTS),
        world(described(live("payments"), "ask Bob"), LLAMA),
        (
            (
                "marker_was_removed",
                "key.payments",
                "the marker of payments was removed outside keyform: sink local holds its secret, by name and"
                " created_at",
                "apply writes it again",
            ),
        ),
    ),
    Case(
        "marker-number",
        file(PAYMENTS),
        world(own(text="Checkout", generation=3), LLAMA),
        (
            (
                "marker_was_edited",
                "key.payments",
                "the marker of payments was edited outside keyform: it says g3, and its name g1",
                "apply writes it again",
            ),
        ),
    ),
    Case(
        "marker-too-early",
        file(PAYMENTS),
        world(own(text="Checkout", since=NOW - days(40), created_at=A_MONTH_AGO), LLAMA),
        (
            (
                "marker_was_edited",
                "key.payments",
                "the marker of payments was edited outside keyform: it says published since 2026-10-12T10:00:00Z,"
                " before it was created (2026-10-22T10:00:00Z)",
                "apply leaves it as it is",
            ),
        ),
    ),
    Case(
        "marker-too-late",
        file(PAYMENTS),
        world(own(text="Checkout", since=NOW + days(40)), LLAMA),
        (
            (
                "marker_was_edited",
                "key.payments",
                "the marker of payments was edited outside keyform: it says published since 2026-12-31T10:00:00Z,"
                " which is yet to come",
                "apply leaves it as it is",
            ),
        ),
    ),
    Case(
        "marker-copied",
        file(PAYMENTS),
        world(CLEAN, own("intruder", text="Checkout"), LLAMA),
        (
            (
                "marker_was_copied",
                "key.payments",
                "the live key intruder has the marker of payments: it was copied outside keyform",
                "apply leaves it as it is",
            ),
        ),
    ),
    Case(
        "live-key-renamed",
        file(PAYMENTS),
        world(own("renamed", text="Checkout"), endpoint("llama3", "renamed")),
        (
            (
                "marker_was_copied",
                "key.payments",
                "the live key renamed has the marker of payments: it was copied, or the live key was renamed, outside"
                " keyform",
                "apply leaves it as it is",
            ),
        ),
    ),
    Case(
        "note-behind-the-marker",
        file(PAYMENTS),
        world(described(CLEAN, f"{CLEAN.description} ask Bob"), LLAMA),
        (
            (
                "description_was_edited",
                "key.payments",
                "the description of payments was edited outside keyform: there is text behind the marker",
                "apply writes the file's description",
            ),
        ),
    ),
    Case(
        "secret-gone",
        file(PAYMENTS),
        world(CLEAN, LLAMA, records={}),
        (
            (
                "secret_is_gone",
                "key.payments",
                "the secret of payments was published to sink local, and was removed there outside keyform",
                "apply creates payments-g2 and publishes its secret",
            ),
        ),
    ),
    Case(
        "secret-gone-from-one",
        file(replace(PAYMENTS, sinks=("local", "vault"))),
        world(replace(CLEAN, ownership=own(published_to=TO_BOTH).ownership), LLAMA),
        (
            (
                "secret_is_gone",
                "key.payments",
                "the secret of payments was published to sink vault, and was removed there outside keyform",
                "apply copies it there from sink local",
            ),
        ),
    ),
    Case(
        "secret-overwritten",
        file(PAYMENTS),
        replace(
            world(CLEAN, LLAMA),
            sinks={"local": SinkContents(foreign={"payments": Trouble("secrets.env has PAYMENTS_KEY of other/x")})},
        ),
        (
            (
                "secret_was_overwritten",
                "key.payments",
                "the secret of payments was published to sink local, and was overwritten there outside keyform:"
                " secrets.env has PAYMENTS_KEY of other/x",
                "apply leaves it as it is: the key is held up",
            ),
        ),
    ),
    Case(
        "secret-rolled-back",
        file(PAYMENTS),
        world(
            live("payments", of="payments", since=NOW - days(60), text="Checkout"),
            own("payments-g2", generation=2, since=NOW - days(10), text="Checkout"),
            endpoint("llama3", "payments", "payments-g2"),
            records={"payments": replace(RECORD, created_at=NOW - days(60))},
        ),
        (
            (
                "secret_was_rolled_back",
                "key.payments",
                "sink local was rolled back outside keyform: it holds the secret of payments, and that of payments-g2"
                " was published to it",
                "apply creates payments-g3 and publishes its secret",
            ),
        ),
    ),
    Case(
        "switched-off",
        file(PAYMENTS),
        world(CLEAN, endpoint("llama3", "payments", public=True)),
        (
            (
                "authentication_was_switched_off",
                "deployment.llama3",
                "authentication was turned off outside keyform, although payments is bound to it",
                "apply leaves it as it is: turn it on in the portal",
            ),
        ),
    ),
    # What may be a change of the file as well.
    Case(
        "may-be-new-in-the-file",
        file(replace(PAYMENTS, sinks=("ci",))),
        world(endpoint("llama3", "portal-made"), records={}, unreadable=["ci"]),
        (),
        (
            (
                "key_is_missing",
                "key.payments",
                "does not exist, and sink ci does not show whether it did",
                "apply creates payments and publishes its secret",
            ),
        ),
    ),
    Case("certainly-new-in-the-file", file(PAYMENTS), world(endpoint("llama3", "portal-made"), records={})),
    Case(
        "unlinked",
        file(PAYMENTS),
        world(CLEAN, endpoint("llama3", "portal-made")),
        (),
        (
            (
                "binding_is_missing",
                "key.payments",
                "the file binds it to deployment.llama3, and payments is not bound there",
                "apply binds payments",
            ),
        ),
    ),
    Case(
        "linked",
        file(PAYMENTS),
        world(CLEAN, LLAMA, endpoint("whisper", "payments", "portal-made")),
        (),
        (
            (
                "binding_is_extra",
                "key.payments",
                "payments is bound to deployment.whisper, and the file does not say so",
                "apply unbinds payments",
            ),
        ),
    ),
    Case(
        "text-before-the-marker",
        file(PAYMENTS),
        world(own(text="Shop"), LLAMA),
        (),
        (
            (
                "description_differs",
                "key.payments",
                "the description of payments is not that of the file",
                "apply writes the file's description",
            ),
        ),
    ),
    Case(
        "protection",
        file(PAYMENTS),
        world(own(text="Checkout", protected=True), LLAMA),
        (),
        (
            (
                "protection_differs",
                "key.payments",
                "the marker of payments has `prevent_destroy`, and the file does not",
                "apply writes what the file says",
            ),
        ),
    ),
    Case(
        "expiry-in-place",
        file(PAYMENTS),
        world(own(text="Checkout", expires_at=NOW + days(9)), LLAMA, mutable=["description", "expires_at"]),
        (),
        (
            (
                "expiry_differs",
                "key.payments",
                "payments expires 2026-11-30T10:00:00Z, and the file says otherwise",
                "apply sets never",
            ),
        ),
    ),
    Case(
        # Where nobody can change an expiry in place, the file did: that is no drift.
        "expiry-by-rotation",
        file(PAYMENTS),
        world(own(text="Checkout", expires_at=NOW + days(9)), LLAMA),
    ),
    Case(
        "foreign-on-exclusive",
        file(PAYMENTS, endpoints=[declared("llama3", exclusive=True)]),
        world(CLEAN, LLAMA),
        (),
        (
            (
                "foreign_key_is_bound",
                "deployment.llama3",
                "the foreign key portal-made is bound to it, and the file says `exclusive`",
                "apply unbinds it",
            ),
        ),
    ),
    Case(
        "public-without-keys",
        file(PAYMENTS, endpoints=[declared("whisper", Auth.REQUIRED)]),
        world(CLEAN, LLAMA, endpoint("whisper")),
        (),
        (
            (
                "authentication_differs",
                "deployment.whisper",
                "its authentication is off, and the file does not say `auth: open`",
                "apply leaves it as it is: turn it on in the portal",
            ),
        ),
    ),
    Case(
        "closed",
        file(PAYMENTS, endpoints=[declared("whisper", Auth.OPEN, exclusive=True)]),
        world(CLEAN, LLAMA, endpoint("whisper", public=False)),
        (),
        (
            (
                "authentication_differs",
                "deployment.whisper",
                "its authentication is on, and the file says `auth: open`",
                "apply turns it off",
            ),
        ),
    ),
    Case(
        "marker-of-a-later-version",
        file(PAYMENTS),
        world(described(CLEAN, BREAKING["another form"](CLEAN.description)), LLAMA),
        (),
        (
            (
                "marker_is_unreadable",
                "key.payments",
                "the marker of payments was edited by hand, or written by a later version of keyform",
                "apply leaves it as it is",
            ),
        ),
    ),
    Case(
        "record-that-proves-nothing",
        file(PAYMENTS),
        replace(
            world(described(live("payments"), "ask Bob"), LLAMA),
            sinks={"local": SinkContents({"payments": RECORD}, is_evidence=False)},
        ),
        (),
        (
            (
                "marker_may_be_gone",
                "key.payments",
                "the live key payments has no marker, and sink local has a record of it",
                "apply leaves it as it is: the key is held up",
            ),
        ),
    ),
    Case(
        "another-machine",
        file(PAYMENTS),
        replace(world(CLEAN, LLAMA), sinks={"local": SinkContents(is_absent=True)}),
        (),
        (
            (
                "secret_may_be_gone",
                "key.payments",
                "the secret of payments was published to sink local, and there is nothing at all there now",
                "apply does nothing about it while the plan is refused",
            ),
        ),
    ),
    Case(
        # An apply of a file without the key, interrupted before it deleted the live key, leaves the same.
        "interrupted-removal",
        file(replace(PAYMENTS, bindings=())),
        world(CLEAN, endpoint("llama3", "portal-made"), records={}),
        (),
        (
            (
                "secret_may_be_gone",
                "key.payments",
                "the secret of payments was published to sink local, and it is not there now",
                "apply creates payments-g2 and publishes its secret",
            ),
        ),
    ),
]


def tell(found: tuple[Drift, ...]) -> tuple[tuple[str, str, str, str], ...]:
    return tuple((each.code, each.address, each.sentence, each.remedy) for each in found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_has_drifted(case: Case) -> None:
    plan = compute_plan(case.desired, case.live, NOW)
    assert tell(plan.drift) == case.proven
    assert tell(plan.unproven) == case.unproven


def test_the_table_has_every_kind() -> None:
    """The codes that the module lists at its top are those that the cases show."""
    listed = {line.split()[0] for line in (drift.__doc__ or "").splitlines() if line[:1].isalpha() and "_" in line[:32]}
    assert listed == {found[0] for case in CASES for found in (*case.proven, *case.unproven)}


@pytest.mark.parametrize("edit", [*HARMLESS.values(), *WIPING.values()], ids=[*HARMLESS, *WIPING])
def test_a_description_that_the_file_leaves_to_people_never_drifts_by_their_notes(edit: Any) -> None:
    """Where the file sets none, notes are theirs; a marker that is gone is another matter."""
    found = compute_plan(
        file(replace(PAYMENTS, description=None)), world(described(CLEAN, edit(CLEAN.description)), LLAMA), NOW
    )
    assert {each.code for each in (*found.drift, *found.unproven)} <= {"marker_was_removed"}


def test_a_lost_secret_shows_the_key_with_it_and_without() -> None:
    """The whole object on both sides, as tools for Terraform plans read drift."""
    (found,) = compute_plan(file(PAYMENTS), world(CLEAN, LLAMA, records={}), NOW).drift
    assert found.resource is not None
    before, after = found.resource.before, found.resource.after
    assert before is not None
    assert after is not None
    assert (before["sinks"], after["sinks"]) == (["local"], [])
    assert {**before, "sinks": []} == after


def test_authentication_that_went_off_shows_the_endpoint_with_it_and_without() -> None:
    plan = compute_plan(file(PAYMENTS), world(CLEAN, endpoint("llama3", "payments", public=True)), NOW)
    (found,) = plan.drift
    assert found.resource is not None
    before, after = found.resource.before, found.resource.after
    assert before is not None
    assert after is not None
    assert (before["auth"], after["auth"]) == ("required", "open")
    assert {**before, "auth": "open"} == after


def test_where_keys_do_not_switch_authentication_its_being_off_proves_nothing() -> None:
    """The older API may never have turned it on."""
    found = world(CLEAN, endpoint("llama3", "payments", public=True))
    older = replace(found, capabilities=replace(found.capabilities, switches_authentication=False))
    plan = compute_plan(file(PAYMENTS), older, NOW)
    assert [each.code for each in plan.drift] == []
    assert [each.code for each in plan.unproven] == ["authentication_differs"]


def test_a_removed_key_whose_live_key_is_gone_proves_nothing() -> None:
    """keyform deletes a leaked live key even where it cannot reach its record."""
    assert compute_plan(file(key("other")), world(), NOW).drift == ()


def test_a_rotation_reports_what_was_changed_about_its_keys_alone() -> None:
    records = {"payments": RECORD, "steady": SinkRecord(STACK, "steady", 1, "steady", A_MONTH_AGO)}
    steady = live("steady", of="steady", generation=3)
    found = world(CLEAN, steady, endpoint("llama3", "payments", public=True), records=records)
    plan = compute_plan(file(PAYMENTS, key("steady")), found, NOW, Rotate(frozenset({"payments"})))
    assert (plan.drift, plan.unproven) == ((), ())
    everything = compute_plan(file(PAYMENTS, key("steady")), found, NOW)
    assert [each.code for each in everything.drift] == ["marker_was_edited", "authentication_was_switched_off"]


@pytest.mark.parametrize(
    ("selection", "addresses"),
    [
        (Selection(), ["key.steady", "deployment.llama3", "deployment.whisper"]),
        (Selection(targets=("payments",)), ["deployment.llama3"]),
        (Selection(targets=("steady",)), ["key.steady", "deployment.whisper"]),
        (Selection(excludes=("steady",)), ["deployment.llama3", "deployment.whisper"]),
    ],
    ids=str,
)
def test_a_plan_of_some_keys_reports_what_concerns_them(selection: Selection, addresses: list[str]) -> None:
    """Even where the file declares an endpoint open that a plan of other keys does not look at."""
    records = {"payments": RECORD, "steady": SinkRecord(STACK, "steady", 1, "steady", A_MONTH_AGO)}
    found = world(
        CLEAN,
        live("steady", of="steady", generation=3, published_to=TO_LOCAL),
        live("opener", of="opener", published_to=TO_LOCAL),
        endpoint("llama3", "payments", public=True),
        endpoint("whisper", "steady", public=True),
        endpoint("mistral", "opener", public=True),
        records=records,
    )
    state = file(PAYMENTS, key("steady", "whisper"), endpoints=[declared("mistral", Auth.OPEN)])
    plan = compute_plan(state, found, NOW, None, selection)
    assert [each.address for each in plan.drift] == addresses


# --- Honesty ----------------------------------------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[DesiredState, float, timedelta]]:
    """Files that follow one another, how much of each one's plan is applied, and the time until the next."""
    return [
        (
            replace(draw(files()), sinks=file().sinks),
            draw(st.sampled_from([1.0, 1.0, 0.5, 0.8])),
            timedelta(hours=draw(st.sampled_from([1, 30, 24 * 12]))),
        )
        for _ in range(draw(st.integers(2, 5)))
    ]


def advance(state: DesiredState, before: Snapshot, now: datetime, part: float) -> Snapshot:
    """The world once an apply has ended, or was interrupted."""
    plan = compute_plan(state, before, now)
    if plan.refusals:
        return before
    opens = any(change.step.value == "open_endpoint" for change in plan.changes)
    count = len(plan.changes) if opens else round(len(plan.changes) * part)
    return simulate(replace(plan, changes=plan.changes[:count]), before, now)


@given(histories())
@fuzz(400)
def test_nothing_that_keyform_does_and_nothing_that_the_file_says_is_drift(
    history: list[tuple[DesiredState, float, timedelta]],
) -> None:
    """Whatever files follow one another, and wherever an apply is interrupted, nobody else changed anything."""
    now = NOW
    found = snapshot(
        live("portal-made"), live("theirs"), *(endpoint(name, "theirs") for name in ENDPOINTS), unreadable=["ci"]
    )
    for state, part, length in history:
        plan = compute_plan(state, found, now)
        assert tell(plan.drift) == ()
        found = advance(state, found, now, part)
        assert tell(compute_plan(state, found, now).drift) == ()
        now += length


@given(files())
@fuzz(150)
def test_once_all_is_applied_nothing_differs(state: DesiredState) -> None:
    """Besides what the plan leaves to a person."""
    state = replace(state, sinks=file().sinks)
    found = snapshot(
        live("portal-made"), live("theirs"), *(endpoint(name, "theirs") for name in ENDPOINTS), unreadable=["ci"]
    )
    for _ in range(2):
        found = advance(state, found, NOW, 1.0)
    plan = compute_plan(state, found, NOW)
    if not plan.unmet:
        assert tell(plan.unproven) == ()
