"""Where a run can be spared what is known of another one: at its exchange with the API.

What keyform knows of the API comes to it through `Exchange.ask`, as answers. So a run that repeats another up to a
fault can be given the answers, without sending anything (`Known`). And once a fault is over within one request,
because that was sent again, the run goes on as any other that was given the same answers, whose exchange is in the same
state, and whose world is the same (`Joints`): it is known what became of that one.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from reconciler.errors import ApiError
from reconciler.gcore import GcoreApi
from reconciler.gcore.answers import Answer, Call
from reconciler.gcore.exchange import Exchange, Resend
from reconciler.gcore.pace import Pace
from reconciler.plan.changes import Plan
from support.faults.effects import TracedEffects

if TYPE_CHECKING:
    from support.faults.cases import Verdict
    from support.faults.run import Ran

Ask = Callable[[Call, Resend], Answer]


@dataclass(frozen=True, slots=True)
class State:
    """What an exchange has learnt so far."""

    pace: Pace
    offsets: deque[timedelta]
    told: bool

    @classmethod
    def of(cls, exchange: Exchange) -> State:
        """A copy, which does not change."""
        clock = exchange.clock
        return cls(copy(exchange._gate._pace), clock._offsets.copy(), clock._told)

    def bring_about(self, exchange: Exchange) -> None:
        """Let an exchange have learnt this."""
        exchange._gate._pace = copy(self.pace)
        clock = exchange.clock
        clock._offsets, clock._told = self.offsets.copy(), self.told

    @property
    def to_come(self) -> object:
        """What decides how later requests are sent, if none of them is refused."""
        pace = self.pace
        return pace.limit, pace.distance, pace._towards_faster, pace.not_before, self.offsets, self.told


@dataclass(frozen=True, slots=True, repr=False)
class Asked:
    """What came of one `ask`, and what was learnt by it; the effects before `end` are those before it, and its own."""

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


@dataclass(frozen=True, slots=True, repr=False)
class Looked:
    """What came of a look at all that is live."""

    end: int
    plan: Plan
    learnt: State


class Known:
    """All that a run asked, and its looks. It shows nothing of itself: tracebacks that are searched show variables."""

    def __init__(self) -> None:
        self.answers: dict[int, Asked] = {}
        """By the number of the first effect."""
        self.looks: dict[int, Looked] = {}


@dataclass(repr=False)
class Course:
    """A run, from where others may join it to what came of it."""

    find_verdict: Callable[[], Verdict]
    ran: Ran | None = None
    """How it ended."""
    may_be_joined: bool = True
    """Not if it is judged less strictly than others would be."""
    _verdict: Verdict | None = None

    @property
    def verdict(self) -> Verdict:
        """What came of it, asked for once."""
        if self._verdict is None:
            self._verdict = self.find_verdict()
        return self._verdict


@dataclass(frozen=True, slots=True, repr=False)
class Joint:
    """An instant at which a run could be joined, and how many effects it had had by then."""

    course: Course
    effects: int
    now: datetime


class Joints:
    """Where runs were when a request had been answered, and at which instant."""

    def __init__(self) -> None:
        self._known: dict[bytes, list[Joint]] = {}

    def find(self, place: bytes, now: datetime, at_most_apart: Callable[[], timedelta]) -> Joint | None:
        """Where a run was there at about this instant."""
        known = self._known.get(place)
        if known is None:
            return None
        apart = at_most_apart()
        return next((joint for joint in known if abs(now - joint.now) < apart), None)

    def note(self, place: bytes, joint: Joint) -> None:
        """A run is there."""
        self._known.setdefault(place, []).append(joint)


def place_of(begin: int, answer: Answer, exchange: Exchange, effects: TracedEffects) -> bytes:
    """Equal for runs that go on alike but for the instant, of those that did the same up to the effect `begin`."""
    arrives_in = None if effects.deliver_at is None else effects.deliver_at - len(effects.trace)
    place = repr((begin, answer.payload, State.of(exchange).to_come, arrives_in, effects.world.content()))
    return hashlib.blake2b(place.encode()).digest()


class Client:
    """What stands between a run and its client: nothing."""

    def take(self, api: GcoreApi, effects: TracedEffects) -> None:
        """Stand between the run of these effects and its client from now on."""

    def look(self, look: Callable[[], Plan]) -> Plan:
        """The plan of what is live."""
        return look()


class Between(Client, ABC):
    """Stands around each `ask` of a run's client."""

    def take(self, api: GcoreApi, effects: TracedEffects) -> None:
        self._exchange, self._effects = api._exchange, effects
        ask = self._exchange.ask
        # mypy knows that it is a method.
        setattr(self._exchange, "ask", lambda call, resend: self._ask(ask, call, resend))  # noqa: B010

    @abstractmethod
    def _ask(self, ask: Ask, call: Call, resend: Resend) -> Answer:
        """In the place of `ask`."""


