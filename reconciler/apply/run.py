"""What a run knows while it applies: its API and sinks, the outcome of each change, and unpublished secrets."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.api import Api, Fence, KeyUpdate
from reconciler.apply.lock import Lock
from reconciler.effects import Effects
from reconciler.errors import KeyformError
from reconciler.model import Binding, CreatedKey, EndpointRef, LiveEndpoint, LiveKey, are_close
from reconciler.plan.changes import Change, ChangeId, KeyRef, Plan, Publish, Step, Unbind
from reconciler.plan.outcomes import Event, Outcome, OutcomeState
from reconciler.sinks.protocol import Sink


class Bindings:
    """Bindings, by endpoint and by key, so that a write gets those that it could touch and not ten thousand.

    Safe between threads: one may add what it bound while another looks at the same key.
    """

    def __init__(self, bindings: Iterable[Binding]) -> None:
        self._guard = threading.Lock()
        self._by: dict[EndpointRef | str, set[Binding]] = defaultdict(set)
        self.add(bindings)

    def add(self, bindings: Iterable[Binding]) -> None:
        """These, too."""
        with self._guard:
            for binding in bindings:
                self._by[binding.endpoint].add(binding)
                self._by[binding.key_id].add(binding)

    def remove(self, bindings: Iterable[Binding]) -> None:
        """No longer these."""
        with self._guard:
            for binding in bindings:
                self._by[binding.endpoint].discard(binding)
                self._by[binding.key_id].discard(binding)

    def all(self) -> frozenset[Binding]:
        """Every one."""
        with self._guard:
            return frozenset(binding for some in self._by.values() for binding in some)

    def near(self, bindings: Iterable[Binding], endpoints: Iterable[EndpointRef]) -> frozenset[Binding]:
        """Those at the same endpoints or of the same keys."""
        places = {*endpoints, *(place for each in bindings for place in (each.endpoint, each.key_id))}
        with self._guard:
            return frozenset(binding for place in places for binding in self._by.get(place, ()))


@dataclass(frozen=True, slots=True)
class Left:
    """What a change has left of a live key that was `former` before: what was written, or None if it was deleted."""

    change: Change
    former: LiveKey
    written: KeyUpdate | None


@dataclass
class Run:
    """One apply. Worker threads share it: each writes only the entries of its changes. `api` is fenced."""

    plan: Plan
    api: Api
    sinks: Mapping[str, Sink]
    effects: Effects
    listener: Callable[[Event], None]
    stop: threading.Event
    """The user asks to stop."""
    fence: Fence
    lists: Lock | None = None
    """What keeps other stacks off the lists of keys; None if nothing does, or nothing has to."""
    lock_timeout: float = 0.0
    """Seconds that the user would wait for a lock."""
    held_up: dict[ChangeId, KeyformError] = field(default_factory=dict)
    """Changes that do not begin, because a sink that they need does not work."""
    outcomes: dict[ChangeId, Outcome] = field(default_factory=dict)
    created: dict[KeyRef, CreatedKey] = field(default_factory=dict)
    """What was created for a planned generation, maybe under the next generation's name."""
    listed: dict[str, LiveKey] = field(default_factory=dict)
    """What was created, by its id, as a list has shown it since: the next plan depends on a list."""
    left: dict[str, Left] = field(default_factory=dict)
    """What the last change of each live key has left of it, by its id."""
    kept: Bindings = field(init=False)
    """The stack's bindings that stay, and those that this run makes: a reading without them is an old one."""
    going: Bindings = field(init=False)
    """The stack's bindings that this run has yet to remove."""
    waited_for: set[EndpointRef] = field(default_factory=set)
    """Endpoints that did not wake up for a proof: no other proof waits for them, or a thousand keys would."""
    proofs_end_at: float | None = None
    """When all proofs stop waiting, on the monotonic clock; set once the user asks to stop."""
    endpoints_seen: tuple[LiveEndpoint, ...] | None = None
    """All endpoints, read once, when the first proof needs to know whether an application is asleep."""
    bindings_seen: frozenset[Binding] | None = None
    """All bindings, read for the first delete, after all unbinding."""
    looks_at_bindings: int = 0
    """How often they were read: a binding that prevents a delete may be old."""
    keys_counted: str | None = None
    """The number of the project's keys, in words, counted when a quota refuses the first create."""
    lock_was_lost: bool = False
    """Another run may have had the lock while a change of this one was under way: this run writes nothing more."""
    publications: Mapping[ChangeId, list[Publish]] = field(init=False)
    """Each change that publications wait for, with those, and each publication with itself."""
    guard: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.kept = Bindings(self.plan.keeps)
        unbinds = (change for change in self.plan.changes if isinstance(change, Unbind) and change.key)
        self.going = Bindings(Binding(change.live.id, change.endpoint) for change in unbinds)
        self.publications = defaultdict(list)
        for change in self.plan.changes:
            if isinstance(change, Publish):
                for each in (change.id, *change.depends_on):
                    self.publications[each].append(change)

    @property
    def is_to_end(self) -> bool:
        """Whether the user asks to stop, or nothing more may be written."""
        return self.stop.is_set() or self.lock_was_lost

    def begins(self, change: Change) -> bool:
        """Whether a change may begin. Once the user asks to stop, only changes begin that publish what is created and
        bound.

        Its secret is only in the memory of this run: without them the next run could only create another one.
        """
        if self.lock_was_lost:
            return False
        if not self.stop.is_set():
            return True
        finishes = change.step in (Step.UPDATE_KEY, Step.PROVE, Step.PUBLISH)
        return finishes and any(map(self.is_bound, self.publications.get(change.id, ())))

    def is_bound(self, publication: Publish) -> bool:
        """Whether the generation is created, and bound everywhere."""
        before = (each for each in publication.depends_on if each.step in (Step.CREATE_GENERATION, Step.BIND))
        return all(self.is_in(each, OutcomeState.DONE) for each in before)

    def is_in(self, change: ChangeId, state: OutcomeState) -> bool:
        """Whether a change has ended with this outcome."""
        outcome = self.outcomes.get(change)
        return outcome is not None and outcome.state is state

    def is_as_old(self, made: LiveKey, live: LiveKey) -> bool:
        """Whether a reading has the `created_at` of a key that was created: one that was created again may match in
        everything else.

        If the API's list shows another instant than its answer to a create, the difference means nothing.
        """
        listed = self.listed.get(made.id)
        tells = listed is not None and are_close(listed.created_at, made.created_at)
        return not tells or are_close(live.created_at, made.created_at)

    def id_of(self, live: KeyRef) -> str:
        """The id of a live key, or of what was created for a planned one; `""` for one that was not created."""
        if live.id:
            return live.id
        made = self.created.get(live)
        return made.key.id if made else ""
