"""What a plan exposes: said first, the most dangerous at the top, and nothing that was so before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from support.drawn import files, worlds
from support.fuzzing import fuzz
from support.simulation import simulate
from support.states import A_MONTH_AGO, NOW, days, declared, desired, endpoint, key, live, snapshot

from reconciler.model import Auth, DesiredKey, DesiredState, LiveKey, Move, Phase, SinkContents, Snapshot, digest
from reconciler.plan import compute_plan
from reconciler.plan.changes import Note, Plan, Rotate, Selection
from reconciler.plan.exposures import DANGER, STANDING_EXPOSURES

PLACES = {"local": "dotenv secrets.env", "vault": "vault secret/keys", "ci": "github"}
SOON = NOW + days(90)


def file(*keys: DesiredKey, endpoints: Any = (), sinks: dict[str, str] | None = None) -> DesiredState:
    return desired(*keys, endpoints=endpoints, sinks=PLACES if sinks is None else sinks, max_replacements=9)


def own(name: str, *, to: Iterable[str] = ("local",), **more: Any) -> LiveKey:
    places = digest(PLACES[sink] for sink in to)
    return live(name, **{"of": name, "published_to": places, **more})


def theirs(name: str, **more: Any) -> LiveKey:
    return live(name, of=name, stack="shop", **more)


@dataclass(frozen=True)
class Case:
    """What the file says, what is live, and the exposures."""

    id: str
    desired: DesiredState
    live: Snapshot
    exposures: tuple[tuple[str, str, str], ...] = ()


PORTAL, LIMITED = live("portal-made"), live("limited", expires_at=SOON)
EVERY = key("payments", "llama3", every=days(90))
LLAMA = endpoint("llama3", "payments", "portal-made")
CASES = [
    Case("nothing", file(EVERY), snapshot(own("payments"), PORTAL, LLAMA, held=["payments"])),
    Case(
        "rotation",
        file(replace(EVERY, every=days(10))),
        snapshot(own("payments"), PORTAL, LLAMA, held=["payments"]),
    ),
    # --- a key that never expires
    Case(
        "unlimited-new-key",
        file(key("payments", "llama3"), key("steady")),
        snapshot(own("steady"), LIMITED, endpoint("llama3", "limited"), held=["steady"]),
        (
            (
                "unlimited_key_gains_access",
                "deployment.llama3",
                "accepts a key that never expires, and that nothing rotates (payments): so far, each of its keys"
                " expires or is rotated",
            ),
        ),
    ),
    Case(
        "unlimited-beside-rotated",
        file(EVERY, key("batch", "llama3")),
        snapshot(own("payments"), own("batch"), endpoint("llama3", "payments"), held=["payments", "batch"]),
        (
            (
                "unlimited_key_gains_access",
                "deployment.llama3",
                "accepts a key that never expires, and that nothing rotates (batch): so far, each of its keys expires"
                " or is rotated",
            ),
        ),
    ),
    Case(
        "unlimited-successor",
        file(key("payments", "llama3")),
        snapshot(own("payments", expires_at=SOON), endpoint("llama3", "payments"), held=["payments"]),
        (
            (
                "unlimited_key_gains_access",
                "deployment.llama3",
                "accepts a key that never expires, and that nothing rotates (payments): so far, each of its keys"
                " expires or is rotated",
            ),
        ),
    ),
    Case(
        # It accepts such a key already.
        "unlimited-beside-another",
        file(key("payments", "llama3"), key("steady")),
        snapshot(own("steady"), PORTAL, LIMITED, endpoint("llama3", "limited", "portal-made"), held=["steady"]),
    ),
    Case(
        # It is rotated.
        "rotated-new-key",
        file(EVERY, key("steady")),
        snapshot(own("steady"), LIMITED, endpoint("llama3", "limited"), held=["steady"]),
    ),
    Case(
        # It required no key at all.
        "unlimited-first-key",
        file(key("payments", "llama3"), key("steady")),
        snapshot(own("steady"), endpoint("llama3"), held=["steady"]),
    ),
    # --- a key whose secret others have
    Case(
        "adopted-key",
        file(key("payments", "llama3", "whisper", adopt="portal-made")),
        snapshot(PORTAL, theirs("other"), endpoint("llama3", "portal-made"), endpoint("whisper", "other", "portal")),
        (
            (
                "adopted_key_gains_access",
                "deployment.whisper",
                "accepts the adopted key portal-made from now on: whoever created it has its secret",
            ),
        ),
    ),
    Case(
        "key-of-another-stack",
        replace(
            file(replace(EVERY, bindings=key("", "llama3", "whisper").bindings)), moves=(Move("shop", "", "prod"),)
        ),
        replace(
            snapshot(
                replace(own("payments"), ownership=replace(own("payments").ownership, stack="shop")),  # type: ignore[type-var]
                PORTAL,
                LLAMA,
                endpoint("whisper", "portal-made"),
            ),
            sinks={"local": SinkContents(snapshot(own("payments"), held=["payments"]).sinks["local"].records)},
        ),
        (
            (
                "taken_over_key_gains_access",
                "deployment.whisper",
                "accepts payments from now on, a key of the stack shop so far: anyone who has its secret can call it",
            ),
            ("keys_change_hands", "stack.prod", "takes over payments from the stack shop"),
        ),
    ),
    Case(
        "endpoint-of-another-stack",
        file(EVERY, key("steady")),
        snapshot(own("steady"), theirs("checkout"), endpoint("llama3", "checkout"), held=["steady"]),
        (
            (
                "key_joins_another_stack",
                "deployment.llama3",
                "accepts only keys of the stack shop so far; now it also accepts payments",
            ),
        ),
    ),
    Case(
        # Someone without keyform uses it, too: it belongs to no stack.
        "endpoint-of-nobody",
        file(EVERY, key("steady")),
        snapshot(
            own("steady"), theirs("checkout"), PORTAL, endpoint("llama3", "checkout", "portal-made"), held=["steady"]
        ),
    ),
    # --- who loses access, and what is left
    Case(
        "left-to-others",
        file(key("payments", "llama3", every=days(90))),
        snapshot(own("payments"), PORTAL, LLAMA, endpoint("whisper", "payments", "portal-made"), held=["payments"]),
        (
            (
                "key_loses_access",
                "deployment.whisper",
                "no longer accepts the key payments once this is applied: its consumers are refused; only"
                " foreign keys are left on it",
            ),
        ),
    ),
    Case(
        "left-to-nobody",
        file(EVERY, endpoints=[declared("whisper", Auth.OPEN)]),
        snapshot(own("payments"), PORTAL, LLAMA, endpoint("whisper", "payments"), held=["payments"]),
        (
            (
                "endpoint_becomes_public",
                "deployment.whisper",
                "becomes PUBLIC: anyone who knows its address can call it without a key",
            ),
            (
                "key_loses_access",
                "deployment.whisper",
                "no longer accepts the key payments once this is applied: its consumers are refused; no key"
                " is left on it",
            ),
        ),
    ),
    # --- where secrets get to
    Case(
        "first-secrets",
        file(EVERY, replace(EVERY, name="search")),
        replace(
            snapshot(PORTAL, endpoint("llama3", "portal-made")),
            sinks={"local": SinkContents(destination="dotenv secrets.env")},
        ),
        (
            (
                "secrets_get_to_a_new_place",
                "sink.local",
                "gets 2 secrets (payments, search), which were not there before: dotenv secrets.env",
            ),
        ),
    ),
    Case(
        # A place that a reviewer knows.
        "another-secret",
        file(EVERY, replace(EVERY, name="search")),
        snapshot(own("payments"), PORTAL, LLAMA, held=["payments"]),
    ),
    Case(
        "another-sink",
        file(replace(EVERY, sinks=("local", "vault"))),
        snapshot(own("payments"), PORTAL, LLAMA, held=["payments"], more_sinks=["vault"]),
        (("secrets_get_to_a_new_place", "sink.vault", "gets the secret of payments, which was not there before"),),
    ),
    Case(
        "another-sink-that-cannot-be-read",
        file(replace(EVERY, sinks=("local", "ci"))),
        snapshot(own("payments"), PORTAL, LLAMA, held=["payments"], unreadable=["ci"]),
        (("secrets_get_to_a_new_place", "sink.ci", "gets the secret of payments, which was not there before"),),
    ),
    Case(
        "a-rotation-to-where-it-was",
        file(replace(EVERY, sinks=("ci", "local"), every=days(10))),
        snapshot(own("payments", to=("ci", "local")), PORTAL, LLAMA, held=["payments"], unreadable=["ci"]),
    ),
    Case(
        # It was there.
        "a-lost-secret",
        file(EVERY),
        snapshot(own("payments"), PORTAL, LLAMA),
    ),
    Case(
        "a-sink-that-moved",
        file(EVERY, sinks={"local": "dotenv /elsewhere"}),
        snapshot(own("payments"), PORTAL, LLAMA),
        (("secrets_get_to_a_new_place", "sink.local", "gets the secret of payments, which was not there before"),),
    ),
    # --- protection
    Case(
        "protection-removed",
        file(EVERY),
        snapshot(own("payments", protected=True), PORTAL, LLAMA, held=["payments"]),
        (
            (
                "protection_is_removed",
                "key.payments",
                "loses `prevent_destroy`: after this, it is deleted once the file no longer declares it",
            ),
        ),
    ),
    Case(
        "protection-lost-by-rotation",
        file(replace(EVERY, every=days(10))),
        snapshot(own("payments", protected=True), PORTAL, LLAMA, held=["payments"]),
        (
            (
                "protection_is_removed",
                "key.payments",
                "loses `prevent_destroy`: after this, it is deleted once the file no longer declares it",
            ),
        ),
    ),
]


def tell(plan: Plan) -> tuple[tuple[str, str, str], ...]:
    return tuple((note.code, note.address, note.sentence) for note in plan.exposures)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_a_plan_exposes(case: Case) -> None:
    plan = compute_plan(case.desired, case.live, NOW)
    assert plan.refusals == ()
    assert tell(plan) == case.exposures


@pytest.mark.parametrize("case", [case for case in CASES if case.exposures], ids=lambda case: case.id)
def test_once_it_is_applied_it_is_exposed_no_more(case: Case) -> None:
    """The next plan does not warn of the same again."""
    after = simulate(compute_plan(case.desired, case.live, NOW), case.live, NOW)
    codes = {note.code for note in compute_plan(case.desired, after, NOW).exposures}
    assert codes <= STANDING_EXPOSURES


def test_the_most_dangerous_comes_first() -> None:
    """An endpoint that opens before a place, and a place before who loses access."""
    state = file(
        key("new", "llama3", sinks=["vault"]),
        key("payments", "llama3", every=days(90)),
        endpoints=[declared("whisper", Auth.OPEN), declared("llama3", exclusive=True)],
    )
    world = snapshot(
        own("payments", protected=True),
        LIMITED,
        live("leaked", of="leaked", phase=Phase.REVOKED),
        endpoint("llama3", "payments", "limited"),
        endpoint("whisper", "payments", "leaked"),
        held=["payments"],
        more_sinks=["vault"],
    )
    assert [note.code for note in compute_plan(state, world, NOW).exposures] == [
        "endpoint_becomes_public",
        "unlimited_key_gains_access",
        "secrets_get_to_a_new_place",
        "protection_is_removed",
        "foreign_key_is_cut",
        "key_is_deleted_by_its_marker",
        "key_loses_access",
        "key_loses_access",
    ]


def test_a_refused_plan_exposes_what_is_so_already_and_nothing_else() -> None:
    state = file(key("new", "llama3"), endpoints=[declared("whisper", Auth.REQUIRED)])
    world = snapshot(own("payments", protected=True), LIMITED, endpoint("llama3", "limited"), endpoint("whisper"))
    plan = compute_plan(state, world, NOW)
    assert plan.refusals
    assert [note.code for note in plan.exposures] == ["endpoint_is_public"]


def test_a_rotation_that_is_asked_for_knows_the_places_of_the_other_keys() -> None:
    """It is about one key of the file, and the sinks are those of all of them."""
    state = file(EVERY, key("steady", sinks=["ci"]), key("new", sinks=["ci"]))
    world = snapshot(own("payments"), own("steady", to=["ci"]), PORTAL, LLAMA, held=["payments"], unreadable=["ci"])
    plan = compute_plan(state, world, NOW, Rotate(frozenset({"payments"})))
    assert tell(plan) == ()


def test_a_plan_of_other_keys_exposes_nothing_of_those_that_it_leaves_out() -> None:
    state = file(EVERY, key("steady", "llama3", expires_at=SOON))
    world = snapshot(
        own("payments", protected=True), own("steady", expires_at=SOON), PORTAL, LLAMA, held=["payments", "steady"]
    )
    assert [note.code for note in compute_plan(state, world, NOW).exposures] == ["protection_is_removed"]
    assert compute_plan(state, world, NOW, None, Selection(targets=("steady",))).exposures == ()


@given(files(), worlds())
@fuzz(200)
def test_every_exposure_has_its_place_in_the_order(state: DesiredState, world: Snapshot) -> None:
    found: tuple[Note, ...] = compute_plan(replace(state, sinks=file().sinks), world, NOW).exposures
    ranks = [DANGER.index(note.code) for note in found]
    assert ranks == sorted(ranks)
    assert len(set(found)) == len(found)


@given(files(), worlds())
@fuzz(200)
def test_a_plan_without_changes_exposes_nothing_but_what_is_so_already(state: DesiredState, world: Snapshot) -> None:
    state = replace(state, sinks=file().sinks)
    found = world
    for _ in range(2):
        plan = compute_plan(state, found, NOW)
        if not plan.refusals:
            found = simulate(plan, found, NOW)
    plan = compute_plan(state, found, NOW)
    if plan.is_empty:
        assert {note.code for note in plan.exposures} <= STANDING_EXPOSURES


def test_an_expired_key_gives_no_access() -> None:
    """One that never expires is not the first if the only other one did not expire either, but that one is expired."""
    expired = live("limited", expires_at=NOW - days(1), created_at=A_MONTH_AGO)
    state = file(key("payments", "llama3"), key("steady"))
    world = snapshot(own("steady"), expired, endpoint("llama3", "limited"), held=["steady"])
    assert tell(compute_plan(state, world, NOW)) == ()
