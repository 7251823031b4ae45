"""The emulator itself: one request in, one answer out, with or without HTTP around it."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Self
from uuid import uuid4

from reconciler.emulator import bindings, tasks
from reconciler.emulator.access import Grant, admit, best_role, check_project, check_role, grant
from reconciler.emulator.bindings import Kind
from reconciler.emulator.clock import Clock, RealClock, VirtualClock, http_date, instant, micros
from reconciler.emulator.keeping import SECOND
from reconciler.emulator.modes import Modes
from reconciler.emulator.routes import LISTS, WORKS, find_route
from reconciler.emulator.store import open_store, restore
from reconciler.emulator.validation import read_project_id
from reconciler.emulator.wire import Answer, ApiError, RawError, Request
from reconciler.emulator.world import Call, Table, World

Proceed = Callable[[Request], Answer]
Interceptor = Callable[[Request, Proceed], Answer]
Listener = Callable[[Request, Answer], None]

NOWHERE = "http://emulator.invalid"
"""The base of addresses until a server gives them a real one."""
TABLES: dict[Kind, Table] = {"deployment": "deployments", "application": "applications"}


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A key as the store holds it, with the secret that the API shows only once; for tests that judge an outcome."""

    name: str
    description: str | None
    secret: str = field(repr=False)
    created_at: datetime
    expires_at: datetime | None
    key_id: str


