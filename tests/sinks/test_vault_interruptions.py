"""A run dies, loses an answer, or meets others at any request to OpenBao: what counts as held is held, and the next run
converges.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import httpx
import pytest
from sinks.places import KEY
from sinks.stage import record
from sinks.vault_stage import PLAN, Bao, Counted, Killed

from reconciler.effects import System
from reconciler.errors import SinkError
from reconciler.model import ForeignRecord, Secret
from reconciler.sinks import Sink

SECRETS = {1: "0ne", 2: "tw0", 3: "thr3e"}


def nothing(_bao: Bao) -> None:
    pass


def held(bao: Bao) -> None:
    bao.open().write(record(KEY), Secret(SECRETS[1]))


def edited(bao: Bao) -> None:
    held(bao)
    bao.edit({"other": "theirs"})


def shared(bao: Bao) -> None:
    """With a field of somebody else's that keyform's own metadata covers."""
    edited(bao)
    sink = bao.open()
    sink.read([KEY])
    sink.tidy()


def removed(bao: Bao) -> None:
    held(bao)
    bao.open().remove(KEY)


def deleted(bao: Bao) -> None:
    """By hand, so that the version could be restored."""
    held(bao)
    bao.ask("DELETE", f"secret/data/inference/{KEY}")


def write(sink: Sink) -> None:
    sink.write(record(KEY, 2), Secret(SECRETS[2]))


def remove(sink: Sink) -> None:
    sink.remove(KEY)


def release(sink: Sink) -> None:
    sink.release(KEY)


@dataclass(frozen=True)
class Story:
    before: Callable[[Bao], None]
    act: Callable[[Sink], None]
    after: int | None
    requests: list[str]

    @property
    def keeps_others(self) -> bool:
        return self.before in (edited, shared)


LOOK = ["GET sys/internal", "GET metadata"]
MERGE = ["PATCH metadata", "PATCH data", "PATCH metadata"]
CREATE_AGAIN = ["PATCH metadata", "POST data", "PATCH metadata"]
STORIES = {
    "first write": Story(nothing, write, 2, [*LOOK, "POST metadata", "POST data", "PATCH metadata"]),
    "second write": Story(held, write, 2, [*LOOK, *MERGE]),
    "write into what others edited": Story(edited, write, 2, [*LOOK, "GET data", *MERGE]),
    "write beside others": Story(shared, write, 2, [*LOOK, *MERGE]),
    "write after a removal": Story(removed, write, 2, [*LOOK, *CREATE_AGAIN]),
    "write after a deletion by hand": Story(deleted, write, 2, [*LOOK, *CREATE_AGAIN]),
    "removal": Story(held, remove, None, [*LOOK, "PATCH data", "GET subkeys", "POST destroy", "PATCH metadata"]),
    "removal beside others": Story(shared, remove, None, [*LOOK, "PATCH data", "GET subkeys", "PATCH metadata"]),
    "release": Story(held, release, None, [*LOOK, "GET data", *MERGE]),
}
SOME = ("first write", "second write", "write after a removal", "removal", "release")
some_stories = pytest.mark.parametrize("story", [STORIES[name] for name in SOME], ids=SOME)
each_story = pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)


@pytest.fixture(scope="module")
def planner(bao_server: Bao) -> str:
    """A token that may read metadata, and nothing else."""
    return bao_server.token(PLAN)


def assert_true(bao: Bao, story: Story, planner: str) -> int | None:
    """What a new run reads is what a consumer gets, secret and generation; gives the generation.

    A run that sees metadata only says the same, or that it cannot know.
    """
    found = bao.open().read([KEY]).get(KEY)
    number = None if found is None or isinstance(found, ForeignRecord) else found.generation  # type: ignore[union-attr]
    secret = bao.data().get("api_key")
    if story.act is release and isinstance(found, ForeignRecord):
        assert secret == SECRETS[1]
        return None
    assert secret == (SECRETS[number] if number else None)
    assert not isinstance(found, ForeignRecord)
    if story.keeps_others:
        assert bao.data()["other"] == "theirs"
    seen = bao.open(env={"VAULT_ADDR": bao.url, "VAULT_TOKEN": planner}).read([KEY]).get(KEY)
    assert seen == found or isinstance(seen, ForeignRecord)
    return number


def assert_converges(bao: Bao, story: Story, planner: str) -> None:
    """The next run makes another generation, as it does after a death: its secret is known to nobody any more."""
    sink = bao.open()
    if story.act is release:
        sink.release(KEY)
        assert assert_true(bao, story, planner) is None
        return
    sink.probe([KEY])
    if story.after is None:
        sink.remove(KEY)
        assert assert_true(bao, story, planner) is None
    sink.write(record(KEY, 3), Secret(SECRETS[3]))
    assert assert_true(bao, story, planner) == 3
    sink.read([KEY])
    sink.tidy()
    seen = bao.open(env={"VAULT_ADDR": bao.url, "VAULT_TOKEN": planner}).read([KEY])
    assert seen == {KEY: record(KEY, 3)}, "the metadata alone says it"


def begin(bao: Bao, story: Story) -> str | None:
    """OpenBao as it was before the test; gives what a consumer gets."""
    bao.clear()
    story.before(bao)
    return bao.data().get("api_key")


@each_story
def test_it_makes_these_requests(bao: Bao, story: Story, planner: str) -> None:
    begin(bao, story)
    effects = Counted()
    story.act(bao.open(effects=effects))
    assert effects.log == story.requests
    assert assert_true(bao, story, planner) == story.after


@each_story
def test_killed_after_any_request(bao: Bao, story: Story, planner: str) -> None:
    """And so before the next: there is nothing in between."""
    for number in range(1, len(story.requests) + 1):
        begin(bao, story)

        def kill(at: int, _what: str, *, wanted: int = number) -> None:
            if at >= wanted:
                raise Killed

        with pytest.raises(Killed):
            story.act(bao.open(effects=Counted(after=kill)))
        assert assert_true(bao, story, planner) in (
            1 if story.before not in (nothing, removed, deleted) else None,
            story.after,
        )
        assert_converges(bao, story, planner)


def trouble_at(wanted: int, trouble: Exception, *, once: bool) -> Callable[[int, str], None]:
    """The n-th request meets trouble, and those after it unless it is `once`."""

    def meet(at: int, _what: str) -> None:
        if at == wanted or (at > wanted and not once):
            raise trouble

    return meet


def error_of(story: Story, sink: Sink) -> SinkError | None:
    """How it fails; None if it is done."""
    try:
        story.act(sink)
    except SinkError as error:
        return error
    return None


LOST = httpx.ReadTimeout("no answer")
DOWN = httpx.ConnectError("down")


@some_stories
@pytest.mark.parametrize("moment", ["before", "after"])
def test_one_answer_that_does_not_come_is_made_up_for(bao: Bao, story: Story, planner: str, moment: str) -> None:
    for number in range(1, len(story.requests) + 1):
        begin(bao, story)
        hook = trouble_at(number, LOST, once=True)
        story.act(bao.open(effects=Counted(**{moment: hook})))
        assert assert_true(bao, story, planner) == story.after
        assert_converges(bao, story, planner)


@some_stories
@pytest.mark.parametrize(("moment", "trouble"), [("before", DOWN), ("before", LOST), ("after", LOST)])
def test_a_store_that_is_down_from_any_request_on(
    bao: Bao, story: Story, planner: str, moment: str, trouble: Exception
) -> None:
    """An error that does not call the outcome unknown means that consumers get what they got before."""
    for number in range(1, len(story.requests) + 1):
        before = begin(bao, story)
        hook = trouble_at(number, trouble, once=False)
        error = error_of(story, bao.open(effects=Counted(**{moment: hook})))
        if error is not None:
            assert error.way_out
            assert error.effect_is_unknown or bao.data().get("api_key") == before
        else:
            assert story.requests[number - 1 :] == ["PATCH metadata"], "only the last note may be missing"
        assert_true(bao, story, planner)
        assert_converges(bao, story, planner)


@some_stories
def test_a_token_that_ends_before_any_request(bao: Bao, story: Story, planner: str) -> None:
    for number in range(1, len(story.requests) + 1):
        before = begin(bao, story)
        made = bao.ask("POST", "auth/token/create", {"policies": ["root"], "ttl": "1h"})
        token = made["auth"]["client_token"]

        def end(at: int, _what: str, *, wanted: int = number, token: str = token) -> None:
            if at == wanted:
                bao.ask("POST", "auth/token/revoke", {"token": token})

        sink = bao.open(effects=Counted(before=end), env={"VAULT_ADDR": bao.url, "VAULT_TOKEN": token})
        error = error_of(story, sink)
        if error is not None:
            assert "Vault did not accept VAULT_TOKEN" in error.message
            assert token not in error.diagnostics()
            assert not error.effect_is_unknown or story.act is remove
            assert bao.data().get("api_key") == before or story.act is remove
        else:
            assert story.requests[number - 1 :] == ["PATCH metadata"], "only the last note may be missing"
        assert_true(bao, story, planner)
        assert_converges(bao, story, planner)


@each_story
def test_a_request_whose_effect_comes_late_tells_no_lie(bao: Bao, story: Story, planner: str) -> None:
    """Its answer is lost, a new run recovers, and then it takes effect after all."""
    for number in range(3, len(story.requests) + 1):
        begin(bao, story)
        late: list[httpx.Request] = []

        class Late(Counted):
            def send(
                self, request: httpx.Request, *, at: int = number, kept: list[httpx.Request] = late
            ) -> httpx.Response:
                if kept:
                    raise Killed
                if len(self.log) + 1 == at:
                    kept.append(request)
                    raise Killed
                return super().send(request)

        with pytest.raises(Killed):
            story.act(bao.open(effects=Late()))
        if story.act is not release:
            bao.open().write(record(KEY, 3), Secret(SECRETS[3]))
        world = System()
        bao.worlds.append(world)
        world.send(late.pop())
        if story.act is not release:
            assert assert_true(bao, story, planner) == 3
        assert_converges(bao, story, planner)


def edits(bao: Bao) -> bool:
    """Whether there was something to edit."""
    return bao.edit({"more": "theirs"})


def replaces(bao: Bao) -> bool:
    bao.save({"more": "theirs"})
    return True


def deletes(bao: Bao) -> bool:
    bao.ask("DELETE", f"secret/data/inference/{KEY}")
    return False


@pytest.mark.parametrize("story", [STORIES[name] for name in ("second write", "write beside others", "removal")])
@pytest.mark.parametrize("somebody", [edits, replaces, deletes])
@pytest.mark.parametrize("dies", [False, True])
def test_somebody_who_writes_between_any_two_requests_loses_nothing(
    bao: Bao, story: Story, planner: str, somebody: Callable[[Bao], bool], dies: bool
) -> None:
    for number in range(2, len(story.requests) + 2):
        begin(bao, story)
        saved: list[bool] = []

        def meet(at: int, _what: str, *, wanted: int = number, saved: list[bool] = saved) -> None:
            if at == wanted:
                saved.append(somebody(bao))
            if at == wanted + 1 and dies:
                raise Killed

        with suppress(Killed):
            story.act(bao.open(effects=Counted(before=meet)))
        secret = bao.data().get("api_key")
        found = bao.open().read([KEY]).get(KEY)
        generation = getattr(found, "generation", None)
        assert secret == SECRETS.get(generation), "what counts as held is held"  # type: ignore[arg-type]
        if not dies and story.act is write and number <= len(story.requests) - 1:
            assert generation == 2
        if any(saved):
            assert bao.data().get("more") == "theirs"


def test_two_stacks_that_begin_at_once_do_not_take_each_others_secret(bao: Bao, planner: str) -> None:
    """The other makes a whole first write at each moment of a first write, unless it is refused."""
    winners = []
    for number in range(1, len(STORIES["first write"].requests) + 1):
        bao.clear()

        def other(at: int, _what: str, *, wanted: int = number) -> None:
            if at == wanted:
                with suppress(SinkError):
                    bao.open(stack="other").write(record(KEY, stack="other"), Secret("theirs"))

        with suppress(SinkError):
            write(bao.open(effects=Counted(before=other)))
        winners.append(bao.data()["api_key"])
        theirs, ours = record(KEY, stack="other"), record(KEY, 2)
        won, lost = (("other", theirs), "inference-prod") if winners[-1] == "theirs" else ((ours.stack, ours), "other")
        assert bao.open(stack=won[0]).read([KEY]) == {KEY: won[1]}
        assert isinstance(bao.open(stack=lost).read([KEY])[KEY], ForeignRecord)
        for stack in ("other", "inference-prod"):
            seen = bao.open(stack=stack, env={"VAULT_ADDR": bao.url, "VAULT_TOKEN": planner}).read([KEY])[KEY]
            assert isinstance(seen, ForeignRecord) or (stack == won[0] and seen == won[1])
    assert winners == ["theirs"] * 3 + [SECRETS[2]] * 2
