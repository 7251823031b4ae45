"""Open what a command needs: the configuration, the API, the sinks; and the plan that they lead to."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.files import names_of
from reconciler.cli.progress import ShownProgress
from reconciler.cli.terminal import Terminal
from reconciler.model import DesiredState, Snapshot

if TYPE_CHECKING:
    from types import FrameType

    from reconciler.cli.base import BaseFile
    from reconciler.effects import System
    from reconciler.gcore import ApiEvent, GcoreApi
    from reconciler.plan.changes import Demand, Plan, Selection
    from reconciler.sinks import Sink

STOPPING = (
    "Stopping after the running steps; keys that are already bound are still published. Interrupt again to stop"
    " immediately."
)
DEFAULT_BASE_URL = "https://api.gcore.com"


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with."""

    desired: DesiredState
    api: GcoreApi
    sinks: dict[str, Sink]
    effects: System
    interruption: Interruption
    terminal: Terminal
    demand: Demand | None = None
    """What the command asks for besides the file."""
    selection: Selection | None = None
    """Which keys the command is about; None for all."""
    base: BaseFile | None = None
    """The file as it was, for a command that compares with it."""

    def look(self) -> Snapshot:
        """Read the live state."""
        from reconciler.snapshot import take_snapshot

        return take_snapshot(self.api, self.sinks, self.desired)

    def plan(self, *, at: datetime | None = None, probes: bool = False) -> Plan:
        """What would change as of now, or as of an instant.

        `probes`: check that each sink that it needs can be written, and hold up the keys for which one cannot.
        """
        snapshot = self.look()  # first: its answers set the API's clock
        now = at or self.api.now().replace(microsecond=0)
        plan = self.compute(self.desired, snapshot, now, self.sinks if probes else None)
        if self.base is None:
            return plan
        from reconciler.cli.attribution import attribute_to

        return attribute_to(self.base, plan, self, snapshot, now)

    def compute(
        self, desired: DesiredState, snapshot: Snapshot, now: datetime, sinks: Mapping[str, Sink] | None
    ) -> Plan:
        """The plan of a file for a snapshot; with `sinks`, those that it needs are probed."""
        from reconciler.plan import compute_plan
        from reconciler.plan.changes import EVERYTHING
        from reconciler.probing import plan_what_can_be_written

        def compute(read: Snapshot) -> Plan:
            plan = compute_plan(desired, read, now, self.demand, self.selection or EVERYTHING)
            return replace(plan, api=self.api.host)

        return compute(snapshot) if sinks is None else plan_what_can_be_written(compute, snapshot, sinks)


def paths_of(args: argparse.Namespace, terminal: Terminal) -> list[Path]:
    """The files and folders of `--file`; says which folders in those are not read."""
    from reconciler.config import STDIN, find_unread

    paths = [STDIN if name == "-" else Path(name) for name in names_of(args)]
    for folder in find_unread(paths):
        terminal.tell(f"note: {folder} is not read. If it is part of the stack, pass it to --file too.")
    return paths


def read_configuration(args: argparse.Namespace, terminal: Terminal) -> DesiredState:
    """The files of `--file`, or keyform.yaml; `-` is standard input."""
    from reconciler.config import load_config

    desired = load_config(paths_of(args, terminal), terminal.env, terminal.read_input)
    args.about = (desired.stack, desired.project)  # for a later error
    return desired


@contextmanager
def open_session(
    args: argparse.Namespace,
    terminal: Terminal,
    *,
    listener: Callable[[ApiEvent], None] | None = None,
    ask: Callable[[DesiredState], Demand | None] = lambda _: None,
    task_timeout: float = 0.0,
    needs_sinks: bool = True,
) -> Iterator[Session]:
    """Everything a command needs, closed at the end. Errors: ConfigError, CredentialsMissing, ApiError.

    `ask` is what the command asks for besides the file. `task_timeout` is for those that wait for tasks. Without
    `needs_sinks` none is opened: the command works whatever is wrong with them.
    """
    desired = read_configuration(args, terminal)
    demand = ask(desired)
    base = read_base_of(args, terminal, desired)
    from reconciler.gcore.tokens import read_token

    token = read_token(terminal.env.get("GCORE_API_KEY"))
    from reconciler.effects import System
    from reconciler.gcore import GcoreApi
    from reconciler.gcore.generations import dialect_of
    from reconciler.sinks import open_sinks

    effects = System(connections=args.parallelism, request_timeout=args.request_timeout)
    interruption = Interruption(effects.abandon, terminal.tell)
    try:
        with interruption.listening():
            api = GcoreApi(
                base_url=terminal.env.get("GCORE_BASE_URL", "").strip() or DEFAULT_BASE_URL,
                token=token,
                project=desired.project,
                effects=effects,
                dialect=dialect_of(desired.api),
                named=desired.named | (base.desired.named if base and base.desired else frozenset()),
                workers=args.parallelism,
                listener=listener or ShownProgress(terminal).on_api_event,
                task_timeout=task_timeout,
                redactor=terminal.redactor,
            )
            sinks = open_sinks(
                desired.sinks if needs_sinks else (),
                owner=desired.owner(api.host),
                effects=effects,
                redactor=terminal.redactor,
                env=terminal.env,
            )
            yield Session(desired, api, sinks, effects, interruption, terminal, demand, selection_of(args), base)
    finally:
        effects.close()


def selection_of(args: argparse.Namespace) -> Selection | None:
    """Which keys the command line chooses; a key may be given by its address in a plan, too."""
    if not getattr(args, "target", None) and not getattr(args, "exclude", None):
        return None
    from reconciler.plan.changes import Selection

    targets, excludes = (tuple(name.removeprefix("key.") for name in names) for names in (args.target, args.exclude))
    return Selection(targets, excludes)


def read_base_of(args: argparse.Namespace, terminal: Terminal, desired: DesiredState) -> BaseFile | None:
    """The file at the commit that the command line names with `--base`, if it does."""
    if getattr(args, "base", None) is None:
        return None
    from reconciler.cli.base import read_base

    return read_base(args, terminal, args.base, stack=desired.stack)


class Interruption:
    """What Ctrl-C, SIGTERM and a closed terminal do to a run.

    While nothing is being changed they end it at once. From `begin_changes` on, the first sets `stop`: running steps
    finish, and what is bound by then is published; nothing else begins. The second stops waiting for those.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, abandon: Callable[[], None], tell: Callable[..., None], *, stopping: str = STOPPING) -> None:
        """`stopping` says what the first signal leads to, once something is being changed."""
        self.stop = threading.Event()
        self._abandon = abandon
        self._tell = tell
        self._stopping = stopping
        self._changes = False
        self._before: dict[int, Any] = {}

    def begin_changes(self) -> None:
        """From now on, running changes are finished."""
        self._changes = True

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle the signals, except those that the caller ignores (`nohup`)."""
        self._before = {number: signal.getsignal(number) for number in self.SIGNALS}
        taken = {number: handler for number, handler in self._before.items() if handler is not signal.SIG_IGN}
        for number in taken:
            signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in taken.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        outer = self._before[number]
        if callable(outer) and outer is not signal.default_int_handler:
            outer(number, frame)  # the parent process needs to know about it, too
        if self.stop.is_set():
            self._abandon()
            return
        self.stop.set()
        if not self._changes:
            self._abandon()
            raise KeyboardInterrupt
        self._tell("", self._stopping)
