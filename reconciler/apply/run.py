"""What a run knows while it applies: who it talks to, what came of each change, and secrets not yet published."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reconciler.apply.interface import Api
from reconciler.apply.lock import Lock
from reconciler.effects import Effects
from reconciler.model import CreatedKey, EndpointRef, LiveEndpoint
from reconciler.plan.changes import Change, Plan, Publish
from reconciler.plan.outcomes import Event, Outcome, OutcomeState
from reconciler.sinks.protocol import Sink


@dataclass
class Run:
    """One apply. Worker threads share it: each writes only entries of its own change."""

    plan: Plan
    api: Api
    sinks: Mapping[str, Sink]
    effects: Effects
    listener: Callable[[Event], None]
    stop: threading.Event
    lock: Lock
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    created: dict[str, CreatedKey] = field(default_factory=dict)
    """By the planned live name: what was made for it, maybe under the next generation's name."""
    bound: set[tuple[EndpointRef, str]] = field(default_factory=set)
    """Links seen in place, by the planned live name."""
    unbound: set[tuple[EndpointRef, str]] = field(default_factory=set)
    """Links seen gone."""
    waited_for: set[EndpointRef] = field(default_factory=set)
    """Endpoints that a proof has waited for in vain: no other one waits for them, or a thousand keys would."""
    endpoints_seen: tuple[LiveEndpoint, ...] | None = None
    """All endpoints, read once when the first proof asks whether an application is asleep."""
    bindings_seen: frozenset[str] | None = None
    """Live names bound anywhere, read once before deletes."""
    lock_was_lost: bool = False
    """Another run may have had the lock while a change of this one was under way."""
    guard: threading.Lock = field(default_factory=threading.Lock)
    changes: dict[str, Change] = field(init=False)
    """The plan's changes by id."""
    publications: dict[str, str] = field(init=False)
    """The id of the change that publishes a key, by key."""

    def __post_init__(self) -> None:
        self.changes = {change.id: change for change in self.plan.changes}
        self.publications = {
            change.ownership.key: change.id for change in self.plan.changes if isinstance(change, Publish)
        }

    def is_done(self, change_id: str) -> bool:
        """Whether the change was done; one that is not in the plan need not be."""
        outcome = self.outcomes.get(change_id)
        return outcome is not None and outcome.state is OutcomeState.DONE

    def live_name(self, planned: str) -> str:
        """The name that the planned generation really has."""
        made = self.created.get(planned)
        return made.key.name if made else planned
