"""Every fault, and the table of which effects it fits.

A fault is injected at one effect of a run, once or for good. For good means: at that effect and at every later one of
the same run that it fits and that is alike (`family`): a refused token stays refused for everything that follows, a
full disk is full for every file, while a refused create refuses creates alone.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from reconciler.effects import Completed
from reconciler.emulator import Answer, ConnectionLost
from support.faults.aws import refusal as refused_by_aws
from support.faults.case_text import Spot, Strike
from support.faults.effects import (
    CLOUD,
    COUNTED,
    FILE_WRITES,
    FILES,
    HTTP,
    HTTP_WRITES,
    SHELF,
    WEB,
    Effect,
    Kind,
    TracedEffects,
)
from support.faults.world import FaultWorld

Perform = Callable[[], Any]
Act = Callable[[Effect, Perform, TracedEffects], Any]

READS = frozenset({Kind.READ, Kind.POLL})


@dataclass(frozen=True)
class Fault:
    """What goes wrong, at which kinds of effects, and what else it strikes when it lasts."""

    name: str
    fits: frozenset[Kind]
    act: Act
    family: frozenset[Kind] | None = None
    """For good it strikes these; None: it happens once only."""
    ends: bool = False
    """The process ends with it."""

    def __str__(self) -> str:
        return self.name


# --- Answers ----------------------------------------------------------------------------------------------------------


def refusal(status: int, kind: str, headers: dict[str, str] | None = None) -> Answer:
    """An error in the API's documented form."""
    body = {"exception_class": kind, "message": "injected", "request_id": "req-injected"}
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(body).encode())


def store_refusal(status: int, message: str) -> Answer:
    """An error in Vault's form."""
    return Answer(status, {"Content-Type": "application/json"}, json.dumps({"errors": [message]}).encode())


HTML = Answer(502, {"Content-Type": "text/html"}, b"<html><body>502 Bad Gateway</body></html>")


def instead(answer: Answer) -> Act:
    """The request does not get through; this comes back."""
    return lambda _effect, _perform, _effects: answer


def after(answer: Answer) -> Act:
    """The request takes effect; this comes back."""

    def act(_effect: Effect, perform: Perform, _effects: TracedEffects) -> Answer:
        perform()
        return answer

    return act


def refuse_connection(_effect: Effect, _perform: Perform, _effects: TracedEffects) -> Any:
    """Surely not sent."""
    raise httpx.ConnectError("injected")


def break_before(_effect: Effect, _perform: Perform, _effects: TracedEffects) -> Any:
    """Sent, not processed, and nobody can know."""
    raise ConnectionLost


def break_after(_effect: Effect, perform: Perform, _effects: TracedEffects) -> Any:
    """Processed, and the answer is lost."""
    perform()
    raise ConnectionLost


def delay(effect: Effect, _perform: Perform, effects: TracedEffects) -> Any:
    """Under way for so long that the next run has read everything before it arrives."""
    assert effect.request is not None
    effects.world.late.append(effect.request)
    raise httpx.ReadTimeout("injected")


def delay_by(effects_later: int, effect: Effect, _perform: Perform, effects: TracedEffects) -> Any:
    """The request arrives so many effects later."""
    assert effect.request is not None
    effects.world.late.append(effect.request)
    effects.deliver_at = effect.number + effects_later
    raise httpx.ReadTimeout("injected")


def cut_short(_effect: Effect, perform: Perform, _effects: TracedEffects) -> Any:
    """Half of the answer arrives, and looks like all of it."""
    answer: Answer = perform()
    return Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2] or b"{")


# --- Tasks ------------------------------------------------------------------------------------------------------------


def _tasks(answer: Answer) -> list[str]:
    return json.loads(answer.body)["tasks"] if answer.status == 200 else []


def fail_task(_effect: Effect, perform: Perform, effects: TracedEffects) -> Any:
    """The write is taken; its task ends in ERROR."""
    answer: Answer = perform()
    for task in _tasks(answer):
        effects.world.emulator.fail_task(task, "injected")
    return answer


def hold_task(_effect: Effect, perform: Perform, effects: TracedEffects) -> Any:
    """The write is taken; its task ends only when the next run has read everything."""
    answer: Answer = perform()
    for task in _tasks(answer):
        effects.world.emulator.hold_task(task)
        effects.world.held_tasks.append(task)
    return answer


# --- Reads ------------------------------------------------------------------------------------------------------------