class Emulator:
    """The API and the data plane behind it, as a function of requests and of a clock.

    Nothing runs in the background: every request, and every look from outside, first applies everything that the clock
    says is due. Safe to call from several threads.

    An `interceptor`, if set, wraps every request: it gets the request and a function that answers it, and may call that
    function before it fails, after it, several times, or never. It may raise `ConnectionLost`; `respond` raises it on,
    and a server breaks the connection. `listeners` are called with every request that was answered, and with its true
    answer, whatever an interceptor then returns: they see every effect.
    """

    def __init__(
        self,
        db: str | Path | sqlite3.Connection | None = None,
        *,
        clock: Clock | None = None,
        modes: Modes | None = None,
        tokens: Mapping[str, Grant] | None = None,
        base_url: str = NOWHERE,
        task_seconds: float = 0.0,
        seed: int | None = None,
    ) -> None:
        """Open the emulator's state: in the file `db`, or in memory if there is none. StoreError if it is not a store.

        `tokens` are management tokens and the projects that each opens: `{"token": [1234]}`, or, for one that may only
        read, `{"token": {"projects": [1234], "role": "read"}}`. `task_seconds` is how long tasks take; with 0 a task
        has ended by the next request. `seed` makes ids and secrets repeatable.
        """
        store = db if isinstance(db, sqlite3.Connection) else open_store(db)
        self.clock: Clock = clock or RealClock()
        self.listeners: list[Listener] = []
        self.interceptor: Interceptor | None = None
        self._world = World(store, modes or Modes(), base_url, task_seconds, seed)
        self._past: list[tuple[int, bytes]] = []
        """If lists lag: what the store held, from which instant on, the oldest that a list may still show first."""
        self._settled = (0, 0)
        """How much had been written when due effects were last applied, and when more would be due."""
        self._is_shared = isinstance(db, str | Path)
        """Whether another process may write to the store meanwhile."""
        self._lock = threading.RLock()
        self._finalizer = weakref.finalize(self, store.close)
        with self._lock:
            grant(self._world, tokens or {})
            self._keep()

    @property
    def modes(self) -> Modes:
        """How this emulator behaves if the API's documents are silent."""
        return self._world.modes

    @property
    def base_url(self) -> str:
        """What every address begins with."""
        return self._world.base_url

    @base_url.setter
    def base_url(self, value: str) -> None:
        self._world.base_url = value.rstrip("/")

    def respond(self, request: Request) -> Answer:
        """Answer one request; never raises for anything that a caller sends."""
        return self._proceed(request) if self.interceptor is None else self.interceptor(request, self._proceed)

    def _proceed(self, request: Request) -> Answer:
        with self._lock:
            answer = self._answer(request).dated(http_date(self.clock.now()))
        for listener in self.listeners:
            listener(request, answer)
        return answer

    def _answer(self, request: Request) -> Answer:
        world = self._world
        world.calls += 1
        now = self._settle()
        try:
            answer = self._route(request, now)
            if world.modes.effect == "at_start" and world.db.in_transaction:
                tasks.settle(world, now, WORKS, effects_only=True)
        except ApiError as error:
            world.db.rollback()
            return error.answer(request_id=uuid4().hex)
        except RawError as error:
            world.db.rollback()
            return error.answer
        except BaseException:
            world.db.rollback()
            raise
        self._keep(now)
        return answer

    def _route(self, request: Request, now: int) -> Answer:
        world = self._world
        handler, access, path = find_route(request.method, request.path)
        if access == "secret":
            return handler(Call(world, request, now, path))
        roles = admit(world, request)
        if handler in LISTS:
            world, now = self._listed(now)
        if access == "token":
            check_role(request, best_role(roles))
            return handler(Call(world, request, now, path, projects=roles))
        project_id = read_project_id(path["project_id"])
        check_project(world, project_id, roles)
        check_role(request, roles[project_id])
        return handler(Call(world, request, now, path, project_id, roles))

    def _keep(self, now: int | None = None) -> None:
        """Commit; and if lists lag, remember what they show from `now` on, or at once without it."""
        self._world.db.commit()
        lag = self._world.modes.lists_lag * SECOND
        if not lag:
            return
        if now is None:
            self._past = [(0, self._world.db.serialize())]
            return
        while len(self._past) > 1 and self._past[1][0] <= now - lag:
            del self._past[0]
        if (image := self._world.db.serialize()) != self._past[-1][1]:
            self._past.append((now, image))

    def _listed(self, now: int) -> tuple[World, int]:
        """The world that a list shows, and its instant: the present one, or that of a moment ago."""
        world, then = self._world, now - self._world.modes.lists_lag * SECOND
        if then == now:
            return world, now
        image = next(image for since, image in reversed(self._past) if since <= then or since == self._past[0][0])
        past = replace(world, db=restore(image))
        tasks.settle(past, then, WORKS)
        return past, then

    def _settle(self) -> int:
        """Apply everything that is due, and return the present instant."""
        now = micros(self.clock.now())
        written, due_at = self._settled
        if now >= due_at or written != self._world.db.total_changes or self._is_shared:
            due_at = tasks.settle(self._world, now, WORKS)
            self._world.db.commit()
            self._settled = self._world.db.total_changes, due_at
        return now

    def grant(self, tokens: Mapping[str, Grant]) -> None:
        """Let more management tokens into projects, which exist from then on."""
        with self._lock:
            grant(self._world, tokens)
            self._keep()

    @contextmanager
    def editing(self) -> Iterator[World]:
        """The store itself, for one change past the API; all of it or, if the block raises, none of it."""
        with self._lock:
            self._settle()
            try:
                yield self._world
            except BaseException:
                self._world.db.rollback()
                raise
            self._keep()

    # What a test may look at and do, past the API.

    @property
    def changes(self) -> int:
        """A number that changes with every change that `accepts`, `live_keys`, `api_keys_of` or `names` could show.

        It never goes down, and may go up without such a change. A result that depends on the time itself, of a key that
        expires or a data plane that lags, can differ at the same number. For a store in a file it counts what this
        emulator has changed, and nothing of others.
        """
        with self._lock:
            self._settle()
            return self._world.changes

    def accepts(self, project_id: int, kind: Kind, name: str, secret: str | None) -> bool:
        """Whether the data plane would accept a request with `secret`, or one without any key for None.

        An application accepts a secret if each of its deployments does, and is public if any of them is. LookupError if
        there is no such object.
        """
        with self._lock:
            now = self._settle()
            target = self._target(project_id, kind, name)
            if kind == "deployment":
                return bindings.opens(self._world, target, secret, now)
            children = self._world.rows("SELECT id FROM deployments WHERE application_id = ?", target)
            verdicts = [bindings.opens(self._world, child["id"], secret, now) for child in children]
            return any(verdicts) if secret is None else bool(verdicts) and all(verdicts)

    def live_keys(self, project_id: int) -> dict[str, LiveKey]:
        """Every key of a project, by name, in the order of their creation."""
        with self._lock:
            self._settle()
            rows = self._world.all_of("keys", project_id)
        return {
            row["name"]: LiveKey(
                name=row["name"],
                description=row["description"],
                secret=row["secret"],
                created_at=instant(row["created_at"]),
                expires_at=None if row["expires_at"] is None else instant(row["expires_at"]),
                key_id=row["uuid"],
            )
            for row in rows
        }

    def api_keys_of(self, project_id: int, kind: Kind, name: str) -> tuple[str, ...]:
        """The names of the keys attached to one object; LookupError if there is none such."""
        with self._lock:
            self._settle()
            return tuple(bindings.key_names(self._world, kind, self._target(project_id, kind, name)))

    def names(self, project_id: int, kind: Kind) -> tuple[str, ...]:
        """The names of all deployments or all applications of a project, in the order of their creation."""
        with self._lock:
            self._settle()
            return tuple(row["name"] for row in self._world.all_of(TABLES[kind], project_id))

    def fail_task(self, task_id: str, error: str = "Internal error") -> None:
        """Let a running task end in ERROR, without its effect if it is still to come. KeyError if it has ended.

        A task of no length has ended as soon as anything looks at the emulator, including a listener: to steer tasks,
        give them some `task_seconds`.
        """
        with self._lock:
            tasks.steer(self._world, task_id, error=error)
            self._world.db.commit()

    def hold_task(self, task_id: str) -> None:
        """Let a running task never end, until `release_task`. KeyError if it has ended."""
        with self._lock:
            tasks.steer(self._world, task_id, due_at=tasks.NEVER)
            self._world.db.commit()

    def release_task(self, task_id: str) -> None:
        """Let a running task be due now. KeyError if it has ended."""
        with self._lock:
            tasks.steer(self._world, task_id, due_at=self._settle())
            self._world.db.commit()

    def _target(self, project_id: int, kind: Kind, name: str) -> int:
        """The row of an object by its name; a deployment's by its id too, because another may have its name."""
        row = self._world.find(TABLES[kind], project_id, name)
        if row is None and kind == "deployment":
            row = self._world.find_uuid("deployments", name)
        if row is None or row["project_id"] != project_id:
            raise LookupError(f"project {project_id} has no {kind} {name}")
        return int(row["id"])

    # Copies.

    def dump(self) -> bytes:
        """The whole state, for `Emulator.load`; the clock and the options are not part of it."""
        with self._lock:
            return self._world.db.serialize()

    @classmethod
    def load(
        cls,
        image: bytes,
        *,
        clock: Clock | None = None,
        modes: Modes | None = None,
        base_url: str = NOWHERE,
        task_seconds: float = 0.0,
        seed: int | None = None,
    ) -> Emulator:
        """An emulator in memory with the state that `dump` gave; with the same seed it continues as that one would."""
        store = restore(image)
        return cls(store, clock=clock, modes=modes, base_url=base_url, task_seconds=task_seconds, seed=seed)

    def fork(self, *, clock: Clock | None = None, modes: Modes | None = None) -> Emulator:
        """An independent copy in memory: same state and options, no listeners and no interceptor.

        A virtual clock is copied too, unless another `clock` is given.
        """
        if clock is None:
            clock = self.clock.copy() if isinstance(self.clock, VirtualClock) else self.clock
        world = self._world
        fork = Emulator.load(
            self.dump(),
            clock=clock,
            modes=modes or world.modes,
            base_url=world.base_url,
            task_seconds=world.task_seconds,
            seed=world.seed,
        )
        if fork.modes.lists_lag == world.modes.lists_lag:
            fork._past = list(self._past)  # noqa: SLF001 - its own copy
        fork._world.calls = world.calls  # noqa: SLF001
        fork._world.unseen -= world.changes  # noqa: SLF001 - whoever compares `changes` may go on with the copy
        return fork

    def close(self) -> None:
        """Close the database; the emulator can no longer be used."""
        with self._lock:
            self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
