"""A sink that never works, and a pipeline that applies every hour all the same: what is live after a hundred runs."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from support.faults.effects import CLOUD, SHELF, Effect, Kind, TracedEffects
from support.faults.faults import (
    Act,
    after,
    aws_answer_lost,
    aws_out_of_reach,
    aws_refuses,
    break_after,
    fail_file,
    fail_file_after,
    instead,
    program_does_not_start,
    program_hangs_after,
    refuse_connection,
    store_fails,
    store_refusal,
)
from support.faults.run import run_once
from support.faults.scenarios import LIVE
from support.faults.world import FaultWorld
from support.states import days, desired, key

HOUR = timedelta(hours=1)
RUNS = 100
MOST_LIVE = 2
"""So many generations of a key may be live where a sink keeps failing, and it is known each time that it failed."""
Perform = Callable[[], Any]


@dataclass(frozen=True)
class Failure:
    """What never works of a sink: every effect of a kind whose name has these words."""

    sink: str
    name: str
    kinds: frozenset[Kind]
    act: Act
    words: str = ""
    is_known: bool = True
    """After each try it is known that nothing was saved."""

    def __str__(self) -> str:
        return f"{self.sink}: {self.name}"

    def __call__(self, effect: Effect, perform: Perform, effects: TracedEffects) -> Any:
        """Wrap an effect."""
        is_struck = effect.kind in self.kinds and self.words in effect.name
        return self.act(effect, perform, effects) if is_struck else perform()


@dataclass(frozen=True)
class Left:
    """What a hundred runs made, and left: generations of the one key."""

    failure: Failure
    story: str
    runs: int
    made: int
    live: int
    most: int
    """That were live after any run."""
    failed: int
    """Runs that ended with 1."""


def _of_files(sink: str) -> Iterator[Failure]:
    def at(name: str, kind: Kind, number: int, words: str = "", *, is_known: bool = True) -> Failure:
        return Failure(sink, name, frozenset({kind}), fail_file(number), words, is_known)

    yield at("the disk is full (ENOSPC)", Kind.CREATE_FILE, errno.ENOSPC)
    yield at("the quota is used up (EDQUOT)", Kind.CREATE_FILE, errno.EDQUOT)
    yield at("it cannot be written (EIO)", Kind.CREATE_FILE, errno.EIO)
    yield at("the folder is read-only (EROFS)", Kind.MAKE_FOLDER, errno.EROFS)
    yield at("the folder may not be written (EACCES)", Kind.MAKE_FOLDER, errno.EACCES)
    yield at("the folder cannot be locked (ENOLCK)", Kind.LOCK_FOLDER, errno.ENOLCK)
    yield at("the folder cannot be locked (EOPNOTSUPP)", Kind.LOCK_FOLDER, errno.EOPNOTSUPP)
    yield at("nothing can be renamed (EPERM)", Kind.RENAME, errno.EPERM)
    yield at("the folder cannot be synced (EIO)", Kind.SYNC_FOLDER, errno.EIO)
    yield at("the file alone cannot be replaced (EBUSY)", Kind.RENAME, errno.EBUSY, "rename to /disk/local/secrets")
    name, kinds = "a rename is done, and said to have failed", frozenset({Kind.RENAME})
    yield Failure(sink, name, kinds, fail_file_after, "/secrets", is_known=False)


def _of_programs() -> Iterator[Failure]:
    def at(name: str, act: Act, verb: str, *, is_known: bool) -> Failure:
        return Failure("command", name, frozenset({Kind.STORE}), act, f"keep-secret {verb}", is_known)

    yield at("`check` ends with 1", store_fails, "check", is_known=True)
    yield at("`check` does not end", program_hangs_after, "check", is_known=True)
    yield at("`write` cannot be started", program_does_not_start, "write", is_known=True)
    yield at("`write` ends with 1", store_fails, "write", is_known=False)
    yield at("`write` does not end", program_hangs_after, "write", is_known=False)


def _of_aws(sink: str, quota: str) -> Iterator[Failure]:
    writes = frozenset({Kind.CLOUD_WRITE})

    def at(name: str, act: Act, *, kinds: frozenset[Kind] = writes, is_known: bool = True) -> Failure:
        return Failure(sink, name, kinds, act, is_known=is_known)

    yield at("reading is denied", aws_refuses("AccessDeniedException"), kinds=CLOUD)
    yield at("writing is denied", aws_refuses("AccessDeniedException"))
    yield at("writing is throttled", aws_refuses("ThrottlingException"))
    yield at("the quota is used up", aws_refuses(quota))
    yield at("it is out of reach", aws_out_of_reach, kinds=CLOUD)
    yield at("writing fails (500)", aws_refuses("InternalServiceError", 500), is_known=False)
    yield at("its answers to writes are lost", aws_answer_lost, is_known=False)


def _of_vault() -> Iterator[Failure]:
    writes = frozenset({Kind.SHELF_WRITE})
    denied, full = store_refusal(403, "permission denied"), store_refusal(429, "rate limit quota exceeded")
    sealed, failed = store_refusal(503, "Vault is sealed"), store_refusal(500, "internal error")

    def at(name: str, act: Act, *, kinds: frozenset[Kind] = writes, words: str = "", is_known: bool = True) -> Failure:
        return Failure("vault", name, kinds, act, words, is_known)

    yield at("reading is denied", instead(denied), kinds=SHELF)
    yield at("writing is denied", instead(denied))
    yield at("writing metadata is denied", instead(denied), words="/metadata/")
    yield at("writing data is denied", instead(denied), words="/data/")
    yield at("the quota is used up", instead(full))
    yield at("it is sealed", instead(sealed), kinds=SHELF)
    yield at("it is out of reach", refuse_connection, kinds=SHELF)
    yield at("writing fails (500)", instead(failed), is_known=False)
    yield at("writing is done, and fails (500)", after(failed), is_known=False)
    yield at("its answers to writes are lost", break_after, is_known=False)


FAILURES = (
    *_of_files("dotenv"),
    *_of_files("json"),
    *_of_programs(),
    *_of_aws("aws-secrets-manager", "LimitExceededException"),
    *_of_aws("aws-ssm", "ParameterLimitExceeded"),
    *_of_vault(),
)
TYPES = {
    "dotenv": "dotenv",
    "json": "json",
    "command": "store",
    "aws-secrets-manager": "cloud",
    "aws-ssm": "parameters",
    "vault": "vault",
}
STATE = desired(key("payments", "llama3", every=days(30), overlap=HOUR * 2))
STORIES = ("first", "rotation")


def make_world(failure: Failure, story: str) -> FaultWorld:
    """With nothing in it; for the `rotation` with a generation that is in use, and due."""
    world = FaultWorld.make(LIVE, {"local": TYPES[failure.sink]})
    if story == "rotation":
        assert run_once(world, STATE).code == 0
        world.clock.advance(days(30).total_seconds() + 60)
    return world


def let_it_fail(failure: Failure, story: str, world: FaultWorld, runs: int = RUNS) -> Left:
    """Apply every hour."""
    made = most = failed = 0
    for _ in range(runs):
        ran = run_once(world, STATE, TracedEffects(world, hook=failure))
        world.images.clear()
        made += sum(effect.kind is Kind.CREATE for effect in ran.trace)
        failed += ran.code == 1
        most = max(most, count_live(world))
        world.clock.advance(HOUR.total_seconds())
    return Left(failure, story, runs, made, count_live(world), most, failed)


def count_live(world: FaultWorld) -> int:
    """The generations of the key that are live."""
    return sum(marked.key == "payments" for marked in world.marked())


def as_table(found: list[Left]) -> str:
    """Markdown: a row for each sink and failure, those with a known outcome first; of a first create, of a rotation."""
    lines = [
        f"| sink | what never works | outcome | made in {RUNS} runs | live afterwards | most at once |",
        "|---|---|---|---|---|---|",
    ]
    pairs: dict[Failure, dict[str, Left]] = {}
    for left in found:
        pairs.setdefault(left.failure, {})[left.story] = left
    for failure, by in sorted(pairs.items(), key=lambda pair: not pair[0].is_known):
        values = [", ".join(str(getattr(by[story], name)) for story in STORIES) for name in ("made", "live", "most")]
        outcome = "known" if failure.is_known else "unknown"
        lines.append(f"| `{failure.sink}` | {failure.name} | {outcome} | {' | '.join(values)} |")
    return "\n".join(lines) + "\n"