def stale(effect: Effect, perform: Perform, effects: TracedEffects) -> Any:
    """The answer is as it was some writes ago: the newest old one that differs, if any does."""
    assert effect.request is not None
    world = effects.world
    answer: Answer = perform()
    for then in world.of_old():
        old = then.respond(effect.request)
        if tell(old) != tell(answer):
            return old
    return answer


def tell(answer: Answer) -> object:
    """What an answer says; errors have a new id each time."""
    return answer.status, re.sub(rb'"request_id": *"[^"]*"', b"", answer.body)


# --- Files and child processes ----------------------------------------------------------------------------------------


def fail_file(number: int) -> Act:
    """The system refuses, and nothing has happened."""

    def act(effect: Effect, _perform: Perform, _effects: TracedEffects) -> Any:
        raise OSError(number, os.strerror(number), effect.name.split(" ", 1)[-1])

    return act


def fail_file_after(effect: Effect, perform: Perform, _effects: TracedEffects) -> Any:
    """It has happened, and the system reports an error (as network file systems may)."""
    perform()
    raise OSError(errno.EIO, os.strerror(errno.EIO), effect.name.split(" ", 1)[-1])


def store_fails(_effect: Effect, _perform: Perform, _effects: TracedEffects) -> Any:
    """The program fails and keeps nothing."""
    return Completed(1, "", "injected")


def store_fails_after(_effect: Effect, perform: Perform, _effects: TracedEffects) -> Any:
    """The program keeps the secret, and then fails."""
    perform()
    return Completed(1, "", "injected")


def program_hangs_after(_effect: Effect, perform: Perform, _effects: TracedEffects) -> Any:
    """The program keeps the secret, and does not end in time."""
    perform()
    raise TimeoutError


def program_does_not_start(_effect: Effect, _perform: Perform, _effects: TracedEffects) -> Any:
    """The system refuses to start it."""
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


# --- AWS --------------------------------------------------------------------------------------------------------------


def aws_refuses(code: str, status: int = 400) -> Act:
    """AWS answers with an error, and does nothing."""

    def strike(effect: Effect, _perform: Perform, _effects: TracedEffects) -> Any:
        raise refused_by_aws(code, effect.name.partition(":")[2], status)

    return strike


def aws_answer_lost(_effect: Effect, perform: Perform, _effects: TracedEffects) -> Any:
    """AWS does it, and no answer comes."""
    from botocore.exceptions import ReadTimeoutError

    perform()
    raise ReadTimeoutError(endpoint_url="https://aws.invalid")


def aws_refuses_after(code: str, status: int, retries: int) -> Act:
    """AWS does it at the first try, whose answer is lost; the last of boto3's own tries ends with an error."""

    def strike(effect: Effect, perform: Perform, _effects: TracedEffects) -> Any:
        perform()
        raise refused_by_aws(code, effect.name.partition(":")[2], status, retries=retries)

    return strike


def aws_asked_twice(_effect: Effect, perform: Perform, _effects: TracedEffects) -> Any:
    """AWS does it, the answer is lost, and boto3 asks again by itself."""
    perform()
    return perform()


def aws_late(effects_later: int | None, effect: Effect, perform: Perform, effects: TracedEffects) -> Any:
    """The call arrives so many effects later, or (None) when the next run has read everything."""
    from botocore.exceptions import ReadTimeoutError

    with effects.world.aws.delayed() as calls:
        perform()
    effects.world.late += calls
    if effects_later is not None:
        effects.deliver_at = effect.number + effects_later
    raise ReadTimeoutError(endpoint_url="https://aws.invalid")


def aws_lists_nothing(_effect: Effect, _perform: Perform, _effects: TracedEffects) -> Any:
    """The list lags behind: it does not show yet what was made."""
    return {"SecretList": []}


def slow(_effect: Effect, perform: Perform, effects: TracedEffects) -> Any:
    """It takes nearly as long as it may: a program's `timeout`, all tries of boto3's."""
    effects.world.clock.advance(59.0)
    return perform()


def aws_out_of_reach(_effect: Effect, _perform: Perform, _effects: TracedEffects) -> Any:
    """Nothing reaches AWS."""
    from botocore.exceptions import EndpointConnectionError

    raise EndpointConnectionError(endpoint_url="https://aws.invalid")


# --- Ends of the process ----------------------------------------------------------------------------------------------


def kill_before(_effect: Effect, _perform: Perform, effects: TracedEffects) -> Any:
    """Killed before the effect."""
    effects.die()


