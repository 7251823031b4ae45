"""What is planned, as a table: each case a sentence, what the file says, what is live, and the changes that follow."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from support.plans import told
from support.simulation import simulate
from support.states import A_MONTH_AGO, NOW, days, declared, desired, endpoint, key, live, snapshot

from reconciler.model import Auth, DesiredState, Ownership, Phase, Snapshot, digest
from reconciler.plan import compute_plan


@dataclass(frozen=True)
class Case:
    """One row."""

    id: str
    """Short, for `-k`."""
    sentence: str
    desired: DesiredState
    live: Snapshot
    changes: list[str]
    """`id: reason`, with the names that a bind or unbind moves."""
    notes: tuple[str, ...] = ()
    expiring: tuple[str, ...] = ()


EXPIRY = NOW + days(90)
PUBLISHED = live("payments", of="payments")
OWN = Ownership("prod", "payments", 1, Phase.PUBLISHED, A_MONTH_AGO)
IN_LOCAL = live("payments", of="payments", published_to=digest(["file"]))
OLD = live("payments", of="payments", since=NOW - days(60))
LLAMA = endpoint("llama3", "payments")

CASES = [
    Case(
        "new-key",
        "a key that is not live is created, bound, and published",
        desired(key("payments", "llama3", "app:webui")),
        snapshot(endpoint("llama3", "other"), endpoint("app:webui", "other"), live("other")),
        [
            "create:payments: key_is_missing",
            "bind:application.webui [payments binding_is_declared]",
            "bind:deployment.llama3 [payments binding_is_declared]",
            "publish:payments: key_is_missing",
        ],
        ("secrets_get_to_a_new_place",),
    ),
    Case(
        "nothing-differs",
        "a key that is as the file says is left alone",
        desired(key("payments", "llama3")),
        snapshot(PUBLISHED, LLAMA, held=["payments"]),
        [],
    ),
    Case(
        "description",
        "a description that differs is written in place",
        desired(key("payments", "llama3", text="Checkout")),
        snapshot(PUBLISHED, LLAMA, held=["payments"]),
        ["update:payments: description_differs"],
    ),
    Case(
        "prevent-destroy",
        "prevent_destroy is kept on the live key, so setting it writes the description",
        desired(key("payments", "llama3", prevent_destroy=True)),
        snapshot(PUBLISHED, LLAMA, held=["payments"]),
        ["update:payments: description_differs"],
    ),
    Case(
        "rotation-for-expiry",
        "an expiry that differs takes a new generation; the old one stays for the overlap",
        desired(key("payments", "llama3", expires_at=EXPIRY)),
        snapshot(PUBLISHED, LLAMA, held=["payments"]),
        [
            "create:payments-g2: expiry_differs",
            "bind:deployment.llama3 [payments-g2 generation_succeeds]",
            "publish:payments-g2: expiry_differs",
        ],
        ("generation_is_in_overlap",),
    ),
    Case(
        "rotation-without-overlap",
        "with an overlap of nothing the old generation goes in the same run, after the new one is published",
        desired(key("payments", "llama3", expires_at=EXPIRY, overlap=timedelta(0))),
        snapshot(PUBLISHED, LLAMA, held=["payments"]),
        [
            "create:payments-g2: expiry_differs",
            "bind:deployment.llama3 [payments-g2 generation_succeeds]",
            "publish:payments-g2: expiry_differs",
            "unbind:deployment.llama3 [payments overlap_is_over]",
            "delete:payments: overlap_is_over",
        ],
    ),
    Case(
        "rotation-in-overlap",
        "an old generation stays as long as the overlap lasts",
        desired(key("payments", "llama3")),
        snapshot(
            OLD,
            live("payments-g2", of="payments", generation=2, since=NOW - timedelta(hours=23)),
            endpoint("llama3", "payments", "payments-g2"),
            held=["payments-g2"],
        ),
        [],
        ("generation_is_in_overlap",),
    ),
    Case(
        "rotation-overlap-over",
        "an old generation is retired once the overlap is over",
        desired(key("payments", "llama3")),
        snapshot(
            OLD,
            live("payments-g2", of="payments", generation=2, since=NOW - timedelta(hours=24)),
            endpoint("llama3", "payments", "payments-g2"),
            held=["payments-g2"],
        ),
        ["unbind:deployment.llama3 [payments overlap_is_over]", "delete:payments: overlap_is_over"],
    ),
    Case(
        "rotation-binding-added",
        "a binding that is added during an overlap is both generations'",
        desired(key("payments", "llama3", "whisper")),
        snapshot(
            OLD,
            live("payments-g2", of="payments", generation=2, since=NOW - timedelta(hours=1)),
            live("other"),
            endpoint("llama3", "payments", "payments-g2"),
            endpoint("whisper", "other"),
            held=["payments-g2"],
        ),
        ["bind:deployment.whisper [payments binding_is_declared, payments-g2 binding_is_declared]"],
        ("generation_is_in_overlap",),
    ),
    Case(
        "rotation-binding-removed",
        "a binding that is no longer declared goes, for every generation",
        desired(key("payments", "llama3")),
        snapshot(
            OLD,
            live("payments-g2", of="payments", generation=2, since=NOW - timedelta(hours=1)),
            live("other"),
            endpoint("llama3", "payments", "payments-g2"),
            endpoint("whisper", "other", "payments", "payments-g2"),
            held=["payments-g2"],
        ),
        ["unbind:deployment.whisper [payments binding_is_not_declared, payments-g2 binding_is_not_declared]"],
        ("key_loses_access", "generation_is_in_overlap"),
    ),
    Case(
        "removed-key",
        "a removed key is unbound, then its record goes, then the live key",
        desired(key("batch", "llama3")),
        snapshot(
            PUBLISHED, live("batch", of="batch"), endpoint("llama3", "batch", "payments"), held=["payments", "batch"]
        ),
        [
            "unbind:deployment.llama3 [payments key_is_not_declared]",
            "remove-record:local/payments: key_is_not_declared",
            "delete:payments: key_is_not_declared",
        ],
        ("key_loses_access",),
    ),
    Case(
        "pending-in-no-sink",
        "a pending generation whose secret was never published is discarded, and another made",
        desired(key("payments", "llama3")),
        snapshot(live("payments", of="payments", phase=Phase.PENDING), endpoint("llama3", "payments")),
        [
            "create:payments-g2: key_is_missing",
            "bind:deployment.llama3 [payments-g2 binding_is_declared]",
            "publish:payments-g2: key_is_missing",
            "unbind:deployment.llama3 [payments generation_was_never_published]",
            "delete:payments: generation_was_never_published",
        ],
        ("secrets_get_to_a_new_place",),
    ),
    Case(
        "pending-in-every-sink",
        "a pending generation that every sink holds is marked published, and that is all",
        desired(key("payments", "llama3")),
        snapshot(live("payments", of="payments", phase=Phase.PENDING), LLAMA, held=["payments"]),
        ["update:payments: publication_is_unfinished"],
    ),
    Case(
        "pending-in-one-of-two",
        "a pending generation that only one of two sinks holds is in use, and replaced",
        desired(key("payments", "llama3", sinks=["local", "vault"])),
        snapshot(live("payments", of="payments", phase=Phase.PENDING), LLAMA, held=["payments"], more_sinks=["vault"]),
        [
            "create:payments-g2: secret_is_not_in_sink",
            "bind:deployment.llama3 [payments-g2 generation_succeeds]",
            "update:payments: publication_is_uncertain",
            "publish:payments-g2: secret_is_not_in_sink",
        ],
        ("secrets_get_to_a_new_place", "generation_is_in_overlap"),
    ),
    Case(
        "partial-unreadable",
        "a partial generation may be in a sink which cannot be read back: it is in use, and replaced",
        desired(key("payments", "llama3", sinks=["ci"])),
        snapshot(live("payments", of="payments", phase=Phase.PARTIAL), LLAMA, unreadable=["ci"]),
        [
            "create:payments-g2: publication_is_uncertain",
            "bind:deployment.llama3 [payments-g2 generation_succeeds]",
            "publish:payments-g2: publication_is_uncertain",
        ],
        ("generation_is_in_overlap",),
    ),
    Case(
        "pending-unreadable",
        "a pending generation is in no sink which cannot be read back: it is discarded",
        desired(key("payments", "llama3", sinks=["ci"])),
        snapshot(live("payments", of="payments", phase=Phase.PENDING), LLAMA, unreadable=["ci"]),
        [
            "create:payments-g2: key_is_missing",
            "bind:deployment.llama3 [payments-g2 binding_is_declared]",
            "publish:payments-g2: key_is_missing",
            "unbind:deployment.llama3 [payments generation_was_never_published]",
            "delete:payments: generation_was_never_published",
        ],
        ("secrets_get_to_a_new_place",),
    ),
    Case(
        "pending-in-one-and-unreadable",
        "a pending generation that one sink holds is in use, and replaced, since another cannot be read back",
        desired(key("payments", "llama3", sinks=["ci", "local"])),
        snapshot(live("payments", of="payments", phase=Phase.PENDING), LLAMA, held=["payments"], unreadable=["ci"]),
        [
            "create:payments-g2: publication_is_uncertain",
            "bind:deployment.llama3 [payments-g2 generation_succeeds]",
            "update:payments: publication_is_uncertain",
            "publish:payments-g2: publication_is_uncertain",
        ],
        ("secrets_get_to_a_new_place", "generation_is_in_overlap"),
    ),
    Case(
        "published-unreadable",
        "a published generation in a sink that cannot be read back is trusted",
        desired(key("payments", "llama3", sinks=["ci"])),
        snapshot(PUBLISHED, LLAMA, unreadable=["ci"]),
        [],
    ),
    Case(
        "rotation-to-unreadable-sink",
        "the secret of a key that moves to a sink which cannot be read back is copied there before it goes",
        desired(key("payments", "llama3", sinks=["ci"]), sinks={"ci": "command", "local": "file"}),
        snapshot(IN_LOCAL, LLAMA, held=["payments"], unreadable=["ci"]),
        ["copy:payments: secret_is_in_another_sink", "remove-record:local/payments: sink_is_not_declared"],
        ("secrets_get_to_a_new_place",),
    ),
    Case(
        "removed-from-unreadable",
        "a removed key is removed from a sink that cannot be read back, whether or not it is there",
        desired(key("other", "llama3")),
        snapshot(
            PUBLISHED,
            live("other", of="other"),
            endpoint("llama3", "other", "payments"),
            held=["other"],
            unreadable=["ci"],
        ),
        [
            "unbind:deployment.llama3 [payments key_is_not_declared]",
            "remove-record:ci/payments: key_is_not_declared",
            "delete:payments: key_is_not_declared",
        ],
        ("key_is_deleted_by_its_marker", "key_loses_access"),
    ),
    Case(
        "removed-from-lasting-sink",
        "from a sink that removes nothing a removed key has to be removed by hand",
        desired(key("other", "llama3")),
        snapshot(
            PUBLISHED,
            live("other", of="other"),
            endpoint("llama3", "other", "payments"),
            held=["other"],
            lasting=["ci"],
        ),
        [
            "unbind:deployment.llama3 [payments key_is_not_declared]",
            "delete:payments: key_is_not_declared",
        ],
        ("key_is_deleted_by_its_marker", "key_loses_access", "record_stays"),
    ),
    Case(
        "rotation-for-lost-secret",
        "a secret that the sink lost can only be replaced",
        desired(key("payments", "llama3")),
        snapshot(PUBLISHED, LLAMA),
        [
            "create:payments-g2: secret_is_not_in_sink",
            "bind:deployment.llama3 [payments-g2 generation_succeeds]",
            "publish:payments-g2: secret_is_not_in_sink",
        ],
        ("generation_is_in_overlap",),
    ),
    Case(
        "rotation-for-older-record",
        "a record of an earlier live key of the same name does not count, where no marker says what the sink had",
        desired(key("payments", "llama3")),
        replace(
            snapshot(live("payments", of="payments", created_at=NOW - days(1), published_to=""), LLAMA),
            sinks=snapshot(live("payments", of="payments", created_at=NOW - days(2)), held=["payments"]).sinks,
        ),
        [
            "create:payments-g2: secret_is_not_in_sink",
            "bind:deployment.llama3 [payments-g2 generation_succeeds]",
            "publish:payments-g2: secret_is_not_in_sink",
        ],
        ("generation_is_in_overlap",),
    ),
    Case(
        "rotation-past-foreign-name",
        "a numbered name that someone else holds is passed over",
        desired(key("payments", "llama3", expires_at=EXPIRY)),
        snapshot(PUBLISHED, live("payments-g2"), LLAMA, held=["payments"]),
        [
            "create:payments-g3: expiry_differs",
            "bind:deployment.llama3 [payments-g3 generation_succeeds]",
            "publish:payments-g3: expiry_differs",
        ],
        ("marker_is_missing", "generation_is_in_overlap"),
    ),
    Case(
        "adopt",
        "a key made in the portal is adopted: it gets the marker, and keeps its secret",
        desired(key("payments", "llama3", adopt="portal-made")),
        snapshot(live("portal-made"), endpoint("llama3", "portal-made")),
        ["update:portal-made: key_is_adopted"],
        ("adopted_secret_is_unknown",),
    ),
    Case(
        "adopt-and-bind",
        "an adopted key's bindings follow the file",
        desired(key("payments", "whisper", adopt="portal-made")),
        snapshot(
            live("portal-made"), live("other"), endpoint("llama3", "other", "portal-made"), endpoint("whisper", "other")
        ),
        [
            "bind:deployment.whisper [portal-made binding_is_declared]",
            "update:portal-made: key_is_adopted",
            "unbind:deployment.llama3 [portal-made binding_is_not_declared]",
        ],
        ("adopted_key_gains_access", "key_loses_access", "adopted_secret_is_unknown"),
    ),
    Case(
        "adopt-and-rotation",
        "an adopted key whose expiry differs is replaced like any other",
        desired(key("payments", "llama3", adopt="portal-made", expires_at=EXPIRY, overlap=timedelta(0))),
        snapshot(live("portal-made"), endpoint("llama3", "portal-made")),
        [
            "create:payments-g2: expiry_differs",
            "bind:deployment.llama3 [payments-g2 generation_succeeds]",
            "update:portal-made: key_is_adopted",
            "publish:payments-g2: expiry_differs",
            "unbind:deployment.llama3 [portal-made overlap_is_over]",
            "delete:portal-made: overlap_is_over",
        ],
        ("secrets_get_to_a_new_place",),
    ),
    Case(
        "adopted-without-secret",
        "an adopted key's missing secret is not a reason to replace it",
        desired(key("payments", "llama3", adopt="portal-made")),
        snapshot(live("portal-made", of="payments", phase=Phase.ADOPTED), endpoint("llama3", "portal-made")),
        [],
        ("adopted_secret_is_unknown",),
    ),
    Case(
        "exclusive",
        "foreign keys stay, unless the endpoint is exclusive",
        desired(key("payments", "llama3", "whisper"), endpoints=[declared("whisper", exclusive=True)]),
        snapshot(
            PUBLISHED,
            live("other"),
            endpoint("llama3", "other", "payments"),
            endpoint("whisper", "other", "payments"),
            held=["payments"],
        ),
        ["unbind:deployment.whisper [other endpoint_is_exclusive]"],
        ("foreign_key_is_cut",),
    ),
    Case(
        "open-endpoint",
        "an endpoint becomes public when the file says so",
        desired(endpoints=[declared("playground", Auth.OPEN, exclusive=True)]),
        snapshot(live("other"), endpoint("playground", "other")),
        ["unbind:deployment.playground [other endpoint_is_open]", "open:deployment.playground [endpoint_is_open]"],
        ("endpoint_becomes_public", "foreign_key_is_cut"),
    ),
    Case(
        "open-already",
        "an endpoint that is open as declared is left alone",
        desired(endpoints=[declared("playground", Auth.OPEN)]),
        snapshot(endpoint("playground")),
        [],
    ),
    Case(
        "first-key-of-public",
        "a public endpoint gets its first key, and the plan says what that means for callers",
        desired(key("payments", "llama3")),
        snapshot(endpoint("llama3")),
        [
            "create:payments: key_is_missing",
            "bind:deployment.llama3 [payments binding_is_declared]",
            "publish:payments: key_is_missing",
        ],
        ("secrets_get_to_a_new_place", "endpoint_becomes_protected"),
    ),
    Case(
        "rotation-to-other-sink",
        "a sink that the key no longer names loses its record, once another one has the secret",
        desired(key("payments", "llama3", sinks=["vault"]), sinks={"local": "file", "vault": "store"}),
        snapshot(IN_LOCAL, LLAMA, held=["payments"], more_sinks=["vault"]),
        ["copy:payments: secret_is_in_another_sink", "remove-record:local/payments: sink_is_not_declared"],
        ("secrets_get_to_a_new_place",),
    ),
    Case(
        "record-without-key",
        "a record whose live key is gone is removed",
        desired(key("batch", "llama3")),
        replace(
            snapshot(live("batch", of="batch"), endpoint("llama3", "batch")),
            sinks=snapshot(PUBLISHED, live("batch", of="batch"), held=["payments", "batch"]).sinks,
        ),
        ["remove-record:local/payments: key_is_not_declared"],
    ),
    Case(
        "child-deployment",
        "a child deployment's list only mirrors its application's",
        desired(key("payments", "app:webui")),
        snapshot(
            PUBLISHED,
            endpoint("app:webui", "payments"),
            endpoint("webui-web", "payments", application="webui"),
            held=["payments"],
        ),
        [],
    ),
    Case(
        "bound-again",
        "a binding that somebody removed in the portal is made again",
        desired(key("payments", "llama3")),
        snapshot(PUBLISHED, live("other"), endpoint("llama3", "other"), held=["payments"]),
        ["bind:deployment.llama3 [payments binding_is_declared]"],
    ),
    Case(
        "rotation-of-expired",
        "an expired key is reported, and replaced when the file gives a later expiry",
        desired(key("payments", "llama3", expires_at=EXPIRY)),
        snapshot(live("payments", of="payments", expires_at=NOW - days(1)), LLAMA, held=["payments"]),
        [
            "create:payments-g2: expiry_differs",
            "bind:deployment.llama3 [payments-g2 generation_succeeds]",
            "publish:payments-g2: expiry_differs",
            "unbind:deployment.llama3 [payments generation_has_expired]",
            "delete:payments: generation_has_expired",
        ],
    ),
    Case(
        "expired-as-declared",
        "an expired key whose expiry the file confirms is only reported",
        desired(key("payments", "llama3", expires_at=NOW - days(1))),
        snapshot(live("payments", of="payments", expires_at=NOW - days(1)), LLAMA, held=["payments"]),
        [],
        expiring=("key_has_expired",),
    ),
    Case(
        "expiry-in-place",
        "an expiry is written in place where the API changes it",
        desired(key("payments", "llama3", expires_at=EXPIRY)),
        snapshot(PUBLISHED, LLAMA, held=["payments"], mutable=["description", "expires_at"]),
        ["update:payments: expiry_differs"],
    ),
    Case(
        "expiry-never-in-place",
        "so is that a key expires no longer",
        desired(key("payments", "llama3", text="Checkout")),
        snapshot(
            live("payments", of="payments", expires_at=EXPIRY),
            LLAMA,
            held=["payments"],
            mutable=["description", "expires_at"],
        ),
        ["update:payments: description_differs"],
        ("unlimited_key_gains_access",),
    ),
    Case(
        "lifetime-in-place",
        "a lifetime that is shorter than what is live is written in place while it leaves room for the overlap",
        desired(key("payments", "llama3", lifetime=days(90))),
        snapshot(PUBLISHED, LLAMA, held=["payments"], mutable=["description", "expires_at"]),
        ["update:payments: expiry_differs"],
    ),
    Case(
        "lifetime-used-up",
        "a lifetime that is used up takes a rotation, which leaves consumers the overlap",
        desired(key("payments", "llama3", lifetime=days(30))),
        snapshot(PUBLISHED, LLAMA, held=["payments"], mutable=["description", "expires_at"]),
        [
            "create:payments-g2: lifetime_differs",
            "bind:deployment.llama3 [payments-g2 generation_succeeds]",
            "publish:payments-g2: lifetime_differs",
        ],
        ("generation_is_in_overlap",),
    ),
    Case(
        "old-marker",
        "a marker in the form of an earlier version is written in today's",
        desired(key("payments", "llama3")),
        snapshot(replace(PUBLISHED, ownership=replace(OWN, form=1)), LLAMA, held=["payments"]),
        ["update:payments: marker_is_old"],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_is_planned(case: Case) -> None:
    plan = compute_plan(case.desired, case.live, NOW)
    assert plan.refusals == ()
    assert told(plan.changes) == case.changes
    assert tuple(note.code for note in (*plan.exposures, *plan.warnings, *plan.notes)) == case.notes
    assert tuple(note.code for note in plan.expiring) == case.expiring


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_after_every_plan_nothing_is_left_to_do(case: Case) -> None:
    """The same instant again: an overlap that has yet to pass keeps its generation, and changes nothing."""
    plan = compute_plan(case.desired, case.live, NOW)
    after = simulate(plan, case.live, NOW)
    again = compute_plan(case.desired, after, NOW)
    assert told(again.changes) == []
    assert again.refusals == ()
