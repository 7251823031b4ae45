"""Open what a command needs: the configuration, the API, the sinks; and the plan that they lead to."""

from __future__ import annotations

import argparse
import dataclasses
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.terminal import Terminal
from reconciler.errors import CredentialsMissing
from reconciler.model import Auth, DesiredState, Safety, Secret, Snapshot

if TYPE_CHECKING:
    from types import FrameType

    from reconciler.effects import System
    from reconciler.gcore import ApiEvent, GcoreApi
    from reconciler.plan.changes import Plan
    from reconciler.sinks import Sink

DEFAULT_BASE_URL = "https://api.gcore.com"


@dataclass(frozen=True, slots=True)
class Stage:
    """What a command works with."""

    desired: DesiredState
    api: GcoreApi
    sinks: dict[str, Sink]
    effects: System

    def look(self) -> Snapshot:
        """Read everything that is live."""
        from reconciler.snapshot import take_snapshot

        return take_snapshot(self.api, self.sinks, self.desired)

    def plan(self, *, at: datetime | None = None) -> Plan:
        """What would change as of now, or as of an instant."""
        from reconciler.plan import compute_plan

        snapshot = self.look()
        return compute_plan(self.desired, snapshot, at or self.effects.now().replace(microsecond=0))


def read_configuration(args: argparse.Namespace, terminal: Terminal) -> DesiredState:
    """The files of `--file`, or keyform.yaml."""
    from reconciler.config import load_config

    return load_config([Path(name) for name in args.file or ["keyform.yaml"]], terminal.env)


@contextmanager
def open_stage(
    args: argparse.Namespace,
    terminal: Terminal,
    *,
    listener: Callable[[ApiEvent], None] | None = None,
    narrow: Callable[[DesiredState], DesiredState] = lambda desired: desired,
) -> Iterator[Stage]:
    """Everything a command needs, closed at the end. Errors: ConfigError, CredentialsMissing, ApiError."""
    desired = narrow(read_configuration(args, terminal))
    token = terminal.env.get("GCORE_API_KEY", "").strip()
    if not token:
        raise CredentialsMissing(
            "GCORE_API_KEY is not set: keyform needs an API token.",
            way_out="make a permanent API token in the portal, and export GCORE_API_KEY=…",
        )
    from reconciler.effects import System
    from reconciler.gcore import GcoreApi
    from reconciler.sinks import open_sinks

    effects = System(connections=args.parallelism)
    try:
        api = GcoreApi(
            base_url=terminal.env.get("GCORE_BASE_URL", "").strip() or DEFAULT_BASE_URL,
            token=Secret(token),
            project=desired.project,
            effects=effects,
            workers=args.parallelism,
            listener=lambda event: tell_event(event, terminal, listener),
        )
        sinks = open_sinks(desired.sinks, stack=desired.stack, effects=effects)
        with interrupting(effects):
            yield Stage(desired, api, sinks, effects)
    finally:
        effects.close()


def tell_event(event: ApiEvent, terminal: Terminal, listener: Callable[[ApiEvent], None] | None) -> None:
    """Pass an event of the client on, and log it for those who want to see it."""
    if terminal.log_level > 1:
        level = "debug" if event.kind.value in ("request", "task_polling") else "info"
        wait = f" again in {event.wait_seconds:.1f}s" if event.wait_seconds else ""
        detail = f" ({event.detail})" if event.detail else ""
        terminal.log(level, f"{event.kind.value.replace('_', ' ')}: {event.method} {event.subject}{wait}{detail}")
    if listener is not None:
        listener(event)


@contextmanager
def interrupting(effects: System) -> Iterator[None]:
    """While nothing is changed yet, SIGINT and SIGTERM end the run at once: waiting threads wake and give up."""

    def stop(number: int, frame: FrameType | None) -> None:
        effects.abandoned.set()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def without_keys(desired: DesiredState) -> DesiredState:
    """What `destroy` desires: no keys, and nothing of endpoints but that the open ones may be open."""
    endpoints = tuple(endpoint for endpoint in desired.endpoints if endpoint.auth is Auth.OPEN)
    return dataclasses.replace(desired, keys=(), endpoints=endpoints, safety=Safety(None, allow_empty=True))
