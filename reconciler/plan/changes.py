"""The plan, as data: an ordered list of changes. It holds no secret, and is the same to the byte for the same input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from reconciler.errors import Finding
from reconciler.model import Binding, EndpointRef, Length, LiveKey, Ownership, SinkRecord, Unchanged


class Action(StrEnum):
    """What happens to the resource at an address, in Terraform's words."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    ROTATE = "rotate"
    """A new generation is made and published; the old one is retired."""
    FORGET = "forget"
    """The stack no longer manages it; nothing is deleted."""


class Step(StrEnum):
    """What a change does, in the order of an apply: nothing is removed before its replacement is in place.

    Descriptions come after creates: a generation that may or may not be in its sink stays marked pending until its
    successor exists. Otherwise, if the run died in between, the next run would treat it as certainly published.
    """

    CREATE_GENERATION = "create_generation"
    BIND = "bind"
    UPDATE_KEY = "update_key"
    PROVE = "prove"
    PUBLISH = "publish"
    COPY = "copy"
    UNBIND = "unbind"
    OPEN_ENDPOINT = "open_endpoint"
    REMOVE_RECORD = "remove_record"
    DELETE_KEY = "delete_key"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a change is needed: a stable code for machines, and a sentence for people. `is_urgent`: a secret leaked."""

    code: str
    sentence: str
    is_urgent: bool = False


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """A field that differs; values are in JSON's form (instants as ISO 8601 in UTC)."""

    path: str
    live: str | bool | int | None
    desired: str | bool | int | None


@dataclass(frozen=True, slots=True, order=True)
class KeyRef:
    """A live key: its name for people, its id for the API. Without an id, this plan creates it."""

    name: str
    id: str = ""

    @classmethod
    def of(cls, live: LiveKey) -> KeyRef:
        """A live key that is there."""
        return cls(live.name, live.id)