class Recorded(Between):
    """Takes down what a run without faults asks and sees, and where others may join it."""

    def __init__(self, known: Known, joints: Joints, course: Course) -> None:
        self._known = known
        self._joints = joints
        self._course = course

    def look(self, look: Callable[[], Plan]) -> Plan:
        begin = len(self._effects.trace)
        plan = look()
        self._known.looks[begin] = Looked(len(self._effects.trace), plan, State.of(self._exchange))
        return plan

    def _ask(self, ask: Ask, call: Call, resend: Resend) -> Answer:
        effects, exchange = self._effects, self._exchange
        begin = len(effects.trace)
        try:
            answer = ask(call, resend)
        except ApiError as error:
            self._known.answers[begin] = Asked(len(effects.trace), None, error, State.of(exchange))
            raise
        self._known.answers[begin] = Asked(len(effects.trace), answer, None, State.of(exchange))
        joint = Joint(self._course, len(effects.trace), effects.world.now())
        self._joints.note(place_of(begin, answer, exchange, effects), joint)
        return answer


class Spared(Between):
    """Gives a run that replays another what that one was given, as far as it came whole.

    With a course of its own, the run is ended as soon as the fault is over that struck the effect `struck`, if it is
    known how it goes on: as one does that is in the same place, and not more than `at_most_apart` earlier or later.
    """

    def __init__(
        self,
        known: Known,
        joints: Joints,
        course: Course | None,
        struck: int,
        at_most_apart: Callable[[], timedelta],
    ) -> None:
        self._known = known
        self._joints = joints
        self._course = course
        self._struck = struck
        self._at_most_apart = at_most_apart
        self._learnt: State | None = None

    def look(self, look: Callable[[], Plan]) -> Plan:
        effects = self._effects
        looked = self._known.looks.get(len(effects.trace)) if effects.is_replaying else None
        if looked is None or looked.end > len(effects.replay):
            return look()
        self._skip(looked.end, looked.learnt)
        return looked.plan

    def _ask(self, ask: Ask, call: Call, resend: Resend) -> Answer:
        effects = self._effects
        begin = len(effects.trace)
        asked = self._known.answers.get(begin) if effects.is_replaying else None
        if asked is not None and asked.end <= len(effects.replay):
            self._skip(asked.end, asked.learnt)
            return asked.again()
        if self._learnt is not None:
            self._learnt.bring_about(self._exchange)
            self._learnt = None
        answer = ask(call, resend)
        if self._course is not None and begin <= self._struck < len(effects.trace):
            self._join(place_of(begin, answer, self._exchange, effects), self._course)
        return answer

    def _skip(self, end: int, learnt: State) -> None:
        """What was learnt is brought about when a request goes out; until then only the clock is looked at."""
        self._effects.skip(end)
        self._exchange.clock._offsets = learnt.offsets
        self._learnt = learnt

    def _join(self, place: bytes, course: Course) -> None:
        effects = self._effects
        now = effects.world.now()
        known = self._joints.find(place, now, self._at_most_apart)
        if known is not None:
            effects.join(known)
        if course.may_be_joined:
            self._joints.note(place, Joint(course, len(effects.trace), now))
