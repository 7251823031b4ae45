"""Whatever names, texts, dates and records there are, a plan, a status and their reports come of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import fuzz
from support.states import NOW, declared, desired, endpoint, key, snapshot

from reconciler.model import LiveKey, Ownership, Phase, SinkContents, SinkRecord, Snapshot, read_claim, read_description
from reconciler.plan import compute_plan
from reconciler.plan.changes import CreateGeneration, DeleteKey, Plan, Unbind
from reconciler.plan.due import list_due
from reconciler.plan.expiry import find_past_dates
from reconciler.plan.survey import compute_standing
from reconciler.report.due import due_to_json, render_due
from reconciler.report.json import plan_to_json
from reconciler.report.plan_html import plan_to_html
from reconciler.report.status_html import status_to_html
from reconciler.report.status_json import status_to_json
from reconciler.report.status_table import render_status
from reconciler.report.text import render_plan

EDGES = [
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    NOW,
]
instants = st.one_of(
    st.sampled_from(EDGES),
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(
        NOW.replace(tzinfo=None) - timedelta(90), NOW.replace(tzinfo=None) + timedelta(90), timezones=st.just(UTC)
    ),
)
clocks = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
"""Where the API's clock can be: a `Date` that is absurd does not move it."""
names = st.sampled_from(
    ["payments", "payments-g2", "payments-g99999", "search", "search-g2", "by-hand", "x", "é\u202e\n"]
)
numbers = st.one_of(st.integers(1, 4), st.just(99_999))
owners = st.builds(
    Ownership,
    st.sampled_from(["prod", "other"]),
    st.sampled_from(["payments", "search", "gone"]),
    numbers,
    st.sampled_from(list(Phase)),
    instants,
    st.booleans(),
)
descriptions = st.one_of(st.text(max_size=40), st.builds(lambda t, o: f"{t}{o.marker()}", st.text(max_size=20), owners))


@st.composite
def live_keys(draw: st.DrawFn) -> LiveKey:
    text, own = read_description(description := draw(descriptions))
    if own is None and draw(st.booleans()):
        own = draw(owners)
    claimed = read_claim(description) if own is None else None
    name = draw(names)
    return LiveKey(name, name, text, own, draw(instants), draw(st.none() | instants), claimed)


@st.composite
def worlds(draw: st.DrawFn) -> Snapshot:
    keys = {live.name: live for live in draw(st.lists(live_keys(), max_size=6))}
    bound = st.lists(st.sampled_from([*keys, "unknown"]), unique=True, max_size=4)
    readings = [endpoint(name, *draw(bound)) for name in ("app:webui", "llama3", "whisper")]
    record = st.builds(SinkRecord, st.sampled_from(["prod", "other"]), st.just("payments"), numbers, names, instants)
    contents = st.builds(
        SinkContents,
        st.dictionaries(st.sampled_from(["payments", "search", "gone"]), record),
        is_evidence=st.booleans(),
    )
    return replace(snapshot(*keys.values(), *readings), sinks={"local": draw(contents)})


FILES = [
    desired(key("payments", "llama3"), key("search", "app:webui", adopt="by-hand")),
    desired(
        key("payments", "llama3", every=timedelta(days=30), lifetime=timedelta(days=90), overlap=timedelta(days=7))
    ),
    desired(key("payments", "llama3", expires_at=EDGES[1]), endpoints=[declared("llama3", exclusive=True)]),
    desired(
        key("payments", expires_at=EDGES[0], overlap=timedelta(0)), endpoints=[declared("whisper", exclusive=True)]
    ),
    desired(key("payments", "llama3", every=timedelta(days=3650), overlap=timedelta(days=3650))),
    desired(allow_empty=True, max_deletes=None),
]


def may_be_deleted(live: LiveKey, file, world: Snapshot) -> bool:
    """Whether something else than a marker says that it is the stack's; written without the planner's help."""
    own = live.ownership
    if any(each.adopt == live.name for each in file.keys):
        return True
    if own is None or own.stack != "prod":
        return False
    expected = own.key if own.generation == 1 else f"{own.key}-g{own.generation}"
    recorded = any(
        contents.is_evidence
        and (record.stack, record.key, record.live_name, record.created_at)
        == ("prod", own.key, live.name, live.created_at)
        for contents in world.sinks.values()
        for record in contents.records.values()
    )
    return live.name == expected or recorded


def judge(plan: Plan, file, world: Snapshot) -> None:
    keys = {live.name: live for live in world.keys}
    exclusive = {each.ref for each in file.endpoints if each.exclusive}
    for change in plan.changes:
        match change:
            case DeleteKey(live=found):
                assert may_be_deleted(keys[found.name], file, world), found
            case Unbind(endpoint=where, live=found):
                live = keys.get(found.name)
                is_own = live is not None and may_be_deleted(live, file, world)
                is_unmarked = live is None or live.marked_by is None
                assert is_own or (where in exclusive and is_unmarked), found
            case CreateGeneration(live=found, ownership=own):
                assert found.name not in keys or plan.refusals
                assert own.generation <= 99_999
            case _:
                pass


@pytest.mark.attack("project member")
@fuzz(150)
@given(st.sampled_from(FILES), worlds(), st.one_of(st.just(NOW), clocks))
def test_whatever_is_live_the_plan_keeps_to_its_own(file, world: Snapshot, now: datetime) -> None:
    plan = compute_plan(file, world, now)
    assert plan == compute_plan(file, world, now)
    if not plan.refusals:
        judge(plan, file, world)
    render_plan(plan, colour=True, width=80)
    plan_to_json(plan)
    plan_to_html(plan)
    view = compute_standing(file, world, now)
    render_status(view, colour=False, width=100)
    status_to_json(view)
    status_to_html(view)
    due = list_due(file, world, now, timedelta(days=3650))
    render_due(due, now, timedelta(days=14))
    due_to_json(due, now, timedelta(days=14))
    find_past_dates(file, world.keys, now)


@pytest.mark.attack("project member")
@fuzz(300)
@given(st.text(), st.text())
def test_any_description_is_read_and_none_is_read_slowly(before: str, after: str) -> None:
    for text in (before, f"{before}[keyform {after}", f"{before}[keyform prod/{after}]", before + " " * 50_000):
        _, own = read_description(text)
        assert own is None or text.rstrip().endswith(own.marker())