@dataclass(frozen=True, slots=True, order=True)
class ChangeId:
    """What a change does, to which live key (or, for a record, to which key), and where: unique in its plan."""

    step: Step
    live: KeyRef
    at: EndpointRef | str | None = None

    @property
    def in_words(self) -> str:
        """For people, who know a live key by its name: `create generation payments-g2`."""
        return " ".join(filter(None, (self.step.value.replace("_", " "), self.live.name, str(self.at or ""))))

    def __str__(self) -> str:
        """As JSON has it: `bind payments-g2 deployment.llama3`."""
        named = self.live.name if self.live.id in ("", self.live.name) else f"{self.live.name} ({self.live.id})"
        return " ".join(filter(None, (self.step.value, named, str(self.at or ""))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of a plan: about one generation of a key, maybe at one endpoint, about one record, or one endpoint.

    `key` is the name of the key whose step it is; `""` if an endpoint's own setting changes: its authentication, and
    foreign keys. `action` is what happens to the resource at the `address`; `depends_on` holds the ids of changes that
    must be done before, or in the same write.
    """

    key: str = ""
    endpoint: EndpointRef | None = None
    action: Action
    reason: Reason
    diff: tuple[FieldDiff, ...] = ()
    depends_on: tuple[ChangeId, ...] = ()

    @property
    def id(self) -> ChangeId:
        """Unique in its plan."""
        raise NotImplementedError

    @property
    def step(self) -> Step:
        """What it does."""
        return self.id.step

    @property
    def address(self) -> str:
        """The resource that a reader cares about: `key.payments-api`, or `deployment.llama3`."""
        return f"key.{self.key}" if self.key else str(self.endpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateGeneration(Change):
    """Create a live key, marked pending. `ownership.since` is the instant of the plan.

    `length`: the expiry comes from `lifetime`, and may be off by up to a day.
    """

    live: KeyRef
    text: str
    ownership: Ownership
    expires_at: datetime | None
    length: Length | None = None

    @property
    def id(self) -> ChangeId:
        return ChangeId(Step.CREATE_GENERATION, self.live)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateKey(Change):
    """Change a live key in place: the human text, the marker (adoption, an interrupted publication), maybe its expiry.

    `adopts`: the live key had no owner, or another one: `taken_from` is the stack that its marker names then (`""`:
    this one). `expires_at` is UNCHANGED if it stays, or if the API cannot change it; `length` is as in
    `CreateGeneration`.
    """

    live: KeyRef
    text: str
    ownership: Ownership
    expires_at: datetime | Unchanged | None = Unchanged.UNCHANGED
    length: Length | None = None
    adopts: bool = False
    taken_from: str = ""

    @property
    def sets_expiry(self) -> bool:
        """Whether it changes the key's expiry: it then comes before every bind."""
        return not isinstance(self.expires_at, Unchanged)

    @property
    def id(self) -> ChangeId:
        return ChangeId(Step.UPDATE_KEY, self.live)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind(Change):
    """Bind a live key of a key to an endpoint. `closes`: it is public, and the file requires a key."""

    live: KeyRef
    endpoint: EndpointRef
    closes: bool = False

    @property
    def id(self) -> ChangeId:
        return ChangeId(Step.BIND, self.live, self.endpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prove(Change):
    """Try the new generation's secret at every endpoint that it is bound to; nothing is written."""

    live: KeyRef
    endpoints: tuple[EndpointRef, ...]

    @property
    def id(self) -> ChangeId:
        return ChangeId(Step.PROVE, self.live)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish(Change):
    """Write the new generation's secret to its sinks, then mark the generation published.

    `destinations` is the digest of these sinks' destinations, which the marker then carries.
    """

    live: KeyRef
    text: str
    ownership: Ownership
    destinations: str
    sinks: tuple[str, ...]

    @property
    def id(self) -> ChangeId:
        return ChangeId(Step.PUBLISH, self.live)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Change):
    """Copy the secret of the live key in use from the sink `source` to those that lack it, then write its marker.

    The marker (`ownership`) then says where the secret is; its phase and its instant stay.
    """

    live: KeyRef
    text: str
    ownership: Ownership
    source: str
    sinks: tuple[str, ...]

    @property
    def id(self) -> ChangeId:
        return ChangeId(Step.COPY, self.live)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbind(Change):
    """Unlink a live key from an endpoint, whether it is the stack's or foreign.

    `is_disposable`: its secret reached nobody, provided that its marker says so when it goes.
    """

    live: KeyRef
    endpoint: EndpointRef
    is_disposable: bool = False

    @property
    def id(self) -> ChangeId:
        return ChangeId(Step.UNBIND, self.live, self.endpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEndpoint(Change):
    """Turn an endpoint's authentication off, as the file says (`auth: open`)."""

    endpoint: EndpointRef

    @property
    def id(self) -> ChangeId:
        return ChangeId(Step.OPEN_ENDPOINT, KeyRef(""), self.endpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveRecord(Change):
    """Remove a key's secret and record from a sink; or, with `keeps_secret`, only release the record."""

    sink: str
    record: SinkRecord | None
    keeps_secret: bool = False

    @property
    def id(self) -> ChangeId:
        return ChangeId(Step.REMOVE_RECORD, KeyRef(self.key), self.sink)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteKey(Change):
    """Delete a live key that is no longer bound anywhere; see `Unbind` for `is_disposable`."""

    live: KeyRef
    is_disposable: bool = False

    @property
    def id(self) -> ChangeId:
        return ChangeId(Step.DELETE_KEY, self.live)


@dataclass(frozen=True, slots=True)
class Rotate:
    """A demand besides the file: a rotation of these keys now, and nothing else. `revoke`: no overlap.

    `keys` are named one by one, `matching` by a pattern; of `sinks`, it is all keys whose secret they hold, or held.
    Once it is resolved (see rotation.py), `keys` names every key to rotate, `matching` those that only a pattern names,
    and `because` says of a key why a sink concerns it.
    """

    keys: frozenset[str] = frozenset()
    revoke: bool = False
    matching: frozenset[str] = frozenset()
    sinks: frozenset[str] = frozenset()
    because: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Destroy:
    """A demand besides the file: remove everything that the stack owns, however much that is."""


Demand = Rotate | Destroy


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader should know that is not a change. `code` is stable; the sentence is read after the address."""

    code: str
    address: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What the plan does to keys, each counted once by its strongest action.

    `deployments` and `applications` count those whose own settings change: their authentication, and foreign keys.
    """

    add: int = 0
    change: int = 0
    rotate: int = 0
    destroy: int = 0
    forget: int = 0
    deployments: int = 0
    applications: int = 0


Object = dict[str, object]
"""A key or an endpoint with all of its attributes, as JSON has them."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A key or an endpoint before and after a plan; None where it does not exist.

    `made` is the live name of the generation that an apply makes, `adopts` that of a live key that the file takes over.
    """

    address: str
    before: Object | None
    after: Object | None
    made: str = ""
    adopts: str = ""


MAX_DELETES, MAX_REPLACEMENTS, ALLOW_EMPTY = "max_deletes", "max_replacements", "allow_empty"
ABSENT_SINKS, PREVENT_DESTROY, KEEPS_A_KEY, RENAMES = "absent_sinks", "prevent_destroy", "keeps_a_key", "renames"
SAFETY_RULES = (MAX_DELETES, MAX_REPLACEMENTS, ALLOW_EMPTY, ABSENT_SINKS, PREVENT_DESTROY, KEEPS_A_KEY, RENAMES)
"""The safety rules, as the findings of a plan name them (`Finding.rule`). `keeps_a_key` is about endpoints: one that
loses its last valid key becomes public, or is of no use, unless the file says `auth: open`.
"""


@dataclass(frozen=True, slots=True)
class Expected:
    """The facts about a key or an endpoint that a plan was made from, in words: pairs of a name and a value."""

    address: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """Something that was changed outside keyform, as markers, records and metadata prove; see `plan/drift.py`.

    In `Plan.unproven`, it is what only differs from the file. `code` is stable. `sentence` says what differs, read
    after the address; `remedy` what an apply does about it. A `resource` is the whole object before and after that, if
    that is known.
    """

    code: str
    address: str
    sentence: str
    remedy: str
    resource: Resource | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which keys a plan is about: those that match one of `targets` (all, if there are none) and none of `excludes`.

    Both are names of keys, or patterns of names.
    """

    targets: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.targets or self.excludes)

    def chooses(self, names: Iterable[str]) -> bool:
        """Whether it is about a key with these names."""
        known = [*names]

        def match(patterns: tuple[str, ...]) -> bool:
            return any(fnmatchcase(name, pattern) for name in known for pattern in patterns)

        return (not self.targets or match(self.targets)) and not match(self.excludes)


EVERYTHING = Selection()
"""All keys."""


@dataclass(frozen=True, slots=True)
class Base:
    """What a plan of the file as it was at a git ref, of the same live state, says about this one.

    `pending` are the changes that are in that plan, too: drift, a rotation that is due, an earlier change of the file
    that is not applied. `edits` are fields of pending changes to which this change of the file gives other values, each
    with the id of its change; `edited` says the same in words. `withdrawn` says what only that plan does. `weakened`
    says what protects less in the file than before, without being a change of this plan. `notes` are all notes of that
    plan, exposures among them, and `findings` its findings as pairs of a path and a message.
    """

    ref: str
    commit: str
    pending: frozenset[ChangeId] = frozenset()
    withdrawn: tuple[Note, ...] = ()
    weakened: tuple[Note, ...] = ()
    edited: tuple[Note, ...] = ()
    edits: frozenset[tuple[ChangeId, str]] = frozenset()
    notes: frozenset[Note] = frozenset()
    findings: frozenset[tuple[str, str]] = frozenset()

    @property
    def name(self) -> str:
        """The ref, and the commit unless that is the same: `main (abc1234)`."""
        short = self.commit[:7]
        return f"{self.ref} ({short})" if short and not self.commit.startswith(self.ref) else self.ref or short


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a sink of the file writes, in one line, and whether what it holds can be read back."""

    sink: str
    place: str
    is_readable: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done, in order. `refusals` not empty: safety refuses, and nothing may be applied.

    `exposures` say which endpoints become public, or already are, who loses access, and what a leaked secret still
    opens; they go to the top of every report. `unmet` is what the file asks for and the plan leaves undone: the rest
    may be applied, and the exit code is that of an error. `held_up` are the keys that stay as they are because of it,
    except that a leaked secret is marked. `destinations` are all sinks that keys name, including those that nothing is
    written to now: a later run does. `lock` is the lock if it is not the API's, in words. `expiring` are the keys that
    have expired or soon will, and that nothing rotates: neither a change nor an error. `keeps` are all of the stack's
    bindings that stay: a write never removes one of them, and a run that writes lists checks them before it ends.
    `renames` are renamed keys that still have generations, each with the key that replaces it. `repairs` say what an
    apply writes again in sinks, because it is damaged: they change no key. `notes` ask for nothing: a generation in its
    overlap, say. `resources` are all keys and endpoints of the stack, whole, before and after the plan; `drift` is what
    was changed outside keyform; `unproven` is what differs from the file and may have been, or the file was changed and
    not applied since. `api` is the API's host. `base` tells, where a base was given, which changes come from this
    change of the file. `selection` says which keys the plan is about. `expects` are the facts about all keys and
    endpoints of the stack that the plan was made from.
    """

    stack: str
    project: int
    made_at: datetime
    changes: tuple[Change, ...] = ()
    refusals: tuple[Finding, ...] = ()
    exposures: tuple[Note, ...] = ()
    warnings: tuple[Note, ...] = ()
    expiring: tuple[Note, ...] = ()
    unmet: tuple[Finding, ...] = ()
    held_up: tuple[str, ...] = ()
    destinations: tuple[Destination, ...] = ()
    lock: str = ""
    keeps: frozenset[Binding] = frozenset()
    key_count: int = 0
    renames: tuple[tuple[str, str], ...] = ()
    repairs: tuple[Note, ...] = field(default=(), compare=False)
    notes: tuple[Note, ...] = ()
    resources: tuple[Resource, ...] = field(default=(), compare=False)
    drift: tuple[Drift, ...] = field(default=(), compare=False)
    unproven: tuple[Drift, ...] = field(default=(), compare=False)
    api: str = ""
    base: Base | None = field(default=None, compare=False)
    selection: Selection = EVERYTHING
    expects: tuple[Expected, ...] = field(default=(), compare=False)

    @property
    def is_empty(self) -> bool:
        """Nothing to do."""
        return not self.changes

    def is_pending(self, change: Change) -> bool:
        """Whether a change was pending already at the base: then it does not come from this change of the file."""
        return self.base is not None and change.id in self.base.pending

    def was_said(self, each: Note | Finding) -> bool:
        """Whether the plan at the base says the same: then it does not come from this change of the file.

        A finding is the same wherever in the file it is.
        """
        if self.base is None:
            return False
        return (each.path, each.message) in self.base.findings if isinstance(each, Finding) else each in self.base.notes