def kill_after(_effect: Effect, perform: Perform, effects: TracedEffects) -> Any:
    """Killed after the effect, before anything came of it."""
    perform()
    effects.die()


def tear(_effect: Effect, _perform: Perform, effects: TracedEffects) -> Any:
    """Killed in the middle of writing a file."""
    effects.tear()
    effects.die()


def crash_before(_effect: Effect, _perform: Perform, effects: TracedEffects) -> Any:
    """The machine stops before the effect: what was not synced is gone."""
    effects.world.disk.crash()
    effects.die()


def crash_after(_effect: Effect, perform: Perform, effects: TracedEffects) -> Any:
    """The machine stops after the effect."""
    perform()
    effects.world.disk.crash()
    effects.die()


EVERY = frozenset(Kind) - COUNTED - WEB
"""The faults of stores over HTTP are in tests/faults/test_gitlab.py."""
CLOUD_WRITES = frozenset({Kind.CLOUD_WRITE})
SHELF_WRITES = frozenset({Kind.SHELF_WRITE})
FAULTS: tuple[Fault, ...] = (
    # HTTP: the connection.
    Fault("no connection", HTTP, refuse_connection, HTTP),
    Fault("broken before", HTTP, break_before, HTTP),
    Fault("answer lost", HTTP_WRITES, break_after, HTTP_WRITES),
    Fault("late by 4", HTTP_WRITES, partial(delay_by, 4)),
    Fault("late by 25", HTTP_WRITES, partial(delay_by, 25)),
    Fault("late until the next run has read", HTTP_WRITES, delay),
    # HTTP: answers.
    Fault("401", HTTP, instead(refusal(401, "Unauthorized")), HTTP),
    Fault("409", HTTP_WRITES, instead(refusal(409, "ConflictError")), HTTP_WRITES),
    Fault("429", HTTP, instead(refusal(429, "TooManyRequests")), HTTP),
    Fault("429 with Retry-After", HTTP, instead(refusal(429, "TooManyRequests", {"Retry-After": "7"})), HTTP),
    Fault("500", HTTP, instead(refusal(500, "ServerError")), HTTP),
    Fault("500 after", HTTP_WRITES, after(refusal(500, "ServerError")), HTTP_WRITES),
    Fault("HTML 502", HTTP, instead(HTML), HTTP),
    Fault("HTML 502 after", HTTP_WRITES, after(HTML), HTTP_WRITES),
    Fault("cut short", HTTP - {Kind.DELETE}, cut_short, HTTP - {Kind.DELETE}),
    Fault("stale", READS, stale, READS),
    # HTTP: tasks.
    Fault("task fails", frozenset({Kind.BIND}), fail_task, frozenset({Kind.BIND})),
    Fault("task hangs", frozenset({Kind.BIND}), hold_task, frozenset({Kind.BIND})),
    Fault("task forgotten", frozenset({Kind.POLL}), instead(refusal(404, "NotFoundError")), frozenset({Kind.POLL})),
    # Files.
    # Closing a file gives its lock back, whatever the system says.
    Fault("EIO", FILES - {Kind.UNLOCK}, fail_file(errno.EIO), FILES - {Kind.UNLOCK}),
    Fault("EIO after", FILE_WRITES | {Kind.UNLOCK}, fail_file_after, FILE_WRITES | {Kind.UNLOCK}),
    Fault(
        "disk full",
        frozenset({Kind.CREATE_FILE, Kind.MAKE_FOLDER}),
        fail_file(errno.ENOSPC),
        frozenset({Kind.CREATE_FILE, Kind.MAKE_FOLDER}),
    ),
    # Child processes.
    Fault("store fails", frozenset({Kind.STORE}), store_fails, frozenset({Kind.STORE})),
    Fault("store fails after", frozenset({Kind.STORE}), store_fails_after, frozenset({Kind.STORE})),
    Fault("program hangs after", frozenset({Kind.STORE}), program_hangs_after, frozenset({Kind.STORE})),
    Fault("program does not start", frozenset({Kind.STORE}), program_does_not_start, frozenset({Kind.STORE})),
    # AWS.
    Fault("AWS throttles", CLOUD, aws_refuses("ThrottlingException"), CLOUD),
    Fault("AWS denies", CLOUD, aws_refuses("AccessDeniedException"), CLOUD),
    Fault("AWS fails", CLOUD, aws_refuses("InternalServiceError", 500), CLOUD),
    Fault("AWS out of reach", CLOUD, aws_out_of_reach, CLOUD),
    Fault("AWS answer lost", CLOUD, aws_answer_lost, CLOUD),
    Fault("AWS fails after", CLOUD_WRITES, aws_refuses_after("InternalServiceError", 500, 0), CLOUD_WRITES),
    Fault("AWS throttles a second try", CLOUD_WRITES, aws_refuses_after("ThrottlingException", 400, 1), CLOUD_WRITES),
    Fault("AWS asked twice", CLOUD_WRITES, aws_asked_twice, CLOUD_WRITES),
    Fault("late to AWS by 4", CLOUD_WRITES, partial(aws_late, 4)),
    Fault("late to AWS until the next run has read", CLOUD_WRITES, partial(aws_late, None)),
    Fault("stale list of AWS", frozenset({Kind.CLOUD_LIST}), aws_lists_nothing, frozenset({Kind.CLOUD_LIST})),
    # A store over HTTP.
    Fault("no connection to the store", SHELF, refuse_connection, SHELF),
    Fault("store broken before", SHELF, break_before, SHELF),
    Fault("store answer lost", SHELF_WRITES, break_after, SHELF_WRITES),
    Fault("store denies", SHELF, instead(store_refusal(403, "permission denied")), SHELF),
    Fault("store throttles", SHELF, instead(store_refusal(429, "rate limit quota exceeded")), SHELF),
    Fault("store fails with 500", SHELF, instead(store_refusal(500, "internal error")), SHELF),
    Fault("store fails with 500 after", SHELF_WRITES, after(store_refusal(500, "internal error")), SHELF_WRITES),
    Fault("store sealed", SHELF, instead(store_refusal(503, "Vault is sealed")), SHELF),
    Fault("store cut short", SHELF, cut_short, SHELF),
    Fault("late to the store by 4", SHELF_WRITES, partial(delay_by, 4)),
    Fault("late to the store until the next run has read", SHELF_WRITES, delay),
    Fault("slow", CLOUD | {Kind.STORE}, slow, CLOUD | {Kind.STORE}),
    # Ends.
    Fault("killed before", EVERY, kill_before, ends=True),
    Fault("killed after", EVERY, kill_after, ends=True),
    Fault("torn write", frozenset({Kind.CREATE_FILE}), tear, ends=True),
    Fault("machine stops before", FILES | HTTP | CLOUD | {Kind.STORE}, crash_before, ends=True),
    Fault("machine stops after", FILES | HTTP | CLOUD | {Kind.STORE}, crash_after, ends=True),
)

