"""What a plan refuses, or leaves undone until a person has looked, with the way out."""

from dataclasses import dataclass, replace

import pytest
from support.states import NOW, days, declared, desired, endpoint, key, live, snapshot

from reconciler.model import Auth, DesiredState, Place, Snapshot
from reconciler.plan import compute_plan
from reconciler.plan.changes import DeleteKey


@dataclass(frozen=True)
class Case:
    """One row."""

    id: str
    """Short, for `-k`."""
    sentence: str
    desired: DesiredState
    live: Snapshot
    findings: list[str]
    is_refused: bool = False
    """By safety: nothing of the plan may be applied. Any other finding leaves its part undone, and holds up what
    depends on it.
    """


def at(line: int, path: str) -> Place:
    """A place in the file."""
    return Place("keyform.yaml", line, 3, path)


PAYMENTS = replace(key("payments", "llama3"), place=at(9, "keys.payments"))
MISBOUND = replace(
    PAYMENTS,
    bindings=tuple(replace(binding, place=at(12, "keys.payments.deployments[0]")) for binding in PAYMENTS.bindings),
)
OWNED = live("payments", of="payments")
REMOVED = [live(f"key{number}", of=f"key{number}") for number in range(7)]

CASES = [
    Case(
        "foreign-name",
        "a name that somebody else holds",
        desired(PAYMENTS),
        snapshot(live("payments"), live("other"), endpoint("llama3", "other")),
        [
            "keyform.yaml:9:3: keys.payments: the live key payments already exists, and this stack does not own it\n"
            "    set `adopt: payments` to take it over, or declare the key under another name"
        ],
    ),
    Case(
        "other-stacks-name",
        "a name that another stack holds",
        desired(PAYMENTS),
        snapshot(live("payments", of="payments", stack="staging"), live("other"), endpoint("llama3", "other")),
        [
            "keyform.yaml:9:3: keys.payments: the live key payments belongs to staging/payments\n"
            "    to have it handed over, write `forget: [payments]` in the file of staging in place of the key, apply"
            " there, and then write `moved: [{from: staging/payments, to: payments}]` here, or declare the key under"
            " another name"
        ],
    ),
    Case(
        "adopt-unknown",
        "adopting what is not there, with the nearest name",
        desired(replace(PAYMENTS, adopt="portal-maed")),
        snapshot(live("portal-made"), endpoint("llama3", "portal-made")),
        ["keyform.yaml:9:3: keys.payments.adopt: there is no live key portal-maed\n    did you mean portal-made?"],
    ),
    Case(
        "adopt-other-stacks",
        "adopting what another stack owns",
        desired(replace(PAYMENTS, adopt="theirs")),
        snapshot(live("theirs", of="theirs", stack="staging"), endpoint("llama3", "theirs")),
        [
            "keyform.yaml:9:3: keys.payments.adopt: the live key theirs belongs to staging/theirs\n"
            "    to have it handed over, write `forget: [theirs]` in the file of staging in place of the key, apply"
            " there, and then write `moved: [{from: staging/theirs, to: payments}]` here; if the stack staging"
            " no longer exists, remove the marker in the portal"
        ],
    ),
    Case(
        "adopt-later-form",
        "adopting what another stack owns by a marker that only a later version reads",
        desired(replace(PAYMENTS, adopt="theirs")),
        snapshot(replace(live("theirs"), claimed_by="staging"), endpoint("llama3", "theirs")),
        [
            "keyform.yaml:9:3: keys.payments.adopt: the live key theirs belongs to the stack staging\n"
            "    remove `adopt`; if there is no stack staging, remove the marker in the portal"
        ],
    ),
    Case(
        "adopt-own",
        "adopting what is another key of this stack",
        desired(replace(PAYMENTS, adopt="search"), key("search", "llama3")),
        snapshot(live("search", of="search"), endpoint("llama3", "search")),
        [
            "keyform.yaml:9:3: keys.payments.adopt: the live key search belongs to prod/search\n"
            "    to rename that key, remove it, and write `moved: [{from: search, to: payments}]`"
        ],
    ),
    Case(
        "born-expired",
        "a key that would be born expired",
        desired(replace(PAYMENTS, expires_at=NOW - days(1))),
        snapshot(live("other"), endpoint("llama3", "other")),
        [
            "keyform.yaml:9:3: keys.payments.expires_at: expires_at 2026-11-20T10:00:00Z is in"
            " the past, so the new key would be unusable\n    set a later date, or `never`"
        ],
    ),
    Case(
        "unknown-deployment",
        "an unknown deployment, with the nearest name",
        desired(MISBOUND),
        snapshot(endpoint("llama4"), endpoint("whisper")),
        [
            "keyform.yaml:12:3: keys.payments.deployments[0]: there is no deployment llama3\n    did you mean llama4?",
        ],
    ),
    Case(
        "deployment-of-application",
        "a deployment that belongs to an application",
        desired(MISBOUND),
        snapshot(endpoint("llama3", application="webui"), endpoint("app:webui")),
        [
            "keyform.yaml:12:3: keys.payments.deployments[0]: deployment llama3 belongs to the application webui\n"
            "    name the application instead: `applications: [webui]`"
        ],
    ),
    Case(
        "last-key",
        "unbinding the last key",
        desired(key("payments")),
        snapshot(OWNED, endpoint("llama3", "payments"), held=["payments"]),
        [
            "deployment.llama3: would be left without a valid key (it loses payments), and without keys the API turns "
            "its authentication off\n    bind another key to it, or declare the endpoint `auth: open` to make it public"
        ],
    ),
    Case(
        "last-valid-key",
        "leaving an endpoint to a key that has expired",
        desired(key("payments")),
        snapshot(OWNED, live("old", expires_at=NOW), endpoint("llama3", "payments", "old"), held=["payments"]),
        [
            "deployment.llama3: would be left without a valid key (it loses payments), and without keys the API turns "
            "its authentication off\n    bind another key to it, or declare the endpoint `auth: open` to make it public"
        ],
    ),
    Case(
        "exclusive-without-ours",
        "an exclusive endpoint without a key of ours",
        desired(endpoints=[declared("llama3", exclusive=True)]),
        snapshot(live("other"), endpoint("llama3", "other")),
        [
            "deployment.llama3: would be left without a valid key (it loses other), and without keys the API turns "
            "its authentication off\n    bind another key to it, or declare the endpoint `auth: open` to make it public"
        ],
    ),
    Case(
        "required-but-public",
        "required authentication without a key",
        desired(endpoints=[declared("llama3", Auth.REQUIRED)]),
        snapshot(endpoint("llama3")),
        [
            "deployment.llama3: is declared `auth: required`, but it is public, and no key is bound to it\n"
            "    bind a key to it: the first key turns authentication on"
        ],
    ),
    Case(
        "open-but-foreign-keys",
        "opening an endpoint that others' keys are bound to",
        desired(endpoints=[declared("llama3", Auth.OPEN)]),
        snapshot(live("other"), endpoint("llama3", "other")),
        [
            "deployment.llama3: is declared `auth: open`, but foreign keys are bound to it (other)\n"
            "    unlink them in the portal, or declare the endpoint `exclusive` too; keys of other stacks need"
            " `exclusive: {stacks: [NAME]}`"
        ],
    ),
    Case(
        "prevent-destroy",
        "a protected key that the file no longer declares",
        desired(key("batch", "llama3")),
        snapshot(
            live("payments", of="payments", protected=True),
            live("batch", of="batch"),
            endpoint("llama3", "batch"),
            held=["payments", "batch"],
        ),
        [
            "key.payments: prevent_destroy is set on the live key payments\n"
            "    declare the key with `prevent_destroy: false`, apply, then remove it"
        ],
        is_refused=True,
    ),
    Case(
        "max-deletes",
        "more deletes than the file allows",
        desired(key("payments", "llama3"), max_deletes=6),
        snapshot(OWNED, *REMOVED, endpoint("llama3", "payments"), held=["payments"]),
        [
            "safety.max_deletes: 7 keys would be deleted, but at most 6 may be: key0, key1, key2,"
            " key3, key4 and 2 more\n"
            "    set `safety: {max_deletes: 7}` to allow it"
        ],
        is_refused=True,
    ),
    Case(
        "empty-file",
        "an empty file over live keys",
        desired(max_deletes=None),
        snapshot(OWNED, live("other"), endpoint("llama3", "payments", "other"), held=["payments"]),
        [
            "keys: the file declares no keys, but the stack has 1 live: payments\n"
            "    set `safety: {allow_empty: true}` to delete all of them"
        ],
        is_refused=True,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_is_refused(case: Case) -> None:
    plan = compute_plan(case.desired, case.live, NOW)
    found, none = (plan.refusals, plan.unmet) if case.is_refused else (plan.unmet, plan.refusals)
    assert [str(finding) for finding in found] == case.findings
    assert none == ()


def test_as_many_deletes_as_the_file_allows_are_planned() -> None:
    state = desired(key("payments", "llama3"), max_deletes=7)
    plan = compute_plan(state, snapshot(OWNED, *REMOVED, endpoint("llama3", "payments"), held=["payments"]), NOW)
    assert plan.refusals == ()
    assert sum(isinstance(change, DeleteKey) for change in plan.changes) == 7


def test_an_empty_file_is_planned_when_it_says_so() -> None:
    state = desired(allow_empty=True)
    plan = compute_plan(state, snapshot(OWNED, live("other"), endpoint("llama3", "payments", "other")), NOW)
    assert plan.refusals == ()
    assert [str(change.id) for change in plan.changes] == ["unbind payments deployment.llama3", "delete_key payments"]
