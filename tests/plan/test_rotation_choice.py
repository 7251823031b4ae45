"""Which keys a pattern, or a sink that leaked, rotates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.states import NOW, days, desired, endpoint, key, live, snapshot

from reconciler.model import DesiredState, LiveKey, Phase, SinkContents, SinkRecord, Snapshot, Trouble, digest
from reconciler.plan import compute_plan
from reconciler.plan.changes import Action, CreateGeneration, Plan, Rotate, UpdateKey

PLACES = {"vault": "vault:secret", "local": "file:secrets.env", "ci": "github:acme/shop"}
IN_VAULT, IN_LOCAL, IN_CI = (digest([PLACES[name]]) for name in ("vault", "local", "ci"))
IN_BOTH, SOMEWHERE = digest([PLACES["vault"], PLACES["local"]]), digest(["a place that the file no longer has"])
BOTH_APIS = pytest.mark.parametrize("mutable", [("description",), ("description", "expires_at")], ids=["v3", "v2"])


def file(*names: str, **sinks: Iterable[str]) -> DesiredState:
    """Keys in the vault unless `sinks` says otherwise for one."""
    keys = [key(name, "llama3", sinks=sinks.get(name, ("vault",))) for name in names]
    return desired(*keys, sinks=PLACES)


def world(
    *keys: LiveKey, held: dict[str, list[LiveKey]] | None = None, broken: str = "", mutable: Iterable[str] = ()
) -> Snapshot:
    """What is live, each key bound; `held` are the live keys of which each sink has a record."""
    sinks: dict[str, SinkContents] = {}
    for name in PLACES:
        records = {}
        for one in (held or {}).get(name, []):
            assert one.ownership is not None
            own = one.ownership
            records[own.key] = SinkRecord(own.stack, own.key, own.generation, one.name, one.created_at)
        trouble = Trouble(f"sink {name}: it is down", "start it") if name == broken else None
        sinks[name] = SinkContents({} if trouble else records, readable=name != "ci", trouble=trouble)
    found = snapshot(*keys, endpoint("llama3", *(one.name for one in keys)), mutable=("description", *mutable))
    return replace(found, sinks=sinks)


def one(name: str, published_to: str, **more: object) -> LiveKey:
    return live(name, of=name, published_to=published_to, **more)  # type: ignore[arg-type]


def rotated(plan: Plan) -> list[str]:
    return sorted({change.key for change in plan.changes if change.action is Action.ROTATE})


def codes(plan: Plan) -> set[str]:
    return {note.code for note in plan.warnings}


@dataclass(frozen=True)
class Case:
    """One row: which keys `rotate --sink vault` rotates, and what it says."""

    id: str
    desired: DesiredState
    live: Snapshot
    rotated: list[str]
    why: str = ""
    notes: tuple[str, ...] = ("sink_is_replaced",)


A, B = one("a", IN_VAULT), one("b", IN_LOCAL)
UNNAMED = {"a": ("local",)}
CASES = [
    Case(
        "held",
        file("a", "b", b=("local",)),
        world(A, B, held={"vault": [A], "local": [B]}),
        ["a"],
        "a rotation of a is asked for: sink vault holds its secret",
    ),
    Case("lost", file("a"), world(A), ["a"], "a rotation of a is asked for: a was published to sink vault"),
    Case(
        "one of two sinks",
        file("a", a=("vault", "local")),
        world(one("a", IN_BOTH), held={"local": [A]}),
        ["a"],
        "a was published to sink vault",
    ),
    Case(
        "no longer named, with a record",
        file("a", **UNNAMED),
        world(one("a", IN_LOCAL), held={"vault": [A], "local": [A]}),
        ["a"],
        "sink vault holds its secret",
    ),
    Case(
        "no longer named, by its marker",
        file("a", **UNNAMED),
        world(A, held={"local": [A]}),
        ["a"],
        "a was published to sink vault",
    ),
    Case(
        "an older generation was there",
        file("a", **UNNAMED),
        world(
            one("a", IN_VAULT, since=NOW - days(9)),
            live("a-g2", of="a", generation=2, published_to=IN_LOCAL, since=NOW - days(0.5)),
        ),
        ["a"],
        "a was published to sink vault",
    ),
    Case("never there", file("a", **UNNAMED), world(one("a", IN_LOCAL), held={"local": [A]}), []),
    Case(
        "maybe there",
        file("a", **UNNAMED),
        world(one("a", SOMEWHERE), held={"local": [A]}),
        [],
        notes=("sink_is_replaced", "sink_may_have_held"),
    ),
    Case("pending", file("a", **UNNAMED), world(one("a", IN_VAULT, phase=Phase.PENDING)), []),
    Case("not live", file("a"), world(), []),
    Case(
        "not declared",
        file("b", b=("local",)),
        world(A, one("b", IN_LOCAL), held={"vault": [A], "local": [B]}),
        [],
        notes=("sink_is_replaced", "sink_holds_undeclared"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@BOTH_APIS
@pytest.mark.parametrize("revoke", [False, True], ids=["rotate", "revoke"])
def test_a_sink_stands_for_every_key_whose_secret_it_holds_or_held(
    case: Case, mutable: tuple[str, ...], revoke: bool
) -> None:
    before = replace(case.live, capabilities=replace(case.live.capabilities, mutable_key_fields=frozenset(mutable)))
    plan = compute_plan(case.desired, before, NOW, Rotate(sinks=frozenset({"vault"}), revoke=revoke))
    assert rotated(plan) == case.rotated
    assert not plan.refusals
    assert set(case.notes) <= codes(plan)
    made = [change for change in plan.changes if isinstance(change, CreateGeneration)]
    assert [change.key for change in made] == case.rotated
    assert all(case.why.removeprefix("a rotation of a is asked for: ") in change.reason.sentence for change in made)
    if case.why and not revoke:
        assert made[0].reason.sentence.endswith(case.why)
    if revoke and case.rotated:
        cut = {change.live.name for change in plan.changes if change.step.value == "delete_key"}
        assert cut == {live.name for live in before.keys if live.name.startswith("a")}, (
            "every old secret of the key is cut"
        )


@pytest.mark.parametrize("sink", ["vault", "ci"])
def test_of_a_sink_that_cannot_be_read_every_key_that_names_it_is_meant(sink: str) -> None:
    """And the plan names what is unknown."""
    state = file("a", "b", "c", a=(sink,), b=("local",), c=("local",))
    place = {"vault": IN_VAULT, "ci": IN_CI}[sink]
    keys = (one("a", IN_LOCAL), one("b", IN_LOCAL), one("c", place))
    before = world(*keys, held={"local": list(keys)}, broken="vault" if sink == "vault" else "")
    plan = compute_plan(state, before, NOW, Rotate(sinks=frozenset({sink})))
    assert {note.code for note in plan.warnings} >= {"sink_is_replaced", "sink_is_unknown"}
    said = next(note.sentence for note in plan.warnings if note.code == "sink_is_replaced")
    assert said == "held, or may have held, the secrets of 2 keys, which this rotates: a, c"
    if sink == "ci":
        assert rotated(plan) == ["a", "c"]
    else:
        assert rotated(plan) == ["c"], "a has to be published to the sink that is down"
        assert [finding.path for finding in plan.unmet] == ["keys.a", "keys.c"], "the record of c, too, may stay there"
        revoked = compute_plan(state, before, NOW, Rotate(sinks=frozenset({sink}), revoke=True))
        marked = [each for each in revoked.changes if isinstance(each, UpdateKey) and each.key == "a"]
        assert [each.ownership.phase for each in marked] == [Phase.REVOKED]


@BOTH_APIS
def test_a_pattern_rotates_what_is_live_and_makes_no_key(mutable: tuple[str, ...]) -> None:
    state = file("a", "b", "c")
    before = world(A, one("b", IN_VAULT), held={"vault": [A, one("b", IN_VAULT)]}, mutable=mutable)
    plan = compute_plan(state, before, NOW, Rotate(matching=frozenset({"a", "b", "c"})))
    assert rotated(plan) == ["a", "b"]
    assert not any(change.key == "c" for change in plan.changes)
    assert ("key_is_not_live", "key.c") in {(note.code, note.address) for note in plan.warnings}
    named = compute_plan(state, before, NOW, Rotate(keys=frozenset({"c"})))
    assert [change.key for change in named.changes if isinstance(change, CreateGeneration)] == ["c"]


def test_what_cannot_be_rotated_is_named_and_the_rest_is() -> None:
    """`prevent_destroy` does not prevent it: the key stays, with another secret."""
    state = desired(
        key("a", "llama3", sinks=("vault",), prevent_destroy=True),
        key("b", "llama3", sinks=("vault",), expires_at=NOW - days(1)),
        key("c", "llama3", sinks=("vault",), adopt="portal-c"),
        sinks=PLACES,
    )
    portal = live("portal-c")
    before = world(
        one("a", IN_VAULT, protected=True), one("b", IN_VAULT, expires_at=NOW - days(1)), portal, held={"vault": [A]}
    )
    plan = compute_plan(state, before, NOW, Rotate(matching=frozenset({"a", "b", "c"})))
    assert rotated(plan) == ["a", "c"]
    assert plan.held_up == ("b",)
    assert [finding.message for finding in plan.unmet] == [
        "expires_at 2026-11-20T10:00:00Z is in the past, so the new key would open nothing"
    ]


@pytest.mark.parametrize(
    ("demand", "is_refused"),
    [
        (Rotate(matching=frozenset({"a", "b"})), True),
        (Rotate(sinks=frozenset({"vault"})), True),
        (Rotate(keys=frozenset({"a", "b"})), False),
        (Rotate(matching=frozenset({"a", "b"}), revoke=True), False),
        (Rotate(sinks=frozenset({"vault"}), revoke=True), False),
    ],
    ids=["all", "sink", "named", "all revoked", "sink revoked"],
)
def test_on_another_machine_only_names_and_a_leak_rotate(demand: Rotate, is_refused: bool) -> None:
    """The sink is not there at all, although both keys were published to it."""
    before = world(A, one("b", IN_VAULT))
    absent = replace(before.sinks["vault"], is_absent=True)
    plan = compute_plan(file("a", "b"), replace(before, sinks={**before.sinks, "vault": absent}), NOW, demand)
    assert bool(plan.refusals) == is_refused
    if is_refused:
        assert "`keyform rotate a b` makes new secrets" in plan.refusals[0].way_out


@pytest.mark.parametrize(
    ("demand", "is_refused"),
    [
        (Rotate(matching=frozenset({"a", "b"})), True),
        (Rotate(sinks=frozenset({"vault"})), False),
        (Rotate(matching=frozenset({"a"})), False),
    ],
    ids=["all", "sink", "within the limit"],
)
def test_a_pattern_replaces_no_more_lost_secrets_than_the_file_allows(demand: Rotate, is_refused: bool) -> None:
    plan = compute_plan(file("a", "b"), world(A, one("b", IN_VAULT)), NOW, demand)
    assert [finding.path for finding in plan.refusals] == (["safety.max_replacements"] if is_refused else [])


@settings(deadline=None)
@given(
    places=st.lists(st.sampled_from([IN_VAULT, IN_LOCAL, IN_CI, IN_BOTH, SOMEWHERE, ""]), min_size=1, max_size=4),
    sinks=st.sets(st.sampled_from([*PLACES]), min_size=1),
    revoke=st.booleans(),
)
def test_whatever_the_sinks_the_choice_is_the_same_and_touches_nothing_else(
    places: list[str], sinks: set[str], revoke: bool
) -> None:
    names = [f"key-{number}" for number in range(len(places))]
    keys = [one(name, place) for name, place in zip(names, places, strict=True)]
    state, before = file(*names), world(*keys, held={"vault": keys[:2]})
    demand = Rotate(sinks=frozenset(sinks), revoke=revoke)
    plan = compute_plan(state, before, NOW, demand)
    assert compute_plan(state, before, NOW, demand) == plan
    known = {"vault": (IN_VAULT, IN_BOTH), "local": (IN_LOCAL, IN_BOTH), "ci": (IN_CI,)}
    meant = {
        name
        for name, place in zip(names, places, strict=True)
        if any(place in known[sink] for sink in sinks) or ("vault" in sinks and name in names[:2])
    }
    assert {change.key for change in plan.changes} == meant