BY_NAME = {fault.name: fault for fault in FAULTS}


@dataclass(frozen=True)
class Injection:
    """A fault at one effect of a run; `lasting` for good."""

    fault: Fault
    at: Spot
    lasting: bool = False

    @classmethod
    def of(cls, strike: Strike) -> Injection:
        """What a case says. Raises ValueError for a fault that there is not."""
        if strike.what not in BY_NAME:
            raise ValueError(f"there is no fault {strike.what!r}: it is one of {', '.join(BY_NAME)}")
        return cls(BY_NAME[strike.what], strike.at, strike.lasting)

    @property
    def strike(self) -> Strike:
        """How a case says it."""
        return Strike(self.fault.name, self.at, self.lasting)

    def __str__(self) -> str:
        return str(self.strike)

    def __call__(self, effect: Effect, perform: Perform, effects: TracedEffects) -> Any:
        """Wrap an effect."""
        strikes = effect.spot == self.at or (self.lasting and effect.kind in self._family(effects))
        return self.fault.act(effect, perform, effects) if strikes and effect.kind in self.fault.fits else perform()

    def _family(self, effects: TracedEffects) -> frozenset[Kind]:
        """What it strikes next, once it has struck: a fault in writes alone, those of the same kind."""
        first = next((effect.kind for effect in effects.trace if effect.spot == self.at), None)
        if first is None:
            return frozenset()
        family = self.fault.family or frozenset()
        return frozenset({first}) if family == HTTP_WRITES else family


def injections(effect: Effect, *, unsettled: bool = True) -> Iterator[Injection]:
    """Every fault that fits an effect, once and for good; a crash of the machine only where it differs from a kill."""
    for fault in FAULTS:
        if effect.kind not in fault.fits or (fault.name.startswith("machine") and not unsettled):
            continue
        yield Injection(fault, effect.spot)
        if fault.family is not None:
            yield Injection(fault, effect.spot, lasting=True)


def pending_effects(world: FaultWorld) -> bool:
    """Whether something is still on its way."""
    return bool(world.late or world.held_tasks)
