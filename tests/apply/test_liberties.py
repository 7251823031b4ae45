"""A server that does not do what it was asked: each difference fails once, and none is planned forever."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import fuzz
from support.http_fakes import PROJECT, START
from support.liberties import MORTAL, ROTATIONS, TEXTS, Stage
from support.states import days, desired, key
from support.worlds import STACK

from reconciler.api import KeyUpdate
from reconciler.apply.api_lock import ApiLock
from reconciler.emulator import Answer, Modes, Request
from reconciler.errors import LockLost
from reconciler.model import DesiredKey, DesiredState, as_kept
from reconciler.plan.changes import Rotate
from reconciler.plan.outcomes import OutcomeState

DATED = key("payments", "llama3", expires_at=START + timedelta(days=30, minutes=7, seconds=9))
A_WHILE = 300.0
"""Seconds between two runs: less than what makes anything due."""


def deviations() -> Iterator[tuple[str, Any]]:
    """Each value of each mode that is not the likeliest."""
    for name, values in (Modes.choices() | Modes.liberties()).items():
        yield from ((name, value) for value in values[1:])


def require_an_end(stage: Stage, file: DesiredState) -> None:
    """Two runs that did all of it leave nothing for a third."""
    codes = []
    for _ in range(2):
        codes.append(stage.apply(file))
        stage.world.clock.advance(A_WHILE)
    plan = stage.plan(file)
    left = [f"{change.id}: {change.reason.code}" for change in plan.changes]
    assert codes != [0, 0] or (not left and not plan.unmet and not plan.refusals), (stage.modes, left, stage.said)


# --- No input makes a run that ends well twice in a row and plans something the third time ---------------------------


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize(("mode", "value"), list(deviations()), ids=str)
def test_in_each_mode_two_good_ends_leave_nothing_to_do(tmp_path: Path, mode: str, value: Any, api: str) -> None:
    stage = Stage(tmp_path, Modes(**{mode: value}), api)
    dated = key("batch", "llama3", text="a  <b>", expires_at=START + timedelta(days=30, minutes=7, seconds=9))
    require_an_end(stage, desired(MORTAL, dated))
    text = replace(MORTAL, description="Z\u00fcrich", overlap=timedelta(hours=2))
    require_an_end(stage, desired(text, replace(dated, expires_at=START + days(60))))
    require_an_end(stage, desired(text))


@st.composite
def modes(draw: st.DrawFn) -> Modes:
    """A world of those in which all pairs of unknowns meet, and up to two liberties."""
    taken = draw(st.lists(st.sampled_from(sorted(Modes.liberties())), max_size=2, unique=True))
    values: dict[str, Any] = {name: draw(st.sampled_from(Modes.liberties()[name][1:])) for name in taken}
    return replace(draw(st.sampled_from(Modes.pairwise())), **values)


@st.composite
def keys(draw: st.DrawFn, name: str) -> DesiredKey:
    return key(
        name,
        *draw(st.sets(st.sampled_from(["llama3", "whisper"]))),
        text=as_kept(draw(st.sampled_from(TEXTS))),
        prove=draw(st.booleans()),
        **draw(st.sampled_from(ROTATIONS)),
    )


@st.composite
def files(draw: st.DrawFn) -> DesiredState:
    names = draw(st.sets(st.sampled_from(["payments", "search-api"]), min_size=1))
    return desired(*(draw(keys(name)) for name in names), max_deletes=None)


@fuzz(250)
@given(modes(), st.sampled_from(["v3", "v2"]), st.booleans(), files(), files())
def test_in_any_world_two_good_ends_leave_nothing_to_do(
    modes: Modes, api: str, has_lock: bool, before: DesiredState, after: DesiredState
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), modes, api, has_lock)
        require_an_end(stage, before)
        require_an_end(stage, after)


# --- A difference fails at once, names field and values, and leaves nothing behind ------------------------------------

ASKED = "2026-12-21T10:07:09Z"
MADE_OTHERWISE = (
    "the API created payments with another {} than requested (asked: {}, kept: {}), so it was deleted again"
)


def marked(text: str) -> str:
    """A quoted description of what has just been made."""
    return f'"{text} [keyform 2 prod/payments g1 pending 2026-11-21T10:00:00Z]"'


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize(
    ("liberty", "file", "said"),
    [
        ({"expiry_kept": "end_of_day"}, DATED, ("expires_at", ASKED, "2026-12-21T23:59:59Z")),
        ({"expiry_kept": "midnight"}, DATED, ("expires_at", ASKED, "2026-12-21T00:00:00Z")),
        ({"expiry_kept": "dropped"}, DATED, ("expires_at", ASKED, "never")),
        ({"expiry_kept": "dropped"}, MORTAL, ("expires_at", "2026-12-21T10:00:00Z", "never")),
        (
            {"expiry_kept": "midnight"},
            key("payments", "llama3", lifetime=timedelta(hours=40), overlap=timedelta(hours=38)),
            ("expires_at", "2026-11-23T02:00:00Z", "2026-11-23T00:00:00Z"),
        ),
        (
            {"description_kept": "escaped"},
            key("payments", "llama3", text="a & b"),
            ("description", marked("a & b"), marked("a &amp; b")),
        ),
        (
            {"description_kept": "folded"},
            key("payments", "llama3", text="a  b"),
            ("description", marked("a␣␣b"), marked("a b")),
        ),
        ({"description_kept": "dropped"}, key("payments", "llama3", text="a"), ("description", marked("a"), '""')),
    ],
    ids=str,
)
def test_what_is_made_otherwise_is_told_and_deleted(
    tmp_path: Path, liberty: dict[str, Any], file: DesiredKey, said: tuple[str, str, str], api: str
) -> None:
    stage = Stage(tmp_path, Modes(**liberty), api, has_lock=False)
    assert stage.apply(desired(file)) == 1
    assert stage.said[0] == MADE_OTHERWISE.format(*said)
    assert (stage.names(), stage.world.held("payments")) == ([], None)


def test_what_is_made_otherwise_and_cannot_be_deleted_is_told_and_found_by_the_next_plan(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Modes(expiry_kept="dropped", key_answers="what_was_sent"), has_lock=False)
    stage.world.emulator.interceptor = lambda request, proceed: (
        Answer(500) if request.method == "DELETE" else proceed(request)
    )
    assert stage.apply(desired(DATED)) == 1
    assert "kept: never), and it could not be deleted again: The API failed to delete key payments" in stage.said[0]
    stage.world.emulator.interceptor = None
    plan = stage.plan(desired(DATED))
    assert [str(change.id) for change in plan.changes if "delete" in str(change.id)] == ["delete_key payments"]


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize(
    "liberty", [{"expiry_kept": "dropped"}, {"description_kept": "escaped"}, {"description_kept": "cut"}], ids=str
)
def test_an_answer_that_echoes_what_was_sent_is_not_believed(tmp_path: Path, liberty: dict[str, Any], api: str) -> None:
    stage = Stage(tmp_path, Modes(key_answers="what_was_sent", **liberty), api, has_lock=False)
    assert stage.apply(desired(replace(DATED, description="<" + "x" * 99))) == 1
    assert "so it was deleted again" in stage.said[0]
    assert (stage.names(), stage.world.bound("llama3")) == ([], ["portal-made"])


@pytest.mark.parametrize(
    ("kept", "api"),
    [
        *((kept, api) for kept in ("end_of_day", "midnight", "to_the_minute") for api in ("v3", "v2")),
        ("an_hour_later", "v3"),  # in v2, each write repeats the expiry: it moves on, and that is reported
    ],
)
def test_a_lifetime_is_a_length_that_may_be_kept_a_day_off(tmp_path: Path, kept: str, api: str) -> None:
    stage = Stage(tmp_path, Modes(expiry_kept=kept), api, has_lock=False)
    assert (stage.apply(desired(MORTAL)), stage.apply(desired(MORTAL))) == (0, 0)
    assert stage.names() == ["payments"]
    assert stage.plan(desired(MORTAL)).is_empty


@pytest.mark.parametrize("answers", ["what_is_kept", "what_was_sent", "nothing", "as_it_was"])
def test_what_was_there_before_is_put_back_where_an_update_is_not_kept(tmp_path: Path, answers: str) -> None:
    plain = key("payments", "llama3", text="plain")
    stage = Stage(tmp_path, Modes(), has_lock=False)
    assert stage.apply(desired(plain)) == 0
    before = stage.world.emulator.live_keys(PROJECT)["payments"]
    stage.take_liberties(description_kept="escaped", key_answers=answers)
    code = stage.apply(desired(replace(plain, description="a & b")))
    after = stage.world.emulator.live_keys(PROJECT)["payments"]
    assert code == 1
    if answers == "what_was_sent":  # it counted, until the last look
        assert 'the API lists payments with another description (asked: "a & b' in stage.said[0]
    else:
        assert 'kept: "a &amp; b' in stage.said[0]
        assert stage.said[0].endswith("The previous content was restored.")
        assert after == before


def test_an_expiry_that_is_not_kept_in_place_is_put_back(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Modes(), "v2", has_lock=False)
    assert stage.apply(desired(DATED)) == 0
    before = stage.world.emulator.live_keys(PROJECT)["payments"]
    stage.take_liberties(expiry_kept="dropped")
    # The restored value is dropped as well, and that is reported.
    assert stage.apply(desired(replace(DATED, expires_at=START + days(60)))) == 1
    assert "kept: never). The previous content could not be restored:" in stage.said[0]
    stage.take_liberties(expiry_kept="exact")
    assert stage.apply(desired(DATED)) == 0
    assert stage.world.emulator.live_keys(PROJECT)["payments"].expires_at == before.expires_at


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_a_delete_that_is_only_answered_is_not_done(tmp_path: Path, api: str) -> None:
    stage = Stage(tmp_path, Modes(), api, has_lock=False)
    assert stage.apply(desired(MORTAL, key("batch", "llama3"))) == 0
    stage.take_liberties(key_delete="ignored")
    assert [stage.apply(desired(MORTAL)), stage.apply(desired(MORTAL))] == [1, 1]
    assert set(stage.said) == {"the API reported that it deleted batch, but still lists it"}
    stage.take_liberties(key_delete="done")
    assert stage.apply(desired(MORTAL)) == 0
    assert stage.names() == ["payments"]


def test_a_secret_goes_to_no_sink_that_cannot_be_read_while_its_marker_is_only_echoed(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Modes(key_patch="ignored", key_answers="what_was_sent"), has_lock=False)
    world = stage.world
    sinks = world.sinks()
    sinks["local"].traits = replace(sinks["local"].traits, readable=False)
    result = world.apply(desired(key("payments", "llama3")), sinks=sinks)
    assert [outcome.detail for outcome in result.outcomes if outcome.state is OutcomeState.FAILED] == [
        "the API does not show the marker written on payments, so its secret is not published"
    ]
    assert world.held("payments") is None


# --- What the server renders is no identity ---------------------------------------------------------------------------


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize("told", ["finer_at_first", "otherwise_alone"])
@pytest.mark.parametrize("timestamps", ["zulu", "naive", "mixed"])
def test_a_created_at_that_is_told_otherwise_makes_no_new_generation(
    tmp_path: Path, told: str, timestamps: Any, api: str
) -> None:
    stage = Stage(tmp_path, Modes(created_at_told=told, timestamps=timestamps), api)
    stage.world.clock.advance(0.7)
    file = desired(MORTAL, replace(DATED, name="batch", prove=True))
    assert [stage.apply(file), stage.apply(file)] == [0, 0], stage.said
    assert stage.names() == ["batch", "payments"]
    assert stage.plan(file).is_empty


CREATED_AT = re.compile(rb'"created_at": ?"[^"]*"')


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_a_created_at_that_is_that_of_the_answer_holds_keys_up_and_makes_no_generation(
    tmp_path: Path, api: str
) -> None:
    stage = Stage(tmp_path, Modes(), api)
    world = stage.world

    def tell(request: Request, proceed: Callable[[Request], Answer]) -> Answer:
        answer, now = proceed(request), world.clock.now()
        if "/api_keys" not in request.path:
            return answer
        return replace(answer, body=CREATED_AT.sub(f'"created_at": "{now:%Y-%m-%dT%H:%M:%SZ}"'.encode(), answer.body))

    world.emulator.interceptor = tell
    file, codes = desired(MORTAL, replace(DATED, name="batch")), []
    for _ in range(4):
        codes.append(stage.apply(file))
        world.clock.advance(A_WHILE)
    assert stage.names() == ["batch", "payments"]
    assert codes[1:] == [1, 1, 1]
    findings = stage.plan(file).unmet
    assert len(findings) == 2
    assert all("is held up: sink local holds the secret of" in finding.message for finding in findings)


@pytest.mark.parametrize("moves", ["in_every_other_list", "with_a_write"])
def test_a_created_at_that_moves_while_a_key_is_published_is_told(tmp_path: Path, moves: str) -> None:
    """One more look that fits does not make it hold still."""
    stage = Stage(tmp_path, Modes(), has_lock=False)
    writes, lists = [0], [0]

    def move(request: Request, proceed: Callable[[Request], Answer]) -> Answer:
        answer = proceed(request)
        writes[0] += request.method == "PATCH" and request.path.endswith("/api_keys/payments")
        if request.method == "GET" and request.path.endswith("/api_keys") and writes[0]:
            lists[0] += 1
            if lists[0] % 2 or moves == "with_a_write":
                return replace(answer, body=CREATED_AT.sub(b'"created_at": "2026-11-21T10:07:00Z"', answer.body))
        return answer

    stage.world.emulator.interceptor = move
    assert stage.apply(desired(key("payments", "llama3"))) == 1
    (said,) = stage.said
    assert said.startswith("the API lists payments with another created_at than when its secret was published")
    assert "2026-11-21T10:07:00Z and not 2026-11-21T10:00:" in said


# --- Tasks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["never", "cancelled", "empty", "null"])
def test_a_leaked_key_is_not_deleted_on_the_word_of_a_list_whose_task_does_not_end(tmp_path: Path, end: str) -> None:
    stage = Stage(tmp_path, Modes())
    file = desired(key("payments", "llama3"))
    assert stage.apply(file) == 0
    old, held = stage.world.secret_of("payments"), stage.world.held("payments")
    stage.take_liberties(task_end=end)
    assert stage.apply(file, Rotate(frozenset({"payments"}), revoke=True)) == 1
    assert "payments" in stage.names()
    assert stage.world.held("payments") == held, "the new secret is published where it is known to open all"
    assert stage.world.accepts("llama3", old)
    assert any("it may still finish" in said.lower() or "Its effect is unknown" in said for said in stage.said)
    stage.take_liberties(task_end="finished")
    assert stage.apply(file) == 0
    assert stage.world.held("payments") == stage.world.secret_of("payments-g3")
    assert not stage.world.accepts("llama3", old)


# --- The lock ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", ["v3", "v2"])
@pytest.mark.parametrize(
    ("liberty", "said"),
    [
        ({"expiry_kept": "dropped"}, "expires_at than requested (asked: 2026-11-21T10:10:00Z, kept: never)."),
        (
            {"expiry_kept": "end_of_day"},
            "expires_at than requested (asked: 2026-11-21T10:10:00Z, kept: 2026-11-21T23:59:59Z).",
        ),
        (
            {"expiry_kept": "midnight"},
            "expires_at than requested (asked: 2026-11-21T10:10:00Z, kept: 2026-11-21T00:00:00Z).",
        ),
        (
            {"description_kept": "dropped"},
            'description than requested (asked: "held by ci & co since 2026-11-21T10:00:00Z [keyform-lock'
            ' 028f5c28f5c2]", kept: "").',
        ),
    ],
    ids=str,
)
def test_a_lock_that_is_none_is_told_with_another_way_and_is_gone(
    tmp_path: Path, liberty: dict[str, Any], said: str, api: str
) -> None:
    stage = Stage(tmp_path, Modes(**liberty), api)
    assert stage.apply(desired(DATED)) == 1
    (told,) = stage.said
    assert told == (
        f"The API created the lock of stack prod with another {said}   use another lock (`lock:"
        f" {{type: file}}`), or report this to Gcore"
    )
    assert stage.names() == []


@pytest.mark.parametrize("kept", ["escaped", "folded", "trimmed", "composed"])
def test_a_lock_is_known_although_what_it_says_of_its_holder_was_changed(tmp_path: Path, kept: str) -> None:
    stage = Stage(tmp_path, Modes(description_kept=kept))
    assert stage.apply(desired(key("payments", "llama3"))) == 0
    assert stage.names() == ["payments"]


def test_a_lock_whose_description_is_changed_while_it_is_held_is_not_said_to_be_somebody_elses(tmp_path: Path) -> None:
    world = Stage(tmp_path, Modes()).world
    lock = ApiLock(world.api, world.effects, stack=STACK, holder="ci")
    lock.acquire(timeout=0)
    world.api.update_key("keyform-lock-prod-e1", KeyUpdate("edited"))
    with pytest.raises(LockLost, match="was lost: its description was changed"):
        lock.check()


# --- The property can fail --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "loosened", "modes"),
    [
        ("reconciler.apply.steps.find_unkept", lambda *_: "", {"expiry_kept": "end_of_day"}),
        ("reconciler.apply.execute.look_at_listed", lambda _: None, {"key_delete": "ignored"}),
    ],
    ids=["what is made is not compared", "no last look"],
)
def test_the_property_is_broken_by_a_run_that_looks_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, loosened: Any, modes: dict[str, Any]
) -> None:
    file = desired(MORTAL, key("batch", "llama3"))
    stage = Stage(tmp_path, Modes(), has_lock=False)
    assert stage.apply(file) == 0
    stage.take_liberties(**modes)
    monkeypatch.setattr(place, loosened)
    if "expiry" in str(modes):
        monkeypatch.setattr("reconciler.apply.creation.find_unkept", loosened)
        monkeypatch.setattr("reconciler.apply.listed.find_unkept", loosened)
    with pytest.raises(AssertionError):
        require_an_end(stage, desired(replace(DATED, name="search-api")))
