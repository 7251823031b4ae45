"""Where a run can be spared what is known of another one: at its exchange with the API.

What keyform knows of the API comes to it through `Exchange.ask`, as answers. So a run that repeats another up to a
fault can be given the answers, without sending anything (`Answers`). And once a fault is over within one request,
because that was sent again, the run goes on as any other that was given the same answers, whose exchange is in the same
state, and whose world is the same (`Joints`): it is known what became of that one.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from reconciler.errors import ApiError
from reconciler.gcore import GcoreApi
from reconciler.gcore.exchange import Exchange, Resend
from reconciler.gcore.faults import Answer, Call
from reconciler.gcore.pace import Pace
from support.faults.effects import TracedEffects

if TYPE_CHECKING:
    from support.faults.cases import Verdict
    from support.faults.run import Ran

Ask = Callable[[Call, Resend], Answer]
Known = TypeVar("Known")


@dataclass(frozen=True, slots=True)
class State:
    """What an exchange has learnt so far."""

    pace: Pace
    offsets: tuple[timedelta, ...]
    told: bool
    count: int

    @classmethod
    def of(cls, exchange: Exchange) -> State:
        """A copy, which does not change."""
        clock = exchange.clock
        return cls(copy(exchange._gate._pace), tuple(clock._offsets), clock._told, exchange._count)

    def bring_about(self, exchange: Exchange) -> None:
        """Let an exchange have learnt this."""
        exchange._gate._pace = copy(self.pace)
        exchange._count = self.count
        clock = exchange.clock
        clock._offsets, clock._told = deque(self.offsets, maxlen=clock._offsets.maxlen), self.told

    @property
    def to_come(self) -> object:
        """What decides how later requests are sent, if none of them is refused."""
        return self.pace.limit, self.pace.distance, self.pace.not_before, sorted(self.offsets), self.told


@dataclass(frozen=True, slots=True, repr=False)
class Asked:
    """What came of one `ask`, and what was learnt by it; its effects are those from `begin` to before `end`."""

    begin: int
    end: int
    answer: Answer | None
    error: ApiError | None
    learnt: State

    def again(self) -> Answer:
        """The same once more."""
        if self.error is not None:
            raise copy(self.error).with_traceback(None)
        assert self.answer is not None
        return self.answer


class Answers:
    """Everything that a run asked. It shows nothing of itself: tracebacks that are searched show local variables."""

    def __init__(self) -> None:
        self._by_begin: dict[int, Asked] = {}

    def note(self, asked: Asked) -> None:
        """It was asked now."""
        self._by_begin[asked.begin] = asked

    def find(self, begin: int) -> Asked | None:
        """What was asked with this effect as its first."""
        return self._by_begin.get(begin)


@dataclass(repr=False)
class Course:
    """A run, from where others may join it to what came of it."""

    find_verdict: Callable[[], Verdict]
    ran: Ran | None = None
    """How it ended."""
    _verdict: Verdict | None = None

    @property
    def verdict(self) -> Verdict:
        """What came of it, asked for once."""
        if self._verdict is None:
            self._verdict = self.find_verdict()
        return self._verdict


class Joints:
    """Where runs were when a request had been answered, and at which instant."""

    def __init__(self) -> None:
        self._known: dict[bytes, list[tuple[datetime, Course]]] = {}

    def find(self, place: bytes, now: datetime, at_most_apart: Callable[[], timedelta]) -> Course | None:
        """A run that was there at about this instant."""
        known = self._known.get(place)
        if known is None:
            return None
        apart = at_most_apart()
        return next((course for when, course in known if abs(now - when) < apart), None)

    def note(self, place: bytes, now: datetime, course: Course) -> None:
        """A run is there."""
        self._known.setdefault(place, []).append((now, course))


def place_of(begin: int, answer: Answer, exchange: Exchange, effects: TracedEffects) -> bytes:
    """Equal for runs that go on alike but for the instant, of those that did the same up to the effect `begin`."""
    place = repr((begin, answer.payload, State.of(exchange).to_come, effects.deliver_at, effects.world.content()))
    return hashlib.blake2b(place.encode()).digest()


def record(api: GcoreApi, effects: TracedEffects, answers: Answers, joints: Joints, course: Course) -> None:
    """Take down what a run without faults asks, and where others may join it."""

    def recorded(ask: Ask, exchange: Exchange, call: Call, resend: Resend) -> Answer:
        begin = len(effects.trace)
        try:
            answer = ask(call, resend)
        except ApiError as error:
            answers.note(Asked(begin, len(effects.trace), None, error, State.of(exchange)))
            raise
        answers.note(Asked(begin, len(effects.trace), answer, None, State.of(exchange)))
        joints.note(place_of(begin, answer, exchange, effects), effects.world.now(), course)
        return answer

    _stand_around(api, recorded)


def answer_again(api: GcoreApi, effects: TracedEffects, answers: Answers) -> None:
    """Give a run that replays another the answers that this was given, as far as they came whole."""

    def answered(ask: Ask, exchange: Exchange, call: Call, resend: Resend) -> Answer:
        asked = answers.find(len(effects.trace)) if effects.is_replaying else None
        if asked is None or asked.end > len(effects.replay):
            return ask(call, resend)
        effects.skip(asked.end)
        asked.learnt.bring_about(exchange)
        return asked.again()

    _stand_around(api, answered)


def join(  # noqa: PLR0917 - each is another thing
    api: GcoreApi,
    effects: TracedEffects,
    joints: Joints,
    struck: int,
    course: Course,
    at_most_apart: Callable[[], timedelta],
) -> None:
    """End a run as soon as the fault that struck one of its effects is over, if it is known how the run goes on.

    That is by a run that is in the same place, and not more than so much earlier or later.
    """

    def joined(ask: Ask, exchange: Exchange, call: Call, resend: Resend) -> Answer:
        begin = len(effects.trace)
        answer = ask(call, resend)
        if begin <= struck < len(effects.trace):
            place, now = place_of(begin, answer, exchange, effects), effects.world.now()
            known = joints.find(place, now, at_most_apart)
            if known is not None:
                effects.join(known)
            joints.note(place, now, course)
        return answer

    _stand_around(api, joined)


def _stand_around(api: GcoreApi, around: Callable[[Ask, Exchange, Call, Resend], Answer]) -> None:
    exchange = api._exchange
    ask = exchange.ask
    setattr(exchange, "ask", lambda call, resend: around(ask, exchange, call, resend))  # noqa: B010 - it is a method
